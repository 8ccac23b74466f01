"""Do a count, its n and the percentage beside it fit one another?"""

import re
from collections.abc import Iterable, Iterator

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rounding import Grade, grade_of, shown
from workbench.claims.rules.finding import Family, LogFinding, Place, in_cell, in_sentence
from workbench.claims.rules.row_names import phrase
from workbench.claims.rules.units import RATE, SHARE, N, n_of_cell, n_of_number

Findings = Iterator[LogFinding]

_UNITS = phrase(r"prompt|item|sample|question|case|patient|participant|subject|trial|response|answer|row|task|flip")
_NO_COUNT = phrase(r"\bhttp|\b(?:x|score|ratio|fraction|times|aspect)\b")
#: a unit behind "85/80" says that it is a reading against a limit, and no count
_UNIT_BEHIND = re.compile(r"\s?(?:°|(?:[KMGT]i?B|[munµ]?s|min|h|[kMG]?Hz|[mk]?W|[mck]?m|[mk]?g|mmHg|V|dB)\b)")


#: "31/0"; "12/0" of "passed/failed" is no count
_OF_NONE = re.compile(r"(?<![\w.,/+-])(?P<k>[1-9]\d*)\s?/\s?0(?![\w.,/%])")
_TWO_NAMES = re.compile(r"[a-z]{2,}\s?/\s?[a-z]{2,}|\bW/L\b", re.IGNORECASE)


def _of_none(log: LogText, s: Statement) -> Findings:
    """ "31/0 prompts", or "31/0" beside other counts."""
    for m in _OF_NONE.finditer(s.text) if not _TWO_NAMES.search(s.text) else ():
        if _UNITS.match(s.text[m.end() :].lstrip()) or _are_counts(s.numbers):
            yield in_sentence(s).finds("error", "count", f"{m[0]}: {m['k']} of none")


def _of_none_in_table(log: LogText, table: LogTable) -> Findings:
    for j in range(len(table.columns)) if not any(map(_TWO_NAMES.search, table.columns)) else ():
        for i, cells in enumerate(table.rows):
            if _OF_NONE.fullmatch(cells[j].strip()) and _are_counts(table.column(j)):
                yield in_cell(table, i, j).finds("error", "count", f"{cells[j].strip()} is a count of none")


def _are_counts(numbers: Iterable[Number | None]) -> bool:
    """Whether there are counts among some numbers, and all of them fit into their n, of 5 at least."""
    counts = [x for x in numbers if x and x.kind == "count" and x.n]
    return bool(counts) and all(x.value <= (x.n or 0) >= 5 for x in counts)


def _of_sentence(log: LogText, s: Statement) -> Findings:
    for x in s.numbers:
        yield from _alone(x, s.text, Place("", x.line, s.source), _has_its_n(x, s.numbers))
        if _is_partial(x):
            yield from _partial(log, s, x)


def _of_table(log: LogText, table: LogTable) -> Findings:
    for j, head in enumerate(table.columns):
        for i, x in enumerate(table.column(j)):
            if x is None:
                continue
            place = in_cell(table, i, j)
            yield from _alone(x, f"{head} {table.title}", place, _has_its_n(x, table.column(j)))
            if _is_partial(x):
                yield from _of_cell(log, table, i, j, x)
            elif j in table.value_columns:
                yield from _against_column(log, table, i, j, x)


# ---- a count against its n, and the percentage that is printed with both


