"""Simulation: how often intervals over subjects hold the truth.

A cell's score is, on the logit scale, the mean of its class plus an effect of its subject plus
noise of variance 1. Sizes of subjects and effects are drawn as a scenario says, the class means
lie so far apart that the AUC is the scenario's, and one threshold gives the stated sensitivity.
The effects do not depend on the sizes, so both estimands have the same AUC, sensitivity and
specificity. Every method sees the same data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from lcc_utils.evaluation.intervals import LEVEL, effective_number, leave_one_out, of_values
from lcc_utils.evaluation.resampling import resample
from lcc_utils.evaluation.subject_intervals import BY_CELLS, ESTIMANDS
from lcc_utils.evaluation.weighted import Cells, measure

METRICS = ("auc", "f1_weighted", "sensitivity", "specificity")
METHODS = ("percentile bootstrap", "BCa bootstrap", "jackknife, logit")
# Cells of the subjects in folds 0 and 1 of C-NMC 2019.
ALL_SIZES = (
    280, 92, 99, 9, 84, 103, 97, 142, 92, 11, 201, 212, 181, 352, 155, 145, 113, 219, 253, 190,
    268, 112, 246, 757, 402,
)  # fmt: skip
HEM_SIZES = (47, 185, 789, 162, 69, 119, 108, 36, 373, 405)
SENSITIVITY = 0.88
# Points of a quantile grid over subject effects, by which the truth is computed.
_GRID = 1001


@dataclass(frozen=True)
class Scenario:
    """One setting of the simulation.

    Attributes
    ----------
    name
        What a reader calls it.
    all_sizes, hem_sizes
        Cells of each ALL and of each HEM subject.
    effect
        Standard deviation of the subject effects; that of the noise is 1.
    auc
        The AUC that normal effects give.
    freedom
        Of t-distributed effects, scaled to the same standard deviation; infinite for normal ones.
    """

    name: str
    all_sizes: tuple[int, ...] = ALL_SIZES
    hem_sizes: tuple[int, ...] = HEM_SIZES
    effect: float = 1.0
    auc: float = 0.86
    freedom: float = np.inf

    @property
    def separation(self) -> float:
        """Distance of the class means."""
        return float(scipy.special.ndtri(self.auc)) * np.sqrt(2 * (1 + self.effect**2))

    @property
    def threshold(self) -> float:
        """The threshold of the stated sensitivity under normal effects; HEM has mean 0."""
        spread = np.sqrt(1 + self.effect**2)
        return self.separation - float(scipy.special.ndtri(SENSITIVITY)) * spread


SCENARIOS = (
    Scenario("weak subject effect", effect=0.5),
    Scenario("strong subject effect"),
    Scenario("strong effect, equal sizes", (193,) * 25, (229,) * 10),
    Scenario(
        "strong effect, one subject with half of the HEM cells", hem_sizes=(1150,) + (127,) * 9
    ),
    Scenario("strong effect, five HEM subjects", hem_sizes=HEM_SIZES[:5]),
    Scenario("strong effect, 25 HEM subjects", hem_sizes=ALL_SIZES),
    Scenario("strong effect, AUC .95", auc=0.95),
    Scenario("strong effect with heavy tails (t, 3 df)", freedom=3.0),
)


def truth(scenario: Scenario) -> dict[str, dict[str, float]]:
    """Return the true metrics of a scenario by estimand.

    AUC, sensitivity and specificity are integrals over the subject effects. Weighted F1 is that
    of the expected confusion counts, in which a class weighs by its cells or by its subjects.
    """
    effects = _effects(scenario, (np.arange(_GRID) + 0.5) / _GRID)
    cdf = scipy.special.ndtr
    share = float(cdf(scenario.separation + effects - scenario.threshold).mean())
    specific = float(cdf(scenario.threshold - effects).mean())
    apart = scenario.separation + effects[:, None] - effects
    rates = {"auc": float(cdf(apart / np.sqrt(2)).mean())}
    rates |= {"sensitivity": share, "specificity": specific}
    found = {}
    for estimand in ESTIMANDS:
        sizes = scenario.all_sizes, scenario.hem_sizes
        positive, negative = (sum(s) if estimand == BY_CELLS else len(s) for s in sizes)
        tp, tn = positive * share, negative * specific
        fn, fp = positive - tp, negative - tn
        f1 = positive * 2 * tp / (2 * tp + fp + fn) + negative * 2 * tn / (2 * tn + fp + fn)
        found[estimand] = rates | {"f1_weighted": f1 / (positive + negative)}
    return found


def simulate(scenario: Scenario, rng: np.random.Generator) -> tuple[Cells, NDArray[np.int64]]:
    """Draw one data set; return its cells and the class of each subject, ALL first."""
    sizes = np.array(scenario.all_sizes + scenario.hem_sizes)
    classes = np.repeat([1, 0], [len(scenario.all_sizes), len(scenario.hem_sizes)])
    unit = np.repeat(np.arange(sizes.size), sizes)
    effects = _effects(scenario, rng.random(sizes.size))
    score = (scenario.separation * classes + effects)[unit] + rng.normal(size=unit.size)
    called = (score >= scenario.threshold).astype(np.int64)
    return Cells(classes[unit], score, called, unit), classes


def study(
    scenarios: Sequence[Scenario] = SCENARIOS,
    replicates: int = 1000,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate every scenario and count which intervals hold the truth.

    Parameters
    ----------
    scenarios
        What to simulate.
    replicates
        Data sets of each scenario.
    draws
        Of each bootstrap.
    seed
        Of data sets and draws; a scenario's stream depends on its place alone.

    Returns
    -------
    DataFrame
        One row a scenario, estimand, metric and method: ``truth, replicates, coverage`` (share of
        intervals that hold the truth), ``too_high`` (share that lie wholly above it), ``too_low``,
        ``width`` (mean), and the effective numbers of subjects.
    """
    rows = []
    for place, scenario in enumerate(scenarios):
        rng = np.random.default_rng([seed, place])
        ends = [_intervals(scenario, draws, rng) for _ in range(replicates)]
        rows += _counted(scenario, np.array(ends))
    return pd.DataFrame(rows)


