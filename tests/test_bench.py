"""Benchmarks run in their tiny form, leave their JSON, and judge ratios, not seconds."""

from __future__ import annotations

import importlib
import json
import os

import numpy as np
import pandas as pd
import pytest

from bench.accuracy import paired, summary
from bench.check import compared
from bench.check import main as check
from bench.everyday import _stages
from bench.operations import REST, kind_of
from bench.page import PAGE, page
from bench.record import RESULTS, Goal, Record
from bench.scale import Cost
from lcc_utils.evaluation.result import Result, Results
from lcc_utils.pipeline.config import load_config


@pytest.fixture
def quiet_places(tmp_path, monkeypatch):
    """Nothing that a benchmark sets in the environment stays."""
    monkeypatch.setenv("LCC_CACHE", str(tmp_path / "cache"))
    before = dict(os.environ)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


def tiny_form(name, places) -> dict:
    """Run a benchmark in its tiny form and return its file, whose form is looked at."""
    out = places / "out"
    assert importlib.import_module(f"bench.{name}").main(["--tiny", "--out", str(out)]) == 0
    found = json.loads((out / f"{name}.json").read_text())
    assert found["benchmark"] == name
    assert {"python", "numpy"} <= found["versions"].keys()
    assert found["hardware"]["cores"] >= 1
    assert all(found["tables"].values())
    assert found["ratios"]
    assert all(np.isfinite(ratio["value"]) for ratio in found["ratios"].values())
    assert str(places) not in json.dumps(found)
    return found


def test_experiments_side_by_side_take_less_than_their_sum(tmp_path):
    # The first from 0:00 to 1:00, the second from 0:30 to 1:30, the third is not there.
    plan = {"primary": [{"key": "a"}, {"key": "b"}], "search": [{"key": "b"}, {"key": "c"}]}
    (tmp_path / "run.json").write_text(json.dumps({"plan": plan, "finished": None}))
    for key, finished in (("a", "12:01:00"), ("b", "12:01:30")):
        (tmp_path / "experiments" / key).mkdir(parents=True)
        origin = {"finished": f"2026-01-01T{finished}+00:00", "seconds": 60.0}
        (tmp_path / "experiments" / key / "origin.json").write_text(json.dumps(origin))
    assert dict(_stages(tmp_path).to_numpy()) == {
        "experiments of primary": 2.0,
        "experiments of search": 0.0,
        "all experiments, first to last": 1.5,
    }


@pytest.mark.parametrize("name", ["training", "studies", "data", "everyday", "scale"])
def test_a_benchmark_runs_in_its_tiny_form_and_leaves_its_file(name, quiet_places, capsys):
    assert tiny_form(name, quiet_places)["tables"]
    assert name in capsys.readouterr().out


def test_the_profile_finds_the_layers_of_a_step(quiet_places):
    tables = tiny_form("profile", quiet_places)["tables"]
    rows = {row["layer"]: row for row in tables["One step, by kind of layer"]}
    assert {"Conv2D", "BatchNormalization", "Dense", "optimizer"} <= rows.keys()
    # Four convolutions forth, four filters and three inputs back: the images need no gradient.
    assert rows["Conv2D"]["operations"] >= 11
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1, abs=0.01)


def test_a_goal_knows_its_good_side():
    slower = Goal("warm index, s", 4.5, 3.0, "lower")
    assert not slower.reached
    assert slower.ratio == 1.5
    assert str(slower) == "short: warm index, s 4.5, wanted at most 3 (1.50 of it)"
    assert Goal("ours / ceiling", 0.97, 0.95, "higher").reached


def kept(**ratios):
    return {"ratios": {name: {"value": v, "better": b} for name, (v, b) in ratios.items()}}


def test_a_ratio_counts_as_worse_on_its_bad_side_alone():
    old = kept(share=(0.96, "higher"), overhead=(0.04, "lower"), gone=(1.0, "higher"))
    new = kept(share=(0.80, "higher"), overhead=(0.02, "lower"))
    verdicts = {row["ratio"]: row["verdict"] for row in compared(old, new, 0.15)}
    # .80 is below .96 * .85 = .816; half the overhead is no loss.
    expected = {"share": "worse", "overhead": "as before or better", "gone": "missing"}
    assert verdicts == expected
    assert compared(old, kept(share=(0.82, "higher")), 0.15)[0]["verdict"] == expected["overhead"]


