"""Checks that recompute: can the percentage come from its n, and does a printed number follow from those it is made of?

A failure means the record is inconsistent. A number that is off by no more than one step of its last printed place (plus
what the rounding of its inputs can do) is a slip: shown, but it decides nothing. Counts are exact and have no slips.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from statistics import fmean

from workbench._errors import WorkbenchError
from workbench.claims.audits.check_results import Outcome, Result
from workbench.claims.printed_numbers import Cell

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
    cut = [cell for cell in far if _rounded_otherwise(cell)]
    far = [cell for cell in far if cell not in cut]
    if far:
        listed = "; ".join(f"{c} of n = {c.n} ({c.name})" for c in far[:6]) + ("; …" if len(far) > 6 else "")
        which = f"{len(far)} of {len(tested)} percentages are" if len(tested) > 1 else "the percentage is"
        return Result("fails", f"{which} no count out of n: {listed}", (len(far),))
    if cut:
        listed = "; ".join(f"{c} of n = {c.n} is {_rounded_otherwise(c)}" for c in cut[:6]) + ("; …" * (len(cut) > 6))
        which = f"{len(cut)} of {len(tested)} percentages are" if len(tested) > 1 else "the percentage is"
        return Result("slip", f"{which} not rounded: {listed}", (len(cut),))
    if moved:
        listed = "; ".join(f"{cells} need n = {other}, not {n}" for cells, n, other in moved)
        return Result("slip", f"counts out of an n that is off by a little: {listed}", tuple(m for _, _, m in moved))
    which = f"all {len(tested)} percentages are counts" if len(tested) > 1 else "the percentage is a count"
    return Result("holds", f"{which} out of {'their' if len(tested) > 1 else 'its'} n", (0,))


def _rounded_otherwise(cell: Cell) -> str:
    """How a count out of n was made into this percentage: cut off, or rounded twice; empty where neither does it."""
    n, exact, unit = cell.units, cell.exact, cell.unit
    for k in range(max(0, math.floor(exact * n / 100) - 1), min(n, math.ceil((exact + unit) * n / 100) + 1) + 1):
        share = Fraction(100 * k, n)
        if unit and exact <= share < exact + unit:
            return f"{k}/{n} = {float(share):.4g}% cut off"
        for finer in (unit / 10, unit / 100):
            once = finer * math.floor(share / finer + Fraction(1, 2)) if unit else share
            if unit and unit * math.floor(once / unit + Fraction(1, 2)) == exact:
                return f"{k}/{n} = {float(share):.4g}% rounded twice"
    return ""


def _around(n: int, slack: int) -> list[int]:
    return [n + step for size in range(1, slack + 1) for step in (size, -size) if n + step > 0]


def sum_of(of: Cells, claimed: Cell) -> Result:
    """The numbers add up to the total."""
    return recompute("the sum", lambda *x: math.fsum(x), [(c,) for c in of], (claimed,))


def mean_of(of: Cells, claimed: Cell) -> Result:
    """The numbers have the mean that is printed."""
    return recompute("the mean", lambda *x: fmean(x), [(c,) for c in of], (claimed,))


def row_means(of: tuple[Cells, ...], claimed: Cells) -> Result:
    """Each row's printed mean is the mean of that row's numbers in several columns."""
    return recompute("the mean of the row", lambda *x: fmean(x), of, claimed)


def row_sums(of: tuple[Cells, ...], claimed: Cells) -> Result:
    """Each row's printed total is the sum of that row's numbers in several columns."""
    return recompute("the sum of the row", lambda *x: math.fsum(x), of, claimed)


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


def correlation(
    x: Cells, y: Cells, claimed: Cell | None = None, rank: bool = False, p: Cell | None = None, none: bool = False
) -> Result | list[Result]:
    """The correlation of two columns (of ranks: Spearman's) and its p-value are the printed ones; without any it is a note.

    A correlation that is claimed and cannot be told from none is underpowered.

    Args:
        x, y: one value per row.
        claimed: the printed correlation.
        rank: whether it is one of ranks.
        p: the printed p-value.
        none: the statement says that there is no correlation. A large p-value is no evidence of that: it is a note.
    """
    if len(x) != len(y) or len(x) < 3:
        raise WorkbenchError(f"a correlation needs two columns of equal length, at least 3: got {len(x)} and {len(y)}")
    n, numbers = len(x), [c.number for c in (*x, *y)]
    if len(set(numbers[:n])) == 1 or len(set(numbers[n:])) == 1:
        raise WorkbenchError("a correlation needs columns that vary: all values of one are equal")

    def both(values: list[float]) -> tuple[float, float]:
        from scipy import stats

        result = (stats.spearmanr if rank else stats.pearsonr)(values[:n], values[n:])
        return float(result[0]), float(result[1])

    r, own_p = both(numbers)
    name = "Spearman's ρ" if rank else "r"
    if claimed is None and p is None:
        return Result("note", f"{name} = {r:+.2f} over {n} rows (p = {own_p:.2g})", (r,), own_p)
    reach = 0.0  # what the rounding of the columns can do; ranks change only where rounding ties them
    for i, cell in enumerate((*x, *y)):
        nudges = [both([*numbers[:i], numbers[i] + s * float(cell.unit) / 2, *numbers[i + 1 :]])[0] for s in (-1, 1)]
        reach += max(abs(nudged - r) for nudged in nudges)
    results = []
    if claimed is not None:
        off, unit = abs(r - claimed.number), float(claimed.unit)
        outcome: Outcome = "holds" if off <= unit / 2 + reach + 1e-9 else "slip" if off <= unit + reach else "fails"
        results.append(Result(outcome, f"{name} is {r:+.3f} over {n} rows; printed {claimed}", (r,)))
    if p is not None:
        results.append(_correlation_p(r, reach, claimed, p, n))
    unclear = own_p >= 0.05 and not none
    sentence = f"{name} = {r:+.2f} over {n} rows is told from none with p = {own_p:.2g}"
    if none:
        results.append(Result("note", f"{sentence}; {_correlation_interval(r, n)}", (r,), own_p))
    elif unclear:
        results.append(Result("fails", f"{sentence}; {_correlation_interval(r, n)}", (r,), own_p, "underpowered"))
    return results


def _correlation_p(r: float, reach: float, claimed: Cell | None, p: Cell, n: int) -> Result:
    """Whether the p-value is the one of the correlation, or of one that is rounded like it."""
    from scipy import stats

    def p_of(size: float) -> float:
        size = min(max(size, 0.0), 1 - 1e-12)
        return 2 * float(stats.t.sf(size * math.sqrt((n - 2) / (1 - size * size)), n - 2))

    sizes = [(r, reach)] if claimed is None else [(r, 0.0), (claimed.number, float(claimed.unit) / 2)]
    low, high = min(p_of(abs(m) + h) for m, h in sizes), max(p_of(abs(m) - h) for m, h in sizes)
    printed = printed_p(p)
    fits = any(printed.allows(lo, hi) for lo, hi in ((low, high), (low / 2, high / 2)))
    sentence = f"{p} is printed; the p-value of {r:+.2f} over {n} rows is {p_of(abs(r)):.2g}"
    return Result("holds" if fits else "fails", sentence, (p_of(abs(r)),))


def _correlation_interval(r: float, n: int) -> str:
    """The 95% interval of a correlation by Fisher's z, in words."""
    if n < 4 or abs(r) >= 1:
        return f"{n} rows give no interval"
    middle, half = math.atanh(r), 1.959964 / math.sqrt(n - 3)
    return f"95% interval {math.tanh(middle - half):+.2f} to {math.tanh(middle + half):+.2f}"


@dataclass(frozen=True)
class PrintedP:
    """A p-value as printed: its value, one unit of its last place, and whether it is a bound."""

    value: float
    unit: float
    bound: str = ""

    def allows(self, low: float, high: float) -> bool:
        """Whether a p-value between two limits may be printed like this."""
        if self.bound:
            return low <= self.value + 1e-12 if self.bound == "<" else high >= self.value - 1e-12
        return low <= self.value + self.unit / 2 + 1e-12 and high >= self.value - self.unit / 2 - 1e-12


_P = re.compile(r"(?:p\s*)?(?P<bound>[<>≤≥=]|<=|>=)?\s*(?P<value>(?:\d*\.)?\d+(?:e-?\d+)?)", re.IGNORECASE)


def printed_p(cell: Cell) -> PrintedP:
    """A p-value that is given as a number, or in words such as ``"p < .001"``.

    Raises:
        WorkbenchError: it is neither, or not between 0 and 1.
    """
    parts = _P.fullmatch(str(cell.value).strip())
    if parts is None or isinstance(cell.value, bool) or not 0 <= float(parts["value"]) <= 1:
        raise WorkbenchError(f"{cell.name} is {cell}: a p-value from 0 to 1 is needed, e.g. 0.03 or '< 0.001'")
    digits = Decimal(parts["value"])
    bound = {"≤": "<", "<=": "<", "≥": ">", ">=": ">", "=": ""}.get(parts["bound"] or "", parts["bound"] or "")
    return PrintedP(float(digits), 10.0 ** int(digits.as_tuple().exponent), bound)


def subgroups(groups: tuple[Cells, ...], claimed: Cells, complement: bool = False) -> Result:
    """The counts that the percentages of sub-groups imply add up to the counts of the whole.

    Each percentage allows the whole counts that round to it, and no others.

    Args:
        groups: one column of sub-group percentages, with n, per claimed count.
        claimed: the counts.
        complement: the percentages are of the opposite outcome.
    """
    if len(groups) != len(claimed):
        raise WorkbenchError(f"one group of percentages per claimed count: got {len(groups)} and {len(claimed)}")
    ranges = [[c.possible_counts() for c in cells] for cells in groups]
    if complement:
        ranges = [
            [(c.units - b, c.units - a) for (a, b), c in zip(r, g, strict=True)]
            for r, g in zip(ranges, groups, strict=True)
        ]
    limits = [(sum(a for a, _ in r), sum(b for _, b in r)) for r in ranges]
    off = [not low <= c.number <= high for (low, high), c in zip(limits, claimed, strict=True)]
    seen = ", ".join(f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in limits)
    said = ", ".join(str(c.value) for c in claimed)
    sentence = f"the sub-groups imply {seen} where the record says {said}"
    return Result("fails" if any(off) else "holds", sentence, tuple((low + high) / 2 for low, high in limits))


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
