"""Open files that people name: regular ones alone, up to a size, with the reason where not.

A name may stand for a named pipe, a device, a folder or a link to itself. Opened like a file, a
pipe waits for ever and a device never ends.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from lcc_utils.errors import DataError

__all__ = ["FaultyFile", "is_folder", "open_regular", "read_json", "read_regular"]

_KINDS = {
    stat.S_IFDIR: "a folder, not a file",
    stat.S_IFIFO: "a named pipe, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}
# A pipe or device that takes a file's place between two looks must not make the open wait.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_PIECE = 2**20


class FaultyFile(DataError):
    """A file cannot be read.

    Attributes
    ----------
    path
        Its name.
    reason
        Why, in words that do not repeat the name.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(os.fspath(path), reason)
        self.path, self.reason = os.fspath(path), reason

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.reason}."


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Tell whether a name is that of a folder; a name that no file can have is not."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def open_regular(path: str | os.PathLike[str], most: int | None = None) -> BinaryIO:
    """Open a regular file for reading bytes; links are followed.

    Parameters
    ----------
    path
        Its name.
    most
        Bytes; a larger file is refused.

    Raises
    ------
    FaultyFile
        If it is not there, is no regular file, is too large, or may not be read.
    """
    try:
        # Opening some devices has effects of its own, so the kind is looked up before.
        _require_regular(path, Path(path).stat(), most)
        handle = os.open(path, _FLAGS)
        try:
            _require_regular(path, os.fstat(handle), most)
            return os.fdopen(handle, "rb")
        except BaseException:
            os.close(handle)
            raise
    except (OSError, ValueError) as error:
        raise FaultyFile(path, _in_words(path, error)) from error


def read_regular(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """Read the bytes of a regular file; see :func:`open_regular`.

    Raises
    ------
    FaultyFile
        As :func:`open_regular`, or if reading fails, or the file grows beyond `most` meanwhile.
    """
    with open_regular(path, most) as file:
        try:
            if most is None:
                return file.read()
            pieces, total = [], 0
            while total <= most and (piece := file.read(_PIECE)):
                pieces.append(piece)
                total += len(piece)
        except (OSError, ValueError) as error:
            raise FaultyFile(path, _in_words(path, error)) from error
    if total > most:
        raise FaultyFile(path, _too_large(total, most))
    return b"".join(pieces)


def read_json(path: str | os.PathLike[str], most: int) -> Any:
    """Read a regular file of JSON; see :func:`read_regular`.

    Raises
    ------
    FaultyFile
        As :func:`read_regular`, or if it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(read_regular(path, most))
    except ValueError as error:
        raise FaultyFile(path, f"not JSON ({error})") from error
    except RecursionError as error:
        raise FaultyFile(path, "nested too deeply") from error


def _require_regular(path: str | os.PathLike[str], found: os.stat_result, most: int | None) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        raise FaultyFile(path, _KINDS.get(kind, "not a regular file"))
    if most is not None and found.st_size > most:
        raise FaultyFile(path, _too_large(found.st_size, most))


def _too_large(size: int, most: int) -> str:
    return f"too large: {size:,} bytes or more, and at most {most:,} are read"


def _in_words(path: str | os.PathLike[str], error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "a link to nothing" if Path(path).is_symlink() else "not there"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
