"""The networks of a run's experiments, trained again from their seeds and kept in the run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from lcc_utils.data.cache import write_atomic
from lcc_utils.data.images import PixelCache
from lcc_utils.pipeline.learners import fit_network
from lcc_utils.pipeline.plan import Experiment
from lcc_utils.pipeline.run import Run

__all__ = ["trained", "untrained"]

# Seed of what replaces the weights of a trained network.
FRESH = 1810
FOLDER = "weights"


def trained(run: Run, experiment: Experiment, pixels: PixelCache, shuffled: bool = False) -> Any:
    """Return the network of an experiment with its trained weights, in float32.

    The same seed gives the same weights; they are kept in the run, and are no part of an edition.

    Parameters
    ----------
    run, experiment
        The run, and one of its experiments that trains a network.
    pixels
        Every cell's pixels, as that experiment takes them.
    shuffled
        Trained on shuffled labels instead. Since no epoch can then be the best, the last is kept.

    Raises
    ------
    DataError
        If training diverges or runs out of memory.
    """
    path = run.folder / FOLDER / f"{experiment.key}{'-s' * shuffled}.npz"
    if not path.exists():
        _keep(path, _weights(run, experiment, pixels, shuffled))
    classifier = untrained(experiment)
    with np.load(path) as kept:
        classifier.set_weights([kept[name] for name in kept.files])
    return classifier


def untrained(experiment: Experiment, seed: int = FRESH) -> Any:
    """Return the network of an experiment as it is initialised."""
    from lcc_utils.nn.classifier import build_classifier

    model = experiment.settings.model
    return build_classifier(
        model.backbone,
        experiment.settings.pixels.size,
        attention=model.attention,
        reduction=model.reduction,
        weights="none",
        seed=seed,
    )


def _weights(
    run: Run, experiment: Experiment, pixels: PixelCache, shuffled: bool
) -> list[np.ndarray]:
    settings = experiment.settings
    if shuffled:
        course = settings.training.model_copy(
            update={"selection": "last", "refit": False, "patience": settings.training.epochs}
        )
        settings = settings.model_copy(update={"training": course})
    fitted = fit_network(
        settings, run.cells, experiment.split, experiment.seed, pixels, shuffled=shuffled
    )
    return fitted.classifier.get_weights()


def _keep(path: Path, weights: list[np.ndarray]) -> None:
    content = io.BytesIO()
    np.savez(content, **{f"w{number:04d}": one for number, one in enumerate(weights)})
    write_atomic(path, content.getvalue())
