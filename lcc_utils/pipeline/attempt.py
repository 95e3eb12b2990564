"""One experiment, tried: with a log of its own, and a reason instead of a crash."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd

from lcc_utils.pipeline.boundary import reason_of
from lcc_utils.pipeline.experiments import run_experiment
from lcc_utils.pipeline.plan import Experiment
from lcc_utils.pipeline.store import is_whole


def has_result(folder: Path, key: str) -> bool:
    """Tell whether a run's directory holds the result of an experiment."""
    return is_whole(folder / "experiments" / key)


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


class _File(logging.FileHandler):
    """A log file that a full disk leaves short: the work it tells of has its own error."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave a line out that cannot be written."""

    def close(self) -> None:
        """Close the file; what is not written then is lost."""
        with suppress(OSError):
            super().close()


@contextmanager
def _log(path: Path) -> Iterator[logging.Logger]:
    log = logging.Logger(f"lcc.{path.stem}", logging.INFO)
    handler: logging.Handler = logging.NullHandler()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _File(path, encoding="utf-8", errors="replace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    try:
        yield log
    finally:
        handler.close()
