"""How well models tell the classes apart against what they cost, a panel for each cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from lcc_utils.report.formatting import cell
from lcc_utils.report.style import SERIES, finish, listing, new_figure, styled

__all__ = ["MARKERS", "Cost", "arms", "cost_panels", "costs_of", "left_out", "look", "models_of"]

# Marker of matplotlib -> that of plotly.js.
MARKERS = {"o": "circle", "D": "diamond", "s": "square", "^": "triangle-up", "v": "triangle-down"}
# Column -> what it counts, and in what.
_COUNTED = {
    "parameters_total": ("Parameters", ""),
    "multiply_adds": ("Multiply-adds", "million"),
    "disk": ("Weights on disk", "MB"),
}
_TIMED = {"latency": ("Latency of one image", "ms"), "memory": ("Memory for one image", "MiB")}
# The costs that the sentence of the figure tells; the table has all.
_TOLD = (_COUNTED["parameters_total"][0], _TIMED["latency"][0])


class Cost(NamedTuple):
    """One cost: what it is, its unit, and its value by model, without models that have none."""

    name: str
    unit: str
    device: str
    values: dict[str, float]

    @property
    def title(self) -> str:
        """What stands at its axis."""
        where = f" ({self.device})" if self.device else ""
        return f"{self.name}{f', {self.unit}' if self.unit else ''}{where}"

    def told(self, model: str) -> str:
        """Return a model's cost as a phrase."""
        where = f" on the {self.device}" if self.device else ""
        shown = f"{_number(self.values[model])} {self.unit}".rstrip()
        return f"{self.name[0].lower()}{self.name[1:]}{where} {shown}"


@styled
def cost_panels(scored: pd.DataFrame, costs: list[Cost], out: str, *, data_label: str) -> Figure:
    """Draw each model's AUC against each cost; models without an AUC are named in the text."""
    models = models_of(scored)
    rows = len(costs) // 2 + 1
    figure, axes = new_figure(2.3 * rows + 0.4, rows=rows, columns=2, sharey=True)
    for axis, cost in zip(axes, costs, strict=False):
        _panel(axis, models, cost)
    for axis in axes[len(costs) :]:
        axis.set_axis_off()
    for axis in axes[: len(costs) : 2]:
        axis.set_ylabel("AUC")
    # The first panel has every model: each has parameters.
    axes[len(costs)].legend(*axes[0].get_legend_handles_labels(), loc="center")
    return finish(figure, _sentence(models, costs, out), data_label)


def costs_of(scored: pd.DataFrame) -> list[Cost]:
    """Return the costs that at least one model has; time and memory for each device."""
    devices = [name for name in dict.fromkeys(scored["device"]) if name]
    found = [_cost(scored, name, *said) for name, said in _COUNTED.items()]
    for device in devices:
        own = scored[scored["device"] == device]
        found += [_cost(own, name, *said, device) for name, said in _TIMED.items()]
    return [cost for cost in found if cost.values]


def _cost(scored: pd.DataFrame, column: str, name: str, unit: str, device: str = "") -> Cost:
    # The axis is logarithmic: what costs nothing has no place on it.
    own = scored[scored[column].notna() & scored[column].gt(0).fillna(value=False)]
    values = dict(zip(own["model"], own[column].astype(float), strict=True))
    return Cost(name, unit, device, values)


def models_of(scored: pd.DataFrame) -> pd.DataFrame:
    """Return one row a model."""
    return scored.drop_duplicates("model")


def left_out(table: pd.DataFrame) -> str:
    """Return a sentence that names models without a result."""
    scored = set(table.loc[table["auc"].notna(), "model"])
    names = [name for name in dict.fromkeys(table["model"]) if name not in scored]
    return f"Without a result here: {listing(names)}." if names else ""


def _panel(axis: Axes, models: pd.DataFrame, cost: Cost) -> None:
    for number, (_, own) in enumerate(models.iterrows()):
        if own["model"] not in cost.values:
            continue
        colour, marker = look(number)
        axis.errorbar(
            cost.values[own["model"]], own["auc"], [[value] for value in arms(own)],
            fmt=marker, color=colour, label=own["model"], markersize=6, linewidth=1,
        )  # fmt: skip
    axis.set_xscale("log")
    # Whole powers of ten, so that a narrow range has labels too.
    low, high = np.log10([min(cost.values.values()), max(cost.values.values())])
    axis.set_xlim(10 ** np.floor(low - 0.1), 10 ** np.ceil(high + 0.1))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel(cost.title)


def look(number: int) -> tuple[str, str]:
    """Return colour and marker of a model: no two of 25 share both."""
    shapes = list(MARKERS)
    place = number % len(SERIES)
    return SERIES[place], shapes[(place + number // len(SERIES)) % len(shapes)]


def arms(own: pd.Series) -> tuple[float, float]:
    """Return how far the least and the most AUC are from the mean."""
    return own["auc"] - own["auc_min"], own["auc_max"] - own["auc"]


def _sentence(models: pd.DataFrame, costs: list[Cost], out: str) -> str:
    phrases = []
    for _, own in models.iterrows():
        spent = [
            cost.told(own["model"])
            for cost in costs
            if cost.name in _TOLD and own["model"] in cost.values
        ]
        phrases.append(
            f"{own['model']}, AUC {own['auc']:.3f} ({own['auc_min']:.3f} to "
            f"{own['auc_max']:.3f}): {', '.join(spent)}"
        )
    return f"AUC against cost. {'; '.join(phrases)}. {out}".rstrip()


def _number(value: float) -> str:
    """Return a cost as text: whole where it is large or counted."""
    return cell(round(value) if value >= 100 or value == round(value) else value)
