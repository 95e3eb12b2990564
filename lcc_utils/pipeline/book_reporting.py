"""The pages that a run decides besides the front page: its model card, and where CLAIM is met."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from lcc_utils.pipeline.book_notebooks import read_notebook
from lcc_utils.pipeline.run_record import read_run
from lcc_utils.pipeline.verify import load_results
from lcc_utils.report.model_card import model_card
from lcc_utils.report.reporting import Page, load_items, reporting_page

_SUFFIXES = (".md", ".ipynb")
_CODE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{1,3} (.+?)\s*$", re.MULTILINE)


def card_markdown(folder: Path) -> str:
    """Return the model card of a run, or of ``results/``, from its files alone."""
    return model_card(*load_results(folder), read_run(folder))


def reporting_markdown(toc: Path, folders: Sequence[Path]) -> str:
    """Return the page on reporting for the pages that an edition has.

    Parameters
    ----------
    toc
        The table of contents of the edition.
    folders
        Where its sources are; where two hold a page, the first counts.
    """
    names = toc_files(yaml.safe_load(toc.read_text(encoding="utf-8")))
    found = {name: _page(name, folders) for name in names}
    return reporting_page(load_items(), {n: page for n, page in found.items() if page is not None})


def toc_files(toc: object) -> list[str]:
    """Return the names of all pages in a table of contents, in its order; the root comes first."""
    if isinstance(toc, dict):
        own = [toc[key] for key in ("root", "file") if key in toc]
        return own + [name for value in toc.values() for name in toc_files(value)]
    return [name for item in toc for name in toc_files(item)] if isinstance(toc, list) else []


def anchor(heading: str) -> str:
    """Return the anchor that MyST gives to a heading.

    Examples
    --------
    >>> anchor("What was claimed, and what holds")
    'what-was-claimed-and-what-holds'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def headings(markdown: str) -> list[str]:
    """Return the headings of a Markdown text, those of three levels that get an anchor."""
    return _HEADING.findall(_CODE.sub("", markdown))


def _page(name: str, folders: Sequence[Path]) -> Page | None:
    files = [folder / f"{name}{suffix}" for folder in folders for suffix in _SUFFIXES]
    path = next((path for path in files if path.is_file()), None)
    if path is None:
        return None
    found = headings(_markdown(path))
    by_anchor = {anchor(heading): heading for heading in reversed(found)}
    return Page(f"{name}{path.suffix}", found[0] if found else name, by_anchor)


def _markdown(path: Path) -> str:
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = read_notebook(path).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
