"""One measurement in a process of its own: JSON in, JSON out.

``python -m lcc_utils.pipeline.efficiency_worker REQUEST ANSWER`` reads what to measure from one
file and writes the numbers to the other. Memory is the process's peak, so nothing may have run in
it before; nothing heavy is imported here until it is needed.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lcc_utils.data.cache import write_atomic
from lcc_utils.pipeline.cost_timing import measured, memory_above_now, summary, timed
from lcc_utils.pipeline.parent import end_with

__all__ = ["answers"]

# Images whose scores are compared between engines.
COMPARED = 8
WEIGHTS, SCORES, CELLS = "network.weights.h5", "scores.npy", "cells.npz"
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
_PROVIDERS = {"CPU": "CPUExecutionProvider", "GPU": "CUDAExecutionProvider"}

Numbers = dict[str, Any]


def answers(request: Numbers) -> Iterator[Numbers]:
    """Yield the numbers that a request asks for, each time with what was found until then.

    Parameters
    ----------
    request
        ``task`` ("count", "keras", "onnx" or "features") and what that task takes.

    Yields
    ------
    dict
        Numbers by name; ``reason`` where there are none, and ``unfinished`` where what was to be
        left for others is not there.
    """
    found: Numbers = {}
    try:
        for found in _TASKS[request["task"]](request):
            yield found
    except Exception as error:  # an engine raises whatever it likes; the reason stands in its row
        lines = str(error).splitlines() or ["no message"]
        name = "unfinished" if found else "reason"
        yield found | {name: f"{type(error).__name__}: {lines[0][:200]}"}


def _count(request: Numbers) -> Iterator[Numbers]:
    """Count parameters and multiply-adds of networks."""
    from lcc_utils.nn.classifier import parameter_counts
    from lcc_utils.nn.cost import multiply_adds

    rows = []
    for network in request["networks"]:
        model = _built(network)
        counts = parameter_counts(model) | {"multiply_adds": multiply_adds(model)}
        rows.append({"network": model.name, **counts})
    yield {"rows": rows}


def _keras(request: Numbers) -> Iterator[Numbers]:
    """Measure a network under Keras; the first to do so leaves what the others are to load."""
    import keras

    from lcc_utils.nn.export import settle

    _warm(keras)
    memory = _device_memory() if request["device"] == "GPU" else memory_above_now()
    network, folder = request["network"], Path(request["folder"])
    model = _built(network, _POLICIES[request["precision"]])
    # XLA takes long to compile and, on a CPU, longer to run.
    model.compile(jit_compile=False)
    found = measured(request, model.predict_on_batch, memory)
    images, weights = _images(network["size"]), folder / WEIGHTS
    first = not weights.exists()
    if first:
        settle(model, images)
        model.save_weights(weights)
        np.save(folder / SCORES, model.predict_on_batch(images))
    else:
        model.load_weights(weights)
    yield found | {
        "disk": weights.stat().st_size / 1e6,
        "score_difference": _difference(model.predict_on_batch(images), folder),
    }
    if first:
        _export(model, folder, request["export"])


def _onnx(request: Numbers) -> Iterator[Numbers]:
    """Measure a network's file under ONNX Runtime."""
    import onnxruntime

    device, folder = request["device"], Path(request["folder"])
    if _PROVIDERS[device] not in onnxruntime.get_available_providers():
        yield {"reason": f"the installed ONNX Runtime has no provider for a {device}"}
        return
    # What a process holds says little of the GPU's memory, and nobody tells of that.
    memory = memory_above_now() if device == "CPU" else lambda: None
    path = folder / f"{request['precision']}.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=[_PROVIDERS[device]])
    name = session.get_inputs()[0].name

    def predict(images: np.ndarray) -> np.ndarray:
        return session.run(None, {name: images})[0]

    yield measured(request, predict, memory) | {
        "disk": path.stat().st_size / 1e6,
        "score_difference": _difference(predict(_images(request["network"]["size"])), folder),
    }


def _features(request: Numbers) -> Iterator[Numbers]:
    """Measure a classical model: the features of a decoded cell, and its score."""
    import pickle

    import cv2

    from lcc_utils.classical.features import measure
    from lcc_utils.classical.models import fit

    cv2.setNumThreads(request["threads"])
    with np.load(Path(request["folder"]) / CELLS, allow_pickle=False) as kept:
        images, features, labels = (kept[name] for name in ("images", "features", "labels"))
    model = fit(request["network"]["backbone"], features, labels, seed=0)
    turn = itertools.cycle(images)

    def scored() -> np.ndarray:
        return model.scores(np.array([list(measure(next(turn)).values())]))

    # The first call loads what it needs.
    scored()
    memory = memory_above_now()
    taken = timed(scored, request["repeats"], request["seconds"])
    counts = dict.fromkeys(("parameters_total", "parameters_trainable"), model.parameters)
    yield summary(taken) | {
        "throughput": 1 / float(np.median(taken)),
        "memory": memory(),
        "disk": len(pickle.dumps(model)) / 1e6,
        **counts,
    }


_TASKS = {"count": _count, "keras": _keras, "onnx": _onnx, "features": _features}


def _built(network: Numbers, precision: str = "float32") -> Any:
    from lcc_utils.nn.classifier import build_classifier
    from lcc_utils.nn.original import ORIGINAL, build_original

    if network["backbone"] == ORIGINAL:
        return build_original(precision)
    return build_classifier(
        network["backbone"],
        network["size"],
        attention=network["attention"],
        reduction=network["reduction"],
        weights="none",
        precision=precision,
    )


def _export(model: Any, folder: Path, precisions: list[str]) -> None:
    """Leave ONNX files in a folder."""
    from lcc_utils.nn.export import export_half, export_onnx

    if precisions:
        export_onnx(model, folder / "float32.onnx")
    if "float16" in precisions:
        export_half(folder / "float32.onnx", folder / "float16.onnx")


def _device_memory() -> Callable[[], float]:
    """Return what gives the GPU's peak, in MiB."""
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        raise RuntimeError("TensorFlow sees no GPU")
    return lambda: tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20


def _warm(keras: Any) -> None:
    """Let the framework start its threads and kernels, which belong to no network."""
    image = keras.Input((4,))
    keras.Model(image, keras.layers.Dense(2)(image)).predict_on_batch(np.zeros((1, 4), "float32"))


def _images(side: int) -> np.ndarray:
    """Return images of a few large patches of colour, which networks tell apart."""
    place = np.arange(side) * 4 // side
    patches = np.random.default_rng(1).uniform(0, 255, (COMPARED, 4, 4, 3)).astype(np.float32)
    return patches[:, place][:, :, place]


def _difference(scores: np.ndarray, folder: Path) -> float:
    return float(np.abs(scores - np.load(folder / SCORES, allow_pickle=False)).max())


def main(request: str, path: str) -> None:
    """Read the request, and write the answer each time that there is more of it."""
    for found in answers(json.loads(Path(request).read_text(encoding="utf-8"))):
        write_atomic(path, json.dumps(found))


if __name__ == "__main__":
    end_with(os.getppid())
    main(*sys.argv[1:])
