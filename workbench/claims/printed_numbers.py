"""What are logged numbers? Printed numbers with the n behind them and where they come from, in tables, and facts about the record.

Provenance: L printed in the log, R recomputed from logged numbers alone, P read in the public repository behind the log,
I inferred.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from workbench._errors import WorkbenchError
from workbench.claims.toml_schema import show
from workbench.statistics.rates import rate

if TYPE_CHECKING:
    import pandas as pd

Provenance = Literal["L", "R", "P", "I"]

NOT_GIVEN = "not given"

_REFERENCE = re.compile(r"(?:\[(?P<row>[^\]]*)\])?(?:\.(?P<column>.+))?")


@dataclass(frozen=True)
class Cell:
    """One value as it was printed: its decimals count, and for a rate so does the n behind it.

    Attributes:
        name: the reference that leads to it, e.g. ``"S1-B[12].s=1.0"``.
        value: a number as printed; text; true or false; None where the record gives nothing.
        type: text, number, percent (a share of n), count (whole, exact) or flag.
        n: units behind a percent or count; None where the record does not say.
        provenance: L, R, P or I.
    """

    name: str
    value: Decimal | str | bool | None
    type: str = "number"
    n: int | None = None
    provenance: str = "L"

    @property
    def number(self) -> float:
        """The value as a float."""
        return float(self.exact)

    @property
    def exact(self) -> Fraction:
        """The value as a fraction."""
        if not isinstance(self.value, Decimal):
            raise WorkbenchError(f"{self.name} is {show(self.value)}, where a number is needed")
        return Fraction(self.value)

    @property
    def unit(self) -> Fraction:
        """One step of the last printed place; 0 for a count, which is exact."""
        exponent = self.value.as_tuple().exponent if isinstance(self.value, Decimal) else 0
        return Fraction(0) if self.type == "count" else Fraction(10) ** int(exponent)

    @property
    def units(self) -> int:
        """The n behind it. Raises WorkbenchError where the record gives none."""
        if self.n is None or self.type not in ("percent", "count"):
            raise WorkbenchError(f"{self.name} ({self.type}) has no n, and a rate with its n is needed")
        return self.n

    @property
    def successes(self) -> int:
        """The count behind a percentage, or the count itself."""
        return int(self.exact) if self.type == "count" else round(self.exact * self.units / 100)

    @property
    def share(self) -> float:
        """The rate between 0 and 1."""
        return self.number / 100 if self.type == "percent" else self.successes / self.units

    def is_possible(self, n: int | None = None) -> bool:
        """GRIM (Brown and Heathers 2017): whether some count out of n rounds to this percentage as printed."""
        n = n or self.units
        if self.type == "count":
            return 0 <= self.exact <= n
        nearest = round(self.exact * n / 100)
        return 0 <= nearest <= n and abs(Fraction(100 * nearest, n) - self.exact) <= self.unit / 2

    def possible_counts(self) -> tuple[float, float]:
        """The smallest and the largest count out of n that is printed like this; where none is, what its digits allow."""
        if self.type == "count":
            return self.number, self.number
        low, high = ((self.exact + s * self.unit / 2) * self.units / 100 for s in (-1, 1))
        least, most = max(math.ceil(low), 0), min(math.floor(high), self.units)
        return (least, most) if least <= most else (float(low), float(high))

    def __str__(self) -> str:
        if self.value is None:
            return NOT_GIVEN
        if self.type == "count" and self.n:
            return f"{self.value}/{self.n}"
        return f"{self.value:f}%" if self.type == "percent" else str(self.value)


@dataclass(frozen=True)
class Table:
    """A logged table, or one of evidence: typed columns, and rows of cells."""

    id: str
    title: str
    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def select(self, keys: str | None, column: str | None) -> tuple[Cell, ...]:
        """The cells of the rows whose first columns are ``keys`` (comma-separated, ``*`` for any), in one column or all
        that hold numbers.

        Raises LookupError when there is no such row or column.
        """
        wanted = [key.strip() for key in keys.split(",")] if keys else []
        if keys and any(_is(row[0], keys) for row in self.rows):
            wanted = [keys]
        rows = [row for row in self.rows if all(_is(c, key) for c, key in zip(row, wanted, strict=False))]
        if column is not None and column not in self.columns:
            near = get_close_matches(column, self.columns, n=1)
            hint = f"; did you mean {near[0]!r}? There" if near else "; there"
            raise LookupError(f"table {self.id} has no column {column!r}{hint} are {', '.join(self.columns)}")
        if not rows:
            there = ", ".join(str(row[0].value) for row in self.rows)
            raise LookupError(f"table {self.id} has no row [{keys}]; the rows are {there}")
        if column is not None:
            return tuple(row[self.columns.index(column)] for row in rows)
        return tuple(c for row in rows for c in row[1:] if c.type in ("number", "percent", "count"))

    def frame(self) -> "pd.DataFrame":
        """One row per number, with its Wilson interval where it is a rate of a known n."""
        import pandas as pd

        rows = []
        for row in self.rows:
            texts = ", ".join(str(c.value) for c in row if c.type == "text")
            label = texts if row[0].type == "text" else next(str(c.value) for c in row if c.type in ("text", "number"))
            for column, cell in zip(self.columns[1:], row[1:], strict=True):
                if cell.type in ("percent", "count", "number"):
                    rows.append((self.id, label, column, str(cell), interval(cell), cell.provenance))
        return pd.DataFrame(rows, columns=["table", "row", "column", "logged", "Wilson 95%", "from"])


def aligned(*columns: tuple[Cell, ...]) -> list[tuple[Cell, ...]]:
    """Columns of equal length, row by row. Raises WorkbenchError when they differ."""
    if len({len(column) for column in columns}) != 1:
        raise WorkbenchError(f"columns of {' and '.join(str(len(c)) for c in columns)} values do not fit row by row")
    return list(zip(*columns, strict=True))


def interval(cell: Cell) -> str:
    """The Wilson interval of a rate with a known n, else nothing."""
    if cell.type not in ("percent", "count") or not cell.n or cell.value is None or not cell.is_possible():
        return ""
    return str(rate(cell.successes, cell.n))


def _is(cell: Cell, key: str) -> bool:
    if key == "*":
        return True
    if isinstance(cell.value, Decimal):
        return bool(re.fullmatch(r"[-+]?[\d.]+", key)) and Decimal(key) == cell.value
    return str(cell.value) == key


@dataclass(frozen=True)
class Fact:
    """Something read in the record that is true or false of it, e.g. whether a parameter ever reaches the sampler."""

    id: str
    statement: str
    holds: bool
    provenance: Provenance
    source: str


@dataclass(frozen=True)
class Record:
    """What a claim's checks may refer to: the tables of its files, and the numbers in its own running text."""

    tables: Mapping[str, Table]
    facts: Mapping[str, Fact]
    numbers: Mapping[str, Cell]

    def cells(self, reference: str) -> tuple[Cell, ...]:
        """The cells that a reference means: ``name``, ``table``, ``table.column``, ``table[row]`` or ``table[row].column``.

        Raises LookupError when there are none.
        """
        if reference in self.numbers:
            return (self.numbers[reference],)
        for name in sorted(self.tables, key=len, reverse=True):  # an id may hold dots
            parts = _REFERENCE.fullmatch(reference.removeprefix(name)) if reference.startswith(name) else None
            if parts is not None:
                return self.tables[name].select(parts["row"], parts["column"])
        known = [*self.numbers, *self.tables]
        near = get_close_matches(reference, known, n=1) or get_close_matches(
            re.split(r"[.\[]", reference)[0], known, n=1
        )
        hint = f"; did you mean {near[0]!r}? There" if near else "; there"
        raise LookupError(
            f"{reference!r} is no number of this claim and no table{hint} are {', '.join(known) or 'none'}"
        )
