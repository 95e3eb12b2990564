"""Tables of what models cost: size, work, time and memory, as a run measured them.

The numbers that a machine gave are kept in the run (``Results.measured``) and shown as they are; a
run without them gives tables without rows. Each table says on which machine and with which
versions they were measured. Multiply-adds are counted from the layers (``nn.cost``).
"""

from __future__ import annotations

import pandas as pd

from lcc_utils.evaluation.result import Results
from lcc_utils.report.rows import by_variant, metric_frame, score, table

STUDIES = ("baselines", "efficiency")
# The engine that trained the networks, in the precision of their scores.
KERAS, FULL = "Keras", "float32"
PAPER, VGG, ORIGINAL = "efficientnetv2-b3-se", "vgg16-se", "vgg16-original"
PAPER_SIZE = 384
COSTS = ("parameters_total", "multiply_adds", "disk", "memory", "latency")
_HALF = ("float16", "bfloat16")
_TEXT = ["model", "device"]
_SIZES = ["model", "network", "size", "parameters_total", "parameters_trainable", "multiply_adds"]
_MEASURED = [
    "model", "size", "device", "engine", "precision", "processor", "threads", "versions", "batch",
    "repeats", "latency", "latency_q1", "latency_q3", "throughput", "memory", "memory_batch",
    "disk", "score_difference", "reason",
]  # fmt: skip


