"""The claims ledger: every statement of the paper with the verdict that our files give.

A verdict is never typed. It comes from one of the functions in ``report.verdicts.TESTS``, so
that a new run, or a correction of the evidence, changes the page.
"""

from __future__ import annotations

import pandas as pd

from lcc_utils.errors import RequestError
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.report.claims import KINDS, WEIGHTS, Claim, load_causes, paper_history
from lcc_utils.report.findings import AGAINST, VERDICTS, Evidence, Finding
from lcc_utils.report.formatting import quantity
from lcc_utils.report.verdicts import TESTS

COLUMNS = [
    "id", "claim", "stated", "ours", "verdict", "cause", "weight", "evidence", "evidence_link",
    "kind", "where", "computed_on",
]  # fmt: skip
CHAPTERS = {
    "01_data": "The cells",
    "02_training": "Training and testing",
    "03_ablation": "What each part is worth",
    "04_monte_carlo": "Random splits",
    "07_robustness": "What a model withstands",
    "08_efficiency": "What a model costs",
    "09_claims": "This page",
    "10_steps": "From an honest score",
}


def verdicts(
    claims: list[Claim], cells: pd.DataFrame, results: dict[str, list[Result]]
) -> pd.DataFrame:
    """Give each claim its verdict.

    ``holds``: what we computed agrees with the statement. ``differs``: the same quantity, measured
    again or read at its source, is another. ``contradicted``: the paper's own numbers, the official
    counts, or code that prints the paper's numbers rule it out. ``not determined``: what is public
    cannot settle it. ``not yet run``: it takes an experiment that this run does not hold; the
    nearest result stands beside it.

    Parameters
    ----------
    claims
        From :func:`load_claims`.
    cells
        The run's cells; ``attrs["dataset"]`` and ``attrs["label"]`` name the data.
    results
        The run's results by study.

    Returns
    -------
    DataFrame
        One row a claim, with ``COLUMNS``, all text. ``cause`` and ``weight`` say why a claim is
        contradicted or differs, and are empty elsewhere. The link is an address, or a page beside
        the ledger.

    Raises
    ------
    RequestError
        If a claim names a test that is not there, or the evidence cannot be read.
    """
    known = {claim.id: claim for claim in claims}
    have = results if isinstance(results, Results) else Results(results)
    evidence = Evidence(claims=known, cells=cells, results=have, history=paper_history())
    causes = {name: cause for cause in load_causes() for name in cause.claims}
    rows = []
    for claim in claims:
        if claim.test not in TESTS:
            raise RequestError(
                f"The claim {claim.id!r} names the test {claim.test!r}; known are "
                f"{', '.join(sorted(TESTS))}."
            )
        found = TESTS[claim.test](claim, evidence)
        stated = quantity(claim.value, claim.unit, claim.places)
        said = (claim.id, claim.statement, stated, found.ours, found.verdict)
        about = (claim.kind, claim.where, found.computed_on)
        cause = causes.get(claim.id) if found.verdict in AGAINST else None
        why = (cause.statement, cause.weight) if cause else ("", "")
        rows.append((*said, *why, *_place(claim, found), *about))
    return pd.DataFrame(rows, columns=COLUMNS)


def counts(ledger: pd.DataFrame) -> pd.DataFrame:
    """Count claims by kind and verdict, with totals: ``kind`` and one column a verdict.

    ``causes`` counts what the claims that differ or are contradicted go back to; one cause may
    have claims of several kinds, so the total is not the sum.
    """
    table = pd.crosstab(ledger["kind"], ledger["verdict"])
    table = table.reindex(index=list(KINDS), columns=list(VERDICTS), fill_value=0)
    table.loc["all"] = table.sum()
    table["claims"] = table.sum(axis=1)
    against = ledger[ledger["verdict"].isin(AGAINST)]
    cause = against["cause"].where(against["cause"] != "", against["id"])
    by_kind = cause.groupby(against["kind"]).nunique()
    table["causes"] = by_kind.reindex(table.index, fill_value=0)
    table.loc["all", "causes"] = cause.nunique()
    table.columns.name = None
    return table.astype("int64").rename_axis("kind").reset_index()


def causes(ledger: pd.DataFrame) -> pd.DataFrame:
    """List the causes of claims that differ or are contradicted, the weightiest first.

    Returns
    -------
    DataFrame
        ``cause, weight, claims`` (their number), ``which`` (their ids) and ``where`` (the places
        of the paper), all causes of one weight by their number of claims. A claim without a
        cause stands for itself and is result-bearing.
    """
    against = ledger[ledger["verdict"].isin(AGAINST)]
    alone = against["cause"] == ""
    against = against.assign(
        cause=against["cause"].where(~alone, against["claim"]),
        weight=against["weight"].where(~alone, WEIGHTS[0]),
    )
    rows = [
        {"cause": cause, "weight": weight, "claims": len(own), "which": ", ".join(own["id"])}
        | {"where": "; ".join(dict.fromkeys(own["where"]))}
        for (cause, weight), own in against.groupby(["cause", "weight"], sort=False)
    ]
    rows.sort(key=lambda row: (WEIGHTS.index(row["weight"]), -row["claims"]))
    columns = ["cause", "weight", "claims", "which", "where"]
    return pd.DataFrame(rows, columns=columns).astype({"claims": "Int64"})


def to_text(ledger: pd.DataFrame) -> str:
    """Return the ledger for a terminal: a paragraph a claim, and the counts at the end."""
    parts = [
        f"{row.id}: {row.verdict}\n"
        f"  {row.claim} ({row.where}; {row.kind})\n"
        f"  stated: {row.stated}\n"
        f"  ours:   {row.ours} [{row.computed_on}]\n"
        f"  see:    {row.evidence} <{row.evidence_link}>"
        for row in ledger.itertuples()
    ]
    total = counts(ledger).set_index("kind").loc["all"]
    said = ", ".join(f"{total[name]} {name}" for name in VERDICTS)
    why = f"Those that differ or are contradicted go back to {total['causes']} causes."
    return "\n".join([*parts, why, f"{total['claims']} claims: {said}."])


def _place(claim: Claim, found: Finding) -> tuple[str, str]:
    """Return where the evidence lies: a file of the authors, or the chapter that tests it."""
    if found.link:
        return found.source, found.link
    return CHAPTERS[claim.chapter], f"{claim.chapter}.html"
