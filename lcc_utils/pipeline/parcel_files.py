"""The files of a parcel: images in archives of limited size, dealt out to parts."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lcc_utils.data.cache import cache_dir
from lcc_utils.data.images import PixelCache
from lcc_utils.errors import DataError, RequestError

__all__ = ["dealt", "packed", "pixels_sha256", "place", "sha256", "unpack"]

_LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 101]


def packed(pixels: PixelCache, most: int) -> list[Path]:
    """Return archives of limited size that hold the images as lossless WebP; they stay cached.

    To compress a thousand images of 224 px takes a core half a minute and more.
    """
    name = f"{pixels.size}-{pixels.crop}"
    folder = cache_dir() / f"packed-{pixels_sha256(pixels)[:16]}-{most}"
    if not folder.is_dir():
        scratch = folder.with_name(f".{folder.name}-{os.getpid()}")
        scratch.mkdir(parents=True)
        with ThreadPoolExecutor() as pool:
            _archive(pool.map(_webp, pixels.array), scratch, name, most)
        scratch.replace(folder)
    return sorted(folder.glob("*.zip"))


def pixels_sha256(pixels: PixelCache) -> str:
    """Return the SHA-256 of all images, in hex digits."""
    return hashlib.sha256(pixels.array).hexdigest()


def _webp(image: np.ndarray) -> bytes:
    return cv2.imencode(".webp", image[:, :, ::-1], _LOSSLESS)[1].tobytes()


def _archive(images: Iterable[bytes], folder: Path, name: str, most: int) -> None:
    """Write compressed images into as many archives as their size takes."""
    archive, number, size = None, 0, 0
    for row, content in enumerate(images):
        if archive is None or size + len(content) > most:
            if archive:
                archive.close()
            number, size = number + 1, 0
            archive = zipfile.ZipFile(folder / f"pixels-{name}-{number}.zip", "w")
        archive.writestr(f"{row}.webp", content)
        size += len(content) + 100
    if archive:
        archive.close()


def unpack(folder: Path, name: str, cells: pd.DataFrame, whole: str, progress: bool) -> None:
    """Make the pixel cache of a size from the archives of its images.

    Raises
    ------
    DataError
        If its SHA-256 is not `whole`.
    """
    archives = [zipfile.ZipFile(path) for path in folder.glob(f"pixels-{name}-*.zip")]
    where = {entry: archive for archive in archives for entry in archive.namelist()}
    row = {cell: number for number, cell in enumerate(cells["cell_id"])}

    def image(cell: str) -> np.ndarray:
        entry = f"{row[cell]}.webp"
        data = np.frombuffer(where[entry].read(entry), np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1]

    size, crop = map(int, name.split("-"))
    cache = PixelCache(cells, size, crop, progress=progress, read=image)
    if pixels_sha256(cache) != whole:
        cache.path.unlink()
        raise DataError(
            f"The images of {name} px in {folder} are not those that were packed (SHA-256 "
            f"differs), or {cache_dir()} holds other pixels under their name; start again."
        )


def dealt(files: list[Path], most: int) -> list[list[Path]]:
    """Deal files out to few parts of limited size; the part with the weights goes first.

    Raises
    ------
    RequestError
        If a single file is larger than a part may be.
    """
    parts: list[list[Path]] = []
    for path in sorted(files, key=lambda path: -path.stat().st_size):
        size = path.stat().st_size
        if size > most:
            raise RequestError(
                f"{path.name} has {size / 2**20:.0f} MiB, more than a part may; allow larger parts."
            )
        fits = (own for own in parts if sum(p.stat().st_size for p in own) + size <= most)
        own = next(fits, None)
        if own is None:
            parts.append([path])
        else:
            own.append(path)
    # The part with the weights goes first: a machine can compile while the pixels come.
    return sorted(parts, key=lambda own: all(path.suffix == ".zip" for path in own))


def place(source: Path, target: Path, move: bool = False) -> None:
    """Copy a file, or move it; one that is there stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if move:
        source.replace(target)
    elif not target.exists():
        shutil.copy(source, target)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
