"""Do the numbers of one sentence fit one another by what they are called? Ratios, errors, statistics, confusion counts."""

import math
import re
from collections.abc import Callable, Iterator

from workbench.claims.log_numbers import Number, step_of
from workbench.claims.log_text import LogText, Statement
from workbench.claims.recomputations import p_of_changes, span_of_p
from workbench.claims.rounding import Grade, grade_of, grade_within, shown
from workbench.claims.rules.finding import Family, LogFinding, in_sentence
from workbench.claims.rules.row_names import phrase
from workbench.claims.rules.units import RATE, Count, sentence_counts

Findings = Iterator[LogFinding]
_NUMBER = r"-?\d*\.?\d+"


def _named(words: str, text: str) -> Number | None:
    """The number that stands behind its name, "SE = 0.02"."""
    m = re.search(
        rf"(?<![\w-])(?:{words})\s?(?:\(\w+\))?\s?(?:=|:|of|was|is)?\s?(?P<v>{_NUMBER})(?P<pct>\s?%)?(?![\d/])", text
    )
    if not m:
        return None
    digits = m["v"].partition(".")[2]
    return Number("number", float(m["v"]), 10.0 ** -len(digits), m[0], m.start(), m.end(), unit="%" if m["pct"] else "")


def _counts(log: LogText, s: Statement) -> list[Count]:
    return [c for c in sentence_counts(log, s) if c.where == "cell" and c.number.kind == "count" and c.k <= c.n]


# ---- ratios of two counts

_RISK = phrase(r"\b(?:risk ratio|relative risk|rate ratio)\b|\bRR\b")
_ODDS = phrase(r"\bodds ratio\b")
_ADJUSTED = phrase(r"adjust|regress|mantel|model|pooled|meta|condition")


def _ratios(log: LogText, s: Statement) -> Findings:
    """A risk or odds ratio beside the two counts it is of."""
    counts = _counts(log, s)
    kind = "risk" if _RISK.search(s.text) else "odds" if _ODDS.search(s.text) or re.search(r"\bOR\b", s.text) else ""
    words = r"[Rr]isk ratio|[Rr]elative risk|[Rr]ate ratio|RR" if kind == "risk" else r"[Oo]dds ratio|OR"
    said = _named(words, s.text) if kind else None
    if said is None or len(counts) != 2 or _ADJUSTED.search(s.text) or said.value <= 0:
        return
    (_, a, n, _), (_, b, m, _) = counts
    sides = [(a / n, b / m)] if kind == "risk" else [(a * (m - b), b * (n - a))]
    values = [v for x, y in sides if x and y for v in (x / y, y / x)]
    if values:
        best = min(values, key=lambda v: abs(v - said.value))
        grade = grade_of(abs(best - said.value), said.step)
        corrected = [(a + 0.5) * (m - b + 0.5) / ((b + 0.5) * (n - a + 0.5))] if kind == "odds" else []
        if grade == "error" and any(abs(math.log(said.value / v)) < 0.2 for v in (*values, *corrected)):
            grade = "weak"
        if kind == "odds" and abs(math.log(best / said.value)) < 0.1:
            grade = "holds"  # a conditional estimate is a little smaller
        yield in_sentence(s).finds(
            grade, "derived", f"the {kind} ratio of {a}/{n} and {b}/{m} is {best:.3g}, not {said.text}", best
        )


# ---- standard errors of a rate


def _standard_errors(log: LogText, s: Statement) -> Findings:
    """ "16/20 = 0.80, SE = 0.02"; "85% ± 2.1% (SE, n = 40)"."""
    counts = _counts(log, s)
    if not RATE.search(s.text) or re.search(r"\bseeds?\b|\bruns?\b|\bfolds?\b|bootstrap|cluster", s.text):
        return
    spread = [x for x in s.numbers if x.kind == "mean" and x.spread_kind == "SE" and x.unit == "%"]
    ns = {int(x.value) for x in s.numbers if x.kind == "n"}
    if len(spread) == len(ns) == 1 and 0 < spread[0].value < 100:
        x, n = spread[0], ns.pop()
        yield _standard_error(s, x.value / 100, n, x.spread or 0.0, x.spread_step, 100.0)
    said = _named(r"SE|SEM|[Ss]tandard error", s.text)
    shares = [x for x in s.numbers if x.kind == "mean" and x.spread_kind == "SE" and 0 < x.value < 1 and x.step < 0.1]
    if len(shares) == len(ns) == 1 and not spread and not counts:
        x = shares[0]
        yield _standard_error(s, x.value, ns.pop(), x.spread or 0.0, x.spread_step, 1.0)
    elif said and len(counts) == 1 and 0 < counts[0].k < counts[0].n and not spread:
        yield _standard_error(
            s, counts[0].rate, counts[0].n, said.value, said.step, 100.0 if said.unit or said.value >= 1 else 1.0
        )


