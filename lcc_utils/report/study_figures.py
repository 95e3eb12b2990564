"""Figures of studies of one kind: the primary analysis, baselines, the search, the ablation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lcc_utils.evaluation.result import Result, Results
from lcc_utils.evaluation.subject_intervals import ESTIMANDS
from lcc_utils.report.ablation_tables import PAPER_VARIANTS, ablation_runs_table
from lcc_utils.report.formatting import MINUS, cell, interval
from lcc_utils.report.rows import FULL
from lcc_utils.report.style import (
    GREY,
    SERIES,
    absent,
    colours,
    finish,
    listing,
    new_figure,
    spread,
    styled,
)

_NAMES = {"auc": "AUC", "f1_weighted": "Weighted F1"}


@styled
def primary_forest(table: pd.DataFrame, *, data_label: str) -> Figure:
    """AUC and weighted F1 of each model on pooled out-of-fold predictions, with intervals.

    Parameters
    ----------
    table
        The table ``primary``; models that are not complete are left out and counted.
    data_label
        What the numbers were computed on.
    """
    whole = table[table["auc"].notna()]
    if whole.empty:
        return absent("The primary analysis", data_label=data_label)
    models = list(dict.fromkeys(whole["model"]))
    figure, axes = new_figure(0.72 * len(models) + 2.1, rows=2, sharey=True)
    looks = dict(zip(ESTIMANDS, ((SERIES[0], -0.15), (SERIES[1], 0.15)), strict=True))
    for axis, (column, name) in zip(axes, _NAMES.items(), strict=True):
        for _, row in whole.iterrows():
            colour, shift = looks[row["estimand"]]
            _estimate(axis, row, column, models.index(row["model"]) + shift, colour)
        _rows(axis, models)
        axis.set_title(name)
    for estimand, (colour, _) in looks.items():
        axes[0].plot([], [], "o-", color=colour, label=estimand)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    phrases = [
        f"{row['model']}, {row['estimand']}: AUC {_interval(row, 'auc')}, weighted F1 "
        f"{_interval(row, 'f1_weighted')}"
        for _, row in whole.iterrows()
    ]
    first = whole.iloc[0]
    alt = (
        f"Pooled out-of-fold predictions of {first['subjects']} subjects and "
        f"{first['cells']:,} cells, bars are 95 % intervals over subjects: {'; '.join(phrases)}."
    )
    left_out = list(dict.fromkeys(table.loc[table["auc"].isna(), "model"]))
    if left_out:
        alt += f" Not complete, and left out: {listing(left_out)}."
    return finish(figure, alt, data_label)


@styled
def baselines_dots(table: pd.DataFrame, *, data_label: str) -> Figure:
    """AUC of each model, a dot a direction; the table ``baselines`` gives the order."""
    columns = [column for column in table if column.startswith("auc, ")]
    drawn = table[table[columns].notna().any(axis=1)] if columns else table.iloc[:0]
    if drawn.empty:
        return absent("The baselines", data_label=data_label)
    figure, (axis,) = new_figure(0.36 * len(drawn) + 1.4)
    places = np.arange(len(drawn))
    for colour, column, marker in zip(colours(len(columns)), columns, "oDs^v", strict=False):
        name = column.removeprefix("auc, ")
        axis.plot(drawn[column], places, marker, color=colour, label=name, markersize=7)
    _rows(axis, drawn["model"])
    axis.set_xlabel("AUC on the whole test fold")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    phrases = [
        f"{row['model']} "
        + listing([f"{cell(row[column])} {column.removeprefix('auc, ')}" for column in columns])
        for _, row in drawn.iterrows()
    ]
    return finish(figure, f"AUC by model and direction: {'; '.join(phrases)}.", data_label)


@styled
def search(table: pd.DataFrame, parts: pd.DataFrame, *, data_label: str) -> Figure:
    """Change of AUC against the base by variant: a dot a part and seed, the median a line.

    Parameters
    ----------
    table, parts
        The tables ``search`` and ``search_parts``.
    data_label
        What the numbers were computed on.
    """
    drawn = table[table["auc_delta_median"].notna()]
    if drawn.empty:
        return absent("The search", data_label=data_label)
    figure, (axis,) = new_figure(0.34 * len(drawn) + 1.6)
    axis.axvline(0, color=GREY, linewidth=0.8)
    splits = sorted(parts["split"].unique())
    for place, variant in enumerate(drawn["variant"]):
        own = parts[parts["variant"] == variant]
        for colour, split in zip(colours(len(splits)), splits, strict=True):
            values = own.loc[own["split"] == split, "auc_delta"].dropna()
            axis.plot(values, place + spread(len(values)), "o", color=colour, markersize=5)
        middle = drawn["auc_delta_median"].iloc[place]
        axis.plot([middle] * 2, [place - 0.3, place + 0.3], color="black", linewidth=2)
    for colour, split in zip(colours(len(splits)), splits, strict=True):
        axis.plot([], [], "o", color=colour, label=split)
    axis.plot([], [], color="black", linewidth=2, label="median")
    _rows(axis, drawn["variant"])
    axis.set_xlabel("Change of AUC against the base, points")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=4)
    phrases = [
        f"{row['variant']} {cell(row['auc_delta_median'], 'auc_delta')}, from "
        f"{cell(row['auc_delta_min'], 'auc_delta')} to {cell(row['auc_delta_max'], 'auc_delta')}"
        for _, row in drawn.iterrows()
    ]
    alt = f"Median change of AUC against the base in points, over parts: {listing(phrases)}."
    return finish(figure, alt, data_label)


@styled
def factorial_effects(table: pd.DataFrame, *, data_label: str) -> Figure:
    """Effects and interactions of the three parts on AUC and F1 in points, with intervals.

    Parameters
    ----------
    table
        The table ``factorial``; what the paper states is drawn as diamonds.
    data_label
        What the numbers were computed on.
    """
    if table["auc_delta"].isna().all():
        return absent("The factorial", data_label=data_label)
    figure, axes = new_figure(0.62 * len(table) + 2.0, rows=2, sharex=True)
    names = {"auc_delta": "AUC", "f1_delta": "Weighted F1"}
    for axis, (column, name) in zip(axes, names.items(), strict=True):
        axis.axvline(0, color=GREY, linewidth=0.8)
        for place, (_, row) in enumerate(table.iterrows()):
            _estimate(axis, row, column, place, SERIES[0])
        if column == "f1_delta":
            axis.plot(table["f1_delta_stated"], np.arange(len(table)), "D", color=SERIES[1])
        _rows(axis, [name.replace(" × ", " ×\n", name.count("×") - 1) for name in table["effect"]])
        axis.set_title(name)
    axes[-1].set_xlabel("Effect, points")
    axes[0].plot([], [], "o-", color=SERIES[0], label="effect, 95 % interval")
    axes[0].plot([], [], "D", color=SERIES[1], label="stated by the paper")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    phrases = [
        f"{row['effect']} {_interval(row, 'auc_delta')} on AUC, {_interval(row, 'f1_delta')} on F1"
        for _, row in table.iterrows()
    ]
    alt = (
        f"Effects in points with 95 % intervals over splits, from {table['runs'].iloc[0]} runs in "
        f"{table['blocks'].iloc[0]} blocks: {'; '.join(phrases)}."
    )
    return finish(figure, alt, data_label)


@styled
def ablation(
    results: Sequence[Result], *, data_label: str, stated: dict[str, float] | None = None
) -> Figure:
    """Change to the full model in points: one dot a run, the mean as a bar.

    The zero is the mean of the full model's runs on the same split, so that the full model's own
    spread shows beside the others'.

    Parameters
    ----------
    results
        The ablation's results, the variant ``full`` among them; those of the paper's four variants
        are drawn.
    data_label
        What the numbers were computed on.
    stated
        The paper's change of F1 in points by variant (``claims.stated_deltas``), as diamonds.
    """
    runs = ablation_runs_table(pd.DataFrame(), Results({"ablation": list(results)}))
    runs = runs[runs["variant"].isin(PAPER_VARIANTS)]
    if FULL not in set(runs["variant"]):
        return absent("The full model, which the others are compared with", data_label=data_label)
    variants = list(dict.fromkeys(runs["variant"]))
    figure, axes = new_figure(0.9 * len(variants) + 1.7, rows=2, sharex=True)
    names = {"f1_weighted": "Weighted F1", "auc": "AUC"}
    phrases = []
    for axis, (column, name) in zip(axes, names.items(), strict=True):
        base = runs[runs["variant"] == FULL].groupby("split")[column].mean()
        change = 100 * (runs[column] - runs["split"].map(base))
        axis.axvline(0, color=GREY, linewidth=0.8)
        for place, variant in enumerate(variants):
            own = change[runs["variant"] == variant].dropna()
            colour = GREY if variant == FULL else SERIES[0]
            axis.plot(own, place + spread(len(own)), "o", color=colour, alpha=0.8)
            axis.plot([own.mean()] * 2, [place - 0.33, place + 0.33], color="black", linewidth=2)
            if stated and column == "f1_weighted" and variant in stated:
                axis.plot(stated[variant], place, "D", color=SERIES[1], markersize=6)
            if variant != FULL:
                phrases.append(f"{name} {own.mean():+.2f} {variant}".replace("-", MINUS))
        axis.set_yticks(range(len(variants)), variants)
        axis.set_ylim(len(variants) - 0.5, -0.5)
        axis.set_title(name)
        axis.grid(visible=False, axis="y")
    axes[-1].set_xlabel("Change to the mean of the full model, points")
    _ablation_legend(figure, axes[0], bool(stated))
    alt = f"Mean change to the full model in points, over {len(runs)} runs: {listing(phrases)}."
    return finish(figure, alt, data_label)


def _ablation_legend(figure: Figure, axis: Axes, stated: bool) -> None:
    axis.plot([], [], "o", color=SERIES[0], label="one run")
    axis.plot([], [], color="black", linewidth=2, label="mean")
    if stated:
        axis.plot([], [], "D", color=SERIES[1], label="stated by the paper")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=3)


def _estimate(axis: Axes, row: pd.Series, column: str, place: float, colour: str) -> None:
    axis.plot([row[f"{column}_low"], row[f"{column}_high"]], [place] * 2, color=colour)
    axis.plot(row[column], place, "o", color=colour, markersize=7)


def _rows(axis: Axes, names: Sequence[str]) -> None:
    """Name the rows of a figure, the first at the top."""
    axis.set_yticks(range(len(names)), list(names))
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")


def _interval(row: pd.Series, column: str) -> str:
    return interval(row[column], row[f"{column}_low"], row[f"{column}_high"], column)
