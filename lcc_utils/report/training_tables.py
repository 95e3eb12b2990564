"""Tables of the training chapter: the primary analysis, official folds, baselines, the search."""

from __future__ import annotations

import pandas as pd

from lcc_utils.evaluation.result import Result, Results
from lcc_utils.evaluation.statistics import (
    delong,
    holm,
    paired_permutation,
    pooled,
    subject_intervals,
)
from lcc_utils.evaluation.subjects import subject_spread
from lcc_utils.report.literature import load_literature
from lcc_utils.report.rows import (
    METRICS,
    Runs,
    by_variant,
    change_summary,
    metric_frame,
    paired_changes,
    points,
    score,
    subjects_of,
    table,
    tested,
)

PRIMARY_METRICS = ("auc", "f1_weighted", "sensitivity", "specificity")
BASE = "base"
# More than these change the ends of an interval by less than the last decimal shown.
_REPLICATES, _PERMUTATIONS, _SEED = 2000, 2000, 0


def training_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the headline metrics of each direction on its test cells."""
    rows = []
    for result in results.get("training", []):
        found = result.metrics
        rows.append(
            {"split": result.split}
            | {name: score(found[name]) for name in METRICS}
            | {"test_subjects": found["subjects"], "test_cells": found["cells"]}
            | {"training_cells": result.record["split"]["train"]}
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


def primary_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each model's metrics on pooled out-of-fold predictions, with intervals over subjects.

    A model of which a part is missing has its parts counted and no numbers: what is pooled from
    some parts is measured on other subjects than the rest.
    """
    rows = []
    for runs in primary_runs(results):
        row: dict[str, object] = {"model": runs.variant}
        if runs.whole:
            predictions = pooled(runs.done)
            found = subject_intervals(
                predictions, metrics=PRIMARY_METRICS, replicates=_REPLICATES, seed=_SEED
            )
            for name in PRIMARY_METRICS:
                ends = {"": "estimate", "_low": "low", "_high": "high"}
                row |= {name + end: score(getattr(found[name], of)) for end, of in ends.items()}
            row |= _counted(predictions)
        rows.append(row | {"parts": len(runs.done), "planned": runs.planned})
    counts = ["subjects", "hem_subjects", "cells", "parts", "planned"]
    columns = [name + end for name in PRIMARY_METRICS for end in ("", "_low", "_high")]
    return table(rows, ["model", *columns, *counts], counts, ["model"])


def primary_comparisons_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Compare each model with the first one, on the same pooled out-of-fold predictions.

    ``p_permutation`` swaps the two models' scores subject by subject; ``p_holm`` is adjusted for
    the number of comparisons. DeLong's p takes cells for independent and stands as the contrast.
    """
    columns = ["model", "against", "auc_delta", "p_permutation", "p_holm", "p_delong"]
    counts = ["subjects", "cells"]
    whole = [runs for runs in primary_runs(results) if runs.whole]
    rows = []
    if whole:
        first = pooled(whole[0].done)
        for runs in whole[1:]:
            rows.append({"model": runs.variant, "against": whole[0].variant})
            rows[-1] |= _comparison(pooled(runs.done), first)
        adjusted = holm([row["p_permutation"] for row in rows])
        for row, p in zip(rows, adjusted, strict=True):
            row |= {"p_holm": score(p), "p_permutation": score(row["p_permutation"])}
    return table(rows, columns + counts, counts, ["model", "against"])


def primary_runs(results: Results) -> list[Runs]:
    """Return the parts of each model of the primary analysis; one seed of folds is pooled."""
    found = by_variant(results, "primary")
    seed = min((place.seed for runs in found for place in (*runs.done, *runs.missing)), default=0)
    return [
        Runs(
            runs.study,
            runs.variant,
            [result for result in runs.done if result.seed == seed],
            [place for place in runs.missing if place.seed == seed],
        )
        for runs in found
    ]


def search_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Order the variants of the search by their mean AUC, with the paired change to the base."""
    found = by_variant(results, "search")
    changes = paired_changes(metric_frame(r for runs in found for r in runs.done), BASE)
    rows = []
    for runs in found:
        scores = [result.metrics["auc"] for result in runs.done]
        row = {"variant": runs.variant, "runs": len(runs.done), "planned": runs.planned}
        row["auc"] = score(pd.Series(scores, dtype=float).mean())
        own = changes[changes["variant"] == runs.variant]
        rows.append(row | change_summary(own, ["auc_delta"]) | tested(runs.done))
    rows.sort(key=lambda row: (pd.isna(row["auc"]), -row["auc"]))
    columns = ["variant", "runs", "planned", "auc", "auc_delta", "auc_delta_min", "auc_delta_max"]
    counts = ["runs", "planned", "test_subjects", "test_cells"]
    return table(rows, columns + counts[2:], counts, ["variant"])


def baselines_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each model's AUC and weighted F1 in each direction, the best mean AUC first.

    Over several seeds these are means. A model without a result is listed without numbers.
    """
    found = by_variant(results, "baselines")
    done = [result for runs in found for result in runs.done]
    splits = sorted({result.split for result in done})
    rows = []
    for runs in found:
        scores = metric_frame(runs.done)
        row: dict[str, object] = {"model": runs.variant, "auc": scores["auc"].mean()}
        for name in ("auc", "f1_weighted"):
            means = scores.groupby("split")[name].mean() if len(scores) else {}
            row |= {f"{name}, {split}": score(means.get(split, float("nan"))) for split in splits}
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
        f"training_subjects{end}": subjects_of(result, "train"),
        f"training_cells{end}": result.record["split"]["train"],
    }


def _counted(predictions: pd.DataFrame) -> dict[str, int]:
    return {
        "subjects": predictions["subject"].nunique(),
        "hem_subjects": predictions.loc[predictions["label"] == 0, "subject"].nunique(),
        "cells": len(predictions),
    }


def _comparison(own: pd.DataFrame, first: pd.DataFrame) -> dict[str, float]:
    """Compare two models' predictions of the same cells, matched by cell."""
    keys = ["cell_id", "subject", "label"]
    both = own.merge(first, on=keys, suffixes=("", "_first"), validate="one_to_one")
    a = both[[*keys, "score", "called"]]
    b = both[[*keys, "score_first", "called_first"]]
    b = b.rename(columns={"score_first": "score", "called_first": "called"})
    difference, p = paired_permutation(a, b, "auc", permutations=_PERMUTATIONS, seed=_SEED)
    naive = delong(both["label"], both["score"], both["score_first"])
    return {
        "auc_delta": points(100 * difference),
        "p_permutation": p,
        "p_delong": score(naive.p),
        "subjects": both["subject"].nunique(),
        "cells": len(both),
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
            f"{r.record['split']['train']:,} cells of {subjects_of(r, 'train')} subjects"
            for r in by_split.values()
        ),
        "tested_on": "; ".join(
            f"{r.metrics['cells']:,} cells of {r.metrics['subjects']} subjects"
            for r in by_split.values()
        ),
    }
