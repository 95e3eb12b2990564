"""Calibration: worked numbers, what scaling can and cannot change, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.calibration import (
    FLATTEST,
    STEEPEST,
    Scaling,
    calibrate,
    choose_scaling,
    fit_platt,
    fit_temperature,
    logits,
)
from lcc_utils.evaluation.decisions import (
    area,
    coverage_risk,
    least_confidence,
    subject_decisions,
    threshold_for_sensitivity,
)
from lcc_utils.evaluation.reliability import (
    bin_of,
    brier_interval,
    brier_score,
    calibration_error,
    error_interval,
    reliability,
)
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.evaluation.subject_sums import subjects_of
from lcc_utils.report import figures
from lcc_utils.report.tables import build_table

TABLES = ("calibration", "operating_points", "selective", "subject_decisions", "worst_subjects")
FIGURES = ("reliability_diagram", "coverage_risk_curves", "subject_scores")


def simulated(n=4000, slope=1.0, intercept=0.0, seed=0):
    """Labels drawn from the probabilities that a scaling gives to scores."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, n)
    return (rng.random(n) < expit(slope * z + intercept)).astype(int), expit(z)


def predictions(subjects=8, cells=12, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        (f"{letter}{k}_{n}", f"{letter}{k}", label, float(expit(2 * label - 1 + own + noise)))
        for label, letter in ((1, "a"), (0, "h"))
        for k in range(subjects)
        for own in [rng.normal(0, 1)]
        for n, noise in enumerate(rng.normal(0, 1, cells))
    ]
    return pd.DataFrame(rows, columns=["cell_id", "subject", "label", "score"])


def primary(parts=3, model="model"):
    """Return the parts of a cross-validation; each validates on the next part's subjects."""
    tables = [predictions(seed=n) for n in range(parts)]
    tables = [t.assign(**{c: f"{n}" + t[c] for c in ("cell_id", "subject")}) for n, t in
              enumerate(tables)]  # fmt: skip
    made = []
    for n, test in enumerate(tables):
        both = pd.concat(
            [test.assign(partition="test"), tables[n - 1].assign(partition="validation")]
        )
        metrics = {"threshold": 0.5, "val_all_cells": 96, "val_hem_cells": 96}
        record = {"metrics": metrics, "split": {"protocol": "kfold"}}
        place = {"key": "0" * 16, "study": "primary", "variant": model, "seed": 0}
        made.append(
            Result.in_memory(
                predictions=both, history=pd.DataFrame(), settings={}, record=record,
                split=f"part {n + 1}", **place,
            )
        )  # fmt: skip
    return made


# Reliability


def test_calibration_error_by_hand():
    labels, scores = [1, 0, 1, 1], [0.6, 0.4, 0.9, 0.7]
    table = reliability(labels, scores, bins=2)
    assert table["cells"].tolist() == [2, 2]
    assert table["mean_score"].tolist() == pytest.approx([0.5, 0.8])
    assert table["share_all"].tolist() == [0.5, 1.0]
    assert calibration_error(labels, scores, bins=2) == pytest.approx(0.1)
    # Equal width: .4 alone below one half, 0 of 1 ALL; the others have a mean of 2.2 / 3.
    wide = calibration_error(labels, scores, bins=2, kind="equal width")
    assert wide == pytest.approx((0.4 + 3 * (1 - 2.2 / 3)) / 4)


def test_bins_keep_equal_scores_together_and_take_both_ends():
    assert bin_of([0.5, 0.5, 0.5, 0.9], 2).tolist() == [0, 0, 0, 1]
    assert bin_of([0.0, 0.2, 0.5, 1.0], 2, "equal width").tolist() == [0, 0, 1, 1]
    counts = np.bincount(bin_of(np.random.default_rng(0).random(1000), 10))
    assert counts.tolist() == [100] * 10


