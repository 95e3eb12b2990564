"""Labels that are wrong on purpose: which training cells bear the other class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["wrong_labels"]


def wrong_labels(cell_ids: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Return which of some cells bear a wrong label, bool ``(n,)``.

    Every cell has one random number of the seed, whatever the other cells are; those with the
    smallest are wrong, as many as the share says, rounded. So the cells that are wrong at a small
    share are wrong at a larger one too, and each class has as many of them as chance gives it.

    Parameters
    ----------
    cell_ids
        The training cells, each once.
    share
        0 to 1.
    seed
        Seed of the experiment.
    """
    drawn = [hashlib.sha256(f"label noise {seed} {cell}".encode()).digest() for cell in cell_ids]
    wrong = np.zeros(len(drawn), bool)
    wrong[sorted(range(len(drawn)), key=drawn.__getitem__)[: round(share * len(drawn))]] = True
    return wrong
