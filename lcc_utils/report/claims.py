"""What the paper states: its numbers are typed once, in ``book/claims.yml``.

The verdicts on them are in ``report.ledger``.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from lcc_utils.errors import RequestError
from lcc_utils.report.entries import read_entries, read_list

CLAIMS_FILE = Path(__file__).resolve().parents[2] / "book" / "claims.yml"
KINDS = ("arithmetic", "data set", "code", "experiment")
WEIGHTS = ("result-bearing", "method", "clerical")


class Claim(BaseModel):
    """One statement of the paper, as ``book/claims.yml`` holds it.

    Attributes
    ----------
    where
        The section, table or figure that states it.
    value, unit
        Percent and points in 0 to 100.
    kind
        What can test it.
    test, inputs
        The function in ``report.verdicts`` that gives the verdict, and the claims it takes.
    measure, variant, statistic
        What an experiment has to measure, of which variant, and over iterations how.
    tolerance
        In the claim's unit, how far our runs may be from the stated value for it to hold.
    chapter
        The page of the book that tests it.
    decimals
        To which the paper states the value, where trailing zeros hide it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    where: str
    statement: str
    value: float | str
    unit: Literal["percent", "points", "count", "million", "ratio", "px", "degrees", "text"]
    kind: Literal["arithmetic", "data set", "code", "experiment"]
    inputs: tuple[str, ...] = ()
    test: str
    measure: str | None = None
    variant: str | None = None
    statistic: Literal["mean", "sd", "low", "high"] = "mean"
    chapter: Literal[
        "01_data", "02_training", "03_ablation", "04_monte_carlo", "07_robustness", "08_efficiency",
        "09_claims", "10_steps",
    ] = "09_claims"  # fmt: skip
    tolerance: float = Field(default=0.5, gt=0)
    decimals: int | None = Field(default=None, ge=0)

    @property
    def places(self) -> int:
        """Decimals to which the paper states the value."""
        if self.decimals is not None or isinstance(self.value, str):
            return self.decimals or 0
        return len(f"{Decimal(repr(self.value)):f}".partition(".")[2].rstrip("0"))


class Cause(BaseModel):
    """Why one claim or several are contradicted, as ``book/claims.yml`` holds it.

    Attributes
    ----------
    weight
        What it touches: a figure that the conclusions rest on, what was done, or nothing else.
    claims
        Ids of the claims that go back to it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    statement: str = Field(min_length=1)
    weight: Literal["result-bearing", "method", "clerical"]
    claims: tuple[str, ...] = Field(min_length=1)


def load_causes(path: str | Path | None = None) -> list[Cause]:
    """Read and check the causes of contradictions.

    Raises
    ------
    RequestError
        As in :func:`load_claims`; also if a claim stands under two causes.
    """
    path = Path(path or CLAIMS_FILE)
    known = {claim.id for claim in load_claims(path)}
    causes = read_entries(path, "causes", Cause, "id")
    seen: set[str] = set()
    for cause in causes:
        for name in cause.claims:
            if name not in known:
                raise RequestError(f"{path}: the cause {cause.id!r} names {name!r}, no claim's id.")
            if name in seen:
                raise RequestError(f"{path}: the claim {name!r} stands under two causes.")
            seen.add(name)
    return causes


def load_claims(path: str | Path | None = None) -> list[Claim]:
    """Read and check the claims.

    Parameters
    ----------
    path
        The YAML file; by default ``book/claims.yml`` of this checkout.

    Raises
    ------
    RequestError
        If the file is missing or not YAML, an entry is incomplete or has an unknown field, an id
        occurs twice, or an entry names an unknown input.
    """
    path = Path(path or CLAIMS_FILE)
    claims = read_entries(path, "claims", Claim, "id")
    ids = [claim.id for claim in claims]
    for claim in claims:
        if ids.count(claim.id) > 1:
            raise RequestError(f"{path}: the claim {claim.id!r} is there twice; rename one.")
        if unknown := [name for name in claim.inputs if name not in ids]:
            raise RequestError(f"{path}: {claim.id!r} uses {unknown[0]!r}, which is no claim's id.")
    return claims


def paper_history(path: str | Path | None = None) -> pd.DataFrame:
    """Return the training history that the authors' run printed.

    Returns
    -------
    DataFrame
        ``epoch, loss, f1, val_loss, val_f1``, one row an epoch, F1 in 0 to 1.

    Raises
    ------
    RequestError
        If the file is missing or a row does not have five numbers.
    """
    path = Path(path or CLAIMS_FILE)
    rows = read_list(path, "history")
    for row in rows:
        if not (isinstance(row, list) and len(row) == 5 and all(_number(x) for x in row)):
            raise RequestError(f"{path}: the history row {row!r} does not have five numbers.")
    history = pd.DataFrame(rows, columns=["epoch", "loss", "f1", "val_loss", "val_f1"])
    return history.astype({"epoch": int})


def stated_deltas(claims: list[Claim]) -> dict[str, float]:
    """Return the paper's stated change of F1 in points by ablation variant."""
    return {
        claim.variant: float(claim.value)
        for claim in claims
        if claim.variant and claim.test == "difference"
    }


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
