"""The maps of attention beside those of tf-keras-vis, which was written by others."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("maps of attention need Keras on TensorFlow", allow_module_level=True)

from lcc_utils.nn.attention import grad_cam, grad_cam_plus_plus, saliency, score_cam  # noqa: E402

TARGETS = np.array([0, 1, 1, 0, 1])


@pytest.fixture(scope="module")
def model():
    """A network whose feature map is as fine as the image, so that nothing is enlarged."""
    keras.utils.set_random_seed(3)
    image = keras.Input((12, 12, 3), name="image")
    features = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="features")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    hidden = keras.layers.Dense(8, activation="relu")(pooled)
    return keras.Model(image, keras.layers.Dense(2)(hidden))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 1, (len(TARGETS), 12, 12, 3)).astype("float32")


def margin(outputs):
    """The class's logit less the other's, which is what our maps explain."""
    return tf.stack([outputs[n, own] - outputs[n, 1 - own] for n, own in enumerate(TARGETS)])


def by_reference(name: str, model, images, score, **options) -> np.ndarray:
    """A map of tf-keras-vis, its negative part cut and divided by its largest value."""
    import tf_keras_vis.gradcam
    import tf_keras_vis.gradcam_plus_plus
    import tf_keras_vis.saliency
    import tf_keras_vis.scorecam

    kind = {
        "Gradcam": tf_keras_vis.gradcam, "GradcamPlusPlus": tf_keras_vis.gradcam_plus_plus,
        "Saliency": tf_keras_vis.saliency, "Scorecam": tf_keras_vis.scorecam,
    }[name]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its calls to Keras
        maps = np.maximum(getattr(kind, name)(model, clone=False)(score, images, **options), 0)
    return maps / maps.max(axis=(1, 2), keepdims=True)


def rank_correlations(first: np.ndarray, second: np.ndarray) -> list[float]:
    from scipy.stats import spearmanr

    return [
        float(spearmanr(a.ravel(), b.ravel()).statistic) for a, b in zip(first, second, strict=True)
    ]


def test_grad_cam_is_that_of_tf_keras_vis(model, images):
    own = grad_cam(model, images, TARGETS, layer="features")
    given = by_reference(
        "Gradcam", model, images, margin, penultimate_layer="features", normalize_cam=False
    )
    np.testing.assert_allclose(own, given, atol=1e-5)


def test_the_gradient_at_the_pixels_is_that_of_tf_keras_vis(model, images):
    own = saliency(model, images, TARGETS, smooth_samples=0)
    given = by_reference("Saliency", model, images, margin, normalize_map=False)
    np.testing.assert_allclose(own, given, atol=1e-5)


def test_grad_cam_plus_plus_orders_places_as_tf_keras_vis_does(model, images):
    # There the shares of a channel's places are brought to a sum of one, which the paper's
    # formula does not ask for; so the weights of channels differ a little.
    own = grad_cam_plus_plus(model, images, TARGETS, layer="features")
    given = by_reference(
        "GradcamPlusPlus", model, images, margin, penultimate_layer="features", normalize_cam=False
    )
    assert min(rank_correlations(own, given)) > 0.98


def test_score_cam_orders_places_as_tf_keras_vis_does(model, images):
    # There a channel's weight is the probability behind it, here that after a softmax over
    # channels, as in the paper; between the two lies a monotone change of the weights.
    own = score_cam(model, images, TARGETS, layer="features")

    def probabilities(outputs):
        return tf.stack([outputs[n, own] for n, own in enumerate(TARGETS)])

    given = by_reference(
        "Scorecam", model, images, probabilities,
        penultimate_layer="features", normalize_cam=False,
    )  # fmt: skip
    assert min(rank_correlations(own, given)) > 0.95
