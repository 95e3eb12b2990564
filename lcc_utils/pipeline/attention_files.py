"""The numbers about maps of attention that a run keeps: tables in CSV, never pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError
from lcc_utils.pipeline.store import csv_text, read_json, write_json

__all__ = ["FOLDER", "KINDS", "add_table", "has_part", "published_files", "read_attention"]

FOLDER = "attention"
VERSION = 1
# maps: one row a cell, method and network. cascade: the same map after each step of
# re-initialisation. agreement: pairs of methods. curves: means of deletion and insertion.
# average: mean maps by class. channels: weights of squeeze-and-excitation by subject. gates:
# scores with these weights held fixed.
KINDS = ("maps", "cascade", "agreement", "curves", "average", "channels", "gates")
_RECORD = "attention.json"
_TEXT = dict.fromkeys(
    ("cell_id", "subject", "model", "method", "other", "stage", "kind", "region"), "str"
)


def add_table(folder: Path, part: str, tables: dict[str, pd.DataFrame]) -> None:
    """Keep what one part of the work gave, and note that this part is done.

    Parameters
    ----------
    folder
        The run's directory.
    part
        A name in lower case and hyphens; its tables are ``attention/<kind>-<part>.csv``.
    tables
        Tables by kind; fractions are rounded to six decimals.
    """
    record = _record(folder)
    for kind, table in tables.items():
        name = f"{kind}-{part}.csv"
        text = csv_text(table.round(6))
        write_atomic(folder / FOLDER / name, text)
        record["files"][name] = hashlib.sha256(text.encode()).hexdigest()
    record["parts"].append(part)
    write_json(folder / FOLDER / _RECORD, record)


def has_part(folder: Path, part: str) -> bool:
    """Tell whether a part of the work is done."""
    return part in _record(folder)["parts"]


def read_attention(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the tables of a run, or of ``results/``, by kind; none where there are none.

    Raises
    ------
    DataError
        If a file is missing, or not what was written.
    """
    if not (folder / FOLDER / _RECORD).is_file():
        return {}
    files = _record(folder)["files"]
    found: dict[str, list[pd.DataFrame]] = {}
    for name, digest in files.items():
        path = folder / FOLDER / name
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise DataError(
                f"{path} is not the file that the run wrote (SHA-256 differs). Restore it, or "
                f"delete {path.parent} and compute the maps again."
            )
        found.setdefault(name.partition("-")[0], []).append(pd.read_csv(path, dtype=_TEXT))
    return {kind: pd.concat(found[kind], ignore_index=True) for kind in KINDS if kind in found}


def published_files(folder: Path) -> list[Path]:
    """Return the files that an edition keeps: all but the weights of the networks."""
    record = folder / FOLDER / _RECORD
    if not record.is_file():
        return []
    return [record, *(folder / FOLDER / name for name in _record(folder)["files"])]


def _record(folder: Path) -> dict:
    """Return which parts are done and the digests of their files; none of another version."""
    path = folder / FOLDER / _RECORD
    record = read_json(path) if path.is_file() else {}
    if record.get("version") != VERSION:
        record = {"version": VERSION, "parts": [], "files": {}}
    return record
