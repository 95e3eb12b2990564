"""Images as people have them: read alike by every command, or refused with the reason."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import struct
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lcc_utils.data.check import check
from lcc_utils.data.cnmc import index, survey
from lcc_utils.data.cut_out import cropped
from lcc_utils.data.elsewhere import read_foreign
from lcc_utils.data.files import FaultyFile, read_regular
from lcc_utils.data.hashing import fingerprint
from lcc_utils.data.images import decode as training_pixels
from lcc_utils.data.photographs import list_images, read_cell
from lcc_utils.data.reading import FaultyImage, decode, read_image
from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline.foreign_frames import Fingerprints, frames

NAME = "UID_11_10_1_all"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LCC_CACHE", str(tmp_path_factory.mktemp("cache")))


def drawn(side: int = 450, colours: int = 6) -> np.ndarray:
    """A cell of a few colours on black, larger to one side, so that no turn leaves it as it is."""
    pixels = np.zeros((side, side, 3), np.uint8)
    middle = (side // 2, side // 2)
    for number in range(colours):
        radius = 80 - 12 * number
        colour = (90 + 20 * number, 30 + 9 * number, 120 - 8 * number)
        cv2.circle(pixels, middle, radius, colour, cv2.FILLED)
    cv2.rectangle(pixels, (middle[0], middle[1]), (middle[0] + 90, middle[1] + 30), (70, 9, 99), -1)
    return pixels


def saved(pixels: np.ndarray, kind: str, **options) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return content.getvalue()


def bmp(pixels: np.ndarray, fourth: int | None = None, masks: tuple[int, ...] = ()) -> bytes:
    """A BMP of 24 bits, top row first, or of 32 with this fourth byte, with colour masks or not."""
    height, width = pixels.shape[:2]
    body = pixels[..., ::-1]
    if fourth is None:
        body = np.pad(body.reshape(height, -1), ((0, 0), (0, -width * 3 % 4)))
        bits, height = 24, -height
    else:
        body = np.dstack([body, np.full((height, width), fourth, "uint8")])[::-1]
        bits = 32
    size = 108 if masks else 40
    info = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, 3 * bool(masks), 0, 0, 0, 0, 0)
    info += struct.pack(f"<{len(masks)}I", *masks)
    info = info.ljust(size, b"\0")
    start = 14 + len(info)
    return struct.pack("<2sIHHI", b"BM", start + body.size, 0, 0, start) + info + body.tobytes()


def palette(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(pixels).quantize(16)
    assert (np.asarray(image.convert("RGB")) == pixels).all()
    return image


def in_palette(pixels: np.ndarray, kind: str) -> bytes:
    content = io.BytesIO()
    palette(pixels).save(content, kind)
    return content.getvalue()


MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
ALIKE = {
    "24-bit BMP": lambda p: saved(p, "BMP"),
    "24-bit BMP, top row first": bmp,
    "32-bit BMP, fourth byte 0": lambda p: bmp(p, 0),
    "32-bit BMP, fourth byte 77": lambda p: bmp(p, 77),
    "32-bit BMP with an alpha mask and no alpha": lambda p: bmp(p, 0, MASKS),
    "BMP with a palette": lambda p: in_palette(p, "BMP"),
    "PNG": lambda p: saved(p, "PNG"),
    "PNG with a palette": lambda p: in_palette(p, "PNG"),
    "TIFF": lambda p: saved(p, "TIFF"),
    "compressed TIFF": lambda p: saved(p, "TIFF", compression="tiff_lzw"),
    "lossless WebP": lambda p: saved(p, "WEBP", lossless=True),
}


@pytest.mark.parametrize("kind", ALIKE)
@pytest.mark.parametrize("side", [450, 451])
def test_every_command_reads_a_format_to_the_same_pixels(kind, side, tmp_path):
    pixels = drawn(side)
    path = tmp_path / "cell.bmp"
    path.write_bytes(ALIKE[kind](pixels))
    assert (read_image(path) == pixels).all()
    assert (training_pixels(path) == pixels).all()
    assert fingerprint(path).pixel_sha256 == hashlib.sha256(pixels).hexdigest()
    if side == 450:
        assert (read_cell(path).pixels == pixels).all()


def test_a_tree_of_every_lossless_format_is_indexed_and_one_with_losses_named(tmp_path):
    folder = tmp_path / "data" / "fold_0" / "all"
    folder.mkdir(parents=True)
    kinds = {"1.bmp": bmp(drawn(), 0), "2.png": in_palette(drawn(), "PNG")}
    kinds |= {"3.tif": saved(drawn(), "TIFF"), "4.webp": saved(drawn(), "WEBP", lossless=True)}
    for name, content in kinds.items():
        (folder / f"UID_11_10_{name[0]}_all{name[1:]}").write_bytes(content)
    assert len(set(index(tmp_path)["pixel_sha256"])) == 1
    (folder / "UID_11_10_5_all.jpg").write_bytes(saved(drawn(), "JPEG"))
    (folder / "UID_11_10_6_all.webp").write_bytes(saved(drawn(), "WEBP", quality=80))
    (folder / "UID_11_10_7_all.tif").write_bytes(saved(drawn(), "TIFF", compression="jpeg"))
    seen = survey(tmp_path)
    assert len(seen.cells) == 4
    assert len(seen.faults) == 3
    assert all("with lossy compression" in reason for _, reason in seen.faults)


def test_hidden_colours_are_black_and_partial_ones_are_mixed_with_it():
    pixels = drawn()
    cell = pixels.any(axis=2)
    white = np.where(cell[..., None], pixels, 255).astype("uint8")
    hidden = np.dstack([white, cell * np.uint8(255)])
    for kind in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        assert (decode(saved(hidden, kind, **options)) == pixels).all()
    half = np.dstack([np.full((4, 4, 3), 200, np.uint8), np.full((4, 4), 128, np.uint8)])
    assert set(decode(saved(half, "PNG")).ravel()) == {100}
    assert set(decode(bmp(half[..., :3], 128, MASKS)).ravel()) == {100}


def test_a_transparent_colour_is_black():
    pixels = drawn()
    white = np.where(pixels.any(axis=2, keepdims=True), pixels, 255).astype("uint8")
    keyed = io.BytesIO()
    Image.fromarray(white).save(keyed, "PNG", transparency=(255, 255, 255))
    assert (decode(keyed.getvalue()) == pixels).all()
    image = palette(white)
    ground = image.getpixel((0, 0))
    indexed = io.BytesIO()
    image.save(indexed, "PNG", transparency=ground)
    assert (decode(indexed.getvalue()) == pixels).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_before_boxes_are_cut(kind, orientation, tmp_path):
    pixels = drawn()[100:350, 120:400]
    stored = Image.fromarray(pixels)
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    if orientation in back:
        stored = stored.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    path = tmp_path / "photograph.png"
    stored.save(path, kind, exif=exif, **options)
    seen = read_image(path)
    assert seen.shape == pixels.shape
    assert (seen == pixels).all()
    box = (10, 20, 110, 90)
    assert (cropped(seen, box) == pixels[20:90, 10:110]).all()


def test_several_pages_or_frames_are_refused_with_their_number():
    first, *more = (Image.fromarray(np.roll(drawn(), 9 * n)) for n in range(3))
    for kind in ("TIFF", "PNG", "WEBP"):
        content = io.BytesIO()
        first.save(content, kind, save_all=True, append_images=more)
        with pytest.raises(FaultyImage, match=r"^3 pages or frames"):
            decode(content.getvalue())
    with pytest.raises(FaultyImage, match=r"^GIF inside"):
        decode(saved(drawn(), "GIF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("record", [b"garbage!", b"Exif\0\0II*\0\x08\0\0\0\x05\0", b"Exif\0\0"])
def test_a_record_of_the_camera_that_cannot_be_read_turns_nothing(kind, record):
    content = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(drawn()).save(content, kind, exif=record, **options)
    plain = io.BytesIO()
    Image.fromarray(drawn()).save(plain, kind, **options)
    assert (decode(content.getvalue()) == decode(plain.getvalue())).all()


def test_a_stack_in_one_page_of_a_tiff_is_refused_with_its_number():
    tifffile = pytest.importorskip("tifffile")
    content = io.BytesIO()
    stack = np.stack([drawn()] * 3)
    tifffile.imwrite(content, stack, photometric="rgb", volumetric=True)
    with pytest.raises(FaultyImage, match=r"^3 pages or frames"):
        decode(content.getvalue())


def tiff(pixels: np.ndarray, **options) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, pixels, **options)
    return content.getvalue()


def png16(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels.astype("uint16") * 16)[1].tobytes()


@pytest.mark.parametrize(
    "content, says",
    [
        (lambda: png16(drawn()), "16 bits a channel"),
        (lambda: png16(drawn()[..., 0]), "16 bits a channel"),
        (lambda: tiff(drawn().astype("uint16") * 16, photometric="rgb"), "16 bits a channel"),
        (lambda: tiff(drawn()[..., 0].astype("uint16")), "16 bits a channel"),
        (lambda: tiff(drawn()[..., 0].astype("float32")), "32 bits floating point a channel"),
        (
            lambda: tiff(drawn().astype("float32"), photometric="rgb"),
            "32 bits floating point a channel",
        ),
        (lambda: tiff(drawn().astype("uint32"), photometric="rgb"), "32 bits a channel"),
        (lambda: saved(drawn()[..., 0], "BMP"), "grey"),
        (lambda: saved(drawn()[..., 0], "PNG"), "grey"),
        (lambda: b"", "zero bytes"),
        (lambda: b"%PDF-1.7 and more", "no image inside"),
    ],
)
def test_what_is_not_8_bit_colour_is_refused_in_words(content, says):
    with pytest.raises(FaultyImage, match=says):
        decode(content())


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_colours_of_print_are_refused(kind):
    content = io.BytesIO()
    Image.fromarray(drawn()).convert("CMYK").save(content, kind)
    with pytest.raises(FaultyImage, match="CMYK colours, not RGB"):
        decode(content.getvalue())


def test_bmp_of_16_bits_is_refused():
    content = bytearray(bmp(drawn()))
    content[28] = 16
    with pytest.raises(FaultyImage, match="16-bit BMP"):
        decode(bytes(content))


def test_a_side_beyond_the_limit_is_refused_before_it_is_decoded():
    content = bytearray(saved(drawn(), "BMP"))
    content[18:26] = struct.pack("<ii", 60_000, 60_000)
    with pytest.raises(FaultyImage, match="60000x60000 px"):
        decode(bytes(content))


@pytest.mark.parametrize("kind", ["BMP", "PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_file_is_refused_and_never_filled(kind, share):
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3)).astype("uint8")
    whole = saved(noise, kind)
    with pytest.raises(FaultyImage):
        decode(whole[: int(len(whole) * share)])


def test_a_flipped_bit_in_a_png_is_refused():
    whole = bytearray(saved(drawn(), "PNG"))
    whole[len(whole) // 2] ^= 1
    with pytest.raises(FaultyImage, match="the checksum of chunk"):
        decode(bytes(whole))


@pytest.fixture
def odd(tmp_path) -> dict[str, str]:
    """Things that are not files, under names of cells, and the reason for each."""
    folder = tmp_path / "data" / "fold_0" / "all"
    folder.mkdir(parents=True)
    names = {
        "UID_11_10_1_all.bmp": "a named pipe, not a file",
        "UID_11_10_2_all.bmp": "a device, not a file",
        "UID_11_10_3_all.bmp": "too many levels of symbolic links",
        "UID_11_10_4_all.bmp": "a link to nothing",
        "UID_11_10_5_all.bmp": "a folder, not a file",
        "UID_11_10_6_all.bmp": "a socket, not a file",
    }
    paths = [folder / name for name in names]
    os.mkfifo(paths[0])
    paths[1].symlink_to("/dev/zero")
    paths[2].symlink_to(paths[2])
    paths[3].symlink_to(folder / "gone.bmp")
    paths[4].mkdir()
    here = Path.cwd()
    os.chdir(folder)  # The path of a socket may have 107 letters.
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(paths[5].name)
    finally:
        os.chdir(here)
    (folder / f"{NAME[:-5]}7_all.bmp").write_bytes(saved(drawn(), "BMP"))
    return {str(path): reason for path, reason in zip(paths, names.values(), strict=True)}


@pytest.mark.timeout(20)
def test_what_is_not_a_file_has_its_reason_in_every_command(odd, tmp_path):
    for path, reason in odd.items():
        with pytest.raises(FaultyImage, match=reason):
            read_image(path)
        with pytest.raises(DataError, match=f"{Path(path).name} is not a readable image: {reason}"):
            training_pixels(path)
        assert read_cell(path).reason == f"unreadable: {reason}"
    listing = list_images([str(tmp_path)])
    assert set(odd) <= set(listing.files)
    assert len(listing.files) == 7
    seen = survey(tmp_path)
    assert dict(seen.faults) == odd
    assert len(seen.cells) == 1
    assert dict(check(tmp_path).faults) == odd
    own = seen.cells.iloc[:0]
    good = tmp_path / "good.png"
    good.write_bytes(saved(drawn(), "PNG"))
    listed = tmp_path / "cells.csv"
    listed.write_text("file\n" + "\n".join([*odd, str(good)]) + "\n")
    foreign = read_foreign(listed, own)
    assert {frame.row for frame in frames(foreign, 1.0, own, Fingerprints())} == {0}
    assert len(foreign.faults) == 6


@pytest.mark.timeout(20)
def test_places_that_are_not_files_get_a_fault_when_named_alone(odd):
    pipe, device, loop, nothing, folder, plug = odd
    listing = list_images([pipe, device, loop, nothing, plug, folder, "/dev/zero", "x" * 400])
    # The link and what it leads to are one.
    assert listing.files == [pipe, device, loop, nothing, plug]
    assert dict(listing.faults)["x" * 400] == "not there"
    assert read_cell("/dev/zero").reason == "unreadable: a device, not a file"
    with pytest.raises(RequestError, match="not a folder"):
        survey("x" * 400)


@pytest.mark.timeout(20)
def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"x" * 101)
    assert read_regular(path, 101) == b"x" * 101
    with pytest.raises(FaultyFile, match=r"table\.csv cannot be read: too large: 101 bytes"):
        read_regular(path, 100)
    with pytest.raises(FaultyFile, match="not there"):
        read_regular(tmp_path / "gone")


def test_a_fault_keeps_its_name_through_threads_and_processes(tmp_path):
    import pickle

    fault = FaultyFile(tmp_path / "a.csv", "not there")
    assert str(pickle.loads(pickle.dumps(fault))) == str(fault)


@pytest.mark.timeout(20)
def test_a_pipe_that_takes_the_place_of_a_file_does_not_hang(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    real = os.open

    def swapped(name, flags, *rest):
        Path(name).unlink()
        os.mkfifo(name)
        return real(name, flags, *rest)

    monkeypatch.setattr("lcc_utils.data.files.os.open", swapped)
    with pytest.raises(FaultyFile, match="a named pipe"):
        read_regular(path)


def test_a_frame_of_600_px_is_read_as_in_training(tmp_path):
    inner = drawn()
    path = tmp_path / "cell.bmp"
    path.write_bytes(saved(np.pad(inner, ((75, 75), (75, 75), (0, 0))), "BMP"))
    found = read_cell(path)
    assert (found.side, found.reason) == ("600", "")
    assert (found.pixels == inner).all()
    final = tmp_path / "tree" / "C-NMC_test_final_phase_data" / "7.bmp"
    final.parent.mkdir(parents=True)
    final.write_bytes(path.read_bytes())
    assert index(tmp_path / "tree")["cell_id"].tolist() == ["final_7"]


def test_a_cell_that_was_overwritten_at_the_same_time_has_its_new_digest(tmp_path):
    path = tmp_path / "data" / "fold_0" / "all" / f"{NAME}.bmp"
    path.parent.mkdir(parents=True)
    path.write_bytes(bmp(drawn()))
    os.utime(path, ns=(10**18, 10**18))
    _wait_for_the_clock(path)
    first = index(tmp_path)["pixel_sha256"][0]
    other = bmp(drawn(colours=3))
    assert len(other) == path.stat().st_size
    path.write_bytes(other)
    os.utime(path, ns=(10**18, 10**18))
    second = index(tmp_path)["pixel_sha256"][0]
    assert first != second == hashlib.sha256(drawn(colours=3)).hexdigest()


def test_a_cell_that_was_replaced_by_a_rename_has_its_new_digest(tmp_path, monkeypatch):
    monkeypatch.setattr("lcc_utils.data.hashing._IN_DOUBT_NS", -(10**12))
    path = tmp_path / "data" / "fold_0" / "all" / f"{NAME}.bmp"
    path.parent.mkdir(parents=True)
    path.write_bytes(bmp(drawn()))
    os.utime(path, ns=(10**18, 10**18))
    first = index(tmp_path)["pixel_sha256"][0]
    other = tmp_path / "other"
    other.write_bytes(bmp(drawn(colours=3)))
    os.utime(other, ns=(10**18, 10**18))
    other.replace(path)
    assert index(tmp_path)["pixel_sha256"][0] != first


def _wait_for_the_clock(path: Path) -> None:
    """Let the time of change pass on: file systems count in ticks of some milliseconds."""
    before = path.stat().st_ctime_ns
    probe = path.with_name("probe")
    while True:
        probe.touch()
        if probe.stat().st_ctime_ns > before:
            probe.unlink()
            return
        threading.Event().wait(0.001)


SEEDS = [
    saved(drawn()[150:300, 150:320], kind, **options)
    for kind, options in (
        ("BMP", {}), ("PNG", {}), ("JPEG", {}), ("TIFF", {}), ("WEBP", {}),
        ("TIFF", {"compression": "tiff_deflate"}), ("WEBP", {"lossless": True}),
    )
]  # fmt: skip
SEEDS += [bmp(drawn()[150:200, 150:200], 0, MASKS), in_palette(drawn(), "BMP")]


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=8),
    header=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=4),
    keep=st.one_of(st.none(), st.integers(0, 2**16)),
)
def test_changed_bytes_give_an_image_or_a_reason(seed, changes, header, keep):
    content = bytearray(seed)
    for at, value in [*changes, *header]:
        content[at % len(content)] = value
    data = bytes(content[:keep] if keep else content)
    try:
        pixels = decode(data)
    except FaultyImage:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
