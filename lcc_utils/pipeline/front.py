"""The front page's claims and results, made from a run's files alone; the ledger has the rest."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lcc_utils.evaluation.result import Results
from lcc_utils.pipeline.verify import load_results
from lcc_utils.report.claims import WEIGHTS
from lcc_utils.report.findings import VERDICTS
from lcc_utils.report.ledger import causes
from lcc_utils.report.tables import build_table, to_markdown
from lcc_utils.text import markdown

# What the abstract and the conclusions of the paper rest on.
_HEADLINE = (
    "f1_test", "t2_auc", "t2_once", "thresholds", "patients_abstract", "t1_sum_all", "mc_f1",
    "mc_split_unit", "mc_significance_test", "t4_delta_augmentation", "gain_vgg16", "parameters",
)  # fmt: skip
_LEDGER = """[The ledger](chapters/09_claims.ipynb) lists every one with its evidence. Those on
which the abstract rests:"""
_PRIMARY = """### What this edition measured

Every cell is predicted once, by a model that has seen no cell of its subject. *By cells* pools all
cells; *subjects equal* gives every subject the same weight. The intervals are over subjects:"""
_OFFICIAL = "The network on whole official folds, with no subject in both training and test:"


def claims_markdown(folder: Path) -> str:
    """Return the claims of the paper beside what this run and its data say, as Markdown.

    Parameters
    ----------
    folder
        A run, or ``results/`` of the published edition.
    """
    return claims_text(*load_results(folder))


def claims_text(cells: pd.DataFrame, results: Results) -> str:
    """Return the same from cells and results that have been read."""
    claims = build_table("claims", cells, results)
    counts = build_table("claim_counts", cells, results)
    parts = [_counts(claims), to_markdown(counts), _headline(claims), *_measured(cells, results)]
    return "\n\n".join(parts)


def _headline(claims: pd.DataFrame) -> str:
    """Return the claims that the paper's abstract rests on, and where all of them are."""
    chosen = claims.set_index("id").loc[list(_HEADLINE)].reset_index()
    table = to_markdown(chosen[["claim", "where", "stated", "ours", "verdict"]])
    return f"{_LEDGER}\n\n{table}"


def _measured(cells: pd.DataFrame, results: Results) -> list[str]:
    """Return the primary analysis and the official folds, as far as they have run."""
    parts = []
    primary = build_table("primary", cells, results)
    notes = primary.attrs["notes"]
    primary = primary[primary["auc"].notna()]
    if not primary.empty:
        shown = [c for c in primary if c.startswith(("model", "estimand", "auc", "f1"))]
        counts = ["subjects", "hem_subjects", "cells"]
        parts += [_PRIMARY, to_markdown(primary[[*shown, *counts]])]
        parts += [f"{note[0].upper()}{note[1:]}." for note in notes]
    if results.get("training"):
        official = build_table("training", cells, results).drop(columns="threshold")
        parts += [_OFFICIAL, to_markdown(official)]
    if parts:
        parts.insert(1, f"*{markdown(cells.attrs['label'])}*")
    return parts


def _counts(claims: pd.DataFrame) -> str:
    """Say how many claims have which verdict, and how many causes lie behind."""
    numbers = claims["verdict"].value_counts()
    said = ", ".join(f"*{name}* for {numbers.get(name, 0)}" for name in VERDICTS)
    why = causes(claims)
    weights = why["weight"].value_counts()
    kinds = ", ".join(f"{weights.get(name, 0)} {name}" for name in WEIGHTS)
    return (
        f"Of the paper's {len(claims)} statements that were looked at, the verdict is {said}.\n"
        "*Differs* means from what was measured again, or stands at the source; *contradicted*\n"
        "means by the paper's own numbers, the official counts or the authors' code. An\n"
        "experiment counts as run only with the paper's own network, weights, resolution, data\n"
        "and protocol; the nearest result of this edition on real cells stands beside it.\n"
        f"The statements that differ or are contradicted go back to {len(why)} causes: {kinds}."
    )
