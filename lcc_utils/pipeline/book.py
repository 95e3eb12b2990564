"""The book of a run: staged from its notebooks and built from scratch."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import nbformat
import yaml

import lcc_utils
from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline.book_check import check
from lcc_utils.pipeline.book_notebooks import chapter, executed, read_notebook
from lcc_utils.pipeline.book_pages import DECIDED, edition, front_page, write_pages
from lcc_utils.pipeline.book_publish import publish, replace_all
from lcc_utils.pipeline.book_reporting import reporting_markdown
from lcc_utils.pipeline.completeness import need_chapters
from lcc_utils.pipeline.processes import environment, python
from lcc_utils.pipeline.run_record import read_run

__all__ = ["build", "check", "edition", "front_page", "publish", "stage"]

_GENERATED = ("_build", "autoapi", "chapters", *DECIDED, "__pycache__")
_SHOWN_WARNINGS = 60


def stage(
    run_dir: str | Path,
    book_dir: str | Path,
    out: str | Path,
    *,
    claims: str = "",
    card: str = "",
) -> Path:
    """Gather the sources of a run's book in one folder.

    Parameters
    ----------
    run_dir
        The run; its ``notebooks/`` become the chapters.
    book_dir
        The narrative pages, ``book/`` of the repository.
    out
        The folder to make. What it held before is replaced.
    claims
        Markdown for the front page, see :func:`front_page`.
    card
        The model card as Markdown; without it, its page says that there is none.

    Returns
    -------
    pathlib.Path
        `out`. A chapter that the run does not have is left out of the table of contents.

    Raises
    ------
    RequestError
        When the run or the narrative pages do not exist, or the run has no executed notebook.
    DataError
        When ``run.json`` or a notebook cannot be read.
    """
    run_dir, book_dir, out = Path(run_dir), Path(book_dir), Path(out)
    need_chapters(run_dir)
    run = read_run(run_dir)
    if not (book_dir / "_config.yml").is_file():
        raise RequestError(f"{book_dir} holds no _config.yml, so it is not the folder of the book.")
    notebooks = executed(run_dir)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".stage-", dir=out.parent) as work:
        new = Path(work) / "book"
        shutil.copytree(book_dir, new, ignore=_ignore_generated(book_dir))
        (new / "chapters").mkdir()
        for path in notebooks:
            nbformat.write(chapter(read_notebook(path)), str(new / "chapters" / path.name))
        write_pages(new, run, front_page(run_dir, claims), card)
        _keep_chapters(new / "_toc.yml", {f"chapters/{path.stem}" for path in notebooks})
        reporting = reporting_markdown(new / "_toc.yml", [new])
        (new / "reporting.md").write_text(reporting, encoding="utf-8")
        replace_all({out: new}, Path(work) / "old")
    return out


def build(source: str | Path) -> Path:
    """Build the pages of a staged or published book from scratch, warnings being errors.

    Parameters
    ----------
    source
        The folder with ``_config.yml``.

    Returns
    -------
    pathlib.Path
        The folder of the HTML pages, ``_build/html`` in `source`.

    Raises
    ------
    DataError
        When Jupyter Book fails or warns; the message holds the lines that say why.
    """
    source = Path(source)
    shutil.rmtree(source / "_build", ignore_errors=True)
    shutil.rmtree(source / "autoapi", ignore_errors=True)
    # The package has no __main__, and the jupyter-book script may not be on the PATH.
    program = "from jupyter_book.cli.main import main; main()"
    done = subprocess.run(
        python("-c", program, "build", str(source), "-W", "-n", "--keep-going"),
        env={"LCC_PACKAGE": str(Path(lcc_utils.__file__).parent), **environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    html = source / "_build" / "html"
    if done.returncode != 0 or not (html / "index.html").is_file():
        raise DataError(f"The book in {source} was not built. {_reasons(done.stdout, done.stderr)}")
    return html


def _ignore_generated(book_dir: Path):
    def ignored(folder: str, names: list[str]) -> list[str]:
        top = Path(folder) == book_dir
        return [name for name in names if name == "__pycache__" or (top and name in _GENERATED)]

    return ignored


def _keep_chapters(path: Path, present: set[str]) -> None:
    toc = yaml.safe_load(path.read_text(encoding="utf-8"))
    for part in toc["parts"]:
        part["chapters"] = [
            entry
            for entry in part["chapters"]
            if not entry["file"].startswith("chapters/") or entry["file"] in present
        ]
    toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    path.write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")


def _reasons(stdout: str, stderr: str) -> str:
    plain = re.sub(r"\x1b\[[\d;]*m", "", stdout + "\n" + stderr)
    lines = [line.strip() for line in plain.splitlines()]
    marks = ("WARNING", "ERROR", "CRITICAL", "Error:", "error:")
    telling = list(dict.fromkeys(line for line in lines if any(mark in line for mark in marks)))
    if not telling:
        telling = [line for line in lines if line][-_SHOWN_WARNINGS:]
    return "Jupyter Book says: " + " | ".join(telling[:_SHOWN_WARNINGS])
