"""Tables of the search: variants by their median change, and every run by part."""

from __future__ import annotations

import pandas as pd

from lcc_utils.evaluation.result import Results
from lcc_utils.report.rows import (
    by_variant,
    change_summary,
    metric_frame,
    paired_changes,
    points,
    score,
    table,
    tested,
)

BASE = "base"


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
