"""How numbers and tables look on a page: the one place where a number becomes text."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import NamedTuple

import pandas as pd

MISSING = "–"
MINUS = "−"

# Column name -> heading; a column that is not here is shown with its underscores as spaces.
HEADINGS = {
    "auc": "AUC",
    "auc_shared": "AUC, shared kept",
    "auc_min": "AUC, least",
    "auc_max": "AUC, most",
    "auc_sd": "AUC, standard deviation",
    "auc_p": "AUC: p",
    "auc_p_holm": "AUC: p, Holm",
    "auc_percentile": "AUC, percentiles 2.5 to 97.5",
    "auc_delta": "Change in AUC, points",
    "auc_delta_min": "Change in AUC, least",
    "auc_delta_max": "Change in AUC, most",
    "auc_clean": "AUC, clean",
    "auc_leaky": "AUC, leaky",
    "f1_weighted": "Weighted F1",
    "f1_weighted_sd": "Weighted F1, standard deviation",
    "f1_weighted_percentile": "Weighted F1, percentiles 2.5 to 97.5",
    "f1_weighted_at_half": "Weighted F1 at .5",
    "f1_weighted_min": "F1, least",
    "f1_weighted_max": "F1, most",
    "f1_delta": "Change in F1, points",
    "f1_delta_min": "Change in F1, least",
    "f1_delta_max": "Change in F1, most",
    "f1_delta_stated": "Stated by the paper, points",
    "f1_p": "F1: p",
    "f1_p_holm": "F1: p, Holm",
    "p_holm": "p, Holm",
    "p": "p",
    "p_permutation": "p, permutation of subjects",
    "p_delong": "p, DeLong over cells (naive)",
    "q1": "Lower quartile",
    "q3": "Upper quartile",
    "min": "Least",
    "max": "Most",
    "sd": "Standard deviation",
    "worst": "Worst subject",
    "split": "Train to test",
    "computed_on": "Computed on",
    "patient_a": "Patient id",
    "patient_b": "Shares cells with",
    "across_patients": "Groups across patient ids",
    "across_folds": "Groups across folds",
    "f1_width_cells": "Width over cells, points (naive)",
    "parameters_trainable": "Trainable parameters",
    "parameters_total": "All parameters",
    "size": "Image side, px",
    "usual": "The usual way",
    "usual_range": "gives",
    "usual_p": "with p",
    "sound": "The way that holds",
    "sound_range": "gives",
    "sound_p": "with p",
    "incomplete": "Incomplete blocks",
    "leaked": "Share of training cells from test subjects",
    "leaked_cells": "Training cells from test subjects",
    "hem_subjects": "HEM subjects",
    "training_subjects_shared": "Training subjects, shared kept",
    "training_cells_shared": "Training cells, shared kept",
    "scaling": "Scores",
    "ece": "Calibration error",
    "ece_parts": "Calibration error of the parts",
    "ece_width": "Calibration error, bins of equal width",
    "brier": "Brier score",
    "brier_change": "Change in Brier score",
    "temperature": "Temperature, by part",
    "slope": "Slope, by part",
    "intercept": "Intercept, by part",
    "sensitivity_parts": "Sensitivity, by part",
    "thresholds": "Threshold, by part",
    "validation_hem": "Validation HEM subjects, by part",
    "parts_unjudged": "Parts without a judged cell",
    "risk": "Risk of those judged",
    "risk_whole": "Risk, all judged",
    "area": "Area under coverage and risk",
    "all_subjects": "ALL subjects",
    "all_wrong": "ALL called HEM",
    "hem_wrong": "HEM called ALL",
    "wrong": "Called wrong",
    "auc_mapped": "AUC, mapped cells",
    "auc_fixed": "AUC, weights held fixed",
    "rank_cell": "Rank correlation within the cell",
    "rank_frame": "Rank correlation over the image",
    "empty": "Maps without attention",
    "deletion_chance": "Deletion, chance",
    "deletion_gain": "Deletion, below chance by",
    "insertion_chance": "Insertion, chance",
    "insertion_gain": "Insertion, above chance by",
    "share_nucleus": "Nucleus",
    "share_cytoplasm": "Cytoplasm",
    "share_background": "Background",
    "ring_1": "Ring 1, at the outline",
    "apart": "Channels whose classes differ",
    "replaced": "Replaced, up to",
    "score_difference": "Largest difference in score",
}
INTERVAL = "95 % interval"
_UNITS = {
    "percent": " %", "points": " points", "million": " million", "px": " px", "degrees": " degrees",
}  # fmt: skip
_SECONDS = {"seconds"}
_NAMES = {"seed", "fold", "epoch", "best_epoch", "year"}
_LOW, _HIGH, _LINK = "_low", "_high", "_link"
_LEAST_P = 0.001


def heading(column: str) -> str:
    """Return the heading of a column; what follows a comma, such as a split, stays as it is."""
    name, comma, rest = column.partition(",")
    return HEADINGS.get(name, name.replace("_", " ").capitalize()) + comma + rest


def cell(value: object, column: str = "") -> str:
    """Return one value of a table as text.

    Whole numbers get thousands separators, shares, scores and p three decimals, changes in points
    a sign and two decimals, seconds none; what is missing is a dash.
    """
    if value is None or value is pd.NA or (isinstance(value, Real) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if column in _NAMES:
        return str(int(value))
    if _is_points(column):
        return _sign(f"{value:+.2f}")
    if isinstance(value, Integral) or column in _SECONDS:
        return _sign(f"{round(value):,}")
    if _is_p(column):
        return p_value(value)
    return _sign(f"{value:.3f}")


def interval(value: object, low: object, high: object, column: str = "") -> str:
    """Return an estimate with its interval, an estimate alone where there is no interval."""
    ends = [cell(low, column), cell(high, column)]
    shown = cell(value, column)
    return shown if MISSING in (*ends, shown) else f"{shown} ({ends[0]} to {ends[1]})"


def p_value(value: float) -> str:
    """Return a p value with three decimals, or that it is below the least that these show."""
    return f"< {_LEAST_P}" if value < _LEAST_P else f"{value:.3f}"


def percent(share: float, places: int = 1) -> str:
    """Return a share in 0 to 1 as a percentage."""
    return MISSING if math.isnan(share) else _sign(f"{100 * share:.{places}f} %")


def quantity(value: float | str, unit: str, places: int) -> str:
    """Return a value of a claim with its unit, to the given decimals."""
    if isinstance(value, str):
        return value
    suffix = _UNITS.get(unit, "")
    return _sign(f"{value:,.{places}f}{suffix}")


def csv_text(frame: pd.DataFrame) -> str:
    """Return a table as CSV with scores and other fractions at nine significant digits."""
    return frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")


def to_html(frame: pd.DataFrame, caption: str, name: str | None = None) -> str:
    """Return a table as HTML that a screen reader and a narrow page can use.

    The caption names what the table shows; the data it was computed on, from
    ``frame.attrs["data"]``, is added to it. Headings have a scope, the first column heads its row,
    numbers have the class ``lcc-number``; no colour is set, so a light or dark page decides.
    With a name, the caption ends in a link that saves the table as ``name.csv``, unrounded.
    """
    data = frame.attrs.get("data", "")
    whole = f"{caption.rstrip('.')}. Computed on {data}." if data else caption
    columns = _columns(frame)
    lines = [
        f'<div class="lcc-table-scroll" role="region" tabindex="0" '
        f'aria-label="{html.escape(whole)}" style="overflow-x:auto">',
        f'<table class="lcc-table table"{_named(name)}>',
        f"<caption>{html.escape(whole)}{_download(frame, name) if name else ''}</caption>",
        "<thead><tr>"
        + "".join(_tag("th", c.heading, c.numeric, ' scope="col"') for c in columns)
        + "</tr></thead>",
        "<tbody>",
    ]
    if frame.empty:
        lines.append(f'<tr><td colspan="{max(len(columns), 1)}">None in this run</td></tr>')
    for number, row in enumerate(zip(*(c.texts for c in columns), strict=True)):
        cells = _tag("th", row[0], columns[0].numeric, ' scope="row"')
        cells += "".join(
            _tag("td", text, c.numeric, link=c.links[number] if c.links else "")
            for text, c in zip(row[1:], columns[1:], strict=True)
        )
        # A row that has an id can be pointed at from another page.
        anchor = f' id="{html.escape(row[0])}"' if columns[0].name == "id" else ""
        lines.append(f"<tr{anchor}>{cells}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>", "</div>"])


def to_markdown(frame: pd.DataFrame) -> str:
    """Return a table as a Markdown pipe table, numbers to the right."""
    columns = _columns(frame)
    lines = [
        _piped(c.heading for c in columns),
        _piped("---:" if c.numeric else "---" for c in columns),
        *(_piped(row) for row in zip(*(c.texts for c in columns), strict=True)),
    ]
    return "\n".join(lines) + "\n"


def _download(frame: pd.DataFrame, name: str) -> str:
    """Return a link that holds the whole table: it needs no file beside the page."""
    data = base64.b64encode(csv_text(frame).encode()).decode()
    file = html.escape(f"{name}.csv")
    return (
        f' <a class="lcc-csv" download="{file}" aria-label="CSV of this table, {file}" '
        f'href="data:text/csv;charset=utf-8;base64,{data}">CSV</a>'
    )


class _Column(NamedTuple):
    name: str
    heading: str
    numeric: bool
    texts: list[str]
    links: Sequence[str] = ()


def _columns(frame: pd.DataFrame) -> list[_Column]:
    """Columns as shown: an estimate, its low and its high end are one; a range is one too.

    A column and its ``_link`` are one, whose texts lead to the addresses.
    """
    shown = []
    for name in frame.columns:
        base = str(name).removesuffix(_LOW).removesuffix(_HIGH)
        if str(name).endswith(_LINK) and str(name).removesuffix(_LINK) in frame:
            continue
        if base != name and {base + _LOW, base + _HIGH} <= set(frame.columns):
            if base not in frame and name == base + _LOW:
                shown.append(_range_column(frame, base))
        elif {f"{name}{_LOW}", f"{name}{_HIGH}"} <= set(frame.columns):
            shown.append(_interval_column(frame, name))
        else:
            texts = [cell(value, name) for value in frame[name]]
            links = [str(value) for value in frame.get(f"{name}{_LINK}", [])]
            shown.append(_Column(name, heading(name), _numeric(frame, name), texts, links))
    return shown


def _interval_column(frame: pd.DataFrame, name: str) -> _Column:
    values = zip(frame[name], frame[name + _LOW], frame[name + _HIGH], strict=True)
    texts = [interval(*three, name) for three in values]
    return _Column(name, f"{heading(name)} ({INTERVAL})", _numeric(frame, name), texts)


def _range_column(frame: pd.DataFrame, name: str) -> _Column:
    ends = [[cell(value, name) for value in frame[name + end]] for end in (_LOW, _HIGH)]
    texts = [
        MISSING if MISSING in (low, high) else f"{low} to {high}"
        for low, high in zip(*ends, strict=True)
    ]
    return _Column(name, heading(name), _numeric(frame, name + _LOW), texts)


def _numeric(frame: pd.DataFrame, name: str) -> bool:
    return pd.api.types.is_numeric_dtype(frame[name])


def _is_points(column: str) -> bool:
    return {"delta", "points"} & set(column.split("_")) != set()


def _is_p(column: str) -> bool:
    return "p" in column.split("_")


def _tag(name: str, text: str, numeric: bool, attributes: str = "", link: str = "") -> str:
    number = ' class="lcc-number"' if numeric else ""
    shown = html.escape(text)
    if link:
        shown = f'<a href="{html.escape(link, quote=True)}">{shown}</a>'
    return f"<{name}{attributes}{number}>{shown}</{name}>"


def _named(name: str | None) -> str:
    """Return the attribute by which a script of the book finds a table."""
    return f' data-table="{html.escape(name)}"' if name else ""


def _piped(texts) -> str:
    return "| " + " | ".join(text.replace("|", r"\|").replace("\n", " ") for text in texts) + " |"


def _sign(text: str) -> str:
    return text.replace("-", MINUS)
