"""Can such a number exist at all? Ranges, counts within n, granularity of percentages and means, possible SDs."""

import itertools
import math
import re
from collections.abc import Iterator

from workbench.claims.log_numbers import Number
from workbench.claims.log_reader import LogTable, LogText
from workbench.claims.rules.finding import (
    RATE,
    SURE,
    Grade,
    LogFinding,
    Rule,
    grade_of,
    is_averaged,
    n_of_cell,
    n_of_number,
    shown,
    where,
)

RULES = (
    Rule("range", "Is a share between 0 and 100%, a p-value between 0 and 1, a correlation between -1 and 1, an SD not negative?", "definitions"),  # noqa: E501
    Rule("count", "Is a count no more than its n?", "definition"),
    Rule("count and percent", "Is the percentage beside a count that count's?", "arithmetic"),
    Rule("grim", "Is a percentage some count out of its n?", "Brown and Heathers 2017, GRIM"),
    Rule("grim mean", "Is the mean of whole numbers some total divided by n?", "Brown and Heathers 2017, GRIM"),
    Rule("grimmer", "Is there a sum of squares of whole numbers that gives this SD?", "Anaya 2016, GRIMMER; Allard 2018"),
    Rule("sd limit", "Is an SD no larger than the scale, or minimum and maximum, allow?", "Popoviciu 1935; Bhatia and Davis 2000"),
    Rule("binary sd", "Is the SD of 0/1 scores the one that their mean gives?", "variance of a Bernoulli variable"),
    Rule("order", "Does a minimum, mean, median, maximum, quantile or interval stand in order?", "definition"),
)  # fmt: skip

_SCALE = re.compile(
    r"(?:scale|likert|rating|rated|scored?|points?|items?|responses?)\b[^.;|]{0,40}?(?<![\d.])(?P<low>\d)\s?(?:-|–|to)\s?(?P<high>\d{1,2})(?![\d.%])"
    r"|(?<![\d.])(?P<low2>[01])\s?(?:-|–|to)\s?(?P<high2>\d{1,3})[ -](?:likert|scale|point scale|rating)",
    re.IGNORECASE,
)
_POINTS_SCALE = re.compile(r"\b(?P<k>[4-9]|1[01])[- ]point (?:likert|scale|rating)", re.IGNORECASE)
_WHOLE = re.compile(
    r"likert|rating|whole[- ]number|integer|number of (?:items|errors|words|children|trials|correct)|items? correct|\bcounts? (?:per|of)|(?:point|to \d+) scale|on a scale",  # noqa: E501
    re.IGNORECASE,
)
_BINARY = re.compile(
    r"\b0\s?/\s?1\b|\bbinary\b|bernoulli|0 or 1|dichotom|per-(?:item|prompt) (?:outcome|refusal|success)", re.IGNORECASE
)
_CORRELATION = re.compile(
    r"^(?:pearson|spearman|kendall)?'?s?\s?(?:r|rho|ρ|τ|correlation|corr\.?|cosine(?: similarity)?|cos(?:ine)? sim\.?|κ|kappa)$",
    re.IGNORECASE,
)
_UNIT_INTERVAL = re.compile(
    r"^(?:(?:mean |val |test |train )?(?:auc|auroc|roc[- ]auc|f1(?:[- ]score)?|precision|recall|probability|p[- ]?values?|p))$",
    re.IGNORECASE,
)
_UNITS_SAID = re.compile(
    r"prompt|item|sample|question|case|patient|participant|subject|trial|response|answer|row|task|flip", re.IGNORECASE
)
_SHARE_WORDS = re.compile(
    r"(?:response|completion|hit|failure|detection|click|return|survival|attrition|dropout) rate|refus|accura|success|bypass|share|proportion|prevalen|agreement|complian|correct|pass rate|win rate|error rate|precision|recall|specificity|sensitivity|fraction",  # noqa: E501
    re.IGNORECASE,
)
_GROWING = re.compile(
    r"of (?:the )?(?:baseline|expected|original|target|control|budget|normal)|increase|gain|growth|change|more|relative|improve|faster|slower|higher|overhead|expansion|ratio|reduction|over|cpu|load",  # noqa: E501
    re.IGNORECASE,
)


