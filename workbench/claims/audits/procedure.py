"""Checks of the measuring procedure: laws the numbers must obey whatever the model does, and what the record must hold.

Failures mean an artefact, an analytic refutation, or that there is nothing to test.
"""

import math
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise

from workbench._errors import WorkbenchError
from workbench.claims.audits.arithmetic import Cells
from workbench.claims.audits.check_results import Result
from workbench.claims.printed_numbers import Cell, Fact, aligned
from workbench.statistics.rates import fisher, rate


def variance_law(
    alpha: Cells, sd: Cells, plain: Cell, from_: Cells, skip: Cells = (), tolerance: Decimal = Decimal("0.01")
) -> Result:
    """A shortfall of the spread of amplified logits is not what the variance law gives anyway.

    With L = L_t + alpha (L_t - L_b), var(L) = (1+a)² s_t² - 2a(1+a) c + a² s_b²: it grows with the spread of the
    difference, not with alpha alone. Two rows give c and s_b²; if the law then gives the others, there is no loss to explain.

    Args:
        alpha: one per row.
        sd: of the logits, one per row.
        plain: the SD without amplification, s_t.
        from_: the two cells of ``sd`` that c and s_b are solved from.
        skip: cells of ``sd`` that are no amplified rows.
        tolerance: largest relative error at which the law counts as fulfilled.
    """
    import numpy as np

    rows = {s: float(a.number) for a, s in aligned(alpha, sd)}
    if len(from_) != 2 or any(s not in rows for s in from_):
        raise WorkbenchError("the variance law is solved from two cells of the column of SDs")
    variance = plain.number**2
    left = [[-2 * rows[s] * (1 + rows[s]), rows[s] ** 2] for s in from_]
    right = [s.number**2 - (1 + rows[s]) ** 2 * variance for s in from_]
    c, base = (float(x) for x in np.linalg.solve(left, right))
    predicted = {
        s: math.sqrt(max(0.0, (1 + a) ** 2 * variance - 2 * a * (1 + a) * c + a * a * base)) for s, a in rows.items()
    }
    others = {s: p for s, p in predicted.items() if s not in from_ and s not in skip}
    worst = max(abs(p / s.number - 1) for s, p in others.items())
    correlation = c / math.sqrt(variance * base) if base > 0 else float("nan")
    listed = ", ".join(f"{p:.4f} for {s}" for s, p in others.items())
    left_out = "".join(f"; left out: {s}, by the law {predicted[s]:.4f}" for s in skip)
    sentence = f"var(L) from two rows predicts the others within {worst:.2%}: {listed} (correlation {correlation:.3f})"
    values = (*others.values(), *(predicted[s] for s in skip), correlation)
    lost = worst >= float(tolerance)
    return Result("holds" if lost else "fails", sentence + left_out + "; nothing is lost" * (not lost), values)


def skipped_row(dose: Cells, of: Cells, row: Cell, tolerance: Decimal = Decimal("0.05")) -> Result:
    """A row that stands out is a row like the others, and not the untreated one.

    If (value - value of that row) / dose is the same for every other row, the others start from it: it is dose zero.
    """
    slopes = [(y.number - row.number) / x.number for x, y in aligned(dose, of) if y != row]
    mean = math.fsum(slopes) / len(slopes)
    spread = (max(slopes) - min(slopes)) / abs(mean) if mean else float("inf")
    listed = ", ".join(f"{s:.2f}" for s in slopes)
    sentence = f"(value - {row}) / dose is {listed} in the other rows"
    if spread <= float(tolerance):
        return Result("fails", f"{sentence}: constant, so {row.name} is the untreated row", tuple(slopes))
    return Result("holds", sentence, tuple(slopes))


