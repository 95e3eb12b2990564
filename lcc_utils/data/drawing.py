"""One synthetic cell: contour, segmentation, paint. What it imitates is told in ``synthetic``."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["SIDE", "Patient", "draw_cell", "draw_patient", "resegment"]

SIDE = 450


@dataclass(frozen=True)
class Patient:
    """What the cells of one patient have in common.

    Attributes
    ----------
    diameter
        Median cell diameter in pixels.
    stain
        Mean red, green and blue of the nucleus, 0 to 255.
    contrast
        Strength of the chromatin texture, about 1.
    grain
        Distance between chromatin clumps in pixels.
    roughness
        Relative deviation of the contour from an ellipse, about .03.
    nucleoli
        Mean number of visible nucleoli in a cell.
    fringe
        Direction of the blue fringe in radians: the microscope's, so the same in every cell.
    """

    diameter: float
    stain: tuple[float, float, float]
    contrast: float
    grain: float
    roughness: float
    nucleoli: float
    fringe: float


def draw_patient(label: int, rng: np.random.Generator) -> Patient:
    """Draw the traits of one patient of class ``label`` (1 ALL, 0 HEM)."""
    tilt = 1.0 if label else -1.0
    brightness, hue, saturation = rng.normal(size=3)
    stain = np.array([64.0, 23.5, 75.5]) + 2.0 * tilt * np.array([1.0, 0.4, 0.8])
    stain += 5.5 * brightness * np.array([1.0, 0.5, 0.8])
    stain += 2.8 * hue * np.array([1.0, 0.1, -0.6]) - 2.2 * saturation * np.array([0.0, 1.0, 0.0])
    return Patient(
        diameter=(216.0 if label else 172.0) * float(np.exp(rng.normal(0.0, 0.11))),
        stain=tuple(float(channel) for channel in stain),
        contrast=float(np.exp(rng.normal(-0.14 * tilt, 0.18))),
        grain=float(np.exp(rng.normal(np.log(13.0) - 0.10 * tilt, 0.13))),
        roughness=float(np.exp(rng.normal(np.log(0.030) + 0.22 * tilt, 0.25))),
        nucleoli=float(np.exp(rng.normal(np.log(0.9) + 0.5 * tilt, 0.4))),
        fringe=float(rng.uniform(0.0, 2.0 * np.pi)),
    )


def draw_cell(label: int, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """Draw one cell.

    Parameters
    ----------
    label
        1 ALL, 0 HEM. Healthy cells are sometimes large too, as the reactive ones are.
    patient
        Whose cell it is.
    rng
        Source of everything else; its state alone decides the cell.

    Returns
    -------
    numpy.ndarray
        uint8 RGB of shape (450, 450, 3), exactly black outside of the cell.
    """
    diameter = patient.diameter * np.exp(rng.normal(0.0, 0.09))
    if not label and rng.random() < 0.07:
        diameter *= rng.uniform(1.2, 1.6)
    outline = _outline(min(diameter, 330.0), patient.roughness, rng)
    body, scrap = _segment(outline, diameter, rng)
    return _centred(_paint(body, scrap, patient, rng))


def resegment(cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut a drawn cell as another segmentation would: a few pixels tighter, and moved a little.

    Takes and returns uint8 RGB of shape (450, 450, 3).
    """
    mask = (cell.max(axis=2) > 0).astype(np.uint8)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    cut = 3.0 + 1.5 * _noise(rng, SIDE, SIDE, 40.0)
    kept = cell * (depth > np.maximum(cut, 1.0))[..., None]
    return np.roll(kept, rng.choice([-4, -3, -2, 2, 3, 4], 2), axis=(0, 1))