def _standard_error(s: Statement, p: float, n: int, said: float, step: float, scale: float) -> LogFinding:
    true = scale * math.sqrt(p * (1 - p) / n)
    other = scale * math.sqrt(p * (1 - p) / max(n - 1, 1))
    off = min(abs(true - said), abs(other - said))
    grade: Grade = "holds" if off <= step or n < 5 else "error" if off > 0.3 * true else "weak"
    return in_sentence(s).finds(
        grade, "interval", f"a rate of {100 * p:.3g}% of {n} has the SE {shown(true, step)}, not {said:g}", true
    )


def _se_of_mean(log: LogText, s: Statement) -> Findings:
    """ "SD = 1.20, n = 64, SE = 0.15": SD / √n."""
    sd, se = (_named(words, s.text) for words in (r"SD|[Ss]tandard deviation", r"SEM?|[Ss]tandard error"))
    ns = {int(x.value) for x in s.numbers if x.kind == "n"}
    one = all(len(re.findall(rf"(?<![\w-]){w}\b", s.text)) == 1 for w in ("SD", "SEM?"))
    if sd and se and len(ns) == 1 and one and min(ns) > 1 and sd.value > 0 and sd.unit == se.unit:
        n = ns.pop()
        true = sd.value / math.sqrt(n)
        grade = grade_of(abs(true - se.value), se.step, sd.step / 2 / math.sqrt(n))
        clustered = re.search(r"cluster|bootstrap|adjust|robust|seeds?\b|raters?\b|paired", s.text, re.IGNORECASE)
        said = f"SD {sd.value:g} of {n} gives the SE {shown(true, se.step)}, not {se.value:g}"
        yield in_sentence(s).finds("weak" if grade == "error" and clustered else grade, "sd limit", said, true)


_OBSERVED = r"(?:[Oo]bserved|[Rr]aw|[Pp]ercent) agreement|p_?o|P_?o"
_EXPECTED = r"(?:[Ee]xpected|[Cc]hance) agreement|[Ee]xpected|p_?e|P_?e"


def _kappa_of_agreements(log: LogText, s: Statement) -> Findings:
    """ "Observed agreement 0.86, expected 0.52, κ = 0.71": κ = (po - pe) / (1 - pe)."""
    observed, expected = _named(_OBSERVED, s.text), _named(_EXPECTED, s.text)
    kappas = [x for x in s.numbers if x.kind == "kappa"]
    if not observed or not expected or len(kappas) != 1 or "weighted" in s.text:
        return
    po, pe = (x.value / (100 if x.unit or x.value > 1 else 1) for x in (observed, expected))
    half = [x.step / 2 / (100 if x.unit or x.value > 1 else 1) for x in (observed, expected)]
    if 0 < pe < 1 and 0 <= po <= 1:
        true, reach = (po - pe) / (1 - pe), (half[0] + half[1] * (1 - po) / (1 - pe)) / (1 - pe)
        grade = grade_of(abs(true - kappas[0].value), kappas[0].step, reach)
        said = f"agreements of {po:g} and {pe:g} by chance give κ = {shown(true, kappas[0].step)}, not {kappas[0]}"
        yield in_sentence(s).finds(grade, "kappa", said, true)


_SPEED = re.compile(
    r"(?<![\w.,])(?P<k>\d[\d,]*(?:\.\d+)?) (?P<what>[a-z]{3,})s? in (?P<t>\d+(?:\.\d+)?) ?(?P<unit>s|seconds?|min|minutes?|h|hours?)\b"
    r"[^.;\d]{0,25}?\(?(?P<v>\d[\d,]*(?:\.\d+)?) ?(?P=what)s? ?(?:/|per) ?(?P<unit2>s|seconds?|min|minutes?|h|hours?)\b"
)


