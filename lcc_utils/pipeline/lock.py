"""Let one process at a time write into a folder; say who does, where another one would."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lcc_utils.errors import DataError
from lcc_utils.pipeline import provenance

try:
    import fcntl
except ImportError:  # Windows, which is not supported beyond reading
    fcntl = None  # type: ignore[assignment]

__all__ = ["alone", "lock_path"]

# The locks that this process and those that began it hold, for their notebooks and workers.
_HELD = "LCC_LOCKS"


def lock_path(folder: Path, work: str) -> Path:
    """Return the file that is locked while some work is done in a folder; it lies beside it."""
    place = folder.resolve()
    return place.with_name(f".{place.name}.{work}.lock")


@contextmanager
def alone(folder: Path, work: str, doing: str) -> Iterator[None]:
    """Hold the lock of a folder for some work, unless this process or one above it holds it.

    The operating system gives a lock back when its process ends, however it ends. Where files
    cannot be locked, there is none.

    Parameters
    ----------
    folder
        The folder that is written to.
    work
        A word for the lock: what does not disturb each other has different ones.
    doing
        What is done with the folder, for the message, such as ``computed``.

    Raises
    ------
    DataError
        If another process holds it: which, on what machine, and since when.
    """
    path = lock_path(folder, work)
    held = _held()
    if fcntl is None or str(path) in held:
        yield
        return
    file = _opened(path)
    try:
        _lock(file, folder, doing)
        os.environ[_HELD] = json.dumps([*held, str(path)])
        try:
            yield
        finally:
            os.environ[_HELD] = json.dumps(held)
    finally:
        os.close(file)


def _held() -> list[str]:
    try:
        found = json.loads(os.environ.get(_HELD) or "[]")
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise DataError(
            f"{path} could not be written ({error.strerror}); free space there or make the folder "
            "writable."
        ) from error


def _lock(file: int, folder: Path, doing: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DataError(
            f"{folder} is being {doing} by another process ({_holder(file)}). Wait until it has "
            "ended, or stop it, and start again; nothing was changed."
        ) from error
    except OSError:
        return  # a file system without locks
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": provenance.now()}
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(holder).encode(), 0)
    except OSError:
        return  # a full disk: the lock holds, its holder has no name


def _holder(file: int) -> str:
    """Say who holds a lock, as far as its file tells."""
    try:
        found = json.loads(os.pread(file, 4096, 0))
        return f"process {found['pid']} on {found['host']}, since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "which did not leave its name"
