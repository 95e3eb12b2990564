"""How numbers look on a page: the one place where a number becomes text."""

from __future__ import annotations

import math
from numbers import Integral, Real

import pandas as pd

from lcc_utils.text import csv_safe, suspect

MISSING = "–"
MINUS = "−"

# Column name -> heading; a column that is not here is shown with its underscores as spaces.
HEADINGS = {
    "auc": "AUC",
    "auc_shared": "AUC, shared kept",
    "auc_min": "AUC, least",
    "auc_max": "AUC, most",
    "auc_sd": "AUC, standard deviation",
    "auc_p": "AUC: p",
    "auc_p_holm": "AUC: p, Holm",
    "auc_percentile": "AUC, percentiles 2.5 to 97.5",
    "auc_delta": "Change in AUC, points",
    "auc_delta_min": "Change in AUC, least",
    "auc_delta_max": "Change in AUC, most",
    "auc_first": "AUC, first training",
    "auc_second": "AUC, second training",
    "auc_delta_median": "Median change in AUC, points",
    "auc_delta_seed_sd": "AUC: sd between seeds, points",
    "f1_delta_seed_sd": "F1: sd between seeds, points",
    "auc_lowest": "AUC, lowest without a subject",
    "auc_highest": "AUC, highest without a subject",
    "without_lowest": "without",
    "without_highest": "without",
    "cells_lowest": "its cells",
    "cells_highest": "its cells",
    "logit_delta": "Difference of logit(AUC)",
    "positive": "Pairs with a gain",
    "better": "Pairs with a gain",
    "effective_all": "Effective ALL subjects",
    "effective_hem": "Effective HEM subjects",
    "equivalent_within": "Equivalent within, points",
    "validation_all_subjects": "Validation ALL subjects",
    "validation_hem_subjects": "Validation HEM subjects",
    "test_all_subjects": "Test ALL subjects",
    "test_hem_subjects": "Test HEM subjects",
    "chosen": "Chosen on validation",
    "coverage_percentile": "Percentile bootstrap: coverage",
    "too_high_percentile": "too high",
    "too_low_percentile": "too low",
    "coverage_bca": "BCa bootstrap: coverage",
    "too_high_bca": "too high",
    "too_low_bca": "too low",
    "coverage_jackknife": "Jackknife: coverage",
    "too_high_jackknife": "too high",
    "too_low_jackknife": "too low",
    "both_all": "Both call ALL",
    "both_hem": "Both call HEM",
    "first_all": "First alone calls ALL",
    "second_all": "Second alone calls ALL",
    "kappa": "Cohen's kappa",
    "which": "Which claims",
    "auc_partition_sd": "AUC: sd between partitions",
    "auc_seed_sd": "AUC: sd between training seeds",
    "f1_weighted_partition_sd": "F1: sd between partitions",
    "f1_weighted_seed_sd": "F1: sd between training seeds",
    "f1_weighted": "Weighted F1",
    "f1_weighted_sd": "Weighted F1, standard deviation",
    "f1_weighted_percentile": "Weighted F1, percentiles 2.5 to 97.5",
    "f1_weighted_at_half": "Weighted F1 at .5",
    "f1_weighted_min": "F1, least",
    "f1_weighted_max": "F1, most",
    "f1_delta": "Change in F1, points",
    "f1_delta_min": "Change in F1, least",
    "f1_delta_max": "Change in F1, most",
    "f1_delta_stated": "Stated by the paper, points",
    "f1_p": "F1: p",
    "f1_p_holm": "F1: p, Holm",
    "p_holm": "p, Holm",
    "p": "p",
    "p_permutation": "p, subjects exchanged",
    "p_delong": "p, DeLong over cells (naive)",
    "q1": "Lower quartile",
    "q3": "Upper quartile",
    "min": "Least",
    "max": "Most",
    "sd": "Standard deviation",
    "worst": "Worst subject",
    "split": "Train to test",
    "computed_on": "Computed on",
    "patient_a": "Patient id",
    "patient_b": "Shares cells with",
    "across_patients": "Groups across patient ids",
    "across_folds": "Groups across folds",
    "f1_width_cells": "Width over cells, points (naive)",
    "parameters_trainable": "Trainable parameters",
    "parameters_total": "All parameters",
    "size": "Image side, px",
    "usual": "Ignoring what observations share",
    "usual_range": "interval",
    "usual_p": "p",
    "sound": "Accounting for it",
    "sound_range": "interval",
    "sound_p": "p",
    "incomplete": "Incomplete blocks",
    "leaked": "Share of training cells from test subjects",
    "leaked_cells": "Training cells from test subjects",
    "hem_subjects": "HEM subjects",
    "training_subjects_shared": "Training subjects, shared kept",
    "training_cells_shared": "Training cells, shared kept",
    "scaling": "Scores",
    "ece": "Calibration error",
    "ece_parts": "Calibration error of the parts",
    "ece_width": "Calibration error, bins of equal width",
    "brier": "Brier score",
    "brier_change": "Change in Brier score",
    "temperature": "Temperature, by part",
    "slope": "Slope, by part",
    "intercept": "Intercept, by part",
    "sensitivity_parts": "Sensitivity, by part",
    "thresholds": "Threshold, by part",
    "validation_hem": "Validation HEM subjects, by part",
    "parts_unjudged": "Parts without a judged cell",
    "risk": "Risk of those judged",
    "risk_whole": "Risk, all judged",
    "area": "Area under coverage and risk",
    "all_subjects": "ALL subjects",
    "all_wrong": "ALL called HEM",
    "hem_wrong": "HEM called ALL",
    "wrong": "Called wrong",
    "auc_mapped": "AUC, mapped cells",
    "auc_fixed": "AUC, weights held fixed",
    "rank_cell": "Rank correlation within the cell",
    "rank_frame": "Rank correlation over the image",
    "empty": "Maps without attention",
    "deletion_chance": "Deletion, chance",
    "deletion_gain": "Deletion, below chance by",
    "insertion_chance": "Insertion, chance",
    "insertion_gain": "Insertion, above chance by",
    "share_nucleus": "Nucleus",
    "share_cytoplasm": "Cytoplasm",
    "share_background": "Background",
    "ring_1": "Ring 1, at the outline",
    "apart": "Channels whose classes differ",
    "replaced": "Replaced, up to",
    "score_difference": "Largest difference in score",
    "severity": "Greatest severity",
    "auc_unchanged": "AUC, unchanged",
    "auc_shifted": "AUC, greatest severity",
    "f1_weighted_unchanged": "Weighted F1, unchanged",
    "sensitivity_unchanged": "Sensitivity, unchanged",
    "sensitivity_shifted": "Sensitivity, greatest severity",
    "specificity_unchanged": "Specificity, unchanged",
    "specificity_shifted": "Specificity, greatest severity",
    "auc_worst": "AUC under it",
    "share_wrong": "Share of wrong labels",
    "auroc": "AUROC, foreign against own",
    "taken": "Foreign cells accepted with 95 % of own",
    "called_all": "Called ALL",
    "sure": "Score within .05 of 0 or 1",
    "found": "Cells found",
    "faulty": "Faulty cells",
    "multiply_adds": "Multiply-adds, million",
    "disk": "Weights on disk, MB",
    "disk_half": "In half precision, MB",
    "memory": "Memory, MiB",
    "memory_batch": "Memory at the batch, MiB",
    "latency": "Latency, ms",
    "latency_quartiles": "Latency, quartiles, ms",
    "throughput": "Images a second",
    "batch": "Images in the batch",
    "against_size": "Its image side, px",
    "parameters_total_saved": "Parameters saved, %",
    "multiply_adds_saved": "Multiply-adds saved, %",
    "disk_saved": "Disk saved, %",
    "memory_saved": "Memory saved, %",
    "latency_saved": "Latency saved, %",
}
INTERVAL = "95 % interval"
_UNITS = {
    "percent": " %", "points": " points", "million": " million", "px": " px", "degrees": " degrees",
}  # fmt: skip
_SECONDS = {"seconds"}
_SAVED = "_saved"
_NAMES = {"seed", "fold", "epoch", "best_epoch", "year"}
_LEAST_P = 0.001
# The normal tail of DeLong's test is told apart further down than a permutation can tell.
_LEAST = {"p_delong": 1e-6}
_DECIMALS = {
    "effective_all": 1, "effective_hem": 1, "equivalent_within": 2,
    "auc_delta_seed_sd": 2, "f1_delta_seed_sd": 2,
}  # fmt: skip


