"""A run from end to end on synthetic cells: as a user starts, stops, resumes and verifies it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml

from lcc_utils import cli
from lcc_utils.cli import main
from lcc_utils.data import images
from lcc_utils.data.splits import LEAKY
from lcc_utils.errors import RequestError
from lcc_utils.pipeline import notebooks
from lcc_utils.pipeline.store import read_json, record_digest
from lcc_utils.pipeline.verify import verify
from lcc_utils.report.tables import NONE, TABLES

TINY = "tests/tiny.yml"


def fingerprint(run: Path) -> dict[str, bytes]:
    """Experiments and tables of a run; where and when they were computed is elsewhere."""
    experiments = [p for p in run.glob("experiments/[!.]*/*") if p.name != "origin.json"]
    paths = [*experiments, *run.glob("tables/*.csv")]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


def plan(run: Path) -> list[dict]:
    """Every place of a run's plan; one experiment may stand in several."""
    studies = json.loads((run / "run.json").read_text())["plan"]
    return [{"study": study, **place} for study, places in studies.items() for place in places]


def keys(run: Path) -> set[str]:
    return {place["key"] for place in plan(run)}


# Figures of what others published, and of a simulation.
NOT_OF_A_RUN = {"coverage", "published_entries"}


def test_a_run_leaves_what_the_design_says(tiny_run, root):
    record = json.loads((tiny_run / "run.json").read_text())
    assert record["profile"] == "tiny"
    assert record["finished"] is not None
    assert record["dataset"]["name"] == "synthetic"
    assert record["dataset"]["label"].startswith("synthetic cells (")
    assert {"python", "keras", "numpy"} <= record["versions"].keys()
    assert record["refused"] == []
    assert not (tiny_run / "failures.json").exists()
    # Two directions, refitted; eight trainings of the ablation, of which two are looked into.
    studies = {name: {place["key"] for place in own} for name, own in record["plan"].items()}
    assert [len(studies[name]) for name in ("training", "ablation")] == [2, 8]
    assert len(studies["attention"] & studies["ablation"]) == 2
    assert {path.name for path in (tiny_run / "experiments").iterdir()} == keys(tiny_run)
    assert len(plan(tiny_run)) > len(keys(tiny_run)) > 50
    sources = {path.stem for path in (root / "notebooks").glob("*.py")}
    assert {path.stem for path in (tiny_run / "notebooks").glob("*.ipynb")} == sources
    cells = pd.read_csv(tiny_run / "cells.csv")
    assert len(cells) == record["dataset"]["cells"]


def test_networks_that_are_looked_into_keep_their_weights_as_soon_as_they_are_trained(tiny_run):
    networks = {place["key"] for place in plan(tiny_run) if place["study"] == "attention"}
    kept = {path.stem: path for path in (tiny_run / "weights").glob("*.npz")}
    assert {name for name in kept if not name.endswith("-s")} == networks
    assert len(networks) == 4
    for key in networks:
        result = tiny_run / "experiments" / key / "experiment.json"
        assert kept[key].stat().st_mtime_ns <= result.stat().st_mtime_ns


def test_every_experiment_keeps_subjects_apart_and_records_its_origin(tiny_run):
    protocols = set()
    for path in (tiny_run / "experiments").glob("*/experiment.json"):
        record = json.loads(path.read_text())
        predictions = pd.read_csv(path.with_name("predictions.csv"))
        sides = predictions.groupby("partition")["subject"].agg(set)
        protocol = record["split"]["protocol"]
        protocols.add(protocol)
        # Patient ids share subjects in some of their parts; the others that leak always do so
        # between training and test, and images between validation and test as well.
        if protocol != "patient_ids":
            by_image = protocol in ("image", "images", "copies")
            # Out of fold, the cells that choose are those that train, which leak where those do.
            chosen_in = protocol in LEAKY and record["selection"]["by"] == "out_of_fold"
            assert bool(sides["test"] & sides["validation"]) == (by_image or chosen_in)
            assert (record["split"]["leaked"] > 0) == (protocol in LEAKY)
        assert record["dataset"].startswith("synthetic")
        assert record["split"]["test"] == (predictions["partition"] == "test").sum()
        origin = json.loads(path.with_name("origin.json").read_text())
        assert origin["hardware"]["cores"] >= 1
        # Whole trainings take more than the tenth of a second that is kept; others may not.
        assert origin["seconds"] > 0 or "epochs" not in record
    honest = {"official", "kfold", "patient", "clean", "control", "transport"}
    assert protocols == honest | LEAKY


