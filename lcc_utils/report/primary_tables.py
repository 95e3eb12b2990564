"""Tables of the primary analysis: pooled out-of-fold results, influence, comparisons."""

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
from lcc_utils.report.rows import Runs, by_variant, ends, points, score, table, with_ends

PRIMARY_METRICS = ("auc", "f1_weighted", "sensitivity", "specificity")
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
