"""Differences between two ways to train, as means over splits and seeds, with their intervals.

Each split is measured by itself: pooled over splits, an AUC compares scores of models that were
trained apart, and changes as soon as their scores lie on one scale or no longer do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.intervals import DIFFERENCE, Interval, leave_one_out, of_values
from lcc_utils.evaluation.weighted import measure, weighted_cells

__all__ = ["mean_change_intervals", "mean_of_splits"]

METRICS = ("auc", "f1_weighted")


def mean_of_splits(
    tables: Sequence[pd.DataFrame], metrics: Sequence[str] = METRICS
) -> dict[str, float]:
    """Return each metric's mean over tables of predictions, in 0 to 1; each counts alike.

    Parameters
    ----------
    tables
        ``subject, label, score, called``, one a split and seed.
    metrics
        Of ``weighted.METRICS``.
    """
    found = [
        measure(weighted_cells(own, None, metrics), _once(own["subject"].nunique()), metrics)
        for own in tables
    ]
    return {name: float(np.mean([own[name][0] for own in found])) for name in metrics}


def mean_change_intervals(
    first: Sequence[pd.DataFrame],
    second: Sequence[pd.DataFrame],
    metrics: Sequence[str] = METRICS,
) -> dict[str, Interval]:
    """Give the mean over pairs of the second less the first, with the jackknife interval.

    A subject is left out of every table that holds it, both sides of a pair at once.

    Parameters
    ----------
    first, second
        Tables as in :func:`mean_of_splits`; those in the same place hold the same subjects.
    metrics
        Of ``weighted.METRICS``.

    Returns
    -------
    dict
        For each metric the difference and its interval, in -1 to 1; see ``intervals.of_values``.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``; also if the subjects of a pair differ, or a subject's class
        is not the same everywhere.
    """
    labels = _classes((*first, *second))
    pairs = list(zip(first, second, strict=True))
    classes = labels.to_numpy(np.int64)
    found = _differences(pairs, labels, leave_one_out(classes), metrics)
    return {name: of_values(own, classes, DIFFERENCE) for name, own in found.items()}


def _differences(
    pairs: Sequence[tuple[pd.DataFrame, pd.DataFrame]],
    labels: pd.Series,
    times: NDArray[np.float64],
    metrics: Sequence[str],
) -> dict[str, NDArray[np.float64]]:
    changes: dict[str, list[NDArray[np.float64]]] = {name: [] for name in metrics}
    for before, after in pairs:
        sides = [sorted(side["subject"].astype(str).unique()) for side in (before, after)]
        if sides[0] != sides[1]:
            raise DataError(
                "Predictions that are paired are not of the same subjects; compare results of "
                "the same split."
            )
        own = times[:, labels.index.get_indexer(sides[0])]
        found = [measure(weighted_cells(t, None, metrics), own, metrics) for t in (before, after)]
        for name in metrics:
            changes[name].append(found[1][name] - found[0][name])
    return {name: np.mean(own, axis=0) for name, own in changes.items()}


def _classes(tables: Sequence[pd.DataFrame]) -> pd.Series:
    """Return the class of each subject of any table, subjects in the order of their names."""
    together = pd.concat([table[["subject", "label"]] for table in tables])
    by_subject = together.groupby(together["subject"].astype(str))["label"]
    if (by_subject.nunique() > 1).any():
        raise DataError("A subject has cells of both classes; check the labels.")
    return by_subject.first()


def _once(subjects: int) -> NDArray[np.int64]:
    return np.ones((1, subjects), dtype=np.int64)
