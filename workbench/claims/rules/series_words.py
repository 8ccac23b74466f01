"""Do words fit the series of numbers that they are said of? Used where no rule about one column had anything to check."""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from workbench.claims.log_text import LogText, Statement
from workbench.claims.rounding import Grade
from workbench.claims.rules import extent, order
from workbench.claims.rules.finding import Family, LogFinding, in_sentence
from workbench.claims.rules.number_mentions import Series, measure, own, size, spoken_of
from workbench.claims.rules.row_names import bare, phrase, stems
from workbench.claims.rules.units import sentence_counts

Findings = Iterator[LogFinding]

#: what makes a sentence no plain claim
_HEDGED = phrase(
    r"\bnot\b|n't\b|\bexcept|\balmost\b|\bnearly\b|\bbut\b|\bshould\b|expect|\bwould\b|\bif\b|hypothes|predict|\bwhether\b|\bmight\b",
    r"\bmay\b|\bcould\b|\buntil\b|\bunless\b|other than|apart from|\bmostly\b|\broughly\b|approximate|\babout\b|\bgoal\b|\btarget\b",
    r"\baim|\bwithin\b|\bonly\b|\bup to\b|\?$|\bplan|\bwill\b|\bwant|\bsimilar|\bexclud|\bother\b|\bassum|\bfirst\b|\bhowever\b|\bthough",
)


def _asked_by(*rules: Callable[[LogText, Statement], Findings]) -> Callable[[LogText, Statement], bool]:
    return lambda log, s: any(True for rule in rules for _ in rule(log, s))


# ---- all and none

_ALL = phrase(r"\b(?:all|every|each|any|always|everywhere|throughout)\b")
_AT_ALL = phrase(
    r"\b(?:at|in|for|across|under|on|over|with) (?:all|every|each|any)(?: \w+)? (?P<what>[a-z]+)|^\W*(?:all|every|each) (?P<what2>[a-z]+)"
)
_NONE = phrase(r"\b(?:no|none of the|never|not a single|not one)\b(?P<gap>[^.;,]{0,60})")
_by_rows = _asked_by(extent.all_or_never, extent.quantified, extent.never, extent.everywhere)


def _all_in_words(log: LogText, s: Statement) -> Findings:
    """ "Refusal is 100% at all layers", "No prompt was refused at any dose", against the column."""
    if s.is_heading or not _ALL.search(s.text) or _by_rows(log, s):
        return
    none = _NONE.search(s.text)
    extremes = [x for x in s.numbers if x.kind in ("percent", "count", "number", "mean")]
    said = [x for x in extremes if x.kind == "percent" and x.value in (0.0, 100.0) and not x.bound and not x.signed]
    if len(extremes) != len(said) or len(said) > 1 or (not said and not none):
        return
    if _HEDGED.search(s.text) or (said and none):
        return
    goal = said[0].value if said else 0.0
    for series in spoken_of(log, s):
        named = bool(measure(series.name) & measure(s.text)) and (bool(said) or measure(series.name) <= measure(s.text))
        if not series.rates or (not named and not (said and series.sure)):
            continue
        off = [
            (label, x)
            for label, x in zip(series.labels, series.numbers, strict=True)
            if _misses(x.percent, goal, x.step)
        ]
        scope = _AT_ALL.search(s.text)
        over = stems(scope["what"] or scope["what2"]) if scope else frozenset()
        sure = series.sure and bool(over & stems(series.of))
        listed = ", ".join(f"{x} ({bare(label)})" if label else f"{x}" for label, x in off[:3])
        grade: Grade = "holds" if not off else "error" if sure and named else "weak"
        yield in_sentence(s).finds(
            grade,
            "all or never",
            f"{series.name or 'the list'} has {listed}",
            *(x.percent for _, x in off),
            others=series.lines,
        )


def _misses(value: float, goal: float, step: float) -> bool:
    return abs(value - goal) > step / 2 + 1e-9


# ---- the same

