"""Every table that the book shows, as a pure function of a run's cells and results.

Scores are rounded to six decimals and changes in points to four, so that a table recomputed on
another machine equals the stored one; how they are shown is ``report.formatting``'s matter. Each
frame says in ``attrs["data"]`` what it was computed on, taken from ``cells.attrs["label"]``.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from lcc_utils.evaluation.metrics import CLASSES, evaluate_result, natural, subject_spread
from lcc_utils.evaluation.result import Result
from lcc_utils.report.claims import load_claims, stated_deltas, verdicts
from lcc_utils.report.formatting import to_html, to_markdown

__all__ = [
    "TABLES",
    "ablation_runs_table",
    "build_table",
    "paired_changes",
    "to_html",
    "to_markdown",
]

Results = dict[str, list[Result]]
FULL = "full"
_SCORE, _POINT = 6, 4
_METRICS = ["auc", "f1_weighted", "f1_weighted_at_half", "sensitivity", "specificity", "threshold"]
_PHASES = ["train", "prelim", "final", "all"]


def build_table(name: str, cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Build one of :data:`TABLES`, naming its data.

    Parameters
    ----------
    name
        A key of ``TABLES``.
    cells
        One row a cell: ``label, patient, subject, phase, fold``; ``attrs["label"]`` names the data.
    results
        Results by study: ``training``, ``ablation``, ``smoke``. A study that is absent gives a
        table without rows.
    """
    frame = TABLES[name](cells, results)
    frame.attrs["data"] = cells.attrs.get("label", "")
    return frame


