"""Can the numbers carry a comparison? Small n, no n, best of many, no control, no difference without evidence of none."""

import itertools
import math
import re
from collections.abc import Iterator
from functools import lru_cache

from workbench.claims.log_numbers import Number
from workbench.claims.log_reader import LogTable, LogText, Statement
from workbench.claims.rules.finding import (
    Grade,
    LogFinding,
    Rule,
    n_of_number,
    rates_of,
    row_rates,
    settings_key,
    stems,
)
from workbench.claims.rules.limits import _short

RULES = (
    Rule("comparison", "Could two or more rates that are called different differ by chance?", "Fisher 1935; Freeman and Halton 1951"),
    Rule("no n", "Is a comparison given without its n or spread?", "sample size of two proportions, power .8"),
    Rule("no difference", "Is 'no different' said where the interval of the difference leaves much open?", "Altman and Bland 1995; Newcombe 1998"),  # noqa: E501
    Rule("best of many", "Is the best of many reported, chosen on what it is reported on?", "multiple comparisons; Šidák 1967"),
    Rule("many tests", "Do p-values below .05 outlast a correction for their number?", "Holm 1979"),
    Rule("no control", "Is the effect of an intervention given without a baseline or control?", "design"),
    Rule("quoted", "Is a rate quoted from elsewhere without its counts?", "design"),
    Rule("convention", "Is a convention that the log declares kept afterwards?", "the log's own rule"),
)  # fmt: skip

_CLAIM = re.compile(
    r"improv|\bbetter|\bbeats?\b|outperform|superior|dominat|\bhigher\b|\blower\b|increas|decreas|reduc|rais|\bdrops?\b|\bdropp|\bfell\b|\brose\b|boost|degrad|wors|\bpeaks?\b|effective|\bworks?\b|stronger|weaker|\bmore\b|\bless\b|\bfewer\b|gain|\bwins?\b|optimal|\bbest\b|harm|help|collapse|breaks?|recover|regress|→|->|(?<= )>(?= )|exceed|differ",  # noqa: E501
    re.IGNORECASE,
)
_NO_CLAIM = re.compile(
    r"\bno (?:significant |clear |measurable )?(?:difference|improvement|effect|change|gain)|\bnot (?:significant|different|better|worse|distinguish|differ)|n\.s\.|within noise|within error|inconclusive|underpowered|cannot (?:be )?(?:distinguish|tell|show|say)|too few|not (?:statistically )?significant|preliminary|n'?t differ|may be (?:noise|chance)|by chance|indistinguishable|non-?significant|\bTODO\b|\bplan\b|will\b|should\b",  # noqa: E501
    re.IGNORECASE,
)
_PERFORMANCE = re.compile(
    r"latenc|speed|faster|slower|memory|throughput|\bms\b|seconds|tokens/s|cpu|gpu|\bcosts?\b(?! nothing)|price|\$|size|compress|coverage|loc\b|lines of code|kv[- ]cache size|battery|disk|bandwidth|fps|users|downloads|revenue|stars|version|budget|reads?/|qps|requests per",  # noqa: E501
    re.IGNORECASE,
)


def run(log: LogText) -> Iterator[LogFinding]:
    """All rules of this file."""
    for statement in log.statements:
        yield from _two_rates(log, statement)
        yield from _no_difference(log, statement)
        yield from _means_apart(log, statement)
    for table in log.tables:
        if len(table.rows) <= 60:
            yield from _column(log, table)
    yield from _best_of_many(log)
    yield from _many_tests(log)
    yield from _no_control(log)
    yield from _quoted(log)
    yield from _convention(log)


@lru_cache(maxsize=4096)
def detectable_rate(base: float, n: int, m: int) -> float | None:
    """The nearest rate above ``base`` (or below it, where there is none) that Fisher's test tells from it at these n: the observed one that is significant."""  # noqa: E501
    from workbench.statistics.rates import fisher

    a = round(base * n)
    for direction in (1, -1):
        start = round(base * m)
        stop = m if direction > 0 else 0
        while start != stop:
            start += direction
            if fisher(a, n, start, m) < 0.05:
                return start / m
    return None


_Z = 1.9599639845 + 0.8416212336  # normal quantiles of .975 and .8


