"""Check each experiment against its predictions, its split and the plan."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcc_utils.data.splits import LEAKY
from lcc_utils.errors import DataError
from lcc_utils.evaluation.metrics import evaluate_result
from lcc_utils.evaluation.result import Result
from lcc_utils.pipeline.plan import Experiment, experiment_key, split_record

__all__ = [
    "METRIC_CLOSE", "TABLE_CLOSE", "ExperimentCheck", "are_known", "relative_difference",
    "table_difference",
]  # fmt: skip

# Processors differ in the last bits of a sum, and so in the last of nine digits of a table.
METRIC_CLOSE, TABLE_CLOSE = 1e-9, 1e-7
_NOTHING = 1e-12


@dataclass
class ExperimentCheck:
    """Recompute experiments one by one.

    Attributes
    ----------
    cells, known
        The run's cells; their labels and subjects by cell.
    planned
        The experiments of each key in the plan that settings and cells give.
    metrics
        How many metrics were recomputed.
    difference
        The largest relative difference between one and what is stored.
    """

    cells: pd.DataFrame
    known: pd.DataFrame
    planned: dict[str, list[Experiment]]
    metrics: int = 0
    difference: float = 0.0
    _splits: dict[tuple[str, bool], dict[str, Any]] = field(default_factory=dict)
    _known_places: dict[tuple[str, str, bool], NDArray] = field(default_factory=dict)

    def problems(self, key: str, result: Result) -> list[str]:
        """Return one sentence for each thing in an experiment that does not follow."""
        try:
            predictions = result.predictions
        except DataError as error:
            return [str(error)]
        held = replace(result, read=lambda _: predictions)
        found = [
            *self._record(key, result),
            *self._metrics(key, held),
            *self._cells(key, predictions),
        ]
        shared = set(held.test["subject"].unique()) & set(held.validation["subject"].unique())
        if shared and result.protocol not in LEAKY:
            found.append(f"{key}: subjects {sorted(shared)[:3]} are in validation and test.")
        return found

    def _record(self, key: str, result: Result) -> list[str]:
        record = result.record
        digest = record["split"]["digest"]
        expected = experiment_key(record["data_digest"], digest, result.settings, result.seed)
        if not key == record["key"] == expected:
            return [f"{key}: the key does not follow from the settings."]
        if key not in self.planned:
            return []
        places = {(one.study, one.variant) for one in self.planned[key]}
        if (record["study"], record["variant"]) not in places:
            return [f"{key}: the plan has it elsewhere than in {record['study']}."]
        one = self.planned[key][0]
        given = self._split_record(one)
        names = {own.split.name for own in self.planned[key]}
        stated = {**record["split"], "name": one.split.name}
        if not _told(stated, given) or record["split"]["name"] not in names:
            return [f"{key}: what it says of its split is not what the cells give."]
        return []

    def _split_record(self, one: Experiment) -> dict[str, Any]:
        """Return what the record of an experiment says of its split, made once for its like."""
        like = one.split.digest, one.settings.out_of_fold
        if like not in self._splits:
            self._splits[like] = split_record(one, one.cells_of(self.cells))
        return self._splits[like]

    def _metrics(self, key: str, held: Result) -> list[str]:
        found = []
        stored = held.record["metrics"]
        try:
            given = evaluate_result(held)
        except DataError as error:
            return [str(error)]
        self.metrics += len(given)
        for name, value in given.items():
            own = stored.get(name)
            apart = relative_difference(value, own)
            if apart <= METRIC_CLOSE and name in stored:
                self.difference = max(self.difference, apart)
            else:
                found.append(f"{key}: {name} is {value} from the predictions, {own} as stored.")
        if further := sorted(stored.keys() - given.keys()):
            found.append(f"{key}: predictions do not give the stored {', '.join(further)}.")
        return found

    def _cells(self, key: str, predictions: pd.DataFrame) -> list[str]:
        """Compare the predicted cells with those of the split, each once a partition."""
        place = self.known.index.get_indexer(predictions["cell_id"])
        if (place < 0).any():
            unknown = predictions.loc[place < 0, "cell_id"].nunique()
            return [f"{key}: {unknown} predicted cells are not in cells.csv."]
        if not _agree(predictions, self.known.iloc[place]):
            return [f"{key}: labels or subjects differ from cells.csv."]
        for name in ("validation", "test"):
            own = np.sort(place[(predictions["partition"] == name).to_numpy()])
            if (twice := own[1:][own[1:] == own[:-1]]).size:
                return [f"{key}: {self.known.index[twice[0]]} stands twice among its {name} cells."]
            if key in self.planned and not np.array_equal(own, self._places(key, name)):
                return [f"{key}: the {name} cells are not those of its split."]
        return []

    def _places(self, key: str, partition: str) -> NDArray:
        """Return the sorted places, among all cells, of those that a partition's rows score."""
        one = self.planned[key][0]
        like = one.split.digest, partition, one.settings.out_of_fold
        if like not in self._known_places:
            # Out of fold, every cell that trains is scored by a model that has not seen it.
            chooses = partition == "validation" and one.settings.out_of_fold
            ids = one.split.fitting if chooses else getattr(one.split, partition)
            self._known_places[like] = np.sort(self.known.index.get_indexer(list(ids)))
        return self._known_places[like]


def _told(stated: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether a record's split is as given; records of before do not say what was fitted."""
    given = {**given, "subjects": dict(given["subjects"])}
    if "fitted" not in stated:
        del given["fitted"], given["subjects"]["fitted"]
    return stated == given


def are_known(rows: pd.DataFrame, known: pd.DataFrame) -> bool:
    """Whether every row names a cell that there is, with its label and subject."""
    place = known.index.get_indexer(rows["cell_id"])
    return bool((place >= 0).all()) and _agree(rows, known.iloc[place])


def _agree(rows: pd.DataFrame, own: pd.DataFrame) -> bool:
    """Whether rows have the subjects and labels of the cells that stand in the same place."""
    return bool(
        (own["subject"].to_numpy() == rows["subject"].to_numpy()).all()
        and (own["label"].to_numpy("int64") == rows["label"].to_numpy("int64")).all()
    )


def relative_difference(value: float | str | None, stored: float | str | None) -> float:
    """Return how far two numbers are apart, as a share of the larger; infinity for other things.

    Two that are NaN, equal, or closer than 1e-12 are 0 apart.
    """
    if value == stored:
        return 0.0
    if not isinstance(value, int | float) or not isinstance(stored, int | float):
        return math.inf
    if math.isnan(value) and math.isnan(stored):
        return 0.0
    if not math.isfinite(value) or not math.isfinite(stored):
        return math.inf
    apart = abs(value - stored)
    return 0.0 if apart <= _NOTHING else apart / max(abs(value), abs(stored))


def table_difference(text: str, stored: str) -> float:
    """Return the largest relative difference of two tables in CSV; infinity where text differs."""
    rows, own = (list(csv.reader(io.StringIO(one))) for one in (text, stored))
    if [len(row) for row in rows] != [len(row) for row in own]:
        return math.inf
    pairs = zip((c for row in rows for c in row), (c for row in own for c in row), strict=True)
    return max((relative_difference(_number(a), _number(b)) for a, b in pairs), default=0.0)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
