"""The classifier is the paper's, flat, scaled once, and says what it cannot do."""

from __future__ import annotations

import random
import threading

import keras
import numpy as np
import pytest

from lcc_utils import build_classifier
from lcc_utils.errors import RequestError
from lcc_utils.nn import classifier as module
from lcc_utils.nn.backbones import BACKBONES, backbone
from lcc_utils.nn.classifier import logits_model, parameter_counts, weights_path


def test_the_papers_model_has_the_stated_parts_and_14_038_272_trainable_parameters():
    model = build_classifier("efficientnetv2-b3", 96, weights="none")
    assert parameter_counts(model)["parameters_trainable"] == 14_038_272
    assert sum(int(np.prod(w.shape)) for w in model.get_layer("attention").weights) == 296_544
    head = ("fc_1", "fc_1_norm", "fc_2", "fc_2_norm", "logits")
    weights = [w for name in head for w in model.get_layer(name).trainable_weights]
    assert sum(int(np.prod(w.shape)) for w in weights) == 920_322


def test_without_attention_only_the_block_is_missing():
    full = build_classifier("small_cnn", 64, weights="none")
    without = build_classifier("small_cnn", 64, weights="none", attention=False)
    block = sum(int(np.prod(w.shape)) for w in full.get_layer("attention").weights)
    counts = [parameter_counts(model)["parameters_trainable"] for model in (full, without)]
    assert counts[0] - counts[1] == block


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_gives_probabilities_from_a_flat_model(name):
    size = max(64, backbone(name).minimum_size)
    model = build_classifier(name, size, weights="none")
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    momenta = {
        layer.momentum
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {0.9}
    pixels = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype("float32")
    p = np.asarray(model(pixels, training=False))
    assert p.shape == (2, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


def test_pixels_are_scaled_once():
    model = build_classifier("efficientnetv2-b0", 64, weights="none")
    found = [one for one in model.layers if isinstance(one, keras.layers.Normalization)]
    assert len(found) == 1
    inside = keras.Model(model.input, found[0].output)
    white = np.asarray(inside(np.full((1, 64, 64, 3), 255.0, "float32")))
    # (1 - mean) / standard deviation of ImageNet, by channel
    np.testing.assert_allclose(white[0, 0, 0], [2.2489, 2.4286, 2.64], rtol=1e-3)


def test_seed_decides_the_weights_and_leaves_pythons_own_state_alone():
    random.seed(5)
    expected = random.random()
    random.seed(5)
    first, second, other = (
        build_classifier("small_cnn", 32, weights="none", seed=seed) for seed in (1, 1, 2)
    )
    assert random.random() == expected
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [model.get_layer("conv_1").get_weights()[0] for model in (first, other)]
    assert not np.array_equal(*kernels)


def test_another_thread_that_draws_at_random_does_not_change_the_weights():
    alone = build_classifier("small_cnn", 32, weights="none", seed=4).get_weights()
    over = threading.Event()

    def draw() -> None:
        while not over.is_set():
            random.random()

    other = threading.Thread(target=draw)
    other.start()
    try:
        beside = build_classifier("small_cnn", 32, weights="none", seed=4).get_weights()
    finally:
        over.set()
        other.join()
    assert all(np.array_equal(a, b) for a, b in zip(alone, beside, strict=True))


def test_half_precision_keeps_the_output_in_float32():
    model = build_classifier("small_cnn", 32, weights="none", precision="mixed_bfloat16")
    assert model.get_layer("conv_1").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_logits_share_the_layers():
    model = build_classifier("small_cnn", 32, weights="none")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("float32")
    logits = np.asarray(logits_model(model)(pixels), "float64")
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, np.asarray(model(pixels)), rtol=1e-5)


def test_saved_model_gives_the_same_scores(tmp_path):
    model = build_classifier("small_cnn", 32, weights="none")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(model(pixels), again(pixels))


def test_missing_imagenet_weights_say_which_file_to_put_where(monkeypatch):
    def offline(**kwargs):
        raise OSError("no connection")

    monkeypatch.setattr(module.keras.applications, "EfficientNetV2B3", offline)
    with pytest.raises(RequestError) as error:
        build_classifier("efficientnetv2-b3", 64)
    message = str(error.value)
    assert "efficientnetv2-b3_notop.h5" in message
    assert str(weights_path("efficientnetv2-b3").parent) in message
    assert "model.weights to none" in message


@pytest.mark.parametrize(
    "name, size, weights, message",
    [
        ("efficientnetv2-b9", 96, "none", "not known; choose one of"),
        ("xception", 64, "none", "at least 71 px"),
        ("small_cnn", 64, "imagenet", "no ImageNet weights"),
    ],
)
def test_what_a_backbone_cannot_do_is_refused(name, size, weights, message):
    with pytest.raises(RequestError, match=message):
        build_classifier(name, size, weights=weights)
