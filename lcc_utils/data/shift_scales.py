"""By how much a test image is changed: five severities of every shift, with their units."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SCALES", "SEVERITIES", "Scale"]

# Severity 0 is the unchanged image.
SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Scale:
    """What a shift changes, and how far.

    Attributes
    ----------
    what
        What is changed, for a reader.
    form
        How a value is written, with its unit.
    values
        One a severity, 1 to 5.
    """

    what: str
    form: str
    values: tuple[float, float, float, float, float]

    def value(self, severity: int) -> float:
        """Return the value of a severity, 1 to 5."""
        return self.values[severity - 1]

    def text(self, severity: int) -> str:
        """Return the value of a severity with its unit; of severity 0, that nothing changes."""
        return self.form.format(self.value(severity)) if severity else "unchanged"

    @property
    def span(self) -> str:
        """The first and the last value, with their unit."""
        return self.form.replace("{:g}", f"{self.values[0]:g} to {self.values[-1]:g}")


_FACTOR = "× {:g}"
_DOWN, _UP = (0.9, 0.8, 0.7, 0.6, 0.5), (1.1, 1.2, 1.3, 1.4, 1.5)

SCALES: dict[str, Scale] = {
    "darker": Scale("levels of all channels", _FACTOR, _DOWN),
    "brighter": Scale("levels of all channels, cut at 255", _FACTOR, _UP),
    "less contrast": Scale(
        "distances from the mean level of each channel", _FACTOR, (0.85, 0.7, 0.55, 0.4, 0.25)
    ),
    "less haematoxylin": Scale("concentration of haematoxylin", _FACTOR, _DOWN),
    "more haematoxylin": Scale("concentration of haematoxylin", _FACTOR, _UP),
    "more eosin": Scale("concentration of eosin", _FACTOR, (1.2, 1.4, 1.6, 1.8, 2.0)),
    "hue": Scale("colours, turned on the colour circle", "{:g}°", (8, 16, 24, 32, 40)),
    "noise": Scale("Gaussian noise, standard deviation", "{:g} levels", (4, 8, 12, 18, 25)),
    "defocus": Scale("blur by a disc, its radius", "{:g} px", (1, 2, 3, 4, 6)),
    "JPEG": Scale("compression, quality of the file", "quality {:g}", (90, 70, 50, 30, 10)),
    "rotation": Scale("turn about the middle", "{:g}°", (15, 45, 90, 120, 150)),
    "smaller": Scale("size, as under a weaker lens", _FACTOR, _DOWN),
    "larger": Scale("size, as under a stronger lens", _FACTOR, (1.05, 1.1, 1.15, 1.2, 1.3)),
    "rim lost": Scale("mask too small, by", "{:g} px", (2, 4, 6, 8, 12)),
    "part cut away": Scale("share of the cell's area lost", "{:g} %", (5, 10, 15, 20, 30)),
    "scrap attached": Scale("share of the cell's area added", "{:g} %", (5, 10, 15, 20, 30)),
}
