"""VGG16 as it was published, with the dense layers that hold most of its parameters.

Under the head of this package VGG16 has none of them, and with them a ninth of its parameters:
whoever compares a network with "VGG16" has to say which. Imports no framework until it is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

__all__ = ["ORIGINAL", "ORIGINAL_SIZE", "build_original"]

ORIGINAL = "vgg16-original"
# Its first dense layer fits the feature map of this side alone.
ORIGINAL_SIZE = 224


def build_original(precision: str = "float32") -> keras.Model:
    """Build VGG16 with its three dense layers and 1,000 classes, randomly initialised.

    Parameters
    ----------
    precision
        A Keras dtype policy: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``.

    Returns
    -------
    keras.Model
        Input ``image`` ``(batch, 224, 224, 3)``; output 1,000 probabilities, float32;
        138,357,544 parameters.

    Notes
    -----
    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
    recognition" (ICLR 2015), configuration D.
    """
    import keras

    from lcc_utils.nn.keras_settings import keras_settings

    with keras_settings(precision):
        image = keras.Input((ORIGINAL_SIZE, ORIGINAL_SIZE, 3), name="image", dtype="float32")
        top = keras.applications.VGG16(
            include_top=True, weights=None, input_tensor=image, classifier_activation=None
        )
        probability = keras.layers.Softmax(name="probability", dtype="float32")(top.output)
        return keras.Model(image, probability, name=ORIGINAL)
