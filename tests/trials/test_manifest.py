"""What ``lcc verify`` notices: a run is signed as a whole, and its record is recomputed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lcc_utils.cli import main
from lcc_utils.data.cnmc import data_digest
from lcc_utils.errors import LccError
from lcc_utils.evaluation.metrics import evaluate_result
from lcc_utils.evaluation.result import Result
from lcc_utils.pipeline import book_publish, manifest
from lcc_utils.pipeline.begin import begin, data_label
from lcc_utils.pipeline.book_reporting import card_markdown
from lcc_utils.pipeline.config import RunConfig
from lcc_utils.pipeline.edition import sign_edition, verify_edition
from lcc_utils.pipeline.foreign_run import reopened
from lcc_utils.pipeline.front import claims_markdown
from lcc_utils.pipeline.model_making import make_model
from lcc_utils.pipeline.packs import experiment_folders, write_pack
from lcc_utils.pipeline.plan import make_plan, split_record
from lcc_utils.pipeline.run_record import read_run
from lcc_utils.pipeline.store import (
    csv_text,
    record_digest,
    write_experiment,
    write_json,
)
from lcc_utils.pipeline.verify import load_results, verify
from lcc_utils.pipeline.verify_results import TABLE_CLOSE, relative_difference, table_difference
from lcc_utils.report.tables import build_table, to_html

FIGURE = '<img class="lcc-figure" alt="A rising curve" src="data:image/svg+xml;base64,PHN2Zy8+">'
ORIGIN = {
    "backend": "tensorflow", "versions": {"python": "3.11.7"}, "finished": "2026-01-01",
    "hardware": {"cpu": "A CPU", "cores": 2, "memory_gib": 24, "gpu": None}, "seconds": 1.5,
}  # fmt: skip


def config() -> RunConfig:
    splits = [{"protocol": "kfold", "folds": 2, "validation_share": 0.3}]
    variants = {"cell area": {"model.backbone": "cell_area"}}
    return RunConfig.model_validate(
        {
            "profile": "tiny",
            "dataset": {"source": "synthetic", "cells": 60, "seed": 1},
            "pixels": {"size": 32, "crop": 300},
            "model": {"backbone": "small_cnn"},
            "augmentation": {},
            "training": {"epochs": 1, "batch": 16},
            "studies": {"baselines": {"splits": splits, "seeds": [0, 1], "variants": variants}},
        }
    )


def some_cells() -> pd.DataFrame:
    """Sixty cells of twelve subjects, without images."""
    number = np.arange(60)
    label, subject = number % 2, number % 12
    cells = pd.DataFrame(
        {
            "cell_id": [f"UID_{s}_{n}" for s, n in zip(subject, number, strict=True)],
            "label": pd.array(label, "Int64"),
            "patient": [f"{s}" for s in subject],
            "subject": [f"{s}" for s in subject],
            "phase": "train",
            "fold": pd.array(subject % 3, "Int64"),
            "pixel_sha256": [hashlib.sha256(bytes([n])).hexdigest() for n in number],
        }
    )
    cells["file_sha256"] = cells["pixel_sha256"]
    cells.attrs = {"dataset": "synthetic", "label": data_label("synthetic", cells)}
    return cells


def write_run(folder: Path) -> Path:
    """Write a finished run whose scores are drawn, with a table, a figure and a chapter."""
    cells, own = some_cells(), config()
    digest = data_digest(cells)
    plan = make_plan(own, cells, digest)
    begin(folder, own, cells, digest, {}, lambda: plan)
    rng = np.random.default_rng(3)
    for one in plan.experiments["baselines"]:
        table = cells.set_index("cell_id")
        choosing = one.split.fitting if one.settings.out_of_fold else one.split.validation
        parts = [("validation", list(choosing)), ("test", list(one.split.test))]
        predictions = pd.concat(
            table.loc[ids, ["patient", "subject", "label"]]
            .reset_index()
            .assign(score=rng.uniform(size=len(ids)).round(6), partition=name)
            for name, ids in parts
        ).astype({"label": "int64"})
        record = {
            "schema": 2, "key": one.key, "study": one.study, "variant": one.variant,
            "seed": one.seed, "dataset": cells.attrs["label"], "data_digest": one.data_digest,
            "split": split_record(one, one.cells_of(cells)), "settings": one.settings.relevant(),
            "model": {"backbone": "cell_area"},
        }  # fmt: skip
        history = pd.DataFrame({"epoch": [1], "loss": [0.5]})
        result = Result.in_memory(
            key=one.key, study=one.study, variant=one.variant, split=one.split.name,
            seed=one.seed, settings=record["settings"], record=record,
            predictions=predictions, history=history,
        )  # fmt: skip
        record["metrics"] = evaluate_result(result)
        write_experiment(folder / "experiments" / one.key, record, predictions, history, ORIGIN)
    record = read_run(folder) | {"finished": "2026-01-01", "seconds": 6.0}
    write_json(folder / "run.json", record)
    write_shown(folder)
    manifest.sign(manifest.of_run(folder))
    return folder


def write_shown(folder: Path) -> None:
    table = build_table("baselines", *load_results(folder))
    for name, text in {
        "tables/baselines.csv": csv_text(table),
        "figures/curve.svg": "<svg/>",
        "logs/one.log": "a log",
        "weights/one.npz": "weights",
        "book/index.md": "built",
        ".lock": "",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    shown = new_output(
        "display_data",
        data={"text/html": to_html(table, "Baselines"), "text/plain": ""},
        metadata={"lcc": {"table": "baselines"}},
    )
    figure = new_output("display_data", data={"text/html": FIGURE})
    cells = [new_markdown_cell("# A chapter\n\nNine hold."), new_code_cell(outputs=[shown, figure])]
    (folder / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=cells), str(folder / "notebooks" / "03_ablation.ipynb"))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def run(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tiny"))


def said(run: Path) -> str:
    return " ".join(verify(run).problems)


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def first(run: Path, name: str) -> Path:
    return min(run.glob(f"experiments/*/{name}"))


def forged(folder: Path, predictions: str | None = None, **changes) -> None:
    """Change an experiment and make its digests true again, as somebody would who forges it."""
    record = json.loads((folder / "experiment.json").read_text()) | changes
    if predictions is not None:
        (folder / "predictions.csv").write_text(predictions)
    for name in record["files"]:
        record["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    write_json(folder / "experiment.json", record | {"digest": record_digest(record)})


def signed(run: Path) -> str:
    """Make the manifest true again, and return what is noticed all the same."""
    manifest.sign(manifest.of_run(run))
    return said(run)


def test_a_run_that_nobody_changed_has_no_problem(run):
    found = verify(run)
    assert found.problems == []
    assert (found.experiments, found.tables) == (4, 1)
    assert found.manifest == hashlib.sha256((run / "SHA256SUMS").read_bytes()).hexdigest()


def test_sha256sum_reads_the_manifest(run):
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=run, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    listed = [
        line.split("  ", 1)[1]
        for line in (run / "SHA256SUMS").read_text().splitlines()
        if line[0] != "#"
    ]
    assert listed == sorted(listed)
    kept = {"run.json", "cells.csv", "figures/curve.svg", "notebooks/03_ablation.ipynb"}
    assert kept <= set(listed)
    assert not [name for name in listed if name.startswith(("book/", "logs/", "weights/", "."))]


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("run.json", '"cores": ', '"cores": 1'),
        ("run.json", '"python": "3', '"python": "4'),
        ("run.json", '"commit": ', '"commit": "0", "was": '),
        ("figures/curve.svg", "<svg/>", "<svg />"),
        ("notebooks/03_ablation.ipynb", "Nine hold", "Ten hold"),
        ("notebooks/03_ablation.ipynb", "A rising curve", "A falling curve"),
        ("notebooks/03_ablation.ipynb", "Baselines", "Other lines"),
        ("tables/baselines.csv", "cell area", "cell size"),
    ],
)
def test_an_edited_file_is_named(run, name, old, new):
    edited(run / name, old, new)
    assert f"Files differ from SHA256SUMS: {name}." in said(run)


def test_an_edited_origin_is_named_and_its_seconds_are_added_up(run):
    path = first(run, "origin.json")
    edited(path, "A CPU", "B CPU")
    assert path.relative_to(run).as_posix() in said(run)
    edited(path, '"seconds": 1.5', '"seconds": 9.5')
    assert "seconds is 6.0, and its experiments took 14.0" in signed(run)


def test_a_file_more_or_less_is_named(run):
    (run / "figures" / "curve.svg").unlink()
    (run / "figures" / "other.svg").write_text("<svg/>")
    assert "of SHA256SUMS are missing: figures/curve.svg." in said(run)
    assert "are not in SHA256SUMS: figures/other.svg." in said(run)
    (run / "SHA256SUMS").unlink()
    assert "SHA256SUMS is missing" in said(run)


@pytest.mark.parametrize("text", ["", "x\n", "0" * 64 + " run.json\n", "\0\xff", "\r\n"])
def test_a_damaged_manifest_is_named(run, text):
    (run / "SHA256SUMS").write_bytes(text.encode("latin-1"))
    assert "SHA256SUMS" in said(run)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda r: r["settings"]["training"].update(epochs=9), ""),
        (lambda r: r["settings"]["studies"]["baselines"].update(seeds=[0]), "plan of baselines"),
        (lambda r: r["plan"]["baselines"].pop(), "plan of baselines"),
        (lambda r: r["plan"]["baselines"][0].update(variant="x"), "plan of baselines"),
        (lambda r: r["dataset"].update(cells=61), "dataset.cells is 61"),
        (lambda r: r["dataset"].update(subjects=13), "dataset.subjects is 13"),
        (lambda r: r["dataset"].update(label="C-NMC 2019"), "dataset.label is 'C-NMC 2019'"),
        (lambda r: r["dataset"].update(name="c-nmc-2019"), "dataset.name is 'c-nmc-2019'"),
        (lambda r: r["dataset"].update(digest="0" * 16), "data digest"),
        (lambda r: r.update(profile="paper"), "profile is 'paper'"),
        (lambda r: r.update(seconds=7.0), "seconds is 7.0"),
        (lambda r: r["settings"]["training"].update(epochs="many"), "settings.training.epochs"),
    ],
)
def test_an_edited_record_is_noticed_even_with_a_new_manifest(run, change, words):
    record = json.loads((run / "run.json").read_text())
    change(record)
    write_json(run / "run.json", record)
    assert "run.json" in said(run)
    # A classical model does not depend on epochs, so that the plan stays: the manifest has it.
    assert words in signed(run)


def test_an_experiment_that_the_plan_lacks_is_noticed(run):
    folder = first(run, "experiment.json").parent
    shutil.copytree(folder, folder.with_name("0" * 16))
    assert "the plan has no such experiment" in signed(run)


def test_an_experiment_that_is_there_twice_is_refused(run, capsys):
    folder = first(run, "experiment.json").parent
    write_pack(run / "experiments" / "more.zip", [folder])
    with pytest.raises(LccError, match="and again in"):
        verify(run)
    assert main(["verify", str(run)]) == 1
    more = zipfile.ZipFile(run / "experiments" / "more.zip", "a")
    with more as pack, pytest.warns(UserWarning, match="Duplicate"):
        pack.writestr(f"{folder.name}/origin.json", "{}")
    with pytest.raises(LccError, match="twice"):
        experiment_folders(run / "experiments")


def test_rows_of_predictions_are_those_of_the_split_once_each(run):
    folder = first(run, "experiment.json").parent
    text = (folder / "predictions.csv").read_text()
    head, *rows = text.splitlines(keepends=True)
    metrics = json.loads((folder / "experiment.json").read_text())["metrics"]
    for changed, words in (
        ([*rows, rows[-1]], "stands twice among its"),
        (rows[:-1], "cells are not those of its split"),
        ([row.replace(",test", ",validation") for row in rows], "are not those of its split"),
        ([row.replace("UID_", "XID_", 1) for row in rows], "are not in cells.csv"),
        ([",".join(["", *row.split(",")[1:]]) for row in rows], "cell_id has a value"),
        ([rows[0].replace(",0.", ",7."), *rows[1:]], "score has a value"),
    ):
        forged(folder, head + "".join(changed), metrics=metrics)
        assert words in signed(run)
    forged(folder, text.replace("partition", "part", 1))
    assert "lacks the column partition" in signed(run)


def test_what_an_experiment_says_of_its_split_is_recomputed(run):
    folder = first(run, "experiment.json").parent
    split = json.loads((folder / "experiment.json").read_text())["split"]
    forged(folder, split=split | {"train": split["train"] + 1})
    assert "what it says of its split" in signed(run)
    forged(folder, split=split, metrics={"auc": 1.0, "best": 1.0})
    assert "predictions do not give the stored best" in signed(run)


@pytest.mark.parametrize(
    "damage",
    [
        lambda notebook: notebook["cells"][-1]["outputs"][0]["metadata"].update(lcc=3),
        lambda notebook: notebook["cells"][-1]["outputs"][0].update(metadata=[]),
        lambda notebook: notebook["cells"][-1].update(outputs=[3]),
        lambda notebook: notebook["cells"].append(3),
        lambda notebook: notebook["cells"][-1].update(metadata=None, outputs=None),
    ],
    ids=["a mark", "metadata", "an output", "a cell", "nothing"],
)
@pytest.mark.parametrize("command", ["verify", "book"])
def test_a_notebook_of_another_form_is_named(run, capsys, command, damage):
    path = run / "notebooks" / "03_ablation.ipynb"
    notebook = json.loads(path.read_text())
    damage(notebook)
    path.write_text(json.dumps(notebook))
    manifest.sign(manifest.of_run(run))
    assert main([command, str(run)]) in (1, 2)
    found = capsys.readouterr().err
    assert "03_ablation.ipynb" in found or "have not run" in found
    assert "full report" not in found


def test_a_truncated_notebook_is_named(run, capsys):
    path = run / "notebooks" / "03_ablation.ipynb"
    path.write_bytes(path.read_bytes()[:200])
    assert main(["verify", str(run)]) == 1
    assert "03_ablation.ipynb is not a readable notebook" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "tables/baselines.csv", "notebooks/03_ablation.ipynb", "cells.csv", "experiments/a.zip",
        "predictions.csv", "origin.json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_device_in_the_place_of_a_file_is_named_and_not_read(run, capsys, name, kind):
    path = first(run, name) if "/" not in name and name != "cells.csv" else run / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert main(["verify", str(run)]) == 1
    assert path.name in capsys.readouterr().err


@pytest.mark.parametrize("command", ["claims", "book"])
@pytest.mark.parametrize("damage", ["edited", "gone"])
def test_no_command_leaves_out_a_damaged_experiment_in_silence(run, capsys, command, damage):
    path = first(run, "predictions.csv")
    if damage == "edited":
        path.write_text(path.read_text() + "\n")
    else:
        path.unlink()
    assert main([command, str(run)]) in (1, 2)
    assert path.parent.name in capsys.readouterr().err


BAD_RECORDS = {
    "a list": "[]",
    "text": '"run"',
    "not JSON": "{",
    "nested": "[" * 100_000,
    "empty": "",
    "twice": '{"schema": 2, "schema": 2}',
    "not a number": '{"schema": 2, "seconds": NaN}',
    "old": '{"schema": 1}',
    "bytes": "\udcff",
}


@pytest.mark.parametrize("name", BAD_RECORDS)
@pytest.mark.parametrize("command", ["verify", "claims", "book", "publish", "external", "model"])
def test_a_record_that_is_none_is_refused_by_every_command(made, tmp_path, capsys, command, name):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_bytes(BAD_RECORDS[name].encode("utf-8", "surrogateescape"))
    shutil.copy(made / "cells.csv", run)
    more = {
        "external": [str(tmp_path), "--name", "other"],
        "model": ["--out", str(tmp_path / "model")],
    }
    assert main([command, str(run), *more.get(command, [])]) in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith("lcc: ")
    assert "run.json" in said
    assert len(said.splitlines()) == 1


def readers(run: Path):
    return {
        "verify": lambda: verify(run),
        "claims": lambda: load_results(run),
        "publish": lambda: book_publish.publishable(run, run),
        "external": lambda: reopened(run, None),
        "model": lambda: make_model(run, run / "model"),
    }


FIELDS = ["schema", "run", "profile", "overrides", "settings", "dataset", "plan", "refused"]
FIELDS += ["versions", "backend", "git", "hardware", "created", "finished", "seconds"]


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_is_missing_or_of_another_type_is_named(made, tmp_path, field):
    run = tmp_path / "run"
    shutil.copytree(made, run)
    whole = json.loads((made / "run.json").read_text())
    broken = [{k: v for k, v in whole.items() if k != field}] if field != "seconds" else []
    broken += [whole | {field: wrong} for wrong in (7.5, [1], {"a": [1]}, True) if wrong != 7.5]
    for values in broken:
        (run / "run.json").write_text(json.dumps(values))
        if field in ("overrides", "settings") and isinstance(values.get(field), dict):
            continue
        for read in readers(run).values():
            with pytest.raises(
                LccError, match=rf"run\.json.*{'form' if field == 'schema' else field}"
            ):
                read()


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_bytes_of_a_record_give_a_result_or_one_of_our_errors(made, tmp_path, data):
    run = tmp_path / "run"
    if not run.exists():
        shutil.copytree(made, run)
    content = bytearray((made / "run.json").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from([b"null", b"[]", b"{}", b"-1", b"1e999", b"NaN", b'"x"', b"true"]),
            )
        )
        content[place : place + data.draw(st.integers(0, 8))] = piece
    (run / "run.json").write_bytes(bytes(content))
    try:
        found = verify(run)
    except LccError:
        return
    assert found.problems or bytes(content) == (made / "run.json").read_bytes()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_bytes_of_an_experiment_are_always_noticed(made, tmp_path, data):
    run = tmp_path / "run"
    if not run.exists():
        shutil.copytree(made, run)
    names = ("experiment.json", "origin.json", "predictions.csv", "history.csv")
    name = data.draw(st.sampled_from(names))
    path = first(run, name)
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    changed = content[:place] + data.draw(st.binary(max_size=4)) + content[place + 1 :]
    path.write_bytes(changed)
    try:
        assert verify(run).problems or changed == content
    except LccError:
        pass
    finally:
        path.write_bytes(content)


@pytest.fixture(scope="module")
def published(made, tmp_path_factory, root) -> Path:
    """A repository in which that run is published."""
    repo = tmp_path_factory.mktemp("published") / "repo"
    (repo / "book").mkdir(parents=True)
    toc = {"root": "index", "parts": [{"chapters": [{"file": "chapters/03_ablation"}]}]}
    (repo / "book" / "_toc.yml").write_text(json.dumps(toc))
    shutil.copytree(root / "models", repo / "models")
    book_publish.publish(made, repo, claims=claims_markdown(made), card=card_markdown(made))
    return repo


@pytest.fixture
def repo(published, tmp_path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "repo"))


def test_a_published_edition_is_signed_and_its_front_page_prints_the_digest(repo):
    found = verify_edition(repo)
    assert found.problems == []
    assert found.manifest in (repo / "book" / "index.md").read_text()
    listed = (repo / "results" / "SHA256SUMS").read_text()
    for name in ("results/run.json", "book/chapters/03_ablation.ipynb", "book/edition.json"):
        assert f"  {name}\n" in listed
    assert "  models/small/model.keras\n" in listed
    assert "index.md\n" not in listed.partition("lcc verify.")[2]


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("results/figures/curve.svg", "<svg/>", "<svg />"),
        ("book/chapters/03_ablation.ipynb", "Nine hold", "Ten hold"),
        ("book/chapters/03_ablation.ipynb", "A rising curve", "A falling curve"),
        ("book/edition.json", '"cores": ', '"cores": 1'),
        ("book/model_card.md", "Limitations", "Limits"),
        ("book/index.md", "verdict is", "verdict was"),
        ("results/SHA256SUMS", "# SHA-256", "# SHA 256"),
        ("models/small/card.md", "Research use only", "All uses"),
    ],
)
def test_an_edited_file_of_an_edition_is_noticed(repo, name, old, new):
    edited(repo / name, old, new)
    said = " ".join(verify_edition(repo).problems)
    assert (name if name != "results/SHA256SUMS" else "index.md") in said
    assert "lcc publish results" in said


def test_a_new_manifest_changes_the_digest_that_the_page_prints(repo):
    before = manifest.digest_of(repo / "results" / "SHA256SUMS")
    edited(repo / "book" / "chapters" / "03_ablation.ipynb", "Nine hold", "Ten hold")
    manifest.sign(manifest.of_edition(repo))
    assert "index.md is not the page" in " ".join(verify_edition(repo).problems)
    sign_edition(repo)
    assert verify_edition(repo).problems == []
    assert before not in (repo / "book" / "index.md").read_text()


def test_an_edition_whose_numbers_are_wrong_is_not_signed(repo):
    before = (repo / "results" / "SHA256SUMS").read_bytes()
    edited(repo / "results" / "tables" / "baselines.csv", "cell area", "cell size")
    with pytest.raises(LccError, match="not signed: Table baselines differs"):
        sign_edition(repo)
    assert (repo / "results" / "SHA256SUMS").read_bytes() == before
    assert not list(repo.glob(".sign-*"))


def test_a_number_that_differs_in_its_last_digits_alone_counts_as_close():
    assert table_difference("a,b\nx,0.123456789\n", "a,b\nx,0.123456788\n") < TABLE_CLOSE
    assert table_difference("a,b\nx,0.1234\n", "a,b\nx,0.1235\n") > TABLE_CLOSE
    assert table_difference("a,b\nx,1\n", "a,b\ny,1\n") == math.inf
    assert table_difference("a\n1\n", "a\n1\n1\n") == math.inf
    assert relative_difference(float("nan"), float("nan")) == 0
    assert relative_difference(0.5, None) == math.inf


def test_verify_says_how_close_a_run_comes(run, capsys):
    assert main(["verify", str(run)]) == 0
    assert "recomputed number to the stored one: 0.0e+00" in capsys.readouterr().out
    folder = first(run, "experiment.json").parent
    metrics = json.loads((folder / "experiment.json").read_text())["metrics"]
    forged(folder, metrics=metrics | {"auc": metrics["auc"] * (1 + 1e-11)})
    assert signed(run) == ""
    assert 0 < verify(run).difference < 1e-10
