"""Logged claims: what was said, with which numbers, what those numbers can carry, and how a replication is judged.

Nothing here runs a model: numbers in, audit out. ``data/claims/README.md`` describes the files.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from workbench.audits import Audit, Check, Finding, audited, bind
from workbench.criteria import NOTEBOOKS, Criterion, Kind, Log, Method, Replication
from workbench.errors import WorkbenchError
from workbench.folders import data_folder
from workbench.record_files import read_number, read_table
from workbench.records import NOT_GIVEN, Cell, Fact, Record, Table, interval
from workbench.schema import build, expect, known_keys, show
from workbench.toml_lines import Lines, Place, read_toml

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T", Table, Fact)
#: an id names files and pages
ID = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
ID_WORDS = "letters, digits, dots, hyphens and underscores, a letter or digit first"


@dataclass(frozen=True)
class Claim:
    """One logged finding: what was said, with which numbers, and the rule by which a replication is judged.

    Attributes:
        parts: assertions inside the claim, by letter.
        headline: the letters that the claim's own audit verdict rests on; the others are reported beside it.
        tables: the logged numbers; ``numbers`` those in running text.
        evidence: tables and facts that bear on it, as context.
        premises: claims that it rests on, and is no better than.
        criterion: None only for claims that are not to be run.
        file: the claims file that it was read from.
    """

    id: str
    title: str
    log: Log
    section: str
    kind: Kind
    statement: str
    models: tuple[str, ...]
    method: Method
    notebook: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    headline: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    numbers: Mapping[str, Cell] = field(default_factory=dict)
    evidence: tuple[Table | Fact, ...] = ()
    premises: tuple["Claim", ...] = ()
    checks: tuple[Check, ...] = ()
    criterion: Criterion | None = None
    replication: Replication | None = None
    file: str = field(default="", compare=False)

    @property
    def minimum_effect(self) -> float:
        """The smallest effect that counts as reproduced. Raises WorkbenchError for a claim that is not to be run."""
        if self.criterion is None:
            raise WorkbenchError(f"{self.id} has no criterion: it is not to be run")
        return float(self.criterion.minimum_effect)

    def frame(self) -> "pd.DataFrame":
        """The logged numbers, one row each, with Wilson intervals of rates. A pandas DataFrame."""
        import pandas as pd

        said = [("text", "", name, str(c), interval(c), c.provenance) for name, c in self.numbers.items()]
        frames = [table.frame() for table in self.tables]
        columns = ["table", "row", "column", "logged", "Wilson 95%", "from"]
        return pd.concat([*frames, pd.DataFrame(said, columns=columns)], ignore_index=True)

    def audit(self) -> Audit:
        """What the logged numbers say by themselves: the checks the claim's file names, and the verdict they lead to.

        Raises:
            WorkbenchError: a check does not suit the numbers it is given; with file and line.
        """
        return self._audit

    @cached_property
    def _audit(self) -> Audit:
        findings = [*_premises(self), *_repeated_prompts(self), *(f for check in self.checks for f in check.run())]
        return audited(self.id, findings, self.parts, self.headline)


def _premises(claim: Claim) -> Iterator[Finding]:
    for premise in claim.premises:
        verdict = premise.audit().verdict
        sentence = f"rests on {premise.id} ({premise.title}), which is {verdict}"
        fine = verdict == "supported"
        yield Finding("premise", sentence, outcome="holds" if fine else "fails", verdict="" if fine else verdict)


def _repeated_prompts(claim: Claim) -> Iterator[Finding]:
    n, distinct = claim.method.n, claim.method.distinct_prompts
    if isinstance(n, int) and distinct is not None and distinct < n:
        sentence = (
            f"n = {n} is {distinct} distinct prompts in variants: intervals that treat them as {n} are too narrow"
        )
        yield Finding("pseudo-replication", sentence)


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
