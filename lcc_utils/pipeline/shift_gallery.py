"""One cell of a run under each shift at each severity, to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcc_utils.data.images import centre_crop, decode, resize
from lcc_utils.data.shift_scales import SCALES, SEVERITIES
from lcc_utils.data.shifted_cells import CROP
from lcc_utils.data.shifts import shifted
from lcc_utils.evaluation.metrics import CLASSES
from lcc_utils.pipeline.robustness import compared
from lcc_utils.pipeline.run import Run

__all__ = ["ShiftGallery", "shift_gallery"]

SIDE = 96


@dataclass(frozen=True)
class ShiftGallery:
    """A cell's images by shift; the arguments of ``figures.shift_gallery``."""

    images: dict[str, np.ndarray]
    caption: str


def shift_gallery(run: Run) -> ShiftGallery:
    """Return the first of the cells whose images are changed; empty for a run without them."""
    found = compared(run)
    if found is None:
        return ShiftGallery({}, "")
    cell = found.cells.iloc[0]
    image = centre_crop(decode(cell["path"]), CROP)
    images = {
        name: np.stack(
            [resize(shifted(image, name, own, cell["cell_id"]), SIDE) for own in (0, *SEVERITIES)]
        )
        for name in SCALES
    }
    return ShiftGallery(images, f"A test cell of class {CLASSES[int(cell['label'])]}")
