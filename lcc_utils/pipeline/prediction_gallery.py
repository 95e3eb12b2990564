"""The cells that the report of ``lcc predict`` shows, with maps of where the network looked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lcc_utils.data.images import centre_crop
from lcc_utils.data.photographs import prepared, read_cell
from lcc_utils.pipeline.model_files import LoadedModel
from lcc_utils.report.prediction_page import Group, Shown

__all__ = ["gallery"]

GROUPS = {
    "surest_all": "Surest ALL",
    "surest_hem": "Surest HEM",
    "least_sure": "Least sure of those called",
    "abstained": "Not called",
}


def gallery(model: LoadedModel, table: pd.DataFrame, maps: int) -> list[Group]:
    """Choose the cells that the report shows, read them again, and map the first of each group."""
    each = max(1, maps // len(GROUPS)) if maps else 6
    called = table[table["class"] != ""]
    near = (called["score"] - model.record.thresholds.decision).abs()
    chosen = {
        "surest_all": called[called["class"] == "ALL"].nlargest(each, "score"),
        "surest_hem": called[called["class"] == "HEM"].nsmallest(each, "score"),
        "least_sure": called.loc[near.nsmallest(each).index],
        "abstained": _varied(table[table["kind"].isin(["unlike", "unsure", "no cell"])], each),
    }
    groups, left = [], maps
    for name, rows in chosen.items():
        shown = _shown(model, rows, left)
        left -= sum(own.attention is not None for own in shown)
        groups.append(Group(GROUPS[name], shown))
    return groups


def _varied(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return some rows, of every kind in turn."""
    turn = rows.groupby("kind").cumcount()
    return rows.loc[turn.sort_values(kind="stable").index[:count]]


def _shown(model: LoadedModel, rows: pd.DataFrame, left: int) -> list[Shown]:
    record, frames, own = model.record, [], []
    for values in rows.to_dict("records"):
        pixels = read_cell(values["file"]).pixels
        if pixels is not None:
            frames.append(pixels)
            own.append(values)
    mapped = [n for n, values in enumerate(own) if np.isfinite(values["score"])][:left]
    attention = dict.fromkeys(range(len(own)))
    if mapped:
        images = np.stack([prepared(frames[n], record.size, record.crop) for n in mapped])
        targets = np.array([own[n]["score"] >= record.thresholds.decision for n in mapped], int)
        attention |= dict(zip(mapped, _maps(model, images, targets), strict=True))
    crops = [centre_crop(frame, record.crop) for frame in frames]
    return [Shown(own[n], crops[n], attention[n]) for n in range(len(own))]


def _maps(model: LoadedModel, images: np.ndarray, targets: np.ndarray) -> Sequence[Any]:
    import keras

    if keras.backend.backend() != "tensorflow":
        return [None] * len(images)
    from lcc_utils.nn.attention import grad_cam

    return list(grad_cam(model.logits, images.astype("float32"), targets))
