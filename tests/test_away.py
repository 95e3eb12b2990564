"""Studies that another machine computes, under JAX and without TensorFlow, and their way home."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lcc_utils.data.images import PixelCache
from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline.away import RESULTS, compute_parcel, in_order, take_home
from lcc_utils.pipeline.cells import open_cells
from lcc_utils.pipeline.config import load_config
from lcc_utils.pipeline.parcel import make_parcel, open_parcel, parcel_networks
from lcc_utils.pipeline.run import open_run

PROFILE = """
dataset: {source: synthetic, phases: [train], cells: 160, seed: 7}
pixels: {size: 32, crop: 300}
model: {backbone: small_cnn}
augmentation: {policy: stain, target: all}
training: {epochs: 1, batch: 16, steps_per_epoch: 2}
studies:
  first:
    splits:
      - {protocol: official, train_folds: [0, 1], test_fold: 2, validation_share: 0.3}
    seeds: 2
    variants:
      small network: {}
      logistic regression: {model.backbone: logistic_regression}
  other:
    splits:
      - {protocol: official, train_folds: [0, 1], test_fold: 2, validation_share: 0.3}
    variants:
      small network: {}
      lower rate: {training.learning_rate: 1.0e-4}
      whole frame: {pixels.crop: 450}
"""
# Runs at the start of every process below it.
BARRED = """
import sys
class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "torch"):
            raise ImportError(f"{name} is barred")
