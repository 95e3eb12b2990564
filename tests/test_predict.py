"""Cells of a user's own: a model that travels as a directory, and what is predicted with it."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from lcc_utils.cli import main
from lcc_utils.data.images import FRAME
from lcc_utils.data.photographs import list_images, read_cell
from lcc_utils.data.synthetic import generate
from lcc_utils.errors import DataError, LccError, RequestError
from lcc_utils.evaluation.novelty import energy, fit_novelty
from lcc_utils.nn.archive import inspect_archive, open_archive
from lcc_utils.nn.classifier import build_classifier
from lcc_utils.pipeline.model_files import (
    ModelRecord,
    load_model_dir,
    write_model_dir,
)
from lcc_utils.pipeline.model_making import make_model
from lcc_utils.pipeline.predict import COLUMNS, predict
from lcc_utils.pipeline.run import open_run
from lcc_utils.pipeline.store import record_digest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty drawn cells in C-NMC's layout."""
    return generate(tmp_path_factory.mktemp("cells") / "set", cells=60, seed=3)


@pytest.fixture(scope="module")
def some(cells: Path) -> list[str]:
    return sorted(str(path) for path in cells.rglob("UID_*.bmp"))[:12]


def record_of(size: int = 32, far: float = 1e9, **changes) -> ModelRecord:
    values = {
        "name": "tiny",
        "backbone": "small_cnn",
        "size": size,
        "crop": 300,
        "calibration": {"temperature": 0.5, "shift": 1.0, "basis": "cells of a test"},
        "thresholds": {
            "decision": 0.5, "unsure_low": 0.5, "unsure_high": 0.5, "basis": "cells of a test",
        },
        "novelty": {
            "mean": [0.0] * 128, "axes": [[1.0] + [0.0] * 127], "variances": [1.0],
            "residual": 1.0, "distance": far, "energy": 1e9, "basis": "cells of a test",
        },
        "training": {"dataset": "synthetic cells", "digest": "0" * 16, "seed": 0},
        "measured_on": "",
        "measured": [],
        "versions": {},
    }  # fmt: skip
    return ModelRecord.model_validate(values | changes)


def written(folder: Path, size: int = 32, **changes) -> Path:
    classifier = build_classifier("small_cnn", size, weights="none", seed=4)
    return write_model_dir(folder, record_of(size, **changes), classifier, "Research use only.\n")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def own(model: Path, tmp_path: Path) -> Path:
    """A model directory that a test may spoil."""
    return Path(shutil.copytree(model, tmp_path / "model"))


def signed(folder: Path) -> None:
    """Make the digests of a model directory true again, as somebody would who changed it."""
    import hashlib

    values = json.loads((folder / "model.json").read_text())
    values["files"] = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in values["files"]
    }
    values["digest"] = record_digest(values)
    (folder / "model.json").write_text(json.dumps(values))


