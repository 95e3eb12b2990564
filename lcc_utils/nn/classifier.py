"""The classifier of the paper: backbone, attention and head, as one flat functional model."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
from keras.applications import imagenet_utils
from keras.src.random import seed_generator

from lcc_utils.errors import RequestError
from lcc_utils.nn.backbones import Backbone, backbone, keras_models
from lcc_utils.nn.blocks import SqueezeExcite
from lcc_utils.nn.fused import with_fused_layers
from lcc_utils.nn.keras_settings import keras_settings
from lcc_utils.nn.lite import efficientnet_lite

CLASSES = ("HEM", "ALL")
SCRATCH_MOMENTUM = 0.9
# Every layer with weights that does not belong to the backbone.
HEAD = ("attention", "fc_1", "fc_1_norm", "fc_2", "fc_2_norm", "logits")


def build_classifier(
    name: str = "efficientnetv2-b3",
    size: int = 384,
    *,
    attention: bool = True,
    reduction: int = 16,
    weights: str = "imagenet",
    precision: str = "float32",
    seed: int = 0,
    fused: bool = True,
) -> keras.Model:
    """Build the paper's classifier on one of the known backbones.

    Backbone without top, squeeze-and-excitation on its last feature map, global average
    pool, dropout .3, dense 512, batch normalisation, ReLU, dropout .2, dense 256, batch
    normalisation, ReLU, dense 2, softmax. The model is flat: its layers are those of the
    backbone followed by ours, so that class-activation methods reach each of them.

    Parameters
    ----------
    name
        A backbone of ``lcc_utils.nn.backbones.BACKBONES``.
    size
        Side of the square input in pixels.
    attention
        Whether the squeeze-and-excitation block is there.
    reduction
        Its bottleneck ratio.
    weights
        ``imagenet``, or ``none`` for random initialisation.
    precision
        A Keras dtype policy: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``.
    seed
        Seed of the random initialisation.
    fused
        Whether activations and batch normalisations take fewer passes (``nn.fused``). Without,
        the model is built in less time, and has the same variables.

    Returns
    -------
    keras.Model
        Input ``image`` ``(batch, size, size, 3)``, pixels 0 to 255; output
        ``probability`` ``(batch, 2)`` in the order of :data:`CLASSES`, float32. The layer
        ``logits`` holds the values before the softmax.

    Raises
    ------
    RequestError
        If the backbone is unknown, the size too small for it, or the ImageNet weights
        are neither on disk nor to be downloaded.

    Notes
    -----
    Source: arXiv 2601.01026, section 2; EfficientNetV2's own stochastic depth of .2 is
    kept. With EfficientNetV2-B3 the model has 14,038,272 trainable parameters. Data format, float
    type and epsilon are fixed, whatever ``keras.json`` says.
    """
    found = backbone(name, size=size, weights=weights)
    with keras_settings(precision), _seeded(seed):
        image = keras.Input((size, size, 3), name="image", dtype="float32")
        features = _features(found, image, weights)
        if attention:
            features = SqueezeExcite(reduction, name="attention")(features)
        model = keras.Model(image, _head(features), name=f"{name}{'-se' if attention else ''}")
        return with_fused_layers(model) if fused else model


def logits_model(classifier: keras.Model) -> keras.Model:
    """Return a model that shares the classifier's layers and ends before the softmax.

    It has the classifier's dtype policy, so that Keras scales its loss in float16 too.
    """
    with keras_settings(classifier.dtype_policy.name):
        output = classifier.get_layer("logits").output
        return keras.Model(classifier.input, output, name="logits_model")


def parameter_counts(model: keras.Model) -> dict[str, int]:
    """Return the numbers of trainable and of all parameters of a model.

    Counters and states of random generators are not parameters and are left out.
    """
    trainable = sum(math.prod(v.shape) for v in model.trainable_weights)
    total = sum(math.prod(v.shape) for v in model.weights)
    return {"parameters_trainable": trainable, "parameters_total": total}


def backbone_paths(classifier: keras.Model) -> frozenset[str]:
    """Return the paths of the backbone's weights; attention and head have the others."""
    return frozenset(
        weight.path
        for layer in classifier.layers
        if layer.name not in HEAD
        for weight in layer.weights
    )


def freeze_normalisations(classifier: keras.Model) -> None:
    """Keep the backbone's batch normalisations as they are while the rest is trained."""
    for layer in classifier.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.name not in HEAD:
            layer.trainable = False


def weights_path(name: str) -> Path:
    """Return where Keras looks for a backbone's ImageNet weights without top."""
    return keras_models() / str(backbone(name).weights_file)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Give Keras a source of its own to draw the seeds of layers from.

    ``keras.utils.set_random_seed`` would do, but on TensorFlow it also discards every
    compiled kernel of the process, which costs half a minute for a large network. To seed
    Python's random would not: other threads, such as those of Dask, draw from it meanwhile.
    Within ``keras_settings``, one thread at a time.
    """
    before = seed_generator.python_random
    seed_generator.python_random = random.Random(seed)
    try:
        yield
    finally:
        seed_generator.python_random = before


def _features(found: Backbone, image: Any, weights: str) -> Any:
    if found.name == "small_cnn":
        return _small_cnn(image)
    features = (
        _application(found, image, weights)
        if found.application
        else efficientnet_lite(found.name, image, weights)
    )
    if weights == "none":
        for layer in keras.Model(image, features).layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                # From scratch, a slower average leaves validation at chance for many epochs.
                layer.momentum = SCRATCH_MOMENTUM
    return features


def _application(found: Backbone, image: Any, weights: str) -> Any:
    x = image
    if found.pixel_mode != "inside":
        x = imagenet_utils.preprocess_input(
            image, data_format="channels_last", mode=found.pixel_mode
        )
    build = getattr(keras.applications, str(found.application))
    try:
        return build(
            include_top=False,
            weights=None if weights == "none" else weights,
            input_tensor=x,
            name=found.name,
        ).output
    except Exception as error:  # Keras raises a bare Exception when a download fails
        if weights == "none":
            raise
        raise RequestError(_missing_weights(found.name, error)) from error


def _missing_weights(name: str, error: Exception) -> str:
    path = weights_path(name)
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"The ImageNet weights of {name} could not be loaded ({reason}). Put the file "
        f"{path.name}, as Keras publishes it, into {path.parent}, or set model.weights to "
        "none to train from random initialisation."
    )


def _small_cnn(image: Any) -> Any:
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(image)
    for number, filters in enumerate((32, 64, 96, 128), start=1):
        x = keras.layers.Conv2D(
            filters, 3, strides=2, padding="same", use_bias=False, name=f"conv_{number}"
        )(x)
        x = keras.layers.BatchNormalization(momentum=SCRATCH_MOMENTUM, name=f"norm_{number}")(x)
        x = keras.layers.ReLU(name=f"relu_{number}")(x)
    return x


def _head(features: Any) -> Any:
    x = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    x = keras.layers.Dropout(0.3, name="drop_1")(x)
    x = _dense_block(x, 512, "fc_1")
    x = keras.layers.Dropout(0.2, name="drop_2")(x)
    x = _dense_block(x, 256, "fc_2")
    x = keras.layers.Dense(len(CLASSES), name="logits", dtype="float32")(x)
    return keras.layers.Softmax(name="probability", dtype="float32")(x)


def _dense_block(x: Any, units: int, name: str) -> Any:
    x = keras.layers.Dense(units, name=name)(x)
    x = keras.layers.BatchNormalization(momentum=SCRATCH_MOMENTUM, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
