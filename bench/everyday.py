"""What a user waits for every day: the import, the command's help, the book, the demo's stages."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import nbformat
import pandas as pd

from bench.cells import scratch
from bench.record import ROOT, Record, options, out_folder

__all__ = ["main"]

IMPORT = ("-c", "import lcc_utils")
HELP = ("-c", "from lcc_utils.cli import main; main(['--help'])")
SLOWEST = 8


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write everyday.json."""
    args = _arguments(arguments)
    record = Record("everyday", {"repeats": args.repeats, "book": not args.no_book})
    empty = _median(("-c", "pass"), args.repeats)
    rows = [("python", "starts and ends", empty)]
    for name, code, goal in (("import lcc_utils", IMPORT, 0.2), ("lcc --help", HELP, 0.5)):
        seconds = _median(code, args.repeats)
        rows.append((name, "starting Python included", seconds))
        record.goal(f"{name}, s", seconds, goal, "lower")
        record.ratio(f"{name} / empty Python", seconds / empty, "lower")
    if not args.no_book:
        seconds = _book(args.jupyter_book)
        rows.append(("jupyter-book build book", "published edition, clean", seconds))
        record.goal("jupyter-book build book, s", seconds, 60, "lower")
    if args.tests:
        seconds, processor = _tests()
        rows.append(("make test", "the environment is there", seconds))
        rows.append(("make test", "processor time of all its processes", processor))
        record.goal("make test, s", seconds, 300, "lower")
    columns = ["what", "how", "seconds"]
    record.tables["Everyday waits"] = pd.DataFrame(rows, columns=columns).round(3)
    record.tables["Slowest imports of lcc --help"] = _slowest(HELP)
    if args.run:
        stages = _stages(args.run)
        record.tables["Stages of a finished run"] = stages
        whole = float(stages["minutes"].iloc[-1])
        record.goal("a finished run, minutes", whole, 10, "lower")
    record.finish(out_folder(args))
    return 0


def _median(code: tuple[str, ...], repeats: int) -> float:
    """Return the median time of a Python process that runs some code, after one not counted."""
    seconds = []
    for number in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *code], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        if number:
            seconds.append(time.perf_counter() - start)
    return median(seconds)


def _slowest(code: tuple[str, ...]) -> pd.DataFrame:
    """Return the modules that take most of the time on their own, as -X importtime has it."""
    command = [sys.executable, "-X", "importtime", *code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = re.findall(r"import time:\s+(\d+) \|\s+(\d+) \|\s*(\S+)", done.stderr)
    table = pd.DataFrame(found, columns=["own_us", "with_its_imports_us", "module"])
    table = table.astype({"own_us": int, "with_its_imports_us": int})
    return table.nlargest(SLOWEST, "own_us")[["module", "own_us", "with_its_imports_us"]]


def _book(command: Path) -> float:
    """Build the published edition from a copy of the repository's tracked files."""
    if not command.is_file():
        raise SystemExit(f"{command} is not there: make published makes it; or use --no-book.")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    with scratch() as folder:
        for name in filter(None, listed.stdout.split("\0")):
            source, target = ROOT / name, folder / name
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                # The book's folder holds links to files above it, which stay links.
                shutil.copy2(source, target, follow_symlinks=False)
        start = time.perf_counter()
        subprocess.run([command, "build", "book"], cwd=folder, capture_output=True, check=True)
        return time.perf_counter() - start


def _tests() -> tuple[float, float]:
    """Run the tests; return the seconds they took, and those of processors.

    The second also grows where a busy host slows the machine, but not where processes wait.
    """
    start, before = time.perf_counter(), _spent_by_children()
    done = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"make test failed, so its time says nothing:\n{done.stdout[-2000:]}")
    return time.perf_counter() - start, _spent_by_children() - before


def _spent_by_children() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def _stages(run: Path) -> pd.DataFrame:
    """Return the time of a run's notebooks and of its experiments, by study and all together.

    Processes that share the experiments each add to the time of a study, not to that of all. What
    was run in several sittings spans the pauses between them too.
    """
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = []
    counted: set[str] = set()
    begins, ends = [], []
    for study, planned in record["plan"].items():
        keys = [one["key"] for one in planned if one["key"] not in counted]
        counted.update(keys)
        origins = [run / "experiments" / key / "origin.json" for key in keys]
        found = [json.loads(path.read_text()) for path in origins if path.exists()]
        for one in found:
            ends.append(datetime.fromisoformat(one["finished"]))
            begins.append(ends[-1] - timedelta(seconds=one["seconds"]))
        spent = sum(one["seconds"] for one in found) / 60
        rows.append({"stage": f"experiments of {study}", "minutes": spent})
    if ends:
        whole = (max(ends) - min(begins)).total_seconds() / 60
        rows.append({"stage": "all experiments, first to last", "minutes": whole})
    executed = {
        path.stem: nbformat.read(path, as_version=4).metadata.get("papermill", {})
        for path in sorted((run / "notebooks").glob("*.ipynb"))
    }
    first = min((one["start_time"] for one in executed.values() if one), default=None)
    if ends and first and (between := datetime.fromisoformat(first) - max(ends)) > timedelta(0):
        minutes = between.total_seconds() / 60
        rows.append({"stage": "maps, shifts, foreign cells, costs", "minutes": minutes})
    for name, metadata in executed.items():
        minutes = (metadata.get("duration") or 0) / 60
        rows.append({"stage": f"notebook {name}", "minutes": minutes})
    if record["finished"]:
        begun, ended = (datetime.fromisoformat(record[name]) for name in ("created", "finished"))
        rows.append({"stage": "begun to finished", "minutes": (ended - begun).total_seconds() / 60})
    return pd.DataFrame(rows).round(2)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = options("everyday", __doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-book", action="store_true", help="leave the book out")
    parser.add_argument(
        "--jupyter-book", metavar="PATH", type=Path,
        default=ROOT / ".venv-book" / "bin" / "jupyter-book", help="the command to build with",
    )  # fmt: skip
    parser.add_argument("--tests", action="store_true", help="also time make test (minutes)")
    parser.add_argument("--run", metavar="FOLDER", type=Path, help="a finished run's folder")
    args = parser.parse_args(arguments)
    if args.tiny:
        args.repeats, args.no_book = 1, True
    return args


if __name__ == "__main__":
    sys.exit(main())
