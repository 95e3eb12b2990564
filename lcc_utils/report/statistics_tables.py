"""Tables of intervals and tests that ignore subjects, beside those that account for them."""

from __future__ import annotations

import pandas as pd

from lcc_utils.evaluation.resampling import percentile_range, pooled
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.evaluation.statistics import TTest, false_positive_rates, naive_t
from lcc_utils.evaluation.subject_intervals import cell_intervals, subject_intervals
from lcc_utils.report.claims import CLAIMS_FILE
from lcc_utils.report.formatting import heading
from lcc_utils.report.monte_carlo_tables import STUDIES, corrected, of_protocol, paired_test
from lcc_utils.report.primary_tables import primary_runs
from lcc_utils.report.published_tables import read_published
from lcc_utils.report.rows import (
    Runs,
    by_variant,
    score,
    subjects_of,
    table,
    trained_subjects,
)

_LEVEL = 0.95
COVERAGE_FILE = CLAIMS_FILE.with_name("coverage.csv")
# Methods in the order of evaluation.coverage.METHODS, and what is counted of each.
METHODS, COUNTED = ("percentile", "bca", "jackknife"), ("coverage", "too_high", "too_low")
# Of the simulation: enough for a standard error below .02, and little enough for seconds.
DATASETS, ITERATIONS, _SEED = 1000, 30, 0


