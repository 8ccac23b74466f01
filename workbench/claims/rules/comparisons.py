"""Can the numbers carry a comparison? Differences that may be chance, comparisons without n, no difference without evidence of none."""

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.recomputations import difference_of_rates
from workbench.claims.rounding import Grade
from workbench.claims.rules.finding import Family, LogFinding, in_sentence, in_table, short
from workbench.claims.rules.row_names import bare, is_mean, is_total, phrase, setting, stems
from workbench.claims.rules.units import Count, column_counts, n_of_number, sentence_counts

Findings = Iterator[LogFinding]

_CLAIM = phrase(
    r"improv|\bbetter|\bbeats?\b|outperform|superior|dominat|\bhigher\b|\blower\b|increas|decreas|reduc|rais|\bdrops?\b|\bdropp",
    r"\bfell\b|\brose\b|boost|degrad|wors|\bpeaks?\b|effective|\bworks?\b|stronger|weaker|\bmore\b|\bless\b|\bfewer\b|gain",
    r"\bwins?\b|\bfix(?:es|ed)?\b",
    r"optimal|\bbest\b|harm(?!ful|less)|help|collapse|breaks?|recover|regress|→|->|(?<= )>(?= )|exceed|differ(?!ence)",
    r"(?:clear|large|big|strong|real|marked|substantial) difference",
)
_NO_CLAIM = phrase(
    r"\bno (?:significant |clear |measurable )?(?:difference|improvement|effect|change|gain)",
    r"\bnot (?:significant|different|better|worse|distinguish|differ)|n\.s\.|within noise|within error|inconclusive|underpowered",
    r"cannot (?:be )?(?:distinguish|tell|show|say)|too few|not (?:statistically )?significant|preliminary|n'?t differ",
    r"may be (?:noise|chance)|by chance|indistinguishable|non-?significant|\bTODO\b|\bplan\b|will\b|should\b",
)
#: measured in units that no count stands behind
_PERFORMANCE = phrase(
    r"latenc|speed|faster|slower|memory|throughput|\bms\b|seconds|tokens/s|cpu|gpu|\bcosts?\b(?! nothing)|price|\$|size|compress",
    r"coverage|loc\b|lines of code|kv[- ]cache size|battery|disk|bandwidth|fps|users|downloads|revenue|stars|version|budget",
    r"reads?/|qps|requests per",
)
_STRONG = phrase(
    r"dominat|\bbeats?\b|outperform|superior|(?<= )>(?= )|\bbetter\b|improv|\bbest\b|stronger|wins?\b",
    r"more (?:effective|accurate|robust)|blocks?\b|breaks?\b",
)
_EQUAL = phrase(
    r"indistinguishable|no better than|no worse than|no different|equivalent|comparable|≈|\bsame as\b|as good as|on par",
    r"matches\b|\bsimilar\b|no difference|did not change|did not differ|does not differ|equally",
)
_EQUIVALENCE = phrase(r"equivalence (?:test|margin)|tost|non-?inferior|within \d")
_BETWEEN = phrase(
    r"→|->|\bvs?\.?(?=\s)|versus|against|compared|\bto\b|\bthan\b|\bfrom\b|\bwhile\b|\band\b|,|\bover\b|\bbut\b"
)
_VERSUS = phrase(r"\bvs?\.?\s|versus|against|→|->|compared (?:to|with)|\bthan\b|\bto\b")
_EXPLICIT = phrase(r"\bvs?\.?\s|versus|against")
_OF_COLUMNS = phrase(
    r"\bbeats?\b|\bthan\b|outperform|exceeds?\b|surpass|\bover\b|\babove\b|\bversus\b|\bvs\b|against|loses? to"
)
_SAME_UNITS = phrase(
    r"same (?:\w+ )?(?:prompts|items|questions)|paired|none (?:was |were )?lost|mcnemar|within-subject"
)
_SETUP = phrase(r"set-?up|method|data|evaluat|protocol|design|material|participants|sample|experiment|procedure")
_CALLED_IN_CELL = phrase(r"worse|better|peak|best|improv|degrad|recover|regress|increase|decrease|win")


def _is_claim(text: str) -> bool:
    return bool(_CLAIM.search(text)) and not _NO_CLAIM.search(text)


# ---- what an n can show


@lru_cache(maxsize=4096)
def least_significant(k: int, n: int, m: int) -> float | None:
    """The nearest rate out of m above k/n (or below it, where there is none) that Fisher's test tells from it.

    >>> round(least_significant(3, 10, 10), 2)
    0.9
    """
    from workbench.statistics.rates import fisher

    near = round(k * m / n)
    for counts in (range(near + 1, m + 1), range(near - 1, -1, -1)):
        at = bisect_left(counts, True, key=lambda count: fisher(k, n, count, m) < 0.05)
        if at < len(counts):
            return counts[at] / m
    return None


