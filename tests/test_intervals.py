"""Intervals over subjects: each statistic against a reference computed another way."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from lcc_utils.errors import DataError
from lcc_utils.evaluation import coverage
from lcc_utils.evaluation.intervals import (
    DIFFERENCE,
    LEAST_SUBJECTS,
    clopper_pearson,
    effective_number,
    jackknife,
    of_values,
    remark,
)
from lcc_utils.evaluation.metrics import evaluate
from lcc_utils.evaluation.statistics import auc_interval, corrected_interval, corrected_t
from lcc_utils.evaluation.subject_intervals import (
    BY_CELLS,
    ESTIMANDS,
    SUBJECTS_EQUAL,
    cell_intervals,
    difference_intervals,
    effective_subjects,
    influence,
    subject_intervals,
)
from lcc_utils.evaluation.weighted import METRICS
from lcc_utils.report.statistics_tables import COVERAGE_FILE


def simulated(rng, subjects=(8, 7), signal=0.15, most=9):
    """Cells of ALL and HEM subjects; a subject's scores share a shift, and many are tied."""
    rows = []
    for label, count in zip((1, 0), subjects, strict=True):
        for n in range(count):
            centre = 0.5 + signal * (2 * label - 1) + rng.normal(0, 0.15)
            size = int(rng.integers(2, most))
            score = np.round(np.clip(rng.normal(centre, 0.1, size), 0, 1), 2)
            rows.append(pd.DataFrame({"subject": f"{'HA'[label]}{n}", "label": label, "s": score}))
    table = pd.concat(rows, ignore_index=True).rename(columns={"s": "score"})
    table["called"] = (table["score"] >= 0.5).astype(int)
    return table.assign(cell_id=[f"c{n:04d}" for n in range(len(table))])


def by_hand(values, labels):
    """The interval of the module's docstring, from values with each subject left out."""
    whole, *left = (math.log(v / (1 - v)) for v in values)
    variance = 0.0
    for kind in (0, 1):
        own = [g for g, label in zip(left, labels, strict=True) if label == kind]
        mean = sum(own) / len(own)
        variance += (len(own) - 1) / len(own) * sum((g - mean) ** 2 for g in own)
    half = stats.t.ppf(0.975, min(labels.count(0), labels.count(1)) - 1) * math.sqrt(variance)
    return tuple(1 / (1 + math.exp(-(whole + sign * half))) for sign in (-1, 1))


@pytest.mark.parametrize("name", METRICS)
def test_the_interval_by_cells_is_that_of_tables_without_one_subject_each(name):
    cells = simulated(np.random.default_rng(1))
    names = sorted(cells["subject"].unique())
    labels = [int(n.startswith("A")) for n in names]
    tables = [cells, *(cells[cells["subject"] != n] for n in names)]
    values = [evaluate(t["label"], t["score"], 0.5)[name] for t in tables]
    found = subject_intervals(cells)[name]
    assert found.estimate == pytest.approx(values[0], abs=1e-12)
    assert (found.low, found.high) == pytest.approx(by_hand(values, labels), abs=1e-9)
    assert 0 < found.low < found.estimate < found.high < 1
    assert (found.level, found.note) == (0.95, "")


@pytest.mark.parametrize("name", ["auc", "f1_weighted", "sensitivity"])
def test_subjects_equal_is_scikit_learn_with_weights_of_one_over_the_cells(name):
    cells = simulated(np.random.default_rng(2), most=40)
    weight = 1 / cells.groupby("subject")["score"].transform("size")

    def measured(table):
        own = weight[table.index]
        if name == "auc":
            return roc_auc_score(table["label"], table["score"], sample_weight=own)
        if name == "f1_weighted":
            return f1_score(table["label"], table["called"], average="weighted", sample_weight=own)
        return np.average(table["called"][table["label"] == 1], weights=own[table["label"] == 1])

    names = sorted(cells["subject"].unique())
    values = [measured(cells), *(measured(cells[cells["subject"] != n]) for n in names)]
    found = subject_intervals(cells, estimand=SUBJECTS_EQUAL)[name]
    labels = [int(n.startswith("A")) for n in names]
    assert found.estimate == pytest.approx(values[0])
    assert (found.low, found.high) == pytest.approx(by_hand(values, labels))


