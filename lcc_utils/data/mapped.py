"""Keep one large uint8 array in a file that is mapped into memory and checked when it is opened.

The images of the array come first, so that it can be mapped from the start of the file. Then comes
the SHA-256 of each chunk of 256 images, and the SHA-256 of those with the array's shape and the
file's name: a file that took the place of another is noticed too.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lcc_utils.data.files import open_regular
from lcc_utils.errors import DataError
from lcc_utils.text import utf8

__all__ = ["mapped"]

_LOG = logging.getLogger(__name__)
_CHUNK = 256
_DIGEST = 32
_VERSION = 2
# Threads of one process would write to one file.
_ONE_AT_A_TIME = threading.Lock()

Make = Callable[[int], np.ndarray]
Shape = tuple[int, ...]


def mapped(path: Path, shape: Shape, make: Make, *, title: str, progress: bool) -> np.ndarray:
    """Return an array of images, made where it is not kept or was changed.

    Parameters
    ----------
    path
        The file, whose name tells everything that the images depend on.
    shape
        ``(images, ...)``.
    make
        Makes the image of a number, uint8; it is called in threads.
    title
        What the progress bar and errors call the array.
    progress
        Whether to show a progress bar.

    Returns
    -------
    numpy.ndarray
        uint8, read-only, mapped into memory.

    Raises
    ------
    DataError
        If the file cannot be written; or as `make` does.

    Notes
    -----
    It is built in chunks: a build that was interrupted goes on with those that are whole. Processes
    that build at the same time write the same bytes, and the finished file appears by one rename.
    Checking takes about a second for each gigabyte and core, once in a process.
    """
    if 0 in shape:
        return np.empty(shape, np.uint8)
    with _ONE_AT_A_TIME:
        if not _is_sound(path, shape):
            if os.path.lexists(path):
                _LOG.warning("%s is damaged or of another version; it is made again.", path)
            try:
                _build(path, shape, make, title, progress)
            except OSError as error:
                raise DataError(
                    f"The {title} cache {path} could not be written ({error.strerror}); free space "
                    "there, or set LCC_CACHE to a folder on another disk."
                ) from error
    try:
        return np.memmap(path, np.uint8, "r", shape=shape)
    except (OSError, ValueError) as error:
        raise DataError(f"The {title} cache {path} cannot be read ({error}).") from error


def _starts(shape: Shape) -> range:
    return range(0, shape[0], _CHUNK)


def _sizes(shape: Shape) -> tuple[int, int]:
    """Return the bytes of all images, and of the whole file."""
    body = int(np.prod(shape, dtype=np.int64))
    return body, body + _DIGEST * (len(_starts(shape)) + 1)


def _seal(path: Path, shape: Shape, digests: bytes) -> bytes:
    head = f"{_VERSION} {_CHUNK} {path.name} {shape}\n"
    return hashlib.sha256(utf8(head) + digests).digest()


def _is_sound(path: Path, shape: Shape) -> bool:
    try:
        with open_regular(path) as file:
            found = os.fstat(file.fileno())
        state = found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        return _checked(path, shape, state)
    except (DataError, OSError):
        return False


@lru_cache(maxsize=64)
def _checked(path: Path, shape: Shape, state: tuple[int, ...]) -> bool:
    """Compare every digest in a file with its content; a state is looked at once."""
    body, whole = _sizes(shape)
    if state[1] != whole:
        return False
    content = np.memmap(path, np.uint8, "r", shape=(whole,))
    digests = content[body:-_DIGEST].tobytes()
    if content[-_DIGEST:].tobytes() != _seal(path, shape, digests):
        return False
    with ThreadPoolExecutor() as pool:
        found = pool.map(
            lambda start: hashlib.sha256(_chunk(content, shape, start)).digest(), _starts(shape)
        )
        return b"".join(found) == digests


def _chunk(content: np.ndarray, shape: Shape, start: int) -> np.ndarray:
    image = _sizes(shape)[0] // shape[0]
    return content[start * image : min(start + _CHUNK, shape[0]) * image]


def _build(path: Path, shape: Shape, make: Make, title: str, progress: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    _adopt_leftover(path, partial)
    body, whole = _sizes(shape)
    with (
        partial.open("r+b" if partial.exists() else "w+b") as out,
        ThreadPoolExecutor() as pool,
        tqdm(total=shape[0], desc=title, disable=not progress) as bar,
    ):
        out.truncate(whole)
        digests = []
        for number, start in enumerate(_starts(shape)):
            stop = min(start + _CHUNK, shape[0])
            at, slot = body // shape[0] * start, body + _DIGEST * number
            digest = _done(out, at, body // shape[0] * (stop - start), slot)
            if not digest:
                content = np.stack(list(pool.map(make, range(start, stop)))).tobytes()
                digest = hashlib.sha256(content).digest()
                for place, part in ((at, content), (slot, digest)):
                    out.seek(place)
                    out.write(part)
            digests.append(digest)
            bar.update(stop - start)
        out.seek(whole - _DIGEST)
        out.write(_seal(path, shape, b"".join(digests)))
    partial.replace(path)


def _done(out, at: int, size: int, slot: int) -> bytes:
    """Return the digest of a chunk that an interrupted build has left whole, or nothing."""
    out.seek(slot)
    stated = out.read(_DIGEST)
    if not any(stated):
        return b""
    out.seek(at)
    return stated if hashlib.sha256(out.read(size)).digest() == stated else b""


def _adopt_leftover(path: Path, partial: Path) -> None:
    """Take over what a process that is gone has left of the same array."""
    for leftover in path.parent.glob(f"{path.stem}.*.partial"):
        owner = leftover.name.split(".")[-2]
        known = owner.isdecimal() and leftover.is_file() and not leftover.is_symlink()
        if known and int(owner) != os.getpid() and not _alive(int(owner)):
            leftover.replace(partial)
            return


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
