"""Take over experiments that another run has computed already, so that none is trained twice."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError
from lcc_utils.pipeline.attempt import has_result
from lcc_utils.pipeline.store import (
    EXPERIMENT_FILES,
    Folder,
    experiment_folders,
    read_experiment,
)

__all__ = ["reuse"]


def reuse(folder: Path, keys: Iterable[str], cells: pd.DataFrame, source: Path) -> int:
    """Copy experiments of the same keys from another run, or from ``results/``, into a run.

    The key says that settings, split, seed and pixels are the same. The files are copied as they
    are, ``origin.json`` too, so that each says when and where it was computed. Weights are not
    among them: what looks into a network trains it again.

    Parameters
    ----------
    folder
        The run's directory.
    keys
        The run's experiments; those that have a result already stay as they are.
    cells
        The run's cells. An experiment that names another subject for a cell is not taken.
    source
        The other run's directory, which is only read.

    Returns
    -------
    int
        How many were copied.

    Raises
    ------
    DataError
        If a file there is not what the experiment wrote, or cannot be copied.
    """
    present = experiment_folders(source / "experiments")
    subject = cells.set_index("cell_id")["subject"]
    copied = 0
    for key in keys:
        if key not in present or has_result(folder, key):
            continue
        predictions = read_experiment(present[key]).predictions
        if (subject.reindex(predictions["cell_id"]).to_numpy() == predictions["subject"]).all():
            _copy(present[key], folder / "experiments" / key)
            copied += 1
    return copied


def _copy(source: Folder, target: Path) -> None:
    """Copy an experiment's files; they appear complete, by one rename."""
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        for name in EXPERIMENT_FILES:
            write_atomic(scratch / name, (source / name).read_text(encoding="utf-8"))
        scratch.replace(target)
    except OSError as error:
        raise DataError(f"{target} could not be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
