"""Training throughput, images a second: ours, a researcher's PyTorch, and the ceiling of ours.

Three take turns in one run. Ours is the project's own input and loop. The peer decodes files in
every epoch, as most code does: at 384 px of the whole frame, which the paper states, and at the
size at which a cell has as many pixels as in ours. The ceiling is our step on one resident batch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from bench.cells import labelled, scratch
from bench.record import Record, options, out_folder
from bench.rounds import Participant, alternate, rates
from lcc_utils.data.images import FRAME, PixelCache

__all__ = ["main"]

PAPER_SIZE = 384
# The whole run on a graphics card: the paper's network at three sizes and two precisions.
ON_GPU = {
    "backbone": "efficientnetv2-b3", "sizes": [224, 300, 384],
    "precisions": ["mixed_bfloat16", "float32"], "batch": 32, "engines": ["keras"], "cells": 4000,
}  # fmt: skip
TINY = {
    "backbone": "small_cnn", "sizes": [32], "batch": 16, "cells": 60, "rounds": 1, "seconds": 0.2,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure every case asked for, print, and write the file."""
    args = _arguments(arguments)
    torch = _python_with_torch(args)
    network = args.backbone.startswith("efficientnetv2-")
    peer = torch if network and not args.no_peer else None
    record = Record(args.name, _settings(args))
    rows: list[dict[str, Any]] = []
    with scratch() as folder:
        cells = labelled(args.data, args.cells, folder)
        record.settings["data"] = cells.attrs["label"]
        cases = product(args.backends, args.engines, args.sizes, args.precisions)
        for backend, engine, size, precision in cases:
            asked = _asked(args, cells, folder, engine, size, precision)
            python = torch if backend == "torch" else sys.executable
            rows += _case(args, asked, cells, (backend, python), peer, record)
    record.tables[f"Training throughput ({cells.attrs['label']})"] = pd.DataFrame(rows)
    record.notes += _notes(peer)
    record.finish(out_folder(args))
    return 0


def _case(
    args: argparse.Namespace, asked: dict[str, Any], cells: pd.DataFrame,
    backend: tuple[str, str], peer: str | None, record: Record,
) -> list[dict[str, Any]]:  # fmt: skip
    """Measure one backend, engine, size and precision; return its rows of the table."""
    name = f"{asked['backbone']}, {asked['size']} px, {asked['precision']}, {backend[0]}"
    name += f", {asked['engine']}"
    print(f"{name}: compiling", file=sys.stderr)
    sizes = _peer_sizes(args, asked)
    name_of_backend, python = backend
    with ExitStack() as stack:
        ours = stack.enter_context(
            Participant.started(
                "bench.training_ours", asked, python, KERAS_BACKEND=name_of_backend, **_PATIENT
            )
        )
        turns = [("ours", ours), ("ceiling", ours)]
        if peer:
            files = [[str(p), int(c)] for p, c in zip(cells["path"], cells["label"], strict=True)]
            wanted = asked | {"files": files, "sizes": sizes, "workers": _cores()}
            other = stack.enter_context(Participant.started("bench.peer", wanted, peer, **_PATIENT))
            turns += [(what, other) for what in sizes]
        rounds = rates(alternate(turns, args.rounds, args.seconds))
        peak = ours.work("matmul", min(args.seconds, 2.0))["flops_per_second"]
        facts = {"ours": ours.facts} | ({"peer": other.facts} if peer else {})
    record.settings.setdefault("participants", {})[name] = facts
    middle = {what: median(found) for what, found in rounds.items()}
    _judge(name, middle, facts["ours"]["gpu"], record)
    # A training step costs about three forward passes: one forth, two back.
    rate = 3 * facts["ours"]["forward_flops"]
    return [
        {
            "case": name,
            "who": what,
            "input_px": sizes.get(what, asked["size"]),
            "images_per_second": round(value, 2),
            "slowest_round": round(min(rounds[what]), 2),
            "fastest_round": round(max(rounds[what]), 2),
            "of_ceiling": round(value / middle["ceiling"], 3),
            "ours_is_times_faster": round(middle["ours"] / value, 2),
            "gflops": round(value * rate / 1e9, 1) if what in ("ours", "ceiling") else None,
            "of_matmul_peak": round(value * rate / peak, 3) if what in _STEPS else None,
        }
        for what, value in middle.items()
    ]


