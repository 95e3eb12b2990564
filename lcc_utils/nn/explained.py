"""What every map has in common: the number that it explains, its size and its scale."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lcc_utils.errors import RequestError

Maps = NDArray[np.float32]
BATCH = 64


def feature_layer(model: keras.Model) -> str:
    """Return the name of the last layer whose output has height and width."""
    spatial = [one.name for one in model.layers if len(getattr(one.output, "shape", ())) == 4]
    if not spatial:
        raise ValueError("The model has no layer with height and width to draw a map from.")
    return spatial[-1]


def explained(outputs: Any, targets: np.ndarray) -> Any:
    """Return what is explained: the class's logit less the mean of the others'."""
    classes = outputs.shape[-1]
    if classes == 1:
        return outputs[:, 0]
    own = keras.ops.sum(outputs * keras.ops.one_hot(targets, classes, dtype=outputs.dtype), axis=-1)
    return own - (keras.ops.sum(outputs, axis=-1) - own) / (classes - 1)


def probability(outputs: np.ndarray, target: int) -> np.ndarray:
    """Return the probability of a class from logits; of a model of one output, that output."""
    if outputs.shape[-1] == 1:
        return outputs[:, 0]
    return np.asarray(keras.ops.softmax(outputs, axis=-1))[:, target]


def checked(
    model: keras.Model, images: np.ndarray, targets: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return images as float32 and the class to explain of each; shapes are checked."""
    tensorflow()
    images = np.asarray(images, np.float32)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images must be (n, height, width, channels), got {images.shape}")
    if targets is None:
        outputs = [np.asarray(model(some)) for some, _ in batches(images, np.zeros(len(images)))]
        targets = np.concatenate(outputs).argmax(axis=-1)
    targets = np.asarray(targets, np.int64)
    if targets.shape != (len(images),):
        raise ValueError(f"{len(images)} images need as many targets, got {targets.shape}")
    classes = model.output.shape[-1]
    if targets.min() < 0 or targets.max() >= max(classes, 2):
        raise ValueError(f"targets must be classes 0 to {classes - 1}, got {np.unique(targets)}")
    return images, targets


def probe_of(model: keras.Model, layer: str | None) -> keras.Model:
    """Return a model that gives a layer's output, by default the last feature map, and its own."""
    for own in model.layers:
        if getattr(own, "data_format", "channels_last") != "channels_last":
            raise RequestError(
                f"Maps are drawn channels last, and layer {own.name!r} has {own.data_format}; "
                "build the model with data_format channels_last."
            )
    features = model.get_layer(layer or feature_layer(model)).output
    return keras.Model(model.input, [features, model.output])


def batches(images: np.ndarray, targets: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Part images and targets in batches."""
    starts = range(0, len(images), BATCH)
    return [(images[at : at + BATCH], targets[at : at + BATCH]) for at in starts]


def enlarged(maps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return maps ``(n, h, w)`` bilinearly brought to another height and width."""
    resized = keras.ops.image.resize(
        np.asarray(maps, np.float32)[..., None], tuple(shape), data_format="channels_last"
    )
    return np.asarray(resized)[..., 0]


def spread_out(maps: np.ndarray) -> np.ndarray:
    """Bring each map to 0 to 1, a constant one to zeros."""
    low = maps.min(axis=(1, 2), keepdims=True)
    width = maps.max(axis=(1, 2), keepdims=True) - low
    return (maps - low) / np.where(width > 0, width, 1.0)


def scaled(maps: np.ndarray) -> Maps:
    """Cut what is negative, and divide each map by its largest value."""
    maps = np.maximum(maps, 0.0)
    most = maps.max(axis=(1, 2), keepdims=True)
    return (maps / np.where(most > 0, most, 1.0)).astype(np.float32)


def tensorflow() -> Any:
    """Return TensorFlow, whose tape gives gradients; refuse other backends."""
    if keras.backend.backend() != "tensorflow":
        raise RequestError(
            "Maps of attention need Keras on TensorFlow; set KERAS_BACKEND to tensorflow."
        )
    import tensorflow

    return tensorflow
