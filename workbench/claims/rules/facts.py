"""Does a sentence give for one condition the rate that a table, or an earlier sentence, gives for it?"""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rules import repeats
from workbench.claims.rules.finding import Family, LogFinding, Place, in_cell, in_sentence
from workbench.claims.rules.number_mentions import measure, measured_columns
from workbench.claims.rules.row_names import is_mean, is_total, phrase, stems
from workbench.claims.rules.table_mentions import tables_near
from workbench.claims.rules.units import n_of_cell

Findings = Iterator[LogFinding]
_MOST_ROWS = 100


class _Given(NamedTuple):
    """A rate of one condition.

    Attributes:
        percent, step: its value, and one unit of its last place (0: a count).
        counted: its count and n, where both are given.
        label, of: the words of its condition and of what was measured.
    """

    percent: float
    step: float
    counted: tuple[int, int] | None
    label: frozenset[str]
    of: frozenset[str]
    place: Place
    shown: str

    def agrees(self, other: "_Given") -> bool:
        if self.counted and other.counted and self.counted[1] == other.counted[1]:
            return self.counted == other.counted
        return abs(self.percent - other.percent) <= (self.step + other.step) / 2 + 1e-9

    def comparable(self, other: "_Given") -> bool:
        """Whether both are counts of one n, or one is a percentage."""
        return not (self.counted and other.counted) or self.counted[1] == other.counted[1]


def _cells(log: LogText, table: LogTable) -> Iterator[_Given]:
    for j in measured_columns(table):
        of = measure(table.columns[j])
        for i, x in enumerate(table.column(j)):
            label = stems(table.label(i))
            if (
                x
                and not x.bound
                and not x.signed
                and label
                and not is_total(table.label(i))
                and not is_mean(table.label(i))
            ):
                yield from _as_given(log, table, i, j, x, label, of)


def _as_given(
    log: LogText, table: LogTable, i: int, j: int, x: Number, label: frozenset[str], of: frozenset[str]
) -> Iterator[_Given]:
    place = in_cell(table, i, j)
    if x.kind in ("count", "percent"):
        count = (x.successes, x.n) if x.successes is not None and x.n else None
        step = 0.0 if count else x.step
        yield _Given(100 * count[0] / count[1] if count else x.value, step, count, label, of, place, str(x))
    elif x.kind == "number" and x.step >= 1 and x.value >= 0:
        n, k = n_of_cell(log, table, i, j), int(x.value)
        if n and n.where in ("column", "header", "caption") and k <= n.value:
            yield _Given(100 * k / n.value, 0.0, (k, n.value), label, of, place, f"{k}/{n.value}")


# ---- sentences against tables

_CLAUSE = re.compile(
    r"[;:]\s|,?\s\b(?:while|whereas|but|and|versus|vs\.?|against|compared (?:to|with))\b\s|,\s(?=the\b|[A-Za-z+-])"
)
_OTHER_VALUE = phrase(
    r"\b(?:average|mean|overall|across|between|up to|except|other|threshold|chance|target|expect\w*|differ\w*|than|more|less|fewer"
    r"|points?|subset|these|which|first|last|prior|previous\w*|paper|reported|held|half|second|before|earlier|originally|retry|rerun"
    r"|again|only|of those|remaining|without|not|no|never|except|excluding|if|instead|pilot|preliminary|human|manual\w*)\b|n't"
)


def _sentences(log: LogText) -> Findings:
    """ "The base model refused 18/30", and the row "base" of the table has 16/30; lines that a nearer look has told are left."""
    told = {(f.source, f.line) for f in repeats.against_tables(log)} if log.tables else set()
    for s in log.statements if log.tables else ():
        if (s.source, s.line) not in told:
            yield from _sentence(log, s)