def _speed(log: LogText, s: Statement) -> Findings:
    """ "1,200 tokens in 40 s (30 tokens/s)"."""
    for m in _SPEED.finditer(s.text):
        if m["unit"][0] == m["unit2"][0] and float(m["t"]) > 0:
            k, t, v = (float(m[g].replace(",", "")) for g in ("k", "t", "v"))
            reach = step_of(m["t"]) / 2 * k / t**2
            said = (
                f"{m['k']} in {m['t']} {m['unit']} are {shown(k / t, step_of(m['v']))} per {m['unit2']}, not {m['v']}"
            )
            yield in_sentence(s).finds(grade_of(abs(k / t - v), step_of(m["v"]), reach), "derived", said, k / t)


# ---- intervals and p-values against what is called significant

_RATIO_SCALE = re.compile(
    r"\b(?:OR|RR|HR|[Oo]dds ratio|[Rr]isk ratio|[Hh]azard ratio|[Rr]ate ratio|[Rr]elative risk)\b"
)
_DIFFERENCE = phrase(
    r"\b(?:differen\w*|change|effect|slope|coefficient|β|gain|increase|decrease|reduction|improvement)\b"
)
_SIGNIFICANT = phrase(r"(?<!not )(?<!non-)(?<!no )\bsignifican(?:t|tly)\b")
_NOT_SO = phrase(r"\bnot\b|\bno\b|n't|non-?sig|one-?sided|one-?tailed|insignific")


def _interval_and_p(log: LogText, s: Statement) -> Findings:
    """An interval of a difference or ratio that holds 0 or 1, beside a p-value or "significant", and the reverse."""
    intervals = [
        x
        for x in s.numbers
        if x.low is not None and x.high is not None and (x.unit.startswith("CI") or x.kind != "range")
    ]
    ps = [x for x in s.numbers if x.kind == "p"]
    if len(intervals) != 1 or len(ps) > 1 or re.search(r"one-?(?:sided|tailed)", s.text, re.IGNORECASE):
        return
    x = intervals[0]
    low, high = sorted((x.low or 0.0, x.high or 0.0))
    ratio = bool(_RATIO_SCALE.search(s.text))
    if (
        (not ratio and not (_DIFFERENCE.search(s.text) or low < 0))
        or (not ratio and x.kind in ("count",))
        or x.level != 95
    ):
        return
    null, slack = (1.0 if ratio else 0.0), x.limits_step / 2
    holds_null, apart = low + slack < null < high - slack, null < low - slack or null > high + slack
    place = in_sentence(s)
    if ps:
        p = ps[0]
        wrong = (holds_null and p.value < 0.04 and p.bound != ">") or (apart and p.value > 0.06 and p.bound != "<")
        held = "holds" if holds_null else "does not hold"
        grade: Grade = "error" if p.value < 0.025 or p.value > 0.1 else "weak"
        yield place.finds(
            grade if wrong else "holds",
            "significance",
            f"the 95% interval {low:g} to {high:g} {held} {null:g}, and {p}",
        )
    elif _SIGNIFICANT.search(s.text) and not _NOT_SO.search(s.text):
        yield place.finds(
            "weak" if holds_null else "holds",
            "significance",
            f"called significant, and {low:g} to {high:g} holds {null:g}",
        )


# ---- statistics of one another

_R2 = r"(?:R²|R\^2|R2|r²|r\^2|r2)"


