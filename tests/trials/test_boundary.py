"""Errors that nothing foresees end in one paragraph; machines without a home or with odd Keras."""

from __future__ import annotations

import json
import pwd
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from lcc_utils import cli
from lcc_utils.data.cache import cache_dir
from lcc_utils.errors import DataError, RequestError
from lcc_utils.nn import keras_file
from lcc_utils.nn.keras_file import backend_name, check_keras, keras_home
from lcc_utils.pipeline import boundary, executors, provenance


class Unspeakable(Exception):
    """An error whose message cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A run, as far as the command line looks at it."""
    monkeypatch.setenv("LCC_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LCC_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "runs" / "one"
    path.mkdir(parents=True)
    (path / "run.json").write_text("{}")
    return path


ERRORS = [
    (KeyError("seconds"), "KeyError: 'seconds'"),
    (OSError(28, "No space left on device", "/x/y"), "The disk of /x/y is full"),
    (OSError(30, "Read-only file system", "/x/y"), "Read-only file system; make it accessible"),
    (shutil.Error([("/a/b", "/x/b", "No space left")] * 50), "50 files could not be copied, the"),
    (FileNotFoundError(2, "No such file or directory", "/x/gone"), "/x/gone: No such file or"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "UnicodeDecodeError: "),
    (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), "UnicodeEncodeError: "),
    (RecursionError("maximum recursion depth"), "nested too deeply"),
    (OverflowError("too large"), "OverflowError: too large"),
    (MemoryError(), "Out of memory; lower training.batch"),
    (ZeroDivisionError(), "ZeroDivisionError: no message"),
    (ValueError("first\nsecond"), "ValueError: first. The full"),
    (RuntimeError("x" * 9999), "RuntimeError: xxx"),
    (Unspeakable(), "Unspeakable: no message"),
    (ExceptionGroup("several", [ValueError("a")]), "ExceptionGroup: several"),
]


