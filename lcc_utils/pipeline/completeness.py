"""Whether every chapter of a run has been executed, and what completes it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from lcc_utils.errors import RequestError
from lcc_utils.pipeline.begin import REPOSITORY
from lcc_utils.pipeline.config import PROFILES
from lcc_utils.pipeline.store import read_json

__all__ = ["need_chapters", "unfinished"]


def need_chapters(run_dir: Path) -> None:
    """Refuse a run that has never been finished.

    Raises
    ------
    RequestError
        Which chapters have not run, and the command that runs them.
    """
    if (run_dir / "run.json").is_file():
        run = read_json(run_dir / "run.json")
        if isinstance(run, dict) and "seconds" not in run and run.get("finished", "") is None:
            raise RequestError(unfinished(run_dir))


def unfinished(run_dir: Path) -> str:
    """Say which chapters of a run have not been executed, and with which command they are."""
    run = read_json(run_dir / "run.json")
    there = {path.stem for path in (run_dir / "notebooks").glob("*.ipynb")}
    chapters = sorted(path.stem for path in (REPOSITORY / "notebooks").glob("[0-9][0-9]_*.py"))
    missing = [name for name in chapters if name not in there]
    if len(missing) > 2 and missing == chapters[chapters.index(missing[0]) :][: len(missing)]:
        what = f"chapters {missing[0]} to {missing[-1]} have not run"
    elif missing:
        what = f"chapter {', '.join(missing)} {'has' if len(missing) == 1 else 'have'} not run"
    else:
        what = "it was stopped before its end"
    return f"{run_dir} is not complete: {what}. Complete it with: {_command(run)}"


def _command(run: dict) -> str:
    """Return the command that goes on with a run, as far as the run tells it."""
    profile, known = str(run["profile"]), (PROFILES / f"{run['profile']}.yml").is_file()
    words = ["lcc", "run", profile if known else f"PATH/{profile}.yml", "--run", str(run["run"])]
    if run["dataset"]["name"] != "synthetic":
        words += ["--data", "PATH"]
    for name, value in run.get("overrides", {}).items():
        words += ["-p", f"{name}={json.dumps(value)}"]
    return shlex.join([*words, "--resume"])
