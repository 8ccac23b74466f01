"""Does an equation of a sentence come out: sums and products, designs, F1, a coefficient of variation, an average?"""

import math
import re
from collections.abc import Callable, Iterator
from statistics import fmean
from typing import NamedTuple

from workbench.claims.log_numbers import Number, plain, step_of
from workbench.claims.log_text import LogText, Statement
from workbench.claims.recomputations import over_rounding
from workbench.claims.rounding import grade_of, shown
from workbench.claims.rules.finding import Family, LogFinding, in_sentence
from workbench.claims.rules.row_names import phrase

Findings = Iterator[LogFinding]

_NUM = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_EQUATION = phrase(
    rf"(?<![\w.,/^=])(?P<left>-?(?:{_NUM})%?(?:\s+[a-z]+)?(?:\s?(?:[+×x*/÷]|\s-\s|−)\s?(?:{_NUM})%?(?:\s+[a-z]+)?){{1,11}})"
    rf"\s?(?P<eq>=|≈)\s?(?P<right>[+-]?(?:{_NUM}))(?P<unit>\s?%|\s?pp)?(?![\w/]|\s?[+×*/÷]\s?\d|\.\d)"
)
_FACTOR = r"\d+(?:\s[^()×x*\d,;=]*)?"
_PRODUCT = phrase(
    rf"(?<![\w.])(?P<total>\d[\d,]*)(?:\s[a-z]+){{0,3}}?\s?[(=]\s?(?P<factors>{_FACTOR}(?:\s?[×x*]\s?{_FACTOR})+)\)?(?=$|[\s.,;)])"
)
_THING = r"\d+\s[a-z]+(?:\s[a-z]+)?"
_TOTAL_AFTER = phrase(
    rf"(?P<factors>{_THING}(?:\s?[×x*]\s?{_THING})+)\s?[(,;]\s?(?:for a |a )?(?:total|in total|in all|altogether)(?: of)?:?"
    r"\s(?P<total>\d[\d,]*)"
)
_TIMES = r"\s?[×x*]\s?(?=\d)"


def _equations(log: LogText, s: Statement) -> Findings:
    text = plain(s.text)
    place = in_sentence(s)
    for m in _EQUATION.finditer(text):
        left = re.sub(r"(?<=\d|%)\s+[a-z]{2,}\b", "", m["left"], flags=re.IGNORECASE).replace(",", "")
        said, step = float(m["right"].replace(",", "")), step_of(m["right"])
        is_count = re.match(r"^\d+\s?/\s?\d+$", left.strip()) and not m["unit"] and said > 1
        made = None if is_count else _evaluate(re.findall(rf"{_NUM}|[+×x*/÷-]", left), "%" in left)
        if made is None:
            continue
        value, reach = made
        scales = (1.0, 100.0) if (m["unit"] or "").strip() == "%" else (1.0,)
        scale = min(scales, key=lambda c: abs(c * value - said))
        off = abs(scale * value - said)
        rounded = "." in m["right"] or "/" in left or "." in left
        about = m["eq"] == "≈" and off <= 0.05 * abs(scale * value)
        grade = "holds" if about else grade_of(off, step if rounded else 0.0, reach * scale)
        told = place._replace(what=f"'{m[0].strip()}'")
        yield told.finds(grade, "equation", f"it makes {shown(scale * value, step)}", scale * value)


def _products(log: LogText, s: Statement) -> Findings:
    """ "72 generations (6 doses × 4 topics × 3 seeds)", "6 doses × 4 topics, 24 in all"."""
    text = plain(s.text)
    for pattern in (_PRODUCT, _TOTAL_AFTER):
        for m in pattern.finditer(text):
            numbers = [int(f) for f in re.findall(r"\d+", m["factors"])]
            product, total = math.prod(numbers), int(m["total"].replace(",", ""))
            plain_factors = len(numbers) == len(re.split(_TIMES, m["factors"])) and not (
                "=" in m[0] and _EQUATION.search(m[0])
            )
            near = product > 0 and 0.2 < total / product < 5
            if pattern is _TOTAL_AFTER or (near and plain_factors):
                place = in_sentence(s)._replace(what=f"'{m[0].strip()}'")
                yield place.finds(
                    "holds" if product == total else "error", "equation", f"the product is {product}", product
                )


