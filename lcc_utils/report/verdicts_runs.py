"""Verdicts from experiments: ours against the paper's where the two are the same experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lcc_utils.evaluation.intervals import Interval
from lcc_utils.evaluation.resampling import pooled
from lcc_utils.evaluation.result import Result
from lcc_utils.evaluation.subject_intervals import subject_intervals
from lcc_utils.evaluation.weighted import METRICS
from lcc_utils.report.arithmetic import precision_of_counts
from lcc_utils.report.findings import (
    DIFFERS,
    HOLDS,
    NOT_DETERMINED,
    NOT_RUN,
    Evidence,
    Finding,
    Test,
)
from lcc_utils.report.formatting import MISSING, interval, quantity
from lcc_utils.report.literature import own_figures
from lcc_utils.report.primary_tables import primary_runs
from lcc_utils.report.verdicts_official import official_counts

if TYPE_CHECKING:
    from lcc_utils.report.claims import Claim

# What a run has to be for its numbers to be set against the paper's (paper, section 2).
PAPER_BACKBONE, PAPER_WEIGHTS, PAPER_SIZE, PAPER_PROTOCOL = (
    "efficientnetv2-b3",
    "imagenet",
    384,
    "patient",
)
MONTE_CARLO = ("monte_carlo", "monte_carlo_trained")
# How iterations become one number; the ends are the 2.5th and 97.5th percentiles.
_STATISTICS: dict[str, Callable[[np.ndarray], float]] = {
    "mean": lambda values: float(values.mean()),
    "sd": lambda values: float(values.std(ddof=1)) if values.size > 1 else float("nan"),
    "low": lambda values: float(np.quantile(values, 0.025)),
    "high": lambda values: float(np.quantile(values, 0.975)),
}


def matches_paper(result: Result, cells: pd.DataFrame) -> bool:
    """Tell whether a result comes from the paper's experiment.

    That is: its backbone with ImageNet weights at its resolution, split by patient, on every
    labelled cell of C-NMC 2019. What a record does not say counts as not matching.
    """
    model = result.settings.get("model", {}) | result.record.get("model", {})
    size = result.settings.get("pixels", {}).get("size")
    return (
        cells.attrs.get("dataset") == "c-nmc-2019"
        and model.get("backbone") == PAPER_BACKBONE
        and model.get("weights") == PAPER_WEIGHTS
        and size == PAPER_SIZE
        and result.record.get("split", {}).get("protocol") == PAPER_PROTOCOL
        and int(cells["label"].notna().sum()) == int(official_counts()["cells"].sum())
    )


def _measured(claim: Claim, evidence: Evidence) -> Finding:
    """Judge the paper's test figure by our runs of its experiment; else show the nearest.

    The nearest is the first model of the primary analysis, with its interval over subjects where
    that analysis is whole, else the range of the trainings. No number from drawn cells stands
    beside a figure of the paper.
    """
    results = evidence.results.get("training", [])
    same = [result for result in results if matches_paper(result, evidence.cells)]
    if same:
        return _judged(claim, evidence, _percents(same, claim.measure), _setting(same[0]), True)
    nearest = _nearest(claim, evidence)
    if nearest:
        found, where = nearest
        return Finding(f"nearest: {_shown(found)} %", where, NOT_RUN)
    setting = _setting(results[0]) if results else ""
    return _judged(claim, evidence, _percents(results, claim.measure), setting, False)


def _nearest(claim: Claim, evidence: Evidence) -> tuple[Interval, str] | None:
    """Return what the first model of the primary analysis measured, and on what; None without."""
    whole = _first_of_primary(evidence)
    if not whole or evidence.drawn or claim.measure not in METRICS:
        return None
    found = subject_intervals(pooled(whole), metrics=(claim.measure,))[claim.measure]
    return found, f"{evidence.label}; {_setting(whole[0])}, out-of-fold by subject"


def _first_of_primary(evidence: Evidence) -> list[Result]:
    """Return the parts of the first model of the primary analysis, if all have run."""
    runs = primary_runs(evidence.results)
    return list(runs[0].done) if runs and runs[0].whole else []


def _ablation(claim: Claim, evidence: Evidence) -> Finding:
    """Judge a row of the ablation by our runs of that variant."""
    results = [
        result for result in evidence.results.get("ablation", []) if result.variant == claim.variant
    ]
    same = [result for result in results if matches_paper(result, evidence.cells)]
    chosen = same or results
    setting = _setting(chosen[0]) if chosen else ""
    return _judged(claim, evidence, _percents(chosen, claim.measure), setting, bool(same))


def _monte_carlo(claim: Claim, evidence: Evidence) -> Finding:
    """Judge a number over iterations by subject: one a model, the paper's experiment if there."""
    results = [
        result
        for study in MONTE_CARLO
        for result in evidence.results.get(study, [])
        if result.protocol == PAPER_PROTOCOL
    ]
    same = [result for result in results if matches_paper(result, evidence.cells)]
    by_model: dict[str, list[float]] = {}
    for result in same or results:
        by_model.setdefault(result.variant, []).append(_percent(result, claim.measure))
    reduce = _STATISTICS[claim.statistic]
    values = [reduce(np.array(scores)) for scores in by_model.values()]
    setting = ", ".join(f"{name} ({len(scores)} iterations)" for name, scores in by_model.items())
    return _judged(claim, evidence, values, setting, bool(same))


