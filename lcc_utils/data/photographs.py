"""Images of a user's own: which files are meant, and whether each can be a cut-out cell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from lcc_utils.data.files import is_folder
from lcc_utils.data.images import BLACK, FRAME, central_frame, centre_crop, resize
from lcc_utils.data.layouts import walk
from lcc_utils.data.paths import user_path
from lcc_utils.data.reading import SUFFIXES, FaultyImage, read_image

__all__ = ["Listing", "Photograph", "list_images", "prepared", "read_cell"]

# Cells of C-NMC 2019 cover 14,800 to 50,400 px of their frames; these are two to three times that.
SMALLEST_CELL, LARGEST_CELL = 5_000, 110_000
_LARGEST_BORDER = 0.25
_LEFT_OUT = ("augmented image", "copy", "mask")


@dataclass
class Listing:
    """What was asked for.

    Attributes
    ----------
    files
        Image files in the order given, those of a folder by name, each once.
    faults
        Path and reason of what was named but gives no image.
    left_out
        Path and reason of what was not asked for: files of a folder that are no images by their
        names, hidden and system files, and files of a C-NMC tree that are no cells of it.
    """

    files: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Photograph:
    """One image: its pixels or none, its size as text, and why it is not to be judged."""

    pixels: np.ndarray | None
    side: str
    reason: str


def list_images(places: Sequence[str | os.PathLike[str]]) -> Listing:
    """List files, and folders with all that is below them.

    In a folder that holds cells named as in C-NMC 2019, in any known layout, masks, copies and
    augmented images are left out; what ``data.trees.below`` leaves out is so everywhere. A folder
    that cannot be read is at fault.
    """
    found, seen = Listing(), set()
    for place in (user_path(place, "CELLS") for place in places):
        if is_folder(place):
            own = _below(place, found)
        elif os.path.lexists(place):
            own = [str(place)]
        else:
            own = []
            found.faults.append((str(place), "not there"))
        for path in own:
            real = os.path.realpath(path)
            if real not in seen:
                seen.add(real)
                found.files.append(path)
    return found


def read_cell(path: str | os.PathLike[str]) -> Photograph:
    """Read one image as a frame of 450 px that holds one cell on black.

    An image of another size keeps its scale, since the size of a cell tells something of its
    class: a smaller one is centred on black; of a larger one the middle is taken, as in training,
    where nothing but black is lost.
    """
    try:
        pixels = read_image(path)
    except FaultyImage as fault:
        return Photograph(None, "", f"unreadable: {fault}")
    height, width = pixels.shape[:2]
    side = str(width) if width == height else f"{width}x{height}"
    frame = central_frame(pixels)
    if frame is None:
        reason = (
            f"larger than {FRAME} px, with more than black around its middle: cut the cell out on "
            "black at the scale of C-NMC 2019, about 220 px for a cell"
        )
        return Photograph(None, side, reason)
    return Photograph(frame, side, _not_a_cell(frame if max(height, width) > FRAME else pixels))


def prepared(pixels: np.ndarray, size: int, crop: int) -> np.ndarray:
    """Return a frame as the network sees it: as in training, cropped and then resized."""
    return resize(centre_crop(pixels, crop), size)


def _not_a_cell(pixels: np.ndarray) -> str:
    """Return why an image cannot be one cell cut out on black; empty when it can."""
    shown = (pixels > BLACK).any(axis=2)
    area = int(shown.sum())
    if area < SMALLEST_CELL:
        return f"no cell: {area:,} px are not black, and a cell has at least {SMALLEST_CELL:,}"
    border = np.concatenate([shown[0], shown[-1], shown[:, 0], shown[:, -1]])
    if area > LARGEST_CELL or border.mean() > _LARGEST_BORDER:
        return "not one cell cut out on black: the ground is not black, or the cell fills the frame"
    count, _, stats, _ = cv2.connectedComponentsWithStats(shown.astype(np.uint8), connectivity=8)
    if count > 2 and sorted(stats[1:, cv2.CC_STAT_AREA])[-2] >= SMALLEST_CELL:
        return "more than one cell: cut out each alone"
    return ""


def _below(folder: Path, found: Listing) -> list[str]:
    """Return the images below a folder, and note what is left out of them and what is at fault."""
    tree = walk(folder)
    # The tree's paths are absolute; those of a listing begin as they were given.
    named = {str(path): str(folder / path.relative_to(tree.root)) for path in tree.files}
    reasons = dict(tree.junk)
    listed = []
    for path, shown in named.items():
        if Path(path).suffix.lower() not in SUFFIXES:
            found.left_out.append((shown, "not an image, by the name"))
        elif tree.cells and (reason := reasons.get(path, "")) in _LEFT_OUT:
            found.left_out.append((shown, reason))
        else:
            listed.append(shown)
    for path, reason in tree.junk:
        if path not in named:
            found.left_out.append((str(folder / Path(path).relative_to(tree.root)), reason))
    for path, reason in tree.unreadable:
        found.faults.append((str(folder / Path(path).relative_to(tree.root)), reason))
    if not listed and not tree.unreadable:
        found.faults.append((str(folder), f"no image in it ({', '.join(SUFFIXES)})"))
    return listed
