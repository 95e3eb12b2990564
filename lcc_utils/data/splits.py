"""Splits by subject: which cells train, which choose, which test.

The unit is the subject: the group of patient ids that share cells (see
``data.duplicates``), never the patient id alone. Splits that leak on purpose, to measure what
leakage is worth, and the guard against all others are in ``data.leakage``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from lcc_utils.data.leakage import image_split, leakage_guard, leakage_splits
from lcc_utils.data.partitions import (
    LEAKY,
    PARTITIONS,
    Split,
    check_shares,
    class_name,
    generator,
    labelled_cells,
    make_split,
    need_both_classes,
    need_subjects,
    part_counts,
    subject_label,
    validation_subjects,
)
from lcc_utils.errors import RequestError

__all__ = [
    "LEAKY",
    "PARTITIONS",
    "Split",
    "image_split",
    "kfold_splits",
    "leakage_guard",
    "leakage_splits",
    "leaky_kfold_splits",
    "of_folds",
    "official_split",
    "patient_split",
    "transport_split",
]


def patient_split(
    cells: pd.DataFrame,
    shares: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    min_subjects: int = 2,
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
    min_subjects
        Least number of subjects of each class in every partition; it goes before the shares.

    Returns
    -------
    Split
        Every labelled cell in exactly one partition, every subject in exactly one, and
        at least min_subjects of each class in each partition. With shares (.6, .15, .25),
        ten subjects of a class are dealt as 6, 2 and 2.

    Raises
    ------
    RequestError
        If the shares are not three positive numbers that sum to 1, or a class has fewer
        than three times min_subjects.
    """
    check_shares(shares)
    labelled = labelled_cells(cells)
    rng = generator(seed)
    side: dict[str, str] = {}
    for label, group in labelled.groupby(subject_label(labelled)):
        subjects = sorted(group["subject"].unique())
        need_subjects(label, subjects, min_subjects, "patient-wise")
        order = rng.permutation(subjects)
        counts = part_counts(len(subjects), shares, min_subjects)
        for part, count in zip(PARTITIONS, counts, strict=True):
            side |= dict.fromkeys(order[:count], part)
            order = order[count:]
    where = labelled["subject"].map(side)
    parts = (labelled[where == part] for part in PARTITIONS)
    return make_split(*parts, "patient", seed, f"patients, seed {seed}")


