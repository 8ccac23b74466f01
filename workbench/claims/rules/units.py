"""How many units stand behind a number: its n, and the count that a rate is of it."""

import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from workbench.claims.log_numbers import Number, plain, read_numbers
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rules.paired_n import (
    is_counted,
    is_fitted_on,
    is_fitting_set,
    is_of_list,
    n_in_bracket,
    n_of_name,
    paired_n,
)
from workbench.claims.rules.row_names import phrase, stems

#: outcomes that are counted: a percentage of one of them is a count out of n
RATE = phrase(
    r"rate|\basr\b|accura|\bacc\b|refus|success|bypass|flip|\bpass|correct|complian|compl(?:y|ied)|share|proportion|fraction|prevalen",
    r"agree|detect|\bhits?\b|\bwin|error|fail|false pos|yes\b|jailbreak|respon[ds]|recover|surviv|cured?\b|improved|preferred",
    r"prefer|solved|chose|female|male|women|attrition|drop-?out",
)
#: what is a share of a whole, so that it is between 0 and 100%
SHARE = phrase(
    r"(?:response|completion|hit|failure|detection|click|return|survival|attrition|dropout) rate|refus|accura|success|bypass|share",
    r"proportion|prevalen|agreement|complian|correct|pass rate|win rate|error rate|precision|recall|specificity|sensitivity|fraction",
)
#: a multiple or a change, which may be above 100%
GROWING = phrase(
    r"of (?:the )?(?:baseline|expected|original|target|control|budget|normal)|increase|gain|growth|change|more|relative|improve",
    r"faster|slower|higher|overhead|expansion|ratio|reduction|over|cpu|load",
)
_AVERAGED = phrase(
    r"\bseeds?\b|averag|\bmean\b|macro|cross-?valid|\bfolds?\b|bootstrap|weighted|probabilit|similarity|cosine|\bf1\b|\bauc\b",
    r"\bauroc\b|increase|decrease|change|relative|reduction|overhead|\bcv\b|variance|explained|bleu|rouge|\bmap\b|precision",
    r"recall|confidence|growth|of expected|loss|perplex|coheren|certain|budget|cpu|gpu|memory|coverage|interest|discount",
    r"per year|annual|pass@|inflation|\bcost|utili[sz]|\btimes?\b|speed",
)
_AVERAGED_TITLE = phrase(r"\bseeds?\b|averag|macro|\bfolds?\b")
#: where an n is surely that of the number; elsewhere it is only near
SURE = ("cell", "column", "header", "caption", "sentence", "design", "each")


class N(NamedTuple):
    """A number of units, and where it is given."""

    value: int
    where: str

    @property
    def sure(self) -> bool:
        """Whether it is surely that of the number."""
        return self.where in SURE


class Count(NamedTuple):
    """A rate as a count: k of n, and where the n is given."""

    number: Number
    k: int
    n: int
    where: str

    @property
    def rate(self) -> float:
        """Between 0 and 1."""
        return self.k / self.n


def words_around(table: LogTable) -> str:
    """What is said of a table: its title, its heading, the sentences of its section."""
    return f"{table.title} {' '.join(table.heading[-1:])} {table.context}"


def is_averaged(text: str, spread: float | None = None) -> bool:
    """Whether a percentage may be a mean of others, or no share of units at all."""
    return spread is not None or bool(_AVERAGED.search(text))


def column_is_averaged(table: LogTable, j: int) -> bool:
    """Whether the head of a column or the title of its table says that its percentages are means."""
    return is_averaged(table.columns[j]) or bool(_AVERAGED_TITLE.search(table.title))


@lru_cache(maxsize=20_000)
def n_in(text: str) -> tuple[int, ...]:
    """Every "n = " of a head, label or title."""
    return tuple(int(x.value) for x in read_numbers(text) if x.kind == "n" and not x.unit and x.value >= 1)


