"""Where computed files are kept between runs, and how a file is written whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from lcc_utils.data.paths import user_path
from lcc_utils.errors import DataError, RequestError
from lcc_utils.text import printable, utf8

__all__ = ["cache_dir", "write_atomic"]


def cache_dir() -> Path:
    """Return the package's cache directory: ``$LCC_CACHE``, or ``~/.cache/lcc``.

    The directory is not created here; :func:`write_atomic` does so when something is kept.

    Raises
    ------
    RequestError
        If the variable names what is no folder, or is not set and the user has no home directory.
    """
    chosen = os.environ.get("LCC_CACHE")
    if chosen:
        folder = user_path(chosen, "LCC_CACHE")
        if os.path.lexists(folder) and not folder.is_dir():
            raise RequestError(
                f"LCC_CACHE is {printable(folder)}, which is not a folder; set it to one, which "
                "need not be there, or unset it."
            )
        return folder
    try:
        return Path.home() / ".cache" / "lcc"
    except RuntimeError as error:
        raise RequestError(
            f"There is no place for computed files ({error}); set LCC_CACHE to a folder."
        ) from error


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write a file so that it is there whole or, after a failure, as it was before.

    Parameters
    ----------
    path
        The file; missing parent folders are created.
    content
        Bytes, or text that is written as UTF-8 with its line ends as they are; what UTF-8 cannot
        hold, in names of files that are none, becomes the replacement sign.

    Returns
    -------
    pathlib.Path
        The file's path.

    Raises
    ------
    DataError
        If the file cannot be written, for example because the disk is full.
    """
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.write_bytes(utf8(content) if isinstance(content, str) else content)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{path} could not be written ({error.strerror}); free space there or make the "
            "folder writable, and start again. What was there before is unchanged."
        ) from error
    return path
