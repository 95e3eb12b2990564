"""What a run leaves on disk: whole files, with digests, and how they are read back."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pandas as pd

from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError
from lcc_utils.evaluation.result import Result

SCHEMA = 1
PREDICTION_COLUMNS = ["cell_id", "patient", "subject", "label", "score", "partition"]
CELL_COLUMNS = ["cell_id", "label", "patient", "subject", "phase", "fold", "pixel_sha256"]
_TEXT = {"cell_id": "str", "patient": "str", "subject": "str", "partition": "str"}


def canonical(value: Any) -> str:
    """Return JSON that is the same for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def short_digest(value: Any) -> str:
    """Return the first 16 hex digits of SHA-256 over the canonical JSON of a value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file for people to read, whole or not at all."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); delete it and run again.") from error


def csv_text(frame: pd.DataFrame) -> str:
    """Return a table as CSV with scores and other fractions at nine significant digits."""
    return frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")


def write_cells(path: Path, cells: pd.DataFrame) -> None:
    """Write the table of cells that a run was computed on, sorted by cell."""
    write_atomic(path, csv_text(cells[CELL_COLUMNS].sort_values("cell_id")))


def read_cells(path: Path) -> pd.DataFrame:
    """Read what :func:`write_cells` wrote."""
    types = {"label": "Int64", "fold": "Int64", "phase": "str", "pixel_sha256": "str"}
    return _read_csv(path, {**_TEXT, **types})


def write_experiment(
    folder: Path, record: dict[str, Any], predictions: pd.DataFrame, history: pd.DataFrame
) -> None:
    """Write one experiment's directory; it appears complete, by one rename.

    Parameters
    ----------
    folder
        ``experiments/<key>`` of a run.
    record
        What ``experiment.json`` holds; the digests of the other files are added.
    predictions, history
        See ``evaluation.result.Result``.

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
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    scratch = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        for name, text in files.items():
            write_atomic(scratch / name, text)
        write_json(scratch / "experiment.json", {**record, "files": digests})
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


def read_experiment(folder: Path) -> Result:
    """Return an experiment as a result, its files checked against their digests.

    Raises
    ------
    DataError
        If a file is missing, damaged, or not what was written.
    """
    record = read_json(folder / "experiment.json")
    for name, digest in record["files"].items():
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise DataError(
                f"{path} is not the file that the experiment wrote (SHA-256 differs). Restore "
                f"it, or delete {folder} and run again with --resume."
            )
    types = {**_TEXT, "label": "int64", "score": "float64"}
    return Result(
        key=record["key"],
        study=record["study"],
        variant=record["variant"],
        split=record["split"]["name"],
        seed=record["seed"],
        settings=record["settings"],
        predictions=_read_csv(folder / "predictions.csv", types),
        history=_read_csv(folder / "history.csv", {}),
        record=record,
    )


def _read_csv(path: Path, types: dict[str, str]) -> pd.DataFrame:
    try:
        text = path.read_text(encoding="utf-8")
        return pd.read_csv(io.StringIO(text), dtype=types, keep_default_na=True)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a table ({error}).") from error
