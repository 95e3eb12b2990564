"""What augmentation may change, and how far: the policies that both engines carry out."""

from __future__ import annotations

from dataclasses import dataclass

from lcc_utils.errors import RequestError
from lcc_utils.nn.checks import number

__all__ = ["POLICIES", "Policy", "policy_named"]


# Largest value of each property; noise has none.
_LARGEST = {
    "horizontal_flip": 1.0, "vertical_flip": 1.0, "rotation": 180.0, "scale": 0.9,
    "brightness": 1.0, "contrast": 1.0, "hue": 0.5, "saturation": 1.0, "noise": float("inf"),
    "stain": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """How far a training image may be changed; a value of 0 leaves that property as it is.

    Parameters
    ----------
    horizontal_flip, vertical_flip : float
        Probability of mirroring left to right, top to bottom.
    rotation : float
        Largest angle in degrees; the angle is uniform between minus and plus this.
    scale : float
        The image is enlarged about its centre by a factor uniform in 1 ± scale.
    brightness : float
        All channels are multiplied by a factor uniform in 1 ± brightness.
    contrast : float
        Distances from the mean level of the cell are multiplied by a factor uniform in
        1 ± contrast.
    hue : float
        Largest shift of the hue, as a fraction of the colour circle; uniform in ± hue.
    saturation : float
        HSV saturation is multiplied by a factor uniform in 1 ± saturation.
    noise : float
        Largest standard deviation, in levels of 0 to 255, of Gaussian noise added to each
        channel; the standard deviation of an image is uniform in 0 to noise.
    stain : float
        The concentrations of haematoxylin, eosin and DAB, each on its own, are multiplied by a
        factor uniform in 1 ± stain, and raised by an amount uniform in ± stain; their unit is
        that of the optical density, -ln(level / 255).

    Raises
    ------
    RequestError
        A value is no number, negative, or above the largest that has a meaning: 1 for shares and
        probabilities, 180 degrees, half the colour circle, and 0.9 for the scale.

    Notes
    -----
    Jitter of stains: Tellez et al., "Whole-Slide Mitosis Detection in H&E Breast Histology
    Using PHH3 as a Reference to Train Distilled Stain-Invariant Convolutional Networks", IEEE
    Transactions on Medical Imaging 37 (2018). The colours of the stains are those of Ruifrok
    and Johnston, "Quantification of histochemical staining by color deconvolution" (2001), as
    in ``skimage.color.rgb2hed``.
    """

    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    hue: float = 0.0
    saturation: float = 0.0
    noise: float = 0.0
    stain: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name, most in _LARGEST.items():
            number(
                f"{name} of an augmentation policy",
                getattr(self, name),
                f"must be in 0 to {most:g}" if most < float("inf") else "must not be negative",
                lambda value, most=most: 0 <= value <= most,
                RequestError,
            )

    @property
    def resamples(self) -> bool:
        """Whether pixels are interpolated, which flips alone do not need."""
        return bool(self.rotation or self.scale)

    @property
    def recolours(self) -> bool:
        """Whether any colour, brightness or noise is changed."""
        levels = self.brightness or self.contrast or self.noise
        return bool(levels or self.hue or self.saturation or self.stain)

    @property
    def is_identity(self) -> bool:
        """Whether images stay as they are."""
        return self == Policy()


POLICIES: dict[str, Policy] = {
    "none": Policy(),
    # arXiv 2601.01026, section on augmentation: flip .5, 10 degrees, brightness and contrast .1.
    "paper": Policy(horizontal_flip=0.5, rotation=10.0, brightness=0.1, contrast=0.1),
    # A cell on a slide has no up and no left, and stains differ between patients.
    "comprehensive": Policy(
        horizontal_flip=0.5,
        vertical_flip=0.5,
        rotation=180.0,
        scale=0.1,
        brightness=0.15,
        contrast=0.15,
        hue=0.03,
        saturation=0.2,
        noise=6.0,
    ),
    # The comprehensive policy, with a jitter of stains in place of hue and saturation, about as
    # wide as subjects differ: in fold 0 their mean concentrations have standard deviations of
    # .13, .04 and .05 about 1.65, .59 and .82; the jitter's are .11, .07 and .07.
    "stain": Policy(
        horizontal_flip=0.5,
        vertical_flip=0.5,
        rotation=180.0,
        scale=0.1,
        brightness=0.15,
        contrast=0.15,
        noise=6.0,
        stain=0.1,
    ),
}


def policy_named(policy: str | Policy | dict) -> Policy:
    """Look up a policy by name, or make one of a mapping; a `Policy` is returned as it is.

    Raises
    ------
    RequestError
        The name is not in `POLICIES`, or the mapping names no property of a policy.
    """
    if isinstance(policy, Policy):
        return policy
    if isinstance(policy, dict):
        if unknown := [name for name in policy if name not in _LARGEST]:
            raise RequestError(
                f"An augmentation policy has no property {unknown[0]!r}; it has "
                f"{', '.join(_LARGEST)}."
            )
        return Policy(**policy)
    if not isinstance(policy, str) or policy not in POLICIES:
        raise RequestError(
            f"There is no augmentation policy {policy!r}. Set `policy` to one of: "
            f"{', '.join(POLICIES)}."
        )
    return POLICIES[policy]
