"""What a reader must never meet in a built book: failed cells, dead links, outside requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

from lcc_utils.pipeline.book_notebooks import failures, read_notebook

_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^\w*(?:Error|Exception): ", re.M)
_OUTSIDE = re.compile(r"^(?:https?:)?//", re.IGNORECASE)
_OUTSIDE_STYLE = re.compile(r"(?:url\(\s*|@import\s+)[\"']?(?:https?:)?//", re.IGNORECASE)
_LOADED = {
    "script": "src", "iframe": "src", "img": "src", "source": "src", "video": "src", "audio": "src",
    "embed": "src", "object": "data", "use": "href", "image": "href",
}  # fmt: skip
_FETCHING_LINKS = {
    "stylesheet", "icon", "shortcut", "preload", "prefetch", "preconnect", "dns-prefetch",
    "modulepreload", "manifest", "apple-touch-icon",
}  # fmt: skip
_IMAGE_FILE = re.compile(r"\.(?:svg|png|jpe?g|gif|webp)$", re.IGNORECASE)
# What looks like a number but is none that was measured: code, formulas, addresses, identifiers.
_NOT_PROSE = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)|https?://\S+|<[^>]*>"
    r"|arXiv:?\s*\d{4}\.\d+|\b10\.\d{4,}/\S+|\bCC BY(?:-\w+)* \d\.\d|\bAttribution \d\.\d"
    r"|\b\d+\.\d+\.\d+\b",
    re.DOTALL | re.IGNORECASE,
)
_TYPED = re.compile(r"(?<![\w.])\d*[.·]\d+(?:\s?%)?|(?<![\w.])\d+(?:\s?%|\s+per\s?cent\b)")


def check(html_dir: str | Path, notebooks: Iterable[str | Path]) -> list[str]:
    """Return what is wrong with a built book and its chapters, one line each; empty when sound.

    Parameters
    ----------
    html_dir
        The folder of the built pages.
    notebooks
        The executed notebooks that the chapters were made from.

    Returns
    -------
    list of str
        Failed notebooks, numbers typed into their text, tracebacks in pages, broken links, anchors
        and images, requests to other hosts, images without alternative text, pages without the
        banner or the footer. Links that a reader may click to leave the book are no problem.
    """
    html_dir = Path(html_dir)
    problems = [line for path in notebooks for line in _notebook_problems(Path(path))]
    pages = {path: _parse(path) for path in _page_files(html_dir)}
    if not pages:
        problems.append(f"{html_dir.name}: holds no page")
    anchors = {path.resolve(): _anchors(page) for path, page in pages.items()}
    for path, page in pages.items():
        name = path.relative_to(html_dir).as_posix()
        found = [*_content(page), *_loads(page, path), *_links(page, path, anchors), *_images(page)]
        problems += [f"{name}: {line}" for line in found]
    problems += [
        f"{path.relative_to(html_dir).as_posix()}: a style fetches from outside"
        for path in sorted(html_dir.rglob("*.css"))
        if _OUTSIDE_STYLE.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    return problems


def typed_numbers(markdown: str) -> list[str]:
    """Return decimals and percentages that stand in the prose of a Markdown text.

    Whole numbers, code, formulas, addresses and identifiers are left alone: settings may be written
    as code, and results come from a computed table.

    Examples
    --------
    >>> typed_numbers("The F1 is 0.93, or 93 %, at `0.5`.")
    ['0.93', '93 %']
    """
    return _TYPED.findall(_NOT_PROSE.sub(" ", markdown))


def _notebook_problems(path: Path) -> list[str]:
    notebook = read_notebook(path)
    problems = [f"{path.name}: {line}" for line in failures(notebook)]
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "markdown":
            typed = typed_numbers(cell.source)
            problems += [f"{path.name}: cell {number} has the typed number {n}" for n in typed]
    return problems


def _page_files(html_dir: Path) -> list[Path]:
    # The theme leaves templates of its own in _static; no page links to them.
    return [
        path
        for path in sorted(html_dir.rglob("*.html"))
        if "_static" not in path.relative_to(html_dir).parts
    ]


def _parse(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def _anchors(page: BeautifulSoup) -> set[str]:
    named = {str(tag["name"]) for tag in page.find_all("a", attrs={"name": True})}
    return named | {str(tag["id"]) for tag in page.find_all(id=True)}


def _content(page: BeautifulSoup) -> list[str]:
    problems = []
    outputs = page.select("div.cell_output, div.output")
    if any(_TRACEBACK.search(output.get_text()) for output in outputs):
        problems.append("shows a traceback")
    if page.find("main") is None:
        return problems  # a page that only forwards to another
    if page.select_one(".lcc-banner") is None:
        problems.append("lacks the banner that says what its numbers were computed on")
    if page.select_one(".lcc-edition") is None:
        problems.append("lacks the footer that names the run")
    return problems


def _loads(page: BeautifulSoup, path: Path) -> list[str]:
    problems = []
    for tag, address in _fetched(page):
        if _OUTSIDE.match(address):
            problems.append(f"<{tag}> fetches {address} from outside")
        elif not _exists(address, path):
            problems.append(f"<{tag}> needs {address}, which is missing")
    styles = [tag.get_text() for tag in page.find_all("style")]
    styles += [str(tag["style"]) for tag in page.find_all(style=True)]
    if any(_OUTSIDE_STYLE.search(style) for style in styles):
        problems.append("a style fetches from outside")
    return problems


def _fetched(page: BeautifulSoup) -> Iterable[tuple[str, str]]:
    for tag in page.find_all(list(_LOADED)):
        address = tag.get(_LOADED[tag.name]) or tag.get("xlink:href")
        if address:
            yield tag.name, str(address)
        for candidate in str(tag.get("srcset", "")).split(","):
            if candidate.strip():
                yield tag.name, candidate.split()[0]
    for tag in page.find_all("link", href=True):
        if _FETCHING_LINKS & {str(rel).lower() for rel in tag.get("rel", [])}:
            yield "link", str(tag["href"])


def _exists(address: str, path: Path) -> bool:
    parts = urlsplit(address)
    if parts.scheme or not parts.path:
        return True
    return (path.parent / unquote(parts.path)).exists()


def _links(page: BeautifulSoup, path: Path, anchors: dict[Path, set[str]]) -> list[str]:
    problems = []
    for tag in page.find_all(["a", "link"], href=True):
        address = str(tag["href"])
        parts = urlsplit(address)
        if parts.scheme or _OUTSIDE.match(address):
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
        if not target.exists():
            problems.append(f"the link {address} leads nowhere")
        elif not _is_anchor(unquote(parts.fragment), anchors.get(target)):
            problems.append(f"the link {address} names an anchor that is not there")
    return sorted(set(problems))


def _is_anchor(fragment: str, known: set[str] | None) -> bool:
    return known is None or fragment in known | {"", "#", "top"}


def _images(page: BeautifulSoup) -> list[str]:
    return [
        f"the image {str(tag.get('src', ''))[:80]} has no alternative text"
        for tag in page.find_all("img")
        if not str(tag.get("alt", "")).strip() or _IMAGE_FILE.search(str(tag["alt"]))
    ]
