"""Which numbers does a sentence speak of? Its own list, those of its paragraph, or a column of a table near it."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rules.row_names import CHANGE, CI_COLUMN, P_COLUMN, bare, is_sd, phrase, setting, stems
from workbench.claims.rules.table_mentions import body, tables_near

_RATES = ("percent", "count")
_KINDS = ("percent", "count", "number", "mean", "auc")
_SIZE = re.compile(r"^\W*(?:[a-z_ ]*\D)??(\d+(?:\.\d+)?)\s?([kmbt])\b", re.IGNORECASE)
_TIMES = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
#: other names of one measure
_MEASURES = (
    ("perplexity", "ppl"),
    ("length", "tokens", "words", "chars", "characters"),
    ("accuracy", "acc", "accurate", "correct"),
    ("refusal", "refused", "refuses", "refuse"),
    ("latency", "ms"),
    ("compliance", "complied", "complies", "comply"),
)
_SYNONYMS = {
    stem: next(iter(stems(names[0]))) for names in _MEASURES for name in names for stem in stems(name)
}  # stem → the first name's
_REPEATED = phrase(r"^\W*(?:run|seed|repeat|repetition|trial|replicate|attempt|try)s?\b")


class Series(NamedTuple):
    """Numbers of one measure under several conditions.

    Attributes:
        name: the measure; "" for numbers of a sentence.
        labels: the condition of each number.
        numbers: in the order of the settings, where all conditions are settings.
        of: what the conditions are: the head of their column.
        lines: of each number.
        sure: whether the sentence must mean these: they are its own, or the only measure of its table, or it names them in full.
    """

    name: str
    labels: tuple[str, ...]
    numbers: tuple[Number, ...]
    of: str
    lines: tuple[int, ...]
    sure: bool

    @property
    def values(self) -> tuple[float, ...]:
        """Counts as percentages."""
        return tuple(x.percent for x in self.numbers)

    @property
    def rates(self) -> bool:
        """Whether all are percentages or counts."""
        return all(x.kind in _RATES for x in self.numbers)

    @property
    def repeated(self) -> bool:
        """Whether the conditions are runs or seeds of one condition."""
        return bool(_REPEATED.search(self.of))

    @property
    def settings(self) -> list[float] | None:
        """The number of each condition, where all have one."""
        given = [size(label) for label in self.labels]
        found = [v for v in given if v is not None]
        return found if len(found) == len(given) and len(set(found)) == len(found) else None

    def varies(self) -> bool:
        """Whether they differ by more than their rounding."""
        spread = max(self.values) - min(self.values)
        return spread > max(x.step for x in self.numbers) + 1e-9


def size(label: str) -> float | None:
    """The number of a condition: a setting such as "layer 12", or a size such as "7B"."""
    m = _SIZE.match(bare(label))
    return float(m[1]) * _TIMES[m[2].lower()] if m else setting(label)


def measure(text: str) -> frozenset[str]:
    """The words of a measure, other names of it replaced by one."""
    return frozenset(_SYNONYMS.get(w, w) for w in stems(text) if not w[0].isdigit())


def own(s: Statement, least: int = 2) -> Series | None:
    """The list of numbers of one kind that a sentence gives."""
    for kind in _KINDS:
        found = [x for x in s.numbers if x.kind == kind and not x.bound]
        if kind == "percent":
            found = [x for x in found if x.successes is None]
        if len(found) < least or not _is_list(s.text, found):
            continue
        labels = _labels_before(s.text, found)
        of = labels[0].split(" ")[0] if all(" " in label for label in labels) else ""
        of = of or ("run" if re.search(r"\b(?:runs?|seeds?|repeats?)\b", s.text, re.IGNORECASE) else "")
        return Series("", tuple(labels), tuple(found), of, (s.line,) * len(found), True)
    return None


def _is_list(text: str, numbers: Sequence[Number]) -> bool:
    """Whether numbers follow one another as items of a list: with separators, and no more than a label between."""
    gaps = [text[a.end : b.start] for a, b in pairwise(numbers)]
    fine = all(len(gap) < 40 and re.search(r",|;|\band\b|→|->|/|\bthen\b|\bto\b|\s", gap) for gap in gaps)
    return fine and not any(re.search(r"\b(?:of|from|by|than|out|vs|versus|against|at|n)\b", gap) for gap in gaps)


def _labels_before(text: str, numbers: Sequence[Number]) -> list[str]:
    ends = [0, *(x.end for x in numbers)]
    labels = []
    for start, x in zip(ends, numbers, strict=False):
        m = re.search(r"([A-Za-z]+ ?[A-Za-z]? ?\d*)\s*[:=]?\s*(?:\w+ )?$", text[start : x.start])
        labels.append(m[1].strip() if m else "")
    return labels


def around(log: LogText, s: Statement, least: int = 2) -> Series | None:
    """The counts of the other sentences of a paragraph."""
    rest = [(t, x) for t in log.of_block(s.block) if t is not s for x in t.numbers if x.kind == "count" and x.n]
    if len(rest) < least or len({x.n for _, x in rest}) > 1:
        return None
    text = " ".join(t.text for t in log.of_block(s.block))
    of = "run" if re.search(r"\b(?:runs?|seeds?|repeats?)\b", text, re.IGNORECASE) else ""
    return Series("", ("",) * len(rest), tuple(x for _, x in rest), of, tuple(t.line for t, _ in rest), False)


def measured_columns(table: LogTable) -> list[int]:
    """The columns of results: no n, p, interval, SD or change."""
    no = (P_COLUMN, CI_COLUMN, CHANGE)
    return [
        j
        for j in table.value_columns
        if j not in table.n_columns
        and not is_sd(table.columns[j])
        and not any(pattern.search(table.columns[j]) for pattern in no)
    ]


def columns_spoken_of(log: LogText, s: Statement, least: int = 2) -> list[Series]:
    """The columns of tables near a sentence that it speaks of: those it names, or the only one that there is."""
    words = measure(s.text)
    found = []
    for table in tables_near(log, s):
        columns = [j for j in measured_columns(table) if len(body(table, j)) >= max(least, 0.8 * len(table.rows))]
        heads = {j: measure(table.columns[j]) for j in columns}
        named = {j: len(head & words) / len(head) for j, head in heads.items() if head & words}
        most = max(named.values(), default=0.0)
        chosen = [j for j, share in named.items() if share == most] or (columns if len(columns) == 1 else [])
        near = table.section == s.section
        for j in chosen if len(chosen) == 1 else []:
            sure = near and (len(columns) == 1 or most == 1)
            found.append(_column(table, j, sure and (most > 0 or not _names_another(words, heads[j]))))
        if found:
            break
    return found


def _names_another(words: frozenset[str], head: frozenset[str]) -> bool:
    """Whether a sentence names a measure, and not that of a column."""
    measures = set(_SYNONYMS.values())
    return bool(words & measures) and not head & words


def _column(table: LogTable, j: int, sure: bool) -> Series:
    cells = body(table, j)
    given = [size(table.label(i)) for i, _ in cells]
    if None not in given:
        cells = [c for _, c in sorted(zip(given, cells, strict=True), key=lambda pair: pair[0] or 0.0)]
    of = "" if table.label_column is None else table.columns[table.label_column]
    labels, lines = tuple(table.label(i) for i, _ in cells), tuple(table.row_lines[i] for i, _ in cells)
    return Series(table.columns[j], labels, tuple(x for _, x in cells), of, lines, sure)


def spoken_of(log: LogText, s: Statement, least: int = 2) -> list[Series]:
    """What a sentence speaks of: its own list of numbers, else columns near it, else the counts of its paragraph."""
    if mine := own(s, least):
        return [mine]
    if any(x.kind in _RATES and x.value not in (0.0, 100.0) for x in s.numbers):
        return []
    if beside := around(log, s, least):
        return [beside]
    return columns_spoken_of(log, s, least)
