"""Cells that are there twice: the official list, what a run's cells show, tables to save."""

from __future__ import annotations

import base64
import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from lcc_utils.data import links
from lcc_utils.data.links import duplicate_groups, found_links, group_links, official_duplicates
from lcc_utils.pipeline.book_check import check
from lcc_utils.pipeline.verify import TABLE_CAPTION_END
from lcc_utils.report import figures
from lcc_utils.report.data_tables import count_groups, count_pairs
from lcc_utils.report.formatting import csv_text
from lcc_utils.report.table_markup import to_html
from lcc_utils.report.tables import build_table

LABEL = "made-up cells"
OFFICIAL = ["duplicates", "duplicate_pairs"]


def manifest(*rows: tuple[str, ...]) -> pd.DataFrame:
    columns = ["phase", "fold", "class", "patient", "original_name", "sha256"]
    return pd.DataFrame(rows, columns=columns, dtype="str")


LIST = manifest(
    ("final", "", "", "", "12.bmp", "f"),
    ("train", "1", "hem", "H10", "UID_H10_12_1_hem.bmp", "d"),
    ("train", "0", "all", "2", "UID_2_10_1_all.bmp", "b"),
    ("train", "2", "all", "11", "UID_11_9_3_all.bmp", "b"),
    ("train", "0", "all", "2", "UID_2_9_1_all.bmp", "a"),
    ("train", "0", "all", "11", "UID_11_1_1_all.bmp", "a"),
    ("train", "1", "hem", "H10", "UID_H10_3_1_hem.bmp", "d"),
    ("train", "1", "hem", "H10", "UID_H10_3_2_hem.bmp", "alone"),
    ("prelim", "", "hem", "H3", "UID_H3_1_1_hem.bmp", "also alone"),
    ("final", "", "", "", "7.bmp", "f"),
)


def table(*rows: tuple, dataset: str = "synthetic") -> pd.DataFrame:
    """Cells as a run's ``cells.csv`` holds them: patient, subject, phase, fold and pixels."""
    columns = ["patient", "subject", "phase", "fold", "pixel_sha256"]
    cells = pd.DataFrame(rows, columns=columns).astype({"fold": "Int64"})
    cells["cell_id"] = [f"c{n}" for n in range(len(cells))]
    cells["label"] = (~cells["patient"].str.lower().str.startswith("h")).astype("Int64")
    cells.attrs = {"dataset": dataset, "label": LABEL}
    return cells


PAIRED = table(
    ("2", "2", "train", 0, "x"),
    ("2", "2", "train", 0, "y"),
    ("11", "2", "train", 1, "x"),
    ("11", "2", "train", 1, "y"),
    ("11", "2", "train", 1, "y"),
    ("H1", "H1", "train", 0, "z"),
    ("H3", "H1", "prelim", None, "w"),
    ("H4", "H4", "train", 1, "v"),
)


def lines(frame: pd.DataFrame) -> list[str]:
    return csv_text(frame).splitlines()[1:]


def test_groups_are_counted_by_phase_and_first_cell_and_their_cells_are_named():
    assert lines(duplicate_groups(LIST)) == [
        "1,train,0,all,2,UID_2_9_1_all",
        "1,train,0,all,11,UID_11_1_1_all",
        "2,train,0,all,2,UID_2_10_1_all",
        "2,train,2,all,11,UID_11_9_3_all",
        "3,train,1,hem,H10,UID_H10_3_1_hem",
        "3,train,1,hem,H10,UID_H10_12_1_hem",
        "4,final,,,,final_7",
        "4,final,,,,final_12",
    ]


def test_the_groups_of_a_list_are_counted_and_what_has_no_name_is_not_known():
    assert lines(count_groups(duplicate_groups(LIST))) == [
        "train,3,6,2,1",
        "prelim,0,0,0,0",
        "final,1,2,,",
    ]


