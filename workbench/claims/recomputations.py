"""Every p-value, statistic, interval and effect size that could be meant by the numbers beside it."""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from workbench.claims.feasible import nearest_count
from workbench.claims.rounding import Printed

Options = tuple[tuple[str, float], ...]


class Span(NamedTuple):
    """What a number may be while those it is made of are rounded: at their printed values, at the least, at the most."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Span":
        """A span of the number times a factor above 0."""
        return Span(*(factor * v for v in self))


# ---- two rates


@lru_cache(maxsize=4096)
def p_of_two_rates(a: int, n: int, b: int, m: int, rare: bool = True) -> Options:
    """The p-value of every test of two rates that could be meant, by its name; the rare exact ones take a while."""
    from scipy import stats

    from workbench.statistics.rates import fisher

    table = [[a, n - a], [b, m - b]]
    both = 0 < a + b < n + m
    two_sided = fisher(a, n, b, m)
    z = float(stats.chi2_contingency(table, correction=False).pvalue) if both else 1.0
    options = [("Fisher", two_sided), ("z", z)]
    options += [("one-sided Fisher", fisher(a, n, b, m, side)) for side in ("less", "greater")]
    options += [("one-sided z", z / 2)]
    if both:
        options.append(("χ² with Yates", float(stats.chi2_contingency(table).pvalue)))
        g = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
        options.append(("likelihood ratio", float(g.pvalue)))
        if unpooled := _unpooled_z(a, n, b, m):
            p = float(2 * stats.norm.sf(unpooled))
            options += [("unpooled z", p), ("one-sided unpooled z", p / 2)]
            sample = _unpooled_z(a, n, b, m, lost=1)
            options.append(("t of 0/1 scores", float(2 * stats.t.sf(sample, n + m - 2))))
        point = float(stats.hypergeom.pmf(a, n + m, a + b, n))
        options.append(("mid-p Fisher", max(two_sided - point / 2, 0.0)))
    if rare and n + m <= 120:
        options.append(("Barnard", float(stats.barnard_exact(table).pvalue)))
        options.append(("Boschloo", float(stats.boschloo_exact(table).pvalue)))
    return tuple(options)


def _unpooled_z(a: int, n: int, b: int, m: int, lost: int = 0) -> float:
    """The difference of two rates over its unpooled standard error, or its sample's; 0 where that is none."""
    variances = [p * (1 - p) / max(size - lost, 1) for p, size in ((a / n, n), (b / m, m))]
    return abs(a / n - b / m) / math.sqrt(sum(variances)) if sum(variances) > 0 else 0.0


def p_of_changes(b: int, c: int) -> Options:
    """McNemar's p-values of b changes one way and c the other, by name: exact, one-sided, mid-p, χ² with and without correction.

    >>> [(name, round(p, 3)) for name, p in p_of_changes(12, 2)[:3]]
    [('McNemar', 0.013), ('one-sided McNemar', 0.006), ('mid-p McNemar', 0.007)]
    """
    from scipy.special import bdtr, chdtrc

    least, total = min(b, c), b + c
    if not total:
        return (("McNemar", 1.0),)
    fewer, at_most = (float(bdtr(k, total, 0.5)) if k >= 0 else 0.0 for k in (least - 1, least))
    exact = min(2 * at_most, 1.0)
    squares = {"χ² of McNemar": 0.0, "corrected McNemar": 1.0, "half-corrected McNemar": 0.5}
    corrected = ((name, float(chdtrc(1, max(abs(b - c) - cut, 0) ** 2 / total))) for name, cut in squares.items())
    middle = at_most + fewer if b != c else exact
    return ("McNemar", exact), ("one-sided McNemar", exact / 2), ("mid-p McNemar", middle), *corrected


@lru_cache(maxsize=1024)
def p_of_mcnemar(a: int, b: int, n: int) -> Options:
    """Every p-value that McNemar's test, exact, mid-p or χ², can give for paired counts a and b of n."""
    options: list[tuple[str, float]] = []
    for lost in range(max(0, a - b), min(a, n - b) + 1):
        gained = b - a + lost
        if gained >= 0 and gained + lost:
            options += p_of_changes(gained, lost)[:5]  # the half-corrected one is rare, and there are many pairs here
    return tuple(options)


