"""Checks of whether a statement rises above noise: do rates, means, correlations and AUCs differ beyond chance at the logged n?

A failure means the claim is underpowered: it is consistent, but cannot be told from no effect.
"""

import math
from decimal import Decimal

from workbench._errors import WorkbenchError
from workbench.claims.audits.arithmetic import Cells
from workbench.claims.audits.check_results import Result
from workbench.claims.printed_numbers import Cell, aligned
from workbench.statistics.dose import dose_response
from workbench.statistics.paired_tests import mcnemar_counts
from workbench.statistics.power import needed_n, needed_n_mean
from workbench.statistics.power import power as power_of
from workbench.statistics.ranking import auc_standard_error
from workbench.statistics.rates import fisher, heterogeneity, rate
from workbench.statistics.rates import trend as dose_trend

ALPHA = 0.05

# Rates


def differs(higher: Cell, lower: Cell, lost: Cell | None = None) -> Result:
    """The rate said to be higher is, beyond chance: Fisher's exact test, two-sided; McNemar's where `lost` is given.

    A significant difference the other way round makes the record inconsistent.

    Args:
        higher, lower: rates, each with its n.
        lost: where both are of the same prompts, how many of them had the outcome in ``lower`` alone.
    """
    if lost is None:
        p, test = fisher(higher.successes, higher.units, lower.successes, lower.units), "Fisher"
    else:
        p, test = _paired_p(higher, lower, lost), f"of the same {lower.units}, {lost} lost: exact McNemar"
    against = higher.share < lower.share and p < ALPHA
    sentence = f"{higher} ({higher.name}) against {lower} ({lower.name}): {test} p = {p:.2g}"
    if against:
        return Result("fails", f"{sentence}, the other way round", p=p, verdict="inconsistent")
    other = "; it is not even higher" if p >= ALPHA and higher.share < lower.share else ""
    wanted = "" if lost is not None else _wanted(higher, lower, p)
    return Result("holds" if p < ALPHA else "fails", sentence + (other or wanted), p=p)


def _paired_p(higher: Cell, lower: Cell, lost: Cell) -> float:
    if higher.units != lower.units:
        raise WorkbenchError(f"the same prompts have one n: got {higher.units} and {lower.units}")
    gone, gained = int(lost.exact), higher.successes - lower.successes + int(lost.exact)
    if not (0 <= gone <= lower.successes and 0 <= gained <= lower.units - lower.successes):
        raise WorkbenchError(f"{lost} lost: {lower} cannot become {higher} when so many of the same prompts are lost")
    return mcnemar_counts(gained, gone)


def _wanted(a: Cell, b: Cell, p: float) -> str:
    if p < ALPHA or a.share == b.share:
        return ""
    return f"; telling them apart takes about {needed_n(b.share, a.share)} units per arm"


def paired(gained: Cell, lost: Cell) -> Result:
    """Of the units that changed, more changed one way than the other, beyond chance (exact McNemar test)."""
    p = mcnemar_counts(int(gained.exact), int(lost.exact))
    return Result("holds" if p < ALPHA else "fails", f"{gained} against {lost} changed: exact McNemar p = {p:.2g}", p=p)


def paired_best(of: Cell, since: Cell) -> Result:
    """Even if every unit that changed changed the same way, the paired exact test would find the difference.

    The per-unit record is not needed: this is the smallest p-value that McNemar's exact test could give.
    """
    gained = abs(of.successes - since.successes)
    p = mcnemar_counts(gained, 0)
    sentence = f"{since} to {of}: {gained} units changed at best one way, exact paired p at least {p:.2g}"
    return Result("holds" if p < ALPHA else "fails", sentence, p=p)


def above_chance(of: Cell, chance: Cell) -> Result:
    """A rate is higher than guessing would give (exact binomial test, one-sided)."""
    from scipy.stats import binomtest

    p = float(binomtest(of.successes, of.units, chance.share, alternative="greater").pvalue)
    sentence = f"{of} of n = {of.n} against a chance of {chance}: binomial p = {p:.2g}"
    return Result("holds" if p < ALPHA else "fails", sentence, p=p)


def at_distinct(higher: Cell, lower: Cell, distinct: int) -> Result:
    """The difference is still there when copies and variants of a prompt count once: Fisher's test at the distinct n.

    The other way round, a significant difference makes the record inconsistent.
    """
    counts = [round(cell.share * distinct) for cell in (higher, lower)]
    p = fisher(counts[0], distinct, counts[1], distinct)
    sentence = f"{higher} against {lower} with {distinct} distinct prompts as the n: Fisher p = {p:.2g}"
    if p < ALPHA and higher.share < lower.share:
        return Result("fails", f"{sentence}, the other way round", p=p, verdict="inconsistent")
    return Result("holds" if p < ALPHA else "fails", sentence, p=p)


def vary(of: Cells) -> Result:
    """The rates differ among themselves beyond chance: exact where counts are few (Freeman and Halton 1951), else chi-squared."""
    p = equal_rates_p(of)
    return Result("holds" if p < ALPHA else "fails", f"{', '.join(map(str, of))}: p = {p:.2g} for equal rates", p=p)


