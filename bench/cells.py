"""Cells for benchmarks: drawn, or those of a tree, as many as are wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pandas as pd

from lcc_utils.data import cnmc, synthetic
from lcc_utils.data.images import decode
from lcc_utils.data.layouts import MARKER

__all__ = ["DRAWN", "labelled", "scratch", "tree_of"]

# Cells that are drawn at most; more are made of them by turning and mirroring.
DRAWN = 2000
_VIEWS = 8


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder for cells, caches and runs that is gone afterwards."""
    with TemporaryDirectory(prefix="lcc-bench-") as folder:
        yield Path(folder)


def labelled(data: Path | None, count: int, folder: Path) -> pd.DataFrame:
    """Return the table of so many labelled cells of a tree, or of drawn ones.

    Cells of a tree are taken evenly from its table; ``attrs["label"]`` says what they are.
    """
    root = data or synthetic.generate(folder / "cells", cells=max(count, synthetic.SMALLEST))
    # What a tree holds is remembered where all of its readers look; drawn cells go away.
    cells = cnmc.index(root, cache_dir=None if data else folder / "cache")
    attrs = dict(cells.attrs)
    cells = cells[cells["label"].notna()].reset_index(drop=True)
    if len(cells) > count:
        cells = cells.iloc[np.linspace(0, len(cells) - 1, count).astype(int)]
        cells = cells.reset_index(drop=True)
    kind = "synthetic cells" if attrs["dataset"] == "synthetic" else "C-NMC 2019"
    cells.attrs = attrs | {"label": f"{len(cells):,} cells of {kind}"}
    return cells


def tree_of(data: Path | None, count: int, folder: Path, root: Path) -> str:
    """Make a tree of so many PNG files, no two alike, at `root`; return what it holds.

    Each source cell is written as it is, and then in up to seven views, turned and mirrored,
    under other patients' names: as much to read, hash and compare as so many cells of their own.
    """
    source = labelled(data, min(count, DRAWN) if data is None else count, folder)
    if len(source) * _VIEWS < count:
        raise SystemExit(f"{len(source):,} cells give {len(source) * _VIEWS:,}, not {count:,}.")
    jobs = [
        (path, view, root / place)
        for view in range(-(-count // len(source)))
        for path, place in zip(source["path"], _places(source, view), strict=True)
    ][:count]
    for _, _, target in jobs:
        target.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(_write, jobs))
    # Names are then free of those of C-NMC 2019, which knows no patient of a second view.
    (root / MARKER).write_text(json.dumps({"cells": count}))
    return f"{count:,} files: {source.attrs['label']}, turned and mirrored"


def _places(cells: pd.DataFrame, view: int) -> Iterator[Path]:
    for number, cell in enumerate(cells.itertuples()):
        patient = int(str(cell.patient).lstrip("Hh")) + 1000 * view
        kind, name = ("all", f"{patient}") if cell.label else ("hem", f"H{patient}")
        file = f"UID_{name}_{number + 1}_1_{kind}.png"
        yield Path(f"fold_{number % 3}", kind, file)


def _write(job: tuple[str, int, Path]) -> None:
    path, view, target = job
    pixels = np.rot90(decode(path), view % 4)
    pixels = pixels[:, ::-1] if view >= 4 else pixels
    cv2.imwrite(str(target), pixels[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
