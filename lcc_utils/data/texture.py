"""The texture of cells: small recentred pictures, nearest neighbours among them, correlation.

Two photographs of one cell, or two segmentations of it, differ in place, outline and tone, but
share the fine structure of the nucleus. Low frequencies, in which all cells of a stain resemble
each other, are removed; so is the rim, where all cut-outs have an edge.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import scipy
from tqdm import tqdm

from lcc_utils.data.cache import cache_dir as default_cache_dir
from lcc_utils.data.images import decode
from lcc_utils.data.mapped import mapped

__all__ = ["correlations", "nearest", "pictures"]

SIDE = 128
_FRAME_TO = 150
_BLUR = 2.5
_RIM = 13
_CLIP = 3.0
_FLAT = 0.5
_SHIFT = 12
_OVERLAP = 0.8
_FFT = 144
# Distances that are held at a time, however many pictures there are.
_AT_ONCE = 2**22
_THUMB = 16
# Pairs that are compared at a time, their spectra in memory; and so many that processes pay.
_PART = 250
_MANY = 4000


def pictures(
    cells: pd.DataFrame,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Return every cell in grey at a third of its size, its centroid in the middle.

    Parameters
    ----------
    cells
        A table with ``path`` and ``pixel_sha256``.
    cache_dir
        Where the array is kept, under a name made of the pixel hashes.
    progress
        Whether to show a progress bar while decoding.

    Returns
    -------
    numpy.ndarray
        uint8 ``(n, 128, 128)``, memory-mapped: pixels of 3x3 original ones, 0 outside the cell.

    Raises
    ------
    DataError
        If an image cannot be decoded any more, or the array cannot be written.
    """
    key = hashlib.sha256("\n".join(["v2", *cells["pixel_sha256"]]).encode()).hexdigest()[:16]
    path = (Path(cache_dir) if cache_dir else default_cache_dir()) / f"texture-{key}.u8"
    files = list(zip(cells["path"], cells["pixel_sha256"], strict=True))
    return mapped(
        path,
        (len(cells), SIDE, SIDE),
        lambda number: _picture(*files[number]),
        title="textures",
        progress=progress,
    )


def nearest(images: np.ndarray, groups: Sequence[str], count: int) -> dict[tuple[int, int], float]:
    """Find each picture's nearest ones outside its own group, by tone and by texture.

    Parameters
    ----------
    images
        uint8 ``(n, 128, 128)`` as :func:`pictures` returns.
    groups
        One group name a picture, such as its patient.
    count
        How many neighbours of each kind to take.

    Returns
    -------
    dict
        ``(i, j)`` with ``i < j`` -> root-mean-square difference of the 16x16 pictures in grey
        levels, whichever of the two kinds made them neighbours.
    """
    codes = pd.factorize(np.asarray(groups, object))[0]
    tone = np.stack([_shrink(image) for image in images])
    fine = np.stack([_shrink(_high_pass(image)[0], 24) for image in images])
    fine /= np.maximum(np.linalg.norm(fine, axis=1, keepdims=True), 1e-6)
    pairs = {pair for kind in (tone, fine) for pair in _neighbours(kind, codes, count)}
    return {(i, j): float(np.sqrt(np.mean((tone[i] - tone[j]) ** 2))) for i, j in sorted(pairs)}


def correlations(
    images: np.ndarray, pairs: Sequence[tuple[int, int]], *, progress: bool = False
) -> np.ndarray:
    """Correlate the high-pass texture of pairs of pictures where both have cell.

    For each shift up to 12 px (36 px of the original) each way, the normalised correlation over
    the common mask, which must hold four fifths of the smaller one; the largest counts.

    Returns
    -------
    numpy.ndarray
        float64 ``(len(pairs),)``, at most 1; -1 where masks never overlap enough or a cell has no
        texture there (a deviation below half a grey level).
    """
    from joblib import Parallel, delayed

    parts = [pairs[start : start + _PART] for start in range(0, len(pairs), _PART)]
    with tqdm(total=len(pairs), desc="comparing", disable=not progress) as bar:
        found = []
        # Threads wait for each other here; processes do not, but take a second or two to start.
        jobs = -1 if len(pairs) >= _MANY else 1
        for strength in Parallel(jobs, return_as="generator", max_nbytes=None)(
            delayed(_strengths)(*_own(images, part)) for part in parts
        ):
            found += strength
            bar.update(len(strength))
    return np.array(found, float)


