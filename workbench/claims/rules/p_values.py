"""Is a p-value the one of its numbers, by any test that could be meant, and is it called what it is?"""

import re
from collections.abc import Iterator, Sequence

from workbench.claims.log_numbers import Kind, Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.recomputations import (
    Options,
    p_of_mcnemar,
    p_of_one_rate,
    p_of_two_rates,
    span_of_p,
    statistics_of_two_rates,
)
from workbench.claims.rounding import Grade, grade_of, grade_within
from workbench.claims.rules.finding import Family, LogFinding, Place, in_row, in_sentence, mildest
from workbench.claims.rules.row_names import P_COLUMN, one_column, phrase
from workbench.claims.rules.units import Count, column_counts, count_of_cell, counts_of_row, sentence_counts

Findings = Iterator[LogFinding]

#: a test of two rates is named
NAMED = phrase(r"fisher|chi|χ|yates|mcnemar|barnard|boschloo|z[- ]test|binomial|proportion")
#: another test is
OTHER = phrase(
    r"\bt[- ]test|anova|regress|mixed|wilcoxon|mann|permut|bootstrap|log-?rank|spearman|pearson|correl|adjusted|corrected",
    r"bonferroni|holm|interaction|trend|cochran|kruskal|delong|cox|hazard|bayes",
)
_CHANCE = phrase(r"chance|binomial|against (?:50|half|0?\.5)|vs\.? (?:50|0?\.5|half)|sign test")
_CHANCE_LEVEL = re.compile(r"chance[^.;]{0,12}?(\d+(?:\.\d+)?)\s?%")
_UNPAIRED = phrase(r"fisher|χ|chi|z[- ]test|independent|unpaired")
_GIVEN = ("cell", "sentence")  # where the n of a count must be given for an error to be sure

# ---- sentences


def _p_values(log: LogText, s: Statement) -> Findings:
    ps = [x for x in s.numbers if x.kind == "p"]
    place = in_sentence(s)
    for statistic in (x for x in s.numbers if x.kind == "z" or (x.kind in ("t", "F", "chi2", "r") and x.degrees)):
        p = next((p for p in ps if 0 <= p.start - statistic.end < 40), None)
        if p:
            ps.remove(p)
            yield from _statistic_of_rates(log, s, statistic)
            yield of_statistic(statistic, p, place)
    for p in (p for p in ps if 0 <= p.value <= 1):
        counts = _counts_of(log, s, p, alone=len(ps) == 1)
        level = _CHANCE_LEVEL.search(s.text)
        if level and len(counts) == 2 and counts[1].number.percent == float(level[1]):
            counts = counts[:1]
        if len(counts) == 1 and _CHANCE.search(s.text):
            yield _of_one_rate(counts[0], p, s)
        elif len(counts) == 2:
            yield from of_two_rates(counts, p, s.text, place, all(c.where in _GIVEN for c in counts))


def _counts_of(log: LogText, s: Statement, p: Number, alone: bool) -> list[Count]:
    """The counts that a p-value is about: those before it in its sentence, else the only two of its paragraph or list."""
    counts = _each_once(sentence_counts(log, s))
    before = [c for c in counts if c.number.start < p.start] or counts
    if len(before) > 2 and not alone:
        last = max((q.end for q in s.numbers if q.kind == "p" and q.end <= p.start), default=0)
        before = [c for c in before if c.number.start >= last]
    if len(before) > 1 or _CHANCE.search(s.text) or not alone:
        return before
    around = log.of_block(s.block)
    if sum(x.kind == "p" for t in around for x in t.numbers) > 1 or (OTHER.search(s.text) and not NAMED.search(s.text)):
        return before
    beside = [c for t in around if t is not s for c in _each_once(sentence_counts(log, t)) if c.where in _GIVEN]
    if beside or before or not NAMED.search(s.text):
        return [*beside, *before] if len(beside) + len(before) == 2 else before
    return _only_two(log, s)


def _only_two(log: LogText, s: Statement) -> list[Count]:
    """The only two counts of a section, in its sentences or in the one column of counts of its one table."""
    section = log.of_section(s.section)
    if sum(x.kind == "p" for t in section for x in t.numbers) > 1:
        return []
    told = [c for t in section for c in _each_once(sentence_counts(log, t)) if c.where in _GIVEN]
    tables = log.tables_of(s.section)
    columns = [list(column_counts(log, t, j).values()) for t in tables for j in t.value_columns if len(t.rows) == 2]
    columns = [c for c in columns if len(c) == 2]
    if len(tables) == len(columns) == 1 and not told:
        return columns[0]
    return told if len(told) == 2 and not tables else []


def _each_once(counts: list[Count]) -> list[Count]:
    """Counts without the percentages that say the same again."""
    printed = {(c.k, c.n) for c in counts if c.number.kind == "count"}
    return [c for c in counts if c.number.kind == "count" or (c.k, c.n) not in printed]