def test_numbers_on_the_pages_say_that_they_are_synthetic(tiny_run):
    for path in (tiny_run / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(str(path), as_version=4)
        shown = [o for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
        assert shown
        for output in shown:
            mark = output["metadata"]["lcc"]
            name = mark.get("table")
            measured = TABLES[name].measured if name else mark.get("figure") not in NOT_OF_A_RUN
            assert measured == ("synthetic cells" in output["data"]["text/html"])


def test_verify_recomputes_everything(tiny_run):
    found = verify(tiny_run)
    assert found.problems == []
    assert found.experiments == len(keys(tiny_run))
    assert found.tables == len(list((tiny_run / "tables").glob("*.csv"))) >= 20
    assert found.metrics > 10 * found.experiments
    assert found.cells_shown > 100


# Studies of a smaller run, and the chapters that show them. Networks come last: some are trained
# after the kill.
FEW, CHAPTERS = ("baselines", "training"), "01,02"


@dataclass(frozen=True)
class Resumed:
    """A run that was killed and resumed.

    Attributes
    ----------
    folder
        Where it lies.
    kept
        What was finished at the kill, with its times of change.
    refused, done
        What the command returned without ``--resume``, and with it.
    """

    folder: Path
    kept: dict[Path, int]
    refused: int
    done: int


@pytest.fixture(scope="module")
def here(places, root):
    """The environment of the runs in this process, which the command may change."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LCC_CACHE", "LCC_RUNS", "PYTHONPATH"):
            patch.setenv(name, places[name])
        for name in ("LCC_JOBS", "LCC_DASK", "LCC_DEADLINE"):
            patch.setenv(name, "")
            patch.delenv(name)
        patch.chdir(root)
        yield patch


@pytest.fixture(scope="module")
def resumed(tiny_run, places, here, root, tmp_path_factory) -> Resumed:
    """Few of the finished run's studies, killed once some experiments were there, and resumed."""
    settings = yaml.safe_load((root / TINY).read_text())
    settings["studies"] = {name: settings["studies"][name] for name in FEW}
    profile = tmp_path_factory.mktemp("few") / "few.yml"
    profile.write_text(yaml.safe_dump(settings, sort_keys=False))
    arguments = ["run", str(profile), "--run", "few"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lcc_utils.cli", *arguments], env=places,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    run = tiny_run.parent / "few"
    while process.poll() is None and len(list(run.glob("experiments/[0-9a-f]*"))) < 3:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in run.glob("experiments/*/experiment.json")}
    refused = main(arguments)
    every = notebooks.chapters
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebooks, "chapters", lambda only=None: every(only or CHAPTERS))
        return Resumed(run, kept, refused, main([*arguments, "--resume"]))


@pytest.fixture
def copied(resumed, tmp_path) -> Path:
    return Path(shutil.copytree(resumed.folder, tmp_path / "copy"))


def one(run: Path, pattern: str) -> Path:
    return sorted(run.glob(pattern))[0]


def test_verify_notices_a_changed_prediction_metric_table_page_and_label(copied):
    def problems() -> str:
        return " ".join(verify(copied).problems)

    def changed(path: Path, old: str, new: str) -> str:
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new, 1))
        said = problems()
        path.write_text(before)
        return said

    predictions = one(copied, "experiments/*/predictions.csv")
    assert "predictions.csv is not the file" in changed(predictions, ",0.", ",1.")
    trained = next(place["key"] for place in plan(copied) if place["study"] == "training")
    record = copied / "experiments" / trained / "experiment.json"
    auc = json.loads(record.read_text())["metrics"]["auc"]
    edited = (f'"auc": {auc}', f'"auc": {auc + 0.01}')
    assert "experiment.json is not the file" in changed(record, *edited)
    # Whoever changes the digest as well is found by what the predictions give.
    for (old, new), said in (
        (edited, "auc is"),
        (('"gamma": 2.0', '"gamma": 2.5'), "key does not follow"),
    ):
        text = record.read_text().replace(old, new, 1)
        digest = json.loads(text)["digest"]
        forged = text.replace(digest, record_digest(json.loads(text)))
        assert forged != text != record.read_text()
        assert said in changed(record, record.read_text(), forged)
    table = copied / "tables" / "training.csv"
    assert "Table training differs" in changed(table, "fold 0", "fold 9")
    shown = one(copied, "notebooks/02_training.ipynb")
    assert "shows another table" in changed(shown, "fold 0 and 1 to 2</th>", "fold 9</th>")
    label = pd.read_csv(copied / "cells.csv")["pixel_sha256"][0]
    assert "data digest" in changed(copied / "cells.csv", label, "0" * 64)
    assert problems() == ""


