"""Tables of the paper's own numbers, beside official counts and what the authors' code prints."""

from __future__ import annotations

import pandas as pd

from lcc_utils.evaluation.result import Results
from lcc_utils.report.claims import load_claims
from lcc_utils.report.evidence import load_evidence
from lcc_utils.report.rows import table
from lcc_utils.report.verdicts_official import official_counts

_COUNTS = ("t2_tn", "t2_fp", "t2_fn", "t2_tp", "t1_test_hem", "t1_test_all")
_PRINTED = {"H9": "images_of_h9", "H22": "images_of_h22"}


def even_counts_table(_cells: pd.DataFrame, _results: Results) -> pd.DataFrame:
    """Set each test count beside its half, and beside the official count where there is one.

    The counts of named patients are those that the authors' evaluation prints.
    """
    known = {claim.id: claim for claim in load_claims()}
    rows = [
        {"count": known[name].statement, "where": known[name].where}
        | _halved(float(known[name].value))
        for name in _COUNTS
    ]
    code = load_evidence()
    official = official_counts().set_index("patient")["cells"]
    for patient, name in _PRINTED.items():
        for found in code.about(name):
            if code.tied(found) and found.values[name] is not None:
                row = {"count": f"Images of patient {patient}", "where": found.file}
                row |= _halved(float(found.values[name]))
                rows.append(row | {"official": int(official[patient])})
    counts = ["stated", "official"]
    if all(row["half"].is_integer() for row in rows):
        counts.append("half")
    return table(rows, ["count", "where", "stated", "half", "official"], counts, ["count", "where"])


def _halved(value: float) -> dict[str, float]:
    return {"stated": int(value), "half": value / 2}