def _only(values: Iterable[int]) -> int | None:
    different = set(values)
    return different.pop() if len(different) == 1 else None


# ---- of a cell


def n_of_cell(log: LogText, table: LogTable, i: int, j: int) -> N | None:
    """The number of units behind a cell and where it is given; None where it is not, or not in one way only."""
    number = table.numbers[i][j]
    if number is None:
        return None
    if number.n:
        return N(number.n, number.n_from or "cell")
    if head := n_in(table.columns[j]):
        return N(head[0], "header")
    if own := n_in(table.label(i)) or _in_footnote(log, table, i, j):
        return N(own[0], "cell")
    if n := n_of_name(table.columns[j]) or n_of_name(table.label(i)):
        return N(n, "name")
    if n := _in_n_column(table, i, j) or _only(c.n for c in table.numbers[i] if c is not None and c.n):
        return N(n, "column")
    for text, where in ((table.title, "caption"), ("".join(table.heading[-1:]), "header")):
        if given := n_in(text):
            n = _only(given)
            return N(n, where) if n else None
    if n := _of_design(log, table):
        return N(n, "design")
    n = _only(n_in(table.context))
    return N(n, "near") if n else _in_words(table.title, *(s.text for s in log.of_section(table.section)))


_MARK = re.compile(r"[†‡§¶]+")


def _in_footnote(log: LogText, table: LogTable, i: int, j: int) -> tuple[int, ...]:
    """The n of the note below a table whose sign stands in a cell or in the name of its row, "† n = 24"."""
    for mark in _MARK.findall(f"{table.rows[i][j]} {table.label(i)}"):
        notes = (s.text for s in log.of_section(table.section) if s.text.lstrip().startswith(mark))
        if n := _only(n for note in notes for n in n_in(note)):
            return (n,)
    return ()


def _in_n_column(table: LogTable, i: int, j: int) -> int | None:
    """The n of a row in the column of n that belongs to column j: that which shares most words with it, else the nearest."""
    mine = stems(table.columns[j])
    left = table.numbers[i][j - 1] if j else None
    if left and left.kind == "count" and left.n:
        return left.n
    columns = [c for c in table.n_columns if c != j and table.numbers[i][c] and not composition(table, c, j)]
    columns = [c for c in columns if not _is_of_another(table, c, mine)]
    if not columns:
        return None
    best = max(columns, key=lambda c: (len(mine & stems(table.columns[c])), -abs(c - j - 0.5)))
    cell = table.numbers[i][best]
    return int(cell.value) if cell else None


def _is_of_another(table: LogTable, c: int, mine: frozenset[str]) -> bool:
    """Whether a column of n, such as "n harmless", shares its words with other columns and not with this one."""
    words = stems(table.columns[c]) - {"n"}
    others = [stems(table.columns[k]) for k in table.value_columns if k not in table.n_columns]
    return bool(words) and not words & mine and any(words & other for other in others)


def composition(table: LogTable, counts: int, percents: int) -> float | None:
    """The whole that a column of counts and a column of percentages share, where each percentage is its own count's share."""
    known = table.known
    if (counts, percents) not in known:
        known[counts, percents] = _composition(table, counts, percents)
    return known[counts, percents]


