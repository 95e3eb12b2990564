"""Many experiments: who computes them, what stops them and what fails changes no result."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from lcc_utils.errors import RequestError
from lcc_utils.pipeline import executors
from lcc_utils.pipeline.compute import Workers, compute
from lcc_utils.pipeline.run import Run, open_run

STUDY = {
    "dataset": {"source": "synthetic", "phases": ["train"], "cells": 160, "seed": 7},
    "pixels": {"size": 32, "crop": 300},
    "model": {"backbone": "logistic_regression"},
    "training": {"epochs": 1, "batch": 16},
    "studies": {
        "monte_carlo": {
            "splits": [
                {"protocol": "patient", "shares": [0.5, 0.25, 0.25], "min_subjects": 2},
                {"protocol": "image", "shares": [0.5, 0.25, 0.25]},
            ],
            "seeds": 12,
            "variants": {
                "logistic regression": {},
                "gradient boosting": {"model.backbone": "gradient_boosting"},
            },
        }
    },
}


@pytest.fixture(scope="module")
def places(places, tmp_path_factory) -> dict[str, str]:
    """The tests' cache, and a folder of runs of this module alone."""
    return {**places, "LCC_RUNS": str(tmp_path_factory.mktemp("compute"))}


@pytest.fixture
def here(places, monkeypatch):
    for name in ("LCC_CACHE", "LCC_RUNS"):
        monkeypatch.setenv(name, places[name])


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "many.yml"
    path.write_text(yaml.safe_dump(STUDY))
    return path


def altered(profile: Path, name: str, **study: object) -> str:
    """A profile that differs from STUDY in its study alone."""
    settings = yaml.safe_load(profile.read_text())
    settings["studies"]["monte_carlo"] |= study
    path = profile.with_name(f"{name}.yml")
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def files(run: Path) -> dict[str, bytes]:
    """Everything that experiments left except where and when they ran."""
    paths = (run / "experiments").glob("[!.]*/*")
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in paths
        if path.name != "origin.json"
    }


# Imports once; for each line it reads, a new process goes on with the run, and it says which.
GOES_ON = """
import os, signal, sys
from lcc_utils.pipeline.run import open_run
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    child = os.fork()
    if not child:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        open_run(sys.argv[1], run="killed").compute(progress=False)
        os._exit(0)
    print(child, flush=True)
"""


@contextmanager
def going_on(profile: Path, places: dict[str, str]):
    """Give what starts a process, in a session of its own, that goes on with the run."""
    nursery = subprocess.Popen(
        [sys.executable, "-c", GOES_ON, str(profile)],
        env=places, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def start() -> int:
        nursery.stdin.write("go on\n")
        nursery.stdin.flush()
        return int(nursery.stdout.readline())

    try:
        yield start
    finally:
        nursery.stdin.close()
        nursery.wait()
        nursery.stdout.close()


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def whole(profile, places, monkeypatch_module) -> dict[str, bytes]:
    """The files of the study, run without any disturbance."""
    run = open_run(str(profile), run="whole")
    run.compute(progress=False)
    found = files(run.folder)
    assert len(found) == 48 * 3
    return found


@pytest.fixture(scope="module")
def monkeypatch_module(places):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LCC_CACHE", "LCC_RUNS"):
            patch.setenv(name, places[name])
        yield patch


def test_killed_at_ten_moments_and_resumed_the_files_are_the_same(whole, profile, places):
    run = Path(places["LCC_RUNS"]) / "killed"
    moments = random.Random(11)
    counts = []
    with going_on(profile, places) as start:
        for _ in range(10):
            before = len(list(run.glob("experiments/[!.]*")))
            process = start()
            # At a random moment after this process has left something new.
            while runs(process) and len(list(run.glob("experiments/[!.]*"))) == before:
                time.sleep(0.01)
            time.sleep(moments.uniform(0.0, 0.4))
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            while runs(process):
                time.sleep(0.01)
            counts.append(len(list(run.glob("experiments/[!.]*/experiment.json"))))
        assert counts == sorted(counts)
        assert counts[0] < 48
        process = start()
        while runs(process):
            time.sleep(0.01)
    assert files(run) == whole


def test_two_processes_leave_the_same_files_as_one(whole, profile, here):
    run = open_run(str(profile), run="two")
    run.compute(workers=Workers(jobs=2), progress=False)
    assert files(run.folder) == whole


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def cluster(workers: int, places: dict[str, str], threads: int = 1):
    """A Dask scheduler with workers in processes of their own."""
    address = f"tcp://127.0.0.1:{free_port()}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": places}
    dask = [sys.executable, "-m", "dask"]
    host, port = address.removeprefix("tcp://").split(":")
    scheduler = subprocess.Popen(
        [*dask, "scheduler", "--host", host, "--port", port, "--no-dashboard"], **quiet
    )
    worker = [*dask, "worker", address, "--nthreads", str(threads), "--no-nanny", "--no-dashboard"]
    started = [subprocess.Popen(worker, **quiet) for _ in range(workers)]
    try:
        yield address, started
    finally:
        for process in [*started, scheduler]:
            process.kill()
            process.wait()


