"""Choose epoch and threshold out of fold: by models that have not seen the subject they score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from lcc_utils.nn.classifier import parameter_counts
from lcc_utils.nn.compiled import out_of_memory_named
from lcc_utils.nn.course import Course, OnEpoch
from lcc_utils.nn.keras_settings import keras_settings
from lcc_utils.nn.prediction import predict, predict_scores, scores_of
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.nn.training import (
    Cells,
    Fitted,
    WeightedF1,
    learning_rate,
    loss_of,
    start,
    train_all,
    train_epoch,
)

__all__ = ["fit_out_of_fold"]


def fit_out_of_fold(
    settings: ExperimentSettings,
    pixels: np.ndarray,
    cells: Cells,
    truth: np.ndarray,
    parts: np.ndarray,
    seed: int,
    weighted_f1: WeightedF1,
    on_epoch: OnEpoch | None = None,
) -> Fitted:
    """Train on all cells up to the epoch that is best out of fold; return the scores of then.

    For each part, a model with the same initial state, recipe and schedule is trained on all
    other parts, for all epochs, and scores the part after each epoch. The scores of all parts
    together are the out-of-fold scores of an epoch. The epoch with their highest weighted F1 is
    chosen; of equals, the one of lower loss; or the last, if the settings say so. The final model
    is trained in the same way on all cells and stops at that epoch. Patience is not used: inner
    trainings must be compared at the same epochs.

    Parameters
    ----------
    settings, pixels, seed, weighted_f1, on_epoch
        As in ``nn.training.fit``; on_epoch hears of every epoch of every training.
    cells
        All cells that train.
    truth
        The labels that choose, ``(n,)``: those of `cells`, before any were turned over.
    parts
        The part of each cell, ``(n,)``, from ``data.partitions.inner_parts``. With three parts,
        each inner model is trained on about two thirds of the subjects.

    Returns
    -------
    Fitted
        ``validation_scores`` are the out-of-fold scores of the chosen epoch, for all cells in
        their order; the threshold is to be chosen on them.

    Raises
    ------
    RequestError, DataError
        As in ``nn.training.fit``.
    """
    course = Course(on_epoch)
    with keras_settings(settings.precision), out_of_memory_named(settings):
        inner = [
            _inner(settings, pixels, cells, truth, parts == part, seed, course)
            for part in np.unique(parts)
        ]
        scores = np.empty((settings.training.epochs, len(truth)))
        for own in inner:
            scores[:, own.held] = own.scores
        history = [
            _pooled(epoch, inner, truth, scores[epoch], weighted_f1)
            for epoch in range(settings.training.epochs)
        ]
        best = _best_epoch(history) if settings.training.selection == "best" else len(history)
        model = train_all(settings, pixels, cells, seed, course, best)
        return Fitted(
            model.classifier,
            model.logits,
            history,
            course.seconds,
            best,
            parameter_counts(model.classifier),
            scores[best - 1],
        )


@dataclass(frozen=True)
class _Inner:
    """One inner training: a row for each epoch, and scores ``(epochs, cells held out)``."""

    held: np.ndarray
    rows: list[dict[str, float]]
    scores: np.ndarray


def _inner(
    settings: ExperimentSettings,
    pixels: np.ndarray,
    cells: Cells,
    truth: np.ndarray,
    held: np.ndarray,
    seed: int,
    course: Course,
) -> _Inner:
    """Train without some cells, and score them after each epoch."""
    model, batches = start(settings, pixels, cells[~held], seed)
    views, rows, scores = settings.prediction.views, [], []
    for epoch in range(settings.training.epochs):
        name = f"epoch {epoch + 1} of an inner training"
        with course.timed():
            row = {"epoch": epoch + 1, **train_epoch(model, batches, epoch, name)}
            logits = predict(model.logits, pixels, cells.rows[held])
            row["val_loss"] = loss_of(model, logits, truth[held], name)
            row["learning_rate"] = learning_rate(model)
            scores.append(
                scores_of(logits)
                if views == 1
                else predict_scores(model.logits, pixels, cells.rows[held], views)
            )
        rows.append(row)
        course.add(row)
    return _Inner(held, rows, np.array(scores))


def _pooled(
    epoch: int,
    inner: list[_Inner],
    truth: np.ndarray,
    scores: np.ndarray,
    weighted_f1: WeightedF1,
) -> dict[str, float]:
    """Return the row of an epoch over all inner trainings; losses out of fold weigh by cells."""
    rows = [own.rows[epoch] for own in inner]
    cells = [int(own.held.sum()) for own in inner]
    return {
        "epoch": epoch + 1,
        "loss": float(np.mean([row["loss"] for row in rows])),
        "f1": float(np.mean([row["f1"] for row in rows])),
        "val_loss": float(np.average([row["val_loss"] for row in rows], weights=cells)),
        "val_f1": weighted_f1(truth, scores),
        "val_auc": float(roc_auc_score(truth, scores)),
        "learning_rate": rows[0]["learning_rate"],
    }


def _best_epoch(history: list[dict[str, float]]) -> int:
    best = max(history, key=lambda row: (row["val_f1"], -row["val_loss"]))
    return int(best["epoch"])