@lru_cache(maxsize=4096)
def needed(p: float, q: float) -> int:
    """Units per arm that tell two rates apart with power .8 at .05, from Cohen's h (normal approximation)."""
    p, q = min(max(p, 0.005), 0.995), min(max(q, 0.005), 0.995)
    size = 2 * abs(math.asin(math.sqrt(p)) - math.asin(math.sqrt(q)))
    quantiles = (
        1.9599639845 + 0.8416212336
    )  # not statsmodels' solver, which takes as long to import as all rules to run
    return math.ceil(2 * (quantiles / size) ** 2) if size > 1e-9 else 10**9


# ---- two rates with their counts


def _two_counts(log: LogText, s: Statement) -> Findings:
    printed = {x.start for x in s.numbers if x.kind in ("percent", "count") and not x.signed and 0 <= x.percent <= 100}
    counts = sentence_counts(log, s)
    tested = any(x.kind == "p" or (x.low is not None and x.unit.startswith("CI")) for x in s.numbers)
    if len(counts) != 2 or len(printed) > 2 or tested or _PERFORMANCE.search(s.text):
        return
    from workbench.statistics.rates import fisher

    (x, a, n, where), (y, b, m, _) = counts
    between = s.text[x.end : y.start]
    if len(between) >= 60 or not _BETWEEN.search(between) or a > n or b > m or where == "design":
        return
    p, place = fisher(a, n, b, m), in_sentence(s)
    said = f"{a}/{n} against {b}/{m}, Fisher p = {p:.2g}"
    if p < 0.05:
        yield place.holds("comparison")
        if s.section <= 1 and len(log.statements) <= 3:  # the numbers themselves were asked about
            yield place.finds("note", "comparison", f"{said}: chance alone does not make that difference", p)
    elif a * m != b * n:
        claim = _is_claim(s.text) and not _EQUAL.search(s.text)
        paired = n == m and bool(_SAME_UNITS.search(s.text)) and 2 * 0.5 ** abs(a - b) < 0.05
        if claim or where not in ("near", "nearby", "words"):
            grade: Grade = "weak" if claim and not paired else "note"
            yield place.finds(grade, "comparison", f"{said}: it may be chance; {_what_would_show(counts)}", p)


def _what_would_show(counts: list[Count]) -> str:
    (_, a, n, _), (_, b, m, _) = counts
    least = least_significant(a, n, m)
    shows = f"this n could show {100 * a / n:.0f}% against {100 * (least or 0):.0f}%"
    if least is None:
        shows = "no outcome of this n could show a difference"
    return f"{shows}; about {needed(a / n, b / m)} in each arm would tell these two apart"


# ---- two numbers without an n


def _without_n(log: LogText, s: Statement) -> Findings:
    if any(x.kind == "p" for x in s.numbers) or not _STRONG.search(s.text):
        return
    if _PERFORMANCE.search(s.text) or _NO_CLAIM.search(s.text) or len(_surely(sentence_counts(log, s))) == 2:
        return
    kinds = ("percent", "auc", "number")
    single = [x for x in s.numbers if x.kind in kinds and not x.signed and x.bound in ("", "~") and x.successes is None]
    pairs = [(x, y) for x, y in pairwise(single) if _are_compared(x, y, s.text)]
    ns = [n for x, _ in pairs if (n := n_of_number(log, s, x))]
    if not pairs or any(n.where != "nearby" for n in ns):
        return
    x, y = pairs[0]
    if {x.kind, y.kind} == {"number"} and not _are_scores(x, y, s):
        return
    if not _are_given_elsewhere(log, s, x, y):
        yield from _judge_without_n(log, s, x, y)


def _surely(counts: Iterable[Count]) -> list[Count]:
    return [c for c in counts if c.where != "nearby"]


def _are_compared(x: Number, y: Number, text: str) -> bool:
    between = text[x.end : y.start]
    alike = x.kind == y.kind or {x.kind, y.kind} == {"number", "auc"}
    return alike and len(between) < 40 and bool(_VERSUS.search(between))


def _are_scores(x: Number, y: Number, s: Statement) -> bool:
    """Whether two bare numbers are scores of one kind, not amounts with a unit."""
    units = {x.unit, y.unit} - {"vs", "versus", "against", "v", "to", "and", ""}
    fine = x.step < 1 and y.step < 1 and not units and not any(u.kind == "mean" for u in s.numbers)
    return fine and bool(_EXPLICIT.search(s.text[x.end : y.start]))


