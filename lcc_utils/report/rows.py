"""What the tables of studies have in common: order, rounding, pairing and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from lcc_utils.evaluation.intervals import Interval
from lcc_utils.evaluation.result import Missing, Result, Results

FULL = "full"
SCORE, POINT = 6, 4
# Protocols that may put cells of one subject into training and validation.
_MIXED = {"image", "images", "copies"}
METRICS = ["auc", "f1_weighted", "f1_weighted_at_half", "sensitivity", "specificity", "threshold"]
HEADLINE = {"auc": "auc_delta", "f1_weighted": "f1_delta"}


@dataclass(frozen=True)
class Runs:
    """The runs of one variant: those that are done, and those of the plan that are not."""

    study: str
    variant: str
    done: list[Result]
    missing: list[Missing]

    @property
    def planned(self) -> int:
        """How many runs the plan holds."""
        return len(self.done) + len(self.missing)

    @property
    def whole(self) -> bool:
        """Whether every run of the plan is there."""
        return bool(self.done) and not self.missing


def by_variant(results: Results, *studies: str) -> list[Runs]:
    """Return the runs of some studies by variant: in the order of the plan, absent ones last."""
    found: dict[tuple[str, str], Runs] = {}
    for study in studies:
        for result in results.get(study, []):
            found.setdefault((study, result.variant), Runs(study, result.variant, [], []))
            found[study, result.variant].done.append(result)
        for place in results.missing.get(study, []):
            found.setdefault((study, place.variant), Runs(study, place.variant, [], []))
            found[study, place.variant].missing.append(place)
    return list(found.values())


def metric_frame(runs: Iterable[Result]) -> pd.DataFrame:
    """Return ``variant, split, seed, protocol`` and every metric, one row a result."""
    rows = [
        {"variant": r.variant, "split": r.split, "seed": r.seed, "protocol": r.protocol} | r.metrics
        for r in runs
    ]
    columns = ["variant", "split", "seed", "protocol", *METRICS, "subjects", "cells"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def paired_changes(runs: pd.DataFrame, base: str = FULL) -> pd.DataFrame:
    """Return each run's change in points to the base variant of the same split and seed.

    Parameters
    ----------
    runs
        Columns ``variant, split, seed, auc, f1_weighted``, one row a run.
    base
        The variant that the others are compared with.

    Returns
    -------
    DataFrame
        ``variant, split, seed, auc_delta, f1_delta``, without the base variant and without runs
        that have no run of it beside them.
    """
    first = runs[runs["variant"] == base][["split", "seed", *HEADLINE]]
    others = runs[runs["variant"] != base]
    both = others.merge(first, on=["split", "seed"], suffixes=("", "_base"))
    for name, change in HEADLINE.items():
        both[change] = 100 * (both[name] - both[f"{name}_base"])
    return both[["variant", "split", "seed", *HEADLINE.values()]]


def change_summary(changes: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Return mean, least and most of changes in points, rounded; nan where there are none."""
    row = {}
    for name in names:
        row[name] = points(changes[name].mean())
        row |= {f"{name}_{end}": points(getattr(changes[name], end)()) for end in ("min", "max")}
    return row


def tested(runs: Iterable[Result]) -> dict[str, int]:
    """Return the numbers of test subjects and cells, added over splits, each split once."""
    by_split = {result.split: result.metrics for result in runs}
    return {
        "test_subjects": sum(found["subjects"] for found in by_split.values()),
        "test_cells": sum(found["cells"] for found in by_split.values()),
    }


def subjects_of(result: Result, part: str) -> int:
    """Return the number of subjects in a partition, as the record has it."""
    return result.record["split"]["subjects"][part]


def trained_subjects(result: Result) -> int:
    """Return the number of subjects whose cells the model that scored the test was trained on.

    After a refit these are the training and the validation subjects. Where cells of a subject may
    be on both sides, as in splits by image, it is the larger of the two, the least that it can be.
    """
    if "fitted" in result.record["split"]["subjects"]:
        return subjects_of(result, "fitted")
    counts = [subjects_of(result, part) for part in _trained_on(result)]
    return max(counts) if result.protocol in _MIXED else sum(counts)


def trained_cells(result: Result) -> int:
    """Return the number of cells that the model that scored the test was trained on."""
    return sum(result.record["split"].get(part, 0) for part in _trained_on(result))


def _trained_on(result: Result) -> list[str]:
    refit = result.settings.get("training", {}).get("refit", False)
    return ["train", "validation"] if refit else ["train"]


def score(value: float) -> float:
    """Round a score as every table does."""
    return round(float(value), SCORE)


def points(value: float) -> float:
    """Round a change in points as every table does."""
    return round(float(value), POINT)


def ends(name: str, found: Interval, scale: float = 1.0) -> dict[str, object]:
    """Return an estimate and its interval as columns, and what there is to say of the interval.

    With a scale of 100 they are points, and rounded as such. The column ``note`` is shown by
    :func:`table` below the caption, not as a column.
    """
    rounded = score if scale == 1.0 else points
    values = {"": found.estimate, "_low": found.low, "_high": found.high}
    columns: dict[str, object] = {name + end: rounded(scale * v) for end, v in values.items()}
    return columns | ({"note": found.note} if found.note else {})


def with_ends(*names: str) -> list[str]:
    """Return the columns of estimates with their intervals."""
    return [name + end for name in names for end in ("", "_low", "_high")]


def table(
    rows: list[dict], columns: list[str], counts: Iterable[str] = (), text: Iterable[str] = ()
) -> pd.DataFrame:
    """Return rows as a table: `counts` stay whole where one is missing, `text` stays text.

    Every other column holds numbers, also in a table without rows. What rows note about their
    intervals is put into ``attrs["notes"]``, each note once.
    """
    frame = pd.DataFrame(rows, columns=columns)
    frame.attrs["notes"] = list(dict.fromkeys(row["note"] for row in rows if row.get("note")))
    numbers = [c for c in columns if c not in {*counts, *text}]
    kept = frame.attrs
    frame = frame.astype(dict.fromkeys(counts, "Int64") | dict.fromkeys(numbers, "float64"))
    frame.attrs = kept
    return frame
