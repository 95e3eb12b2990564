"""Cells that occur more than once, and the subjects that follow: patients that share cells.

Patient ids of C-NMC 2019 are not subjects: the same cell stands under several ids, as the same
bytes or cut out again. Two ids are joined by one identical image, by one pair of cells whose
texture correlates at .65 or more, or by two at .5 or more. What is said is only that they share
cells, not why.
"""

from __future__ import annotations

import hashlib
import os
from itertools import combinations
from pathlib import Path

import pandas as pd

from lcc_utils.data.cache import cache_dir as default_cache_dir
from lcc_utils.data.cached import keep_table, kept_table
from lcc_utils.data.links import COLUMNS as _LINK_COLUMNS
from lcc_utils.data.links import join, known_links
from lcc_utils.data.official import patient_order
from lcc_utils.data.tables import check_cells
from lcc_utils.data.texture import correlations, nearest, pictures

__all__ = [
    "ONE_PAIR",
    "TWO_PAIRS",
    "committed_links",
    "find_pairs",
    "manifest_links",
    "subject_groups",
    "subject_links",
]

ONE_PAIR = 0.65
TWO_PAIRS = 0.5
NEIGHBOURS = 2
_VERSION = 3
_NOTED = [("H2", "H7", "texture", 0, float("nan"))]
_PAIRS = {
    "cell_a": "str",
    "cell_b": "str",
    "kind": "str",
    "distance": "float64",
    "correlation": "float64",
    "confirmed": "bool",
}


