"""Cells to look at with their maps: the surest, the least sure and the wrong ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lcc_utils.evaluation.metrics import CLASSES
from lcc_utils.pipeline.attention import STUDY, opened
from lcc_utils.pipeline.measured import has_part
from lcc_utils.pipeline.run import Run

__all__ = ["KINDS", "Gallery", "gallery"]

KINDS = {
    "surest": "Surest, and right",
    "least sure": "Least sure",
    "wrong": "Surest, and wrong",
}


@dataclass(frozen=True)
class Gallery:
    """Cells of one kind with their maps; the arguments of ``figures.attention_gallery``."""

    images: list[np.ndarray]
    maps: list[np.ndarray]
    captions: list[str]
    title: str


def gallery(run: Run, kind: str, count: int = 6) -> Gallery:
    """Return cells of a kind with their Grad-CAM, of the classes in turn, one a subject.

    Parameters
    ----------
    run
        A run whose maps are computed; otherwise the gallery is empty.
    kind
        A key of :data:`KINDS`. How sure a score is, is its distance from the threshold.
    count
        At most so many cells.
    """
    chosen = opened(run) if has_part(run.folder, STUDY, "trained") else None
    if chosen is None:
        return Gallery([], [], [], KINDS[kind])
    from lcc_utils.nn.attention import grad_cam
    from lcc_utils.nn.classifier import logits_model
    from lcc_utils.pipeline.networks import trained

    result = chosen.results[0]
    threshold = float(result.metrics["threshold"])
    table = chosen.table.merge(result.test[["cell_id", "score"]], on="cell_id")
    picked = pick(table, kind, threshold, count)
    if picked.empty:
        return Gallery([], [], [], KINDS[kind])
    images = chosen.pixels.array[chosen.pixels.rows(list(picked["cell_id"]))]
    targets = picked["called"].to_numpy(np.int64)
    maps = grad_cam(
        logits_model(trained(run, chosen.experiments[0], chosen.pixels)), images, targets
    )
    captions = [
        f"{CLASSES[row.label]}, called {CLASSES[row.called]}\nP(ALL) {row.score:.2f}"
        for row in picked.itertuples()
    ]
    return Gallery(list(images), list(maps), captions, KINDS[kind])


def pick(table: pd.DataFrame, kind: str, threshold: float, count: int) -> pd.DataFrame:
    """Return the cells of a kind, the two classes in turn, each subject at most once.

    ``table`` has ``cell_id, subject, label, called, score``.
    """
    right = table["label"] == table["called"]
    known = {"surest": right, "least sure": right | ~right, "wrong": ~right}[kind]
    sure = (table["score"] - threshold).abs()
    order = sure.rename("sure").where(known).dropna().sort_values(ascending=kind == "least sure")
    own = table.loc[order.index].drop_duplicates("subject")
    turn = own.groupby("label").cumcount()
    own = own.assign(turn=turn).sort_values(["turn", "label"], ascending=[True, False])
    return own.head(count).drop(columns="turn").reset_index(drop=True)
