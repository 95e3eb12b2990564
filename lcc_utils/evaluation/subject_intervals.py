"""Metrics of predictions with intervals over subjects, by cells and with subjects equal.

Two estimands answer two questions. ``BY_CELLS`` pools all cells: how well is a cell called that
is drawn from all cells? ``SUBJECTS_EQUAL`` gives each subject a weight of one, shared by its
cells: how well is a cell called of a subject that is drawn from all subjects? They differ where
a few subjects hold many of the cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.intervals import (
    Interval,
    effective_number,
    leave_one_out,
    of_values,
)
from lcc_utils.evaluation.metrics import CLASSES, natural
from lcc_utils.evaluation.weighted import METRICS, Cells, measure, weighted_cells

BY_CELLS, SUBJECTS_EQUAL = "by cells", "subjects equal"
ESTIMANDS = (BY_CELLS, SUBJECTS_EQUAL)


def subject_intervals(
    predictions: pd.DataFrame,
    thresholds: float | str | None = None,
    metrics: Sequence[str] = METRICS,
    estimand: str = BY_CELLS,
) -> dict[str, Interval]:
    """Measure predictions, each metric with its jackknife interval over subjects.

    Parameters
    ----------
    predictions
        ``subject, label, score`` and optionally ``called``, each cell's own call.
    thresholds
        A cell with a score of at least this is called ALL: a number, or the name of a column
        with each cell's own. By default the calls are taken from ``called``.
    metrics
        Of ``weighted.METRICS``, as defined in ``metrics.evaluate``.
    estimand
        Of ``ESTIMANDS``.

    Returns
    -------
    dict
        For each metric its estimate and interval, in 0 to 1; see ``intervals.of_values``.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``; also if a column, a call, a metric or the estimand is unknown,
        or a subject has cells of both classes.
    """
    cells = weighted_cells(predictions, thresholds, metrics)
    classes = classes_of(predictions, cells)
    found = measure(cells, _weights(cells, classes, estimand), metrics)
    return {name: of_values(values, classes) for name, values in found.items()}


def difference_intervals(
    first: pd.DataFrame,
    second: pd.DataFrame,
    metrics: Sequence[str] = ("auc",),
    estimand: str = BY_CELLS,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Give the second model's metric less the first's, with the paired jackknife interval.

    A subject is left out of both at once, so what both have in common falls out.

    Parameters
    ----------
    first, second
        Predictions of the same subjects: ``subject, label, score, called``.
    metrics, estimand
        As in :func:`subject_intervals`.
    level
        Above 0 and below 1.

    Raises
    ------
    DataError
        As in :func:`subject_intervals`; also if the subjects of the two differ.
    """
    found, kinds = [], []
    for own in (first, second):
        cells = weighted_cells(own, None, metrics)
        classes = classes_of(own, cells)
        kinds.append(dict(zip(sorted(own["subject"].astype(str).unique()), classes, strict=True)))
        found.append(measure(cells, _weights(cells, classes, estimand), metrics))
    if kinds[0] != kinds[1]:
        raise DataError(
            "The two models' predictions are not of the same subjects with the same labels; "
            "compare models on one split."
        )
    return {
        name: of_values(found[1][name] - found[0][name], classes, (-1.0, 1.0), level)
        for name in metrics
    }


def influence(
    predictions: pd.DataFrame,
    metric: str = "auc",
    thresholds: float | str | None = None,
    estimand: str = BY_CELLS,
) -> pd.DataFrame:
    """Measure predictions without each subject in turn.

    Parameters and errors are those of :func:`subject_intervals`.

    Returns
    -------
    DataFrame
        ``subject, label, cells, without`` (the metric without the subject's cells), subjects in
        natural order.
    """
    cells = weighted_cells(predictions, thresholds, (metric,))
    classes = classes_of(predictions, cells)
    values = measure(cells, _weights(cells, classes, estimand), (metric,))[metric]
    table = pd.DataFrame(
        {
            "subject": sorted(predictions["subject"].astype(str).unique()),
            "label": classes,
            "cells": np.bincount(cells.unit),
            "without": values[1:],
        }
    )
    return table.sort_values("subject", key=lambda own: own.map(natural), ignore_index=True)


def effective_subjects(predictions: pd.DataFrame) -> dict[str, float]:
    """Return the effective number of subjects of each class; see ``intervals.effective_number``."""
    sizes = predictions.groupby(["label", predictions["subject"].astype(str)]).size()
    return {
        name: effective_number(sizes[sizes.index.get_level_values(0) == label])
        for label, name in CLASSES.items()
    }


def cell_intervals(
    predictions: pd.DataFrame,
    thresholds: float | str | None = None,
    metrics: Sequence[str] = METRICS,
) -> dict[str, Interval]:
    """Measure predictions with jackknife intervals over cells: the naive contrast.

    It takes the cells of a subject for independent, so its intervals are too narrow. Otherwise as
    :func:`subject_intervals`, with cells in the place of subjects.
    """
    cells = weighted_cells(predictions, thresholds, metrics)
    # Cells of one class, score and call are alike: each kind is left out once.
    kinds = pd.DataFrame({"label": cells.label, "score": cells.score if "auc" in metrics else 0.0})
    kinds["called"] = 0 if cells.called is None else cells.called
    kind, first = _numbered(kinds)
    values = {name: np.empty(1 + cells.label.size) for name in metrics}
    alike = Cells(
        cells.label[first],
        cells.score[first],
        None if cells.called is None else cells.called[first],
        np.arange(first.size),
    )
    times = np.bincount(kind).astype(float)
    for name, whole in measure(alike, times[None], metrics).items():
        values[name][0] = whole[0]
    for start in range(0, first.size, _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, first.size))
        weights = np.tile(times, (rows.size, 1))
        weights[np.arange(rows.size), rows] -= 1
        for name, own in measure(alike, weights, metrics).items():
            place = np.isin(kind, rows)
            values[name][1:][place] = own[kind[place] - start]
    return {name: of_values(own, cells.label) for name, own in values.items()}


# Kinds of cells left out at a time: 7,108 then take some 30 MB an array.
_AT_ONCE = 500


def classes_of(predictions: pd.DataFrame, cells: Cells) -> NDArray[np.int64]:
    """Return the class of each subject, that of its cells, subjects in the order of their names.

    Raises
    ------
    DataError
        If a subject has cells of both classes.
    """
    share = np.bincount(cells.unit, cells.label) / np.bincount(cells.unit)
    mixed = np.flatnonzero((share != 0) & (share != 1))
    if mixed.size:
        name = predictions["subject"].to_numpy()[cells.unit == mixed[0]][0]
        raise DataError(
            f"{mixed.size} subjects have cells of both classes (the first is {name}); a subject "
            "is either ALL or HEM: check the labels."
        )
    return share.astype(np.int64)


def _weights(cells: Cells, classes: NDArray[np.int64], estimand: str) -> NDArray[np.float64]:
    if estimand not in ESTIMANDS:
        raise DataError(f"Unknown estimand {estimand!r}; known: {', '.join(ESTIMANDS)}.")
    weights = leave_one_out(classes)
    return weights if estimand == BY_CELLS else weights / np.bincount(cells.unit)


def _numbered(kinds: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give rows that are alike one number, from 0; return it by row, and a row of each."""
    kind = kinds.groupby(list(kinds.columns), sort=True).ngroup().to_numpy()
    return kind, np.unique(kind, return_index=True)[1]
