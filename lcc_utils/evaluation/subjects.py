"""Metrics of each subject by itself, and how they spread."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lcc_utils.evaluation.metrics import CLASSES, checked, natural, need_columns, subject_names


def by_subject(predictions: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Measure each subject: ``subject, label, cells, correct, accuracy, mean_score``.

    Sorted by class (ALL first), then accuracy (worst first), then subject in natural order.
    ``accuracy`` is ``correct / cells``, in 0 to 1; a subject's cells are all of one class, so it
    is the subject's own sensitivity or specificity.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``.
    """
    need_columns(predictions, ("subject", "label", "score"))
    truth, score = checked(predictions["label"], predictions["score"])
    cells = pd.DataFrame(
        {
            "subject": subject_names(predictions).to_numpy(),
            "label": truth,
            "score": score,
            "correct": (score >= threshold).astype(int) == truth,
        }
    )
    table = (
        cells.groupby(["subject", "label"])
        .agg(cells=("correct", "size"), correct=("correct", "sum"), mean_score=("score", "mean"))
        .reset_index()
    )
    table["accuracy"] = table["correct"] / table["cells"]
    table["_order"] = table["subject"].map(natural)
    table = table.sort_values(["label", "accuracy", "_order"], ascending=[False, True, True])
    columns = ["subject", "label", "cells", "correct", "accuracy", "mean_score"]
    return table[columns].reset_index(drop=True)


def subject_spread(predictions: pd.DataFrame, threshold: float) -> dict[str, dict]:
    """Describe how accuracy spreads over the subjects of each class.

    Returns
    -------
    dict
        For ``"ALL"`` and ``"HEM"``: ``subjects`` (their number), ``median``, ``q1``, ``q3``
        (linear quartiles), ``min``, ``max`` of the subjects' accuracies in 0 to 1, each subject
        counting once, and ``worst``, the name of a subject with the least. Without subjects of a
        class the numbers are nan and ``worst`` is empty.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``.
    """
    table = by_subject(predictions, threshold)
    return {name: _spread(table[table["label"] == label]) for label, name in CLASSES.items()}


def _spread(table: pd.DataFrame) -> dict[str, float | int | str]:
    accuracy = table["accuracy"].to_numpy(float)
    names = ("min", "q1", "median", "q3", "max")
    if accuracy.size == 0:
        return {"subjects": 0} | dict.fromkeys(names, float("nan")) | {"worst": ""}
    quartiles = np.quantile(accuracy, [0, 0.25, 0.5, 0.75, 1])
    return (
        {"subjects": int(accuracy.size)}
        | {name: float(value) for name, value in zip(names, quartiles, strict=True)}
        | {"worst": str(table["subject"].iloc[0])}
    )
