"""Ranks of values, without the whole of ``scipy.stats``, which takes half a second to load."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


def ranks(
    values: ArrayLike, ties: Literal["average", "min", "first"] = "average"
) -> NDArray[np.float64]:
    """Return each value's rank from 1 on, shape (n,).

    Parameters
    ----------
    values
        Shape (n,), none of them nan.
    ties
        What equal values get: the mean of their ranks, the lowest of them, or each its own in the
        order in which they come.
    """
    return pd.Series(np.asarray(values)).rank(method=ties).to_numpy()