def statistics_of_two_rates(kind: str, a: int, n: int, b: int, m: int) -> list[float]:
    """The χ² (with and without Yates) or z of two rates, pooled and not."""
    from scipy import stats

    table = [[a, n - a], [b, m - b]]
    squares = [float(stats.chi2_contingency(table, correction=c).statistic) for c in (False, True)]
    squares += [z**2] if (z := _unpooled_z(a, n, b, m)) else []
    return squares if kind == "chi2" else [math.sqrt(v) for v in squares]


def p_of_one_rate(k: int, n: int, chance: float) -> Options:
    """The binomial and z tests of a rate against chance, one- and two-sided."""
    from scipy import stats

    sides = ("two-sided", "greater", "less")
    exact = [("binomial", float(stats.binomtest(k, n, chance, alternative=side).pvalue)) for side in sides]
    z = abs(k / n - chance) / math.sqrt(chance * (1 - chance) / n)
    one = float(stats.norm.sf(z))
    return (*exact, ("z", 2 * one), ("one-sided z", one))


@lru_cache(maxsize=4096)
def interval_of_rate(k: int, n: int, level: float) -> list[tuple[str, float, float]]:
    """The interval of a proportion by every method in use, in percent (Brown, Cai and DasGupta 2001).

    >>> [(name, round(low, 1), round(high, 1)) for name, low, high in interval_of_rate(40, 50, 95)[:2]]
    [('Wilson', 67.0, 88.8), ('Clopper-Pearson', 66.3, 90.0)]
    """
    from scipy.special import betaincinv

    share, z, tail = k / n, z_of(level), (1 - level / 100) / 2
    exact = (
        betaincinv(k, n - k + 1, tail) if k else 0.0,
        betaincinv(k + 1, n - k, 1 - tail) if k < n else 1.0,
    )
    half, continuity = z * math.sqrt(share * (1 - share) / n), 1 / (2 * n)
    middle = (k + z * z / 2) / (n + z * z)
    agresti = z * math.sqrt(middle * (1 - middle) / (n + z * z))
    limits = [
        ("Wilson", *_wilson(k, n, z)),
        ("Clopper-Pearson", *exact),
        ("Wilson with continuity", _wilson(k, n, z, 0.5)[0] if k else 0.0, _wilson(k, n, z, 0.5)[1] if k < n else 1.0),
        ("normal", share - half, share + half),
        ("normal with continuity", share - half - continuity, share + half + continuity),
        ("Agresti-Coull", middle - agresti, middle + agresti),
        ("Jeffreys", *(betaincinv(k + 0.5, n - k + 0.5, q) for q in (tail, 1 - tail))),
    ]
    return [(name, 100 * float(low), 100 * float(high)) for name, low, high in limits]


def _wilson(k: int, n: int, z: float, continuity: float = 0.0) -> tuple[float, float]:
    """The limits at which a z test of k of n just rejects, with or without a correction for continuity (Newcombe 1998)."""

    def limit(count: float, side: int) -> float:
        return (count + z * z / 2 + side * z * math.sqrt(max(count * (n - count) / n, 0.0) + z * z / 4)) / (n + z * z)

    return limit(k - continuity, -1), limit(k + continuity, 1)


def difference_of_rates(a: int, n: int, b: int, m: int) -> tuple[float, float]:
    """The 95% interval of a/n - b/m from the Wilson limits of both (Newcombe 1998, method 10).

    >>> [round(limit, 3) for limit in difference_of_rates(56, 70, 48, 80)]
    [0.052, 0.334]
    """
    (low, high), (least, most) = (_wilson(k, size, z_of(95)) for k, size in ((a, n), (b, m)))
    p, q = a / n, b / m
    return p - q - math.hypot(p - low, most - q), p - q + math.hypot(high - p, q - least)


def off_interval(percent: float, half: float, n: int, level: float, said: tuple[float, float]) -> float:
    """How far printed limits are, in points, from those of any method for a rate that was rounded by up to ``half``.

    Limits lie between those of the least and of the most successes that the rate may stand for, and may be cut at 0 and 100.

    >>> round(off_interval(80, 0.5, 50, 95, (67.0, 88.8)), 2), round(off_interval(80, 0.5, 50, 95, (78.0, 82.0)), 1)
    (0.04, 9.1)
    """
    k = nearest_count(percent, n)
    least, most = math.ceil((percent - half) * n / 100 - 1e-9), math.floor((percent + half) * n / 100 + 1e-9)
    ends = (max(least, 0), min(most, n)) if least <= most else (k, k)
    methods = zip(*(interval_of_rate(end, n, level) for end in ends), strict=True)
    return min(
        max(_outside(limit, a, b) for limit, a, b in zip(said, low[1:], high[1:], strict=True)) for low, high in methods
    )


