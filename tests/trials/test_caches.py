"""Caches that were changed, cut off or left by another version: made again, never used."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lcc_utils.classical.features import feature_table
from lcc_utils.data import cached, hashing, mapped, synthetic
from lcc_utils.data.check import check
from lcc_utils.data.cnmc import index
from lcc_utils.data.duplicates import find_pairs
from lcc_utils.data.images import PixelCache
from lcc_utils.data.texture import pictures
from lcc_utils.errors import DataError, RequestError
from lcc_utils.nn import lite_weights
from lcc_utils.pipeline.cells import open_cells
from lcc_utils.pipeline.config import load_config
from lcc_utils.pipeline.executors import Place, _cells
from lcc_utils.pipeline.weights import keep_weights, load_weights


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache directory, in which a file that was just written is not in doubt."""
    monkeypatch.setenv("LCC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hashing, "_IN_DOUBT_NS", -(10**12))
    return tmp_path / "cache"


def textured(seed: int) -> np.ndarray:
    """A spotted disc on black."""
    rng = np.random.default_rng(seed)
    small = rng.integers(40, 200, (45, 45, 3)).astype("uint8")
    pixels = cv2.resize(small, (450, 450), interpolation=cv2.INTER_CUBIC)
    disc = np.hypot(*(np.mgrid[:450, :450] - 225)) < 90 + 2 * seed
    return np.maximum(pixels, 1) * disc[..., None].astype("uint8")


@pytest.fixture
def tree(tmp_path) -> Path:
    root = tmp_path / "tree"
    names = ("UID_11_1_1_all", "UID_11_1_2_all", "UID_4_1_1_all", "UID_H6_1_1_hem")
    for seed, name in enumerate(names):
        path = root / "fold_0" / name[-3:] / f"{name}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(textured(seed)).save(path)
    return root


def of_index(root: Path) -> pd.DataFrame:
    return index(root)


def of_pairs(root: Path) -> pd.DataFrame:
    return find_pairs(index(root))


def of_pixels(root: Path) -> np.ndarray:
    return np.array(PixelCache(index(root), 32, 300).array)


def of_textures(root: Path) -> np.ndarray:
    return np.array(pictures(index(root)))


def of_features(root: Path) -> np.ndarray:
    return feature_table(index(root))


CACHES = {
    "index-*": of_index,
    "pairs-*": of_pairs,
    "pixels-*": of_pixels,
    "texture-*": of_textures,
    "features-*": of_features,
}


def flipped(path: Path) -> None:
    """Change the content, and let size and time of writing be what they were."""
    state = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def with_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE = {
    "a flipped bit": flipped,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "cut off in the beginning": lambda path: path.write_bytes(path.read_bytes()[:70]),
    "empty": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "of another time": lambda path: path.write_bytes(b"\x93NUMPY\1\0 and what followed"),
    "a pipe": with_a_pipe,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", CACHES)
def test_a_damaged_cache_is_made_again_with_a_line_in_the_log(name, damage, tree, cache, caplog):
    right = CACHES[name](tree)
    (kept,) = cache.glob(name)
    whole = kept.read_bytes()
    assert_equal(CACHES[name](tree), right)
    assert not caplog.records
    _tick(cache)
    DAMAGE[damage](kept)
    with caplog.at_level(logging.WARNING):
        assert_equal(CACHES[name](tree), right)
    assert f"{kept} is damaged or of another version" in caplog.text
    assert kept.read_bytes() == whole


def _tick(folder: Path) -> None:
    """Let the clock of the file system pass on: it counts in ticks of some milliseconds."""
    probe = folder / "probe"
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        threading.Event().wait(0.001)
        probe.touch()
    probe.unlink()


def assert_equal(one: pd.DataFrame | np.ndarray, other: pd.DataFrame | np.ndarray) -> None:
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
        assert one.attrs == other.attrs
    else:
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


def test_a_cache_directory_that_is_a_file_is_refused_before_anything_is_read(
    tree, cache, monkeypatch
):
    file = tree.parent / "file"
    file.touch()
    for place in (str(file), os.devnull):
        monkeypatch.setenv("LCC_CACHE", place)
        with pytest.raises(RequestError, match=rf"LCC_CACHE is {place}, which is not a folder"):
            index(tree)


@pytest.mark.parametrize("name", CACHES)
def test_a_cache_that_cannot_be_made_again_is_named(name, tree, cache):
    CACHES[name](tree)
    (kept,) = cache.glob(name)
    kept.unlink()
    kept.mkdir()
    (kept / "something").touch()
    with pytest.raises(DataError, match=f"{kept.name}.* could not be written.*LCC_CACHE"):
        CACHES[name](tree)


def test_a_cell_that_changed_after_it_was_listed_is_not_kept_under_its_old_name(tree, cache):
    cells = index(tree)
    Image.fromarray(textured(9)).save(cells["path"][1])
    for work in (lambda: PixelCache(cells, 32, 300), lambda: pictures(cells)):
        with pytest.raises(DataError, match=r"UID_11_1_2_all\.bmp was changed after"):
            work()
    with pytest.raises(DataError, match=r"UID_11_1_2_all\.bmp was changed after"):
        feature_table(cells)
    assert not [*cache.glob("*.u8"), *cache.glob("features-*.array")]


def test_a_report_of_one_patient_is_the_same_twice(tmp_path):
    path = tmp_path / "one" / "fold_0" / "all" / "UID_11_1_1_all.bmp"
    path.parent.mkdir(parents=True)
    Image.fromarray(textured(1)).save(path)
    first = check(tmp_path / "one", pixels=True)
    assert first.to_text() == check(tmp_path / "one", pixels=True).to_text()
    assert first.duplicates["near"] == 0


def test_tables_come_back_with_their_types_and_values(tmp_path):
    table = pd.DataFrame(
        {
            "text": pd.Series(["a", "", "nul\ud800", None], dtype="str"),
            "whole": pd.Series([1, None, 3, -(2**60)], dtype="Int64"),
            "number": [0.1 + 0.2, float("nan"), 1e-300, float("inf")],
            "count": [1, 2, 3, 2**62],
            "sure": [True, False, True, True],
            "any": pd.Series(["x", None, "y", "z"], dtype="object"),
        }
    )
    table.attrs = {"dataset": "synthetic", "n": 3}
    path = tmp_path / "t.table"
    cached.keep_table(path, table)
    for rows in (slice(None), slice(0)):
        cached.keep_table(path, table.iloc[rows])
        assert_equal(cached.kept_table(path), table.iloc[rows])
    assert cached.kept_table(path, {"text": "str"}) is None


def test_arrays_of_another_shape_or_type_are_not_taken(tmp_path):
    path = tmp_path / "a.array"
    array = np.arange(6, dtype="float32").reshape(2, 3)
    cached.keep_array(path, array)
    assert np.array_equal(cached.kept_array(path, "float32", (2, None)), array)
    for dtype, shape in (("float64", (2, 3)), ("float32", (3, 2)), ("float32", (6,))):
        assert cached.kept_array(path, dtype, shape) is None


def test_a_mapped_file_of_another_shape_is_made_again(tmp_path):
    path = tmp_path / "m.u8"
    for shape in ((4, 6), (6, 4), (2, 12), (0, 3)):
        found = mapped.mapped(
            path,
            shape,
            lambda n, shape=shape: np.full(shape[1:], n, "uint8"),
            title="numbers",
            progress=False,
        )
        assert found.shape == shape
        assert [row[0] for row in found] == list(range(shape[0]))


def test_threads_that_ask_for_one_array_build_it_once(tmp_path):
    made, found = [], []

    def make(number: int) -> np.ndarray:
        made.append(number)
        return np.full(3, number, "uint8")

    def ask() -> None:
        path = tmp_path / "m.u8"
        found.append(mapped.mapped(path, (50, 3), make, title="numbers", progress=False))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 50
    assert all(np.array_equal(one, found[0]) for one in found)


def test_a_worker_takes_the_table_of_cells_only_as_it_was_sent(tree, cache, tmp_path):
    cells = index(tree).assign(subject="1")
    cells.attrs["label"] = "cells of a test"
    place = Place.of(cells, tmp_path / "run")
    assert_equal(_cells(place.cells, place.digest), cells)
    assert Place.of(cells, tmp_path / "run") == place
    _cells.cache_clear()
    other = cells.assign(label=0)
    cached.keep_table(place.cells, other)
    with pytest.raises(DataError, match=rf"{place.cells.name} is missing or was changed"):
        _cells(place.cells, place.digest)
    again = Place.of(cells, tmp_path / "run")
    assert_equal(_cells(again.cells, again.digest), cells)
    place.cells.write_bytes(b"cposix\nsystem\n(S'touch trap'\ntR.")
    _cells.cache_clear()
    with pytest.raises(DataError, match="missing or was changed"):
        _cells(place.cells, place.digest)


def test_nothing_in_the_package_unpickles(root):
    """What a process did not write itself in this run is never unpickled."""
    loads = re.compile(r"pickle\.loads?\(|allow_pickle=True|joblib\.load|read_pickle|torch\.load")
    plain = re.compile(r"np\.load\((?!.*allow_pickle=False)")
    for path in (root / "lcc_utils").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not loads.search(line), path
            assert not plain.search(line), path


class Network:
    """What has weights."""

    def __init__(self) -> None:
        self.weights = [np.arange(300.0).reshape(20, 15), np.ones(7, "float32")]

    def get_weights(self) -> list[np.ndarray]:
        return self.weights

    def set_weights(self, weights: list[np.ndarray]) -> None:
        if [one.shape for one in weights] != [(20, 15), (7,)]:
            raise ValueError("other shapes")
        self.weights = weights


@pytest.mark.timeout(20)
@pytest.mark.parametrize("damage", [name for name in DAMAGE if name != "longer"])
def test_weights_that_were_changed_are_learned_again(damage, tmp_path, caplog):
    path = tmp_path / "weights" / "key.npz"
    assert not load_weights(path, Network())
    assert not caplog.records
    keep_weights(path, Network())
    assert load_weights(path, Network())
    DAMAGE[damage](path)
    assert not load_weights(path, Network())
    assert f"The weights {path} cannot be used" in caplog.text


@pytest.fixture(scope="module")
def set_as_drawn(tmp_path_factory) -> Path:
    return synthetic.generate(tmp_path_factory.mktemp("drawn") / "set", cells=60, seed=3)


@pytest.mark.parametrize("change", ["another cell", "cut off", "gone"])
def test_synthetic_cells_that_were_changed_in_the_cache_are_drawn_again(
    change, set_as_drawn, caplog, monkeypatch
):
    def generate(root: Path, **_) -> Path:
        return root if root.exists() else shutil.copytree(set_as_drawn, root)

    monkeypatch.setattr(synthetic, "generate", generate)
    config = load_config("demo", {"dataset.cells": 60, "dataset.seed": 3})
    right = open_cells(config, None, False)
    paths = [Path(path) for path in right["path"]]
    whole = paths[0].read_bytes()
    if change == "another cell":
        paths[0].write_bytes(paths[1].read_bytes())
    elif change == "cut off":
        paths[0].write_bytes(whole[:1000])
    else:
        paths[0].unlink()
    with caplog.at_level(logging.WARNING):
        assert_equal(open_cells(config, None, False), right)
    assert "was changed after it was drawn; it is drawn again" in caplog.text
    assert paths[0].read_bytes() == whole


def test_synthetic_cells_stay_where_something_else_fails(set_as_drawn, cache):
    root = cache / "synthetic-60-3"
    shutil.copytree(set_as_drawn, root)
    (cache / f"index-{hashlib.sha256(str(root).encode()).hexdigest()[:16]}.table").mkdir()
    config = load_config("demo", {"dataset.cells": 60, "dataset.seed": 3})
    with pytest.raises(DataError, match=r"index-.* could not be written"):
        open_cells(config, None, False)
    assert len(list(root.rglob("*.bmp"))) == 60


def test_a_cache_in_the_place_of_another_is_not_used(tmp_path):
    for number in (1, 2):
        made = mapped.mapped(
            tmp_path / f"{number}.u8",
            (3, 5),
            lambda n, own=number: np.full(5, own, "uint8"),
            title="numbers",
            progress=False,
        )
        assert (made == number).all()
        cached.keep_table(tmp_path / f"{number}.table", pd.DataFrame({"n": [number]}))
        cached.keep_array(tmp_path / f"{number}.array", np.full(6, float(number)))
    for suffix in ("u8", "table", "array"):
        (tmp_path / f"1.{suffix}").replace(tmp_path / f"2.{suffix}")
    assert cached.kept_table(tmp_path / "2.table") is None
    assert cached.kept_array(tmp_path / "2.array", "float64", (6,)) is None
    assert _map(tmp_path / "2.u8")[:, 0].tolist() == [1, 2, 3]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """The content of a kept table, array and mapped array."""
    folder = tmp_path_factory.mktemp("whole")
    cached.keep_table(folder / "table", pd.DataFrame({"n": [1, 2], "t": ["a", "b"]}))
    cached.keep_array(folder / "array", np.arange(6.0))
    _map(folder / "mapped")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _map(path: Path) -> np.ndarray:
    return mapped.mapped(
        path, (3, 5), lambda n: np.full(5, n + 1, "uint8"), title="numbers", progress=False
    )


@settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(["table", "array", "mapped"]),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4),
    keep=st.one_of(st.none(), st.integers(0, 300)),
)
def test_changed_bytes_of_a_cache_are_never_used(whole, tmp_path, name, changes, keep):
    content = bytearray(whole[name])
    for at, value in changes:
        content[at % len(content)] = value
    path = tmp_path / hashlib.sha256(content + repr(keep).encode()).hexdigest()[:12] / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content[:keep] if keep is not None else content)
    same = path.read_bytes() == whole[name]
    if name == "mapped":
        assert _map(path)[:, 0].tolist() == [1, 2, 3]
        return
    read = cached.kept_table if name == "table" else _array
    assert (read(path) is not None) == same


def _array(path: Path) -> np.ndarray | None:
    return cached.kept_array(path, "float64", (6,))


def test_weights_that_were_replaced_at_the_same_size_and_time_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(lite_weights, "keras_models", lambda: tmp_path)
    path = tmp_path / lite_weights.LITE_FILES["efficientnet-lite1"].name
    for content in (b"first", b"other"):
        path.write_bytes(content)
        os.utime(path, ns=(0, 0))
        with pytest.raises(RequestError, match=hashlib.sha256(content).hexdigest()):
            lite_weights.lite_weights("efficientnet-lite1")