def _own(
    images: np.ndarray, pairs: Sequence[tuple[int, int]]
) -> tuple[np.ndarray, list[list[int]]]:
    """Return the pictures of some pairs alone, and the pairs by their places among these."""
    rows, places = np.unique(np.asarray(pairs), return_inverse=True)
    return images[rows], places.reshape(-1, 2).tolist()


def _strengths(images: np.ndarray, pairs: list[list[int]]) -> list[float]:
    """Correlate some pairs; the spectrum of each picture is computed once."""
    shift = np.flatnonzero(np.abs(np.fft.fftfreq(_FFT, 1 / _FFT)) <= _SHIFT)
    # Memory taken anew for every pair would cost more time than what is done in it.
    products = np.empty((4, _FFT, _FFT // 2 + 1), np.complex64)

    @cache
    def spectra(i: int) -> tuple[np.ndarray, float]:
        texture, mask = _high_pass(images[i])
        stack = np.stack([texture, mask, texture * texture])
        return scipy.fft.rfft2(stack, (_FFT, _FFT)), float(mask.sum())

    def one(i: int, j: int) -> float:
        (a, size_a), (b, size_b) = spectra(i), spectra(j)
        conjugate = a.conj()
        for of_a, of_b, out in zip((0, 1, 2, 1), (0, 1, 1, 2), products, strict=True):
            np.multiply(conjugate[of_a], b[of_b], out=out)
        # Of the inverse transform, only the shifts that count.
        rows = scipy.fft.ifft(products, axis=1)[:, shift]
        product, overlap, energy_a, energy_b = scipy.fft.irfft(rows, _FFT, axis=2)[:, :, shift]
        # Pixels are counted in whole numbers; the transform leaves a trace of noise.
        overlap = np.rint(overlap)
        enough = overlap >= max(1.0, _OVERLAP * min(size_a, size_b))
        enough &= energy_a * energy_b > (_FLAT**2 * overlap) ** 2
        if not enough.any():
            return -1.0
        energy = np.sqrt(np.maximum(energy_a * energy_b, 1e-3))
        return min(1.0, float((product / energy)[enough].max()))

    return [one(i, j) for i, j in pairs]


def _picture(file: str, pixel_sha256: str) -> np.ndarray:
    pixels = decode(file, pixel_sha256)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_FRAME_TO, _FRAME_TO), interpolation=cv2.INTER_AREA)
    inside = small > 0
    where = np.arange(_FRAME_TO)
    total = max(1, int(inside.sum()))
    row, column = inside.sum(1) @ where / total, inside.sum(0) @ where / total
    middle = (_FRAME_TO - 1) / 2
    small = np.roll(small, (round(middle - row), round(middle - column)), (0, 1))
    edge = (_FRAME_TO - SIDE) // 2
    return small[edge : edge + SIDE, edge : edge + SIDE]


def _high_pass(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return texture and mask, float32: the grey less its blur inside the cell, rim left out."""
    grey = image.astype(np.float32)
    cell = (grey > 0).astype(np.float32)
    share = cv2.GaussianBlur(cell, (0, 0), _BLUR) + 1e-6
    mask = cv2.erode(cell, np.ones((_RIM, _RIM), np.uint8), borderValue=0)
    texture = grey - cv2.GaussianBlur(grey, (0, 0), _BLUR) / share
    inside = texture[mask > 0]
    if inside.size:
        limit = _CLIP * float(inside.std())
        texture = np.clip(texture, -limit, limit)
        texture -= texture[mask > 0].mean()
    return texture * mask, mask


def _shrink(image: np.ndarray, side: int = _THUMB) -> np.ndarray:
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32).ravel()


def _neighbours(points: np.ndarray, codes: np.ndarray, count: int) -> set[tuple[int, int]]:
    """Return index pairs of the nearest points of another code, a block of rows at a time."""
    squares = np.einsum("ij,ij->i", points, points)
    pairs: set[tuple[int, int]] = set()
    count = min(count, len(points))
    rows = max(1, _AT_ONCE // len(points))
    for start in range(0, len(points), rows):
        block = slice(start, start + rows)
        apart = squares[block, None] + squares - 2 * points[block] @ points.T
        apart[codes[block, None] == codes] = np.inf
        best = np.argpartition(apart, count - 1, axis=1)[:, :count]
        known = np.isfinite(np.take_along_axis(apart, best, 1))
        for row, column in zip(*np.nonzero(known), strict=True):
            i, j = start + int(row), int(best[row, column])
            pairs.add((min(i, j), max(i, j)))
    return pairs
