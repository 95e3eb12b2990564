"""Write the output of the command so that any terminal, file or pipe can take it."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

from lcc_utils.errors import DataError
from lcc_utils.text import printable, printable_values

__all__ = ["Stream", "json_text", "prepare_streams"]

# What a progress bar writes besides text: back to the start of the line, and one line up.
_MOVES = ("\r", "\x1b[A")
# Signs of our own text that older encodings lack.
_PLAIN = str.maketrans({"−": "-", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"',
                        "×": "x", "…": "...", "≥": ">=", "≤": "<=", "α": "alpha"})  # fmt: skip


class Stream:
    """Standard output or standard error, whatever stands behind it.

    Characters that cannot be shown become U+FFFD, and those that the encoding lacks a plain sign
    or a question mark. When whoever reads has gone, the rest is dropped and the work goes on.

    Parameters
    ----------
    stream
        Where the text goes.
    moves
        Whether progress bars move the cursor on it.
    """

    def __init__(self, stream: TextIO, moves: bool) -> None:
        self._stream = stream
        self._moves = _MOVES if moves else ()

    def write(self, text: str) -> int:
        """Write text; return its length."""
        try:
            self._stream.write(self._fitting(self._shown(text, self._moves)))
            if text.endswith("\n"):
                # What cannot be written fails here, and not as the program ends.
                self._stream.flush()
        except OSError as error:
            self._lost(error)
        return len(text)

    def flush(self) -> None:
        """Send what has been written."""
        try:
            self._stream.flush()
        except OSError as error:
            self._lost(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _shown(self, text: str, moves: tuple[str, ...]) -> str:
        if not moves:
            return printable(text, lines=True)
        return moves[0].join(self._shown(part, moves[1:]) for part in text.split(moves[0]))

    def _fitting(self, text: str) -> str:
        encoding = self._stream.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
        return text

    def _lost(self, error: OSError) -> None:
        """Send all that follows to nowhere, so that nothing fails again as the program ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError) and self._stream is sys.__stdout__:
            raise DataError(
                f"Standard output could not be written ({error.strerror}); what was to be said "
                "there is lost in part. Free space there, and say it again."
            ) from error


def prepare_streams() -> None:
    """Make standard output and standard error take any text, also where they are closed."""
    for name, moves in (("stdout", False), ("stderr", True)):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started the command
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
            setattr(sys, name, stream)
        elif stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, Stream(stream, moves))


def json_text(value: Any) -> str:
    """Return a value as JSON for standard output, in ASCII where that takes nothing else."""
    values = printable_values(value)
    text = json.dumps(values, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(values, indent=2)
    return text
