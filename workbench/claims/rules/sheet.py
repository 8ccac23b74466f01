"""A table as arrays, and how well a column of it follows a formula over others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable
from workbench.claims.rounding import Grade, shown
from workbench.claims.rules.finding import LogFinding, in_cell
from workbench.claims.rules.row_names import is_total

Findings = Iterator[LogFinding]
MOST_COLUMNS = 12  # that are tried against one another


class Formula(NamedTuple):
    """One way in which a column may follow from others.

    Attributes:
        words: what it is, for a sentence.
        values, reach: shape [row]; what it makes of each row (NaN: nothing), and what the rounding of its inputs can do.
        cost: how far-fetched it is: of formulas that fit alike, the cheapest is meant.
    """

    words: str
    values: np.ndarray
    reach: np.ndarray
    cost: float = 0.0


@dataclass(frozen=True)
class Fit:
    """How well a column follows a formula: which rows are known, right, or off in their last place."""

    formula: Formula
    known: np.ndarray
    holds: np.ndarray
    slips: np.ndarray

    @property
    def good(self) -> int:
        """How many rows follow, last places apart."""
        return int(self.holds.sum() + self.slips.sum())

    @property
    def score(self) -> tuple[float, int, float]:
        """What the best formula has most of."""
        return float(self.holds.sum() + 0.6 * self.slips.sum()), int(self.holds.sum()), -self.formula.cost


class Sheet:
    """The numbers of a table as arrays of shape [row, column], NaN where a cell has none."""

    def __init__(self, table: LogTable):
        self.table = table
        self.claimed: set[int] = set()  # columns that follow from others
        shape = (len(table.rows), len(table.columns))
        self.values, self.steps, self.bounded = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape, dtype=bool)
        for i, row in enumerate(table.numbers):
            for j, x in enumerate(row):
                if x is not None:
                    self.values[i, j], self.steps[i, j], self.bounded[i, j] = x.value, x.step, bool(x.bound)
        self.totals = np.array([is_total(table.label(i)) for i in range(len(table.rows))], dtype=bool)

    def kinds(self, j: int) -> set[str]:
        """The kinds of number in a column."""
        return {x.kind for x in self.table.column(j) if x}

    def counted(self, *columns: int) -> bool:
        """Whether columns hold whole numbers that are not negative."""
        whole = self.kinds_within(columns, ("number", "n")) and bool((self.steps[:, columns] >= 1).all())
        return whole and bool((self.values[:, columns] >= 0).all())

    def kinds_within(self, columns: Iterable[int], kinds: Sequence[str]) -> bool:
        """Whether columns hold numbers of these kinds alone."""
        return all(self.kinds(j) <= set(kinds) for j in columns)

    def formula(
        self,
        f: Callable[..., Any],
        columns: Sequence[int],
        words: str,
        cost: float = 0.0,
        base: Number | None = None,
        before: bool = False,
    ) -> Formula:
        """A formula over columns, and over one printed number or the row before where it is about changes against that."""
        inputs = [(self.values[:, j], self.steps[:, j] / 2) for j in columns]
        if before:
            inputs += [(_row_before(values), _row_before(half)) for values, half in inputs]
        if base is not None:
            inputs.append((np.full(len(self.values), base.value), np.full(len(self.values), base.step / 2)))
        at = [values for values, _ in inputs]
        with np.errstate(all="ignore"):
            value = f(*at)
            reach = sum(abs(f(*at[:k], v + half, *at[k + 1 :]) - value) for k, (v, half) in enumerate(inputs))
        return Formula(words, value, np.asarray(reach), cost)

    def fit(self, j: int, formula: Formula, exact: bool = False) -> Fit:
        """How well column j follows a formula; ``exact``: of whole numbers, which are not rounded."""
        said, step = self.values[:, j], 0 * self.steps[:, j] if exact else self.steps[:, j]
        reach = 0 * formula.reach if exact else formula.reach
        known = np.isfinite(formula.values) & np.isfinite(reach) & np.isfinite(said) & ~self.bounded[:, j]
        off, near = np.where(known, abs(formula.values - said), np.inf), 1e-9 * (1 + step)
        holds = off <= step / 2 + np.where(known, reach, 0) + near
        slips = ~holds & (step > 0) & (off <= step + np.where(known, reach, 0) + near)
        return Fit(formula, known, holds, slips)

    def best(self, j: int, formulas: Iterable[Formula]) -> Fit | None:
        """The formula that column j follows best; None where none has a value in any row."""
        fits = [fit for formula in formulas if (fit := self.fit(j, formula)).known.any()]
        return max(fits, key=lambda fit: fit.score, default=None)

    def tell(self, j: int, fit: Fit, rule: str, worst: Grade = "error") -> Findings:
        """What a column that follows a formula shows of each row; rows that are cut off, not rounded, are slips together."""
        self.claimed.add(j)
        said, step = abs(self.values[:, j]), self.steps[:, j]
        value = abs(fit.formula.values)
        with np.errstate(invalid="ignore"):
            cut = fit.known & (step > 0) & (value > said + step / 2 + 1e-9) & (value < said + step)
        habit = fit.slips.any() and cut.sum() >= 3
        for i in map(int, np.flatnonzero(fit.known)):
            grade: Grade = "slip" if fit.slips[i] or (habit and cut[i]) else "holds" if fit.holds[i] else worst
            x, true = self.table.numbers[i][j], float(fit.formula.values[i])
            more = " (truncated, not rounded)" if grade == "slip" and cut.sum() >= 2 else ""
            sentence = f"{x} is printed, but {fit.formula.words} is {shown(true, float(step[i]))}{more}"
            yield in_cell(self.table, i, j).finds(grade, rule, sentence, true)


def _row_before(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[np.nan], values[:-1]])


def others_of(sheet: Sheet, j: int) -> list[int]:
    """The columns of numbers but j."""
    return [k for k in sheet.table.value_columns if k != j]
