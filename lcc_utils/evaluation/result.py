"""What finished experiments leave for evaluation, and which experiments are missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Result:
    """One finished experiment.

    Attributes
    ----------
    key
        Sixteen hex digits that identify the experiment (see ``pipeline.experiments``).
    study, variant, split, seed
        Its place in the run: for example ``"ablation"``, ``"without attention"``,
        ``"fold 0 to 1"``, ``0``.
    settings
        Those of the experiment's pixels, model, loss, augmentation, training and prediction
        that can change its result.
    record
        The whole of ``experiment.json``: also metrics, parameters and file digests.
    read
        Reads ``"predictions"`` or ``"history"``, from disk where the result lies there: a study
        of hundreds of experiments is not held in memory.
    """

    key: str
    study: str
    variant: str
    split: str
    seed: int
    settings: dict[str, Any]
    record: dict[str, Any]
    read: Callable[[str], pd.DataFrame]

    @classmethod
    def in_memory(
        cls, *, predictions: pd.DataFrame, history: pd.DataFrame, **fields: Any
    ) -> Result:
        """Return a result whose tables are at hand."""
        tables = {"predictions": predictions, "history": history}
        return cls(**fields, read=tables.__getitem__)

    @property
    def predictions(self) -> pd.DataFrame:
        """``cell_id, patient, subject, label, score, partition``.

        The score is P(ALL) in 0 to 1, the partition is ``validation`` or ``test``.
        """
        return self.read("predictions")

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch, ``epoch, loss, f1, val_loss, val_f1, val_auc, learning_rate``."""
        return self.read("history")

    @property
    def test(self) -> pd.DataFrame:
        """The predictions on test cells."""
        return _part(self.predictions, "test")

    @property
    def validation(self) -> pd.DataFrame:
        """The predictions on validation cells."""
        return _part(self.predictions, "validation")

    @property
    def metrics(self) -> dict[str, float | int]:
        """What ``metrics.evaluate_result`` found when the experiment was written.

        ``lcc verify`` computes it again from the predictions.
        """
        return self.record["metrics"]

    @property
    def protocol(self) -> str:
        """The protocol of the split; see ``data.splits``."""
        return self.record["split"]["protocol"]


@dataclass(frozen=True)
class Missing:
    """An experiment of the plan that has no result, and why; no reason means not yet run."""

    study: str
    variant: str
    split: str
    seed: int
    reason: str = ""


class Results(dict[str, list[Result]]):
    """Results by study, with what is missing of each study.

    Beside them stand, in the attribute ``measured``, the numbers of what a run measures of its
    networks: by group and kind (see ``pipeline.measured``), empty where it has none.
    """

    def __init__(
        self,
        found: dict[str, list[Result]] | None = None,
        missing: dict[str, list[Missing]] | None = None,
        measured: dict[str, dict[str, pd.DataFrame]] | None = None,
    ) -> None:
        super().__init__(found or {})
        self.missing = missing or {}
        self.measured = defaultdict(dict, measured or {})


def _part(predictions: pd.DataFrame, name: str) -> pd.DataFrame:
    return predictions[predictions["partition"] == name]
