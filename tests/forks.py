"""Processes of their own for tests that kill, limit or fill what they run in: forked from one that imported everything once."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import torch

#: A process has one server of forks, and the last list of what it imports counts: this one is for every test.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.test_kills_and_full_disks", "tests.sweeps.test_interruptions"])


def alone(function, *arguments):
    """What a function returns or raises in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=FORKS) as pool:
        return pool.submit(_on_one_thread, function, *arguments).result()


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