def test_verify_loads_neither_images_nor_a_framework(copied, places):
    code = (
        "import sys; from lcc_utils.cli import main; code = main(['verify', sys.argv[1]]);"
        "loaded = {n.split('.')[0] for n in sys.modules};"
        "assert not loaded & {'tensorflow', 'keras', 'jax', 'torch', 'imgaug'}, loaded;"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(copied)], env=places, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0 differ" in done.stdout


@pytest.fixture(scope="module")
def late(tiny_run, here) -> tuple[Path, str]:
    """A run that had no time for any experiment, and what the command said."""
    said = io.StringIO()
    with redirect_stdout(said):
        assert main(["run", TINY, "--run", "late", "--minutes", "0"]) == 0
    return tiny_run.parent / "late", said.getvalue()


def test_a_run_without_time_makes_pages_that_say_what_is_missing(tiny_run, late):
    run, said = late
    assert not (run / "experiments").exists()
    assert f"{len(plan(run))} experiments are missing; the pages say which. --resume adds" in said
    names = {path.name for path in (tiny_run / "notebooks").glob("*.ipynb")}
    assert {path.name for path in (run / "notebooks").glob("*.ipynb")} == names
    # What tables hold is what the pages show, or verify would find it.
    found = verify(run)
    assert (found.problems, found.experiments) == ([], 0)
    assert found.tables == len(list((tiny_run / "tables").glob("*.csv")))
    planned = Counter(place["study"] for place in plan(run))
    for folder, done in ((run, 0), (tiny_run, 1)):
        progress = pd.read_csv(folder / "tables" / "progress.csv").set_index("study")
        assert progress["planned"].to_dict() == planned
        assert (progress["done"] == done * progress["planned"]).all()
        assert (progress["not_run"] == (1 - done) * progress["planned"]).all()


def test_a_run_killed_and_resumed_gives_the_same_files(tiny_run, resumed):
    """Those of the finished run, where both have the experiments and the tables made of them."""
    run = resumed.folder
    assert 3 <= len(resumed.kept) < len(keys(run))
    assert (resumed.refused, resumed.done) == (2, 0)
    assert {path.name for path in (run / "experiments").iterdir()} == keys(run)
    assert read_json(run / "run.json")["finished"] is not None
    assert {path: path.stat().st_mtime_ns for path in resumed.kept} == resumed.kept
    have = {*FEW, *NONE}
    tables = {path.stem for path in (run / "tables").glob("*.csv")}
    tables = {name for name in tables if TABLES[name].studies and {*TABLES[name].studies} <= have}
    assert {"training", "baselines", "cells"} <= tables
    names = {f"tables/{name}.csv" for name in tables}
    for key in keys(run):
        folder = f"experiments/{key}"
        names |= {f"{folder}/predictions.csv", f"{folder}/history.csv"}
        # The study that an experiment is trained for is the last that has it.
        place = {"study": "", "variant": "", "digest": ""}
        records = [read_json(own / folder / "experiment.json") | place for own in (run, tiny_run)]
        assert records[0] == records[1]
    found, whole = fingerprint(run), fingerprint(tiny_run)
    assert {name: found[name] for name in names} == {name: whole[name] for name in names}


