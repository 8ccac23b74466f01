"""Checks of whether means, correlations and AUCs differ beyond their noise.

A failure means the claim is underpowered: consistent, but not to be told from no effect.
"""

import math

from workbench.audits.arithmetic import Cells
from workbench.audits.findings import Result
from workbench.audits.power import ALPHA
from workbench.records import Cell


def beyond_noise(of: Cell, against: Cell, sd: Cell, n: int) -> Result:
    """A difference of two mean scores is larger than their noise, from the SD of single items and the n behind each."""
    from scipy.stats import norm

    se = sd.number / math.sqrt(n)
    gap = of.number - against.number
    p = 2 * float(norm.sf(abs(gap) / (se * math.sqrt(2)))) if se else 0.0
    needed = math.ceil(2 * (2.8016 * sd.number / gap) ** 2) if gap else 0
    sentence = f"{of} against {against}: {gap:+.1f} where a mean of {n} has a standard error of {se:.1f} (p = {p:.2g})"
    more = f"; {needed} per arm would do" if p >= ALPHA and needed else ""
    return Result("holds" if p < ALPHA else "fails", sentence + more, (gap, se), p)


def means_differ(a: Cells, b: Cells) -> Result:
    """Two groups of numbers have different means (Welch's t test)."""
    from scipy.stats import ttest_ind

    groups = [[c.number for c in cells] for cells in (a, b)]
    p = float(ttest_ind(*groups, equal_var=False)[1])
    means = tuple(math.fsum(g) / len(g) for g in groups)
    sentence = f"means {means[0]:+.2f} and {means[1]:+.2f}: Welch p = {p:.2g}"
    return Result("holds" if p < ALPHA else "fails", sentence, means, p)


def nonzero(of: Cells) -> Result:
    """A mean of several numbers is not zero (one-sample t test)."""
    from scipy.stats import ttest_1samp

    numbers = [c.number for c in of]
    p, mean = float(ttest_1samp(numbers, 0)[1]), math.fsum(numbers) / len(numbers)
    return Result("holds" if p < ALPHA else "fails", f"mean {mean:+.2f} of {len(of)}: t test p = {p:.2g}", (mean,), p)


def separate(a: Cells, b: Cells) -> Result:
    """Two groups of numbers do not overlap."""
    ranges = [(min(c.number for c in cells), max(c.number for c in cells)) for cells in (a, b)]
    apart = ranges[0][0] > ranges[1][1] or ranges[1][0] > ranges[0][1]
    text = " and ".join(f"{low:g} to {high:g}" for low, high in ranges)
    return Result("holds" if apart else "fails", f"ranges {text} {'do not ' if apart else ''}overlap")


def correlations_differ(stronger: Cell, weaker: Cell, n: int) -> Result:
    """One correlation is stronger than another, each over n independent points (Fisher's z)."""
    from scipy.stats import norm

    z = [math.atanh(abs(r.number)) for r in (stronger, weaker)]
    half = 1.959964 / math.sqrt(n - 3)
    p = 2 * float(norm.sf(abs(z[0] - z[1]) / math.sqrt(2 / (n - 3))))
    limits = [math.tanh(x) for x in (z[0] - half, z[0] + half, z[1] - half, z[1] + half)]
    sentence = (
        f"{stronger} [{limits[0]:.2f}, {limits[1]:.2f}] against {weaker} [{limits[2]:.2f}, {limits[3]:.2f}] "
        f"at n = {n}: p = {p:.2g}"
    )
    return Result("holds" if p < ALPHA and z[0] > z[1] else "fails", sentence, tuple(limits), p)


def governs(outcome: Cells, by: Cells, rather_than: Cells) -> Result:
    """One quantity goes with the outcome more closely than its rival does.

    Spearman correlations over the same rows, compared by Williams' t test for dependent correlations (Steiger 1980).
    """
    from scipy import stats

    y, x, rival = ([c.number for c in cells] for cells in (outcome, by, rather_than))
    own, other, between = (float(stats.spearmanr(a, b)[0]) for a, b in ((y, x), (y, rival), (x, rival)))
    t = williams_t(abs(own), abs(other), abs(between), len(y))
    p = 2 * float(stats.t.sf(abs(t), len(y) - 3))
    sentence = f"ρ = {own:+.2f}, its rival's {other:+.2f}, over {len(y)} rows: Williams p = {p:.2g}"
    return Result("holds" if p < ALPHA and t > 0 else "fails", sentence, (own, other), p)


def williams_t(own: float, other: float, between: float, n: int) -> float:
    """Williams' t of two correlations that share one variable; n - 3 degrees of freedom."""
    determinant = 1 - own**2 - other**2 - between**2 + 2 * own * other * between
    spread = 2 * (n - 1) / (n - 3) * determinant + ((own + other) / 2) ** 2 * (1 - between) ** 3
    return (own - other) * math.sqrt((n - 1) * (1 + between) / spread)


def aucs_differ(higher: Cell, lower: Cell, positives: int, negatives: int) -> Result:
    """One AUC is higher than another (Hanley and McNeil 1982, unpaired)."""
    from scipy.stats import norm

    errors = [hanley_mcneil(a.number, positives, negatives) for a in (higher, lower)]
    z = (higher.number - lower.number) / math.hypot(*errors)
    p = 2 * float(norm.sf(abs(z)))
    sentence = f"AUC {higher} ± {errors[0]:.3f} against {lower} ± {errors[1]:.3f} (standard errors): p = {p:.2g}"
    return Result("holds" if p < ALPHA and z > 0 else "fails", sentence, tuple(errors), p)


def hanley_mcneil(auc: float, positives: int, negatives: int) -> float:
    """Standard error of an AUC.

    >>> round(hanley_mcneil(0.854, 17, 118), 3)
    0.059
    """
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc * auc) + (negatives - 1) * (q2 - auc * auc)
    return math.sqrt(spread / (positives * negatives))


def auc_best_of(of: Cell, positives: int, negatives: int, tries: int) -> Result:
    """The best AUC of several is higher than the best of as many without any signal would often be."""
    from scipy.stats import norm

    null = math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    chance = 1 - float(norm.cdf((of.number - 0.5) / null)) ** tries
    sentence = f"without signal the best of {tries} AUCs reaches {of} with chance {chance:.2g}"
    return Result("holds" if chance < ALPHA else "fails", sentence, (chance,), chance)
