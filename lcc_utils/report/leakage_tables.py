"""Tables of the gain by leakage: trainings paired by their test cells."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import scipy

from lcc_utils.evaluation.intervals import Interval
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.evaluation.statistics import TTest, corrected_t, holm
from lcc_utils.report.monte_carlo_tables import sizes, span, unit_counts
from lcc_utils.report.rows import (
    by_variant,
    ends,
    points,
    score,
    table,
    trained_cells,
    trained_subjects,
    with_ends,
)

STUDIES = ("leakage", "leakage_trained")


def leakage_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the gain in AUC by leakage to each model, paired by test cells.

    The contrast is the mean over pairs of logit(AUC) of one training less that of the other;
    ``logit_delta`` is it with the interval of the corrected resampled t test (Nadeau and Bengio,
    by subjects), and p is that test's, adjusted by Holm's method over the models of a contrast.
    ``auc_delta`` is the mean difference in points, to read the size; ``positive`` counts the
    pairs with a gain. ``leaked`` is the share of the training cells of a leaky split that are
    other cells of test subjects.
    """
    rows = []
    for runs in by_variant(results, *STUDIES):
        seeds = {place.seed for place in (*runs.done, *runs.missing)}
        for name, sides in contrasts(runs.done).items():
            pairs = leakage_pairs(runs.done, sides)
            row: dict[str, object] = {"model": runs.variant, "contrast": name}
            row |= {"pairs": len(pairs), "planned": len(seeds)}
            rows.append(row | (_contrasted(pairs) if pairs else {}))
    for name in dict.fromkeys(row["contrast"] for row in rows):
        own = [row for row in rows if row["contrast"] == name]
        adjusted = holm([row.get("p", float("nan")) for row in own])
        for row, p in zip(own, adjusted, strict=True):
            row["p_holm"] = score(p)
    numbers = ["auc_first", "auc_second", "auc_delta", *with_ends("logit_delta"), "p", "p_holm"]
    numbers += ["f1_delta", "leaked"]
    counts = ["pairs", "planned", "positive", "training_cells", "test_cells"]
    text = ["model", "contrast", "training_subjects", "test_subjects"]
    columns = [*text[:2], "pairs", "planned", *numbers[:3], "positive", *numbers[3:-1]]
    columns += ["training_cells", text[2], "leaked", "test_cells", text[3]]
    return table(rows, columns, counts, text)


# What is subtracted from what; the control adds other subjects in the place of those tested.
_CONTRASTS = {
    "leaky less control": ("control", "leaky"),
    "leaky less clean": ("clean", "leaky"),
    "control less clean": ("clean", "control"),
}


def contrasts(results: Sequence[Result]) -> dict[str, tuple[str, str]]:
    """Return the contrasts of which both sides are there, by name: protocols first and second."""
    have = {result.protocol for result in results}
    found = {name: sides for name, sides in _CONTRASTS.items() if have >= set(sides)}
    return found or {"leaky less clean": ("clean", "leaky")}


def leakage_pairs(
    results: Sequence[Result], sides: tuple[str, str] = ("clean", "leaky")
) -> list[tuple[Result, Result]]:
    """Return the two results of each seed of one model, where both are there."""
    first, second = (
        {result.seed: result for result in results if result.protocol == side} for side in sides
    )
    return [(first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())]


def logit_auc(result: Result) -> float:
    """Return the logit of a result's AUC, kept half a pair of cells away from 0 and 1."""
    found = result.metrics
    half = 0.5 / max(found["all_cells"] * found["hem_cells"], 1)
    return float(scipy.special.logit(min(max(found["auc"], half), 1 - half)))


def logit_test(pairs: Sequence[tuple[Result, Result]]) -> TTest:
    """Test logit(AUC) of the second of each pair less the first, corrected by subjects."""
    differences = [logit_auc(second) - logit_auc(first) for first, second in pairs]
    return corrected_t(differences, *unit_counts([first for first, _ in pairs], "subjects"))


def _contrasted(pairs: Sequence[tuple[Result, Result]]) -> dict:
    gains = [second.metrics["auc"] - first.metrics["auc"] for first, second in pairs]
    row: dict[str, object] = {
        "auc_first": _mean(pairs, 0, "auc"),
        "auc_second": _mean(pairs, 1, "auc"),
        "auc_delta": points(100 * sum(gains) / len(pairs)),
        "positive": sum(gain > 0 for gain in gains),
        "f1_delta": points(100 * (_mean(pairs, 1, "f1_weighted") - _mean(pairs, 0, "f1_weighted"))),
    }
    if len(pairs) > 1:
        found = logit_test(pairs)
        row |= ends("logit_delta", Interval(found.mean, found.low, found.high))
        row["p"] = score(found.p)
    return row | _trained(pairs) | sizes([first for first, _ in pairs])


def _mean(pairs: Sequence[tuple[Result, Result]], side: int, metric: str) -> float:
    return score(sum(pair[side].metrics[metric] for pair in pairs) / len(pairs))


def _trained(pairs: Sequence[tuple[Result, Result]]) -> dict:
    """Say on how much the second of each pair was trained, and how much of that leaks."""
    cells = sum(trained_cells(second) for _, second in pairs) / len(pairs)
    row: dict[str, object] = {
        "training_cells": round(cells),
        "training_subjects": span(trained_subjects(second) for _, second in pairs),
    }
    leaky = [second for _, second in pairs if second.protocol == "leaky"]
    if leaky:
        shares = [one.record["split"]["leaked"] / one.record["split"]["train"] for one in leaky]
        row["leaked"] = score(sum(shares) / len(shares))
    return row
