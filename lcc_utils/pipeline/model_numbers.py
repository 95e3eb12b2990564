"""What a model directory states of scores: calibration, thresholds and what was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lcc_utils.errors import RequestError
from lcc_utils.evaluation.calibration import calibrate, fit_platt, logits
from lcc_utils.evaluation.metrics import choose_threshold
from lcc_utils.report.rows import Runs

__all__ = ["calibration", "measured", "pooled", "short", "thresholds"]

# Share of cells around the threshold that are not called.
UNSURE = 0.10
_MEASURES = {
    "auc": "AUC", "f1_weighted": "weighted F1", "sensitivity": "sensitivity",
    "specificity": "specificity",
}  # fmt: skip


def pooled(runs: Runs) -> pd.DataFrame:
    """Return the test predictions of all parts of a cross-validation."""
    return pd.concat([result.test for result in runs.done], ignore_index=True)


def calibration(own: pd.DataFrame, where: str) -> dict[str, Any]:
    """Fit slope and intercept: a temperature alone cannot mend what a weighted loss shifts."""
    scaling = fit_platt(own["label"], own["score"])
    if scaling.slope <= 0:
        raise RequestError("Held-out scores do not rise with the class: the model has not learned.")
    return {
        "temperature": short(1 / scaling.slope), "shift": short(scaling.intercept),
        "basis": f"maximum likelihood on {where}",
    }  # fmt: skip


def thresholds(own: pd.DataFrame, where: str) -> dict[str, Any]:
    """Choose the best weighted F1, and around it the tenth of cells that are nearest."""
    decision = choose_threshold(own)
    middle = logits([decision])[0]
    half = np.quantile(np.abs(logits(own["score"]) - middle), UNSURE)
    low, high = 1 / (1 + np.exp(-(middle - half))), 1 / (1 + np.exp(-(middle + half)))
    return {
        "decision": short(decision), "unsure_low": short(low), "unsure_high": short(high),
        "basis": f"best weighted F1 on {where}; {UNSURE:.0%} of them lie in the band",
    }  # fmt: skip


def measured(runs: Runs, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the honest numbers of a model: of its like, on subjects that they had not seen."""
    row = table[table["model"] == runs.variant].iloc[0]
    found = [_measure(shown, row, name) for name, shown in _MEASURES.items()]
    test = calibrate(runs.done).test
    for column, shown in (("score", "score"), ("platt", "calibrated probability")):
        value = float(((test[column] - test["label"]) ** 2).mean())
        found.append({"name": f"Brier score of the {shown}", "value": round(value, 6)})
    return found + _selective(runs)


def _measure(shown: str, row: pd.Series, name: str) -> dict[str, Any]:
    """Return one number; with few subjects there is no interval, and so none is stated."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    known = pd.notna(low) and pd.notna(high)
    return {"name": shown, "value": row[name], **({"low": low, "high": high} if known else {})}


def _selective(runs: Runs) -> list[dict[str, Any]]:
    """Measure what the band leaves, when each part takes it from its own validation cells."""
    right, judged = [], []
    for result in runs.done:
        own, test = thresholds(result.validation, ""), result.test
        called = test["score"] >= own["decision"]
        right.append((called == (test["label"] == 1)).to_numpy())
        judged.append(~test["score"].between(own["unsure_low"], own["unsure_high"]).to_numpy())
    correct, outside = np.concatenate(right), np.concatenate(judged)
    return [
        {"name": "accuracy on all cells", "value": round(float(correct.mean()), 6)},
        {"name": "share of cells outside the band", "value": round(float(outside.mean()), 6)},
        {"name": "accuracy outside the band", "value": round(float(correct[outside].mean()), 6)},
    ]


def short(value: float) -> float:
    """Return a number as it is kept, to six digits."""
    return float(f"{value:.6g}")