def _statistic_of_rates(log: LogText, s: Statement, x: Number) -> Findings:
    """A χ² or z against the two counts of its sentence."""
    counts = [c for c in sentence_counts(log, s) if c.number.start < x.start]
    usable = x.kind == "z" or (x.kind == "chi2" and x.degrees[0] == 1)
    if not usable or len(counts) != 2 or any(c.where not in _GIVEN for c in counts):
        return
    (_, a, n, _), (_, b, m, _) = counts
    if 0 < a + b < n + m:
        values = statistics_of_two_rates(x.kind, a, n, b, m)
        off = min(abs(v - abs(x.value)) for v in values)
        said = f"{a}/{n} and {b}/{m} give {values[0]:.3g}, not {x}"
        yield Place(in_sentence(s).what, x.line, s.source).finds(grade_of(off, x.step), "p of two rates", said, *values)


def of_two_rates(counts: Sequence[Count], p: Number, text: str, place: Place, sure: bool) -> Findings:
    """A printed p-value against every test of two rates that could be meant."""
    (_, a, n, _), (_, b, m, _) = counts
    if (OTHER.search(text) and not NAMED.search(text)) or not (0 <= a <= n and 0 <= b <= m and n and m):
        return
    options = p_of_two_rates(a, n, b, m, rare=False)
    if not _fitting(options, p):
        options = p_of_two_rates(a, n, b, m)
    place, head = place._replace(line=p.line), dict(options)
    numbers = (head["Fisher"], head["z"])
    named = tuple((name, v) for name, v in options if name in _named_tests(text))
    fitting = _fitting(options, p)
    paired = n == m and not _UNPAIRED.search(text) and bool(_fitting(p_of_mcnemar(a, b, n), p))
    if fitting and named and not _fitting(named, p):
        said = ", ".join(f"{name} {v:.2g}" for name, v in named)
        grade: Grade = "slip" if _best_grade(named, p) == "slip" else "weak"
        yield place.finds(
            grade, "p of two rates", f"the test that is named gives {said}; {p} is that of {fitting[0]}", *numbers
        )
    elif fitting or paired:
        yield place.finds("holds", "p of two rates", "", *numbers)
    else:
        grade = _grade_of_far(options, named or options, p, text, sure)
        said = f"no test of {a}/{n} against {b}/{m} gives {p}: Fisher {head['Fisher']:.2g}, z {head['z']:.2g}"
        yield place.finds(grade, "p of two rates", said, *numbers)


def _fitting(options: Options, p: Number) -> list[str]:
    return [name for name, v in options if grade_within(v, v, p) == "holds"]


def _best_grade(options: Options, p: Number) -> Grade:
    return mildest(*(grade_within(v, v, p) for _, v in options))


def _grade_of_far(options: Options, meant: Options, p: Number, text: str, sure: bool) -> Grade:
    """An error where the p-value is far from all tests, its test is named, or they are on the other side of .05."""
    if _best_grade(meant, p) == "slip":
        return "slip"
    least, most = min(v for _, v in options), max(v for _, v in options)
    below, above = p.value < least / (1.5 if p.bound else 2), p.value > most * (1.5 if p.bound else 2)
    far = (below and p.bound != ">") or (above and p.bound != "<")
    return "error" if sure and (far or NAMED.search(text) or (least - 0.05) * (p.value - 0.05) < 0) else "weak"


def _named_tests(text: str) -> set[str]:
    """The tests of two rates that a text may mean by the name it gives; none where it gives none."""
    low = text.lower()
    if "mcnemar" in low:
        return set()
    names: set[str] = set()
    if "fisher" in low:
        two_sided = re.search(r"two-(?:sided|tailed)", low)
        names |= {"Fisher"} if two_sided else {"Fisher", "one-sided Fisher", "mid-p Fisher"}
    if "yates" in low:
        names |= {"χ² with Yates"}
    elif re.search(r"χ|chi", low):
        names |= {"z", "χ² with Yates", "likelihood ratio"}
    return names | (
        {"z", "one-sided z", "unpooled z", "one-sided unpooled z"} if re.search(r"z[- ]test", low) else set()
    )


def _of_one_rate(count: Count, p: Number, s: Statement) -> LogFinding:
    level = _CHANCE_LEVEL.search(s.text)
    chance = float(level[1]) / 100 if level else 0.5
    options = p_of_one_rate(count.k, count.n, chance)
    said = f"{count.k} of {count.n} against {100 * chance:g}% has the binomial p {options[0][1]:.2g}, not {p}"
    place = in_sentence(s)._replace(line=p.line)
    return place.finds(_best_grade(options, p), "p of one rate", said, options[0][1])


