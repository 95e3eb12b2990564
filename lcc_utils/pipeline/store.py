"""What a run leaves on disk: whole files, with digests, and how they are read back."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError
from lcc_utils.evaluation.result import Result
from lcc_utils.report.formatting import csv_text as csv_text

SCHEMA = 2
PREDICTION_COLUMNS = ["cell_id", "patient", "subject", "label", "score", "partition"]
CELL_COLUMNS = ["cell_id", "label", "patient", "subject", "phase", "fold", "pixel_sha256"]
EXPERIMENT_FILES = ("experiment.json", "predictions.csv", "history.csv", "origin.json")
Folder = Path | zipfile.Path
_TEXT = {"cell_id": "str", "patient": "str", "subject": "str", "partition": "str"}
_TYPES = {"predictions": {**_TEXT, "label": "int64", "score": "float64"}, "history": {}}
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
# What reading a damaged archive raises: of the archive, or of what is compressed in it.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)


def canonical(value: Any) -> str:
    """Return JSON that is the same for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def short_digest(value: Any) -> str:
    """Return the first 16 hex digits of SHA-256 over the canonical JSON of a value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file for people to read, whole or not at all."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def read_json(path: Folder) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, KeyError) as error:
        reason = getattr(error, "strerror", None) or "no such file"
        raise DataError(f"{path} cannot be read ({reason}).") from error
    except (ValueError, *_DAMAGED) as error:
        raise DataError(f"{path} is damaged ({error}); delete it and run again.") from error


def write_cells(path: Path, cells: pd.DataFrame) -> None:
    """Write the table of cells that a run was computed on, sorted by cell."""
    write_atomic(path, csv_text(cells[CELL_COLUMNS].sort_values("cell_id")))


def read_cells(path: Path) -> pd.DataFrame:
    """Read what :func:`write_cells` wrote."""
    types = {"label": "Int64", "fold": "Int64", "phase": "str", "pixel_sha256": "str"}
    return _read_csv(path, {**_TEXT, **types})


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
        try:
            scratch.replace(folder)
        except OSError:
            # Another process was first; its result under the same key is the same result.
            if not (folder / "experiment.json").exists():
                raise
    except OSError as error:
        raise DataError(f"{folder} could not be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
    digests = {**record.get("files", {}), "experiment.json": record.get("digest")}
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
        read=lambda name: _read_csv(folder / f"{name}.csv", _TYPES[name]),
    )


def experiment_folders(experiments: Path) -> dict[str, Folder]:
    """Return every experiment below a folder by key: directories, and those in packs.

    Raises
    ------
    DataError
        If a pack is no whole archive.
    """
    found: dict[str, Folder] = {}
    for path in sorted(experiments.glob("*")):
        if path.suffix == ".zip":
            found |= packed_experiments(path)
        elif path.is_dir() and not path.name.startswith("."):
            found[path.name] = path
    return found


def packed_experiments(path: Path) -> dict[str, Folder]:
    """Return every experiment of a pack by key.

    Raises
    ------
    DataError
        If it is no whole archive.
    """
    try:
        pack = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is damaged ({error}); restore it.") from error
    keys = {name.partition("/")[0] for name in pack.namelist()}
    return {key: zipfile.Path(pack, f"{key}/") for key in sorted(keys)}


def write_pack(path: Path, folders: Iterable[Path]) -> None:
    """Write experiments into one zip archive: the same bytes for the same files.

    A study of hundreds of experiments would be thousands of files in the repository.
    """
    with zipfile.ZipFile(path, "w") as pack:
        for folder in sorted(folders):
            for name in EXPERIMENT_FILES:
                entry = zipfile.ZipInfo(f"{folder.name}/{name}", date_time=_ZIP_EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                pack.writestr(entry, (folder / name).read_bytes(), compresslevel=9)


def _file_digest(path: Folder) -> str:
    try:
        return _sha256(path.read_bytes())
    except (OSError, KeyError, *_DAMAGED):
        return ""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_csv(path: Folder, types: dict[str, str]) -> pd.DataFrame:
    try:
        text = path.read_text(encoding="utf-8")
        return pd.read_csv(io.StringIO(text), dtype=types, keep_default_na=True)
    except (OSError, KeyError, ValueError, *_DAMAGED) as error:
        raise DataError(f"{path} cannot be read as a table ({error}).") from error
