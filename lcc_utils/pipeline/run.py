"""A run: one profile on one set of cells, in one directory that grows until it is complete."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from lcc_utils.data import cnmc
from lcc_utils.data.cache import write_atomic
from lcc_utils.data.paths import user_path
from lcc_utils.errors import RequestError
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.nn.keras_file import check_keras
from lcc_utils.pipeline import provenance
from lcc_utils.pipeline.attempt import has_result
from lcc_utils.pipeline.begin import REPOSITORY, begin
from lcc_utils.pipeline.cells import open_cells
from lcc_utils.pipeline.compute import Workers, compute
from lcc_utils.pipeline.config import RunConfig, load_config, parse_overrides
from lcc_utils.pipeline.gather import (
    Planned,
    gather,
    read_failures,
    read_plan,
    write_failures,
)
from lcc_utils.pipeline.learners import prepare, require_weights
from lcc_utils.pipeline.lock import alone
from lcc_utils.pipeline.measured import GROUPS, read_measured
from lcc_utils.pipeline.names import checked_name, given_text
from lcc_utils.pipeline.plan import Experiment, Plan, first_split, make_plan
from lcc_utils.pipeline.records import OriginRecord, checked
from lcc_utils.pipeline.run_record import read_run
from lcc_utils.pipeline.store import (
    csv_text,
    read_json,
    short_digest,
    write_json,
)
from lcc_utils.report.tables import TABLES, build_table

# Studies whose networks are looked into after training, those of the first split.
LOOKED_INTO = ("attention", "robustness")


def runs_dir() -> Path:
    """Return where runs are kept: ``$LCC_RUNS``, or ``runs/`` of the checkout."""
    chosen = os.environ.get("LCC_RUNS")
    return user_path(chosen, "LCC_RUNS") if chosen else REPOSITORY / "runs"


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
    check_keras()
    named, data = given_text(run, "The parameter run"), given_text(data, "The parameter data")
    if named:
        checked_name(named, "The name of the run")
    config = load_config(profile, parse_overrides(overrides))
    cells = open_cells(config, data, progress)
    digest = cnmc.data_digest(cells)
    name = named or f"{config.profile}-{short_digest([config.model_dump(mode='json'), digest])[:8]}"
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
    digest
        The data digest of the cells.
    planned
        The experiments of each study; those the data cannot give are in ``refused``.
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
        self.folder = runs_dir() / checked_name(name, "The name of the run")
        self.digest = digest
        self._read: dict[str, Result] = {}
        self._tables: dict[str, tuple[list, pd.DataFrame]] = {}
        record = begin(self.folder, config, cells, digest, overrides, lambda: self.plan)
        self.planned, self.refused = read_plan(record)

    @cached_property
    def plan(self) -> Plan:
        """Every experiment with its split, as this version of the package plans the run."""
        return make_plan(self.config, self.cells, self.digest)

    @property
    def data_label(self) -> str:
        """What the numbers are computed on, as a reader sees it."""
        return self.cells.attrs["label"]

    @property
    def finished(self) -> bool:
        """Whether every notebook of the run has been executed."""
        return read_run(self.folder)["finished"] is not None

    @property
    def failures(self) -> dict[str, str]:
        """Why experiments failed, by key."""
        return read_failures(self.folder)

    def experiments(self, *studies: str) -> list[Planned]:
        """Return the planned experiments of some studies, or of all, each key once."""
        places = [p for study in studies or self.planned for p in self.planned.get(study, [])]
        return list({place.key: place for place in reversed(places)}.values())[::-1]

    def compute(
        self,
        *studies: str,
        workers: Workers | None = None,
        retry: bool = False,
        progress: bool = True,
    ) -> None:
        """Run the experiments of some studies, or of all, that have no result yet.

        Parameters
        ----------
        studies
            Names of studies; one that the profile does not have has nothing to run.
        workers
            Who computes; by default what the environment says.
        retry
            Whether to run again what has failed before.
        progress
            Whether to show progress.
        """
        workers = workers or Workers.from_environment()
        if retry:
            with self.working():
                write_failures(self.folder, {})
        if not self._waiting(studies) or time.time() >= workers.deadline:
            return
        with self.working():
            failures, waiting = self.failures, self._waiting(studies)
            chosen = self._prepared(waiting, workers, progress)
            failed = compute(chosen, self.cells, self.folder, workers, progress)
            write_failures(self.folder, failures | failed)

    def working(self) -> AbstractContextManager[None]:
        """Keep other processes from computing in this run; those that this one starts may.

        Raises
        ------
        DataError
            On entry, if another process computes in it.
        """
        return alone(self.folder, "run", "computed")

    def _waiting(self, studies: tuple[str, ...]) -> set[str]:
        """Return the keys of some studies that have neither a result nor failed."""
        failures = self.failures
        return {
            place.key
            for place in self.experiments(*studies)
            if place.key not in failures and not has_result(self.folder, place.key)
        }

    def results(self, *studies: str) -> list[Result]:
        """Return the results of some studies, computing what is missing.

        What failed, or was left when the time was over, is not among them; see
        :meth:`gather` for what is missing and why.
        """
        self.compute(*studies)
        found = self.gather(*studies)
        return [result for study in found.values() for result in study]

    def gather(self, *studies: str) -> Results:
        """Return the results of some studies, or of all, as they are now; nothing is trained."""
        wanted = [name for name in studies or self.planned if name in self.planned]
        folder, failures = self.folder / "experiments", self.failures
        present = {
            place.key: folder / place.key
            for name in wanted
            for place in self.planned[name]
            if has_result(self.folder, place.key)
        }
        places = {name: self.planned[name] for name in wanted}
        found = gather(places, self.refused, present, failures, self._read)
        for group in set(GROUPS) & set(studies or GROUPS):
            found.measured[group] = read_measured(self.folder, group)
        return found

    def table(self, name: str) -> pd.DataFrame:
        """Build a table of ``report.tables`` from this run, and keep it in the run.

        Nothing is trained for a table; it shows what is there.
        """
        if name not in TABLES:
            raise RequestError(f"There is no table {name!r}; there are {', '.join(TABLES)}.")
        results = self.gather(*TABLES[name].studies)
        # A figure and a table of it follow each other, and some take seconds to compute.
        made_of = [*([r.key for r in own] for own in results.values()), results.missing]
        for kinds in results.measured.values():
            made_of.append({kind: len(rows) for kind, rows in kinds.items()})
        if name not in self._tables or self._tables[name][0] != made_of:
            frame = build_table(name, self.cells, results)
            write_atomic(self.folder / "tables" / f"{name}.csv", csv_text(frame))
            self._tables[name] = (made_of, frame)
        return self._tables[name][1]

    def finish(self) -> None:
        """Mark the run as complete; its time is that of its experiments, whenever they ran."""
        record = read_run(self.folder)
        places = self.experiments()
        paths = [self.folder / "experiments" / one.key / "origin.json" for one in places]
        spent = [
            checked(OriginRecord, read_json(path), path).seconds for path in paths if path.exists()
        ]
        record |= {"finished": provenance.now(), "seconds": round(sum(spent), 1)}
        write_json(self.folder / "run.json", record)

    def _prepared(self, keys: set[str], workers: Workers, progress: bool) -> list[Experiment]:
        """Return experiments with their splits, once all that they read is there.

        Weights are asked for and caches filled here, before any process needs them.
        """
        studies = self.plan.experiments
        experiments = studies.values()
        found = {e.key: e for own in experiments for e in reversed(own)}
        if unknown := keys - found.keys():
            raise RequestError(
                f"Run {self.name} was planned by another version of this package "
                f"({len(unknown)} experiments differ). Begin another run with --run NAME."
            )
        order = [e for own in experiments for e in own if found[e.key] is e]
        kept = {e.key for name in LOOKED_INTO for e in first_split(studies.get(name, []))}
        chosen = [replace(e, keeps_weights=e.key in kept) for e in order if e.key in keys]
        require_weights(experiment.settings for experiment in chosen)
        if workers.jobs > 1 or workers.dask:
            for settings in {e.settings.model_dump_json(): e.settings for e in chosen}.values():
                prepare(settings, self.cells, progress)
        return chosen


def finished(run: Run, study: str) -> list[tuple[Experiment, Result]]:
    """Return the experiments of a study's first split that have a result, in the plan's order."""
    found = {result.key: result for result in run.gather(study)[study]}
    if not found:
        return []
    planned = make_plan(run.config, run.cells, run.digest, study).experiments[study]
    return [(one, found[one.key]) for one in first_split(planned) if one.key in found]