def rewritten(folder: Path, change) -> None:
    """Change the configuration within the archive, and sign it."""
    path = folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files = change(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    signed(folder)


def table(out: Path) -> pd.DataFrame:
    text = {"class": str, "abstained": str, "side": str}
    return pd.read_csv(out / "predictions.csv", dtype=text, keep_default_na=False, na_values={
        name: [""] for name in ("score", "probability", "energy", "distance")
    })  # fmt: skip


def test_rows_stand_in_the_order_given_with_every_column(model, some, tmp_path):
    done = predict(model, some[::-1], tmp_path)
    found = table(tmp_path)
    assert list(found.columns) == COLUMNS
    assert list(found["file"]) == some[::-1]
    assert found["score"].between(0, 1).all()
    assert set(found["class"]) <= {"ALL", "HEM"}
    assert set(found["side"]) == {"450"}
    assert done.counts["scored"] == done.counts["files"] == len(some)


def test_the_probability_is_the_score_scaled(model, some, tmp_path):
    predict(model, some, tmp_path)
    found = table(tmp_path)
    # Temperature .5 doubles the log odds, the shift adds 1.
    odds = np.log(found["score"] / (1 - found["score"]))
    expected = 1 / (1 + np.exp(-(2 * odds + 1)))
    assert np.allclose(found["probability"], expected, atol=1e-4)


def test_scores_depend_neither_on_the_batch_nor_on_the_company(model, some, tmp_path):
    for name, files, batch in (("a", some, 64), ("b", some, 5), ("c", some[3:4], 1)):
        predict(model, files, tmp_path / name, batch=batch, maps=0)
    a, b, c = (table(tmp_path / name) for name in "abc")
    assert np.allclose(a["score"], b["score"], atol=2e-6)
    assert list(a["class"]) == list(b["class"])
    assert c["score"][0] == pytest.approx(a["score"][3], abs=2e-6)


def test_the_same_request_writes_the_same_bytes(model, some, tmp_path):
    for name in "ab":
        predict(model, some, tmp_path / name)
    for file in ("predictions.csv", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_over_eight_views_a_turned_cell_has_the_same_score(some, tmp_path):
    folder = written(tmp_path / "views", views=8)
    cv2.imwrite(str(tmp_path / "turned.png"), np.rot90(cv2.imread(some[0])))
    predict(folder, [some[0], str(tmp_path / "turned.png")], tmp_path, maps=0)
    upright, turned = table(tmp_path)["score"]
    assert upright == pytest.approx(turned, abs=2e-6)


def test_a_tree_gives_each_cell_once_and_no_mask(model, cells, tmp_path):
    tree = Path(shutil.copytree(cells, tmp_path / "tree"))
    cell = next(tree.rglob("UID_*.bmp"))
    shutil.copy(cell, cell.with_name("mask_1.bmp"))
    listing = list_images([tree, str(cell)])
    assert len(listing.files) == 60
    assert (str(cell.with_name("mask_1.bmp")), "mask") in listing.left_out
    names = [Path(path).name for path in listing.files]
    assert "mask_1.bmp" not in names


def test_images_of_other_sizes_keep_their_scale(some, tmp_path):
    pixels = cv2.imread(some[0])
    tight = pixels[65:385, 65:385]
    cv2.imwrite(str(tmp_path / "tight.png"), tight)
    cv2.imwrite(str(tmp_path / "big.png"), np.pad(pixels, ((50, 50), (50, 50), (0, 0))))
    seen = read_cell(tmp_path / "tight.png")
    assert seen.pixels.shape == (FRAME, FRAME, 3)
    assert (seen.pixels[65:385, 65:385, ::-1] == tight).all()
    assert (seen.side, seen.reason) == ("320", "")
    ring = read_cell(tmp_path / "big.png")
    assert (ring.side, ring.reason) == ("550", "")
    assert (ring.pixels[..., ::-1] == pixels).all()
    speck = cv2.imread(str(tmp_path / "big.png"))
    speck[3, 3] = 255
    cv2.imwrite(str(tmp_path / "big.png"), speck)
    big = read_cell(tmp_path / "big.png")
    assert big.side == "550"
    assert "larger than 450" in big.reason


@pytest.fixture
def bad(some, tmp_path) -> Path:
    """A folder of files that are no cells, each for a reason of its own."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "truncated.bmp").write_bytes(Path(some[0]).read_bytes()[:50_000])
    (folder / "text.png").write_text("These are my notes.")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "<i>name.png").write_text("Not an image, and a name that is not to be markup.")
    cv2.imwrite(str(folder / "black.png"), np.zeros((450, 450, 3), np.uint8))
    cv2.imwrite(str(folder / "white.png"), np.full((450, 450, 3), 255, np.uint8))
    whole = cv2.imencode(".png", cv2.imread(some[0]))[1].tobytes()
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])
    two = np.zeros((450, 450, 3), np.uint8)
    cv2.circle(two, (110, 225), 90, (90, 40, 90), -1)
    cv2.circle(two, (330, 225), 90, (90, 40, 90), -1)
    cv2.imwrite(str(folder / "two.png"), two)
    return folder


def test_what_is_no_cell_gets_a_row_with_its_reason_and_the_rest_is_predicted(
    model, some, bad, tmp_path, capsys
):
    out, empty = tmp_path / "out", tmp_path / "nothing"
    empty.mkdir()
    arguments = [str(model), some[0], str(bad), str(empty), str(tmp_path / "gone.png"), some[1]]
    assert main(["predict", *arguments, "--out", str(out), "--json"]) == 0
    found = table(out).set_index("file")
    why = {Path(file).name: reason for file, reason in found["abstained"].items()}
    assert why["truncated.bmp"].startswith("unreadable: truncated")
    assert why["text.png"].startswith("unreadable: no image inside")
    assert why["empty.jpg"] == "unreadable: zero bytes"
    assert why["half.png"].startswith("unreadable: truncated")
    assert why["black.png"].startswith("no cell: 0 px")
    assert why["white.png"].startswith("not one cell cut out on black")
    assert why["two.png"].startswith("more than one cell")
    assert why["nothing"].startswith("no image in it")
    assert why["gone.png"] == "not there"
    scored = found[found["score"].notna()]
    assert list(scored.index) == some[:2]
    assert set(found[found["score"].isna()]["class"]) == {""}
    printed = json.loads(capsys.readouterr().out)
    assert (printed["scored"], printed["unreadable"], printed["no cell"]) == (2, 7, 3)
    report = (out / "report.html").read_text()
    assert "text.png" in report
    assert "no image inside" in report
    assert "&lt;i&gt;name.png" in report
    assert "<i>name.png" not in report


def test_the_exit_code_says_whether_anything_was_predicted(model, bad, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["predict", str(model), str(bad), "--out", out]) == 1
    assert (tmp_path / "out" / "predictions.csv").exists()
    (tmp_path / "none").mkdir()
    wrong = (
        [str(model), str(tmp_path / "none"), "--out", out],
        [str(tmp_path / "none"), str(bad), "--out", out],
        [str(model), str(bad), "--out", out, "--batch", "0"],
    )
    for arguments in wrong:
        assert main(["predict", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("lcc: ")
        assert error.count("\n") == 1


def test_cells_near_the_threshold_or_far_off_are_not_called(some, tmp_path):
    band = {"decision": 0.5, "unsure_low": 0.0, "unsure_high": 1.0, "basis": "a test"}
    predict(written(tmp_path / "unsure", thresholds=band), some[:2], tmp_path / "a", maps=0)
    predict(written(tmp_path / "far", far=1e-6), some[:2], tmp_path / "b", maps=0)
    a, b = table(tmp_path / "a"), table(tmp_path / "b")
    assert set(a["class"]) == set(b["class"]) == {""}
    assert a["abstained"].str.startswith("unsure: score").all()
    assert b["abstained"].str.startswith("unlike the training cells: distance").all()
    assert a["score"].notna().all()


def test_a_distance_is_that_of_mahalanobis_where_every_axis_is_kept():
    features = np.random.default_rng(0).normal(size=(500, 4)) * [1, 2, 3, 4]
    novelty = fit_novelty(features, rank=4)
    off = features[:5] - features.mean(axis=0)
    inverse = np.linalg.inv(np.cov(features.T))
    assert np.allclose(novelty.distance(features[:5]) ** 2, ((off @ inverse) * off).sum(axis=1))
    assert fit_novelty(features, rank=2).distance(features + 100).min() > 10
    # Two logits of 0: -log 2.
    assert energy(np.zeros((1, 2)))[0] == pytest.approx(-0.693147, abs=1e-6)


def test_a_model_directory_comes_back_as_it_was_written(model):
    loaded = load_model_dir(model)
    assert loaded.record.name == "tiny"
    assert loaded.scaling.slope == 2
    assert {path.name for path in model.iterdir()} == {"model.keras", "model.json", "card.md"}


@pytest.mark.parametrize("name", ["model.keras", "card.md", "model.json"])
def test_a_damaged_file_is_named(own, some, name):
    path = own / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(LccError, match=name):
        load_model_dir(own)


def test_a_missing_file_or_another_format_is_named(own):
    (own / "card.md").unlink()
    with pytest.raises(DataError, match=r"card\.md is missing"):
        load_model_dir(own)
    values = json.loads((own / "model.json").read_text()) | {"format": 9}
    (own / "model.json").write_text(json.dumps(values))
    with pytest.raises(RequestError, match="format 9"):
        load_model_dir(own)


def test_a_network_of_another_input_size_is_refused(own, tmp_path):
    other = written(tmp_path / "other", size=48)
    shutil.copy(other / "model.keras", own / "model.keras")
    signed(own)
    with pytest.raises(DataError, match=r"48x48 px, but model\.json says 32"):
        load_model_dir(own)


def test_an_archive_with_a_lambda_is_refused_and_its_code_does_not_run(own, some, tmp_path, capsys):
    import keras

    trace = tmp_path / "trace"
    image = keras.Input((32, 32, 3))
    code = f"open({str(trace)!r}, 'w')"
    layer = keras.layers.Lambda(eval(f"lambda x: ({code}, x)[1]"), output_shape=(32, 32, 3))
    keras.Model(image, layer(image)).save(own / "model.keras")
    trace.unlink(missing_ok=True)  # building the layer has run it once
    signed(own)
    assert main(["predict", str(own), some[0], "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "Lambda" in error
    assert "Nothing of it was loaded" in error
    assert not trace.exists()
    assert not (tmp_path / "out").exists()


def test_a_configuration_that_names_a_foreign_function_is_refused(own):
    def changed(files):
        config = json.loads(files["config.json"])
        config["config"]["layers"].append(
            {"module": "os", "class_name": "system", "config": "touch trace"}
        )
        return files | {"config.json": json.dumps(config).encode()}

    rewritten(own, changed)
    with pytest.raises(DataError, match=r"os\.system"):
        open_archive(own / "model.keras")


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_in_or_instead_of_the_archive_is_not_opened(own, tmp_path):
    import pickle

    trace = tmp_path / "trace"
    payload = pickle.dumps(Trap(trace))
    rewritten(own, lambda files: files | {"assets/data.pkl": payload})
    with pytest.raises(DataError, match=r"assets/data\.pkl"):
        load_model_dir(own)
    (own / "model.keras").write_bytes(payload)
    signed(own)
    with pytest.raises(DataError, match="no whole Keras archive"):
        load_model_dir(own)
    assert not trace.exists()


def test_weights_that_lie_in_another_file_are_refused(own, tmp_path):
    import io

    import h5py

    def changed(files):
        data = io.BytesIO(files["model.weights.h5"])
        with h5py.File(data, "r+") as weights:
            weights["elsewhere"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x")
        return files | {"model.weights.h5": data.getvalue()}

    rewritten(own, changed)
    with pytest.raises(DataError, match="link"):
        inspect_archive(own / "model.keras")


@pytest.mark.parametrize("name", ["efficientnetv2-b0", "mobilenetv2", "resnet50", "xception"])
def test_networks_of_this_package_pass(name, tmp_path):
    path = tmp_path / "model.keras"
    build_classifier(name, 72, weights="none").save(path)
    inspect_archive(path)


def test_a_model_is_made_from_a_run(tmp_path, places, monkeypatch, capsys):
    for name in ("LCC_CACHE", "LCC_RUNS"):
        monkeypatch.setenv(name, places[name])
    profile = tmp_path / "small.yml"
    profile.write_text(
        "dataset: {source: synthetic, phases: [train], cells: 160, seed: 7}\n"
        "pixels: {size: 32, crop: 300}\nmodel: {backbone: small_cnn, weights: none}\n"
        "augmentation: {policy: none}\ntraining: {epochs: 2, batch: 16}\nstudies:\n  primary:\n"
        "    splits: [{protocol: kfold, folds: 3, validation_share: 0.3}]\n"
        "    variants: {small network: {}, area: {model.backbone: cell_area}}\n"
    )
    run = open_run(str(profile), run="own")
    run.compute(progress=False)
    record = json.loads(make_model(run.folder, tmp_path / "made").model_dump_json())
    assert record["training"]["dataset"].startswith("synthetic cells")
    measured = {own["name"]: own for own in record["measured"]}
    assert {"AUC", "weighted F1", "accuracy outside the band"} <= measured.keys()
    assert measured["AUC"]["low"] <= measured["AUC"]["value"] <= measured["AUC"]["high"]
    card = (tmp_path / "made" / "card.md").read_text()
    assert card.index("Research use only") < card.index("Limitations") < card.index("AUC")
    assert load_model_dir(tmp_path / "made").record.novelty.distance > 0
    assert main(["model", "own", "--variant", "area", "--out", str(tmp_path / "no")]) == 2
    assert "it has small network" in capsys.readouterr().err
    assert main(["model", "own", "--out", str(tmp_path / "made")]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_is_sound_on_a_phone_and_asks_for_nothing(model, some, bad, tmp_path, scheme):
    playwright = pytest.importorskip("playwright.sync_api")
    predict(model, [*some, str(bad)], tmp_path / "out")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
        requests, errors = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda note: errors.append(note.text) if note.type == "error" else None)
        page.goto((tmp_path / "out" / "report.html").as_uri())
        assert page.locator("main > *").first.inner_text().startswith("Research use only.")
        assert [u for u in requests if not u.startswith(("file:", "data:"))] == []
        assert errors == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert page.locator("img[alt^='Grad-CAM map']").count() > 0
        assert page.locator("img:not([alt])").count() == 0
        browser.close()


def test_the_small_model_is_small_and_tells_its_honest_numbers(root):
    folder = root / "models" / "small"
    record = load_model_dir(folder).record
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10_000_000
    assert record.training["dataset"].startswith("C-NMC 2019 (7,108 cells")
    published = pd.read_csv(root / "results" / "tables" / "primary.csv")
    published = published[published["estimand"] == "by cells"].set_index("model")
    measured = {own.name: own for own in record.measured}
    for name, column in (("AUC", "auc"), ("weighted F1", "f1_weighted")):
        row = published.loc[record.name]
        assert measured[name].value == row[column]
        assert (measured[name].low, measured[name].high) == (
            row[f"{column}_low"],
            row[f"{column}_high"],
        )
    assert "trained on all of these cells" in record.measured_on
    assert "Research use only" in (folder / "card.md").read_text()


def test_the_small_model_predicts_real_cells(root, shared, tmp_path):
    files = list_images([shared / "cnmc"]).files[:20]
    done = predict(root / "models" / "small", files, tmp_path, maps=4)
    assert done.counts["scored"] == 20
    assert "trained on" in (tmp_path / "report.html").read_text()
