"""Trees of cells: every layout, every fault, and what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcc_utils.data.check import check
from lcc_utils.data.cnmc import data_digest, index, survey
from lcc_utils.data.official import expected_counts, official_patients, patient_order
from lcc_utils.errors import DataError, RequestError

CSV = "C-NMC_test_prelim_phase_data_labels.csv"
LABELS = "Patient_ID,new_names,labels\nUID_57_29_1_all.bmp,1.bmp,1\nUID_H49_22_2_hem.bmp,2.bmp,0\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LCC_CACHE", str(tmp_path_factory.mktemp("cache")))


def cell(path: Path, value: int = 90, side: int = 450) -> Path:
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[150:300, 160:290] = (value, 40, 120)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def folds(training: Path, all_="all", hem="hem", kind="bmp") -> None:
    """One ALL and one HEM cell of each fold, under their official patients."""
    names = {
        0: ("UID_11_10_1_all", "UID_H6_1_2_hem"),
        1: ("UID_2_3_4_all", "UID_H10_5_6_hem"),
        2: ("UID_21_7_8_all", "UID_h3_9_1_hem"),
    }
    for fold, (sick, healthy) in names.items():
        cell(training / f"fold_{fold}" / all_ / f"{sick}.{kind}", 100 + fold)
        cell(training / f"fold_{fold}" / hem / f"{healthy}.{kind}", 150 + fold)


def preliminary(folder: Path, csv: Path | None, names=("1", "2")) -> None:
    for value, name in enumerate(names):
        cell(folder / f"{name}.bmp", 200 + value)
    if csv:
        csv.parent.mkdir(parents=True, exist_ok=True)
        csv.write_text(LABELS)


def kaggle(root: Path, kind="bmp") -> Path:
    base = root / "C-NMC_Leukemia"
    folds(base / "training_data", kind=kind)
    valid = base / "validation_data"
    preliminary(valid / "C-NMC_test_prelim_phase_data", valid / CSV)
    cell(base / "testing_data/C-NMC_test_final_phase_data/7.bmp", 230, side=600)
    return root


EXPECTED = {
    "UID_11_10_1_all": ("11", "train", 0, 1),
    "UID_H6_1_2_hem": ("H6", "train", 0, 0),
    "UID_2_3_4_all": ("2", "train", 1, 1),
    "UID_H10_5_6_hem": ("H10", "train", 1, 0),
    "UID_21_7_8_all": ("21", "train", 2, 1),
    "UID_h3_9_1_hem": ("h3", "train", 2, 0),
    "UID_57_29_1_all": ("57", "prelim", None, 1),
    "UID_H49_22_2_hem": ("H49", "prelim", None, 0),
    "final_7": ("", "final", None, None),
}


def found(cells) -> dict:
    columns = cells[["cell_id", "patient", "phase", "fold", "label"]].itertuples(index=False)
    blank = lambda x: None if x is None or str(x) == "<NA>" else int(x)  # noqa: E731
    return {c: (p, phase, blank(f), blank(y)) for c, p, phase, f, y in columns}


def expected(*names: str) -> dict:
    return {name: EXPECTED[name] for name in names}


TRAIN = [name for name, (_, phase, *_) in EXPECTED.items() if phase == "train"]
LABELLED = [name for name in EXPECTED if name != "final_7"]


def test_kaggle_tree_gives_all_three_phases(tmp_path):
    cells = index(kaggle(tmp_path))
    assert found(cells) == EXPECTED
    assert cells.attrs == {"layout": "kaggle", "root": str(tmp_path), "dataset": "c-nmc-2019"}
    assert list(cells["cell_id"]) == sorted(EXPECTED)


@pytest.mark.parametrize("inside", ["C-NMC_Leukemia", "C-NMC_Leukemia/training_data/fold_1"])
def test_root_may_lie_inside_the_data_set(tmp_path, inside):
    cells = index(kaggle(tmp_path) / inside)
    want = EXPECTED if "fold" not in inside else expected("UID_2_3_4_all", "UID_H10_5_6_hem")
    assert found(cells) == want


def test_root_may_be_one_class_folder(tmp_path):
    cells = index(kaggle(tmp_path) / "C-NMC_Leukemia/training_data/fold_2/hem")
    assert found(cells) == expected("UID_h3_9_1_hem")


def test_preliminary_folder_alone_finds_its_csv_above(tmp_path):
    kaggle(tmp_path)
    valid = tmp_path / "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data"
    assert found(index(valid)) == expected("UID_57_29_1_all", "UID_H49_22_2_hem")


def test_doubled_folder_with_the_csv_in_the_outer_one(tmp_path):
    outer = tmp_path / "C-NMC_Leukemia"
    folds(outer / "C-NMC_Leukemia/training_data", "ALL", "HEM")
    valid = "validation_data/C-NMC_test_prelim_phase_data"
    preliminary(outer / "C-NMC_Leukemia" / valid, outer / CSV)
    cells = index(tmp_path)
    assert found(cells) == expected(*LABELLED)
    assert cells.attrs["layout"] == "kaggle, doubled folder"


def test_tcia_tree(tmp_path):
    folds(tmp_path / "PKG - C-NMC 2019/C-NMC_training_data")
    cells = index(tmp_path)
    assert (found(cells), cells.attrs["layout"]) == (expected(*TRAIN), "tcia")


def test_data_folds_with_numbered_phases(tmp_path):
    folds(tmp_path / "data")
    preliminary(tmp_path / "phase2", tmp_path / "phase2.csv")
    cell(tmp_path / "phase3/7.bmp", 230, side=600)
    cells = index(tmp_path)
    assert (found(cells), cells.attrs["layout"]) == (EXPECTED, "data/fold_*")


def test_flat_tree_takes_folds_from_the_patients(tmp_path):
    folds(tmp_path / "fill")
    for path in sorted((tmp_path / "fill").rglob("*.bmp")):
        target = tmp_path / "d/training_data" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    cells = index(tmp_path / "d")
    assert (found(cells), cells.attrs["layout"]) == (expected(*TRAIN), "flat")


def test_train_val_test_tree_in_mixed_case_takes_phase_and_fold_from_the_patients(tmp_path):
    cell(tmp_path / "train/ALL/UID_11_10_1_all.bmp")
    cell(tmp_path / "train/all/UID_2_3_4_all.bmp")
    cell(tmp_path / "val/HEM/UID_h3_9_1_hem.bmp")
    cell(tmp_path / "test/all/UID_57_29_1_all.bmp")
    cells = index(tmp_path)
    want = expected("UID_11_10_1_all", "UID_2_3_4_all", "UID_h3_9_1_hem", "UID_57_29_1_all")
    assert (found(cells), cells.attrs["layout"]) == (want, "train/val/test")


def test_preliminary_files_renamed_to_their_names_need_no_csv(tmp_path):
    folder = tmp_path / "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data"
    preliminary(folder, None, ("UID_57_29_1_all", "UID_H49_22_2_hem"))
    assert found(index(tmp_path)) == expected("UID_57_29_1_all", "UID_H49_22_2_hem")


def test_numbered_preliminary_files_without_a_csv_are_left_out_and_named(tmp_path):
    kaggle(tmp_path)
    next(tmp_path.rglob("*.csv")).unlink()
    seen = survey(tmp_path)
    assert found(seen.cells) == expected(*TRAIN, "final_7")
    assert [(Path(p).name, reason) for p, reason in seen.unlabelled] == [
        ("1.bmp", "labels CSV not found"),
        ("2.bmp", "labels CSV not found"),
    ]


def test_bmp_and_png_trees_have_one_digest(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    folds(a / "training_data", kind="bmp")
    folds(b / "training_data", kind="png")
    first, second = index(a), index(b)
    assert data_digest(first) == data_digest(second)
    assert set(first["file_sha256"]).isdisjoint(second["file_sha256"])


def test_digest_changes_with_one_pixel(tmp_path):
    path = cell(tmp_path / "training_data/all/UID_11_10_1_all.bmp", 90)
    before = data_digest(index(tmp_path))
    cell(path, 91)
    assert data_digest(index(tmp_path)) != before


def test_a_second_index_decodes_nothing(tmp_path, monkeypatch):
    kaggle(tmp_path)
    # Files that were just written are in doubt: their clock is coarse.
    monkeypatch.setattr("lcc_utils.data.hashing._IN_DOUBT_NS", 0)
    first = index(tmp_path)
    monkeypatch.setattr("lcc_utils.data.hashing._read", lambda path: 1 / 0)
    assert index(tmp_path).equals(first)


def test_folders_reached_twice_are_counted_once(tmp_path):
    kaggle(tmp_path)
    training = tmp_path / "C-NMC_Leukemia/training_data"
    (training / "fold_0/ALL").symlink_to(training / "fold_0/all")
    (training / "fold_1/hem/loop").symlink_to(training)
    assert found(index(tmp_path)) == EXPECTED


def test_junk_is_left_out_and_named(tmp_path):
    kaggle(tmp_path)
    folder = tmp_path / "C-NMC_Leukemia/training_data/fold_0/all"
    junk = {
        "AugmentedImg_12.bmp": "augmented image",
        "UID_11_10_1_all (1).bmp": "copy",
        ".DS_Store": "system file",
        "Thumbs.db": "system file",
        "UID_11_10_1_all_mask.bmp": "mask",
        "smear.png": "not named like a cell",
        "12.bmp": "numbered image of no known phase",
        "notes.txt": "not an image file",
    }
    for name in junk:
        (folder / name).write_bytes(b"x")
    seen = survey(tmp_path)
    assert {Path(p).name: reason for p, reason in seen.junk} == junk
    assert not seen.faults
    assert found(seen.cells) == EXPECTED


def fault(tmp_path) -> str:
    """Return the one fault that a survey reports, and check that index raises it."""
    seen = survey(tmp_path)
    assert len(seen.faults) == 1
    path, reason = seen.faults[0]
    with pytest.raises(DataError) as raised:
        index(tmp_path)
    assert path in str(raised.value)
    assert reason in str(raised.value)
    return reason


def damaged(tmp_path, change) -> str:
    kaggle(tmp_path)
    path = tmp_path / "C-NMC_Leukemia/training_data/fold_0/all/UID_11_10_1_all.bmp"
    change(path)
    return fault(tmp_path)


def test_zero_byte_file_is_a_fault(tmp_path):
    assert damaged(tmp_path, lambda p: p.write_bytes(b"")) == "zero bytes"


def test_truncated_bmp_is_a_fault(tmp_path):
    reason = damaged(tmp_path, lambda p: p.write_bytes(p.read_bytes()[:300_000]))
    assert reason.startswith("truncated or damaged (image file is truncated")


def test_file_of_another_kind_is_a_fault(tmp_path):
    assert damaged(tmp_path, lambda p: p.write_text("not an image")).startswith("no image inside")


def test_grey_bmp_is_a_fault(tmp_path):
    reason = damaged(tmp_path, lambda p: Image.new("L", (450, 450), 9).save(p))
    assert reason == "grey, without the colours of a stain; save it as 8-bit RGB"


def test_wrong_size_is_a_fault(tmp_path):
    assert damaged(tmp_path, lambda p: cell(p, side=300)) == "300x300 px, not 450x450"


@pytest.mark.parametrize(
    "make,says",
    [
        (lambda p: Image.new("I;16", (450, 450)).save(p), "16 bits a channel"),
        (lambda p: Image.new("L", (450, 450)).save(p), "grey"),
        (lambda p: p.write_bytes(cell(p).read_bytes()[:600]), "truncated"),
    ],
)
def test_faulty_png(tmp_path, make, says):
    path = tmp_path / "training_data/all/UID_11_10_1_all.png"
    path.parent.mkdir(parents=True)
    make(path)
    assert says in fault(tmp_path)


def test_folder_class_against_name_is_a_fault(tmp_path):
    cell(tmp_path / "training_data/hem/UID_11_10_1_all.bmp")
    assert fault(tmp_path) == "lies under HEM but its name says ALL"


def test_name_class_against_patient_is_a_fault(tmp_path):
    cell(tmp_path / "training_data/hem/UID_11_10_1_hem.bmp")
    assert fault(tmp_path) == "patient 11 is of class ALL in C-NMC 2019"


def test_wrong_fold_is_a_fault(tmp_path):
    cell(tmp_path / "data/fold_1/all/UID_11_10_1_all.bmp")
    assert fault(tmp_path) == "lies in fold 1 but patient 11 is of fold 0"


def test_unknown_patient_is_a_fault(tmp_path):
    cell(tmp_path / "training_data/all/UID_900_10_1_all.bmp")
    assert fault(tmp_path) == "patient 900 is not in C-NMC 2019"


def test_two_files_of_one_name_are_a_fault(tmp_path):
    first = cell(tmp_path / "a/training_data/all/UID_11_10_1_all.bmp")
    cell(tmp_path / "b/training_data/all/UID_11_10_1_all.bmp")
    assert fault(tmp_path) == f"second file of cell UID_11_10_1_all: {first}"


def test_csv_without_its_columns_is_a_fault(tmp_path):
    kaggle(tmp_path)
    next(tmp_path.rglob("*.csv")).write_text("id,new_names\n1,2\n")
    assert fault(tmp_path) == "lacks the column(s) Patient_ID, labels; it has id, new_names"


def test_csv_that_contradicts_itself_is_a_fault(tmp_path):
    kaggle(tmp_path)
    table = next(tmp_path.rglob("*.csv"))
    table.write_text(table.read_text().replace("1.bmp,1", "1.bmp,0"))
    assert "label '0' contradicts 'UID_57_29_1_all.bmp'" in fault(tmp_path)


def test_no_such_folder(tmp_path):
    with pytest.raises(RequestError, match="not a folder"):
        index(tmp_path / "gone")


def test_no_cells(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(RequestError, match=r"holds no cells.*1 other file"):
        index(tmp_path)


def test_missing_cells_are_named_by_fold_and_class(tmp_path):
    missing = survey(kaggle(tmp_path)).missing
    assert missing[2] == "fold 2: 2 of 3,553 (ALL 1 of 2,457, HEM 1 of 1,096)"
    assert missing[3] == "preliminary phase: 2 of 1,867 (ALL 1 of 1,219, HEM 1 of 648)"
    assert missing[4] == "final phase: 1 of 2,586"


def test_synthetic_tree_is_measured_by_its_own_marker(tmp_path):
    made = tmp_path / "above/made"
    cell(made / "C-NMC_Leukemia/training_data/fold_1/all/UID_901_1_1_all.bmp")
    (made / "synthetic.json").write_text(json.dumps({"cells": 3}))
    for root in (made, made / "C-NMC_Leukemia", made.parent):
        seen = survey(root)
        assert seen.cells.attrs["dataset"] == "synthetic"
        assert found(seen.cells) == {"UID_901_1_1_all": ("901", "train", 1, 1)}
        assert seen.missing == ["synthetic cells: 1 of 3"]


def test_synthetic_and_other_cells_do_not_mix(tmp_path):
    cell(tmp_path / "s/training_data/all/UID_1_1_1_all.bmp")
    (tmp_path / "s/synthetic.json").write_text("{}")
    cell(tmp_path / "r/training_data/all/UID_11_1_1_all.bmp")
    with pytest.raises(RequestError, match="holds synthetic cells"):
        index(tmp_path)


def test_official_table_has_the_published_totals():
    counts = expected_counts()
    assert sum(n for (phase, *_), n in counts.items() if phase == "train") == 10_661
    assert counts["prelim", None, 1] + counts["prelim", None, 0] == 1_867
    assert counts["final", None, None] == 2_586
    assert len(official_patients()) == 101
    assert official_patients()["h3"]["patient"] == "h3"


def test_patients_are_ordered_by_number():
    assert sorted(["H10", "11", "h3", "2", "H2"], key=patient_order) == [
        "2",
        "11",
        "H2",
        "h3",
        "H10",
    ]


def test_report_names_what_is_there_and_what_is_wrong(tmp_path):
    kaggle(tmp_path)
    bad = tmp_path / "C-NMC_Leukemia/training_data/fold_2/all/UID_21_7_8_all.bmp"
    bad.write_bytes(b"")
    (bad.parent / "Thumbs.db").write_bytes(b"x")
    report = check(tmp_path, pixels=True)
    text = report.to_text()
    assert report.faulty
    assert f"{bad}: zero bytes" in text
    assert "Not cells: 1 system file" in text
    assert "layout kaggle; data set c-nmc-2019" in text
    assert "fold 2: 1 of 3,553" in text
    parsed = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert parsed["faults"] == [{"file": str(bad), "reason": "zero bytes"}]
    assert parsed["groups"] == {"h3": ["h3", "H10"]}


def test_report_of_a_tree_that_is_only_incomplete_is_not_faulty(tmp_path):
    assert not check(kaggle(tmp_path)).faulty
