"""Chapters: Jupytext sources, run in order by papermill, kept as executed notebooks."""

from __future__ import annotations

import time
from pathlib import Path

import jupytext
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillException
from tqdm import tqdm

from lcc_utils.data.cache import write_atomic
from lcc_utils.errors import DataError, RequestError
from lcc_utils.pipeline.kernel import own_kernel
from lcc_utils.pipeline.run import REPOSITORY, Run

SOURCES = REPOSITORY / "notebooks"


def chapters(only: str | None = None) -> list[Path]:
    """Return the notebooks in order, or those whose name starts with one of some prefixes.

    Parameters
    ----------
    only
        Comma-separated prefixes such as ``01,03``.

    Raises
    ------
    RequestError
        If a prefix names no notebook.
    """
    found = sorted(SOURCES.glob("[0-9][0-9]_*.py"))
    if only is None:
        return found
    chosen = []
    for prefix in only.split(","):
        own = [path for path in found if path.name.startswith(prefix.strip())]
        if not own or not prefix.strip():
            raise RequestError(
                f"No notebook begins with {prefix!r}; there are "
                f"{', '.join(path.stem for path in found)}."
            )
        chosen += own
    return sorted(set(chosen))


def execute(run: Run, parameters: dict[str, str], only: str | None = None) -> list[Path]:
    """Execute the chapters of a run and keep them in its ``notebooks/``.

    Parameters
    ----------
    run
        The run that the notebooks will open.
    parameters
        Values for the notebooks' parameters ``profile``, ``data``, ``run``, ``overrides``.
    only
        See :func:`chapters`.

    Returns
    -------
    list of Path
        The executed notebooks. One that was there before is replaced only by a whole one.

    Raises
    ------
    RequestError
        If a parameter is not among those of a notebook.
    DataError
        If a notebook fails: which cell, what it said, and where the notebook lies.
    """
    paths = chapters(only)
    scratch = run.folder / "notebooks" / ".running"
    scratch.mkdir(parents=True, exist_ok=True)
    for path in paths:
        _check_parameters(_source(path, scratch), parameters)
    done = []
    for path in tqdm(paths, desc="notebooks", unit="notebook"):
        start = time.perf_counter()
        source, executed = scratch / f"{path.stem}.ipynb", scratch / f"{path.stem}.executed.ipynb"
        _execute(path.stem, source, executed, parameters)
        target = run.folder / "notebooks" / f"{path.stem}.ipynb"
        executed.replace(target)
        source.unlink()
        tqdm.write(f"{path.stem}: {time.perf_counter() - start:.0f} s")
        done.append(target)
    if not any(scratch.iterdir()):
        scratch.rmdir()
    return done


def _execute(name: str, source: Path, executed: Path, parameters: dict[str, str]) -> None:
    """Execute one notebook in a kernel of this Python."""
    try:
        with own_kernel() as kernel:
            papermill.execute_notebook(
                source,
                executed,
                parameters=parameters,
                kernel_name="python3",  # says the language; the kernel is the one below
                kernel_manager_class=kernel,
                cwd=SOURCES,
                progress_bar=False,
                # It warns that it listens on this machine without encryption, once a notebook.
                extra_arguments=["--log-level=ERROR"],
            )
    except PapermillException as error:
        reason = (
            f"{getattr(error, 'ename', type(error).__name__)}: {getattr(error, 'evalue', error)}"
        )
    except DeadKernelError:
        reason = (
            "its kernel died. As a rule the memory was full: use fewer jobs, or lower "
            "training.batch or pixels.size."
        )
    except RuntimeError as error:
        # What Jupyter raises when a kernel does not begin or does not answer.
        reason = f"its kernel did not answer ({error})."
    else:
        return
    raise DataError(
        f"Notebook {name} failed: {reason} The notebook as far as it came is {executed}; results "
        "computed before it are kept, so run again with --resume."
    )


def _source(path: Path, folder: Path) -> Path:
    """Write the notebook form of a Jupytext source and return its path."""
    notebook = jupytext.read(path)
    target = folder / f"{path.stem}.ipynb"
    write_atomic(target, jupytext.writes(notebook, fmt="ipynb"))
    return target


def _check_parameters(notebook: Path, parameters: dict[str, str]) -> None:
    known = papermill.inspect_notebook(str(notebook))
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise RequestError(
            f"{notebook.stem} has no parameter {', '.join(unknown)}; it has {', '.join(known)}."
        )