@lru_cache(maxsize=4096)
def needed(p: float, q: float) -> int:
    """Units per arm that tell two rates apart with power .8 at .05 (normal approximation)."""
    p, q = min(max(p, 0.005), 0.995), min(max(q, 0.005), 0.995)
    if abs(p - q) < 1e-9:
        return 10**9
    size = 2 * abs(math.asin(math.sqrt(p)) - math.asin(math.sqrt(q)))  # Cohen's h
    return math.ceil(2 * (_Z / size) ** 2)  # not statsmodels' solver, which takes as long to import as all rules to run


def _joined(text: str, a: Number, b: Number) -> bool:
    between = text[a.end : b.start]
    return len(between) < 60 and bool(
        re.search(
            r"→|->|\bvs?\.?(?=\s)|versus|against|compared|\bto\b|\bthan\b|\bfrom\b|\bwhile\b|\band\b|,|\bover\b|\bbut\b",
            between,
            re.IGNORECASE,
        )
    )


def _setup_ns(log: LogText, s: Statement) -> list[int]:
    """The n of a setup that stands above a sentence: in a section beside or around it, called setup, method or data."""
    out = []
    for t in log.statements:
        if t.source != s.source:
            continue
        ns = [int(x.value) for x in t.numbers if x.kind == "n" and x.value >= 2] + [x.n for x in t.numbers if x.n]
        if not ns:
            continue
        place = t.heading
        setup = bool(place) and bool(
            re.search(
                r"set-?up|method|data|evaluat|protocol|design|material|participants|sample|experiment|procedure",
                place[-1],
                re.IGNORECASE,
            )
        )
        above = place[: -1 if setup else None]
        if tuple(s.heading[: len(above)]) == tuple(above) and (
            setup or len(place) <= 1 or place == s.heading[: len(place)]
        ):
            out += [n for n in ns if n]
    return out


