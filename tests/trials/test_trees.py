"""Folders as people have them: what is looked at, what is left out, and what says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lcc_utils.cli import main
from lcc_utils.data.check import check
from lcc_utils.data.cnmc import index, survey
from lcc_utils.data.elsewhere import read_foreign
from lcc_utils.data.layouts import walk
from lcc_utils.data.photographs import list_images
from lcc_utils.data.synthetic import generate
from lcc_utils.data.trees import below
from lcc_utils.errors import DataError, LccError

ALL, HEM = "UID_11_10_1_all", "UID_H6_1_2_hem"
OWN = pd.DataFrame({"cell_id": [], "file_sha256": [], "pixel_sha256": [], "subject": []})


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LCC_CACHE", str(tmp_path / "cache"))


def cell(path: Path, value: int = 90) -> Path:
    pixels = np.zeros((450, 450, 3), np.uint8)
    pixels[150:300, 160:290] = (value, 40, 120)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def tree(root: Path) -> Path:
    cell(root / "fold_0" / "all" / f"{ALL}.bmp", 90)
    cell(root / "fold_0" / "hem" / f"{HEM}.bmp", 150)
    return root


def names(files: list) -> list[str]:
    return [Path(path).name for path in files]


def reasons(pairs: list[tuple[str, str]]) -> dict[str, str]:
    return {Path(path).name: reason for path, reason in pairs}


def closed(monkeypatch, folder: Path, error: OSError) -> None:
    """Make one folder give an error when it is listed; permissions do not stop root."""
    scan = os.scandir

    def scandir(path="."):
        if os.path.realpath(path) == os.path.realpath(folder):
            raise error
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), FileNotFoundError(2, "No such file")]
)
def test_a_folder_that_cannot_be_read_is_a_fault_in_every_command(
    tmp_path, monkeypatch, capsys, error
):
    root = tree(tmp_path / "cells")
    closed(monkeypatch, root / "fold_0" / "hem", error)
    why = f"folder not readable ({error.strerror})"
    assert reasons(survey(root).faults) == {"hem": why}
    assert reasons(list_images([root]).faults) == {"hem": why}
    with pytest.raises(DataError, match="not readable"):
        index(root)
    assert main(["data", "check", str(root)]) == 1
    assert f"hem: {why}" in capsys.readouterr().out
    images = tmp_path / "images"
    cell(images / "a.png")
    cell(images / "shut" / "b.png")
    closed(monkeypatch, images / "shut", error)
    assert reasons(read_foreign(images, OWN).faults) == {"shut": why}


def test_a_root_that_cannot_be_read_is_a_fault(tmp_path, monkeypatch):
    root = tree(tmp_path / "cells")
    closed(monkeypatch, root, PermissionError(13, "Permission denied"))
    assert reasons(survey(root).faults) == {"cells": "folder not readable (Permission denied)"}
    assert reasons(list_images([root]).faults) == {
        "cells": "folder not readable (Permission denied)"
    }


def test_what_is_no_image_by_its_name_is_named_by_every_command(tmp_path):
    root = tree(tmp_path / "cells")
    for name in ("picture.gif", "no_suffix"):
        (root / "fold_0" / "all" / name).write_bytes(b"x")
    assert reasons(survey(root).junk) == dict.fromkeys(
        ("picture.gif", "no_suffix"), "not an image file"
    )
    listing = list_images([root])
    assert sorted(names(listing.files)) == [f"{ALL}.bmp", f"{HEM}.bmp"]
    assert reasons(listing.left_out) == dict.fromkeys(
        ("picture.gif", "no_suffix"), "not an image, by the name"
    )
    images = tmp_path / "images"
    cell(images / "a.png")
    (images / "notes.txt").write_text("x")
    found = read_foreign(images, OWN)
    assert found.faults == [("1 file (notes.txt)", "not an image, by the name")]


def test_hidden_and_system_files_are_left_out_and_named(tmp_path):
    root = tree(tmp_path / "cells")
    folder = root / "fold_0" / "all"
    system = (f"._{ALL}.bmp", ".DS_Store", "Thumbs.db", "desktop.ini")
    for name in (*system, f".{HEM}.bmp"):
        (folder / name).write_bytes(b"x")
    cell(root / "__MACOSX" / f"{HEM}.bmp")
    cell(root / ".trash" / f"{HEM}.bmp")
    want = dict.fromkeys(system, "system file") | {
        f".{HEM}.bmp": "hidden file", "__MACOSX": "system folder", ".trash": "hidden folder",
    }  # fmt: skip
    assert reasons(survey(root).junk) == want
    assert reasons(list_images([root]).left_out) == want
    assert not check(root).faulty


def test_links_to_folders_are_followed_the_same_way_in_every_command(tmp_path):
    elsewhere = tree(tmp_path / "elsewhere")
    root = tmp_path / "cells"
    root.mkdir()
    (root / "linked").symlink_to(elsewhere)
    assert sorted(index(root)["cell_id"]) == [ALL, HEM]
    listing = list_images([root])
    assert sorted(listing.files) == [
        str(root / "linked" / "fold_0" / "all" / f"{ALL}.bmp"),
        str(root / "linked" / "fold_0" / "hem" / f"{HEM}.bmp"),
    ]
    cell(tmp_path / "photographs" / "a.png")
    images = tmp_path / "images"
    images.mkdir()
    (images / "linked").symlink_to(tmp_path / "photographs")
    assert list(read_foreign(images, OWN).table["image"]) == ["linked/a.png"]


def test_links_that_lead_back_are_named_and_end(tmp_path):
    root = tree(tmp_path / "cells")
    (root / "loop").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    (root / "whole_disk").symlink_to("/")
    (root / "zz").symlink_to(root / "fold_0")
    (root / "fold_0" / "all" / "itself").symlink_to(root / "fold_0" / "all" / "itself")
    found = below(root)
    assert sorted(names(found.files)) == sorted([f"{ALL}.bmp", f"{HEM}.bmp", "itself"])
    assert reasons(found.left_out) == {
        **dict.fromkeys(("loop", "up", "whole_disk"), "link to a folder above it"),
        "zz": "folder reached before by a link",
    }


def test_many_folders_in_each_other_are_walked(tmp_path):
    deep = tmp_path / "cells"
    for _ in range(150):
        deep /= "a"
    cell(deep / "x.png")
    assert names(below(tmp_path / "cells").files) == ["x.png"]


def test_a_folder_above_the_data_says_neither_class_nor_fold_nor_phase(tmp_path):
    """A user's own folder called all, hem, fold_1 or test is of the machine, not of the data."""
    for above in ("all", "hem", "fold_1", "final", "prelim"):
        root = tree(tmp_path / above / "mine" / "cells")
        cells = index(root).set_index("cell_id")
        assert list(cells.loc[[ALL, HEM], "label"]) == [1, 0]
        assert list(cells["fold"]) == [0, 0]
        assert set(cells["phase"]) == {"train"}
        # Not even as the root itself or just above it does it contradict the names of files.
        shutil.rmtree(tmp_path / above)
        flat = tmp_path / above
        cell(flat / f"{ALL}.bmp", 90)
        cell(flat / f"{HEM}.bmp", 150)
        assert not survey(flat).faults, above


