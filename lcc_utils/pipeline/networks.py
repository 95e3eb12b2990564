"""The networks of a run's experiments, with the weights that it keeps."""

from __future__ import annotations

from typing import Any

from lcc_utils.data.images import PixelCache
from lcc_utils.pipeline.learners import fit_network, fit_shuffled
from lcc_utils.pipeline.plan import Experiment
from lcc_utils.pipeline.run import Run
from lcc_utils.pipeline.weights import keep_weights, load_weights, weights_path

__all__ = ["trained", "untrained"]

# Seed of what replaces the weights of a trained network.
FRESH = 1810


def trained(run: Run, experiment: Experiment, pixels: PixelCache, shuffled: bool = False) -> Any:
    """Return the network of an experiment with its trained weights, in float32.

    Where they are not in the run, it is trained from its seed, which gives the same weights, and
    they are kept.

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
    path = weights_path(run.folder, experiment.key, shuffled)
    if not path.exists():
        keep_weights(path, _fitted(run, experiment, pixels, shuffled))
    classifier = untrained(experiment)
    load_weights(path, classifier)
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


def _fitted(run: Run, experiment: Experiment, pixels: PixelCache, shuffled: bool) -> Any:
    own = experiment.settings, run.cells, experiment.split, experiment.seed, pixels
    return fit_shuffled(*own) if shuffled else fit_network(*own).classifier
