"""What a run leaves on disk: whole files, with digests, and how they are read back."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import uuid
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from lcc_utils.data.cache import write_atomic
from lcc_utils.data.files import FaultyFile, read_regular
from lcc_utils.errors import DataError
from lcc_utils.evaluation.result import Result
from lcc_utils.pipeline.records import ExperimentRecord, checked
from lcc_utils.report.formatting import csv_text as csv_text

SCHEMA = 2
PREDICTION_COLUMNS = ["cell_id", "patient", "subject", "label", "score", "partition"]
CELL_COLUMNS = ["cell_id", "label", "patient", "subject", "phase", "fold", "pixel_sha256"]
EXPERIMENT_FILES = ("experiment.json", "predictions.csv", "history.csv", "origin.json")
Folder = Path | zipfile.Path
_TEXT = {"cell_id": "str", "patient": "str", "subject": "str", "partition": "str"}
_TYPES = {"predictions": {**_TEXT, "label": "int64", "score": "float64"}, "history": {}}
# What reading a damaged archive raises: of the archive, or of what is compressed in it. What is
# encrypted, or nested too deeply, is a RuntimeError.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
# No file of a run comes near; a larger one is not read into memory.
MOST_BYTES = 256 * 2**20
_DEEPEST = 50


def canonical(value: Any) -> str:
    """Return JSON that is the same for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def short_digest(value: Any) -> str:
    """Return the first 16 hex digits of SHA-256 over the canonical JSON of a value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file for people to read, whole or not at all."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def read_bytes(path: Folder) -> bytes:
    """Return the bytes of a file of a run: a regular one, or a member of a pack."""
    return read_regular(path, MOST_BYTES) if isinstance(path, Path) else path.read_bytes()


def read_json(path: Folder, strict: bool = False) -> Any:
    """Return the content of a JSON file.

    Parameters
    ----------
    path
        The file.
    strict
        Whether to refuse a name that stands twice in one object.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    rules = {"object_pairs_hook": _once} if strict else {}
    try:
        value = json.loads(read_bytes(path).decode("utf-8"), **rules)
        _need_shallow(value)
        return value
    except (FaultyFile, OSError, KeyError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
        reason = reason or "no such file"
        raise DataError(f"{path} cannot be read ({reason}).") from error
    except (ValueError, *DAMAGED) as error:
        raise DataError(f"{path} is damaged ({error}); restore it, or run again.") from error


def _need_shallow(value: Any) -> None:
    """Refuse what is nested so deeply that nothing of ours wrote it, and recursion would end."""
    level = [value]
    for _ in range(_DEEPEST):
        nested = [own for own in level if isinstance(own, dict | list)]
        if not nested:
            return
        level = [one for own in nested for one in (own.values() if isinstance(own, dict) else own)]
    raise ValueError("it is nested too deeply")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} stands there twice")
    return found


def write_cells(path: Path, cells: pd.DataFrame) -> None:
    """Write the table of cells that a run was computed on, sorted by cell."""
    write_atomic(path, csv_text(cells[CELL_COLUMNS].sort_values("cell_id")))


def read_cells(path: Path) -> pd.DataFrame:
    """Read what :func:`write_cells` wrote."""
    types = {"label": "Int64", "fold": "Int64", "phase": "str", "pixel_sha256": "str"}
    cells = _read_csv(path, {**_TEXT, **types})
    need_columns(path, cells, CELL_COLUMNS)
    if cells["cell_id"].isna().any() or cells["cell_id"].duplicated().any():
        raise DataError(f"{path} lacks the id of a cell, or names a cell twice. Restore it.")
    return cells


