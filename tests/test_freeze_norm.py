"""Batch normalisations of the backbone that stay as they are while the rest is trained."""

from __future__ import annotations

import numpy as np

from lcc_utils.nn.compiled import prepare
from lcc_utils.nn.settings import ExperimentSettings


def _settings(**training: object) -> ExperimentSettings:
    return ExperimentSettings(
        pixels={"size": 32},
        model={"backbone": "small_cnn"},
        augmentation={"policy": "none"},
        training={"epochs": 1, "batch": 8, "learning_rate": 0.01, **training},
    )


def test_frozen_normalisations_keep_scales_and_statistics_and_the_rest_learns():
    model = prepare(_settings(freeze_norm=True), seed=0)
    before = {w.path: np.array(w) for w in model.classifier.weights}
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype("float32")
    targets = np.eye(2, dtype="float32")[[0, 1] * 4]
    model.schedule.assign(0.01, 4)
    for _ in range(3):
        model.trainer.train_on_batch((images, np.zeros(8, "float32")), targets)
    moved = {
        path for path, value in before.items()
        if not np.array_equal(value, next(w for w in model.classifier.weights if w.path == path))
    }  # fmt: skip
    assert not any(path.startswith("norm_") for path in moved)
    assert {"conv_1/kernel", "fc_1_norm/moving_mean", "logits/kernel"} <= moved

    # The same model starts again as a new one does, with its normalisations still frozen.
    again = prepare(_settings(freeze_norm=True), seed=0)
    assert again is model
    assert all(np.array_equal(before[w.path], w) for w in again.classifier.weights)


def test_the_setting_is_part_of_a_key_only_where_it_is_set():
    assert "freeze_norm" not in _settings().relevant()["training"]
    assert _settings(freeze_norm=True).relevant()["training"]["freeze_norm"] is True
