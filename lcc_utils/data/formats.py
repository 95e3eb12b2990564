"""Look into the headers of image files for what decoders hide: depth, frames, losses, damage."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import TiffImagePlugin

__all__ = ["FaultyImage", "is_lossy", "kind_of", "require_readable"]

_PNG = b"\x89PNG\r\n\x1a\n"
_KINDS = {
    b"BM": "BMP",
    _PNG: "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_OTHERS = {b"GIF8": "GIF", b"8BPS": "Photoshop", b"\0\0\0\x0cjP  ": "JPEG 2000"}
_BITS, _COMPRESSION, _SAMPLES, _FLOAT, _DEPTH = 258, 259, 339, 3, 32997
_LOSSY_TIFF = {6, 7, 34712, 34892, 50001, 50002}


class FaultyImage(Exception):
    """One image cannot be used; the message says why, without the file's name."""


def kind_of(data: bytes) -> str:
    """Return the format of a file's content: BMP, PNG, JPEG, TIFF or WEBP.

    Raises
    ------
    FaultyImage
        If it is empty or none of these.
    """
    if not data:
        raise FaultyImage("zero bytes")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if found := next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), ""):
        return found
    name = next((name for magic, name in _OTHERS.items() if data.startswith(magic)), "no image")
    name = "HEIF or AVIF" if data[4:8] == b"ftyp" else name
    name = "DICOM" if data[128:132] == b"DICM" else name
    raise FaultyImage(f"{name} inside; BMP, PNG, JPEG, TIFF and WebP can be read")


def require_readable(data: bytes, kind: str) -> None:
    """Check what a decoder would pass over: checksums, truncation, frames, more than 8 bits.

    Raises
    ------
    FaultyImage
        If the file is truncated or damaged, animated, or deeper than 8 bits a channel.
    """
    if check := {"BMP": _bmp, "PNG": _png, "TIFF": _tiff, "WEBP": _webp}.get(kind):
        check(data)


def is_lossy(data: bytes, kind: str) -> bool:
    """Tell whether a file's compression changes pixels, and with them the black around a cell."""
    if kind == "WEBP":
        return any(name == b"VP8 " for name, _, _ in _riff_chunks(data))
    return kind == "JPEG" or (kind == "TIFF" and _tag(data, _COMPRESSION) in _LOSSY_TIFF)


def _bmp(data: bytes) -> None:
    if len(data) < 30:
        raise FaultyImage(f"truncated: {len(data)} bytes")
    # The header of OS/2 has sides of two bytes; all later ones have sides of four.
    at = 24 if int.from_bytes(data[14:18], "little") == 12 else 28
    if int.from_bytes(data[at : at + 2], "little") == 16:
        raise FaultyImage("16-bit BMP, with 5 or 6 bits a channel; save it as 8-bit RGB")


def _png(data: bytes) -> None:
    """Check every chunk: a decoder does not, and a flipped bit may show as other pixels."""
    at, name = len(_PNG), b""
    while name != b"IEND":
        if at + 12 > len(data):
            raise FaultyImage("truncated: the end of the PNG is missing")
        length, name = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise FaultyImage("truncated: the end of the PNG is missing")
        body = data[at + 4 : at + 8 + length]
        if zlib.crc32(body) != int.from_bytes(data[at + 8 + length : at + 12 + length], "big"):
            raise FaultyImage(f"damaged: the checksum of chunk {name!r:.20} is wrong")
        if name == b"IHDR" and length >= 9 and body[12] > 8:
            raise FaultyImage(too_deep(body[12]))
        if name == b"acTL" and length >= 4 and (frames := int.from_bytes(body[4:8], "big")) > 1:
            raise FaultyImage(several(frames))
        at += 12 + length


def _tiff(data: bytes) -> None:
    depths = _tag(data, _BITS, (1,))
    deepest = max(depths if isinstance(depths, tuple) else (depths,))
    formats = _tag(data, _SAMPLES, (1,))
    if _FLOAT in (formats if isinstance(formats, tuple) else (formats,)):
        raise FaultyImage(too_deep(deepest, " floating point"))
    if deepest > 8:
        raise FaultyImage(too_deep(deepest))
    # A stack in one page, of which decoders read the first image.
    if (layers := _tag(data, _DEPTH, 1)) != 1:
        raise FaultyImage(several(str(layers)))


def _webp(data: bytes) -> None:
    whole = 8 + int.from_bytes(data[4:8], "little")
    if whole > len(data):
        raise FaultyImage(f"truncated: {len(data):,} of {whole:,} bytes")
    frames = sum(name == b"ANMF" for name, _, _ in _riff_chunks(data))
    if frames > 1:
        raise FaultyImage(several(frames))


def too_deep(bits: int, what: str = "") -> str:
    """Return the reason for an image of more than 8 bits a channel."""
    filled = " (of which a camera may fill only 10, 12 or 14)" if bits == 16 and not what else ""
    return f"{bits} bits{what} a channel{filled}, not 8; save it as 8-bit RGB"


def several(count: int | str) -> str:
    """Return the reason for a file of several pages or frames."""
    return f"{count} pages or frames; save each as an image of its own"


def _tag(data: bytes, number: int, otherwise: object = None) -> object:
    """Return a tag of the first page of a TIFF, as Pillow reads it."""
    stream = io.BytesIO(data)
    # A BigTIFF (version 43) has a longer header.
    start = stream.read(16 if 43 in (data[2], data[3]) else 8)
    folder = TiffImagePlugin.ImageFileDirectory_v2(start)
    stream.seek(folder.next)
    folder.load(stream)
    return folder.get(number, otherwise)


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and length of each chunk of a WebP."""
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        yield name, at + 8, length
        at += 8 + length + length % 2
