"""How many units does a run need: the power at n, the n that reaches a power, and the smallest effect that n can show.

The power of tests of rates is exact: the probability of all outcomes that they reject.
"""

from collections.abc import Callable

import numpy as np

from workbench._errors import WorkbenchError, unknown
from workbench.statistics import inputs

_TESTS = ("fisher", "z")
_MOST = 10_000_000  # a search for n ends here
_NEGLIGIBLE = 1e-12  # outcomes less likely than this are left out


def power(
    p_before: float, p_after: float, n: int, n_after: int | None = None, alpha: float = 0.05, test: str = "fisher"
) -> float:
    """Power of the two-sided test of two independent rates, by exact enumeration of all outcomes.

    Args:
        p_before, p_after: the true rates, between 0 and 1. Equal rates give the size of the test.
        n, n_after: units in each arm; the second is the same as the first unless given.
        test: "fisher" (as ``fisher``) or "z" (as ``two_proportion_z``).

    Returns:
        The probability that p is at most alpha.

    Raises:
        WorkbenchError: rates outside 0 to 1, no units, or an unknown test.

    >>> round(power(0.75, 0.917, 12), 2)
    0.06
    """
    _check(alpha=alpha, test=test)
    inputs.probability(p_before, "p_before")
    inputs.probability(p_after, "p_after")
    sizes = n, n if n_after is None else n_after
    for size in sizes:
        inputs.whole(size, 1, "n")
    return unpaired_power((p_before, p_after), sizes, alpha, test)


def power_paired(gained: float, lost: float, n: int, alpha: float = 0.05) -> float:
    """Power of the exact McNemar test with ``n`` pairs, by exact enumeration.

    Args:
        gained: share of units that go from failure to success. Between 0 and 1.
        lost: share of units that go the other way.

    Returns:
        The probability that p is at most alpha.

    Raises:
        WorkbenchError: shares outside 0 to 1 or with a sum above 1, or no pairs.

    >>> round(power_paired(gained=0.25, lost=0.05, n=62), 2)
    0.81
    """
    _check(alpha=alpha)
    _check_shares(gained, lost)
    inputs.whole(n, 1, "n")
    return mcnemar_power(n, gained, lost, alpha)


def power_mean(effect: float, sd: float, n: int, paired: bool = True, alpha: float = 0.05) -> float:
    """Power of the two-sided t test of a mean difference.

    Args:
        effect: the true difference of means, in the unit of the values.
        sd: standard deviation, in the same unit: of the differences when paired, else within each group.
        n: pairs, or units per group.

    Raises:
        WorkbenchError: fewer than two units, or a standard deviation that is not positive.

    >>> round(power_mean(effect=5, sd=20, n=128, paired=True), 2)
    0.8
    """
    from statsmodels.stats.power import TTestIndPower, TTestPower

    _check(alpha=alpha)
    inputs.between(sd, 0, np.inf, "sd")
    inputs.between(effect, -np.inf, np.inf, "effect")
    inputs.whole(n, 2, "n")
    solver = TTestPower() if paired else TTestIndPower()
    return float(solver.power(abs(effect) / sd, n, alpha))


def needed_n(p_before: float, p_after: float, power: float = 0.8, alpha: float = 0.05, test: str = "fisher") -> int:
    """Units per arm that a two-sided test of two independent rates needs to find this difference with this power.

    By exact enumeration. Counts are discrete, so the power can drop by up to a percent with a few more units.

    Args:
        test: "fisher", or "z" for the less conservative pooled z test.

    Raises:
        WorkbenchError: equal rates, or arguments outside 0 to 1.

    >>> needed_n(0.15, 0.06), needed_n(0.15, 0.06, test="z")
    (197, 173)
    """
    from statsmodels.stats.power import NormalIndPower
    from statsmodels.stats.proportion import proportion_effectsize

    _check(alpha=alpha, power=power, test=test)
    inputs.probability(p_before, "p_before")
    inputs.probability(p_after, "p_after")
    if p_before == p_after:
        raise WorkbenchError("equal rates: no number of units tells them apart")
    effect = abs(proportion_effectsize(p_before, p_after))
    guess = int(NormalIndPower().solve_power(effect, power=power, alpha=alpha)) if effect < 1 else 8
    return _smallest(lambda n: unpaired_power((p_before, p_after), (n, n), alpha, test), power, guess)


