"""How each kind of model learns from a split and scores its cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lcc_utils.classical.models import fit as fit_classical
from lcc_utils.data.images import PixelCache
from lcc_utils.data.label_noise import wrong_labels
from lcc_utils.data.partitions import Split, inner_parts
from lcc_utils.evaluation.metrics import best_weighted_f1
from lcc_utils.nn.settings import ExperimentSettings

if TYPE_CHECKING:
    from lcc_utils.nn.course import OnEpoch
    from lcc_utils.nn.training import Cells, Fitted

# A classical model or a frozen network's head: ``scores(features)`` gives P(ALL).
FeatureModel = Any


@dataclass(frozen=True)
class Learned:
    """What a model gives: scores in the order of the split's cells, and how it came about.

    Attributes
    ----------
    validation, test
        P(ALL) of the cells that choose epoch and threshold, and of the test cells. The former
        are those of ``split.validation`` or, out of fold, of ``split.fitting``.
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
    """Train the model that settings name; score the cells that choose, and the test cells.

    Raises
    ------
    RequestError
        If a class has too few subjects to choose out of fold.
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
) -> Fitted:
    """Train the network of an experiment, its epoch chosen on validation or out of fold.

    Labels that train are turned over as ``training.label_noise`` says.

    Raises
    ------
    RequestError
        If a class has too few subjects to choose out of fold.
    DataError
        If training diverges or runs out of memory.
    """
    from lcc_utils.nn.out_of_fold import fit_out_of_fold
    from lcc_utils.nn.training import Cells, fit

    training = _network_cells(settings, cells, split, seed, pixels)
    known = cells.set_index("cell_id")
    watched = best_weighted_f1, on_epoch
    if settings.out_of_fold:
        own = known.loc[list(split.fitting)]
        parts = inner_parts(own, settings.training.inner)
        truth = own["label"].to_numpy("int64")
        return fit_out_of_fold(settings, pixels.array, training, truth, parts, seed, *watched)
    own = known.loc[list(split.validation)]
    held = Cells(pixels.rows(split.validation), own["label"].to_numpy("int64"))
    return fit(settings, pixels.array, training, held, seed, *watched)


def fit_shuffled(
    settings: ExperimentSettings, cells: pd.DataFrame, split: Split, seed: int, pixels: PixelCache
) -> Any:
    """Train the network of an experiment on shuffled labels for all its epochs; return it.

    Raises
    ------
    DataError
        If training diverges or runs out of memory.
    """
    from lcc_utils.nn.training import train_all

    training = _network_cells(settings, cells, split, seed, pixels)
    labels = np.random.default_rng(seed).permutation(training.labels)
    shuffled = replace(training, labels=labels)
    return train_all(settings, pixels.array, shuffled, seed).classifier


def fit_features(
    settings: ExperimentSettings, cells: pd.DataFrame, split: Split, seed: int, features: np.ndarray
) -> FeatureModel:
    """Fit a classical model, or a frozen network's head, as the experiment tests it.

    Parameters
    ----------
    settings, cells, split, seed
        Those of the experiment.
    features
        One row a cell of ``cells``. Labels are turned over as ``training.label_noise`` says.

    Raises
    ------
    DataError
        If the training cells are of one class, or a feature is not finite.
    """
    rows, labels = _training_rows(settings, cells, split, seed)
    return _fit_rows(settings, features[rows], labels, seed)


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
    """Score the training cells out of fold, by subject, and test cells by a model of all."""
    rows, labels = _training_rows(settings, cells, split, seed)
    parts = inner_parts(cells.iloc[rows], settings.training.inner)
    scores = np.empty(len(rows))
    for part in np.unique(parts):
        held = parts == part
        model = _fit_rows(settings, features[rows[~held]], labels[~held], seed)
        scores[held] = model.scores(features[rows[held]])
    model = _fit_rows(settings, features[rows], labels, seed)
    test = pd.Index(cells["cell_id"]).get_indexer(list(split.test))
    return Learned(
        scores,
        model.scores(features[test]),
        {"backbone": settings.model.backbone, "parameters_trainable": model.parameters},
    )


def _fit_rows(
    settings: ExperimentSettings, features: np.ndarray, labels: np.ndarray, seed: int
) -> FeatureModel:
    if settings.classical:
        return fit_classical(settings.model.backbone, features, labels, seed)
    from lcc_utils.nn.head import fit_head

    return fit_head(features, labels, seed)


def _network_cells(
    settings: ExperimentSettings, cells: pd.DataFrame, split: Split, seed: int, pixels: PixelCache
) -> Cells:
    """Return the cells that the final network trains on, by their rows in the pixels."""
    from lcc_utils.nn.training import Cells

    rows, labels = _training_rows(settings, cells, split, seed)
    own = cells.iloc[rows]
    return Cells(pixels.rows(tuple(own["cell_id"])), labels, own["subject"].to_numpy(str))


def _training_rows(
    settings: ExperimentSettings, cells: pd.DataFrame, split: Split, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the cells that the final model trains on, and the labels to train on.

    The cells are in the order of ``split.fitting`` or ``split.train``; some labels may be wrong.
    """
    ids = split.fitting if settings.out_of_fold else split.train
    rows = pd.Index(cells["cell_id"]).get_indexer(list(ids))
    # pandas heeds no copy=True beside na_value; the table of cells must stay as it is.
    labels = np.array(cells["label"].to_numpy("int64", na_value=-1))[rows]
    wrong = wrong_labels(ids, settings.training.label_noise, seed)
    labels[wrong] = 1 - labels[wrong]
    return rows, labels
