"""Verdicts from the authors' repository: what the paper states against what the code has."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from lcc_utils.report.evidence import CodeFinding, Value
from lcc_utils.report.findings import (
    CONTRADICTED,
    DIFFERS,
    HOLDS,
    NOT_DETERMINED,
    Evidence,
    Finding,
    Test,
)
from lcc_utils.report.formatting import MISSING, quantity
from lcc_utils.report.verdicts_official import official_counts

if TYPE_CHECKING:
    from lcc_utils.report.claims import Claim


def in_code(claim: Claim, evidence: Evidence) -> Finding:
    """Compare a stated setting with the code's.

    Files that print a number of the paper decide where there are any; a difference there
    contradicts the statement. In other files it is a difference, since the paper's numbers may
    come from code that is not in the repository. Without a value nothing is determined. A claim
    with an input is judged by the values of that one.
    """
    code = evidence.code
    name = claim.inputs[0] if claim.inputs else claim.id
    found = code.about(name)
    source = f"the authors' repository at {code.commit}"
    known = [entry for entry in found if entry.values[name] is not None]
    if not known:
        where = found[0] if found else None
        place = (f"{where.file}, {where.where}", code.link(where.file)) if where else ("", "")
        shown = "not settled by the repository" if found else "nothing in the repository"
        return Finding(shown, source, NOT_DETERMINED, *place)
    decisive = [entry for entry in known if code.tied(entry)] or known
    against = [entry for entry in decisive if not _same(claim, entry.values[name])]
    shown = against or decisive
    verdict = HOLDS
    if against:
        verdict = CONTRADICTED if any(code.tied(entry) for entry in against) else DIFFERS
    values = dict.fromkeys(_text(claim, entry.values[name]) for entry in shown)
    first = shown[0]
    place = f"{first.file}, {first.where}"
    return Finding("; ".join(values), source, verdict, place, code.link(first.file))


def counted_once(_claim: Claim, evidence: Evidence) -> Finding:
    """Compare the images that the evaluation prints for named patients with the official counts."""
    code = evidence.code
    official = official_counts().set_index("patient")["cells"]
    found: list[tuple[CodeFinding, str, Value]] = [
        (entry, name, entry.values[name])
        for name in ("images_of_h9", "images_of_h22")
        for entry in code.about(name)
        if code.tied(entry) and entry.values[name] is not None
    ]
    source = f"the authors' repository at {code.commit} and official counts of C-NMC 2019"
    if not found:
        return Finding(MISSING, source, NOT_DETERMINED)
    shown, once = [], True
    for _, name, printed in found:
        patient = name.removeprefix("images_of_").upper()
        shown.append(f"{printed:g} printed of patient {patient}, who has {official[patient]}")
        once &= printed == official[patient]
    first = found[0][0]
    place = (f"{first.file}, {first.where}", code.link(first.file))
    return Finding("; ".join(shown), source, HOLDS if once else CONTRADICTED, *place)


def _same(claim: Claim, value: Value) -> bool:
    if isinstance(value, str) or isinstance(claim.value, str):
        return str(value).strip().lower() == str(claim.value).strip().lower()
    return math.isclose(float(value), float(claim.value), rel_tol=1e-6)


def _text(claim: Claim, value: Value) -> str:
    if isinstance(value, str):
        return value
    places = len(f"{Decimal(repr(float(value))):f}".partition(".")[2].rstrip("0"))
    return quantity(value, claim.unit, max(places, claim.places))


TESTS: dict[str, Test] = {"code": in_code, "counted_once": counted_once}
