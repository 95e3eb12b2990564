"""How numbers and tables look on a page: the one place where a number becomes text."""

from __future__ import annotations

import html
import math
from numbers import Integral, Real

import pandas as pd

MISSING = "–"
MINUS = "−"

# Column name -> heading; a column that is not here is shown with its underscores as spaces.
HEADINGS = {
    "auc": "AUC",
    "auc_min": "AUC, least",
    "auc_max": "AUC, most",
    "auc_delta": "AUC against full, points",
    "f1_weighted": "Weighted F1",
    "f1_weighted_at_half": "Weighted F1 at .5",
    "f1_weighted_min": "F1, least",
    "f1_weighted_max": "F1, most",
    "f1_delta": "F1 against full, points",
    "f1_delta_stated": "Stated by the paper, points",
    "q1": "Lower quartile",
    "q3": "Upper quartile",
    "min": "Least",
    "max": "Most",
    "worst": "Worst subject",
    "split": "Train to test",
    "computed_on": "Computed on",
    "parameters_trainable": "Trainable parameters",
    "parameters_total": "All parameters",
    "size": "Image side, px",
}
_POINTS = {"auc_delta", "f1_delta", "f1_delta_stated"}
_SECONDS = {"seconds"}
_NAMES = {"seed", "fold", "epoch", "best_epoch"}


def heading(column: str) -> str:
    """Return the heading of a column."""
    return HEADINGS.get(column, column.replace("_", " ").capitalize())


def cell(value: object, column: str = "") -> str:
    """Return one value of a table as text.

    Whole numbers get thousands separators, shares and scores three decimals, changes in points a
    sign and two decimals, seconds none; what is missing is a dash.
    """
    if value is None or value is pd.NA or (isinstance(value, Real) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if column in _NAMES:
        return str(int(value))
    if column in _POINTS:
        return _sign(f"{value:+.2f}")
    if isinstance(value, Integral) or column in _SECONDS:
        return _sign(f"{round(value):,}")
    return _sign(f"{value:.3f}")


def percent(share: float, places: int = 1) -> str:
    """Return a share in 0 to 1 as a percentage."""
    return MISSING if math.isnan(share) else _sign(f"{100 * share:.{places}f} %")


def quantity(value: float | str, unit: str, places: int) -> str:
    """Return a value of a claim with its unit, to the given decimals."""
    if isinstance(value, str):
        return value
    suffix = {"percent": " %", "points": " points", "million": " million"}.get(unit, "")
    return _sign(f"{value:,.{places}f}{suffix}")


def to_html(frame: pd.DataFrame, caption: str) -> str:
    """Return a table as HTML that a screen reader and a narrow page can use.

    The caption names what the table shows; the data it was computed on, from
    ``frame.attrs["data"]``, is added to it. Headings have a scope, the first column heads its row,
    numbers have the class ``lcc-number``; no colour is set, so a light or dark page decides.
    """
    data = frame.attrs.get("data", "")
    whole = f"{caption.rstrip('.')}. Computed on {data}." if data else caption
    numeric = _numeric(frame)
    lines = [
        f'<div class="lcc-table-scroll" role="region" tabindex="0" '
        f'aria-label="{html.escape(whole)}" style="overflow-x:auto">',
        '<table class="lcc-table table">',
        f"<caption>{html.escape(whole)}</caption>",
        "<thead><tr>"
        + "".join(_tag("th", heading(c), numeric[c], ' scope="col"') for c in frame.columns)
        + "</tr></thead>",
        "<tbody>",
    ]
    if frame.empty:
        lines.append(f'<tr><td colspan="{max(len(frame.columns), 1)}">None in this run</td></tr>')
    for row in _rows(frame):
        first, *rest = zip(frame.columns, row, strict=True)
        cells = _tag("th", cell(first[1], first[0]), numeric[first[0]], ' scope="row"')
        cells += "".join(_tag("td", cell(value, c), numeric[c]) for c, value in rest)
        lines.append(f"<tr>{cells}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>", "</div>"])


def to_markdown(frame: pd.DataFrame) -> str:
    """Return a table as a Markdown pipe table, numbers to the right."""
    numeric = _numeric(frame)
    lines = [
        _piped(heading(c) for c in frame.columns),
        _piped("---:" if numeric[c] else "---" for c in frame.columns),
    ]
    for row in _rows(frame):
        lines.append(_piped(cell(value, c) for c, value in zip(frame.columns, row, strict=True)))
    return "\n".join(lines) + "\n"


def _rows(frame: pd.DataFrame) -> list[tuple]:
    # Column by column, since a row of mixed types would turn counts into floats.
    return list(zip(*(frame[column] for column in frame.columns), strict=True))


def _numeric(frame: pd.DataFrame) -> dict[str, bool]:
    return {c: pd.api.types.is_numeric_dtype(frame[c]) for c in frame.columns}


def _tag(name: str, text: str, numeric: bool, attributes: str = "") -> str:
    number = ' class="lcc-number"' if numeric else ""
    return f"<{name}{attributes}{number}>{html.escape(text)}</{name}>"


def _piped(texts) -> str:
    return "| " + " | ".join(text.replace("|", r"\|").replace("\n", " ") for text in texts) + " |"


def _sign(text: str) -> str:
    return text.replace("-", MINUS)
