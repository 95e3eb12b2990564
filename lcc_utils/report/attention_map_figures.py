"""Figures that show maps of attention, means and single cells, and the channel weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lcc_utils.evaluation.metrics import CLASSES
from lcc_utils.report.attention_tables import CONTRASTS
from lcc_utils.report.style import COLOURS, absent, finish, listing, new_figure, styled


@styled
def attention_average(attention: Mapping[str, pd.DataFrame], *, data_label: str) -> Figure:
    """Mean map of each method by class, beside the share of cells that cover each place.

    Parameters
    ----------
    attention
        The attribute of ``Results``; its table ``average`` is drawn.
    data_label
        What the numbers were computed on.
    """
    average = attention.get("average")
    if average is None:
        return absent("Mean maps", data_label=data_label)
    methods = [name for name in (*CONTRASTS, "cell") if name in set(average["method"])]
    figure, axes = new_figure(2.8, rows=2, columns=len(methods))
    phrases = []
    for row, (label, name) in enumerate(CLASSES.items()):
        for axis, method in zip(axes[row * len(methods) :], methods, strict=False):
            own = average[(average["label"] == label) & (average["method"] == method)]
            _bare(axis)
            if own.empty:
                continue
            grid = own.pivot(index="y", columns="x", values="value").to_numpy(float)
            axis.imshow(grid, cmap="cividis", vmin=0, vmax=1)
            if not row:
                axis.set_title(method, fontsize=9, loc="center")
            if method != "cell":
                most = np.hypot(*(np.argwhere(grid == grid.max())[0] - (len(grid) - 1) / 2))
                phrases.append(
                    f"{method} on {name} is largest at {most / len(grid):.2f} of the image's side "
                    "from its middle"
                )
        axes[row * len(methods)].set_ylabel(name)
    alt = f"Mean maps by class, bright where attention is: {'; '.join(phrases)}."
    return finish(figure, alt, data_label)


@styled
def channel_weights(attention: Mapping[str, pd.DataFrame], *, data_label: str) -> Figure:
    """Each channel's mean weight by class, every subject a dot, channels by their difference.

    Parameters
    ----------
    attention
        The attribute of ``Results``; of its table ``channels``, the fifteen channels whose
        classes differ most are drawn.
    data_label
        What the numbers were computed on.
    """
    table = attention.get("channels")
    if table is None or table["label"].nunique() < 2:
        return absent("The channel weights", data_label=data_label)
    means = table.groupby(["channel", "label"])["weight"].mean().unstack()
    apart = (means[1] - means[0]).sort_values(key=abs, ascending=False).head(15)
    figure, (axis,) = new_figure(4.6)
    for place, channel in enumerate(apart.index):
        for shift, (label, name) in zip((-0.18, 0.18), CLASSES.items(), strict=True):
            own = table[(table["channel"] == channel) & (table["label"] == label)]["weight"]
            axis.plot(own, [place + shift] * len(own), "o", color=COLOURS[name], alpha=0.5, ms=4)
            axis.plot([own.mean()] * 2, [place + shift - 0.17, place + shift + 0.17], color="black")
    for name in CLASSES.values():
        axis.plot([], [], "o", color=COLOURS[name], label=f"a subject, {name}")
    axis.set_yticks(range(len(apart)), [f"channel {channel}" for channel in apart.index])
    axis.invert_yaxis()
    axis.set_xlabel("Mean weight over the subject's cells")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    first = apart.index[0]
    alt = (
        f"Channel weights by subject and class for the {len(apart)} channels of {len(means)} whose "
        f"classes differ most; channel {first} has a mean of {means[1][first]:.3f} for ALL and "
        f"{means[0][first]:.3f} for HEM subjects."
    )
    return finish(figure, alt, data_label)


@styled
def attention_gallery(
    images: Sequence[NDArray[np.uint8]],
    maps: Sequence[NDArray[np.float32]],
    captions: Sequence[str],
    title: str,
    *,
    data_label: str,
) -> Figure:
    """Cells, and below each the same cell in grey under its map.

    Parameters
    ----------
    images, maps
        uint8 ``(height, width, 3)`` and float ``(height, width)`` in 0 to 1, as many of each.
    captions
        One a cell.
    title
        What these cells have in common.
    data_label
        Which data the cells are from.
    """
    if not len(images):
        return absent(f"Maps: {title}", data_label=data_label)
    figure, axes = new_figure(3.3, rows=2, columns=len(images))
    for number, (image, drawn, caption) in enumerate(zip(images, maps, captions, strict=True)):
        above, below = axes[number], axes[len(images) + number]
        above.imshow(image, interpolation="none")
        above.set_title(caption, fontsize=8, loc="center")
        below.imshow(image.mean(axis=-1), cmap="gray", vmin=0, vmax=255, interpolation="none")
        below.imshow(drawn, cmap="inferno", vmin=0, vmax=1, alpha=0.55)
        for axis in (above, below):
            _bare(axis)
    alt = f"{title}: {len(images)} cells and the maps over them, captioned "
    alt += f"{listing([caption.replace(chr(10), ', ') for caption in captions])}."
    return finish(figure, alt, data_label)


def _bare(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
