"""The cells of a tree in C-NMC's layout that a run does not hold: other phases, folds, or sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from lcc_utils.data import cnmc, duplicates
from lcc_utils.data.trees import in_groups

__all__ = ["read_tree"]

_PHASES = {"prelim": "preliminary phase", "final": "final phase"}


def read_tree(
    root: Path, own: pd.DataFrame
) -> tuple[list[dict[str, Any]], str, list[tuple[str, str]]]:
    """Return a tree's cells without the run's own, its layout, and what is left out and why.

    Of the same data set as the run's (``attrs["dataset"]``), cells of the run's subjects are left
    out too: a network that has seen a person is not tested on somebody new. Subjects are those
    of ``data.duplicates``, found over both. Elsewhere names say nothing, and pixels alone decide.

    Parameters
    ----------
    root
        A folder that ``data.cnmc.index`` reads.
    own
        The run's cells, with ``subject``.

    Raises
    ------
    RequestError
        If the tree mixes synthetic cells with others.
    """
    found = cnmc.survey(root)
    cells, dataset = found.cells, found.cells.attrs["dataset"]
    same = dataset == own.attrs.get("dataset")
    there = cells["pixel_sha256"].isin(set(own["pixel_sha256"]))
    if same:
        there |= cells["cell_id"].isin(set(own["cell_id"]))
    rest = cells[~there]
    seen = pd.Series(False, index=rest.index)
    if same and len(rest):
        rest, seen = _with_subjects(rest, own, dataset)
    else:
        rest = rest.assign(subject=rest["patient"])
    junk = in_groups(found.junk, found.cells.attrs["root"])
    faults = [*found.faults, *found.unlabelled, *junk]
    if there.any():
        faults.append((f"{int(there.sum()):,} cells", "cells of the run itself"))
    if seen.any():
        faults.append((f"{int(seen.sum()):,} cells", "cells of subjects of the run"))
    rows = [
        {
            "cell_id": cell.cell_id,
            "path": cell.path,
            "image": Path(cell.path).relative_to(found.cells.attrs["root"]).as_posix(),
            "label": cell.label,
            "subject": cell.subject or None,
            "kind": _PHASES.get(cell.phase) or _fold(cell.fold),
            "box": None,
        }
        for cell in rest[~seen].itertuples()
    ]
    return rows, found.cells.attrs["layout"], faults


def _fold(fold: object) -> str:
    return "cell" if pd.isna(fold) else f"fold {fold}"


def _with_subjects(
    rest: pd.DataFrame, own: pd.DataFrame, dataset: str
) -> tuple[pd.DataFrame, pd.Series]:
    """Name the subjects of some cells as if in one set with the run's; tell which it holds."""
    both = pd.concat([own.drop(columns="subject"), rest], ignore_index=True)
    both.attrs = {"dataset": dataset}
    links = duplicates.subject_links(duplicates.find_pairs(both), both)
    subjects = duplicates.subject_groups(both, links).set_index("cell_id")["subject"]
    named = rest.assign(subject=subjects.loc[rest["cell_id"]].to_numpy())
    return named, named["subject"].isin(set(subjects.loc[own["cell_id"]]) - {""})
