"""Cells like those of C-NMC 2019, drawn from a seed, with patients and stains.

Nothing here comes from real pixels: every cell is a drawn contour filled with noise. What the
drawing imitates was read off the real set (Gupta and Gupta 2019, doi:10.7937/tcia.2019.dc64i46r):

- the frame: 450x450, one cell on exact black, its bounding box centred, sides mostly 150-320 px,
  the median longer side about 231 px (ALL) and 188 px (HEM) with a wide overlap;
- the cell: a dark violet nucleus, soft chromatin clumps, pale nucleoli, a thin paler rim with a
  blue fringe on one side and a red one on the other, sometimes a crescent of cytoplasm;
- the segmentation: ragged stretches, flat or concave cut-outs where a neighbour was, attached
  scraps of something else;
- the cohort: two thirds ALL, patients that differ in stain and size about as much as the cells of
  one patient do, cells shared between two patient ids, three folds and a preliminary phase.

What is chosen, not measured: how strongly the classes differ in size, contour and chromatin. It is
set so that simple features separate other patients' cells well, but not perfectly.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import struct
import tempfile
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from lcc_utils.data.cnmc import data_digest
from lcc_utils.data.drawing import Patient, draw_cell, draw_patient, resegment
from lcc_utils.data.files import read_json
from lcc_utils.errors import DataError, RequestError

__all__ = ["Patient", "draw_cell", "draw_patient", "generate"]

VERSION = 1
SMALLEST = 60
CLASSES = {1: "all", 0: "hem"}
TRAINING = "training_data"
_LARGEST_MARKER = 2**24
PRELIMINARY = "C-NMC_test_prelim_phase_data"


def generate(
    root: str | os.PathLike[str], *, cells: int = 1200, seed: int = 2019, progress: bool = False
) -> Path:
    """Write a tree of synthetic cells in C-NMC's layout, whole or not at all.

    Parameters
    ----------
    root
        Directory to make. If it holds the same synthetic set already, it is used as it is.
    cells
        Number of cells in all, at least 60; about 0.6 MB each.
    seed
        The same seed and number give the same bytes, in any order of drawing.
    progress
        Show a progress bar.

    Returns
    -------
    pathlib.Path
        ``root``. Inside are ``C-NMC_Leukemia/training_data/fold_{0,1,2}/{all,hem}/UID_*.bmp``,
        ``C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data/<n>.bmp`` with its label file
        beside it, and ``synthetic.json``, which names the cells that two patients share and holds
        the data digest of the whole.

    Raises
    ------
    RequestError
        Too few cells, a negative seed, or a ``root`` that holds something else.
    DataError
        The files could not be written, as on a full disk.
    """
    root = Path(root)
    if cells < SMALLEST or seed < 0:
        raise RequestError(
            f"Cannot draw {cells} synthetic cells from seed {seed}: three folds and a preliminary "
            f"phase need at least {SMALLEST} cells, and the seed must be 0 or more."
        )
    request = {"synthetic": True, "seed": seed, "cells": cells, "version": VERSION}
    if _holds(root, request):
        return root
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as scratch:
            whole = Path(scratch) / root.name
            record = _write_cohort(whole / "C-NMC_Leukemia", cells, seed, progress)
            (whole / "synthetic.json").write_text(json.dumps(request | record, indent=1) + "\n")
            whole.replace(root)
    except OSError as error:
        if _holds(root, request):  # another process was faster
            return root
        raise DataError(
            f"Could not write synthetic cells to {root}: {error}. They need "
            f"{cells * 0.61:.0f} MB; free space or name another directory, and run again."
        ) from error
    return root


@dataclass(frozen=True)
class _Slot:
    """One cell's place in the set, and the cell that it copies, if it was planted."""

    label: int
    fold: int | None
    patient: int
    number: int
    copies: _Slot | None = None
    kind: str = ""

    @property
    def patient_id(self) -> str:
        return f"{'' if self.label else 'H'}{self.patient}"

    @property
    def cell_id(self) -> str:
        image, cell = divmod(self.number - 1, 3)
        return f"UID_{self.patient_id}_{image + 1}_{cell + 1}_{CLASSES[self.label]}"


