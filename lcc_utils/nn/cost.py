"""What one image costs a network, counted from its layers: multiply-adds, no measurement."""

from __future__ import annotations

import math

import keras

from lcc_utils.errors import RequestError
from lcc_utils.nn.blocks import SqueezeExcite

__all__ = ["multiply_adds"]

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv2D,
)
# Layers with weights whose work is one or two operations a value; see the notes.
_UNCOUNTED = (keras.layers.BatchNormalization, keras.layers.Normalization)


def multiply_adds(model: keras.Model) -> int:
    """Return the multiply-adds of one image: those of convolutions and dense layers.

    A convolution multiplies each number of its kernel once at each place of its output, a dense
    layer each number of its matrix once.

    Parameters
    ----------
    model
        A functional model whose image side is fixed.

    Returns
    -------
    int
        Multiplications with an addition; floating-point operations are twice as many.

    Raises
    ------
    RequestError
        If a layer has trainable weights and is of no kind that is known here, or the side is open.

    Notes
    -----
    Biases, batch normalisation, activations, pooling and the scaling of channels are not counted,
    as in the numbers that papers state: they take one or two operations a value and a few per
    cent of the whole. A separable convolution counts as the two that it is made of.

    Examples
    --------
    Eight filters of 3 x 3 over three channels, moved to 4 x 4 places: 8 · 27 · 16.

    >>> image = keras.Input((8, 8, 3))
    >>> layer = keras.layers.Conv2D(8, 3, strides=2, padding="same")
    >>> multiply_adds(keras.Model(image, layer(image)))
    3456
    """
    return sum(_of_layer(layer) for layer in model.layers)


def _of_layer(layer: keras.Layer) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if isinstance(layer, SqueezeExcite):
        return _size(layer.reduce.kernel) + _size(layer.expand.kernel)
    if isinstance(layer, _CONVOLUTIONS):
        return _size(layer.kernel) * _places(layer)
    if isinstance(layer, keras.layers.SeparableConv2D):
        kernels = _size(layer.depthwise_kernel) + _size(layer.pointwise_kernel)
        return kernels * _places(layer)
    if isinstance(layer, keras.layers.Dense):
        return _size(layer.kernel) * _places(layer)
    if layer.trainable_weights and not isinstance(layer, _UNCOUNTED):
        raise RequestError(
            f"The multiply-adds of layer {layer.name!r} are not known: a "
            f"{type(layer).__name__} has weights and is not counted by nn.cost. Add its formula."
        )
    return 0


def _size(kernel: keras.Variable) -> int:
    return math.prod(kernel.shape)


def _places(layer: keras.Layer) -> int:
    """Return how many places a layer's output has, channels last."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise RequestError(
            f"The multiply-adds of layer {layer.name!r} are counted channels last, and it has "
            f"{layer.data_format}; build the model with data_format channels_last."
        )
    shape = layer.output.shape[1:-1]
    if None in shape:
        raise RequestError(
            f"The multiply-adds of layer {layer.name!r} depend on the image side, which is open; "
            "build the model for one side."
        )
    return math.prod(shape)
