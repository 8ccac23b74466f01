"""Which numbers does a sentence or a cell give, and what are they: counts, percentages, means, intervals, p-values?

Dates, versions, names of models, paths and settings such as "layer 12" are no results and are left out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

Kind = Literal[
    "number", "percent", "points", "times", "count", "range", "mean", "p", "t", "F", "chi2", "z", "r", "d", "kappa", "auc", "cosine", "n"
]  # fmt: skip


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


_NUM = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,2}(?!\d))?"
_POWER = r"(?:\s?[×x*]\s?10\s?\^?\s?\{?(?P<power>[-+]?\d+)\}?)?"
_SIGN = r"(?:(?<![\w\)\]])[+-])?"
_BOUND = (
    r"(?P<bound>[~≈<>≤≥]=?\s?|\b(?:about|around|approximately|roughly|nearly|almost|over|under|above|below|at least|at most"
    r"|up to|more than|less than|fewer than)\s+)?"
)
_PERCENT = r"\s?(?:%|percent\b(?!age)|per cent\b)"
_AHEAD = r"(?<![\w.,/])"

_WORDS = {
    w: i
    for i, w in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
}
_UNITS = (
    "prompts|items|examples|samples|questions|participants|subjects|patients|trials|runs|scenarios|responses|completions|tasks"
    "|images|people|students|pairs|rows|users|respondents|documents|sentences|requests|rollouts|generations|observations"
    "|problems|queries|instances|seeds|raters|animals|mice|tests|attempts|conversations|texts|cells|women|men|children"
    "|games|rounds|cases|episodes|tokens|volunteers|pupils|households|records|measurements|replicates|events"
)

#: what is no result: replaced by blanks of the same length before numbers are looked for
_JUNK = re.compile(
    "|".join(
        (
            r"https?://\S+|www\.\S+|(?<!\w)#\d+\b|\b[A-Z]{2,6}-\d{2,}\b",
            r"(?:[\w.~{},*-]*/)+[\w.{},*-]*[A-Za-z_{}][\w.{},*-]*",  # paths: at least one letter behind the slash
            r"\b\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b\d{1,2}:\d{2}(?::\d{2})?\b",  # noqa: E501
            r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.? \d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?\b",
            r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December)(?: \d{4})?\b",
            r"(?<!\w)(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}(?!\w)",  # hashes
            r"\bv\d+(?:\.\d+)*\b|\b\d+\.\d+\.\d+(?:\.\d+)*\w*",
            r"(?<![\w.])[A-Za-z]+[\w]*(?:[.\-][A-Za-z]+)*[.\-_]?\d[\w]*(?:[.\-]\w*[A-Za-z]\w*)*(?:-\d[\w.]*[A-Za-z]\w*)*(?:[.\-]\d+)*(?![\w%])",
            r"(?<![\w.,])\d+(?:\.\d+)?(?:[BKMkb]|st|nd|rd|th|D|d)(?![\w])",
            r"(?<![\w.,])\d+(?:\.\d+)?-(?!fold)[A-Za-z]+\b",
            r"\[\d+(?:,\s?\d+)*\](?!\()(?=[\s.,;)]|$)(?<=\w\s\[\d\])",  # citations
            r"\b(?:19|20)\d{2}\b(?!\s?(?:%|/|of\b|out\b|prompts|items|samples))",
        )
    )
)
_SETTING_WORDS = (
    "alpha|beta|gamma|lambda|epsilon|sigma|eta|layers?|seeds?|epochs?|steps?|temperature|temp|top[-_ ]?[kp]|lr|learning rate|batch(?: size)?"  # noqa: E501
    "|dose|strength|coef(?:ficient)?|rank|tokens?|positions?|fold|versions?|tables?|fig(?:ure|\\.)?s?|sections?|sec|eq(?:uation)?"
    "|chapters?|pages?|lines?|cycles?|phases?|stages?|days?|weeks?|years?|modes?|options?|parts?|iterations?|rule|run|trial|study|experiments?"
    "|checkpoint|appendix|issue|python|cuda|version|release|grade|level|scale|threshold|window|max_new_tokens|bins?|weight decay"
    "|[A-Za-z_]+_[a-z_]+|[αβγλεηθσμs]|[Tck]"
)
_SETTING = re.compile(
    rf"(?<![\w-])(?P<name>{_SETTING_WORDS})\s?(?:[=:#≈∈]|≥|≤|of(?= \d))?\s?(?P<value>[+-]?{_NUM})(?!\s?(?:%|/\d|±|\+/-| of \d))(?P<more>(?:\s?(?:,|-|–|→|to|and|or|/|\.\.)\s?[+-]?{_NUM}(?!\s?%))*)",  # noqa: E501
    re.IGNORECASE,
)


def settings_of(text: str) -> tuple[tuple[str, float], ...]:
    """The settings a text names.

    >>> settings_of("layer 12 at α=0.3 reaches 91%")
    (('layer', 12.0), ('α', 0.3))
    """
    return tuple((m["name"].lower().rstrip("s") or "s", _value(m["value"])) for m in _SETTING.finditer(plain(text)))


def plain(text: str) -> str:
    """A text with ASCII signs for typographic ones and without emphasis; its length may change.

    >>> plain("**−0.5** ± 0.1")
    '-0.5 ± 0.1'
    """
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


def _numbers_pattern(template: str) -> re.Pattern[str]:
    return re.compile(template.replace("NUM", _NUM).replace("SIGN", _SIGN).replace("PCT", _PERCENT), re.IGNORECASE)


_P = _numbers_pattern(
    rf"(?<![\w.-])p(?:[-_ ]?val(?:ue)?s?)?\s?(?:was|is|of)?\s?(?P<op>[=:<>≤≥≈~]|of|(?<=value) )\s?(?P<v>NUM){_POWER}(?!\s?%)(?![\w/])"
)
_STATISTICS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("t", _numbers_pattern(r"(?<![\w-])t\s?\(\s?(?P<df>NUM)\s?\)\s?=\s?(?P<v>[+-]?NUM)")),
    ("F", _numbers_pattern(r"(?<![\w-])F\s?\(\s?(?P<df>NUM)\s?,\s?(?P<df2>NUM)\s?\)\s?=\s?(?P<v>NUM)")),
    (
        "chi2",
        _numbers_pattern(
            r"(?:χ\s?\^?\s?[2²]|chi[- ]?(?:\^?2|square[d]?)|X2|X²)\s?\(\s?(?P<df>\d+)\s?(?:,\s?n\s?=\s?(?P<n>NUM))?\s?\)\s?=\s?(?P<v>NUM)"
        ),
    ),
    (
        "t",
        _numbers_pattern(
            r"(?<![\w-])t\s?=\s?(?P<v>[+-]?NUM)\s?[,;(]\s?(?:df|d\.f\.)\s?=\s?(?P<df>NUM)\)?"
        ),
    ),
    ("z", _numbers_pattern(r"(?<![\w-])z\s?=\s?(?P<v>[+-]?NUM)")),
    ("r", _numbers_pattern(r"(?<![\w-])(?:pearson'?s? |spearman'?s? )?(?:r|rho|ρ|r_s)\s?(?:\(\s?(?P<df>\d+)\s?\))?\s?=\s?(?P<v>[+-]?NUM)(?!\s?[%])")),  # noqa: E501
    ("d", _numbers_pattern(r"(?:(?<![\w-])cohen'?s?\s?d|(?<![\w-])d|hedges'?s?\s?g)\s?(?:=|of|was|:)\s?(?P<v>[+-]?NUM)(?!\s?[%])")),
    ("kappa", _numbers_pattern(r"(?:κ|kappa)\s?(?:=|of|was|:|≈)?\s?(?P<v>[+-]?NUM)(?!\s?%)")),
    ("auc", _numbers_pattern(r"(?:AUC|AUROC|ROC-AUC)\s?(?:=|of|was|:|≈)?\s?(?P<v>NUM)(?!\s?%)")),
    ("cosine", _numbers_pattern(r"\bcosines?(?: similarity)?(?: (?:between|of|with) [^,.;:()\d]{1,40}?)?\s?(?:=|of|is|was|:|≈)\s?(?P<v>[+-]?NUM)(?!\s?[%°\d])")),  # noqa: E501
    ("auc", _numbers_pattern(r"(?<![\w.,/])(?P<v>0?\.\d+|1\.0+)\s(?:AUC|AUROC)\b")),
)  # fmt: skip
_N = _numbers_pattern(
    r"(?:(?<![\w.-])n|\b(?:arm|group|sample|cell|condition) sizes?)\s?(?:=|:|\bis\b|\bof\b)\s?(?P<v>\d[\d,]*)(?![\w.]*\d)"
)
_N_UNITS = _numbers_pattern(rf"(?<![\w.,/$-])(?P<v>\d[\d,]*)\s(?:[a-z-]+\s){{0,2}}?(?:{_UNITS})\b")
_CI = _numbers_pattern(
    r"(?:(?P<level>\d{2}(?:\.\d+)?)\s?%[- ]?(?:(?:[Bb]ootstrap\w*|BCa|percentile|credible|posterior|exact|Wilson|binomial) ){0,2})?(?:\bCIs?\b|\bC\.I\.|confidence interval|(?<=\d% )interval\b|confidence limits|credible interval|\bWilson\b(?: CI| interval)?)"  # noqa: E501
    r"\s?(?:\((?:Wilson|exact|normal|Wald|t|Clopper[- –]Pearson)\))?\s?[:=,]?\s?(?:of|from|was|is)?\s?[\[\(]?\s?(?P<low>[+-]?NUM)\s?%?\s?(?:,|;|to|-|–|\.\.+|and)\s?(?P<high>[+-]?NUM)\s?%?\s?[\]\)]?"  # noqa: E501
)
#: "the 95% interval of 30/60 is [48%, 52%]"
_CI_OF = _numbers_pattern(
    r"(?P<level>\d{2}(?:\.\d+)?)\s?%[- ]?(?:confidence |credible |Wilson |exact )?(?:interval|CI)\s(?:of|for|around|on)\s"
    r"(?P<of>[^;\[\]\0]{1,40}?)\s?(?:is|was|:|=)\s?(?:from\s)?[\[\(]?(?P<low>[+-]?NUM)\s?%?\s?(?:,|to|-|–|and)\s?(?P<high>[+-]?NUM)\s?%?[\]\)]?"
)
_BRACKET = _numbers_pattern(r"(?<=[\d%])\s?[\[](?P<low>[+-]?NUM)\s?%?\s?(?:,|;|to|-|–)\s?(?P<high>[+-]?NUM)\s?%?\s?\]")
_SPREAD_WORD = r"(?P<what>SD|SE|SEM|s\.?d\.?|s\.?e\.?m?\.?|std\.?(?: ?dev\.?)?(?: ?err(?:or)?\.?)?|standard deviation|standard error|σ)"
_MEANS = (
    _numbers_pattern(
        rf"{_AHEAD}(?P<v>SIGNNUM)\s?(?P<pct>%)?\s?±\s?(?P<s>NUM)\s?(?P<pct2>%|pp)?(?:\s?\(?\s?(?P<what>SD|SE|SEM|s\.?d\.?|s\.?e\.?m?\.?|std(?: ?err)?|95%\s?CI|CI)\b\.?\)?)?"  # noqa: E501
    ),
    _numbers_pattern(
        rf"(?<![\w-])(?:M|mean|average|avg|μ)\s?(?:=|:|of|was|is)?\s?(?P<v>[+-]?NUM)\s?(?P<pct>%)?\s?(?:[,;(]|with|and)\s?(?:an?\s)?{_SPREAD_WORD}\s?(?:=|:|of|was|is)?\s?(?P<s>NUM)\)?"
    ),
    _numbers_pattern(
        rf"{_AHEAD}(?P<v>SIGNNUM)\s?(?P<pct>%)?\s?\(\s?{_SPREAD_WORD}\s?(?:=|:|of)?\s?(?P<s>NUM)\s?%?\s?\)?"
    ),
)
_INT = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_COUNT_WORD = "|".join(_WORDS)
_OF_ALL = _numbers_pattern(
    rf"(?<!\d )(?<!\d)(?<!out )\b(?:of|out of|among|von|sur)\s(?:(?:the|our|all|these|those)\s)*(?P<n>{_INT})\s(?P<noun>(?!of\b)[^\W\d]+(?:\s[^\W\d]+){{0,3}}?)"  # noqa: E501
    rf"(?:,|\s(?:waren|wurden|were|had|ont))\s(?:only\s)?(?P<k>{_INT})(?!\s?%|[\w/]|[.,]\d)(?:(?:\s[^\W\d]+){{0,4}}\s?\(\s?(?P<pct>NUM)\s?%\)|(?=\s[^\W\d]))"
)
#: "18 of 20 prompts were refused, which is 90%"
_THAT_IS = r"(?:\s[a-z][a-z-]*){0,4}?(?:,?\s(?:(?:that|which|this) (?:is|was|makes|gives)|i\.e\.|hence|thus),?|,\sor)"
_COUNT = _numbers_pattern(
    rf"(?<![\w.,/^-])(?P<k>{_INT}|\b(?:{_COUNT_WORD})\b)(?:\s?/\s?|\s(?P<noun>(?:{_UNITS})\s)?(?:out of|of|von|sur)\s|\s(?:[a-z-]+\s)?out of\s(?:the\s|all\s|our\s)?)(?P<n>{_INT}|\b(?:{_COUNT_WORD})\b)(?!\s?%|[\w/]|[.,]\d|\s?×|-)"  # noqa: E501
    rf"(?P<after>(?:\s?[\(\[=,:≈-]*|(?:\s[a-z][a-z-]*){{1,3}}\s?[(\[=]|{_THAT_IS})\s?(?P<pct>NUM)\s?%(?!\s?(?:CI|of\b|more|less|higher|lower|points)|\s?(?:to|→|->|vs\.?|against|and|–|-|,)\s?\d))?"
)
_PERCENT_COUNT = _numbers_pattern(
    rf"(?<![\w.,/])(?<![=→])(?<![=→]\s)(?P<pct>NUM)\s?%(?:\sof (?:the )?(?:time|{_UNITS})(?=\s?\())?\s?[\(\[,:=]?\s?(?:n\s?=\s?)?(?P<k>{_INT})(?:\s?/\s?|\s(?:out of|of)\s(?:the\s|all\s)?)(?P<n>{_INT})(?!\s?%|[\w/]|[.,]\d|\s?(?:to|→|->|vs\.?|against|and|,)\s?\d+\s?(?:/|of))"  # noqa: E501
)
_PERCENT_N = _numbers_pattern(
    rf"{_AHEAD}(?P<v>NUM)PCT\s?(?:\(\s?n\s?=\s?(?P<n>\d[\d,]*)\s?\)|of\s(?:the\s|all\s|our\s)?(?P<n2>\d[\d,]*)(?!\s?%|[.,]?\d))"
)
_PARTIAL = _numbers_pattern(rf"{_AHEAD}(?P<k>\d[\d,]*)\s(?:(?!(?:of|to)\s)[a-z-]+\s)?\(\s?(?P<pct>NUM)\s?%\s?\)")
_RANGE = _numbers_pattern(
    r"(?<![\w.,/→])(?<!→ )(?P<low>[+-]?NUM)\s?(?:%\s?)?(?:-|–|—|\bto\b)\s?(?P<high>[+-]?NUM)(?P<unit>\s?%|\s?pp\b|\s?points?\b)?(?![\w/]*\d)"  # noqa: E501
)
_PLAIN_PERCENT = _numbers_pattern(
    rf"{_BOUND}{_AHEAD}(?P<v>SIGNNUM)PCT(?!\s?(?:points?|pts?)\b)(?P<plus>\+|[ -]or (?:more|higher|above))?"
)
_POINTS = _numbers_pattern(
    rf"{_BOUND}{_AHEAD}(?P<v>SIGNNUM)[\s-]?(?:%\s?points?|percent(?:age)?[\s-]points?|pp\b|ppts?\b|p\.p\.|pts?\b|points?\b(?! of))"
)
_TIMES = _numbers_pattern(rf"{_BOUND}{_AHEAD}(?P<v>NUM)\s?(?:[x×](?![\w\s]*\d)\b|×|-?\s?fold\b|\stimes\b(?! \d))")
_PLAIN = _numbers_pattern(rf"{_BOUND}(?<![\w.,/^])(?P<v>SIGNNUM)(?![\w/]*\w)(?!\s?[×x]\s?\d)")

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
    return _WORDS[text.lower()] if text.lower() in _WORDS else int(text.replace(",", ""))


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


def _count_of_all(m: re.Match[str]) -> list[Number]:
    """ "Of 100 patients, 34" and "of 120 answers, 87 (72.5%)"."""
    k, n = _whole(m["k"]), _whole(m["n"])
    size = Number("n", float(n), 0.0, m["n"], m.start("n"), m.end("n"), unit=m["noun"].split()[-1].lower())
    if k > n:
        return [size]
    count = Number("count", float(k), 0.0, f"{k} of {n}", m.start("k"), m.end("k"), n=n, n_from="cell", successes=k)
    if not m["pct"]:
        return [size, count]
    share = _make("percent", m, "pct", n=n, n_from="cell", successes=k)
    return [size, count, replace(share, start=m.start("k"), end=m.end())]


def _percent_of_n(m: re.Match[str]) -> list[Number]:
    return [_make("percent", m, n=int(_value(m["n"] or m["n2"])), n_from="cell")]


def _n(m: re.Match[str]) -> list[Number]:
    return [replace(_make("n", m), step=0.0)]


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
    (_P, _p),
    *((pattern, _statistic(kind)) for kind, pattern in _STATISTICS),
    (_CI_OF, _interval_of),
    (_CI, _interval("CI")),
    (_BRACKET, _interval("CI?")),
    *((pattern, _mean) for pattern in _MEANS),
    (_OF_ALL, _count_of_all),
    (_PERCENT_COUNT, _count),
    (_COUNT, _count),
    (_PERCENT_N, _percent_of_n),
    (_N, _n),
    (_JUNK, lambda _: []),
    (_SETTING, lambda _: []),
    (_PARTIAL, _partial),
    (_N_UNITS, _n_of_units),
    (_RANGE, _range),
    (_POINTS, _simple("points")),
    (_PLAIN_PERCENT, _simple("percent")),
    (_TIMES, _simple("times")),
    (_PLAIN, _simple("number")),
)
#: "at every step: 2.3, 1.9": what follows is a list over settings, no setting
_LIST_OVER = re.compile(r"(\b(?:every|each|across(?: all| the)?) [a-z]+):(?=\s)", re.IGNORECASE)
_COUNT_IN_WORDS = re.compile(rf"\b(?:{_COUNT_WORD}) (?:out )?of (?:{_COUNT_WORD})\b", re.IGNORECASE)
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
        for m in list(pattern.finditer(rest)):
            start, end = m.span()
            if "\0" not in m[0]:
                numbers += make(m)
                rest = rest[:start] + "\0" * (end - start) + rest[end:]
    numbers.sort(key=lambda x: (x.start, x.end, x.kind != "count"))
    return _with_intervals([replace(x, line=line, unit=x.unit or _unit_behind(x, text)) for x in numbers], text)


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


def _may_own(x: Number, interval: Number, text: str) -> bool:
    """Whether an interval may be of a number: not of one in brackets that are closed, nor of a rate where it goes below 0."""
    between = text[x.end : interval.start]
    closed = between.count(")") > between.count("(") and text[: x.start].rfind("(") > text[: x.start].rfind(")")
    rate = x.kind in ("percent", "count") and not x.signed
    return (
        x.kind not in ("n", "p", "range")
        and not closed
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
_BARE_CELL = re.compile(rf"(?P<op>[<>≤≥~≈]?)\s?(?P<v>[+-]?\s?{_NUM})")
_SPREAD_CELL = re.compile(rf"(?P<v>[+-]?{_NUM})\s?(?P<pct>%?)\s?[\(]\s?(?:±\s?)?(?P<s>{_NUM})\s?%?\s?[\)]")
_COUNT_CELL = re.compile(rf"\d+\s?\(\s?{_NUM}\s?%\s?\)")
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
