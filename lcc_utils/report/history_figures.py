"""Figures of how trainings ran: loss, F1 and learning rate by epoch.

Each function returns a matplotlib ``Figure`` with an ``alt`` attribute, a sentence computed from
what is drawn. ``data_label`` names what the numbers were computed on and stands in the corner. What
a run does not hold gives a figure that says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lcc_utils.evaluation.result import Result
from lcc_utils.report.formatting import MINUS
from lcc_utils.report.style import (
    GREY,
    absent,
    colours,
    finish,
    listing,
    new_figure,
    styled,
)

__all__ = ["learning_curves", "learning_rate"]


@styled
def learning_curves(
    results: Sequence[Result], *, data_label: str, printed: pd.DataFrame | None = None
) -> Figure:
    """Weighted F1 and loss by epoch, training dashed and validation solid, chosen epoch marked.

    Parameters
    ----------
    results
        One colour each.
    data_label
        What the numbers were computed on.
    printed
        The history that the authors printed (``claims.paper_history``), drawn in grey beside.
    """
    if not results:
        return absent("The learning curves", data_label=data_label)
    figure, axes = new_figure(5.4, rows=2, sharex=True)
    phrases = []
    if printed is not None:
        _curves(axes, printed, GREY, "the authors' print")
    for colour, result in zip(colours(len(results)), results, strict=False):
        _curves(axes, result.history, colour, result.split)
        chosen = _chosen(result)
        for axis, column in zip(axes, ("val_f1", "val_loss"), strict=True):
            axis.plot(chosen["epoch"], chosen[column], "o", color=colour, markersize=7)
        phrases.append(
            f"{result.split} reaches a validation F1 of {chosen['val_f1']:.3f} at its chosen "
            f"epoch {chosen['epoch']:.0f} of {result.history['epoch'].max():.0f}"
        )
    axes[0].set_ylabel("Weighted F1")
    axes[1].set_ylabel("Loss")
    axes[1].set_xlabel("Epoch")
    axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].plot([], [], "--", color="black", label="training")
    axes[0].plot([], [], "o-", color="black", label="validation, chosen epoch")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    alt = f"Curves of F1 and loss by epoch: {listing(phrases)}."
    if printed is not None:
        best = printed.loc[printed["val_f1"].idxmax()]
        alt += (
            f" Beside them in grey, the authors' printed run on their own split: "
            f"{best['val_f1']:.4f} at epoch {best['epoch']:.0f}."
        )
    return finish(figure, alt, data_label)


@styled
def learning_rate(results: Sequence[Result], *, data_label: str) -> Figure:
    """Learning rate by epoch, as it really ran."""
    if not results:
        return absent("The learning rate", data_label=data_label)
    figure, (axis,) = new_figure(2.8)
    styles = ("-", "--", ":", "-.")
    for n, (colour, result) in enumerate(zip(colours(len(results)), results, strict=False)):
        line = result.history
        axis.plot(
            line["epoch"],
            line["learning_rate"],
            styles[n % len(styles)],
            color=colour,
            label=result.split,
            marker="o",
            markersize=3,
        )
    axis.set_ylabel("Learning rate")
    axis.set_xlabel("Epoch")
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3), useMathText=True)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    rates = pd.concat([result.history["learning_rate"] for result in results])
    alt = f"The learning rate by epoch, between {rates.min():.1e} and {rates.max():.1e}."
    return finish(figure, alt.replace("-", MINUS), data_label)


def _curves(axes: Sequence[Axes], history: pd.DataFrame, colour: str, name: str) -> None:
    for axis, column in zip(axes, ("f1", "loss"), strict=True):
        axis.plot(history["epoch"], history[column], "--", color=colour, linewidth=1.2)
        axis.plot(history["epoch"], history[f"val_{column}"], "-", color=colour, label=name)


def _chosen(result: Result) -> pd.Series:
    history = result.history
    return history.loc[history["epoch"] == result.record["best_epoch"]].iloc[0]
