"""Both augmentation engines: what they change, how far, and what they leave alone.

The tests that take `engine` run the Keras layer and imgaug through the same measurements; some
of the layer's are run once more under JAX, in a process of its own.
"""

from __future__ import annotations

import colorsys
import dataclasses
import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from skimage.color import hed_from_rgb, rgb2hed, rgb_from_hed

keras = pytest.importorskip("keras")

from lcc_utils.errors import RequestError  # noqa: E402
from lcc_utils.nn.augment import Augmentation, augment_on_cpu  # noqa: E402
from lcc_utils.nn.policies import POLICIES, Policy  # noqa: E402

SIZE = 32
VIOLET = (110, 50, 130)
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def square_cells(n: int, colour=VIOLET, texture: int = 0) -> np.ndarray:
    """Cells that fill the middle half of a black image, uint8 (n, 32, 32, 3)."""
    images = np.zeros((n, SIZE, SIZE, 3), np.uint8)
    shift = np.random.default_rng(3).integers(-texture, texture + 1, (n, 16, 16, 1))
    images[:, 8:24, 8:24] = np.array(colour) + shift
    return images


def spots(n: int) -> np.ndarray:
    """One white 3x3 spot 10 px right of the centre of a 33 px image, uint8 (n, 33, 33, 3)."""
    images = np.zeros((n, 33, 33, 3), np.uint8)
    images[:, 15:18, 25:28] = 255
    return images


def on_device(images, policy, seed=0, flags=None, training=True) -> np.ndarray:
    flags = np.ones(len(images)) if flags is None else np.asarray(flags)
    layer = Augmentation(policy, seed=seed)
    changed = layer(images.astype("float32"), flags, training=training)
    return keras.ops.convert_to_numpy(changed)


def on_cpu(images, policy, seed=0) -> np.ndarray:
    return augment_on_cpu(images, range(len(images)), policy=policy, seed=seed, epoch=0)


ENGINES = {"device": on_device, "cpu": on_cpu}


@pytest.fixture(params=ENGINES)
def engine(request):
    return ENGINES[request.param]


def cell_pixels(images: np.ndarray) -> np.ndarray:
    """The inner 12x12 pixels of `square_cells`, (n, 144, 3)."""
    return images[:, 10:22, 10:22].reshape(len(images), -1, 3).astype(float)


