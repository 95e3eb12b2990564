"""Tables of the training chapter: the primary analysis, official folds, baselines, the search."""

from __future__ import annotations

import pandas as pd

from lcc_utils.evaluation.intervals import Interval
from lcc_utils.evaluation.resampling import paired_permutation, pooled
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.evaluation.statistics import delong, holm
from lcc_utils.evaluation.subject_intervals import (
    BY_CELLS,
    ESTIMANDS,
    difference_intervals,
    effective_subjects,
    influence,
    subject_intervals,
)
from lcc_utils.evaluation.subjects import subject_spread
from lcc_utils.report.literature import load_literature
from lcc_utils.report.rows import (
    METRICS,
    Runs,
    by_variant,
    change_summary,
    ends,
    metric_frame,
    paired_changes,
    points,
    score,
    table,
    tested,
    trained_cells,
    trained_subjects,
    with_ends,
)

PRIMARY_METRICS = ("auc", "f1_weighted", "sensitivity", "specificity")
BASE = "base"
AT_HALF = "f1_weighted_at_half"
# The table shows no smaller p: that of DeLong's test may round to 0.
LEAST_P = 1e-6
# What stands for an estimand where parts are missing.
INCOMPLETE = "not complete"
PRIMARY_COUNTS = ["subjects", "hem_subjects", "cells", "parts", "planned"]
PRIMARY_COLUMNS = [
    "model",
    "estimand",
    *with_ends("auc", "f1_weighted", AT_HALF, "sensitivity", "specificity"),
    "effective_all",
    "effective_hem",
    *PRIMARY_COUNTS,
]
_SEED = 0


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


def primary_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each model's metrics on pooled out-of-fold predictions, in both estimands.

    ``estimand`` says whether cells are pooled or subjects count equally; see
    ``evaluation.subject_intervals``. Weighted F1 at .5 stands beside that at the chosen
    threshold. ``effective_hem`` and ``effective_all`` are the effective numbers of subjects (Kish)
    where cells are pooled. A model of which a part is missing has its parts counted and no
    numbers: what is pooled from some parts is measured on other subjects than the rest.
    """
    rows = []
    for runs in primary_runs(results):
        parts = {"parts": len(runs.done), "planned": runs.planned}
        if not runs.whole:
            rows.append({"model": runs.variant, "estimand": INCOMPLETE} | parts)
            continue
        rows += estimated_rows(runs.variant, runs.done, parts)
    return table(rows, PRIMARY_COLUMNS, PRIMARY_COUNTS, ["model", "estimand"])


def estimated_rows(model: str, results: list[Result], counts: dict[str, int]) -> list[dict]:
    """Return a row for each estimand of a model's pooled test predictions."""
    predictions = pooled(results)
    counts = _counted(predictions) | counts
    return [
        {"model": model, "estimand": estimand} | _estimated(predictions, estimand) | counts
        for estimand in ESTIMANDS
    ]


def _estimated(predictions: pd.DataFrame, estimand: str) -> dict[str, object]:
    row: dict[str, object] = {}
    found = subject_intervals(predictions, None, PRIMARY_METRICS, estimand)
    half = subject_intervals(predictions, 0.5, ("f1_weighted",), estimand)["f1_weighted"]
    for name, own in (found | {AT_HALF: half}).items():
        row |= ends(name, own)
    if estimand == BY_CELLS:
        effective = effective_subjects(predictions)
        row |= {f"effective_{k.lower()}": round(value, 1) for k, value in effective.items()}
    return row


