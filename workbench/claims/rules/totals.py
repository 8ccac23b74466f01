"""Do parts make their whole? Rows of totals and of means, shares of 100%, lists and sentences that give a whole and its parts."""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from statistics import fmean
from typing import NamedTuple

from workbench.claims.log_numbers import Number, step_of
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rounding import Grade, grade_of, shown
from workbench.claims.rules.finding import Family, LogFinding, Place, in_cell, in_sentence, short
from workbench.claims.rules.row_names import is_mean, is_total, name, phrase

Findings = Iterator[LogFinding]

# ---- rows that stand for all others


class _Whole(NamedTuple):
    """A cell of a row of totals or means, and the cells above that it is made of."""

    table: LogTable
    row: int
    column: int
    said: Number
    cells: list[Number]
    body: list[int]

    @property
    def place(self) -> Place:
        return in_cell(self.table, self.row, self.column)

    @property
    def low(self) -> float:
        return min(c.value for c in self.cells)

    @property
    def high(self) -> float:
        return max(c.value for c in self.cells)

    @property
    def inside(self) -> bool:
        return self.low - self.said.step <= self.said.value <= self.high + self.said.step

    def of(self, *kinds: str) -> bool:
        return all(x.kind in kinds for x in (self.said, *self.cells))

    def weighted(self) -> list[float]:
        """The means of the cells by each column of n."""
        means = []
        for c in (c for c in self.table.n_columns if c != self.column):
            weights = [w.value for k in self.body if (w := self.table.numbers[k][c])]
            if len(weights) == len(self.cells) and any(weights):
                means.append(math.fsum(w * x.value for w, x in zip(weights, self.cells, strict=True)) / sum(weights))
        return means


def _summary_rows(log: LogText, table: LogTable) -> Findings:
    summary = [is_total(table.label(i)) or is_mean(table.label(i)) for i in range(len(table.rows))]
    sparse = [
        2 * sum(row[j] is not None for j in table.value_columns) <= len(table.value_columns) for row in table.numbers
    ]
    start = 0
    for i in (i for i, is_summary in enumerate(summary) if is_summary):
        rows = range(start, i) if i else range(1, len(table.rows))
        body = [k for k in rows if not summary[k] and not sparse[k]]
        wholes = [whole for j in table.value_columns if (whole := _whole(table, i, j, body))]
        if is_total(table.label(i)):
            for whole in wholes:
                yield from _total(whole)
            start = start if name(table.label(i)).lower() in ("all", "overall") else i + 1
        else:
            yield from _means([w for w in wholes if w.column not in table.n_columns])


def _whole(table: LogTable, i: int, j: int, body: list[int]) -> _Whole | None:
    cells = [x for k in body if (x := table.numbers[k][j])]
    said = table.numbers[i][j]
    return _Whole(table, i, j, said, cells, body) if said and len(cells) == len(body) >= 2 else None


def _total(whole: _Whole) -> Findings:
    said, cells, place = whole.said, whole.cells, whole.place
    total, reach = math.fsum(c.value for c in cells), sum(c.step / 2 for c in cells)
    if whole.of("count"):
        k, n = int(total), sum(c.n or 0 for c in cells)
        yield place.finds(
            "holds" if (k, n) == (said.value, said.n) else "error", "total", f"the rows make {k}/{n}, not {said}", k, n
        )
    elif whole.of("percent") and said.successes is None:
        yield from _total_percent(whole, total, reach)
    elif whole.of("number", "n") and whole.low >= 0:
        exact = all(c.step >= 1 for c in (said, *cells))
        between = whole.low <= said.value <= whole.high
        off = abs(total - said.value)
        overall = between and (
            not re.search("total|sum", whole.table.label(whole.row).lower()) if exact else off > 0.3 * total
        )
        grade = grade_of(off, 0.0 if exact else said.step, 0.0 if exact else reach)
        if not overall and not (grade == "error" and not exact and off > 0.5 * max(total, 1e-9)):
            yield place.finds(grade, "total", f"the rows make {shown(total, said.step)}, not {said}", total)