_SAME = phrase(
    r"\bidentical\b|\b(?:exactly|precisely) the same\b|\bthe same (?:results?|values?|counts?|outputs?|scores?|rates?|numbers?)\b"
    r"|(?:is|are|was|were|stays?|remains?) (?:exactly |always )?(?:the same|constant|unchanged)\b"
)
_DETERMINISTIC = phrase(r"\bdeterministic\b|\bbit-?wise|reproduc(?:es|ible) exactly|exactly reproducible")
_NO_DETERMINISTIC = phrase(r"non-?determin|un-?determin|\bset\b|\bflag\b|torch\.|cudnn|algorithm")
_SAME_OTHER = phrase(
    r"\b(?:same|identical) (?:\w+ )?(?:prompts?|questions|model|items|data|set|split|seed|order|setup|settings|hyperparam|template|as)\b"
)
_ACROSS = phrase(
    r"\b(?:across|in|over|at|for|under|with|on|gave|give|from)\b[^.;,]{0,25}?\b(?:runs?|seeds?|repeats?|every|all|each|both|three|two)\b",
    r"\b(?:runs?|seeds?|repeats?|repetitions?)\b[^.;,]{0,20}?\b(?:gave|give|are|were|had|have|show(?:ed)?|agree[ds]?)\b",
)
_by_unchanged = _asked_by(extent.unchanged, extent.identical_runs)


def _same_in_words(log: LogText, s: Statement) -> Findings:
    """ "Results are identical across seeds", "generation is deterministic", against runs or a column."""
    seeded = re.search(r"(?:fixed|given|same|one|a|each|per) (?:random )?seed\b", s.text, re.IGNORECASE)
    determined = not seeded and _DETERMINISTIC.search(s.text) and not _NO_DETERMINISTIC.search(s.text)
    same = _SAME.search(s.text) and not _SAME_OTHER.search(s.text) and _ACROSS.search(s.text)
    if s.is_heading or not (determined or same) or _HEDGED.search(s.text) or _by_unchanged(log, s):
        return
    elsewhere = (own(t) for t in log.of_section(s.section)) if determined else ()
    for series in spoken_of(log, s) or [x for x in elsewhere if x and x.repeated][:1]:
        named = bool(measure(series.name) & measure(s.text))
        repeats = series.repeated or (
            series.of == "" and bool(re.search(r"\bruns?\b|\bseeds?\b", s.text, re.IGNORECASE))
        )
        if not repeats and (determined or not (named or series.name == "")):
            continue
        listed = ", ".join(map(str, series.numbers[:4]))
        grade: Grade = "weak" if series.varies() else "holds"
        grade = "error" if grade == "weak" and same and series.sure and (series.repeated or named) else grade
        yield in_sentence(s).finds(
            grade, "same", f"{series.name or 'they'}: {listed}", *series.values, others=series.lines
        )


# ---- no effect

_UNAFFECTED = phrase(
    r"\b(?:unaffected|independent of|does not (?:affect|depend|change|vary|suffer|matter|influence)|do not (?:affect|depend|change|vary)"
    r"|did not (?:affect|depend|change|vary|suffer|influence)|(?:has|had|have) no (?:effect|influence|impact)|no effect"
    r"|neither \w+ (?:affects|changes|matters|has an effect)|doesn't (?:affect|depend|change|vary)|flat\b|insensitive to|invariant)"
)
_UNLESS = phrase(
    r"\bexcept|\balmost\b|\bnearly\b|\bshould\b|expect|\bwould\b|\bif\b|hypothes|predict|whether|\bmay\b|until|unless|significan|\?$|detectable"
    r"|\bbut\b|code|default|behaviou?r of"
)


def _no_effect_in_words(log: LogText, s: Statement) -> Findings:
    """ "Perplexity is unaffected by the dose", against the column; "does not affect it: 38/40 and 22/40"."""
    if s.is_heading or not _UNAFFECTED.search(s.text) or _UNLESS.search(s.text):
        return
    counts = [c for c in sentence_counts(log, s) if c.where == "cell"]
    if len(counts) == 2 and all(c.k <= c.n for c in counts):
        from workbench.statistics.rates import fisher

        (_, a, n, _), (_, b, m, _) = counts
        p = fisher(a, n, b, m)
        said = f"{a}/{n} and {b}/{m} differ by more than chance (Fisher p = {p:.2g})"
        yield in_sentence(s).finds("weak" if p < 0.05 else "holds", "no difference", said, p)
        return
    if any(True for _ in order.correlation(log, s)):
        return
    for series in spoken_of(log, s, least=3):
        named = bool(measure(series.name) & measure(s.text))
        if series.settings is None or not named or min(series.values) < 0:
            continue
        grade: Grade = "weak" if _goes_one_way(series) else "holds"
        said = f"{series.name} goes from {series.numbers[0]} to {series.numbers[-1]}, in one direction all the way"
        yield in_sentence(s).finds(grade, "correlation in words", said, *series.values, others=series.lines)


