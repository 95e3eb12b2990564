"""How long calls take and how much memory a process has held; imports nothing heavy."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["measured", "memory_above_now", "peak", "summary", "timed"]

WARM_UP = 2
_STATUS = Path("/proc/self/status")


def timed(
    call: Callable[[], object],
    repeats: int,
    seconds: float,
    warm_up: int = WARM_UP,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return how long each of some repeats took, in seconds.

    Parameters
    ----------
    call
        What is timed.
    repeats
        How many at most.
    seconds
        No repeat begins once they have taken as long together; there is one at least.
    warm_up
        Calls before the first that is timed.
    clock
        Gives the time in seconds.
    """
    for _ in range(warm_up):
        call()
    taken: list[float] = []
    while not taken or (len(taken) < repeats and sum(taken) < seconds):
        start = clock()
        call()
        taken.append(clock() - start)
    return taken


def summary(taken: list[float]) -> dict[str, Any]:
    """Return median and quartiles of times in seconds: in milliseconds, with their number."""
    low, middle, high = (1000 * float(value) for value in np.quantile(taken, [0.25, 0.5, 0.75]))
    quartiles = {"latency_q1": low, "latency_q3": high}
    return {"latency": middle, **quartiles, "repeats": len(taken)}


def measured(
    request: dict[str, Any],
    predict: Callable[[np.ndarray], object],
    memory: Callable[[], float | None],
) -> dict[str, Any]:
    """Time a network on single images and on batches.

    Parameters
    ----------
    request
        ``network["size"], batch, repeats, seconds``.
    predict
        Takes float32 ``(n, size, size, 3)``, pixels 0 to 255.
    memory
        Gives the largest memory held so far, in MiB, or None where nobody knows.

    Returns
    -------
    dict
        ``latency, latency_q1, latency_q3`` of one image in milliseconds and their number
        ``repeats``, ``throughput`` in images a second, ``memory`` and ``memory_batch``.
    """
    side, batch = request["network"]["size"], request["batch"]
    images = np.random.default_rng(0).uniform(0, 255, (batch, side, side, 3)).astype(np.float32)
    limits = request["repeats"], request["seconds"]
    found = summary(timed(lambda: predict(images[:1]), *limits)) | {"memory": memory()}
    many = timed(lambda: predict(images), *limits, warm_up=1)
    return found | {"throughput": batch / float(np.median(many)), "memory_batch": memory()}


def peak() -> float:
    """Return the largest memory that this process has held, in MiB."""
    if _STATUS.exists():
        # What getrusage says begins with the peak of the process that started this one.
        found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())
        return int(found[1]) / 2**10
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, KiB elsewhere.
    return found / 2**20 if sys.platform == "darwin" else found / 2**10


def memory_above_now() -> Callable[[], float]:
    """Return what gives the largest memory that this process has held since, less that of now."""
    with suppress(OSError):
        # Linux forgets the peak up to here, such as that of imports.
        Path("/proc/self/clear_refs").write_text("5")
    start = peak()
    return lambda: peak() - start
