"""Can such a number exist at all? Ranges, an interval around its number, granularity of percentages."""

import math
import re
from collections.abc import Iterator

from workbench.claims.feasible import grim, nearest_count
from workbench.claims.log_numbers import Number, plain, read_numbers
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rounding import Grade, shown
from workbench.claims.rules.finding import Family, LogFinding, Place, in_cell, in_sentence, in_table
from workbench.claims.rules.paired_n import unpaired_ns
from workbench.claims.rules.row_names import is_sd, phrase
from workbench.claims.rules.units import (
    GROWING,
    RATE,
    SHARE,
    N,
    column_is_averaged,
    is_averaged,
    n_in_words_near,
    n_of_cell,
    n_of_number,
    words_around,
)

Findings = Iterator[LogFinding]

_OF_AGREEMENT = phrase(r"agree|rater|judge|annotat|cohen|fleiss|correl|pearson|spearman|associat|\bp\s?[=<]")
_CORRELATION = phrase(
    r"^(?:pearson|spearman|kendall)?'?s?\s?(?:r|rho|ρ|τ|correlation|corr\.?|cosine(?: similarity)?|cos(?:ine)? sim\.?|κ|kappa)"
    r"(?: (?:with|to|of|between)\b.*)?$"
)
_UNIT_INTERVAL = phrase(
    r"^(?:(?:mean |val |test |train )?(?:auc|auroc|roc[- ]auc|f1(?:[- ]score)?|precision|recall|probability|p[- ]?values?|p))$"
)
_NEVER_NEGATIVE = phrase(r"^(?:n|count|total|accuracy|.*\bcount|.*\brate)$")
_SHARE_HEAD = phrase(r"accuracy|\brate$|refusal rate|proportion|probability")

# ---- one number


def _numbers_of_sentence(log: LogText, s: Statement) -> Findings:
    for x in s.numbers:
        yield from _alone(x, s.text, Place("", x.line, s.source))
        if x.low is not None and x.kind != "range":
            yield _inside(x, in_sentence(s))


def _numbers_of_table(log: LogText, table: LogTable) -> Findings:
    for j, head in enumerate(table.columns):
        about = "mean" if column_is_averaged(table, j) else f"{head} {table.title}"
        small = all(x.value < 2 for x in table.column(j) if x)
        for i, x in enumerate(table.column(j)):
            if x is None:
                continue
            place = in_cell(table, i, j)
            yield from _alone(x, about, place)
            if j in table.value_columns or x.kind in ("percent", "count"):
                yield from _of_head(table, i, j, x, small)
                if x.low is not None and x.kind != "range":
                    yield _inside(x, place)


def _alone(x: Number, text: str, place: Place) -> Findings:
    """What one number says by itself, in its words."""
    if x.kind == "percent":
        share = bool(SHARE.search(text))
        if x.n and x.value > 100 and x.n_from == "cell":
            yield place.finds("error", "range", f"{x}: more than all of {x.n}")
        elif x.value > 100 and not x.signed and share and not GROWING.search(text):
            yield place.finds("error", "range", f"{x} is no share: it is above 100%")
        elif share:
            yield place.holds("range")
    limits = {"p": (0.0, 1.0), "r": (-1.0, 1.0), "kappa": (-1.0, 1.0), "cosine": (-1.0, 1.0), "auc": (0.0, 1.0)}
    limits |= dict.fromkeys(("F", "chi2"), (0.0, math.inf))
    whole = x.step >= 1 and not 0 <= x.value <= 1  # p = 4 is a number of processes
    other = (x.kind == "p" and whole) or (x.kind == "auc" and x.value >= 50)
    if x.kind in ("r", "kappa") and x.value > 1:  # r = 8 is a rank, κ = 12.3 a condition
        other = whole or not (x.degrees or _OF_AGREEMENT.search(text))
    if x.kind in limits and not other:
        low, high = limits[x.kind]
        said = f"it is between {low:g} and {high:g}" if high < math.inf else "it is never negative"
        yield place.finds("holds" if low <= x.value <= high else "error", "range", f"{x}: {said}")


def _inside(x: Number, place: Place) -> LogFinding:
    """An interval holds its own number."""
    low, high, value = x.low or 0.0, x.high or 0.0, x.percent
    scale = 100.0 if x.kind in ("percent", "count") and high <= 1 < value else 1.0
    half, step = (x.limits_step * scale + x.step) / 2, max(x.limits_step * scale, x.step)
    if low > high:
        return place.finds("error", "order", f"the interval {low:g} to {high:g} runs backwards")
    sizes = (value, -value) if x.kind == "points" and not x.signed else (value,)  # "fell by 12 points"
    off = min(max(low * scale - size, size - high * scale) for size in sizes)
    grade: Grade = "holds" if off < max(half, 1e-9) - 1e-9 else "slip" if off <= step + 1e-9 else "error"
    interval = f"{low * scale:g} to {high * scale:g}"
    return place.finds(grade, "order", f"{x} is not inside its own interval {interval}")


