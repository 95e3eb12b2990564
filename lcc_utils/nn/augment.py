"""Image augmentation: one description of what may change, two engines that carry it out.

`Augmentation` is a Keras layer and runs on the device, inside the training step.
`augment_on_cpu` runs imgaug on uint8 arrays. Both read the same `Policy`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import keras
import numpy as np
from keras import ops
from skimage.color import hed_from_rgb, rgb_from_hed

from lcc_utils.errors import RequestError
from lcc_utils.nn.policies import Policy, policy_named

# Bilinear sampling leaves a rim where the cell fades into the ground. What is added to a cell
# (contrast offset, noise) fades with it: fully above this level of the brightest channel, not at
# all at 0. A hard threshold would draw a bright outline, which a classifier could learn.
EDGE_LEVEL = 32.0
STAINS = ("haematoxylin", "eosin", "dab")


@keras.saving.register_keras_serializable(package="lcc_utils")
class Augmentation(keras.layers.Layer):
    """Change flagged images at random while training; the black ground stays black.

    Flips, rotation and scale are one bilinear resampling; then stains, hue and saturation,
    brightness and contrast, and noise follow in this order. Every image has its own random draws.

    Parameters
    ----------
    policy : str or Policy
        A name in `POLICIES`, or a policy of your own.
    seed : int
        Seed of the layer's random draws.
    **kwargs
        Passed on to `keras.layers.Layer`. The layer computes in float32 unless `dtype` is given,
        since half precision would round interpolated levels.

    Notes
    -----
    Input `images` is (n, h, w, 3) with levels 0 to 255, `flags` is (n,): an image with flag 0 is
    returned exactly as it came. Output is (n, h, w, 3) in 0 to 255. Without `training`, every
    image is returned as it came.

    Raises
    ------
    RequestError
        The policy is unknown.
    ValueError
        The shapes of images and flags are others, as far as they are known.
    """

    def __init__(self, policy: str | Policy | dict, seed: int = 0, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.policy = policy_named(policy)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        if self.policy.resamples and keras.backend.backend() == "tensorflow":
            # XLA cannot compile TensorFlow's projective transform; Keras then trains without it.
            self.supports_jit = False

    def reseed(self, seed: int) -> None:
        """Start the random draws anew, as in a layer just made with this seed."""
        self.seed = seed
        self.seed_generator.state.assign(keras.random.SeedGenerator(seed).state)

    def call(self, images, flags, training=None):
        """Return (n, h, w, 3) images, those with a flag changed while training."""
        _check_shapes(images.shape, flags.shape)
        images = ops.cast(images, self.compute_dtype)
        if not training or self.policy.is_identity:
            return images
        draw = self._draw(ops.shape(images)[0])
        changed = self._move(images, draw)
        if self.policy.recolours:
            changed = self._recolour(changed, draw)
        return _chosen(ops.cast(flags, "bool"), changed, images)

    def compute_output_shape(self, images_shape, flags_shape):  # noqa: ARG002
        """Return the shape of the images, which stays as it is."""
        return images_shape

    def get_config(self) -> dict:
        """Return what `from_config` needs to make the same layer."""
        return {**super().get_config(), "policy": asdict(self.policy), "seed": self.seed}

    def _draw(self, n) -> dict:
        """Draw one value an image for every property, all in a single random call."""
        policy = self.policy
        ranges = {
            "mirrored": (policy.horizontal_flip - 1.0, policy.horizontal_flip),
            "upturned": (policy.vertical_flip - 1.0, policy.vertical_flip),
            "angle": (-math.radians(policy.rotation), math.radians(policy.rotation)),
            "scale": (1.0 - policy.scale, 1.0 + policy.scale),
            "brightness": (1.0 - policy.brightness, 1.0 + policy.brightness),
            "contrast": (1.0 - policy.contrast, 1.0 + policy.contrast),
            "hue": (-policy.hue, policy.hue),
            "saturation": (1.0 - policy.saturation, 1.0 + policy.saturation),
            "noise": (0.0, policy.noise),
        }
        if policy.stain:
            # Last, and only where wanted: the draws of other policies stay what they were.
            for stain in STAINS:
                ranges[f"{stain} factor"] = (1.0 - policy.stain, 1.0 + policy.stain)
                ranges[f"{stain} shift"] = (-policy.stain, policy.stain)
        low, high = (np.array(bounds, "float32") for bounds in zip(*ranges.values(), strict=True))
        unit = keras.random.uniform(
            (n, len(ranges)), dtype=self.compute_dtype, seed=self.seed_generator
        )
        # In this order: torch adds an array to a tensor, not a tensor to an array.
        values = unit * (high - low) + low
        return {name: values[:, column] for column, name in enumerate(ranges)}

    def _move(self, images, draw):
        # A uniform draw between p - 1 and p is above 0 with probability p.
        mirrored, upturned = draw["mirrored"] > 0, draw["upturned"] > 0
        if self.policy.resamples:
            matrix = _inverse_affine(images, mirrored, upturned, draw["angle"], draw["scale"])
            return ops.image.affine_transform(
                images, matrix, interpolation="bilinear", fill_mode="constant", fill_value=0,
                data_format="channels_last",
            )  # fmt: skip
        if self.policy.horizontal_flip:
            images = ops.where(_per_image(mirrored), ops.flip(images, axis=2), images)
        if self.policy.vertical_flip:
            images = ops.where(_per_image(upturned), ops.flip(images, axis=1), images)
        return images

    def _recolour(self, images, draw):
        policy = self.policy
        if policy.stain:
            factors, shifts = (
                ops.stack([draw[f"{stain} {what}"] for stain in STAINS], axis=-1)
                for what in ("factor", "shift")
            )
            images = _jitter_stains(images, factors, shifts)
        if policy.hue or policy.saturation:
            images = _shift_hue_and_saturation(images, draw["hue"], draw["saturation"])
        if policy.contrast or policy.noise:
            coverage = _coverage(images)
        if policy.brightness or policy.contrast:
            brightness, contrast = _per_image(draw["brightness"]), _per_image(draw["contrast"])
            recoloured = images * (brightness * contrast)
            if policy.contrast:
                mean = _cell_mean(images, coverage)
                recoloured = recoloured + coverage * (brightness * (1.0 - contrast) * mean)
            images = recoloured
        if policy.noise:
            noise = keras.random.normal(
                ops.shape(images), dtype=self.compute_dtype, seed=self.seed_generator
            )
            images = images + coverage * (_per_image(draw["noise"]) * noise)
        return ops.clip(images, 0.0, 255.0)


def augment_on_cpu(
    images: np.ndarray,
    cells: Sequence[int],
    *,
    policy: str | Policy,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Change images at random with imgaug; the black ground stays black.

    Parameters
    ----------
    images : numpy.ndarray
        uint8, (n, h, w, 3); left as it is.
    cells : sequence of int
        One number an image, not negative. What happens to image i follows from `seed`, `epoch`
        and `cells[i]` alone, so it is the same in any batch, order or process.
    policy : str or Policy
        A name in `POLICIES`, or a policy of your own.
    seed, epoch : int
        Seed of the run and number of the epoch, not negative.

    Returns
    -------
    numpy.ndarray
        uint8, (n, h, w, 3).

    Raises
    ------
    RequestError
        The policy is unknown, `images` is not uint8 (n, h, w, 3), or `cells` has another length.
    """
    chosen = policy_named(policy)
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise RequestError(
            "augment_on_cpu takes uint8 images of shape (n, h, w, 3), not "
            f"{images.dtype} {images.shape}. Stack the images and keep their levels 0 to 255."
        )
    if len(cells) != len(images):
        raise RequestError(
            f"augment_on_cpu got {len(images)} images and {len(cells)} cell numbers. Give one "
            "number an image."
        )
    if chosen.is_identity:
        return images.copy()
    # Here, not above: imgaug takes a second to load and only this engine needs it.
    from lcc_utils.nn import augment_imgaug

    return augment_imgaug.augment(images, cells, chosen, seed, epoch, EDGE_LEVEL)