def _judge_without_n(log: LogText, s: Statement, x: Number, y: Number) -> Findings:
    setup, place = max(_ns_of_setup(log, s), default=0), in_sentence(s)
    if x.kind == y.kind == "percent":
        need = needed(x.value / 100, y.value / 100)
        if setup < need / 2:
            given = f" (the setup has n = {setup})" if setup else ""
            said = f"{x} and {y} are compared without an n{given}; about {need} in each arm would tell them apart"
            yield place.finds("weak", "no n", said, need)
    elif "auc" in (x.kind, y.kind) and 0 < x.value < 1 and 0 < y.value < 1:
        from workbench.statistics.ranking import auc_standard_error

        z = abs(x.value - y.value) / math.hypot(*(auc_standard_error(v, 20, 20) for v in (x.value, y.value)))
        if setup < 100:
            said = f"two areas are compared without an n; with 20 and 20 they would be {z:.1f} standard errors apart"
            yield place.finds("weak", "no n", said, z)
    elif not setup:
        yield place.finds("weak", "no n", f"{x} and {y} are compared without n or spread")


def _ns_of_setup(log: LogText, s: Statement) -> list[int]:
    """The n of a setup that stands above a sentence: in a section beside or around it, called setup, method or data."""
    sizes = []
    for t in log.statements:
        ns = [int(x.value) for x in t.numbers if x.kind == "n" and x.value >= 2] + [x.n for x in t.numbers if x.n]
        if not ns or t.source != s.source:
            continue
        setup = bool(t.heading) and bool(_SETUP.search(t.heading[-1]))
        above = t.heading[:-1] if setup else t.heading
        around = setup or len(t.heading) <= 1 or t.heading == s.heading[: len(t.heading)]
        if around and s.heading[: len(above)] == above:
            sizes += ns
    return sizes


def _are_given_elsewhere(log: LogText, s: Statement, x: Number, y: Number) -> bool:
    """Whether both numbers are given with counts or n somewhere else in the log."""
    given: list[Number] = []
    for t in (t for t in log.statements if t is not s and t.source == s.source):
        near = [z for z in t.numbers if any(_same(z, v) for v in (x, y))]
        given += [z for z in near if z.n or ((n := n_of_number(log, t, z)) and n.where != "nearby")]
    for table in (t for t in log.tables if t.source == s.source):
        for j in table.value_columns:
            given += [c.number for c in _surely(column_counts(log, table, j).values())]
    return all(any(_same(z, v) for z in given) for v in (x, y))


def _same(z: Number, v: Number) -> bool:
    return abs(z.percent - v.value) <= max(z.step, v.step) / 2 + 1e-9


_APART = phrase(r"significant|\bbetter\b|\bbeats?\b|outperform|superior|\bhigher\b|improv")


def _means_without_n(log: LogText, s: Statement) -> Findings:
    """Two means whose difference is smaller than their spread, called different without an n."""
    means = [x for x in s.numbers if x.kind == "mean" and x.spread]
    tested = any(x.kind in ("p", "n", "t") for x in s.numbers)
    if (
        len(means) != 2
        or tested
        or not _APART.search(s.text)
        or _NO_CLAIM.search(s.text)
        or _PERFORMANCE.search(s.text)
    ):
        return
    apart, spread = abs(means[0].value - means[1].value), math.hypot(*(x.spread or 0 for x in means))
    said = f"they are {apart:g} apart with a spread of {spread:.3g}, and no n is given"
    yield in_sentence(s).finds("weak" if apart < spread / 2 else "holds", "no n", said, apart, spread)


# ---- no difference


def _no_difference(log: LogText, s: Statement) -> Findings:
    if not _EQUAL.search(s.text) or _PERFORMANCE.search(s.text) or _EQUIVALENCE.search(s.text):
        return
    counts = [(c.k, c.n) for c in sentence_counts(log, s)]
    if len(counts) < 2:
        counts = _counts_in_tables(log, s)
    if len(counts) != 2 or any(not n or k > n for k, n in counts):
        return
    from workbench.statistics.rates import fisher

    (a, n), (b, m) = counts
    p = fisher(a, n, b, m)
    low, high = (100 * v for v in difference_of_rates(a, n, b, m))
    said = f"{a}/{n} and {b}/{m} (Fisher p = {p:.2g}) may differ by {low:+.0f} to {high:+.0f} points"
    small = p >= 0.05 and max(abs(low), abs(high)) <= 5
    why = "they differ" if p < 0.05 else "no evidence of a difference is not evidence of none"
    yield in_sentence(s).finds("holds" if small else "weak", "no difference", f"{said}: {why}", p, low, high)


