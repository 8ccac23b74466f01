"""Can such means and SDs exist, and do minimum, mean, median, maximum and quantiles stand in order?"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from workbench.claims.feasible import binary_sd, is_sd_of_whole_numbers, largest_sd, possible_totals
from workbench.claims.log_numbers import Number, step_of
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rounding import Grade, grade_of, shown
from workbench.claims.rules.finding import Family, LogFinding, Place, in_cell, in_row, in_sentence
from workbench.claims.rules.row_names import phrase, roles, stems, without_role
from workbench.claims.rules.units import GROWING, RATE, SHARE, N, n_of_cell, n_of_number, words_around

Findings = Iterator[LogFinding]

_SCALE = phrase(
    r"(?:scale|likert|rating|rated|scored?|points?|items?|responses?)\b[^.;|]{0,40}?"
    r"(?<![\d.])(?P<low>\d)(?:\s?\([^()\d]{1,40}\))?\s?(?:-|–|to)\s?(?P<high>\d{1,2})(?![\d.%])",
    r"(?<![\d.])(?P<low2>[01])\s?(?:-|–|to)\s?(?P<high2>\d{1,3})[ -](?:likert|scale|point scale|rating)",
)
_POINTS_SCALE = phrase(r"\b(?P<k>[4-9]|1[01])[- ]point (?:likert|scale|rating)")
_WHOLE = phrase(
    r"likert|rating|whole[- ]number|integer|number of (?:items|errors|words|children|trials|correct)|items? correct",
    r"\bcounts? (?:per|of)|(?:point|to \d+) scale|on a scale|\b(?:rated|scored|graded) (?:\w+ )?(?:from|on|between) \d",
)
_BINARY = phrase(r"\b0\s?/\s?1\b|\bbinary\b|bernoulli|0 or 1|dichotom|per-(?:item|prompt) (?:outcome|refusal|success)")

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
            place, given = in_sentence(s)._replace(line=x.line), _said_in(s.text)
            ends = _extremes(given.get("min"), given.get("max"), x)
            yield from _mean(x, x.spread_kind, n_of_number(log, s, x), s.text, context, place, ends)


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
        if n and n.where in ("cell", "sentence", "words") and plain and _MEAN_SAID.search(s.text[: x.start]):
            mean = _Mean(x, None, 0.0, n.value, None, True, False, in_sentence(s)._replace(line=x.line))
            for finding in mean.judged():  # "12 raters" may be more than those who rated this
                soft = finding.grade == "error" and n.where == "words"
                yield replace(finding, grade="weak") if soft else finding


def _means_of_cells(log: LogText, table: LogTable) -> Findings:
    """Cells such as "4.5 ± 0.3", whose spread the head or the text around calls an SD or SE."""
    for j in table.value_columns:
        context = f"{table.columns[j]} {words_around(table)}"
        for i, x in enumerate(table.column(j)):
            if x is None or x.spread is None or x.kind not in ("mean", "number", "percent"):
                continue
            kind = x.spread_kind
            if kind in ("", "()"):
                sd = re.search(r"\bSD\b|std|standard dev", context, re.IGNORECASE)
                kind = "SD" if sd else "SE" if re.search(r"\bSEM?\b|standard err", context) else ""
            on_scale = _scale_of(_scale(context), x) if not kind and x.kind == "mean" else None
            if on_scale and (x.spread or 0) > 1:  # an SE or half an interval is smaller still
                for f in _mean(x, kind, n_of_cell(log, table, i, j), table.columns[j], context, in_cell(table, i, j)):
                    yield replace(f, grade="weak") if f.grade == "error" else f
            elif kind in ("SD", "SE") or _BINARY.search(context):
                yield from _mean(x, kind, n_of_cell(log, table, i, j), table.columns[j], context, in_cell(table, i, j))


def _mean(
    x: Number,
    kind: str,
    n: N | None,
    own: str,
    context: str,
    place: Place,
    extremes: tuple[float, float] | None = None,
) -> Findings:
    spread, step, scale = x.spread or 0.0, x.spread_step, _scale(own) or _scale_of(_scale(context), x)
    size = n.value if n and (n.sure or n.where in ("heading", "near", "nearby", "words")) else None
    if kind == "SE" and size:
        spread, kind = spread * math.sqrt(size), "SD"
    if kind not in ("SD", ""):
        return
    sure = kind == "SD" and bool(size)
    limits = (0.0, 100.0) if x.unit == "%" and RATE.search(context) else scale or _of_binary(x, own, context)
    limits = extremes or limits
    whole = sure and bool(_WHOLE.search(context) or scale) and not _AVERAGED_SCORES.search(own)
    yield from _Mean(x, spread, step, size, limits, whole, sure and bool(_BINARY.search(context)), place).judged()


def _means_of_columns(log: LogText, table: LogTable) -> Findings:
    """Tables with a column of means, and one of SDs, with or without minimum, maximum and SE."""
    role = roles(table)
    left = role.get("sd", 0) - 1
    if "mean" not in role and left in table.value_columns:
        role["mean"] = left  # "accuracy | SD"
    if "mean" not in role:
        return
    context = f"{words_around(table)} {' '.join(table.columns)}"
    scale = _scale(f"{table.columns[role['mean']]} {words_around(table)}")
    whole = bool(_WHOLE.search(context) or scale) and not _AVERAGED_SCORES.search(
        f"{table.title} {' '.join(table.columns)}"
    )
    binary = bool(_BINARY.search(context))
    shares = table.columns[role["mean"]] + context
    for i, row in enumerate(table.numbers):
        x, sd, se = row[role["mean"]], *(row[role[name]] if name in role else None for name in ("sd", "se"))
        if x is None or (sd is None and x.kind != "number"):
            continue
        n = n_of_cell(log, table, i, role["mean"])
        size = n.value if n and n.sure else None
        percent = x.kind == "percent" or "%" in table.columns[role["mean"]]
        low, high = (row[role[name]] if name in role else None for name in ("min", "max"))
        limits = (
            _extremes(low, high, x)
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


def _extremes(low: Number | None, high: Number | None, mean: Number) -> tuple[float, float] | None:
    """The limits that a minimum and a maximum set, rounding allowed for; those of whole numbers are exact."""
    if not low or not high:
        return None
    exact = low.step >= 1 and high.step >= 1 and mean.step < 1
    return (low.value, high.value) if exact else (low.value - low.step / 2, high.value + high.step / 2)


def _of_binary(x: Number, own: str, context: str) -> tuple[float, float] | None:
    """The limits of 0/1 scores, and of shares of 1: a cell or sentence that calls them so."""
    shares = SHARE.search(own) and not GROWING.search(own) and not re.search(r"agree|differ|delta|log|Δ", own, re.I)
    return (
        (0.0, 1.0) if 0 <= x.value <= 1 and x.step < 1 and not x.unit and (shares or _BINARY.search(context)) else None
    )


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
    role: phrase(
        rf"\b(?:{words})\b[^\d.;%]{{0,14}}?(?P<v>-?\d+(?:\.\d+)?)(?!\s?(?:%\s?CI|/|th\b))(?P<unit>\s?(?:%|[mµn]?s\b|min\b)|)"
    )
    for role, words in {
        "min": "min|minimum",
        "mean": "mean|average|avg",
        "median": "median|p50",
        "p90": "p90",
        "p95": "p95",
        "p99": "p99",
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


def _said_in(text: str) -> dict[str, Number]:
    """The minimum, mean, median, quantiles and maximum that a text names, where all have one unit."""
    found = {role: m for role, pattern in _SAID.items() if (m := pattern.search(text))}
    given = {role: _as_number(m["v"], m[0]) for role, m in found.items()}
    if m := _SAID_RANGE.search(text):
        given |= {"min": _as_number(m["low"], m[0]), "max": _as_number(m["high"], m[0])}
    return given if len({m["unit"].strip() for m in found.values()} - {""}) < 2 else {}


def _as_number(digits: str, text: str) -> Number:
    return Number("number", float(digits), step_of(digits), text)


def _order_of_sentence(log: LogText, s: Statement) -> Findings:
    """A mean, median and quantiles of a sentence between the minimum and the maximum that it gives, and in their order."""
    place = in_sentence(s)
    if m := _NEGATIVE_SD.search(s.text):
        yield place.finds("error", "range", f"{m[0]}: an SD is never negative")
    given = _said_in(s.text)
    if (m := _SAID_IQR.search(s.text)) and "median" in given:
        given |= {"q1": _as_number(m["low"], m[0]), "q3": _as_number(m["high"], m[0])}
    for a, b in _neighbours(given):
        x, y = given[a], given[b]
        wrong = x.value > y.value + (x.step + y.step) / 2 + 1e-9
        yield place.finds(
            "error" if wrong else "holds",
            "order",
            f"the {_TOLD.get(a, a)} {x.value:g} is above the {_TOLD.get(b, b)} {y.value:g}",
        )


_TOLD = {"q1": "first quartile", "q3": "third quartile", "min": "minimum", "max": "maximum"}


def _neighbours(given: Iterable[str]) -> list[tuple[str, str]]:
    """What follows one another in a chain, of what is given."""
    pairs = (itertools.pairwise(name for name in chain if name in given) for chain in _CHAINS)
    return list(dict.fromkeys(itertools.chain.from_iterable(pairs)))


def _order_of_table(log: LogText, table: LogTable) -> Findings:
    role = roles(table)
    for a, b in _neighbours(role):
        columns = (table.column(role[a]), table.column(role[b]))
        given = [(i, x, y) for i, (x, y) in enumerate(zip(*columns, strict=True)) if x and y]
        above = [x.value > y.value + (x.step + y.step) / 2 + 1e-9 for _, x, y in given]
        heads = (table.columns[role[a]], table.columns[role[b]])
        if _are_of_one_quantity(*heads, everywhere=len(above) > 1 and all(above)):
            for (i, x, y), wrong in zip(given, above, strict=True):
                yield in_row(table, i).finds("error" if wrong else "holds", "order", f"{a} {x} is above {b} {y}")


_ESTIMATE_HEAD = phrase(
    r"^(?:auc|auroc|acc\w*|rate|\w* ?rate|kappa|κ|r|rho|mean|estimate|value|score|asr|f1|effect|difference|diff|d)$"
)


def _estimates_in_limits(log: LogText, table: LogTable) -> Findings:
    """ "auroc, ci_low, ci_high": the column before the limits lies between them."""
    role = roles(table)
    if not {"low", "high"} <= set(role) or "mean" in role:
        return
    j = min(role["low"], role["high"]) - 1
    head = table.columns[j].replace("_", " ").strip() if j in table.value_columns else ""
    if not _ESTIMATE_HEAD.match(head):
        return
    columns = (table.column(k) for k in (j, role["low"], role["high"]))
    rows = [(i, x, a, b) for i, (x, a, b) in enumerate(zip(*columns, strict=True)) if x and a and b]
    off = {i: max(a.value - x.value, x.value - b.value) for i, x, a, b in rows}
    if rows and all(v > 0 for v in off.values()) and len(rows) > 1:
        return  # of another quantity
    for i, x, a, b in rows:
        half = (x.step + max(a.step, b.step)) / 2
        grade: Grade = "holds" if off[i] < max(half - 1e-9, 1e-9) else "slip" if off[i] <= half + 1e-9 else "error"
        yield in_cell(table, i, j).finds(grade, "order", f"{x} is not inside its own interval {a} to {b}")


def _are_of_one_quantity(head: str, other: str, everywhere: bool) -> bool:
    """Whether "max" and "mean length" are of one quantity: both say the same of what, or one does and not all rows are wrong."""
    first, second = (stems(without_role(h)) for h in (head, other))
    return bool(first & second) or first == second or (not (first and second) and not everywhere)


FAMILY = Family(
    of_sentences=(_means_of_sentence, _plain_means_of_sentence, _order_of_sentence),
    of_tables=(_means_of_cells, _means_of_columns, _order_of_table, _estimates_in_limits),
)
