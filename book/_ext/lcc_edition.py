"""Sphinx extension of this book: every page says what it was computed on, and works offline.

It reads ``edition.json`` beside the pages and puts a banner above and a footer below every page.
It also finds the package for the API pages, has them made from its source alone, and removes
every script, style, image and frame that a page would fetch from outside, whatever extension
asked for it.
"""

from __future__ import annotations

import ast
import html
import json
import os
import re
import sys
from collections import defaultdict
from pathlib import Path

from astroid.manager import AstroidManager
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util.nodes import make_refnode

OUTSIDE = re.compile(r"^(?:https?:)?//", re.IGNORECASE)
_OUTSIDE_ELEMENT = re.compile(
    r"<(script|iframe)\b[^>]*?\bsrc\s*=\s*[\"'](?:https?:)?//[^>]*>.*?</\1\s*>"
    r"|<link\b(?=[^>]*\brel\s*=\s*[\"'](?:[^\"']*\b)?(?:stylesheet|preload|prefetch|preconnect|"
    r"dns-prefetch|modulepreload|icon)\b)(?=[^>]*\bhref\s*=\s*[\"'](?:https?:)?//)[^>]*>",
    re.IGNORECASE | re.DOTALL,
)
_OUTSIDE_IMAGE = re.compile(
    r"<img\b(?=[^>]*\bsrc\s*=\s*[\"'](?:https?:)?//)[^>]*>", re.IGNORECASE | re.DOTALL
)


def banner(edition: dict) -> str:
    """Return the HTML line that says what the numbers of this edition were computed on."""
    data = edition["dataset"]
    cells, subjects = (html.escape(f"{data[name]:,}") for name in ("cells", "subjects"))
    if data["name"] == "synthetic":
        kind, text = (
            "synthetic",
            (
                f"<strong>Synthetic edition.</strong> All numbers on this page were computed on "
                f"synthetic cells ({cells} drawn from a seed, {subjects} subjects). "
                "They say nothing about leukaemia."
            ),
        )
    else:
        name = {"c-nmc-2019": "C-NMC 2019"}.get(data["name"], html.escape(str(data["name"])))
        kind, text = (
            "real",
            (
                f"Numbers in this book were computed on {name}: {cells} real cells "
                f"of {subjects} subjects."
            ),
        )
    return f'<p class="lcc-banner lcc-banner-{kind}" role="note">{text}</p>'


