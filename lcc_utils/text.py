"""Text that leaves the program: to a terminal, a log, a page, a table or a JSON file.

Names of files, subjects and data sets come from outside. They may hold bytes that are not UTF-8,
line breaks, terminal codes, HTML or spreadsheet formulas; here they become harmless.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

__all__ = [
    "code", "csv_safe", "escaped", "markdown", "printable", "printable_values", "suspect",
    "utf8", "without_tags",
]  # fmt: skip

REPLACEMENT = "\ufffd"
# Control codes, halves of surrogate pairs (bytes that are not UTF-8), line and paragraph
# separators, marks that turn the direction of writing, and code points that are no characters.
_UNSEEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    r"\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff"
)
_UNPRINTABLE = re.compile(rf"[\t\n{_UNSEEN}]")
_UNPRINTABLE_BUT_LINES = re.compile(rf"[{_UNSEEN}]")
# What a spreadsheet takes for the beginning of a formula, in half and full width.
_SIGNS = r"=+\-@\uff1d\uff0b\uff0d\uff20"
_FORMULA = re.compile(rf"\s*[{_SIGNS}]")
_SUSPECT = re.compile(rf"[\x00;]\s*[{_SIGNS}]|[\t\n{_UNSEEN.replace('x00', 'x01', 1)}]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# Where commas are decimal signs, a spreadsheet divides a line at semicolons.
_FORMULA_INSIDE = re.compile(rf";(\s*)(?!{_NUMBER.pattern}\s*(?:;|$))(?=[{_SIGNS}])")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MARKDOWN = re.compile(r"([\\`*\[\]{}$]|(?<!\w)_|_(?!\w))")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def printable(text: object, *, lines: bool = False) -> str:
    r"""Return text with the replacement sign U+FFFD for every character that cannot be shown.

    Parameters
    ----------
    text
        A name or a sentence; a path is taken as its text.
    lines
        Whether line breaks and tabs stay, as in a report of several lines.

    Examples
    --------
    >>> printable("cell\n1.png") == "cell\ufffd1.png"
    True
    """
    return (_UNPRINTABLE_BUT_LINES if lines else _UNPRINTABLE).sub(REPLACEMENT, str(text))


def utf8(text: str) -> bytes:
    """Return text as UTF-8, with the replacement sign for halves of surrogate pairs."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(REPLACEMENT, text).encode()


def printable_values(value: Any) -> Any:
    """Return a JSON-able value with every text in it printable, line breaks kept."""
    if isinstance(value, str):
        return printable(value, lines=True)
    if isinstance(value, dict):
        return {printable_values(key): printable_values(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [printable_values(own) for own in value]
    return value


def csv_safe(value: Any) -> Any:
    """Return a value of a CSV table that no spreadsheet runs as a formula.

    Text that begins like a formula gets an apostrophe before it, which spreadsheets take as the
    mark of text; so does text after a semicolon, at which some spreadsheets divide a line. Numbers
    stay numbers, also where they are written as text.
    """
    if not isinstance(value, str):
        return value
    text = _FORMULA_INSIDE.sub(r";\1'", printable(value))
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def suspect(values: Iterable[object]) -> bool:
    """Tell whether :func:`csv_safe` may change any of some values: most tables hold no such text.

    One search through all of them is faster than one for each.
    """
    return (
        _SUSPECT.search("\x00".join(["", *(v for v in values if isinstance(v, str))])) is not None
    )


def escaped(value: object) -> str:
    """Return a value as HTML text or the value of an attribute in quotes."""
    return html.escape(printable(value), quote=True)


def without_tags(text: str) -> str:
    """Return Markdown in which no HTML tag begins; signs such as ``p < .05`` stay."""
    return _TAG.sub("&lt;", printable(text, lines=True))


def markdown(value: object) -> str:
    """Return a value from outside as Markdown that shows its characters: no tag, link or role."""
    return without_tags(_MARKDOWN.sub(r"\\\1", printable(value)))


def code(value: object) -> str:
    """Return a value from outside as a code span of Markdown."""
    return f"`{printable(value).replace('`', REPLACEMENT)}`"
