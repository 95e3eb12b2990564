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
    labelled_cells,
    make_split,
    need_subjects,
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
    rng = np.random.default_rng(seed)
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


def leakage_pair(
    cells: pd.DataFrame,
    test_share: float = 0.25,
    validation_share: float = 0.15,
    seed: int = 0,
    min_subjects: int = 2,
) -> tuple[Split, Split]:
    """Make two splits that differ only in whether test subjects have other cells in training.

    Half of each test subject's cells are tested; the other half stay out of the clean split, and
    in the leaky one take the places of as many training cells of the same class. What the two
    results differ by is then not owed to the test cells, the number of training cells, or their
    classes.

    Parameters
    ----------
    cells
        Cells with ``cell_id, label, subject``; unlabelled cells are left out.
    test_share
        Share of each class's subjects that is tested on.
    validation_share
        Share of each class's other cells, nearest by whole subjects, that validates.
    seed
        Seed of every choice.
    min_subjects
        Least number of subjects of each class in every partition of the clean split.

    Returns
    -------
    (Split, Split)
        Protocols ``clean`` and ``leaky``, with the same test cells, the same validation cells
        and the same number of training cells of each class. At most half of a class's training
        cells are replaced; where the test subjects' other cells are more than that, each subject
        gives the same part of its own.

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
    rng = np.random.default_rng(seed)
    tested = labelled["subject"].isin(_test_subjects(labelled, test_share, min_subjects, rng))
    first = _random_rank(labelled[tested], rng) < 0.5
    test, others = labelled[tested][first], labelled[tested][~first]
    pool = labelled[~tested]
    held = pool["subject"].isin(validation_subjects(pool, validation_share, rng, min_subjects))
    own, validation = pool[~held], pool[held]
    leaky = _replaced(own, others, rng)
    return (
        make_split(own, validation, test, "clean", seed, f"pair {seed}, clean"),
        make_split(leaky, validation, test, "leaky", seed, f"pair {seed}, leaky"),
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


def _test_subjects(
    cells: pd.DataFrame, share: float, least: int, rng: np.random.Generator
) -> list[str]:
    """Draw a share of each class's subjects, leaving enough to train and to validate."""
    chosen: list[str] = []
    for label, group in cells.groupby(subject_label(cells)):
        subjects = sorted(group["subject"].unique())
        need_subjects(label, subjects, least, "paired (clean and leaky)")
        count = min(max(least, round(share * len(subjects))), len(subjects) - 2 * least)
        chosen += list(rng.permutation(subjects)[:count])
    return chosen


def _random_rank(cells: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Return each cell's place in a random order of its subject's cells, from 0 to below 1."""
    order = pd.Series(rng.permutation(len(cells)), cells.index)
    within = order.groupby(cells["subject"])
    return (within.rank() - 1) / within.transform("size")


def _replaced(own: pd.DataFrame, others: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Replace random cells of each class, at most half, by others drawn evenly by subject."""
    others = others.assign(rank=_random_rank(others, rng))
    parts = []
    for label in (0, 1):
        mine, new = own[own["label"] == label], others[others["label"] == label]
        count = min(len(new), len(mine) // 2)
        if not count:
            raise RequestError(
                f"Class {class_name(label)} has {len(mine)} training cell(s) and {len(new)} other "
                "cell(s) of its test subjects, so that no cell can be replaced to measure "
                "leakage; it takes two and one. Add data, or use another seed."
            )
        kept = rng.permutation(len(mine))[count:]
        parts += [mine.iloc[kept], new.sort_values("rank", kind="stable").iloc[:count]]
    return pd.concat(parts)