def _count(right: bool) -> Test:
    """Make a test that shows a count of the confusion as a share of its class, beside ours.

    The inputs are the two counts of the class; the number of test cells is not ours, so a count
    can be compared as a share alone. ``right`` says whether these cells are called right.
    """

    def test(claim: Claim, evidence: Evidence) -> Finding:
        stated = 100 * float(claim.value) / sum(evidence.numbers(claim))
        nearest = _nearest(claim, evidence)
        if nearest is None:
            return Finding(MISSING, MISSING, NOT_RUN)
        found, where = nearest
        if not right:
            found = Interval(1 - found.estimate, 1 - found.high, 1 - found.low)
        shown = f"stated share {quantity(stated, 'percent', 1)}; nearest: {_shown(found)} %"
        return Finding(shown, where, NOT_RUN)

    return test


def _listed(claim: Claim, _evidence: Evidence) -> Finding:
    """Compare a figure of Table 3 with those that the work itself reports."""
    own = own_figures(claim.id)
    if own.empty:
        return Finding(MISSING, "the work's own report was not at hand", NOT_DETERMINED)
    shown = "; ".join(
        f"{quantity(100 * row.value, 'percent', 2)} ({row.phase}, {row.source})"
        for row in own.itertuples()
    )
    stated = round(float(claim.value) / 100, 6)
    held = (own["value"] - stated).abs().min() < 5e-5
    return Finding(shown, "what the work itself reports", HOLDS if held else DIFFERS)


def _judged(
    claim: Claim, evidence: Evidence, values: Sequence[float], setting: str, same: bool
) -> Finding:
    """Set our values against the claim; those of another experiment leave it open."""
    if not len(values):
        return Finding(MISSING, MISSING, NOT_RUN)
    places = max(claim.places, 1)
    ours = " to ".join(quantity(x, "ratio", places) for x in sorted({min(values), max(values)}))
    computed_on = f"{evidence.label}; {setting}"
    if not same and evidence.drawn:
        return Finding(MISSING, MISSING, NOT_RUN)
    if not same:
        return Finding(f"nearest: {ours} %", computed_on, NOT_RUN)
    low, high = min(values) - claim.tolerance, max(values) + claim.tolerance
    verdict = HOLDS if low <= float(claim.value) <= high else DIFFERS
    return Finding(f"{ours} %", computed_on, verdict)


def _percents(results: Sequence[Result], measure: str) -> list[float]:
    return [_percent(result, measure) for result in results]


def _percent(result: Result, measure: str) -> float:
    found = result.metrics
    if measure == "precision_weighted":
        return precision_of_counts([found[name] for name in ("tn", "fp", "fn", "tp")])
    return 100 * found[measure]


def _shown(found: Interval) -> str:
    """Return shares as percent, the interval where there is one."""
    shares = (found.estimate, found.low, found.high)
    return interval(*(None if np.isnan(share) else f"{100 * share:.1f}" for share in shares))


def _setting(result: Result) -> str:
    model = result.settings.get("model", {}) | result.record.get("model", {})
    size = result.settings.get("pixels", {}).get("size")
    parts = [model.get("backbone"), f"{size} px" if size else None]
    return ", ".join(str(part) for part in parts if part) or "model not named"


TESTS: dict[str, Test] = {
    "measured": _measured,
    "measured_ablation": _ablation,
    "measured_monte_carlo": _monte_carlo,
    "measured_count": _count(right=True),
    "measured_errors": _count(right=False),
    "listed": _listed,
}
