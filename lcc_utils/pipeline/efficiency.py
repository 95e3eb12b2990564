"""What the models of a run's baselines cost: each engine and precision in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from lcc_utils.classical.features import feature_table
from lcc_utils.classical.models import CLASSICAL
from lcc_utils.data.images import decode
from lcc_utils.errors import DataError
from lcc_utils.nn.original import ORIGINAL, ORIGINAL_SIZE
from lcc_utils.nn.settings import Model
from lcc_utils.pipeline import provenance
from lcc_utils.pipeline.compute import Workers
from lcc_utils.pipeline.config import RunConfig
from lcc_utils.pipeline.efficiency_process import (
    FEATURES,
    KERAS,
    ONNX,
    ask,
    origin,
    workplace,
)
from lcc_utils.pipeline.measured import add_table, has_part
from lcc_utils.pipeline.names import slug
from lcc_utils.pipeline.run import Run
from lcc_utils.pipeline.study_settings import CostSettings

__all__ = ["GROUP", "STUDY", "Network", "measure", "networks"]

STUDY, GROUP = "baselines", "efficiency"
ORIGINAL_NAME = "VGG16, original dense layers"
# The networks of the paper's claim, counted in every run: its own and both forms of VGG16.
PAPER_SIZE = 384
CLAIMED = (("efficientnetv2-b3", PAPER_SIZE), ("vgg16", PAPER_SIZE), (ORIGINAL, ORIGINAL_SIZE))
_CELLS_TIMED = 16

Numbers = dict[str, Any]
Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Network:
    """A network at one image side.

    Attributes
    ----------
    model
        Its name in the tables.
    backbone, attention, reduction
        As in the settings of a model; or ``nn.original.ORIGINAL``.
    size
        Side of the image in pixels.
    """

    model: str
    backbone: str
    size: int
    attention: bool = True
    reduction: int = 16

    @property
    def part(self) -> str:
        """The name of its part of the work."""
        return f"{slug(self.model)}-{self.size}"


def measure(run: Run, progress: bool = True) -> None:
    """Measure what a run lacks of the costs of its baselines, if its profile asks for them.

    Weights are random: what a network costs does not depend on them. Times and memory are those
    of this machine while nothing else runs on it, and are kept as they were measured. Each
    network's numbers are kept as soon as they are there, so that a run that was stopped goes on
    after them; nothing is begun once the time of the workers is over.

    Raises
    ------
    DataError
        If networks cannot be counted, or a cell cannot be read.
    """
    study = run.config.studies.get(STUDY)
    if study is None or study.costs is None:
        return
    deadline = Workers.from_environment().deadline
    waiting = [own for own in _parts(run, study.costs) if not has_part(run.folder, GROUP, own[0])]
    if not waiting:
        return
    with run.working():
        for name, work in tqdm(waiting, desc="costs", disable=not (progress and waiting)):
            if time.time() >= deadline:
                return
            add_table(run.folder, GROUP, name, work())


def networks(config: RunConfig, costs: CostSettings) -> list[Network]:
    """Return the networks to measure: those of the baselines, then the others that were named."""
    study, found, sides = config.studies[STUDY], [], dict(costs.also)
    for name, variant in study.variants.items():
        settings = config.experiment(study.settings, variant)
        if settings.trains_network:
            model = settings.model
            own = {*costs.sides, *sides.pop(model.backbone, ())}
            found += [_network(name, model, side) for side in sorted(own)]
    for backbone, own in sides.items():
        name = ORIGINAL_NAME if backbone == ORIGINAL else backbone
        found += [Network(name, backbone, side) for side in own]
    return found


def _network(name: str, model: Model, side: int) -> Network:
    return Network(name, model.backbone, side, model.attention, model.reduction)


def _parts(run: Run, costs: CostSettings) -> list[tuple[str, Callable[[], Tables]]]:
    """Return the parts of the work: a name for its files, and what measures it."""
    own = networks(run.config, costs)
    parts: list[tuple[str, Callable[[], Tables]]] = [("counts", partial(_counted, run, own))]
    parts += [(one.part, partial(_network_costs, run, one, costs)) for one in own]
    study = run.config.studies[STUDY]
    for name, variant in study.variants.items():
        backbone = run.config.experiment(study.settings, variant).model.backbone
        if backbone in CLASSICAL:
            parts.append((slug(name), partial(_classical_costs, run, name, backbone, costs)))
    return parts


def _counted(run: Run, own: list[Network]) -> Tables:
    """Return parameters and multiply-adds of every network, and of those of the claim."""
    have = {(one.backbone, one.size) for one in own}
    named = {one.backbone: one.model for one in own} | {ORIGINAL: ORIGINAL_NAME}
    claimed = [pair for pair in CLAIMED if pair not in have]
    whole = [*own, *(Network(named.get(name, name), name, size) for name, size in claimed)]
    with workplace(run.folder) as folder:
        found = ask(folder, "CPU", {"task": "count", "networks": [asdict(one) for one in whole]})
    if "reason" in found:
        raise DataError(f"The networks of {STUDY} could not be counted ({found['reason']}).")
    facts = [{"model": one.model, "backbone": one.backbone, "size": one.size} for one in whole]
    rows = [fact | counts for fact, counts in zip(facts, found["rows"], strict=True)]
    return {"sizes": pd.DataFrame(rows)}


def _network_costs(run: Run, network: Network, costs: CostSettings) -> Tables:
    """Return a network's costs: one row an engine, precision and device."""
    limits = {"batch": costs.batch, "repeats": costs.repeats, "seconds": costs.seconds}
    precisions = ["float32", "float16"] if costs.half else ["float32"]
    shared = limits | {"network": asdict(network), "export": precisions if costs.onnx else []}
    fact = {"model": network.model, "backbone": network.backbone, "size": network.size}
    rows, missing = [], ""
    with workplace(run.folder) as folder:
        for device, engine, precision in _combinations(costs):
            if engine == ONNX and missing:
                found = {"reason": missing}
            else:
                task = {"task": "keras" if engine == KERAS else "onnx", "precision": precision}
                found = ask(folder, device, shared | task)
                missing = missing or found.get("unfinished", "")
                if engine == KERAS and precision == "float32":
                    missing = missing or found.get("reason", "")
            own = {"precision": precision, "batch": costs.batch}
            rows.append(fact | own | origin(engine, device) | found)
    return {"costs": _table(rows)}