def _check_shapes(images, flags):
    """Refuse images that are not (n, h, w, 3), and flags that would be broadcast over them."""
    fits = len(images) == 4 and images[-1] in (3, None) and len(flags) == 1
    if not fits or (None not in (images[0], flags[0]) and images[0] != flags[0]):
        raise ValueError(
            f"Augmentation takes images (n, height, width, 3) and flags (n,); got {tuple(images)} "
            f"and {tuple(flags)}."
        )


def _chosen(flags, changed, images):
    """Images that have a flag from the first, the others from the second."""
    if keras.backend.backend() == "tensorflow":
        # It copies whole images; where, which compares pixel by pixel, takes four times as long.
        from tensorflow.raw_ops import Select

        return Select(condition=flags, x=changed, y=images)
    return ops.where(_per_image(flags), changed, images)


def _coverage(images):
    """How far each pixel lies above the ground, (n, h, w, 1): 0 on it, 1 from EDGE_LEVEL up."""
    red, green, blue = images[..., :1], images[..., 1:2], images[..., 2:]
    return ops.minimum(ops.maximum(ops.maximum(red, green), blue) / EDGE_LEVEL, 1.0)


def _per_image(values):
    return ops.reshape(values, (-1, 1, 1, 1))


def _inverse_affine(images, mirrored, upturned, angle, scale):
    """Rows (a0, a1, a2, b0, b1, b2, 0, 0) that take an output pixel to its input pixel.

    The input point is M (output - centre) + centre: turned back by the angle, divided by the
    scale, then mirrored.
    """
    height, width = images.shape[1], images.shape[2]
    centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
    # Not from two plain numbers, which would take the float type of keras.json.
    sign_x, sign_y = (1.0 - 2.0 * ops.cast(own, angle.dtype) for own in (mirrored, upturned))
    cosine, sine = ops.cos(angle) / scale, ops.sin(angle) / scale
    a0, a1 = sign_x * cosine, sign_x * sine
    b0, b1 = -sign_y * sine, sign_y * cosine
    a2 = centre_x - a0 * centre_x - a1 * centre_y
    b2 = centre_y - b0 * centre_x - b1 * centre_y
    zero = ops.zeros_like(a0)
    return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)


