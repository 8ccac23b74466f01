"""Means and anything else that is computed from rows, with intervals that resample whole clusters; Cohen's d."""

from collections.abc import Callable, Hashable, Sequence
from numbers import Real

import numpy as np

from workbench._errors import WorkbenchError
from workbench.statistics import inputs
from workbench.statistics.rates import rate
from workbench.statistics.results import Estimate

Clusters = Sequence[Hashable] | np.ndarray
_BATCH = 2_000_000  # numbers drawn at once, which bounds memory


def mean(
    values: inputs.Numbers,
    clusters: Clusters | None = None,
    confidence: float = 0.95,
    resamples: int = 4999,
    seed: int = 0,
) -> Estimate:
    """A mean with a cluster bootstrap interval: variants, prefixes and repeats of one base prompt form one cluster.

    BCa (Efron 1987) over whole clusters, with the level adjusted for few clusters (Hesterberg 2015, section 5.3).
    Pass the differences of paired arms to get the interval of their mean difference. If all clusters have the same
    mean, resampling is not possible. Outcomes (True and False, or whole numbers) that are all 0 or all 1 then get the
    Wilson interval for that number of clusters, and other values an interval of width 0.

    Args:
        values: one per row, in any unit; True and False count as 1 and 0. Shape [row].
        clusters: the base prompt of each row, shape [row]; by default each row is its own cluster.
        resamples, seed: of the bootstrap; the same seed gives the same interval.

    Returns:
        The mean over rows, in the unit of the values. n: the number of clusters.

    Raises:
        WorkbenchError: no values, NaN, fewer than two clusters, or lengths that differ.

    >>> print(mean([1, 1, 1, 0, 0, 0, 1, 1], clusters=["a", "a", "b", "b", "c", "c", "d", "d"]))
    0.62 [0.00, 1.00] n=4
    """
    from scipy.stats import bootstrap as scipy_bootstrap

    rows = inputs.numbers(values, "values")
    inputs.between(confidence, 0, 1, "confidence")
    inputs.whole(resamples, 99, "resamples", 1_000_000)
    codes = inputs.cluster_codes(clusters, len(rows))
    k = _at_least_two(codes)
    sums, sizes = np.bincount(codes, rows), np.bincount(codes).astype(float)
    value = float(sums.sum() / sizes.sum())
    if np.ptp(sums / sizes) <= 1e-12 * max(1.0, abs(value)):
        if value in (0.0, 1.0) and np.asarray(values).dtype.kind in "bui":
            wilson = rate(int(value) * k, k, confidence)
            return Estimate(value, wilson.low, wilson.high, k, "Wilson over clusters, which are all alike")
        return Estimate(value, value, value, k, "mean of clusters that are all alike")
    # From the mean, in units of the spread and rounded: BCa counts resamples below the mean, and sums of the same numbers in
    # another order must not fall on either side of it.
    scale = float(np.abs(sums / sizes - value).max())
    limits = scipy_bootstrap(
        ((sums - value * sizes) / scale, sizes),
        lambda s, n, axis: np.round(s.sum(axis=axis) / n.sum(axis=axis), 12),
        paired=True,
        vectorized=True,
        confidence_level=widen(confidence, k),
        n_resamples=resamples,
        batch=max(1, _BATCH // k),
        rng=inputs.generator(seed),
    ).confidence_interval
    low, high = value + scale * float(limits.low), value + scale * float(limits.high)
    return Estimate(value, low, high, k, "cluster bootstrap, BCa")


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    clusters: Clusters,
    block: int = 1,
    confidence: float = 0.95,
    resamples: int = 999,
    seed: int = 0,
) -> Estimate:
    """The interval of any statistic of rows, by resampling whole clusters or blocks of neighbours.

    Percentile interval (Efron and Tibshirani 1993) with the level adjusted for few clusters (Hesterberg 2015); blocks
    are circular (Politis and Romano 1992).

    Args:
        statistic: takes row numbers (int array, some more than once) and returns the number, e.g. the difference of
            two correlations, or the ratio of two midpoints. Resamples on which it is NaN are left out.
        clusters: the cluster of each row, shape [row]: base prompts, or layers in their order for ``block``.
        block: neighbouring clusters drawn together, for series such as layers whose neighbours resemble each other.

    Returns:
        The statistic of all rows, in its own unit. n: the number of clusters.

    Raises:
        WorkbenchError: fewer than two clusters or blocks, or a statistic that is NaN on the data or on most resamples.

    >>> x = np.arange(10.0)
    >>> print(bootstrap(lambda rows: float(np.median(x[rows])), clusters=range(10)))
    4.50 [1.50, 7.50] n=10
    """
    if not len(clusters):
        raise WorkbenchError("clusters: expected one per row, got none")
    codes = inputs.cluster_codes(list(clusters), len(clusters))
    inputs.between(confidence, 0, 1, "confidence")
    inputs.whole(resamples, 99, "resamples", 1_000_000)
    k = _at_least_two(codes)
    members = np.split(np.argsort(codes, kind="stable"), np.bincount(codes).cumsum()[:-1])
    first = statistic(np.arange(len(codes)))
    if not isinstance(first, Real | np.generic | np.ndarray) or np.ndim(first):
        raise WorkbenchError(f"the statistic is {first!r:.60} on the data; expected one number")
    value = float(first)
    drawn = draws(k, block, resamples, seed)
    values = np.array([statistic(np.concatenate([members[c] for c in draw])) for draw in drawn], dtype=float)
    if not np.isfinite(value) or np.isnan(values).mean() > 0.5:
        raise WorkbenchError(
            f"the statistic is {value} on the data and NaN on {np.isnan(values).mean():.0%} of resamples"
        )
    low, high = percentiles(values, confidence, k / block)
    what = "cluster bootstrap" if block == 1 else f"bootstrap of blocks of {block}"
    return Estimate(value, low, high, k, f"{what}, percentile")


