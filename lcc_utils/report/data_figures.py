"""The figure of patient ids that share cells: who, in which folds, and what shows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import log2

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from lcc_utils.data.links import FILE, PIXELS, TEXTURE, group_links, join
from lcc_utils.data.official import official_patients
from lcc_utils.evaluation.metrics import CLASSES, natural
from lcc_utils.report.data_tables import place_name
from lcc_utils.report.style import COLOURS, GREY, absent, finish, listing, new_figure, styled

STYLES = {FILE: "-", PIXELS: (0, (5, 1.5)), TEXTURE: (0, (1.5, 1.5))}
_PLACES = {"train": "Fold", "prelim": "Preliminary", "final": "Final"}
_ROW, _DOT, _BEND = 0.44, 430, 0.19


@dataclass(frozen=True)
class _Id:
    """A patient id in the figure: where it is, and whether it has cells in this run."""

    patient: str
    column: str
    colour: str
    here: bool


@styled
def subject_groups(cells: pd.DataFrame, *, data_label: str) -> Figure:
    """Patient ids that share cells, in columns by fold, joined by lines.

    Parameters
    ----------
    cells
        ``label, patient, subject, phase, fold`` and ``pixel_sha256``; see
        ``data.links.group_links``. Ids that are linked to one of these cells, but have none here,
        are drawn hollow.
    data_label
        What the numbers were computed on.
    """
    links = group_links(cells)
    if links.empty:
        return absent("Groups of patient ids that share cells", data_label=data_label)
    ids = _ids(cells, {*links["patient_a"], *links["patient_b"]})
    groups = _groups(links)
    columns = sorted({own.column for own in ids.values()}, key=_column_order)
    rows, height = _rows(groups, ids)
    figure, (axis,) = new_figure(_ROW * height + 1.3)
    place = {patient: (columns.index(ids[patient].column), row) for patient, row in rows.items()}
    for link in links.itertuples(index=False):
        _draw_link(axis, place[link.patient_a], place[link.patient_b], link.evidence, link.pairs)
    for patient, own in ids.items():
        _draw_id(axis, own, place[patient])
    axis.set_xticks(range(len(columns)), columns)
    axis.set_xlim(-0.6, len(columns) - 0.4)
    axis.set_ylim(height - 0.4, -0.6)
    axis.set_yticks([])
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    axis.spines[:].set_visible(False)
    axis.grid(visible=False, axis="y")
    _legend(figure, axis, links, ids)
    return finish(figure, _sentence(links, groups, ids), data_label)


def _ids(cells: pd.DataFrame, patients: set[str]) -> dict[str, _Id]:
    """Return the ids of all links: from the cells where these have them, else as is official."""
    own = cells[cells["patient"].isin(patients)].drop_duplicates("patient")
    here = {
        row.patient: (int(row.label), row.phase, row.fold) for row in own.itertuples(index=False)
    }
    ids = {}
    for patient in sorted(patients, key=natural):
        if patient in here:
            label, phase, fold = here[patient]
        else:
            facts = official_patients()[patient.lower()]
            label, phase, fold = int(facts["label"]), facts["phase"], facts["fold"]
        column = place_name(_PLACES[str(phase)], fold)
        ids[patient] = _Id(patient, column, COLOURS[CLASSES[label]], patient in here)
    return ids


def _groups(links: pd.DataFrame) -> list[list[str]]:
    """Return the ids of each group, in natural order."""
    fellow = join(zip(links["patient_a"], links["patient_b"], strict=True))
    groups: dict[str, list[str]] = {}
    for patient in sorted(fellow, key=natural):
        groups.setdefault(fellow[patient], []).append(patient)
    return list(groups.values())


def _rows(groups: list[list[str]], ids: dict[str, _Id]) -> tuple[dict[str, float], float]:
    """Stack the ids of each group by column, the group's columns centred; return the height."""
    rows: dict[str, float] = {}
    top = 0.0
    for group in groups:
        sizes = Counter(ids[patient].column for patient in group)
        tallest, seen = max(sizes.values()), Counter()
        for patient in group:
            column = ids[patient].column
            rows[patient] = top + (tallest - sizes[column]) / 2 + seen[column]
            seen[column] += 1
        top += tallest + 0.35
    return rows, top - 0.35


def _draw_link(
    axis: Axes, start: tuple[float, float], end: tuple[float, float], evidence: str, pairs: object
) -> None:
    """Draw a line with its number of pairs; within a column it bends to the right."""
    counted = not pd.isna(pairs)
    rows = abs(start[1] - end[1])
    bend = _BEND * rows if start[0] == end[0] else 0.0
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    curve = Path(
        [start, (middle[0] + 2 * bend, middle[1]), end], [Path.MOVETO, Path.CURVE3, Path.CURVE3]
    )
    width = 1.2 + (0.7 * log2(pairs) if counted else 0)
    style = {"linestyle": STYLES[evidence], "linewidth": width, "edgecolor": GREY}
    axis.add_patch(PathPatch(curve, facecolor="none", zorder=1, **style))
    if counted:
        axis.annotate(
            f"{pairs:,}",
            (middle[0] + bend, middle[1]),
            ha="center",
            va="center",
            fontsize=8,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
            zorder=2,
        )


def _draw_id(axis: Axes, own: _Id, place: tuple[float, float]) -> None:
    face = own.colour if own.here else "white"
    axis.scatter(*place, s=_DOT, color=face, edgecolors=own.colour, linewidths=1.5, zorder=3)
    text = "white" if own.here else own.colour
    axis.annotate(
        own.patient,
        place,
        ha="center",
        va="center_baseline",
        fontsize=8.5,
        fontweight="bold",
        color=text,
        zorder=4,
    )


def _legend(figure: Figure, axis: Axes, links: pd.DataFrame, ids: dict[str, _Id]) -> None:
    for name, colour in COLOURS.items():
        if any(own.colour == colour for own in ids.values()):
            axis.scatter([], [], s=60, color=colour, label=name)
    if not all(own.here for own in ids.values()):
        axis.scatter([], [], s=60, color="white", edgecolors=GREY, label="not in this run")
    for evidence, style in STYLES.items():
        if (links["evidence"] == evidence).any():
            axis.plot([], [], linestyle=style, color=GREY, linewidth=1.8, label=evidence)
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)


def _sentence(links: pd.DataFrame, groups: list[list[str]], ids: dict[str, _Id]) -> str:
    across = sum(len({ids[patient].column for patient in group}) > 1 for group in groups)
    away = sum(not own.here for own in ids.values())
    apart = f", {away} of which have no cell in this run," if away else ""
    grouped = f"{len(groups)} group{'s' if len(groups) > 1 else ''}"
    kinds = links["evidence"].value_counts()
    lines = [f"{name} for {kinds[name]}" for name in STYLES if name in kinds]
    largest = max(groups, key=len)
    return (
        f"Lines join patient ids that share cells: {len(ids)} ids{apart} in {grouped}, "
        f"{across} of these across folds or phases. The evidence is {listing(lines)} of "
        f"{len(links)} lines; the largest group is {listing(largest)}."
    )


def _column_order(column: str) -> tuple[int, str]:
    return [*_PLACES.values()].index(column.split()[0]), column
