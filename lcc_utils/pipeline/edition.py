"""The published edition as a whole: verify it, and sign it again after a change."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from lcc_utils.errors import DataError
from lcc_utils.evaluation.result import Results
from lcc_utils.pipeline.book_pages import edition, front_page
from lcc_utils.pipeline.book_publish import replace_all, write_edition
from lcc_utils.pipeline.book_reporting import reporting_markdown
from lcc_utils.pipeline.front import claims_text
from lcc_utils.pipeline.manifest import digest_of, of_edition, problems
from lcc_utils.pipeline.run_record import read_run
from lcc_utils.pipeline.verify import Verification, recompute
from lcc_utils.report.model_card import model_card

__all__ = ["sign_edition", "verify_edition"]

_AGAIN = "If the change was meant, sign the edition again with lcc publish results."


def verify_edition(repo: Path) -> Verification:
    """Recompute the numbers and pages of the published edition, and compare its manifest.

    Parameters
    ----------
    repo
        The root of the repository.

    Raises
    ------
    RequestError, DataError
        As ``verify.verify``.
    """
    found, cells, results = recompute(repo / "results", repo / "book" / "chapters")
    pages = _pages(repo, cells, results)
    for name, expected in pages.items():
        path = repo / "book" / name
        if not path.is_file() or path.read_bytes() != expected.encode():
            found.problems.append(f"{path} is not the page that the results give. {_AGAIN}")
    scope = of_edition(repo)
    found.problems += [f"{problem} {_AGAIN}" for problem in problems(scope)]
    found.manifest = digest_of(scope.manifest)
    return found


def sign_edition(repo: Path) -> list[Path]:
    """Write the manifest of the published edition again, and the pages that follow from it.

    Parameters
    ----------
    repo
        The root of the repository.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    DataError
        If a number does not follow from the predictions: a wrong edition is not signed.
    """
    results = repo / "results"
    found, cells, read = recompute(results, repo / "book" / "chapters")
    if found.problems:
        raise DataError(f"The published edition is not signed: {found.problems[0]}")
    run = read_run(results)
    with tempfile.TemporaryDirectory(prefix=".sign-", dir=repo) as work:
        new = Path(work) / "new"
        new.mkdir()
        shutil.copy2(results / "run.json", new / "run.json")
        targets: dict[Path, Path] = {}
        write_edition(repo, new, targets, claims_text(cells, read), model_card(cells, read, run))
        replace_all(targets, Path(work) / "old")
    return list(targets)


def _pages(repo: Path, cells: pd.DataFrame, results: Results) -> dict[str, str]:
    """Return the pages that the results give, by name; those that cannot be made are empty."""
    folder, book = repo / "results", repo / "book"
    run = read_run(folder)
    makers = {
        "index.md": lambda: front_page(folder, claims_text(cells, results)),
        "edition.json": lambda: json.dumps(edition(run), indent=2, ensure_ascii=False) + "\n",
        "model_card.md": lambda: model_card(cells, results, run),
        "reporting.md": lambda: reporting_markdown(book / "_toc.yml", [book]),
    }
    pages = {}
    for name, make in makers.items():
        try:
            pages[name] = make()
        except Exception:  # results that are damaged, which are named elsewhere
            pages[name] = ""
    return pages