def _outline(diameter: float, roughness: float, rng: np.random.Generator) -> np.ndarray:
    """Contour points (n, 2) around the origin: an ellipse, bulges, flat sides, ragged stretches."""
    angle = np.linspace(0.0, 2.0 * np.pi, 240, endpoint=False)
    order = np.arange(2, 9)[:, None]
    strength = rng.normal(size=(7, 1)) * roughness * np.exp(rng.normal(0, 0.3)) * 2.2 / order
    radius = 1.0 + (strength * np.cos(order * angle + rng.uniform(0, 2 * np.pi, (7, 1)))).sum(0)
    radius *= 1.0 + abs(rng.normal(0.0, 0.05)) * np.cos(2 * (angle - rng.uniform(0, np.pi)))
    for _ in range(rng.poisson(0.8)):
        facing = np.cos(angle - rng.uniform(0.0, 2.0 * np.pi))
        radius = np.minimum(radius, rng.uniform(0.86, 0.97) / np.maximum(facing, 0.1))
    ragged = np.clip(_wave(rng, 9, 240) * 1.2 - 0.3, 0.06, 1.8)
    jags = 0.4 * _wave(rng, 90, 240) + 0.8 * _wave(rng, 40, 240) + 1.1 * _wave(rng, 21, 240)
    radius += jags * ragged * roughness * 0.6
    if rng.random() < 0.3:
        bay = (angle - rng.uniform(0.0, 2.0 * np.pi) + np.pi) % (2.0 * np.pi) - np.pi
        depth = rng.normal(0.0, 1.0) * 2.5 * roughness
        radius += depth * np.exp(-((bay / rng.uniform(0.06, 0.22)) ** 2))
    radius *= diameter / 2.0
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _wave(rng: np.random.Generator, knots: int, points: int) -> np.ndarray:
    """Draw a periodic random curve through ``knots`` normal values."""
    values = rng.normal(size=knots)
    at = np.linspace(0.0, knots, points, endpoint=False)
    return np.interp(at, np.arange(knots + 1), np.append(values, values[0]))