def _counts_in_tables(log: LogText, s: Statement) -> list[tuple[int, int]]:
    """The counts that tables hold for the percentages of a sentence, where they hold one each."""
    cells = [
        c
        for t in log.tables
        if t.source == s.source
        for r in t.numbers
        for c in r
        if c and c.n and c.successes is not None
    ]
    counts = []
    for x in (x for x in s.numbers if x.kind == "percent" and not x.bound and not x.signed):
        held = {(c.successes or 0, c.n or 0) for c in cells if _same(c, x)}
        counts += list(held) if len(held) == 1 else []
    return counts


# ---- rates of a column that words call different

_MOST_ROWS = 60


def _column(log: LogText, table: LogTable) -> Findings:
    done: set[tuple[tuple[int, int], ...]] = set()
    for j in table.value_columns if len(table.rows) <= _MOST_ROWS else ():
        counts = {
            i: c
            for i, c in column_counts(log, table, j).items()
            if not is_total(table.label(i)) and not is_mean(table.label(i))
        }
        pairs = tuple((c.k, c.n) for c in counts.values())
        few = len(pairs) < 2 or len(pairs) < 0.8 * len(table.rows)
        if few or any(k > n for k, n in pairs) or len({k / n for k, n in pairs}) == 1 or pairs in done:
            continue
        done.add(pairs)
        p = _p_of_equal_rates(table, counts)
        called = _called_different(log, table, j, counts) if p >= 0.05 else None
        if called is None:
            yield in_table(table).holds("comparison")
        else:
            yield _may_be_one(table, j, counts, p, *called)


def _p_of_equal_rates(table: LogTable, counts: dict[int, Count]) -> float:
    """Whether all rates may be one; a claim along doses may rest on their trend."""
    from workbench.statistics.rates import fisher, heterogeneity, trend

    k, n = [c.k for c in counts.values()], [c.n for c in counts.values()]
    if len(k) == 2:
        return fisher(k[0], n[0], k[1], n[1])
    p = heterogeneity(k, n).p
    doses = [setting(table.label(i)) for i in counts]
    given = [d for d in doses if d is not None]
    along = p >= 0.05 and len(given) == len(doses) and len(set(given)) > 1
    return min(p, trend(given, k, n, exact=False).p) if along else p


def _called_different(log: LogText, table: LogTable, j: int, counts: dict[int, Count]) -> tuple[str, int] | None:
    """The words that call the rates different, and their line: in cells of their rows, or in a sentence of the section."""
    cells = " ".join(c for i in counts for c in table.rows[i] if _CALLED_IN_CELL.search(c))
    if cells:
        return f"{short(cells, 40)!r}", table.row_lines[next(iter(counts))]
    labels = [bare(table.label(i)).lower() for i in counts]
    labels = [label for label in labels if re.search(r"[a-z]{3}", label)]
    for s in log.of_section(table.section):
        if (
            s.is_heading
            or not _is_claim(s.text)
            or _PERFORMANCE.search(s.text)
            or any(x.kind == "p" for x in s.numbers)
        ):
            continue
        named = any(re.search(rf"(?<!\w){re.escape(label)}(?!\w)", s.text.lower()) for label in labels)
        heads = sum(bool(stems(table.columns[c]) & stems(s.text)) for c in table.value_columns)
        if not named and heads > 1 and _OF_COLUMNS.search(s.text):
            continue  # "the learned direction beats the random one": no claim about the rows of either
        if named or stems(table.columns[j]) & stems(s.text):
            return f"'{short(s.text)}' (line {s.line})", s.line
    return None


def _may_be_one(table: LogTable, j: int, counts: dict[int, Count], p: float, called: str, line: int) -> LogFinding:
    from workbench.statistics.rates import fisher

    most, least = (f(counts.values(), key=lambda c: c.rate) for f in (max, min))
    extreme = fisher(most.k, most.n, least.k, least.n)
    said = f"{called}: all {len(counts)} rates may be one (p = {p:.2g}); even {most.k}/{most.n} against {least.k}/{least.n}"
    place = in_table(table, table.columns[j])._replace(line=line)
    return place.finds("weak", "comparison", f"{said} has Fisher p = {extreme:.2g}", p, extreme, others=(table.line,))


FAMILY = Family(
    of_sentences=(_two_counts, _without_n, _means_without_n, _no_difference),
    of_tables=(_column,),
)
