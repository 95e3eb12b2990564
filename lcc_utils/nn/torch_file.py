"""Read the tensors of a PyTorch weights file without PyTorch and without running its code."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from lcc_utils.errors import DataError

__all__ = ["read_tensors"]

_MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {("torch", "FloatStorage"): "<f4", ("torch", "LongStorage"): "<i8"}


class _Tensor(NamedTuple):
    """Where a tensor lies: its storage (key and type), first element, shape and strides."""

    storage: tuple[str, str]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a state dictionary that ``torch.save`` wrote before version 1.6.

    The file is a row of pickles and then the raw numbers. Of the pickles only tables, text,
    numbers and the description of a tensor are taken; every other name in them is refused, so
    that nothing which the file brings is run.

    Parameters
    ----------
    path
        The file, usually named ``.pth``.

    Returns
    -------
    dict
        Tensor names to arrays, float32 or int64.

    Raises
    ------
    DataError
        If the file cannot be read, holds anything else than tensors, or ends too early.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(
            f"{path} is no weights file of PyTorch in the form used before version 1.6, or is "
            f"damaged ({type(error).__name__}: {error})."
        ) from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    magic, _protocol, _system = (_Tables(file).load() for _ in range(3))
    if magic != _MAGIC:
        raise ValueError("it does not begin as such a file does")
    named = _Tables(file).load()
    tensors = {name: one for name, one in named.items() if isinstance(one, _Tensor)}
    types = dict(one.storage for one in tensors.values())
    storages = {key: _numbers(file, types[key]) for key in _Tables(file).load()}
    return {name: _array(one, storages[one.storage[0]]) for name, one in tensors.items()}


def _numbers(file: BinaryIO, kind: str) -> np.ndarray:
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    size = count * np.dtype(kind).itemsize
    data = file.read(size)
    if len(data) != size:
        raise ValueError("it ends within the numbers of a tensor")
    return np.frombuffer(data, kind)


def _array(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    """Return a copy of a tensor; it may be a transposed view of its numbers."""
    last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if min((*tensor.shape, *tensor.strides, tensor.offset + 1)) < 0 or (
        math.prod(tensor.shape) and tensor.offset + last >= len(numbers)
    ):
        raise ValueError("a tensor in it reaches beyond its numbers")
    steps = [step * numbers.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, steps)
    return view.copy()


class _Tables(pickle.Unpickler):
    """Takes tables, text and numbers, and tensors as descriptions of where they lie."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name in the file, or refuse it."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _described
        if (module, name) in _TYPES:
            return _TYPES[module, name]
        raise ValueError(f"it asks for {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        """Return key and type of a storage; its numbers follow after the tables."""
        _storage, kind, key, *_ = pid
        return str(key), kind


def _described(
    storage: tuple[str, str], offset: int, shape: tuple, strides: tuple, *_: Any
) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(shape), tuple(strides))
