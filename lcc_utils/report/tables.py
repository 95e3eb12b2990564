"""Every table that the book shows, as a pure function of a run's cells and results.

Scores are rounded to six decimals and changes in points to four, so that a table recomputed on
another machine equals the stored one; how they are shown is ``report.formatting``'s matter. Each
frame says in ``attrs["data"]`` what it was computed on, taken from ``cells.attrs["label"]``.
Tables take what a study holds so far; the table ``progress`` says how much that is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from lcc_utils.evaluation.result import Result, Results
from lcc_utils.report import (
    ablation_tables,
    attention_tables,
    calibration_tables,
    channel_tables,
    data_tables,
    efficiency_tables,
    foreign_tables,
    label_noise_tables,
    leakage_tables,
    ledger,
    monte_carlo_tables,
    paper_tables,
    primary_tables,
    published_tables,
    repeat_tables,
    robustness_tables,
    search_tables,
    statistics_tables,
    steps_tables,
    training_tables,
)
from lcc_utils.report.claims import load_claims
from lcc_utils.report.rows import table
from lcc_utils.report.table_markup import to_html, to_markdown

__all__ = ["ALL", "NONE", "TABLES", "Table", "build_table", "to_html", "to_markdown"]

# Studies that a table takes: an empty list stands for every study of the run, as it does for
# ``Run.gather``; no study is called "none".
ALL: tuple[str, ...] = ()
NONE = ("none",)


@dataclass(frozen=True)
class Table:
    """A table of the book.

    Attributes
    ----------
    build
        Makes it from cells and results.
    studies
        Names of the studies that it takes; ``ALL`` for whatever the run has, or ``NONE``.
    measured
        Whether its numbers come from the run's cells.
    """

    build: Callable[[pd.DataFrame, Results], pd.DataFrame]
    studies: tuple[str, ...]
    measured: bool = True


def build_table(
    name: str, cells: pd.DataFrame, results: Results | dict[str, list[Result]]
) -> pd.DataFrame:
    """Build one of :data:`TABLES`, naming its data.

    Parameters
    ----------
    name
        A key of ``TABLES``.
    cells
        One row a cell: ``label, patient, subject, phase, fold``; ``attrs["label"]`` names the data.
    results
        Results by study; of those that the table does not take, none are needed. A study that is
        absent gives a table without rows, one that is partly run a table of what is there.
    """
    have = results if isinstance(results, Results) else Results(results)
    frame = TABLES[name].build(cells, have)
    # A table of costs names the machine that they were measured on by itself.
    frame.attrs.setdefault("data", cells.attrs.get("label", "") if TABLES[name].measured else "")
    return frame


def model_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """List the models that were trained, with their parameters."""
    rows = []
    for study in sorted(results):
        for result in sorted(results[study], key=ablation_tables.place):
            settings, model = result.settings, result.record["model"]
            row = {"study": study, "variant": result.variant, "backbone": model["backbone"]}
            row["weights"] = settings.get("model", {}).get("weights") or "none"
            row["size"] = settings.get("pixels", {}).get("size")
            names = ("parameters_trainable", "parameters_total")
            rows.append(row | {name: model.get(name) for name in names})
    counts = ["size", "parameters_trainable", "parameters_total"]
    text = ["study", "variant", "backbone", "weights"]
    frame = table(rows, text + counts, counts, text)
    # What a classical model fits may differ by a few numbers between runs; the first stands.
    return frame.drop_duplicates([*text, "size"], ignore_index=True)


def progress_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Say how much of each study has run; ``reason`` is why the first that failed did."""
    rows = []
    for study in dict.fromkeys([*results, *results.missing]):
        done, missing = len(results.get(study, [])), results.missing.get(study, [])
        reasons = [place.reason for place in missing if place.reason]
        rows.append(
            {"study": study, "planned": done + len(missing), "done": done}
            | {"not_run": len(missing) - len(reasons), "failed": len(reasons)}
            | {"reason": reasons[0] if reasons else ""}
        )
    counts = ["planned", "done", "not_run", "failed"]
    return table(rows, ["study", *counts, "reason"], counts, ["study", "reason"])