def _segment(
    outline: np.ndarray, diameter: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Masks (uint8, 0 or 1) of the cell and of a scrap that the segmentation left on it."""
    body, scrap = np.zeros((2, SIDE, SIDE), np.uint8)
    cv2.fillPoly(body, [np.round(outline + SIDE / 2).astype(np.int32)], 1)
    if rng.random() < 0.11:
        _scrap(scrap, outline, diameter, rng)
        scrap[body > 0] = 0
    if rng.random() < 0.16:
        towards = rng.uniform(0.0, 2.0 * np.pi)
        neighbour = diameter * rng.uniform(0.25, 0.6)
        gap = diameter * rng.uniform(0.40, 0.47) + neighbour
        x, y = SIDE / 2 + gap * np.cos(towards), SIDE / 2 + gap * np.sin(towards)
        cv2.circle(body, (round(x), round(y)), round(neighbour), 0, -1)
        cv2.circle(scrap, (round(x), round(y)), round(neighbour), 0, -1)
    return body, scrap


def _scrap(
    mask: np.ndarray, outline: np.ndarray, diameter: float, rng: np.random.Generator
) -> None:
    """Draw a knotted strand of background or of another cell that hangs on the outline."""
    at = outline[rng.integers(len(outline))] * 0.98
    heading = np.arctan2(at[1], at[0]) + rng.normal(0.0, 0.4)
    thick = diameter * rng.uniform(0.02, 0.05)
    for _ in range(rng.integers(3, 14)):
        x, y = (at + SIDE / 2).tolist()
        knot = max(2.0, thick * float(np.exp(rng.normal(0.0, 0.5))))
        cv2.ellipse(mask, ((x, y), (1.7 * knot, 3.6 * knot), rng.uniform(0, 180)), 1, -1)
        at = at + knot * np.array([np.cos(heading), np.sin(heading)])
        heading += rng.normal(0.0, 0.7)


def _paint(
    body: np.ndarray, scrap: np.ndarray, patient: Patient, rng: np.random.Generator
) -> np.ndarray:
    """Fill the masks; at half size, since real cells hold no detail below two pixels."""
    x, y, width, height = cv2.boundingRect(body | scrap)
    body, scrap = (mask[y : y + height, x : x + width] for mask in (body, scrap))
    height, width = -(-body.shape[0] // 2), -(-body.shape[1] // 2)
    depth = cv2.distanceTransform(np.pad(body, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    depth = _resized(np.round(depth * 64.0).astype(np.uint16), height, width) / 64.0
    slope = _slope(height, width, patient.fringe)

    shift = rng.normal(0.0, 2.8) * np.array([1.0, 0.5, 0.85]) + rng.normal(0.0, 1.0, 3)
    texture = _chromatin(height, width, depth, patient, rng)
    pixels = np.array(patient.stain) + shift + texture[..., None] * np.array([1.35, 0.8, 0.65])
    pixels += (slope * rng.normal(0.0, 1.5))[..., None]

    rim = np.exp(-depth / rng.uniform(2.5, 7.0))[..., None]
    pixels += rim * np.array([20.0, 36.0, 24.0])
    fringe = np.exp(-((depth / 11.0) ** 2)) * (slope + 0.6)
    pixels += fringe[..., None] * np.array([-7.0, 2.0, 4.0])
    if rng.random() < 0.12:
        pixels += _crescent(depth, height, width, rng)[..., None] * np.array([20.0, 22.0, 6.0])
    pixels = np.round(np.clip(pixels, 0.0, 255.0) * 64.0).astype(np.uint16)
    full = (_resized(pixels, *body.shape) + 32) >> 6
    if scrap.any():
        dirt = rng.normal(0.0, 1.0, 3) * 8.0 + np.array([105.0, 68.0, 92.0])
        full[scrap > 0] = np.round(full[scrap > 0] * 0.35 + dirt * 0.65)
    return np.maximum(full, 4).astype(np.uint8) * (body | scrap)[..., None]


def _chromatin(
    height: int, width: int, depth: np.ndarray, patient: Patient, rng: np.random.Generator
) -> np.ndarray:
    """Lightness of the nucleus around 0: clumps, slow shading, a dark margin, pale nucleoli."""
    clumps = np.exp(0.55 * _noise(rng, height, width, patient.grain / 4.0)) - 1.16
    fine = _noise(rng, height, width, patient.grain / 8.0)
    shading = _noise(rng, height, width, patient.grain * 0.9)
    strength = patient.contrast * np.exp(rng.normal(0.0, 0.25))
    texture = (6.0 * clumps + 2.0 * fine) * strength * (1.0 + 0.2 * shading) + 3.8 * shading
    texture += 1.3 * _noise(rng, height, width, 0.8)
    texture -= rng.uniform(4.0, 9.0) * np.exp(-(((depth - 8.0) / 10.0) ** 2)) - 2.0
    inside = np.argwhere(depth > 18.0)
    for _ in range(min(rng.poisson(patient.nucleoli), 5) if len(inside) else 0):
        y, x = inside[rng.integers(len(inside))]
        size = rng.uniform(2.2, 5.0)
        rows, columns = np.ogrid[:height, :width]
        far = (rows - y) ** 2 + ((columns - x) * rng.uniform(0.7, 1.3)) ** 2
        texture += rng.uniform(8.0, 22.0) * np.exp(-far / (2.0 * size**2))
    return texture


def _noise(rng: np.random.Generator, height: int, width: int, sigma: float) -> np.ndarray:
    """Smooth noise of about zero mean and unit variance: white noise blurred by ``sigma`` pixels.

    In integers, which OpenCV blurs and resizes exactly, so that machines agree on the bytes.
    """
    step = max(1.0, sigma / 2.0)
    shape = (int(height / step) + 2, int(width / step) + 2)
    white = rng.integers(0, 65536, shape, dtype=np.uint16)
    smooth = _resized(cv2.GaussianBlur(white, (0, 0), sigma / step), height, width)
    spread = 65536.0 / np.sqrt(12.0) / (2.0 * np.sqrt(np.pi) * sigma / step)
    return (smooth.astype(np.float64) - 32768.0) / spread


def _resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)


def _slope(height: int, width: int, direction: float) -> np.ndarray:
    """Make a plane from about -1 to 1 that rises in ``direction``."""
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    return rows * np.sin(direction) + columns * np.cos(direction)


def _crescent(depth: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Where cytoplasm shows on one side of the nucleus, 0 to 1."""
    side = np.clip(_slope(height, width, rng.uniform(0.0, 2.0 * np.pi)), 0.0, 1.0)
    reach = rng.uniform(18.0, 45.0) * side
    return 1.0 / (1.0 + np.exp(np.clip((depth - reach) / 3.0 + 2.0, -30, 30)))


def _centred(pixels: np.ndarray) -> np.ndarray:
    """Put the crop in the middle of a black frame; parts beyond it are lost."""
    height, width = (min(side, SIDE) for side in pixels.shape[:2])
    frame = np.zeros((SIDE, SIDE, 3), np.uint8)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    frame[top : top + height, left : left + width] = pixels[:height, :width]
    return frame
