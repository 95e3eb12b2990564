"""Every page in a real browser: nothing from outside, nothing broken, readable on a phone."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
from pathlib import Path

import pytest

from lcc_utils.pipeline.verify import load_results
from lcc_utils.report.table_markup import to_html
from lcc_utils.report.tables import build_table

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install playwright"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
    pytest.mark.xdist_group("test_book"),  # which builds the same book
]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def built_book(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The book that test_book builds; each file may also run alone."""
    spec = importlib.util.spec_from_file_location("book", Path(__file__).with_name("test_book.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build_once(tmp_path_factory.getbasetemp(), root)


def pages(html: Path) -> list[Path]:
    return [path for path in sorted(html.rglob("*.html")) if "_static" not in path.parts]


CONTRAST = """() => {
  const parse = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = c => parse(c).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const style = getComputedStyle(document.querySelector('.lcc-banner'));
  const [a, b] = [light(style.color), light(style.backgroundColor)].sort((x, y) => y - x);
  return (a + .05) / (b + .05);
}"""


def test_every_page_is_sound_on_a_phone_by_day_and_by_night(built_book, browser):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    requests, errors, wide = [], [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda note: errors.append(note.text) if note.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    schemes = itertools.cycle(["light", "dark", "dark", "light"])
    for path in pages(built_book):
        # The first page is opened by day and stays open at night, the next the other way.
        for scheme in itertools.islice(schemes, 2):
            page.emulate_media(color_scheme=scheme)
            if page.url != path.as_uri():
                page.goto(path.as_uri())
            page.wait_for_function(f"document.documentElement.dataset.theme == '{scheme}'")
            assert page.locator(".lcc-banner").is_visible(), path.name
            assert page.locator(".lcc-edition").is_visible(), path.name
            assert page.evaluate(CONTRAST) >= 4.5, path.name
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append(f"{path.name}, {scheme}")
    page.close()
    assert requests
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert errors == []
    assert wide == []


def test_formulas_are_drawn_without_a_network(built_book, browser):
    page = browser.new_page()
    page.goto((built_book / "method.html").as_uri())
    page.wait_for_selector("mjx-container svg", timeout=15_000)
    assert page.locator("mjx-container").count() > 5
    page.close()


def test_the_ledger_is_searched_filtered_and_pointed_at(browser, root, tmp_path):
    cells, results = load_results(root / "results")
    frame = build_table("claims", cells, results)
    script = (root / "book" / "_static" / "ledger.js").as_uri()
    path = tmp_path / "ledger.html"
    table = to_html(frame, "Claims", "claims")
    path.write_text(f'<meta charset="utf-8">{table}<script src="{script}"></script>', "utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    shown = page.locator("tbody tr:visible")
    assert shown.count() == len(frame)
    assert page.locator(".lcc-ledger output").inner_text() == f"{len(frame)} of {len(frame)} claims"

    page.get_by_label("Show claims of one verdict").select_option("contradicted")
    assert shown.count() == int((frame["verdict"] == "contradicted").sum()) < len(frame)
    page.get_by_label("Show claims of one kind").select_option("arithmetic")
    both = (frame["verdict"] == "contradicted") & (frame["kind"] == "arithmetic")
    assert shown.count() == int(both.sum()) > 0
    page.get_by_label("Search the claims").fill("stated auc")
    assert shown.locator("th").all_inner_texts() == ["t2_auc"]

    page.goto(f"{path.as_uri()}#patients_all")
    assert page.locator("#patients_all").is_visible()
    assert shown.count() == len(frame)
    page.close()
