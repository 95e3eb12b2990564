"""Is anything slower than before? Compares ratios of a fresh measurement with the kept ones.

Ratios only (ours to the ceiling, ours to the peer, overhead to an experiment ...): seconds differ
between machines and hours. A ratio may be worse by a stated share before it counts.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from bench.cells import scratch
from bench.record import RESULTS

__all__ = ["BENCHMARKS", "compared", "main"]

BENCHMARKS = ("training", "profile", "studies", "data", "everyday", "scale")
TOLERANCE = 0.15
# What lasts fractions of a second is measured roughly.
TINY_TOLERANCE = 0.6


def main(arguments: list[str] | None = None) -> int:
    """Measure or read, compare, print; return 1 when a ratio is worse or is missing."""
    args = _arguments(arguments)
    kept = RESULTS / "tiny" if args.tiny else RESULTS
    kept = args.against or kept
    with scratch() as folder:
        fresh = args.fresh or folder
        names = [name for name in args.names if (kept / f"{name}.json").is_file()]
        if not names:
            raise SystemExit("Nothing to compare with: no kept measurement of these benchmarks.")
        if args.fresh is None:
            _measure(names, args.tiny, folder)
        rows = [
            {"benchmark": name, **row}
            for name in names
            for row in compared(_read(kept, name), _read(fresh, name), args.tolerance)
        ]
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    worse = table["verdict"].isin(("worse", "missing")).sum()
    print(
        f"{worse} of {len(table)} ratios are worse by more than {args.tolerance:.0%}, or missing."
    )
    return 1 if worse else 0


def compared(kept: dict[str, Any], fresh: dict[str, Any], tolerance: float) -> list[dict[str, Any]]:
    """Return a row for each kept ratio: both values, and whether the fresh one is worse."""
    rows = []
    for name, old in kept["ratios"].items():
        new = fresh["ratios"].get(name)
        row = {"ratio": name, "kept": old["value"], "fresh": new["value"] if new else None}
        rows.append({**row, "verdict": _verdict(old, new, tolerance)})
    return rows


def _verdict(old: dict[str, Any], new: dict[str, Any] | None, tolerance: float) -> str:
    if new is None:
        return "missing"
    higher = old["better"] == "higher"
    limit = old["value"] * (1 - tolerance if higher else 1 + tolerance)
    worse = new["value"] < limit if higher else new["value"] > limit
    return "worse" if worse else "as before or better"


def _measure(names: list[str], tiny: bool, out: Path) -> None:
    for name in names:
        options = [*(["--tiny"] if tiny else []), "--out", str(out)]
        importlib.import_module(f"bench.{name}").main(options)


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{name}.json of {folder} cannot be read ({error}).") from error


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.check", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        default=BENCHMARKS,
        help=f"which (default: all): {', '.join(BENCHMARKS)}",
    )
    parser.add_argument("--tiny", action="store_true", help="measure and compare the tiny forms")
    parser.add_argument("--fresh", type=Path, metavar="DIR", help="measured already, there")
    parser.add_argument("--against", type=Path, metavar="DIR", help="kept measurements, there")
    parser.add_argument(
        "--tolerance", type=float, metavar="SHARE",
        help=f"how much worse a ratio may be (default {TOLERANCE}, tiny {TINY_TOLERANCE})",
    )  # fmt: skip
    args = parser.parse_args(arguments)
    if unknown := set(args.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    if args.tolerance is None:
        args.tolerance = TINY_TOLERANCE if args.tiny else TOLERANCE
    return args


if __name__ == "__main__":
    sys.exit(main())
