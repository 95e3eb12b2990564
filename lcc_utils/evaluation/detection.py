"""How well a number tells cells from elsewhere from those that a network is made for.

Every number is so that a larger one speaks for a cell from elsewhere (see ``evaluation.novelty``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.intervals import Interval, leave_one_out, of_values
from lcc_utils.evaluation.metrics import CLASSES

__all__ = ["ACCEPTED", "Detection", "Familiar"]

# Share of familiar cells that are accepted where the false-positive rate is taken.
ACCEPTED = 0.95
# A share this near is reached: it differs by the order of summation alone.
_TIE = 1e-12
# Foreign units are one more class to the jackknife.
_FOREIGN = 2
_NAMES = CLASSES | {_FOREIGN: "foreign"}


@dataclass(frozen=True)
class Detection:
    """How well foreign cells are told from familiar ones.

    Attributes
    ----------
    auroc
        Share of pairs of a familiar and a foreign cell in which the foreign one has the larger
        number, a tie counting half. One half is chance.
    false_positives
        Familiar cells are the positive side, as in the literature: a cell is accepted if its
        number is at most the least limit that accepts 95 % of familiar cells, and this is the
        share of foreign cells that are accepted too.
    """

    auroc: Interval
    false_positives: Interval


class Familiar:
    """Cells that a network is made for, against which cells from elsewhere are measured.

    Intervals leave out familiar subjects and foreign units, each with all its cells, in turn; see
    ``intervals.of_values``, where foreign units are a class of their own. Without a subject, the
    limit is that of the cells left. Source of both measures: Hendrycks and Gimpel (2017), arXiv
    1610.02136, section 2, and Liang et al. (2018), arXiv 1706.02690, section 4.

    Parameters
    ----------
    cells
        ``subject, label`` and the column, one row a cell.
    column
        Larger speaks for a foreign cell.

    Raises
    ------
    DataError
        If there are no cells, or a value is missing.
    """

    def __init__(self, cells: pd.DataFrame, column: str) -> None:
        self._column = column
        values = _values(cells, column)
        order = np.argsort(values, kind="stable")
        groups = cells.groupby(["label", "subject"], sort=True)
        self._classes = groups.size().index.get_level_values(0).to_numpy(np.int64)
        self._sorted, self._subjects = values[order], groups.ngroup().to_numpy()[order]
        self._sizes = np.bincount(self._subjects)

    def against(self, foreign: pd.DataFrame) -> Detection:
        """Measure foreign cells: ``unit`` (of whom, or of which image, a cell is) and the column.

        Raises
        ------
        DataError
            If there are no cells, or a value is missing.
        """
        values = _values(foreign, self._column)
        units = foreign.groupby("unit", sort=True).ngroup().to_numpy()
        sizes = np.bincount(units)
        classes = np.concatenate([self._classes, np.full(sizes.size, _FOREIGN)])
        found = (self._auroc(values, units, sizes), self._accepted(values, units, sizes))
        return Detection(*(of_values(own, classes, names=_NAMES) for own in found))

    def _right_pairs(self, values: NDArray, units: NDArray) -> NDArray[np.float64]:
        """Count pairs in order: one row a familiar subject, one column a foreign unit."""
        rows = []
        for subject in range(self._sizes.size):
            own = self._sorted[self._subjects == subject]
            below = np.searchsorted(own, values, "left") + np.searchsorted(own, values, "right")
            rows.append(np.bincount(units, below / 2))
        return np.array(rows)

    def _auroc(self, values: NDArray, units: NDArray, sizes: NDArray) -> NDArray[np.float64]:
        """Return the AUROC with all, without each familiar subject, without each foreign unit."""
        right = self._right_pairs(values, units)
        whole, cells, others = right.sum(), self._sizes.sum(), sizes.sum()
        return np.concatenate(
            [
                [whole / (cells * others)],
                _divided(whole - right.sum(axis=1), (cells - self._sizes) * others),
                _divided(whole - right.sum(axis=0), cells * (others - sizes)),
            ]
        )

    def _accepted(self, values: NDArray, units: NDArray, sizes: NDArray) -> NDArray[np.float64]:
        """Return the share accepted with all, without each subject, without each foreign unit."""
        ordered, others = np.sort(values), sizes.sum()
        by_limit = np.searchsorted(ordered, self._limits, "right") / others
        taken = np.bincount(units, values <= self._limits[0])
        return np.concatenate([by_limit, _divided(taken.sum() - taken, others - sizes)])

    @cached_property
    def _limits(self) -> NDArray[np.float64]:
        """The limit with all familiar subjects, then without each."""
        weights = leave_one_out(self._classes)
        reached = np.cumsum(weights[:, self._subjects], axis=1)
        enough = reached >= (ACCEPTED - _TIE) * reached[:, -1:]
        return self._sorted[np.argmax(enough, axis=1)]


def _divided(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def _values(cells: pd.DataFrame, column: str) -> NDArray[np.float64]:
    values = cells[column].to_numpy(float)
    if not values.size or not np.isfinite(values).all():
        raise DataError(f"There are no cells, or one has no {column}; measure them again.")
    return values
