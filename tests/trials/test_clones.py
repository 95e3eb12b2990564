"""The repository in clones of other machines: with other line ends, or without symbolic links."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from lcc_utils.pipeline import manifest
from lcc_utils.pipeline.book_reporting import toc_files
from lcc_utils.pipeline.model_files import read_record


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        pytest.skip(f"needs a git checkout: {done.stderr.strip()[:200]}")
    return done.stdout


def cloned(root: Path, to: Path, *settings: str) -> Path:
    """Clone the last commit of the repository under other settings of git."""
    options = [word for setting in settings for word in ("-c", setting)]
    git(root, *options, "clone", "--quiet", "--shared", *options, str(root), str(to))
    return to


def test_every_file_is_checked_out_byte_by_byte(root):
    attributes = git(root, "ls-files", "--eol")
    assert attributes
    assert [line for line in attributes.splitlines() if "attr/-text" not in line] == []


def test_no_tracked_file_is_a_link(root):
    listed = git(root, "ls-files", "-s").splitlines()
    assert [line for line in listed if line.startswith("120000")] == []
    for name in ("_config.yml", "_toc.yml"):
        assert (root / name).read_bytes() == (root / "book" / name).read_bytes()


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.symlinks=false"])
def test_a_clone_holds_the_same_bytes(root, tmp_path, setting):
    clone = cloned(root, tmp_path / "clone", setting, "core.eol=crlf")
    named = git(clone, "ls-files", "-z").split("\0")[:-1]
    assert len(named) > 1000
    committed = dict(
        reversed(line.split(maxsplit=3)[1::2]) for line in git(clone, "ls-files", "-s").splitlines()
    )
    there = git(clone, "hash-object", "--no-filters", *named).split()
    assert [name for name, own in zip(named, there, strict=True) if committed[name] != own] == []
    assert read_record(clone / "models" / "small").name == "small network"
    if not git(root, "status", "--porcelain", "results", "book", "models"):
        assert manifest.problems(manifest.of_edition(clone)) == []
    contents = yaml.safe_load((clone / "book" / "_toc.yml").read_text(encoding="utf-8"))
    pages = [name for name in toc_files(contents) if not name.startswith("autoapi/")]
    assert len(pages) > 20
    assert [n for n in pages if not list((clone / "book").glob(f"{n}.*"))] == []
    shutil.rmtree(clone)
