"""A run: one profile on one set of cells, in one directory that grows until it is complete."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

import lcc_utils
from lcc_utils.data import cnmc
from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.result import Result
from lcc_utils.pipeline import provenance
from lcc_utils.pipeline.cells import open_cells
from lcc_utils.pipeline.config import RunConfig, load_config, parse_overrides
from lcc_utils.pipeline.experiments import Experiment, plan, require_weights, run_experiment
from lcc_utils.pipeline.store import (
    SCHEMA,
    csv_text,
    read_experiment,
    read_json,
    short_digest,
    write_cells,
    write_json,
)
from lcc_utils.report.tables import build_table

REPOSITORY = Path(lcc_utils.__file__).resolve().parent.parent
_BYTES_NEEDED = 200 * 2**20


def runs_dir() -> Path:
    """Return where runs are kept: ``$LCC_RUNS``, or ``runs/`` of the checkout."""
    chosen = os.environ.get("LCC_RUNS")
    return Path(chosen).expanduser() if chosen else REPOSITORY / "runs"


def open_run(
    profile: str = "demo",
    data: str | None = None,
    run: str | None = None,
    overrides: str | dict[str, Any] | None = None,
    progress: bool = False,
) -> Run:
    """Open a run, or begin it: check settings and data, plan every experiment.

    Parameters
    ----------
    profile
        ``demo``, ``cpu``, ``paper`` or the path of a YAML file.
    data
        A C-NMC tree, in any known layout. The demo profile draws its own cells.
    run
        The run's name; by default one that follows from profile, overrides and data, so
        that a notebook by hand finds what another has computed.
    overrides
        A JSON object, or a dict, of dotted settings.
    progress
        Whether to show progress bars.

    Raises
    ------
    RequestError
        If a setting, the data or the protocol asked for does not fit.
    DataError
        If files are faulty or the disk is full.
    """
    config = load_config(profile, parse_overrides(overrides))
    cells = open_cells(config, data, progress)
    digest = cnmc.data_digest(cells)
    name = run or f"{config.profile}-{short_digest([config.model_dump(mode='json'), digest])[:8]}"
    return Run(name, config, cells, digest, parse_overrides(overrides))


class Run:
    """One run and its directory.

    Attributes
    ----------
    name, folder
        The run's name and its directory.
    config
        Every setting.
    cells
        The table of cells with their subjects; ``attrs["label"]`` names the data.
    """

    def __init__(
        self,
        name: str,
        config: RunConfig,
        cells: pd.DataFrame,
        digest: str,
        overrides: dict[str, Any],
    ) -> None:
        self.name, self.config, self.cells = name, config, cells
        self.folder = runs_dir() / name
        self._digest = digest
        self._planned = plan(config, cells, digest)
        self._begin(overrides)

    @property
    def data_label(self) -> str:
        """What the numbers are computed on, as a reader sees it."""
        return self.cells.attrs["label"]

    @property
    def finished(self) -> bool:
        """Whether every notebook of the run has been executed."""
        return read_json(self.folder / "run.json")["finished"] is not None

    def experiments(self, *studies: str) -> list[Experiment]:
        """Return the planned experiments of some studies, or of all.

        Raises
        ------
        RequestError
            If the profile has no such study.
        """
        for study in studies:
            if study not in self._planned:
                raise RequestError(
                    f"Profile {self.config.profile} has no study {study!r}; it has "
                    f"{', '.join(self._planned)}."
                )
        return [e for study in studies or self._planned for e in self._planned[study]]

    def compute(self, *studies: str, progress: bool = True) -> None:
        """Run the experiments of some studies, or of all, that have no result yet."""
        waiting = {e.key: e for e in self.experiments(*studies) if not self._has(e)}
        require_weights(waiting.values())
        epochs = sum(e.settings.training.epochs for e in waiting.values())
        log = _log(self.folder)
        # A log file gets a line now and then, a terminal a moving bar.
        pause = 0.1 if sys.stderr.isatty() else 20.0
        shown = progress and bool(waiting)
        with tqdm(total=epochs, unit="epoch", disable=not shown, mininterval=pause) as bar:
            for number, experiment in enumerate(waiting.values(), start=1):
                name = f"{experiment.study}, {experiment.variant}, {experiment.split.name}"
                bar.set_description(f"{number}/{len(waiting)} {name}", refresh=False)
                log.info("%s starts: %s, seed %d", experiment.key, name, experiment.seed)
                before = bar.n

                def on_epoch(row: dict[str, float], bar=bar, key=experiment.key) -> None:
                    bar.update()
                    log.info("%s %s", key, row)

                run_experiment(experiment, self.cells, self._place(experiment), on_epoch)
                # An experiment that stopped early leaves epochs that will not come.
                bar.update(experiment.settings.training.epochs - (bar.n - before))
                log.info("%s done", experiment.key)

    def results(self, *studies: str) -> list[Result]:
        """Return the results of some studies, computing what is missing."""
        self.compute(*studies)
        found = []
        for experiment in self.experiments(*studies):
            result = read_experiment(self._place(experiment))
            place = {"study": experiment.study, "variant": experiment.variant}
            found.append(Result(**{**result.__dict__, **place}))
        return found

    def table(self, name: str) -> pd.DataFrame:
        """Build a table of ``report.tables`` from this run, and keep it in the run.

        Only studies that are complete are used; nothing is trained for a table.
        """
        complete = {
            study: self.results(study)
            for study, planned in self._planned.items()
            if all(self._has(e) for e in planned)
        }
        frame = build_table(name, self.cells, complete)
        write_atomic(self.folder / "tables" / f"{name}.csv", csv_text(frame))
        return frame

    def finish(self) -> None:
        """Mark the run as complete; its time is that of its experiments, whenever they ran."""
        record = read_json(self.folder / "run.json")
        folders = {self._place(experiment) for experiment in self.experiments()}
        spent = [read_json(folder / "experiment.json")["seconds"] for folder in folders]
        record |= {"finished": provenance.now(), "seconds": round(sum(spent), 1)}
        write_json(self.folder / "run.json", record)

    def _place(self, experiment: Experiment) -> Path:
        return self.folder / "experiments" / experiment.key

    def _has(self, experiment: Experiment) -> bool:
        return (self._place(experiment) / "experiment.json").exists()

    def _begin(self, overrides: dict[str, Any]) -> None:
        settings = self.config.model_dump(mode="json")
        path = self.folder / "run.json"
        if path.exists():
            record = read_json(path)
            if (record["settings"], record["dataset"]["digest"]) != (settings, self._digest):
                raise RequestError(
                    f"Run {self.name} in {self.folder} has other settings or other data. Choose "
                    "another name with run, or leave the name out."
                )
            return
        _need_space(self.folder)
        write_cells(self.folder / "cells.csv", self.cells)
        write_json(
            path,
            {
                "schema": SCHEMA,
                "run": self.name,
                "profile": self.config.profile,
                "overrides": overrides,
                "settings": settings,
                "dataset": {
                    "name": self.cells.attrs["dataset"],
                    "cells": len(self.cells),
                    "subjects": int(self.cells["subject"].nunique()),
                    "digest": self._digest,
                    "label": self.data_label,
                },
                "plan": {
                    study: [{"key": e.key, "variant": e.variant} for e in planned]
                    for study, planned in self._planned.items()
                },
                "versions": provenance.versions(),
                "backend": provenance.backend(),
                "git": provenance.git_state(REPOSITORY),
                "hardware": provenance.hardware(),
                "created": provenance.now(),
                "finished": None,
                "seconds": 0.0,
            },
        )


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


def _log(folder: Path) -> logging.Logger:
    log = logging.getLogger(f"lcc.{folder.name}")
    if not log.handlers:
        handler = logging.FileHandler(folder / "run.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
    return log
