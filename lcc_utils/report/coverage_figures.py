"""Figures of coverage by simulation, and of entries that others published."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lcc_utils.evaluation.subject_intervals import BY_CELLS
from lcc_utils.report.formatting import cell, interval
from lcc_utils.report.style import GREY, SERIES, absent, finish, listing, new_figure, styled

_LOOKS = {
    "percentile": (SERIES[2], "s", "percentile bootstrap"),
    "bca": (SERIES[1], "^", "BCa bootstrap"),
    "jackknife": (SERIES[0], "o", "jackknife, logit scale"),
}
_NOMINAL = 0.95


@styled
def coverage(table: pd.DataFrame) -> Figure:
    """Share of 95 % intervals that hold the truth, by scenario and metric; cells pooled.

    Parameters
    ----------
    table
        The table ``coverage``.
    """
    own = table[table["estimand"] == BY_CELLS]
    scenarios, metrics = list(own["scenario"].unique()), list(own["metric"].unique())
    figure, axes = new_figure(
        1.15 + 0.62 * len(scenarios), 1, len(metrics), sharex=True, sharey=True
    )
    phrases = []
    for axis, metric in zip(axes, metrics, strict=True):
        rows = own[own["metric"] == metric]
        axis.axvline(_NOMINAL, color=GREY, linewidth=0.8)
        for shift, (name, (colour, marker, _)) in zip((-0.2, 0, 0.2), _LOOKS.items(), strict=True):
            values = rows[f"coverage_{name}"]
            axis.plot(values, np.arange(len(rows)) + shift, marker, color=colour, markersize=4.5)
        axis.set_title(metric, fontsize=9)
        axis.grid(visible=False, axis="y")
        said = [
            f"{label} {cell(rows[f'coverage_{name}'].min())} to "
            f"{cell(rows[f'coverage_{name}'].max())}"
            for name, (_, _, label) in _LOOKS.items()
        ]
        phrases.append(f"{metric}: {listing(said)}")
    axes[0].set_yticks(range(len(scenarios)), [_wrapped(name) for name in scenarios], fontsize=8)
    axes[0].set_ylim(len(scenarios) - 0.5, -0.5)
    # Centred below the row of panels: a label of the figure would lie on the note.
    middle = axes[len(axes) // 2]
    middle.set_xlabel("Share of 95 % intervals that hold the truth", x=0.0, ha="center")
    for colour, marker, label in _LOOKS.values():
        axes[0].plot([], [], marker, color=colour, label=label)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    count = f"{own['replicates'].min():,} simulated data sets a scenario"
    alt = f"Coverage over {len(scenarios)} scenarios. {'. '.join(phrases)}."
    return finish(figure, alt, count)


@styled
def published_entries(entries: pd.DataFrame, literature: pd.DataFrame) -> Figure:
    """Weighted F1 that works report on the preliminary phase, with intervals where files allow.

    Parameters
    ----------
    entries
        The table ``published_entries``: an entry's interval over its subjects, cells pooled.
    literature
        The table ``literature``; figures of weighted F1 on the preliminary phase are drawn.
    """
    stated = literature[
        literature["metric"].eq("weighted F1") & literature["phase"].eq("preliminary")
    ].sort_values("value", ascending=False)
    own = entries[entries["estimand"] == BY_CELLS].iloc[0] if len(entries) else None
    if own is None or stated.empty:
        return absent("Published entries", data_label="published entries")
    figure, (axis,) = new_figure(0.34 * len(stated) + 1.7)
    names = [f"{row.work} ({row.year})" for row in stated.itertuples()]
    axis.plot(stated["value"], np.arange(len(names)), "o", color=GREY, label="stated")
    place = len(names)
    ends = (own["f1_weighted_low"], own["f1_weighted_high"])
    axis.axvspan(*ends, color=SERIES[0], alpha=0.12)
    axis.plot(ends, [place] * 2, color=SERIES[0])
    axis.plot(own["f1_weighted"], place, "D", color=SERIES[0], label="from the entry's own counts")
    axis.set_yticks(range(place + 1), [*names, own["entry"]], fontsize=8)
    axis.set_ylim(place + 0.5, -0.5)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("Weighted F1, preliminary phase")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    inside = int(stated["value"].between(*ends).sum())
    subjects = own["all_subjects"] + own["hem_subjects"]
    alt = (
        f"Weighted F1 of {own['entry']} is {interval(own['f1_weighted'], *ends)}, over {subjects} "
        f"subjects. The interval holds {inside} of the {len(stated)} figures that works report on "
        "this phase."
    )
    return finish(figure, alt, "numbers that others published")


def _wrapped(name: str) -> str:
    """Break a long name into lines at its commas and in its middle."""
    words, lines = name.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 24:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