def right_and_wrong_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Compute intervals and tests of AUC twice on the same predictions.

    ``usual`` ignores what observations share, ``sound`` accounts for it. Differences over
    iterations: the plain t test takes iterations for independent, the corrected one does not.
    Pooled out-of-fold: cells or subjects count as independent. A mean over iterations: the
    percentiles of the iterations are no interval of it.
    """
    found = [of_protocol(runs, "patient") for runs in by_variant(results, *STUDIES)]
    rows = [
        *_protocols(by_variant(results, *STUDIES)),
        *_two_models([runs for runs in found if runs.done]),
        *_pooled(next((runs for runs in primary_runs(results) if runs.whole), None)),
        *_percentiles(next((runs for runs in found if len(runs.done) > 1), None)),
    ]
    numbers = [
        "value", "usual_range_low", "usual_range_high", "usual_p", "sound_range_low",
        "sound_range_high", "sound_p",
    ]  # fmt: skip
    columns = ["quantity", "computed_from", numbers[0], "usual", *numbers[1:4], "sound"]
    return table(rows, columns + numbers[4:], text=["quantity", "computed_from", "usual", "sound"])


def false_positives_table(_cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """Simulate two equal models on overlapping splits: how often a test at .05 finds a difference.

    The data sets are simulated and have nothing to do with the run's cells. ``standard_error`` is
    that of the rate.
    """
    rates = false_positive_rates(DATASETS, ITERATIONS, _SEED)
    rows = [
        {"test": name, "data_sets": DATASETS, "iterations": ITERATIONS, "rate": score(rate)}
        | {"standard_error": score((rate * (1 - rate) / DATASETS) ** 0.5)}
        for name, rate in rates.items()
    ]
    counts = ["data_sets", "iterations"]
    return table(rows, ["test", *counts, "rate", "standard_error"], counts, ["test"])


def coverage_table(_cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """Give how often intervals over subjects hold the truth, by simulation.

    ``coverage`` is the share of 95 % intervals that hold it; ``too_high`` and ``too_low`` are the
    shares that lie wholly above and below it. The numbers are kept in ``book/coverage.csv``,
    written by ``python -m bench.coverage``; see ``evaluation.coverage``.
    """
    found = read_published(COVERAGE_FILE)
    keys = ["scenario", "all_subjects", "hem_subjects", "estimand", "metric"]
    rows = []
    for group, own in found.groupby(keys, sort=False):
        row = dict(zip(keys, group, strict=True)) | {"replicates": own["replicates"].iloc[0]}
        error = (_LEVEL * (1 - _LEVEL) / row["replicates"]) ** 0.5
        row["note"] = f"the standard error of a coverage of {_LEVEL} is {error:.3f}"
        row["metric"] = heading(str(row["metric"]))
        row["effective_hem"] = own["effective_hem"].iloc[0]
        for name, (_, one) in zip(METHODS, own.iterrows(), strict=True):
            row |= {f"{what}_{name}": score(one[what]) for what in COUNTED}
        rows.append(row)
    counts, text = (
        ["all_subjects", "hem_subjects", "replicates"],
        ["scenario", "estimand", "metric"],
    )
    numbers = [f"{what}_{name}" for name in METHODS for what in COUNTED]
    return table(rows, [*text, *numbers, *counts[:2], "effective_hem", counts[2]], counts, text)


def _protocols(found: list[Runs]) -> list[dict]:
    """Compare splits by image with those by subject, for the first model that has both."""
    for runs in found:
        pairs = _by_seed(of_protocol(runs, "patient").done, of_protocol(runs, "image").done)
        if len(pairs) > 1:
            name = f"AUC of {runs.variant}: by image minus by subject"
            return [_t_row(name, pairs)]
    return []


def _two_models(found: list[Runs]) -> list[dict]:
    """Compare the second model with the first, over iterations by subject."""
    if len(found) < 2:
        return []
    first, second = found[:2]
    pairs = _by_seed(first.done, second.done)
    name = f"AUC, {second.variant} less {first.variant}"
    return [_t_row(name, pairs)] if len(pairs) > 1 else []


def _t_row(quantity: str, pairs: list[tuple[Result, Result]]) -> dict:
    usual = naive_t([b.metrics["auc"] - a.metrics["auc"] for a, b in pairs])
    sound = paired_test(pairs, "auc")
    return (
        {"quantity": quantity, "computed_from": _iterations([a for a, _ in pairs])}
        | {"value": score(sound.mean), "usual": "t test over iterations", "sound": "corrected t"}
        | _t_ends("usual", usual)
        | _t_ends("sound", sound)
    )


def _t_ends(way: str, found: TTest) -> dict[str, float]:
    names = {f"{way}_range_low": found.low, f"{way}_range_high": found.high, f"{way}_p": found.p}
    return {name: score(value) for name, value in names.items()}


def _pooled(runs: Runs | None) -> list[dict]:
    if runs is None:
        return []
    predictions = pooled(runs.done)
    usual, sound = (
        compute(predictions, metrics=("auc",))["auc"]
        for compute in (cell_intervals, subject_intervals)
    )
    subjects = predictions["subject"].nunique()
    return [
        {"quantity": f"AUC of {runs.variant}, pooled out-of-fold"}
        | {"computed_from": f"{len(predictions):,} cells of {subjects} subjects"}
        | {"value": score(sound.estimate), "usual": "jackknife over cells"}
        | {"usual_range_low": score(usual.low), "usual_range_high": score(usual.high)}
        | {"sound": "jackknife over subjects"}
        | {"sound_range_low": score(sound.low), "sound_range_high": score(sound.high)}
    ]


def _percentiles(runs: Runs | None) -> list[dict]:
    if runs is None:
        return []
    low, high = percentile_range([result.metrics["auc"] for result in runs.done])
    sound = corrected(runs.done, "auc", "subjects")
    return [
        {"quantity": f"mean AUC of {runs.variant}, by subject"}
        | {"computed_from": _iterations(runs.done), "value": score(sound.estimate)}
        | {"usual": "percentiles of the iterations", "usual_range_low": score(low)}
        | {"usual_range_high": score(high), "sound": "corrected interval of the mean"}
        | {"sound_range_low": score(sound.low), "sound_range_high": score(sound.high)}
    ]


def _iterations(results: list[Result]) -> str:
    train = round(sum(map(trained_subjects, results)) / len(results), 1)
    test = round(sum(subjects_of(result, "test") for result in results) / len(results), 1)
    return f"{len(results)} iterations, {train:g} training and {test:g} test subjects"


def _by_seed(first: list[Result], second: list[Result]) -> list[tuple[Result, Result]]:
    others = {result.seed: result for result in second}
    return [(result, others[result.seed]) for result in first if result.seed in others]
