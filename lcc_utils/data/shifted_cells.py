"""Many cells under every shift at every severity, made in processes and brought to a small size."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pandas as pd

from lcc_utils.data.images import centre_crop, decode, resize
from lcc_utils.data.shift_scales import SCALES, SEVERITIES
from lcc_utils.data.shifts import shifted

__all__ = ["CROP", "as_input", "every_variant", "variants"]

# The middle of the frame that is changed, px: the cell lies in it.
CROP = 300
# So many cells are changed at a time: all images of all cells may be more than memory holds.
_PART = 16

Reduce = Callable[[np.ndarray], np.ndarray]


def every_variant(cells: pd.DataFrame, reduce: Reduce) -> Iterator[np.ndarray]:
    """Yield the variants of each cell in order, made by one process a core where that is allowed.

    Parameters
    ----------
    cells
        ``cell_id, path``.
    reduce
        See :func:`variants`. It is sent to other processes: a function of a module that imports
        little lets them start at once.

    Raises
    ------
    DataError
        If a file cannot be read, or shows no cell.
    """
    pairs = list(zip(cells["path"], cells["cell_id"], strict=True))
    if len(pairs) < _PART or multiprocessing.current_process().daemon:
        yield from (variants(*pair, reduce) for pair in pairs)
        return
    from joblib import Parallel, delayed

    with Parallel(n_jobs=-1, batch_size=1) as pool:
        for start in range(0, len(pairs), _PART):
            part = pairs[start : start + _PART]
            yield from pool(delayed(variants)(*pair, reduce) for pair in part)


def variants(path: str, cell_id: str, reduce: Reduce) -> np.ndarray:
    """Return what a model takes of each image of a cell, ``(1 + shifts x severities, ...)``.

    Parameters
    ----------
    path, cell_id
        The cell's file and name.
    reduce
        Makes what the model takes of an image, uint8 ``(300, 300, 3)``. The first image is
        unchanged; the others are in the order of ``SCALES`` and, within a shift, of severity.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # Cells are small, and the cores are busy with other cells.
    try:
        image = centre_crop(decode(path), CROP)
        changed = [shifted(image, name, own, cell_id) for name in SCALES for own in SEVERITIES]
        return np.stack([reduce(one) for one in (image, *changed)])
    finally:
        cv2.setNumThreads(threads)


def as_input(image: np.ndarray, size: int, crop: int) -> np.ndarray:
    """Return an image as a network takes it: cropped or padded, then resized."""
    return resize(centre_crop(image, crop), size)
