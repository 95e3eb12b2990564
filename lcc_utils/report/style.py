"""One look for every figure: colours, sizes, the note on the data, alt text and SVG."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lcc_utils.text import escaped, utf8

# Okabe and Ito's palette, which colour-blind readers can tell apart; a class keeps its colour.
COLOURS = {"ALL": "#D55E00", "HEM": "#0072B2"}
SERIES = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#5F6368"
# Inches; at 10 points the text is still legible when the figure is 340 px wide.
WIDTH = 5.2
_NOTE_HEIGHT = 0.24

STYLE = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "svg.hashsalt": "lcc",
}

# The backend stays as it is: setting it would close a notebook's own figures.
_DEFAULTS = {k: v for k, v in matplotlib.rcParamsDefault.items() if "backend" not in k} | STYLE


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Run a drawing function in the book's style, whatever the notebook has set."""

    @functools.wraps(draw)
    def wrapped(*args: object, **kwargs: object) -> Figure:
        with matplotlib.rc_context():
            matplotlib.rcParams.update(_DEFAULTS)
            return draw(*args, **kwargs)

    return wrapped


def new_figure(
    height: float, rows: int = 1, columns: int = 1, **kwargs: object
) -> tuple[Figure, list[Axes]]:
    """Return a figure ``WIDTH`` wide and ``height`` inches high, and its axes in reading order."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
    return figure, list(axes.ravel())


def finish(figure: Figure, alt: str, data_label: str) -> Figure:
    """Write what the numbers were computed on into the corner, and attach the alt text."""
    share = _NOTE_HEIGHT / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, share, 1, 0.985 - share))
    figure.text(0.995, 0.01, data_label, ha="right", va="bottom", fontsize=8, color=GREY)
    figure.alt = f"{alt} Computed on {data_label}."
    return figure


@styled
def absent(what: str, *, data_label: str) -> Figure:
    """Return the figure that stands where a run holds nothing to draw.

    Parameters
    ----------
    what
        What would be drawn, such as ``"The ablation"``.
    data_label
        What the run is computed on.
    """
    figure, (axis,) = new_figure(1.3)
    axis.set_axis_off()
    axis.text(0.5, 0.5, "Not in this run", ha="center", va="center", fontsize=12, color=GREY)
    return finish(figure, f"Not in this run: {what[0].lower()}{what[1:]}.", data_label)


def spread(count: int) -> NDArray[np.float64]:
    """Return offsets that keep dots apart: fixed, so that a figure is the same each time."""
    return 0.28 * np.sin(2.4 * np.arange(count)) if count > 1 else np.zeros(count)


def colours(count: int) -> list[str]:
    """Return that many colours of :data:`SERIES`, from its start again if need be."""
    return [SERIES[n % len(SERIES)] for n in range(count)]


def alt_text(figure: Figure) -> str:
    """Return the sentence that stands for the figure where it cannot be seen."""
    return figure.alt


def to_svg(figure: Figure) -> str:
    """Return a figure as SVG text, the same bytes for the same figure: no date, fixed ids.

    The layout stays as this leaves it: made again, it would move the axes a little each time.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context():
        matplotlib.rcParams.update(_DEFAULTS)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    figure.set_layout_engine("none")
    return buffer.getvalue()


def figure_html(figure: Figure, svg: str | None = None) -> str:
    """Return a figure as an ``img`` with its alt text, the SVG inside, as wide as the page lets.

    Whoever has its SVG text from :func:`to_svg` can give it, so that it is not drawn again.
    """
    data = base64.b64encode(utf8(svg or to_svg(figure))).decode()
    alt = escaped(alt_text(figure))
    return (
        f'<img class="lcc-figure" alt="{alt}" style="width:100%;max-width:{WIDTH * 1.25:.1f}in" '
        f'src="data:image/svg+xml;base64,{data}">'
    )


def listing(parts: Sequence[str]) -> str:
    """Join phrases with commas and a last "and"."""
    parts = list(parts)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
