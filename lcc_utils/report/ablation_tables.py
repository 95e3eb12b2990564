"""Tables of the ablation: the paper's four rows, the factorial and the recipe."""

from __future__ import annotations

import pandas as pd

from lcc_utils.evaluation.factorial import factorial_effects
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.report.claims import load_claims, stated_deltas
from lcc_utils.report.rows import (
    FULL,
    HEADLINE,
    METRICS,
    by_variant,
    change_summary,
    metric_frame,
    paired_changes,
    points,
    score,
    table,
    tested,
    with_ends,
)

# The paper's Table 4; our factorial holds more.
PAPER_VARIANTS = (FULL, "without attention", "without augmentation", "without focal loss")
FACTORS = ("attention", "augmentation", "focal loss")


def ablation_table(cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Summarise the paper's variants over their runs, beside the change that the paper states.

    ``auc`` and ``f1_weighted`` are means with least and most over the runs; the changes are the
    means of differences, in points, to the full model of the same split and seed.
    """
    runs = ablation_runs_table(cells, results)
    runs = runs[runs["variant"].isin(PAPER_VARIANTS)]
    changes = paired_changes(runs)
    stated = stated_deltas(load_claims())
    rows = []
    for variant, group in runs.groupby("variant", sort=False):
        row: dict[str, object] = {"variant": variant, "runs": len(group)}
        for name in HEADLINE:
            row[name] = score(group[name].mean())
            row[f"{name}_min"], row[f"{name}_max"] = group[name].min(), group[name].max()
        own = changes[changes["variant"] == variant]
        row |= {name: points(own[name].mean()) for name in HEADLINE.values()}
        rows.append(row | {"f1_delta_stated": stated.get(str(variant), float("nan"))})
    columns = ["variant", "runs", "auc", "auc_min", "auc_max", "f1_weighted", "f1_weighted_min"]
    columns += ["f1_weighted_max", "auc_delta", "f1_delta", "f1_delta_stated"]
    return pd.DataFrame(rows, columns=columns)


def ablation_runs_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give one row a run of the ablation, the full model first."""
    runs = sorted(results.get("ablation", []), key=place)
    rows = []
    for result in runs:
        row = {"variant": result.variant, "split": result.split, "seed": result.seed}
        row |= {name: score(result.metrics[name]) for name in METRICS}
        row |= {"best_epoch": result.record.get("best_epoch")}
        rows.append(row | {f"test_{n}": result.metrics[n] for n in ("subjects", "cells")})
    columns = ["variant", "split", "seed", *METRICS, "best_epoch", "test_subjects", "test_cells"]
    return pd.DataFrame(rows, columns=columns)


def factorial_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give main effects and interactions of the three parts, in points.

    A main effect is the mean with the part less the mean without it, over all settings of the
    other two; an interaction of two is half of what one adds more when the other is there. A
    block is one split and seed in which all eight variants were run; ``incomplete`` blocks are
    left out. Seeds are nested in splits: a seed's effects are averaged within its split, and
    interval and p are those over splits. ``seed_sd`` is the standard deviation between seeds of
    one split. ``f1_delta_stated`` is what the paper says that the part adds to its full model.
    """
    counts = ["splits", "blocks", "runs", "incomplete"]
    numbers = []
    for change in HEADLINE.values():
        short = change.removesuffix("_delta")
        numbers += [*with_ends(change), f"{change}_seed_sd"]
        numbers += [f"{short}_p", f"{short}_p_holm"]
    columns = ["effect", *numbers, "f1_delta_stated", *counts]
    return table(
        _effects(factorial_frame(results.get("ablation", []))), columns, counts, ["effect"]
    )


def _effects(frame: pd.DataFrame) -> list[dict]:
    if frame.empty:
        return []
    measured = {
        name: factorial_effects(frame, name, list(FACTORS), "split", "seed").set_index("effect")
        for name in HEADLINE
    }
    stated = stated_deltas(load_claims())
    rows = []
    for effect in measured["auc"].index:
        row: dict[str, object] = {"effect": effect}
        for name, change in HEADLINE.items():
            own = measured[name].loc[effect]
            names = {"": "estimate", "_low": "low", "_high": "high", "_seed_sd": "seed_sd"}
            row |= {change + end: points(100 * own[of]) for end, of in names.items()}
            short = change.removesuffix("_delta")
            row |= {f"{short}_p": score(own["p"]), f"{short}_p_holm": score(own["p_holm"])}
        row["f1_delta_stated"] = -stated.get(f"without {effect}", float("nan"))
        blocks = {"splits": own["splits"], "blocks": own["blocks"], "incomplete": own["incomplete"]}
        rows.append(row | blocks | {"runs": 2 ** len(FACTORS) * own["blocks"]})
    return rows


def factorial_frame(results: list[Result]) -> pd.DataFrame:
    """Return ``auc, f1_weighted, split, seed`` and whether each part was there, a row a run."""
    rows = []
    for result in results:
        settings = result.settings
        parts = (
            settings["model"]["attention"],
            settings["augmentation"]["policy"] != "none",
            settings["loss"]["name"] == "focal",
        )
        row = {"split": result.split, "seed": result.seed}
        row |= {name: result.metrics[name] for name in HEADLINE}
        rows.append(row | dict(zip(FACTORS, parts, strict=True)))
    return pd.DataFrame(rows, columns=["split", "seed", *HEADLINE, *FACTORS])


def recipe_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Compare variants of the recipe with the first one, paired by split and seed."""
    found = by_variant(results, "recipe")
    first = found[0].variant if found else ""
    changes = paired_changes(metric_frame(r for runs in found for r in runs.done), first)
    rows = []
    for runs in found:
        scores = metric_frame(runs.done)
        row = {"variant": runs.variant, "runs": len(runs.done), "planned": runs.planned}
        row |= {name: score(scores[name].mean()) for name in HEADLINE}
        own = changes[changes["variant"] == runs.variant]
        rows.append(row | change_summary(own, list(HEADLINE.values())) | tested(runs.done))
    ranges = [c + end for c in HEADLINE.values() for end in ("", "_min", "_max")]
    counts = ["runs", "planned", "test_subjects", "test_cells"]
    columns = ["variant", "runs", "planned", *HEADLINE, *ranges, *counts[2:]]
    return table(rows, columns, counts, ["variant"])


def place(result: Result) -> tuple:
    """Order results with the full model first."""
    return (result.variant != FULL, result.variant, result.split, result.seed)
