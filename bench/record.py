"""What every benchmark shares: its options, its table, its goals, and the file that it leaves."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from lcc_utils.pipeline import provenance
from lcc_utils.pipeline.store import write_json

__all__ = ["RESULTS", "ROOT", "Goal", "Record", "options", "out_folder"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "bench"
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Goal:
    """A number that was measured, and the one that is wanted.

    Attributes
    ----------
    name
        What is measured, in words.
    value, wanted
        The two numbers, in the same unit.
    better
        Which side of the goal is the good one.
    """

    name: str
    value: float
    wanted: float
    better: Better

    @property
    def ratio(self) -> float:
        """The value as a share of the goal."""
        return self.value / self.wanted

    @property
    def reached(self) -> bool:
        """Whether the value lies on the good side of the goal."""
        higher = self.better == "higher"
        return self.value >= self.wanted if higher else self.value <= self.wanted

    def __str__(self) -> str:
        """Return the goal as one line."""
        sign = "at least" if self.better == "higher" else "at most"
        verdict = "reached" if self.reached else "short"
        return (
            f"{verdict}: {self.name} {self.value:.4g}, wanted {sign} {self.wanted:.4g} "
            f"({self.ratio:.2f} of it)"
        )


@dataclass
class Record:
    """One benchmark's findings as they come, and how they are shown and kept.

    Attributes
    ----------
    name
        Of the benchmark, and of its file.
    settings
        What was asked for; no paths, since the file is kept in the repository.
    tables
        Title to table.
    ratios
        What ``bench.check`` compares between machines and days: name to value and the better
        side. Seconds are not among them.
    goals, notes
        What is wanted, and what a reader must know beside the numbers.
    """

    name: str
    settings: dict[str, Any]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    ratios: dict[str, dict[str, Any]] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _load: tuple[float, ...] = field(default_factory=os.getloadavg)

    def ratio(self, name: str, value: float, better: Better) -> None:
        """Take note of a ratio that a later measurement is compared with."""
        self.ratios[name] = {"value": round(float(value), 4), "better": better}

    def goal(self, name: str, value: float, wanted: float, better: Better) -> None:
        """Take note of a number and of the one that is wanted."""
        self.goals.append(Goal(name, round(float(value), 4), wanted, better))

    def finish(self, out: Path) -> Path:
        """Print everything, write ``<out>/<name>.json``, and return its path."""
        hardware = provenance.hardware()
        print(f"\n{self.name}: {hardware['cpu']}, {hardware['cores']} cores, GPU {hardware['gpu']}")
        for title, table in self.tables.items():
            print(f"\n{title}\n{table.to_string(index=False)}")
        print()
        for line in [*self.notes, *self.goals]:
            print(line)
        path = out / f"{self.name}.json"
        write_json(path, self._content(hardware))
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        print(f"written: {shown}")
        return path

    def _content(self, hardware: dict[str, Any]) -> dict[str, Any]:
        return {
            "benchmark": self.name,
            "settings": self.settings,
            "tables": {title: _rows(table) for title, table in self.tables.items()},
            "ratios": self.ratios,
            "goals": [asdict(goal) | {"reached": goal.reached} for goal in self.goals],
            "notes": self.notes,
            "hardware": hardware,
            # Processes that others ran at the same time: a quiet machine is near 0 before.
            "load_before": round(self._load[0], 2),
            "load_after": round(os.getloadavg()[0], 2),
            "versions": provenance.versions(),
            "git": provenance.git_state(ROOT),
            "created": provenance.now(),
        }


def options(name: str, purpose: str | None) -> argparse.ArgumentParser:
    """Return the parser of a benchmark, with the options that all of them have."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=purpose)
    parser.add_argument("--tiny", action="store_true", help="seconds, to see that it works")
    parser.add_argument(
        "--out", metavar="DIR", type=Path,
        help="where the JSON goes (default: results/bench, with --tiny results/bench/tiny)",
    )  # fmt: skip
    return parser


def out_folder(args: argparse.Namespace) -> Path:
    """Return where the JSON of a benchmark goes."""
    return args.out or (RESULTS / "tiny" if args.tiny else RESULTS)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")
