"""Can such a number exist at all? Ranges, counts within n, granularity of percentages and means, possible SDs, order."""

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from workbench.claims.feasible import (
    binary_sd,
    grim,
    is_sd_of_whole_numbers,
    largest_sd,
    nearest_count,
    possible_totals,
)
from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rounding import Grade, grade_of, shown
from workbench.claims.rules.finding import Family, LogFinding, Place, in_cell, in_row, in_sentence
from workbench.claims.rules.labels import is_sd, phrase, roles, stems, without_role
from workbench.claims.rules.units import (
    RATE,
    SHARE,
    N,
    column_is_averaged,
    is_averaged,
    n_in_words_near,
    n_of_cell,
    n_of_number,
)

Findings = Iterator[LogFinding]

_OF_AGREEMENT = phrase(r"agree|rater|judge|annotat|cohen|fleiss|correl|pearson|spearman|associat|\bp\s?[=<]")
_SCALE = phrase(
    r"(?:scale|likert|rating|rated|scored?|points?|items?|responses?)\b[^.;|]{0,40}?"
    r"(?<![\d.])(?P<low>\d)(?:\s?\([^()\d]{1,40}\))?\s?(?:-|–|to)\s?(?P<high>\d{1,2})(?![\d.%])",
    r"(?<![\d.])(?P<low2>[01])\s?(?:-|–|to)\s?(?P<high2>\d{1,3})[ -](?:likert|scale|point scale|rating)",
)
_POINTS_SCALE = phrase(r"\b(?P<k>[4-9]|1[01])[- ]point (?:likert|scale|rating)")
_WHOLE = phrase(
    r"likert|rating|whole[- ]number|integer|number of (?:items|errors|words|children|trials|correct)|items? correct",
    r"\bcounts? (?:per|of)|(?:point|to \d+) scale|on a scale",
)
_BINARY = phrase(r"\b0\s?/\s?1\b|\bbinary\b|bernoulli|0 or 1|dichotom|per-(?:item|prompt) (?:outcome|refusal|success)")
_CORRELATION = phrase(
    r"^(?:pearson|spearman|kendall)?'?s?\s?(?:r|rho|ρ|τ|correlation|corr\.?|cosine(?: similarity)?|cos(?:ine)? sim\.?|κ|kappa)$"
)
_UNIT_INTERVAL = phrase(
    r"^(?:(?:mean |val |test |train )?(?:auc|auroc|roc[- ]auc|f1(?:[- ]score)?|precision|recall|probability|p[- ]?values?|p))$"
)
_NEVER_NEGATIVE = phrase(r"^(?:n|count|total|accuracy|.*\bcount|.*\brate)$")
_SHARE_HEAD = phrase(r"accuracy|\brate$|refusal rate|proportion|probability")
_GROWING = phrase(
    r"of (?:the )?(?:baseline|expected|original|target|control|budget|normal)|increase|gain|growth|change|more|relative|improve",
    r"faster|slower|higher|overhead|expansion|ratio|reduction|over|cpu|load",
)

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
        elif x.value > 100 and not x.signed and share and not _GROWING.search(text):
            yield place.finds("error", "range", f"{x} is no share: it is above 100%")
        elif share:
            yield place.holds("range")
    limits = {"p": (0.0, 1.0), "r": (-1.0, 1.0), "kappa": (-1.0, 1.0), "cosine": (-1.0, 1.0), "auc": (0.0, 1.0)}
    limits |= dict.fromkeys(("F", "chi2"), (0.0, math.inf))
    whole = x.step >= 1 and x.value > 1  # p = 4 is a number of processes
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
    step = max(x.limits_step * scale, x.step)
    if low > high:
        return place.finds("error", "order", f"the interval {low:g} to {high:g} runs backwards")
    sizes = (value, -value) if x.kind == "points" and not x.signed else (value,)  # "fell by 12 points"
    inside = any(low * scale - step <= size <= high * scale + step for size in sizes)
    interval = f"{low * scale:g} to {high * scale:g}"
    return place.finds("holds" if inside else "error", "order", f"{x} is not inside its own interval {interval}")


