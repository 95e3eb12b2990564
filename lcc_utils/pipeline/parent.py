"""End a process with the one that began it, also where that one is killed."""

from __future__ import annotations

import os
import threading
import time

__all__ = ["end_with"]

_EVERY = 0.5


def end_with(parent: int) -> None:
    """End this process, at once and whatever it does, soon after its parent is gone.

    Nothing is lost by it: files are written whole or not at all. A signal of Linux for the same
    end comes when the thread that began the process ends, which in a pool may be before.

    Parameters
    ----------
    parent
        The process id of the parent.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_EVERY)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
