"""Scaling of scores: maps that are fitted on validation predictions and applied to test ones.

Both maps are straight lines in the logit of the score. Their parameters are those of maximum
likelihood, found as roots of its derivative, so that they are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike, NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.metrics import evaluate
from lcc_utils.evaluation.resampling import pooled
from lcc_utils.evaluation.result import Result

# Scores are kept this far from 0 and 1, so that each has a logit.
CLIP = 1e-6
# Where validation cells separate without an error, the likelihood has no maximum: the slope, for
# one standard deviation of the logits, ends here. A temperature also has a least slope.
FLATTEST, STEEPEST = 0.01, 20.0
# Logits that differ by less are all the same.
_SAME = 1e-9
# The scores of ``calibrate``'s tables, by column: as they are, and after each map.
SCALINGS = {"score": "as scored", "temperature": "temperature", "platt": "Platt"}


@dataclass(frozen=True)
class Scaling:
    r"""A map of scores, :math:`p = \sigma(a\,\mathrm{logit}(s) + b)`, with slope a, intercept b."""

    slope: float
    intercept: float = 0.0

    @property
    def temperature(self) -> float:
        """What the logit is divided by, :math:`T = 1 / a`; above 1, scores were too extreme."""
        return 1 / self.slope

    def apply(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Map scores in 0 to 1 to probabilities of the same shape, in 0 to 1."""
        return scipy.special.expit(self.slope * logits(scores) + self.intercept)


@dataclass(frozen=True)
class Calibrated:
    """The parts of a cross-validation by one model, each scaled on its own validation subjects.

    Attributes
    ----------
    validation, test
        Predictions of all parts: ``part`` (from 0), ``subject, label, score, temperature, platt``,
        the last two being the scaled scores; the test also has ``called`` and ``threshold`` as
        in ``resampling.pooled``. A cell may validate in several parts; it is tested once.
    temperatures, platts
        The maps, one a part.
    chosen
        The column that stands for a probability: ``platt`` or ``score``, as
        :func:`choose_scaling` finds it on the validation subjects.
    """

    validation: pd.DataFrame
    test: pd.DataFrame
    temperatures: list[Scaling]
    platts: list[Scaling]
    chosen: str = "platt"

    def by_part(self, choose: Callable[[pd.DataFrame], float]) -> pd.Series:
        """Choose a number on each part's validation cells; return it by part."""
        return pd.Series({part: choose(own) for part, own in self.validation.groupby("part")})


