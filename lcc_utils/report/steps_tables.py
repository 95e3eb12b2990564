"""From an honest score to a reported one: what each step is worth, alone and after the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from lcc_utils.evaluation.paired import mean_metrics, paired_intervals
from lcc_utils.evaluation.resampling import pooled
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.evaluation.steps import (
    RULES,
    counted_twice,
    hardest_subjects,
    rules_for_named,
    threshold_on_test,
    thresholds_by_group,
)
from lcc_utils.evaluation.subject_intervals import cell_intervals
from lcc_utils.report.claims import Claim, load_claims
from lcc_utils.report.primary_tables import primary_runs
from lcc_utils.report.rows import Runs, by_variant, ends, points, score, table, with_ends

STUDIES = ("primary", "recipe", "steps")
STATED = "stated by the paper"
HONEST = "honest: by subject, best epoch, threshold from validation"
# How many HEM subjects the authors' evaluation names.
NAMED = len(RULES)
PROTOCOLS = {
    "patient_ids": "split by patient id",
    "images": "split by image",
    "copies": "split by image, with augmented copies in the pool",
}
RECIPES = {
    "constant rate": "constant rate instead of the stated schedule",
    "last epoch": "last epoch instead of the best",
    "constant rate, last epoch": "last epoch instead of the best",
}
_METRICS = ("auc", "f1_weighted")

Predictions = list[pd.DataFrame]


@dataclass(frozen=True)
class Chain:
    """A model's honest predictions, and what stands for them after each change of training.

    Attributes
    ----------
    model
        What a reader calls it.
    honest
        Pooled test predictions, one table a seed.
    alone, together
        Step to predictions: with that change only, and with all changes up to it.
    """

    model: str
    honest: Predictions
    alone: dict[str, Predictions]
    together: dict[str, Predictions]


def steps_alone_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Measure each step by itself against the honest result, on the same subjects.

    Changes are in points, with jackknife intervals that leave a subject out of both at once.
    Thresholds are those that each step chooses once, on all cells.
    """
    rows = []
    for chain in chains(results):
        rows.append(_row(chain, HONEST, chain.honest))
        rows += [_row(chain, step, found) for step, found in chain.alone.items()]
        rows += [_row(chain, step, found) for step, found in _applied(chain.honest, chain, False)]
    return _steps_table(rows)


def steps_together_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Add one step after another: each row holds its own step and all above it of its model."""
    rows = []
    for chain in chains(results):
        rows.append(_row(chain, HONEST, chain.honest))
        rows += [_row(chain, step, found) for step, found in chain.together.items()]
        last = list(chain.together.values())[-1] if chain.together else chain.honest
        rows += [_row(chain, step, found) for step, found in _applied(last, chain, True)]
    if rows:
        stated = {claim.id: float(claim.value) / 100 for claim in _headline()}
        rows.append(
            {"model": STATED, "step": "as reported"}
            | {"f1_weighted": score(stated["f1_test"]), "auc": score(stated["auc_test"])}
        )
    return _steps_table(rows)


def chains(results: Results) -> list[Chain]:
    """Return the models that have an honest result and at least one changed one beside it.

    Rules name HEM subjects: a model that was tested on fewer than these has no chain.
    """
    found = [*_pooled_chains(results), *_recipe_chains(results)]
    return [chain for chain in found if _hem_subjects(chain.honest) >= NAMED]


def _hem_subjects(tables: Predictions) -> int:
    return min(table.loc[table["label"] == 0, "subject"].nunique() for table in tables)


def _pooled_chains(results: Results) -> Iterable[Chain]:
    """Take the models of the primary analysis that were trained on parts by other units too."""
    parts: dict[tuple[str, str], list[Result]] = {}
    for result in results.get("steps", []):
        parts.setdefault((result.variant, result.protocol), []).append(result)
    for runs in primary_runs(results):
        if not runs.whole:
            continue
        honest = pooled(runs.done)
        changed = {
            step: pooled(parts[runs.variant, protocol])
            for protocol, step in PROTOCOLS.items()
            if len(parts.get((runs.variant, protocol), [])) == len(runs.done)
        }
        # A profile may divide other cells than those of the primary analysis.
        own = set(honest["subject"])
        found = {step: [table] for step, table in changed.items() if set(table["subject"]) == own}
        if found:
            yield Chain(runs.variant, [honest], found, found)


def _recipe_chains(results: Results) -> Iterable[Chain]:
    """Take the network of the study of the recipe, whose first variant is the honest one."""
    found = by_variant(results, "recipe")
    seeds = {runs.variant: _by_seed(runs) for runs in found if runs.whole}
    if not found or found[0].variant not in seeds:
        return
    honest = seeds[found[0].variant]
    model = f"{found[0].done[0].record['model']['backbone']}, official folds"
    have = {name: seeds[name] for name in RECIPES if len(seeds.get(name, [])) == len(honest)}
    alone = {RECIPES[name]: have[name] for name in ("constant rate", "last epoch") if name in have}
    order = ("constant rate", "constant rate, last epoch")
    together = {RECIPES[name]: have[name] for name in order if name in have}
    if alone:
        yield Chain(model, honest, alone, together or alone)


def _by_seed(runs: Runs) -> Predictions:
    seeds = sorted({result.seed for result in runs.done})
    return [pooled(result for result in runs.done if result.seed == seed) for seed in seeds]


def _applied(start: Predictions, chain: Chain, together: bool) -> Iterable[tuple[str, Predictions]]:
    """Apply the steps that change no training: one after another, or each to the start.

    The subjects that rules and thresholds name are those with the most errors in the honest
    predictions, each seed its own.
    """
    named = [hardest_subjects(table, NAMED) for table in chain.honest]
    current = start
    for step, change in _CHANGES.items():
        found = [change(table, own) for table, own in zip(current, named, strict=True)]
        yield step, found
        current = found if together else start


_CHANGES: dict[str, Callable[[pd.DataFrame, Sequence[str]], pd.DataFrame]] = {
    "rules for the scores of two named HEM subjects": rules_for_named,
    "one threshold, chosen on test": lambda table, _named: threshold_on_test(table),
    "a threshold for each group, chosen on test": thresholds_by_group,
    "every image counted twice": lambda table, _named: counted_twice(table),
}


def _row(chain: Chain, step: str, found: Predictions) -> dict[str, object]:
    row: dict[str, object] = {"model": chain.model, "step": step}
    row |= {name: score(value) for name, value in mean_metrics(found, _METRICS).items()}
    if found is not chain.honest:
        changes = paired_intervals(chain.honest, found, _METRICS)
        for name, short in (("f1_weighted", "f1_delta"), ("auc", "auc_delta")):
            row |= ends(short, changes[name], 100)
    first = found[0]
    over_cells = cell_intervals(first, None, ("f1_weighted",))["f1_weighted"]
    return row | {
        "f1_width_cells": points(100 * (over_cells.high - over_cells.low)),
        "subjects": first["subject"].nunique(),
        "cells": len(first),
    }


def _headline() -> list[Claim]:
    return [claim for claim in load_claims() if claim.id in ("f1_test", "auc_test")]


def _steps_table(rows: list[dict]) -> pd.DataFrame:
    changes = with_ends("f1_delta", "auc_delta")
    columns = ["model", "step", "f1_weighted", *changes[:3], "auc", *changes[3:]]
    counts = ["subjects", "cells"]
    return table(rows, [*columns, "f1_width_cells", *counts], counts, ["model", "step"])
