"""A home directory for user ids that have none, as in some containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["some_home"]


@contextmanager
def some_home() -> Iterator[str]:
    """Give this process and those it begins a temporary home if there is none; say so, or nothing.

    Keras, Jupyter and Matplotlib keep files there as well, each under a variable of its own.
    """
    if _has_home():
        yield ""
        return
    with TemporaryDirectory(prefix="lcc-home-", ignore_cleanup_errors=True) as folder:
        os.environ["HOME"] = folder
        try:
            yield (
                f"there is no home directory (HOME is not set, and user id {os.getuid()} has no "
                f"entry), so {folder} takes its place and is removed at the end. To keep what is "
                "computed and downloaded, set HOME, or LCC_CACHE and KERAS_HOME, to folders."
            )
        finally:
            os.environ.pop("HOME", None)


def _has_home() -> bool:
    try:
        Path.home()
    except RuntimeError:
        return False
    return True
