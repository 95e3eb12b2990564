"""Tables of calibration: what scores mean, and what is decided by them, on pooled predictions.

The models are those of the primary analysis of which every part is there. Each part is scaled on
its own validation subjects; intervals draw test subjects and take the scaling as it is.
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
from lcc_utils.evaluation.metrics import CLASSES, natural
from lcc_utils.evaluation.reliability import (
    brier_interval,
    calibration_error,
    error_interval,
)
from lcc_utils.evaluation.resampling import Interval, subject_intervals
from lcc_utils.evaluation.result import Results
from lcc_utils.evaluation.subject_sums import share_interval, subjects_of
from lcc_utils.report.rows import score, table
from lcc_utils.report.training_tables import primary_runs

STUDIES = ("primary",)
SENSITIVITIES = (0.90, 0.95, 0.99)
RISKS = (0.05, 0.10)
# What stands for "calibrated" wherever one probability is needed.
CHOSEN = "platt"
WORST = 10
RULES = {"mean": "mean calibrated probability", "share": "share of cells called ALL"}
_DRAWS = {"replicates": 1000, "seed": 0}
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
    ``brier_change`` is against the scores as they are, the same subjects drawn for both.
    """
    rows = []
    for model, found in calibrated_models(results):
        for column, name in SCALINGS.items():
            rows.append({"model": model, "scaling": name})
            rows[-1] |= _errors(found, column) | _parameters(found, column)
            rows[-1] |= _validation_hem(found) | _counted(found.test)
    columns = ["model", "scaling", *_ends("ece"), "ece_parts_low", "ece_parts_high", "ece_width"]
    columns += [*_ends("brier"), *_ends("brier_change")]
    columns += [f"{n}_{end}" for n in ("temperature", "slope", "intercept") for end in _RANGE]
    validation = [f"validation_hem_{end}" for end in _RANGE]
    return _with_counts(rows, columns + validation, ["model", "scaling"], validation)


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
            reached = subject_intervals(test, metrics=("sensitivity", "specificity"), **_DRAWS)
            parts = called[truth == 1].groupby(test.loc[truth == 1, "part"]).mean()
            rows.append({"model": model, "stated_sensitivity": stated})
            for name, own in reached.items():
                rows[-1] |= _shown(name, own)
            rows[-1] |= _spread("sensitivity_parts", parts) | _spread("thresholds", chosen)
            rows[-1] |= _counted(test)
    columns = ["model", "stated_sensitivity", *_ends("sensitivity"), *_ends("specificity")]
    columns += [f"{name}_{end}" for name in ("sensitivity_parts", "thresholds") for end in _RANGE]
    return _with_counts(rows, columns, ["model"])


def selective_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Judge only the cells whose calibrated probability is far from one half.

    How far is chosen on each part's validation cells so that at most the stated share of calls is
    wrong there. ``risk`` is that share among the cells judged on test, ``coverage`` their share
    of all; where no cell is judged in a part, that part has a coverage of 0.
    """
    rows = []
    for model, found in calibrated_models(results):
        test, subjects = found.test, subjects_of(found.test)
        errors, every = wrong(test["label"], test[CHOSEN]), np.ones(len(test))
        whole = _shown("risk_whole", share_interval(errors, every, subjects, **_DRAWS))
        whole |= _shown("area", area(test, CHOSEN, **_DRAWS))
        for stated in RISKS:
            least = found.by_part(
                lambda own, r=stated: least_confidence(own["label"], own[CHOSEN], r)
            )
            kept = (confidence(test[CHOSEN]) >= test["part"].map(least)).to_numpy(float)
            judged = {
                "coverage": share_interval(kept, every, subjects, **_DRAWS),
                "risk": share_interval(errors * kept, kept, subjects, **_DRAWS),
            }
            rows.append({"model": model, "stated_risk": stated})
            rows[-1] |= {k: v for name, own in judged.items() for k, v in _shown(name, own).items()}
            rows[-1] |= whole | {"parts_unjudged": int(np.isinf(least).sum())} | _counted(test)
    columns = ["model", "stated_risk", *_ends("coverage"), *_ends("risk"), "parts_unjudged"]
    columns += [*_ends("risk_whole"), *_ends("area")]
    return _with_counts(rows, columns, ["model"], ["parts_unjudged"])


def subject_decisions_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Decide about subjects from all their cells, by two rules; a subject counts once.

    A subject is called ALL from one half on. The AUC is over subjects; below six subjects of a
    class it has no interval.
    """
    rows = []
    for model, found in calibrated_models(results):
        people = subject_decisions(found.test, CHOSEN)
        for column, rule in RULES.items():
            scored = people.assign(score=people[column])
            missed = (people[column] >= HALF) != (people["label"] == 1)
            rows.append({"model": model, "rule": rule})
            rows[-1] |= _shown("auc", subject_intervals(scored, None, ("auc",), **_DRAWS)["auc"])
            for label, name in CLASSES.items():
                own = people["label"] == label
                rows[-1] |= {f"{name.lower()}_wrong": int((missed & own).sum())}
                rows[-1] |= {f"{name.lower()}_subjects": int(own.sum())}
            rows[-1] |= {
                "wrong": ", ".join(people.loc[missed, "subject"]),
                "cells": len(found.test),
            }
    counts = ["all_wrong", "all_subjects", "hem_wrong", "hem_subjects", "cells"]
    text = ["model", "rule", "wrong"]
    return table(
        rows, ["model", "rule", *_ends("auc"), *counts[:4], "wrong", "cells"], counts, text
    )


def worst_subjects_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Name the subjects of the first model of whose cells the smallest share is called right.

    The calls are those of the primary analysis, at the threshold of the part.
    """
    rows = []
    for model, found in calibrated_models(results)[:1]:
        people = subject_decisions(found.test, CHOSEN)
        people["_order"] = people["subject"].map(natural)
        for _, own in people.sort_values(["accuracy", "_order"]).head(WORST).iterrows():
            rows.append(
                {"subject": own["subject"], "class": CLASSES[own["label"]], "model": model}
                | {"accuracy": score(own["accuracy"]), "mean_score": score(own["mean_score"])}
                | {"calibrated_mean": score(own["mean"]), "cells": own["cells"]}
            )
    text, numbers = ["subject", "class"], ["accuracy", "mean_score", "calibrated_mean"]
    return table(rows, [*text, "cells", *numbers, "model"], ["cells"], [*text, "model"])


def _ends(name: str) -> list[str]:
    return [name, f"{name}_low", f"{name}_high"]


def _shown(name: str, found: Interval) -> dict[str, float]:
    values = (found.estimate, found.low, found.high)
    return {column: score(value) for column, value in zip(_ends(name), values, strict=True)}


def _spread(name: str, values: Iterable[float]) -> dict[str, float]:
    """Return the least and the most of the parts."""
    values = list(values)
    return {f"{name}_low": score(min(values)), f"{name}_high": score(max(values))}


def _errors(found: Calibrated, column: str) -> dict[str, float]:
    test = found.test
    row = _shown("ece", error_interval(test, column, **_DRAWS))
    parts = [calibration_error(own["label"], own[column]) for _, own in test.groupby("part")]
    row |= _spread("ece_parts", parts)
    row["ece_width"] = score(calibration_error(test["label"], test[column], kind="equal width"))
    row |= _shown("brier", brier_interval(test, column, **_DRAWS))
    if column != "score":
        row |= _shown("brier_change", brier_interval(test, column, "score", **_DRAWS))
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