def equal_rates_p(of: Cells) -> float:
    """P-value against equal rates; exact wherever an expected count is below 5."""
    return heterogeneity([c.successes for c in of], [c.units for c in of]).p


def trend(of: Cells, against: Cells, family: int = 1) -> Result:
    """The rates rise or fall with the dose beyond chance: exact Cochran–Armitage test, times the number of trends tried."""
    rows = aligned(of, against)
    test = dose_trend([dose.number for _, dose in rows], [c.successes for c in of], [c.units for c in of])
    corrected = min(1.0, test.p * family)
    note = f", times {family} tried: {corrected:.2g}" if family > 1 else ""
    how = "exact trend" if "exact" in test.method else "trend"
    sentence = f"{', '.join(map(str, of))}: {how} p = {test.p:.2g}{note}"
    return Result("holds" if corrected < ALPHA else "fails", sentence, (test.p, corrected), corrected)


def step_or_curve(dose: Cells, of: Cells, margin: Decimal = Decimal(6)) -> Result:
    """A sharp transition fits the rates better than a smooth one: BIC of one step (3 parameters) against a logistic (2)."""
    rows = aligned(dose, of)
    counts, n = [c.successes for c in of], [c.units for c in of]
    fits = dose_response([x.number for x, _ in rows], counts, n, resamples=99)
    middle = fits["logistic"].midpoint
    assert middle is not None
    gain = fits["step"].bic - fits["logistic"].bic
    if gain > float(margin):
        sentence = f"a logistic curve with midpoint {middle.value:.2f} beats the best single step by {gain:.0f} BIC"
        return Result("fails", sentence, (middle.value, gain), verdict="inconsistent")
    sentence = f"the best single step is within {gain:.0f} BIC of a logistic curve"
    return Result("holds", sentence, (middle.value, gain))


def limit(of: Cell, margin: Cell) -> Result:
    """A rate said to be nil is known to be small: the upper Wilson limit is at most a margin."""
    upper = rate(of.successes, of.units).high
    sentence = f"{of} of n = {of.n} allows up to {upper:.1%}; the margin is {margin}"
    return Result("holds" if upper <= margin.share + 1e-9 else "fails", sentence, (upper,))


def power(base: Cell, effect: Cell, power: Decimal = Decimal("0.8")) -> Result:
    """A difference of this size would have been found at the logged n, if it is there: power of Fisher's test.

    For a claim of no effect, ``effect`` is the smallest one that would matter.
    """
    reached = power_of(base.share, effect.share, base.units)
    sentence = f"power to tell {effect} from {base} at n = {base.n} per arm is {reached:.2f}"
    return Result("holds" if reached >= float(power) else "fails", sentence, (reached,))


# The best of several


def best_of(of: Cell, base: Cell, tries: int) -> Result:
    """The best of several tries is better than its base, beyond chance (Fisher's exact test, one-sided, Šidák's correction).

    The base is measured too, so its own n counts.
    """
    if tries < 1:
        raise WorkbenchError(f"tries is {tries}: a whole number of at least 1 is needed")
    one = fisher(of.successes, of.units, base.successes, base.units, "greater")
    chance = -math.expm1(tries * math.log1p(-one)) if one < 1 else 1.0
    sentence = (
        f"{of} of n = {of.n} against a base of {base} of n = {base.n}: one-sided Fisher p = {one:.2g}; "
        f"without any difference the best of {tries} reaches that with chance {chance:.2g}"
    )
    return Result("holds" if chance < ALPHA else "fails", sentence, (chance,), chance)


def chance_match(among: Cells, peaks: int = 2) -> Result:
    """That several curves peak at the same one of these places is more than chance."""
    chance = (1 / len(among)) ** (peaks - 1)
    sentence = f"{peaks} curves over {len(among)} places peak at the same one by chance with p = {chance:.2g}"
    return Result("holds" if chance < ALPHA else "fails", sentence, (chance,), chance)


def auc_best_of(of: Cell, positives: int, negatives: int, tries: int) -> Result:
    """The best AUC of several is higher than the best of as many without any signal would often be."""
    from scipy.stats import norm

    chance = 1 - float(norm.cdf((of.number - 0.5) / auc_standard_error(0.5, positives, negatives))) ** tries
    sentence = f"without signal the best of {tries} AUCs reaches {of} with chance {chance:.2g}"
    return Result("holds" if chance < ALPHA else "fails", sentence, (chance,), chance)


# Means


def beyond_noise(of: Cell, against: Cell, sd: Cell, n: int) -> Result:
    """A difference of two mean scores is larger than their noise, from the SD of single items and the n behind each (t test)."""
    from scipy.stats import ttest_ind_from_stats

    if n < 2 or sd.number <= 0:
        raise WorkbenchError(f"noise needs an SD above 0 and an n of at least 2: got {sd} and {n}")
    se = sd.number / math.sqrt(n)
    gap = of.number - against.number
    p = float(ttest_ind_from_stats(of.number, sd.number, n, against.number, sd.number, n)[1])
    sentence = f"{of} against {against}: {gap:+.1f} where a mean of {n} has a standard error of {se:.1f} (p = {p:.2g})"
    worth_planning = p >= ALPHA and abs(gap) > sd.number / 500
    more = f"; {needed_n_mean(gap, sd.number, paired=False)} per arm would do" if worth_planning else ""
    return Result("holds" if p < ALPHA else "fails", sentence + more, (gap, se), p)


