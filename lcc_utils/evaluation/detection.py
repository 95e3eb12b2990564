"""How well a number tells cells from elsewhere from those that a network is made for.

Every number is so that a larger one speaks for a cell from elsewhere (see ``evaluation.novelty``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.resampling import (
    LEAST_SUBJECTS,
    REPLICATES,
    Interval,
    percentile_range,
    resample,
)

__all__ = ["ACCEPTED", "Detection", "Familiar"]

# Share of familiar cells that are accepted where the false-positive rate is taken.
ACCEPTED = 0.95
# A share this near is reached: it differs by the order of summation alone.
_TIE = 1e-12


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

    Intervals are percentile bootstraps: a replicate draws familiar subjects within each class,
    and foreign units, each with all its cells; also its limit is that of the cells drawn. With
    fewer than ``LEAST_SUBJECTS`` subjects of a class, or as few units, the ends are nan. Source
    of both measures: Hendrycks and Gimpel (2017), arXiv 1610.02136, section 2, and Liang et al.
    (2018), arXiv 1706.02690, section 4.

    Parameters
    ----------
    cells
        ``subject, label`` and the column, one row a cell.
    column
        Larger speaks for a foreign cell.
    seed
        Of the replicates.

    Raises
    ------
    DataError
        If there are no cells, or a value is missing.
    """

    def __init__(self, cells: pd.DataFrame, column: str, seed: int = 0) -> None:
        self._column, self._seed = column, seed
        values = _values(cells, column)
        order = np.argsort(values, kind="stable")
        groups = cells.groupby(["label", "subject"], sort=True)
        classes = groups.size().index.get_level_values(0).to_numpy(np.int64)
        self._sorted, self._subjects = values[order], groups.ngroup().to_numpy()[order]
        self._sizes = np.bincount(self._subjects)
        self._enough = np.unique(classes, return_counts=True)[1].min() >= LEAST_SUBJECTS
        self._drawn = resample(classes, REPLICATES, np.random.default_rng(seed))
        self._once = np.ones((1, classes.size), np.int64)

    def against(self, foreign: pd.DataFrame) -> Detection:
        """Measure foreign cells: ``unit`` (of whom, or of which image, a cell is) and the column.

        Raises
        ------
        DataError
            If there are no cells, or a value is missing.
        """
        values = _values(foreign, self._column)
        units = foreign.groupby("unit", sort=True).ngroup().to_numpy()
        number = int(units.max()) + 1
        right = self._right_pairs(values, units)
        once = np.ones((1, number), np.int64)
        # Another stream than that of the subjects, so that the two sides are independent.
        rng = np.random.default_rng([self._seed, 1])
        drawn = resample(np.zeros(number, np.int64), REPLICATES, rng)
        found = []
        for measure in (partial(self._auroc, right), partial(self._accepted, values)):
            ends = (np.nan, np.nan)
            if self._enough and number >= LEAST_SUBJECTS:
                ends = percentile_range(measure(units, self._drawn, drawn))
            estimate = float(measure(units, self._once, once)[0])
            found.append(Interval(estimate, *ends))
        return Detection(*found)

    def _right_pairs(self, values: NDArray, units: NDArray) -> NDArray[np.float64]:
        """Count pairs in order: one row a familiar subject, one column a foreign unit."""
        rows = []
        for subject in range(self._sizes.size):
            own = self._sorted[self._subjects == subject]
            below = np.searchsorted(own, values, "left") + np.searchsorted(own, values, "right")
            rows.append(np.bincount(units, below / 2))
        return np.array(rows)

    def _auroc(
        self, right: NDArray, units: NDArray, subjects: NDArray, drawn: NDArray
    ) -> NDArray[np.float64]:
        whole = (subjects @ self._sizes) * (drawn @ np.bincount(units))
        return ((subjects @ right) * drawn).sum(axis=1) / whole

    def _accepted(
        self, values: NDArray, units: NDArray, subjects: NDArray, drawn: NDArray
    ) -> NDArray[np.float64]:
        all_limits = self._limits if subjects is self._drawn else self._limit(subjects)
        limits, place = np.unique(all_limits, return_inverse=True)
        taken = np.stack([np.bincount(units, values <= limit) for limit in limits])
        return (drawn * taken[place]).sum(axis=1) / (drawn @ np.bincount(units))

    @cached_property
    def _limits(self) -> NDArray[np.float64]:
        """The limit of each replicate."""
        return self._limit(self._drawn)

    def _limit(self, subjects: NDArray) -> NDArray[np.float64]:
        reached = np.cumsum(subjects[:, self._subjects], axis=1)
        enough = reached >= (ACCEPTED - _TIE) * reached[:, -1:]
        return self._sorted[np.argmax(enough, axis=1)]


def _values(cells: pd.DataFrame, column: str) -> NDArray[np.float64]:
    values = cells[column].to_numpy(float)
    if not values.size or not np.isfinite(values).all():
        raise DataError(f"There are no cells, or one has no {column}; measure them again.")
    return values
