"""Tables of repeated random splits: what they show of a model, and what leakage is worth."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lcc_utils.evaluation.metrics import CLASSES, natural
from lcc_utils.evaluation.resampling import paired_permutation, percentile_range
from lcc_utils.evaluation.result import Missing, Result, Results
from lcc_utils.evaluation.statistics import TTest, corrected_t, holm
from lcc_utils.evaluation.subjects import by_subject
from lcc_utils.report.rows import HEADLINE, Runs, by_variant, points, score, subjects_of, table

STUDIES = ("monte_carlo", "monte_carlo_trained")
LEAKAGE_STUDIES = ("leakage", "leakage_trained")
# Protocol -> what a reader calls it, and the unit that its corrected interval counts in: where
# cells of one subject fall on both sides, subjects are not what is divided.
PROTOCOLS = {"patient": ("by subject", "subjects"), "image": ("by image", "cells")}


def monte_carlo_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Summarise AUC and weighted F1 of each model and protocol over the iterations.

    The percentiles describe the iterations. The interval is of the mean, by the corrected
    resampled t of Nadeau and Bengio, which allows for the cells that iterations share; ``unit``
    is what it counts test and training in.
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
                for metric in HEADLINE:
                    row |= _summary(own.done, metric, unit)
            rows.append(row)
    ends = ("", "_low", "_high", "_sd", "_percentile_low", "_percentile_high")
    numbers = [metric + end for metric in HEADLINE for end in ends]
    counts = ["iterations", "planned", "test_cells"]
    text = ["model", "protocol", "test_subjects", "unit"]
    columns = ["model", "protocol", *counts[:2], *numbers, "test_subjects", "test_cells", "unit"]
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
    """Give what leakage is worth to each model: leaky less clean, in points, paired.

    Intervals and p are corrected as in :func:`monte_carlo_table`, by subjects, and p is adjusted
    for the number of models. ``p_permutation`` takes each cell's mean score over the pairs that
    tested it, with and without leakage, and exchanges the two subject by subject. ``leaked`` is
    the share of the training cells of a leaky split that are other cells of test subjects.
    """
    rows = []
    for runs in by_variant(results, *LEAKAGE_STUDIES):
        pairs = leakage_pairs(runs.done)
        seeds = {place.seed for place in (*runs.done, *runs.missing)}
        row: dict[str, object] = {"model": runs.variant, "pairs": len(pairs)}
        row["planned"] = len(seeds)
        if pairs:
            row |= {f"auc_{side}": _mean(pairs, n, "auc") for n, side in enumerate(_SIDES)}
            for metric in HEADLINE:
                row |= _paired_summary(pairs, metric)
            row["p_permutation"] = score(_permuted(pairs))
            row |= _trained(pairs) | _sizes([clean for clean, _ in pairs])
        rows.append(row)
    for name in ("auc", "f1"):
        adjusted = holm([row.get(f"{name}_p", float("nan")) for row in rows])
        for row, p in zip(rows, adjusted, strict=True):
            row[f"{name}_p_holm"] = score(p)
    numbers = ["auc_clean", "auc_leaky"]
    for name in ("auc", "f1"):
        numbers += [f"{name}_delta{end}" for end in ("", "_low", "_high")]
        numbers += [f"{name}_p", f"{name}_p_holm"]
        numbers += ["p_permutation"] if name == "auc" else []
    counts = ["pairs", "planned", "training_cells", "test_cells"]
    text = ["model", "training_subjects", "test_subjects"]
    columns = ["model", "pairs", "planned", *numbers, "training_cells", "training_subjects"]
    columns += ["leaked", "test_cells", "test_subjects"]
    return table(rows, columns, counts, text)


_SIDES = ("clean", "leaky")
_SEED = 0


def leakage_pairs(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Return clean and leaky result of each seed of one model, where both are there."""
    by_side = {
        side: {result.seed: result for result in results if result.protocol == side}
        for side in _SIDES
    }
    clean, leaky = (by_side[side] for side in _SIDES)
    return [(clean[seed], leaky[seed]) for seed in sorted(clean.keys() & leaky.keys())]


def _permuted(pairs: Sequence[tuple[Result, Result]]) -> float:
    """Return p of the difference in AUC between cells' mean scores, over subjects."""
    sides = (_mean_scores([pair[n] for pair in pairs]) for n in (1, 0))
    return paired_permutation(*sides, seed=_SEED).p


def _mean_scores(results: Sequence[Result]) -> pd.DataFrame:
    """Return each tested cell's mean score over some results."""
    tested = pd.concat(result.test for result in results)
    by_cell = tested.groupby(["cell_id", "subject", "label"], as_index=False)
    return by_cell["score"].mean()


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


def corrected(results: Sequence[Result], metric: str, unit: str) -> TTest:
    """Return the corrected resampled t of a metric's mean over iterations."""
    return corrected_t([r.metrics[metric] for r in results], *_counts(results, unit))


def _protocol(place: Missing) -> str:
    return "image" if place.split.startswith("image") else "patient"


def _counts(results: Sequence[Result], unit: str) -> tuple[float, float]:
    """Mean numbers of training and test units over iterations, which differ by a few."""
    if unit == "subjects":
        pairs = [(subjects_of(r, "train"), subjects_of(r, "test")) for r in results]
    else:
        pairs = [(r.record["split"]["train"], r.record["split"]["test"]) for r in results]
    train, test = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
    return train, test


def _summary(results: Sequence[Result], metric: str, unit: str) -> dict[str, float]:
    values = [result.metrics[metric] for result in results]
    mean = {metric: score(sum(values) / len(values))}
    if len(values) < 2:
        return mean
    found = corrected(results, metric, unit)
    low, high = percentile_range(values)
    return mean | {
        f"{metric}_low": score(found.low),
        f"{metric}_high": score(found.high),
        f"{metric}_sd": score(found.sd),
        f"{metric}_percentile_low": score(low),
        f"{metric}_percentile_high": score(high),
    }


def _paired_summary(pairs: Sequence[tuple[Result, Result]], metric: str) -> dict[str, float]:
    change = HEADLINE[metric]
    mean = {change: points(100 * (_mean(pairs, 1, metric) - _mean(pairs, 0, metric)))}
    if len(pairs) < 2:
        return mean
    found = paired_test(pairs, metric)
    return mean | {
        f"{change}_low": points(100 * found.low),
        f"{change}_high": points(100 * found.high),
        f"{change.removesuffix('_delta')}_p": score(found.p),
    }


def _mean(pairs: Sequence[tuple[Result, Result]], side: int, metric: str) -> float:
    return score(sum(pair[side].metrics[metric] for pair in pairs) / len(pairs))


def _trained(pairs: Sequence[tuple[Result, Result]]) -> dict[str, object]:
    cells = sum(clean.record["split"]["train"] for clean, _ in pairs) / len(pairs)
    leaked = [leaky.record["split"] for _, leaky in pairs]
    shares = [split["leaked"] / split["train"] for split in leaked]
    return {
        "training_cells": round(cells),
        "training_subjects": _range(subjects_of(clean, "train") for clean, _ in pairs),
        "leaked": score(sum(shares) / len(shares)),
    }


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
