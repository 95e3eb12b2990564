"""The ledger: every claim has a verdict from a function, and evidence is read, not typed."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest

from lcc_utils.errors import RequestError
from lcc_utils.evaluation.metrics import evaluate_result
from lcc_utils.evaluation.result import Results
from lcc_utils.pipeline.verify import load_results
from lcc_utils.report.arithmetic import (
    parameters_as_stated,
    parameters_of_vgg,
    precision_of_counts,
    smallest_gap_epoch,
)
from lcc_utils.report.claims import KINDS, Claim, load_claims, paper_history
from lcc_utils.report.evidence import CodeFile, CodeFinding, Repository, load_evidence
from lcc_utils.report.findings import VERDICTS, Evidence
from lcc_utils.report.ledger import counts, to_text, verdicts
from lcc_utils.report.table_markup import to_html
from lcc_utils.report.tables import build_table
from lcc_utils.report.verdicts import TESTS
from lcc_utils.report.verdicts_official import can_add_up, official_counts

CELLS = pd.DataFrame({"label": [1, 0]})


@pytest.fixture(scope="module")
def published(root):
    return load_results(root / "results")


@pytest.fixture(scope="module")
def ledger(published):
    return verdicts(load_claims(), *published)


def claim(value, unit="count", **fields):
    base = {"id": "a", "where": "T", "statement": "s", "kind": "code", "test": "code"}
    return Claim(value=value, unit=unit, **base | fields)


def repository(*values, prints=True):
    """A repository in which each value stands in a file of its own."""
    tie = {"f1_test": 97.89} if prints else {}
    names = [f"{n}.ipynb" for n in range(len(values))]
    files = {name: CodeFile(file=name, shows="s", prints=tie) for name in names}
    found = [
        CodeFinding(id=f"e{n}", file=name, where="cell 1", finds="f", values={"a": value})
        for n, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    return Repository("https://example.org/r", "abc", files, tuple(found))


def judged(own, code, claims=()):
    known = {c.id: c for c in (own, *claims)}
    history = pd.DataFrame({"epoch": [1], "f1": [0.9], "val_f1": [0.9]})
    return TESTS[own.test](own, Evidence(known, CELLS, Results(), history, code))


def test_every_claim_has_one_row_a_kind_and_a_verdict(ledger):
    claims = load_claims()
    assert len(claims) >= 60
    assert ledger["id"].tolist() == [c.id for c in claims]
    assert set(ledger["verdict"]) <= set(VERDICTS)
    assert set(ledger["kind"]) == set(KINDS)
    assert (ledger[["ours", "computed_on", "evidence", "evidence_link"]] != "").all(axis=None)


def test_every_chapter_that_a_row_leads_to_is_in_the_book(ledger, root):
    pages = ledger.loc[~ledger["evidence_link"].str.startswith("https"), "evidence_link"]
    toc = (root / "_toc.yml").read_text(encoding="utf-8")
    for page in pages.unique():
        assert f"chapters/{page.removesuffix('.html')}\n" in toc


def test_the_counts_add_up(ledger):
    table = counts(ledger).set_index("kind")
    assert table.loc["all", "claims"] == len(ledger)
    assert table.loc["all", list(VERDICTS)].sum() == len(ledger)
    assert (
        table.loc["arithmetic", "contradicted"]
        == ((ledger["kind"] == "arithmetic") & (ledger["verdict"] == "contradicted")).sum()
    )
    assert f"{len(ledger)} claims: " in to_text(ledger).splitlines()[-1]


@pytest.mark.parametrize(
    "stated,values,prints,verdict",
    [
        (8, [8], True, "holds"),
        (8, [32], True, "contradicted"),
        (8, [32], False, "differs"),
        (8, [None], True, "not determined"),
        (8, [], True, "not determined"),
        (8, [None, 8], True, "holds"),
        (8, [8, 32], True, "contradicted"),
        (0.9, [0.95], True, "contradicted"),
        (1e-4, [4e-5], True, "contradicted"),
    ],
)
def test_code_is_compared_with_what_is_stated(stated, values, prints, verdict):
    found = judged(claim(stated, "ratio"), repository(*values, prints=prints))
    assert found.verdict == verdict


def test_text_is_compared_without_regard_to_case_and_the_file_is_linked():
    found = judged(claim("Patient", "text"), repository("patient"))
    assert (found.verdict, found.ours) == ("holds", "patient")
    assert found.link == "https://example.org/r/blob/abc/0.ipynb"
    assert found.source == "0.ipynb, cell 1"


def test_a_small_rate_is_shown_with_its_digits():
    assert judged(claim(1e-4, "ratio"), repository(4e-5)).ours == "0.00004"


def test_a_file_that_prints_the_papers_numbers_decides_before_one_that_does_not():
    both = repository(8, 32)
    loose = CodeFile(file="1.ipynb", shows="s")
    code = Repository(both.address, both.commit, both.files | {"1.ipynb": loose}, both.findings)
    assert judged(claim(8), code).verdict == "holds"


def test_images_are_counted_once_where_the_printed_numbers_are_the_official_ones():
    own = claim("yes", "text", test="counted_once")
    files = {"e.ipynb": CodeFile(file="e.ipynb", shows="s", prints={"f1_test": 97.89})}

    def printed(h9, h22):
        values = {"images_of_h9": h9, "images_of_h22": h22}
        found = CodeFinding(id="e", file="e.ipynb", where="w", finds="f", values=values)
        return judged(own, Repository("https://example.org/r", "abc", files, (found,)))

    assert printed(46, 373).verdict == "holds"
    twice = printed(92, 746)
    assert twice.verdict == "contradicted"
    assert twice.ours == (
        "92 printed of patient H9, who has 46; 746 printed of patient H22, who has 373"
    )


def test_sizes_that_add_up_and_sizes_that_do_not():
    assert can_add_up([3, 5, 7], 2, 12)
    assert not can_add_up([3, 5, 7], 2, 11)
    assert not can_add_up([3, 5, 7], 1, 12)
    own = claim(2, kind="data set", test="possible_hem", inputs=("a", "b"))
    most = int(official_counts().query("`class` == 'HEM'")["cells"].nlargest(2).sum())
    for images, verdict in ((most, "not determined"), (most + 1, "contradicted")):
        other = claim(images, id="b")
        assert judged(own, repository(), [other]).verdict == verdict


def test_parameters_follow_from_the_stated_layers():
    assert parameters_as_stated(16, (512, 256, 2)) == 14_038_272
    # keras.applications' own counts.
    assert parameters_of_vgg(16) == 138_357_544
    assert parameters_of_vgg(19) == 143_667_240


def test_weighted_precision_and_the_smallest_gap_in_numbers():
    # HEM: 9 of 11 called HEM are; ALL: 8 of 9 called ALL are; ten cells of each.
    assert precision_of_counts([9, 1, 2, 8]) == pytest.approx(100 * (9 / 11 + 8 / 9) / 2)
    # All of 6 HEM and 4 ALL cells are called HEM.
    assert precision_of_counts([6, 0, 4, 0]) == pytest.approx(100 * 0.6 * 0.6)
    history = pd.DataFrame(
        {"epoch": [1, 2, 3], "f1": [0.5, 0.85, 0.95], "val_f1": [0.5, 0.9, 0.97]}
    )
    assert smallest_gap_epoch(history, 0.85) == (3, pytest.approx(0.02))


def test_a_figure_of_table_3_is_compared_with_what_the_work_reports(ledger):
    rows = ledger.set_index("id")["verdict"]
    assert rows["t3_pan"] == "holds"
    assert rows["t3_prellberg"] == "differs"
    assert rows["t3_khan"] == "not determined"


def test_the_nearest_result_has_an_interval_once_the_primary_analysis_is_whole(ledger):
    rows = ledger.set_index("id")
    assert rows.loc["f1_test", "verdict"] == "not yet run"
    assert re.match(r"nearest: \d+\.\d \(\d+\.\d to \d+\.\d\) %", rows.loc["f1_test", "ours"])
    wrong, right = rows.loc["t2_fp", "ours"], rows.loc["t2_tn", "ours"]
    shares = [float(text.partition("nearest: ")[2].split()[0]) for text in (wrong, right)]
    assert sum(shares) == pytest.approx(100, abs=0.11)


def test_an_unknown_test_is_named():
    with pytest.raises(RequestError, match="the test 'guess'"):
        verdicts([claim(1, test="guess")], CELLS, {})


GOOD = "{id: a, file: f.ipynb, where: w, finds: s}"
FILES = "repository: r\ncommit: c\nfiles: [{file: f.ipynb, shows: s}]\n"


@pytest.mark.parametrize(
    "text,complaint",
    [
        (f"{FILES}evidence: [{GOOD}, {GOOD}]", "there twice"),
        (f"{FILES}evidence: [{{id: a, file: g.ipynb, where: w, finds: s}}]", "'g.ipynb', which"),
        (f"{FILES}evidence: [{GOOD[:-1]}, verdict: holds}}]", "a: verdict"),
        (
            f"{FILES.partition('commit')[0]}{FILES[FILES.index('files') :]}evidence: [{GOOD}]",
            "commit",
        ),
        ("files: []", "no list named"),
    ],
)
def test_faulty_evidence_is_refused_by_name(tmp_path, text, complaint):
    path = tmp_path / "evidence.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RequestError, match=re.escape(complaint)):
        load_evidence(path)


def test_every_value_of_the_evidence_is_of_a_claim_or_of_the_tables():
    """A value whose name is misspelt would be lost without a word."""
    claims = {own.id for own in load_claims()}
    beside = {
        "images_of_h9", "images_of_h22", "images_read_once", "test_images_printed", "test_views",
        "patients_printed", "weights_tested", "mc_images", "mc_images_all", "mc_images_hem",
        "mc_recipe", "mc_optimizer", "mc_learning_rate_start", "mc_weight_decay",
        "mc_stopping_patience", "mc_input_size", "baseline_vgg16_f1", "baseline_vgg19_f1",
        "baseline_xception_f1",
    }  # fmt: skip
    named = {name for found in load_evidence().findings for name in found.values}
    assert named - claims <= beside


def test_the_shown_ledger_can_be_pointed_at_and_leads_to_its_evidence(published):
    frame = build_table("claims", *published)
    html = to_html(frame, "Claims")
    assert '<tr id="t2_auc">' in html
    assert '<a href="02_training.html">' in html
    assert "evidence_link" not in html


def test_a_changed_prediction_turns_the_right_verdicts_over(published):
    """Were our runs the paper's experiment, its claims would follow the predictions."""
    _cells, found = published
    shape = {"backbone": "efficientnetv2-b3", "weights": "imagenet"}
    full = pd.DataFrame({"label": [1] * 8491 + [0] * 4037})
    full.attrs = {"dataset": "c-nmc-2019", "label": "C-NMC 2019"}

    def as_the_papers(result, scores):
        tested = result.predictions.assign(score=scores(result.predictions))
        settings = result.settings | {"pixels": {"size": 384}, "model": shape}
        split = result.record["split"] | {"protocol": "patient"}
        record = result.record | {"model": shape, "split": split}
        made = dataclasses.replace(result, settings=settings, record=record, read=lambda _: tested)
        return dataclasses.replace(made, record=record | {"metrics": evaluate_result(made)})

    def ledger_of(scores):
        runs = {"training": [as_the_papers(found["training"][0], scores)]}
        return verdicts(load_claims(), full, runs).set_index("id")["verdict"]

    def stated(table):
        """Scores that call all but one in fifty of each class right."""
        wrong = table.groupby("label").cumcount() % 47 == 0
        return np.where(wrong, 1 - table["label"], table["label"]).astype(float)

    before, after = ledger_of(stated), ledger_of(lambda table: table["score"])
    assert before["f1_test"] == "holds"
    changed = before.index[before != after]
    assert set(changed) <= {
        "f1_test", "accuracy_test", "precision_test", "recall_test", "auc_test",
        "sensitivity_test", "specificity_test",
    }  # fmt: skip
    assert {"f1_test", "accuracy_test", "specificity_test"} <= set(changed)
    assert set(after[changed]) == {"differs"}


