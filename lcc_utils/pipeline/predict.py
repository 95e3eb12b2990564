"""Score images of a user's own with a model directory: a table, and a report to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from lcc_utils.data.cache import write_atomic
from lcc_utils.data.layouts import is_cell_name
from lcc_utils.data.paths import writable_folder
from lcc_utils.data.photographs import Listing, list_images, prepared, read_cell
from lcc_utils.data.trees import in_groups
from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.novelty import energy
from lcc_utils.nn.keras_file import check_keras
from lcc_utils.nn.settings import MOST_BATCH
from lcc_utils.pipeline.model_files import LoadedModel, load_model_dir
from lcc_utils.pipeline.prediction_gallery import gallery
from lcc_utils.report.formatting import safe_table
from lcc_utils.report.prediction_page import page
from lcc_utils.text import printable

__all__ = ["COLUMNS", "Prediction", "predict"]

COLUMNS = [
    "file", "score", "probability", "class", "abstained", "energy", "distance", "side",
]  # fmt: skip


FILES = ("predictions.csv", "report.html")


@dataclass(frozen=True)
class Prediction:
    """What was predicted.

    Attributes
    ----------
    table
        One row a file in the order of :data:`COLUMNS`, then ``kind``: why it was abstained in
        one word (``unsure``, ``unlike``, ``no cell``, ``unreadable``), or empty.
    counts
        ``files, scored, called ALL, called HEM``, and one for each kind.
    written
        The files.
    notes
        Sentences on what was left out, and on what has to be known of the files.
    left_out
        ``(path, reason)`` of what lies in the folders and was not scored.
    """

    table: pd.DataFrame
    counts: dict[str, int]
    written: list[Path]
    notes: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def predict(
    folder: Path,
    places: Sequence[str],
    out: Path,
    *,
    batch: int = 64,
    maps: int = 24,
    progress: bool = False,
) -> Prediction:
    """Score every image, and write ``predictions.csv`` and ``report.html`` into `out`.

    An image that cannot be read, or cannot be a cell, gets a row with the reason. One that can is
    scored; its class stays empty where the score is near the threshold, or where it is unlike the
    cells that the model learned from. Scores do not depend on what else is predicted.

    Parameters
    ----------
    folder
        The model directory.
    places
        Files, folders or C-NMC trees.
    out
        Where the files appear; what is there of the same name is replaced.
    batch
        Images at a time; memory grows with it, and with nothing else but the rows.
    maps
        Most cells of the report's gallery that get a map.
    progress
        Whether to show a progress bar.

    Raises
    ------
    RequestError
        If a number is wrong, nothing can be written into `out`, no image is named, or the folder
        is no model directory.
    DataError
        If the model directory is damaged or refused, or a file cannot be written.
    """
    check_keras()
    if not 1 <= batch <= MOST_BATCH or maps < 0:
        raise RequestError(
            f"--batch {batch} must be between 1 and {MOST_BATCH:,}, and --maps {maps} 0 or more."
        )
    writable_folder(out, files=FILES)
    listing = list_images(places)
    if not listing.files:
        named = [*listing.faults, *in_groups(listing.left_out)]
        first = printable("; ".join(f"{where}: {reason}" for where, reason in named[:3]))
        raise RequestError(f"There is nothing to predict. {first or 'Name files or folders'}.")
    model = load_model_dir(folder)
    rows = []
    with tqdm(total=len(listing.files), desc="cells", disable=not progress) as bar:
        for some in _scored(model, listing.files, batch):
            rows += some
            bar.update(len(some))
    rows += [_row(path, kind="unreadable", abstained=reason) for path, reason in listing.faults]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "kind"])
    counts = _counts(table)
    notes = _notes(listing, model)
    record = model.record.model_dump(mode="json")
    html = page(record, table, counts, gallery(model, table, maps), notes)
    shown = safe_table(table[COLUMNS])
    text = shown.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    contents = zip(FILES, (text, html), strict=True)
    written = [write_atomic(out / name, content) for name, content in contents]
    return Prediction(table, counts, written, notes, listing.left_out)


def _scored(model: LoadedModel, files: Sequence[str], batch: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of one batch after the other."""
    record = model.record
    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(files), batch):
            some = files[start : start + batch]
            seen = list(pool.map(read_cell, some))
            good = [own for own in seen if not own.reason]
            images = [prepared(own.pixels, record.size, record.crop) for own in good]
            judged = iter(_judged(model, images, batch))
            yield [
                _row(path, side=own.side, **next(judged))
                if not own.reason
                else _row(
                    path,
                    side=own.side,
                    abstained=own.reason,
                    kind="unreadable" if not own.side else "no cell",
                )
                for path, own in zip(some, seen, strict=True)
            ]