def _of_head(table: LogTable, i: int, j: int, x: Number, small: bool) -> Findings:
    """A number against what the head of its column allows; ``small``: all of the column are below 2."""
    head, place = table.columns[j], in_cell(table, i, j)
    bare = re.sub(r"\(.*?\)", "", head).strip()
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
    return 1 < x.value < 2 and bool(_SHARE_HEAD.search(head)) and not _GROWING.search(head)


# ---- granularity of percentages


def _grim_of_sentence(log: LogText, s: Statement) -> Findings:
    text, place = s.text, in_sentence(s)
    for x in s.numbers:
        plain = not x.bound and not x.signed and x.spread is None and not is_averaged(text)
        if not plain or x.successes is not None or x.kind not in ("percent", "number"):
            continue
        n = n_of_number(log, s, x) or n_in_words_near(log, s)
        if n is None:
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
    item = n.where == "near" and len(text) < 40 and re.match(r"[^:]{1,30}:\s", text) and not _GROWING.search(text)
    return bool(item or RATE.search(text))


def _grim_of_table(log: LogText, table: LogTable) -> Findings:
    context = _context(table)
    for j, head in enumerate(table.columns):
        if column_is_averaged(table, j):
            continue
        for i, x in enumerate(table.column(j)):
            n = n_of_cell(log, table, i, j) if x else None
            if not x or not n or x.bound or x.signed or x.spread is not None or x.successes is not None:
                continue
            place = in_cell(table, i, j)
            if x.kind == "percent" and 0 <= x.value <= 100 and not is_averaged(f"{head} {table.label(i)}"):
                if (n.sure and n.where != "each") or RATE.search(f"{head} {table.title} {context}"):
                    arms = len(table.value_columns) if n.where in ("caption", "near", "nearby") else 1
                    yield from _grim(x, n, place, arms, _ns_near(log, table.section))
            elif x.kind == "number" and j in table.value_columns and n.sure and _is_share(x) and SHARE.search(head):
                yield from _grim(_in_percent(x), n, place)


def _is_share(x: Number) -> bool:
    return 0 < x.value < 1 and x.step < 0.1


def _in_percent(x: Number) -> Number:
    return Number("percent", 100 * x.value, 100 * x.step, x.text, line=x.line)


def _ns_near(log: LogText, section: int) -> frozenset[int]:
    numbers = [x for s in log.of_section(section) for x in s.numbers]
    return frozenset(int(x.value) for x in numbers if x.kind == "n") | {x.n for x in numbers if x.n}


_CALLED = {"column": "table", "near": "section", "nearby": "section", "words": "sentence", "each": "text, for each"}


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
        around = {m for m in others | {n.value - 1, n.value + 1} if m > 1} if not sure else ()
        if any(grim(x.value, x.step, m) != "error" for m in around):
            return
        said = "" if n.where == "cell" else f" (n from the {_CALLED.get(n.where, n.where)})"
        yield place.finds(
            "error" if sure else "weak", "grim", f"{x} is no count out of {n.value}{said}; {near}", 100 * k / n.value
        )
    elif grade == "holds" or sure:
        yield place.finds(grade, "grim", f"{x} of {n.value} is not rounded: {near}", 100 * k / n.value)


# ---- means and their SDs


