"""Cells from elsewhere: what a run's networks say of them, beside their own test cells."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import pandas as pd
from tqdm import tqdm

from lcc_utils.data.cut_out import AS_IT_IS
from lcc_utils.data.elsewhere import COLUMNS, ForeignSet, need_place, read_foreign
from lcc_utils.data.foreign_shapes import draw_shapes
from lcc_utils.data.paths import writable_folder
from lcc_utils.errors import RequestError
from lcc_utils.pipeline.compute import Workers
from lcc_utils.pipeline.foreign_frames import (
    Fingerprints,
    Frame,
    drawn_frames,
    frames,
    spread_out,
)
from lcc_utils.pipeline.foreign_networks import STUDY, Judge, judges, names_of, networks_of
from lcc_utils.pipeline.measured import add_table, has_part, read_measured
from lcc_utils.pipeline.names import slug
from lcc_utils.pipeline.run import Run

__all__ = ["FAMILIAR", "MOST", "Added", "add_foreign", "check_request", "compare"]

# Parts of the measured numbers: the test cells as they are, and one for each foreign set.
FAMILIAR, SET = "test-cells", "set-{}"
# Sets that a run on synthetic cells shows without being asked.
OTHER_PHASES, DRAWN = "other phases, synthetic", "drawn shapes, synthetic"
MOST = 1000
_DRAWN_OF_A_KIND = 60
_AT_ONCE = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ,._+-]{0,39}")


@dataclass(frozen=True)
class Added:
    """What was scored of a foreign set.

    Attributes
    ----------
    name, part
        Of the set, and of its files in the run.
    counts
        Cells: ``found`` in the set, ``left_out`` by the limit of cells a kind, ``faulty``, and
        ``cells``, those that were scored.
    files, digest
        How many files gave a cell, and what identifies them.
    faults
        Where and why something could not be used.
    """

    name: str
    part: str
    counts: dict[str, int]
    files: int
    digest: str
    faults: list[tuple[str, str]]


def compare(run: Run, progress: bool = True) -> None:
    """Compute what a run lacks of the numbers about cells from elsewhere.

    The test cells of the first split of the study ``robustness`` are scored as they are. A run on
    synthetic cells also scores cells of the phases that it does not use, and drawn shapes; other
    sets come by :func:`add_foreign`. Nothing is begun once the time of the workers is over, and
    nothing is done without a finished network.

    Raises
    ------
    DataError
        If pixels cannot be read, or training diverges or runs out of memory.
    """
    sets = _sets_unasked(run)
    parts = [FAMILIAR, *map(_part, sets)]
    late = time.time() >= Workers.from_environment().deadline
    if not networks_of(run) or late or (_is_whole(run) and all(_have(run, *parts))):
        return
    with run.working():
        found = list(judges(run))
        _score_familiar(run, found)
        if OTHER_PHASES in sets:
            there = read_foreign(run.cells.attrs["root"], run.cells)
            _score_set(run, found, OTHER_PHASES, there, progress=progress)
        if DRAWN in sets:
            drawn = list(draw_shapes(_DRAWN_OF_A_KIND))
            shapes = ForeignSet(_drawn_table([kind for kind, _ in drawn]), "drawn")
            _score_set(run, found, DRAWN, shapes, [image for _, image in drawn], progress=progress)


def add_foreign(
    run: Run,
    place: str,
    name: str,
    scale: float = 1.0,
    most: int = MOST,
    progress: bool = False,
) -> Added:
    """Score a data set from elsewhere with a run's networks, and keep the numbers in the run.

    Parameters
    ----------
    run
        A run whose study ``robustness`` has a finished network.
    place
        The data set; see ``data.elsewhere.read_foreign``.
    name
        What tables call it; the numbers of a set of the same name are replaced.
    scale
        How many times larger things are drawn in it than in C-NMC 2019.
    most
        Cells of each kind and class that are scored, spread over subjects and images.
    progress
        Whether to show a progress bar.

    Raises
    ------
    RequestError
        If the run has no finished network, a setting is wrong, or nothing at that place can be
        used: among others, if all of it are cells of the run.
    DataError
        If a subject has cells of both classes, or a network cannot be trained again.
    """
    check_request(place, name, scale, most)
    writable_folder(run.folder / STUDY, "The folder of the run,")
    if not networks_of(run):
        raise RequestError(
            f"Run {run.name} has no finished network in the study {STUDY}. Use a run of a profile "
            "that has this study, and complete it with: lcc run PROFILE --resume"
        )
    _check_free(run, name)
    found = read_foreign(place, run.cells)
    with run.working():
        networks = list(judges(run))
        if not (_is_whole(run) and has_part(run.folder, STUDY, FAMILIAR)):
            _score_familiar(run, networks)
        return _score_set(run, networks, name, found, scale=scale, most=most, progress=progress)


def _check_free(run: Run, name: str) -> None:
    """Refuse a name whose files are those of a set of another name."""
    kept = read_measured(run.folder, STUDY).get("sets")
    others = [] if kept is None else kept["source"]
    if alike := [own for own in others if own != name and _part(own) == _part(name)]:
        raise RequestError(
            f"--name {name!r} would replace the set {alike[0]!r}: names that differ in signs or "
            "capital letters alone share files. Choose another, or that one to replace it."
        )


def check_request(place: str, name: str, scale: float, most: int) -> None:
    """Raise a RequestError if a setting of :func:`add_foreign` is wrong, or its place is empty."""
    if not _NAME.fullmatch(name) or not 0.05 <= scale <= 20 or most < 1:
        raise RequestError(
            f"--name {name!r} must be up to 40 letters, digits, spaces or signs of , . _ + -, "
            f"--scale {scale:g} between 0.05 and 20, and --most {most} at least 1."
        )
    need_place(place)


def _sets_unasked(run: Run) -> list[str]:
    if run.cells.attrs["dataset"] != "synthetic":
        return []
    others = {"train", "prelim"} - set(run.config.dataset.phases)
    return [OTHER_PHASES, DRAWN] if others else [DRAWN]


def _score_familiar(run: Run, networks: list[Judge]) -> None:
    tables = []
    for judge in networks:
        ids = judge.experiment.split.test
        own = run.cells.set_index("cell_id").loc[list(ids), ["subject", "label"]].reset_index()
        tables.append(pd.concat([own, judge.of_cells(ids)], axis=1))
    add_table(run.folder, STUDY, FAMILIAR, {"familiar": pd.concat(tables, ignore_index=True)})


def _score_set(
    run: Run,
    networks: list[Judge],
    name: str,
    found: ForeignSet,
    drawn: list | None = None,
    scale: float = 1.0,
    most: int = MOST,
    progress: bool = False,
) -> Added:
    """Score a set of files, or of images that are at hand, with every network; keep the numbers."""
    whole = len(found.table)
    found.table = spread_out(found.table, most)
    chosen, prints = len(found.table), Fingerprints()
    stream: Iterator[Frame]
    if drawn is None:
        stream = frames(found, scale, run.cells, prints)
    else:
        stream = drawn_frames(drawn, prints)
    tables = []
    with tqdm(total=chosen, desc=name, disable=not progress, unit="cell") as bar:
        for some in _batches(stream, _AT_ONCE):
            rows = found.table.loc[[one.row for one in some]].drop(columns=["path", "box"])
            rows = rows.assign(source=name, form=[one.form for one in some]).reset_index(drop=True)
            images = [one.pixels for one in some]
            tables += [pd.concat([rows, judge.of_frames(images)], axis=1) for judge in networks]
            bar.update(int((rows["form"] == AS_IT_IS).sum()))
    if not tables:
        first = "; ".join(f"{where}: {reason}" for where, reason in found.faults[:3])
        raise RequestError(f"{name}: none of the {chosen:,} cells can be used. {first}.")
    scored = pd.concat(tables, ignore_index=True)
    scored = scored.sort_values(["model", "form", "cell_id"], kind="stable", ignore_index=True)
    cells = int(scored["cell_id"].nunique())
    counts = {"found": whole, "left_out": whole - chosen, "faulty": chosen - cells, "cells": cells}
    record = {"source": name, "layout": found.layout, **counts, "files": prints.files}
    record |= {"digest": prints.digest, "scale": scale}
    tables = {"foreign": scored, "sets": pd.DataFrame([record])}
    add_table(run.folder, STUDY, _part(name), tables)
    return Added(name, _part(name), counts, prints.files, prints.digest, found.faults)


def _batches(stream: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    source = iter(stream)
    while some := list(islice(source, size)):
        yield some


def _drawn_table(kinds: list[str]) -> pd.DataFrame:
    names = [f"{kind} {number}" for number, kind in enumerate(kinds, start=1)]
    table = pd.DataFrame({"cell_id": names, "image": names, "kind": kinds}, columns=COLUMNS)
    return table.astype({"label": "Int64"})


def _part(name: str) -> str:
    return SET.format(slug(name))


def _have(run: Run, *parts: str) -> list[bool]:
    return [has_part(run.folder, STUDY, part) for part in parts]


def _is_whole(run: Run) -> bool:
    """Tell whether the test cells that are kept were scored by the networks that are there now."""
    kept = read_measured(run.folder, STUDY).get("familiar")
    return kept is not None and set(kept["model"]) == set(names_of(networks_of(run)))