def test_on_dask_with_a_worker_killed_the_files_are_the_same(whole, profile, places, here):
    run = open_run(str(profile), run="dask")
    with cluster(2, places) as (address, workers):
        seen: list[int] = []

        def kill_one_after_some() -> None:
            while len(list(run.folder.glob("experiments/[!.]*/experiment.json"))) < 6:
                time.sleep(0.02)
            seen.append(len(list(run.folder.glob("experiments/[!.]*/experiment.json"))))
            workers[0].kill()

        killer = threading.Thread(target=kill_one_after_some)
        killer.start()
        run.compute(workers=Workers(dask=address), progress=False)
        killer.join()
    assert 6 <= seen[0] < 48
    assert run.failures == {}
    assert files(run.folder) == whole


def test_a_worker_of_two_threads_leaves_the_files_of_one_at_a_time(profile, places, here):
    """Networks of one architecture, which share a compiled model, beside classical models."""
    variants = {
        "small network": {"model.backbone": "small_cnn", "training.epochs": 3},
        "at a lower rate": {
            "model.backbone": "small_cnn", "training.epochs": 3, "training.learning_rate": 1e-4,
        },
        "gradient boosting": {"model.backbone": "gradient_boosting"},
    }  # fmt: skip
    source = altered(profile, "threads", seeds=2, variants=variants)
    beside, alone = (open_run(source, run=f"threads-{name}") for name in ("beside", "alone"))
    with cluster(1, places, threads=2) as (address, _):
        workers = Workers(dask=address)
        assert compute(planned(beside), beside.cells, beside.folder, workers, False) == {}
        for experiment in planned(alone):
            assert compute([experiment], alone.cells, alone.folder, workers, False) == {}
    assert len(files(alone.folder)) == 12 * 3
    assert files(beside.folder) == files(alone.folder)


def test_without_a_scheduler_the_request_is_refused(profile, here, monkeypatch):
    monkeypatch.setattr(executors, "ANSWERS_WITHIN", 1)
    address = f"tcp://127.0.0.1:{free_port()}"
    run = open_run(str(profile), run="alone")
    with pytest.raises(RequestError, match=f"no Dask scheduler at {address}"):
        run.compute(workers=Workers(dask=address), progress=False)


def planned(run: Run):
    return run.plan.experiments["monte_carlo"]


def test_an_experiment_that_kills_its_process_is_named_and_the_rest_goes_on(
    whole, profile, here, monkeypatch
):
    run = open_run(str(profile), run="lost")
    experiments = planned(run)[:8]
    victim = experiments[2].key
    honest = executors._remote

    def remote(experiment, place):
        if experiment.key == victim:
            os.kill(os.getpid(), signal.SIGKILL)
        return honest(experiment, place)

    monkeypatch.setattr(executors, "_remote", remote)
    failed = compute(experiments, run.cells, run.folder, Workers(jobs=2), progress=False)
    assert list(failed) == [victim]
    assert "worker was lost" in failed[victim]
    left = {path.name for path in run.folder.glob("experiments/[!.]*")}
    assert left == {e.key for e in experiments} - {victim}
    assert files(run.folder).items() <= whole.items()


def test_a_worker_that_takes_memory_goes_on():
    from joblib import Parallel, delayed

    def process_after(megabytes: int) -> int:
        from joblib.externals.loky import process_executor

        # It looks after each task, and takes the first as its measure.
        process_executor._MEMORY_LEAK_CHECK_DELAY = -1
        executors._stay()
        executors.held = bytes([1]) * (megabytes * 2**20)
        return os.getpid()

    pool = Parallel(2, batch_size=1, pre_dispatch=1)
    processes = set(pool(delayed(process_after)(size) for size in [1, 1, 400, 400, 1, 1, 1]))
    assert len(processes) <= 2


