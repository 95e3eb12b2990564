"""Read a small table that a person or a spreadsheet wrote: CSV, in the forms that go round."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lcc_utils.data.files import FaultyFile, read_regular

__all__ = ["Delimited", "FaultyTable", "read_class", "read_delimited"]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_LARGEST_BYTES = 64 * 2**20
_LEUKAEMIC = {"all", "leukaemic", "leukemic", "blast", "lymphoblast"}
_HEALTHY = {"hem", "healthy", "normal"}
CLASS_WORDS = ("ALL", "HEM", "1", "0", *sorted((_LEUKAEMIC | _HEALTHY) - {"all", "hem"}))
# What a spreadsheet makes of 1 and 0, with a point or a comma for the fraction.
_ONE, _ZERO = re.compile(r"\+?0*1([.,]0*)?"), re.compile(r"[+-]?0+([.,]0*)?")


class FaultyTable(Exception):
    """A table cannot be used; the message says why, and in which row, without the file's name."""


@dataclass(frozen=True)
class Delimited:
    """A table as text.

    Attributes
    ----------
    columns
        Names of the columns as the file has them, without spaces around them.
    rows
        ``(line, values)`` of each row that is not empty: where it begins in the file, counted
        from 1, and its values by column, in lower case; empty where the row ends early.
    faults
        ``(line, reason)`` of rows with more values than there are columns.
    """

    columns: list[str]
    rows: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)

    def lacking(self, names: Sequence[str]) -> list[str]:
        """Return which columns are not there, whatever their case."""
        have = {column.lower() for column in self.columns}
        return [name for name in names if name.lower() not in have]


def read_delimited(path: Path, needs: Sequence[str] = ()) -> Delimited:
    """Read a table with comma, semicolon or tab between its values.

    A byte order mark, a first line ``sep=;``, quotes, and spaces around values are understood;
    empty rows are skipped. Of the separators, that one is taken which gives the columns needed.

    Parameters
    ----------
    path
        The file.
    needs
        Columns that tell the separator. Where no separator gives them, that with the most
        columns is taken, and the caller has to say what is lacking.

    Raises
    ------
    FaultyTable
        If it is no text file in UTF-8, is too large or empty, or names a column twice.
    """
    text = _text(path)
    first = text.partition("\n")[0].strip()
    skipped = bool(re.fullmatch(r'"?sep=.?"?', first, re.IGNORECASE))
    found = [_split(text, separator, skipped) for separator in SEPARATORS]
    fitting = [table for table in found if not table.lacking(needs)]
    table = fitting[0] if fitting and needs else max(found, key=lambda own: len(own.columns))
    lower = [column.lower() for column in table.columns]
    if twice := sorted({name for name in lower if lower.count(name) > 1}):
        raise FaultyTable(f"has the column {twice[0] or '(no name)'} more than once")
    return table


def read_class(text: str) -> int | None:
    """Return the class that a text names: 1 ALL, 0 HEM, or ``None`` where it names neither.

    Examples
    --------
    >>> [read_class(text) for text in ("1", " 1.0 ", "ALL", "0,0", "hem", "2", "")]
    [1, 1, 1, 0, 0, None, None]
    """
    word = text.strip().lower()
    if word in _LEUKAEMIC or _ONE.fullmatch(word):
        return 1
    return 0 if word in _HEALTHY or _ZERO.fullmatch(word) else None


def _text(path: Path) -> str:
    try:
        data = read_regular(path, _LARGEST_BYTES)
    except FaultyFile as fault:
        raise FaultyTable(fault.reason) from fault
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FaultyTable("text in UTF-16; save it as CSV in UTF-8")
    if b"\0" in data:
        raise FaultyTable("binary, not a text file; save it as CSV in UTF-8")
    # Other encodings are let through: names of files in them are then not found, and named.
    text = data.decode("utf-8-sig", errors="replace")
    if not text.strip():
        raise FaultyTable("empty")
    return text


def _split(text: str, separator: str, skip_first: bool) -> Delimited:
    try:
        records = list(_records(text, separator))
    except csv.Error as error:
        raise FaultyTable(f"not readable as CSV ({error})") from error
    records = records[1:] if skip_first else records
    if not records:
        raise FaultyTable("empty")
    columns = [name.strip() for name in records[0][1]]
    while len(columns) > 1 and not columns[-1]:
        columns.pop()
    table, names = Delimited(columns), [name.lower() for name in columns]
    for line, values in records[1:]:
        if any(values[len(columns) :]):
            table.faults.append((line, f"has {len(values)} values for {len(columns)} columns"))
        else:
            values += [""] * (len(columns) - len(values))
            table.rows.append((line, dict(zip(names, values, strict=False))))
    return table


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line at which each record begins, and its values; empty ones are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    line = 1
    for values in reader:
        if any(value.strip() for value in values):
            yield line, [value.strip() for value in values]
        line = reader.line_num + 1
