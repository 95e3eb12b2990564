"""A model card of a run, limitations first: every number is computed from the run's own files.

The form is that of Mitchell et al. (2019), Model cards for model reporting. The card is about the
first model of the primary analysis; where nothing of it has run, about that of the official folds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from lcc_utils.data.official import expected_counts
from lcc_utils.evaluation.metrics import CLASSES
from lcc_utils.evaluation.resampling import LEAST_SUBJECTS, pooled
from lcc_utils.evaluation.result import Results
from lcc_utils.evaluation.subjects import by_subject
from lcc_utils.report.formatting import cell, percent
from lcc_utils.report.rows import Runs, by_variant
from lcc_utils.report.table_markup import to_markdown
from lcc_utils.report.tables import build_table
from lcc_utils.report.training_tables import primary_runs

PRIMARY, OFFICIAL = "primary", "training"
# So many subjects of each class are named as those that the model fails worst.
WORST = 5
_LARGEST = 2

_INTRODUCTION = """\
A model card {cite:p}`mitchell2019model` says what a model is, what it was measured on and where it
should not be used. This one is made from the files of the run, and begins with what limits it."""

_LABELS = """\
The labels are those of the data set. How far experts agree on them is not known from it."""
_SUBJECTS = """\
Subjects are patient ids, merged where they share cells. Two ids of one person that share none would
count as two."""
_ONE_SOURCE = """\
All labelled cells come from one data set, with one laboratory's stain and microscope. Changed
images and cells without a label from elsewhere stand in for other laboratories, as far as they can;
no number here says how often the model would be right there."""
_ALL_DRAWN = """\
All cells were drawn by one program. They resemble stained cells in size, outline and colour, and
nothing that is learned from them carries over to real ones."""

_USES = """\
It is for research: to see what the statements of a paper come to, how much of a result is decided
by the split, and how a small data set bounds what can be said; and for teaching how to check such
work.

It is not a medical device. It is not for:

- diagnosis, screening, triage, or any other decision about a person;
- cells from another laboratory, stain, microscope or way of cutting cells out;
- whole smears, or images with more or less than one cell;
- counts of blasts in a person: it scores single cells, and what its scores come to for a person was
  not studied;
- statements about the authors' own model, whose weights it does not use."""

_NOT_MEASURED = """\
- Cells from other laboratories, and any change of stain, focus or scanner.
- Whether scores can be read as probabilities on cells from elsewhere.
- Differences by age, sex or kind of leukaemia: the data set does not say them.
- How readers would call the same cells, alone or with the model beside them.
- Whether a decision would be better or worse for it.
- Where this very model looks: the maps of this book are of another network."""

_CLOSING = """\
It is built after the paper {cite:p}`costabraga2026` by other people, with the settings below; it is
not the authors' model, and its numbers are not theirs. [The method](method.md) tells how it works.
Its predictions are kept with the results. Its weights are not published; [a run](reproduce.md)
trains it again."""
_NOT_RUN = "Nothing of this has run yet."
_POOLED = """\
Every cell is predicted once, by a model that has seen no cell of its subject. The intervals are
over subjects. A model of which parts are missing has no numbers. The models after the first are
there to compare with."""
_FOLDS = """\
The network on the test sets of the study `training`, with no subject in both training and test:"""


def model_card(cells: pd.DataFrame, results: Results, run: Mapping[str, Any]) -> str:
    """Return the model card of a run as MyST Markdown.

    Parameters
    ----------
    cells, results
        Those of the run, see :func:`lcc_utils.report.tables.build_table`.
    run
        What ``run.json`` says.
    """
    model = described(results, run)
    sections = {
        "Limitations": _bullets(_limitations(cells, model, run)),
        "What it is": _what(model),
        "What it is for, and what it is not for": _USES,
        "Data": _data(cells, run),
        "How it was trained": _training(model),
        "Results": _results(cells, results),
        "The subjects it fails worst": _worst(cells, results, model),
        "What was not measured": _NOT_MEASURED,
        "Where it came from": _provenance(run),
    }
    parts = ["# Model card", _computed_on(run), _INTRODUCTION]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def described(results: Results, run: Mapping[str, Any]) -> Runs | None:
    """Return the runs of the model that the card is about; ``None`` where none has a result."""
    for study in (PRIMARY, OFFICIAL):
        planned = run["plan"].get(study, [])
        found = primary_runs(results) if study == PRIMARY else by_variant(results, study)
        for runs in found:
            if planned and runs.variant == planned[0]["variant"] and runs.done:
                return runs
    return None


