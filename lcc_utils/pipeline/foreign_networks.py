"""The networks of the study of robustness, and what each says of a cell that it may not know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lcc_utils.data.images import PixelCache
from lcc_utils.data.photographs import prepared
from lcc_utils.evaluation.novelty import (
    Neighbours,
    Novelty,
    energy,
    fit_neighbours,
    fit_novelty,
)
from lcc_utils.evaluation.result import Result
from lcc_utils.pipeline.model_files import FEATURES, LOGITS
from lcc_utils.pipeline.networks import trained
from lcc_utils.pipeline.plan import Experiment
from lcc_utils.pipeline.run import Run, finished

__all__ = ["STUDY", "Judge", "judges", "names_of", "networks_of"]

STUDY = "robustness"


@dataclass(frozen=True)
class Judge:
    """A trained network with what its training cells look like to it.

    Attributes
    ----------
    name
        How tables call it.
    experiment, threshold
        Where it comes from, and from which score on a cell is called ALL.
    network
        Images to features and logits.
    novelty, neighbours
        Fitted to the features of training cells.
    pixels
        Every cell of the run, as the network takes them.
    """

    name: str
    experiment: Experiment
    threshold: float
    network: Any
    novelty: Novelty
    neighbours: Neighbours
    pixels: PixelCache

    def of_cells(self, ids: tuple[str, ...]) -> pd.DataFrame:
        """Judge cells of the run: see :meth:`of_images`."""
        return self._judged(self.pixels.array, self.pixels.rows(ids))

    def of_frames(self, frames: list[np.ndarray]) -> pd.DataFrame:
        """Judge frames of 450 px, cropped and resized as in training: see :meth:`of_images`."""
        wanted = self.experiment.settings.pixels
        return self.of_images(np.stack([prepared(one, wanted.size, wanted.crop) for one in frames]))

    def of_images(self, images: np.ndarray) -> pd.DataFrame:
        """Judge images, uint8 ``(n, size, size, 3)``.

        Returns
        -------
        DataFrame
            ``score``, P(ALL) over the views of the experiment; ``called``, 1 where it reaches the
            threshold; ``energy``, ``distance`` and ``neighbours`` of the image as it is (see
            ``evaluation.novelty``).
        """
        return self._judged(images, np.arange(len(images)))

    def _judged(self, pixels: np.ndarray, rows: np.ndarray) -> pd.DataFrame:
        from lcc_utils.nn.prediction import predict, scores_of

        features, logits = predict(self.network, pixels, rows)
        views = self.experiment.settings.prediction.views
        scores = scores_of(logits)
        for view in range(1, views):
            scores = scores + scores_of(predict(self.network, pixels, rows, view)[1])
        scores = scores / views
        return pd.DataFrame(
            {"model": self.name, "score": scores, "called": (scores >= self.threshold).astype(int)}
            | {"energy": energy(logits), "distance": self.novelty.distance(features)}
            | {"neighbours": self.neighbours.distance(features)}
        )


def networks_of(run: Run) -> list[tuple[Experiment, Result]]:
    """Return the networks of the study's first split that have a result; none without the study."""
    if STUDY not in run.config.studies:
        return []
    return [own for own in finished(run, STUDY) if own[0].settings.trains_network]


def names_of(networks: list[tuple[Experiment, Result]]) -> list[str]:
    """Return how tables call networks: by variant, with the seed where there are several."""
    several = len({experiment.seed for experiment, _ in networks}) > 1
    return [f"{one.variant}, seed {one.seed}" if several else one.variant for one, _ in networks]


def judges(run: Run) -> Iterator[Judge]:
    """Yield the networks of the study, each with its weights and fitted to its training cells.

    A network whose weights are not in the run is trained again from its seed.

    Raises
    ------
    DataError
        If pixels cannot be read, or training diverges or runs out of memory.
    """
    found = networks_of(run)
    for name, (experiment, result) in zip(names_of(found), found, strict=True):
        import keras

        from lcc_utils.nn.prediction import predict

        own = experiment.settings.pixels
        pixels = PixelCache(run.cells, own.size, own.crop)
        classifier = trained(run, experiment, pixels)
        outputs = [classifier.get_layer(layer).output for layer in (FEATURES, LOGITS)]
        network = keras.Model(classifier.input, outputs)
        split = experiment.split
        seen = split.fitting if experiment.settings.out_of_fold else split.train
        features, _ = predict(network, pixels.array, pixels.rows(seen))
        yield Judge(
            name, experiment, float(result.metrics["threshold"]), network,
            fit_novelty(features), fit_neighbours(features), pixels,
        )  # fmt: skip
