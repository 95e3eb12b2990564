"""What a run is to do: every experiment of every study, with its split, before any is run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from typing import Any

import pandas as pd

from lcc_utils.data.partitions import PARTITIONS, Split
from lcc_utils.data.splits import (
    image_split,
    kfold_splits,
    leakage_guard,
    leakage_pair,
    leaky_kfold_splits,
    official_split,
    patient_split,
)
from lcc_utils.errors import LccError, RequestError
from lcc_utils.evaluation.result import Missing
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.pipeline.config import RunConfig
from lcc_utils.pipeline.store import SCHEMA, short_digest
from lcc_utils.pipeline.study_settings import SplitSettings


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
        Seed of everything random in the training.
    data_digest
        Digest of all the cells that the run was given.
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
        whole = self.settings.trains_network
        passes = self.settings.training.epochs * (1 + self.settings.training.refit)
        return len(self.split.train) * (passes if whole else 1)


@dataclass(frozen=True)
class Plan:
    """All experiments of a run by study, and those that the data cannot give, with reasons."""

    experiments: dict[str, list[Experiment]]
    refused: list[Missing] = field(default_factory=list)


def split_record(split: Split, cells: pd.DataFrame) -> dict[str, Any]:
    """Return what ``experiment.json`` says of a split: its names, digest and counts."""
    subject = cells.set_index("cell_id")["subject"]
    sides = {part: subject.loc[list(getattr(split, part))] for part in PARTITIONS}
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
        "leaked": int(sides["train"].isin(set(sides["test"])).sum()),
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

    @cache
    def splits(settings: SplitSettings, seed: int) -> tuple[list[Split], str]:
        try:
            made = make_splits(settings, cells, seed)
            for split in made:
                leakage_guard(split, cells)
        except LccError as error:
            return [], str(error)
        return made, ""

    studies = {only: config.studies[only]} if only else config.studies
    for name, study in studies.items():
        experiments[name] = []
        for variant, changes in study.variants.items():
            settings = config.experiment(study.settings, changes)
            for seed in study.seeds:
                for wanted in study.splits:
                    made, reason = splits(wanted, seed)
                    if reason:
                        refused.append(Missing(name, variant, wanted.protocol, seed, reason))
                    experiments[name] += [
                        Experiment(name, variant, settings, split, seed, data_digest)
                        for split in made
                    ]
    if refused and not any(experiments.values()):
        raise RequestError(refused[0].reason)
    return Plan(experiments, refused)


def make_splits(settings: SplitSettings, cells: pd.DataFrame, seed: int) -> list[Split]:
    """Make the splits that settings ask for: one, or as many as there are parts.

    On official folds the seed of the experiment does not change who validates, so that seeds
    differ by training alone; elsewhere it draws the subjects.
    """
    protocol, validation = settings.protocol, settings.validation_share
    if protocol in ("official", "shared"):
        kept = protocol == "official"
        fold = settings.test_fold
        return [official_split(cells, settings.train_folds, fold, validation, drop_shared=kept)]
    if protocol == "kfold":
        away, least = settings.test_fold, settings.min_subjects
        return kfold_splits(
            cells, settings.folds, validation, seed, settings.train_folds, away, least
        )
    if protocol in ("patient_ids", "images", "copies"):
        return leaky_kfold_splits(
            cells, protocol, settings.folds, validation, seed, settings.copies
        )
    if protocol in ("clean", "leaky"):
        least = settings.min_subjects
        pair = leakage_pair(cells, settings.test_share, validation, seed, least)
        return [pair[protocol == "leaky"]]
    if protocol == "patient":
        return [patient_split(cells, settings.shares, seed, settings.min_subjects)]
    return [image_split(cells, settings.shares, seed)]
