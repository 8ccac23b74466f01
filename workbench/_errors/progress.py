"""How far a long step is."""

import os
import threading

from tqdm.auto import tqdm


class Bar(tqdm):
    """A tqdm progress bar with a lock of its own.

    tqdm's default lock is a multiprocessing lock, which forked processes share: a process that is killed while it holds
    the lock would stop every other one for ever. Ours is a thread lock, and a forked process begins with a new one. No
    monitor thread runs beside it either, since a fork would copy what that thread holds.
    """

    monitor_interval = 0
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: Bar.set_lock(threading.RLock()))