def _two_rates(log: LogText, s: Statement) -> Iterator[LogFinding]:
    text = s.text
    if _PERFORMANCE.search(text) or any(x.kind == "p" for x in s.numbers):
        return
    numbers = [x for x in s.numbers if x.kind in ("percent", "count") and not x.signed and 0 <= x.percent <= 100]
    numbers = [x for k, x in enumerate(numbers) if not any(y.start == x.start for y in numbers[:k])]
    claim = bool(_CLAIM.search(text)) and not _EQUAL.search(text) and not _NO_CLAIM.search(text)
    rates = rates_of(log, s)
    if len(rates) == 2 and len(numbers) <= 2:
        (x, a, n, from_a), (y, b, m, _from_b) = rates
        if not _joined(text, x, y) or a > n or b > m or from_a == "design":
            return
        from workbench.statistics.rates import fisher

        p = fisher(a, n, b, m)
        what = f"'{_short(text)}': {a}/{n} against {b}/{m}, Fisher p = {p:.2g}"
        if p < 0.05:
            yield LogFinding("holds", "comparison", what, s.line, s.source, (p,))
            if n < 100_000 and s.section <= 1 and len(log.statements) <= 3:
                yield LogFinding(
                    "note", "comparison", f"{what}: chance alone does not make that difference", s.line, s.source, (p,)
                )
        elif a * m != b * n:
            paired = (
                bool(
                    re.search(
                        r"same (?:\w+ )?(?:prompts|items|questions)|paired|none (?:was |were )?lost|mcnemar|within-subject",
                        text,
                        re.IGNORECASE,
                    )
                )
                and n == m
                and 2 * 0.5 ** abs(a - b) < 0.05
            )
            grade: Grade = "weak" if claim and not paired else "note"
            if from_a in ("near", "words") and not claim:
                return
            need = needed(a / n, b / m)
            least = detectable_rate(a / n, n, m)
            shows = (
                f"this n could show {100 * a / n:.0f}% against {100 * least:.0f}%"
                if least is not None
                else "no outcome of this n could show a difference"
            )
            yield LogFinding(
                grade,
                "comparison",
                f"{what}: it may be chance; {shows}; about {need} in each arm would tell these two apart",
                s.line,
                s.source,
                (p,),
            )
        return
    pair = [
        x
        for x in s.numbers
        if x.kind in ("percent", "auc", "number") and not x.signed and x.bound in ("", "~") and x.successes is None
    ]
    same = [
        (x, y)
        for x, y in itertools.pairwise(pair)
        if (x.kind == y.kind or {x.kind, y.kind} == {"number", "auc"})
        and re.search(
            r"\bvs?\.?\s|versus|against|→|->|compared (?:to|with)|\bthan\b|\bto\b", text[x.end : y.start], re.IGNORECASE
        )
        and y.start - x.end < 40
    ]
    strong = re.search(
        r"dominat|\bbeats?\b|outperform|superior|(?<= )>(?= )|\bbetter\b|improv|\bbest\b|stronger|wins?\b|more (?:effective|accurate|robust)|blocks?\b|breaks?\b",  # noqa: E501
        text,
        re.IGNORECASE,
    )
    if not same or not strong or _NO_CLAIM.search(text) or any(n_of_number(log, s, x) for x, _ in same):
        return
    x, y = same[0]
    if x.kind == "number" and y.kind == "number":
        units = {u.unit for u in (x, y)} - {"vs", "versus", "against", "v", "to", "and", ""}
        explicit = re.search(r"\bvs?\.?\s|versus|against", text[x.end : y.start], re.IGNORECASE)
        if x.step >= 1 or y.step >= 1 or units or not explicit or any(u.kind == "mean" for u in s.numbers):
            return
    if _elsewhere(log, s, x, y):
        return
    setup = _setup_ns(log, s)
    what = f"'{_short(text)}'"
    if x.kind == "percent" and y.kind == "percent":
        need = needed(x.value / 100, y.value / 100)
        if setup and max(setup) >= need / 2:
            return
        given = f" (the setup has n = {max(setup)})" if setup else ""
        yield LogFinding(
            "weak",
            "no n",
            f"{what}: {x} and {y} are compared without an n{given}; about {need} in each arm would tell them apart",
            s.line,
            s.source,
            (need,),
        )
    elif (x.kind == "auc" or y.kind == "auc") and 0 < x.value < 1 and 0 < y.value < 1:
        from workbench.statistics.ranking import auc_standard_error

        if setup and max(setup) >= 100:
            return
        z = abs(x.value - y.value) / math.hypot(*(auc_standard_error(v, 20, 20) for v in (x.value, y.value)))
        yield LogFinding(
            "weak",
            "no n",
            f"{what}: two areas are compared without an n; with 20 and 20 they would be {z:.1f} standard errors apart",
            s.line,
            s.source,
            (z,),
        )
    elif not setup:
        yield LogFinding("weak", "no n", f"{what}: {x} and {y} are compared without n or spread", s.line, s.source)


def _elsewhere(log: LogText, s: Statement, x: Number, y: Number) -> bool:
    """Whether both numbers are given with counts or n somewhere else in the log."""
    hits = set()
    for t in log.statements:
        if t is not s and t.source == s.source:
            for z in t.numbers:
                for v in (x, y):
                    if abs(z.percent - v.value) <= max(z.step, v.step) / 2 + 1e-9 and (z.n or n_of_number(log, t, z)):
                        hits.add(v.value)
    for table in log.tables:
        if table.source != s.source:
            continue
        for j in table.value_columns:
            for i, k, n, _ in row_rates(log, table, j):
                for v in (x, y):
                    cell = table.numbers[i][j]
                    if cell is not None and (
                        abs(cell.percent - v.value) <= max(cell.step, v.step) / 2 + 1e-9
                        or abs(100 * k / n - v.value) <= v.step / 2 + 1e-9
                    ):
                        hits.add(v.value)
    return len(hits) == len({x.value, y.value})


