"""How each kind of model learns from a split and scores its cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lcc_utils.classical.models import fit as fit_classical
from lcc_utils.data.images import PixelCache
from lcc_utils.data.label_noise import wrong_labels
from lcc_utils.data.partitions import Split
from lcc_utils.evaluation.metrics import best_weighted_f1
from lcc_utils.nn.settings import ExperimentSettings

if TYPE_CHECKING:
    from lcc_utils.nn.course import OnEpoch
    from lcc_utils.nn.training import Fitted

# A classical model or a frozen network's head: ``scores(features)`` gives P(ALL).
FeatureModel = Any


@dataclass(frozen=True)
class Learned:
    """What a model gives: scores in the order of the split's cells, and how it came about.

    Attributes
    ----------
    validation, test
        P(ALL) of the validation and of the test cells.
    model
        What ``experiment.json`` says of the model: name and numbers of parameters.
    history
        One row an epoch; empty for models that have none.
    facts
        ``epochs`` and ``best_epoch``, where there are epochs.
    epoch_seconds
        Time of each epoch.
    classifier
        The network that was trained, until the next of its kind is; None for other models.
    """

    validation: np.ndarray
    test: np.ndarray
    model: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    epoch_seconds: list[float] = field(default_factory=list)
    classifier: Any = None


def learn(
    settings: ExperimentSettings,
    cells: pd.DataFrame,
    split: Split,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Learned:
    """Train the model that settings name, and score validation and test cells.

    Raises
    ------
    DataError
        If pixels cannot be read, or training diverges or runs out of memory.
    """
    if settings.classical:
        from lcc_utils.classical.features import feature_table

        return _from_features(settings, cells, split, seed, feature_table(cells))
    pixels = PixelCache(cells, settings.pixels.size, settings.pixels.crop)
    if settings.model.frozen:
        from lcc_utils.nn.frozen import frozen_features

        features = frozen_features(pixels.array, settings, pixels.path.stem)
        return _from_features(settings, cells, split, seed, features)
    return _network(settings, cells, split, seed, pixels, on_epoch)


def prepare(settings: ExperimentSettings, cells: pd.DataFrame, progress: bool = False) -> None:
    """Fill the caches that a model of these settings reads: pixels, or measured features."""
    if settings.classical:
        from lcc_utils.classical.features import feature_table

        feature_table(cells, progress=progress)
        return
    pixels = PixelCache(cells, settings.pixels.size, settings.pixels.crop, progress=progress)
    if settings.model.frozen:
        from lcc_utils.nn.frozen import frozen_features

        frozen_features(pixels.array, settings, pixels.path.stem, progress=progress)


def require_weights(settings: Iterable[ExperimentSettings]) -> None:
    """Fetch the ImageNet weights that models start from, before any pixel is decoded.

    Raises
    ------
    RequestError
        If they are neither on disk nor to be downloaded; which file to put where.
    """
    networks = [own for own in settings if not own.classical]
    wanted = {(s.model.backbone, s.pixels.size) for s in networks if s.model.weights == "imagenet"}
    if wanted:
        from lcc_utils.nn.classifier import build_classifier

        for name, size in sorted(wanted):
            build_classifier(name, size)


def fit_network(
    settings: ExperimentSettings,
    cells: pd.DataFrame,
    split: Split,
    seed: int,
    pixels: PixelCache,
    on_epoch: OnEpoch | None = None,
    shuffled: bool = False,
) -> Fitted:
    """Train the network of an experiment, or the same with the training labels shuffled.

    Labels of training cells are turned over as ``training.label_noise`` says.

    Raises
    ------
    DataError
        If training diverges or runs out of memory.
    """
    from lcc_utils.nn.training import Cells, fit

    table = cells.set_index("cell_id").assign(label=_labels(settings, cells, split, seed))

    def some(ids: tuple[str, ...], shuffled: bool = False) -> Cells:
        own = table.loc[list(ids)]
        labels, subjects = own["label"].to_numpy("int64"), own["subject"].to_numpy(str)
        if shuffled:
            labels = np.random.default_rng(seed).permutation(labels)
        return Cells(pixels.rows(ids), labels, subjects)

    training, validation = some(split.train, shuffled), some(split.validation)
    return fit(settings, pixels.array, training, validation, seed, best_weighted_f1, on_epoch)


def fit_features(
    settings: ExperimentSettings,
    cells: pd.DataFrame,
    split: Split,
    seed: int,
    features: np.ndarray,
    refit: bool = True,
) -> FeatureModel:
    """Fit a classical model, or a frozen network's head, as the experiment tests it.

    Parameters
    ----------
    settings, cells, split, seed
        Those of the experiment.
    features
        One row a cell of ``cells``.
    refit
        Whether to train on validation cells too, if the settings say so. Labels of training
        cells are turned over as ``training.label_noise`` says; those of validation cells stay.

    Raises
    ------
    DataError
        If the training cells are of one class, or a feature is not finite.
    """
    row = {cell: number for number, cell in enumerate(cells["cell_id"])}
    also = split.validation if refit and settings.training.refit else ()
    own = [row[cell] for cell in (*split.train, *also)]
    labels = _labels(settings, cells, split, seed)[own]
    if settings.classical:
        return fit_classical(settings.model.backbone, features[own], labels, seed)
    from lcc_utils.nn.head import fit_head

    return fit_head(features[own], labels, seed)


def _network(
    settings: ExperimentSettings,
    cells: pd.DataFrame,
    split: Split,
    seed: int,
    pixels: PixelCache,
    on_epoch: OnEpoch | None,
) -> Learned:
    from lcc_utils.nn.compiled import out_of_memory_named
    from lcc_utils.nn.training import predict_scores

    fitted = fit_network(settings, cells, split, seed, pixels, on_epoch)
    views = settings.prediction.views
    with out_of_memory_named(settings):
        test = predict_scores(fitted.logits, pixels.array, pixels.rows(split.test), views=views)
    return Learned(
        fitted.validation_scores,
        test,
        {"backbone": settings.model.backbone, **fitted.parameters},
        fitted.history,
        {"epochs": len(fitted.history), "best_epoch": fitted.best_epoch},
        fitted.epoch_seconds,
        fitted.classifier,
    )


def _from_features(
    settings: ExperimentSettings,
    cells: pd.DataFrame,
    split: Split,
    seed: int,
    features: np.ndarray,
) -> Learned:
    """Fit a model on features; score validation cells before a refit, test cells after it."""
    model = fit_features(settings, cells, split, seed, features, refit=False)
    row = {cell: number for number, cell in enumerate(cells["cell_id"])}
    validation = model.scores(features[[row[cell] for cell in split.validation]])
    if settings.training.refit:
        model = fit_features(settings, cells, split, seed, features)
    return Learned(
        validation,
        model.scores(features[[row[cell] for cell in split.test]]),
        {"backbone": settings.model.backbone, "parameters_trainable": model.parameters},
    )


def _labels(
    settings: ExperimentSettings, cells: pd.DataFrame, split: Split, seed: int
) -> np.ndarray:
    """Return the labels to train on, int64 ``(n,)``: those of some training cells are wrong."""
    # pandas heeds no copy=True beside na_value; the table of cells must stay as it is.
    labels = np.array(cells["label"].to_numpy("int64", na_value=-1))
    row = {cell: number for number, cell in enumerate(cells["cell_id"])}
    own = np.array([row[cell] for cell in split.train], np.int64)
    wrong = own[wrong_labels(split.train, settings.training.label_noise, seed)]
    labels[wrong] = 1 - labels[wrong]
    return labels
