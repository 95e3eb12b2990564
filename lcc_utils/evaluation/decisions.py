"""Decisions from scores: at a stated sensitivity, on some of the cells, and about a person.

Whatever is chosen is chosen on validation cells; what it gives is measured on test cells.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.intervals import Interval, jackknife
from lcc_utils.evaluation.metrics import evaluate, natural
from lcc_utils.evaluation.subject_sums import ratio, subjects_of

HALF = 0.5
# Two risks or shares nearer than this are the same: they differ by the order of summation alone.
_TIE = 1e-12


def threshold_for_sensitivity(labels: ArrayLike, scores: ArrayLike, sensitivity: float) -> float:
    """Find the largest threshold at which at least this share of ALL cells is called ALL.

    It is the score of an ALL cell: of n ALL cells the one at place ``ceil(sensitivity * n)`` from
    above, since a cell is called ALL when its score is at least the threshold.

    Parameters
    ----------
    labels
        Shape (n,), 1 for ALL and 0 for HEM, of validation cells.
    scores
        Shape (n,), P(ALL) in 0 to 1.
    sensitivity
        Above 0, at most 1.

    Raises
    ------
    RequestError
        If the sensitivity is out of range.
    DataError
        As in ``metrics.evaluate``; also without ALL cells.

    Examples
    --------
    >>> threshold_for_sensitivity([1, 1, 1, 1, 0], [0.9, 0.8, 0.6, 0.3, 0.7], 0.75)
    0.6
    """
    _in_range("sensitivity", sensitivity)
    found = evaluate(labels, scores, HALF)
    if not found["all_cells"]:
        raise DataError(
            f"None of {found['cells']} validation cells is ALL, so no threshold has a sensitivity; "
            "choose a split whose validation has ALL subjects."
        )
    own = np.sort(np.asarray(scores, float)[np.asarray(labels) == 1])[::-1]
    return float(own[max(math.ceil(sensitivity * own.size - _TIE), 1) - 1])


def confidence(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return how far probabilities, shape (n,), are from one half, in 0 to one half."""
    return np.abs(np.asarray(probabilities, float) - HALF)


def wrong(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return 1 where the call at one half is wrong and 0 where it is right, shape (n,)."""
    return ((np.asarray(probabilities, float) >= HALF) != (np.asarray(labels) == 1)).astype(float)


def coverage_risk(labels: ArrayLike, probabilities: ArrayLike) -> pd.DataFrame:
    """Return the share of wrong calls among the most confident cells, for every share kept.

    Source: Geifman and El-Yaniv (2017), arXiv 1705.08500, section 2, with the distance
    from one half as the confidence and the share of wrong calls as the risk.

    Parameters
    ----------
    labels
        Shape (n,), 1 for ALL and 0 for HEM.
    probabilities
        Shape (n,), P(ALL) in 0 to 1.

    Returns
    -------
    DataFrame
        ``confidence, coverage, risk``, the most confident first; cells that are equally
        confident are kept or left together, so there is one row a distinct confidence.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``.
    """
    evaluate(labels, probabilities, HALF)
    order, ends = _order(probabilities)
    errors = np.cumsum(wrong(labels, probabilities)[order])[ends]
    kept = ends + 1
    return pd.DataFrame(
        {
            "confidence": confidence(probabilities)[order][ends],
            "coverage": kept / order.size,
            "risk": errors / kept,
        }
    )


def least_confidence(labels: ArrayLike, probabilities: ArrayLike, risk: float) -> float:
    """Find the least confidence from which on cells are judged with at most a stated risk.

    Meant for validation cells: of all confidences at which the risk there is at most `risk` it
    is the one that keeps most cells; infinite where none does, so that no cell is judged.

    Raises
    ------
    RequestError
        If the risk is not above 0 and at most 1.
    DataError
        As in ``metrics.evaluate``.
    """
    _in_range("risk", risk)
    curve = coverage_risk(labels, probabilities)
    low = curve[curve["risk"] <= risk + _TIE]
    return float(low["confidence"].iloc[-1]) if len(low) else math.inf


def area(predictions: pd.DataFrame, column: str) -> Interval:
    r"""Return the area under the curve of coverage and risk with its interval over subjects.

    The mean, over all cells in the order of confidence, of the risk among those up to it,
    :math:`\frac1n \sum_i r(i / n)`; in 0 to 1, and less is better. Equally confident cells are
    kept or left together, so their order does not matter. It mixes how many calls are wrong with
    whether the wrong ones are the less confident. Source: Geifman, Uziel and El-Yaniv (2019),
    arXiv 1805.08206.

    Parameters
    ----------
    predictions
        ``subject, label`` and the column of probabilities.
    column
        Its name.

    Raises
    ------
    DataError
        As in ``metrics.evaluate`` and ``subject_sums.subjects_of``.
    """
    evaluate(predictions["label"], predictions[column], HALF)
    subjects = subjects_of(predictions)
    order, ends = _order(predictions[column])
    unit = subjects.index[order]
    errors = wrong(predictions["label"], predictions[column])[order]
    starts = np.concatenate([[0], ends[:-1] + 1])

    return jackknife(lambda weights: _area(weights[:, unit], errors, starts), subjects.classes)


def subject_decisions(predictions: pd.DataFrame, column: str) -> pd.DataFrame:
    """Gather the probabilities of each subject's cells.

    Parameters
    ----------
    predictions
        ``subject, label``, the column of probabilities, and optionally ``called`` and ``score``.
    column
        Its name.

    Returns
    -------
    DataFrame
        ``subject, label, cells, mean`` (the mean probability) and ``share`` (of cells with a
        probability of at least one half), and where these columns are there ``accuracy`` (of
        ``called``) and ``mean_score``; ALL first, subjects in natural order.

    Raises
    ------
    DataError
        As in ``metrics.evaluate`` and ``subject_sums.subjects_of``.
    """
    evaluate(predictions["label"], predictions[column], HALF)
    subjects_of(predictions)  # refuses subjects of both classes
    cells = predictions.assign(
        subject=predictions["subject"].astype(str),
        mean=predictions[column],
        share=(predictions[column] >= HALF).astype(float),
    )
    measures = ["mean", "share"]
    if "called" in predictions:
        cells["accuracy"] = (predictions["called"] == predictions["label"]).astype(float)
        measures.append("accuracy")
    if "score" in predictions:
        cells["mean_score"] = predictions["score"]
        measures.append("mean_score")
    grouped = cells.groupby(["subject", "label"])
    table = grouped[measures].mean().assign(cells=grouped.size()).reset_index()
    table["_order"] = table["subject"].map(natural)
    table = table.sort_values(["label", "_order"], ascending=[False, True])
    return table[["subject", "label", "cells", *measures]].reset_index(drop=True)


def _area(
    weights: NDArray[np.float64], errors: NDArray[np.float64], starts: NDArray[np.int64]
) -> NDArray[np.float64]:
    kept = np.add.reduceat(weights, starts, axis=1)
    missed = np.cumsum(np.add.reduceat(weights * errors, starts, axis=1), axis=1)
    covered = np.cumsum(kept, axis=1)
    risk = missed / np.maximum(covered, _TIE)
    return ratio((kept * risk).sum(axis=1), covered[:, -1])


def _order(probabilities: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order cells by confidence, and return where each run of equally confident ones ends."""
    found = confidence(probabilities)
    order = np.argsort(-found, kind="stable")
    sorted_ = found[order]
    last = np.concatenate([sorted_[1:] != sorted_[:-1], [True]])
    return order, np.flatnonzero(last)


def _in_range(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise RequestError(f"The stated {name} is {value}; give a share above 0 and at most 1.")
