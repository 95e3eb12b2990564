"""Open a Keras archive from elsewhere: looked through before Keras reads it, and loaded safely.

A ``.keras`` file is a zip of a configuration and of weights. The configuration names classes, and
one that is carelessly followed runs what its author wrote. Here every class it names must be one
that the classifiers of this package are made of, and the weights must lie in the file itself.
"""

from __future__ import annotations

import io
import json
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lcc_utils.errors import DataError

__all__ = ["ALLOWED", "inspect_archive", "open_archive"]

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
_CONFIG_BYTES = 20 * 2**20
_WHOLE_BYTES = 2 * 2**30
# How many times larger than packed a file may be: weights hardly shrink.
_TIGHTEST = 100
_LAYERS = (
    "Activation", "Add", "BatchNormalization", "Conv2D", "Dense", "DepthwiseConv2D", "Dropout",
    "GlobalAveragePooling2D", "InputLayer", "MaxPooling2D", "Multiply", "Normalization", "ReLU",
    "Rescaling", "Reshape", "SeparableConv2D", "Softmax", "ZeroPadding2D",
)  # fmt: skip
# What the networks of nn.backbones, attention and head consist of, by the module that Keras notes.
ALLOWED: dict[str | None, frozenset[str]] = {
    "keras": frozenset({"DTypePolicy"}),
    "keras.initializers": frozenset({"GlorotUniform", "Ones", "VarianceScaling", "Zeros"}),
    "keras.layers": frozenset(_LAYERS),
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.src.ops.numpy": frozenset({"Add", "GetItem", "Stack", "Subtract", "TrueDivide"}),
    "lcc_utils.nn.blocks": frozenset({"SqueezeExcite"}),
    "lcc_utils.nn.fused": frozenset({"FusedActivation", "FusedBatchNormalization"}),
    None: frozenset({"__ellipsis__", "__keras_tensor__", "__tensor__"}),
}


def open_archive(path: Path) -> Any:
    """Return the Keras model of an archive, after :func:`inspect_archive`; it is not compiled.

    Raises
    ------
    DataError
        If the archive is refused or damaged.
    """
    inspect_archive(path)
    import keras

    from lcc_utils.nn.blocks import SqueezeExcite
    from lcc_utils.nn.fused import FusedActivation, FusedBatchNormalization
    from lcc_utils.nn.keras_settings import keras_settings

    ours = {
        f"lcc_utils>{one.__name__}": one
        for one in (SqueezeExcite, FusedActivation, FusedBatchNormalization)
    }
    try:
        with keras_settings():
            return keras.saving.load_model(path, custom_objects=ours, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever the layer at hand raises
        reason = str(error).strip().splitlines()
        raise DataError(
            f"{path} cannot be loaded ({reason[0][:200] if reason else type(error).__name__}). "
            "Copy the model directory again from where it was made."
        ) from error


def inspect_archive(path: Path) -> None:
    """Look through an archive without running anything that it holds.

    Raises
    ------
    DataError
        If it is no archive that Keras wrote, names a class that is not in :data:`ALLOWED`, or
        its weights refer to another file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            config = json.loads(archive.read("config.json"))
            weights = archive.read("model.weights.h5")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, RuntimeError) as error:
        raise DataError(
            f"{path} is no whole Keras archive ({error}). Copy the model directory again from "
            "where it was made."
        ) from error
    if not isinstance(config, dict) or config.get("class_name") != "Functional":
        raise DataError(f"{path} is refused: its configuration is not that of a classifier.")
    try:
        named = list(_classes(config))
    except RecursionError as error:
        raise DataError(f"{path} is refused: its configuration is nested too deeply.") from error
    for module, name, registered in named:
        if name not in ALLOWED.get(module, ()):
            raise DataError(_refused(path, module, name))
        if registered not in (None, name, f"lcc_utils>{name}"):
            raise DataError(_refused(path, None, f"{name} as {registered}"))
    _check_weights(path, weights)


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [info.filename for info in members]
    if strange := sorted(set(names) - MEMBERS):
        raise DataError(
            f"{path} is refused: it holds {strange[0]!r}, which no classifier of this package "
            "has. Nothing of it was loaded; use a model directory that `lcc model` wrote."
        )
    if len(names) > len(set(names)) or any(_is_link(info) for info in members):
        raise DataError(f"{path} is refused: it holds a file twice, or a link.")
    for info in members:
        most = _CONFIG_BYTES if info.filename != "model.weights.h5" else _WHOLE_BYTES
        tight = info.file_size > _TIGHTEST * info.compress_size + _CONFIG_BYTES
        if info.file_size > most or tight:
            raise DataError(f"{path} is refused: unpacked, it is far larger than any classifier.")


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)


def _classes(value: Any) -> Iterator[tuple[str | None, str, Any]]:
    """Yield module, name and registered name of every class in a configuration, at any depth."""
    if isinstance(value, dict):
        if "class_name" in value:
            module, name = value.get("module"), value["class_name"]
            yield module if module is None else str(module), str(name), value.get("registered_name")
        for own in value.values():
            yield from _classes(own)
    elif isinstance(value, list):
        for own in value:
            yield from _classes(own)


def _refused(path: Path, module: str | None, name: str) -> str:
    what = f"{module}.{name}" if module else name
    why = (
        "which can hold code that runs when it is loaded"
        if name in ("Lambda", "__lambda__", "function")
        else "which is not among the classes that the classifiers of this package are made of"
    )
    return (
        f"{path} is refused: it names {what}, {why}. Nothing of it was loaded. Use a model "
        "directory that `lcc model` wrote, from somebody you trust."
    )


def _check_weights(path: Path, data: bytes) -> None:
    """Refuse weights that are links, or that lie in other files."""
    import h5py

    def look(group: Any) -> None:
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise DataError(f"{path} is refused: its weights hold a link, {name!r}.")
            own = group[name]
            if isinstance(own, h5py.Group):
                look(own)
            elif own.external or own.is_virtual:
                raise DataError(f"{path} is refused: its weights refer to other files.")
            elif own.nbytes > len(data):
                raise DataError(f"{path} is refused: its weights are larger than their file.")

    try:
        with h5py.File(io.BytesIO(data), "r") as weights:
            look(weights)
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(f"{path} holds damaged weights ({error}). Copy it again.") from error
