"""Effects of a full factorial experiment repeated with several seeds within each split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.statistics import holm, naive_t


def factorial_effects(
    frame: pd.DataFrame, response: str, factors: Sequence[str], split: str, seed: str
) -> pd.DataFrame:
    """Estimate all main effects and interactions of k factors that are each there or not.

    With factors coded +1 (there) and -1 (not), the contrast of an effect in a block is ::

        sum over the 2^k runs of (product of the effect's codes) * response / 2^(k - 1)

    so a main effect is the mean of the runs with the factor less the mean of those without it;
    an interaction of two is half of (the effect of one with the other there less its effect
    without), averaged over the rest; and so on: an interaction of three is half of the difference
    between two interactions of two. A block is one seed in one split, and seeds are nested in
    splits: those of one split share their subjects and differ in training alone, so they are
    averaged first. The estimate is the mean of the splits' means, and the interval and p are
    those of a t test on these, with splits - 1 degrees of freedom. Two splits therefore decide
    little, however many seeds they have. Source: Box, Hunter and Hunter (2005), Statistics for
    Experimenters, chapters 5 and 9.

    Worked example: two factors, responses .80 (neither), .84 (A), .82 (B), .90 (A and B). A:
    (.84 + .90 - .80 - .82) / 2 = .06; B: (.82 + .90 - .80 - .84) / 2 = .04; A × B: half of
    (.90 - .82) - (.84 - .80), which is .02.

    Parameters
    ----------
    frame
        One row a run.
    response
        The column with the measured number.
    factors
        Columns with True (1) where a factor is there and False (0) where not.
    split, seed
        Columns that name a split, and a seed within it.

    Returns
    -------
    DataFrame
        ``effect`` (``"A"``, ``"A × B"``; main effects first), ``estimate, low, high`` in the unit
        of the response, ``p``, ``p_holm`` (adjusted for all effects), ``seed_sd`` (the standard
        deviation between seeds of one split, pooled), ``splits, blocks`` (those used) and
        ``incomplete`` (blocks left out, for lack of a run or of its number). Without a complete
        block the estimate is nan; with fewer than two splits, so are the interval and p.

    Raises
    ------
    DataError
        If a column is missing, a factor is neither there nor not, or a block has a run twice.
    """
    blocks = [split, seed]
    _check(frame, response, factors, blocks)
    effects = [names for k in range(1, len(factors) + 1) for names in combinations(factors, k)]
    complete, splits, incomplete = _complete(frame, response, factors, blocks)
    rows = [
        {"effect": " × ".join(names)}
        | _estimate(complete @ _contrast(names, factors), splits)
        | {"splits": len(set(splits)), "blocks": len(complete), "incomplete": incomplete}
        for names in effects
    ]
    table = pd.DataFrame(rows)
    table.insert(table.columns.get_loc("p") + 1, "p_holm", holm(table["p"]))
    return table


def _check(
    frame: pd.DataFrame, response: str, factors: Sequence[str], blocks: Sequence[str]
) -> None:
    missing = [name for name in (response, *factors, *blocks) if name not in frame]
    if missing:
        raise DataError(f"The table of the factorial has no column {', '.join(missing)}.")
    if not factors or not blocks:
        raise DataError("A factorial needs at least one factor and one column that names blocks.")
    for name in factors:
        if not frame[name].isin([0, 1]).all():
            raise DataError(f"The factor {name} must be True or False in every run.")
    twice = frame.duplicated([*blocks, *factors])
    if twice.any():
        block = ", ".join(f"{name} {frame.loc[twice, name].iloc[0]}" for name in blocks)
        raise DataError(
            f"{int(twice.sum())} runs of the factorial come twice in their block (the first in "
            f"{block}); name what tells them apart among the blocks."
        )


def _complete(
    frame: pd.DataFrame, response: str, factors: Sequence[str], blocks: Sequence[str]
) -> tuple[NDArray[np.float64], list, int]:
    """Responses of complete blocks, (blocks, 2^k) by run, their splits, and how many others."""
    size = 2 ** len(factors)
    place = frame[list(factors)].astype(int).to_numpy() @ (2 ** np.arange(len(factors)))
    block = frame.groupby(list(blocks), dropna=False).ngroup().to_numpy()
    found = np.full((int(block.max(initial=-1)) + 1, size), np.nan)
    found[block, place] = frame[response].to_numpy(float)
    whole = np.isfinite(found).all(axis=1)
    names = frame.groupby(block)[blocks[0]].first().to_numpy()
    return found[whole], list(names[whole]), int((~whole).sum())


def _contrast(names: Sequence[str], factors: Sequence[str]) -> NDArray[np.float64]:
    """Weight of each of the 2^k runs in an effect; bit i of a run's number is factor i."""
    bits = (np.arange(2 ** len(factors))[:, None] >> np.arange(len(factors))) % 2
    own = [list(factors).index(name) for name in names]
    return np.prod(2.0 * bits[:, own] - 1, axis=1) / 2 ** (len(factors) - 1)


def _estimate(contrasts: NDArray[np.float64], splits: list) -> dict[str, float]:
    """Return mean, interval and p of contrasts of which seeds are nested in splits."""
    by_split = pd.Series(contrasts).groupby(pd.Series(splits, dtype=object))
    means, freedom = by_split.mean(), contrasts.size - by_split.ngroups
    found = dict.fromkeys(("estimate", "low", "high", "p", "seed_sd"), float("nan"))
    if len(means):
        found["estimate"] = float(means.mean())
    if len(means) > 1:
        test = naive_t(means)  # splits are what is independent here
        found |= {"low": test.low, "high": test.high, "p": test.p}
    if freedom > 0:
        apart = contrasts - by_split.transform("mean").to_numpy()
        found["seed_sd"] = float(np.sqrt((apart**2).sum() / freedom))
    return found
