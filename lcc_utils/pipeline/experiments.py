"""Run one experiment, and write what it leaves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lcc_utils.evaluation.metrics import evaluate_result
from lcc_utils.evaluation.result import Result
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.pipeline import provenance
from lcc_utils.pipeline.cells import describe
from lcc_utils.pipeline.learners import Learned, learn
from lcc_utils.pipeline.plan import Experiment
from lcc_utils.pipeline.store import SCHEMA, write_experiment
from lcc_utils.pipeline.weights import keep_weights, weights_path

if TYPE_CHECKING:
    from lcc_utils.nn.course import OnEpoch

HISTORY_COLUMNS = ["epoch", "loss", "f1", "val_loss", "val_f1", "val_auc", "learning_rate"]


def run_experiment(
    experiment: Experiment,
    cells: pd.DataFrame,
    folder: Path,
    on_epoch: OnEpoch | None = None,
) -> None:
    """Train, predict, and write the experiment's directory, and weights that are to be kept.

    Everything in it but ``origin.json`` follows from the experiment alone, so that the same
    experiment leaves the same bytes whenever, and beside whatever else, it is run.

    Parameters
    ----------
    experiment
        What to do.
    cells
        The run's cells.
    folder
        The run's directory; ``experiments/<key>`` appears in it when all is done.
    on_epoch
        Called with each row of the history.

    Raises
    ------
    DataError
        If training diverges or runs out of memory, or a file cannot be read or written.
    """
    start = time.perf_counter()
    learned = learn(experiment.settings, cells, experiment.split, experiment.seed, on_epoch)
    if experiment.keeps_weights and learned.classifier is not None:
        keep_weights(weights_path(folder, experiment.key), learned.classifier)
    predictions = _predictions(experiment, cells, learned)
    history = pd.DataFrame(learned.history, columns=HISTORY_COLUMNS)
    record = _record(experiment, cells, learned)
    result = Result.in_memory(
        key=experiment.key, study=experiment.study, variant=experiment.variant,
        split=experiment.split.name, seed=experiment.seed, settings=record["settings"],
        record=record, predictions=predictions, history=history,
    )  # fmt: skip
    write_experiment(
        folder / "experiments" / experiment.key,
        record | {"metrics": evaluate_result(result)},
        predictions,
        history,
        _origin(learned, time.perf_counter() - start),
    )


def _predictions(experiment: Experiment, cells: pd.DataFrame, learned: Learned) -> pd.DataFrame:
    split, table = experiment.split, cells.set_index("cell_id")
    choosing = split.fitting if experiment.settings.out_of_fold else split.validation
    parts = (
        ("validation", choosing, learned.validation),
        ("test", split.test, learned.test),
    )
    return pd.concat([_scored(table, *part) for part in parts], ignore_index=True)


def _scored(
    table: pd.DataFrame, partition: str, ids: tuple[str, ...], scores: np.ndarray
) -> pd.DataFrame:
    own = table.loc[list(ids)]
    return pd.DataFrame(
        {
            "cell_id": list(ids),
            "patient": own["patient"].to_numpy(),
            "subject": own["subject"].to_numpy(),
            "label": own["label"].to_numpy("int64"),
            # As stored, so that what is computed now equals what is computed from the file.
            "score": [float(f"{score:.9g}") for score in scores],
            "partition": partition,
        }
    )


def _record(experiment: Experiment, cells: pd.DataFrame, learned: Learned) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "key": experiment.key,
        "study": experiment.study,
        "variant": experiment.variant,
        "seed": experiment.seed,
        "dataset": describe(cells.attrs["dataset"], experiment.cells_of(cells)),
        "data_digest": experiment.data_digest,
        "split": _split_record(experiment, experiment.cells_of(cells)),
        "selection": _selection(experiment.settings),
        "settings": experiment.settings.relevant(),
        "model": learned.model,
        **learned.facts,
    }


def _split_record(experiment: Experiment, cells: pd.DataFrame) -> dict[str, Any]:
    split = experiment.split
    subject = cells.set_index("cell_id")["subject"]
    sides = {part: subject.loc[list(getattr(split, part))] for part in _PARTS}
    # What the final model is trained on: "train", or that and "validation".
    refitted = experiment.settings.out_of_fold
    sides["fitted"] = subject.loc[list(split.fitting)] if refitted else sides["train"]
    counts = {part: len(own) for part, own in sides.items()}
    used = {cell for part in _PARTS for cell in getattr(split, part)}
    return {
        "name": split.name,
        "protocol": split.protocol,
        "seed": split.seed,
        "digest": split.digest,
        **counts,
        "unused": int(cells["label"].notna().sum()) - len(used),
        "subjects": {part: int(own.nunique()) for part, own in sides.items()},
        # Training cells of subjects that are also tested: 0 unless the protocol leaks.
        "leaked": int(sides["fitted"].isin(set(sides["test"])).sum()),
    }


def _selection(settings: ExperimentSettings) -> dict[str, Any]:
    """Return on what epoch and threshold are chosen: the cells of partition validation."""
    if settings.out_of_fold:
        return {"by": "out_of_fold", "inner": settings.training.inner}
    return {"by": "validation"}


def _origin(learned: Learned, seconds: float) -> dict[str, Any]:
    return {
        "backend": provenance.backend(),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "finished": provenance.now(),
        "seconds": round(seconds, 3),
        "epoch_seconds": [round(value, 2) for value in learned.epoch_seconds],
    }


_PARTS = ("train", "validation", "test")
