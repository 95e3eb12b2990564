"""Splits keep subjects on one side, place every cell once, and say what is missing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcc_utils.data.partitions import inner_parts
from lcc_utils.data.splits import (
    LEAKY,
    PARTITIONS,
    Split,
    image_split,
    kfold_splits,
    leakage_guard,
    leakage_splits,
    leaky_kfold_splits,
    official_split,
    patient_split,
    transport_split,
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
    split = patient_split(cells, shares, seed, min_subjects=1)
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
    assert (split.protocol, kept.protocol) == ("official", "shared")
    leakage_guard(kept, cells)
    if all_sizes[0] > 1:
        with pytest.raises(DataError, match=r"1 subject\(s\) are in both"):
            leakage_guard(dataclasses.replace(kept, protocol="official"), cells)


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
    with pytest.raises(RequestError, match=r"HEM has 1 subject\(s\) to train and validate \(H1\)"):
        official_split(one, [0], 1)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.2, 0.1), (1.0, 0.0, 0.0)])
def test_shares_that_are_no_shares_are_refused(shares):
    with pytest.raises(RequestError, match="sum to 1"):
        patient_split(table([5] * 5, [5] * 5), shares)


def test_unlabelled_cells_are_left_out():
    cells = table([5] * 6, [5] * 6)
    cells["label"] = cells["label"].astype("Int64")
    cells.loc[0, "label"] = pd.NA
    split = patient_split(cells)
    assert cells.loc[0, "cell_id"] not in split.train + split.validation + split.test
    assert len(np.unique(split.train + split.validation + split.test)) == len(cells) - 1


two_or_more = st.lists(st.integers(2, 40), min_size=8, max_size=14)
whole = st.lists(st.integers(1, 40), min_size=5, max_size=14)


def labels(cells: pd.DataFrame, ids: tuple[str, ...]) -> pd.Series:
    return cells.set_index("cell_id").loc[list(ids), "label"]


def subjects_of(cells: pd.DataFrame, ids: tuple[str, ...], label: int) -> set[str]:
    return subjects(cells, ids) & set(cells.loc[cells["label"] == label, "subject"])


def counts(cells: pd.DataFrame, split: Split, label: int) -> tuple[int, ...]:
    return tuple(len(subjects_of(cells, getattr(split, part), label)) for part in PARTITIONS)


def test_only_the_protocols_that_measure_leakage_are_let_through():
    assert {"image", "leaky", "shared", "patient_ids", "images", "copies"} == LEAKY
    cells = table([4] * 6, [4] * 6)
    mixed = image_split(cells, seed=0)
    for protocol in LEAKY:
        leakage_guard(dataclasses.replace(mixed, protocol=protocol), cells)
    for protocol in ("official", "patient", "kfold", "clean", "new"):
        with pytest.raises(DataError, match="leaks"):
            leakage_guard(dataclasses.replace(mixed, protocol=protocol), cells)


def linked() -> pd.DataFrame:
    """Ten subjects of each class; the first of each class has two patient ids."""
    cells = table([20, *range(3, 12)], [20, *range(3, 12)])
    first = cells["subject"].isin(["1", "H1"]) & (cells.groupby("subject").cumcount() < 9)
    cells.loc[first, "patient"] += "b"
    return cells


@pytest.mark.parametrize("protocol", ["patient_ids", "images", "copies"])
def test_parts_by_another_unit_test_every_cell_once(protocol):
    cells = linked()
    splits = leaky_kfold_splits(cells, protocol, folds=5, seed=1)
    tested = [cell for split in splits for cell in split.test]
    assert sorted(tested) == sorted(cells["cell_id"])
    assert {split.protocol for split in splits} == {protocol}
    for split in splits:
        assert not set(split.validation) & set(split.test)
        if protocol != "copies":
            assert not set(split.train) & {*split.validation, *split.test}


def test_parts_by_patient_id_keep_ids_whole_and_not_always_subjects():
    cells = linked()
    patient, subject = (cells.set_index("cell_id")[name] for name in ("patient", "subject"))
    shared = 0
    for seed in range(6):
        for split in leaky_kfold_splits(cells, "patient_ids", folds=5, seed=seed):
            train, test = list(split.train), list(split.test)
            assert not set(patient[train]) & set(patient[test])
            shared += len(set(subject[train]) & set(subject[test]))
    assert shared > 0


def test_a_copy_trains_in_all_parts_but_its_own():
    cells = linked()
    plain = leaky_kfold_splits(cells, "images", folds=5, seed=3)
    copied = leaky_kfold_splits(cells, "copies", folds=5, seed=3, copies=0.5)
    label = cells.set_index("cell_id")["label"]
    crossing: list[str] = []
    for one, other in zip(plain, copied, strict=True):
        assert (one.test, one.validation) == (other.test, other.validation)
        added = set(other.train) - set(one.train)
        assert set(label[list(added)]) <= {0}
        crossing += set(other.train) & set(other.test)
    # 42 of 83 HEM cells have a copy; each is tested once, and its copy is elsewhere in 4 of 5.
    assert len(set(crossing)) == len(crossing)
    assert 25 <= len(crossing) <= 42


def test_two_subjects_of_each_class_in_every_partition():
    # The real data: 25 ALL and 10 HEM subjects.
    cells = table([3] * 25, [3] * 10)
    split = patient_split(cells, (0.6, 0.15, 0.25), seed=0, min_subjects=2)
    assert counts(cells, split, 0) == (6, 2, 2)
    assert counts(cells, split, 1) == (15, 4, 6)
    # The paper's shares give 10 HEM subjects 7, 2 and 1; the setting moves one to the test.
    paper = (0.79, 0.15, 0.06)
    assert counts(cells, patient_split(cells, paper, min_subjects=1), 0) == (7, 2, 1)
    assert counts(cells, patient_split(cells, paper, min_subjects=2), 0) == (6, 2, 2)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda least: st.tuples(
            st.just(least),
            *[st.lists(st.integers(1, 9), min_size=3 * least, max_size=25) for _ in range(2)],
        )
    ),
    st.sampled_from([(0.8, 0.1, 0.1), (0.6, 0.15, 0.25), (0.05, 0.05, 0.9), (0.1, 0.8, 0.1)]),
    st.integers(0, 2**31),
)
def test_every_partition_has_at_least_min_subjects(drawn, shares, seed):
    least, all_sizes, hem_sizes = drawn
    cells = table(all_sizes, hem_sizes)
    split = patient_split(cells, shares, seed, least)
    for label, total in ((0, len(hem_sizes)), (1, len(all_sizes))):
        assert min(counts(cells, split, label)) >= least
        assert sum(counts(cells, split, label)) == total


def test_more_subjects_than_exist_is_refused_by_class_number_and_setting():
    cells = table([3] * 25, [3] * 10)
    message = r"HEM has 10 subject\(s\) .*needs 12: 4 for each.*splits min_subjects: 4"
    with pytest.raises(RequestError, match=message):
        patient_split(cells, min_subjects=4)
    with pytest.raises(RequestError, match=message):
        patient_split(cells, (0.6, 0.15, 0.25), min_subjects=4)
    with pytest.raises(RequestError, match=r"HEM has 10 subject\(s\) .*control needs 16: 4 each"):
        leakage_splits(cells, min_subjects=4)
    with pytest.raises(RequestError, match="min_subjects is 0"):
        patient_split(cells, min_subjects=0)
    with pytest.raises(RequestError, match=r"HEM has 10 subject\(s\) .*11 parts.*splits folds"):
        kfold_splits(cells, folds=11)
    with pytest.raises(RequestError, match="folds is 1"):
        kfold_splits(cells, folds=1)


def test_five_parts_of_equal_subjects_are_equal():
    # 20 subjects a class, 5 cells each: 4 + 4 subjects are tested in each part, and of the 16 + 16
    # left, 2 + 2 (10 of 80 cells; 15 % are 12) validate.
    cells = table([5] * 20, [5] * 20)
    splits = kfold_splits(cells, seed=0)
    assert [split.name for split in splits] == [f"part {n} of 5" for n in range(1, 6)]
    for split in splits:
        assert split.protocol == "kfold"
        for label in (0, 1):
            assert counts(cells, split, label) == (14, 2, 4)
    assert kfold_splits(cells, 3, seed=7)[1].name == "part 2 of 3, seed 7"


@settings(max_examples=40, deadline=None)
@given(whole, whole, st.integers(3, 5), st.integers(0, 2**31))
def test_kfold_tests_every_cell_once_and_keeps_subjects_whole(all_sizes, hem_sizes, folds, seed):
    cells = table(all_sizes, hem_sizes)
    splits = kfold_splits(cells, folds, seed=seed)
    assert len(splits) == folds
    assert sorted(cell for split in splits for cell in split.test) == sorted(cells["cell_id"])
    for split in splits:
        placed = split.train + split.validation + split.test
        assert sorted(placed) == sorted(cells["cell_id"])
        sides = [subjects(cells, getattr(split, part)) for part in PARTITIONS]
        assert sum(len(side) for side in sides) == len(set.union(*sides))
        for label in (0, 1):
            train, validation, test = counts(cells, split, label)
            assert validation >= 2 or not split.validation
            assert min(train, test) >= 1
        leakage_guard(split, cells)


def test_kfold_inside_an_official_fold_stays_away_from_the_other():
    cells = table([5] * 20, [5] * 20, folds=2)
    # Subject 1 is of fold 0, with one cell in fold 1 too.
    cells.loc[cells.index[0], "fold"] = 1
    inside = cells[(cells["fold"] == 0) & (cells["subject"] != "1")]
    splits = kfold_splits(cells, 3, train_folds=[0], away_from=1)
    assert sorted(cell for split in splits for cell in split.test) == sorted(inside["cell_id"])
    for split in splits:
        assert set(split.train + split.validation + split.test) == set(inside["cell_id"])
    near = kfold_splits(cells, 3, train_folds=[0])
    assert sum(len(split.test) for split in near) == len(inside) + 4
    away = kfold_splits(cells, 3, away_from=1)
    assert sum(len(split.test) for split in away) == len(inside)


def test_kfold_names_a_fold_that_is_not_there_or_left_empty():
    cells = table([5] * 8, [5] * 8, folds=2)
    with pytest.raises(RequestError, match="No HEM cells in fold 3"):
        kfold_splits(cells, 2, train_folds=[0, 3])
    with pytest.raises(RequestError, match="No HEM cells in fold 4"):
        kfold_splits(cells, 2, train_folds=[0], away_from=4)
    with pytest.raises(RequestError, match="in fold 1 without subjects of fold 1"):
        kfold_splits(cells, 2, train_folds=[1], away_from=1)
    # Two subjects in two parts leave one to train, and none to validate.
    with pytest.raises(RequestError, match=r"HEM has 1 subject\(s\) to train and validate"):
        kfold_splits(table([5] * 8, [5] * 2), 2)


def test_a_part_of_one_class_is_refused(monkeypatch):
    def by_class(_, pool, strata, groups):
        hem = np.flatnonzero(strata == 0)
        yield np.flatnonzero(strata == 1), hem

    monkeypatch.setattr("sklearn.model_selection.StratifiedGroupKFold.split", by_class)
    with pytest.raises(RequestError, match=r"No ALL cells in part 1 of 5.*splits folds"):
        kfold_splits(table([5] * 8, [5] * 8))


def test_leakage_and_its_control_in_numbers():
    # 8 subjects a class, 10 cells each: a quarter, 2 a class, are tested on 5 of their cells each,
    # 2 others are controls, and 2 others validate (15 % of 40 cells is 6, nearest 10, but two
    # subjects are the least). Of 2 x 10 training cells of a class, 10 are replaced: by the tested
    # subjects' others, or by as many cells of the controls.
    cells = table([10] * 8, [10] * 8)
    clean, leaky, control = splits = leakage_splits(cells, seed=3)
    assert [split.protocol for split in splits] == ["clean", "leaky", "control"]
    assert [split.name for split in splits] == [
        "pair 3, clean", "pair 3, leaky", "pair 3, control",
    ]  # fmt: skip
    for split in splits:
        assert (len(split.train), len(split.validation), len(split.test)) == (40, 40, 20)
    for label in (0, 1):
        assert counts(cells, clean, label) == (2, 2, 2)
        assert counts(cells, control, label) == (4, 2, 2)
        assert len(subjects_of(cells, leaky.train, label)) == 4
        for split in (leaky, control):
            new = tuple(set(split.train) - set(clean.train))
            assert (labels(cells, new) == label).sum() == 10
    kept = set(clean.train) & set(leaky.train)
    assert kept == set(clean.train) & set(control.train)


def test_no_more_than_half_of_a_class_is_replaced_and_every_added_subject_gives():
    # 8 HEM subjects; were one of 100 cells tested, its 50 others would outnumber what trains.
    cells = table([10] * 8, [100, 4, 4, 4, 4, 4, 4, 4])
    seen = 0
    for seed in range(12):
        clean, leaky, control = leakage_splits(cells, seed=seed)
        if "H1" not in subjects(cells, clean.test):
            continue
        seen += 1
        new = tuple(set(leaky.train) - set(clean.train))
        # Two subjects of four cells train: 4 of 8 are replaced; the tested ones have 52 others.
        assert (labels(cells, clean.train) == 0).sum() == 8
        assert (labels(cells, new) == 0).sum() == 4
        assert subjects_of(cells, new, 0) == subjects_of(cells, clean.test, 0)
        assert len(subjects_of(cells, control.train, 0) - subjects_of(cells, clean.train, 0)) == 2
    assert seen


@settings(max_examples=40, deadline=None)
@given(two_or_more, two_or_more, st.sampled_from([0.1, 0.25, 0.4, 0.9]), st.integers(0, 2**31))
def test_leaky_and_control_differ_only_in_who_is_added(all_sizes, hem_sizes, share, seed):
    cells = table(all_sizes, hem_sizes)
    clean, leaky, control = leakage_splits(cells, share, seed=seed)
    for split in (leaky, control):
        assert (split.test, split.validation) == (clean.test, clean.validation)
        assert len(set(split.train)) == len(clean.train) == len(split.train)
        assert labels(cells, split.train).sum() == labels(cells, clean.train).sum()
        assert not set(split.test) & set(split.train + split.validation)
        assert not set(split.train) & set(split.validation)
        leakage_guard(split, cells)
    leakage_guard(clean, cells)
    assert set(clean.train) & set(leaky.train) == set(clean.train) & set(control.train)
    new, other = (tuple(set(split.train) - set(clean.train)) for split in (leaky, control))
    assert subjects(cells, new) <= subjects(cells, clean.test)
    assert not subjects(cells, other) & subjects(cells, clean.train + clean.validation + clean.test)
    assert not subjects(cells, leaky.train) & subjects(cells, clean.validation)
    for label in (0, 1):
        assert min(counts(cells, clean, label)) >= 2
        own = (labels(cells, clean.train) == label).sum()
        assert 1 <= (labels(cells, new) == label).sum() <= own // 2
        added = [len(subjects_of(cells, ids, label)) for ids in (new, other)]
        assert added[0] == added[1]


def test_honest_splits_with_a_test_subject_in_training_are_refused():
    cells = table([10] * 8, [10] * 8)
    clean, leaky, control = leakage_splits(cells, seed=0)
    for split in (clean, control):
        with pytest.raises(DataError, match=rf"'{split.name}' leaks: 4 subject\(s\)"):
            leakage_guard(dataclasses.replace(split, train=leaky.train), cells)


def test_leakage_that_can_replace_no_cell_is_refused():
    cells = table([10] * 8, [1] * 8)
    with pytest.raises(RequestError, match=r"HEM has 2 training cell\(s\), and 0 and 2 other"):
        leakage_splits(cells)
    with pytest.raises(RequestError, match=r"splits test_share\) of 1"):
        leakage_splits(cells, test_share=1.0)


def folds_of_the_real_kind() -> pd.DataFrame:
    """HEM subjects by fold as in C-NMC: 0 and 1 share H3; fold 1 has two others; 2 adds H6, H7."""
    rows = [
        *[(0, f"H{n}", 0) for n in (1, 2, 3, 8, 9)], *[(1, f"H{n}", 0) for n in (3, 4, 5)],
        *[(2, f"H{n}", 0) for n in (4, 6, 7)],
        *[(0, f"{n}", 1) for n in range(10, 16)], *[(1, f"{n}", 1) for n in range(15, 21)],
        *[(2, f"{n}", 1) for n in range(19, 24)],
    ]  # fmt: skip
    cells = pd.DataFrame(
        [
            (f"UID_{subject}_{fold}_{i}", label, subject, fold)
            for fold, subject, label in rows
            for i in range(5)
        ],
        columns=["cell_id", "label", "subject", "fold"],
    )
    return cells.assign(
        patient=cells["subject"], file_sha256=cells["cell_id"], pixel_sha256=cells["cell_id"]
    )


@pytest.mark.parametrize("protocol", ["official", "shared", "kfold", "transport"])
def test_two_subjects_of_each_class_validate_or_none_is_held_out(protocol):
    cells = folds_of_the_real_kind()
    if protocol == "kfold":
        splits = kfold_splits(cells, 3, train_folds=[0])
    elif protocol == "transport":
        splits = [transport_split(cells, [0, 1], 2)]
    else:
        kept = protocol == "shared"
        splits = [official_split(cells, [a], b, drop_shared=not kept) for a, b in ((0, 1), (1, 0))]
    for split in splits:
        for label in (0, 1):
            train, validation, _ = counts(cells, split, label)
            assert (validation >= 2 and train >= 2) or not split.validation
    if protocol == "official":
        # Fold 0 without H3 has four HEM subjects: two validate. Fold 1 without it has two.
        assert [counts(cells, split, 0)[:2] for split in splits] == [(2, 2), (2, 0)]


def test_transport_tests_new_subjects_alone_and_trains_on_all_others():
    cells = folds_of_the_real_kind()
    split = transport_split(cells, [0, 1], 2)
    assert (split.protocol, split.name) == (
        "transport", "folds 0 and 1 to new subjects of fold 2",
    )  # fmt: skip
    # H4, 19 and 20 are in folds 1 and 2: their cells of fold 2 are left out.
    assert subjects(cells, split.test) == {"H6", "H7", "21", "22", "23"}
    assert set(split.fitting) == set(cells.loc[cells["fold"] < 2, "cell_id"])
    leakage_guard(split, cells)
    old = cells[~((cells["fold"] == 2) & cells["subject"].isin(["H6", "H7"]))]
    with pytest.raises(
        RequestError, match="No HEM cells in fold 2 without subjects of folds 0 and"
    ):
        transport_split(old, [0, 1], 2)
    with pytest.raises(RequestError, match="Fold 1 is asked for both"):
        transport_split(cells, [0, 1], 1)


def test_inner_parts_deal_whole_subjects_of_each_class_by_size():
    # HEM 400, 200, 150 and 40 in two parts: 400 against 390. ALL 90, 80, 70: 90 against 150.
    cells = table([70, 90, 80], [200, 40, 400, 150])
    parts = pd.Series(inner_parts(cells, 2)).groupby([cells["label"], cells["subject"]])
    assert (parts.nunique() == 1).all()
    assert parts.first().loc[0].to_dict() == {"H1": 1, "H2": 1, "H3": 0, "H4": 1}
    assert parts.first().loc[1].to_dict() == {"1": 1, "2": 0, "3": 1}
    # No more parts than the class of fewest subjects has; the order of rows does not matter.
    assert sorted(set(inner_parts(cells, 9))) == [0, 1, 2]
    shuffled = cells.sample(frac=1, random_state=0)
    np.testing.assert_array_equal(
        inner_parts(shuffled, 2), pd.Series(inner_parts(cells, 2), cells.index)[shuffled.index]
    )
    with pytest.raises(RequestError, match=r"HEM has 1 subject\(s\) .*\(H1\), but it takes two"):
        inner_parts(table([5] * 4, [5]), 3)


@pytest.mark.parametrize(
    "make",
    [kfold_splits, leakage_splits, lambda cells, seed: [image_split(cells, seed=seed)]],
    ids=["kfold", "pair", "image"],
)
def test_seed_decides_and_the_order_of_rows_does_not(make):
    cells = table([4, 7, 9, 12] * 4, [3, 5, 8] * 4)
    shuffled = cells.sample(frac=1, random_state=0)
    assert list(make(cells, seed=3)) == list(make(shuffled, seed=3))
    assert [s.digest for s in make(cells, seed=3)] != [s.digest for s in make(cells, seed=4)]
