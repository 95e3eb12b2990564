"""Measured features of cells: size, shape, colour and texture, once for each cell and kept."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from lcc_utils.classical.colour import COLOUR, colour
from lcc_utils.classical.outline import SHAPE, SIZE, largest_object, size_and_shape
from lcc_utils.classical.texture import NUCLEUS, TEXTURE, texture
from lcc_utils.data.cache import cache_dir as default_cache_dir
from lcc_utils.data.cached import keep_array, kept_array
from lcc_utils.data.images import decode
from lcc_utils.errors import DataError

__all__ = ["FEATURES", "VERSION", "feature_table", "measure", "vector"]

VERSION = 1
FEATURES: tuple[str, ...] = SIZE + SHAPE + COLOUR + NUCLEUS + TEXTURE

# A path, and the SHA-256 of the pixels that it must hold.
File = tuple[str, str]

_MARGIN = 8
_CHUNK = 256


def measure(pixels: np.ndarray) -> dict[str, float]:
    """Return one cell's features, in the order of ``FEATURES``.

    Parameters
    ----------
    pixels
        RGB, uint8 ``(height, width, 3)``: a cell on black. The largest object is measured;
        where it lies in the frame makes no difference, nor do turns by 90 degrees beyond rounding.

    Returns
    -------
    dict
        Names are explained, with units, by ``outline.size_and_shape``,
        ``colour.colour`` and ``texture.texture``. All values are finite.

    Raises
    ------
    DataError
        If the image has no cell: every pixel is black.
    """
    cell = largest_object(_is_coloured(pixels))
    if cell is None:
        raise DataError("The image has no cell: every pixel is black.")
    rows, columns = np.flatnonzero(cell.any(axis=1)), np.flatnonzero(cell.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    cell = np.pad(cell[box], _MARGIN)
    frame = np.pad(pixels[box], ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)))
    frame *= cell[..., None]
    coloured = cell & _is_coloured(frame)
    return size_and_shape(cell) | colour(frame, coloured) | texture(frame, coloured)


def _is_coloured(pixels: np.ndarray) -> np.ndarray:
    """Tell which pixels are not black; ``pixels.any(axis=2)`` takes ten times as long."""
    return (pixels[..., 0] | pixels[..., 1] | pixels[..., 2]) != 0


def vector(pixels: np.ndarray) -> np.ndarray:
    """Return one cell's features as :func:`measure` gives them, float64 ``(len(FEATURES),)``."""
    return np.array(list(measure(pixels).values()))


def feature_table(
    cells: pd.DataFrame,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Return the features of many cells, each measured once and kept.

    Parameters
    ----------
    cells
        A table of cells with ``path`` and ``pixel_sha256`` (see ``data.cnmc.index``).
    cache_dir
        Where tables are kept; by default the package's cache directory.
    progress
        Whether to show a progress bar while measuring.

    Returns
    -------
    numpy.ndarray
        float64 ``(len(cells), len(FEATURES))``, in the order of ``cells``.

    Raises
    ------
    DataError
        If a file cannot be read or holds no cell, or the cache cannot be written.

    Notes
    -----
    The table is named by the pixels of the cells, in whatever order, and by ``VERSION``. It is
    built in chunks, each kept, so one that was interrupted goes on after them. Processes that
    build at the same time write the same bytes, and every file appears by one rename.
    """
    distinct = cells.drop_duplicates("pixel_sha256").sort_values("pixel_sha256")
    shas = distinct["pixel_sha256"].tolist()
    if not shas:
        return np.empty((0, len(FEATURES)))
    folder = Path(cache_dir) if cache_dir else default_cache_dir()
    path = folder / f"features-{_key(shas)}.array"
    table = _load(path, len(shas))
    if table is None:
        parts = folder / f"{path.stem}.parts"
        files = list(zip(distinct["path"], shas, strict=True))
        chunks = [
            (parts / f"{_key(shas[at : at + _CHUNK])}.array", files[at : at + _CHUNK])
            for at in range(0, len(shas), _CHUNK)
        ]
        table = np.concatenate(_measured(chunks, progress))
        keep_array(path, table)
        shutil.rmtree(parts, ignore_errors=True)
    row = {sha: number for number, sha in enumerate(shas)}
    return table[[row[sha] for sha in cells["pixel_sha256"]]]


def _measured(chunks: list[tuple[Path, list[File]]], progress: bool) -> list[np.ndarray]:
    """Return each chunk's features; those not kept yet are measured, in processes if many."""
    done = {part: _load(part, len(files)) for part, files in chunks}
    todo = [(part, files) for part, files in chunks if done[part] is None]
    total = sum(len(files) for _, files in chunks)
    with tqdm(total=total, desc="features", disable=not progress) as bar:
        bar.update(total - sum(len(files) for _, files in todo))
        for (part, _), rows in zip(todo, _each(_chunk, [files for _, files in todo]), strict=True):
            keep_array(part, rows)
            done[part] = rows
            bar.update(len(rows))
    return [done[part] for part, _ in chunks]


def _each(work: Callable[[list[File]], np.ndarray], chunks: list[list[File]]):
    """Yield the work's results in order, from one process for each core where that is allowed.

    A worker of another pool may be forbidden to start processes; it then works alone.
    """
    if len(chunks) < 2 or multiprocessing.current_process().daemon:
        yield from map(work, chunks)
        return
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=-1, batch_size=1, return_as="generator")(
        delayed(work)(files) for files in chunks
    )


def _chunk(files: list[File]) -> np.ndarray:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # Cells are small, and the cores are busy with other chunks.
    try:
        return np.array([_row(*file) for file in files])
    finally:
        cv2.setNumThreads(threads)


def _row(path: str, pixel_sha256: str) -> list[float]:
    pixels = decode(path, pixel_sha256)
    try:
        return list(measure(pixels).values())
    except DataError as error:
        raise DataError(
            f"{path} holds no cell: every pixel is black. Restore it from the original archive "
            "or remove it."
        ) from error


def _key(shas: list[str]) -> str:
    text = "\n".join([f"v{VERSION}", *FEATURES, *shas])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _load(path: Path, rows: int) -> np.ndarray | None:
    return kept_array(path, "float64", (rows, len(FEATURES)))
