"""Processes of their own for tests that kill, limit or fill what they run in: forked from one that imported everything once."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver

import torch

FORKS = multiprocessing.get_context("forkserver")
IMPORTS = ["papermill", "tests.test_kills_and_full_disks", "tests.sweeps.test_interruptions"]

#: the process that imported them
_ours = None


def alone(function, *arguments):
    """What a function returns or raises in a process of its own."""
    _serve()
    with ProcessPoolExecutor(1, mp_context=FORKS) as pool:
        return pool.submit(_on_one_thread, function, *arguments).result()


def _serve():
    """A process has one server of forks. Where a batch of notebooks started it, with imports of its own, it makes room."""
    global _ours
    running = forkserver._forkserver
    if _ours is None or running._forkserver_pid != _ours:
        running._stop()
        FORKS.set_forkserver_preload(IMPORTS)
        running.ensure_running()
        _ours = running._forkserver_pid


def _on_one_thread(function, *arguments):
    torch.set_num_threads(1)
    return function(*arguments)


def fork(action):
    """The id of a forked process that does something and ends."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    return child
