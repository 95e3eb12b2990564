"""Figures of the steps from an honest score to a reported one, and of the paper's point."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lcc_utils.evaluation.result import Result
from lcc_utils.report.claims import load_claims
from lcc_utils.report.formatting import cell
from lcc_utils.report.interactive import roc_argument
from lcc_utils.report.steps_tables import STATED
from lcc_utils.report.style import GREY, SERIES, absent, finish, new_figure, styled

_F1, _AUC = SERIES[0], SERIES[3]
_COUNTS = ("t2_tn", "t2_fp", "t2_fn", "t2_tp")


@styled
def steps(table: pd.DataFrame, *, data_label: str) -> Figure:
    """Weighted F1 and AUC of each model as one step after another is added.

    Parameters
    ----------
    table
        The table ``steps_together``. The bars are intervals over subjects of what all steps so far
        have changed, set at the honest F1.
    data_label
        What the numbers were computed on.
    """
    own = table[table["model"] != STATED]
    if own.empty:
        return absent("The steps", data_label=data_label)
    models = list(dict.fromkeys(own["model"]))
    sizes = [int((own["model"] == model).sum()) for model in models]
    figure, axes = new_figure(
        0.36 * sum(sizes) + 0.75 * len(models) + 0.9, rows=len(models), sharex=True,
        height_ratios=sizes,
    )  # fmt: skip
    stated = table[table["model"] == STATED].iloc[0]
    for axis, model in zip(axes, models, strict=True):
        _model(axis, own[own["model"] == model], stated)
        axis.set_title(model)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return finish(figure, _sentence(own, models, stated), data_label)


def stated_point(results: Sequence[Result], *, data_label: str) -> tuple[Figure, dict]:
    """Set the point of Table 2 and the stated area beside ROC curves of ours.

    Parameters
    ----------
    results
        Results whose curves are drawn, each on its own test cells.
    data_label
        What the curves were computed on.

    Returns
    -------
    tuple
        As :func:`roc_argument`.
    """
    from sklearn.metrics import roc_curve

    known = {claim.id: float(claim.value) for claim in load_claims() if claim.unit != "text"}
    curves = {}
    for result in results:
        false, true, _ = roc_curve(result.test["label"], result.test["score"])
        curves[f"ours, {result.split}"] = (false, true)
    counts = [known[name] for name in _COUNTS]
    return roc_argument(counts, known["t2_auc"] / 100, curves, data_label=data_label)


def _model(axis: Axes, rows: pd.DataFrame, stated: pd.Series) -> None:
    honest = rows.iloc[0]["f1_weighted"]
    places = range(len(rows))
    for place, (_, row) in zip(places, rows.iterrows(), strict=True):
        ends = [honest + row[f"f1_delta_{end}"] / 100 for end in ("low", "high")]
        axis.plot(ends, [place] * 2, color=_F1, alpha=0.45, linewidth=2)
    axis.plot(rows["f1_weighted"], places, "o", color=_F1, label="weighted F1")
    axis.plot(rows["auc"], places, "s", color=_AUC, label="AUC")
    for name, colour, text in (("f1_weighted", _F1, "F1"), ("auc", _AUC, "AUC")):
        label = f"{text} stated by the paper"
        axis.axvline(stated[name], color=colour, linestyle="--", linewidth=1, label=label)
    axis.axvline(honest, color=GREY, linewidth=0.8)
    axis.set_yticks(places, [_wrapped(step) for step in rows["step"]])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")


def _wrapped(step: str) -> str:
    """Break a long name in two lines, at the space nearest its middle."""
    if len(step) < 34:
        return step
    spaces = [n for n, letter in enumerate(step) if letter == " "]
    middle = min(spaces, key=lambda n: abs(n - len(step) / 2))
    return f"{step[:middle]}\n{step[middle + 1 :]}"


def _sentence(rows: pd.DataFrame, models: Sequence[str], stated: pd.Series) -> str:
    phrases = []
    for model in models:
        own = rows[rows["model"] == model]
        first, last = own.iloc[0], own.iloc[-1]
        phrases.append(
            f"{model} goes from a weighted F1 of {cell(first['f1_weighted'])} and an AUC of "
            f"{cell(first['auc'])} to {cell(last['f1_weighted'])} and {cell(last['auc'])}"
        )
    return (
        f"With all steps one after another, {'; '.join(phrases)}; the paper states "
        f"{cell(stated['f1_weighted'])} and {cell(stated['auc'])}. Bars are 95 % intervals over "
        "subjects of what the steps so far have changed in F1."
    )
