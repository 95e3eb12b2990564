"""Where a name becomes part of a path: what it may look like, and what a free text becomes."""

from __future__ import annotations

import re
from typing import Any

from lcc_utils.errors import RequestError

__all__ = ["LONGEST", "checked_name", "given_text", "slug"]

LONGEST = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def checked_name(name: Any, what: str, longest: int = LONGEST) -> str:
    """Return a name that can stand in a path on every system.

    Parameters
    ----------
    name
        Text: letters and digits of ASCII, and ``.``, ``_`` and ``-`` after the first.
    what
        What it names, for the message, such as ``The name of a run``.
    longest
        The most characters.

    Raises
    ------
    RequestError
        If it is no text, has a separator or another sign, is empty or too long, ends with a dot,
        or is the name of a device on Windows.
    """
    if not isinstance(name, str):
        raise RequestError(
            f"{what} is {str(name)[:LONGEST]!r}, which is no text; put it in quotes."
        )
    allowed = _NAME.fullmatch(name) and len(name) <= longest and not name.endswith(".")
    if not allowed or _DEVICES.fullmatch(name):
        shown = name if len(name) <= LONGEST else f"{name[:40]}… ({len(name)} characters)"
        raise RequestError(
            f"{what} is {shown!r}; allowed are up to {longest} letters (a to z), digits and the "
            "signs . _ -, a letter or digit first and no dot last, and no name of a device "
            "such as con or nul."
        )
    return name


def given_text(value: Any, what: str) -> str | None:
    """Return a parameter of a notebook as text; papermill makes numbers of what looks like one.

    Raises
    ------
    RequestError
        If it is neither text nor a number nor None.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise RequestError(f"{what} is {value!r}; give a text (papermill takes one with -r).")


def slug(text: str) -> str:
    """Return a free text as part of a file's name: small letters, digits, single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
