"""How far a batch is, while it runs: bars on a terminal, one line per event elsewhere."""

from collections.abc import Callable
from typing import Any, Protocol

from workbench.batch.journal import Record
from workbench.batch.plans import Cell
from workbench.errors import Bar


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