def run(log: LogText) -> Iterator[LogFinding]:
    """All rules of this file."""
    for statement in log.statements:
        text = statement.text
        for x in statement.numbers:
            yield from (LogFinding(*f, x.line, statement.source) for f in _alone(x, text))
            if x.kind == "percent" and x.successes is None:
                given = n_of_number(log, statement, x)
                if given and _asks_grim(x, text, given[1]):
                    arms = sum(y.kind in ("percent", "count") for y in statement.numbers)
                    each = bool(re.search(r"\bper\b|\beach\b|\bevery\b", text + " ".join(statement.heading)))
                    yield from _grim(
                        x,
                        given,
                        f"'{_short(text)}'",
                        statement.source,
                        x.line,
                        1 if each else arms,
                        _ns_near(log, statement.section),
                    )
            if (
                x.kind == "number"
                and 0 < x.value < 1
                and x.step <= 0.01
                and x.spread is None
                and not x.signed
                and not x.bound
                and _SHARE_WORDS.search(text)
            ):
                given = n_of_number(log, statement, x)
                if (
                    given
                    and x.step * given[0] < 1
                    and all(0 < y.value < 1 for y in statement.numbers if y.kind == "number")
                    and not is_averaged(text)
                ):
                    share = Number("percent", 100 * x.value, 100 * x.step, x.text, line=x.line)
                    yield from _grim(share, given, f"'{_short(text)}'", statement.source, x.line)
            if x.kind == "mean" and x.spread is not None:
                given = n_of_number(log, statement, x)
                context = text + " " + " ".join(s.text for s in log.statements if s.block == statement.block)
                yield from _mean(x, given, context, f"'{_short(text)}'", statement.source, x.line)
            if x.low is not None and x.high is not None and x.kind != "range":
                yield _inside(x, f"'{_short(text)}'", statement.source, x.line)
        yield from _said_order(statement.text, statement.line, statement.source)
    for table in log.tables:
        yield from _table(log, table)


_SAID = {
    name: re.compile(rf"\b(?:{words})\b[^\d.;%]{{0,14}}?(?P<v>-?\d+(?:\.\d+)?)(?!\s?(?:%\s?CI|/|th\b))", re.IGNORECASE)
    for name, words in (
        ("min", "min|minimum"),
        ("mean", "mean|average|avg"),
        ("median", "median"),
        ("max", "max|maximum"),
    )
}
_SAID_RANGE = re.compile(
    r"\brange[sd]?\b[^\d.;%-]{0,12}(?P<low>-?\d+(?:\.\d+)?)\s?%?\s?(?:to|-|–|and)\s?(?P<high>-?\d+(?:\.\d+)?)",
    re.IGNORECASE,
)


def _said_order(text: str, line: int, source: str) -> Iterator[LogFinding]:
    """A mean or median of a sentence between the minimum and the maximum that it gives."""
    if m := re.search(r"\b(?:SD|std|standard deviation|SE|SEM)\s?(?:=|of|:|is|was)\s?-\s?\d", text):
        yield LogFinding("error", "range", f"'{_short(text)}': {m[0]}: an SD is never negative", line, source)
    given = {name: float(m["v"]) for name, pattern in _SAID.items() if (m := pattern.search(text))}
    if m := _SAID_RANGE.search(text):
        given |= {"min": float(m["low"]), "max": float(m["high"])}
    middle = [name for name in ("mean", "median") if name in given]
    if not middle or not {"min", "max"} & set(given):
        return
    for name in middle:
        low, high = given.get("min", -math.inf), given.get("max", math.inf)
        grade: Grade = "holds" if low - 0.5 <= given[name] <= high + 0.5 else "error"
        yield LogFinding(
            grade,
            "order",
            f"'{_short(text)}': the {name} {given[name]:g} is not between {low:g} and {high:g}",
            line,
            source,
        )


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _ns_near(log: LogText, section: int) -> set[int]:
    return {int(x.value) for s in log.statements if s.section == section for x in s.numbers if x.kind == "n"} | {
        x.n for s in log.statements if s.section == section for x in s.numbers if x.n
    }


