"""Metrics of cells under weights of their subjects, which resampling comes down to.

To leave out a subject, to draw subjects with replacement, to exchange a subject between two models
and to let subjects count equally are all weights of units (subjects or cells). No table is ever
resampled: the cells are counted or sorted once, and each row of weights is a few sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.metrics import checked, subject_names

METRICS = ("auc", "f1_weighted", "accuracy", "sensitivity", "specificity", "precision")
# Replicates computed at a time where units are cells: 7,108 then take some 6 MB an array.
_AT_ONCE = 100
# Up to this many units, the pairs of cells in order are counted once for each pair of units.
_FEW_UNITS = 500


@dataclass(frozen=True)
class Cells:
    """Cells and the units they belong to, each an array of shape (cells,).

    Attributes
    ----------
    label
        1 for ALL, 0 for HEM.
    score
        Larger speaks for ALL.
    called
        1 where the cell is called ALL, else 0; None where only the AUC is wanted.
    unit
        The index of the cell's unit, from 0.
    """

    label: NDArray[np.int64]
    score: NDArray[np.float64]
    called: NDArray[np.int64] | None
    unit: NDArray[np.int64]


def weighted_cells(
    predictions: pd.DataFrame, thresholds: float | str | None, metrics: Sequence[str]
) -> Cells:
    """Check predictions, and number their subjects as units, in the order of their names.

    Parameters
    ----------
    predictions
        ``subject, label, score``, and ``called`` where calls are wanted and no threshold given.
    thresholds
        A cell with a score of at least this is called ALL: a number, or the name of a column
        with each cell's own; None takes the calls from ``called``.
    metrics
        What is to be measured, of ``METRICS``.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``; also if a column or metric is unknown, a subject is missing,
        a call is not 0 or 1, or a threshold is not a number.
    """
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown:
        raise DataError(f"Unknown metrics: {', '.join(unknown)}; known: {', '.join(METRICS)}.")
    calls = any(name != "auc" for name in metrics)
    needed = ["subject", "label", "score"]
    needed += [thresholds] if isinstance(thresholds, str) else []
    needed += ["called"] if calls and thresholds is None else []
    missing = [name for name in needed if name not in predictions]
    if missing:
        raise DataError(
            f"The predictions have no column {', '.join(missing)}; calls come from `called` "
            "unless a threshold is given."
        )
    label, score = checked(predictions["label"], predictions["score"])
    return Cells(
        label,
        score,
        _calls(predictions, score, thresholds) if calls else None,
        pd.factorize(subject_names(predictions), sort=True)[0],
    )


def measure(
    cells: Cells, weights: NDArray, metrics: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Measure cells under every row of weights.

    Parameters
    ----------
    cells
        n cells of u units.
    weights
        Shape (replicates, u), at least 0: how often a unit's cells count.
    metrics
        Of ``METRICS``, defined as in ``metrics.evaluate``; all but ``auc`` need ``called``.

    Returns
    -------
    dict
        For each metric an array of shape (replicates,), in 0 to 1; nan where it is not defined.
    """
    found = {"auc": _auc(cells, weights)} if "auc" in metrics else {}
    if any(name != "auc" for name in metrics):
        found |= _at_threshold(cells, weights)
    return {name: found[name] for name in metrics}


def _auc(cells: Cells, weights: NDArray) -> NDArray[np.float64]:
    """Share of ALL-HEM pairs in order, a tie counting half, each pair by its weights' product."""
    if weights.shape[1] <= _FEW_UNITS:
        return _auc_of_units(cells, weights.astype(float))
    order = np.argsort(cells.score, kind="stable")
    score, positive = cells.score[order], cells.label[order] == 1
    unit = cells.unit[order]
    starts = np.flatnonzero(np.concatenate([[True], score[1:] != score[:-1]]))
    found = [
        _auc_of_sorted(part[:, unit].astype(float), positive, starts)
        for part in np.split(weights, range(_AT_ONCE, len(weights), _AT_ONCE))
    ]
    return np.concatenate(found)


def _auc_of_units(cells: Cells, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh how many pairs two units have in order, counted once for all replicates."""
    values, place = np.unique(cells.score, return_inverse=True)
    units = weights.shape[1]
    positives, negatives = (
        scipy.sparse.csr_array(
            (np.ones(own.sum()), (place[own], cells.unit[own])), (values.size, units)
        )
        for own in (cells.label == 1, cells.label == 0)
    )
    below = np.cumsum(negatives.toarray(), axis=0) - negatives.toarray() / 2
    in_order = positives.T @ below
    pairs = (weights @ positives.sum(axis=0)) * (weights @ negatives.sum(axis=0))
    return _share(((weights @ in_order) * weights).sum(axis=1), pairs)


def _auc_of_sorted(
    weights: NDArray[np.float64], positive: NDArray[np.bool_], starts: NDArray[np.int64]
) -> NDArray[np.float64]:
    positives = np.add.reduceat(weights * positive, starts, axis=1)
    negatives = np.add.reduceat(weights * ~positive, starts, axis=1)
    below = np.cumsum(negatives, axis=1)
    pairs = positives.sum(axis=1) * below[:, -1]
    return _share((positives * (below - negatives / 2)).sum(axis=1), pairs)


def _at_threshold(cells: Cells, weights: NDArray) -> dict[str, NDArray[np.float64]]:
    truth, called = cells.label == 1, cells.called == 1
    kinds = (truth & called, ~truth & called, truth & ~called, ~truth & ~called)
    counts = [np.bincount(cells.unit, kind, minlength=weights.shape[1]) for kind in kinds]
    tp, fp, fn, tn = (weights.astype(float) @ np.stack(counts, axis=1)).T
    total = tp + fp + fn + tn
    f1_all, f1_hem = (
        np.nan_to_num(_share(2 * right, 2 * right + fp + fn), nan=0.0) for right in (tp, tn)
    )
    return {
        "f1_weighted": _share((tp + fn) * f1_all + (tn + fp) * f1_hem, total),
        "accuracy": _share(tp + tn, total),
        "sensitivity": _share(tp, tp + fn),
        "specificity": _share(tn, tn + fp),
        "precision": _share(tp, tp + fp),
    }


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _calls(
    predictions: pd.DataFrame, score: NDArray[np.float64], thresholds: float | str | None
) -> NDArray[np.int64]:
    if thresholds is None:
        called = predictions["called"].to_numpy(float)
        if not np.isin(called, (0, 1)).all():
            raise DataError("The column `called` holds values other than 0 and 1.")
        return called.astype(np.int64)
    column = isinstance(thresholds, str)
    limit = predictions[thresholds].to_numpy(float) if column else np.asarray(thresholds, float)
    if not np.isfinite(limit).all():
        raise DataError("A threshold is not a number; choose one in 0 to 1.")
    return (score >= limit).astype(np.int64)
