"""Tables of cells that were made by hand: refused in a sentence before they are split."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcc_utils.data.duplicates import find_pairs, subject_groups
from lcc_utils.data.partitions import Split
from lcc_utils.data.splits import (
    image_split,
    kfold_splits,
    leakage_guard,
    leakage_splits,
    leaky_kfold_splits,
    official_split,
    patient_split,
)
from lcc_utils.errors import DataError, LccError, RequestError
from lcc_utils.evaluation.metrics import choose_threshold, evaluate
from lcc_utils.evaluation.subject_intervals import subject_intervals
from lcc_utils.evaluation.subjects import by_subject

SPLITS = {
    "patient": patient_split,
    "official": lambda cells: official_split(cells, [0], 1),
    "kfold": lambda cells: kfold_splits(cells, 3),
    "leaky": lambda cells: leaky_kfold_splits(cells, "images", 3),
    "image": image_split,
    "leakage": leakage_splits,
}


def table() -> pd.DataFrame:
    """Twelve subjects of each class with five cells each, in two folds."""
    rows = [
        (f"UID_{who}_{n}", label, who, number % 2)
        for label in (1, 0)
        for number in range(12)
        for who in [f"{'' if label else 'H'}{number + 1}"]
        for n in range(5)
    ]
    cells = pd.DataFrame(rows, columns=["cell_id", "label", "subject", "fold"])
    return cells.assign(
        patient=cells["subject"], file_sha256=cells["cell_id"], pixel_sha256=cells["cell_id"]
    )


def put(column: str, value: object, rows=(6,)) -> pd.DataFrame:
    """Return the table with one value changed in some rows, the seventh by default."""
    cells = table()
    values = cells[column].astype(object)
    values.iloc[list(rows)] = value
    return cells.assign(**{column: values})


FAULTS = {
    "missing subject": (put("subject", None), "column subject .* missing; .* row 7.*UID_2_1"),
    "subject nan": (put("subject", float("nan"), (6, 8)), "column subject .* 2 values .* row 7"),
    "empty subject": (put("subject", ""), "column subject .* empty; .* row 7"),
    "blank subject": (put("subject", "  "), "column subject .* empty; .* row 7"),
    "space after a subject": (put("subject", "2 "), "column subject .* spaces .* row 7"),
    "number among subjects": (put("subject", 2.0), "column subject .* not text; .* row 7"),
    "label 2": (put("label", 2), "column label .* neither 1 .* row 7.*: 2"),
    "label -1": (put("label", -1), "column label .* row 7.*: -1"),
    "label as text": (put("label", "ALL"), "column label .* row 7.*'ALL'"),
    "label .5": (table().astype({"label": float}).replace({"label": {1.0: 0.5}}), "column label"),
    "labels 1 and 2": (table().assign(label=table()["label"] + 1), "column label .* 60 values"),
    "an id twice": (put("cell_id", "UID_1_0"), "column cell_id .* more than one row"),
    "no id": (put("cell_id", None), "column cell_id .* missing"),
    "empty id": (put("cell_id", ""), "column cell_id .* empty"),
    "line break in an id": (put("cell_id", "a\nb"), "column cell_id .* cannot be seen"),
    "no column subject": (table().drop(columns="subject"), "no column subject; run subject_groups"),
    "no column label": (table().drop(columns="label"), "no column label"),
    "no column cell_id": (table().drop(columns="cell_id"), "no column cell_id"),
    "a column twice": (pd.concat([table(), table()[["label"]]], axis=1), "2 columns label"),
    "no table": ([1, 2], "not a pandas table"),
    "no rows": (table().iloc[:0], "No HEM cells|No ALL cells"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("split", SPLITS)
def test_a_faulty_table_is_refused_by_column_and_row(split, fault):
    cells, says = FAULTS[fault]
    with pytest.raises(RequestError, match=says):
        SPLITS[split](cells)


@pytest.mark.parametrize("value", ["0", "zero", 0.5, np.inf])
def test_a_fold_that_is_no_whole_number_is_refused(value):
    for split in (lambda c: official_split(c, [0], 1), lambda c: kfold_splits(c, 3, away_from=1)):
        with pytest.raises(RequestError, match=r"column fold .* row 7"):
            split(put("fold", value))
    with pytest.raises(RequestError, match="no column fold"):
        official_split(table().drop(columns="fold"), [0], 1)


@pytest.mark.parametrize("split", SPLITS)
def test_floats_objects_and_booleans_give_the_same_split(split):
    want = SPLITS[split](table())
    for kind in (float, object, bool, "Int64", "float32"):
        assert SPLITS[split](table().astype({"label": kind})) == want
    # Neither the names of the rows nor their order matter, nor cells without a label.
    assert SPLITS[split](table().set_index(np.zeros(120, int))) == want
    extra = pd.DataFrame({"cell_id": ["final_1", "final_2"], "subject": ["", None]})
    extra = extra.assign(label=None, fold=None, patient="", file_sha256="", pixel_sha256=None)
    assert SPLITS[split](pd.concat([table(), extra.astype(object)])) == want


def test_the_guard_refuses_a_table_in_which_it_could_see_nothing():
    split = patient_split(table())
    leakage_guard(split, table())
    for column in ("subject", "file_sha256", "pixel_sha256"):
        with pytest.raises(RequestError, match=f"column {column} .* missing; .* row 7"):
            leakage_guard(split, put(column, None))
    with pytest.raises(RequestError, match="no column subject"):
        leakage_guard(split, table().drop(columns="subject"))
    with pytest.raises(RequestError, match=r"names 1 cell.* 'UID_1_0'"):
        leakage_guard(split, table().iloc[1:])


def test_subjects_are_not_made_of_missing_patients():
    for value, says in ((None, "missing"), (7, "not text"), (" 7", "spaces")):
        with pytest.raises(RequestError, match=f"column patient .* {says}.* row 7"):
            subject_groups(put("patient", value))
    with pytest.raises(RequestError, match="no column patient"):
        subject_groups(table().drop(columns="patient"))
    with pytest.raises(RequestError, match=r"column pixel_sha256 .* missing"):
        find_pairs(put("pixel_sha256", None))


def test_ids_of_another_form_are_subjects_too():
    cells = table().assign(patient=[f"P-{p}" for p in table()["patient"]])
    links = pd.DataFrame({"patient_a": ["P-1"], "patient_b": ["P-2"]})
    grouped = subject_groups(cells, links)
    assert set(grouped["subject"]) == set(cells["patient"]) - {"P-2"}


def test_predictions_are_refused_by_row():
    with pytest.raises(DataError, match=r"1 of 2 labels .* row 2: 2"):
        evaluate([1, 2], [0.1, 0.2], 0.5)
    with pytest.raises(DataError, match=r"in row 2\)"):
        evaluate([1, 0], [0.1, 1.2], 0.5)
    with pytest.raises(DataError, match="no column score; they have label"):
        choose_threshold(pd.DataFrame({"label": [1]}))
    good = pd.DataFrame({"label": [1, 0], "score": [0.9, 0.1], "subject": ["a", "b"]})
    for subject in (None, float("nan"), ""):
        bad = good.assign(subject=["a", subject])
        for measure in (lambda p: by_subject(p, 0.5), lambda p: subject_intervals(p, 0.5)):
            with pytest.raises(DataError, match=r"1 of 2 predictions have no subject .* row 2"):
                measure(bad)


values = st.one_of(
    st.sampled_from([0, 1, 1.0, "1", None, "", " ", "a", "b", True, float("nan"), -1, 2, b"x"]),
    st.text(max_size=3),
)
columns = st.sampled_from(["cell_id", "label", "subject", "fold", "patient", "other"])


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(columns, st.lists(values, min_size=9, max_size=9), max_size=6),
    st.sampled_from(sorted(SPLITS)),
    st.booleans(),
)
def test_any_table_gives_a_split_or_one_of_our_errors(content, split, based):
    cells = table().iloc[::8].head(9).reset_index(drop=True) if based else pd.DataFrame()
    cells = cells.assign(**{name: pd.Series(own, dtype=object) for name, own in content.items()})
    with suppress(LccError):
        assert isinstance(SPLITS[split](cells), Split | list | tuple)


UNSEEN = ["\u200b", "\ufeff", "\u200e", "\u00ad", "\u2060", "\U000e0041"]


@pytest.mark.parametrize("sign", UNSEEN)
@pytest.mark.parametrize("column", ["subject", "cell_id"])
def test_signs_without_width_make_no_other_subject_or_cell(column, sign):
    value = table()[column][6] + sign
    with pytest.raises(RequestError, match=rf"column {column} .*cannot be seen.* row 7"):
        patient_split(put(column, value))


@pytest.mark.parametrize("column", ["cell_id", "subject", "patient", "label"])
def test_an_index_named_like_a_column_changes_no_split(column):
    cells = table()
    indexed = cells.set_index(column, drop=False)
    for name, split in SPLITS.items():
        assert split(indexed) == split(cells), name
    pd.testing.assert_series_equal(
        subject_groups(indexed)["subject"].reset_index(drop=True), subject_groups(cells)["subject"]
    )


def test_complex_labels_are_refused():
    with pytest.raises(RequestError, match="column label"):
        patient_split(table().assign(label=table()["label"].astype(complex)))


@pytest.mark.parametrize(
    "shares", [(float("nan"), 0.1, 0.1), (0.8, 0.1, float("inf")), "abc", None, (0.8, 0.1, "x")]
)
@pytest.mark.parametrize("split", [patient_split, image_split])
def test_shares_that_are_no_shares_are_refused(split, shares):
    with pytest.raises(RequestError, match="three positive numbers"):
        split(table(), shares)


@pytest.mark.parametrize("seed", [None, -1, 1.5, "a", True, 2**32])
@pytest.mark.parametrize("split", [patient_split, image_split, leakage_splits, kfold_splits])
def test_a_seed_that_cannot_be_used_again_is_refused(split, seed):
    with pytest.raises(RequestError, match=r"The seed is .*whole number"):
        split(table(), seed=seed)


@pytest.mark.parametrize("least", [1.5, "a", True, None, float("nan")])
def test_a_least_number_of_subjects_is_whole(least):
    with pytest.raises(RequestError, match=r"min_subjects is .*whole number"):
        patient_split(table(), min_subjects=least)
