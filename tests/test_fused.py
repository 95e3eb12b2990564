"""Fused layers against Keras' own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from lcc_utils.nn import fused
from lcc_utils.nn.fused import FusedActivation, FusedBatchNormalization, with_fused_layers


def maps(shape=(4, 5, 6, 3), seed=0) -> tf.Tensor:
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(2.0, 3.0, shape), "float32")


def pair(**settings) -> tuple[FusedBatchNormalization, keras.layers.BatchNormalization]:
    """Both layers with the same parameters, which are not those of a new layer."""
    both = FusedBatchNormalization(**settings), keras.layers.BatchNormalization(**settings)
    rng = np.random.default_rng(1)
    values = rng.uniform(0.5, 1.5, (4, 3)).astype("float32")
    for layer in both:
        layer.build((None, None, None, 3))
        layer.set_weights(values[: len(layer.weights)])
    return both


def close(a, b, tolerance=1e-5) -> None:
    np.testing.assert_allclose(np.array(a), np.array(b), rtol=tolerance, atol=tolerance)


def runs_fused(layer, x, training) -> bool:
    graph = tf.function(lambda x: layer(x, training=training)).get_concrete_function(x).graph
    return "FusedBatchNormV3" in {op.type for op in graph.get_operations()}


def test_two_values_are_worked_by_hand():
    # Mean 2, variance 1: normalised to -1 and 1, then times 3 plus 5. The moving averages,
    # 0 and 1 before, go a tenth of the way to 2 and to 1: not to 2, the unbiased variance.
    layer = FusedBatchNormalization(momentum=0.9, epsilon=2e-5)
    layer.build((None, 1, 1, 1))
    layer.set_weights([np.array([v], "float32") for v in (3.0, 5.0, 0.0, 1.0)])
    found = layer(tf.reshape([1.0, 3.0], (2, 1, 1, 1)), training=True)
    np.testing.assert_allclose(np.ravel(found), [2.0, 8.0], atol=1e-3)
    close(layer.moving_mean, [0.2])
    close(layer.moving_variance, [1.0])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("settings", [{}, {"scale": False}, {"center": False}, {"momentum": 0.5}])
def test_outputs_gradients_and_moving_averages_are_those_of_keras(training, settings):
    found = []
    for layer in pair(**settings):
        x = maps()
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y * maps(seed=2))
        found.append([y, *tape.gradient(loss, [x, *layer.trainable_weights]), *layer.weights])
    for a, b in zip(*found, strict=True):
        close(a, b, 2e-5)
    assert runs_fused(pair(**settings)[0], maps(), training)


def test_a_frozen_layer_does_not_follow_the_batch():
    layer, keras_own = pair()
    layer.trainable = keras_own.trainable = False
    before = [np.array(v) for v in layer.weights]
    close(layer(maps(), training=True), keras_own(maps(), training=True))
    for a, b in zip(before, layer.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_single_value_has_no_variance():
    ours, keras_own = pair()
    x = maps((1, 1, 1, 3))
    close(ours(x, training=True), keras_own(x, training=True))
    close(ours.moving_variance, keras_own.moving_variance)


def test_half_precision_goes_in_and_out_and_averages_stay_single():
    ours, keras_own = (
        kind(dtype="mixed_bfloat16")
        for kind in (FusedBatchNormalization, keras.layers.BatchNormalization)
    )
    found = [layer(maps(), training=True) for layer in (ours, keras_own)]
    assert found[0].dtype == found[1].dtype == tf.bfloat16
    close(tf.cast(found[0], "float32"), tf.cast(found[1], "float32"), 0.02)
    close(ours.moving_mean, keras_own.moving_mean, 0.01)
    assert ours.moving_variance.dtype == "float32"
    # oneDNN has no kernel for bfloat16 without AVX-512; the layer is then Keras's own.
    assert runs_fused(ours, maps(), True) == fused._kernel_takes("bfloat16")
    assert fused._kernel_takes("float32")


@pytest.mark.parametrize(
    "settings, shape",
    [({}, (8, 3)), ({"axis": 1}, (4, 3, 5, 6)), ({"epsilon": 1e-6}, (4, 5, 6, 3)),
     ({"renorm": True}, (4, 5, 6, 3)), ({"dtype": "float64"}, (4, 5, 6, 3))],
)  # fmt: skip
def test_what_the_kernel_does_not_do_is_left_to_keras(settings, shape):
    ours, keras_own = (
        FusedBatchNormalization(**settings),
        keras.layers.BatchNormalization(**settings),
    )
    x = tf.cast(maps(shape), ours.compute_dtype)
    close(ours(x, training=True), keras_own(x, training=True))
    close(ours.moving_variance, keras_own.moving_variance)
    assert not runs_fused(ours, x, True)


def test_masked_inputs_are_left_to_keras():
    ours, keras_own = pair()
    mask = tf.constant(np.arange(4 * 5 * 6).reshape(4, 5, 6) % 3 == 0)
    close(ours(maps(), training=True, mask=mask), keras_own(maps(), training=True, mask=mask))
    close(ours.moving_mean, keras_own.moving_mean)


def activated(layer, x) -> list[tf.Tensor]:
    """Output, gradient, and the gradient of the sum of its squares."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        gradient = tape.gradient(y, x)
        squares = tf.reduce_sum(tf.cast(gradient, "float32") ** 2)
    return [y, gradient, outer.gradient(squares, x)]


@pytest.mark.parametrize("name", ["silu", "swish", "relu", "sigmoid"])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("bfloat16", 0.03)])
def test_activation_and_its_gradients_are_those_of_keras(name, dtype, tolerance):
    x = tf.cast(maps(), dtype)
    layers = FusedActivation(name, dtype=dtype), keras.layers.Activation(name, dtype=dtype)
    for a, b in zip(*(activated(layer, x) for layer in layers), strict=True):
        assert a.dtype == b.dtype == dtype
        close(tf.cast(a, "float32"), tf.cast(b, "float32"), tolerance)


def test_gradient_of_silu_at_0_is_a_half_and_takes_one_kernel_for_its_second_term():
    layer = FusedActivation("silu")

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, x)

    assert gradient(tf.zeros(1)).numpy() == 0.5
    graph = gradient.get_concrete_function(tf.TensorSpec((1,))).graph
    assert "SigmoidGrad" in {op.type for op in graph.get_operations()}


def test_a_copy_keeps_names_weights_draws_and_scores():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.BatchNormalization(momentum=0.7, name="norm")(x)
    x = keras.layers.Activation("silu", name="active")(x)
    x = keras.layers.Dropout(0.5, name="drop")(x)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), name="small")
    model.get_layer("norm").set_weights(np.random.default_rng(0).uniform(0.5, 1, (4, 4)))
    copy = with_fused_layers(model)
    assert (copy.name, [v.path for v in copy.weights]) == ("small", [v.path for v in model.weights])
    assert type(copy.get_layer("norm")) is FusedBatchNormalization
    assert copy.get_layer("norm").momentum == 0.7
    assert type(copy.get_layer("active")) is FusedActivation
    assert copy.get_layer("active").activation is keras.activations.silu
    close(copy(maps((2, 8, 8, 3))), model(maps((2, 8, 8, 3))))
    # Dropout drops the same.
    first, second = (one(maps((2, 8, 8, 3)), training=True) for one in (copy, model))
    close(first, second)
    # What the layers of the copy give lies on the way from its own input.
    inside = keras.Model(copy.input, copy.get_layer("norm").output)
    assert inside(maps((2, 8, 8, 3))).shape == (2, 6, 6, 4)
