"""The published edition is what its results give: pages regenerate, numbers verify."""

from __future__ import annotations

import html
import json

import nbformat
import pandas as pd
import pytest

from lcc_utils.pipeline.book import edition, front_page
from lcc_utils.pipeline.book_reporting import card_markdown, reporting_markdown
from lcc_utils.pipeline.edition import verify_edition
from lcc_utils.pipeline.front import claims_markdown
from lcc_utils.pipeline.verify import load_results
from lcc_utils.report import figures
from lcc_utils.report.tables import TABLES

# Figures of what others published, and of a simulation.
NOT_OF_A_RUN = {"coverage", "published_entries"}


@pytest.fixture(scope="module")
def results(root):
    return root / "results"


def test_every_number_follows_from_the_predictions(root, results):
    found = verify_edition(root)
    assert found.problems == []
    assert found.experiments > 0
    assert found.tables > 0
    assert found.cells_shown > 0


def test_the_front_page_and_the_edition_regenerate(root, results):
    page = (root / "book" / "index.md").read_text(encoding="utf-8")
    assert page == front_page(results, claims_markdown(results))
    run = json.loads((results / "run.json").read_text(encoding="utf-8"))
    shown = json.loads((root / "book" / "edition.json").read_text(encoding="utf-8"))
    assert shown == edition(run)
    assert run["finished"] is not None


def test_the_model_card_and_the_page_on_reporting_regenerate(root, results):
    book = root / "book"
    assert (book / "model_card.md").read_text(encoding="utf-8") == card_markdown(results)
    reporting = (book / "reporting.md").read_text(encoding="utf-8")
    assert reporting == reporting_markdown(book / "_toc.yml", [book])


def test_the_figure_of_the_readme_regenerates(root, results):
    cells, found = load_results(results)
    drawn = figures.subject_accuracy(found["training"], data_label=cells.attrs["label"])
    kept = (results / "figures" / "subject_accuracy.svg").read_text(encoding="utf-8")
    assert figures.to_svg(drawn) == kept
    assert "results/figures/subject_accuracy.svg" in (root / "README.md").read_text()


def test_every_figure_and_table_names_what_it_was_computed_on(root, results):
    label = json.loads((results / "run.json").read_text())["dataset"]["label"]
    shown = {"figure": 0, "table": 0}
    for path in sorted((root / "book" / "chapters").glob("*.ipynb")):
        for cell in nbformat.read(str(path), as_version=4).cells:
            for output in cell.get("outputs", []):
                mark = output.get("metadata", {}).get("lcc", {})
                page = html.unescape(output.get("data", {}).get("text/html", ""))
                for kind in shown:
                    name = mark.get(kind)
                    if name is None:
                        continue
                    if name in NOT_OF_A_RUN or (kind == "table" and not TABLES[name].measured):
                        continue
                    shown[kind] += 1
                    # What was also measured on a machine names that machine after the cells.
                    ends = (f"omputed on {label}.", f"omputed on {label}; costs on ")
                    assert any(end in page for end in ends), f"{path.name}: {name}"
    assert min(shown.values()) > 10


def test_the_ledger_is_among_what_is_verified(root, results):
    ledger = pd.read_csv(results / "tables" / "claims.csv")
    chapter = (root / "book" / "chapters" / "09_claims.ipynb").read_text(encoding="utf-8")
    assert len(ledger) >= 60
    assert all(name in chapter for name in ledger["id"])


def test_chapters_show_no_real_cells(root, results):
    synthetic = json.loads((results / "run.json").read_text())["dataset"]["name"] == "synthetic"
    pictured = []
    for path in sorted((root / "book" / "chapters").glob("*.ipynb")):
        for cell in nbformat.read(str(path), as_version=4).cells:
            for output in cell.get("outputs", []):
                kind = output.get("metadata", {}).get("lcc", {}).get("pixels")
                pictured += [kind] if kind else []
    assert pictured == (["synthetic"] if synthetic else [])
