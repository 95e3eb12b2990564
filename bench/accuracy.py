"""Has speed cost accuracy? The same experiments of two finished runs, by two commits, compared."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from bench.record import RESULTS, Record
from lcc_utils.errors import DataError
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.pipeline.store import short_digest
from lcc_utils.pipeline.verify import load_results

__all__ = ["main", "paired", "summary"]

METRICS = ("auc", "f1_weighted")


def main(arguments: list[str] | None = None) -> int:
    """Compare, print, and write accuracy.json."""
    args = _arguments(arguments)
    runs = {"before": args.before, "after": args.after}
    try:
        loaded = {name: load_results(folder) for name, folder in runs.items()}
    except (OSError, DataError) as error:
        raise SystemExit(f"A run cannot be read: {error}") from error
    commits = {
        name: json.loads((folder / "run.json").read_text(encoding="utf-8"))["git"]["commit"]
        for name, folder in runs.items()
    }
    label = loaded["after"][0].attrs["label"]
    record = Record("accuracy", commits | {"data": label})
    pairs = paired(*(loaded[name][1] for name in runs))
    found = summary(pairs)
    record.tables[f"Trained networks, the same experiments before and after ({label})"] = found
    for row in found.to_dict("records"):
        apart = abs(row["change"]) / row["sd_of_seeds"]
        record.goal(f"change of {row['metric']} / spread between seeds", apart, 1.0, "lower")
    record.notes.append(
        f"Before is commit {commits['before'][:7]}, after is {commits['after'][:7]}. An experiment "
        "is the same where its key is: data, split, settings and seed. The spread is the "
        "standard deviation, before, between seeds with one split and the same settings, pooled "
        "over such groups. An experiment that changes as much as with another seed has changes "
        "with 1.4 times that standard deviation."
    )
    record.finish(args.out)
    return 0


def paired(before: Results, after: Results) -> pd.DataFrame:
    """Return a row for each experiment of both runs that trains a network.

    Returns
    -------
    DataFrame
        ``key, alike, seed``, and each metric as it was (``auc_before``) and is (``auc_after``).
        Experiments that are ``alike`` have one split and the same settings. Empty where the runs
        have no such experiment in common.
    """
    old, new = _trained(before), _trained(after)
    rows = []
    for key in sorted(old.keys() & new.keys()):
        one = new[key]
        alike = short_digest([one.record["split"]["digest"], one.settings])
        row = {"key": key, "alike": alike, "seed": one.seed}
        for metric in METRICS:
            row[f"{metric}_before"] = old[key].metrics[metric]
            row[f"{metric}_after"] = one.metrics[metric]
        rows.append(row)
    return pd.DataFrame(rows)


def summary(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each metric: means, their change, and what seeds alone change.

    Raises
    ------
    SystemExit
        If there are no pairs, or no two that differ in their seed alone.
    """
    seeds = pairs.groupby("alike") if len(pairs) else None
    if seeds is None or seeds.size().max() < 2:
        raise SystemExit(
            "The runs share no networks that were trained alike from several seeds; compare two "
            "runs of one profile on the same cells, such as lcc run demo of either commit."
        )
    freedom = (seeds.size() - 1).sum()
    rows = []
    for metric in METRICS:
        old = pairs[f"{metric}_before"]
        change = pairs[f"{metric}_after"] - old
        spread = seeds[f"{metric}_before"].transform(lambda own: own - own.mean())
        rows.append(
            {
                "metric": metric,
                "experiments": len(pairs),
                "before": round(old.mean(), 4),
                "after": round(pairs[f"{metric}_after"].mean(), 4),
                "change": round(change.mean(), 4),
                "se_of_change": round(change.sem(), 4),
                "sd_of_change": round(change.std(), 4),
                "sd_of_seeds": round(float(((spread**2).sum() / freedom) ** 0.5), 4),
            }
        )
    return pd.DataFrame(rows)


def _trained(results: Results) -> dict[str, Result]:
    """Return each experiment that trains a network, by key."""
    return {
        result.key: result
        for own in results.values()
        for result in own
        # Only where a network learns does the loss bear on a result, and is kept with it.
        if "loss" in result.settings
    }


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--out", metavar="DIR", type=Path, default=RESULTS)
    parser.add_argument("before", type=Path, metavar="BEFORE", help="a finished run's folder")
    parser.add_argument("after", type=Path, metavar="AFTER", help="another's, by another commit")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
