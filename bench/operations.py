"""Which kind of layer the time of a compiled training step goes to, from TensorFlow's profiler."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import pandas as pd

__all__ = ["by_layer", "kind_of"]

REST = "loss, clipping and rest"


def by_layer(model: keras.Model, run: Callable[[int], object], steps: int) -> pd.DataFrame:
    """Return the time of the processor that each kind of layer takes in a step, back and forth.

    Parameters
    ----------
    model
        The compiled model, whose layers' names TensorFlow gives to what it runs for them.
    run
        Runs so many steps; they are compiled already.
    steps
        How many.

    Returns
    -------
    DataFrame
        ``layer, operations, milliseconds, share`` of one step, the longest first.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run(steps)
        events = list(_events(Path(folder)))
    kinds = dict(_kinds(model))
    took, number = Counter(), Counter()
    for name, seconds in events:
        kind = kind_of(name, kinds)
        took[kind] += seconds
        number[kind] += 1
    whole = sum(took.values())
    return pd.DataFrame(
        {
            "layer": kind,
            "operations": round(number[kind] / steps),
            "milliseconds": round(1000 * seconds / steps, 2),
            "share": round(seconds / whole, 3),
        }
        for kind, seconds in took.most_common()
    )


def kind_of(name: str, kinds: dict[str, str]) -> str:
    """Return the kind of layer that an operation belongs to, by the parts of its name.

    A part is the name of a layer, or that with a number, where the layer is called again.

    >>> kind_of("gradient_tape/trainer_1/norm_2_1/Mul_3", {"norm_2": "BatchNormalization"})
    'BatchNormalization'
    """
    for part in name.split("/"):
        if re.fullmatch(r"(layerwise_)?adamw(_\d+)?", part):
            return "optimizer"
        for known in (part, re.sub(r"_\d+$", "", part)):
            if known in kinds:
                return kinds[known]
    return REST


def _kinds(model: keras.Model) -> Iterator[tuple[str, str]]:
    """Yield the names of a model's layers and their classes, those of models within it too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _kinds(layer)
        else:
            yield layer.name, type(layer).__name__.removeprefix("Fused")


def _events(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield name and seconds of every operation that the processor ran."""
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    for path in folder.rglob("*.xplane.pb"):
        for plane in XSpace.FromString(path.read_bytes()).planes:
            names = {key: own.name for key, own in plane.event_metadata.items()}
            for line in plane.lines:
                for event in line.events:
                    # An operation is called after its node and its type; what else is timed is not.
                    node, parted, kind = names[event.metadata_id].rpartition(":")
                    if parted and kind.isidentifier() and not node.endswith(":"):
                        yield node, event.duration_ps / 1e12
