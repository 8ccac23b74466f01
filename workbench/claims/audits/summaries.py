"""Checks of summaries: can the interval, the SD, the mean, the effect size or kappa be, with what stands beside them?

A failure means the record is inconsistent. They are those that run unasked over a log (GRIM for means, GRIMMER, limits of SDs,
intervals, Cohen's d, kappa), for numbers that a claims file names.
"""

import math

from workbench._errors import WorkbenchError
from workbench.claims import feasible, recomputations
from workbench.claims.audits.arithmetic import Cells
from workbench.claims.audits.check_results import Outcome, Result
from workbench.claims.log_numbers import Number
from workbench.claims.printed_numbers import Cell
from workbench.claims.rounding import Grade, grade_of

_OUTCOMES: dict[Grade, Outcome] = {"holds": "holds", "slip": "slip", "error": "fails"}


def _step(cell: Cell) -> float:
    return float(cell.unit)


def interval(of: Cell, low: Cell, high: Cell, level: int = 95) -> Result:
    """The interval of a rate is the one of its n, by some method in use: Wilson, Clopper-Pearson, Agresti-Coull, Jeffreys, normal.

    Args:
        of: the rate, with its n.
        low, high: the printed limits, in percent.
        level: the confidence, in percent.
    """
    if not 50 <= level < 100:
        raise WorkbenchError(f"level is {level}: a confidence between 50 and 100 percent is needed")
    half = _step(of) / 2 if of.type == "percent" else 0.0
    step = max(_step(low), _step(high))
    off = recomputations.off_interval(100 * of.share, half, of.units, level, (low.number, high.number))
    _, lower, upper = recomputations.interval_of_rate(of.successes, of.units, level)[0]
    outcome: Outcome = "holds" if off <= 0.55 * step + 1e-9 else "slip" if off < step else "fails"
    sentence = f"{of} of {of.n} has the interval {lower:.1f} to {upper:.1f}% (Wilson); printed {low} to {high}"
    return Result(outcome, sentence, (lower, upper))


def sd_limit(mean: Cell, sd: Cell, low: Cell, high: Cell, n: int = 0) -> Result:
    """The SD is no larger than numbers between two limits can have about their mean (Popoviciu 1935; Bhatia and Davis 2000).

    Args:
        mean, sd: as printed.
        low, high: the ends of the scale, or the minimum and maximum.
        n: how many numbers, where it is known; the SD is the sample's.
    """
    if not low.number <= mean.number <= high.number:
        return Result("fails", f"a mean of {mean} does not lie between {low} and {high}", (mean.number,))
    top = feasible.largest_sd(mean.number, _step(mean), low.number, high.number, n or None)
    outcome: Outcome = "fails" if sd.number - _step(sd) / 2 > top + 1e-9 else "holds"
    return Result(outcome, f"an SD of {sd} about a mean of {mean} between {low} and {high}: at most {top:.3g}", (top,))


def whole_numbers(mean: Cell, n: int, sd: Cell | None = None) -> Result:
    """Some n whole numbers have this mean (GRIM, Brown and Heathers 2017) and, where it is given, this SD (GRIMMER, Anaya 2016)."""
    if n < 1:
        raise WorkbenchError(f"n is {n}: a whole number of at least 1 is needed")
    totals = feasible.possible_totals(mean.number, _step(mean), n)
    if not totals:
        near = round(mean.number * n) / n
        grade = grade_of(abs(near - mean.number), _step(mean))
        return Result(
            _OUTCOMES[grade], f"no {n} whole numbers have the mean {mean}; the nearest is {near:.4g}", (near,)
        )
    fits = sd is None or n < 2 or any(feasible.is_sd_of_whole_numbers(t, n, sd.number, _step(sd)) for t in totals)
    if not fits:
        return Result("fails", f"no {n} whole numbers with the mean {mean} have the SD {sd}", (totals[0] / n,))
    return Result(
        "holds", f"{n} whole numbers may have the mean {mean}" + (f" and the SD {sd}" if sd else ""), (totals[0] / n,)
    )


def binary_sd(mean: Cell, sd: Cell, n: int = 0) -> Result:
    """The SD of 0/1 scores is the one that their mean gives: the root of p (1 - p), the sample's or the population's."""
    if not 0 <= mean.number <= 1:
        raise WorkbenchError(f"the mean of 0/1 scores lies between 0 and 1: got {mean}")
    true, reach = feasible.binary_sd(mean.number, _step(mean), n or None, sd.number)
    grade = grade_of(abs(sd.number - true), _step(sd), reach)
    return Result(_OUTCOMES[grade], f"0/1 scores with the mean {mean} have the SD {true:.3f}; printed {sd}", (true,))


def cohens_d(means: Cells, sds: Cells, claimed: Cell, n: int = 0) -> Result:
    """Cohen's d comes out of two means and their SDs, by some standardiser in use: pooled, either SD, their mean; or Hedges' g.

    Args:
        means, sds: of the two groups.
        claimed: the printed d; its sign does not count.
        n: units in each group, where it is known.
    """
    if len(means) != 2 or len(sds) != 2 or any(s.number <= 0 for s in sds):
        raise WorkbenchError("two means and two SDs above 0 are needed")
    a, b = (
        recomputations.Group(Number("mean", m.number, _step(m), str(m)), s.number, _step(s), n or None)
        for m, s in zip(means, sds, strict=True)
    )
    spans, size = recomputations.d_of_means(a, b), abs(claimed.number)
    off = min(max(span.low - size, size - span.high, 0.0) for span in spans)
    grade = grade_of(off, _step(claimed))
    return Result(_OUTCOMES[grade], f"d is {spans[0].value:.2f}; printed {claimed}", (spans[0].value,))


def kappa(table: tuple[Cells, ...], claimed: Cell) -> Result:
    """Cohen's kappa comes out of the table of two raters, given column by column."""
    import numpy as np
    from statsmodels.stats.inter_rater import cohens_kappa

    counts = np.array([[cell.number for cell in column] for column in table]).T
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.sum() > 0:
        raise WorkbenchError("as many rows as columns are needed, and a count above 0")
    with np.errstate(all="ignore"):
        value = float(cohens_kappa(counts).kappa)
    if math.isnan(value):
        raise WorkbenchError("both raters gave one answer only: there is no kappa")
    grade = grade_of(abs(value - claimed.number), _step(claimed))
    return Result(_OUTCOMES[grade], f"kappa is {value:.3f}; printed {claimed}", (value,))
