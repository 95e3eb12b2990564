"""The kernel of notebooks: this Python, whatever kernels and profiles the machine has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets import default

__all__ = ["own_kernel"]

# Start-up files and profiles of IPython are left out, also those of all users of the machine.
_LAUNCH = (
    "from IPython.core import application\n"
    "application.ENV_CONFIG_DIRS.clear()\n"
    "application.SYSTEM_CONFIG_DIRS.clear()\n"
    "from ipykernel.kernelapp import launch_new_instance\n"
    "launch_new_instance()\n"
)


@contextmanager
def own_kernel() -> Iterator[type[AsyncKernelManager]]:
    """Give a kind of kernel that runs this Python, with an empty IPython profile.

    Jupyter would look a kernel up by its name, and find that of another Python where
    ``JUPYTER_PATH`` or the user's folder holds one.
    """
    with TemporaryDirectory(prefix="lcc-kernel-") as folder:
        yield _kernel(Path(folder))


def _kernel(folder: Path) -> type[AsyncKernelManager]:
    spec = KernelSpec(
        argv=[sys.executable, "-P", "-c", _LAUNCH, "-f", "{connection_file}"],
        display_name="Python 3",
        language="python",
        env={
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(folder),
            "PYTHONSTARTUP": "",
        },
    )

    class Kernel(AsyncKernelManager):
        """A kernel of this Python."""

        kernel_spec = spec

        @default("connection_file")
        def _in_the_folder(self) -> str:
            return str(folder / f"kernel-{self.kernel_id or 'one'}.json")

    return Kernel
