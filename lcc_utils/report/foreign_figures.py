"""Figures about cells from elsewhere: how far off they lie, and whether they are noticed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from lcc_utils.evaluation.detection import ACCEPTED
from lcc_utils.report.foreign_tables import AS_IT_IS, MEASURES
from lcc_utils.report.formatting import cell, interval, percent
from lcc_utils.report.style import GREY, SERIES, absent, finish, new_figure, styled

_MARKERS = "osD^"
_AXES = {
    "distance": "Distance (logarithmic)",
    "energy": "Energy",
}
# Energies further out than this share of cells on either side are not drawn.
_TAIL = 0.005


@styled
def novelty_curves(measured: Mapping[str, pd.DataFrame], *, data_label: str) -> Figure:
    """Share of cells up to each distance and each energy, the run's own and those from elsewhere.

    Parameters
    ----------
    measured
        The numbers of the group robustness (``Results.measured``). Of several networks the first
        is drawn.
    data_label
        What the numbers were computed on.
    """
    if "familiar" not in measured or "foreign" not in measured:
        return absent("Distance and energy of cells from elsewhere", data_label=data_label)
    name = measured["familiar"]["model"].iloc[0]
    own, foreign = (measured[kind] for kind in ("familiar", "foreign"))
    own, foreign = own[own["model"] == name], foreign[foreign["model"] == name]
    sets = list(foreign.groupby("source", sort=True))
    figure, axes = new_figure(2.7 * len(sets) + 0.6, len(sets), 2, sharey=True)
    phrases = []
    for row, (source, cells) in enumerate(sets):
        for axis, (column, label) in zip(axes[2 * row :], _AXES.items(), strict=False):
            phrases += [f"{source}, {one}" for one in _panel(axis, own[column], cells, column)]
            axis.set_xlabel(label)
        axes[2 * row].set_xscale("log")
        axes[2 * row].xaxis.set_minor_formatter(NullFormatter())
        axes[2 * row].set_title(source)
        axes[2 * row].set_ylabel("Share of cells up to it")
        ends = pd.concat([own["energy"], cells["energy"]]).quantile([_TAIL, 1 - _TAIL])
        axes[2 * row + 1].set_xlim(*ends)
        axes[2 * row + 1].legend(fontsize=7.5)
    alt = (
        f"Distribution of distance and energy of test cells and of cells from elsewhere, for the "
        f"network {name}. Beyond the limit that accepts {percent(ACCEPTED, 0)} of test cells lie "
        f"{'; '.join(phrases)}."
    )
    return finish(figure, alt, data_label)


@styled
def out_of_distribution(table: pd.DataFrame, *, data_label: str) -> Figure:
    """How well each measure tells foreign cells from test cells; ``out_of_distribution``.

    Of several networks the first is drawn.
    """
    if table.empty:
        return absent("The detection of cells from elsewhere", data_label=data_label)
    table = table[table["model"] == table["model"].iloc[0]]
    names = [f"{row.source}\n{_named(row.kind, row.form)}" for row in table.itertuples()]
    order = list(dict.fromkeys(names))
    figure, (axis,) = new_figure(0.5 * len(order) + 1.5)
    axis.axvline(0.5, color=GREY, linewidth=0.8)
    for number, (measure, mark) in enumerate(zip(MEASURES.values(), _MARKERS, strict=True)):
        own = table[table["measure"] == measure]
        shift = 0.18 * (number - (len(MEASURES) - 1) / 2)
        places = [order.index(names[row]) + shift for row in table.index.get_indexer(own.index)]
        style = {"color": SERIES[number], "markersize": 6, "label": measure}
        ends = own[["auroc_low", "auroc_high"]].to_numpy(float).T
        axis.hlines(places, *ends, color=SERIES[number])
        axis.plot(own["auroc"], places, mark, **style)
    axis.set_yticks(range(len(order)), order)
    axis.set_ylim(len(order) - 0.45, -0.55)
    axis.set_xlim(-0.02, 1.02)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("AUROC, foreign against test cells; .5 is chance")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    phrases = [
        f"{name.replace(chr(10), ', ')}, {row['measure']} "
        f"{interval(row['auroc'], row['auroc_low'], row['auroc_high'])}"
        for name, (_, row) in zip(names, table.iterrows(), strict=True)
    ]
    alt = f"AUROC of foreign cells against test cells, {cell(0.5)} being chance: "
    return finish(figure, f"{alt}{'; '.join(phrases)}.", data_label)


def _panel(axis: Axes, own: pd.Series, cells: pd.DataFrame, column: str) -> list[str]:
    """Draw one set by one number; say how much of each kind lies beyond the limit."""
    limit = float(np.quantile(own, ACCEPTED, method="inverted_cdf"))
    axis.axvline(limit, color=GREY, linewidth=0.8, linestyle=":")
    axis.ecdf(own.to_numpy(float), label="test cells", color="black")
    kinds = cells.groupby("kind", sort=True)
    phrases = []
    for colour, (kind, of_kind) in zip(_colours(kinds.ngroups), kinds, strict=True):
        for form, some in of_kind.groupby("form", sort=True):
            line = "-" if form == AS_IT_IS else "--"
            values, named = some[column].to_numpy(float), _named(kind, form)
            axis.ecdf(values, label=named, color=colour, linestyle=line)
            phrases.append(f"{named}, by {column} {percent((values > limit).mean(), 0)}")
    return phrases


def _colours(count: int) -> list[str]:
    """Return colours of the palette without black, which is that of the run's own cells."""
    return [SERIES[number % (len(SERIES) - 1)] for number in range(count)]


def _named(kind: str, form: str) -> str:
    return kind if form == AS_IT_IS else f"{kind}, {form}"