def identical(of: Cells, system: Cells, intervention: Cells) -> list[Result]:
    """Arms that are told apart are different interventions.

    Args:
        of: rates, one per arm.
        system: the model of each arm.
        intervention: what was done, as a multiple of one direction: equal numbers on one system are one condition.
    """
    groups: dict[tuple, list[Cell]] = defaultdict(list)
    for cell, who, what in aligned(of, system, intervention):
        groups[who.value, what.value].append(cell)
    results = []
    for (who, what), cells in groups.items():
        for a, b in pairwise(cells):
            p = fisher(a.successes, a.units, b.successes, b.units)
            sentence = (
                f"{a.name} and {b.name} are one intervention on {who} ({what:+}·d), logged as {a} and {b} "
                f"(Fisher p = {p:.2f}): the difference is the noise of the measurement, not a second finding"
            )
            results.append(Result("fails", sentence, (a.number, b.number), p))
    return results or [Result("holds", f"{len(groups)} arms, all different")]


def union(of: Cell, singles: Cells) -> Result:
    """A success rate belongs to one policy, not to the best of several chosen per prompt."""
    best = max(singles, key=lambda c: c.successes / c.units)
    shown, single = rate(of.successes, of.units), rate(best.successes, best.units)
    sentence = f"{of} ({shown}); the best single configuration, {best.name}, has {best} ({single})"
    if shown.value <= single.value + 1e-9:
        return Result("holds", sentence, (shown.value, single.value))
    return Result("fails", f"{sentence}: the rate is a union over configurations", (shown.value, single.value))


def known_answers(flagged: Cells, logged: Cells) -> Result:
    """A scorer does not give the logged rate to answers that are known to deserve the opposite label.

    It does if it flags some of them beyond chance, at a rate that cannot be told from the logged one (Fisher's test).
    """
    rows = aligned(flagged, logged)
    ps = [fisher(a.successes, a.units, b.successes, b.units) for a, b in rows]
    fooled = [fisher(a.successes, a.units, 0, a.units) < 0.05 for a, _ in rows]
    listed = "; ".join(
        f"{a} flagged without a model, {b} logged (Fisher p = {p:.2g})" for (a, b), p in zip(rows, ps, strict=True)
    )
    explained = any(p >= 0.05 and f for p, f in zip(ps, fooled, strict=True))
    return Result("fails" if explained else "holds", listed, tuple(a.share for a in flagged))


def recovers(planted: Cell, corrected: Cell, least: Decimal = Decimal("0.9")) -> Result:
    """The method finds a direction that was planted; if only its corrected form does, its failure is its own."""
    sentence = f"cosine to a planted direction {planted}, corrected {corrected}"
    blind = planted.number < float(least) <= corrected.number
    return Result("fails" if blind else "holds", sentence, (planted.number, corrected.number))


def procedure(needs: tuple[Fact, ...]) -> Result:
    """What must be true of the procedure for the number to be about the model is true."""
    broken = [fact for fact in needs if not fact.holds]
    if broken:
        return Result("fails", "; ".join(f"not so: {f.statement} ({f.source})" for f in broken))
    return Result("holds", "; ".join(f.statement for f in needs))


def measured(of: Cells) -> Result:
    """The record gives the numbers that the statement needs."""
    missing = [c.name for c in of if c.value is None]
    listed = "; ".join(missing[:4]) + ("; …" if len(missing) > 4 else "")
    sentence = f"{len(missing)} of {len(of)} values are not given" + (f": {listed}" if missing else "")
    return Result("fails" if missing else "holds", sentence, (len(missing),))


def relation(points: Cells, parameters: int = 2) -> Result:
    """A relation across units has more of them than it has parameters; a rate at its floor or ceiling cannot count."""
    usable = [
        c for c in points if c.value is not None and not (c.type in ("percent", "count") and c.share in (0.0, 1.0))
    ]
    at_bound = len(points) - len(usable)
    sentence = f"{len(usable)} usable points for {parameters} parameters" + (
        f", {at_bound} at a bound" * bool(at_bound)
    )
    return Result("holds" if len(usable) > parameters else "fails", sentence, (len(usable),))
