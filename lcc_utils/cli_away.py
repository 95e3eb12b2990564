"""The command ``lcc away``: compute studies on another machine, such as one with a GPU."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lcc_utils.errors import RequestError

__all__ = ["add_away_command"]


def add_away_command(commands: Any, folder_of: Callable[[str], Path]) -> None:
    """Add the command to those of ``lcc``; `folder_of` finds a run by its name."""
    away = commands.add_parser("away", help="compute studies on another machine")
    steps = away.add_subparsers(required=True, metavar="STEP")

    pack = steps.add_parser("pack", help="here: pack cells, settings and weights of some studies")
    pack.add_argument("profile", metavar="PROFILE", help="a profile, or a YAML file")
    pack.add_argument("--data", metavar="PATH", help="the C-NMC 2019 tree")
    pack.add_argument(
        "--studies", metavar="NAME,NAME", required=True, help="the most valuable first"
    )
    pack.add_argument("--out", metavar="DIR", required=True, help="the folder to make")
    pack.add_argument(
        "--part-mib", metavar="N", type=float, default=50.0, help="most MiB of a part"
    )
    pack.set_defaults(command=_pack)

    warm = steps.add_parser("compile", help="there: compile the networks; needs part 1 alone")
    warm.add_argument("parcel", metavar="DIR", help="part 1, or all parts in one folder")
    warm.add_argument("--jobs", metavar="N", type=int, default=4, help="networks at a time")
    warm.set_defaults(command=_compile)

    compute = steps.add_parser("compute", help="there: compute until the time is over, and pack")
    compute.add_argument("parcel", metavar="DIR", help="all parts in one folder")
    compute.add_argument("--out", metavar="DIR", required=True, help="where the results go")
    compute.add_argument("--seconds", metavar="N", type=float, required=True, help="until the end")
    compute.add_argument("--jobs", metavar="N", type=int, default=3, help="experiments at a time")
    compute.add_argument(
        "--first", metavar="NAME", action="append", default=[],
        help='experiments to begin with, such as "primary, EfficientNet-Lite2"; may be repeated',
    )  # fmt: skip
    compute.set_defaults(command=_compute)

    rates = steps.add_parser("rates", help="there: measure the rates of the networks")
    rates.add_argument("parcel", metavar="DIR", help="part 1, or all parts in one folder")
    rates.add_argument("--out", metavar="DIR", required=True, help="where rates.json goes")
    rates.add_argument("--steps", metavar="N", type=int, default=40, help="training steps to time")
    rates.add_argument("--first", metavar="N", type=int, help="only the first networks")
    rates.set_defaults(command=_rates)

    take = steps.add_parser("take", help="here: bring the results into a run, for --resume")
    take.add_argument("results", metavar="ZIP", help="the experiments.zip that came back")
    take.add_argument("run", metavar="RUN", help="name or folder of a run")
    take.set_defaults(command=_take, folder_of=folder_of)


def _pack(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.cells import open_cells
    from lcc_utils.pipeline.config import load_config
    from lcc_utils.pipeline.parcel import make_parcel

    config = load_config(args.profile)
    progress = sys.stderr.isatty()
    cells = open_cells(config, args.data, progress)
    parts = make_parcel(
        config, cells, args.studies.split(","), Path(args.out), int(args.part_mib * 2**20), progress
    )
    for part in parts:
        size = sum(path.stat().st_size for path in part.iterdir())
        print(f"{part}: {size / 2**20:.1f} MiB, {len(list(part.iterdir()))} files")
    return 0


def _compile(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.parcel import parcel_networks
    from lcc_utils.pipeline.rates import compile_all

    for row in compile_all(parcel_networks(Path(args.parcel)), _positive(args.jobs, "--jobs")):
        print(json.dumps(row))
    return 0


def _compute(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.away import compute_parcel
    from lcc_utils.pipeline.run import runs_dir

    record = compute_parcel(
        Path(args.parcel), Path(args.out), args.seconds, _positive(args.jobs, "--jobs"),
        runs_dir() / "away", tuple(args.first),
    )  # fmt: skip
    for row in record["done"]:
        print(f"{row['study']}, {row['variant']}, {row['split']}, seed {row['seed']}: "
              f"{row['seconds']:.0f} s")  # fmt: skip
    for row in record["missing"]:
        print(f"{row['key']} is missing: {row['reason']}", file=sys.stderr)
    return 0 if record["done"] else 1


def _rates(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.parcel import parcel_networks
    from lcc_utils.pipeline.rates import rates
    from lcc_utils.pipeline.store import write_json

    networks = parcel_networks(Path(args.parcel))[: args.first]
    found = rates(networks, _positive(args.steps, "--steps"))
    write_json(Path(args.out) / "rates.json", found)
    print(json.dumps(found, indent=2))
    return 0


def _take(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.away import take_home

    folder = args.folder_of(args.run)
    taken, left = take_home(Path(args.results), folder)
    print(
        f"{len(taken)} experiments taken into {folder}; {len(left)} left, which it does not plan."
    )
    return 0


def _positive(value: int, name: str) -> int:
    if value < 1:
        raise RequestError(f"{name} {value} is too few; give 1 or more.")
    return value
