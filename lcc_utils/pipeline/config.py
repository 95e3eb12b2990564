"""RunConfig: every setting of a run, read from a profile and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

import lcc_utils
from lcc_utils.errors import RequestError
from lcc_utils.nn.backbones import backbone
from lcc_utils.nn.original import ORIGINAL, ORIGINAL_SIZE
from lcc_utils.nn.settings import ExperimentSettings, Settings

PROFILES = Path(lcc_utils.__file__).resolve().parent.parent / "params"

Share = Annotated[float, Field(gt=0, lt=1)]


class DatasetSettings(Settings):
    """Where cells come from."""

    source: Literal["synthetic", "c-nmc-2019"]
    phases: tuple[Literal["train", "prelim"], ...] = ("train",)
    cells: int = Field(1200, gt=0, description="synthetic cells to draw")
    seed: int = Field(2019, description="seed of the synthetic cells")


class SplitSettings(Settings):
    """How cells are divided; see ``data.splits``."""

    protocol: Literal[
        "official", "shared", "transport", "patient", "image", "kfold",
        "clean", "leaky", "control", "patient_ids", "images", "copies",
    ]  # fmt: skip
    train_folds: tuple[int, ...] = Field(
        (), description="official folds that cells are taken from; empty for all"
    )
    test_fold: int | None = Field(
        None, description="kfold: subjects that occur in this official fold are left out"
    )
    validation_share: Share = 0.15
    shares: tuple[Share, Share, Share] = Field(
        (0.8, 0.1, 0.1), description="patient and image: training, validation, test"
    )
    test_share: Share = Field(
        0.25, description="clean, leaky and control: share of subjects to test on"
    )
    min_subjects: int = Field(
        2,
        ge=1,
        description="least subjects of a class that validate and that train, and that test where "
        "subjects are drawn; where a class has too few to hold any out, choices are out of fold",
    )
    folds: int = Field(5, ge=2, description="kfold and alike: number of parts, each tested once")
    copies: Share = Field(0.6, description="copies: share of HEM images with an augmented copy")

    @model_validator(mode="after")
    def _official_folds_are_named(self) -> SplitSettings:
        if self.protocol in ("official", "shared", "transport") and (
            self.test_fold is None or not self.train_folds
        ):
            raise ValueError(f"protocol {self.protocol} needs train_folds and test_fold")
        return self


class MapSettings(Settings):
    """Maps of attention for some test cells of a study's first split."""

    cells: int = Field(240, gt=0, description="cells, spread over classes and subjects")
    score_cam_cells: int = Field(48, gt=0, description="of these, how many for Score-CAM")
    max_channels: int = Field(32, gt=0, description="Score-CAM: channels of the feature map")
    smooth_samples: int = Field(8, ge=0, description="SmoothGrad: noisy copies of an image")
    steps: int = Field(16, gt=0, description="deletion and insertion: steps of a curve")


class ShiftSettings(Settings):
    """Changed images of some test cells of a study's first split; see ``data.shift_scales``."""

    cells: int = Field(480, gt=0, description="cells, spread over classes and subjects")
    feature_cells: int = Field(
        480, gt=0, description="of these, how many for models on measured features"
    )


