"""What others report on C-NMC, from ``book/literature.yml``, each figure with its source."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lcc_utils.errors import RequestError
from lcc_utils.report.claims import CLAIMS_FILE, Claim, load_claims
from lcc_utils.report.entries import read_entries

LITERATURE_FILE = CLAIMS_FILE.with_name("literature.yml")
COLUMNS = ["work", "year", "metric", "value", "phase", "protocol", "source"]


class Entry(BaseModel):
    """One figure of one work.

    ``value`` is in percent; ``claim`` names an entry of ``book/claims.yml`` that holds it instead.
    ``listed_as`` names the claim by which the paper lists a figure of this work.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    work: str = Field(min_length=1)
    year: int = Field(ge=2019)
    metric: str
    value: float | None = Field(default=None, ge=0, le=100)
    claim: str | None = None
    listed_as: str | None = None
    phase: str
    protocol: str
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _one_value(self) -> Entry:
        if (self.value is None) == (self.claim is None):
            raise ValueError("give either a value or the id of a claim")
        return self


def load_literature(path: str | Path | None = None) -> pd.DataFrame:
    """Read and check what others report.

    Parameters
    ----------
    path
        The YAML file; by default ``book/literature.yml`` of this checkout.

    Returns
    -------
    DataFrame
        ``work, year, metric, value, phase, protocol, source`` in the file's order; the value is
        in 0 to 1.

    Raises
    ------
    RequestError
        If the file is missing or not YAML, an entry is incomplete or has an unknown field, or it
        names a claim that is not there.
    """
    return _table(path)[COLUMNS]


def own_figures(claim: str) -> pd.DataFrame:
    """Return the F1 figures that a work itself reports, by the claim that lists it.

    Columns are those of :func:`load_literature`; none where the work's own report was not at hand.
    """
    table = _table(None)
    own = table["listed_as"].eq(claim) & table["metric"].str.contains("F1")
    return table.loc[own, COLUMNS].reset_index(drop=True)


def _table(path: str | Path | None) -> pd.DataFrame:
    path = Path(path or LITERATURE_FILE)
    claims = {claim.id: claim for claim in load_claims()}
    rows = []
    for entry in read_entries(path, "literature", Entry, "work"):
        if entry.listed_as is not None and entry.listed_as not in claims:
            raise RequestError(
                f"{path}: {entry.work} is listed as the claim {entry.listed_as!r}, which is none."
            )
        share = round(_percent(entry, claims, path) / 100, 6)
        rows.append(entry.model_dump(include={*COLUMNS, "listed_as"}) | {"value": share})
    return pd.DataFrame(rows, columns=[*COLUMNS, "listed_as"])


def _percent(entry: Entry, claims: dict[str, Claim], path: Path) -> float:
    if entry.claim is None:
        return float(entry.value)
    if entry.claim not in claims:
        raise RequestError(f"{path}: {entry.work} names the claim {entry.claim!r}, which is none.")
    return float(claims[entry.claim].value)
