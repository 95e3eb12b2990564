"""Recompute every published number from saved predictions, without images or a framework."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat
import pandas as pd

from lcc_utils.data.cnmc import data_digest
from lcc_utils.data.splits import LEAKY
from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.metrics import evaluate_result
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.pipeline.gather import gather, read_failures, read_plan
from lcc_utils.pipeline.measured import GROUPS, read_measured
from lcc_utils.pipeline.plan import experiment_key
from lcc_utils.pipeline.store import csv_text, experiment_folders, read_cells, read_json
from lcc_utils.report.tables import TABLES, build_table, to_html

TABLE_CAPTION_END = "<thead>"


@dataclass
class Verification:
    """What was recomputed, and where it differed.

    Attributes
    ----------
    experiments, metrics, tables, cells_shown
        Counts of experiments read, metrics recomputed, tables rebuilt, and table values
        compared with what the chapters show.
    problems
        One sentence for each difference.
    """

    experiments: int = 0
    metrics: int = 0
    tables: int = 0
    cells_shown: int = 0
    problems: list[str] = field(default_factory=list)


def verify(folder: Path, chapters: Path | None = None) -> Verification:
    """Recompute digests, keys, metrics and tables of a run, or of the published edition.

    Parameters
    ----------
    folder
        A run's directory, or ``results/``.
    chapters
        Where its executed notebooks are; by default ``notebooks/`` in `folder`.

    Raises
    ------
    RequestError
        If the folder is no run.
    """
    if not (folder / "run.json").is_file():
        raise RequestError(f"{folder} holds no run.json; name a run, or results for the published.")
    record = read_json(folder / "run.json")
    found = Verification()
    cells = _verified_cells(folder, record, found)
    results = _verified_results(folder, record, cells, found)
    frames = _verified_tables(folder, cells, results, found)
    _verify_shown(chapters or folder / "notebooks", frames, found)
    return found


def load_results(folder: Path) -> tuple[pd.DataFrame, Results]:
    """Return the cells and the results by study of a run, for tables and pages.

    Raises
    ------
    DataError
        If the cells are not those of the run.
    """
    found = Verification()
    record = read_json(folder / "run.json")
    cells = _verified_cells(folder, record, found)
    if found.problems:
        raise DataError(f"{folder}: {found.problems[0]}")
    present = experiment_folders(folder / "experiments")
    results = gather(*read_plan(record), present, read_failures(folder))
    results.measured |= {group: read_measured(folder, group) for group in GROUPS}
    return cells, results


def _verified_cells(folder: Path, record: dict, found: Verification) -> pd.DataFrame:
    cells = read_cells(folder / "cells.csv")
    dataset = record["dataset"]
    cells.attrs = {"dataset": dataset["name"], "label": dataset["label"]}
    if data_digest(cells) != dataset["digest"]:
        found.problems.append("cells.csv does not give the data digest in run.json.")
    return cells


def _verified_results(
    folder: Path, record: dict, cells: pd.DataFrame, found: Verification
) -> Results:
    """Return the results of each study, in the order of the plan, every one recomputed."""
    planned, refused = read_plan(record)
    present = experiment_folders(folder / "experiments")
    failures = read_failures(folder)
    read: dict[str, Result] = {}
    results = gather(planned, refused, present, failures, read)
    for study, missing in results.missing.items():
        found.problems += [
            f"{study}, {own.variant}, {own.split}: {own.reason}"
            for own in missing
            if own.reason and own not in refused and own.reason not in failures.values()
        ]
    known = cells.drop_duplicates("cell_id").set_index("cell_id")[["label", "subject"]]
    found.problems += _measured_problems(folder, known, results)
    for key, result in read.items():
        found.experiments += 1
        found.problems += _experiment_problems(result, known, key, found)
    return results


def _measured_problems(folder: Path, known: pd.DataFrame, results: Results) -> list[str]:
    """Read what was measured into the results; return what is wrong with its files."""
    try:
        results.measured |= {group: read_measured(folder, group) for group in GROUPS}
    except DataError as error:
        return [str(error)]
    return [
        f"{group}, {kind}: cells, labels or subjects differ from cells.csv."
        for group, kinds in results.measured.items()
        for kind, rows in kinds.items()
        if "cell_id" in rows and kind != "foreign" and not _are_known(rows, known)
    ]


def _are_known(rows: pd.DataFrame, known: pd.DataFrame) -> bool:
    """Whether every row names a cell that there is, with its label and subject."""
    place = known.index.get_indexer(rows["cell_id"])
    return bool((place >= 0).all()) and _agree(rows, known.iloc[place])


def _agree(rows: pd.DataFrame, own: pd.DataFrame) -> bool:
    """Whether rows have the subjects and labels of the cells that stand in the same place."""
    return bool(
        (own["subject"].to_numpy() == rows["subject"].to_numpy()).all()
        and (own["label"].to_numpy("int64") == rows["label"].to_numpy("int64")).all()
    )


def _experiment_problems(
    result: Result, known: pd.DataFrame, key: str, found: Verification
) -> list[str]:
    problems = []
    record = result.record
    expected = experiment_key(
        record["data_digest"], record["split"]["digest"], result.settings, result.seed
    )
    if not key == record["key"] == expected:
        problems.append(f"{key}: the key does not follow from the settings.")
    predictions = result.predictions
    held = replace(result, read=lambda _: predictions)
    for name, value in evaluate_result(held).items():
        found.metrics += 1
        stored = record["metrics"].get(name)
        if stored is None or not _same(value, stored):
            problems.append(f"{key}: {name} is {value} from the predictions, {stored} as stored.")
    place = known.index.get_indexer(predictions["cell_id"])
    if (place < 0).any():
        unknown = predictions.loc[place < 0, "cell_id"].nunique()
        problems.append(f"{key}: {unknown} predicted cells are not in cells.csv.")
    elif not _agree(predictions, known.iloc[place]):
        problems.append(f"{key}: labels or subjects differ from cells.csv.")
    shared = set(held.test["subject"].unique()) & set(held.validation["subject"].unique())
    if shared and result.protocol not in LEAKY:
        problems.append(f"{key}: subjects {sorted(shared)[:3]} are in validation and test.")
    return problems


def _verified_tables(
    folder: Path, cells: pd.DataFrame, results: Results, found: Verification
) -> dict[str, pd.DataFrame]:
    frames = {}
    for path in sorted((folder / "tables").glob("*.csv")):
        if path.stem not in TABLES:
            found.problems.append(f"{path.name} is no table that this version can recompute.")
            continue
        frames[path.stem] = build_table(path.stem, cells, results)
        found.tables += 1
        if csv_text(frames[path.stem]) != path.read_text(encoding="utf-8"):
            found.problems.append(f"Table {path.stem} differs from what the predictions give.")
    return frames


def _verify_shown(chapters: Path, frames: dict[str, pd.DataFrame], found: Verification) -> None:
    """Compare the tables that chapters show, value by value as printed, with the rebuilt ones."""
    shown: set[str] = set()
    for path in sorted(chapters.glob("*.ipynb")):
        notebook = nbformat.read(str(path), as_version=4)
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                name = output.get("metadata", {}).get("lcc", {}).get("table")
                if name is None:
                    continue
                shown.add(name)
                expected = _body(to_html(frames[name], "")) if name in frames else None
                if _body(output["data"]["text/html"]) != expected:
                    found.problems.append(f"{path.name} shows another table {name}.")
                elif expected:
                    found.cells_shown += expected.count("<td") + expected.count('scope="row"')
    for name in sorted(set(frames) - shown):
        found.problems.append(f"Table {name} is stored, but no chapter shows it.")


def _body(html: str) -> str:
    """Return the part of a table after its caption."""
    return html.partition(TABLE_CAPTION_END)[2]


def _same(a: float, b: float | None) -> bool:
    if b is None or isinstance(a, str) or isinstance(b, str):
        return a == b
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))
