"""Deletion, insertion and mean maps of one network, from its maps."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from skimage.transform import resize_local_mean

from lcc_utils.evaluation import attention as measured
from lcc_utils.nn.classifier import logits_model
from lcc_utils.nn.prediction import scores_of
from lcc_utils.pipeline.attention import Chosen

__all__ = ["averages", "faithful"]

GRID = 16
_BATCH = 32


def faithful(
    chosen: Chosen, classifier: Any, maps: dict[str, np.ndarray]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the areas under each cell's curves, and mean curves by method."""
    model, table = logits_model(classifier), chosen.table
    images = chosen.images.astype(np.float32)
    areas, curves = [], []
    for method, drawn in maps.items():
        found = {"deletion": [], "insertion": []}
        for at in range(0, len(drawn), _BATCH):
            some = slice(at, min(at + _BATCH, len(drawn)))
            score = partial(_explained, model, chosen.targets[some])
            given = images[some], drawn[some], score, chosen.settings.steps
            found["deletion"].append(measured.deletion_curve(*given))
            found["insertion"].append(measured.insertion_curve(*given))
        own = {kind: np.concatenate(chunks) for kind, chunks in found.items()}
        area = {kind: measured.curve_area(curve) for kind, curve in own.items()}
        ids = table["cell_id"].head(len(drawn))
        areas.append(pd.DataFrame({"cell_id": ids, "method": method, **area}))
        curves += [_mean_curve(table, method, kind, curve) for kind, curve in own.items()]
    return pd.concat(areas, ignore_index=True), pd.concat(curves, ignore_index=True)


def averages(table: pd.DataFrame, drawn: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return mean maps by class on a coarse grid, every subject counting alike."""
    rows = []
    for method, maps in drawn.items():
        small = np.stack([resize_local_mean(one, (GRID, GRID)) for one in maps])
        for label, own in table.head(len(maps)).groupby("label"):
            means = [small[cells.index].mean(axis=0) for _, cells in own.groupby("subject")]
            mean = np.mean(means, axis=0)
            y, x = np.indices(mean.shape).reshape(2, -1)
            place = {"method": method, "label": label, "cells": len(own)}
            rows.append(pd.DataFrame(place | {"y": y, "x": x, "value": mean.ravel()}))
    return pd.concat(rows, ignore_index=True)


def _explained(model: Any, targets: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the probability of the class that is explained of each image."""
    score = scores_of(model.predict_on_batch(images))
    return np.where(targets == 1, score, 1 - score)


def _mean_curve(table: pd.DataFrame, method: str, kind: str, curves: np.ndarray) -> pd.DataFrame:
    subjects = table["subject"].head(len(curves)).to_numpy()
    mean = pd.DataFrame(curves).groupby(subjects).mean().mean(axis=0).to_numpy()
    share = np.linspace(0, 1, mean.size)
    return pd.DataFrame({"method": method, "kind": kind, "share": share, "value": mean})
