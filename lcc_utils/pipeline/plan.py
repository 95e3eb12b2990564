"""What a run is to do: every experiment of every study, with its split, before any is run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from lcc_utils.data.cnmc import data_digest as digest_of
from lcc_utils.data.partitions import PARTITIONS, Split, need_two_subjects, subject_label
from lcc_utils.data.splits import (
    image_split,
    kfold_splits,
    leakage_guard,
    leakage_splits,
    leaky_kfold_splits,
    of_folds,
    official_split,
    patient_split,
    transport_split,
)
from lcc_utils.errors import LccError, RequestError
from lcc_utils.evaluation.result import Missing
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.pipeline.config import RunConfig
from lcc_utils.pipeline.store import SCHEMA, short_digest
from lcc_utils.pipeline.study_settings import SplitSettings, Study

# The way in which splits and experiments are planned. A run keeps its number: one of before can be
# read, and its numbers recomputed, but its plan cannot be made again. 1: one subject of a class
# may validate, and a refit keeps the threshold of the first training.
PROTOCOL = 2


@dataclass(frozen=True)
class Experiment:
    """One training on one split with one seed; it runs alone and has a stable key.

    Attributes
    ----------
    study, variant
        Its place in a run; they are not part of the key.
    settings
        Pixels, model, loss, augmentation, training, prediction and precision.
    split
        Which cells train, validate and test.
    seed
        Seed of everything random in the training; that of the parts is ``split.seed``.
    data_digest
        Digest of the cells that the split is made from: all that the run was given, or those of
        `folds`.
    folds
        The official folds that the split is made from, if it names some: cells of other folds
        change nothing, not even the key.
    keeps_weights
        Whether a network's trained weights stay in the run, for what looks into it later. It is
        no part of the key.
    """

    study: str
    variant: str
    settings: ExperimentSettings
    split: Split
    seed: int
    data_digest: str
    folds: tuple[int, ...] = ()
    keeps_weights: bool = False

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits over everything that can change the result, and nothing else."""
        return experiment_key(
            self.data_digest, self.split.digest, self.settings.relevant(), self.seed
        )

    @property
    def name(self) -> str:
        """Its place in words."""
        return f"{self.study}, {self.variant}, {self.split.name}, seed {self.seed}"

    @property
    def work(self) -> int:
        """About how much it costs, in cells that pass through training."""
        if not self.settings.trains_network:
            return len(self.split.train)
        # Parts together train on all cells but one part's each; the final model on all.
        passes = self.settings.training.inner if self.settings.out_of_fold else 1
        return len(self.split.train) * self.settings.training.epochs * passes

    def cells_of(self, cells: pd.DataFrame) -> pd.DataFrame:
        """Return the cells that the split is made from."""
        return cells[cells["fold"].isin(self.folds)] if self.folds else cells


@dataclass(frozen=True)
class Plan:
    """All experiments of a run by study, and those that the data cannot give, with reasons."""

    experiments: dict[str, list[Experiment]]
    refused: list[Missing] = field(default_factory=list)


def split_record(experiment: Experiment, cells: pd.DataFrame) -> dict[str, Any]:
    """Return what ``experiment.json`` says of a split: its names, digest and counts.

    Parameters
    ----------
    experiment
        The experiment.
    cells
        The cells that its split is made from (:meth:`Experiment.cells_of`).
    """
    split = experiment.split
    subject = cells.set_index("cell_id")["subject"]
    sides = {part: subject.loc[list(getattr(split, part))] for part in PARTITIONS}
    # What the final model is trained on: "train", or that and "validation".
    refitted = experiment.settings.out_of_fold
    sides["fitted"] = subject.loc[list(split.fitting)] if refitted else sides["train"]
    counts = {part: len(own) for part, own in sides.items()}
    used = {cell for part in PARTITIONS for cell in getattr(split, part)}
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


def first_split(experiments: list[Experiment]) -> list[Experiment]:
    """Return those of a study's experiments that are on its first split, in their order."""
    return [one for one in experiments if one.split.digest == experiments[0].split.digest]


def by_key(plan: Plan) -> dict[str, list[Experiment]]:
    """Return the experiments of a plan by key; one result may have a place in many studies."""
    found: dict[str, list[Experiment]] = {}
    for experiments in plan.experiments.values():
        for one in experiments:
            found.setdefault(one.key, []).append(one)
    return found


def plan_record(plan: Plan) -> dict[str, Any]:
    """Return a plan as ``run.json`` keeps it: ``plan`` by study, and what was ``refused``."""
    return {
        "plan": {
            study: [
                {"variant": e.variant, "split": e.split.name, "seed": e.seed, "key": e.key}
                for e in planned
            ]
            for study, planned in plan.experiments.items()
        },
        "refused": [asdict(missing) for missing in plan.refused],
    }


def experiment_key(data_digest: str, split_digest: str, settings: dict, seed: int) -> str:
    """Return the key of an experiment from what identifies it."""
    return short_digest(
        {
            "schema": SCHEMA,
            "data": data_digest,
            "split": split_digest,
            "settings": settings,
            "seed": seed,
        }
    )


