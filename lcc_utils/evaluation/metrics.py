"""Metrics of predictions: ALL is the positive class (1), HEM the negative (0).

A cell is called ALL when its score, P(ALL), is at least the threshold. The threshold is chosen on
validation predictions and then applied to test predictions, with .5 beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.result import Result
from lcc_utils.text import printable

CLASSES = {1: "ALL", 0: "HEM"}
# Softmax in float32 may leave 0..1 by a rounding error; anything further out is a fault.
_ROUNDING = 1e-6
# Two weighted F1 nearer than this are a tie: they differ by the order of summation alone.
_TIE = 1e-12


def evaluate(labels: ArrayLike, scores: ArrayLike, threshold: float) -> dict[str, float | int]:
    """Measure scores against labels at one threshold.

    Parameters
    ----------
    labels
        Shape (n,), 1 for ALL and 0 for HEM.
    scores
        Shape (n,), P(ALL) in 0 to 1.
    threshold
        A cell with a score of at least this is called ALL.

    Returns
    -------
    dict
        ``auc``, ``f1_weighted`` (the F1 of both classes weighted by their cells), ``accuracy``,
        ``sensitivity`` (share of ALL cells called ALL), ``specificity`` (share of HEM cells called
        HEM), ``precision`` (share of cells called ALL that are ALL), all in 0 to 1; and the counts
        ``cells, all_cells, hem_cells, tn, fp, fn, tp``. What is not defined is nan: the AUC on
        one class, the sensitivity without ALL cells, the precision when no cell is called ALL.

    Raises
    ------
    DataError
        If there are no cells, the shapes are not (n,) or differ, a label is not 0 or 1, a score
        is outside 0 to 1 or not a number, or the threshold is not a number.
    """
    truth, score = checked(labels, scores)
    return {"auc": _auc(truth, score)} | _at_threshold(truth, score, threshold)


def _at_threshold(
    truth: NDArray[np.int64], score: NDArray[np.float64], threshold: float
) -> dict[str, float | int]:
    """Return what :func:`evaluate` does, but for the AUC."""
    if not np.isfinite(threshold):
        raise DataError(f"The threshold is {threshold}, not a number; choose one in 0 to 1.")
    kinds = np.bincount(2 * truth + (score >= threshold), minlength=4)
    tn, fp, fn, tp = (int(count) for count in kinds)
    f1_all, f1_hem = (2 * right / max(2 * right + fp + fn, 1) for right in (tp, tn))
    return {
        "f1_weighted": ((tp + fn) * f1_all + (tn + fp) * f1_hem) / truth.size,
        "accuracy": (tp + tn) / truth.size,
        "sensitivity": _share(tp, tp + fn),
        "specificity": _share(tn, tn + fp),
        "precision": _share(tp, tp + fp),
        "cells": int(truth.size),
        "all_cells": tp + fn,
        "hem_cells": tn + fp,
        "tn": tn,
        "fp": fp,
        "fn": fn,
        "tp": tp,
    }


def choose_threshold(predictions: pd.DataFrame) -> float:
    """Find the threshold with the best weighted F1, meant for validation predictions.

    Weighted F1 is a step function of the threshold. Of the stretches of thresholds (plateaus) on
    which it is largest, the one nearest .5 is taken, and its middle returned; of two equally near,
    the lower. The result depends on labels and scores alone, not on the order of rows.

    Parameters
    ----------
    predictions
        Columns ``label`` and ``score``.

    Returns
    -------
    float
        A threshold in 0 to 1.

    Raises
    ------
    DataError
        As in :func:`evaluate`.
    """
    need_columns(predictions, ("label", "score"))
    truth, score = checked(predictions["label"], predictions["score"])
    edges, f1 = _f1_by_threshold(truth, score)
    best = f1 >= f1.max() - _TIE
    first = best & ~np.concatenate([[False], best[:-1]])
    last = best & ~np.concatenate([best[1:], [False]])
    low, high = edges[:-1][first], edges[1:][last]
    gap = np.maximum(np.maximum(low - 0.5, 0.5 - high), 0.0)
    nearest = int(np.lexsort((low, gap))[0])
    middle = (low[nearest] + high[nearest]) / 2
    # Between two neighbouring floats the middle may round down to the open end.
    return float(middle if middle > low[nearest] else high[nearest])


def best_weighted_f1(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the largest weighted F1 that any threshold gives: what training watches.

    Parameters and errors are those of :func:`evaluate`.
    """
    return float(_f1_by_threshold(*checked(labels, scores))[1].max())


def evaluate_result(result: Result) -> dict[str, float | int]:
    """Measure an experiment on its test cells at the threshold chosen on its validation cells.

    Returns
    -------
    dict
        All of :func:`evaluate` on test cells; the same at .5 with the suffix ``_at_half`` for
        what depends on the threshold; ``threshold``; ``subjects``, ``all_subjects`` and
        ``hem_subjects`` of the test; and with the prefix ``val_`` the metrics, cells and
        subjects of the validation cells, at the chosen threshold.

    Raises
    ------
    DataError
        As in :func:`evaluate`, also when the test or validation partition is empty.
    """
    test, validation = result.test, result.validation
    for name, part in (("test", test), ("validation", validation)):
        if part.empty:
            raise DataError(
                f"Experiment {result.key} ({result.variant}, {result.split}) has no {name} "
                "predictions; its predictions.csv is incomplete: run the experiment again."
            )
    threshold = choose_threshold(validation)
    chosen = evaluate(test["label"], test["score"], threshold)
    half = _at_threshold(*checked(test["label"], test["score"]), 0.5)
    fixed = {"cells", "all_cells", "hem_cells"}
    measured = evaluate(validation["label"], validation["score"], threshold) | _subjects(validation)
    return (
        {"threshold": threshold}
        | chosen
        | {f"{name}_at_half": value for name, value in half.items() if name not in fixed}
        | _subjects(test)
        | {f"val_{name}": value for name, value in measured.items()}
    )


