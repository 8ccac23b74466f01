"""How well one thing orders another: rank correlation over layers, and the area under the ROC curve."""

from collections.abc import Hashable, Sequence

import numpy as np

from workbench._errors import WorkbenchError
from workbench.statistics import inputs
from workbench.statistics.means import bootstrap, draws, percentiles
from workbench.statistics.results import Comparison, Estimate


def spearman(
    x: inputs.Numbers,
    y: inputs.Numbers,
    block: int | None = None,
    confidence: float = 0.95,
    resamples: int = 1999,
    seed: int = 0,
) -> Estimate:
    """Spearman's rank correlation, with an interval that resamples blocks of neighbouring layers.

    Neighbouring layers share most of their residual stream, so 26 layers are not 26 independent points. Circular block
    bootstrap (Politis and Romano 1992), percentile interval widened for few blocks (Hesterberg 2015).

    Args:
        x, y: one value per layer, in the order of the layers. Shape [layer].
        block: number of layers resampled together; by default the rounded square root of the number of layers. 1 for
            independent points.
        resamples, seed: of the bootstrap.

    Returns:
        The correlation, from -1 to 1. n: the number of points; n / block of them count as independent.

    Raises:
        WorkbenchError: fewer than four points, lengths that differ, NaN, or all values of one side equal.

    >>> print(spearman([1, 2, 3, 4, 5, 6, 7, 8], [1, 3, 2, 4, 6, 5, 8, 7], block=2))
    0.93 [-0.20, 1.00] n=8
    """
    first, second = inputs.paired_numbers(x, y, "x and y", 4)
    inputs.between(confidence, 0, 1, "confidence")
    inputs.whole(resamples, 99, "resamples", 1_000_000)
    for what, values in (("x", first), ("y", second)):
        if np.ptp(values) == 0:
            raise WorkbenchError(
                f"{what}: all {len(values)} values are {values[0]:g}, so there are no ranks to correlate"
            )
    block = max(1, round(len(first) ** 0.5)) if block is None else block
    rows = draws(len(first), block, resamples, seed)
    low, high = percentiles(_rank_correlation(first[rows], second[rows]), confidence, len(first) / block)
    value = float(_rank_correlation(first, second))
    return Estimate(value, low, high, len(first), f"Spearman, bootstrap of blocks of {block}")


def spearman_difference(
    x: inputs.Numbers,
    y: inputs.Numbers,
    outcome: inputs.Numbers,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    block: int = 1,
    resamples: int = 499,
    seed: int = 0,
) -> Estimate:
    """The difference of two rank correlations with an outcome: ρ(x, outcome) - ρ(y, outcome).

    Both correlations use the same points, so the interval resamples points (clusters, or blocks of neighbouring
    layers) and recomputes the difference. A quantity that does not vary counts as a correlation of 0.

    Args:
        x, y, outcome: one value per point. Shape [point].
        clusters: the cluster of each point, e.g. its series; by default each point is its own.
        block: neighbouring clusters drawn together; for layers, 3.

    Raises:
        WorkbenchError: fewer than four points, lengths that differ, NaN, or fewer than two clusters or blocks.

    >>> print(f"{spearman_difference([1, 2, 3, 4, 5], [2, 1, 2, 1, 2], [1, 2, 3, 5, 4], resamples=99).value:.2f}")
    1.19
    """
    first, second = inputs.paired_numbers(x, y, "x and y", 4)
    first, last = inputs.paired_numbers(first, outcome, "x and outcome", 4)

    def apart(rows: np.ndarray) -> float:
        return float(np.subtract(*(np.nan_to_num(_rank_correlation(v[rows], last[rows])) for v in (first, second))))

    own = range(len(first)) if clusters is None else list(clusters)
    return bootstrap(apart, own, block, resamples=resamples, seed=seed)


