"""The last resort for errors that nothing else explains: one paragraph, and a report in a file."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from lcc_utils.data.cache import cache_dir, write_atomic
from lcc_utils.errors import LccError

__all__ = ["explained", "reason_of"]

_SHOWN = 300


def explained(error: BaseException, run: Path | None = None) -> str:
    """Return one paragraph about an error; keep a report of it unless its kind is expected.

    Parameters
    ----------
    error
        What was raised.
    run
        The directory of the run that is worked on, if one is known.
    """
    reason = reason_of(error)
    if isinstance(error, LccError):
        return reason
    return f"{reason.rstrip('.')}. {_kept_report(error, run)}"


def reason_of(error: BaseException) -> str:
    """Return in a sentence what went wrong."""
    if isinstance(error, LccError):
        return str(error)
    if isinstance(error, MemoryError):
        return "Out of memory; lower training.batch or pixels.size, or use fewer jobs."
    if isinstance(error, RecursionError):
        return "Something that was read is nested too deeply."
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        return _of_copies(error.args[0])
    if isinstance(error, OSError) and error.strerror:
        return _of_the_system(error)
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # a message that cannot be made
        lines = []
    return f"{type(error).__name__}: {lines[0][:_SHOWN] if lines else 'no message'}"


def _kept_report(error: BaseException, run: Path | None = None) -> str:
    """Write the traceback of an error into a file, and return a sentence that names it.

    The file goes into ``logs/`` of the run if there is one, else into the cache directory or a
    temporary one.
    """
    report = "".join(traceback.format_exception(error))
    name = f"error-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}.log"
    reason = ""
    for folder in _folders(run):
        try:
            path = write_atomic(folder / name, report.encode(errors="backslashreplace"))
        except LccError as problem:
            reason = reason or str(problem)
            continue
        return f"The full report is in {path}."
    return f"The full report could not be kept: {reason or 'there is no place for it.'}"


def _folders(run: Path | None) -> Iterator[Path]:
    if run is not None and run.is_dir():
        yield run / "logs"
    with suppress(LccError):
        yield cache_dir() / "logs"
    with suppress(OSError):
        yield Path(tempfile.gettempdir())


def _of_the_system(error: OSError) -> str:
    """Say which file, and what the system says of it."""
    if error.errno == errno.ENOSPC:
        where = f" of {error.filename}" if error.filename else ""
        return f"The disk{where} is full; free space and start again."
    where = f"{error.filename}: " if error.filename else ""
    unwritable = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
    advice = "; make it accessible, or work in another folder" if unwritable else ""
    return f"{where}{error.strerror}{advice}."


def _of_copies(failed: list[tuple[str, str, str]]) -> str:
    """Say which of many files could not be copied, as ``shutil.copytree`` lists them."""
    source, _, reason = failed[0]
    return (
        f"{len(failed)} files could not be copied, the first {source} ({str(reason)[:_SHOWN]}); "
        "free space there or make the folder writable, and start again."
    )
