"""Walk a folder and tell, from names alone, which files are cells, where they belong, what is junk.

Trees of C-NMC 2019 go round in several layouts; a file's own name and the folders above it say
which. Nothing here opens an image.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from lcc_utils.data.reading import SUFFIXES
from lcc_utils.data.trees import below

__all__ = ["MARKER", "Candidate", "Tree", "is_cell_name", "is_label_name", "walk"]

MARKER = "synthetic.json"
# Numbers of more digits than these fit no column, and no cell has them.
_NAME = re.compile(r"UID_(H?\d{1,9})_(\d{1,9})_(\d{1,9})_(all|hem)", re.IGNORECASE | re.ASCII)
_LONG_NAME = re.compile(r"UID_H?\d+_\d+_\d+_(all|hem)|\d+", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
_FOLD = re.compile(r"fold_?([0-2])", re.IGNORECASE)
_COPY = re.compile(r"(.*\(\d+\)|.* - copy.*|copy of .*)", re.IGNORECASE)
_LABELS = re.compile(r"(.*prelim.*labels?|phase_?2|labels?).*\.csv", re.IGNORECASE)
_KAGGLE = {"training_data", "validation_data", "testing_data"}
_PARTS = {"train", "val", "valid", "test"}
# Names that folders of the data set bear. The root and the folders above it say phase and fold
# only as far up as each bears such a name: others are of the machine, not of the data.
_OF_THE_DATA_SET = re.compile(
    r"all|hem|fold_?[0-2]|phase_?[23]|(c-nmc_)?(training|validation|testing)_data.*"
    r"|c-nmc_test_(prelim|final)_phase_data|c-nmc_leukemia|pkg - c-nmc.*|train|val|valid|test",
    re.IGNORECASE,
)
_LEVELS_ABOVE = 4


@dataclass(frozen=True)
class Candidate:
    """A file that its name makes a cell.

    Attributes
    ----------
    path
        Absolute path.
    name
        The name without its extension.
    phase, fold
        What the folders say: ``train``, ``prelim``, ``final`` or ``None``; 0, 1, 2 or ``None``.
    fold_below
        The fold that a folder below the root says. Only this one can contradict a name.
    folder_label
        1 in a class folder ``all`` below the root, 0 in ``hem``, in any case; else ``None``.
    patient, image_no, cell_no, label
        What the name says; ``None`` where it is only a number.
    layout
        The layout that the folders show.
    synthetic
        Whether a marker file stands above it.
    """

    path: str
    name: str
    phase: str | None
    fold: int | None
    fold_below: int | None
    folder_label: int | None
    patient: str | None
    image_no: int | None
    cell_no: int
    label: int | None
    layout: str
    synthetic: bool = False


@dataclass
class Tree:
    """The files found by a walk.

    Attributes
    ----------
    root
        The folder, resolved; every path begins with it.
    files
        Every file that was looked at, in order.
    cells
        Those whose name makes them a cell.
    label_files, markers
        Label files of the preliminary phase, by their names, and markers of synthetic cells.
    junk
        ``(path, reason)`` of what is no cell, and of what was not looked at.
    unreadable
        ``(path, reason)`` of folders whose content is not known.
    """

    root: Path
    files: list[Path] = field(default_factory=list)
    cells: list[Candidate] = field(default_factory=list)
    label_files: list[Path] = field(default_factory=list)
    markers: list[Path] = field(default_factory=list)
    junk: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    @property
    def layout(self) -> str:
        """Name every layout that the cells show, the most frequent first."""
        shown = Counter(cell.layout for cell in self.cells)
        return " + ".join(name for name, _ in shown.most_common()) or "none"


def walk(root: str | os.PathLike[str]) -> Tree:
    """List a folder and everything below it, each real file once; see ``data.trees.below``.

    The label file and the synthetic marker are also looked for in the folders just above ``root``.
    """
    root = Path(os.path.realpath(root))
    found = below(root, SUFFIXES)
    tree = Tree(root, found.files, junk=list(found.left_out), unreadable=found.unreadable)
    above = [folder for folder in list(root.parents)[:_LEVELS_ABOVE] if folder != folder.parent]
    tree.markers = [folder / MARKER for folder in above if (folder / MARKER).is_file()]
    context = _context(root)
    for path in found.files:
        _place(tree, path, context)
    if not tree.label_files:
        tree.label_files = [path for folder in above[:2] for path in _label_files_in(folder)]
    marked = tuple(str(marker.parent) + os.sep for marker in tree.markers)
    tree.cells = [replace(cell, synthetic=cell.path.startswith(marked)) for cell in tree.cells]
    return tree


def is_cell_name(stem: str) -> bool:
    """Tell whether a name without extension is a cell's original one, UID_11_10_1_all."""
    return _NAME.fullmatch(stem) is not None