def _alone(x: Number, text: str) -> Iterator[tuple[Grade, str, str]]:
    """What one number of a sentence says by itself."""
    if x.kind == "count" and x.n:
        if (
            x.value > x.n
            and "/" in x.text
            and len(text) > 40
            and not _UNITS_SAID.search(text[max(0, x.start - 30) : x.end + 30])
            and not RATE.search(text[max(0, x.start - 30) : x.end + 30])
        ):
            return  # 304/204 may be anything
        if x.value > x.n:
            named = x.n >= 5 and not re.search(r"\b(?:x|score|ratio|fraction|times|aspect)\b", text, re.IGNORECASE)
            yield "error" if named else "weak", "count", f"{x}: {x.value:g} of {x.n} is more than all"
        else:
            yield "holds", "count", str(x)
    if x.kind == "percent":
        if x.successes is not None and x.n:
            yield _count_percent(x.value, x.step, x.successes, x.n, str(x))
        outside = x.value > 100 or (x.value < 0 and not x.signed)
        if x.n and x.value > 100 and x.n_from == "cell":
            yield "error", "range", f"{x}: more than all of {x.n}"
        elif outside and not x.signed and _SHARE_WORDS.search(text) and not _GROWING.search(text):
            yield "error", "range", f"{x} is no share: it is above 100%"
        elif _SHARE_WORDS.search(text):
            yield "holds", "range", str(x)
    if x.kind == "p":
        yield ("error" if x.value > 1 or x.value < 0 else "holds"), "range", f"{x}: a p-value is between 0 and 1"
    if x.kind in ("r", "kappa") and x.step < 1:
        yield ("error" if abs(x.value) > 1 else "holds"), "range", f"{x}: it is between -1 and 1"
    if x.kind == "auc":
        yield (
            ("error" if not 0 <= x.value <= 1 and x.value < 50 else "holds"),
            "range",
            f"{x}: an area is between 0 and 1",
        )
    if x.kind in ("F", "chi2"):
        yield ("error" if x.value < 0 else "holds"), "range", f"{x}: it is never negative"


def _count_percent(value: float, step: float, k: int, n: int, text: str) -> tuple[Grade, str, str]:
    true = 100 * k / n
    grade = grade_of(abs(true - value), step)
    return grade, "count and percent", f"{text}: {k} of {n} is {shown(true, step)}%"


def _asks_grim(x: Number, text: str, n_from: str) -> bool:
    if x.bound or x.signed or not 0 <= x.value <= 100 or x.step <= 0:
        return False
    if n_from == "cell":
        return not is_averaged(text, x.spread)
    if n_from == "near" and len(text) < 40 and not _GROWING.search(text) and re.match(r"[^:]{1,30}:\s", text):
        return not is_averaged(text, x.spread)  # an item of a list below its n
    return (n_from in ("sentence", "heading") or bool(RATE.search(text))) and not is_averaged(text, x.spread)


def grim(value: float, step: float, n: int) -> Grade:
    """Whether a percentage is a count out of n: holds, slip (truncated, or rounded twice), or error.

    >>> grim(88.6, 0.1, 35), grim(78.6, 0.1, 164), grim(88.6, 0.1, 100)
    ('holds', 'slip', 'error')
    """
    near = round(value * n / 100)
    offs = [abs(100 * k / n - value) for k in (near - 1, near, near + 1) if 0 <= k <= n]
    return grade_of(min(offs), step)


