"""A run opened again from its folder, with the cells that it was computed on."""

from __future__ import annotations

from pathlib import Path

from lcc_utils.data.cnmc import data_digest
from lcc_utils.errors import RequestError
from lcc_utils.nn.keras_file import check_keras
from lcc_utils.pipeline.cells import open_cells
from lcc_utils.pipeline.foreign_networks import STUDY
from lcc_utils.pipeline.run import Run, runs_dir
from lcc_utils.pipeline.run_record import read_config, read_run

__all__ = ["reopened"]


def reopened(folder: Path, data: str | None, progress: bool = False) -> Run:
    """Open a run that has the study ``robustness``, to measure more with its networks.

    Parameters
    ----------
    folder
        The run's directory.
    data
        The C-NMC tree of the run; a run on synthetic cells draws its own.
    progress
        Whether to show progress bars.

    Raises
    ------
    RequestError
        If the folder is no run of this machine, its profile has no such study, or the cells are
        others than the run's.
    """
    check_keras()
    record = read_run(folder)
    if folder.name != record["run"] and folder.parent.resolve() == runs_dir().resolve():
        raise RequestError(
            f"{folder} is named otherwise than the run in it, {record['run']}. Rename the folder."
        )
    if folder.resolve() != (runs_dir() / record["run"]).resolve():
        raise RequestError(
            f"{folder} is no run in {runs_dir()}: an edition keeps no networks. Name a run, or set "
            "LCC_RUNS to the folder that holds it."
        )
    config = read_config(record, folder)
    if STUDY not in config.studies:
        raise RequestError(
            f"Run {record['run']} has no study {STUDY}, whose networks judge cells from elsewhere; "
            "use a run of a profile that has it."
        )
    cells = open_cells(config, data, progress)
    if data_digest(cells) != record["dataset"]["digest"]:
        raise RequestError(
            f"The cells of {data or 'this profile'} are not those of run {record['run']} "
            f"({record['dataset']['label']}); give the tree that it was computed on with --data."
        )
    return Run(record["run"], config, cells, record["dataset"]["digest"], record["overrides"])
