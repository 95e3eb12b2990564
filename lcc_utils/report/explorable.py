"""What every figure that a reader can explore has in common.

The data and layout of such a figure are plain dicts in the schema of plotly.js, which lies in
``book/_static``; ``lcc.js`` draws them. Beside them stands a static figure, which is what is seen
where no script runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lcc_utils.report.style import GREY, WIDTH, figure_html
from lcc_utils.text import printable_values

__all__ = [
    "CLEAR", "FAINT", "TEXT_COLOUR", "axis_layout", "interactive_html", "note", "numbers",
    "page_layout",
]  # fmt: skip

# The page's text colour, light or dark: ``lcc.js`` puts it in.
TEXT_COLOUR = "currentColor"
CLEAR = "rgba(0,0,0,0)"
FAINT = "rgba(128,128,128,0.25)"


def interactive_html(figure: Figure, spec: Mapping) -> str:
    """Return a static figure as HTML, with what a page needs to draw the explorable one.

    Parameters
    ----------
    figure
        The static figure, with alternative text.
    spec
        ``data``, ``layout`` and ``config`` of plotly.js as plain dicts and lists. The text
        ``"currentColor"`` stands for the colour of the page's text, light or dark.
    """
    text = json.dumps(
        printable_values(spec), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    # Nothing in the text may end the script, or begin a comment or another script in it.
    text = text.replace("<", r"\u003c")
    return (
        f'<div class="lcc-interactive" style="max-width:{WIDTH * 1.25:.1f}in">'
        f'{figure_html(figure)}<script type="application/json">{text}</script></div>'
    )


def page_layout(height: int, bottom: int, **parts: object) -> dict:
    """Return a layout in the book's look, `height` and `bottom` margin in px, with more parts."""
    return {
        "height": height,
        "margin": {"l": 60, "r": 15, "t": 10, "b": bottom},
        "font": {"family": "DejaVu Sans, Verdana, sans-serif", "size": 12, "color": TEXT_COLOUR},
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "#FFFFFF", "bordercolor": GREY, "align": "left"}
        | {"font": {"color": "#222222"}},
        **parts,
    }


def axis_layout(title: str, **parts: object) -> dict:
    """Return an axis in the book's look, with more parts."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": FAINT,
        "linecolor": GREY,
        "showline": True,
        "zeroline": False,
        **parts,
    }


def note(text: str, below: int) -> dict:
    """Return a small text at the right, so many px below the axes."""
    return {
        "text": text,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 1,
        "xanchor": "right",
        "y": 0,
        "yanchor": "top",
        "yshift": -below,
        "font": {"size": 10},
    }


def numbers(values: ArrayLike, places: int = 5) -> list[float]:
    """Return plain numbers, short enough for a page and exact enough for it."""
    return np.round(np.asarray(values, float), places).tolist()
