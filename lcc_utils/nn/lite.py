"""EfficientNet-Lite: the EfficientNet without attention and with ReLU6, as flat Keras layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from lcc_utils.errors import RequestError
from lcc_utils.nn.lite_weights import lite_tensors

__all__ = ["efficientnet_lite"]

# Width, depth.
_SCALES = {
    "efficientnet-lite0": (1.0, 1.0),
    "efficientnet-lite1": (1.0, 1.1),
    "efficientnet-lite2": (1.1, 1.2),
}
# Repeats, kernel, stride of the first, expansion, filters.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280
_DROP_CONNECT = 0.2
_BLOCK_PARTS = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1"),
                "project": ("_project_conv", "_bn2")}  # fmt: skip


def efficientnet_lite(name: str, image: Any, weights: str = "none") -> Any:
    """Return the last feature map of EfficientNet-Lite0, 1 or 2 over images.

    Pixels 0 to 255 are brought to ``(x - 127) / 128``. A stem convolution (3 x 3, stride 2) is
    followed by inverted bottlenecks in seven stages and a 1 x 1 convolution to 1,280 channels,
    each convolution with batch normalisation and, but for the projections, ReLU6. Padding is
    TensorFlow's SAME: where a stride leaves an odd row, it is added below and to the right.
    A bottleneck with a skip is left out in training with a probability that rises to .2.

    Parameters
    ----------
    name
        ``efficientnet-lite0``, ``-lite1`` or ``-lite2``.
    image
        Keras tensor ``(batch, size, size, 3)``.
    weights
        ``none``, or ``imagenet`` for those published.

    Returns
    -------
    KerasTensor
        ``(batch, size / 32, size / 32, 1280)``, rounded up.

    Raises
    ------
    RequestError
        If the ImageNet weights are not on this machine, damaged, or another backbone's.

    Notes
    -----
    Source: Tan and Le, "EfficientNet" (ICML 2019), table 1; the variant without
    squeeze-and-excitation and with fixed stem and head is Google's EfficientNet-Lite (2020).
    """
    width, depth = _SCALES[name]
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescale")(image)
    x = _activated(_convolved(x, "stem", _STEM, 3, 2))
    plan = list(_blocks(width, depth))
    for number, (kernel, stride, expansion, filters) in enumerate(plan):
        x = _bottleneck(x, f"block_{number}", kernel, stride, expansion, filters,
                        _DROP_CONNECT * number / len(plan))  # fmt: skip
    x = _activated(_convolved(x, "head", _HEAD, 1))
    if weights == "imagenet":
        _fill(keras.Model(image, x), name, lite_tensors(name))
    return x


def _blocks(width: float, depth: float) -> Iterator[tuple[int, int, int, int]]:
    """Yield kernel, stride, expansion and filters of each bottleneck."""
    for place, (repeats, kernel, stride, expansion, filters) in enumerate(_STAGES):
        fixed = place in (0, len(_STAGES) - 1)
        for repeat in range(repeats if fixed else math.ceil(repeats * depth)):
            yield kernel, stride if repeat == 0 else 1, expansion, _scaled(filters, width)


def _scaled(filters: int, width: float, divisor: int = 8) -> int:
    """Return scaled filters as a multiple of the divisor, at most a tenth below."""
    wanted = filters * width
    found = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return found + divisor * (found < 0.9 * wanted)


def _bottleneck(
    x: Any, name: str, kernel: int, stride: int, expansion: int, filters: int, drop: float
) -> Any:
    before, channels = x, x.shape[-1]
    if expansion > 1:
        x = _activated(_convolved(x, f"{name}_expand", channels * expansion, 1))
    x = _activated(_convolved(x, f"{name}_depthwise", None, kernel, stride))
    x = _convolved(x, f"{name}_project", filters, 1)
    if stride > 1 or channels != filters:
        return x
    if drop:
        x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
    return layers.Add(name=f"{name}_add")([x, before])


def _convolved(x: Any, name: str, filters: int | None, kernel: int, stride: int = 1) -> Any:
    """Return a convolution with batch normalisation; one by channel if filters is None."""
    kind, first = (layers.Conv2D, (filters,)) if filters else (layers.DepthwiseConv2D, ())
    x = kind(
        *first, kernel, stride, "same", data_format="channels_last", use_bias=False,
        name=f"{name}_conv",
    )(x)  # fmt: skip
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_norm")(x)


def _activated(x: Any) -> Any:
    name = x._keras_history.operation.name.removesuffix("_norm")
    return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(x)


def _fill(model: keras.Model, name: str, tensors: dict[str, np.ndarray]) -> None:
    """Give every layer the tensors of its part."""
    try:
        for layer in model.layers:
            if layer.weights:
                layer.set_weights(_weights_of(layer, tensors))
    except (KeyError, ValueError) as error:
        raise RequestError(
            f"The weights file of {name} does not fit its layers ({error})."
        ) from error


def _weights_of(layer: keras.Layer, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    convolution, normalisation = _names(layer.name.rpartition("_")[0])
    if isinstance(layer, layers.BatchNormalization):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [tensors[f"{normalisation}.{part}"] for part in parts]
    kernel = tensors[f"{convolution}.weight"]
    # PyTorch has (out, in, height, width), and by channel (channels, 1, height, width).
    by_channel = isinstance(layer, layers.DepthwiseConv2D)
    return [kernel.transpose((2, 3, 0, 1) if by_channel else (2, 3, 1, 0))]


def _names(part: str) -> tuple[str, str]:
    """Return the authors' names of a part's convolution and normalisation."""
    if part in ("stem", "head"):
        return f"_conv_{part}", "_bn0" if part == "stem" else "_bn1"
    _, number, place = part.split("_")
    return tuple(f"_blocks.{number}.{own}" for own in _BLOCK_PARTS[place])