def _goes_one_way(series: Series) -> bool:
    """Whether a series rises or falls at every step, and by more than chance can."""
    steps = [b - a for a, b in pairwise(series.values)]
    one_way = all(d > 0 for d in steps) or all(d < 0 for d in steps)
    if all(x.kind == "count" and x.n for x in series.numbers):
        from workbench.statistics.rates import fisher

        first, last = series.numbers[0], series.numbers[-1]
        return one_way and fisher(int(first.value), first.n or 1, int(last.value), last.n or 1) < 0.05
    low, high = min(series.values), max(series.values)
    return one_way and high > 1.25 * low and high - low > 4 * max(x.step for x in series.numbers)


# ---- steady trends

_by_columns = _asked_by(order.monotone)


def _steady_in_words(log: LogText, s: Statement) -> Findings:
    """ "The curve is monotonic: 0.41, 0.55, 0.52", "grows consistently with model size"."""
    m = order.STEADY.search(s.text) or _STEADY_TOO.search(s.text)
    if s.is_heading or not m or order.NOT_STEADY.search(_clause(s.text, m)) or _by_columns(log, s):
        return
    for series in spoken_of(log, s, least=3):
        ordered = series.settings is not None or series.name == ""
        named = series.name == "" or bool(measure(series.name) & measure(s.text))
        if not ordered or not (named or series.sure) or any(x.signed for x in series.numbers):
            continue
        whole = (
            re.search(r"\bmonoton\w+\b", m[0], re.IGNORECASE)
            and not order.FALLS.search(s.text)
            and not _RISES.search(s.text)
        )
        found = [
            order.along(s, series.name or "the list", list(series.numbers), down, steady=True) for down in (False, True)
        ]
        wrong = [f for f in found if f.grade != "holds"]
        if whole:
            yield wrong[0] if len(wrong) == 2 else in_sentence(s).holds("monotone")
        else:
            yield found[bool(order.FALLS.search(m[0]) or order.FALLS.search(s.text))]
        return


_STEADY_TOO = phrase(
    r"\b(?:grow|ris|increas|fall|drop|decreas|improv|declin)\w*\s(?:consistently|steadily|monotonically|uniformly|continuously)"
)
_RISES = phrase(r"increas|\bris(?:e|es|ing)\b|grow|improv|climb|\bup\b")


def _clause(text: str, m: re.Match[str]) -> str:
    return order.clause(text, m.start(), m.end())


# ---- the best

_TOP = (
    r"(?P<what>best|optimal|optimum|strongest|highest|largest|greatest|maximum|maximal|peak|lowest|weakest|smallest"
    r"|minimum|minimal|worst)"
)
_SUPERLATIVE = phrase(
    rf"(?P<label>[A-Za-z]+ -?\d+(?:\.\d+)?) (?:is|was|gives|has|had|gave|shows|performs|works) (?:the )?{_TOP}\b",
    rf"\b{_TOP.replace('what', 'what2')}\b[^.;:,]{{0,50}}?\b(?:at|is|was|in|with|for|by)\s(?:the )?"
    r"(?P<label2>(?:[A-Za-z]+ )?-?\d+(?:\.\d+)?)(?![\d%.]*\d|\s?(?:%|/|of\b|points|to\b|-))",
)
_NO_SUPERLATIVE = phrase(
    r"so far|second|at (?:most|least|best)|possible|one of|tied|among the|validation loss|\bnot\b|n't"
)
_LOW = ("low", "min", "small", "weak")
_by_peak = _asked_by(order.peak)


