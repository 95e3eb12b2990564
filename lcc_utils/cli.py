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
from lcc_utils.errors import LccError, RequestError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0 done, 1 the work failed, 2 the request was wrong."""
    args = _parser().parse_args(arguments)
    try:
        return args.command(args)
    except LccError as error:
        print(f"lcc: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("lcc: stopped; what is finished is kept. Go on with --resume.", file=sys.stderr)
        return 1
    except MemoryError:
        print("lcc: out of memory; lower training.batch or pixels.size.", file=sys.stderr)
        return 1


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
    publish.add_argument("run", metavar="RUN", nargs="?", help="name or folder")
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


def _check(args: argparse.Namespace) -> int:
    from lcc_utils.data.check import check

    report = check(args.path, pixels=True, progress=sys.stderr.isatty())
    print(json.dumps(report.to_dict(), indent=2) if args.json else report.to_text())
    return 1 if report.faulty else 0


def _run(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.notebooks import chapters, execute
    from lcc_utils.pipeline.reuse import reuse
    from lcc_utils.pipeline.run import open_run, runs_dir

    only = chapters(args.only)
    other = _folder(args.reuse) if args.reuse else None
    overrides = dict(_setting(text) for text in args.settings)
    workers = _workers(args)
    workers.to_environment()
    before = set(runs_dir().glob("*/run.json"))
    run = open_run(args.profile, args.data, args.run, overrides, progress=True)
    if run.folder / "run.json" in before and not args.resume:
        raise RequestError(
            f"Run {run.name} is there already, in {run.folder}. Go on with it, reusing what it "
            "holds, with --resume; or begin another with --run NAME."
        )
    print(f"Run {run.name}: {run.data_label}")
    if other:
        planned = [place.key for place in run.experiments()]
        print(f"{reuse(run.folder, planned, run.cells, other)} experiments taken from {other}")
    # TensorFlow takes many networks that are traced once for one that is traced again and again.
    hints = logging.getLogger("tensorflow")
    hints.addFilter(lambda record: "tf.function retracing" not in record.getMessage())
    if args.only is None:
        run.compute(workers=workers, retry=True)
        _look_into(run)
    named = Path(args.profile).suffix in (".yml", ".yaml")
    profile = str(Path(args.profile).absolute()) if named else args.profile
    parameters = {"profile": profile, "run": run.name, "overrides": json.dumps(overrides)}
    if args.data:
        parameters["data"] = str(Path(args.data).absolute())
    execute(run, parameters, args.only)
    if {path.stem for path in only} == {path.stem for path in chapters()}:
        run.finish()
    missing = [own for study in run.gather().missing.values() for own in study]
    failed = [own for own in missing if own.reason]
    for own in failed:
        place = f"{own.study}, {own.variant}, {own.split}, seed {own.seed}"
        print(f"lcc: {place}: {own.reason}", file=sys.stderr)
    if missing:
        print(f"{len(missing)} experiments are missing; the pages say which. --resume adds them.")
    print(f"{'Failed in part' if failed else 'Done'}: {run.folder}\nNext: lcc book {run.name}")
    return 1 if failed else 0


def _look_into(run: Any) -> None:
    """Compute what chapters show beside experiments, here, where its progress is seen.

    What fails here is named and tried again by its chapter, so that those before it are made.
    """
    from lcc_utils.pipeline import attention, efficiency, foreign, robustness
    from lcc_utils.pipeline.attempt import reason_of

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
            print(f"lcc: {name}: {reason_of(error)} The chapter tries again.", file=sys.stderr)


def _workers(args: argparse.Namespace) -> Any:
    from lcc_utils.pipeline.compute import Workers

    for name, value in (("--jobs", args.jobs), ("--threads", args.threads)):
        if value is not None and value < 1:
            raise RequestError(f"{name} {value} is too few; give 1 or more.")
    if args.dask and args.jobs > 1:
        raise RequestError("--jobs and --dask exclude each other; the cluster has its own workers.")
    if args.minutes is not None and args.minutes < 0:
        raise RequestError(f"--minutes {args.minutes} is negative; give 0 or more.")
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
    from lcc_utils.pipeline.front import claims_markdown
    from lcc_utils.pipeline.run import REPOSITORY
    from lcc_utils.pipeline.verify import verify

    folder = _folder(args.run)
    publishable(folder, REPOSITORY)
    problems = verify(folder).problems or _built(folder)[1]
    if problems:
        raise LccError(f"{folder} is not published: {problems[0]}")
    claims, card = claims_markdown(folder), card_markdown(folder)
    for path in publish(folder, REPOSITORY, claims=claims, card=card):
        print(path.relative_to(REPOSITORY))
    return 0


def _verify(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.run import REPOSITORY
    from lcc_utils.pipeline.verify import verify

    folder = _folder(args.run)
    published = folder.resolve() == REPOSITORY / "results"
    found = verify(folder, REPOSITORY / "book" / "chapters" if published else None)
    for problem in found.problems:
        print(f"lcc: {problem}", file=sys.stderr)
    print(
        f"{folder}: {found.experiments} experiments, {found.metrics} metrics, {found.tables} "
        f"tables and {found.cells_shown} values shown in chapters recomputed; "
        f"{len(found.problems)} differ."
    )
    return 1 if found.problems else 0


def _claims(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.run import REPOSITORY
    from lcc_utils.pipeline.verify import load_results
    from lcc_utils.report.ledger import to_text
    from lcc_utils.report.tables import build_table

    folder = _folder(args.run) if args.run else REPOSITORY / "results"
    ledger = build_table("claims", *load_results(folder))
    if args.json:
        print(json.dumps(ledger.to_dict("records"), indent=2, ensure_ascii=False))
    else:
        print(to_text(ledger))
    return 0


def _built(folder: Path) -> tuple[Path, list[str]]:
    """Stage, build and check a run's book; return its pages and what is wrong with them."""
    from lcc_utils.pipeline.book import build, check, stage
    from lcc_utils.pipeline.book_reporting import card_markdown
    from lcc_utils.pipeline.front import claims_markdown
    from lcc_utils.pipeline.run import REPOSITORY

    claims, card = claims_markdown(folder), card_markdown(folder)
    book = stage(folder, REPOSITORY / "book", folder / "book", claims=claims, card=card)
    html = build(book)
    return html, check(html, sorted((folder / "notebooks").glob("*.ipynb")))


def _setting(text: str) -> tuple[str, Any]:
    import yaml

    name, sign, value = text.partition("=")
    if not sign or not name:
        raise RequestError(f"-p {text} has no value; write -p training.epochs=3.")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RequestError(f"-p {text}: the value is not readable as YAML.") from error


def _folder(name: str | None) -> Path:
    from lcc_utils.pipeline.run import runs_dir

    if name is None:
        runs = sorted(runs_dir().glob("*/run.json"), key=lambda path: path.stat().st_mtime)
        if not runs:
            raise RequestError(f"There is no run in {runs_dir()}; begin with: lcc run demo")
        return runs[-1].parent
    for place in (runs_dir() / name, Path(name)):
        if (place / "run.json").is_file():
            return place
    raise RequestError(f"There is no run {name!r} in {runs_dir()}, and it is no run's folder.")


if __name__ == "__main__":
    sys.exit(main())
