"""Tables of calibration: what scores mean, and what is decided by them, on pooled predictions.

The models are those of the primary analysis of which every part is there. Each part is scaled on
its own validation subjects; intervals leave out test subjects and take the scaling as it is.
Whether Platt scaling is used is chosen on validation; scores as they are stand beside.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lcc_utils.evaluation.calibration import SCALINGS, Calibrated, calibrate
from lcc_utils.evaluation.decisions import (
    HALF,
    area,
    confidence,
    least_confidence,
    subject_decisions,
    threshold_for_sensitivity,
    wrong,
)
from lcc_utils.evaluation.intervals import Interval, clopper_pearson
from lcc_utils.evaluation.metrics import CLASSES, natural
from lcc_utils.evaluation.reliability import (
    brier_interval,
    calibration_error,
    error_interval,
)
from lcc_utils.evaluation.result import Results
from lcc_utils.evaluation.statistics import auc_interval
from lcc_utils.evaluation.subject_intervals import subject_intervals
from lcc_utils.evaluation.subject_sums import share_interval, subjects_of
from lcc_utils.report.primary_tables import primary_runs
from lcc_utils.report.rows import ends, score, table, with_ends

STUDIES = ("primary",)
SENSITIVITIES = (0.90, 0.95, 0.99)
RISKS = (0.05, 0.10)
# The two that stand beside each other wherever a probability is needed.
SHOWN = {"score": SCALINGS["score"], "platt": SCALINGS["platt"]}
WORST = 10
RULES = {"mean": "mean probability", "share": "share of cells called ALL"}
_RANGE = ("low", "high")


def calibrated_models(results: Results) -> list[tuple[str, Calibrated]]:
    """Return each whole model of the primary analysis with its scores scaled.

    A model is left out if a part of it has validation cells of one class alone.
    """
    return [
        (runs.variant, calibrate(runs.done))
        for runs in primary_runs(results)
        if runs.whole
        and all(r.metrics["val_all_cells"] and r.metrics["val_hem_cells"] for r in runs.done)
    ]


def calibration_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give calibration error and Brier score of each model before and after scaling.

    ``ece_parts`` are the least and the most of the parts, which can err in opposite directions;
    ``brier_change`` is against the scores as they are, a subject left out of both at once.
    ``chosen`` says which of raw scores and Platt scaling is used, by the validation subjects.
    """
    rows = []
    for model, found in calibrated_models(results):
        for column, name in SCALINGS.items():
            rows.append({"model": model, "scaling": name})
            rows[-1] |= _errors(found, column) | _parameters(found, column)
            rows[-1]["chosen"] = _yes(column == found.chosen)
            rows[-1] |= _validation_hem(found) | _counted(found.test)
    columns = [
        "model",
        "scaling",
        "chosen",
        *with_ends("ece"),
        "ece_parts_low",
        "ece_parts_high",
        "ece_width",
    ]
    columns += [*with_ends("brier"), *with_ends("brier_change")]
    columns += [f"{n}_{end}" for n in ("temperature", "slope", "intercept") for end in _RANGE]
    validation = [f"validation_hem_{end}" for end in _RANGE]
    return _with_counts(rows, columns + validation, ["model", "scaling", "chosen"], validation)


def operating_points_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Choose thresholds on validation for a stated sensitivity; give what they reach on test."""
    rows = []
    for model, found in calibrated_models(results):
        truth = found.test["label"].to_numpy()
        for stated in SENSITIVITIES:
            chosen = found.by_part(
                lambda own, s=stated: threshold_for_sensitivity(own["label"], own["score"], s)
            )
            called = found.test["score"] >= found.test["part"].map(chosen)
            test = found.test.assign(called=called.astype(np.int64))
            reached = subject_intervals(test, metrics=("sensitivity", "specificity"))
            parts = called[truth == 1].groupby(test.loc[truth == 1, "part"]).mean()
            rows.append({"model": model, "stated_sensitivity": stated})
            for name, own in reached.items():
                rows[-1] |= ends(name, own)
            rows[-1] |= _spread("sensitivity_parts", parts) | _spread("thresholds", chosen)
            rows[-1] |= _counted(test)
    columns = ["model", "stated_sensitivity", *with_ends("sensitivity"), *with_ends("specificity")]
    columns += [f"{name}_{end}" for name in ("sensitivity_parts", "thresholds") for end in _RANGE]
    return _with_counts(rows, columns, ["model"])


def selective_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Judge only the cells whose probability is far from one half, as scored and after Platt.

    How far is chosen on each part's validation cells so that at most the stated share of calls is
    wrong there. ``risk`` is that share among the cells judged on test, ``coverage`` their share
    of all; where no cell is judged in a part, that part has a coverage of 0.
    """
    rows = []
    for model, found in calibrated_models(results):
        for column, name in SHOWN.items():
            head = {"model": model, "scaling": name, "chosen": _yes(column == found.chosen)}
            rows += [head | own for own in _judged(found, column)]
    columns = [
        "model",
        "scaling",
        "chosen",
        "stated_risk",
        *with_ends("coverage"),
        *with_ends("risk"),
    ]
    columns += ["parts_unjudged", *with_ends("risk_whole"), *with_ends("area")]
    return _with_counts(rows, columns, ["model", "scaling", "chosen"], ["parts_unjudged"])