def polar(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angle in degrees (counted clockwise on the page) and distance in px of the spot."""
    weight = images[..., 0].astype(float)
    total = weight.sum(axis=(1, 2))
    axis = np.arange(33) - 16
    x = (weight * axis).sum(axis=(1, 2)) / total
    y = (weight * axis[:, None]).sum(axis=(1, 2)) / total
    return np.degrees(np.arctan2(y, x)), np.hypot(x, y)


def stains_of(images):
    """Mean concentrations of haematoxylin, eosin and DAB, natural logarithm, (n, 3)."""
    levels = np.maximum(cell_pixels(images).mean(axis=1), 1e-6) / 255
    return -np.log(levels) @ hed_from_rgb


def brightness_of(images):
    return cell_pixels(images).mean(axis=(1, 2)) / np.mean(VIOLET)


def spread_of(images):
    return cell_pixels(images).std(axis=(1, 2))


def noise_of(images):
    return (cell_pixels(images) - np.array(VIOLET)).std(axis=(1, 2))


def hsv_of(images):
    return np.array([colorsys.rgb_to_hsv(*rgb) for rgb in cell_pixels(images).mean(axis=1) / 255])


def test_a_device_image_is_untouched_without_policy_or_training():
    images = square_cells(4, texture=20)
    assert np.array_equal(on_device(images, "none"), images)
    assert np.array_equal(on_device(images, "comprehensive", training=False), images)


def test_only_flagged_device_images_change():
    images = square_cells(6, texture=20)
    flags = [1, 0, 1, 0, 0, 1]
    changed = on_device(images, "comprehensive", flags=flags)
    differs = (changed != images).any(axis=(1, 2, 3))
    assert differs.tolist() == [bool(flag) for flag in flags]


def test_flags_may_be_of_any_number_type_on_the_device():
    images = square_cells(3, texture=20)
    expected = on_device(images, "paper", flags=[1.0, 0.0, 1.0])
    for dtype in ("bool", "int32", "uint8"):
        flags = np.array([1, 0, 1], dtype)
        assert np.array_equal(on_device(images, "paper", flags=flags), expected)


def test_none_returns_an_equal_copy_on_the_cpu():
    images = square_cells(2)
    same = on_cpu(images, "none")
    assert np.array_equal(same, images)
    assert not np.shares_memory(same, images)


def test_the_cpu_engine_leaves_its_input_alone():
    images = square_cells(4, texture=20)
    before = images.copy()
    assert not np.array_equal(on_cpu(images, "comprehensive"), before)
    assert np.array_equal(images, before)


def test_certain_flips_are_exact_mirrors(engine):
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3)).astype(np.uint8)
    assert np.array_equal(engine(images, Policy(horizontal_flip=1.0)), images[:, :, ::-1])
    assert np.array_equal(engine(images, Policy(vertical_flip=1.0)), images[:, ::-1])


def test_half_of_the_images_are_mirrored_at_probability_one_half(engine):
    images = spots(400)
    mirrored = polar(engine(images, Policy(horizontal_flip=0.5)))[0] > 90
    # Four standard deviations of a binomial count about 200.
    assert 160 < mirrored.sum() < 240


def test_a_flip_joined_with_a_resampling_is_still_a_mirror_on_the_device():
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3)).astype(np.uint8)
    tiny = Policy(horizontal_flip=1.0, vertical_flip=1.0, rotation=1e-5)
    assert np.abs(on_device(images, tiny) - images[:, ::-1, ::-1].astype(float)).max() < 0.1


def test_rotation_fills_its_range_and_stays_inside(engine):
    angles, distances = polar(engine(spots(400), Policy(rotation=10.0)))
    assert np.abs(angles).max() < 10.5
    assert angles.min() < -9
    assert angles.max() > 9
    assert abs(angles.mean()) < 1.2
    assert np.abs(distances - 10).max() < 0.4


def test_full_rotation_reaches_every_eighth_of_the_circle(engine):
    angles, _ = polar(engine(spots(400), POLICIES["comprehensive"]))
    counts, _ = np.histogram(angles, bins=8, range=(-180, 180))
    assert counts.min() > 20


def test_scale_moves_the_spot_outwards_or_inwards_by_a_tenth_at_most(engine):
    angles, distances = polar(engine(spots(300), Policy(scale=0.1)))
    assert np.abs(angles).max() < 0.5
    assert 8.8 < distances.min() < 9.2
    assert 10.8 < distances.max() < 11.2


@pytest.mark.parametrize(
    "policy, measured, low, high, tolerance",
    [
        (Policy(brightness=0.1), brightness_of, 0.9, 1.1, 0.01),
        (Policy(brightness=0.1, contrast=0.1), brightness_of, 0.9, 1.1, 0.01),
        (Policy(noise=6.0), noise_of, 0.0, 6.0, 0.4),
        # A violet at hue .792 and saturation .615.
        (Policy(hue=0.03), lambda x: hsv_of(x)[:, 0], 0.762, 0.822, 0.006),
        (Policy(saturation=0.2), lambda x: hsv_of(x)[:, 1], 0.492, 0.738, 0.015),
    ],
    ids=["brightness", "brightness beside contrast", "noise", "hue", "saturation"],
)
def test_colour_changes_are_uniform_over_the_same_range_in_both_engines(
    policy, measured, low, high, tolerance
):
    quantiles = np.array([0, 0.25, 0.5, 0.75, 1])
    expected = low + quantiles * (high - low)
    sampling = 0.1 * (high - low)
    images = square_cells(600)
    for engine in ENGINES.values():
        found = np.quantile(measured(engine(images, policy)), quantiles)
        assert np.abs(found - expected).max() < sampling + tolerance


# A nucleus of this colour holds these concentrations: .74, .69 and .35.
STAINED = np.array([0.74, 0.69, 0.35])
STAINED_COLOUR = 255 * np.exp(-STAINED @ rgb_from_hed)


def test_concentrations_are_those_of_ruifrok_and_johnston():
    pixels = np.full((1, 12, 12, 3), STAINED_COLOUR)
    images = np.pad(pixels, ((0, 0), (10, 10), (10, 10), (0, 0)))
    np.testing.assert_allclose(stains_of(images), [STAINED], atol=1e-9)
    # scikit-image counts in units of ln 10^6.
    reference = rgb2hed(STAINED_COLOUR[None, None] / 255)[0, 0] * np.log(1e6)
    np.testing.assert_allclose(reference, STAINED, atol=1e-9)


def test_each_stain_varies_on_its_own_over_the_same_range_in_both_engines():
    images = square_cells(900, np.rint(STAINED_COLOUR))
    base = stains_of(images[:1])[0]
    found = {name: stains_of(engine(images, Policy(stain=0.1))) for name, engine in ENGINES.items()}
    for stains in found.values():
        moved = stains - base
        # base * (1 ± .1) ± .1, two uniforms; a level of rounding moves a stain by .02 or so.
        assert np.abs(moved).max(axis=0) == pytest.approx(0.1 * (1 + base), rel=0.12)
        assert moved.std(axis=0) == pytest.approx(0.1 * np.hypot(1, base) / np.sqrt(3), rel=0.08)
        assert np.abs(moved.mean(axis=0)).max() < 0.012
        between = np.corrcoef(moved.T)[np.triu_indices(3, 1)]
        assert np.abs(between).max() < 0.12
    quantiles = [np.quantile(stains, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
                 for stains in found.values()]  # fmt: skip
    assert np.abs(quantiles[0] - quantiles[1]).max() < 0.025


def test_a_jitter_of_stains_fades_with_the_rim_of_a_cell(engine):
    """A rim at a tenth of the level stays one: neither a bright nor a dark outline appears."""
    colour = np.array([200.0, 120.0, 180.0])
    images = np.zeros((60, SIZE, SIZE, 3), np.uint8)
    images[:, 8:24, 8:24] = colour * 0.1
    images[:, 9:23, 9:23] = colour
    changed = engine(images, Policy(stain=0.1)).astype(float)
    share = changed[:, 8, 8:24].mean(axis=1) / changed[:, 10, 10:22].mean(axis=1)
    assert np.abs(share - 0.1).max() < 0.05
    assert changed[:, :8].max() == 0


def test_draws_of_other_policies_do_not_depend_on_the_jitter_of_stains():
    """One random call draws all properties, stains last and only where the policy has them."""
    layer = Augmentation("comprehensive", seed=1)
    assert not [name for name in layer._draw(2) if "eosin" in name]
    assert len(layer._draw(2)) == 9


def test_the_stain_policy_is_the_comprehensive_one_with_stains_for_hue_and_saturation():
    same = dataclasses.replace(POLICIES["stain"], stain=0.0, hue=0.03, saturation=0.2)
    assert same == POLICIES["comprehensive"]
    assert POLICIES["stain"].stain == 0.1


def test_contrast_scales_the_spread_of_a_cell_and_keeps_its_mean(engine):
    images = square_cells(300, texture=30)
    changed = engine(images, Policy(contrast=0.1))
    ratio = spread_of(changed) / spread_of(images)
    assert 0.89 < ratio.min() < 0.915
    assert 1.085 < ratio.max() < 1.11
    means = changed[:, 8:24, 8:24].mean(axis=(1, 2, 3), dtype=float)
    assert np.abs(means - images[:, 8:24, 8:24].mean(axis=(1, 2, 3))).max() < 0.3


def test_the_ground_stays_black(engine):
    """A cell moved by a rotation of 180 degrees and a scale of 1.1 stays inside its corner."""
    images = square_cells(64, texture=20)
    reach = 1.1 * np.hypot(8, 8) + 1.5
    axis = np.arange(SIZE) - (SIZE - 1) / 2
    outside = np.hypot(axis, axis[:, None]) > reach
    assert outside.sum() > 300
    for policy in ("paper", "comprehensive", "stain"):
        assert engine(images, policy)[:, outside].max() == 0


@pytest.mark.parametrize("policy", ["comprehensive", "stain"])
def test_an_all_black_image_stays_black(engine, policy):
    assert engine(np.zeros((4, 16, 16, 3), np.uint8), policy).max() == 0


def test_levels_are_clipped_to_0_and_255(engine):
    images = np.full((40, 16, 16, 3), 250, np.uint8)
    images[:, ::2, ::2] = 3
    changed = engine(images, Policy(brightness=0.5, contrast=0.5, noise=20.0, stain=0.1)).astype(
        float
    )
    assert np.isfinite(changed).all()
    assert changed.min() == 0
    assert changed.max() == 255
    # Wrapping round would turn the bright checks of a brightened image dark.
    assert changed[:, 1::2, 1::2].min() > 60


@pytest.mark.parametrize("policy", ["comprehensive", Policy(stain=0.1)])
def test_a_seed_decides_what_happens(engine, policy):
    images = square_cells(4, texture=20)
    first = engine(images, policy, seed=5)
    assert np.array_equal(engine(images, policy, seed=5), first)
    assert not np.array_equal(engine(images, policy, seed=6), first)


@pytest.mark.parametrize("policy", ["paper", Policy(stain=0.1)])
def test_images_of_one_batch_have_draws_of_their_own(engine, policy):
    changed = engine(square_cells(8), policy)
    assert len({image.tobytes() for image in changed}) == 8


def test_a_device_layer_draws_anew_at_each_call_and_reseed_starts_over():
    images = square_cells(4, texture=20).astype("float32")
    layer = Augmentation("paper", seed=5)
    first, second = (
        keras.ops.convert_to_numpy(layer(images, np.ones(4), training=True)) for _ in range(2)
    )
    assert not np.array_equal(first, second)
    layer.reseed(5)
    again = keras.ops.convert_to_numpy(layer(images, np.ones(4), training=True))
    assert np.array_equal(again, first)
    layer.reseed(6)
    other = keras.ops.convert_to_numpy(layer(images, np.ones(4), training=True))
    assert np.array_equal(other, on_device(images, "paper", seed=6))


def test_a_device_layer_trains_inside_a_model_with_batches_of_any_size():
    images = keras.Input((SIZE, SIZE, 3))
    flags = keras.Input(())
    pixels = Augmentation("comprehensive", seed=1)(images, flags)
    assert pixels.shape == (None, SIZE, SIZE, 3)
    outputs = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(pixels))
    model = keras.Model([images, flags], outputs)
    model.compile("sgd", "mse")
    cells = square_cells(5).astype("float32") / 255
    history = model.fit([cells, np.ones(5)], np.ones((5, 1)), batch_size=3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    predicted = [model.predict([cells, np.full(5, flag)], verbose=0) for flag in (0.0, 1.0)]
    assert np.array_equal(*predicted)


def test_a_device_layer_can_be_saved_and_read(tmp_path):
    images, flags = keras.Input((8, 8, 3)), keras.Input(())
    own = Policy(rotation=25.0, hue=0.01)
    keras.Model(
        [images, flags], Augmentation(own, seed=7, name="augmentation")(images, flags)
    ).save(tmp_path / "model.keras")
    read = keras.saving.load_model(tmp_path / "model.keras").get_layer("augmentation")
    assert (read.policy, read.seed) == (own, 7)


def test_a_device_layer_computes_in_float32_under_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        images = np.full((1, 8, 8, 3), 201.25, "float32")  # bfloat16 rounds it to 201
        out = Augmentation("paper")(images, np.zeros(1), training=True)
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    assert np.array_equal(keras.ops.convert_to_numpy(out), images)


def test_what_happens_to_a_cell_on_the_cpu_does_not_depend_on_its_batch():
    images = square_cells(5, texture=20)
    cells = [40, 7, 1999, 0, 12]
    setting = {"policy": "comprehensive", "seed": 4, "epoch": 2}
    together = augment_on_cpu(images, cells, **setting)
    backwards = augment_on_cpu(images[::-1], cells[::-1], **setting)[::-1]
    alone = [augment_on_cpu(images[i : i + 1], [cells[i]], **setting)[0] for i in range(len(cells))]
    assert np.array_equal(backwards, together)
    assert np.array_equal(alone, together)


def test_each_cell_and_epoch_has_a_change_of_its_own_on_the_cpu():
    images = np.repeat(square_cells(1), 4, axis=0)
    first = augment_on_cpu(images, [0, 1, 2, 0], policy="paper", seed=0, epoch=0)
    second = augment_on_cpu(images, [0, 1, 2, 0], policy="paper", seed=0, epoch=1)
    assert np.array_equal(first[0], first[3])
    assert len({image.tobytes() for image in [*first[:3], *second[:3]]}) == 6


def test_an_unknown_policy_is_refused_with_the_known_names():
    with pytest.raises(RequestError, match=r"'papper'.*none, paper, comprehensive"):
        Augmentation("papper")
    with pytest.raises(RequestError, match="none, paper, comprehensive"):
        on_cpu(square_cells(1), "strong")


def test_the_cpu_engine_refuses_what_is_not_a_batch_of_uint8_images():
    with pytest.raises(RequestError, match="float32"):
        on_cpu(square_cells(1).astype("float32"), "paper")
    with pytest.raises(RequestError, match="2 images and 1 cell"):
        augment_on_cpu(square_cells(2), [1], policy="paper", seed=0, epoch=0)


def run_python(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], cwd=env["PYTHONPATH"], env=env, capture_output=True, text=True
    )


FRESH_PROCESS = """
import hashlib, sys
sys.path.insert(0, "tests")
from test_augment import augment_on_cpu, square_cells
assert "imgaug" not in sys.modules
images = square_cells(5, texture=20)
changed = augment_on_cpu(images[2:4], [1999, 0], policy="comprehensive", seed=4, epoch=2)
print(hashlib.sha256(changed.tobytes()).hexdigest())
"""


@pytest.mark.skipif(not ON_TENSORFLOW, reason="runs once, in the TensorFlow process")
def test_another_process_changes_a_cell_alike_and_loads_imgaug_only_then(under_jax):
    images = square_cells(5, texture=20)
    here = augment_on_cpu(images, [40, 7, 1999, 0, 12], policy="comprehensive", seed=4, epoch=2)
    there = run_python("-c", FRESH_PROCESS, env={**under_jax, "KERAS_BACKEND": "numpy"})
    assert there.returncode == 0, there.stderr
    assert there.stdout.split()[-1] == hashlib.sha256(here[2:4].tobytes()).hexdigest()


@pytest.mark.skipif(not ON_TENSORFLOW, reason="runs once, in the TensorFlow process")
def test_threads_that_change_cells_at_once_do_not_disturb_each_other():
    images = square_cells(24, texture=20)
    parts = [range(start, start + 6) for start in range(0, 24, 6)]

    def change(part: range) -> np.ndarray:
        return augment_on_cpu(images[part], list(part), policy="comprehensive", seed=4, epoch=2)

    alone = [change(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(change, parts))
    assert np.array_equal(alone, together)
