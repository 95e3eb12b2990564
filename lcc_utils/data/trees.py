"""The one walk of a tree of files: what lies below a folder, and what is left out and why.

Every command that takes a folder comes through here, so that all see the same files. Links are
followed; hidden files and those of operating systems are left out; what is left out is named.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lcc_utils.text import printable

__all__ = ["Below", "below", "in_groups"]

SYSTEM = "system file"
HIDDEN = "hidden file"
_NAMED = 3
_SYSTEM_FILES = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
_SYSTEM_FOLDERS = {"__macosx", "$recycle.bin", "system volume information", ".spotlight-v100"}


@dataclass
class Below:
    """The files below a folder, and what was left out.

    Attributes
    ----------
    files
        Every file once, sorted by name within its folder; the folder's own files come before
        those of the folders in it.
    left_out
        ``(path, reason)`` of hidden and system files and folders, and of files and folders that
        are reached a second time by a link.
    unreadable
        ``(path, reason)`` of folders whose content is not known.
    """

    files: list[Path] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def below(root: str | os.PathLike[str], suffixes: tuple[str, ...] = ()) -> Below:
    """List every file below a folder, each real file and folder once.

    A folder whose name ends like that of a file looked for, with one of some suffixes, is listed
    too: it cannot be the file that it says it is. A link to a folder is followed, unless it leads
    to that folder itself, to one above it, or to one that was reached before. Links are followed
    last, so that what lies in the tree is listed where it lies.
    """
    found, top = Below(), os.path.realpath(root)
    seen: set[str] = set()
    waiting, links = [(Path(root), top)], deque[tuple[Path, bool]]()
    while waiting or links:
        if not waiting:
            waiting += _followed(*links.popleft(), top, seen, found)
            continue
        folder, real = waiting.pop()
        if real in seen:
            found.left_out.append((str(folder), "folder reached before by a link"))
            continue
        seen.add(real)
        try:
            entries = _entries(folder)
        except OSError as error:
            found.unreadable.append((str(folder), f"folder not readable ({error.strerror})"))
            continue
        for entry in reversed(entries):
            path, is_folder = folder / entry.name, _is_folder(entry)
            if reason := _aside(entry.name, is_folder):
                found.left_out.append((str(path), reason))
            elif entry.is_symlink():
                links.append((path, is_folder))
            elif is_folder:
                waiting.append((path, os.path.join(real, entry.name)))  # noqa: PTH118
            else:
                seen.add(os.path.join(real, entry.name))  # noqa: PTH118
                found.files.append(path)
            if is_folder and not reason and path.name.lower().endswith(suffixes):
                found.files.append(path)
    found.files.sort(key=_place)
    return found


def _place(path: Path) -> list[tuple[bool, str]]:
    """Return what sorts a folder's own files before those of the folders in it."""
    *folders, name = path.parts
    return [*((True, folder) for folder in folders), (False, name)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _followed(
    link: Path, is_folder: bool, top: str, seen: set[str], found: Below
) -> list[tuple[Path, str]]:
    """Put what a link leads to where it belongs; return the folder that is to be listed, if one."""
    real = os.path.realpath(link)
    if is_folder and f"{top}{os.sep}".startswith(real.rstrip(os.sep) + os.sep):
        found.left_out.append((str(link), "link to a folder above it"))
    elif is_folder:
        return [(link, real)]
    elif real in seen:
        found.left_out.append((str(link), "file reached before by a link"))
    else:
        seen.add(real)
        found.files.append(link)
    return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or one into a folder that is closed
        return False


def _aside(name: str, is_folder: bool) -> str:
    """Return why a name is not looked at; empty when it is."""
    lower = name.lower()
    if is_folder:
        if lower in _SYSTEM_FOLDERS:
            return "system folder"
        return "hidden folder" if name.startswith(".") else ""
    if lower in _SYSTEM_FILES or name.startswith("._"):
        return SYSTEM
    return HIDDEN if name.startswith(".") else ""


def in_groups(
    left_out: Sequence[tuple[str, str]], root: str | os.PathLike[str] = ""
) -> list[tuple[str, str]]:
    """Return what was left out as one ``(how many and which, reason)`` for each reason.

    Parameters
    ----------
    left_out
        ``(path, reason)``.
    root
        Paths below it are named relative to it.

    Examples
    --------
    >>> in_groups([("a/b.gif", "not an image"), ("a/c", "not an image")], "a")
    [('2 files (b.gif, c)', 'not an image')]
    """
    groups: dict[str, list[str]] = {}
    for path, reason in left_out:
        near = path.removeprefix(os.fspath(root)).lstrip(os.sep) if root else path
        groups.setdefault(reason, []).append(printable(near))
    return [(_counted(names), reason) for reason, names in groups.items()]


def _counted(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    kind = "file" if len(names) == 1 else "files"
    return f"{len(names):,} {kind} ({', '.join(names[:_NAMED])}{more})"