def _judged(found: Calibrated, column: str) -> list[dict[str, object]]:
    """Return a row for each stated risk, by the probabilities of one column."""
    test, subjects = found.test, subjects_of(found.test)
    errors, every = wrong(test["label"], test[column]), np.ones(len(test))
    whole = ends("risk_whole", share_interval(errors, every, subjects))
    whole |= ends("area", area(test, column))
    rows = []
    for stated in RISKS:
        least = found.by_part(lambda own, r=stated: least_confidence(own["label"], own[column], r))
        kept = (confidence(test[column]) >= test["part"].map(least)).to_numpy(float)
        rows.append({"stated_risk": stated})
        rows[-1] |= ends("coverage", share_interval(kept, every, subjects))
        rows[-1] |= ends("risk", share_interval(errors * kept, kept, subjects))
        rows[-1] |= whole | {"parts_unjudged": int(np.isinf(least).sum())} | _counted(test)
    return rows


def subject_decisions_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Decide about subjects from all their cells, by two rules; a subject counts once.

    A subject is called ALL from one half on. ``sensitivity`` and ``specificity`` are shares of
    subjects called right, with exact intervals (Clopper and Pearson); the AUC is over subjects.
    """
    rows = []
    for model, found in calibrated_models(results):
        for scaling, name in SHOWN.items():
            people = subject_decisions(found.test, scaling)
            head = {"model": model, "scaling": name, "chosen": _yes(scaling == found.chosen)}
            for column, rule in RULES.items():
                rows.append(head | {"rule": rule} | _decided(people, column))
                rows[-1]["cells"] = len(found.test)
    counts = ["all_wrong", "all_subjects", "hem_wrong", "hem_subjects", "cells"]
    text = ["model", "scaling", "chosen", "rule", "wrong"]
    columns = [
        *text[:4],
        *with_ends("sensitivity"),
        *counts[:2],
        *with_ends("specificity"),
        *counts[2:4],
    ]
    return table(rows, [*columns, *with_ends("auc"), "wrong", "cells"], counts, text)


def _decided(people: pd.DataFrame, column: str) -> dict[str, object]:
    """Return what one rule decides: shares of subjects called right, and whom it fails."""
    missed = (people[column] >= HALF) != (people["label"] == 1)
    row = ends("auc", auc_interval(people["label"], people[column]))
    for label, share in ((1, "sensitivity"), (0, "specificity")):
        own, name = people["label"] == label, CLASSES[label].lower()
        number, failed = int(own.sum()), int((missed & own).sum())
        exact = Interval(1 - failed / number, *clopper_pearson(number - failed, number))
        row |= ends(share, exact) | {f"{name}_wrong": failed, f"{name}_subjects": number}
    return row | {"wrong": ", ".join(people.loc[missed, "subject"])}


def worst_subjects_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Name the subjects of the first model of whose cells the smallest share is called right.

    The calls are those of the primary analysis, at the threshold of the part.
    """
    rows = []
    for model, found in calibrated_models(results)[:1]:
        people = subject_decisions(found.test, found.chosen)
        people["_order"] = people["subject"].map(natural)
        for _, own in people.sort_values(["accuracy", "_order"]).head(WORST).iterrows():
            rows.append(
                {"subject": own["subject"], "class": CLASSES[own["label"]], "model": model}
                | {"accuracy": score(own["accuracy"]), "mean_score": score(own["mean_score"])}
                | {"mean_probability": score(own["mean"]), "cells": own["cells"]}
            )
    text, numbers = ["subject", "class"], ["accuracy", "mean_score", "mean_probability"]
    return table(rows, [*text, "cells", *numbers, "model"], ["cells"], [*text, "model"])


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def _spread(name: str, values: Iterable[float]) -> dict[str, float]:
    """Return the least and the most of the parts."""
    values = list(values)
    return {f"{name}_low": score(min(values)), f"{name}_high": score(max(values))}


def _errors(found: Calibrated, column: str) -> dict[str, float]:
    test = found.test
    row = ends("ece", error_interval(test, column))
    parts = [calibration_error(own["label"], own[column]) for _, own in test.groupby("part")]
    row |= _spread("ece_parts", parts)
    row["ece_width"] = score(calibration_error(test["label"], test[column], kind="equal width"))
    row |= ends("brier", brier_interval(test, column))
    if column != "score":
        row |= ends("brier_change", brier_interval(test, column, "score"))
    return row


def _parameters(found: Calibrated, column: str) -> dict[str, float]:
    if column == "temperature":
        return _spread("temperature", (own.temperature for own in found.temperatures))
    if column == "platt":
        return _spread("slope", (own.slope for own in found.platts)) | _spread(
            "intercept", (own.intercept for own in found.platts)
        )
    return {}


def _validation_hem(found: Calibrated) -> dict[str, int]:
    hem = found.validation[found.validation["label"] == 0]
    counts = hem.groupby("part")["subject"].nunique()
    return {"validation_hem_low": int(counts.min()), "validation_hem_high": int(counts.max())}


def _counted(test: pd.DataFrame) -> dict[str, int]:
    return {
        "subjects": test["subject"].nunique(),
        "hem_subjects": test.loc[test["label"] == 0, "subject"].nunique(),
        "cells": len(test),
    }


def _with_counts(
    rows: list[dict], columns: list[str], text: list[str], more: Iterable[str] = ()
) -> pd.DataFrame:
    counts = ["subjects", "hem_subjects", "cells"]
    return table(rows, columns + counts, [*counts, *more], text)