def _judged(model: LoadedModel, images: list[np.ndarray], batch: int) -> list[dict[str, Any]]:
    """Score some images, which may be fewer than a batch, and say which are not called."""
    if not images:
        return []
    # A last batch of another size would be traced again.
    whole = np.zeros((batch, *images[0].shape), "float32")
    whole[: len(images)] = images
    features, logits = (part[: len(images)] for part in _outputs(model, whole, 0))
    total = _scores(logits)
    for view in range(1, model.record.views):
        total += _scores(_outputs(model, whole, view)[1][: len(images)])
    scores = total / model.record.views
    with np.errstate(all="ignore"):
        distances, energies = model.novelty.distance(features), energy(logits)
    # No limit holds back what is not a number.
    for name, own in (("scores", scores), ("distances", distances), ("energies", energies)):
        if not np.isfinite(own).all():
            raise DataError(f"The model gives {name} that are not finite; make it again.")
    return [
        _judgement(model, *own)
        for own in zip(scores, model.scaling.apply(scores), energies, distances, strict=True)
    ]


def _outputs(model: LoadedModel, images: np.ndarray, view: int) -> list[np.ndarray]:
    turned = np.rot90(images, view % 4, axes=(1, 2))
    turned = turned[:, :, ::-1] if view >= 4 else turned
    return [np.asarray(part) for part in model.network.predict_on_batch(np.array(turned))]


def _scores(logits: np.ndarray) -> np.ndarray:
    from lcc_utils.nn.prediction import scores_of

    return scores_of(logits)


def _judgement(
    model: LoadedModel, score: float, probability: float, energetic: float, distance: float
) -> dict[str, Any]:
    limits, novelty = model.record.thresholds, model.record.novelty
    reason, kind = "", ""
    if distance > novelty.distance:
        reason = f"unlike the training cells: distance {distance:.1f} above {novelty.distance:.1f}"
        kind = "unlike"
    elif energetic > novelty.energy:
        reason = f"unlike the training cells: energy {energetic:.2f} above {novelty.energy:.2f}"
        kind = "unlike"
    elif limits.unsure_low <= score <= limits.unsure_high:
        low, high = limits.unsure_low, limits.unsure_high
        reason, kind = f"unsure: score {score:.3f} between {low:.3f} and {high:.3f}", "unsure"
    called = "" if kind else ("ALL" if score >= limits.decision else "HEM")
    return {
        "score": score, "probability": probability, "class": called, "abstained": reason,
        "energy": energetic, "distance": distance, "kind": kind,
    }  # fmt: skip


def _row(path: str, **values: Any) -> dict[str, Any]:
    empty = {"class": "", "abstained": "", "side": "", "kind": ""}
    nothing = dict.fromkeys(("score", "probability", "energy", "distance"), float("nan"))
    return {"file": Path(path).as_posix(), **nothing, **empty, **values}


def _counts(table: pd.DataFrame) -> dict[str, int]:
    counts = {"files": len(table), "scored": int(table["score"].notna().sum())}
    counts |= {f"called {name}": int((table["class"] == name).sum()) for name in ("ALL", "HEM")}
    kinds = ("unsure", "unlike", "no cell", "unreadable")
    return counts | {kind: int((table["kind"] == kind).sum()) for kind in kinds}


def _notes(listing: Listing, model: LoadedModel) -> list[str]:
    groups = in_groups(listing.left_out)
    notes = [f"Left out: {which}: {reason}." for which, reason in groups]
    known = sum(is_cell_name(Path(path).stem) for path in listing.files)
    if known:
        notes.append(
            f"{known:,} of the files are named like cells of C-NMC 2019. The model was trained on "
            f"{model.record.training['dataset']}: what it says of cells that it has seen, or of "
            "their subjects, is no test of it."
        )
    return notes