def _effects(scenario: Scenario, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return subject effects at some quantiles."""
    if np.isinf(scenario.freedom):
        return scenario.effect * scipy.special.ndtri(shares)
    scale = scenario.effect / np.sqrt(scenario.freedom / (scenario.freedom - 2))
    return scale * scipy.special.stdtrit(scenario.freedom, shares)


def _intervals(scenario: Scenario, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the ends of all intervals: shape (estimands, metrics, methods, 2)."""
    cells, classes = simulate(scenario, rng)
    sizes, size = np.bincount(cells.unit), classes.size
    weights = np.vstack([leave_one_out(classes), resample(classes, draws, rng)])
    found = np.empty((len(ESTIMANDS), len(METRICS), len(METHODS), 2))
    for i, estimand in enumerate(ESTIMANDS):
        scaled = weights if estimand == BY_CELLS else weights / sizes
        for j, values in enumerate(measure(cells, scaled, METRICS).values()):
            left, drawn = values[: 1 + size], values[1 + size :]
            exact = of_values(left, classes)
            found[i, j] = [
                np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]),
                bca_ends(left, drawn, classes),
                (exact.low, exact.high),
            ]
    return found


def bca_ends(
    left: NDArray[np.float64], drawn: NDArray[np.float64], classes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the ends of the bias-corrected and accelerated bootstrap interval.

    The acceleration is that of several samples, from values with each subject left out. Source:
    Efron and Tibshirani (1993), chapter 14.

    Parameters
    ----------
    left
        As ``values`` of ``intervals.of_values``.
    drawn
        The statistic in every draw.
    classes
        Each subject's class.
    """
    pull = np.concatenate(
        [
            (own.size - 1) / own.size * (own.mean() - own)
            for own in (left[1:][classes == kind] for kind in np.unique(classes))
        ]
    )
    spread = float((pull**2).sum())
    acceleration = float((pull**3).sum()) / (6 * spread**1.5) if spread else 0.0
    below = np.mean(drawn < left[0]) + np.mean(drawn == left[0]) / 2
    bias = scipy.special.ndtri(np.clip(below, 1 / (2 * drawn.size), 1 - 1 / (2 * drawn.size)))
    z = bias + scipy.special.ndtri([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return np.quantile(drawn, scipy.special.ndtr(bias + z / (1 - acceleration * z)))


def _counted(scenario: Scenario, ends: NDArray[np.float64]) -> list[dict[str, object]]:
    """Return a row for each estimand, metric and method."""
    true, rows = truth(scenario), []
    for i, estimand in enumerate(ESTIMANDS):
        for j, metric in enumerate(METRICS):
            for k, method in enumerate(METHODS):
                low, high = ends[:, i, j, k].T
                value = true[estimand][metric]
                rows.append(
                    {
                        "scenario": scenario.name,
                        "all_subjects": len(scenario.all_sizes),
                        "hem_subjects": len(scenario.hem_sizes),
                        "effective_hem": effective_number(scenario.hem_sizes),
                        "estimand": estimand,
                        "metric": metric,
                        "method": method,
                        "truth": value,
                        "replicates": len(ends),
                        "coverage": float(((low <= value) & (value <= high)).mean()),
                        "too_high": float((low > value).mean()),
                        "too_low": float((high < value).mean()),
                        "width": float((high - low).mean()),
                    }
                )
    return rows
