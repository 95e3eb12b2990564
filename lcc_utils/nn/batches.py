"""Batches of cells for training and prediction, drawn from one array of pixels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from lcc_utils.nn.augment import augment_on_cpu
from lcc_utils.nn.settings import Augmentation


class TrainingBatches(keras.utils.PyDataset):
    """Shuffled, optionally class-balanced batches of full size.

    An epoch holds every training cell once; balanced sampling repeats cells of the
    smaller class, in random order, until both classes are of one size. Each item is
    ``((images, flags), targets)``: pixels 0 to 255 ``(batch, size, size, 3)``, which
    images the device shall augment ``(batch,)``, and one-hot classes ``(batch, 2)``.

    Parameters
    ----------
    pixels
        Array of all cells, uint8 ``(n, size, size, 3)``; rows are read batch by batch.
    rows, labels
        Rows of the training cells in ``pixels`` and their classes, 0 HEM and 1 ALL.
    batch
        Cells in a batch; what does not fill a batch is left to another epoch.
    balanced
        Whether the smaller class is repeated.
    augmentation
        Policy, target and engine.
    seed
        Seed of order, repetition and CPU augmentation.
    steps
        Batches in an epoch, if fewer than the data gives.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        rows: np.ndarray,
        labels: np.ndarray,
        *,
        batch: int,
        balanced: bool,
        augmentation: Augmentation,
        seed: int,
        steps: int | None = None,
    ) -> None:
        super().__init__()
        self._pixels, self._rows, self._labels = pixels, rows, labels
        self._batch, self._balanced, self._seed = batch, balanced, seed
        self._augmentation = augmentation
        self._augmented = _augmented_cells(labels, augmentation)
        self._limit = steps
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch; it depends on the seed and the epoch alone."""
        self._epoch = epoch
        self._order, self._repeat = _epoch_order(
            self._labels, self._balanced, np.random.default_rng([self._seed, epoch])
        )

    def __len__(self) -> int:
        """Return the number of batches in an epoch: at least one."""
        whole = max(1, len(self._order) // self._batch)
        return whole if self._limit is None else min(whole, self._limit)

    def __getitem__(self, index: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Return batch ``index`` of this epoch."""
        part = slice(index * self._batch, (index + 1) * self._batch)
        chosen, repeat = self._order[part], self._repeat[part]
        images = self._pixels[self._rows[chosen]]
        flags = self._augmented[chosen]
        if self._augmentation.engine == "imgaug" and flags.any():
            images[flags] = augment_on_cpu(
                images[flags],
                # A cell that comes again in an epoch is another draw.
                self._rows[chosen][flags] + repeat[flags] * len(self._pixels),
                policy=self._augmentation.policy,
                seed=self._seed,
                epoch=self._epoch,
            )
            flags = np.zeros_like(flags)
        targets = np.eye(2, dtype="float32")[self._labels[chosen]]
        return (images.astype("float32"), flags.astype("float32")), targets


class PredictionBatches(keras.utils.PyDataset):
    """Cells in order, for prediction: pixels ``(batch, size, size, 3)``."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray, batch: int) -> None:
        super().__init__()
        self._pixels, self._rows, self._batch = pixels, rows, batch

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._rows) // self._batch)

    def __getitem__(self, index: int) -> Any:
        """Return batch ``index``."""
        rows = self._rows[index * self._batch : (index + 1) * self._batch]
        return self._pixels[rows].astype("float32")


def _epoch_order(
    labels: np.ndarray, balanced: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of an epoch's cells, and how often each has come before in it."""
    counts = np.bincount(labels, minlength=2)
    target = counts.max() if balanced else None
    positions, repeats = [], []
    for label in (0, 1):
        own = np.flatnonzero(labels == label)
        wanted = len(own) if target is None else target
        rounds = -(-wanted // len(own)) if len(own) else 0
        positions.append(np.concatenate([rng.permutation(own) for _ in range(rounds)])[:wanted])
        repeats.append(np.repeat(np.arange(rounds), len(own))[:wanted])
    order = rng.permutation(sum(len(p) for p in positions))
    return np.concatenate(positions)[order], np.concatenate(repeats)[order]


def _augmented_cells(labels: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Which training cells the policy changes, bool ``(n,)``."""
    if augmentation.policy == "none":
        return np.zeros(len(labels), bool)
    if augmentation.target == "all":
        return np.ones(len(labels), bool)
    return labels == int(np.argmin(np.bincount(labels, minlength=2)))
