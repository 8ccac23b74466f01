"""Reading the tables and numbers of a claims file, each cell checked against its type."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from workbench.records import NOT_GIVEN, Cell, Provenance, Table
from workbench.schema import build, expect, show
from workbench.toml_lines import Lines, Place

_WANTED_N = f"a whole number above 0, or {NOT_GIVEN!r} where the record does not say"
_COLUMN = re.compile(r"(?P<name>.+): (?P<type>text|number|percent|count|flag|n|provenance)(?: (?P<provenance>[LRPI]))?")


@dataclass(frozen=True)
class _TableText:
    """A table as it stands in a file."""

    id: str
    title: str
    provenance: Provenance
    source: str
    columns: tuple[str, ...]
    rows: tuple[object, ...]
    n: int | str | None = None


def read_table(raw: object, place: Place, lines: Lines) -> Table:
    """A table of a file. Each column is ``"name: type"``, optionally followed by a provenance of its own.

    Raises:
        WorkbenchError: an unknown type, a cell of the wrong type, or percentages without an n; with the line.
    """
    text = build(_TableText, raw, place, lines)
    kinds = [_COLUMN.fullmatch(column) for column in text.columns]
    for i, kind in enumerate(kinds):
        types = "text, number, percent, count, flag, n or provenance, then optionally L, R, P or I"
        message = f"column {text.columns[i]!r} must be 'name: type', the type being {types}"
        expect(kind is not None, (*place, "columns", i), lines, message)
    columns = [kind.groupdict() for kind in kinds if kind]
    _has_n(text, [column["type"] for column in columns], place, lines)
    rows = tuple(_row(text, columns, row, (*place, "rows", i), lines) for i, row in enumerate(text.rows))
    return Table(text.id, text.title, text.source, tuple(column["name"] for column in columns), rows)


@dataclass(frozen=True)
class _NumberText:
    """A number of running text that says more than its value."""

    value: Decimal | str | None = None
    percent: Decimal | None = None
    count: int | None = None
    n: int | str | None = None
    provenance: Provenance = "L"


def _has_n(text: _TableText, types: list[str], place: Place, lines: Lines) -> None:
    message = f"table {text.id!r} has percentages but no n: add a column of type n, or n = {_WANTED_N}"
    expect("percent" not in types or "n" in types or text.n is not None, place, lines, message)
    _fine_n(text.n, place, lines)


def _fine_n(n: int | str | None, place: Place, lines: Lines) -> None:
    fine = n is None or n == NOT_GIVEN or (isinstance(n, int) and n > 0)
    expect(fine, (*place, "n"), lines, f"n must be {_WANTED_N}, got {show(n)}")


def _row(text: _TableText, columns: list[dict[str, Any]], row: object, place: Place, lines: Lines) -> tuple[Cell, ...]:
    length = len(row) if isinstance(row, list) else 0
    expect(length == len(columns), place, lines, f"a row needs {len(columns)} cells, got {length}")
    assert isinstance(row, list)
    by_type = dict(zip((column["type"] for column in columns), row, strict=True))
    n = by_type.get("n", text.n)
    own = by_type.get("provenance")
    expect(own in (None, "L", "R", "P", "I"), place, lines, f"provenance must be L, R, P or I, got {show(own)}")
    key = ", ".join(str(v) for v, column in zip(row, columns, strict=True) if column["type"] == "text") or str(row[0])
    cells = []
    for i, (value, column) in enumerate(zip(row, columns, strict=True)):
        name = f"{text.id}[{key}].{column['name']}"
        provenance = column["provenance"] or own or text.provenance
        cells.append(read_cell(name, value, column["type"], n, provenance, (*place, i), lines))
    return tuple(cells)


def read_cell(name: str, value: object, kind: str, n: object, provenance: str, place: Place, lines: Lines) -> Cell:
    """One cell, its value checked against its type. ``"-"`` stands for what the record does not give."""
    units = n if kind in ("percent", "count") and isinstance(n, int) and not isinstance(n, bool) else None
    if kind in ("text", "provenance"):
        fine, wanted = isinstance(value, str), "text"
    elif kind == "flag":
        fine, wanted = isinstance(value, bool) or value == "-", "true, false or '-'"
    else:
        fine, wanted = _is_number(value) or value in ("-", NOT_GIVEN), "a number, or '-'"
    if kind in ("count", "n"):
        fine, wanted = fine and (not _is_number(value) or Decimal(str(value)) % 1 == 0), "a whole number, or '-'"
    expect(fine, place, lines, f"{name} must be {wanted} ({kind}), got {show(value)}")
    missing = kind != "text" and value in ("-", NOT_GIVEN)
    exact = Decimal(str(value)) if _is_number(value) else value
    return Cell(name, None if missing else exact, kind, units, provenance)  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def read_number(name: str, raw: object, place: Place, lines: Lines) -> Cell:
    """A number of running text: the bare value, or a table that says more.

    The table has ``value``, ``percent`` with its ``n``, or ``count`` with or without one, and optionally ``provenance``.
    """
    if not isinstance(raw, Mapping):
        kind = "flag" if isinstance(raw, bool) else "number" if _is_number(raw) or raw == "-" else "text"
        return read_cell(name, raw, kind, None, "L", place, lines)
    text = build(_NumberText, raw, place, lines)
    given = [k for k in ("value", "percent", "count") if getattr(text, k) is not None]
    expect(len(given) == 1, place, lines, f"{name} needs exactly one of value, percent and count")
    expect(
        given != ["percent"] or text.n is not None, place, lines, f"{name} lacks n (a whole number, or {NOT_GIVEN!r})"
    )
    _fine_n(text.n, place, lines)
    kind, value = given[0], getattr(text, given[0])
    kind = kind if kind != "value" else "number" if isinstance(value, Decimal) else "text"
    return read_cell(name, value, kind, text.n, text.provenance, place, lines)
