"""Checks of the numbers that layers, losses and schedules are made with."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

__all__ = ["number", "whole_number"]


def number(
    name: str,
    value: Any,
    rule: str,
    holds: Callable[[float], bool],
    error: type[Exception] = ValueError,
) -> float:
    """Return a setting as a float, or refuse it in words.

    Parameters
    ----------
    name
        What the setting is called, for the message.
    value
        The value given.
    rule
        What else holds, such as ``"must not be negative"``.
    holds
        Tells whether a finite number follows the rule.
    error
        What is raised.

    Raises
    ------
    ValueError
        Or ``error``, if the value is no finite number or breaks the rule.
    """
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not (real and math.isfinite(value) and holds(float(value))):
        raise error(f"{name} must be a finite number and {rule}; got {value!r}.")
    return float(value)


def whole_number(name: str, value: Any, least: int) -> int:
    """Return a setting as an integer of at least ``least``; 100.0 counts as 100.

    Raises
    ------
    ValueError
        If it is no whole number or smaller.
    """
    whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more; got {value!r}.")
    return int(value)
