"""What C-NMC 2019 officially holds: patients, phases, folds, classes and their counts.

``official.csv`` has one row for each patient of the training and preliminary phases and one for
the unlabelled final phase. It was counted from the published file list: Gupta, A. and Gupta, R.
(2019), ALL Challenge dataset of ISBI 2019 (C-NMC 2019), The Cancer Imaging Archive,
doi:10.7937/tcia.2019.dc64i46r.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pandas as pd

__all__ = ["CLASS_NAMES", "FRAME_SIDE", "expected_counts", "official_patients", "patient_order"]

CLASS_NAMES = {1: "ALL", 0: "HEM"}
# Side of the images in px by phase, from the sizes of the files in the published list.
FRAME_SIDE = {"train": 450, "prelim": 450, "final": 600}
_TABLE = Path(__file__).with_name("official.csv")


def patient_order(patient: str) -> tuple[bool, int, str]:
    """Return the sort key of a patient id: ALL ids by number, then HEM ids by number.

    ``"2" < "11" < "H2" < "h3" < "H10"``: the letter's case counts only between ids that are
    otherwise the same. An id of another form, of a data set of one's own, comes last.
    """
    letter = patient[:1] in ("H", "h")
    number = patient[letter:]
    plain = number.isascii() and number.isdecimal()
    return letter, int(number) if plain else sys.maxsize, patient


@cache
def official_patients() -> dict[str, dict[str, object]]:
    """Return what is official about each patient, by patient id in lower case.

    Returns
    -------
    dict
        ``{"h3": {"patient": "h3", "phase": "train", "fold": 2, "label": 0, "cells": 36}}``;
        ``fold`` is ``None`` in the preliminary phase.
    """
    return {
        row["patient"].lower(): {
            "patient": row["patient"],
            "phase": row["phase"],
            "fold": int(row["fold"]) if row["fold"] else None,
            "label": int(row["class"] == "all"),
            "cells": int(row["cells"]),
        }
        for row in _rows()
        if row["patient"]
    }


def expected_counts() -> dict[tuple[str, int | None, int | None], int]:
    """Return the official number of cells of each ``(phase, fold, label)``.

    Fold is ``None`` outside the training phase; label is ``None`` in the final phase.
    """
    counts: dict[tuple[str, int | None, int | None], int] = {}
    for row in _rows():
        fold = int(row["fold"]) if row["fold"] else None
        label = int(row["class"] == "all") if row["class"] else None
        key = (row["phase"], fold, label)
        counts[key] = counts.get(key, 0) + int(row["cells"])
    return counts


def _rows() -> list[dict[str, str]]:
    return pd.read_csv(_TABLE, dtype=str, keep_default_na=False).to_dict("records")
