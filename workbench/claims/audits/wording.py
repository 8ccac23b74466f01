"""Checks of what is said about the numbers: ranges, peaks, trends, totals, equalities, and readings of the raw record.

A failure means the record is inconsistent.
"""

import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import combinations, pairwise
from statistics import fmean
from typing import Literal

from workbench._errors import WorkbenchError, unknown
from workbench.claims.audits.arithmetic import Cells, printed_p
from workbench.claims.audits.check_results import Result
from workbench.claims.audits.noise import equal_rates_p
from workbench.claims.printed_numbers import Cell, Fact, aligned
from workbench.claims.recomputations import p_of_mcnemar, p_of_two_rates
from workbench.statistics.equivalences import Equivalence, equivalence_rates
from workbench.statistics.rates import fisher, rate
from workbench.statistics.results import Estimate


def within(of: Cells, low: Cell | None = None, high: Cell | None = None) -> Result:
    """Every number lies in the range that is stated; one bound at least is needed."""
    floor = -float("inf") if low is None else low.number - float(low.unit) / 2
    ceiling = float("inf") if high is None else high.number + float(high.unit) / 2
    given = [c for c in of if c.value is not None]
    outside = [c for c in given if not floor - 1e-9 <= c.number <= ceiling + 1e-9]
    bounds = " and ".join([f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None))
    if not outside:
        return Result("holds", f"all {len(given)} values are {bounds}", (len(given), len(given)))
    listed = ", ".join(f"{c} ({c.name})" for c in outside[:6]) + (", …" if len(outside) > 6 else "")
    sentence = f"{len(given) - len(outside)} of {len(given)} values are {bounds}; outside: {listed}"
    return Result("fails", sentence, (len(given) - len(outside), len(given)))


def monotone(of: Cells, direction: Literal["rising", "falling"]) -> Result:
    """The numbers never go against the direction that is stated, in the order of the rows."""
    sign = 1 if direction == "rising" else -1
    numbers = [c.number for c in of]
    against = [(a, b) for a, b in pairwise(of) if sign * (b.number - a.number) < 0]
    flat = len(set(numbers)) == 1
    printed = ", ".join(map(str, of))
    if not against and not flat:
        return Result("holds", f"{direction} throughout: {printed}", tuple(numbers))
    steps = ", ".join(f"{a} to {b}" for a, b in against) or "all are equal"
    return Result("fails", f"said to be {direction}, but {steps}: {printed}", tuple(numbers))


def peak(of: Cells, at: Cells, lowest: bool = False) -> Result:
    """The highest (or lowest) of the numbers is where it is said to be, and nowhere else.

    Args:
        of: the numbers to look among.
        at: where the extreme is said to be; of several, one must be it, and every value that equals it must be named.
        lowest: look for the lowest.
    """
    best = (min if lowest else max)(c.exact for c in of)
    actual = [c for c in of if c.exact == best]
    word = "lowest" if lowest else "highest"
    seen = ", ".join(f"{c} ({c.name})" for c in actual)
    said = ", ".join(c.name for c in at)
    fine = all(c in at for c in actual)
    sentence = f"the {word} is {seen}" if fine else f"the {word} is {seen}, not only or not {said}"
    return Result("holds" if fine else "fails", sentence, tuple(c.number for c in actual))


def reversals(of: Cells) -> Result:
    """Along increasing doses, three at least, the rates never turn back by more than chance allows (Fisher's exact test of each step)."""
    rows = []
    for a, b, c in zip(of, of[1:], of[2:], strict=False):
        first, second = (fisher(x.successes, x.units, y.successes, y.units) for x, y in ((a, b), (b, c)))
        if (b.number - a.number) * (c.number - b.number) < 0 and max(first, second) < 0.05:
            rows.append(f"{a}, {b}, {c} (p = {first:.2g} and {second:.2g})")
    if rows:
        return Result("fails", f"goes one way and back, each time beyond chance: {'; '.join(rows)}", (len(rows),))
    return Result("holds", f"no step back beyond chance: {', '.join(map(str, of))}", (0,))


def same(of: Cells) -> Result:
    """What is given in several places is given alike: equal numbers or equal words."""
    values = Counter(c.value for c in of)
    if len(values) == 1 and None in values:
        return Result("fails", f"given in none of the {len(of)} places", verdict="untestable")
    if len(values) == 1:
        return Result("holds", f"{of[0]} in {len(of)} places")
    listed = ", ".join(f"{c} ({c.name})" for c in of)
    return Result("fails", f"one thing, given as {len(values)} different ones: {listed}")


def compatible(a: Cell, b: Cell) -> Result:
    """Two measurements of one rate differ by no more than chance allows (Fisher's exact test)."""
    p = fisher(a.successes, a.units, b.successes, b.units)
    sentence = f"{a} ({a.name}) and {b} ({b.name}): Fisher p = {p:.2g}"
    return Result("fails" if p < 0.05 else "holds", sentence, (a.number, b.number), p)


