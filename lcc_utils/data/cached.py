"""Keep computed arrays and tables in checked files: one that was changed or cut off is not used.

A file holds the SHA-256 of all that follows, a line of JSON that says what it is and under which
name it was kept, and the content: one that took the place of another is not used either.
Nothing in it is ever executed. Large arrays that are mapped into memory are in ``data.mapped``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcc_utils.data.cache import write_atomic
from lcc_utils.data.files import FaultyFile, read_regular
from lcc_utils.errors import DataError

__all__ = ["keep_array", "keep_named", "keep_table", "kept_array", "kept_table"]

_LOG = logging.getLogger(__name__)
_TYPES = {"str", "object", "bool", "boolean", "int64", "Int64", "float64"}
# The digest and the line feed after it.
_START = 65


def keep_array(path: Path, array: np.ndarray) -> None:
    """Write an array of numbers for :func:`kept_array`.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    what = {"name": path.name, "dtype": array.dtype.str, "shape": array.shape}
    _write(path, _sealed(what, np.ascontiguousarray(array).tobytes()))


def kept_array(path: Path, dtype: str, shape: tuple[int | None, ...]) -> np.ndarray | None:
    """Return the array of a file, or None if there is none like it and it is to be made.

    Parameters
    ----------
    path
        The file.
    dtype, shape
        What the array must be; a side that is not known is None.
    """
    found = _read(path)
    if found is None:
        return None
    what, content = found
    sides = what.get("shape")
    fits = (
        what.get("name") == path.name
        and what.get("dtype") == np.dtype(dtype).str
        and isinstance(sides, list)
        and len(sides) == len(shape)
        and all(want in (None, side) for want, side in zip(shape, sides, strict=True))
    )
    if not fits:
        return _refused(path)
    array = np.frombuffer(content, dtype)
    return array.reshape(sides).copy() if array.size == np.prod(sides) else _refused(path)


def keep_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table for :func:`kept_table`; its index is not kept.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    _write(path, _table(table, path.name))


def keep_named(folder: Path, name: str, table: pd.DataFrame) -> tuple[Path, str]:
    """Write a table under a name and its digest, where it is not kept; return path and digest.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    content = _table(table, name)
    digest = _stated(content)
    path = folder / f"{name}-{digest[:16]}.table"
    if kept_table(path, digest=digest) is None:
        _write(path, content)
    return path, digest


def kept_table(
    path: Path, types: Mapping[str, str] | None = None, *, digest: str | None = None
) -> pd.DataFrame | None:
    """Return the table of a file with the types that it had, or None if it is to be made.

    Parameters
    ----------
    path
        The file.
    types
        The columns that it must have, in order, with their types; by default any.
    digest
        The SHA-256 that it must have; by default the one that it states.
    """
    found = _read(path, digest)
    if found is None:
        return None
    if digest is None and found[0].get("name") != path.name:
        return _refused(path)
    try:
        body = json.loads(found[1])
        columns = {name: pd.Series(values, dtype=dtype) for name, dtype, values in body["columns"]}
        table = pd.DataFrame(columns)
        table.attrs = dict(body["attrs"])
    except (ValueError, TypeError, KeyError):
        return _refused(path)
    own = [(str(name), str(dtype)) for name, dtype in table.dtypes.items()]
    if types is not None and own != list(types.items()):
        return _refused(path)
    return table


def _table(table: pd.DataFrame, name: str) -> bytes:
    """Return the content of a table's file: columns with their types, and ``attrs``."""
    columns = []
    for column in table.columns:
        values, dtype = table[column], str(table[column].dtype)
        if dtype not in _TYPES:
            raise TypeError(f"A table with a column of type {dtype} ({column}) cannot be kept.")
        objects = values.astype(object)
        columns.append([str(column), dtype, objects.where(values.notna(), None).tolist()])
    body = {"columns": columns, "attrs": table.attrs}
    return _sealed({"name": name, "rows": len(table)}, json.dumps(body).encode())


def _sealed(what: dict[str, Any], content: bytes) -> bytes:
    rest = json.dumps(what).encode() + b"\n" + content
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomic(path, content)
    except DataError as error:
        raise DataError(f"{error} LCC_CACHE names another folder for the cache.") from error


def _stated(content: bytes) -> str:
    return content[: _START - 1].decode("ascii", "replace")


def _read(path: Path, digest: str | None = None) -> tuple[dict[str, Any], bytes] | None:
    """Return what a file says of its content, and the content, if it is as it was written."""
    try:
        content = read_regular(path)
    except FaultyFile:
        return _refused(path) if os.path.lexists(path) else None
    rest = content[_START:]
    if hashlib.sha256(rest).hexdigest() != _stated(content) or digest not in (
        None,
        _stated(content),
    ):
        return _refused(path)
    head, _, body = rest.partition(b"\n")
    try:
        what = json.loads(head)
    except ValueError:
        return _refused(path)
    return (what, body) if isinstance(what, dict) else _refused(path)


def _refused(path: Path) -> None:
    _LOG.warning("%s is damaged or of another version; it is made again.", path)
