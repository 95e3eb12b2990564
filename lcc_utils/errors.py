"""Errors that a user can act on: what is wrong, which file or setting, what to do."""

from __future__ import annotations


class LccError(Exception):
    """Base of the errors that end a command with one paragraph instead of a traceback."""

    exit_code = 1


class RequestError(LccError):
    """What was asked for is wrong: a path, a setting, a parameter, a class or fold not there."""

    exit_code = 2


class DataError(LccError):
    """The request was right but files are faulty or the work failed."""

    exit_code = 1
