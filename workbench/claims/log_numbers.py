"""Which numbers does a sentence or a cell give, and what are they: counts, percentages, means, intervals, p-values?

Dates, versions, names of models, paths and settings such as "layer 12" are no results and are left out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from workbench.claims.log_patterns import (
    BRACKET,
    CI,
    CI_OF,
    COUNT,
    COUNT_WORD,
    JUNK,
    MEANS,
    N_GIVEN,
    N_UNITS,
    NUM,
    NUMBER_WORDS,
    OF_ALL,
    P_VALUE,
    PARTIAL,
    PERCENT_COUNT,
    PERCENT_N,
    PLAIN,
    PLAIN_PERCENT,
    POINTS,
    RANGE,
    SETTING,
    SETTING_AT,
    STATISTICS,
    TIMES,
    Kind,
)


@dataclass(frozen=True)
class Number:
    """One number as it is printed.

    Attributes:
        kind: what it is. A count is ``successes`` of ``n``; a percent has its value between 0 and 100; points are percentage
            points; times is a ratio ("2x"); a range has ``low`` and ``high``; n is a number of units.
        value, step: the number, and one unit of its last printed place (0: exact).
        text, start, end, line: as printed, where in its sentence, and on which line of the file.
        signed: printed with + or -.
        bound: "<", ">" or "~" where it is no exact value ("over 90%", "95%+").
        n, n_from: its number of units, and where that was found: cell, sentence, column, header, caption, design, near.
        successes: the count that is printed beside a percentage.
        spread, spread_step, spread_kind: what follows ±: SD, SE, CI or "" where it is not said.
        low, high, level: an interval beside it, with its confidence in percent.
        degrees: degrees of freedom of a test.
        unit: the word or sign behind it.
    """

    kind: Kind
    value: float
    step: float
    text: str
    start: int = 0
    end: int = 0
    line: int = 0
    signed: bool = False
    bound: str = ""
    n: int | None = None
    n_from: str = ""
    successes: int | None = None
    spread: float | None = None
    spread_step: float = 0.0
    spread_kind: str = ""
    low: float | None = None
    high: float | None = None
    limits_step: float = 0.0
    level: float = 95.0
    degrees: tuple[float, ...] = ()
    unit: str = ""

    @property
    def percent(self) -> float:
        """A count or a percentage on the scale from 0 to 100."""
        return 100 * self.value / self.n if self.kind == "count" and self.n else self.value

    def __str__(self) -> str:
        return self.text.strip()


def settings_of(text: str) -> tuple[tuple[str, float], ...]:
    """The settings a text names.

    >>> settings_of("layer 12 at α=0.3 reaches 91%")
    (('layer', 12.0), ('α', 0.3))
    """
    return tuple((m["name"].lower().rstrip("s") or "s", _value(m["value"])) for m in SETTING.finditer(plain(text)))


_RAISED = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")


def plain(text: str) -> str:
    """A text with ASCII signs for typographic ones and without emphasis; its length may change.

    >>> plain("**−0.5** ± 0.1")
    '-0.5 ± 0.1'
    """
    text = re.sub(r"(?<=10)[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: "^" + m[0].translate(_RAISED), text)
    text = re.sub(r"[−‒﹣－‐‑]", "-", text)
    text = re.sub(r"(?<![\d%\w\)])\s?[–—](?=\.?\d)", lambda m: m[0].replace("–", "-").replace("—", "-"), text)
    text = (
        text.replace("\u00a0", " ").replace("\u2009", " ").replace("\u202f", " ").replace("％", "%").replace("\\%", "%")
    )
    text = text.replace("$\\pm$", "±").replace("\\pm", "±").replace("+/-", "±").replace("<=", "≤").replace(">=", "≥")
    text = re.sub(r"(?<=\d)(\s?%?\s?)\+-(?=\s?\.?\d)", r"\1±", text)
    text = re.sub(r"~~.*?~~", lambda m: m[0].replace("~~", ""), text)
    text = re.sub(r"\*{1,3}(?=\S)(.+?)(?<=\S)\*{1,3}", r"\1", text)
    text = re.sub(r"(?<!\w)__(?=\S)(.+?)(?<=\S)__(?!\w)", r"\1", text)
    return re.sub(r"`([^`]*)`", lambda m: m[1] if re.fullmatch(r"[\s\d.,%/+-]*", m[1]) else m[0], text)


def _value(text: str) -> float:
    return float(text.replace(",", "").replace(" ", ""))


def step_of(text: str) -> float:
    """One unit of the last printed place.

    >>> step_of("75"), step_of("75.0"), step_of("2.5e-3")
    (1.0, 0.1, 0.0001)
    """
    text = text.strip().lstrip("+-").replace(",", "")
    mantissa, _, power = text.lower().partition("e")
    exponent = int(power or 0) - len(mantissa.partition(".")[2])
    return round(10.0**exponent, 15) if exponent > -15 else 10.0**exponent


_BOUNDS = {"~": "~", "≈": "~", "<": "<", "≤": "<", ">": ">", "≥": ">"}
_BOUND_WORDS = {
    **dict.fromkeys(("about", "around", "approximately", "roughly", "nearly", "almost"), "~"),
    **dict.fromkeys(("over", "above", "at least", "more than"), ">"),
    **dict.fromkeys(("under", "below", "at most", "up to", "less than", "fewer than"), "<"),
}


# ---- what a match is: each maker takes one, and gives the numbers that it holds (none where it is no number after all)


def _make(kind: Kind, m: re.Match[str], group: str = "v", scale: float = 1.0, **more: object) -> Number:
    value = m[group]
    made = Number(kind, _value(value) * scale, step_of(value) * scale, m[0].strip(), m.start(), m.end())
    return replace(made, signed=value[0] in "+-", **more)  # type: ignore[arg-type]


def _bound(match: re.Match[str]) -> str:
    said = (match["bound"] or "").strip().lower()
    return _BOUND_WORDS.get(said, _BOUNDS.get(said[:1], ""))


def _whole(text: str) -> int:
    return NUMBER_WORDS[text.lower()] if text.lower() in NUMBER_WORDS else int(text.replace(",", ""))


def _p(m: re.Match[str]) -> list[Number]:
    return [_make("p", m, scale=10.0 ** int(m["power"] or 0), bound=_BOUNDS.get(m["op"], ""))]


def _statistic(kind: Kind) -> "_Maker":
    def make(m: re.Match[str]) -> list[Number]:
        groups = m.groupdict()
        degrees = tuple(_value(groups[k]) for k in ("df", "df2") if groups.get(k))
        return [_make(kind, m, degrees=degrees, n=int(_value(groups["n"])) if groups.get("n") else None)]

    return make


def _interval(unit: str) -> "_Maker":
    def make(m: re.Match[str]) -> list[Number]:
        step = max(step_of(m["low"]), step_of(m["high"]))
        level = float(m.groupdict().get("level") or 95)
        limits = Number("range", 0.0, step, m[0].strip(), m.start(), m.end(), unit=unit, level=level, limits_step=step)
        return [replace(limits, low=_value(m["low"]), high=_value(m["high"]))]

    return make


def _interval_of(m: re.Match[str]) -> list[Number]:
    """The numbers between "interval of" and its limits, and the interval."""
    start = m.start("of")
    of = [replace(x, start=x.start + start, end=x.end + start) for x in read_numbers(m["of"])]
    return [*of, replace(_interval("CI")(m)[0], start=m.end("of"))]


def _mean(m: re.Match[str]) -> list[Number]:
    unit = "%" if m["pct"] or m.groupdict().get("pct2") else ""
    made = replace(_make("mean", m, unit=unit), signed=False)
    return [replace(made, spread=_value(m["s"]), spread_step=step_of(m["s"]), spread_kind=_spread_kind(m["what"]))]


def _spread_kind(said: str | None) -> str:
    low = (said or "").lower().replace(".", "").replace(" ", "")
    if "ci" in low:
        return "CI"
    return "SE" if "err" in low or low in ("se", "sem") else "SD" if low else ""


def _count(m: re.Match[str]) -> list[Number]:
    k, n = _whole(m["k"]), _whole(m["n"])
    other_units = k > n and (m.groupdict().get("noun") or not m["n"][0].isdigit())  # "50 pairs of one" is no count
    proverb = f"{k}/{n}" in ("24/7", "9/11", "16/9", "4/3")  # hours, a day, shapes of a screen
    if n == 0 or other_units or (k > n and proverb):
        return []
    count = Number("count", float(k), 0.0, m[0].strip(), m.start(), m.end(), n=n, n_from="cell", successes=k)
    share = [_make("percent", m, "pct", n=n, n_from="cell", successes=k)] if m["pct"] else []
    return [count, *share]


_DID = re.compile(r"\s(?:were|was|are|have|had|[a-z]+ed)\b")  # of 30 prompts, 33 "were refused", and not "tokens"


def _count_of_all(m: re.Match[str]) -> list[Number]:
    """ "Of 100 patients, 34" and "of 120 answers, 87 (72.5%)"."""
    k, n = _whole(m["k"]), _whole(m["n"])
    size = Number("n", float(n), 0.0, m["n"], m.start("n"), m.end("n"), unit=m["noun"].split()[-1].lower())
    if k > n and not _DID.match(m.string[m.end() :]):
        return [size]
    count = Number("count", float(k), 0.0, f"{k} of {n}", m.start("k"), m.end("k"), n=n, n_from="cell", successes=k)
    if not m["pct"]:
        return [size, count]
    share = _make("percent", m, "pct", n=n, n_from="cell", successes=k)
    return [size, count, replace(share, start=m.start("k"), end=m.end())]


def _percent_of_n(m: re.Match[str]) -> list[Number]:
    return [_make("percent", m, n=int(_value(m["n"] or m["n2"] or m["n3"])), n_from="cell")]


def _n(m: re.Match[str]) -> list[Number]:
    return [replace(_make("n", m, unit=(m["unit"] or "").lower()), step=0.0)]


def _n_of_units(m: re.Match[str]) -> list[Number]:
    return [replace(_make("n", m, unit=m[0].split()[-1].lower()), step=0.0)]


def _range(m: re.Match[str]) -> list[Number]:
    unit = (m["unit"] or ("%" if "%" in m[0] else "")).strip()
    if "to" in m[0] and _GOES_FROM.search(m.string[: m.start()]):
        kind: Kind = "percent" if unit == "%" else "number"
        ends = ((m[k], m.start(k), m.end(k)) for k in ("low", "high"))
        return [Number(kind, _value(v), step_of(v), v + unit, start, end) for v, start, end in ends]
    step = max(step_of(m["low"]), step_of(m["high"]))
    made = Number("range", 0.0, step, m[0].strip(), m.start(), m.end(), unit=unit)
    return [replace(made, low=_value(m["low"]), high=_value(m["high"]))]


_GOES_FROM = re.compile(
    r"\b(?:from|rose|fell|drops?|dropped|increased?s?|decreased?s?|improve[ds]?|goes|went)\s*$", re.IGNORECASE
)


def _partial(m: re.Match[str]) -> list[Number]:
    return [_make("percent", m, "pct", successes=_whole(m["k"]))]


def _simple(kind: Kind) -> "_Maker":
    return lambda m: [_make(kind, m, bound=">" if m.groupdict().get("plus") else _bound(m))]


_Maker = Callable[[re.Match[str]], list[Number]]

#: what is looked for, in this order: what one pattern has taken, no later one sees
_GRAMMAR: tuple[tuple[re.Pattern[str], _Maker], ...] = (
    (P_VALUE, _p),
    *((pattern, _statistic(kind)) for kind, pattern in STATISTICS),
    (CI_OF, _interval_of),
    (CI, _interval("CI")),
    (BRACKET, _interval("CI?")),
    *((pattern, _mean) for pattern in MEANS),
    (OF_ALL, _count_of_all),
    (PERCENT_COUNT, _count),
    (COUNT, _count),
    (PERCENT_N, _percent_of_n),
    (N_GIVEN, _n),
    (JUNK, lambda _: []),
    (SETTING_AT, lambda _: []),
    (SETTING, lambda _: []),
    (PARTIAL, _partial),
    (N_UNITS, _n_of_units),
    (RANGE, _range),
    (POINTS, _simple("points")),
    (PLAIN_PERCENT, _simple("percent")),
    (TIMES, _simple("times")),
    (PLAIN, _simple("number")),
)
#: "at every step: 2.3, 1.9": what follows is a list over settings, no setting
_LIST_OVER = re.compile(r"(\b(?:every|each|across(?: all| the)?) [a-z]+):(?=\s)", re.IGNORECASE)
_COUNT_IN_WORDS = re.compile(rf"\b(?:{COUNT_WORD}) (?:out )?of (?:{COUNT_WORD})\b", re.IGNORECASE)
_TOO_LONG = re.compile(r"\d{19,}|\S{300,}")  # no number that anybody reads
_ITEM = re.compile(r"^\s*(?:\d+[.)]|[#>*+-]+)\s+(?=\D)")


def read_numbers(text: str, line: int = 0) -> list[Number]:
    """The numbers of a sentence, in order.

    Args:
        text: the sentence; ``plain`` has been applied to it or is applied here.
        line: of the file, kept with each number.

    >>> [(x.kind, x.value, x.n) for x in read_numbers("31/35 against 16.7% (n = 36), p < .001")]
    [('count', 31.0, 35), ('percent', 16.7, 36), ('p', 0.001, None)]
    """
    text = plain(text)
    if not re.search(r"\d", text) and not _COUNT_IN_WORDS.search(text):
        return []
    rest = _LIST_OVER.sub(r"\1;", _TOO_LONG.sub(_blank, _ITEM.sub(_blank, text)))
    numbers: list[Number] = []
    for pattern, make in _GRAMMAR:
        taken = [m for m in pattern.finditer(rest) if "\0" not in m[0]]
        for m in taken:
            numbers += make(m)
        rest = _without(rest, taken)
    numbers.sort(key=lambda x: (x.start, x.end, x.kind != "count"))
    return _with_intervals([replace(x, line=line, unit=x.unit or _unit_behind(x, text)) for x in numbers], text)


def _without(text: str, taken: list[re.Match[str]]) -> str:
    """A text with blanks of the same length for what was taken from it."""
    ends = [0, *(m.end() for m in taken)]
    kept = [text[end : m.start()] + "\0" * len(m[0]) for end, m in zip(ends, taken, strict=False)]
    return "".join([*kept, text[ends[-1] :]])


def _unit_behind(x: Number, text: str) -> str:
    behind = re.match(r"\s?([A-Za-z°µ]+)", text[x.end :]) if x.kind == "number" else None
    return behind[1] if behind else ""


def _blank(m: re.Match[str]) -> str:
    return "\0" * len(m[0])


def _with_intervals(numbers: list[Number], text: str) -> list[Number]:
    """Intervals go to the number right before them, or behind where there is none."""
    result: list[Number] = []
    for x in numbers:
        last = next((i for i in range(len(result) - 1, -1, -1) if _may_own(result[i], x, text)), None)
        if x.unit.startswith("CI") and last is not None and _is_beside(text[result[last].end : x.start]):
            result[last] = _with_interval(result[last], x)
        else:
            result.append(x)
    for i, (first, second) in enumerate(pairwise(result)):
        free = second.low is None and second.kind in ("number", "percent", "count") and _may_own(second, first, text)
        if first.kind == "range" and first.unit == "CI" and free and 0 <= second.start - first.end < 25:
            result[i : i + 2] = [_with_interval(second, first)]
            break
    return result


_SPREAD_BEFORE = re.compile(r"\b(?:SD|SE|SEM|[Ss]td|[Ss]tandard (?:error|deviation)|σ)\s?(?:=|:|of|was|is)?\s?$")


def _may_own(x: Number, interval: Number, text: str) -> bool:
    """Whether an interval may be of a number: not of one in brackets that are closed, nor of a rate where it goes below 0."""
    between = text[x.end : interval.start]
    closed = between.count(")") > between.count("(") and text[: x.start].rfind("(") > text[: x.start].rfind(")")
    rate = x.kind in ("percent", "count") and not x.signed
    spread = x.kind == "number" and _SPREAD_BEFORE.search(text[: x.start])
    return (
        x.kind not in ("n", "p", "range")
        and not closed
        and not spread
        and not (rate and min(interval.low or 0, interval.high or 0) < 0)
    )


def _is_beside(between: str) -> bool:
    """Whether no more than a few words stand between a number and its interval."""
    return len(between) < 40 and len(re.findall(r"[A-Za-z]{2,}", between)) <= 3


def _with_interval(x: Number, interval: Number) -> Number:
    limits = {"low": interval.low, "high": interval.high, "level": interval.level, "limits_step": interval.limits_step}
    return replace(x, **limits, unit=interval.unit)  # type: ignore[arg-type]


# ---- cells

_CELL_NOTE = re.compile(r"[*†‡§✓✗✅❌↑↓←→⬆⬇🔴🟡🟢]+|<-+.*$|\\\*|\^[a-z]\b")
_BARE_CELL = re.compile(rf"(?P<op>[<>≤≥~≈]?)\s?(?P<v>[+-]?\s?{NUM})")
_SPREAD_CELL = re.compile(rf"(?P<v>[+-]?{NUM})\s?(?P<pct>%?)\s?[\(]\s?(?:±\s?)?(?P<s>{NUM})\s?%?\s?[\)]")
_COUNT_CELL = re.compile(rf"\d+\s?\(\s?{NUM}\s?%\s?\)")
_CELL_WORDS = re.compile(
    r"\b(?:n|p|sd|se|ci|vs|of|out|mean|pp|x|baseline|points?|ms|s|sec|min|h|gb|mb|kb|k|m|b|hz|usd|eur|chars|characters|tokens"
    r"|bypass|cases)\b",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"\bvs?\b|→|->|\bto\b|,|;|\band\b|\d\s+[A-Za-z]")


def read_cell(text: str, line: int = 0) -> Number | None:
    """The number of a table's cell, or nothing where the cell is words.

    >>> read_cell("**95.0%**").value, read_cell("9/12").n, read_cell("2.2251 (baseline)").value, read_cell("No")
    (95.0, 12, 2.2251, None)
    """
    text = _CELL_NOTE.sub(" ", plain(text)).strip().strip("|").strip()
    if not text or not re.search(r"\d", text) or len(text) > 60:
        return None
    if m := _BARE_CELL.fullmatch(text):
        signed, bound = m["v"][0] in "+-", _BOUNDS.get(m["op"], "")
        return Number("number", _value(m["v"]), step_of(m["v"]), text, line=line, signed=signed, bound=bound)
    if (m := _SPREAD_CELL.fullmatch(text)) and not _COUNT_CELL.fullmatch(text):
        kind: Kind = "percent" if m["pct"] else "number"
        made = Number(kind, _value(m["v"]), step_of(m["v"]), text, line=line, unit=m["pct"])
        return replace(made, spread=_value(m["s"]), spread_step=step_of(m["s"]), spread_kind="()")
    numbers = read_numbers(text, line)
    words = re.findall(r"[A-Za-zα-ω]{2,}", _CELL_WORDS.sub(" ", re.sub(r"\([^)]*\)", " ", text)))
    results = [x for x in numbers if x.successes is None and x.kind not in ("n", "p")]
    if not numbers or len(words) > 1 or (len(results) > 1 and _SEVERAL.search(text)):
        return None
    main = next((x for x in numbers if x.kind == "percent" and x.successes is not None), numbers[0])
    given = next((x for x in numbers[1:] if x.kind == "n"), None)
    main = replace(main, kind="number") if main.kind == "n" else main
    return replace(main, n=int(given.value), n_from="cell") if given and main.n is None else main
