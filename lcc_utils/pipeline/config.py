"""RunConfig: every setting of a run, read from a profile and checked."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from pydantic import ValidationError, field_validator

import lcc_utils
from lcc_utils.data.paths import user_path
from lcc_utils.errors import RequestError
from lcc_utils.nn.settings import ExperimentSettings, Settings
from lcc_utils.pipeline.names import checked_name, given_text
from lcc_utils.pipeline.plain_values import MOST_CHARACTERS, check_plain, read_json_object
from lcc_utils.pipeline.study_settings import (
    MOST_EXPERIMENTS,
    DatasetSettings,
    Study,
    check_sides,
    check_titles,
)
from lcc_utils.pipeline.yaml_text import read_yaml

PROFILES = Path(lcc_utils.__file__).resolve().parent.parent / "params"

_LONGEST_PROFILE = 80  # the default name of a run adds nine characters
_LONGEST_SETTING = 200
_SHOWN_PROBLEMS = 5
_EXAMPLE = "'{\"training.epochs\": 3}'"


class RunConfig(ExperimentSettings):
    """A profile: the settings of an experiment, the data, and the studies."""

    profile: str
    dataset: DatasetSettings
    studies: dict[str, Study]

    @field_validator("profile", mode="before")
    @classmethod
    def _part_of_the_runs_name(cls, value: Any) -> Any:
        return checked_name(value, "A profile's name", _LONGEST_PROFILE)

    @field_validator("studies")
    @classmethod
    def _planned_within_reason(cls, value: dict[str, Study]) -> dict[str, Study]:
        check_titles(value)
        count = sum(study.experiments for study in value.values())
        if count > MOST_EXPERIMENTS:
            raise ValueError(
                f"{count:,} experiments would be planned and a run holds at most "
                f"{MOST_EXPERIMENTS:,}; lower seeds, folds or the number of variants"
            )
        return value

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
    path = _profile_path(given_text(profile, "The parameter profile") or "")
    values = read_yaml(_profile_text(path), str(path))
    if not isinstance(values, dict):
        raise RequestError(f"{path} holds no settings.")
    check_plain(overrides or {}, "overrides")
    values = _changed(values, overrides or {}, "overrides")
    config = _validated(RunConfig, {"profile": path.stem, **values}, str(path))
    for name, study in config.studies.items():
        for variant in study.variants.values():
            try:
                settings = config.experiment(study.settings, variant)
                if study.costs and settings.trains_network:
                    check_sides(settings.model.backbone, study.costs.sides)
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
    if overrides is None or overrides == "":
        return {}
    if isinstance(overrides, dict):
        check_plain(overrides, "overrides")
        return overrides
    if not isinstance(overrides, str):
        raise RequestError(f"overrides is {overrides!r}; write it like {_EXAMPLE}.")
    return read_json_object(overrides, "overrides", _EXAMPLE)


def _profile_path(profile: str) -> Path:
    known = {path.stem: path for path in sorted(PROFILES.glob("*.yml"))}
    try:
        path = known.get(profile) or user_path(profile)
        found = path.suffix in (".yml", ".yaml") and path.is_file()
    except (OSError, RequestError):  # such as a name that is too long, or empty
        found = False
    if not found:
        raise RequestError(
            f"There is no profile {_cut(repr(profile))}; the profiles are {', '.join(known)}, or "
            "name a YAML file."
        )
    return path


def _profile_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(4 * MOST_CHARACTERS + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not text in UTF-8 ({error.reason}); save it so.") from error
    # Before anything else: its name becomes part of the run's.
    checked_name(
        path.stem, f"The name of the profile {path}, without its ending,", _LONGEST_PROFILE
    )
    return text


def _changed(values: dict[str, Any], changes: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a copy of nested values with dotted changes applied."""
    values = copy.deepcopy(values)
    for name, value in changes.items():
        if len(name) > _LONGEST_SETTING:
            raise RequestError(f"{name[:40]}… in {where} names no setting: it is too long.")
        *parents, last = name.split(".")
        around = [".".join(parents[:depth]) for depth in range(1, len(parents) + 1)]
        if both := [own for own in around if own in changes]:
            raise RequestError(
                f"{where} gives {both[0]!r} as a whole and {name!r} in it; write the one or the "
                "other, so that their order does not matter."
            )
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
        items = error.errors()
        problems = "; ".join(
            f"{_cut('.'.join(str(part) for part in item['loc'])) or 'settings'}: {_words(item)}"
            for item in items[:_SHOWN_PROBLEMS]
        )
        more = len(items) - _SHOWN_PROBLEMS
        problems += f"; and {more:,} more" if more > 0 else ""
        raise RequestError(f"Settings refused ({where}): {problems}.") from error


def _words(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "there is no such setting"
    words = f"{item['msg'][0].lower()}{item['msg'][1:]}"
    return f"{words} (got {_cut(repr(item['input']))})"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SETTING else f"{text[:_LONGEST_SETTING]}…"