def _means_apart(log: LogText, s: Statement) -> Iterator[LogFinding]:
    """Two means whose difference is smaller than their spread, called different without an n."""
    means = [x for x in s.numbers if x.kind == "mean" and x.spread]
    strong = re.search(
        r"significant|\bbetter\b|\bbeats?\b|outperform|superior|\bhigher\b|improv", s.text, re.IGNORECASE
    )
    if (
        len(means) != 2
        or not strong
        or _NO_CLAIM.search(s.text)
        or _PERFORMANCE.search(s.text)
        or any(x.kind in ("p", "n", "t") for x in s.numbers)
    ):
        return
    a, b = means
    apart, spread = abs(a.value - b.value), math.hypot(a.spread or 0, b.spread or 0)
    grade: Grade = "weak" if apart < spread / 2 else "holds"
    yield LogFinding(
        grade,
        "no n",
        f"'{_short(s.text)}': they are {apart:g} apart with a spread of {spread:.3g}, and no n is given",
        s.line,
        s.source,
        (apart, spread),
    )


_EQUAL = re.compile(
    r"indistinguishable|no better than|no worse than|no different|equivalent|comparable|≈|\bsame as\b|as good as|on par|matches\b|\bsimilar\b|no difference|did not change|did not differ|does not differ|equally",  # noqa: E501
    re.IGNORECASE,
)


def _no_difference(log: LogText, s: Statement) -> Iterator[LogFinding]:
    if (
        not _EQUAL.search(s.text)
        or _PERFORMANCE.search(s.text)
        or re.search(r"equivalence (?:test|margin)|tost|non-?inferior|within \d", s.text, re.IGNORECASE)
    ):
        return
    rates: list[tuple[Number, int, int]] = [(x, k, n) for x, k, n, _ in rates_of(log, s)]
    if len(rates) < 2:
        rates = []
        for x in s.numbers:
            if x.kind != "percent" or x.bound or x.signed:
                continue
            held = {
                (c.successes, c.n)
                for t in log.tables
                if t.source == s.source
                for r in t.numbers
                for c in r
                if c is not None
                and c.n
                and c.successes is not None
                and abs(c.percent - x.value) <= max(c.step, x.step) / 2 + 1e-9
            }
            if len(held) == 1:
                k, n = held.pop()
                rates.append((x, k or 0, n or 0))
    if len(rates) != 2:
        return
    (_, a, n), (_, b, m) = rates
    if not n or not m or a > n or b > m:
        return
    from statsmodels.stats.proportion import confint_proportions_2indep

    from workbench.statistics.rates import fisher

    p = fisher(a, n, b, m)
    low, high = (100 * float(v) for v in confint_proportions_2indep(a, n, b, m, method="newcomb"))
    what = (
        f"'{_short(s.text)}': {a}/{n} and {b}/{m} (Fisher p = {p:.2g}) may differ by {low:+.0f} to {high:+.0f} points"
    )
    if p < 0.05:
        yield LogFinding("weak", "no difference", f"{what}: they differ", s.line, s.source, (p, low, high))
    elif max(abs(low), abs(high)) > 5:
        yield LogFinding(
            "weak",
            "no difference",
            f"{what}: no evidence of a difference is not evidence of none",
            s.line,
            s.source,
            (p, low, high),
        )
    else:
        yield LogFinding("holds", "no difference", what, s.line, s.source, (p, low, high))


