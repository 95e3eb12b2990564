"""What a run leaves: whole files, stable keys, digests that notice a changed byte."""

from __future__ import annotations

import json
import os
import shutil
import zipfile

import pandas as pd
import pytest

from lcc_utils.errors import DataError
from lcc_utils.pipeline import provenance, store
from lcc_utils.pipeline.packs import experiment_folders, write_pack
from lcc_utils.pipeline.plan import experiment_key
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
    "key": "k", "study": "training", "variant": "full", "seed": 0, "data_digest": "d",
    "split": {
        "name": "fold 0 to 1", "protocol": "official", "digest": "s", "train": 1,
        "validation": 1, "test": 2, "subjects": {"train": 1, "validation": 1, "test": 2},
    },
    "settings": {"pixels": {"size": 32}}, "model": {}, "metrics": {},
}  # fmt: skip


ORIGIN = {"seconds": 1.5, "hardware": {"cores": 2}}


def test_canonical_json_does_not_depend_on_order():
    assert canonical({"b": [1, 2.5], "a": None}) == '{"a":null,"b":[1,2.5]}'
    assert canonical({"a": None, "b": [1, 2.5]}) == canonical({"b": [1, 2.5], "a": None})


def test_the_key_is_stable_and_follows_what_changes_a_result():
    base = ("d" * 16, "s" * 16, {"pixels": {"size": 32}}, 0)
    # Committed on purpose: a change here makes every stored result unknown.
    assert experiment_key(*base) == "bce950b693e1fc58"
    others = [
        ("x" * 16, *base[1:]),
        (base[0], "x" * 16, *base[2:]),
        (*base[:2], {"pixels": {"size": 33}}, 0),
        (*base[:3], 1),
    ]
    assert len({experiment_key(*values) for values in [base, *others]}) == 5


def test_predictions_are_sorted_and_scores_have_nine_digits(tmp_path):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY, ORIGIN)
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


@pytest.mark.parametrize("name", ["predictions.csv", "history.csv", "experiment.json"])
def test_a_changed_byte_is_noticed(tmp_path, name):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY, ORIGIN)
    path = tmp_path / "k" / name
    old, new = ('"seed": 0', '"seed": 1') if name == "experiment.json" else ("0.", "1.")
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=rf"{name} is not the file that the experiment wrote"):
        read_experiment(tmp_path / "k")


def test_a_missing_or_damaged_file_is_named(tmp_path):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY, ORIGIN)
    (tmp_path / "k" / "history.csv").unlink()
    with pytest.raises(DataError, match="history"):
        read_experiment(tmp_path / "k")
    (tmp_path / "k" / "experiment.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_experiment(tmp_path / "k")


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY, ORIGIN)
    before = {p.name: p.read_bytes() for p in (tmp_path / "k").iterdir()}
    real = store.write_atomic

    def full(path, content):
        if path.name == "history.csv":
            raise DataError("disk full")
        return real(path, content)

    monkeypatch.setattr(store, "write_atomic", full)
    with pytest.raises(DataError, match="disk full"):
        write_experiment(tmp_path / "k", RECORD, PREDICTIONS.head(1), HISTORY, ORIGIN)
    with pytest.raises(DataError, match="disk full"):
        write_experiment(tmp_path / "new", RECORD, PREDICTIONS, HISTORY, ORIGIN)
    assert [p.name for p in tmp_path.iterdir()] == ["k"]
    assert {p.name: p.read_bytes() for p in (tmp_path / "k").iterdir()} == before


def test_a_second_writer_of_the_same_key_changes_nothing(tmp_path):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY, ORIGIN)
    before = json.loads((tmp_path / "k" / "experiment.json").read_text())
    write_experiment(tmp_path / "k", {**RECORD, "epochs": 9}, PREDICTIONS, HISTORY, ORIGIN)
    assert json.loads((tmp_path / "k" / "experiment.json").read_text()) == before