def _statistics(log: LogText, s: Statement) -> Findings:
    """r and R², β and its SE and t, χ² = 2.7 with df = 1 and its p, κ and agreement, a reliability above 1."""
    place = in_sentence(s)
    rs, square = [x for x in s.numbers if x.kind == "r" and x.text.startswith("r")], _named(_R2, s.text)
    if (
        len(rs) == 1
        and square
        and abs(rs[0].value) <= 1
        and not re.search(r"adjust|multiple|partial", s.text, re.IGNORECASE)
    ):
        true, reach = rs[0].value ** 2, abs(rs[0].value) * rs[0].step
        grade = grade_of(abs(true - square.value), square.step, reach)
        yield place.finds(grade, "derived", f"{rs[0]} has r² = {shown(true, square.step)}, not {square.text}", true)
    slope, error, t = (
        _named(w, s.text) for w in (r"β|[Bb]eta|b|B|slope|coefficient|estimate", r"SE|s\.e\.|[Ss]tandard error", r"t|z")
    )
    if slope and error and t and error.value > error.step / 2 and slope.start < error.start < t.start:
        low = (abs(slope.value) - slope.step / 2) / (error.value + error.step / 2)
        high = (abs(slope.value) + slope.step / 2) / (error.value - error.step / 2)
        off = max(low - abs(t.value), abs(t.value) - high, 0.0)
        true = abs(slope.value / error.value)
        yield place.finds(
            grade_of(off, t.step), "derived", f"{slope.text} and {error.text} make {true:.3g}, not {t.text}", true
        )
    yield from _chi_square(s)
    kappas = [x for x in s.numbers if x.kind == "kappa"]
    agreed = [x for x in s.numbers if x.kind == "percent" and not x.bound]
    if (
        len(kappas) == len(agreed) == 1
        and re.search(r"\bagree(?:d|ment)?\b", s.text, re.IGNORECASE)
        and "weighted" not in s.text
    ):
        over = kappas[0].value - kappas[0].step / 2 > (agreed[0].value + agreed[0].step / 2) / 100
        said = f"{kappas[0]} is above the agreement of {agreed[0]}, which no κ is"
        yield place.finds("error" if over else "holds", "kappa", said, kappas[0].value)
    alpha = re.search(rf"\bCronbach|\breliability\b.{{0,30}}(?:α|alpha)\s?=\s?{_NUMBER}", s.text)
    value = _named("α|alpha|[Cc]ronbach'?s? α|[Cc]ronbach'?s? alpha", s.text) if alpha else None
    if value:
        yield place.finds("error" if value.value > 1 else "holds", "range", f"{value.text}: a reliability is at most 1")


def _chi_square(s: Statement) -> Findings:
    value, df = _named(r"χ²|χ2|[Cc]hi-?squared?|[Cc]hi2|X²", s.text), _named(r"df|d\.f\.", s.text)
    ps = [x for x in s.numbers if x.kind == "p"]
    if value and df and df.step >= 1 and df.value >= 1 and len(ps) == 1 and value.value >= 0:
        span = span_of_p("chi2", value.value, value.step, (df.value,))
        said = f"{value.text} with df = {df.value:g} has p = {span.value:.3g}, not {ps[0]}"
        yield in_sentence(s).finds(grade_within(span.low, span.high, ps[0]), "p of a statistic", said, span.value)


# ---- confusion counts

_OF_CELLS = (
    ("precision", r"[Pp]recision|PPV", lambda tp, fp, fn, tn: _over(tp, tp + fp)),
    ("recall", r"[Rr]ecall|[Ss]ensitivity|TPR", lambda tp, fp, fn, tn: _over(tp, tp + fn)),
    ("specificity", r"[Ss]pecificity|TNR", lambda tp, fp, fn, tn: _over(tn, tn + fp)),
    ("accuracy", r"[Aa]ccuracy", lambda tp, fp, fn, tn: _over(tp + tn, tp + fp + fn + tn)),
    ("F1", r"F1(?:[- ]score)?", lambda tp, fp, fn, tn: _over(2 * tp, 2 * tp + fp + fn)),
)


def metrics_said(s: Statement) -> Iterator[tuple[str, Number, Callable[..., float]]]:
    """The accuracy, precision, recall, specificity or F1 that a sentence gives: its name, its number, its formula."""
    for called, words, formula in _OF_CELLS:
        if said := _named(words, s.text):
            yield called, said, formula


_READING = re.compile(r"\s?(?:mm|cm|m|x|×|°|pts?|points?|m?s)\b|×|°")


def _metrics_in_range(log: LogText, s: Statement) -> Findings:
    """ "F1 = 1.07": such a metric is at most 1; what is far above is in percent."""
    for called, said, _ in metrics_said(s):
        share = called != "precision" and not said.unit and said.step < 1 and said.value < 1.5
        if share and not _READING.match(s.text[said.end :]):
            grade: Grade = "error" if said.value > 1 else "holds"
            yield in_sentence(s).finds(grade, "range", f"{said.text}: it is between 0 and 1", said.value)