def heading(column: str) -> str:
    """Return the heading of a column; what follows a comma, such as a split, stays as it is."""
    name, comma, rest = column.partition(",")
    return HEADINGS.get(name, name.replace("_", " ").capitalize()) + comma + rest


def cell(value: object, column: str = "") -> str:
    """Return one value of a table as text.

    Whole numbers get thousands separators, shares, scores and p three decimals, changes in points
    a sign and two decimals, shares saved in per cent one, seconds none; what is missing is a dash.
    """
    if value is None or value is pd.NA or (isinstance(value, Real) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if column in _DECIMALS:
        return f"{value:.{_DECIMALS[column]}f}"
    if column in _NAMES:
        return str(int(value))
    if _is_points(column):
        return _sign(f"{value:+.2f}")
    if column.endswith(_SAVED):
        return _sign(f"{value:.1f}")
    if isinstance(value, Integral) or column in _SECONDS:
        return _sign(f"{round(value):,}")
    if _is_p(column):
        return p_value(value, _LEAST.get(column))
    return _sign(f"{value:.3f}")


def interval(value: object, low: object, high: object, column: str = "") -> str:
    """Return an estimate with its interval, an estimate alone where there is no interval."""
    ends = [cell(low, column), cell(high, column)]
    shown = cell(value, column)
    return shown if MISSING in (*ends, shown) else f"{shown} ({ends[0]} to {ends[1]})"


def p_value(value: float, least: float | None = None) -> str:
    """Return a p value with three decimals, or that it is below what these show.

    With ``least``, values are told apart down to it: ``0.0004``, and from it on ``< 1e-6``.
    """
    if value >= _LEAST_P:
        return f"{value:.3f}"
    if least is None:
        return f"< {_LEAST_P}"
    return f"{value:.1g}".replace("e-0", "e-") if value > least else f"< {_plain(least)}"


def _plain(value: float) -> str:
    return f"{value:.0e}".replace("e-0", "e-")


def percent(share: float, places: int = 1) -> str:
    """Return a share in 0 to 1 as a percentage."""
    return MISSING if math.isnan(share) else _sign(f"{100 * share:.{places}f} %")


def quantity(value: float | str, unit: str, places: int) -> str:
    """Return a value of a claim with its unit, to the given decimals."""
    if isinstance(value, str):
        return value
    suffix = _UNITS.get(unit, "")
    return _sign(f"{value:,.{places}f}{suffix}")


def safe_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with ``text.csv_safe`` applied to the text of its cells and headings."""
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    odd = [
        not pd.api.types.is_numeric_dtype(own.dtype) and suspect(own.tolist()) for own in columns
    ]
    if any(odd):
        columns = [
            own.astype(object).map(csv_safe) if changed else own
            for own, changed in zip(columns, odd, strict=True)
        ]
        frame = pd.concat(columns, axis=1)
    return frame.set_axis([csv_safe(name) for name in frame.columns], axis=1)


def csv_text(frame: pd.DataFrame) -> str:
    """Return a table as CSV with scores and other fractions at nine significant digits.

    Text that a spreadsheet would run as a formula is marked as text.
    """
    return safe_table(frame).to_csv(index=False, float_format="%.9g", lineterminator="\n")


def _is_points(column: str) -> bool:
    if column.startswith("logit_"):
        return False
    return {"delta", "points"} & set(column.split("_")) != set()


def _is_p(column: str) -> bool:
    return "p" in column.split("_")


def _sign(text: str) -> str:
    return text.replace("-", MINUS)
