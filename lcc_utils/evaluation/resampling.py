"""A test that exchanges subjects between models, and draws of subjects with replacement.

Everything random comes from a NumPy generator of the given seed. Intervals over subjects are in
``subject_intervals``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.intervals import LEVEL
from lcc_utils.evaluation.ranks import ranks
from lcc_utils.evaluation.result import Result
from lcc_utils.evaluation.subject_intervals import classes_of
from lcc_utils.evaluation.weighted import Cells, measure, weighted_cells

# Draws of a bootstrap, and of a permutation test: at p = .05 the standard error is .0015.
REPLICATES = 20_000
# Two differences nearer than this are a tie: they differ by the order of summation alone.
_TIE = 1e-12


class Permutation(NamedTuple):
    """A difference between two models (first less second) and its two-sided p."""

    difference: float
    p: float


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
    classes_of(a, first)
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


def percentile_error(values: ArrayLike, level: float = LEVEL) -> float:
    """Return the Monte Carlo standard error of the ends that :func:`percentile_range` gives.

    With n draws, the share of draws below an end varies by sqrt(q (1 - q) / n) about q; the error
    is half of what that moves the end, the larger of both ends.
    """
    values, tail = np.asarray(values, float), (1 - level) / 2
    step = np.sqrt(tail * (1 - tail) / values.size)
    ends = [np.quantile(values, [q - step, q + step]) for q in (tail, 1 - tail)]
    return float(max(high - low for low, high in ends) / 2)


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