def _grim(
    x: Number, given: tuple[int, str], what: str, source: str, line: int, arms: int = 1, others: set[int] | None = None
) -> Iterator[LogFinding]:
    n, n_from = given
    if x.step * n >= 100:  # every percentage is possible
        return
    grade = grim(x.value, x.step, n)
    if grade == "error":
        best = round(x.value * n / 100)
        if (
            n_from != "cell"
            and arms > 1
            and any(n % m == 0 and grim(x.value, x.step, n // m) == "holds" for m in {2, arms})
        ):
            return
        if n_from not in SURE and n_from != "heading":
            if any(grim(x.value, x.step, m) != "error" for m in (others or set()) | {n - 1, n + 1} if m > 1):
                return
            grade = "weak"
        said = "" if n_from == "cell" else f" (n from the {_PLACE.get(n_from, n_from)})"
        sentence = f"{what}: {x} is no count out of {n}{said}; {best}/{n} is {shown(100 * best / n, x.step)}%"
        yield LogFinding(grade, "grim", sentence, line, source, (100 * best / n,))
    elif grade == "slip":
        best = min(
            (k for k in range(max(0, round(x.value * n / 100) - 1), min(n, round(x.value * n / 100) + 1) + 1)),
            key=lambda k: abs(100 * k / n - x.value),
        )
        if n_from in SURE or n_from == "heading":
            yield LogFinding(
                "slip",
                "grim",
                f"{what}: {x} of {n} is not rounded: {best}/{n} is {shown(100 * best / n, x.step)}%",
                line,
                source,
                (100 * best / n,),
            )
    else:
        yield LogFinding("holds", "grim", what, line, source)


_PLACE = {
    "column": "table",
    "header": "header",
    "caption": "caption",
    "sentence": "sentence",
    "design": "design",
    "near": "section",
    "words": "sentence",
    "heading": "heading",
}


def _scale(text: str) -> tuple[float, float] | None:
    if m := _SCALE.search(text):
        low, high = float(m["low"] or m["low2"]), float(m["high"] or m["high2"])
        return (low, high) if high > low else None
    if m := _POINTS_SCALE.search(text):
        return 1.0, float(m["k"])
    return None


def _mean(
    x: Number, given: tuple[int, str] | None, context: str, what: str, source: str, line: int
) -> Iterator[LogFinding]:
    """Rules for a mean with its SD."""
    spread, kind = x.spread or 0.0, x.spread_kind
    scale = _scale(context)
    n = given[0] if given and given[1] in (*SURE, "heading", "near", "words") else None
    if kind == "SE" and n:
        spread, kind = spread * math.sqrt(n), "SD"
    if (
        kind != "SD"
        and not (kind in ("", "()") and scale and re.search(r"\bSD\b|standard dev|± SD|\(SD\)", context))
        and kind != ""
    ):
        return
    limits = (0.0, 100.0) if x.unit == "%" and RATE.search(context) else scale
    if limits:
        yield from sd_limit(x.value, x.step, spread, x.spread_step, limits, n, what, source, line)
    if n and (_WHOLE.search(context) or scale) and kind == "SD":
        yield from whole_numbers(x.value, x.step, spread, x.spread_step, n, what, source, line)
    if n and _BINARY.search(context) and kind == "SD":
        scale_of = 100.0 if x.unit == "%" else 1.0
        yield from binary_sd(
            x.value / scale_of, x.step / scale_of, spread / scale_of, x.spread_step / scale_of, n, what, source, line
        )


def sd_limit(
    mean: float,
    step: float,
    sd: float,
    sd_step: float,
    limits: tuple[float, float],
    n: int | None,
    what: str,
    source: str,
    line: int,
) -> Iterator[LogFinding]:
    """The mean lies on the scale, and the SD is at most sqrt((mean - low)(high - mean) n / (n - 1))."""
    low, high = limits
    if mean < low - step / 2 or mean > high + step / 2:
        yield LogFinding(
            "error", "range", f"{what}: a mean of {mean:g} on a scale from {low:g} to {high:g}", line, source
        )
        return
    inner = min(max(mean, low), high)
    nearest = min(max((low + high) / 2, inner - step / 2), inner + step / 2)
    top = math.sqrt(max((nearest - low) * (high - nearest), 0.0) * ((n / (n - 1)) if n and n > 1 else 2.0))
    if sd - sd_step / 2 > top + 1e-9:
        sentence = f"{what}: an SD of {sd:g} about a mean of {mean:g} cannot be on a scale from {low:g} to {high:g}; at most {top:.3g}"
        yield LogFinding("error", "sd limit", sentence, line, source, (top,))
    else:
        yield LogFinding("holds", "sd limit", what, line, source)


def whole_numbers(
    mean: float, step: float, sd: float | None, sd_step: float, n: int, what: str, source: str, line: int
) -> Iterator[LogFinding]:
    """GRIM and GRIMMER for means of whole numbers."""
    if n < 1 or step * n >= 1:
        return
    totals = [
        k for k in range(math.floor(mean * n) - 1, math.ceil(mean * n) + 2) if abs(k / n - mean) <= step / 2 + 1e-9
    ]
    if not totals:
        best = round(mean * n)
        grade: Grade = "slip" if abs(best / n - mean) <= step + 1e-9 else "error"
        sentence = f"{what}: no {n} whole numbers have the mean {mean:g}; {best}/{n} is {shown(best / n, step)}"
        yield LogFinding(grade, "grim mean", sentence, line, source, (best / n,))
        return
    yield LogFinding("holds", "grim mean", what, line, source)
    if sd is None or n < 2 or sd <= 0:
        return
    for total in totals:
        for divisor in (n - 1, n):
            low = max(sd - sd_step / 2, 0) ** 2 * divisor + total**2 / n
            high = (sd + sd_step / 2) ** 2 * divisor + total**2 / n
            first = math.ceil(low - 1e-9)
            if any(s % 2 == total % 2 for s in range(first, min(math.floor(high + 1e-9), first + 2) + 1)):
                yield LogFinding("holds", "grimmer", what, line, source)
                return
    yield LogFinding(
        "error", "grimmer", f"{what}: no {n} whole numbers with the mean {mean:g} have the SD {sd:g}", line, source
    )


def binary_sd(
    mean: float, step: float, sd: float, sd_step: float, n: int | None, what: str, source: str, line: int
) -> Iterator[LogFinding]:
    """The SD of 0/1 scores is sqrt(p (1 - p)), times sqrt(n / (n - 1)) for the sample's."""
    if not 0 <= mean <= 1:
        return
    offs = []
    for factor in (1.0, (n / (n - 1)) if n and n > 1 else 1.0):
        true = math.sqrt(mean * (1 - mean) * factor)
        edges = [
            math.sqrt(min(max(m, 0), 1) * (1 - min(max(m, 0), 1)) * factor) for m in (mean - step / 2, mean + step / 2)
        ]
        offs.append((abs(sd - true), true, max(abs(e - true) for e in edges)))
    off, true, reach = min(offs)
    grade = grade_of(off, sd_step, reach)
    yield LogFinding(
        grade,
        "binary sd",
        f"{what}: 0/1 scores with the mean {mean:g} have the SD {shown(true, sd_step)}, not {sd:g}",
        line,
        source,
        (true,),
    )


def _inside(x: Number, what: str, source: str, line: int) -> LogFinding:
    assert x.low is not None
    assert x.high is not None
    value = x.percent
    scale = 100.0 if x.kind in ("percent", "count") and x.high <= 1 and value > 1 else 1.0
    low, high, step = x.low * scale, x.high * scale, max(x.limits_step * scale, x.step)
    if low > high:
        return LogFinding(
            "error", "order", f"{what}: the interval {x.low:g} to {x.high:g} runs backwards", line, source
        )
    if not low - step <= value <= high + step:
        return LogFinding(
            "error", "order", f"{what}: {value:g} is not inside its own interval {low:g} to {high:g}", line, source
        )
    return LogFinding("holds", "order", what, line, source)


_PART = {
    "min": re.compile(r"\bmin(?:imum)?\b", re.I), "max": re.compile(r"\bmax(?:imum)?\b", re.I), "mean": re.compile(r"^(?:mean|average|avg)\b|\b(?:mean|average|avg)$", re.I),  # noqa: E501
    "median": re.compile(r"\bmedian\b|\bp50\b|\b50%|\bq2\b", re.I), "q1": re.compile(r"\bq1\b|\bp25\b|^25%|25th", re.I), "q3": re.compile(r"\bq3\b|\bp75\b|^75%|75th", re.I),  # noqa: E501
    "sd": re.compile(r"\bs\.?d\.?\b|\bstd\b|standard dev|std dev|stdev", re.I), "se": re.compile(r"\bs\.?e\.?m?\b|std\.? err|standard err", re.I),  # noqa: E501
    "p90": re.compile(r"\bp90\b|90th", re.I), "p95": re.compile(r"\bp95\b|95th", re.I), "p99": re.compile(r"\bp99\b|99th", re.I),
    "low": re.compile(r"(?:ci|95%?|interval)[ _]*(?:low(?:er)?|lb|min)|^(?:lower|low|ci_low|lcl|lo)\b|lower (?:bound|limit|ci)|(?:low|lower|lo)$", re.I), "high": re.compile(r"(?:ci|95%?|interval)[ _]*(?:up(?:per)?|high|ub|max)|^(?:upper|high|ci_high|ucl|hi)\b|upper (?:bound|limit|ci)|(?:high|upper|hi)$", re.I),  # noqa: E501
}  # fmt: skip


def parts(table: LogTable) -> dict[str, int]:
    """Which column is the minimum, the mean, the SD and so on; only those that one column alone is."""
    out: dict[str, int] = {}
    for name, pattern in _PART.items():
        columns = [j for j in table.value_columns if pattern.search(table.columns[j])]
        if len(columns) == 1:
            out[name] = columns[0]
    return out


def _table(log: LogText, table: LogTable) -> Iterator[LogFinding]:
    context = f"{table.title} {' '.join(table.heading[-1:])} {table.context}"
    named = parts(table)
    for j, head in enumerate(table.columns):
        about = f"{head} {table.title}"
        averaged = is_averaged(head) or bool(
            re.search(r"\bseeds?\b|averag|macro|\bfolds?\b", table.title, re.IGNORECASE)
        )
        for i, x in enumerate(table.column(j)):
            if x is None:
                continue
            line, what = table.row_lines[i], where(table, i, j)
            for grade, rule, sentence in _alone(x, about if not averaged else "mean"):
                yield LogFinding(grade, rule, f"{what}: {sentence}", line, table.source)
            if j not in table.value_columns and x.kind not in ("percent", "count"):
                continue
            yield from _head_range(x, head, what, line, table.source)
            given = n_of_cell(log, table, i, j)
            counted = x.kind == "number" and x.step >= 1 and given and given[1] == "column" and RATE.search(head)
            if (
                counted
                and given
                and x.value > given[0]
                and x.unit == ""
                and not re.search(r"rate|%|accura|share|fail|error", head, re.IGNORECASE)
            ):
                yield LogFinding("error", "count", f"{what}: {x} of {given[0]} is more than all", line, table.source)
            if (
                x.kind == "percent"
                and x.successes is None
                and given
                and not averaged
                and (
                    given[1] == "cell"
                    or RATE.search(about + context)
                    or given[1] in ("column", "header", "caption", "design")
                )
            ):
                if (
                    not x.bound
                    and not x.signed
                    and 0 <= x.value <= 100
                    and not is_averaged(f"{head} {table.label(i)}", x.spread)
                ):
                    ns = _ns_near(log, table.section)
                    yield from _grim(
                        x,
                        given,
                        what,
                        table.source,
                        line,
                        len(table.value_columns) if given[1] in ("caption", "near") else 1,
                        ns,
                    )
            elif (
                x.kind == "number"
                and x.spread is None
                and 0 < x.value < 1
                and x.step < 0.1
                and _SHARE_WORDS.search(head)
                and given
                and not averaged
                and x.step * given[0] < 1
            ):
                share = Number("percent", 100 * x.value, 100 * x.step, x.text, line=line)
                if given[1] in ("cell", "column", "header", "caption", "design"):
                    yield from _grim(share, given, what, table.source, line)
            if x.spread is not None and x.kind in ("mean", "number", "percent"):
                kind = x.spread_kind
                if kind in ("", "()") and re.search(r"\bSD\b|std|standard dev", f"{head} {context}", re.IGNORECASE):
                    kind = "SD"
                elif kind in ("", "()") and re.search(r"\bSEM?\b|standard err", f"{head} {context}"):
                    kind = "SE"
                if kind in ("SD", "SE"):
                    yield from _mean(_with_kind(x, kind), given, f"{head} {context}", what, table.source, line)
            if x.low is not None and x.high is not None and x.kind != "range":
                yield _inside(x, what, table.source, line)
    yield from _ordered(log, table, named, context)


def _with_kind(x: Number, kind: str) -> Number:
    from dataclasses import replace

    return replace(x, spread_kind=kind)


def _head_range(x: Number, head: str, what: str, line: int, source: str) -> Iterator[LogFinding]:
    bare = re.sub(r"\(.*?\)", "", head).strip()
    if _CORRELATION.match(bare) and x.kind in ("number", "r", "kappa"):
        yield LogFinding(
            "error" if abs(x.value) > 1 else "holds", "range", f"{what}: {x} is not between -1 and 1", line, source
        )
    elif _UNIT_INTERVAL.match(bare) and x.kind in ("number", "p", "auc"):
        p = bare.lower().startswith("p") and len(bare) <= 8 and not bare.lower().startswith("pr")
        bad = x.value < 0 or (x.value > 1 and (p or x.value < 1.5))
        yield LogFinding("error" if bad else "holds", "range", f"{what}: {x} is not between 0 and 1", line, source)
    elif _PART["sd"].search(bare) and x.kind in ("number", "percent"):
        yield LogFinding("error" if x.value < 0 else "holds", "range", f"{what}: an SD is never negative", line, source)
    elif (
        x.kind == "number"
        and x.value < 0
        and re.fullmatch(r"(?:n|count|total|accuracy|.*\bcount|.*\brate)", bare, re.IGNORECASE)
        and x.value > -1e6
    ):
        yield LogFinding("error", "range", f"{what}: {x} is below zero", line, source)
    elif (
        re.search(r"accuracy|\brate$|refusal rate|proportion|probability", bare, re.IGNORECASE)
        and x.kind == "number"
        and 1 < x.value < 2
        and x.step < 0.5
        and not _GROWING.search(bare)
    ):
        yield LogFinding("weak", "range", f"{what}: {x} is above 1", line, source)


def _ordered(log: LogText, table: LogTable, named: dict[str, int], context: str) -> Iterator[LogFinding]:
    chains = [
        ("min", "q1", "median", "q3", "max"),
        ("min", "mean", "max"),
        ("median", "p90", "p95", "p99", "max"),
        ("low", "mean", "high"),
        ("low", "high"),
    ]
    for i, row in enumerate(table.numbers):
        line = table.row_lines[i]
        for chain in chains:
            cells = [(name, row[named[name]]) for name in chain if name in named]
            given = [(name, c) for name, c in cells if c is not None]
            for (a, x), (b, y) in itertools.pairwise(given):
                if x is None or y is None:
                    continue
                slack = (x.step + y.step) / 2
                off = x.value > y.value + slack + 1e-9
                yield LogFinding(
                    "error" if off else "holds",
                    "order",
                    f"{table.label(i) or f'row {i + 1}'}: {a} {x} is above {b} {y}",
                    line,
                    table.source,
                )
        if "mean" in named and "sd" in named and (m := row[named["mean"]]) and (s := row[named["sd"]]):
            given_n = n_of_cell(log, table, i, named["mean"])
            n = given_n[0] if given_n and given_n[1] in SURE else None
            limits = None
            if "min" in named and "max" in named and (lo := row[named["min"]]) and (hi := row[named["max"]]):
                slack = (
                    0.0 if lo.step >= 1 and hi.step >= 1 and m.step < 1 else 0.5
                )  # whole minimum and maximum, as counts have
                limits = (lo.value - slack * lo.step, hi.value + slack * hi.step)
            limits = limits or _scale(f"{table.columns[named['mean']]} {context}")
            if (
                not limits
                and (m.kind == "percent" or re.search(r"%", table.columns[named["mean"]]))
                and RATE.search(context + table.columns[named["mean"]])
            ):
                limits = (0.0, 100.0)
            label = table.label(i) or f"row {i + 1}"
            if limits:
                yield from sd_limit(m.value, m.step, s.value, s.step, limits, n, label, table.source, line)
            if n and (_WHOLE.search(context) or _scale(context)):
                yield from whole_numbers(m.value, m.step, s.value, s.step, n, label, table.source, line)
            if _BINARY.search(f"{context} {' '.join(table.columns)}"):
                scale = 100.0 if m.value > 1 else 1.0
                yield from binary_sd(
                    m.value / scale, m.step / scale, s.value / scale, s.step / scale, n, label, table.source, line
                )
            if n and n > 1 and "se" in named and (e := row[named["se"]]):
                true = s.value / math.sqrt(n)
                grade = grade_of(abs(true - e.value), e.step, s.step / 2 / math.sqrt(n))
                yield LogFinding(
                    grade,
                    "sd limit",
                    f"{label}: SD {s} of {n} gives the SE {shown(true, e.step)}, not {e}",
                    line,
                    table.source,
                    (true,),
                )
        elif (
            "mean" in named
            and (m := row[named["mean"]])
            and (_WHOLE.search(context) or _scale(context))
            and m.kind == "number"
        ):
            given_n = n_of_cell(log, table, i, named["mean"])
            if given_n and given_n[1] in SURE:
                yield from whole_numbers(
                    m.value, m.step, None, 0.0, given_n[0], table.label(i) or f"row {i + 1}", table.source, line
                )
