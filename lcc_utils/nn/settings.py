"""Settings of one experiment, checked before anything expensive starts.

They import no framework. Everything here, with the data and the split, makes the key of
an experiment; what does not change a result (jobs, paths, hardware) is kept elsewhere.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from lcc_utils.classical.models import CLASSICAL
from lcc_utils.errors import RequestError
from lcc_utils.nn.backbones import backbone

# Upper limits are far above what any experiment uses; a slip of the keyboard is refused by them.
Positive = Annotated[int, Field(gt=0, le=1_000_000)]
Side = Annotated[int, Field(gt=0, le=10_000)]
MOST_BATCH = 100_000
Batch = Annotated[int, Field(gt=0, le=MOST_BATCH)]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Settings(BaseModel):
    """Base of all settings: unknown names are refused, numbers are finite, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_another_value(cls, value: Any, info: ValidationInfo) -> Any:
        # Python takes true for the number 1.
        parts = value if isinstance(value, list | tuple) else [value]
        switch = cls.model_fields[str(info.field_name)].annotation is bool
        if not switch and any(isinstance(part, bool) for part in parts):
            raise ValueError("true and false are no value of this setting")
        return value


class Pixels(Settings):
    """How a 450 px frame becomes the network's input."""

    size: Side = Field(description="side of the network's input, px")
    crop: Side = Field(450, description="side of the central square kept before, px")


class Model(Settings):
    """Backbone, initialisation and attention; or a classical model, by its name alone."""

    backbone: str = Field(description="a network of nn.backbones, or a name in CLASSICAL")
    weights: Literal["none", "imagenet"] = "none"
    attention: bool = Field(True, description="squeeze-and-excitation on the last feature map")
    reduction: Positive = 16
    frozen: bool = Field(False, description="the backbone stays as it is; a linear head learns")


class Loss(Settings):
    """Focal loss, or plain cross-entropy; class weights in the order HEM, ALL."""

    name: Literal["focal", "cross_entropy"] = "focal"
    gamma: Weight = 2.0
    alpha: tuple[Weight, Weight] = (0.75, 0.25)

    @model_validator(mode="after")
    def _some_class_counts(self) -> Loss:
        if not any(self.alpha):
            raise RequestError("loss.alpha is 0 for both classes; nothing would be learned.")
        return self


class Augmentation(Settings):
    """Which images are changed while training, how, and by which engine."""

    policy: Literal["none", "paper", "comprehensive", "stain"] = "paper"
    target: Literal["minority", "all"] = "minority"
    engine: Literal["keras", "imgaug"] = "keras"


class Training(Settings):
    """The recipe."""

    epochs: Positive
    batch: Batch
    steps_per_epoch: Positive | None = Field(None, description="stop an epoch after so many")
    sampling: Literal["balanced", "natural", "subject"] = Field(
        "balanced",
        description="balanced repeats the minority class to the majority's size; subject also "
        "draws every subject of a class equally often",
    )
    schedule: Literal["onecycle", "constant"] = "onecycle"
    learning_rate: float = Field(1e-3, gt=0, description="peak of onecycle, or the constant")
    weight_decay: float = Field(1e-5, ge=0)
    clip_norm: float = Field(1.0, gt=0, description="global norm of the gradient")
    patience: Positive = Field(10, description="epochs without progress before stopping")
    min_delta: float = Field(0.002, ge=0, description="progress: gain in validation weighted F1")
    selection: Literal["best", "last"] = Field(
        "best", description="the epoch that is kept: the best on validation, or the last"
    )
    refit: bool = Field(
        False,
        description="train the final model on training and validation subjects together; epoch "
        "and threshold are then chosen out of fold. Splits without validation cells, and models "
        "on features, are always treated so",
    )
    inner: int = Field(
        3,
        ge=2,
        description="out of fold: parts by subject, each scored by a model that has not seen it",
    )
    backbone_rate: float = Field(
        1.0, gt=0, le=1, description="the backbone's learning rate as a share of the head's"
    )
    freeze_norm: bool = Field(
        False,
        description="keep the statistics, scales and offsets of the backbone's batch "
        "normalisations as they were before training",
    )
    label_noise: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="share of the labels that are turned over where they train; those that "
        "choose epoch and threshold stay",
    )


class Prediction(Settings):
    """How cells are scored."""

    views: Literal[1, 4, 8] = Field(
        1, description="scores averaged over quarter turns (4), and their mirror images (8)"
    )


class ExperimentSettings(Settings):
    """Everything about one experiment except its data, split and seed."""

    pixels: Pixels
    model: Model
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()
    training: Training
    prediction: Prediction = Prediction()
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"

    @property
    def classical(self) -> bool:
        """Whether the model is a classical one, on measured features instead of pixels."""
        return self.model.backbone in CLASSICAL

    @property
    def trains_network(self) -> bool:
        """Whether a whole network learns, not a model on features that are there before."""
        return not (self.classical or self.model.frozen)

    @property
    def out_of_fold(self) -> bool:
        """Whether epoch and threshold are chosen out of fold, and the final model is refitted."""
        return self.training.refit or not self.trains_network

    def refitted(self) -> ExperimentSettings:
        """Return the same settings with a refit."""
        training = self.training.model_copy(update={"refit": True})
        return self.model_copy(update={"training": training})

    def relevant(self) -> dict[str, Any]:
        """Return the settings that can change the result of this model, and no others."""
        values = self.model_dump(mode="json")
        training = values["training"]
        training["refit"] = self.out_of_fold
        # Keys of results from before these settings stay as they were.
        if not self.out_of_fold:
            del training["inner"]
        if self.training.selection == "best":
            del training["selection"]
        if not self.training.label_noise:
            del training["label_noise"]
        if not self.training.freeze_norm:
            del training["freeze_norm"]
        if self.trains_network:
            return values
        kept = ("model",) if self.classical else ("pixels", "model", "prediction", "precision")
        relevant = {name: values[name] for name in kept}
        if self.classical:
            relevant["model"] = {"backbone": self.model.backbone}
        kept = [name for name in ("refit", "inner", "label_noise") if name in training]
        return relevant | {"training": {name: training[name] for name in kept}}

    @model_validator(mode="after")
    def _backbone_takes_these_images(self) -> ExperimentSettings:
        if not self.classical:
            try:
                backbone(self.model.backbone, size=self.pixels.size, weights=self.model.weights)
            except RequestError as error:
                raise RequestError(
                    f"{error} Classical models are {', '.join(CLASSICAL)}."
                    if "not known" in str(error)
                    else str(error)
                ) from error
        return self
