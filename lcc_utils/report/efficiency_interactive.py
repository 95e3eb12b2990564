"""How well models tell the classes apart against what they cost, one cost after another."""

from __future__ import annotations

from textwrap import wrap

import pandas as pd
from matplotlib.figure import Figure

from lcc_utils.report.efficiency_figures import (
    MARKERS,
    Cost,
    arms,
    cost_panels,
    costs_of,
    left_out,
    look,
    models_of,
)
from lcc_utils.report.explorable import (
    CLEAR,
    TEXT_COLOUR,
    axis_layout,
    note,
    numbers,
    page_layout,
)
from lcc_utils.report.formatting import MISSING, cell, heading
from lcc_utils.report.style import GREY, absent
from lcc_utils.text import escaped

__all__ = ["score_against_cost"]

_Y_LABEL = "AUC, mean of the directions"


def score_against_cost(table: pd.DataFrame, *, data_label: str) -> tuple[Figure, dict]:
    """Set each model's AUC against its parameters, multiply-adds, disk, latency and memory.

    Parameters
    ----------
    table
        The table ``efficiency``. Models without an AUC are left out and named.
    data_label
        What the AUC was computed on.

    Returns
    -------
    tuple
        A static figure with a panel for each cost, and the spec for
        ``explorable.interactive_html``, whose reader chooses the cost.
    """
    scored = table[table["auc"].notna()]
    if scored.empty:
        figure = absent("The score against the cost", data_label=data_label)
        return figure, _nothing(data_label)
    costs, out = costs_of(scored), left_out(table)
    return (
        cost_panels(scored, costs, out, data_label=data_label),
        _spec(scored, costs, out, data_label),
    )


def _spec(scored: pd.DataFrame, costs: list[Cost], out: str, data_label: str) -> dict:
    models = models_of(scored)
    data = [
        _trace(number, own, scored[scored["model"] == own["model"]], costs[0])
        for number, (_, own) in enumerate(models.iterrows())
    ]
    ends = [*models["auc_min"], *models["auc_max"]]
    shape = page_layout(
        560 + 12 * len(models),
        150,
        xaxis=axis_layout(costs[0].title, type="log", autorange=True),
        yaxis=axis_layout(_Y_LABEL, range=numbers([min(ends) - 0.02, max(ends) + 0.02])),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        updatemenus=[_menu(list(models["model"]), costs)],
        annotations=[note(escaped(data_label), 95), note("<br>".join(wrap(escaped(out), 60)), 110)],
    )
    return {"data": data, "layout": shape, "config": {"displayModeBar": False}}


def _nothing(data_label: str) -> dict:
    """Return what a page draws where a run holds nothing to draw."""
    middle = {"x": 0.5, "y": 0.5, "xanchor": "center", "yanchor": "middle", "yshift": 0}
    said = note("Not in this run", 0) | middle
    hidden = {"visible": False}
    shape = page_layout(
        180, 40, xaxis=hidden, yaxis=hidden, annotations=[said, note(escaped(data_label), 15)]
    )
    return {"data": [], "layout": shape, "config": {"displayModeBar": False}}


def _trace(number: int, own: pd.Series, rows: pd.DataFrame, cost: Cost) -> dict:
    colour, marker = look(number)
    colour = TEXT_COLOUR if colour == "#000000" else colour
    less, more = arms(own)
    bars = {"type": "data", "symmetric": False, "thickness": 1.2, "width": 3}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escaped(own["model"]),
        "x": [cost.values.get(own["model"])],
        "y": numbers([own["auc"]]),
        "error_y": bars | {"array": numbers([more]), "arrayminus": numbers([less])},
        "marker": {"symbol": MARKERS[marker], "size": 11, "color": colour},
        "text": [_hover(own, rows)],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _hover(own: pd.Series, rows: pd.DataFrame) -> str:
    """Return all numbers of a model, those of each device below each other."""
    lines = [f"<b>{escaped(own['model'])}</b>"]
    lines.append(f"AUC {own['auc']:.3f} ({own['auc_min']:.3f} to {own['auc_max']:.3f})")
    shared = ("size", "parameters_total", "multiply_adds", "disk", "disk_half")
    lines += [_line(name, own[name]) for name in shared]
    for _, row in rows.iterrows():
        if not row["device"]:
            continue
        quartiles = [cell(row[f"latency_quartiles_{end}"]) for end in ("low", "high")]
        lines.append(f"<b>{escaped(row['device'])}</b>")
        lines.append(f"{_line('latency', row['latency'])} ({' to '.join(quartiles)})")
        lines += [_line(name, row[name]) for name in ("throughput", "memory")]
    return "<br>".join(line for line in lines if not line.endswith(MISSING))


def _line(name: str, value: object) -> str:
    return f"{heading(name)}: {cell(value, name)}"


def _menu(models: list[str], costs: list[Cost]) -> dict:
    """Return a list from which the reader chooses the cost."""
    return {
        "type": "dropdown",
        "direction": "up",
        "active": 0,
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "top",
        "pad": {"t": 55},
        "bgcolor": CLEAR,
        "bordercolor": GREY,
        "buttons": [
            {
                "label": cost.title,
                "method": "update",
                "args": [
                    {"x": [[cost.values.get(name)] for name in models]},
                    {"xaxis.title.text": cost.title, "xaxis.autorange": True},
                ],
            }
            for cost in costs
        ],
    }
