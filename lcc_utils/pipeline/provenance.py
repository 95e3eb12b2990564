"""Where a result came from: versions, commit, hardware and time."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from lcc_utils.nn.keras_file import backend_name

PACKAGES = (
    "lcc-utils", "keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy", "pandas",
    "scikit-learn", "opencv-python",
    "opencv-python-headless", "imgaug", "papermill", "jupytext", "jupyter-book",
)  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """Return the version of Python and of each installed package that bears on results."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def backend() -> str:
    """Return the name of the Keras backend that this process uses or would use."""
    return backend_name()


@cache
def hardware() -> dict[str, Any]:
    """Return processor, usable cores, threads of a training, memory in GiB, and GPU if any."""
    return {
        "cpu": _cpu_name(),
        "cores": _cores(),
        "threads": _threads(),
        "memory_gib": _memory_gib(),
        "gpu": _first_line("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
    }


def git_state(folder: Path) -> dict[str, Any]:
    """Return the commit of a checkout and whether tracked files differ from it."""
    commit = _first_line("git", "-C", str(folder), "rev-parse", "HEAD")
    changed = _first_line("git", "-C", str(folder), "status", "--porcelain", "-uno")
    return {"commit": commit, "dirty": bool(changed) if commit else None}


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return what the processor calls itself.

    Virtual machines may tell a brand alone; family and model, which they keep, then say which.
    """
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    first = text.partition("\n\n")[0]
    found = dict(re.findall(r"^(\w[\w ]*?)\s*:[ \t]*(.*?)\s*$", first, re.MULTILINE))
    name = found.get("model name", "")
    if name in ("", "unknown"):
        return platform.processor() or platform.machine()
    if not any(map(str.isdigit, name)) and {"cpu family", "model"} <= found.keys():
        name += f" (family {found['cpu family']}, model {found['model']})"
    return name


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads() -> int:
    """Return the threads of one training; what is no number is ignored, as TensorFlow does."""
    chosen = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(chosen) if re.fullmatch(r"0*[1-9][0-9]{0,5}", chosen) else _cores()


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError, OSError):
        return None


def _first_line(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None