def _jitter_stains(images, factors, shifts):
    """Change the concentrations of three stains by (n, 3) factors and shifts."""
    coverage = _coverage(images)
    # The rim fades into the ground: change the colour before fading, then fade it as it was.
    levels = images / ops.maximum(coverage, 1.0 / EDGE_LEVEL)
    density = -ops.log(ops.maximum(levels, 1.0) / 255.0)
    stains = ops.matmul(density, ops.cast(hed_from_rgb, density.dtype))
    stains = stains * factors[:, None, None] + shifts[:, None, None]
    density = ops.matmul(stains, ops.cast(rgb_from_hed, density.dtype))
    return coverage * ops.minimum(255.0 * ops.exp(-density), 255.0)


def _shift_hue_and_saturation(images, shift, factor):
    # Hue and saturation do not depend on the unit of the levels, and the value has theirs.
    hue, saturation, value = ops.split(
        ops.image.rgb_to_hsv(images, data_format="channels_last"), 3, axis=-1
    )
    hue = hue + _per_image(shift)
    hue = hue - ops.floor(hue)
    saturation = ops.minimum(saturation * _per_image(factor), 1.0)
    changed = ops.concatenate([hue, saturation, value], axis=-1)
    return ops.image.hsv_to_rgb(changed, data_format="channels_last")


def _cell_mean(images, coverage):
    """Mean level of the cell over its pixels and channels, (n, 1, 1, 1); 0 without a cell."""
    total = ops.sum(images * coverage, axis=(1, 2, 3), keepdims=True)
    pixels = ops.sum(coverage, axis=(1, 2, 3), keepdims=True)
    return total / ops.maximum(3.0 * pixels, 1.0)
