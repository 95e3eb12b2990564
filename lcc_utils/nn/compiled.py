"""A compiled model, built once for each architecture and reset between trainings.

A model that a thread has used stays that thread's until it calls :func:`share_models`; when memory
does not suffice, all are let go, so that the next training has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread, current_thread

import keras
import numpy as np

from lcc_utils.errors import DataError, RequestError
from lcc_utils.nn.augment import Augmentation
from lcc_utils.nn.classifier import (
    backbone_paths,
    build_classifier,
    freeze_normalisations,
    logits_model,
)
from lcc_utils.nn.keras_settings import keras_settings
from lcc_utils.nn.losses import FocalLoss
from lcc_utils.nn.schedules import Constant, LayerwiseAdamW, OneCycle
from lcc_utils.nn.settings import ExperimentSettings, Model

__all__ = ["Compiled", "out_of_memory_named", "prepare", "share_models"]

# Tracing the first step costs more than many a training: the last few models stay compiled.
# Each stands beside the thread that may still use it, or None.
_KEPT: dict[tuple, tuple[Thread | None, Compiled]] = {}
_MOST = 4
_AUGMENTATION = "augmentation"
# Backends on which a training in float16 with a scaled loss is tested.
_SCALED = ("tensorflow", "jax")


@dataclass(frozen=True)
class Compiled:
    """A compiled model that several trainings use, one after the other.

    Attributes
    ----------
    classifier, logits
        The classifier, and the same layers ending before the softmax.
    trainer
        The same behind augmentation, compiled.
    loss, schedule
        What it was compiled with; their values can be changed.
    """

    classifier: keras.Model
    logits: keras.Model
    trainer: keras.Model
    loss: FocalLoss
    schedule: OneCycle | Constant


def prepare(settings: ExperimentSettings, seed: int) -> Compiled:
    """Return a compiled model in the state of a new one with this seed.

    In ``mixed_float16`` Keras scales its loss, so that small gradients do not vanish.

    Raises
    ------
    RequestError
        If the precision is ``mixed_float16`` on a backend where that is not tested.
    """
    _check_precision(settings.precision)
    # The policy must also hold for the trainer: it decides whether the loss is scaled.
    with keras_settings(settings.precision):
        return _prepared(settings, seed)


def share_models() -> None:
    """Let the next training of any thread reuse the models that this thread has used."""
    for key, (thread, model) in list(_KEPT.items()):
        if thread is current_thread():
            _KEPT[key] = None, model


def _check_precision(precision: str) -> None:
    backend = keras.backend.backend()
    if precision == "mixed_float16" and backend not in _SCALED:
        raise RequestError(
            f"precision mixed_float16 needs a scaled loss, which is tested on "
            f"{' and '.join(_SCALED)} and not on {backend}. Set precision to mixed_bfloat16 or "
            "float32, or KERAS_BACKEND to tensorflow."
        )


def _prepared(settings: ExperimentSettings, seed: int) -> Compiled:
    recipe = settings.training
    # What runs in the compiled step; imgaug runs before it.
    on_device = settings.augmentation.engine == "keras"
    policy = settings.augmentation.policy if on_device else "none"
    architecture = (
        settings.model, settings.pixels.size, policy, settings.precision, recipe.freeze_norm
    )  # fmt: skip
    step = recipe.schedule, recipe.weight_decay, recipe.clip_norm, recipe.backbone_rate
    plain = settings.loss.name == "cross_entropy"
    loss = (0.0, (1.0, 1.0)) if plain else (settings.loss.gamma, settings.loss.alpha)
    # JAX bakes the values of the loss into the compiled step; TensorFlow does not.
    baked = loss if keras.backend.backend() == "jax" else None
    kept = architecture, step, baked
    thread, model = _KEPT.pop(kept, (None, None))
    if model is None or thread not in (None, current_thread()):
        model = _compile(*_build(*architecture, seed), *step)
    else:
        _renew(model, settings, seed)
    _KEPT[kept] = current_thread(), model
    while len(_KEPT) > _MOST:
        _KEPT.pop(next(iter(_KEPT)))
    model.loss.assign(*loss)
    return model


@contextmanager
def out_of_memory_named(settings: ExperimentSettings) -> Iterator[None]:
    """Turn what a framework raises for want of memory into an error that says what to lower.

    Raises
    ------
    DataError
        In place of such an error; others pass.
    """
    try:
        yield
    except Exception as error:
        if not _out_of_memory(error):
            raise
        _KEPT.clear()
        raise DataError(
            f"Memory did not suffice for {settings.model.backbone} at {settings.pixels.size} px "
            f"in batches of {settings.training.batch}; lower training.batch or pixels.size, or "
            "use fewer jobs."
        ) from error


def _compile(
    classifier: keras.Model,
    logits: keras.Model,
    trainer: keras.Model,
    schedule_name: str,
    weight_decay: float,
    clip_norm: float,
    backbone_rate: float,
) -> Compiled:
    loss = FocalLoss(from_logits=True)
    schedule = OneCycle(1e-3, 2) if schedule_name == "onecycle" else Constant(1e-3)
    # Variables that are made within the first step would have TensorFlow trace it twice.
    f1 = keras.metrics.F1Score(average="weighted", name="f1")
    f1.update_state(np.eye(2, dtype="float32"), np.eye(2, dtype="float32"))
    f1.reset_state()
    trainer.compile(
        optimizer=LayerwiseAdamW(
            schedule,
            weight_decay,
            backbone_rate,
            backbone_paths(classifier),
            global_clipnorm=clip_norm,
        ),
        loss=loss,
        metrics=[f1],
        # TensorFlow cannot compile the rotation with XLA, and on a CPU XLA is slower anyway.
        jit_compile=keras.backend.backend() == "jax",
    )
    trainer.optimizer.build(trainer.trainable_variables)
    return Compiled(classifier, logits, trainer, loss, schedule)


def _renew(model: Compiled, settings: ExperimentSettings, seed: int) -> None:
    """Take over the state of a new classifier; start augmentation and optimizer again."""
    new = _classifier(
        settings.model, settings.pixels.size, settings.precision, seed,
        settings.training.freeze_norm, fused=False,
    )  # fmt: skip
    for old, fresh in zip(model.classifier.variables, new.variables, strict=True):
        old.assign(fresh)
    model.trainer.get_layer(_AUGMENTATION).reseed(seed)
    optimizer = model.trainer.optimizer
    for variable in optimizer.variables:
        variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # With a scale of zero every gradient would be zero divided by zero.
        optimizer.dynamic_scale.assign(optimizer.initial_scale)


def _build(
    model: Model, size: int, policy: str, precision: str, freeze_norm: bool, seed: int
) -> tuple[keras.Model, keras.Model, keras.Model]:
    """Return the classifier, the same ending in logits, and the same behind augmentation."""
    classifier = _classifier(model, size, precision, seed, freeze_norm)
    logits = logits_model(classifier)
    images, flags = keras.Input((size, size, 3), name="image"), keras.Input((), name="flag")
    augmented = Augmentation(policy, seed=seed, name=_AUGMENTATION)(images, flags)
    trainer = keras.Model([images, flags], logits(augmented), name="trainer")
    return classifier, logits, trainer


def _classifier(
    model: Model, size: int, precision: str, seed: int, freeze_norm: bool, fused: bool = True
) -> keras.Model:
    classifier = build_classifier(
        model.backbone,
        size,
        attention=model.attention,
        reduction=model.reduction,
        weights=model.weights,
        precision=precision,
        seed=seed,
        fused=fused,
    )
    if freeze_norm:
        freeze_normalisations(classifier)
    return classifier


def _out_of_memory(error: Exception) -> bool:
    # Each backend has its own type, and TensorFlow wraps what is raised while a batch is made.
    named = type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")
    told = any(sign in str(error) for sign in ("RESOURCE_EXHAUSTED", "MemoryError"))
    return isinstance(error, MemoryError) or named or told
