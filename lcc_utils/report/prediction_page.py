"""The report of ``lcc predict``: one page that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from lcc_utils.report.model_directory import measure_text, measures_text
from lcc_utils.text import escaped

__all__ = ["Group", "Shown", "page"]

_PIXELS = 128
_BINS = 40
_LISTED = 100


@dataclass(frozen=True)
class Shown:
    """One cell of the gallery: its row, its RGB pixels, and where the network looked or None."""

    row: Mapping[str, Any]
    pixels: np.ndarray
    attention: np.ndarray | None


@dataclass(frozen=True)
class Group:
    """Some cells of the gallery under one heading."""

    title: str
    cells: list[Shown]


def page(
    record: Mapping[str, Any],
    table: pd.DataFrame,
    counts: Mapping[str, int],
    groups: Sequence[Group],
    notes: Sequence[str],
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    record
        What the model's ``model.json`` says.
    table
        One row a file, see ``pipeline.predict.Prediction``.
    counts
        What to say of the table, in order.
    groups
        The gallery.
    notes
        Sentences on what was asked for.
    """
    sections = [
        _banner(),
        f"<h1>{len(table):,} {'file' if len(table) == 1 else 'files'}, one cell each</h1>",
        _in_short(record),
        _counted(counts),
        "".join(f"<p class='note'>{escaped(note)}</p>" for note in notes),
        _histogram(record, table),
        *(_group(own) for own in groups),
        _maps_note(groups),
        _not_scored(table),
        _model(record),
        _reading(record),
    ]
    style = Path(__file__).with_name("prediction_page.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>Predicted cells (research use only)</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(sections)}\n</main>\n</body>\n</html>\n"
    )


def _banner() -> str:
    return (
        "<p class='banner'><strong>Research use only.</strong> This is not a medical device. "
        "No decision about a person may rest on it. Each cell is judged alone; nothing is decided "
        "for a person from many cells.</p>"
    )


def _in_short(record: Mapping[str, Any]) -> str:
    known = measures_text(record)
    data = escaped(record["training"]["dataset"])
    if not known:
        return f"<p>Trained on {data}. How well it does on others is not known.</p>"
    return (
        "<p>What models like this one reach on subjects that they have not seen, within the one "
        f"data set that it was trained on, {data}: {escaped(known)}</p>"
    )


def _counted(counts: Mapping[str, int]) -> str:
    tiles = "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{value:,}</dd></div>" for name, value in counts.items()
    )
    return f"<dl class='tiles'>{tiles}</dl>"


def _histogram(record: Mapping[str, Any], table: pd.DataFrame) -> str:
    scored = table[table["score"].notna()]
    if scored.empty:
        return ""
    limits = record["thresholds"]
    edges = np.linspace(0, 1, _BINS + 1)
    parts = {
        "ALL": scored[scored["class"] == "ALL"],
        "HEM": scored[scored["class"] == "HEM"],
        "none": scored[scored["class"] == ""],
    }
    heights = {name: np.histogram(own["score"], edges)[0] for name, own in parts.items()}
    top = max(1, int(sum(heights.values()).max()))
    bars, base = [], np.zeros(_BINS)
    for name, own in heights.items():
        for place in np.flatnonzero(own):
            tall = 120 * own[place] / top
            y = 130 - 120 * base[place] / top - tall
            bars.append(
                f"<rect class='{name}' x='{20 + place * 9}' y='{y:.1f}' width='8' "
                f"height='{tall:.1f}'/>"
            )
        base += own

    def x(score: float) -> float:
        return 20 + 360 * score

    low, high = x(limits["unsure_low"]), x(limits["unsure_high"])
    ticks = "".join(
        f"<text x='{x(t):.0f}' y='146' text-anchor='middle'>{t:g}</text>" for t in (0, 0.5, 1)
    )
    return (
        "<h2>Scores</h2><figure><svg viewBox='0 0 400 165' role='img' aria-label='Histogram of "
        f"{len(scored):,} scores; the highest bar holds {top:,}.'>"
        f"<rect class='band' x='{low:.1f}' y='5' width='{high - low:.1f}' height='125'/>"
        f"{''.join(bars)}<line x1='20' x2='380' y1='130' y2='130'/>"
        f"<line class='cut' x1='{x(limits['decision']):.1f}' x2='{x(limits['decision']):.1f}' "
        f"y1='5' y2='130'/>{ticks}"
        "<text x='200' y='161' text-anchor='middle'>score, P(ALL) before calibration</text></svg>"
        "<figcaption><span class='key ALL'></span> called ALL <span class='key HEM'></span> called "
        "HEM <span class='key none'></span> not called. The line is the threshold, the band around "
        f"it is not called. The highest bar holds {top:,}.</figcaption></figure>"
    )


