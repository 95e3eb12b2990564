"""Texture of a cell, and what is dark inside it."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from skimage.feature import graycomatrix, graycoprops
from skimage.filters import threshold_otsu

SCALES = (1, 2, 4, 8, 16)
_DISTANCES = (1, 3, 6, 12)
_PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
_RADII = (1, 3)
_BINS = 10
_RINGS = tuple(
    tuple((a, b) for a, b in ((0, r), (d, d), (r, 0), (d, -d), (0, -r), (-d, -d), (-r, 0), (-d, d)))
    for r, d in ((1, 1), (3, 2))
)
_COLOURS = ("red", "green", "blue")
_LEVELS = 32
_RIM = 6

NUCLEUS = (
    "dark_share",
    "dark_contrast",
    "dark_solidity",
    "dark_pieces",
    "dark_offset",
    "light_pieces",
)
TEXTURE = (
    *(f"detail_{colour}_{scale}" for scale in SCALES for colour in _COLOURS),
    *(f"{what}_{scale}" for scale in SCALES[:-1] for what in ("skewness", "kurtosis")),
    *(f"bright_spots_{scale}" for scale in SCALES[1:-1]),
    *(f"gradient_{what}_{scale}" for scale in SCALES[:3] for what in ("mean", "sd", "q90")),
    "gradient_coherence",
    "laplacian_sd",
    "grey_entropy",
    *(f"glcm_{name}_{d}" for name in _PROPERTIES for d in _DISTANCES),
    *(f"glcm_scaled_{name}_{d}" for name in _PROPERTIES for d in _DISTANCES),
    *(f"lbp_{radius}_{number}" for radius in _RADII for number in range(_BINS)),
)


def _uniform_codes() -> np.ndarray:
    """Return the class of each 8-bit pattern: its number of ones, or 9 with over two changes."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = np.abs(bits - np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), 9)


_UNIFORM = _uniform_codes()


def texture(pixels: np.ndarray, cell: np.ndarray) -> dict[str, float]:
    """Return the features of ``NUCLEUS`` and ``TEXTURE``.

    Parameters
    ----------
    pixels
        RGB, uint8 ``(height, width, 3)``.
    cell
        bool ``(height, width)``, with black on every side.

    Returns
    -------
    dict
        Of the cell parted in dark and light by Otsu's threshold: ``dark_share`` of the area;
        ``dark_contrast``, the difference of means in grey levels; ``dark_solidity``, by the convex
        hull; ``dark_offset`` between centroids by the square root of the area; and the numbers
        of pieces of at least 0.2 % of the area. The rest leaves out a rim of 6 px.
        ``detail_c_s`` is the logarithm of the standard deviation, in grey levels, of what a
        smoothing by s px (or half of that, before) takes from channel c; ``skewness_s`` and
        ``kurtosis_s`` are those of that detail in grey, and ``bright_spots_s`` the share of it
        above 4 grey levels. ``gradient_`` is in grey levels per px after smoothing by s px;
        ``gradient_coherence`` is 1 for stripes and 0 without direction; ``grey_entropy`` in bits.
        ``glcm_`` is of the co-occurrence of 32 grey levels (from 0 to 160) at d px,
        averaged over four directions (Haralick et al. 1973); ``glcm_scaled_`` of 32 levels
        between the cell's own 1st and 99th percentile. ``lbp_r_k`` is the share of uniform local
        binary patterns with k brighter neighbours at r px, 9 for the others (Ojala et al. 2002).
    """
    inside = cv2.distanceTransform(cell.astype(np.uint8), cv2.DIST_L2, 5) > _RIM
    if np.count_nonzero(inside) < 16:
        inside = cell
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    smooth = _smoothed(pixels, cell)
    values = [
        *_nucleus(smooth[1, 3], cell),
        *_details(smooth, inside),
        *_gradients(smooth, inside),
        _entropy(grey[inside]),
        *_glcm(grey, inside, 0.0, 160.0),
        *_glcm(grey, inside, *_range(grey[inside])),
        *_lbp(grey, inside),
    ]
    return dict(zip(NUCLEUS + TEXTURE, map(float, values), strict=True))


