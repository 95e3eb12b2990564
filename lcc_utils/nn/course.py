"""What is noted of a training as it goes: a row and a time for each epoch, and the best one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np

from lcc_utils.nn.settings import Training

__all__ = ["Best", "Course", "OnEpoch"]

OnEpoch = Callable[[dict[str, float]], None]


class Course:
    """The rows of a training as they come, and the time that each epoch took."""

    def __init__(self, on_epoch: OnEpoch | None) -> None:
        self._on_epoch = on_epoch
        self.rows: list[dict[str, float]] = []
        self.seconds: list[float] = []

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Take the time of an epoch."""
        start = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - start)

    def add(self, row: dict[str, float]) -> None:
        """Take note of an epoch, and tell whoever listens."""
        self.rows.append(row)
        if self._on_epoch:
            self._on_epoch(row)


class Best:
    """The best epoch so far, and whether waiting for a better one has been long enough."""

    def __init__(self, recipe: Training) -> None:
        self._patience, self._min_delta = recipe.patience, recipe.min_delta
        self._rank = (-np.inf, -np.inf)
        self._progress, self._waited = -np.inf, 0
        self.epoch, self.weights = 0, []

    def seen(self, row: dict[str, float], classifier: keras.Model) -> bool:
        """Take note of an epoch; return whether to stop."""
        rank = (row["val_f1"], -row["val_loss"])
        if rank > self._rank:
            # get_weights copies: later epochs must not change what is kept.
            self._rank, self.epoch, self.weights = rank, row["epoch"], classifier.get_weights()
        if row["val_f1"] > self._progress + self._min_delta:
            self._progress, self._waited = row["val_f1"], 0
        else:
            self._waited += 1
        return self._waited >= self._patience
