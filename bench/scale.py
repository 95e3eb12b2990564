"""One study on Dask with one worker and with two: speed-up, and the same files to the byte.

Beside it: what 100 iterations of the full model would cost on one GPU and on eight, reckoned from
a rate that bench.training has measured. That is arithmetic, not a measurement, and says so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.cells import scratch
from bench.record import RESULTS, Record, options, out_folder

__all__ = ["Cost", "main"]

# Everything that an experiment leaves but origin.json, which tells when and where it ran.
SAME = ("predictions.csv", "history.csv", "experiment.json")


@dataclass(frozen=True)
class Cost:
    """What Monte Carlo of the full model takes, reckoned.

    Attributes
    ----------
    rate
        Images a second of one device.
    iterations, epochs
        Redistributions, and epochs of each: the paper's at most.
    images
        Training images an epoch: two classes of the size of the larger, from Table 1.
    validated
        Images scored an epoch and once at the end, at three times the rate of training.
    """

    rate: float
    iterations: int = 100
    epochs: int = 30
    images: int = 2 * 5_100
    validated: int = 1_900

    def hours(self, devices: int) -> float:
        """Return hours on so many devices; an iteration is not divided among them."""
        seconds = self.epochs * (self.images + self.validated / 3) / self.rate
        rounds = -(-self.iterations // devices)
        return rounds * seconds / 3600


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write scale.json."""
    args = _arguments(arguments)
    record = Record("scale", {"experiments": args.experiments, "network": not args.classical})
    times, digests = {}, {}
    with scratch() as folder:
        os.environ["LCC_CACHE"] = str(folder / "cache")
        for workers in (1, 2):
            times[workers], digests[workers], label = _on_dask(workers, args, folder)
    identical = digests[1] == digests[2]
    record.tables[f"{args.experiments} experiments on Dask ({label})"] = pd.DataFrame(
        {
            "workers": list(times),
            "seconds": [round(value, 2) for value in times.values()],
            "speed_up": [round(times[1] / value, 3) for value in times.values()],
            "files": [len(found) for found in digests.values()],
            "same_files": [digests[1] == found for found in digests.values()],
        }
    )
    record.goal("same files on 1 and 2 workers", float(identical), 1.0, "higher")
    record.ratio("same files on 1 and 2 workers", float(identical), "higher")
    if not args.tiny:
        # Two short experiments say nothing about speed.
        record.ratio("2 workers / 1, speed-up", times[1] / times[2], "higher")
    record.notes.append("Workers have one thread each, and have loaded what they need before.")
    _reckon(args.rates, record)
    record.finish(out_folder(args))
    return 0 if identical else 1


def _on_dask(
    workers: int, args: argparse.Namespace, folder: Path
) -> tuple[float, dict[str, str], str]:
    """Run the study on a cluster of so many; return seconds, digests of files, and the data."""
    from distributed import LocalCluster

    from lcc_utils.data import cnmc
    from lcc_utils.pipeline.cells import open_cells
    from lcc_utils.pipeline.compute import THREADS, Workers, compute
    from lcc_utils.pipeline.config import load_config
    from lcc_utils.pipeline.learners import prepare
    from lcc_utils.pipeline.plan import make_plan

    os.environ |= dict.fromkeys(THREADS, "1") | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    # A pair of experiments more than wanted: they warm up two workers.
    changes = {
        "dataset.cells": args.cells,
        "studies.training.seeds": -(-args.experiments // 2) + 1,
        "training.epochs": 4,
    }
    if args.classical:
        changes["studies.training.variants"] = {"area": {"model.backbone": "cell_area"}}
    config = load_config("demo", changes)
    cells = open_cells(config, None, False)
    planned = make_plan(config, cells, cnmc.data_digest(cells), "training").experiments["training"]
    prepare(planned[0].settings, cells)
    run = folder / f"run-{workers}"
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=":0", processes=True,
        silence_logs=logging.ERROR,
    ) as cluster:  # fmt: skip
        who = Workers(dask=cluster.scheduler_address)
        failed = compute(planned[-2:], cells, run, who, progress=False)
        start = time.perf_counter()
        failed |= compute(planned[: args.experiments], cells, run, who, progress=False)
        seconds = time.perf_counter() - start
    if failed:
        raise SystemExit(next(iter(failed.values())))
    digests = {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for name in SAME
        for path in sorted((run / "experiments").glob(f"*/{name}"))
    }
    return seconds, digests, cells.attrs["label"]


def _reckon(source: Path, record: Record) -> None:
    """Show what 100 iterations cost at the rates of training.json."""
    if not source.is_file():
        record.notes.append(f"No {source.name} to reckon the cost of 100 iterations from.")
        return
    measured = json.loads(source.read_text(encoding="utf-8"))
    device = measured["hardware"]["gpu"] or measured["hardware"]["cpu"]
    rows = [
        {
            "case": row["case"], "images_per_second": row["images_per_second"],
            **{f"hours_on_{n}": round(Cost(row["images_per_second"]).hours(n), 2) for n in (1, 8)},
        }
        for table in measured["tables"].values()
        for row in table
        if row["who"] == "ours"
    ]  # fmt: skip
    cost = Cost(1.0)
    record.tables[f"100 iterations, reckoned at the rate of one {device}"] = pd.DataFrame(rows)
    record.notes.append(
        f"Reckoned, not run: {cost.iterations} iterations of {cost.epochs} epochs, each of "
        f"{cost.images:,} training images (60 % of 8,491 ALL cells, HEM repeated to as many) and "
        f"{cost.validated:,} validation images, which cost a third; no early stop; whole "
        "iterations go to devices that are all as fast as the one measured."
    )


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = options("scale", __doc__)
    parser.add_argument("--experiments", type=int, default=8)
    parser.add_argument("--cells", type=int, default=600, help="drawn")
    parser.add_argument("--classical", action="store_true", help="no network, no framework")
    parser.add_argument(
        "--rates", type=Path, default=RESULTS / "training.json", metavar="JSON",
        help="the rates to reckon from, as bench.training wrote them",
    )  # fmt: skip
    args = parser.parse_args(arguments)
    if args.tiny:
        args.experiments, args.cells, args.classical = 2, 100, True
    return args


if __name__ == "__main__":
    sys.exit(main())
