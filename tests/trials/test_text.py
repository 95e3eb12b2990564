"""Text that leaves the program: names of any bytes, markup, formulas, and streams that end."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from lcc_utils import cli_output
from lcc_utils.cli_output import Stream, json_text, prepare_streams
from lcc_utils.data.cache import write_atomic
from lcc_utils.data.check import check
from lcc_utils.data.photographs import list_images
from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.result import Results
from lcc_utils.pipeline import predict as prediction
from lcc_utils.report.explorable import interactive_html
from lcc_utils.report.formatting import csv_text
from lcc_utils.report.interactive import roc_argument
from lcc_utils.report.model_card import model_card
from lcc_utils.report.model_directory import card
from lcc_utils.report.prediction_page import Group, Shown, page
from lcc_utils.report.style import figure_html, finish, new_figure
from lcc_utils.report.table_markup import to_html, to_markdown
from lcc_utils.text import csv_safe, escaped, markdown, printable, printable_values

EVIL = "<script>alert(1)</script>'\" onload=x <img src=x onerror=y> [a](http://b) `c` {raw}`d`"
FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "＝1", "－x"]
NOT_UTF8 = os.fsdecode(b"caf\xe9.png")
ODD_NAMES = [NOT_UTF8, "two\nlines.png", "tab\t.png", "esc\x1b[2J.png", "bidi\u202egnp.png"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LCC_CACHE", str(tmp_path / "cache"))


def picture(path: Path) -> Path:
    pixels = np.zeros((450, 450, 3), np.uint8)
    pixels[150:300, 160:290] = (90, 40, 120)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")
    return path


@settings(deadline=None)
@given(st.text())
def test_printable_text_is_utf8_of_one_line_without_codes(text):
    shown = printable(text)
    assert shown.encode().decode() == shown
    assert len(shown) == len(text)
    assert not set(shown) & set("\n\r\t\x1b\0\u2028\u202e")
    assert printable(shown) == shown


@pytest.mark.parametrize("name", ["cell 1.png", "größe.png", "細胞.png", "a\u200cb.png", "😀.png"])
def test_names_in_any_script_stay_as_they_are(name):
    assert printable(name) == csv_safe(name) == name


def test_odd_characters_become_the_replacement_sign():
    assert [printable(name) for name in ODD_NAMES] == [
        "caf\ufffd.png", "two\ufffdlines.png", "tab\ufffd.png", "esc\ufffd[2J.png",
        "bidi\ufffdgnp.png",
    ]  # fmt: skip
    assert printable("a\nb\tc\rd", lines=True) == "a\nb\tc\ufffdd"
    assert printable_values({NOT_UTF8: [NOT_UTF8, 1, None]}) == {
        "caf\ufffd.png": ["caf\ufffd.png", 1, None]
    }


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_in_a_table_is_marked_as_text(text):
    frame = pd.DataFrame({"file": [text, "b.png"], "score": [-0.5, 1.0], text: ["-1.5", "+2"]})
    table = pd.read_csv(io.StringIO(csv_text(frame)), dtype=str, keep_default_na=False)
    first = table.loc[0, "file"]
    assert first[0] in "'\ufffd"
    assert first[1:].strip("\ufffd ") in text
    assert table.columns[2][0] in "'\ufffd"
    # Numbers stay numbers, also those in a column of text.
    assert list(table["score"]) == ["-0.5", "1"]
    assert list(table.iloc[:, 2]) == ["-1.5", "+2"]


@pytest.mark.parametrize(
    "text,safe",
    [
        ("a;=cmd|calc!A0.png", "a;'=cmd|calc!A0.png"),
        ("a; @SUM(1);+1+1", "a; '@SUM(1);'+1+1"),
        ("a;\uff1d1", "a;'\uff1d1"),
        ("a; -0.5; +1e-3", "a; -0.5; +1e-3"),
        ("a; b=1", "a; b=1"),
    ],
)
def test_a_formula_after_a_semicolon_is_marked_where_lines_are_divided_there(text, safe):
    frame = pd.DataFrame({"file": [text]})
    table = pd.read_csv(io.StringIO(csv_text(frame)), dtype=str, keep_default_na=False)
    assert table.loc[0, "file"] == safe


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(max_size=6), st.sampled_from(FORMULAS), st.none()), min_size=1))
def test_no_cell_of_a_table_begins_as_a_formula(values):
    text = csv_text(pd.DataFrame({"name": pd.Series(values, dtype=object), "n": 1}))
    for value in pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)["name"]:
        assert value.lstrip()[:1] not in {*"=@\t\r", "＝", "＠"} or not value
        if value.lstrip()[:1] in {"+", "-"} and value:
            assert float(value) is not None


def test_a_table_without_such_text_is_written_as_before():
    frame = pd.DataFrame({"a": ["x", None], "b": [1.5, np.nan], "c": [True, False]})
    assert csv_text(frame) == frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")


def scored(monkeypatch) -> None:
    """Let predict score what it finds without a network."""
    values = {"score": 0.9, "probability": 0.9, "energy": 1.0, "distance": 1.0, "class": "ALL"}
    record = json.loads(Path(prediction.__file__).parents[2].joinpath(
        "models/small/model.json").read_text())  # fmt: skip

    class Record:
        training = record["training"]

        def model_dump(self, mode):
            return record

    class Model:
        record = Record()

    monkeypatch.setattr(prediction, "load_model_dir", lambda _: Model())
    monkeypatch.setattr(prediction, "gallery", lambda *_: [])
    monkeypatch.setattr(
        prediction, "_scored", lambda _, files, __: [[prediction._row(f, **values) for f in files]]
    )


@pytest.mark.skipif(sys.platform == "darwin", reason="names there are UTF-8")
def test_cells_of_any_name_are_scored_and_shown_harmless(tmp_path, monkeypatch):
    scored(monkeypatch)
    folder = tmp_path / "cells"
    for name in (*ODD_NAMES, "=cmd.png", "@SUM.png", "-1.png", "<b>x.png"):
        picture(folder / name)
    monkeypatch.chdir(folder)
    done = prediction.predict(Path("model"), ["."], tmp_path / "out")
    assert done.counts["scored"] == 9
    files = set(pd.read_csv(tmp_path / "out" / "predictions.csv")["file"])
    assert {"caf\ufffd.png", "two\ufffdlines.png", "'=cmd.png", "'@SUM.png", "'-1.png"} <= files
    assert "<b>x" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    # The rows in memory keep the names by which files are found again.
    assert all(Path(file).is_file() for file in done.table["file"])


@pytest.mark.skipif(sys.platform == "darwin", reason="names there are UTF-8")
def test_a_report_on_a_tree_shows_odd_names_harmless(tmp_path):
    root = tmp_path / NOT_UTF8
    picture(root / "fold_0" / "all" / "UID_11_10_1_all.png")
    for name in ODD_NAMES:
        (root / name).write_bytes(b"x")
    report = check(root)
    assert not report.faulty
    for text in (report.to_text(), json_text(report.to_dict()), json.dumps(report.to_dict())):
        assert text.encode()
        assert not set(text) & set("\x1b\u202e")
    assert "two\ufffdlines.png" in report.to_text()
    assert write_atomic(tmp_path / "log.txt", NOT_UTF8).read_text() == "caf\ufffd.png"
    with pytest.raises(RequestError, match="is not a folder"):
        check(root / "fold_0" / NOT_UTF8)


def no_markup(html: str, *tags: str) -> None:
    """Check that nothing of EVIL has become markup."""
    soup = BeautifulSoup(html, "html.parser")
    for tag in ("script", "img", "b", *tags):
        found = [t for t in soup.find_all(tag) if t.get("src") == "x" or "alert" in t.text]
        found = [t for t in found if t.get("type") != "application/json"]
        assert not found, found
    assert not soup.find_all(onload=True)
    assert not soup.find_all(onerror=True)
    assert not soup.find_all("a", href="http://b")


def everywhere(value, text=EVIL):
    """Return a record in which every text is hostile."""
    if isinstance(value, str):
        return text
    if isinstance(value, dict):
        return {key: everywhere(own, text) for key, own in value.items()}
    return [everywhere(own, text) for own in value] if isinstance(value, list) else value


def test_a_hostile_model_record_puts_no_tag_on_the_report_of_predict(root):
    record = everywhere(json.loads((root / "models/small/model.json").read_text()))
    row = {"file": f"/a/{EVIL}", "score": 0.9, "probability": 0.9, "class": EVIL, "kind": EVIL}
    row |= {"abstained": EVIL, "side": EVIL, "energy": 1.0, "distance": 1.0}
    table = pd.DataFrame([row, row | {"score": np.nan}])
    shown = Shown(row, np.zeros((9, 9, 3), np.uint8), np.zeros((3, 3)))
    html = page(record, table, {EVIL: 1}, [Group(EVIL, [shown]), Group(EVIL, [])], [EVIL])
    no_markup(html)
    assert "&lt;script&gt;alert(1)" in html
    no_markup(MarkdownIt("commonmark", {"html": True}).render(card(record)))


def hostile_run(root: Path) -> dict:
    run = json.loads((root / "results/run.json").read_text())
    run["plan"] = {}
    return everywhere(run) | {"dataset": everywhere(run["dataset"]) | {"name": "c-nmc-2019"}}


def test_a_hostile_run_puts_no_tag_on_the_model_card(root):
    cells = pd.DataFrame({
        "cell_id": ["a", "b"], "label": [1, 0], "patient": ["1", "H1"], "subject": [EVIL, "H1"],
        "phase": ["train", "train"], "fold": [0, 0],
    }).astype({"label": "Int64", "fold": "Int64"})  # fmt: skip
    run = hostile_run(root)
    cells.attrs = {"dataset": "c-nmc-2019", "label": run["dataset"]["label"]}
    text = model_card(cells, Results(), run)
    assert "alert(1)" in text
    no_markup(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


def test_a_hostile_run_puts_no_tag_into_the_banner_and_the_footer(root):
    place = root / "book" / "_ext" / "lcc_edition.py"
    spec = importlib.util.spec_from_file_location("lcc_edition_tried", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run = hostile_run(root)
    for name in ("synthetic", "c-nmc-2019", EVIL):
        edition = run | {"dataset": run["dataset"] | {"name": name}}
        no_markup(module.banner(edition) + module.footer(edition))


def test_hostile_names_put_no_tag_into_tables_and_figures():
    frame = pd.DataFrame({"id": [EVIL], EVIL: [EVIL], "page": [EVIL], "page_link": [f'"{EVIL}']})
    frame.attrs["data"] = EVIL
    no_markup(to_html(frame, EVIL, EVIL))
    csv = base64.b64decode(to_html(frame, "a", "b").split("base64,")[1].split('"')[0])
    assert csv.decode().startswith("id,")
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(to_markdown(frame))
    assert not BeautifulSoup(rendered, "html.parser").find_all(["script", "img"])
    figure, _ = new_figure(2)
    no_markup(figure_html(finish(figure, EVIL, EVIL), "<svg/>"))
    html = interactive_html(
        *roc_argument((9, 1, 1, 9), 0.95, {EVIL: ([0, 1], [0, 1])}, data_label=EVIL)
    )
    no_markup(html)
    spec = json.loads(BeautifulSoup(html, "html.parser").find("script").string)
    assert "<script" not in json.dumps(spec)


@pytest.mark.parametrize(
    "text",
    ["C-NMC 2019 (7,108 cells of 35 subjects, digest 49a86dcc)", "p < .001", "keras 3.15.1",
     "a_b, small_cnn", "without attention + focal loss", "AMD EPYC, 2 cores"],
)  # fmt: skip
def test_plain_text_is_not_changed_in_markdown(text):
    assert markdown(text) == text


def test_escaped_text_is_safe_in_attributes():
    assert escaped("a\"b'<c>&\udce9") == "a&quot;b&#x27;&lt;c&gt;&amp;\ufffd"


class Pipe(io.StringIO):
    """A stream of an encoding of its own, whose reader may go."""

    def __init__(self, encoding: str, error: OSError | None = None) -> None:
        super().__init__()
        self._encoding, self.error = encoding, error

    @property
    def encoding(self) -> str:
        return self._encoding

    def flush(self) -> None:
        if self.error:
            raise self.error


def test_what_an_encoding_lacks_becomes_plain():
    for encoding, want in (("utf-8", "−1 – é ☃"), ("latin-1", "-1 - é ?"), ("ascii", "-1 - ? ?")):
        pipe = Pipe(encoding)
        Stream(pipe, moves=False).write("−1 – é ☃\n")
        assert pipe.getvalue() == f"{want}\n"


def test_a_stream_keeps_what_progress_bars_need_and_shows_other_codes():
    pipe = Pipe("utf-8")
    Stream(pipe, moves=True).write("\r50%\x1b[A\x1b[2Ja\n")
    assert pipe.getvalue() == "\r50%\x1b[A\ufffd[2Ja\n"
    pipe = Pipe("utf-8")
    Stream(pipe, moves=False).write("\r50%\x1b[A")
    assert pipe.getvalue() == "\ufffd50%\ufffd[A"


def test_json_is_whole_in_every_encoding(monkeypatch):
    for encoding in ("utf-8", "latin-1", "ascii"):
        monkeypatch.setattr(sys, "stdout", Pipe(encoding))
        text = json_text({"a": "−\udce9"})
        assert text.encode(encoding)
        assert json.loads(text) == {"a": "−\ufffd"}


def test_a_closed_stream_is_taken_for_one_that_nobody_reads(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    prepare_streams()
    assert sys.stdout.write("a") == sys.stderr.write("b") == 1
    assert not sys.stderr.isatty()


def run(shell: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a small program that speaks as the command does, and say how it ended."""
    code = (
        "import sys; from lcc_utils.cli_output import prepare_streams; prepare_streams()\n"
        "from lcc_utils.errors import LccError\n"
        "try:\n for n in range(4000): print('−' * 20); print('.', end='\\r', file=sys.stderr)\n"
        "except LccError as error: print(error, file=sys.stderr); sys.exit(1)\n"
    )
    given = {"CODE": code, "PYTHON": sys.executable}
    given["PYTHONPATH"] = str(Path(cli_output.__file__).parents[1])
    command = f'"$PYTHON" -c "$CODE" {shell}; echo "ends ${{PIPESTATUS[0]}}"'
    return subprocess.run(
        ["bash", "-c", command], env={**os.environ, **given, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="needs bash")
@pytest.mark.parametrize(
    "shell,environment,code",
    [
        ("| head -1", {}, 0),
        ("2>&1 >/dev/null | head -c 9", {}, 0),
        ("2>&-", {}, 0),
        (">&-", {}, 0),
        (">/dev/null", {"PYTHONIOENCODING": "latin-1"}, 0),
        (">/dev/full", {}, 1),
    ],
)
def test_a_command_ends_quietly_whatever_becomes_of_its_output(shell, environment, code):
    if "/dev/full" in shell and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    done = run(shell, **environment)
    assert done.stdout.endswith(f"ends {code}\n"), done.stderr[-500:]
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_output_that_cannot_be_written_is_an_error(monkeypatch, tmp_path):
    file = (tmp_path / "out").open("w", encoding="utf-8")
    pipe = Pipe("utf-8", OSError(28, "No space left on device"))
    pipe.fileno = file.fileno
    monkeypatch.setattr(sys, "__stdout__", pipe)
    with pytest.raises(DataError, match="No space left on device"):
        Stream(pipe, moves=False).write("a\n")


def test_a_listing_refuses_in_a_sentence_of_one_line(tmp_path):
    listing = list_images([tmp_path / "two\nlines"])
    assert listing.faults == [(str(tmp_path / "two\nlines"), "not there")]
    with pytest.raises(RequestError) as error:
        prediction.predict(Path("model"), [str(tmp_path / "two\nlines")], tmp_path / "out")
    assert "\n" not in str(error.value)
