"""Logistic regression, gradient boosting and plain cell area, on measured features of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lcc_utils.errors import DataError, RequestError

__all__ = ["CLASSICAL", "Fitted", "fit"]

CLASSICAL = ("logistic_regression", "gradient_boosting", "cell_area")

_PENALTY = 0.1
_LEVELS = 63
_BOOSTING = {
    "max_iter": 150,
    "learning_rate": 0.06,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 40,
    "l2_regularization": 1.0,
    "max_features": 0.3,
    "max_bins": _LEVELS,
    "early_stopping": False,
}


@dataclass(frozen=True)
class Fitted:
    """A classical model after training.

    Attributes
    ----------
    name
        One of ``CLASSICAL``.
    parameters
        Number of fitted numbers: coefficients and intercept; for boosting, the leaves' values,
        the thresholds of the splits, and the value that boosting starts from.
    """

    name: str
    parameters: int
    _estimator: Any
    _columns: tuple[int, ...]

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return P(ALL) of each cell, float64 ``(n,)``.

        Parameters
        ----------
        features
            float64 ``(n, len(FEATURES))``, as ``classical.features.feature_table`` gives it.
        """
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return self._estimator.predict_proba(features[:, list(self._columns)])[:, 1]


def fit(name: str, features: np.ndarray, labels: np.ndarray, seed: int) -> Fitted:
    """Train a classical model; both classes weigh the same.

    Parameters
    ----------
    name
        ``logistic_regression``: features standardised, L2 penalty with C = 0.1; the seed changes
        nothing. ``gradient_boosting``: 150 trees of 8 leaves (histogram-based, as in LightGBM)
        on 63 levels of each feature,
        that see 30 % of the features at each split, drawn from the seed. ``cell_area``: logistic
        regression on the area alone.
    features
        float64 ``(n, len(FEATURES))``.
    labels
        1 ALL, 0 HEM, ``(n,)``.
    seed
        Seed of the random part.

    Returns
    -------
    Fitted
        The same for the same arguments, whatever the number of threads; one is used.

    Raises
    ------
    RequestError
        If there is no classical model of this name.
    DataError
        If the training cells are of one class, or a feature is not finite.
    """
    from threadpoolctl import threadpool_limits

    if name not in CLASSICAL:
        raise RequestError(
            f"There is no classical model {name!r}; choose one of {', '.join(CLASSICAL)}."
        )
    features, labels = np.asarray(features, np.float64), np.asarray(labels).astype(int)
    _check(name, features, labels)
    columns = _columns(name, features.shape[1])
    estimator = _Boosting(seed) if name == "gradient_boosting" else _regression()
    with threadpool_limits(1):
        estimator.fit(features[:, list(columns)], labels)
    return Fitted(name, _parameters(name, estimator), estimator, columns)


def _check(name: str, features: np.ndarray, labels: np.ndarray) -> None:
    present = sorted(set(labels.tolist()))
    if present != [0, 1]:
        classes = " and ".join({0: "HEM", 1: "ALL"}.get(one, str(one)) for one in present)
        raise DataError(
            f"{name} cannot be trained: its {len(labels):,} training cells are all "
            f"{classes or 'missing'}, and it needs ALL and HEM. Choose another split."
        )
    faulty = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(faulty):
        raise DataError(
            f"{name} cannot be trained: {len(faulty):,} training cell(s) have a feature that is "
            f"not finite, the first in row {faulty[0]}. Remove the feature table from the cache."
        )


def _columns(name: str, width: int) -> tuple[int, ...]:
    from lcc_utils.classical.features import FEATURES

    return (FEATURES.index("area"),) if name == "cell_area" else tuple(range(width))


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(),
        LogisticRegression(C=_PENALTY, class_weight="balanced", max_iter=5000),
    )


class _Boosting:
    """Boosted trees on features cut into levels, each with as many training cells as another.

    Scikit-learn cuts features by itself, but with class weights it takes seconds for that.
    """

    def __init__(self, seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier

        self.trees = HistGradientBoostingClassifier(
            class_weight="balanced", random_state=seed, **_BOOSTING
        )

    def fit(self, features: np.ndarray, labels: np.ndarray) -> None:
        shares = np.linspace(0, 1, _LEVELS + 1)[1:-1]
        self._cuts = np.quantile(features, shares, axis=0)
        self.trees.fit(self._levels(features), labels)

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return self.trees.predict_proba(self._levels(features))

    def _levels(self, features: np.ndarray) -> np.ndarray:
        columns = zip(self._cuts.T, features.T, strict=True)
        return np.stack([np.searchsorted(cuts, own) for cuts, own in columns], axis=1)


def _parameters(name: str, estimator: Any) -> int:
    if name != "gradient_boosting":
        return estimator[-1].coef_.size + estimator[-1].intercept_.size
    leaves = [tree.get_n_leaf_nodes() for trees in estimator.trees._predictors for tree in trees]
    return sum(2 * count - 1 for count in leaves) + 1
