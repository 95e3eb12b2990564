"""Figures about test images that are changed, and about training labels that are wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lcc_utils.data.shift_scales import SCALES, SEVERITIES
from lcc_utils.evaluation.result import Results
from lcc_utils.report.formatting import cell, interval
from lcc_utils.report.robustness_tables import GREATEST, shift_curves
from lcc_utils.report.style import (
    GREY,
    absent,
    colours,
    finish,
    listing,
    new_figure,
    styled,
)

_METRICS = {"auc": "AUC", "f1_weighted": "Weighted F1"}
_MARKERS = "oDs^vP"
_COLUMNS = 4


@styled
def robustness_curves(results: Results, metric: str, *, data_label: str) -> Figure:
    """Draw a metric against severity, one panel a shift and one line a model.

    Parameters
    ----------
    results
        Those of the study ``robustness``, with what was measured.
    metric
        ``auc``, or ``f1_weighted`` at each experiment's own threshold.
    data_label
        What the numbers were computed on.
    """
    curves, name = shift_curves(results), _METRICS[metric]
    if curves.empty:
        return absent(f"{name} under changes of the images", data_label=data_label)
    models = list(dict.fromkeys(curves["model"]))
    rows = -(-len(SCALES) // _COLUMNS)
    figure, axes = new_figure(1.6 * rows + 0.9, rows, _COLUMNS, sharex=True, sharey=True)
    for axis, (shift, panel) in zip(axes, curves.groupby("shift", sort=False), strict=False):
        for n, (model, colour) in enumerate(zip(models, colours(len(models)), strict=True)):
            own = panel[panel["model"] == model]
            style = {"color": colour, "marker": _MARKERS[n % len(_MARKERS)], "markersize": 3}
            axis.plot(own["severity"], own[metric], linewidth=1.2, label=model, **style)
        axis.set_title(shift, fontsize=8)
        axis.set_xticks((0, *SEVERITIES))
        axis.tick_params(labelsize=8)
        if metric == "auc":
            axis.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    for axis in axes[::_COLUMNS]:
        axis.set_ylabel(name, fontsize=9)
    for axis in axes[-_COLUMNS:]:
        axis.set_xlabel("Severity", fontsize=9)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    phrases = [_course(model, own, metric) for model, own in curves.groupby("model", sort=False)]
    alt = f"{name} by severity of {len(SCALES)} changes of the images: {'; '.join(phrases)}."
    return finish(figure, alt, data_label)


@styled
def shift_gallery(
    images: Mapping[str, NDArray[np.uint8]], caption: str, *, data_label: str
) -> Figure:
    """One cell under each shift, a row each, at each severity, a column each.

    Parameters
    ----------
    images
        By shift, uint8 ``(6, height, width, 3)``: unchanged, then severities 1 to 5.
    caption
        Which cell it is.
    data_label
        Which data the cell is from.
    """
    if not images:
        return absent("A cell under each change", data_label=data_label)
    side = next(iter(images.values())).shape[1]
    rows = [np.concatenate(list(own), axis=1) for own in images.values()]
    figure, (axis,) = new_figure(0.66 * len(rows) + 0.8)
    axis.imshow(np.concatenate(rows, axis=0), interpolation="none")
    axis.set_anchor("E")  # room for the names
    places = side * (np.arange(max(len(rows), GREATEST + 1)) + 0.5)
    names = [f"{name}\n{SCALES[name].span}" for name in images]
    axis.set_yticks(places[: len(rows)], names, fontsize=7)
    axis.set_xticks(places[: GREATEST + 1], ["unchanged", *map(str, SEVERITIES)])
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    alt = f"{caption}, unchanged and at severities 1 to {GREATEST} of {listing(list(images))}."
    return finish(figure, alt, data_label)


@styled
def label_noise(table: pd.DataFrame, *, data_label: str) -> Figure:
    """Change in AUC and weighted F1 against the share of wrong labels; table ``label_noise``."""
    changed = table[table["auc_delta"].notna()]
    if changed.empty:
        return absent("Training on wrong labels", data_label=data_label)
    models = list(dict.fromkeys(changed["model"]))
    figure, axes = new_figure(5.6, rows=2, sharex=True)
    phrases = []
    for axis, (column, name) in zip(
        axes, {"auc_delta": "AUC", "f1_delta": "weighted F1"}.items(), strict=True
    ):
        axis.axhline(0, color=GREY, linewidth=0.8)
        for n, (model, colour) in enumerate(zip(models, colours(len(models)), strict=True)):
            own = changed[changed["model"] == model]
            share = 100 * own["share_wrong"] + 0.12 * (n - (len(models) - 1) / 2)
            ends = own[[f"{column}_low", f"{column}_high"]].to_numpy(float).T
            axis.vlines(share, *ends, color=colour, alpha=0.5, linewidth=1.5)
            axis.plot([0, *share], [0, *own[column]], color=colour, linewidth=1.2)
            axis.plot(share, own[column], _MARKERS[n], color=colour, markersize=5, label=model)
            last = own.iloc[-1]
            five = (last[column], last[f"{column}_low"], last[f"{column}_high"])
            phrases.append(f"{model}, {name} {interval(*five, column)}")
        axis.set_ylabel(f"Change in {name},\npoints")
    axes[-1].set_xticks([0, *sorted(100 * changed["share_wrong"].unique())])
    axes[-1].set_xlabel("Training labels that are wrong, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    most = f"{100 * changed['share_wrong'].max():g} %"
    alt = f"Change in points by the share of wrong labels, at most {most}: {'; '.join(phrases)}."
    return finish(figure, alt, data_label)


def _course(model: str, own: pd.DataFrame, metric: str) -> str:
    last = own[own["severity"] == GREATEST].set_index("shift")[metric]
    base = own.loc[own["severity"] == 0, metric].iloc[0]
    return (
        f"{model} from {cell(base)} unchanged to between {cell(last.min())}, {last.idxmin()}, and "
        f"{cell(last.max())}, {last.idxmax()}, at severity {GREATEST}"
    )
