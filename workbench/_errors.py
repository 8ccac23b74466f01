"""What a user is told: the one exception of the workbench, "did you mean …?", and how far a long step is."""

import os
import threading
from collections.abc import Iterable
from difflib import get_close_matches

from tqdm.auto import tqdm


class WorkbenchError(ValueError):
    """A mistake that the caller can mend; raised before any compute is spent.

    The command line prints its message alone, without a traceback.
    """


def unknown(what: str, seen: object, known: Iterable[str], more: str = "") -> WorkbenchError:
    """The error for a name that nobody knows: what was seen, the name it is close to, and the names there are.

    Args:
        what: the kind of thing, e.g. "model".
        seen: what was typed.
        known: the names there are.
        more: what else may be typed, appended to the message.

    >>> print(unknown("trait", "refusals", ["refusal", "optimism"]))
    unknown trait 'refusals'; did you mean 'refusal'? There are refusal, optimism
    """
    names = list(known)
    near = get_close_matches(str(seen), names, n=1)
    hint = f"did you mean {near[0]!r}? There" if near else "there"
    return WorkbenchError(f"unknown {what} {seen!r}; {hint} are {', '.join(names) or 'none'}{more}")


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