def find_pairs(
    cells: pd.DataFrame,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Find identical cells everywhere, and near-identical ones between patients.

    Parameters
    ----------
    cells
        A table as ``data.cnmc.index`` returns. Cells without a patient (the final phase) are
        compared by their bytes and pixels alone.
    cache_dir
        Where small pictures and the result are kept; by default the package's cache directory.
    progress
        Whether to show progress bars.

    Returns
    -------
    pandas.DataFrame
        One row a pair, most alike first: ``cell_a``, ``cell_b``; ``kind`` (``bytes``, ``pixels``
        or ``near``); ``distance`` (root-mean-square difference of 16x16 recentred pictures in
        grey levels; 0 for identical ones); ``correlation`` of high-pass texture (1 for identical
        ones); ``confirmed``: identical, or near and strong enough to join two patients. Near
        candidates that were not confirmed stay in the table.
    """
    cells = check_cells(cells, ("cell_id", "patient", "file_sha256", "pixel_sha256"))
    store = (Path(cache_dir) if cache_dir else default_cache_dir()) / f"pairs-{_key(cells)}.table"
    known_pairs = kept_table(store, _PAIRS)
    if known_pairs is not None:
        return known_pairs
    identical = _identical(cells)
    known = {(a, b) for a, b, *_ in identical}
    near = cells[cells["patient"] != ""]
    ids, patients = list(near["cell_id"]), list(near["patient"])
    rows = list(identical)
    if len(set(patients)) > 1:
        images = pictures(near, cache_dir=cache_dir, progress=progress)
        found = nearest(images, patients, NEIGHBOURS)
        strength = correlations(images, list(found), progress=progress)
        for ((i, j), distance), value in zip(found.items(), strength, strict=True):
            pair = _ordered(ids[i], ids[j])
            if pair not in known:
                rows.append((*pair, "near", round(distance, 3), round(float(value), 4)))
    types = {name: dtype for name, dtype in _PAIRS.items() if name != "confirmed"}
    pairs = pd.DataFrame(rows, columns=list(types)).astype(types)
    pairs["confirmed"] = _confirmed(pairs, cells)
    order = ["correlation", "distance", "cell_a", "cell_b"]
    pairs = pairs.sort_values(order, ascending=[False, True, True, True], ignore_index=True)
    pairs = pairs.astype(_PAIRS)
    keep_table(store, pairs)
    return pairs


def subject_links(pairs: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return which patients are joined by confirmed pairs.

    Returns
    -------
    pandas.DataFrame
        ``patient_a``, ``patient_b`` in natural order; ``evidence`` (``identical`` or
        ``texture``), ``pairs`` (how many confirmed pairs of that evidence) and ``correlation``
        (the largest); identical evidence stands for the link where there is both.
    """
    sure = _with_patients(pairs[pairs["confirmed"]], cells)
    sure = sure[(sure["patient_a"] != "") & (sure["patient_a"] != sure["patient_b"])]
    rows = []
    for (a, b), group in sure.groupby(["patient_a", "patient_b"]):
        same = group[group["kind"] != "near"]
        proof = same if len(same) else group
        evidence = "identical" if len(same) else "texture"
        rows.append((a, b, evidence, len(proof), round(float(proof["correlation"].max()), 4)))
    return _sorted_links(pd.DataFrame(rows, columns=_LINK_COLUMNS))


def manifest_links(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return which patients share a file, byte for byte, from a list of files alone.

    Parameters
    ----------
    manifest
        A table with ``patient`` and ``sha256``, one row a file of any phase.
    """
    named = manifest[manifest["patient"].fillna("") != ""]
    counts: dict[tuple[str, str], int] = {}
    for _, group in named.groupby("sha256"):
        for a, b in combinations(sorted(group["patient"], key=patient_order), 2):
            if a != b:
                counts[a, b] = counts.get((a, b), 0) + 1
    rows = [(a, b, "identical", n, 1.0) for (a, b), n in counts.items()]
    return _sorted_links(pd.DataFrame(rows, columns=_LINK_COLUMNS))


def committed_links(manifest: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """Return the content of ``subject_links.csv``: how the committed file was made.

    Links of the whole data set's file list have ``source`` manifest; links found in pixels
    (``subject_links(find_pairs(cells), cells)`` on folds 0 and 1) are added where the list shows
    none. One more, ``source`` audit, was seen when fold 2 was at hand and needs it to be seen
    again: its pairs were not counted.
    """
    listed = manifest_links(manifest).assign(source="manifest")
    noted = pd.DataFrame(_NOTED, columns=_LINK_COLUMNS).assign(source="audit")
    tables = [listed, links.assign(source="pixels"), noted.astype(listed.dtypes)]
    both = pd.concat(tables, ignore_index=True).drop_duplicates(["patient_a", "patient_b"])
    return _sorted_links(both)


def subject_groups(cells: pd.DataFrame, links: pd.DataFrame | None = None) -> pd.DataFrame:
    """Add the column ``subject``: patients that share cells count as one.

    Parameters
    ----------
    cells
        A table as ``data.cnmc.index`` returns.
    links
        Links found in these cells (:func:`subject_links`). For C-NMC 2019 the committed links
        always hold as well, so that a fold need not be there to join two others.

    Returns
    -------
    pandas.DataFrame
        A copy with ``subject``: the smallest patient id of the group, present or not, where ids
        of digits come before ids with H and numbers count (``2 < 11 < H2 < h3 < H10``). Cells
        without a patient have an empty subject.

    Raises
    ------
    DataError
        If more than eight patients would become one subject.
    RequestError
        If there is no column ``patient``, or it is at fault; see ``data.tables.check_cells``.
    """
    cells = check_cells(cells, ("patient",))
    pairs: list[tuple[str, str]] = []
    if cells.attrs.get("dataset") != "synthetic":
        committed = known_links()
        pairs += zip(committed["patient_a"], committed["patient_b"], strict=True)
    if links is not None:
        pairs += zip(links["patient_a"], links["patient_b"], strict=True)
    subject = join(pairs)
    grouped = cells.copy()
    grouped.attrs = dict(cells.attrs)
    grouped["subject"] = cells["patient"].map(lambda p: subject.get(p, p)).astype("str")
    return grouped


def _identical(cells: pd.DataFrame) -> list[tuple[str, str, str, float, float]]:
    files = dict(zip(cells["cell_id"], cells["file_sha256"], strict=True))
    rows = []
    for _, group in cells[cells["pixel_sha256"].duplicated(keep=False)].groupby("pixel_sha256"):
        for a, b in combinations(sorted(group["cell_id"]), 2):
            rows.append((a, b, "bytes" if files[a] == files[b] else "pixels", 0.0, 1.0))
    return rows


def _confirmed(pairs: pd.DataFrame, cells: pd.DataFrame) -> pd.Series:
    """Tell which pairs are identical, or near and strong enough by the rule of one or two."""
    near = pairs["kind"] == "near"
    strong = near & (pairs["correlation"] >= TWO_PAIRS)
    who = _with_patients(pairs, cells)
    together = who[strong].groupby(["patient_a", "patient_b"])["correlation"].transform("size")
    several = together.reindex(pairs.index, fill_value=0) >= 2
    return ~near | (pairs["correlation"] >= ONE_PAIR) | (strong & several)


def _with_patients(pairs: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    patient = dict(zip(cells["cell_id"], cells["patient"], strict=True))
    names = [
        sorted((patient[a], patient[b]), key=lambda p: patient_order(p) if p else (False, -1, ""))
        for a, b in zip(pairs["cell_a"], pairs["cell_b"], strict=True)
    ]
    return pairs.assign(patient_a=[n[0] for n in names], patient_b=[n[1] for n in names])


def _sorted_links(links: pd.DataFrame) -> pd.DataFrame:
    joined = zip(links["patient_a"], links["patient_b"], strict=True)
    keys = [patient_order(a) + patient_order(b) for a, b in joined]
    order = sorted(range(len(links)), key=keys.__getitem__)
    return links.iloc[order].reset_index(drop=True)


def _ordered(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _key(cells: pd.DataFrame) -> str:
    lines = zip(cells["cell_id"], cells["file_sha256"], cells["pixel_sha256"], strict=True)
    text = "\n".join(" ".join(line) for line in lines)
    return hashlib.sha256(f"{_VERSION} {NEIGHBOURS}\n{text}".encode()).hexdigest()[:16]
