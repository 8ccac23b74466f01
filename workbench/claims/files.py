"""Logged claims: what was said, with which numbers, what those numbers can carry, and how a replication is judged.

Nothing here runs a model: numbers in, audit out. ``data/claims/README.md`` describes the files.

Reading the tables and numbers of a claims file, each cell checked against its type.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from workbench._errors import WorkbenchError
from workbench._files import data_folder
from workbench.claims.audits import bind
from workbench.claims.claim import ID, ID_WORDS, NOTEBOOKS, Claim, Criterion, Kind, Log, Method, Replication
from workbench.claims.logged import NOT_GIVEN, Cell, Fact, Provenance, Record, Table
from workbench.claims.toml_schema import Lines, Place, build, expect, known_keys, read_toml, show

T = TypeVar("T", Table, Fact)


@cache
def logged_claims() -> tuple[Claim, ...]:
    """All bundled claims, in the order of the logs; read, and each audited, once per process.

    >>> len(logged_claims())
    47
    """
    files = sorted((data_folder() / "claims").glob("S*.toml"))
    return tuple(claim for path in files for claim in read_claims(path))


def claim(identity: str, file: str | Path = "") -> Claim:
    """A claim by its id: a logged one, or one of a claims file of your own.

    Args:
        identity: e.g. ``"S3.2"``.
        file: a claims file, e.g. ``"claims/P1.toml"``; without one the logged claims are meant.

    Raises:
        WorkbenchError: there is none with that id, or the file is no claims file.

    >>> claim("S3.2").title
    'Sign inversion'
    """
    own = read_claims(file) if file else logged_claims()
    found = next((c for c in own if c.id == identity), None)
    if found is None:
        there = ", ".join(c.id for c in own)
        where, hint = (f" in {file}", "") if file else ("", f"; one of your own: wb.claim({identity!r}, 'FILE.toml')")
        raise WorkbenchError(f"no claim {identity!r}{where}; there are {there}{hint}")
    return found


@dataclass(frozen=True)
class _FileText:
    """A claims file as it stands."""

    log: Log
    claim: tuple[object, ...]
    uses: tuple[str, ...] = ()
    method: Mapping[str, object] = field(default_factory=dict)
    table: tuple[object, ...] = ()
    fact: tuple[object, ...] = ()


@dataclass(frozen=True)
class _EvidenceText:
    """A file of shared tables and facts as it stands."""

    table: tuple[object, ...] = ()
    fact: tuple[object, ...] = ()


@dataclass(frozen=True)
class _ClaimText:
    """A claim as it stands in a file."""

    id: str
    title: str
    section: str
    kind: Kind
    statement: str
    models: tuple[str, ...]
    method: Mapping[str, object] = field(default_factory=dict)
    notebook: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    headline: tuple[str, ...] | None = None
    tables: tuple[str, ...] = ()
    numbers: Mapping[str, object] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    premises: tuple[str, ...] = ()
    check: tuple[Mapping[str, object], ...] = ()
    criterion: Criterion | None = None
    replication: Replication | None = None


def read_claims(path: str | Path, notebooks: bool = True) -> tuple[Claim, ...]:
    """The claims of a TOML file, with the tables and facts of the files it ``uses``.

    Args:
        path: of the file.
        notebooks: whether the notebooks that it names must be the workbench's, or lie beside it.

    Raises:
        WorkbenchError: the file is not TOML or not a claims file: an unknown key, a missing one, a wrong type, a missing n,
            a duplicate id, or an unknown table, fact, check, gate, test or notebook. The message has file and line.
    """
    tables, lines = read_toml(path)
    text = build(_FileText, tables, (), lines)
    known_keys(text.method, list(Method.__dataclass_fields__), ("method",), lines)
    record = _record(text.table, text.fact, lines)
    for i, name in enumerate(text.uses):
        other = Path(path).parent / name
        expect(other.is_file(), ("uses", i), lines, f"there is no file {other}")
        record = _joined(record, _evidence(other), ("uses", i), lines)
    found: dict[str, Claim] = {}
    for i, raw in enumerate(text.claim):
        one = _claim(build(_ClaimText, raw, ("claim", i), lines), text, record, found, ("claim", i), lines)
        if notebooks:
            _known_notebook(one.notebook, ("claim", i), lines)
        expect(one.id not in found, ("claim", i, "id"), lines, f"there is another claim {one.id!r} above")
        found[one.id] = one
    return tuple(found.values())


def _evidence(path: Path) -> Record:
    tables, lines = read_toml(path)
    text = build(_EvidenceText, tables, (), lines)
    return _record(text.table, text.fact, lines)


def _record(tables: tuple[object, ...], facts: tuple[object, ...], lines: Lines) -> Record:
    """The tables and facts of one file; no two have the same id."""
    read = [read_table(raw, ("table", i), lines) for i, raw in enumerate(tables)]
    known = [build(Fact, raw, ("fact", i), lines) for i, raw in enumerate(facts)]
    return Record(_by_id(read, "table", lines), _by_id(known, "fact", lines), {})


def _by_id(items: list[T], kind: str, lines: Lines) -> dict[str, T]:
    found: dict[str, T] = {}
    for i, item in enumerate(items):
        expect(item.id not in found, (kind, i, "id"), lines, f"there is another {kind} {item.id!r} above")
        found[item.id] = item
    return found


def _joined(a: Record, b: Record, place: Place, lines: Lines) -> Record:
    twice = [*(set(a.tables) & set(b.tables)), *(set(a.facts) & set(b.facts))]
    expect(not twice, place, lines, f"defined here and in the file it uses: {', '.join(sorted(twice))}")
    return Record({**a.tables, **b.tables}, {**a.facts, **b.facts}, {})


def _claim(
    text: _ClaimText, file: _FileText, record: Record, above: Mapping[str, Claim], place: Place, lines: Lines
) -> Claim:
    """One claim, its references resolved."""
    _known(text.headline or (), text.parts, "letter", (*place, "headline"), lines)
    _known(text.tables, record.tables, "table", (*place, "tables"), lines)
    _known(text.evidence, {**record.tables, **record.facts}, "table or fact", (*place, "evidence"), lines)
    _known(text.premises, above, "claim above this one", (*place, "premises"), lines)
    expect(ID.fullmatch(text.id) is not None, (*place, "id"), lines, f"id {text.id!r} must be {ID_WORDS}")
    judged = text.criterion is not None or (text.replication and text.replication.expected == ("not run",))
    expect(bool(judged), place, lines, f"claim {text.id!r} lacks a criterion, and is not expected to be 'not run'")
    numbers = {n: read_number(n, raw, (*place, "numbers", n), lines) for n, raw in text.numbers.items()}
    own = Record(record.tables, record.facts, numbers)
    checks = tuple(bind(raw, text.parts, own, (*place, "check", i), lines) for i, raw in enumerate(text.check))
    return Claim(
        id=text.id,
        title=text.title,
        log=file.log,
        section=text.section,
        kind=text.kind,
        statement=text.statement,
        models=text.models,
        method=_method(file.method, text.method, place, lines),
        notebook=text.notebook,
        parts=text.parts,
        headline=tuple(text.parts) if text.headline is None else text.headline,
        tables=tuple(record.tables[name] for name in text.tables),
        numbers=numbers,
        evidence=tuple(record.tables.get(name) or record.facts[name] for name in text.evidence),
        premises=tuple(above[name] for name in text.premises),
        checks=checks,
        criterion=text.criterion,
        replication=text.replication,
        file=lines.path,
    )


def _method(common: Mapping[str, object], own: Mapping[str, object], place: Place, lines: Lines) -> Method:
    """The method of a claim over that of its file; its n is a number, or said not to be given."""
    method = build(Method, {**common, **own}, (*place, "method"), lines)
    fine = method.n == NOT_GIVEN or (isinstance(method.n, int) and method.n > 0)
    expect(
        fine, (*place, "method", "n"), lines, f"n must be a whole number above 0 or {NOT_GIVEN!r}, got {show(method.n)}"
    )
    return method


def _known_notebook(name: str, place: Place, lines: Lines) -> None:
    beside = Path(lines.path).parent / f"{name}.ipynb"
    fine = name in ("", *NOTEBOOKS) or beside.is_file()
    message = f"unknown notebook {name!r}; there is no {beside}, and the workbench's are {', '.join(NOTEBOOKS)}"
    expect(fine, (*place, "notebook"), lines, message)


def _known(names: tuple[str, ...], known: Mapping[str, object], what: str, place: Place, lines: Lines) -> None:
    for i, name in enumerate(names):
        there = ", ".join(known) or "none"
        expect(name in known, (*place, i), lines, f"unknown {what} {name!r}; there are {there}")


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
