"""Recompute every published number from saved predictions, without images or a framework."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from nbformat import NotebookNode

from lcc_utils.data.cnmc import data_digest
from lcc_utils.errors import DataError, LccError
from lcc_utils.evaluation.result import Missing, Result, Results
from lcc_utils.pipeline.book_notebooks import read_notebook
from lcc_utils.pipeline.gather import gather, read_failures, read_plan
from lcc_utils.pipeline.manifest import digest_of, of_run, problems
from lcc_utils.pipeline.measured import GROUPS, read_measured
from lcc_utils.pipeline.packs import experiment_folders
from lcc_utils.pipeline.plan import PROTOCOL, Plan, by_key, make_plan
from lcc_utils.pipeline.run_record import read_config, read_run
from lcc_utils.pipeline.store import csv_text, read_bytes, read_cells
from lcc_utils.pipeline.verify_record import (
    plan_problems,
    record_problems,
    seconds_problems,
)
from lcc_utils.pipeline.verify_results import (
    TABLE_CLOSE,
    ExperimentCheck,
    are_known,
    table_difference,
)
from lcc_utils.report.tables import TABLES, build_table, to_html

TABLE_CAPTION_END = "<thead>"
_RESUME = "If the run went on since, complete it with lcc run --resume, which signs it again."


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
    notes
        What could not be recomputed, and why.
    manifest
        SHA-256 of the manifest, which identifies every file; empty where there is none.
    difference
        The largest relative difference between a recomputed number and the stored one: 0 where
        each is the same to the last digit.
    """

    experiments: int = 0
    metrics: int = 0
    tables: int = 0
    cells_shown: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    manifest: str = ""
    difference: float = 0.0


def verify(folder: Path) -> Verification:
    """Recompute digests, plan, keys, metrics and tables of a run; compare its manifest.

    The published edition is verified by ``edition.verify_edition``.

    Parameters
    ----------
    folder
        A run's directory.

    Raises
    ------
    RequestError
        If the folder is no run.
    DataError
        If ``run.json`` or ``cells.csv`` cannot be read.
    """
    found, _, _ = recompute(folder, folder / "notebooks")
    scope = of_run(folder)
    if scope.manifest.is_file() or read_run(folder)["finished"] is not None:
        # A run that was never completed has no manifest.
        found.problems += [f"{problem} {_RESUME}" for problem in problems(scope)]
    found.manifest = digest_of(scope.manifest)
    return found


def recompute(folder: Path, chapters: Path) -> tuple[Verification, pd.DataFrame, Results]:
    """Recompute all but the manifest; return what was found, the cells and the results.

    Parameters
    ----------
    folder
        A run's directory, or ``results/``.
    chapters
        Where its executed notebooks are.
    """
    record = read_run(folder)
    found = Verification()
    cells = _verified_cells(folder, record, found)
    found.problems += record_problems(record, cells)
    plan = _verified_plan(folder, record, cells, found)
    results = _verified_results(folder, record, cells, found, plan)
    frames = _verified_tables(folder, cells, results, found)
    _verify_shown(chapters, frames, found)
    return found, cells, results


def _verified_plan(folder: Path, record: dict, cells: pd.DataFrame, found: Verification) -> Plan:
    """Return the plan that settings and cells give, compared with the stored one."""
    if record["protocol"] != PROTOCOL:
        found.notes.append(
            f"The run was planned under protocol {record['protocol']}, and this version plans under"
            f" protocol {PROTOCOL}: its plan and its splits are taken as they are stored."
        )
        return Plan({})
    try:
        plan = make_plan(read_config(record, folder), cells, record["dataset"]["digest"])
    except LccError as error:
        found.problems.append(str(error))
        return Plan({})
    found.problems += plan_problems(record, plan)
    return plan


