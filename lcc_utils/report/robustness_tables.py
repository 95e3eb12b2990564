"""Tables about test images that are changed: by how much, and what it does to each model.

The numbers of models are functions of the scores that a run keeps (``Results.measured``) and of
each experiment's own threshold; a run without them gives a table without rows. Intervals are of
differences: a subject is left out with and without the change at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from lcc_utils.data.shift_scales import SCALES, SEVERITIES
from lcc_utils.evaluation.paired import paired_intervals
from lcc_utils.evaluation.result import Results
from lcc_utils.evaluation.shifted import curve, predictions
from lcc_utils.report.rows import HEADLINE, ends, score, table, with_ends

STUDIES = ("robustness",)
GREATEST = SEVERITIES[-1]
_CHANGES = with_ends(*HEADLINE.values())
_SIZES = ["subjects", "cells"]


def shifts_table(_cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """Say what each shift changes, and by how much at each severity."""
    rows = [
        {"shift": name, "changed": scale.what}
        | {f"severity_{severity}": scale.text(severity) for severity in SEVERITIES}
        for name, scale in SCALES.items()
    ]
    return pd.DataFrame(rows)


def robustness_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each model under each shift at the greatest severity, beside the same cells unchanged.

    ``severity`` says how far that is. Calls are at the experiment's own threshold, chosen on
    unchanged validation cells: a shift may keep the order of the scores, and so the AUC, while it
    moves all of them to one side.
    """
    rows = []
    for model, scores, threshold in _models(results):
        base = predictions(scores, "", 0, threshold)
        before = curve(scores, "", [0], threshold).iloc[0]
        for name, scale in SCALES.items():
            after = curve(scores, name, [GREATEST], threshold).iloc[0]
            row: dict[str, object] = {
                "model": model, "shift": name, "severity": scale.text(GREATEST),
            }  # fmt: skip
            for metric in ("auc", "sensitivity", "specificity"):
                row |= {f"{metric}_unchanged": score(before[metric])}
                row |= {f"{metric}_shifted": score(after[metric])}
            changed = predictions(scores, name, GREATEST, threshold)
            rows.append(row | _changes(base, [changed]) | _sizes(scores))
    columns = ["model", "shift", "severity", "auc_unchanged", "auc_shifted", *_CHANGES]
    for metric in ("sensitivity", "specificity"):
        columns += [f"{metric}_unchanged", f"{metric}_shifted"]
    return table(rows, [*columns, *_SIZES], _SIZES, ["model", "shift", "severity"])


def robustness_summary_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each model's mean change over all shifts and severities, and its worst shift.

    The mean over kinds of change and their severities is that of Hendrycks and Dietterich (2019,
    arXiv 1903.12261), here of AUC and weighted F1 and relative to the unchanged images. The
    worst shift is that of the lowest AUC at the greatest severity.
    """
    rows = []
    for model, scores, threshold in _models(results):
        base = predictions(scores, "", 0, threshold)
        before = curve(scores, "", [0], threshold).iloc[0]
        every = [
            predictions(scores, name, severity, threshold)
            for name in SCALES
            for severity in SEVERITIES
        ]
        last = {n: curve(scores, n, [GREATEST], threshold).iloc[0]["auc"] for n in SCALES}
        worst = min(last, key=last.__getitem__)
        rows.append(
            {"model": model, "worst_shift": worst, "auc_worst": score(last[worst])}
            | {f"{metric}_unchanged": score(before[metric]) for metric in HEADLINE}
            | _changes(base, every)
            | _sizes(scores)
        )
    columns = ["model", "auc_unchanged", *_CHANGES[:3], "f1_weighted_unchanged", *_CHANGES[3:]]
    columns += ["worst_shift", "auc_worst", *_SIZES]
    return table(rows, columns, _SIZES, ["model", "worst_shift"])


def shift_curves(results: Results) -> pd.DataFrame:
    """Return ``model, shift, severity`` and metrics in 0 to 1, severity 0 being unchanged."""
    found = [
        curve(scores, name, (0, *SEVERITIES), threshold).assign(model=model, shift=name)
        for model, scores, threshold in _models(results)
        for name in SCALES
    ]
    columns = ["model", "shift", "severity", "auc", "f1_weighted", "sensitivity", "specificity"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _models(results: Results) -> Iterator[tuple[str, pd.DataFrame, float]]:
    """Yield each model's name, its scores and its threshold, in the order of the study."""
    scores = results.measured.get("robustness", {}).get("shifted")
    seen: set[str] = set()
    for result in results.get("robustness", []) if scores is not None else []:
        own = scores[scores["model"] == result.variant].reset_index(drop=True)
        # Of several splits or seeds, the first was measured.
        if len(own) and result.variant not in seen:
            seen.add(result.variant)
            yield result.variant, own, float(result.metrics["threshold"])


def _changes(base: pd.DataFrame, changed: list[pd.DataFrame]) -> dict[str, object]:
    found = paired_intervals([base], changed, tuple(HEADLINE))
    return {
        column: value
        for metric, name in HEADLINE.items()
        for column, value in ends(name, found[metric], 100).items()
    }


def _sizes(scores: pd.DataFrame) -> dict[str, int]:
    return {"subjects": scores["subject"].nunique(), "cells": len(scores)}
