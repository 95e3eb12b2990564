"""Losses, layers, optimizers and metrics with shapes, settings and machines that people have."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

from lcc_utils import FocalLoss, SqueezeExcite
from lcc_utils.data.drawing import draw_cell, draw_patient
from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.metrics import best_weighted_f1, evaluate
from lcc_utils.evaluation.reliability import brier_score
from lcc_utils.nn import compiled
from lcc_utils.nn.augment import Augmentation
from lcc_utils.nn.classifier import build_classifier
from lcc_utils.nn.policies import Policy
from lcc_utils.nn.schedules import Constant, LayerwiseAdamW, OneCycle
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.nn.settings import Loss as LossSettings
from lcc_utils.nn.training import Cells, fit

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
NAN, INF = float("nan"), float("inf")

# Labels and predictions of four cells that NumPy would broadcast to something.
MISMATCHED = {
    "a column of labels": ((4, 1), (4, 2)),
    "integer labels": ((4,), (4, 2)),
    "a sigmoid": ((4, 1), (4, 1)),
    "a sigmoid, one-hot labels": ((4, 2), (4, 1)),
    "a flat sigmoid": ((4,), (4,)),
    "three classes": ((4, 3), (4, 3)),
    "one label for all": ((1, 2), (4, 2)),
    "a map": ((4, 5, 2), (4, 5, 2)),
}


@pytest.mark.parametrize("kind", MISMATCHED)
@pytest.mark.parametrize("from_logits", [False, True])
def test_a_focal_loss_names_shapes_that_do_not_match(kind, from_logits):
    true, predicted = MISMATCHED[kind]
    loss = FocalLoss(from_logits=from_logits, reduction="none")
    with pytest.raises(ValueError, match=r"one_hot\(labels, 2\).*to_categorical") as error:
        loss(np.ones(true, "float32"), np.full(predicted, 0.5, "float32"))
    assert str(true) in str(error.value)
    assert str(predicted) in str(error.value)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="traces a graph of TensorFlow")
@pytest.mark.parametrize("kind", [kind for kind in MISMATCHED if kind != "one label for all"])
def test_a_focal_loss_names_them_while_a_graph_is_traced(kind):
    import tensorflow as tf

    true, predicted = ((None, *shape[1:]) for shape in MISMATCHED[kind])
    traced = tf.function(
        FocalLoss(), input_signature=[tf.TensorSpec(true), tf.TensorSpec(predicted)]
    )
    with pytest.raises(ValueError, match="one_hot"):
        traced.get_concrete_function()


@pytest.mark.skipif(not ON_TENSORFLOW, reason="traces a graph of TensorFlow")
def test_sizes_that_only_the_running_graph_knows_are_not_broadcast():
    import tensorflow as tf

    def run(signature, true, predicted):
        each = FocalLoss(reduction="none")
        return tf.function(each, input_signature=signature)(
            tf.ones(true) / 2, tf.fill(predicted, 0.5)
        )

    batches = [tf.TensorSpec((None, 2)), tf.TensorSpec((None, 2))]
    assert run(batches, (4, 2), (4, 2)).shape == (4,)
    with pytest.raises(tf.errors.InvalidArgumentError, match="one_hot"):
        run(batches, (1, 2), (4, 2))
    anything = [tf.TensorSpec(None), tf.TensorSpec((None, 2))]
    assert run(anything, (4, 2), (4, 2)).shape == (4,)
    with pytest.raises(tf.errors.InvalidArgumentError, match="one_hot"):
        run(anything, (4, 1), (4, 2))
    nothing = [tf.TensorSpec(None), tf.TensorSpec(None)]
    assert run(nothing, (4, 2), (4, 2)).shape == (4,)
    for alike in ((4, 1), (4, 3), (2,), (4, 5, 2)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"one_hot|Incompatible"):
            run(nothing, alike, alike)


def test_a_model_with_one_sigmoid_does_not_train_with_a_focal_loss():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(loss=FocalLoss())
    with pytest.raises(ValueError, match="FocalLoss takes labels and predictions"):
        model.fit(np.ones((8, 3), "float32"), np.ones((8, 1), "float32"), verbose=0)


@pytest.mark.parametrize("shape", [(4, 2), (1, 4), (4, 4), (3,), (1,)])
def test_sample_weights_are_one_number_a_cell(shape):
    y, p = np.eye(2)[[0, 1, 0, 1]], np.full((4, 2), 0.5)
    with pytest.raises(ValueError, match=r"one weight a cell.*\(4, 2\)"):
        FocalLoss()(y, p, sample_weight=np.ones(shape))


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_sample_weights_count_each_cell_as_they_say(shape):
    y, p = np.eye(2)[[0, 1, 0, 1]], np.full((4, 2), 0.5)
    found = FocalLoss(reduction="sum")(y, p, sample_weight=np.reshape([1.0, 0, 0, 2], shape))
    each = 0.25 * math.log(2)
    assert float(found) == pytest.approx(0.75 * each + 2 * 0.25 * each, rel=1e-5)


def test_smoothed_labels_follow_the_formula():
    found = FocalLoss()(np.array([[0.1, 0.9]]), np.array([[0.2, 0.8]]))
    expected = 0.75 * 0.1 * 0.8**2 * -math.log(0.2) + 0.25 * 0.9 * 0.2**2 * -math.log(0.8)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_class_weights_by_index_are_taken_as_they_say():
    for alpha in ({0: 0.75, 1: 0.25}, {1: 0.25, 0: 0.75}, np.array([0.75, 0.25])):
        assert FocalLoss(alpha=alpha).get_config()["alpha"] == [0.75, 0.25]
    loss = FocalLoss()
    loss.assign(1.0, {1: 3.0, 0: 2.0})
    assert loss.get_config()["alpha"] == [2.0, 3.0]


BAD_WEIGHTS = {
    "a mapping from 1": {1: 0.75, 2: 0.25},
    "a mapping by name": {"HEM": 0.75, "ALL": 0.25},
    "one number": 0.25,
    "text": "balanced",
    "a set": {0.75, 0.25},
    "a matrix": np.eye(2),
    "one class": (1.0,),
    "no class": (),
    "not a number": (0.5, NAN),
    "infinite": (INF, 0.5),
    "negative": (0.5, -0.5),
    "nothing": (0.0, 0.0),
    "text in it": (0.5, "0.5"),
    "infinite in float32": (0.5, 1e39),
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_class_weights_that_mean_nothing_are_refused(kind):
    with pytest.raises(ValueError, match="alpha"):
        FocalLoss(alpha=BAD_WEIGHTS[kind])
    loss = FocalLoss()
    with pytest.raises(ValueError, match="alpha"):
        loss.assign(2.0, BAD_WEIGHTS[kind])
    assert loss.get_config()["alpha"] == [0.75, 0.25]


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="3 weights and the loss 2 classes"):
        FocalLoss().assign(2.0, (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"\(batch, 3\)"):
        FocalLoss(alpha=(1.0, 1.0, 1.0))(np.eye(2), np.full((2, 2), 0.5))


@pytest.mark.parametrize("gamma", [NAN, INF, -1, "2", None, True, 1e39])
def test_an_exponent_that_means_nothing_is_refused(gamma):
    with pytest.raises(ValueError, match="gamma"):
        FocalLoss(gamma=gamma)
    with pytest.raises(ValueError, match="gamma"):
        FocalLoss().assign(gamma, (1.0, 1.0))


@pytest.mark.parametrize(
    "values",
    [
        {"alpha": (0.5, NAN)},
        {"alpha": (0.0, 0.0)},
        {"alpha": (1, -1)},
        {"gamma": INF},
        {"gamma": 1e39},
        {"alpha": (1, 1e39)},
    ],
)
def test_settings_of_a_run_refuse_the_same(values):
    with pytest.raises((ValueError, RequestError)):
        LossSettings(**values)


REFUSED: dict[str, Callable] = {
    "a switch as text": lambda: FocalLoss(from_logits="False"),
    "no switch": lambda: FocalLoss(from_logits=None),
    "reduction 0": lambda: SqueezeExcite(0),
    "reduction of a fraction": lambda: SqueezeExcite(2.5),
    "reduction that is no number": lambda: SqueezeExcite(NAN),
    "more than the channels": lambda: SqueezeExcite(16)(np.ones((1, 4, 4, 8), "float32")),
    "no feature map": lambda: SqueezeExcite(2)(np.ones((4, 8), "float32")),
    "an unknown format": lambda: SqueezeExcite(2, data_format="NCHW"),
    "a peak of 0": lambda: OneCycle(0.0, 10),
    "a peak that is no number": lambda: OneCycle(NAN, 10),
    "an infinite peak": lambda: OneCycle(1e-3, 10).assign(INF, 10),
    "no steps": lambda: OneCycle(1e-3, 0),
    "half a step": lambda: OneCycle(1e-3, 10.5),
    "infinitely many steps": lambda: OneCycle(1e-3, INF),
    "a negative rate": lambda: Constant(-1e-3),
    "a rate that becomes no number": lambda: Constant(1e-3).assign(NAN, 1),
    "a rate that is no number": lambda: LayerwiseAdamW(NAN),
    "a share of 0": lambda: LayerwiseAdamW(1e-3, share=0.0),
    "a share above 1": lambda: LayerwiseAdamW(1e-3, share=2.0),
    "negative decay": lambda: LayerwiseAdamW(1e-3, -0.1),
    "one path as text": lambda: LayerwiseAdamW(1e-3, 0.0, 0.5, "slow"),
    "paths of other variables": lambda: LayerwiseAdamW(1e-3, 0.0, 0.5, ["slow"]).build(
        [keras.Variable(np.ones(2), name="fast")]
    ),
    "a probability of 2": lambda: Policy(horizontal_flip=2.0),
    "a negative angle": lambda: Policy(rotation=-10.0),
    "noise that is no number": lambda: Policy(noise=NAN),
    "a scale that turns inside out": lambda: Policy(scale=1.5),
    "an unknown property": lambda: Augmentation({"rotate": 10.0}),
    "an unknown policy": lambda: Augmentation("papers"),
    "flags for other images": lambda: Augmentation("paper")(np.ones((4, 8, 8, 3)), np.ones(1)),
    "channels first": lambda: Augmentation("paper")(np.ones((4, 3, 8, 8)), np.ones(4)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_settings_of_layers_and_schedules_are_checked(kind):
    with pytest.raises((ValueError, RequestError), match=r"\w{3}.* .*\w"):
        REFUSED[kind]()


def test_an_optimizer_does_not_ignore_what_keras_lets_one_set():
    """AMSGrad, and variables without weight decay."""
    found = []
    for kind in (LayerwiseAdamW, keras.optimizers.AdamW):
        optimizer = kind(0.01, weight_decay=0.5, amsgrad=True)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        values = [keras.Variable(np.ones(2, "float32"), name=name) for name in ("kernel", "bias")]
        optimizer.build(values)
        for size in (1.0, 0.01, 0.01):
            optimizer.apply([ops.full((2,), size) for _ in values], values)
        found.append(np.array([ops.convert_to_numpy(value) for value in values]))
    # Some steps in float32, in another order of operations.
    np.testing.assert_allclose(*found, rtol=1e-5)


@pytest.mark.parametrize(
    "measure", [lambda y, s: evaluate(y, s, 0.5), best_weighted_f1, brier_score]
)
@pytest.mark.parametrize(
    "shapes", [((4, 1), (4,)), ((4,), (4, 1)), ((2, 2), (4,)), ((4, 2), (4, 2))]
)
def test_metrics_do_not_pair_arrays_of_other_shapes(measure, shapes):
    labels, scores = np.resize([0, 1], shapes[0]), np.full(shapes[1], 0.5)
    with pytest.raises(DataError, match="one label and one score") as error:
        measure(labels, scores)
    assert str(shapes[0]) in str(error.value)


@pytest.mark.parametrize(
    "parts",
    [
        (np.arange(4), np.ones((4, 1), int)),
        (np.arange(4), np.ones(3, int)),
        (np.arange(4), np.array([1, 2, 1, 2])),
        (np.arange(4), np.ones(4, int), np.array(["a"])),
    ],
)
def test_cells_of_a_training_are_paired_one_to_one(parts):
    with pytest.raises(RequestError, match="Cells takes"):
        Cells(*parts)


# A keras.json of a user: the first three settings that Keras reads from it.
MACHINES = [
    {"image_data_format": "channels_first", "floatx": "float64", "epsilon": 1e-3},
    {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-2},
]


@pytest.fixture(params=MACHINES, ids=lambda values: values["floatx"])
def machine(request):
    """Keras as that file leaves it; the functions below must find it so again."""
    config = keras.config
    before = config.image_data_format(), config.floatx(), config.epsilon(), config.dtype_policy()

    def configure(layout, kind, epsilon, policy):
        config.set_image_data_format(layout)
        config.set_floatx(kind)
        config.set_epsilon(epsilon)
        config.set_dtype_policy(policy)

    own = tuple(request.param[name] for name in ("image_data_format", "floatx", "epsilon"))
    configure(*own, own[1])
    yield
    assert (config.image_data_format(), config.floatx(), config.epsilon()) == own
    assert config.dtype_policy().name == own[1]
    configure(*before)


@pytest.mark.usefixtures("machine")
def test_squeeze_excite_averages_height_and_width_whatever_keras_json_says():
    x = np.random.default_rng(0).random((1, 8, 5, 8), "float32")
    block = SqueezeExcite(2, dtype="float32")
    block.build(x.shape)
    means = x.mean(axis=(1, 2))
    np.testing.assert_allclose(ops.convert_to_numpy(block.squeeze(x)), means, rtol=1e-5)
    weights = ops.convert_to_numpy(block.channel_weights(x))
    assert weights.shape == (1, 8)
    np.testing.assert_allclose(
        ops.convert_to_numpy(block(x)), x * weights[:, None, None], rtol=1e-5
    )


def test_squeeze_excite_can_be_told_that_channels_come_first():
    x = np.random.default_rng(0).random((2, 3, 5, 8), "float32")
    last, first = SqueezeExcite(2), SqueezeExcite(2, data_format="channels_first")
    turned = np.moveaxis(x, -1, 1)
    last.build(x.shape)
    first.build(turned.shape)
    first.set_weights(last.get_weights())
    found = np.moveaxis(ops.convert_to_numpy(first(turned)), 1, -1)
    np.testing.assert_allclose(found, ops.convert_to_numpy(last(x)), rtol=1e-5)
    again = SqueezeExcite.from_config(first.get_config())
    assert (again.data_format, again.reduction) == ("channels_first", 2)


@pytest.mark.usefixtures("machine")
def test_a_focal_loss_computes_in_float32_with_its_own_epsilon():
    found = FocalLoss(gamma=0, alpha=(1, 1))(np.array([[0.0, 1.0]]), np.array([[0.9995, 0.0005]]))
    # float16 would give 7.5996, an epsilon of .001 6.9078.
    assert float(found) == pytest.approx(-math.log(0.0005), rel=1e-6)


@pytest.mark.usefixtures("machine")
def test_augmentation_turns_images_whatever_keras_json_says():
    images = np.random.default_rng(0).uniform(40, 200, (2, 8, 8, 3)).astype("float32")
    layer = Augmentation("comprehensive", seed=3)
    changed = ops.convert_to_numpy(layer(images, np.ones(2), training=True))
    assert changed.dtype == np.float32
    assert changed.shape == images.shape
    assert not np.allclose(changed, images)


def trained(precision: str = "float32") -> tuple[list[dict[str, float]], np.ndarray]:
    """The history of two epochs on bright and dark squares, and scores, from a new model."""
    compiled._KEPT.clear()
    labels = np.tile([1, 1, 1, 0], 16)
    noise = np.random.default_rng(0).integers(0, 60, (64, 32, 32, 3), np.uint8)
    pixels = (noise + 100 * labels[:, None, None, None]).astype(np.uint8)
    settings = ExperimentSettings(
        pixels={"size": 32},
        model={"backbone": "small_cnn"},
        augmentation={"policy": "comprehensive", "target": "all"},
        training={"epochs": 2, "batch": 16},
        precision=precision,
    )
    cells = Cells(np.arange(64), labels)
    fitted = fit(settings, pixels, cells, cells, 0, best_weighted_f1)
    compiled._KEPT.clear()
    return fitted.history, fitted.validation_scores


@pytest.fixture(scope="module")
def usual() -> tuple[list[dict[str, float]], np.ndarray]:
    """What an ordinary machine trains."""
    return trained()


def test_a_training_is_the_same_whatever_keras_json_says(usual, machine):
    history, scores = trained()
    assert history == usual[0]
    np.testing.assert_array_equal(scores, usual[1])


@pytest.mark.usefixtures("machine")
@pytest.mark.skipif(not ON_TENSORFLOW, reason="maps and ONNX files need TensorFlow")
def test_a_classifier_maps_and_its_export_are_channels_last_whatever_keras_json_says(tmp_path):
    from lcc_utils.nn.attention import grad_cam
    from lcc_utils.nn.classifier import logits_model
    from lcc_utils.nn.export import export_onnx

    model = build_classifier("mobilenetv2", 32, weights="none")
    assert model.output.dtype == model.input.dtype == "float32"
    formats = {getattr(layer, "data_format", "channels_last") for layer in model.layers}
    assert formats == {"channels_last"}
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    assert grad_cam(logits_model(model), images).shape == (2, 32, 32)
    small = build_classifier("small_cnn", 32, weights="none")
    session = pytest.importorskip("onnxruntime").InferenceSession(
        str(export_onnx(small, tmp_path / "small.onnx")), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"image": images})
    # Two libraries, float32.
    np.testing.assert_allclose(found, small.predict_on_batch(images), rtol=1e-4, atol=1e-6)


def test_maps_and_counts_refuse_layers_that_have_channels_first():
    from lcc_utils.nn.attention import grad_cam
    from lcc_utils.nn.cost import multiply_adds

    image = keras.Input((3, 8, 8))
    x = keras.layers.Conv2D(4, 3, padding="same", data_format="channels_first")(image)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = keras.Model(image, x)
    with pytest.raises(RequestError, match="channels_last"):
        multiply_adds(model)
    if ON_TENSORFLOW:
        with pytest.raises(RequestError, match="channels_last"):
            grad_cam(model, np.ones((1, 3, 8, 8), "float32"), np.zeros(1, int))


def test_a_map_is_of_a_class_that_there_is():
    from lcc_utils.nn.attention import grad_cam

    if not ON_TENSORFLOW:
        pytest.skip("maps need TensorFlow")
    model = build_classifier("small_cnn", 32, weights="none")
    with pytest.raises(ValueError, match="classes 0 to 1"):
        grad_cam(model, np.ones((1, 32, 32, 3), "float32"), np.array([2]))


def test_lcc_predict_gives_the_same_scores_under_a_keras_json(root, places, tmp_path, monkeypatch):
    """A process of its own reads the file, as Keras does when it is first imported."""
    import cv2

    from lcc_utils.pipeline.predict import predict

    rng = np.random.default_rng(0)
    cell = draw_cell(1, draw_patient(1, rng), rng)
    cv2.imwrite(str(tmp_path / "cell.png"), cell[..., ::-1])
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "tensorflow"} | MACHINES[0]))
    model, out = str(root / "models" / "small"), str(tmp_path / "out")
    done = subprocess.run(
        [
            sys.executable, "-m", "lcc_utils.cli", "predict", model, str(tmp_path / "cell.png"),
            "--out", out, "--batch", "1",
        ],
        env={**places, "KERAS_HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = pd.read_csv(tmp_path / "out" / "predictions.csv").iloc[0]
    monkeypatch.setenv("LCC_CACHE", places["LCC_CACHE"])
    usual = predict(
        root / "models" / "small", [str(tmp_path / "cell.png")], tmp_path / "usual", batch=1, maps=0
    ).table.iloc[0]
    for name in ("score", "probability", "energy", "distance"):
        # Two processes, which may have another number of threads; six digits are written.
        assert found[name] == pytest.approx(usual[name], rel=1e-4)