def of_statistic(x: Number, p: Number, place: Place) -> LogFinding:
    """A p-value against its statistic, over what the statistic's rounding leaves open; of t, z and r one-sided too."""
    two_sided = span_of_p(x.kind, x.value, x.step, x.degrees)
    spans = [two_sided, *([two_sided.times(0.5)] if x.kind in ("t", "z", "r") else [])]
    grade = mildest(*(grade_within(span.low, span.high, p) for span in spans))
    said = f"{x} has p = {two_sided.value:.3g}, not {p}"
    return place._replace(line=p.line).finds(grade, "p of a statistic", said, two_sided.value)


_NO_CLAIM = phrase(
    r"significance (?:level|threshold)|alpha|α\s?=|if p|when p|marginal|trend|borderline|uncorrected|before correction|bonferroni",
    r"threshold",
)
_NOT_SIGNIFICANT = phrase(
    r"\bnot (?:statistically )?significant|non-?significant|insignificant|no (?:statistically )?significant|\bn\.s\.",
    r"(?:\bnot|n't|\bnor|\bneither)\s(?:(?!only|just|merely)\w+\s){0,3}significant(?:ly)?\b",
)
_SIGNIFICANT = phrase(r"\bsignifican(?:t|tly|ce)\b")


def _significance(log: LogText, s: Statement) -> Findings:
    ps = [x for x in s.numbers if x.kind == "p"]
    if len(ps) != 1 or _NO_CLAIM.search(s.text):
        return
    p, denied = ps[0], _NOT_SIGNIFICANT.search(s.text)
    if denied or _SIGNIFICANT.search(s.text):
        wrong = p.value < 0.05 and p.bound != ">" if denied else 0.05 < p.value <= 1 and p.bound != "<"
        said = f"called {'not ' if denied else ''}significant at {p}"
        yield in_sentence(s).finds("weak" if wrong else "holds", "significance", said)


# ---- tables

_DEGREES = r"^(?:df|d\.f\.|degrees of freedom)$"
_STATISTICS: tuple[tuple[Kind, str], ...] = (
    ("t", r"^t(?:[- ]?(?:stat(?:istic)?|value))?$"),
    ("z", r"^z(?:[- ]?(?:stat(?:istic)?|value|score))?$"),
    ("chi2", r"^(?:χ²|χ2|chi2|chi-?squared?|x2)$"),
    ("r", r"^(?:pearson'?s? )?r$"),
)


def _table(log: LogText, table: LogTable) -> Findings:
    text = f"{table.title} {' '.join(table.columns)}"
    for i in range(len(table.rows)):
        p = p_of_row(table, i)
        if p is None:
            continue
        if statistic := _statistic_of_row(table, i):
            yield of_statistic(statistic, p, in_row(table, i))
        elif not any(x is not None and x.spread is not None for x in table.numbers[i]):
            counts = counts_of_row(log, table, i)
            counts = counts if len(counts) != 1 else [*counts, *_reference(log, table, i)]
            if len(counts) == 2:
                sure = all(c.number.kind != "percent" or _is_sure(c) for c in counts)
                yield from of_two_rates(counts, p, text, in_row(table, i), sure)


def _is_sure(count: Count) -> bool:
    return count.where in ("cell", "column", "header", "caption") and count.number.step * count.n < 100


def p_of_row(table: LogTable, i: int) -> Number | None:
    """The p-value in a row's column of p-values."""
    column = one_column(table, P_COLUMN)
    x = table.numbers[i][column] if column is not None else None
    if x is None or x.kind not in ("number", "p") or not 0 <= x.value <= 1:
        return None
    return Number(
        "p", x.value, x.step, x.text if x.kind == "p" else f"p = {x.text}", line=table.row_lines[i], bound=x.bound
    )


def _statistic_of_row(table: LogTable, i: int) -> Number | None:
    row, line = table.numbers[i], table.row_lines[i]
    df = one_column(table, _DEGREES)
    degrees = row[df] if df is not None else None
    for kind, pattern in _STATISTICS:
        j = one_column(table, pattern)
        x = row[j] if j is not None else None
        of = (degrees.value,) if degrees and kind != "z" else ()
        if kind == "r" and x and not degrees:
            n = next((cell.value for c in table.n_columns if (cell := row[c])), 0.0)
            of = (n - 2,) if n > 2 and abs(x.value) < 1 else ()
        if x and j is not None and (kind == "z" or of):
            return Number(kind, x.value, x.step, f"{table.columns[j]} = {x.text}", line=line, degrees=of)
    return None


def _reference(log: LogText, table: LogTable, i: int) -> list[Count]:
    """The count of the one row without a p-value, which those of the others compare with."""
    without = [k for k in range(len(table.rows)) if p_of_row(table, k) is None]
    if len(without) != 1 or len(table.rows) < 2:
        return []
    mine = [j for j in table.value_columns if count_of_cell(log, table, i, j)]
    return [c for j in mine if (c := count_of_cell(log, table, without[0], j))] or counts_of_row(log, table, without[0])


FAMILY = Family(
    of_sentences=(_p_values, _significance),
    of_tables=(_table,),
)
