"""What ``make`` does with environments of other Pythons, and with settings of the user's shell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ANEW = "-m venv --clear .venv\n"
INSTALL = "install --require-hashes --requirement requirements/run.txt"


def make(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=os.environ | variables, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def checkout(root, tmp_path) -> Path:
    """A checkout with a whole environment, without packages."""
    folder = tmp_path / "one place"
    folder.mkdir()
    shutil.copy(root / "Makefile", folder)
    (folder / "requirements").mkdir()
    for name in ("run", "gpu", "book"):
        (folder / "requirements" / f"{name}.txt").write_text("")
    venv = [sys.executable, "-m", "venv", "--without-pip", ".venv"]
    subprocess.run(venv, cwd=folder, check=True)
    (folder / ".venv" / "ready").touch()
    return folder


def steps(folder: Path, *arguments: str) -> str:
    return make(folder, "--dry-run", "test", *arguments).stdout


def test_a_whole_environment_is_kept(checkout):
    assert INSTALL not in steps(checkout)
    assert INSTALL not in steps(checkout, f"PYTHON={sys.executable}")


def test_a_newer_lock_is_installed_into_the_same_environment(checkout):
    later = time.time() + 60
    os.utime(checkout / "requirements" / "run.txt", (later, later))
    assert INSTALL in steps(checkout)
    assert ANEW not in steps(checkout)


def test_another_python_makes_the_environment_anew(checkout, tmp_path):
    other = tmp_path / "python3.13"
    other.write_text(
        '#!/bin/sh\ncase "$2" in *base_prefix*) echo 3.13.9 /elsewhere;; '
        f'*) exec "{sys.executable}" "$@";; esac\n'
    )
    other.chmod(0o755)
    assert f"{other} -I {ANEW}" in steps(checkout, f"PYTHON={other}")


def test_an_environment_that_is_not_whole_is_made_anew(checkout):
    (checkout / ".venv" / "ready").unlink()
    assert ANEW in steps(checkout)


def test_an_environment_without_its_python_is_made_anew(checkout):
    for path in (checkout / ".venv" / "bin").glob("python*"):
        path.unlink()
    assert ANEW in steps(checkout)


def test_an_environment_of_another_folder_is_made_anew(checkout):
    moved = checkout.rename(checkout.with_name("another place"))
    assert ANEW in steps(moved)


@pytest.mark.parametrize("python", ["false", "no-such-python"])
def test_a_python_that_does_not_fit_is_refused_and_nothing_is_lost(checkout, python):
    done = make(checkout, "test", f"PYTHON={python}")
    assert done.returncode == 2
    assert f"{python} is no Python 3.11, 3.12 or 3.13" in done.stderr
    assert (checkout / ".venv" / "ready").exists()


def test_settings_of_the_shell_stay_out_and_the_way_to_a_registry_stays(checkout):
    (checkout / "show.mk").write_text("show:\n\t@env\n")
    out = {
        "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_DEPS", "PIP_CONSTRAINT",
        "PYTHONPATH", "PYTHONHOME", "PYTHONINSPECT", "PYTHONOPTIMIZE", "PYTHONUSERBASE",
    }  # fmt: skip
    kept = {
        "PIP_FIND_LINKS", "PIP_CERT", "PIP_PROXY", "PIP_CONFIG_FILE", "HTTPS_PROXY",
        "SSL_CERT_FILE", "PIP_" + "INDEX_" + "URL",
    }  # fmt: skip
    given = dict.fromkeys(out | kept, "/given") | {"PIP_USER": "1"}
    done = make(checkout, "-f", "Makefile", "-f", "show.mk", "show", **given)
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert out & seen.keys() == set()
    assert {name for name in kept if seen.get(name) != "/given"} == set()
    assert seen["PIP_USER"] == "0"
    assert INSTALL not in make(checkout, "--dry-run", "test", **given).stdout


@pytest.mark.parametrize("data", ["~/cells", "~/my  cells", "/a/~/b", "b ~/c"])
def test_the_sign_of_the_home_directory_is_expanded(checkout, data):
    done = make(checkout, "--dry-run", "cpu", f"DATA={data}", HOME="/home of mine")
    expanded = data.replace("~", "/home of mine", 1) if data.startswith("~") else data
    assert f"lcc run cpu --data '{expanded}' --resume" in done.stdout


@pytest.mark.parametrize(
    "data", ["/a$b", "/a`id`", '/a"b', "/it's", "/a;b", "/$(shell id)", "/a#b"]
)
def test_a_path_reaches_the_command_as_it_was_written(checkout, data):
    done = make(checkout, "--dry-run", "cpu", f"DATA={data}")
    command = next(line for line in done.stdout.splitlines() if "lcc run cpu" in line)
    assert shlex.split(command)[-2] == data