def test_a_notebook_by_papermill_finds_what_was_computed(tiny_run, places, root, tmp_path):
    source = tmp_path / "02_training.ipynb"
    convert = ["-m", "jupytext", "--to", "ipynb", "--output", str(source)]
    subprocess.run(
        [sys.executable, *convert, str(root / "notebooks" / "02_training.py")],
        env=places, check=True, capture_output=True,
    )  # fmt: skip
    before = fingerprint(tiny_run)
    done = subprocess.run(
        [
            sys.executable, "-m", "papermill", str(source), str(tmp_path / "out.ipynb"),
            "-p", "profile", str(root / TINY), "-p", "run", "tiny",
        ],
        env=places, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert fingerprint(tiny_run) == before
    shown = nbformat.read(str(tmp_path / "out.ipynb"), as_version=4)
    assert any("lcc-table" in str(cell.get("outputs")) for cell in shown.cells)


def test_a_run_of_that_name_with_other_settings_is_refused(lcc, tiny_run, root):
    before = (tiny_run / "run.json").read_bytes()
    done = lcc("run", str(root / TINY), "--run", "tiny", "--resume", "-p", "training.epochs=2")
    assert done.returncode == 2
    assert "other settings or other data" in done.stderr
    assert (tiny_run / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["run", "nope"], 2, "There is no profile 'nope'"),
        (["run", "demo", "-p", "training.epoch=3"], 2, "there is no such setting"),
        (["run", "demo", "-p", "training.epochs"], 2, "has no value"),
        (["run", "demo", "--data", "x"], 2, "draws its own cells"),
        (["run", "cpu"], 2, "needs C-NMC 2019"),
        (["run", "cpu", "--data", "no/such/folder"], 2, "no/such/folder"),
        (["run", TINY, "--jobs", "0"], 2, "--jobs 0 is too few"),
        (["run", TINY, "--threads", "0"], 2, "--threads 0 is too few"),
        (["run", TINY, "--minutes", "-1"], 2, "--minutes -1 is no limit"),
        (["run", TINY, "--jobs", "2", "--dask", "tcp://x:1"], 2, "exclude each other"),
        (["run", TINY, "--only", "77"], 2, "No notebook begins with '77'"),
        (["run", TINY, "-p", "pixels.size=8"], 2, "at least 32 px"),
        (["run", TINY, "-p", "dataset.cells=3"], 2, "cells"),
        (["verify", "nope"], 2, "There is no run 'nope'"),
        (["book", "nope"], 2, "There is no run 'nope'"),
        (["publish", "nope"], 2, "There is no run 'nope'"),
        (["data", "check", "no/such/folder"], 2, "no/such/folder"),
    ],
)
def test_a_wrong_request_is_one_paragraph_and_an_exit_code(
    tiny_run, places, root, monkeypatch, capsys, arguments, code, message
):
    for name in ("LCC_CACHE", "LCC_RUNS"):
        monkeypatch.setenv(name, places[name])
    monkeypatch.chdir(root)
    before = sorted(tiny_run.parent.iterdir())
    assert main(arguments) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.splitlines()[-1].startswith("lcc: ")
    assert sorted(tiny_run.parent.iterdir()) == before


def test_what_fails_before_the_chapters_is_named_and_the_rest_goes_on(monkeypatch, capsys):
    run, done = object(), []

    def refuse(_):
        raise MemoryError

    monkeypatch.setattr("lcc_utils.pipeline.attention.explain", refuse)
    for name in ("robustness.score_shifted", "foreign.compare", "efficiency.measure"):
        monkeypatch.setattr(f"lcc_utils.pipeline.{name}", done.append)
    cli._look_into(run)
    assert done == [run] * 3
    assert "lcc: maps of attention: Out of memory; " in capsys.readouterr().err


def test_missing_weights_are_named_before_any_pixel_is_decoded(
    places, root, monkeypatch, capsys, tmp_path
):
    import keras

    def offline(**kwargs):
        raise OSError("no connection")

    monkeypatch.setattr(keras.applications, "EfficientNetV2B0", offline)
    monkeypatch.setenv("LCC_CACHE", places["LCC_CACHE"])
    monkeypatch.setenv("LCC_RUNS", str(tmp_path))
    decoded = []
    monkeypatch.setattr(images, "prepare", lambda *arguments: decoded.append(arguments))
    changes = ["-p", "model.backbone=efficientnetv2-b0", "-p", "model.weights=imagenet"]
    assert main(["run", str(root / TINY), "-p", "pixels.size=40", *changes]) == 2
    assert "efficientnetv2-b0_notop.h5" in capsys.readouterr().err
    assert decoded == []


def test_a_run_of_another_form_is_refused(tiny_run, tmp_path):
    record = json.loads((tiny_run / "run.json").read_text())
    shutil.copy(tiny_run / "cells.csv", tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({**record, "schema": 1}))
    with pytest.raises(RequestError, match=r"run\.json has form 1 .* reads form 2"):
        verify(tmp_path)


def test_an_unfinished_run_is_not_published(lcc, tiny_run):
    path = tiny_run.parent / "unfinished"
    shutil.copytree(tiny_run, path)
    record = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**record, "finished": None}))
    done = lcc("publish", "unfinished")
    shutil.rmtree(path)
    assert done.returncode == 2
    assert "not finished" in done.stderr


def test_a_misspelt_notebook_parameter_is_refused_before_anything_runs(tiny_run, monkeypatch):
    started = []
    monkeypatch.setattr(notebooks.papermill, "execute_notebook", lambda *a, **k: started.append(a))
    fake = type("Run", (), {"folder": tiny_run.parent / "other"})()
    with pytest.raises(RequestError, match="no parameter profil; it has"):
        notebooks.execute(fake, {"profil": "demo"})
    assert started == []


def test_notebooks_hold_no_functions_classes_or_loops_over_models(root):
    for path in (root / "notebooks").glob("*.py"):
        lines = path.read_text().splitlines()
        assert not [line for line in lines if line.startswith(("def ", "class ", "for ", "while "))]
        assert lines.count('overrides = "{}"') == 1
