"""Figures about maps of attention: tests of belief, curves, places, and cells with their maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lcc_utils.evaluation.attention import RINGS
from lcc_utils.report.attention_tables import CONTRASTS
from lcc_utils.report.formatting import cell, interval
from lcc_utils.report.style import (
    GREY,
    SERIES,
    absent,
    finish,
    listing,
    new_figure,
    styled,
)

_METHODS = dict(zip(CONTRASTS, SERIES, strict=False))
_MARKERS = dict(zip(CONTRASTS, "oDs^", strict=True))
_RANK = "Rank correlation with the trained network's map"


@styled
def attention_sanity(table: pd.DataFrame, *, data_label: str) -> Figure:
    """Rank correlation of other networks' maps with the trained one's; ``attention_sanity``."""
    if table.empty:
        return absent("The comparison of maps between networks", data_label=data_label)
    networks = list(dict.fromkeys(table["network"]))
    figure, (axis,) = new_figure(0.75 * len(networks) + 1.5)
    axis.axvline(0, color=GREY, linewidth=0.8)
    for shift, (method, own) in zip((-0.24, -0.08, 0.08, 0.24), _by_method(table), strict=False):
        places = [networks.index(name) + shift for name in own["network"]]
        ends = own[["rank_cell_low", "rank_cell_high"]].to_numpy(float).T
        axis.hlines(places, *ends, color=_METHODS[method])
        style = {"color": _METHODS[method], "label": method, "markersize": 6}
        axis.plot(own["rank_cell"], places, _MARKERS[method], **style)
    axis.set_yticks(range(len(networks)), networks)
    axis.set_ylim(len(networks) - 0.45, -0.55)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("Rank correlation within the cell,\nwith the trained network")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    phrases = [
        f"{row['method']}, {row['network']}, {_ranked(row, 'rank_cell')}"
        for _, row in table.iterrows()
    ]
    return finish(figure, f"{_RANK}: {'; '.join(phrases)}.", data_label)


@styled
def attention_cascade(table: pd.DataFrame, *, data_label: str) -> Figure:
    """How maps change while a network loses what it learned; the table ``attention_cascade``."""
    if table.empty:
        return absent("The randomisation of parameters", data_label=data_label)
    stages = table.sort_values("step").drop_duplicates("step")["replaced"].tolist()
    figure, (axis,) = new_figure(3.8)
    axis.axhline(0, color=GREY, linewidth=0.8)
    phrases = []
    for method, own in _by_method(table):
        style = {"color": _METHODS[method], "label": method, "marker": _MARKERS[method]}
        axis.plot(own["step"], own["rank_cell"], **style)
        axis.fill_between(
            own["step"], own["rank_cell_low"], own["rank_cell_high"],
            color=_METHODS[method], alpha=0.15, linewidth=0,
        )  # fmt: skip
        first, last = own.iloc[0], own.iloc[-1]
        phrases.append(
            f"{method} from {_ranked(first, 'rank_cell')} to {_ranked(last, 'rank_cell')}"
        )
    axis.set_xticks(range(1, len(stages) + 1), stages, rotation=30, ha="right")
    axis.set_xlabel("Replaced by random parameters, up to")
    axis.set_ylabel("Rank correlation\nwithin the cell")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    alt = f"{_RANK} while {listing(stages)} lose what they learned: {'; '.join(phrases)}."
    return finish(figure, alt, data_label)


@styled
def attention_curves(attention: Mapping[str, pd.DataFrame], *, data_label: str) -> Figure:
    """Mean deletion and insertion curves of each method, and of chance, dashed.

    Parameters
    ----------
    attention
        The attribute of ``Results``; its table ``curves`` is drawn.
    data_label
        What the numbers were computed on.
    """
    curves = attention.get("curves")
    if curves is None:
        return absent("Deletion and insertion", data_label=data_label)
    figure, axes = new_figure(6.0, rows=2, sharex=True, sharey=True)
    phrases = []
    chance = dict(zip(sorted(set(CONTRASTS.values())), (GREY, "black"), strict=True))
    for axis, kind in zip(axes, ("deletion", "insertion"), strict=True):
        for method, own in curves[curves["kind"] == kind].groupby("method", sort=False):
            line = "-" if method in CONTRASTS else "--"
            colour = _METHODS.get(method, chance.get(method))
            axis.plot(own["share"], own["value"], line, color=colour, label=method)
            area = np.trapezoid(own["value"], own["share"])
            phrases.append(f"{method} {area:.3f} under {kind}")
        axis.set_title(kind.capitalize())
        axis.set_ylabel("Mean probability\nof the class called")
    axes[-1].set_xlabel("Share of pixels, those of most attention first")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    alt = f"Curves of deletion and insertion, area by method: {listing(phrases)}."
    return finish(figure, alt, data_label)


@styled
def attention_rings(table: pd.DataFrame, *, data_label: str) -> Figure:
    """Attention from the outline of the cell to its middle; the table ``attention_rings``."""
    if table.empty:
        return absent("Attention by ring", data_label=data_label)
    figure, axes = new_figure(3.4, columns=2, sharey=True)
    names = [f"ring_{number}" for number in range(1, RINGS + 1)]
    phrases = []
    for axis, name in zip(axes, ("ALL", "HEM"), strict=True):
        axis.axhline(1 / RINGS, color=GREY, linewidth=0.8, linestyle="--")
        for _, row in table[table["class"] == name].iterrows():
            method, place = row["method"], np.arange(1, RINGS + 1)
            style = {"color": _METHODS[method], "marker": _MARKERS[method], "label": method}
            axis.plot(place, row[names].to_numpy(float), **style)
            phrases.append(f"{method} on {name} {_ranked(row, names[0])} in the outermost ring")
        axis.set_title(name)
        axis.set_xticks(place, ["outline", *[""] * (RINGS - 2), "middle"])
    axes[0].set_ylabel("Share of the attention\nwithin the cell")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    alt = f"Attention in {RINGS} rings of the same area; even attention would give each "
    alt += f"{1 / RINGS:.3f}: {'; '.join(phrases)}."
    return finish(figure, alt, data_label)


def _by_method(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    found = dict(list(table.groupby("method", sort=False)))
    return [(method, found[method]) for method in CONTRASTS if method in found]


def _ranked(row: pd.Series, column: str) -> str:
    ends = row[f"{column}_low"], row[f"{column}_high"]
    return interval(row[column], *ends) if np.isfinite(ends).all() else cell(row[column])
