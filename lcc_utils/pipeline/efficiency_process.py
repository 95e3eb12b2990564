"""A measurement's own process: what it is given, where it works, and what it ran on."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from lcc_utils.pipeline import provenance
from lcc_utils.pipeline.compute import THREADS
from lcc_utils.pipeline.processes import environment, python

__all__ = ["FEATURES", "KERAS", "ONNX", "ask", "origin", "workplace"]

KERAS, ONNX, FEATURES = "Keras", "ONNX Runtime", "measured features"
_PACKAGES = {
    KERAS: {"keras": "Keras", "tensorflow": "TensorFlow", "tensorflow-cpu": "TensorFlow"},
    ONNX: {"onnxruntime": "ONNX Runtime", "onnxruntime-gpu": "ONNX Runtime", "tf2onnx": "tf2onnx"},
    FEATURES: {"numpy": "NumPy", "scikit-image": "scikit-image", "scikit-learn": "scikit-learn"},
}

Numbers = dict[str, Any]


def ask(folder: Path, device: str, request: Numbers) -> Numbers:
    """Run one measurement in a new process and return its answer (``efficiency_worker``)."""
    threads = provenance.hardware()["threads"]
    given, path = folder / "request.json", folder / "answer.json"
    path.unlink(missing_ok=True)
    request = request | {"device": device, "threads": threads, "folder": str(folder)}
    given.write_text(json.dumps(request), encoding="utf-8")
    own = environment(**dict.fromkeys(THREADS, str(threads)))
    if request.get("task") == "count":
        # It is the same under every backend, and this one is there as soon as Keras is.
        own["KERAS_BACKEND"] = "numpy"
    if device == "CPU":
        own["CUDA_VISIBLE_DEVICES"] = "-1"
    command = python("-m", "lcc_utils.pipeline.efficiency_worker", str(given), str(path))
    done = subprocess.run(command, env=own, capture_output=True, check=False)
    ended = f"the process ended with exit status {done.returncode}"
    if not path.exists():
        return {"reason": ended}
    found = json.loads(path.read_text(encoding="utf-8"))
    # One that is killed for want of memory leaves what it has found before.
    return found | ({"unfinished": ended} if done.returncode else {})


@contextmanager
def workplace(place: Path) -> Iterator[Path]:
    """Give a folder for what processes hand to each other; it is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=place, prefix=".costs-") as folder:
        yield Path(folder)


def origin(engine: str, device: str) -> Numbers:
    """Return engine and device with versions, the processor's name and the threads."""
    hardware = provenance.hardware()
    versions = []
    for package, name in _PACKAGES[engine].items():
        try:
            versions.append(f"{name} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return {
        "engine": engine,
        "device": device,
        "processor": hardware["cpu" if device == "CPU" else "gpu"],
        "threads": hardware["threads"],
        "versions": ", ".join(dict.fromkeys(versions)),
    }
