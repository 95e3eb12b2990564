"""Schemas of the JSON files of a run, checked before anything else reads them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lcc_utils.errors import DataError

__all__ = ["ExperimentRecord", "MeasuredRecord", "OriginRecord", "RunRecord", "checked"]

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
TableName = Annotated[str, Field(pattern=r"^[\w-][\w.-]*\.csv$")]
Count = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    """Base of the schemas: types are not converted, and fields of later versions are kept."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Exact(_Record):
    """A record whose fields become the arguments of a dataclass."""

    model_config = ConfigDict(extra="forbid")


class _Dataset(_Record):
    name: str
    cells: Count
    subjects: Count
    digest: str
    label: str


class _Place(_Exact):
    variant: str
    split: str
    seed: int
    key: Key


class _Refused(_Exact):
    study: str
    variant: str
    split: str
    seed: int
    reason: str


class _Git(_Record):
    commit: str | None
    dirty: bool | None


class _Hardware(_Record):
    cpu: str | None
    cores: Count
    memory_gib: float | None
    gpu: str | None


class RunRecord(_Record):
    """What ``run.json`` says."""

    protocol: int = Field(1, ge=1)
    run: str = Field(min_length=1)
    profile: str
    overrides: dict[str, Any]
    settings: dict[str, Any]
    dataset: _Dataset
    plan: dict[str, list[_Place]]
    refused: list[_Refused]
    versions: dict[str, str]
    backend: str
    git: _Git
    hardware: _Hardware
    created: str
    finished: str | None
    seconds: float | None = Field(None, ge=0)


class _Split(_Record):
    name: str
    protocol: str
    digest: str
    train: Count
    validation: Count
    test: Count
    subjects: dict[str, Count]


class ExperimentRecord(_Record):
    """What ``experiment.json`` says; a metric of one class alone is no number."""

    model_config = ConfigDict(allow_inf_nan=True)

    key: str
    study: str
    variant: str
    seed: int
    data_digest: str
    split: _Split
    settings: dict[str, Any]
    model: dict[str, Any]
    metrics: dict[str, float | None]
    files: dict[Literal["predictions.csv", "history.csv"], str] = Field(min_length=2)
    digest: str


class MeasuredRecord(_Record):
    """What says which parts of a measurement are done, with the digests of their tables."""

    parts: list[str]
    files: dict[TableName, str]


class OriginRecord(_Record):
    """What ``origin.json`` of an experiment says."""

    backend: str
    versions: dict[str, str]
    hardware: _Hardware
    finished: str
    seconds: float = Field(ge=0)


def checked(kind: type[BaseModel], values: Any, path: Any, prefix: str = "") -> Any:
    """Return values as a record; a field that does not fit raises DataError with its name."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = prefix + ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path}: {where.rstrip('.') or 'its content'}: {first['msg']}. Restore the file, or "
            "make it again."
        ) from error
