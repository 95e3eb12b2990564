"""Run many experiments: one after the other, in processes of this machine, or on Dask."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from lcc_utils.errors import RequestError
from lcc_utils.pipeline.attempt import attempt
from lcc_utils.pipeline.executors import Place, in_processes, on_dask
from lcc_utils.pipeline.plan import Experiment

# More processes or threads than any machine has for one run.
MOST_JOBS = 1024
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Workers:
    """Who computes, and until when.

    Attributes
    ----------
    jobs
        Processes on this machine; with 1, this process.
    dask
        Address of a Dask scheduler to use instead.
    deadline
        Time, as ``time.time()`` gives it, after which no experiment is begun.
    threads
        Threads of one training; by default all cores. Sums are then added in another order, so
        results are the same to the last digit only with the same number.
    """

    jobs: int = 1
    dask: str | None = None
    deadline: float = math.inf
    threads: int | None = None

    @classmethod
    def from_environment(cls) -> Workers:
        """Return what ``LCC_JOBS``, ``LCC_DASK`` and ``LCC_DEADLINE`` say; notebooks obey it.

        Raises
        ------
        RequestError
            If one of them is no such number.
        """
        jobs, deadline = os.environ.get("LCC_JOBS"), os.environ.get("LCC_DEADLINE")
        return cls(
            jobs=_number("LCC_JOBS", jobs, int, MOST_JOBS) if jobs else 1,
            dask=os.environ.get("LCC_DASK") or None,
            deadline=_number("LCC_DEADLINE", deadline, float, math.inf) if deadline else math.inf,
        )

    def to_environment(self) -> None:
        """Make these the workers of the processes that this one starts."""
        os.environ["LCC_JOBS"] = str(self.jobs)
        os.environ["LCC_DASK"] = self.dask or ""
        os.environ["LCC_DEADLINE"] = "" if self.deadline == math.inf else str(self.deadline)
        if self.threads:
            # TensorFlow and NumPy read these when they are first imported.
            os.environ |= dict.fromkeys(THREADS, str(self.threads))


def _number(name: str, text: str, kind: type, most: float) -> Any:
    """Return a number that a variable of the environment holds, or refuse it by name."""
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and (kind is float or 1 <= value <= most)):
        wanted = "a time in seconds" if kind is float else f"a whole number from 1 to {most:,}"
        raise RequestError(f"{name} is {text[:40]!r} in the environment; set it to {wanted}.")
    return value


def compute(
    experiments: list[Experiment],
    cells: pd.DataFrame,
    folder: Path,
    workers: Workers,
    progress: bool = True,
) -> dict[str, str]:
    """Run experiments, each alone; one that fails does not stop the others.

    Each leaves ``experiments/<key>/`` or nothing, and a log in ``logs/<key>.log``. Results do
    not depend on the workers.

    Parameters
    ----------
    experiments
        What to run, in this order.
    cells
        The run's cells.
    folder
        The run's directory. With Dask, workers must see it and the cells under the same path.
    workers
        Who computes.
    progress
        Whether to show a bar with the time left.

    Returns
    -------
    dict
        Key to reason, for each experiment that failed.

    Raises
    ------
    RequestError
        If there is no Dask scheduler at the address.
    DataError
        If the scheduler, or every worker, is lost; what is finished is kept.
    """
    failed: dict[str, str] = {}
    with _bar(experiments, progress) as bar:

        def queue() -> Iterator[Experiment]:
            for experiment in experiments:
                if time.time() >= workers.deadline:
                    return
                yield experiment

        def done(experiment: Experiment, reason: str) -> None:
            if reason:
                failed[experiment.key] = reason
            bar.finished(experiment)

        if workers.dask:
            on_dask(queue(), Place.of(cells, folder), workers.dask, done)
        elif workers.jobs > 1:
            place = Place.of(cells, folder)
            in_processes(experiments, place, workers.jobs, workers.deadline, done)
        else:
            for experiment in queue():
                bar.begun(experiment)
                done(experiment, attempt(experiment, cells, folder, bar.epoch))
    return failed


class _Bar:
    """One bar over all experiments, in training cells seen, so that the time left is fair."""

    def __init__(self, bar: tqdm, count: int) -> None:
        self._bar, self._count, self._number = bar, count, 0
        self._step, self._shown = 0, 0

    def begun(self, experiment: Experiment) -> None:
        self._bar.set_description(f"{self._number + 1}/{self._count} {experiment.name}", False)
        self._step, self._shown = len(experiment.split.train), 0

    def epoch(self) -> None:
        self._shown += self._step
        self._bar.update(self._step)

    def finished(self, experiment: Experiment) -> None:
        self._number += 1
        self._bar.set_description(f"{self._number}/{self._count} experiments", False)
        # An experiment that stopped early leaves epochs that will not come.
        self._bar.update(experiment.work - self._shown)
        self._shown = 0


@contextmanager
def _bar(experiments: list[Experiment], progress: bool) -> Iterator[_Bar]:
    # A log file gets a line now and then, a terminal a moving bar.
    pause = 0.1 if sys.stderr.isatty() else 20.0
    with tqdm(
        total=sum(experiment.work for experiment in experiments),
        unit="cell",
        unit_scale=True,
        disable=not (progress and experiments),
        mininterval=pause,
    ) as bar:
        yield _Bar(bar, len(experiments))
