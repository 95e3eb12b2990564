"""The linear head on features of a backbone that stays as it is; imports no framework."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcc_utils.errors import DataError

__all__ = ["Head", "fit_head"]

PENALTY = 0.01
TOLERANCE = 1e-4
ITERATIONS = 2000


@dataclass(frozen=True)
class Head:
    """A linear classifier of features.

    Attributes
    ----------
    weights, intercept
        P(ALL) is the logistic function of ``features @ weights + intercept``.
    """

    weights: np.ndarray
    intercept: float

    @property
    def parameters(self) -> int:
        """How many numbers were fitted, one a feature and the intercept."""
        return len(self.weights) + 1

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return P(ALL) of each cell, float64 ``(n,)``, from features ``(n, channels)``."""
        from scipy.special import expit
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return expit(features.astype("float64") @ self.weights + self.intercept)


def fit_head(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> Head:  # noqa: ARG001
    """Fit a logistic regression on standardised features; both classes weigh the same.

    L2 penalty with C = 0.01, chosen by cross-validation over the subjects of fold 0 on random
    features of real cells (.001 and .1 are within .01 of its AUC).

    Parameters
    ----------
    features
        float32 ``(n, channels)``, as ``nn.frozen.frozen_features`` gives them.
    labels
        1 ALL, 0 HEM, ``(n,)``.
    seed
        Changes nothing: the optimum is one, and the search for it starts from zero.

    Returns
    -------
    Head
        The same for the same arguments, whatever the number of threads; one is used.

    Raises
    ------
    DataError
        If the training cells are of one class, or a feature is not finite.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    features, labels = np.asarray(features, np.float64), np.asarray(labels).astype(int)
    _check(features, labels)
    centre, spread = features.mean(axis=0), features.std(axis=0)
    # A unit that never fires has no spread; it must not divide by zero.
    spread[spread == 0] = 1.0
    regression = LogisticRegression(
        C=PENALTY, class_weight="balanced", tol=TOLERANCE, max_iter=ITERATIONS
    )
    with threadpool_limits(1):
        regression.fit((features - centre) / spread, labels)
    weights = regression.coef_[0] / spread
    return Head(weights, float(regression.intercept_[0] - centre @ weights))


def _check(features: np.ndarray, labels: np.ndarray) -> None:
    if len(set(labels.tolist())) < 2:
        raise DataError(
            f"The linear head cannot be trained: its {len(labels):,} training cells are of one "
            "class, and it needs ALL and HEM. Choose another split."
        )
    faulty = np.count_nonzero(~np.isfinite(features).all(axis=1))
    if faulty:
        raise DataError(
            f"The linear head cannot be trained: {faulty:,} training cell(s) have a feature that "
            "is not finite. Set precision to float32, and remove frozen-*.array from the cache."
        )
