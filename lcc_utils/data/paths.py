"""Turn a user's text into a path, and check that results can be written there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lcc_utils.errors import RequestError
from lcc_utils.text import printable

__all__ = ["user_path", "writable_folder"]


def user_path(text: str | os.PathLike[str], what: str = "A path") -> Path:
    """Return the path that a user means by a text: ``~`` is the home directory.

    Parameters
    ----------
    text
        What was given on the command line, in a setting or as a parameter.
    what
        How an error calls it, such as ``--data``.

    Raises
    ------
    RequestError
        If it is no text, is empty, or holds a NUL character.
    """
    if not isinstance(text, str | os.PathLike):
        raise RequestError(f"{what} is {text!r}, which is no path; give it as text.")
    name = os.fspath(text)
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    if not name.strip():
        raise RequestError(f"{what} is empty; give the path of a file or folder.")
    if "\0" in name:
        raise RequestError(f"{what} {printable(name)!r} holds a NUL character; no path does.")
    # Unlike Path.expanduser, this leaves the text as it is where no home directory is known.
    return Path(os.path.expanduser(name))  # noqa: PTH111


def writable_folder(
    folder: Path, what: str = "--out", files: Sequence[str] = (), new: bool = False
) -> Path:
    """Check that files can be written into a folder, before the work that gives them.

    Nothing is left behind; missing folders are made when the files are written.

    Parameters
    ----------
    folder
        The folder, which need not be there.
    what
        How an error calls it.
    files
        Names of files that will be written, or replaced.
    new
        Whether nothing may be there yet.

    Raises
    ------
    RequestError
        If it is a file, lies below one, cannot be written into, holds a folder of the name of a
        file, or, where it has to be new, exists.
    """
    shown = printable(folder)
    try:
        if new and os.path.lexists(folder):
            raise RequestError(
                f"{shown} exists; name another folder with {what}, or remove it first."
            )
        if os.path.lexists(folder) and not folder.is_dir():
            raise RequestError(f"{what} {shown} is not a folder; name a folder for the results.")
        for name in files:
            if (folder / name).is_dir():
                raise RequestError(
                    f"{shown} holds a folder {name}, where a file of that name has to be written; "
                    f"remove it, or name another folder with {what}."
                )
        if new:
            # It is made beside its place under a longer name, and then moved there.
            _is_there(folder.with_name(f".{folder.name}.{'0' * 32}"))
        _try_to_write(folder)
    except OSError as error:
        raise RequestError(
            f"{what} {shown} cannot be written into ({error.strerror}); name a folder that can, "
            "or make it writable. Nothing was computed."
        ) from error
    return folder


def _try_to_write(folder: Path) -> None:
    """Make a file in a folder, or in the nearest one above that is there, and remove it."""
    place = folder.absolute()
    while not _is_there(place):
        place = place.parent
    with tempfile.TemporaryFile(dir=place):
        pass


def _is_there(place: Path) -> bool:
    """Tell whether something is at a place; a name that cannot be is an error."""
    try:
        place.stat()
    except FileNotFoundError:
        return os.path.lexists(place)
    return True
