"""Figures of trainings; those of cells and of studies have rooms of their own, exported here too.

Each function returns a matplotlib ``Figure`` with an ``alt`` attribute, a sentence computed from
what is drawn. ``data_label`` names what the numbers were computed on and stands in the corner. What
a run does not hold gives a figure that says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from lcc_utils.errors import DataError
from lcc_utils.evaluation.metrics import CLASSES, by_subject
from lcc_utils.evaluation.result import Result
from lcc_utils.report.attention_figures import (
    attention_cascade,
    attention_curves,
    attention_rings,
    attention_sanity,
)
from lcc_utils.report.attention_map_figures import (
    attention_average,
    attention_gallery,
    channel_weights,
)
from lcc_utils.report.calibration_figures import (
    coverage_risk_curves,
    reliability_diagram,
    subject_scores,
)
from lcc_utils.report.cell_figures import (
    cell_gallery,
    cells_per_subject,
    class_counts,
    duplicate_histogram,
)
from lcc_utils.report.data_figures import subject_groups
from lcc_utils.report.formatting import MINUS, percent
from lcc_utils.report.monte_carlo_figures import (
    leakage,
    monte_carlo_distributions,
    monte_carlo_running,
    monte_carlo_subjects,
    right_and_wrong,
)
from lcc_utils.report.steps_figures import stated_point, steps
from lcc_utils.report.study_figures import (
    ablation,
    baselines_dots,
    factorial_effects,
    primary_forest,
    search,
)
from lcc_utils.report.style import (
    COLOURS,
    GREY,
    absent,
    alt_text,
    colours,
    figure_html,
    finish,
    listing,
    new_figure,
    spread,
    styled,
    to_svg,
)

__all__ = [
    "ablation",
    "alt_text",
    "attention_average",
    "attention_cascade",
    "attention_curves",
    "attention_gallery",
    "attention_rings",
    "attention_sanity",
    "baselines_dots",
    "cell_gallery",
    "cells_per_subject",
    "channel_weights",
    "class_counts",
    "confusion",
    "coverage_risk_curves",
    "duplicate_histogram",
    "factorial_effects",
    "figure_html",
    "leakage",
    "learning_curves",
    "learning_rate",
    "monte_carlo_distributions",
    "monte_carlo_running",
    "monte_carlo_subjects",
    "primary_forest",
    "reliability_diagram",
    "right_and_wrong",
    "roc",
    "score_histogram",
    "search",
    "stated_point",
    "steps",
    "subject_accuracy",
    "subject_groups",
    "subject_scores",
    "to_svg",
]


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


@styled
def roc(results: Sequence[Result], *, data_label: str) -> Figure:
    """ROC curves on test cells, the point of the chosen threshold marked."""
    if not results:
        return absent("The ROC curves", data_label=data_label)
    figure, (axis,) = new_figure(5.0)
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    phrases = []
    for colour, result in zip(colours(len(results)), results, strict=False):
        found = result.metrics
        if found["all_cells"] == 0 or found["hem_cells"] == 0:
            raise DataError(f"The test of {result.split} holds one class; a ROC curve needs both.")
        false, true, _ = roc_curve(result.test["label"].astype(int), result.test["score"])
        axis.plot(false, true, color=colour, label=f"{result.split}: AUC {found['auc']:.3f}")
        axis.plot(1 - found["specificity"], found["sensitivity"], "o", color=colour, markersize=8)
        phrases.append(
            f"{result.split} has an AUC of {found['auc']:.3f}, and at its threshold a sensitivity "
            f"of {found['sensitivity']:.3f} and a specificity of {found['specificity']:.3f}"
        )
    axis.plot([], [], "o", color="black", label="threshold from validation")
    axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axis.set_xlabel("1 − specificity (HEM called ALL)")
    axis.set_ylabel("Sensitivity (ALL called ALL)")
    axis.legend(loc="lower right")
    return finish(figure, f"ROC curves on test cells: {'; '.join(phrases)}.", data_label)


@styled
def score_histogram(result: Result | None, *, data_label: str) -> Figure:
    """Scores of test cells by class, with the chosen threshold."""
    if result is None:
        return absent("The histogram of scores", data_label=data_label)
    found = result.metrics
    figure, (axis,) = new_figure(3.2)
    bins = np.linspace(0, 1, 41)
    for label, name in CLASSES.items():
        scores = result.test.loc[result.test["label"] == label, "score"]
        axis.hist(scores, bins=bins, color=COLOURS[name], alpha=0.35, histtype="stepfilled")
        axis.hist(scores, bins=bins, color=COLOURS[name], histtype="step", linewidth=1.5)
        axis.fill_between([], [], color=COLOURS[name], alpha=0.6, label=f"{name}, {len(scores):,}")
    axis.axvline(
        found["threshold"],
        color="black",
        linestyle="--",
        label=f"threshold {found['threshold']:.3f}",
    )
    axis.set_xlim(0, 1)
    axis.set_xlabel("Score, P(ALL)")
    axis.set_ylabel("Test cells")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    alt = (
        f"Histogram of test scores by class, {result.split}: at the threshold "
        f"{found['threshold']:.3f}, {found['tp']:,} of {found['all_cells']:,} ALL cells are above "
        f"and {found['tn']:,} of {found['hem_cells']:,} HEM cells below."
    )
    return finish(figure, alt, data_label)


@styled
def confusion(result: Result | None, *, data_label: str) -> Figure:
    """Test cells by true and called class, with the share of each true class."""
    if result is None:
        return absent("The confusion of test cells", data_label=data_label)
    found = result.metrics
    counts = np.array([[found["tn"], found["fp"]], [found["fn"], found["tp"]]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, (axis,) = new_figure(3.6)
    axis.imshow(shares, cmap="Greys", vmin=0, vmax=1.25)
    for row, column in np.ndindex(2, 2):
        axis.text(
            column,
            row,
            f"{counts[row, column]:,}\n{percent(shares[row, column])}",
            ha="center",
            va="center",
            fontsize=12,
            color="white" if shares[row, column] > 0.6 else "black",
        )
    axis.set_xticks([0, 1], ["HEM", "ALL"])
    axis.set_yticks([0, 1], ["HEM", "ALL"])
    axis.set_xlabel("Called")
    axis.set_ylabel("True")
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    alt = (
        f"Confusion of test cells, {result.split}: of {found['hem_cells']:,} HEM cells "
        f"{found['tn']:,} are called HEM and {found['fp']:,} ALL; of {found['all_cells']:,} ALL "
        f"cells {found['tp']:,} are called ALL and {found['fn']:,} HEM."
    )
    return finish(figure, alt, data_label)


@styled
def subject_accuracy(results: Sequence[Result], *, data_label: str) -> Figure:
    """One dot a test subject, as large as its cells, by direction and class; medians as bars."""
    if not results:
        return absent("Accuracy by subject", data_label=data_label)
    rows: list[str] = []
    phrases = []
    figure, (axis,) = new_figure(1.15 * len(results) + 1.6)
    for result in results:
        table = by_subject(result.test, result.metrics["threshold"])
        for label, name in CLASSES.items():
            own = table[table["label"] == label].reset_index(drop=True)
            place = len(rows)
            rows.append(f"{name}, {len(own)} subjects\n{result.split}")
            if own.empty:
                continue
            axis.scatter(
                own["accuracy"],
                place + spread(len(own)),
                s=8 + 0.7 * own["cells"],
                color=COLOURS[name],
                alpha=0.55,
                linewidths=0.6,
                edgecolors="white",
            )
            middle = own["accuracy"].median()
            axis.plot([middle] * 2, [place - 0.38, place + 0.38], color="black", linewidth=2)
            phrases.append(
                f"{name} of {result.split}, median {middle:.3f}, from "
                f"{own['accuracy'].min():.3f} to {own['accuracy'].max():.3f} over {len(own)} "
                "subjects"
            )
    for size in (20, 100, 400):
        axis.scatter([], [], s=8 + 0.7 * size, color=GREY, alpha=0.55, label=f"{size} cells")
    axis.plot([], [], color="black", linewidth=2, label="median")
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.45, -0.55)
    axis.set_xlim(-0.04, 1.06)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("Share of the subject's cells called right")
    figure.legend(
        *axis.get_legend_handles_labels(),
        loc="outside upper center",
        ncols=4,
        columnspacing=1.0,
        handletextpad=0.4,
    )
    return finish(figure, f"Accuracy of each test subject: {'; '.join(phrases)}.", data_label)


def _curves(axes: Sequence[Axes], history: pd.DataFrame, colour: str, name: str) -> None:
    for axis, column in zip(axes, ("f1", "loss"), strict=True):
        axis.plot(history["epoch"], history[column], "--", color=colour, linewidth=1.2)
        axis.plot(history["epoch"], history[f"val_{column}"], "-", color=colour, label=name)


def _chosen(result: Result) -> pd.Series:
    history = result.history
    return history.loc[history["epoch"] == result.record["best_epoch"]].iloc[0]
