"""Maps of attention where the truth is known, their measures by hand, and a run's numbers."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation import attention as measured
from lcc_utils.evaluation.result import Results
from lcc_utils.nn.attention import (
    grad_cam,
    grad_cam_plus_plus,
    saliency,
    score_cam,
    se_weights,
)
from lcc_utils.nn.channel_weights import fixed_gate_logits
from lcc_utils.nn.classifier import build_classifier, logits_model
from lcc_utils.nn.randomised import cascade, stages
from lcc_utils.pipeline.attention import explain
from lcc_utils.pipeline.attention_gallery import gallery, pick
from lcc_utils.pipeline.config import load_config
from lcc_utils.pipeline.measured import add_table, has_part, published_files, read_measured
from lcc_utils.pipeline.verify import load_results, recompute, verify
from lcc_utils.report import figures
from lcc_utils.report.table_markup import to_html
from lcc_utils.report.tables import TABLES, build_table

LABEL = "made-up cells"
OF_MAPS = sorted(name for name, table in TABLES.items() if table.studies == ("attention",))
CAMS = {"Grad-CAM": grad_cam, "Grad-CAM++": grad_cam_plus_plus, "Score-CAM": score_cam}
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="maps need TensorFlow"
)


@pytest.fixture(scope="module")
def left_model():
    """Two classes; the second is as likely as the left half is bright, the right counts nothing."""
    image = keras.Input((16, 16, 3))
    sides = keras.layers.Conv2D(2, 1, use_bias=False, name="features")(image)
    flat = keras.layers.Flatten()(sides)
    model = keras.Model(image, keras.layers.Dense(2, use_bias=False, name="logits")(flat))
    features = np.zeros((1, 1, 3, 2), np.float32)
    features[..., 0] = 1 / 255
    model.get_layer("features").set_weights([features])
    weights = np.zeros((16, 16, 2, 2), np.float32)
    weights[:, :8, 0, 1] = 0.1
    model.get_layer("logits").set_weights([weights.reshape(-1, 2)])
    return model


@pytest.fixture(scope="module")
def half_lit():
    """Noisy images whose left half is bright and whose right half is nearly dark."""
    images = np.random.default_rng(0).uniform(0, 20, (3, 16, 16, 3)).astype("float32")
    images[:, :, :8] += 200
    return images


@needs_tensorflow
@pytest.mark.parametrize("method", list(CAMS))
def test_maps_lie_where_the_network_looks(method, left_model, half_lit):
    maps = CAMS[method](left_model, half_lit, np.ones(3, int))
    assert maps.shape == (3, 16, 16)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert maps.max() == 1
    assert (maps[:, :, :8].sum((1, 2)) > 0.9 * maps.sum((1, 2))).all()


@needs_tensorflow
def test_the_gradient_of_a_linear_model_is_its_weights(left_model, half_lit):
    plain = saliency(left_model, half_lit, np.ones(3, int), smooth_samples=0)
    smooth = saliency(left_model, half_lit, np.ones(3, int), smooth_samples=5, seed=3)
    expected = np.zeros((3, 16, 16))
    expected[:, :, :8] = 1
    np.testing.assert_allclose(plain, expected, atol=1e-6)
    np.testing.assert_allclose(smooth, expected, atol=1e-5)


@needs_tensorflow
def test_a_class_that_nothing_speaks_for_has_an_empty_map(left_model, half_lit):
    assert grad_cam(left_model, half_lit, np.zeros(3, int)).max() == 0
    called = grad_cam(left_model, half_lit)
    np.testing.assert_array_equal(called, grad_cam(left_model, half_lit, np.ones(3, int)))


@needs_tensorflow
def test_bad_images_targets_and_layers_are_refused(left_model, half_lit):
    with pytest.raises(ValueError, match="images must be"):
        grad_cam(left_model, half_lit[0])
    with pytest.raises(ValueError, match="as many targets"):
        saliency(left_model, half_lit, np.ones(2, int))
    with pytest.raises(RequestError, match="no squeeze-and-excitation block"):
        se_weights(left_model, half_lit)


@needs_tensorflow
def test_channel_weights_are_the_blocks_own_and_can_be_held_fixed():
    classifier = build_classifier("small_cnn", 32, weights="none", seed=1)
    images = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 3)).astype("float32")
    weights = se_weights(classifier, images)
    assert weights.shape == (5, 128)
    assert ((weights > 0) & (weights < 1)).all()
    model = logits_model(classifier)
    one = fixed_gate_logits(model, images[:1], weights[0])
    np.testing.assert_allclose(one, np.asarray(model(images[:1])), atol=1e-5)


@needs_tensorflow
def test_the_cascade_goes_from_the_head_to_the_first_layer_and_leaves_nothing():
    trained, fresh = (build_classifier("small_cnn", 32, weights="none", seed=s) for s in (1, 2))
    first = trained.get_layer("conv_1").get_weights()[0].copy()
    names = [name for name, _ in stages(trained)]
    assert names[:2] == ["head", "channel weights"]
    assert names[-1] == "part 1 of 4"
    course = cascade(trained, fresh)
    assert next(course) == "head"
    kernel = trained.get_layer("logits").get_weights()[0]
    np.testing.assert_array_equal(kernel, fresh.get_layer("logits").get_weights()[0])
    np.testing.assert_array_equal(trained.get_layer("conv_1").get_weights()[0], first)
    assert list(course) == names[1:]
    for own, new in zip(trained.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(own, new)


def drawn_cell():
    """A dark square of 16 px in a pale one of 32 px, on black of 64 px."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:48, 16:48] = (200, 180, 220)
    image[24:40, 24:40] = (90, 40, 130)
    return image


