"""The functions that give a claim its verdict, from arithmetic, official counts or our results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import lcc_utils.data
from lcc_utils.errors import DataError
from lcc_utils.evaluation.result import Result
from lcc_utils.report.arithmetic import (
    accuracy_of_counts,
    agrees,
    best_epoch,
    differences,
    f1_of_counts,
    least_auc,
    percents_fewer,
    ratios,
    sensitivity_of_counts,
    specificity_of_counts,
    stopped_epoch,
    sums,
)
from lcc_utils.report.formatting import MISSING, quantity

if TYPE_CHECKING:
    from lcc_utils.report.claims import Claim

VERDICTS = ("holds", "differs", "contradicted", "not determined", "not yet run")
OFFICIAL_FILE = Path(lcc_utils.data.__file__).parent / "official.csv"
# What a run has to be for its numbers to be set against the paper's (paper, section 2).
PAPER_BACKBONE, PAPER_WEIGHTS, PAPER_SIZE, PAPER_PROTOCOL = (
    "efficientnetv2-b3",
    "imagenet",
    384,
    "patient",
)
_PAPER, _OFFICIAL = "the paper's own numbers", "official counts of C-NMC 2019"


@dataclass(frozen=True)
class Evidence:
    """What a verdict may rest on: other claims, the run's cells and results, printed history."""

    claims: dict[str, Claim]
    cells: pd.DataFrame
    results: dict[str, list[Result]]
    history: pd.DataFrame

    def numbers(self, claim: Claim) -> list[float]:
        """Return the stated values of a claim's inputs."""
        return [float(self.claims[name].value) for name in claim.inputs]

    @property
    def label(self) -> str:
        """What the run's numbers are computed on."""
        return str(self.cells.attrs.get("label", "data without a name"))


@dataclass(frozen=True)
class Finding:
    """A verdict with what it rests on."""

    ours: str
    computed_on: str
    verdict: str


def matches_paper(result: Result, cells: pd.DataFrame) -> bool:
    """Tell whether a result comes from the paper's experiment.

    That is: its backbone with ImageNet weights at its resolution, split by patient, on every
    labelled cell of C-NMC 2019. What a record does not say counts as not matching.
    """
    model = result.settings.get("model", {}) | result.record.get("model", {})
    size = result.settings.get("pixels", {}).get("size")
    labelled = int(cells["label"].notna().sum())
    return (
        cells.attrs.get("dataset") == "c-nmc-2019"
        and labelled == int(official_counts()["cells"].sum())
        and model.get("backbone") == PAPER_BACKBONE
        and model.get("weights") == PAPER_WEIGHTS
        and size == PAPER_SIZE
        and result.record.get("split", {}).get("protocol") == PAPER_PROTOCOL
    )


@cache
def official_counts() -> pd.DataFrame:
    """Return the official labelled cells: ``patient, phase, fold, class, cells``."""
    try:
        table = pd.read_csv(OFFICIAL_FILE, dtype={"patient": str, "class": str})
    except OSError as error:
        raise DataError(
            f"The official counts {OFFICIAL_FILE} cannot be read; install the package again."
        ) from error
    return table[table["class"].str.upper().isin(["ALL", "HEM"])].assign(
        **{"class": lambda t: t["class"].str.upper()}
    )


def _arithmetic(
    compute: Callable[[Sequence[float]], float],
) -> Callable[[Claim, Evidence], Finding]:
    """Make a test: the claim holds if the computed number rounds to the stated one."""

    def test(claim: Claim, evidence: Evidence) -> Finding:
        ours = compute(evidence.numbers(claim))
        holds = agrees(ours, float(claim.value), claim.places)
        shown = quantity(ours, claim.unit, claim.places)
        return Finding(shown, _PAPER, "holds" if holds else "contradicted")

    return test


def _image_sum(claim: Claim, evidence: Evidence) -> Finding:
    """Add train, validation and test; say what the sum is with the test row halved."""
    train, validation, test = evidence.numbers(claim)
    whole, halved = train + validation + test, train + validation + test / 2
    ours = quantity(whole, claim.unit, 0)
    if whole != claim.value:
        ours += f"; {quantity(halved, claim.unit, 0)} with the test row halved"
    return Finding(ours, _PAPER, "holds" if whole == claim.value else "contradicted")


def _auc(claim: Claim, evidence: Evidence) -> Finding:
    least = least_auc(evidence.numbers(claim))
    possible = float(claim.value) >= least - 0.5 * 10.0**-claim.places
    return Finding(
        f"at least {quantity(least, claim.unit, 2)}",
        _PAPER,
        "holds" if possible else "contradicted",
    )


def _width(claim: Claim, evidence: Evidence) -> Finding:
    high, low = evidence.numbers(claim)
    # To two decimals, as the ends are stated: 99.91 - 99.62 is not .29 in binary.
    width = round(high - low, 2)
    holds = width < float(claim.value)
    return Finding(quantity(width, claim.unit, 2), _PAPER, "holds" if holds else "contradicted")


def _best_epoch(claim: Claim, evidence: Evidence) -> Finding:
    ours = best_epoch(evidence.history)
    verdict = "holds" if ours == claim.value else "contradicted"
    return Finding(str(ours), "the authors' printed history", verdict)


def _stopped_epoch(claim: Claim, evidence: Evidence) -> Finding:
    patience, margin = evidence.numbers(claim)
    ours = stopped_epoch(evidence.history, int(patience), margin / 100)
    verdict = "holds" if ours == claim.value else "contradicted"
    shown = MISSING if ours is None else str(ours)
    return Finding(shown, "the authors' printed history", verdict)