def _column(log: LogText, table: LogTable) -> Iterator[LogFinding]:
    """Rates of a column that words call different: in the table's cells, or in sentences of its section that name the column."""
    from workbench.statistics.rates import fisher, heterogeneity, trend

    done: set[tuple[tuple[int, int], ...]] = set()
    for j in table.value_columns:
        rates = [
            r
            for r in row_rates(log, table, j)
            if not re.match(r"\W*(?:total|overall|all|mean|average)\b", table.label(r[0]), re.IGNORECASE)
        ]
        if len(rates) < 2 or len(rates) < 0.8 * len(table.rows) or any(k > n for _, k, n, _ in rates):
            continue
        counts = tuple((k, n) for _, k, n, _ in rates)
        if counts in done:
            continue
        done.add(counts)
        k, n = [c[0] for c in counts], [c[1] for c in counts]
        if len({a / b for a, b in counts}) == 1:
            continue
        p = fisher(k[0], n[0], k[1], n[1]) if len(k) == 2 else heterogeneity(k, n).p
        doses = [settings_key(table.label(i)) for i, *_ in rates]
        if len(k) > 2 and p >= 0.05 and len(set(doses)) > 1 and all(re.fullmatch(r"-?\d+(?:\.\d+)?", d) for d in doses):
            p = min(
                p, trend([float(d) for d in doses], k, n, exact=False).p
            )  # a claim along doses may rest on their trend
        name = table.columns[j]
        if p < 0.05:
            yield LogFinding("holds", "comparison", name, table.line, table.source, (p,))
            continue
        words = stems(name)
        labels = [
            re.sub(r"[*_`]", "", table.label(i)).lower().strip()
            for i, *_ in rates
            if re.search(r"[a-z]{3}", table.label(i), re.IGNORECASE)
        ]
        cells = " ".join(
            c
            for i, *_ in rates
            for c in table.rows[i]
            if re.search(
                r"worse|better|peak|best|improv|degrad|recover|regress|increase|decrease|win", c, re.IGNORECASE
            )
        )
        said = next(
            (t for t in log.statements if t.source == table.source and t.section == table.section and not t.is_heading and _CLAIM.search(t.text) and not _NO_CLAIM.search(t.text) and not _PERFORMANCE.search(t.text) and not any(x.kind == "p" for x in t.numbers)  # noqa: E501
             and (words & stems(t.text) or sum(bool(label) and re.search(rf"(?<!\w){re.escape(label)}(?!\w)", t.text.lower()) is not None for label in labels) >= 1)),  # noqa: E501
            None,
        )  # fmt: skip
        if not cells and said is None:
            yield LogFinding("holds", "comparison", name, table.line, table.source, (p,))
            continue
        most, least = max(rates, key=lambda r: r[1] / r[2]), min(rates, key=lambda r: r[1] / r[2])
        extreme = fisher(most[1], most[2], least[1], least[2])
        called = f"{_short(cells, 40)!r}" if cells else f"'{_short(said.text)}' (line {said.line})" if said else ""
        sentence = f"{name}: {called}: all {len(rates)} rates may be one (p = {p:.2g}); even {most[1]}/{most[2]} against {least[1]}/{least[2]} has Fisher p = {extreme:.2g}"  # noqa: E501
        yield LogFinding(
            "weak",
            "comparison",
            sentence,
            said.line if said and not cells else table.row_lines[rates[0][0]],
            table.source,
            (p, extreme),
            (table.line,),
        )


_BEST = re.compile(
    r"best[- ]of[- ]?(?P<k>\d+)|(?:best|top|optimal|strongest|highest|maximum|max)\s(?:\w+\s){0,3}?(?:of|among|from|across|over|out of)\s(?:all\s|the\s)?(?P<k2>\d+)\s(?:\w+\s)?(?:layers?|configs?|configurations?|settings?|runs|seeds|trials|checkpoints|prompts|methods|variants|combinations|doses|models|hyperparameters?|candidates|attempts)"  # noqa: E501
    r"|best (?:layer|config(?:uration)?|checkpoint|setting|hyperparameters?|seed|epoch|dose|strength)s? (?:was |is |were )?(?:selected|chosen|picked|found)|(?:selected|chose|chosen|picked) (?:as )?the best|tuned on (?:the )?test|max(?:imum)? over (?:all )?(?P<k3>\d+)?",  # noqa: E501
    re.IGNORECASE,
)
_CORRECTED = re.compile(
    r"held[- ]?out|validation (?:set|split)|dev(?:elopment)? set|\bdev\b split|cross-?valid|nested|bonferroni|\bholm\b|\bFDR\b|benjamini|šid|sidak|pre-?regist|correct(?:ed|ion) for|multiple (?:comparison|testing)|separate test|on (?:the )?dev|unseen|chosen before|fixed in advance",  # noqa: E501
    re.IGNORECASE,
)


def _best_of_many(log: LogText) -> Iterator[LogFinding]:
    for source in dict.fromkeys(s.source for s in log.statements):
        own = [s for s in log.statements if s.source == source]
        hits = [(s, m) for s in own if (m := _BEST.search(s.text)) and not re.search(r"\?\s*$", s.text)]
        if not hits:
            continue
        corrected = any(_CORRECTED.search(s.text) for s in own)
        for s, m in hits[:3]:
            k = int(next((g for g in (m["k"], m["k2"], m["k3"]) if g), 0) or 0)
            if k == 1:
                continue
            many = (
                f"of {k} tries, one passes at .05 by chance with probability {1 - 0.95**k:.2f}"
                if k
                else "the number of tries makes some pass by chance"
            )
            yield LogFinding(
                "holds" if corrected else "weak",
                "best of many",
                f"'{_short(s.text)}': the best is chosen on what it is reported on, with no held-out set or correction named; {many}",
                s.line,
                s.source,
            )


