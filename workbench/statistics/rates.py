"""Rates and their tests: intervals, two or more independent groups, a trend over ordered groups."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from workbench._errors import WorkbenchError, unknown
from workbench.statistics import inputs
from workbench.statistics.results import Comparison, Estimate

_MOST_TABLES = 200_000  # exact tests enumerate at most so many tables


def rate(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """A proportion with its Wilson score interval (Wilson 1927), which stays inside [0, 1] and has a realistic width at 0 and n.

    Raises:
        WorkbenchError: not a count out of n.

    >>> print(rate(31, 35))
    0.89 [0.74, 0.95] n=35
    """
    from statsmodels.stats.proportion import proportion_confint

    inputs.count(successes, n)
    inputs.between(confidence, 0, 1, "confidence")
    low, high = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    value = float(successes / n)
    # The limits hold the rate, up to rounding at 0 and n.
    return Estimate(value, min(float(low), value), max(float(high), value), int(n), "Wilson")


def fisher(
    successes_a: int,
    n_a: int,
    successes_b: int,
    n_b: int,
    alternative: Literal["two-sided", "less", "greater"] = "two-sided",
) -> float:
    """P-value of Fisher's exact test of two independent rates.

    Args:
        alternative: "greater" tests whether the first rate is the greater one, "less" whether it is the smaller one.

    Raises:
        WorkbenchError: not counts out of n.

    >>> round(fisher(96, 100, 99, 100), 3), round(fisher(96, 100, 99, 100, "less"), 3)
    (0.369, 0.184)
    """
    from scipy.stats import fisher_exact

    inputs.count(successes_a, n_a)
    inputs.count(successes_b, n_b)
    if alternative not in ("two-sided", "less", "greater"):
        raise unknown("alternative", alternative, ("two-sided", "less", "greater"))
    table = [[successes_a, n_a - successes_a], [successes_b, n_b - successes_b]]
    return float(fisher_exact(table, alternative)[1])


def two_proportion_z(successes_a: int, n_a: int, successes_b: int, n_b: int) -> float:
    """Two-sided p-value of the pooled two-proportion z test, which logs often report; prefer ``fisher`` for small n.

    >>> round(two_proportion_z(6, 100, 15, 100), 3)
    0.038
    """
    from statsmodels.stats.proportion import proportions_ztest

    inputs.count(successes_a, n_a)
    inputs.count(successes_b, n_b)
    if successes_a + successes_b in (0, n_a + n_b):
        return 1.0
    return float(proportions_ztest([successes_a, successes_b], [n_a, n_b])[1])


def heterogeneity(successes: Sequence[int], n: Sequence[int] | int, exact: bool | None = None) -> Comparison:
    """Test whether several independent groups share one rate, as repeated runs of one condition should.

    Args:
        successes, n: counts and denominators of the groups, shape [group]; one number for a common n.
        exact: True for the exact test of Freeman and Halton (1951), False for Pearson's chi-square; by default exact
            where an expected count is below 5 (Cochran 1954). With more than 200 000 tables, the exact p-value comes
            from 9999 random tables with the same margins, seed 0.

    Returns:
        value: the largest rate minus the smallest, between 0 and 1. n: all units together.

    Raises:
        WorkbenchError: fewer than two groups, or not counts.

    >>> print(heterogeneity([9, 11, 11, 9, 9, 10], 12, exact=False))
    0.167, p = 0.74, n=72 (chi-square, 6 groups)
    """
    from scipy.stats import MonteCarloMethod, chi2_contingency, fisher_exact

    k, total = inputs.counts(successes, n, 2)
    rates = k / total
    spread = float(rates.max() - rates.min())
    if k.sum() in (0, total.sum()):
        return Comparison(spread, 1.0, int(total.sum()), f"one outcome only, {len(k)} groups")
    table = np.stack([k, total - k])
    expected = table.sum(1, keepdims=True) * total / total.sum()
    if exact is None:
        exact = bool(expected.min() < 5)
    if not exact:
        p, name = float(chi2_contingency(table, correction=False).pvalue), "chi-square"
    elif _table_count(k, total) <= _MOST_TABLES:
        tables, weights = _tables(k, total)
        own = weights[(tables == k).all(axis=1)][0]
        p, name = float(weights[weights <= own * (1 + 1e-9)].sum()), "Freeman-Halton exact"
    else:
        draws = MonteCarloMethod(n_resamples=9999, rng=np.random.default_rng(0))
        p, name = float(fisher_exact(table, method=draws).pvalue), "Freeman-Halton, 9999 random tables"
    return Comparison(spread, min(p, 1.0), int(total.sum()), f"{name}, {len(k)} groups")


def trend(
    doses: Sequence[float], successes: Sequence[int], n: Sequence[int] | int, exact: bool | None = None
) -> Comparison:
    """Cochran-Armitage test of whether a rate rises or falls with dose (Cochran 1954, Armitage 1955).

    Args:
        doses: the dose of each group, shape [group].
        successes, n: counts and denominators of the groups, shape [group]; one number for a common n.
        exact: True to enumerate all tables with the same margins, False for the normal approximation; by default
            exact up to 200 000 tables.

    Returns:
        value: the slope of the rate, per unit of dose (least squares). n: all units together. The p-value is two-sided.

    Raises:
        WorkbenchError: fewer than two doses, all doses equal, or not counts.

    >>> print(trend([0, 0.5, 1, 1.5], [3, 3, 1, 0], 4))
    -0.55, p = 0.025, n=16 (Cochran-Armitage, exact)
    """
    from scipy.stats import norm

    k, total = inputs.counts(successes, n, 2)
    dose, _ = inputs.paired_numbers(doses, k, "doses and successes", 2)
    centred = dose - np.average(dose, weights=total)
    squares = float((total * centred**2).sum())
    if np.ptp(dose) == 0:
        raise WorkbenchError(f"all doses are {dose[0]:g}: a trend needs at least two different ones")
    slope = float((k * centred).sum()) / squares
    units, pooled = int(total.sum()), k.sum() / total.sum()
    if pooled in (0, 1):
        return Comparison(slope, 1.0, units, "Cochran-Armitage, one outcome only")
    if exact is None:
        exact = _table_count(k, total) <= _MOST_TABLES
    if not exact:
        z = slope * np.sqrt(squares / (pooled * (1 - pooled)))
        return Comparison(slope, float(2 * norm.sf(abs(z))), units, "Cochran-Armitage")
    if (many := _table_count(k, total)) > _MOST_TABLES:
        raise WorkbenchError(f"the exact trend would enumerate {many:.2g} tables; leave exact=None for the z test")
    tables, weights = _tables(k, total)
    rounding = 1e-9 * float(np.abs(centred) @ total)
    extreme = np.abs(tables @ centred) >= abs(float(k @ centred)) - rounding
    return Comparison(slope, min(float(weights[extreme].sum()), 1.0), units, "Cochran-Armitage, exact")


def _table_count(k: np.ndarray, total: np.ndarray) -> float:
    """How many tables have these margins: the number of ways to place the successes in the groups."""
    ways = np.ones(1)
    for of in total:
        ways = np.convolve(ways, np.ones(of + 1))[: int(k.sum()) + 1]
    return float(ways[-1])


def _tables(k: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All count vectors with the same sum and denominators, shape [table, group], and their exact probabilities."""
    from scipy.special import gammaln

    rows = np.zeros((1, 0), dtype=int)
    later = total[::-1].cumsum()[::-1]
    for group, of in enumerate(total):
        rows = np.hstack([np.repeat(rows, of + 1, axis=0), np.tile(np.arange(of + 1), len(rows))[:, None]])
        left = k.sum() - rows.sum(axis=1)
        rows = rows[(left >= 0) & (left <= later[group] - of)]
    log = (gammaln(total + 1) - gammaln(rows + 1) - gammaln(total - rows + 1)).sum(axis=1)
    weights = np.exp(log - log.max())
    return rows, weights / weights.sum()
