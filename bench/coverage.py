"""Run the study of coverage and keep its numbers beside the book: ``python -m bench.coverage``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from lcc_utils.evaluation.coverage import study

OUT = Path(__file__).resolve().parents[1] / "book" / "coverage.csv"


def main() -> None:
    """Simulate, and write the table with what it was made by in comment lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    start = time.perf_counter()
    table = study(replicates=asked.replicates, draws=asked.draws, seed=asked.seed)
    head = (
        "# Coverage of intervals over subjects, simulated: lcc_utils/evaluation/coverage.py\n"
        f"# python -m bench.coverage --replicates {asked.replicates} --draws {asked.draws} "
        f"--seed {asked.seed}\n# NumPy {np.__version__}\n"
    )
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    asked.out.write_text(head + text, encoding="utf-8")
    print(f"{asked.out}: {len(table)} rows in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