def test_repeating_a_subject_s_cells_moves_the_estimand_by_cells_alone():
    cells = simulated(np.random.default_rng(3))
    heavy = pd.concat([cells, *[cells[cells["subject"] == "H0"]] * 20], ignore_index=True)
    before, after = (
        {e: subject_intervals(t, estimand=e)["auc"].estimate for e in ESTIMANDS}
        for t in (cells, heavy)
    )
    assert after[SUBJECTS_EQUAL] == pytest.approx(before[SUBJECTS_EQUAL])
    assert after[BY_CELLS] != pytest.approx(before[BY_CELLS], abs=1e-3)
    assert effective_subjects(heavy)["HEM"] < effective_subjects(cells)["HEM"] < 7


def test_the_interval_does_not_depend_on_the_order_of_rows():
    cells = simulated(np.random.default_rng(4))
    assert subject_intervals(cells.sample(frac=1, random_state=2)) == subject_intervals(cells)


def test_each_cell_may_have_its_own_threshold_or_call():
    cells = simulated(np.random.default_rng(6))
    cells["cut"] = np.where(np.arange(len(cells)) % 2, 0.3, 0.7)
    cells["called"] = (cells["score"] >= cells["cut"]).astype(int)
    assert subject_intervals(cells, "cut") == subject_intervals(cells)
    assert subject_intervals(cells)["accuracy"] != subject_intervals(cells, 0.5)["accuracy"]


@pytest.mark.parametrize("few", [LEAST_SUBJECTS - 1, LEAST_SUBJECTS, LEAST_SUBJECTS + 1])
def test_four_subjects_give_no_interval_and_five_an_exploratory_one(few):
    found = subject_intervals(simulated(np.random.default_rng(0), (9, few)), 0.5)["auc"]
    assert 0 < found.estimate < 1
    assert math.isnan(found.low) == math.isnan(found.high) == (few < 5)
    said = {4: "no interval: 4 HEM subjects, 5 are needed", 6: ""}
    assert found.note == said.get(few, "exploratory interval: 5 HEM subjects")


def test_one_subject_is_named_in_the_singular_and_the_smaller_class_is_named():
    assert remark(np.array([1, 0, 0, 0]))[0] == "no interval: 1 ALL subject, 5 are needed"
    assert remark(np.array([], int)) == ("no interval: no subjects", False)


def test_one_class_has_a_sensitivity_with_an_interval_and_no_auc():
    cells = simulated(np.random.default_rng(0), (9, 0))
    found = subject_intervals(cells, 0.5)
    assert math.isnan(found["auc"].estimate)
    assert math.isnan(found["auc"].low)
    assert math.isnan(found["specificity"].estimate)
    assert found["sensitivity"].low < found["sensitivity"].estimate


def test_at_the_end_of_the_range_the_interval_is_the_exact_one_of_the_smaller_class():
    cells = simulated(np.random.default_rng(0), (9, 6))
    perfect = cells.assign(score=cells["label"].astype(float), called=cells["label"])
    low = 0.025 ** (1 / 6)  # six of six right
    for found in subject_intervals(perfect).values():
        assert (found.estimate, found.high) == (1, 1)
        assert found.low == pytest.approx(low)
    none = subject_intervals(perfect.assign(called=1 - perfect["label"]))["sensitivity"]
    assert (none.low, none.high) == (0, pytest.approx(1 - low))


