"""Does a change follow from the two numbers it is the change of, in a sentence? Points, percent, ratios."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogText, Statement
from workbench.claims.rounding import Grade, grade_of
from workbench.claims.rules.finding import Family, LogFinding, Place, in_sentence, mildest
from workbench.claims.rules.row_names import phrase

Findings = Iterator[LogFinding]

_FROM_TO = phrase(r"→|->|➔|⟶|=>|\bfrom\b.*\bto\b|\bto\b|\bvs\.?\b|\bversus\b|\bagainst\b|\bcompared (?:to|with)\b")
_GROWTH = phrase(
    r"\b(?:increas|improv|gain|rise|rising|rose\b|higher|more\b|boost|grow|grew|(?:up)?lift|better|faster|decreas|reduc|drop|fall|fell\b)",
    r"\b(?:lower|less\b|declin|loss|slower|fewer|cut(?:s|ting)?\b)|\b(?:speed-?)?up\b|\b(?:slow-?)?down\b",
)
_CALLED_CHANGE = phrase(r"difference|\bdiff\b|change|Δ|delta|gap\b")
_RELATIVE = phrase(
    r"relative|percent (?:increase|decrease|improvement)|% (?:relative|increase|decrease|reduction)|(?:increase|decrease|reduction) of \d"
)
_MULTIPLE = phrase(
    r"\b(double|triple|halve|doubled|doubles|tripled|triples|quadrupled|halved|halves|twofold|threefold|fourfold|fivefold|tenfold)\b"
)
_MULTIPLES = {
    "double": 2.0,
    "triple": 3.0,
    "halve": 0.5,
    "doubled": 2.0,
    "doubles": 2.0,
    "tripled": 3.0,
    "triples": 3.0,
    "quadrupled": 4.0,
    "halved": 0.5,
    "halves": 0.5,
    "twofold": 2.0,
    "threefold": 3.0,
    "fourfold": 4.0,
    "fivefold": 5.0,
    "tenfold": 10.0,
}
#: a percentage that is no change
_OTHER_SHARE = phrase(r"\b(?:power|confidence|probability|chance|level|credib\w+)\b")
#: what stands between a pair and a number of something else: ", on harmless prompts", ", harmless refusal by"
_OTHER_SUBJECT = phrase(
    r"[,;]\s(?:and\s|but\s|while\s)?(?:on|in|at|with)\s(?!average|total|all\b|an?\b|the (?:differ|gain|change|incr|decr|drop))[a-z]",
    r"[,;]\s(?:and\s|but\s|while\s)?(?:[a-z-]+\s)*(?:refusals?|compliance|accuracy|coherence|perplexity|margins?|rates?|scores?)\sby\s$",
)
_RESULTS = ("percent", "number", "mean", "count", "auc")


@dataclass(frozen=True)
class _Pair:
    """Two numbers of a sentence that are a change: from x to y.

    Attributes:
        reach: what the rounding of both can do to their difference.
        rates: both are percentages or counts.
        ordered: it is said which one was first; else either may be the base.
    """

    x: float
    y: float
    reach: float
    rates: bool
    ordered: bool

    @property
    def difference(self) -> float:
        return self.y - self.x

    @property
    def relative(self) -> float:
        return 100 * (self.y - self.x) / self.x if self.x else math.inf

    @property
    def relative_reach(self) -> float:
        return 100 * self.reach / abs(self.x) * (1 + abs(self.y / self.x)) if self.x else 0.0


def _changes(log: LogText, s: Statement) -> Findings:
    """ "75% → 85% (+10%)", "from 40 to 50, a 25% increase", "a 2x gain (10 → 20)"."""
    numbers = _results(s)
    told: set[int] = set()  # changes of an earlier pair
    for k, (a, b) in enumerate(pairwise(numbers)):
        pair = _pair(s.text, a, b)
        if pair is None:
            continue
        if len(numbers) <= 3:
            yield from _multiple(s, pair, a, b)
        before = () if _goes_on(s.text, *numbers[k + 1 : k + 3]) else numbers[max(0, k - 1) : k]
        behind = [] if _opens_next(s.text, *numbers[k + 2 : k + 5]) else numbers[k + 2 : k + 3]
        opened = before and _stands_right_ahead(s.text, before[0], a)
        beside = [c for c in (before if opened else (*behind, *before)) if c.start not in told]
        beside = [c for c in beside if not _is_end(s.text, numbers, c)]
        if c := next((c for c in beside if _is_change(s.text, a, b, c)), None):
            told.add(c.start)
            words = s.text[max(0, min(c.start, a.start) - 30) : max(c.end, b.end) + 30]
            yield from _judge(in_sentence(s), c, pair, words)


def _goes_on(text: str, b: Number, then: Number | None = None) -> bool:
    """Whether a pair has more ends than one: "by 12 and 31 points (from 25% to 37% and 56%)"."""
    return (
        then is not None
        and then.kind == b.kind
        and bool(re.fullmatch(r"%?\s?(?:,|and|or|, and)\s?", text[b.end : then.start]))
    )


def _stands_right_ahead(text: str, c: Number, a: Number) -> bool:
    """Whether a change opens the pair that begins with a number: "by 25 points from 62.5% to 87.5%"."""
    return bool(re.fullmatch(r"[\s,(]*(?:(?:going|rising|falling|up|down)\s)?from\s", text[c.end : a.start]))


def _opens_next(text: str, c: Number | None = None, a: Number | None = None, b: Number | None = None) -> bool:
    """Whether the number behind a pair is the change of the next pair: "…, harmless refusal by 3.3 points from 6.7% to 10.0%"."""
    return bool(c and a and b and _stands_right_ahead(text, c, a) and _pair(text, a, b))


#: behind these a number in "to 40%" is a change all the same
_AMOUNTS = re.compile(
    r"\b(?:amount(?:s|ed|ing)?|come|comes|came|equals?|equal|corresponds?|adds up|close|up) to\s$", re.IGNORECASE
)
_VERSUS = re.compile(r"\s?,?\s?(?:vs\.?|versus|against|compared (?:to|with))\s?", re.IGNORECASE)
_ENDS = re.compile(r"\bto\s(?:about |around |only |just )?$", re.IGNORECASE)


def _is_end(text: str, numbers: Sequence[Number], c: Number) -> bool:
    """Whether a number is where something begins or ends, "from 62.5% to 87.5%", "to 87.5%", and so no change of anything."""
    before = text[max(0, c.start - 20) : c.start]
    if not c.signed and _ENDS.search(before) and not _AMOUNTS.search(before):
        return True
    for a, b in pairwise(numbers):
        if c in (a, b) and _pair(text, a, b) and (_is_from_to(text, a, b) or _VERSUS.fullmatch(text[a.end : b.start])):
            return True
    return False


def _results(s: Statement) -> list[Number]:
    """The results and changes of a sentence; of a count and its percentage only the count."""
    counted = {x.start for x in s.numbers if x.kind == "count"}
    numbers = [x for x in s.numbers if x.kind in (*_RESULTS, "points", "times")]
    return [x for x in numbers if not (x.kind == "percent" and x.successes is not None and x.start in counted)]


_THAT_IS = re.compile(
    r"\W*(?:That|This) (?:is|was|makes|gives|means|amounts to|corresponds to)\b[^.;,\d]{0,40}$", re.IGNORECASE
)
_OF_ANOTHER = phrase(
    r"\bthan\b|compared|report|above|below|beyond|\bover\b|control|random|within|\bper\b|\bnot\b|averag|mean\b"
)


def _in_the_next_sentence(log: LogText) -> Findings:
    """ "Refusal goes from 55.0% to 91.7%. That is a gain of 36.7 points": the only pair of the sentence before."""
    for block in log.blocks():
        for first, second in pairwise(block):
            c = second.numbers[0] if second.numbers else None
            if not c or c.kind != "points" or c.bound or not _THAT_IS.match(second.text[: c.start]):
                continue
            pairs = [(_pair(first.text, a, b), a, b) for a, b in pairwise(_results(first))]
            found = [(pair, a, b) for pair, a, b in pairs if pair and pair.rates and _is_from_to(first.text, a, b)]
            if len(found) == 1 and not _OF_ANOTHER.search(second.text) and len(second.numbers) <= 2:
                yield _points(in_sentence(second)._replace(line=c.line), c, found[0][0])


_GAP = phrase(r"\b(?:difference|gap|gain|lift|improvement|increase|reduction|drop)\b(?: of| is| was|:| =)?\s*$")


def _gap_of_two(log: LogText, s: Statement) -> Findings:
    """ "Arm A 18/63 (28.6%), arm B 9/61 (14.8%), difference 13.8 points": a sentence of two rates and the points between them."""
    rates = [x for x in s.numbers if x.kind in ("percent", "count")]
    counted = {x.start for x in rates if x.kind == "count"}
    rates = [x for x in rates if x.kind == "count" or x.start not in counted]
    points = [x for x in s.numbers if x.kind == "points"]
    if len(rates) != 2 or len(points) != 1 or any(x.bound or x.signed for x in rates):
        return
    (a, b), c = rates, points[0]
    if _GAP.search(s.text[: c.start]) and not _pair(s.text, a, b) and c.start > b.end:
        pair = _Pair(a.percent, b.percent, sum(x.step for x in rates if x.kind != "count") / 2, True, False)
        yield _points(in_sentence(s)._replace(line=c.line), c, pair)


def _pair(text: str, a: Number, b: Number) -> _Pair | None:
    between = text[a.end : b.start]
    joined = _FROM_TO.search(between) and len(between) < 40 and not re.search(r"[;.]\s", between)
    exact = not (a.bound or b.bound or a.signed or b.signed)
    rates = {a.kind, b.kind} <= {"percent", "count"}
    if (
        not joined
        or not exact
        or not {a.kind, b.kind} <= set(_RESULTS)
        or (not rates and "percent" in (a.kind, b.kind))
    ):
        return None
    reach = sum(x.step for x in (a, b) if x.kind != "count") / 2
    return _Pair(a.percent, b.percent, reach, rates, _is_from_to(text, a, b) or " to " in between)


def _is_from_to(text: str, a: Number, b: Number) -> bool:
    between, before = text[a.end : b.start], text[max(0, a.start - 8) : a.start]
    return "→" in between or "->" in between or bool(re.search(r"\bfrom\s*$", before, re.IGNORECASE))


def _multiple(s: Statement, pair: _Pair, a: Number, b: Number) -> Findings:
    word = _MULTIPLE.search(s.text)
    if word and _is_from_to(s.text, a, b):
        ratio, goal = pair.y / pair.x if pair.x else math.inf, _MULTIPLES[word[1].lower()]
        said = f"{pair.x:g} to {pair.y:g} is {ratio:.2f} times, not {word[1]}"
        yield in_sentence(s).finds("holds" if 0.8 * goal <= ratio <= 1.25 * goal else "weak", "difference", said, ratio)


def _is_change(text: str, a: Number, b: Number, c: Number) -> bool:
    """Whether a number that stands beside a pair is said to be its change."""
    gap = text[b.end : c.start] if c.start >= b.end else text[c.end : a.start]
    behind = text[c.end : c.end + 22]
    setting = re.search(r"(?:\bat|coef\w*|strength|dose|[α-ω])\s?=?\s?$", text[: c.start], re.IGNORECASE)
    if (
        len(gap) > 32
        or setting
        or _OTHER_SHARE.search(gap)
        or _OTHER_SUBJECT.search(gap)
        or (c.bound == "~" and c.kind != "times")
    ):
        return False
    called = bool(_CALLED_CHANGE.search(gap + behind[:16]))
    if c.kind == "number" and not c.signed:
        return called and bool(re.search(r"differ|diff|gap|change", gap, re.IGNORECASE))
    grown = c.kind == "percent" and (_GROWTH.search(behind) or re.search(r"\b(?:by|of|an?)\s*$", text[: c.start][-5:]))
    return c.kind in ("points", "times") or c.signed or called or bool(grown)


def _judge(place: Place, c: Number, pair: _Pair, words: str) -> Findings:
    if c.kind == "times":
        yield _ratio(place, c, pair)
    elif c.kind == "points" or (c.kind == "number" and not pair.rates):
        yield _points(place, c, pair)
    elif c.kind in ("percent", "number"):
        yield from _percent(place, c, pair, words)


def _off(c: Number, value: float) -> float:
    """How far a printed change is from a value; its direction counts where it is printed with a sign, both ways round."""
    return min(abs(value - c.value), abs(-value - c.value)) if c.signed else abs(abs(value) - abs(c.value))


def _ratio(place: Place, c: Number, pair: _Pair) -> LogFinding:
    x, y = pair.x, pair.y
    ratios = [y / x if x else math.inf, x / y if y else math.inf, (y - x) / x if x else math.inf]
    best = min(ratios, key=lambda r: abs(r - c.value))
    step = max(c.step, 0.1 * c.value) if c.bound == "~" else c.step
    grade = grade_of(abs(best - c.value), step, pair.relative_reach / 100)
    return place.finds(grade, "difference", f"{x:g} to {y:g} is {best:.3g} times, not {c}", best)


def _points(place: Place, c: Number, pair: _Pair) -> LogFinding:
    grade = grade_of(_off(c, pair.difference), c.step, pair.reach)
    by_percent = grade_of(_off(c, pair.relative), c.step, pair.relative_reach)
    made = f"{pair.x:g} to {pair.y:g} is"
    if c.kind == "points" and grade == "error" and by_percent != "error":
        said = f"{made} {pair.difference:+.3g} points; {c} is the change in percent"
        return place.finds("error", "points or percent", said, pair.difference)
    return place.finds(grade, "difference", f"{made} {pair.difference:+.4g}, not {c}", pair.difference)


def _percent(place: Place, c: Number, pair: _Pair, words: str) -> Findings:
    """A change in percent: of the first number, of either where none is said to be first; of rates it may be points."""
    by_percent = _grade_of_percent(c, pair)
    if not pair.rates:
        said = f"{pair.x:g} to {pair.y:g} is {pair.relative:+.3g}%, not {c}"
        yield place.finds(by_percent, "difference", said, pair.relative)
        return
    by_points = grade_of(_off(c, pair.difference), c.step, pair.reach)
    made = f"{pair.x:g}% to {pair.y:g}% is"
    if by_percent == "holds" and pair.difference:
        yield place.holds("difference")
    elif by_points != "error":
        grade: Grade = "weak" if pair.difference and _RELATIVE.search(words) else "note"
        said = f"{made} {pair.difference:+.3g} percentage points, or {pair.relative:+.3g}%: {c} leaves open which"
        yield place.finds(grade, "points or percent", said, pair.difference, pair.relative)
        if by_points == "slip":
            said = f"{pair.x:g} to {pair.y:g} is {pair.difference:+.4g}, not {c}"
            yield place.finds("slip", "difference", said, pair.difference)
    else:
        relatives = [pair.relative, *([] if pair.ordered or not pair.y else [100 * (pair.x - pair.y) / pair.y])]
        nearest = min(relatives, key=lambda change: _off(c, change))
        said = f"{made} {pair.difference:+.3g} points or {nearest:+.3g}%, not {c}"
        yield place.finds(mildest(by_percent, by_points), "difference", said, pair.difference, nearest)


def _grade_of_percent(c: Number, pair: _Pair) -> Grade:
    off, said = _off(c, pair.relative), abs(c.value)
    grade = grade_of(off, c.step, pair.relative_reach)
    if not pair.ordered and pair.y:  # "5 against 4, a reduction of 20%": either may be the base
        other = _off(c, 100 * (pair.x - pair.y) / pair.y)
        grade = mildest(grade, grade_of(other, c.step, pair.relative_reach))
        if grade == "error" and min(off, other) < 0.15 * said:
            return "weak"  # it may be adjusted for something
    coarse = pair.reach >= 1 and off > max(3.0, 0.2 * abs(pair.relative))
    return (
        "weak" if grade in ("holds", "slip") and coarse else grade
    )  # right only if whole numbers are far from what they round


# ---- three items of a list

_CHANGE_ITEM = re.compile(
    r"\W*(?:absolute |relative )?(difference|gap|drop|change|delta|Δ|improvement|gain|increase|decrease|reduction|ratio|speed-?up)\b"
    r"(?: \w+){0,3}\s?(?:\([^)]*\))?\s?[:=]",
    re.IGNORECASE,
)


def _items(log: LogText) -> Findings:
    """ "A: 88.6%. B: 16.7%. Difference: +71.9 pp", over three items of one list."""
    for block in log.blocks():
        for first, second, third in zip(block, block[1:], block[2:], strict=False):
            m = _CHANGE_ITEM.match(third.text)
            if not m or any(len(s.numbers) != 1 for s in (first, second, third)):
                continue
            a, b, c = first.numbers[0], second.numbers[0], third.numbers[0]
            if a.kind == b.kind and a.kind in ("percent", "number", "count") and not (a.bound or b.bound or c.bound):
                yield _third_item(in_sentence(third), a, b, c, m[1].lower().startswith(("ratio", "speed")))


def _third_item(place: Place, a: Number, b: Number, c: Number, is_ratio: bool) -> LogFinding:
    x, y = a.percent, b.percent
    if is_ratio:
        best = min((p / q if q else math.inf for p, q in ((x, y), (y, x))), key=lambda r: abs(r - c.value))
        reach = (a.step / 2 + b.step / 2 * abs(x / y)) / abs(y) if y else 0.0
        grade = grade_of(abs(best - c.value), c.step, reach * max(1.0, best))
        return place.finds(grade, "difference", f"{a} and {b} have the ratio {best:.3g}", best)
    difference = abs(x - y)
    grade = grade_of(abs(difference - abs(c.value)), c.step, (a.step + b.step) / 2)
    relatives = [100 * difference / abs(v) for v in (x, y) if v and c.kind == "percent"]
    if any(abs(r - abs(c.value)) <= c.step for r in relatives):
        grade = "holds"
    return place.finds(
        grade, "difference", f"{a} and {b} differ by {difference:.4g}", difference, others=(a.line, b.line)
    )


FAMILY = Family(
    of_sentences=(_changes, _gap_of_two),
    of_logs=(_items, _in_the_next_sentence),
)
