"""Do p-values, intervals and effect sizes come out of the numbers beside them, by any method that could be meant?"""

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import product

from workbench.claims.log_numbers import Kind, Number
from workbench.claims.log_reader import LogTable, LogText, Statement
from workbench.claims.rules.finding import (
    Grade,
    LogFinding,
    Rule,
    grade_of,
    n_columns,
    n_of_cell,
    n_of_number,
    rates_of,
    shown,
)
from workbench.claims.rules.limits import _short, parts

RULES = (
    Rule("p of two rates", "Is a p-value what Fisher (one- or two-sided, mid-p), z, χ² with or without Yates, or McNemar gives for the two counts?", "the tests' own papers; every test that could be meant"),  # noqa: E501
    Rule("p of a statistic", "Is a p-value the one of its t, F, χ², z or r?", "Nuijten et al. 2016, statcheck"),
    Rule("p of one rate", "Is a p-value the binomial or z test of a count against chance?", "exact binomial test"),
    Rule("t of two means", "Do t, p and d come out of two means, their SDs and n?", "Welch 1947; Student 1908; Cohen 1988"),
    Rule("interval", "Is an interval what Wilson, Clopper-Pearson, Agresti-Coull, Jeffreys, the normal or the t method gives for its n?", "Brown, Cai and DasGupta 2001"),  # noqa: E501
    Rule("kappa", "Do κ and agreement come out of the confusion table?", "Cohen 1960"),
    Rule("confusion", "Do accuracy, precision, recall and F1 come out of a confusion table?", "definitions"),
    Rule("r and p", "Is a correlation's p the one of its n, and does r come out of the two columns beside it?", "t test of a correlation"),
    Rule("significance", "Is what is called significant so by its own p-value, and the reverse?", "the log's own level, .05"),
)  # fmt: skip


def run(log: LogText) -> Iterator[LogFinding]:
    """All rules of this file."""
    for statement in log.statements:
        if any(x.kind == "p" for x in statement.numbers):
            yield from _p_values(log, statement)
            yield from _significance(statement)
        yield from _means(log, statement)
        for x in statement.numbers:
            if x.low is not None and x.high is not None and x.kind in ("count", "percent", "mean", "number"):
                yield from _interval(
                    x, n_of_number(log, statement, x), statement.text, f"'{_short(statement.text)}'", statement.source
                )
            if x.kind == "r":
                yield from _correlation(log, statement, x)
    for table in log.tables:
        if len(table.rows) <= 2000:
            yield from _table(log, table)


def agrees(p: float, said: Number) -> bool:
    """Whether a p-value is the one that is printed, with its rounding or its bound.

    >>> agrees(0.0004, Number("p", 0.001, 0.001, "p < .001", bound="<")), agrees(0.054, Number("p", 0.05, 0.01, "p = .05"))
    (True, True)
    """
    if said.bound == "<":
        return p <= said.value + 1e-12
    if said.bound == ">":
        return p >= said.value - 1e-12
    slack = said.step / 2 if said.bound != "~" else max(said.step, 0.3 * said.value)
    if said.value == 0:
        return p < said.step
    return abs(p - said.value) <= slack + 1e-9


def _truncates(p: float, said: Number) -> bool:
    return not said.bound and abs(p - said.value) <= said.step + 1e-9