def cells_table(cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """Count cells, patients and subjects by phase, fold and class; totals of classes last."""
    named = _named(cells)
    counts = _count(named, ["phase", "fold", "class"])
    totals = _count(named.assign(phase="all", fold=pd.NA), ["phase", "fold", "class"])
    table = pd.concat([counts, totals[totals["class"] != "unlabelled"]], ignore_index=True)
    table["fold"] = table["fold"].astype("Int64")
    order = table["phase"].map(_PHASES.index)
    table = table.assign(order=order).sort_values(["order", "fold", "class"], kind="stable")
    return table.drop(columns="order").reset_index(drop=True)


def subjects_table(cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """List the subjects that hold more than one patient id, because these share cells."""
    rows = []
    for subject, group in _named(cells).groupby("subject"):
        patients = sorted(group["patient"].unique(), key=natural)
        if len(patients) > 1:
            places = {
                f"{phase} {fold}" if pd.notna(fold) else str(phase)
                for phase, fold in zip(group["phase"], group["fold"], strict=True)
            }
            classes = ", ".join(sorted(group["class"].unique()))
            row = [subject, classes, ", ".join(patients), ", ".join(sorted(places)), len(group)]
            rows.append(row)
    rows.sort(key=lambda row: natural(row[0]))
    return pd.DataFrame(rows, columns=["subject", "class", "patients", "folds", "cells"])


def training_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the headline metrics of each direction on its test cells."""
    rows = []
    for result in results.get("training", []):
        found = evaluate_result(result)
        rows.append(
            {"split": result.split}
            | {name: round(found[name], _SCORE) for name in _METRICS}
            | {"test_subjects": found["subjects"], "test_cells": found["cells"]}
            | {"training_cells": result.record["split"]["train"]}
        )
    columns = ["split", *_METRICS, "test_subjects", "test_cells", "training_cells"]
    return pd.DataFrame(rows, columns=columns)


def training_subjects_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the spread of accuracy over test subjects, by direction and class."""
    names = ["median", "q1", "q3", "min", "max"]
    rows = []
    for result in results.get("training", []):
        spread = subject_spread(result.test, evaluate_result(result)["threshold"])
        for kind, found in spread.items():
            row = {"split": result.split, "class": kind, "subjects": found["subjects"]}
            row |= {name: round(found[name], _SCORE) for name in names}
            rows.append(row | {"worst": found["worst"]})
    return pd.DataFrame(rows, columns=["split", "class", "subjects", *names, "worst"])


def ablation_table(cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Summarise each variant over its runs, beside the change that the paper states.

    ``auc`` and ``f1_weighted`` are means with least and most over the runs; the changes are the
    means of differences, in points, to the full model of the same split and seed.
    """
    runs = ablation_runs_table(cells, results)
    changes = paired_changes(runs)
    stated = stated_deltas(load_claims())
    rows = []
    for variant, group in runs.groupby("variant", sort=False):
        row: dict[str, object] = {"variant": variant, "runs": len(group)}
        for name in ("auc", "f1_weighted"):
            row[name] = round(group[name].mean(), _SCORE)
            row[f"{name}_min"], row[f"{name}_max"] = group[name].min(), group[name].max()
        own = changes[changes["variant"] == variant]
        row["auc_delta"] = round(own["auc_delta"].mean(), _POINT)
        row["f1_delta"] = round(own["f1_delta"].mean(), _POINT)
        rows.append(row | {"f1_delta_stated": stated.get(str(variant), float("nan"))})
    columns = ["variant", "runs", "auc", "auc_min", "auc_max", "f1_weighted", "f1_weighted_min"]
    columns += ["f1_weighted_max", "auc_delta", "f1_delta", "f1_delta_stated"]
    return pd.DataFrame(rows, columns=columns)


def ablation_runs_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give one row a run of the ablation, the full model first."""
    runs = sorted(results.get("ablation", []), key=_place)
    rows = []
    for result in runs:
        found = evaluate_result(result)
        row = {"variant": result.variant, "split": result.split, "seed": result.seed}
        row |= {name: round(found[name], _SCORE) for name in _METRICS}
        rows.append(row | {"best_epoch": result.record.get("best_epoch")})
    return pd.DataFrame(rows, columns=["variant", "split", "seed", *_METRICS, "best_epoch"])


def paired_changes(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each run's change in points to the full model of the same split and seed.

    Parameters
    ----------
    runs
        From :func:`ablation_runs_table`.

    Returns
    -------
    DataFrame
        ``variant, split, seed, auc_delta, f1_delta``, without the full model and without runs
        that have no full model beside them.
    """
    full = runs[runs["variant"] == FULL][["split", "seed", "auc", "f1_weighted"]]
    others = runs[runs["variant"] != FULL]
    both = others.merge(full, on=["split", "seed"], suffixes=("", "_full"))
    both["auc_delta"] = 100 * (both["auc"] - both["auc_full"])
    both["f1_delta"] = 100 * (both["f1_weighted"] - both["f1_weighted_full"])
    return both[["variant", "split", "seed", "auc_delta", "f1_delta"]]


def model_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """List the models that were trained, with their parameters."""
    columns = ["study", "variant", "backbone", "weights", "size"]
    columns += ["parameters_trainable", "parameters_total"]
    rows = []
    for study in sorted(results):
        for result in sorted(results[study], key=_place):
            settings, model = result.settings, result.record["model"]
            row = {"study": study, "variant": result.variant, "backbone": model["backbone"]}
            row["weights"] = settings.get("model", {}).get("weights") or "none"
            row["size"] = settings.get("pixels", {}).get("size")
            row |= {name: model[name] for name in ("parameters_trainable", "parameters_total")}
            rows.append(row)
    return pd.DataFrame(rows, columns=columns).drop_duplicates(ignore_index=True)


def claims_table(cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each claim of the paper, what we found and the verdict."""
    columns = ["claim", "where", "stated", "ours", "computed_on", "verdict"]
    return verdicts(load_claims(), cells, results)[columns]


TABLES: dict[str, Callable[[pd.DataFrame, Results], pd.DataFrame]] = {
    "cells": cells_table,
    "subjects": subjects_table,
    "training": training_table,
    "training_subjects": training_subjects_table,
    "ablation": ablation_table,
    "ablation_runs": ablation_runs_table,
    "model": model_table,
    "claims": claims_table,
}


def _named(cells: pd.DataFrame) -> pd.DataFrame:
    labels = cells["label"].map(CLASSES).astype(object)
    subject = cells["subject"] if "subject" in cells else cells["patient"]
    return cells.assign(
        **{"class": labels.where(labels.notna(), "unlabelled")},
        subject=subject.astype("string").fillna("").astype(object),
        patient=cells["patient"].astype("string").fillna("").astype(object),
    )


def _count(named: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    # A final-phase cell has no patient: an empty name is not one.
    groups = named.replace({"patient": {"": None}, "subject": {"": None}}).groupby(by, dropna=False)
    table = groups.agg(
        cells=("cell_id", "size"), patients=("patient", "nunique"), subjects=("subject", "nunique")
    )
    return table.reset_index()


def _place(result: Result) -> tuple:
    return (result.variant != FULL, result.variant, result.split, result.seed)
