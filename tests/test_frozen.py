"""Frozen features: computed once, from a backbone that saw no cell; and the head on them."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lcc_utils.errors import DataError
from lcc_utils.nn import frozen
from lcc_utils.nn.frozen import frozen_backbone, frozen_features
from lcc_utils.nn.head import fit_head
from lcc_utils.nn.settings import ExperimentSettings


def settings(**changes) -> ExperimentSettings:
    values = {
        "pixels": {"size": 32, "crop": 300},
        "model": {"backbone": "small_cnn", "frozen": True},
        "training": {"epochs": 1, "batch": 16},
    }
    return ExperimentSettings(**{**values, **changes})


@pytest.fixture(scope="module")
def cells():
    """Discs of two radii, and their classes; 150 cells are three batches."""
    rng = np.random.default_rng(0)
    labels = np.tile([1, 0], 75)
    axis = np.arange(32) - 15.5
    discs = (
        np.hypot(axis, axis[:, None]) < (8 + 3 * labels + rng.normal(0, 0.5, 150))[:, None, None]
    )
    pixels = discs[..., None] * rng.integers(40, 140, (150, 1, 1, 3))
    pixels[:, :, :16] = pixels[:, :, :16] * 0.8
    return pixels.astype(np.uint8), labels


@pytest.fixture(scope="module")
def features(cells, tmp_path_factory):
    return frozen_features(cells[0], settings(), "discs", tmp_path_factory.mktemp("cache"))


def test_features_are_finite_alive_and_tell_cells_apart(cells, features):
    assert features.dtype == np.float32
    assert features.shape == (150, 128)
    assert np.isfinite(features).all()
    assert 0.01 < np.median(features.std(axis=0)) < 10
    head = fit_head(features[:100], cells[1][:100])
    assert roc_auc_score(cells[1][100:], head.scores(features[100:])) > 0.95


def test_features_that_were_changed_in_the_cache_are_computed_again(cells, tmp_path):
    some = cells[0][:8]
    first = frozen_features(some, settings(), "some", tmp_path)
    (kept,) = tmp_path.glob("frozen-*")
    whole = bytearray(kept.read_bytes())
    for damaged in (whole[:-4], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        kept.write_bytes(damaged)
        assert np.array_equal(frozen_features(some, settings(), "some", tmp_path), first)
    assert kept.read_bytes() == whole


def test_a_feature_is_the_mean_over_the_last_map_of_the_calibrated_backbone(cells, features):
    model = frozen_backbone(settings())
    last = keras.Model(model.input, model.get_layer("relu_4").output)
    maps = np.asarray(last(cells[0][:3].astype("float32"), training=False))
    assert maps.shape == (3, 2, 2, 128)
    np.testing.assert_allclose(features[:3], maps.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)


def test_calibration_gives_each_normalisation_mean_0_and_variance_1_on_synthetic_cells():
    model = frozen_backbone(settings())
    synthetic = frozen._synthetic_cells(32, 300)
    assert synthetic.shape == (64, 32, 32, 3)
    assert synthetic.max() > 60
    for number in (1, 4):
        norm = keras.Model(model.input, model.get_layer(f"norm_{number}").output)
        out = np.asarray(norm(synthetic, training=False))
        assert np.abs(out.mean(axis=(0, 1, 2))).max() < 0.01
        # The normalisation divides by the root of variance + .001.
        variance = np.asarray(model.get_layer(f"norm_{number}").moving_variance)
        assert not np.allclose(variance, 1, atol=0.1)
        expected = variance / (variance + 1e-3)
        np.testing.assert_allclose(out.var(axis=(0, 1, 2)), expected, rtol=0.01, atol=1e-3)
        assert model.get_layer(f"norm_{number}").momentum == 0.9


def test_deep_backbones_stay_as_initialised_and_their_faint_features_count(cells, tmp_path):
    own = settings(model={"backbone": "mobilenetv2", "frozen": True})
    assert set(np.unique(frozen_backbone(own).get_layer("Conv_1_bn").moving_variance)) == {1.0}
    features = frozen_features(cells[0], own, "discs", tmp_path)
    assert 0 < np.median(features.std(axis=0)) < 1e-6
    head = fit_head(features[:100], cells[1][:100])
    assert roc_auc_score(cells[1][100:], head.scores(features[100:])) > 0.8


def test_the_random_backbone_is_one_and_the_same():
    first, second = (frozen_backbone(settings()).get_weights() for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_features_are_computed_once_and_read_then(cells, tmp_path, monkeypatch):
    first = frozen_features(cells[0][:20], settings(), "some", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1

    def never(*args):
        raise AssertionError("computed again")

    monkeypatch.setattr(frozen, "_compute", never)
    other_recipe = settings(training={"epochs": 9, "batch": 4}, loss={"name": "cross_entropy"})
    np.testing.assert_array_equal(
        frozen_features(cells[0][:20], other_recipe, "some", tmp_path), first
    )
    for changed, key in (
        (settings(), "others"),
        (settings(pixels={"size": 32, "crop": 450}), "some"),
        (settings(prediction={"views": 4}), "some"),
        (settings(precision="mixed_bfloat16"), "some"),
    ):
        with pytest.raises(AssertionError, match="computed again"):
            frozen_features(cells[0][:20], changed, key, tmp_path)


def test_a_computation_that_ends_early_leaves_nothing(cells, tmp_path, monkeypatch):
    def full(*args):
        raise MemoryError

    monkeypatch.setattr(frozen, "_compute", full)
    with pytest.raises(DataError, match=r"lower training\.batch or pixels\.size"):
        frozen_features(cells[0], settings(), "some", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_features_of_several_views_are_their_mean(cells, tmp_path):
    some = cells[0][:5]
    four = frozen_features(some, settings(prediction={"views": 4}), "some", tmp_path)
    turned = np.concatenate([np.rot90(some, k, axes=(1, 2)) for k in range(4)])
    each = frozen_features(turned, settings(), "turned", tmp_path).reshape(4, 5, -1)
    assert np.ptp(each, axis=0).max() > 0.01
    np.testing.assert_allclose(four, each.mean(axis=0), rtol=1e-5, atol=1e-6)
    again = np.rot90(some, axes=(1, 2))
    same = frozen_features(again, settings(prediction={"views": 4}), "again", tmp_path)
    np.testing.assert_allclose(four, same, rtol=1e-4, atol=1e-5)


def test_attention_and_head_are_no_part_of_the_frozen_backbone():
    model = frozen_backbone(settings())
    assert not {"attention", "fc_1", "logits"} & {layer.name for layer in model.layers}
    assert model.output.shape == (None, 128)


def gaussian(n=400, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.7).astype(int)
    features = rng.normal(size=(n, 6)) * [1, 10, 0.01, 1, 1, 1] + [0, 5, 0, 0, 0, 2]
    features[:, 1] += 8 * labels
    return features.astype("float32"), labels


def test_the_head_is_the_balanced_logistic_regression_of_scikit_learn():
    features, labels = gaussian()
    head = fit_head(features, labels, 0)
    reference = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", tol=1e-8)
    ).fit(features.astype(float), labels)
    expected = reference.predict_proba(features.astype(float))[:, 1]
    np.testing.assert_allclose(head.scores(features), expected, atol=1e-3)
    assert head.parameters == 7
    assert np.array_equal(fit_head(features, labels, 5).scores(features), head.scores(features))


def test_a_feature_without_spread_changes_no_score():
    features, labels = gaussian()
    features[:, 4] = 3.0
    head = fit_head(features, labels)
    assert head.weights[4] == 0
    fewer = np.delete(features, 4, axis=1)
    np.testing.assert_allclose(
        head.scores(features), fit_head(fewer, labels).scores(fewer), atol=1e-6
    )


def test_tiny_features_count_as_much_as_large_ones():
    features, labels = gaussian()
    scale = np.array([1e-6, 1e4, 1e3, 1, 1e-3, 1], "float32")
    np.testing.assert_allclose(
        fit_head(features * scale, labels).scores(features * scale),
        fit_head(features, labels).scores(features),
        atol=1e-4,
    )


def test_what_no_head_can_learn_from_is_named():
    features, labels = gaussian()
    with pytest.raises(DataError, match="400 training cells are of one class"):
        fit_head(features, np.ones_like(labels))
    features[[2, 7], 0] = np.nan
    with pytest.raises(DataError, match=r"2 training cell\(s\) have a feature that is not finite"):
        fit_head(features, labels)


def test_the_head_loads_no_framework(root):
    code = (
        "import sys, numpy as np; from lcc_utils.nn.head import fit_head; "
        "fit_head(np.eye(4, dtype='float32'), np.array([0, 1, 0, 1])); "
        "loaded = {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules); "
        "sys.exit(f'{loaded}' if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
