"""Equivalence: evidence that two conditions differ by less than a margin, which a large p-value of a test is not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench._errors import WorkbenchError
from workbench.statistics import inputs
from workbench.statistics.results import Estimate

_FARTHEST = 8.0  # standard normal deviate at which the search for a p-value ends: 6e-16


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests: the difference with its interval at 1 - 2 alpha, the margin, and the larger p-value.

    >>> print(Equivalence(Estimate(0.01, -0.04, 0.06, 200, "Newcombe paired"), 0.1, 0.002, 0.05))
    equivalent within ±0.1: 0.01 [-0.04, 0.06] n=200, p = 0.002
    """

    difference: Estimate
    margin: float
    p: float
    alpha: float

    @property
    def holds(self) -> bool:
        """Whether both one-sided tests reject, so that the whole interval is inside the margin."""
        return self.p < self.alpha

    def __str__(self) -> str:
        word = "equivalent" if self.holds else "not shown to be equivalent"
        return f"{word} within ±{self.margin:g}: {self.difference}, p = {self.p:.2g}"


def equivalence(
    before: inputs.Numbers, after: inputs.Numbers, margin: float, paired: bool = True, alpha: float = 0.05
) -> Equivalence:
    """Two one-sided tests (TOST, Schuirmann 1987) that two means or rates differ by less than a margin.

    Pairs of True and False (or 0 and 1) are compared as rates by Tango's (1998) score test and the interval that
    inverts it; unpaired rates as in ``equivalence_rates``; other numbers by t tests, Welch's when they are not
    paired.

    Args:
        before, after: one value per unit. Shape [n] both when paired, else [n] and [m].
        margin: the largest difference that does not matter, in the unit of the values. Fix it before you see the
            data.
        alpha: of each one-sided test; the interval is at 1 - 2 alpha.

    Returns:
        The difference, after minus before, with its interval, and the larger of the two p-values.

    Raises:
        WorkbenchError: a margin that is not positive (or, for rates, not below 1), NaN, lengths that differ when
            paired, or numbers without spread, for which no t test exists.

    >>> print(equivalence([True] * 60 + [False] * 40, [True] * 59 + [False] * 41, margin=0.1))
    equivalent within ±0.1: -0.01 [-0.04, 0.02] n=100, p = 0.0013
    """
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    x, y = inputs.numbers(before, "before", 2), inputs.numbers(after, "after", 2)
    inputs.between(alpha, 0, 0.5, "alpha")
    if np.isin(x, (0, 1)).all() and np.isin(y, (0, 1)).all():
        if not paired:
            return equivalence_rates(int(x.sum()), len(x), int(y.sum()), len(y), margin, alpha)
        first, second = inputs.paired(x.tolist(), y.tolist())
        return _tango(int((~first & second).sum()), int((first & ~second).sum()), len(first), margin, alpha)
    inputs.between(margin, 0, np.inf, "margin")
    value = float(y.mean() - x.mean())
    if paired:
        x, y = inputs.paired_numbers(x, y, "before and after", 2)
        _needs_spread(float((y - x).std()), value)
        pairs = DescrStatsW(y - x)
        p, (low, high), n = pairs.ttost_mean(-margin, margin)[0], pairs.tconfint_mean(2 * alpha), len(x)
    else:
        _needs_spread(float(x.std() + y.std()), value)
        groups = CompareMeans(DescrStatsW(y), DescrStatsW(x))
        p = groups.ttost_ind(-margin, margin, usevar="unequal")[0]
        (low, high), n = groups.tconfint_diff(2 * alpha, usevar="unequal"), len(x) + len(y)
    return Equivalence(Estimate(value, float(low), float(high), n, "t"), margin, float(p), alpha)