def _official(count: Callable[[pd.DataFrame], int]) -> Callable[[Claim, Evidence], Finding]:
    def test(claim: Claim, _evidence: Evidence) -> Finding:
        ours = count(official_counts())
        verdict = "holds" if ours == claim.value else "contradicted"
        return Finding(quantity(ours, claim.unit, 0), _OFFICIAL, verdict)

    return test


def _patients(name: str | None = None) -> Callable[[Claim, Evidence], Finding]:
    return _official(lambda t: (t if name is None else t[t["class"] == name])["patient"].nunique())


def _cells(name: str | None = None) -> Callable[[Claim, Evidence], Finding]:
    return _official(lambda t: int((t if name is None else t[t["class"] == name])["cells"].sum()))


def _majority(claim: Claim, _evidence: Evidence) -> Finding:
    sums = official_counts().groupby("class")["cells"].sum()
    ours = f"{sums['HEM']:,} HEM, {sums['ALL']:,} ALL"
    verdict = "holds" if sums.idxmax() == claim.value else "contradicted"
    return Finding(ours, _OFFICIAL, verdict)


def _parameters(claim: Claim, evidence: Evidence) -> Finding:
    for result in (
        r for study in ("training", "ablation") for r in evidence.results.get(study, [])
    ):
        model = result.record.get("model", {})
        full = result.variant in ("full", "") or result.study != "ablation"
        if model.get("backbone") == PAPER_BACKBONE and full and "parameters_total" in model:
            ours = model["parameters_total"] / 1e6
            verdict = "holds" if agrees(ours, float(claim.value), claim.places) else "differs"
            return Finding(quantity(ours, claim.unit, 2), "the model as built", verdict)
    return Finding(MISSING, MISSING, "not yet run")


def _measured(study: str) -> Callable[[Claim, Evidence], Finding]:
    """Make a test: the claim holds if it is within its tolerance of the range of our runs."""

    def test(claim: Claim, evidence: Evidence) -> Finding:
        results = [
            result
            for result in evidence.results.get(study, [])
            if claim.variant is None or result.variant == claim.variant
        ]
        same = [result for result in results if matches_paper(result, evidence.cells)]
        chosen = same or results
        values = [100 * result.metrics[claim.measure] for result in chosen]
        setting = _setting(chosen[0]) if chosen else ""
        return _judged(claim, evidence, values, setting, bool(same))

    return test


def _monte_carlo(claim: Claim, evidence: Evidence) -> Finding:
    """Judge a mean over iterations by subject: one a model, of the paper's experiment if there."""
    results = [
        result
        for study in ("monte_carlo", "monte_carlo_trained")
        for result in evidence.results.get(study, [])
        if result.protocol == PAPER_PROTOCOL
    ]
    same = [result for result in results if matches_paper(result, evidence.cells)]
    by_model: dict[str, list[float]] = {}
    for result in same or results:
        by_model.setdefault(result.variant, []).append(100 * result.metrics[claim.measure])
    values = [sum(scores) / len(scores) for scores in by_model.values()]
    setting = ", ".join(f"{name} ({len(scores)} iterations)" for name, scores in by_model.items())
    return _judged(claim, evidence, values, setting, bool(same))


def _judged(
    claim: Claim, evidence: Evidence, values: list[float], setting: str, same: bool
) -> Finding:
    """Set our values against the claim; those of another experiment leave it open."""
    if not values:
        return Finding(MISSING, MISSING, "not yet run")
    ours = " to ".join(quantity(x, "ratio", 1) for x in sorted({min(values), max(values)}))
    computed_on = f"{evidence.label}; {setting}"
    if not same:
        return Finding(f"nearest: {ours} %", computed_on, "not yet run")
    low, high = min(values) - claim.tolerance, max(values) + claim.tolerance
    verdict = "holds" if low <= float(claim.value) <= high else "differs"
    return Finding(f"{ours} %", computed_on, verdict)


def _setting(result: Result) -> str:
    model = result.settings.get("model", {}) | result.record.get("model", {})
    size = result.settings.get("pixels", {}).get("size")
    parts = [model.get("backbone"), f"{size} px" if size else None]
    return ", ".join(str(part) for part in parts if part) or "model not named"


TESTS: dict[str, Callable[[Claim, Evidence], Finding]] = {
    "plain_sum": _arithmetic(sums),
    "image_sum": _image_sum,
    "ratio": _arithmetic(ratios),
    "difference": _arithmetic(differences),
    "percent_fewer": _arithmetic(percents_fewer),
    "width_below": _width,
    "counts_f1": _arithmetic(f1_of_counts),
    "counts_accuracy": _arithmetic(accuracy_of_counts),
    "counts_sensitivity": _arithmetic(sensitivity_of_counts),
    "counts_specificity": _arithmetic(specificity_of_counts),
    "auc_through_counts": _auc,
    "history_best_epoch": _best_epoch,
    "history_stopped_epoch": _stopped_epoch,
    "official_patients": _patients(),
    "official_patients_all": _patients("ALL"),
    "official_patients_hem": _patients("HEM"),
    "official_cells": _cells(),
    "official_cells_all": _cells("ALL"),
    "official_cells_hem": _cells("HEM"),
    "official_majority": _majority,
    "parameters": _parameters,
    "measured": _measured("training"),
    "measured_monte_carlo": _monte_carlo,
    "measured_ablation": _measured("ablation"),
}
