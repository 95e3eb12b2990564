"""Participants of a comparison, each in a process of its own, that take turns.

A participant is a module of this folder. It is started with its settings as JSON, and answers a
line of JSON to each line that names what it shall do. It imports nothing of the project to talk,
so that a process of another environment can take part. While one works the others wait.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Participant", "alternate", "answer", "rates"]

_SIGN = "BENCH "
_ROOT = Path(__file__).resolve().parents[1]


class Participant:
    """The other end of a process that measures when it is told to.

    Attributes
    ----------
    facts
        What the process said about itself when it was ready.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.facts = self._listen()

    @classmethod
    @contextmanager
    def started(
        cls, module: str, settings: dict[str, Any], python: str, **environment: str
    ) -> Iterator[Participant]:
        """Start a module as a process that ends with the context."""
        command = [python, "-m", module, json.dumps(settings)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=_ROOT, env={**os.environ, **_QUIET, **environment},
        )  # fmt: skip
        try:
            yield cls(process)
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def work(self, what: str, seconds: float) -> dict[str, Any]:
        """Have it work for about so many seconds; return what it measured."""
        self._process.stdin.write(json.dumps({"what": what, "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        return self._listen()

    def _listen(self) -> dict[str, Any]:
        for line in self._process.stdout:
            if line.startswith(_SIGN):
                return json.loads(line.removeprefix(_SIGN))
        raise SystemExit(f"A participant ended early, exit code {self._process.wait()}.")


def answer(facts: dict[str, Any], work: Callable[[str, float], dict[str, Any]]) -> None:
    """Be a participant: say that all is ready, then work whenever told to."""
    print(_SIGN + json.dumps(facts), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(_SIGN + json.dumps(work(asked["what"], asked["seconds"])), flush=True)


def alternate(
    turns: list[tuple[str, Participant]], rounds: int, seconds: float
) -> dict[str, list[dict[str, Any]]]:
    """Let everyone work in turn, so many rounds, after two that are not counted.

    The first compiles; the second is the first whose pace says how much fits a turn. Every other
    round goes backwards, so that nobody always comes after the same one.
    """
    measured: dict[str, list[dict[str, Any]]] = {what: [] for what, _ in turns}
    for number in range(-1, rounds + 1):
        for what, participant in turns if number % 2 else reversed(turns):
            found = participant.work(what, seconds)
            if number > 0:
                measured[what].append(found)
            rate = found["images"] / found["seconds"]
            shown = f"round {number}" if number > 0 else "warm-up"
            print(f"  {shown}, {what}: {rate:.1f} images/s", file=sys.stderr)
    return measured


def rates(measured: dict[str, list[dict[str, Any]]]) -> dict[str, list[float]]:
    """Return each one's rate in every round, images a second."""
    return {
        what: [one["images"] / one["seconds"] for one in found] for what, found in measured.items()
    }


_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
