"""Check what ``run.json`` says against what its settings and cells give."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lcc_utils.errors import DataError
from lcc_utils.pipeline.begin import data_label
from lcc_utils.pipeline.gather import Planned
from lcc_utils.pipeline.plan import Plan, plan_record
from lcc_utils.pipeline.records import OriginRecord, checked
from lcc_utils.pipeline.store import Folder, read_json

__all__ = ["plan_problems", "record_problems", "seconds_problems"]


def record_problems(record: dict[str, Any], cells: pd.DataFrame) -> list[str]:
    """Compare the profile, the counts and the label of a run with its settings and cells."""
    own, settings = record["dataset"], record["settings"]
    given = {
        "profile": (record["profile"], settings.get("profile")),
        "dataset.name": (own["name"], settings.get("dataset", {}).get("source")),
        "dataset.cells": (own["cells"], len(cells)),
        "dataset.subjects": (own["subjects"], int(cells["subject"].nunique())),
        "dataset.label": (own["label"], data_label(own["name"], cells)),
    }
    return [
        f"run.json: {name} is {stated!r}, and its settings and cells give {true!r}."
        for name, (stated, true) in given.items()
        if stated != true
    ]


def plan_problems(record: dict[str, Any], plan: Plan) -> list[str]:
    """Compare the stored plan with the one that the settings give on the cells."""
    given = plan_record(plan)
    studies = record["plan"].keys() | given["plan"].keys()
    differ = sorted(n for n in studies if record["plan"].get(n) != given["plan"].get(n))
    found = []
    if differ:
        found.append(
            f"run.json: the plan of {', '.join(differ)} is not what its settings and cells give. "
            "It was edited, or another version of this package planned it."
        )
    if record["refused"] != given["refused"]:
        found.append("run.json: refused is not what its settings and cells give.")
    return found


def seconds_problems(
    record: dict[str, Any], present: dict[str, Folder], planned: dict[str, list[Planned]]
) -> list[str]:
    """Compare the seconds of a finished run with the sum over its experiments."""
    keys = {place.key for places in planned.values() for place in places}
    spent = []
    for key in sorted(keys & present.keys()):
        path = present[key] / "origin.json"
        try:
            spent.append(checked(OriginRecord, read_json(path), path).seconds)
        except DataError as error:
            return [str(error)]
    if record["finished"] is None or abs(round(sum(spent), 1) - (record["seconds"] or 0)) < 0.11:
        return []
    return [f"run.json: seconds is {record['seconds']}, and its experiments took {sum(spent):.1f}."]
