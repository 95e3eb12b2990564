"""Cells of C-NMC 2019, in any layout it goes round in, as one table.

Gupta, A. and Gupta, R. (2019). ALL Challenge dataset of ISBI 2019 (C-NMC 2019). The Cancer Imaging
Archive, doi:10.7937/tcia.2019.dc64i46r. Trees made by ``data.synthetic`` are read the same way.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass, field

import pandas as pd

from lcc_utils.data.files import is_folder, read_json
from lcc_utils.data.hashing import Fingerprint, fingerprints
from lcc_utils.data.layouts import Tree, walk
from lcc_utils.data.naming import Contradiction, Unlabelled, describe, read_labels
from lcc_utils.data.official import CLASS_NAMES, expected_counts
from lcc_utils.data.paths import user_path
from lcc_utils.errors import DataError, RequestError
from lcc_utils.text import printable

__all__ = ["COLUMNS", "Survey", "data_digest", "index", "missing_cells", "survey"]

COLUMNS = {
    "cell_id": "str",
    "path": "str",
    "label": "Int64",
    "patient": "str",
    "phase": "str",
    "fold": "Int64",
    "image_no": "Int64",
    "cell_no": "Int64",
    "file_sha256": "str",
    "pixel_sha256": "str",
}
_LARGEST_MARKER = 2**24
_SIDES = {"train": (450,), "prelim": (450,), "final": (450, 600)}


@dataclass
class Survey:
    """Everything that one look at a tree found.

    Attributes
    ----------
    cells
        The table that :func:`index` returns, without faulty files.
    junk, faults, unlabelled
        ``(path, reason)``: files that are no cells; cells that cannot be used; preliminary cells
        whose label is not known.
    missing
        Sentences such as ``fold 2: 842 of 3,553 cells (ALL 842 of 2,457, HEM 0 of 1,096)``.
    """

    cells: pd.DataFrame
    junk: list[tuple[str, str]]
    faults: list[tuple[str, str]]
    unlabelled: list[tuple[str, str]]
    missing: list[str] = field(default_factory=list)


def index(
    root: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Find every cell below a folder.

    Parameters
    ----------
    root
        The data set's folder, one inside it, or one above it.
    cache_dir
        Where file and pixel hashes are kept; by default the package's cache directory.
    progress
        Whether to show a progress bar while files are read.

    Returns
    -------
    pandas.DataFrame
        One row a cell, sorted by ``cell_id``: ``cell_id`` (original name without extension;
        ``final_<n>`` in the final phase), ``path``, ``label`` (1 ALL, 0 HEM, NA in the final
        phase), ``patient``, ``phase`` (``train``, ``prelim``, ``final``), ``fold`` (0, 1, 2, NA
        outside the training phase), ``image_no``, ``cell_no``, ``file_sha256`` and
        ``pixel_sha256`` (of the RGB bytes). ``attrs`` holds ``layout``, ``root`` and ``dataset``
        (``synthetic`` or ``c-nmc-2019``).

    Raises
    ------
    RequestError
        If ``root`` is not there, or holds no cells.
    DataError
        If files are faulty; the message names the first.
    """
    found = survey(root, cache_dir=cache_dir, progress=progress)
    if found.faults:
        first = "; ".join(f"{path}: {reason}" for path, reason in found.faults[:3])
        more = f" (and {len(found.faults) - 3:,} more)" if len(found.faults) > 3 else ""
        raise DataError(
            f"{len(found.faults):,} faulty file(s) in {printable(found.cells.attrs['root'])}: "
            f"{printable(first)}{more}. "
            "Restore them from the original archive or remove them; `lcc data check` lists all."
        )
    return found.cells