def _total_percent(whole: _Whole, total: float, reach: float) -> Findings:
    """A percentage of a total row: the whole of shares, or the rate of all."""
    said, place = whole.said, whole.place
    if whole.inside:
        pooled = whole.weighted()
        if len(pooled) == 1:
            off = min(abs(m - said.value) for m in (*pooled, fmean(c.value for c in whole.cells)))
            grade = grade_of(off, said.step, max(c.step for c in whole.cells) / 2)
            softened: Grade = "weak" if grade == "error" and off < 1 else grade
            sentence = f"the rows make {shown(pooled[0], said.step)}% by their n, not {said}"
            yield place.finds(softened, "mean of", sentence, pooled[0])
    elif said.value == 100 or abs(total - said.value) < 25:
        grade = grade_of(abs(total - said.value), said.step, reach)
        yield place.finds(grade, "total", f"the rows make {shown(total, said.step)}%, not {said}", total)
    else:
        yield place.finds(
            "error", "mean of", f"{said} is outside its rows, which go from {whole.low:g} to {whole.high:g}"
        )


_BY_WEIGHT = phrase(r"(?<!un)weighted")


def _means(wholes: list[_Whole]) -> Findings:
    """A row of means: the plain ones, or those by any column of n; where no column follows, it may be another mean."""
    judged: list[tuple[_Whole, float, Grade]] = []
    for whole in wholes:
        said = whole.said
        if said.kind not in ("percent", "number", "mean", "points") or not whole.of(said.kind):
            continue
        options = [fmean(c.value for c in whole.cells), *whole.weighted()]
        if len(options) == 1 and _BY_WEIGHT.search(whole.table.label(whole.row)):
            continue  # by weights that are not given
        best = min(options, key=lambda mean: abs(mean - said.value))
        grade = grade_of(abs(best - said.value), said.step, fmean(c.step / 2 for c in whole.cells))
        judged.append((whole, best, "weak" if grade == "error" and whole.inside and len(options) > 1 else grade))
    follows = any(grade in ("holds", "slip") for _, _, grade in judged)
    for whole, best, grade in judged:
        if grade == "error" and whole.inside and not follows:
            grade = "weak" if len(judged) <= 2 else "note"
        yield whole.place.finds(
            grade, "mean of", f"the rows have the mean {shown(best, whole.said.step)}, not {whole.said}", best
        )


# ---- shares of one whole

_SHARES = phrase(
    r"distribution|breakdown|composition|\bsplit\b|\bshares?\b|(?:%|percent|proportion) of (?:total|all)|category mix"
)


#: "label | % of responses": an answer has one label; people may choose several
_LABELS = phrase(r"^(?:outcome|label|class|category|verdict|judg(?:e)?ment)(?:s|es)?$")
_OF_ANSWERS = phrase(
    r"^(?:%|percent(?:age)?|pct|share|proportion) of (?:the |all |our )?"
    r"(?:responses|answers|completions|outputs|generations|rows|items|samples)(?: \(%\))?$"
)


def _shares(log: LogText, table: LogTable) -> Findings:
    label = "" if table.label_column is None else table.columns[table.label_column].strip()
    for j in table.value_columns:
        head = table.columns[j].replace("_", " ").strip()
        by_title = _SHARES.search(table.title) and head.strip().lower() in ("%", "percent", "percentage", "share")
        rows = [i for i in range(len(table.rows)) if not is_total(table.label(i))]
        cells = [
            x for i in rows if (x := table.numbers[i][j]) and x.kind == "percent" and x.value >= 0 and not x.signed
        ]
        labelled = _LABELS.match(label) and _OF_ANSWERS.match(head) and math.fsum(x.value for x in cells) > 100
        if (_SHARES.search(head) or by_title or labelled) and len(cells) == len(rows) >= 3:
            yield from _hundred(cells, Place(f"the column '{head}'", table.row_lines[rows[-1]], table.source))


def _hundred(cells: Sequence[Number], place: Place) -> Findings:
    total, reach = math.fsum(c.value for c in cells), sum(c.step / 2 for c in cells)
    if abs(total - 100) <= reach + 1e-9:
        yield place.holds("shares")
    elif abs(total - 100) < 30:
        told = place._replace(what=f"{place.what} makes {total:g}%, not 100% (rounding can do {reach:g})")
        yield told._replace(what="").finds("error" if total > 100 else "weak", "shares", told.what, total)