def equivalence_rates(
    successes_a: int, n_a: int, successes_b: int, n_b: int, margin: float, alpha: float = 0.05
) -> Equivalence:
    """Two one-sided tests that two independent rates differ by less than a margin, from counts.

    The interval is Newcombe's (1998, method 10 for independent groups, from Wilson's limits); the p-value is the
    level at which a limit of the interval touches the margin.

    Args:
        margin: the largest difference of rates that does not matter, between 0 and 1.
        alpha: of each one-sided test; the interval is at 1 - 2 alpha.

    Returns:
        The difference, b minus a, with its interval, and the larger of the two p-values. n: all units together.

    Raises:
        WorkbenchError: not counts, or a margin outside 0 to 1.

    >>> print(equivalence_rates(96, 100, 99, 100, margin=0.1))
    equivalent within ±0.1: 0.03 [-0.01, 0.08] n=200, p = 0.013
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    inputs.count(successes_a, n_a)
    inputs.count(successes_b, n_b)
    inputs.between(alpha, 0, 0.5, "alpha")

    def difference(level: float) -> Estimate:
        limits = confint_proportions_2indep(successes_b, n_b, successes_a, n_a, method="newcomb", alpha=1 - level)
        value = float(successes_b / n_b - successes_a / n_a)
        return Estimate(value, float(limits[0]), float(limits[1]), int(n_a + n_b), "Newcombe")

    return _by_interval(difference, margin, alpha)


def _tango(gained: int, lost: int, n: int, margin: float, alpha: float) -> Equivalence:
    """Paired rates: the score test of a difference of -margin and of +margin, and the interval that inverts it."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    inputs.between(margin, 0, 1, "margin")
    z, end, value = float(norm.isf(alpha)), 1 - 1e-9, (gained - lost) / n

    def score(difference: float) -> float:
        return _tango_score(gained, lost, n, difference)

    low = -1.0 if score(-end) < z else brentq(lambda d: score(d) - z, -end, value)
    high = 1.0 if score(end) > -z else brentq(lambda d: score(d) + z, value, end)
    p = max(norm.sf(score(-margin)), norm.cdf(score(margin)))
    return Equivalence(Estimate(value, float(low), float(high), n, "Tango score"), margin, float(p), alpha)


def _tango_score(gained: int, lost: int, n: int, difference: float) -> float:
    """The observed net gain minus the assumed one, in standard errors under the most likely rates that have that difference."""
    b = -gained - lost + (2 * n - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    share_lost = (np.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * share_lost + difference * (1 - difference))
    excess = gained - lost - n * difference
    return float(excess / np.sqrt(variance)) if variance > 0 else float(np.sign(excess) * np.inf if excess else 0.0)


def _by_interval(difference: Callable[[float], Estimate], margin: float, alpha: float) -> Equivalence:
    """TOST by whether the interval lies inside the margin; the p-values are the levels at which its limits touch it."""
    inputs.between(margin, 0, 1, "margin")
    below = _touches(lambda level: difference(level).low + margin, lambda level: difference(level).high + margin)
    above = _touches(lambda level: margin - difference(level).high, lambda level: margin - difference(level).low)
    return Equivalence(difference(1 - 2 * alpha), margin, max(below, above), alpha)


def _touches(near: Callable[[float], float], far: Callable[[float], float]) -> float:
    """One-sided p-value: the level at which the limit on one side, or beyond the value the other limit, reaches 0."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    def slack(z: float) -> float:
        level = float(1 - 2 * norm.sf(max(abs(z), 1e-6)))
        return near(level) if z >= 0 else far(level)

    if slack(_FARTHEST) > 0:
        return float(norm.sf(_FARTHEST))
    return float(norm.sf(brentq(slack, -_FARTHEST, _FARTHEST, xtol=1e-9)))


def _needs_spread(spread: float, value: float) -> None:
    if spread <= 1e-12 * max(1.0, abs(value)):
        raise WorkbenchError(
            f"the values differ by the same {value:g} everywhere: a t test needs spread; report that number as it is"
        )
