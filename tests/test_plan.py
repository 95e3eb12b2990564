"""Plans: who validates, which seeds, which cells make the key, and what is taken over."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lcc_utils.data.cnmc import data_digest
from lcc_utils.errors import DataError, RequestError
from lcc_utils.evaluation.metrics import choose_threshold
from lcc_utils.pipeline import experiments, learners
from lcc_utils.pipeline.config import RunConfig
from lcc_utils.pipeline.experiments import run_experiment
from lcc_utils.pipeline.plan import make_plan
from lcc_utils.pipeline.reuse import reuse
from lcc_utils.pipeline.store import experiment_folders, read_experiment, write_pack


def made(hem: dict[int, int], all_: int = 6, cells: int = 8) -> pd.DataFrame:
    """Cells of `all_` ALL subjects and the given number of HEM subjects in each fold."""
    rows = []
    for fold, count in hem.items():
        people = [(f"H{fold}{n}", 0) for n in range(count)]
        people += [(f"{fold}{n}", 1) for n in range(all_)]
        rows += [
            (f"UID_{who}_{n}", label, who, fold) for who, label in people for n in range(cells)
        ]
    table = pd.DataFrame(rows, columns=["cell_id", "label", "subject", "fold"])
    table = table.assign(patient=table["subject"], phase="train", pixel_sha256=table["cell_id"])
    table.attrs = {"dataset": "synthetic", "label": "synthetic cells"}
    return table


def config(splits: list[dict], variants: dict | None = None, **study) -> RunConfig:
    return RunConfig.model_validate(
        {
            "profile": "made",
            "dataset": {"source": "synthetic"},
            "pixels": {"size": 32},
            "model": {"backbone": "small_cnn"},
            "training": {"epochs": 3, "batch": 16},
            "studies": {"one": {"splits": splits, "variants": variants or {"full": {}}, **study}},
        }
    )


REGRESSION = {"logistic regression": {"model.backbone": "logistic_regression"}}
OFFICIAL = [
    {"protocol": "official", "train_folds": [0], "test_fold": 1},
    {"protocol": "official", "train_folds": [1], "test_fold": 0},
]


def planned(cells: pd.DataFrame, *args, **study) -> list:
    return make_plan(config(*args, **study), cells, data_digest(cells)).experiments["one"]


def test_a_fold_that_cannot_hold_two_subjects_out_chooses_out_of_fold():
    # Fold 0 has five HEM subjects, of whom two validate; fold 1 has two, and both train.
    there, back = planned(made({0: 5, 1: 2}), OFFICIAL)
    assert (there.settings.out_of_fold, back.settings.out_of_fold) == (False, True)
    assert "inner" not in there.settings.relevant()["training"]
    assert back.settings.relevant()["training"]["inner"] == 3
    assert (len(there.split.validation) > 0, back.split.validation) == (True, ())
    assert back.work == 3 * there.settings.training.epochs * len(back.split.train)


def test_one_subject_of_a_class_is_refused_before_training():
    cells = made({0: 5, 1: 1})
    plan = make_plan(config(OFFICIAL), cells, data_digest(cells))
    assert [own.split.name for own in plan.experiments["one"]] == ["fold 0 to 1"]
    message = r"HEM has 1 subject\(s\) to train and validate \(H10\), but it takes two"
    assert len(plan.refused) == 1
    with pytest.raises(RequestError, match=message):
        planned(cells, OFFICIAL[1:])
    # Splits by image hold cells out, not subjects: what chooses out of fold is refused there too.
    few = made({0: 1})
    assert planned(few, [{"protocol": "image"}])
    with pytest.raises(RequestError, match=message.replace("H10", "H00")):
        planned(few, [{"protocol": "image"}], REGRESSION)


def test_training_seeds_repeat_each_part_and_leave_it_as_it_is():
    cells = made({0: 6, 1: 6})
    split = {"protocol": "kfold", "folds": 2}
    own = planned(cells, [split], {"full": {}, **REGRESSION}, seeds=2, training_seeds=3)
    networks = [e for e in own if e.variant == "full"]
    assert [(e.split.seed, e.seed) for e in networks if "part 1" in e.split.name] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2),
    ]  # fmt: skip
    assert len({e.split.digest for e in networks}) == 4
    assert len({e.key for e in networks}) == 12
    # Models on features take the first training seed alone.
    assert [(e.split.seed, e.seed) for e in own if e.variant != "full"] == [(0, 0)] * 2 + [
        (1, 0)
    ] * 2
    alone = planned(cells, [split], seeds=2)
    assert [(e.split.seed, e.seed) for e in alone] == [(0, 0)] * 2 + [(1, 1)] * 2
    assert {e.key for e in alone} <= {e.key for e in networks}


def test_cells_of_other_folds_change_no_key_of_a_split_that_names_its_folds():
    cells = made({0: 6, 1: 6, 2: 6})
    small = cells[cells["fold"] < 2]
    named = {"protocol": "kfold", "folds": 2, "train_folds": [0, 1]}
    keys = [[e.key for e in planned(own, [*OFFICIAL, named])] for own in (cells, small)]
    assert keys[0] == keys[1]
    assert {e.data_digest for e in planned(cells, [named])} == {data_digest(small)}
    whole = [[e.key for e in planned(own, [{"protocol": "kfold"}])] for own in (cells, small)]
    assert not set(whole[0]) & set(whole[1])


@pytest.fixture
def features(monkeypatch):
    """Two measured numbers of each cell, of which one tells the classes apart."""

    def table(cells, **_):
        rng = np.random.default_rng(0)
        return np.column_stack([cells["label"] + rng.normal(0, 0.6, len(cells))] * 2)

    monkeypatch.setattr("lcc_utils.classical.features.feature_table", table)


class Line:
    """A model that draws no line, and notes on whom it was trained."""

    parameters = 1
    trained: list[np.ndarray] = []  # noqa: RUF012

    def __init__(self, features: np.ndarray) -> None:
        Line.trained.append(features[:, 0])

    def scores(self, features: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-features[:, 0]))


def test_a_model_on_features_chooses_on_scores_of_models_without_the_subject(
    features, monkeypatch, tmp_path
):
    cells = made({0: 5, 1: 2})
    Line.trained = []
    monkeypatch.setattr(learners, "fit_classical", lambda _name, own, *_: Line(own))
    monkeypatch.setattr(experiments, "evaluate_result", lambda _: {})
    there, back = planned(cells, OFFICIAL, REGRESSION)
    run_experiment(back, cells, tmp_path)
    # Two HEM subjects give two parts; each inner model lacks one part; the last is trained on all.
    train = len(back.split.train)
    assert train == 64
    assert [len(own) for own in Line.trained] == [32, 32, 64]
    assert not set(Line.trained[0]) & set(Line.trained[1])
    result = read_experiment(tmp_path / "experiments" / back.key)
    assert sorted(result.validation["cell_id"]) == list(back.split.fitting)
    assert result.record["selection"] == {"by": "out_of_fold", "inner": 3}
    assert result.record["split"]["subjects"] == {
        "train": 8, "validation": 0, "test": 11, "fitted": 8,
    }  # fmt: skip
    # Of the other direction the subjects that were held out train too.
    run_experiment(there, cells, tmp_path)
    result = read_experiment(tmp_path / "experiments" / there.key)
    subjects = result.record["split"]["subjects"]
    assert subjects["fitted"] == subjects["train"] + subjects["validation"] == 11
    assert result.validation["subject"].nunique() == 11


def test_the_threshold_follows_from_the_out_of_fold_scores(features, tmp_path):
    cells = made({0: 5, 1: 2})
    (experiment,) = planned(cells, OFFICIAL[1:], REGRESSION)
    run_experiment(experiment, cells, tmp_path)
    result = read_experiment(tmp_path / "experiments" / experiment.key)
    assert result.metrics["threshold"] == choose_threshold(result.validation)
    assert result.metrics["val_hem_subjects"] == 2
    assert 0.2 < result.metrics["threshold"] < 0.8


def test_experiments_of_another_run_are_taken_over_as_they_are(features, tmp_path):
    cells = made({0: 5, 1: 2})
    own = planned(cells, OFFICIAL, REGRESSION)
    for experiment in own:
        run_experiment(experiment, cells, tmp_path / "old")
    old = tmp_path / "old" / "experiments"
    write_pack(old / "one.zip", [old / own[0].key])
    shutil.rmtree(old / own[0].key)
    keys = [experiment.key for experiment in own]
    new = tmp_path / "new"
    assert reuse(new, [*keys, "0" * 16], cells, tmp_path / "old") == 2
    assert reuse(new, keys, cells, tmp_path / "old") == 0
    found = experiment_folders(new / "experiments")
    assert set(found) == set(keys)
    for name in ("origin.json", "predictions.csv"):
        assert (found[keys[1]] / name).read_bytes() == (old / keys[1] / name).read_bytes()
    read_experiment(found[keys[0]])


def test_an_experiment_of_other_subjects_or_damaged_is_not_taken_over(features, tmp_path: Path):
    cells = made({0: 5, 1: 2})
    (experiment,) = planned(cells, OFFICIAL[1:], REGRESSION)
    run_experiment(experiment, cells, tmp_path / "old")
    renamed = cells.assign(subject=cells["subject"].replace("H10", "H1"))
    assert reuse(tmp_path / "new", [experiment.key], renamed, tmp_path / "old") == 0
    path = tmp_path / "old" / "experiments" / experiment.key / "predictions.csv"
    path.write_text(path.read_text().replace("H10", "H99"))
    with pytest.raises(DataError, match=r"predictions\.csv is not the file"):
        reuse(tmp_path / "new", [experiment.key], cells, tmp_path / "old")
