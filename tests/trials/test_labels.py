"""Lists and label files as people and spreadsheets leave them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from lcc_utils.data.cnmc import survey
from lcc_utils.data.delimited import FaultyTable, read_class, read_delimited
from lcc_utils.data.elsewhere import read_foreign
from lcc_utils.data.layouts import Tree
from lcc_utils.data.naming import read_labels
from lcc_utils.errors import LccError, RequestError

CSV = "C-NMC_test_prelim_phase_data_labels.csv"
OFFICIAL = (
    "Patient_ID,new_names,labels\nUID_57_29_1_all.bmp,1.bmp,1\nUID_H49_22_2_hem.bmp,2.bmp,0\n"
)
NAMES = {"1": "UID_57_29_1_all", "2": "UID_H49_22_2_hem"}
OWN = pd.DataFrame({"cell_id": [], "file_sha256": [], "pixel_sha256": [], "subject": []})


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LCC_CACHE", str(tmp_path / "cache"))


def read(folder: Path, content: bytes | str, name: str = CSV):
    """Return the names that a label file gives, its faults, and the junk it is counted as."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    tree, faults = Tree(folder, label_files=[path]), []
    return read_labels(tree, faults), [why for _, why in faults], [why for _, why in tree.junk]


@pytest.mark.parametrize(
    "content",
    [
        OFFICIAL,
        OFFICIAL.replace("\n", "\r\n"),
        OFFICIAL.replace(",", ";"),
        OFFICIAL.replace(",", "\t"),
        "\ufeff" + OFFICIAL,
        "sep=;\r\n" + OFFICIAL.replace(",", ";"),
        OFFICIAL.replace(",1\n", ",1.0\n").replace(",0\n", ",0.0\n"),
        OFFICIAL.replace(",", ";").replace(";1\n", ";1,0\n").replace(";0\n", ";0,00\n"),
        OFFICIAL.replace(",1\n", ", 1 \n").replace(",0\n", ",  0\n"),
        OFFICIAL.replace(",1\n", ",ALL\n").replace(",0\n", ",hem\n"),
        OFFICIAL.replace(",", " , "),
        '"' + OFFICIAL.strip().replace(",", '","').replace("\n", '"\n"') + '"\n',
        OFFICIAL.replace("Patient_ID,new_names,labels", "patient_id,New_Names,LABELS"),
        OFFICIAL.replace("\n", ",\n"),
        OFFICIAL + "\n,,\n",
    ],
)
def test_a_label_file_that_a_spreadsheet_saved_again_gives_the_same_labels(tmp_path, content):
    assert read(tmp_path, content) == (NAMES, [], [])


@pytest.mark.parametrize(
    "content,says",
    [
        (OFFICIAL.replace(",1\n", ",2\n"), "row 2, column labels: label '2' is neither"),
        (OFFICIAL.replace(",0\n", ",\n"), "row 3, column labels: label '' is neither"),
        (OFFICIAL.replace(",1\n", ",0.0\n"), "row 2, column labels: label '0.0' contradicts"),
        (OFFICIAL.replace("UID_57_29_1_all", "57"), "row 2, column Patient_ID: '57.bmp' is no"),
        (OFFICIAL.replace("2.bmp", "1.bmp"), "row 3, column new_names: '1.bmp' stands for"),
        (OFFICIAL.replace("2.bmp", ""), "row 3, column new_names: it is empty"),
        (OFFICIAL.replace(",1\n", ",1,x\n"), "row 2 has 4 values for 3 columns"),
        (OFFICIAL.replace(",", "|"), "lacks the column(s) Patient_ID, new_names, labels"),
        (OFFICIAL.replace("labels", "new_names"), "has the column new_names more than once"),
        (OFFICIAL.encode("utf-16"), "text in UTF-16; save it as CSV in UTF-8"),
        (b"\x00\x05\x16\x07" + bytes(50), "binary, not a text file"),
        (b"PK\x03\x04\x00\x00", "binary, not a text file"),
        (b"", "empty"),
        (b" \n \n", "empty"),
    ],
)
def test_what_cannot_be_a_label_is_refused_by_file_row_and_column(tmp_path, content, says):
    _, faults, junk = read(tmp_path, content)
    assert len(faults) == 1
    assert says in faults[0]
    assert not junk


