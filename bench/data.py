"""The way from files to cells: index, pixel cache and near-duplicates, with the memory they take.

Every stage runs in a process of its own, so that its peak memory is its own, at a quarter of the
cells and at all of them: what grows between the two is compared with the pixels that are added.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

import pandas as pd
import psutil

from bench.cells import scratch, tree_of
from bench.record import ROOT, Record, options, out_folder

__all__ = ["main"]

STAGES = ("index, first time", "index, warm", "pixel cache", "near-duplicates")
FRAME_BYTES = 450 * 450 * 3
# Goals are stated for so many files.
STATED = 15_000


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write data.json; as a child of itself, run one stage."""
    args = _arguments(arguments)
    if args.stage:
        _run_stage(args)
        return 0
    found = []
    with scratch() as folder:
        counts = sorted({max(args.files // 4, 60), args.files})
        for count in counts:
            place = folder / str(count)
            root = place / "tree"
            what = tree_of(args.data, count, folder, root)
            found += [
                {"files": count, "stage": stage, **_stage(stage, root, place, args.size)}
                for stage in STAGES
            ]
    record = Record("data", {"files": args.files, "size": args.size, "data": what})
    table = pd.DataFrame(found)
    record.tables[f"From files to cells ({what})"] = table
    _judge(table, record)
    record.notes += [
        "Files are in memory already when a stage begins. Seconds are those of the stage, "
        "without starting Python. Time of the processor and peak memory are those of all its "
        "processes, what they map of files included.",
    ]
    record.finish(out_folder(args))
    return 0


def _judge(table: pd.DataFrame, record: Record) -> None:
    """Compare what was measured with the goals, and take its ratios."""
    table["files_per_second"] = (table["files"] / table["seconds"]).round(1)
    few, many = table["files"].min(), table["files"].max()
    whole = table[table["files"] == many].set_index("stage")
    record.goal("pixel cache, cells/s", whole["files_per_second"]["pixel cache"], 300, "higher")
    if many == STATED:
        record.goal("index, warm, s", whole["seconds"]["index, warm"], 3, "lower")
        record.goal("near-duplicates, s", whole["seconds"]["near-duplicates"], 60, "lower")
    else:
        record.notes.append(f"Goals in seconds are stated for {STATED:,} files, not {many:,}.")
    # Of the processor's time, which others on the machine disturb less than the clock's.
    spent = whole["cpu_seconds"]
    for stage in STAGES[1:]:
        record.ratio(f"{stage} / {STAGES[0]}, CPU time", spent[stage] / spent[STAGES[0]], "lower")
    if few == many:
        return
    peaks = table.pivot(index="stage", columns="files", values="peak_mib")
    grown = (peaks[many] - peaks[few]).clip(lower=0) * 2**20 / ((many - few) * FRAME_BYTES)
    for stage in STAGES:
        name = f"memory that grows, of the pixels added: {stage}"
        record.goal(name, grown[stage], 0.05, "lower")


def _stage(stage: str, root: Path, place: Path, size: int) -> dict[str, Any]:
    """Run one stage in a process of its own; return its times and its peak memory."""
    command = [sys.executable, "-m", "bench.data", "--stage", stage, "--size", str(size)]
    done = subprocess.run(
        [*command, "--root", str(root)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "LCC_CACHE": str(place / "caches")},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def _run_stage(args: argparse.Namespace) -> None:
    from joblib.externals.loky import get_reusable_executor

    from lcc_utils.data import cnmc, duplicates, images

    cells = None if args.stage.startswith("index") else cnmc.index(args.root)
    start, spent = time.perf_counter(), time.process_time()
    if args.stage.startswith("index"):
        cnmc.index(args.root)
    elif args.stage == "pixel cache":
        images.PixelCache(cells, args.size, 300)
    else:
        duplicates.find_pairs(cells)
    seconds, spent = time.perf_counter() - start, time.process_time() - spent
    # What a process was forked from counts in its peak; so what it holds at the end is taken.
    held = sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))
    get_reusable_executor().shutdown(wait=True)
    own, others = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
    # Linux counts in KiB, macOS in bytes.
    peak = own.ru_maxrss * (1 if sys.platform == "darwin" else 1024) + held
    found = {
        "seconds": seconds,
        "cpu_seconds": spent + others.ru_utime + others.ru_stime,
        "peak_mib": peak / 2**20,
    }
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = options("data", __doc__)
    parser.add_argument("--files", type=int, default=STATED)
    parser.add_argument("--size", type=int, default=96, help="of the images in the pixel cache")
    parser.add_argument("--data", type=Path, metavar="PATH", help="a tree of cells (else drawn)")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.tiny:
        args.files = 60
    return args


if __name__ == "__main__":
    sys.exit(main())