def test_a_class_folder_inside_the_root_still_contradicts_a_name(tmp_path):
    cell(tmp_path / "cells" / "fold_0" / "all" / f"{HEM}.bmp")
    assert reasons(survey(tmp_path / "cells").faults) == {
        f"{HEM}.bmp": "lies under ALL but its name says HEM"
    }
    # One above a fold is no class folder.
    cell(tmp_path / "other" / "all" / "fold_0" / "hem" / f"{HEM}.bmp")
    cell(tmp_path / "other" / "all" / "fold_0" / f"{ALL}.bmp")
    assert not survey(tmp_path / "other").faults


def test_the_root_may_still_be_a_folder_of_the_data_set(tmp_path):
    drawn = tmp_path / "drawn"
    cell(drawn / "training_data" / "fold_2" / "hem" / "UID_H901_1_1_hem.bmp")
    (drawn / "synthetic.json").write_text('{"cells": 1}')
    for inside in ("", "training_data", "training_data/fold_2", "training_data/fold_2/hem"):
        row = index(drawn / inside).iloc[0]
        assert (row["phase"], row["fold"], row["label"]) == ("train", 2, 0), inside
    prelim = tmp_path / "validation_data" / "C-NMC_test_prelim_phase_data"
    cell(prelim / "1.bmp")
    assert walk(prelim).cells[0].phase == "prelim"


