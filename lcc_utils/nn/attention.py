"""Maps of where a network looks.

Every map explains one class of each image: its logit less the other's, which is all that the
softmax knows of two classes. This module needs Keras on TensorFlow, for gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from lcc_utils.nn.channel_weights import se_weights
from lcc_utils.nn.explained import (
    BATCH,
    Maps,
    batches,
    checked,
    enlarged,
    explained,
    probability,
    probe_of,
    scaled,
    spread_out,
    tensorflow,
)

__all__ = ["grad_cam", "grad_cam_plus_plus", "saliency", "score_cam", "se_weights"]


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    targets: np.ndarray | None = None,
    layer: str | None = None,
) -> Maps:
    """Return Grad-CAM: feature maps weighed by the mean of their gradients, negative parts cut.

        ``L = relu(sum_k a_k A_k)``, ``a_k = mean over places of dy / dA_k``

    Parameters
    ----------
    model
        Ends in logits ``(batch, classes)``, or in one number.
    images
        ``(n, height, width, channels)``, as the model takes them.
    targets
        The class to explain of each image, int ``(n,)``; by default the one of larger logit.
    layer
        Whose output is weighed; by default the last with height and width.

    Returns
    -------
    numpy.ndarray
        float32 ``(n, height, width)``, each map divided by its largest value, so in 0 to 1; all
        zero where nothing speaks for the class.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the model has no layer with height and width.
    RequestError
        If Keras does not run on TensorFlow.

    Notes
    -----
    Source: Selvaraju et al., arXiv 1610.02391, section 3. A map is no finer than the feature
    map; it is enlarged bilinearly.
    """

    def weigh(_: Any, gradients: Any) -> Any:
        return keras.ops.mean(gradients, axis=(1, 2), keepdims=True)

    return _class_activation(model, images, targets, layer, weigh)


def grad_cam_plus_plus(
    model: keras.Model,
    images: np.ndarray,
    targets: np.ndarray | None = None,
    layer: str | None = None,
) -> Maps:
    """Return Grad-CAM++, which lets places with a positive gradient count by their share.

    With gradients ``g`` at each place, ``a_k = sum alpha relu(g)`` and
    ``alpha = g^2 / (2 g^2 + g^3 sum A_k)``; otherwise as :func:`grad_cam`.

    Notes
    -----
    Source: Chattopadhay et al., arXiv 1710.11063, section 3, for a score that is the exponential
    of the logit; the common factor is lost when a map is divided by its largest value.
    """

    def weigh(features: Any, gradients: Any) -> Any:
        total = keras.ops.sum(features, axis=(1, 2), keepdims=True)
        below = 2 * gradients**2 + total * gradients**3
        alpha = keras.ops.where(below != 0, gradients**2, 0.0) / keras.ops.where(
            below != 0, below, 1.0
        )
        return keras.ops.sum(alpha * keras.ops.relu(gradients), axis=(1, 2), keepdims=True)

    return _class_activation(model, images, targets, layer, weigh)


def score_cam(
    model: keras.Model,
    images: np.ndarray,
    targets: np.ndarray | None = None,
    max_channels: int = 32,
    layer: str | None = None,
) -> Maps:
    """Return Score-CAM: feature maps weighed by the probability that is left behind them.

    Each map, enlarged and brought to 0 to 1, masks the image; the softmax over the channels of
    the class's probabilities gives the weights. No gradient is used.

    Parameters
    ----------
    model, images, targets, layer
        As in :func:`grad_cam`.
    max_channels
        Only the channels that vary most over an image are taken: the cost is so many passes.

    Notes
    -----
    Source: Wang et al., arXiv 1910.01279, section 3. The probability of a black image is the
    same for all channels and leaves the softmax as it is.
    """
    images, targets = checked(model, images, targets)
    probe = probe_of(model, layer)
    maps = []
    for image, target in zip(images, targets, strict=True):
        features = probe.predict_on_batch(image[None])[0][0]
        varied = np.argsort(-features.std(axis=(0, 1)), kind="stable")[:max_channels]
        chosen = np.moveaxis(features[..., varied], -1, 0)
        masks = spread_out(enlarged(chosen, image.shape[:2]))
        outputs = np.concatenate(
            [
                model.predict_on_batch(image[None] * masks[at : at + BATCH, ..., None])
                for at in range(0, len(masks), BATCH)
            ]
        )
        passed = np.exp(probability(outputs, int(target)))
        maps.append(np.tensordot(passed / passed.sum(), chosen, axes=1))
    return scaled(enlarged(np.stack(maps), images.shape[1:3]))


def saliency(
    model: keras.Model,
    images: np.ndarray,
    targets: np.ndarray | None = None,
    smooth_samples: int = 8,
    noise: float = 0.1,
    seed: int = 0,
) -> Maps:
    """Return SmoothGrad: the gradient at each pixel, averaged over noisy copies of the image.

    Of the mean gradient, the largest size over the colours is taken.

    Parameters
    ----------
    model, images, targets
        As in :func:`grad_cam`.
    smooth_samples
        Noisy copies; 0 gives the plain gradient at the image itself.
    noise
        Standard deviation of the noise as a share of the image's range of values.
    seed
        Seed of the noise.

    Notes
    -----
    Source: Smilkov et al., arXiv 1706.03825, section 3.
    """
    images, targets = checked(model, images, targets)
    rng = np.random.default_rng(seed)
    gradient, maps = _input_gradient(model), []
    for some, own in batches(images, targets):
        deviation = noise * np.ptp(some, axis=(1, 2, 3), keepdims=True)
        total = np.zeros_like(some)
        for _ in range(max(smooth_samples, 1)):
            shift = rng.standard_normal(some.shape, np.float32) if smooth_samples else 0.0
            total += gradient(np.asarray(some + deviation * shift, np.float32), own)
        maps.append(np.abs(total).max(axis=-1))
    return scaled(np.concatenate(maps))


def _class_activation(
    model: keras.Model,
    images: np.ndarray,
    targets: np.ndarray | None,
    layer: str | None,
    weigh: Callable[[Any, Any], Any],
) -> Maps:
    images, targets = checked(model, images, targets)
    tf, probe = tensorflow(), probe_of(model, layer)
    maps = []
    for some, own in batches(images, targets):
        with tf.GradientTape() as tape:
            # Without this, a model without variables would leave no trace on the tape.
            inputs = tf.convert_to_tensor(some)
            tape.watch(inputs)
            features, outputs = probe(inputs)
            score = explained(outputs, own)
        gradients = tape.gradient(score, features)
        summed = keras.ops.sum(weigh(features, gradients) * features, axis=-1)
        maps.append(np.asarray(summed, np.float32))
    return scaled(enlarged(np.concatenate(maps), images.shape[1:3]))


def _input_gradient(model: keras.Model) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return what gives the gradient at each pixel, from images and targets, compiled once."""
    tf = tensorflow()
    signature = [tf.TensorSpec((None, *model.input.shape[1:])), tf.TensorSpec((None,), tf.int64)]

    @tf.function(input_signature=signature)
    def gradient(inputs: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            score = explained(model(inputs), targets)
        return tape.gradient(score, inputs)

    return lambda images, targets: np.asarray(gradient(images, targets))
