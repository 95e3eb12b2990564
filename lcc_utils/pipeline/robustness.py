"""What a run's models make of test images that are changed: one part of the work a model."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pandas as pd
from tqdm import tqdm

from lcc_utils.pipeline.attention import choose
from lcc_utils.pipeline.compute import Workers
from lcc_utils.pipeline.measured import add_table, has_part
from lcc_utils.pipeline.names import slug
from lcc_utils.pipeline.plan import Experiment
from lcc_utils.pipeline.run import Run, finished
from lcc_utils.pipeline.study_settings import ShiftSettings

__all__ = ["STUDY", "Compared", "compared", "score_shifted"]

STUDY = "robustness"


@dataclass(frozen=True)
class Compared:
    """The models whose images are changed, and the test cells that these are of.

    Attributes
    ----------
    run, settings
        The run, and the settings of its shifts.
    experiments
        Those of the study that have a result, on its first split and with its first seed, by
        the name of their variant. Models on frozen networks are not among them.
    cells
        ``cell_id, subject, label, path`` in the order in which they were chosen, which is as
        even over classes and subjects as they come.
    """

    run: Run
    settings: ShiftSettings
    experiments: dict[str, Experiment]
    cells: pd.DataFrame

    def cells_of(self, experiment: Experiment) -> pd.DataFrame:
        """Return the cells of a model: measured features take time, so they may have fewer."""
        classical = experiment.settings.classical
        return self.cells.head(
            min(self.settings.feature_cells, len(self.cells)) if classical else len(self.cells)
        )


def score_shifted(run: Run, progress: bool = True) -> None:
    """Score changed images by the models of a run that have not done so, if its profile asks.

    Networks take the weights that the run kept, or are trained again from their seeds where these
    are gone; models on features are fitted again. What each model gives is kept as soon as it is
    there, so that a run that was stopped goes on after it. Nothing is begun once the time of the
    workers is over, and nothing is done for models without a result.

    Raises
    ------
    DataError
        If pixels cannot be read, or training diverges or runs out of memory.
    """
    found = compared(run)
    if found is None:
        return
    waiting = {
        name: experiment
        for name, experiment in found.experiments.items()
        if not has_part(run.folder, STUDY, part_of(name))
    }
    if not waiting:
        return
    from lcc_utils.pipeline.robustness_work import Work

    deadline, work = Workers.from_environment().deadline, Work(found)
    total = sum(len(found.cells_of(experiment)) for experiment in waiting.values())
    shown = tqdm(total=total, desc="shifts", unit="cell", disable=not progress)
    with run.working(), shown as bar:
        for name, experiment in waiting.items():
            if time.time() >= deadline:
                return
            table = work.scores(experiment, bar.update).assign(model=name)
            add_table(run.folder, STUDY, part_of(name), {"shifted": table})


def compared(run: Run) -> Compared | None:
    """Return models and cells of a run's study of robustness; None where it has none."""
    study = run.config.studies.get(STUDY)
    if study is None or study.shifts is None:
        return None
    whole = [own for own in finished(run, STUDY) if own[0].seed == study.seeds[0]]
    usable = [own for own in whole if not own[0].settings.model.frozen]
    if not usable:
        return None
    paths = run.cells[["cell_id", "path"]]
    cells = choose(usable[0][1], study.shifts.cells).drop(columns="called")
    return Compared(
        run, study.shifts,
        {experiment.variant: experiment for experiment, _ in usable},
        cells.merge(paths, on="cell_id", how="left"),
    )  # fmt: skip


def part_of(model: str) -> str:
    """Return the name of a model's part of the work."""
    return f"images-{slug(model)}"