def test_ids_that_share_files_come_with_their_folds_the_most_images_first():
    more = manifest(
        ("train", "2", "hem", "H4", "UID_H4_1_1_hem.bmp", "e"),
        ("prelim", "", "hem", "H3", "UID_H3_1_2_hem.bmp", "e"),
    )
    assert lines(count_pairs(duplicate_groups(pd.concat([LIST, more], ignore_index=True)))) == [
        '2,11,ALL,"train 0, train 2",2',
        'H3,H4,HEM,"prelim, train 2",1',
    ]


@pytest.mark.parametrize("count", [count_groups, count_pairs])
def test_a_list_without_copies_gives_whole_numbers_and_no_pair(count):
    frame = count(duplicate_groups(LIST[LIST["sha256"] == "alone"]))
    numbers = frame.select_dtypes("Int64")
    assert len(numbers.columns) in (1, 4)
    assert numbers.sum().sum() == 0


def test_the_published_list_has_the_counts_of_the_audit():
    train = build_table("duplicates", PAIRED, {}).set_index("phase").loc["train"]
    assert train.tolist() == [104, 208, 99, 94]
    pairs = build_table("duplicate_pairs", PAIRED, {})
    first = pairs.head(3)[["patient_a", "patient_b", "shared_images"]]
    assert first.to_numpy().tolist() == [["20", "21", 71], ["51", "78", 11], ["51", "75", 10]]
    assert pairs["shared_images"].sum() == 99
    assert set(pairs["class"]) == {"ALL", "HEM"}


def test_the_kept_list_is_what_the_manifest_gives(shared):
    path = shared / "cnmc" / "manifest.csv"
    if not path.is_file():
        pytest.skip(f"needs the list of files, {path}")
    made = duplicate_groups(pd.read_csv(path, dtype=str, keep_default_na=False))
    assert csv_text(made) == links._DUPLICATES.read_text(encoding="utf-8")
    pd.testing.assert_frame_equal(made, official_duplicates(), check_dtype=False)


def test_kept_links_and_the_kept_list_agree():
    known = links.known_links()
    listed = known[known["source"] == "manifest"].set_index(["patient_a", "patient_b"])["pairs"]
    pairs = count_pairs(official_duplicates()).set_index(["patient_a", "patient_b"])
    assert pairs["shared_images"].astype(int).to_dict() == listed.to_dict()


def test_a_runs_own_cells_show_who_shares_them():
    # Cell y is once under id 2 and twice under id 11: two pairs, and one of cell x.
    assert lines(build_table("shared_cells", PAIRED, {})) == [
        '2,11,ALL,"train 0, train 1",identical pixels,3,1',
        'H1,H3,HEM,"train 0, prelim",texture,,',
    ]


def test_real_cells_take_the_kept_links_and_count_their_own_copies():
    cells = table(
        ("20", "1", "train", 0, "x"),
        ("21", "1", "train", 2, "x"),
        ("H14", "H14", "train", 1, "a"),
        ("H24", "H14", "train", 0, "b"),
        ("H6", "H2", "train", 0, "c"),
        ("H7", "H2", "train", 0, "d"),
        ("54", "54", "prelim", None, "e"),
        dataset="c-nmc-2019",
    )
    assert lines(build_table("shared_cells", cells, {})) == [
        '20,21,ALL,"train 0, train 2",identical file,1,1',
        "H6,H7,HEM,train 0,an id that is not here,,",
        'H14,H24,HEM,"train 1, train 0",texture,29,0.7482',
    ]
    with_absent = group_links(cells)
    assert {"1", "15", "H2"} <= {*with_absent["patient_a"], *with_absent["patient_b"]}
    assert not {"51", "h3"} & {*with_absent["patient_a"], *with_absent["patient_b"]}


def test_a_new_texture_link_beside_the_kept_ones_is_not_lost():
    cells = table(
        ("43", "43", "train", 0, "x"),
        ("44", "43", "train", 1, "y"),
        ("45", "43", "train", 0, "z"),
        dataset="c-nmc-2019",
    )
    assert lines(found_links(cells)) == ["43,44,texture,12,0.9392", "43,45,texture,,"]


