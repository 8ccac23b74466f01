"""One execution in a process of its own: its threads bounded, its output in a log, and gone when the batch is gone."""

import json
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError
from workbench._errors.redaction import redact
from workbench.notebooks.batch.journal import Ended
from workbench.notebooks.batch.plan import Execution
from workbench.notebooks.execute import NotebookFailed

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

#: new processes are copies of a server that has imported what they need; where there is none, each imports it anew
_NEW: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
_NEEDED = ["__main__", "papermill", __name__]
_POLL = 0.5  # seconds between looks at how far a notebook is


def threads_each(jobs: int) -> int:
    """Threads per process, so that so many of them share the CPUs that this one may use, and no more than it was given."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(given) if given.isdecimal() else cores) // jobs)


def execute_apart(
    execution: Execution, key: str, runs: Path, threads: int, move: Callable[[int, int], None] = lambda done, of: None
) -> Ended:
    """Execute a notebook in a new process, and say how it ended. A failure is an ``Ended`` too, never an exception.

    Args:
        execution, key: what to run, and what it depends on.
        runs: the notebook, its log and its results go to ``runs/MODEL/PROFILE/``.
        threads: for arithmetic.
        move: called with the number of notebook cells that are done, and of all.
    """
    executed = runs / f"{execution.name}.ipynb"
    log = executed.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    earlier = _written(executed)  # it stays until there is another, and says nothing about this run
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
    _NEW.set_forkserver_preload(_NEEDED)
    ours, theirs = _NEW.Pipe(duplex=False)
    started, clock = datetime.now(timezone.utc), time.monotonic()  # noqa: UP017 (as Python 3.11 and mypy both know it)
    process = _NEW.Process(target=_execute, args=(execution, runs, log, environment, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while not wait([ours, process.sentinel], _POLL):
            move(*(cells_done(executed) if _written(executed) != earlier else (0, 0)))
        at, error = _outcome(ours, process)
    finally:
        process.kill()
        process.join()
    seconds = round(time.monotonic() - clock, 1)
    files = [path.relative_to(runs).as_posix() for path in (executed, log)]
    return Ended(execution.name, key, started.isoformat(timespec="seconds"), seconds, error, at, *files)


def _outcome(ours: Connection, process: multiprocessing.process.BaseProcess) -> tuple[int, str]:
    """What the process reported, or what became of it if it could not."""
    try:
        if ours.poll():
            return ours.recv()
    except EOFError:
        pass  # it ended without a report: its exit code, read below, is all that is known
    process.join()
    code = process.exitcode or 0
    return -1, f"its process ended {f'by signal {-code} (out of memory?)' if code < 0 else f'with code {code}'}"


def _written(path: Path) -> tuple[int, int]:
    """Which file is there, and when it was written; (0, 0) for none."""
    try:
        at = path.stat()
    except OSError:
        return 0, 0
    return at.st_ino, at.st_mtime_ns


def cells_done(executed: Path) -> tuple[int, int]:
    """How many cells of a notebook under execution are done, as papermill notes in it; (0, 0) while it cannot be read."""
    try:
        states = [cell["metadata"]["papermill"]["status"] for cell in json.loads(executed.read_text())["cells"]]
    except (OSError, KeyError, ValueError):
        return 0, 0
    return states.count("completed"), len(states)


def _execute(execution: Execution, runs: Path, log: Path, environment: dict[str, str], answer: Connection) -> None:
    """In the new process: run the notebook, and send the failing cell (or -1) and the error (or nothing)."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    with log.open("w", encoding="utf-8", buffering=1) as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
        logging.basicConfig(stream=file, level=logging.INFO, format="%(asctime)s %(message)s", force=True)
        at, error = -1, ""
        try:
            execution.run(runs)
        except NotebookFailed as failed:
            at, error = failed.cell, failed.error
        except WorkbenchError as failed:
            error = str(failed)
        except Exception as failed:  # the batch goes on, whatever one notebook met: a full disk, a dead kernel, …
            logging.exception("the notebook could not be executed")
            error = redact(f"{type(failed).__name__}: {failed}")
        answer.send((at, error))


def _end_with_parent() -> None:
    """When the batch is killed, end this process and the kernel it started, so that a resumed batch runs alone."""
    import psutil

    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(1)
