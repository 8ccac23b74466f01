"""How are claims read from files? TOML in, claims out: every cell is checked against its type, every name against what there is.

``data/claims/README.md`` describes the files.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from workbench._errors import unknown
from workbench._files import data_folder
from workbench.claims.audits import bind
from workbench.claims.audits.kinds import REPEATS
from workbench.claims.claim import ID, ID_WORDS, NOTEBOOKS, Claim, Criterion, Kind, Log, LoggedMethod, Replication
from workbench.claims.printed_numbers import NOT_GIVEN, Cell, Fact, Provenance, Record, Table
from workbench.claims.toml_schema import Lines, Place, build, expect, known_keys, read_toml, show

T = TypeVar("T", "_ClaimText", "_TableText", Fact)

#: what a claim holds as its file says it
_AS_WRITTEN = (
    "id",
    "title",
    "section",
    "kind",
    "statement",
    "models",
    "notebook",
    "parts",
    "criterion",
    "criteria",
    "replication",
)

_LETTER = re.compile("[a-z]")

#: of a claim that asks for specificity: with fewer, a random direction is specific more than once in twenty times
_FEWEST_CONTROLS = 19

#: digits before or after the point, and units, that no log gives
_DIGITS, _MOST_UNITS = 50, 10**12

_COLUMN = re.compile(
    r"(?P<name>.+): (?P<type>text|number|percent|share|count|flag|n|provenance)(?: of (?P<of>.+?))?(?: (?P<provenance>[LRPI]))?"
)


@cache
def logged_claims() -> tuple[Claim, ...]:
    """All bundled claims, in the order of the logs. They are read and audited once per process.

    >>> len(logged_claims())
    47
    """
    files = sorted((data_folder() / "claims").glob("S*.toml"))
    return tuple(claim for path in files for claim in read_claims(path))


@cache
def own_claims() -> tuple[Claim, ...]:
    """The claims of this project itself, ``W.1`` and on: of no log, with a rule that was fixed before their run all the same.

    >>> own_claims()[0].id
    'W.1'
    """
    return read_claims(data_folder() / "claims" / "W.toml")


def claim(identity: str, file: str | Path = "") -> Claim:
    """A claim by its id: from the logs, from this project, or from your own claims file.

    Args:
        identity: e.g. ``"S3.2"`` or ``"W.1"``; or with the letter of a part that is judged separately, e.g.
            ``"S2.10b"``.
        file: a claims file, e.g. ``"claims/P1.toml"``; without one the bundled claims are meant.

    Raises:
        WorkbenchError: there is no claim with that id, or the file is not a claims file.

    >>> claim("S3.2").title
    'Sign inversion'
    """
    claims = read_claims(file) if file else (*logged_claims(), *own_claims())
    by_id = {one.id: one for one in claims}
    by_id = {line.id: line for one in claims for line in one.lines()} | by_id
    if not isinstance(identity, str) or identity not in by_id:
        more = f" in {file}" if file else f"; one of your own: wb.claim({identity!r}, 'FILE.toml')"
        raise unknown("claim", identity, by_id, more)
    return by_id[identity]


@dataclass(frozen=True, kw_only=True)
class _TableText:
    """A table as it stands in a file."""

    id: str
    title: str
    provenance: Provenance
    source: str
    columns: tuple[str, ...]
    rows: tuple[object, ...]
    n: int | str | None = None


@dataclass(frozen=True)
class _NumberText:
    """A number of running text that says more than its value."""

    value: Decimal | str | None = None
    percent: Decimal | None = None
    share: Decimal | None = None
    count: int | None = None
    n: int | str | None = None
    provenance: Provenance = "L"


@dataclass(frozen=True, kw_only=True)
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
    criteria: Mapping[str, Criterion] = field(default_factory=dict)
    replication: Replication | None = None


@dataclass(frozen=True, kw_only=True)
class _EvidenceText:
    """A file of shared tables and facts as it stands."""

    table: tuple[_TableText, ...] = ()
    fact: tuple[Fact, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _FileText(_EvidenceText):
    """A claims file as it stands."""

    log: Log
    claim: tuple[_ClaimText, ...]
    uses: tuple[str, ...] = ()
    method: Mapping[str, object] = field(default_factory=dict)


def read_claims(path: str | Path, notebooks: bool = True) -> tuple[Claim, ...]:
    """The claims of a TOML file, with the tables and facts of the files it ``uses``.

    Args:
        path: of the file.
        notebooks: whether to check that each notebook in the file is bundled or in the same folder.

    Raises:
        WorkbenchError: the file is not TOML or not a claims file: an unknown key, a missing one, a wrong type, a missing n,
            a duplicate id, or an unknown table, fact, check, gate, test or notebook. The message has file and line.

    >>> from workbench.claims.new_claim import new_claim
    >>> [claim.id for claim in read_claims(new_claim("P1", folder).claims)]
    ['P1']
    """
    tables, lines = read_toml(path)
    text = build(_FileText, tables, (), lines)
    known_keys(text.method, LoggedMethod.__dataclass_fields__, ("method",), lines)
    record = _record(text, lines)
    for i, name in enumerate(text.uses):
        other = Path(path).parent / name
        expect(other.is_file(), ("uses", i), lines, f"there is no file {other}")
        shared, its_lines = read_toml(other)
        more = _record(build(_EvidenceText, shared, (), its_lines), its_lines)
        twice = sorted({*record.tables, *record.facts} & {*more.tables, *more.facts})
        expect(not twice, ("uses", i), lines, f"defined here and in the file it uses: {', '.join(twice)}")
        record = Record({**record.tables, **more.tables}, {**record.facts, **more.facts}, {})
    _check_ids(text.claim, "claim", lines)
    claims: dict[str, Claim] = {}
    for i, one in enumerate(text.claim):
        beside = Path(path).parent / f"{one.notebook}.ipynb"
        if notebooks and one.notebook not in ("", *NOTEBOOKS) and not beside.is_file():
            message = unknown("notebook", one.notebook, NOTEBOOKS, f"; and there is no {beside}")
            raise lines.error(("claim", i, "notebook"), message)
        claims[one.id] = _claim(one, text, record, claims, ("claim", i), lines)
    return tuple(claims.values())


def _record(text: _EvidenceText, lines: Lines) -> Record:
    """The tables and facts of one file; no two have the same id."""
    _check_ids(text.table, "table", lines)
    _check_ids(text.fact, "fact", lines)
    tables = {table.id: _table(table, ("table", i), lines) for i, table in enumerate(text.table)}
    return Record(tables, {fact.id: fact for fact in text.fact}, {})


def _check_ids(items: tuple[T, ...], kind: str, lines: Lines) -> None:
    ids = [item.id for item in items]
    for i, identity in enumerate(ids):
        expect(identity not in ids[:i], (kind, i, "id"), lines, f"there is another {kind} {identity!r} above")


def _claim(
    text: _ClaimText, file: _FileText, record: Record, above: Mapping[str, Claim], place: Place, lines: Lines
) -> Claim:
    """One claim, its references resolved."""
    _check_names(text.headline or (), text.parts, "letter", (*place, "headline"), lines)
    _check_names(text.tables, record.tables, "table", (*place, "tables"), lines)
    _check_names(text.evidence, {**record.tables, **record.facts}, "table or fact", (*place, "evidence"), lines)
    _check_names(text.premises, above, "claim above this one", (*place, "premises"), lines)
    expect(ID.fullmatch(text.id) is not None, (*place, "id"), lines, f"id {text.id!r} must be {ID_WORDS}")
    is_judged = text.criterion is not None or (text.replication and text.replication.expected == ("not run",))
    expect(bool(is_judged), place, lines, f"claim {text.id!r} lacks a criterion, and is not expected to be 'not run'")
    if text.criterion:
        _check_criterion(text.criterion, (*place, "criterion"), lines)
    for letter, criterion in text.criteria.items():
        where = (*place, "criteria", letter)
        expect(_LETTER.fullmatch(letter) is not None, where, lines, f"part {letter!r} must be a letter, a to z")
        _check_criterion(criterion, where, lines)
        twice = text.criterion is None or text.criterion.part == letter
        expect(
            not twice, where, lines, f"part {letter!r} needs a claim.criterion of another part beside it: part = '…'"
        )
    method = build(LoggedMethod, {**file.method, **text.method}, (*place, "method"), lines)
    _check_n(method.n, (*place, "method"), lines)
    numbers = {name: _number(name, raw, (*place, "numbers", name), lines) for name, raw in text.numbers.items()}
    own = Record(record.tables, record.facts, numbers)
    repeats = sum(raw.get("test") in REPEATS for claim in file.claim for raw in claim.check)
    return Claim(
        **{name: getattr(text, name) for name in _AS_WRITTEN},
        log=file.log,
        method=method,
        headline=tuple(text.parts) if text.headline is None else text.headline,
        tables=tuple(record.tables[name] for name in text.tables),
        numbers=numbers,
        evidence=tuple(record.tables.get(name) or record.facts[name] for name in text.evidence),
        premises=tuple(above[name] for name in text.premises),
        checks=tuple(
            bind(raw, text.parts, own, (*place, "check", i), lines, max(repeats, 1)) for i, raw in enumerate(text.check)
        ),
        file=lines.path,
    )


def _check_criterion(criterion: Criterion, place: Place, lines: Lines) -> None:
    """The numbers of a criterion make sense: a replication that can never be judged by it is not worth running."""
    least, unit, contrast = criterion.minimum_effect, criterion.unit, criterion.contrast
    where = (*place, "minimum_effect")
    fits = least.is_finite() and least >= 0 and float(least) < math.inf and bool(float(least)) == bool(least)
    expect(fits, where, lines, f"minimum_effect must be a number above 0, got {least}")
    is_limit = contrast is None and unit.endswith(("above", "below", "at most"))
    wanted = (
        "must be above 0; 0 is a limit only in a unit that ends in 'above', 'below' or 'at most', without a contrast"
    )
    expect(least > 0 or is_limit, where, lines, f"minimum_effect {wanted}, got {least}")
    is_share = unit.split(",")[0] in ("share", "AUC") or "correlation" in unit
    expect(
        least <= 1 or not is_share,
        where,
        lines,
        f"minimum_effect in {unit!r} is at most 1 (0.1 is ten points), got {least}",
    )
    expect(bool(criterion.test), (*place, "test"), lines, "test must name at least one test, e.g. ['mcnemar']")
    logged = criterion.logged
    expect(
        logged is None or math.isfinite(float(logged)),
        (*place, "logged"),
        lines,
        f"logged must be a number, got {logged}",
    )
    for name in ("controls", "planned_n", "at_least"):
        number = getattr(criterion, name)
        expect(0 <= number < _MOST_UNITS, (*place, name), lines, f"{name} must be a whole number from 0, got {number}")
    few = "G6" in criterion.gates and criterion.controls < _FEWEST_CONTROLS
    least_controls = (
        f"controls must be at least {_FEWEST_CONTROLS}: a random direction exceeds k others once in k + 1 times"
    )
    expect(not few, (*place, "controls"), lines, f"{least_controls}; got {criterion.controls}")
    if contrast and contrast.interval_above is not None:
        above = contrast.interval_above
        message = f"interval_above must be from 0 to below the minimum_effect of {least}, got {above}"
        expect(above.is_finite() and 0 <= above < least, (*place, "contrast"), lines, message)


def _check_names(names: tuple[str, ...], known: Iterable[str], what: str, place: Place, lines: Lines) -> None:
    for i, name in enumerate(names):
        if name not in known:
            raise lines.error((*place, i), unknown(what, name, known))


def _check_n(n: object, place: Place, lines: Lines) -> None:
    fine = n in (None, NOT_GIVEN) or (isinstance(n, int) and not isinstance(n, bool) and 0 < n < _MOST_UNITS)
    wanted = f"a whole number above 0, or {NOT_GIVEN!r} where the record does not say"
    expect(fine, (*place, "n"), lines, f"n must be {wanted}, got {show(n)}")


def _table(text: _TableText, place: Place, lines: Lines) -> Table:
    """A table of a file. Each column is ``"name: type"``, optionally with the column of its n and a provenance of its own."""
    columns: list[dict[str, Any]] = []
    for i, column in enumerate(text.columns):
        match = _COLUMN.fullmatch(column)
        types = "text, number, percent, share, count, flag, n or provenance, then optionally L, R, P or I"
        message = f"column {column!r} must be 'name: type', the type being {types}"
        expect(match is not None, (*place, "columns", i), lines, message)
        columns += [match.groupdict()] if match else []
    types_there = {column["type"] for column in columns}
    message = f"table {text.id!r} has percentages but no n: add a column of type n, or n = {NOT_GIVEN!r}, or a number"
    has_rates = bool({"percent", "share"} & types_there)
    expect(not has_rates or "n" in types_there or text.n is not None, place, lines, message)
    _check_n_columns(text, columns, place, lines)
    _check_n(text.n, place, lines)
    rows = tuple(_row(text, columns, row, (*place, "rows", i), lines) for i, row in enumerate(text.rows))
    return Table(text.id, text.title, text.source, tuple(column["name"] for column in columns), rows)


def _check_n_columns(text: _TableText, columns: list[dict[str, Any]], place: Place, lines: Lines) -> None:
    """Of several columns of n, each rate says which is its own."""
    names = [column["name"] for column in columns if column["type"] == "n"]
    for i, column in enumerate(columns):
        where, name, kind, of = (*place, "columns", i), column["name"], column["type"], column["of"]
        rate = kind in ("percent", "share", "count")
        expect(
            of is None or rate, where, lines, f"column {name!r} is {kind}, and only percent, share and count have an n"
        )
        if of is not None and of not in names:
            raise lines.error(where, unknown("column of type n", of, names))
        listed = " or ".join(f'"{name}: {kind} of {n}"' for n in names)
        message = f"table {text.id!r} has {len(names)} columns of type n: say which is that of {name!r}, {listed}"
        expect(of is not None or not rate or len(names) < 2, where, lines, message)


def _row(text: _TableText, columns: list[dict[str, Any]], row: object, place: Place, lines: Lines) -> tuple[Cell, ...]:
    cells = row if isinstance(row, list) else []
    expect(len(cells) == len(columns), place, lines, f"a row needs {len(columns)} cells, got {len(cells)}")
    units = {c["name"]: value for value, c in zip(cells, columns, strict=True) if c["type"] == "n"}
    own = next((value for value, c in zip(cells, columns, strict=True) if c["type"] == "provenance"), None)
    only = next(iter(units.values()), text.n)
    for n in units.values():
        if n != "-":
            _check_n(n, place, lines)
    expect(own in (None, "L", "R", "P", "I"), place, lines, f"provenance must be L, R, P or I, got {show(own)}")
    words = [str(value) for value, column in zip(cells, columns, strict=True) if column["type"] == "text"]
    key = ", ".join(words) or str(cells[0])
    made = []
    for value, column in zip(cells, columns, strict=True):
        provenance = column["provenance"] or own or text.provenance
        name, n = f"{text.id}[{key}].{column['name']}", units.get(column["of"], only)
        made.append(_cell(name, value, column["type"], n, provenance, place, lines))
    return tuple(made)


def _cell(name: str, value: Any, kind: str, n: object, provenance: str, place: Place, lines: Lines) -> Cell:
    """One cell, its value checked against its type. ``"-"`` stands for what the record does not give."""
    missing = kind != "text" and value in ("-", NOT_GIVEN)
    if kind == "share" and _is_number(value):
        message = f"{name} must be a share from 0 to 1, got {show(value)}; a percentage has the type percent"
        expect(0 <= value <= 1, place, lines, message)
        kind, value = "percent", value.scaleb(2) if isinstance(value, Decimal) else Decimal(100 * value)
    number = _is_number(value)
    if kind in ("text", "provenance"):
        fine, wanted = isinstance(value, str), "text"
    elif kind == "flag":
        fine, wanted = isinstance(value, bool) or value == "-", "true, false or '-'"
    elif kind in ("count", "n"):
        fine, wanted = missing or (number and value % 1 == 0), "a whole number, or '-'"
    else:
        fine, wanted = missing or number, "a number, or '-'"
    kind = "percent" if kind == "share" else kind
    expect(fine, place, lines, f"{name} must be {wanted} ({kind}), got {show(value)}")
    units = n if kind in ("percent", "count") and isinstance(n, int) and not isinstance(n, bool) else None
    return Cell(name, None if missing else Decimal(value) if number else value, kind, units, provenance)


def _is_number(value: object) -> bool:
    """Whether a value is a finite number that a log may print: a claims file cannot ask for a billion digits."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    return not value or (Decimal(value).is_finite() and -_DIGITS < Decimal(value).adjusted() < _DIGITS)


def _number(name: str, raw: object, place: Place, lines: Lines) -> Cell:
    """A number of running text: the bare value, or a table that says more.

    The table has ``value``, ``percent`` or ``share`` (0.886) with its ``n``, or ``count``, and optionally ``provenance``.
    """
    if not isinstance(raw, Mapping):
        kind = "flag" if isinstance(raw, bool) else "number" if _is_number(raw) or raw == "-" else "text"
        return _cell(name, raw, kind, None, "L", place, lines)
    text = build(_NumberText, raw, place, lines)
    given = [k for k in ("value", "percent", "share", "count") if getattr(text, k) is not None]
    expect(len(given) == 1, place, lines, f"{name} needs exactly one of value, percent, share and count")
    kind, value = given[0], getattr(text, given[0])
    expect(
        kind not in ("percent", "share") or text.n is not None,
        place,
        lines,
        f"{name} lacks n (a number, or {NOT_GIVEN!r})",
    )
    _check_n(text.n, place, lines)
    kind = kind if kind != "value" else "number" if isinstance(value, Decimal) else "text"
    return _cell(name, value, kind, text.n, text.provenance, place, lines)
