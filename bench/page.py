"""The page of the book on speed, made of the measurements that are kept in results/bench.

Run after a benchmark whose file is to be kept; a test makes the page again and compares.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.record import RESULTS, ROOT

__all__ = ["main", "page"]

PAGE = ROOT / "book" / "speed.md"
_OPENING = """\
# Where the time goes

How fast the package is decides how many honest experiments a person can afford. Each section below
is a benchmark of the folder `bench`, run on the machine that it names; `bench/README.md` tells how
each measures, and how to run it on a machine of one's own. What a graphics card does is not known
from these numbers unless a section names one. Goals in seconds are stated for two cores. Profiles
augment with the engine `keras`; `imgaug`, which can be chosen in its place, is measured beside it.
"""
_WHAT = {
    "training": "Training throughput",
    "training_384": "The peer also at the size that the paper states",
    "training_backends": "The same on other backends",
    "training_b3": "The paper's network at a larger size",
    "training_b3_backends": "The paper's network on other backends",
    "accuracy": "Whether speed cost accuracy",
    "profile": "One epoch, part by part",
    "studies": "What a study costs beside its trainings",
    "data": "From files to cells",
    "everyday": "What one waits for every day",
    "scale": "More than one process, more than one machine",
}
_BEFORE = "before"
_ABOUT_BEFORE = "Of an earlier commit, changed only by laying the present folder `bench` over it.\n"
_CASE = "case"
_GOAL = ["Goal", "Measured", "Wanted", "Outcome"]
_FRAMEWORKS = ("keras", "tensorflow", "tensorflow-cpu")


def page(folder: Path) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    folder
        Where ``<benchmark>.json`` lie; in its subfolder ``before`` those of an earlier commit,
        which are shown beside. A benchmark without a file is left out.
    """
    kept = [name for name in _WHAT if (folder / f"{name}.json").is_file()]
    goals = [goal for name in kept for goal in _read(folder / f"{name}.json")["goals"]]
    return "\n".join([_OPENING, _outcome(goals), *(_section(folder, name) for name in kept)])


def main(arguments: list[str] | None = None) -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.parse_args(arguments)
    PAGE.write_text(page(RESULTS), encoding="utf-8")
    return 0


def _section(folder: Path, name: str) -> str:
    found = _read(folder / f"{name}.json")
    parts = [f"## {_WHAT[name]}\n", _measured_on(found)]
    if found["goals"]:
        parts.append(_piped(_GOAL, _goals(found["goals"])))
    parts += [_table(title, rows) for title, rows in found["tables"].items()]
    parts += [f"{note}\n" for note in found["notes"]]
    earlier = folder / _BEFORE / f"{name}.json"
    if earlier.is_file():
        before = _read(earlier)
        parts.append(f"### The same before\n\n{_ABOUT_BEFORE}\n{_measured_on(before)}")
        parts += [_table(title, rows) for title, rows in before["tables"].items()]
    return "\n".join(parts)


def _measured_on(found: dict[str, Any]) -> str:
    hardware, versions = found["hardware"], found["versions"]
    frameworks = [f"{n} {versions[n]}" for n in _FRAMEWORKS if versions.get(n)]
    changed = ", with changes that were not committed," if found["git"]["dirty"] else ""
    return (
        f"Measured {found['created'][:10]} at commit `{found['git']['commit'][:7]}`{changed} on "
        f"{hardware['cpu']}, {hardware['cores']} cores, "
        f"{hardware['gpu'] or 'no graphics card'}; {', '.join(frameworks)}.\n"
    )


def _outcome(goals: list[dict[str, Any]]) -> str:
    """Say how many goals are reached, and list those that are not."""
    short = [goal for goal in goals if not goal["reached"]]
    said = f"Of {len(goals)} goals, {len(goals) - len(short)} are reached."
    if not short:
        return f"{said}\n"
    return f"{said} Short are:\n\n{_piped(_GOAL, _goals(short))}"


def _goals(goals: list[dict[str, Any]]) -> list[list[Any]]:
    sign = {"higher": "at least", "lower": "at most"}
    return [
        [g["name"], g["value"], f"{sign[g['better']]} {_text(g['wanted'])}",
         "reached" if g["reached"] else "short"]
        for g in goals
    ]  # fmt: skip


def _table(title: str, rows: list[dict[str, Any]]) -> str:
    """Return a table under its title: one for each case, where a case has several rows."""
    cases = list(dict.fromkeys(row.get(_CASE) for row in rows))
    if None not in cases and len(cases) < len(rows):
        own = {case: [row for row in rows if row[_CASE] == case] for case in cases}
        return "\n".join(
            _table(f"{title}: {case}", [_without_case(row) for row in found])
            for case, found in own.items()
        )
    heads = [str(name).replace("_", " ") for name in rows[0]]
    return f"**{title}**\n\n{_piped(heads, [list(row.values()) for row in rows])}"


def _without_case(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != _CASE}


def _piped(heads: list[str], rows: list[list[Any]]) -> str:
    numeric = [all(not isinstance(row[i], str) for row in rows) for i in range(len(heads))]
    lines = [heads, ["---:" if right else "---" for right in numeric]]
    lines += [[_text(value) for value in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and abs(value) >= 1000):
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
