"""Cells that occur more than once, and the subjects that follow."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lcc_utils.data import duplicates
from lcc_utils.data.cnmc import index
from lcc_utils.data.duplicates import (
    committed_links,
    find_pairs,
    manifest_links,
    subject_groups,
    subject_links,
)
from lcc_utils.errors import DataError

SHARED = Path(os.environ.get("LCC_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "cnmc"
real = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real cells at {SHARED}")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LCC_CACHE", str(tmp_path_factory.mktemp("cache")))


def textured(seed: int, radius: int = 110) -> np.ndarray:
    """Return a round cell on black with a texture of its own."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(450, 450)).astype(np.float32), (0, 0), 5)
    y, x = np.indices((450, 450))
    inside = (y - 225) ** 2 + (x - 225) ** 2 < radius**2
    grey = np.clip(120 + 25 * noise / noise.std(), 20, 250) * inside
    return np.stack([grey, grey * 0.5, grey * 0.9], 2).astype(np.uint8)


def tree(root: Path, cells: dict[str, np.ndarray], kind: str = "bmp") -> pd.DataFrame:
    for name, pixels in cells.items():
        path = root / "training_data" / name.rsplit("_", 1)[1] / f"{name}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return index(root)


def pair(pairs: pd.DataFrame, a: str, b: str) -> pd.Series:
    rows = pairs[(pairs["cell_a"] == a) & (pairs["cell_b"] == b)]
    assert len(rows) == 1
    return rows.iloc[0]


def table(*patients: str, dataset: str = "synthetic") -> pd.DataFrame:
    cells = pd.DataFrame({"cell_id": [f"UID_{p}_1_1_x" for p in patients], "patient": patients})
    cells.attrs["dataset"] = dataset
    return cells


