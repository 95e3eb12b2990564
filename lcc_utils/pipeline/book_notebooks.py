"""Executed notebooks as chapters: what is shown, what is left out, what may not be published."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lcc_utils.data.files import read_regular
from lcc_utils.errors import DataError, RequestError

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
_WIDGETS = "application/vnd.jupyter.widget-view+json"
_PUBLISHED_CELL_KEYS = ("tags", "mystnb", "lcc")
_WITHHELD = (
    "This output shows cells of C-NMC 2019 and is not redistributed here. "
    "Run the notebook on your own copy of the data set to see it (lcc run, then lcc book)."
)

# No notebook comes near; a larger one is not read into memory.
_MOST_BYTES = 2**30


def read_notebook(path: str | Path) -> NotebookNode:
    """Return a notebook in format 4; a file that is no notebook raises DataError."""
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8")
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        _need_marks(notebook)
        return notebook
    except Exception as error:  # nbformat raises several unrelated kinds
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"{path} is not a readable notebook ({reason}). Run it again.") from error


def _need_marks(notebook: NotebookNode) -> None:
    """Refuse what the format allows and no chapter of ours has: a mark that is no object."""
    cells = notebook.cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    marks = [part.get("metadata", {}).get("lcc", {}) for part in (*cells, *outputs)]
    if not all(isinstance(mark, dict) for mark in marks):
        raise ValueError("lcc in its metadata is no object")


def executed(run_dir: str | Path) -> list[Path]:
    """Return the executed notebooks of a run in order; RequestError when it has none."""
    found = sorted((Path(run_dir) / "notebooks").glob("*.ipynb"))
    if not found:
        raise RequestError(f"{run_dir} holds no executed notebook. Run it again with --resume.")
    return found


def failures(notebook: NotebookNode) -> list[str]:
    """Return what failed while a notebook ran, one line each; empty when all went well."""
    found = []
    if notebook.metadata.get("papermill", {}).get("exception"):
        found.append("papermill recorded an exception")
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                found.append(f"cell {number} ended with {output.get('ename', 'an error')}")
    return found


def chapter(notebook: NotebookNode) -> NotebookNode:
    """Return a copy of an executed notebook as the book shows it.

    Left out are streams to standard error, progress widgets and the notes that papermill adds
    about errors.
    """
    shown = copy.deepcopy(notebook)
    shown.metadata["kernelspec"] = NotebookNode(_KERNEL)
    shown.metadata["language_info"] = NotebookNode(_LANGUAGE)
    shown.metadata.pop("widgets", None)
    shown.cells = [cell for cell in shown.cells if not _is_error_note(cell)]
    for cell in shown.cells:
        if "injected-parameters" in _tags(cell):
            cell.metadata["tags"] = sorted({*_tags(cell), "hide-input"})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _is_shown(output)]
    return shown


def published(notebook: NotebookNode, replacements: dict[str, str]) -> NotebookNode:
    """Return a chapter for the published edition.

    Parameters
    ----------
    notebook
        An executed notebook.
    replacements
        Paths of the machine that ran it, and what to write instead of each.

    Returns
    -------
    NotebookNode
        The chapter without execution times, machine paths and outputs that show real cells.
    """
    clean = chapter(notebook)
    clean.metadata = NotebookNode(kernelspec=_KERNEL, language_info=_LANGUAGE)
    for cell in clean.cells:
        cell.metadata = NotebookNode(
            {key: cell.metadata[key] for key in _PUBLISHED_CELL_KEYS if key in cell.metadata}
        )
        if cell.cell_type == "code":
            cell.outputs = [_without_real_pixels(output) for output in cell.outputs]
    return nbformat.from_dict(without_paths(clean, replacements))


def without_paths(value, replacements: dict[str, str]):
    """Return nested dicts and lists with machine paths replaced in every text, longest first."""
    if isinstance(value, dict):
        # Encoded images are no text; a path cannot be in them.
        return {
            key: item
            if re.fullmatch(r"image/(?!svg).*", str(key))
            else without_paths(item, replacements)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [without_paths(item, replacements) for item in value]
    if isinstance(value, str):
        for path in sorted(replacements, key=len, reverse=True):
            # Never within a longer word: encoded images in HTML hold every short sequence.
            whole = r"(?<![A-Za-z0-9+])" + re.escape(path) + r"(?![\w+-])"
            value = re.sub(whole, lambda _, to=replacements[path]: to, value)
    return value


def _is_error_note(cell: NotebookNode) -> bool:
    return bool({"papermill-error-cell-tag", "papermill-error-cell"} & set(_tags(cell)))


def _tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _is_shown(output: NotebookNode) -> bool:
    if output.output_type == "stream":
        return output.name != "stderr"
    return _WIDGETS not in output.get("data", {})


def _without_real_pixels(output: NotebookNode) -> NotebookNode:
    if output.get("metadata", {}).get("lcc", {}).get("pixels") != "real":
        return output
    return nbformat.v4.new_output(
        "display_data", data={"text/markdown": f"> {_WITHHELD}", "text/plain": _WITHHELD}
    )