def test_a_value_left_out_at_the_end_of_the_range_is_taken_by_the_derivative():
    # Of six HEM subjects with four cells each one has an error; without it specificity is 1.
    classes = np.repeat([1, 0], 6)
    whole, one = 23 / 24, 19 / 20
    values = np.array([whole, *[whole] * 6, 1.0, *[one] * 5])
    left = values[7:]
    error = math.sqrt(5 / 6 * ((left - left.mean()) ** 2).sum()) / (whole * (1 - whole))
    centre, half = math.log(whole / (1 - whole)), stats.t.ppf(0.975, 5) * error
    found = of_values(values, classes)
    ends = [1 / (1 + math.exp(-(centre + sign * half))) for sign in (-1, 1)]
    assert [found.low, found.high] == pytest.approx(ends)
    assert found.high < 1


def test_a_metric_that_is_undefined_without_a_subject_has_no_interval():
    found = of_values([0.5, *[0.5] * 11, math.nan], np.repeat([1, 0], 6))
    assert math.isnan(found.low)
    assert "not defined" in found.note


def test_no_spread_gives_an_interval_of_no_width():
    found = of_values([0.3] * 13, np.repeat([1, 0], 6))
    assert (found.low, found.high) == pytest.approx((0.3, 0.3))
    nothing = of_values([0.0] * 13, np.repeat([1, 0], 6), DIFFERENCE)
    assert (nothing.low, nothing.estimate, nothing.high) == (0, 0, 0)


def test_the_jackknife_of_a_mean_is_the_t_interval_of_two_samples():
    """Far from the ends of its range the logit is a straight line."""
    rng = np.random.default_rng(0)
    classes, values = np.repeat([1, 0], [12, 8]), rng.normal(0, 1, 20)
    found = jackknife(lambda w: w @ values / w.sum(axis=1) / 1e4, classes, DIFFERENCE)
    # The mean over all weighs a class by its size, and so does its variance.
    parts = [values[classes == k] for k in (1, 0)]
    spread = sum(
        (n - 1) / n * ((v.mean() - v) ** 2).sum() / 19**2
        for v, n in zip(parts, (12, 8), strict=True)
    )
    half = stats.t.ppf(0.975, 7) * math.sqrt(spread)
    assert 1e4 * found.low == pytest.approx(values.mean() - half, rel=1e-4)
    assert 1e4 * found.high == pytest.approx(values.mean() + half, rel=1e-4)


def test_differences_leave_a_subject_out_of_both_models():
    rng = np.random.default_rng(5)
    first = simulated(rng, (9, 8))
    second = first.assign(score=np.clip(first["score"] + rng.normal(0, 0.1, len(first)), 0, 1))
    found = difference_intervals(first, second)["auc"]
    names = sorted(first["subject"].unique())
    gaps = []
    for gone in (None, *names):
        aucs = [
            roc_auc_score(*(t.loc[t["subject"] != gone, c] for c in ("label", "score")))
            for t in (first, second)
        ]
        gaps.append(aucs[1] - aucs[0])
    expected = of_values(gaps, np.array([int(n[0] == "A") for n in names]), DIFFERENCE)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    alone = subject_intervals(first, None, ("auc",))["auc"]
    assert found.high - found.low < alone.high - alone.low
    narrow = difference_intervals(first, second, level=0.9)["auc"]
    assert found.low < narrow.low < narrow.high < found.high
    with pytest.raises(DataError, match="same subjects"):
        difference_intervals(first, second[second["subject"] != "A0"])


def test_influence_is_the_metric_without_each_subject_in_natural_order():
    cells = simulated(np.random.default_rng(7), (11, 6))
    table = influence(cells, "auc")
    assert table["subject"].tolist()[:3] == ["A0", "A1", "A2"]
    assert table["subject"].tolist()[10] == "A10"
    for row in table.itertuples():
        rest = cells[cells["subject"] != row.subject]
        assert row.without == pytest.approx(roc_auc_score(rest["label"], rest["score"]))
        assert row.cells == len(cells) - len(rest)