def _composition(table: LogTable, counts: int, percents: int) -> float | None:
    cells = zip(table.column(counts), table.column(percents), strict=True)
    pairs = [(a.value, b) for a, b in cells if a and b and b.kind == "percent" and b.successes is None and b.value > 0]
    if len({a for a, _ in pairs}) < 2:
        return None
    whole = sorted(100 * a / b.value for a, b in pairs)[len(pairs) // 2]
    slack = 0.5 if len(pairs) > 2 else 0.0  # two rows may agree by chance
    fits = [(a, b) for a, b in pairs if abs(100 * a / whole - b.value) <= b.step + min(slack, b.value / 5)]
    enough = len(fits) >= max(2, 0.6 * len(pairs)) and len({a for a, b in fits if b.value < 99}) >= 2
    return whole if enough else None


def counted_columns(table: LogTable, i: int) -> list[Count]:
    """Counts and denominators in columns such as "base k", "base n", "steered k", "steered n"."""
    pairs = []
    for j in table.n_columns:
        before = [c for c in table.value_columns if c < j and c not in table.n_columns]
        k, n = (table.numbers[i][before[-1]] if before else None), table.numbers[i][j]
        if k and n and k.kind == "number" and k.step >= 1 and k.value <= n.value:
            pairs.append(Count(k, int(k.value), int(n.value), "column"))
    return pairs


def counts_of_row(log: LogText, table: LogTable, i: int) -> list[Count]:
    """The counts of a row: those printed so, else its percentages with their n, else its columns of counts and n."""
    row = table.numbers[i]
    if printed := [Count(c, int(c.value), c.n, "cell") for c in row if c is not None and c.kind == "count" and c.n]:
        return printed
    counts = [count_of_cell(log, table, i, j) for j in table.value_columns]
    return [c for c in counts if c] or counted_columns(table, i)


def count_of_cell(log: LogText, table: LogTable, i: int, j: int) -> Count | None:
    """A printed count, or a percentage as a count of its n."""
    x = table.numbers[i][j]
    if x is None or x.signed or x.bound:
        return None
    if x.kind == "count" and x.n:
        return Count(x, int(x.value), x.n, "cell")
    if x.kind == "percent" and 0 <= x.value <= 100 and (n := n_of_cell(log, table, i, j)):
        return Count(x, round(x.value * n.value / 100) if x.successes is None else x.successes, *n)
    return None


def column_counts(log: LogText, table: LogTable, j: int) -> dict[int, Count]:
    """The rates of a column as counts, by row; percentages that may be means are left out."""
    counts = {i: count_of_cell(log, table, i, j) for i in range(len(table.rows))}
    averaged = is_averaged(table.columns[j])
    return {
        i: c
        for i, c in counts.items()
        if c and not (c.number.kind == "percent" and (averaged or c.number.spread is not None))
    }


# ---- of a stated design

_DESIGN = re.compile(r"(?P<total>\d[\d,]*)\s*\((?P<factors>\d+\s[^()×x*\d]*(?:\s?[×x*]\s?\d+\s[^()×x*\d]*)+)\)")
_HAS_DESIGN = re.compile(r"\(\d+\s[^()]*[×x*]\s?\d")
_FACTOR = re.compile(r"(\d+)\s([^()×x*\d]+|[^()×*\d]+?)(?=\s?[×x*]|$)")


class Design(NamedTuple):
    """A stated design, such as "72 (6 doses × 4 categories × 3 runs)"."""

    total: int
    factors: tuple[tuple[int, str], ...]


def designs(log: LogText) -> list[Design]:
    """The designs that a log states."""
    return [design for s in log.statements for design in _designs_in(s.text)]


@lru_cache(maxsize=50_000)
def _designs_in(text: str) -> tuple[Design, ...]:
    """The designs of one statement; every table asks for those of all statements."""
    if not _HAS_DESIGN.search(text):
        return ()
    named = [(m, [(int(a), b.strip()) for a, b in _FACTOR.findall(m["factors"])]) for m in _DESIGN.finditer(text)]
    return tuple(Design(int(m["total"].replace(",", "")), tuple(f)) for m, f in named if len(f) >= 2)


def _of_design(log: LogText, table: LogTable) -> int | None:
    """The units per cell of a table whose rows and columns are two factors of a stated design."""
    heads = {re.split(r"[=:]", table.columns[j])[0].strip().lower() for j in table.value_columns}
    if len(heads) != 1:
        return None
    label = stems("" if table.label_column is None else table.columns[table.label_column])
    rows, columns = len(table.rows), len(table.value_columns)
    for total, factors in designs(log):
        by_row = [k for k, (size, words) in enumerate(factors) if size == rows and _share_a_word(label, stems(words))]
        others = [size for k, (size, _) in enumerate(factors) if by_row and k != by_row[0]]
        if len(factors) >= 3 and math.prod(size for size, _ in factors) == total and columns in others:
            return total // (rows * columns)
    return None


def _share_a_word(a: frozenset[str], b: frozenset[str]) -> bool:
    return bool({w[:4] for w in a} & {w[:4] for w in b})


# ---- of a sentence


def n_of_number(log: LogText, s: Statement, number: Number) -> N | None:
    """The number of units behind a number of a sentence and where it is given."""
    if number.n:
        return N(number.n, number.n_from or "cell")
    bracketed = n_in_bracket(number, s.numbers, s.text) if number.kind == "percent" else None
    if bracketed and (is_counted(bracketed) or not bracketed.unit):
        return N(int(bracketed.value), "sentence")
    sizes = [x for x in s.numbers if x.kind == "n" and not is_fitted_on(x, s.text)]
    given = [x for x in sizes if not x.unit]
    listed = any(is_of_list(x, s.text) for x in sizes)
    several = listed or (len({x.value for x in s.numbers if x.kind == "n"}) > 1 and len(given) < len(sizes))
    if several and _may_be_rate(number) and (own := paired_n(number, s.numbers, s.text)):
        return N(int(own.value), "phrase" if own.unit else "sentence")
    attached = [(x.start, x.n) for x in s.numbers if x.kind == "percent" and x.n and x.successes is None]
    if given and {n for _, n in attached} - {
        int(x.value) for x in given
    }:  # several: that of the next place that gives one
        places = sorted([*attached, *((x.start, int(x.value)) for x in given)])
        return next((N(n, "sentence") for start, n in places if start > number.start), None)
    if n := _only(int(x.value) for x in given):
        return N(n, "sentence")
    if given:
        rates = [x for x in s.numbers if x.kind in ("percent", "mean", "number")]
        one_each = len(given) == len(rates) and number in rates
        return N(int(given[rates.index(number)].value), "sentence") if one_each else None
    if n := _only(n for _, n in attached):
        return N(n, "sentence" if attached[-1][0] > number.start else "near")
    if listed:
        return None
    if n := _only_of_words(sizes):
        return N(n, "words")
    for heading in reversed(s.heading):
        if in_heading := n_in(heading):
            n = _only(in_heading)
            return N(n, "heading") if n else None
    n = _only(log.ns_by_block.get(s.block, ())) or _only(log.ns_by_section.get(s.section, ()))
    return N(n, "near") if n else _words_of_block(log, s.block).at(s.line)


def _only_of_words(sizes: Sequence[Number]) -> int | None:
    """The only number of units, or the only one that is not called that of a training set."""
    return _only(int(x.value) for x in sizes) or _only(int(x.value) for x in sizes if not is_fitting_set(x))


def _may_be_rate(x: Number) -> bool:
    return x.kind == "percent" or (x.kind == "number" and 0 < x.value < 1)


# ---- in words

_SAMPLED = phrase(
    r"^(?:prompts|items|examples|samples|questions|participants|subjects|patients|responses|completions|images|people|students"
    r"|users|respondents|problems|queries|instances|tasks|requests|generations|rollouts|trials|conversations|scenarios|women|men"
    r"|children)$"
)
#: a number of units is said to be that of each arm
FOR_EACH = phrase(
    r"\b(?:per|each|every|all|same) (?:\w+ )?(?:condition|arm|cell|group|layer|model|dose|setting|row|set|category|split)s?\b",
    r"(?:prompts|items|samples|questions|participants|examples|patients) each\b|\bin each\b",
)


def _in_words(*texts: str) -> N | None:
    """An n that is given in words, "28 harmful prompts": surely that of all numbers, where it is said to be each arm's."""
    found = [(n, text) for text in texts for n in _sampled_in(text)]
    n = _only(n for n, _ in found)
    each = n and any(FOR_EACH.search(text) for _, text in found)
    return N(n, "each" if each else "nearby") if n else None


class _Words(NamedTuple):
    """The n that a paragraph gives in words, line by line.

    It is known from line ``since`` on; from line ``each`` on it is that of each arm; from line ``until`` on there is another.
    """

    n: int = 0
    since: float = math.inf
    each: float = math.inf
    until: float = math.inf

    def at(self, line: int) -> N | None:
        """The only n that was given up to a line."""
        return N(self.n, "each" if self.each <= line else "nearby") if self.since <= line < self.until else None


def _words_of_block(log: LogText, block: int) -> _Words:
    """What the paragraph of many numbers says is read once, not once for each of them."""
    key = ("words", block)
    if key not in log.known:
        log.known[key] = _read_words(log.of_block(block))
    return cast(_Words, log.known[key])


def _read_words(statements: Iterable[Statement]) -> _Words:
    words = _Words()
    for s in sorted(statements, key=lambda s: s.line):
        for n in _sampled_in(s.text):
            if words.n and n != words.n:
                return words._replace(until=s.line)
            each = s.line if FOR_EACH.search(s.text) else math.inf
            words = _Words(n, min(words.since, s.line), min(words.each, each))
    return words


@lru_cache(maxsize=20_000)
def _sampled_in(text: str) -> tuple[int, ...]:
    numbers = read_numbers(text)
    if any(x.kind == "count" for x in numbers):
        return ()
    sampled = [x for x in numbers if x.kind == "n" and _SAMPLED.match(x.unit) and x.value >= 5]
    sampled = [x for x in sampled if not is_fitted_on(x, plain(text)) and not is_of_list(x, plain(text))]
    n = _only_of_words(sampled)
    return (n,) if n else tuple(int(x.value) for x in sampled)


_UNIT = phrase(
    r"^(?:prompt|item|question|participant|subject|patient|problem|response|completion|sample|example|people|student)"
)


def n_in_words_near(log: LogText, s: Statement) -> N | None:
    """The only "28 prompts" of a paragraph that gives no count of them: good enough to doubt a percentage."""
    key = ("units", s.block)
    if key not in log.known:
        log.known[key] = _only(_ns_in_words(log.of_block(s.block)))
    n = cast(int | None, log.known[key])
    return N(n, "nearby") if n else None


def _ns_in_words(statements: Iterable[Statement]) -> set[int]:
    numbers = [(x, s.text) for s in statements for x in s.numbers]
    if any(x.kind == "count" for x, _ in numbers):
        return set()
    units = [(x, text) for x, text in numbers if x.kind == "n" and _UNIT.search(x.unit)]
    return {int(x.value) for x, text in units if not is_fitted_on(x, text)}


def _is_share_of(x: Number, k: int, n: int) -> bool:
    """Whether "31 (77.5%)" is 31 of n."""
    return x.kind == "percent" and abs(100 * k / n - x.value) <= x.step / 2 + 1e-9


def sentence_counts(log: LogText, s: Statement) -> list[Count]:
    """The rates of a sentence as counts."""
    counts: dict[int, Count] = {}
    for x in s.numbers:
        if x.start in counts or x.signed or x.bound:
            continue
        if x.kind == "count" and x.n:
            counts[x.start] = Count(x, int(x.value), x.n, "cell")
        elif x.kind == "percent" and x.value <= 100 and x.successes is None and (n := n_of_number(log, s, x)):
            counts[x.start] = Count(x, round(x.value * n.value / 100), *n)
        elif x.successes is not None and (n := n_of_number(log, s, x)) and _is_share_of(x, x.successes, n.value):
            counts[x.start] = Count(x, x.successes, *n)
    return list(counts.values())
