"""Tests over repeated random splits, of which each shares most of its subjects with the others.

``naive_t`` takes splits, and ``delong`` takes cells, for independent: they stand here as the
contrast to ``corrected_t`` and to intervals over subjects (``subject_intervals``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike, NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.intervals import (
    LEVEL,
    SHARE,
    Interval,
    clopper_pearson,
    remark,
)
from lcc_utils.evaluation.metrics import checked, evaluate
from lcc_utils.evaluation.ranks import ranks


@dataclass(frozen=True)
class TTest:
    """A t test of a mean against 0: two-sided p, and the interval of the mean at ``LEVEL``."""

    mean: float
    sd: float
    t: float
    df: int
    p: float
    low: float
    high: float


class DeLong(NamedTuple):
    """Two AUC in 0 to 1, the normal deviate of their difference and its two-sided p."""

    auc_a: float
    auc_b: float
    z: float
    p: float


def naive_t(differences: ArrayLike) -> TTest:
    """Student's t test of J differences against 0, as if they were independent.

    On repeated random splits they are not; see :func:`corrected_t`. Errors are the same.
    """
    return _t_test(differences, 0.0)


def corrected_t(differences: ArrayLike, n_train: float, n_test: float) -> TTest:
    """Corrected resampled t test of J differences over random splits of one set of units.

    With sd the standard deviation (J - 1) of the differences, t = mean / (sd sqrt(1 / J +
    n_test / n_train)) on J - 1 degrees of freedom. For instance .01, .02, .03, .04 with 30
    training and 10 test subjects: mean .025, sd .01291, t = .025 / (.01291 sqrt(1/4 + 1/3))
    = 2.535. Source: Nadeau and Bengio (2003), Inference for the generalization error, Machine
    Learning 52, 239-281, the corrected resampled t-test.

    Parameters
    ----------
    differences
        Shape (J,), one a split. Values of one model will do, for the interval of their mean.
    n_train, n_test
        The numbers of units in training and in test: of subjects, where splits are by subject.

    Raises
    ------
    DataError
        If there are fewer than two differences, one is not a number, or a count is not above 0.
        Differences all alike are no error: p is 1 if they are 0, and else 0, with t infinite.
    """
    if not (n_train > 0 and n_test > 0):
        raise DataError(
            f"The corrected test got {n_train} training and {n_test} test units; both numbers "
            "must be above 0: check the split in experiment.json."
        )
    return _t_test(differences, n_test / n_train)


def corrected_interval(
    values: ArrayLike,
    n_train: float,
    n_test: float,
    bounds: tuple[float, float] = SHARE,
) -> Interval:
    """Give the mean of a metric over random splits with its interval, which stays in bounds.

    The standard error is that of :func:`corrected_t`, taken to the logit scale by the derivative
    at the mean; the interval is mapped back. A mean at an end of the range has no interval.
    """
    found = corrected_t(values, n_train, n_test)
    low, width = bounds[0], bounds[1] - bounds[0]
    place = (found.mean - low) / width
    if not 0 < place < 1:
        return Interval(found.mean, np.nan, np.nan, note="no interval: every value is the same")
    half = (found.high - found.mean) / width / (place * (1 - place))
    centre = scipy.special.logit(place)
    ends = (low + width * float(scipy.special.expit(centre + s * half)) for s in (-1, 1))
    return Interval(found.mean, *ends)


def running(
    values: ArrayLike, n_train: float | None = None, n_test: float | None = None
) -> pd.DataFrame:
    """Give the mean of the first n values for every n: ``n, mean, low, high``.

    The ends are those of :func:`corrected_interval` from two values on, where the counts of
    training and test units are given, and else nan.
    """
    values = np.asarray(values, float)
    counts = np.arange(1, values.size + 1)
    table = pd.DataFrame({"n": counts, "mean": np.cumsum(values) / counts})
    table["low"], table["high"] = np.nan, np.nan
    if n_train is not None and n_test is not None:
        for n in counts[1:]:
            found = corrected_interval(values[:n], n_train, n_test)
            table.loc[n - 1, ["low", "high"]] = found.low, found.high
    return table


def delong(labels: ArrayLike, a: ArrayLike, b: ArrayLike) -> DeLong:
    """Compare two AUC on the same cells by DeLong's test: the naive contrast.

    It takes cells for independent, which cells of one subject are not, so its p is too small.
    Source: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44; computed from midranks as in
    Sun and Xu (2014), IEEE Signal Processing Letters 21.

    Parameters
    ----------
    labels
        Shape (n,), 1 for ALL and 0 for HEM.
    a, b
        Shape (n,), the two models' scores in 0 to 1.

    Raises
    ------
    DataError
        As in ``metrics.evaluate``, or with fewer than two cells of a class.
    """
    labels, scores = np.asarray(labels), [np.asarray(model, float) for model in (a, b)]
    aucs = [float(evaluate(labels, model, 0.5)["auc"]) for model in scores]
    least = min(np.count_nonzero(labels == 1), np.count_nonzero(labels == 0))
    if least < 2:
        raise DataError(f"DeLong's test needs two cells of each class, and one class has {least}.")
    (all_a, hem_a), (all_b, hem_b) = (_components(labels, model) for model in scores)
    variance = sum(
        np.var(one - other, ddof=1) / one.size for one, other in ((all_a, all_b), (hem_a, hem_b))
    )
    z = _ratio(aucs[0] - aucs[1], float(np.sqrt(variance)))
    return DeLong(*aucs, z, float(2 * scipy.special.ndtr(-abs(z))))


def auc_interval(labels: ArrayLike, scores: ArrayLike) -> Interval:
    """Give an AUC over independent observations, such as one score a subject, with its interval.

    The variance is DeLong's, taken to the logit scale by the derivative at the AUC; t has the
    observations of the smaller class less one as degrees of freedom. An AUC of 0 or 1 has the
    exact interval of a share of the smaller class; see ``intervals.of_values``.

    Parameters and errors are those of :func:`delong`, with one score an observation.
    """
    truth, score = checked(labels, scores)
    auc = float(evaluate(truth, score, 0.5)["auc"])
    note, enough = remark(truth)
    if not enough or np.isnan(auc):
        return Interval(auc, np.nan, np.nan, note=note)
    least = int(np.bincount(truth).min())
    if auc in (0.0, 1.0):
        return Interval(auc, *clopper_pearson(least if auc else 0, least), note=note)
    variance = sum(np.var(own, ddof=1) / own.size for own in _components(truth, score))
    half = float(scipy.special.stdtrit(least - 1, (1 + LEVEL) / 2)) * float(np.sqrt(variance))
    half /= auc * (1 - auc)
    ends = (scipy.special.expit(scipy.special.logit(auc) + sign * half) for sign in (-1, 1))
    return Interval(auc, *(float(end) for end in ends), note=note)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p for the number of comparisons by Holm's step-down method; nan stay, and count not.

    Raises
    ------
    DataError
        If a p is outside 0 to 1.
    """
    from statsmodels.stats.multitest import multipletests

    p = np.asarray(p_values, float)
    tested = ~np.isnan(p)
    if ((p[tested] < 0) | (p[tested] > 1)).any():
        raise DataError("A p value is outside 0 to 1; p values of tests are expected.")
    adjusted = np.full(p.shape, np.nan)
    if tested.any():
        adjusted[tested] = multipletests(p[tested], method="holm")[1]
    return adjusted


