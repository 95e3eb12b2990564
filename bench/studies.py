"""What a study costs beside its trainings, and how Monte Carlo grows with its parts.

The overhead of an experiment is the time in which it neither trains nor scores cells: the model
made anew, pixels looked up, metrics, files, log. Monte Carlo runs on invented features of the
form of the frozen network's, with a planted signal; every measurement of it has a process of its
own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from bench.cells import scratch
from bench.invented import CELLS, CHANNELS, SUBJECTS, invented, plant
from bench.record import ROOT, Record, options, out_folder

__all__ = ["main"]

# Iterations, processes and cells: a base, and what differs from it.
BASE = (10, 1, 6264)
GROWTH = ((5, 1, 6264), (20, 1, 6264), (10, 2, 6264), (10, 1, 3132), (10, 1, 12_528))
GOAL = (100, 2, CELLS)
TINY = ((2, 1, 600), (4, 1, 600))


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write studies.json; as a child of itself, one Monte Carlo."""
    args = _arguments(arguments)
    if args.measure:
        print(json.dumps(_monte_carlo(*json.loads(args.measure))))
        return 0
    record = Record("studies", {"profile": "demo", "tiny": args.tiny, "channels": CHANNELS})
    with scratch() as folder:
        os.environ["LCC_CACHE"] = str(folder / "cache")
        _overhead(args.tiny, folder, record)
        wanted = TINY if args.tiny else (BASE, *GROWTH, *(() if args.short else (GOAL,)))
        # The tiny form is no measurement of memory, and a process costs it most of its time.
        measure = _monte_carlo if args.tiny else _measured
        rows = [measure(*one, str(folder)) for one in wanted]
    _judge(pd.DataFrame(rows), record)
    record.finish(out_folder(args))
    return 0


def _overhead(tiny: bool, folder: Path, record: Record) -> None:
    """Run a study of the demo profile and see where its experiments spend their time."""
    from lcc_utils.data import cnmc
    from lcc_utils.nn import training
    from lcc_utils.pipeline import experiments, learners
    from lcc_utils.pipeline.attempt import attempt
    from lcc_utils.pipeline.cells import open_cells
    from lcc_utils.pipeline.config import load_config
    from lcc_utils.pipeline.plan import make_plan

    less = {"dataset.cells": 160, "pixels.size": 32, "training.epochs": 2}
    # One compiled step less than with the engine of the profile.
    less |= {"augmentation.engine": "imgaug"}
    config = load_config("demo", less if tiny else {"studies.training.seeds": 2})
    cells = open_cells(config, None, False)
    planned = make_plan(config, cells, cnmc.data_digest(cells)).experiments["training"]
    parts = {
        "training": [(training, "train_epoch"), (training, "_validate")],
        "scoring": [(training, "predict_scores")],
        "model made anew": [(training, "prepare")],
        "pixels": [(learners, "PixelCache")],
        "metrics": [(experiments, "evaluate_result")],
        "files": [(experiments, "write_experiment")],
    }
    rows = []
    for number, experiment in enumerate(planned):
        with _timed(parts) as spent:
            start = time.perf_counter()
            if reason := attempt(experiment, cells, folder / "run"):
                raise SystemExit(reason)
            whole = time.perf_counter() - start
        rows.append({"experiment": number + 1, **spent, "whole": whole})
    table = pd.DataFrame(rows)
    table["rest"] = table["whole"] - table[list(parts)].sum(axis=1)
    work = table["training"] + table["scoring"]
    table["overhead"] = 1 - work / table["whole"]
    record.tables[f"Seconds of an experiment ({cells.attrs['label']})"] = table.round(4)
    later = table[1:]
    share = 1 - work[1:].sum() / later["whole"].sum()
    record.ratio("overhead / experiment", share, "lower")
    record.goal("overhead of an experiment after the first, share", share, 0.05, "lower")


