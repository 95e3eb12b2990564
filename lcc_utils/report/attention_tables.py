"""Tables about maps of attention: whether they may be believed, and where they lie.

Each is a pure function of the numbers that a run keeps about its maps (``Results.measured``);
a run without them gives a table without rows. Means are over subjects, each counting alike, and
intervals leave out subjects in turn (``evaluation.attention.subject_mean``).
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from lcc_utils.evaluation.attention import RINGS, subject_mean
from lcc_utils.evaluation.intervals import DIFFERENCE, SHARE
from lcc_utils.evaluation.metrics import CLASSES, evaluate
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.report.rows import ends, score, table

STUDIES = ("attention",)
TRAINED, EVEN = "trained", "even"
WITHOUT = "without channel weights"
# The map of chance that each method is compared with: as coarse, or as fine.
CONTRASTS = {
    "Grad-CAM": "random, coarse",
    "Grad-CAM++": "random, coarse",
    "Score-CAM": "random, coarse",
    "SmoothGrad": "random, fine",
}
_REGIONS = ("nucleus", "cytoplasm", "background")
_ENDS = ("", "_low", "_high")


def attention_networks_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the networks whose maps are drawn, and how well each tells the classes apart.

    ``auc`` is on all test cells, where the network is one of the run's experiments, and
    ``auc_mapped`` on those whose maps were drawn. ``score_difference`` is the largest between
    the score of an experiment and that of the network whose maps are drawn.
    """
    maps = kind_of(results, "maps")
    rows = []
    for name, own in maps.groupby("model", sort=False):
        cells = own.drop_duplicates("cell_id")
        row = {"network": name, "auc_mapped": auc_of(cells), "cells": len(cells)}
        row["subjects"] = cells["subject"].nunique()
        if (result := _result(results, str(name))) is not None:
            row |= {"auc": score(result.metrics["auc"])}
            row["f1_weighted"] = score(result.metrics["f1_weighted"])
            both = cells.merge(result.test, on="cell_id", suffixes=("", "_first"))
            row["score_difference"] = score((both["score"] - both["score_first"]).abs().max())
        rows.append(row)
    numbers = ["auc", "f1_weighted", "auc_mapped", "score_difference"]
    counts = ["cells", "subjects"]
    return table(rows, ["network", *numbers, *counts], counts, ["network"])


def attention_sanity_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the rank correlation of each network's maps with those of the trained network.

    A map that depends on what was learned has one near 0 where parameters are random or labels
    were shuffled, and a high one with another seed. ``empty`` is the share of maps without any
    attention, which have no correlation.
    """
    maps = kind_of(results, "maps")
    others = maps[maps["model"] != TRAINED]
    rows = []
    for (method, name), own in others.groupby(["method", "model"], sort=False):
        row = {"method": method, "network": name, **_estimate(own, "rank_cell")}
        row |= _estimate(own, "rank_frame")
        row |= {"empty": score(own["share_background"].isna().mean()), **_sizes(own)}
        rows.append(row)
    rows.sort(key=lambda row: list(CONTRASTS).index(row["method"]))
    numbers = [f"{name}{end}" for name in ("rank_cell", "rank_frame") for end in _ENDS]
    return _table(rows, ["method", "network"], [*numbers, "empty"])


def attention_cascade_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the rank correlation with the trained network's maps while it loses what it learned.

    Parameters are replaced from the head down; each row adds a part to those before it.
    """
    rows = [
        {"method": method, "step": step, "replaced": stage, **_estimate(own, "rank_cell")}
        | _sizes(own)
        for (method, step, stage), own in kind_of(results, "cascade").groupby(
            ["method", "step", "stage"], sort=True
        )
    ]
    numbers = [f"rank_cell{end}" for end in _ENDS]
    return _table(rows, ["method", "replaced"], numbers, ["step"])


