"""Python processes of our own, in which files of the current folder do not hide modules.

``python -c`` and ``python -m`` look for modules in the current folder first: there a file
``json.py`` of the user would run in place of the library.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lcc_utils

__all__ = ["environment", "python", "safe_path"]

_SAFE = "PYTHONSAFEPATH"


def python(*arguments: str) -> list[str]:
    """Return the command that runs this Python with arguments such as ``-c`` and a program."""
    return [sys.executable, "-P", *arguments]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of such a process: it finds this package, and nothing by accident.

    An empty entry in ``PYTHONPATH``, which ``PYTHONPATH=$PYTHONPATH:/place`` makes where it was
    not set, would stand for the current folder.
    """
    package = str(Path(lcc_utils.__file__).resolve().parents[1])
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = dict.fromkeys([*filter(None, given), package])
    return {**os.environ, _SAFE: "1", "PYTHONPATH": os.pathsep.join(paths), **more}


@contextmanager
def safe_path() -> Iterator[None]:
    """Let processes that a library starts inherit the same, for as long as this lasts."""
    before = {name: os.environ.get(name) for name in (_SAFE, "PYTHONPATH")}
    os.environ.update({name: environment()[name] for name in before})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
