"""Pixels: decode a cell, crop its centre, resize it, and keep the result in one mapped array."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from lcc_utils.data.cache import cache_dir as default_cache_dir
from lcc_utils.errors import DataError, RequestError

FRAME = 450
_CHUNK = 256


def decode(path: str | os.PathLike[str]) -> np.ndarray:
    """Return an image file's RGB pixels, uint8 ``(height, width, 3)``.

    Raises
    ------
    DataError
        If the file is missing or cannot be decoded.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if pixels is None:
        raise DataError(f"{path} is not a readable image; restore it from the original archive.")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def centre_crop(pixels: np.ndarray, crop: int) -> np.ndarray:
    """Return the central ``crop`` x ``crop`` square; smaller images are padded with black."""
    height, width = pixels.shape[:2]
    pad_y, pad_x = max(0, crop - height), max(0, crop - width)
    if pad_y or pad_x:
        pixels = np.pad(
            pixels,
            ((pad_y // 2, pad_y - pad_y // 2), (pad_x // 2, pad_x - pad_x // 2), (0, 0)),
        )
        height, width = pixels.shape[:2]
    top, left = (height - crop) // 2, (width - crop) // 2
    return pixels[top : top + crop, left : left + crop]


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Return a square image at ``size`` px: bilinear, averaging over areas when it shrinks."""
    if pixels.shape[0] == size:
        return pixels
    method = cv2.INTER_AREA if size < pixels.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(pixels, (size, size), interpolation=method)


def prepare(path: str | os.PathLike[str], size: int, crop: int = FRAME) -> np.ndarray:
    """Return one cell as the network sees it: uint8 ``(size, size, 3)``."""
    return resize(centre_crop(decode(path), crop), size)


class PixelCache:
    """Every cell once, decoded, cropped and resized, as a memory-mapped array.

    Parameters
    ----------
    cells
        A table of cells with ``path`` and ``pixel_sha256`` (see ``data.cnmc.index``).
    size
        Side of the images in pixels.
    crop
        Side of the central square that is kept before resizing, in pixels of the file.
    cache_dir
        Where the array is kept; by default the package's cache directory.
    progress
        Whether to show a progress bar while decoding.
    read
        Gives the finished image, uint8 ``(size, size, 3)``, for an entry of ``path``; by default
        the file that it names is decoded, cropped and resized.

    Notes
    -----
    The array is named by the content of the cells, so two trees of the same cells share
    it and a changed file makes a new one. It is built in chunks: one that was interrupted
    goes on after its last whole chunk. Processes that build at the same time write the
    same bytes, and the finished file appears by one rename.
    """

    def __init__(
        self,
        cells: pd.DataFrame,
        size: int,
        crop: int = FRAME,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: bool = False,
        read: Callable[[str], np.ndarray] | None = None,
    ) -> None:
        if size < 1 or crop < 1:
            raise RequestError(f"pixels.size ({size}) and pixels.crop ({crop}) must be positive.")
        self.size, self.crop = size, crop
        self._read = read or (lambda path: prepare(path, size, crop))
        self._rows = {cell: row for row, cell in enumerate(cells["cell_id"])}
        folder = Path(cache_dir) if cache_dir else default_cache_dir()
        self.path = folder / f"pixels-{self._key(cells)}.u8"
        self._shape = (len(cells), size, size, 3)
        if not self.path.exists():
            self._build(list(cells["path"]), progress)
        self.array: np.ndarray = np.memmap(self.path, np.uint8, "r", shape=self._shape)

    def rows(self, cell_ids: list[str] | tuple[str, ...]) -> np.ndarray:
        """Return the row of each cell in :attr:`array`, int64 ``(n,)``."""
        return np.fromiter((self._rows[c] for c in cell_ids), np.int64, len(cell_ids))

    def _key(self, cells: pd.DataFrame) -> str:
        digest = hashlib.sha256(f"v1 {self.size} {self.crop}\n".encode())
        for sha in cells["pixel_sha256"]:
            digest.update(f"{sha}\n".encode())
        return digest.hexdigest()[:16]

    def _build(self, paths: list[str], progress: bool) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        self._adopt_leftover(partial)
        image_bytes = self.size * self.size * 3
        chunk_bytes = image_bytes * _CHUNK
        done = partial.stat().st_size // chunk_bytes * _CHUNK if partial.exists() else 0
        try:
            with (
                partial.open("r+b" if partial.exists() else "wb") as out,
                ThreadPoolExecutor() as pool,
                tqdm(total=len(paths), initial=done, desc="pixels", disable=not progress) as bar,
            ):
                out.truncate(done * image_bytes)
                out.seek(done * image_bytes)
                for start in range(done, len(paths), _CHUNK):
                    some = paths[start : start + _CHUNK]
                    images = pool.map(self._read, some)
                    out.write(np.stack(list(images)).tobytes())
                    bar.update(len(some))
            partial.replace(self.path)
        except OSError as error:
            raise DataError(
                f"The pixel cache {self.path} could not be written ({error.strerror}); free "
                "space there, or set LCC_CACHE to a folder on another disk."
            ) from error

    def _adopt_leftover(self, partial: Path) -> None:
        """Take over what a process that is gone has left of the same array."""
        for leftover in self.path.parent.glob(f"{self.path.stem}.*.partial"):
            owner = int(leftover.name.split(".")[-2])
            if owner != os.getpid() and not _alive(owner):
                leftover.replace(partial)
                return


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
