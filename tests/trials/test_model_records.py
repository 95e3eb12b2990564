"""Hostile and damaged model directories: refused before anything is scored, and no code runs."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import shutil
import stat
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcc_utils.cli import main
from lcc_utils.errors import DataError, LccError
from lcc_utils.nn.archive import inspect_archive
from lcc_utils.pipeline import predict
from lcc_utils.pipeline.model_files import LoadedModel, read_record
from lcc_utils.pipeline.store import record_digest


@pytest.fixture(scope="module")
def small(root) -> Path:
    return root / "models" / "small"


@pytest.fixture
def own(small, tmp_path) -> Path:
    """A model directory that a test may spoil."""
    return Path(shutil.copytree(small, tmp_path / "model"))


def signed(folder: Path, values: dict) -> None:
    """Write ``model.json`` with digests that are true, as somebody would who forges it."""
    names = values["files"] if isinstance(values.get("files"), dict) else {}
    files = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in names
        if (folder / name).is_file()
    }
    values = {**values, "files": files}
    values["digest"] = record_digest(values)
    (folder / "model.json").write_text(json.dumps(values))


def changed(folder: Path, place: str, value: object) -> None:
    values = json.loads((folder / "model.json").read_text())
    inner = values
    *parents, last = place.split(".")
    for name in parents:
        inner = inner[int(name) if isinstance(inner, list) else name]
    inner[int(last) if isinstance(inner, list) else last] = value
    signed(folder, values)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "place, value",
    [
        ("novelty.energy", NAN),
        ("novelty.energy", INF),
        ("novelty.energy", None),
        ("novelty.distance", INF),
        ("novelty.distance", -1.0),
        ("novelty.residual", 0.0),
        ("novelty.variances.3", -0.1),
        ("novelty.variances.3", NAN),
        ("novelty.mean.0", NAN),
        ("novelty.mean.0", -INF),
        ("novelty.mean", []),
        ("novelty.axes", []),
        ("novelty.axes.1.2", INF),
        ("novelty.axes.1", [1.0]),
        ("calibration.temperature", NAN),
        ("calibration.temperature", INF),
        ("calibration.temperature", 0),
        ("calibration.temperature", 1e-300),
        ("calibration.shift", NAN),
        ("thresholds.decision", NAN),
        ("thresholds.unsure_low", 0.9),
        ("thresholds.unsure_high", 0.1),
        ("thresholds.decision", 0.99),
        ("thresholds.decision", 1.5),
        ("training", {}),
        ("training", []),
        ("training.dataset", ""),
        ("training.seed", "x"),
        ("measured.0.value", 1.2),
        ("measured.0.value", NAN),
        ("measured.0.low", 0.95),
        ("measured.0.low", None),
        ("measured.0.name", 7),
        ("measured", {}),
        ("size", 0),
        ("size", 10**9),
        ("crop", -1),
        ("views", 3),
        ("classes", ["ALL", "HEM"]),
        ("versions", []),
        ("versions.python", 3),
        ("name", ""),
        ("extra", 1),
    ],
)
def test_a_value_that_cannot_be_is_refused_and_its_field_is_named(own, place, value):
    changed(own, place, value)
    field = place.split(".")[0]
    with pytest.raises(DataError, match=rf"model\.json: {field}"):
        read_record(own)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"format": 1, "training": ' + '{"a":' * 900 + "1" + "}" * 900 + "}",
        '{"format": 1, "format": 1}',
        "[]",
        "null",
        "",
        '{"format": 1',
        '{"format": 1e999}',
        "\x00",
    ],
)
def test_a_file_that_is_no_record_is_refused_before_images_are_read(own, tmp_path, capsys, text):
    (own / "model.json").write_text(text)
    (tmp_path / "cell.png").write_bytes(b"no image")
    arguments = ["predict", str(own), str(tmp_path / "cell.png"), "--out", str(tmp_path / "out")]
    assert main(arguments) in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith("lcc: ")
    assert "model.json" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=4),
    st.sampled_from([[], {}, [[]], {"a": {}}]),
)


def places(values: object, at: tuple = ()) -> list[tuple]:
    inner = values.items() if isinstance(values, dict) else enumerate(values)
    found = []
    for name, own in inner:
        found.append((*at, name))
        if isinstance(own, dict | list) and len(found) < 400:
            found += places(own, (*at, name))
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_mutated_record_is_sound_or_refused_with_one_of_our_errors(small, tmp_path, data):
    folder = tmp_path / "model"
    if not folder.exists():
        shutil.copytree(small, folder)
    values = json.loads((small / "model.json").read_text())
    values["novelty"] |= {"mean": [0.1, 0.2], "axes": [[0.6, 0.8]], "variances": [0.5]}
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(places(values)))
        inner = values
        for name in parents:
            inner = inner[name]
        if data.draw(st.booleans()):
            inner[last] = data.draw(VALUES)
        else:
            del inner[last]
    signed(folder, values)
    try:
        record = read_record(folder)
    except LccError:
        return
    limits, novelty = record.thresholds, record.novelty
    assert 0 <= limits.unsure_low <= limits.decision <= limits.unsure_high <= 1
    assert np.isfinite([*novelty.mean, *novelty.variances, novelty.energy, novelty.distance]).all()
    assert np.isfinite([record.calibration.temperature, record.calibration.shift]).all()
    assert all(0 <= own.value <= 1 for own in record.measured)
    assert record.training["dataset"]


def test_a_distance_that_is_no_number_is_not_taken_for_one_below_its_limit(own):
    record = read_record(own)
    novelty = {"mean": [1e308, -1e308], "axes": [[0.6, 0.8]], "variances": [0.5]}
    novel = record.novelty.model_copy(update=novelty)
    network = SimpleNamespace(predict_on_batch=lambda _: (np.zeros((1, 2)), np.zeros((1, 2))))
    model = LoadedModel(record.model_copy(update={"novelty": novel}), network, None)
    with pytest.raises(DataError, match="distances that are not finite"):
        predict._judged(model, [np.zeros((4, 4, 3), "float32")], 1)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.integers(0, 10**6), piece=st.binary(max_size=4))
def test_mutated_bytes_of_an_archive_are_refused_or_harmless(small, tmp_path, place, piece):
    content = bytearray((small / "model.keras").read_bytes())
    content[place % len(content)] ^= 0xFF
    content[place % len(content) : place % len(content) + 3] = piece
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with contextlib.suppress(LccError):
        inspect_archive(path)


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def layer(module: object, name: str, config: object, **more: object) -> dict:
    return {"module": module, "class_name": name, "config": config, **more}


def named(archive: dict, *layers: dict) -> dict:
    config = json.loads(archive["config.json"])
    config["config"]["layers"] += layers
    return archive | {"config.json": json.dumps(config).encode()}


def weights(archive: dict, change) -> dict:
    data = io.BytesIO(archive["model.weights.h5"])
    with h5py.File(data, "r+") as file:
        change(file)
    return archive | {"model.weights.h5": data.getvalue()}


def dense(**more: object) -> dict:
    return layer("keras.layers", "Dense", {"units": 2}, **more)


HOSTILE = {
    "a lambda layer": lambda a, t: named(a, layer("keras.layers", "Lambda", {"function": "x"})),
    "a lambda function": lambda a, t: named(
        a, dense(build_config=layer("builtins", "__lambda__", {"value": "4wEA"}))
    ),
    "a function": lambda a, t: named(a, layer("builtins", "function", "eval")),
    "a system call": lambda a, t: named(a, layer("os", "system", f"touch {t}")),
    "a subprocess": lambda a, t: named(a, layer("subprocess", "Popen", {"args": f"touch {t}"})),
    "a custom module": lambda a, t: named(a, layer("trap", "Dense", {"units": 2})),
    "a module that is a list": lambda a, t: named(a, layer(["os"], "system", "x")),
    "a class that is a mapping": lambda a, t: named(
        a, {"class_name": {"a": 1}, "config": {}, "module": "os"}
    ),
    "a registered name of another": lambda a, t: named(a, dense(registered_name="trap>Layer")),
    "a registered name that is a list": lambda a, t: named(a, dense(registered_name=["x"])),
    "a class in an argument": lambda a, t: named(
        a, layer("keras.layers", "Dense", {"activation": layer("trap", "run", {})})
    ),
    "a file loader": lambda a, t: named(
        a, layer("keras.layers", "TFSMLayer", {"filepath": str(t)})
    ),
    "a class of its own package": lambda a, t: named(
        a, layer("lcc_utils.cli", "main", {}, registered_name="lcc_utils>main")
    ),
    "deep nesting": lambda a, t: a | {"config.json": b'{"a":' * 100_000 + b"1"},
    "no configuration": lambda a, t: a | {"config.json": b"[]"},
    "a pickle": lambda a, t: a | {"assets/data.pkl": pickle.dumps(Trap(t))},
    "a pickle as weights": lambda a, t: a | {"model.weights.h5": pickle.dumps(Trap(t))},
    "a pickle as configuration": lambda a, t: a | {"config.json": pickle.dumps(Trap(t))},
    "a path upwards": lambda a, t: a | {"../../trace": b"x"},
    "an absolute path": lambda a, t: a | {str(t): b"x"},
    "a path with backslashes": lambda a, t: a | {"..\\trace": b"x"},
    "a module beside": lambda a, t: a | {"keras.py": f"open({str(t)!r}, 'w')".encode()},
    "an external link": lambda a, t: weights(
        a, lambda f: f.update({"elsewhere": h5py.ExternalLink(str(t), "/x")})
    ),
    "a soft link": lambda a, t: weights(a, lambda f: f.update({"soft": h5py.SoftLink("/x")})),
    "a group within itself": lambda a, t: weights(a, lambda f: f.update({"again": f["/"]})),
    "external storage": lambda a, t: weights(
        a, lambda f: f.create_dataset("out", (8,), "u1", external=[(str(t), 0, 8)])
    ),
    "a weight of a terabyte": lambda a, t: weights(
        a,
        lambda f: f.create_dataset("big", (2**40,), "u1", chunks=(2**20,), compression="gzip"),
    ),
    "a bomb": lambda a, t: a | {"metadata.json": b" " * 60_000_000},
    "cut off": lambda a, t: a | {"model.weights.h5": a["model.weights.h5"][:5000]},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_and_none_of_its_code_runs(
    own, tmp_path, capsys, monkeypatch, kind
):
    monkeypatch.chdir(tmp_path)
    trace = tmp_path / "trace"
    trap = f"open({str(trace)!r}, 'w')\nclass Dense: pass\nclass Layer: pass\ndef run(): pass\n"
    (tmp_path / "trap.py").write_text(trap)
    monkeypatch.syspath_prepend(str(tmp_path))
    with zipfile.ZipFile(own / "model.keras") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files = HOSTILE[kind](files, trace)
    with zipfile.ZipFile(own / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    refused_whole(own, tmp_path, capsys)
    assert not trace.exists()
    assert not (tmp_path.parent / "trace").exists()


def refused_whole(own: Path, tmp_path: Path, capsys) -> None:
    """Sign a model directory, and expect ``lcc predict`` to refuse it in one paragraph."""
    signed(own, json.loads((own / "model.json").read_text()))
    (tmp_path / "cell.png").write_bytes(b"no image")
    out = tmp_path / "out"
    assert main(["predict", str(own), str(tmp_path / "cell.png"), "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("lcc: ")
    assert "model.keras" in said
    assert "Traceback" not in said
    assert not out.exists()


def test_an_archive_with_a_link_or_a_file_twice_is_refused(own, tmp_path, capsys):
    with zipfile.ZipFile(own / "model.keras") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    link = zipfile.ZipInfo("config.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for first, content in ((link, b"/etc/passwd"), ("config.json", files["config.json"])):
        with zipfile.ZipFile(own / "model.keras", "w") as archive:
            for name, data in files.items():
                if name != "config.json":
                    archive.writestr(name, data)
            archive.writestr(first, content)
            if first == "config.json":
                with pytest.warns(UserWarning, match="Duplicate"):
                    archive.writestr("config.json", content)
        refused_whole(own, tmp_path, capsys)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_the_model_that_comes_along_passes(small):
    assert read_record(small).name == "small network"
    inspect_archive(small / "model.keras")


def test_a_network_that_may_not_be_read_is_named(own, monkeypatch):
    opened = os.open

    def refuse(path, *more, **options):
        if str(path).endswith("model.keras"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *more, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DataError, match=r"model\.keras cannot be read: permission denied"):
        read_record(own)
