"""Steps that raise a score: each does what it says, and changes only what it can change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lcc_utils.errors import DataError
from lcc_utils.evaluation.metrics import evaluate
from lcc_utils.evaluation.paired import mean_metrics, paired_intervals
from lcc_utils.evaluation.steps import (
    RULES,
    counted_twice,
    hardest_subjects,
    rules_for_named,
    threshold_on_test,
    thresholds_by_group,
)
from lcc_utils.evaluation.subject_intervals import subject_intervals
from lcc_utils.pipeline.verify import load_results
from lcc_utils.report import figures
from lcc_utils.report.steps_tables import HONEST, STATED
from lcc_utils.report.tables import build_table


def predictions(seed=0, subjects=8, cells=20, shift=0.3):
    rng = np.random.default_rng(seed)
    rows = [
        (f"{name}_{n}", name, label, float(np.clip(0.4 + shift * label + own + noise, 0, 1)))
        for label, letter in ((1, "a"), (0, "h"))
        for k in range(subjects)
        for name, own in [(f"{letter}{k}", rng.normal(0, 0.15))]
        for n, noise in enumerate(rng.normal(0, 0.1, cells))
    ]
    table = pd.DataFrame(rows, columns=["cell_id", "subject", "label", "score"])
    return table.assign(threshold=0.5, called=(table["score"] >= 0.5).astype("int64"))


def f1(table):
    return mean_metrics([table])["f1_weighted"]


def auc(table):
    return mean_metrics([table])["auc"]


def test_the_hardest_subjects_have_the_most_errors():
    table = pd.DataFrame(
        {
            "subject": ["h1"] * 3 + ["h2"] * 4 + ["h10"] * 4 + ["a1"] * 2,
            "label": [0] * 11 + [1] * 2,
            "called": [1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0],
        }
    )
    assert hardest_subjects(table, 2) == ["h2", "h10"]
    assert hardest_subjects(table, 1, label=1) == ["a1"]
    with pytest.raises(DataError, match="1 subject"):
        hardest_subjects(table, 2, label=1)


def test_a_threshold_chosen_on_test_is_the_best_one_and_leaves_the_auc():
    table = predictions()
    best = threshold_on_test(table)
    assert f1(best) >= max(
        evaluate(table["label"], table["score"], t)["f1_weighted"] for t in np.linspace(0, 1, 101)
    )
    assert auc(best) == auc(table)
    assert best["score"].equals(table["score"])


def test_a_group_of_one_class_is_called_without_an_error():
    table = predictions()
    named = hardest_subjects(table, 2)
    grouped = thresholds_by_group(table, named)
    assert grouped["cell_id"].tolist() == table["cell_id"].tolist()
    of_named = grouped[grouped["subject"].isin(named)]
    assert (of_named["called"] == of_named["label"]).all()
    assert grouped["threshold"].nunique() == 3
    assert f1(grouped) > f1(threshold_on_test(table))
    assert auc(grouped) == auc(table)


def test_the_rules_in_numbers():
    score = pd.Series([0.5, 0.9])
    # P(HEM) of .5 is above .35: (.65, .35), then roots, .5767 and .4233, then .6 of the way.
    root = np.sqrt(0.35) / (np.sqrt(0.35) + np.sqrt(0.65))
    # P(HEM) of .1 is not: roots of (.1, .9), 1 to 3.
    assert RULES[0].applied(score).tolist() == pytest.approx(
        [0.5 + 0.6 * (root - 0.5), 0.5 + 0.6 * 0.25]
    )
    power = 0.9 ** (1 / 1.4) / (0.9 ** (1 / 1.4) + 0.1 ** (1 / 1.4))
    assert RULES[1].applied(score).tolist() == pytest.approx([0.5, 0.5 + 0.75 * (power - 0.5)])


def test_rules_change_the_named_alone_and_calls_follow_the_old_thresholds():
    table = predictions()
    named = hardest_subjects(table, 2)
    ruled = rules_for_named(table, named)
    others = ~table["subject"].isin(named)
    assert ruled.loc[others].equals(table.loc[others])
    assert (ruled.loc[~others, "score"] != table.loc[~others, "score"]).any()
    assert (ruled["called"] == (ruled["score"] >= 0.5)).all()


def test_counting_twice_changes_no_metric_and_no_interval_over_subjects():
    table = predictions()
    twice = counted_twice(table)
    assert len(twice) == 2 * len(table)
    assert twice["cell_id"].is_unique
    assert (f1(twice), auc(twice)) == pytest.approx((f1(table), auc(table)))
    once = subject_intervals(table, metrics=("auc",))["auc"]
    again = subject_intervals(twice, metrics=("auc",))["auc"]
    assert (once.low, once.high) == pytest.approx((again.low, again.high))


def test_a_paired_difference_leaves_a_subject_out_of_both():
    table = predictions()
    same = paired_intervals([table], [counted_twice(table)])
    assert (same["auc"].estimate, same["auc"].low, same["auc"].high) == pytest.approx((0, 0, 0))
    better = predictions(shift=0.5)
    found = paired_intervals([table], [better])["auc"]
    assert found.estimate == pytest.approx(auc(better) - auc(table))
    apart = subject_intervals(table, metrics=("auc",))["auc"]
    assert found.high - found.low < 1.5 * (apart.high - apart.low)


def test_several_seeds_are_averaged():
    tables = [predictions(seed) for seed in (0, 1)]
    assert mean_metrics(tables)["auc"] == pytest.approx(np.mean([auc(t) for t in tables]))
    found = paired_intervals(tables, tables[::-1])
    assert found["f1_weighted"].estimate == pytest.approx(0)


def test_few_subjects_get_no_interval_and_other_subjects_are_refused():
    few = predictions(subjects=4)
    assert np.isnan(paired_intervals([few], [few])["auc"].low)
    other = few.assign(subject="x" + few["subject"])
    with pytest.raises(DataError, match="not of the same"):
        paired_intervals([few], [other])


@pytest.fixture(scope="module")
def tables(tiny_run):
    cells, results = load_results(tiny_run)
    return {name: build_table(f"steps_{name}", cells, results) for name in ("alone", "together")}


def test_a_run_gives_each_step_alone_and_after_the_others(tables):
    alone, together = tables["alone"], tables["together"]
    first = alone["model"].iloc[0]
    names = alone.loc[alone["model"] == first, "step"].tolist()
    assert names[0] == HONEST
    assert names == together.loc[together["model"] == first, "step"].tolist()
    assert {"split by patient id", "split by image"} <= set(names)
    assert together["model"].iloc[-1] == STATED
    assert together["f1_weighted"].iloc[-1] == 0.9789
    honest = alone[alone["step"] == HONEST].set_index("model")
    twice = alone[alone["step"] == "every image counted twice"].set_index("model")
    assert (twice["cells"] == 2 * honest["cells"]).all()
    assert (twice["f1_delta"] == 0).all()
    changed = alone[alone["step"] != HONEST]
    base = changed["model"].map(honest["f1_weighted"])
    expected = 100 * (changed["f1_weighted"] - base)
    assert changed["f1_delta"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-3)


def test_the_figure_names_the_first_and_the_last_score(tables):
    drawn = figures.steps(tables["together"], data_label="made-up cells")
    first = tables["together"].iloc[0]
    assert f"{first['model']} goes from a weighted F1 of {first['f1_weighted']:.3f}" in drawn.alt
    assert "the paper states 0.979 and 0.938" in drawn.alt
    empty = tables["together"].iloc[:0]
    assert "Not in this run" in figures.steps(empty, data_label="made-up cells").alt


def test_even_counts_stand_beside_official_ones():
    table = build_table("even_counts", pd.DataFrame(), {}).set_index("count")
    assert table.loc["HEM called HEM", ["stated", "half"]].tolist() == [964, 482]
    assert table.loc["Images of patient H22", ["stated", "half", "official"]].tolist() == [
        746, 373, 373,
    ]  # fmt: skip
    assert (table["half"] == table["half"].round()).all()
