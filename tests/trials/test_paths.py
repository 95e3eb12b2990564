"""Paths that people type: the home directory, what is no path, and where results may go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lcc_utils.cli import main
from lcc_utils.data.cache import cache_dir
from lcc_utils.data.check import check
from lcc_utils.data.paths import user_path, writable_folder
from lcc_utils.data.photographs import list_images
from lcc_utils.errors import RequestError
from lcc_utils.pipeline.cells import open_cells
from lcc_utils.pipeline.config import load_config
from lcc_utils.pipeline.run import runs_dir


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "home"
    (folder / "cells").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_a_tilde_is_the_home_directory_wherever_a_path_is_taken(home, monkeypatch, capsys):
    (home / "cells" / "a.png").write_bytes(b"x")
    assert user_path("~/cells") == home / "cells"
    assert list_images(["~/cells"]).files == [str(home / "cells" / "a.png")]
    for name, place in (("LCC_CACHE", cache_dir), ("LCC_RUNS", runs_dir)):
        monkeypatch.setenv(name, "~/cells")
        assert place() == home / "cells"
    # What is said is of the folder that was meant: it is there, and holds no cells.
    with pytest.raises(RequestError, match=f"{home}/cells holds no cells"):
        check("~/cells")
    with pytest.raises(RequestError, match=f"{home}/cells holds no cells"):
        open_cells(load_config("cpu", {}), "~/cells", False)
    assert main(["data", "check", "~/cells"]) == 2
    assert f"{home}/cells holds no cells" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "  ", "a\0b", 7, None, ["a"]])
def test_what_is_no_path_is_refused_in_a_sentence(text):
    with pytest.raises(RequestError, match="--data"):
        user_path(text, "--data")


def test_an_unknown_user_is_left_for_the_file_system_to_refuse():
    assert user_path("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")


def refused(folder: Path, says: str, **how) -> None:
    before = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else None
    with pytest.raises(RequestError, match=says):
        writable_folder(folder, **how)
    if before is not None:
        assert sorted(folder.parent.iterdir()) == before


def test_an_output_folder_is_refused_before_the_work(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("kept")
    refused(file, "is not a folder")
    refused(file / "below", "cannot be written into")
    refused(tmp_path / ("n" * 300), "cannot be written into")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    refused(tmp_path / "dangling", "is not a folder")
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    refused(tmp_path / "out", "holds a folder report.html", files=["report.html"])
    refused(tmp_path / "out", "exists; name another folder", new=True)
    refused(tmp_path / ("n" * 240), "cannot be written into", new=True)

    def read_only(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("lcc_utils.data.paths.tempfile.TemporaryFile", read_only)
    refused(tmp_path / "new", "Read-only file system")
    assert file.read_text() == "kept"


def test_a_folder_that_can_be_made_is_taken_and_not_made_yet(tmp_path):
    place = tmp_path / "a" / "b"
    assert writable_folder(place, files=["x"]) == place
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_to_write_is_refused(tmp_path):
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o500)
    refused(shut, "Permission denied")


def test_predict_refuses_its_output_before_it_loads_or_scores(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "out").write_text("kept")
    monkeypatch.setattr("lcc_utils.pipeline.predict.load_model_dir", lambda _: 1 / 0)
    monkeypatch.setattr("lcc_utils.pipeline.predict.list_images", lambda _: 1 / 0)
    arguments = ["predict", "models/small", str(tmp_path / "a.png"), "--out"]
    assert main([*arguments, str(tmp_path / "out")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    (tmp_path / "dir" / "predictions.csv").mkdir(parents=True)
    assert main([*arguments, str(tmp_path / "dir")]) == 2
    assert "holds a folder predictions.csv" in capsys.readouterr().err