def load_results(folder: Path) -> tuple[pd.DataFrame, Results]:
    """Return the cells and the results by study of a run, for tables and pages.

    Raises
    ------
    DataError
        If the cells are not those of the run, or an experiment is there and cannot be read: tables
        would leave it out without a word.
    """
    found = Verification()
    record = read_run(folder)
    cells = _verified_cells(folder, record, found)
    if found.problems:
        raise DataError(f"{folder}: {found.problems[0]}")
    present = experiment_folders(folder / "experiments")
    planned, refused = read_plan(record)
    failures = read_failures(folder)
    results = gather(planned, refused, present, failures)
    if unread := _unread(results, refused, failures):
        raise DataError(f"{folder}: {unread[0]}")
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
    folder: Path,
    record: dict,
    cells: pd.DataFrame,
    found: Verification,
    plan: Plan,
) -> Results:
    """Return the results of each study, in the order of the plan, every one recomputed."""
    planned, refused = read_plan(record)
    failures, present = read_failures(folder), experiment_folders(folder / "experiments")
    known = cells.set_index("cell_id")[["label", "subject"]]
    check = ExperimentCheck(cells, known, by_key(plan))
    keys = {place.key for places in planned.values() for place in places}
    found.problems += [
        f"{present[k]}: the plan has no such experiment." for k in sorted(present.keys() - keys)
    ]
    read: dict[str, Result] = {}
    results = gather(planned, refused, present, failures, read)
    found.problems += _unread(results, refused, failures)
    found.problems += _measured_problems(folder, known, results)
    for key, result in read.items():
        found.experiments += 1
        found.problems += check.problems(key, result)
    found.metrics, found.difference = check.metrics, check.difference
    found.problems += seconds_problems(record, present, planned)
    return results


def _unread(results: Results, refused: list[Missing], failures: dict[str, str]) -> list[str]:
    """Return a sentence for each experiment that is there and cannot be read."""
    return [
        f"{study}, {own.variant}, {own.split}: {own.reason}"
        for study, missing in results.missing.items()
        for own in missing
        if own.reason and own not in refused and own.reason not in failures.values()
    ]


def _measured_problems(folder: Path, known: pd.DataFrame, results: Results) -> list[str]:
    """Read what was measured into the results; return what is wrong with its files."""
    try:
        results.measured |= {group: read_measured(folder, group) for group in GROUPS}
    except DataError as error:
        return [str(error)]
    except ValueError as error:
        return [f"A measured table cannot be read ({error})."]
    return [
        f"{group}, {kind}: cells, labels or subjects differ from cells.csv."
        for group, kinds in results.measured.items()
        for kind, rows in kinds.items()
        if "cell_id" in rows and kind != "foreign" and not are_known(rows, known)
    ]


def _verified_tables(
    folder: Path, cells: pd.DataFrame, results: Results, found: Verification
) -> dict[str, pd.DataFrame]:
    frames = {}
    for path in sorted((folder / "tables").glob("*.csv")):
        if path.stem not in TABLES:
            found.problems.append(f"{path.name} is no table that this version can recompute.")
            continue
        try:
            frames[path.stem] = build_table(path.stem, cells, results)
            stored = read_bytes(path).decode("utf-8")
        except Exception as error:  # whatever a report raises on results that are damaged
            reason = f"{type(error).__name__}: {str(error)[:200]}"
            found.problems.append(f"Table {path.stem} cannot be recomputed ({reason}).")
            continue
        found.tables += 1
        apart = table_difference(csv_text(frames[path.stem]), stored)
        if apart <= TABLE_CLOSE:
            found.difference = max(found.difference, apart)
        else:
            found.problems.append(f"Table {path.stem} differs from what the predictions give.")
    return frames


def _verify_shown(chapters: Path, frames: dict[str, pd.DataFrame], found: Verification) -> None:
    """Compare the tables that chapters show, value by value as printed, with the rebuilt ones."""
    shown: set[str] = set()
    for path in sorted(chapters.glob("*.ipynb")):
        try:
            tables = _tables_of(read_notebook(path))
        except DataError as error:
            found.problems.append(str(error))
            continue
        for name, html in tables:
            shown.add(name)
            expected = _body(to_html(frames[name], "")) if name in frames else None
            if _body(html) != expected:
                found.problems.append(f"{path.name} shows another table {name}.")
            elif expected:
                found.cells_shown += expected.count("<td") + expected.count('scope="row"')
    for name in sorted(set(frames) - shown):
        found.problems.append(f"Table {name} is stored, but no chapter shows it.")


def _tables_of(notebook: NotebookNode) -> list[tuple[str, str]]:
    """Return name and HTML of each table that a notebook shows."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    marks = [output.get("metadata", {}).get("lcc", {}) for output in outputs]
    return [
        (str(mark["table"]), str(output.get("data", {}).get("text/html", "")))
        for mark, output in zip(marks, outputs, strict=True)
        if "table" in mark
    ]


def _body(html: str) -> str:
    """Return the part of a table after its caption."""
    return html.partition(TABLE_CAPTION_END)[2]