def attention_faithfulness_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the areas under deletion and insertion curves, beside those of chance.

    ``chance`` is noise within the cell's outline, as coarse or fine as the method's maps, on the
    same cells. The gains are paired by cell and count in the method's favour: chance less method
    for deletion, method less chance for insertion.
    """
    maps = kind_of(results, "maps")
    own = maps[maps["model"] == TRAINED]
    by_method = dict(list(own.groupby("method", sort=False)))
    rows = []
    for method, contrast in CONTRASTS.items():
        if method not in by_method or contrast not in by_method:
            continue
        pair = by_method[method].merge(
            by_method[contrast][["cell_id", "deletion", "insertion"]],
            on="cell_id",
            suffixes=("", "_chance"),
        )
        pair["deletion_gain"] = pair["deletion_chance"] - pair["deletion"]
        pair["insertion_gain"] = pair["insertion"] - pair["insertion_chance"]
        row: dict[str, object] = {"method": method}
        for kind in ("deletion", "insertion"):
            row |= {name: _mean(pair, name) for name in (kind, f"{kind}_chance")}
            row |= _estimate(pair, f"{kind}_gain")
        rows.append(row | _sizes(pair))
    numbers = [
        name
        for kind in ("deletion", "insertion")
        for name in (kind, f"{kind}_chance", *(f"{kind}_gain{end}" for end in _ENDS))
    ]
    return _table(rows, ["method"], numbers)


def attention_regions_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the share of attention on nucleus, cytoplasm and background, by class and outcome.

    The method ``even`` spreads its attention over the whole image: its shares are those of the
    regions' areas.
    """
    maps = kind_of(results, "maps")
    own = maps[(maps["model"] == TRAINED) & maps["method"].isin([EVEN, *CONTRASTS])]
    rows = []
    for method in (EVEN, *CONTRASTS):
        some = own[own["method"] == method]
        for (label, right), group in sorted(some.groupby(["label", "right"]), reverse=True):
            row = {"method": method, "class": CLASSES[label]}
            row["called"] = "right" if right else "wrong"
            for region in _REGIONS:
                row |= _estimate(group, f"share_{region}")
            rows.append(row | _sizes(group))
    numbers = [f"share_{region}{end}" for region in _REGIONS for end in _ENDS]
    return _table(rows, ["method", "class", "called"], numbers)


def attention_rings_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the share of attention within the cell by ring, the first at the outline.

    Rings have the same area: even attention gives each the same share.
    """
    maps = kind_of(results, "maps")
    own = maps[maps["model"] == TRAINED]
    rings = [f"ring_{number}" for number in range(1, RINGS + 1)]
    rows = [
        {"method": method, "class": CLASSES[label]}
        | {column: value for ring in rings for column, value in _estimate(group, ring).items()}
        | _sizes(group)
        for method in CONTRASTS
        for label, group in sorted(own[own["method"] == method].groupby("label"), reverse=True)
    ]
    numbers = [f"{ring}{end}" for ring in rings for end in _ENDS]
    return _table(rows, ["method", "class"], numbers)


def attention_agreement_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the rank correlation within the cell of every two methods' maps of one network."""
    rows = [
        {"method": first, "other": second, **_estimate(own, "rank_cell"), **_sizes(own)}
        for (first, second), own in kind_of(results, "agreement").groupby(
            ["method", "other"], sort=False
        )
    ]
    return _table(rows, ["method", "other"], [f"rank_cell{end}" for end in _ENDS])


_COLUMNS = {
    "maps": ["cell_id", "subject", "label", "score", "right", "model", "method", "deletion"]
    + ["insertion", "rank_cell", "rank_frame", *(f"share_{region}" for region in _REGIONS)]
    + [f"ring_{number}" for number in range(1, RINGS + 1)],
    "cascade": ["cell_id", "subject", "label", "method", "step", "stage", "rank_cell"],
    "agreement": ["cell_id", "subject", "label", "method", "other", "rank_cell"],
    "channels": ["subject", "label", "channel", "weight"],
    "gates": ["cell_id", "subject", "label", "score", "score_fixed"],
}


def kind_of(results: Results, kind: str) -> pd.DataFrame:
    """Return the numbers of a kind; without rows where a run has none."""
    return results.measured["attention"].get(kind, pd.DataFrame(columns=_COLUMNS[kind]))


def _result(results: Results, name: str) -> Result | None:
    """Return the experiment whose network bears a name in the tables."""
    own = results.get("attention", [])
    first = own[0] if own else None
    for result in own:
        same = result.settings == first.settings and result.split == first.split
        bare = not result.settings["model"]["attention"]
        wanted = {TRAINED: result is first, WITHOUT: bare and result.seed == first.seed}
        if wanted.get(name, same and result is not first and name == f"seed {result.seed}"):
            return result
    return None


def auc_of(cells: pd.DataFrame, column: str = "score") -> float:
    """Return the AUC of a column of scores, rounded as every table does."""
    return score(evaluate(cells["label"], cells[column], 0.5)["auc"])


def _estimate(frame: pd.DataFrame, column: str) -> dict[str, object]:
    bounds = SHARE if column.startswith(("share_", "ring_")) else DIFFERENCE
    return ends(column, subject_mean(frame, column, bounds))


def _mean(frame: pd.DataFrame, column: str) -> float:
    return score(frame.groupby("subject")[column].mean().mean())


def _sizes(frame: pd.DataFrame) -> dict[str, int]:
    return {"subjects": frame["subject"].nunique(), "cells": frame["cell_id"].nunique()}


def _table(
    rows: list[dict], text: list[str], numbers: Iterable[str], counts: Iterable[str] = ()
) -> pd.DataFrame:
    counts = [*counts, "subjects", "cells"]
    return table(rows, [*text, *counts[:-2], *numbers, *counts[-2:]], counts, text)
