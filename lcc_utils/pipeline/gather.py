"""What a run was to do, what of it is there, and what is missing and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lcc_utils.errors import DataError
from lcc_utils.evaluation.result import Missing, Result, Results
from lcc_utils.pipeline.store import Folder, read_experiment, read_json, write_json


@dataclass(frozen=True)
class Planned:
    """One experiment of a run's plan, by its place and its key."""

    study: str
    variant: str
    split: str
    seed: int
    key: str


def read_plan(record: dict[str, Any]) -> tuple[dict[str, list[Planned]], list[Missing]]:
    """Return what a run's record says is to be done, and what the data could not give."""
    planned = {
        study: [Planned(study=study, **place) for place in places]
        for study, places in record["plan"].items()
    }
    return planned, [Missing(**missing) for missing in record["refused"]]


def read_failures(folder: Path) -> dict[str, str]:
    """Return why experiments of a run failed, by key.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = folder / "failures.json"
    if not path.exists():
        return {}
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(own, str) for own in found.values()):
        raise DataError(f"{path} does not give a reason for each key; delete it and run again.")
    return found


def write_failures(folder: Path, failures: dict[str, str]) -> None:
    """Keep why experiments failed; the file is there only if one has."""
    path = folder / "failures.json"
    if failures:
        write_json(path, dict(sorted(failures.items())))
    else:
        path.unlink(missing_ok=True)


def gather(
    planned: dict[str, list[Planned]],
    refused: list[Missing],
    present: dict[str, Folder],
    failures: dict[str, str],
    known: dict[str, Result] | None = None,
) -> Results:
    """Read the results of studies, each in its place; a damaged one counts as missing.

    Parameters
    ----------
    planned, refused
        From :func:`read_plan`.
    present
        Where each result lies, by key.
    failures
        From :func:`read_failures`.
    known
        Results that have been read before, by key; what is read is added.
    """
    known = {} if known is None else known
    found = Results({study: [] for study in planned}, {study: [] for study in planned})
    for missing in refused:
        if missing.study in planned:
            found.missing[missing.study].append(missing)
    for study, places in planned.items():
        for place in places:
            reason = failures.get(place.key, "")
            if place.key in present:
                try:
                    if place.key not in known:
                        known[place.key] = read_experiment(present[place.key])
                    own = replace(known[place.key], study=study, variant=place.variant)
                    found[study].append(own)
                    continue
                except DataError as error:
                    reason = str(error)
            found.missing[study].append(
                Missing(study, place.variant, place.split, place.seed, reason)
            )
    return found
