"""The command ``lcc external``: score another data set with the networks of a run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lcc_utils.cli_output import json_text
from lcc_utils.text import printable

__all__ = ["add_foreign_command"]

_SHOWN = 10
_TABLES = ("out_of_distribution", "foreign_calls", "external_validation")


def add_foreign_command(commands: Any, folder_of: Callable[[str], Path]) -> None:
    """Add the command to those of ``lcc``; `folder_of` finds a run by its name."""
    external = commands.add_parser(
        "external", help="score another data set with a run's networks, and keep the numbers"
    )
    external.add_argument("run", metavar="RUN", help="name or folder of a run")
    external.add_argument(
        "place", metavar="PLACE",
        help="a CSV that lists images, a folder of images, a Pascal VOC folder, or a C-NMC tree",
    )  # fmt: skip
    external.add_argument("--name", metavar="NAME", required=True, help="what tables call it")
    external.add_argument("--data", metavar="PATH", help="the C-NMC 2019 tree of the run")
    external.add_argument(
        "--scale", metavar="F", type=float, default=1.0,
        help="how many times larger things are drawn there than in C-NMC 2019 (default: 1)",
    )  # fmt: skip
    external.add_argument(
        "--most", metavar="N", type=int, default=1000,
        help="most cells of each kind and class, spread over images (default: 1000)",
    )  # fmt: skip
    external.add_argument("--json", action="store_true", help="print JSON instead of a summary")
    external.set_defaults(command=_external, folder_of=folder_of)


def _external(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.foreign import add_foreign, check_request
    from lcc_utils.pipeline.foreign_networks import STUDY
    from lcc_utils.pipeline.foreign_run import reopened
    from lcc_utils.pipeline.manifest import of_run, sign
    from lcc_utils.report.tables import build_table

    check_request(args.place, args.name, args.scale, args.most)
    run = reopened(args.folder_of(args.run), args.data, progress=sys.stderr.isatty())
    added = add_foreign(
        run, args.place, args.name, args.scale, args.most, progress=sys.stderr.isatty()
    )
    sign(of_run(run.folder))
    # Not kept: the tables of the run are those that its chapter shows.
    results = run.gather(STUDY)
    made = {name: build_table(name, run.cells, results) for name in _TABLES}
    rows = {name: own[own["source"] == added.name] for name, own in made.items()}
    if args.json:
        tables = {name: json.loads(own.to_json(orient="records")) for name, own in rows.items()}
        faults = [{"where": printable(w), "reason": printable(r)} for w, r in added.faults]
        about = {"name": added.name, **added.counts, "files": added.files, "digest": added.digest}
        print(json_text({**about, "faults": faults, **tables}))
        return 0
    for where, reason in added.faults[:_SHOWN]:
        print(f"lcc: {printable(where)}: {printable(reason)}", file=sys.stderr)
    if len(added.faults) > _SHOWN:
        print(f"lcc: and {len(added.faults) - _SHOWN:,} more; --json lists all.", file=sys.stderr)
    counts = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in added.counts.items())
    print(f"{added.name}: {counts}; {added.files:,} files, digest {added.digest}")
    for name, own in rows.items():
        if len(own):
            shown = own.drop(columns="source").astype(object)
            print(f"\n{name}\n{shown.where(shown.notna(), '-').to_string(index=False)}")
    again = f"lcc run PROFILE --run {run.name} --resume --only 07"
    print(f"\nKept in the run. To show it in the chapter: {again}; then lcc book {run.name}")
    return 0