def _over(a: float, b: float) -> float:
    return a / b if b else math.nan


def _confusion_counts(log: LogText, s: Statement) -> Findings:
    """ "TP = 40, FP = 10, FN = 8, TN = 42; precision 80%, recall 83.3%"."""
    cells = [_named(w, s.text) for w in ("TP", "FP", "FN", "TN")]
    if any(x is None or x.step < 1 for x in cells[:3]):
        return
    values = [x.value if x else math.nan for x in cells]
    for called, said, formula in metrics_said(s) if any(v > 0 for v in values[:3]) else ():
        true = formula(*values) * (100 if said.unit or said.value > 1 else 1)
        if math.isfinite(true):
            grade = grade_of(abs(true - said.value), said.step)
            yield in_sentence(s).finds(
                grade, "confusion", f"the counts give a {called} of {shown(true, said.step)}, not {said.text}", true
            )


# ---- paired changes

_CHANGED = re.compile(
    r"(?P<k>\d+)(?: of (?:the )?(?P<n>\d+))?(?: \w+)?(?: were| have)? (?:changed|switched|flipped|went|moved)(?! back)\b.*?"
    r"(?P<m>\d+)(?: of (?:the )?\d+)?(?: \w+)? (?:changed|switched|flipped|went|moved) (?:back|the other way)"
    r"|(?<!/)\b(?P<k2>\d+)\b(?: [a-z]+){0,4} only (?:with|by|in|under|for)\b[^.;]{0,40}?\b(?P<m2>\d+)\b(?: [a-z]+){0,4} only\b"
    r"|discordant[^.;\d]{0,30}(?P<k3>\d+) (?:and|against|vs\.?|versus|/) (?P<m3>\d+)"
)


def _mcnemar(log: LogText, s: Statement) -> Findings:
    """ "McNemar: 12 of 40 changed to refusal, 2 changed back (p = 0.21)"."""
    m, ps = _CHANGED.search(s.text), [x for x in s.numbers if x.kind == "p"]
    if m and len(ps) == 1 and "mcnemar" in s.text.lower():
        b, c = (int(next(v for v in values if v)) for values in (m.group("k", "k2", "k3"), m.group("m", "m2", "m3")))
        yield against_mcnemar(b, c, ps[0], s)


def against_mcnemar(b: int, c: int, p: Number, s: Statement) -> LogFinding:
    """A printed p-value against McNemar's tests of b changes one way and c the other."""
    options = p_of_changes(b, c)
    exact = options[0][1]
    fits = any(grade_within(v, v, p) != "error" for _, v in options)
    said = f"{b} changes one way and {c} the other have McNemar's p = {exact:.2g}, not {p}"
    return in_sentence(s)._replace(line=p.line).finds("holds" if fits else "error", "p of two rates", said, exact)


# ---- several sets of equal size

_SETS = re.compile(
    r"(?P<k>\d+) (?P<sets>\w+)(?: on| of| with|,) (?P<m>\d+) (?P<units>\w+)(?: each)?\b[^.;]{0,12}?[,(]\s?(?:for )?(?:a total of )?"
    r"(?P<total>\d[\d,]*)"
    r"(?: \w+)? (?:in (?:all|total)|total|altogether)",
    re.IGNORECASE,
)


def _sets(log: LogText, s: Statement) -> Findings:
    """ "3 sets of 16 prompts (52 in total)", "5 models on 30 prompts each, 160 responses in all"."""
    for m in _SETS.finditer(s.text):
        k, size, total = int(m["k"]), int(m["m"]), int(m["total"].replace(",", ""))
        wrong = k * size != total
        fine = not wrong or total % (k * size) == 0 or total == k + size
        yield in_sentence(s).finds(
            "holds" if fine else "weak", "equation", f"{k} × {size} = {k * size}, not {total}", k * size
        )


FAMILY = Family(
    of_sentences=(
        _ratios,
        _standard_errors,
        _se_of_mean,
        _kappa_of_agreements,
        _speed,
        _interval_and_p,
        _statistics,
        _metrics_in_range,
        _confusion_counts,
        _mcnemar,
        _sets,
    ),
)
