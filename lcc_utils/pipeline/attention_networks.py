"""The networks whose maps are drawn, with their weights kept in the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lcc_utils.data.cache import write_atomic
from lcc_utils.pipeline.attention import Chosen
from lcc_utils.pipeline.attention_files import FOLDER
from lcc_utils.pipeline.learners import fit_network
from lcc_utils.pipeline.plan import Experiment

# Seed of what replaces the weights of a trained network.
FRESH = 1810


def network(chosen: Chosen, number: int, shuffled: bool = False) -> Any:
    """Return a network of the study with its trained weights, in float32.

    Parameters
    ----------
    chosen
        The study.
    number
        Which of its experiments.
    shuffled
        Trained on shuffled labels instead. Since no epoch can then be the best, the last is kept.
    """
    experiment = chosen.experiments[number]
    path = chosen.run.folder / FOLDER / "weights" / f"{experiment.key}{'-s' * shuffled}.npz"
    if not path.exists():
        _keep(path, _trained(chosen, experiment, shuffled))
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


def _trained(chosen: Chosen, experiment: Experiment, shuffled: bool) -> list[np.ndarray]:
    settings = experiment.settings
    if shuffled:
        course = settings.training.model_copy(
            update={"selection": "last", "refit": False, "patience": settings.training.epochs}
        )
        settings = settings.model_copy(update={"training": course})
    fitted = fit_network(
        settings, chosen.run.cells, experiment.split, experiment.seed, chosen.pixels,
        shuffled=shuffled,
    )  # fmt: skip
    return fitted.classifier.get_weights()


def _keep(path: Path, weights: list[np.ndarray]) -> None:
    import io

    content = io.BytesIO()
    np.savez(content, **{f"w{number:04d}": one for number, one in enumerate(weights)})
    write_atomic(path, content.getvalue())