def prediction_limit(values: inputs.Numbers, confidence: float = 0.95) -> float:
    """The upper prediction limit for one more value like these (Student's t), or the largest of them if that is higher.

    The limit is needed when there are few values: a seventh value exceeds all of six similar ones in 1 of 7 cases.

    Args:
        values: e.g. the effects of control directions. Shape [n], in any unit.
        confidence: level of the central prediction interval; its upper end is returned.

    Raises:
        WorkbenchError: fewer than three values, or NaN.

    >>> round(prediction_limit([0.0, 0.02, -0.02, 0.01]), 3), round(prediction_limit([0.0, 0.0, 0.1]), 3)
    (0.063, 0.32)
    """
    from scipy.stats import t

    known = inputs.numbers(values, "values", 3)
    inputs.between(confidence, 0, 1, "confidence")
    n = len(known)
    reach = float(t.ppf((1 + confidence) / 2, n - 1) * known.std(ddof=1) * np.sqrt(1 + 1 / n))
    return max(float(known.mean()) + reach, float(known.max()))


def p_from_interval(estimate: Estimate, confidence: float = 0.95) -> float:
    """The two-sided p-value against 0 that an interval implies (Altman and Bland 2011), for estimates that only have an interval.

    It is below ``1 - confidence`` exactly if the interval excludes 0. It is the normal p-value with the width of the
    side of the interval that faces 0. A bootstrap interval may exclude its own estimate; p is 0 if the interval is
    beyond the estimate, seen from 0.

    Args:
        estimate: e.g. of ``bootstrap``.
        confidence: level of its interval.

    Raises:
        WorkbenchError: a confidence outside 0 to 1.

    >>> p_from_interval(Estimate(0.2, 0.0, 0.5, 30, "")), p_from_interval(Estimate(0.2, 0.1, 0.5, 30, "")) < 0.001
    (0.05, True)
    """
    from scipy.stats import norm

    inputs.between(confidence, 0, 1, "confidence")
    inputs.numbers([estimate.value, estimate.low, estimate.high], "estimate and its interval")
    reach = estimate.value - estimate.low if estimate.value > 0 else estimate.high - estimate.value
    if reach <= 0:
        return 0.0 if estimate.value else 1.0
    return round(float(2 * norm.sf(norm.isf((1 - confidence) / 2) * abs(estimate.value) / reach)), 12)