@pytest.mark.parametrize("dataset", ["synthetic", "c-nmc-2019"])
@pytest.mark.parametrize("lacking", [[], ["pixel_sha256"], ["subject"]])
def test_cells_that_are_not_shared_or_not_there_give_a_table_without_rows(dataset, lacking):
    alone = table(("2", "2", "train", 0, "x"), ("", "", "final", None, "x"), dataset=dataset).drop(
        columns=lacking
    )
    for cells in (alone, alone.iloc[:0]):
        cells.attrs = alone.attrs
        frame = build_table("shared_cells", cells, {})
        assert frame.empty
        assert "None in this run" in to_html(frame, "Shared", "shared_cells")
        assert lines(build_table("duplicates", cells, {}))[0] == "train,104,208,99,94"
    assert figures.subject_groups(alone, data_label=LABEL).alt.startswith("Not in this run: ")


def test_the_figure_says_how_many_ids_share_cells_and_labels_each():
    figure = figures.subject_groups(PAIRED, data_label=LABEL)
    assert figure.alt == (
        "Lines join patient ids that share cells: 4 ids in 2 groups, 2 of these across folds or "
        "phases. The evidence is identical pixels for 1 and texture for 1 of 2 lines; the largest "
        "group is 2 and 11. Computed on made-up cells."
    )
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts] == ["3", "2", "11", "H1", "H3"]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == [
        "Fold 0", "Fold 1", "Preliminary",
    ]  # fmt: skip
    assert figures.to_svg(figure) == figures.to_svg(
        figures.subject_groups(PAIRED, data_label=LABEL)
    )


def test_the_figure_draws_ids_that_are_not_here_where_they_officially_are():
    cells = table(("20", "1", "train", 0, "x"), dataset="c-nmc-2019")
    figure = figures.subject_groups(cells, data_label=LABEL)
    assert "6 ids, 5 of which have no cell in this run, in 1 group," in figure.alt
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert ticks == ["Fold 0", "Fold 1", "Fold 2"]
    assert "not in this run" in [text.get_text() for text in figure.legends[0].texts]


def link(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page).find("table/caption/a")


def test_a_shown_table_can_be_downloaded_whole_and_unrounded():
    frame = pd.DataFrame(
        {"variant": ["Löwe, <a>", "b"], "auc": [0.123456789, np.nan], "cells": [12528, None]}
    ).astype({"cells": "Int64"})
    shown = link(to_html(frame, "Some scores", "scores"))
    assert (shown.text, shown.get("download")) == ("CSV", "scores.csv")
    assert shown.get("aria-label") == "CSV of this table, scores.csv"
    kind, _, data = shown.get("href").partition(";base64,")
    assert kind == "data:text/csv;charset=utf-8"
    text = base64.b64decode(data).decode()
    assert text == csv_text(frame)
    back = pd.read_csv(io.StringIO(text), dtype=dict(frame.dtypes))
    pd.testing.assert_frame_equal(back, frame)


@pytest.mark.parametrize("name", ["cells", "subjects", "shared_cells", *OFFICIAL])
def test_the_download_of_each_table_is_its_stored_file_and_verify_compares_the_same(name):
    frame = build_table(name, PAIRED, {})
    page = to_html(frame, "A table", name)
    data = link(page).get("href").partition("base64,")[2]
    assert base64.b64decode(data).decode() == csv_text(frame)
    parts = [text.partition(TABLE_CAPTION_END)[2] for text in (page, to_html(frame, ""))]
    assert parts[0] == parts[1] != ""


def test_a_link_that_holds_its_file_is_no_dead_link(tmp_path):
    page = to_html(build_table("cells", PAIRED, {}), "Cells", "cells")
    head = '<div class="lcc-banner">x</div><div class="lcc-edition">x</div>'
    (tmp_path / "page.html").write_text(f"<main>{head}{page}</main>", encoding="utf-8")
    assert check(tmp_path, []) == []
