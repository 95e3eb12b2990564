"""Lists that the book keeps in YAML: the paper's claims, what others report."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lcc_utils.errors import RequestError

Entry = TypeVar("Entry", bound=BaseModel)
# The parser in C reads the same, some ten times as fast; it is not in every build of PyYAML.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_list(path: Path, name: str) -> list:
    """Return the list of this name in a YAML file.

    Raises
    ------
    RequestError
        If the file is missing or not YAML, or holds no such list, or an empty one.
    """
    try:
        document = _document(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"The file {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise RequestError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    listed = document.get(name) if isinstance(document, dict) else None
    if not isinstance(listed, list) or not listed:
        raise RequestError(f"{path} has no list named {name!r}; add it or restore the file.")
    return list(listed)


def read_entries(path: Path, name: str, kind: type[Entry], called: str) -> list[Entry]:
    """Return the entries of a list, each checked.

    Parameters
    ----------
    path, name
        As in :func:`read_list`.
    kind
        What an entry is.
    called
        The field by which an error names an entry.

    Raises
    ------
    RequestError
        As in :func:`read_list`; also if an entry is incomplete or has an unknown field.
    """
    return [_checked(item, path, kind, called) for item in read_list(path, name)]


@lru_cache(maxsize=16)
def _document(text: str) -> object:
    """Parse YAML; a table of claims asks for the same files again and again."""
    return yaml.load(text, _LOADER)


def _checked(item: object, path: Path, kind: type[Entry], called: str) -> Entry:
    try:
        return kind.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        own = item.get(called, f"without {called}") if isinstance(item, dict) else repr(item)
        field = ".".join(str(part) for part in first["loc"]) or "entry"
        raise RequestError(
            f"{path}: {kind.__name__.lower()} {own}: {field}: {first['msg']}."
        ) from error
