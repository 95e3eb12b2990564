"""Cells from elsewhere: how sets are read and cut out, what is measured, and the command."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from lcc_utils.cli import main
from lcc_utils.data import cnmc, duplicates
from lcc_utils.data.cut_out import cropped, cut_out, framed, on_black
from lcc_utils.data.drawing import draw_cell, draw_patient
from lcc_utils.data.elsewhere import read_foreign
from lcc_utils.data.foreign_shapes import KINDS, draw_shapes
from lcc_utils.data.reading import FaultyImage
from lcc_utils.data.synthetic import generate
from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.detection import Familiar
from lcc_utils.evaluation.intervals import of_values
from lcc_utils.evaluation.novelty import fit_neighbours, unsureness
from lcc_utils.evaluation.result import Results
from lcc_utils.pipeline.config import load_config
from lcc_utils.pipeline.foreign import DRAWN, OTHER_PHASES, add_foreign, compare
from lcc_utils.pipeline.foreign_frames import Fingerprints, frames, spread_out
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.verify import load_results
from lcc_utils.report import figures
from lcc_utils.report.table_markup import to_html
from lcc_utils.report.tables import build_table

LABEL = "made-up cells"
NAMES = ("foreign_sets", "foreign_calls", "out_of_distribution", "external_validation")
NO_CELLS = pd.DataFrame({name: pd.Series(dtype="str") for name in ("file_sha256", "pixel_sha256")})
PURPLE, PALE = (110, 60, 160), (230, 220, 228)


def photograph(path: Path, *centres: tuple[int, int], radius: int = 30) -> Path:
    """Write an image of 240x160 px with purple discs on pale ground."""
    image = np.full((160, 240, 3), PALE, np.uint8)
    for centre in centres:
        cv2.circle(image, centre, radius, PURPLE, cv2.FILLED)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])
    return path


def annotation(folder: Path, name: str, *boxes: tuple[str, tuple], file: str | None = None) -> None:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = file or f"{name}.png"
    for kind, box in boxes:
        thing = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(thing, "name").text = kind
        sides = ElementTree.SubElement(thing, "bndbox")
        for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            ElementTree.SubElement(sides, side).text = str(value)
    folder.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(folder / f"{name}.xml")


@pytest.fixture
def smears(tmp_path: Path) -> Path:
    """Six photographs with a large and a small disc each, and one annotation without a picture."""
    folder = tmp_path / "smears"
    for number in range(6):
        photograph(folder / "JPEGImages" / f"smear_{number}.png", (60, 60 + number), (180, 100))
        boxes = (("WBC", (20, 20, 100, 110)), ("RBC", (140, 60, 220, 140)))
        annotation(folder / "Annotations", f"smear_{number}", *boxes)
    annotation(folder / "Annotations", "smear_7", ("WBC", (0, 0, 9, 9)))
    return folder


def listed(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cells.csv").write_text(text)
    return folder / "cells.csv"


# Measures


def twenty(subjects: int = 20) -> pd.DataFrame:
    """Return familiar cells of 1 to 20, dealt out to subjects of two classes in turn."""
    number = np.arange(20)
    own = number % subjects
    return pd.DataFrame(
        {"subject": own.astype(str), "label": own % 2, "value": number + 1.0, "unit": own}
    )


def test_auroc_and_the_rate_at_95_percent_by_hand():
    foreign = pd.DataFrame({"unit": [*"abcd"], "value": [19.5, 25.0, 3.0, 19.0]})
    found = Familiar(twenty(), "value").against(foreign)
    # Familiar cells below each foreign one, a tie counting half: 19, 20, 2.5 and 18.5 of 20.
    assert found.auroc.estimate == pytest.approx((19 + 20 + 2.5 + 18.5) / 80)
    # Nineteen of twenty familiar cells are at most 19; so are two of the four foreign ones.
    assert found.false_positives.estimate == 0.5


def test_what_is_apart_is_told_apart_and_what_is_alike_is_chance():
    known = Familiar(twenty(), "value")
    far = known.against(twenty().assign(value=lambda t: t["value"] + 100))
    assert (far.auroc.estimate, far.auroc.high) == (1, 1)
    # The exact interval of ten of ten subjects, the smaller class.
    assert far.auroc.low == pytest.approx(0.025 ** (1 / 10))
    assert far.false_positives.high == pytest.approx(1 - 0.025 ** (1 / 10))
    same = known.against(twenty())
    assert same.auroc.estimate == 0.5
    assert same.auroc.low < 0.5 < same.auroc.high
    assert same.false_positives.estimate == 0.95


def test_subjects_and_units_are_left_out_in_turn_as_rows_of_the_tables():
    known, foreign = twenty(12), twenty().assign(value=lambda t: t["value"] + 3)
    foreign["unit"] = foreign["unit"] // 2
    found = Familiar(known, "value").against(foreign)
    values, classes = [], []
    for table, column, kind in ((known, "subject", None), (foreign, "unit", 2)):
        for name in sorted(table[column].unique()):
            rest = table[table[column] != name]
            pair = (rest, foreign) if table is known else (known, rest)
            values.append(Familiar(pair[0], "value").against(pair[1]))
            own = table.loc[table[column] == name, "label"].iloc[0]
            classes.append(own if kind is None else kind)
    for measure in ("auroc", "false_positives"):
        left = [getattr(found, measure).estimate, *(getattr(v, measure).estimate for v in values)]
        expected = of_values(left, np.array(classes))
        own = getattr(found, measure)
        assert (own.low, own.high) == pytest.approx((expected.low, expected.high))


def test_few_subjects_or_units_have_no_interval():
    foreign = twenty().assign(value=lambda t: t["value"] + 3)
    many = Familiar(twenty(), "value").against(foreign)
    # The same values of four subjects instead of twenty, or of five images.
    for known, other in (
        (Familiar(twenty(4), "value"), foreign),
        (Familiar(twenty(), "value"), foreign.assign(unit=foreign["unit"] % 4)),
    ):
        few = known.against(other)
        assert few.auroc.estimate == pytest.approx(many.auroc.estimate)
        assert np.isnan([few.auroc.low, few.false_positives.high]).all()
    fewer = Familiar(twenty(), "value").against(foreign.assign(unit=foreign["unit"] // 3))
    assert fewer.auroc.high - fewer.auroc.low > many.auroc.high - many.auroc.low


def test_a_measure_that_is_missing_is_refused():
    for wrong in (twenty().assign(value=np.nan), twenty().head(0)):
        with pytest.raises(DataError, match="no value"):
            Familiar(twenty(), "value").against(wrong)


def test_the_kth_neighbour_and_the_unsureness_by_hand():
    seen = np.array([[3.0, 0.0], [0.0, 0.5], [-2.0, 0.0]])
    # Of length one, the training cells are at right angles to each other, or opposite.
    asked = np.array([[7.0, 0.0]])
    assert fit_neighbours(seen, 1).distance(asked)[0] == pytest.approx(0)
    assert fit_neighbours(seen, 2).distance(asked)[0] == pytest.approx(np.sqrt(2))
    assert fit_neighbours(seen, 50).distance(asked)[0] == pytest.approx(2)
    assert unsureness([0.5, 0.9, 0.02]) == pytest.approx([0.5, 0.1, 0.02])


# Cutting out


def test_a_disc_is_cut_out_with_its_hole_filled_and_black_around(tmp_path):
    image = np.full((200, 200, 3), PALE, np.uint8)
    cv2.circle(image, (100, 100), 60, PURPLE, cv2.FILLED)
    cv2.circle(image, (100, 100), 10, PALE, cv2.FILLED)
    cv2.circle(image, (15, 15), 8, PURPLE, cv2.FILLED)
    found = cut_out(image)
    area = found.any(axis=2).sum()
    assert area == pytest.approx(np.pi * 60**2, rel=0.08)
    assert not found[:30, :30].any()
    assert found[100, 100].tolist() == list(PALE)
    assert on_black(found)
    assert not on_black(image)
    with pytest.raises(FaultyImage, match="one saturation"):
        cut_out(np.full((50, 50, 3), PALE, np.uint8))


def test_a_crop_is_brought_to_scale_and_keeps_to_the_frame():
    image = np.full((100, 80, 3), PALE, np.uint8)
    shown = framed(image, 2.0).any(axis=2)
    assert shown.shape == (450, 450)
    assert (shown.any(axis=1).sum(), shown.any(axis=0).sum()) == (50, 40)
    with pytest.raises(FaultyImage, match="800x1000 px at this scale, larger"):
        framed(image, 0.1)
    # What would be lost is black, as in the large frames of C-NMC's final phase.
    large = np.zeros((600, 600, 3), np.uint8)
    large[250:350, 250:350] = PURPLE
    assert framed(large).shape == (450, 450, 3)


def test_a_box_is_cut_to_the_image_and_one_outside_is_named():
    image = np.zeros((50, 60, 3), np.uint8)
    assert cropped(image, (-5, 10, 20, 90)).shape == (40, 20, 3)
    assert cropped(image, None).shape == (50, 60, 3)
    with pytest.raises(FaultyImage, match="only 3x40 px lie in the image of 60x50"):
        cropped(image, (57, 10, 90, 90))


# Reading


def test_a_list_is_read_and_its_wrong_rows_are_named(tmp_path):
    for name in ("a", "b", "c", "d", "e"):
        photograph(tmp_path / "images" / f"{name}.png", (60, 60))
    path = listed(
        tmp_path,
        "File,label,subject,kind,xmin,ymin,xmax,ymax\n"
        "images/a.png,ALL,p1,blast,,,,\n"
        "images/b.png,healthy,h1,,10,10,90,90\n"
        "images/b.png,0,h1,,100,10,190,90\n"
        "images/c.png,perhaps,p1,,,,,\n"
        "images/d.png,1,p1,,10,10,5,90\n"
        "images/x.png,1,p1,,,,,\n"
        "images/a.png,ALL,p1,blast,,,,\n"
        "images/e.png,,,,1,2,x,4\n",
    )
    found = read_foreign(path, NO_CELLS)
    assert found.layout == "CSV"
    assert found.table["cell_id"].tolist() == ["images/a.png", "images/b.png:1", "images/b.png:2"]
    assert found.table["label"].tolist() == [1, 0, 0]
    assert found.table["kind"].tolist() == ["blast", "cell", "cell"]
    assert found.table["box"].tolist() == [None, (10, 10, 90, 90), (100, 10, 190, 90)]
    reasons = dict(found.faults)
    assert "'perhaps' is none of ALL, HEM, 1" in reasons["line 5 (images/c.png)"]
    assert "box 10, 10, 5, 90 is empty" in reasons["line 6 (images/d.png)"]
    assert reasons["line 7 (images/x.png)"] == "the file is not there"
    assert reasons["line 8 (images/a.png)"] == "the same cell as line 2"
    assert "not four numbers" in reasons["line 9 (images/e.png)"]
    # The folder of a list called cells.csv stands for it.
    assert read_foreign(tmp_path, NO_CELLS).table["cell_id"].equals(found.table["cell_id"])


@pytest.mark.parametrize(
    "text, reason",
    [
        ("file,class\na.png,ALL\n", "has the columns file, class. It needs file"),
        ("label\nALL\n", "It needs file"),
        ("file,xmin,ymin\na.png,1,2\n", "all four of xmin"),
        ("file,label\nb.png,ALL\n", "holds no cell that can be used.*b.png.*not there"),
        ("", "cannot be used as a list: empty"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, text, reason):
    photograph(tmp_path / "a.png", (60, 60))
    with pytest.raises(RequestError, match=reason):
        read_foreign(listed(tmp_path, text), NO_CELLS)


def test_a_subject_of_both_classes_is_named(tmp_path):
    for name in "ab":
        photograph(tmp_path / f"{name}.png", (60, 60))
    path = listed(tmp_path, "file,label,subject\na.png,1,p1\nb.png,0,p1\n")
    with pytest.raises(DataError, match=r"both classes \(the first is p1"):
        read_foreign(path, NO_CELLS)


def test_boxes_of_photographs_are_read_with_the_names_of_objects(smears):
    annotation(smears / "Annotations", "smear_8", ("WBC", (5, 5, 5, 9)), file="x/smear_0.png")
    found = read_foreign(smears, NO_CELLS)
    assert found.layout == "Pascal VOC"
    assert found.table["kind"].value_counts().to_dict() == {"WBC": 6, "RBC": 6}
    assert found.table["label"].isna().all()
    assert found.table["box"].iloc[0] == (20, 20, 100, 110)
    reasons = dict(found.faults)
    assert "smear_7.png is not in JPEGImages" in reasons["smear_7.xml"]
    assert "is empty" in reasons["smear_8.xml, object 1"]


def test_a_folder_of_images_has_no_classes_and_an_empty_one_is_refused(tmp_path):
    photograph(tmp_path / "some" / "below" / "a.png", (60, 60))
    (tmp_path / "some" / "b.png").write_bytes(b"no image")
    found = read_foreign(tmp_path / "some", NO_CELLS)
    assert found.table["image"].tolist() == ["b.png", "below/a.png"]
    prints = Fingerprints()
    assert [one.form for one in frames(found, 1.0, NO_CELLS, prints)] == ["as it is", "cut out"]
    assert [where for where, _ in found.faults] == ["b.png"]
    assert prints.files == 1
    (tmp_path / "none").mkdir()
    for place, reason in (("none", "holds no cell"), ("gone", "is not there")):
        with pytest.raises(RequestError, match=reason):
            read_foreign(tmp_path / place, NO_CELLS)


def test_the_digest_is_over_the_bytes_of_files_in_any_order():
    lines = sorted(hashlib.sha256(text).hexdigest() for text in (b"one", b"two"))
    expected = hashlib.sha256("".join(f"{one}\n" for one in lines).encode()).hexdigest()[:16]
    for order in ((b"one", b"two"), (b"two", b"one", b"two")):
        prints = Fingerprints()
        for text in order:
            prints.add(hashlib.sha256(text).hexdigest())
        assert (prints.files, prints.digest) == (2, expected)


def test_a_limit_of_cells_takes_images_in_turn_and_kinds_alike():
    table = pd.DataFrame(
        {
            "kind": ["RBC"] * 9 + ["WBC"],
            "image": [*"aaaaaabbc", "a"],
            "subject": None,
            "label": None,
        }
    )
    chosen = spread_out(table.astype({"label": "Int64"}), 3)
    assert chosen["kind"].value_counts().to_dict() == {"RBC": 3, "WBC": 1}
    assert set(chosen.loc[chosen["kind"] == "RBC", "image"]) == {"a", "b", "c"}
    assert chosen.index.is_monotonic_increasing


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """A synthetic tree, and the cells of its training phase as a run holds them."""
    root = generate(tmp_path_factory.mktemp("set") / "tree", cells=160, seed=7)
    cells = cnmc.index(root)
    own = cells[cells["phase"] == "train"]
    own = duplicates.subject_groups(own, duplicates.subject_links(duplicates.find_pairs(own), own))
    own.attrs = dict(cells.attrs)
    return root, own


def test_of_a_tree_only_other_cells_of_other_subjects_are_foreign(tree):
    root, own = tree
    found = read_foreign(root, own)
    prelim = cnmc.index(root).query("phase == 'prelim'")
    planted = json.loads((root / "synthetic.json").read_text())["planted"]
    linked = {pair["copy"].split("_")[1] for pair in planted} & set(prelim["patient"])
    assert linked, "the tree has a patient of the preliminary phase who shares cells"
    expected = prelim[~prelim["patient"].isin(linked)]
    assert set(found.table["cell_id"]) == set(expected["cell_id"])
    assert set(found.table["kind"]) == {"preliminary phase"}
    assert found.table["label"].notna().all()
    assert [reason for _, reason in found.faults] == [
        "cells of the run itself", "cells of subjects of the run",
    ]  # fmt: skip
    other = own.copy()
    other.attrs = {"dataset": "c-nmc-2019"}
    # Of another data set, names say nothing: the same patient id is somebody else.
    assert len(read_foreign(root, other).table) == len(prelim)


def test_a_tree_of_the_runs_own_cells_is_refused(tree, tmp_path):
    root, own = tree
    folds = root / "C-NMC_Leukemia" / "training_data"
    with pytest.raises(RequestError, match="cells of the run itself"):
        read_foreign(folds, own)
    copy = tmp_path / "renamed" / "holiday.bmp"
    copy.parent.mkdir()
    shutil.copy(own["path"].iloc[0], copy)
    photograph(tmp_path / "renamed" / "other.png", (60, 60))
    found = read_foreign(copy.parent, own)
    used = {found.table.loc[one.row, "image"] for one in frames(found, 1.0, own, Fingerprints())}
    assert used == {"other.png"}
    assert dict(found.faults)["holiday.bmp"] == "a cell of the run itself"


def test_drawn_shapes_are_of_each_kind_and_the_same_each_time():
    first, again = list(draw_shapes(2)), list(draw_shapes(2))
    assert [kind for kind, _ in first] == [kind for kind in KINDS for _ in "ab"]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, again, strict=True))
    assert [on_black(image) for _, image in first] == [True] * 4 + [False] * 2


# Tables and figures


def test_without_cells_from_elsewhere_tables_are_empty_and_figures_say_so():
    cells = pd.DataFrame()
    cells.attrs = {"dataset": "synthetic", "label": LABEL}
    for name in NAMES:
        table = build_table(name, cells, Results())
        assert table.empty
        assert "None in this run" in to_html(table, "A table")
    drawn = [
        figures.novelty_curves({}, data_label=LABEL),
        figures.out_of_distribution(
            build_table("out_of_distribution", cells, Results()), data_label=LABEL
        ),
    ]
    assert all(figures.alt_text(one).startswith("Not in this run") for one in drawn)


def kept(labels: list, subjects: list, scores: list[float]) -> Results:
    """Results of one network: twenty test cells, and a foreign set."""
    own = twenty().drop(columns=["value", "unit"])
    own = own.assign(cell_id=own["subject"], model="net", score=own["label"] * 0.8 + 0.1)
    own = own.assign(called=own["label"], energy=-1.0, distance=1.0, neighbours=0.1)
    foreign = pd.DataFrame({"label": labels, "subject": subjects, "score": scores})
    foreign = foreign.assign(
        cell_id=[f"c{n}" for n in range(len(labels))], image="a.png", kind="cell", form="as it is",
        source="Other", model="net", energy=-2.0, distance=3.0, neighbours=0.2,
        called=(foreign["score"] >= 0.4).astype(int),
    )  # fmt: skip
    return Results(measured={"robustness": {"familiar": own, "foreign": foreign}})


def test_external_validation_by_hand_at_the_runs_threshold():
    results = kept([1, 1, 0, 0], ["p", "p", "h", "i"], [0.9, 0.3, 0.2, 0.6])
    table = build_table("external_validation", pd.DataFrame(), results).set_index("source")
    assert table.index.tolist() == ["the run's test cells", "Other"]
    row = table.loc["Other"]
    # Of the four pairs of an ALL and a HEM cell, only .3 against .6 is in the wrong order.
    assert (row["auc"], row["sensitivity"], row["specificity"]) == (0.75, 0.5, 0.5)
    assert (row["all_cells"], row["all_subjects"], row["hem_subjects"]) == (2, 1, 2)
    assert np.isnan(row["auc_low"])
    # All ten HEM subjects lie below all ALL: the lower end is exact for ten of ten.
    assert table.loc["the run's test cells", "auc_low"] == pytest.approx(
        0.025 ** (1 / 10), abs=1e-6
    )
    unnamed = kept([1, 1, 0, 0], [None] * 4, [0.9, 0.3, 0.2, 0.6])
    row = (
        build_table("external_validation", pd.DataFrame(), unnamed).set_index("source").loc["Other"]
    )
    assert (row["auc"], row["sensitivity"], row["specificity"]) == (0.75, 0.5, 0.5)
    assert pd.isna(row["all_subjects"])


def test_calls_and_detection_by_hand():
    results = kept([pd.NA] * 4, [None] * 4, [0.99, 0.97, 0.5, 0.02])
    calls = build_table("foreign_calls", pd.DataFrame(), results).set_index("kind")
    assert calls.loc["cell", ["called_all", "sure", "cells", "images"]].tolist() == [
        0.75,
        0.75,
        4,
        1,
    ]
    assert calls.loc[["ALL", "HEM"], "called_all"].tolist() == [1, 0]
    found = build_table("out_of_distribution", pd.DataFrame(), results).set_index("measure")
    assert found.loc[["distance", "nearest neighbours"], "auroc"].tolist() == [1, 1]
    assert found.loc["energy", ["auroc", "taken"]].tolist() == [0, 1]
    # Test cells are all .1 from sure; foreign ones .01, .03, .5 and .02.
    assert found.loc["softmax", "auroc"] == 0.25
    # All four cells are of one image: no interval.
    assert found["auroc_low"].isna().all()
    assert build_table("external_validation", pd.DataFrame(), results).empty


# A run and the command


def test_a_synthetic_run_shows_sets_without_being_asked(small_run):
    cells, results = load_results(small_run.folder)
    for name in NAMES:
        table = small_run.table(name)
        assert len(table), name
        again = build_table(name, cells, results)
        assert table.to_csv(float_format="%.9g") == again.to_csv(float_format="%.9g")
    sets = small_run.table("foreign_sets").set_index("source")
    assert set(sets.index) == {OTHER_PHASES, DRAWN}
    assert sets["digest"].str.fullmatch("[0-9a-f]{16}").all()
    assert all("synthetic" in name for name in sets.index)
    measured = results.measured["robustness"]
    # Only networks judge, and they say of test cells what their experiment said.
    assert set(measured["familiar"]["model"]) == {"small network"}
    tested = {result.variant: result.test for result in results["robustness"]}
    both = measured["familiar"].merge(tested["small network"], on="cell_id")
    assert len(both) == len(measured["familiar"])
    assert (both["score_x"] - both["score_y"]).abs().max() < 1e-4
    forms = measured["foreign"].groupby("kind")["form"].agg(set).to_dict()
    assert forms["cell on ground"] == {"as it is", "cut out"}
    assert forms["even disc"] == {"as it is"}


def test_what_is_there_is_not_scored_again(small_run):
    folder = small_run.folder / "robustness"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    compare(small_run, progress=False)
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_figures_of_a_run_name_sets_and_shares(small_run):
    label = small_run.data_label
    measured = small_run.gather("robustness").measured["robustness"]
    drawn = [
        figures.novelty_curves(measured, data_label=label),
        figures.out_of_distribution(small_run.table("out_of_distribution"), data_label=label),
    ]
    for one in drawn:
        alt = figures.alt_text(one)
        assert alt.endswith(f"Computed on {label}.")
        assert DRAWN in alt
        assert "cell on ground, cut out" in alt
        assert "nan" not in alt
        assert "<svg" in figures.to_svg(one)


def test_the_command_scores_a_set_and_the_same_name_replaces_it(small_run, smears, capsys):
    command = ["external", small_run.name, str(smears), "--name", "Smears", "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert {key: first[key] for key in ("found", "left_out", "faulty", "cells", "files")} == {
        "found": 12, "left_out": 0, "faulty": 0, "cells": 12, "files": 6,
    }  # fmt: skip
    rows = pd.DataFrame(first["out_of_distribution"])
    assert set(zip(rows["kind"], rows["form"], strict=True)) == {
        (kind, form) for kind in ("RBC", "WBC") for form in ("as it is", "cut out")
    }
    assert rows["auroc"].between(0, 1).all()
    assert first["external_validation"] == []
    assert first["faults"][0]["where"] == "smear_7.xml"
    assert main([*command[:-1], "--most", "2", "--scale", "1.5"]) == 0
    told = capsys.readouterr()
    assert "Smears: found 12, left out 8, faulty 0, cells 4" in told.out
    assert "smear_7.xml" in told.err
    sets = small_run.gather("robustness").measured["robustness"]["sets"]
    assert sets["source"].tolist().count("Smears") == 1
    assert sets.set_index("source").loc["Smears", "scale"] == 1.5
    # It refuses a file that is not what was written.
    load_results(small_run.folder)


def test_labelled_cells_are_an_external_validation(small_run, tmp_path):
    lines = ["file,label,subject"]
    for label, name in ((1, "blast"), (0, "healthy")):
        for person in range(6):
            patient = draw_patient(label, np.random.default_rng([label, person]))
            cell = draw_cell(label, patient, np.random.default_rng([label, person, 1]))
            cv2.imwrite(str(tmp_path / f"{name}_{person}.png"), cell[..., ::-1])
            lines.append(f"{name}_{person}.png,{name},{name}{person}")
    path = listed(tmp_path, "\n".join(lines))
    added = add_foreign(small_run, str(path), "Labelled")
    assert (added.counts["cells"], added.files) == (12, 12)
    row = small_run.table("external_validation").set_index("source").loc["Labelled"]
    assert (row["all_cells"], row["hem_cells"], row["all_subjects"]) == (6, 6, 6)
    assert row["auc_low"] <= row["auc"] <= row["auc_high"]


def test_the_command_refuses_own_cells_and_wrong_requests(small_run, smears, tmp_path, capsys):
    folds = str(Path(small_run.cells.attrs["root"]) / "C-NMC_Leukemia" / "training_data")
    before = sorted(path.name for path in (small_run.folder / "robustness").iterdir())
    wrong = {
        "cells of the run itself": [small_run.name, folds, "--name", "Own"],
        "is not there": [small_run.name, str(tmp_path / "gone"), "--name", "Gone"],
        "must be up to 40 letters": [small_run.name, str(smears), "--name", "../x"],
        "--scale 0 between": [small_run.name, str(smears), "--name", "X", "--scale", "0"],
        "at this scale": [small_run.name, str(smears), "--name", "X", "--scale", "0.1"],
        "no run 'none'": ["none", str(smears), "--name", "X"],
        "takes no data": [small_run.name, str(smears), "--name", "X", "--data", folds],
    }
    for reason, arguments in wrong.items():
        assert main(["external", *arguments]) == 2, reason
        assert reason in capsys.readouterr().err
    assert before == sorted(path.name for path in (small_run.folder / "robustness").iterdir())


def test_an_edition_and_a_run_without_the_study_are_refused(
    small_run, tmp_path, root, smears, capsys, monkeypatch
):
    edition = tmp_path / "results"
    shutil.copytree(small_run.folder, edition)
    assert main(["external", str(edition), str(smears), "--name", "X"]) == 2
    assert "keeps no networks" in capsys.readouterr().err
    settings = yaml.safe_load((root / "tests" / "tiny.yml").read_text())
    settings["studies"] = {"training": settings["studies"]["training"]}
    (tmp_path / "bare.yml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("LCC_RUNS", str(tmp_path))
    open_run(str(tmp_path / "bare.yml"), run="bare")
    assert main(["external", "bare", str(smears), "--name", "X"]) == 2
    assert "has no study robustness" in capsys.readouterr().err


def test_a_run_whose_networks_are_not_finished_is_refused(
    small_run, tmp_path, smears, root, monkeypatch
):
    monkeypatch.setenv("LCC_RUNS", str(tmp_path))
    settings = yaml.safe_load((root / "tests" / "tiny.yml").read_text())
    study = settings["studies"]["robustness"]
    settings["studies"] = {"robustness": {key: study[key] for key in ("splits", "variants")}}
    (tmp_path / "begun.yml").write_text(yaml.safe_dump(settings))
    run = open_run(str(tmp_path / "begun.yml"), run="begun")
    compare(run, progress=False)
    assert not (run.folder / "robustness").exists()
    with pytest.raises(RequestError, match="no finished network"):
        add_foreign(run, str(smears), "X")


# The guide pages


def blocks(root: Path, page: str, language: str) -> list[str]:
    text = (root / "book" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def test_the_list_of_all_idb_is_what_the_guide_makes(root, tmp_path, monkeypatch):
    for name in ("Im001_1.png", "Im131_0.png", "readme.png"):
        photograph(tmp_path / name, (60, 60))
    monkeypatch.chdir(tmp_path)
    exec(blocks(root, "your_own_data.md", "python")[0], {})
    found = read_foreign(tmp_path, NO_CELLS)
    assert found.table[["image", "label"]].values.tolist() == [
        ["Im001_1.png", 1],
        ["Im131_0.png", 0],
    ]


def test_training_on_cells_of_ones_own_runs_as_the_guide_says(
    root, tmp_path, places, monkeypatch, capsys
):
    rows = []
    for label in (1, 0):
        for person in range(6):
            patient = draw_patient(label, np.random.default_rng([label, person]))
            for number in range(4):
                cell = draw_cell(label, patient, np.random.default_rng([label, person, number]))
                name = f"{label}-{person}-{number}"
                cv2.imwrite(str(tmp_path / f"{name}.png"), cell[..., ::-1])
                rows.append((name, f"{name}.png", label, f"{label}{person}"))
    columns = ["cell_id", "path", "label", "patient"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "cells.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LCC_CACHE", places["LCC_CACHE"])
    code = blocks(root, "your_own_data.md", "python")[1]
    assert code.count('"training.epochs": 12') == 1
    exec(code.replace('"training.epochs": 12', '"training.epochs": 1'), {})
    assert "'sensitivity'" in capsys.readouterr().out


def test_the_guides_name_commands_options_and_settings_that_exist(root, tmp_path, capsys):
    def helped(*command: str) -> str:
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        return capsys.readouterr().out

    pages = ("your_own_cells.md", "your_own_data.md", "your_own_backbone.md")
    text = "\n".join((root / "book" / page).read_text(encoding="utf-8") for page in pages)
    known = set(re.findall(r"^    ([a-z]+)\s", helped(), re.M))
    assert (
        {"external", "model", "predict", "run"} <= set(re.findall(r"\blcc ([a-z]+)", text)) <= known
    )
    told = "".join(helped(name) for name in ("external", "model", "predict", "run"))
    options = set(re.findall(r"(?<!-)--[a-z]+", text))
    assert {"--scale", "--most", "--name", "--only"} <= options <= set(re.findall("--[a-z]+", told))
    profile = blocks(root, "your_own_backbone.md", "yaml")[0]
    # The network that the page adds is not in the package.
    (tmp_path / "first_look.yml").write_text(profile.replace("two_convolutions", "mobilenetv2"))
    assert set(load_config(str(tmp_path / "first_look.yml")).studies) == {"baselines"}
    assert all("robustness" in load_config(name).studies for name in ("demo", "cpu", "paper"))
