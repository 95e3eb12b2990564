"""Cells of other data sets: which images, of which class and whose, as one table.

A set comes as a CSV beside its images, as a Pascal VOC folder, or as a plain folder of images; a
tree in C-NMC's layout is read by ``data.other_cells``. Nothing here opens an image. A row that
cannot be used is named with its reason, and the rest is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from lcc_utils.data.delimited import CLASS_WORDS, FaultyTable, read_class, read_delimited
from lcc_utils.data.files import FaultyFile, read_regular
from lcc_utils.data.layouts import walk
from lcc_utils.data.other_cells import read_tree
from lcc_utils.data.paths import user_path
from lcc_utils.data.photographs import list_images
from lcc_utils.data.reading import SUFFIXES
from lcc_utils.data.trees import below, in_groups
from lcc_utils.errors import DataError, RequestError
from lcc_utils.text import REPLACEMENT, printable

__all__ = ["COLUMNS", "LIST", "ForeignSet", "need_place", "read_foreign"]

COLUMNS = ["cell_id", "path", "image", "label", "subject", "kind", "box"]
# The name of a list that is found in a folder; any CSV may be named itself.
LIST = "cells.csv"
CELL = "cell"
_BOX = ("xmin", "ymin", "xmax", "ymax")
_KNOWN = ("file", "label", "subject", "kind", *_BOX)
_LARGEST_ANNOTATION = 2**24
_ANNOTATIONS, _IMAGES = "Annotations", "JPEGImages"


@dataclass
class ForeignSet:
    """A data set from elsewhere.

    Attributes
    ----------
    table
        One row a cell: ``cell_id`` (unique within the set), ``path``, ``image`` (the file as the
        set names it), ``label`` (1 ALL, 0 HEM, or missing), ``subject`` (text, or missing),
        ``kind`` (of object, such as ``WBC``) and ``box``: ``(xmin, ymin, xmax, ymax)`` in pixels
        of the image, or None for the whole of it.
    layout
        ``CSV``, ``Pascal VOC``, ``folder``, or one of C-NMC's.
    faults
        Where and why something is left out.
    """

    table: pd.DataFrame
    layout: str
    faults: list[tuple[str, str]] = field(default_factory=list)


def read_foreign(place: str | os.PathLike[str], own: pd.DataFrame) -> ForeignSet:
    """List the cells of a data set from elsewhere.

    Parameters
    ----------
    place
        A CSV file with the column ``file`` (relative to it) and any of ``label, subject, kind,
        xmin, ymin, xmax, ymax``; a folder with such a list under the name ``cells.csv``; one with
        ``Annotations`` (XML) and ``JPEGImages``; one with cells named as in C-NMC 2019; or one of
        images alone.
    own
        The run's cells (see ``data.cnmc.index``), with ``subject``: no cell of a tree that is
        among them, or of one of their subjects, is foreign.

    Raises
    ------
    RequestError
        If there is nothing at that place that can be used, or a CSV lacks a column or has one
        that is not known.
    DataError
        If a subject has cells of both classes.
    """
    path = need_place(place)
    found = _read(path, own)
    if found.table.empty:
        first = printable("; ".join(f"{where}: {reason}" for where, reason in found.faults[:3]))
        raise RequestError(
            f"{printable(path)} holds no cell that can be used ({found.layout}). "
            f"{first or 'None is listed in it'}."
        )
    _one_class_a_subject(found.table, path)
    return found


def need_place(place: str | os.PathLike[str]) -> Path:
    """Return the path of a data set; raise a RequestError if there is nothing."""
    path = user_path(place, "The data set")
    if not os.path.lexists(path):
        raise RequestError(
            f"{printable(path)} is not there; name a folder of images, or a CSV that lists them."
        )
    return path


def _read(path: Path, own: pd.DataFrame) -> ForeignSet:
    if path.is_file():
        if path.suffix.lower() not in (".csv", ".tsv"):
            raise RequestError(
                f"{printable(path)} is no CSV; name a folder of images, or a CSV that lists them."
            )
        return _from_csv(path)
    if not path.is_dir():
        raise RequestError(f"{printable(path)} is neither a folder nor a file that can be read.")
    if (path / LIST).is_file():
        return _from_csv(path / LIST)
    if (path / _ANNOTATIONS).is_dir():
        return _from_voc(path)
    if walk(path).cells:
        rows, layout, faults = read_tree(path, own)
        return ForeignSet(_typed(pd.DataFrame(rows, columns=COLUMNS)), layout, faults)
    return _from_folder(path)


def _from_csv(path: Path) -> ForeignSet:
    try:
        table = read_delimited(path, ["file"])
    except FaultyTable as fault:
        raise RequestError(f"{printable(path)} cannot be used as a list: {fault}.") from fault
    names = [name.lower() for name in table.columns]
    unknown = [name for name in names if name not in _KNOWN]
    boxes = [name for name in _BOX if name in names]
    if "file" not in names or unknown or 0 < len(boxes) < len(_BOX):
        raise RequestError(
            f"{printable(path)} has the columns {printable(', '.join(names))}. It needs file, and "
            "may have label, subject, kind, and all four of xmin, ymin, xmax, ymax, with comma, "
            "semicolon or tab between them; rename or remove others."
        )
    found = ForeignSet(_table([]), "CSV")
    found.faults += [(f"line {line}", reason) for line, reason in table.faults]
    rows: list[dict[str, Any]] = []
    seen: dict[tuple[str, Any], str] = {}
    for line, values in table.rows:
        try:
            row = _row_of_csv(path.parent, values)
            _note(seen, row["path"], row["box"], f"line {line}")
            rows.append(row)
        except ValueError as fault:
            found.faults.append((f"line {line} ({values['file'] or 'no file'})", str(fault)))
    found.table = _table(rows)
    return found


def _row_of_csv(folder: Path, values: dict[str, str]) -> dict[str, Any]:
    name, label = values["file"], values.get("label", "")
    if not name:
        raise ValueError("no file is named")
    for column, value in values.items():
        # Of two names in another encoding each may read like the other.
        if REPLACEMENT in value:
            raise ValueError(f"{column} {value!r} is not in UTF-8; save the list as CSV in UTF-8")
        if column != "file" and not value.isprintable():
            raise ValueError(f"{column} {value!r} has characters that cannot be seen; remove them")
    if not _is_file(folder / name):
        raise ValueError("the file is not there")
    known = read_class(label)
    if label and known is None:
        raise ValueError(
            f"label {label!r} is none of {', '.join(CLASS_WORDS)}; leave it empty if unknown"
        )
    sides = [values.get(side, "") for side in _BOX]
    return {
        "path": str(folder / name),
        "image": Path(name).as_posix(),
        "label": known,
        "subject": values.get("subject") or None,
        "kind": values.get("kind") or CELL,
        "box": _box(sides) if any(sides) else None,
    }


def _note(seen: dict[tuple[str, Any], str], path: str, box: Any, where: str) -> None:
    """Note where a cell is listed; raise a ValueError if it was before, also by a link."""
    first = seen.setdefault((os.path.realpath(path), box), where)
    if first != where:
        raise ValueError(f"the same cell as {first}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, or one that no file can have
        return False


def _from_voc(folder: Path) -> ForeignSet:
    found = ForeignSet(_table([]), "Pascal VOC")
    rows: list[dict[str, Any]] = []
    seen: dict[tuple[str, Any], str] = {}
    there = below(folder / _ANNOTATIONS)
    found.faults += [*there.unreadable, *in_groups(there.left_out, folder)]
    for path in there.files:
        try:
            if path.suffix.lower() != ".xml":
                raise ValueError("no annotation: not XML by its name")
            root = ElementTree.fromstring(read_regular(path, _LARGEST_ANNOTATION))
            image = _image_of(folder, path, root.findtext("filename") or "")
        except FaultyFile as fault:
            found.faults.append((path.name, fault.reason))
            continue
        except (ElementTree.ParseError, LookupError, OSError, ValueError) as error:
            found.faults.append((path.name, str(error)))
            continue
        for number, thing in enumerate(root.iter("object"), start=1):
            where = f"{path.name}, object {number}"
            try:
                box = _box([thing.findtext(f"bndbox/{side}") or "" for side in _BOX])
                _note(seen, str(image), box, where)
            except ValueError as fault:
                found.faults.append((where, str(fault)))
                continue
            kind = (thing.findtext("name") or "").strip() or CELL
            rows.append(
                {"path": str(image), "image": image.name, "label": None, "subject": None}
                | {"kind": kind, "box": box}
            )
    found.table = _table(rows)
    return found


def _image_of(folder: Path, path: Path, name: str) -> Path:
    """Return the photograph of an annotation: the one it names, or one called like itself."""
    # A name with a folder in it is from another machine.
    names = [Path(name).name, *(f"{path.stem}{suffix}" for suffix in SUFFIXES)]
    for one in names:
        if one and (folder / _IMAGES / one).is_file():
            return folder / _IMAGES / one
    raise ValueError(f"its photograph {name or path.stem} is not in {_IMAGES}")


def _from_folder(folder: Path) -> ForeignSet:
    listing = list_images([folder])
    rows = [
        {"path": path, "image": Path(path).relative_to(folder).as_posix()}
        | {"label": None, "subject": None, "kind": CELL, "box": None}
        for path in listing.files
    ]
    faults = [*listing.faults, *in_groups(listing.left_out, folder)]
    return ForeignSet(_table(rows), "folder", faults)


def _box(sides: list[str]) -> tuple[int, int, int, int]:
    try:
        left, top, right, bottom = (round(float(side)) for side in sides)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"the box {', '.join(sides)} is not four numbers") from error
    if right <= left or bottom <= top:
        raise ValueError(f"the box {left}, {top}, {right}, {bottom} is empty")
    return left, top, right, bottom


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows with an id each: the image's name, numbered where it holds several."""
    frame = pd.DataFrame(rows, columns=COLUMNS[1:])
    ids = list(_ids(frame["image"]))
    frame.insert(0, "cell_id", pd.Series(ids, dtype="str"))
    return _typed(frame)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"label": "Int64", "subject": "object", "box": "object"})


def _ids(images: pd.Series) -> Iterator[str]:
    several = images.duplicated(keep=False)
    number = images.groupby(images).cumcount() + 1
    for image, one_of_many, place in zip(images, several, number, strict=True):
        yield f"{image}:{place}" if one_of_many else str(image)


def _one_class_a_subject(table: pd.DataFrame, path: Path) -> None:
    known = table[table["label"].notna() & table["subject"].notna()]
    classes = known.groupby("subject")["label"].nunique()
    mixed = sorted(np.asarray(classes[classes > 1].index, str))
    if mixed:
        raise DataError(
            f"{printable(path)}: {len(mixed)} subjects have cells of both classes (the first is "
            f"{printable(mixed[0])}); a subject is either ALL or HEM: correct the labels, "
            "or leave the subjects out."
        )