def data_digest(cells: pd.DataFrame) -> str:
    """Return 16 hex digits that name the data: SHA-256 over sorted cell ids and pixel hashes.

    It depends on decoded pixels alone, so a BMP and a PNG tree of the same cells agree.
    """
    lines = sorted(
        f"{c} {p}\n" for c, p in zip(cells["cell_id"], cells["pixel_sha256"], strict=True)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def survey(
    root: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Survey:
    """Look at a tree as :func:`index` does, but report faulty files instead of raising.

    Raises
    ------
    RequestError
        If ``root`` is not there, holds no cells, or mixes synthetic with other cells.
    """
    root = user_path(root, "The folder of cells")
    if not is_folder(root):
        raise RequestError(
            f"{printable(root)} is not a folder; give the folder that holds the C-NMC cells."
        )
    tree = walk(root)
    synthetic = _is_synthetic(tree)
    faults: list[tuple[str, str]] = list(tree.unreadable)
    labels = read_labels(tree, faults)
    unlabelled: list[tuple[str, str]] = []
    rows: dict[str, list[dict[str, object]]] = defaultdict(list)
    for cell in tree.cells:
        try:
            row = describe(cell, labels, synthetic)
        except Unlabelled as reason:
            unlabelled.append((cell.path, str(reason)))
        except Contradiction as fault:
            faults.append((cell.path, str(fault)))
        else:
            rows[str(row["cell_id"])].append(row)
    if not rows and not faults:
        raise RequestError(_nothing(tree, unlabelled))
    for cell_id, same in rows.items():
        for row in same[1:]:
            faults.append((str(row["path"]), f"second file of cell {cell_id}: {same[0]['path']}"))
    cells = _hashed([same[0] for same in rows.values()], tree, faults, cache_dir, progress)
    cells.attrs = {
        "layout": tree.layout,
        "root": str(tree.root),
        "dataset": "synthetic" if synthetic else "c-nmc-2019",
    }
    missing = _missing_synthetic(cells, tree) if synthetic else missing_cells(cells)
    return Survey(cells, tree.junk, sorted(faults), unlabelled, missing)


def missing_cells(cells: pd.DataFrame) -> list[str]:
    """Compare a table of cells with the official counts; return a sentence for each shortage."""
    expected = expected_counts()
    have = cells.groupby(["phase", "fold", "label"], dropna=False).size()
    counts = {tuple(None if pd.isna(k) else k for k in key): n for key, n in have.items()}
    sentences = []
    for phase, fold in dict.fromkeys((phase, fold) for phase, fold, _ in expected):
        parts = {label: n for (p, f, label), n in expected.items() if (p, f) == (phase, fold)}
        here = {label: counts.get((phase, fold, label), 0) for label in parts}
        if sum(here.values()) == sum(parts.values()):
            continue
        name = f"fold {fold}" if fold is not None else {"prelim": "preliminary"}.get(phase, phase)
        name += "" if fold is not None else " phase"
        classes = ", ".join(
            f"{CLASS_NAMES[label]} {here[label]:,} of {n:,}"
            for label, n in parts.items()
            if label is not None
        )
        total = f"{name}: {sum(here.values()):,} of {sum(parts.values()):,}"
        sentences.append(f"{total} ({classes})" if classes else total)
    return sentences


def _hashed(
    rows: list[dict[str, object]],
    tree: Tree,
    faults: list[tuple[str, str]],
    cache_dir: str | os.PathLike[str] | None,
    progress: bool,
) -> pd.DataFrame:
    """Read the images, note the faulty ones, and return the table of the others."""
    paths = [str(row["path"]) for row in rows]
    prints = fingerprints(paths, printable(tree.root), cache_dir=cache_dir, progress=progress)
    good = []
    for row in rows:
        result, sides = prints[str(row["path"])], _SIDES[str(row["phase"])]
        if not isinstance(result, Fingerprint):
            faults.append((str(row["path"]), result))
        elif result.width != result.height or result.width not in sides:
            want = " or ".join(f"{side}x{side}" for side in sides)
            faults.append((str(row["path"]), f"{result.width}x{result.height} px, not {want}"))
        else:
            hashes = {"file_sha256": result.file_sha256, "pixel_sha256": result.pixel_sha256}
            good.append(row | hashes)
    table = pd.DataFrame(good, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values("cell_id", ignore_index=True)


def _is_synthetic(tree: Tree) -> bool:
    """Tell whether the cells are synthetic, which all of them are or none."""
    kinds = {cell.synthetic for cell in tree.cells}
    if len(kinds) > 1:
        raise RequestError(
            f"{printable(tree.root)} holds synthetic cells "
            f"({printable(tree.markers[0].parent)}) and others; give the folder of one kind."
        )
    return kinds == {True}


def _missing_synthetic(cells: pd.DataFrame, tree: Tree) -> list[str]:
    """Compare synthetic cells with the number that their marker file states, if it does."""
    stated: object = None
    for marker in tree.markers:
        try:
            stated = read_json(marker, _LARGEST_MARKER)["cells"]
        except (DataError, KeyError, TypeError):
            continue
    whole = isinstance(stated, int) and len(cells) != stated
    return [f"synthetic cells: {len(cells):,} of {stated:,}"] if whole else []


def _nothing(tree: Tree, unlabelled: list[tuple[str, str]]) -> str:
    seen = f"{len(tree.junk):,} other file(s)" if tree.junk else "nothing else"
    if unlabelled:
        path, reason = unlabelled[0]
        seen = f"{len(unlabelled):,} preliminary cell(s) without a label"
        seen += f" ({printable(path)}: {reason})"
    return (
        f"{printable(tree.root)} holds no cells: no image named like UID_11_10_1_all, but {seen}. "
        "Give the folder that holds the C-NMC training folds."
    )
