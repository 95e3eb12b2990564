"""Where the time of one training epoch goes, from input to bookkeeping.

Each part is measured on its own, several times, and its median taken; what the epoch takes beyond
their sum is bookkeeping. Input runs beside the step, so that the parts can also exceed the whole:
bookkeeping is then negative, and input is for nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from bench.cells import labelled, scratch
from bench.record import Record, options, out_folder
from lcc_utils.data.images import PixelCache
from lcc_utils.evaluation.metrics import best_weighted_f1

__all__ = ["main"]

# imgaug runs before the step, so that both kinds of epoch have one compiled step.
TINY = {
    "backbone": "small_cnn",
    "size": 32,
    "batch": 16,
    "cells": 60,
    "repeats": 1,
    "engine": "imgaug",
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write profile.json."""
    args = _arguments(arguments)
    with scratch() as folder:
        cells = labelled(args.data, args.cells, folder)
        cache = PixelCache(cells, args.size, args.crop, cache_dir=folder / "cache")
        labels = cells["label"].to_numpy("int64")
        parts, whole, steps, layers = _parts(args, cache.array, labels)
    record = Record(
        "profile",
        {name: value for name, value in vars(args).items() if name not in ("out", "data", "tiny")}
        | {"data": cells.attrs["label"], "steps": steps},
    )
    rest = whole - sum(parts.values())
    rows = [*parts.items(), ("bookkeeping and overlap", rest), ("whole epoch", whole)]
    record.tables[f"One epoch of {steps} steps ({cells.attrs['label']})"] = pd.DataFrame(
        {
            "part": [name for name, _ in rows],
            "seconds": [round(value, 4) for _, value in rows],
            "share": [round(value / whole, 3) for _, value in rows],
        }
    )
    if layers is not None:
        record.tables["One step, by kind of layer"] = layers
        record.notes.append(
            "Times by kind of layer are those of the processor, both cores together, forth and "
            "back; the network without augmentation. The profiler gives no name to what an "
            "optimizer of Keras' own does on TensorFlow, which counts to the rest."
        )
    record.ratio("network / whole epoch", (parts["step"] + parts["validation"]) / whole, "higher")
    record.finish(out_folder(args))
    return 0


def _parts(
    args: argparse.Namespace, pixels: np.ndarray, labels: np.ndarray
) -> tuple[dict[str, float], float, int, pd.DataFrame | None]:
    """Return seconds of each part, of the whole, the number of steps, and a step by layer."""
    # Here, not above: the framework takes seconds to load, also to say that an option is wrong.
    import keras

    from bench.operations import by_layer
    from bench.training_ours import Ours, settings_of
    from lcc_utils.nn import training

    asked = vars(args) | {"precision": "float32"}
    plain = Ours(settings_of(asked | {"policy": "none"}), pixels, labels)
    full = Ours(settings_of(asked), pixels, labels)
    steps = len(plain.batches)
    # A fifth of the cells, as in a split.
    held = training.Cells(np.arange(len(labels))[::5], labels[::5])

    def input_of(ours: Ours) -> Callable[[], Any]:
        return lambda: [ours.batches[number] for number in range(steps)]

    def validation() -> None:
        training._validate(full.model, pixels, held, best_weighted_f1, 0)

    def epoch() -> None:
        full.epoch(steps)
        validation()

    took = {
        "input": input_of(plain),
        "input and augmentation on the CPU": input_of(full),
        "step": lambda: plain.steps(steps),
        "step and augmentation on the device": lambda: full.steps(steps),
        "validation": validation,
        "whole": epoch,
    }
    seconds = _alternating(took, args.repeats)
    on_cpu = seconds["input and augmentation on the CPU"] - seconds["input"]
    on_device = seconds["step and augmentation on the device"] - seconds["step"]
    parts = {
        "input": seconds["input"],
        "augmentation": (on_cpu if args.engine == "imgaug" else 0) + on_device,
        "step": seconds["step"],
        "validation": seconds["validation"],
    }
    on_tensorflow = keras.backend.backend() == "tensorflow"
    layers = by_layer(plain.model.trainer, plain.steps, min(steps, 5)) if on_tensorflow else None
    return parts, seconds["whole"], steps, layers


def _alternating(took: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the median time of each, in turn; the first time compiles and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in took}
    for number in range(repeats + 1):
        for name, work in took.items():
            start = time.perf_counter()
            work()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(some) for name, some in seconds.items()}


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = options("profile", __doc__)
    parser.add_argument("--backbone", default="efficientnetv2-b0")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--crop", type=int, default=300)
    parser.add_argument("--engine", default="keras", choices=["keras", "imgaug"])
    parser.add_argument("--policy", default="comprehensive")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--cells", type=int, default=480)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", type=Path, metavar="PATH", help="a tree of cells (else drawn)")
    args = parser.parse_args(arguments)
    for name, value in (TINY if args.tiny else {}).items():
        setattr(args, name, value)
    return args


if __name__ == "__main__":
    sys.exit(main())
