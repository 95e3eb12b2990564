"""What squeeze-and-excitation gives: no map, but a weight for each channel of an image."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lcc_utils.errors import RequestError

__all__ = ["fixed_gate_logits", "se_weights"]

_BATCH = 64


def se_weights(
    model: keras.Model, images: np.ndarray, layer: str = "attention"
) -> NDArray[np.float32]:
    """Return what squeeze-and-excitation does give: a weight in 0 to 1 for each channel.

    Returns
    -------
    numpy.ndarray
        float32 ``(n, channels)``.

    Raises
    ------
    RequestError
        If the model has no such block.
    """
    block = _block(model, layer)
    below = keras.Model(model.input, block.input)
    images = np.asarray(images, np.float32)
    parts = [
        np.asarray(block.channel_weights(below(images[at : at + _BATCH])), np.float32)
        for at in range(0, len(images), _BATCH)
    ]
    return np.concatenate(parts)


def fixed_gate_logits(
    model: keras.Model, images: np.ndarray, weights: np.ndarray, layer: str = "attention"
) -> np.ndarray:
    """Return the logits of a model whose block gives every image the same channel weights.

    A block that gives all images the same weights is a constant, which the next layer could hold
    as well: what these logits lose is all that the block's attention adds.
    """
    block = _block(model, layer)
    below = keras.Model(model.input, block.input)
    above = keras.Model(block.output, model.output)
    images, weights = np.asarray(images, np.float32), np.asarray(weights, np.float32)
    if weights.shape != (block.output.shape[-1],):
        raise RequestError(
            f"The block has {block.output.shape[-1]} channels and takes one weight each; got the "
            f"shape {weights.shape}."
        )
    parts = [
        np.asarray(above(below(images[at : at + _BATCH]) * weights))
        for at in range(0, len(images), _BATCH)
    ]
    return np.concatenate(parts)


def _block(model: keras.Model, layer: str) -> Any:
    found = next((one for one in model.layers if one.name == layer), None)
    if not hasattr(found, "channel_weights"):
        raise RequestError(f"The model has no squeeze-and-excitation block named {layer}.")
    return found