def test_regions_of_a_drawn_cell_are_its_own():
    parts = measured.regions(drawn_cell())
    assert parts.background.sum() == 64 * 64 - 32 * 32
    assert abs(int(parts.nucleus.sum()) - 16 * 16) <= 64  # the smoothed edge
    assert (parts.nucleus | parts.cytoplasm | parts.background).all()
    assert measured.regions(np.full((8, 8, 3), 9, np.uint8)).nucleus.all()
    even = measured.shares(np.ones((64, 64)), parts)
    assert sum(even.values()) == pytest.approx(1)
    assert even["share_background"] == 0.75
    assert np.isnan(measured.shares(np.zeros((64, 64)), parts)["share_nucleus"])
    for wrong, reason in ((np.zeros((8, 8, 3)), "no cell"), (np.ones((8, 8)), "height")):
        with pytest.raises(DataError, match=reason):
            measured.regions(wrong)


def test_rings_have_one_area_and_follow_the_outline():
    cell = measured.regions(drawn_cell()).cell
    ring = measured.rings(cell, 4)
    assert np.bincount(ring.ravel())[1:].tolist() == [256] * 4
    assert ring[16, 16] == 1
    assert ring[32, 32] == 4
    np.testing.assert_allclose(measured.radial_profile(np.ones((64, 64)), ring), 0.25)
    middle = np.zeros((64, 64))
    middle[32, 32] = 1
    assert measured.radial_profile(middle, ring).tolist() == [0, 0, 0, 1]


def test_deletion_and_insertion_by_hand_on_four_pixels():
    image = np.array([[[[40.0], [30.0]], [[20.0], [10.0]]]])
    brightness = lambda images: images.sum(axis=(1, 2, 3)) / 100  # noqa: E731
    best = image[..., 0]
    curve = measured.deletion_curve(image, best, brightness, steps=4)
    np.testing.assert_allclose(curve, [[1.0, 0.6, 0.3, 0.1, 0.0]], atol=1e-6)
    by_trapezoids = np.mean([0.8, 0.45, 0.2, 0.05])
    assert measured.curve_area(curve)[0] == pytest.approx(by_trapezoids)
    worst = measured.deletion_curve(image, -best, brightness, steps=4)
    np.testing.assert_allclose(worst, [[1.0, 0.9, 0.7, 0.4, 0.0]], atol=1e-6)
    back = measured.insertion_curve(image, best, brightness, steps=4)
    assert back[0, -1] == pytest.approx(1.0)
    with pytest.raises(DataError, match="do not fit"):
        measured.deletion_curve(image, best[:, :1], brightness)