# ---- lists and sentences

_LIST_HEAD = phrase(
    r"distribution|breakdown|by \w+\s*:?$|composed of|consist|of which|of these|split|made up of|categories|per \w+\s*:?$"
    r"|one whole|mutually exclusive"
)
_OF_ONE_WHOLE = phrase(r"distribution|breakdown|composed|consist|split|made up|one whole|mutually exclusive")
_ONE_LABEL = phrase(
    r"\b(?:each|every)\b.{0,30}\b(?:exactly|only) one (?:label|class|category|outcome|of)\b",
    r"mutually exclusive|\b(?:each|every)\b.{0,30}\bis one or the other\b",
)
_TOTAL_HEAD = re.compile(r"\W*(?:total|overall|altogether|in all)\b", re.IGNORECASE)
_NO_ITEM = re.compile(r"\W*(?:total|sum|conclusion|note)\b", re.IGNORECASE)


def _lists(log: LogText) -> Findings:
    """A total, and the list of its parts below it: counts that do not add up, or shares that do not make 100."""
    one_label_each = {s.section for s in log.statements if _ONE_LABEL.search(s.text)}
    for k, head in enumerate(log.statements):
        before = log.statements[k - 1] if k else head
        listed = bool(_LIST_HEAD.search(head.text))
        wholes = [
            x
            for x in head.numbers
            if x.value >= 2 and (x.kind == "count" or (x.kind in ("n", "number") and (x.step >= 1 or x.kind == "n")))
        ]
        if (
            listed
            and before is not head
            and before.section == head.section
            and re.match(r"\W*total\b", before.text, re.I)
        ):
            continue  # told at the total
        one_label = head.section in one_label_each
        listed = listed or one_label
        if not listed and not (wholes and _TOTAL_HEAD.match(head.text)):
            continue
        firsts = [s.numbers[0] for s in _items_below(log, k)]
        counts = [_as_count(x) for x in firsts]
        if len(firsts) < 3:
            continue
        if wholes and None not in counts:
            if len({x.kind for x in firsts}) == 1:
                lines = tuple(s.line for s in _items_below(log, k))
                yield from _list_total(head, wholes[0], [c for c in counts if c is not None], lines)
        elif (one_label or _OF_ONE_WHOLE.search(head.text)) and all(_is_plain_share(x) for x in firsts):
            yield from _hundred(firsts, in_sentence(head)._replace(what=f"the list below '{short(head.text, 50)}'"))


def _items_below(log: LogText, k: int) -> list[Statement]:
    head = log.statements[k]
    near = [s for s in log.statements[k + 1 : k + 16] if not (s.text.endswith(":") and not s.numbers)]

    def is_item(s: Statement) -> bool:
        same = (s.section, s.source, s.block) == (head.section, head.source, near[0].block)
        return same and s.line - head.line <= 16 and bool(s.numbers) and not _NO_ITEM.match(s.text)

    return list(takewhile(is_item, near))


def _as_count(x: Number) -> int | None:
    if x.kind == "percent":
        return x.successes
    whole = x.kind in ("count", "n") or (x.kind == "number" and x.step >= 1 and not x.signed)
    return int(x.value) if whole else None


def _is_plain_share(x: Number) -> bool:
    return x.kind == "percent" and x.successes is None and not x.signed and not x.bound


def _list_total(head: Statement, said: Number, counts: list[int], lines: tuple[int, ...]) -> Findings:
    total, goal = sum(counts), int(said.value)
    if max(counts) >= goal or not 0.5 < total / goal < 2:
        return
    fits = total in (goal, said.n)
    sentence = f"the {len(counts)} items below '{short(head.text, 50)}' make {total}, not {goal}"
    if said.n and not fits:
        sentence += f" ({100 * total / said.n:.1f}% of {said.n}, not {100 * goal / said.n:.1f}%)"
    yield Place("", said.line, head.source).finds("holds" if fits else "error", "total", sentence, total, others=lines)


