"""A run's experiments as files to take to another machine: cells, settings, weights and keys."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from lcc_utils.data import cnmc
from lcc_utils.data.cache import cache_dir, write_atomic
from lcc_utils.data.images import PixelCache
from lcc_utils.errors import DataError, RequestError
from lcc_utils.nn.backbones import backbone, keras_models
from lcc_utils.nn.settings import ExperimentSettings
from lcc_utils.pipeline.config import RunConfig
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
_LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 101]
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
            pixels[f"{size}-{crop}"] = _sha256(cache.path)
            packs += _packed(cache, part_bytes // 3)
        write_atomic(scratch / "cells.csv", csv_text(cells[_COLUMNS]))
        files += packs
        record = {
            "settings": config.model_dump(mode="json"),
            "dataset": {"name": attrs["dataset"], "label": attrs["label"], "digest": digest},
            "studies": studies,
            "networks": _networks(experiments),
            "keys": [one.key for one in experiments],
            "pixels": pixels,
            "files": {path.name: _sha256(path) for path in [*files, scratch / "cells.csv"]},
        }  # fmt: skip
        parts = _dealt(files, part_bytes)
        parts[0].append(scratch / "cells.csv")
        for number, own in enumerate(parts, 1):
            for path in own:
                _place(path, scratch / f"part-{number}" / path.name, move=path.parent == scratch)
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
        _unpack(folder, name, cells, whole, progress)
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
        if _sha256(folder / name) != digest:
            raise DataError(f"{folder / name} is damaged (SHA-256 differs); bring it again.")
    return record


def parcel_networks(folder: Path) -> list[ExperimentSettings]:
    """Return one of the settings for each training step that a parcel has compiled.

    Weights are put to where Keras keeps them; of the parcel's parts the first suffices.
    """
    record = read_json(folder / _LIST)
    _put_weights(folder, record)
    return [ExperimentSettings.model_validate(values) for values in record["networks"]]


def _put_weights(folder: Path, record: dict[str, Any]) -> None:
    for name in record["files"]:
        if name.endswith((".pth", ".h5")):
            _place(folder / name, keras_models() / name)


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


def _packed(pixels: PixelCache, most: int) -> list[Path]:
    """Return archives of limited size that hold the images as lossless WebP; they stay cached.

    To compress a thousand images of 224 px takes a core half a minute and more.
    """
    name = f"{pixels.size}-{pixels.crop}"
    folder = cache_dir() / f"packed-{pixels.path.stem}-{most}"
    if not folder.is_dir():
        scratch = folder.with_name(f".{folder.name}-{os.getpid()}")
        scratch.mkdir(parents=True)
        with ThreadPoolExecutor() as pool:
            _archive(pool.map(_webp, pixels.array), scratch, name, most)
        scratch.replace(folder)
    return sorted(folder.glob("*.zip"))


def _webp(image: np.ndarray) -> bytes:
    return cv2.imencode(".webp", image[:, :, ::-1], _LOSSLESS)[1].tobytes()


def _archive(images: Iterable[bytes], folder: Path, name: str, most: int) -> None:
    """Write compressed images into as many archives as their size takes."""
    archive, number, size = None, 0, 0
    for row, content in enumerate(images):
        if archive is None or size + len(content) > most:
            if archive:
                archive.close()
            number, size = number + 1, 0
            archive = zipfile.ZipFile(folder / f"pixels-{name}-{number}.zip", "w")
        archive.writestr(f"{row}.webp", content)
        size += len(content) + 100
    if archive:
        archive.close()


def _unpack(folder: Path, name: str, cells: pd.DataFrame, whole: str, progress: bool) -> None:
    """Make the pixel cache of a size from the archives of its images."""
    archives = [zipfile.ZipFile(path) for path in folder.glob(f"pixels-{name}-*.zip")]
    where = {entry: archive for archive in archives for entry in archive.namelist()}
    row = {cell: number for number, cell in enumerate(cells["cell_id"])}

    def image(cell: str) -> np.ndarray:
        entry = f"{row[cell]}.webp"
        data = np.frombuffer(where[entry].read(entry), np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1]

    size, crop = map(int, name.split("-"))
    cache = PixelCache(cells, size, crop, progress=progress, read=image)
    if _sha256(cache.path) != whole:
        cache.path.unlink()
        raise DataError(
            f"The images of {name} px in {folder} are not those that were packed (SHA-256 "
            f"differs), or {cache_dir()} holds other pixels under their name; start again."
        )


def _dealt(files: list[Path], most: int) -> list[list[Path]]:
    """Deal files out to as few parts as hold them, largest first; the last is the smallest."""
    parts: list[list[Path]] = []
    for path in sorted(files, key=lambda path: -path.stat().st_size):
        size = path.stat().st_size
        if size > most:
            raise RequestError(
                f"{path.name} has {size / 2**20:.0f} MiB, more than a part may; allow larger parts."
            )
        fits = (own for own in parts if sum(p.stat().st_size for p in own) + size <= most)
        own = next(fits, None)
        if own is None:
            parts.append([path])
        else:
            own.append(path)
    # The part with the weights goes first: a machine can compile while the pixels come.
    return sorted(parts, key=lambda own: all(path.suffix == ".zip" for path in own))


def _place(source: Path, target: Path, move: bool = False) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if move:
        source.replace(target)
    elif not target.exists():
        shutil.copy(source, target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
