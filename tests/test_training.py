"""One recipe: the schedule runs, batches are balanced, the best epoch is kept, seeds repeat."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from lcc_utils.errors import DataError
from lcc_utils.evaluation.metrics import best_weighted_f1
from lcc_utils.nn import training
from lcc_utils.nn.batches import TrainingBatches
from lcc_utils.nn.schedules import Constant, OneCycle
from lcc_utils.nn.settings import Augmentation, ExperimentSettings
from lcc_utils.nn.training import Cells, fit, predict_scores

SETTINGS = {
    "pixels": {"size": 32},
    "model": {"backbone": "small_cnn"},
    "augmentation": {"policy": "paper", "target": "all"},
    "training": {"epochs": 3, "batch": 16},
}


def settings(**changes) -> ExperimentSettings:
    values = {**SETTINGS, **changes}
    return ExperimentSettings(**values)


@pytest.fixture(scope="module")
def data():
    """Bright and dark squares: easy to tell apart, three bright to one dark."""
    rng = np.random.default_rng(0)
    labels = np.tile([1, 1, 1, 0], 40)
    pixels = rng.integers(0, 60, (160, 32, 32, 3), np.uint8) + 100 * labels[:, None, None, None]
    rows = np.arange(160)
    return (
        pixels.astype(np.uint8),
        Cells(rows[:112], labels[:112]),
        Cells(rows[112:], labels[112:]),
    )


def test_one_cycle_starts_rises_peaks_and_ends_as_defined():
    schedule = OneCycle(1e-3, 101)
    rate = [float(schedule(step)) for step in range(101)]
    assert rate[0] == pytest.approx(4e-5)
    assert rate[15] == pytest.approx((1e-3 + 4e-5) / 2)
    assert rate[30] == pytest.approx(1e-3) == max(rate)
    assert rate[65] == pytest.approx((1e-3 + 4e-9) / 2, rel=1e-4)
    assert rate[100] == pytest.approx(4e-9, rel=1e-2)
    schedule.assign(2e-3, 11)
    assert float(schedule(3)) == pytest.approx(2e-3)


def test_constant_stays():
    assert [float(Constant(4e-5)(step)) for step in (0, 50)] == pytest.approx([4e-5] * 2)


def batches(labels, **changes):
    values = {
        "batch": 8, "balanced": True, "augmentation": Augmentation(policy="none"), "seed": 0,
    }  # fmt: skip
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    pixels = np.broadcast_to(pixels, (len(labels), 4, 4, 3))
    return TrainingBatches(pixels, np.arange(len(labels)), labels, **{**values, **changes})


def drawn(some: TrainingBatches) -> np.ndarray:
    return np.concatenate([some[i][0][0][:, 0, 0, 0] for i in range(len(some))]).astype(int)


def test_balanced_epochs_hold_every_cell_and_both_classes_equally():
    labels = np.array([1] * 24 + [0] * 8)
    counts = np.bincount(drawn(batches(labels)), minlength=32)
    assert counts[:24].tolist() == [1] * 24
    assert counts[24:].tolist() == [3] * 8
    natural = drawn(batches(labels, balanced=False))
    assert sorted(natural) == list(range(32))


def test_order_follows_from_seed_and_epoch():
    labels = np.array([1] * 24 + [0] * 8)
    first, second = batches(labels), batches(labels)
    assert np.array_equal(drawn(first), drawn(second))
    second.start_epoch(1)
    assert not np.array_equal(drawn(first), drawn(second))
    second.start_epoch(0)
    assert np.array_equal(drawn(first), drawn(second))
    assert not np.array_equal(drawn(first), drawn(batches(labels, seed=1)))


@pytest.mark.parametrize(
    "policy, target, flagged", [("none", "all", 0), ("paper", "all", 48), ("paper", "minority", 24)]
)
def test_flags_say_which_images_are_augmented(policy, target, flagged):
    labels = np.array([1] * 24 + [0] * 8)
    some = batches(labels, augmentation=Augmentation(policy=policy, target=target))
    flags = np.concatenate([some[i][0][1] for i in range(len(some))])
    targets = np.concatenate([some[i][1] for i in range(len(some))])
    assert flags.sum() == flagged
    if target == "minority":
        assert np.array_equal(flags, targets[:, 0])


def test_imgaug_engine_changes_flagged_images_and_no_others():
    rng = np.random.default_rng(0)
    pixels = rng.integers(50, 200, (32, 16, 16, 3), np.uint8)
    labels = np.array([1] * 24 + [0] * 8)
    some = TrainingBatches(
        pixels, np.arange(32), labels, batch=48, balanced=True, seed=0,
        augmentation=Augmentation(policy="paper", target="minority", engine="imgaug"),
    )  # fmt: skip
    (images, flags), targets = some[0]
    assert flags.sum() == 0
    known = {image.tobytes() for image in pixels}
    as_they_are = np.array([image.astype(np.uint8).tobytes() in known for image in images])
    assert as_they_are[targets[:, 1] == 1].all()
    assert not as_they_are[targets[:, 0] == 1].any()
    # A repeated cell is another draw each time.
    hem = images[targets[:, 0] == 1]
    assert len({image.tobytes() for image in hem}) > 8


def test_training_learns_repeats_exactly_and_reuses_its_model(data):
    pixels, train, validation = data
    first = fit(settings(), pixels, train, validation, 0, best_weighted_f1)
    scores = predict_scores(first.logits, pixels, validation.rows)
    assert best_weighted_f1(validation.labels, scores) > 0.95
    other = fit(settings(), pixels, train, validation, 1, best_weighted_f1)
    assert not np.array_equal(predict_scores(other.logits, pixels, validation.rows), scores)
    again = fit(settings(), pixels, train, validation, 0, best_weighted_f1)
    assert np.array_equal(predict_scores(again.logits, pixels, validation.rows), scores)
    assert again.classifier is first.classifier
    for a, b in zip(first.history, again.history, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {
            k: v for k, v in b.items() if k != "seconds"
        }


def test_best_epoch_is_kept_and_patience_ends_training(data):
    pixels, train, validation = data
    values = iter([0.5, 0.9, 0.6, 0.9, 0.7, 0.7])
    kept = []

    def scripted(labels, scores):
        kept.append(scores)
        return next(values)

    recipe = {"epochs": 20, "batch": 16, "patience": 3}
    fitted = fit(settings(training=recipe), pixels, train, validation, 0, scripted)
    assert len(fitted.history) == 5  # best at 2, then three epochs without progress
    losses = [row["val_loss"] for row in fitted.history]
    best = 2 if losses[1] <= losses[3] else 4  # equal F1: the lower validation loss
    assert fitted.best_epoch == best
    scores = predict_scores(fitted.logits, pixels, validation.rows)
    np.testing.assert_array_equal(scores, kept[best - 1])


def test_one_step_an_epoch_can_be_asked_for(data):
    pixels, train, validation = data
    recipe = {"epochs": 1, "batch": 16, "steps_per_epoch": 1}
    fit(settings(training=recipe), pixels, train, validation, 0, best_weighted_f1)
    compiled = training._prepare(settings(training=recipe), 0)
    assert int(compiled.trainer.optimizer.iterations) == 0
    fit(settings(training=recipe), pixels, train, validation, 0, best_weighted_f1)
    assert int(compiled.trainer.optimizer.iterations) == 1


def test_a_loss_that_is_no_number_is_named(data, monkeypatch):
    pixels, train, validation = data
    broken = training._prepare(settings(), 0).trainer
    result = type("History", (), {"history": {"loss": [float("nan")], "f1": [0.0]}})
    monkeypatch.setattr(type(broken), "fit", lambda *args, **kwargs: result)
    with pytest.raises(DataError, match="loss became nan in epoch 1"):
        fit(settings(), pixels, train, validation, 0, best_weighted_f1)


def test_cross_entropy_is_plain_and_focal_has_its_settings():
    plain = training._prepare(settings(loss={"name": "cross_entropy"}), 0).loss.get_config()
    assert (plain["gamma"], plain["alpha"]) == (0.0, [1.0, 1.0])
    focal = training._prepare(settings(loss={"gamma": 1.5}), 0).loss.get_config()
    assert (focal["gamma"], focal["alpha"]) == (1.5, [0.75, 0.25])


JAX = """
import numpy as np
from lcc_utils.evaluation.metrics import best_weighted_f1
from lcc_utils.nn.losses import FocalLoss
from lcc_utils.nn.classifier import build_classifier, parameter_counts
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.nn.training import Cells, fit, predict_scores
import keras
assert keras.backend.backend() == "jax"
loss = float(FocalLoss()(np.array([[0.0, 1.0]]), np.array([[0.2, 0.8]])))
assert abs(loss - 0.25 * 0.04 * -np.log(0.8)) < 1e-7
model = build_classifier("small_cnn", 32, weights="none")
assert parameter_counts(model)["parameters_trainable"] == 387_434
labels = np.tile([1, 1, 1, 0], 24)
pixels = np.zeros((96, 32, 32, 3), np.uint8) + (100 * labels[:, None, None, None]).astype(np.uint8)
recipe = {"epochs": 2, "batch": 16, "steps_per_epoch": 1}
settings = ExperimentSettings(
    pixels={"size": 32}, model={"backbone": "small_cnn"}, training=recipe,
    augmentation={"policy": "paper", "target": "all"},
)
cells = Cells(np.arange(96), labels)
runs = []
for _ in range(2):
    fitted = fit(settings, pixels, cells, cells, 0, best_weighted_f1)
    runs.append(predict_scores(fitted.logits, pixels, cells.rows))
assert np.isfinite(runs[0]).all() and np.array_equal(*runs)
print("steps", len(fitted.history))
"""


@pytest.mark.jax
def test_model_loss_and_train_step_run_under_jax(root):
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", JAX], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["steps", "2"]