def test_a_true_map_beats_chance_and_chance_knows_the_outline_alone():
    rng = np.random.default_rng(0)
    images = rng.uniform(50, 60, (20, 16, 16, 1))
    images[:, 4:8, 4:8] = 250
    masks = np.zeros((20, 16, 16), bool)
    masks[:, 2:14, 2:14] = True

    def seen(given):
        return given[:, 4:8, 4:8].mean(axis=(1, 2, 3)) / 250

    truth = np.zeros((20, 16, 16))
    truth[:, 4:8, 4:8] = 1
    chance = measured.random_maps(masks, 4, rng)
    assert (chance[~masks] == 0).all()
    assert (chance[masks] > 0).all()
    areas = [
        measured.curve_area(measured.deletion_curve(images, maps, seen)).mean()
        for maps in (truth, chance)
    ]
    assert areas[0] < areas[1] - 0.1


def test_rank_agreement_is_spearmans_and_nan_without_ranks():
    a = np.arange(9.0).reshape(3, 3)
    assert measured.rank_agreement(a, a**3) == pytest.approx(1)
    assert measured.rank_agreement(a, -a) == pytest.approx(-1)
    corner = np.zeros((3, 3), bool)
    corner[0] = True
    assert measured.rank_agreement(a, a[::-1], corner) == pytest.approx(1)
    assert np.isnan(measured.rank_agreement(a, np.ones((3, 3))))
    with pytest.raises(DataError, match="cannot be compared"):
        measured.rank_agreement(a, a[:2])


def test_subjects_count_alike_and_few_have_no_interval():
    frame = pd.DataFrame({"subject": ["a"] * 3 + ["b"], "label": 1, "value": [0.0, 0.0, 0.0, 1.0]})
    found = measured.subject_mean(frame, "value")
    assert found.estimate == 0.5
    assert np.isnan([found.low, found.high]).all()
    many = pd.DataFrame({"subject": [*"abcdef"], "label": 0, "value": np.linspace(0, 1, 6)})
    found = measured.subject_mean(many, "value")
    assert found.estimate == pytest.approx(0.5)
    assert found.low < 0.5 < found.high
    assert np.isnan(measured.subject_mean(many.assign(value=np.nan), "value").estimate)


@pytest.mark.parametrize("name", OF_MAPS)
def test_a_run_without_maps_gives_tables_without_rows(name):
    cells = pd.DataFrame()
    cells.attrs = {"dataset": "synthetic", "label": LABEL}
    table = build_table(name, cells, Results())
    assert table.empty
    assert len(table.columns) > 3
    assert ElementTree.fromstring(to_html(table, "A table")).find("table/thead/tr") is not None


def test_a_run_without_maps_gives_figures_that_say_so():
    none = build_table("attention_sanity", pd.DataFrame(), Results())
    drawn = [
        figures.attention_sanity(none, data_label=LABEL),
        figures.attention_cascade(none, data_label=LABEL),
        figures.attention_rings(none, data_label=LABEL),
        figures.attention_curves({}, data_label=LABEL),
        figures.attention_average({}, data_label=LABEL),
        figures.channel_weights({}, data_label=LABEL),
        figures.attention_gallery([], [], [], "Surest", data_label=LABEL),
    ]
    assert all(figures.alt_text(one).startswith("Not in this run") for one in drawn)


def test_settings_of_a_run_without_maps_stay_as_they_were():
    config = load_config("demo")
    assert "maps" not in config.model_dump(mode="json")["studies"]["ablation"]
    assert config.model_dump(mode="json")["studies"]["attention"]["maps"]["cells"] > 100
    with pytest.raises(RequestError, match=r"maps\.cells"):
        load_config("demo", {"studies.attention.maps": {"cells": 0}})


def test_files_are_added_part_by_part_and_a_changed_one_is_noticed(tmp_path):
    assert read_measured(tmp_path, "attention") == {}
    table = pd.DataFrame({"cell_id": ["01", "02"], "rank_cell": [0.1234567, np.nan]})
    add_table(tmp_path, "attention", "trained", {"maps": table})
    assert has_part(tmp_path, "attention", "trained")
    assert not has_part(tmp_path, "attention", "labels")
    add_table(tmp_path, "attention", "labels", {"maps": table.head(1)})
    found = read_measured(tmp_path, "attention")["maps"]
    assert found["cell_id"].tolist() == ["01", "02", "01"]
    assert found["rank_cell"].iloc[0] == 0.123457
    path = tmp_path / "attention" / "maps-labels.csv"
    path.write_text(path.read_text().replace("01", "03"))
    with pytest.raises(DataError, match="not the file that the run wrote"):
        read_measured(tmp_path, "attention")