def worst_subjects(runs: Runs) -> pd.DataFrame:
    """Name the subjects of each class of which most cells are called wrong, worst first.

    Each cell is called by the threshold of its own part, which was chosen on validation cells.
    """
    predictions = pooled(runs.done)
    called = by_subject(predictions.assign(score=predictions["called"].astype(float)), 0.5)
    rows = called.groupby("label", sort=False).head(WORST)
    return pd.DataFrame(
        {
            "class": rows["label"].map(CLASSES).astype(object),
            "subject": rows["subject"],
            "cells": rows["cells"],
            "called_right": rows["correct"],
            "share_called_right": rows["accuracy"],
        }
    ).reset_index(drop=True)


def settings_table(settings: Mapping[str, Any]) -> pd.DataFrame:
    """List the settings of an experiment by their dotted names, as ``params/`` writes them."""
    rows = [{"setting": f"`{name}`", "value": _setting(value)} for name, value in _dotted(settings)]
    return pd.DataFrame(rows, columns=["setting", "value"])


def _synthetic(run: Mapping[str, Any]) -> bool:
    return run["dataset"]["name"] == "synthetic"


def _computed_on(run: Mapping[str, Any]) -> str:
    label = run["dataset"]["label"]
    if _synthetic(run):
        return (
            f"**Computed on {label}.** A program drew these cells. The numbers on this page show "
            "that\nevery step runs; they say nothing about leukaemia."
        )
    return f"**Computed on {label}.**"


def _limitations(cells: pd.DataFrame, model: Runs | None, run: Mapping[str, Any]) -> Iterable[str]:
    if _synthetic(run):
        yield _ALL_DRAWN
    yield from _few_people(cells)
    if not _synthetic(run):
        yield _share_of_data(cells)
        yield _ONE_SOURCE
    if model is None:
        yield "No result of the model is in this run yet, so there is nothing to judge it by."
    else:
        yield from _of_model(model)
    if not _synthetic(run):
        yield from (_LABELS, _SUBJECTS)


def _few_people(cells: pd.DataFrame) -> Iterable[str]:
    labelled = cells[cells["label"].notna()]
    counts = {}
    for label, name in CLASSES.items():
        own = labelled[labelled["label"] == label].groupby("subject").size()
        counts[name] = own.sort_values(ascending=False)
    said = [
        f"{cell(len(own))} {name} subjects ({cell(own.sum())} cells)"
        for name, own in counts.items()
    ]
    yield f"Few people: the labelled cells come from {said[0]} and {said[1]}."
    healthy = counts[CLASSES[0]]
    if len(healthy) > _LARGEST:
        share = healthy.iloc[:_LARGEST].sum() / healthy.sum()
        named = " and ".join(str(name) for name in healthy.index[:_LARGEST])
        yield f"Of the HEM cells, {percent(share)} belong to two subjects, {named}."
    if len(healthy) < LEAST_SUBJECTS:
        yield (
            f"With fewer than {LEAST_SUBJECTS} HEM subjects no interval is given: it would suggest "
            "a precision that is not there."
        )
    else:
        yield (
            "Intervals are over subjects. With so few of a class they are somewhat too narrow; see "
            "[the method](method.md#statistics)."
        )


def _share_of_data(cells: pd.DataFrame) -> str:
    labelled = cells[cells["label"].notna()]
    whole = sum(n for (_, _, label), n in expected_counts().items() if label is not None)
    parts = []
    for phase, own in labelled.groupby("phase", sort=False):
        folds = ", ".join(str(int(fold)) for fold in sorted(own["fold"].dropna().unique()))
        parts.append(f"{phase} (folds {folds})" if folds else str(phase))
    return (
        f"This edition holds {cell(len(labelled))} of the data set's {cell(whole)} labelled cells, "
        f"from: {'; '.join(parts)}."
    )


def _of_model(model: Runs) -> Iterable[str]:
    settings = model.done[0].settings
    if model.missing:
        yield (
            f"Of its {cell(model.planned)} parts {cell(len(model.done))} have run. What is shown "
            "of it is measured on these alone."
        )
    weights, epochs = _of(settings, "model", "weights"), _of(settings, "training", "epochs")
    if weights not in (None, "none"):
        yield f"Its backbone starts from weights made on other images ({weights})."
    elif epochs is not None:
        plural = "epoch" if epochs == 1 else "epochs"
        yield f"It was trained from scratch, for at most {cell(epochs)} {plural}."
    size, crop = _of(settings, "pixels", "size"), _of(settings, "pixels", "crop")
    if size is not None:
        yield f"Its images have {cell(size)} px a side, made of the middle {cell(crop)} of a frame."
    validating = [result.metrics["val_subjects"] for result in model.done]
    yield (
        f"Its threshold was chosen on the cells of {_range(validating)} subjects, so sensitivity "
        "and specificity depend on who these are."
    )
    if model.study == PRIMARY:
        yield "Subjects were divided into parts once. Another draw, or seed, gives other numbers."


