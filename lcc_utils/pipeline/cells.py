"""The cells of a run: drawn or read, with the subjects that they belong to."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lcc_utils.data import cnmc, duplicates, synthetic
from lcc_utils.data.cache import cache_dir
from lcc_utils.errors import RequestError
from lcc_utils.pipeline.config import RunConfig


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
    root = _root(config, data, progress)
    cells = cnmc.index(root, progress=progress)
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
    cells.attrs = attrs | {"label": describe(attrs["dataset"], cells)}
    return cells


def describe(dataset: str, cells: pd.DataFrame) -> str:
    """Return what numbers of some cells are computed on, as a reader sees it."""
    kind = {"synthetic": "synthetic cells", "c-nmc-2019": "C-NMC 2019"}[dataset]
    return (
        f"{kind} ({len(cells):,} cells of {cells['subject'].nunique()} subjects, "
        f"digest {cnmc.data_digest(cells)[:8]})"
    )


def _root(config: RunConfig, data: str | None, progress: bool) -> Path:
    wanted = config.dataset
    if wanted.source == "synthetic":
        if data:
            raise RequestError(
                f"Profile {config.profile} draws its own cells and takes no data; use profile cpu "
                "or paper for cells of your own."
            )
        root = cache_dir() / f"synthetic-{wanted.cells}-{wanted.seed}"
        return synthetic.generate(root, cells=wanted.cells, seed=wanted.seed, progress=progress)
    if not data:
        raise RequestError(
            f"Profile {config.profile} needs C-NMC 2019: give its folder with --data (or the "
            "notebook's parameter data). The page on the data says how to get it."
        )
    return Path(data)
