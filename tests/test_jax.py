"""What also runs under JAX: a training, and tests of the layer that augments, in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from lcc_utils.evaluation.metrics import best_weighted_f1
from lcc_utils.nn.classifier import build_classifier, parameter_counts
from lcc_utils.nn.losses import FocalLoss
from lcc_utils.nn.schedules import LayerwiseAdamW
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.nn.training import Cells, fit, predict_scores

ON_JAX = keras.backend.backend() == "jax"
# Few, since JAX compiles every operation of an eager layer.
NAMES = (
    "model_loss_and_train_step or small_loss or two_rates or only_flagged or trains_inside "
    "or (all_black and stain and device) or (rotation_fills_its_range and not cpu)"
)


@pytest.mark.skipif(ON_JAX, reason="starts the JAX process")
def test_a_training_and_the_layer_run_under_jax(under_jax):
    pytest.importorskip("jax")
    files = [__file__, str(Path(__file__).with_name("test_augment.py"))]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", NAMES, *files],
        cwd=under_jax["PYTHONPATH"], env=under_jax, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "7 passed" in done.stdout, done.stdout[-500:]


@pytest.mark.jax
@pytest.mark.skipif(not ON_JAX, reason="runs in the JAX process, which the test above starts")
def test_model_loss_and_train_step():
    loss = float(FocalLoss()(np.array([[0.0, 1.0]]), np.array([[0.2, 0.8]])))
    assert loss == pytest.approx(0.25 * 0.04 * -np.log(0.8), abs=1e-7)
    model = build_classifier("small_cnn", 32, weights="none")
    assert parameter_counts(model)["parameters_trainable"] == 387_434
    labels = np.tile([1, 1, 1, 0], 24)
    pixels = np.zeros((96, 32, 32, 3), np.uint8)
    pixels += (100 * labels[:, None, None, None]).astype(np.uint8)
    settings = ExperimentSettings(
        pixels={"size": 32},
        model={"backbone": "small_cnn"},
        training={"epochs": 2, "batch": 16, "steps_per_epoch": 1, "backbone_rate": 0.5},
        augmentation={"policy": "stain", "target": "all"},
        prediction={"views": 4},
    )
    cells = Cells(np.arange(96), labels)
    runs = []
    for _ in range(2):
        fitted = fit(settings, pixels, cells, cells, 0, best_weighted_f1)
        runs.append(predict_scores(fitted.logits, pixels, cells.rows))
    assert len(fitted.history) == 2
    assert np.isfinite(runs[0]).all()
    assert np.array_equal(*runs)
    assert fitted.validation_scores.shape == (96,)


@pytest.mark.jax
@pytest.mark.skipif(not ON_JAX, reason="runs in the JAX process, which the test above starts")
def test_a_small_loss_trains_in_half_precision():
    """One that float16 would lose without a scale; and shapes that differ are named."""
    settings = ExperimentSettings(
        pixels={"size": 32},
        model={"backbone": "small_cnn"},
        training={"epochs": 1, "batch": 16, "steps_per_epoch": 1, "weight_decay": 0},
        augmentation={"policy": "none"},
        loss={"alpha": (1e-7, 1e-7), "gamma": 0},
        precision="mixed_float16",
    )
    labels = np.tile([1, 0], 16)
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 32, 3), np.uint8)
    cells = Cells(np.arange(32), labels)
    start = build_classifier("small_cnn", 32, weights="none", precision="mixed_float16")
    before = np.array(start.get_layer("conv_1").kernel)
    fitted = fit(settings, pixels, cells, cells, 0, best_weighted_f1)
    kernel = np.array(fitted.classifier.get_layer("conv_1").kernel)
    assert (kernel != before).mean() > 0.9
    assert np.isfinite(fitted.validation_scores).all()
    with pytest.raises(ValueError, match="one_hot"):
        FocalLoss()(np.ones((4, 1)), np.full((4, 2), 0.5))


@pytest.mark.jax
@pytest.mark.skipif(not ON_JAX, reason="runs in the JAX process, which the test above starts")
def test_two_rates_of_learning():
    slow = LayerwiseAdamW(0.01, 0.1, 0.25, ["slow"])
    values = [keras.Variable(np.ones(3, "float32"), name=name) for name in ("slow", "fast")]
    slow.build(values)
    slow.apply([keras.ops.full((3,), 0.5) for _ in values], values)
    found = [keras.ops.convert_to_numpy(value)[0] for value in values]
    assert found == pytest.approx([0.99725, 0.989], abs=1e-6)