def make_plan(
    config: RunConfig, cells: pd.DataFrame, data_digest: str, only: str | None = None
) -> Plan:
    """Plan every experiment of a run, or of one of its studies, splits made and guarded.

    A split that the data cannot give, or that leaks, is refused by name and the rest of its
    study stays. Variants follow each other, so that a model is compiled once.

    Raises
    ------
    RequestError
        If the data can give no experiment at all, with the first reason.
    """
    experiments: dict[str, list[Experiment]] = {}
    refused: list[Missing] = []
    made = _Splits(cells, data_digest)
    studies = {only: config.studies[only]} if only else config.studies
    for name, study in studies.items():
        experiments[name] = []
        for variant, changes in study.variants.items():
            settings = config.experiment(study.settings, changes)
            for seed in study.seeds:
                for wanted in study.splits:
                    splits, reason = made.of(wanted, seed, settings.out_of_fold)
                    if reason:
                        refused.append(Missing(name, variant, wanted.protocol, seed, reason))
                    folds, digest = made.source(wanted)
                    experiments[name] += [
                        Experiment(name, variant, own, split, training_seed, digest, folds)
                        for training_seed in _training_seeds(study, settings, seed)
                        for split in splits
                        for own in [settings if split.validation else settings.refitted()]
                    ]
    if refused and not any(experiments.values()):
        raise RequestError(refused[0].reason)
    return Plan(experiments, refused)


def _training_seeds(study: Study, settings: ExperimentSettings, seed: int) -> tuple[int, ...]:
    """Return the seeds of training on the parts of one seed."""
    seeds = study.training_seeds or (seed,)
    return seeds if settings.trains_network else seeds[:1]


class _Splits:
    """The splits that settings ask for, made and guarded once, and the cells they are made from."""

    def __init__(self, cells: pd.DataFrame, digest: str) -> None:
        self._cells, self._digest = cells, digest
        self._label = subject_label(cells)
        self._checked: dict[tuple[SplitSettings, int, bool], str] = {}
        self._made: dict[tuple[SplitSettings, int], tuple[list[Split], str]] = {}
        self._digests: dict[tuple[int, ...], str] = {}

    def of(self, settings: SplitSettings, seed: int, out_of_fold: bool) -> tuple[list[Split], str]:
        """Return the splits, or none and why."""
        if (settings, seed) not in self._made:
            self._made[settings, seed] = self._make(settings, seed)
        splits, reason = self._made[settings, seed]
        if (settings, seed, out_of_fold) not in self._checked:
            own = [split for split in splits if out_of_fold or not split.validation]
            self._checked[settings, seed, out_of_fold] = self._too_few(own)
        if too_few := self._checked[settings, seed, out_of_fold]:
            return [], too_few
        return splits, reason

    def source(self, settings: SplitSettings) -> tuple[tuple[int, ...], str]:
        """Return the official folds that a split is made from, if it names some; the digest."""
        if not settings.train_folds:
            return (), self._digest
        named = {*settings.train_folds, settings.test_fold} - {None}
        folds = tuple(sorted(named))
        if folds not in self._digests:
            own = self._cells[self._cells["fold"].isin(folds)]
            whole = len(own) == len(self._cells)
            self._digests[folds] = self._digest if whole else digest_of(own)
        return folds, self._digests[folds]

    def _make(self, settings: SplitSettings, seed: int) -> tuple[list[Split], str]:
        try:
            splits = make_splits(settings, self._cells, seed)
            for split in splits:
                leakage_guard(split, self._cells)
        except LccError as error:
            return [], str(error)
        return splits, ""

    def _too_few(self, splits: list[Split]) -> str:
        """Return why one of some splits cannot choose out of fold: a class has too few subjects."""
        try:
            for split in splits:
                own = self._cells["cell_id"].isin(split.fitting)
                need_two_subjects(self._cells[own], self._label[own])
        except RequestError as error:
            return str(error)
        return ""


def make_splits(settings: SplitSettings, cells: pd.DataFrame, seed: int) -> list[Split]:
    """Make the splits that settings ask for: one, or as many as there are parts.

    On official folds the seed of the experiment does not change who validates, so that seeds
    differ by training alone; elsewhere it draws the subjects.
    """
    protocol, validation, least = (
        settings.protocol, settings.validation_share, settings.min_subjects,
    )  # fmt: skip
    if protocol in ("official", "shared", "transport"):
        folds = (cells, settings.train_folds, settings.test_fold, validation)
        if protocol == "transport":
            return [transport_split(*folds, min_subjects=least)]
        kept = protocol == "official"
        return [official_split(*folds, drop_shared=kept, min_subjects=least)]
    if protocol == "kfold":
        away = settings.test_fold
        return kfold_splits(
            cells, settings.folds, validation, seed, settings.train_folds, away, least
        )
    if settings.train_folds:
        cells = of_folds(cells, settings.train_folds)
    if protocol in ("patient_ids", "images", "copies"):
        return leaky_kfold_splits(
            cells, protocol, settings.folds, validation, seed, settings.copies, least
        )
    if protocol in _PAIRED:
        splits = leakage_splits(cells, settings.test_share, validation, seed, least)
        return [splits[_PAIRED.index(protocol)]]
    if protocol == "patient":
        return [patient_split(cells, settings.shares, seed, least)]
    return [image_split(cells, settings.shares, seed)]


_PAIRED = ("clean", "leaky", "control")
