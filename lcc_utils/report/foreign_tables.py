"""Tables about cells from elsewhere: which they are, whether they are noticed, and called what.

Each is a pure function of the numbers that a run keeps (``Results.measured["robustness"]``); a run
without them gives a table without rows. Intervals leave out subjects in turn; images where no
subject is known, of cells that have no class.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lcc_utils.evaluation.detection import Familiar
from lcc_utils.evaluation.intervals import Interval
from lcc_utils.evaluation.metrics import CLASSES, evaluate
from lcc_utils.evaluation.novelty import unsureness
from lcc_utils.evaluation.result import Results
from lcc_utils.evaluation.subject_intervals import subject_intervals
from lcc_utils.report.rows import ends, score, table, with_ends

STUDIES = ("robustness",)
# Column -> how the table calls it; larger speaks for a cell from elsewhere.
MEASURES = {
    "distance": "distance",
    "neighbours": "nearest neighbours",
    "energy": "energy",
    "unsureness": "softmax",
}
OWN = "the run's test cells"
AS_IT_IS = "as it is"
# A score at least so near to 0 or to 1 is one of which the network is sure.
SURE = 0.05
_TEXT = ["source", "form", "kind", "model"]
_JUDGED = ("score", "called", "energy", "distance", "neighbours")
_COLUMNS = {
    "familiar": ("cell_id", "subject", "label", "model", *_JUDGED),
    "foreign": ("cell_id", "image", "label", "subject", *_TEXT, *_JUDGED),
    "sets": (
        "source", "layout", "found", "left_out", "faulty", "cells", "files", "digest", "scale",
    ),
}  # fmt: skip


def foreign_sets_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """List the foreign sets: cells found, left out by the limit, faulty and scored, and files.

    ``digest`` is SHA-256 over the sorted SHA-256 of the files that gave a cell, 16 hex digits.
    """
    sets = numbers_of(results, "sets")
    counts = ["found", "left_out", "faulty", "cells", "files"]
    rows = sets.sort_values("source").to_dict("records")
    return table(rows, ["source", "layout", *counts, "scale", "digest"], counts, [
        "source", "layout", "digest",
    ])  # fmt: skip


def out_of_distribution_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give how well each measure tells foreign cells from the run's test cells.

    See ``evaluation.detection``: ``auroc`` is .5 by chance, and ``taken`` is the share of foreign
    cells that are accepted where 95 % of the test cells are.
    """
    familiar = _with_measures(numbers_of(results, "familiar"))
    foreign = _with_measures(numbers_of(results, "foreign"))
    rows = []
    for name, own in familiar.groupby("model", sort=False):
        others = foreign[foreign["model"] == name]
        for column, measure in MEASURES.items():
            known = Familiar(own, column)
            for group, some in others.groupby(_TEXT[:3], sort=True):
                found = known.against(some)
                row = dict(zip(_TEXT, (*group, name), strict=True)) | {"measure": measure}
                row |= ends("auroc", found.auroc) | ends("taken", found.false_positives)
                rows.append(row | _sizes(some))
    rows.sort(key=lambda row: (row["source"], row["kind"], row["form"]))
    numbers = with_ends("auroc", "taken")
    columns = [*_TEXT, "measure", *numbers, "cells", "images"]
    return table(rows, columns, ["cells", "images"], [*_TEXT, "measure"])


def foreign_calls_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give what foreign cells are called: a network gives a class to anything.

    ``called_all`` is the share called ALL at the network's threshold, ``sure`` that with a score
    within .05 of 0 or 1. The run's test cells stand first, by class.
    """
    familiar = numbers_of(results, "familiar")
    own = familiar.assign(
        source=OWN, form=AS_IT_IS, kind=familiar["label"].map(CLASSES), image=familiar["cell_id"]
    )
    rows = []
    for some in (own, numbers_of(results, "foreign")):
        for group, cells in some.groupby(_TEXT, sort=True):
            row = dict(zip(_TEXT, group, strict=True))
            row["called_all"] = score(cells["called"].mean())
            row["sure"] = score((unsureness(cells["score"]) <= SURE).mean())
            rows.append(row | _sizes(cells))
    columns = [*_TEXT, "called_all", "sure", "cells", "images"]
    return table(rows, columns, ["cells", "images"], _TEXT)


def external_validation_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Measure the networks on foreign cells whose class is known, at the run's own threshold.

    The run's test cells stand first, for comparison. Cells without a known subject have no
    interval: cells of one person are alike, and one over cells would be too narrow.
    """
    foreign = numbers_of(results, "foreign")
    labelled = foreign[foreign["label"].notna()]
    own = numbers_of(results, "familiar").assign(source=OWN, form=AS_IT_IS)
    keys = ["source", "form", "model"]
    rows = []
    for some in (own if len(labelled) else own.head(0), labelled):
        for group, cells in some.groupby(keys, sort=True):
            cells = cells.astype({"label": "int64"})
            row = dict(zip(keys, group, strict=True))
            for name, found in _validated(cells).items():
                row |= ends(name, found)
            for label, name in CLASSES.items():
                of_class = cells[cells["label"] == label]
                row[f"{name.lower()}_cells"] = len(of_class)
                if cells["subject"].notna().all():
                    row[f"{name.lower()}_subjects"] = of_class["subject"].nunique()
            rows.append(row)
    numbers = with_ends(*_VALIDATED)
    counts = ["all_cells", "all_subjects", "hem_cells", "hem_subjects"]
    return table(rows, [*keys, *numbers, *counts], counts, keys)


_VALIDATED = ("auc", "sensitivity", "specificity")


def numbers_of(results: Results, kind: str) -> pd.DataFrame:
    """Return the numbers of a kind; without rows where a run has none."""
    empty = pd.DataFrame(columns=list(_COLUMNS[kind]))
    return results.measured["robustness"].get(kind, empty)


def _with_measures(cells: pd.DataFrame) -> pd.DataFrame:
    cells = cells.assign(unsureness=unsureness(cells["score"].astype(float)))
    if "image" in cells:
        cells["unit"] = cells["subject"].fillna(cells["image"])
    return cells


def _validated(cells: pd.DataFrame) -> dict[str, Interval]:
    """Return AUC, sensitivity and specificity of some cells by the network's own calls."""
    if cells["subject"].notna().all():
        return subject_intervals(cells, None, _VALIDATED)
    # At one half of the calls, every call is on its side.
    at_threshold = evaluate(cells["label"], cells["called"].astype(float), 0.5)
    found = at_threshold | {"auc": evaluate(cells["label"], cells["score"], 0.5)["auc"]}
    return {name: Interval(found[name], np.nan, np.nan) for name in _VALIDATED}


def _sizes(cells: pd.DataFrame) -> dict[str, int]:
    return {"cells": len(cells), "images": cells["image"].nunique()}
