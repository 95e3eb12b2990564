"""Tables about the cells themselves: how many, of whom, and which are there twice."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from lcc_utils.data.links import found_links, official_duplicates
from lcc_utils.evaluation.metrics import CLASSES, natural
from lcc_utils.evaluation.result import Results
from lcc_utils.report.rows import table

PHASES = ["train", "prelim", "final", "all"]
ENDS = ("_a", "_b")


def cells_table(cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """Count cells, patients and subjects by phase, fold and class; totals of classes last."""
    named = _named(cells)
    counts = _count(named, ["phase", "fold", "class"])
    totals = _count(named.assign(phase="all", fold=pd.NA), ["phase", "fold", "class"])
    both = pd.concat([counts, totals[totals["class"] != "unlabelled"]], ignore_index=True)
    both["fold"] = both["fold"].astype("Int64")
    order = both["phase"].map(PHASES.index)
    both = both.assign(order=order).sort_values(["order", "fold", "class"], kind="stable")
    return both.drop(columns="order").reset_index(drop=True)


def subjects_table(cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """List the subjects that hold more than one patient id, because these share cells."""
    rows = []
    for subject, group in _named(cells).groupby("subject"):
        patients = sorted(group["patient"].unique(), key=natural)
        if len(patients) > 1:
            places = _places(group)
            classes = ", ".join(sorted(group["class"].unique()))
            row = [subject, classes, ", ".join(patients), ", ".join(sorted(places)), len(group)]
            rows.append(row)
    rows.sort(key=lambda row: natural(row[0]))
    return pd.DataFrame(rows, columns=["subject", "class", "patients", "folds", "cells"])


def duplicates_table(_cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """Count the groups of identical files in the published list of C-NMC 2019, by phase."""
    return count_groups(official_duplicates())


def count_groups(files: pd.DataFrame) -> pd.DataFrame:
    """Count groups of identical files by phase, and those across patient ids and folds.

    Parameters
    ----------
    files
        As ``data.links.official_duplicates`` returns them.

    Returns
    -------
    DataFrame
        ``phase, groups, images``; ``across_patients`` and ``across_folds``, missing where the
        files of a phase have no patient or no fold.
    """
    columns = ["phase", "groups", "images", "across_patients", "across_folds"]
    rows = []
    for phase in PHASES[:-1]:
        own = files[files["phase"] == phase]
        groups = own.groupby("group")
        row = {"phase": phase, "groups": groups.ngroups, "images": len(own)}
        row["across_patients"] = _several(own, "patient")
        row["across_folds"] = _several(own, "fold")
        rows.append(row)
    return table(rows, columns, columns[1:], ["phase"])


def duplicate_pairs_table(_cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """List the patient ids that share files in the published list, most shared images first."""
    return count_pairs(official_duplicates())


def count_pairs(files: pd.DataFrame) -> pd.DataFrame:
    """Count the identical files of each two patient ids, most first.

    Parameters
    ----------
    files
        As ``data.links.official_duplicates`` returns them.
    """
    both = files.merge(files, on="group", suffixes=ENDS)
    patients = zip(both["patient_a"], both["patient_b"], strict=True)
    both = both.loc[[natural(a) < natural(b) for a, b in patients]]
    rows = []
    for (a, b), pairs in both.groupby(["patient_a", "patient_b"]):
        row = {"patient_a": a, "patient_b": b}
        row["class"] = _listed(sorted(set(pairs[f"class{end}"].str.upper())) for end in ENDS)
        row["folds"] = _listed(sorted(_places(pairs, end)) for end in ENDS)
        rows.append(row | {"shared_images": len(pairs)})
    rows.sort(key=lambda r: (-r["shared_images"], *map(natural, (r["patient_a"], r["patient_b"]))))
    text = ["patient_a", "patient_b", "class", "folds"]
    return table(rows, [*text, "shared_images"], ["shared_images"], text)


def shared_cells_table(cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """List which patient ids of these cells share cells, and what shows it."""
    named = _named(cells)
    by_patient = dict(iter(named.groupby("patient")))
    rows = []
    for link in found_links(cells).itertuples(index=False):
        ends = [by_patient[link.patient_a], by_patient[link.patient_b]]
        row = {"patient_a": link.patient_a, "patient_b": link.patient_b}
        row["class"] = _listed(sorted(set(own["class"])) for own in ends)
        row["folds"] = _listed(sorted(_places(own)) for own in ends)
        row |= {"evidence": link.evidence, "pairs": link.pairs, "correlation": link.correlation}
        rows.append(row)
    text = ["patient_a", "patient_b", "class", "folds", "evidence"]
    return table(rows, [*text, "pairs", "correlation"], ["pairs"], text)


def place_name(phase: object, fold: object) -> str:
    """Return a phase with its fold, such as ``train 0``, or alone where it has none."""
    return f"{phase} {fold}" if pd.notna(fold) else str(phase)


def _places(cells: pd.DataFrame, end: str = "") -> set[str]:
    return set(map(place_name, cells[f"phase{end}"], cells[f"fold{end}"]))


def _listed(ends: Iterable[list[str]]) -> str:
    """Join what the ends of a pair have, each once."""
    return ", ".join(dict.fromkeys(name for end in ends for name in end))


def _several(files: pd.DataFrame, column: str) -> int | None:
    """Count the groups that hold more than one value, if the files have values at all."""
    values = files[column].replace("", pd.NA)
    if len(files) and values.isna().all():
        return None
    return int((values.groupby(files["group"]).nunique() > 1).sum())


def _named(cells: pd.DataFrame) -> pd.DataFrame:
    labels = cells["label"].map(CLASSES).astype(object)
    subject = cells["subject"] if "subject" in cells else cells["patient"]
    return cells.assign(
        **{"class": labels.where(labels.notna(), "unlabelled")},
        subject=subject.astype("string").fillna("").astype(object),
        patient=cells["patient"].astype("string").fillna("").astype(object),
    )


def _count(named: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    # A final-phase cell has no patient: an empty name is not one.
    groups = named.replace({"patient": {"": None}, "subject": {"": None}}).groupby(by, dropna=False)
    return groups.agg(
        cells=("cell_id", "size"), patients=("patient", "nunique"), subjects=("subject", "nunique")
    ).reset_index()