def _outside(limit: float, low: float, high: float) -> float:
    cut = min(max(low, 0.0), 100.0), min(max(high, 0.0), 100.0)
    return min(max(a - limit, limit - b, 0.0) for a, b in ((low, high), cut))


@lru_cache(maxsize=64)
def z_of(level: float) -> float:
    """The normal quantile of a two-sided interval with a confidence in percent."""
    from scipy.special import ndtri

    return -float(ndtri((1 - level / 100) / 2))


# ---- statistics


def p_of_statistic(kind: str, value: float, degrees: tuple[float, ...]) -> float:
    """The two-sided p-value of a t, F, χ², z or r."""
    from scipy import special

    if kind == "r":
        size = min(abs(value), 1 - 1e-7)
        return p_of_statistic("t", size * math.sqrt(degrees[0] / (1 - size * size)), degrees)
    tails = {"t": lambda v: 2 * special.stdtr(*degrees, -v), "z": lambda v: 2 * special.ndtr(-v)}
    tails |= {"F": lambda v: special.fdtrc(*degrees, v), "chi2": lambda v: special.chdtrc(*degrees, v)}
    return float(tails[kind](abs(value)))


def span_of_p(kind: str, value: float, step: float, degrees: tuple[float, ...]) -> Span:
    """The two-sided p-value of a statistic as printed, and over its rounding."""
    values = [abs(value), abs(value) + step / 2, max(abs(value) - step / 2, 0.0)]
    return Span(*(p_of_statistic(kind, v, degrees) for v in values))


# ---- two means


class Group(NamedTuple):
    """The mean and SD of one group as printed, and its n where it is known."""

    mean: Printed
    sd: float
    sd_step: float
    n: int | None = None


def t_of_means(a: Group, b: Group) -> dict[str, tuple[Span, Span]]:
    """|t| and p of Welch's and of Student's test, over the rounding of means and SDs."""
    from scipy.stats import ttest_ind_from_stats

    m1, s1, m2, s2 = _corners(a, b)
    spans = {}
    for test, equal in (("Welch", False), ("Student", True)):
        t, p = ttest_ind_from_stats(m1, s1, a.n, m2, s2, b.n, equal_var=equal)
        spans[test] = (_span(abs(t)), _span(p))
    return spans


def d_of_means(a: Group, b: Group) -> list[Span]:
    """Cohen's |d| by every standardiser in use, over rounding: pooled, mean of variances, either SD, mean of SDs; and Hedges' g."""
    import numpy as np

    m1, s1, m2, s2 = _corners(a, b)
    units = [np.sqrt((s1**2 + s2**2) / 2), s1, s2, (s1 + s2) / 2]
    if a.n and b.n and a.n + b.n > 2:
        degrees = a.n + b.n - 2
        pooled = np.sqrt(((a.n - 1) * s1**2 + (b.n - 1) * s2**2) / degrees)
        units = [pooled, *units, pooled / (1 - 3 / (4 * degrees - 1))]
    return [_span(abs(m1 - m2) / unit) for unit in units]


def _corners(a: Group, b: Group):
    """Means and SDs as printed, then at all edges of their rounding: four arrays of 1 + 81 values."""
    import numpy as np

    printed = np.array([a.mean.value, a.sd, b.mean.value, b.sd])
    halves = np.array([a.mean.step, a.sd_step, b.mean.step, b.sd_step]) / 2
    corners = printed + halves * np.array([(0, 0, 0, 0), *product((-1, 0, 1), repeat=4)])
    corners[:, (1, 3)] = np.maximum(corners[:, (1, 3)], 1e-12)
    return corners.T


def _span(values) -> Span:
    return Span(float(values[0]), float(values.min()), float(values.max()))


def over_rounding(f: Callable[..., float], *numbers: Printed) -> tuple[float, float] | None:
    """The value of a formula at printed numbers, and what their rounding can do to it; None where it has no value."""
    values = [x.value for x in numbers]
    try:
        value = f(*values)
        nudged = [f(*values[:i], values[i] + x.step / 2, *values[i + 1 :]) for i, x in enumerate(numbers)]
    except (ZeroDivisionError, ValueError, OverflowError):
        return None
    reach = math.fsum(abs(v - value) for v in nudged)
    return (value, reach) if math.isfinite(value) and math.isfinite(reach) else None
