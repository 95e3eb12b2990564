"""Figures to explore: worked numbers, what a page is given, and that a real browser draws it."""

from __future__ import annotations

import copy
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bs4 import BeautifulSoup

from lcc_utils.errors import DataError
from lcc_utils.pipeline import show
from lcc_utils.report.claims import load_claims
from lcc_utils.report.explorable import interactive_html
from lcc_utils.report.interactive import roc_argument
from lcc_utils.report.style import alt_text, to_svg

COUNTS = (964, 18, 26, 1076)
STATED = 0.9377
LABEL = "synthetic cells (600; digest 0123456789abcdef)"
CURVES = {
    "a model": (np.array([0, 0, 0.25, 1]), np.array([0, 0.5, 0.75, 1])),
    "chance": (np.array([0, 1]), np.array([0, 1])),
}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip


@pytest.fixture(scope="module")
def argument():
    return roc_argument(COUNTS, STATED, CURVES, data_label=LABEL)


def steps(spec: dict) -> list[dict]:
    return spec["layout"]["sliders"][0]["steps"]


def json_text(html: str) -> str:
    return BeautifulSoup(html, "html.parser").select_one('script[type="application/json"]').string


# What is computed


def test_the_alternative_text_holds_the_worked_numbers(argument):
    text = alt_text(argument[0])
    assert "stated area 0.9377" in text
    assert "false-positive rate of 0.0183 and a true-positive rate of 0.9764, lies inside" in text
    assert "an area of at least 0.9585" in text
    # The trapezoids below the model: .25 * .625 + .75 * .875.
    assert "a model with an area of 0.812 and chance with an area of 0.500" in text
    assert text.endswith(f"Computed on {LABEL}.")


def test_the_claims_give_the_same_figure(argument):
    values = {claim.id: claim.value for claim in load_claims()}
    counts = [values[f"t2_{name}"] for name in ("tn", "fp", "fn", "tp")]
    again = roc_argument(counts, values["t2_auc"] / 100, CURVES, data_label=LABEL)
    assert alt_text(again[0]) == alt_text(argument[0])


def test_a_stated_area_above_the_least_one_reaches_the_point():
    figure, spec = roc_argument(COUNTS, 0.97, {}, data_label=LABEL)
    assert "lies outside it" in alt_text(figure)
    assert "For comparison" not in alt_text(figure)
    active = steps(spec)[spec["layout"]["sliders"][0]["active"]]
    assert active["label"] == "0.9700 (stated): Table 2 within reach"


def test_the_slider_starts_at_the_stated_area_and_meets_the_least_one(argument):
    labels = [step["label"] for step in steps(argument[1])]
    areas = [float(label[:6]) for label in labels]
    assert areas[0] == 0.8
    assert areas[-1] == 1
    assert areas == sorted(areas)
    assert labels[argument[1]["layout"]["sliders"][0]["active"]].startswith("0.9377 (stated)")
    assert "0.9585 (least): Table 2 within reach" in labels
    for area, label in zip(areas, labels, strict=True):
        assert label.endswith("within reach" if area >= 0.9585 else "out of reach")


def test_each_step_draws_the_boundary_of_its_area(argument):
    for step in steps(argument[1]):
        (changed, traces) = step["args"]
        (x,), (y,) = changed["x"], changed["y"]
        *along, corner, _ = zip(x, y, strict=True)
        assert traces == [0]
        assert corner == (0, 1)
        for fx, fy in along:
            assert fy * (1 - fx) == pytest.approx(float(step["label"][:6]), abs=1e-4)


def test_the_plane_says_the_least_area_of_each_point(argument):
    (grid,) = (trace for trace in argument[1]["data"] if trace["mode"] == "none")
    x, y, least = (np.array(grid[name]) for name in ("x", "y", "customdata"))
    np.testing.assert_allclose(least, y * (1 - x), atol=1e-4)
    assert (min(x), max(x), min(y), max(y)) == (0, 1, 0, 1)
    assert "%{customdata" in grid["hovertemplate"]


def test_the_view_is_the_corner_at_first(argument):
    layout = argument[1]["layout"]
    assert layout["xaxis"]["range"] == [0, 0.2]
    assert layout["yaxis"]["range"] == [0.8, 1]


@pytest.mark.parametrize("stated", [93.77, 0, -0.1, float("nan")])
def test_an_area_that_is_none_is_refused(stated):
    with pytest.raises(DataError, match="stated area"):
        roc_argument(COUNTS, stated, {}, data_label=LABEL)


@pytest.mark.parametrize("true", [[0, 0.9, 0.5], [0, float("nan"), 1]])
def test_a_curve_that_is_no_roc_curve_is_refused(true):
    with pytest.raises(DataError, match="'odd'"):
        roc_argument(COUNTS, STATED, {"odd": ([0, 0.5, 1], true)}, data_label=LABEL)


# What the page is given


def test_the_html_holds_the_image_and_valid_json(argument):
    figure, spec = argument
    page = BeautifulSoup(interactive_html(figure, spec), "html.parser")
    image = page.select_one("div.lcc-interactive > img")
    assert image["alt"] == alt_text(figure)
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert json.loads(json_text(str(page))) == spec


def test_the_same_numbers_give_the_same_html(argument):
    again = roc_argument(COUNTS, STATED, copy.deepcopy(CURVES), data_label=LABEL)
    assert interactive_html(*again) == interactive_html(*argument)


def test_no_text_ends_the_script(argument):
    name = '</script><!-- <script> <b>"name"</b> \u2028'
    html = interactive_html(argument[0], {"data": [{"name": name}], "layout": {}})
    body = html.partition('<script type="application/json">')[2].removesuffix("</script></div>")
    assert "<" not in body
    # A separator of lines is shown as a replacement sign, here as everywhere.
    assert json.loads(body)["data"][0]["name"] == name.replace("\u2028", "\ufffd")


