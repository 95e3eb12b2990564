"""Sums over the cells of a subject, and intervals of whatever is computed from them.

Leaving out a subject changes weights of subjects alone, so a statistic made of sums over cells
needs each subject's sums once; a value without a subject is a few products with weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.intervals import SHARE, Interval, jackknife
from lcc_utils.evaluation.metrics import subject_names


@dataclass(frozen=True)
class Subjects:
    """The subjects of a table of predictions, in the order of their names.

    Attributes
    ----------
    index
        Each cell's subject, shape (cells,), from 0.
    classes
        Each subject's class, shape (subjects,), 1 for ALL and 0 for HEM.
    """

    index: NDArray[np.int64]
    classes: NDArray[np.int64]

    def sums(self, values: ArrayLike) -> NDArray[np.float64]:
        """Add up values of cells, shape (cells,), by subject, shape (subjects,)."""
        return np.bincount(self.index, np.asarray(values, float), minlength=self.classes.size)

    @property
    def cells(self) -> NDArray[np.float64]:
        """The number of cells of each subject, shape (subjects,)."""
        return self.sums(np.ones(self.index.size))


def subjects_of(predictions: pd.DataFrame) -> Subjects:
    """Give each cell of predictions the number of its subject.

    Raises
    ------
    DataError
        If there are no predictions, a subject is missing, or one has cells of both classes.
    """
    if predictions.empty:
        raise DataError("There are no predictions to measure; run the experiment again.")
    names, index = np.unique(subject_names(predictions).to_numpy(str), return_inverse=True)
    share = np.bincount(index, predictions["label"].to_numpy(float)) / np.bincount(index)
    mixed = np.flatnonzero((share != 0) & (share != 1))
    if mixed.size:
        raise DataError(
            f"{mixed.size} subjects have cells of both classes (the first is {names[mixed[0]]}); "
            "a subject is either ALL or HEM: check the labels."
        )
    return Subjects(index, share.astype(np.int64))


def ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide, with nan where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def share_interval(
    part: ArrayLike,
    whole: ArrayLike,
    subjects: Subjects,
    bounds: tuple[float, float] = SHARE,
) -> Interval:
    """Return the sum of `part` over the sum of `whole` with its interval over subjects.

    Both have shape (cells,); the estimate is nan where the whole is 0. `bounds` are those of
    ``intervals.of_values``.
    """
    parts, wholes = subjects.sums(part), subjects.sums(whole)
    return jackknife(
        lambda weights: ratio(weights @ parts, weights @ wholes), subjects.classes, bounds
    )
