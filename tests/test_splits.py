"""Splits keep subjects on one side, place every cell once, and say what is missing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcc_utils.data.splits import (
    PARTITIONS,
    image_split,
    leakage_guard,
    official_split,
    patient_split,
)
from lcc_utils.errors import DataError, RequestError


def table(all_sizes: list[int], hem_sizes: list[int], folds: int = 1) -> pd.DataFrame:
    """One row a cell; subjects of the given sizes, dealt to folds in turn."""
    rows = []
    for label, sizes in ((1, all_sizes), (0, hem_sizes)):
        for number, size in enumerate(sizes):
            subject = f"{'' if label else 'H'}{number + 1}"
            rows += [(f"UID_{subject}_{i}", label, subject, number % folds) for i in range(size)]
    cells = pd.DataFrame(rows, columns=["cell_id", "label", "subject", "fold"])
    return cells.assign(
        patient=cells["subject"], file_sha256=cells["cell_id"], pixel_sha256=cells["cell_id"]
    )


def subjects(cells: pd.DataFrame, ids: tuple[str, ...]) -> set[str]:
    return set(cells.set_index("cell_id").loc[list(ids), "subject"])


sizes = st.lists(st.integers(1, 60), min_size=3, max_size=25)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, st.integers(0, 2**31), st.sampled_from([(0.8, 0.1, 0.1), (0.79, 0.15, 0.06)]))
def test_patient_split_keeps_subjects_whole_and_places_every_cell_once(
    all_sizes, hem_sizes, seed, shares
):
    cells = table(all_sizes, hem_sizes)
    split = patient_split(cells, shares, seed)
    placed = [cell for part in PARTITIONS for cell in getattr(split, part)]
    assert sorted(placed) == sorted(cells["cell_id"])
    sides = [subjects(cells, getattr(split, part)) for part in PARTITIONS]
    assert sum(len(side) for side in sides) == len(set.union(*sides))
    for part in PARTITIONS:
        labels = cells.set_index("cell_id").loc[list(getattr(split, part)), "label"]
        assert set(labels) == {0, 1}
    leakage_guard(split, cells)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=6, max_size=25),
    st.lists(st.integers(1, 60), min_size=6, max_size=25),
    st.integers(0, 2**31),
)
def test_official_split_tests_the_whole_fold_and_drops_shared_subjects(all_sizes, hem_sizes, seed):
    cells = table(all_sizes, hem_sizes, folds=2)
    # Subject 1 has a cell in the other fold too.
    cells.loc[cells.index[0], "fold"] = 1
    split = official_split(cells, [0], 1, seed=seed)
    assert set(split.test) == set(cells.loc[cells["fold"] == 1, "cell_id"])
    assert "1" not in subjects(cells, split.train + split.validation)
    leakage_guard(split, cells)
    kept = official_split(cells, [0], 1, seed=seed, drop_shared=False)
    assert len(kept.train) + len(kept.validation) == (cells["fold"] == 0).sum()
    if all_sizes[0] > 1:
        with pytest.raises(DataError, match=r"1 subject\(s\) are in both"):
            leakage_guard(kept, cells)


def test_shares_are_of_subjects_in_each_class():
    split = patient_split(table([5] * 60, [5] * 40), (0.8, 0.1, 0.1), seed=1)
    assert (len(split.train), len(split.validation), len(split.test)) == (400, 50, 50)
    paper = patient_split(table([5] * 60, [5] * 40), (0.79, 0.15, 0.06), seed=1)
    # 60 subjects: 9 validate, 4 test; 40 subjects: 6 validate, 2 test; five cells each.
    assert (len(paper.validation), len(paper.test)) == (75, 30)


def test_same_seed_same_split_and_another_seed_another():
    cells = table([4] * 20, [4] * 20)
    assert patient_split(cells, seed=3) == patient_split(cells, seed=3)
    assert patient_split(cells, seed=3).digest != patient_split(cells, seed=4).digest
    shuffled = cells.sample(frac=1, random_state=0)
    assert patient_split(cells, seed=3) == patient_split(shuffled, seed=3)


def test_validation_subjects_come_near_the_share():
    cells = table([10] * 40, [10] * 40, folds=2)
    split = official_split(cells, [0], 1, validation_share=0.15, seed=0)
    assert len(split.validation) == 2 * 30
    assert len(split.train) == 2 * 170


def test_image_split_mixes_subjects_and_is_let_through():
    cells = table([40] * 4, [40] * 4)
    split = image_split(cells, seed=0)
    assert subjects(cells, split.train) & subjects(cells, split.test)
    leakage_guard(split, cells)
    with pytest.raises(DataError, match="leaks"):
        leakage_guard(dataclasses.replace(split, protocol="patient"), cells)


def test_guard_finds_one_pixel_content_on_two_sides():
    cells = table([4] * 6, [4] * 6)
    split = patient_split(cells, seed=0)
    twin = cells["cell_id"].isin([split.train[0], split.test[0]])
    cells.loc[twin, "pixel_sha256"] = "same"
    with pytest.raises(DataError, match="pixel content"):
        leakage_guard(split, cells)


@pytest.mark.parametrize(
    "hem, message", [([9], "HEM has 1 subject"), ([5, 5], "HEM has 2 subject")]
)
def test_too_few_subjects_of_a_class_is_a_clear_error(hem, message):
    with pytest.raises(RequestError, match=message):
        patient_split(table([5] * 5, hem))


def test_a_missing_class_or_fold_is_named():
    cells = table([5] * 8, [5] * 8, folds=2)
    with pytest.raises(RequestError, match="No HEM cells in the data"):
        patient_split(cells[cells["label"] == 1])
    with pytest.raises(RequestError, match="No HEM cells in fold 2"):
        official_split(cells, [0], 2)
    without = cells[~((cells["fold"] == 1) & (cells["label"] == 1))]
    with pytest.raises(RequestError, match="No ALL cells in fold 1"):
        official_split(without, [0], 1)
    one = cells[~((cells["fold"] == 0) & (cells["label"] == 0) & (cells["subject"] != "H1"))]
    with pytest.raises(RequestError, match="one subject left"):
        official_split(one, [0], 1)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.2, 0.1), (1.0, 0.0, 0.0)])
def test_shares_that_are_no_shares_are_refused(shares):
    with pytest.raises(RequestError, match="sum to 1"):
        patient_split(table([5] * 5, [5] * 5), shares)


def test_unlabelled_cells_are_left_out():
    cells = table([5] * 5, [5] * 5)
    cells["label"] = cells["label"].astype("Int64")
    cells.loc[0, "label"] = pd.NA
    split = patient_split(cells)
    assert cells.loc[0, "cell_id"] not in split.train + split.validation + split.test
    assert len(np.unique(split.train + split.validation + split.test)) == len(cells) - 1
