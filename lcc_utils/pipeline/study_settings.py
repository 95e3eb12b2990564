"""The settings of data, splits and studies, each checked by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from lcc_utils.errors import RequestError
from lcc_utils.nn.backbones import backbone
from lcc_utils.nn.original import ORIGINAL, ORIGINAL_SIZE
from lcc_utils.nn.settings import Batch, Positive, Settings, Side
from lcc_utils.pipeline.names import slug

__all__ = [
    "MOST_EXPERIMENTS", "CostSettings", "DatasetSettings", "MapSettings", "ShiftSettings",
    "SplitSettings", "Study", "check_sides", "check_titles",
]  # fmt: skip

# More experiments than a run has ever had, by far; its plan is a list of this length.
MOST_EXPERIMENTS = 20_000
_LONGEST_TITLE = 100

Share = Annotated[float, Field(gt=0, lt=1)]
# What NumPy and scikit-learn take.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fold = Annotated[int, Field(ge=0, le=1000)]
# Protocols that give as many splits as there are folds.
_DIVIDED = ("kfold", "patient_ids", "images", "copies")


class DatasetSettings(Settings):
    """Where cells come from."""

    source: Literal["synthetic", "c-nmc-2019"]
    phases: tuple[Literal["train", "prelim"], ...] = Field(("train",), min_length=1)
    cells: int = Field(1200, gt=0, le=100_000, description="synthetic cells to draw")
    seed: Seed = Field(2019, description="seed of the synthetic cells")


class SplitSettings(Settings):
    """How cells are divided; see ``data.splits``."""

    protocol: Literal[
        "official", "shared", "transport", "patient", "image", "kfold",
        "clean", "leaky", "control", "patient_ids", "images", "copies",
    ]  # fmt: skip
    train_folds: tuple[Fold, ...] = Field(
        (), description="official folds that cells are taken from; empty for all"
    )
    test_fold: Fold | None = Field(
        None, description="kfold: subjects that occur in this official fold are left out"
    )
    validation_share: Share = 0.15
    shares: tuple[Share, Share, Share] = Field(
        (0.8, 0.1, 0.1), description="patient and image: training, validation, test"
    )
    test_share: Share = Field(
        0.25, description="clean, leaky and control: share of subjects to test on"
    )
    min_subjects: Positive = Field(
        2,
        description="least subjects of a class that validate and that train, and that test where "
        "subjects are drawn; where a class has too few to hold any out, choices are out of fold",
    )
    folds: int = Field(
        5, ge=2, le=1000, description="kfold and alike: number of parts, each tested once"
    )
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

    cells: Positive = Field(240, description="cells, spread over classes and subjects")
    score_cam_cells: Positive = Field(48, description="of these, how many for Score-CAM")
    max_channels: Positive = Field(32, description="Score-CAM: channels of the feature map")
    smooth_samples: int = Field(
        8, ge=0, le=10_000, description="SmoothGrad: noisy copies of an image"
    )
    steps: Positive = Field(16, description="deletion and insertion: steps of a curve")


class ShiftSettings(Settings):
    """Changed images of some test cells of a study's first split; see ``data.shift_scales``."""

    cells: Positive = Field(480, description="cells, spread over classes and subjects")
    feature_cells: Positive = Field(
        480, description="of these, how many for models on measured features"
    )


class CostSettings(Settings):
    """Time, memory and size of the networks of a study and of others."""

    sides: tuple[Side, ...] = Field(
        max_length=100, description="image sides of the study's networks, px"
    )
    also: dict[str, tuple[Side, ...]] = Field(
        {}, description="further networks, or further sides of a backbone: its name to sides"
    )
    batch: Batch = Field(16, description="images at a time for throughput")
    repeats: Positive = Field(30, description="most repeats of each timing")
    seconds: float = Field(10.0, gt=0, le=86_400, description="no repeat begins after so long")
    onnx: bool = Field(True, description="ONNX Runtime beside Keras")
    half: bool = Field(True, description="half precision beside float32")

    @field_validator("also")
    @classmethod
    def _known(cls, value: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        for name, sides in value.items():
            if name == ORIGINAL and set(sides) != {ORIGINAL_SIZE}:
                raise ValueError(f"{ORIGINAL} takes images of {ORIGINAL_SIZE} px alone")
            if name != ORIGINAL:
                check_sides(name, sides)
        return value


class Study(Settings):
    """Experiments that belong together: every variant on every split with every seed."""

    splits: tuple[SplitSettings, ...]
    seeds: tuple[Seed, ...] = Field(
        (0,),
        description="seeds of the parts and of training: a list, or a number n for 0 to n - 1",
    )
    training_seeds: tuple[Seed, ...] | None = Field(
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
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if value > MOST_EXPERIMENTS:
            raise ValueError(f"a run holds at most {MOST_EXPERIMENTS:,} experiments")
        return tuple(range(value))

    @field_validator("seeds", "training_seeds")
    @classmethod
    def _each_once(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("a seed stands twice, and its experiments would count twice")
        return value

    @field_validator("variants")
    @classmethod
    def _told_apart(cls, value: dict[str, Any]) -> dict[str, Any]:
        check_titles(value)
        files: dict[str, str] = {}
        for name in value:
            other = files.setdefault(slug(name), name)
            if other != name:
                raise ValueError(f"{other!r} and {name!r} would share files; name one otherwise")
        return value

    @property
    def experiments(self) -> int:
        """How many experiments it has, if the data can give all of its splits."""
        splits = sum(own.folds if own.protocol in _DIVIDED else 1 for own in self.splits)
        trainings = len(self.training_seeds or (0,))
        return len(self.variants) * len(self.seeds) * trainings * splits

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


def check_sides(name: str, sides: tuple[int, ...]) -> None:
    """Refuse image sides that a backbone does not take."""
    for side in sides:
        try:
            backbone(name, size=side)
        except RequestError as error:
            raise RequestError(f"costs: {error}") from error


def check_titles(names: Iterable[str]) -> None:
    """Refuse names of studies and variants that no table can show."""
    for name in names:
        if not name.strip() or not name.isprintable() or len(name) > _LONGEST_TITLE:
            raise ValueError(
                f"{name[:_LONGEST_TITLE]!r} is no name: give up to {_LONGEST_TITLE} characters "
                "in one line"
            )