def test_brier_score_by_hand_and_as_scikit_learn_has_it():
    assert brier_score([1, 0], [0.8, 0.4]) == pytest.approx((0.04 + 0.16) / 2)
    labels, scores = simulated(500)
    assert brier_score(labels, scores) == pytest.approx(brier_score_loss(labels, scores))


def test_intervals_hold_the_estimate_of_the_plain_functions():
    table = predictions()
    for kind in ("equal count", "equal width"):
        found = error_interval(table, bins=5, kind=kind)
        expected = calibration_error(table["label"], table["score"], 5, kind)
        assert found.estimate == pytest.approx(expected)
        assert 0 <= found.low < found.high <= 1
    found = brier_interval(table)
    assert found.estimate == pytest.approx(brier_score(table["label"], table["score"]))
    assert found.low < found.estimate < found.high


def test_weights_of_subjects_stand_for_repeated_rows():
    table = predictions(cells=5)
    subjects = subjects_of(table)
    times = np.random.default_rng(1).integers(0, 3, subjects.classes.size)
    rows = table.loc[np.repeat(np.arange(len(table)), times[subjects.index])]
    squares = (table["score"] - table["label"]) ** 2
    weighted = times @ subjects.sums(squares) / (times @ subjects.cells)
    assert weighted == pytest.approx(brier_score(rows["label"], rows["score"]))


def test_a_difference_of_a_column_to_itself_is_nothing():
    table = predictions().assign(same=lambda t: t["score"])
    found = brier_interval(table, "same", less="score")
    assert (found.estimate, found.low, found.high) == (0, 0, 0)


def test_below_five_subjects_of_a_class_there_is_no_interval():
    few = predictions(subjects=4)
    for found in (error_interval(few), brier_interval(few), area(few, "score")):
        assert np.isfinite(found.estimate)
        assert np.isnan([found.low, found.high]).all()


# Scaling