def _judge(name: str, rates: dict[str, float], gpu: bool, record: Record) -> None:
    """Compare what was measured with the goals."""
    share = rates["ours"] / rates["ceiling"]
    record.ratio(f"ours / ceiling: {name}", share, "higher")
    record.goal(f"ours / ceiling: {name}", share, 0.90 if gpu else 0.95, "higher")
    for what in rates.keys() - _STEPS:
        record.ratio(f"ours / {what}: {name}", rates["ours"] / rates[what], "higher")
    if _SAME in rates:
        times = rates["ours"] / rates[_SAME]
        record.goal(f"ours / {_SAME}: {name}", times, 2.0 if gpu else 3.0, "higher")


def _asked(
    args: argparse.Namespace, cells: pd.DataFrame, folder: Path, engine: str, size: int,
    precision: str,
) -> dict[str, Any]:  # fmt: skip
    """Return what our side needs to know, once the pixels are cached."""
    cache = PixelCache(cells, size, args.crop, cache_dir=folder / "cache")
    return {
        "backbone": args.backbone, "size": size, "crop": args.crop, "batch": args.batch,
        "engine": engine, "policy": args.policy, "precision": precision,
        "pixels": str(cache.path), "shape": list(cache.array.shape),
        "labels": cells["label"].astype(int).tolist(),
    }  # fmt: skip


def _peer_sizes(args: argparse.Namespace, asked: dict[str, Any]) -> dict[str, int]:
    """Return the side of the peer's images by name; the peer resizes the whole frame."""
    same = {_SAME: round(FRAME * asked["size"] / asked["crop"])}
    paper = {f"peer at {PAPER_SIZE} px": PAPER_SIZE}
    return same if args.peer_sizes == "same" else paper | same


def _notes(peer: str | None) -> list[str]:
    notes = [
        "Rates are medians over rounds; everyone trains on every cell augmented, each round to "
        "its end. Files and cache are in memory already, for all alike.",
    ]
    if peer:
        return [
            *notes,
            "The peer uses as many DataLoader processes as there are cores, and threads that wait "
            "without spinning: beside other processes that is many times faster.",
        ]
    return [*notes, "The peer was left out: its Python, or its network, is not at hand."]


def _python_with_torch(args: argparse.Namespace) -> str | None:
    """Return a Python that imports torch: the one named, or this one; None if there is none."""
    python = args.torch_python or os.environ.get("LCC_TORCH_PYTHON") or sys.executable
    done = subprocess.run([python, "-c", "import torch, PIL"], capture_output=True, check=False)
    if done.returncode and (args.torch_python or "torch" in args.backends):
        raise SystemExit(f"{python} does not import torch and Pillow; see bench/README.md.")
    return None if done.returncode else python


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    left_out = {"out", "data", "torch_python", "tiny", "gpu", "no_peer", "name"}
    return {name: value for name, value in vars(args).items() if name not in left_out}


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = options("training", __doc__)
    parser.add_argument("--backbone", default="efficientnetv2-b0")
    parser.add_argument("--size", dest="sizes", type=int, nargs="+", default=[96])
    parser.add_argument("--crop", type=int, default=300)
    parser.add_argument(
        "--backend", dest="backends", nargs="+", default=["tensorflow"],
        choices=["tensorflow", "jax", "torch"],
    )  # fmt: skip
    parser.add_argument(
        "--engine", dest="engines", nargs="+", default=["keras"], choices=["keras", "imgaug"]
    )
    parser.add_argument(
        "--precision", dest="precisions", nargs="+", default=["float32"],
        choices=["float32", "mixed_bfloat16", "mixed_float16"],
    )  # fmt: skip
    parser.add_argument("--as", dest="name", default="training", help="name of the JSON")
    parser.add_argument("--policy", default="paper")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one turn, about")
    parser.add_argument("--cells", type=int, default=960)
    parser.add_argument("--data", type=Path, metavar="PATH", help="a tree of cells (else drawn)")
    parser.add_argument("--peer-sizes", choices=["both", "same"], default="both")
    parser.add_argument("--no-peer", action="store_true", help="leave the peer out")
    parser.add_argument("--torch-python", metavar="PATH", help="a Python that imports torch")
    parser.add_argument("--gpu", action="store_true", help="the paper's network at 224 to 384 px")
    args = parser.parse_args(arguments)
    for name, value in ((ON_GPU if args.gpu else {}) | (TINY if args.tiny else {})).items():
        setattr(args, name, value)
    return args


_SAME = "peer at our cell resolution"
_STEPS = {"ours", "ceiling"}
_PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}


if __name__ == "__main__":
    sys.exit(main())