sys.meta_path.insert(0, Barred())
"""


@pytest.fixture
def kept_apart(tmp_path, monkeypatch, places):
    """Runs and caches of this test alone; synthetic cells are those of the other tests."""
    monkeypatch.setenv("LCC_CACHE", places["LCC_CACHE"])
    monkeypatch.setenv("LCC_RUNS", str(tmp_path / "runs"))
    path = tmp_path / "away.yml"
    path.write_text(PROFILE)
    return path


def _parcel(profile: Path, out: Path, studies: tuple[str, ...]) -> Path:
    """Make a parcel, and put its parts into one folder, as they lie on the other machine."""
    config = load_config(str(profile))
    parts = make_parcel(config, open_cells(config, None, False), studies, out, 60_000)
    assert len(parts) > 1
    assert all(sum(p.stat().st_size for p in part.iterdir()) < 100_000 for part in parts)
    whole = out.with_name("whole")
    for part in parts:
        shutil.copytree(part, whole, dirs_exist_ok=True)
    return whole


@pytest.mark.jax
def test_what_another_machine_computed_is_taken_home_and_not_computed_again(
    kept_apart, tmp_path, under_jax
):
    pytest.importorskip("jax")
    parcel = _parcel(kept_apart, tmp_path / "parcel", ("first", "other"))
    (tmp_path / "bar").mkdir()
    (tmp_path / "bar" / "sitecustomize.py").write_text(BARRED)
    there = under_jax | {
        "PYTHONPATH": f"{tmp_path / 'bar'}:{under_jax['PYTHONPATH']}",
        "LCC_CACHE": str(tmp_path / "there"),
        "LCC_RUNS": str(tmp_path / "runs-there"),
    }
    command = [sys.executable, "-m", "lcc_utils.cli", "away", "compute", str(parcel)]
    command += ["--out", str(tmp_path / "out"), "--seconds", "600", "--jobs", "1"]
    done = subprocess.run(command, env=there, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    record = json.loads((tmp_path / "out" / "away.json").read_text())
    assert record["backend"] == "jax"
    assert "tensorflow" not in record["versions"]
    assert record["missing"] == []
    # The networks alone, each once, in the order of the studies asked for, then of seeds.
    assert [(row["study"], row["seed"]) for row in record["done"]] == [
        ("first", 0), ("first", 1), ("other", 0), ("other", 0),
    ]  # fmt: skip

    run = open_run(str(kept_apart), run="home")
    taken, left = take_home(tmp_path / "out" / RESULTS, run.folder)
    assert (len(taken), left) == (4, [])
    assert take_home(tmp_path / "out" / RESULTS, run.folder) == ([], [])
    results = run.gather()
    assert {own.variant for study in results.missing.values() for own in study} == {
        "logistic regression"
    }
    assert all(len(one.predictions) for study in ("first", "other") for one in results[study])


def test_the_pixels_that_arrive_are_the_pixels_that_left(kept_apart, tmp_path, monkeypatch):
    parcel = _parcel(kept_apart, tmp_path / "parcel", ("other",))
    config = load_config(str(kept_apart))
    cells = open_cells(config, None, False)
    monkeypatch.setenv("LCC_CACHE", str(tmp_path / "there"))
    found = open_parcel(parcel)
    assert [one.variant for one in found.experiments] == [
        "small network", "lower rate", "whole frame",
    ]  # fmt: skip
    for crop in (300, 450):
        there = PixelCache(found.cells, 32, crop)
        here = PixelCache(cells, 32, crop, cache_dir=tmp_path / "again")
        assert there.path.name == here.path.name
        assert np.array_equal(there.array, here.array)
    names = ("other, whole", "other, lower")
    assert [one.variant for one in in_order(found.experiments, names)] == [
        "whole frame", "lower rate", "small network",
    ]  # fmt: skip
    # What differs in rate or in cells alone is compiled once.
    assert len(parcel_networks(parcel)) == 1


def test_a_part_that_is_missing_or_damaged_is_named(kept_apart, tmp_path):
    parcel = _parcel(kept_apart, tmp_path / "parcel", ("first",))
    pixels = sorted(parcel.glob("pixels-*.zip"))
    content = pixels[0].read_bytes()
    pixels[0].write_bytes(content[:-1])
    with pytest.raises(DataError, match=rf"{pixels[0].name} is damaged"):
        open_parcel(parcel)
    pixels[0].unlink()
    with pytest.raises(DataError, match=rf"lacks {pixels[0].name}"):
        compute_parcel(parcel, tmp_path / "out", 60, 1, tmp_path / "runs")


def test_a_parcel_of_a_version_that_plans_otherwise_is_refused(kept_apart, tmp_path):
    parcel = _parcel(kept_apart, tmp_path / "parcel", ("first",))
    listed = json.loads((parcel / "parcel.json").read_text())
    listed["keys"][0] = "0" * 16
    (parcel / "parcel.json").write_text(json.dumps(listed))
    with pytest.raises(RequestError, match="another version"):
        open_parcel(parcel)
    record = compute_parcel(parcel, tmp_path / "out", 60, 1, tmp_path / "there")
    assert all("another version" in own["reason"] for own in record["missing"])


def test_when_the_time_is_over_what_is_not_whole_is_missing(kept_apart, tmp_path):
    parcel = _parcel(kept_apart, tmp_path / "parcel", ("first",))
    record = compute_parcel(parcel, tmp_path / "out", 0, 1, tmp_path / "there")
    assert record["done"] == []
    assert {own["reason"] for own in record["missing"]} == {"the time was over"}
    assert (tmp_path / "out" / RESULTS).is_file()


def test_results_that_are_damaged_or_of_another_run_are_named(kept_apart, tmp_path):
    run = open_run(str(kept_apart), run="home")
    with pytest.raises(RequestError, match="is no file"):
        take_home(tmp_path / RESULTS, run.folder)
    (tmp_path / RESULTS).write_bytes(b"PK half of it")
    with pytest.raises(DataError, match="damaged"):
        take_home(tmp_path / RESULTS, run.folder)
    from lcc_utils.pipeline.packs import write_pack

    other = tmp_path / "0123456789abcdef"
    other.mkdir()
    for name in ("experiment.json", "predictions.csv", "history.csv", "origin.json"):
        (other / name).write_text("{}")
    write_pack(tmp_path / RESULTS, [other])
    with pytest.raises(RequestError, match="plans none of the 1 experiments"):
        take_home(tmp_path / RESULTS, run.folder)


def test_a_study_that_trains_no_network_is_refused(kept_apart, tmp_path):
    config = load_config(str(kept_apart), {"model.backbone": "cell_area"})
    config = config.model_copy(update={"studies": {"none": config.studies["first"].model_copy(
        update={"variants": {"cell area": {}}})}})  # fmt: skip
    with pytest.raises(RequestError, match="No network is trained in none"):
        make_parcel(config, open_cells(config, None, False), ("none",), tmp_path / "p", 10**6)
    with pytest.raises(RequestError, match="has no study 'third'"):
        make_parcel(config, open_cells(config, None, False), ("third",), tmp_path / "p", 10**6)
