"""How one model scores changed images: a cell is changed in every way, then scored at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from lcc_utils.classical.features import feature_table, vector
from lcc_utils.data.images import PixelCache
from lcc_utils.data.shift_scales import SCALES, SEVERITIES
from lcc_utils.data.shifted_cells import as_input, every_variant
from lcc_utils.evaluation.shifted import UNCHANGED, column, log_odds
from lcc_utils.pipeline.learners import fit_features
from lcc_utils.pipeline.plan import Experiment
from lcc_utils.pipeline.robustness import Compared

__all__ = ["COLUMNS", "Work"]

_AT_ONCE = 8  # Cells scored together.
# What a model takes: its columns, in the order in which a cell's images are made.
COLUMNS = (UNCHANGED, *(column(name, severity) for name in SCALES for severity in SEVERITIES))


class Work:
    """The scores of each model; models on measured features share what was measured."""

    def __init__(self, compared: Compared) -> None:
        self.compared = compared
        self._measured: dict[str, np.ndarray] = {}

    def scores(self, experiment: Experiment, update: Callable[[int], object]) -> pd.DataFrame:
        """Return one row a cell: log-odds of ALL for its image as it is, and under every change.

        Parameters
        ----------
        experiment
            The model, one of those that are compared.
        update
            Called with the number of cells that are done.

        Returns
        -------
        DataFrame
            ``cell_id, subject, label`` and ``COLUMNS``, see ``evaluation.shifted.log_odds``.
        """
        cells = self.compared.cells_of(experiment)
        score, made = (
            self._classical(experiment, cells)
            if experiment.settings.classical
            else self._network(experiment, cells)
        )
        rows, batch = [], []
        for images in made:
            batch.append(images)
            if len(batch) == _AT_ONCE or len(rows) + len(batch) == len(cells):
                found = score(np.concatenate(batch))
                rows += list(found.reshape(len(batch), len(COLUMNS)))
                update(len(batch))
                batch = []
        scores = pd.DataFrame(log_odds(np.array(rows)), columns=list(COLUMNS), index=cells.index)
        return cells[["cell_id", "subject", "label"]].join(scores)

    def _network(
        self, experiment: Experiment, cells: pd.DataFrame
    ) -> tuple[Callable[[np.ndarray], np.ndarray], Iterator[np.ndarray]]:
        from lcc_utils.nn.classifier import logits_model
        from lcc_utils.nn.prediction import predict_scores
        from lcc_utils.pipeline.networks import trained

        run, settings = self.compared.run, experiment.settings
        pixels = PixelCache(run.cells, settings.pixels.size, settings.pixels.crop)
        logits = logits_model(trained(run, experiment, pixels))

        def score(images: np.ndarray) -> np.ndarray:
            return predict_scores(logits, images, np.arange(len(images)), settings.prediction.views)

        return score, every_variant(
            cells, partial(as_input, size=settings.pixels.size, crop=settings.pixels.crop)
        )

    def _classical(
        self, experiment: Experiment, cells: pd.DataFrame
    ) -> tuple[Callable[[np.ndarray], np.ndarray], Iterator[np.ndarray]]:
        run = self.compared.run
        model = fit_features(
            experiment.settings, run.cells, experiment.split, experiment.seed,
            feature_table(run.cells),
        )  # fmt: skip
        return model.scores, self._features(cells)

    def _features(self, cells: pd.DataFrame) -> Iterator[np.ndarray]:
        """Yield the features of each cell's images; measured once for all models."""
        left = cells[~cells["cell_id"].isin(self._measured)]
        made = every_variant(left, vector)
        for cell in cells["cell_id"]:
            if cell not in self._measured:
                self._measured[cell] = next(made)
            yield self._measured[cell]