def test_a_gallery_takes_each_subject_once_and_classes_in_turn():
    table = pd.DataFrame(
        {
            "cell_id": [*"abcdef"],
            "subject": ["1", "1", "2", "H1", "H1", "H2"],
            "label": [1, 1, 1, 0, 0, 0],
            "called": [1, 1, 0, 0, 1, 0],
            "score": [0.9, 0.95, 0.2, 0.1, 0.6, 0.45],
        }
    )
    assert pick(table, "surest", 0.5, 3)["cell_id"].tolist() == ["b", "d", "f"]
    assert pick(table, "least sure", 0.5, 2)["cell_id"].tolist() == ["c", "f"]
    assert pick(table, "wrong", 0.5, 6)["cell_id"].tolist() == ["c", "e"]


@needs_tensorflow
def test_a_run_keeps_numbers_and_gives_every_table_from_them(small_run):
    cells, results = load_results(small_run.folder)
    for name in OF_MAPS:
        table = small_run.table(name)
        assert len(table), name
        again = build_table(name, cells, results)
        assert table.to_csv(float_format="%.9g") == again.to_csv(float_format="%.9g")
    networks = small_run.table("attention_networks").set_index("network")
    assert networks.index.tolist() == [
        "trained", "seed 1", "without channel weights", "labels shuffled", "parameters randomised",
    ]  # fmt: skip
    # The network whose weights were kept is the one that was tested.
    assert networks["score_difference"].dropna().max() < 1e-4
    assert networks["cells"].eq(12).all()
    kept = {path.suffix for path in (small_run.folder / "attention").iterdir() if path.is_file()}
    assert kept == {".csv", ".json"}
    # An edition keeps these and no weights.
    assert {path.suffix for path in published_files(small_run.folder, "attention")} == kept
    assert len(published_files(small_run.folder, "attention")) == len(
        list(small_run.folder.glob("attention/*.*"))
    )


@needs_tensorflow
def test_maps_that_are_there_are_not_computed_again_and_those_lost_are(small_run):
    folder = small_run.folder / "attention"
    before = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    changed = {path: path.stat().st_mtime_ns for path in folder.glob("*.csv")}
    explain(small_run, progress=False)
    assert changed == {path: path.stat().st_mtime_ns for path in folder.glob("*.csv")}
    record = json.loads((folder / "attention.json").read_text())
    record["parts"].remove("labels")
    (folder / "attention.json").write_text(json.dumps(record))
    # Its weights are lost as well: it is trained again, to the same weights.
    [weights] = (small_run.folder / "weights").glob("*-s.npz")
    weights.unlink()
    explain(small_run, progress=False)
    assert before == {path.name: path.read_bytes() for path in folder.glob("*.csv")}


@needs_tensorflow
def test_figures_of_a_run_name_what_they_show(small_run):
    attention = small_run.gather("attention").measured["attention"]
    label = small_run.data_label
    found = gallery(small_run, "least sure")
    assert 1 < len(found.images) == len(found.maps) == len(found.captions) <= 6
    drawn = [
        figures.attention_sanity(small_run.table("attention_sanity"), data_label=label),
        figures.attention_cascade(small_run.table("attention_cascade"), data_label=label),
        figures.attention_rings(small_run.table("attention_rings"), data_label=label),
        figures.attention_curves(attention, data_label=label),
        figures.attention_average(attention, data_label=label),
        figures.channel_weights(attention, data_label=label),
        figures.attention_gallery(
            found.images, found.maps, found.captions, found.title, data_label=label
        ),
    ]
    for one in drawn:
        assert figures.alt_text(one).endswith(f"Computed on {label}.")
        assert "Not in this run" not in figures.alt_text(one)
        assert "nan" not in figures.alt_text(one)
        assert "<svg" in figures.to_svg(one)


@needs_tensorflow
def test_verify_notices_numbers_of_maps_that_were_changed(small_run, tmp_path):
    # Tables and chapters take longest, and are verified elsewhere.
    left_out = shutil.ignore_patterns("tables", "notebooks")
    run = Path(shutil.copytree(small_run.folder, tmp_path / "run", ignore=left_out))
    assert recompute(run, run / "notebooks")[0].problems == []
    path = run / "attention" / "maps-without.csv"
    path.write_bytes(path.read_bytes().replace(b"0.1", b"0.2", 1))
    assert any("maps-without.csv" in problem for problem in verify(run).problems)
