"""What splits are made of: the three partitions, and how subjects are counted and chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from lcc_utils.data.tables import check_cells
from lcc_utils.errors import RequestError

PARTITIONS = ("train", "validation", "test")
LEAKY = frozenset({"image", "leaky", "shared", "patient_ids", "images", "copies"})


@dataclass(frozen=True)
class Split:
    """Cell ids of the three partitions, and how they were made.

    Attributes
    ----------
    train, validation, test
        Sorted cell ids; no cell is in two of them, unless the protocol is ``copies``. Validation
        is empty where a class has too few subjects to set some aside; epoch and threshold are
        then chosen out of fold, inside training (:func:`inner_parts`).
    protocol
        ``official``, ``transport``, ``patient``, ``kfold``, ``clean`` and ``control`` keep
        subjects on one side; those of ``LEAKY`` do not, and exist to measure leakage.
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
    def fitting(self) -> tuple[str, ...]:
        """Return the sorted ids of the cells that a refitted model is trained on."""
        return tuple(sorted({*self.train, *self.validation}))

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits that identify the three partitions' content."""
        text = "\n".join(
            f"{part} {cell}" for part in PARTITIONS for cell in sorted(getattr(self, part))
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_split(
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    protocol: str,
    seed: int,
    name: str,
) -> Split:
    """Return the split of three tables of cells."""
    ids = (tuple(sorted(part["cell_id"])) for part in (train, validation, test))
    return Split(*ids, protocol=protocol, seed=seed, name=name)


def labelled_cells(cells: pd.DataFrame, *also: str) -> pd.DataFrame:
    """Return the labelled cells by id, which makes splits independent of the rows' order.

    Parameters
    ----------
    cells
        Cells with ``cell_id, label, subject``, checked by ``data.tables.check_cells``.
    also
        Other columns that the split reads.

    Raises
    ------
    RequestError
        If the table is at fault, or a class is missing.
    """
    cells = check_cells(cells, ("cell_id", "label", "subject", *also))
    labelled = cells[cells["label"].notna()].sort_values("cell_id", ignore_index=True)
    need_both_classes(labelled, "the data")
    return labelled


def need_both_classes(
    cells: pd.DataFrame, where: str, advice: str = "check the data with `lcc data check`"
) -> None:
    """Raise a RequestError with advice if cells, found in a place named where, lack a class."""
    present = {int(label) for label in cells["label"].unique()}
    for label in (0, 1):
        if label not in present:
            raise RequestError(
                f"No {class_name(label)} cells in {where}, but the protocol needs both classes; "
                f"{advice}."
            )


def need_subjects(label: int, subjects: Sequence[str], least: int, protocol: str) -> None:
    """Raise a RequestError unless a class has subjects for three partitions of least each."""
    if not _is_whole(least) or least < 1:
        raise RequestError(
            f"studies.*.splits min_subjects is {least!r}, but must be a whole number of at least 1."
        )
    if len(subjects) < 3 * least:
        raise RequestError(
            f"Class {class_name(label)} has {len(subjects)} subject(s) "
            f"({', '.join(map(str, subjects))}), but a {protocol} split needs {3 * least}: "
            f"{least} for each of training, validation and test (studies.*.splits "
            f"min_subjects: {least}). Add data, lower the setting, or use another protocol."
        )


def check_shares(shares: Sequence[float]) -> None:
    """Raise a RequestError unless shares are three positive numbers that sum to 1."""
    try:
        # A comparison with what is not a number (NaN) is false, so all of these must be true.
        sound = len(shares) == 3 and min(shares) > 0 and abs(sum(shares) - 1) <= 1e-6
    except (TypeError, OverflowError):
        sound = False
    if not sound:
        raise RequestError(
            f"Shares {shares!r:.100} must be three positive numbers that sum to 1: training, "
            "validation, test."
        )


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """Return the random numbers of a seed.

    Raises
    ------
    RequestError
        If it is no whole number from 0 to 4294967295; without one no split could be made again.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if not _is_whole(seed) or not 0 <= seed < 2**32:
        raise RequestError(f"The seed is {seed!r:.100}; give a whole number from 0 to 4294967295.")
    return np.random.default_rng(seed)


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def part_counts(total: int, shares: Sequence[float], least: int = 1) -> tuple[int, int, int]:
    """Return whole numbers near the shares of total, each at least least (total has room)."""
    validation = max(least, round(total * shares[1]))
    test = max(least, round(total * shares[2]))
    while total - validation - test < least:
        validation, test = (validation - 1, test) if validation > test else (validation, test - 1)
    return total - validation - test, validation, test


def subject_label(cells: pd.DataFrame) -> pd.Series:
    """Return each cell's subject's class: that of most of the subject's cells."""
    return (cells.groupby("subject")["label"].transform("mean") >= 0.5).astype(int)


def validation_subjects(
    pool: pd.DataFrame, share: float, seed: int | np.random.Generator, least: int = 2
) -> set[str]:
    """Choose subjects of each class whose cells come nearest to a share of the class.

    Parameters
    ----------
    pool
        Cells that train or validate.
    share
        Share of each class's cells that validates.
    seed
        Seed of the order in which subjects are tried.
    least
        Number of subjects of each class that at least validate, and that at least train.

    Returns
    -------
    set of str
        Empty if a class has fewer than twice `least` subjects: then all subjects train, and
        epoch and threshold are chosen out of fold.

    Raises
    ------
    RequestError
        If a class has fewer than two subjects, so that out of fold is impossible too.
    """
    rng = generator(seed)
    label = subject_label(pool)
    need_two_subjects(pool, label)
    chosen: set[str] = set()
    for _, group in pool.groupby(label):
        sizes = group["subject"].value_counts().sort_index()
        if len(sizes) < 2 * least:
            return set()
        taken, aim = 0, share * len(group)
        picked: list[str] = []
        for subject in rng.permutation(sizes.index.to_numpy()):
            closer = abs(taken + sizes[subject] - aim) < abs(taken - aim)
            if closer and len(picked) < len(sizes) - least:
                picked.append(subject)
                taken += sizes[subject]
        spare = sizes.drop(picked).sort_values(kind="stable").index
        chosen |= {*picked, *spare[: max(0, least - len(picked))]}
    return chosen


def inner_parts(cells: pd.DataFrame, parts: int) -> np.ndarray:
    """Deal cells by whole subjects to parts, each of which is scored by a model without it.

    The subjects of a class are dealt by size, the largest first, each to the part that has the
    fewest cells of the class so far. Nothing is drawn at random, and the order of rows does not
    matter.

    Parameters
    ----------
    cells
        The cells that train, with ``label, subject``.
    parts
        Number of parts wanted.

    Returns
    -------
    numpy.ndarray
        The part of each row, from 0. There are as many parts as wanted, or as many as the class
        with the fewest subjects has, so that each part holds both classes. HEM subjects of 400,
        200, 150 and 40 cells in two parts are dealt as 400 and 200 + 150 + 40.

    Raises
    ------
    RequestError
        If a class has fewer than two subjects.
    """
    label = subject_label(cells)
    counts = need_two_subjects(cells, label)
    parts = min(parts, *counts.values())
    place: dict[str, int] = {}
    for _, group in cells.groupby(label):
        sizes = group.groupby("subject").size().sort_index()
        filled = np.zeros(parts, np.int64)
        for subject, size in sizes.sort_values(ascending=False, kind="stable").items():
            place[subject] = int(filled.argmin())
            filled[place[subject]] += size
    return cells["subject"].map(place).to_numpy("int64")


def need_two_subjects(cells: pd.DataFrame, label: pd.Series) -> dict[int, int]:
    """Return the number of subjects of each class; raise a RequestError if one has fewer than two.

    Parameters
    ----------
    cells
        The cells that train or validate, with ``subject``.
    label
        The class of each cell's subject, from :func:`subject_label`.
    """
    counts = {}
    for own in (0, 1):
        subjects = sorted(cells.loc[label == own, "subject"].unique())
        counts[own] = len(subjects)
        if len(subjects) < 2:
            raise RequestError(
                f"Class {class_name(own)} has {len(subjects)} subject(s) to train and validate "
                f"({', '.join(subjects) or 'none'}), but it takes two: a threshold is chosen on "
                "subjects that the model has not seen, held out or out of fold. Add data, or use "
                "another protocol (studies.*.splits)."
            )
    return counts


def class_name(label: int) -> str:
    """Return what the data set calls a class: ALL (1) or HEM (0)."""
    return "ALL" if label == 1 else "HEM"