def links(*joined: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(joined, columns=["patient_a", "patient_b"])


def test_same_bytes_and_same_pixels_are_told_apart(tmp_path):
    cells = tree(tmp_path, {"UID_11_1_1_all": textured(1), "UID_2_1_1_all": textured(1)})
    png = tmp_path / "training_data/all/UID_3_1_1_all.png"
    Image.fromarray(textured(1)).save(png)
    pairs = find_pairs(index(tmp_path))
    assert len(cells) == 2
    assert pair(pairs, "UID_11_1_1_all", "UID_2_1_1_all")["kind"] == "bytes"
    assert pair(pairs, "UID_11_1_1_all", "UID_3_1_1_all")["kind"] == "pixels"
    assert pairs["confirmed"].all()
    assert set(pairs["correlation"]) == {1.0}


def test_a_shifted_smaller_cut_out_is_found_and_strangers_are_not(tmp_path):
    again = np.roll(textured(1) * (textured(9, radius=100) > 0), (17, -11), (0, 1))
    cells = tree(
        tmp_path,
        {"UID_11_1_1_all": textured(1), "UID_2_1_1_all": again, "UID_3_1_1_all": textured(2)},
    )
    pairs = find_pairs(cells)
    same = pair(pairs, "UID_11_1_1_all", "UID_2_1_1_all")
    assert (same["kind"], bool(same["confirmed"])) == ("near", True)
    assert same["correlation"] > 0.9
    other = pair(pairs, "UID_11_1_1_all", "UID_3_1_1_all")
    assert not other["confirmed"]
    assert other["correlation"] < 0.5


def test_near_cells_of_one_patient_are_no_candidates(tmp_path):
    cells = tree(tmp_path, {"UID_11_1_1_all": textured(1), "UID_11_1_2_all": textured(2)})
    assert find_pairs(cells).empty


def test_pairs_are_kept_and_read_back_alike(tmp_path, monkeypatch):
    cells = tree(tmp_path, {f"UID_{p}_1_1_all": textured(p) for p in (1, 2, 3)})
    first = find_pairs(cells)
    monkeypatch.setattr(duplicates, "pictures", lambda *a, **k: 1 / 0)
    pd.testing.assert_frame_equal(find_pairs(cells), first)


@pytest.mark.parametrize(
    "correlations,confirmed",
    [([0.65], [True]), ([0.64], [False]), ([0.5, 0.5], [True, True]), ([0.64, 0.49], [False] * 2)],
)
def test_one_pair_at_65_or_two_at_50_join_two_patients(correlations, confirmed):
    count = len(correlations)
    cells = pd.DataFrame(
        {
            "cell_id": [f"{side}{i}" for side in "ab" for i in range(count)],
            "patient": ["H2"] * count + ["H10"] * count,
        }
    )
    pairs = pd.DataFrame(
        {
            "cell_a": [f"a{i}" for i in range(count)],
            "cell_b": [f"b{i}" for i in range(count)],
            "kind": "near",
            "correlation": correlations,
        }
    )
    pairs["confirmed"] = duplicates._confirmed(pairs, cells)
    assert list(pairs["confirmed"]) == confirmed
    found = subject_links(pairs, cells)
    want = [["H2", "H10", "texture", count, max(correlations)]] if any(confirmed) else []
    assert found.to_numpy().tolist() == want


def test_subject_is_the_smallest_id_in_natural_order():
    cells = subject_groups(table("11", "2", "H10", "h3", "H1"), links(("2", "11"), ("H10", "h3")))
    assert list(cells["subject"]) == ["2", "2", "h3", "h3", "H1"]


def test_chains_join_and_order_of_links_does_not_matter():
    chain = [("1", "2"), ("3", "4"), ("2", "3")]
    for order in (chain, chain[::-1]):
        cells = subject_groups(table("4", "3", "2", "1", "5"), links(*order))
        assert list(cells["subject"]) == ["1", "1", "1", "1", "5"]


def test_committed_links_hold_without_the_fold_that_shows_them():
    cells = subject_groups(table("H6", "H7", "H10", "21", "78", dataset="c-nmc-2019"))
    assert list(cells["subject"]) == ["H2", "H2", "h3", "1", "51"]


def test_committed_links_do_not_touch_synthetic_cells():
    assert list(subject_groups(table("H6", "H7"))["subject"]) == ["H6", "H7"]


def test_cells_of_the_final_phase_have_no_subject():
    assert list(subject_groups(table("", "2", dataset="c-nmc-2019"))["subject"]) == ["", "2"]


def test_eight_patients_may_be_one_subject_but_nine_are_refused():
    chain = [(str(n), str(n + 1)) for n in range(1, 9)]
    assert set(subject_groups(table("8"), links(*chain[:7]))["subject"]) == {"1"}
    with pytest.raises(DataError, match="9 patients would become one subject"):
        subject_groups(table("8"), links(*chain))


def test_a_file_of_the_final_phase_joins_no_patients(tmp_path):
    tree(tmp_path, {"UID_11_1_1_all": textured(1)})
    final = tmp_path / "testing_data/C-NMC_test_final_phase_data/7.bmp"
    final.parent.mkdir(parents=True)
    Image.fromarray(textured(1)).save(final)
    cells = index(tmp_path)
    pairs = find_pairs(cells)
    assert list(pairs["kind"]) == ["bytes"]
    assert subject_links(pairs, cells).empty


def test_plain_cells_without_texture_are_not_taken_for_one(tmp_path):
    plain = np.uint8(textured(1) > 0) * np.uint8([90, 40, 120])
    pairs = find_pairs(
        tree(tmp_path, {"UID_11_1_1_all": plain, "UID_2_1_1_all": plain + (plain > 0)})
    )
    assert list(pairs["confirmed"]) == [False]


def test_manifest_links_count_files_across_patients():
    manifest = pd.DataFrame(
        [("H10", "x"), ("h3", "x"), ("H10", "y"), ("H10", "y"), ("", "z"), ("1", "z")],
        columns=["patient", "sha256"],
    )
    assert manifest_links(manifest).to_numpy().tolist() == [["h3", "H10", "identical", 1, 1.0]]


@real
def test_committed_links_contain_every_link_of_the_file_list():
    manifest = pd.read_csv(SHARED / "manifest.csv", dtype=str, keep_default_na=False)
    listed = manifest_links(manifest)
    counts = {(a, b): n for a, b, _, n, _ in listed.itertuples(index=False)}
    assert counts["20", "21"] == 71
    assert counts["51", "78"] == 11
    assert counts["51", "75"] == 10
    kept = pd.read_csv(Path(duplicates.__file__).with_name("subject_links.csv"), dtype=str)
    pixels = kept[kept["source"] == "pixels"].drop(columns="source")
    made = committed_links(manifest, pixels.astype({"pairs": int, "correlation": float}))
    pd.testing.assert_frame_equal(made.astype(str), kept.astype(made.dtypes).astype(str))


@pytest.fixture(scope="module")
def some_real_cells(tmp_path_factory) -> pd.DataFrame:
    """Unpack all that can be shared in a few images, and cells of other patients beside it."""
    root = tmp_path_factory.mktemp("real")
    rows = pd.read_csv(SHARED / "index.csv")
    part = rows["file"].str.extract(r"UID_(?P<patient>H?\d+)_(?P<image>\d+)_")
    image = part["image"].astype(int)
    chosen = (part["patient"].eq("H14") & image.between(21, 23)) | (
        part["patient"].eq("H24") & image.between(26, 31)
    )
    chosen |= part["patient"].isin(["1", "15"]) & (rows.groupby(part["patient"]).cumcount() < 60)
    chosen |= part["patient"].isin(["H22", "43", "44"]) & (
        rows.groupby(part["patient"]).cumcount() < 60
    )
    for row in rows[chosen].itertuples():
        frame = Image.new("RGB", (450, 450))
        frame.paste(Image.open(SHARED / row.file).convert("RGB"), (row.x0, row.y0))
        path = (root / "data" / row.file).with_suffix(".bmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.save(path)
    return index(root, cache_dir=tmp_path_factory.mktemp("hashes"))


@real
def test_real_cells_show_their_known_links_and_none_across_classes(some_real_cells):
    cells = some_real_cells
    pairs = find_pairs(cells)
    label = dict(zip(cells["cell_id"], cells["label"], strict=True))
    sure = pairs[pairs["confirmed"]]
    assert all(label[a] == label[b] for a, b in zip(sure["cell_a"], sure["cell_b"], strict=True))
    found = subject_links(pairs, cells)
    joined = {(a, b): n for a, b, _, n, _ in found.itertuples(index=False)}
    assert joined["H14", "H24"] >= 29
    assert joined["43", "44"] >= 2
    assert not any("H22" in names for names in joined)


@real
def test_every_identical_pair_of_the_file_list_is_found(tmp_path):
    manifest = pd.read_csv(SHARED / "manifest.csv", dtype=str, keep_default_na=False)
    here = manifest[manifest["phase"].eq("train") & manifest["fold"].isin(["0", "1"])]
    twice = here[here["sha256"].duplicated(keep=False)]
    assert len(twice) == 10
    rows = pd.read_csv(SHARED / "index.csv").set_index("original")
    cells = {}
    for path, name in zip(twice["path"], twice["original_name"], strict=True):
        row = rows.loc[path]
        frame = Image.new("RGB", (450, 450))
        frame.paste(Image.open(SHARED / row["file"]).convert("RGB"), (row["x0"], row["y0"]))
        cells[Path(name).stem] = np.asarray(frame)
    pairs = find_pairs(tree(tmp_path, cells))
    want = {
        tuple(sorted(Path(name).stem for name in names))
        for names in twice.groupby("sha256")["original_name"].apply(list)
    }
    same = pairs[pairs["kind"] == "bytes"]
    assert set(zip(same["cell_a"], same["cell_b"], strict=True)) == want