def auc(
    scores: inputs.Numbers,
    labels: Sequence[bool] | np.ndarray,
    confidence: float = 0.95,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
) -> Estimate:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting one half.

    DeLong, DeLong and Clarke-Pearson (1988), with limits on the logit scale, which keeps them inside 0 to 1. If the
    classes do not overlap, that variance is 0. The limits are then Newcombe's (2006, method 5), which have a width
    above 0.

    Args:
        scores: one per row, any unit; higher should mean positive. Shape [row].
        labels: True for the positive class. Shape [row].
        clusters: the base prompt of each row, shape [row]; the variance is then that between clusters, which may
            contain rows of both classes (Obuchowski 1997). By default each row is its own.

    Returns:
        The area, from 0 to 1. n: all rows, or clusters.

    Raises:
        WorkbenchError: fewer than two rows of a class, fewer than two clusters, lengths that differ, or NaN.

    >>> print(auc([0.1, 0.4, 0.35, 0.8, 0.7, 0.9], [False, False, True, True, False, True]))
    0.78 [0.17, 0.98] n=6
    """
    from scipy.special import expit, logit
    from scipy.stats import norm

    value, shares = _placements(scores, labels)
    inputs.between(confidence, 0, 1, "confidence")
    z, n = norm.isf((1 - confidence) / 2), sum(map(len, shares))
    error = float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in shares)))
    if clusters is not None:
        codes = inputs.cluster_codes(clusters, n)
        n, error = int(codes.max()) + 1, _clustered_error(value, shares, inputs.outcomes(labels, "labels"), codes)
    if error < 1e-12 or value in (0.0, 1.0):
        low, high = _newcombe_area(value, len(shares[0]), len(shares[1]), z)
        return Estimate(value, low, high, n, "Newcombe, classes that do not overlap")
    reach = z * error / (value * (1 - value))
    return Estimate(value, float(expit(logit(value) - reach)), float(expit(logit(value) + reach)), n, "DeLong, logit")


def auc_permutation(
    scores_a: inputs.Numbers,
    scores_b: inputs.Numbers,
    labels: Sequence[bool] | np.ndarray,
    resamples: int = 4999,
    seed: int = 0,
) -> Comparison:
    """Test whether two detectors of the same rows have different AUCs, by exchanging their ranks row by row.

    Venkatraman and Begg (1996), with the difference of areas as the statistic. Unlike DeLong's test it needs no
    variance, so it can also compare perfect detectors.

    Args:
        scores_a, scores_b: the scores of two detectors for each row, each in its own unit. Shape [row].
        labels: True for the positive class. Shape [row].
        resamples, seed: number and seed of the exchanges; the observed data counts as one of them.

    Returns:
        value: area of b minus area of a. n: rows. The p-value is two-sided.

    Raises:
        WorkbenchError: as for ``auc``.

    >>> print(auc_permutation([4, 1, 3, 2, 6, 5, 8, 7], [1, 2, 3, 4, 5, 6, 7, 8], [False] * 4 + [True] * 4).value)
    0.0
    """
    from scipy.stats import rankdata

    value = _placements(scores_b, labels)[0] - _placements(scores_a, labels)[0]
    inputs.whole(resamples, 99, "resamples", 1_000_000)
    a, b = (rankdata(inputs.numbers(scores, "scores")) for scores in (scores_a, scores_b))
    positive = inputs.outcomes(labels, "labels")
    swap = inputs.generator(seed).random((resamples, len(a))) < 0.5
    ranks = (rankdata(np.where(swap, x, y), axis=1)[:, positive].sum(1) for x, y in ((a, b), (b, a)))
    drawn = np.subtract(*ranks) / (positive.sum() * (~positive).sum())
    p = (int((np.abs(drawn) >= abs(value) - 1e-12).sum()) + 1) / (resamples + 1)
    return Comparison(value, p, len(a), f"ranks exchanged, {resamples} drawn")


def auc_standard_error(area: float, positives: int, negatives: int) -> float:
    """Standard error of a logged AUC from its class sizes alone (Hanley and McNeil 1982).

    Args:
        area: from 0 to 1.
        positives, negatives: rows of each class.

    Returns:
        The standard error, in the unit of the area.

    Raises:
        WorkbenchError: an area outside 0 to 1, or an empty class.

    >>> round(auc_standard_error(0.854, 17, 118), 3), round(auc_standard_error(0.687, 17, 118), 3)
    (0.059, 0.075)
    """
    inputs.probability(area, "area")
    inputs.whole(positives, 1, "positives")
    inputs.whole(negatives, 1, "negatives")
    one_negative, one_positive = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area) + (positives - 1) * (one_negative - area**2) + (negatives - 1) * (one_positive - area**2)
    )
    return float(np.sqrt(variance / (positives * negatives)))


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's correlation of ranks along the last axis; NaN where a side has no spread."""
    from scipy.stats import rankdata

    a, b = (rankdata(values, axis=-1) for values in (x, y))
    a, b = (ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (a, b))
    with np.errstate(invalid="ignore"):
        return (a * b).sum(axis=-1) / np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))


def _placements(
    scores: inputs.Numbers, labels: Sequence[bool] | np.ndarray
) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """The area, and for each positive the share of negatives below it, for each negative that of positives above it."""
    from scipy.stats import rankdata

    values, positive = inputs.numbers(scores, "scores", 2), inputs.outcomes(labels, "labels")
    if len(values) != len(positive):
        raise WorkbenchError(f"scores and labels: expected one label per score, got {len(values)} and {len(positive)}")
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        raise WorkbenchError(f"{m} positive and {n} negative rows: an AUC with an interval needs two of each")
    ranks = rankdata(values)
    above = (ranks[positive] - rankdata(values[positive])) / n
    below = 1 - (ranks[~positive] - rankdata(values[~positive])) / m
    return float(above.mean()), (above, below)


def _clustered_error(
    value: float, shares: tuple[np.ndarray, np.ndarray], positive: np.ndarray, codes: np.ndarray
) -> float:
    """The standard error of an area from the sums over clusters of what each row adds to it."""
    k = int(codes.max()) + 1
    if k < 2:
        raise WorkbenchError(f"{len(codes)} rows from {k} cluster: an interval needs at least two independent clusters")
    parts = np.empty(len(codes))
    parts[positive], parts[~positive] = ((part - value) / len(part) for part in shares)
    return float(np.sqrt(k / (k - 1) * (np.bincount(codes, parts) ** 2).sum()))


def _newcombe_area(value: float, positives: int, negatives: int, z: float) -> tuple[float, float]:
    """The areas from which this one is z standard errors away, with balanced sizes in Hanley and McNeil's formula."""
    from scipy.optimize import brentq

    half = (positives + negatives) / 2

    def off(area: float) -> float:
        spread = area * (1 - area) * (1 + (half - 1) * ((1 - area) / (2 - area) + area / (1 + area)))
        return abs(area - value) - z * np.sqrt(spread / (positives * negatives))

    low = 0.0 if value == 0 else float(brentq(off, 0.0, value - 1e-9))
    high = 1.0 if value == 1 else float(brentq(off, value + 1e-9, 1.0))
    return low, high