def test_a_csv_of_ones_own_is_only_noted(tmp_path):
    for number, content in enumerate(("file,label\na.png,1\n", "", b"\0\1")):
        names, faults, junk = read(tmp_path, content, f"labels {number}.csv")
        assert (names, faults, len(junk)) == (None, [], 1)


def tree(root: Path) -> Path:
    folder = root / "fold_0" / "all"
    folder.mkdir(parents=True)
    pixels = np.zeros((450, 450, 3), np.uint8)
    pixels[100:300, 100:300] = 90
    Image.fromarray(pixels).save(folder / "UID_11_10_1_all.bmp")
    return root


def test_neither_system_files_nor_lists_of_ones_own_make_a_tree_faulty(tmp_path):
    root = tree(tmp_path / "cells")
    (root / f"._{CSV}").write_bytes(b"\0\5\x16\7" + bytes(100))
    (root / "labels.csv").write_text("name,diagnosis\nx,1\n")
    found = survey(root)
    assert not found.faults
    reasons = {Path(path).name: why for path, why in found.junk}
    assert reasons[f"._{CSV}"] == "system file"
    assert reasons["labels.csv"].startswith("no label file: lacks the column(s) Patient_ID")


def test_a_list_of_ones_own_above_the_data_does_not_hide_the_label_file(tmp_path):
    root = tmp_path / "C-NMC_test_prelim_phase_data"
    root.mkdir()
    Image.new("RGB", (450, 450)).save(root / "1.bmp")
    (tmp_path / "a_prelim_labels.csv").write_text("name,diagnosis\nx,1\n")
    (tmp_path / CSV).write_text(OFFICIAL)
    found = survey(root)
    assert list(found.cells["cell_id"]) == ["UID_57_29_1_all"]
    assert not found.faults + found.junk


def test_a_label_file_that_is_no_file_is_a_fault(tmp_path):
    (tmp_path / CSV).mkdir()
    faults = []
    assert read_labels(Tree(tmp_path, label_files=[tmp_path / CSV]), faults) is None
    assert faults == [(str(tmp_path / CSV), "a folder, not a file")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_list_of_another_data_set_takes_the_same_forms(tmp_path, separator):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    rows = ["File,Label,subject", "a.png,1.0,s1", " b.png , HEM , s2"]
    text = "\ufeff" + "\r\n".join(rows).replace(",", separator)
    (tmp_path / "cells.csv").write_bytes(text.encode())
    found = read_foreign(tmp_path, OWN)
    assert list(found.table["label"]) == [1, 0]
    assert list(found.table["subject"]) == ["s1", "s2"]
    assert not found.faults


@pytest.mark.parametrize("content", ["file\na.png\n".encode("utf-16"), b"\0", b""])
def test_a_list_that_cannot_be_read_is_refused(tmp_path, content):
    (tmp_path / "cells.csv").write_bytes(content)
    with pytest.raises(RequestError, match="cannot be used as a list"):
        read_foreign(tmp_path, OWN)


def test_a_list_names_rows_by_their_line(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "cells.csv").write_text("file,label\n\na.png,1\na.png,maybe\n,1\nb,1,2\n")
    where = [place for place, _ in read_foreign(tmp_path, OWN).faults]
    assert where == ["line 6", "line 4 (a.png)", "line 5 (no file)"]


@pytest.mark.parametrize(
    "text,known",
    [("1", 1), (" 1 ", 1), ("1.0", 1), ("1,0", 1), ("01", 1), ("ALL", 1), ("0", 0), ("0.0", 0),
     ("-0", 0), ("hem", 0), ("2", None), ("-1", None), ("1.5", None), ("10", None), ("nan", None),
     ("", None), ("true", None), ("1e0", None)],
)  # fmt: skip
def test_a_class_is_understood_in_the_forms_that_go_round(text, known):
    assert read_class(text) == known


cells_of_csv = st.one_of(
    st.sampled_from(["UID_57_29_1_all.bmp", "1.bmp", "1", "0.0", "", " ", '"', "Patient_ID",
                     "new_names", "labels", "\0", "\ufeff", "=1+1"]),
    st.text(max_size=8),
)  # fmt: skip
tables = st.lists(st.lists(cells_of_csv, max_size=5), max_size=6)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(st.binary(max_size=200), tables), st.sampled_from(",;\t|"))
@example(b'"unclosed\n1,2', ",")
@example(b'Patient_ID,new_names,labels\n"a', ",")
def test_any_bytes_give_labels_or_a_reason(tmp_path, content, separator):
    if not isinstance(content, bytes):
        text = "\n".join(separator.join(row) for row in content)
        content = f"Patient_ID{separator}new_names{separator}labels\n{text}".encode()
    names, faults, junk = read(tmp_path, content)
    assert names is None or all(isinstance(name, str) for name in names.values())
    assert names is not None or faults or junk
    (tmp_path / "list.csv").write_bytes(content)
    for own in (partial(read_delimited, needs=["file"]), partial(read_foreign, own=OWN)):
        with suppress(FaultyTable, LccError):
            own(tmp_path / "list.csv")


