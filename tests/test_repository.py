"""What holds for the repository as a whole: its files, locks, commands and promises."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from lcc_utils.cli import main

LOCKS = ("run", "book", "gpu")
IMAGE_SUFFIXES = {".bmp", ".tif", ".tiff", ".jpg", ".jpeg"}
# The README's commands that need real cells or a GPU, with what `make` or `lcc` does for them.
NEEDS_DATA = {
    "make cpu DATA=/path/to/C-NMC": ".venv/bin/lcc run cpu --data",
    "make paper DATA=/path/to/C-NMC": ".venv-gpu/bin/lcc run paper --data",
    ".venv/bin/lcc data check /path/to/C-NMC": ".venv/bin/lcc data check",
    ".venv/bin/lcc predict models/small --out runs/predicted /path/to/cells": (
        ".venv/bin/lcc predict models/small --out runs/predicted"
    ),
}


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def tracked(root):
    """Every file that git keeps or would keep."""
    listing = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=root)
    if listing.returncode:
        pytest.skip("needs a git checkout")
    paths = {root / name for name in listing.stdout.split("\0") if name}
    return sorted(path for path in paths if path.is_file())


def readme_commands(root: Path) -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", (root / "README.md").read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def make_targets(root: Path) -> set[str]:
    return set(re.search(r"^\.PHONY: (.+)$", (root / "Makefile").read_text(), re.M)[1].split())


def locked(root: Path, lock: str) -> dict[str, str]:
    text = (root / "requirements" / f"{lock}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,-]+\])?==([^\s;\\]+)", text, re.M))


def test_no_file_names_a_registry_or_a_folder_of_one_machine(tracked):
    # Written in parts, so that this file does not contain what it looks for.
    secrets = [
        "pypi" + r"\.org",
        "python" + "hosted",
        "anaconda" + r"\.(com|org)",
        "/" + r"(?<![\w.:]/)(home|Users|root|work|opt|mnt)/[\w.-]+",
        r"index-(?<!\windex-)" + "url",
        r"find-(?<!\wfind-)" + "links",
    ]
    # One at a time: a pattern that begins with fixed text is searched for fast.
    patterns = [re.compile(secret) for secret in secrets]
    named = []
    for path in tracked:
        if "mathjax" in path.parts:
            continue
        text = path.read_bytes().decode("utf-8", errors="ignore")
        text = text.replace("--no-emit-index-" + "url", "").replace("--no-emit-find-" + "links", "")
        named += [f"{path.name}: {match[0]}" for one in patterns for match in one.finditer(text)]
    assert not named


def test_no_file_is_larger_than_ten_megabytes(tracked):
    assert [path.name for path in tracked if path.stat().st_size > 10_000_000] == []


def test_no_cell_image_is_kept(tracked):
    cell = re.compile(r"UID_H?\d+_\d+_\d+_(all|hem)", re.IGNORECASE)
    images = [path.name for path in tracked if path.suffix.lower() in IMAGE_SUFFIXES]
    cells = [path.name for path in tracked if cell.search(path.name)]
    assert images + cells == []


def test_imports_go_one_way(root):
    lint_imports = Path(sys.executable).with_name("lint-imports")
    result = run(str(lint_imports), "--no-cache", cwd=root)
    assert "0 broken" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0


def test_importing_the_package_loads_no_framework(root):
    code = "import sys, lcc_utils; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    result = run(sys.executable, "-c", code, cwd=root)
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split())
    assert "lcc_utils" in loaded
    assert not loaded & {"tensorflow", "keras", "jax", "torch", "imgaug", "skimage", "sklearn"}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_version_has_hashes(root, lock):
    text = (root / "requirements" / f"{lock}.txt").read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert len(entries) > 50
    unhashed = [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]
    assert unhashed == []
    assert all("==" in entry.splitlines()[0] for entry in entries)


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_an_address(root, lock):
    text = (root / "requirements" / f"{lock}.txt").read_text()
    assert not re.search(r"://|file:|(?<!\S)-(?!-hash=sha256:)", text, re.M)


def test_locks_agree_with_each_other(root):
    versions = locked(root, "run")
    for lock in ("book", "gpu"):
        others = locked(root, lock)
        common = versions.keys() & others.keys()
        assert len(common) > 50
        assert {name: others[name] for name in common} == {name: versions[name] for name in common}


def test_locks_hold_what_they_promise(root):
    run_lock, book, gpu = (locked(root, lock) for lock in LOCKS)
    assert {"tensorflow-cpu", "tensorflow", "jupyter-book", "pytest"} <= run_lock.keys()
    assert "jupyter-book" in book
    assert not book.keys() & {"tensorflow", "tensorflow-cpu", "keras", "imgaug", "opencv-python"}
    assert {"tensorflow", "nvidia-cudnn-cu12"} <= gpu.keys()
    assert "torch" not in run_lock | book | gpu
    assert run_lock["opencv-python"].startswith("4.")
    assert run_lock["jupyter-book"].startswith("1.")
    assert run_lock["numpy"].startswith("2.")


def test_locks_cover_every_declared_dependency(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())
    declared = (
        project["project"]["dependencies"] + project["project"]["optional-dependencies"]["cpu"]
    )
    for group in project["dependency-groups"].values():
        declared = declared + group
    names = {re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for line in declared}
    assert names - locked(root, "run").keys() == set()


def test_conda_installs_the_lock(root):
    environment = yaml.safe_load((root / "environment.yml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert "-r requirements/run.txt" in pip
    python = next(item for item in environment["dependencies"] if str(item).startswith("python="))
    assert python.split("=")[1] in {"3.11", "3.12", "3.13"}


def test_help_lists_every_target(root):
    listed = set(re.findall(r"^make ([a-z-]+)", run("make", "help", cwd=root).stdout, re.M))
    assert listed == make_targets(root)
    assert {"book", "test", "lint", "help", "published", "cpu", "paper", "lock"} <= listed


@pytest.mark.parametrize("target", ["cpu", "gpu-parcel", "paper"])
def test_a_target_that_needs_cells_asks_for_them_before_it_installs(root, target):
    result = run("make", target, "DATA=", cwd=root)
    assert result.returncode == 2
    assert f"make {target} DATA=/path/to/C-NMC" in result.stderr
    assert "pip" not in result.stdout


def test_every_command_of_the_readme_is_run_by_ci_or_needs_data(root):
    ci = (root / ".ci" / "run").read_text().splitlines()
    commands = readme_commands(root)
    assert {"make book", "make test", "make published"} <= set(commands)
    assert [line for line in commands if line not in ci and line not in NEEDS_DATA] == []
    assert [line for line in NEEDS_DATA if line not in commands] == []


@pytest.mark.parametrize("command", [line for line in NEEDS_DATA if line.startswith("make")])
def test_a_make_command_that_needs_data_calls_lcc(root, command):
    steps = run("make", "--dry-run", *command.split()[1:], cwd=root).stdout
    assert f"{NEEDS_DATA[command]} '/path/to/C-NMC' --resume" in steps
    assert re.search(r"^\.venv\S*/bin/lcc book$", steps, re.M)


@pytest.mark.parametrize("command", NEEDS_DATA.values())
def test_an_lcc_command_of_the_readme_refuses_a_folder_without_cells(
    tmp_path, root, monkeypatch, capsys, command
):
    monkeypatch.chdir(root)
    assert main([*command.split()[1:], str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path) in said
    assert said.splitlines()[-1].startswith("lcc: ")


def test_readme_links_lead_somewhere(root):
    text = (root / "README.md").read_text()
    local = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert {"LICENSE", "LICENSE-TEXT", "CITATION.cff"} <= set(local)
    assert [link for link in local if not (root / link).exists()] == []


def test_licences_and_citation_are_stated(root):
    assert (root / "LICENSE").read_text().startswith("MIT License")
    assert "CC-BY-4.0" in (root / "LICENSE-TEXT").read_text()
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert set(citation["license"]) == {"MIT", "CC-BY-4.0"}
    text = (root / "CITATION.cff").read_text()
    assert "2601.01026" in text
    assert "10.7937/tcia.2019.dc64i46r" in text
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]


@pytest.mark.parametrize("name", ["tests", "paper", "publish"])
def test_a_workflow_only_calls_make_and_pins_its_actions(root, name):
    workflow = yaml.safe_load((root / ".github" / "workflows" / f"{name}.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    calls = [step["run"] for step in steps if "run" in step]
    assert calls
    assert [call for call in calls if not re.fullmatch(r"make [a-z]+", call)] == []
    assert {call.split()[1] for call in calls} <= make_targets(root)
    actions = [step["uses"] for step in steps if "uses" in step]
    assert [action for action in actions if not re.search(r"@v\d+", action)] == []


def test_ci_runs_the_whole_promise(root):
    ci = (root / ".ci" / "run").read_text().splitlines()
    assert {"make test", "make lint", "make book", "make published"} <= set(ci)
    assert "set -euo pipefail" in ci
