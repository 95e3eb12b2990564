"""Check Keras' own settings before Keras is imported: its file, and its variables."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from lcc_utils.errors import RequestError

__all__ = ["backend_name", "check_keras", "keras_home"]

_TRAIN = ("tensorflow", "jax", "torch")
# What Keras takes from its file beside the backend. It raises at import where it finds another.
_TAKEN = {
    "floatx": ("float16", "float32", "float64"),
    "image_data_format": ("channels_last", "channels_first"),
}
_LIMITS = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH")


def keras_home() -> Path:
    """Return the folder of ``keras.json`` and of downloaded weights, as Keras finds it."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    return Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras"


def backend_name() -> str:
    """Return the backend that Keras uses here, or would use: of its variable, or of its file."""
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen:
        return chosen
    try:
        return str(_of_file(_file()).get("backend", _TRAIN[0]))
    except RequestError:
        return _TRAIN[0]


def check_keras() -> None:
    """Refuse settings of Keras under which it does not load, or trains otherwise.

    Raises
    ------
    RequestError
        If ``keras.json`` is damaged or holds a value that Keras refuses, the backend is not known
        or not installed, or a variable cuts trainings short; which file or variable.
    """
    path = _file()
    found = _of_file(path)
    for name, taken in _TAKEN.items():
        if found.get(name, taken[0]) not in taken:
            raise RequestError(f"{path} sets {name} to {found[name]!r}; use {' or '.join(taken)}.")
    if not isinstance(found.get("epsilon", 1e-7), float):
        raise RequestError(f"{path} sets epsilon to {found['epsilon']!r}; use a number like 1e-7.")
    if limits := [name for name in _LIMITS if os.environ.get(name)]:
        raise RequestError(f"{limits[0]} is set and would cut trainings short; unset it.")
    _check_backend(path)


def _check_backend(path: Path) -> None:
    name, of_variable = backend_name(), bool(os.environ.get("KERAS_BACKEND"))
    place = "The variable KERAS_BACKEND" if of_variable else f"backend in {path}"
    if name not in _TRAIN:
        raise RequestError(
            f"{place} is {name[:40]!r}; networks are trained with {', '.join(_TRAIN)}. Choose one "
            "of them."
        )
    if importlib.util.find_spec(name) is None:
        raise RequestError(
            f"{place} is {name!r} and {name} is not installed here; install it, or choose another "
            f"of {', '.join(_TRAIN)}."
        )


def _file() -> Path:
    return keras_home() / "keras.json"


def _of_file(path: Path) -> dict[str, Any]:
    """Return what ``keras.json`` sets; nothing where it is not there, or about to be written."""
    if path.exists() and not path.is_file():
        raise RequestError(f"{path} is no file; {_REMEDY}.")
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        found = json.loads(text) if text else {}
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); {_REMEDY}.") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path} is not JSON ({error}); {_REMEDY}.") from error
    if not isinstance(found, dict):
        raise RequestError(f"{path} holds no settings of Keras; {_REMEDY}.")
    return found


_REMEDY = "repair it, or delete it and Keras writes another"
