"""Experiments of a run by key: directories, and archives that hold many of them."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lcc_utils.errors import DataError
from lcc_utils.pipeline.store import DAMAGED, EXPERIMENT_FILES, MOST_BYTES, Folder

__all__ = ["experiment_folders", "packed_experiments", "write_pack"]

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def experiment_folders(experiments: Path) -> dict[str, Folder]:
    """Return every experiment below a folder by key: directories, and those in packs.

    Raises
    ------
    DataError
        If a pack is no whole archive, or an experiment is there twice.
    """
    found: dict[str, Folder] = {}
    for path in sorted(experiments.glob("*")):
        own: dict[str, Folder] = {}
        if path.suffix == ".zip":
            own = packed_experiments(path)
        elif path.is_dir() and not path.name.startswith("."):
            own = {path.name: path}
        if twice := sorted(own.keys() & found.keys()):
            raise DataError(f"Experiment {twice[0]} is in {path} and again in {found[twice[0]]}.")
        found |= own
    return found


def packed_experiments(path: Path) -> dict[str, Folder]:
    """Return the experiments in a pack by key."""
    if not path.is_file():
        raise DataError(f"{path} is no file; restore it.")
    try:
        pack = zipfile.ZipFile(path)
    except (OSError, *DAMAGED) as error:
        raise DataError(f"{path} is damaged ({error}); restore it.") from error
    names = pack.namelist()
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path} holds {twice[0]} twice; restore it.")
    if large := [own.filename for own in pack.infolist() if own.file_size > MOST_BYTES]:
        raise DataError(f"{path} holds {large[0]}, which is far too large; restore it.")
    keys = {name.partition("/")[0] for name in names}
    return {key: zipfile.Path(pack, f"{key}/") for key in sorted(keys)}


def write_pack(path: Path, folders: Iterable[Path]) -> None:
    """Write experiments into one zip archive: the same bytes for the same files.

    A study of hundreds of experiments would be thousands of files in the repository.
    """
    with zipfile.ZipFile(path, "w") as pack:
        for folder in sorted(folders):
            for name in EXPERIMENT_FILES:
                entry = zipfile.ZipInfo(f"{folder.name}/{name}", date_time=_ZIP_EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                pack.writestr(entry, (folder / name).read_bytes(), compresslevel=9)
