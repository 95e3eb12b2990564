"""The ROC plane that a reader can explore: which points a curve of a given area cannot reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from lcc_utils.errors import DataError
from lcc_utils.report.arithmetic import least_auc, sensitivity_of_counts, specificity_of_counts
from lcc_utils.report.explorable import (
    CLEAR,
    FAINT,
    TEXT_COLOUR,
    axis_layout,
    note,
    numbers,
    page_layout,
)
from lcc_utils.report.style import (
    GREY,
    SERIES,
    finish,
    listing,
    new_figure,
    styled,
)
from lcc_utils.text import escaped

_Array = NDArray[np.float64]

# What the paper states keeps the colour that it has in the other figures.
_STATED = SERIES[1]
_OURS = tuple(colour for colour in SERIES if colour != _STATED)
_CORNER = 0.2
_STEP = 0.005
_X_LABEL = "False-positive rate (HEM called ALL)"
_Y_LABEL = "True-positive rate (ALL called ALL)"
_POINT = "Table 2"
_HOVER_RATES = "False-positive rate %{x:.3f}<br>True-positive rate %{y:.3f}"
_HOVER_AREA = "Area of a curve through here:<br>at least %{customdata:.4f}<extra></extra>"


class _Argument(NamedTuple):
    """The point of Table 2, the least area of a curve through it, the stated one, our curves."""

    point: tuple[float, float]
    least: float
    stated: float
    lines: dict[str, _Array]


def roc_argument(
    counts: Sequence[float],
    stated_auc: float,
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    data_label: str,
) -> tuple[Figure, dict]:
    """Show which points of the ROC plane a curve of a given area cannot reach.

    A ROC curve never falls, so one through (x, y) has an area of at least y (1 - x).

    Parameters
    ----------
    counts
        tn, fp, fn and tp of the paper's Table 2.
    stated_auc
        The area that the paper states, in 0 to 1.
    curves
        False- and true-positive rates of models of ours by name, drawn for comparison.
    data_label
        What the curves of ours were computed on.

    Returns
    -------
    tuple
        The static figure, and the spec for ``explorable.interactive_html``.

    Raises
    ------
    DataError
        If the stated area is not in 0 to 1, or a curve falls or is not finite.
    """
    if not 0 < stated_auc <= 1:
        raise DataError(f"The stated area is {stated_auc}; an area lies in 0 to 1.")
    lines = {name: _line(name, *rates) for name, rates in curves.items()}
    point = (1 - specificity_of_counts(counts) / 100, sensitivity_of_counts(counts) / 100)
    argument = _Argument(point, least_auc(counts) / 100, stated_auc, lines)
    return _static(argument, data_label=data_label), _spec(argument, data_label)


def _line(name: str, false: ArrayLike, true: ArrayLike) -> _Array:
    """Return a curve as rows of (x, y)."""
    line = np.column_stack([np.asarray(false, float), np.asarray(true, float)])
    if not np.isfinite(line).all() or (np.diff(line, axis=0) < 0).any():
        raise DataError(f"The ROC curve {name!r} falls somewhere or is not finite.")
    return line


def _area(line: _Array) -> float:
    return float(np.trapezoid(line[:, 1], line[:, 0]))


def _legend_name(name: str, line: _Array) -> str:
    return f"{name}: AUC {_area(line):.3f}"


def _boundary(area: float) -> tuple[_Array, _Array]:
    """Return where a curve of that area can just come, from the left edge to the top."""
    x = np.linspace(0, 1 - area, 25)
    return x, np.minimum(area / (1 - x), 1) if area < 1 else np.ones_like(x)


@styled
def _static(argument: _Argument, *, data_label: str) -> Figure:
    point, least, stated, lines = argument
    figure, (whole, corner) = new_figure(3.5 + 0.19 * len(lines), columns=2)
    for axis, size in ((whole, 6), (corner, 8)):
        _plane(axis, stated, lines)
        style = {"color": _STATED, "markersize": size, "markeredgecolor": "black"}
        axis.plot(*point, "D", label=f"the point of {_POINT}", clip_on=False, zorder=5, **style)
        axis.set_xlabel("False-positive rate")
    whole.add_patch(Rectangle((0, 1 - _CORNER), _CORNER, _CORNER, fill=False, edgecolor=GREY))
    whole.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), title="The whole square")
    whole.set_ylabel("True-positive rate")
    corner.set(xlim=(-0.002, _CORNER), ylim=(1 - _CORNER, 1.002), title="Its upper left corner")
    corner.annotate(
        f"area at least\n{least:.4f}",
        point,
        xytext=(0.08, point[1]),
        fontsize=9,
        va="center",
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.8, "shrinkB": 6},
    )
    handles = corner.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper left", ncols=1 if len(lines) > 1 else 2)
    finish(figure, _alt(argument), data_label)
    # Each drawing would move the axes a little; after this one they stay.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def _plane(axis: Axes, stated: float, lines: Mapping[str, _Array]) -> None:
    x, y = _boundary(stated)
    label = f"out of reach with the stated area {stated:.4f}"
    axis.fill_between(x, y, 1, color=_STATED, alpha=0.3, linewidth=0, label=label)
    axis.plot(x, y, color=_STATED, linewidth=1.2)
    for n, (name, line) in enumerate(lines.items()):
        axis.plot(*line.T, color=_OURS[n % len(_OURS)], label=_legend_name(name, line))
    axis.set_aspect("equal")


def _alt(argument: _Argument) -> str:
    point, least, stated, lines = argument
    where = "outside" if _reaches(stated, least) else "inside"
    text = (
        f"ROC plane with the region that no curve of the stated area {stated:.4f} reaches: the "
        f"point of {_POINT}, at a false-positive rate of {point[0]:.4f} and a true-positive rate "
        f"of {point[1]:.4f}, lies {where} it; a curve through the point has an area of at least "
        f"{least:.4f}."
    )
    if lines:
        ours = [f"{name} with an area of {_area(line):.3f}" for name, line in lines.items()]
        text += f" For comparison, curves of models of this book: {listing(ours)}."
    return text


def _reaches(area: float, least: float) -> bool:
    return area >= least - 1e-9


def _spec(argument: _Argument, data_label: str) -> dict:
    point, least, stated, lines = argument
    data = [_region(stated), _grid()]
    data += [_curve(n, name, line) for n, (name, line) in enumerate(lines.items())]
    data.append(_marker(point, least))
    shape = page_layout(
        560 + 20 * len(lines),
        200,
        xaxis=_rates(_X_LABEL, [0, _CORNER]),
        yaxis=_rates(_Y_LABEL, [1 - _CORNER, 1]),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        sliders=[_slider(least, stated)],
        updatemenus=[_views()],
        annotations=[note(escaped(data_label), 175)],
    )
    return {"data": data, "layout": shape, "config": {"displayModeBar": False}}


def _rates(title: str, shown: list[float]) -> dict:
    return axis_layout(title, range=shown, autorangeoptions={"clipmin": 0, "clipmax": 1})


def _polygon(area: float) -> tuple[list[float], list[float]]:
    x, y = _boundary(area)
    return numbers([*x, 0, 0]), numbers([*y, 1, area])


def _region(area: float) -> dict:
    x, y = _polygon(area)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "out of reach with this area",
        "x": x,
        "y": y,
        "fill": "toself",
        "fillcolor": f"rgba({', '.join(str(n) for n in bytes.fromhex(_STATED[1:]))}, 0.3)",
        "line": {"color": _STATED, "width": 1.5},
        "hoverinfo": "skip",
    }


def _grid() -> dict:
    """Return points that cannot be seen, only met: close together in the corner."""
    corner, whole = np.linspace(0, _CORNER, 41), np.linspace(0, 1, 41)
    near = [(x, 1 - y) for x in corner for y in corner]
    far = [(x, 1 - y) for x in whole for y in whole if max(x, y) > _CORNER + 1e-9]
    x, y = np.array(near + far).T
    return {
        "type": "scatter",
        "mode": "none",
        "showlegend": False,
        "x": numbers(x),
        "y": numbers(y),
        "customdata": numbers(y * (1 - x), 4),
        "hovertemplate": f"{_HOVER_RATES}<br>{_HOVER_AREA}",
    }


def _curve(n: int, name: str, line: _Array) -> dict:
    colour = _OURS[n % len(_OURS)]
    # Neither rate falls, so the order of the rows is that of the curve.
    x, y = np.unique(np.round(line, 4), axis=0).T
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escaped(_legend_name(name, line)),
        "x": numbers(x),
        "y": numbers(y),
        "line": {"color": TEXT_COLOUR if colour == "#000000" else colour, "width": 2},
        "hovertemplate": f"{escaped(name)}<br>{_HOVER_RATES}<extra></extra>",
    }


def _marker(point: tuple[float, float], least: float) -> dict:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"the point of {_POINT}",
        "x": numbers(point[:1]),
        "y": numbers(point[1:]),
        "customdata": numbers([least]),
        "marker": {
            "symbol": "diamond",
            "size": 13,
            "color": _STATED,
            "line": {"color": TEXT_COLOUR, "width": 1.5},
        },
        "cliponaxis": False,
        "hovertemplate": f"{_POINT}<br>{_HOVER_RATES}<br>{_HOVER_AREA}",
    }


def _slider(least: float, stated: float) -> dict:
    """Return a slider over the area; the stated and the least one are among its steps."""
    named = {stated: " (stated)", least: " (least)"}
    even = np.arange(0.8, 1 + _STEP / 2, _STEP).round(3).tolist()
    areas = sorted(named.keys() | {a for a in even if not np.isclose([*named], a, atol=1e-6).any()})
    steps = []
    for area in areas:
        x, y = _polygon(area)
        state = "within reach" if _reaches(area, least) else "out of reach"
        label = f"{area:.4f}{named.get(area, '')}: {_POINT} {state}"
        steps.append({"label": label, "method": "restyle", "args": [{"x": [x], "y": [y]}, [0]]})
    return {
        "active": areas.index(stated),
        "steps": steps,
        "x": 0,
        "len": 1,
        "pad": {"t": 55},
        "currentvalue": {"prefix": "Area ", "font": {"color": TEXT_COLOUR, "size": 13}},
        # Only the label of the current step is shown; the others would run into each other.
        "font": {"color": CLEAR, "size": 1},
        "ticklen": 0,
        "minorticklen": 0,
        "bgcolor": FAINT,
        "activebgcolor": _STATED,
        "bordercolor": GREY,
        "transition": {"duration": 0},
    }


def _views() -> dict:
    """Return two buttons, for the corner and the whole square."""
    views = {"Corner": [0, _CORNER, 1 - _CORNER, 1], "Whole square": [0, 1, 0, 1]}
    return {
        "type": "buttons",
        "direction": "right",
        "showactive": False,
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "top",
        "pad": {"t": 122},
        "bgcolor": CLEAR,
        "bordercolor": GREY,
        "buttons": [
            {
                "label": name,
                "method": "relayout",
                "args": [{"xaxis.range": ends[:2], "yaxis.range": ends[2:]}],
            }
            for name, ends in views.items()
        ],
    }
