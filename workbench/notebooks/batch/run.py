"""Run a plan: which notebooks are to run, how long that will take, running them, and what came of it."""

import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from workbench._errors import WorkbenchError
from workbench._errors.progress import Bar
from workbench.notebooks.batch.journal import Ended, Journal, content_key, estimate
from workbench.notebooks.batch.measured_times import Elsewhere, missing
from workbench.notebooks.batch.plan import BatchPlan, Execution
from workbench.notebooks.batch.process import execute_apart, threads_each


@dataclass(frozen=True)
class Agenda:
    """What a batch will do: executions, each with its content key, and those that are done already."""

    runs: Path
    executions: tuple[tuple[Execution, str], ...]
    done: tuple[Execution, ...]
    resume: bool = False

    def text(self, jobs: int) -> str:
        """What will run and how long it takes: as long as it took here before, else as long as it took where it was measured."""
        here, elsewhere = Journal(self.runs).seconds(), Elsewhere.read()
        to_run = [execution for execution, _ in self.executions]
        known = {**elsewhere.of(to_run), **here}
        lines = [(one.name, _duration(known[one.name]) if one.name in known else missing(one)) for one in to_run]
        lines = [(name, what + " *" * (name in known and name not in here)) for name, what in lines]
        note = f"\n* {elsewhere.where}" * any(what.endswith("*") for _, what in lines)
        lines += [(one.name, "done, will be skipped") for one in self.done]
        width = max((len(name) for name, _ in lines), default=0)
        total, unknown = estimate(to_run, known, jobs)
        said = "unknown" if unknown == len(to_run) and unknown else _duration(total)
        more = f", and {unknown} of unknown duration" if 0 < unknown < len(to_run) else ""
        shown = "\n".join(f"{name:<{width}}  {what}" for name, what in lines)
        return f"{shown}\n{note}\n{len(to_run)} to run, {len(self.done)} done; estimated time: {said}{more}"

    def record(self, jobs: int) -> dict[str, object]:
        """The same as plain data. Seconds are None where no execution of that name was ever measured."""
        here, to_run = Journal(self.runs).seconds(), [execution for execution, _ in self.executions]
        known = {**Elsewhere.read().of(to_run), **here}
        total, unknown = estimate(to_run, known, jobs)
        return {
            "to_run": [
                {"name": one.name, "seconds": known.get(one.name), "measured_here": one.name in here} for one in to_run
            ],
            "done": [one.name for one in self.done],
            "estimated_seconds": total,
            "unknown": unknown,
        }


def agenda(plan: BatchPlan, runs: str | Path = "runs", resume: bool = False) -> Agenda:
    """What running a plan means now.

    Args:
        plan: what was read.
        runs: folder of results.
        resume: leave out executions that ended well when they last ran, and whose notebook source, parameters, model revision
            and code are the same. One of a matrix with ``last`` runs again whenever another one does.

    >>> plan = wb.batch.read_plan("quick", "notebooks").only(["03", "16"])
    >>> print(wb.batch.agenda(plan, folder).text(jobs=1))  # doctest: +ELLIPSIS
    smollm2-refusal/quick/03_layer_polarity  ...
    """
    journal, keys = Journal(Path(runs)), [(execution, content_key(execution)) for execution in plan.executions]
    fresh = [resume and journal.is_done(execution, key) for execution, key in keys]
    moved = any(not done and not execution.last for (execution, _), done in zip(keys, fresh, strict=True))
    fresh = [done and not (moved and execution.last) for (execution, _), done in zip(keys, fresh, strict=True)]
    to_run = tuple(pair for pair, done in zip(keys, fresh, strict=True) if not done)
    return Agenda(Path(runs), to_run, tuple(one for (one, _), done in zip(keys, fresh, strict=True) if done), resume)


