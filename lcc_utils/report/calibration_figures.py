"""Figures of calibration: what scores mean, judging some of the cells, and people."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lcc_utils.evaluation.calibration import SCALINGS, Calibrated
from lcc_utils.evaluation.decisions import HALF, area, coverage_risk, subject_decisions
from lcc_utils.evaluation.metrics import CLASSES
from lcc_utils.evaluation.reliability import calibration_error, reliability
from lcc_utils.evaluation.result import Results
from lcc_utils.report.calibration_tables import calibrated_models
from lcc_utils.report.formatting import cell, percent
from lcc_utils.report.style import (
    COLOURS,
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

PANELS = 4
# Fewer bins than the error has: a dot a bin stays readable.
BINS = 10


@styled
def reliability_diagram(results: Results, *, data_label: str) -> Figure:
    """Share of ALL cells against mean score in bins of equal count, before and after scaling.

    Parameters
    ----------
    results
        Results by study; the first four models of the primary analysis are drawn, one panel each.
    data_label
        What they were computed on.
    """
    models = calibrated_models(results)[:PANELS]
    if not models:
        return absent("The reliability diagram", data_label=data_label)
    columns = min(len(models), 2)
    rows = -(-len(models) // columns)
    figure, axes = new_figure(2.5 * rows + 0.9, rows, columns, sharex=True, sharey=True)
    phrases = []
    for axis, (model, found) in zip(axes, models, strict=False):
        errors = _panel(axis, found)
        axis.set_title(model)
        phrases.append(f"{model} from {cell(errors[0])} to {cell(errors[1])}")
    for axis in axes[len(models) :]:
        axis.set_axis_off()
    for axis in axes[max(len(models) - columns, 0) : len(models)]:
        axis.set_xlabel("Mean score of the bin")
        axis.tick_params(labelbottom=True)
    for axis in axes[::columns]:
        axis.set_ylabel("Share of ALL cells")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    alt = (
        f"Reliability of scores in {BINS} bins of equal count, before and after Platt scaling on "
        f"validation cells. The calibration error goes for {listing(phrases)}."
    )
    return finish(figure, alt, data_label)


@styled
def coverage_risk_curves(results: Results, *, data_label: str) -> Figure:
    """Share of wrong calls among the most confident cells, against the share kept, by model."""
    models = calibrated_models(results)
    if not models:
        return absent("Coverage and risk", data_label=data_label)
    figure, (axis,) = new_figure(3.9)
    phrases = []
    for colour, line, (model, found) in zip(
        colours(len(models)), _lines(len(models)), models, strict=True
    ):
        curve = coverage_risk(found.test["label"], found.test[found.chosen])
        # The first few cells make a risk that jumps between 0 and 1 and says nothing.
        drawn = curve[curve["coverage"] >= 0.02]
        axis.plot(drawn["coverage"], drawn["risk"], line, color=colour, label=_named(model, found))
        middle = curve.loc[curve["coverage"] >= HALF, "risk"].iloc[0]
        under = area(found.test, found.chosen).estimate
        phrases.append(
            f"{model} {percent(curve['risk'].iloc[-1])} with all cells judged and "
            f"{percent(middle)} with half of them, area {cell(under)}"
        )
    axis.set_xlim(0, 1.01)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("Coverage: share of cells judged, the most confident first")
    axis.set_ylabel("Risk: share of them called wrong")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    alt = f"Share of wrong calls as fewer cells are judged: {'; '.join(phrases)}."
    return finish(figure, alt, data_label)


@styled
def subject_scores(results: Results, *, data_label: str) -> Figure:
    """Draw each subject at its mean probability, by model and class, and one half.

    Parameters and what is returned are those of :func:`reliability_diagram`, for every model.
    """
    models = calibrated_models(results)
    if not models:
        return absent("Scores of subjects", data_label=data_label)
    figure, (axis,) = new_figure(0.85 * len(models) + 1.5)
    phrases = []
    for place, (model, found) in enumerate(models):
        people = subject_decisions(found.test, found.chosen)
        counts = [
            _dots(axis, people[people["label"] == label], place + offset, name)
            for (label, name), offset in zip(CLASSES.items(), (-0.2, 0.2), strict=True)
        ]
        phrases.append(f"{model} {listing(counts)}")
    axis.axvline(HALF, color="black", linestyle="--", linewidth=1.2, label="one half")
    for name in CLASSES.values():
        axis.scatter([], [], s=45, color=COLOURS[name], alpha=0.65, label=name)
    axis.set_yticks(range(len(models)), [_named(*own) for own in models])
    axis.set_ylim(len(models) - 0.5, -0.5)
    axis.set_xlim(-0.02, 1.02)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("Mean P(ALL) of the subject's cells")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    alt = f"Mean probability of each subject, called at one half: {'; '.join(phrases)}."
    return finish(figure, alt, data_label)


def _panel(axis: Axes, found: Calibrated) -> list[float]:
    """Draw one model before and after; return its two calibration errors."""
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    looks = {"score": (GREY, "s--", "as scored"), "platt": (SERIES[0], "o-", "after Platt scaling")}
    errors = []
    for column, (colour, line, name) in looks.items():
        bins = reliability(found.test["label"], found.test[column], BINS)
        axis.plot(
            bins["mean_score"], bins["share_all"], line, color=colour, label=name, markersize=4.5
        )
        errors.append(calibration_error(found.test["label"], found.test[column]))
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    return errors


def _dots(axis: Axes, people: pd.DataFrame, place: float, name: str) -> str:
    """Draw the subjects of one class; say how many of them are called right."""
    axis.scatter(
        people["mean"],
        place + 0.45 * spread(len(people)),
        s=8 + 0.25 * people["cells"],
        color=COLOURS[name],
        alpha=0.65,
        linewidths=0.6,
        edgecolors="white",
    )
    right = int(((people["mean"] >= HALF) == (people["label"] == 1)).sum())
    return f"calls {right} of {len(people)} {name} subjects right"


def _named(model: str, found: Calibrated) -> str:
    """Return a model's name with the scaling that its validation subjects chose."""
    return f"{model} ({SCALINGS[found.chosen]})"


def _lines(count: int) -> list[str]:
    """Return a style for each line, so that colour is not all that tells them apart."""
    return [("-", "--", "-.", ":")[n % 4] for n in range(count)]