def _group(group: Group) -> str:
    if not group.cells:
        return f"<h2>{escaped(group.title)}</h2><p>None.</p>"
    return (
        f"<h2>{escaped(group.title)}</h2><div class='gallery'>"
        f"{''.join(_cell(own) for own in group.cells)}</div>"
    )


def _cell(shown: Shown) -> str:
    row = shown.row
    name = Path(row["file"]).name
    image = cv2.resize(shown.pixels, (_PIXELS, _PIXELS), interpolation=cv2.INTER_AREA)
    pictures = _picture(image, f"Cell in {name}")
    if shown.attention is not None:
        pictures += _picture(_overlaid(image, shown.attention), f"Grad-CAM map of {name}")
    said = row["class"] or row["kind"]
    numbers = (
        f"score {row['score']:.3f}, probability {row['probability']:.3f}"
        if np.isfinite(row["score"])
        else "not scored"
    )
    why = f"<br>{escaped(row['abstained'])}" if row["abstained"] else ""
    return (
        f"<figure class='cell'><div>{pictures}</div><figcaption><strong>{escaped(said)}</strong>, "
        f"{numbers}{why}<br><span class='file'>{escaped(name)}</span></figcaption></figure>"
    )


def _picture(pixels: np.ndarray, text: str) -> str:
    _, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    code = base64.b64encode(data.tobytes()).decode()
    return (
        f"<img src='data:image/png;base64,{code}' width='{_PIXELS}' height='{_PIXELS}' "
        f"alt='{escaped(text)}'>"
    )


def _overlaid(image: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Lay a map in 0 to 1 over an image: grey where it is dark, warm where it is high."""
    heat = cv2.resize(np.asarray(attention, "float32"), (_PIXELS, _PIXELS))
    levels = (255 * np.clip(heat, 0, 1)).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None].repeat(3, axis=2)
    return (0.45 * grey + 0.55 * colours).astype(np.uint8)


def _maps_note(groups: Sequence[Group]) -> str:
    if all(own.attention is None for group in groups for own in group.cells):
        return ""
    return (
        "<p class='note'>Beside a cell is its Grad-CAM map (Selvaraju et al., arXiv 1610.02391), "
        "for the class on whose side of the threshold it lies, scaled to its own largest value. It "
        "is no finer than the network's last feature map. Where a network looks does not say that "
        "it is right.</p>"
    )


def _not_scored(table: pd.DataFrame) -> str:
    rows = table[table["score"].isna()]
    if rows.empty:
        return ""
    items = "".join(
        f"<tr><td class='file'>{escaped(row.file)}</td><td>{escaped(row.abstained)}</td></tr>"
        for row in rows.head(_LISTED).itertuples()
    )
    more = f"<p>And {len(rows) - _LISTED:,} more.</p>" if len(rows) > _LISTED else ""
    return (
        "<h2>Not scored</h2><div class='wide'><table><thead><tr><th>File</th><th>Why</th></tr>"
        f"</thead><tbody>{items}</tbody></table></div>{more}"
    )


def _model(record: Mapping[str, Any]) -> str:
    title = f"<h2>The model: {escaped(record['name'])}</h2>"
    about = (
        f"<p>{escaped(record['backbone'])} at {record['size']} px, trained on "
        f"{escaped(record['training']['dataset'])}.</p>"
    )
    if not record["measured"]:
        return f"{title}{about}<p>How well models like it do on unseen subjects is not known.</p>"
    rows = "".join(
        f"<tr><td>{escaped(own['name'])}</td><td>{measure_text(own)}</td></tr>"
        for own in record["measured"]
    )
    return (
        f"{title}{about}<p>{escaped(record['measured_on'])}</p><div class='wide'><table><thead><tr>"
        "<th>Measure</th><th>Value (95 % interval over subjects, where given)</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _reading(record: Mapping[str, Any]) -> str:
    limits, novelty = record["thresholds"], record["novelty"]
    return (
        "<h2>How to read it</h2><ul>"
        f"<li>A cell is called ALL from a score of {limits['decision']:.3f} on; the threshold is "
        f"that of the {escaped(limits['basis'])}.</li>"
        "<li>The calibrated probability is right on average only where as many cells are ALL as "
        "in the data that it was fitted on, and only for cells like those.</li>"
        f"<li>A distance above {novelty['distance']:.1f} or an energy above "
        f"{novelty['energy']:.2f} makes a cell one that the model does not call. Cells unlike its "
        "training cells can still lie below both.</li>"
        "<li>Images of another size than 450 px keep their scale: a smaller one is centred on "
        "black, a larger one is refused.</li></ul>"
    )
