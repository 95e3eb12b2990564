"""What follows from the paper's own numbers: sums, ratios, confusion counts, its history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

# EfficientNetV2-B3 without its top, as keras.applications has it: channels of the last feature map
# and trainable parameters; a test builds it and counts.
B3_CHANNELS, B3_TRAINABLE = 1536, 12_821_406


def agrees(ours: float, stated: float, places: int) -> bool:
    """Tell whether a number, rounded to the stated decimals, is the stated one."""
    return abs(ours - stated) <= 0.5 * 10.0**-places + 1e-9


def sums(numbers: Sequence[float]) -> float:
    """Return the sum of the inputs."""
    return float(sum(numbers))


def differences(numbers: Sequence[float]) -> float:
    """Return the first input less the second."""
    return numbers[0] - numbers[1]


def ratios(numbers: Sequence[float]) -> float:
    """Return the first input over the second."""
    return numbers[0] / numbers[1]


def percents_fewer(numbers: Sequence[float]) -> float:
    """Return by how many percent the first input is below the second."""
    return 100 * (1 - numbers[0] / numbers[1])


def f1_of_counts(counts: Sequence[float]) -> float:
    """Return the weighted F1 in percent of the counts tn, fp, fn, tp."""
    tn, fp, fn, tp = counts
    f1_all, f1_hem = 2 * tp / (2 * tp + fp + fn), 2 * tn / (2 * tn + fp + fn)
    return 100 * ((tp + fn) * f1_all + (tn + fp) * f1_hem) / (tn + fp + fn + tp)


def accuracy_of_counts(counts: Sequence[float]) -> float:
    """Return the accuracy in percent of the counts tn, fp, fn, tp."""
    return 100 * (counts[0] + counts[3]) / sum(counts)


def precision_of_counts(counts: Sequence[float]) -> float:
    """Return the precision of both classes, weighted by their cells, in percent of the counts.

    The precision of a class that no cell is called is 0.
    """
    tn, fp, fn, tp = counts
    hem, all_ = tn / max(tn + fn, 1), tp / max(tp + fp, 1)
    return 100 * ((tn + fp) * hem + (tp + fn) * all_) / sum(counts)


def sensitivity_of_counts(counts: Sequence[float]) -> float:
    """Return the sensitivity in percent of the counts tn, fp, fn, tp."""
    return 100 * counts[3] / (counts[2] + counts[3])


def specificity_of_counts(counts: Sequence[float]) -> float:
    """Return the specificity in percent of the counts tn, fp, fn, tp."""
    return 100 * counts[0] / (counts[0] + counts[1])


def least_auc(counts: Sequence[float]) -> float:
    """Return the least AUC, in percent, of a score that gives these counts at one threshold.

    A ROC curve never falls, so from the point (1 - specificity, sensitivity) on it is at least
    the sensitivity high: the area is at least sensitivity times specificity.
    """
    return sensitivity_of_counts(counts) * specificity_of_counts(counts) / 100


def best_epoch(history: pd.DataFrame) -> int:
    """Return the epoch with the best validation F1, the first of equals."""
    return int(history.loc[history["val_f1"].idxmax(), "epoch"])


def stopped_epoch(history: pd.DataFrame, patience: int, margin: float) -> int | None:
    """Return the epoch at which early stopping ends, or None if it does not.

    An improvement is a validation F1 more than ``margin`` above the last improvement.
    """
    best, waited = -math.inf, 0
    for epoch, f1 in zip(history["epoch"], history["val_f1"], strict=True):
        if f1 > best + margin:
            best, waited = f1, 0
        else:
            waited += 1
        if waited >= patience:
            return int(epoch)
    return None


def smallest_gap_epoch(history: pd.DataFrame, floor: float) -> tuple[int, float]:
    """Return the epoch at which validation and training F1 are nearest, and their distance.

    Only epochs with a validation F1 above ``floor`` count; F1 and distance are in 0 to 1.
    """
    eligible = history[history["val_f1"] > floor]
    gap = (eligible["val_f1"] - eligible["f1"]).abs()
    return int(eligible.loc[gap.idxmin(), "epoch"]), float(gap.min())


def parameters_as_stated(reduction: int, units: Sequence[int]) -> int:
    """Return the trainable parameters of EfficientNetV2-B3 with the stated attention and head.

    Parameters
    ----------
    reduction
        By what the squeeze-and-excitation block narrows its channels.
    units
        Units of the dense layers; all but the last are followed by batch normalisation, which
        has two trainable numbers a unit.
    """
    squeezed = B3_CHANNELS // reduction
    attention = 2 * B3_CHANNELS * squeezed + squeezed + B3_CHANNELS
    widths = (B3_CHANNELS, *units)
    dense = sum((a + 1) * b for a, b in pairwise(widths))
    return B3_TRAINABLE + attention + dense + 2 * sum(units[:-1])


def parameters_of_vgg(layers: int) -> int:
    """Return the parameters of VGG16 or VGG19 as published, with its 1,000 classes.

    Source: Simonyan and Zisserman, arXiv 1409.1556, table 1, columns D and E.
    """
    depth = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}[layers]
    total, channels = 0, 3
    for width, count in zip((64, 128, 256, 512, 512), depth, strict=True):
        for _ in range(count):
            total, channels = total + (9 * channels + 1) * width, width
    dense = (7 * 7 * 512, 4096, 4096, 1000)
    return total + sum((a + 1) * b for a, b in pairwise(dense))
