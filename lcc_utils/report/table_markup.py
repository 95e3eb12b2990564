"""How tables look on a page: HTML for the book, Markdown for plain files."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from lcc_utils.report.formatting import INTERVAL, MISSING, cell, csv_text, heading, interval
from lcc_utils.text import escaped, without_tags

__all__ = ["to_html", "to_markdown"]

_LOW, _HIGH, _LINK = "_low", "_high", "_link"


def to_html(frame: pd.DataFrame, caption: str, name: str | None = None) -> str:
    """Return a table as HTML that a screen reader and a narrow page can use.

    The caption names what the table shows; the data it was computed on, from
    ``frame.attrs["data"]``, and notes on its intervals, ``frame.attrs["notes"]``, are added to it.
    Headings have a scope, the first column heads its row, numbers have the class ``lcc-number``;
    no colour is set, so a light or dark page decides.
    With a name, the caption ends in a link that saves the table as ``name.csv``, unrounded.
    """
    data = frame.attrs.get("data", "")
    whole = f"{caption.rstrip('.')}. Computed on {data}." if data else caption
    if notes := frame.attrs.get("notes"):
        said = "; ".join(notes)
        whole = f"{whole.rstrip('.')}. {said[0].upper()}{said[1:]}."
    columns = _columns(frame)
    lines = [
        f'<div class="lcc-table-scroll" role="region" tabindex="0" '
        f'aria-label="{escaped(whole)}" style="overflow-x:auto">',
        f'<table class="lcc-table table"{_named(name)}>',
        f"<caption>{escaped(whole)}{_download(frame, name) if name else ''}</caption>",
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
        anchor = f' id="{escaped(row[0])}"' if columns[0].name == "id" else ""
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
    file = escaped(f"{name}.csv")
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


def _tag(name: str, text: str, numeric: bool, attributes: str = "", link: str = "") -> str:
    number = ' class="lcc-number"' if numeric else ""
    shown = escaped(text)
    if link:
        shown = f'<a href="{escaped(link)}">{shown}</a>'
    return f"<{name}{attributes}{number}>{shown}</{name}>"


def _named(name: str | None) -> str:
    """Return the attribute by which a script of the book finds a table."""
    return f' data-table="{escaped(name)}"' if name else ""


def _piped(texts) -> str:
    shown = (without_tags(text.replace("|", r"\|").replace("\n", " ")) for text in texts)
    return "| " + " | ".join(shown) + " |"
