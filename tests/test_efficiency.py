"""What models cost: counts by hand and as published, files of ONNX, and a run's measurements."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import onnx
import pandas as pd
import pytest
import yaml

from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.nn import export
from lcc_utils.nn.backbones import BACKBONES
from lcc_utils.nn.classifier import build_classifier, logits_model, parameter_counts
from lcc_utils.nn.cost import multiply_adds
from lcc_utils.nn.export import INPUT, export_half, export_onnx, settle
from lcc_utils.nn.original import ORIGINAL, build_original
from lcc_utils.pipeline import efficiency, efficiency_process
from lcc_utils.pipeline.config import load_config
from lcc_utils.pipeline.cost_timing import peak, summary, timed
from lcc_utils.pipeline.efficiency import Network, measure, networks
from lcc_utils.pipeline.efficiency_process import ask
from lcc_utils.pipeline.efficiency_worker import answers
from lcc_utils.pipeline.measured import has_part, read_measured
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.verify import load_results, verify
from lcc_utils.report.efficiency_interactive import score_against_cost
from lcc_utils.report.explorable import interactive_html
from lcc_utils.report.formatting import cell
from lcc_utils.report.style import alt_text, to_svg
from lcc_utils.report.tables import TABLES, build_table

LABEL = "made-up cells"
OF_COSTS = sorted(name for name, one in TABLES.items() if "efficiency" in one.studies)
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="ONNX files are converted from TensorFlow"
)
layers = keras.layers


def patches(side: int, count: int = 6) -> np.ndarray:
    place = np.arange(side) * 4 // side
    found = np.random.default_rng(3).uniform(0, 255, (count, 4, 4, 3)).astype("float32")
    return found[:, place][:, :, place]


# What is counted


def test_multiply_adds_by_hand():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(image)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.SeparableConv2D(4, 3, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(2)(x))
    convolution = 8 * 3 * 3 * 3 * 4 * 4
    depthwise = 3 * 3 * 8 * 4 * 4
    separable = 3 * 3 * 8 * 4 * 4 + 8 * 4 * 4 * 4
    assert multiply_adds(model) == convolution + depthwise + separable + 4 * 2


def test_channel_weights_are_counted_as_their_two_dense_layers():
    with_block, without = (
        multiply_adds(build_classifier("small_cnn", 32, weights="none", attention=attention))
        for attention in (True, False)
    )
    assert with_block - without == 128 * (128 // 16) * 2


@pytest.mark.parametrize(
    "build, published",
    [
        # He et al., "Deep residual learning" (CVPR 2016), table 1 and section 4.1.
        (lambda: keras.applications.ResNet50(weights=None), 3.8e9),
        (lambda: keras.applications.VGG19(weights=None), 19.6e9),
        (build_original, 15.3e9),
    ],
    ids=["ResNet50", "VGG19", "VGG16"],
)
def test_multiply_adds_are_those_published(build, published):
    assert multiply_adds(build()) == pytest.approx(published, rel=0.02)


@needs_tensorflow
def test_multiply_adds_are_half_the_operations_that_tensorflow_counts():
    import tensorflow as tf

    model = build_classifier("resnet50", 64, weights="none")
    function = tf.function(lambda image: model(image, training=False), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec((1, 64, 64, 3), tf.float32)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    found = tf.compat.v1.profiler.profile(graph, cmd="scope", options=options)
    assert 2 * multiply_adds(model) == pytest.approx(found.total_float_ops, rel=0.03)


def test_a_layer_that_is_not_known_is_refused_and_so_is_an_open_side():
    image = keras.Input((8, 3))
    model = keras.Model(image, layers.LSTM(2, name="memory")(image))
    with pytest.raises(RequestError, match="'memory' are not known: a LSTM"):
        multiply_adds(model)
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(2, 3, name="first")(image))
    with pytest.raises(RequestError, match="'first' depend on the image side"):
        multiply_adds(model)


def test_the_original_has_its_published_parameters_and_gives_its_precision_back():
    model = build_original("mixed_bfloat16")
    assert parameter_counts(model)["parameters_total"] == 138_357_544
    assert model.output.shape == (None, 1000)
    assert model.output.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


# ONNX


@needs_tensorflow
# One for each way in which pixels are prepared.
@pytest.mark.parametrize("name, side", [("small_cnn", 64), ("mobilenetv2", 64), ("vgg16", 32)])
def test_a_file_gives_the_scores_of_the_network_for_batches_of_any_size(name, side, tmp_path):
    import onnxruntime

    images = patches(side, 24)
    model = build_classifier(name, side, weights="none")
    settle(model, images)
    images = images[:6]
    expected = model.predict_on_batch(images)
    assert np.ptp(expected[:, 1]) > 0.05
    export_onnx(model, tmp_path / "full.onnx")
    export_half(tmp_path / "full.onnx", tmp_path / "half.onnx")
    for file, tolerance in (("full.onnx", 1e-3), ("half.onnx", 0.1)):
        session = onnxruntime.InferenceSession(str(tmp_path / file))
        assert [one.name for one in session.get_inputs()] == [INPUT]
        for some in (images, images[:1]):
            found = session.run(None, {INPUT: some})[0]
            np.testing.assert_allclose(found, expected[: len(some)], atol=tolerance)
    sizes = [(tmp_path / file).stat().st_size for file in ("half.onnx", "full.onnx")]
    assert sizes[0] < 0.6 * sizes[1]


@needs_tensorflow
def test_a_network_that_cannot_be_converted_leaves_no_file(tmp_path, monkeypatch):
    import tf2onnx

    def fail(*args, **kwargs):
        raise ValueError("an operation is missing\nand more")

    monkeypatch.setattr(tf2onnx.convert, "from_function", fail)
    model = build_classifier("small_cnn", 32, weights="none")
    with pytest.raises(DataError, match=r"small_cnn-se could not.*an operation is missing\)"):
        export_onnx(model, tmp_path / "none.onnx")
    with pytest.raises(DataError, match=r"none\.onnx could not be converted to float16"):
        export_half(tmp_path / "none.onnx", tmp_path / "half.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_random_network_tells_images_apart_once_it_is_settled():
    model = build_classifier("mobilenetv2", 32, weights="none")
    logits, images = logits_model(model), patches(32)
    before = np.ptp(np.asarray(logits(images)))
    settle(model, images)
    assert before < 1e-6 < 0.1 < np.ptp(np.asarray(logits(images)))
    assert {one.momentum for one in model.layers if hasattr(one, "momentum")} == {0.9}


# Time and memory


def test_repeats_end_with_their_number_or_their_time():
    calls = []
    ticks = itertools.count()
    taken = timed(lambda: calls.append(1), 5, 100, warm_up=2, clock=lambda: next(ticks))
    assert taken == [1] * 5
    assert len(calls) == 7
    # Each repeat takes 3; the third begins before 7 is over, the fourth would not.
    slow = itertools.count(0, 3)
    assert timed(lambda: None, 9, 7, clock=lambda: next(slow)) == [3] * 3
    assert len(timed(lambda: None, 9, 1e-9, clock=lambda: next(slow))) == 1


def test_times_are_summed_up_in_milliseconds():
    found = summary([0.001, 0.002, 0.003, 0.004, 0.010])
    expected = {"latency": 3, "latency_q1": 2, "latency_q3": 4, "repeats": 5}
    assert found == pytest.approx(expected)


def test_memory_is_what_a_process_held_above_its_start_and_not_what_its_parent_held():
    code = """
