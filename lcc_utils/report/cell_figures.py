"""Figures about the cells themselves: how many, of whom, which are alike, what they look like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.metrics import CLASSES
from lcc_utils.report.formatting import percent
from lcc_utils.report.style import COLOURS, GREY, finish, listing, new_figure, styled

# Correlations at which data.duplicates joins two patients: by two pairs, by one pair.
TWO_PAIRS, ONE_PAIR = 0.5, 0.65


@styled
def class_counts(cells: pd.DataFrame, *, data_label: str) -> Figure:
    """Bars of labelled cells by phase, fold and class.

    Parameters
    ----------
    cells
        Columns ``label, phase, fold``; unlabelled cells are left out.
    data_label
        What the numbers were computed on; written into the corner.
    """
    labelled = _labelled(cells)
    fold = labelled["fold"].map(lambda n: "" if pd.isna(n) else f", fold {int(n)}")
    part = labelled["phase"].astype(str) + fold.astype(str)
    counts = pd.crosstab(part, labelled["class"]).reindex(columns=["ALL", "HEM"], fill_value=0)
    counts = counts.sort_index(key=lambda index: index.map(lambda name: (name[0] != "t", name)))
    figure, (axis,) = new_figure(0.62 * len(counts) + 1.0)
    place = np.arange(len(counts))
    for shift, name in ((-0.2, "ALL"), (0.2, "HEM")):
        bars = axis.barh(place + shift, counts[name], 0.38, color=COLOURS[name], label=name)
        axis.bar_label(bars, [f"{n:,}" for n in counts[name]], padding=3, fontsize=9)
    axis.set_yticks(place, [name.capitalize() for name in counts.index])
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("Cells")
    axis.margins(x=0.14)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    phrases = [
        f"{name} {row['ALL']:,} ALL and {row['HEM']:,} HEM" for name, row in counts.iterrows()
    ]
    return finish(figure, f"Bars count the cells of each class: {'; '.join(phrases)}.", data_label)


@styled
def cells_per_subject(cells: pd.DataFrame, *, data_label: str) -> Figure:
    """Sorted bars of cells by subject, one panel a class.

    Parameters
    ----------
    cells
        Columns ``label, subject``.
    data_label
        What the numbers were computed on.
    """
    labelled = _labelled(cells)
    figure, axes = new_figure(4.2, rows=2, sharey=True)
    phrases = []
    for axis, name in zip(axes, ("ALL", "HEM"), strict=True):
        counts = labelled.loc[labelled["class"] == name, "subject"].value_counts()
        axis.bar(np.arange(1, len(counts) + 1), counts, 0.85, color=COLOURS[name])
        axis.set_title(f"{name}: {len(counts)} subjects")
        axis.grid(visible=False, axis="x")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_ylabel("Cells")
        if len(counts):
            share = percent(counts.head(5).sum() / counts.sum(), 0)
            phrases.append(
                f"{len(counts)} {name} subjects with a median of {counts.median():.0f} cells, of "
                f"whom the five largest hold {share} of the class"
            )
    axes[-1].set_xlabel("Subjects, by their number of cells")
    alt = f"Bars show the cells of each subject: {listing(phrases or ['no subject'])}."
    return finish(figure, alt, data_label)


@styled
def duplicate_histogram(pairs: pd.DataFrame, *, data_label: str) -> Figure:
    """Histogram of the texture correlation of candidate pairs, with the two thresholds.

    Parameters
    ----------
    pairs
        Column ``correlation``; pairs without one (identical files or pixels) are left out.
    data_label
        What the numbers were computed on.
    """
    values = pairs["correlation"].dropna().to_numpy(float)
    figure, (axis,) = new_figure(3.2)
    low = min(-0.2, float(values.min())) if values.size else -0.2
    axis.hist(values, bins=np.linspace(np.floor(low * 20) / 20, 1, 49), color=GREY)
    axis.set_yscale("symlog", linthresh=1)
    axis.set_ylim(0, None if values.size else 1)
    for place, text in ((TWO_PAIRS, "two pairs join"), (ONE_PAIR, "one pair joins")):
        axis.axvline(place, color=COLOURS["ALL"], linestyle="--", linewidth=1.4)
        side = "right" if place == TWO_PAIRS else "left"
        axis.annotate(
            f"{place:g}: {text}",
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-3 if side == "right" else 3, 3),
            textcoords="offset points",
            ha=side,
            fontsize=9,
        )
    axis.set_xlabel("Correlation of high-pass texture")
    axis.set_ylabel("Candidate pairs")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    alt = (
        f"Histogram of the texture correlation of {values.size:,} candidate pairs: "
        f"{int((values >= ONE_PAIR).sum()):,} are at {ONE_PAIR} or more, "
        f"{int(((values >= TWO_PAIRS) & (values < ONE_PAIR)).sum()):,} between {TWO_PAIRS} and "
        f"{ONE_PAIR}, and {int((values < TWO_PAIRS).sum()):,} below."
    )
    return finish(figure, alt, data_label)


@styled
def cell_gallery(
    images: Sequence[NDArray[np.uint8]], captions: Sequence[str], *, data_label: str
) -> Figure:
    """Cells side by side, four in a row.

    Parameters
    ----------
    images
        uint8 arrays (height, width, 3).
    captions
        One short caption an image.
    data_label
        Which data the cells are from.

    Raises
    ------
    DataError
        If there is no image, or not one caption for each.
    """
    if not len(images) or len(images) != len(captions):
        raise DataError(
            f"A gallery needs images and a caption for each; it got {len(images)} images and "
            f"{len(captions)} captions."
        )
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    figure, axes = new_figure(1.5 * rows * 4 / columns + 0.3, rows=rows, columns=columns)
    for axis in axes:
        axis.set_axis_off()
    for axis, image, caption in zip(axes, images, captions, strict=False):
        axis.imshow(image, interpolation="none")
        axis.set_title(caption, fontsize=9, loc="center")
    alt = f"{len(images)} cells on black, captioned {listing(list(captions))}."
    return finish(figure, alt, data_label)


def _labelled(cells: pd.DataFrame) -> pd.DataFrame:
    known = cells[cells["label"].notna()]
    if known.empty:
        raise DataError("None of the cells has a label; a figure by class needs ALL or HEM cells.")
    return known.assign(**{"class": known["label"].astype(int).map(CLASSES)})