def _sentence(log: LogText, s: Statement) -> Findings:
    rates = [x for x in s.numbers if x.kind in ("count", "percent") and not x.signed and not x.bound]
    counted = {x.start for x in rates if x.kind == "count"}
    rates = [x for x in rates if not (x.kind == "percent" and x.start in counted)]
    if (
        s.is_heading
        or not rates
        or len(rates) > 4
        or any(x.kind in ("p", "points", "times", "range", "mean") for x in s.numbers)
    ):
        return
    tables = [t for t in tables_near(log, s) if 2 <= len(t.rows) <= _MOST_ROWS]
    cells = [c for t in tables for c in _cells(log, t)] if len(tables) == 1 else []
    for x in rates if cells else ():
        clause = _clause_of(s.text, x, rates)
        told = _told(x, clause, s)
        if told and not _OTHER_VALUE.search(clause):
            yield from _against(s, told, cells)


def _clause_of(text: str, x: Number, rates: list[Number]) -> str:
    start = max([0, *(m.end() for m in _CLAUSE.finditer(text) if m.end() <= x.start)])
    end = min([len(text), *(m.start() for m in _CLAUSE.finditer(text) if m.start() >= x.end)])
    others = [y for y in rates if y is not x]
    start = max([start, *(y.end for y in others if y.end <= x.start)])
    end = min([end, *(y.start for y in others if y.start >= x.end)])
    return text[start:end]


def _told(x: Number, clause: str, s: Statement) -> _Given | None:
    count = (x.successes, x.n) if x.successes is not None and x.n else None
    if count and count[0] > count[1]:
        return None
    value = 100 * count[0] / count[1] if count else x.value
    return _Given(value, 0.0 if count else x.step, count, stems(clause), measure(clause), in_sentence(s), str(x))


def _against(s: Statement, told: _Given, cells: list[_Given]) -> Findings:
    measures = {c.of for c in cells}
    words = told.label
    named = [c for c in cells if c.label <= words and (c.of <= told.of or (len(measures) == 1 and c.of & told.of))]
    most = max((len(c.label) for c in named), default=0)
    named = [c for c in named if len(c.label) == most]
    if len(named) != 1 or all(w[0].isdigit() for w in named[0].label):
        return
    cell = named[0]
    others = {w for c in cells if c.label != cell.label for w in c.label} - cell.label
    if cell.agrees(told):
        yield told.place.holds("sentence and table")
    elif cell.comparable(told) and not others & words and not any(c.agrees(told) for c in cells):
        said = f"the table has {cell.shown} in line {cell.place.line} ({cell.place.what}), not {told.shown}"
        yield told.place.finds("weak", "sentence and table", said, cell.percent, others=(cell.place.line,))


_GROWTH = phrase(r"\b(?:improv|gain|rais|increas|reduc|drop|lower|outperform|beat|better|worse|ahead|above|below)")
_OTHER_MEAN = phrase(r"\b(?:average|mean|overall|up to|at least|at most|about|roughly|nearly|relative)\b")


def _differences(log: LogText, s: Statement) -> Findings:
    """ "Ours improves over ERM by 1.5 points on CIFAR-10": two rows of the column are so far apart."""
    points = [x for x in s.numbers if x.kind == "points" and not x.bound]
    rates = any(x.kind in ("percent", "count", "number", "mean") for x in s.numbers)
    if s.is_heading or not points or rates or not _GROWTH.search(s.text) or _OTHER_MEAN.search(s.text):
        return
    tables = [t for t in tables_near(log, s) if 2 <= len(t.rows) <= 30]
    for x in points if len(tables) == 1 else ():
        table, words = tables[0], stems(_clause_of(s.text, x, points).rstrip(". "))
        heads = {j: stems(table.columns[j]) for j in measured_columns(table)}
        columns = [j for j, head in heads.items() if head and head <= words]
        given = {i: y for i, y in enumerate(table.column(columns[0])) if y} if len(columns) == 1 else {}
        named = [i for i in given if stems(table.label(i)) and stems(table.label(i)) <= stems(s.text)]
        pairs = [(given[i], y) for i in named for k, y in given.items() if k != i and (len(named) == 1 or k in named)]
        if not pairs or len(named) > 2:
            continue
        off = [abs(abs(a.value - b.value) - abs(x.value)) - (a.step + b.step) / 2 for a, b in pairs]
        apart = ", ".join(f"{abs(a.value - b.value):.4g}" for a, b in pairs[:4])
        said = (
            f"'{table.label(named[0])}' and the other rows of '{table.columns[columns[0]]}' are {apart} apart, not {x}"
        )
        fine = min(off) <= x.step / 2 + 1e-9
        yield in_sentence(s)._replace(line=x.line).finds("holds" if fine else "weak", "sentence and table", said)


