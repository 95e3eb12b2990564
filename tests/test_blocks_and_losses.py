"""Squeeze-and-excitation and focal loss against numbers worked out by hand."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import ops

from lcc_utils import FocalLoss, SqueezeExcite


def test_squeeze_excite_multiplies_channels_by_worked_weights():
    block = SqueezeExcite(reduction=2)
    block.build((None, 1, 1, 2))
    block.reduce.set_weights([np.array([[1.0], [2.0]]), np.array([0.5])])
    block.expand.set_weights([np.array([[1.0, -1.0]]), np.array([0.0, 0.0])])
    x = np.array([[[[1.0, 0.0]], [[3.0, 2.0]]]], "float32")  # means 2 and 1
    # relu(2 * 1 + 1 * 2 + .5) = 4.5; sigmoid(4.5) and sigmoid(-4.5)
    up, down = 1 / (1 + math.exp(-4.5)), 1 / (1 + math.exp(4.5))
    np.testing.assert_allclose(ops.convert_to_numpy(block.channel_weights(x)), [[up, down]], 1e-6)
    expected = [[[[up, 0]], [[3 * up, 2 * down]]]]
    np.testing.assert_allclose(ops.convert_to_numpy(block(x)), expected, rtol=1e-5)


def test_squeeze_excite_has_two_dense_layers_of_parameters():
    block = SqueezeExcite(16)
    block.build((None, 12, 12, 1536))
    # 1536 * 96 + 96 + 96 * 1536 + 1536, as facts about the paper's model state
    assert block.count_params() == 296_544


def test_squeeze_excite_refuses_what_leaves_no_channel():
    with pytest.raises(ValueError, match="1 or more"):
        SqueezeExcite(0)
    with pytest.raises(ValueError, match="leaves no unit of 8 channels"):
        SqueezeExcite(16).build((None, 4, 4, 8))


def test_squeeze_excite_survives_saving(tmp_path):
    image = keras.Input((4, 4, 8))
    model = keras.Model(image, SqueezeExcite(4)(image))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    x = np.random.default_rng(0).random((2, 4, 4, 8), "float32")
    np.testing.assert_array_equal(model(x), again(x))


def loss_of(loss, y, p) -> float:
    return float(loss(np.array(y, "float32"), np.array(p)))


@pytest.mark.parametrize(
    "true, p, expected",
    [
        ([0, 1], [0.2, 0.8], 0.25 * 0.2**2 * -math.log(0.8)),
        ([1, 0], [0.2, 0.8], 0.75 * 0.8**2 * -math.log(0.2)),
        ([1, 0], [0.9, 0.1], 0.75 * 0.1**2 * -math.log(0.9)),
    ],
)
def test_focal_loss_worked_numbers(true, p, expected):
    assert loss_of(FocalLoss(), [true], [p]) == pytest.approx(expected, rel=1e-5)
    logits = np.log(p)
    assert loss_of(FocalLoss(from_logits=True), [true], [logits]) == pytest.approx(
        expected, rel=1e-5
    )


def test_gamma_zero_is_weighted_cross_entropy():
    rng = np.random.default_rng(0)
    y = np.eye(2)[rng.integers(0, 2, 50)]
    p = rng.dirichlet([1, 1], 50)
    weighted = np.mean((y * [0.75, 0.25]).sum(1) * -np.log((y * p).sum(1)))
    assert loss_of(FocalLoss(gamma=0), y, p) == pytest.approx(weighted, rel=1e-5)
    plain = float(keras.losses.CategoricalCrossentropy()(y, p))
    assert loss_of(FocalLoss(gamma=0, alpha=(1, 1)), y, p) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_focal_loss_is_finite_at_extremes_in_half_precision(kind):
    logits = ops.cast(np.array([[60.0, -60.0], [-60.0, 60.0], [0.0, 0.0]]), kind)
    y = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    each = ops.convert_to_numpy(FocalLoss(from_logits=True, reduction="none")(y, logits))
    # Surely wrong: .25 * 1 * 120; surely right: 0; undecided: .75 * .25 * log 2.
    np.testing.assert_allclose(each, [30.0, 0.0, 0.75 * 0.25 * math.log(2)], rtol=1e-3, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="uses TensorFlow's tape")
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_has_finite_gradients_everywhere(gamma):
    import tensorflow as tf

    logits = tf.Variable([[60.0, -60.0], [-60.0, 60.0], [0.0, 0.0]])
    y = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]], "float32")
    with tf.GradientTape() as tape:
        loss = FocalLoss(gamma=gamma, from_logits=True)(y, logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[0]).max() > 0.01


def test_assign_changes_the_loss_in_place():
    loss = FocalLoss()
    loss.assign(0.0, (1.0, 1.0))
    assert loss_of(loss, [[0, 1]], [[0.5, 0.5]]) == pytest.approx(math.log(2), rel=1e-5)


def test_negative_settings_are_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        FocalLoss(gamma=-1)
    with pytest.raises(ValueError, match="must not be negative"):
        FocalLoss(alpha=(0.5, -0.5))


def test_focal_loss_survives_serialisation():
    loss = FocalLoss(1.5, (0.6, 0.4), from_logits=True)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
