"""A run's experiments as files to take to another machine: cells, settings, weights and keys."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lcc_utils.data import cnmc
from lcc_utils.data.cache import write_atomic
from lcc_utils.data.images import PixelCache
from lcc_utils.errors import DataError, RequestError
from lcc_utils.nn.backbones import backbone, keras_models
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.pipeline.config import RunConfig
from lcc_utils.pipeline.parcel_files import dealt, packed, pixels_sha256, place, sha256, unpack
from lcc_utils.pipeline.plan import Experiment, make_plan
from lcc_utils.pipeline.store import (
    CELL_COLUMNS,
    canonical,
    csv_text,
    read_cells,
    read_json,
    write_json,
)

__all__ = ["Parcel", "check_parcel", "make_parcel", "open_parcel", "parcel_networks"]

_COLUMNS = [*CELL_COLUMNS, "file_sha256"]
_LIST = "parcel.json"
# What of a recipe is compiled into a training step.
_COMPILED = ("batch", "schedule", "weight_decay", "clip_norm", "backbone_rate", "freeze_norm")


@dataclass(frozen=True)
class Parcel:
    """What a parcel holds, unpacked.

    Attributes
    ----------
    cells
        The table of cells, as the run that it comes from has it; without paths.
    experiments
        What to compute, the most valuable first.
    """

    cells: pd.DataFrame
    experiments: list[Experiment]


def _chosen(
    config: RunConfig, cells: pd.DataFrame, digest: str, studies: Iterable[str]
) -> list[Experiment]:
    """Return the networks that some studies train, in the order of studies, seeds and variants.

    Raises
    ------
    RequestError
        If the profile has no such study, or none of them trains a network.
    """
    if unknown := [name for name in studies if name not in config.studies]:
        raise RequestError(
            f"Profile {config.profile} has no study {unknown[0]!r}; it has "
            f"{', '.join(config.studies)}."
        )
    found: dict[str, Experiment] = {}
    for name in studies:
        planned = make_plan(config, cells, digest, name).experiments[name]
        for one in sorted(planned, key=lambda one: one.seed):
            if one.settings.trains_network:
                found.setdefault(one.key, one)
    if not found:
        raise RequestError(f"No network is trained in {', '.join(studies)}; name other studies.")
    return list(found.values())


def make_parcel(
    config: RunConfig,
    cells: pd.DataFrame,
    studies: Iterable[str],
    out: Path,
    part_bytes: int,
    progress: bool = False,
) -> list[Path]:
    """Write what another machine needs to compute some studies; return the folders of its parts.

    Cells travel as the network sees them, cropped and resized, in lossless WebP; so the other
    machine trains on the same bytes, and its results have the keys that they have here.

    Parameters
    ----------
    config, cells
        The run's settings and its cells.
    studies
        Which studies, the most valuable first.
    out
        The folder to make; its parts are ``part-1``, ``part-2`` and so on.
    part_bytes
        Most bytes of a part. A single file may not be larger.
    progress
        Whether to show progress bars.

    Raises
    ------
    RequestError
        If a study or weights are missing, or the folder is there already.
    DataError
        If files cannot be read or written.
    """
    if out.exists():
        raise RequestError(f"{out} is there already; remove it, or name another folder.")
    studies, attrs = list(studies), cells.attrs
    cells = cells.sort_values("cell_id", ignore_index=True)
    digest = cnmc.data_digest(cells)
    experiments = _chosen(config, cells, digest, studies)
    files = list(_weights(experiments))
    scratch = out.with_name(f".{out.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        pixels, packs = {}, []
        for size, crop in sorted({(e.settings.pixels.size, e.settings.pixels.crop)
                                  for e in experiments}):  # fmt: skip
            cache = PixelCache(cells, size, crop, progress=progress)
            pixels[f"{size}-{crop}"] = pixels_sha256(cache)
            packs += packed(cache, part_bytes // 3)
        write_atomic(scratch / "cells.csv", csv_text(cells[_COLUMNS]))
        files += packs
        record = {
            "settings": config.model_dump(mode="json"),
            "dataset": {"name": attrs["dataset"], "label": attrs["label"], "digest": digest},
            "studies": studies,
            "networks": _networks(experiments),
            "keys": [one.key for one in experiments],
            "pixels": pixels,
            "files": {path.name: sha256(path) for path in [*files, scratch / "cells.csv"]},
        }  # fmt: skip
        parts = dealt(files, part_bytes)
        parts[0].append(scratch / "cells.csv")
        for number, own in enumerate(parts, 1):
            for path in own:
                place(path, scratch / f"part-{number}" / path.name, move=path.parent == scratch)
        write_json(scratch / "part-1" / _LIST, record)
        scratch.replace(out)
    except OSError as error:
        raise DataError(f"{out} could not be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return sorted(out.glob("part-*"))


def open_parcel(folder: Path, progress: bool = False) -> Parcel:
    """Check a parcel whose parts lie in one folder, and put its files where the engine reads them.

    Pixels go into the cache, weights to where Keras keeps them.

    Raises
    ------
    RequestError
        If it was made by a version of this package that plans other experiments.
    DataError
        If a file of it is missing or damaged; with its name.
    """
    record = check_parcel(folder)
    cells = read_cells(folder / "cells.csv")
    cells["path"] = cells["cell_id"]
    cells.attrs = {"dataset": record["dataset"]["name"], "label": record["dataset"]["label"]}
    config = RunConfig.model_validate(record["settings"])
    digest = record["dataset"]["digest"]
    experiments = _chosen(config, cells, digest, record["studies"])
    if cnmc.data_digest(cells) != digest or [e.key for e in experiments] != record["keys"]:
        raise RequestError(
            f"{folder} was made by another version of this package, which plans other "
            "experiments; make it again with the version that is to compute it."
        )
    _put_weights(folder, record)
    for name, whole in record["pixels"].items():
        unpack(folder, name, cells, whole, progress)
    return Parcel(cells, experiments)


def check_parcel(folder: Path) -> dict[str, Any]:
    """Return the list of a parcel, once every file in it is there and whole.

    Raises
    ------
    DataError
        If a file is missing or damaged; with its name.
    """
    record = read_json(folder / _LIST)
    for name, digest in record["files"].items():
        if not (folder / name).is_file():
            raise DataError(f"{folder} lacks {name}; bring every part of the parcel.")
        if sha256(folder / name) != digest:
            raise DataError(f"{folder / name} is damaged (SHA-256 differs); bring it again.")
    return record


def parcel_networks(folder: Path) -> list[ExperimentSettings]:
    """Return one of the settings for each training step that a parcel has compiled.

    Weights are put to where Keras keeps them; of the parcel's parts the first suffices, unless
    there are more weights than it takes.

    Raises
    ------
    DataError
        If weights are missing.
    """
    record = read_json(folder / _LIST)
    _put_weights(folder, record)
    return [ExperimentSettings.model_validate(values) for values in record["networks"]]


def _put_weights(folder: Path, record: dict[str, Any]) -> None:
    for name in record["files"]:
        if name.endswith((".pth", ".h5")):
            if not (folder / name).is_file():
                raise DataError(f"{folder} lacks {name}; bring the part of the parcel with it.")
            place(folder / name, keras_models() / name)


def _networks(experiments: list[Experiment]) -> list[dict[str, Any]]:
    """Return settings that differ in what is compiled, not in rate, length or cells."""
    found = {}
    for one in experiments:
        values = one.settings.model_dump(mode="json")
        training = {name: values["training"][name] for name in _COMPILED}
        kept = [values[name] for name in ("model", "loss", "augmentation", "precision")]
        found.setdefault(canonical([*kept, values["pixels"]["size"], training]), values)
    return list(found.values())


def _weights(experiments: list[Experiment]) -> Iterator[Path]:
    """Yield the weights files that experiments start from."""
    from lcc_utils.nn.lite_weights import LITE_FILES, lite_weights

    names = {e.settings.model.backbone for e in experiments
             if e.settings.model.weights == "imagenet"}  # fmt: skip
    for name in sorted(names):
        path = lite_weights(name) if name in LITE_FILES else (
            keras_models() / str(backbone(name).weights_file)
        )  # fmt: skip
        if not path.is_file():
            raise RequestError(f"{path} is missing, the ImageNet weights of {name}.")
        yield path