def test_when_and_where_it_ran_is_kept_apart_from_what_it_gave(tmp_path):
    write_experiment(tmp_path / "k", RECORD, PREDICTIONS, HISTORY, ORIGIN)
    write_experiment(tmp_path / "l", RECORD, PREDICTIONS, HISTORY, {**ORIGIN, "seconds": 99})
    names = {path.name for path in (tmp_path / "k").iterdir()}
    assert names == {"experiment.json", "predictions.csv", "history.csv", "origin.json"}
    for name in names:
        same = (tmp_path / "k" / name).read_bytes() == (tmp_path / "l" / name).read_bytes()
        assert same == (name != "origin.json")
    assert json.loads((tmp_path / "k" / "origin.json").read_text()) == ORIGIN


def packed(tmp_path, name="study.zip"):
    """Two experiments in a pack, beside one in a directory of its own."""
    for key in ("a", "b", "c"):
        record = {**RECORD, "key": key}
        write_experiment(tmp_path / key, record, PREDICTIONS, HISTORY, ORIGIN)
    experiments = tmp_path / "experiments"
    experiments.mkdir(exist_ok=True)
    write_pack(experiments / name, [tmp_path / "b", tmp_path / "a"])
    shutil.copytree(tmp_path / "c", experiments / "c", dirs_exist_ok=True)
    return experiments


def test_a_pack_holds_the_same_experiments(tmp_path):
    found = experiment_folders(packed(tmp_path))
    assert list(found) == ["c", "a", "b"]
    for key, folder in found.items():
        result = read_experiment(folder)
        assert result.record == read_experiment(tmp_path / key).record
        assert csv_text(result.predictions) == csv_text(read_experiment(tmp_path / key).predictions)
        assert csv_text(result.history) == csv_text(HISTORY)


def test_a_pack_is_the_same_bytes_for_the_same_files(tmp_path):
    first = (packed(tmp_path) / "study.zip").read_bytes()
    for path in tmp_path.glob("[ab]/*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
    assert (packed(tmp_path, "again.zip") / "again.zip").read_bytes() == first


@pytest.mark.parametrize("name", ["predictions.csv", "experiment.json"])
def test_a_changed_file_in_a_pack_is_named(tmp_path, name):
    experiments = packed(tmp_path)
    path = tmp_path / "a" / name
    path.write_text(path.read_text().replace("0", "7", 1))
    write_pack(experiments / "study.zip", [tmp_path / "a", tmp_path / "b"])
    found = experiment_folders(experiments)
    with pytest.raises(DataError, match=rf"study\.zip/a/{name} is not the file that the exp"):
        read_experiment(found["a"])
    assert read_experiment(found["b"]).key == "b"


@pytest.mark.parametrize("name", ["predictions.csv", "experiment.json"])
def test_a_damaged_file_in_a_pack_is_named(tmp_path, name):
    pack = packed(tmp_path) / "study.zip"
    with zipfile.ZipFile(pack) as whole:
        start = whole.getinfo(f"a/{name}").header_offset + 30 + len(f"a/{name}")
    content = bytearray(pack.read_bytes())
    for place in range(start, start + 20):
        content[place] ^= 0xFF
    pack.write_bytes(content)
    found = experiment_folders(pack.parent)
    with pytest.raises(DataError, match=rf"study\.zip/a/{name} is"):
        read_experiment(found["a"])
    assert read_experiment(found["b"]).key == "b"


def test_a_pack_that_is_cut_off_is_named(tmp_path):
    pack = packed(tmp_path) / "study.zip"
    pack.write_bytes(pack.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"study\.zip is damaged"):
        experiment_folders(pack.parent)


@pytest.mark.parametrize(
    "told, name",
    [
        ("A Brand", "A Brand (family 26, model 2)"),
        ("A Brand 9B14 @ 2.6GHz", "A Brand 9B14 @ 2.6GHz"),
        ("unknown", "what the platform says"),
    ],
)
def test_a_processor_that_tells_its_brand_alone_is_named_by_family_and_model(
    tmp_path, monkeypatch, told, name
):
    one = f"processor\t: 0\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: {told}\nflags\t\t: a b\n"
    (tmp_path / "cpuinfo").write_text(f"{one}power management:\n\n{one}")
    monkeypatch.setattr(provenance.platform, "processor", lambda: "what the platform says")
    assert provenance._cpu_name(tmp_path / "cpuinfo") == name
