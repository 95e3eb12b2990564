"""Read an image file to upright 8-bit RGB pixels on black, wholly, or say why not.

Every command reads images here, so that a file is the same cell wherever it is named. What a
viewer shows is what is read: the orientation is applied, and transparent parts are black. What
8-bit RGB cannot show faithfully (more bits, no colours, CMYK, several pages) is refused in words.
"""

from __future__ import annotations

import io
import os
import struct

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from lcc_utils.data.files import FaultyFile, read_regular
from lcc_utils.data.formats import (
    FaultyImage,
    is_lossy,
    kind_of,
    require_readable,
    several,
    too_deep,
)

__all__ = ["SUFFIXES", "FaultyImage", "decode", "image_bytes", "read_image"]

SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
LARGEST_BYTES = 64 * 2**20
LARGEST_SIDE = 8192
_MOST_PAGES = 100
# A JPEG may hold further pictures that no viewer shows; Image.open would count them as frames.
_OPENERS = {
    "BMP": BmpImageFile,
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "TIFF": TiffImageFile,
    "WEBP": WebPImageFile,
}
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_GREY = {"1", "L", "LA", "La"}
_COLOURS = {"RGB", "RGBA", "RGBa", "RGBX", "P", "PA"}


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file to RGB, uint8 ``(height, width, 3)``.

    Raises
    ------
    FaultyImage
        If it cannot be read, or :func:`decode` refuses what is inside.
    """
    return decode(image_bytes(path))


def image_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of an image file.

    Raises
    ------
    FaultyImage
        If it is no regular file, is larger than 64 MiB, or cannot be read.
    """
    try:
        return read_regular(path, LARGEST_BYTES)
    except FaultyFile as fault:
        raise FaultyImage(fault.reason) from fault


def decode(data: bytes, *, lossless: bool = False) -> np.ndarray:
    """Decode the content of an image file to RGB, uint8 ``(height, width, 3)``.

    Parameters
    ----------
    data
        A whole BMP, PNG, JPEG, TIFF or WebP file.
    lossless
        Whether to refuse lossy compression, which changes the black around a cell.

    Raises
    ------
    FaultyImage
        If it is empty, truncated, damaged or of another format; if it has several pages or
        frames, more than 8 bits a channel, no colours or those of print; or if a side is longer
        than 8,192 px.
    """
    kind = kind_of(data)
    step = "damaged, or of a kind that cannot be read"
    try:
        require_readable(data, kind)
        with _OPENERS[kind](io.BytesIO(data)) as image:
            _refuse(image)
            if lossless and is_lossy(data, kind):
                raise FaultyImage(
                    f"{kind} with lossy compression, which changes the black around a cell; "
                    "restore the original BMP or PNG"
                )
            step = "truncated or damaged"
            image.load()
            return np.asarray(_on_black(_upright(image)))
    except FaultyImage:
        raise
    except Exception as error:  # Decoders fail in many ways on damaged data.
        words = " ".join(str(error).split())[:120] or type(error).__name__
        raise FaultyImage(f"{step} ({words})") from error


def _refuse(image: Image.Image) -> None:
    """Raise why an image whose header was read is not to be decoded."""
    width, height = image.size
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise FaultyImage(f"{width}x{height} px; sides are from 1 to {LARGEST_SIDE:,} px")
    pages = _pages(image)
    if pages > 1:
        raise FaultyImage(several(pages if pages < _MOST_PAGES else f"{pages} or more"))
    if image.mode.startswith(("I", "F")):
        raise FaultyImage(too_deep(32 if image.mode in ("I", "F") else 16))
    if image.mode in _GREY:
        raise FaultyImage("grey, without the colours of a stain; save it as 8-bit RGB")
    if image.mode not in _COLOURS:
        raise FaultyImage(f"{image.mode} colours, not RGB; save it as 8-bit RGB")


def _pages(image: Image.Image) -> int:
    """Count the pages of a TIFF as far as a hundred; other formats were looked into before."""
    if not isinstance(image, TiffImageFile):
        return 1
    count = 1
    while count < _MOST_PAGES:
        try:
            image.seek(count)
        except EOFError:
            break
        count += 1
    image.seek(0)
    return count


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF record says; a TIFF has been turned by the decoder."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except (SyntaxError, ValueError, OSError, struct.error):
        # A record that cannot be read turns nothing, as in viewers; the pixels are whole.
        turn = None
    return image if turn is None else image.transpose(turn)


def _on_black(image: Image.Image) -> Image.Image:
    """Return an image in RGB, laid on black where it has transparency.

    The fourth byte of a BMP has no meaning in many programs, which write 0 everywhere.
    """
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    layered = image.convert("RGBA")
    alpha = layered.getchannel("A")
    if image.format == "BMP" and alpha.getextrema() == (0, 0):
        return layered.convert("RGB")
    black = Image.new("RGB", image.size)
    black.paste(layered, mask=alpha)
    return black
