"""What notebooks show: tables and figures with the metadata that the book needs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from IPython.display import HTML, display
from matplotlib.figure import Figure

from lcc_utils.data.cache import write_atomic
from lcc_utils.data.images import prepare
from lcc_utils.pipeline.run import Run
from lcc_utils.report.explorable import interactive_html
from lcc_utils.report.style import figure_html, to_svg
from lcc_utils.report.tables import to_html


def show_table(run: Run, name: str, caption: str) -> None:
    """Show a table of ``report.tables``; ``lcc verify`` will find and recompute it."""
    html = to_html(run.table(name), caption, name)
    display(HTML(html), metadata={"lcc": {"table": name}})


def show_figure(run: Run, name: str, figure: Figure, pixels: bool = False) -> None:
    """Show a figure and, unless it shows pixels of cells, keep it in the run.

    Parameters
    ----------
    run, name
        The run, and the name of the file in its ``figures/``.
    figure
        A figure of ``report``, with alternative text.
    pixels
        Whether it shows pixels of cells. Those of real cells stay out of the published
        edition, and the output is marked for that.
    """
    mark, svg = {"figure": name}, to_svg(figure)
    if pixels:
        mark["pixels"] = "synthetic" if run.cells.attrs["dataset"] == "synthetic" else "real"
    else:
        write_atomic(run.folder / "figures" / f"{name}.svg", svg)
    display(HTML(figure_html(figure, svg)), metadata={"lcc": mark})


def show_interactive(run: Run, name: str, figure: Figure, spec: Mapping) -> None:
    """Show a figure that a page lets its reader explore, and keep the static one in the run.

    Parameters
    ----------
    run, name
        The run, and the name of the file in its ``figures/``.
    figure, spec
        What a function of ``report`` returns that gives both.
    """
    write_atomic(run.folder / "figures" / f"{name}.svg", to_svg(figure))
    display(HTML(interactive_html(figure, spec)), metadata={"lcc": {"figure": name}})


def example_cells(
    cells: pd.DataFrame, per_class: int, seed: int = 0
) -> tuple[list[np.ndarray], list[str]]:
    """Return images of a few cells of each class from different patients, and captions.

    Images are uint8 ``(300, 300, 3)``, the centre of the frame at full resolution.
    """
    rng = np.random.default_rng(seed)
    images, captions = [], []
    for label, name in ((1, "ALL"), (0, "HEM")):
        own = cells[cells["label"] == label]
        patients = rng.permutation(own["patient"].unique())[:per_class]
        for patient in patients:
            cell = own[own["patient"] == patient].sort_values("cell_id").iloc[0]
            images.append(prepare(cell["path"], 300, 300))
            captions.append(f"{name}, patient {patient}")
    return images, captions
