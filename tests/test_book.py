"""The book: what is staged, built, found wrong and published."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline import book_publish, manifest
from lcc_utils.pipeline.book import build, check, edition, front_page, publish, stage
from lcc_utils.pipeline.book_check import typed_numbers
from lcc_utils.pipeline.book_notebooks import failures, without_paths
from lcc_utils.pipeline.packs import experiment_folders
from lcc_utils.pipeline.store import SCHEMA
from lcc_utils.pipeline.verify import recompute

CHAPTERS = (
    "01_data", "02_training", "03_ablation", "04_monte_carlo", "05_attention", "06_calibration",
    "07_robustness", "08_efficiency", "09_claims", "10_steps",
)  # fmt: skip
KEY = "0011223344556677"
FIGURE = '<img class="lcc-figure" alt="A rising curve" src="data:image/svg+xml;base64,PHN2Zy8+">'
TABLE = "<table><tr><th>Variant</th><th>AUC</th></tr><tr><td>full</td><td>.91</td></tr></table>"


SYNTHETIC = {
    "name": "synthetic", "cells": 1200, "subjects": 24, "digest": "ab12cd34ef567890",
    "label": "synthetic cells (1,200 cells of 24 subjects, digest ab12cd34)",
}  # fmt: skip
REAL = {
    "name": "c-nmc-2019", "cells": 7108, "subjects": 59, "digest": "ffff000011112222",
    "label": "C-NMC 2019 (7,108 cells of 59 subjects, digest ffff0000)",
}  # fmt: skip


def html_output(html: str, **mark: str):
    return new_output(
        "display_data", data={"text/html": html, "text/plain": ""}, metadata={"lcc": mark}
    )


def executed_notebook(title: str, data: str = "/srv/someone/C-NMC"):
    notebook = new_notebook(
        cells=[
            new_markdown_cell(f"# {title}\n\nWhat this chapter shows."),
            new_code_cell(
                f'data = "{data}"', metadata={"tags": ["injected-parameters", "hide-input"]}
            ),
            new_code_cell("show_table(study)", outputs=[html_output(TABLE, table="ablation")]),
            new_code_cell(
                "show_figure(study)",
                metadata={"tags": ["hide-input"], "papermill": {"duration": 3.5}},
                outputs=[
                    new_output("stream", name="stderr", text="noise of a library"),
                    html_output(FIGURE, figure="curve"),
                ],
            ),
            new_code_cell("gallery(study)", outputs=[html_output(FIGURE, pixels="real")]),
            new_code_cell(
                "print(data)", outputs=[new_output("stream", name="stdout", text=f"{data}/fold_0")]
            ),
        ]
    )
    notebook.metadata["papermill"] = {
        "parameters": {"data": data},
        "input_path": "/srv/someone/01_data.ipynb",
        "exception": None,
    }
    return notebook


def run_json(**changes) -> dict:
    run = {
        "schema": SCHEMA,
        "run": "demo-3f2a9c1b",
        "profile": "demo",
        "overrides": {},
        "settings": {},
        "plan": {"training": [{"variant": "full", "split": "one", "seed": 0, "key": KEY}]},
        "refused": [],
        "dataset": SYNTHETIC,
        "versions": {"python": "3.11"},
        "backend": "tensorflow",
        "git": {"commit": "0123456789abcdef0123", "dirty": False},
        "hardware": {"cpu": "A CPU", "cores": 2, "memory_gib": 24, "gpu": None},
        "created": "2026-01-01T10:00:00+00:00",
        "finished": "2026-01-01T10:09:00+00:00",
        "seconds": 540.0,
    }
    return run | changes


def make_run(folder: Path, **changes) -> Path:
    (folder / "notebooks").mkdir(parents=True)
    for name in CHAPTERS:
        nbformat.write(executed_notebook(name), str(folder / "notebooks" / f"{name}.ipynb"))
    (folder / "run.json").write_text(json.dumps(run_json(**changes)))
    (folder / "cells.csv").write_text("cell_id,label\nUID_1_1_1_all,1\n")
    (folder / "figures").mkdir()
    (folder / "figures" / "curve.svg").write_text("<svg/>")
    (folder / "tables").mkdir()
    (folder / "tables" / "ablation.csv").write_text("variant,auc\nfull,0.91\n")
    add_experiment(folder, KEY)
    return folder


def add_experiment(folder: Path, key: str) -> None:
    experiment = folder / "experiments" / key
    experiment.mkdir(parents=True)
    for name in ("predictions.csv", "history.csv", "experiment.json", "origin.json", "model.keras"):
        (experiment / name).write_text("{}\n")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "demo-3f2a9c1b")


@pytest.fixture
def repo(tmp_path: Path, root: Path) -> Path:
    """A repository with an old edition, as publish finds it."""
    repo = tmp_path / "repo"
    (repo / "book" / "chapters").mkdir(parents=True)
    shutil.copy(root / "_toc.yml", repo / "book" / "_toc.yml")
    toc = (repo / "book" / "_toc.yml").read_text()
    assert all(f"chapters/{name}" in toc for name in CHAPTERS)
    (repo / "book" / "index.md").write_text("# The old edition\n")
    (repo / "book" / "chapters" / "old.ipynb").write_text("{}")
    (repo / "results" / "bench").mkdir(parents=True)
    (repo / "results" / "bench" / "speed.json").write_text("{}")
    (repo / "results" / "run.json").write_text('{"run": "old"}')
    return repo


def copy_small_package(folder: Path, root: Path) -> Path:
    """Copy a part of the package: its API pages take seconds, those of the whole many more."""
    package = folder / "lcc_utils"
    package.mkdir(parents=True)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(root / "lcc_utils" / name, package / name)
    return package


def build_once(base: Path, root: Path) -> Path:
    """Build a book of four chapters once a session, for this file and for test_browser."""
    run = base / "book-of-the-tests" / "demo-3f2a9c1b"
    html = run / "book" / "_build" / "html"
    if html.is_dir():
        return html
    make_run(run)
    claims = "| Claim | Ours |\n| --- | --- |\n| a | b |"
    source = stage(run, root / "book", run / "book", claims=claims)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCC_PACKAGE", str(copy_small_package(run / "package", root)))
        return build(source)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    return build_once(tmp_path_factory.getbasetemp(), root)


def spoil(html_dir: Path, copy: Path, page: str, old: str, new: str) -> list[str]:
    """Check a copy of the built book in which one thing was changed."""
    shutil.copytree(html_dir, copy)
    text = (copy / page).read_text(encoding="utf-8")
    assert old in text
    (copy / page).write_text(text.replace(old, new, 1), encoding="utf-8")
    return check(copy, [])


# The built book


def test_a_sound_book_has_no_problem(built: Path):
    notebooks = sorted((built.parents[1] / "chapters").glob("*.ipynb"))
    assert len(notebooks) == len(CHAPTERS)
    assert check(built, notebooks) == []


def test_every_page_says_what_it_was_computed_on(built: Path):
    pages = [path for path in built.rglob("*.html") if "_static" not in path.parts]
    assert len(pages) > 8
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert "synthetic cells (1,200 drawn from a seed, 24 subjects)" in text, path.name
        assert "0123456789ab" in text, path.name
        assert "ab12cd34ef567890" in text, path.name


def test_the_front_page_shows_the_claims_and_the_formulas_are_local(built: Path):
    assert "What was claimed, and what holds" in (built / "index.html").read_text()
    method = (built / "method.html").read_text()
    assert 'src="_static/mathjax/tex-svg.js' in method
    assert (built / "_static" / "mathjax" / "tex-svg.js").stat().st_size > 1_000_000


PLANTED = [
    ("index.html", 'href="data.html"', 'href="gone.html"', "the link gone.html leads nowhere"),
    ("index.html", 'href="data.html"', 'href="data.html#no"', "names an anchor that is not there"),
    ("chapters/01_data.html", 'src="data:image', 'src="lost.svg" title="', "needs lost.svg"),
    ("chapters/01_data.html", 'alt="A rising curve"', 'alt=""', "no alternative text"),
    ("method.html", "</head>", '<script src="https://a.example/x.js"></script>', "from outside"),
    ("method.html", "</head>", '<link rel="stylesheet" href="//a.example/x.css">', "from outside"),
    ("method.html", "</head>", "<style>p{background:url(//a.example/i)}</style>", "from outside"),
    ("method.html", "<h1>", '<img alt="A cell" src="http://a.example/i.png"><h1>', "from outside"),
    ("method.html", "lcc-banner", "other", "lacks the banner"),
    ("method.html", "lcc-edition", "other", "lacks the footer"),
    ("chapters/01_data.html", "/C-NMC/fold_0", "Traceback (most recent call last)", "a traceback"),
]


@pytest.mark.parametrize("page, old, new, found", PLANTED)
def test_a_planted_fault_in_a_page_is_found(built, tmp_path, page, old, new, found):
    problems = spoil(built, tmp_path / "html", page, old, new)
    assert problems
    assert any(line.startswith(page) and found in line for line in problems), problems


def test_a_style_sheet_that_fetches_from_outside_is_found(built: Path, tmp_path: Path):
    shutil.copytree(built, tmp_path / "html")
    with (tmp_path / "html" / "_static" / "lcc.css").open("a") as file:
        file.write('@import url("https://a.example/font.css");')
    problems = check(tmp_path / "html", [])
    assert problems == ["_static/lcc.css: a style fetches from outside"]


def test_a_warning_stops_the_build_and_is_named(tmp_path, run, root, monkeypatch):
    monkeypatch.setenv("LCC_PACKAGE", str(copy_small_package(tmp_path / "package", root)))
    source = stage(run, root / "book", tmp_path / "staged")
    with (source / "references.md").open("a") as file:
        file.write("\n{cite:p}`nobody1900`\n")
    with pytest.raises(DataError, match="nobody1900"):
        build(source)


# Notebooks


def notebook_file(folder: Path, *cells, **metadata) -> Path:
    notebook = new_notebook(cells=list(cells), metadata=metadata)
    nbformat.write(notebook, str(folder / "chapter.ipynb"))
    return folder / "chapter.ipynb"


def test_a_failed_notebook_is_found(built: Path, tmp_path: Path):
    error = new_output("error", ename="ValueError", evalue="no", traceback=["no"])
    path = notebook_file(
        tmp_path, new_code_cell("f()", outputs=[error]), papermill={"exception": True}
    )
    assert check(built, [path]) == [
        "chapter.ipynb: papermill recorded an exception",
        "chapter.ipynb: cell 1 ended with ValueError",
    ]


def test_a_number_typed_into_a_chapter_is_found(built: Path, tmp_path: Path):
    path = notebook_file(tmp_path, new_markdown_cell("The F1 is 97.89 in the end."))
    assert check(built, [path]) == ["chapter.ipynb: cell 1 has the typed number 97.89"]


def test_typed_numbers_are_decimals_and_percentages_in_prose_alone():
    assert typed_numbers("An F1 of 0.93, .94 or 97.89 %, and 12 % or 5 percent.") == [
        "0.93", ".94", "97.89 %", "12 %", "5 percent",
    ]  # fmt: skip
    assert typed_numbers("Fold 2, 450 by 450, `0.5`, $x = 0.5$, version 1.2.3.") == []
    assert typed_numbers("[paper](https://a.example/0.5), arXiv 2601.01026, CC BY 4.0.") == []


def test_no_narrative_page_types_a_result(root: Path):
    computed = ("index.md", "model_card.md", "speed.md")
    pages = [path for path in (root / "book").glob("*.md") if path.name not in computed]
    assert len(pages) >= 5
    assert {path.name: typed_numbers(path.read_text()) for path in pages} == {
        path.name: [] for path in pages
    }


# Staging


def test_a_staged_book_holds_pages_chapters_edition_and_front_page(run, root, tmp_path):
    out = stage(run, root / "book", tmp_path / "book")
    assert {path.stem for path in (out / "chapters").iterdir()} == set(CHAPTERS)
    assert json.loads((out / "edition.json").read_text()) == edition(run_json())
    assert (out / "index.md").read_text() == front_page(run)
    assert not (out / "_config.yml").is_symlink()
    first = nbformat.read(str(out / "chapters" / "01_data.ipynb"), as_version=4)
    kinds = [o.get("name", o.output_type) for cell in first.cells for o in cell.get("outputs", [])]
    assert kinds == ["display_data", "display_data", "display_data", "stdout"]
    assert first.metadata.language_info.name == "python"


def test_staging_again_replaces_what_was_there(run, root, tmp_path):
    out = stage(run, root / "book", tmp_path / "book")
    (out / "stale.md").write_text("old")
    stage(run, root / "book", out)
    assert not (out / "stale.md").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_chapter_that_the_run_lacks_leaves_the_contents(run, root, tmp_path):
    (run / "notebooks" / "03_ablation.ipynb").unlink()
    toc = (stage(run, root / "book", tmp_path / "book") / "_toc.yml").read_text()
    assert "chapters/02_training" in toc
    assert "03_ablation" not in toc


def test_staging_what_is_no_run_is_refused(tmp_path, root):
    with pytest.raises(RequestError, match=r"no run\.json"):
        stage(tmp_path, root / "book", tmp_path / "book")


def test_the_front_page_of_real_cells_differs_from_that_of_synthetic_ones(tmp_path):
    real = front_page(make_run(tmp_path / "real", dataset=REAL))
    synthetic = front_page(make_run(tmp_path / "synthetic"))
    assert "7,108 cells of 59 subjects" in real
    assert "nothing about leukaemia" not in real
    assert "say nothing about leukaemia" in synthetic


# Publishing


def published_texts(repo: Path) -> str:
    files = [*(repo / "results").rglob("*"), *(repo / "book").rglob("*")]
    return "\n".join(path.read_text() for path in files if path.is_file())


def test_publishing_replaces_the_edition_and_leaves_the_rest(run: Path, repo: Path):
    publish(run, repo)
    results = {p.relative_to(repo / "results").as_posix() for p in (repo / "results").rglob("*.*")}
    experiment = f"experiments/{KEY}"
    assert (repo / "results" / "SHA256SUMS").is_file()
    assert manifest.problems(manifest.of_edition(repo)) == []
    assert results == {
        "run.json", "cells.csv", "tables/ablation.csv", "bench/speed.json",
        "figures/curve.svg",
        f"{experiment}/predictions.csv", f"{experiment}/history.csv",
        f"{experiment}/experiment.json", f"{experiment}/origin.json",
    }  # fmt: skip
    assert {path.stem for path in (repo / "book" / "chapters").iterdir()} == set(CHAPTERS)
    assert json.loads((repo / "book" / "edition.json").read_text())["run"] == "demo-3f2a9c1b"
    assert (repo / "book" / "index.md").read_text() == front_page(repo / "results")
    assert list(repo.glob(".publish-*")) == []


def test_many_experiments_of_a_variant_are_published_as_one_archive(tmp_path, repo):
    keys = [f"{number:016x}" for number in range(20)]
    place = {"variant": "Logistic regression", "split": "s"}
    plan = {
        "training": [{"variant": "full", "split": "one", "seed": 0, "key": KEY}],
        "monte_carlo": [{**place, "seed": n, "key": key} for n, key in enumerate(keys)],
    }
    run = make_run(tmp_path / "run", plan=plan)
    for key in keys[:-1]:
        add_experiment(run, key)
    publish(run, repo)
    assert len(list((repo / "results" / "experiments").iterdir())) == 20
    add_experiment(run, keys[-1])
    publish(run, repo)
    left = {path.name for path in (repo / "results" / "experiments").iterdir()}
    assert left == {KEY, "monte-carlo-logistic-regression.zip"}
    assert set(experiment_folders(repo / "results" / "experiments")) == {KEY, *keys}


def test_what_is_published_as_archives_is_recomputed_from_them(tiny_run, repo, monkeypatch):
    # The small run has eight experiments of each variant of its Monte Carlo study and of one that
    # it repeats, and nine of each of leakage and of its steps.
    monkeypatch.setattr(book_publish, "_PACKED", 7)
    publish(tiny_run, repo)
    packs = sorted(path.name for path in (repo / "results" / "experiments").glob("*.zip"))
    assert packs == [
        "leakage-gradient-boosting.zip",
        "leakage-logistic-regression.zip",
        "monte-carlo-frozen-features.zip",
        "monte-carlo-logistic-regression.zip",
        "repeats-small-network.zip",
        "steps-logistic-regression.zip",
    ]
    assert len(list((repo / "results" / "experiments").glob("[0-9a-f]*"))) > 20
    found = recompute(repo / "results", repo / "book" / "chapters")[0]
    assert found.problems == []
    assert found.experiments == len(list((tiny_run / "experiments").iterdir()))
    with zipfile.ZipFile(repo / "results" / "experiments" / packs[0]) as pack:
        files = {name: pack.read(name) for name in pack.namelist()}
    name = next(name for name in files if name.endswith("predictions.csv"))
    files[name] = files[name].replace(b",0.", b",1.", 1)
    with zipfile.ZipFile(repo / "results" / "experiments" / packs[0], "w") as pack:
        for own, content in files.items():
            pack.writestr(own, content)
    problems = recompute(repo / "results", repo / "book" / "chapters")[0].problems
    assert any(f"{packs[0]}/{name} is not the file that" in line for line in problems)


def test_why_experiments_failed_is_published_without_paths_and_goes_when_they_succeed(run, repo):
    reason = f"{run.resolve()}/experiments/x cannot be read."
    (run / "failures.json").write_text(json.dumps({KEY: reason}))
    (run / "tables" / "progress.csv").write_text(f"study,reason\ntraining,{reason}\n")
    publish(run, repo)
    said = f"runs/{run_json()['run']}/experiments/x cannot be read."
    assert json.loads((repo / "results" / "failures.json").read_text()) == {KEY: said}
    assert said in (repo / "results" / "tables" / "progress.csv").read_text()
    (run / "failures.json").unlink()
    publish(run, repo)
    assert not (repo / "results" / "failures.json").exists()


def test_publishing_leaves_out_real_cells_noise_times_and_machine_paths(run: Path, repo: Path):
    publish(run, repo)
    notebook = nbformat.read(str(repo / "book" / "chapters" / "01_data.ipynb"), as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [o.metadata["lcc"] for o in outputs if o.get("metadata")] == [
        {"table": "ablation"},
        {"figure": "curve"},
    ]
    assert "not redistributed here" in outputs[2].data["text/markdown"]
    assert outputs[3].text == "path/to/C-NMC/fold_0"
    text = published_texts(repo)
    assert "noise of a library" not in text
    assert "/srv/someone" not in text
    assert str(run) not in text
    assert "papermill" not in notebook.metadata
    assert "papermill" not in notebook.cells[3].metadata
    assert notebook.cells[3].metadata["tags"] == ["hide-input"]


@pytest.mark.parametrize("fault", ["unfinished", "failed", "incomplete", "no predictions"])
def test_a_run_that_cannot_be_published_leaves_the_old_edition(tmp_path, repo, fault):
    run = make_run(tmp_path / "run", finished=None if fault == "unfinished" else "2026-01-01")
    kind = DataError
    if fault == "unfinished":
        kind = RequestError
    if fault == "failed":
        notebook = executed_notebook("Training")
        notebook.metadata["papermill"]["exception"] = True
        nbformat.write(notebook, str(run / "notebooks" / "02_training.ipynb"))
    if fault == "incomplete":
        kind = RequestError
        (run / "notebooks" / "02_training.ipynb").unlink()
    if fault == "no predictions":
        next((run / "experiments").rglob("predictions.csv")).unlink()
    before = published_texts(repo)
    with pytest.raises(kind):
        publish(run, repo)
    assert published_texts(repo) == before
    assert not list(repo.glob(".publish-*"))


def test_a_failure_while_replacing_brings_the_old_edition_back(run, repo, monkeypatch):
    before = published_texts(repo)
    replace = Path.replace

    def full_disk(source, target):
        if Path(target).name == "edition.json":
            raise OSError(28, "No space left on device")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        publish(run, repo)
    assert published_texts(repo) == before


def test_paths_are_replaced_as_whole_words_and_not_in_encoded_images():
    paths = {"/sea": "~", "/sea/data": "path/to/C-NMC"}
    value = {"text": ["/sea/data/fold_0 /seaside"], "image/png": "/sea", "html": "QUJD/sea"}
    assert without_paths(value, paths) == {
        "text": ["path/to/C-NMC/fold_0 /seaside"],
        "image/png": "/sea",
        "html": "QUJD/sea",
    }


def test_a_sound_notebook_has_no_failure():
    assert failures(executed_notebook("Data")) == []
    assert nbformat.read(io.StringIO(nbformat.writes(executed_notebook("Data"))), 4)
