"""Compute packed experiments on another machine within a time limit; bring the results back."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline import provenance
from lcc_utils.pipeline.attempt import has_result, reason_of
from lcc_utils.pipeline.compute import Workers, compute
from lcc_utils.pipeline.gather import read_plan
from lcc_utils.pipeline.packs import packed_experiments, write_pack
from lcc_utils.pipeline.parcel import check_parcel, open_parcel
from lcc_utils.pipeline.plan import Experiment
from lcc_utils.pipeline.store import (
    EXPERIMENT_FILES,
    read_experiment,
    read_json,
    write_json,
)

__all__ = ["compute_parcel", "in_order", "take_home"]

RESULTS, RECORD = "experiments.zip", "away.json"
# How long before the end the last results are packed, seconds.
_PACKING = 8.0
# Stands for every experiment where one reason keeps all of them from being computed.
_ALL = "all"


def compute_parcel(
    folder: Path,
    out: Path,
    seconds: float,
    jobs: int,
    runs: Path,
    first: tuple[str, ...] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Compute a parcel's experiments in order until the time is over; pack what is whole.

    Processes share one GPU; each grows in memory as it needs. What runs when the time is over
    is stopped and leaves nothing.

    Parameters
    ----------
    folder
        All parts of the parcel, in one folder.
    out
        Where ``experiments.zip`` and ``away.json`` go; both are renewed whenever this is called
        again, with what an earlier call computed.
    seconds
        From now until the results must be packed.
    jobs
        Experiments at a time.
    runs
        Where results are kept meanwhile.
    first
        Beginnings of the names of experiments, such as ``primary, EfficientNet-Lite2``, that are
        computed before all others, in this order.
    progress
        Whether to show progress.

    Returns
    -------
    dict
        The content of ``away.json``: device, versions, each experiment's place and time, and
        which are missing and why.

    Raises
    ------
    DataError
        If a file of the parcel is missing or damaged.
    RequestError
        If another version of this package made it.
    """
    check_parcel(folder)
    end = time.time() + seconds - _PACKING
    start = time.time()
    worker = get_context("spawn").Process(
        target=_work, args=(folder, runs, jobs, end, first, progress)
    )
    worker.start()
    worker.join(max(0.0, end - time.time()))
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.join()
    return _packed(folder, out, runs, {"seconds": round(time.time() - start, 1), "jobs": jobs})


def take_home(results: Path, run: Path) -> tuple[list[str], list[str]]:
    """Bring experiments that another machine computed into a run; return keys taken and left.

    Each is checked against its digests and taken whole; one that the run holds stays as it is.
    Experiments that the run does not plan are left.

    Parameters
    ----------
    results
        ``experiments.zip`` of :func:`compute_parcel`.
    run
        A run's folder.

    Raises
    ------
    DataError
        If the archive or an experiment in it is damaged; what was taken before stays.
    RequestError
        If the run does not plan any of them.
    """
    if not results.is_file():
        raise RequestError(f"{results} is no file; give the experiments.zip that came back.")
    planned, _ = read_plan(read_json(run / "run.json"))
    wanted = {place.key for own in planned.values() for place in own}
    found, taken = packed_experiments(results), []
    for key, folder in found.items():
        if key not in wanted or has_result(run, key):
            continue
        if read_experiment(folder).key != key:
            raise DataError(f"{results} holds another experiment under {key}; fetch it again.")
        # The file by which a run knows that an experiment is whole comes last.
        for name in reversed(EXPERIMENT_FILES):
            write_atomic(run / "experiments" / key / name, (folder / name).read_bytes())
        taken.append(key)
    if not wanted & found.keys():
        raise RequestError(
            f"{run} plans none of the {len(found)} experiments in {results}: its settings or its "
            "data are others."
        )
    return taken, sorted(found.keys() - wanted)


def in_order(experiments: list[Experiment], first: tuple[str, ...]) -> list[Experiment]:
    """Return experiments as they are, but those whose names begin as asked for before the rest."""

    def place(one: Experiment) -> int:
        found = (n for n, beginning in enumerate(first) if one.name.startswith(beginning))
        return next(found, len(first))

    return sorted(experiments, key=place)


def _work(
    folder: Path, runs: Path, jobs: int, until: float, first: tuple[str, ...], progress: bool
) -> None:
    """Compute what has no result yet, in a session of its own; begin nothing after a time."""
    os.setsid()
    try:
        parcel = open_parcel(folder)
        waiting = [e for e in in_order(parcel.experiments, first) if not has_result(runs, e.key)]
        failed = compute(waiting, parcel.cells, runs, Workers(jobs, deadline=until), progress)
    except Exception as error:  # what is raised here would be lost with the process
        failed = {_ALL: reason_of(error)}
    write_json(runs / "failures.json", failed)
    # joblib's workers wait for more, and this process would wait for them.
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(kill_workers=True)


def _packed(folder: Path, out: Path, runs: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Pack what is whole, and say what was computed where."""
    keys = read_json(folder / "parcel.json")["keys"]
    done = [key for key in keys if has_result(runs, key)]
    out.mkdir(parents=True, exist_ok=True)
    write_pack(out / RESULTS, [runs / "experiments" / key for key in done])
    failures = runs / "failures.json"
    failed = read_json(failures) if failures.exists() else {}
    rows = []
    for key in done:
        record = read_json(runs / "experiments" / key / "experiment.json")
        origin = read_json(runs / "experiments" / key / "origin.json")
        rows.append(
            {
                "key": key,
                **{name: record[name] for name in ("study", "variant", "seed")},
                "split": record["split"]["name"],
                "seconds": origin["seconds"],
                "epoch_seconds": origin["epoch_seconds"],
                "metrics": record["metrics"],
            }
        )
    record = {
        **facts,
        "backend": provenance.backend(),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "finished": provenance.now(),
        "done": rows,
        "missing": [
            {"key": key, "reason": failed.get(key, failed.get(_ALL, "the time was over"))}
            for key in keys
            if key not in done
        ],
    }
    write_json(out / RECORD, record)
    return record