def run(todo: Agenda, jobs: int | None = None, on: str = "local") -> list[Ended]:
    """Execute an agenda. A failure stops nothing else; every end is in the journal as soon as it happens.

    A line on stdout says what started and how it ended. On a terminal there are bars too: one for the batch, and one for
    each notebook under execution.

    Args:
        todo: of ``agenda``.
        jobs: processes at a time (1 by default); on Ray, notebooks at a time (as many as there is room for).
        on: "local" for this machine, or "ray" for a cluster; those with ``last`` always run here, where what they read is.

    Returns:
        How each execution ended, in the order in which they did.

    Raises:
        WorkbenchError: an unknown place, jobs below 1, a cluster that cannot be used, or another batch in the same folder.

    >>> wb.batch.run(wb.batch.Agenda(folder, executions=(), done=()))
    []
    """
    check_place(jobs, on)
    journal, ends = Journal(todo.runs), list[Ended]()
    with (
        journal.held(),
        Bar(total=len(todo.executions), desc="batch", unit="notebook", smoothing=0, disable=None) as bar,
    ):
        for last in (False, True):
            stage = [(execution, key) for execution, key in todo.executions if execution.last == last]
            if todo.resume and not last:  # what another batch has done since the agenda was made
                stage = [(execution, key) for execution, key in stage if not journal.is_done(execution, key)]
            there = on == "ray" and not last and stage
            for end in _on_ray(stage, todo.runs, jobs) if there else _here(stage, todo.runs, jobs or 1):
                journal.add(end)
                ends.append(end)
                how, why = ("done   ", "") if end.ok else ("FAILED ", f": {end.place}{end.error.splitlines()[0]}")
                _say(f"{how}  {end.name}  {end.seconds:.0f} s  ({len(ends)} of {len(todo.executions)}){why}")
                bar.update()
    return ends


def check_place(jobs: int | None, on: str) -> None:
    """Raises a WorkbenchError for a place or a number of jobs that there is not."""
    if on not in ("local", "ray"):
        raise WorkbenchError(f"--on {on}: expected local or ray")
    if jobs is not None and jobs < 1:
        raise WorkbenchError(f"--jobs {jobs}: expected 1 or more")


def _say(line: str) -> None:
    """Print a line above the bars, at once also where the output is a file."""
    Bar.write(line)
    sys.stdout.flush()


def _here(stage: Sequence[tuple[Execution, str]], runs: Path, jobs: int) -> Generator[Ended, None, None]:
    """Executions in processes on this machine, so many at a time."""
    threads, stop = threads_each(jobs), threading.Event()

    def one(execution: Execution, key: str) -> Ended | None:
        if stop.is_set():
            return None
        _say(f"started  {execution.name}")
        with Bar(desc=f"  {execution.name}", unit="cell", leave=False, disable=None) as bar:

            def move(done: int, of: int) -> None:
                if (bar.n, bar.total) != (done, of or None):
                    bar.n, bar.total = done, of or None
                    bar.refresh()

            return execute_apart(execution, key, runs, threads, move)

    with ThreadPoolExecutor(jobs) as pool:
        waiting: set[Future[Ended | None]] = {pool.submit(one, *pair) for pair in stage}
        try:
            while waiting:
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (end for future in ready if (end := future.result()) is not None)
        except BaseException:  # an interrupt: notebooks under execution are interrupted too, and no other is started
            stop.set()
            raise


def _on_ray(stage: Sequence[tuple[Execution, str]], runs: Path, jobs: int | None) -> Generator[Ended, None, None]:
    from workbench.notebooks.batch.remote import on_ray

    return on_ray(stage, runs, jobs, lambda execution: _say(f"started  {execution.name}"))


def summary(todo: Agenda, ends: Sequence[Ended]) -> str:
    """How many ended well, were skipped or failed; of each failure the notebook's cell, the error and the files.

    >>> todo = wb.batch.Agenda(folder, executions=(), done=())
    >>> wb.batch.summary(todo, wb.batch.run(todo))
    '0 done, 0 skipped as done before, 0 failed'
    """
    failed = [end for end in ends if not end.ok]
    lines = [f"{len(ends) - len(failed)} done, {len(todo.done)} skipped as done before, {len(failed)} failed"]
    for end in failed:
        lines.append(f"\nFAILED {end.name}: {end.place}{end.error}")
        lines += [f"  {what:<9}{todo.runs / file}" for what, file in (("notebook", end.notebook), ("log", end.log))]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