def primary_influence_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the AUC of each model without one subject: the least, the most, and without whom.

    ``cells_lowest`` and ``cells_highest`` are the cells of the subject left out.
    """
    rows = []
    for runs in primary_runs(results):
        for estimand in ESTIMANDS if runs.whole else ():
            predictions = pooled(runs.done)
            whole = subject_intervals(predictions, None, ("auc",), estimand)["auc"].estimate
            found = influence(predictions, "auc", estimand=estimand)
            row = {"model": runs.variant, "estimand": estimand, "auc": score(whole)}
            for end, place in (("lowest", "idxmin"), ("highest", "idxmax")):
                own = found.loc[getattr(found["without"], place)()]
                row |= {f"auc_{end}": score(own["without"]), f"without_{end}": own["subject"]}
                row[f"cells_{end}"] = own["cells"]
            rows.append(row | _counted(predictions))
    counts = ["cells_lowest", "cells_highest", "subjects", "hem_subjects", "cells"]
    text = ["model", "estimand", "without_lowest", "without_highest"]
    columns = [*text[:2], "auc"]
    for end in ("lowest", "highest"):
        columns += [f"auc_{end}", f"without_{end}", f"cells_{end}"]
    return table(rows, [*columns, *counts[2:]], counts, text)


def primary_comparisons_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Compare each model with the first one, on the same pooled out-of-fold predictions.

    ``auc_delta`` is the model's AUC less the first's in points, with paired jackknife intervals.
    ``equivalent_within`` is the least margin in points within which the two would be called
    equivalent at a level of .05: the larger end of the 90 % interval (two one-sided tests).
    ``p_permutation`` exchanges the two models' scores subject by subject, where cells are pooled;
    ``p_holm`` is adjusted for the number of comparisons. DeLong's p takes cells for independent
    and stands as the contrast.
    """
    numbers = [*with_ends("auc_delta"), "equivalent_within", "p_permutation", "p_holm", "p_delong"]
    counts, text = ["subjects", "cells"], ["model", "against", "estimand"]
    whole = [runs for runs in primary_runs(results) if runs.whole]
    rows: list[dict] = []
    if whole:
        first = pooled(whole[0].done)
        for runs in whole[1:]:
            head = {"model": runs.variant, "against": whole[0].variant}
            rows += [head | own for own in _comparison(pooled(runs.done), first)]
        adjusted = holm([row.get("p_permutation", float("nan")) for row in rows])
        for row, p in zip(rows, adjusted, strict=True):
            row["p_holm"] = score(p)
    return table(rows, [*text, *numbers, *counts], counts, text)


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
    """Order the variants of the search by the median paired change in AUC to the base.

    A pair has one part and one seed. The median is beside the mean since one part can carry a
    mean; ``better`` counts the pairs with a gain.
    """
    found = by_variant(results, "search")
    changes = paired_changes(metric_frame(r for runs in found for r in runs.done), BASE)
    rows = []
    for runs in found:
        scores = [result.metrics["auc"] for result in runs.done]
        row = {"variant": runs.variant, "runs": len(runs.done), "planned": runs.planned}
        row["auc"] = score(pd.Series(scores, dtype=float).median())
        own = changes[changes["variant"] == runs.variant]["auc_delta"]
        if len(own):
            row |= {"auc_delta_median": points(own.median()), "better": int((own > 0).sum())}
        summary = change_summary(own.to_frame(), ["auc_delta"])
        rows.append(row | summary | {"pairs": len(own)} | tested(runs.done))
    rows.sort(key=lambda row: (row["variant"] != BASE, -row.get("auc_delta_median", -1e9)))
    columns = ["variant", "runs", "planned", "auc", "auc_delta_median", "auc_delta"]
    columns += ["auc_delta_min", "auc_delta_max", "better", "pairs"]
    counts = ["runs", "planned", "better", "pairs", "test_subjects", "test_cells"]
    return table(rows, columns + counts[4:], counts, ["variant"])


def search_parts_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give every run of the search: its AUC on one part, and the change to the base there."""
    found = by_variant(results, "search")
    frame = metric_frame(r for runs in found for r in runs.done)
    changes = paired_changes(frame, BASE).set_index(["variant", "split", "seed"])["auc_delta"]
    rows = []
    for runs in found:
        for r in sorted(runs.done, key=lambda own: (own.split, own.seed)):
            row = {"variant": r.variant, "split": r.split, "seed": r.seed}
            row |= {"auc": score(r.metrics["auc"]), "best_epoch": r.record.get("best_epoch")}
            row["auc_delta"] = points(changes.get((r.variant, r.split, r.seed), float("nan")))
            row |= {f"validation_{n}": r.metrics.get(f"val_{n}") for n in _SUBJECTS}
            rows.append(row | {f"test_{n}": r.metrics[n] for n in _SUBJECTS})
    tried = [f"{part}_{name}" for part in ("validation", "test") for name in _SUBJECTS]
    counts = ["seed", "best_epoch", *tried]
    columns = ["variant", "split", "seed", "auc", "auc_delta", *counts[1:]]
    return table(rows, columns, counts, ["variant", "split"])


_SUBJECTS = ("all_subjects", "hem_subjects")


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


def _counted(predictions: pd.DataFrame) -> dict[str, int]:
    return {
        "subjects": predictions["subject"].nunique(),
        "hem_subjects": predictions.loc[predictions["label"] == 0, "subject"].nunique(),
        "cells": len(predictions),
    }


def _comparison(own: pd.DataFrame, first: pd.DataFrame) -> list[dict[str, object]]:
    """Compare two models' predictions of the same cells, matched by cell, in both estimands."""
    keys = ["cell_id", "subject", "label"]
    both = own.merge(first, on=keys, suffixes=("", "_first"), validate="one_to_one")
    a = both[[*keys, "score", "called"]]
    b = both[[*keys, "score_first", "called_first"]]
    b = b.rename(columns={"score_first": "score", "called_first": "called"})
    counts = {"subjects": both["subject"].nunique(), "cells": len(both)}
    rows = []
    for estimand in ESTIMANDS:
        found = difference_intervals(b, a, ("auc",), estimand)["auc"]
        narrow = difference_intervals(b, a, ("auc",), estimand, level=0.9)["auc"]
        row: dict[str, object] = {"estimand": estimand} | ends("auc_delta", found, 100)
        rows.append(row | {"equivalent_within": _margin(narrow)} | counts)
    naive = delong(both["label"], both["score"], both["score_first"])
    rows[0]["p_permutation"] = score(paired_permutation(a, b, "auc", seed=_SEED).p)
    rows[0]["p_delong"] = max(score(naive.p), LEAST_P)
    return rows


def _margin(found: Interval) -> float:
    """Return in points how far the interval reaches from no difference."""
    return points(100 * max(abs(found.low), abs(found.high)))


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