def is_label_name(name: str) -> bool:
    """Tell whether a file's name may be that of a label file of the preliminary phase."""
    return _LABELS.fullmatch(name) is not None and not name.startswith(".")


def _context(root: Path) -> tuple[str, ...]:
    """Return the names of the root and the folders above it, as far as they are of the data set."""
    names: list[str] = []
    for name in reversed(root.parts[1:][-_LEVELS_ABOVE:]):
        if not _OF_THE_DATA_SET.fullmatch(name):
            break
        names.insert(0, name)
    return tuple(names)


def _label_files_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.glob("*.csv") if is_label_name(path.name))
    except OSError:  # a folder above that may not be read
        return []


def _place(tree: Tree, path: Path, context: tuple[str, ...]) -> None:
    """Put one file among the cells, the label files, the markers or the junk."""
    if path.name == MARKER:
        tree.markers.append(path)
        return
    if is_label_name(path.name):
        tree.label_files.append(path)
        return
    inside = path.relative_to(tree.root).parts[:-1]
    folders = (*context, *inside)
    phase = _phase(folders)
    if reason := _not_a_cell(path, phase):
        tree.junk.append((str(path), reason))
        return
    match = _NAME.fullmatch(path.stem)
    fold = _fold(folders)
    tree.cells.append(
        Candidate(
            path=str(path),
            name=path.stem,
            phase=phase,
            fold=fold,
            fold_below=_fold(inside),
            folder_label=_folder_label(inside),
            patient=match[1] if match else None,
            image_no=int(match[2]) if match else None,
            cell_no=int(match[3]) if match else int(path.stem),
            label=int(match[4].lower() == "all") if match else None,
            layout=_layout(folders, phase, fold),
        )
    )


def _not_a_cell(path: Path, phase: str | None) -> str | None:
    """Return why a file is not a cell, or ``None`` when it is one."""
    name, stem = path.name.lower(), path.stem.strip()
    if path.suffix.lower() not in SUFFIXES:
        return "not an image file"
    if name.startswith("augmentedimg"):
        return "augmented image"
    if "mask" in name:
        return "mask"
    if _COPY.fullmatch(stem):
        return "copy"
    if _NAME.fullmatch(path.stem):
        return None
    if _NUMBER.fullmatch(path.stem):
        return None if phase in ("prelim", "final") else "numbered image of no known phase"
    if _LONG_NAME.fullmatch(path.stem):
        return "not named like a cell: a number of more than nine digits, or not of 0 to 9"
    return "not named like a cell"


def _fold(folders: tuple[str, ...]) -> int | None:
    """Return the official fold that the innermost telling folder names."""
    return next((int(m[1]) for f in reversed(folders) if (m := _FOLD.fullmatch(f))), None)


def _folder_label(folders: tuple[str, ...]) -> int | None:
    """Return the class that the innermost class folder names; none lies above fold or phase."""
    for folder in reversed(folders):
        if folder.lower() in ("all", "hem"):
            return int(folder.lower() == "all")
        if _phase((folder,)) or folder.lower() in _PARTS:
            return None
    return None


def _phase(folders: tuple[str, ...]) -> str | None:
    """Return the phase that the innermost telling folder names."""
    for folder in reversed([f.lower() for f in folders]):
        if "prelim" in folder or folder in ("phase2", "phase_2", "validation_data"):
            return "prelim"
        if "final" in folder or folder in ("phase3", "phase_3", "testing_data"):
            return "final"
        if _FOLD.fullmatch(folder) or folder.endswith("training_data"):
            return "train"
    return None


def _layout(folders: tuple[str, ...], phase: str | None, fold: int | None) -> str:
    """Name the layout, from the folders above one cell."""
    lower = [folder.lower() for folder in folders]
    if any(f.startswith("pkg - c-nmc") or f.startswith("c-nmc_training_data") for f in lower):
        return "tcia"
    if lower.count("c-nmc_leukemia") > 1:
        return "kaggle, doubled folder"
    if "c-nmc_leukemia" in lower:
        return "kaggle"
    if fold is not None or phase in ("prelim", "final"):
        return "kaggle" if _KAGGLE & set(lower) else "data/fold_*"
    if _PARTS & set(lower[-2:]):
        return "train/val/test"
    return "flat"
