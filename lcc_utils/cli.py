"""The ``lcc`` command: check data, run, the book, verify, claims, predict, other data sets."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from lcc_utils.cli_away import add_away_command
from lcc_utils.cli_foreign import add_foreign_command
from lcc_utils.cli_models import add_commands
from lcc_utils.cli_output import json_text, prepare_streams
from lcc_utils.data.paths import user_path, writable_folder
from lcc_utils.errors import LccError, RequestError
from lcc_utils.pipeline.home import some_home

# The run that the command works on, once it is known; its logs take reports of errors.
_RUN: list[Path] = []


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0 done, 1 the work failed, 2 the request was wrong."""
    prepare_streams()
    args = _parser().parse_args(arguments)
    _RUN.clear()
    with some_home() as notice:
        if notice:
            print(f"lcc: {notice}", file=sys.stderr)
        try:
            return args.command(args)
        except LccError as error:
            print(f"lcc: {error}", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt:
            print("lcc: stopped; what is finished is kept. Go on with --resume.", file=sys.stderr)
            return 1
        except Exception as error:  # the last resort: expected kinds have their own sentences
            print(f"lcc: {_unforeseen(error)}", file=sys.stderr)
            return 1


def _unforeseen(error: Exception) -> str:
    """Return a paragraph about an error; one that nothing foresees leaves a report in a file."""
    from lcc_utils.pipeline.boundary import explained

    return explained(error, _RUN[-1] if _RUN else None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lcc", description="Leukaemic cell classification: a reproducible paper that runs."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="look at a C-NMC tree")
    check = data.add_subparsers(required=True, metavar="check").add_parser(
        "check", help="what is there, which layout, what is wrong, by file"
    )
    check.add_argument("path", metavar="PATH")
    check.add_argument("--json", action="store_true", help="print JSON instead of a report")
    check.set_defaults(command=_check)

    run = commands.add_parser("run", help="run a profile through every notebook")
    run.add_argument("profile", metavar="PROFILE", help="demo, cpu, paper, or a YAML file")
    run.add_argument("--data", metavar="PATH", help="the C-NMC 2019 tree")
    run.add_argument("--run", metavar="NAME", help="name of the run (default: from its settings)")
    run.add_argument("--resume", action="store_true", help="go on with a run that was begun")
    run.add_argument(
        "--reuse", metavar="RUN",
        help="take over what another run, or results, has computed of the same experiments",
    )  # fmt: skip
    run.add_argument("--only", metavar="NN", help="only these notebooks, such as 01,03")
    run.add_argument(
        "--jobs", metavar="N", type=int, default=1, help="experiments at a time, in processes"
    )
    run.add_argument(
        "--threads", metavar="N", type=int, help="threads of one training (default: all cores)"
    )
    run.add_argument("--dask", metavar="ADDRESS", help="send experiments to this Dask scheduler")
    run.add_argument(
        "--minutes", metavar="N", type=float,
        help="begin no experiment after so many minutes; the book says what is missing",
    )  # fmt: skip
    run.add_argument(
        "-p", dest="settings", metavar="KEY=VALUE", action="append", default=[],
        help="change a setting, such as -p training.epochs=3",
    )  # fmt: skip
    run.set_defaults(command=_run)

    book = commands.add_parser("book", help="build the HTML book of a run")
    book.add_argument("run", metavar="RUN", nargs="?", help="name or folder (default: the latest)")
    book.set_defaults(command=_book)

    publish = commands.add_parser("publish", help="make a run the published edition")
    publish.add_argument(
        "run", metavar="RUN", nargs="?",
        help="name or folder; results signs the published edition again",
    )  # fmt: skip
    publish.set_defaults(command=_publish)

    verify = commands.add_parser("verify", help="recompute every number from predictions")
    verify.add_argument("run", metavar="RUN", nargs="?", help="name or folder, or results")
    verify.set_defaults(command=_verify)

    claims = commands.add_parser("claims", help="the paper's claims: stated, ours, verdict")
    claims.add_argument(
        "run", metavar="RUN", nargs="?", help="name or folder of a run (default: the published)"
    )
    claims.add_argument("--json", action="store_true", help="print JSON instead of a list")
    claims.set_defaults(command=_claims)
    add_commands(commands, _folder)
    add_foreign_command(commands, _folder)
    add_away_command(commands, _folder)
    return parser


_MOST_MINUTES = 5_256_000


def _check(args: argparse.Namespace) -> int:
    from lcc_utils.data.check import check

    report = check(args.path, pixels=True, progress=sys.stderr.isatty())
    print(json_text(report.to_dict()) if args.json else report.to_text())
    return 1 if report.faulty else 0


def _run(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.notebooks import chapters
    from lcc_utils.pipeline.reuse import reuse
    from lcc_utils.pipeline.run import open_run, runs_dir

    for name in ("data", "run", "reuse", "only", "dask"):
        # Such as a variable of the shell that is not set.
        given = getattr(args, name)
        if given is not None and not given.strip():
            raise RequestError(f"--{name} is empty; give it a value, or leave it out.")
    chapters(args.only)  # refuses what is not there, before any work
    other = _folder(args.reuse) if args.reuse else None
    overrides = _settings(args.settings)
    workers = _workers(args)
    workers.to_environment()
    before = set(runs_dir().glob("*/run.json"))
    run = open_run(args.profile, args.data, args.run, overrides, progress=True)
    _RUN.append(run.folder)
    if run.folder / "run.json" in before and not args.resume:
        raise RequestError(
            f"Run {run.name} is there already, in {run.folder}. Go on with it, reusing what it "
            "holds, with --resume; or begin another with --run NAME."
        )
    print(f"Run {run.name}: {run.data_label}")
    with run.working():
        if other:
            planned = [place.key for place in run.experiments()]
            taken = reuse(run.folder, planned, run.cells, other)
            print(f"{taken} experiments taken from {other}")
        return _complete(run, args, overrides, workers)


def _complete(run: Any, args: argparse.Namespace, overrides: dict[str, Any], workers: Any) -> int:
    """Compute what a run lacks, and execute its chapters or those that are asked for."""
    from lcc_utils.pipeline.completeness import unfinished
    from lcc_utils.pipeline.manifest import of_run, sign
    from lcc_utils.pipeline.notebooks import chapters, execute

    # TensorFlow takes many networks that are traced once for one that is traced again and again.
    hints = logging.getLogger("tensorflow")
    hints.addFilter(lambda record: "tf.function retracing" not in record.getMessage())
    if args.only is None:
        run.compute(workers=workers, retry=True)
        _look_into(run)
    named = Path(args.profile).suffix in (".yml", ".yaml")
    profile = str(user_path(args.profile).absolute()) if named else args.profile
    parameters = {"profile": profile, "run": run.name, "overrides": json.dumps(overrides)}
    if args.data:
        parameters["data"] = str(user_path(args.data, "--data").absolute())
    execute(run, parameters, args.only)
    if all((run.folder / "notebooks" / f"{path.stem}.ipynb").is_file() for path in chapters()):
        run.finish()
    sign(of_run(run.folder))
    missing = [own for study in run.gather().missing.values() for own in study]
    failed = [own for own in missing if own.reason]
    for own in failed:
        place = f"{own.study}, {own.variant}, {own.split}, seed {own.seed}"
        print(f"lcc: {place}: {own.reason}", file=sys.stderr)
    if missing:
        print(f"{len(missing)} experiments are missing; the pages say which. --resume adds them.")
    print(f"{'Failed in part' if failed else 'Done'}: {run.folder}")
    print(f"Next: lcc book {run.name}" if run.finished else unfinished(run.folder))
    return 1 if failed else 0


def _look_into(run: Any) -> None:
    """Compute what chapters show beside experiments, here, where its progress is seen.

    What fails here is named and tried again by its chapter, so that those before it are made.
    """
    from lcc_utils.pipeline import attention, efficiency, foreign, robustness

    steps = {
        "maps of attention": attention.explain,
        "changed images": robustness.score_shifted,
        "cells from elsewhere": foreign.compare,
        "costs": efficiency.measure,
    }
    for name, complete in steps.items():
        try:
            complete(run)
        except Exception as error:  # whatever a framework raises
            print(f"lcc: {name}: {_unforeseen(error)} The chapter tries again.", file=sys.stderr)


def _workers(args: argparse.Namespace) -> Any:
    from lcc_utils.pipeline.compute import MOST_JOBS, Workers

    for name, value in (("--jobs", args.jobs), ("--threads", args.threads)):
        if value is not None and value < 1:
            raise RequestError(f"{name} {value} is too few; give 1 or more.")
        if value is not None and value > MOST_JOBS:
            raise RequestError(f"{name} {value} is too many; give {MOST_JOBS:,} or less.")
    if args.dask and args.jobs > 1:
        raise RequestError("--jobs and --dask exclude each other; the cluster has its own workers.")
    if args.minutes is not None and not 0 <= args.minutes <= _MOST_MINUTES:
        raise RequestError(
            f"--minutes {args.minutes:g} is no limit; give 0 to {_MOST_MINUTES:,} (ten years)."
        )
    end = float("inf") if args.minutes is None else time.time() + 60 * args.minutes
    return Workers(args.jobs, args.dask, end, args.threads)


def _book(args: argparse.Namespace) -> int:
    html, problems = _built(_folder(args.run))
    for problem in problems:
        print(f"lcc: {problem}", file=sys.stderr)
    print(f"Open {(html / 'index.html').absolute()}")
    return 1 if problems else 0


def _publish(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.book_publish import publish, publishable
    from lcc_utils.pipeline.book_reporting import card_markdown
    from lcc_utils.pipeline.completeness import need_chapters
    from lcc_utils.pipeline.edition import sign_edition
    from lcc_utils.pipeline.front import claims_markdown
    from lcc_utils.pipeline.lock import alone
    from lcc_utils.pipeline.run import REPOSITORY
    from lcc_utils.pipeline.verify import verify

    folder, target = _folder(args.run), REPOSITORY / "results"
    need_chapters(folder)  # before any work
    for place in (REPOSITORY, target, REPOSITORY / "book"):
        writable_folder(place, "The published edition")
    with alone(target, "publish", "replaced"), alone(folder, "run", "computed"):
        if folder.resolve() == target:
            written = sign_edition(REPOSITORY)
        else:
            publishable(folder, REPOSITORY)
            problems = verify(folder).problems or _built(folder)[1]
            if problems:
                raise LccError(f"{folder} is not published: {problems[0]}")
            claims, card = claims_markdown(folder), card_markdown(folder)
            written = publish(folder, REPOSITORY, claims=claims, card=card)
    for path in written:
        print(path.relative_to(REPOSITORY))
    return 0


def _verify(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.edition import verify_edition
    from lcc_utils.pipeline.run import REPOSITORY
    from lcc_utils.pipeline.verify import verify

    folder = _folder(args.run)
    published = folder.resolve() == REPOSITORY / "results"
    found = verify_edition(REPOSITORY) if published else verify(folder)
    for problem in found.problems:
        print(f"lcc: {problem}", file=sys.stderr)
    print(
        f"{folder}: {found.experiments} experiments, {found.metrics} metrics, {found.tables} "
        f"tables and {found.cells_shown} values shown in chapters recomputed; "
        f"{len(found.problems)} differ."
    )
    print(
        "Largest relative difference of a recomputed number to the stored one: "
        f"{found.difference:.1e}"
    )
    for note in found.notes:
        print(note)
    print(f"SHA-256 of the list of files: {found.manifest or 'there is no list yet'}")
    return 1 if found.problems else 0


def _claims(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.run import REPOSITORY
    from lcc_utils.pipeline.verify import load_results
    from lcc_utils.report.ledger import to_text
    from lcc_utils.report.tables import build_table

    folder = REPOSITORY / "results" if args.run is None else _folder(args.run)
    ledger = build_table("claims", *load_results(folder))
    if args.json:
        print(json_text(ledger.to_dict("records")))
    else:
        print(to_text(ledger))
    return 0


def _built(folder: Path) -> tuple[Path, list[str]]:
    """Stage, build and check a run's book; return its pages and what is wrong with them."""
    from lcc_utils.pipeline.book import build, check, stage
    from lcc_utils.pipeline.book_reporting import card_markdown
    from lcc_utils.pipeline.completeness import need_chapters
    from lcc_utils.pipeline.front import claims_markdown
    from lcc_utils.pipeline.lock import alone
    from lcc_utils.pipeline.run import REPOSITORY

    need_chapters(folder)  # before any work
    with alone(folder, "book", "made into a book"):
        claims, card = claims_markdown(folder), card_markdown(folder)
        book = stage(folder, REPOSITORY / "book", folder / "book", claims=claims, card=card)
        html = build(book)
        return html, check(html, sorted((folder / "notebooks").glob("*.ipynb")))


def _settings(texts: list[str]) -> dict[str, Any]:
    """Return the settings of ``-p KEY=VALUE``, each value read as a profile's is."""
    from lcc_utils.pipeline.yaml_text import read_yaml

    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not name:
            raise RequestError(f"-p {text[:100]} has no value; write -p training.epochs=3.")
        if name in found:
            raise RequestError(f"-p {name[:100]} is given twice; keep one.")
        found[name] = read_yaml(value, f"-p {name[:100]}")
    return found


def _folder(name: str | None) -> Path:
    from lcc_utils.pipeline.run import runs_dir

    if name is None:
        runs = sorted(runs_dir().glob("*/run.json"), key=lambda path: path.stat().st_mtime)
        if not runs:
            raise RequestError(f"There is no run in {runs_dir()}; begin with: lcc run demo")
        _RUN.append(runs[-1].parent)
        return runs[-1].parent
    for place in (runs_dir() / name, user_path(name, "RUN")) if name else ():
        if _holds_a_run(place):
            _RUN.append(place)
            return place
    raise RequestError(
        f"There is no run {name[:100]!r} in {runs_dir()}, and it is no run's folder."
    )


def _holds_a_run(place: Path) -> bool:
    try:
        return (place / "run.json").is_file()
    except OSError:  # a name that is too long, a folder that may not be read
        return False


if __name__ == "__main__":
    sys.exit(main())