@pytest.mark.parametrize(
    "name", [f"UID_{'9' * 23}_1_1_all", f"UID_11_{'1' * 23}_1_all", f"UID_11_1_{'7' * 200}_all"]
)
def test_a_number_of_many_digits_in_a_name_is_named_and_nothing_overflows(tmp_path, name):
    root = tree(tmp_path / "cells")
    cell(root / "fold_0" / "all" / f"{name}.bmp")
    found = survey(root)
    assert len(found.cells) == 2
    assert [Path(path).stem for path, _ in found.junk] == [name]
    assert "more than nine digits" in found.junk[0][1]


def test_numbered_images_of_many_digits_or_of_other_scripts_are_named(tmp_path):
    folder = tmp_path / "cells" / "C-NMC_test_final_phase_data"
    for name in ("7", "9" * 23, "٣"):
        cell(folder / f"{name}.bmp")
    assert list(index(tmp_path / "cells")["cell_id"]) == ["final_7"]
    assert len(survey(tmp_path / "cells").junk) == 2


def test_a_listing_names_files_as_they_were_given(tmp_path, monkeypatch):
    tree(tmp_path / "cells")
    monkeypatch.chdir(tmp_path)
    assert sorted(list_images(["cells"]).files) == [
        f"cells/fold_0/all/{ALL}.bmp", f"cells/fold_0/hem/{HEM}.bmp",
    ]  # fmt: skip
    assert list_images(["cells/fold_0/all", "."]).files[0] == f"cells/fold_0/all/{ALL}.bmp"
    assert len(list_images(["cells/fold_0/all", "."]).files) == 2


def test_check_says_how_many_of_what_are_left_out(tmp_path, capsys):
    root = tree(tmp_path / "cells")
    for name in ("a.gif", "b.gif", ".DS_Store"):
        (root / name).write_bytes(b"x")
    assert main(["data", "check", str(root)]) == 0
    said = capsys.readouterr().out
    assert "Not cells: 1 system file, 2 not an image file" in said


def test_what_lies_in_the_tree_is_listed_where_it_lies_and_not_by_a_link_to_it(tmp_path):
    root = tree(tmp_path / "cells")
    other = cell(root / "fold_1" / "hem" / "UID_H10_1_2_hem.bmp", 120)
    (root / "fold_0" / "a_link").symlink_to(root / "fold_1")
    (root / "fold_0" / "all" / "UID_99_1_1_all.bmp").symlink_to(other)
    found = below(root)
    assert names(found.files) == [f"{ALL}.bmp", f"{HEM}.bmp", other.name]
    assert other in found.files
    assert reasons(found.left_out) == {
        "a_link": "folder reached before by a link",
        "UID_99_1_1_all.bmp": "file reached before by a link",
    }
    assert not check(root).faulty
    assert sorted(index(root)["fold"]) == [0, 0, 1]


def test_a_listing_has_the_files_of_a_folder_before_those_of_the_folders_in_it(tmp_path):
    away = cell(tmp_path / "away" / "b.png").parent
    for name in ("b/a.png", "z.png", "a/c.png", "a/b/a.png"):
        cell(tmp_path / "cells" / name)
    (tmp_path / "cells" / "c").symlink_to(away)
    (tmp_path / "cells" / "b" / "d.png").mkdir()
    listed = [
        path.relative_to(tmp_path / "cells").as_posix()
        for path in below(tmp_path / "cells", (".png",)).files
    ]
    assert listed == ["z.png", "a/c.png", "a/b/a.png", "b/a.png", "b/d.png", "c/b.png"]


@pytest.mark.parametrize("content", ["[" * 200_000, "{{{", "[]", '{"cells": "many"}'])
def test_a_marker_that_is_damaged_states_no_number_of_cells(tmp_path, content):
    root = tree(tmp_path / "cells")
    (root / "synthetic.json").write_text(content)
    found = survey(root)
    assert len(found.cells) == 2
    assert found.missing == []
    with pytest.raises(LccError, match="Nothing was changed"):
        generate(root, cells=60)
