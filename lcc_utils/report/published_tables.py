"""Tables of entries that others published, from their own files: intervals and agreement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lcc_utils.errors import RequestError
from lcc_utils.evaluation.resampling import (
    REPLICATES,
    percentile_error,
    percentile_range,
    resample,
)
from lcc_utils.evaluation.result import Results
from lcc_utils.evaluation.subject_intervals import BY_CELLS, ESTIMANDS, subject_intervals
from lcc_utils.evaluation.weighted import measure, weighted_cells
from lcc_utils.report.claims import CLAIMS_FILE
from lcc_utils.report.rows import ends, score, table, with_ends

SUBJECTS_FILE = CLAIMS_FILE.with_name("published_subjects.csv")
AGREEMENT_FILE = CLAIMS_FILE.with_name("published_agreement.csv")
INFERRED = (
    "that both files follow one order of images, and that the second is what was submitted, is "
    "inferred from the files, not stated there; the files name no subjects, so there is no interval"
)
_DRAWS = (
    "percentiles are of {draws:,} draws, and the Monte Carlo standard error of their ends is "
    "{error:.4f}"
)
_LABELS = {"ALL": 1, "HEM": 0}
_METRICS = ("f1_weighted", "sensitivity", "specificity")


def published_entries_table(_cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """Give weighted F1 of published entries with intervals over their subjects.

    Intervals are the jackknife's; ``f1_weighted_percentile`` is the percentile bootstrap over
    subjects beside it, of 20,000 draws within each class.
    """
    rows = []
    for (entry, phase), own in read_published(SUBJECTS_FILE).groupby(
        ["entry", "phase"], sort=False
    ):
        cells = called_cells(own)
        for estimand in ESTIMANDS:
            row: dict[str, object] = {"entry": entry, "phase": phase, "estimand": estimand}
            for name, found in subject_intervals(cells, None, _METRICS, estimand).items():
                row |= ends(name, found)
            if estimand == BY_CELLS:
                low, high, error = percentile_interval(cells)
                row |= {"f1_weighted_percentile_low": score(low)}
                row |= {"f1_weighted_percentile_high": score(high)}
                row["note"] = _DRAWS.format(draws=REPLICATES, error=error)
            row |= {f"{k.lower()}_subjects": int((own["class"] == k).sum()) for k in _LABELS}
            rows.append(row | {"cells": int(own["cells"].sum())})
    counts, text = ["all_subjects", "hem_subjects", "cells"], ["entry", "phase", "estimand"]
    percentile = ["f1_weighted_percentile_low", "f1_weighted_percentile_high"]
    columns = [*text, *with_ends("f1_weighted"), *percentile, *with_ends(*_METRICS[1:])]
    return table(rows, columns + counts, counts, text)


def published_agreement_table(_cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """Give how often two published entries call the same cells alike, and Cohen's kappa."""
    keys = ["first", "second", "phase"]
    rows = []
    for group, own in read_published(AGREEMENT_FILE).groupby(keys, sort=False):
        counts = own.pivot(index="call_first", columns="call_second", values="cells")
        counts = counts.loc[list(_LABELS), list(_LABELS)]
        agreement, kappa = cohen(counts.to_numpy(float))
        rows.append(dict(zip(keys, group, strict=True)) | {"note": INFERRED})
        rows[-1] |= {"both_all": counts.loc["ALL", "ALL"], "both_hem": counts.loc["HEM", "HEM"]}
        rows[-1] |= {"first_all": counts.loc["ALL", "HEM"], "second_all": counts.loc["HEM", "ALL"]}
        rows[-1] |= {"cells": int(own["cells"].sum())}
        rows[-1] |= {"agreement": score(agreement), "kappa": score(kappa)}
    counts = ["both_all", "both_hem", "first_all", "second_all", "cells"]
    return table(rows, [*keys, *counts, "agreement", "kappa"], counts, keys)


def cohen(counts: np.ndarray) -> tuple[float, float]:
    """Return the share of agreement and Cohen's kappa of a square table of counts.

    Kappa is the agreement beyond chance as a share of what is possible beyond chance. Source:
    Cohen (1960), Educational and Psychological Measurement 20.
    """
    shares = counts / counts.sum()
    agreement = float(np.trace(shares))
    chance = float(shares.sum(axis=1) @ shares.sum(axis=0))
    return agreement, (agreement - chance) / (1 - chance)


def called_cells(subjects: pd.DataFrame) -> pd.DataFrame:
    """Return one row a cell from counts by subject: ``subject, label, score, called``.

    Parameters
    ----------
    subjects
        ``patient, class, cells, correct``, one row a subject.
    """
    label = subjects["class"].map(_LABELS).to_numpy()
    right = subjects["correct"].to_numpy()
    times = np.stack([right, subjects["cells"].to_numpy() - right], axis=1)
    called = np.stack([label, 1 - label], axis=1)
    kinds = pd.DataFrame(
        {
            "subject": np.repeat(subjects["patient"].to_numpy(), 2),
            "label": np.repeat(label, 2),
            "called": called.ravel(),
        }
    )
    return kinds.loc[kinds.index.repeat(times.ravel())].assign(score=lambda t: t["called"] * 1.0)


def percentile_interval(cells: pd.DataFrame, seed: int = 0) -> tuple[float, float, float]:
    """Return the ends of the percentile bootstrap over subjects of weighted F1, and their error.

    Subjects are drawn within each class, 20,000 times; see ``resampling.percentile_error``.
    """
    own = weighted_cells(cells, None, ("f1_weighted",))
    classes = cells.groupby(cells["subject"].astype(str))["label"].first().to_numpy(np.int64)
    times = resample(classes, REPLICATES, np.random.default_rng(seed))
    drawn = measure(own, times, ("f1_weighted",))["f1_weighted"]
    return *percentile_range(drawn), percentile_error(drawn)


def read_published(path: Path) -> pd.DataFrame:
    """Read numbers that the book keeps, in a CSV file whose first lines say where from.

    Raises
    ------
    RequestError
        If the file cannot be read.
    """
    try:
        return pd.read_csv(path, comment="#", dtype={"patient": str}, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{path} cannot be read ({error}); restore it from the repository."
        ) from error