def repeats(a: Cells, b: Cells) -> Result:
    """Two columns that measure the same conditions differ by no more than chance allows (chi-squared summed over rows).

    A row where everything or nothing succeeded cannot differ: it adds no degree of freedom.
    """
    from scipy.stats import chi2, chi2_contingency

    total, telling_rows = 0.0, 0
    for x, y in aligned(a, b):
        table = [[x.successes, x.units - x.successes], [y.successes, y.units - y.successes]]
        if 0 < x.successes + y.successes < x.units + y.units:
            total += float(chi2_contingency(table, correction=False)[0])
            telling_rows += 1
    p = float(chi2.sf(total, telling_rows)) if telling_rows else 1.0
    widest = max(abs(x.number - y.number) for x, y in aligned(a, b))
    sentence = f"{len(a)} repeated conditions differ by up to {widest:g} points: summed chi-squared p = {p:.2g}"
    return Result("fails" if p < 0.05 else "holds", sentence, (total,), p)


def alike(of: Cells, margin: Decimal | None = None) -> Result:
    """Rates said not to differ are shown to differ by less than a margin; without one, only that they do differ is found.

    That no difference is found is no evidence that there is none: without a margin it is a note.

    Args:
        of: rates, each with its n.
        margin: the largest difference that does not matter, in percentage points. Each pair must be equivalent within it
            (two one-sided tests); where that is not shown the claim is underpowered.
    """
    p = equal_rates_p(of)
    sentence = f"{', '.join(map(str, of))}: p = {p:.2g} for equal rates"
    if margin is None:
        more = "; that is no evidence that they are alike: give a margin"
        return Result("fails" if p < 0.05 else "note", sentence + more * (p >= 0.05), p=p)
    pairs = [
        equivalence_rates(a.successes, a.units, b.successes, b.units, float(margin) / 100)
        for a, b in combinations(of, 2)
    ]
    return _alike(pairs, p, sentence, f"{margin} points", 100)


def _alike(pairs: Sequence[Equivalence], p: float, sentence: str, margin: str, scale: float) -> Result:
    """All pairs are within the margin, or the difference is found, or neither."""
    worst = max(pairs, key=lambda pair: pair.p)
    low, high = scale * worst.difference.low, scale * worst.difference.high
    sentence = f"{sentence}; 90% interval of the least alike pair {low:+.2f} to {high:+.2f}, margin {margin}"
    if worst.holds:
        return Result("holds", f"{sentence}: alike with p = {worst.p:.2g}", p=worst.p)
    return Result("fails", sentence, p=worst.p, verdict="" if p < 0.05 else "underpowered")


def alike_means(means: Cells, sds: Cells, n: int, margin: Decimal | None = None) -> Result:
    """Means of groups of n said not to differ differ by less than a margin; without one, only that they differ is found.

    One-way F from means and SDs, and two one-sided Welch t tests of each pair. Without a margin no difference is a note.

    Args:
        means, sds: one per group.
        n: units in each group.
        margin: the largest difference that does not matter, in the unit of the means.
    """
    from scipy.stats import f

    rows, k = aligned(means, sds), len(means)
    if n < 2 or k < 2 or any(s.number < 0 for s in sds) or not any(s.number for s in sds):
        raise WorkbenchError(f"two means or more, SDs above 0 and an n of at least 2 are needed: got n = {n}")
    centre = fmean(m.number for m in means)
    between = n * sum((m.number - centre) ** 2 for m in means) / (k - 1)
    ratio = between / fmean(s.number**2 for s in sds)
    p = float(f.sf(ratio, k - 1, k * (n - 1)))
    sentence = f"one-way F = {ratio:.3f}, p = {p:.2g}"
    if margin is None:
        more = "; that is no evidence that they are alike: give a margin"
        return Result("fails" if p < 0.05 else "note", sentence + more * (p >= 0.05), (ratio,), p)
    pairs = [_equal_means(a, s, b, t, n, float(margin)) for (a, s), (b, t) in combinations(rows, 2)]
    return _alike(pairs, p, sentence, str(margin), 1)


def _equal_means(a: Cell, sd_a: Cell, b: Cell, sd_b: Cell, n: int, margin: float) -> Equivalence:
    """Welch's two one-sided tests of two means of n, from their SDs."""
    from scipy.stats import t

    if margin <= 0:
        raise WorkbenchError(f"margin is {margin:g}: a number above 0 is needed")
    errors = [sd.number**2 / n for sd in (sd_a, sd_b)]
    difference, error = b.number - a.number, math.sqrt(sum(errors))
    if error == 0:
        raise WorkbenchError(f"{a} and {b} have no spread: a t test needs it")
    degrees = sum(errors) ** 2 / sum(e * e / (n - 1) for e in errors)
    half = float(t.isf(0.05, degrees)) * error
    p = float(t.sf((margin - abs(difference)) / error, degrees))
    return Equivalence(Estimate(difference, difference - half, difference + half, 2 * n, "t"), margin, p, 0.05)


