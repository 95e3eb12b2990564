"""One cell of a photograph in the frame of a C-NMC cell: with its ground, or cut out on black.

Cells of C-NMC 2019 are cut out on exact black and all of one scale. A crop of a photograph has
ground and neighbours around its cell, and a scale of its own; a network may tell either at once.
"""

from __future__ import annotations

import cv2
import numpy as np
from skimage.filters import threshold_otsu

from lcc_utils.data.images import BLACK, FRAME, central_frame
from lcc_utils.data.reading import FaultyImage

__all__ = ["AS_IT_IS", "CUT_OUT", "SMALLEST_SIDE", "cropped", "cut_out", "framed", "on_black"]

AS_IT_IS, CUT_OUT = "as it is", "cut out"
# Pixels; a smaller box shows nothing that could be a cell.
SMALLEST_SIDE = 8
# Of the border's pixels: as many are black where a cell is cut out already.
_BLACK_BORDER = 0.75
# Of the side: how far saturation is smoothed before the threshold, at least one pixel.
_SMOOTHED = 1 / 64
_LEAST_AREA = 0.01


def cropped(pixels: np.ndarray, box: tuple[int, int, int, int] | None) -> np.ndarray:
    """Return the part of an image in a box ``(xmin, ymin, xmax, ymax)``, or the whole.

    Raises
    ------
    FaultyImage
        If no more than ``SMALLEST_SIDE`` px of the box's width or height lie in the image.
    """
    if box is None:
        return pixels
    height, width = pixels.shape[:2]
    left, top, right, bottom = (max(0, side) for side in box)
    part = pixels[top : min(bottom, height), left : min(right, width)]
    if min(part.shape[:2]) < SMALLEST_SIDE:
        raise FaultyImage(
            f"of its box {', '.join(map(str, box))} only {part.shape[1]}x{part.shape[0]} px lie "
            f"in the image of {width}x{height}"
        )
    return part


def framed(pixels: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Return an image at the scale of C-NMC 2019, centred on black, ``(450, 450, 3)``.

    Parameters
    ----------
    pixels
        uint8 RGB.
    scale
        How many times larger things are drawn in it than in C-NMC 2019; it is divided by that.

    Raises
    ------
    FaultyImage
        If it is then larger than the frame, and what would be lost is not black; or nothing.
    """
    height, width = (round(side / scale) for side in pixels.shape[:2])
    if min(height, width) < 1:
        raise FaultyImage(f"at scale {scale:g} nothing of it is left")
    if (height, width) != pixels.shape[:2]:
        method = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, (width, height), interpolation=method)
    inner = central_frame(pixels)
    if inner is None:
        raise FaultyImage(
            f"{width}x{height} px at this scale, larger than the frame of {FRAME} px: give the "
            "box of each cell, or a larger scale"
        )
    return inner


def on_black(pixels: np.ndarray) -> bool:
    """Tell whether a cell is cut out already: most of the image's border is black."""
    black = (pixels <= BLACK).all(axis=2)
    border = np.concatenate([black[0], black[-1], black[1:-1, 0], black[1:-1, -1]])
    return bool(border.mean() >= _BLACK_BORDER)


def cut_out(pixels: np.ndarray) -> np.ndarray:
    """Return an image of one cell with all else black.

    The cell is what is more saturated than Otsu's threshold: stains colour nucleus and cytoplasm,
    and the ground of a bright-field photograph is nearly white. Saturation (of HSV) is smoothed
    first, by 1/64 of the side; of several objects the largest is kept, and its holes are filled.
    It is simple, and finds a pale rim of cytoplasm in part.

    Raises
    ------
    FaultyImage
        If the image is all of one saturation, or what is found is tiny.
    """
    saturation = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 1]
    smooth = cv2.GaussianBlur(saturation, (0, 0), max(1.0, _SMOOTHED * max(saturation.shape)))
    if smooth.min() == smooth.max():
        raise FaultyImage("it is of one saturation, so that no cell stands out")
    mask = (smooth > threshold_otsu(smooth)).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea)
    filled = cv2.drawContours(np.zeros_like(mask), [largest], -1, 1, cv2.FILLED)
    if filled.mean() < _LEAST_AREA:
        raise FaultyImage("no cell stands out from its ground")
    return pixels * filled[..., None]
