"""The unit of work: one experiment, its key, and what running it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcc_utils.data.images import PixelCache
from lcc_utils.data.splits import (
    Split,
    image_split,
    leakage_guard,
    official_split,
    patient_split,
)
from lcc_utils.errors import RequestError
from lcc_utils.evaluation.metrics import best_weighted_f1, evaluate_result
from lcc_utils.evaluation.result import Result
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.pipeline import provenance
from lcc_utils.pipeline.config import RunConfig, SplitSettings
from lcc_utils.pipeline.store import SCHEMA, short_digest, write_experiment


@dataclass(frozen=True)
class Experiment:
    """One training on one split with one seed; it runs alone and has a stable key.

    Attributes
    ----------
    study, variant
        Its place in a run; they are not part of the key.
    settings
        Pixels, model, loss, augmentation, training and precision.
    split
        Which cells train, validate and test.
    seed
        Seed of everything random in the training.
    data_digest
        Digest of all the cells that the run was given.
    """

    study: str
    variant: str
    settings: ExperimentSettings
    split: Split
    seed: int
    data_digest: str

    @property
    def key(self) -> str:
        """Sixteen hex digits over everything that can change the result, and nothing else."""
        return experiment_key(
            self.data_digest, self.split.digest, self.settings.model_dump(mode="json"), self.seed
        )


def experiment_key(data_digest: str, split_digest: str, settings: dict, seed: int) -> str:
    """Return the key of an experiment from what identifies it."""
    return short_digest(
        {
            "schema": SCHEMA,
            "data": data_digest,
            "split": split_digest,
            "settings": settings,
            "seed": seed,
        }
    )


def plan(config: RunConfig, cells: pd.DataFrame, data_digest: str) -> dict[str, list[Experiment]]:
    """Return every experiment of a run by study, splits made and guarded.

    Variants of one architecture follow each other, so that a model is compiled once.

    Raises
    ------
    RequestError
        If the data cannot give a split that a study asks for.
    DataError
        If a split leaks.
    """
    planned: dict[str, list[Experiment]] = {}
    for name, study in config.studies.items():
        splits = [
            (split, seed)
            for settings in study.splits
            for seed in study.seeds
            for split in [make_split(settings, cells, seed)]
        ]
        for split, _ in splits:
            leakage_guard(split, cells)
        planned[name] = [
            Experiment(
                name, variant, config.experiment(study.settings, changes), split, seed, data_digest
            )
            for variant, changes in study.variants.items()
            for split, seed in splits
        ]
    return planned


def make_split(settings: SplitSettings, cells: pd.DataFrame, seed: int) -> Split:
    """Make one split as the settings say.

    In an official split the seed of the experiment does not change who validates, so that
    seeds differ by training alone; in random splits it draws the subjects.
    """
    if settings.protocol == "official":
        if settings.test_fold is None or not settings.train_folds:
            raise RequestError("A split of protocol official needs train_folds and test_fold.")
        return official_split(
            cells, settings.train_folds, settings.test_fold, settings.validation_share
        )
    make = patient_split if settings.protocol == "patient" else image_split
    return make(cells, settings.shares, seed)


def require_weights(experiments: Iterable[Experiment]) -> None:
    """Fetch the ImageNet weights that experiments start from, before any pixel is decoded.

    Raises
    ------
    RequestError
        If they are neither on disk nor to be downloaded; which file to put where.
    """
    settings = [experiment.settings for experiment in experiments]
    wanted = {(s.model.backbone, s.pixels.size) for s in settings if s.model.weights == "imagenet"}
    if wanted:
        from lcc_utils.nn.classifier import build_classifier

        for name, size in sorted(wanted):
            build_classifier(name, size)


def run_experiment(
    experiment: Experiment,
    cells: pd.DataFrame,
    folder: Path,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> None:
    """Train, predict, and write the experiment's directory.

    Parameters
    ----------
    experiment
        What to do.
    cells
        The run's cells.
    folder
        Where the directory appears when all is done.
    on_epoch
        Called with each row of the history.
    """
    from lcc_utils.nn.training import Cells, fit, predict_scores

    start = time.perf_counter()
    split, settings = experiment.split, experiment.settings
    cache = PixelCache(cells, settings.pixels.size, settings.pixels.crop)
    table = cells.set_index("cell_id")

    def some(ids: tuple[str, ...]) -> Any:
        return Cells(cache.rows(ids), table.loc[list(ids), "label"].to_numpy("int64"))

    fitted = fit(
        settings,
        cache.array,
        some(split.train),
        some(split.validation),
        experiment.seed,
        best_weighted_f1,
        on_epoch,
    )
    predictions = pd.concat(
        _predictions(table, ids, part, predict_scores(fitted.logits, cache.array, cache.rows(ids)))
        for part, ids in (("validation", split.validation), ("test", split.test))
    )
    history = pd.DataFrame(fitted.history)
    record = _record(experiment, cells, fitted.parameters) | {
        "epochs": len(history),
        "best_epoch": fitted.best_epoch,
        "seconds": round(time.perf_counter() - start, 1),
    }
    result = Result(
        experiment.key, experiment.study, experiment.variant, split.name, experiment.seed,
        record["settings"], predictions, history, record,
    )  # fmt: skip
    write_experiment(folder, record | {"metrics": evaluate_result(result)}, predictions, history)


def _predictions(
    table: pd.DataFrame, ids: tuple[str, ...], partition: str, scores: np.ndarray
) -> pd.DataFrame:
    own = table.loc[list(ids)]
    return pd.DataFrame(
        {
            "cell_id": list(ids),
            "patient": own["patient"].to_numpy(),
            "subject": own["subject"].to_numpy(),
            "label": own["label"].to_numpy("int64"),
            # As stored, so that what is computed now equals what is computed from the file.
            "score": [float(f"{score:.9g}") for score in scores],
            "partition": partition,
        }
    )


def _record(
    experiment: Experiment, cells: pd.DataFrame, parameters: dict[str, int]
) -> dict[str, Any]:
    split = experiment.split
    settings = experiment.settings.model_dump(mode="json")
    placed = len(split.train) + len(split.validation) + len(split.test)
    return {
        "schema": SCHEMA,
        "key": experiment.key,
        "study": experiment.study,
        "variant": experiment.variant,
        "seed": experiment.seed,
        "dataset": cells.attrs["label"],
        "data_digest": experiment.data_digest,
        "split": {
            "name": split.name,
            "protocol": split.protocol,
            "seed": split.seed,
            "digest": split.digest,
            "train": len(split.train),
            "validation": len(split.validation),
            "test": len(split.test),
            "unused": int(cells["label"].notna().sum()) - placed,
        },
        "settings": settings,
        "model": {"backbone": settings["model"]["backbone"], **parameters},
        "backend": provenance.backend(),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "finished": provenance.now(),
    }
