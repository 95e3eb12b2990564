"""A model as one directory: network, calibration, thresholds, origin and card, checked on load."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lcc_utils.data.cache import write_atomic
from lcc_utils.data.files import open_regular
from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.calibration import Scaling
from lcc_utils.evaluation.novelty import Novelty
from lcc_utils.pipeline.model_record import FORMAT, POOL, ModelRecord
from lcc_utils.pipeline.records import checked
from lcc_utils.pipeline.store import read_json, record_digest

__all__ = ["LoadedModel", "ModelRecord", "load_model_dir", "read_record", "write_model_dir"]

NETWORK, RECORD, CARD = "model.keras", "model.json", "card.md"
FEATURES, LOGITS = POOL, "logits"


@dataclass(frozen=True)
class LoadedModel:
    """A model directory, checked and ready.

    Attributes
    ----------
    record
        What ``model.json`` says.
    network
        Images ``(batch, size, size, 3)`` with pixels 0 to 255 to features and logits.
    logits
        The same, to logits alone.
    """

    record: ModelRecord
    network: Any
    logits: Any

    @property
    def scaling(self) -> Scaling:
        """The map from score to calibrated probability."""
        own = self.record.calibration
        return Scaling(1 / own.temperature, own.shift)

    @property
    def novelty(self) -> Novelty:
        """What the distance is measured from."""
        own = self.record.novelty
        return Novelty(
            np.array(own.mean), np.array(own.axes), np.array(own.variances), own.residual
        )


def write_model_dir(folder: Path, record: ModelRecord, classifier: Any, card: str) -> Path:
    """Write a model directory; it appears whole, by one rename, or not at all.

    Raises
    ------
    RequestError
        If there is something at that place.
    DataError
        If it cannot be written.
    """
    if folder.exists():
        raise RequestError(f"{folder} exists; name another folder with --out, or remove it first.")
    scratch = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        scratch.mkdir(parents=True)
        classifier.save(scratch / NETWORK)
        write_atomic(scratch / CARD, card)
        files = {name: _sha256(scratch / name) for name in (CARD, NETWORK)}
        values = record.model_dump(mode="json", exclude={"digest"}) | {"files": files}
        text = _compact(values | {"digest": record_digest(values)})
        write_atomic(scratch / RECORD, text)
        scratch.replace(folder)
    except OSError as error:
        raise DataError(f"{folder} could not be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def read_record(folder: Path) -> ModelRecord:
    """Return what ``model.json`` says, after checking every file against its digest.

    Raises
    ------
    RequestError
        If the folder is no model directory, or of another format.
    DataError
        If a file is missing, damaged or not the one that was written.
    """
    if not (folder / RECORD).is_file():
        raise RequestError(
            f"{folder} is no model directory: it has no {RECORD}. Name a folder that `lcc model` "
            "wrote, such as models/small."
        )
    values = read_json(folder / RECORD, strict=True)
    form = values.get("format") if isinstance(values, dict) else None
    if form != FORMAT:
        raise RequestError(
            f"{folder / RECORD} is of format {form!r:.40}, and this version reads format {FORMAT}; "
            "use the version that wrote it, or make the model again with `lcc model`."
        )
    if record_digest(values) != values.get("digest"):
        raise DataError(_changed_file(folder / RECORD))
    record = checked(ModelRecord, values, folder / RECORD)
    if record.files.keys() != {NETWORK, CARD}:
        raise DataError(f"{folder / RECORD} does not name {NETWORK} and {CARD}. Copy it again.")
    for name, digest in record.files.items():
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is missing. Copy the whole model directory again.")
        if _sha256(folder / name) != digest:
            raise DataError(_changed_file(folder / name))
    return record


def load_model_dir(folder: Path) -> LoadedModel:
    """Load a model directory: digests, then what the archive names, then the network.

    Errors are those of :func:`read_record` and ``nn.archive.open_archive``; also one if the
    network is not that of which ``model.json`` speaks.
    """
    record = read_record(folder)
    from lcc_utils.nn.archive import open_archive

    classifier = open_archive(folder / NETWORK)
    import keras

    shape = tuple(classifier.input_shape)
    if shape[1:] != (record.size, record.size, 3):
        raise DataError(
            f"{folder / NETWORK} takes images of {'x'.join(map(str, shape[1:3]))} px, but "
            f"{RECORD} says {record.size}; they are of different models. Copy the directory again."
        )
    try:
        features, logits = (classifier.get_layer(name).output for name in (FEATURES, LOGITS))
    except ValueError as error:
        raise DataError(f"{folder / NETWORK} has no layer {FEATURES} or {LOGITS}.") from error
    if features.shape[1:] != (len(record.novelty.mean),) or logits.shape[1:] != (2,):
        raise DataError(f"{folder / NETWORK} and {RECORD} are of different models. Copy it again.")
    return LoadedModel(
        record,
        keras.Model(classifier.input, [features, logits], name="network"),
        keras.Model(classifier.input, logits, name="logits_model"),
    )


def _changed_file(path: Path) -> str:
    return (
        f"{path} is not the file that was written (its SHA-256 differs): it is damaged or was "
        "changed. Copy the model directory again from where it was made."
    )


def _compact(values: dict[str, Any]) -> str:
    """Return JSON for people: one line for each row of numbers, however long."""
    rows = {k: v for k, v in values["novelty"].items() if isinstance(v, list)}
    marks = {f"@{name}@": json.dumps(own) for name, own in rows.items()}
    shown = {**values, "novelty": {**values["novelty"], **{k: f"@{k}@" for k in rows}}}
    text = json.dumps(shown, indent=2, ensure_ascii=False)
    for mark, numbers in marks.items():
        text = text.replace(f'"{mark}"', numbers)
    return text + "\n"


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
