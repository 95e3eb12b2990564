"""Metrics: worked numbers, the choice of a threshold, and what is refused."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from lcc_utils.errors import DataError
from lcc_utils.evaluation.metrics import (
    choose_threshold,
    evaluate,
    evaluate_result,
)
from lcc_utils.evaluation.result import Result
from lcc_utils.evaluation.subjects import by_subject, subject_spread


def frame(labels, scores, subjects=None, partition="test"):
    subjects = subjects or [f"s{n}" for n in range(len(labels))]
    return pd.DataFrame(
        {
            "cell_id": [f"{partition}{n}" for n in range(len(labels))],
            "patient": subjects,
            "subject": subjects,
            "label": labels,
            "score": scores,
            "partition": partition,
        }
    )


def result(test, validation):
    both = pd.concat([test, validation], ignore_index=True)
    return Result.in_memory(
        key="0" * 16,
        study="training",
        variant="full",
        split="0 to 1",
        seed=0,
        settings={},
        record={},
        predictions=both,
        history=pd.DataFrame(),
    )


def test_worked_confusion_of_six_cells():
    found = evaluate([1, 1, 1, 1, 0, 0], [0.9, 0.8, 0.6, 0.2, 0.7, 0.1], 0.5)
    assert (found["tn"], found["fp"], found["fn"], found["tp"]) == (1, 1, 1, 3)
    assert (found["cells"], found["all_cells"], found["hem_cells"]) == (6, 4, 2)
    assert found["sensitivity"] == 0.75
    assert found["specificity"] == 0.5
    assert found["precision"] == 0.75
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["f1_weighted"] == pytest.approx((4 * 0.75 + 2 * 0.5) / 6)
    assert found["auc"] == pytest.approx(6 / 8)  # of 8 ALL-HEM pairs, 6 are in order


@pytest.mark.parametrize("seed", range(5))
def test_the_numbers_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 80)
    scores = np.round(np.clip(0.2 * labels + rng.normal(0.4, 0.25, 80), 0, 1), 1)
    for threshold in (0.0, 0.5, 1.0):
        found, called = evaluate(labels, scores, threshold), scores >= threshold
        f1 = f1_score(labels, called, average="weighted", zero_division=0)
        assert found["f1_weighted"] == pytest.approx(f1, abs=1e-12)
        assert found["accuracy"] == accuracy_score(labels, called)
        assert found["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_a_score_at_the_threshold_is_called_all():
    assert evaluate([1, 0], [0.5, 0.499], 0.5)["accuracy"] == 1


def test_the_counts_of_table_2_give_its_f1():
    labels = [0] * 982 + [1] * 1102
    scores = [0.0] * 964 + [1.0] * 18 + [0.0] * 26 + [1.0] * 1076
    found = evaluate(labels, scores, 0.5)
    assert round(100 * found["f1_weighted"], 2) == 97.89
    assert round(100 * found["auc"], 2) == 97.90


def test_one_class_gives_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate([1, 1], [0.2, 0.9], 0.5)
    assert math.isnan(found["auc"])
    assert math.isnan(found["specificity"])
    assert found["sensitivity"] == 0.5


@pytest.mark.parametrize(
    "labels,scores",
    [([], []), ([1, 0], [0.5, 1.2]), ([1, 0], [0.5, np.nan]), ([1, 2], [0.1, 0.2]), ([1], [0, 1])],
)
def test_what_is_not_a_prediction_is_refused(labels, scores):
    with pytest.raises(DataError):
        evaluate(labels, scores, 0.5)


def test_perfect_separation_takes_the_middle_of_the_gap():
    assert choose_threshold(frame([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9])) == pytest.approx(0.4)


def test_of_two_equal_plateaus_the_one_nearest_half_is_taken():
    # Cutting in (.1, .2] or in (.6, .7] leaves one error of the same weight; in between are two.
    predictions = frame([0, 1, 0, 1], [0.1, 0.2, 0.6, 0.7])
    cuts = [0.15, 0.4, 0.65]
    f1 = [evaluate(predictions["label"], predictions["score"], cut)["f1_weighted"] for cut in cuts]
    assert f1[0] == pytest.approx(f1[2])
    assert f1[1] < f1[0]
    assert choose_threshold(predictions) == pytest.approx(0.65)


def test_no_threshold_beats_the_chosen_one_and_row_order_does_not_matter():
    rng = np.random.default_rng(7)
    for _ in range(20):
        labels = rng.integers(0, 2, 60)
        scores = np.round(np.clip(0.3 * labels + rng.normal(0.35, 0.2, 60), 0, 1), 2)
        predictions = frame(labels, scores)
        chosen = choose_threshold(predictions)
        best = max(
            f1_score(labels, scores >= cut, average="weighted", zero_division=0)
            # A cut between two scores calls the cells that a cut at the higher one calls.
            for cut in (*np.unique(scores), 1.01)
        )
        ours = f1_score(labels, scores >= chosen, average="weighted", zero_division=0)
        assert ours == pytest.approx(best)
        assert choose_threshold(predictions.sample(frac=1, random_state=1)) == chosen


def test_neighbouring_floats_can_still_be_separated():
    low = 0.5
    high = np.nextafter(low, 1)
    predictions = frame([0, 1], [low, high])
    chosen = choose_threshold(predictions)
    assert evaluate(predictions["label"], predictions["score"], chosen)["accuracy"] == 1


def test_a_result_is_measured_at_the_validation_threshold():
    test = frame([0, 0, 1, 1], [0.1, 0.55, 0.7, 0.9], ["h1", "h1", "a1", "a2"])
    validation = frame([0, 1], [0.5, 0.8], partition="validation")
    found = evaluate_result(result(test, validation))
    assert found["threshold"] == pytest.approx(0.65)
    assert found["f1_weighted"] == 1
    assert found["specificity_at_half"] == 0.5
    assert (found["subjects"], found["all_subjects"], found["hem_subjects"]) == (3, 2, 1)
    assert (found["val_cells"], found["val_subjects"], found["val_f1_weighted"]) == (2, 2, 1)
    assert "auc_at_half" not in found


def test_a_result_without_validation_predictions_is_refused():
    with pytest.raises(DataError, match="no validation predictions"):
        evaluate_result(result(frame([0, 1], [0.1, 0.9]), frame([], [], partition="validation")))


def test_subjects_count_once_each_and_the_worst_is_named():
    predictions = frame(
        [1] * 6 + [0] * 2,
        [0.9, 0.9, 0.9, 0.1, 0.9, 0.2, 0.1, 0.2],
        ["10", "10", "10", "10", "2", "2", "H1", "H1"],
    )
    table = by_subject(predictions, 0.5)
    assert table["subject"].tolist() == ["2", "10", "H1"]
    assert table["accuracy"].tolist() == [0.5, 0.75, 1.0]
    spread = subject_spread(predictions, 0.5)
    assert spread["ALL"]["median"] == 0.625
    assert (spread["ALL"]["worst"], spread["ALL"]["subjects"]) == ("2", 2)
    assert spread["HEM"]["min"] == spread["HEM"]["max"] == 1
