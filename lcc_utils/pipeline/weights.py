"""Weights of trained networks that a run keeps, for what looks into them later."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from lcc_utils.data.cache import write_atomic

__all__ = ["keep_weights", "load_weights", "weights_path"]


def weights_path(folder: Path, key: str, shuffled: bool = False) -> Path:
    """Return where a run keeps the weights of an experiment; they are no part of an edition."""
    return folder / "weights" / f"{key}{'-s' * shuffled}.npz"


def keep_weights(path: Path, classifier: Any) -> None:
    """Write the weights of a network, whole or not at all."""
    content = io.BytesIO()
    arrays = {f"w{number:04d}": one for number, one in enumerate(classifier.get_weights())}
    np.savez(content, **arrays)
    write_atomic(path, content.getvalue())


def load_weights(path: Path, classifier: Any) -> None:
    """Give a network of the same kind the weights that :func:`keep_weights` wrote."""
    with np.load(path, allow_pickle=False) as kept:
        classifier.set_weights([kept[name] for name in kept.files])
