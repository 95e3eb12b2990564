"""EfficientNet-Lite: its published weights, read as tensors alone, and the features they give."""

from __future__ import annotations

import json
import pickle
import shutil
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from lcc_utils.errors import DataError, RequestError
from lcc_utils.nn.lite_weights import LITE_FILES, lite_tensors, lite_weights
from lcc_utils.nn.torch_file import read_tensors

REFERENCE = json.loads(Path(__file__).with_name("lite_features.json").read_text())


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A machine that has neither the files nor their packages."""

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(metadata, "files", absent)
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def _have(name: str) -> Path:
    try:
        return lite_weights(name)
    except RequestError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", LITE_FILES)
def test_the_features_are_those_of_the_authors_code(name):
    import keras

    from lcc_utils.nn.lite import efficientnet_lite

    _have(name)
    place = np.arange(100)
    image = (place[:, None, None] * 5 + place[None, :, None] * 3 + np.arange(3) * 85) % 256
    seen = keras.Input((100, 100, 3))
    model = keras.Model(seen, efficientnet_lite(name, seen, "imagenet"))
    features = np.asarray(model(image[None].astype("float32"))).mean((0, 1, 2))[::40]
    assert features == pytest.approx(REFERENCE["features"][name], abs=1e-4)


@pytest.mark.parametrize(
    "name, parameters",
    [("lite0", 3_371_008), ("lite1", 4_135_680), ("lite2", 4_811_072)],
)
def test_a_classifier_on_it_is_flat_and_ends_in_its_last_map(name, parameters):
    from lcc_utils.nn.classifier import backbone_paths, build_classifier

    model = build_classifier(f"efficientnet-{name}", 32, weights="none", fused=False)
    own = backbone_paths(model)
    trained = sum(np.prod(w.shape) for w in model.trainable_weights if w.path in own)
    assert trained == parameters
    assert model.get_layer("head_relu6").output.shape == (None, 1, 1, 1280)
    # From scratch, as the other backbones.
    assert model.get_layer("stem_norm").momentum == 0.9


def test_weights_that_are_absent_are_named_with_file_digest_and_package(elsewhere):
    file = LITE_FILES["efficientnet-lite2"]
    with pytest.raises(RequestError) as raised:
        lite_weights("efficientnet-lite2")
    for part in (file.name, file.sha256, file.package, str(elsewhere)):
        assert part in str(raised.value)


def test_damaged_weights_are_named_with_both_digests(elsewhere):
    file = LITE_FILES["efficientnet-lite1"]
    (elsewhere / file.name).write_bytes(b"half of it")
    with pytest.raises(RequestError, match="is damaged or another file") as raised:
        lite_weights("efficientnet-lite1")
    assert file.sha256 in str(raised.value)
    assert file.name in str(raised.value)


def test_weights_of_another_backbone_are_named(tmp_path, monkeypatch):
    found = _have("efficientnet-lite0")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    shutil.copy(found, tmp_path / "models" / LITE_FILES["efficientnet-lite2"].name)
    with pytest.raises(RequestError, match="holds the weights of efficientnet-lite0"):
        lite_tensors("efficientnet-lite2")


class _Runs:
    def __reduce__(self):
        return (print, ("run",))


def _file(named: object) -> bytes:
    parts = (0x1950A86A20F9469CFC6C, 1001, {}, named, [])
    return b"".join(pickle.dumps(part, protocol=2) for part in parts)


def test_a_file_that_brings_code_is_refused_and_nothing_of_it_is_run(tmp_path, capsys):
    path = tmp_path / "weights.pth"
    path.write_bytes(_file({"a": _Runs()}))
    with pytest.raises(DataError, match=r"asks for \S+\.print"):
        read_tensors(path)
    assert capsys.readouterr().out == ""


def test_tensors_are_read_with_their_strides_and_an_early_end_is_named(tmp_path):
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x007X\3\0\0\0cpuK\6NtQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0K\3K\2\x86K\1K\3\x86\x89}tR"
    parts = [pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {})]
    parts += [b"\x80\2}X\1\0\0\0w" + tensor + b"s.", pickle.dumps(["7"], protocol=2)]
    content = b"".join(parts) + np.int64(6).tobytes() + np.arange(6, dtype="<f4").tobytes()
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert read_tensors(path)["w"].tolist() == [[0, 3], [1, 4], [2, 5]]
    path.write_bytes(content[:-2])
    with pytest.raises(DataError, match="ends within the numbers"):
        read_tensors(path)
