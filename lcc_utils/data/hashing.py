"""Read every image once: what its file and its pixels are, or what is wrong with it.

Results are kept in the cache directory by path, size and time of change, so a second look at the
same tree costs one listing.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from lcc_utils.data.cache import cache_dir as default_cache_dir
from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError

__all__ = ["FaultyImage", "Fingerprint", "fingerprint", "fingerprints", "rgb"]

_CHUNK = 4096
_COLUMNS = ["path", "size", "mtime_ns", "width", "height", "file_sha256", "pixel_sha256"]
_PNG_COLOURS = {0: "grey", 3: "palette", 4: "grey with alpha", 6: "colour with alpha"}


class FaultyImage(Exception):
    """One image cannot be used; the message says why, without the file's name."""


@dataclass(frozen=True)
class Fingerprint:
    """What identifies an image: SHA-256 of its bytes and of its RGB pixels, and its size."""

    width: int
    height: int
    file_sha256: str
    pixel_sha256: str


def rgb(data: bytes) -> np.ndarray:
    """Decode a BMP or PNG file's content to uint8 ``(height, width, 3)``, strictly.

    Raises
    ------
    FaultyImage
        Empty, truncated, not BMP or PNG, or not 8-bit RGB.
    """
    if not data:
        raise FaultyImage("zero bytes")
    if data[:2] == b"BM":
        return _bmp(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png(data)
    raise FaultyImage("neither BMP nor PNG inside")


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """Read, decode and hash one image file.

    Raises
    ------
    FaultyImage
        If the file cannot be read or is not an intact 8-bit RGB image.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise FaultyImage(f"cannot be read ({error.strerror})") from error
    pixels = rgb(data)
    height, width = pixels.shape[:2]
    return Fingerprint(
        width,
        height,
        hashlib.sha256(data).hexdigest(),
        hashlib.sha256(pixels).hexdigest(),
    )


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
    store = folder / f"index-{hashlib.sha256(name.encode()).hexdigest()[:16]}.csv"
    states = {path: _state(path) for path in paths}
    known = _load(store)
    found: dict[str, Fingerprint | str] = {
        path: known[path, *state] for path, state in states.items() if (path, *state) in known
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
        return path, fingerprint(path)
    except FaultyImage as fault:
        return path, str(fault)


def _state(path: str) -> tuple[int, int]:
    try:
        stat = Path(path).stat()
    except OSError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


def _load(store: Path) -> dict[tuple[str, int, int], Fingerprint]:
    """Return what the cache file holds; an unreadable one counts as empty, for it is rebuilt."""
    try:
        table = pd.read_csv(store, dtype={"path": str}, keep_default_na=False)
        rows = table[_COLUMNS].itertuples(index=False, name=None)
        return {(p, s, t): Fingerprint(w, h, f, x) for p, s, t, w, h, f, x in rows}
    except (OSError, ValueError, KeyError):
        return {}


def _save(
    store: Path, found: dict[str, Fingerprint | str], states: dict[str, tuple[int, int]]
) -> None:
    rows = [
        (path, *states[path], f.width, f.height, f.file_sha256, f.pixel_sha256)
        for path, f in found.items()
        if isinstance(f, Fingerprint)
    ]
    text = pd.DataFrame(rows, columns=_COLUMNS).to_csv(index=False, lineterminator="\n")
    try:
        write_atomic(store, text)
    except DataError as error:
        raise DataError(f"{error} LCC_CACHE names another folder for the cache.") from error


def _bmp(data: bytes) -> np.ndarray:
    """Decode an uncompressed 24-bit BMP; rows are padded to four bytes, usually bottom first."""
    if len(data) < 54:
        raise FaultyImage(f"truncated: {len(data)} bytes")
    offset, width, height, bits, compression = struct.unpack("<I4xiixxHI", data[10:34])
    if bits != 24:
        raise FaultyImage(f"{bits}-bit{' grey or palette' if bits <= 8 else ''}, not 24-bit RGB")
    if compression or width <= 0 or height == 0:
        raise FaultyImage("not an uncompressed BMP")
    stride = (width * 3 + 3) // 4 * 4
    need = offset + stride * abs(height)
    if len(data) < need:
        raise FaultyImage(f"truncated: {len(data):,} of {need:,} bytes")
    rows = np.frombuffer(data, np.uint8, stride * abs(height), offset).reshape(-1, stride)
    pixels = rows[:: -1 if height > 0 else 1, : width * 3].reshape(abs(height), width, 3)
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _png(data: bytes) -> np.ndarray:
    if len(data) < 33:
        raise FaultyImage(f"truncated: {len(data)} bytes")
    depth, colour = data[24], data[25]
    if depth == 16:
        raise FaultyImage("16-bit, not 8-bit RGB")
    if colour != 2:
        raise FaultyImage(f"{_PNG_COLOURS.get(colour, 'odd colours')}, not 8-bit RGB")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise FaultyImage(f"truncated or damaged ({error})") from error