def _alone(x: Number, text: str, place: Place, same_n: bool) -> Findings:
    """What one number says by itself; ``same_n``: other counts beside it have its n, so that it is one."""
    if x.kind == "percent" and x.successes is not None and x.n:
        yield _share_of(x, x.n, place)
    if x.kind != "count" or not x.n:
        return
    if x.value <= x.n:
        yield place.holds("count")
        return
    around = text[max(0, x.start - 30) : x.end + 30]
    asked = "?" in text[x.end : x.end + 30]
    if _UNIT_BEHIND.match(text[x.end :]) or asked:
        return
    named = same_n or (
        " / " not in x.text and (_UNITS.search(around) or SHARE.search(around))
    )  # "116 / 87" are two counts
    if "/" in x.text and (not named or _NO_COUNT.search(around)):
        return  # 304/204, 120/80 and 5/4 may be anything
    grade: Grade = "error" if x.n >= 5 and not _NO_COUNT.search(text) else "weak"
    yield place.finds(grade, "count", f"{x}: {x.value:g} of {x.n} is more than all")


def _has_its_n(x: Number, others: Iterable[Number | None]) -> bool:
    """Whether a count beside it has the same n, so that it is one."""
    counts = [y for y in others if y and y is not x and y.kind == "count" and y.n]
    return any(y.n == x.n and y.value <= (y.n or 0) and (y.n or 0) >= 5 for y in counts)


def _against_column(log: LogText, table: LogTable, i: int, j: int, x: Number) -> Findings:
    """A whole number of a column of outcomes against the n of its row."""
    head = table.columns[j]
    counted = x.kind == "number" and x.step >= 1 and not x.unit and RATE.search(head)
    if counted and not re.search(r"rate|%|accura|share|fail|error", head, re.IGNORECASE):
        n = n_of_cell(log, table, i, j)
        if n and n.where == "column" and x.value > n.value:
            yield in_cell(table, i, j).finds("error", "count", f"{x} of {n.value} is more than all")


# ---- "31 (78.5%)", whose n stands elsewhere

_PART_OF_PART = phrase(r"\bof (?:which|whom|these|those|them)\b|\bamong\b|\bremaining\b|\bthe rest\b")
_RANK_BEFORE = re.compile(
    r"\b(?:top|bottom|first|last|best|rank|layer|head|epoch|step|no\.?|number)\W*$", re.IGNORECASE
)


def _is_partial(x: Number) -> bool:
    return x.kind == "percent" and x.successes is not None and not x.n and not x.signed and not x.bound


def _of_cell(log: LogText, table: LogTable, i: int, j: int, x: Number) -> Findings:
    n = n_of_cell(log, table, i, j)
    if n and n.where in ("column", "header", "caption") and not re.search(r"\bof\b", table.columns[j]):
        yield _share_of(x, n.value, in_cell(table, i, j))


def _partial(log: LogText, s: Statement, x: Number) -> Findings:
    """A count and its percentage against every n that may be meant, in the sentence or around it."""
    k = x.successes or 0
    if k < 1 or _RANK_BEFORE.search(s.text[: x.start]):
        return
    own, near = _sizes(s, x), {size for t in log.of_section(s.section) for size in _sizes(t, x)}
    if any(_off(x, m) <= x.step / 2 + 1e-9 for m in own | near):
        yield in_sentence(s).holds("count and percent")
        return
    n = n_of_number(log, s, x)
    stated = {n.value} if n and n.value >= k else set()
    close = sorted(
        (m for m in own | stated | _of_list(log, s, x, near) if m >= 10 and _off(x, m) <= 15), key=lambda m: _off(x, m)
    )
    if close:
        yield _share_of(x, close[0], in_sentence(s)._replace(line=x.line), _grade(s, x, n, close[0], own))


def _of_list(log: LogText, s: Statement, x: Number, near: set[int]) -> set[int]:
    """The one size near a list that its other counts and percentages are of: "31 (59.6%)" and "47 (93.4%)" of 52."""
    others = [y for t in log.of_block(s.block) for y in t.numbers if _is_partial(y) and y is not x]
    fits = {m for m in near if others and all(_off(y, m) <= y.step / 2 + 1e-9 for y in others)}
    return fits if len(fits) == 1 else set()


