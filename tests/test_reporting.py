"""The model card and the CLAIM checklist: all follows from files, and every link leads there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jupytext
import pytest
import yaml

from lcc_utils.errors import RequestError
from lcc_utils.evaluation.result import Missing, Results
from lcc_utils.pipeline.book_check import typed_numbers
from lcc_utils.pipeline.book_reporting import (
    anchor,
    card_markdown,
    headings,
    reporting_markdown,
    toc_files,
)
from lcc_utils.pipeline.verify import load_results
from lcc_utils.report.model_card import described, model_card, worst_subjects
from lcc_utils.report.reporting import (
    ITEMS,
    REPORTING_FILE,
    STATUS,
    Page,
    load_items,
    reporting_page,
)
from lcc_utils.report.tables import build_table, to_markdown

SECTIONS = [
    "Limitations", "What it is", "What it is for, and what it is not for", "Data",
    "How it was trained", "Results", "The subjects it fails worst", "What was not measured",
    "Where it came from",
]  # fmt: skip


@pytest.fixture(scope="module")
def published(root):
    """Cells, results and run.json of the published edition."""
    folder = root / "results"
    return *load_results(folder), json.loads((folder / "run.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def card(published) -> str:
    return model_card(*published)


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n")[1].split("\n## ")[0]


def sources(root: Path) -> dict[str, list[str]]:
    """The headings of every page, of chapters as the notebooks have them."""
    found = {path.stem: headings(path.read_text()) for path in (root / "book").glob("*.md")}
    for path in (root / "notebooks").glob("*.py"):
        cells = jupytext.read(path).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        found[f"chapters/{path.stem}"] = headings(text)
    return found


def written(tmp_path: Path, change) -> Path:
    """The committed list with one thing changed."""
    listed = yaml.safe_load(REPORTING_FILE.read_text(encoding="utf-8"))
    change(listed["reporting"])
    path = tmp_path / "reporting.yml"
    path.write_text(yaml.safe_dump(listed), encoding="utf-8")
    return path


# The checklist


def test_every_item_of_the_checklist_has_exactly_one_status():
    items = load_items()
    assert [item.number for item in items] == list(range(1, ITEMS + 1))
    for item in items:
        assert len([name for name in STATUS if getattr(item, name) is not None]) == 1


def test_every_page_and_anchor_that_an_item_names_is_there(root):
    found = sources(root)
    listed = toc_files(yaml.safe_load((root / "_toc.yml").read_text()))
    for item in load_items():
        if item.page is not None:
            page, _, place = item.page.partition("#")
            assert page in listed, item.number
            assert page in found, item.number
            assert place in {"", *map(anchor, found[page])}, f"item {item.number}: {item.page}"


def test_no_item_types_a_result():
    assert [typed_numbers(item.text) for item in load_items()] == [[]] * ITEMS


@pytest.mark.parametrize(
    "number, change, reason",
    [
        (3, {"not_done": "nobody did"}, "item 3: entry: .*give one of answer"),
        (4, {"answer": None}, "item 4: entry: .*give one of answer"),
        (5, {"page": None}, "item 5: entry: .*needs the page"),
        (6, {"comment": "new"}, "item 6: comment: "),
        (7, {"number": 9}, "item 9 stands where item 7 should be"),
        (8, {"number": 45}, "item 45: number: "),
    ],
)
def test_a_faulty_item_is_refused_by_its_number(tmp_path, number, change, reason):
    path = written(tmp_path, lambda items: items[number - 1].update(change))
    with pytest.raises(RequestError, match=reason):
        load_items(path)


def test_a_list_that_ends_early_is_refused(tmp_path):
    path = written(tmp_path, lambda items: items.pop())
    with pytest.raises(RequestError, match="ends with item 43"):
        load_items(path)


def test_the_page_counts_the_items_and_links_them():
    items = load_items()
    page = Page("method.md", "The method", {"limits": "Limits"})
    text = reporting_page(items, {"method": page})
    counts = [sum(item.status == name for item in items) for name in STATUS]
    assert sum(counts) == ITEMS
    assert (
        f"Of {ITEMS} items, {counts[0]} are answered, {counts[1]} are not applicable and "
        f"{counts[2]} are not done."
    ) in text
    assert "[The method: Limits](method.md#limits)" in text
    # The page is there, the heading is not: the link is to the page alone.
    assert "[The method](method.md)" in text


def test_a_page_that_the_edition_lacks_gives_no_link():
    text = reporting_page(load_items(), {})
    assert set(re.findall(r"\]\(([^)]+)\)", text)) == {"corrections.md"}
    assert "(This edition lacks the page.)" in text


def test_a_heading_in_code_is_no_anchor():
    assert headings("# One\n\n```bash\n# a comment\n```\n\n## Two, and three\n\n#### Four\n") == [
        "One",
        "Two, and three",
    ]


def test_the_page_of_an_edition_without_a_chapter_has_no_link_to_it(root, tmp_path):
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    whole = reporting_markdown(root / "_toc.yml", [root / "book"])
    for part in toc["parts"]:
        part["chapters"] = [e for e in part["chapters"] if e["file"] != "chapters/01_data"]
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc))
    text = reporting_markdown(tmp_path / "_toc.yml", [root / "book"])
    assert "chapters/01_data.ipynb#" in whole
    assert "01_data" not in text


# The model card


def test_the_card_has_its_limitations_first(card):
    assert re.findall(r"^## (.+)$", card, re.M) == SECTIONS


def test_the_numbers_of_the_card_are_those_of_the_tables(card, published):
    cells, results, run = published
    found = section(card, "Results")
    assert to_markdown(build_table("primary", cells, results)).strip() in found
    official = build_table("training", cells, results).drop(columns="threshold")
    assert to_markdown(official).strip() in found
    assert to_markdown(build_table("cells", cells, results)).strip() in section(card, "Data")
    assert run["dataset"]["digest"] in section(card, "Data")
    assert run["git"]["commit"] in section(card, "Where it came from")


def test_the_card_counts_subjects_and_names_those_it_fails_worst(card, published):
    cells, results, run = published
    for name, label in (("ALL", 1), ("HEM", 0)):
        subjects = cells.loc[cells["label"] == label, "subject"].nunique()
        assert f"{subjects} {name} subjects" in section(card, "Limitations")
    model = described(results, run)
    worst = worst_subjects(model)
    assert to_markdown(worst).strip() in section(card, "The subjects it fails worst")
    assert (worst["share_called_right"] == worst["called_right"] / worst["cells"]).all()
    for result in model.done:
        own = result.test.assign(
            right=(result.test["score"] >= result.metrics["threshold"]) == result.test["label"]
        )
        for subject, right in own.groupby("subject")["right"].sum().items():
            row = worst[worst["subject"] == subject]
            assert row.empty or row["called_right"].item() == right


def test_the_settings_of_the_card_are_those_of_the_experiment(card, published):
    settings = described(published[1], published[2]).done[0].settings
    trained = section(card, "How it was trained")
    assert f"| `model.backbone` | {settings['model']['backbone']} |" in trained
    assert f"| `training.epochs` | {settings['training']['epochs']} |" in trained
    assert f"{settings['pixels']['size']} px" in section(card, "Limitations")


def test_a_synthetic_run_says_so_before_anything_else(tiny_run):
    card = card_markdown(tiny_run)
    first = card.split("\n\n")[1]
    assert first.startswith("**Computed on synthetic cells")
    assert "nothing about leukaemia" in first
    assert re.findall(r"^## (.+)$", card, re.M) == SECTIONS
    assert "drawn by one program" in section(card, "Limitations").strip().split("\n- ")[0]
    assert "C-NMC" not in section(card, "Limitations")
    cells, results = load_results(tiny_run)
    table = to_markdown(build_table("primary", cells, results)).strip()
    assert table in section(card, "Results")


def test_a_card_of_which_parts_are_missing_says_how_many(published):
    cells, results, run = published
    first = described(results, run).variant
    kept, missing = [], []
    for result in results["primary"]:
        if result.variant == first and (result.split, result.seed) == ("part 1 of 5", 0):
            missing.append(Missing("primary", first, result.split, result.seed))
        else:
            kept.append(result)
    card = model_card(cells, Results({**results, "primary": kept}, {"primary": missing}), run)
    assert "Of its 5 parts 4 have run." in section(card, "Limitations")
    assert "predictions of 4 parts" in section(card, "The subjects it fails worst")
    assert re.search(rf"^\| {first} \| not complete \| – \|", section(card, "Results"), re.M)


def test_a_card_without_the_primary_study_takes_the_official_folds(published):
    cells, results, run = published
    card = model_card(cells, Results({"training": results["training"]}), run)
    assert "of the study `training`" in section(card, "What it is")
    assert "Nothing of this has run yet." in section(card, "Results")
    assert "| Train to test |" not in section(card, "The subjects it fails worst").split("\n")[0]
    assert "Worst subject" in section(card, "The subjects it fails worst")


def test_a_card_of_a_run_without_results_says_that_nothing_has_run(published):
    cells, _, run = published
    card = model_card(cells, Results(), run)
    assert "No result of the model is in this run yet" in section(card, "Limitations")
    for title in ("How it was trained", "Results", "The subjects it fails worst"):
        assert "Nothing of this has run yet." in section(card, title)
