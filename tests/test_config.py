"""Settings: what a profile holds, how dotted overrides change it, what is refused and how."""

from __future__ import annotations

import pytest

from lcc_utils.errors import RequestError
from lcc_utils.pipeline.config import load_config, parse_overrides


def test_the_paper_profile_states_the_papers_recipe():
    config = load_config("paper")
    assert config.model.backbone == "efficientnetv2-b3"
    assert config.model.weights == "imagenet"
    assert config.pixels.size == 384
    assert (config.loss.gamma, config.loss.alpha) == (2.0, (0.75, 0.25))
    assert (config.augmentation.policy, config.augmentation.target) == ("paper", "minority")
    training = config.training
    assert (training.batch, training.epochs, training.patience) == (8, 100, 10)
    assert (training.min_delta, training.clip_norm, training.weight_decay) == (0.002, 1.0, 1e-5)
    assert (training.schedule, training.learning_rate) == ("onecycle", 1e-3)


@pytest.mark.parametrize("profile", ["demo", "cpu", "paper"])
def test_every_profile_trains_all_combinations_of_the_three_parts(profile):
    config = load_config(profile)
    study = config.studies["ablation"]
    assert len(study.seeds) > 1
    full = config.experiment(study.settings).model_dump()
    parts = {"model": "attention", "augmentation": "augmentation", "loss": "focal loss"}
    combinations = set()
    for name, changes in study.variants.items():
        values = config.experiment(study.settings, changes).model_dump()
        changed = {part for part in values if values[part] != full[part]}
        said = {part for part in parts.values() if part in name or "all three" in name}
        assert said == {parts[part] for part in changed}
        assert (name == "full") == (not changed)
        combinations.add(frozenset(changed))
        assert values["training"]["sampling"] == "balanced"
    assert len(combinations) == len(study.variants) == 8


def test_a_number_of_seeds_counts_from_zero():
    config = load_config("demo", {"studies.ablation.seeds": 3})
    assert config.studies["ablation"].seeds == (0, 1, 2)


@pytest.mark.parametrize("protocol", ["official", "shared", "transport"])
@pytest.mark.parametrize("folds", [{"test_fold": 1}, {"train_folds": [0]}])
def test_an_official_split_without_folds_is_refused_by_name(protocol, folds):
    message = rf"studies\.ablation\.splits\.0: .*{protocol} needs train_folds and test_fold"
    with pytest.raises(RequestError, match=message):
        load_config("demo", {"studies.ablation.splits": [{"protocol": protocol, **folds}]})


def test_settings_that_cannot_change_a_result_are_not_in_it():
    config = load_config("demo")
    regression = {"model.backbone": "logistic_regression"}
    longer = config.experiment(regression, {"training.epochs": 99, "pixels.size": 96})
    assert longer.relevant() == config.experiment(regression).relevant()
    assert longer.relevant() == {
        "model": {"backbone": "logistic_regression"},
        "training": {"refit": True, "inner": 2},
    }
    frozen = config.experiment({"model.frozen": True})
    assert config.experiment({"model.frozen": True, "training.epochs": 99}).relevant() == (
        frozen.relevant()
    )
    larger = config.experiment({"model.frozen": True}, {"pixels.size": 96})
    assert frozen.relevant() != larger.relevant()
    assert config.experiment({"training.epochs": 99}).relevant()["training"]["epochs"] == 99


def test_overrides_are_dotted_and_typed():
    config = load_config("demo", {"training.epochs": 3, "studies.ablation.seeds": [4]})
    assert config.training.epochs == 3
    assert config.studies["ablation"].seeds == (4,)
    assert config.experiment({"pixels.size": 48}).pixels.size == 48
    assert parse_overrides('{"training.epochs": 3}') == {"training.epochs": 3}
    assert parse_overrides("{}") == parse_overrides(None) == {}


@pytest.mark.parametrize(
    "profile, overrides, message",
    [
        ("nope", {}, "profiles are cpu, demo, gpu, paper"),
        ("demo", {"training.epoch": 3}, r"training\.epoch: there is no such setting"),
        ("demo", {"training.epochs": "many"}, r"training\.epochs: .*valid integer"),
        ("demo", {"training.epochs": 0}, r"training\.epochs: .*greater than 0"),
        ("demo", {"pixels.size.x": 1}, r"'pixels\.size\.x' in overrides names no setting"),
        ("cpu", {"pixels.size": 16}, "at least 32 px"),
        ("demo", {"model.backbone": "resnet"}, "not known; choose one of"),
        ("demo", {"model.weights": "imagenet"}, "no ImageNet weights"),
        ("demo", {"studies.ablation.seeds": []}, "at least one is needed"),
        (
            "demo",
            {"studies.ablation.variants": {"odd": {"loss.gama": 1}}},
            r"studies\.ablation .*loss\.gama: there is no such setting",
        ),
    ],
)
def test_what_does_not_fit_is_named(profile, overrides, message):
    with pytest.raises(RequestError, match=message):
        load_config(profile, overrides)


@pytest.mark.parametrize("text", ["{", "[1]", '"x"'])
def test_overrides_that_are_no_object_are_refused(text):
    with pytest.raises(RequestError, match="overrides"):
        parse_overrides(text)


def test_a_profile_may_be_a_file_and_must_hold_settings(tmp_path, root):
    assert load_config(str(root / "tests" / "tiny.yml")).profile == "tiny"
    empty = tmp_path / "empty.yml"
    empty.write_text("")
    with pytest.raises(RequestError, match="holds no settings"):
        load_config(str(empty))
    empty.write_text("a: [")
    with pytest.raises(RequestError, match="not valid YAML"):
        load_config(str(empty))


@pytest.mark.parametrize("profile", ["demo", "cpu", "paper"])
def test_steps_divide_the_cells_of_the_primary_analysis(profile):
    studies = load_config(profile).studies
    folds = {split.train_folds for name in ("primary", "steps") for split in studies[name].splits}
    assert len(folds) == 1
