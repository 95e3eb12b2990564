"""Steps that raise a reported score without a better model: each turns predictions into others.

They are here to be measured, one by one and together; no result of the book uses them. Predictions
are tables with ``cell_id, subject, label, score, called``, as ``resampling.pooled`` gives them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lcc_utils.errors import DataError
from lcc_utils.evaluation.metrics import choose_threshold, natural

HEM = 0


@dataclass(frozen=True)
class Rule:
    """How the scores of a named subject are reshaped.

    Attributes
    ----------
    above, factors
        Where P(HEM) is above the first, P(HEM) and P(ALL) are multiplied by the second and brought
        back to a sum of 1.
    temperature
        Both are raised to its inverse, and brought back to a sum of 1.
    kept
        The share of the distance from one half that is kept.
    """

    above: float
    factors: tuple[float, float]
    temperature: float
    kept: float

    def applied(self, score: pd.Series) -> pd.Series:
        """Return the reshaped P(ALL), in 0 to 1."""
        hem_factor, all_factor = self.factors
        favoured = _share(all_factor * score, hem_factor * (1 - score))
        score = score.where(1 - score <= self.above, favoured)
        power = 1 / self.temperature
        return 0.5 + self.kept * (_share(score**power, (1 - score) ** power) - 0.5)


RULES = (
    Rule(above=0.35, factors=(1.3, 0.7), temperature=2.0, kept=0.6),
    Rule(above=1.0, factors=(1.0, 1.0), temperature=1.4, kept=0.75),
)


def hardest_subjects(predictions: pd.DataFrame, count: int = 2, label: int = HEM) -> list[str]:
    """Return the subjects of a class with the most errors, the worst first.

    Raises
    ------
    DataError
        If the class has fewer subjects than asked for.
    """
    own = predictions[predictions["label"] == label]
    errors = (own["called"] != own["label"]).groupby(own["subject"].astype(str)).sum()
    if len(errors) < count:
        raise DataError(
            f"{len(errors)} subject(s) of class {label} are tested, but {count} are to be named; "
            "test on more subjects."
        )
    return sorted(errors.index, key=lambda name: (-errors[name], natural(name)))[:count]


def threshold_on_test(predictions: pd.DataFrame) -> pd.DataFrame:
    """Call all cells at the one threshold that is best on these same cells."""
    return _called(predictions, choose_threshold(predictions))


def thresholds_by_group(predictions: pd.DataFrame, named: Collection[str]) -> pd.DataFrame:
    """Call each named subject's cells, and all others together, at their own best threshold.

    A subject's cells are of one class: a threshold of its own calls all of them right.
    """
    own = predictions["subject"].astype(str)
    group = own.where(own.isin(list(named)), "")
    parts = [threshold_on_test(part) for _, part in predictions.groupby(group, sort=True)]
    return pd.concat(parts).loc[predictions.index]


def rules_for_named(predictions: pd.DataFrame, named: Sequence[str]) -> pd.DataFrame:
    """Reshape the scores of named subjects by the rules of the authors' evaluation.

    The first subject gets the rule that the evaluation has for its patient H9, the second that for
    H22. What the rules draw from the votes of several views is left out: here is one score a cell.
    Source: eval_img_complete_ultra.ipynb, entry ``named_rules`` of ``book/evidence.yml``.

    Parameters
    ----------
    named
        Two subjects.

    Returns
    -------
    DataFrame
        With the new scores; a cell is called as its new score compares with the threshold that
        called it before, which the column ``threshold`` holds.
    """
    subject = predictions["subject"].astype(str)
    score = predictions["score"].astype(float)
    for name, rule in zip(named, RULES, strict=True):
        score = score.where(subject != name, rule.applied(score))
    called = (score >= predictions["threshold"]).astype(np.int64)
    return predictions.assign(score=score, called=called)


def counted_twice(predictions: pd.DataFrame) -> pd.DataFrame:
    """Count every image twice, as a folder that is read under two names does."""
    again = predictions.assign(cell_id=predictions["cell_id"].astype(str) + " again")
    return pd.concat([predictions, again], ignore_index=True)


def _share(part: pd.Series, rest: pd.Series) -> pd.Series:
    return part / (part + rest)


def _called(predictions: pd.DataFrame, threshold: float) -> pd.DataFrame:
    called = (predictions["score"] >= threshold).astype(np.int64)
    return predictions.assign(called=called, threshold=threshold)
