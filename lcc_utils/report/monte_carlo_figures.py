"""Figures of repeated random splits, of leakage, and of intervals computed in two ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lcc_utils.evaluation.result import Result, Results
from lcc_utils.evaluation.statistics import running
from lcc_utils.report.formatting import interval
from lcc_utils.report.leakage_tables import contrasts, leakage_pairs, logit_auc
from lcc_utils.report.monte_carlo_tables import PROTOCOLS, STUDIES, of_protocol
from lcc_utils.report.rows import Runs, by_variant
from lcc_utils.report.style import (
    COLOURS,
    GREY,
    SERIES,
    absent,
    colours,
    finish,
    new_figure,
    spread,
    styled,
)

_PROTOCOL_COLOURS = dict(zip(PROTOCOLS, SERIES, strict=False))
_NAMED_SUBJECTS = 45


@styled
def monte_carlo_distributions(results: Sequence[Result], *, data_label: str) -> Figure:
    """AUC over the iterations of each model, by subject and by image; means as lines.

    Parameters
    ----------
    results
        Those of the studies ``monte_carlo`` and ``monte_carlo_trained``.
    data_label
        What the numbers were computed on.
    """
    series = _series(results)
    if not series:
        return absent("The distribution over iterations", data_label=data_label)
    models = list(dict.fromkeys(model for model, _ in series))
    figure, axes = new_figure(1.25 * len(models) + 1.2, rows=len(models), sharex=True)
    every = np.concatenate(list(series.values()))
    bins = np.linspace(every.min() - 1e-3, every.max() + 1e-3, 31)
    for axis, model in zip(axes, models, strict=True):
        for protocol, colour in _PROTOCOL_COLOURS.items():
            values = series.get((model, protocol))
            if values is None:
                continue
            axis.hist(values, bins=bins, color=colour, alpha=0.45, histtype="stepfilled")
            axis.axvline(values.mean(), color=colour, linewidth=2)
        axis.set_title(model)
        axis.set_ylabel("Iterations")
    _protocol_legend(figure, axes[0])
    axes[-1].set_xlabel("AUC on the test cells of one iteration")
    phrases = [
        f"{model} {PROTOCOLS[protocol][0]} has a mean of {values.mean():.3f}, from "
        f"{values.min():.3f} to {values.max():.3f} over {len(values)} iterations"
        for (model, protocol), values in series.items()
    ]
    return finish(figure, f"Distribution of AUC: {'; '.join(phrases)}.", data_label)


@styled
def monte_carlo_running(results: Sequence[Result], *, data_label: str) -> Figure:
    """Mean AUC of the iterations so far, by model; by subject solid, by image dashed."""
    series = _series(results)
    if not series:
        return absent("The running mean over iterations", data_label=data_label)
    figure, (axis,) = new_figure(3.6)
    models = list(dict.fromkeys(model for model, _ in series))
    colour = dict(zip(models, colours(len(models)), strict=True))
    phrases = []
    for (model, protocol), values in series.items():
        so_far = running(values)
        mean = so_far["mean"].to_numpy()
        style = "-" if protocol == "patient" else "--"
        axis.plot(so_far["n"], mean, style, color=colour[model])
        half = mean[(len(mean) - 1) // 2]
        phrases.append(
            f"{model} {PROTOCOLS[protocol][0]} stands at {half:.3f} after half and at "
            f"{mean[-1]:.3f} after all {len(values)} iterations"
        )
    for model in models:
        axis.plot([], [], color=colour[model], label=model)
    axis.plot([], [], "-", color="black", label="by subject")
    axis.plot([], [], "--", color="black", label="by image")
    axis.set_xlabel("Iterations")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel("Mean AUC so far")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return finish(figure, f"Running mean of AUC: {'; '.join(phrases)}.", data_label)


@styled
def monte_carlo_subjects(table: pd.DataFrame, *, data_label: str) -> Figure:
    """Mean accuracy of each subject over the iterations that tested it, one deviation either way.

    Parameters
    ----------
    table
        The table ``monte_carlo_subjects``.
    data_label
        What the numbers were computed on.
    """
    if table.empty:
        return absent("Accuracy by subject over iterations", data_label=data_label)
    figure, (axis,) = new_figure(3.8)
    phrases = []
    for name, colour in COLOURS.items():
        own = table[table["class"] == name]
        if own.empty:
            continue
        places = own.index.to_numpy()
        axis.vlines(
            places,
            (own["accuracy"] - own["sd"].fillna(0)).clip(0, 1),
            (own["accuracy"] + own["sd"].fillna(0)).clip(0, 1),
            color=colour,
            alpha=0.5,
        )
        sizes = 8 + 0.1 * own["cells"].astype(float)
        axis.scatter(places, own["accuracy"], s=sizes, color=colour, label=name)
        worst, best = own.iloc[0], own.iloc[-1]
        phrases.append(
            f"{len(own)} {name} subjects lie between {worst['accuracy']:.3f} ({worst['subject']}, "
            f"tested in {worst['iterations']} iterations) and {best['accuracy']:.3f}"
        )
    if len(table) <= _NAMED_SUBJECTS:
        axis.set_xticks(range(len(table)), table["subject"], rotation=90, fontsize=7)
    else:
        axis.set_xticks([])
    axis.set_ylim(-0.03, 1.03)
    axis.grid(visible=False, axis="x")
    axis.set_xlabel("Subject")
    axis.set_ylabel("Share of its cells called right")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    alt = f"Mean accuracy of each subject with {table['model'].iloc[0]}: {'; '.join(phrases)}."
    return finish(figure, alt, data_label)


@styled
def leakage(results: Sequence[Result], table: pd.DataFrame, *, data_label: str) -> Figure:
    """Difference of logit(AUC) by leakage: the mean with its interval, a dot a pair behind.

    Parameters
    ----------
    results
        Those of the studies ``leakage`` and ``leakage_trained``: a dot a pair.
    table
        The table ``leakage`` of the same results: means and intervals by contrast.
    data_label
        What the numbers were computed on.
    """
    held = Results({"leakage": list(results)})
    by_model = {runs.variant: runs.done for runs in by_variant(held, "leakage")}
    table = table[table["pairs"] > 0]
    if table.empty:
        return absent("The gain by leakage", data_label=data_label)
    names = list(dict.fromkeys(table["contrast"]))
    models = list(dict.fromkeys(table["model"]))
    figure, axes = new_figure(
        (0.42 * len(models) + 0.35) * len(names) + 1.2, rows=len(names), sharex=True, sharey=True
    )
    phrases = []
    for axis, name in zip(axes, names, strict=True):
        axis.axvline(0, color=GREY, linewidth=0.8)
        for _, row in table[table["contrast"] == name].iterrows():
            place, done = models.index(row["model"]), by_model[row["model"]]
            pairs = leakage_pairs(done, contrasts(done)[name])
            own = [logit_auc(second) - logit_auc(first) for first, second in pairs]
            axis.plot(own, place + spread(len(own)), "o", color=GREY, alpha=0.4, markersize=4)
            ends = (row["logit_delta"], row["logit_delta_low"], row["logit_delta_high"])
            axis.plot(ends[1:], [place] * 2, color=SERIES[0])
            axis.plot(ends[0], place, "o", color=SERIES[0], markersize=8)
            phrases.append(
                f"{row['model']}, {name}, {interval(*ends, 'logit_delta')} with a gain in "
                f"{row['positive']} of {row['pairs']} pairs"
            )
        axis.set_yticks(range(len(models)), models)
        axis.set_ylim(len(models) - 0.5, -0.5)
        axis.grid(visible=False, axis="y")
        axis.set_title(name)
    axes[-1].set_xlabel("Difference of logit(AUC)")
    axes[0].plot([], [], "o", color=GREY, alpha=0.4, markersize=4, label="one pair")
    axes[0].plot([], [], "o-", color=SERIES[0], label="mean, corrected 95 % interval")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    alt = f"Difference of logit(AUC) by leakage, with 95 % intervals: {'; '.join(phrases)}."
    return finish(figure, alt, data_label)


@styled
def right_and_wrong(table: pd.DataFrame, *, data_label: str) -> Figure:
    """Width of intervals that ignore what observations share, and of those that account for it.

    Parameters
    ----------
    table
        The table ``right_and_wrong``.
    data_label
        What the numbers were computed on.
    """
    drawn = table[table["usual_range_low"].notna()].reset_index(drop=True)
    if drawn.empty:
        return absent("Two ways to an interval", data_label=data_label)
    figure, (axis,) = new_figure(1.05 * len(drawn) + 1.1)
    axis.axvline(0, color=GREY, linewidth=0.8)
    ways = {"usual": (GREY, -0.12), "sound": (SERIES[0], 0.12)}
    phrases = []
    for place, row in drawn.iterrows():
        for way, (colour, shift) in ways.items():
            ends = [100 * (row[f"{way}_range_{end}"] - row["value"]) for end in ("low", "high")]
            axis.plot(ends, [place + shift] * 2, color=colour, linewidth=3)
        widths = [
            f"{100 * (row[f'{way}_range_high'] - row[f'{way}_range_low']):.2f} by {row[way]}"
            for way in ways
            if pd.notna(row[f"{way}_range_low"])
        ]
        phrases.append(f"{row['quantity']} from {row['computed_from']}, {' and '.join(widths)}")
        axis.text(
            0,
            place - 0.28,
            row["quantity"],
            fontsize=8,
            ha="center",
            va="bottom",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axis.set_yticks([])
    axis.set_ylim(len(drawn) - 0.6, -0.65)
    axis.spines["left"].set_visible(False)
    axis.set_xlabel("Distance to the value, points of AUC")
    axis.plot([], [], color=GREY, linewidth=3, label="ignoring what they share")
    axis.plot([], [], color=SERIES[0], linewidth=3, label="accounting for it")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    alt = f"Width of two intervals in points: {'; '.join(phrases)}."
    return finish(figure, alt, data_label)


def _series(results: Sequence[Result]) -> dict[tuple[str, str], np.ndarray]:
    """AUC over iterations in the order of their seeds, by model and protocol."""
    held = Results({study: [r for r in results if r.study == study] for study in STUDIES})
    found = {}
    for runs in by_variant(held, *STUDIES):
        for protocol in PROTOCOLS:
            own: Runs = of_protocol(runs, protocol)
            if own.done:
                ordered = sorted(own.done, key=lambda result: result.seed)
                found[runs.variant, protocol] = np.array([r.metrics["auc"] for r in ordered])
    return found


def _protocol_legend(figure: Figure, axis: Axes) -> None:
    for protocol, colour in _PROTOCOL_COLOURS.items():
        axis.fill_between([], [], color=colour, alpha=0.6, label=PROTOCOLS[protocol][0])
    axis.plot([], [], color="black", linewidth=2, label="mean")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=3)