import json, sys
from lcc_utils.pipeline.cost_timing import memory_above_now, peak
memory = memory_above_now()
found = [peak(), memory()]
held = bytearray(64 * 2**20)
found.append(memory())
del held
found.append(memory())
sys.stdout.write(json.dumps(found))
"""
    held = np.ones(64 * 2**20)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    start, none, most, after = json.loads(done.stdout)
    assert start < 400 < held.nbytes / 2**20 < peak()
    assert none < 1
    assert 63 < most < 70
    assert 63 < after < 70


def test_what_an_engine_raises_is_the_reason_of_its_row():
    network = {"backbone": "no such", "size": 32, "attention": True, "reduction": 16}
    (found,) = answers({"task": "count", "networks": [network]})
    assert found["reason"].startswith("RequestError: model.backbone is 'no such'")
    gpu = {"task": "onnx", "device": "GPU", "folder": ".", "precision": "float32"}
    (found,) = answers(gpu)
    assert "no provider for a GPU" in found["reason"]


@needs_tensorflow
def test_numbers_stand_though_the_export_after_them_fails(tmp_path, monkeypatch):
    def fail(model, path):
        raise DataError("no such operation")

    monkeypatch.setattr("lcc_utils.nn.export.export_onnx", fail)
    network = {"backbone": "small_cnn", "size": 32, "attention": True, "reduction": 16}
    request = {"task": "keras", "network": network, "precision": "float32", "device": "CPU"}
    request |= {"batch": 2, "repeats": 1, "seconds": 1, "export": ["float32"]}
    first, last = answers(request | {"folder": str(tmp_path)})
    assert first["latency"] > 0
    assert last == first | {"unfinished": "DataError: no such operation"}


def test_a_process_that_is_killed_leaves_a_reason_and_what_it_had(tmp_path, monkeypatch):
    def run(command, **kwargs):
        Path(command[-1]).write_text('{"latency": 3}')
        return SimpleNamespace(returncode=-9)

    monkeypatch.setattr(efficiency_process.provenance, "hardware", lambda: {"threads": 1})
    monkeypatch.setattr(subprocess, "run", run)
    ended = "the process ended with exit status -9"
    assert ask(tmp_path, "CPU", {}) == {"latency": 3, "unfinished": ended}
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: SimpleNamespace(returncode=-9))
    assert ask(tmp_path, "CPU", {}) == {"reason": ended}


@needs_tensorflow
def test_large_kernels_are_written_into_the_file_in_the_end(tmp_path, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(export, "_HELD", 1000)
    model = build_classifier("small_cnn", 32, weights="none")
    path = export_onnx(model, tmp_path / "held.onnx")
    session = onnxruntime.InferenceSession(str(path))
    found = session.run(None, {INPUT: patches(32)})[0]
    np.testing.assert_allclose(found, model.predict_on_batch(patches(32)), atol=1e-5)
    graph = onnx.load(str(path)).graph
    kept = {one.name: tuple(one.dims) for one in graph.initializer}
    held = [one.shape for one in model.weights if np.prod(one.shape) > 1000]
    assert {len(shape) for shape in held} == {2, 4}
    # In the order of axes that ONNX has, so that nothing is turned when the network runs.
    turned = [(*shape[:-3:-1], *shape[:-2]) if len(shape) == 4 else shape for shape in held]
    assert Counter(turned) <= Counter(kept.values())
    assert not any(node.op_type == "Transpose" and node.input[0] in kept for node in graph.node)


# Settings


def test_settings_name_sides_that_every_network_takes():
    costs = "studies.baselines.costs"
    with pytest.raises(RequestError, match="xception takes images of at least 71"):
        load_config("cpu", {f"{costs}.sides": [64]})
    with pytest.raises(RequestError, match="takes images of 224 px alone"):
        load_config("cpu", {f"{costs}.also": {ORIGINAL: [384]}})
    with pytest.raises(RequestError, match="not known"):
        load_config("cpu", {f"{costs}.also": {"vgg17": [224]}})
    assert "costs" not in load_config("cpu").model_dump(mode="json")["studies"]["ablation"]


def test_networks_are_those_of_the_study_and_others_and_each_part_has_a_name_of_its_own():
    config = load_config("cpu")
    found = networks(config, config.studies["baselines"].costs)
    pairs = [(one.backbone, one.size) for one in found]
    assert (ORIGINAL, 224) in pairs
    assert ("vgg16", 384) in pairs
    # A further side of a network of the study is measured under the study's name for it.
    assert Network("EfficientNetV2-B3", "efficientnetv2-b3", 224) in found
    assert len({one.part for one in found}) == len(pairs) == len(set(pairs))
    assert {name for name, _ in pairs} <= {*BACKBONES, ORIGINAL}


# Tables and the figure


def result(variant: str, split: str, auc: float, size: int | None) -> Result:
    settings = {"pixels": {"size": size}} if size else {}
    record = {"metrics": {"auc": auc}, "split": {"protocol": "official"}}
    none = pd.DataFrame()
    return Result.in_memory(
        predictions=none, history=none, key=f"{variant}{split}", study="baselines", split=split,
        variant=variant, seed=0, settings=settings, record=record,
    )  # fmt: skip


def cost(model: str, size: float, latency: float, **facts: object) -> dict:
    machine = {"device": "CPU", "processor": "A chip", "threads": 4, "versions": "Keras 3"}
    times = {"latency": latency, "latency_q1": latency - 1, "latency_q3": latency + 1}
    more = {"throughput": 1000 / latency, "memory": 10 * latency, "memory_batch": 11.6, "batch": 8}
    what = {"engine": "Keras", "precision": "float32", "repeats": 5, "disk": latency / 10}
    last = {"score_difference": 0.0, "reason": None}
    return {"model": model, "size": size, **machine, **times, **more, **what, **last} | facts


@pytest.fixture(scope="module")
def results() -> Results:
    """Made-up costs: B3 at two sides, both forms of VGG16, a model on features."""
    networks = {"B3": "efficientnetv2-b3-se", "VGG16": "vgg16-se", "VGG16, dense": ORIGINAL}
    sides = [("B3", 384, 14e6, 4e9), ("B3", 224, 14e6, 1e9), ("VGG16", 384, 15e6, 40e9)]
    sides += [("VGG16, dense", 224, 140e6, 16e9), ("boosting", np.nan, 600, np.nan)]
    sizes = pd.DataFrame(
        {"model": model, "network": networks.get(model), "size": size}
        | {"parameters_total": whole, "parameters_trainable": whole, "multiply_adds": work}
        for model, size, whole, work in sides
    )
    half = {"precision": "float16", "engine": "ONNX Runtime", "disk": 5.0}
    costs = pd.DataFrame(
        [
            cost("B3", 384, 100.0),
            cost("B3", 384, 80.0, **half),
            cost("VGG16", 384, 400.0),
            cost("VGG16", 384, 1.0, **half)
            | dict.fromkeys(("latency", "latency_q1", "latency_q3", "throughput", "disk"), np.nan)
            | {"reason": "no way"},
            cost("VGG16, dense", 224, 80.0),
            cost("boosting", np.nan, 50.0, precision="float64", engine="measured features"),
        ]
    )
    runs = [result("B3", "0 to 1", 0.8, 384), result("B3", "1 to 0", 0.9, 384)]
    runs += [result("boosting", "0 to 1", 0.7, None), result("boosting", "1 to 0", 0.7, None)]
    return Results({"baselines": runs}, {}, {"efficiency": {"costs": costs, "sizes": sizes}})


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    frame = pd.DataFrame()
    frame.attrs = {"dataset": "synthetic", "label": LABEL}
    return frame


def test_a_model_stands_at_each_side_with_its_auc_where_it_was_tested(cells, results):
    frame = build_table("efficiency", cells, results).set_index(["model", "size"])
    tested, other = frame.loc[("B3", 384)], frame.loc[("B3", 224)]
    assert tested["auc"] == pytest.approx(0.85)
    assert (tested["auc_min"], tested["auc_max"]) == (0.8, 0.9)
    assert tested["multiply_adds"] == 4000
    assert (tested["disk"], tested["disk_half"]) == (10, 5)
    assert (tested["latency_quartiles_low"], tested["latency_quartiles_high"]) == (99, 101)
    assert np.isnan(other["auc"])
    # Counted, not measured.
    assert other["multiply_adds"] == 1000
    assert other["device"] == ""
    assert frame.loc["boosting", "auc"].tolist() == [0.7]
    assert frame.attrs["data"] == f"{LABEL}; costs on A chip, 4 threads; Keras 3"


def test_the_saving_is_a_share_of_what_the_other_network_costs(cells, results):
    frame = build_table("efficiency_saving", cells, results)
    pairs = frame[["size", "against", "against_size"]].to_numpy().tolist()
    assert pairs == [
        [384, "VGG16, dense", 224],
        [224, "VGG16, dense", 224],
        [384, "VGG16", 384],
    ]
    first, counted, same = (row for _, row in frame.iterrows())
    assert first["parameters_total_saved"] == pytest.approx(90)
    assert first["multiply_adds_saved"] == pytest.approx(75)
    # Slower and larger at its own side.
    assert first["latency_saved"] == pytest.approx(-25)
    assert counted["multiply_adds_saved"] == pytest.approx(93.75)
    assert np.isnan(counted["latency_saved"])
    assert same["parameters_total_saved"] == pytest.approx(100 / 15, abs=1e-6)
    assert same["latency_saved"] == pytest.approx(75)
    assert cell(first["latency_saved"], "latency_saved") == "−25.0"


def test_an_engine_that_could_not_do_it_has_a_reason(cells, results):
    frame = build_table("efficiency_engines", cells, results)
    failed = frame[frame["reason"] != ""]
    assert failed["reason"].tolist() == ["no way"]
    assert failed["latency"].isna().all()
    assert set(frame["precision"]) == {"float32", "float16"}
    assert "boosting" not in set(frame["model"])


@pytest.mark.parametrize("name", OF_COSTS)
def test_a_run_without_costs_gives_tables_without_rows(name, cells):
    frame = build_table(name, cells, Results())
    assert frame.empty
    assert len(frame.columns) > 5


def test_the_figure_sets_each_cost_against_the_score_and_names_who_has_none(cells, results):
    figure, spec = score_against_cost(build_table("efficiency", cells, results), data_label=LABEL)
    text = alt_text(figure)
    assert "B3, AUC 0.850 (0.800 to 0.900): parameters 14,000,000, latency of one image" in text
    assert "Without a result here: VGG16 and VGG16, dense." in text
    assert [trace["name"] for trace in spec["data"]] == ["B3", "boosting"]
    assert spec["data"][0]["error_y"]["array"] == [0.05]
    assert spec["layout"]["xaxis"]["type"] == "log"
    chosen = {
        button["label"]: button["args"][0]["x"]
        for button in spec["layout"]["updatemenus"][0]["buttons"]
    }
    assert chosen == {
        "Parameters": [[14e6], [600]],
        "Multiply-adds, million": [[4000], [None]],
        "Weights on disk, MB": [[10], [5]],
        "Latency of one image, ms (CPU)": [[100], [50]],
        "Memory for one image, MiB (CPU)": [[1000], [500]],
    }
    hover = spec["data"][0]["text"][0]
    assert "Latency, ms: 100.000 (99.000 to 101.000)" in hover
    assert "Memory, MiB: 1,000" in hover
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert "<svg" in to_svg(figure)
    assert 'class="lcc-interactive"' in interactive_html(figure, spec)


def test_a_run_without_costs_gives_a_figure_that_says_so(cells):
    table = build_table("efficiency", cells, Results())
    figure, spec = score_against_cost(table, data_label=LABEL)
    assert alt_text(figure).startswith("Not in this run")
    assert spec["data"] == []
    assert spec["layout"]["annotations"][0]["text"] == "Not in this run"


# A run


@pytest.fixture(scope="module")
def small_run(root, places, tmp_path_factory):
    """A run of the baselines on few synthetic cells, what they cost measured."""
    settings = yaml.safe_load((root / "tests" / "tiny.yml").read_text())
    study = settings["studies"]["baselines"]
    study["variants"] = {"small network": {}, "cell area": study["variants"]["cell area"]}
    study["costs"] = {"sides": [32], "batch": 4, "repeats": 3, "seconds": 1}
    settings["studies"] = {"baselines": study}
    path = tmp_path_factory.mktemp("profile") / "costs.yml"
    path.write_text(yaml.safe_dump(settings))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LCC_CACHE", "LCC_RUNS"):
            patch.setenv(name, places[name])
        # The networks of the paper take a minute to count, and are counted above.
        patch.setattr(efficiency, "CLAIMED", ())
        run = open_run(str(path), run="costs")
        run.compute("baselines", progress=False)
        measure(run, progress=False)
        yield run


def bfloat16_convolves() -> bool:
    """Tell whether oneDNN has a convolution in bfloat16 for this processor."""
    import tensorflow as tf

    try:
        tf.nn.conv2d(
            tf.zeros((1, 4, 4, 1), "bfloat16"), tf.zeros((3, 3, 1, 1), "bfloat16"), 1, "SAME"
        )
    except tf.errors.OpError:
        return False
    return True


@needs_tensorflow
def test_a_run_measures_every_engine_and_every_table_follows_from_what_it_keeps(small_run):
    costs = read_measured(small_run.folder, "efficiency")["costs"]
    networks = costs[costs["model"] == "small network"]
    assert networks[["engine", "precision"]].to_numpy().tolist() == [
        ["Keras", "float32"], ["Keras", "bfloat16"],
        ["ONNX Runtime", "float32"], ["ONNX Runtime", "float16"],
    ]  # fmt: skip
    # Where the processor has no such convolution, the table says so and goes on.
    known = costs["reason"].isna()
    assert costs.loc[~known, "precision"].tolist() == ([] if bfloat16_convolves() else ["bfloat16"])
    assert (costs.loc[known, ["latency", "throughput", "disk"]] > 0).all(axis=None)
    differences = networks.set_index(["engine", "precision"])["score_difference"]
    assert differences["Keras", "float32"] == 0
    assert differences["ONNX Runtime", "float32"] < 1e-4
    assert not bfloat16_convolves() or 0 < differences["Keras", "bfloat16"] < 0.1
    cells, results = load_results(small_run.folder)
    for name in OF_COSTS:
        table = small_run.table(name)
        again = build_table(name, cells, results)
        assert table.to_csv(float_format="%.9g") == again.to_csv(float_format="%.9g")
    frame = small_run.table("efficiency").set_index("model")
    assert frame.loc["cell area", "parameters_total"] == 2
    assert frame["auc"].notna().all()
    assert not any("SHA-256" in problem for problem in verify(small_run.folder).problems)
    assert list(small_run.folder.glob(".costs-*")) == []


@needs_tensorflow
def test_what_is_measured_is_kept_and_a_lost_part_alone_is_measured_again(small_run, monkeypatch):
    folder = small_run.folder / "efficiency"
    record = json.loads((folder / "efficiency.json").read_text())
    record["parts"].remove("small-network-32")
    (folder / "efficiency.json").write_text(json.dumps(record))
    asked = []

    def ask(place, device, request):
        asked.append(request["task"])
        return {"reason": "not today"}

    monkeypatch.setattr(efficiency, "ask", ask)
    monkeypatch.setenv("LCC_DEADLINE", "1")
    measure(small_run, progress=False)
    assert asked == []
    monkeypatch.delenv("LCC_DEADLINE")
    measure(small_run, progress=False)
    # What ONNX Runtime would read is not there, and it is not asked.
    assert asked == ["keras", "keras"]
    assert has_part(small_run.folder, "efficiency", "small-network-32")
    costs = read_measured(small_run.folder, "efficiency")["costs"]
    own = costs[costs["model"] == "small network"]
    assert own["reason"].tolist() == ["not today"] * 4
    table = build_table("efficiency_engines", *load_results(small_run.folder))
    assert table["reason"].tolist() == ["not today"] * 4


def test_a_run_whose_profile_asks_for_no_costs_measures_none(tmp_path):
    config = load_config("demo", {"studies.baselines.costs": None})
    measure(SimpleNamespace(config=config, folder=tmp_path))
    assert list(tmp_path.iterdir()) == []
