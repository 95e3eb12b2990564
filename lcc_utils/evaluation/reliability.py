"""Whether a score means what it says: reliability bins, calibration error and Brier score."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lcc_utils.errors import RequestError
from lcc_utils.evaluation.intervals import DIFFERENCE, SHARE, Interval, jackknife
from lcc_utils.evaluation.metrics import evaluate
from lcc_utils.evaluation.ranks import ranks
from lcc_utils.evaluation.subject_sums import ratio, share_interval, subjects_of

BINS = 15
KINDS = ("equal count", "equal width")


def bin_of(scores: ArrayLike, bins: int = BINS, kind: str = "equal count") -> NDArray[np.int64]:
    """Put scores into bins.

    Parameters
    ----------
    scores
        Shape (n,), in 0 to 1.
    bins
        Their number.
    kind
        ``"equal count"`` cuts the scores in order into bins of about as many cells each; equal
        scores stay together. ``"equal width"`` cuts 0 to 1.

    Returns
    -------
    array
        Shape (n,), from 0, rising with the score; some bins may be empty.

    Raises
    ------
    RequestError
        If the kind is unknown or there is no bin.
    """
    if kind not in KINDS or bins < 1:
        raise RequestError(
            f"Reliability needs bins of {' or '.join(KINDS)} and at least one; it was given "
            f"{bins} of {kind!r}."
        )
    scores = np.asarray(scores, float)
    if kind == "equal width":
        return np.minimum((scores * bins).astype(np.int64), bins - 1)
    return ((ranks(scores, "min") - 1) * bins // scores.size).astype(np.int64)


def reliability(
    labels: ArrayLike, scores: ArrayLike, bins: int = BINS, kind: str = "equal count"
) -> pd.DataFrame:
    """Set the mean score of each bin beside its share of ALL cells.

    Parameters
    ----------
    labels
        Shape (n,), 1 for ALL and 0 for HEM.
    scores
        Shape (n,), P(ALL) in 0 to 1.
    bins, kind
        As in :func:`bin_of`.

    Returns
    -------
    DataFrame
        ``bin, cells, mean_score, share_all``, one row for each bin that has cells.

    Raises
    ------
    DataError, RequestError
        As in ``metrics.evaluate`` and :func:`bin_of`.
    """
    evaluate(labels, scores, 0.5)  # refuses what is no prediction
    cells = pd.DataFrame(
        {"label": np.asarray(labels, float), "score": np.asarray(scores, float)}
    ).assign(bin=bin_of(scores, bins, kind))
    grouped = cells.groupby("bin")
    return grouped.agg(
        cells=("label", "size"), mean_score=("score", "mean"), share_all=("label", "mean")
    ).reset_index()


def calibration_error(
    labels: ArrayLike, scores: ArrayLike, bins: int = BINS, kind: str = "equal count"
) -> float:
    r"""Return the expected calibration error, in 0 to 1.

    :math:`\sum_b \frac{n_b}{n} |\bar y_b - \bar p_b|`: the distance between the share of ALL
    cells and the mean score of each bin, weighted by the cells of the bin. It is above 0 even
    for a score that means what it says, the more so the fewer cells a bin has. Source: Naeini,
    Cooper and Hauskrecht (2015), there with bins of equal width; Guo et al. (2017).

    Parameters and errors are those of :func:`reliability`.

    Examples
    --------
    >>> round(calibration_error([1, 0, 1, 1], [0.6, 0.4, 0.9, 0.7], bins=2), 2)
    0.1
    """
    table = reliability(labels, scores, bins, kind)
    gaps = (table["share_all"] - table["mean_score"]).abs()
    return float((table["cells"] * gaps).sum() / table["cells"].sum())


def brier_score(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean squared distance between scores and labels, in 0 to 1.

    It is small when scores are both calibrated and sharp. Source: Brier (1950), who adds the
    same up over both classes, which doubles it.
    """
    evaluate(labels, scores, 0.5)
    return float(np.mean((np.asarray(scores, float) - np.asarray(labels, float)) ** 2))


def error_interval(
    predictions: pd.DataFrame,
    column: str = "score",
    bins: int = BINS,
    kind: str = "equal count",
) -> Interval:
    """Return the expected calibration error with an interval over subjects.

    The bins are those of all cells and stay the same without a subject. The error is above 0
    even for a score that means what it says, and the interval is one of this error, not of the
    distance that would remain with endless cells.

    Parameters
    ----------
    predictions
        ``subject, label`` and the column of scores.
    column
        Its name.

    Raises
    ------
    DataError, RequestError
        As in :func:`reliability` and ``subject_sums.subjects_of``.
    """
    evaluate(predictions["label"], predictions[column], 0.5)
    subjects = subjects_of(predictions)
    scores = predictions[column].to_numpy(float)
    gaps = predictions["label"].to_numpy(float) - scores
    places = bin_of(scores, bins, kind)
    # Shape (subjects, bins): what the cells of a subject add to the gap of a bin.
    by_bin = np.stack([subjects.sums(gaps * (places == b)) for b in range(bins)], axis=1)
    cells = subjects.cells
    return jackknife(
        lambda weights: ratio(np.abs(weights @ by_bin).sum(axis=1), weights @ cells),
        subjects.classes,
    )


def brier_interval(
    predictions: pd.DataFrame,
    column: str = "score",
    less: str | None = None,
) -> Interval:
    """Return the Brier score of a column with an interval over subjects.

    With `less`, another column, it is the difference of the two, a subject left out of both
    at once. Other parameters and errors are those of :func:`error_interval`.
    """
    subjects = subjects_of(predictions)
    squares = _squares(predictions, column)
    if less is not None:
        squares = squares - _squares(predictions, less)
    bounds = SHARE if less is None else DIFFERENCE
    return share_interval(squares, np.ones(squares.size), subjects, bounds)


def _squares(predictions: pd.DataFrame, column: str) -> NDArray[np.float64]:
    evaluate(predictions["label"], predictions[column], 0.5)
    return (predictions[column].to_numpy(float) - predictions["label"].to_numpy(float)) ** 2
