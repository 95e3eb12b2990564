"""What one file of a tree is: its cell, class, patient, phase and fold, from names and label files.

A name can stand in a folder, in the file, in the preliminary phase's label file and in the
official table; where they contradict each other, the file is at fault.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from lcc_utils.data.delimited import Delimited, FaultyTable, read_class, read_delimited
from lcc_utils.data.layouts import Candidate, Tree, is_cell_name
from lcc_utils.data.official import CLASS_NAMES, official_patients

__all__ = ["Contradiction", "Unlabelled", "describe", "read_labels"]

_LABEL_COLUMNS = ("Patient_ID", "new_names", "labels")
# A file of such a name has to be the label file, and is at fault where it cannot be.
_OFFICIAL_NAME = re.compile(r"(c-nmc_test_prelim_phase_data_labels.*|phase_?2)\.csv", re.IGNORECASE)


class Contradiction(Exception):
    """A cell whose names contradict each other."""


class Unlabelled(Exception):
    """A preliminary cell whose label cannot be known."""


def describe(cell: Candidate, labels: dict[str, str] | None, synthetic: bool) -> dict[str, object]:
    """Return a cell's row without hashes, or raise what is wrong with its names."""
    if cell.patient is None and cell.phase == "final":
        blank = {"patient": "", "label": None, "fold": None, "image_no": None}
        return {
            "cell_id": f"final_{cell.cell_no}", "path": cell.path, "phase": "final",
            "cell_no": cell.cell_no, **blank,
        }  # fmt: skip
    if cell.patient is None:
        cell = _named(cell, labels)
    patient, label, phase, fold = cell.patient, cell.label, cell.phase or "train", cell.fold
    if cell.folder_label is not None and cell.folder_label != label:
        where, named = CLASS_NAMES[cell.folder_label], CLASS_NAMES[int(label or 0)]
        raise Contradiction(f"lies under {where} but its name says {named}")
    if not synthetic:
        patient, phase, fold = _official(cell)
    kind = "all" if label else "hem"
    return {
        "cell_id": f"UID_{patient}_{cell.image_no}_{cell.cell_no}_{kind}",
        "path": cell.path,
        "label": label,
        "patient": patient,
        "phase": phase,
        "fold": fold if phase == "train" else None,
        "image_no": cell.image_no,
        "cell_no": cell.cell_no,
    }


def _named(cell: Candidate, labels: dict[str, str] | None) -> Candidate:
    """Return a numbered preliminary cell under the original name that its label file gives."""
    if labels is None:
        raise Unlabelled("labels CSV not found")
    original = labels.get(cell.name)
    if original is None:
        raise Unlabelled("not in the labels CSV")
    _, patient, image_no, cell_no, kind = original.split("_")
    return replace(
        cell,
        patient=patient,
        image_no=int(image_no),
        cell_no=int(cell_no),
        label=int(kind.lower() == "all"),
    )


def _official(cell: Candidate) -> tuple[str, str, int | None]:
    """Return patient, phase and fold as C-NMC 2019 has them, if the names agree with it."""
    facts = official_patients().get(str(cell.patient).lower())
    if facts is None:
        raise Contradiction(f"patient {cell.patient} is not in C-NMC 2019")
    if facts["label"] != cell.label:
        right = CLASS_NAMES[int(facts["label"])]  # type: ignore[call-overload]
        raise Contradiction(f"patient {cell.patient} is of class {right} in C-NMC 2019")
    if cell.fold_below is not None and cell.fold_below != facts["fold"]:
        place = "the preliminary phase" if facts["fold"] is None else f"fold {facts['fold']}"
        raise Contradiction(
            f"lies in fold {cell.fold_below} but patient {cell.patient} is of {place}"
        )
    return str(facts["patient"]), str(facts["phase"]), facts["fold"]  # type: ignore[return-value]


def read_labels(tree: Tree, faults: list[tuple[str, str]]) -> dict[str, str] | None:
    """Read the preliminary phase's label files: numbered name -> original name, no extensions.

    A CSV without the columns of a label file is somebody's own: it joins the tree's junk, unless
    it bears the official name. What cannot be used of a label file is added to the faults.

    Returns
    -------
    dict or None
        None where there is no label file.
    """
    names: dict[str, str] = {}
    found = False
    for path in tree.label_files:
        try:
            table = _label_table(path)
        except FaultyTable as fault:
            if _OFFICIAL_NAME.fullmatch(path.name):
                faults.append((str(path), str(fault)))
            elif path.is_relative_to(tree.root):
                tree.junk.append((str(path), f"no label file: {fault}"))
            continue
        found = True
        faults += [(str(path), f"row {line} {reason}") for line, reason in table.faults]
        for line, row in table.rows:
            if reason := _add_label(names, row):
                faults.append((str(path), f"row {line}, {reason}"))
    return names if found else None


def _label_table(path: Path) -> Delimited:
    """Read a table that has the columns of a label file."""
    table = read_delimited(path, _LABEL_COLUMNS)
    if lacking := table.lacking(_LABEL_COLUMNS):
        have = ", ".join(table.columns)
        raise FaultyTable(f"lacks the column(s) {', '.join(lacking)}; it has {have}")
    return table


def _add_label(names: dict[str, str], row: dict[str, str]) -> str:
    """Note the original name that a row of a label file gives; return what is wrong with it."""
    original, new, label = (row[column.lower()] for column in _LABEL_COLUMNS)
    stem, number = Path(original).stem, Path(new).stem
    if not is_cell_name(stem):
        return f"column Patient_ID: {original!r} is no cell's name"
    if not number:
        return "column new_names: it is empty"
    known = read_class(label)
    if known is None:
        return f"column labels: label {label!r} is neither 1 (ALL) nor 0 (HEM)"
    if known != int(stem.lower().endswith("_all")):
        return f"column labels: label {label!r} contradicts {original!r}"
    if names.setdefault(number, stem) != stem:
        return f"column new_names: {new!r} stands for {names[number]!r} in another row"
    return ""
