"""What wrong labels in training cost: models trained on them, tested on labels that stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from lcc_utils.evaluation.resampling import pooled
from lcc_utils.evaluation.result import Results
from lcc_utils.evaluation.split_means import mean_change_intervals, mean_of_splits
from lcc_utils.report.rows import HEADLINE, Runs, by_variant, ends, points, score, table

STUDIES = ("label_noise", "label_noise_trained")
_METRICS = tuple(HEADLINE)


@dataclass(frozen=True)
class Noisy:
    """A model trained at one share of wrong labels.

    Attributes
    ----------
    model
        What a reader calls it.
    share
        The share of training labels that are wrong.
    tests
        Test predictions by seed and split, each cell called at its own split's threshold.
    wrong
        How many labels are wrong, added over splits.
    """

    model: str
    share: float
    tests: dict[tuple[int, str], pd.DataFrame]
    wrong: int

    @property
    def seeds(self) -> list[int]:
        """The seeds, each with all splits."""
        return sorted({seed for seed, _ in self.tests})

    def of_seed(self, seed: int) -> list[pd.DataFrame]:
        """Return the test predictions of one seed, one a split."""
        return [own for (other, _), own in self.tests.items() if other == seed]


def label_noise_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give AUC and weighted F1 of each model by the share of wrong training labels.

    Both are means over splits and seeds. Changes are against the same model with the labels as
    they are, paired by split and seed; their intervals leave a subject out of both at once
    (``evaluation.split_means``), and *least* and *most* are over seeds, of which each turns over
    other labels.
    """
    rows = [
        _row(model, clean, own)
        for model, clean, series in _series(results)
        for own in series
    ]  # fmt: skip
    columns = ["model", "share_wrong", "wrong_labels", "seeds"]
    for metric in _METRICS:
        columns += [metric, *_columns(metric)]
    counts = ["wrong_labels", "seeds", "subjects", "cells"]
    return table(rows, [*columns, "subjects", "cells"], counts, ["model"])


def _series(results: Results) -> Iterator[tuple[str, Noisy | None, list[Noisy]]]:
    """Yield each model's name, its run without wrong labels, and all of its runs by share."""
    found: dict[str, list[Noisy]] = {}
    for runs in by_variant(results, *STUDIES):
        if runs.whole:
            own = _noisy(runs)
            found.setdefault(own.model, []).append(own)
    for model, series in found.items():
        series.sort(key=lambda own: own.share)
        yield model, series[0] if series[0].share == 0 else None, series


def _noisy(runs: Runs) -> Noisy:
    share = float(runs.done[0].settings["training"].get("label_noise", 0.0))
    trained = {result.split: result.record["split"]["train"] for result in runs.done}
    done = sorted(runs.done, key=lambda result: (result.seed, result.split))
    return Noisy(
        runs.variant.removesuffix(f", {100 * share:g} %"),
        share,
        {(result.seed, result.split): pooled([result]) for result in done},
        sum(round(share * cells) for cells in trained.values()),
    )


def _row(model: str, clean: Noisy | None, own: Noisy) -> dict[str, object]:
    tables = list(own.tests.values())
    row: dict[str, object] = {"model": model, "share_wrong": score(own.share)}
    row |= {"wrong_labels": own.wrong, "seeds": len(own.seeds)}
    row |= {name: score(value) for name, value in mean_of_splits(tables, _METRICS).items()}
    tested = pd.concat(own.of_seed(own.seeds[0]))
    row |= {"subjects": tested["subject"].nunique(), "cells": len(tested)}
    both = sorted(clean.tests.keys() & own.tests.keys()) if clean else []
    if clean is None or own.share == 0 or not both:
        return row
    pair = [clean.tests[place] for place in both], [own.tests[place] for place in both]
    changes = mean_change_intervals(*pair, _METRICS)
    apart = [_change(clean.of_seed(seed), own.of_seed(seed)) for seed in {s for s, _ in both}]
    for metric in _METRICS:
        found, values = changes[metric], [one[metric] for one in apart]
        row |= ends(HEADLINE[metric], found, 100)
        row |= dict(
            zip(_columns(metric)[3:], map(_points, (min(values), max(values))), strict=True)
        )
    return row


def _change(clean: list[pd.DataFrame], noisy: list[pd.DataFrame]) -> dict[str, float]:
    before, after = (mean_of_splits(tables, _METRICS) for tables in (clean, noisy))
    return {name: after[name] - before[name] for name in _METRICS}


def _points(value: float) -> float:
    return points(100 * value)


def _columns(metric: str) -> list[str]:
    return [HEADLINE[metric] + end for end in ("", "_low", "_high", "_min", "_max")]
