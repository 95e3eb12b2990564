"""Splits: which cells train, which choose, which test, and a guard against leakage.

The unit is the subject: the group of patient ids that share cells (see
``data.duplicates``), never the patient id alone. The image-wise split exists only to
measure what leakage is worth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lcc_utils.errors import DataError, RequestError

PARTITIONS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Cell ids of the three partitions, and how they were made.

    Attributes
    ----------
    train, validation, test
        Sorted cell ids; no cell is in two of them.
    protocol
        ``patient`` and ``official`` keep subjects on one side; ``image`` does not.
    seed
        Seed of the random part.
    name
        What a reader calls it, such as ``fold 0 to 1``.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    protocol: str
    seed: int
    name: str

    @property
    def digest(self) -> str:
        """Sixteen hex digits that identify the three partitions' content."""
        text = "\n".join(
            f"{part} {cell}" for part in PARTITIONS for cell in sorted(getattr(self, part))
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def patient_split(
    cells: pd.DataFrame, shares: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Split by subject, each class in the same proportions of subjects.

    Parameters
    ----------
    cells
        Cells with ``cell_id, label, subject``; unlabelled cells are left out.
    shares
        Shares of training, validation and test subjects in each class; their sum is 1.
        The paper states both (.8, .1, .1) and, for Monte Carlo, (.79, .15, .06).
    seed
        Seed of the random order of subjects.

    Returns
    -------
    Split
        Every labelled cell in exactly one partition, every subject in exactly one, and
        at least one subject of each class in each partition.

    Raises
    ------
    RequestError
        If the shares are not three positive numbers that sum to 1, or a class has fewer
        than three subjects.
    """
    _check_shares(shares)
    labelled = _labelled(cells)
    rng = np.random.default_rng(seed)
    side: dict[str, str] = {}
    for label, group in labelled.groupby(_subject_label(labelled)):
        subjects = sorted(group["subject"].unique())
        if len(subjects) < 3:
            raise RequestError(
                f"Class {_class_name(label)} has {len(subjects)} subject(s) "
                f"({', '.join(subjects)}), but a patient-wise split needs three: one for each "
                "of training, validation and test. Add data, or use another protocol."
            )
        order = rng.permutation(subjects)
        for part, count in zip(PARTITIONS, _counts(len(subjects), shares), strict=True):
            side |= dict.fromkeys(order[:count], part)
            order = order[count:]
    return _by_subject(labelled, side, "patient", seed, f"patients, seed {seed}")


def official_split(
    cells: pd.DataFrame,
    train_folds: Sequence[int],
    test_fold: int,
    validation_share: float = 0.15,
    seed: int = 0,
    drop_shared: bool = True,
) -> Split:
    """Train on some official folds and test on a whole other one.

    Parameters
    ----------
    cells
        Cells with ``cell_id, label, subject, fold``.
    train_folds, test_fold
        Official fold numbers.
    validation_share
        Share of each class's cells, nearest by whole subjects, that validates.
    seed
        Seed of the choice of validation subjects.
    drop_shared
        Whether subjects that also occur in the test fold are dropped from training and
        validation. False exists to measure what this leakage is worth; the guard then
        refuses the split unless told that the leakage is meant.

    Raises
    ------
    RequestError
        If a fold or a class in it is missing, or too few subjects are left to validate.
    """
    labelled = _labelled(cells)
    for fold in (*train_folds, test_fold):
        _need_both_classes(labelled[labelled["fold"] == fold], f"fold {fold}")
    if test_fold in train_folds:
        raise RequestError(f"Fold {test_fold} is asked for both training and test.")
    test = labelled[labelled["fold"] == test_fold]
    pool = labelled[labelled["fold"].isin(list(train_folds))]
    if drop_shared:
        pool = pool[~pool["subject"].isin(set(test["subject"]))]
    source = " and ".join(str(f) for f in train_folds)
    _need_both_classes(pool, f"fold {source} without subjects of fold {test_fold}")
    validation = _validation_subjects(pool, validation_share, seed)
    held = pool["subject"].isin(validation)
    name = f"fold {source} to {test_fold}" + ("" if drop_shared else ", shared kept")
    return _split(pool[~held], pool[held], test, "official", seed, name)


def image_split(
    cells: pd.DataFrame, shares: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Split by image, stratified by class: cells of one subject fall on every side.

    This is not a protocol for results; it exists to measure what leakage is worth.
    Parameters and errors are those of :func:`patient_split`, with cells for subjects.
    """
    _check_shares(shares)
    labelled = _labelled(cells)
    rng = np.random.default_rng(seed)
    parts: dict[str, list[pd.DataFrame]] = {part: [] for part in PARTITIONS}
    for label, group in labelled.groupby("label"):
        if len(group) < 3:
            raise RequestError(f"Class {_class_name(label)} has fewer than three cells.")
        order = rng.permutation(len(group))
        for part, count in zip(PARTITIONS, _counts(len(group), shares), strict=True):
            parts[part].append(group.iloc[order[:count]])
            order = order[count:]
    tables = [pd.concat(parts[part]) for part in PARTITIONS]
    return _split(*tables, "image", seed, f"images, seed {seed}")


def leakage_guard(split: Split, cells: pd.DataFrame) -> None:
    """Raise if a subject, a file or a pixel content is on two sides of a split.

    Splits of protocol ``image`` are let through: they exist to measure leakage.

    Raises
    ------
    DataError
        Naming what is shared, between which partitions, and one example.
    """
    if split.protocol == "image":
        return
    table = cells.set_index("cell_id")
    for column, what in (
        ("subject", "subject"),
        ("file_sha256", "file content"),
        ("pixel_sha256", "pixel content"),
    ):
        if column not in table:
            continue
        sides = {part: set(table.loc[list(getattr(split, part)), column]) for part in PARTITIONS}
        for a, b in (("train", "test"), ("validation", "test"), ("train", "validation")):
            shared = sorted(sides[a] & sides[b])
            if shared:
                raise DataError(
                    f"Split {split.name!r} leaks: {len(shared)} {what}(s) are in both {a} and "
                    f"{b}, for example {shared[0]}. Group cells by subject before splitting."
                )


def _labelled(cells: pd.DataFrame) -> pd.DataFrame:
    if "subject" not in cells:
        raise RequestError("The table of cells has no column subject; run subject_groups first.")
    labelled = cells[cells["label"].notna()].sort_values("cell_id")
    _need_both_classes(labelled, "the data")
    return labelled


def _need_both_classes(cells: pd.DataFrame, where: str) -> None:
    present = {int(label) for label in cells["label"].unique()}
    for label in (0, 1):
        if label not in present:
            raise RequestError(
                f"No {_class_name(label)} cells in {where}, but the protocol needs both classes; "
                "check the data with `lcc data check`."
            )


def _check_shares(shares: Sequence[float]) -> None:
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise RequestError(
            f"Shares {tuple(shares)} must be three positive numbers that sum to 1: training, "
            "validation, test."
        )


def _counts(total: int, shares: Sequence[float]) -> tuple[int, int, int]:
    """Whole numbers near the shares of total, each at least one."""
    validation = max(1, round(total * shares[1]))
    test = max(1, round(total * shares[2]))
    while total - validation - test < 1:
        validation, test = (validation - 1, test) if validation > test else (validation, test - 1)
    return total - validation - test, validation, test


def _subject_label(cells: pd.DataFrame) -> pd.Series:
    """Return each cell's subject's class: that of most of the subject's cells."""
    return cells.groupby("subject")["label"].transform(lambda labels: int(labels.mean() >= 0.5))


def _validation_subjects(pool: pd.DataFrame, share: float, seed: int) -> set[str]:
    """Choose subjects of each class whose cells come nearest to a share of the class."""
    rng = np.random.default_rng(seed)
    chosen: set[str] = set()
    for label, group in pool.groupby(_subject_label(pool)):
        sizes = group["subject"].value_counts().sort_index()
        if len(sizes) < 2:
            raise RequestError(
                f"Class {_class_name(label)} has one subject left ({sizes.index[0]}); "
                "training and validation need one each."
            )
        taken, aim = 0, share * len(group)
        picked: list[str] = []
        for subject in rng.permutation(sizes.index.to_numpy()):
            closer = abs(taken + sizes[subject] - aim) < abs(taken - aim)
            if closer and len(picked) < len(sizes) - 1:
                picked.append(subject)
                taken += sizes[subject]
        chosen |= set(picked or [sizes.idxmin()])
    return chosen


def _by_subject(
    cells: pd.DataFrame, side: dict[str, str], protocol: str, seed: int, name: str
) -> Split:
    where = cells["subject"].map(side)
    return _split(*(cells[where == part] for part in PARTITIONS), protocol, seed, name)


def _split(
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    protocol: str,
    seed: int,
    name: str,
) -> Split:
    ids = (tuple(sorted(part["cell_id"])) for part in (train, validation, test))
    return Split(*ids, protocol=protocol, seed=seed, name=name)


def _class_name(label: int) -> str:
    return "ALL" if label == 1 else "HEM"
