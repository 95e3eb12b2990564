"""Fixtures that every test may use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real cells and facts beside the repository; without it, the test is skipped."""
    path = Path(os.environ.get("LCC_SHARED", ROOT.parent / "shared"))
    if not (path / "cnmc").is_dir():
        pytest.skip(
            f"needs real cells in {path / 'cnmc'}; set LCC_SHARED to the folder above cnmc/"
        )
    return path


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose runs and caches lie in a folder of the tests."""
    folder = tmp_path_factory.mktemp("lcc")
    return {
        **os.environ,
        "LCC_CACHE": str(folder / "cache"),
        "LCC_RUNS": str(folder / "runs"),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="session")
def lcc(places: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command ``lcc`` as a user does, in a process of its own."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lcc_utils.cli", *arguments]
        return subprocess.run(command, env=places, capture_output=True, text=True, check=False)

    return call


@pytest.fixture(scope="session")
def tiny_run(lcc, places: dict[str, str]) -> Path:
    """A finished run of the profile ``tests/tiny.yml``, every notebook executed."""
    done = lcc("run", str(ROOT / "tests" / "tiny.yml"), "--run", "tiny")
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(places["LCC_RUNS"]) / "tiny"
