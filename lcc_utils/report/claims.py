"""The claims ledger: what the paper states, and the verdict that our files give.

The paper's numbers are typed once, in ``book/claims.yml``; a verdict is never typed. It comes from
one of the functions in :data:`lcc_utils.report.verdicts.TESTS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from lcc_utils.errors import RequestError
from lcc_utils.evaluation.result import Result
from lcc_utils.report.entries import read_entries, read_list
from lcc_utils.report.formatting import quantity
from lcc_utils.report.verdicts import TESTS, Evidence

CLAIMS_FILE = Path(__file__).resolve().parents[2] / "book" / "claims.yml"
COLUMNS = ["id", "claim", "where", "kind", "stated", "ours", "computed_on", "verdict"]


class Claim(BaseModel):
    """One statement of the paper, as ``book/claims.yml`` holds it.

    ``value`` is in ``unit`` (percent and points in 0 to 100). Without a ``test`` the entry is a
    number that other entries use. ``tolerance``, in the claim's unit, is how far our runs may be
    from the stated value of an experiment for it to hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    where: str
    statement: str
    value: float | str
    unit: Literal["percent", "points", "count", "million", "ratio", "text"]
    kind: Literal["arithmetic", "data set", "code", "experiment"]
    inputs: tuple[str, ...] = ()
    test: str | None = None
    measure: str | None = None
    variant: str | None = None
    tolerance: float = Field(default=0.5, gt=0)
    decimals: int | None = Field(default=None, ge=0)

    @property
    def places(self) -> int:
        """Decimals to which the paper states the value."""
        if self.decimals is not None or isinstance(self.value, str):
            return self.decimals or 0
        return len(f"{self.value:g}".partition(".")[2])


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
        occurs twice, or an entry names an unknown input or test.
    """
    path = Path(path or CLAIMS_FILE)
    claims = read_entries(path, "claims", Claim, "id")
    ids = [claim.id for claim in claims]
    for claim in claims:
        if ids.count(claim.id) > 1:
            raise RequestError(f"{path}: the claim {claim.id!r} is there twice; rename one.")
        if unknown := [name for name in claim.inputs if name not in ids]:
            raise RequestError(f"{path}: {claim.id!r} uses {unknown[0]!r}, which is no claim's id.")
        if claim.test is not None and claim.test not in TESTS:
            raise RequestError(
                f"{path}: {claim.id!r} names the test {claim.test!r}; known are "
                f"{', '.join(sorted(TESTS))}."
            )
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


def verdicts(
    claims: list[Claim], cells: pd.DataFrame, results: dict[str, list[Result]]
) -> pd.DataFrame:
    """Give each tested claim its verdict.

    ``holds``: what we computed agrees with the statement. ``differs``: we ran the same experiment
    and measured something else. ``contradicted``: the paper's own numbers or the official counts
    rule it out. ``not determined``: what is public cannot settle it. ``not yet run``: it takes an
    experiment that this run does not hold; the nearest result stands beside it.

    Parameters
    ----------
    claims
        From :func:`load_claims`.
    cells
        The run's cells; ``attrs["dataset"]`` and ``attrs["label"]`` name the data.
    results
        The run's results by study.

    Returns
    -------
    DataFrame
        ``id, claim, where, kind, stated, ours, computed_on, verdict``, all text.
    """
    known = {claim.id: claim for claim in claims}
    evidence = Evidence(claims=known, cells=cells, results=results, history=paper_history())
    rows = []
    for claim in claims:
        if claim.test is None:
            continue
        finding = TESTS[claim.test](claim, evidence)
        rows.append(
            (
                claim.id,
                claim.statement,
                claim.where,
                claim.kind,
                _stated(claim),
                finding.ours,
                finding.computed_on,
                finding.verdict,
            )
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def stated_deltas(claims: list[Claim]) -> dict[str, float]:
    """Return the paper's stated change of F1 in points by ablation variant."""
    return {
        claim.variant: float(claim.value)
        for claim in claims
        if claim.variant and claim.test == "difference"
    }


def _stated(claim: Claim) -> str:
    return quantity(claim.value, claim.unit, claim.places)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
