"""The commands ``lcc model`` and ``lcc predict``: make a model directory, and use one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lcc_utils.cli_output import json_text
from lcc_utils.data.paths import user_path
from lcc_utils.text import printable

__all__ = ["add_commands"]


def add_commands(commands: Any, folder_of: Callable[[str], Path]) -> None:
    """Add both commands to those of ``lcc``; `folder_of` finds a run by its name."""
    model = commands.add_parser("model", help="train a run's model on all cells, to take along")
    model.add_argument("run", metavar="RUN", help="name or folder of a run, or results")
    model.add_argument("--out", metavar="DIR", required=True, help="the model directory to make")
    model.add_argument("--variant", metavar="NAME", help="network of its primary analysis")
    model.add_argument("--data", metavar="PATH", help="the C-NMC 2019 tree of the run")
    model.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the training")
    model.set_defaults(command=_model, folder_of=folder_of)

    predict = commands.add_parser("predict", help="score images of your own; research use only")
    predict.add_argument("model", metavar="MODEL", help="a model directory, such as models/small")
    predict.add_argument(
        "cells", metavar="CELLS", nargs="+", help="image files, folders, or a C-NMC tree"
    )
    predict.add_argument("--out", metavar="DIR", required=True, help="where the two files go")
    predict.add_argument("--batch", metavar="N", type=int, default=64, help="images at a time")
    predict.add_argument(
        "--maps", metavar="N", type=int, default=24, help="most cells that get a map of attention"
    )
    predict.add_argument("--json", action="store_true", help="print JSON instead of a summary")
    predict.set_defaults(command=_predict)


def _model(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.model_making import make_model

    def told(row: dict[str, float]) -> None:
        print(f"epoch {row['epoch']}: loss {row['loss']:.4f}", file=sys.stderr)

    record = make_model(
        args.folder_of(args.run),
        user_path(args.out, "--out"),
        args.variant,
        args.data,
        args.seed,
        told,
    )
    print(f"{record.name}, trained on {record.training['dataset']}\nNext: lcc predict {args.out}")
    return 0


def _predict(args: argparse.Namespace) -> int:
    from lcc_utils.pipeline.predict import predict

    done = predict(
        user_path(args.model, "MODEL"), args.cells, user_path(args.out, "--out"),
        batch=args.batch, maps=args.maps, progress=sys.stderr.isatty(),
    )  # fmt: skip
    written = [printable(path) for path in done.written]
    if args.json:
        left_out = [{"file": printable(file), "reason": why} for file, why in done.left_out]
        about = {**done.counts, "written": written, "left_out": left_out}
        print(json_text({**about, "notes": done.notes}))
    else:
        for note in done.notes:
            print(f"lcc: {note}", file=sys.stderr)
        print("Research use only. " + ", ".join(f"{k} {v:,}" for k, v in done.counts.items()))
        print("\n".join(written))
    return 0 if done.counts["scored"] else 1
