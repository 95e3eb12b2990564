"""Drawn images that no network should take for a cell of its own: a contrast that needs no data.

A run on synthetic cells shows them, so that its chapter has cells from elsewhere. They are drawn
and say nothing of any real data set.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from lcc_utils.data.drawing import draw_cell, draw_patient
from lcc_utils.data.images import FRAME

__all__ = ["KINDS", "draw_shapes"]

DISC, NOISE, GROUND = "even disc", "disc of noise", "cell on ground"
KINDS = (DISC, NOISE, GROUND)
_GROUND = (226, 214, 224)


def draw_shapes(count: int, seed: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """Yield so many images of each kind: a kind, and uint8 RGB ``(450, 450, 3)``.

    An even disc has the size and the mean colour of a cell and no structure, a disc of noise has
    independent pixels, and a cell on ground is a synthetic cell whose ground is bright as in a
    photograph. Each image is decided by the seed, its kind and its number.
    """
    for place, kind in enumerate(KINDS):
        for number in range(count):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(place, number)))
            yield kind, _draw(kind, rng)


def _draw(kind: str, rng: np.random.Generator) -> np.ndarray:
    label = int(rng.integers(2))
    patient = draw_patient(label, rng)
    if kind == GROUND:
        cell = draw_cell(label, patient, rng)
        return np.where(cell.any(axis=2, keepdims=True), cell, np.uint8(_GROUND))
    disc = np.zeros((FRAME, FRAME), np.uint8)
    cv2.circle(disc, (FRAME // 2, FRAME // 2), round(patient.diameter / 2), 1, cv2.FILLED)
    colour = np.array(patient.stain)
    if kind == NOISE:
        colour = colour + rng.normal(0, 30, (FRAME, FRAME, 1))
    return np.clip(colour, 1, 255).astype(np.uint8) * disc[..., None]
