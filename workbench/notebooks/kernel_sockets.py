"""How the process that executes a notebook and the notebook's kernel reach each other: Unix sockets in a folder of their own.

Jupyter's default is TCP. It looks for free ports, lets go of them, and the kernel binds them seconds later. A port that another
process takes in between ends the kernel; the heartbeat's leaves it alive, and a client that waits for the heart waits for ever.
"""

import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from jupyter_client.asynchronous.client import AsyncKernelClient
from traitlets.config import Config

_PREFIX = "workbench-kernel-"
#: The name of the longest socket in a folder. Jupyter makes it of the name of the connection file.
_LONGEST = "k-ipc-5"
#: A younger folder may be one that its owner has not locked yet.
_SECONDS_TO_LOCK = 60


class HeartlessClient(AsyncKernelClient):
    """A client that listens to no heart: whether the kernel lives is asked of its process, and the heart could only stand still."""

    def start_channels(
        self, shell: bool = True, iopub: bool = True, stdin: bool = True, hb: bool = True, control: bool = True
    ) -> None:
        """Start them, without the heart."""
        super().start_channels(shell, iopub, stdin, False, control)


@contextlib.contextmanager
def kernel_settings() -> Iterator[Config]:
    """Jupyter's settings for one kernel, good until the block ends. The folder of its sockets goes with the block.

    Where there are no Unix sockets, as on Windows, the kernel is reached over TCP.
    """
    settings = Config()
    settings.KernelManager.client_class = f"{__name__}.{HeartlessClient.__name__}"
    with contextlib.ExitStack() as stack:
        if folder := _socket_folder(stack):
            settings.KernelManager.transport = "ipc"
            settings.KernelManager.connection_file = str(folder / "k.json")
        yield settings


def _socket_folder(stack: contextlib.ExitStack) -> Path | None:
    """A new folder that holds sockets and is locked, both until the stack unwinds.

    The path of a socket has room for some hundred characters, and some disks hold no sockets, so each place is tried.
    """
    if os.name != "posix":
        return None
    import fcntl

    for place in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
        _remove_abandoned(Path(place))
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            with socket.socket(socket.AF_UNIX) as tried:
                tried.bind(str(folder / _LONGEST))
            (folder / _LONGEST).unlink()
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            return folder
    return None


def _remove_abandoned(place: Path) -> None:
    """Remove the folders of processes that were killed: nobody holds their locks."""
    import fcntl

    for lock in place.glob(f"{_PREFIX}*/lock"):
        with contextlib.suppress(OSError):
            if time.time() - lock.stat().st_mtime > _SECONDS_TO_LOCK:
                with open(lock, "r+") as handle:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError where the owner lives
                    shutil.rmtree(lock.parent, ignore_errors=True)
