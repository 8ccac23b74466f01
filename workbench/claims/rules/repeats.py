"""Is one quantity given twice, and differently? Tables against tables, sentences and summaries against tables."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rounding import Grade
from workbench.claims.rules.finding import Family, LogFinding, Place, in_cell, in_sentence
from workbench.claims.rules.row_names import CHANGE, phrase, stems
from workbench.claims.rules.units import RATE, counted_columns, n_of_cell

Findings = Iterator[LogFinding]

_NO_MEASURE = phrase(r"vs\b|winner|p[- ]?value")
_SUMMARY = phrase(
    r"summary|abstract|tl;?dr|conclusion|\brecap|at a glance|key (?:results?|numbers|findings|takeaways)|highlights|executive|takeaways"
)
_MOST_ROWS, _MOST_COLUMNS = 300, 40


class _Cell(NamedTuple):
    """A measurement of a table, and the words of its row and its column."""

    table: LogTable
    i: int
    j: int
    number: Number
    label: frozenset[str]
    head: frozenset[str]

    @property
    def key(self) -> frozenset[str]:
        return self.label | self.head

    @property
    def line(self) -> int:
        return self.table.row_lines[self.i]

    @property
    def place(self) -> Place:
        return in_cell(self.table, self.i, self.j)


def is_measured(head: str) -> bool:
    """Whether a column holds measurements, not changes or comparisons of others."""
    return not CHANGE.search(head) and not _NO_MEASURE.search(head)


def _cells(log: LogText) -> list[_Cell]:
    cells = []
    for table in (t for t in log.tables if len(t.rows) <= _MOST_ROWS and len(t.columns) <= _MOST_COLUMNS):
        labels = [stems(table.label(i)) for i in range(len(table.rows))]
        for j in table.value_columns:
            if not is_measured(table.columns[j]) or j in table.n_columns:
                continue
            head = stems(table.columns[j])
            for i, x in enumerate(table.column(j)):
                if x and not x.bound and x.kind in ("percent", "count", "number", "mean") and labels[i] and head:
                    cells.append(_Cell(table, i, j, x, labels[i], head))
    return cells


def _agree(a: Number, b: Number) -> bool:
    return abs(a.percent - b.percent) <= (a.step + b.step) / 2 + 1e-9


def _in_percent(x: Number) -> bool:
    return x.kind in ("percent", "count") or x.unit == "%"


# ---- tables against tables


def _tables(log: LogText) -> Findings:
    by_key = defaultdict(list)
    for cell in _cells(log):
        if len(_words(cell.key)) >= 2:
            by_key[cell.table.source, cell.key].append(cell)
    pairs = [
        (a, b)
        for cells in by_key.values()
        for a, b in combinations(cells, 2)
        if _is_one_quantity(a, b, alone=len(cells) == 2)
    ]
    told: set[tuple[int, int]] = set()
    for a, b in pairs:
        if _agree(a.number, b.number):
            yield b.place.holds("given twice")
            continue
        grade, chance = _by_chance(log, a, b, len(pairs))
        numbers = (a.number.percent, b.number.percent)
        if grade == "note":
            said = f"{b.number} here, {a.number} in line {a.line}: no more than chance{chance}"
            yield b.place.finds("note", "given twice", said, *numbers, others=(a.line,))
        elif (b.line, a.line) not in told:
            told.add((b.line, a.line))
            said = f"{b.number} here, {a.number} in line {a.line} ({a.place.what}): one quantity, two values{chance}"
            yield b.place.finds("weak", "given twice", said, *numbers, others=(a.line,))


def _words(key: frozenset[str]) -> list[str]:
    return [w for w in key if not w[0].isdigit()]


def _is_one_quantity(a: _Cell, b: _Cell, alone: bool) -> bool:
    """Whether two cells of equal names in two tables must be one quantity; ``alone``: no third cell has their name."""
    x, y, t, u = a.number, b.number, a.table, b.table
    counted = any(n.kind == "number" and n.step >= 1 for n in (x, y))  # numbers of rows differ rightly
    if t is u or counted or _in_percent(x) != _in_percent(y):
        return False
    recalled = sum(any(_SUMMARY.search(h) for h in (*table.heading, table.title)) for table in (t, u)) == 1
    parallel = t.columns == u.columns and (t.title, t.heading) != (u.title, u.heading) and not (recalled and alone)
    close = t.section == u.section or (recalled and alone)
    return not parallel and (len(_words(a.key)) >= 3 or (close and _in_percent(x)))


def _by_chance(log: LogText, a: _Cell, b: _Cell, pairs: int) -> tuple[Grade, str]:
    """Whether two values of one rate differ by no more than chance, with as many pairs as were compared; and the test."""
    from workbench.statistics.rates import fisher

    first, second = (n_of_cell(log, c.table, c.i, c.j) for c in (a, b))
    if not first or not second or not _in_percent(a.number):
        return "weak", ""
    counts = [
        (min(max(round(c.number.percent * n.value / 100), 0), n.value), n.value) for c, n in ((a, first), (b, second))
    ]
    p = fisher(*counts[0], *counts[1])
    same_n = first.value == second.value
    return ("note" if p * pairs > 0.05 and same_n else "weak"), f"; Fisher p = {p:.2g}"


# ---- sentences against tables

_OF_SEVERAL = phrase(
    r"\b(?:average|mean|overall|across|between|improve|increase|decrease|drop|gain|by|up to|drops?|dropped|fell|falls|rose"
    r"|rises|below|above|from|to|except|other|difference|than|threshold|chance|target|expected|about|roughly)\b"
)
_OTHER_KINDS = ("range", "p", "mean", "points", "times")
_CLAUSE = re.compile(r";|,? (?:while|whereas)\b")


def against_tables(log: LogText) -> Findings:
    """A sentence that names a row and a column, and gives another number."""
    cells = defaultdict(list)
    for cell in _cells(log):
        if 1 < len(cell.table.rows) <= 60:
            cells[cell.table.source].append(cell)
    sentences = [t for t in log.statements if cells[t.source] and not t.is_heading]
    for s in (clause for t in sentences for clause in _clauses(t)):
        rates = [
            x for x in s.numbers if x.kind in ("percent", "number", "auc", "count") and not x.signed and not x.bound
        ]
        other = any(x.kind in _OTHER_KINDS for x in s.numbers)
        if other or len(rates) != 1 or _OF_SEVERAL.search(s.text):
            continue
        if named := _cell_of(s, rates[0], cells[s.source]):
            yield from _against_cell(s, rates[0], named)


def _clauses(s: Statement) -> list[Statement]:
    parts = [part.strip() for part in _CLAUSE.split(s.text)]
    return [s] if len(parts) == 1 else [replace(s, text=part) for part in parts if part]


def _cell_of(s: Statement, x: Number, cells: list[_Cell]) -> _Cell | None:
    """The one cell whose row and column a sentence names."""
    words = stems(s.text)
    named = [c for c in cells if c.key <= words and _in_percent(c.number) == _in_percent(x)]
    most = max((len(c.key) for c in named), default=0)
    closest = [c for c in named if len(c.key) == most]
    settings = {f"{v:g}" for _, v in s.settings}
    return closest[0] if most >= 2 and len(closest) == 1 and settings <= closest[0].key else None


def _against_cell(s: Statement, x: Number, cell: _Cell) -> Findings:
    table = cell.table
    if _agree(x, cell.number):
        yield in_sentence(s).holds("sentence and table")
        return
    other_rows = {w for i in range(len(table.rows)) if i != cell.i for w in stems(table.label(i))} - cell.label
    elsewhere = any(_agree(x, y) for y in table.numbers[cell.i] if y)
    close = table.section == s.section or _in_summary(s) or abs(table.line - s.line) < 40
    if close and not elsewhere and not other_rows & stems(s.text):
        off = abs(x.percent - cell.number.percent)
        grade: Grade = "slip" if off <= max(x.step, cell.number.step) + 1e-9 else "weak"
        said = f"the table has {cell.number} in line {cell.line} ({cell.place.what})"
        yield in_sentence(s).finds(grade, "sentence and table", said, cell.number.percent, others=(cell.line,))


# ---- summaries against all else


def _summaries(log: LogText) -> Findings:
    """Percentages of a summary that nothing else in the log holds or gives by a difference, ratio, complement or mean."""
    for file in log.files():
        quoted = [s for s in file.statements if _in_summary(s) and not s.is_heading]
        held = [*_held(file), *_of_n(file)]
        if len(held) < 2 or not quoted:
            continue
        labels = [h for t in file.tables for h in (*t.columns, *map(t.label, range(len(t.rows))))]
        names = {w for label in labels for w in stems(label)}
        given = _Given(file, held)
        for s in quoted:
            for x in s.numbers if len(held) >= 4 or names & stems(s.text) else ():
                exact = x.kind in ("percent", "points") and not x.bound and not x.n and x.successes is None
                if exact and x.value not in (0.0, 50.0, 95.0, 100.0):
                    said = f"no table or other sentence holds {x}, or two numbers that make it"
                    made = given.makes(x) or _from_counts(x, s, [q for q in quoted if q.section == s.section])
                    yield in_sentence(s).finds("holds" if made else "weak", "summary", said)


def _from_counts(x: Number, s: Statement, section: Sequence[Statement]) -> bool:
    """Whether a summary gives the counts of a percentage itself: several in its sentence, or two of its section that make it."""
    if len(_whole([s])) > 1:
        return True
    counts = _whole(section)
    return any(0 <= k <= n != 0 and abs(100 * k / n - x.percent) <= x.step / 2 + 1e-9 for k in counts for n in counts)


def _whole(statements: Sequence[Statement]) -> set[float]:
    numbers = (y for s in statements for y in s.numbers)
    return {y.value for y in numbers if y.kind == "n" or (y.kind in ("number", "count") and y.step >= 1)}


def _of_n(file: LogText) -> list[Number]:
    """Whole numbers of a column of counts whose n stands in another column: 43 of 50."""
    found = []
    for table in (t for t in file.tables if len(t.rows) <= _MOST_ROWS):
        for j in (j for j in table.value_columns if RATE.search(table.columns[j]) and j not in table.n_columns):
            for i, x in enumerate(table.column(j)):
                n = n_of_cell(file, table, i, j) if x and x.kind == "number" and x.step >= 1 else None
                if x and n and n.where in ("column", "header", "caption") and 0 <= x.value <= n.value:
                    found.append(replace(x, kind="count", n=n.value, successes=int(x.value)))
    return found


def _held(file: LogText) -> list[Number]:
    """The rates that tables hold: percentages, counts, and plain numbers under a head that names a rate."""
    cells = [
        (t.columns[j], j in t.n_columns, x) for t in file.tables for j in t.value_columns for x in t.column(j) if x
    ]
    plain = ("number",) if any(RATE.search(head) for head, _, _ in cells) else ()
    kinds = ("percent", "count", *plain)
    return [
        x for head, is_n, x in cells if x.kind in kinds and (x.kind != "number" or (RATE.search(head) and not is_n))
    ]


def _in_summary(s: Statement) -> bool:
    return any(_SUMMARY.search(h) for h in s.heading)


class _Given:
    """The percentages that a file gives outside its summary, and what two of them make."""

    def __init__(self, file: LogText, held: list[Number]):
        kinds = ("percent", "count", "range", "points")
        rest = [x for s in file.statements if not _in_summary(s) for x in s.numbers if x.kind in kinds]
        values = {x.percent for x in (*held, *rest) if x.kind != "range"}
        values |= {v for x in rest if x.kind == "range" for v in (x.low, x.high) if v is not None}
        rows = [(t, i) for t in file.tables for i in range(min(len(t.rows), _MOST_ROWS))]
        values |= {100 * c.rate for t, i in rows for c in counted_columns(t, i)}
        cells = [x for t in file.tables for r in t.numbers for x in r if x and x.kind == "number"]
        values |= {100 * x.value for x in cells if 0 <= x.value <= 1}
        self.values = np.array(sorted({round(v, 4) for v in values})[:400])
        columns = [[x.percent for x in t.column(j) if x] for t in file.tables for j in t.value_columns]
        self.means = np.array([np.mean(v) for v in columns if v])
        low, high = self.values[:, None], self.values[None, :]
        with np.errstate(all="ignore"):
            made = np.concatenate(
                [v.ravel() for v in (high - low, 100 * (high - low) / low, 100 * (high - low) / high)]
            )
        self.made = np.sort(made[np.isfinite(made)])

    def makes(self, x: Number) -> bool:
        value, slack = abs(x.value), x.step / 2 + 0.06
        direct = np.concatenate([self.values, self.means, 100 - self.values])
        at = np.searchsorted(self.made, value - slack)
        return bool((abs(direct - value) <= max(slack, x.step)).any()) or bool(
            at < len(self.made) and self.made[at] <= value + slack
        )


FAMILY = Family(
    of_logs=(_tables, against_tables, _summaries),
)
