"""The one check of a table of cells before it is split, grouped or measured.

A missing subject would become one more subject, a label of 2 a third class, and an id that occurs
twice two cells in one: results would be wrong, and nothing would say so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lcc_utils.errors import RequestError
from lcc_utils.text import printable

__all__ = ["check_cells"]

_NAME_THEM = "name every one, or leave the rows out"
_ADVICE = {"subject": "; run subject_groups first"}


def check_cells(cells: pd.DataFrame, needs: Sequence[str]) -> pd.DataFrame:
    """Check the columns of a table of cells, and return it with labels 1, 0 or missing.

    Parameters
    ----------
    cells
        One row a cell.
    needs
        The columns that are used, in the order in which they are checked; other columns are left
        as they are. ``cell_id``: each once, not empty. ``label``: 1 (ALL), 0 (HEM) or missing.
        ``subject``, ``file_sha256``, ``pixel_sha256``: not missing where there is a label, if that
        is needed. ``patient``: may be empty, but not missing. ``fold``: whole numbers or missing.

    Returns
    -------
    pandas.DataFrame
        The same rows; the label as ``Int64`` unless it is of whole numbers already. An index that
        bears the name of a column has no name any more: pandas could not tell them apart.

    Raises
    ------
    RequestError
        Naming the column, how many rows are at fault, and the first of them.
    """
    if not isinstance(cells, pd.DataFrame):
        raise RequestError(f"The cells are a {type(cells).__name__}, not a pandas table of cells.")
    for column in needs:
        count = int((cells.columns == column).sum())
        if count != 1:
            many = "no column" if count == 0 else f"{count} columns"
            raise RequestError(
                f"The table of cells has {many} {column}{_ADVICE.get(column, '') * (count == 0)}."
            )
    if not cells.columns.intersection(cells.index.names).empty:
        cells = cells.rename_axis(index=[None] * cells.index.nlevels)
    used = np.ones(len(cells), bool)
    if "label" in needs:
        cells = _with_labels(cells)
        # Cells of the final phase have neither label nor subject.
        used = cells["label"].notna().to_numpy()
    for column in needs:
        if column == "fold":
            _check_folds(cells, used)
        elif column != "label":
            _check_names(cells, column, used | (column == "cell_id"))
    if "cell_id" in needs:
        twice = cells["cell_id"].duplicated(keep=False).to_numpy()
        fault = "in more than one row"
        _refuse(cells, twice, "cell_id", fault, "give each cell one of its own")
    return cells


def _with_labels(cells: pd.DataFrame) -> pd.DataFrame:
    label = cells["label"]
    missing = label.isna().to_numpy()
    if pd.api.types.is_any_real_numeric_dtype(label.dtype):
        known = label.isin([0, 1]).to_numpy()
    else:
        known = np.array([_is_class(value) for value in label.tolist()], bool)
    fault = "neither 1 (ALL), 0 (HEM) nor missing"
    _refuse(cells, ~known & ~missing, "label", fault, "correct the labels")
    if pd.api.types.is_integer_dtype(label.dtype):
        return cells
    whole = [pd.NA if gone else int(own) for own, gone in zip(label, missing, strict=True)]
    checked = cells.assign(label=pd.array(whole, "Int64"))
    checked.attrs = dict(cells.attrs)
    return checked


def _is_class(value: object) -> bool:
    return isinstance(value, bool | int | float | np.number | np.bool_) and value in (0, 1)


def _check_names(cells: pd.DataFrame, column: str, used: np.ndarray) -> None:
    """Refuse what names no cell, patient or subject, or would name one in two ways."""
    values, missing = cells[column], cells[column].isna().to_numpy()
    _refuse(cells, missing & used, column, "missing", _NAME_THEM)
    if pd.api.types.is_integer_dtype(values.dtype):
        return
    listed = values.tolist()
    if not used.all():
        listed = [value if own else "-" for value, own in zip(listed, used, strict=True)]
    try:
        joined = "".join(listed)
    except TypeError:
        no_text = np.array([not isinstance(value, str) for value in listed], bool)
        _refuse(cells, no_text, column, "not text", "give every one as text")
        raise
    # Most columns have no fault, which one look at all of it tells.
    if "" not in listed and " " not in joined and joined.isprintable():
        return
    if column != "patient":
        empty = np.array([not value.strip() for value in listed], bool)
        _refuse(cells, empty, column, "empty", _NAME_THEM)
    odd = np.array([value != value.strip() or not value.isprintable() for value in listed], bool)
    fault = "text with spaces around it or characters that cannot be seen"
    _refuse(cells, odd, column, fault, "remove them, for they make another name of it")


def _check_folds(cells: pd.DataFrame, used: np.ndarray) -> None:
    fold = cells["fold"]
    numbers = pd.to_numeric(fold, errors="coerce").to_numpy(float, na_value=np.nan)
    text = np.array([isinstance(value, str) for value in fold.tolist()], bool)
    whole = np.isfinite(numbers) & (numbers == np.round(numbers)) & ~text
    faulty = ~whole & ~fold.isna().to_numpy() & used
    _refuse(cells, faulty, "fold", "no whole number", "give official folds as 0, 1 and 2")


def _refuse(cells: pd.DataFrame, faulty: np.ndarray, column: str, fault: str, advice: str) -> None:
    """Raise a RequestError if any row is faulty, naming the first."""
    if not faulty.any():
        return
    first = int(np.flatnonzero(faulty)[0])
    value, cell = cells[column].iloc[first], cells.get("cell_id")
    named = "" if cell is None or column == "cell_id" else f", cell {_shown(cell.iloc[first])}"
    count = int(faulty.sum())
    values = "1 value that is" if count == 1 else f"{count:,} values that are"
    raise RequestError(
        f"The column {column} of the table of cells has {values} {fault}; the first stands in row "
        f"{first + 1}{named}: {_shown(value)}. Please {advice}."
    )


def _shown(value: object) -> str:
    plain = value.item() if isinstance(value, np.generic) else value
    return printable(repr(plain))[:80]
