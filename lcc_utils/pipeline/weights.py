"""Weights of trained networks that a run keeps, for what looks into them later."""

from __future__ import annotations

import io
import logging
import os
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from lcc_utils.data.cache import write_atomic
from lcc_utils.data.files import read_regular
from lcc_utils.errors import DataError

__all__ = ["keep_weights", "load_weights", "weights_path"]

_LOG = logging.getLogger(__name__)


def weights_path(folder: Path, key: str, shuffled: bool = False) -> Path:
    """Return where a run keeps the weights of an experiment; they are no part of an edition."""
    return folder / "weights" / f"{key}{'-s' * shuffled}.npz"


def keep_weights(path: Path, classifier: Any) -> None:
    """Write the weights of a network, whole or not at all."""
    content = io.BytesIO()
    arrays = {f"w{number:04d}": one for number, one in enumerate(classifier.get_weights())}
    np.savez(content, **arrays)
    write_atomic(path, content.getvalue())


def load_weights(path: Path, classifier: Any) -> bool:
    """Give a network the weights that :func:`keep_weights` wrote for one of the same kind.

    Returns
    -------
    bool
        Whether it has them: not where the file is missing, was changed (its checksums tell), or is
        of another network, so that they have to be learned again.
    """
    try:
        with np.load(io.BytesIO(read_regular(path)), allow_pickle=False) as kept:
            classifier.set_weights([kept[name] for name in kept.files])
    except (
        DataError,
        OSError,
        ValueError,
        AttributeError,
        EOFError,
        BadZipFile,
        zlib.error,
    ) as err:
        if os.path.lexists(path):
            _LOG.warning("The weights %s cannot be used (%s); they are learned again.", path, err)
        return False
    return True