@dataclass(frozen=True)
class _Mean:
    """A mean with its SD, where one is given, and what its text says of its numbers."""

    mean: Number
    sd: float | None
    sd_step: float
    n: int | None
    limits: tuple[float, float] | None
    whole: bool
    binary: bool
    place: Place

    def judged(self) -> Findings:
        if self.sd is not None and self.limits:
            yield self._within(self.sd, *self.limits)
        if self.n and self.whole:
            yield from self._granular(self.n)
        if self.sd is not None and self.binary:
            yield from self._bernoulli(self.sd)

    def _within(self, sd: float, low: float, high: float) -> LogFinding:
        x = self.mean
        if not low - x.step / 2 <= x.value <= high + x.step / 2:
            return self.place.finds("error", "range", f"a mean of {x.value:g} on a scale from {low:g} to {high:g}")
        top = largest_sd(x.value, x.step, low, high, self.n)
        grade: Grade = "error" if sd - self.sd_step / 2 > top + 1e-9 else "holds"
        said = f"an SD of {sd:g} about a mean of {x.value:g} cannot be on a scale from {low:g} to {high:g}; at most {top:.3g}"
        return self.place.finds(grade, "sd limit", said, top)

    def _granular(self, n: int) -> Findings:
        x = self.mean
        if n < 1 or x.step * n >= 1:
            return
        totals = possible_totals(x.value, x.step, n)
        if not totals:
            best = round(x.value * n)
            grade: Grade = "slip" if abs(best / n - x.value) <= x.step + 1e-9 else "error"
            said = f"no {n} whole numbers have the mean {x.value:g}; {best}/{n} is {shown(best / n, x.step)}"
            yield self.place.finds(grade, "grim mean", said, best / n)
            return
        yield self.place.holds("grim mean")
        if self.sd and n > 1:
            fits = any(is_sd_of_whole_numbers(total, n, self.sd, self.sd_step) for total in totals)
            said = f"no {n} whole numbers with the mean {x.value:g} have the SD {self.sd:g}"
            yield self.place.finds("holds" if fits else "error", "grimmer", said)

    def _bernoulli(self, sd: float) -> Findings:
        scale = 100.0 if self.mean.unit == "%" or self.mean.value > 1 else 1.0
        mean, sd, step = self.mean.value / scale, sd / scale, self.sd_step / scale
        if 0 <= mean <= 1:
            true, reach = binary_sd(mean, self.mean.step / scale, self.n, sd)
            said = f"0/1 scores with the mean {mean:g} have the SD {shown(true, step)}, not {sd:g}"
            yield self.place.finds(grade_of(abs(sd - true), step, reach), "binary sd", said, true)


def _means_of_sentence(log: LogText, s: Statement) -> Findings:
    for x in s.numbers:
        if x.kind == "mean" and x.spread is not None:
            context = f"{s.text} {' '.join(t.text for t in log.of_block(s.block))}"
            yield from _mean(
                x, x.spread_kind, n_of_number(log, s, x), s.text, context, in_sentence(s)._replace(line=x.line)
            )


_MEAN_SAID = re.compile(
    r"\b(?:[Mm]ean|[Aa]verage|avg|M)\b(?:\s(?:rating|score|count|number)s?)?\s?(?:=|:|of|was|is)?\s?$"
)
_AVERAGED_SCORES = phrase(
    r"composite|subscale|averaged|\b(?:mean|average)s? (?:of|over|per) (?:the )?(?:\w+ )?(?:items?|raters?|ratings|scores|seeds|runs)"
    r"|(?:per|each)[- ](?:participant|rater|subject|person|prompt|item) (?:mean|average)|\d[- ]items?\b|weighted|adjusted|half|trimmed"
)


def _plain_means_of_sentence(log: LogText, s: Statement) -> Findings:
    """ "mean 2.37 (n = 10 integer ratings)": a mean without SD, of what its own sentence calls whole numbers."""
    if not _WHOLE.search(s.text) or _AVERAGED_SCORES.search(s.text):
        return
    for x in s.numbers:
        n = n_of_number(log, s, x) if x.kind == "number" and not x.signed and not x.bound else None
        plain = x.unit in ("", "on", "over", "across", "for", "with", "from", "of", "points", "and")
        if n and n.where in ("cell", "sentence") and plain and _MEAN_SAID.search(s.text[: x.start]):
            yield from _Mean(x, None, 0.0, n.value, None, True, False, in_sentence(s)._replace(line=x.line)).judged()


def _means_of_cells(log: LogText, table: LogTable) -> Findings:
    """Cells such as "4.5 ± 0.3", whose spread the head or the text around calls an SD or SE."""
    for j in table.value_columns:
        context = f"{table.columns[j]} {_context(table)}"
        for i, x in enumerate(table.column(j)):
            if x is None or x.spread is None or x.kind not in ("mean", "number", "percent"):
                continue
            kind = x.spread_kind
            if kind in ("", "()"):
                sd = re.search(r"\bSD\b|std|standard dev", context, re.IGNORECASE)
                kind = "SD" if sd else "SE" if re.search(r"\bSEM?\b|standard err", context) else ""
            if kind in ("SD", "SE") or _BINARY.search(context):
                yield from _mean(x, kind, n_of_cell(log, table, i, j), table.columns[j], context, in_cell(table, i, j))


