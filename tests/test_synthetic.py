"""Synthetic cells: reproducible, whole or absent, laid out and behaving like C-NMC's."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lcc_utils.data import synthetic
from lcc_utils.data.synthetic import draw_cell, draw_patient, generate
from lcc_utils.errors import DataError, RequestError

ALL, HEM = 1, 0
TRAINING = "C-NMC_Leukemia/training_data"
PRELIMINARY = "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("synthetic") / "cells", cells=60, seed=5)


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def cohort(patients: int, cells: int, seed: int = 11):
    """Yield label, patient and image of freshly drawn cells, nothing written."""
    for label in (ALL, HEM):
        for patient in range(patients):
            rng = np.random.default_rng([seed, label, patient])
            traits = draw_patient(label, rng)
            for _ in range(cells):
                yield label, 100 * label + patient, draw_cell(label, traits, rng)


def features(image: np.ndarray) -> list[float]:
    """Size, shape and colour, as a first classifier would take them."""
    mask = image.max(axis=2) > 0
    pixels = image[mask].astype(float)
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    outline = max(contours, key=cv2.contourArea)
    hull = cv2.contourArea(cv2.convexHull(outline))
    solidity = cv2.contourArea(outline) / hull
    return [float(mask.sum()), solidity, *pixels.mean(axis=0), *pixels.std(axis=0)]


@pytest.fixture(scope="module")
def drawn():
    rows = [(label, patient, features(image)) for label, patient, image in cohort(12, 12)]
    labels, patients, values = zip(*rows, strict=True)
    return np.array(labels), np.array(patients), np.array(values)


def test_the_same_seed_gives_the_same_bytes(tree, tmp_path):
    again = generate(tmp_path / "again", cells=60, seed=5)
    assert digests(again) == digests(tree)


def test_another_seed_gives_other_cells(tree, tmp_path):
    other = generate(tmp_path / "other", cells=60, seed=6)
    bmp = {digest for name, digest in digests(tree).items() if name.endswith(".bmp")}
    assert bmp.isdisjoint(digests(other).values())


def test_cells_lie_where_the_real_ones_do(tree):
    training = sorted((tree / TRAINING).rglob("*.bmp"))
    preliminary = sorted((tree / PRELIMINARY).glob("*.bmp"))
    assert (len(training), len(preliminary)) == (51, 9)
    for fold in range(3):
        for name in ("all", "hem"):
            stems = [path.stem for path in (tree / TRAINING / f"fold_{fold}" / name).iterdir()]
            assert len({stem.split("_")[1] for stem in stems}) == 3
            for stem in stems:
                uid, patient, image, cell, label = stem.split("_")
                assert (uid, label) == ("UID", name)
                assert patient.startswith("H") == (name == "hem")
                assert int(image) >= 1
                assert int(cell) >= 1
    share = np.mean([path.parent.name == "all" for path in training])
    assert share == pytest.approx(0.67, abs=0.05)


def test_the_preliminary_phase_is_labelled_by_its_table(tree):
    with Path(f"{tree / PRELIMINARY}_labels.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert list(rows[0]) == ["Patient_ID", "new_names", "labels"]
    assert {row["new_names"] for row in rows} == {f"{n}.bmp" for n in range(1, 10)}
    for row in rows:
        assert row["Patient_ID"].endswith({"1": "_all.bmp", "0": "_hem.bmp"}[row["labels"]])
    assert sum(row["labels"] == "1" for row in rows) == 6


def test_no_patient_is_in_two_places_and_1200_cells_have_24_of_each_class():
    slots = synthetic._plan(1200, 2019)
    places = {}
    for slot in slots:
        places.setdefault(slot.patient_id, set()).add(slot.fold)
    assert all(len(folds) == 1 for folds in places.values())
    assert len(slots) == len({slot.cell_id for slot in slots}) == 1200
    assert sum(name.startswith("H") for name in places) == 24
    assert len(places) == 48


def test_every_cell_is_a_450_px_rgb_bmp_on_exact_black(tree):
    for path in tree.rglob("*.bmp"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("BMP", "RGB", (450, 450))
            pixels = np.asarray(image)
        corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert not corners.any()
        assert 0.02 < (pixels.max(axis=2) > 0).mean() < 0.6


def test_the_encoder_writes_what_pillow_reads(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = tmp_path / "tiny.bmp"
    path.write_bytes(synthetic._bmp(pixels))
    assert np.array_equal(np.asarray(Image.open(path)), pixels)
    assert path.stat().st_size == 54 + 5 * 24


def test_planted_copies_are_recorded_and_only_they_repeat(tree):
    marker = json.loads((tree / "synthetic.json").read_text())
    assert (marker["synthetic"], marker["seed"], marker["cells"]) == (True, 5, 60)
    with Path(f"{tree / PRELIMINARY}_labels.csv").open(newline="") as table:
        renamed = {
            row["Patient_ID"]: tree / PRELIMINARY / row["new_names"]
            for row in csv.DictReader(table)
        }
    files = {path.name: path for path in tree.rglob("UID_*.bmp")} | renamed
    kinds = set()
    for pair in marker["planted"]:
        cell, copy = (files[f"{pair[name]}.bmp"] for name in ("cell", "copy"))
        same = cell.read_bytes() == copy.read_bytes()
        assert same == (pair["kind"] == "identical")
        assert cell.parent != copy.parent
        assert pair["cell"][-3:] == pair["copy"][-3:]
        kinds.add(pair["kind"])
    assert kinds == {"identical", "resegmented"}
    bmp = [digest for name, digest in digests(tree).items() if name.endswith(".bmp")]
    identical = sum(pair["kind"] == "identical" for pair in marker["planted"])
    assert len(bmp) - len(set(bmp)) == identical


def test_a_resegmented_copy_is_the_same_texture_moved_and_trimmed():
    rng = np.random.default_rng(3)
    cell = draw_cell(ALL, draw_patient(ALL, rng), rng)
    copy = synthetic.resegment(cell, rng)
    shifts = [(y, x) for y in range(-4, 5) for x in range(-4, 5)]
    kept = copy.max(axis=2) > 0
    same = [np.array_equal(np.roll(cell, shift, axis=(0, 1))[kept], copy[kept]) for shift in shifts]
    assert sum(same) == 1
    assert not same[shifts.index((0, 0))]
    assert 0.7 < kept.sum() / (cell.max(axis=2) > 0).sum() < 0.99


def test_leukemic_cells_are_larger_in_the_median_with_a_wide_overlap(drawn):
    labels, _, values = drawn
    areas = values[:, 0]
    leukemic, healthy = areas[labels == ALL], areas[labels == HEM]
    assert np.median(leukemic) > 1.15 * np.median(healthy)
    assert np.quantile(healthy, 0.95) > np.median(leukemic)


def test_patients_differ_in_stain_more_than_the_cells_of_one(drawn):
    labels, patients, values = drawn
    red = values[labels == ALL, 2]
    of = patients[labels == ALL]
    means = [red[of == patient].mean() for patient in np.unique(of)]
    within = np.mean([red[of == patient].std(ddof=1) for patient in np.unique(of)])
    assert np.std(means, ddof=1) > within


def test_an_image_wise_split_flatters(drawn):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels, patients, values = drawn
    model = make_pipeline(StandardScaler(), LogisticRegression(C=100.0, max_iter=1000))

    def auc(splitter, groups=None):
        score = cross_val_predict(
            model, values, labels, groups=groups, cv=splitter, method="predict_proba"
        )
        return roc_auc_score(labels, score[:, 1])

    by_patient = auc(StratifiedGroupKFold(4), patients)
    by_image = auc(StratifiedKFold(4, shuffle=True, random_state=0))
    assert 0.7 < by_patient < by_image < 0.99


def test_a_half_written_set_never_appears(tmp_path, monkeypatch):
    drawn = []

    def interrupt(*arguments):
        drawn.append(arguments)
        if len(drawn) == 20:
            raise KeyboardInterrupt
        return draw_cell(*arguments)

    monkeypatch.setattr(synthetic, "draw_cell", interrupt)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "cells", cells=60)
    assert len(drawn) == 20
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=r"37 MB.*No space left|No space left.*37 MB"):
        generate(tmp_path / "cells", cells=60)
    assert list(tmp_path.iterdir()) == []


def test_the_same_set_is_reused(tree):
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    assert generate(tree, cells=60, seed=5) == tree
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before


def test_a_directory_with_something_else_is_refused_and_kept(tree, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RequestError, match=str(tmp_path)):
        generate(tmp_path, cells=60)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(RequestError, match="other synthetic cells"):
        generate(tree, cells=60, seed=6)


@pytest.mark.parametrize("cells, seed", [(59, 1), (0, 1), (60, -1)])
def test_too_few_cells_or_a_negative_seed_are_refused(tmp_path, cells, seed):
    with pytest.raises(RequestError, match="at least 60"):
        generate(tmp_path / "cells", cells=cells, seed=seed)