def false_positive_rates(
    datasets: int = 400,
    iterations: int = 30,
    seed: int = 0,
    subjects: tuple[int, int] = (24, 12),
) -> dict[str, float]:
    """Simulate two equal models on overlapping splits: how often each test finds p below .05.

    A data set has some ALL and HEM ``subjects``, ten cells each. A cell has five features for
    each of two learners: the class, the subject and the cell add to each (standard deviations of
    subject and cell 1, classes 1 apart), all independently, so the learners are equal by
    symmetry. In every iteration a random quarter of each class's subjects is the test; both
    learners (nearest class mean) are fitted to the rest, and the difference of their test AUC is
    noted. Both t tests are then applied to the differences of each data set.

    Returns
    -------
    dict
        ``naive t`` and ``corrected t`` (by subjects): shares of data sets, in 0 to 1.
    """
    rng = np.random.default_rng(seed)
    test = [round(n / 4) for n in subjects]
    found = {"naive t": 0, "corrected t": 0}
    for _ in range(datasets):
        differences = _null_differences(subjects, test, iterations, rng)
        found["naive t"] += naive_t(differences).p < 0.05
        n_train, n_test = sum(subjects) - sum(test), sum(test)
        found["corrected t"] += corrected_t(differences, n_train, n_test).p < 0.05
    return {name: count / datasets for name, count in found.items()}


def _t_test(values: ArrayLike, shared: float) -> TTest:
    """T test with the variance of a mean of J taken as sd^2 (1 / J + shared)."""
    values = np.asarray(values, float)
    if values.ndim != 1 or values.size < 2 or not np.isfinite(values).all():
        raise DataError(
            f"A t test needs at least two numbers and got {values.size}, of which "
            f"{int(np.isfinite(values).sum())} are finite; run more iterations."
        )
    mean, df = float(values.mean()), values.size - 1
    # Equal values may leave a rounding error as their deviation.
    sd = float(values.std(ddof=1)) if np.ptp(values) > 0 else 0.0
    error = sd * float(np.sqrt(1 / values.size + shared))
    t = _ratio(mean, error)
    half = float(scipy.special.stdtrit(df, (1 + LEVEL) / 2)) * error
    return TTest(
        mean, sd, t, df, float(2 * scipy.special.stdtr(df, -abs(t))), mean - half, mean + half
    )


def _ratio(difference: float, error: float) -> float:
    if error == 0:
        return float(np.copysign(np.inf, difference)) if difference else 0.0
    return difference / error


def _components(
    labels: NDArray[np.int64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each ALL cell the share of HEM cells below, for each HEM cell that of ALL cells above."""
    positive, negative = scores[labels == 1], scores[labels == 0]
    together = ranks(np.concatenate([positive, negative]))
    below = together[: positive.size] - ranks(positive)
    not_above = together[positive.size :] - ranks(negative)
    return below / negative.size, 1 - not_above / positive.size


def _null_differences(
    subjects: Sequence[int], test: Sequence[int], iterations: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Differences of AUC of two equal learners over random splits of one simulated data set."""
    tested, means = [], []
    for shift, (n, n_test) in enumerate(zip(subjects, test, strict=True)):
        # Axes: learner, subject, cell, feature. HEM lies higher; the direction takes care of it.
        cells = shift + rng.normal(size=(2, n, 1, 5)) + rng.normal(size=(2, n, 10, 5))
        order = rng.permuted(np.tile(np.arange(n), (iterations, 1)), axis=1)
        means.append(cells.mean(axis=2)[:, order[:, n_test:]].mean(axis=2))
        tested.append(cells[:, order[:, :n_test]].reshape(2, iterations, -1, 5))
    direction = means[0] - means[1]
    positive, negative = (np.einsum("lics,lis->lic", part, direction) for part in tested)
    auc = (positive[..., :, None] > negative[..., None, :]).mean(axis=(2, 3))
    return auc[0] - auc[1]