# ---- tables that repeat one experiment


def _repeated_tables(log: LogText) -> Findings:
    """Two tables that share most of their cells, and differ in one."""
    tables = [(t, list(_cells(log, t))) for t in log.tables if len(t.rows) <= _MOST_ROWS][:60]
    for (first, a), (second, b) in combinations(tables, 2):
        if first.source != second.source or first.columns == second.columns:
            continue
        by_key = {(c.label, c.of): c for c in a if c.counted and c.of}
        pairs = [(by_key[c.label, c.of], c) for c in b if c.counted and (c.label, c.of) in by_key]
        pairs = [(x, y) for x, y in pairs if x.comparable(y)]
        off = [(x, y) for x, y in pairs if not x.agrees(y)]
        if len(off) == 1 and len(pairs) >= 2:
            x, y = off[0]
            said = f"{y.shown} here, {x.shown} in line {x.place.line}, where the two tables agree otherwise"
            yield y.place.finds("weak", "given twice", said, y.percent, x.percent, others=(x.place.line,))


# ---- sentences against earlier ones

_AGAIN = phrase(
    r"\bas before\b|\bas above\b|\bas (?:reported|stated|noted|seen) (?:above|before|earlier)\b|\bonce more\b",
    r"\bin (?:conclusion|summary|short)\b|\bto (?:conclude|summari[sz]e|recap)\b|\bas said\b|\boverall,",
)
_SUMMARY = phrase(r"summary|abstract|tl;?dr|conclusion|discussion|highlights|takeaways|recap")
_FILLER = frozenset(w for t in ("section table as before above conclusion summary in short again",) for w in stems(t))


def _repeated_sentences(log: LogText) -> Findings:
    """ "As before, base refusal is 15/30", where 12/30 was said; "in conclusion, from 92% to 4%", where it was from 92% to 14%."""
    told = [(s, x) for s in log.statements if not s.is_heading and len(s.numbers) <= 4 if (x := _facts(s))]
    for (s, first), (t, second) in combinations(told, 2) if len(told) <= 400 else ():
        later = _AGAIN.search(t.text) or any(_SUMMARY.search(h) for h in t.heading)
        earlier = any(_SUMMARY.search(h) for h in s.heading)
        if s.source != t.source or not (later or earlier) or len(first) != len(second):
            continue
        a, b = ({w for w in measure(u.text) if w not in _FILLER} for u in (s, t))
        pair = len(first) == 2 and first[0].agrees(second[0]) and not first[1].agrees(second[1]) and bool(a & b)
        single = (
            len(first) == 1
            and a == b
            and len(a) >= 2
            and first[0].comparable(second[0])
            and not first[0].agrees(second[0])
        )
        kinds = [bool(f.counted) for f in first] == [bool(f.counted) for f in second]
        if kinds and (pair or single):
            said = f"{second[-1].shown} here, {first[-1].shown} in line {s.line}"
            yield in_sentence(t).finds("weak", "given twice", said, others=(s.line,))
            return


_FROM_TO = re.compile(r"\bfrom\s+$", re.IGNORECASE)


def _facts(s: Statement) -> list[_Given]:
    """The one count of a sentence, or the two rates of its "from … to …"."""
    rates = [x for x in s.numbers if x.kind in ("count", "percent") and not x.signed and not x.bound]
    if (
        len(rates) == 2
        and _FROM_TO.search(s.text[: rates[0].start])
        and s.text[rates[0].end : rates[1].start].strip(" %") == "to"
    ):
        return [f for x in rates if (f := _told(x, s.text, s))]
    one = len(rates) == 1 and rates[0].kind == "count" and len(s.numbers) == 1
    return [f for x in rates if (f := _told(x, s.text, s))] if one else []


FAMILY = Family(
    of_sentences=(_differences,),
    of_logs=(_sentences, _repeated_tables, _repeated_sentences),
)
