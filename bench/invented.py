"""Invented cells and features: random numbers in the form of the frozen network's, with a signal.

They cost what real ones cost and say nothing about cells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

__all__ = ["CELLS", "CHANNELS", "SUBJECTS", "invented", "plant"]

# Cells and subjects (ALL, HEM) as the paper states them; channels of EfficientNetV2-B3.
CELLS, CHANNELS = 12_528, 1536
SUBJECTS = {1: 60, 0: 41}


def invented(count: int, folder: Path) -> pd.DataFrame:
    """Return a table of cells that all have one image: a frozen network's features stand for it."""
    image = folder / "cell.png"
    if not image.exists():
        cv2.imwrite(str(image), np.zeros((32, 32, 3), np.uint8))
    rng = np.random.default_rng(0)
    kinds = np.repeat(["", "H"], [SUBJECTS[1], SUBJECTS[0]])
    names = [f"{kind}{number + 1}" for number, kind in enumerate(kinds)]
    # Subjects differ in size, as the real ones do; each has a cell at least.
    weights = rng.lognormal(0.0, 0.7, len(names))
    counts = 1 + rng.multinomial(count - len(names), weights / weights.sum())
    subject = np.repeat(names, counts)
    numbers = np.arange(count)
    table = pd.DataFrame(
        {
            "cell_id": [f"cell_{number:05d}" for number in numbers],
            "path": str(image),
            "label": pd.array([int(not name.startswith("H")) for name in subject], dtype="Int64"),
            "patient": subject,
            "subject": subject,
            "phase": "train",
            "fold": pd.array(numbers % 3, dtype="Int64"),
            "pixel_sha256": [f"{number:064x}" for number in numbers],
            "file_sha256": [f"{number:064x}" for number in numbers],
        }
    )
    table.attrs = {"dataset": "synthetic", "label": f"{count:,} invented cells"}
    return table


def plant(settings: Any, cells: pd.DataFrame) -> None:
    """Keep features where the frozen network's are looked for: noise, subjects, and a signal."""
    from lcc_utils.data.images import PixelCache
    from lcc_utils.nn import frozen

    def features(*_: Any) -> np.ndarray:
        rng = np.random.default_rng(1)
        codes = pd.factorize(cells["subject"])[0]
        own = rng.normal(0.0, 0.5, (codes.max() + 1, CHANNELS))
        signal = np.outer(cells["label"].to_numpy("float64") - 0.5, rng.normal(0.0, 0.2, CHANNELS))
        noise = rng.standard_normal((len(cells), CHANNELS), dtype="float32")
        # Means of activations are not negative.
        return np.maximum(noise + own[codes] + signal, 0).astype("float32")

    size = settings.pixels.size
    black = np.zeros((size, size, 3), np.uint8)
    pixels = PixelCache(cells, size, settings.pixels.crop, read=lambda _: black)
    before, frozen._compute = frozen._compute, features
    try:
        frozen.frozen_features(pixels.array, settings, pixels.path.stem)
    finally:
        frozen._compute = before
