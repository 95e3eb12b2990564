"""Runs that are disturbed: two at a time, a part only, files gone, kernels and parents killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from lcc_utils import cli
from lcc_utils.data.cnmc import data_digest
from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline import attempt, notebooks
from lcc_utils.pipeline.attempt import has_result
from lcc_utils.pipeline.begin import data_label
from lcc_utils.pipeline.completeness import need_chapters
from lcc_utils.pipeline.config import load_config
from lcc_utils.pipeline.foreign import _check_free
from lcc_utils.pipeline.foreign_run import reopened
from lcc_utils.pipeline.lock import alone, lock_path
from lcc_utils.pipeline.measured import add_table
from lcc_utils.pipeline.run import Run, open_run
from lcc_utils.pipeline.store import read_json, write_experiment

ROOT = Path(__file__).resolve().parents[2]
STUDY = {
    "splits": [{"protocol": "patient", "shares": [0.5, 0.25, 0.25]}],
    "seeds": 2,
    "variants": {"logistic regression": {"model.backbone": "logistic_regression"}},
}
CELLS = pd.DataFrame(
    {
        "cell_id": [f"c{number:03}" for number in range(48)],
        "label": pd.array([number % 2 for number in range(48)], "Int64"),
        "patient": [f"p{number // 4 * 2 + number % 2:02}" for number in range(48)],
        "subject": [f"p{number // 4 * 2 + number % 2:02}" for number in range(48)],
        "phase": "train",
        "fold": pd.array([0] * 48, "Int64"),
        "pixel_sha256": [f"{number:064x}" for number in range(48)],
        "path": "",
    }
)
CELLS.attrs = {"dataset": "synthetic", "label": data_label("synthetic", CELLS), "root": ""}


@pytest.fixture
def places(monkeypatch, tmp_path) -> Path:
    """The folder of runs; the cache and what holds locks are of the test alone."""
    monkeypatch.setenv("LCC_RUNS", str(tmp_path / "a:b" / "runs"))
    monkeypatch.setenv("LCC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LCC_LOCKS", "")
    for name in ("LCC_JOBS", "LCC_DASK", "LCC_DEADLINE"):
        monkeypatch.setenv(name, "")
    return tmp_path / "a:b" / "runs"


def opened(name: str = "plain") -> Run:
    config = load_config("demo", {"studies": {"monte_carlo": STUDY}})
    return Run(name, config, CELLS, data_digest(CELLS), {"studies.monte_carlo.seeds": 2})


@pytest.fixture
def run(places) -> Run:
    return opened()


# --- names ---


@pytest.mark.parametrize("name", ["../x", ".", "a/b", "x" * 300, "con", " "])
def test_a_run_is_not_written_outside_its_folder(places, name):
    with pytest.raises(RequestError, match="The name of the run"):
        open_run("demo", run=name)
    with pytest.raises(RequestError, match="The name of the run"):
        opened(name)
    assert not places.exists()


def test_a_run_whose_name_papermill_took_for_a_number_is_found(run, monkeypatch):
    opened("2024")
    monkeypatch.setattr("lcc_utils.pipeline.run.load_config", lambda *_: run.config)
    monkeypatch.setattr("lcc_utils.pipeline.run.open_cells", lambda *_: CELLS)
    monkeypatch.setattr("lcc_utils.pipeline.run.cnmc.data_digest", lambda _: run.digest)
    assert open_run("demo", run=2024).folder == run.folder.with_name("2024")


@pytest.mark.parametrize("name", ["", "x" * 300, "../nowhere"])
def test_a_run_that_is_not_there_is_said_so_whatever_its_name(run, name):
    with pytest.raises(RequestError, match="There is no run"):
        cli._folder(name)
    assert cli._folder(str(run.folder)) == run.folder
    assert cli._folder(run.name) == run.folder


def test_a_foreign_set_does_not_replace_another_whose_name_differs_in_signs(run):
    def added(name: str) -> dict[str, pd.DataFrame]:
        return {"sets": pd.DataFrame([{"source": name, "digest": "d"}])}

    add_table(run.folder, "robustness", "set-blood-a", added("Blood A"))
    _check_free(run, "Blood A")
    _check_free(run, "Blood B")
    with pytest.raises(RequestError, match="'blood, a' would replace the set 'Blood A'"):
        _check_free(run, "blood, a")


# --- two at a time ---

HOLD = """
import sys
from pathlib import Path
from lcc_utils.pipeline.lock import alone
with alone(Path(sys.argv[1]), "run", "computed"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(run):
    """Another process that computes in the run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.folder)], stdin=subprocess.PIPE, text=True,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_command_says_who_computes_and_the_dead_do_not_block(
    run, other, monkeypatch, capsys
):
    monkeypatch.setattr("lcc_utils.pipeline.run.open_run", lambda *_, **__: run)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    assert cli.main(["run", "demo", "--run", run.name, "--resume"]) == 1
    said = capsys.readouterr().err
    assert f"{run.folder} is being computed by another process (process {other.pid} on " in said
    assert "since 20" in said
    assert said.count("\n") == 1
    # A notebook by hand computes nothing either, and reads what is there.
    with pytest.raises(DataError, match=f"process {other.pid}"):
        run.compute(progress=False)
    assert run.gather().missing["monte_carlo"]
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before
    other.send_signal(signal.SIGKILL)
    other.wait()
    with run.working():
        pass


def test_what_a_command_begins_is_not_blocked_by_it(run):
    code = HOLD.replace("sys.stdin.read()", "")
    with run.working(), run.working():
        done = subprocess.run(
            [sys.executable, "-c", code, str(run.folder)], text=True, capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "held\n"), done.stderr
    assert os.environ["LCC_LOCKS"] == "[]"
    assert json.loads(lock_path(run.folder, "run").read_text())["pid"] == os.getpid()


def test_two_books_and_two_publications_do_not_mix(run, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("lcc_utils.pipeline.run.REPOSITORY", tmp_path)
    run.finish()
    for command, folder, work in (
        ("book", run.folder, "book"),
        ("publish", tmp_path / "results", "publish"),
        ("publish", run.folder, "run"),
    ):
        code = HOLD.replace('"run"', repr(work))
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert process.stdout.readline() == "held\n"
        assert cli.main([command, run.name]) == 1
        assert f"by another process (process {process.pid} on " in capsys.readouterr().err
        process.communicate("")


def test_works_of_different_kinds_do_not_wait_for_each_other(run, other):
    with alone(run.folder, "book", "made into a book"):
        pass


# --- a part of a run ---


@pytest.mark.parametrize(
    "there, said",
    [
        (("01_data", "02_training"), "chapters 03_ablation to 10_steps have not run"),
        ((), "chapters 01_data to 10_steps have not run"),
        (None, "it was stopped before its end"),
    ],
)
def test_a_book_of_a_part_is_refused_with_the_command_that_completes_it(run, capsys, there, said):
    chapters = [path.stem for path in notebooks.chapters()]
    for name in chapters if there is None else there:
        path = run.folder / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    assert cli.main(["publish", run.name]) == 2
    assert said in capsys.readouterr().err
    assert cli.main(["book", run.name]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert f"lcc run demo --run {run.name} -p studies.monte_carlo.seeds=2 --resume" in error
    with pytest.raises(RequestError, match=said):
        need_chapters(run.folder)
    assert not (run.folder / "book").exists()


def test_a_run_is_finished_once_every_chapter_has_run_in_whatever_parts(run, monkeypatch):
    def execute(run, parameters, only):
        for path in notebooks.chapters(only):
            target = run.folder / "notebooks" / f"{path.stem}.ipynb"
            target.parent.mkdir(exist_ok=True)
            target.write_text("{}")

    monkeypatch.setattr(notebooks, "execute", execute)
    args = Namespace(profile="demo", data=None, only="01,02,03,04")
    assert cli._complete(run, args, {}, None) == 0
    assert not run.finished
    args.only = "05,06,07,08,09,10"
    cli._complete(run, args, {}, None)
    assert run.finished
    need_chapters(run.folder)
    assert read_json(run.folder / "run.json")["seconds"] == 0


# --- whole or not at all ---

FRAMES = (
    {"key": "k", "study": "s", "variant": "v", "seed": 0, "split": {"name": "x"}, "settings": {}},
    pd.DataFrame(
        {"cell_id": ["a"], "patient": ["1"], "subject": ["1"], "label": [1], "score": [0.5],
         "partition": ["test"]}
    ),
    pd.DataFrame({"epoch": [1]}),
    {"seconds": 1},
)  # fmt: skip


@pytest.mark.parametrize(
    "gone", ["experiment.json", "predictions.csv", "history.csv", "origin.json"]
)
def test_an_experiment_that_lacks_a_file_is_computed_again_and_replaced(tmp_path, gone):
    folder = tmp_path / "experiments" / "k"
    write_experiment(folder, *FRAMES)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert has_result(tmp_path, "k")
    (folder / gone).unlink()
    (folder / "else.txt").write_text("x")
    assert not has_result(tmp_path, "k")
    write_experiment(folder, *FRAMES)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert list(folder.parent.iterdir()) == [folder]


def test_the_table_of_cells_is_written_again_when_it_is_gone(run):
    before = (run.folder / "cells.csv").read_bytes()
    record = (run.folder / "run.json").read_bytes()
    (run.folder / "cells.csv").unlink()
    opened()
    assert (run.folder / "cells.csv").read_bytes() == before
    assert (run.folder / "run.json").read_bytes() == record


def full(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("when", ["opened", "written"])
def test_a_full_disk_ends_an_experiment_with_its_reason_alone(run, monkeypatch, capfd, when):
    experiment = run.plan.experiments["monte_carlo"][0]
    if when == "opened":
        monkeypatch.setattr(attempt._File, "_open", full)
    elif Path("/dev/full").exists():
        (run.folder / "logs").mkdir()
        (run.folder / "logs" / f"{experiment.key}.log").symlink_to("/dev/full")
    monkeypatch.setattr(attempt, "run_experiment", full)
    reason = attempt.attempt(experiment, CELLS, run.folder)
    assert reason == "The disk is full; free space and start again."
    assert capfd.readouterr() == ("", "")


# --- kernels ---


HEAD = "".join(
    f"# {line}\n"
    for line in ("---", "jupyter:", "  kernelspec:", "    display_name: Python 3",
                 "    language: python", "    name: python3", "---")
)  # fmt: skip


@pytest.fixture
def chapter(tmp_path, monkeypatch, places):
    """Execute one cell of code as the chapter ``01_trial`` and return its output."""
    sources = tmp_path / "sources"
    sources.mkdir()
    monkeypatch.setattr(notebooks, "SOURCES", sources)

    def execute(code: str) -> str:
        text = f'{HEAD}# %% tags=["parameters"]\nrun = ""\n\n# %%\n{code}\n'
        (sources / "01_trial.py").write_text(text)
        [path] = notebooks.execute(Namespace(folder=tmp_path / "run"), {"run": "x"})
        cells = nbformat.read(str(path), as_version=4).cells
        return "".join(out["text"] for cell in cells for out in cell.get("outputs", []))

    return execute


def test_notebooks_run_in_this_python_whatever_kernels_and_profiles_there_are(
    chapter, tmp_path, monkeypatch
):
    kernel = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    startup = tmp_path / "ipython" / "profile_default" / "startup" / "00.py"
    for path, text in (
        (kernel, json.dumps({"argv": ["false"], "display_name": "x", "language": "python"})),
        (startup, "import sys; sys.poison = True"),
        (tmp_path / "start.py", "import sys; sys.poison = True"),
        (
            startup.parents[1] / "ipython_config.py",
            "c.InteractiveShell.ast_node_interactivity='all'",
        ),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "start.py"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "no" / "such" / "\x7f"))
    (tmp_path / "no").write_text("no folder")
    code = """import sys
print(sys.executable, hasattr(sys, "poison"), get_ipython().ast_node_interactivity)"""
    assert chapter(code) == f"{sys.executable} False last_expr\n"


def test_a_kernel_that_is_killed_is_named_with_its_chapter(chapter, tmp_path):
    with pytest.raises(DataError, match="Notebook 01_trial failed: its kernel died"):
        chapter("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(DataError, match="Notebook 01_trial failed: KeyError: 'x'"):
        chapter("{}['x']")
    assert not list((tmp_path / "run").glob("notebooks/*.ipynb"))


# --- parents that are killed ---

PARALLEL = """
import os, sys, time
from pathlib import Path
from types import SimpleNamespace
from lcc_utils.pipeline import executors

def remote(experiment, place):
    (place.folder / str(os.getpid())).touch()
    time.sleep(600)

executors._remote = remote
one, two = SimpleNamespace(key="a"), SimpleNamespace(key="b")
place = SimpleNamespace(folder=Path(sys.argv[1]))
executors.in_processes([one, two], place, 2, float("inf"), print)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARALLEL, str(tmp_path)], stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < end:
            assert parent.poll() is None
            time.sleep(0.05)
        workers = [int(path.name) for path in tmp_path.iterdir()]
        assert len(workers) == 2
        assert all(map(alive, workers))
    finally:
        parent.kill()
        parent.wait()
    end = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_a_run_that_has_no_seconds_yet_is_read_by_every_page(run):
    record = read_json(run.folder / "run.json")
    assert "seconds" not in record
    shutil.copytree(run.folder, run.folder.with_name("copy"))
    for command in (["claims"], ["verify"]):
        assert cli.main([*command, "copy"]) == 0


@pytest.mark.parametrize("name", ["--data", "--run", "--reuse", "--only", "--dask"])
@pytest.mark.parametrize("value", ["", " "])
def test_an_option_that_is_empty_is_not_taken_for_one_left_out(capsys, name, value):
    assert cli.main(["run", "demo", name, value]) == 2
    assert f"{name} is empty" in capsys.readouterr().err


def test_claims_of_a_run_without_a_name_are_not_those_of_the_edition(capsys):
    assert cli.main(["claims", ""]) == 2
    assert "There is no run ''" in capsys.readouterr().err


def test_a_run_in_a_folder_of_another_name_is_said_so(run):
    other = run.folder.with_name("copy")
    shutil.copytree(run.folder, other)
    with pytest.raises(RequestError, match="named otherwise than the run in it, plain"):
        reopened(other, None)
