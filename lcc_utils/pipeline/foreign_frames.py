"""The images of a foreign set, cell by cell, and the fingerprint of the files they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from lcc_utils.data.cut_out import AS_IT_IS, CUT_OUT, cropped, cut_out, framed, on_black
from lcc_utils.data.elsewhere import ForeignSet
from lcc_utils.data.reading import FaultyImage, decode, image_bytes

__all__ = ["Fingerprints", "Frame", "drawn_frames", "frames", "spread_out"]


class Frame(NamedTuple):
    """One cell in one form: its row in the set's table, and uint8 ``(450, 450, 3)``."""

    row: int
    form: str
    pixels: np.ndarray


class Fingerprints:
    """SHA-256 of each file that gave a cell."""

    def __init__(self) -> None:
        self._found: set[str] = set()

    def add(self, sha256: str) -> None:
        """Note one file; the same bytes count once."""
        self._found.add(sha256)

    @property
    def files(self) -> int:
        """How many files there are."""
        return len(self._found)

    @property
    def digest(self) -> str:
        """The first sixteen hex digits of SHA-256 over the files' sorted digests, one a line."""
        lines = "".join(f"{one}\n" for one in sorted(self._found))
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


def spread_out(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most so many cells of each kind and class, spread over subjects and images.

    They are drawn in turn from each subject, or from each image where no subject is known, in an
    order that is random with a fixed seed; the rows keep their index.
    """
    shuffled = table.sample(frac=1, random_state=0)
    unit = shuffled["subject"].fillna(shuffled["image"])
    turn = shuffled.groupby([shuffled["kind"], unit], dropna=False).cumcount()
    order = shuffled.assign(turn=turn).sort_values("turn", kind="stable")
    place = order.groupby(["kind", "label"], dropna=False).cumcount()
    return table.loc[sorted(order.index[place < most])]


def frames(
    found: ForeignSet, scale: float, own: pd.DataFrame, prints: Fingerprints
) -> Iterator[Frame]:
    """Yield every cell of a set: as it is and, unless it is on black already, cut out.

    Each file is decoded once. What cannot be used is added to the faults of the set.

    Parameters
    ----------
    found
        The set; the rows of its table are those of the frames.
    scale
        See ``data.cut_out.framed``.
    own
        The run's cells: a file or an image that is one of them is no foreign cell.
    prints
        Takes the fingerprints of files that give a cell.
    """
    files, pixels_of = set(own["file_sha256"]), set(own["pixel_sha256"])
    for path, rows in found.table.groupby("path", sort=False):
        image = rows["image"].iloc[0]
        try:
            data = image_bytes(path)
            sha256, pixels = hashlib.sha256(data).hexdigest(), decode(data)
            content = hashlib.sha256(pixels.tobytes()).hexdigest()
            if sha256 in files or content in pixels_of:
                raise FaultyImage("a cell of the run itself")
        except FaultyImage as fault:
            found.faults.append((image, str(fault)))
            continue
        for row, box in zip(rows.index, rows["box"], strict=True):
            try:
                for form, frame in _forms(cropped(pixels, box), scale):
                    prints.add(sha256)
                    yield Frame(row, form, frame)
            except FaultyImage as fault:
                found.faults.append((found.table.loc[row, "cell_id"], str(fault)))


def drawn_frames(images: Iterable[np.ndarray], prints: Fingerprints) -> Iterator[Frame]:
    """Yield images at hand as :func:`frames` does those of files; their rows count from 0."""
    for row, image in enumerate(images):
        prints.add(hashlib.sha256(image.tobytes()).hexdigest())
        for form, frame in _forms(image, 1.0):
            yield Frame(row, form, frame)


def _forms(pixels: np.ndarray, scale: float) -> Iterator[tuple[str, np.ndarray]]:
    yield AS_IT_IS, framed(pixels, scale)
    if not on_black(pixels):
        yield CUT_OUT, framed(cut_out(pixels), scale)
