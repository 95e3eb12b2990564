"""Check values that settings are made of, and read them from the text of a JSON object."""

from __future__ import annotations

import json
import math
from typing import Any

from lcc_utils.errors import RequestError

__all__ = ["MOST_CHARACTERS", "MOST_DEPTH", "MOST_VALUES", "check_plain", "read_json_object"]

# Far beyond any profile: the largest here has 10,300 characters and 550 values, 7 deep.
MOST_CHARACTERS = 2**18
MOST_VALUES = 50_000
MOST_DEPTH = 32
_LARGEST = 2**53


def check_plain(value: Any, where: str) -> None:
    """Refuse what no setting may hold.

    Parameters
    ----------
    value
        Dicts with names as keys, lists, texts, finite numbers, booleans and None.
    where
        What the value is, for the message.

    Raises
    ------
    RequestError
        If there is anything else in it, or it is too large or nested too deeply.
    """
    waiting, count = [(value, 1)], 0
    while waiting:
        own, depth = waiting.pop()
        count += 1
        if depth > MOST_DEPTH:
            raise RequestError(f"{where} is nested more than {MOST_DEPTH} deep; write it flatter.")
        if count > MOST_VALUES:
            raise RequestError(f"{where} holds more than {MOST_VALUES:,} values; write fewer.")
        if isinstance(own, dict):
            if odd := [key for key in own if not isinstance(key, str)]:
                raise RequestError(f"{where} has the key {odd[0]!r}, which is no name.")
            waiting += [(part, depth + 1) for pair in own.items() for part in pair]
        elif isinstance(own, list | tuple):
            waiting += [(part, depth + 1) for part in own]
        else:
            _check_single(own, where)


def _check_single(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise RequestError(f"{where} holds {value}, which is no number; give a finite one.")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RequestError(f"{where} holds text that is not Unicode: {value!a}.") from error
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise RequestError(f"{where} holds a whole number beyond {_LARGEST:,}.")
    if not (value is None or isinstance(value, str | int | float)):
        raise RequestError(
            f"{where} holds a {type(value).__name__}; settings are texts, numbers, true, false, "
            "null, lists and names with values."
        )


def read_json_object(text: str, where: str, example: str) -> dict[str, Any]:
    """Return the content of a JSON object: finite numbers, each key once.

    Parameters
    ----------
    text
        The JSON.
    where
        What the text is, and `example` how it is written, for the message.

    Raises
    ------
    RequestError
        If it is no such object.
    """
    if len(text) > MOST_CHARACTERS:
        raise RequestError(f"{where} has {len(text):,} characters; {MOST_CHARACTERS:,} are read.")
    try:
        value = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)
    except RecursionError as error:
        raise RequestError(f"{where} is nested too deeply; write it like {example}.") from error
    except ValueError as error:
        raise RequestError(f"{where} is not JSON ({error}); write it like {example}.") from error
    if not isinstance(value, dict):
        raise RequestError(f"{where} must be a JSON object of dotted names and values.")
    check_plain(value, where)
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")
