"""What a run leaves: whole files, stable keys, digests that notice a changed byte."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from lcc_utils.errors import DataError
from lcc_utils.pipeline import store
from lcc_utils.pipeline.experiments import experiment_key
from lcc_utils.pipeline.store import (
    canonical,
    csv_text,
    read_experiment,
    write_experiment,
)

PREDICTIONS = pd.DataFrame(
    {
        "cell_id": ["b", "a", "c"],
        "patient": ["1", "H2", "3"],
        "subject": ["1", "H2", "3"],
        "label": [1, 0, 1],
        "score": [0.123456789123, 0.5, 1e-12],
        "partition": ["test", "test", "validation"],
    }
)
HISTORY = pd.DataFrame({"epoch": [1], "loss": [0.25]})
RECORD = {
    "key": "k", "study": "training", "variant": "full", "seed": 0,
    "split": {"name": "fold 0 to 1"}, "settings": {"pixels": {"size": 32}},
}  # fmt: skip


def test_canonical_json_does_not_depend_on_order():
    assert canonical({"b": [1, 2.5], "a": None}) == '{"a":null,"b":[1,2.5]}'
    assert canonical({"a": None, "b": [1, 2.5]}) == canonical({"b": [1, 2.5], "a": None})


def test_the_key_is_stable_and_follows_what_changes_a_result():
    base = ("d" * 16, "s" * 16, {"pixels": {"size": 32}}, 0)
    # Committed on purpose: a change here makes every stored result unknown.
    assert experiment_key(*base) == "2fcdee30d84dd6df"
    others = [
        ("x" * 16, *base[1:]),
        (base[0], "x" * 16, *base[2:]),
        (*base[:2], {"pixels": {"size": 33}}, 0),
        (*base[:3], 1),
    ]
    assert len({experiment_key(*values) for values in [base, *others]}) == 5


def test_predictions_are_sorted_and_scores_have_nine_digits(tmp_path):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY)
    lines = (tmp_path / "k" / "predictions.csv").read_text().splitlines()
    assert lines == [
        "cell_id,patient,subject,label,score,partition",
        "a,H2,H2,0,0.5,test",
        "b,1,1,1,0.123456789,test",
        "c,3,3,1,1e-12,validation",
    ]
    result = read_experiment(tmp_path / "k")
    assert csv_text(result.predictions) == "\n".join(lines) + "\n"
    assert result.test["cell_id"].tolist() == ["a", "b"]


@pytest.mark.parametrize("name", ["predictions.csv", "history.csv"])
def test_a_changed_byte_is_noticed(tmp_path, name):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY)
    path = tmp_path / "k" / name
    path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.raises(DataError, match=rf"{name} is not the file that the experiment wrote"):
        read_experiment(tmp_path / "k")


def test_a_missing_or_damaged_file_is_named(tmp_path):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY)
    (tmp_path / "k" / "history.csv").unlink()
    with pytest.raises(DataError, match="history"):
        read_experiment(tmp_path / "k")
    (tmp_path / "k" / "experiment.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_experiment(tmp_path / "k")


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY)
    before = {p.name: p.read_bytes() for p in (tmp_path / "k").iterdir()}
    real = store.write_atomic

    def full(path, content):
        if path.name == "history.csv":
            raise DataError("disk full")
        return real(path, content)

    monkeypatch.setattr(store, "write_atomic", full)
    with pytest.raises(DataError, match="disk full"):
        write_experiment(tmp_path / "k", RECORD, PREDICTIONS.head(1), HISTORY)
    with pytest.raises(DataError, match="disk full"):
        write_experiment(tmp_path / "new", RECORD, PREDICTIONS, HISTORY)
    assert [p.name for p in tmp_path.iterdir()] == ["k"]
    assert {p.name: p.read_bytes() for p in (tmp_path / "k").iterdir()} == before


def test_a_second_writer_of_the_same_key_changes_nothing(tmp_path):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY)
    before = json.loads((tmp_path / "k" / "experiment.json").read_text())
    write_experiment(tmp_path / "k", {**RECORD, "seconds": 9}, PREDICTIONS, HISTORY)
    assert json.loads((tmp_path / "k" / "experiment.json").read_text()) == before
