"""Where this book answers the CLAIM checklist, from ``book/reporting.yml``, as a page.

The checklist is that for artificial intelligence in medical imaging, 2024 update
(doi:10.1148/ryai.240300). Whether an item is answered is what the entry says; that the page it
names is there is looked up, so that a page which an edition leaves out gives no dead link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lcc_utils.errors import RequestError
from lcc_utils.report.claims import CLAIMS_FILE
from lcc_utils.report.entries import read_entries
from lcc_utils.report.table_markup import to_markdown

REPORTING_FILE = CLAIMS_FILE.with_name("reporting.yml")
ITEMS = 44
# What an entry may say of an item -> how the page calls it.
STATUS = {"answer": "answered", "not_applicable": "not applicable", "not_done": "not done"}

_OPENING = """\
# Reporting

The Checklist for Artificial Intelligence in Medical Imaging (CLAIM), in its 2024 update
{cite:p}`tejani2024claim`, lists what a report of such work should tell. This page says where this
book tells it. The titles are short and ours; what an item asks for stands in the article.

*Answered* means that the page named tells it, not that what it tells is favourable. This reading is
the contributors' own and nobody else has checked it; [a correction](corrections.md) is welcome.
"""


class Item(BaseModel):
    """One item of the checklist: what this book says to it, or why nothing.

    ``page`` is a page as ``_toc.yml`` names it, if need be with ``#`` and the anchor of a heading.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int = Field(ge=1, le=ITEMS)
    section: str = Field(min_length=1)
    title: str = Field(min_length=1)
    page: str | None = None
    answer: str | None = Field(default=None, min_length=1)
    not_applicable: str | None = Field(default=None, min_length=1)
    not_done: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_status(self) -> Item:
        said = [name for name in STATUS if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(f"give one of {', '.join(STATUS)}, not {len(said)} of them")
        if self.answer is not None and self.page is None:
            raise ValueError("an answer needs the page that gives it")
        return self

    @property
    def status(self) -> str:
        """Which of :data:`STATUS` the entry has."""
        return next(name for name in STATUS if getattr(self, name) is not None)

    @property
    def text(self) -> str:
        """What the entry says."""
        return getattr(self, self.status)


@dataclass(frozen=True)
class Page:
    """A page of an edition.

    Attributes
    ----------
    file
        Its source, relative to the book, such as ``method.md``.
    title
        Its first heading.
    headings
        Its headings by anchor.
    """

    file: str
    title: str
    headings: Mapping[str, str] = field(default_factory=dict)


def load_items(path: str | Path | None = None) -> list[Item]:
    """Read and check the items.

    Parameters
    ----------
    path
        The YAML file; by default ``book/reporting.yml`` of this checkout.

    Raises
    ------
    RequestError
        If the file is missing or not YAML, an entry is incomplete, has an unknown field or not
        exactly one status, or an item of the checklist is missing, twice or out of order.
    """
    path = Path(path or REPORTING_FILE)
    items = read_entries(path, "reporting", Item, "number")
    for place, item in enumerate(items, start=1):
        if item.number != place:
            raise RequestError(f"{path}: item {item.number} stands where item {place} should be.")
    if len(items) < ITEMS:
        raise RequestError(f"{path} ends with item {len(items)}; the checklist has {ITEMS}.")
    return items


def reporting_page(items: Sequence[Item], pages: Mapping[str, Page]) -> str:
    """Return the page about reporting as MyST Markdown.

    Parameters
    ----------
    items
        The items, see :func:`load_items`.
    pages
        The pages that the edition has, by their names in ``_toc.yml``.
    """
    parts = [_OPENING, _counts(items) + "\n"]
    for section in dict.fromkeys(item.section for item in items):
        rows = [
            {"item": str(item.number), "asked": item.title}
            | {"here": STATUS[item.status].capitalize(), "what_it_says": _said(item, pages)}
            for item in items
            if item.section == section
        ]
        parts.append(f"## {section}\n\n{to_markdown(pd.DataFrame(rows))}")
    return "\n".join(parts)


def _counts(items: Sequence[Item]) -> str:
    found = [item.status for item in items]
    said = [f"{found.count(name)} are {called}" for name, called in STATUS.items()]
    return f"Of {len(items)} items, {said[0]}, {said[1]} and {said[2]}."


def _said(item: Item, pages: Mapping[str, Page]) -> str:
    """Return what an entry says, with a link as exact as the edition allows."""
    text = item.text.rstrip(".") + "."
    if item.page is None:
        return text
    name, _, anchor = item.page.partition("#")
    page = pages.get(name)
    if page is None:
        return f"{text} (This edition lacks the page.)" if item.answer else text
    if anchor in page.headings:
        return f"{text} [{page.title}: {page.headings[anchor]}]({page.file}#{anchor})"
    return f"{text} [{page.title}]({page.file})"