def _mean(x: Number, kind: str, n: N | None, own: str, context: str, place: Place) -> Findings:
    spread, step, scale = x.spread or 0.0, x.spread_step, _scale(own) or _scale_of(_scale(context), x)
    size = n.value if n and (n.sure or n.where in ("heading", "near", "nearby", "words")) else None
    if kind == "SE" and size:
        spread, kind = spread * math.sqrt(size), "SD"
    if kind not in ("SD", ""):
        return
    sure = kind == "SD" and bool(size)
    limits = (0.0, 100.0) if x.unit == "%" and RATE.search(context) else scale or _of_binary(x, own, context)
    whole = sure and bool(_WHOLE.search(context) or scale)
    yield from _Mean(x, spread, step, size, limits, whole, sure and bool(_BINARY.search(context)), place).judged()


def _means_of_columns(log: LogText, table: LogTable) -> Findings:
    """Tables with a column of means, and one of SDs, with or without minimum, maximum and SE."""
    role = roles(table)
    left = role.get("sd", 0) - 1
    if "mean" not in role and left in table.value_columns:
        role["mean"] = left  # "accuracy | SD"
    if "mean" not in role:
        return
    context = f"{_context(table)} {' '.join(table.columns)}"
    scale = _scale(f"{table.columns[role['mean']]} {_context(table)}")
    whole, binary = bool(_WHOLE.search(context) or scale), bool(_BINARY.search(context))
    shares = table.columns[role["mean"]] + context
    for i, row in enumerate(table.numbers):
        x, sd, se = row[role["mean"]], *(row[role[name]] if name in role else None for name in ("sd", "se"))
        if x is None or (sd is None and x.kind != "number"):
            continue
        n = n_of_cell(log, table, i, role["mean"])
        size = n.value if n and n.sure else None
        percent = x.kind == "percent" or "%" in table.columns[role["mean"]]
        limits = (
            _of_extremes(row, role, x)
            or _scale_of(scale, x)
            or ((0.0, 100.0) if percent and RATE.search(shares) else None)
        )
        given = (sd.value if sd else None, sd.step if sd else 0.0)
        mean = _Mean(x, given[0], given[1], size, limits, whole, binary, in_row(table, i))
        yield from mean.judged()
        if sd and se and size and size > 1:
            true = sd.value / math.sqrt(size)
            grade = grade_of(abs(true - se.value), se.step, sd.step / 2 / math.sqrt(size))
            said = f"SD {sd} of {size} gives the SE {shown(true, se.step)}, not {se}"
            yield in_row(table, i).finds(grade, "sd limit", said, true)


def _of_extremes(row: tuple[Number | None, ...], role: dict[str, int], mean: Number) -> tuple[float, float] | None:
    """The limits that a minimum and a maximum set, rounding allowed for; those of whole numbers are exact."""
    low, high = (row[role[name]] if name in role else None for name in ("min", "max"))
    if not low or not high:
        return None
    exact = low.step >= 1 and high.step >= 1 and mean.step < 1
    return (low.value, high.value) if exact else (low.value - low.step / 2, high.value + high.step / 2)


def _of_binary(x: Number, own: str, context: str) -> tuple[float, float] | None:
    """The limits of 0/1 scores, and of shares of 1: a cell or sentence that calls them so."""
    shares = SHARE.search(own) and not _GROWING.search(own) and not re.search(r"agree|differ|delta|log|Δ", own, re.I)
    return (
        (0.0, 1.0) if 0 <= x.value <= 1 and x.step < 1 and not x.unit and (shares or _BINARY.search(context)) else None
    )


def _context(table: LogTable) -> str:
    return f"{table.title} {' '.join(table.heading[-1:])} {table.context}"


def _scale_of(scale: tuple[float, float] | None, x: Number) -> tuple[float, float] | None:
    """A scale that the text around states; a mean outside it is of another measure."""
    return scale if scale and scale[0] - x.step <= x.value <= scale[1] + x.step else None


def _scale(text: str) -> tuple[float, float] | None:
    """The scale that a text states: "from 1 to 7", "5-point Likert"."""
    if m := _SCALE.search(text):
        low, high = float(m["low"] or m["low2"]), float(m["high"] or m["high2"])
        return (low, high) if high > low else None
    m = _POINTS_SCALE.search(text)
    return (1.0, float(m["k"])) if m else None


