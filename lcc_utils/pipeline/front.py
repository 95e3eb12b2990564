"""The front page's claims and results, made from a run's files alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lcc_utils.pipeline.verify import load_results
from lcc_utils.report.tables import build_table, to_markdown

_VERBS = {
    "holds": "hold",
    "differs": "differ from what was measured",
    "contradicted": "are contradicted by the paper's own numbers or the official counts",
    "not determined": "cannot be settled from what is public",
    "not yet run": "are not yet run",
}
_MEASURED = """### What this edition measured

On whole test folds, with no subject in both training and test:"""


def claims_markdown(folder: Path) -> str:
    """Return the claims of the paper beside what this run and its data say, as Markdown.

    Parameters
    ----------
    folder
        A run, or ``results/`` of the published edition.
    """
    cells, results = load_results(folder)
    claims = build_table("claims", cells, results)
    parts = [_counts(claims), to_markdown(claims)]
    if "training" in results:
        measured = build_table("training", cells, results).drop(columns="threshold")
        parts[1:1] = [f"{_MEASURED}\n\n*{cells.attrs['label']}*", to_markdown(measured)]
        parts.insert(3, "### Claim by claim")
    return "\n\n".join(parts)


def _counts(claims: pd.DataFrame) -> str:
    """Say how many claims have which verdict."""
    numbers = claims["verdict"].value_counts()
    said = ", ".join(f"{numbers[name]} {verb}" for name, verb in _VERBS.items() if name in numbers)
    return (
        f"Of {len(claims)} statements of the paper that are tested here, {said}. An experiment\n"
        "counts as run only with the paper's own network, weights, resolution, data and protocol;\n"
        "the nearest result of this edition stands beside it."
    )
