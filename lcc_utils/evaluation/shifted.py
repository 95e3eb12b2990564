"""How well scores of changed images tell the classes apart, against those of the same unchanged."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from lcc_utils.evaluation.weighted import measure, weighted_cells

__all__ = ["UNCHANGED", "column", "curve", "log_odds", "predictions"]

UNCHANGED = "unchanged"
_LEAST = 1e-15
METRICS = ("auc", "f1_weighted", "sensitivity", "specificity")


def column(shift: str, severity: int) -> str:
    """Return the column that holds the log-odds of a shift at a severity; 0 is unchanged."""
    return f"{shift} {severity}" if severity else UNCHANGED


def log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of scores p, to three decimals, at most about 34.5 either way.

    Far from what it was trained on, a model's scores come close to 0 or 1. Rounded themselves,
    they would be equal there; their log-odds keep the order of the cells.
    """
    return np.round(scipy.special.logit(np.clip(scores, _LEAST, 1 - _LEAST)), 3)


def predictions(scores: pd.DataFrame, shift: str, severity: int, threshold: float) -> pd.DataFrame:
    """Return ``cell_id, subject, label, score, called`` of one shift at one severity.

    Parameters
    ----------
    scores
        One row a cell: ``cell_id, subject, label`` and, for each :func:`column`, the
        :func:`log_odds` of P(ALL).
    shift, severity
        Which of these.
    threshold
        A cell with a score of at least this is called ALL: that of the experiment, chosen on
        unchanged validation cells.
    """
    own = scipy.special.expit(scores[column(shift, severity)].to_numpy(float))
    return scores[["cell_id", "subject", "label"]].assign(
        score=own, called=(own >= threshold).astype(np.int64)
    )


def curve(
    scores: pd.DataFrame, shift: str, severities: Iterable[int], threshold: float
) -> pd.DataFrame:
    """Return ``severity`` and each of ``METRICS``, one row a severity; parameters as before."""
    once = np.ones((1, scores["subject"].nunique()))
    rows = []
    for severity in severities:
        cells = weighted_cells(predictions(scores, shift, severity, threshold), None, METRICS)
        found = measure(cells, once, METRICS)
        rows.append({"severity": severity} | {name: own[0] for name, own in found.items()})
    return pd.DataFrame(rows)
