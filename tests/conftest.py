"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Each takes more than 20 s.
LONG = {
    "test_augment", "test_bench", "test_book", "test_browser", "test_classifier", "test_compute",
    "test_efficiency", "test_jax", "test_predict", "test_published", "test_training",
}  # fmt: skip
THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes share the cores; this stands before anything that reads it is imported.
    for _name in THREADS:
        os.environ.setdefault(_name, "1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal out files to processes, and to one, first, all that asks for the finished run.

    Then come the files that take longest, so that the processes end at about the same time.
    """
    for item in items:
        waits = "tiny_run" in item.fixturenames
        group = "the finished run" if waits else item.path.stem
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: ("tiny_run" not in item.fixturenames, item.path.stem not in LONG))


def pytest_collection_finish() -> None:
    """Leave what is imported out of every later search for garbage.

    statsmodels asks for one with each adjustment of p values; beside TensorFlow it takes .3 s.
    """
    gc.collect()
    gc.freeze()


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
    """An environment whose runs and caches lie in a folder of the tests.

    The processes of the tests share the cache, as those of a run may.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return {
        **os.environ,
        "LCC_CACHE": str(shared / "lcc-cache"),
        "LCC_RUNS": str(tmp_path_factory.mktemp("runs")),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="session")
def under_jax(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Keras runs on JAX: it compiles soon, once, and to slower code."""
    return {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("jax")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
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


@pytest.fixture(scope="module")
def small_run(tiny_run, places: dict[str, str], tmp_path_factory: pytest.TempPathFactory):
    """A copy of that run, opened, which the tests of one file may change."""
    from lcc_utils.pipeline.run import open_run

    folder = tmp_path_factory.mktemp("small")
    shutil.copytree(tiny_run, folder / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCC_CACHE", places["LCC_CACHE"])
        patch.setenv("LCC_RUNS", str(folder))
        yield open_run(str(ROOT / "tests" / "tiny.yml"), run="tiny")
