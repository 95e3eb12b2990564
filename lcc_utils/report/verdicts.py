"""Every test that gives a claim its verdict, by the name that ``book/claims.yml`` uses."""

from __future__ import annotations

from lcc_utils.report import verdicts_arithmetic, verdicts_code, verdicts_official, verdicts_runs
from lcc_utils.report.findings import Test

TESTS: dict[str, Test] = (
    verdicts_arithmetic.TESTS | verdicts_official.TESTS | verdicts_code.TESTS | verdicts_runs.TESTS
)