@pytest.mark.parametrize("error, said", ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
def test_any_error_is_one_paragraph_with_its_traceback_in_a_log_of_the_run(
    folder, monkeypatch, capsys, error, said
):
    def fail(*_):
        raise error

    monkeypatch.setattr("lcc_utils.pipeline.verify.verify", fail)
    assert cli.main(["verify", "one"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("lcc: ")
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert len(shown.err) < 1000
    [log] = (folder / "logs").iterdir()
    assert f"The full report is in {log}." in shown.err
    assert "Traceback (most recent call last)" in log.read_text()
    assert "in fail" in log.read_text()


def test_expected_errors_keep_their_own_sentence_and_code(folder, monkeypatch, capsys):
    for error, code in ((RequestError("No."), 2), (DataError("Broken."), 1)):
        monkeypatch.setattr("lcc_utils.pipeline.verify.verify", lambda *_, e=error: raise_(e))
        assert cli.main(["verify", "one"]) == code
        assert capsys.readouterr().err == f"lcc: {error}\n"
    assert not (folder / "logs").exists()


def test_expected_errors_need_no_report(folder):
    assert boundary.explained(DataError("Broken."), folder) == "Broken."
    assert not (folder / "logs").exists()


def raise_(error):
    raise error


def test_without_a_run_the_report_goes_into_the_cache_and_else_into_a_temporary_folder(
    folder, tmp_path, monkeypatch
):
    error = KeyError("x")
    assert f"is in {tmp_path / 'cache' / 'logs'}/error-" in boundary.explained(error)
    assert f"is in {tmp_path / 'cache' / 'logs'}/error-" in boundary.explained(error, Path("/no"))
    # A file stands where the folder would be.
    (folder / "logs").write_text("")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LCC_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert f"is in {tmp_path}/error-" in boundary.explained(error, folder)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    said = boundary.explained(error, folder)
    assert said.startswith("KeyError: 'x'. The full report could not be kept: ")
    assert str(folder / "logs") in said


def test_a_worker_that_fails_around_its_experiment_gives_a_reason(folder, monkeypatch):
    def gone(*_):
        raise FileNotFoundError(2, "No such file or directory", "/x/gone")

    monkeypatch.setattr(executors, "_cells", gone)
    place = SimpleNamespace(cells=None, digest="", folder=folder)
    key, reason = executors._remote(SimpleNamespace(key="k"), place)
    assert key == "k"
    assert reason.startswith("/x/gone: No such file or directory.")
    [log] = (folder / "logs").iterdir()
    assert str(log) in reason


# --- no home directory ---


@pytest.fixture
def homeless(monkeypatch):
    def nobody(_):
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "LCC_CACHE", "KERAS_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_without_a_home_a_temporary_one_is_made_and_said(homeless, monkeypatch, capsys):
    seen = []

    def look(path, **_):
        seen.append((Path.home(), cache_dir(), keras_home()))
        return SimpleNamespace(faulty=False, to_text=lambda: "fine")

    monkeypatch.setattr("lcc_utils.data.check.check", look)
    assert cli.main(["data", "check", "x"]) == 0
    shown = capsys.readouterr()
    [(home, cache, keras)] = seen
    assert (cache, keras) == (home / ".cache" / "lcc", home / ".keras")
    assert not home.exists()
    assert shown.out == "fine\n"
    assert shown.err.startswith("lcc: there is no home directory")
    assert f"{home} takes its place" in shown.err
    assert "LCC_CACHE and KERAS_HOME" in shown.err
    with pytest.raises(RuntimeError):
        Path.home()


def test_without_a_home_the_library_names_the_variable(homeless, monkeypatch, tmp_path):
    with pytest.raises(RequestError, match="set LCC_CACHE to a folder"):
        cache_dir()
    assert keras_home().name == ".keras"
    monkeypatch.setenv("LCC_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path


# --- Keras' own settings ---


@pytest.fixture
def keras_json(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name in ("KERAS_BACKEND", "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(
        keras_file.importlib.util, "find_spec", lambda name: None if name == "torch" else name
    )
    return tmp_path / "keras.json"


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\xff", "is not JSON"),
        ("[1]", "holds no settings of Keras"),
        ('{"backend": "theano"}', "backend in .*keras.json is 'theano'"),
        ('{"backend": ["jax"]}', "backend in .*keras.json is"),
        ('{"backend": "torch"}', "is 'torch' and torch is not installed here"),
        ('{"floatx": "float8"}', "keras.json sets floatx to 'float8'"),
        ('{"floatx": []}', "keras.json sets floatx to"),
        ('{"image_data_format": "odd"}', "keras.json sets image_data_format to 'odd'"),
        ('{"epsilon": 1}', "keras.json sets epsilon to 1"),
        ('{"epsilon": "a"}', "keras.json sets epsilon to 'a'"),
    ],
    ids=lambda value: value[:30],
)
def test_a_file_of_keras_that_does_not_serve_is_named(keras_json, text, message):
    keras_json.write_text(text, encoding="latin-1")
    with pytest.raises(RequestError, match=message):
        check_keras()


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("KERAS_BACKEND", "torch", "The variable KERAS_BACKEND is 'torch' and torch is not"),
        ("KERAS_BACKEND", "numpy", "networks are trained with tensorflow, jax, torch"),
        ("KERAS_BACKEND", "../x", r"The variable KERAS_BACKEND is '\.\./x'"),
        ("KERAS_MAX_EPOCHS", "1", "KERAS_MAX_EPOCHS is set"),
    ],
)
def test_a_variable_of_keras_that_does_not_serve_is_named(
    keras_json, monkeypatch, capsys, name, text, message
):
    monkeypatch.setenv(name, text)
    with pytest.raises(RequestError, match=message):
        check_keras()
    assert cli.main(["run", "demo"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_settings_of_keras_that_serve_are_taken(keras_json, monkeypatch):
    for text in ("", "{}", json.dumps({"floatx": "float32", "epsilon": 1e-7, "backend": "jax"})):
        keras_json.write_text(text)
        check_keras()
    assert backend_name() == provenance.backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert backend_name() == provenance.backend() == "tensorflow"
    keras_json.unlink()
    monkeypatch.setenv("KERAS_BACKEND", "")
    assert backend_name() == "tensorflow"
