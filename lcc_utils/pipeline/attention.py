"""Maps of attention of a run's networks: trained, seeded anew, without the block, randomised."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from lcc_utils.data.images import PixelCache
from lcc_utils.evaluation.attention import Regions, regions
from lcc_utils.evaluation.result import Result
from lcc_utils.pipeline.compute import Workers
from lcc_utils.pipeline.measured import add_table, has_part
from lcc_utils.pipeline.plan import Experiment
from lcc_utils.pipeline.run import Run, finished
from lcc_utils.pipeline.study_settings import MapSettings

__all__ = ["STUDY", "Chosen", "choose", "explain", "opened"]

STUDY = "attention"


@dataclass(frozen=True)
class Chosen:
    """The test cells whose maps are drawn, and what they are compared with.

    Attributes
    ----------
    run, settings
        The run, and the settings of its maps.
    experiments, results
        Those of the study, on its first split, in the same order: the trained network first.
    pixels
        Every cell's pixels.
    table
        ``cell_id, subject, label, called``, in the order in which they were chosen: ``called``
        is the class that the trained network calls, which every map explains.
    """

    run: Run
    settings: MapSettings
    experiments: list[Experiment]
    results: list[Result]
    pixels: PixelCache
    table: pd.DataFrame

    @property
    def images(self) -> np.ndarray:
        """Pixels of the cells, uint8 ``(n, size, size, 3)``."""
        return self.pixels.array[self.pixels.rows(list(self.table["cell_id"]))]

    @property
    def targets(self) -> np.ndarray:
        """The class that is explained of each cell."""
        return self.table["called"].to_numpy(np.int64)

    @property
    def parts(self) -> list[Regions]:
        """Nucleus, cytoplasm and background of each cell."""
        return [regions(image) for image in self.images]


def explain(run: Run, progress: bool = True) -> None:
    """Compute what a run lacks of the numbers about maps, if its profile asks for them.

    The networks of the study ``attention`` take the weights that the run kept, or are trained
    again from their seeds where these are gone. What each network gives is kept as soon as it is
    there, so that a run that was stopped goes on after it. Nothing is begun once the time of the
    workers is over, and nothing is done for networks without a result.

    Raises
    ------
    DataError
        If pixels cannot be read, or training diverges or runs out of memory.
    """
    chosen = opened(run)
    if chosen is None:
        return
    from lcc_utils.pipeline.attention_work import parts

    deadline = Workers.from_environment().deadline
    waiting = [own for own in parts(chosen) if not has_part(run.folder, STUDY, own[0])]
    if not waiting:
        return
    with run.working():
        for name, work in tqdm(waiting, desc="maps", disable=not (progress and waiting)):
            if time.time() >= deadline:
                return
            add_table(run.folder, STUDY, name, work())


def opened(run: Run) -> Chosen | None:
    """Return the cells and networks of a run's study of attention; None where it has none."""
    study = run.config.studies.get(STUDY)
    if study is None or study.maps is None:
        return None
    whole = [own for own in finished(run, STUDY) if own[0].settings.trains_network]
    if not whole or whole[0][0].key != run.planned[STUDY][0].key:
        return None
    first, result = whole[0]
    same = [own for own in whole if own[0].settings.pixels == first.settings.pixels]
    pixels = PixelCache(run.cells, first.settings.pixels.size, first.settings.pixels.crop)
    return Chosen(
        run, study.maps, [own[0] for own in same], [own[1] for own in same], pixels,
        choose(result, study.maps.cells),
    )  # fmt: skip


def choose(result: Result, count: int) -> pd.DataFrame:
    """Return test cells in turn from every subject of either class, as even as they come.

    The order is random with a fixed seed, and any first part of it is as even as the whole.
    """
    rng = np.random.default_rng(0)
    test = result.test.sort_values("cell_id").reset_index(drop=True)
    test = test.iloc[rng.permutation(len(test))]
    turn = test.groupby("subject").cumcount()
    test = test.assign(turn=turn).sort_values(["turn"], kind="stable")
    place = test.groupby("label").cumcount()
    test = test.assign(place=place).sort_values(["place", "label"], kind="stable").head(count)
    called = (test["score"] >= result.metrics["threshold"]).astype(np.int64)
    table = test[["cell_id", "subject", "label"]].assign(called=called)
    return table.reset_index(drop=True)
