"""Files of the current folder that are named like modules: no process of ours runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lcc_utils.errors import DataError
from lcc_utils.pipeline import book
from lcc_utils.pipeline.efficiency_process import ask
from lcc_utils.pipeline.processes import environment, python, safe_path

NAMES = ("html", "json", "yaml", "numpy", "pandas", "sphinx", "logging", "joblib", "lcc_utils")
JOBLIB = """
from joblib import Parallel, delayed
from lcc_utils.pipeline.processes import safe_path
with safe_path():
    print(sum(Parallel(2)(delayed(abs)(n) for n in (1, -2))))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with a file for each of some modules, which ends what imports it."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the folder ran')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_process_of_ours_imports_the_libraries(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f":{folder / 'nothing'}:")
    program = f"import {', '.join(NAMES)}; print(lcc_utils.__file__)"
    done = subprocess.run(
        python("-c", program), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "nothing" not in done.stdout


def test_the_processes_of_joblib_import_the_libraries(folder):
    done = subprocess.run(
        python("-c", JOBLIB), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "3", done.stderr


def test_a_measurement_of_costs_is_made_there(folder):
    assert ask(folder, "CPU", {"task": "none"}) == {"reason": "KeyError: 'none'"}


def test_the_book_is_built_by_such_a_process(folder, monkeypatch):
    seen = {}

    def run(command, env, **_):
        seen.update(command=command, env=env)
        return SimpleNamespace(returncode=1, stdout="", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DataError, match="was not built"):
        book.build(folder / "source")
    assert seen["command"][:2] == [sys.executable, "-P"]
    assert seen["env"]["PYTHONSAFEPATH"] == "1"


def test_the_environment_is_as_before_afterwards(monkeypatch):
    import os

    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    before = dict(os.environ)
    with safe_path():
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert dict(os.environ) == before
