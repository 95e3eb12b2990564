"""Pixels: decode a cell, crop its centre, resize it, and keep the result in one mapped array."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lcc_utils.data.cache import cache_dir as default_cache_dir
from lcc_utils.data.mapped import mapped
from lcc_utils.data.reading import FaultyImage, read_image
from lcc_utils.errors import DataError, RequestError

FRAME = 450
# A pixel with no channel above this is black: JPEG leaves a little on what was black.
BLACK = 12


def decode(path: str | os.PathLike[str], pixel_sha256: str | None = None) -> np.ndarray:
    """Return an image file's RGB pixels, uint8 ``(height, width, 3)``.

    Parameters
    ----------
    path
        The file.
    pixel_sha256
        What its pixels must be, where they are kept under that name.

    Raises
    ------
    DataError
        If the file is missing, cannot be decoded, or has other pixels.
    """
    try:
        pixels = read_image(path)
    except FaultyImage as fault:
        raise DataError(
            f"{path} is not a readable image: {fault}. Restore it from the original archive."
        ) from fault
    if pixel_sha256 is not None and hashlib.sha256(pixels).hexdigest() != pixel_sha256:
        raise DataError(
            f"{path} was changed after the cells were listed: its pixels are others now. Restore "
            "it, or start again, so that all cells are read anew."
        )
    return pixels


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


def central_frame(pixels: np.ndarray) -> np.ndarray | None:
    """Return the central 450 px square, or None if something else than black would be lost."""
    inner = centre_crop(pixels, FRAME)
    if max(pixels.shape[:2]) > FRAME and _shown(pixels) > _shown(inner):
        return None
    return inner


def _shown(pixels: np.ndarray) -> int:
    return int((pixels > BLACK).any(axis=2).sum())


def prepare(
    path: str | os.PathLike[str], size: int, crop: int = FRAME, pixel_sha256: str | None = None
) -> np.ndarray:
    """Return one cell as the network sees it: uint8 ``(size, size, 3)``; see :func:`decode`."""
    return resize(centre_crop(decode(path, pixel_sha256), crop), size)


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
        the file that it names is decoded, checked, cropped and resized.

    Notes
    -----
    The array is named by the content of the cells, so two trees of the same cells share
    it and a changed file makes a new one. ``data.mapped`` says how it is built and checked.
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
        files = list(zip(cells["path"], cells["pixel_sha256"], strict=True))

        def image(number: int) -> np.ndarray:
            path, sha256 = files[number]
            return read(path) if read else prepare(path, size, crop, sha256)

        self.array: np.ndarray = mapped(
            self.path,
            (len(cells), size, size, 3),
            image,
            title="pixels",
            progress=progress,
        )

    def rows(self, cell_ids: list[str] | tuple[str, ...]) -> np.ndarray:
        """Return the row of each cell in :attr:`array`, int64 ``(n,)``."""
        return np.fromiter((self._rows[c] for c in cell_ids), np.int64, len(cell_ids))

    def _key(self, cells: pd.DataFrame) -> str:
        digest = hashlib.sha256(f"v2 {self.size} {self.crop}\n".encode())
        for sha in cells["pixel_sha256"]:
            digest.update(f"{sha}\n".encode())
        return digest.hexdigest()[:16]
