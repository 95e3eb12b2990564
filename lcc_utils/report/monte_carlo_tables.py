"""Tables of repeated random splits: the spread of a model's results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from lcc_utils.evaluation.intervals import Interval
from lcc_utils.evaluation.metrics import CLASSES, natural
from lcc_utils.evaluation.resampling import percentile_range
from lcc_utils.evaluation.result import Missing, Result, Results
from lcc_utils.evaluation.statistics import TTest, corrected_interval, corrected_t
from lcc_utils.evaluation.subjects import by_subject
from lcc_utils.report.rows import (
    HEADLINE,
    Runs,
    by_variant,
    ends,
    score,
    subjects_of,
    table,
    trained_cells,
    trained_subjects,
)

STUDIES = ("monte_carlo", "monte_carlo_trained")
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
                row |= {"unit": unit} | sizes(own.done)
                row["training_subjects"] = span(trained_subjects(r) for r in own.done)
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


def paired_test(pairs: Sequence[tuple[Result, Result]], metric: str) -> TTest:
    """Test the second of each pair less the first, corrected by the subjects of the first."""
    differences = [b.metrics[metric] - a.metrics[metric] for a, b in pairs]
    return corrected_t(differences, *unit_counts([a for a, _ in pairs], "subjects"))


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
    return corrected_interval(values, *unit_counts(results, unit))


def _protocol(place: Missing) -> str:
    return "image" if place.split.startswith("image") else "patient"


def unit_counts(results: Sequence[Result], unit: str) -> tuple[float, float]:
    """Return the mean numbers of training and test units over iterations, which differ by a few."""
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


def sizes(results: Sequence[Result]) -> dict[str, object]:
    """Return the range of test subjects and the mean number of test cells, as columns."""
    cells = sum(result.metrics["cells"] for result in results) / len(results)
    return {
        "test_subjects": span(result.metrics["subjects"] for result in results),
        "test_cells": round(cells),
    }


def span(numbers: Iterable[int]) -> str:
    """Return the least and the largest number as text, or the one that they all are."""
    numbers = list(numbers)
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"