@lru_cache(maxsize=4096)
def p_options(a: int, n: int, b: int, m: int, rare: bool = True) -> tuple[tuple[str, float], ...]:
    """The p-value of every test of two rates that could be meant; the rare exact ones take a while."""
    from scipy import stats

    from workbench.statistics.rates import fisher, two_proportion_z

    options = [("Fisher", fisher(a, n, b, m)), ("z", two_proportion_z(a, n, b, m))]
    table = [[a, n - a], [b, m - b]]
    for name, side in (("one-sided Fisher", "less"), ("one-sided Fisher", "greater")):
        options.append((name, float(stats.fisher_exact(table, alternative=side)[1])))
    options.append(("one-sided z", options[1][1] / 2))
    if 0 < a + b < n + m:
        options.append(("χ² with Yates", float(stats.chi2_contingency(table, correction=True).pvalue)))
        options.append(
            (
                "likelihood ratio",
                float(stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").pvalue),
            )
        )
        pa, pb = a / n, b / m
        error = math.sqrt(pa * (1 - pa) / n + pb * (1 - pb) / m)
        if error > 0:
            z = abs(pa - pb) / error
            options.append(("unpooled z", float(2 * stats.norm.sf(z))))
            options.append(("one-sided unpooled z", float(stats.norm.sf(z))))
            sample = math.sqrt(pa * (1 - pa) / max(n - 1, 1) + pb * (1 - pb) / max(m - 1, 1))
            options.append(("t of 0/1 scores", float(2 * stats.t.sf(abs(pa - pb) / sample, n + m - 2))))
        point = float(stats.hypergeom.pmf(a, n + m, a + b, n))
        options.append(("mid-p Fisher", max(options[0][1] - point / 2, 0.0)))
    if rare and n + m <= 120:
        options.append(("Barnard", float(stats.barnard_exact(table).pvalue)))
        options.append(("Boschloo", float(stats.boschloo_exact(table).pvalue)))
    return tuple(options)


@lru_cache(maxsize=1024)
def mcnemar_options(a: int, b: int, n: int) -> tuple[float, ...]:
    """Every p-value that McNemar's test, exact, mid-p or χ², can give for paired counts a and b of n."""
    from scipy import stats

    from workbench.statistics.paired import mcnemar_counts

    values: list[float] = []
    for lost in range(max(0, a - b), min(a, n - b) + 1):
        gained = b - a + lost
        if gained < 0 or gained + lost == 0:
            continue
        k, total = min(gained, lost), gained + lost
        exact = mcnemar_counts(gained, lost)
        values += [exact, exact / 2, exact - float(stats.binom.pmf(k, total, 0.5))]
        values += [
            float(stats.chi2.sf((gained - lost) ** 2 / total, 1)),
            float(stats.chi2.sf(max(abs(gained - lost) - 1, 0) ** 2 / total, 1)),
        ]
    return tuple(values)


def _statistic_of_rates(log: LogText, statement: Statement, x: Number) -> Iterator[LogFinding]:
    """A χ² or z against the two counts of its sentence."""
    rates = [r for r in rates_of(log, statement) if r[0].start < x.start]
    if (
        x.kind not in ("chi2", "z")
        or len(rates) != 2
        or (x.kind == "chi2" and x.degrees[0] != 1)
        or any(r[3] not in ("cell", "sentence") for r in rates)
    ):
        return
    from scipy import stats

    (_, a, n, _), (_, b, m, _) = rates
    if not 0 < a + b < n + m:
        return
    table = [[a, n - a], [b, m - b]]
    squares = [float(stats.chi2_contingency(table, correction=c).statistic) for c in (False, True)]
    values = squares if x.kind == "chi2" else [math.sqrt(v) for v in squares]
    pa, pb = a / n, b / m
    if (error := math.sqrt(pa * (1 - pa) / n + pb * (1 - pb) / m)) > 0:
        unpooled = abs(pa - pb) / error
        values.append(unpooled if x.kind == "z" else unpooled**2)
    off = min(abs(v - abs(x.value)) for v in values)
    yield LogFinding(
        grade_of(off, x.step),
        "p of two rates",
        f"'{_short(statement.text)}': {a}/{n} and {b}/{m} give {values[0]:.3g}, not {x}",
        x.line,
        statement.source,
        tuple(values),
    )


_NAMED = re.compile(r"fisher|chi|χ|yates|mcnemar|barnard|boschloo|z[- ]test|binomial|proportion", re.IGNORECASE)
_OTHER = re.compile(
    r"t[- ]test|anova|regress|mixed|wilcoxon|mann|permut|bootstrap|log-?rank|spearman|pearson|correl|adjusted|corrected|bonferroni|holm|interaction|trend|cochran|kruskal|delong|cox|hazard|bayes",  # noqa: E501
    re.IGNORECASE,
)


def _p_values(log: LogText, statement: Statement) -> Iterator[LogFinding]:
    text, source = statement.text, statement.source
    ps = [x for x in statement.numbers if x.kind == "p"]
    tests = [x for x in statement.numbers if x.kind in ("t", "F", "chi2", "z", "r") and (x.degrees or x.kind == "z")]
    used: set[int] = set()
    for statistic in tests:
        after = [p for p in ps if p.start >= statistic.end and p.start - statistic.end < 40]
        if not after:
            continue
        p = after[0]
        used.add(p.start)
        yield from _statistic_of_rates(log, statement, statistic)
        yield from statistic_p(statistic, p, f"'{_short(text)}'", source)
    for p in ps:
        if p.start in used or not 0 <= p.value <= 1:
            continue
        rates = rates_of(log, statement)
        before = [r for r in rates if r[0].start < p.start] or rates
        if len(before) > 2 and len(ps) > 1:
            previous = max((q.end for q in ps if q.end <= p.start), default=0)
            before = [r for r in before if r[0].start >= previous]
        if len(before) == 2:
            (_, a, n, where_a), (_, b, m, where_b) = before
            sure = all(w in ("cell", "sentence") for w in (where_a, where_b))
            yield from two_rates_p(a, n, b, m, p, text, f"'{_short(text)}'", source, sure)
        elif len(before) == 1 and re.search(
            r"chance|binomial|against (?:50|half|0?\.5)|vs\.? (?:50|0?\.5|half)|sign test", text, re.IGNORECASE
        ):
            _, k, n, _ = before[0]
            yield from _one_rate_p(k, n, p, text, source)


def two_rates_p(
    a: int, n: int, b: int, m: int, p: Number, text: str, what: str, source: str, sure: bool = True
) -> Iterator[LogFinding]:
    """A printed p-value against every test of two rates that could be meant."""
    if _OTHER.search(text) and not _NAMED.search(text):
        return
    if not (0 <= a <= n and 0 <= b <= m and n and m):
        return
    options = p_options(a, n, b, m, rare=False)
    if not any(agrees(value, p) for _, value in options):
        options = p_options(a, n, b, m)
    fitting = [name for name, value in options if agrees(value, p)]
    head = dict(options)
    listed = ", ".join(f"{name} {head[name]:.2g}" for name in ("Fisher", "z") if name in head)
    numbers = (head["Fisher"], head["z"])
    named = _named_tests(text)
    if fitting and named and not any(name in named for name in fitting):
        grade: Grade = "slip" if any(_truncates(v, p) for name, v in options if name in named) else "weak"
        said = ", ".join(f"{name} {v:.2g}" for name, v in options if name in named)
        yield LogFinding(
            grade,
            "p of two rates",
            f"{what}: the test that is named gives {said}; {p} is that of {fitting[0]}",
            p.line,
            source,
            numbers,
        )
        return
    if fitting:
        yield LogFinding("holds", "p of two rates", what, p.line, source, numbers)
        return
    if (
        n == m
        and not re.search(r"fisher|χ|chi|z[- ]test|independent|unpaired", text, re.IGNORECASE)
        and any(agrees(v, p) for v in mcnemar_options(a, b, n))
    ):
        yield LogFinding("holds", "p of two rates", f"{what}: McNemar", p.line, source, numbers)
        return
    values = [v for _, v in options]
    if p.bound == "":
        far = p.value > 2 * max(values) or p.value < min(values) / 2
    else:
        far = (p.bound == "<" and min(values) > 1.5 * p.value) or (p.bound == ">" and max(values) < p.value / 1.5)
    close = [v for name, v in options if not named or name in named]
    if any(_truncates(v, p) for v in close):
        grade = "slip"
    else:
        grade = (
            "error" if sure and (far or _NAMED.search(text) or (min(values) - 0.05) * (p.value - 0.05) < 0) else "weak"
        )
    yield LogFinding(
        grade,
        "p of two rates",
        f"{what}: no test of {a}/{n} against {b}/{m} gives {p}: {listed}",
        p.line,
        source,
        numbers,
    )


def _named_tests(text: str) -> set[str]:
    low = text.lower()
    names: set[str] = set()
    if "fisher" in low:
        names |= (
            {"Fisher", "one-sided Fisher", "mid-p Fisher"}
            if not re.search(r"two-(?:sided|tailed)", low)
            else {"Fisher"}
        )
    if "mcnemar" in low:
        return set()
    if re.search(r"yates", low):
        names.add("χ² with Yates")
    elif re.search(r"χ|chi", low):
        names |= {"z", "χ² with Yates", "likelihood ratio"}
    if re.search(r"z[- ]test", low):
        names |= {"z", "one-sided z", "unpooled z", "one-sided unpooled z"}
    return names


def _one_rate_p(k: int, n: int, p: Number, text: str, source: str) -> Iterator[LogFinding]:
    from scipy import stats

    chance = 0.5
    if m := re.search(r"chance[^.;]{0,12}?(\d+(?:\.\d+)?)\s?%", text):
        chance = float(m[1]) / 100
    values = [
        float(stats.binomtest(k, n, chance, alternative=side).pvalue) for side in ("two-sided", "greater", "less")
    ]
    z = (k / n - chance) / math.sqrt(chance * (1 - chance) / n)
    values += [float(2 * stats.norm.sf(abs(z))), float(stats.norm.sf(abs(z)))]
    grade: Grade = (
        "holds" if any(agrees(v, p) for v in values) else "slip" if any(_truncates(v, p) for v in values) else "error"
    )
    yield LogFinding(
        grade,
        "p of one rate",
        f"'{_short(text)}': {k} of {n} against {100 * chance:g}% has the binomial p {values[0]:.2g}, not {p}",
        p.line,
        source,
        (values[0],),
    )


def statistic_p(x: Number, p: Number, what: str, source: str) -> Iterator[LogFinding]:
    """A p-value against its statistic, one- or two-sided, over what the statistic's rounding leaves open."""
    from scipy import stats

    low, high = max(abs(x.value) - x.step / 2, 0), abs(x.value) + x.step / 2

    def two_sided(v: float) -> float:
        if x.kind == "t":
            return float(2 * stats.t.sf(v, x.degrees[0]))
        if x.kind == "F":
            return float(stats.f.sf(v, *x.degrees))
        if x.kind == "chi2":
            return float(stats.chi2.sf(v, x.degrees[0]))
        if x.kind == "z":
            return float(2 * stats.norm.sf(v))
        df, r = x.degrees[0], min(v, 0.9999999)
        return float(2 * stats.t.sf(r * math.sqrt(df / (1 - r * r)), df))

    try:
        top, bottom, middle = two_sided(low), two_sided(high), two_sided(abs(x.value))
    except (ValueError, IndexError, ZeroDivisionError):
        return
    sides = (
        (1.0, 0.5)
        if x.kind in ("t", "z", "r")
        or (x.kind == "F" and x.degrees[0] == 1)
        or (x.kind == "chi2" and x.degrees[0] == 1)
        else (1.0,)
    )
    for side in sides:
        least, most = bottom * side, top * side
        slack = p.step / 2
        if (
            (p.bound == "<" and least <= p.value + 1e-12)
            or (p.bound == ">" and most >= p.value - 1e-12)
            or (p.bound == "~" and least * 0.7 <= p.value <= most * 1.3 + p.step)
            or (not p.bound and least - slack - 1e-9 <= p.value <= most + slack + 1e-9)
        ):
            yield LogFinding("holds", "p of a statistic", what, p.line, source, (middle,))
            return
    near = not p.bound and any(bottom * s - p.step - 1e-9 <= p.value <= top * s + p.step + 1e-9 for s in sides)
    yield LogFinding(
        "slip" if near else "error",
        "p of a statistic",
        f"{what}: {x} has p = {middle:.3g}, not {p}",
        p.line,
        source,
        (middle,),
    )


def _significance(statement: Statement) -> Iterator[LogFinding]:
    text = statement.text
    ps = [x for x in statement.numbers if x.kind == "p"]
    if len(ps) != 1 or re.search(
        r"significance (?:level|threshold)|alpha|α\s?=|if p|when p|marginal|trend|borderline|uncorrected|before correction|bonferroni|threshold",  # noqa: E501
        text,
        re.IGNORECASE,
    ):
        return
    p = ps[0]
    no = re.search(
        r"\bnot (?:statistically )?significant|non-?significant|insignificant|no (?:statistically )?significant|\bn\.s\.",
        text,
        re.IGNORECASE,
    )
    yes = not no and re.search(r"\bsignifican(?:t|tly|ce)\b", text, re.IGNORECASE)
    above = p.value > 0.05 and p.bound != "<"
    below = p.value < 0.05 and p.bound != ">"
    if yes:
        yield LogFinding(
            "weak" if above and p.value <= 1 else "holds",
            "significance",
            f"'{_short(text)}': called significant at {p}",
            p.line,
            statement.source,
        )
    elif no:
        yield LogFinding(
            "weak" if below else "holds",
            "significance",
            f"'{_short(text)}': called not significant at {p}",
            p.line,
            statement.source,
        )


# ---- means


def t_options(m1: float, s1: float, n1: int, m2: float, s2: float, n2: int) -> list[tuple[str, float, float]]:
    """(name, t, p) of Welch's and Student's test."""
    from scipy import stats

    out = []
    for name, equal in (("Welch", False), ("Student", True)):
        result = stats.ttest_ind_from_stats(m1, s1, n1, m2, s2, n2, equal_var=equal)
        out.append((name, float(result.statistic), float(result.pvalue)))
    return out


def d_options(m1: float, s1: float, m2: float, s2: float, n1: int | None, n2: int | None) -> list[float]:
    """Cohen's d by every standardiser in use: pooled, mean of variances, either SD; and Hedges' g."""
    difference = m1 - m2
    sds = [math.sqrt((s1**2 + s2**2) / 2), s1, s2, (s1 + s2) / 2]
    if n1 and n2 and n1 + n2 > 2:
        pooled = math.sqrt(((n1 - 1) * s1**2 + (n2 - 1) * s2**2) / (n1 + n2 - 2))
        sds = [pooled, *sds]
        factor = 1 - 3 / (4 * (n1 + n2 - 2) - 1)
        sds += [pooled / factor]
    return [difference / s for s in sds if s > 0]


def _d_of(k: int, n1: int | None, n2: int | None) -> Callable[[float, float, float, float], float]:
    return lambda m1, s1, m2, s2: abs(d_options(m1, s1, m2, s2, n1, n2)[k])


def _t_of(k: int, n1: int, n2: int, what: int) -> Callable[[float, float, float, float], float]:
    return lambda m1, s1, m2, s2: abs(t_options(m1, s1, n1, m2, s2, n2)[k][1:][what - 1])


def _means(log: LogText, statement: Statement) -> Iterator[LogFinding]:
    means = [x for x in statement.numbers if x.kind == "mean" and x.spread]
    if len(means) != 2:
        return
    a, b = means
    text = statement.text
    ns = [int(x.value) for x in statement.numbers if x.kind == "n"]
    n1, n2 = (ns[0], ns[1]) if len(ns) == 2 else (ns[0], ns[0]) if len(ns) == 1 else (None, None)
    if len(ns) == 1 and re.search(r"total|overall|N\s?=", text):
        n1 = n2 = None if ns[0] % 2 else ns[0] // 2
    spread_a, spread_b = a.spread or 0.0, b.spread or 0.0
    if "SE" in (a.spread_kind, b.spread_kind):
        if not n1 or not n2:
            return
        spread_a, spread_b = spread_a * math.sqrt(n1), spread_b * math.sqrt(n2)
    elif "CI" in (a.spread_kind, b.spread_kind):
        return
    yield from two_means(
        a, spread_a, n1, b, spread_b, n2, list(statement.numbers), text, f"'{_short(text)}'", statement.source
    )


def two_means(
    a: Number,
    s1: float,
    n1: int | None,
    b: Number,
    s2: float,
    n2: int | None,
    others: list[Number],
    text: str,
    what: str,
    source: str,
) -> Iterator[LogFinding]:
    """t, p and d of two means against what is printed."""
    corners = list(product((-1, 0, 1), repeat=4))

    def over(f: Callable[[float, float, float, float], float]) -> tuple[float, float, float]:
        values = []
        for u, v, w, z in corners:
            values.append(
                f(
                    a.value + u * a.step / 2,
                    max(s1 + v * a.spread_step / 2, 1e-12),
                    b.value + w * b.step / 2,
                    max(s2 + z * b.spread_step / 2, 1e-12),
                )
            )
        return min(values), max(values), f(a.value, s1, b.value, s2)

    for d in (x for x in others if x.kind == "d"):
        middles = d_options(a.value, s1, b.value, s2, n1, n2)
        fits = slips = False
        for k in range(len(middles)):
            low, high, _ = over(_d_of(k, n1, n2))
            fits |= low - d.step / 2 - 1e-9 <= abs(d.value) <= high + d.step / 2 + 1e-9
            slips |= low - d.step - 1e-9 <= abs(d.value) <= high + d.step + 1e-9
        paired = bool(re.search(r"paired|within|repeated|dependent", text, re.IGNORECASE))
        grade: Grade = "holds" if fits else "slip" if slips else "weak" if paired else "error"
        yield LogFinding(
            grade,
            "t of two means",
            f"{what}: the two means and SDs give d = {abs(middles[0]):.2f}, not {d}",
            d.line,
            source,
            (middles[0],),
        )
    if (
        not n1
        or not n2
        or n1 < 2
        or n2 < 2
        or re.search(r"paired|within|repeated|dependent|anova|wilcoxon|mann|permut", text, re.IGNORECASE)
    ):
        return
    for t in (x for x in others if x.kind == "t"):
        results = []
        for k in (0, 1):
            low, high, middle = over(_t_of(k, n1, n2, 1))
            results.append((low, high, middle))
        fits = any(low - t.step / 2 - 1e-9 <= abs(t.value) <= high + t.step / 2 + 1e-9 for low, high, _ in results)
        slips = any(low - t.step <= abs(t.value) <= high + t.step for low, high, _ in results)
        grade = "holds" if fits else "slip" if slips else "error"
        yield LogFinding(
            grade,
            "t of two means",
            f"{what}: means, SDs and n give t = {results[0][2]:.2f} (Welch), not {t}",
            t.line,
            source,
            (results[0][2],),
        )
    for p in (x for x in others if x.kind == "p"):
        if any(x.kind in ("t", "F", "z", "chi2") for x in others):
            continue
        results = []
        for k in (0, 1):
            low, high, middle = over(_t_of(k, n1, n2, 2))
            results.append((low, high, middle))
        fits = any(_between(low * side, high * side, p) for low, high, _ in results for side in (1.0, 0.5))
        grade = (
            "holds"
            if fits
            else "error"
            if not _OTHER.search(text) or "t-test" in text.lower() or "t test" in text.lower()
            else "weak"
        )
        yield LogFinding(
            grade,
            "t of two means",
            f"{what}: means, SDs and n give p = {results[0][2]:.2g} (Welch), not {p}",
            p.line,
            source,
            (results[0][2],),
        )


def _between(low: float, high: float, p: Number) -> bool:
    if p.bound == "<":
        return low <= p.value
    if p.bound == ">":
        return high >= p.value
    return low - p.step / 2 - 1e-9 <= p.value <= high + p.step / 2 + 1e-9


# ---- intervals


def interval_options(k: int, n: int, level: float) -> list[tuple[str, float, float]]:
    """The interval of a proportion by every method in use, in percent."""
    from statsmodels.stats.proportion import proportion_confint

    alpha = 1 - level / 100
    out = []
    for name, method in (
        ("Wilson", "wilson"),
        ("Clopper-Pearson", "beta"),
        ("normal", "normal"),
        ("Agresti-Coull", "agresti_coull"),
        ("Jeffreys", "jeffreys"),
    ):
        low, high = proportion_confint(k, n, alpha=alpha, method=method)
        out.append((name, 100 * float(low), 100 * float(high)))
    z = _z(level)
    p = k / n
    correction = 1 / (2 * n)
    reach = z * math.sqrt(p * (1 - p) / n)
    out.append(("normal with continuity", 100 * (p - reach - correction), 100 * (p + reach + correction)))
    root = (
        z * math.sqrt(z * z - 1 / n + 4 * n * p * (1 - p) + 4 * p - 2)
        if z * z - 1 / n + 4 * n * p * (1 - p) + 4 * p - 2 >= 0
        else None
    )
    root2 = (
        z * math.sqrt(z * z - 1 / n + 4 * n * p * (1 - p) - 4 * p + 2)
        if z * z - 1 / n + 4 * n * p * (1 - p) - 4 * p + 2 >= 0
        else None
    )
    if root is not None and root2 is not None:
        low = (
            2 * n * p + z * z - 1 - root2
            if False
            else 2 * n * p + z * z - 1 - z * math.sqrt(max(z * z - 2 - 1 / n + 4 * p * (n * (1 - p) + 1), 0))
        ) / (2 * (n + z * z))
        high = (2 * n * p + z * z + 1 + z * math.sqrt(max(z * z + 2 - 1 / n + 4 * p * (n * (1 - p) - 1), 0))) / (
            2 * (n + z * z)
        )
        out.append(("Wilson with continuity", 100 * max(low, 0), 100 * min(high, 1)))
    return out


def _z(level: float) -> float:
    from scipy.stats import norm

    return float(norm.isf((1 - level / 100) / 2))


def _interval(x: Number, given: tuple[int, str] | None, text: str, what: str, source: str) -> Iterator[LogFinding]:
    assert x.low is not None
    assert x.high is not None
    if x.unit == "CI?" and not re.search(r"\bCI\b|interval|wilson|confidence", text, re.IGNORECASE):
        return
    if x.kind == "mean":
        if not given or x.spread is None or x.spread_kind == "CI":
            return
        from scipy import stats

        n = given[0]
        error = x.spread / (math.sqrt(n) if x.spread_kind != "SE" else 1.0)
        reach = (
            x.step / 2 + x.limits_step / 2 + x.spread_step / 2 / (math.sqrt(n) if x.spread_kind != "SE" else 1) * 2.1
        )
        for z in (_z(x.level), float(stats.t.isf((1 - x.level / 100) / 2, max(n - 1, 1)))):
            if abs(x.value - z * error - x.low) <= reach + 1e-9 and abs(x.value + z * error - x.high) <= reach + 1e-9:
                yield LogFinding("holds", "interval", what, x.line, source)
                return
        half, true = (x.high - x.low) / 2, _z(x.level) * error
        wide = half > 1.6 * true or half < true / 1.6
        yield LogFinding(
            "error" if wide and x.spread_kind == "SD" else "weak",
            "interval",
            f"{what}: SD and n give ±{true:.3g}, the interval is ±{half:.3g}",
            x.line,
            source,
            (true,),
        )
        return
    if not given or (x.kind == "number" and not (0 <= x.value <= 1 and 0 <= x.low <= x.high <= 1)):
        return
    if re.search(
        r"\bAUC|auroc|\bd\s?=|cohen|\br\s?=|odds|hazard|\bRR\b|\bOR\b|\bHR\b|kappa|\bF1\b|mean\b|difference|increase|bootstrap|BCa|cluster",
        text,
        re.IGNORECASE,
    ):
        return
    scale = 1.0 if x.kind in ("percent", "count") and x.high > 1 else 100.0
    value = x.percent if x.kind in ("percent", "count") else 100 * x.value
    n = given[0]
    low, high, step = x.low * scale, x.high * scale, x.limits_step * scale
    half_step = (x.step if x.kind == "percent" else 0.0 if x.kind == "count" else 100 * x.step) / 2
    ks = [k for k in range(n + 1) if abs(100 * k / n - value) <= half_step + 1e-9] if n <= 20000 else []
    ks = ks or [min(max(round(value * n / 100), 0), n)]
    if len(ks) > 60:
        ks = [ks[0], ks[len(ks) // 2], ks[-1]]
    best: tuple[float, str, float, float] | None = None
    for k in ks:
        for name, a, b in interval_options(k, n, x.level):
            for u, v in ((a, b), (max(a, 0.0), min(b, 100.0))):
                apart = max(abs(u - low), abs(v - high))
                if best is None or apart < best[0]:
                    best = apart, name, u, v
    assert best is not None
    off, name, a, b = best
    wilson = interval_options(ks[len(ks) // 2], n, x.level)[0]
    if off <= step / 2 + 1e-9 + (step * 0.05):
        yield LogFinding("holds", "interval", f"{what}: {name}", x.line, source)
    else:
        grade: Grade = (
            "slip"
            if off <= step + 0.05
            else "error"
            if given[1] in ("cell", "column", "sentence", "header", "caption") and off > 2 * step
            else "weak"
        )
        sentence = f"{what}: {value:.4g}% of {n} has the interval {wilson[1]:.1f} to {wilson[2]:.1f}% (Wilson), not {low:g} to {high:g}%"
        yield LogFinding(grade, "interval", sentence, x.line, source, (wilson[1], wilson[2]))


# ---- correlations


def _correlation(log: LogText, statement: Statement, x: Number) -> Iterator[LogFinding]:
    from scipy import stats

    if abs(x.value) > 1:
        return
    text, source = statement.text, statement.source
    ps = [p for p in statement.numbers if p.kind == "p" and p.start >= x.end and p.start - x.end < 60]
    given = [int(y.value) for y in statement.numbers if y.kind == "n"]
    if ps and given and not x.degrees and len(set(given)) == 1 and given[0] > 2:
        n, p = given[0], ps[0]
        values = []
        for r in (abs(x.value) - x.step / 2, abs(x.value) + x.step / 2):
            r = min(max(r, 0.0), 0.9999999)
            values.append(float(2 * stats.t.sf(r * math.sqrt((n - 2) / (1 - r * r)), n - 2)))
        low, high = min(values), max(values)
        if any(_between(low * s, high * s, p) for s in (1.0, 0.5)):
            grade: Grade = "holds"
        elif re.search(r"spearman|kendall|ρ|τ|rho|permut", text, re.IGNORECASE) and n < 30:
            grade = "holds" if low / 3 <= p.value <= 3 * high or p.bound else "weak"
        else:
            grade = "slip" if _between(low - p.step / 2, high + p.step / 2, p) else "error"
        yield LogFinding(
            grade,
            "r and p",
            f"'{_short(text)}': {x} over {n} has p = {(low + high) / 2:.2g}, not {p}",
            x.line,
            source,
            (low, high),
        )
    from workbench.claims.rules.finding import stems

    words = stems(text)
    for table in log.tables:
        if table.section != statement.section or table.source != source or len(table.rows) < 3:
            continue
        first = [] if table.label_column is None else [table.label_column]
        named = [
            j
            for j in (*first, *table.value_columns)
            if stems(table.columns[j])
            and stems(table.columns[j]) <= words
            and all(c is not None for c in table.column(j))
        ]
        if len(named) != 2:
            continue
        a, b = ([c.value for c in table.column(j) if c] for j in named)
        if len(set(a)) < 2 or len(set(b)) < 2:
            continue
        options = [float(stats.pearsonr(a, b)[0]), float(stats.spearmanr(a, b)[0]), float(stats.kendalltau(a, b)[0])]
        off = min(abs(o - x.value) for o in options)
        grade = (
            "holds"
            if off <= x.step / 2 + 0.02
            else "slip"
            if off <= x.step + 0.02
            else "error"
            if len(a) >= 3
            else "weak"
        )
        yield LogFinding(
            grade,
            "r and p",
            f"'{_short(text)}': the columns {table.columns[named[0]]} and {table.columns[named[1]]} have r = {options[0]:.2f}, ρ = {options[1]:.2f}, not {x}",  # noqa: E501
            x.line,
            source,
            tuple(options),
        )


# ---- tables


def _one(table: LogTable, pattern: str) -> int | None:
    columns = [j for j in table.value_columns if re.search(pattern, table.columns[j], re.IGNORECASE)]
    return columns[0] if len(columns) == 1 else None


def _table(log: LogText, table: LogTable) -> Iterator[LogFinding]:
    p_column = _one(table, r"^\W*p(?:[- _]?val(?:ue)?s?)?\W*$|^p[ _(]|fisher(?:'s)? (?:exact )?p\b|\bp[- _]?value")
    named = parts(table)
    text = f"{table.title} {' '.join(table.columns)}"
    for i, row in enumerate(table.numbers):
        what = table.label(i) or f"row {i + 1}"
        line = table.row_lines[i]
        p = row[p_column] if p_column is not None else None
        if p is not None and p.kind in ("number", "p") and 0 <= p.value <= 1:
            said = Number("p", p.value, p.step, p.text if p.kind == "p" else f"p = {p.text}", line=line, bound=p.bound)
            counts = [c for c in row if c is not None and c.kind == "count"]
            rates = [(int(c.value), c.n, True) for c in counts if c.n]
            if not rates:
                for j in table.value_columns:
                    c = row[j]
                    if (
                        c is not None
                        and c.kind == "percent"
                        and not c.signed
                        and 0 <= c.value <= 100
                        and (given := n_of_cell(log, table, i, j))
                    ):
                        rates.append(
                            (
                                round(c.value * given[0] / 100),
                                given[0],
                                given[1] in ("cell", "column", "header", "caption") and c.step * given[0] < 100,
                            )
                        )
            if not rates:
                rates = [(k, n, True) for k, n in _count_columns(table, i)]
            statistic = _statistic_column(table, i, text)
            if statistic:
                yield from statistic_p(statistic, said, what, table.source)
            elif len(rates) == 2 and not any(c is not None and c.spread is not None for c in row):
                (a, n, sure), (b, m, sure2) = rates
                if n and m:
                    yield from two_rates_p(a, n, b, m, said, text, what, table.source, sure and sure2)
            else:
                yield from _row_means(log, table, i, [said], text, what)
        d_column = _one(table, r"cohen|^d$|hedges|effect size \(d\)")
        if d_column is not None and (d := row[d_column]) is not None and p is None:
            yield from _row_means(log, table, i, [Number("d", d.value, d.step, f"d = {d.text}", line=line)], text, what)
        for j in table.value_columns:
            x = row[j]
            if x is not None and x.low is not None and x.kind in ("percent", "count", "number", "mean"):
                yield from _interval(x, n_of_cell(log, table, i, j), f"{text} CI", what, table.source)
        yield from _limit_columns(log, table, i, named, text, what)
        ci = [
            j
            for j in range(len(table.columns))
            if re.search(r"\bCI\b|interval|wilson", table.columns[j], re.IGNORECASE)
        ]
        if len(ci) == 1:
            yield from _ci_column(log, table, i, ci[0], text, what)
    yield from _confusion(log, table)
    if len(table.rows) == 2 and {"mean", "sd"} <= set(named):
        yield from _two_rows(log, table, named)


def _two_rows(log: LogText, table: LogTable, named: dict[str, int]) -> Iterator[LogFinding]:
    """Two groups in two rows, against the t, p and d of a sentence of the section."""
    from dataclasses import replace

    cells = [
        (table.numbers[i][named["mean"]], table.numbers[i][named["sd"]], n_of_cell(log, table, i, named["mean"]))
        for i in (0, 1)
    ]
    said = [
        s
        for s in log.statements
        if s.section == table.section and s.source == table.source and any(x.kind in ("t", "d") for x in s.numbers)
    ]
    if len(said) != 1 or any(m is None or sd is None or n is None for m, sd, n in cells):
        return
    (m1, s1, n1), (m2, s2, n2) = cells
    if m1 and m2 and s1 and s2 and n1 and n2:
        first, second = (
            replace(m1, spread=s1.value, spread_step=s1.step),
            replace(m2, spread=s2.value, spread_step=s2.step),
        )
        what = f"'{_short(said[0].text)}'"
        yield from two_means(
            first, s1.value, n1[0], second, s2.value, n2[0], list(said[0].numbers), said[0].text, what, table.source
        )


def _count_columns(table: LogTable, i: int) -> list[tuple[int, int]]:
    """Counts and denominators in columns such as "base k", "base n", "steered k", "steered n"."""
    ns = n_columns(table)
    pairs = []
    for n in ns:
        before = [j for j in table.value_columns if j < n and j not in ns]
        if (
            before
            and (k := table.numbers[i][before[-1]])
            and (m := table.numbers[i][n])
            and k.kind == "number"
            and k.step >= 1
            and k.value <= m.value
        ):
            pairs.append((int(k.value), int(m.value)))
    return pairs


def _statistic_column(table: LogTable, i: int, text: str) -> Number | None:
    df = _one(table, r"^(?:df|d\.f\.|degrees of freedom)$")
    kinds: tuple[tuple[Kind, str], ...] = (
        ("t", r"^t(?:[- ]?(?:stat(?:istic)?|value))?$"),
        ("z", r"^z(?:[- ]?(?:stat(?:istic)?|value|score))?$"),
        ("chi2", r"^(?:χ²|χ2|chi2|chi-?squared?|x2)$"),
    )
    for kind, pattern in kinds:
        j = _one(table, pattern)
        x = table.numbers[i][j] if j is not None else None
        if x is None:
            continue
        degrees: tuple[float, ...] = ()
        if kind != "z":
            d = table.numbers[i][df] if df is not None else None
            if d is None:
                return None
            degrees = (d.value,)
        return Number(
            kind, x.value, x.step, f"{table.columns[j or 0]} = {x.text}", line=table.row_lines[i], degrees=degrees
        )
    return None


def _row_means(
    log: LogText, table: LogTable, i: int, others: list[Number], text: str, what: str
) -> Iterator[LogFinding]:
    from dataclasses import replace

    row = table.numbers[i]
    means = [(j, row[j]) for j in table.value_columns if row[j] is not None and row[j].spread is not None]  # type: ignore[union-attr]
    if len(means) == 2:
        (j1, a), (j2, b) = means
        assert a is not None
        assert b is not None
        if not re.search(r"\bSD\b|std|standard dev|±", text + log_text(a)) or re.search(
            r"\bSEM?\b|standard error", text
        ):
            return
        n1, n2 = n_of_cell(log, table, i, j1), n_of_cell(log, table, i, j2)
        yield from two_means(
            a,
            a.spread or 0,
            n1[0] if n1 else None,
            b,
            b.spread or 0,
            n2[0] if n2 else None,
            others,
            text,
            what,
            table.source,
        )
        return
    mean_columns = [
        j for j in table.value_columns if re.search(r"mean|\bM\b|avg|average", table.columns[j], re.IGNORECASE)
    ]
    sd_columns = [j for j in table.value_columns if re.search(r"\bSD\b|std", table.columns[j], re.IGNORECASE)]
    if len(mean_columns) == len(sd_columns) == 2:
        cells = [row[j] for j in (*mean_columns, *sd_columns)]
        if all(c is not None for c in cells):
            a, b, s, t = cells
            assert a
            assert b
            assert s
            assert t
            n1, n2 = n_of_cell(log, table, i, mean_columns[0]), n_of_cell(log, table, i, mean_columns[1])
            a, b = replace(a, spread=s.value, spread_step=s.step), replace(b, spread=t.value, spread_step=t.step)
            yield from two_means(
                a, s.value, n1[0] if n1 else None, b, t.value, n2[0] if n2 else None, others, text, what, table.source
            )


def log_text(x: Number) -> str:
    """The text of a number, for what is said beside it."""
    return x.text


def _limit_columns(
    log: LogText, table: LogTable, i: int, named: dict[str, int], text: str, what: str
) -> Iterator[LogFinding]:
    from dataclasses import replace

    if "low" not in named or "high" not in named:
        return
    low, high = table.numbers[i][named["low"]], table.numbers[i][named["high"]]
    if low is None or high is None:
        return
    for j in table.value_columns:
        x = table.numbers[i][j]
        if j in (named["low"], named["high"]) or x is None or j in n_columns(table):
            continue
        rate = x.kind in ("percent", "count") or (
            x.kind == "number"
            and 0 <= x.value <= 1
            and re.search(
                r"rate|accura|share|prop|success|refus|mean|estimate|value|^p$|p_?hat|^acc",
                table.columns[j],
                re.IGNORECASE,
            )
        )
        if not rate:
            continue
        outside = (
            not low.value - low.step <= (x.percent if x.kind == "count" else x.value) <= high.value + high.step
            and x.kind != "count"
        )
        if outside:
            yield LogFinding(
                "error",
                "order",
                f"{what}: {x} is not inside its own interval {low} to {high}",
                table.row_lines[i],
                table.source,
            )
            return
        given = n_of_cell(log, table, i, j) or next(((n, "column") for _, n in _count_columns(table, i)), None)
        number = replace(x, low=low.value, high=high.value, limits_step=max(low.step, high.step), unit="CI")
        yield from _interval(number, given, text + " CI", what, table.source)
        return


def _ci_column(log: LogText, table: LogTable, i: int, j: int, text: str, what: str) -> Iterator[LogFinding]:
    from dataclasses import replace

    from workbench.claims.log_numbers import read_numbers, step_of

    cell = table.rows[i][j]
    m = re.search(r"(-?\d*\.?\d+)\s?%?\s?(?:,|;|to|-|–|—)\s?(-?\d*\.?\d+)", cell.replace("−", "-"))
    before = [k for k in table.value_columns if k < j]
    if not m or not before or read_numbers(cell) == []:
        return
    rates = [
        k
        for k in before
        if (c := table.numbers[i][k])
        and (c.kind in ("percent", "count") or (c.kind == "number" and 0 <= c.value <= 1 and c.step < 1))
    ]
    if not rates:
        return
    x = table.numbers[i][rates[-1]]
    assert x is not None
    level = float(lv[1]) if (lv := re.search(r"(\d\d(?:\.\d)?)\s?%", table.columns[j])) else 95.0
    number = replace(
        x, low=float(m[1]), high=float(m[2]), level=level, limits_step=max(step_of(m[1]), step_of(m[2])), unit="CI"
    )
    value, scale = number.percent if x.kind == "count" else x.value, 1.0
    assert number.low is not None
    assert number.high is not None
    if x.kind in ("percent", "count") and number.high <= 1 < value:
        scale = 100.0
    slack = max(number.limits_step * scale, x.step)
    if not number.low * scale - slack <= value <= number.high * scale + slack:
        yield LogFinding(
            "error", "order", f"{what}: {x} is not inside its own interval {cell}", table.row_lines[i], table.source
        )
        return
    yield from _interval(number, n_of_cell(log, table, i, rates[-1]), text + " CI", what, table.source)


def _confusion(log: LogText, table: LogTable) -> Iterator[LogFinding]:
    """A square table of counts whose rows and columns have the same names, against κ and agreement in its section."""

    def name(text: str) -> str:
        return re.sub(
            r"\b(?:predicted|pred|actual|true|rater|judge|human|annotator|scorer|says|a|b|1|2)\b|[^a-z]",
            " ",
            text.lower(),
        ).strip()

    total = re.compile(r"^total|^sum|^all$", re.IGNORECASE)
    columns = [j for j in table.value_columns if not total.search(table.columns[j])]
    rows = [i for i in range(len(table.rows)) if not total.search(table.label(i))]
    if not 2 <= len(columns) == len(rows) <= 8 or [name(table.columns[j]) for j in columns] != [
        name(table.label(i)) for i in rows
    ]:
        return
    cells = [[table.numbers[i][j] for j in columns] for i in rows]
    if any(c is None or c.step < 1 or c.value < 0 or c.kind not in ("number", "n") for r in cells for c in r):
        return
    said = [
        (s, x) for s in log.statements if s.section == table.section and s.source == table.source for x in s.numbers
    ]
    if not said:
        return
    import numpy as np
    from statsmodels.stats.inter_rater import cohens_kappa

    counts = np.array([[c.value for c in r if c] for r in cells])
    if not counts.sum():
        return
    with np.errstate(all="ignore"):
        kappa = float(cohens_kappa(counts).kappa)
    agreement = float(np.trace(counts) / counts.sum())
    for s, x in said:
        value = None
        if x.kind == "kappa" and not re.search(r"weighted|fleiss", s.text, re.IGNORECASE):
            value, rule = kappa, "kappa"
        elif (
            x.kind in ("percent", "number")
            and x.successes is None
            and not x.bound
            and re.search(r"\bagreement\b|\baccuracy\b|\bagree\b", s.text, re.IGNORECASE)
            and (x.kind == "percent" or 0 < x.value < 1)
        ):
            value, rule = agreement * (100 if x.kind == "percent" else 1), "confusion"
        if value is not None and sum(y.kind == x.kind for y in s.numbers) == 1:
            yield LogFinding(
                grade_of(abs(value - x.value), x.step),
                rule,
                f"'{_short(s.text)}': the table gives {shown(value, x.step)}, not {x}",
                x.line,
                s.source,
                (value,),
            )
