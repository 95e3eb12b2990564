"""Tables of the primary analysis on other parts and seeds, and on subjects that came later."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lcc_utils.evaluation.resampling import pooled
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.evaluation.subject_intervals import ESTIMANDS, subject_intervals
from lcc_utils.report.primary_tables import (
    INCOMPLETE,
    PRIMARY_COLUMNS,
    PRIMARY_COUNTS,
    estimated_rows,
)
from lcc_utils.report.rows import by_variant, score, table

REPEATS, TRANSPORT = "repeats", "transport"
_METRICS = ("auc", "f1_weighted")


def repeats_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give the spread of pooled results between partitions, and between training seeds.

    A partition is one draw of the five parts; all its parts are pooled. ``partition_sd`` is the
    standard deviation of the partitions' means over training seeds, ``seed_sd`` that between
    training seeds of one partition, pooled over partitions; models that train no network have
    one training seed. The spread is that of the procedure on the same subjects: it says nothing
    of other subjects, for which the intervals are.
    """
    rows = []
    for runs in by_variant(results, REPEATS):
        groups = _whole(runs.done)
        for estimand in ESTIMANDS if groups else ():
            found = _pooled_metrics(groups, estimand)
            row: dict[str, object] = {"model": runs.variant, "estimand": estimand}
            row |= {"partitions": found["partition"].nunique(), "trainings": len(found)}
            for name in _METRICS:
                row |= _spread(found, name)
            rows.append(row)
    columns = ["model", "estimand", "partitions", "trainings"]
    for name in _METRICS:
        columns += [name, f"{name}_partition_sd", f"{name}_seed_sd", f"{name}_min", f"{name}_max"]
    return table(rows, columns, ["partitions", "trainings"], ["model", "estimand"])


def transport_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each model's metrics on subjects that no choice was made on, in both estimands.

    Columns are those of the table ``primary``. Several training seeds are not pooled: the first
    stands here.
    """
    rows: list[dict] = []
    for runs in by_variant(results, TRANSPORT):
        first = [result for result in runs.done if result.seed == runs.done[0].seed]
        rows += (
            estimated_rows(runs.variant, first, {})
            if first
            else [{"model": runs.variant, "estimand": INCOMPLETE}]
        )
    columns = [name for name in PRIMARY_COLUMNS if name not in ("parts", "planned")]
    counts = [name for name in PRIMARY_COUNTS if name in columns]
    return table(rows, columns, counts, ["model", "estimand"])


def _whole(results: Iterable[Result]) -> dict[tuple[int, int], list[Result]]:
    """Return the parts of each partition and training seed of which every part is there."""
    groups: dict[tuple[int, int], list[Result]] = {}
    for result in results:
        place = (int(result.record["split"]["seed"]), result.seed)
        groups.setdefault(place, []).append(result)
    most = max(map(len, groups.values()), default=0)
    return {place: own for place, own in sorted(groups.items()) if len(own) == most}


def _pooled_metrics(groups: dict[tuple[int, int], list[Result]], estimand: str) -> pd.DataFrame:
    rows = []
    for (partition, seed), parts in groups.items():
        found = subject_intervals(pooled(parts), None, _METRICS, estimand)
        values = {name: own.estimate for name, own in found.items()}
        rows.append({"partition": partition, "seed": seed} | values)
    return pd.DataFrame(rows)


def _spread(found: pd.DataFrame, name: str) -> dict[str, float]:
    by_partition = found.groupby("partition")[name]
    means, freedom = by_partition.mean(), len(found) - found["partition"].nunique()
    apart = found[name] - by_partition.transform("mean")
    within = float(np.sqrt((apart**2).sum() / freedom)) if freedom else float("nan")
    return {
        name: score(means.mean()),
        f"{name}_partition_sd": score(means.std()),
        f"{name}_seed_sd": score(within),
        f"{name}_min": score(found[name].min()),
        f"{name}_max": score(found[name].max()),
    }