def test_what_is_no_json_is_refused(argument):
    with pytest.raises(ValueError, match="not JSON compliant"):
        interactive_html(argument[0], {"data": [float("nan")]})


def test_a_notebook_shows_both_and_the_run_keeps_the_image(argument, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(show, "display", lambda html, metadata: shown.append((html, metadata)))
    (tmp_path / "figures").mkdir()
    show.show_interactive(SimpleNamespace(folder=tmp_path), "roc_argument", *argument)
    ((html, metadata),) = shown
    assert html.data == interactive_html(*argument)
    assert metadata == {"lcc": {"figure": "roc_argument"}}
    assert (tmp_path / "figures" / "roc_argument.svg").read_text() == to_svg(argument[0])


def test_the_library_lies_in_the_book_with_its_licence(root: Path):
    folder = root / "book" / "_static" / "plotly"
    version = re.search(r"version (\d+\.\d+\.\d+)", (folder / "README.md").read_text())[1]
    head = (folder / "plotly-basic.min.js").read_text(encoding="utf-8")[:300]
    assert f"plotly.js (basic - minified) v{version}\n" in head
    assert "MIT" in (folder / "LICENSE").read_text()
    assert "lcc.js" in (root / "book" / "_config.yml").read_text()
    assert "://" not in (root / "book" / "_static" / "lcc.js").read_text()


# In a browser


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install playwright"
    )
    if CHROMIUM is None:
        pytest.skip("needs chromium on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def site(argument, root: Path, tmp_path: Path) -> Path:
    """A page as the book has it, with the real scripts beside it."""
    static = tmp_path / "_static"
    (static / "plotly").mkdir(parents=True)
    for name in ("lcc.js", "plotly/plotly-basic.min.js"):
        shutil.copy(root / "book" / "_static" / name, static / name)
    page = tmp_path / "chapters" / "page.html"
    page.parent.mkdir()
    page.write_text(
        '<!doctype html><html data-theme="light"><head><meta charset="utf-8"><style>'
        "html { color: rgb(1, 2, 3) } html[data-theme=dark] { color: rgb(201, 202, 203) }"
        '</style><script src="../_static/lcc.js?v=1"></script></head>'
        f"<body>{interactive_html(*argument)}</body></html>",
        encoding="utf-8",
    )
    return page


@pytest.fixture
def opened(browser):
    """Open a page and record its requests and errors."""
    context = browser.new_context(viewport={"width": 800, "height": 900})
    page = context.new_page()
    record = SimpleNamespace(page=page, requests=[], errors=[])
    page.on("request", lambda request: record.requests.append(request.url))
    page.on("pageerror", lambda error: record.errors.append(str(error)))

    def open_page(path: Path) -> SimpleNamespace:
        page.goto(path.as_uri())
        return record

    yield open_page
    context.close()


def test_a_page_draws_the_figure_without_a_network(opened, site, argument):
    record = opened(site)
    record.page.wait_for_selector(".plotly svg", timeout=30_000)
    record.page.wait_for_selector(".lcc-interactive > img", state="hidden")
    graph = record.page.locator(".js-plotly-plot")
    assert graph.get_attribute("aria-label") == alt_text(argument[0])
    assert record.page.locator(".modebar").count() == 0
    library = [url for url in record.requests if "plotly-basic" in url]
    assert len(library) == 1
    assert [url for url in record.requests if not url.startswith(("file:", "data:"))] == []
    assert record.errors == []


def test_a_change_of_theme_recolours_and_keeps_the_slider(opened, site, argument):
    record = opened(site)
    page = record.page
    page.wait_for_selector(".plotly svg", timeout=30_000)
    value = page.locator(".slider-label").first
    rail = page.locator(".slider-rail-touch-rect").bounding_box()
    page.mouse.click(rail["x"] + rail["width"] - 2, rail["y"] + rail["height"] / 2)
    page.wait_for_function("() => document.querySelector('.js-plotly-plot').data[0].y[0] === 1")
    title = "getComputedStyle(document.querySelector('.xtitle')).fill"
    assert page.evaluate(title) == "rgb(1, 2, 3)"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"() => {title} === 'rgb(201, 202, 203)'")
    assert value.text_content() == "Area 1.0000: Table 2 within reach"
    assert page.evaluate("document.querySelector('.js-plotly-plot').data[0].y[0]") == 1
    assert record.errors == []


def test_the_whole_square_is_a_double_click_away(opened, site):
    page = opened(site).page
    page.wait_for_selector(".plotly svg", timeout=30_000)
    box = page.locator(".nsewdrag").bounding_box()
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function(
        "() => { const l = document.querySelector('.js-plotly-plot')._fullLayout;"
        " return [l.xaxis.range, l.yaxis.range].flat().join() === '0,1,0,1'; }"
    )


@pytest.mark.parametrize("fault", ["no library", "no JSON"])
def test_the_image_stays_where_drawing_fails(opened, site, fault):
    if fault == "no library":
        (site.parents[1] / "_static" / "plotly" / "plotly-basic.min.js").unlink()
    else:
        site.write_text(site.read_text().replace('json">{', 'json">{{'))
    with opened(site).page as page:
        page.wait_for_timeout(1000)
        assert page.locator(".lcc-interactive > img").is_visible()
        assert page.locator(".js-plotly-plot").count() == 0


def test_a_page_without_such_a_figure_loads_no_library(opened, site):
    site.write_text(site.read_text().replace("lcc-interactive", "other"))
    record = opened(site)
    record.page.wait_for_load_state("load")
    assert [url for url in record.requests if "plotly" in url] == []
