"""The table of what squeeze-and-excitation gives: a weight for each channel, and its worth."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcc_utils.evaluation.intervals import DIFFERENCE, jackknife, remark
from lcc_utils.evaluation.result import Results
from lcc_utils.report.attention_tables import auc_of, kind_of
from lcc_utils.report.rows import score, table


def channel_weights_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Say what the weights of squeeze-and-excitation differ by, and what they are worth.

    ``between_channels``, ``between_classes`` and ``between_subjects`` are, over the channels, the
    standard deviation of mean weights, the mean size of the classes' difference, and the mean
    standard deviation of subjects within a class. ``apart`` counts channels whose interval of
    the classes' difference, over subjects, leaves out 0; of unrelated channels, five in a hundred
    would. ``auc_fixed`` is the AUC with all weights held at their mean, where the block can no
    longer tell one cell from another.
    """
    channels, gates = kind_of(results, "channels"), kind_of(results, "gates")
    numbers = [
        "mean_weight",
        "least",
        "most",
        "between_channels",
        "between_classes",
        "between_subjects",
    ]
    numbers += ["auc", "auc_fixed"]
    counts = ["channels", "apart", "subjects", "cells"]
    columns = ["channels", *numbers[:6], "apart", "auc", "auc_fixed", "subjects", "cells"]
    if channels.empty or channels["label"].nunique() < 2:
        return table([], columns, counts)
    wide = channels.pivot(index=["label", "subject"], columns="channel", values="weight")
    by_class = wide.groupby("label").mean()
    difference = by_class.loc[1] - by_class.loc[0]
    means = wide.mean()
    row = {
        "channels": wide.shape[1],
        "mean_weight": score(means.mean()),
        "least": score(means.min()),
        "most": score(means.max()),
        "between_channels": score(means.std()),
        "between_classes": score(difference.abs().mean()),
        "between_subjects": score(wide.groupby("label").std().mean().mean()),
        "apart": _apart(wide),
        "auc": auc_of(gates),
        "auc_fixed": auc_of(gates, "score_fixed"),
        "subjects": len(wide),
        "cells": len(gates),
    }
    return table([row], columns, counts)


def _apart(wide: pd.DataFrame) -> int | None:
    """Count channels whose classes differ, by intervals over subjects; None with too few."""
    classes = wide.index.get_level_values("label").to_numpy(np.int64)
    if not remark(classes)[1]:
        return None
    values, label = wide.to_numpy(float), classes.astype(float)

    def difference(channel: NDArray, weights: NDArray) -> NDArray:
        sides = [(weights * side) @ channel / (weights @ side) for side in (label, 1 - label)]
        return sides[0] - sides[1]

    found = [jackknife(partial(difference, own), classes, DIFFERENCE) for own in values.T]
    return sum(own.low > 0 or own.high < 0 for own in found)
