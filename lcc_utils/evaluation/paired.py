"""Intervals of a difference between two ways to the same result, on the same subjects.

What the two have in common, above all who happens to be tested, falls out of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.intervals import DIFFERENCE, Interval, leave_one_out, of_values
from lcc_utils.evaluation.weighted import Cells, measure, weighted_cells


def paired_intervals(
    first: Sequence[pd.DataFrame],
    second: Sequence[pd.DataFrame],
    metrics: Sequence[str] = ("auc", "f1_weighted"),
) -> dict[str, Interval]:
    """Give the second less the first, with the paired jackknife interval over subjects.

    A subject is left out of all tables at once.

    Parameters
    ----------
    first, second
        One table of predictions or several, as of several seeds, whose metrics are averaged:
        ``subject, label, score, called``. All hold the same subjects; cells may differ, as where
        one counts them twice.
    metrics
        Of ``weighted.METRICS``.

    Returns
    -------
    dict
        For each metric the difference and its interval, in -1 to 1; see ``intervals.of_values``.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``; also if the subjects of the tables are not the same.
    """
    tables = [weighted_cells(table, None, metrics) for table in (*first, *second)]
    classes = _classes((*first, *second))
    found = _difference(tables, len(first), leave_one_out(classes), metrics)
    return {name: of_values(found[name], classes, DIFFERENCE) for name in metrics}


def mean_metrics(
    tables: Sequence[pd.DataFrame], metrics: Sequence[str] = ("auc", "f1_weighted")
) -> dict[str, float]:
    """Return each metric, its mean over tables of predictions, as of several seeds, in 0 to 1.

    Raises
    ------
    DataError
        As in :func:`paired_intervals`.
    """
    once = np.ones((1, _classes(tables).size), dtype=np.int64)
    found = [measure(weighted_cells(table, None, metrics), once, metrics) for table in tables]
    return {name: float(np.mean([own[name][0] for own in found])) for name in metrics}


def _difference(
    tables: Sequence[Cells], count: int, times: NDArray[np.float64], metrics: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    found = [measure(table, times, metrics) for table in tables]
    return {
        name: np.mean([own[name] for own in found[count:]], axis=0)
        - np.mean([own[name] for own in found[:count]], axis=0)
        for name in metrics
    }


def _classes(tables: Sequence[pd.DataFrame]) -> NDArray[np.int64]:
    """Return each subject's class, subjects in the order of their names."""
    labels = [table.groupby(table["subject"].astype(str))["label"].first() for table in tables]
    if any(not own.equals(labels[0]) for own in labels[1:]):
        raise DataError(
            "The predictions that are compared are not of the same subjects with the same "
            "labels; compare results on the same test subjects."
        )
    return labels[0].to_numpy(np.int64)
