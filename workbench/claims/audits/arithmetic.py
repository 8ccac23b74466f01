"""Checks that recompute: can the percentage come from its n, and does a printed number follow from those it is made of?

A failure means the record is inconsistent. A number that is off by no more than one step of its last printed place (plus
what the rounding of its inputs can do) is a slip: shown, but it decides nothing. Counts are exact and have no slips.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from statistics import fmean

from workbench._errors import WorkbenchError
from workbench.claims.audits.findings import Outcome, Result
from workbench.claims.logged import Cell

Cells = tuple[Cell, ...]


def grim(of: Cells, n_slack: int = 0) -> Result:
    """Each percentage is some count out of its n, rounded as printed (GRIM, Brown and Heathers 2017).

    Args:
        of: percentages or counts, with n.
        n_slack: how far the true n may lie from the stated one, where that is itself put together from other counts.
    """
    tested = [cell for cell in of if cell.n and cell.value is not None]
    if not tested:
        return Result("fails", "no n is given for any of the percentages", verdict="untestable")
    far, moved = [], []
    for n in dict.fromkeys(cell.units for cell in tested):
        cells = [cell for cell in tested if cell.n == n]
        off = [cell for cell in cells if not cell.is_possible()]
        other = next((m for m in _around(n, n_slack) if all(cell.is_possible(m) for cell in cells)), None)
        if off and other is None:
            far += off
        elif off and other is not None:
            moved.append((", ".join(map(str, off)), n, other))
    if far:
        listed = "; ".join(f"{c} of n = {c.n} ({c.name})" for c in far[:6]) + ("; …" if len(far) > 6 else "")
        return Result("fails", f"{len(far)} of {len(tested)} percentages are no count out of n: {listed}", (len(far),))
    if moved:
        listed = "; ".join(f"{cells} need n = {other}, not {n}" for cells, n, other in moved)
        return Result("slip", f"counts out of an n that is off by a little: {listed}", tuple(m for _, _, m in moved))
    return Result("holds", f"all {len(tested)} percentages are counts out of their n", (0,))


def _around(n: int, slack: int) -> list[int]:
    return [n + step for size in range(1, slack + 1) for step in (size, -size) if n + step > 0]


def sum_of(of: Cells, claimed: Cell) -> Result:
    """The numbers add up to the total."""
    return recompute("the sum", lambda *x: math.fsum(x), [(c,) for c in of], (claimed,))


def mean_of(of: Cells, claimed: Cell) -> Result:
    """The numbers have the mean that is printed."""
    return recompute("the mean", lambda *x: fmean(x), [(c,) for c in of], (claimed,))


def product_of(of: Cells, claimed: Cell) -> Result:
    """The numbers multiply to the total, as the arms of a design do."""
    return recompute("the product", lambda *x: math.prod(x), [(c,) for c in of], (claimed,))


def difference(of: Cells, minus: Cells, claimed: Cells = ()) -> Result:
    """``of - minus`` is the difference that is printed, row by row; one value stands for all rows. Without one: a note."""
    return recompute("the difference", lambda a, b: a - b, [of, minus], claimed)


def ratio(of: Cells, to: Cells, claimed: Cells = (), times: Decimal = Decimal(1)) -> Result:
    """``times * of / to`` is the ratio that is printed, row by row; 100 times for a percentage. Without one: a note."""
    factor = float(times)
    return recompute("the ratio", lambda a, b: factor * a / b, [of, to], claimed)


def change(of: Cells, since: Cells, claimed: Cells = ()) -> Result:
    """The change in percent since a baseline is the one that is printed, row by row. Without one: a note."""
    return recompute("the change in percent", lambda a, b: 100 * (a / b - 1), [of, since], claimed)


def pooled_sd(means: Cells, sds: Cells, n: int, claimed: Cell) -> Result:
    """The standard deviation of everything, rebuilt from the mean and SD of groups of n, is the one that is printed."""
    k = len(means)

    def rebuilt(*x: float) -> float:
        centre = fmean(x[:k])
        between = n * math.fsum((m - centre) ** 2 for m in x[:k])
        within = (n - 1) * math.fsum(s * s for s in x[k:])
        return math.sqrt((between + within) / (k * n - 1))

    return recompute("the pooled SD", rebuilt, [(c,) for c in (*means, *sds)], (claimed,))


def correlation(x: Cells, y: Cells, claimed: Cell | None = None, rank: bool = False) -> Result:
    """The correlation of two columns (of ranks: Spearman's) is the one that is printed; without one it is a note."""
    from scipy import stats

    if len(x) != len(y) or len(x) < 3:
        raise WorkbenchError(f"a correlation needs two columns of equal length, at least 3: got {len(x)} and {len(y)}")
    result = (stats.spearmanr if rank else stats.pearsonr)([c.number for c in x], [c.number for c in y])
    r, p = float(result[0]), float(result[1])
    name = "Spearman's ρ" if rank else "r"
    if claimed is None:
        return Result("note", f"{name} = {r:+.2f} over {len(x)} rows (p = {p:.2g})", (r,), p)
    off = abs(r - claimed.number)
    outcome: Outcome = "holds" if off <= claimed.unit / 2 + 1e-9 else "slip" if off <= claimed.unit + 1e-9 else "fails"
    return Result(outcome, f"{name} is {r:+.3f} over {len(x)} rows; printed {claimed}", (r,), p)


def subgroups(groups: tuple[Cells, ...], claimed: Cells, complement: bool = False) -> Result:
    """The counts that the percentages of sub-groups imply add up to the counts of the whole.

    Args:
        groups: one column of sub-group percentages, with n, per claimed count.
        claimed: the counts.
        complement: the percentages are of the opposite outcome.
    """
    if len(groups) != len(claimed):
        raise WorkbenchError(f"one group of percentages per claimed count: got {len(groups)} and {len(claimed)}")
    implied, reach = [], []
    for cells in groups:
        shares = [1 - c.share if complement else c.share for c in cells]
        implied.append(math.fsum(s * c.units for s, c in zip(shares, cells, strict=True)))
        reach.append(math.fsum(float(c.unit) / 200 * c.units for c in cells))
    off = [abs(i - c.number) > r + 1e-9 for i, c, r in zip(implied, claimed, reach, strict=True)]
    seen = ", ".join(f"{i:.1f}" for i in implied)
    said = ", ".join(str(c.value) for c in claimed)
    sentence = f"the sub-groups imply {seen} where the record says {said}"
    return Result("fails" if any(off) else "holds", sentence, tuple(implied))


def recompute(what: str, f: Callable[..., float], inputs: Sequence[Cells], claimed: Cells) -> Result:
    """Compare printed numbers with what a formula makes of the printed numbers they come from, row by row.

    A row with a value that is not given is left out. Without claimed numbers the recomputed ones are a note.
    """
    rows = _rows(what, inputs, claimed)
    if not rows:
        return Result("fails", f"{what}: no row gives both the number and what it comes from", verdict="untestable")
    if not claimed:
        values = [f(*(c.number for c in row)) for row, _ in rows]
        return Result("note", f"{what}: {', '.join(f'{v:.2f}' for v in values)}", tuple(values))
    compared = [(said, *_compare(f, row, said)) for row, said in rows if said is not None]
    outcomes = [outcome for _, outcome, _ in compared]
    worst: Outcome = "fails" if "fails" in outcomes else "slip" if "slip" in outcomes else "holds"
    off = [f"{c} is printed ({c.name}), {_shown(c, v)} recomputed" for c, o, v in compared if o != "holds"]
    if len(compared) == 1 and not off:
        return Result(
            worst, f"{what}: {compared[0][0]} printed, {_shown(*compared[0][::2])} recomputed", (compared[0][2],)
        )
    fine = ", ".join(_shown(c, v) for c, _, v in compared[:6]) + (", …" if len(compared) > 6 else "")
    head = f"{what}: {outcomes.count('holds')} of {len(compared)} as printed"
    return Result(worst, f"{head}; {'; '.join(off) or 'recomputed ' + fine}", tuple(v for _, _, v in compared))


def _rows(what: str, inputs: Sequence[Cells], claimed: Cells) -> list[tuple[list[Cell], Cell | None]]:
    """The inputs and the claimed number of each row that gives them all; a column of one value stands for all rows."""
    length = max(len(claimed), *(len(cells) for cells in inputs))
    for cells in (*inputs, claimed):
        if len(cells) not in (1, length) and cells:
            raise WorkbenchError(f"{what}: columns of {len(cells)} and of {length} values do not fit row by row")
    rows = []
    for i in range(length):
        row = [cells[i if len(cells) > 1 else 0] for cells in inputs]
        said = claimed[i if len(claimed) > 1 else 0] if claimed else None
        if all(c.value is not None for c in row) and (said is None or said.value is not None):
            rows.append((row, said))
    return rows


def _compare(f: Callable[..., float], row: Sequence[Cell], said: Cell) -> tuple[str, float]:
    numbers = [c.number for c in row]
    value = f(*numbers)
    reach = 0.0
    for i, cell in enumerate(row):
        nudged = [*numbers[:i], numbers[i] + float(cell.unit) / 2, *numbers[i + 1 :]]
        reach += abs(f(*nudged) - value)
    off, unit = abs(value - said.number), float(said.unit)
    if off <= unit / 2 + 1e-9 or (unit == 0 and off <= reach + 1e-9):
        return "holds", value
    return ("slip" if unit and off <= unit + reach + 1e-9 else "fails"), value


def _shown(said: Cell, value: float) -> str:
    """A recomputed value with one place more than was printed, since that is where a slip shows."""
    places = 1 if said.unit == 0 else max(0, round(-math.log10(said.unit))) + 1
    return f"{value:.{places}f}"
