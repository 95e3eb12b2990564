"""The beginning of a run: what ``run.json`` holds before the first experiment."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

import lcc_utils
from lcc_utils.data.cnmc import data_digest
from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline import provenance
from lcc_utils.pipeline.config import RunConfig
from lcc_utils.pipeline.plan import PROTOCOL, Plan, plan_record
from lcc_utils.pipeline.run_record import read_run
from lcc_utils.pipeline.store import SCHEMA, write_cells, write_json

__all__ = ["REPOSITORY", "begin", "data_label"]

REPOSITORY = Path(lcc_utils.__file__).resolve().parent.parent
_BYTES_NEEDED = 200 * 2**20


def begin(
    folder: Path,
    config: RunConfig,
    cells: pd.DataFrame,
    digest: str,
    overrides: dict[str, Any],
    plan: Callable[[], Plan],
) -> dict[str, Any]:
    """Write ``cells.csv`` and ``run.json`` of a run where they lack; return the latter's content.

    Parameters
    ----------
    folder
        The run's directory, named as the run.
    config
        Every setting of the run.
    cells
        Its cells, with the names of the data in ``attrs``.
    digest
        The data digest of the cells.
    overrides
        The settings that were given beside the profile.
    plan
        Gives the plan; only a new run asks for it.

    Raises
    ------
    RequestError
        If the folder holds a run of other settings or other data.
    DataError
        If the disk is full.
    """
    path = folder / "run.json"
    if not path.exists():
        record = _record(folder.name, config, cells, digest, overrides, plan())
        _need_space(folder)
        write_cells(folder / "cells.csv", cells)
        write_json(path, record)
    record = read_run(folder)
    settings = config.model_dump(mode="json")
    if (record["settings"], record["dataset"]["digest"]) != (settings, digest):
        raise RequestError(
            f"Run {folder.name} in {folder} has other settings or other data. Choose "
            "another name with run, or leave the name out."
        )
    if not (folder / "cells.csv").exists():
        write_cells(folder / "cells.csv", cells)
    return record


def data_label(dataset: str, cells: pd.DataFrame) -> str:
    """Return what a reader is told that numbers were computed on: name, counts and digest."""
    kind = {"synthetic": "synthetic cells", "c-nmc-2019": "C-NMC 2019"}.get(dataset, dataset)
    return (
        f"{kind} ({len(cells):,} cells of {cells['subject'].nunique()} subjects, "
        f"digest {data_digest(cells)[:8]})"
    )


def _record(
    name: str,
    config: RunConfig,
    cells: pd.DataFrame,
    digest: str,
    overrides: dict[str, Any],
    plan: Plan,
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "protocol": PROTOCOL,
        "run": name,
        "profile": config.profile,
        "overrides": overrides,
        "settings": config.model_dump(mode="json"),
        "dataset": {
            "name": cells.attrs["dataset"],
            "cells": len(cells),
            "subjects": int(cells["subject"].nunique()),
            "digest": digest,
            "label": cells.attrs["label"],
        },
        **plan_record(plan),
        "versions": provenance.versions(),
        "backend": provenance.backend(),
        "git": provenance.git_state(REPOSITORY),
        "hardware": provenance.hardware(),
        "created": provenance.now(),
        "finished": None,
    }


def _need_space(folder: Path) -> None:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < _BYTES_NEEDED:
        raise DataError(
            f"The disk of {folder} has {free // 2**20} MiB free and a run needs "
            f"{_BYTES_NEEDED // 2**20}; free space, or set LCC_RUNS to a folder elsewhere."
        )