def _smoothed(pixels: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return red, green, blue and grey, smoothed inside the cell alone.

    float32 ``(1 + len(SCALES), 4, height, width)``, first as they are.
    """
    layers = np.empty((1 + len(SCALES), 4, *cell.shape), np.float32)
    sums = [plane.astype(np.float32) for plane in (*cv2.split(pixels), cell)]
    for layer, scale in zip(layers, (0, *SCALES), strict=True):
        side = 2 * round(scale * 1.2) + 1
        soft = sums
        for _ in range(3 if scale else 0):
            soft = [cv2.blur(own, (side, side), borderType=cv2.BORDER_CONSTANT) for own in soft]
        *colours, mass = soft
        scale_by = cell / np.maximum(mass, np.float32(1e-3))
        for own, colour in zip(layer, colours, strict=False):
            np.multiply(colour, scale_by, out=own)
        red, green, blue, grey = layer
        grey[:] = 0.299 * red + 0.587 * green + 0.114 * blue
    return layers


def _details(layers: np.ndarray, inside: np.ndarray) -> list[float]:
    energies, moments, spots = [], [], []
    levels = layers.reshape(len(layers), 4, -1).take(np.flatnonzero(inside), axis=2)
    for number, (fine, coarse) in enumerate(itertools.pairwise(levels)):
        band = fine - coarse
        band -= band.mean(axis=1, keepdims=True)
        sd = band.std(axis=1)
        energies += np.log(sd[:3] + 0.05).tolist()
        grey = band[3]
        if number < len(SCALES) - 1:
            square = (grey / max(sd[3], 1e-3)) ** 2
            moments += [(square * grey).mean() / max(sd[3], 1e-3), (square * square).mean()]
        if 0 < number < len(SCALES) - 1:
            spots.append(np.mean(grey > 4.0))
    return energies + moments + spots


def _gradients(layers: np.ndarray, inside: np.ndarray) -> list[float]:
    values = []
    for number, grey in enumerate(layers[1:4, 3]):
        across = cv2.Sobel(grey, cv2.CV_32F, 1, 0)[inside] / 8
        down = cv2.Sobel(grey, cv2.CV_32F, 0, 1)[inside] / 8
        length = np.hypot(across, down)
        values += [length.mean(), length.std(), np.percentile(length, 90)]
        if number == 0:
            xx, yy, xy = (across**2).mean(), (down**2).mean(), (across * down).mean()
            coherence = np.hypot(xx - yy, 2 * xy) / max(xx + yy, 1e-6)
    laplacian = cv2.Laplacian(layers[1, 3], cv2.CV_32F)[inside].std()
    return [*values, coherence, laplacian]


def _entropy(grey: np.ndarray) -> float:
    share = np.bincount(grey // 4, minlength=64) / grey.size
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def _range(grey: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(grey, (1, 99))
    return float(low), float(max(high, low + 4))


def _glcm(grey: np.ndarray, inside: np.ndarray, low: float, high: float) -> list[float]:
    levels = np.clip((grey - low) / (high - low) * _LEVELS, 0, _LEVELS - 1).astype(np.uint8) + 1
    levels[~inside] = 0
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    counts = graycomatrix(levels, _DISTANCES, angles, _LEVELS + 1, symmetric=True)
    counts = counts[1:, 1:].sum(axis=3, keepdims=True)
    return [float(v) for name in _PROPERTIES for v in graycoprops(counts, name)[:, 0]]


def _lbp(grey: np.ndarray, inside: np.ndarray) -> list[float]:
    values = []
    for steps in _RINGS:
        codes = np.zeros(grey.shape, np.uint8)
        for bit, (down, across) in enumerate(steps):
            codes |= (np.roll(grey, (down, across), (0, 1)) >= grey).view(np.uint8) << bit
        counts = np.bincount(_UNIFORM[codes[inside]], minlength=_BINS)
        values += (counts / counts.sum()).tolist()
    return values


def _nucleus(grey: np.ndarray, cell: np.ndarray) -> list[float]:
    values = grey[cell]
    if np.ptp(values) < 1:
        return [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    dark = cell & (grey <= threshold_otsu(values))
    light = cell & ~dark
    least = max(8, int(0.002 * cell.sum()))
    points = cv2.findNonZero(dark.astype(np.uint8))
    hull = max(float(cv2.contourArea(cv2.convexHull(_ends(dark)))), 1.0)
    rows, columns = np.nonzero(cell)
    offset = points[:, 0].mean(axis=0) - (columns.mean(), rows.mean())
    return [
        dark.sum() / cell.sum(),
        grey[light].mean() - grey[dark].mean(),
        min(1.0, dark.sum() / hull),
        _pieces(dark, least),
        np.hypot(*offset) / np.sqrt(cell.sum()),
        _pieces(light, least),
    ]


def _ends(mask: np.ndarray) -> np.ndarray:
    """Return the first and the last pixel of each row, int32 ``(n, 2)``: all that a hull needs."""
    rows = np.flatnonzero(mask.any(axis=1))
    own = mask[rows]
    first, last = own.argmax(axis=1), own.shape[1] - 1 - own[:, ::-1].argmax(axis=1)
    return np.column_stack([np.r_[first, last], np.r_[rows, rows]]).astype(np.int32)


def _pieces(mask: np.ndarray, least: int) -> int:
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return int(np.sum(stats[1:, cv2.CC_STAT_AREA] >= least))
