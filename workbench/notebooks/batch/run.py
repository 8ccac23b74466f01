"""Run a plan: which cells are to run, how long that will take, running them, and what came of it.

How far a batch is, while it runs: bars on a terminal, one line per event elsewhere.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from workbench._errors import Bar, WorkbenchError
from workbench.notebooks.batch.journal import Journal, Record, content_key, estimated
from workbench.notebooks.batch.plan import BatchPlan, Cell
from workbench.notebooks.batch.process import run_cell, threads_each


class Progress(Protocol):
    """What a batch tells about itself; called from several threads."""

    def started(self, cell: Cell) -> None:
        """A notebook was started."""

    def moved(self, cell: Cell, done: int, of: int) -> None:
        """So many of its cells are done."""

    def ended(self, cell: Cell, record: Record) -> None:
        """It ended, well or not."""


class Lines:
    """A line when a notebook starts and when it ends, and none in between.

    Args:
        say: takes a line. total: how many notebooks there are to run.
    """

    def __init__(self, say: Callable[[str], object], total: int):
        self.say, self.total, self.count = say, total, 0

    def started(self, cell: Cell) -> None:
        """Say so."""
        self.say(f"started  {cell.name}")

    def moved(self, cell: Cell, done: int, of: int) -> None:
        """A log is no place for every cell."""

    def ended(self, cell: Cell, record: Record) -> None:
        """Say how long it took, or what went wrong."""
        self.count += 1
        how = "done   " if record.ok else "FAILED "
        self.say(f"{how}  {cell.name}  {record.seconds:.0f} s  ({self.count} of {self.total}){_why(record)}")


class Bars:
    """A bar for the batch and one for each notebook under execution.

    Args:
        total: how many notebooks there are to run.
    """

    def __init__(self, total: int):
        self.all, self.own = Bar(total=total, desc="batch", unit="notebook", smoothing=0), dict[str, Any]()

    def started(self, cell: Cell) -> None:
        """Open a bar."""
        self.own[cell.name] = Bar(total=None, desc=f"  {cell.name}", unit="cell", leave=False)

    def moved(self, cell: Cell, done: int, of: int) -> None:
        """Move its bar."""
        bar = self.own[cell.name]
        bar.total, bar.n = of or None, done
        bar.refresh()

    def ended(self, cell: Cell, record: Record) -> None:
        """Close its bar, move that of the batch, and leave a line."""
        self.own.pop(cell.name).close()
        Bar.write(f"{'done' if record.ok else 'FAILED'}  {cell.name}  {record.seconds:.0f} s{_why(record)}")
        self.all.update()

    def close(self) -> None:
        """Close the bar of the batch."""
        self.all.close()


def _why(record: Record) -> str:
    return "" if record.ok else f": {place_of(record)}{record.error.splitlines()[0]}"


def place_of(record: Record) -> str:
    """In which cell of its notebook it failed, as text before the error."""
    return f"cell {record.at}, " if record.at >= 0 else ""


@dataclass(frozen=True)
class Agenda:
    """What a batch will do: cells to run, each with its content key, and cells that are done already."""

    runs: Path
    cells: tuple[tuple[Cell, str], ...]
    done: tuple[Cell, ...]

    def text(self, jobs: int) -> str:
        """What will run and how long it takes, from how long the same cells took before."""
        known = Journal(self.runs).seconds()
        to_run = [cell for cell, _ in self.cells]
        lines = [(cell.name, _duration(known[cell.name]) if cell.name in known else "unknown") for cell in to_run]
        lines += [(cell.name, "done, will be skipped") for cell in self.done]
        width = max((len(name) for name, _ in lines), default=0)
        total, unknown = estimated(to_run, known, jobs)
        said = "unknown" if unknown == len(to_run) and unknown else _duration(total)
        more = f", and {unknown} of unknown duration" if 0 < unknown < len(to_run) else ""
        shown = "\n".join(f"{name:<{width}}  {what}" for name, what in lines)
        return f"{shown}\n\n{len(to_run)} to run, {len(self.done)} done; estimated time: {said}{more}"


def agenda(plan: BatchPlan, runs: str | Path = "runs", resume: bool = False) -> Agenda:
    """What running a plan means now.

    Args:
        plan: what was read.
        runs: folder of results.
        resume: leave out cells that ended well when they last ran, and whose notebook source, parameters, model revision
            and code are the same. A cell of a matrix with ``last`` runs again whenever another cell does.
    """
    journal, keys = Journal(Path(runs)), [(cell, content_key(cell)) for cell in plan.cells]
    fresh = [resume and journal.is_done(cell, key) for cell, key in keys]
    moved = any(not done and not cell.last for (cell, _), done in zip(keys, fresh, strict=True))
    fresh = [done and not (moved and cell.last) for (cell, _), done in zip(keys, fresh, strict=True)]
    to_run = tuple(pair for pair, done in zip(keys, fresh, strict=True) if not done)
    return Agenda(Path(runs), to_run, tuple(cell for (cell, _), done in zip(keys, fresh, strict=True) if done))


def run(todo: Agenda, progress: Progress, jobs: int | None = None, on: str = "local") -> list[Record]:
    """Execute the cells of an agenda. A failure stops no other cell; every end is in the journal as soon as it happens.

    Args:
        todo: of ``agenda``. progress: told what happens.
        jobs: processes at a time (1 by default); on Ray, cells at a time (as many as there is room for).
        on: this machine, or a Ray cluster; cells with ``last`` always run here, where what they read is.

    Returns:
        How each cell ended, in the order in which they did.

    Raises:
        WorkbenchError: an unknown place, jobs below 1, or a cluster that cannot be used.
    """
    check_place(jobs, on)
    journal, found = Journal(todo.runs), []
    for last in (False, True):
        stage = [(cell, key) for cell, key in todo.cells if cell.last == last]
        if on == "ray" and not last and stage:
            ended = _on_ray(stage, todo.runs, progress, jobs)
        else:
            ended = _here(stage, todo.runs, progress, jobs or 1)
        for record in ended:
            journal.add(record)
            found.append(record)
    return found


def check_place(jobs: int | None, on: str) -> None:
    """Raises a WorkbenchError for a place or a number of jobs that there is not."""
    if on not in ("local", "ray"):
        raise WorkbenchError(f"--on {on}: expected local or ray")
    if jobs is not None and jobs < 1:
        raise WorkbenchError(f"--jobs {jobs}: expected 1 or more")


def _here(
    cells: Sequence[tuple[Cell, str]], runs: Path, progress: Progress, jobs: int
) -> Generator[Record, None, None]:
    """Cells in processes on this machine, so many at a time."""
    threads, stop = threads_each(jobs), threading.Event()

    def one(cell: Cell, key: str) -> Record | None:
        if stop.is_set():
            return None
        progress.started(cell)
        record = run_cell(cell, key, runs, threads, lambda done, of: progress.moved(cell, done, of))
        progress.ended(cell, record)
        return record

    with ThreadPoolExecutor(jobs) as pool:
        waiting: set[Future[Record | None]] = {pool.submit(one, *pair) for pair in cells}
        try:
            while waiting:
                ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (record for future in ended if (record := future.result()) is not None)
        except BaseException:  # an interrupt: notebooks under execution are interrupted too, and no other is started
            stop.set()
            raise


def _on_ray(
    cells: Sequence[tuple[Cell, str]], runs: Path, progress: Progress, jobs: int | None
) -> Generator[Record, None, None]:
    from workbench.notebooks.batch.remote import on_ray

    by_name = {cell.name: cell for cell, _ in cells}
    for record in on_ray(cells, runs, jobs, progress.started):
        progress.ended(by_name[record.name], record)
        yield record


def summary(todo: Agenda, records: Sequence[Record]) -> str:
    """How many cells ended well, were skipped or failed; of each failure the notebook's cell, the error and the files."""
    failed = [record for record in records if not record.ok]
    lines = [f"{len(records) - len(failed)} done, {len(todo.done)} skipped as done before, {len(failed)} failed"]
    for record in failed:
        lines.append(f"\nFAILED {record.name}: {place_of(record)}{record.error}")
        lines += [
            f"  {what:<9}{todo.runs / file}" for what, file in (("notebook", record.notebook), ("log", record.log))
        ]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