def claims_table(cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each claim of the paper, what we found, the verdict, and where the evidence lies."""
    return ledger.verdicts(load_claims(), cells, results)


def claim_counts_table(cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Count the claims by kind and verdict."""
    return ledger.counts(claims_table(cells, results))


def claim_causes_table(cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """List what the claims that differ or are contradicted go back to."""
    return ledger.causes(claims_table(cells, results))


_MONTE_CARLO = monte_carlo_tables.STUDIES
_ATTENTION = attention_tables.STUDIES
_LEDGER = ("training", "primary", "ablation", *_MONTE_CARLO)

TABLES: dict[str, Table] = {
    "cells": Table(data_tables.cells_table, NONE),
    "subjects": Table(data_tables.subjects_table, NONE),
    "shared_cells": Table(data_tables.shared_cells_table, NONE),
    "duplicates": Table(data_tables.duplicates_table, NONE, measured=False),
    "duplicate_pairs": Table(data_tables.duplicate_pairs_table, NONE, measured=False),
    "progress": Table(progress_table, ALL),
    "model": Table(model_table, ALL),
    # Each verdict names its own evidence, which is seldom the run's cells.
    "claims": Table(claims_table, _LEDGER, measured=False),
    "claim_counts": Table(claim_counts_table, _LEDGER, measured=False),
    "claim_causes": Table(claim_causes_table, _LEDGER, measured=False),
    "steps_alone": Table(steps_tables.steps_alone_table, steps_tables.STUDIES),
    "steps_together": Table(steps_tables.steps_together_table, steps_tables.STUDIES),
    "even_counts": Table(paper_tables.even_counts_table, NONE, measured=False),
    "training": Table(training_tables.training_table, ("training",)),
    "training_subjects": Table(training_tables.training_subjects_table, ("training",)),
    "shared": Table(training_tables.shared_table, ("shared",)),
    "primary": Table(primary_tables.primary_table, ("primary",)),
    "primary_influence": Table(primary_tables.primary_influence_table, ("primary",)),
    "primary_comparisons": Table(primary_tables.primary_comparisons_table, ("primary",)),
    "repeats": Table(repeat_tables.repeats_table, (repeat_tables.REPEATS,)),
    "transport": Table(repeat_tables.transport_table, (repeat_tables.TRANSPORT,)),
    "search": Table(search_tables.search_table, ("search",)),
    "search_parts": Table(search_tables.search_parts_table, ("search",)),
    "published_entries": Table(published_tables.published_entries_table, NONE, measured=False),
    "published_agreement": Table(published_tables.published_agreement_table, NONE, measured=False),
    "coverage": Table(statistics_tables.coverage_table, NONE, measured=False),
    "baselines": Table(training_tables.baselines_table, ("baselines",)),
    "literature": Table(training_tables.literature_table, NONE, measured=False),
    "ablation": Table(ablation_tables.ablation_table, ("ablation",)),
    "ablation_runs": Table(ablation_tables.ablation_runs_table, ("ablation",)),
    "factorial": Table(ablation_tables.factorial_table, ("ablation",)),
    "recipe": Table(ablation_tables.recipe_table, ("recipe",)),
    "monte_carlo": Table(monte_carlo_tables.monte_carlo_table, _MONTE_CARLO),
    "monte_carlo_subjects": Table(monte_carlo_tables.monte_carlo_subjects_table, _MONTE_CARLO),
    "leakage": Table(leakage_tables.leakage_table, leakage_tables.STUDIES),
    "right_and_wrong": Table(statistics_tables.right_and_wrong_table, ("primary", *_MONTE_CARLO)),
    "calibration": Table(calibration_tables.calibration_table, calibration_tables.STUDIES),
    "operating_points": Table(
        calibration_tables.operating_points_table, calibration_tables.STUDIES
    ),
    "selective": Table(calibration_tables.selective_table, calibration_tables.STUDIES),
    "subject_decisions": Table(
        calibration_tables.subject_decisions_table, calibration_tables.STUDIES
    ),
    "worst_subjects": Table(calibration_tables.worst_subjects_table, calibration_tables.STUDIES),
    "attention_networks": Table(attention_tables.attention_networks_table, _ATTENTION),
    "attention_sanity": Table(attention_tables.attention_sanity_table, _ATTENTION),
    "attention_cascade": Table(attention_tables.attention_cascade_table, _ATTENTION),
    "attention_faithfulness": Table(attention_tables.attention_faithfulness_table, _ATTENTION),
    "attention_regions": Table(attention_tables.attention_regions_table, _ATTENTION),
    "attention_rings": Table(attention_tables.attention_rings_table, _ATTENTION),
    "attention_agreement": Table(attention_tables.attention_agreement_table, _ATTENTION),
    "channel_weights": Table(channel_tables.channel_weights_table, _ATTENTION),
    "shifts": Table(robustness_tables.shifts_table, NONE, measured=False),
    "robustness_summary": Table(
        robustness_tables.robustness_summary_table, robustness_tables.STUDIES
    ),
    "robustness": Table(robustness_tables.robustness_table, robustness_tables.STUDIES),
    "label_noise": Table(label_noise_tables.label_noise_table, label_noise_tables.STUDIES),
    "foreign_sets": Table(foreign_tables.foreign_sets_table, foreign_tables.STUDIES),
    "out_of_distribution": Table(foreign_tables.out_of_distribution_table, foreign_tables.STUDIES),
    "foreign_calls": Table(foreign_tables.foreign_calls_table, foreign_tables.STUDIES),
    "external_validation": Table(foreign_tables.external_validation_table, foreign_tables.STUDIES),
    "efficiency": Table(efficiency_tables.efficiency_table, efficiency_tables.STUDIES),
    # Time and memory on images of no cell.
    "efficiency_engines": Table(
        efficiency_tables.efficiency_engines_table, efficiency_tables.STUDIES, measured=False
    ),
    "efficiency_saving": Table(
        efficiency_tables.efficiency_saving_table, efficiency_tables.STUDIES, measured=False
    ),
    "false_positives": Table(statistics_tables.false_positives_table, NONE, measured=False),
}
