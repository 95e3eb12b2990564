"""Classical baselines: measured features of drawn cells, the kept table, and the models."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lcc_utils.classical import features
from lcc_utils.classical.colour import COLOUR
from lcc_utils.classical.features import FEATURES, feature_table, measure
from lcc_utils.classical.models import CLASSICAL, fit
from lcc_utils.classical.outline import SHAPE, SIZE
from lcc_utils.classical.texture import NUCLEUS, TEXTURE
from lcc_utils.errors import DataError, RequestError

AREA = FEATURES.index("area")


def ellipse(axes, colour=(100, 40, 120), frame=450, turn=0.0):
    """A flat ellipse of these half-axes in px, RGB on black."""
    pixels = np.zeros((frame, frame, 3), np.uint8)
    centre = (frame // 2, frame // 2)
    return cv2.ellipse(pixels, centre, axes, turn, 0, 360, colour, cv2.FILLED)


def noisy(axes=(80, 55), turn=20.0, seed=0):
    """An ellipse with noise in it and a bud on one side: no symmetry is left."""
    pixels = cv2.circle(ellipse(axes, turn=turn), (300, 220), 14, (90, 50, 110), cv2.FILLED)
    noise = np.random.default_rng(seed).integers(-30, 30, pixels.shape)
    spotted = np.clip(pixels.astype(int) + noise, 1, 255).astype(np.uint8)
    return np.where(pixels.any(axis=2, keepdims=True), spotted, 0).astype(np.uint8)


def write(folder, number, pixels):
    path = folder / f"cell_{number}.bmp"
    assert cv2.imwrite(str(path), pixels[..., ::-1])
    return str(path)


@pytest.fixture
def cells(tmp_path):
    rows = []
    for n in range(4):
        pixels = ellipse((40 + 10 * n, 40 + 10 * n))
        rows.append((f"c{n}", write(tmp_path, n, pixels), hashlib.sha256(pixels).hexdigest()))
    return pd.DataFrame(rows, columns=["cell_id", "path", "pixel_sha256"])


@pytest.fixture
def measured(monkeypatch):
    """The images that were measured, by their number of bright pixels."""
    calls = []
    real = features.measure
    monkeypatch.setattr(
        features,
        "measure",
        lambda pixels: calls.append(int(pixels.any(axis=2).sum())) or real(pixels),
    )
    return calls


def test_a_disc_has_the_size_and_shape_of_a_disc():
    disc = measure(ellipse((80, 80)))
    assert disc["area"] == pytest.approx(np.pi * 80**2, rel=0.02)
    for name in ("equivalent_diameter", "long_side", "short_side", "major_axis", "minor_axis"):
        assert disc[name] == pytest.approx(160, rel=0.02)
    assert disc["inscribed_diameter"] == pytest.approx(160, rel=0.03)
    assert disc["perimeter"] == pytest.approx(2 * np.pi * 80, rel=0.03)
    assert disc["eccentricity"] < 0.05
    assert disc["form_factor"] == pytest.approx(1, abs=0.05)
    assert disc["extent"] == pytest.approx(np.pi / 4, abs=0.02)
    for name in ("solidity", "aspect", "convexity", "inscribed_share"):
        assert disc[name] == pytest.approx(1, abs=0.03)
    assert disc["outgrowth_share"] < 0.01
    assert disc["radius_sd"] < 0.01


def test_an_ellipse_has_its_eccentricity_and_second_harmonic():
    oval = measure(ellipse((100, 60)))
    assert oval["eccentricity"] == pytest.approx(0.8, abs=0.01)
    assert oval["aspect"] == pytest.approx(0.6, abs=0.01)
    assert (oval["long_side"], oval["short_side"]) == (201, 121)
    assert oval["outline_2_2"] > 10 * oval["outline_5_8"]


def test_a_bud_is_outgrowth_and_a_bay_lowers_solidity():
    budded = ellipse((80, 80))
    cv2.rectangle(budded, (300, 220), (330, 230), (100, 40, 120), cv2.FILLED)
    assert measure(budded)["outgrowth_share"] == pytest.approx(26 * 11 / (np.pi * 80**2), abs=0.005)
    bay = ellipse((80, 80))
    cv2.circle(bay, (305, 225), 40, (0, 0, 0), cv2.FILLED)
    assert measure(bay)["solidity"] < 0.92


def test_a_flat_colour_is_its_mean_its_quantiles_and_its_hue():
    flat = measure(ellipse((80, 80), (120, 0, 60)))
    for channel, value in (("red", 120), ("green", 0), ("blue", 60)):
        assert flat[f"{channel}_mean"] == pytest.approx(value)
        assert flat[f"{channel}_q05"] == flat[f"{channel}_q95"] == value
        assert flat[f"{channel}_sd"] == pytest.approx(0, abs=1e-3)
    assert flat["hue_mean"] == pytest.approx(330, abs=0.1)
    assert flat["saturation_mean"] == pytest.approx(1)


def test_a_pale_rim_is_seen():
    pixels = ellipse((80, 80), (140, 80, 150))
    cv2.circle(pixels, (225, 225), 60, (60, 20, 70), cv2.FILLED)
    cell = measure(pixels)
    assert cell["red_rim"] > 20 > 0 > cell["red_centre"]
    assert cell["dark_share"] == pytest.approx(60**2 / 80**2, abs=0.02)
    assert cell["dark_contrast"] == pytest.approx(65, abs=8)
    assert cell["dark_solidity"] > 0.97
    assert (cell["dark_pieces"], cell["light_pieces"]) == (1, 1)


def test_noise_has_more_texture_than_a_flat_cell():
    flat, noise = measure(ellipse((80, 55))), measure(noisy())
    for name in ("detail_green_1", "gradient_mean_1", "laplacian_sd", "grey_entropy"):
        assert noise[name] > flat[name] + 0.5
    assert noise["glcm_contrast_1"] > 1 > 0.01 > flat["glcm_contrast_1"]
    assert noise["glcm_homogeneity_1"] < 0.9 < flat["glcm_homogeneity_1"]
    assert flat["glcm_energy_1"] == pytest.approx(1)
    assert sum(noise[f"lbp_1_{n}"] for n in range(10)) == pytest.approx(1)
    assert flat["lbp_1_8"] == pytest.approx(1)


def test_coarse_and_fine_texture_are_told_apart():
    rows, columns = np.indices((450, 450))
    inside = ellipse((100, 100)).any(axis=2)[..., None]

    def waves(length):
        grey = 90 + 40 * np.sin(2 * np.pi * rows / length) * np.sin(2 * np.pi * columns / length)
        return np.where(inside, grey[..., None], 0).astype(np.uint8).repeat(3, axis=2)

    fine, coarse = measure(waves(5)), measure(waves(40))
    assert fine["detail_green_1"] > coarse["detail_green_1"] + 1
    assert coarse["detail_green_8"] > fine["detail_green_8"] + 1
    assert fine["glcm_correlation_3"] < 0.5 < coarse["glcm_correlation_3"]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turns_by_90_degrees_change_nothing(turns):
    upright, turned = measure(noisy()), measure(np.rot90(noisy(), turns).copy())
    for name in (*SIZE, *SHAPE, *NUCLEUS, *TEXTURE):
        # Where several outline pixels share a direction, their order may differ.
        loose = 0.01 if name.startswith(("outline", "radius")) else 2e-3
        assert turned[name] == pytest.approx(upright[name], rel=loose, abs=loose), name


def test_black_around_the_cell_and_specks_beside_it_change_nothing():
    cell = measure(noisy())
    padded = np.pad(noisy(), ((75, 75), (10, 140), (0, 0)))
    assert measure(padded) == cell
    padded[5:8, 5:8] = 90
    assert measure(padded) == cell


@pytest.mark.parametrize("side", [1, 2, 5, 450])
def test_features_are_named_in_order_and_finite_down_to_one_pixel(side):
    pixels = np.zeros((450, 450, 3), np.uint8)
    pixels[:side, :side] = (70, 20, 80)
    cell = measure(pixels)
    assert tuple(cell) == FEATURES == (*SIZE, *SHAPE, *COLOUR, *NUCLEUS, *TEXTURE)
    assert len(set(FEATURES)) == len(FEATURES)
    assert np.isfinite(list(cell.values())).all()
    assert cell["area"] == side**2


def test_the_table_follows_the_order_of_the_cells(cells, tmp_path):
    table = feature_table(cells, tmp_path / "cache")
    assert table.shape == (4, len(FEATURES))
    assert table.dtype == np.float64
    assert table[:, AREA] == pytest.approx([np.pi * r**2 for r in (40, 50, 60, 70)], rel=0.03)
    mixed = cells.iloc[[2, 0, 2]]
    assert np.array_equal(feature_table(mixed, tmp_path / "other"), table[[2, 0, 2]])


def test_cells_are_measured_once(cells, tmp_path, measured):
    first = feature_table(cells, tmp_path / "cache")
    assert len(measured) == 4
    again = feature_table(cells[::-1].assign(path="gone.bmp"), tmp_path / "cache")
    assert len(measured) == 4
    assert np.array_equal(again, first[::-1])


def test_a_changed_cell_or_another_version_is_measured_again(
    cells, tmp_path, measured, monkeypatch
):
    first = feature_table(cells, tmp_path / "cache")
    larger = ellipse((90, 90))
    write(tmp_path, 1, larger)
    changed = cells.copy()
    changed.loc[1, "pixel_sha256"] = hashlib.sha256(larger).hexdigest()
    second = feature_table(changed, tmp_path / "cache")
    assert (first[1, AREA], second[1, AREA]) == pytest.approx((7854, 25447), rel=0.02)
    assert len(measured) == 8
    monkeypatch.setattr(features, "VERSION", features.VERSION + 1)
    feature_table(changed, tmp_path / "cache")
    assert len(measured) == 12


def test_an_interrupted_table_goes_on_after_its_last_chunk(cells, tmp_path, measured, monkeypatch):
    monkeypatch.setattr(features, "_CHUNK", 1)
    monkeypatch.setattr(features, "_each", map)
    whole = feature_table(cells, tmp_path / "whole")
    lost = Path(cells.sort_values("pixel_sha256")["path"].iloc[-1])
    content = lost.read_bytes()
    lost.write_bytes(b"")
    with pytest.raises(DataError, match=rf"{lost.name} is not a readable image"):
        feature_table(cells, tmp_path / "cache")
    lost.write_bytes(content)
    measured.clear()
    assert np.array_equal(feature_table(cells, tmp_path / "cache"), whole)
    assert len(measured) == 1
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".array"]


def test_a_damaged_table_is_made_again(cells, tmp_path):
    table = feature_table(cells, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").glob("features-*.array")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:1000])
    assert np.array_equal(feature_table(cells, tmp_path / "cache"), table)
    assert kept.read_bytes() == whole


def test_processes_give_the_same_table(cells, tmp_path, monkeypatch):
    alone = feature_table(cells, tmp_path / "alone")
    monkeypatch.setattr(features, "_CHUNK", 2)
    together = feature_table(cells, tmp_path / "together")
    assert np.array_equal(alone, together)


def test_an_image_without_a_cell_is_named(cells, tmp_path):
    black = np.zeros((450, 450, 3), np.uint8)
    write(tmp_path, 2, black)
    cells.loc[2, "pixel_sha256"] = hashlib.sha256(black).hexdigest()
    with pytest.raises(DataError, match=r"cell_2\.bmp holds no cell: every pixel is black"):
        feature_table(cells, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("features-*.array"))


@pytest.fixture(scope="module")
def separable():
    """Six hundred cells of each class; ALL cells are larger, and brighter in red."""
    rng = np.random.default_rng(3)
    table = rng.normal(size=(1200, len(FEATURES)))
    labels = np.repeat([0, 1], 600)
    table[:, AREA] += 12 * labels
    table[:, FEATURES.index("red_mean")] += 12 * labels
    return table, labels


@pytest.mark.parametrize("name", CLASSICAL)
def test_separable_cells_are_separated(name, separable):
    table, labels = separable
    fitted = fit(name, table[::2], labels[::2], seed=0)
    scores = fitted.scores(table[1::2])
    assert scores.shape == (600,)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    assert roc_auc_score(labels[1::2], scores) == 1


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_seed_gives_the_same_scores_again(name, separable):
    table, labels = separable
    blurred = table + np.random.default_rng(0).normal(scale=9, size=table.shape)
    first = fit(name, blurred, labels, seed=1).scores(blurred)
    assert np.array_equal(fit(name, blurred, labels, seed=1).scores(blurred), first)
    other = fit(name, blurred, labels, seed=2).scores(blurred)
    assert np.array_equal(other, first) == (name != "gradient_boosting")


def test_scores_do_not_depend_on_the_number_of_threads():
    program = (
        "import sys, hashlib, numpy as np\n"
        "from lcc_utils.classical.features import FEATURES\n"
        "from lcc_utils.classical.models import fit\n"
        "table = np.random.default_rng(5).normal(size=(3000, len(FEATURES)))\n"
        "labels = (table[:, 0] + table[:, 9] + table[:, 40] > 0).astype(int)\n"
        "for name in sys.argv[1:]:\n"
        "    scores = fit(name, table, labels, 0).scores(table)\n"
        "    sys.stdout.write(f'{name} {hashlib.sha256(scores.tobytes()).hexdigest()}\\n')\n"
    )
    said = []
    for threads in ("1", "2"):
        environment = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        done = subprocess.run(
            [sys.executable, "-c", program, *CLASSICAL],
            env={**features.os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        said.append(dict(line.split() for line in done.stdout.splitlines()))
    assert said[0] == said[1]
    assert {name: len(digest) for name, digest in said[0].items()} == dict.fromkeys(CLASSICAL, 64)


def test_the_score_of_area_alone_rises_with_area_and_ignores_the_rest(separable):
    table, labels = separable
    fitted = fit("cell_area", table, labels, seed=0)
    ladder = np.random.default_rng(1).normal(size=(50, len(FEATURES)))
    ladder[:, AREA] = np.linspace(-20, 30, 50)
    assert (np.diff(fitted.scores(ladder)) > 0).all()
    assert fitted.parameters == 2


def test_parameters_are_counted(separable):
    table, labels = separable
    assert fit("logistic_regression", table, labels, 0).parameters == len(FEATURES) + 1
    boosted = fit("gradient_boosting", table, labels, 0).parameters
    assert 150 + 1 <= boosted <= 150 * (8 + 7) + 1


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("label, said", [(0, "HEM"), (1, "ALL")])
def test_one_class_is_refused(name, label, said, separable):
    table, _ = separable
    with pytest.raises(DataError, match=f"{name} cannot be trained: its 1,200 .* all {said}"):
        fit(name, table, np.full(1200, label), seed=0)


def test_an_unknown_model_and_a_feature_that_is_not_finite_are_refused(separable):
    table, labels = separable
    with pytest.raises(RequestError, match="no classical model 'svm'"):
        fit("svm", table, labels, seed=0)
    holed = table.copy()
    holed[7, 3] = np.nan
    with pytest.raises(DataError, match="first in row 7"):
        fit("gradient_boosting", holed, labels, seed=0)


def test_names_of_models_load_without_scikit_learn():
    program = (
        "import sys\n"
        "from lcc_utils.classical.models import CLASSICAL\n"
        "heavy = [m for m in ('sklearn', 'skimage', 'scipy', 'cv2') if m in sys.modules]\n"
        "sys.exit(' '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
