"""The published edition: the small files of one finished run, kept in the repository."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
import yaml

from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline.book_notebooks import (
    executed,
    failures,
    published,
    read_notebook,
    without_paths,
)
from lcc_utils.pipeline.book_pages import DECIDED, front_page, write_json, write_pages
from lcc_utils.pipeline.book_reporting import reporting_markdown, toc_files
from lcc_utils.pipeline.gather import read_plan
from lcc_utils.pipeline.manifest import MANIFEST, listing, of_edition
from lcc_utils.pipeline.measured import GROUPS, published_files
from lcc_utils.pipeline.names import slug
from lcc_utils.pipeline.packs import write_pack
from lcc_utils.pipeline.run_record import read_run
from lcc_utils.pipeline.store import EXPERIMENT_FILES

_RESULTS = ("run.json", "cells.csv", "experiments", "tables", "figures")
_OPTIONAL = ("failures.json", *GROUPS)
# A variant of a study with as many experiments, or more, is kept as one archive.
_PACKED = 20


def publish(
    run_dir: str | Path, repo: str | Path, *, claims: str = "", card: str = ""
) -> list[Path]:
    """Make a finished run the published edition of the repository.

    Its small files go to ``results/``, its notebooks to ``book/chapters/``, and the pages that a
    run decides (``book_pages.DECIDED``) are written to ``book/``. Outputs that show real cells,
    execution times, streams to standard error and paths of the machine are left out. The old
    edition stays until the new one is complete, and comes back when replacing it fails.

    Parameters
    ----------
    run_dir
        The run.
    repo
        The root of the repository.
    claims
        Markdown for the front page, see :func:`front_page`.
    card
        The model card as Markdown; without it, its page says that there is none.

    Returns
    -------
    list of pathlib.Path
        What was replaced.

    Raises
    ------
    RequestError
        When the run is not finished, has no notebooks, or lacks a chapter of the book.
    DataError
        When a notebook failed or a file of the run is missing.
    """
    run_dir, repo = Path(run_dir), Path(repo)
    run = read_run(run_dir)
    notebooks = publishable(run_dir, repo)
    with tempfile.TemporaryDirectory(prefix=".publish-", dir=repo) as work:
        new = Path(work) / "new"
        (new / "chapters").mkdir(parents=True)
        for path in notebooks:
            notebook = read_notebook(path)
            paths = _machine_paths(run_dir, repo, run, notebook)
            nbformat.write(published(notebook, paths), str(new / "chapters" / path.name))
        machine = _machine_paths(run_dir, repo, run)
        _copy_results(run_dir, new, machine)
        clean = without_paths(run, machine)
        write_json(new / "run.json", clean)
        gone = [name for name in _OPTIONAL if not (new / name).exists()]
        targets = {repo / "results" / name: new / name for name in (*_RESULTS, *_OPTIONAL)}
        targets[repo / "book" / "chapters"] = new / "chapters"
        write_edition(repo, new, targets, claims, card)
        targets = {place: own for place, own in targets.items() if own.exists()}
        replace_all(targets, Path(work) / "old")
        for name in gone:
            _remove(repo / "results" / name)
    return list(targets)


def write_edition(repo: Path, new: Path, targets: dict[Path, Path], claims: str, card: str) -> None:
    """Write the manifest of an edition and the pages that it decides, before it is put in place.

    Parameters
    ----------
    repo
        The root of the repository.
    new
        A folder that holds ``run.json`` of the edition; manifest and pages are written into it.
    targets
        What is about to be replaced, to its replacement; manifest and pages are added.
    claims, card
        As in :func:`publish`.
    """
    # The page on reporting links to headings of the front page, which prints the digest of a list
    # that holds the page on reporting: the headings are known before the digest.
    write_atomic(new / MANIFEST, "")
    write_pages(new, read_run(new), front_page(new, claims), card)
    reporting = reporting_markdown(repo / "book" / "_toc.yml", [new, repo / "book"])
    write_atomic(new / "reporting.md", reporting)
    targets |= {repo / "book" / name: new / name for name in DECIDED}
    write_atomic(new / MANIFEST, listing(of_edition(repo), targets))
    write_atomic(new / "index.md", front_page(new, claims))
    targets[repo / "results" / MANIFEST] = new / MANIFEST


def replace_all(targets: dict[Path, Path], old: Path) -> None:
    """Put each new file or folder in its place; on failure put every old one back."""
    old.mkdir(parents=True, exist_ok=True)
    placed: list[tuple[Path, Path | None]] = []
    try:
        for number, (target, new) in enumerate(targets.items()):
            target.parent.mkdir(parents=True, exist_ok=True)
            kept = old / str(number) if target.exists() else None
            if kept:
                target.replace(kept)
            placed.append((target, kept))
            new.replace(target)
    except BaseException:
        for target, kept in reversed(placed):
            _remove(target)
            if kept:
                kept.replace(target)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def publishable(run_dir: Path, repo: Path) -> list[Path]:
    """Return the notebooks of a run that may be published; errors as in :func:`publish`."""
    run = read_run(run_dir)
    if run["finished"] is None:
        raise RequestError(
            f"{run_dir} is not finished and cannot be published. Complete it with --resume."
        )
    notebooks = executed(run_dir)
    toc = (repo / "book" / "_toc.yml").read_text(encoding="utf-8")
    listed = [name for name in toc_files(yaml.safe_load(toc)) if name.startswith("chapters/")]
    wanted = {Path(name).name for name in listed}
    missing = sorted(wanted - {path.stem for path in notebooks})
    if missing:
        raise RequestError(
            f"{run_dir} lacks the chapters {', '.join(missing)} that the book has. "
            "Run all notebooks before publishing."
        )
    for path in notebooks:
        wrong = failures(read_notebook(path))
        if wrong:
            raise DataError(f"{path} failed ({wrong[0]}). Run it again; nothing was published.")
    return notebooks


def _copy_results(run_dir: Path, new: Path, machine: dict[str, str]) -> None:
    missing = [name for name in _RESULTS if not (run_dir / name).exists()]
    if missing:
        raise DataError(f"{run_dir} lacks {', '.join(missing)}. Complete it with --resume.")
    shutil.copy2(run_dir / "cells.csv", new / "cells.csv")
    shutil.copytree(run_dir / "figures", new / "figures", ignore=shutil.ignore_patterns(".*"))
    (new / "tables").mkdir()
    for group in GROUPS:
        for path in published_files(run_dir, group):
            (new / group).mkdir(exist_ok=True)
            shutil.copy2(path, new / group / path.name)
    texts = [*sorted((run_dir / "tables").glob("[!.]*.csv")), *(run_dir / n for n in _OPTIONAL)]
    for path in (path for path in texts if path.is_file()):
        # A reason why an experiment failed may name a file of the machine.
        target = new / path.relative_to(run_dir)
        write_atomic(target, without_paths(path.read_text(encoding="utf-8"), machine))
    (new / "experiments").mkdir()
    for name, keys in _groups(run_dir).items():
        folders = [run_dir / "experiments" / key for key in keys]
        for folder in folders:
            absent = [file for file in EXPERIMENT_FILES if not (folder / file).is_file()]
            if absent:
                raise DataError(f"{folder} lacks {', '.join(absent)}. Complete it with --resume.")
        if len(folders) >= _PACKED:
            write_pack(new / "experiments" / f"{name}.zip", folders)
            continue
        for folder in folders:
            (new / "experiments" / folder.name).mkdir()
            for file in EXPERIMENT_FILES:
                shutil.copy2(folder / file, new / "experiments" / folder.name / file)


def _groups(run_dir: Path) -> dict[str, list[str]]:
    """Keys of the experiments that are there by study and variant, each where it comes first."""
    planned, _ = read_plan(read_run(run_dir))
    groups: dict[str, list[str]] = {}
    seen: set[str] = set()
    for study, places in planned.items():
        for place in places:
            if place.key not in seen and (run_dir / "experiments" / place.key).is_dir():
                seen.add(place.key)
                name = slug(f"{study} {place.variant}") or "experiments"
                groups.setdefault(name, []).append(place.key)
    return groups


def _machine_paths(run_dir: Path, repo: Path, run: dict, notebook=None) -> dict[str, str]:
    replaced = {str(Path.home()): "~", str(repo.resolve()): ".", sys.prefix: "python"}
    replaced[str(run_dir.resolve())] = f"runs/{run['run']}"
    parameters = notebook.metadata.get("papermill", {}).get("parameters", {}) if notebook else {}
    data = parameters.get("data")
    if data:
        replaced[str(data)] = "path/to/C-NMC"
        replaced[str(Path(data).resolve())] = "path/to/C-NMC"
    replaced.pop("/", None)
    return {path: text for path, text in replaced.items() if Path(path).is_absolute()}
