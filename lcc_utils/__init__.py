"""Leukemic cell classification: the package behind the book.

The names that people expect are exported here and loaded on first use, so that
``import lcc_utils`` itself costs nothing and needs no deep-learning framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_EXPORTS = {
    "load_cnmc": ("lcc_utils.data.cnmc", "index"),
    "subject_groups": ("lcc_utils.data.duplicates", "subject_groups"),
    "patient_split": ("lcc_utils.data.splits", "patient_split"),
    "official_split": ("lcc_utils.data.splits", "official_split"),
    "image_split": ("lcc_utils.data.splits", "image_split"),
    "leakage_guard": ("lcc_utils.data.splits", "leakage_guard"),
    "SqueezeExcite": ("lcc_utils.nn.blocks", "SqueezeExcite"),
    "FocalLoss": ("lcc_utils.nn.losses", "FocalLoss"),
    "build_classifier": ("lcc_utils.nn.classifier", "build_classifier"),
}

__all__ = ["__version__", *_EXPORTS]

if TYPE_CHECKING:
    from lcc_utils.data.cnmc import index as load_cnmc
    from lcc_utils.data.duplicates import subject_groups
    from lcc_utils.data.splits import image_split, leakage_guard, official_split, patient_split
    from lcc_utils.nn.blocks import SqueezeExcite
    from lcc_utils.nn.classifier import build_classifier
    from lcc_utils.nn.losses import FocalLoss


def __getattr__(name: str) -> Any:
    """Load an exported name from its module on first use (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _EXPORTS[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the exported names, loaded or not."""
    return sorted({*globals(), *_EXPORTS})
