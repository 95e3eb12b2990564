"""Changes of images by hand, labels that are wrong on purpose, and what a run makes of both."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import asdict

import keras
import numpy as np
import pandas as pd
import pytest

from lcc_utils.data.label_noise import wrong_labels
from lcc_utils.data.partitions import Split
from lcc_utils.data.shift_scales import SCALES, SEVERITIES
from lcc_utils.data.shifted_cells import as_input, variants
from lcc_utils.data.shifts import SHIFTS, shifted
from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.result import Missing, Result, Results
from lcc_utils.evaluation.shifted import column, curve, log_odds, predictions
from lcc_utils.evaluation.split_means import mean_change_intervals
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.pipeline.config import load_config
from lcc_utils.pipeline.learners import fit_features, fit_network
from lcc_utils.pipeline.measured import add_table, has_part
from lcc_utils.pipeline.robustness import compared, part_of, score_shifted
from lcc_utils.pipeline.shift_gallery import shift_gallery
from lcc_utils.pipeline.verify import load_results
from lcc_utils.report import figures
from lcc_utils.report.table_markup import to_html
from lcc_utils.report.tables import build_table

LABEL = "made-up cells"
TABLES = ("robustness_summary", "robustness", "label_noise")
# The outline stays as it is under these, to the pixel.
COLOURS = [
    "darker", "brighter", "less contrast", "less haematoxylin", "more haematoxylin", "more eosin",
    "hue", "noise",
]  # fmt: skip
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a network's weights are kept by TensorFlow"
)


@pytest.fixture(scope="module")
def cell():
    """A disc of radius 40 px with a dark middle and a faint texture, on black of 200 px."""
    y, x = np.mgrid[:200, :200] - 99.5
    image = np.zeros((200, 200, 3), np.uint8)
    image[np.hypot(x, y) <= 40] = (180, 120, 190)
    image[np.hypot(x - 5, y) <= 20] = (90, 50, 140)
    image[(np.hypot(x, y) <= 40) & ((x // 4 + y // 4) % 2 == 0)] += 10
    return image


def area(image):
    return int(image.any(axis=2).sum())


@pytest.mark.parametrize("name", list(SHIFTS))
def test_a_shift_leaves_severity_0_alone_and_is_the_same_each_time(name, cell):
    before = cell.copy()
    assert shifted(cell, name, 0, "a") is cell
    for severity in SEVERITIES:
        found = shifted(cell, name, severity, "a")
        assert (found.shape, found.dtype) == (cell.shape, np.uint8)
        assert (found != cell).any()
        np.testing.assert_array_equal(found, shifted(cell, name, severity, "a"))
    np.testing.assert_array_equal(cell, before)


@pytest.mark.parametrize("name", [name for name in SHIFTS if name != "rotation"])
def test_a_higher_severity_changes_more(name, cell):
    apart = [
        np.abs(shifted(cell, name, own, "a").astype(int) - cell).mean() for own in (0, *SEVERITIES)
    ]
    # Compression hardly differs between its best qualities.
    assert apart[5] > apart[3] > apart[1]


@pytest.mark.parametrize("name", COLOURS)
def test_a_change_of_colour_keeps_the_outline_and_the_black_ground(name, cell):
    for severity in SEVERITIES:
        found = shifted(cell, name, severity, "a")
        np.testing.assert_array_equal(found.any(axis=2), cell.any(axis=2))


def test_levels_change_as_the_scale_says(cell):
    inside = cell.any(axis=2)
    darker, brighter = (shifted(cell, name, 5, "a")[inside] for name in ("darker", "brighter"))
    np.testing.assert_allclose(darker, 0.5 * cell[inside], atol=0.5)
    np.testing.assert_allclose(brighter, np.minimum(1.5 * cell[inside], 255), atol=0.51)
    flat = shifted(cell, "less contrast", 5, "a")[inside]
    np.testing.assert_allclose(flat.mean(axis=0), cell[inside].mean(axis=0), atol=0.5)
    np.testing.assert_allclose(flat.std(axis=0), 0.25 * cell[inside].std(axis=0), atol=0.5)
    noise = shifted(cell, "noise", 5, "a")[inside].astype(float) - cell[inside]
    assert 23 < noise.std() < 27
    other = shifted(cell, "noise", 5, "b")[inside].astype(float) - cell[inside]
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.05


def test_a_stain_changes_its_own_concentration_alone(cell):
    from skimage.color import hed_from_rgb

    def stains(image):
        levels = np.maximum(image[image.any(axis=2)], 1) / 255
        return (-np.log(levels) @ hed_from_rgb).mean(axis=0)

    before = stains(cell)
    for name, stain, factor in (
        ("more haematoxylin", 0, 1.3), ("less haematoxylin", 0, 0.7), ("more eosin", 1, 1.6),
    ):  # fmt: skip
        expected = before * np.where(np.arange(3) == stain, factor, 1)
        np.testing.assert_allclose(stains(shifted(cell, name, 3, "a")), expected, atol=0.02)


def test_a_turn_of_the_hue_takes_red_to_green(cell):
    red = np.where(cell.any(axis=2, keepdims=True), np.uint8([200, 0, 0]), np.uint8(0))
    found = shifted(red, "hue", 5, "a")[100, 100]
    # 40 of the 60 degrees from red to yellow: as much green as two thirds of the red.
    np.testing.assert_allclose(found, [200, 200 * 40 / 60, 1], atol=1)


def test_geometry_follows_angles_and_factors(cell):
    np.testing.assert_array_equal(shifted(cell, "rotation", 3, "a"), np.rot90(cell))
    # At angles between, pixels are interpolated and the cell keeps its area.
    assert area(shifted(cell, "rotation", 2, "a")) == pytest.approx(area(cell), rel=0.04)
    assert area(shifted(cell, "smaller", 5, "a")) == pytest.approx(0.25 * area(cell), rel=0.08)
    assert area(shifted(cell, "larger", 5, "a")) == pytest.approx(1.69 * area(cell), rel=0.04)
    wide = cell[:, 50:150]
    assert shifted(wide, "smaller", 1, "a").shape == wide.shape


def test_defocus_spreads_the_cell_by_its_radius_and_compression_a_little(cell):
    soft = shifted(cell, "defocus", 5, "a")
    across = np.flatnonzero(soft[100].any(axis=1))
    before = np.flatnonzero(cell[100].any(axis=1))
    assert before[0] - across[0] == pytest.approx(6, abs=1)
    assert soft.std() < cell.std()
    # No quality turns the ground into something that would be measured as cell.
    areas = [area(shifted(cell, "JPEG", own, "a")) for own in SEVERITIES]
    assert max(areas) < 1.4 * area(cell)


def test_errors_of_the_mask_have_the_stated_extent(cell):
    for severity, width in zip(SEVERITIES, (2, 4, 6, 8, 12), strict=True):
        kept = area(shifted(cell, "rim lost", severity, "a"))
        assert kept == pytest.approx(np.pi * (40 - width) ** 2, rel=0.04)
    for severity, percent in zip(SEVERITIES, (5, 10, 15, 20, 30), strict=True):
        cut = shifted(cell, "part cut away", severity, "a")
        assert area(cut) / area(cell) == pytest.approx(1 - percent / 100, abs=0.005)
        added = shifted(cell, "scrap attached", severity, "a")
        assert area(added) / area(cell) == pytest.approx(1 + percent / 100, abs=0.02)
        inside = cell.any(axis=2)
        np.testing.assert_array_equal(added[inside], cell[inside])
    assert (shifted(cell, "part cut away", 3, "a") != shifted(cell, "part cut away", 3, "b")).any()
    thin = np.zeros((20, 20, 3), np.uint8)
    thin[8:12, 2:18] = 99
    assert area(shifted(thin, "rim lost", 5, "a")) > 0


def test_bad_images_names_and_severities_are_refused(cell):
    for name, severity in (("sharper", 1), ("noise", 6)):
        with pytest.raises(RequestError, match="There is no shift"):
            shifted(cell, name, severity, "a")
    for wrong in (cell.astype(float), cell[..., 0], np.zeros_like(cell)):
        with pytest.raises(DataError, match="shows a cell on black"):
            shifted(wrong, "noise", 1, "a")


def test_the_table_of_shifts_names_units():
    table = build_table("shifts", pd.DataFrame(), Results()).set_index("shift")
    assert list(table.index) == list(SCALES) == list(SHIFTS)
    assert table.loc["defocus", "severity_5"] == "6 px"
    assert table.loc["JPEG", "severity_5"] == "quality 10"
    assert SCALES["darker"].text(0) == "unchanged"
    assert SCALES["noise"].span == "4 to 25 levels"


def test_wrong_labels_are_as_many_as_stated_nested_and_belong_to_cells():
    cells = [f"cell-{number}" for number in range(200)]
    few, many = (wrong_labels(cells, share, 3) for share in (0.05, 0.2))
    assert (few.sum(), many.sum()) == (10, 40)
    assert many[few].all()
    assert not wrong_labels(cells, 0.0, 3).any()
    assert (wrong_labels(cells, 0.2, 4) != many).any()
    # In another order, and without cells that were right, the same cells are wrong.
    order = np.random.default_rng(0).permutation(200)
    shuffled = wrong_labels([cells[n] for n in order], 0.2, 3)
    np.testing.assert_array_equal(shuffled, many[order])


def settings(**training):
    return ExperimentSettings(
        pixels={"size": 32},
        model={"backbone": "logistic_regression"},
        training={"epochs": 1, "batch": 8} | training,
    )


def test_keys_of_experiments_without_label_noise_stay_as_they_were():
    network = settings().model_copy(update={"model": load_config("demo").model})
    for own in (settings(), network):
        assert "label_noise" not in own.relevant()["training"]
    noisy = settings(label_noise=0.1)
    assert noisy.relevant()["training"] == {"refit": True, "inner": 3, "label_noise": 0.1}
    network = noisy.model_copy(update={"model": load_config("demo").model})
    assert network.relevant()["training"]["label_noise"] == 0.1
    frozen = network.model.model_copy(update={"frozen": True})
    own = noisy.model_copy(update={"model": frozen}).relevant()
    assert own["training"]["label_noise"] == 0.1
    with pytest.raises(ValueError, match="less than 0"):
        settings(label_noise=0.5)


@pytest.fixture(scope="module")
def forty():
    """Forty training cells, twenty that validate, one number that tells the classes apart."""
    cells = pd.DataFrame({"cell_id": [f"c{n}" for n in range(80)], "label": [0, 1] * 40})
    cells["subject"] = cells["cell_id"]
    ids = tuple(cells["cell_id"])
    split = Split(ids[:40], ids[40:60], ids[60:], "official", 0, "fold 0 to 1")
    rng = np.random.default_rng(0)
    from lcc_utils.classical.features import FEATURES

    features = np.repeat(cells[["label"]].to_numpy(float), len(FEATURES), axis=1)
    return cells, split, features + 0.01 * rng.standard_normal(features.shape)


def test_labels_that_train_a_model_on_features_are_turned_over(forty, monkeypatch):
    from lcc_utils.pipeline import learners

    cells, split, features = forty
    seen = {}

    def fit(_name, _features, labels, _seed):
        seen["labels"] = labels

    monkeypatch.setattr(learners, "fit_classical", fit)
    truth = cells["label"].to_numpy()
    own = cells.set_index("cell_id").loc[list(split.fitting), "label"].to_numpy()
    assert len(own) == 60
    fit_features(settings(label_noise=0.25), cells, split, 7, features)
    assert (seen["labels"] != own).sum() == 15
    fit_features(settings(), cells, split, 7, features)
    np.testing.assert_array_equal(seen["labels"], own)
    # The table of cells itself stays as it is.
    np.testing.assert_array_equal(cells["label"], truth)


def test_a_network_learns_from_the_same_wrong_labels(forty, monkeypatch):
    from lcc_utils.nn import training

    cells, split, _ = forty
    seen = {}
    noisy = {"epochs": 1, "batch": 8, "label_noise": 0.25}

    class Pixels:
        array = None

        def rows(self, ids):
            return np.arange(len(ids))

    def fit(_settings, _pixels, train, validation, *_rest):
        seen.update(train=train.labels, validation=validation.labels)

    monkeypatch.setattr(training, "fit", fit)
    network = {"model": {"backbone": "small_cnn"}, "training": noisy}
    fit_network(ExperimentSettings(pixels={"size": 32}, **network), cells, split, 7, Pixels())
    wrong = wrong_labels(split.train, 0.25, 7)
    truth = cells["label"].to_numpy()
    np.testing.assert_array_equal(seen["train"] != truth[:40], wrong)
    np.testing.assert_array_equal(seen["validation"], truth[40:60])


def made_up(count=12, shift=0.0):
    """Scores of two cells a subject, ALL above HEM; darkness moves all of them down."""
    rows = []
    for number in range(count):
        label = number % 2
        for cell in range(2):
            score = 0.3 + 0.4 * label + 0.01 * cell
            row = {"cell_id": f"{number}-{cell}", "subject": f"s{number}", "label": label}
            row[column("", 0)] = log_odds(score)
            for name in SCALES:
                for severity in SEVERITIES:
                    moved = shift * severity if name == "darker" else 0.0
                    row[column(name, severity)] = log_odds(score - moved)
            rows.append(row)
    return pd.DataFrame(rows)


def result(variant, study="robustness", seed=0, share=0.0, test=None, split="fold 0 to 1"):
    training = {"refit": False} | ({"label_noise": share} if share else {})
    record = {
        "metrics": {"threshold": 0.5},
        "split": {"protocol": "official", "train": 200},
    }
    table = test if test is not None else pd.DataFrame()
    return Result.in_memory(
        key="0", study=study, variant=variant, split=split, seed=seed,
        settings={"training": training}, record=record, predictions=table,
        history=pd.DataFrame(),
    )  # fmt: skip


def test_a_shift_that_moves_all_scores_keeps_the_auc_and_costs_sensitivity():
    scores = made_up(shift=0.05)
    course = curve(scores, "darker", (0, 3, 5), 0.5).set_index("severity")
    assert course["auc"].tolist() == [1, 1, 1]
    assert course["sensitivity"].tolist() == [1, 1, 0]
    assert course["specificity"].tolist() == [1, 1, 1]
    called = predictions(scores, "darker", 5, 0.5)["called"]
    assert called.sum() == 0
    results = Results({"robustness": [result("one"), result("not measured")]})
    results.measured["robustness"] = {"shifted": scores.assign(model="one")}
    table = build_table("robustness", pd.DataFrame(), results).set_index("shift")
    assert table["model"].eq("one").all()
    assert table["auc_delta"].eq(0).all()
    row = table.loc["darker"]
    assert (row["sensitivity_unchanged"], row["sensitivity_shifted"]) == (1, 0)
    # All called HEM: F1 of HEM is 2/3, weighted by half of the cells; before, it was 1.
    assert row["f1_delta"] == pytest.approx(100 * (1 / 3 - 1), abs=1e-3)
    assert table.drop(index="darker")["f1_delta"].eq(0).all()
    summary = build_table("robustness_summary", pd.DataFrame(), results).iloc[0]
    # One shift of sixteen, at two severities of five: 0.7 - 0.2 = 0.5 is still called ALL, and
    # of 0.71 - 0.25 and 0.7 - 0.25 neither.
    assert summary["f1_delta"] == pytest.approx(100 * (1 / 3 - 1) / 16 / 5, abs=1e-3)
    assert (summary["subjects"], summary["cells"]) == (12, 24)


def test_log_odds_keep_the_order_of_scores_that_are_nearly_one():
    scores = np.array([1 - 1e-9, 1 - 1e-6, 0.5, 1e-12, 0.0, 1.0])
    odds = log_odds(scores)
    assert (np.argsort(odds) == np.argsort(scores)).all()
    assert odds[2] == 0
    np.testing.assert_allclose(odds[[4, 5]], [-34.54, 34.54], atol=0.01)
    table = pd.DataFrame(
        {"cell_id": [*"abcd"], "subject": [*"abcd"], "label": [1, 0, 1, 0]}
        | {column("noise", 1): log_odds(1 - np.array([1e-9, 1e-7, 1e-8, 1e-6]))}
    )
    assert curve(table, "noise", [1], 0.5)["auc"].item() == 1


def test_intervals_need_six_subjects_of_a_class():
    few = Results({"robustness": [result("one")]})
    few.measured["robustness"] = {"shifted": made_up(6, shift=0.05).assign(model="one")}
    table = build_table("robustness", pd.DataFrame(), few)
    assert table["f1_delta_low"].isna().all()
    assert table["f1_delta"].notna().all()


def noisy_test(seed, share):
    """Twelve subjects; of the ALL cells, as many as 40 times the share lie below all others."""
    rng = np.random.default_rng(seed)
    label = np.tile([1, 0], 60)
    score = 0.25 + 0.5 * label + 0.1 * rng.random(120)
    score[np.flatnonzero(label)[: round(40 * share)]] = 0.01
    return pd.DataFrame(
        {"cell_id": [f"c{n}" for n in range(120)], "patient": "1"}
        | {"subject": [f"s{n % 12}" for n in range(120)], "label": label}
        | {"score": score, "partition": "test"}
    )


def test_label_noise_is_paired_by_seed_and_named_without_its_share():
    found = {"label_noise": []}
    for share, name in ((0.0, "boosting"), (0.05, "boosting, 5 %"), (0.2, "boosting, 20 %")):
        found["label_noise"] += [
            result(name, "label_noise", seed, share, noisy_test(seed, share)) for seed in range(3)
        ]
    table = build_table("label_noise", pd.DataFrame(), Results(found))
    assert table["model"].eq("boosting").all()
    assert table["share_wrong"].tolist() == [0, 0.05, 0.2]
    assert table["wrong_labels"].tolist() == [0, 10, 40]
    assert table["seeds"].eq(3).all()
    # 2 and 8 of 60 ALL cells lie below every HEM cell.
    np.testing.assert_allclose(table["auc"], [1, 58 / 60, 52 / 60], atol=1e-6)
    np.testing.assert_allclose(table["auc_delta"], [np.nan, -200 / 60, -800 / 60], atol=1e-3)
    last = table.iloc[-1]
    assert last["auc_delta_low"] <= last["auc_delta"] <= last["auc_delta_high"]
    assert last["auc_delta_min"] == last["auc_delta_max"] == pytest.approx(last["auc_delta"])
    drawn = figures.label_noise(table, data_label=LABEL)
    assert "boosting, AUC −13.33" in figures.alt_text(drawn)
    # A share whose runs are not all there is left out.
    results = Results(found)
    missing = Missing("label_noise", "boosting, 20 %", "fold 0 to 1", 3, "")
    results.missing["label_noise"] = [missing]
    assert build_table("label_noise", pd.DataFrame(), results)["share_wrong"].max() == 0.05


def test_splits_are_measured_apart_and_subjects_drawn_for_all_of_them():
    found = {"label_noise": []}
    for share, name in ((0.0, "boosting"), (0.2, "boosting, 20 %")):
        for split, low in (("fold 0 to 1", 0.0), ("fold 1 to 0", 0.5)):
            test = noisy_test(0, share)
            # Each model has a scale of its own: HEM of one lie above ALL of the other.
            test["score"] = low + test["score"] / 2
            test["cell_id"] += split
            found["label_noise"].append(result(name, "label_noise", 0, share, test, split))
    table = build_table("label_noise", pd.DataFrame(), Results(found))
    np.testing.assert_allclose(table["auc"], [1, 52 / 60], atol=1e-6)
    assert table["wrong_labels"].tolist() == [0, 80]
    assert (table["subjects"].tolist(), table["cells"].tolist()) == ([12, 12], [240, 240])
    row = table.iloc[1]
    assert row["auc_delta"] == pytest.approx(-800 / 60, abs=1e-3)
    assert row["auc_delta_low"] < row["auc_delta"] < row["auc_delta_high"]


def test_pairs_of_other_subjects_and_subjects_of_two_classes_are_refused():
    one = noisy_test(0, 0.0).assign(called=0)
    other = one[one["subject"] != "s3"]
    with pytest.raises(DataError, match="not of the same subjects"):
        mean_change_intervals([one], [other])
    mixed = one.assign(label=1 - one["label"])
    with pytest.raises(DataError, match="both classes"):
        mean_change_intervals([one], [mixed])


@pytest.mark.parametrize("name", TABLES)
def test_a_run_without_these_studies_gives_tables_without_rows(name):
    cells = pd.DataFrame()
    cells.attrs = {"dataset": "synthetic", "label": LABEL}
    table = build_table(name, cells, Results())
    assert table.empty
    assert len(table.columns) > 8
    assert ElementTree.fromstring(to_html(table, "A table")).find("table/thead/tr") is not None


def test_a_run_without_these_studies_gives_figures_that_say_so():
    none = build_table("label_noise", pd.DataFrame(), Results())
    drawn = [
        figures.robustness_curves(Results(), "auc", data_label=LABEL),
        figures.robustness_curves(Results(), "f1_weighted", data_label=LABEL),
        figures.shift_gallery({}, "", data_label=LABEL),
        figures.label_noise(none, data_label=LABEL),
    ]
    assert all(figures.alt_text(one).startswith("Not in this run") for one in drawn)


def test_settings_of_a_run_without_shifts_stay_as_they_were():
    studies = load_config("demo").model_dump(mode="json")["studies"]
    assert "shifts" not in studies["ablation"]
    assert studies["robustness"]["shifts"]["cells"] > 40
    with pytest.raises(RequestError, match=r"shifts\.cells"):
        load_config("demo", {"studies.robustness.shifts": {"cells": 0}})
    assert part_of("Small network, no augmentation") == "images-small-network-no-augmentation"


@pytest.mark.parametrize("profile", ["demo", "cpu", "paper"])
def test_the_first_network_of_each_profile_is_the_one_whose_maps_are_drawn(profile):
    config = load_config(profile)
    robustness, attention = config.studies["robustness"], config.studies["attention"]
    firsts = [
        config.experiment(study.settings, next(iter(study.variants.values()))).relevant()
        for study in (robustness, attention)
    ]
    assert firsts[0] == firsts[1]
    assert robustness.splits == attention.splits


@needs_tensorflow
def test_a_run_scores_unchanged_images_as_its_experiments_did(small_run):
    shifted_scores = small_run.gather("robustness").measured["robustness"]["shifted"]
    by_name = {own.variant: own for own in small_run.gather("robustness")["robustness"]}
    assert list(dict.fromkeys(shifted_scores["model"])) == list(by_name)
    for name, own in shifted_scores.groupby("model"):
        unchanged = predictions(own, "", 0, 0.5)
        both = unchanged.merge(by_name[name].test, on="cell_id", suffixes=("", "_first"))
        assert len(both) == len(own) > 3
        np.testing.assert_allclose(both["score"], both["score_first"], atol=2e-4)
        assert own["label"].nunique() == 2
        assert (own[column("darker", 5)] != own[column("", 0)]).any()


@needs_tensorflow
def test_a_run_gives_tables_and_figures_from_what_it_keeps(small_run):
    cells, results = load_results(small_run.folder)
    label = small_run.data_label
    for name in TABLES:
        table = small_run.table(name)
        assert len(table), name
        again = build_table(name, cells, results)
        assert table.to_csv(float_format="%.9g") == again.to_csv(float_format="%.9g")
    drawn = [
        figures.robustness_curves(results, "auc", data_label=label),
        figures.robustness_curves(results, "f1_weighted", data_label=label),
        figures.shift_gallery(**asdict(shift_gallery(small_run)), data_label=label),
        figures.label_noise(small_run.table("label_noise"), data_label=label),
    ]
    for one in drawn:
        assert figures.alt_text(one).endswith(f"Computed on {label}.")
        assert "Not in this run" not in figures.alt_text(one)
        assert "nan" not in figures.alt_text(one)
        assert "<svg" in figures.to_svg(one)


@needs_tensorflow
def test_scores_that_are_there_are_not_computed_again_and_time_that_is_over_is_kept(
    small_run, monkeypatch
):
    folder = small_run.folder / "robustness"
    own = list(folder.glob("shifted-*.csv"))
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in own}
    assert len(before) == 2
    score_shifted(small_run, progress=False)
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before}
    part = part_of("small network")
    record = (folder / "robustness.json").read_text()
    (folder / "robustness.json").write_text(record.replace(f'"{part}"', '"images-another"'))
    monkeypatch.setenv("LCC_DEADLINE", "1")
    score_shifted(small_run, progress=False)
    assert not has_part(small_run.folder, "robustness", part)
    monkeypatch.delenv("LCC_DEADLINE")
    score_shifted(small_run, progress=False)
    assert has_part(small_run.folder, "robustness", part)
    assert {path: kept for path, (kept, _) in before.items()} == {
        path: path.read_bytes() for path in before
    }


@needs_tensorflow
def test_cells_are_even_over_classes_and_fewer_for_measured_features(small_run):
    found = compared(small_run)
    counts = found.cells["label"].value_counts()
    assert abs(counts[0] - counts[1]) <= 1
    features = found.cells_of(found.experiments["logistic regression"])
    network = found.cells_of(found.experiments["small network"])
    assert len(features) < len(network)
    np.testing.assert_array_equal(features["cell_id"], network["cell_id"].head(len(features)))


def test_variants_of_a_cell_come_unchanged_first_and_in_the_order_of_the_scales(cell, tmp_path):
    import cv2

    path = tmp_path / "cell.png"
    cv2.imwrite(str(path), cv2.cvtColor(cell, cv2.COLOR_RGB2BGR))
    found = variants(str(path), "a", lambda image: as_input(image, 300, 300))
    assert found.shape == (1 + len(SCALES) * len(SEVERITIES), 300, 300, 3)
    np.testing.assert_array_equal(found[0][50:250, 50:250], cell)
    place = 1 + 5 * list(SCALES).index("rotation") + SEVERITIES.index(3)
    np.testing.assert_array_equal(found[place], np.rot90(found[0]))


def test_parts_of_a_measured_group_lie_side_by_side(tmp_path):
    scores = made_up(4).assign(model="one")
    add_table(tmp_path, "robustness", part_of("one"), {"shifted": scores})
    assert (tmp_path / "robustness" / "shifted-images-one.csv").is_file()
    assert has_part(tmp_path, "robustness", "images-one")
