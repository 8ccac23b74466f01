"""The exact power of discrete tests: the probability of all outcomes that they reject."""

import numpy as np

_NEGLIGIBLE = 1e-12  # outcomes less likely than this are left out


def unpaired_power(rates: tuple[float, float], sizes: tuple[int, int], alpha: float, test: str) -> float:
    """The probability of all tables that the test rejects, one total number of successes at a time."""
    from scipy.stats import binom

    mass_a, mass_b = (binom.pmf(np.arange(n + 1), n, p) for n, p in zip(sizes, rates, strict=True))
    likely_a, likely_b = (np.flatnonzero(mass > _NEGLIGIBLE) for mass in (mass_a, mass_b))
    rejects = _fisher_rejects if test == "fisher" else _z_rejects
    found = 0.0
    for total in range(likely_a[0] + likely_b[0], likely_a[-1] + likely_b[-1] + 1):
        x = np.arange(max(0, total - sizes[1]), min(sizes[0], total) + 1)
        found += float((mass_a[x] * mass_b[total - x])[rejects(x, total, sizes, alpha)].sum())
    return found


def _fisher_rejects(x: np.ndarray, total: int, sizes: tuple[int, int], alpha: float) -> np.ndarray:
    """Which splits ``x`` of a total the two-sided Fisher test rejects: tables no more likely than it sum to at most alpha."""
    from scipy.special import gammaln

    y = total - x
    log = -gammaln(x + 1) - gammaln(sizes[0] - x + 1) - gammaln(y + 1) - gammaln(sizes[1] - y + 1)
    likely = np.exp(log - log.max())
    ordered = np.sort(likely)
    below = np.searchsorted(ordered, likely * (1 + 1e-7), side="right")  # equally likely tables, up to rounding
    return ordered.cumsum()[below - 1] <= alpha * ordered.sum()


def _z_rejects(x: np.ndarray, total: int, sizes: tuple[int, int], alpha: float) -> np.ndarray:
    """Which splits ``x`` of a total the pooled z test rejects."""
    from scipy.stats import norm

    pooled = total / sum(sizes)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
    return np.abs(x / sizes[0] - (total - x) / sizes[1]) > max(norm.isf(alpha / 2) * spread, _NEGLIGIBLE)


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