_TESTS = re.compile(
    r"\b(?P<k>\d{2,})\s(?:\w+\s)?(?:tests|comparisons|hypotheses|metrics|outcomes|contrasts)\b", re.IGNORECASE
)


def _many_tests(log: LogText) -> Iterator[LogFinding]:
    for s in log.statements:
        m = _TESTS.search(s.text)
        reached = [x for x in s.numbers if x.kind == "p" and x.value <= 0.05]
        if m and reached and not any(_CORRECTED.search(t.text) for t in log.statements if t.source == s.source):
            k = int(m["k"])
            least = min(x.value for x in reached)
            if k * least > 0.05:
                yield LogFinding(
                    "weak",
                    "many tests",
                    f"'{_short(s.text)}': of {k} tests, about {0.05 * k:.1f} pass at .05 by chance",
                    s.line,
                    s.source,
                    (0.05 * k,),
                )
    from workbench.statistics.paired import holm

    for source in dict.fromkeys([*(s.source for s in log.statements), *(t.source for t in log.tables)]):
        ps = [
            (x.value, x.line)
            for s in log.statements
            if s.source == source
            for x in s.numbers
            if x.kind == "p" and 0 <= x.value <= 1 and x.bound != ">"
        ]
        for t in (t for t in log.tables if t.source == source):
            for j in range(len(t.columns)):
                if re.match(r"\W*p(?:[- _]?val(?:ue)?)?\W*$|p[- _]?value", t.columns[j], re.IGNORECASE):
                    ps += [
                        (x.value, t.row_lines[i])
                        for i, x in enumerate(t.column(j))
                        if x is not None and 0 <= x.value <= 1 and x.bound != ">"
                    ]
        text = " ".join(s.text for s in log.statements if s.source == source) + " ".join(
            f"{t.title} {' '.join(t.columns)}" for t in log.tables if t.source == source
        )
        below = [line for p, line in ps if p < 0.05]
        if len(ps) < 5 or not below:
            continue
        kept = sum(p < 0.05 for p in holm([max(p, 1e-300) for p, _ in ps]))
        corrected = bool(
            re.search(r"bonferroni|holm|\bFDR\b|benjamini|correct(?:ed|ion)|adjusted|pre-?regist", text, re.IGNORECASE)
        )
        if kept < len(below) and not corrected:
            grade: Grade = "weak" if len(ps) >= 10 and kept == 0 else "note"
            yield LogFinding(
                grade,
                "many tests",
                f"{len(below)} of {len(ps)} p-values are below .05; after Holm's correction {kept} are",
                below[0],
                source,
                (kept,),
            )
        else:
            yield LogFinding("holds", "many tests", f"{len(ps)} p-values", below[0], source)


_INTERVENTION = re.compile(
    r"\bsteer(?:ing|ed)|\bablat|\bintervention|\btreatment\b|\btreated\b|\bpatch(?:ing|ed)|fine-?tun|\bdrug\b|\bvaccin|\bjailbreak",
    re.IGNORECASE,
)
_EFFECT = re.compile(
    r"improv|increas|reduc|rais|effective|works?\b|achiev|boost|induces?|causes?|eliminat|success|reaches",
    re.IGNORECASE,
)
_CONTROL = re.compile(
    r"baseline|\bbase\b|\bcontrols?\b|unsteered|un-steered|without|\bbefore\b|random|placebo|original|untreated|→|->|\bvs\.?\b|versus|against|compared|\bfrom\b \d|strength 0|α\s?=\s?0\b|orthogonal|no steering|vanilla|zero-shot|default|sham|unmodified|\bprior\b|reference|\bthan\b|pre-?treatment|standard",  # noqa: E501
    re.IGNORECASE,
)


