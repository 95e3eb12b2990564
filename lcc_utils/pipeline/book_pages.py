"""The pages of the book that a run decides: its edition, its front page and its model card."""

from __future__ import annotations

import json
from pathlib import Path

from lcc_utils.pipeline.manifest import MANIFEST, digest_of
from lcc_utils.pipeline.run_record import read_run
from lcc_utils.text import utf8

EDITION_KEYS = (
    "schema", "run", "profile", "backend", "dataset", "versions", "git", "hardware",
    "created", "finished", "seconds",
)  # fmt: skip

# What a run decides, and so what is not kept beside the narrative pages when a book is staged.
DECIDED = ("edition.json", "index.md", "model_card.md", "reporting.md")

_NO_CARD = """\
# Model card

This edition was made without a model card. `lcc book` writes one from the files of a run.
"""

_OPENING = """\
# Leukaemic cell classification, reproduced

This book runs a published study again and shows what comes out. The study
{cite:p}`costabraga2026` trains a neural network to tell cells of acute lymphoblastic leukaemia
(ALL) from healthy ones (HEM) on single-cell images, and reports how much each of its parts adds.
What the paper states is quoted as such. Every other number was computed by the code of this
repository and can be computed again.
"""

_FILES = """\
## From which files

The list `SHA256SUMS` holds the SHA-256 of every file of this edition. The SHA-256 of the list
itself is

    {digest}

`lcc verify` compares every file with the list and prints this digest;
[how to check the numbers](reproduce.md#check-the-numbers) says what that shows.
"""

_READERS = """\
## Where to begin

- **You want to know what holds.** Read the table above, then the chapters.
- **You have the data and a GPU.** [The data](data.md) says how to check your copy, and
  [how to reproduce it](reproduce.md) how to train with the paper's settings.
- **You have a laptop and no data.** `make book` draws synthetic cells and runs every step on them;
  see [how to reproduce it](reproduce.md).
- **You want to build on the code.** [The method](method.md) explains the choices, and
  [the package](api.md) lists every function.

## How far it goes

Cells of one person resemble each other, and the healthy class holds few people, so read every
number with its count of subjects. [The method](method.md) lists the other limits. This is research
code, not a medical device.
"""


def edition(run: dict) -> dict:
    """Return the part of ``run.json`` that the banner and the footer of every page show."""
    return {key: run[key] for key in EDITION_KEYS}


def front_page(run_dir: str | Path, claims: str = "") -> str:
    """Return the front page of the book as MyST Markdown.

    Parameters
    ----------
    run_dir
        A run, or ``results/`` of the published edition.
    claims
        Markdown that says what was claimed and what was measured, as a rule one table from
        ``lcc_utils.report``. The section is left out when empty.
    """
    run, digest = read_run(run_dir), digest_of(Path(run_dir) / MANIFEST)
    parts = [_OPENING]
    if claims.strip():
        parts.append(f"## What was claimed, and what holds\n\n{claims.strip()}\n")
    parts += [f"## On which data\n\n{_data_sentence(run)}\n"]
    parts += [_FILES.format(digest=digest)] if digest else []
    parts.append(_READERS)
    return "\n".join(parts)


def write_pages(folder: Path, run: dict, index: str, card: str) -> None:
    """Write ``edition.json``, ``index.md`` and ``model_card.md`` into a folder of book sources."""
    write_json(folder / "edition.json", edition(run))
    (folder / "index.md").write_text(index, encoding="utf-8")
    (folder / "model_card.md").write_text(card or _NO_CARD, encoding="utf-8")


def write_json(path: Path, value: dict) -> None:
    """Write a dict as indented JSON in UTF-8, ending with a newline."""
    path.write_bytes(utf8(json.dumps(value, indent=2, ensure_ascii=False) + "\n"))


def _data_sentence(run: dict) -> str:
    data = run["dataset"]
    count = f"{data['cells']:,} cells of {data['subjects']:,} subjects"
    if data["name"] == "synthetic":
        return (
            f"This edition was computed on **synthetic cells**: {count}, drawn from a seed. It\n"
            "shows that every step runs. Its numbers say nothing about leukaemia, nor about the\n"
            "claims of the paper."
        )
    return (
        f"This edition was computed on C-NMC 2019 {{cite:p}}`gupta2019cnmc`: {count}. Patient ids\n"
        "that share cells count as one subject. [The data](data.md) tells more, and the\n"
        "first chapter shows what was found in them."
    )
