"""Layers of Keras that TensorFlow computes with fewer passes over their feature maps."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import keras
from keras import ops

__all__ = ["FusedActivation", "FusedBatchNormalization", "with_fused_layers"]

# TensorFlow raises a smaller one to this, for the sake of cuDNN.
_SMALLEST_EPSILON = 1.001e-5


@keras.saving.register_keras_serializable(package="lcc_utils")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation, computed by TensorFlow's fused kernel.

    Keras 3 writes it as a dozen operations, each of which passes over the feature map.
    Parameters, weights and results are those of ``keras.layers.BatchNormalization``, up to
    rounding. On other backends, for other inputs than feature maps in float32 or less, and with
    a mask, it is Keras' own.

    Notes
    -----
    Input and output: ``(batch, height, width, channels)``. The moving variance follows the
    variance of the batch as Keras has it, divided by the number of values and not by one less.
    Source: Ioffe and Szegedy, "Batch Normalization" (ICML 2015), algorithm 1.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the input, normalised over the batch in training, by what was learned after."""
        if mask is not None or not self._fusible(inputs):
            return super().call(inputs, training=training, mask=mask)
        from tensorflow.compat.v1.nn import fused_batch_norm

        channels = inputs.shape[-1:]
        scale = ops.convert_to_tensor(self.gamma) if self.scale else ops.ones(channels, "float32")
        offset = ops.convert_to_tensor(self.beta) if self.center else ops.zeros(channels, "float32")
        if not (training and self.trainable):
            known = [ops.convert_to_tensor(v) for v in (self.moving_mean, self.moving_variance)]
            return fused_batch_norm(
                inputs, scale, offset, *known, epsilon=self.epsilon, is_training=False
            )[0]
        normal, mean, variance = fused_batch_norm(
            inputs, scale, offset, epsilon=self.epsilon, is_training=True
        )
        # The kernel gives the unbiased variance, and for a single value that value's variance.
        values = ops.cast(ops.size(inputs) // inputs.shape[-1], "float32")
        variance = variance * ops.maximum(values - 1, 1) / values
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance)
        return normal

    def _fusible(self, inputs: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.epsilon > _SMALLEST_EPSILON
            and not (self.renorm or self.synchronized)
            and _kernel_takes(keras.backend.standardize_dtype(inputs.dtype))
        )

    def _follow(self, average: Any, found: Any) -> None:
        average.assign(average * self.momentum + found * (1.0 - self.momentum))


@lru_cache
def _kernel_takes(kind: str) -> bool:
    """Tell whether the fused kernel of this machine takes a float type.

    oneDNN has none for bfloat16 and float16 on some processors.
    """
    if kind not in ("bfloat16", "float16"):
        return kind == "float32"
    import tensorflow as tf

    with tf.init_scope():  # at once, also while a graph is traced
        try:
            tf.compat.v1.nn.fused_batch_norm(
                tf.zeros((1, 2, 2, 1), kind), tf.ones(1), tf.zeros(1), is_training=True
            )
        except tf.errors.OpError:
            return False
    return True


@keras.saving.register_keras_serializable(package="lcc_utils")
class FusedActivation(keras.layers.Activation):
    """Keras' activation, the gradient of SiLU computed with fewer passes.

    With s the sigmoid of x, the gradient of SiLU is s + x s (1 - s). TensorFlow writes it as five
    operations; here it is three, since one kernel gives the second term. Results are those of
    ``keras.layers.Activation``, up to rounding. Other activations, and other backends, are as
    Keras has them.

    Notes
    -----
    Input and output have one shape, whichever it is.
    Source: Elfwing et al., "Sigmoid-Weighted Linear Units for Neural Network Function
    Approximation in Reinforcement Learning" (2018), section 2.
    """

    def call(self, inputs: Any) -> Any:
        """Return the activation of the input."""
        if self.activation is not keras.activations.silu or keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        import tensorflow as tf

        @tf.custom_gradient
        def silu(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            sigmoid = tf.sigmoid(x)

            def gradient(above: tf.Tensor) -> tf.Tensor:
                with tf.name_scope(self.name):
                    return above * (sigmoid + tf.raw_ops.SigmoidGrad(y=sigmoid, dy=x))

            return x * sigmoid, gradient

        return silu(inputs)


_FUSED = {
    keras.layers.Activation: FusedActivation,
    keras.layers.BatchNormalization: FusedBatchNormalization,
}


def with_fused_layers(model: keras.Model) -> keras.Model:
    """Return a copy of a model whose activations and batch normalisations are fused.

    It has the weights of the model, and the state of its random draws. On another backend than
    TensorFlow, where these layers do what Keras' own do, it is the model itself.
    """
    if keras.backend.backend() != "tensorflow":
        return model

    def fused(layer: keras.Layer) -> keras.Layer:
        return _FUSED.get(type(layer), type(layer)).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=fused)
    for new, old in zip(copy.variables, model.variables, strict=True):
        new.assign(old)
    return copy
