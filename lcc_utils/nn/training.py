"""Fit one experiment: the paper's recipe, with the best epoch kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import keras
import numpy as np
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from lcc_utils.errors import DataError
from lcc_utils.nn.augment import Augmentation
from lcc_utils.nn.batches import PredictionBatches, TrainingBatches
from lcc_utils.nn.classifier import build_classifier, logits_model, parameter_counts
from lcc_utils.nn.losses import FocalLoss
from lcc_utils.nn.schedules import Constant, OneCycle
from lcc_utils.nn.settings import ExperimentSettings, Model

PREDICTION_BATCH = 128


@dataclass(frozen=True)
class Cells:
    """Rows of some cells in the array of pixels, and their classes (0 HEM, 1 ALL)."""

    rows: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """A trained classifier and how it came about.

    Attributes
    ----------
    classifier, logits
        The model with the weights of its best epoch, and the same layers ending before
        the softmax. Both are reused by the next training of the same architecture: take
        what is needed from them before that.
    history
        One dict an epoch: ``epoch, loss, f1, val_loss, val_f1, val_auc, learning_rate,
        seconds``; ``f1`` is over the batches as trained on, augmented and balanced.
    best_epoch
        The epoch whose weights were kept, counted from 1.
    """

    classifier: keras.Model
    logits: keras.Model
    history: list[dict[str, float]]
    best_epoch: int
    parameters: dict[str, int]


def fit(
    settings: ExperimentSettings,
    pixels: np.ndarray,
    training: Cells,
    validation: Cells,
    seed: int,
    weighted_f1: Callable[[np.ndarray, np.ndarray], float],
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Fitted:
    """Train a classifier and return it at its best epoch.

    AdamW, the schedule of the settings by optimizer step, gradient clipped by its global
    norm, early stopping on validation weighted F1. The epoch with the highest validation
    F1 is kept; of equals, the one of lower validation loss.

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
    DataError
        If the loss is not finite, with the epoch and what to change.
    """
    prepared = _prepare(settings, seed)
    recipe = settings.training
    batches = TrainingBatches(
        pixels,
        training.rows,
        training.labels,
        batch=recipe.batch,
        balanced=recipe.sampling == "balanced",
        augmentation=settings.augmentation,
        seed=seed,
        steps=recipe.steps_per_epoch,
    )
    prepared.schedule.assign(recipe.learning_rate, recipe.epochs * len(batches))
    history: list[dict[str, float]] = []
    best = _Best(recipe.patience, recipe.min_delta)
    for epoch in range(recipe.epochs):
        start = time.perf_counter()
        row = {"epoch": epoch + 1, **_train(prepared, batches, epoch)}
        row |= _validate(prepared, pixels, validation, weighted_f1)
        row["learning_rate"] = float(prepared.schedule(prepared.trainer.optimizer.iterations))
        row["seconds"] = time.perf_counter() - start
        history.append(row)
        if on_epoch:
            on_epoch(row)
        if best.seen(row, prepared.classifier):
            break
    prepared.classifier.set_weights(best.weights)
    parameters = parameter_counts(prepared.classifier)
    return Fitted(prepared.classifier, prepared.logits, history, best.epoch, parameters)


def predict_scores(logits: keras.Model, pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return P(ALL) of some cells, float64 ``(n,)``, from a model that ends in logits."""
    return _scores(_logits(logits, pixels, rows))


@dataclass(frozen=True)
class _Compiled:
    """A compiled model that several trainings use, one after the other."""

    classifier: keras.Model
    logits: keras.Model
    trainer: keras.Model
    loss: FocalLoss
    schedule: OneCycle | Constant


def _prepare(settings: ExperimentSettings, seed: int) -> _Compiled:
    """Return a compiled model in the state of a new one with this seed."""
    recipe = settings.training
    # What runs in the compiled step; imgaug runs before it.
    on_device = settings.augmentation.engine == "keras"
    policy = settings.augmentation.policy if on_device else "none"
    architecture = (settings.model, settings.pixels.size, policy, settings.precision)
    # JAX bakes the values of loss and schedule into the compiled step; TensorFlow does not.
    compiled = _compile.__wrapped__ if keras.backend.backend() == "jax" else _compile
    model = compiled(architecture, recipe.schedule, recipe.weight_decay, recipe.clip_norm)
    for old, new in zip(
        model.trainer.variables, _build(*architecture, seed)[2].variables, strict=True
    ):
        old.assign(new)
    for variable in model.trainer.optimizer.variables:
        variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
    plain = settings.loss.name == "cross_entropy"
    model.loss.assign(
        0.0 if plain else settings.loss.gamma, (1.0, 1.0) if plain else settings.loss.alpha
    )
    return model


