"""What is a finding of a rule, and how many units stand behind a number of a log?"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from workbench.claims.log_numbers import Number, read_numbers
from workbench.claims.log_reader import LogTable, LogText, Statement

Grade = Literal["error", "slip", "weak", "note", "holds"]
GRADES: tuple[Grade, ...] = ("error", "slip", "weak", "note")


@dataclass(frozen=True)
class Rule:
    """A rule: the question it asks, and the paper, log or identity it comes from."""

    name: str
    asks: str
    follows: str


@dataclass(frozen=True)
class LogFinding:
    """What a rule says of one place of a log.

    Attributes:
        grade: error (cannot be), slip (the last printed place), weak (cannot carry what is said), note, or holds.
        rule: its name.
        sentence: with the numbers.
        line: of the file.
        source: the file.
        numbers: what was recomputed.
        others: further lines that it is about.
    """

    grade: Grade
    rule: str
    sentence: str
    line: int
    source: str = ""
    numbers: tuple[float, ...] = ()
    others: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"line {self.line}: {self.grade}: {self.sentence} [{self.rule}]"


_STOP = frozenset(
    """the a an of rate rates score scores model models value values result results with in for on at by only and or to is
    are was were vs per from all mean average avg percent percentage total number overall than as its it this that our we
    shows achieves reached reaches has have had about after before between across under over""".split()  # noqa: SIM905
)
_SAME = {
    "baseline": "base", "unsteered": "base", "steered": "steer", "steering": "steer", "refuse": "refus", "accuracies": "accur", "acc": "accur",  # noqa: E501
    "fp": "falsepos", "false": "falsepos", "positives": "falsepos", "positive": "falsepos", "std": "sd", "stdev": "sd", "avg": "mean",
}  # fmt: skip


@lru_cache(maxsize=20_000)
def stems(text: str) -> frozenset[str]:
    """The words of a label, cut to their stem; names of settings and numbers stay.

    >>> sorted(stems("Harmful refusals (s=1.0)")) == sorted(stems("refusal rate, harmful, s=1.0"))
    True
    """
    text = re.sub(r"(?<=\w )A\b(?!\s[a-z])", "A_", text)  # "Probe A" names a thing, "a probe" does not
    words = re.findall(r"[^\W\d_]+-?\d[\w.\-]*|a_|[^\W\d_]+|\d+(?:\.\d+)?", text.lower().replace("non-", "non"))
    return frozenset(_SAME.get(w) or (_stem(w) if w.isalpha() else w) for w in words if w not in _STOP)


def _stem(word: str) -> str:
    word = word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
    return "non" + word[3:8] if word.startswith("non") and len(word) > 6 else word[:5]


def shown(value: float, step: float = 0.0) -> str:
    """A recomputed value with one place more than was printed."""
    if step <= 0:
        return f"{value:.4g}"
    places = 0
    while step < 0.9999 and places < 8:
        step *= 10
        places += 1
    return f"{value:.{places + 1}f}"


def grade_of(off: float, step: float, reach: float = 0.0) -> Grade:
    """Whether a printed number that is off by so much is right, off in its last place, or wrong.

    Args:
        off: the distance from what was recomputed.
        step: one unit of its last printed place.
        reach: what the rounding of the inputs can do.
    """
    near = 1e-9 + 1e-9 * step
    if off <= step / 2 + reach + near:
        return "holds"
    return "slip" if step and off <= step + reach + near else "error"


def where(table: LogTable, i: int, j: int) -> str:
    """A cell's name for a sentence."""
    label = re.sub(r"[*_`]", "", table.label(i)).strip()
    head = table.columns[j].strip()
    return f"{label or f'row {i + 1}'}, {head or f'column {j + 1}'}"


# ---- how many units