@pytest.mark.parametrize("known", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found_again(known):
    found = fit_temperature(*simulated(20_000, slope=1 / known))
    assert found.temperature == pytest.approx(known, rel=0.06)
    assert found.intercept == 0


def test_platt_is_a_logistic_regression_without_a_penalty():
    labels, scores = simulated(2000, slope=1.7, intercept=-0.8)
    found = fit_platt(labels, scores)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(logits(scores)[:, None], labels)
    assert found.slope == pytest.approx(model.coef_[0, 0], abs=1e-5)
    assert found.intercept == pytest.approx(model.intercept_[0], abs=1e-5)
    assert (found.slope, found.intercept) == pytest.approx((1.7, -0.8), abs=0.2)
    # At the maximum, the mean probability is the share of ALL cells.
    assert found.apply(scores).mean() == pytest.approx(labels.mean(), abs=1e-9)


def test_scaling_keeps_the_auc_and_temperature_the_calls_at_one_half():
    labels, scores = simulated(1000, slope=0.4, intercept=1)
    for found in (fit_temperature(labels, scores), fit_platt(labels, scores)):
        scaled = found.apply(scores)
        assert roc_auc_score(labels, scaled) == pytest.approx(roc_auc_score(labels, scores))
    warm = fit_temperature(labels, scores).apply(scores)
    assert ((warm >= 0.5) == (scores >= 0.5)).all()
    assert Scaling(1.0).apply(scores) == pytest.approx(scores)


def test_scaling_on_the_same_cells_never_makes_them_less_likely():
    labels, scores = simulated(1000, slope=0.4, intercept=1)

    def loss(p):
        return -np.mean(np.where(labels == 1, np.log(p), np.log1p(-p)))

    warm, line = fit_temperature(labels, scores), fit_platt(labels, scores)
    assert loss(line.apply(scores)) < loss(warm.apply(scores)) < loss(scores)


def test_separable_and_useless_scores_end_at_a_bound():
    labels, scores = [0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]
    width = logits(scores).std()
    assert fit_temperature(labels, scores).slope == STEEPEST / width
    assert fit_platt(labels, scores).slope == STEEPEST / width
    assert fit_temperature(labels, scores[::-1]).slope == FLATTEST / width
    assert fit_platt(labels, scores[::-1]).slope == -STEEPEST / width
    assert np.isfinite(fit_platt(labels, [0.0, 0.0, 1.0, 1.0]).apply([0.0, 0.5, 1.0])).all()


def test_scores_in_a_narrow_range_are_spread_and_a_constant_one_gets_the_share():
    labels, scores = simulated(2000)
    narrow = expit(0.01 * logits(scores) - 0.3)
    wide, found = fit_platt(labels, scores), fit_platt(labels, narrow)
    assert found.slope == pytest.approx(100 * wide.slope, rel=1e-6)
    assert found.apply(narrow) == pytest.approx(wide.apply(scores), abs=1e-9)
    assert fit_platt([1, 1, 1, 0], [0.2] * 4).apply([0.2]) == pytest.approx(0.75)
    assert fit_temperature([1, 1, 1, 0], [0.6] * 4).apply([0.6]) == pytest.approx(0.75)


def test_each_part_is_scaled_on_its_own_validation():
    results = primary()
    found = calibrate(results)
    assert len(found.temperatures) == len(found.platts) == 3
    for n, result in enumerate(results):
        own = found.test[found.test["part"] == n]
        line = fit_platt(result.validation["label"], result.validation["score"])
        assert own["cell_id"].tolist() == result.test["cell_id"].tolist()
        assert own["platt"].to_numpy() == pytest.approx(line.apply(result.test["score"]))
    chosen = found.by_part(lambda own: float(own["score"].max()))
    assert chosen.tolist() == [r.validation["score"].max() for r in results]


# Decisions


def test_a_threshold_reaches_the_stated_sensitivity_and_the_next_one_does_not():
    labels, scores = [1, 1, 1, 1, 0], [0.9, 0.8, 0.6, 0.3, 0.7]
    assert threshold_for_sensitivity(labels, scores, 0.75) == 0.6
    assert threshold_for_sensitivity(labels, scores, 0.76) == 0.3
    assert threshold_for_sensitivity(labels, scores, 1) == 0.3
    labels, scores = simulated(1000)
    for stated in (0.9, 0.95, 0.99):
        limit = threshold_for_sensitivity(labels, scores, stated)
        own = scores[labels == 1]
        assert (own >= limit).mean() >= stated > (own > limit).mean()


def test_coverage_and_risk_of_four_cells():
    # Most confident first: .05 of HEM right, .9 of ALL right, .8 of HEM wrong, .45 of ALL wrong.
    labels, scores = [0, 1, 0, 1], [0.05, 0.9, 0.8, 0.45]
    curve = coverage_risk(labels, scores)
    assert curve["confidence"].tolist() == pytest.approx([0.45, 0.4, 0.3, 0.05])
    assert curve["coverage"].tolist() == [0.25, 0.5, 0.75, 1]
    assert curve["risk"].tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    table = pd.DataFrame({"subject": ["a", "b", "c", "d"], "label": labels, "score": scores})
    assert area(table, "score").estimate == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert least_confidence(labels, scores, 0.05) == pytest.approx(0.4)
    assert least_confidence(labels, scores, 0.4) == pytest.approx(0.3)
    assert least_confidence([1, 0], [0.1, 0.9], 0.05) == np.inf


def test_cells_that_are_equally_confident_stay_together():
    labels, scores = [1, 0, 1], [0.75, 0.75, 0.25]
    curve = coverage_risk(labels, scores)
    assert curve[["coverage", "risk"]].to_numpy().tolist() == [[1, pytest.approx(2 / 3)]]
    table = pd.DataFrame({"subject": ["a", "h", "b"], "label": labels, "score": scores})
    backwards = table.iloc[::-1].reset_index(drop=True)
    assert area(table, "score").estimate == pytest.approx(2 / 3)
    assert area(backwards, "score").estimate == pytest.approx(2 / 3)


def test_a_subject_is_the_mean_of_its_cells():
    table = pd.DataFrame(
        {
            "subject": ["h10", "h10", "h2", "a1", "a1", "a1"],
            "label": [0, 0, 0, 1, 1, 1],
            "score": [0.2, 0.6, 0.1, 0.9, 0.4, 0.8],
            "called": [0, 1, 0, 1, 0, 1],
        }
    )
    found = subject_decisions(table, "score")
    assert found["subject"].tolist() == ["a1", "h2", "h10"]
    assert found["mean"].tolist() == pytest.approx([0.7, 0.1, 0.4])
    assert found["share"].tolist() == pytest.approx([2 / 3, 0, 0.5])
    assert found["accuracy"].tolist() == pytest.approx([2 / 3, 1, 0.5])
    assert found["cells"].tolist() == [3, 1, 2]


def validation(subjects, seed, shift, scale):
    """Validation cells of one part whose logits lie `shift` too high and are `scale` too wide."""
    rng = np.random.default_rng(seed)
    label = np.repeat([1, 0], 200)
    fair = np.clip(rng.normal(1.5 * (2 * label - 1), 1.2), -6, 6)
    names = [f"{seed}{'AH'[1 - own]}{n % subjects}" for n, own in enumerate(label)]
    score = 1 / (1 + np.exp(-(scale * fair + shift)))
    return pd.DataFrame({"subject": names, "label": label, "score": score})


def test_platt_is_chosen_where_it_mends_the_scores_of_other_subjects():
    off = [validation(3, seed, 3.0, 1.0) for seed in range(3)]
    maps = [fit_platt(own["label"], own["score"]) for own in off]
    assert choose_scaling(off, maps) == "platt"
    # By hand: each map on the cells of the other parts.
    raw = scaled = 0.0
    for n, line in enumerate(maps):
        for m, other in enumerate(off):
            if n != m:
                raw += brier_score(other["label"], other["score"])
                scaled += brier_score(other["label"], line.apply(other["score"]))
    assert scaled < raw


def test_platt_is_not_chosen_where_parts_err_in_opposite_directions():
    parts = [validation(3, seed, shift, 1.0) for seed, shift in enumerate((2.0, -2.0))]
    maps = [fit_platt(own["label"], own["score"]) for own in parts]
    assert choose_scaling(parts, maps) == "score"
    # Subjects that a map was fitted on do not judge it, and one part has no others.
    assert choose_scaling([parts[0]] * 2, maps[:1] * 2) == "score"
    assert choose_scaling(parts[:1], maps[:1]) == "score"


# What is refused


def test_what_cannot_be_scaled_is_named():
    with pytest.raises(DataError, match="of one class"):
        fit_platt([1, 1], [0.2, 0.8])
    with pytest.raises(DataError, match="not in 0 to 1"):
        fit_temperature([1, 0], [0.2, 1.8])
    with pytest.raises(DataError, match="no results to pool"):
        calibrate([])


def test_bins_shares_and_subjects_that_make_no_sense_are_refused():
    with pytest.raises(RequestError, match="equal count or equal width"):
        calibration_error([1, 0], [0.2, 0.8], kind="deciles")
    with pytest.raises(RequestError, match="at least one"):
        calibration_error([1, 0], [0.2, 0.8], bins=0)
    with pytest.raises(RequestError, match=r"sensitivity is 1\.5"):
        threshold_for_sensitivity([1, 0], [0.2, 0.8], 1.5)
    with pytest.raises(RequestError, match="risk is 0"):
        least_confidence([1, 0], [0.2, 0.8], 0)
    with pytest.raises(DataError, match="None of 2 validation cells is ALL"):
        threshold_for_sensitivity([0, 0], [0.2, 0.8], 0.9)
    mixed = pd.DataFrame({"subject": ["a", "a"], "label": [1, 0], "score": [0.2, 0.8]})
    with pytest.raises(DataError, match="both classes"):
        brier_interval(mixed)


# Tables and figures


@pytest.fixture(scope="module")
def results():
    one_class = primary(model="one class in validation")
    one_class[0].metrics["val_hem_cells"] = 0
    return Results({"primary": primary() + one_class})


@pytest.fixture(scope="module")
def tables(results):
    return {name: build_table(name, pd.DataFrame(), results) for name in TABLES}


def test_a_model_is_shown_before_and_after_scaling(tables, results):
    table = tables["calibration"].set_index("scaling")
    assert table.index.tolist() == ["as scored", "temperature", "Platt"]
    assert set(table["model"]) == {"model"}
    found = calibrate(results["primary"][:3])
    own = found.test
    assert table.loc["Platt", "ece"] == pytest.approx(
        calibration_error(own["label"], own["platt"]), abs=1e-6
    )
    change = table.loc["Platt", "brier"] - table.loc["as scored", "brier"]
    assert table.loc["Platt", "brier_change"] == pytest.approx(change, abs=2e-6)
    assert np.isnan(table.loc["as scored", "brier_change"])
    temperatures = [s.temperature for s in found.temperatures]
    assert table.loc["temperature", "temperature_high"] == round(max(temperatures), 6)
    assert table["subjects"].tolist() == [48] * 3


def test_a_stated_sensitivity_and_risk_stand_beside_those_reached(tables):
    points = tables["operating_points"]
    assert points["stated_sensitivity"].tolist() == [0.9, 0.95, 0.99]
    assert points["sensitivity"].is_monotonic_increasing
    assert points["specificity"].is_monotonic_decreasing
    assert (points["sensitivity_parts_low"] <= points["sensitivity"]).all()
    selective = tables["selective"]
    assert selective["scaling"].tolist() == ["as scored"] * 2 + ["Platt"] * 2
    for _, own in selective.groupby("scaling"):
        assert own["coverage"].is_monotonic_increasing
        assert own["risk_whole"].nunique() == own["area"].nunique() == 1
    scaled = selective[selective["scaling"] == "Platt"]
    assert (scaled["risk"] <= scaled["risk_whole"]).all()


def test_subjects_count_once_and_the_worst_are_named(tables):
    decided = tables["subject_decisions"]
    assert (
        decided[["all_subjects", "hem_subjects", "cells"]].to_numpy().tolist()
        == [[24, 24, 576]] * 4
    )
    assert decided["scaling"].tolist() == ["as scored"] * 2 + ["Platt"] * 2
    for _, row in decided.iterrows():
        for name, share in (("all", "sensitivity"), ("hem", "specificity")):
            right = 24 - row[f"{name}_wrong"]
            exact = proportion_confint(right, 24, method="beta")
            ends = [row[f"{share}_low"], row[f"{share}_high"]]
            assert row[share] == pytest.approx(right / 24, abs=1e-6)
            assert ends == pytest.approx(exact, abs=1e-6)
    for _, row in decided.iterrows():
        assert len(row["wrong"].split(", ")) == row["all_wrong"] + row["hem_wrong"]
    worst = tables["worst_subjects"]
    assert worst["accuracy"].is_monotonic_increasing
    assert len(worst) == 10


@pytest.mark.parametrize("name", FIGURES)
def test_figures_say_in_words_what_they_draw_and_when_there_is_nothing(name, results, tables):
    draw = getattr(figures, name)
    drawn = draw(results, data_label="made-up cells")
    assert drawn.alt.endswith("Computed on made-up cells.")
    if name == "reliability_diagram":
        before, _, after = tables["calibration"]["ece"]
        assert f"model from {before:.3f} to {after:.3f}" in drawn.alt
    if name == "subject_scores":
        decided = tables["subject_decisions"]
        right = 24 - decided.loc[decided["chosen"] == "yes", "hem_wrong"].iloc[0]
        assert f"{right} of 24 HEM subjects right" in drawn.alt
    assert "Not in this run" in draw(Results(), data_label="made-up cells").alt
