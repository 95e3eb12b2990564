"""Open a Keras archive from elsewhere: looked through before Keras reads it, and loaded safely.

A ``.keras`` file is a zip of a configuration and of weights. The configuration names classes, and
one that is carelessly followed runs what its author wrote. Here every class it names must be one
that the classifiers of this package are made of, and the weights must lie in the file itself.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lcc_utils.errors import DataError

__all__ = ["ALLOWED", "inspect_archive", "open_archive"]

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
_CONFIG_BYTES = 20 * 2**20
_WHOLE_BYTES = 2 * 2**30
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
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError) as error:
        raise DataError(
            f"{path} is no whole Keras archive ({error}). Copy the model directory again from "
            "where it was made."
        ) from error
    for module, name in _classes(config):
        if name not in ALLOWED.get(module, ()):
            raise DataError(_refused(path, module, name))
    _check_weights(path, weights)


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    sizes = {info.filename: info.file_size for info in archive.infolist()}
    if strange := sorted(sizes.keys() - MEMBERS):
        raise DataError(
            f"{path} is refused: it holds {strange[0]!r}, which no classifier of this package "
            "has. Nothing of it was loaded; use a model directory that `lcc model` wrote."
        )
    if sizes.get("config.json", 0) > _CONFIG_BYTES or sum(sizes.values()) > _WHOLE_BYTES:
        raise DataError(f"{path} is refused: unpacked, it is far larger than any classifier.")


def _classes(value: Any) -> Iterator[tuple[str | None, str]]:
    """Yield module and name of every class that a configuration names, at any depth."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value.get("module"), str(value["class_name"])
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

    try:
        with h5py.File(io.BytesIO(data), "r") as weights:
            look(weights)
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(f"{path} holds damaged weights ({error}). Copy it again.") from error
