"""What leakage is worth: splits that leak on purpose, and a guard against all others.

Results come from the protocols of ``data.splits``. The splits here put cells of one subject on
both sides and exist only to measure what that does to the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lcc_utils.data.partitions import (
    LEAKY,
    PARTITIONS,
    Split,
    check_shares,
    class_name,
    generator,
    labelled_cells,
    make_split,
    part_counts,
    subject_label,
    validation_subjects,
)
from lcc_utils.data.tables import check_cells
from lcc_utils.errors import DataError, RequestError


def image_split(
    cells: pd.DataFrame, shares: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Split:
    """Split by image, stratified by class: cells of one subject fall on every side.

    This is not a protocol for results; it exists to measure what leakage is worth.
    Parameters and errors are those of ``data.splits.patient_split``, with cells for subjects.
    """
    check_shares(shares)
    labelled = labelled_cells(cells)
    rng = generator(seed)
    parts: dict[str, list[pd.DataFrame]] = {part: [] for part in PARTITIONS}
    for label, group in labelled.groupby("label"):
        if len(group) < 3:
            raise RequestError(f"Class {class_name(label)} has fewer than three cells.")
        order = rng.permutation(len(group))
        for part, count in zip(PARTITIONS, part_counts(len(group), shares), strict=True):
            parts[part].append(group.iloc[order[:count]])
            order = order[count:]
    tables = [pd.concat(parts[part]) for part in PARTITIONS]
    return make_split(*tables, "image", seed, f"images, seed {seed}")


def leakage_splits(
    cells: pd.DataFrame,
    test_share: float = 0.25,
    validation_share: float = 0.15,
    seed: int = 0,
    min_subjects: int = 2,
) -> tuple[Split, Split, Split]:
    """Make three splits of the same test cells: without their subjects, with them, with others.

    Subjects of each class are drawn for the test, and as many others, the controls. The rest
    trains and validates. Half of each test subject's cells are tested. Then

    * ``clean`` trains on the rest alone;
    * ``leaky`` trains on the rest, where cells of the test subjects' other half take the places of
      as many cells of the same class;
    * ``control`` trains on the rest, where cells of the control subjects take the same places.

    Leaky and control training have equally many cells of each class and equally many subjects of
    each class, and share every cell that was not replaced. They differ in the subjects added: in
    one, those that are tested; in the other, as many others. Clean training differs from both in
    the number of subjects too: it lacks the added ones. (A test subject of a single cell has none
    to add.)

    Parameters
    ----------
    cells
        Cells with ``cell_id, label, subject``; unlabelled cells are left out.
    test_share
        Share of each class's subjects that is tested on; as many are controls.
    validation_share
        Share of each class's other cells, nearest by whole subjects, that validates.
    seed
        Seed of every choice.
    min_subjects
        Least number of subjects of each class that test, that are controls, that validate and
        that train.

    Returns
    -------
    (Split, Split, Split)
        Protocols ``clean``, ``leaky`` and ``control``, with the same test cells, the same
        validation cells and the same number of training cells of each class. At most half of a
        class's training cells are replaced, and no more than the test subjects' other half and
        the controls can give; each subject gives the same part of its own cells.

    Raises
    ------
    RequestError
        If test_share is not between 0 and 1, or a class has too few subjects, or too few cells
        to replace one.
    """
    if not 0 < test_share < 1:
        raise RequestError(
            f"A share of test subjects (studies.*.splits test_share) of {test_share} must be "
            "above 0 and below 1."
        )
    labelled = labelled_cells(cells)
    rng = generator(seed)
    drawn = _test_and_control_subjects(labelled, test_share, min_subjects, rng)
    tested, control = (labelled["subject"].isin(subjects) for subjects in drawn)
    first = _random_rank(labelled[tested], rng) < 0.5
    test, others = labelled[tested][first], labelled[tested][~first]
    pool = labelled[~tested & ~control]
    held = pool["subject"].isin(validation_subjects(pool, validation_share, rng, min_subjects))
    own, validation = pool[~held], pool[held]
    leaky, controlled = _replaced(own, (others, labelled[control]), rng)
    return (
        make_split(own, validation, test, "clean", seed, f"pair {seed}, clean"),
        make_split(leaky, validation, test, "leaky", seed, f"pair {seed}, leaky"),
        make_split(controlled, validation, test, "control", seed, f"pair {seed}, control"),
    )


def leakage_guard(split: Split, cells: pd.DataFrame) -> None:
    """Raise if a subject, a file or a pixel content is on two sides of a split.

    Splits of a protocol in ``LEAKY`` are let through: they exist to measure leakage.

    Raises
    ------
    DataError
        Naming what is shared, between which partitions, and one example.
    RequestError
        If the table is at fault (see ``data.tables.check_cells``) or lacks a cell of the split.
    """
    if split.protocol in LEAKY:
        return
    ids = {cell for part in PARTITIONS for cell in getattr(split, part)}
    absent = ids - set(check_cells(cells, ("cell_id",))["cell_id"])
    if absent:
        raise RequestError(
            f"Split {split.name!r} names {len(absent):,} cell(s) that the table does not hold, "
            f"such as {min(absent, key=str)!r}. Give the table that was split."
        )
    contents = [name for name in ("file_sha256", "pixel_sha256") if name in cells]
    table = check_cells(cells[cells["cell_id"].isin(ids)], ("subject", *contents))
    table = table.set_index("cell_id")
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


def _test_and_control_subjects(
    cells: pd.DataFrame, share: float, least: int, rng: np.random.Generator
) -> tuple[list[str], list[str]]:
    """Draw a share of each class's subjects, and as many others; enough train and validate."""
    tested: list[str] = []
    control: list[str] = []
    for label, group in cells.groupby(subject_label(cells)):
        subjects = sorted(group["subject"].unique())
        if len(subjects) < 4 * least:
            raise RequestError(
                f"Class {class_name(label)} has {len(subjects)} subject(s) "
                f"({', '.join(subjects)}), but leakage with its control needs {4 * least}: "
                f"{least} each to train, to validate, to test and for the control "
                f"(studies.*.splits min_subjects: {least}). Add data, or lower the setting."
            )
        count = min(max(least, round(share * len(subjects))), (len(subjects) - 2 * least) // 2)
        order = list(rng.permutation(subjects))
        tested += order[:count]
        control += order[count : 2 * count]
    return tested, control


def _random_rank(cells: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Return each cell's place in a random order of its subject's cells, from 0 to below 1."""
    order = pd.Series(rng.permutation(len(cells)), cells.index)
    within = order.groupby(cells["subject"])
    return (within.rank() - 1) / within.transform("size")


def _replaced(
    own: pd.DataFrame, others: Sequence[pd.DataFrame], rng: np.random.Generator
) -> list[pd.DataFrame]:
    """Replace the same random cells of each class by as many of each of others, by subject."""
    others = [table.assign(rank=_random_rank(table, rng)) for table in others]
    made: list[list[pd.DataFrame]] = [[] for _ in others]
    for label in (0, 1):
        mine = own[own["label"] == label]
        new = [table[table["label"] == label] for table in others]
        count = min(len(mine) // 2, *(len(table) for table in new))
        if not count:
            raise RequestError(
                f"Class {class_name(label)} has {len(mine)} training cell(s), and "
                f"{' and '.join(str(len(table)) for table in new)} other cell(s) of its test "
                "subjects and of its controls, so that no cell can be replaced to measure "
                "leakage; it takes two, one and one. Add data, or use another seed."
            )
        kept = mine.iloc[rng.permutation(len(mine))[count:]]
        for parts, table in zip(made, new, strict=True):
            parts += [kept, table.sort_values("rank", kind="stable").iloc[:count]]
    return [pd.concat(parts) for parts in made]
