"""Training in half precision: nothing vanishes, and a second training is as the first."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest
import yaml
from keras import ops

from lcc_utils.errors import RequestError
from lcc_utils.evaluation.metrics import best_weighted_f1
from lcc_utils.nn import compiled
from lcc_utils.nn.batches import TrainingBatches
from lcc_utils.nn.classifier import build_classifier, logits_model
from lcc_utils.nn.schedules import LayerwiseAdamW
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.nn.training import Cells, fit

LABELS = np.tile([1, 1, 1, 0], 16)
PIXELS = np.random.default_rng(0).integers(0, 60, (64, 32, 32, 3), np.uint8)
PIXELS = (PIXELS + 100 * LABELS[:, None, None, None]).astype(np.uint8)
CELLS = Cells(np.arange(64), LABELS)
# So small a loss that float16, whose least number is 6e-8, has none of its gradients.
FAINT = {"alpha": (1e-7, 1e-7), "gamma": 0.0}


def settings(precision: str = "mixed_float16", **changes) -> ExperimentSettings:
    values = {
        "pixels": {"size": 32},
        "model": {"backbone": "small_cnn"},
        "augmentation": {"policy": "none"},
        "training": {"epochs": 2, "batch": 16, "weight_decay": 0.0},
        "precision": precision,
    }
    return ExperimentSettings(**(values | changes))


@pytest.fixture(autouse=True)
def nothing_kept():
    """Each test begins, and leaves the others, without a compiled model."""
    compiled._KEPT.clear()
    yield
    compiled._KEPT.clear()


def first_gradients(own: ExperimentSettings, scale: float) -> dict[str, np.ndarray]:
    """Gradients of the first batch, the loss scaled by so much and they unscaled again."""
    import tensorflow as tf

    model = compiled.prepare(own, 0)
    (images, flags), targets = batch(own)
    with tf.GradientTape() as tape:
        logits = model.trainer([images, flags], training=True)
        loss = model.loss(targets, logits) * scale
    variables = model.trainer.trainable_variables
    gradients = tape.gradient(loss, variables)
    return {v.path: np.array(g) / scale for v, g in zip(variables, gradients, strict=True)}


def batch(own: ExperimentSettings):
    return TrainingBatches(
        PIXELS, CELLS.rows, LABELS, batch=16, sampling="balanced", seed=0,
        augmentation=own.augmentation,
    )[0]  # fmt: skip


def test_the_paper_profile_trains_in_bfloat16_and_the_others_in_float32(root):
    found = {
        path.stem: yaml.safe_load(path.read_text())["precision"]
        for path in (root / "params").glob("*.yml")
    }
    assert found == {
        "paper": "mixed_bfloat16",
        "gpu": "mixed_bfloat16",
        "cpu": "float32",
        "demo": "float32",
    }


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="uses TensorFlow's tape")
def test_a_loss_that_would_vanish_in_float16_still_trains():
    own = settings(loss=FAINT)
    lost = first_gradients(own, 1.0)["conv_1/kernel"]
    kept = first_gradients(own, 2.0**15)["conv_1/kernel"]
    assert np.count_nonzero(lost) < 0.05 * lost.size
    assert np.count_nonzero(kept) > 0.95 * kept.size

    model = compiled.prepare(own, 0)
    before = np.array(model.classifier.get_layer("conv_1").kernel)
    model.schedule.assign(1e-3, 4)
    model.trainer.train_on_batch(*batch(own))
    optimizer = model.trainer.optimizer
    momentum = next(v for v in optimizer.variables if "conv_1_kernel_momentum" in v.path)
    assert np.count_nonzero(momentum) > 0.95 * before.size
    # Adam averages: a tenth of the first gradient, which the clip at 1 leaves as it is. Half
    # precision has three digits, and the compiled step rounds elsewhere.
    assert np.linalg.norm(np.array(momentum) - 0.1 * kept) < 0.01 * np.linalg.norm(kept)
    assert (np.array(model.classifier.get_layer("conv_1").kernel) != before).mean() > 0.95


def test_a_second_training_in_float16_is_as_a_first():
    own = settings()
    first = fit(own, PIXELS, CELLS, CELLS, 1, best_weighted_f1)
    history, scores = first.history, first.validation_scores
    second = fit(own, PIXELS, CELLS, CELLS, 1, best_weighted_f1)
    assert second.classifier is first.classifier
    assert np.isfinite(second.validation_scores).all()
    # The same computation twice in one process.
    assert second.history == history
    np.testing.assert_array_equal(second.validation_scores, scores)
    assert np.ptp(scores) > 0.1


def test_a_renewed_model_has_the_scale_of_a_new_one():
    optimizer = compiled.prepare(settings(), 0).trainer.optimizer
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(optimizer.inner_optimizer, LayerwiseAdamW)
    optimizer.dynamic_scale.assign(4.0)
    optimizer.step_counter.assign(7)
    again = compiled.prepare(settings(), 1).trainer.optimizer
    assert again is optimizer
    assert float(again.dynamic_scale) == 2.0**15
    assert int(again.step_counter) == int(again.iterations) == 0


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_other_precisions_need_no_scale(precision):
    optimizer = compiled.prepare(settings(precision), 0).trainer.optimizer
    assert isinstance(optimizer, LayerwiseAdamW)


def test_two_rates_of_learning_stay_two_behind_a_scaled_loss():
    found = []
    for scaled in (False, True):
        optimizer = LayerwiseAdamW(0.01, 0.1, 0.25, ["slow"], global_clipnorm=1.0)
        factor = 1.0
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**10)
            factor = 2.0**10
        values = [keras.Variable(np.ones(3, "float32"), name=name) for name in ("slow", "fast")]
        optimizer.build(values)
        for size in (0.5, 2.0, 0.1):
            optimizer.apply([ops.full((3,), factor * size) for _ in values], values)
        found.append(np.array([ops.convert_to_numpy(value) for value in values]))
    # A power of two changes no digit; the kernel runs in another branch of the graph.
    np.testing.assert_allclose(*found, rtol=1e-6)
    assert (1 - found[1][0]).max() < 0.3 * (1 - found[1][1]).min()


def test_a_step_that_overflows_is_left_out_and_halves_the_scale():
    optimizer = keras.optimizers.LossScaleOptimizer(LayerwiseAdamW(0.01), initial_scale=8.0)
    value = keras.Variable(np.ones(3, "float32"))
    optimizer.build([value])
    optimizer.apply([ops.convert_to_tensor([np.inf, 1.0, 1.0])], [value])
    assert ops.convert_to_numpy(value).tolist() == [1.0] * 3
    assert (float(optimizer.dynamic_scale), int(optimizer.iterations)) == (4.0, 0)


def test_float16_is_refused_where_scaling_is_not_tested(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(RequestError, match="mixed_bfloat16 or float32"):
        fit(settings(), PIXELS, CELLS, CELLS, 0, best_weighted_f1)


def test_a_model_that_somebody_compiles_scales_its_loss_too():
    classifier = build_classifier("small_cnn", 32, weights="none", precision="mixed_float16")
    for model in (classifier, logits_model(classifier)):
        model.compile(optimizer="adam", loss="categorical_crossentropy")
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def test_two_threads_never_train_one_model():
    own = settings("float32", training={"epochs": 1, "batch": 16, "steps_per_epoch": 1})
    mine = fit(own, PIXELS, CELLS, CELLS, 0, best_weighted_f1)
    scores = mine.classifier.predict_on_batch(PIXELS[:4].astype("float32"))
    theirs = []

    def other() -> None:
        theirs.append(fit(own, PIXELS, CELLS, CELLS, 1, best_weighted_f1))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert theirs[0].classifier is not mine.classifier
    again = mine.classifier.predict_on_batch(PIXELS[:4].astype("float32"))
    np.testing.assert_array_equal(again, scores)


def test_models_that_are_done_with_serve_the_next_thread():
    own = settings("float32")
    mine = compiled.prepare(own, 0).classifier
    compiled.share_models()
    theirs = []
    thread = threading.Thread(target=lambda: theirs.append(compiled.prepare(own, 1).classifier))
    thread.start()
    thread.join()
    assert theirs[0] is mine
