"""What a verdict rests on, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from lcc_utils.evaluation.result import Results
from lcc_utils.report.evidence import Repository, load_evidence

if TYPE_CHECKING:
    from lcc_utils.report.claims import Claim

HOLDS, DIFFERS, CONTRADICTED = "holds", "differs", "contradicted"
NOT_DETERMINED, NOT_RUN = "not determined", "not yet run"
# The verdicts that go back to a cause.
AGAINST = (DIFFERS, CONTRADICTED)
VERDICTS = (HOLDS, DIFFERS, CONTRADICTED, NOT_DETERMINED, NOT_RUN)


@dataclass(frozen=True)
class Evidence:
    """What a verdict may rest on.

    Attributes
    ----------
    claims
        Every claim by its id, for the paper's other numbers.
    cells
        The run's cells; ``attrs["dataset"]`` and ``attrs["label"]`` name the data.
    results
        The run's results by study.
    history
        The training history that the authors' run printed.
    code
        What the authors' repository shows.
    """

    claims: dict[str, Claim]
    cells: pd.DataFrame
    results: Results
    history: pd.DataFrame
    code: Repository = field(default_factory=load_evidence)

    def numbers(self, claim: Claim) -> list[float]:
        """Return the stated values of a claim's inputs."""
        return [float(self.claims[name].value) for name in claim.inputs]

    @property
    def drawn(self) -> bool:
        """Whether a program drew the run's cells, so that no number of it is about leukaemia."""
        return self.cells.attrs.get("dataset") == "synthetic"

    @property
    def label(self) -> str:
        """What the run's numbers are computed on."""
        return str(self.cells.attrs.get("label", "data without a name"))


@dataclass(frozen=True)
class Finding:
    """A verdict, our value, what it was computed on, and where the evidence lies.

    ``source`` names a place outside the book, ``link`` is its address; both are empty where the
    evidence is in the book.
    """

    ours: str
    computed_on: str
    verdict: str
    source: str = ""
    link: str = ""


Test = Callable[["Claim", Evidence], Finding]