def test_cells_for_independent_give_the_jackknife_over_cells_which_is_narrower():
    cells = simulated(np.random.default_rng(3), (20, 15), most=30)
    naive = cell_intervals(cells, None, ("auc", "f1_weighted"))
    alone = cells.assign(subject=[f"{n:04d}" for n in range(len(cells))])
    for name, own in subject_intervals(alone, None, ("auc", "f1_weighted")).items():
        assert (naive[name].low, naive[name].high) == pytest.approx((own.low, own.high))
    subjects = subject_intervals(cells, None, ("auc",))["auc"]
    assert naive["auc"].high - naive["auc"].low < 0.7 * (subjects.high - subjects.low)


def test_effective_numbers_of_a_worked_example():
    assert effective_number([5, 5, 5]) == pytest.approx(3)
    assert effective_number([9, *[1] * 9]) == pytest.approx(18**2 / 90)
    assert effective_number([]) == 0


@pytest.mark.parametrize("right,number", [(0, 10), (3, 10), (10, 10), (24, 25)])
def test_the_exact_interval_is_that_of_statsmodels(right, number):
    assert clopper_pearson(right, number) == pytest.approx(
        proportion_confint(right, number, method="beta")
    )
    assert clopper_pearson(0, 0) == (0, 1)


def test_the_interval_of_an_auc_over_subjects_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 0], [12, 7])
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 1)
    wins = np.array(
        [[(x > y) + 0.5 * (x == y) for y in scores[labels == 0]] for x in scores[labels == 1]]
    )
    auc = wins.mean()
    variance = wins.mean(axis=1).var(ddof=1) / 12 + wins.mean(axis=0).var(ddof=1) / 7
    half = stats.t.ppf(0.975, 6) * math.sqrt(variance) / (auc * (1 - auc))
    found = auc_interval(labels, scores)
    centre = math.log(auc / (1 - auc))
    ends = [1 / (1 + math.exp(-(centre + sign * half))) for sign in (-1, 1)]
    assert [found.estimate, found.low, found.high] == pytest.approx([auc, *ends])
    best = auc_interval(labels, labels)
    assert (best.low, best.high) == (pytest.approx(0.025 ** (1 / 7)), 1)
    assert math.isnan(auc_interval(labels[:15], scores[:15]).low)


def test_the_corrected_interval_of_a_mean_stays_below_one():
    values = [0.99, 0.80, 0.999, 0.97]
    plain, found = corrected_t(values, 26, 9), corrected_interval(values, 26, 9)
    assert plain.high > 1 > found.high > found.estimate == pytest.approx(np.mean(values))
    mean = np.mean(values)
    half = (plain.high - mean) / (mean * (1 - mean))
    assert found.low == pytest.approx(1 / (1 + math.exp(-(math.log(mean / (1 - mean)) - half))))
    same = corrected_interval([1.0, 1.0], 26, 9)
    assert same.estimate == 1
    assert math.isnan(same.high)


@pytest.mark.parametrize(
    "change,options,named",
    [
        ({"label": 2}, {"thresholds": 0.5}, "labels"),
        ({"score": 1.5}, {"thresholds": 0.5}, "scores"),
        ({"subject": "A0"}, {"thresholds": 0.5}, "both classes"),
        ({"subject": None}, {"thresholds": 0.5}, "no subject"),
        ({"called": 0.5}, {}, "called"),
        ({}, {"thresholds": "cut"}, "cut"),
        ({}, {"thresholds": math.nan}, "threshold"),
        ({}, {"metrics": ("AUC",)}, "AUC"),
        ({}, {"estimand": "by patient"}, "by patient"),
    ],
)
def test_faulty_predictions_are_named(change, options, named):
    with pytest.raises(DataError, match=named):
        subject_intervals(simulated(np.random.default_rng(0)).assign(**change), **options)


# Coverage.


