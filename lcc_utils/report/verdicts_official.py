"""Verdicts from the data set: official counts, identical files, what subjects could add up to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import lcc_utils.data
from lcc_utils.data.official import FRAME_SIDE
from lcc_utils.errors import DataError
from lcc_utils.report.findings import (
    CONTRADICTED,
    HOLDS,
    NOT_DETERMINED,
    Evidence,
    Finding,
    Test,
)
from lcc_utils.report.formatting import quantity

if TYPE_CHECKING:
    from lcc_utils.report.claims import Claim

OFFICIAL_FILE = Path(lcc_utils.data.__file__).parent / "official.csv"
_OFFICIAL = "official counts of C-NMC 2019"
_FILES = "official file list of C-NMC 2019"


@cache
def official_counts() -> pd.DataFrame:
    """Return the official labelled cells: ``patient, phase, fold, class, cells``."""
    table = _official()
    return table[table["class"].isin(["ALL", "HEM"])]


@cache
def _official() -> pd.DataFrame:
    try:
        table = pd.read_csv(OFFICIAL_FILE, dtype={"patient": str, "class": str})
    except OSError as error:
        raise DataError(
            f"The official counts {OFFICIAL_FILE} cannot be read; install the package again."
        ) from error
    return table.assign(**{"class": table["class"].str.upper()})


def can_add_up(sizes: Sequence[int], chosen: int, total: int) -> bool:
    """Tell whether some choice of so many of these sizes adds up to the total."""
    # Bit t of reach[k]: k sizes can add up to t.
    reach = [1] + [0] * chosen
    for size in sizes:
        for k in range(chosen, 0, -1):
            reach[k] |= reach[k - 1] << int(size)
    return bool(reach[chosen] >> total & 1)


def _counted(count: Callable[[pd.DataFrame], int]) -> Test:
    """Make a test: the claim holds if the official count is the stated one."""

    def test(claim: Claim, _evidence: Evidence) -> Finding:
        ours = count(_official())
        verdict = HOLDS if ours == claim.value else CONTRADICTED
        return Finding(quantity(ours, claim.unit, 0), _OFFICIAL, verdict)

    return test


def _patients(name: str | None = None, phase: str | None = None) -> Test:
    return _counted(lambda table: _of(table, name, phase)["patient"].nunique())


def _cells(name: str | None = None, phase: str | None = None) -> Test:
    return _counted(lambda table: int(_of(table, name, phase)["cells"].sum()))


def _of(table: pd.DataFrame, name: str | None, phase: str | None) -> pd.DataFrame:
    """Return the rows of a class and phase; by default of all labelled cells."""
    if phase is None:
        table = table[table["class"].isin(["ALL", "HEM"] if name is None else [name])]
    return table if phase is None else table[table["phase"] == phase]


def _unnamed_patients(claim: Claim, _evidence: Evidence) -> Finding:
    """Count the patients of the final phase, whose files name none."""
    final = _of(_official(), None, "final")
    named = final["patient"].nunique()
    if named:
        verdict = HOLDS if named == claim.value else CONTRADICTED
        return Finding(str(named), _OFFICIAL, verdict)
    return Finding("the file names no patients", _FILES, NOT_DETERMINED)


def _majority(claim: Claim, _evidence: Evidence) -> Finding:
    sums = official_counts().groupby("class")["cells"].sum()
    ours = f"{sums['HEM']:,} HEM, {sums['ALL']:,} ALL"
    verdict = HOLDS if sums.idxmax() == claim.value else CONTRADICTED
    return Finding(ours, _OFFICIAL, verdict)


def _frame_side(claim: Claim, _evidence: Evidence) -> Finding:
    """Compare the side of the labelled images; that of the final phase is named beside."""
    sides = {FRAME_SIDE[phase] for phase in ("train", "prelim")}
    ours = (
        f"{', '.join(str(side) for side in sorted(sides))} px; final phase {FRAME_SIDE['final']} px"
    )
    return Finding(ours, _FILES, HOLDS if sides == {claim.value} else CONTRADICTED)


def _possible(name: str) -> Test:
    """Make a test of whether so many patients of a class can hold so many images.

    The inputs are the claims of patients and of images. That it is possible does not say that the
    split was so, since its patients are not listed.
    """

    def test(claim: Claim, evidence: Evidence) -> Finding:
        patients, images = (int(number) for number in evidence.numbers(claim))
        sizes = official_counts().query("`class` == @name")["cells"].to_numpy()
        what = f"{patients} of {len(sizes)} {name} patients hold {images:,} images"
        if can_add_up(sizes, patients, images):
            return Finding(f"possible: some {what}", _OFFICIAL, NOT_DETERMINED)
        return Finding(f"no {what}", _OFFICIAL, CONTRADICTED)

    return test


TESTS: dict[str, Test] = {
    "official_patients": _patients(),
    "official_patients_all": _patients("ALL"),
    "official_patients_hem": _patients("HEM"),
    "official_patients_train": _patients(phase="train"),
    "official_patients_prelim": _patients(phase="prelim"),
    "official_patients_final": _unnamed_patients,
    "official_cells": _cells(),
    "official_cells_all": _cells("ALL"),
    "official_cells_hem": _cells("HEM"),
    "official_cells_train": _cells(phase="train"),
    "official_cells_prelim": _cells(phase="prelim"),
    "official_cells_final": _cells(phase="final"),
    "official_majority": _majority,
    "official_frame_side": _frame_side,
    "possible_all": _possible("ALL"),
    "possible_hem": _possible("HEM"),
}
