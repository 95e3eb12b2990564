"""Say what a folder of cells holds, which layout it has, and what is wrong with it, by file."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lcc_utils.data.cnmc import data_digest, survey
from lcc_utils.data.duplicates import find_pairs, subject_groups, subject_links
from lcc_utils.data.official import CLASS_NAMES, patient_order
from lcc_utils.text import printable

__all__ = ["Report", "check"]

_SHOWN = 10


@dataclass(frozen=True)
class Report:
    """What :func:`check` found; see :meth:`to_text` and :meth:`to_dict`.

    Attributes
    ----------
    root, layout, dataset, digest
        Where, in which layout, of which data set, and the data digest.
    counts
        One row a phase, fold and class: ``phase, fold, class, cells, patients``.
    missing
        What the official counts have more, in sentences.
    faults, unlabelled, junk
        ``(path, reason)`` of files that cannot be used, of preliminary cells without a known
        label, and of files that are no cells.
    duplicates
        Pairs of cells by kind; near ones only where pixels were compared.
    links
        Patients joined by pairs in these pixels, as :func:`subject_links` returns them.
    groups
        Subjects of more than one patient id present here, by subject.
    subjects
        Number of subjects with a known patient.
    compared
        Whether pixels were compared for near-identical cells.
    """

    root: str
    layout: str
    dataset: str
    digest: str
    counts: list[dict[str, Any]]
    missing: list[str]
    faults: list[tuple[str, str]]
    unlabelled: list[tuple[str, str]]
    junk: list[tuple[str, str]]
    duplicates: dict[str, int] = field(default_factory=dict)
    links: list[dict[str, Any]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    subjects: int = 0
    compared: bool = False

    @property
    def faulty(self) -> bool:
        """Whether any file is faulty; cells that are merely missing are no fault."""
        return bool(self.faults)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values; files as ``{"file", "reason"}``."""
        values = dict(vars(self)) | {"root": printable(self.root)}
        for name in ("faults", "unlabelled", "junk"):
            values[name] = [
                {"file": printable(path), "reason": printable(reason)}
                for path, reason in values[name]
            ]
        return values | {"faulty": self.faulty}

    def to_text(self) -> str:
        """Return the report as text for a person: at most ten files of each kind by name."""
        total = sum(row["cells"] for row in self.counts)
        lines = [printable(self.root), f"layout {self.layout}; data set {self.dataset}"]
        lines += [f"{total:,} cells, {self.subjects:,} subjects, data digest {self.digest}", ""]
        lines += [_count_line(row) for row in self.counts]
        lines += _section("Missing", self.missing)
        lines += _section("Faulty files", _named(self.faults))
        lines += _section("Unlabelled, left out", _named(self.unlabelled))
        reasons = Counter(reason for _, reason in self.junk)
        title = "Not cells: " + ", ".join(f"{n:,} {reason}" for reason, n in reasons.items())
        lines += _section(title, _named(self.junk))
        found = [f"{kind}: {n:,} pair(s)" for kind, n in self.duplicates.items() if n]
        lines += _section("Cells that occur more than once", found)
        if not self.compared:
            lines += ["", "Near-identical cells were not looked for."]
        lines += _section("Patients joined by cells in these files", [_link(x) for x in self.links])
        together = [", ".join(members) for members in self.groups.values()]
        lines += _section("Patient ids that count as one subject", together)
        verdict = f"{len(self.faults):,} faulty file(s)." if self.faulty else "No file is faulty."
        return "\n".join([*lines, "", verdict, ""])


def check(
    root: str | os.PathLike[str],
    *,
    pixels: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Report:
    """Look at everything below a folder and report it.

    Parameters
    ----------
    root
        The data set's folder, one inside it, or one above it.
    pixels
        Whether to look for near-identical cells too, which takes about a minute for all folds.
    cache_dir
        Where hashes and pictures are kept; by default the package's cache directory.
    progress
        Whether to show progress bars.

    Raises
    ------
    RequestError
        If ``root`` is not there, or holds no cells.
    DataError
        If more than eight patients would become one subject.
    """
    found = survey(root, cache_dir=cache_dir, progress=progress)
    cells = found.cells
    links, duplicates = None, _identical_counts(cells)
    if pixels:
        pairs = find_pairs(cells, cache_dir=cache_dir, progress=progress)
        links = subject_links(pairs, cells)
        near = pairs["confirmed"] & (pairs["kind"] == "near")
        duplicates["near"] = int(near.sum())
    subjects = subject_groups(cells[cells["patient"] != ""], links)
    members = subjects.groupby("subject")["patient"].unique()
    return Report(
        root=cells.attrs["root"],
        layout=cells.attrs["layout"],
        dataset=cells.attrs["dataset"],
        digest=data_digest(cells),
        counts=_counts(cells),
        missing=found.missing,
        faults=found.faults,
        unlabelled=found.unlabelled,
        junk=found.junk,
        duplicates=duplicates,
        links=[] if links is None else links.to_dict("records"),
        groups={
            str(subject): sorted(map(str, patients), key=patient_order)
            for subject, patients in members.items()
            if len(patients) > 1
        },
        subjects=len(members),
        compared=pixels,
    )


def _identical_counts(cells: pd.DataFrame) -> dict[str, int]:
    """Count pairs of the same bytes, and pairs of the same pixels in other bytes."""
    files = _pairs_within(cells.groupby("file_sha256").size())
    return {"bytes": files, "pixels": _pairs_within(cells.groupby("pixel_sha256").size()) - files}


def _pairs_within(sizes: pd.Series) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _counts(cells: pd.DataFrame) -> list[dict[str, Any]]:
    table = cells.groupby(["phase", "fold", "label"], dropna=False)["patient"].agg(
        ["size", "nunique"]
    )
    rows = [
        {
            "phase": phase,
            "fold": None if pd.isna(fold) else int(fold),
            "class": None if pd.isna(label) else CLASS_NAMES[int(label)],
            "cells": int(size),
            "patients": None if phase == "final" else int(patients),
        }
        for (phase, fold, label), size, patients in table.itertuples()
    ]
    phases = ("train", "prelim", "final")
    return sorted(rows, key=lambda r: (phases.index(r["phase"]), str(r["fold"]), str(r["class"])))


def _count_line(row: dict[str, Any]) -> str:
    phase = {"train": "training", "prelim": "preliminary"}.get(row["phase"], row["phase"])
    place = f"fold {row['fold']}" if row["fold"] is not None else f"{phase} phase"
    patients = f" of {row['patients']} patient ids" if row["patients"] is not None else ""
    return f"  {place:18} {row['class'] or 'no label':9} {row['cells']:6,} cells{patients}"


def _link(link: dict[str, Any]) -> str:
    pair = f"{link['patient_a']} and {link['patient_b']}"
    strength = (
        "" if link["evidence"] == "identical" else f", correlation up to {link['correlation']:.2f}"
    )
    return f"{pair}: {link['pairs']} {link['evidence']} pair(s){strength}"


def _named(files: list[tuple[str, str]]) -> list[str]:
    lines = [printable(f"{path}: {reason}") for path, reason in files[:_SHOWN]]
    return lines + ([f"and {len(files) - _SHOWN:,} more"] if len(files) > _SHOWN else [])


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)] if lines else []
