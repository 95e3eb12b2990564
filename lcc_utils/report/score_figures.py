"""Figures of scores on test cells: ROC, histogram, confusion, and accuracy by subject.

Each function returns a matplotlib ``Figure`` with an ``alt`` attribute, a sentence computed from
what is drawn. ``data_label`` names what the numbers were computed on and stands in the corner. What
a run does not hold gives a figure that says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lcc_utils.errors import DataError
from lcc_utils.evaluation.metrics import CLASSES
from lcc_utils.evaluation.result import Result
from lcc_utils.evaluation.subjects import by_subject
from lcc_utils.report.formatting import percent
from lcc_utils.report.style import (
    COLOURS,
    GREY,
    absent,
    colours,
    finish,
    new_figure,
    spread,
    styled,
)

__all__ = ["confusion", "roc", "score_histogram", "subject_accuracy"]


@styled
def roc(results: Sequence[Result], *, data_label: str) -> Figure:
    """ROC curves on test cells, the point of the chosen threshold marked."""
    if not results:
        return absent("The ROC curves", data_label=data_label)
    from sklearn.metrics import roc_curve

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
