"""Intervals over subjects: the delete-one-subject jackknife on the logit scale.

Cells of one subject are alike, so subjects are the independent observations. Every interval over
subjects of this project comes from :func:`of_values`. How often such intervals hold the truth is
simulated in ``evaluation.coverage``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from lcc_utils.evaluation.metrics import CLASSES

LEVEL = 0.95
# Below this many subjects of a class there is no interval; with exactly so many it is exploratory.
LEAST_SUBJECTS = 5
# The least and the largest possible value of shares and areas, and of differences of two of them.
SHARE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)
# An estimate so near to the end of its range is at the end: it differs by rounding alone.
_AT_END = 1e-12


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, in the unit of the estimate.

    Attributes
    ----------
    estimate, low, high
        Without an interval the ends are nan.
    level
        The share of such intervals that is meant to hold the truth.
    note
        Why there is no interval, or that it is exploratory; else empty.
    """

    estimate: float
    low: float
    high: float
    level: float = LEVEL
    note: str = ""


def leave_one_out(classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give every subject a weight of 1, then leave each out in turn.

    ``classes`` has shape (subjects,), the result (1 + subjects, subjects): the first row leaves
    out no one, row i + 1 leaves out subject i.
    """
    size = classes.size
    return np.vstack([np.ones((1, size)), 1.0 - np.eye(size)])


def jackknife(
    measure: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    classes: NDArray[np.int64],
    bounds: tuple[float, float] = SHARE,
    names: Mapping[int, str] = CLASSES,
) -> Interval:
    """Compute a statistic and its interval by leaving out one subject at a time.

    Parameters
    ----------
    measure
        Takes weights of subjects, shape (rows, subjects), and returns the statistic under each
        row, shape (rows,); nan where it is not defined.
    classes
        Each subject's class, shape (subjects,).
    bounds, names
        As in :func:`of_values`.
    """
    return of_values(measure(leave_one_out(classes)), classes, bounds, names=names)


def of_values(
    values: ArrayLike,
    classes: NDArray[np.int64],
    bounds: tuple[float, float] = SHARE,
    level: float = LEVEL,
    names: Mapping[int, str] = CLASSES,
) -> Interval:
    r"""Make the interval of a statistic from its values with each subject left out in turn.

    With g the logit of the statistic's place in its range, the variance is that of two
    independent samples, :math:`v = \sum_c \frac{n_c - 1}{n_c} \sum_{i \in c} (g_{(i)} - \bar
    g_{(c)})^2`, and the interval is :math:`g \pm t \sqrt v`, mapped back; t has the subjects of
    the smaller class less one as degrees of freedom. Source: Arvesen (1969), Annals of
    Mathematical Statistics 40; Efron and Tibshirani (1993), chapter 11.

    A value left out may lie at an end of the range, where the logit is infinite: then the
    deviations are taken on the plain scale and divided by the derivative of the logit. Where the
    estimate itself lies at an end, no deviation says anything. The interval is then the exact one
    of a share in which every subject of the smaller class is right (Clopper and Pearson, 1934).

    Parameters
    ----------
    values
        Shape (1 + subjects,): with all subjects, then without each.
    classes
        Each subject's class, shape (subjects,).
    bounds
        The least and the largest possible value: ``SHARE`` or ``DIFFERENCE``.
    level
        Above 0 and below 1.
    names
        What a class is called in a note.

    Returns
    -------
    Interval
        Without ends, and with a note, where a class has fewer than ``LEAST_SUBJECTS`` subjects
        or the statistic is not defined without one of them.
    """
    values = np.asarray(values, float)
    estimate, without = float(values[0]), values[1:]
    note, enough = remark(classes, names)
    if not enough or np.isnan(estimate):
        return Interval(estimate, np.nan, np.nan, level, note)
    if np.isnan(without).any():
        note = "no interval: not defined without one of the subjects"
        return Interval(estimate, np.nan, np.nan, level, note)
    bottom, top = bounds
    least = int(np.unique(classes, return_counts=True)[1].min())
    place = (estimate - bottom) / (top - bottom)
    if min(place, 1 - place) <= _AT_END:
        ends = clopper_pearson(least if place > 0.5 else 0, least, level)
    else:
        error = _error(place, (without - bottom) / (top - bottom), classes)
        half = float(scipy.special.stdtrit(least - 1, (1 + level) / 2)) * error
        centre = scipy.special.logit(place)
        ends = tuple(float(scipy.special.expit(centre + sign * half)) for sign in (-1, 1))
    low, high = (bottom + (top - bottom) * end for end in ends)
    # Without any spread the way to the logit and back leaves a rounding error.
    return Interval(estimate, min(low, estimate), max(high, estimate), level, note)


def remark(classes: NDArray[np.int64], names: Mapping[int, str] = CLASSES) -> tuple[str, bool]:
    """Say what the smaller class allows: a note, and whether there are enough for an interval."""
    kinds, counts = np.unique(classes, return_counts=True)
    if not counts.size:
        return "no interval: no subjects", False
    least, name = int(counts.min()), names.get(int(kinds[counts.argmin()]), "")
    said = f"{least} {name} {'subject' if least == 1 else 'subjects'}".replace("  ", " ")
    if least < LEAST_SUBJECTS:
        return f"no interval: {said}, {LEAST_SUBJECTS} are needed", False
    return (f"exploratory interval: {said}" if least == LEAST_SUBJECTS else ""), True


def clopper_pearson(right: int, number: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval of a share of independent observations, in 0 to 1.

    It holds the truth at least as often as its level says. Source: Clopper and Pearson (1934),
    Biometrika 26. Without observations it is 0 to 1.
    """
    tail = (1 - level) / 2
    invert = scipy.special.betaincinv
    low = float(invert(right, number - right + 1, tail)) if right else 0.0
    high = float(invert(right + 1, number - right, 1 - tail)) if right < number else 1.0
    return low, high


def effective_number(sizes: ArrayLike) -> float:
    r"""Return how many subjects of equal size would weigh as evenly as these do.

    :math:`(\sum n)^2 / \sum n^2`, at most their number. Source: Kish (1965), Survey Sampling.
    For instance 10 subjects of whom one has as many cells as the other nine together count as
    3.6. Without cells it is 0.
    """
    sizes = np.asarray(sizes, float)
    squares = float((sizes**2).sum())
    return float(sizes.sum()) ** 2 / squares if squares else 0.0


def _error(place: float, without: NDArray[np.float64], classes: NDArray[np.int64]) -> float:
    """Return the standard error on the logit scale, of values in 0 to 1."""
    if min(without.min(), 1 - without.max()) <= _AT_END:
        return _deviation(without, classes) / (place * (1 - place))
    return _deviation(scipy.special.logit(without), classes)


def _deviation(values: NDArray[np.float64], classes: NDArray[np.int64]) -> float:
    variance = 0.0
    for kind in np.unique(classes):
        own = values[classes == kind]
        variance += (own.size - 1) / own.size * float(((own - own.mean()) ** 2).sum())
    return float(np.sqrt(variance))