def write_experiment(
    folder: Path,
    record: dict[str, Any],
    predictions: pd.DataFrame,
    history: pd.DataFrame,
    origin: dict[str, Any],
) -> None:
    """Write one experiment's directory; it appears complete, by one rename.

    Parameters
    ----------
    folder
        ``experiments/<key>`` of a run.
    record
        What ``experiment.json`` holds; the digests of the other files and its own are added.
    predictions, history
        See ``evaluation.result.Result``.
    origin
        What ``origin.json`` holds: versions, hardware and times, which differ between runs of
        the same experiment while all else is the same.

    Raises
    ------
    DataError
        If it cannot be written; nothing that existed is lost.
    """
    files = {
        "predictions.csv": csv_text(
            predictions[PREDICTION_COLUMNS].sort_values(["partition", "cell_id"])
        ),
        "history.csv": csv_text(history),
    }
    record = {**record, "files": {name: _sha256(text.encode()) for name, text in files.items()}}
    scratch = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        for name, text in files.items():
            write_atomic(scratch / name, text)
        write_json(scratch / "origin.json", origin)
        write_json(scratch / "experiment.json", {**record, "digest": record_digest(record)})
        # Another process may be first; its result under the same key is the same result.
        if not is_whole(folder):
            put_in_place(scratch, folder)
    except OSError as error:
        raise DataError(f"{folder} could not be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def is_whole(folder: Path) -> bool:
    """Tell whether an experiment's directory has every file that was written into it."""
    return all((folder / name).is_file() for name in EXPERIMENT_FILES)


def put_in_place(scratch: Path, folder: Path) -> None:
    """Rename a whole directory to its place; what lacks a file there is removed."""
    broken = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    if folder.exists():
        folder.replace(broken)
    try:
        scratch.replace(folder)
    except OSError:
        if not is_whole(folder):
            raise
    finally:
        shutil.rmtree(broken, ignore_errors=True)


def record_digest(record: dict[str, Any]) -> str:
    """Return the SHA-256 of a record as JSON reads it back, without its own digest."""
    own = {name: value for name, value in record.items() if name != "digest"}
    return _sha256(canonical(json.loads(json.dumps(own, default=str))).encode())


def read_experiment(folder: Folder) -> Result:
    """Return an experiment as a result, its files checked against their digests.

    Parameters
    ----------
    folder
        Its directory, or the same within a pack (:func:`experiment_folders`).

    Raises
    ------
    DataError
        If a file is missing, damaged, or not what was written.
    """
    record = read_json(folder / "experiment.json")
    checked(ExperimentRecord, record, folder / "experiment.json")
    digests = {**record["files"], "experiment.json": record["digest"]}
    for name, digest in digests.items():
        path = folder / name
        own = record_digest(record) if name == "experiment.json" else _file_digest(path)
        if own != digest:
            raise DataError(
                f"{path} is not the file that the experiment wrote (SHA-256 differs). Restore "
                f"it, or delete {folder} and run again with --resume."
            )
    return Result(
        key=record["key"],
        study=record["study"],
        variant=record["variant"],
        split=record["split"]["name"],
        seed=record["seed"],
        settings=record["settings"],
        record=record,
        read=lambda name: _read_table(folder, name),
    )


def _file_digest(path: Folder) -> str:
    try:
        return _sha256(read_bytes(path))
    except (FaultyFile, OSError, KeyError, *DAMAGED):
        return ""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_table(folder: Folder, name: str) -> pd.DataFrame:
    """Return predictions or history; predictions that are none are refused by their column."""
    path = folder / f"{name}.csv"
    table = _read_csv(path, _TYPES[name])
    if name != "predictions":
        return table
    need_columns(path, table, PREDICTION_COLUMNS)
    wrong = {
        "cell_id": table["cell_id"].isna(),
        "label": ~table["label"].isin((0, 1)),
        "score": ~table["score"].between(0, 1),
        "partition": ~table["partition"].isin(("validation", "test")),
    }
    for column, rows in wrong.items():
        if rows.any():
            raise DataError(
                f"{path}, line {int(rows.to_numpy().argmax()) + 2}: {column} has a value that no "
                "prediction has. Restore the file, or run again."
            )
    return table


def need_columns(path: Folder, table: pd.DataFrame, columns: list[str]) -> None:
    """Raise a DataError that names the columns a table lacks."""
    if missing := [name for name in columns if name not in table]:
        raise DataError(f"{path} lacks the column {', '.join(missing)}. Restore it.")


def _read_csv(path: Folder, types: dict[str, str]) -> pd.DataFrame:
    try:
        text = read_bytes(path).decode("utf-8")
        return pd.read_csv(io.StringIO(text, newline=None), dtype=types, keep_default_na=True)
    except FaultyFile as error:
        raise DataError(f"{path} cannot be read as a table ({error.reason}).") from error
    except (OSError, KeyError, ValueError, *DAMAGED) as error:
        raise DataError(f"{path} cannot be read as a table ({error}).") from error
