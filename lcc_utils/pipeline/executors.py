"""Experiments in other processes: of this machine, or of a Dask cluster."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from lcc_utils.data.cache import cache_dir
from lcc_utils.data.cached import keep_named, kept_table
from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline.attempt import attempt, has_result
from lcc_utils.pipeline.boundary import explained, reason_of
from lcc_utils.pipeline.parent import end_with
from lcc_utils.pipeline.plan import Experiment
from lcc_utils.pipeline.processes import safe_path

# How long to wait for a Dask cluster without any worker, seconds.
PATIENCE = 120.0
# How long a Dask scheduler may take to answer, seconds.
ANSWERS_WITHIN = 10.0

_LOST = (
    "Its worker was lost every time, perhaps for want of memory; use fewer jobs, or lower "
    "training.batch or pixels.size, and run again with --resume."
)


@dataclass(frozen=True)
class Place:
    """Where another process finds the cells, what they must be, and where it leaves results."""

    cells: Path
    digest: str
    folder: Path

    @classmethod
    def of(cls, cells: pd.DataFrame, folder: Path) -> Place:
        """Keep the table of cells in the cache, so that it is not sent with every experiment."""
        path, digest = keep_named(cache_dir(), "cells", cells)
        return cls(path.absolute(), digest, folder.absolute())


def _remote(experiment: Experiment, place: Place) -> tuple[str, str]:
    """Run one experiment in another process; return its key and why it failed, or nothing."""
    try:
        return experiment.key, attempt(experiment, _cells(place.cells, place.digest), place.folder)
    except Exception as error:  # of what surrounds the experiment, such as its table of cells
        return experiment.key, explained(error, place.folder)


def _begin_worker(parent: int) -> None:
    """Prepare a worker of joblib: it stays when it grows, and ends with its parent."""
    end_with(parent)
    _stay()


def _stay() -> None:
    """Let a worker of joblib go on when it has grown.

    By itself it ends after 300 MB, which any network takes; the next one then loads the framework
    and traces its models again.
    """
    from joblib.externals.loky import process_executor

    process_executor._MAX_MEMORY_LEAK_SIZE = math.inf


@lru_cache(maxsize=2)
def _cells(path: Path, digest: str) -> pd.DataFrame:
    """Return the table of cells that another process has kept, if it is still that table."""
    table = kept_table(path, digest=digest)
    if table is None:
        raise DataError(
            f"The table of cells {path} is missing or was changed since the run began; run again "
            "with --resume, which writes it anew."
        )
    return table


def in_processes(
    experiments: list[Experiment],
    place: Place,
    jobs: int,
    deadline: float,
    done: Callable[[Experiment, str], None],
) -> None:
    """Run in processes; what was running when one was killed is run again, each alone."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    waiting = {experiment.key: experiment for experiment in experiments}
    begun: set[str] = set()

    def finish(experiment: Experiment, reason: str) -> None:
        del waiting[experiment.key]
        done(experiment, reason)

    def run(some: list[Experiment]) -> None:
        def tasks() -> Iterator:
            for experiment in some:
                if time.time() >= deadline:
                    return
                begun.add(experiment.key)
                yield delayed(_remote)(experiment, place)

        parallel = Parallel(
            jobs, return_as="generator_unordered", pre_dispatch=jobs, batch_size=1,
            initializer=_begin_worker, initargs=(os.getpid(),),
        )  # fmt: skip
        with safe_path():
            for key, reason in parallel(tasks()):
                finish(waiting[key], reason)

    while waiting and time.time() < deadline:
        begun.clear()
        try:
            run(list(waiting.values()))
            return
        except TerminatedWorkerError:
            for experiment in [e for e in waiting.values() if e.key in begun]:
                if has_result(place.folder, experiment.key):
                    finish(experiment, "")
                    continue
                try:
                    run([experiment])
                except TerminatedWorkerError:
                    finish(experiment, _LOST)


def on_dask(
    queue: Iterator[Experiment],
    place: Place,
    address: str,
    done: Callable[[Experiment, str], None],
) -> None:
    """Keep every worker of a cluster busy; Dask itself moves the tasks of a lost worker."""
    import distributed

    client = _client(address)
    pending: dict[distributed.Future, Experiment] = {}
    seen = time.monotonic()
    try:
        exhausted = False
        while pending or not exhausted:
            count = len(client.scheduler_info(n_workers=-1)["workers"])
            seen = time.monotonic() if count else seen
            if time.monotonic() - seen > PATIENCE:
                raise DataError(
                    f"The Dask cluster at {address} has had no worker for {PATIENCE:.0f} seconds; "
                    "start workers and run again with --resume. What is finished is kept."
                )
            while not exhausted and len(pending) < 2 * max(count, 1):
                experiment = next(queue, None)
                if experiment is None:
                    exhausted = True
                    break
                future = client.submit(_remote, experiment, place, pure=False)
                pending[future] = experiment
            for future in [f for f in pending if f.done()]:
                done(pending.pop(future), _outcome(future, address))
            time.sleep(0.05)
    except (OSError, distributed.comm.core.CommClosedError) as error:
        raise _scheduler_lost(address) from error
    finally:
        client.cancel(list(pending))
        client.close(timeout=5)


def _client(address: str):
    import distributed

    try:
        return distributed.Client(address, timeout=ANSWERS_WITHIN, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RequestError(
            f"There is no Dask scheduler at {address} ({error}). Start one with `dask scheduler` "
            "and workers with `dask worker`, and give the address it prints with --dask."
        ) from error


def _outcome(future, address: str) -> str:
    """Return what a finished task says: nothing, or why it failed."""
    if future.status == "finished":
        return future.result()[1]
    if future.status in ("cancelled", "lost"):
        raise _scheduler_lost(address)
    error = future.exception()
    return _LOST if type(error).__name__ == "KilledWorker" else reason_of(error)


def _scheduler_lost(address: str) -> DataError:
    return DataError(
        f"The Dask scheduler at {address} was lost; what is finished is kept. Start it again and "
        "run with --resume."
    )