class CostSettings(Settings):
    """Time, memory and size of the networks of a study and of others."""

    sides: tuple[int, ...] = Field(description="image sides of the study's networks, px")
    also: dict[str, tuple[int, ...]] = Field(
        {}, description="further networks, or further sides of a backbone: its name to sides"
    )
    batch: int = Field(16, gt=0, description="images at a time for throughput")
    repeats: int = Field(30, gt=0, description="most repeats of each timing")
    seconds: float = Field(10.0, gt=0, description="no repeat begins after so long")
    onnx: bool = Field(True, description="ONNX Runtime beside Keras")
    half: bool = Field(True, description="half precision beside float32")

    @field_validator("also")
    @classmethod
    def _known(cls, value: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        for name, sides in value.items():
            if name == ORIGINAL and set(sides) != {ORIGINAL_SIZE}:
                raise ValueError(f"{ORIGINAL} takes images of {ORIGINAL_SIZE} px alone")
            if name != ORIGINAL:
                _check_sides(name, sides)
        return value


class Study(Settings):
    """Experiments that belong together: every variant on every split with every seed."""

    splits: tuple[SplitSettings, ...]
    seeds: tuple[int, ...] = Field(
        (0,),
        description="seeds of the parts and of training: a list, or a number n for 0 to n - 1",
    )
    training_seeds: tuple[int, ...] | None = Field(
        None,
        description="seeds of training on the parts of each of seeds, so that both can be told "
        "apart; by default each part's own. Models that train no network take the first alone",
    )
    settings: dict[str, Any] = Field({}, description="dotted settings that differ from the run's")
    variants: dict[str, dict[str, Any]] = Field({"full": {}}, description="name to dotted settings")
    maps: MapSettings | None = Field(None, description="compute maps of attention of its networks")
    shifts: ShiftSettings | None = Field(None, description="score changed images by its models")
    costs: CostSettings | None = Field(None, description="measure what its models cost")

    @field_validator("seeds", "training_seeds", mode="before")
    @classmethod
    def _counted(cls, value: Any) -> Any:
        return tuple(range(value)) if isinstance(value, int) else value

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Settings of runs from before there were these stay as they were.
        values = dump(self)
        for name in ("maps", "shifts", "costs", "training_seeds"):
            if values.get(name) is None:
                values.pop(name, None)
        return values

    @field_validator("splits", "seeds", "training_seeds", "variants")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        if value is not None and not value:
            raise ValueError("at least one is needed")
        return value


class RunConfig(ExperimentSettings):
    """A profile: the settings of an experiment, the data, and the studies."""

    profile: str
    dataset: DatasetSettings
    studies: dict[str, Study]

    def experiment(self, *changes: dict[str, Any]) -> ExperimentSettings:
        """Return one experiment's settings with dotted changes applied in order."""
        values = self.model_dump(include=set(ExperimentSettings.model_fields))
        for change in changes:
            values = _changed(values, change, "a study's settings")
        return _validated(ExperimentSettings, values, f"profile {self.profile}")


def load_config(profile: str, overrides: dict[str, Any] | None = None) -> RunConfig:
    """Return the settings of a profile with dotted overrides applied.

    Parameters
    ----------
    profile
        ``demo``, ``cpu``, ``paper``, or the path of a YAML file of the same form.
    overrides
        Dotted names to values, such as ``{"training.epochs": 3}``.

    Raises
    ------
    RequestError
        If the profile does not exist, is no YAML, or a name or value in it is refused.
    """
    path = _profile_path(profile)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RequestError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise RequestError(f"{path} holds no settings.")
    values = _changed(values, overrides or {}, "overrides")
    config = _validated(RunConfig, {"profile": path.stem, **values}, str(path))
    for name, study in config.studies.items():
        for variant in study.variants.values():
            try:
                settings = config.experiment(study.settings, variant)
                if study.costs and settings.trains_network:
                    _check_sides(settings.model.backbone, study.costs.sides)
            except RequestError as error:
                raise RequestError(f"studies.{name} of {path}: {error}") from error
    return config


def parse_overrides(overrides: str | dict[str, Any] | None) -> dict[str, Any]:
    """Return overrides given as a dict or as the text of a JSON object.

    Raises
    ------
    RequestError
        If the text is no JSON object.
    """
    if not overrides:
        return {}
    if isinstance(overrides, dict):
        return overrides
    try:
        value = json.loads(overrides)
    except ValueError as error:
        raise RequestError(
            f"overrides is not JSON ({error}); write it like '{{\"training.epochs\": 3}}'."
        ) from error
    if not isinstance(value, dict):
        raise RequestError("overrides must be a JSON object of dotted names and values.")
    return value


def _check_sides(name: str, sides: tuple[int, ...]) -> None:
    for side in sides:
        try:
            backbone(name, size=side)
        except RequestError as error:
            raise RequestError(f"costs: {error}") from error


def _profile_path(profile: str) -> Path:
    given = Path(profile)
    path = given if given.suffix in (".yml", ".yaml") else PROFILES / f"{profile}.yml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yml")))
        raise RequestError(
            f"There is no profile {profile!r}; the profiles are {known}, or name a YAML file."
        )
    return path


def _changed(values: dict[str, Any], changes: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a copy of nested values with dotted changes applied."""
    values = json.loads(json.dumps(values))
    for name, value in changes.items():
        *parents, last = name.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise RequestError(f"{name!r} in {where} names no setting.")
        place[last] = value
    return values


def _validated(kind: type[Settings], values: dict[str, Any], where: str) -> Any:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'settings'}: {_words(item)}"
            for item in error.errors()
        )
        raise RequestError(f"Settings refused ({where}): {problems}.") from error


def _words(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "there is no such setting"
    return f"{item['msg'][0].lower()}{item['msg'][1:]} (got {item['input']!r})"