@pytest.mark.parametrize("share, status", [(0.95, 0), (0.5, 1)])
def test_the_check_fails_when_a_ratio_is_worse(share, status, tmp_path):
    for folder, value in (("old", 0.96), ("new", share)):
        record = Record("training", {})
        record.ratio("ours / ceiling", value, "higher")
        record.finish(tmp_path / folder)
    places = ["--against", str(tmp_path / "old"), "--fresh", str(tmp_path / "new")]
    assert check(["training", *places]) == status


def test_the_check_says_when_there_is_nothing_to_compare(tmp_path):
    with pytest.raises(SystemExit, match="no kept measurement"):
        check(["data", "--against", str(tmp_path)])


def test_the_page_shows_goals_and_tables_and_what_was_before(tmp_path):
    for folder, value in ((tmp_path, 0.97), (tmp_path / "before", 0.8)):
        record = Record("profile", {})
        record.tables["One epoch"] = pd.DataFrame({"part": ["input | cache"], "seconds": [value]})
        record.goal("network / epoch", value, 0.95, "higher")
        record.finish(folder)
    shown = page(tmp_path)
    now, _, before = shown.partition("### The same before")
    assert "| network / epoch | 0.97 | at least 0.95 | reached |" in now
    assert "| input \\| cache | 0.8 |" in before
    assert "0.8" not in now
    assert "Of 1 goals, 1 are reached." in now


def test_the_page_lists_goals_that_are_short_and_parts_tables_by_case(tmp_path):
    record = Record("training", {})
    cases = ["96 px", "96 px", "224 px", "224 px"]
    record.tables["Rates"] = pd.DataFrame({"case": cases, "who": list("abab"), "rate": range(4)})
    record.goal("ours / ceiling", 0.97, 0.95, "higher")
    record.goal("ours / peer", 2.5, 3.0, "higher")
    record.finish(tmp_path)
    opening, section = page(tmp_path).split("## Training throughput")
    assert "Of 2 goals, 1 are reached. Short are:" in opening
    assert "| ours / peer | 2.5 | at least 3 | short |" in opening
    assert "ours / ceiling" not in opening
    assert "**Rates: 224 px**\n\n| who | rate |\n| --- | ---: |\n| a | 2 |\n| b | 3 |\n" in section


def test_profiles_augment_with_the_engine_that_the_page_names(root):
    profiles = sorted((root / "params").glob("*.yml"))
    assert len(profiles) == 4
    for path in profiles:
        assert load_config(path.stem).augmentation.engine == "keras"
        assert "imgaug" not in path.read_text(encoding="utf-8"), path


def test_the_page_of_the_book_is_made_of_the_kept_measurements():
    assert PAGE.read_text(encoding="utf-8") == page(RESULTS)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("trainer_1/logits_model_1/norm_2_1/Mul_3", "BatchNormalization"),
        ("gradient_tape/trainer_1/logits_model_1/conv_2_1/convolution/Conv2DBackprop", "Conv2D"),
        # A layer whose own name ends in a number, called once more.
        ("trainer_1/logits_model_1/conv_2/convolution", "Conv2D"),
        ("layerwise_adamw/Sub_1", "optimizer"),
        ("compile_loss/focal_loss/Pow", REST),
        ("trainer_1/convolution_2/Mul", REST),
    ],
)
def test_what_a_step_runs_is_counted_by_kind_of_layer(name, kind):
    assert kind_of(name, {"conv_2": "Conv2D", "norm_2": "BatchNormalization"}) == kind


