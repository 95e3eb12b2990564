"""One experiment, tried: with a log of its own, and a reason instead of a crash."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from lcc_utils.errors import LccError
from lcc_utils.pipeline.experiments import run_experiment
from lcc_utils.pipeline.plan import Experiment


def has_result(folder: Path, key: str) -> bool:
    """Tell whether a run's directory holds the result of an experiment."""
    return (folder / "experiments" / key / "experiment.json").exists()


def attempt(
    experiment: Experiment,
    cells: pd.DataFrame,
    folder: Path,
    on_epoch: Callable[[], None] | None = None,
) -> str:
    """Run one experiment with a log of its own; return why it failed, or nothing."""
    with _log(folder / "logs" / f"{experiment.key}.log") as log:
        log.info("%s starts: %s", experiment.key, experiment.name)

        def row(values: dict[str, float]) -> None:
            log.info("%s", values)
            if on_epoch:
                on_epoch()

        try:
            run_experiment(experiment, cells, folder, row)
        except Exception as error:
            reason = reason_of(error)
            log.error("failed: %s\n%s", reason, traceback.format_exc())
            return reason
        log.info("done")
        return ""


def reason_of(error: Exception) -> str:
    """Return in a sentence why an experiment failed."""
    if isinstance(error, LccError):
        return str(error)
    if isinstance(error, MemoryError):
        return "Out of memory; lower training.batch or pixels.size, or use fewer jobs."
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {first[:300]}"


@contextmanager
def _log(path: Path) -> Iterator[logging.Logger]:
    path.parent.mkdir(parents=True, exist_ok=True)
    log = logging.Logger(f"lcc.{path.stem}", logging.INFO)
    handler = logging.FileHandler(path, encoding="utf-8", errors="replace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    try:
        yield log
    finally:
        handler.close()
