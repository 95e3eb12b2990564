"""Batches of cells for training and prediction, drawn from one array of pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import keras
import numpy as np

from lcc_utils.errors import RequestError
from lcc_utils.nn.augment import augment_on_cpu
from lcc_utils.nn.settings import Augmentation

# Threads that make training batches while the device works, and batches they may be ahead.
_THREADS, _AHEAD = 2, 4

Batch = TypeVar("Batch")


class TrainingBatches:
    """Shuffled batches of full size, with classes and subjects as often as asked for.

    Natural sampling: an epoch holds every training cell once. Balanced: cells of the smaller
    class are repeated, in random order, until both classes are of one size. Subject: an epoch
    is as long as a balanced one; within a class every subject is drawn equally often (to
    within one draw), its cells in random order, each once before any comes again. Each item
    is ``((images, flags), targets)``: pixels 0 to 255 ``(batch, size, size, 3)``, which
    images the device shall augment ``(batch,)``, and one-hot classes ``(batch, 2)``.

    Parameters
    ----------
    pixels
        Array of all cells, uint8 ``(n, size, size, 3)``; rows are read batch by batch.
    rows, labels
        Rows of the training cells in ``pixels`` and their classes, 0 HEM and 1 ALL.
    batch
        Cells in a batch; what does not fill a batch is left to another epoch.
    sampling
        ``balanced``, ``natural`` or ``subject``.
    augmentation
        Policy, target and engine.
    seed
        Seed of order, repetition and CPU augmentation.
    steps
        Batches in an epoch, if fewer than the data gives.
    subjects
        Subject of each training cell; sampling by subject needs them.

    Raises
    ------
    RequestError
        If sampling is by subject, and subjects are not given.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        rows: np.ndarray,
        labels: np.ndarray,
        *,
        batch: int,
        sampling: str,
        augmentation: Augmentation,
        seed: int,
        steps: int | None = None,
        subjects: np.ndarray | None = None,
    ) -> None:
        if sampling == "subject" and subjects is None:
            raise RequestError(
                "training.sampling is subject, but the subjects of the training cells are not "
                "given; give Cells their subjects, or set training.sampling to balanced."
            )
        self._pixels, self._rows, self._labels = pixels, rows, labels
        self._batch, self._seed = batch, seed
        self._balanced = sampling != "natural"
        self._subjects = np.asarray(subjects) if sampling == "subject" else None
        self._augmentation = augmentation
        self._augmented = _augmented_cells(labels, augmentation)
        self._limit = steps
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch; it depends on the seed and the epoch alone."""
        self._epoch = epoch
        self._order, self._repeat = _epoch_order(
            self._labels,
            self._balanced,
            self._subjects,
            np.random.default_rng([self._seed, epoch]),
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

    def feed(self) -> Any:
        """Return this epoch in the form that Keras' ``fit`` takes, made by threads beside it."""
        return self._dataset if keras.backend.backend() == "tensorflow" else self._batches()

    def _batches(self) -> Iterator[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]]:
        return _ahead(self.__getitem__, range(len(self)), _THREADS, _AHEAD)

    @cached_property
    def _dataset(self) -> Any:
        """The epoch of whenever it is iterated; to make it takes longer than many a step."""
        import tensorflow as tf

        cells = len(self._order[: self._batch])
        images = tf.TensorSpec((cells, *self._pixels.shape[1:]))
        like = (images, tf.TensorSpec((cells,))), tf.TensorSpec((cells, 2))
        dataset = tf.data.Dataset.from_generator(self._batches, output_signature=like)
        # What tunes a data set, as Keras' own do, waits at its end; here is nothing to tune.
        options = tf.data.Options()
        options.autotune.enabled = False
        return dataset.prefetch(1).with_options(options)


def prediction_batches(
    pixels: np.ndarray, rows: np.ndarray, batch: int, view: int = 0
) -> Iterator[np.ndarray]:
    """Yield cells in order, for prediction; a thread makes the next batch meanwhile.

    Parameters
    ----------
    pixels
        Array of all cells, uint8 ``(n, size, size, 3)``; rows are read batch by batch.
    rows
        Rows of the cells.
    batch
        Cells in a batch; the last may be smaller.
    view
        How each image is turned: by 0 to 3 quarters for views 0 to 3; the same, then
        mirrored, for views 4 to 7. Turning moves pixels and changes none.

    Yields
    ------
    numpy.ndarray
        float32 ``(batch, size, size, 3)``, pixels 0 to 255.
    """

    def made(start: int) -> np.ndarray:
        images = np.rot90(pixels[rows[start : start + batch]], view % 4, axes=(1, 2))
        if view >= 4:
            images = images[:, :, ::-1]
        return images.astype("float32", order="C")

    return _ahead(made, range(0, len(rows), batch), threads=1, most=1)


def _ahead(
    make: Callable[[int], Batch], numbers: range, threads: int, most: int
) -> Iterator[Batch]:
    """Yield what is made of each number, in order; threads make at most so many beforehand."""
    coming: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for number in numbers:
            coming.append(pool.submit(make, number))
            if len(coming) > most:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _epoch_order(
    labels: np.ndarray, balanced: bool, subjects: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of an epoch's cells, and how often each has come before in it."""
    counts = np.bincount(labels, minlength=2)
    drawn = []
    for label in (0, 1):
        own = np.flatnonzero(labels == label)
        wanted = counts.max() if balanced else len(own)
        if subjects is None:
            drawn.append(_in_rounds(own, wanted, rng))
        else:
            drawn += _by_subject(own, subjects[own], wanted, rng)
    positions, repeats = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    order = rng.permutation(len(positions))
    return positions[order], repeats[order]


def _by_subject(
    own: np.ndarray, subjects: np.ndarray, wanted: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw so many cells of a class in equal shares; chance deals out what is left over."""
    names = np.unique(subjects)
    if not len(names):
        return []
    shares = np.full(len(names), wanted // len(names))
    shares[rng.permutation(len(names))[: wanted % len(names)]] += 1
    return [
        _in_rounds(own[subjects == name], share, rng)
        for name, share in zip(names, shares, strict=True)
    ]


def _in_rounds(
    own: np.ndarray, wanted: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw all cells in random order, then again in another, until there are enough."""
    rounds = -(-wanted // len(own)) if len(own) else 0
    order = [rng.permutation(own) for _ in range(rounds)]
    positions = np.concatenate([own[:0], *order])[:wanted]
    return positions, np.repeat(np.arange(rounds), len(own))[:wanted]


def _augmented_cells(labels: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Which training cells the policy changes, bool ``(n,)``."""
    if augmentation.policy == "none":
        return np.zeros(len(labels), bool)
    if augmentation.target == "all":
        return np.ones(len(labels), bool)
    return labels == int(np.argmin(np.bincount(labels, minlength=2)))
