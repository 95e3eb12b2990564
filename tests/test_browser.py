"""Every page in a real browser: nothing from outside, nothing broken, readable on a phone."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install playwright"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_sound_on_a_phone(built_book, browser, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    requests, errors, wide = [], [], []
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda note: errors.append(note.text) if note.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in pages(built_book):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert page.locator(".lcc-banner").is_visible(), path.name
        assert page.locator(".lcc-edition").is_visible(), path.name
        assert page.evaluate(CONTRAST) >= 4.5, path.name
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(path.name)
    context.close()
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
