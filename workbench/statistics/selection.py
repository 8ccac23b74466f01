"""The best of several layers, doses or arms: an honest estimate of it, and what choosing it adds by luck."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench._errors import WorkbenchError
from workbench.statistics import inputs
from workbench.statistics.means import mean
from workbench.statistics.rates import rate
from workbench.statistics.results import Estimate


@dataclass(frozen=True)
class NestedChoice:
    """The value of "choose the best option, then use it", estimated on rows that had no part in the choice.

    ``estimate`` is that; ``best`` is the option that is best on all rows, and ``in_sample`` its mean on those same rows, which
    is too high; ``chosen`` is the option chosen for each fold.
    """

    estimate: Estimate
    best: Hashable
    in_sample: Estimate
    chosen: tuple[Hashable, ...]

    @property
    def optimism(self) -> float:
        """How much of the in-sample value is owed to having chosen on the same rows, in the unit of the values."""
        return self.in_sample.value - self.estimate.value

    @property
    def stability(self) -> float:
        """The share of folds that choose the option that is best on all rows."""
        return self.chosen.count(self.best) / len(self.chosen)

    def __str__(self) -> str:
        return (
            f"{self.estimate} on held-out rows; best {self.best}, chosen in {self.stability:.0%} of {len(self.chosen)} folds; "
            f"in sample {self.in_sample.value:.2f}"
        )


def nested_choice(
    values: object,
    options: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    folds: int = 5,
    repeats: int = 10,
    confidence: float = 0.95,
    seed: int = 0,
) -> NestedChoice:
    """Chooses the option with the highest mean on all folds but one, and reads its value on the held-out fold.

    Nested cross-validation (Varma and Simon 2006): the honest value of "the best of k layers". Folds hold whole clusters, and
    the value of a row is its mean over ``repeats`` partitions into folds. The interval is the cluster bootstrap of these
    values, widened by the factor of Nadeau and Bengio (2003), sqrt(1 + folds / (folds - 1)), because folds share the rows
    they choose on. It is about a choice made from ``folds - 1`` parts of these rows.

    Args:
        values: of each row under each option, any unit, higher is better. Shape [row, option].
        options: their names, e.g. layers, shape [option]; by default 0, 1, …
        clusters: the base prompt of each row, shape [row]; by default each row is its own.
        folds: at least two, at most as many as there are clusters.
        repeats: random partitions into folds.
        seed: of the partitions and of the interval.

    Returns:
        The held-out estimate in the unit of the values (n: clusters), next to the in-sample value that it replaces.

    Raises:
        WorkbenchError: not a table of finite numbers, names or clusters of another length, or too many folds.

    >>> values = [[0, 1], [0, 1], [1, 1], [0, 0], [0, 1], [1, 1]]
    >>> print(nested_choice(values, options=["layer 4", "layer 8"], folds=3))
    0.83 [0.00, 1.00] n=6 on held-out rows; best layer 8, chosen in 100% of 30 folds; in sample 0.83
    """
    table = inputs.matrix(values, "values")
    names = tuple(range(table.shape[1])) if options is None else tuple(options)
    if len(names) != table.shape[1]:
        raise WorkbenchError(f"options: expected one name per column, got {len(names)} for {table.shape[1]} columns")
    codes = inputs.cluster_codes(clusters, len(table))
    k = int(codes.max()) + 1
    inputs.whole(folds, 2, "folds")
    if folds > k:
        raise WorkbenchError(f"{folds} folds of {k} clusters: choose at most {k} folds")
    inputs.whole(repeats, 1, "repeats")
    rng = np.random.default_rng(seed)
    picks, held_out = [], np.zeros(len(table))
    for _ in range(repeats):
        fold = (rng.permutation(k) % folds)[codes]
        chosen = np.array([table[fold != f].mean(axis=0).argmax() for f in range(folds)])
        held_out += table[np.arange(len(table)), chosen[fold]] / repeats
        picks += [names[i] for i in chosen]
    best = int(table.mean(axis=0).argmax())
    narrow, wider = mean(held_out, codes, confidence, seed=seed), float(np.sqrt(1 + folds / (folds - 1)))
    estimate = Estimate(
        narrow.value,
        max(narrow.value - wider * (narrow.value - narrow.low), float(table.min())),
        min(narrow.value + wider * (narrow.high - narrow.value), float(table.max())),
        k,
        f"nested choice, {repeats} times {folds} folds",
    )
    return NestedChoice(estimate, names[best], mean(table[:, best], codes, confidence, seed=seed), tuple(picks))


@dataclass(frozen=True)
class WinnersCurse:
    """What is left of "the best of k" after the luck of having been chosen is taken off.

    ``corrected`` is the observed value minus ``bias``; ``shrunk`` is the second opinion, the empirical Bayes mean of the same
    option. Both in the unit of the estimates; ``option`` is the place of the best one.
    """

    option: int
    observed: float
    bias: float
    corrected: Estimate
    shrunk: float

    def __str__(self) -> str:
        return (
            f"best of {self.corrected.n}: {self.observed:.2f} observed, of which {self.bias:.2f} expected by choosing; "
            f"corrected {self.corrected.value:.2f} [{self.corrected.low:.2f}, {self.corrected.high:.2f}], shrunk {self.shrunk:.2f}"
        )


def winners_curse(
    estimates: inputs.Numbers,
    errors: inputs.Numbers | float,
    correlation: float = 0.0,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> WinnersCurse:
    """Corrects the largest of several estimates for having been chosen as the largest.

    Method: normal errors around normally spread true values, whose mean and variance come from the estimates (DerSimonian
    and Laird 1986). ``bias`` is the mean excess of the winner over its own truth in a parametric bootstrap (Efron and
    Tibshirani 1993) that starts from estimates shrunk to that variance (Louis 1984), since the raw ones are too far apart.
    ``shrunk`` is the posterior mean, which choosing does not bias (Efron 2011). When one option is somewhat better than all
    others, which are alike, both correct too much. With rows at hand prefer ``nested_choice``.

    The interval assumes nothing about the true values: below the winner it reaches as far as the largest of all errors does,
    above it as far as one error does (projection; Andrews, Kitagawa and McCloskey 2024). It covers at least at its level.

    Args:
        estimates: one per option, any unit, larger is better. Shape [option].
        errors: their standard errors, in the same unit, positive: shape [option], or one number for all.
        correlation: between the errors of two options, 0 to below 1: high when all options are measured on the same prompts.

    Returns:
        Observed, bias, corrected with its interval, and shrunk, all in the unit of the estimates. n: the options.

    Raises:
        WorkbenchError: fewer than two options, NaN, or an error that is not positive.

    >>> print(winners_curse([0.30, 0.42, 0.35, 0.61, 0.44], 0.1))
    best of 5: 0.61 observed, of which 0.09 expected by choosing; corrected 0.52 [0.35, 0.81], shrunk 0.48
    """
    from scipy.stats import norm

    x = inputs.numbers(estimates, "estimates", 2)
    error = np.full(len(x), float(errors)) if np.ndim(errors) == 0 else inputs.numbers(errors, "errors", 2)  # type: ignore[arg-type]
    if len(error) != len(x) or not (np.isfinite(error) & (error > 0)).all():
        raise WorkbenchError(
            f"errors: expected {len(x)} positive standard errors, got {error}; for rates see winners_curse_rates"
        )
    inputs.between(correlation, -1e-12, 1, "correlation")
    inputs.between(confidence, 0, 1, "confidence")
    inputs.whole(resamples, 99, "resamples")
    # What options share does not decide which of them wins: only the rest of the error does.
    own = np.sqrt(max(1 - correlation, 0.0))
    centre, keep = _spread_of_truths(x, (own * error) ** 2)
    best = int(x.argmax())
    truths = centre + np.sqrt(keep) * (x - centre)
    rng = np.random.default_rng(seed)
    shared, rest = rng.standard_normal((resamples, 1)), rng.standard_normal((resamples, len(x)))
    winner = (truths + own * error * rest).argmax(axis=1)
    bias = float((own * error[winner] * rest[np.arange(resamples), winner]).mean())
    largest = (np.sqrt(max(correlation, 0.0)) * shared + own * rest).max(axis=1)
    top = float(x[best])
    low = top - float(np.quantile(largest, (1 + confidence) / 2) * error[best])
    high = top + float(norm.isf((1 - confidence) / 2) * error[best])
    corrected = Estimate(top - bias, low, high, len(x), "winner's curse: parametric bootstrap, projection interval")
    return WinnersCurse(best, top, bias, corrected, float(centre + keep[best] * (top - centre)))


def winners_curse_rates(
    successes: Sequence[int],
    n: Sequence[int] | int,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> WinnersCurse:
    """``winners_curse`` for rates, from counts: binomial draws instead of normal errors, and Wilson limits.

    Options are taken as measured on different units; on the same prompts they win less by luck, and the bias is an upper
    bound. The lower limit is Wilson's at the level at which all options' limits hold at once (Sidak 1967).

    Args:
        successes, n: counts and denominators of the options, shape [option]; one number for a common n.

    Returns:
        Observed, bias, corrected with its interval, and shrunk, all rates. n: the options.

    Raises:
        WorkbenchError: fewer than two options, or not counts.

    >>> print(winners_curse_rates([4, 3, 3, 2, 3], 4))
    best of 5: 1.00 observed, of which 0.21 expected by choosing; corrected 0.79 [0.38, 1.00], shrunk 0.75
    """
    k, total = inputs.counts(successes, n, 2)
    inputs.between(confidence, 0, 1, "confidence")
    inputs.whole(resamples, 99, "resamples")
    rates, pooled = k / total, (k.sum() + 0.5) / (total.sum() + 1)
    centre, keep = _spread_of_truths(rates, pooled * (1 - pooled) / total)
    best = int(rates.argmax())
    truths = np.clip(centre + np.sqrt(keep) * (rates - centre), 0, 1)
    rng = np.random.default_rng(seed)
    again = rng.binomial(total, truths, (resamples, len(k))) / total
    winner = (again + 1e-9 * rng.random(again.shape)).argmax(axis=1)  # ties are broken at random
    bias = float((again[np.arange(resamples), winner] - truths[winner]).mean())
    tail = 1 - ((1 + confidence) / 2) ** (1 / len(k))
    low = rate(int(k[best]), int(total[best]), 1 - 2 * tail).low
    high = rate(int(k[best]), int(total[best]), confidence).high
    value = min(max(float(rates[best]) - bias, 0.0), 1.0)
    corrected = Estimate(value, low, high, len(k), "winner's curse: binomial bootstrap, Wilson-Sidak")
    return WinnersCurse(best, float(rates[best]), bias, corrected, float(centre + keep[best] * (rates[best] - centre)))


def selection_bias(error: float, options: int, correlation: float = 0.0) -> float:
    """How much the best of ``options`` equally good ones is expected to lie above their common true value.

    The mean of the largest of as many normal numbers (Tippett 1925), times the error: what a log's "best of 26 layers" gains
    by choosing when no layer is better than another. Less when some are.

    Args:
        error: standard error of each estimate, in any unit.
        options: how many there were to choose from.
        correlation: between the errors of two options, 0 to below 1.

    Returns:
        The bias, in the unit of the error.

    Raises:
        WorkbenchError: no options, or an error that is not positive.

    >>> round(0.5 + selection_bias(0.0747, 26), 3)  # of AUCs with 17 positives and 118 negatives
    0.648
    """
    from scipy.integrate import quad
    from scipy.stats import norm

    inputs.between(error, 0, np.inf, "error")
    inputs.whole(options, 1, "options")
    inputs.between(correlation, -1e-12, 1, "correlation")
    largest, _ = quad(lambda x: x * options * norm.pdf(x) * norm.cdf(x) ** (options - 1), -10, 10)
    return float(error * np.sqrt(1 - correlation) * largest)


def _spread_of_truths(x: np.ndarray, variance: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean of the true values, and for each option the share of its distance from it that is truth and not error."""
    weight = 1 / variance
    excess = (weight * (x - np.average(x, weights=weight)) ** 2).sum() - (len(x) - 1)
    between = max(excess / (weight.sum() - (weight**2).sum() / weight.sum()), 0.0)
    centre = float(np.average(x, weights=1 / (variance + between)))
    return centre, between / (variance + between)
