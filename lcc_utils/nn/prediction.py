"""Scores of cells from a trained network."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from scipy.special import expit

from lcc_utils.errors import DataError
from lcc_utils.nn.batches import prediction_batches
from lcc_utils.nn.keras_settings import keras_settings

__all__ = ["predict", "predict_scores", "scores_of"]

PREDICTION_BATCH = 128


def predict_scores(
    logits: keras.Model, pixels: np.ndarray, rows: np.ndarray, views: int = 1
) -> np.ndarray:
    """Return P(ALL) of some cells, float64 ``(n,)``, from a model that ends in logits.

    Parameters
    ----------
    logits
        Input ``(batch, size, size, 3)``, output ``(batch, 2)`` in the order HEM, ALL.
    pixels
        All cells, uint8 ``(n, size, size, 3)``.
    rows
        Which of them.
    views
        P(ALL) is the mean over so many views of a cell: 1, as it is; 4, its quarter turns;
        8, their mirror images too. A cell on a slide has no up and no left.

    Raises
    ------
    DataError
        If a score is not finite.
    """
    total = np.zeros(len(rows))
    for view in range(views):
        total += scores_of(predict(logits, pixels, rows, view))
    if not np.isfinite(total).all():
        raise DataError(
            f"{np.count_nonzero(~np.isfinite(total)):,} of {len(rows):,} cells have a score that "
            "is not finite; lower training.learning_rate, or set precision to float32."
        )
    return total / views


@keras_settings()
def predict(model: keras.Model, pixels: np.ndarray, rows: np.ndarray, view: int = 0) -> Any:
    """Return a model's output for one or more cells: an array, or a list as the model has it.

    ``view`` is that of ``prediction_batches``.
    """
    # Keras' own predict waits a tenth of a second at the end of each call for threads to stop.
    batches = prediction_batches(pixels, rows, PREDICTION_BATCH, view)
    found = [_output(model, images) for images in batches]
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *found)


def _output(model: keras.Model, images: np.ndarray) -> Any:
    """Return the output for a batch; JAX, which compiles for each size, gets whole ones alone."""
    count, missing = len(images), PREDICTION_BATCH - len(images)
    if not missing or keras.backend.backend() != "jax":
        return model.predict_on_batch(images)
    images = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)])
    return keras.tree.map_structure(lambda part: part[:count], model.predict_on_batch(images))


def scores_of(logits: np.ndarray) -> np.ndarray:
    """Return P(ALL) from the two logits, in double precision."""
    return expit(logits[:, 1].astype("float64") - logits[:, 0].astype("float64"))