def _of_head(table: LogTable, i: int, j: int, x: Number, small: bool) -> Findings:
    """A number against what the head of its column allows; ``small``: all of the column are below 2."""
    head, place = table.columns[j], in_cell(table, i, j)
    bare = re.sub(r"\(.*?\)", "", head).replace("_", " ").strip()
    if _CORRELATION.match(bare) and x.kind in ("number", "r", "kappa"):
        yield place.finds("error" if abs(x.value) > 1 else "holds", "range", f"{x} is not between -1 and 1")
    elif _UNIT_INTERVAL.match(bare) and x.kind in ("number", "p", "auc"):
        is_p = bool(re.match(r"p\b|p[- ]?value", bare, re.IGNORECASE))
        beyond = x.value < 0 or (x.value > 1 and (is_p or x.value < 1.5))
        yield place.finds("error" if beyond else "holds", "range", f"{x} is not between 0 and 1")
    elif is_sd(bare) and x.kind in ("number", "percent"):
        yield place.finds("error" if x.value < 0 else "holds", "range", "an SD is never negative")
    elif x.kind == "number" and -1e6 < x.value < 0 and _NEVER_NEGATIVE.match(bare):
        yield place.finds("error", "range", f"{x} is below zero")
    elif x.kind == "number" and x.step < 0.5 and small and _is_share_above_one(x, bare):
        yield place.finds("weak", "range", f"{x} is above 1")


def _is_share_above_one(x: Number, head: str) -> bool:
    """Whether a share, none of whose column is a percentage, is above 1."""
    return 1 < x.value < 2 and bool(_SHARE_HEAD.search(head)) and not GROWING.search(head)


# ---- granularity of percentages


#: rates that were not measured
_PLANNED = phrase(r"\bpower\b|cohen'?s h\b|\bto detect\b|detectable|sample size")


def _grim_of_sentence(log: LogText, s: Statement) -> Findings:
    text, place = s.text, in_sentence(s)
    if _PLANNED.search(text):
        return
    for x in s.numbers:
        plain = not x.bound and not x.signed and x.spread is None and not is_averaged(text)
        if not plain or x.successes is not None or x.kind not in ("percent", "number"):
            continue
        n = n_of_number(log, s, x) or n_in_words_near(log, s)
        if n is None:
            if x.kind == "percent" and x.value <= 100 and x.step > 0 and RATE.search(text):
                yield from _grim_of_several(x, unpaired_ns(s.numbers, text), place._replace(line=x.line), "sentence")
            continue
        if x.kind == "percent" and x.value <= 100 and x.step > 0 and _is_count_of(n, text):
            each = re.search(r"\bper\b|\beach\b|\bevery\b", text + " ".join(s.heading))
            arms = 1 if each else sum(y.kind in ("percent", "count") for y in s.numbers)
            yield from _grim(x, n, place._replace(line=x.line), arms, _ns_near(log, s.section))
        elif x.kind == "number" and _is_share(x) and x.step <= 0.01 and SHARE.search(text):
            shares = all(0 < y.value < 1 for y in s.numbers if y.kind == "number")
            if shares:
                yield from _grim(_in_percent(x), n, place._replace(line=x.line))


def _is_count_of(n: N, text: str) -> bool:
    """Whether a percentage of a sentence is one of units, so that the n found for it is its own."""
    if n.where in ("cell", "sentence", "heading"):
        return True
    short_enough = len(text) < {"near": 40, "phrase": 90}.get(n.where, 0)
    item = short_enough and re.match(r"[^:]{1,30}:\s", text) and not GROWING.search(text)
    return bool(item or RATE.search(text))


_MOST_MISFITS = 0.6  # where more percentages of a table fit no count of their n, it is that of something else


def _grim_of_table(log: LogText, table: LogTable) -> Findings:
    judged = list(_grim_of_cells(log, table))
    misfits = [f for f in judged if f.grade != "holds"]
    wrong = [f for f in misfits if f.grade != "slip"]
    if len(wrong) < 6 or len(misfits) <= _MOST_MISFITS * len(judged):
        yield from judged
        return
    said = f"{len(misfits)} of {len(judged)} percentages are no count out of their n: it is that of something else, or they are wrong"
    yield in_table(table).finds("weak", "grim", said, others=tuple(dict.fromkeys(f.line for f in misfits)))