def draws(k: int, block: int, resamples: int, seed: int) -> np.ndarray:
    """Resampled units, shape [resample, unit]: runs of ``block`` neighbours, the last followed by the first."""
    inputs.whole(block, 1, "block")
    if 2 * block > k:
        raise WorkbenchError(f"blocks of {block} from {k} units: expected at least two blocks; choose a smaller block")
    starts = inputs.generator(seed).integers(k, size=(resamples, -(-k // block)))
    return ((starts[:, :, None] + np.arange(block)).reshape(resamples, -1)[:, :k]) % k


def percentiles(values: np.ndarray, confidence: float, units: float) -> tuple[float, float]:
    """The central part of a bootstrap distribution, widened for few units; NaN is left out."""
    tail = (1 - widen(confidence, units)) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def widen(confidence: float, units: float) -> float:
    """The level at which percentiles of a bootstrap of few units are as wide as a t interval (Hesterberg 2015)."""
    from scipy.stats import norm, t

    reach = t.isf((1 - confidence) / 2, units - 1) * np.sqrt(units / (units - 1))
    return float(min(1 - 2 * norm.sf(reach), 1 - 1e-9))


def cohens_d(before: inputs.Numbers, after: inputs.Numbers, paired: bool = False, confidence: float = 0.95) -> Estimate:
    """Cohen's d, after minus before in standard deviations, with the exact interval for normal values.

    Cohen (1988); the interval inverts the noncentral t distribution (Cumming and Finch 2001).

    Args:
        before, after: measurements of two groups, shapes [n] and [m]; of the same units for ``paired``, shape [n].
        paired: divide by the standard deviation of the differences (d_z) instead of the pooled one.

    Returns:
        d, in standard deviations. n: all units, or pairs.

    Raises:
        WorkbenchError: fewer than two values in a group, lengths that differ when paired, or no spread.

    >>> print(cohens_d([1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0]))
    1.55 [-0.12, 3.13] n=8
    """
    x, y = inputs.numbers(before, "before", 2), inputs.numbers(after, "after", 2)
    inputs.between(confidence, 0, 1, "confidence")
    if paired:
        x, y = inputs.paired_numbers(before, after, "before and after", 2)
        spread, n, degrees, weight = float((y - x).std(ddof=1)), len(x), len(x) - 1, float(len(x))
    else:
        n, degrees = len(x) + len(y), len(x) + len(y) - 2
        squares = x.var(ddof=1) * (len(x) - 1) + y.var(ddof=1) * (len(y) - 1)
        spread, weight = float(np.sqrt(squares / degrees)), len(x) * len(y) / n
    difference = float(y.mean() - x.mean())
    if spread <= 1e-12 * max(1.0, abs(difference), float(np.abs(x).max())):
        raise WorkbenchError(
            f"no spread: the values differ by {difference:g} with standard deviation 0, so d is undefined"
        )
    d, scale = difference / spread, np.sqrt(weight)
    low, high = _noncentrality(d * scale, degrees, confidence)
    return Estimate(d, low / scale, high / scale, n, "Cohen's d, paired" if paired else "Cohen's d, pooled")


def _noncentrality(t_value: float, degrees: int, confidence: float) -> tuple[float, float]:
    """The noncentrality parameters at which this t value is at the upper and at the lower end of what is expected."""
    from scipy.optimize import brentq
    from scipy.stats import nct

    tail = (1 - confidence) / 2

    def highest(value: float) -> float:
        step = 1.0  # in growing steps, since far beyond the root scipy's nct is NaN
        while nct.cdf(value, degrees, value + step) > tail:
            step *= 1.5
        return float(brentq(lambda shift: nct.cdf(value, degrees, shift) - tail, value, value + step))

    return -highest(-t_value), highest(t_value)


def _at_least_two(codes: np.ndarray) -> int:
    """The number of clusters, of which an interval needs two."""
    k = int(codes.max()) + 1
    if k < 2:
        raise WorkbenchError(
            f"{len(codes)} values from {k} cluster: an interval needs at least two independent clusters"
        )
    return k
