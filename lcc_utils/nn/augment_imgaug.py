"""The CPU engine of `lcc_utils.nn.augment`: the same policy, carried out by imgaug."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

if not hasattr(np, "sctypes"):
    # imgaug 0.4.0 reads this table while it is imported; NumPy 2 no longer has it.
    np.sctypes = {  # noqa: NPY201
        "int": [np.int8, np.int16, np.int32, np.int64],
        "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
        "float": [np.float16, np.float32, np.float64],
        "complex": [np.complex64, np.complex128],
        "others": [bool, object, bytes, str, np.void],
    }

import imgaug.augmenters as iaa
from skimage.color import hed_from_rgb, rgb_from_hed

if TYPE_CHECKING:
    from lcc_utils.nn.policies import Policy

# An augmenter is seeded and then draws: no other thread may come between.
_ONE_AT_A_TIME = Lock()


def augment(
    images: np.ndarray,
    cells: Sequence[int],
    policy: Policy,
    seed: int,
    epoch: int,
    edge_level: float,
) -> np.ndarray:
    """Change each image by the draws that (seed, epoch, cell) lead to.

    Parameters
    ----------
    images : numpy.ndarray
        uint8, (n, h, w, 3).
    cells : sequence of int
        One number an image.
    policy : Policy
        Not the identity.
    seed, epoch : int
        Seed of the run, number of the epoch.
    edge_level : float
        Brightest channel at which a pixel counts as cell altogether.

    Returns
    -------
    numpy.ndarray
        uint8, (n, h, w, 3).
    """
    geometry, colour, noise = _augmenters(policy, edge_level)
    changed = np.empty_like(images)
    for i, cell in enumerate(cells):
        entropy = np.random.SeedSequence([int(seed), int(epoch), int(cell)]).generate_state(3)
        moved = _apply(geometry, images[i], entropy[0])
        recoloured = _apply(colour, moved, entropy[1])
        if noise is not None:
            noisy = _apply(noise, recoloured, entropy[2]).astype(np.float32)
            coverage = _coverage(recoloured, edge_level)
            recoloured = recoloured + coverage * (noisy - recoloured)
            recoloured = np.rint(recoloured).astype(np.uint8)
        changed[i] = recoloured
    return changed


def _apply(augmenter: iaa.Augmenter | None, image: np.ndarray, entropy: int) -> np.ndarray:
    if augmenter is None:
        return image
    with _ONE_AT_A_TIME:
        augmenter.seed_(int(entropy))
        return augmenter.augment_image(image)


@lru_cache(maxsize=16)
def _augmenters(
    policy: Policy, edge_level: float
) -> tuple[iaa.Augmenter | None, iaa.Augmenter | None, iaa.Augmenter | None]:
    """Geometry, colour and noise; None for a part that the policy leaves out."""
    geometry = []
    if policy.horizontal_flip:
        geometry.append(iaa.Fliplr(policy.horizontal_flip))
    if policy.vertical_flip:
        geometry.append(iaa.Flipud(policy.vertical_flip))
    if policy.resamples:
        geometry.append(
            iaa.Affine(
                rotate=(-policy.rotation, policy.rotation),
                scale=_around_one(policy.scale),
                order=1,
                mode="constant",
                cval=0,
            )
        )
    colour = []
    if policy.stain:
        colour.append(_stain_jitter(policy.stain, edge_level))
    if policy.hue:
        # imgaug counts the colour circle as 255.
        colour.append(iaa.AddToHue((round(-255 * policy.hue), round(255 * policy.hue))))
    if policy.saturation:
        colour.append(iaa.MultiplySaturation(_around_one(policy.saturation)))
    if policy.brightness:
        colour.append(iaa.Multiply(_around_one(policy.brightness)))
    if policy.contrast:
        colour.append(_cell_contrast(_around_one(policy.contrast), edge_level))
    noise = None
    if policy.noise:
        noise = iaa.AdditiveGaussianNoise(scale=(0, policy.noise), per_channel=True)
    return _sequence(geometry), _sequence(colour), noise


def _sequence(steps: list[iaa.Augmenter]) -> iaa.Augmenter | None:
    return iaa.Sequential(steps) if steps else None


def _around_one(width: float) -> tuple[float, float]:
    return 1.0 - width, 1.0 + width


def _cell_contrast(bounds: tuple[float, float], edge_level: float) -> iaa.Augmenter:
    """Contrast about the mean of the cell; imgaug's own turns about 128 and lifts the ground."""

    def change(images, random_state, _parents, _hooks):
        factors = random_state.uniform(*bounds, size=len(images))
        return [_contrast(*pair, edge_level) for pair in zip(images, factors, strict=True)]

    return iaa.Lambda(func_images=change)


def _contrast(image: np.ndarray, factor: float, edge_level: float) -> np.ndarray:
    coverage = _coverage(image, edge_level)
    mean = (image * coverage).sum() / max(3.0 * coverage.sum(), 1.0)
    changed = factor * image + coverage * ((1.0 - factor) * mean)
    return np.rint(changed).clip(0, 255).astype(np.uint8)


def _stain_jitter(width: float, edge_level: float) -> iaa.Augmenter:
    """Change the concentrations of haematoxylin, eosin and DAB, each on its own."""

    def change(images, random_state, _parents, _hooks):
        factors = random_state.uniform(1.0 - width, 1.0 + width, size=(len(images), 3))
        shifts = random_state.uniform(-width, width, size=(len(images), 3))
        draws = zip(images, factors, shifts, strict=True)
        return [_stained(*draw, edge_level) for draw in draws]

    return iaa.Lambda(func_images=change)


def _stained(
    image: np.ndarray, factors: np.ndarray, shifts: np.ndarray, edge_level: float
) -> np.ndarray:
    coverage = _coverage(image, edge_level)
    # The rim fades into the ground: change the colour before fading, then fade it as it was.
    levels = image / np.maximum(coverage, 1.0 / edge_level)
    stains = -np.log(np.maximum(levels, 1.0) / 255.0) @ hed_from_rgb.astype(np.float32)
    stains = (stains * factors + shifts).astype(np.float32)
    changed = 255.0 * np.exp(-(stains @ rgb_from_hed.astype(np.float32)))
    return np.rint(coverage * changed.clip(0, 255)).astype(np.uint8)


def _coverage(image: np.ndarray, edge_level: float) -> np.ndarray:
    """How far each pixel belongs to the cell, 0 to 1, (h, w, 1)."""
    red, green, blue = np.moveaxis(image, -1, 0)  # ``image.max(axis=-1)`` takes ten times as long
    brightest = np.maximum(np.maximum(red, green), blue)[..., None].astype(np.float32)
    return np.minimum(brightest / edge_level, 1.0)
