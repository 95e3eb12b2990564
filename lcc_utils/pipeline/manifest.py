"""One list of SHA-256 digests over all files of a run, or of the published edition.

The list is text that ``sha256sum --check`` reads: a digest, two spaces and a path on each line,
sorted by path, with line feeds alone. It is written last. Its own digest identifies every file.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError

__all__ = [
    "MANIFEST", "Scope", "digest_of", "listing", "of_edition", "of_run", "problems", "sign",
]  # fmt: skip

MANIFEST = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (\S(?:.*\S)?)")
_SHOWN = 5
_SYSTEM = ("Thumbs.db", "desktop.ini", "__pycache__")
_RUN = """\
# SHA-256 of every file of this run. Left out: this list, names that begin with a dot, logs, locks,
# trained weights, and the folder book, which is built from these files.
# To check it: sha256sum --check SHA256SUMS in this folder, or lcc verify.
"""
_EDITION = """\
# SHA-256 of every file of the published edition. Left out: this list, names that begin with a dot,
# results/bench/tiny, which only shows that benchmarks run, and book/index.md, which prints the
# digest of this list; lcc verify makes that page again.
# To check it: sha256sum --check results/SHA256SUMS in the root of the repository, or lcc verify.
"""


@dataclass(frozen=True)
class Scope:
    """The files that one manifest covers.

    Attributes
    ----------
    base
        The folder that paths in the manifest are relative to.
    manifest
        Where the manifest lies.
    places
        Files and folders below `base`.
    left_out
        A regular expression for the paths of files and folders that are not covered, beside those
        whose names begin with a dot.
    head
        Comment lines at the top of the manifest.
    """

    base: Path
    manifest: Path
    places: tuple[str, ...]
    left_out: str
    head: str

    def digests(self, replaced: Mapping[Path, Path] | None = None) -> dict[str, str]:
        """Return the SHA-256 of each file by its path, sorted.

        Parameters
        ----------
        replaced
            Files and folders that are about to be replaced, to what replaces them; a replacement
            that does not exist means that the place will be empty.
        """
        found = {self._name(path): path for place in self.places for path in self._files(place)}
        for target, new in (replaced or {}).items():
            own = self._name(target)
            found = {n: p for n, p in found.items() if n != own and not n.startswith(f"{own}/")}
            for path in [new] if new.is_file() else sorted(new.rglob("*")):
                place = target / path.relative_to(new)
                if path.is_file() and self._is_covered(place) and self._lies_within(place):
                    found[self._name(place)] = path
        return {name: _sha256(found[name]) for name in sorted(found)}

    def _files(self, place: str) -> Iterator[Path]:
        top = self.base / place
        if top.is_file():
            yield top
        for folder, inner, names in os.walk(top):
            own = Path(folder)
            inner[:] = [name for name in inner if self._is_covered(own / name)]
            for name in names:
                if self._is_covered(own / name) and (own / name).is_file():
                    yield own / name

    def _is_covered(self, path: Path) -> bool:
        if path == self.manifest or path.name.startswith(".") or path.name in _SYSTEM:
            return False
        return not re.fullmatch(self.left_out, self._name(path))

    def _lies_within(self, path: Path) -> bool:
        return any(path.is_relative_to(self.base / place) for place in self.places)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.base).as_posix()


def of_run(folder: Path) -> Scope:
    """Return what the manifest of a run covers: its folder without what can be made again."""
    left_out = r"(book|logs|weights)|.*\.(log|lock|keras|npz)"
    return Scope(folder, folder / MANIFEST, (".",), left_out, _RUN)


def of_edition(repo: Path) -> Scope:
    """Return what the manifest of the published edition covers, in and beside ``results/``.

    Pages that are written by hand are not of the edition: they show no result.
    """
    pages = ("edition.json", "model_card.md", "reporting.md", "speed.md")
    places = ("results", "book/chapters", "models/small", *(f"book/{page}" for page in pages))
    return Scope(
        repo, repo / "results" / MANIFEST, places, re.compile("results/bench/tiny"), _EDITION
    )


def listing(scope: Scope, replaced: Mapping[Path, Path] | None = None) -> str:
    """Return the text of the manifest; `replaced` as in :meth:`Scope.digests`.

    Raises
    ------
    DataError
        If a file has a name that cannot stand on a line, or cannot be read.
    """
    lines = []
    for name, digest in scope.digests(replaced).items():
        line = f"{digest}  {name}"
        if not _LINE.fullmatch(line) or not _is_text(name):
            raise DataError(f"{str(scope.base / name)!a} has a name that no list holds; rename it.")
        lines.append(line)
    return scope.head + "\n".join(lines) + "\n"


def sign(scope: Scope) -> str:
    """Write the manifest, whole or not at all, and return its own SHA-256; see :func:`listing`."""
    write_atomic(scope.manifest, listing(scope))
    return digest_of(scope.manifest)


def digest_of(manifest: Path) -> str:
    """Return the SHA-256 of a manifest itself; empty where there is none."""
    return _sha256(manifest) if manifest.is_file() else ""


def problems(scope: Scope) -> list[str]:
    """Compare all files with the manifest; return one sentence for each kind of difference."""
    try:
        listed = _read(scope.manifest)
    except DataError as error:
        return [str(error)]
    present = scope.digests()
    own = scope.manifest.name
    kinds = {
        f"Files differ from {own}": [n for n in listed if present.get(n, listed[n]) != listed[n]],
        f"Files of {own} are missing": [name for name in listed if name not in present],
        f"Files are not in {own}": [name for name in present if name not in listed],
    }
    return [f"{kind}: {_some(names)}." for kind, names in kinds.items() if names]


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise DataError(f"{path} is missing, so nothing says which files belong together.")
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); restore it.") from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        if line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match or match[2] in found:
            raise DataError(
                f"{path}, line {number}: it is not a digest and a path, once each. Restore it."
            )
        found[match[2]] = match[1]
    return found


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    shown = (name.encode("utf-8", "replace").decode() for name in names[:_SHOWN])
    return ", ".join(shown) + more


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return name.isprintable()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