def _grim_of_cells(log: LogText, table: LogTable) -> Findings:
    context = words_around(table)
    for j, head in enumerate(table.columns):
        if column_is_averaged(table, j):
            continue
        for i, x in enumerate(table.column(j)):
            n = n_of_cell(log, table, i, j) if x else None
            if not x or x.bound or x.signed or x.spread is not None or x.successes is not None:
                continue
            place = in_cell(table, i, j)
            if n is None:
                yield from _grim_of_title(table, j, x, place)
                continue
            if x.kind == "percent" and 0 <= x.value <= 100 and not is_averaged(f"{head} {table.label(i)}"):
                if (
                    (n.sure and n.where != "each")
                    or n.where == "name"
                    or RATE.search(f"{head} {table.title} {context}")
                ):
                    arms = len(table.value_columns) if n.where in ("caption", "near", "nearby") else 1
                    yield from _grim(x, n, place, arms, _ns_near(log, table.section))
            elif x.kind == "number" and j in table.value_columns and n.sure and _is_share(x) and SHARE.search(head):
                yield from _grim(_in_percent(x), n, place)


def _grim_of_title(table: LogTable, j: int, x: Number, place: Place) -> Findings:
    """A percentage of a table whose title gives several n: one that is possible out of none of them is doubted."""
    about = f"{table.columns[j]} {table.title}"
    if x.kind == "percent" and 0 <= x.value <= 100 and RATE.search(about):
        ns = unpaired_ns(read_numbers(table.title), plain(table.title))
        yield from (f for f in _grim_of_several(x, ns, place, "title") if f.grade != "note")


def _is_share(x: Number) -> bool:
    return 0 < x.value < 1 and x.step < 0.1


def _in_percent(x: Number) -> Number:
    return Number("percent", 100 * x.value, 100 * x.step, x.text, line=x.line)


def _ns_near(log: LogText, section: int) -> frozenset[int]:
    numbers = [x for s in log.of_section(section) for x in s.numbers]
    return frozenset(int(x.value) for x in numbers if x.kind == "n") | {x.n for x in numbers if x.n}


_CALLED = {
    "column": "table", "near": "section", "nearby": "section", "words": "sentence", "phrase": "sentence",
    "name": "name of its row or column", "each": "text, for each",
}  # fmt: skip


def _grim(x: Number, n: N, place: Place, arms: int = 1, others: frozenset[int] = frozenset()) -> Findings:
    """One percentage against its n.

    Args:
        arms: how many rates may share the n, where it is not said to be each one's.
        others: every n that is given near it.
    """
    if x.step * n.value >= 100:  # every percentage is possible
        return
    grade, k = grim(x.value, x.step, n.value), nearest_count(x.value, n.value)
    sure = n.sure or n.where == "heading"
    near = f"{k}/{n.value} is {shown(100 * k / n.value, x.step)}%"
    if grade == "error":
        split = {m for m in (2, arms) if n.value % m == 0} if arms > 1 and n.where != "cell" else ()
        if any(grim(x.value, x.step, n.value // m) == "holds" for m in split):
            return
        around = {n.value - 1, n.value + 1} | (set() if n.where in ("phrase", "name") else others)
        around = {m for m in around if m > 1} if not sure else set()
        if any(grim(x.value, x.step, m) != "error" for m in around):
            return
        said = "" if n.where == "cell" else f" (n from the {_CALLED.get(n.where, n.where)})"
        yield place.finds(
            "error" if sure else "weak", "grim", f"no count out of {n.value} gives {x}{said}; {near}", 100 * k / n.value
        )
    elif grade == "holds" or sure:
        yield place.finds(grade, "grim", f"{x} of {n.value} is not rounded: {near}", 100 * k / n.value)


def _grim_of_several(x: Number, ns: tuple[int, ...], place: Place, where: str) -> Findings:
    """A percentage whose n may be each of several that are given, and is not said."""
    if len(ns) < 2 or any(x.step * n >= 100 for n in ns):
        return
    fits = [n for n in ns if grim(x.value, x.step, n) != "error"]
    others = " or ".join(str(n) for n in ns if n not in fits)
    if not fits:
        yield place.finds(
            "weak", "grim", f"no count out of {others} gives {x} (n from the {where}, which gives {len(ns)})"
        )
    elif others:
        mine = " or ".join(map(str, fits))
        said = f"the {where} gives several n, and does not say which is that of {x}: a count out of {mine} gives it, none out of {others}"
        yield place.finds("note", "grim", said)
    else:
        yield place.holds("grim")


FAMILY = Family(
    of_sentences=(_numbers_of_sentence, _grim_of_sentence),
    of_tables=(_numbers_of_table, _grim_of_table),
)
