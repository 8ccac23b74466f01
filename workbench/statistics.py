"""Intervals and exact tests for rates and paired comparisons: thin over scipy and statsmodels.

Every function takes plain numbers or arrays and returns plain numbers; nothing here knows about models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval, the number of independent units behind it, and the method.

    >>> print(Estimate(0.886, 0.74, 0.955, 35, "Wilson"))
    0.89 [0.74, 0.95] n=35
    """

    value: float
    low: float
    high: float
    n: int
    method: str

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}] n={self.n}"


def rate(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """A proportion with its Wilson score interval (Wilson 1927), which stays inside [0, 1] and is honest at 0 and n.

    >>> print(rate(31, 35))
    0.89 [0.74, 0.95] n=35
    """
    from statsmodels.stats.proportion import proportion_confint

    _check_count(successes, n)
    low, high = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    return Estimate(successes / n, float(low), float(high), n, "Wilson")


def fisher(successes_a: int, n_a: int, successes_b: int, n_b: int) -> float:
    """Two-sided p-value of Fisher's exact test of two independent rates.

    >>> round(fisher(96, 100, 99, 100), 3)
    0.369
    """
    from scipy.stats import fisher_exact

    _check_count(successes_a, n_a)
    _check_count(successes_b, n_b)
    table = [[successes_a, n_a - successes_a], [successes_b, n_b - successes_b]]
    return float(fisher_exact(table)[1])


def two_proportion_z(successes_a: int, n_a: int, successes_b: int, n_b: int) -> float:
    """Two-sided p-value of the pooled two-proportion z test, which logs often report; prefer ``fisher`` for small n.

    >>> round(two_proportion_z(6, 100, 15, 100), 3)
    0.038
    """
    from statsmodels.stats.proportion import proportions_ztest

    _check_count(successes_a, n_a)
    _check_count(successes_b, n_b)
    if successes_a + successes_b in (0, n_a + n_b):
        return 1.0
    return float(proportions_ztest([successes_a, successes_b], [n_a, n_b])[1])


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> float:
    """Two-sided p-value of the exact McNemar test: the same units measured twice.

    Args:
        before, after: outcome of each unit, same order. Shape [n].

    >>> mcnemar([False] * 6, [True] * 6)
    0.03125
    """
    from scipy.stats import binomtest

    first, second = _paired(before, after)
    gained, lost = int((~first & second).sum()), int((first & ~second).sum())
    return 1.0 if gained + lost == 0 else float(binomtest(gained, gained + lost).pvalue)


def paired_difference(before: Sequence[bool], after: Sequence[bool], confidence: float = 0.95) -> Estimate:
    """Difference of two rates on the same units, after minus before, with the Newcombe-Wilson interval for paired data.

    Newcombe (1998), method 10: Wilson limits of both rates, joined with the correlation of the pairs. Unlike a
    bootstrap it has an honest width when no pair is discordant.

    >>> print(paired_difference([False] * 20, [True] * 15 + [False] * 5))
    0.75 [0.46, 0.89] n=20
    """
    first, second = _paired(before, after)
    n = len(first)
    a, b, c, d = (int(x.sum()) for x in (first & second, first & ~second, ~first & second, ~first & ~second))
    old, new = rate(a + b, n, confidence), rate(a + c, n, confidence)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    cross = float(a * d - b * c)
    if cross > 0:
        cross = max(cross - n / 2, 0)
    phi = 0.0 if margins == 0 else cross / np.sqrt(margins)
    value = new.value - old.value

    def reach(x: float, y: float) -> float:
        return float(np.sqrt(max(x * x - 2 * phi * x * y + y * y, 0)))

    low = value - reach(new.value - new.low, old.high - old.value)
    high = value + reach(new.high - new.value, old.value - old.low)
    return Estimate(value, max(low, -1.0), min(high, 1.0), n, "Newcombe paired")


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values of a family of tests, in the order given.

    >>> holm([0.01, 0.04])
    [0.02, 0.04]
    """
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(list(p_values), method="holm")[1]] if len(p_values) else []


def needed_n(p_before: float, p_after: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Units per arm at which a two-sided test of two independent rates finds this difference with this power.

    >>> needed_n(0.15, 0.06)
    173
    """
    from statsmodels.stats.power import NormalIndPower
    from statsmodels.stats.proportion import proportion_effectsize

    if p_before == p_after:
        raise WorkbenchError("equal rates: no number of units tells them apart")
    effect = abs(proportion_effectsize(p_before, p_after))
    return int(np.ceil(NormalIndPower().solve_power(effect, power=power, alpha=alpha)))


def needed_n_paired(gained: float, lost: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Pairs at which the exact McNemar test finds these discordant shares with this power, by exact enumeration.

    Args:
        gained: share of units that go from failure to success. Between 0 and 1.
        lost: share of units that go the other way.

    >>> needed_n_paired(gained=0.25, lost=0.05)
    62
    """
    if gained == lost:
        raise WorkbenchError("equal shares gained and lost: no number of pairs tells them apart")
    if not (0 <= gained <= 1 and 0 <= lost <= 1 and gained + lost <= 1):
        raise WorkbenchError(f"shares gained {gained} and lost {lost} must be probabilities with a sum of at most 1")
    low, high = 1, 4
    while _mcnemar_power(high, gained, lost, alpha) < power:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _mcnemar_power(middle, gained, lost, alpha) >= power else (middle, high)
    return high


def _mcnemar_power(n: int, gained: float, lost: float, alpha: float) -> float:
    """Power of the exact McNemar test with ``n`` pairs: a sum over the number of discordant pairs."""
    from scipy.stats import binom

    discordant = np.arange(n + 1)
    weight = binom.pmf(discordant, n, gained + lost)
    # The two-sided test rejects at or below the largest k whose lower tail is at most alpha / 2, and symmetrically.
    critical = binom.ppf(alpha / 2, discordant, 0.5)
    critical = np.where(binom.cdf(critical, discordant, 0.5) <= alpha / 2, critical, critical - 1)
    share = gained / (gained + lost)
    reject = binom.cdf(critical, discordant, share) + binom.sf(discordant - critical - 1, discordant, share)
    return float((weight * np.where(critical >= 0, reject, 0.0)).sum())


def _paired(before: Sequence[bool], after: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    if first.shape != second.shape or first.ndim != 1 or len(first) == 0:
        raise WorkbenchError(f"paired outcomes need one value per unit in both; got {first.shape} and {second.shape}")
    return first, second


def _check_count(successes: int, n: int) -> None:
    if n <= 0 or not 0 <= successes <= n:
        raise WorkbenchError(f"{successes} of {n} is not a count: expected 0 <= successes <= n and n > 0")