def test_a_deadline_begins_nothing_more_and_the_missing_are_counted(profile, here):
    run = open_run(str(profile), run="late")
    run.compute(workers=Workers(deadline=time.time() - 1), progress=False)
    found = run.gather("monte_carlo")
    assert found["monte_carlo"] == []
    assert len(found.missing["monte_carlo"]) == 48
    assert {missing.reason for missing in found.missing["monte_carlo"]} == {""}
    assert run.table("progress")["not_run"].tolist() == [48]


def test_a_loss_that_is_not_a_number_fails_alone(profile, here):
    variants = {
        "logistic regression": {},
        "diverging": {"model.backbone": "small_cnn", "training.learning_rate": 1e30},
    }
    run = open_run(altered(profile, "diverging", seeds=1, variants=variants), run="nan")
    run.compute(progress=False)
    found = run.gather("monte_carlo")
    assert {r.variant for r in found["monte_carlo"]} == {"logistic regression"}
    assert {m.variant for m in found.missing["monte_carlo"]} == {"diverging"}
    reason = found.missing["monte_carlo"][0].reason
    assert "lower training.learning_rate" in reason
    progress = run.table("progress").iloc[0]
    assert (progress["done"], progress["failed"], progress["not_run"]) == (2, 2, 0)
    log = run.folder / "logs" / f"{next(iter(run.failures))}.log"
    assert reason in log.read_text()


def test_what_failed_is_tried_again_only_when_asked(profile, here, monkeypatch):
    from lcc_utils.pipeline import attempt

    tried = []

    def refuse(experiment, *_):
        tried.append(experiment.key)
        raise MemoryError

    monkeypatch.setattr(attempt, "run_experiment", refuse)
    run = open_run(altered(profile, "again", seeds=1), run="again")
    for retry in (False, False, True):
        run.compute(retry=retry, progress=False)
    assert len(tried) == 8
    assert all(reason.startswith("Out of memory") for reason in run.failures.values())


def test_a_split_that_the_data_cannot_give_is_named_and_the_rest_stays(profile, here):
    many = {"protocol": "patient", "shares": [0.5, 0.25, 0.25], "min_subjects": 40}
    splits = [many, STUDY["studies"]["monte_carlo"]["splits"][1]]
    run = open_run(altered(profile, "refused", splits=splits, seeds=2), run="refused")
    run.compute(progress=False)
    found = run.gather("monte_carlo")
    assert len(found["monte_carlo"]) == 4
    assert len(found.missing["monte_carlo"]) == 4
    assert "40" in found.missing["monte_carlo"][0].reason


def test_a_study_that_the_data_cannot_give_at_all_is_refused_before_anything_runs(profile, here):
    splits = [{"protocol": "patient", "min_subjects": 40}]
    with pytest.raises(RequestError, match="min_subjects"):
        open_run(altered(profile, "none", splits=splits), run="none")


def test_a_fold_of_one_class_is_named(profile, here):
    splits = [{"protocol": "official", "train_folds": [0], "test_fold": 9}]
    with pytest.raises(RequestError, match="fold 9"):
        open_run(altered(profile, "oneclass", splits=splits), run="oneclass")


def test_a_result_edited_by_hand_is_named_and_not_used(whole, profile, here, places):
    source = Path(places["LCC_RUNS"]) / "whole"
    copy = Path(shutil.copytree(source, source.with_name("edited")))
    places_of = sorted(copy.glob("experiments/[!.]*"))
    for folder, name, old, new in (
        (places_of[0], "predictions.csv", ",0.", ",1."),
        (places_of[1], "experiment.json", '"auc": ', '"auc": 1'),
    ):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))
    run = open_run(str(profile), run="edited")
    found = run.gather("monte_carlo")
    assert len(found["monte_carlo"]) == 46
    reasons = sorted(missing.reason for missing in found.missing["monte_carlo"])
    assert "predictions.csv is not the file that the experiment wrote" in " ".join(reasons)
    assert "experiment.json is not the file that the experiment wrote" in " ".join(reasons)
    assert run.table("progress")["failed"].tolist() == [2]