def efficiency_table(cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give each model's cost at each image side, beside its AUC where it was tested at that side.

    Time and memory are those of Keras in float32 (of the features and the score for models on
    measured features) at batch 1; ``throughput`` is at the larger batch. ``disk_half`` is the
    smallest file in half precision; Keras keeps weights in float32. ``auc`` is the mean of the
    directions of the baselines, with the least and most. Networks without a device are counted
    and not measured.
    """
    costs, aucs = _kind(results, "costs"), _aucs(results)
    rows = []
    for _, counted in _kind(results, "sizes").iterrows():
        own = _of(costs, counted)
        row = _counts(counted) | aucs.get((counted["model"], _side(counted)), {})
        main = own[own["precision"].eq(FULL) & own["engine"].eq(KERAS) | own["size"].isna()]
        half = own.loc[own["precision"].isin(_HALF), "disk"].min()
        rows += [row | _measured(found, half) for _, found in main.iterrows()] or [row]
    text, counts = _TEXT, ["size", "parameters_total", "multiply_adds", "memory"]
    columns = [
        "model", "size", "device", "parameters_total", "multiply_adds", "disk", "disk_half",
        "memory", "latency", "latency_quartiles_low", "latency_quartiles_high", "throughput",
        "auc", "auc_min", "auc_max",
    ]  # fmt: skip
    frame = table(rows, columns, counts, text)
    label = cells.attrs.get("label", "")
    frame.attrs["data"] = "; costs on ".join(filter(None, [label, _machines(costs)]))
    return frame


def efficiency_engines_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give time and memory of each engine and precision, and why one could not do it.

    ``score_difference`` is the largest difference to a score of Keras in float32, on images of
    patches of colour and with random weights.
    """
    costs = _kind(results, "costs")
    rows = []
    for _, own in costs[costs["size"].notna()].iterrows():
        row = {"model": own["model"], "size": int(own["size"]), "device": own["device"]}
        row |= {"engine": own["engine"], "precision": own["precision"]}
        row |= {name: _whole(own[name]) for name in ("batch", "repeats", "memory_batch")}
        row |= _measured(own, float("nan"))
        row["score_difference"] = score(own["score_difference"])
        row["reason"] = "" if pd.isna(own["reason"]) else own["reason"]
        rows.append(row)
    text = [*_TEXT, "engine", "precision", "reason"]
    counts = ["size", "memory", "memory_batch", "batch", "repeats"]
    columns = [
        "model", "size", "device", "engine", "precision", "disk", "memory", "memory_batch",
        "latency", "latency_quartiles_low", "latency_quartiles_high", "repeats", "throughput",
        "batch", "score_difference", "reason",
    ]  # fmt: skip
    frame = table(rows, columns, counts, text)
    frame.attrs["data"] = _machines(costs)
    return frame


def efficiency_saving_table(_cells: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Give what the paper's network saves of each cost of VGG16, in per cent of VGG16's.

    VGG16 stands as it was published, at the one side that it takes, and under the head of the
    paper's network, at the same side. Less than zero is more than VGG16 costs.
    """
    sizes, costs = _kind(results, "sizes"), _kind(results, "costs")
    main = costs[costs["engine"].eq(KERAS) & costs["precision"].eq(FULL)]
    rows = []
    for own, other in _pairs(sizes):
        first, second = _of(main, own), _of(main, other)
        shared = [name for name in first["device"] if name in set(second["device"])]
        for device in shared or [""]:
            values, against = _costs(own, first, device), _costs(other, second, device)
            row = {"model": own["model"], "size": int(own["size"]), "against": other["model"]}
            row |= {"against_size": int(other["size"]), "device": device}
            row |= {f"{name}_saved": _saved(values[name], against[name]) for name in COSTS}
            rows.append(row)
    text, counts = ["model", "against", "device"], ["size", "against_size"]
    columns = ["model", "size", "against", "against_size", "device"]
    frame = table(rows, [*columns, *(f"{name}_saved" for name in COSTS)], counts, text)
    frame.attrs["data"] = _machines(main)
    return frame


def _pairs(sizes: pd.DataFrame) -> list[tuple[pd.Series, pd.Series]]:
    """Return what is compared: the paper's network and a VGG16, at sides that make sense."""
    found = []
    networks = dict(list(sizes.groupby("network", sort=False)))
    for name in (ORIGINAL, VGG):
        for _, other in networks.get(name, sizes.head(0)).iterrows():
            for _, own in networks.get(PAPER, sizes.head(0)).iterrows():
                same = own["size"] == other["size"]
                if same or (name == ORIGINAL and own["size"] == PAPER_SIZE):
                    found.append((own, other))
    return found


def _costs(counted: pd.Series, measured: pd.DataFrame, device: str) -> dict[str, float]:
    """Return what a network costs on a device; what was not measured is not a number."""
    whole = {**dict.fromkeys(COSTS, float("nan")), **counted[list(COSTS[:2])]}
    for _, own in measured[measured["device"] == device].head(1).iterrows():
        whole |= own[list(COSTS[2:])].to_dict()
    return whole


def _saved(own: float, other: float) -> float:
    """Return by how many per cent a cost is below another."""
    return score(100 * (1 - own / other)) if other > 0 else float("nan")


def _kind(results: Results, kind: str) -> pd.DataFrame:
    columns = {"sizes": _SIZES, "costs": _MEASURED}[kind]
    return results.measured["efficiency"].get(kind, pd.DataFrame(columns=columns))


def _of(costs: pd.DataFrame, counted: pd.Series) -> pd.DataFrame:
    """Return the measurements of a model at a side; models on features have no side."""
    same = costs["size"].isna() if pd.isna(counted["size"]) else costs["size"] == counted["size"]
    return costs[costs["model"].eq(counted["model"]) & same]


def _counts(counted: pd.Series) -> dict[str, object]:
    millions = _whole(counted["multiply_adds"] / 1e6)
    facts = {name: _whole(counted[name]) for name in ("size", "parameters_total")}
    return {"model": counted["model"], "device": "", **facts, "multiply_adds": millions}


def _measured(own: pd.Series, half: float) -> dict[str, object]:
    return {
        "device": own["device"],
        "disk": score(own["disk"]),
        "disk_half": score(half),
        "memory": _whole(own["memory"]),
        "latency": score(own["latency"]),
        "latency_quartiles_low": score(own["latency_q1"]),
        "latency_quartiles_high": score(own["latency_q3"]),
        "throughput": score(own["throughput"]),
    }


def _whole(value: float) -> int | None:
    return None if pd.isna(value) else round(value)


def _side(own: pd.Series) -> int | None:
    return _whole(own["size"])


def _aucs(results: Results) -> dict[tuple[str, int | None], dict[str, float]]:
    """Return mean, least and most AUC over the directions, by model and image side.

    A model of which a direction is missing has none: its mean would be of other test cells.
    """
    found = {}
    for runs in by_variant(results, STUDIES[0]):
        if runs.whole:
            means = metric_frame(runs.done).groupby("split")["auc"].mean()
            side = runs.done[0].settings.get("pixels", {}).get("size")
            ends = {"auc": means.mean(), "auc_min": means.min(), "auc_max": means.max()}
            found[runs.variant, side] = {name: score(value) for name, value in ends.items()}
    return found


def _machines(costs: pd.DataFrame) -> str:
    """Return processors, threads and versions, each combination once."""
    machines = costs[["processor", "threads"]].dropna().drop_duplicates()
    named = [f"{name}, {int(threads)} threads" for name, threads in machines.to_numpy()]
    return "; ".join([*named, *dict.fromkeys(costs["versions"].dropna())])