@contextmanager
def _timed(parts: dict[str, list[tuple[Any, str]]]) -> Iterator[dict[str, float]]:
    """Take the time that functions of modules spend, by part, while the context lasts."""
    spent: dict[str, float] = dict.fromkeys(parts, 0.0)
    places = [place for own in parts.values() for place in own]
    before = [(module, name, getattr(module, name)) for module, name in places]

    def timing(part: str, function: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[part] += time.perf_counter() - start

        return timed

    try:
        for part, own in parts.items():
            for module, name in own:
                setattr(module, name, timing(part, getattr(module, name)))
        yield spent
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def _judge(table: pd.DataFrame, record: Record) -> None:
    """Compare Monte Carlo with the goals, and its growth with what it should be."""
    people = sum(SUBJECTS.values())
    record.tables[f"Monte Carlo, invented features: {CHANNELS}, {people} subjects"] = table
    times: dict[tuple[int, int, int], float] = {}
    peaks: dict[tuple[int, int, int], float] = {}
    for row in table.to_dict("records"):
        key = (row["iterations"], row["jobs"], row["cells"])
        times[key], peaks[key] = row["seconds"], row["peak_mib"]
    if GOAL in times:
        record.goal("100 iterations on 2 cores, s", times[GOAL], 60, "lower")
    few, many = (TINY[0], TINY[1]) if TINY[0] in times else (GROWTH[0], GROWTH[1])
    # What starting costs is in both: time must grow by less than the iterations do.
    growth = (times[many] / times[few]) / (many[0] / few[0])
    record.goal("time / iterations, grown", growth, 1.1, "lower")
    record.goal("memory, grown with iterations", peaks[many] / peaks[few], 1.05, "lower")
    if BASE in times:
        record.ratio("time / iterations, grown", growth, "lower")
        twice = GROWTH[2]
        record.ratio("2 processes / 1, speed-up", times[BASE] / times[twice], "higher")
        cells = times[GROWTH[4]] / times[GROWTH[3]] / 4
        record.ratio("time / cells, grown", cells, "lower")
        record.goal("time / cells, grown", cells, 1.1, "lower")


def _measured(*wanted: Any) -> dict[str, Any]:
    """Run one Monte Carlo in a process of its own."""
    command = [sys.executable, "-m", "bench.studies", "--measure", json.dumps(wanted)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    print(f"  Monte Carlo: {done.stdout.strip()}", file=sys.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _monte_carlo(iterations: int, jobs: int, count: int, place: str) -> dict[str, Any]:
    from lcc_utils.pipeline.compute import Workers, compute
    from lcc_utils.pipeline.config import RunConfig
    from lcc_utils.pipeline.plan import make_plan

    folder = Path(place)
    cells = invented(count, folder)
    config = RunConfig.model_validate(
        {
            "profile": "bench",
            "dataset": {"source": "synthetic"},
            "pixels": {"size": 32, "crop": 32},
            "model": {"backbone": "efficientnetv2-b3", "frozen": True},
            "training": {"epochs": 1, "batch": 32},
            "studies": {
                "monte_carlo": {
                    "splits": [{"protocol": "patient", "shares": [0.6, 0.15, 0.25]}],
                    "seeds": iterations,
                }
            },
        }
    )
    planned = make_plan(config, cells, f"invented-{count}").experiments["monte_carlo"]
    plant(planned[0].settings, cells)
    run = folder / f"run-{iterations}-{jobs}-{count}"
    start = time.perf_counter()
    if failed := compute(planned, cells, run, Workers(jobs=jobs), progress=False):
        raise SystemExit(next(iter(failed.values())))
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    who = resource.RUSAGE_CHILDREN if jobs > 1 else resource.RUSAGE_SELF
    peak = resource.getrusage(who).ru_maxrss * unit / 2**20
    return {
        "iterations": iterations, "jobs": jobs, "cells": count, "seconds": round(seconds, 2),
        "seconds_per_iteration": round(seconds / iterations, 3), "peak_mib": round(peak),
    }  # fmt: skip


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = options("studies", __doc__)
    parser.add_argument("--short", action="store_true", help="without the 100 iterations")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
