"""The cells of a run: drawn or read, with the subjects that they belong to."""

from __future__ import annotations

import logging
import shutil
import uuid
from pathlib import Path

import pandas as pd

from lcc_utils.data import cnmc, duplicates, synthetic
from lcc_utils.data.cache import cache_dir
from lcc_utils.data.files import read_json
from lcc_utils.data.layouts import MARKER
from lcc_utils.data.paths import user_path
from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline.begin import data_label
from lcc_utils.pipeline.config import RunConfig

_LOG = logging.getLogger(__name__)
_LARGEST_MARKER = 2**24


def open_cells(config: RunConfig, data: str | None, progress: bool) -> pd.DataFrame:
    """Return a run's labelled cells with their subjects.

    Parameters
    ----------
    config
        The run's settings; a synthetic data set is drawn into the cache directory.
    data
        The C-NMC tree, for profiles on real cells.
    progress
        Whether to show progress bars.

    Returns
    -------
    DataFrame
        As ``data.cnmc.index`` gives it, with ``subject``; ``attrs`` hold ``dataset`` and
        ``label``, which says what the numbers are computed on.

    Raises
    ------
    RequestError
        If data is missing, not wanted, or holds no cell of the phases asked for.
    DataError
        If files are faulty.
    """
    root, cells = _read(config, data, progress)
    attrs = dict(cells.attrs)
    cells = cells[cells["phase"].isin(config.dataset.phases) & cells["label"].notna()]
    if cells.empty:
        raise RequestError(
            f"{root} holds no labelled cells of phase {' or '.join(config.dataset.phases)}, which "
            f"profile {config.profile} needs. See what is there with: lcc data check {root}"
        )
    pairs = duplicates.find_pairs(cells, progress=progress)
    cells = duplicates.subject_groups(cells, duplicates.subject_links(pairs, cells))
    cells = cells.reset_index(drop=True)
    cells.attrs = attrs | {"label": data_label(attrs["dataset"], cells)}
    return cells


def _read(config: RunConfig, data: str | None, progress: bool) -> tuple[Path, pd.DataFrame]:
    """Return the folder of a run's cells, and all of them."""
    wanted = config.dataset
    if wanted.source == "synthetic":
        if data:
            raise RequestError(
                f"Profile {config.profile} draws its own cells and takes no data; use profile cpu "
                "or paper for cells of your own."
            )
        root = cache_dir() / f"synthetic-{wanted.cells}-{wanted.seed}"
        return root, _drawn(root, wanted.cells, wanted.seed, progress)
    if not data:
        raise RequestError(
            f"Profile {config.profile} needs C-NMC 2019: give its folder with --data (or the "
            "notebook's parameter data). The page on the data says how to get it."
        )
    root = user_path(data, "The data (--data, or the parameter data)")
    return root, cnmc.index(root, progress=progress)


def _drawn(root: Path, count: int, seed: int, progress: bool) -> pd.DataFrame:
    """Return the synthetic cells of the cache; a set that was changed is drawn again."""
    for _ in range(2):
        synthetic.generate(root, cells=count, seed=seed, progress=progress)
        cells = _as_drawn(root, progress)
        if cells is not None:
            return cells
        _LOG.warning("%s was changed after it was drawn; it is drawn again.", root)
        _remove(root)
    raise DataError(f"{root} does not hold the cells that were drawn there; remove it.")


def _as_drawn(root: Path, progress: bool) -> pd.DataFrame | None:
    try:
        found = cnmc.survey(root, progress=progress)
    except RequestError:  # nothing of it is left
        return None
    same = _digest_as_drawn(root) in (None, cnmc.data_digest(found.cells))
    return found.cells if same and not found.faults else None


def _digest_as_drawn(root: Path) -> str | None:
    """Return the data digest that a set notes of itself; sets of earlier versions note none."""
    try:
        return read_json(root / MARKER, _LARGEST_MARKER).get("digest")
    except (DataError, AttributeError):
        return ""


def _remove(root: Path) -> None:
    aside = root.with_name(f".{root.name}-{uuid.uuid4().hex}")
    try:
        root.replace(aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise DataError(
            f"{root} was changed after it was drawn, and cannot be removed ({error.strerror}); "
            "remove it, and start again."
        ) from error