#: outcomes that are counted: a percentage of one of them is a count out of n
RATE = re.compile(
    r"rate|accura|\bacc\b|refus|success|bypass|flip|\bpass|correct|complian|compl(?:y|ied)|share|proportion|fraction|prevalen|agree|detect"
    r"|\bhits?\b|\bwin|error|fail|false pos|yes\b|jailbreak|respon[ds]|recover|surviv|cured?\b|improved|preferred|prefer|solved|chose|female|male|women|attrition|drop-?out",  # noqa: E501
    re.IGNORECASE,
)
AVERAGED = re.compile(
    r"\bseeds?\b|averag|\bmean\b|macro|cross-?valid|\bfolds?\b|bootstrap|weighted|probabilit|similarity|cosine|\bf1\b|\bauc\b|\bauroc\b"
    r"|increase|decrease|change|relative|reduction|overhead|\bcv\b|variance|explained|bleu|rouge|\bmap\b|precision|recall|confidence|growth|of expected"  # noqa: E501
    r"|loss|perplex|coheren|certain|budget|cpu|gpu|memory|coverage|interest|discount|per year|annual|inflation|\bcost|utili[sz]|\btimes?\b|speed",  # noqa: E501
    re.IGNORECASE,
)
_N_HEAD = re.compile(
    r"^#?\s*(?:n|no\.|num(?:ber)?\.?(?: of \w+)?|sample(?:s| size)?|total|trials?|prompts?|items?|examples?|runs?|questions?|cases|patients?|participants?|subjects?|tasks|count|size|denominator|of"  # noqa: E501
    r"|n[_ ].*|.*[_ ]n|.*\(n\)|(?:total|all) \w+|test set size|support)\s*(?:\(n\))?$",
    re.IGNORECASE,
)
SURE = ("cell", "column", "header", "caption", "sentence", "design")


def is_averaged(text: str, spread: float | None = None) -> bool:
    """Whether a percentage may be a mean of others, or no share of units at all."""
    return spread is not None or bool(AVERAGED.search(text))


def n_columns(table: LogTable) -> list[int]:
    """The columns of whole numbers whose head says that they are numbers of units."""
    chosen = []
    for j, head in enumerate(table.columns):
        cells = [c for c in table.column(j) if c is not None]
        if j == table.label_column or (len(cells) > 1 and [c.value for c in cells] == list(range(1, len(cells) + 1))):
            continue  # names or numbers of rows
        if (
            _N_HEAD.match(head.strip())
            and cells
            and all(c.kind in ("number", "n") and c.value == int(c.value) and c.value > 0 for c in cells)
        ):
            chosen.append(j)
    return chosen


@lru_cache(maxsize=20_000)
def _n_in(text: str) -> tuple[int, ...]:
    return tuple(int(x.value) for x in read_numbers(text) if x.kind == "n" and not x.unit and x.value >= 1)


