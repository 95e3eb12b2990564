"""The backbones that a classifier can stand on: sizes, pixel ranges and weight files.

This table imports no framework, so that settings can be checked before one is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lcc_utils.errors import RequestError
from lcc_utils.nn.keras_file import keras_home


@dataclass(frozen=True)
class Backbone:
    """One convolutional network without its top.

    Attributes
    ----------
    name
        The name used in settings.
    application
        Its constructor in ``keras.applications``; None for networks defined in this package.
    minimum_size
        Smallest side in pixels that it accepts.
    pixel_mode
        How 0 to 255 pixels are prepared: a mode of ``imagenet_utils.preprocess_input``,
        or ``inside`` where the network rescales by itself.
    weights_file
        The file of its ImageNet weights without top, as Keras names it; that of EfficientNet-Lite
        as its authors do.
    """

    name: str
    application: str | None
    minimum_size: int
    pixel_mode: str
    weights_file: str | None = None


def _keras_file(stem: str) -> str:
    return f"{stem}_weights_tf_dim_ordering_tf_kernels_notop.h5"


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone("small_cnn", None, 32, "inside"),
        *(
            Backbone(
                f"efficientnetv2-b{n}",
                f"EfficientNetV2B{n}",
                32,
                "inside",
                f"efficientnetv2-b{n}_notop.h5",
            )
            for n in range(4)
        ),
        *(
            Backbone(
                f"efficientnet-lite{n}", None, 32, "inside", f"efficientnet-lite{n}-{part}.pth"
            )
            for n, part in enumerate(("57934424", "77cc7160", "9656183e"))
        ),
        Backbone("vgg16", "VGG16", 32, "caffe", _keras_file("vgg16")),
        Backbone("vgg19", "VGG19", 32, "caffe", _keras_file("vgg19")),
        Backbone("resnet50", "ResNet50", 32, "caffe", _keras_file("resnet50")),
        Backbone("xception", "Xception", 71, "tf", _keras_file("xception")),
        Backbone(
            "mobilenetv2",
            "MobileNetV2",
            32,
            "tf",
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        ),
    )
}


def keras_models() -> Path:
    """Return where Keras keeps downloaded weights: ``$KERAS_HOME/models``."""
    return keras_home() / "models"


def backbone(name: str, *, size: int | None = None, weights: str = "none") -> Backbone:
    """Return a backbone by name, checked against the image size and weights asked for.

    Parameters
    ----------
    name
        One of :data:`BACKBONES`.
    size
        Side of the square input in pixels, if known.
    weights
        ``none`` or ``imagenet``.

    Raises
    ------
    RequestError
        If the name is unknown, the size too small, or the network has no such weights.
    """
    if name not in BACKBONES:
        raise RequestError(
            f"model.backbone is {name!r}, which is not known; choose one of {', '.join(BACKBONES)}."
        )
    found = BACKBONES[name]
    if size is not None and size < found.minimum_size:
        raise RequestError(
            f"pixels.size is {size}, but {name} takes images of at least "
            f"{found.minimum_size} px; raise pixels.size or choose another model.backbone."
        )
    if weights == "imagenet" and found.weights_file is None:
        raise RequestError(
            f"model.weights is imagenet, but {name} has no ImageNet weights; "
            "set model.weights to none."
        )
    return found
