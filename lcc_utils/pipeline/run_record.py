"""Read ``run.json``: the one reader for every command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline.config import RunConfig
from lcc_utils.pipeline.records import RunRecord, checked
from lcc_utils.pipeline.store import SCHEMA, read_json

__all__ = ["read_config", "read_run"]


def read_run(folder: str | Path) -> dict[str, Any]:
    """Read ``run.json`` of a run, or of ``results/``, and return it with every field checked.

    Parameters
    ----------
    folder
        The run's directory.

    Returns
    -------
    dict
        Its content; ``seconds`` is None until the run is complete, and ``protocol`` (see
        ``plan.PROTOCOL``) is 1 where a run of before does not name it.

    Raises
    ------
    RequestError
        If the folder is no run, or another version of the package wrote it in another form.
    DataError
        If the file is damaged, or a field is missing or of another type.
    """
    path = Path(folder) / "run.json"
    if not path.is_file():
        raise RequestError(
            f"{folder} is no run: it holds no run.json. Name a folder that lcc run has left, or "
            "results for the published edition."
        )
    values = read_json(path, strict=True)
    if not isinstance(values, dict):
        raise DataError(f"{path} is no JSON object, so it is no record of a run. Restore it.")
    if values.get("schema") != SCHEMA:
        raise RequestError(
            f"{path} has form {values.get('schema')!r} and this version of the package reads form "
            f"{SCHEMA}. Begin another run with --run NAME, or use the version that wrote it."
        )
    checked(RunRecord, values, path)
    return {"seconds": None, "protocol": 1, **values}


def read_config(record: dict[str, Any], folder: str | Path) -> RunConfig:
    """Return the settings in a run's record, checked as those of a profile are.

    Raises
    ------
    DataError
        If a setting is unknown or has a value that is refused.
    """
    return checked(RunConfig, record["settings"], Path(folder) / "run.json", "settings.")