def _classical_costs(run: Run, name: str, backbone: str, costs: CostSettings) -> Tables:
    """Return what it costs to measure the features of a decoded cell and to score it."""
    cells = run.cells[run.cells["label"].notna()].reset_index(drop=True)
    chosen = np.random.default_rng(0).permutation(len(cells))[:_CELLS_TIMED]
    request = {"task": "features", "network": {"backbone": backbone}}
    request |= {"repeats": costs.repeats, "seconds": costs.seconds}
    with workplace(run.folder) as folder:
        np.savez(
            folder / "cells.npz",
            images=np.stack([decode(path) for path in cells["path"].iloc[chosen]]),
            features=feature_table(cells),
            labels=cells["label"].to_numpy("int64"),
        )
        found = ask(folder, "CPU", request)
    fact = {"model": name, "backbone": backbone}
    counts = {key: found.pop(key, None) for key in ("parameters_total", "parameters_trainable")}
    row = fact | {"precision": "float64", "batch": 1} | origin(FEATURES, "CPU") | found
    return {"costs": _table([row]), "sizes": pd.DataFrame([fact | counts])}


def _combinations(costs: CostSettings) -> list[tuple[str, str, str]]:
    """Return device, engine and precision of each measurement, the first leaving the files."""
    found = []
    for device in ("CPU", "GPU") if provenance.hardware()["gpu"] else ("CPU",):
        half = "bfloat16" if device == "CPU" else "float16"
        found.append((device, KERAS, "float32"))
        found += [(device, KERAS, half)] * costs.half
        found += [(device, ONNX, "float32")] * costs.onnx
        found += [(device, ONNX, "float16")] * (costs.onnx and costs.half)
    return found


def _table(rows: list[Numbers]) -> pd.DataFrame:
    columns = [
        "model", "backbone", "size", "device", "engine", "precision", "processor", "threads",
        "versions", "batch", "repeats", "latency", "latency_q1", "latency_q3", "throughput",
        "memory", "memory_batch", "disk", "score_difference", "reason",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