_WHOLE_SAID = phrase(
    r"split|distribut|breakdown|broke down|composed|consist|made up|total(?:ling)? 100|as follows|one whole|mutually exclusive",
    r"\b(?:labels|verdicts|outcomes|answers|responses|completions|outputs) (?:were|are) \d+(?:\.\d+)?\s?% (?!\w+er\b|more|less|of\b)[a-z]",
    r"\bfell into\b|\boutcomes? (?:was|were|are)\b|(?:classified|labell?ed|sorted|categori[sz]ed) (?:as|into)\b",
)
_PLUS = re.compile(
    r"(?<![\w.,+=/^-])(?<![+=-]\s)\d+(?:\.\d+)?\s?%?(?:\s?\+\s?\d+(?:\.\d+)?\s?%?){2,}(?<=%)(?!\s?[=+≈]|\s?(?:is|makes?)\b)"
)


#: "shares: 40, 35 and 25%", where only the last has its sign
_SHARES_LISTED = phrase(
    r"\bshares?\b(?! of \d)[^\d.;]{0,30}(?<![\w.-])(?P<list>\d+(?:\.\d+)?(?:, \d+(?:\.\d+)?)+,? and \d+(?:\.\d+)?\s?%)"
)
#: outcomes of which an answer has one
_OUTCOMES = phrase(r"(?=.*\brefus)(?=.*\bpartial)(?=.*\bcompl(?:y|i))")


def _shares_in_words(log: LogText, s: Statement) -> Findings:
    """ "Responses split as follows: 42% refusal, 31% partial, 19% compliance, and 14% incoherent"; "40 + 35 + 25%"."""
    for m in (*_PLUS.finditer(s.text), *_SHARES_LISTED.finditer(s.text)):
        said = m.groupdict().get("list") or m[0]
        parts = [Number("percent", float(v), step_of(v), v) for v in re.findall(r"\d+(?:\.\d+)?", said)]
        yield from _hundred(parts, in_sentence(s)._replace(what=f"'{said}'"))
    shares = [x for x in s.numbers if x.value != 100 or x.kind != "percent"]
    if len(shares) >= 3 and all(_is_plain_share(x) and x.n is None for x in shares):
        over = len(shares) <= 4 and sum(x.value - x.step / 2 for x in shares) > 100 and _OUTCOMES.search(s.text)
        if over or _WHOLE_SAID.search(s.text):
            yield from _hundred(shares, in_sentence(s))


_ONE = r"(?<![\w.])\d+(?:\.\d+)?\s?%?"
_SEVERAL = rf"(?P<list>{_ONE}(?:(?:\s?[,;/]\s?(?:and\s)?|\sand\s){_ONE}){{2,}})"
_MEAN_AFTER = phrase(
    rf"{_SEVERAL}\s?[;,:(-]?\s?(?:(?:with|and|for|on|the|a|an|their|overall)\s){{0,3}}(?:mean|average)(?:\s(?:of|is|was))?\s?[:=,]?\s?(?P<mean>{_ONE})"
)
_MEAN_OF = phrase(
    rf"\b(?:mean|average)(?: of)?(?: the)?(?: [a-z]+){{0,3}}\s?[(:]?\s?{_SEVERAL}\s?\)?\s?(?:is|was|=|:)\s?(?P<mean>{_ONE})"
)
_OTHER_MEAN = phrase(r"weighted|trimmed|geometric|harmonic|moving|median|pooled|macro|micro")


def _means_in_words(log: LogText, s: Statement) -> Findings:
    """ "Seeds gave 71, 75 and 73; the average is 73", "the mean of 12%, 20% and 31% is 21%"."""
    found = [(p, m) for p in (_MEAN_OF, _MEAN_AFTER) for m in p.finditer(s.text)]
    for pattern, m in found[:1] if not _OTHER_MEAN.search(s.text) else ():
        inside = [x for x in s.numbers if m.start("list") <= x.start < m.end("list")]
        said = next(
            (x for x in s.numbers if m.start("mean") <= x.end <= m.end("mean") + 1 and x.start >= m.end("list")), None
        )
        plain = all(x.kind in ("number", "percent") and not x.signed and not x.bound for x in inside)
        if (
            said is None
            or not plain
            or len(inside) != len(re.findall(_ONE, m["list"]))
            or said.kind not in ("number", "percent")
        ):
            continue  # layers, doses and other settings
        values = [x.value for x in inside]
        true, low, high = fmean(values), min(values), max(values)
        if pattern is _MEAN_OF or low <= said.value <= high:
            grade = grade_of(abs(true - said.value), said.step, fmean(x.step / 2 for x in inside))
            softened: Grade = "weak" if grade == "error" and pattern is _MEAN_AFTER else grade
            sentence = f"the mean of {m['list'].strip()} is {shown(true, said.step)}, not {said}"
            yield in_sentence(s).finds(softened, "mean of", sentence, true)


