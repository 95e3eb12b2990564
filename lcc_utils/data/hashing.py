"""Read every image once: what its file and its pixels are, or what is wrong with it.

Results are kept in the cache directory by path and by the state of the file: inode, size, time of
writing, and time of the last change of any of these, which no program can set. A second look at
the same tree costs one listing. A file that was changed just before it was read is read again the
next time: clocks of file systems are coarse, and a later change may show the same time.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from lcc_utils.data.cache import cache_dir as default_cache_dir
from lcc_utils.data.cached import keep_table, kept_table
from lcc_utils.data.reading import FaultyImage, decode, image_bytes
from lcc_utils.errors import DataError

__all__ = ["Fingerprint", "fingerprint", "fingerprints"]

_CHUNK = 4096
_TYPES = {
    "path": "str",
    "state": "str",
    "width": "int64",
    "height": "int64",
    "file_sha256": "str",
    "pixel_sha256": "str",
}
# The coarsest clock of a file system in use, FAT's, has ticks of two seconds.
_IN_DOUBT_NS = 2_000_000_000


@dataclass(frozen=True)
class Fingerprint:
    """What identifies an image: SHA-256 of its bytes and of its RGB pixels, and its size."""

    width: int
    height: int
    file_sha256: str
    pixel_sha256: str


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """Read, decode and hash one image file.

    Raises
    ------
    DataError
        If the file cannot be read, or is no intact image without losses (see ``data.reading``).
    """
    try:
        return _read(path)
    except FaultyImage as fault:
        raise DataError(f"{path} is not a readable image: {fault}.") from fault


def fingerprints(
    paths: Sequence[str],
    name: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> dict[str, Fingerprint | str]:
    """Return each file's fingerprint, or as text why it has none.

    Parameters
    ----------
    paths
        Image files.
    name
        What names the cache file, such as the tree's root.
    cache_dir
        Where results are kept; by default the package's cache directory.
    progress
        Whether to show a progress bar while reading.
    """
    folder = Path(cache_dir) if cache_dir else default_cache_dir()
    store = folder / f"index-{hashlib.sha256(name.encode()).hexdigest()[:16]}.table"
    states = {path: _state(path) for path in paths}
    known = _load(store)
    found: dict[str, Fingerprint | str] = {
        path: known[path, state] for path, state in states.items() if (path, state) in known
    }
    new = [path for path in paths if path not in found]
    with ThreadPoolExecutor() as pool, tqdm(total=len(new), disable=not progress) as bar:
        bar.set_description("reading cells")
        for start in range(0, len(new), _CHUNK):
            for path, result in pool.map(_attempt, new[start : start + _CHUNK]):
                found[path] = result
                bar.update()
            _save(store, found, states)
    return found


def _attempt(path: str) -> tuple[str, Fingerprint | str]:
    try:
        return path, _read(path)
    except FaultyImage as fault:
        return path, str(fault)


def _read(path: str | os.PathLike[str]) -> Fingerprint:
    data = image_bytes(path)
    pixels = decode(data, lossless=True)
    height, width = pixels.shape[:2]
    return Fingerprint(
        width,
        height,
        hashlib.sha256(data).hexdigest(),
        hashlib.sha256(pixels).hexdigest(),
    )


def _state(path: str) -> str:
    """Return what changes with the content of a file; nothing if that is not known or in doubt."""
    now = time.time_ns()
    try:
        stat = Path(path).stat()
    except (OSError, ValueError):
        return ""
    if stat.st_ctime_ns > now - _IN_DOUBT_NS:
        return ""
    return f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"


def _load(store: Path) -> dict[tuple[str, str], Fingerprint]:
    table = kept_table(store, _TYPES)
    if table is None:
        return {}
    return {(row[0], row[1]): Fingerprint(*row[2:]) for row in table.itertuples(False, None)}


def _save(store: Path, found: dict[str, Fingerprint | str], states: dict[str, str]) -> None:
    rows = [
        (path, states[path], f.width, f.height, f.file_sha256, f.pixel_sha256)
        for path, f in found.items()
        if isinstance(f, Fingerprint) and states[path]
    ]
    keep_table(store, pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES))
