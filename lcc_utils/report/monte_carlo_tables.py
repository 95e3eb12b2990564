"""Tables of repeated random splits: the spread of a model's results, and the gain by leakage."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import scipy

from lcc_utils.evaluation.intervals import Interval
from lcc_utils.evaluation.metrics import CLASSES, natural
from lcc_utils.evaluation.resampling import percentile_range
from lcc_utils.evaluation.result import Missing, Result, Results
from lcc_utils.evaluation.statistics import TTest, corrected_interval, corrected_t, holm
from lcc_utils.evaluation.subjects import by_subject
from lcc_utils.report.rows import (
    HEADLINE,
    Runs,
    by_variant,
    ends,
    points,
    score,
    subjects_of,
    table,
    trained_cells,
    trained_subjects,
    with_ends,
)

STUDIES = ("monte_carlo", "monte_carlo_trained")
LEAKAGE_STUDIES = ("leakage", "leakage_trained")
# Protocol -> what a reader calls it, and the unit that its corrected interval counts in: where
# cells of one subject fall on both sides, subjects are not what is divided.
PROTOCOLS = {"patient": ("by subject", "subjects"), "image": ("by image", "cells")}


def monte_carlo_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Summarise AUC and weighted F1 of each model and protocol over the iterations.

    The percentiles describe the iterations. The interval is of the mean, by the corrected
    resampled t of Nadeau and Bengio on the logit scale, which allows for the cells that
    iterations share; ``unit`` is what it counts test and training in.
    """
    rows = []
    for runs in by_variant(results, *STUDIES):
        for protocol, (name, unit) in PROTOCOLS.items():
            own = of_protocol(runs, protocol)
            if not own.planned:
                continue
            row: dict[str, object] = {"model": runs.variant, "protocol": name}
            row |= {"iterations": len(own.done), "planned": own.planned}
            if own.done:
                row |= {"unit": unit} | _sizes(own.done)
                row["training_subjects"] = _range(trained_subjects(r) for r in own.done)
                for metric in HEADLINE:
                    row |= _summary(own.done, metric, unit)
            rows.append(row)
    ends = ("", "_low", "_high", "_sd", "_percentile_low", "_percentile_high")
    numbers = [metric + end for metric in HEADLINE for end in ends]
    counts = ["iterations", "planned", "test_cells"]
    text = ["model", "protocol", "training_subjects", "test_subjects", "unit"]
    columns = ["model", "protocol", *counts[:2], *numbers, *text[2:4], "test_cells", "unit"]
    return table(rows, columns, counts, text)


def monte_carlo_subjects_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each subject's accuracy over the iterations that tested it, for the first model.

    The first model is the first of the plan with iterations by subject; each iteration has its
    own threshold. ``sd`` is over iterations. Sorted by class, then worst first.
    """
    columns = ["subject", "class", "model", "cells", "iterations", "accuracy", "sd"]
    counts, text = ["cells", "iterations"], ["subject", "class", "model"]
    split = [of_protocol(runs, "patient") for runs in by_variant(results, *STUDIES)]
    first = next((runs for runs in split if runs.done), None)
    if first is None:
        return table([], columns, counts, text)
    tested = pd.concat(by_subject(r.test, r.metrics["threshold"]) for r in first.done)
    rows = [
        {"subject": subject, "class": CLASSES[label], "model": first.variant}
        | {"cells": group["cells"].max(), "iterations": len(group)}
        | {"accuracy": score(group["accuracy"].mean()), "sd": score(group["accuracy"].std())}
        for (subject, label), group in tested.groupby(["subject", "label"])
    ]
    rows.sort(key=lambda row: (row["class"], row["accuracy"], natural(row["subject"])))
    return table(rows, columns, counts, text)


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
    for runs in by_variant(results, *LEAKAGE_STUDIES):
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
    return corrected_t(differences, *_counts([first for first, _ in pairs], "subjects"))


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
    return row | _trained(pairs) | _sizes([first for first, _ in pairs])


def paired_test(pairs: Sequence[tuple[Result, Result]], metric: str) -> TTest:
    """Test the second of each pair less the first, corrected by the subjects of the first."""
    differences = [b.metrics[metric] - a.metrics[metric] for a, b in pairs]
    return corrected_t(differences, *_counts([a for a, _ in pairs], "subjects"))


def of_protocol(runs: Runs, protocol: str) -> Runs:
    """Return the runs of one protocol; a missing one is known by the name of its split."""
    return Runs(
        runs.study,
        runs.variant,
        [result for result in runs.done if result.protocol == protocol],
        [place for place in runs.missing if _protocol(place) == protocol],
    )


def corrected(results: Sequence[Result], metric: str, unit: str) -> Interval:
    """Return the mean of a metric over iterations with its corrected interval in 0 to 1."""
    values = [result.metrics[metric] for result in results]
    return corrected_interval(values, *_counts(results, unit))


def _protocol(place: Missing) -> str:
    return "image" if place.split.startswith("image") else "patient"


def _counts(results: Sequence[Result], unit: str) -> tuple[float, float]:
    """Mean numbers of training and test units over iterations, which differ by a few."""
    if unit == "subjects":
        pairs = [(trained_subjects(r), subjects_of(r, "test")) for r in results]
    else:
        pairs = [(trained_cells(r), r.record["split"]["test"]) for r in results]
    train, test = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
    return train, test


def _summary(results: Sequence[Result], metric: str, unit: str) -> dict[str, float]:
    values = [result.metrics[metric] for result in results]
    mean = {metric: score(sum(values) / len(values))}
    if len(values) < 2:
        return mean
    low, high = percentile_range(values)
    return ends(metric, corrected(results, metric, unit)) | {
        f"{metric}_sd": score(pd.Series(values).std()),
        f"{metric}_percentile_low": score(low),
        f"{metric}_percentile_high": score(high),
    }


def _mean(pairs: Sequence[tuple[Result, Result]], side: int, metric: str) -> float:
    return score(sum(pair[side].metrics[metric] for pair in pairs) / len(pairs))


def _trained(pairs: Sequence[tuple[Result, Result]]) -> dict:
    """Say on how much the second of each pair was trained, and how much of that leaks."""
    cells = sum(trained_cells(second) for _, second in pairs) / len(pairs)
    row: dict[str, object] = {
        "training_cells": round(cells),
        "training_subjects": _range(trained_subjects(second) for _, second in pairs),
    }
    leaky = [second for _, second in pairs if second.protocol == "leaky"]
    if leaky:
        shares = [one.record["split"]["leaked"] / one.record["split"]["train"] for one in leaky]
        row["leaked"] = score(sum(shares) / len(shares))
    return row


def _sizes(results: Sequence[Result]) -> dict[str, object]:
    cells = sum(result.metrics["cells"] for result in results) / len(results)
    return {
        "test_subjects": _range(result.metrics["subjects"] for result in results),
        "test_cells": round(cells),
    }


def _range(numbers) -> str:
    numbers = list(numbers)
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"
