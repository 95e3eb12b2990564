"""Size and shape of a cell, from its mask alone."""

from __future__ import annotations

import cv2
import numpy as np
from skimage import measure

SIZE = (
    "area",
    "equivalent_diameter",
    "long_side",
    "short_side",
    "major_axis",
    "minor_axis",
    "perimeter",
    "inscribed_diameter",
    "body_area",
)
HARMONICS = ((2, 2), (3, 4), (5, 8), (9, 16), (17, 32))
SHAPE = (
    "eccentricity",
    "solidity",
    "extent",
    "form_factor",
    "aspect",
    "convexity",
    "inscribed_share",
    "outgrowth_share",
    "radius_sd",
    *(f"outline_{low}_{high}" for low, high in HARMONICS),
)

_OPENING = 12
_ANGLES = 128


def largest_object(mask: np.ndarray) -> np.ndarray | None:
    """Return the largest connected object of a mask, holes filled, or None of an empty mask.

    Parameters
    ----------
    mask
        bool ``(height, width)``; pixels that touch by a corner are connected.
    """
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    best = 1 + int(np.argmax(stats[1:count, cv2.CC_STAT_AREA]))
    outlines, _ = cv2.findContours(
        (labels == best).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled.astype(bool)


def size_and_shape(cell: np.ndarray) -> dict[str, float]:
    """Return the features of ``SIZE`` and ``SHAPE``.

    Parameters
    ----------
    cell
        bool ``(height, width)``: one object without holes, with black on every side.

    Returns
    -------
    dict
        ``area`` and ``body_area`` in px², the other sizes in px; shapes have no unit.
        ``long_side`` and ``short_side`` are those of the bounding box; ``perimeter`` is
        Crofton's in four directions; ``inscribed_diameter`` is that of the largest disc inside.
        ``body_area`` is what an opening by a disc of radius 12 px leaves, ``outgrowth_share``
        the share it takes away. ``form_factor`` is 4 pi area / perimeter², 1 for a disc;
        ``aspect`` minor by major axis; ``convexity`` the convex hull's perimeter by the cell's.
        ``radius_sd`` is the standard deviation of the distance from centroid to outline by its
        mean, and ``outline_a_b`` the amplitude of its harmonics a to b.
    """
    region = measure.regionprops(cell.astype(np.uint8))[0]
    area = float(region.area)
    perimeter = float(region.perimeter_crofton)
    height, width = region.image.shape
    outline, hull = _outline(cell)
    hull_area, hull_perimeter = _hull(hull)
    inscribed = 2.0 * float(cv2.distanceTransform(cell.astype(np.uint8), cv2.DIST_L2, 5).max())
    body = _body(cell)
    radii = _radii(outline, region.centroid)
    major, minor = float(region.axis_major_length), float(region.axis_minor_length)
    diameter = float(region.equivalent_diameter_area)
    values = (
        area,
        diameter,
        float(max(height, width)),
        float(min(height, width)),
        major,
        minor,
        perimeter,
        inscribed,
        float(body),
        float(region.eccentricity),
        min(1.0, area / hull_area),
        float(region.extent),
        4 * np.pi * area / perimeter**2 if perimeter else 1.0,
        minor / major if major else 1.0,
        hull_perimeter / perimeter if perimeter else 1.0,
        inscribed / diameter,
        1 - body / area,
        float(radii.std()),
        *_harmonics(radii),
    )
    return dict(zip(SIZE + SHAPE, map(float, values), strict=True))


def _outline(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the outline's pixels ``(n, 2)`` as x, y, and its convex hull's."""
    outlines, _ = cv2.findContours(cell.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = max(outlines, key=len)
    return points[:, 0], cv2.convexHull(points)[:, 0]


def _hull(hull: np.ndarray) -> tuple[float, float]:
    """Return a hull's area and perimeter, counted over whole pixels, not their centres."""
    corners = hull[:, None] + np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])
    points = cv2.convexHull(corners.reshape(-1, 2).astype(np.float32))
    centres = cv2.arcLength(hull.astype(np.float32), True)
    return float(cv2.contourArea(points)), float(centres + np.pi)


def _body(cell: np.ndarray) -> int:
    """Return the area that an opening by a disc leaves."""
    inside = cv2.distanceTransform(cell.astype(np.uint8), cv2.DIST_L2, 5) > _OPENING
    if not inside.any():
        return 0
    far = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    return int(np.count_nonzero((far <= _OPENING) & cell))


def _radii(outline: np.ndarray, centroid: tuple[float, float]) -> np.ndarray:
    """Return the outline's distance from the centroid in 128 directions, by their mean."""
    x, y = outline[:, 0] - centroid[1], outline[:, 1] - centroid[0]
    turn = (np.arctan2(y, x) / (2 * np.pi)) % 1.0
    order = np.argsort(turn, kind="stable")
    at = np.arange(_ANGLES) / _ANGLES
    radii = np.interp(at, turn[order], np.hypot(x, y)[order], period=1.0)
    return radii / max(float(radii.mean()), 1e-9)


def _harmonics(radii: np.ndarray) -> list[float]:
    power = (np.abs(np.fft.rfft(radii)) * 2 / len(radii)) ** 2
    return [float(np.sqrt(power[low : high + 1].sum())) for low, high in HARMONICS]
