"""Statistics: each against a reference computed another way, and error rates by simulation."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.anova import AnovaRM

from lcc_utils.errors import DataError
from lcc_utils.evaluation.factorial import factorial_effects
from lcc_utils.evaluation.intervals import LEVEL
from lcc_utils.evaluation.metrics import evaluate
from lcc_utils.evaluation.ranks import ranks
from lcc_utils.evaluation.resampling import (
    paired_permutation,
    percentile_range,
    pooled,
    resample,
)
from lcc_utils.evaluation.result import Result
from lcc_utils.evaluation.statistics import (
    corrected_interval,
    corrected_t,
    delong,
    false_positive_rates,
    holm,
    naive_t,
    running,
)
from lcc_utils.evaluation.subject_intervals import subject_intervals
from lcc_utils.evaluation.weighted import Cells, measure


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
    return table.assign(cell_id=[f"c{n:04d}" for n in range(len(table))])


@pytest.mark.parametrize("units", [12, 700])
def test_a_weighted_auc_is_that_of_scikit_learn_for_few_units_and_for_many(units):
    rng = np.random.default_rng(3)
    label, unit = rng.integers(0, 2, 900), rng.integers(0, units, 900)
    score = np.round(np.clip(0.4 + 0.1 * label + rng.normal(0, 0.2, 900), 0, 1), 2)
    weights = rng.integers(0, 4, (130, units))
    found = measure(Cells(label, score, None, unit), weights, ("auc",))["auc"]
    expected = [roc_auc_score(label, score, sample_weight=times[unit]) for times in weights]
    assert found == pytest.approx(expected, abs=1e-12)


# Draws.


def test_draws_are_of_whole_classes_with_the_spread_of_a_multinomial():
    classes = np.array([1, 0, 1, 1, 0, 1])
    times = resample(classes, 20_000, np.random.default_rng(0))
    assert (times[:, classes == 1].sum(axis=1) == 4).all()
    assert (times[:, classes == 0].sum(axis=1) == 2).all()
    assert times.mean(axis=0) == pytest.approx(np.ones(6), abs=0.03)
    assert times.var(axis=0) == pytest.approx(np.where(classes == 1, 3 / 4, 1 / 2), abs=0.03)


# Pooling.


def part(number, scores, threshold):
    test = pd.DataFrame(
        {
            "cell_id": [f"part{number} cell{n}" for n in range(len(scores))],
            "patient": f"p{number}",
            "subject": f"p{number}",
            "label": number % 2,
            "score": scores,
            "partition": "test",
        }
    )
    validation = test.assign(partition="validation", cell_id=[f"v{n}" for n in range(len(scores))])
    return Result.in_memory(
        key=f"{number:016x}",
        study="primary",
        variant="full",
        split=f"part {number} of 2",
        seed=0,
        settings={},
        record={"metrics": {"threshold": threshold}},
        predictions=pd.concat([validation, test]),
        history=pd.DataFrame(),
    )


def test_pooled_cells_are_called_at_their_own_part_s_threshold():
    together = pooled([part(1, [0.5, 0.6], 0.55), part(2, [0.5, 0.6, 0.2], 0.5)])
    assert together["called"].tolist() == [0, 1, 1, 1, 0]
    assert together["score"].tolist() == [0.5, 0.6, 0.5, 0.6, 0.2]
    assert set(together["partition"]) == {"test"}
    assert subject_intervals(together)["accuracy"].estimate == pytest.approx(2 / 5)


def test_a_cell_pooled_twice_is_named():
    with pytest.raises(DataError, match="part1 cell0"):
        pooled([part(1, [0.5], 0.5), part(1, [0.6], 0.5)])


def test_nothing_to_pool_is_an_error():
    with pytest.raises(DataError, match="no results"):
        pooled([])


# T tests.


def test_the_naive_t_is_that_of_scipy():
    values = np.random.default_rng(0).normal(0.2, 1, 25)
    reference = stats.ttest_1samp(values, 0)
    low, high = reference.confidence_interval(LEVEL)
    found = naive_t(values)
    assert (found.t, found.p, found.df) == pytest.approx(
        (reference.statistic, reference.pvalue, 24)
    )
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.sd == pytest.approx(np.std(values, ddof=1))


def test_the_corrected_t_of_a_worked_example():
    # Squared deviations .015^2, .005^2, .005^2, .015^2 sum to .0005; over 3, variance .00016667.
    found = corrected_t([0.01, 0.02, 0.03, 0.04], n_train=30, n_test=10)
    error = math.sqrt(0.0005 / 3 * (1 / 4 + 1 / 3))
    assert error == pytest.approx(0.00986013)
    assert found.t == pytest.approx(0.025 / 0.00986013, rel=1e-6)
    assert found.t == pytest.approx(2.535463, rel=1e-6)
    # With 3 degrees of freedom the distribution function of t has a closed form.
    x = found.t / math.sqrt(3)
    assert found.p == pytest.approx(1 - 2 / math.pi * (x / (1 + x * x) + math.atan(x)))
    quantile = 3.182446305  # of t at .975 on 3 degrees of freedom, from tables
    assert (found.low, found.high) == pytest.approx(
        (0.025 - quantile * error, 0.025 + quantile * error)
    )
    assert (found.mean, found.df) == (pytest.approx(0.025), 3)


def test_many_iterations_do_not_make_the_corrected_interval_vanish():
    values = np.tile([0.1, -0.1], 5000)
    assert naive_t(values).high < 0.002
    assert corrected_t(values, 27, 9).high == pytest.approx(1.96 * 0.1 * math.sqrt(1 / 3), rel=1e-3)


def test_differences_all_alike_give_p_of_zero_or_one():
    # 0.1 cannot be written exactly; three of them still have no deviation.
    alike, none = corrected_t([0.1] * 3, 26, 9), naive_t([0.0] * 3)
    assert (alike.t, alike.p, alike.sd, alike.low) == (math.inf, 0, 0, pytest.approx(0.1))
    assert naive_t([-0.1] * 3).t == -math.inf
    assert (none.t, none.p, none.low, none.high) == (0, 1, 0, 0)


@pytest.mark.parametrize("values", [[], [0.1], [0.1, math.nan], [[0.1, 0.2], [0.3, 0.4]]])
def test_a_t_test_needs_two_numbers(values):
    with pytest.raises(DataError, match="at least two numbers"):
        naive_t(values)


@pytest.mark.parametrize("counts", [(0, 9), (26, 0), (math.nan, 9)])
def test_the_corrected_test_needs_units_on_both_sides(counts):
    with pytest.raises(DataError, match="above 0"):
        corrected_t([0.1, 0.2], *counts)


def test_running_means_and_their_intervals():
    table = running([0.6, 0.8, 1.0], 26, 9)
    assert table["n"].tolist() == [1, 2, 3]
    assert table["mean"].tolist() == pytest.approx([0.6, 0.7, 0.8])
    assert table.loc[0, ["low", "high"]].isna().all()
    last = corrected_interval([0.6, 0.8, 1.0], 26, 9)
    assert table.loc[2, ["low", "high"]].tolist() == [last.low, last.high]
    assert last.high < 1 < corrected_t([0.6, 0.8, 1.0], 26, 9).high
    assert running([0.6, 0.8])[["low", "high"]].isna().all(axis=None)


def test_equal_learners_on_overlapping_splits_differ_for_the_naive_test_alone():
    rates = false_positive_rates(datasets=600, iterations=30, seed=0)
    assert rates["corrected t"] <= 0.08
    assert rates["corrected t"] > 0.01  # it does not simply never reject
    assert rates["naive t"] > 0.3
    assert false_positive_rates(20, 5, seed=1) == false_positive_rates(20, 5, seed=1)


# Permutation.


def two_models(rng, subjects):
    a = simulated(rng, subjects)
    b = a.assign(score=np.round(np.clip(a["score"] + rng.normal(0, 0.2, len(a)), 0, 1), 2))
    return (model.assign(called=(model["score"] >= 0.5).astype(int)) for model in (a, b))


def by_enumeration(a, b, columns, metric):
    """Every way to swap subjects, on tables; returns the observed difference and p."""
    changes = []
    names = sorted(a["subject"].unique())
    for swap in product([False, True], repeat=len(names)):
        swapped = a["subject"].isin([n for n, yes in zip(names, swap, strict=True) if yes])
        one, other = a[columns].where(~swapped, b[columns]), b[columns].where(~swapped, a[columns])
        changes.append(metric(a["label"], one.squeeze()) - metric(a["label"], other.squeeze()))
    changes = np.array(changes)
    return changes[0], np.mean(np.abs(changes) >= abs(changes[0]) - 1e-9)


def test_the_auc_permutation_is_that_of_every_swap_of_ranks():
    a, b = two_models(np.random.default_rng(2), (4, 3))
    ranked = [model.assign(score=model["score"].rank()) for model in (a, b)]
    difference, p = by_enumeration(*ranked, ["score"], roc_auc_score)
    found = paired_permutation(a, b, permutations=128)
    assert found == pytest.approx((difference, p))
    observed = roc_auc_score(a["label"], a["score"]) - roc_auc_score(b["label"], b["score"])
    assert found.difference == pytest.approx(observed)
    assert 0.01 < found.p < 1
    drawn = paired_permutation(a, b, permutations=127, seed=3)
    assert drawn.p == pytest.approx(p, abs=0.1)
    assert drawn.p * 128 == pytest.approx(round(drawn.p * 128))  # (1 + such) / (1 + 127)


def test_calls_are_swapped_for_a_metric_of_calls():
    a, b = two_models(np.random.default_rng(8), (3, 3))
    metric = lambda label, called: evaluate(label, called, 0.5)["f1_weighted"]  # noqa: E731
    reference = by_enumeration(a, b, ["called"], metric)
    assert paired_permutation(a, b, "f1_weighted", 64) == pytest.approx(reference)


def test_the_scale_of_one_model_s_scores_does_not_matter():
    a, b = two_models(np.random.default_rng(2), (9, 8))
    squeezed = b.assign(score=b["score"] / 10 + 0.9)
    assert paired_permutation(a, b, permutations=99) == paired_permutation(
        a, squeezed.sample(frac=1, random_state=0), permutations=99
    )


def test_a_model_does_not_differ_from_itself_and_surely_from_its_opposite():
    a, _ = two_models(np.random.default_rng(1), (9, 8))
    assert paired_permutation(a, a, permutations=99) == (0, 1)
    perfect = a.assign(score=a["label"] / 2 + np.linspace(0, 0.4, len(a)))
    found = paired_permutation(perfect, perfect.assign(score=1 - perfect["score"]), permutations=99)
    assert found == (1, pytest.approx(0.01))  # 2 of 2^17 swaps are as extreme; none was drawn


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.iloc[1:],
        lambda b: b.assign(cell_id="c0"),
        lambda b: b.assign(label=1 - b["label"]),
        lambda b: b.assign(subject=b["subject"] + "x"),
        lambda b: b.drop(columns="cell_id"),
    ],
)
def test_models_on_different_cells_are_not_compared(change):
    a, b = two_models(np.random.default_rng(0), (3, 3))
    with pytest.raises(DataError, match=r"same cells|cell_id"):
        paired_permutation(a, change(b))


def test_models_on_one_class_have_no_auc_to_compare():
    a, b = two_models(np.random.default_rng(0), (3, 0))
    with pytest.raises(DataError, match="both classes"):
        paired_permutation(a, b)


# DeLong.


def test_delong_of_a_worked_example():
    # Differences of structural components: ALL 0, 1/2, 1/2 (variance 1/12), HEM 0, 2/3 (2/9).
    found = delong([1, 1, 1, 0, 0], [0.9, 0.6, 0.4, 0.5, 0.1], [0.7, 0.3, 0.1, 0.2, 0.6])
    assert (found.auc_a, found.auc_b) == pytest.approx((5 / 6, 1 / 2))
    assert found.z == pytest.approx((1 / 3) / math.sqrt((1 / 12) / 3 + (2 / 9) / 2))
    assert found.z == pytest.approx(2 / math.sqrt(5))
    assert found.p == pytest.approx(math.erfc(found.z / math.sqrt(2)))


def test_delong_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([1, 0], [40, 25]))
    models = [np.round(np.clip(rng.normal(0.4 + g * labels, 0.2), 0, 1), 1) for g in (0.3, 0.1)]
    wins = np.array(
        [
            [[(x > y) + 0.5 * (x == y) for y in m[labels == 0]] for x in m[labels == 1]]
            for m in models
        ]
    )
    s10, s01 = np.cov(wins.mean(axis=2)), np.cov(wins.mean(axis=1))
    contrast = np.array([1, -1])
    variance = contrast @ (s10 / 40 + s01 / 25) @ contrast
    aucs = wins.mean(axis=(1, 2))
    found = delong(labels, *models)
    assert (found.auc_a, found.auc_b) == pytest.approx(tuple(aucs))
    assert found.z == pytest.approx((aucs[0] - aucs[1]) / math.sqrt(variance))
    assert delong(labels, *models[::-1]).p == pytest.approx(found.p)


def test_delong_of_a_model_with_itself_and_of_a_perfect_one_with_its_opposite():
    labels, scores = [1, 1, 0, 0], np.array([0.9, 0.8, 0.2, 0.1])
    assert delong(labels, scores, scores) == (1, 1, 0, 1)
    assert delong(labels, scores, 1 - scores) == (1, 0, math.inf, 0)


def test_delong_needs_two_cells_of_each_class():
    with pytest.raises(DataError, match="two cells of each class"):
        delong([1, 1, 0], [0.9, 0.8, 0.2], [0.9, 0.8, 0.2])


# Many comparisons, percentiles.


def test_holm_of_a_worked_example_leaves_nan_out_of_the_count():
    # In order .01, .02, .03, .04 times 4, 3, 2, 1, never falling: .04, .06, .06, .06.
    assert holm([0.03, 0.01, math.nan, 0.04, 0.02]) == pytest.approx(
        [0.06, 0.04, math.nan, 0.06, 0.06], nan_ok=True
    )
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([]).size == 0
    assert np.isnan(holm([math.nan])).all()
    with pytest.raises(DataError, match="0 to 1"):
        holm([1.2])


def test_percentiles_of_a_hundred_and_one_numbers():
    assert percentile_range(np.arange(101)[::-1]) == pytest.approx((2.5, 97.5))
    assert percentile_range(np.arange(101), level=0.5) == pytest.approx((25, 75))
    with pytest.raises(DataError, match="no values"):
        percentile_range([])


# Factorial.


def factorial(rng, blocks=5, factors=("attention", "augmentation", "focal loss"), splits=2):
    rows = [
        {
            "split": f"fold {block % splits}",
            "seed": block // splits,
            **dict(zip(factors, there, strict=True)),
        }
        for block in range(blocks)
        for there in product([False, True], repeat=len(factors))
    ]
    frame = pd.DataFrame(rows).sample(frac=1, random_state=1)
    return frame.assign(auc=rng.normal(0.8, 0.05, len(frame)))


def test_the_factorial_of_a_worked_example():
    runs = pd.DataFrame({"A": [0, 1, 0, 1], "B": [0, 0, 1, 1], "auc": [0.80, 0.84, 0.82, 0.90]})
    frame = pd.concat([runs.assign(seed=0), runs.assign(seed=1)]).assign(split="only")
    found = factorial_effects(frame, "auc", ["A", "B"], "split", "seed").set_index("effect")
    assert found["estimate"].to_dict() == pytest.approx({"A": 0.06, "B": 0.04, "A × B": 0.02})


def test_factorial_estimates_are_those_of_least_squares_with_blocks():
    frame = factorial(np.random.default_rng(0), blocks=4)
    names = {"attention": "a", "augmentation": "b", "focal loss": "c"}
    coded = frame.assign(**{short: 2 * frame[name] - 1 for name, short in names.items()})
    coded["block"] = coded["split"] + coded["seed"].astype(str)
    fitted = smf.ols("auc ~ a * b * c + C(block)", coded).fit().params
    found = factorial_effects(frame, "auc", list(names), "split", "seed").set_index("effect")
    assert len(found) == 7
    for effect, estimate in found["estimate"].items():
        term = ":".join(names[name] for name in effect.split(" × "))
        assert estimate == pytest.approx(2 * fitted[term])


def test_factorial_tests_are_those_of_repeated_measures_with_splits_as_subjects():
    """Seeds are averaged within splits: F of the within-subject analysis is the square of t."""
    factors = ("attention", "augmentation", "loss")
    frame = factorial(np.random.default_rng(3), blocks=12, factors=factors, splits=4)
    found = factorial_effects(frame, "auc", factors, "split", "seed").set_index("effect")
    reference = AnovaRM(frame, "auc", "split", within=factors, aggregate_func="mean").fit()
    table = reference.anova_table
    assert len(found) == len(table) == 7
    for effect, own in found.iterrows():
        assert own["p"] == pytest.approx(table.loc[effect.replace(" × ", ":"), "Pr > F"])
    assert found["p_holm"].to_numpy() == pytest.approx(holm(found["p"]))
    assert (found["splits"].iloc[0], found["blocks"].iloc[0]) == (4, 12)


def test_the_factorial_interval_is_over_means_of_splits_and_seeds_have_a_spread_of_their_own():
    frame = factorial(np.random.default_rng(3), blocks=7, splits=3)
    contrasts = pd.Series(
        {
            place: g.loc[g["A"], "auc"].mean() - g.loc[~g["A"], "auc"].mean()
            for place, g in frame.rename(columns={"attention": "A"}).groupby(["split", "seed"])
        }
    )
    means = contrasts.groupby(level=0).mean()
    own = factorial_effects(
        frame, "auc", ["attention", "augmentation", "focal loss"], "split", "seed"
    ).iloc[0]
    reference = stats.ttest_1samp(means, 0)
    assert own["estimate"] == pytest.approx(means.mean())
    assert own["p"] == pytest.approx(reference.pvalue)
    assert (own["low"], own["high"]) == pytest.approx(tuple(reference.confidence_interval(0.95)))
    within = contrasts.to_frame("c").assign(split=contrasts.index.get_level_values(0))
    residual = smf.ols("c ~ C(split)", within).fit().mse_resid
    assert own["seed_sd"] == pytest.approx(math.sqrt(residual))


def test_incomplete_blocks_are_left_out_and_counted():
    frame = factorial(np.random.default_rng(0), blocks=4, factors=("A", "B"))
    frame = frame.sort_values(["split", "seed", "A", "B"]).reset_index(drop=True)
    short = frame.drop(index=0)
    short.loc[5, "auc"] = math.nan
    found = factorial_effects(short, "auc", ["A", "B"], "split", "seed")
    assert found["blocks"].tolist() == [2] * 3
    assert found["incomplete"].tolist() == [2] * 3
    whole = factorial_effects(frame.iloc[8:], "auc", ["A", "B"], "split", "seed")
    assert found["estimate"].tolist() == whole["estimate"].tolist()


@pytest.mark.parametrize("runs,blocks", [(4, 1), (3, 0), (0, 0)])
def test_without_two_splits_there_is_no_interval(runs, blocks):
    frame = factorial(np.random.default_rng(0), blocks=1, factors=("A", "B")).iloc[:runs]
    found = factorial_effects(frame, "auc", ["A", "B"], "split", "seed")
    assert found["effect"].tolist() == ["A", "B", "A × B"]
    assert found["blocks"].tolist() == [blocks] * 3
    assert found[["low", "high", "p", "p_holm"]].isna().all(axis=None)
    assert found["estimate"].notna().all() == (blocks == 1)


def test_a_faulty_factorial_is_named():
    frame = factorial(np.random.default_rng(0), blocks=2, factors=("A", "B"))
    with pytest.raises(DataError, match="no column C"):
        factorial_effects(frame, "auc", ["A", "C"], "split", "seed")
    with pytest.raises(DataError, match="factor A"):
        factorial_effects(frame.assign(A="yes"), "auc", ["A", "B"], "split", "seed")
    with pytest.raises(DataError, match="twice in their block"):
        factorial_effects(pd.concat([frame, frame]), "auc", ["A", "B"], "split", "seed")
    with pytest.raises(DataError, match="at least one factor"):
        factorial_effects(frame, "auc", [], "split", "seed")


@pytest.mark.parametrize("ties, theirs", [("average",) * 2, ("min",) * 2, ("first", "ordinal")])
def test_ranks_are_those_of_scipy(ties, theirs):
    values = np.round(np.random.default_rng(2).normal(size=400), 1)
    assert np.unique(values).size < 100
    assert np.array_equal(ranks(values, ties), stats.rankdata(values, theirs))
