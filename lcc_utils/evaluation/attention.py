"""Whether a map of attention may be believed, and where it lies: numbers from maps and pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
import skimage
from numpy.typing import ArrayLike, NDArray

from lcc_utils.errors import DataError
from lcc_utils.evaluation.intervals import DIFFERENCE, Interval, jackknife
from lcc_utils.evaluation.ranks import ranks

RINGS = 5
STEPS = 16
Score = Callable[[np.ndarray], np.ndarray]
_GREEN = 1


@dataclass(frozen=True)
class Regions:
    """The parts of an image, bool ``(height, width)`` each; every pixel is in one of them."""

    nucleus: NDArray[np.bool_]
    cytoplasm: NDArray[np.bool_]
    background: NDArray[np.bool_]

    @property
    def cell(self) -> NDArray[np.bool_]:
        """Nucleus and cytoplasm."""
        return ~self.background


def regions(image: np.ndarray) -> Regions:
    """Part an image of a cell on black into nucleus, cytoplasm and background.

    Background is black. The nucleus is what is darker in green, where its stain absorbs most,
    than Otsu's threshold over the cell; green is smoothed first (by 1/64 of the side) within the
    cell. The rest of the cell counts as cytoplasm: in C-NMC, mostly a rim. A cell of one shade
    is all nucleus.

    Parameters
    ----------
    image
        RGB ``(height, width, 3)``, 0 to 255.

    Raises
    ------
    DataError
        If every pixel is black, or the image has another shape.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3:
        raise DataError(f"An image of a cell is (height, width, 3), this one is {image.shape}.")
    cell = image.any(axis=-1)
    if not cell.any():
        raise DataError("The image has no cell: every pixel is black.")
    sigma = image.shape[0] / 64
    weight = scipy.ndimage.gaussian_filter(cell.astype(float), sigma)
    green = scipy.ndimage.gaussian_filter(image[..., _GREEN] * cell.astype(float), sigma)
    green = green / np.maximum(weight, 1e-9)
    inside = green[cell]
    flat = np.ptp(inside) < 1e-6
    nucleus = cell if flat else cell & (green <= skimage.filters.threshold_otsu(inside))
    return Regions(nucleus, cell & ~nucleus, ~cell)


def shares(attention: np.ndarray, parts: Regions) -> dict[str, float]:
    """Return the share of a map's sum in each region; nan for a map of zeros.

    Keys are ``share_nucleus, share_cytoplasm, share_background``; together they are 1.
    """
    total = float(attention.sum())
    names = ("nucleus", "cytoplasm", "background")
    return {
        f"share_{name}": float(attention[getattr(parts, name)].sum()) / total if total else np.nan
        for name in names
    }


def rings(cell: NDArray[np.bool_], count: int = RINGS) -> NDArray[np.int64]:
    """Return each pixel's ring: 1 at the outline to `count` in the middle, 0 outside the cell.

    Rings follow the outline and have the same area, so that even attention gives each the same
    share whatever the cell's size and shape.
    """
    depth = scipy.ndimage.distance_transform_edt(np.pad(cell, 1))[1:-1, 1:-1]
    order = ranks(depth[cell], "first").astype(np.int64) - 1
    found = np.zeros(cell.shape, np.int64)
    found[cell] = 1 + order * count // max(order.size, 1)
    return found