def _no_control(log: LogText) -> Iterator[LogFinding]:
    for source in dict.fromkeys(s.source for s in log.statements):
        own = [s for s in log.statements if s.source == source]
        text = (
            " ".join(s.text for s in own)
            + " "
            + " ".join(
                f"{t.title} {' '.join(t.columns)} {' '.join(t.label(i) for i in range(len(t.rows)))}"
                for t in log.tables
                if t.source == source
            )
        )
        said = next(
            (
                s
                for s in own
                if _INTERVENTION.search(s.text)
                and _EFFECT.search(s.text)
                and any(x.kind in ("percent", "count") and not x.signed for x in s.numbers)
            ),
            None,
        )
        if said is None:
            continue
        zero = any(
            settings == 0
            for t in log.tables
            for h in (*t.columns, *(t.label(i) for i in range(min(len(t.rows), 20))))
            for settings in _zero(h)
        )
        if _CONTROL.search(text) or zero:
            yield LogFinding("holds", "no control", _short(said.text), said.line, source)
        else:
            yield LogFinding(
                "weak",
                "no control",
                f"'{_short(said.text)}': no baseline, control or comparison stands anywhere in the log",
                said.line,
                source,
            )


def _zero(label: str) -> list[float]:
    m = re.search(r"(?<![\d.])(0(?:\.0+)?)(?![\d.])", label)
    return [float(m[1])] if m else []


def _quoted(log: LogText) -> Iterator[LogFinding]:
    elsewhere = re.compile(
        r"\b(?:per|see|from|according to|as (?:reported|stated) in) [\w/.-]+\.(?:md|txt|pdf|json|csv|ipynb|log)\b|prior (?:finding|result|work)|previous(?:ly)? (?:finding|reported|result)|earlier (?:finding|log|report)|\bunpublished\b|personal communication",  # noqa: E501
        re.IGNORECASE,
    )
    blocks = {(s.source, s.section) for s in log.statements if elsewhere.search(s.text)}
    for s in log.statements:
        if (s.source, s.section) not in blocks or s.is_heading:
            continue
        if not re.search(
            r"success|rate|accura|bypass|refus|jailbreak|flip|comply|complian|correct|detect", s.text, re.IGNORECASE
        ):
            continue
        rates = [
            x
            for x in s.numbers
            if x.kind == "percent" and not x.signed and x.successes is None and n_of_number(log, s, x) is None
        ]
        if rates:
            yield LogFinding(
                "weak",
                "quoted",
                f"'{_short(s.text)}': {', '.join(map(str, rates[:3]))} is quoted from elsewhere, and this log holds neither its counts nor its n",  # noqa: E501
                s.line,
                s.source,
            )


def _convention(log: LogText) -> Iterator[LogFinding]:
    """ "All results from now on use X": a baseline measured with X, and another, far away, later."""
    declared = re.compile(
        r"going forward|from (?:now|here) on|henceforth|all (?:later|subsequent|further|future) |from this point",
        re.IGNORECASE,
    )
    for s in log.statements:
        if not declared.search(s.text):
            continue
        tables = [t for t in log.tables if t.source == s.source and t.section == s.section]
        for t in tables:
            for j in t.value_columns:
                words = stems(t.columns[j])
                named = [
                    x
                    for i, x in enumerate(t.column(j))
                    if x is not None and stems(t.label(i)) and (stems(" ".join(t.rows[i][:2])) & stems(s.text))
                ]
                if not named or not words:
                    continue
                value = named[-1]
                for other in log.statements:
                    numbers = [x for x in other.numbers if x.kind in ("number", "percent")]
                    if (
                        other.source != s.source
                        or other.section == s.section
                        or len(numbers) != 1
                        or len(other.text) > 60
                        or not words <= stems(other.text)
                    ):
                        continue
                    x = numbers[0]
                    ratio = max(abs(x.value), 1e-9) / max(abs(value.value), 1e-9)
                    if ratio > 2 or ratio < 0.5:
                        sentence = f"'{_short(other.text)}': line {s.line} says that all results use one measure from now on, whose {t.columns[j]} is {value} (line {value.line}); this one is {ratio:.1f} times that"  # noqa: E501
                        yield LogFinding(
                            "weak",
                            "convention",
                            sentence,
                            other.line,
                            other.source,
                            (x.value, value.value),
                            (s.line, value.line),
                        )