def logits(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the log odds of scores, which are first kept ``CLIP`` away from 0 and 1."""
    return scipy.special.logit(np.clip(np.asarray(scores, float), CLIP, 1 - CLIP))


def fit_temperature(labels: ArrayLike, scores: ArrayLike) -> Scaling:
    r"""Find the temperature under which the labels are most likely.

    :math:`p = \sigma(z / T)` with the logit z of the score; T makes the mean of
    :math:`z (p - y)` zero. It moves every probability towards or away from one half and changes
    neither the order of cells nor the calls at one half, so it cannot mend scores that are all
    too high or too low. Source: Guo et al. (2017), arXiv 1706.04599, section 4.2, where one
    logit for each class is divided by T; with two classes that is the same.

    Parameters
    ----------
    labels
        Shape (n,), 1 for ALL and 0 for HEM, of validation cells.
    scores
        Shape (n,), P(ALL) in 0 to 1.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``; also if there are cells of one class alone.
    """
    truth, z = _checked(labels, scores)
    width = z.std() if np.ptp(z) > _SAME else 1.0
    slope = _root(
        lambda a: float(np.mean(z * (scipy.special.expit(a * z) - truth))),
        FLATTEST / width,
        STEEPEST / width,
    )
    return Scaling(slope)


def fit_platt(labels: ArrayLike, scores: ArrayLike) -> Scaling:
    r"""Find the slope and intercept under which the labels are most likely.

    :math:`p = \sigma(a z + b)` with the logit z of the score: a logistic regression of the label
    on z without a penalty. Source: Platt (1999), who fits the same curve to the outputs of a
    support vector machine; his smoothing of the targets, which guards against separable data, is
    left out, and the slope is bounded instead. It may be below 0, which turns the order of cells
    round, where validation scores are no better than chance. Of scores that are all the same the
    slope is 1.

    Parameters and errors are those of :func:`fit_temperature`.
    """
    truth, z = _checked(labels, scores)
    centre, width = float(z.mean()), float(z.std())
    if np.ptp(z) <= _SAME:
        return Scaling(1.0, float(scipy.special.logit(truth.mean())) - centre)
    u = (z - centre) / width
    slope = _root(
        lambda a: float(np.mean(u * (scipy.special.expit(a * u + _level(u, truth, a)) - truth))),
        -STEEPEST,
        STEEPEST,
    )
    return Scaling(slope / width, _level(u, truth, slope) - slope * centre / width)


def calibrate(results: Iterable[Result]) -> Calibrated:
    """Scale each part of a cross-validation on its own validation cells, and pool the tests.

    Where a part was trained again with its validation subjects, the model that scores the test
    is not the one whose validation scores the maps are fitted on, only one like it.

    Raises
    ------
    DataError
        As in :func:`fit_temperature` and ``resampling.pooled``.
    """
    held = [_held(result) for result in results]
    test = pooled(held)
    validation = [result.validation for result in held]
    temperatures = [fit_temperature(own["label"], own["score"]) for own in validation]
    platts = [fit_platt(own["label"], own["score"]) for own in validation]
    parts = np.repeat(np.arange(len(held)), [len(result.test) for result in held])
    tests = [own for _, own in test.groupby(parts)]
    return Calibrated(
        _scaled(validation, temperatures, platts),
        _scaled(tests, temperatures, platts),
        temperatures,
        platts,
        choose_scaling(validation, platts),
    )


def choose_scaling(validation: Sequence[pd.DataFrame], platts: Sequence[Scaling]) -> str:
    """Choose on validation subjects whether Platt scaling is used: ``platt`` or ``score``.

    Each part's map is tried on the validation subjects of every other part, without those that
    it was fitted on. Platt scaling is chosen if the Brier score over all of these is below that
    of the scores as they are. With one part there is nothing to try it on, and the scores stay.

    Parameters
    ----------
    validation
        ``subject, label, score`` of the validation cells, one table a part.
    platts
        The map of each part.
    """
    raw, scaled = 0.0, 0.0
    for own, line in zip(validation, platts, strict=True):
        for other in validation:
            unseen = other[~other["subject"].isin(own["subject"].unique())]
            raw += float(((unseen["score"] - unseen["label"]) ** 2).sum())
            scaled += float(((line.apply(unseen["score"]) - unseen["label"]) ** 2).sum())
    return "platt" if scaled < raw else "score"


def _held(result: Result) -> Result:
    """Return a result whose predictions are read once."""
    predictions = result.predictions
    return replace(result, read=lambda _: predictions)


def _scaled(
    tables: list[pd.DataFrame], temperatures: list[Scaling], platts: list[Scaling]
) -> pd.DataFrame:
    return pd.concat(
        [
            own.assign(part=n, temperature=warm.apply(own["score"]), platt=line.apply(own["score"]))
            for n, (own, warm, line) in enumerate(zip(tables, temperatures, platts, strict=True))
        ],
        ignore_index=True,
    )


def _level(u: NDArray[np.float64], truth: NDArray[np.int64], slope: float) -> float:
    """Return the intercept at which the mean probability is the share of ALL cells."""
    reach = abs(slope) * float(np.abs(u).max()) + 50
    return float(
        scipy.optimize.brentq(
            lambda b: float(np.mean(scipy.special.expit(slope * u + b) - truth)),
            -reach,
            reach,
            xtol=1e-13,
        )
    )


def _root(change: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function crosses 0, or the end that it does not cross before."""
    if change(low) >= 0:
        return low
    if change(high) <= 0:
        return high
    return float(scipy.optimize.brentq(change, low, high, xtol=1e-13))


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    found = evaluate(labels, scores, 0.5)  # refuses what is no prediction
    if not found["all_cells"] or not found["hem_cells"]:
        raise DataError(
            f"The {found['cells']} validation cells are of one class; scores are scaled on cells "
            "of both: choose a split whose validation has ALL and HEM subjects."
        )
    return np.asarray(labels, np.int64), logits(scores)
