"""What ``model.json`` of a model directory says: every number is checked before it is used."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lcc_utils.nn.settings import Settings

__all__ = ["FORMAT", "POOL", "ModelRecord"]

FORMAT = 1
POOL = "pool"
# Of the length of an axis, which is written with six digits.
_ROUNDING = 1e-3

Rate = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(gt=0, le=4096)]
Text = Annotated[str, Field(min_length=1)]


class _Stated(Settings):
    """Base of the parts: no number is infinite or NaN."""

    model_config = ConfigDict(allow_inf_nan=False)


class Calibration(_Stated):
    """Calibrated probability: sigmoid(logit(score) / temperature + shift)."""

    temperature: float = Field(ge=1e-6, le=1e6)
    shift: float
    basis: str


class Thresholds(_Stated):
    """On the score: from where a cell is called ALL, and where it is not called at all."""

    decision: Rate
    unsure_low: Rate
    unsure_high: Rate
    basis: str

    @model_validator(mode="after")
    def _in_order(self) -> Thresholds:
        if not self.unsure_low <= self.decision <= self.unsure_high:
            raise ValueError("unsure_low, decision and unsure_high must rise in this order")
        return self


class NoveltyRecord(_Stated):
    """See ``evaluation.novelty``; cells beyond a threshold are not called."""

    layer: Literal["pool"] = POOL
    mean: tuple[float, ...] = Field(min_length=1)
    axes: tuple[tuple[float, ...], ...] = Field(min_length=1)
    variances: tuple[Annotated[float, Field(gt=0)], ...]
    residual: float = Field(gt=0)
    distance: float = Field(gt=0, description="threshold")
    energy: float = Field(description="threshold")
    basis: str

    @model_validator(mode="after")
    def _fits(self) -> NoveltyRecord:
        if len(self.axes) != len(self.variances) or {len(a) for a in self.axes} != {len(self.mean)}:
            raise ValueError("mean, axes and variances do not fit together")
        if any(abs(math.hypot(*axis) - 1) > _ROUNDING for axis in self.axes):
            raise ValueError("axes must have length 1")
        return self


class Measure(_Stated):
    """One honest rate; the interval, where there is one, is over subjects."""

    name: Text
    value: Rate
    low: Rate | None = None
    high: Rate | None = None

    @model_validator(mode="after")
    def _is_interval(self) -> Measure:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high stand together, or neither")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")
        return self


class _Training(BaseModel):
    """What card and report say of the training; further fields are kept."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    dataset: Text
    digest: Text
    seed: int


class ModelRecord(_Stated):
    """What ``model.json`` says."""

    format: Literal[1] = FORMAT
    name: Text
    backbone: Text
    size: Side
    crop: Side
    views: Literal[1, 4, 8] = 1
    classes: tuple[Literal["HEM"], Literal["ALL"]] = ("HEM", "ALL")
    calibration: Calibration
    thresholds: Thresholds
    novelty: NoveltyRecord
    training: dict[str, Any]
    measured_on: str
    measured: tuple[Measure, ...]
    versions: dict[str, str]
    files: dict[str, str] = Field(default_factory=dict)
    digest: str = ""

    @field_validator("training")
    @classmethod
    def _is_told(cls, value: dict[str, Any]) -> dict[str, Any]:
        _Training.model_validate(value)
        return value