@lru_cache(maxsize=4)
def _compile(
    architecture: tuple[Model, int, str, str],
    schedule_name: str,
    weight_decay: float,
    clip_norm: float,
) -> _Compiled:
    """Build and compile once; tracing the first step costs more than many a training."""
    classifier, logits, trainer = _build(*architecture, seed=0)
    loss = FocalLoss(from_logits=True)
    schedule = OneCycle(1e-3, 2) if schedule_name == "onecycle" else Constant(1e-3)
    trainer.compile(
        optimizer=keras.optimizers.AdamW(
            schedule, weight_decay=weight_decay, global_clipnorm=clip_norm
        ),
        loss=loss,
        metrics=[keras.metrics.F1Score(average="weighted", name="f1")],
        # TensorFlow cannot compile the rotation with XLA, and on a CPU XLA is slower anyway.
        jit_compile=keras.backend.backend() == "jax",
    )
    trainer.optimizer.build(trainer.trainable_variables)
    return _Compiled(classifier, logits, trainer, loss, schedule)


def _build(
    model: Model, size: int, policy: str, precision: str, seed: int
) -> tuple[keras.Model, keras.Model, keras.Model]:
    """Return the classifier, the same ending in logits, and the same behind augmentation."""
    classifier = build_classifier(
        model.backbone,
        size,
        attention=model.attention,
        reduction=model.reduction,
        weights=model.weights,
        precision=precision,
        seed=seed,
    )
    logits = logits_model(classifier)
    images, flags = keras.Input((size, size, 3), name="image"), keras.Input((), name="flag")
    augmented = Augmentation(policy, seed=seed, name="augmentation")(images, flags)
    trainer = keras.Model([images, flags], logits(augmented), name="trainer")
    return classifier, logits, trainer


def _train(model: _Compiled, batches: TrainingBatches, epoch: int) -> dict[str, float]:
    """Train for one epoch; loss and weighted F1 over the batches as trained on."""
    batches.start_epoch(epoch)
    # Without shuffle=False, Keras reorders the batches by a random state that is not ours.
    logs = model.trainer.fit(
        batches, epochs=epoch + 1, initial_epoch=epoch, shuffle=False, verbose=0
    ).history
    loss = float(logs["loss"][0])
    if not np.isfinite(loss):
        raise DataError(
            f"The loss became {loss} in epoch {epoch + 1}; lower training.learning_rate, or set "
            "precision to float32."
        )
    return {"loss": loss, "f1": float(logs["f1"][0])}


def _validate(
    model: _Compiled,
    pixels: np.ndarray,
    cells: Cells,
    weighted_f1: Callable[[np.ndarray, np.ndarray], float],
) -> dict[str, float]:
    logits = _logits(model.logits, pixels, cells.rows)
    scores = _scores(logits)
    return {
        "val_loss": float(model.loss(np.eye(2, dtype="float32")[cells.labels], logits)),
        "val_f1": weighted_f1(cells.labels, scores),
        "val_auc": float(roc_auc_score(cells.labels, scores)),
    }


class _Best:
    """The best epoch so far, and whether waiting for a better one has been long enough."""

    def __init__(self, patience: int, min_delta: float) -> None:
        self._patience, self._min_delta = patience, min_delta
        self._rank = (-np.inf, -np.inf)
        self._progress, self._waited = -np.inf, 0
        self.epoch, self.weights = 0, []

    def seen(self, row: dict[str, float], classifier: keras.Model) -> bool:
        """Take note of an epoch; return whether to stop."""
        rank = (row["val_f1"], -row["val_loss"])
        if rank > self._rank:
            # get_weights copies: later epochs must not change what is kept.
            self._rank, self.epoch, self.weights = rank, row["epoch"], classifier.get_weights()
        if row["val_f1"] > self._progress + self._min_delta:
            self._progress, self._waited = row["val_f1"], 0
        else:
            self._waited += 1
        return self._waited >= self._patience


def _logits(logits: keras.Model, pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return logits.predict(PredictionBatches(pixels, rows, PREDICTION_BATCH), verbose=0)


def _scores(logits: np.ndarray) -> np.ndarray:
    """P(ALL) from the two logits, in double precision."""
    return expit(logits[:, 1].astype("float64") - logits[:, 0].astype("float64"))
