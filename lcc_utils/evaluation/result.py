"""What one finished experiment leaves for evaluation: its settings, history and predictions."""

from __future__ import annotations

from dataclasses import dataclass

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
        The experiment's pixels, model, loss, augmentation and training settings.
    predictions
        ``cell_id, patient, subject, label, score, partition``; score is P(ALL) in 0 to 1,
        partition is ``validation`` or ``test``.
    history
        One row an epoch: ``epoch, loss, f1, val_loss, val_f1, val_auc, learning_rate, seconds``.
    record
        The whole of ``experiment.json``: also parameters, times, hardware and file digests.
    """

    key: str
    study: str
    variant: str
    split: str
    seed: int
    settings: dict
    predictions: pd.DataFrame
    history: pd.DataFrame
    record: dict

    @property
    def test(self) -> pd.DataFrame:
        """The predictions on test cells."""
        return self.predictions[self.predictions["partition"] == "test"]

    @property
    def validation(self) -> pd.DataFrame:
        """The predictions on validation cells."""
        return self.predictions[self.predictions["partition"] == "validation"]