# ---- order

_CHAINS = (
    ("min", "q1", "median", "q3", "max"),
    ("min", "mean", "max"),
    ("median", "p90", "p95", "p99", "max"),
    ("low", "mean", "high"),
    ("low", "high"),
)
_SAID = {
    role: phrase(rf"\b(?:{words})\b[^\d.;%]{{0,14}}?(?P<v>-?\d+(?:\.\d+)?)(?!\s?(?:%\s?CI|/|th\b))")
    for role, words in {
        "min": "min|minimum",
        "mean": "mean|average|avg",
        "median": "median",
        "max": "max|maximum",
    }.items()
}
_SAID_RANGE = phrase(
    r"\brange[sd]?\b[^\d.;%-]{0,12}(?P<low>-?\d+(?:\.\d+)?)\s?%?\s?(?:to|-|–|and)\s?(?P<high>-?\d+(?:\.\d+)?)"
)
_SAID_IQR = phrase(
    r"\b(?:IQR|interquartile range|quartiles?)\b[^\d.;%-]{0,12}(?P<low>-?\d+(?:\.\d+)?)\s?(?:to|-|–|,|and)\s?(?P<high>-?\d+(?:\.\d+)?)"
)
_NEGATIVE_SD = re.compile(r"\b(?:SD|std|standard deviation|SE|SEM)\s?(?:=|of|:|is|was)\s?-\s?\d")


def _order_of_sentence(log: LogText, s: Statement) -> Findings:
    """A mean or median of a sentence between the minimum and the maximum that it gives."""
    place = in_sentence(s)
    if m := _NEGATIVE_SD.search(s.text):
        yield place.finds("error", "range", f"{m[0]}: an SD is never negative")
    given = {role: float(m["v"]) for role, pattern in _SAID.items() if (m := pattern.search(s.text))}
    if m := _SAID_RANGE.search(s.text):
        given |= {"min": float(m["low"]), "max": float(m["high"])}
    if (m := _SAID_IQR.search(s.text)) and "median" in given:
        low, high = float(m["low"]), float(m["high"])
        grade: Grade = "holds" if low - 0.5 <= given["median"] <= high + 0.5 else "error"
        yield place.finds(
            grade, "order", f"the median {given['median']:g} is not between the quartiles {low:g} and {high:g}"
        )
    if not {"min", "max"} & set(given):
        return
    low, high = given.get("min", -math.inf), given.get("max", math.inf)
    for role in {"mean", "median"} & set(given):
        grade = "holds" if low - 0.5 <= given[role] <= high + 0.5 else "error"
        yield place.finds(grade, "order", f"the {role} {given[role]:g} is not between {low:g} and {high:g}")


def _order_of_table(log: LogText, table: LogTable) -> Findings:
    role = roles(table)
    for chain in _CHAINS:
        for a, b in itertools.pairwise(name for name in chain if name in role):
            columns = (table.column(role[a]), table.column(role[b]))
            given = [(i, x, y) for i, (x, y) in enumerate(zip(*columns, strict=True)) if x and y]
            above = [x.value > y.value + (x.step + y.step) / 2 + 1e-9 for _, x, y in given]
            heads = (table.columns[role[a]], table.columns[role[b]])
            if _are_of_one_quantity(*heads, everywhere=len(above) > 1 and all(above)):
                for (i, x, y), wrong in zip(given, above, strict=True):
                    yield in_row(table, i).finds("error" if wrong else "holds", "order", f"{a} {x} is above {b} {y}")


def _are_of_one_quantity(head: str, other: str, everywhere: bool) -> bool:
    """Whether "max" and "mean length" are of one quantity: both say the same of what, or one does and not all rows are wrong."""
    first, second = (stems(without_role(h)) for h in (head, other))
    return bool(first & second) or first == second or (not (first and second) and not everywhere)


FAMILY = Family(
    of_sentences=(
        _numbers_of_sentence,
        _grim_of_sentence,
        _means_of_sentence,
        _plain_means_of_sentence,
        _order_of_sentence,
    ),
    of_tables=(_numbers_of_table, _grim_of_table, _means_of_cells, _means_of_columns, _order_of_table),
)