@pytest.fixture
def two(tmp_path) -> Path:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    return tmp_path


def listed(folder: Path, content: bytes):
    (folder / "cells.csv").write_bytes(content)
    found = read_foreign(folder, OWN)
    return list(found.table["image"]), [reason for _, reason in found.faults]


def test_subjects_of_another_encoding_are_not_joined_into_one(two):
    with pytest.raises(RequestError, match=r"subject 'M.ller' is not in UTF-8; save the list"):
        listed(two, "file,subject\na.png,Müller\nb.png,Möller\n".encode("latin-1"))


@pytest.mark.parametrize("sign", ["\u200b", "\ufeff", "\u00ad"])
def test_a_subject_with_signs_that_cannot_be_seen_is_not_another_one(two, sign):
    images, reasons = listed(two, f"file,subject\na.png,s\nb.png,s{sign}\n".encode())
    assert images == ["a.png"]
    assert reasons == [f"subject {'s' + sign!r} has characters that cannot be seen; remove them"]


def test_a_cell_that_is_listed_again_by_a_link_is_not_scored_twice(two):
    (two / "c.png").symlink_to("a.png")
    assert listed(two, b"file\na.png\nc.png\n") == (["a.png"], ["the same cell as line 2"])


def annotation(folder: Path, name: str, head: str = "") -> None:
    for part in ("Annotations", "JPEGImages"):
        (folder / part).mkdir(exist_ok=True)
    Image.new("RGB", (60, 60)).save(folder / "JPEGImages" / "a.png")
    box = "".join(
        f"<{side}>{value}</{side}>"
        for side, value in (("xmin", 1), ("ymin", 1), ("xmax", 40), ("ymax", 40))
    )
    thing = f"<object><name>WBC</name><bndbox>{box}</bndbox></object>"
    text = f"{head}<annotation><filename>a.png</filename>{thing}</annotation>"
    (folder / "Annotations" / name).write_text(text)


def test_a_box_that_is_annotated_twice_is_one_cell(tmp_path):
    for name in ("a.xml", "b.xml"):
        annotation(tmp_path, name)
    found = read_foreign(tmp_path, OWN)
    assert len(found.table) == 1
    assert found.faults == [("b.xml, object 1", "the same cell as a.xml, object 1")]


@pytest.mark.parametrize("encoding", ["foo", "zlib", "utf-7", "undefined"])
def test_an_annotation_of_no_known_encoding_is_named(tmp_path, encoding):
    annotation(tmp_path, "a.xml")
    annotation(tmp_path, "b.xml", f'<?xml version="1.0" encoding="{encoding}"?>')
    found = read_foreign(tmp_path, OWN)
    assert len(found.table) == 1
    assert [where for where, _ in found.faults] == ["b.xml"]