def needed_n_paired(gained: float, lost: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Pairs that the exact McNemar test needs to find these discordant shares with this power, by exact enumeration.

    Args:
        gained: share of units that go from failure to success. Between 0 and 1.
        lost: share of units that go the other way.

    Raises:
        WorkbenchError: equal shares, shares with a sum above 1, or arguments outside 0 to 1.

    >>> needed_n_paired(gained=0.25, lost=0.05)
    61
    """
    _check(alpha=alpha, power=power)
    _check_shares(gained, lost)
    if gained == lost:
        raise WorkbenchError("equal shares gained and lost: no number of pairs tells them apart")
    return _smallest(lambda n: mcnemar_power(n, gained, lost, alpha), power, 4)


def needed_n_mean(effect: float, sd: float, paired: bool = True, power: float = 0.8, alpha: float = 0.05) -> int:
    """Pairs, or units per group, that the two-sided t test needs to find this difference of means with this power.

    Args:
        effect, sd: in the unit of the values; ``sd`` is that of the differences when paired, else within each group.

    Raises:
        WorkbenchError: an effect of 0, or a standard deviation that is not positive.

    >>> needed_n_mean(effect=5, sd=20), needed_n_mean(effect=5, sd=20, paired=False)
    (128, 253)
    """
    from scipy.stats import norm

    _check(alpha=alpha, power=power)
    inputs.between(sd, 0, np.inf, "sd")
    if effect == 0:
        raise WorkbenchError("an effect of 0: no number of units finds it")
    deviates = norm.isf(alpha / 2) + norm.isf(1 - power)
    guess = min((1 if paired else 2) * (deviates * sd / effect) ** 2 + 2, _MOST)
    return _smallest(lambda n: power_mean(effect, sd, n, paired, alpha) if n > 1 else 0.0, power, int(guess))


def detectable(
    p_before: float, n: int, power: float = 0.8, alpha: float = 0.05, test: str = "fisher", rise: bool = True
) -> float:
    """The smallest rise (or fall) of a rate that a test of two independent arms of ``n`` units finds with this power.

    Args:
        p_before: the rate of the first arm.
        n: units per arm.
        rise: False for a fall.

    Returns:
        The difference of rates, positive; ``inf`` if even a rate of 1 (or 0) would not be found.

    Raises:
        WorkbenchError: arguments outside 0 to 1, or no units.

    >>> round(detectable(0.85, 155), 3), detectable(0.85, 20)
    (0.099, inf)
    """
    _check(alpha=alpha, power=power, test=test)
    inputs.probability(p_before, "p_before")
    inputs.whole(n, 1, "n")
    sign = 1 if rise else -1

    def reached(change: float) -> float:
        return unpaired_power((p_before, p_before + sign * change), (n, n), alpha, test)

    return _smallest_effect(reached, 1 - p_before if rise else p_before, power)


def detectable_paired(n: int, lost: float = 0.0, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest net gain (gained minus lost) that the exact McNemar test with ``n`` pairs finds with this power.

    Args:
        n: pairs.
        lost: share of units that go from success to failure. A larger share needs a larger net gain.

    Returns:
        The net gain, a difference of rates; ``inf`` if even a gain of all other units would not be found.

    Raises:
        WorkbenchError: arguments outside 0 to 1, or no pairs.

    >>> round(detectable_paired(120, lost=0.02), 3)
    0.096
    """
    _check(alpha=alpha, power=power)
    _check_shares(0.0, lost)
    inputs.whole(n, 1, "n")
    if lost >= 0.5:
        raise WorkbenchError(f"lost is {lost:g}: with as many gained, more than all change; expected less than 0.5")
    return _smallest_effect(lambda change: mcnemar_power(n, lost + change, lost, alpha), 1 - 2 * lost, power)


def detectable_mean(sd: float, n: int, paired: bool = True, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest difference of means that a t test finds with this power, in the unit of ``sd``.

    Args:
        sd: standard deviation of the differences when paired, else within each group.
        n: pairs, or units per group.

    Raises:
        WorkbenchError: fewer than two units, or a standard deviation that is not positive.

    >>> round(detectable_mean(sd=21.9, n=20), 1)
    14.5
    """
    from scipy.optimize import brentq

    _check(alpha=alpha, power=power)
    low, high = 0.0, sd
    while power_mean(high, sd, n, paired, alpha) < power:
        low, high = high, 2 * high
    return float(brentq(lambda effect: power_mean(effect, sd, n, paired, alpha) - power, low, high, xtol=1e-6 * sd))


def _smallest(power_at: Callable[[int], float], power: float, guess: int) -> int:
    """The n at which the power is crossed, by bisection from a bracket around a guess."""
    high = max(guess, 1)
    while power_at(high) < power:
        high *= 2
        if high > _MOST:
            raise WorkbenchError(f"more than {_MOST:,} units would be needed: the effect is too small to plan for")
    low = high // 2
    while low > 0 and power_at(low) >= power:
        low, high = low // 2, low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_at(middle) >= power else (middle, high)
    return high


def _smallest_effect(power_at: Callable[[float], float], largest: float, power: float) -> float:
    """The effect at which the power is crossed, or infinity."""
    from scipy.optimize import brentq

    if power_at(largest) < power:
        return float("inf")
    return float(brentq(lambda effect: power_at(effect) - power, 0.0, largest, xtol=1e-6))


def _check(alpha: float, power: float | None = None, test: str = "fisher") -> None:
    inputs.between(alpha, 0, 1, "alpha")
    if power is not None:
        inputs.between(power, alpha, 1, "power")
    if test not in _TESTS:
        raise unknown("test", test, _TESTS)


def _check_shares(gained: float, lost: float) -> None:
    if not (0 <= gained <= 1 and 0 <= lost <= 1 and gained + lost <= 1):
        raise WorkbenchError(f"shares gained {gained} and lost {lost} must be probabilities with a sum of at most 1")


#: what can be enumerated in a minute
_MOST_UNITS = 100_000


def unpaired_power(rates: tuple[float, float], sizes: tuple[int, int], alpha: float, test: str) -> float:
    """The probability of all tables that the test rejects, one total number of successes at a time."""
    from scipy.stats import binom

    if max(sizes) > _MOST_UNITS:
        raise WorkbenchError(
            f"n = {max(sizes):,} in an arm: all tables are counted up to {_MOST_UNITS:,}; is the difference so small?"
        )
    mass_a, mass_b = (binom.pmf(np.arange(n + 1), n, p) for n, p in zip(sizes, rates, strict=True))
    likely_a, likely_b = (np.flatnonzero(mass > _NEGLIGIBLE) for mass in (mass_a, mass_b))
    rejects = _fisher_rejects(sizes, alpha) if test == "fisher" else _z_rejects(sizes, alpha)
    reached = 0.0
    for total in range(likely_a[0] + likely_b[0], likely_a[-1] + likely_b[-1] + 1):
        x = np.arange(max(likely_a[0], total - likely_b[-1]), min(likely_a[-1], total - likely_b[0]) + 1)
        reached += float((mass_a[x] * mass_b[total - x])[rejects(x, total)].sum())
    return reached


def _fisher_rejects(sizes: tuple[int, int], alpha: float) -> Callable[[np.ndarray, int], np.ndarray]:
    """Which splits ``x`` of a total the two-sided Fisher test rejects: tables no more likely than it sum to at most alpha.

    Only tables near the expected one are summed: those twelve standard deviations away add nothing, and are rejected.
    """
    from scipy.special import gammaln

    a, b = sizes
    units = a + b
    log_a, log_b = (-gammaln(np.arange(n + 1) + 1) - gammaln(n - np.arange(n + 1) + 1) for n in sizes)

    def rejects(x: np.ndarray, total: int) -> np.ndarray:
        middle = total * a / units
        reach = 12 * np.sqrt(middle * b * (units - total) / (units * max(units - 1, 1))) + 12
        first, last = int(max(0, total - b, middle - reach)), int(min(a, total, middle + reach))
        near = np.arange(first, last + 1)
        log = log_a[near] + log_b[total - near]
        likely = np.exp(log - log.max())
        ordered = np.sort(likely)
        below = np.searchsorted(ordered, likely * (1 + 1e-7), side="right")  # equally likely tables, up to rounding
        rejected = ordered.cumsum()[below - 1] <= alpha * ordered.sum()
        inside = (x >= first) & (x <= last)
        return np.where(inside, rejected[np.clip(x - first, 0, last - first)], True)

    return rejects


def _z_rejects(sizes: tuple[int, int], alpha: float) -> Callable[[np.ndarray, int], np.ndarray]:
    """Which splits ``x`` of a total the pooled z test rejects."""
    from scipy.stats import norm

    deviate = norm.isf(alpha / 2)

    def rejects(x: np.ndarray, total: int) -> np.ndarray:
        pooled = total / sum(sizes)
        spread = np.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
        return np.abs(x / sizes[0] - (total - x) / sizes[1]) > max(deviate * spread, _NEGLIGIBLE)

    return rejects


def mcnemar_power(n: int, gained: float, lost: float, alpha: float) -> float:
    """Power of the exact McNemar test with ``n`` pairs: a sum over the number of discordant pairs."""
    from scipy.stats import binom

    if gained + lost == 0:
        return 0.0
    discordant = np.arange(n + 1)
    weight = binom.pmf(discordant, n, gained + lost)
    # The two-sided test rejects at or below the largest k whose lower tail is at most alpha / 2, and symmetrically.
    critical = binom.ppf(alpha / 2, discordant, 0.5)
    critical = np.where(binom.cdf(critical, discordant, 0.5) <= alpha / 2, critical, critical - 1)
    share = gained / (gained + lost)
    reject = binom.cdf(critical, discordant, share) + binom.sf(discordant - critical - 1, discordant, share)
    return float((weight * np.where(critical >= 0, reject, 0.0)).sum())
