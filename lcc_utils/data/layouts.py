"""Walk a folder and tell, from names alone, which files are cells, where they belong, what is junk.

Trees of C-NMC 2019 go round in several layouts; a file's own name and the folders above it say
which. Nothing here opens an image.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from lcc_utils.data.reading import SUFFIXES

__all__ = ["MARKER", "Candidate", "Tree", "is_cell_name", "walk"]

MARKER = "synthetic.json"
_NAME = re.compile(r"UID_(H?\d+)_(\d+)_(\d+)_(all|hem)", re.IGNORECASE)
_FOLD = re.compile(r"fold_?([0-2])", re.IGNORECASE)
_COPY = re.compile(r"(.*\(\d+\)|.* - copy.*|copy of .*)", re.IGNORECASE)
_LABELS = re.compile(r"(.*prelim.*labels?|phase2|labels?).*\.csv", re.IGNORECASE)
_SYSTEM_FILES = {".ds_store", "thumbs.db", "desktop.ini"}
_KAGGLE = {"training_data", "validation_data", "testing_data"}
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
    folder_label
        1 under a folder ``all``, 0 under ``hem``, in any case; else ``None``.
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
    folder_label: int | None
    patient: str | None
    image_no: int | None
    cell_no: int
    label: int | None
    layout: str
    synthetic: bool = False


@dataclass
class Tree:
    """What a walk found: cells, label files, synthetic markers, and junk with its reasons."""

    root: Path
    cells: list[Candidate] = field(default_factory=list)
    label_files: list[Path] = field(default_factory=list)
    markers: list[Path] = field(default_factory=list)
    junk: list[tuple[str, str]] = field(default_factory=list)

    @property
    def layout(self) -> str:
        """Name every layout that the cells show, the most frequent first."""
        shown = Counter(cell.layout for cell in self.cells)
        return " + ".join(name for name, _ in shown.most_common()) or "none"


def walk(root: str | os.PathLike[str]) -> Tree:
    """List a folder and everything below it, each real file once.

    Links are followed, and a folder or file that is reached twice, by a link or by a second
    spelling on a file system that ignores case, is taken once. The label file and the synthetic
    marker are also looked for in the folders just above ``root``.
    """
    root = Path(root).resolve()
    tree = Tree(root)
    above = [folder for folder in list(root.parents)[:_LEVELS_ABOVE] if folder != folder.parent]
    tree.markers = [folder / MARKER for folder in above if (folder / MARKER).is_file()]
    context = root.parts[1:][-_LEVELS_ABOVE:]
    for path in _files(root):
        _place(tree, path, context)
    if not tree.label_files:
        tree.label_files = [f for folder in above[:2] for f in sorted(folder.glob("*.csv"))]
        tree.label_files = [f for f in tree.label_files if _LABELS.fullmatch(f.name)][:1]
    marked = tuple(str(marker.parent) + os.sep for marker in tree.markers)
    tree.cells = [replace(cell, synthetic=cell.path.startswith(marked)) for cell in tree.cells]
    return tree


def is_cell_name(stem: str) -> bool:
    """Tell whether a name without extension is a cell's original one, UID_11_10_1_all."""
    return _NAME.fullmatch(stem) is not None


def _files(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        # A folder with an image's name is listed too: it cannot be the cell that it says it is.
        yield from (Path(folder, name) for name in folders if name.lower().endswith(SUFFIXES))
        for name in sorted(names):
            path = Path(folder, name)
            whole = os.path.realpath(path) if path.is_symlink() else str(Path(real, name))
            if whole not in seen:
                seen.add(whole)
                yield path


def _place(tree: Tree, path: Path, context: tuple[str, ...]) -> None:
    """Put one file among the cells, the label files, the markers or the junk."""
    if path.name == MARKER:
        tree.markers.append(path)
        return
    if _LABELS.fullmatch(path.name):
        tree.label_files.append(path)
        return
    folders = (*context, *path.relative_to(tree.root).parts[:-1])
    phase = _phase(folders)
    if reason := _not_a_cell(path, phase):
        tree.junk.append((str(path), reason))
        return
    match = _NAME.fullmatch(path.stem)
    fold = next((int(m[1]) for f in reversed(folders) if (m := _FOLD.fullmatch(f))), None)
    tree.cells.append(
        Candidate(
            path=str(path),
            name=path.stem,
            phase=phase,
            fold=fold,
            folder_label=_folder_label(folders),
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
    if name in _SYSTEM_FILES or name.startswith("._") or "__MACOSX" in path.parts:
        return "system file"
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
    if stem.isdecimal():
        return None if phase in ("prelim", "final") else "numbered image of no known phase"
    return "not named like a cell"


def _folder_label(folders: tuple[str, ...]) -> int | None:
    """Return the class that the innermost class folder names."""
    for folder in reversed(folders):
        if folder.lower() in ("all", "hem"):
            return int(folder.lower() == "all")
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
    if {"train", "val", "valid", "test"} & set(lower[-2:]):
        return "train/val/test"
    return "flat"
