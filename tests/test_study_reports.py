"""Tables and figures of studies: worked numbers, studies partly run, and what is not there."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats
from sklearn.metrics import f1_score, roc_auc_score

from lcc_utils.errors import RequestError
from lcc_utils.evaluation.metrics import evaluate_result
from lcc_utils.evaluation.result import Missing, Result, Results
from lcc_utils.pipeline.front import _measured
from lcc_utils.report import figures
from lcc_utils.report.claims import load_claims
from lcc_utils.report.ledger import verdicts
from lcc_utils.report.literature import load_literature
from lcc_utils.report.table_markup import to_html
from lcc_utils.report.tables import ALL, NONE, TABLES, build_table

LABEL = "made-up cells"
PARTS = ("attention", "augmentation", "focal loss")
SIMULATED = "false_positives"
# They take what a run measures beside results, or studies with tests of their own: see
# test_attention.py, test_robustness.py and test_efficiency.py.
TESTED_THERE = {"attention", "robustness", "efficiency", "label_noise", "label_noise_trained"}
OF_MAPS = {name for name, table in TABLES.items() if TESTED_THERE & set(table.studies)}


@pytest.fixture(scope="module")
def cells():
    table = pd.DataFrame(
        {
            "cell_id": ["a", "b", "c"],
            "label": [1, 0, 0],
            "patient": ["1", "H1", "H2"],
            "subject": ["1", "H1", "H1"],
            "phase": "train",
            "fold": [0, 0, 1],
        }
    )
    table.attrs = {"dataset": "synthetic", "label": LABEL}
    return table


def make_predictions(part, seed, shift, subjects=8):
    """Four cells of each of some subjects of each class, half of them for testing."""
    rng = np.random.default_rng([seed, part])
    rows = []
    for label, n, k in itertools.product((1, 0), range(subjects), range(4)):
        subject = f"{'' if label else 'H'}{part * subjects + n}"
        score = 0.5 + shift * (label - 0.5) + rng.normal(0, 0.2)
        rows.append(
            {"cell_id": f"{subject}_{k}", "patient": subject, "subject": subject, "label": label}
            | {"score": float(np.clip(score, 0, 1)), "partition": "test" if n % 2 else "validation"}
        )
    return pd.DataFrame(rows)


def make(study, variant, split="fold 0 to 1", protocol="official", seed=0, auc=None, **fields):
    """Return a result; with `auc` its metrics are made up, else they are of made-up scores."""
    predictions = make_predictions(fields.pop("part", 0), seed, fields.pop("shift", 0.5))
    metrics = fields.pop("metrics", {})
    subjects = {"train": 25, "validation": 2, "test": fields.pop("tested", 8)}
    record = {
        "model": {"backbone": "small_cnn"} | fields.pop("parameters", {}),
        "split": {"name": split, "protocol": protocol, "seed": seed, "subjects": subjects}
        | {"train": 2500, "validation": 200, "test": 800}
        | {"leaked": 500 if protocol in ("image", "leaky", "shared") else 0},
        "best_epoch": 3,
    }
    settings = {
        "model": {"attention": "attention" not in variant, "weights": "none"},
        "augmentation": {"policy": "none" if "augmentation" in variant else "paper"},
        "loss": {"name": "cross_entropy" if "focal loss" in variant else "focal"},
        "pixels": {"size": 64},
    } | fields.pop("settings", {})
    assert not fields
    names = {"key": "0" * 16, "study": study, "variant": variant, "split": split, "seed": seed}
    made = Result.in_memory(
        **names, settings=settings, record=record, predictions=predictions, history=pd.DataFrame()
    )
    found = evaluate_result(made)
    if auc is not None:
        found |= {"auc": auc, "f1_weighted": auc - 0.1, "subjects": 8, "cells": 800}
    record["metrics"] = found | metrics
    return made


def primary(variant, parts=5, shift=0.5):
    return [
        make("primary", variant, f"part {n} of 5", "kfold", part=n, shift=shift)
        for n in range(1, parts + 1)
    ]


def factorial(effect):
    """Both directions and two seeds of all eight variants; attention adds `effect` to AUC."""
    runs = []
    for split, seed in itertools.product(("fold 0 to 1", "fold 1 to 0"), (0, 1)):
        level = {"fold 0 to 1": 0.9, "fold 1 to 0": 0.8}[split] + 0.01 * seed
        for held in itertools.product((True, False), repeat=3):
            gone = [name for name, there in zip(PARTS, held, strict=True) if not there]
            name = {0: "full", 3: "without all three"}.get(
                len(gone), f"without {' and '.join(gone)}"
            )
            here = {
                "settings": {
                    "model": {"attention": held[0]},
                    "augmentation": {"policy": "paper" if held[1] else "none"},
                    "loss": {"name": "focal" if held[2] else "cross_entropy"},
                }
            }
            auc = level + effect * held[0]
            runs.append(make("ablation", name, split, seed=seed, auc=auc, **here))
    return runs


def monte_carlo(variant, aucs, protocol="patient", study="monte_carlo", **fields):
    name = {"patient": "patients", "image": "images"}[protocol]
    return [
        make(study, variant, f"{name}, seed {seed}", protocol, seed, auc, part=seed, **fields)
        for seed, auc in enumerate(aucs)
    ]


def leakage_results(variant, changes, **others):
    """Pairs of an AUC of .8 and .8 plus a change; other protocols by their own changes."""
    runs = []
    for seed, change in enumerate(changes):
        sides = {"clean": 0.0, "leaky": change} | {k: v[seed] for k, v in others.items()}
        for protocol, more in sides.items():
            split = f"pair {seed}, {protocol}"
            runs.append(make("leakage", variant, split, protocol, seed, 0.8 + more))
    return runs


# Partition and training seed -> how far apart the classes lie.
REPEATED = {(0, 0): 0.3, (0, 1): 0.4, (1, 0): 0.5, (1, 1): 0.5}


def repeated(variant, partition, seed, shift):
    made = make("repeats", variant, f"part 1 of 1, seed {partition}", "kfold", seed, shift=shift)
    made.record["split"]["seed"] = partition
    return made


@pytest.fixture(scope="module")
def results():
    """Every study, some of them partly run."""
    found = {
        "training": [make("training", "full", s, auc=0.9) for s in ("fold 0 to 1", "fold 1 to 0")],
        "shared": [
            make("shared", "full", "fold 0 to 1", auc=0.9),
            make("shared", "full", "fold 0 to 1, shared kept", "shared", auc=0.925, tested=8),
        ],
        "primary": primary("full") + primary("small", shift=0.2) + primary("large", parts=3),
        "search": [
            make("search", variant, f"part {n} of 3", "kfold", auc=auc + 0.01 * n)
            for variant, auc in (("base", 0.80), ("rotated views", 0.83), ("crop", 0.79))
            for n in (1, 2, 3)
        ],
        "baselines": [
            make("baselines", "cell area", "fold 0 to 1", auc=0.7, settings={"pixels": {}}),
            make("baselines", "cell area", "fold 1 to 0", auc=0.6, settings={"pixels": {}}),
            make(
                "baselines", "vgg16", "fold 0 to 1", auc=0.9,
                parameters={"parameters_trainable": 15_000_000},
            ),
        ],
        "ablation": factorial(0.02),
        "recipe": [
            make("recipe", variant, seed=seed, auc=auc + 0.01 * seed)
            for variant, auc in (("paper policy, minority", 0.8), ("constant rate", 0.77))
            for seed in (0, 1)
        ],
        "steps": [
            make("steps", "full", f"part {n} of 5", protocol, part=n, shift=0.9)
            for protocol, parts in (("images", 5), ("patient_ids", 3))
            for n in range(1, parts + 1)
        ],
        "monte_carlo": monte_carlo("frozen head", [0.80, 0.84, 0.82, 0.86])
        + monte_carlo("frozen head", [0.90, 0.92, 0.91, 0.93], "image")
        + monte_carlo("logistic regression", [0.78, 0.83, 0.80, 0.85]),
        "monte_carlo_trained": monte_carlo(
            "small_cnn", [0.88, 0.9], study="monte_carlo_trained"
        ),
        "repeats": [
            repeated("small", partition, seed, shift)
            for (partition, seed), shift in REPEATED.items()
        ],
        "transport": [make("transport", "small", "fold 0 and 1 to 2", "transport", shift=0.4)],
        "leakage": leakage_results("logistic regression", [0.00, -0.01, 0.01, 0.005]),
        "leakage_trained": leakage_results("small_cnn, 5 epochs", [0.00, 0.01, 0.02, 0.03]),
    }  # fmt: skip
    missing = {
        "primary": [
            Missing("primary", "large", "part 4 of 5", 0),
            Missing("primary", "large", "part 5 of 5", 0, "out of memory"),
        ],
        "baselines": [
            Missing("baselines", "vgg16", "fold 1 to 0", 0),
            Missing("baselines", "vgg19", "fold 0 to 1", 0),
        ],
        "steps": [Missing("steps", "full", f"part {n} of 5", 0) for n in (4, 5)],
        "monte_carlo": [
            Missing("monte_carlo", "logistic regression", f"images, seed {s}", s) for s in range(4)
        ],
        "leakage_trained": [
            Missing("leakage_trained", "small_cnn, 50 epochs", f"pair 0, {side}", 0)
            for side in ("clean", "leaky")
        ],
    }
    return Results(found, missing)


@pytest.mark.parametrize("name", sorted(set(TABLES) - {SIMULATED} - OF_MAPS))
def test_every_table_builds_from_nothing_and_from_studies_partly_run(name, cells, results):
    empty, full = (build_table(name, cells, have) for have in ({}, results))
    assert len(full)
    # A baseline's directions are its columns, so they are known only with results.
    same = list(full.columns) if name != "baselines" else None
    assert same in (None, list(empty.columns))
    for table in (empty, full):
        assert table.attrs["data"] == (LABEL if TABLES[name].measured else "")
        page = ElementTree.fromstring(to_html(table, "A table"))
        assert page.find("table/thead/tr") is not None


@pytest.mark.parametrize("name", sorted(set(TABLES) - {SIMULATED} - OF_MAPS))
def test_a_table_needs_no_study_that_it_does_not_name(name, cells, results):
    wanted = TABLES[name].studies or tuple(results)
    needed = {study: runs for study, runs in results.items() if study in wanted}
    missing = {study: runs for study, runs in results.missing.items() if study in wanted}
    alone = build_table(name, cells, Results(needed, missing))
    assert alone.to_csv() == build_table(name, cells, results).to_csv()
    assert set(needed) == set(wanted) or wanted == NONE


def test_progress_counts_what_is_planned_and_names_the_first_failure(cells, results):
    table = build_table("progress", cells, results).set_index("study")
    assert TABLES["progress"].studies == ALL
    row = table.loc["primary"]
    assert row.tolist() == [15, 13, 1, 1, "out of memory"]
    assert table.loc["search"].tolist() == [9, 9, 0, 0, ""]


def test_keeping_shared_subjects_stands_beside_dropping_them(cells, results):
    table = build_table("shared", cells, results)
    assert table["split"].tolist() == ["fold 0 to 1"]
    row = table.iloc[0]
    assert [row["auc"], row["auc_shared"], row["auc_delta"]] == [0.9, 0.925, 2.5]
    assert [row["training_subjects"], row["training_cells_shared"]] == [25, 2500]
    assert row["leaked_cells"] == 500


def test_the_primary_table_pools_whole_models_and_counts_the_parts_of_others(cells, results):
    table = build_table("primary", cells, results).set_index(["model", "estimand"])
    tests = pd.concat(r.test for r in results["primary"] if r.variant == "full")
    row = table.loc["full", "by cells"]
    assert row["auc"] == round(roc_auc_score(tests["label"], tests["score"]), 6)
    assert row["auc_low"] < row["auc"] < row["auc_high"]
    assert [row["subjects"], row["hem_subjects"], row["cells"]] == [40, 20, 160]
    assert [row["effective_all"], row["effective_hem"]] == [20, 20]
    half = f1_score(tests["label"], tests["score"] >= 0.5, average="weighted")
    assert row["f1_weighted_at_half"] == pytest.approx(half, abs=1e-6)
    # Every subject has four cells: the estimands are the same.
    equal = table.loc["full", "subjects equal"]
    assert equal["auc"] == pytest.approx(row["auc"], abs=1e-6)
    assert pd.isna(equal["effective_hem"])
    large = table.loc["large", "not complete"]
    assert [large["parts"], large["planned"]] == [3, 5]
    assert large[["auc", "auc_low", "subjects"]].isna().all()


def test_a_second_seed_of_folds_is_not_pooled_with_the_first(cells):
    once = primary("full")
    again = [make("primary", "full", f"{r.split}, seed 1", "kfold", seed=1, part=9) for r in once]
    table = build_table("primary", cells, Results({"primary": once + again}))
    assert table[["cells", "parts", "planned"]].to_numpy().tolist() == [[160, 5, 5]] * 2


def test_models_are_compared_with_the_first_on_the_same_cells(cells, results):
    table = build_table("primary_comparisons", cells, results)
    assert table[["model", "against"]].to_numpy().tolist() == [["small", "full"]] * 2
    assert table["estimand"].tolist() == ["by cells", "subjects equal"]
    pooled = build_table("primary", cells, results).set_index(["model", "estimand"])["auc"]
    expected = 100 * (pooled["small", "by cells"] - pooled["full", "by cells"])
    row = table.iloc[0]
    assert row["auc_delta_low"] < row["auc_delta"] < row["auc_delta_high"]
    # The 90 % interval lies within the 95 % one and holds the difference.
    reach = max(abs(row["auc_delta_low"]), abs(row["auc_delta_high"]))
    assert abs(row["auc_delta"]) < row["equivalent_within"] < reach
    assert table.iloc[1][["p_permutation", "p_holm", "p_delong"]].isna().all()
    assert row["p_delong"] >= 1e-6
    assert row["auc_delta"] == pytest.approx(expected, abs=2e-4)
    assert row["p_holm"] == row["p_permutation"]  # one comparison: nothing to adjust
    assert 0 < row["p_permutation"] <= 1
    assert [row["subjects"], row["cells"]] == [40, 160]


def test_the_search_is_paired_with_its_base_and_sorted(cells, results):
    table = build_table("search", cells, results)
    assert table["variant"].tolist() == ["base", "rotated views", "crop"]
    assert table["auc_delta_median"].iloc[1:].tolist() == [3.0, -1.0]
    assert np.isnan(table["auc_delta_median"].iloc[0])
    assert table["auc_delta_min"].iloc[1] == 3.0
    assert table["better"].iloc[1:].tolist() == [3, 0]
    assert table["test_cells"].tolist() == [2400] * 3


def test_one_part_on_which_the_base_fails_does_not_order_the_search(cells):
    runs = [
        make("search", variant, f"part {n} of 3", "kfold", auc=auc)
        for variant, aucs in {
            "base": (0.8, 0.8, 0.3), "steady": (0.83, 0.83, 0.33), "one part": (0.8, 0.79, 0.9),
        }.items()
        for n, auc in enumerate(aucs, 1)
    ]  # fmt: skip
    found = Results({"search": runs})
    table = build_table("search", cells, found)
    assert table["variant"].tolist() == ["base", "steady", "one part"]
    assert table["auc_delta"].iloc[2] > table["auc_delta"].iloc[1]
    parts = build_table("search_parts", cells, found)
    own = parts[parts["variant"] == "one part"]
    assert own["auc_delta"].tolist() == [0.0, -1.0, 60.0]
    assert own["validation_hem_subjects"].tolist() == [4] * 3


def test_repeats_set_the_spread_of_partitions_beside_that_of_training_seeds(cells, results):
    table = build_table("repeats", cells, results).set_index("estimand")
    aucs = {
        place: roc_auc_score(r.test["label"], r.test["score"])
        for place, r in zip(REPEATED, results["repeats"], strict=True)
    }
    means = [np.mean([aucs[p, s] for s in (0, 1)]) for p in (0, 1)]
    within = sum((aucs[p, s] - means[p]) ** 2 for p in (0, 1) for s in (0, 1)) / 2
    row = table.loc["by cells"]
    assert [row["partitions"], row["trainings"]] == [2, 4]
    assert row["auc"] == pytest.approx(np.mean(means), abs=1e-6)
    assert row["auc_partition_sd"] == pytest.approx(np.std(means, ddof=1), abs=1e-6)
    assert row["auc_seed_sd"] == pytest.approx(np.sqrt(within), abs=1e-6)
    assert [row["auc_min"], row["auc_max"]] == pytest.approx(
        [min(aucs.values()), max(aucs.values())], abs=1e-6
    )


def test_influence_names_whose_absence_moves_the_auc_most(cells, results):
    row = build_table("primary_influence", cells, results).iloc[0]
    tests = pd.concat(r.test for r in results["primary"] if r.variant == "full")
    aucs = {
        subject: roc_auc_score(*(tests.loc[tests["subject"] != subject, c] for c in COLUMNS))
        for subject in tests["subject"].unique()
    }
    assert row["auc_lowest"] == pytest.approx(min(aucs.values()), abs=1e-6)
    assert aucs[row["without_highest"]] == pytest.approx(max(aucs.values()))
    assert row["cells_lowest"] == 4


COLUMNS = ("label", "score")


def test_an_exploratory_interval_is_said_below_the_caption(cells):
    few = [make("primary", "full", "part 1 of 1", "kfold", part=1)]
    table = build_table("primary", cells, Results({"primary": few}))
    assert table.attrs["notes"] == ["no interval: 4 ALL subjects, 5 are needed"] or (
        table.attrs["notes"] == ["no interval: 4 HEM subjects, 5 are needed"]
    )
    assert table["auc"].notna().all()
    assert table["auc_low"].isna().all()
    page = to_html(table, "Results")
    assert "subjects, 5 are needed.</caption>" in page
    said = "\n".join(_measured(cells, Results({"primary": few})))
    assert "subjects, 5 are needed." in said


def test_baselines_are_sorted_and_those_without_a_result_have_dashes(cells, results):
    table = build_table("baselines", cells, results)
    # The second has a higher AUC in the one direction that it has: it is not ranked.
    assert table["model"].tolist() == ["cell area", "vgg16", "vgg19"]
    assert table["auc, fold 1 to 0"].tolist()[0] == 0.6
    assert table["auc, fold 1 to 0"].isna().tolist() == [False, True, True]
    assert table["trained_on"].iloc[0] == "; ".join(["2,500 cells of 25 subjects"] * 2)
    page = to_html(table, "Baselines")
    assert '<th scope="col" class="lcc-number">AUC, fold 0 to 1</th>' in page
    assert '<td class="lcc-number">15,000,000</td>' in page
    assert '<td class="lcc-number">–</td>' in page


def test_the_four_rows_of_the_paper_stay_four_and_every_run_is_listed(cells, results):
    assert len(build_table("ablation", cells, results)) == 4
    assert len(build_table("ablation_runs", cells, results)) == 32


def test_factorial_effects_are_in_points_beside_what_the_paper_says_that_a_part_adds(
    cells, results
):
    table = build_table("factorial", cells, results).set_index("effect")
    assert table.loc["attention", "auc_delta"] == pytest.approx(2.0)
    assert table.loc["attention", "f1_delta_stated"] == 2.34
    assert table.loc["augmentation", "auc_delta"] == pytest.approx(0.0, abs=1e-9)
    assert table.loc["focal loss", "f1_delta_stated"] == 1.43
    assert table["splits"].tolist() == [2] * len(table)
    assert table["blocks"].tolist() == [4] * len(table)
    assert table["runs"].tolist() == [32] * len(table)
    assert table["f1_delta_stated"].notna().sum() == 3


def test_recipes_are_compared_with_the_first(cells, results):
    table = build_table("recipe", cells, results).set_index("variant")
    assert table.loc["constant rate", "auc_delta"] == -3.0
    assert table.loc["constant rate", "runs"] == 2
    assert table.loc["constant rate", "auc_delta_min"] == -3.0
    assert np.isnan(table.loc["paper policy, minority", "auc_delta"])


def test_the_monte_carlo_interval_is_corrected_by_subjects_or_cells(cells, results):
    table = build_table("monte_carlo", cells, results).set_index(["model", "protocol"])
    row = table.loc["frozen head", "by subject"]
    values = np.array([0.80, 0.84, 0.82, 0.86])
    error = np.sqrt((1 / 4 + 8 / 25) * values.var(ddof=1))
    half = stats.t.ppf(0.975, 3) * error / (0.83 * 0.17)
    ends = special.expit(special.logit(0.83) + np.array([-half, half]))
    assert row["auc"] == 0.83
    assert [row["auc_low"], row["auc_high"]] == pytest.approx(ends, abs=1e-6)
    assert row["auc_percentile_low"] == pytest.approx(np.percentile(values, 2.5), abs=1e-6)
    assert [row["unit"], row["iterations"], row["test_subjects"]] == ["subjects", 4, "8"]
    image = table.loc["frozen head", "by image"]
    error = np.sqrt((1 / 4 + 800 / 2500) * np.var([0.90, 0.92, 0.91, 0.93], ddof=1))
    assert image["unit"] == "cells"
    half = stats.t.ppf(0.975, 3) * error / (0.915 * 0.085)
    assert image["auc_high"] == pytest.approx(special.expit(special.logit(0.915) + half), abs=1e-6)


def test_subjects_of_a_refit_are_those_that_train_and_that_validate(cells):
    refit = {"training": {"refit": True}}
    made = monte_carlo("frozen head", [0.80, 0.84, 0.82, 0.86], settings=refit)
    row = build_table("monte_carlo", cells, Results({"monte_carlo": made})).iloc[0]
    assert row["training_subjects"] == "27"
    values = np.array([0.80, 0.84, 0.82, 0.86])
    half = stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + 8 / 27) * values.var(ddof=1)) / (0.83 * 0.17)
    assert row["auc_high"] == pytest.approx(special.expit(special.logit(0.83) + half), abs=1e-6)


def test_iterations_that_are_missing_are_counted_by_protocol(cells, results):
    table = build_table("monte_carlo", cells, results).set_index(["model", "protocol"])
    row = table.loc["logistic regression", "by image"]
    assert [row["iterations"], row["planned"]] == [0, 4]
    assert np.isnan(row["auc"])
    assert table.loc["logistic regression", "by subject"]["planned"] == 4
    assert ("small_cnn", "by image") not in table.index


def test_one_iteration_gives_a_value_and_no_interval(cells):
    one = Results({"monte_carlo": monte_carlo("frozen head", [0.8])})
    row = build_table("monte_carlo", cells, one).iloc[0]
    assert row["auc"] == 0.8
    assert row[["auc_low", "auc_high", "auc_sd"]].isna().all()


def test_accuracy_by_subject_is_over_the_iterations_that_tested_it(cells):
    first, second = (make("monte_carlo", "a", f"patients, seed {s}", "patient", s) for s in (0, 1))
    for result, threshold in ((first, 0.0), (second, 1.0)):
        result.record["metrics"]["threshold"] = threshold
    table = build_table("monte_carlo_subjects", cells, Results({"monte_carlo": [first, second]}))
    # Everything is called ALL once and, scores being below 1, HEM once (but for clipped scores).
    hem = table[table["class"] == "HEM"]
    assert len(hem) == 4
    assert hem["accuracy"].tolist() == [0.5] * 4
    assert hem["sd"].tolist() == [round(np.sqrt(0.5), 6)] * 4
    assert hem["iterations"].tolist() == [2] * 4
    assert table["model"].unique().tolist() == ["a"]


def test_leakage_is_one_contrast_of_logits_corrected_and_adjusted(cells, results):
    table = build_table("leakage", cells, results).set_index("model")
    row = table.loc["small_cnn, 5 epochs"]
    assert row["contrast"] == "leaky less clean"
    changes = special.logit(0.8 + np.array([0.0, 0.01, 0.02, 0.03])) - special.logit(0.8)
    error = np.sqrt((1 / 4 + 8 / 25) * changes.var(ddof=1))
    p = 2 * stats.t.sf(changes.mean() / error, 3)
    assert [row["pairs"], row["auc_first"], row["auc_second"]] == [4, 0.8, 0.815]
    assert [row["auc_delta"], row["positive"]] == [1.5, 3]
    assert row["logit_delta"] == pytest.approx(changes.mean(), abs=1e-6)
    low = changes.mean() - stats.t.ppf(0.975, 3) * error
    assert row["logit_delta_low"] == pytest.approx(low, abs=1e-6)
    assert row["p"] == pytest.approx(p, abs=1e-6)
    assert row["p_holm"] == pytest.approx(2 * p, abs=2e-6)
    assert [row["training_cells"], row["leaked"]] == [2500, 0.2]
    later = table.loc["small_cnn, 50 epochs"]
    assert [later["pairs"], later["planned"]] == [0, 1]
    assert pd.isna(later["auc_delta"])


def test_with_a_control_leakage_is_shown_against_it_first(cells):
    runs = leakage_results("a", [0.05, 0.06, 0.04], control=[0.02, 0.02, 0.01])
    table = build_table("leakage", cells, Results({"leakage": runs}))
    assert table["contrast"].tolist() == [
        "leaky less control", "leaky less clean", "control less clean",
    ]  # fmt: skip
    assert table["auc_delta"].tolist() == pytest.approx([10 / 3, 5.0, 5 / 3], abs=1e-4)
    assert table["leaked"].isna().tolist() == [False, False, True]
    assert table["p_holm"].tolist() == table["p"].tolist()  # one model a contrast


def test_an_auc_of_one_has_a_logit_half_a_pair_away(cells):
    runs = leakage_results("a", [0.2, 0.1])
    row = build_table("leakage", cells, Results({"leakage": runs})).iloc[0]
    found = runs[1].metrics
    most = special.logit(1 - 0.5 / (found["all_cells"] * found["hem_cells"]))
    expected = (most + special.logit(0.9)) / 2 - special.logit(0.8)
    assert row["logit_delta"] == pytest.approx(expected, abs=1e-6)


def test_a_pair_with_one_side_missing_is_no_pair(cells):
    half = leakage_results("a", [0.01, 0.02, 0.03])[:-1]
    missing = {"leakage": [Missing("leakage", "a", "pair 2, leaky", 2)]}
    row = build_table("leakage", cells, Results({"leakage": half}, missing)).iloc[0]
    assert [row["pairs"], row["planned"]] == [2, 3]
    assert row["auc_delta"] == 1.5


def test_ways_that_ignore_subjects_stand_beside_those_that_account_for_them(cells, results):
    table = build_table("right_and_wrong", cells, results)
    assert len(table) == 4
    first = table.iloc[0]
    assert first["quantity"] == "AUC of frozen head: by image minus by subject"
    assert first["computed_from"] == "4 iterations, 25 training and 8 test subjects"
    differences = np.array([0.10, 0.08, 0.09, 0.07])
    naive = stats.ttest_1samp(differences, 0)
    assert first["value"] == pytest.approx(0.085)
    assert first["usual_p"] == pytest.approx(naive.pvalue, abs=1e-6)
    assert first["usual_p"] < first["sound_p"]
    assert table["quantity"].iloc[1] == "AUC, logistic regression less frozen head"
    pooled = table.iloc[2]
    assert pooled["computed_from"] == "160 cells of 40 subjects"
    assert pooled["usual_range_low"] < pooled["value"] < pooled["usual_range_high"]
    percentiles = table.iloc[3]
    values = [0.80, 0.84, 0.82, 0.86]
    assert percentiles["usual_range_low"] == pytest.approx(np.percentile(values, 2.5))


def test_the_simulation_shows_the_naive_test_far_above_its_level(cells):
    table = build_table(SIMULATED, cells, {})
    assert (table["data_sets"] > 100).all()
    rates = table["rate"].tolist()
    assert max(rates) > 0.2
    assert min(rates) < 0.1
    expected = np.sqrt(table["rate"] * (1 - table["rate"]) / table["data_sets"].astype(float))
    assert table["standard_error"].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_monte_carlo_claims_are_judged_by_means_of_splits_by_subject(cells, results):
    real = cells.copy()
    real.attrs = cells.attrs | {"dataset": "c-nmc-2019"}
    ledger = verdicts(load_claims(), real, results).set_index("id")
    assert ledger.loc["mc_auc", "verdict"] == "not yet run"
    assert ledger.loc["mc_auc", "ours"] == "nearest: 81.50 to 89.00 %"
    assert "frozen head (4 iterations)" in ledger.loc["mc_auc", "computed_on"]


def test_no_number_from_synthetic_cells_stands_beside_a_claim(cells, results):
    ledger = verdicts(load_claims(), cells, results)
    assert not ledger["ours"].str.contains("nearest").any()
    assert not ledger["computed_on"].str.contains(LABEL).any()
    for name in ("claims", "claim_counts", "claim_causes"):
        assert LABEL not in to_html(build_table(name, cells, results), "Claims")


def test_every_work_has_a_source_and_the_papers_own_numbers_come_from_its_claims():
    table = load_literature()
    assert table["value"].between(0, 1).all()
    assert (table["source"] != "").all()
    own = table[table["work"] == "The paper reproduced here"].set_index("metric")["value"]
    claims = {claim.id: claim.value for claim in load_claims()}
    assert own["weighted F1"] == pytest.approx(claims["f1_test"] / 100)
    assert own["AUC"] == pytest.approx(claims["auc_test"] / 100)
    listed = table[table["protocol"] == "as the paper lists it"]
    assert len(listed) == 15


GOOD = "work: A, year: 2020, metric: F1, phase: final, protocol: p, source: s"


@pytest.mark.parametrize(
    "text,complaint",
    [
        ("literature: [", "not valid YAML"),
        ("other: []", "no list named 'literature'"),
        (f"literature: [{{{GOOD}}}]", "either a value or the id of a claim"),
        (f"literature: [{{{GOOD}, value: 9, claim: f1_test}}]", "either a value"),
        (f"literature: [{{{GOOD}, claim: guess}}]", "the claim 'guess'"),
        (f"literature: [{{{GOOD}, value: 101}}]", "A: value"),
        (f"literature: [{{{GOOD}, value: 9, verdict: good}}]", "A: verdict"),
    ],
)
def test_a_faulty_literature_file_is_refused_by_name(tmp_path, text, complaint):
    path = tmp_path / "literature.yml"
    path.write_text(text)
    with pytest.raises(RequestError, match=r"literature\.yml") as caught:
        load_literature(path)
    assert complaint in str(caught.value)


def drawn(cells, results):
    def table(name):
        return build_table(name, cells, results)

    iterations = results.get("monte_carlo", []) + results.get("monte_carlo_trained", [])
    leaking = results.get("leakage", []) + results.get("leakage_trained", [])
    return {
        "primary": figures.primary_forest(table("primary"), data_label=LABEL),
        "baselines": figures.baselines_dots(table("baselines"), data_label=LABEL),
        "search": figures.search(table("search"), table("search_parts"), data_label=LABEL),
        "factorial": figures.factorial_effects(table("factorial"), data_label=LABEL),
        "distributions": figures.monte_carlo_distributions(iterations, data_label=LABEL),
        "running": figures.monte_carlo_running(iterations, data_label=LABEL),
        "subjects": figures.monte_carlo_subjects(table("monte_carlo_subjects"), data_label=LABEL),
        "leakage": figures.leakage(leaking, table("leakage"), data_label=LABEL),
        "right": figures.right_and_wrong(table("right_and_wrong"), data_label=LABEL),
    }


SAID = {
    "primary": "Not complete, and left out: large.",
    "baselines": "cell area 0.700 fold 0 to 1 and 0.600 fold 1 to 0",
    "search": "rotated views +3.00, from +3.00 to +3.00",
    "factorial": "from 32 runs in 4 blocks: attention +2.00",
    "distributions": "frozen head by subject has a mean of 0.830, from 0.800 to 0.860 over 4",
    "running": "frozen head by subject stands at 0.820 after half and at 0.830 after all 4",
    "subjects": "HEM subjects lie between",
    "leakage": "small_cnn, 5 epochs, leaky less clean, 0.0",
    "right": "mean AUC of frozen head, by subject from 4 iterations",
}


@pytest.fixture(scope="module")
def pictures(cells, results):
    return drawn(cells, results)


@pytest.mark.parametrize("name", sorted(SAID))
def test_a_figure_says_its_numbers_and_its_data(name, pictures):
    figure = pictures[name]
    assert SAID[name] in figures.alt_text(figure)
    assert figures.alt_text(figure).endswith(f"Computed on {LABEL}.")
    assert LABEL in [text.get_text() for text in figure.texts]
    assert figures.to_svg(figure).startswith("<?xml")


def test_a_run_without_studies_gives_figures_that_say_so(cells):
    for name, figure in drawn(cells, Results()).items():
        assert figure.alt.startswith("Not in this run: "), name


def test_partly_run_studies_are_drawn_with_what_is_there(cells, results):
    some = Results({study: runs[:1] for study, runs in results.items()}, results.missing)
    alts = {name: figure.alt for name, figure in drawn(cells, some).items()}
    assert "over 1 iterations" in alts["distributions"]
    assert alts["leakage"].startswith("Not in this run: ")
