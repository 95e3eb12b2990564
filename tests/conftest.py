"""Fixtures that every test may use."""

from __future__ import annotations

import os
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
