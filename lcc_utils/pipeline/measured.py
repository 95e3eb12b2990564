"""The numbers that a run measures beside its experiments: tables in CSV, never pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError
from lcc_utils.pipeline.records import MeasuredRecord, checked
from lcc_utils.pipeline.store import csv_text, read_json, write_json

__all__ = ["GROUPS", "add_table", "has_part", "published_files", "read_measured"]

VERSION = 1
# What is measured: a folder of the run -> the kinds of its tables.
GROUPS = {
    # maps: one row a cell, method and network. cascade: the same map after each step of
    # re-initialisation. agreement: pairs of methods. curves: means of deletion and insertion.
    # average: mean maps by class. channels: weights of squeeze-and-excitation by subject. gates:
    # scores with these weights held fixed.
    "attention": ("maps", "cascade", "agreement", "curves", "average", "channels", "gates"),
    # shifted: one row a test cell and model, a column of log-odds for each change of the image
    # and each severity. familiar: scores and novelty of test cells as they are. foreign: those of
    # cells from elsewhere. sets: one row a foreign data set, with what identifies its files.
    "robustness": ("shifted", "familiar", "foreign", "sets"),
    # costs: one row a model, image side, device, engine and precision, as measured on a machine.
    # sizes: parameters and multiply-adds, one row a model and side.
    "efficiency": ("costs", "sizes"),
}
_TEXT = dict.fromkeys(
    (
        "cell_id", "subject", "model", "method", "other", "stage", "kind", "region", "shift",
        "source", "backbone", "engine", "precision", "device", "reason", "form", "image", "layout",
        "digest", "network", "processor", "versions",
    ),
    "str",
)  # fmt: skip


def add_table(folder: Path, group: str, part: str, tables: dict[str, pd.DataFrame]) -> None:
    """Keep what one part of the work gave, and note that this part is done.

    Parameters
    ----------
    folder
        The run's directory.
    group
        A key of :data:`GROUPS`.
    part
        A name in lower case and hyphens; its tables are ``<group>/<kind>-<part>.csv``, and
        replace those of a part of the same name.
    tables
        Tables by kind; fractions are rounded to six decimals.
    """
    record = _record(folder, group)
    for kind, table in tables.items():
        name = f"{kind}-{part}.csv"
        text = csv_text(table.round(6))
        write_atomic(folder / group / name, text)
        record["files"][name] = hashlib.sha256(text.encode()).hexdigest()
    record["parts"] = [*(own for own in record["parts"] if own != part), part]
    write_json(_record_path(folder, group), record)


def has_part(folder: Path, group: str, part: str) -> bool:
    """Tell whether a part of the work is done."""
    return part in _record(folder, group)["parts"]


def read_measured(folder: Path, group: str) -> dict[str, pd.DataFrame]:
    """Return a group's tables of a run, or of ``results/``, by kind; none where there are none.

    Raises
    ------
    DataError
        If a file is missing, or not what was written.
    """
    if not _record_path(folder, group).is_file():
        return {}
    found: dict[str, list[pd.DataFrame]] = {}
    for name, digest in _record(folder, group)["files"].items():
        path = folder / group / name
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise DataError(
                f"{path} is not the file that the run wrote (SHA-256 differs). Restore it, or "
                f"delete {path.parent} and measure again."
            )
        found.setdefault(name.partition("-")[0], []).append(pd.read_csv(path, dtype=_TEXT))
    return {
        kind: pd.concat(found[kind], ignore_index=True) for kind in GROUPS[group] if kind in found
    }


def published_files(folder: Path, group: str) -> list[Path]:
    """Return the files of a group that an edition keeps: all but the weights of networks."""
    record = _record_path(folder, group)
    if not record.is_file():
        return []
    return [record, *(folder / group / name for name in _record(folder, group)["files"])]


def _record_path(folder: Path, group: str) -> Path:
    return folder / group / f"{group}.json"


def _record(folder: Path, group: str) -> dict:
    """Return which parts are done and the digests of their files; none of another version."""
    path = _record_path(folder, group)
    record = read_json(path) if path.is_file() else {}
    if isinstance(record, dict) and record.get("version") != VERSION:
        return {"version": VERSION, "parts": [], "files": {}}
    checked(MeasuredRecord, record, path)
    return record
