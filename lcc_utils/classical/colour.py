"""Colour of a cell: how each channel is distributed inside it, and from its centre to its rim."""

from __future__ import annotations

import cv2
import numpy as np
from skimage.color import rgb2hed

CHANNELS = (
    "red",
    "green",
    "blue",
    "hue",
    "saturation",
    "lightness",
    "lab_a",
    "lab_b",
    "haematoxylin",
    "eosin",
)
_QUANTILES = (5, 25, 50, 75, 95)
_STEPS = 1000
_MEASURES = ("mean", "sd", "skewness", *(f"q{q:02d}" for q in _QUANTILES))
_RINGS = ("red", "green", "blue", "saturation")
COLOUR = (
    *(f"{channel}_{measure}" for channel in CHANNELS for measure in _MEASURES),
    *(f"{channel}_{part}" for channel in _RINGS for part in ("rim", "centre")),
    "correlation_red_green",
    "correlation_red_blue",
    "correlation_green_blue",
)


def colour(pixels: np.ndarray, cell: np.ndarray) -> dict[str, float]:
    """Return the features of ``COLOUR``.

    Parameters
    ----------
    pixels
        RGB, uint8 ``(height, width, 3)``.
    cell
        bool ``(height, width)``, with black on every side.

    Returns
    -------
    dict
        Mean, standard deviation, skewness (no unit) and quantiles in per cent of each
        channel: red, green and blue in 0 to 255; hue in degrees and saturation in 0 to 1 (HSV);
        lightness in 0 to 100 and a, b (CIE L*a*b*, D65); haematoxylin and eosin as optical
        densities times 100 (Ruifrok and Johnston 2001). ``_rim`` and ``_centre`` are the mean of
        the outer and inner third by distance from the outline, minus the cell's mean;
        ``correlation_`` is Pearson's between channels.
    """
    table = _channels(pixels[cell])
    mean = table.mean(axis=1)
    centred = table - mean[:, None]
    square = centred * centred
    sd = np.sqrt(square.mean(axis=1))
    third = np.einsum("ij,ij->i", square, centred) / table.shape[1]
    skewness = np.divide(third, sd**3, out=np.zeros_like(sd), where=sd > 1e-3)
    quantiles = np.array([_quantiles(row) for row in table])
    values = np.column_stack([mean, sd, skewness, quantiles]).ravel().tolist()
    rim, centre = _thirds(cell)
    for row in centred[[CHANNELS.index(channel) for channel in _RINGS]]:
        values += [float(row[rim].mean()), float(row[centre].mean())]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        spread = sd[a] * sd[b]
        values.append(float(centred[a] @ centred[b] / len(rim) / spread) if spread > 1e-6 else 0.0)
    return dict(zip(COLOUR, values, strict=True))


def _channels(inside: np.ndarray) -> np.ndarray:
    """Return the channels of ``CHANNELS`` for each pixel, float32 ``(10, n)``."""
    table = np.empty((len(CHANNELS), len(inside)), np.float32)
    unit = inside[None].astype(np.float32) / 255
    table[:3] = inside.T
    table[3:5] = cv2.cvtColor(unit, cv2.COLOR_RGB2HSV)[0, :, :2].T
    table[5:8] = cv2.cvtColor(unit, cv2.COLOR_RGB2LAB)[0].T
    table[8:] = 100 * rgb2hed(unit)[0, :, :2].T
    return table


def _quantiles(row: np.ndarray) -> np.ndarray:
    """Return the quantiles of one channel, to a thousandth of its range: sorting is slow."""
    low, reach = float(row.min()), float(np.ptp(row))
    if reach == 0:
        return np.full(len(_QUANTILES), low)
    counts = np.bincount(((row - low) * (_STEPS / reach) + 0.5).astype(np.int64))
    ranks = np.array(_QUANTILES) / 100 * len(row)
    return low + np.searchsorted(np.cumsum(counts), ranks) * (reach / _STEPS)


def _thirds(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell which of the cell's pixels are in the outer and in the inner third."""
    depth = cv2.distanceTransform(cell.astype(np.uint8), cv2.DIST_L2, 5)[cell]
    low, high = np.percentile(depth, (100 / 3, 200 / 3))
    return depth <= low, depth >= high
