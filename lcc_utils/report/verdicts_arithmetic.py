"""Verdicts from the paper's own numbers, and from the history that the authors' run printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lcc_utils.report.arithmetic import (
    accuracy_of_counts,
    agrees,
    best_epoch,
    differences,
    f1_of_counts,
    least_auc,
    parameters_as_stated,
    parameters_of_vgg,
    percents_fewer,
    precision_of_counts,
    ratios,
    sensitivity_of_counts,
    smallest_gap_epoch,
    specificity_of_counts,
    stopped_epoch,
    sums,
)
from lcc_utils.report.findings import (
    CONTRADICTED,
    HOLDS,
    NOT_DETERMINED,
    Evidence,
    Finding,
    Test,
)
from lcc_utils.report.formatting import MISSING, percent, quantity

if TYPE_CHECKING:
    from lcc_utils.report.claims import Claim

_PAPER, _HISTORY = "the paper's own numbers", "the authors' printed history"
_LAYERS = "the layers as stated"


def _computed(
    compute: Callable[[Sequence[float]], float], source: str = _PAPER, places: int | None = None
) -> Test:
    """Make a test: the claim holds if the computed number rounds to the stated one.

    ``places`` is to how many decimals the computed one is shown, by default the stated.
    """

    def test(claim: Claim, evidence: Evidence) -> Finding:
        ours = compute(evidence.numbers(claim))
        shown = quantity(ours, claim.unit, claim.places if places is None else places)
        holds = agrees(ours, float(claim.value), claim.places)
        return Finding(shown, source, HOLDS if holds else CONTRADICTED)

    return test


def _image_sum(claim: Claim, evidence: Evidence) -> Finding:
    """Add train, validation and test; say what the sum is with the test row halved."""
    train, validation, test = evidence.numbers(claim)
    whole, halved = train + validation + test, train + validation + test / 2
    ours = quantity(whole, claim.unit, 0)
    if whole != claim.value:
        ours += f"; {quantity(halved, claim.unit, 0)} with the test row halved"
    return Finding(ours, _PAPER, HOLDS if whole == claim.value else CONTRADICTED)


def _auc(claim: Claim, evidence: Evidence) -> Finding:
    least = least_auc(evidence.numbers(claim))
    possible = float(claim.value) >= least - 0.5 * 10.0**-claim.places
    shown = f"at least {quantity(least, claim.unit, 2)}"
    return Finding(shown, _PAPER, HOLDS if possible else CONTRADICTED)


def _width(claim: Claim, evidence: Evidence) -> Finding:
    high, low = evidence.numbers(claim)
    # To two decimals, as the ends are stated: 99.91 - 99.62 is not .29 in binary.
    width = round(high - low, 2)
    holds = width < float(claim.value)
    return Finding(quantity(width, claim.unit, 2), _PAPER, HOLDS if holds else CONTRADICTED)


def _largest_gain(claim: Claim, evidence: Evidence) -> Finding:
    """Compare "up to" with the largest gain over what is listed."""
    ours, *others = evidence.numbers(claim)
    gain = ours - min(others)
    shown = (
        f"{quantity(gain, claim.unit, claim.places)}; over the best listed {max(others):.2f} %: "
    )
    shown += quantity(ours - max(others), claim.unit, claim.places)
    holds = agrees(gain, float(claim.value), claim.places)
    return Finding(shown, _PAPER, HOLDS if holds else CONTRADICTED)


def _from_history(compute: Callable[[Evidence, list[float]], float | None]) -> Test:
    """Make a test: the claim holds if the printed history gives the stated number."""

    def test(claim: Claim, evidence: Evidence) -> Finding:
        ours = compute(evidence, evidence.numbers(claim))
        if ours is None:
            return Finding(MISSING, _HISTORY, CONTRADICTED)
        holds = agrees(ours, float(claim.value), claim.places)
        shown = quantity(ours, claim.unit, claim.places)
        return Finding(shown, _HISTORY, HOLDS if holds else CONTRADICTED)

    return test


def _smallest_gap(claim: Claim, evidence: Evidence) -> Finding:
    """Apply the stated rule of choice to the epochs of the history.

    The rule may have been applied to trainings that are not printed, so another epoch than the
    stated one settles nothing.
    """
    (floor,) = evidence.numbers(claim)
    epoch, gap = smallest_gap_epoch(evidence.history, floor / 100)
    shown = f"epoch {epoch}, where the gap is {percent(gap, 2)}"
    verdict = HOLDS if epoch == claim.value else NOT_DETERMINED
    return Finding(shown, f"{_HISTORY}, the rule applied to its epochs", verdict)


def _best_f1(evidence: Evidence, _numbers: list[float]) -> float:
    return 100 * float(evidence.history["val_f1"].max())


def _stopped(evidence: Evidence, numbers: list[float]) -> int | None:
    patience, margin = numbers
    return stopped_epoch(evidence.history, int(patience), margin / 100)


def _parameters(numbers: Sequence[float]) -> float:
    reduction, *dense = (int(number) for number in numbers)
    return parameters_as_stated(reduction, dense) / 1e6


TESTS: dict[str, Test] = {
    "plain_sum": _computed(sums),
    "image_sum": _image_sum,
    "same": _computed(lambda numbers: numbers[0]),
    "ratio": _computed(ratios),
    "difference": _computed(differences),
    "percent_fewer": _computed(percents_fewer),
    "largest_gain": _largest_gain,
    "width_below": _width,
    "counts_f1": _computed(f1_of_counts),
    "counts_accuracy": _computed(accuracy_of_counts),
    "counts_precision": _computed(precision_of_counts),
    "counts_sensitivity": _computed(sensitivity_of_counts),
    "counts_specificity": _computed(specificity_of_counts),
    "auc_through_counts": _auc,
    "history_best_epoch": _from_history(lambda evidence, _: best_epoch(evidence.history)),
    "history_best_f1": _from_history(_best_f1),
    "history_stopped_epoch": _from_history(_stopped),
    "history_smallest_gap": _smallest_gap,
    "parameters_as_stated": _computed(_parameters, _LAYERS, 2),
    "parameters_vgg16": _computed(lambda _: parameters_of_vgg(16) / 1e6, _LAYERS, 2),
    "parameters_vgg19": _computed(lambda _: parameters_of_vgg(19) / 1e6, _LAYERS, 2),
}
