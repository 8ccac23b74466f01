"""Do the same units differ under two conditions, also when many such tests are made at once?

McNemar's exact test, the interval of a paired difference, permutation tests, and p-values adjusted for a family of tests.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from workbench._errors import WorkbenchError
from workbench.statistics import inputs
from workbench.statistics.rates import rate
from workbench.statistics.results import Comparison, Estimate


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> float:
    """Two-sided p-value of the exact McNemar test: the same units measured twice.

    Args:
        before, after: outcome of each unit, same order. Shape [n].

    Raises:
        WorkbenchError: lengths that differ, no units, or outcomes that are not True or False.

    >>> mcnemar([False] * 6, [True] * 6)
    0.03125
    """
    first, second = inputs.paired(before, after)
    return mcnemar_counts(int((~first & second).sum()), int((first & ~second).sum()))


def mcnemar_counts(gained: int, lost: int) -> float:
    """Two-sided p-value of the exact McNemar test, from the numbers of units that changed in each direction.

    Raises:
        WorkbenchError: not counts.

    >>> mcnemar_counts(gained=6, lost=0)
    0.03125
    """
    from scipy.stats import binomtest

    inputs.whole(gained, 0, "gained")
    inputs.whole(lost, 0, "lost")
    return 1.0 if gained + lost == 0 else float(binomtest(gained, gained + lost).pvalue)


def paired_difference(before: Sequence[bool], after: Sequence[bool], confidence: float = 0.95) -> Estimate:
    """Difference of two rates on the same units, after minus before, with the Newcombe-Wilson interval for paired data.

    Newcombe (1998), method 10: Wilson limits of both rates, joined with the correlation of the pairs. Unlike a
    bootstrap, it has a realistic width if no pair is discordant.

    >>> print(paired_difference([False] * 20, [True] * 15 + [False] * 5))
    0.75 [0.48, 0.89] n=20
    """
    first, second = inputs.paired(before, after)
    return newcombe(first, second, confidence)


def paired_difference_counts(both: int, lost: int, gained: int, neither: int, confidence: float = 0.95) -> Estimate:
    """The same, from the numbers of units with the outcome under both conditions, only before, only after, and neither.

    Raises:
        WorkbenchError: not counts, or none at all.

    >>> print(paired_difference_counts(both=0, lost=0, gained=15, neither=5))
    0.75 [0.48, 0.89] n=20
    """
    for name, number in (("both", both), ("lost", lost), ("gained", gained), ("neither", neither)):
        inputs.whole(number, 0, name)
    return _newcombe(both, lost, gained, neither, confidence, (1.0, 1.0))


def newcombe(
    first: np.ndarray, second: np.ndarray, confidence: float, weights: tuple[float, float] = (1.0, 1.0)
) -> Estimate:
    """``paired_difference`` of two rates that are weighed first: the second times its weight minus the first times its own."""
    a, b, c, d = (int(x.sum()) for x in (first & second, first & ~second, ~first & second, ~first & ~second))
    return _newcombe(a, b, c, d, confidence, weights)


def _newcombe(a: int, b: int, c: int, d: int, confidence: float, weights: tuple[float, float]) -> Estimate:
    """From the counts of both, lost, gained and neither."""
    n = a + b + c + d
    old, new = rate(a + b, n, confidence), rate(a + c, n, confidence)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    cross = float(a * d - b * c)
    if cross > 0:
        cross = max(cross - n / 2, 0)
    phi = 0.0 if margins == 0 else cross / np.sqrt(margins)
    of_old, of_new = weights
    value = of_new * new.value - of_old * old.value

    def reach(x: float, y: float) -> float:
        x, y = of_new * x, of_old * y
        return float(np.sqrt(max(x * x - 2 * phi * x * y + y * y, 0)))

    low = value - reach(new.value - new.low, old.high - old.value)
    high = value + reach(new.high - new.value, old.value - old.low)
    return Estimate(value, max(low, -of_old), min(high, of_new), n, "Newcombe paired")


def permutation(
    before: inputs.Numbers,
    after: inputs.Numbers,
    paired: bool = True,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 9999,
    seed: int = 0,
) -> Comparison:
    """Permutation test of a difference of means (Fisher 1935): signs flip within pairs, or group labels are shuffled.

    Exact, by enumeration, while there are at most ``resamples`` permutations; else drawn, with the observed one counted
    among them (Phipson and Smyth 2010), so p is never 0.

    Args:
        before, after: one value per unit, numbers or True and False. Shape [n] both when paired, else [n] and [m].
        paired: whether both hold the same units in the same order.
        clusters: the base prompt of each pair, shape [n]: signs flip for whole clusters. Only when paired.
        resamples, seed: how many permutations are drawn at most, and from which seed.

    Returns:
        value: mean of after minus mean of before, in the unit of the values. n: pairs, clusters, or units of both groups.
        The p-value is two-sided.

    Raises:
        WorkbenchError: too few values, NaN, lengths that differ when paired, or clusters without pairs.

    >>> print(permutation([0.1, 0.2, 0.3, 0.4, 0.5], [0.4, 0.6, 0.5, 0.9, 0.8]))
    0.34, p = 0.062, n=5 (paired permutation, exact)
    """
    from scipy.special import comb

    inputs.whole(resamples, 99, "resamples", 1_000_000)
    rng = inputs.generator(seed)
    if paired:
        x, y = inputs.paired_numbers(before, after, "before and after", 1)
        sums = np.bincount(inputs.cluster_codes(clusters, len(x)), y - x)
        kind, exact, n = "paired permutation", 2.0 ** len(sums) <= resamples, len(sums)
        p = _flips(sums[:, None], "two-sided", resamples, rng)
    elif clusters is not None:
        raise WorkbenchError(
            "clusters go with paired=True; for two groups give one mean per cluster instead of each row"
        )
    else:
        x, y = inputs.numbers(before, "before"), inputs.numbers(after, "after")
        kind, n = "unpaired permutation", len(x) + len(y)
        if n < 3:
            raise WorkbenchError(f"{len(x)} and {len(y)} values: expected at least 3 in both groups together")
        exact = comb(n, len(x)) <= resamples
        p = _shuffles(x, y, resamples, rng)
    how = "exact" if exact else f"{resamples} drawn"
    return Comparison(float(y.mean() - x.mean()), p, n, f"{kind}, {how}")


def permutation_maximum(
    differences: object,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 9999,
    seed: int = 0,
) -> Comparison:
    """Test whether the best of several layers, doses or arms beats the baseline, corrected for choosing the best.

    The largest mean is compared with the largest mean after flipping signs of whole units, all options together, which
    keeps their correlation (Westfall and Young 1993, single-step maxT on means). One-sided: larger is better.

    Args:
        differences: the difference of each unit from its baseline under each option. Shape [unit, option].
        clusters: the base prompt of each unit, shape [unit]: signs flip for whole clusters.
        resamples, seed: how many permutations are drawn at most, and from which seed.

    Returns:
        value: the largest mean difference, in the unit of the values; it is biased upward, because it was chosen for
            being the largest. n: units or clusters. p: already corrected for the number of options.

    Raises:
        WorkbenchError: not a table of finite numbers with at least two units and two options.

    >>> print(permutation_maximum([[0.2, 0.1], [0.3, -0.1], [0.4, 0.0], [0.1, 0.1]]))
    0.25, p = 0.062, n=4 (best of 2, sign flips, exact)
    """
    values = inputs.matrix(differences, "differences")
    inputs.whole(resamples, 99, "resamples", 1_000_000)
    codes = inputs.cluster_codes(clusters, len(values))
    sums = np.stack([np.bincount(codes, column) for column in values.T], axis=1)
    p = _flips(sums, "greater", resamples, inputs.generator(seed))
    how = "exact" if 2.0 ** len(sums) <= resamples else f"{resamples} drawn"
    name = f"best of {values.shape[1]}, sign flips, {how}"
    return Comparison(float(values.mean(axis=0).max()), p, len(sums), name)


def _flips(sums: np.ndarray, alternative: str, resamples: int, rng: np.random.Generator) -> float:
    """p of the largest column sum of [unit, option] when the signs of whole rows are flipped."""
    from scipy.stats import permutation_test

    def largest(kept: np.ndarray, axis: int) -> np.ndarray:
        # ``kept`` holds +1 where a unit keeps its sign; scipy flips by negating, over the last axis.
        return (kept @ sums).max(axis=-1)

    result = permutation_test(
        (np.ones(len(sums)),),
        largest,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, 2_000_000 // len(sums)),
        alternative=alternative,
        rng=rng,
    )
    return float(result.pvalue)


def _shuffles(x: np.ndarray, y: np.ndarray, resamples: int, rng: np.random.Generator) -> float:
    """Two-sided p of the difference of means when the labels of the two groups are shuffled."""
    from scipy.stats import permutation_test

    result = permutation_test(
        (x, y),
        lambda a, b, axis: b.mean(axis=axis) - a.mean(axis=axis),
        permutation_type="independent",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, 2_000_000 // (len(x) + len(y))),
        rng=rng,
    )
    return float(result.pvalue)


def holm(p_values: inputs.Numbers) -> list[float]:
    """Holm-adjusted p-values (Holm 1979), which control the family-wise error rate under any dependence.

    Args:
        p_values: one per test of the family. Shape [test]; may be empty.

    Raises:
        WorkbenchError: NaN, or not between 0 and 1.

    >>> holm([0.01, 0.04])
    [0.02, 0.04]
    """
    family = _family(p_values)
    # Not statsmodels' multipletests: it collects garbage at each call, a tenth of a second beside a loaded model.
    order = np.argsort(family)
    steps = np.maximum.accumulate(family[order] * np.arange(len(family), 0, -1))
    return [float(p) for p in np.minimum(steps, 1.0)[np.argsort(order)]]


def _family(p_values: inputs.Numbers) -> np.ndarray:
    if np.ndim(p_values) == 1 and len(p_values) == 0:
        return np.zeros(0)
    family = inputs.numbers(p_values, "p-values")
    if family.min() < 0 or family.max() > 1:
        raise WorkbenchError(f"p-values: expected numbers from 0 to 1, got {family.min():g} to {family.max():g}")
    return family
