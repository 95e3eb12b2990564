"""The front page's table of claims, made from a run's files alone."""

from __future__ import annotations

from pathlib import Path

from lcc_utils.pipeline.verify import load_results
from lcc_utils.report.tables import build_table, to_markdown


def claims_markdown(folder: Path) -> str:
    """Return the claims of the paper beside what this run and its data say, as Markdown.

    Parameters
    ----------
    folder
        A run, or ``results/`` of the published edition.
    """
    cells, results = load_results(folder)
    return to_markdown(build_table("claims", cells, results))
