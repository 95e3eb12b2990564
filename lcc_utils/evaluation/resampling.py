"""Intervals and a test that resample subjects, not cells.

Cells of one subject are alike, so subjects are what there is of independent observations.
``cell_intervals`` ignores this and stands here as the contrast. Everything random comes from a
NumPy generator of the given seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.ranks import ranks
from lcc_utils.evaluation.result import Result
from lcc_utils.evaluation.weighted import METRICS, Cells, measure, weighted_cells

LEVEL = 0.95
# Below this many subjects (or cells) in a class, a percentile bootstrap is too narrow to be shown.
LEAST_SUBJECTS = 6
REPLICATES = 2000
# Two differences nearer than this are a tie: they differ by the order of summation alone.
_TIE = 1e-12


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, in the unit of the estimate; without one, the ends are nan."""

    estimate: float
    low: float
    high: float
    level: float = LEVEL


class Permutation(NamedTuple):
    """A difference between two models (first less second) and its two-sided p."""

    difference: float
    p: float


def subject_intervals(
    predictions: pd.DataFrame,
    thresholds: float | str | None = None,
    metrics: Sequence[str] = METRICS,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile bootstrap over subjects, drawn within each class, of every metric.

    A replicate draws as many ALL subjects and as many HEM subjects as there are, with
    replacement, each with all its cells. Replicates in which a metric is not defined are left
    out of its percentiles. With ten subjects in a class the interval is still somewhat narrow: it
    then holds the true value less often than its level says. Source: Efron and Tibshirani (1993),
    chapters 8 and 13.

    Parameters
    ----------
    predictions
        ``subject, label, score`` and optionally ``called``, each cell's own call.
    thresholds
        A cell with a score of at least this is called ALL: a number, or the name of a column
        with each cell's own. By default the calls are taken from ``called``.
    metrics
        Of ``weighted.METRICS``, as defined in ``metrics.evaluate``.

    Returns
    -------
    dict
        For each metric its estimate and interval, in 0 to 1. With fewer than ``LEAST_SUBJECTS``
        subjects of a class the ends are nan.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``; also if a column, a call or a metric is unknown, or a subject
        has cells of both classes.
    """
    cells = weighted_cells(predictions, thresholds, metrics)
    return _bootstrap(cells, _classes(predictions, cells), metrics, replicates, seed)


def cell_intervals(
    predictions: pd.DataFrame,
    thresholds: float | str | None = None,
    metrics: Sequence[str] = METRICS,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile bootstrap over cells, drawn within each class: the naive contrast.

    It takes the cells of a subject for independent, so its intervals are too narrow. Otherwise
    as :func:`subject_intervals`, with cells in the place of subjects.
    """
    cells = weighted_cells(predictions, thresholds, metrics)
    alone = Cells(cells.label, cells.score, cells.called, np.arange(cells.label.size))
    return _bootstrap(alone, cells.label, metrics, replicates, seed)


def paired_permutation(
    a: pd.DataFrame,
    b: pd.DataFrame,
    metric: str = "auc",
    permutations: int = REPLICATES,
    seed: int = 0,
) -> Permutation:
    """Test whether two models differ on the same cells, by swapping them subject by subject.

    If the models are alike, a subject's cells might as well have been scored by the other. For
    the AUC, each model's scores are first replaced by their ranks among that model's own, since
    scores of two models need not be on one scale; this changes neither AUC. For the other
    metrics the calls are swapped.

    Parameters
    ----------
    a, b
        ``cell_id, subject, label, score``, and ``called`` unless the metric is ``auc``.
    permutations
        Where there are no more ways to swap than this (2 to the number of subjects), all are
        taken, and p is the share of those that differ at least as much as was observed. Else
        this many are drawn and p = (1 + such) / (1 + drawn). Source: Phipson and Smyth (2010).

    Raises
    ------
    DataError
        As in ``metrics.evaluate``; also if the cells, subjects or labels of the two differ, a
        cell comes twice, or the metric is not defined on these cells.
    """
    a, b = _paired(a, b)
    first, second = (weighted_cells(model, None, (metric,)) for model in (a, b))
    _classes(a, first)
    subjects = int(first.unit.max()) + 1
    both = Cells(
        np.concatenate([first.label, second.label]),
        np.concatenate([ranks(first.score), ranks(second.score)]),
        None if metric == "auc" else np.concatenate([first.called, second.called]),
        np.concatenate([first.unit, second.unit + subjects]),
    )
    swapped = _swaps(subjects, permutations, seed)
    kept = ~swapped
    change = (
        measure(both, np.hstack([kept, swapped]).astype(np.int64), (metric,))[metric]
        - measure(both, np.hstack([swapped, kept]).astype(np.int64), (metric,))[metric]
    )
    if np.isnan(change[0]):
        raise DataError(f"The {metric} is not defined on these cells; test on both classes.")
    # The first row swaps nothing: it is the observed difference, and the 1 that is added. A swap
    # that leaves the metric undefined counts against a finding.
    extreme = ~(np.abs(change) < abs(change[0]) - _TIE)
    return Permutation(float(change[0]), float(extreme.mean()))


def pooled(results: Iterable[Result]) -> pd.DataFrame:
    """Pool the test predictions of the parts of a cross-validation (out-of-fold predictions).

    ``threshold`` is added, that of the part's own validation cells, and ``called``: whether the
    score reaches it. The AUC of pooled scores compares cells scored by different fits of the model.

    Raises
    ------
    DataError
        If there are no results, or a cell is tested by two of them.
    """
    parts = [
        part.assign(
            called=(part["score"] >= result.metrics["threshold"]).astype(np.int64),
            threshold=float(result.metrics["threshold"]),
        )
        for result in results
        for part in (result.test,)
    ]
    if not parts:
        raise DataError("There are no results to pool; run the study first.")
    together = pd.concat(parts, ignore_index=True)
    twice = together["cell_id"].duplicated()
    if twice.any():
        raise DataError(
            f"{int(twice.sum())} cells are in the test of more than one result (the first is "
            f"{together.loc[twice, 'cell_id'].iloc[0]}); pool the parts of one cross-validation "
            "by one model alone."
        )
    return together


def resample(
    classes: NDArray[np.int64], replicates: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw units with replacement within each class; return how often each was drawn.

    ``classes`` has shape (units,), the result (replicates, units); within a class every row sums
    to the number of its units.
    """
    times = np.zeros((replicates, classes.size), dtype=np.int64)
    for value in np.unique(classes):
        own = np.flatnonzero(classes == value)
        drawn = rng.integers(own.size, size=(replicates, own.size))
        drawn += own.size * np.arange(replicates)[:, None]
        count = np.bincount(drawn.ravel(), minlength=replicates * own.size)
        times[:, own] = count.reshape(replicates, own.size)
    return times


def percentile_range(values: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Return the ends of the middle share of values: their spread, not an interval of the mean.

    Raises
    ------
    DataError
        If there are no values.
    """
    values = np.asarray(values, float)
    if values.size == 0:
        raise DataError("There are no values of which to give percentiles; run the study first.")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _bootstrap(
    cells: Cells, classes: NDArray[np.int64], metrics: Sequence[str], replicates: int, seed: int
) -> dict[str, Interval]:
    enough = np.bincount(classes, minlength=2).min() >= LEAST_SUBJECTS
    times = resample(classes, replicates if enough else 0, np.random.default_rng(seed))
    once = np.ones((1, classes.size), np.int64)
    found = measure(cells, np.concatenate([once, times]), metrics)
    return {name: Interval(float(own[0]), *ends_of(own[1:])) for name, own in found.items()}


def ends_of(replicates: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of an interval, nan where a metric is defined in no replicate."""
    defined = replicates[~np.isnan(replicates)]
    return percentile_range(defined) if defined.size else (np.nan, np.nan)


def _classes(predictions: pd.DataFrame, cells: Cells) -> NDArray[np.int64]:
    """Return the class of each subject, that of its cells."""
    share = np.bincount(cells.unit, cells.label) / np.bincount(cells.unit)
    mixed = np.flatnonzero((share != 0) & (share != 1))
    if mixed.size:
        name = predictions["subject"].to_numpy()[cells.unit == mixed[0]][0]
        raise DataError(
            f"{mixed.size} subjects have cells of both classes (the first is {name}); a subject "
            "is either ALL or HEM: check the labels."
        )
    return share.astype(np.int64)


def _paired(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring two models' predictions into one order, by cell."""
    keys = ["cell_id", "subject", "label"]
    if not all(key in model for model in (a, b) for key in keys):
        raise DataError(f"Paired predictions need the columns {', '.join(keys)} of both models.")
    a, b = (model.sort_values("cell_id").reset_index(drop=True) for model in (a, b))
    if a["cell_id"].duplicated().any() or not a[keys].astype(str).equals(b[keys].astype(str)):
        raise DataError(
            f"The two models' predictions ({len(a)} and {len(b)} cells) are not of the same "
            "cells, each once, with the same subjects and labels; compare models on one split."
        )
    return a, b


def _swaps(subjects: int, permutations: int, seed: int) -> NDArray[np.bool_]:
    """Which subjects to swap, shape (permutations, subjects); the first row swaps none."""
    if 2**subjects <= permutations:
        return (np.arange(2**subjects)[:, None] >> np.arange(subjects)) % 2 == 1
    drawn = np.random.default_rng(seed).integers(2, size=(permutations, subjects)) == 1
    return np.vstack([np.zeros((1, subjects), bool), drawn])