def is_composition(table: LogTable, counts: int, percents: int) -> float | None:
    """The whole that a column of counts and a column of percentages share, where each percentage is its own count's share."""
    pairs = [
        (a.value, b.value, b.step)
        for a, b in zip(table.column(counts), table.column(percents), strict=True)
        if a and b and b.kind == "percent" and b.value > 0
    ]
    if len(pairs) < 2 or len({a for a, _, _ in pairs}) < 2:
        return None
    whole = sorted(100 * a / b for a, b, _ in pairs)[len(pairs) // 2]
    fits = [abs(100 * a / whole - b) <= step + 0.5 for a, b, step in pairs]
    distinct = {a for (a, b, _), fit in zip(pairs, fits, strict=True) if fit and b < 99}
    return whole if sum(fits) >= max(2, 0.6 * len(fits)) and len(distinct) >= 2 else None


_DESIGN = re.compile(r"(?P<total>\d[\d,]*)\s*\((?P<factors>\d+\s[^()×x*\d]*(?:\s?[×x*]\s?\d+\s[^()×x*\d]*)+)\)")


def designs(log: LogText) -> Iterator[tuple[Statement, int, list[tuple[int, str]]]]:
    """Statements such as "72 (6 doses × 4 categories × 3 runs)": the total, and the factors with their words."""
    for statement in log.statements:
        for total, factors in _designs_in(statement.text):
            yield statement, total, factors


@lru_cache(maxsize=50_000)
def _designs_in(text: str) -> list[tuple[int, list[tuple[int, str]]]]:
    """The designs of one statement; every table asks for those of all statements."""
    if "(" not in text or not re.search(r"\d\s?[^()]*[×x*]\s?\d", text):
        return []
    named = []
    for m in _DESIGN.finditer(text):
        pairs = re.findall(r"(\d+)\s([^()×x*\d]+|[^()×*\d]+?)(?=\s?[×x*]|$)", m["factors"])
        if len(pairs) >= 2:
            named.append((int(m["total"].replace(",", "")), [(int(a), b.strip()) for a, b in pairs]))
    return named


def n_from_design(log: LogText, table: LogTable) -> int | None:
    """The units per cell of a table whose rows and columns are two factors of a stated design."""
    for _, total, factors in designs(log):
        sizes = [a for a, _ in factors]
        product = 1
        for a in sizes:
            product *= a
        rows, columns = len(table.rows), len(table.value_columns)
        label = stems(table.columns[table.label_column] if table.label_column is not None else "")
        by_row = [k for k, (a, words) in enumerate(factors) if a == rows and _alike(label, stems(words))]
        heads = {re.split(r"[=:]", table.columns[j])[0].strip().lower() for j in table.value_columns}
        if (
            product == total
            and len(factors) >= 3
            and by_row
            and len(heads) == 1
            and columns in [a for k, a in enumerate(sizes) if k != by_row[0]]
        ):
            return total // (rows * columns)
    return None


def _alike(a: frozenset[str], b: frozenset[str]) -> bool:
    return bool({w[:4] for w in a} & {w[:4] for w in b})


def n_of_cell(log: LogText, table: LogTable, i: int, j: int) -> tuple[int, str] | None:
    """The number of units behind a cell and where it is given; None where it is not, or not in one way only."""
    number = table.numbers[i][j]
    if number is None:
        return None
    if number.n:
        return number.n, number.n_from or "cell"
    if head := _n_in(table.columns[j]):
        return head[0], "header"
    own = _n_in(table.label(i))
    if own:
        return own[0], "cell"
    if columns := [
        c for c in n_columns(table) if c != j and table.numbers[i][c] is not None and not is_composition(table, c, j)
    ]:
        if len(columns) > 1:
            mine = stems(table.columns[j])
            best = max(columns, key=lambda c: (len(mine & stems(table.columns[c])), -abs(c - j - 0.5)))
            columns = [best]
        cell = table.numbers[i][columns[0]]
        assert cell is not None
        return int(cell.value), "column"
    counts = {c.n for c in table.numbers[i] if c is not None and c.n}
    if len(counts) == 1 and (n := counts.pop()):
        return n, "column"
    if title := set(_n_in(table.title)):
        return (title.pop(), "caption") if len(title) == 1 else None
    if table.heading and (heading := set(_n_in(table.heading[-1]))):
        return (heading.pop(), "header") if len(heading) == 1 else None
    if design := n_from_design(log, table):
        return design, "design"
    if near := set(_n_in(table.context)):
        return (near.pop(), "near") if len(near) == 1 else None
    return None


def n_of_number(log: LogText, statement: Statement, number: Number) -> tuple[int, str] | None:
    """The number of units behind a number of a sentence and where it is given."""
    if number.n:
        return number.n, number.n_from or "cell"
    given = [x for x in statement.numbers if x.kind == "n" and not x.unit]
    rates = [x for x in statement.numbers if x.kind in ("percent", "mean", "number")]
    own = [(x.start, x.n) for x in statement.numbers if x.kind == "percent" and x.n and x.successes is None]
    if given and {n for _, n in own} - {
        int(x.value) for x in given
    }:  # several n: that of the next place that gives one
        places = sorted([*own, *((x.start, int(x.value)) for x in given)])
        return next(((n, "sentence") for start, n in places if start > number.start), None)
    if len({x.value for x in given}) == 1:
        return int(given[0].value), "sentence"
    if len(given) == len(rates) and given:
        return int(given[rates.index(number)].value), "sentence" if number in rates else "near"
    if given:
        return None
    attached = {(y.n, y.start) for y in statement.numbers if y.kind == "percent" and y.n and y.successes is None}
    if len({n for n, _ in attached}) == 1:
        n, start = attached.pop()
        return n or 0, "sentence" if start > number.start else "near"
    by_word = [x for x in statement.numbers if x.kind == "n"]
    if len({x.value for x in by_word}) == 1:
        return int(by_word[0].value), "words"
    for heading in reversed(statement.heading):
        if ns := set(_n_in(heading)):
            return (ns.pop(), "heading") if len(ns) == 1 else None
    block = {
        int(x.value)
        for s in log.statements
        if s.block == statement.block
        for x in s.numbers
        if x.kind == "n" and not x.unit
    }
    if len(block) == 1:
        return block.pop(), "near"
    section = {
        int(x.value)
        for s in log.statements
        if s.section == statement.section
        for x in s.numbers
        if x.kind == "n" and not x.unit
    }
    return (section.pop(), "near") if len(section) == 1 else None


def rates_of(log: LogText, statement: Statement) -> list[tuple[Number, int, int, str]]:
    """The rates of a sentence with their counts: (number, successes, n, where n is given)."""
    out = []
    seen: set[int] = set()
    for x in statement.numbers:
        if x.start in seen or x.signed or x.bound:
            continue
        if x.kind == "count" and x.n:
            out.append((x, int(x.value), x.n, "cell"))
            seen.add(x.start)
        elif (
            x.kind == "percent" and x.value <= 100 and x.successes is None and (given := n_of_number(log, statement, x))
        ):
            out.append((x, round(x.value * given[0] / 100), *given))
    return out


def row_rates(log: LogText, table: LogTable, j: int) -> list[tuple[int, int, int, str]]:
    """The rates of a column with their counts: (row, successes, n, where n is given)."""
    out = []
    for i, x in enumerate(table.column(j)):
        if x is None or x.signed or x.bound:
            continue
        if x.kind == "count" and x.n:
            out.append((i, int(x.value), x.n, "cell"))
        elif (
            x.kind == "percent"
            and 0 <= x.value <= 100
            and not is_averaged(table.columns[j], x.spread)
            and (given := n_of_cell(log, table, i, j))
        ):
            k = x.successes if x.successes is not None else round(x.value * given[0] / 100)
            out.append((i, k, *given))
    return out


def near(first: int, second: int, lines: Sequence[int]) -> bool:
    """Whether two lines are within some lines of one another."""
    return abs(first - second) <= (lines[0] if lines else 30)


_GREEK = {"alpha": "α", "beta": "β", "lambda": "λ", "strength": "s", "scale": "s"}


@lru_cache(maxsize=20_000)
def settings_key(label: str) -> str:
    """What a condition is called, whichever way its setting is written: "α=0.3", "alpha 0.3" and "0.3" are one.

    >>> settings_key("α=0.3"), settings_key("0.3"), settings_key("Layer 12"), settings_key("Base model")
    ('0.3', '0.3', '12', 'base')
    """
    text = re.sub(r"[*_`]|\(.*?\)", "", label.replace("−", "-")).strip()
    number = re.fullmatch(r"(?:[A-Za-zα-ω_ ]{0,20}?\s?[=: ]?\s?)?(?P<v>[+-]?\d+(?:\.\d+)?)", text)
    if number:
        return f"{float(number['v']):g}"
    return " ".join(sorted(stems(text) - {"model"}))
