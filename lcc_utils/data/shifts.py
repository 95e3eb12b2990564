"""Changes of a test image: of light, stain, focus, file, position and segmentation.

Each acts on a cell as it lies in its file, uint8 RGB on black, before it is resized. The ground
stays black except where the change itself spreads the cell: defocus, compression, and the
interpolation of turns and sizes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from skimage.color import hed_from_rgb, rgb_from_hed

from lcc_utils.data.images import centre_crop
from lcc_utils.data.shift_scales import SCALES, SEVERITIES, Scale
from lcc_utils.errors import DataError, RequestError

__all__ = ["SHIFTS", "shifted"]

Image = np.ndarray
Shift = Callable[[Image, int, np.random.Generator], Image]

# Where a cell fades into the ground, what is added to it fades too: fully above this level of the
# brightest channel, not at all at 0. Otherwise a change would draw an outline (nn.augment).
_EDGE_LEVEL = 32.0
_HAEMATOXYLIN, _EOSIN = 0, 1
_TO_STAINS, _TO_RGB = hed_from_rgb.astype(np.float32), rgb_from_hed.astype(np.float32)
# Compression raises the whole ground by a level or two at some qualities: that counts as black.
_NEARLY_BLACK = 3


def shifted(image: Image, name: str, severity: int, cell_id: str) -> Image:
    """Return an image changed in one way; the same cell is changed alike for every model.

    Parameters
    ----------
    image
        RGB, uint8 ``(height, width, 3)``: a cell on black.
    name
        A key of :data:`SHIFTS`; what its severities mean is in ``shift_scales.SCALES``.
    severity
        0, the image as it is, to 5.
    cell_id
        Seeds what is drawn: noise, and the direction of errors of segmentation.

    Returns
    -------
    numpy.ndarray
        uint8, of the same shape.

    Raises
    ------
    RequestError
        If there is no such shift or severity.
    DataError
        If the image is no uint8 RGB image, or every pixel is black.
    """
    if name not in SHIFTS or severity not in (0, *SEVERITIES):
        raise RequestError(
            f"There is no shift {name!r} of severity {severity}; shifts are {', '.join(SHIFTS)}, "
            "and severities 0 to 5."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.any():
        raise DataError(
            f"An image to change is uint8 (height, width, 3) and shows a cell on black; this one "
            f"is {image.dtype} {image.shape}, {'with' if image.any() else 'without'} a cell."
        )
    if severity == 0:
        return image
    rng = np.random.default_rng(zlib.crc32(f"{name} {cell_id}".encode()))
    return SHIFTS[name](image, severity, rng)


def _multiplied(image: Image, factor: float, _rng: np.random.Generator) -> Image:
    return _recoloured(image, lambda levels: levels * factor)


def _less_contrast(image: Image, factor: float, _rng: np.random.Generator) -> Image:
    def change(levels: np.ndarray) -> np.ndarray:
        mean = levels.mean(axis=0)
        return mean + factor * (levels - mean)

    return _recoloured(image, change)


def _stained(image: Image, factor: float, _rng: np.random.Generator, stain: int) -> Image:
    """Multiply one stain's concentration, in the colours of Ruifrok and Johnston (2001)."""

    def change(levels: np.ndarray) -> np.ndarray:
        stains = -np.log(np.maximum(levels, 1) / 255) @ _TO_STAINS
        stains[:, stain] *= factor
        return 255 * np.exp(-(stains @ _TO_RGB))

    return _recoloured(image, change)


def _turned_hue(image: Image, degrees: float, _rng: np.random.Generator) -> Image:
    def change(levels: np.ndarray) -> np.ndarray:
        hsv = cv2.cvtColor(levels[None].astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + degrees) % 360
        return 255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]

    return _recoloured(image, change)