def totals(classes: tuple[Cells, ...]) -> Result:
    """Counts of outcomes that exclude one another add up to no more than their n, row by row."""
    rows = aligned(*classes)
    over = [row for row in rows if sum(c.successes for c in row) > row[0].units]
    sums = tuple(float(sum(c.successes for c in row)) for row in rows)
    if not over:
        return Result("holds", f"in all {len(rows)} rows the classes fit into n", sums)
    listed = "; ".join(
        f"{' + '.join(str(c.successes) for c in row)} = {sum(c.successes for c in row)} > {row[0].n}" for row in over
    )
    return Result("fails", f"the classes do not fit into n in {len(over)} of {len(rows)} rows: {listed}", sums)


def every(of: Cells) -> Result:
    """What is said of all holds of each: every flag is true."""
    true = sum(c.value is True for c in of)
    missing = [c.name for c in of if c.value is not True]
    listed = "; ".join(missing[:4]) + ("; …" if len(missing) > 4 else "")
    sentence = f"true of {true} of {len(of)}" + (f"; not of: {listed}" if missing else "")
    return Result("fails" if missing else "holds", sentence, (true, len(of)))


_USUAL_TESTS = ("Fisher", "one-sided Fisher", "z", "one-sided z", "χ² with Yates")


def p_value(a: Cell, b: Cell, claimed: Cell, by: str = "") -> Result:
    """The printed p-value, or its bound (`"< 0.001"`), comes out of a test of the two rates that could be meant.

    Fisher's exact test, z and chi-squared, plain or with Yates' correction, one- or two-sided; McNemar's, where both have the
    same n, for some number of prompts that changed both ways.

    Args:
        a, b: rates, each with its n.
        claimed: the printed p-value: a number, or text such as ``"< 0.001"``.
        by: the one test that the record names, e.g. ``"Fisher"``, ``"one-sided Fisher"``, ``"χ² with Yates"`` or ``"McNemar"``.
    """
    printed = printed_p(claimed)
    options = list(p_of_two_rates(a.successes, a.units, b.successes, b.units, rare=bool(by)))
    paired = p_of_mcnemar(a.successes, b.successes, a.units) if a.units == b.units else ()
    if by:
        options += paired
        names = list(dict.fromkeys(name for name, _ in options))
        if by not in names:
            raise unknown("test of two rates", by, names)
        options = [(name, p) for name, p in options if name == by]
    else:  # the usual ones alone, since some other form fits nearly any p; of McNemar's the exact and the corrected one
        options = [(name, p) for name, p in options if name in _USUAL_TESTS]
        options += [(name, p) for name, p in paired if name in ("McNemar", "corrected McNemar")]
    fitting = [name for name, p in options if printed.allows(p, p)]
    first = {name: p for name, p in reversed(options) if "McNemar" not in name} or dict(options)
    shown: list[str] = [name for name in ("Fisher", "z", "χ² with Yates") if name in first] or [by]
    listed = ", ".join(f"{name} p = {first[name]:.3g}" for name in shown)
    how = f"printed {claimed} is the {fitting[0]} test" if fitting else f"printed {claimed} is that of no test of them"
    sentence = f"{a} against {b}: {listed}; {how}"
    return Result("holds" if fitting else "fails", sentence, tuple(first[name] for name in shown), first.get("Fisher"))


def record(needs: tuple[Fact, ...]) -> Result:
    """What was read in the raw record agrees with what is said."""
    against = [fact for fact in needs if not fact.holds]
    if against:
        return Result("fails", "; ".join(f"not so: {f.statement} ({f.source})" for f in against))
    return Result("holds", "; ".join(f.statement for f in needs))


def distinct(found: Cell, expected: Cell) -> Result:
    """As many different outputs as there should be: identical runs that differ are no identical runs."""
    if found.exact == expected.exact:
        return Result("holds", f"{found} different outputs, as expected", (found.number,))
    return Result("fails", f"{found} different outputs where {expected} are expected", (found.number, expected.number))


def certain(of: Cell, said: Decimal = Decimal(100)) -> Result:
    """A rate said to be exact, always or never, is that in the counts."""
    shown = rate(of.successes, of.units)
    fine = 100 * of.successes == said * of.units
    sentence = f"said to be {said}%, counted {of.successes} of {of.n} ({shown})"
    return Result("holds" if fine else "fails", sentence, (of.share,))