def _listed(cells: Cells) -> str:
    return ", ".join(map(str, cells))


def means_differ(a: Cells, b: Cells) -> Result:
    """Two groups of numbers have different means (Welch's t test)."""
    from scipy.stats import ttest_ind

    groups = [[c.number for c in cells] for cells in (a, b)]
    if min(map(len, groups)) < 2 or all(len(set(g)) == 1 for g in groups):
        raise WorkbenchError(
            f"Welch's t test needs at least two numbers in each group, and spread: got {_listed(a)} and {_listed(b)}"
        )
    p = float(ttest_ind(*groups, equal_var=False)[1])
    means = tuple(math.fsum(g) / len(g) for g in groups)
    sentence = f"means {means[0]:+.2f} and {means[1]:+.2f}: Welch p = {p:.2g}"
    return Result("holds" if p < ALPHA else "fails", sentence, means, p)


def nonzero(of: Cells) -> Result:
    """A mean of several numbers is not zero (one-sample t test)."""
    from scipy.stats import ttest_1samp

    numbers = [c.number for c in of]
    if len(set(numbers)) < 2:
        raise WorkbenchError(f"a t test needs at least two numbers, and spread: got {_listed(of)}")
    p, mean = float(ttest_1samp(numbers, 0)[1]), math.fsum(numbers) / len(numbers)
    return Result("holds" if p < ALPHA else "fails", f"mean {mean:+.2f} of {len(of)}: t test p = {p:.2g}", (mean,), p)


def separate(a: Cells, b: Cells) -> Result:
    """Two groups of numbers do not overlap."""
    ranges = [(min(c.number for c in cells), max(c.number for c in cells)) for cells in (a, b)]
    apart = ranges[0][0] > ranges[1][1] or ranges[1][0] > ranges[0][1]
    text = " and ".join(f"{low:g} to {high:g}" for low, high in ranges)
    return Result("holds" if apart else "fails", f"ranges {text} {'do not ' if apart else ''}overlap")


# Correlations and AUCs


def correlations_differ(stronger: Cell, weaker: Cell, n: int) -> Result:
    """One correlation is stronger than another, each over n independent points (Fisher's z)."""
    from scipy.stats import norm

    if n < 4 or not all(abs(r.number) < 1 for r in (stronger, weaker)):
        raise WorkbenchError(
            f"Fisher's z needs correlations between -1 and 1, over 4 points or more: got {stronger}, {weaker}, n = {n}"
        )
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

    aligned(outcome, by, rather_than)
    y, x, rival = ([c.number for c in cells] for cells in (outcome, by, rather_than))
    if len(y) < 4 or any(len(set(column)) == 1 for column in (y, x, rival)):
        raise WorkbenchError(f"three columns of at least 4 rows that vary are needed, got {len(y)} rows")
    own, other, between = (float(stats.spearmanr(a, b)[0]) for a, b in ((y, x), (y, rival), (x, rival)))
    t = williams_t(abs(own), abs(other), abs(between), len(y))
    p = 2 * float(stats.t.sf(abs(t), len(y) - 3))
    sentence = f"ρ = {own:+.2f}, its rival's {other:+.2f}, over {len(y)} rows: Williams p = {p:.2g}"
    return Result("holds" if p < ALPHA and t > 0 else "fails", sentence, (own, other), p)


def williams_t(own: float, other: float, between: float, n: int) -> float:
    """Williams' t of two correlations that share one variable; n - 3 degrees of freedom."""
    determinant = 1 - own**2 - other**2 - between**2 + 2 * own * other * between
    spread = 2 * (n - 1) / (n - 3) * determinant + ((own + other) / 2) ** 2 * (1 - between) ** 3
    return (own - other) * math.sqrt((n - 1) * (1 + between) / spread) if spread > 0 else 0.0


def aucs_differ(higher: Cell, lower: Cell, positives: int, negatives: int) -> Result:
    """One AUC is higher than another (Hanley and McNeil 1982, unpaired)."""
    from scipy.stats import norm

    errors = [auc_standard_error(a.number, positives, negatives) for a in (higher, lower)]
    if not any(errors):
        raise WorkbenchError(f"AUCs of {higher} and {lower} have no standard error to compare them by")
    z = (higher.number - lower.number) / math.hypot(*errors)
    p = 2 * float(norm.sf(abs(z)))
    sentence = f"AUC {higher} ± {errors[0]:.3f} against {lower} ± {errors[1]:.3f} (standard errors): p = {p:.2g}"
    return Result("holds" if p < ALPHA and z > 0 else "fails", sentence, tuple(errors), p)