def test_the_truth_of_normal_effects_is_that_of_the_normal_distribution():
    scenario = coverage.Scenario("s", effect=0.7, auc=0.9)
    found = coverage.truth(scenario)
    assert found[BY_CELLS]["auc"] == pytest.approx(0.9, abs=1e-3)
    assert found[BY_CELLS]["sensitivity"] == pytest.approx(coverage.SENSITIVITY, abs=1e-3)
    spread = math.sqrt(1 + 0.7**2)
    expected = stats.norm.cdf(scenario.threshold / spread)
    assert found[SUBJECTS_EQUAL]["specificity"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("scenario", coverage.SCENARIOS[::7], ids=lambda own: own.name)
def test_many_simulated_cells_have_the_true_metrics(scenario):
    many = coverage.Scenario("many", (1,) * 40_000, (1,) * 40_000, freedom=scenario.freedom)
    cells, _ = coverage.simulate(many, np.random.default_rng(0))
    found = coverage.truth(many)[BY_CELLS]
    table = evaluate(cells.label, 1 / (1 + np.exp(-cells.score)), 0.5)
    assert table["auc"] == pytest.approx(found["auc"], abs=5e-3)
    at = f1_score(cells.label, cells.called, average="weighted")
    assert at == pytest.approx(found["f1_weighted"], abs=5e-3)


def test_bca_is_that_of_scipy_on_the_same_draws():
    rng = np.random.default_rng(1)
    sample = rng.exponential(size=30)
    drawn = rng.choice(sample, (999, 30)).mean(axis=1)
    given = stats.bootstrap((sample,), np.mean, n_resamples=999, rng=rng)
    given.bootstrap_distribution = drawn
    reference = stats.bootstrap(
        (sample,), np.mean, n_resamples=0, method="BCa", bootstrap_result=given
    ).confidence_interval
    left = np.array([sample.mean(), *(np.delete(sample, i).mean() for i in range(30))])
    found = coverage.bca_ends(left, drawn, np.zeros(30, int))
    assert found == pytest.approx([reference.low, reference.high], rel=1e-6)


def test_the_study_is_the_same_for_the_same_seed_and_counts_every_side():
    few = [coverage.Scenario("s", (5,) * 8, (4, 9, 3, 20, 6, 2), effect=0.5)]
    found = coverage.study(few, replicates=30, draws=100, seed=3)
    pd.testing.assert_frame_equal(found, coverage.study(few, replicates=30, draws=100, seed=3))
    assert len(found) == len(ESTIMANDS) * len(coverage.METRICS) * len(coverage.METHODS)
    assert found[["coverage", "too_high", "too_low"]].sum(axis=1).to_numpy() == pytest.approx(1)
    assert found["effective_hem"].iloc[0] == pytest.approx(44**2 / 546)


def test_the_simulated_sizes_are_those_of_the_published_subjects(root):
    cells = pd.read_csv(root / "results" / "cells.csv", dtype=str)
    cells = cells[cells["fold"].isin(["0", "1"])]
    sizes = cells[cells["label"].notna()].groupby(["label", "subject"]).size()
    assert sorted(sizes["1"]) == sorted(coverage.ALL_SIZES)
    assert sorted(sizes["0"]) == sorted(coverage.HEM_SIZES)


def test_the_kept_study_has_the_scenarios_and_shows_the_jackknife_nearer_its_level():
    kept = pd.read_csv(COVERAGE_FILE, comment="#")
    assert list(kept["scenario"].unique()) == [own.name for own in coverage.SCENARIOS]
    assert len(coverage.SCENARIOS) >= 5
    assert kept["replicates"].min() >= 600
    assert set(kept["metric"]) == set(coverage.METRICS)
    keys = ["scenario", "estimand", "metric"]
    wide = kept.pivot(index=keys, columns="method", values="coverage")
    off = (wide - 0.95).abs()
    assert (off["jackknife, logit"] <= off["percentile bootstrap"] + 0.02).all()
    assert off["jackknife, logit"].mean() < off["percentile bootstrap"].mean() / 2
    for row in kept.itertuples():
        scenario = next(own for own in coverage.SCENARIOS if own.name == row.scenario)
        assert row.truth == pytest.approx(
            coverage.truth(scenario)[row.estimand][row.metric], abs=1e-5
        )
