"""Effects of a full factorial experiment that was repeated in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.statistics import holm, naive_t


def factorial_effects(
    frame: pd.DataFrame, response: str, factors: Sequence[str], blocks: Sequence[str]
) -> pd.DataFrame:
    """Estimate all main effects and interactions of k factors that are each there or not.

    With factors coded +1 (there) and -1 (not), the contrast of an effect in a block is ::

        sum over the 2^k runs of (product of the effect's codes) * response / 2^(k - 1)

    so a main effect is the mean of the runs with the factor less the mean of those without it;
    an interaction of two is half of (the effect of one with the other there less its effect
    without), averaged over the rest; and so on: an interaction of three is half of the difference
    between two interactions of two. The estimate is the mean of the contrasts over complete
    blocks, and the interval and p are those of a t test on them, with blocks - 1 degrees of
    freedom. Blocks that share test cells, such as seeds of one split, differ in their training
    alone: the interval then speaks of training again, not of other subjects. Source: Box, Hunter
    and Hunter (2005), Statistics for Experimenters, chapter 5.

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
    blocks
        Columns that together name a block, for example split and seed.

    Returns
    -------
    DataFrame
        ``effect`` (``"A"``, ``"A × B"``; main effects first), ``estimate, low, high`` in the unit
        of the response, ``p``, ``p_holm`` (adjusted for all effects), ``blocks`` (those used) and
        ``incomplete`` (those left out, for lack of a run or of its number). Without a complete
        block the estimate is nan; with fewer than two, so are the interval and p.

    Raises
    ------
    DataError
        If a column is missing, a factor is neither there nor not, or a block has a run twice.
    """
    _check(frame, response, factors, blocks)
    effects = [names for k in range(1, len(factors) + 1) for names in combinations(factors, k)]
    complete, incomplete = _complete(frame, response, factors, blocks)
    rows = [
        {"effect": " × ".join(names)}
        | _estimate(complete @ _contrast(names, factors))
        | {"blocks": len(complete), "incomplete": incomplete}
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
) -> tuple[NDArray[np.float64], int]:
    """Responses of complete blocks, (blocks, 2^k) by number of run, and the count of the rest."""
    size = 2 ** len(factors)
    place = frame[list(factors)].astype(int).to_numpy() @ (2 ** np.arange(len(factors)))
    block = frame.groupby(list(blocks), dropna=False).ngroup().to_numpy()
    found = np.full((int(block.max(initial=-1)) + 1, size), np.nan)
    found[block, place] = frame[response].to_numpy(float)
    whole = np.isfinite(found).all(axis=1)
    return found[whole], int((~whole).sum())


def _contrast(names: Sequence[str], factors: Sequence[str]) -> NDArray[np.float64]:
    """Weight of each of the 2^k runs in an effect; bit i of a run's number is factor i."""
    bits = (np.arange(2 ** len(factors))[:, None] >> np.arange(len(factors))) % 2
    own = [list(factors).index(name) for name in names]
    return np.prod(2.0 * bits[:, own] - 1, axis=1) / 2 ** (len(factors) - 1)


def _estimate(contrasts: NDArray[np.float64]) -> dict[str, float]:
    if contrasts.size < 2:
        mean = float(contrasts[0]) if contrasts.size else float("nan")
        return {"estimate": mean} | dict.fromkeys(("low", "high", "p"), float("nan"))
    found = naive_t(contrasts)  # blocks are what is independent here
    return {"estimate": found.mean, "low": found.low, "high": found.high, "p": found.p}