def official_split(
    cells: pd.DataFrame,
    train_folds: Sequence[int],
    test_fold: int,
    validation_share: float = 0.15,
    seed: int = 0,
    drop_shared: bool = True,
    min_subjects: int = 2,
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
        validation. False exists to measure what this leakage is worth: the protocol is
        then ``shared``, which the guard lets through.
    min_subjects
        Least number of subjects of each class that validate, and that train; where a class has
        fewer than twice as many, none is held out (``partitions.validation_subjects``).

    Raises
    ------
    RequestError
        If a fold or a class in it is missing, or a class has fewer than two subjects left.
    """
    labelled = labelled_cells(cells, "fold")
    if test_fold in train_folds:
        raise RequestError(f"Fold {test_fold} is asked for both training and test.")
    test = of_folds(labelled, [test_fold])
    pool = of_folds(labelled, train_folds)
    if drop_shared:
        pool = _away_from(pool, test, test_fold)
    held = pool["subject"].isin(validation_subjects(pool, validation_share, seed, min_subjects))
    name = f"fold {_listed(train_folds)} to {test_fold}" + ("" if drop_shared else ", shared kept")
    protocol = "official" if drop_shared else "shared"
    return make_split(pool[~held], pool[held], test, protocol, seed, name)


def transport_split(
    cells: pd.DataFrame,
    train_folds: Sequence[int],
    test_fold: int,
    validation_share: float = 0.15,
    seed: int = 0,
    min_subjects: int = 2,
) -> Split:
    """Train on all subjects of some official folds, and test on subjects that are in none of them.

    Nothing is chosen on the test fold: every choice is made inside the training folds. Cells of
    the test fold whose subjects also occur in a training fold are left out.

    Parameters
    ----------
    cells, train_folds, test_fold, validation_share, seed, min_subjects
        As in :func:`official_split`.

    Returns
    -------
    Split
        Protocol ``transport``, named ``folds 0 and 1 to new subjects of fold 2``.

    Raises
    ------
    RequestError
        As in :func:`official_split`, and if the test fold has no new subject of a class.
    """
    labelled = labelled_cells(cells, "fold")
    if test_fold in train_folds:
        raise RequestError(f"Fold {test_fold} is asked for both training and test.")
    pool, test = of_folds(labelled, train_folds), of_folds(labelled, [test_fold])
    test = test[~test["subject"].isin(set(pool["subject"]))]
    source = f"fold{'s' * (len(train_folds) > 1)} {_listed(train_folds)}"
    need_both_classes(test, f"fold {test_fold} without subjects of {source}")
    held = pool["subject"].isin(validation_subjects(pool, validation_share, seed, min_subjects))
    name = f"{source} to new subjects of fold {test_fold}"
    return make_split(pool[~held], pool[held], test, "transport", seed, name)


def kfold_splits(
    cells: pd.DataFrame,
    folds: int = 5,
    validation_share: float = 0.15,
    seed: int = 0,
    train_folds: Sequence[int] = (),
    away_from: int | None = None,
    min_subjects: int = 2,
) -> list[Split]:
    """Split by subject into parts of like size and class mix, each tested once.

    The parts are those of scikit-learn's StratifiedGroupKFold, with subjects as groups and
    their classes as strata.

    Parameters
    ----------
    cells
        Cells with ``cell_id, label, subject``, and ``fold`` if official folds are named.
    folds
        Number of parts, at least two.
    validation_share
        Share of each class's training cells, nearest by whole subjects, that validates.
    seed
        Seed of the parts and of the choice of validation subjects.
    train_folds
        Official folds to take cells from; empty for all.
    away_from
        An official fold whose subjects are left out, so that it can be tested on later.
    min_subjects
        Least number of subjects of each class that validate, and that train; where a class has
        fewer than twice as many, none is held out (``partitions.validation_subjects``).

    Returns
    -------
    list of Split
        One for each part, named ``part 1 of 5`` and so on, with ``, seed s`` unless the seed
        is 0. Every cell is tested in exactly one of them.

    Raises
    ------
    RequestError
        If an official fold or a class is missing, a class has fewer subjects than there are
        parts, a part has one class, or a class has fewer than two subjects left to train.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    generator(seed)  # refuses what is no seed
    by_fold = bool(train_folds) or away_from is not None
    pool = labelled_cells(cells, *(["fold"] if by_fold else []))
    if away_from is not None:
        kept_out = of_folds(pool, [away_from])
    if train_folds:
        pool = of_folds(pool, train_folds)
    if away_from is not None:
        pool = _away_from(pool, kept_out, away_from)
    strata = subject_label(pool)
    _need_subjects_for_parts(pool, strata, folds)
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    splits = []
    for number, (rest, tested) in enumerate(parts.split(pool, strata, pool["subject"]), 1):
        train, test = pool.iloc[rest], pool.iloc[tested]
        name = f"part {number} of {folds}" + (f", seed {seed}" if seed else "")
        need_both_classes(test, name, "use fewer parts (studies.*.splits folds) or another seed")
        held = train["subject"].isin(
            validation_subjects(train, validation_share, seed, min_subjects)
        )
        splits.append(make_split(train[~held], train[held], test, "kfold", seed, name))
    return splits


def leaky_kfold_splits(
    cells: pd.DataFrame,
    protocol: str,
    folds: int = 5,
    validation_share: float = 0.15,
    seed: int = 0,
    copies: float = 0.6,
    min_subjects: int = 2,
) -> list[Split]:
    """Split as :func:`kfold_splits`, by a unit that does not keep subjects on one side.

    These are no protocols for results; they exist to measure what each is worth.

    Parameters
    ----------
    cells, folds, validation_share, seed, min_subjects
        As in :func:`kfold_splits`, with the unit for the subject; also ``patient``.
    protocol
        ``patient_ids``: the patient id is the unit, though ids may share cells. ``images``: the
        single image. ``copies``: as ``images``, and some HEM images have an augmented copy, which
        falls into a random part of its own and trains wherever that part is not tested. A copy
        stands under the id of its image: for models that measure what mirroring does not change,
        it is the same.
    copies
        Share of the HEM images that have a copy.

    Returns
    -------
    list of Split
        Every image is tested in exactly one of them.

    Raises
    ------
    RequestError
        As in :func:`kfold_splits`.
    """
    unit = "patient" if protocol == "patient_ids" else "cell_id"
    labelled = labelled_cells(cells, *(["patient"] if unit == "patient" else []))
    grouped = labelled.assign(subject=labelled[unit].astype(str))
    splits = kfold_splits(grouped, folds, validation_share, seed, min_subjects=min_subjects)
    if protocol == "copies":
        splits = _with_copies(splits, labelled, copies, seed)
    return [replace(split, protocol=protocol) for split in splits]


def _with_copies(splits: list[Split], cells: pd.DataFrame, share: float, seed: int) -> list[Split]:
    """Add the copies of HEM images to the training of all parts but the one they fall into."""
    rng = generator(seed)
    hem = cells.loc[cells["label"] == 0, "cell_id"].to_numpy(str)
    copied = np.sort(rng.permutation(hem)[: round(share * hem.size)])
    part = rng.integers(len(splits), size=copied.size)
    return [
        replace(split, train=tuple(sorted({*split.train, *copied[part != number].tolist()})))
        for number, split in enumerate(splits)
    ]


def of_folds(cells: pd.DataFrame, folds: Sequence[int]) -> pd.DataFrame:
    """Return the cells of official folds, each of which must have both classes.

    Raises
    ------
    RequestError
        If a class is missing in a fold.
    """
    for fold in folds:
        need_both_classes(cells[cells["fold"] == fold], f"fold {fold}")
    return cells[cells["fold"].isin(list(folds))]


def _away_from(pool: pd.DataFrame, cells: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Return pool without the subjects of cells, which are an official fold's."""
    source = _listed(sorted(pool["fold"].dropna().unique()))
    pool = pool[~pool["subject"].isin(set(cells["subject"]))]
    need_both_classes(pool, f"fold {source} without subjects of fold {fold}")
    return pool


def _listed(folds: Sequence[int]) -> str:
    return " and ".join(str(fold) for fold in folds)


def _need_subjects_for_parts(pool: pd.DataFrame, strata: pd.Series, folds: int) -> None:
    if folds < 2:
        raise RequestError(f"studies.*.splits folds is {folds}, but must be at least 2.")
    for label in (0, 1):
        subjects = sorted(pool.loc[strata == label, "subject"].unique())
        if len(subjects) < folds:
            raise RequestError(
                f"Class {class_name(label)} has {len(subjects)} subject(s) "
                f"({', '.join(map(str, subjects))}), but {folds} parts need one each. Add data, or "
                "lower studies.*.splits folds."
            )
