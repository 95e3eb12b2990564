"""Fit one experiment: the paper's recipe, with the best epoch kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from lcc_utils.errors import DataError
from lcc_utils.nn.batches import TrainingBatches
from lcc_utils.nn.classifier import parameter_counts
from lcc_utils.nn.compiled import Compiled, out_of_memory_named, prepare
from lcc_utils.nn.course import Best, Course, OnEpoch
from lcc_utils.nn.prediction import predict, predict_scores, scores_of
from lcc_utils.nn.settings import ExperimentSettings

__all__ = [
    "Cells",
    "Fitted",
    "fit",
    "learning_rate",
    "loss_of",
    "predict_scores",
    "start",
    "train_all",
    "train_epoch",
]

WeightedF1 = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Cells:
    """Some cells: rows in the array of pixels, classes (0 HEM, 1 ALL), and subjects if known."""

    rows: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray | None = None

    def __getitem__(self, chosen: np.ndarray) -> Cells:
        """Return some of the cells, by positions or by a mask."""
        subjects = None if self.subjects is None else self.subjects[chosen]
        return Cells(self.rows[chosen], self.labels[chosen], subjects)


@dataclass(frozen=True)
class Fitted:
    """A trained classifier and how it came about.

    Attributes
    ----------
    classifier, logits
        The model with the weights of its best epoch or, where that was chosen out of fold,
        trained on all cells up to it; and the same layers ending before the softmax. Both are
        reused by the next training of the same architecture: take what is needed from them
        before that.
    history
        One dict an epoch of the training that was watched: ``epoch, loss, f1, val_loss, val_f1,
        val_auc, learning_rate``; ``f1`` is over the batches as trained on, augmented and
        balanced. Out of fold, ``loss`` and ``f1`` are means over the inner trainings.
    epoch_seconds
        Time of each epoch of each training.
    best_epoch
        The epoch that was kept, counted from 1: the best on the cells that choose, or the last
        if the settings say so.
    parameters
        ``parameters_trainable`` and ``parameters_total``.
    validation_scores
        P(ALL) of the cells that choose in their order, float64 ``(n,)``, each by a model that
        has not been trained on it.
    """

    classifier: keras.Model
    logits: keras.Model
    history: list[dict[str, float]]
    epoch_seconds: list[float]
    best_epoch: int
    parameters: dict[str, int]
    validation_scores: np.ndarray


def fit(
    settings: ExperimentSettings,
    pixels: np.ndarray,
    training: Cells,
    validation: Cells,
    seed: int,
    weighted_f1: WeightedF1,
    on_epoch: OnEpoch | None = None,
) -> Fitted:
    """Train a classifier and return it at its best epoch on validation cells.

    AdamW, the schedule of the settings by optimizer step, gradient clipped by its global
    norm, early stopping on validation weighted F1. The epoch with the highest validation
    F1 is kept; of equals, the one of lower validation loss; or the last, if the settings say
    so. Where the settings ask for a refit, use ``nn.out_of_fold.fit_out_of_fold``.

    Parameters
    ----------
    settings
        The experiment's settings.
    pixels
        All cells, uint8 ``(n, size, size, 3)``.
    training, validation
        Which cells train and which choose the epoch.
    seed
        Seed of initialisation, order, dropout and augmentation.
    weighted_f1
        What is watched on validation: takes labels and scores, returns 0 to 1.
    on_epoch
        Called with each row of the history.

    Raises
    ------
    RequestError
        If sampling is by subject and the subjects of the cells are not given.
    DataError
        If a loss or score is not finite, or memory does not suffice; with what to change.
    """
    with out_of_memory_named(settings):
        course, best = Course(on_epoch), Best(settings.training)
        model = _search(settings, pixels, training, validation, seed, weighted_f1, course, best)
        scores = predict_scores(model.logits, pixels, validation.rows, settings.prediction.views)
        return Fitted(
            model.classifier,
            model.logits,
            course.rows,
            course.seconds,
            best.epoch if settings.training.selection == "best" else len(course.rows),
            parameter_counts(model.classifier),
            scores,
        )


def train_all(
    settings: ExperimentSettings,
    pixels: np.ndarray,
    cells: Cells,
    seed: int,
    course: Course | None = None,
    epochs: int | None = None,
) -> Compiled:
    """Train on all the cells given for all epochs of the settings, or for the first so many.

    The schedule is that of all epochs in either case. The course takes note of each epoch.
    Parameters and errors are those of :func:`fit`.
    """
    course = course or Course(None)
    with out_of_memory_named(settings):
        model, batches = start(settings, pixels, cells, seed)
        for epoch in range(epochs or settings.training.epochs):
            with course.timed():
                row = train_epoch(model, batches, epoch, f"epoch {epoch + 1} on all cells")
            course.add({"epoch": epoch + 1, **row, "learning_rate": learning_rate(model)})
        return model


def _search(
    settings: ExperimentSettings,
    pixels: np.ndarray,
    training: Cells,
    validation: Cells,
    seed: int,
    weighted_f1: WeightedF1,
    course: Course,
    best: Best,
) -> Compiled:
    """Train, watched on validation, and return the model with the weights of the epoch kept."""
    model, batches = start(settings, pixels, training, seed)
    for epoch in range(settings.training.epochs):
        with course.timed():
            row = {"epoch": epoch + 1, **train_epoch(model, batches, epoch, f"epoch {epoch + 1}")}
            row |= _validate(model, pixels, validation, weighted_f1, epoch)
            row["learning_rate"] = learning_rate(model)
        course.add(row)
        if best.seen(row, model.classifier):
            break
    if settings.training.selection == "best":
        model.classifier.set_weights(best.weights)
    return model


def start(
    settings: ExperimentSettings, pixels: np.ndarray, cells: Cells, seed: int
) -> tuple[Compiled, TrainingBatches]:
    """Return a model in its initial state, and the batches that it will be trained on."""
    recipe = settings.training
    batches = TrainingBatches(
        pixels,
        cells.rows,
        cells.labels,
        batch=recipe.batch,
        sampling=recipe.sampling,
        augmentation=settings.augmentation,
        seed=seed,
        steps=recipe.steps_per_epoch,
        subjects=cells.subjects,
    )
    model = prepare(settings, seed)
    model.schedule.assign(recipe.learning_rate, recipe.epochs * len(batches))
    return model, batches


def train_epoch(
    model: Compiled, batches: TrainingBatches, epoch: int, name: str
) -> dict[str, float]:
    """Train for one epoch; loss and weighted F1 over the batches as trained on."""
    batches.start_epoch(epoch)
    logs = model.trainer.fit(
        batches.feed(),
        steps_per_epoch=len(batches),
        epochs=epoch + 1,
        initial_epoch=epoch,
        shuffle=False,
        verbose=0,
    ).history
    return {"loss": _finite(float(logs["loss"][0]), "loss", name), "f1": float(logs["f1"][0])}


def _validate(
    model: Compiled,
    pixels: np.ndarray,
    cells: Cells,
    weighted_f1: WeightedF1,
    epoch: int,
) -> dict[str, float]:
    logits = predict(model.logits, pixels, cells.rows)
    scores = scores_of(logits)
    return {
        "val_loss": loss_of(model, logits, cells.labels, f"epoch {epoch + 1}"),
        "val_f1": weighted_f1(cells.labels, scores),
        "val_auc": float(roc_auc_score(cells.labels, scores)),
    }


def loss_of(model: Compiled, logits: np.ndarray, labels: np.ndarray, name: str) -> float:
    """Return the loss of cells that do not train, in an epoch of this name."""
    loss = float(model.loss(np.eye(2, dtype="float32")[labels], logits))
    return _finite(loss, "validation loss", name)


def learning_rate(model: Compiled) -> float:
    """Return the learning rate of the next step."""
    return float(model.schedule(model.trainer.optimizer.iterations))


def _finite(value: float, what: str, when: str) -> float:
    if not np.isfinite(value):
        raise DataError(
            f"The {what} became {value} in {when}; lower training.learning_rate, or set "
            "precision to float32."
        )
    return value
