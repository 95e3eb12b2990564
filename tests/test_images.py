"""The pixel cache: right pixels, one build, resumed after a crash, shared between trees."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pandas as pd
import pytest

from lcc_utils.data import images, mapped
from lcc_utils.data.images import PixelCache, centre_crop, decode, prepare, resize
from lcc_utils.errors import DataError, RequestError


@pytest.fixture
def cells(tmp_path):
    rows = []
    for number in range(5):
        frame = np.zeros((450, 450, 3), np.uint8)
        frame[200:250, 200:250] = (10 * number + 40, 20, 60)  # RGB
        path = tmp_path / f"cell_{number}.bmp"
        cv2.imwrite(str(path), frame[..., ::-1])
        rows.append((f"c{number}", str(path), hashlib.sha256(frame).hexdigest()))
    return pd.DataFrame(rows, columns=["cell_id", "path", "pixel_sha256"])


def test_decoded_pixels_are_rgb(cells):
    assert decode(cells["path"][1])[225, 225].tolist() == [50, 20, 60]


def test_crop_is_central_and_pads_what_is_smaller():
    frame = np.zeros((450, 450, 3), np.uint8)
    frame[225, 225] = 255
    cropped = centre_crop(frame, 300)
    assert cropped.shape == (300, 300, 3)
    assert cropped[150, 150].tolist() == [255] * 3
    padded = centre_crop(np.full((2, 2, 3), 7, np.uint8), 4)
    assert padded[:, :, 0].tolist() == [[0, 0, 0, 0], [0, 7, 7, 0], [0, 7, 7, 0], [0, 0, 0, 0]]


def test_shrinking_averages_over_areas():
    board = np.indices((300, 300)).sum(axis=0) % 2 * 200
    small = resize(np.repeat(board[..., None], 3, axis=2).astype(np.uint8), 100)
    assert small.shape == (100, 100, 3)
    assert np.abs(small.astype(int) - 100).max() <= 12


def test_cache_holds_the_prepared_cells_and_finds_rows(cells, tmp_path):
    cache = PixelCache(cells, 64, 300, tmp_path / "cache")
    assert cache.array.shape == (5, 64, 64, 3)
    assert cache.array.dtype == np.uint8
    rows = cache.rows(["c3", "c0"])
    assert rows.tolist() == [3, 0]
    assert np.array_equal(cache.array[3], prepare(cells["path"][3], 64, 300))


def test_cache_is_built_once_and_shared_by_content(cells, tmp_path, monkeypatch):
    first = PixelCache(cells, 64, 300, tmp_path / "cache")
    elsewhere = cells.assign(path="gone.bmp")
    assert PixelCache(elsewhere, 64, 300, tmp_path / "cache").path == first.path
    assert PixelCache(cells, 64, 450, tmp_path / "cache").path != first.path
    other = tmp_path / "other.bmp"
    cv2.imwrite(str(other), np.full((450, 450, 3), 7, np.uint8))
    sha = hashlib.sha256(np.full((450, 450, 3), 7, np.uint8)).hexdigest()
    changed = cells.assign(
        path=[str(other), *cells["path"][1:]], pixel_sha256=[sha, *cells["pixel_sha256"][1:]]
    )
    assert PixelCache(changed, 64, 300, tmp_path / "cache").path != first.path


def test_a_build_that_broke_off_goes_on_after_its_last_chunk(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "_CHUNK", 2)
    whole = PixelCache(cells, 32, 300, tmp_path / "whole").path.read_bytes()
    real, seen = images.prepare, []

    def failing(path, size, crop, sha256):
        if path == cells["path"][3] and "broke" not in seen:
            seen.append("broke")
            raise DataError("stopped")
        seen.append(path)
        return real(path, size, crop, sha256)

    monkeypatch.setattr(images, "prepare", failing)
    with pytest.raises(DataError, match="stopped"):
        PixelCache(cells, 32, 300, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.u8"))
    del seen[:-1]
    seen[:] = ["broke"]
    cache = PixelCache(cells, 32, 300, tmp_path / "cache")
    assert cells["path"][0] not in seen
    assert cells["path"][2] in seen
    assert cache.path.read_bytes() == whole


def test_what_a_dead_process_left_is_taken_over(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "_CHUNK", 2)
    reference = PixelCache(cells, 32, 300, tmp_path / "a")
    folder = tmp_path / "b"
    folder.mkdir()
    leftover = folder / f"{reference.path.stem}.4194305.partial"
    # Of three chunks the first is whole, the second was changed, the third was never written.
    whole = bytearray(reference.path.read_bytes())
    chunk, digests = 2 * 32 * 32 * 3, 5 * 32 * 32 * 3
    whole[chunk + 700] ^= 1
    whole[2 * chunk : digests] = bytes(digests - 2 * chunk)
    whole[digests + 64 :] = bytes(len(whole) - digests - 64)
    leftover.write_bytes(whole)
    seen, real = [], images.prepare
    monkeypatch.setattr(images, "prepare", lambda *own: seen.append(own[0]) or real(*own))
    cache = PixelCache(cells, 32, 300, folder)
    assert cache.path.read_bytes() == reference.path.read_bytes()
    assert sorted(seen) == sorted(cells["path"][2:])
    assert not leftover.exists()


def test_an_unreadable_image_is_named(cells, tmp_path):
    bad = tmp_path / "empty.bmp"
    bad.write_bytes(b"")
    with pytest.raises(DataError, match=r"empty\.bmp is not a readable image"):
        decode(bad)
    with pytest.raises(DataError, match=r"missing\.bmp is not a readable image: not there"):
        decode(tmp_path / "missing.bmp")


def test_a_full_disk_is_named_and_leaves_no_array(cells, tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mapped.Path, "replace", full)
    with pytest.raises(DataError, match="No space left on device"):
        PixelCache(cells, 32, 300, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.u8"))


def test_a_size_of_nothing_is_refused(cells, tmp_path):
    with pytest.raises(RequestError, match="must be positive"):
        PixelCache(cells, 0, 300, tmp_path)