def _holds(root: Path, request: dict[str, object]) -> bool:
    """Whether ``root`` is the set asked for; raises if it is something else, but not if empty."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        marker = read_json(root / "synthetic.json", _LARGEST_MARKER)
        found = {key: marker.get(key) for key in request}
    except (DataError, AttributeError):
        raise RequestError(
            f"{root} exists and is not a set of synthetic cells. Nothing was changed; name a "
            "directory that does not exist yet."
        ) from None
    if found != request:
        raise RequestError(
            f"{root} holds other synthetic cells: {found}, asked for {request}. Nothing was "
            "changed; remove it or name another directory."
        )
    return True


def _write_cohort(top: Path, cells: int, seed: int, progress: bool) -> dict[str, object]:
    """Draw and write every cell; returns what ``synthetic.json`` says about them."""
    slots = _plan(cells, seed)
    patients = {
        (slot.label, slot.patient): draw_patient(slot.label, _rng(seed, slot, 0)) for slot in slots
    }
    training, validation = top / TRAINING, top / "validation_data"
    for name in CLASSES.values():
        for fold in range(3):
            (training / f"fold_{fold}" / name).mkdir(parents=True)
    (validation / PRELIMINARY).mkdir(parents=True)
    labels, hashes = [("Patient_ID", "new_names", "labels")], []
    for slot in tqdm(slots, desc="synthetic cells", unit="cell", disable=not progress):
        if slot.fold is None:
            path = validation / PRELIMINARY / f"{len(labels)}.bmp"
            labels.append((f"{slot.cell_id}.bmp", path.name, str(slot.label)))
        else:
            folder = training / f"fold_{slot.fold}" / CLASSES[slot.label]
            path = folder / f"{slot.cell_id}.bmp"
        pixels = _cell(slot, patients, seed)
        hashes.append((slot.cell_id, hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()))
        path.write_bytes(_bmp(pixels))
    with (validation / f"{PRELIMINARY}_labels.csv").open("w", newline="") as table:
        csv.writer(table).writerows(labels)
    planted = [
        {"cell": slot.copies.cell_id, "copy": slot.cell_id, "kind": slot.kind}
        for slot in slots
        if slot.copies
    ]
    digest = data_digest(pd.DataFrame(hashes, columns=["cell_id", "pixel_sha256"]))
    return {"patients": len(patients), "digest": digest, "planted": planted}


def _plan(cells: int, seed: int) -> list[_Slot]:
    """Deal the cells out: phases and classes in the real proportions, patients of unequal size."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(9,)))
    group_size = min(max(cells // 200, 3), 15)
    preliminary = round(cells * 0.15)
    edges = np.linspace(0, cells - preliminary, 4).round().astype(int)
    places = [(fold, end - start) for fold, (start, end) in enumerate(pairwise(edges))]
    slots = []
    for label in CLASSES:
        for place, (fold, size) in enumerate([*places, (None, preliminary)]):
            of_all = round(size * 0.67)
            count = int(of_all if label else size - of_all)
            weights = np.exp(rng.normal(0.0, 0.5, group_size))
            owned = 1 + rng.multinomial(count - group_size, weights / weights.sum())
            for member, own in enumerate(owned):
                patient = 1 + place * group_size + member
                slots += [_Slot(label, fold, patient, number) for number in range(1, own + 1)]
    return _planted(slots)


def _planted(slots: list[_Slot]) -> list[_Slot]:
    """Make some cells copies of another patient's, as in the real set: same class, other fold."""
    for kind, label, source, target in (
        ("identical", 1, 0, 2),
        ("resegmented", 0, 0, 1),
        ("resegmented", 1, 1, None),
    ):
        giver, taker = (_largest(slots, label, fold) for fold in (source, target))
        for original, copy in zip(giver, taker[: max(1, min(5, len(taker) // 2))], strict=False):
            at = slots.index(copy)
            slots[at] = replace(copy, copies=original, kind=kind)
    return slots


def _largest(slots: list[_Slot], label: int, fold: int | None) -> list[_Slot]:
    """Return the cells of the patient with most cells in this class and fold."""
    patients: dict[int, list[_Slot]] = {}
    for slot in slots:
        if (slot.label, slot.fold) == (label, fold):
            patients.setdefault(slot.patient, []).append(slot)
    return max(patients.values(), key=len)


def _cell(slot: _Slot, patients: dict[tuple[int, int], Patient], seed: int) -> np.ndarray:
    if slot.copies is None:
        traits = patients[slot.label, slot.patient]
        return draw_cell(slot.label, traits, _rng(seed, slot, slot.number))
    original = _cell(slot.copies, patients, seed)
    if slot.kind == "identical":
        return original
    return resegment(original, _rng(seed, slot, slot.number))


def _rng(seed: int, slot: _Slot, number: int) -> np.random.Generator:
    """Make a generator of the cell's own, so that neither order nor number of cells matters."""
    key = (slot.label, slot.patient, number)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _bmp(pixels: np.ndarray) -> bytes:
    """Encode uint8 RGB as an uncompressed 24-bit BMP: rows bottom up, padded to 4 bytes, BGR."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, -(-width * 3 // 4) * 4), np.uint8)
    rows[:, : width * 3] = pixels[::-1, :, ::-1].reshape(height, -1)
    header = struct.pack("<2sIHHI", b"BM", 54 + rows.size, 0, 0, 54)
    header += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, rows.size, 2835, 2835, 0, 0)
    return header + rows.tobytes()
