"""The card that travels with a model: limitations first, every number from its own record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lcc_utils.text import markdown

__all__ = ["card", "measure_text", "measures_text"]

_LIMITATIONS = """\
- All cells that it learned from come from one data set: one laboratory, stain, microscope and way
  of cutting cells out. Nothing is known about cells from elsewhere.
- It scores single cells, cut out on black. It says nothing about a person, and what the scores of
  many cells of one person come to was not studied for it.
- The labels are those of the data set.
- What it will not call (unsure, or unlike its training cells) is bounded by conventions that the
  record states. A cell that it does call can be wrong, and can be unlike any that it has seen: even
  cells that a program has drawn may pass."""

_NOT_FOR = """\
It is for research and teaching. It is not a medical device. It is not for diagnosis, screening,
triage or any other decision about a person."""


def card(record: Mapping[str, Any]) -> str:
    """Return the card of a model directory as Markdown, from what its ``model.json`` says."""
    training, thresholds = record["training"], record["thresholds"]
    calibration, novelty = record["calibration"], record["novelty"]
    fitted, backbone = markdown(calibration["basis"]), markdown(record["backbone"])
    parts = [
        f"# {markdown(record['name'])}",
        "**Research use only.**",
        "## Limitations\n\n" + _LIMITATIONS,
        "## What it is for\n\n" + _NOT_FOR,
        "## What was measured\n\n" + _measured(record),
        "## What it is\n\n"
        f"{backbone} on the central {record['crop']} px of a 450 px frame, resized to "
        f"{record['size']} px. The score is P(ALL), before calibration. It was trained on all of "
        f"{markdown(training['dataset'])}, seed {training['seed']}; `model.json` holds every "
        "setting.",
        "## How a score is read\n\n"
        f"- ALL from {thresholds['decision']:.3f} on: {markdown(thresholds['basis'])}.\n"
        f"- Not called between {thresholds['unsure_low']:.3f} and {thresholds['unsure_high']:.3f}."
        f"\n- Calibrated probability: sigmoid(logit(score) / {calibration['temperature']:.4g} "
        f"{'+' if calibration['shift'] >= 0 else '-'} {abs(calibration['shift']):.4g}); "
        f"{fitted}. It holds for the share of ALL cells there and for no other.\n"
        f"- Not called beyond a distance of {novelty['distance']:.4g} or an energy of "
        f"{novelty['energy']:.4g}: {markdown(novelty['basis'])}.",
    ]
    return "\n\n".join(parts) + "\n"


def measure_text(measure: Mapping[str, Any]) -> str:
    """Return a measure's value, with its interval where it has one."""
    if measure.get("low") is None:
        return f"{measure['value']:.3f}"
    return f"{measure['value']:.3f} ({measure['low']:.3f} to {measure['high']:.3f})"


def measures_text(record: Mapping[str, Any]) -> str:
    """Return in one sentence the measures that have an interval; empty where nothing is known."""
    own = [f"{m['name']} {measure_text(m)}" for m in record["measured"] if m["low"] is not None]
    return f"{', '.join(own)}; intervals of 95 % over subjects." if own else ""


def _measured(record: Mapping[str, Any]) -> str:
    if not record["measured"]:
        return "Nothing: the run that it was made from holds no whole cross-validation of it."
    rows = [f"| {markdown(own['name'])} | {measure_text(own)} |" for own in record["measured"]]
    head = "| Measure | Value (95 % interval over subjects, where given) |\n| :-- | :-- |"
    return markdown(record["measured_on"]) + "\n\n" + "\n".join([head, *rows])
