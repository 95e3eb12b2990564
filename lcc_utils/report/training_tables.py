"""Tables of the training chapter: official folds, shared subjects and baselines."""

from __future__ import annotations

import pandas as pd

from lcc_utils.evaluation.result import Result, Results
from lcc_utils.evaluation.subjects import subject_spread
from lcc_utils.report.literature import load_literature
from lcc_utils.report.rows import (
    METRICS,
    Runs,
    by_variant,
    metric_frame,
    points,
    score,
    table,
    trained_cells,
    trained_subjects,
)


def training_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the headline metrics of each direction on its test cells."""
    rows = []
    for result in results.get("training", []):
        found = result.metrics
        rows.append(
            {"split": result.split}
            | {name: score(found[name]) for name in METRICS}
            | {"test_subjects": found["subjects"], "test_cells": found["cells"]}
            | {"training_cells": trained_cells(result)}
        )
    columns = ["split", *METRICS, "test_subjects", "test_cells", "training_cells"]
    return pd.DataFrame(rows, columns=columns)


def training_subjects_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the spread of accuracy over test subjects, by direction and class."""
    names = ["median", "q1", "q3", "min", "max"]
    rows = []
    for result in results.get("training", []):
        spread = subject_spread(result.test, result.metrics["threshold"])
        for kind, found in spread.items():
            row = {"split": result.split, "class": kind, "subjects": found["subjects"]}
            row |= {name: score(found[name]) for name in names}
            rows.append(row | {"worst": found["worst"]})
    return pd.DataFrame(rows, columns=["split", "class", "subjects", *names, "worst"])


def shared_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Set training without the subjects that also occur in the test fold beside training with.

    ``auc_delta`` is what keeping them changes, in points; both are tested on the same cells.
    ``leaked_cells`` are the training cells of subjects that are also tested.
    """
    runs = results.get("shared", [])
    kept = {(r.variant, _direction(r)): r for r in runs if r.protocol == "shared"}
    rows = []
    for result in (r for r in runs if r.protocol == "official"):
        other = kept.get((result.variant, _direction(result)))
        if other is None:
            continue
        clean, leaky = result.metrics["auc"], other.metrics["auc"]
        rows.append(
            {"model": result.variant, "split": result.split}
            | {"auc": score(clean), "auc_shared": score(leaky)}
            | {"auc_delta": points(100 * (leaky - clean))}
            | _trained(result, "")
            | _trained(other, "_shared")
            | {"leaked_cells": other.record["split"]["leaked"]}
            | {"test_subjects": result.metrics["subjects"], "test_cells": result.metrics["cells"]}
        )
    counts = [f"training_{what}{end}" for end in ("", "_shared") for what in ("subjects", "cells")]
    counts += ["leaked_cells", "test_subjects", "test_cells"]
    text = ["model", "split"]
    return table(rows, [*text, "auc", "auc_shared", "auc_delta", *counts], counts, text)


def baselines_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each model's AUC and weighted F1 in each direction, the best mean AUC first.

    Over several seeds these are means. A model without a result in every direction has no rank:
    it is listed last.
    """
    found = by_variant(results, "baselines")
    done = [result for runs in found for result in runs.done]
    splits = sorted({result.split for result in done})
    rows = []
    for runs in found:
        scores = metric_frame(runs.done)
        row: dict[str, object] = {"model": runs.variant}
        for name in ("auc", "f1_weighted"):
            means = scores.groupby("split")[name].mean() if len(scores) else {}
            row |= {f"{name}, {split}": score(means.get(split, float("nan"))) for split in splits}
        # One direction alone gives nan: such a model is not ranked.
        row["auc"] = sum(row[f"auc, {split}"] for split in splits) if splits else float("nan")
        rows.append(row | _model(runs) | {"runs": len(runs.done), "planned": runs.planned})
    rows.sort(key=lambda row: (pd.isna(row["auc"]), -row["auc"]))
    directions = [f"{name}, {split}" for name in ("auc", "f1_weighted") for split in splits]
    counts = ["parameters_trainable", "size", "runs", "planned"]
    text = ["model", "protocol", "trained_on", "tested_on"]
    columns = ["model", *counts[:2], "protocol", *directions, "trained_on", "tested_on"]
    return table(rows, columns + counts[2:], counts, text)


def literature_table(_cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """List what others report on C-NMC, each with phase, protocol and source."""
    return load_literature()


def _direction(result: Result) -> tuple[str, str, int]:
    return result.variant, result.split.partition(",")[0], result.seed


def _trained(result: Result, end: str) -> dict[str, int]:
    return {
        f"training_subjects{end}": trained_subjects(result),
        f"training_cells{end}": trained_cells(result),
    }


def _model(runs: Runs) -> dict[str, object]:
    """Return what the records say of a model and of the cells it was trained and tested on."""
    if not runs.done:
        return {"protocol": "", "trained_on": "", "tested_on": ""}
    first = runs.done[0]
    by_split = {result.split: result for result in sorted(runs.done, key=lambda r: r.split)}
    return {
        "parameters_trainable": first.record["model"].get("parameters_trainable"),
        "size": first.settings.get("pixels", {}).get("size"),
        "protocol": first.protocol,
        "trained_on": "; ".join(
            f"{trained_cells(r):,} cells of {trained_subjects(r)} subjects"
            for r in by_split.values()
        ),
        "tested_on": "; ".join(
            f"{r.metrics['cells']:,} cells of {r.metrics['subjects']} subjects"
            for r in by_split.values()
        ),
    }