def radial_profile(attention: np.ndarray, ring: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each ring's share of the attention within the cell; nan if there is none."""
    sums = np.bincount(ring.ravel(), attention.ravel().astype(float))[1:]
    return sums / sums.sum() if sums.sum() else np.full(sums.size, np.nan)


def rank_agreement(a: ArrayLike, b: ArrayLike, where: NDArray[np.bool_] | None = None) -> float:
    """Return Spearman's rank correlation of two maps over some pixels, or over all.

    It is nan where one of them is constant. Over the whole image two maps agree as soon as both
    leave out the background; within the cell they have to say more.
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.shape != second.shape:
        raise DataError(f"Maps of {first.shape} and {second.shape} pixels cannot be compared.")
    chosen = np.ones(first.shape, bool) if where is None else where
    ranked = [ranks(one[chosen]) for one in (first, second)]
    if any(np.ptp(rank) == 0 for rank in ranked):
        return float("nan")
    return float(np.corrcoef(*ranked)[0, 1])


def deletion_curve(
    images: np.ndarray, maps: np.ndarray, score: Score, steps: int = STEPS
) -> NDArray[np.float64]:
    """Return the score while pixels turn black, those of most attention first.

    Parameters
    ----------
    images
        ``(n, height, width, channels)``, on black.
    maps
        ``(n, height, width)``. Among pixels of one value, the order is random but the same in
        every image.
    score
        Takes ``n`` images and returns the probability of the class that the maps explain.
    steps
        Pixels go in so many equal parts.

    Returns
    -------
    numpy.ndarray
        ``(n, steps + 1)``: whole images first, black ones last. A map that finds what the
        network uses gives a curve that falls at once.

    Notes
    -----
    Source: Petsiuk, Das and Saenko, arXiv 1806.07421, section 4.
    """
    images = _compared(images, maps)
    return _course(images, np.zeros_like(images), maps, score, steps)


def insertion_curve(
    images: np.ndarray, maps: np.ndarray, score: Score, steps: int = STEPS
) -> NDArray[np.float64]:
    """Return the score while a blurred image gets its pixels back, most attention first.

    The blur is Gaussian, by an eighth of the side. Otherwise as :func:`deletion_curve`; here a
    good map gives a curve that rises at once.
    """
    images = _compared(images, maps)
    side = images.shape[1] / 8
    blurred = scipy.ndimage.gaussian_filter(images, (0, side, side, 0))
    return _course(blurred, images, maps, score, steps)


def curve_area(curves: np.ndarray) -> NDArray[np.float64]:
    """Return the area under each curve by trapezoids, over 0 to 1."""
    curves = np.asarray(curves, float)
    return ((curves[..., 1:] + curves[..., :-1]) / 2).mean(axis=-1)


def random_maps(
    masks: NDArray[np.bool_], grain: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return maps that know nothing but the cell's outline: noise within it, zero outside.

    Parameters
    ----------
    masks
        The cells, bool ``(n, height, width)``.
    grain
        Side of the noise in its own pixels, before it is enlarged bilinearly: that of a feature
        map for a contrast to class-activation maps, the image's for one to gradients.
    rng
        Where the noise comes from.
    """
    noise = rng.random((len(masks), grain, grain), np.float32)
    shape = masks.shape[1:]
    enlarged = [
        skimage.transform.resize(one, shape, order=1, mode="edge", anti_aliasing=False)
        for one in noise
    ]
    return ((0.01 + 0.99 * np.stack(enlarged)) * masks).astype(np.float32)


def subject_mean(
    frame: pd.DataFrame, column: str, bounds: tuple[float, float] = DIFFERENCE
) -> Interval:
    """Return the mean over subjects of each subject's mean, with the jackknife over subjects.

    Cells without a value are left out.

    Parameters
    ----------
    frame
        ``subject, label`` and the column, one row a cell.
    column
        Its name.
    bounds
        The least and the largest possible value, as in ``intervals.of_values``.
    """
    known = frame[frame[column].notna()]
    if known.empty:
        return Interval(np.nan, np.nan, np.nan)
    means = known.groupby(["label", "subject"], sort=True)[column].mean()
    classes, values = means.index.get_level_values(0).to_numpy(np.int64), means.to_numpy(float)

    def mean(weights: NDArray) -> NDArray:
        total = weights.sum(axis=1)
        # Without the only subject that has a value there is no mean.
        return np.divide(weights @ values, total, out=np.full(total.shape, np.nan), where=total > 0)

    return jackknife(mean, classes, bounds)


def _compared(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    images = np.asarray(images, np.float32)
    if images.ndim != 4 or np.shape(maps) != images.shape[:3]:
        raise DataError(f"{images.shape} images and {np.shape(maps)} maps do not fit together.")
    return images


def _course(
    start: np.ndarray, end: np.ndarray, maps: np.ndarray, score: Score, steps: int
) -> NDArray[np.float64]:
    """Score images on their way from start to end, pixels in the order of the maps."""
    flat = np.asarray(maps, float).reshape(len(maps), -1)
    chance = np.random.default_rng(0).permutation(flat.shape[1])
    order = np.stack([np.lexsort((chance, -one)) for one in flat])
    place = np.argsort(order, axis=1).reshape(np.shape(maps))
    curves = [
        score(np.where((place < flat.shape[1] * step / steps)[..., None], end, start))
        for step in range(steps + 1)
    ]
    return np.stack(curves, axis=1).astype(float)
