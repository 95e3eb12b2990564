"""Make a model directory: train on every cell of a run, and say what its like was measured at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lcc_utils.data.cnmc import data_digest
from lcc_utils.data.images import PixelCache
from lcc_utils.data.partitions import Split
from lcc_utils.data.splits import kfold_splits, leakage_guard
from lcc_utils.errors import RequestError
from lcc_utils.evaluation.novelty import energy, fit_novelty
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.pipeline import provenance
from lcc_utils.pipeline.cells import open_cells
from lcc_utils.pipeline.config import RunConfig
from lcc_utils.pipeline.learners import fit_network
from lcc_utils.pipeline.model_files import FEATURES, ModelRecord, write_model_dir
from lcc_utils.pipeline.model_numbers import calibration, measured, pooled, short, thresholds
from lcc_utils.pipeline.store import read_json
from lcc_utils.pipeline.verify import load_results
from lcc_utils.report.model_directory import card
from lcc_utils.report.rows import Runs
from lcc_utils.report.tables import build_table
from lcc_utils.report.training_tables import primary_runs

if TYPE_CHECKING:
    from lcc_utils.nn.course import OnEpoch

STUDY = "primary"
FOLDS = 5
# Shares of validation cells beyond each threshold of novelty.
FAR, ENERGETIC = 0.05, 0.01


def make_model(
    run: Path,
    folder: Path,
    variant: str | None = None,
    data: str | None = None,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> ModelRecord:
    """Train a variant of a run's primary analysis on all of its cells, and write it.

    Parameters
    ----------
    run
        Directory of a run, or ``results/``: settings, and results where there are.
    folder
        Where the model directory appears.
    variant
        A network of the study; by default its first.
    data
        The C-NMC tree; the cells must be those of the run. A synthetic run draws its own.
    seed
        Seed of the training.
    on_epoch
        Called with each row of the history.

    Raises
    ------
    RequestError
        If the run has no such network, or the cells are others.
    DataError
        If training or writing fails; nothing is left.
    """
    if folder.exists():
        raise RequestError(f"{folder} exists; name another folder with --out, or remove it first.")
    config, settings, variant, runs, table = _planned(run, variant)
    cells = open_cells(config, data, progress=False)
    if data_digest(cells) != read_json(run / "run.json")["dataset"]["digest"]:
        raise RequestError(
            f"The cells of {data or 'this profile'} are not those of {run}; give the data that "
            "the run was computed on, or make a run of your own with `lcc run`."
        )
    split = _split(cells, seed)
    pixels = PixelCache(cells, settings.pixels.size, settings.pixels.crop)
    held, novelty = _searched(settings, cells, split, seed, pixels, on_epoch)
    classifier, features = _whole(settings, cells, split, seed, pixels, on_epoch)
    own, basis = (pooled(runs), _OUT_OF_FOLD) if runs else (held, _VALIDATION)
    where = f"{len(own):,} cells of {own['subject'].nunique()} subjects {basis}"
    record = ModelRecord(
        name=variant,
        backbone=settings.model.backbone,
        size=settings.pixels.size,
        crop=settings.pixels.crop,
        views=settings.prediction.views,
        calibration=calibration(own, where),
        thresholds=thresholds(own, where),
        novelty=_described(features) | novelty,
        training=_training(settings, cells, split, seed),
        measured_on=_MEASURED.format(label=cells.attrs["label"]) if runs else "",
        measured=measured(runs, table) if runs else [],
        versions=provenance.versions(),
    )
    write_model_dir(folder, record, classifier, card(record.model_dump(mode="json")))
    return record


_OUT_OF_FOLD = "of the run's cross-validation, each scored by a model without its subject"
_VALIDATION = "that validated a first training without them"
_MEASURED = (
    "{label}. Every cell was scored once, by one of several models of the same settings that "
    "had seen no cell of its subject, at a threshold chosen on other subjects. The model here is "
    "trained on all of these cells: the numbers are of models like it, not of itself."
)


def _planned(
    run: Path, variant: str | None
) -> tuple[RunConfig, ExperimentSettings, str, Runs | None, pd.DataFrame]:
    config = RunConfig.model_validate(read_json(run / "run.json")["settings"])
    if STUDY not in config.studies:
        raise RequestError(f"{run} has no study {STUDY}, whose models can be made.")
    study = config.studies[STUDY]
    networks = {}
    for name, changes in study.variants.items():
        settings = config.experiment(study.settings, changes)
        if settings.trains_network:
            networks[name] = settings
    chosen = variant or next(iter(networks), "")
    if chosen not in networks:
        raise RequestError(
            f"{run} has no network {chosen!r} in its study {STUDY}; it has "
            f"{', '.join(networks) or 'none'}. Choose with --variant."
        )
    stored, results = load_results(run)
    whole = [own for own in primary_runs(results) if own.variant == chosen and own.whole]
    table = build_table("primary", stored, results)
    return config, networks[chosen], chosen, whole[0] if whole else None, table


def _split(cells: pd.DataFrame, seed: int) -> Split:
    """Keep a fifth of the subjects of each class for validation: a part of a cross-validation."""
    least = int(cells.groupby("label")["subject"].nunique().min())
    part = kfold_splits(cells, max(2, min(FOLDS, least // 2)), seed=seed)[0]
    train = tuple(sorted(part.train + part.validation))
    split = Split(train, part.test, (), "kfold", seed, "all cells")
    leakage_guard(split, cells)
    return split


def _searched(
    settings: ExperimentSettings, cells: pd.DataFrame, split: Split, seed: int,
    pixels: PixelCache, on_epoch: OnEpoch | None,
) -> tuple[pd.DataFrame, dict[str, Any]]:  # fmt: skip
    """Train without the validation subjects; return their scores, and how far off they lie."""
    once = settings.model_copy(
        update={"training": settings.training.model_copy(update={"refit": False})}
    )
    fitted = fit_network(once, cells, split, seed, pixels, on_epoch)
    inside, _ = _seen(fitted.classifier, pixels, split.train)
    features, outputs = _seen(fitted.classifier, pixels, split.validation)
    distances, energies = fit_novelty(inside).distance(features), energy(outputs)
    held = cells.set_index("cell_id").loc[list(split.validation), ["label", "subject"]]
    number = held["subject"].nunique()
    return held.assign(score=fitted.validation_scores), {
        "distance": short(np.quantile(distances, 1 - FAR)),
        "energy": short(np.quantile(energies, 1 - ENERGETIC)),
        "basis": f"mean and axes from all training cells; thresholds such that {FAR:.0%} of "
        f"{len(held):,} cells of {number} subjects lie beyond the distance, and {ENERGETIC:.0%} "
        "beyond the energy, in a first training without these subjects",
    }


def _whole(
    settings: ExperimentSettings, cells: pd.DataFrame, split: Split, seed: int,
    pixels: PixelCache, on_epoch: OnEpoch | None,
) -> tuple[Any, np.ndarray]:  # fmt: skip
    """Train on all cells; return the classifier and their features."""
    from lcc_utils.nn.course import Course
    from lcc_utils.nn.training import Cells, train_all

    ids = (*split.train, *split.validation)
    own = cells.set_index("cell_id").loc[list(ids)]
    labels, subjects = own["label"].to_numpy("int64"), own["subject"].to_numpy(str)
    rows = Cells(pixels.rows(ids), labels, subjects)
    model = train_all(settings, pixels.array, rows, seed, Course(on_epoch))
    return model.classifier, _seen(model.classifier, pixels, ids)[0]


def _seen(
    classifier: Any, pixels: PixelCache, ids: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features and the logits of some cells."""
    import keras

    from lcc_utils.nn.prediction import predict

    outputs = [classifier.get_layer(name).output for name in (FEATURES, "logits")]
    features, logits = predict(
        keras.Model(classifier.input, outputs), pixels.array, pixels.rows(ids)
    )
    return features, logits


def _described(features: np.ndarray) -> dict[str, Any]:
    found = fit_novelty(features)
    return {
        "mean": [short(x) for x in found.mean],
        "axes": [[short(x) for x in row] for row in found.axes],
        "variances": [short(x) for x in found.variances],
        "residual": short(found.residual),
    }


def _training(
    settings: ExperimentSettings, cells: pd.DataFrame, split: Split, seed: int
) -> dict[str, Any]:
    return {
        "dataset": cells.attrs["label"],
        "digest": data_digest(cells),
        "cells": len(cells),
        "subjects": int(cells["subject"].nunique()),
        "validation_cells": len(split.validation),
        "split_digest": split.digest,
        "seed": seed,
        "settings": settings.relevant(),
    }