def _best_in_words(log: LogText, s: Statement) -> Findings:
    """ "Layer 16 is the best layer", "the optimum is layer 16", "strongest at layer 8"."""
    m = _SUPERLATIVE.search(s.text)
    if s.is_heading or not m or _NO_SUPERLATIVE.search(s.text) or _by_peak(log, s):
        return
    word, label = (m["what"] or m["what2"]).lower(), m["label"] or m["label2"]
    value = size(label)
    about = measure(_clause(s.text, m))
    bare_of_rates = Statement(s.text[: m.end()], s.line, s.heading, s.block, s.section, s.source)
    for series in spoken_of(log, bare_of_rates, least=3):
        settings, head = series.settings, re.sub(r"[^a-z]", "", series.of.lower())
        word_before = re.sub(r"[^a-z]", "", label.lower())
        if (
            settings is None
            or value not in settings
            or not series.name
            or (word_before and head and word_before[:4] != head[:4])
        ):
            continue
        if not (series.sure or measure(series.name) & about):
            continue
        mine = series.numbers[settings.index(value)]
        low, high = min(series.values), max(series.values)
        lowest, slack = word.startswith(_LOW), mine.step / 2 + 1e-9
        goals = [low] if lowest else [high]
        if word in ("best", "worst", "optimal", "optimum") and not order.HIGHER_ALL_THE_SAME.search(series.name):
            goals = [low, high]
        fine = any(abs(mine.percent - goal) <= slack for goal in goals)
        best = series.numbers[series.values.index(goals[-1])]
        sure = (
            series.sure
            and bool(measure(series.name) & about)
            and word in ("highest", "largest", "lowest", "smallest", "maximum", "minimum")
        )
        grade: Grade = "holds" if fine else "error" if sure else "weak"
        said = f"{series.name} is {mine} there, and {best} elsewhere"
        yield in_sentence(s).finds(grade, "peak", said, mine.percent, best.percent, others=series.lines)
        return


# ---- within limits

_BETWEEN = phrase(
    r"\b(?:between|from) (?P<low>-?\d+(?:\.\d+)?)\s?(?P<pct>%?) (?:and|to) (?P<high>-?\d+(?:\.\d+)?)\s?(?P<pct2>%?)"
)
_WITHIN = phrase(r"\bwithin (?P<k>\d+(?:\.\d+)?)\s?(?:percentage |% )?(?:points?|pp|%)(?! of)")
_OF_ALL = phrase(r"\b(?:all|every|each|always|throughout|stay(?:s|ed)?|remain(?:s|ed)?)\b")
_by_within = _asked_by(extent.within)
_UNLESS_WITHIN = phrase(
    r"\bnot\b|except|almost|nearly|most\b|\bif\b|should|expect|could|\bCI\b|interval|we (?:vary|varied|swept|sweep)"
)


def _within_in_words(log: LogText, s: Statement) -> Findings:
    """ "All layers stay between 30% and 80%", "within 2 points across layers", "all effects are positive: …"."""
    if s.is_heading or not _OF_ALL.search(s.text) or _UNLESS_WITHIN.search(s.text) or _by_within(log, s):
        return
    between, near, side = _BETWEEN.search(s.text), _WITHIN.search(s.text), extent.SIDE.search(s.text)
    limits = between or near
    rest = s.text if not limits else s.text[: limits.start()] + s.text[limits.end() :]
    told = Statement(rest, s.line, s.heading, s.block, s.section, s.source)
    listed = own(told)
    for series in [listed] if listed else spoken_of(log, told) if between else []:
        cells = list(zip(series.labels, series.numbers, strict=True))
        what = ""
        if between:
            percent = bool(between["pct"] or between["pct2"])
            low, high = float(between["low"]), float(between["high"])
            if percent != series.rates or low >= high:
                continue
            off = [c for c in cells if not low - c[1].step / 2 <= c[1].percent <= high + c[1].step / 2]
            what = f"{len(cells) - len(off)} of {len(cells)} are between {low:g} and {high:g}"
            off = [] if len(off) == len(cells) else off
        elif near and listed:
            apart, k = max(series.values) - min(series.values), float(near["k"])
            off = cells if apart > 2 * k + 1e-9 else []
            what = f"they are {apart:.3g} apart"
        elif side and listed and any(x.signed for x in listed.numbers):
            negative = side["side"].lower() == "negative"
            off = [c for c in cells if c[1].value and (c[1].value > 0) == negative]
            what = f"{len(cells) - len(off)} of {len(cells)} are {side['side'].lower()}"
        else:
            continue
        named = ", ".join(f"{x} ({bare(label)})" if label else f"{x}" for label, x in off[:3])
        yield in_sentence(s).finds("weak" if off else "holds", "within", f"{what}: {named}", others=series.lines)
        return


FAMILY = Family(
    of_sentences=(
        _all_in_words,
        _same_in_words,
        _no_effect_in_words,
        _steady_in_words,
        _best_in_words,
        _within_in_words,
    ),
)