def _evaluate(tokens: list[str], rounded: bool) -> tuple[float, float] | None:
    """A chain of + - × / with the usual precedence, and what the rounding of its decimals (and percentages) can do."""
    numbers = [t for t in tokens if t[0].isdigit() or t[0] == "."]
    signs = [t for t in tokens if t not in numbers]
    if len(signs) != len(numbers) - 1:
        return None

    def value(first: float, *rest: float) -> float:
        terms = [first]
        for sign, x in zip(signs, rest, strict=True):
            if sign in "×x*":
                terms[-1] *= x
            elif sign in "/÷":
                terms[-1] /= x
            else:
                terms.append(x if sign == "+" else -x)
        return math.fsum(terms)

    return over_rounding(
        value, *(Number("number", float(t), step_of(t) if rounded or "." in t else 0.0, t) for t in numbers)
    )


# ---- quantities of one sentence that are made of others in it


class _Made(NamedTuple):
    of: tuple[str, ...]  # how its inputs are called
    called: str
    formula: Callable[..., float]
    words: str
    unless: str = r"(?!)"


_VALUE = r"\s?(?:=|:|of|is|was|at)?\s?(?P<v>-?\d*\.?\d+)\s?(?P<pct>%?)"
_MADE = (
    _Made(
        ("precision", "recall|sensitivity"),
        r"f1(?:[- ]score)?",
        lambda p, r: 2 * p * r / (p + r),
        "2PR / (P + R)",
        "macro|average|micro",
    ),
    _Made(
        ("SD|std|standard deviation", "mean|average|avg|M"),
        "coefficient of variation|CV",
        lambda s, m: s / m,
        "SD / mean",
    ),
)
_AVERAGE = phrase(r"\b(?:average|mean) of (?P<list>[\d.,%\s]+?(?:,? and )[\d.]+)%?\s?(?:is|was|=|:)\s?(?P<v>\d*\.?\d+)")


def _formulas(log: LogText, s: Statement) -> Findings:
    for made in _MADE:
        inputs, said = [_called(key, s.text) for key in made.of], _called(made.called, s.text)
        known = [x for x in inputs if x]
        if said is None or len(known) < len(inputs) or re.search(made.unless, s.text, re.IGNORECASE):
            continue
        scale = 100.0 if said.unit and "CV" in made.called else 1.0
        if result := over_rounding(lambda *x, f=made.formula, c=scale: c * f(*x), *known):
            yield _told(s, made.words, said, *result)
    if m := _AVERAGE.search(s.text):
        texts = [v.strip(".,") for v in re.findall(r"\d*\.?\d+", m["list"])]
        reach = fmean(map(step_of, texts)) / 2 if any("." in v for v in texts) else 0.0
        said = Number("number", float(m["v"]), step_of(m["v"]), m["v"])
        yield _told(s, "the average", said, fmean(map(float, texts)), reach)


def _called(words: str, text: str) -> Number | None:
    m = re.search(rf"\b(?:{words}){_VALUE}", text, re.IGNORECASE)
    return Number("number", float(m["v"]), step_of(m["v"]), m[0], unit=m["pct"]) if m else None


def _told(s: Statement, words: str, said: Number, value: float, reach: float) -> LogFinding:
    grade = grade_of(abs(value - said.value), said.step, reach)
    return in_sentence(s).finds(grade, "derived", f"{words} is {shown(value, said.step)}, not {said.value:g}", value)


FAMILY = Family(
    of_sentences=(_equations, _products, _formulas),
)