_PART = r"\d[\d,]*\s[a-z][\w -]*?"
_PARTS = rf"(?P<parts>{_PART}(?:\s?(?:[,;+]|and|&)+\s?(?:and\s)?{_PART})+)"
_TOTAL = r"(?P<total>\d[\d,]*)\s[a-z]+"
_SUM_IN = phrase(rf"(?<![\w.]){_TOTAL}(?:\s[a-z]+){{0,3}}\s?[(:]\s?{_PARTS}\)")
_SUM_AFTER = phrase(rf"(?<![\w.]){_TOTAL}(?:\s[a-z]+)?\s?:\s?{_PARTS}(?=[.;)]|$)")
_SUM_OF = phrase(rf"\bof (?:the |our |these |all )?{_TOTAL},?\s?{_PARTS}(?=[.;)]|$)")
#: "240 completions: 96 at layer 8, 72 at layer 12 and 70 at layer 16"
_AT_SETTINGS = phrase(
    rf"(?<![\w.]){_TOTAL}\s?:\s?(?P<parts>\d[\d,]* (?:at|in|for|from|with) [a-z]+ [\w.=-]+"
    r"(?:(?:,|,? and) \d[\d,]* (?:at|in|for|from|with) [a-z]+ [\w=-]+(?:\.\d+)?)+)"
)
_NO_PARTS = phrase(r"\b(?:per|each|layers?|runs?|seeds?|dimension|epochs?|years?|days?|times)\b")


def _sums_in_words(log: LogText, s: Statement) -> Findings:
    """ "200 prompts: 120 harmful and 90 benign", "of the 50 responses, 30 were refusals, 15 …" """
    for pattern in (_SUM_IN, _SUM_AFTER, _SUM_OF):
        for m in pattern.finditer(s.text):
            total = int(m["total"].replace(",", ""))
            found = re.findall(r"(?<![\w.])\d[\d,]*(?=\s[a-z])", m["parts"], re.IGNORECASE)
            counts = [int(x.replace(",", "")) for x in found]
            off = sum(counts) - total
            if len(counts) < 2 or max(counts) >= total or _NO_PARTS.search(m[0]):
                continue
            wrong = 0 < off < 0.5 * total if pattern is _SUM_OF else 0 < abs(off) < 0.3 * total
            if off == 0 or wrong:
                place = in_sentence(s)._replace(what=f"'{m[0].strip()}'")
                yield place.finds(
                    "weak" if wrong else "holds", "total", f"the parts make {sum(counts)}, not {total}", sum(counts)
                )


def _sums_over_settings(log: LogText, s: Statement) -> Findings:
    for m in _AT_SETTINGS.finditer(s.text):
        counts = [
            int(v.replace(",", "")) for v in re.findall(r"(?<![\w.])(\d[\d,]*) (?:at|in|for|from|with) ", m["parts"])
        ]
        total = int(m["total"].replace(",", ""))
        if len(counts) >= 2 and max(counts) < total:
            off = abs(sum(counts) - total)
            grade: Grade = "holds" if not off else "weak" if off < 0.3 * total else "note"
            yield in_sentence(s).finds(grade, "total", f"the parts make {sum(counts)}, not {total}", sum(counts))


FAMILY = Family(
    of_sentences=(_sums_in_words, _sums_over_settings, _shares_in_words, _means_in_words),
    of_tables=(_summary_rows, _shares),
    of_logs=(_lists,),
)
