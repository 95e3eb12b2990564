"""How far a cell lies from those that a model has learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.neighbors import NearestNeighbors

__all__ = ["Neighbours", "Novelty", "energy", "fit_neighbours", "fit_novelty", "unsureness"]

RANK = 32
# As Sun et al. take it for training sets of the size of C-NMC.
NEIGHBOURS = 50
# Of the largest variance: no direction counts as narrower than this.
_NARROWEST = 1e-6


@dataclass(frozen=True)
class Novelty:
    r"""A normal distribution of features, its covariance shrunk to a few directions.

    Attributes
    ----------
    mean
        Shape (d,).
    axes
        Shape (k, d): the directions of largest variance.
    variances
        Shape (k,): the variance along each.
    residual
        The variance along every other direction, one for all.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    variances: NDArray[np.float64]
    residual: float

    def distance(self, features: NDArray) -> NDArray[np.float64]:
        r"""Return the Mahalanobis distance of each row, shape (n,), at least 0.

        :math:`d^2 = \sum_k z_k^2 / \lambda_k + |r|^2 / \sigma^2`, with the coordinates z along
        the axes and the rest r. It is without unit: among cells like those of the fit, its square
        is about the number of features.
        """
        off = np.asarray(features, float) - self.mean
        along = off @ self.axes.T
        rest = np.maximum((off**2).sum(axis=1) - (along**2).sum(axis=1), 0.0)
        return np.sqrt((along**2 / self.variances).sum(axis=1) + rest / self.residual)


@dataclass(frozen=True)
class Neighbours:
    """Features of training cells, each of length 1.

    Attributes
    ----------
    search
        Finds the nearest of them.
    """

    search: NearestNeighbors

    def distance(self, features: NDArray) -> NDArray[np.float64]:
        """Return each row's distance to its k-th nearest training cell, shape (n,), in 0 to 2."""
        return self.search.kneighbors(_of_length_one(features))[0][:, -1]


def fit_novelty(features: NDArray, rank: int = RANK) -> Novelty:
    """Describe the features of training cells, shape (n, d) with n of at least 2.

    The covariance is that of probabilistic principal components (Tipping and Bishop 1999): the
    `rank` largest variances as they are, the mean of the others for all the rest. So it can be
    inverted with few cells, and is small on disk whatever the network. Source of the distance:
    Lee et al. (2018), arXiv 1807.03888, section 2.1, here with one mean for both classes.
    """
    values = np.asarray(features, float)
    mean = values.mean(axis=0)
    _, singular, rows = np.linalg.svd(values - mean, full_matrices=False)
    variances = singular**2 / (len(values) - 1)
    floor = max(float(variances[0]) * _NARROWEST, np.finfo(float).tiny)
    kept = min(rank, len(variances))
    others = values.shape[1] - kept
    residual = float(variances[kept:].sum()) / others if others else floor
    # A direction's sign is arbitrary; the distance does not depend on it.
    return Novelty(mean, rows[:kept], np.maximum(variances[:kept], floor), max(residual, floor))


def fit_neighbours(features: NDArray, neighbours: int = NEIGHBOURS) -> Neighbours:
    """Keep the features of training cells, shape (n, d); of fewer than k cells, the last counts.

    Nothing is assumed of how they are distributed. Source: Sun et al. (2022), arXiv 2204.06507,
    section 3.
    """
    from sklearn.neighbors import NearestNeighbors

    values = _of_length_one(features)
    search = NearestNeighbors(n_neighbors=min(neighbours, len(values)), algorithm="brute")
    return Neighbours(search.fit(values))


def energy(logits: NDArray) -> NDArray[np.float64]:
    """Return the energy of each row of logits: the lower, the more the network has seen its like.

    ``-log(exp(HEM) + exp(ALL))``. Source: Liu et al. (2020), arXiv 2010.03759, section 3.1.
    """
    return -scipy.special.logsumexp(np.asarray(logits, float), axis=1)


def unsureness(scores: NDArray) -> NDArray[np.float64]:
    """Return how far the larger of the two probabilities is from 1, in 0 to .5.

    The usual baseline, one less the maximum of the softmax: Hendrycks and Gimpel (2017), arXiv
    1610.02136.
    """
    score = np.asarray(scores, float)
    return np.minimum(score, 1 - score)


def _of_length_one(features: NDArray) -> NDArray[np.float64]:
    values = np.asarray(features, float)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), np.finfo(float).tiny)