FACTS = ("Task and data", "Model", "Preprocessing", "Results")


def test_every_number_of_the_papers_facts_has_an_entry(shared):
    """The list of facts is kept outside; every number in it has to be a claim's."""
    facts = (shared / "paper" / "facts.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", facts, flags=re.M)
    text = "\n".join(s for s in sections if s.startswith(FACTS))
    text = re.sub(r"\(ISBI.*?\)", "", text, flags=re.S)
    text = re.sub(r"\b(?:19|20)\d\d\b|C-NMC 2019|450x450|EfficientNetV2-B3|B\d|VGG1\d", " ", text)
    text = re.sub(r"(?:Table|section|Figure|class|Section) \d(?:\.\d)?(?: to \d)?", " ", text)
    text = re.sub(r"\(2\.7\)", " ", text)
    text = re.sub(r"phase \d|at most|C/16", " 16 ", text)
    numbers = {
        abs(float(n.replace(",", "")))
        for n in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e-\d+)?|(?<![\w\d])\.\d+", text)
    }
    known: set[float] = set()
    for own in load_claims():
        value = own.value
        found = [value] if isinstance(value, float) else re.findall(r"\d*\.?\d+", own.statement)
        known |= {abs(float(n)) for n in found}
        known |= {abs(float(n)) / 100 for n in found}
        known |= {
            abs(float(n.replace(",", ""))) for n in re.findall(r"[\d,]*\.?\d+", own.statement)
        }
        known |= {float(n) for n in re.findall(r"\d+\.\d+|\d+", str(value))}
    # .001: the stated p, and the peak rate; .002: the margin in F1; 95: the level of an interval.
    missing = sorted(n for n in numbers - known - {95.0} if not np.isclose(n, list(known)).any())
    assert missing == []


def test_the_history_is_that_of_the_facts(shared):
    facts = (shared / "paper" / "facts.md").read_text(encoding="utf-8")
    printed = re.findall(r"\b(\d+) ((?:\.\d{4}/){3}\.\d{4})", facts)
    rows = [[int(epoch), *map(float, values.split("/"))] for epoch, values in printed]
    assert paper_history().to_numpy().tolist() == rows
    assert len(rows) == 18


def test_claims_can_be_printed_as_json(capsys, root):
    from lcc_utils.cli import main

    assert main(["claims", str(root / "results"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(load_claims())
    assert {row["verdict"] for row in rows} <= set(VERDICTS)
    assert main(["claims", "no-such-run"]) == 2
