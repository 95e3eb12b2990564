"""Intervals of a difference between two ways to the same result, the same subjects drawn for both.

What the two have in common, above all who happens to be tested, falls out of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from lcc_utils.evaluation.weighted import Cells, measure, weighted_cells


def paired_intervals(
    first: Sequence[pd.DataFrame],
    second: Sequence[pd.DataFrame],
    metrics: Sequence[str] = ("auc", "f1_weighted"),
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile bootstrap over subjects of the second less the first.

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
        For each metric the difference and its interval, in -1 to 1. With fewer than
        ``LEAST_SUBJECTS`` subjects of a class the ends are nan.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``; also if the subjects of the tables are not the same.
    """
    tables = [weighted_cells(table, None, metrics) for table in (*first, *second)]
    classes = _classes((*first, *second))
    once = np.ones((1, classes.size), dtype=np.int64)
    estimates = _difference(tables, len(first), once, metrics)
    ends = dict.fromkeys(metrics, (np.nan, np.nan))
    if np.bincount(classes, minlength=2).min() >= LEAST_SUBJECTS:
        times = resample(classes, replicates, np.random.default_rng(seed))
        found = _difference(tables, len(first), times, metrics)
        ends = {name: percentile_range(values[~np.isnan(values)]) for name, values in found.items()}
    return {name: Interval(float(estimates[name][0]), *ends[name]) for name in metrics}


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
    tables: Sequence[Cells], count: int, times: NDArray[np.int64], metrics: Sequence[str]
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