def footer(edition: dict) -> str:
    """Return the HTML that says which run, code, data and hardware stand behind the pages."""
    data, git, machine = edition["dataset"], edition["git"], edition["hardware"]
    commit = html.escape(str(git.get("commit") or "unknown")[:12])
    changed = " with local changes" if git.get("dirty") else ""
    memory = f"{machine['memory_gib']} GiB" if machine.get("memory_gib") else None
    hardware = [machine.get("gpu"), machine.get("cpu"), f"{machine['cores']} cores", memory]
    facts = [
        ("Run", f"<code>{html.escape(str(edition['run']))}</code>"),
        ("Profile", f"<code>{html.escape(str(edition['profile']))}</code>"),
        ("Commit", f"<code>{commit}</code>{changed}"),
        ("Data digest", f"<code>{html.escape(str(data['digest']))}</code>"),
        ("Hardware", html.escape(", ".join(str(part) for part in hardware if part))),
        ("Finished", html.escape(str(edition["finished"] or "not finished")[:10])),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f'<dl class="lcc-edition" aria-label="Origin of the numbers">{rows}</dl>'


def without_outside_requests(page: str) -> str:
    """Return the page without elements that fetch from outside; images become their alt text."""
    page = _OUTSIDE_ELEMENT.sub("", page)
    return _OUTSIDE_IMAGE.sub(_image_text, page)


def _image_text(match: re.Match) -> str:
    alt = re.search(r"\balt\s*=\s*([\"'])(.*?)\1", match.group(0), re.DOTALL)
    return alt.group(2) if alt else ""


def _package_dir(source: Path) -> Path:
    """Return the folder of lcc_utils: named by LCC_PACKAGE, or the nearest one above the pages."""
    if os.environ.get("LCC_PACKAGE"):
        return Path(os.environ["LCC_PACKAGE"])
    for parent in source.resolve().parents:
        if (parent / "lcc_utils" / "__init__.py").is_file():
            return parent / "lcc_utils"
    raise ExtensionError(
        f"No folder lcc_utils lies above {source}, so the API pages cannot be made. Build inside "
        "the repository, or set LCC_PACKAGE to the folder of the package."
    )


def _configure(app: Sphinx, config: Config) -> None:
    path = Path(app.srcdir) / "edition.json"
    if not path.is_file():
        raise ExtensionError(
            f"{path.name} is missing beside the pages: it says what the numbers were computed on. "
            "Publish a run (lcc publish RUN) or build one (lcc book RUN)."
        )
    edition = json.loads(path.read_text(encoding="utf-8"))
    config.html_theme_options["announcement"] = banner(edition)
    config.html_theme_options["extra_footer"] = footer(edition)
    package = _package_dir(Path(app.srcdir))
    config.autoapi_dirs = [str(package)]
    # autoapi reads source with astroid, which would follow each import into Keras and pandas where
    # they are installed: that takes as long as the rest of the book, and puts their signatures
    # into ours. What astroid must not load counts as not installed.
    AstroidManager().module_denylist.update(_foreign_imports(package))


def _foreign_imports(package: Path) -> set[str]:
    """Return the names of the modules that a package imports from other projects."""
    names = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    own = {package.name, *sys.stdlib_module_names}
    return {name for name in names if name.partition(".")[0] not in own}


def _find_by_last_name(app: Sphinx, env, node, content):
    """Link a bare name in a docstring to the one public object of the package that bears it.

    A name that the package defines but does not make public has no entry: it stays plain text.
    """
    if node.get("refdomain") != "py" or "." in node["reftarget"].strip("."):
        return None
    public, defined = _by_last_name(env)
    last = node["reftarget"].strip(".")
    names = public.get(last, [])
    if len(names) == 1:
        entry = env.get_domain("py").objects[names[0]]
        page = node["refdoc"]
        return make_refnode(app.builder, page, entry.docname, entry.node_id, content, names[0])
    return content if last in defined else None


def _by_last_name(env) -> tuple[dict[str, list[str]], set[str]]:
    """Return the full names of the public objects by their last part, and every defined last part.

    References are resolved once all pages are read, when neither changes any more.
    """
    if not hasattr(env, "lcc_last_names"):
        public = defaultdict(list)
        for name in env.get_domain("py").objects:
            public[name.rpartition(".")[2]].append(name)
        defined = {name.rpartition(".")[2] for name in getattr(env, "autoapi_all_objects", {})}
        env.lcc_last_names = public, defined
    return env.lcc_last_names


def _keep_needed_files(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:  # noqa: ARG001 - the signature of the event
    for kind in ("script_files", "css_files"):
        context[kind] = _needed(context.get(kind, []))


def _needed(files: list) -> list:
    """Return the files of a page without outside ones, second copies and the live-code client.

    Two copies of MathJax disturb each other, Thebe needs a server elsewhere, and plotly is fetched
    by the pages that draw with it.
    """
    kept, seen = [], set()
    for file in files:
        address = str(getattr(file, "filename", file) or "")
        body = str(getattr(file, "attributes", {}).get("body", ""))
        unwanted = (
            OUTSIDE.match(address)
            or "thebe" in address
            or "plotly" in address
            or "THEBE_JS_URL" in body
        )
        if not unwanted and (address or body) not in seen:
            kept.append(file)
            seen.add(address or body)
    return kept


def _clean_pages(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        cleaned = without_outside_requests(page)
        if cleaned != page:
            path.write_text(cleaned, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """Connect the extension to Sphinx."""
    app.connect("config-inited", _configure, priority=900)
    app.connect("missing-reference", _find_by_last_name)
    app.connect("html-page-context", _keep_needed_files, priority=900)
    app.connect("build-finished", _clean_pages, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