def natural(name: object) -> tuple:
    """Order names as people do, digits by value: 2, 10, h3, H14."""
    parts = re.split(r"(\d+)", str(name).lower())
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part)


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    """Return values as floats, nan in the place of what is no number."""
    if getattr(values, "dtype", None) in (np.float64, np.int64):
        return np.asarray(values, float)
    return pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(float, na_value=np.nan)


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels as 0 and 1 and scores in 0 to 1, each an array of shape (n,).

    Parameters and errors are those of :func:`evaluate`.
    """
    shapes = np.shape(labels), np.shape(scores)
    if any(len(shape) != 1 for shape in shapes):
        raise DataError(
            f"Labels of the shape {shapes[0]} and scores of {shapes[1]} do not pair; give one "
            "label and one score, P(ALL), a cell: two arrays of shape (n,)."
        )
    truth, score = _numbers(labels), _numbers(scores)
    if truth.size == 0:
        raise DataError("There are no predictions to measure; run the experiment again.")
    if truth.size != score.size:
        raise DataError(f"There are {truth.size} labels but {score.size} scores; they must pair.")
    if not np.isin(truth, (0, 1)).all():
        wrong = np.flatnonzero(~np.isin(truth, (0, 1)))
        first = np.asarray(labels, object).ravel()[wrong[0]]
        raise DataError(
            f"{wrong.size} of {truth.size} labels are neither 1 (ALL) nor 0 (HEM); the first "
            f"stands in row {wrong[0] + 1}: {printable(first)}."
        )
    faulty = ~((score >= -_ROUNDING) & (score <= 1 + _ROUNDING))
    if faulty.any():
        raise DataError(
            f"{int(faulty.sum())} of {score.size} scores are not in 0 to 1 (the first is "
            f"{score[faulty][0]}, in row {int(np.flatnonzero(faulty)[0]) + 1}); a score is P(ALL), "
            "so the training probably diverged."
        )
    return truth.astype(np.int64), np.clip(score, 0.0, 1.0)


def need_columns(predictions: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise a DataError if predictions lack a column."""
    missing = [name for name in names if name not in predictions]
    if missing:
        raise DataError(
            f"The predictions have no column {', '.join(missing)}; they have "
            f"{printable(', '.join(map(str, predictions.columns))) or 'none'}."
        )


def subject_names(predictions: pd.DataFrame) -> pd.Series:
    """Return the subject of each prediction as text.

    Raises
    ------
    DataError
        If there is no column ``subject``, or a value in it is missing or empty.
    """
    need_columns(predictions, ("subject",))
    subject = predictions["subject"]
    names = subject.astype(str)
    missing = np.flatnonzero((subject.isna() | (names.str.strip() == "")).to_numpy(bool))
    if missing.size:
        raise DataError(
            f"{missing.size} of {len(names)} predictions have no subject (the first stands in row "
            f"{missing[0] + 1}); the predictions.csv is incomplete."
        )
    return names


def _by_score(
    truth: NDArray[np.int64], score: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores that occur, rising, and how many ALL and HEM cells have each."""
    values, place = np.unique(score, return_inverse=True)
    positives = np.bincount(place, weights=truth, minlength=values.size)
    negatives = np.bincount(place, weights=1 - truth, minlength=values.size)
    return values, positives, negatives


def _auc(truth: NDArray[np.int64], score: NDArray[np.float64]) -> float:
    """Share of ALL-HEM pairs in order, a tie counting half."""
    _, positives, negatives = _by_score(truth, score)
    pairs = float(positives.sum() * negatives.sum())
    in_order = float((positives * (np.cumsum(negatives) - negatives / 2)).sum())
    return _share(in_order, pairs)


def _f1_by_threshold(
    truth: NDArray[np.int64], score: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted F1 on each stretch (edges[i], edges[i + 1]] of thresholds, the first from 0."""
    values, positives, negatives = _by_score(truth, score)
    all_cells, hem_cells = positives.sum(), negatives.sum()
    fn = np.concatenate([[0.0], np.cumsum(positives)])
    tn = np.concatenate([[0.0], np.cumsum(negatives)])
    tp, fp = all_cells - fn, hem_cells - tn
    f1_all = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    f1_hem = 2 * tn / np.maximum(2 * tn + fp + fn, 1)
    f1 = (all_cells * f1_all + hem_cells * f1_hem) / truth.size
    edges = np.concatenate([[0.0], values, [1.0]])
    if values[-1] == 1.0:  # no threshold up to 1 excludes a score of 1
        edges, f1 = edges[:-1], f1[:-1]
    return edges, f1


def _subjects(predictions: pd.DataFrame) -> dict[str, int]:
    count = predictions.groupby("label")["subject"].nunique()
    return {
        "subjects": int(predictions["subject"].nunique()),
        "all_subjects": int(count.get(1, 0)),
        "hem_subjects": int(count.get(0, 0)),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