def _noisy(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    return _recoloured(
        image, lambda levels: levels + deviation * rng.standard_normal(levels.shape, np.float32)
    )


def _defocused(image: Image, radius: float, _rng: np.random.Generator) -> Image:
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return cv2.filter2D(image, -1, disc / disc.sum(), borderType=cv2.BORDER_CONSTANT)


def _compressed(image: Image, quality: float, _rng: np.random.Generator) -> Image:
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    _, file = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    found = cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return found * (found.max(axis=2, keepdims=True) > _NEARLY_BLACK)


def _rotated(image: Image, degrees: float, _rng: np.random.Generator) -> Image:
    if degrees % 90 == 0 and image.shape[0] == image.shape[1]:
        return np.ascontiguousarray(np.rot90(image, int(degrees // 90)))
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_LINEAR)


def _resized(image: Image, factor: float, _rng: np.random.Generator) -> Image:
    """Bring the cell to another size; what then lies outside the frame is lost."""
    side = max(image.shape[:2])
    square = centre_crop(image, side)
    new = round(side * factor)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    resized = centre_crop(cv2.resize(square, (new, new), interpolation=method), side)
    top, left = (side - image.shape[0]) // 2, (side - image.shape[1]) // 2
    return resized[top : top + image.shape[0], left : left + image.shape[1]]


def _eroded(image: Image, width: float, _rng: np.random.Generator) -> Image:
    mask = np.pad(_mask(image), 1).astype(np.uint8)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)[1:-1, 1:-1]
    # Of a cell narrower than what is to be lost, its inner half stays.
    return image * (depth > min(width, depth.max() / 2))[..., None]


def _cut(image: Image, percent: float, rng: np.random.Generator) -> Image:
    """Take a part away along a straight line in a random direction."""
    rows, columns = np.nonzero(_mask(image))
    angle = rng.uniform(0, 2 * np.pi)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    lost = along > np.quantile(along, 1 - percent / 100)
    cut = image.copy()
    cut[rows[lost], columns[lost]] = 0
    return cut


def _with_scrap(image: Image, percent: float, rng: np.random.Generator) -> Image:
    """Let a cell like this one look out from behind it, in a random direction.

    The scrap is of a copy of the cell, so that it brings in no other class. It is as large as
    asked for, to the pixel by which the copy is moved, unless the frame cuts it.
    """
    mask = _mask(image)
    angle = rng.uniform(0, 2 * np.pi)
    wanted, best, most = percent / 100 * mask.sum(), (0, 0), 0
    for distance in range(1, max(image.shape[:2])):
        x, y = round(distance * np.cos(angle)), round(distance * np.sin(angle))
        added = _moved(mask.astype(np.uint8), x, y).astype(bool) & ~mask
        area = int(added.sum())
        if area > most:
            best, most = (x, y), area
        if area >= wanted:
            break
    return np.where(mask[..., None], image, _moved(image, *best))


def _moved(image: Image, x: int, y: int) -> Image:
    by = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return cv2.warpAffine(image, by, image.shape[1::-1], flags=cv2.INTER_NEAREST)


def _mask(image: Image) -> np.ndarray:
    """Return which pixels are not black; faster than ``any`` over the channels."""
    return (image[..., 0] | image[..., 1] | image[..., 2]) > 0


def _recoloured(image: Image, change: Callable[[np.ndarray], np.ndarray]) -> Image:
    """Change the levels of the cell, float ``(n, 3)``; its outline and the ground stay."""
    at = np.flatnonzero(_mask(image))
    levels = image.reshape(-1, 3)[at].astype(np.float32)
    share = np.minimum(levels.max(axis=1, keepdims=True) / _EDGE_LEVEL, 1)
    changed = levels + share * (change(levels) - levels)
    found = np.zeros_like(image)
    # No pixel of the cell turns black: black is the ground.
    found.reshape(-1, 3)[at] = np.clip(np.rint(changed), 1, 255)
    return found


_CHANGES: dict[str, Callable[[Image, float, np.random.Generator], Image]] = {
    "darker": _multiplied,
    "brighter": _multiplied,
    "less contrast": _less_contrast,
    "less haematoxylin": partial(_stained, stain=_HAEMATOXYLIN),
    "more haematoxylin": partial(_stained, stain=_HAEMATOXYLIN),
    "more eosin": partial(_stained, stain=_EOSIN),
    "hue": _turned_hue,
    "noise": _noisy,
    "defocus": _defocused,
    "JPEG": _compressed,
    "rotation": _rotated,
    "smaller": _resized,
    "larger": _resized,
    "rim lost": _eroded,
    "part cut away": _cut,
    "scrap attached": _with_scrap,
}


def _at_severity(name: str, scale: Scale) -> Shift:
    return lambda image, severity, rng: _CHANGES[name](image, scale.value(severity), rng)


SHIFTS: dict[str, Shift] = {name: _at_severity(name, scale) for name, scale in SCALES.items()}