def _what(model: Runs | None) -> str:
    if model is None:
        return _CLOSING
    made = model.done[0].record["model"]
    counts = [cell(made.get(f"parameters_{which}")) for which in ("trainable", "total")]
    return (
        f"**{model.variant}**, the first model of the study `{model.study}`, gives for the image "
        f"of one cell the probability that it is leukaemic (ALL). It is built on "
        f"`{made['backbone']}` and has {counts[0]} trainable parameters of {counts[1]}.\n\n"
        f"{_CLOSING}"
    )


def _data(cells: pd.DataFrame, run: Mapping[str, Any]) -> str:
    data = run["dataset"]
    return (
        f"{data['label'][:1].upper() + data['label'][1:]}. The digest of cells and pixels is "
        f"`{data['digest']}`. [The data](data.md) says where they come from, and how ids that "
        "share cells were merged into subjects.\n\n"
        f"{to_markdown(build_table('cells', cells, Results()))}"
    )


def _training(model: Runs | None) -> str:
    if model is None:
        return _NOT_RUN
    splits = [result.record["split"] for result in model.done]
    subjects = _range(split["subjects"]["train"] for split in splits)
    trained = _range(split["train"] for split in splits)
    return (
        f"In each of {cell(len(splits))} parts, on {trained} cells of {subjects} subjects, with "
        f"these settings:\n\n{to_markdown(settings_table(model.done[0].settings))}"
    )


def _results(cells: pd.DataFrame, results: Results) -> str:
    shown = {
        "### Pooled out-of-fold predictions": (_POOLED, build_table("primary", cells, results)),
        "### Official folds, or drawn test sets": (
            _FOLDS,
            build_table("training", cells, results).drop(columns="threshold"),
        ),
    }
    parts = []
    for title, (text, table) in shown.items():
        parts += [title, *([_NOT_RUN] if table.empty else [text, to_markdown(table).strip()])]
    return "\n\n".join(parts)


def _worst(cells: pd.DataFrame, results: Results, model: Runs | None) -> str:
    if model is None:
        return _NOT_RUN
    if model.study == OFFICIAL:
        table = to_markdown(build_table("training_subjects", cells, results))
        return f"By direction and class, with the subject of the least accuracy:\n\n{table}"
    kept = f" of {cell(len(model.done))} parts" if model.missing else ""
    return (
        f"Up to {cell(WORST)} of each class, by the share of their cells that is called right in "
        f"the pooled out-of-fold predictions{kept}. With few cells, one error weighs much.\n\n"
        f"{to_markdown(worst_subjects(model))}"
    )


def _provenance(run: Mapping[str, Any]) -> str:
    git, machine = run["git"], run["hardware"]
    changed = " with local changes" if git.get("dirty") else ""
    memory = f"{cell(machine['memory_gib'])} GiB" if machine.get("memory_gib") else None
    parts = [machine.get("gpu"), machine.get("cpu"), f"{cell(machine['cores'])} cores", memory]
    facts = {
        "Run": f"`{run['run']}`",
        "Profile": f"`{run['profile']}`",
        "Commit": f"`{git.get('commit') or 'unknown'}`{changed}",
        "Data digest": f"`{run['dataset']['digest']}`",
        "Hardware": ", ".join(str(part) for part in parts if part),
        "Finished": str(run["finished"] or "not finished")[:10],
        "Seconds of computing": cell(run["seconds"], "seconds"),
        "Backend": str(run["backend"]),
        "Versions": ", ".join(f"{name} {number}" for name, number in run["versions"].items()),
    }
    table = to_markdown(pd.DataFrame(list(facts.items()), columns=["fact", "value"]))
    return (
        f"{table}\n`lcc verify` computes every table again from the predictions of the run. If a "
        "number is wrong, or a sentence, [say so](corrections.md)."
    )


def _dotted(settings: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _setting(value: object) -> str:
    """Return a setting as ``params/`` would have it: unlike a result, it is not rounded."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_setting(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _of(settings: Mapping[str, Any], group: str, name: str) -> Any:
    return settings.get(group, {}).get(name)


def _range(values: Iterable[int]) -> str:
    ends = sorted(values)
    low, high = cell(ends[0]), cell(ends[-1])
    return low if low == high else f"{low} to {high}"


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join("- " + text.replace("\n", "\n  ") for text in texts)