def run_of(scores, trained=True, gamma=2.0) -> Results:
    """Results of networks that are alike but for their seeds, the loss kept where they learn."""
    settings = {"loss": {"name": "focal", "gamma": gamma}} if trained else {}
    return Results(
        {
            "ablation": [
                Result(
                    key=f"{gamma} {seed}", study="ablation", variant="full",
                    split="fold 0 to 1", seed=seed, settings=settings, read={}.get,
                    record={
                        "metrics": {"auc": score, "f1_weighted": score / 2},
                        "split": {"digest": "a"},
                    },
                )
                for seed, score in scores.items()
            ]
        }
    )  # fmt: skip


def test_the_same_experiments_of_two_runs_are_compared_by_their_key():
    before = run_of({0: 0.80, 1: 0.84, 2: 0.82, 7: 0.1})
    after = run_of({2: 0.83, 1: 0.84, 0: 0.81, 8: 0.9})
    row = summary(paired(before, after)).set_index("metric").loc["auc"]
    assert row["experiments"] == 3
    assert row["before"] == pytest.approx(0.82)
    assert row["change"] == pytest.approx(0.02 / 3, abs=1e-4)
    # Seeds are .80, .82 and .84: their standard deviation is .02.
    assert row["sd_of_seeds"] == pytest.approx(0.02)
    assert row["se_of_change"] == pytest.approx(0.01 / 3, abs=1e-4)


def test_seeds_are_compared_among_experiments_of_the_same_settings_alone():
    runs = run_of({0: 0.80, 1: 0.84}), run_of({0: 0.40, 1: 0.44}, gamma=0.0)
    both = Results({"ablation": runs[0]["ablation"], "recipe": runs[1]["ablation"]})
    row = summary(paired(both, both)).set_index("metric").loc["auc"]
    assert row["experiments"] == 4
    assert row["change"] == 0
    # .04 apart in each of two pairs: a variance of .0008, though all four lie .4 apart.
    assert row["sd_of_seeds"] == pytest.approx(0.0008**0.5, abs=1e-4)


def test_runs_that_share_no_trained_networks_are_not_compared():
    frozen = run_of({0: 0.8, 1: 0.9}, trained=False)
    for other in (run_of({}), run_of({0: 0.8}), run_of({3: 0.8, 4: 0.9}), frozen):
        with pytest.raises(SystemExit, match="share no networks"):
            summary(paired(other, run_of({0: 0.8, 1: 0.9})))


def test_iterations_are_not_divided_among_devices():
    # 10 images an epoch and 30 validated at a third of the cost: 20 images, 2 s at 10 images/s.
    cost = Cost(10.0, iterations=9, epochs=100, images=10, validated=30)
    assert cost.hours(1) == pytest.approx(9 * 200 / 3600)
    # Nine on eight devices take two rounds.
    assert cost.hours(8) == pytest.approx(2 * 200 / 3600)


@pytest.mark.parametrize("variant", ["b0", "b3"])
def test_the_peer_has_as_many_parameters_as_ours(variant):
    pytest.importorskip("torch", reason="the peer needs PyTorch, which the project does not")
    from bench.peer_network import EfficientNetV2, PaperNetwork
    from lcc_utils.nn.classifier import build_classifier, parameter_counts

    backbone = EfficientNetV2(variant)
    theirs = PaperNetwork(backbone, backbone.channels)
    count = sum(p.numel() for p in theirs.parameters())
    ours = build_classifier(f"efficientnetv2-{variant}", 64, weights="none")
    assert count == pytest.approx(parameter_counts(ours)["parameters_trainable"], rel=0.01)


def test_the_peer_trains_on_files(tmp_path):
    pytest.importorskip("torch", reason="the peer needs PyTorch, which the project does not")
    import cv2

    from bench.peer import Peer

    rng = np.random.default_rng(0)
    files = []
    for number in range(8):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 255, (90, 90, 3), dtype=np.uint8))
        files.append([str(path), number % 2])
    peer = Peer(
        {
            "backbone": "efficientnetv2-b0", "precision": "float32", "batch": 4, "workers": 0,
            "files": files, "sizes": {"small": 32},
        }
    )  # fmt: skip
    found = peer.work("small", 0.1)
    assert found["images"] == 8
    assert found["seconds"] > 0
    assert np.isfinite(found["loss"])