def _sizes(s: Statement, x: Number) -> set[int]:
    """The whole numbers of a sentence that a count may be part of."""
    k = x.successes or 0
    whole = [
        y.value for y in s.numbers if y.kind in ("n", "number") and (y.step >= 1 or y.kind == "n") and not y.signed
    ]
    whole += [y.n for y in s.numbers if y.n]
    parts = [y.successes for y in s.numbers if y.successes is not None]
    return {int(v) for v in (*whole, *parts, sum(parts)) if v > k}


def _off(x: Number, n: int) -> float:
    return abs(100 * (x.successes or 0) / n - x.value)


def _grade(s: Statement, x: Number, n: N | None, nearest: int, own: set[int]) -> Grade:
    """An error where the n is that of the sentence, or no n at all gives the percentage; else it may be of something else."""
    if _off(x, nearest) < x.step:
        return "slip"
    k, low, high = x.successes or 0, x.value - x.step / 2, x.value + x.step / 2
    possible = low <= 0 or int(100 * k / low + 1e-9) >= 100 * k / high - 1e-9
    said = bool(n and n.where in ("sentence", "heading"))
    sure = (said or (not possible and nearest in own)) and not _PART_OF_PART.search(s.text)
    return "error" if sure else "weak"


def _share_of(x: Number, n: int, place: Place, grade: Grade | None = None) -> LogFinding:
    true = 100 * (x.successes or 0) / n
    said = f"{x.successes} of {n} is {shown(true, x.step)}%, not {x.value:g}%"
    return place.finds(grade or grade_of(abs(true - x.value), x.step), "count and percent", said, true)


# ---- "two thirds of the prompts (24 of 48)"

_FRACTIONS = {
    "half": 1 / 2, "a third": 1 / 3, "one third": 1 / 3, "two thirds": 2 / 3, "a quarter": 1 / 4, "one quarter": 1 / 4,
    "three quarters": 3 / 4, "a fifth": 1 / 5, "one fifth": 1 / 5, "most": 1 / 2, "the majority": 1 / 2, "a majority": 1 / 2,
    "a minority": 1 / 2,
}  # fmt: skip
_FRACTION = phrase(
    r"(?:\b(?P<than>more|less|fewer|over|under|exactly|about|around|roughly|nearly|almost|approximately)\s(?:than\s)?)?"
    rf"\b(?P<word>{'|'.join(words.replace(' ', '[ -]') for words in _FRACTIONS)})\b(?:\sof\b)?"
    r"(?P<gap>[^.;:()\d]{0,60})\(\s?(?P<k>\d+)\s?(?:/|of|out of)\s?(?P<n>\d+)\b"
)
_LOOSELY = 0.05  # how far a fraction in words may be from its count


def _fraction_in_words(log: LogText, s: Statement) -> Findings:
    """ "Two thirds of the prompts (24 of 48)", "more than half (11 of 24)"."""
    for m in _FRACTION.finditer(s.text):
        k, n, than = int(m["k"]), int(m["n"]), (m["than"] or "").lower()
        word = m["word"].lower().replace("-", " ")
        if not 0 < n >= k or re.search(r"\bof (?:which|whom|these|those)\b|,", m["gap"]):
            continue
        share, goal = k / n, _FRACTIONS[word]
        above = than in ("more", "over") or (not than and word in ("most", "the majority", "a majority"))
        below = than in ("less", "fewer", "under") or (not than and word == "a minority")
        if above or below:
            fine = share > goal if above else share < goal
        else:
            fine = abs(share - goal) <= (0 if than == "exactly" else max((2 if than else 1) * _LOOSELY, 0.5 / n)) + 1e-9
        grade: Grade = "holds" if fine else "error" if above or below or than == "exactly" else "weak"
        said = f"{k} of {n} is {100 * share:.3g}%, not {(than + ' than ' if (above and than) or (below and than) else '')}{word}"
        yield in_sentence(s).finds(grade, "count and percent", said, 100 * share)


FAMILY = Family(
    of_sentences=(_of_sentence, _of_none, _fraction_in_words),
    of_tables=(_of_table, _of_none_in_table),
)
