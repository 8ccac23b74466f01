"""Does a column of a table follow from its other columns: a total, a mean, a change, a ratio, a rate?

For each column the formulas that its head, or the other rows, suggest are computed at the printed numbers; the one that fits
best is taken where enough rows follow it, and rows that do not are told.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText
from workbench.claims.rounding import Grade, shown
from workbench.claims.rules.finding import Family, LogFinding, in_cell, in_table
from workbench.claims.rules.labels import CHANGE, is_mean, is_total, name, one_column, phrase, roles
from workbench.claims.rules.series import measured_columns
from workbench.claims.rules.units import RATE, composition, count_of_cell, n_of_cell

Findings = Iterator[LogFinding]
_MOST_COLUMNS = 12  # that are tried against one another


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


class _Sheet:
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
        return {x.kind for x in self.table.column(j) if x}

    def counted(self, *columns: int) -> bool:
        """Whether columns hold whole numbers that are not negative."""
        whole = self.kinds_within(columns, ("number", "n")) and bool((self.steps[:, columns] >= 1).all())
        return whole and bool((self.values[:, columns] >= 0).all())

    def kinds_within(self, columns: Iterable[int], kinds: Sequence[str]) -> bool:
        return all(self.kinds(j) <= set(kinds) for j in columns)

    def formula(
        self, f: Callable[..., Any], columns: Sequence[int], words: str, cost: float = 0.0, base: Number | None = None
    ) -> Formula:
        """A formula over columns, and over one printed number where it is about changes against that."""
        inputs = [(self.values[:, j], self.steps[:, j] / 2) for j in columns]
        if base is not None:
            inputs.append((np.full(len(self.values), base.value), np.full(len(self.values), base.step / 2)))
        at = [values for values, _ in inputs]
        with np.errstate(all="ignore"):
            value = f(*at)
            reach = sum(abs(f(*at[:k], v + half, *at[k + 1 :]) - value) for k, (v, half) in enumerate(inputs))
        return Formula(words, value, np.asarray(reach), cost)

    def fit(self, j: int, formula: Formula, exact: bool = False) -> Fit:
        said, step = self.values[:, j], 0 * self.steps[:, j] if exact else self.steps[:, j]
        reach = 0 * formula.reach if exact else formula.reach
        known = np.isfinite(formula.values) & np.isfinite(reach) & np.isfinite(said) & ~self.bounded[:, j]
        off, near = np.where(known, abs(formula.values - said), np.inf), 1e-9 * (1 + step)
        holds = off <= step / 2 + np.where(known, reach, 0) + near
        slips = ~holds & (step > 0) & (off <= step + np.where(known, reach, 0) + near)
        return Fit(formula, known, holds, slips)

    def best(self, j: int, formulas: Iterable[Formula]) -> Fit | None:
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
            sentence = f"{x} is printed, {fit.formula.words} is {shown(true, float(step[i]))}{more}"
            yield in_cell(self.table, i, j).finds(grade, rule, sentence, true)


def _columns(log: LogText, table: LogTable) -> Findings:
    """All of a table's columns: those whose head says what they are, then those that only their numbers show to follow."""
    if not table.value_columns:
        return
    sheet = _Sheet(table)
    yield from _totals(sheet)
    yield from _means(sheet)
    yield from _shares_of_rows(sheet)
    yield from _compositions(sheet)
    yield from _rates(log, sheet)
    yield from _named(sheet)
    yield from _changes(log, sheet)
    yield from _relations(sheet)


# ---- totals and means of rows


def _runs(others: list[int], j: int) -> Iterator[list[int]]:
    """Sets of columns that may belong together: all, those before, those after, and runs next to it."""
    before, after = [k for k in others if k < j], [k for k in others if k > j]
    runs = [others, before, after, before[1:], before[:-1]]
    runs += [before[-k:] for k in range(2, len(before))] + [after[:k] for k in range(2, len(after))]
    for k, run in enumerate(runs):
        if len(run) >= 2 and run not in runs[:k]:
            yield run


def _sum(*columns: np.ndarray) -> np.ndarray:
    return np.sum(columns, axis=0)


def _mean(*columns: np.ndarray) -> np.ndarray:
    return np.mean(columns, axis=0)


def _others(sheet: _Sheet, j: int) -> list[int]:
    return [k for k in sheet.table.value_columns if k != j]


def _totals(sheet: _Sheet) -> Findings:
    table = sheet.table
    for j in (j for j in table.value_columns if is_total(table.columns[j]) or j in table.n_columns):
        others = [k for k in _others(sheet, j) if k not in table.n_columns]
        for run in _runs(_others(sheet, j) if is_total(table.columns[j]) else others, j):
            if not sheet.counted(j, *run):
                continue
            fit = sheet.fit(j, sheet.formula(_sum, run, "the sum of the columns"), exact=True)
            known, holds = fit.known & ~sheet.totals, fit.holds & ~sheet.totals
            if not known.any():
                known, holds = fit.known, fit.holds
            said, made = sheet.values[known, j], fit.formula.values[known]
            alone = (
                known.sum() == 1
                and said[0] >= sheet.values[known][:, run].max()
                and abs(said - made)[0] < 0.3 * made[0]
            )
            if not is_total(table.columns[j]) and (holds.sum() < 2 or len(run) < 2):
                continue
            if known.any() and (2 * holds.sum() >= known.sum() or alone):
                yield from sheet.tell(j, fit, "total")
                break


def _shares_of_rows(sheet: _Sheet) -> Findings:
    """Three or more columns of percentages that make 100 in most rows must do so in all."""
    table = sheet.table
    columns = [k for k in table.value_columns if sheet.kinds(k) == {"percent"} and not CHANGE.search(table.columns[k])]
    if (
        len(columns) < 3
        or len(columns) > 8
        or any(x and (x.signed or x.spread is not None) for k in columns for x in table.column(k))
    ):
        return
    total, reach = sheet.values[:, columns].sum(axis=1), sheet.steps[:, columns].sum(axis=1) / 2
    known = np.isfinite(total)
    fits = known & (abs(total - 100) <= reach + 1e-9)
    if fits.sum() >= 2 and 3 * fits.sum() >= 2 * known.sum():
        for i in map(int, np.flatnonzero(known)):
            place = in_cell(table, i, columns[-1])._replace(what=name(table.label(i)))
            said = f"the shares make {total[i]:g}%, not 100%"
            yield place.finds("holds" if fits[i] else "error", "shares", said, float(total[i]))


def _means(sheet: _Sheet) -> Findings:
    table = sheet.table
    if set(roles(table)) - {"mean"}:
        return
    for j in (j for j in table.value_columns if is_mean(table.columns[j])):
        runs = [run for run in _runs(_others(sheet, j), j) if len({frozenset(sheet.kinds(k)) for k in (j, *run)}) == 1]
        fits = [sheet.fit(j, sheet.formula(_mean, run, "the mean of the row")) for run in runs]
        best = max(fits, key=lambda fit: fit.good, default=None)
        if best is None or not best.known.any():
            continue
        few = best.known.sum() <= 2
        if 2 * best.holds.sum() >= best.known.sum() or few:
            yield from sheet.tell(j, best, "mean of", "error" if best.holds.any() else "weak")


# ---- rates of counts


def _compositions(sheet: _Sheet) -> Findings:
    """Percentages beside counts that are the counts' shares of one whole."""
    table = sheet.table
    for c in table.n_columns:
        for j in _others(sheet, c):
            whole = composition(table, c, j)
            if whole is None or "percent" not in sheet.kinds(j):
                continue
            counts = np.where(np.isfinite(sheet.values[:, j]), sheet.values[:, c], np.nan)
            total = counts[sheet.totals & np.isfinite(counts)]
            n = (
                total[0]
                if len(total)
                else min((np.nansum(counts[~sheet.totals]), round(whole)), key=lambda v: abs(v - whole))
            )
            yield from sheet.tell(
                j, sheet.fit(j, Formula(f"the share of {n:g}", 100 * counts / n, 0 * counts)), "derived"
            )


_RATE_HEAD = phrase(r"rate|%|accura|\bacc\b|share|success|refus|prop|percent|pct")


def _rates(log: LogText, sheet: _Sheet) -> Findings:
    """A column of rates against a column of counts: printed as k/n, or with an n in a column, head, caption or sentence."""
    table = sheet.table
    rates = [j for j in table.value_columns if j not in sheet.claimed and _is_rate(sheet, j)]
    counts = {c: _shares(log, table, c) for c in table.value_columns if c not in sheet.claimed}
    for j in rates:
        scale = 1.0 if "number" in sheet.kinds(j) else 100.0
        formulas = [
            Formula(f"{table.columns[c].strip() or 'the count'} of n", scale * shares, 0 * shares, abs(c - j))
            for c, shares in counts.items()
            if c != j and np.isfinite(shares).any() and not (c in table.n_columns and composition(table, c, j))
        ]
        best = sheet.best(j, [*formulas, *_shares_of_sums(sheet, j)])
        if best is None or not best.good:
            around = (
                _of_near_n(log, table, c, scale) for c in table.value_columns if c != j and c not in table.n_columns
            )
            near = sheet.best(j, [formula for formula in around if formula])
            if near and near.good >= 2 and 2 * near.good > near.known.sum():
                best = near
        if best is None:
            continue
        few = len(rates) == len(formulas) == 1 and best.known.sum() <= 3
        sure = few and bool(_RATE_HEAD.search(table.columns[j])) and _is_outcome(table, best.formula.words)
        if sure or (best.good and (2 * best.good >= best.known.sum() or few)):
            yield from sheet.tell(j, best, "derived")


def _of_near_n(log: LogText, table: LogTable, c: int, scale: float) -> Formula | None:
    """A column of counts over an n that stands near the table: right only where most rows follow it."""
    shares = _shares(log, table, c, near=True)
    return (
        Formula(f"{table.columns[c].strip() or 'the count'} of n", scale * shares, 0 * shares)
        if np.isfinite(shares).any()
        else None
    )


_OUTCOME = phrase(r"^(?:wins?|won|correct|pass(?:ed|es)?|success\w*|hits?|yes|refus\w*|true)\b")


def _shares_of_sums(sheet: _Sheet, j: int) -> Iterator[Formula]:
    """A rate of the first of several counts that exclude one another: wins of wins, ties and losses, ties being half or none."""
    table = sheet.table
    counts = [k for k in table.value_columns if k < j and k not in table.n_columns and sheet.counted(k)]
    scale = 1.0 if "number" in sheet.kinds(j) else 100.0
    if not 2 <= len(counts) <= 4 or not _OUTCOME.search(table.columns[counts[0]].strip()):
        return
    first, all_of_them = table.columns[counts[0]].strip(), " + ".join(table.columns[k].strip() for k in counts)
    made = [sheet.formula(lambda *x: scale * x[0] / sum(x), counts, f"{first} / ({all_of_them})")]
    if len(counts) == 3:
        made.append(
            sheet.formula(
                lambda w, tie, lost: scale * (w + tie / 2) / (w + tie + lost),
                counts,
                f"{first} and half of the ties",
                0.5,
            )
        )
        made.append(sheet.formula(lambda w, _, lost: scale * w / (w + lost), counts, f"{first} without ties", 0.6))
    yield from (formula._replace(reach=0 * formula.reach) for formula in made)


def _is_outcome(table: LogTable, words: str) -> bool:
    """Whether a count is of an outcome by its head, not a setting that happens to be whole."""
    return bool(RATE.search(words)) or words.lower().startswith(("k ", "count", "yes", "successes"))


def _is_rate(sheet: _Sheet, j: int) -> bool:
    cells = [x for x in sheet.table.column(j) if x]
    plain = not any(x.signed or x.bound or x.spread is not None for x in cells)
    percent = all(x.kind == "percent" and x.successes is None for x in cells)
    share = all(x.kind == "number" and 0 <= x.value <= 1 and x.step <= 0.1 for x in cells)
    return plain and (percent or (share and bool(_RATE_HEAD.search(sheet.table.columns[j]))))


def _shares(log: LogText, table: LogTable, c: int, near: bool = False) -> np.ndarray:
    """The share that each cell of a column is of its n, where it is a count; NaN where it is none. ``near``: of an n around it, too."""
    shares = np.full(len(table.rows), np.nan)
    if any(x and x.kind == "number" and x.value < 0 for x in table.column(c)):
        return shares
    for i, x in enumerate(table.column(c)):
        if x is None or x.signed or x.bound:
            continue
        if x.kind == "count" and (count := count_of_cell(log, table, i, c)):
            shares[i] = count.rate
        elif x.kind == "number" and x.step >= 1 and not x.unit and c not in table.n_columns:
            n = n_of_cell(log, table, i, c)
            given = n and (n.where in ("column", "header", "caption", "each") or near) and x.value <= n.value
            shares[i] = x.value / n.value if n and given else np.nan
    return shares


# ---- columns whose head is a formula over heads that are there


class _Named(NamedTuple):
    head: re.Pattern[str]
    of: tuple[str, ...]  # roles, or patterns of heads
    formula: Callable[..., Any]  # of these columns, and of 100 where the column is in percent
    words: str


_NAMED = (
    _Named(phrase(r"^\W*(?:range|span|spread)\W*$"), ("max", "min"), lambda a, b, _: a - b, "maximum - minimum"),
    _Named(phrase(r"coefficient of variation|^cv\b"), ("sd", "mean"), lambda s, m, c: c * s / m, "SD / mean"),
    _Named(
        phrase(r"^f1\b|f-?score|f-?measure"),
        (r"precision|^P$", r"recall|sensitivity|^R$"),
        lambda p, r, _: 2 * p * r / (p + r),
        "2PR / (P + R)",
    ),
    _Named(phrase(r"\b(?:var|variance)\b"), ("sd",), lambda s, _: s * s, "SD²"),
    _Named(
        phrase(r"perplexity|^ppl\b"), (r"\bloss\b|\bnll\b|cross-?entropy",), lambda loss, _: np.exp(loss), "exp(loss)"
    ),
    _Named(
        phrase(r"^[tz](?:[- ]?(?:value|stat(?:istic)?|score|ratio))?$"),
        (r"^(?:β|b|beta|coef\w*\.?|estimate|slope|effect)$", "se"),
        lambda b, s, _: b / s,
        "estimate / SE",
    ),
    _Named(
        phrase(r"error rate|error %|^errors? ?\(%\)"), ("accuracy|^acc",), lambda x, c: c - x, "what accuracy leaves"
    ),
)
_AVERAGED = phrase(r"macro|seeds|folds|average")
_AVERAGE_ROW = phrase(r"avg|average|accuracy|macro|weighted")


def _named(sheet: _Sheet) -> Findings:
    table, role = sheet.table, roles(sheet.table)
    for j in table.value_columns:
        scale = 100.0 if "percent" in sheet.kinds(j) else 1.0
        for named in (named for named in _NAMED if named.head.search(table.columns[j])):
            of = [role.get(key, _else(table, key, j)) for key in named.of]
            if None in of or j in of:
                continue
            columns = [k for k in of if k is not None]
            made = sheet.formula(lambda *x, f=named.formula, c=scale: f(*x, c), columns, named.words)
            averaged = [bool(_AVERAGE_ROW.search(table.label(i))) for i in range(len(table.rows))]
            fit = sheet.fit(j, made._replace(values=np.where(averaged, np.nan, made.values)))
            if fit.known.any() and (2 * fit.good >= fit.known.sum() or fit.known.sum() == 1):
                soft = bool(_AVERAGED.search(table.title)) and not fit.good
                yield from sheet.tell(j, fit, "derived", "weak" if soft else "error")


def _else(table: LogTable, key: str, but: int) -> int | None:
    column = one_column(table, {"mean": "mean|avg|average"}.get(key, key)) if key not in ("sd", "min", "max") else None
    return None if column == but else column


# ---- changes

_OF_TWO: tuple[tuple[float, str, Callable[..., Any]], ...] = (
    (0.0, "{b} - {a}", lambda x, y, c: y - x),
    (0.1, "the change from {a} to {b}", lambda x, y, c: c * (y - x) / x),
    (0.2, "{b} / {a}", lambda x, y, c: y / x),
    (0.4, "the drop from {a} to {b}", lambda x, y, c: c * (x - y) / x),
)
_OF_BASE: tuple[tuple[float, str, Callable[..., Any]], ...] = (
    (0.0, "the difference of {a} against {base}", lambda x, b, c: x - b),
    (0.1, "the change of {a} against {base}", lambda x, b, c: c * (x / b - 1)),
    (0.2, "the ratio of {a} against {base}", lambda x, b, c: x / b),
    (0.3, "the drop of {a} against {base}", lambda x, b, c: c * (1 - x / b)),
    (0.3, "the drop of {a} against {base}", lambda x, b, c: b - x),
)
_BASE_LABEL = phrase(
    r"\bbase(?:line)?\b|control|vanilla|reference|^none\b|no steering|unsteered|original|before|default"
)
_BASE_CELL = phrase(r"^\W*(?:baseline|reference|ref\.?|—|–|-)\W*$")
_BASE_SENTENCE = phrase(r"^\W*(?:baseline|base|control)\b")
_BEFORE = phrase(r"\bbase|before|\bpre\b|control|without|\bold\b|initial|start")
_AFTER = phrase(r"after|steer|\bpost\b|treat|\bwith\b|\bnew\b|\bours\b|final|end")


def _changes(log: LogText, sheet: _Sheet) -> Findings:
    """A column of changes: of two others, or of one against a row or a stated baseline."""
    table = sheet.table
    bases = _bases(log, table)
    for j in table.value_columns:
        if j in sheet.claimed or not CHANGE.search(table.columns[j]):
            continue
        others = [k for k in _others(sheet, j) if not (CHANGE.search(table.columns[k]) and k > j)]
        others = sorted(others, key=lambda k: abs(j - k))[:_MOST_COLUMNS]
        if others:
            formulas = _change_formulas(sheet, j, sorted(others), bases)
            yield from _best_change(sheet, j, formulas, natural=len(others) == 2)
            if j not in sheet.claimed:
                yield from _against_base_row(sheet, j)
            yield from _points_or_percent(sheet, j, others)


def _bases(log: LogText, table: LogTable) -> list[tuple[int | None, str, float, Number | None]]:
    """What changes may be against: (row, its name, its cost, or the number of a stated baseline)."""
    rows = range(len(table.rows))
    named = [i for i in rows if _BASE_LABEL.search(table.label(i))]
    marked = [i for i in rows if any(_BASE_CELL.search(c) for c in table.rows[i][1:])]
    chosen = list(dict.fromkeys([*named[:2], *marked[:1], 0]))
    bases: list[tuple[int | None, str, float, Number | None]] = [
        (r, name(table.label(r)) or "the first row", 0.3 * (r != chosen[0]), None) for r in chosen
    ]
    stated = [
        x
        for s in log.of_section(table.section)
        if _BASE_SENTENCE.search(s.text)
        for x in s.numbers
        if x.kind in ("number", "percent")
    ]
    return bases + [(None, f"{x} (the baseline)", 0.5, x) for x in stated[:2]]


def _change_formulas(
    sheet: _Sheet, j: int, others: list[int], bases: list[tuple[int | None, str, float, Number | None]]
) -> Iterator[Formula]:
    table = sheet.table
    percent = "percent" in sheet.kinds(j)
    scale = 100.0 if percent or "%" in table.columns[j] else 1.0
    for a, b in permutations(others, 2):
        apart = abs(others.index(a) - others.index(b)) - (0.5 if a < b else 0) + 0.01 * abs(j - b)
        names = {"a": table.columns[a], "b": table.columns[b]}
        for cost, words, f in _OF_TWO:
            yield sheet.formula(_scaled(f, scale), (a, b), words.format(**names), apart + cost)
        if percent and "percent" not in sheet.kinds(a):
            yield sheet.formula(lambda x, y: 100 * (y - x), (a, b), "{b} - {a} in points".format(**names), apart + 0.6)
    for a in others:
        for row, base, far, given in bases:
            number = given if row is None else table.numbers[row][a]
            if number is None:
                continue
            place = far + (0.05 * abs(j - a) if row is not None else 0.0)
            for cost, words, f in _OF_BASE[: 2 if row is None else None]:
                said = words.format(a=table.columns[a], base=base)
                made = sheet.formula(_scaled(f, scale), (a,), said, place + cost, number)
                yield made if row is None else made._replace(values=_without(made.values, row))


def _scaled(f: Callable[..., Any], scale: float) -> Callable[..., Any]:
    return lambda x, y: f(x, y, scale)


def _without(values: np.ndarray, row: int) -> np.ndarray:
    values = values.copy()
    values[row] = np.nan
    return values


def _best_change(sheet: _Sheet, j: int, formulas: Iterable[Formula], natural: bool) -> Findings:
    fits = [fit for formula in formulas if (fit := sheet.fit(j, formula)).known.any()]
    best = max(fits, key=lambda fit: fit.score, default=None)
    if best is None:
        return
    score, holding, _ = best.score
    rows, given = int(best.known.sum()), int(np.isfinite(sheet.values[:, j]).sum())
    distinct = len(set(sheet.values[best.holds, j]))
    enough = score >= max(2, 0.6 * rows) and (distinct >= 2 or score == rows)
    if enough and rows * 2 >= given:
        yield from sheet.tell(j, best, "difference")
    elif natural and rows <= 3 and not enough and score >= 1 and holding:
        yield from sheet.tell(j, best, "difference", "error" if rows > 1 else "weak")
    elif natural and rows <= 3 and not enough and score < 1 and _before_and_after(sheet, j):
        nearest = min(fits, key=lambda fit: _relative_distance(sheet, j, fit))
        yield from sheet.tell(j, nearest, "difference", "weak" if holding else "error")


def _against_base_row(sheet: _Sheet, j: int) -> Findings:
    """A column of changes in a table that measures one thing, and whose row without a change is what the others are against."""
    table = sheet.table
    measured = [k for k in measured_columns(table) if k != j and len(sheet.kinds(k)) == 1]
    times = sheet.kinds(j) == {"times"}
    bases = [i for i, x in enumerate(table.column(j)) if x is None or x.value == (1 if times else 0)]
    base = table.numbers[bases[0]][measured[0]] if len(bases) == len(measured) == 1 else None
    if base is None or base.bound or not base.value:
        return
    column, row = measured[0], bases[0]
    scale = 100.0 if "percent" in sheet.kinds(j) or "%" in table.columns[j] else 1.0
    kinds = {"times": ("ratio", "slowdown"), "points": ("difference", "fall")}.get(
        "".join(sheet.kinds(j)), tuple(_AGAINST)
    )
    names = {"a": table.columns[column], "base": name(table.label(row)) or "the first row"}
    fits = []
    for kind in kinds:
        words, f = _AGAINST[kind]
        made = sheet.formula(_scaled(f, scale), (column,), words.format(**names), 0.0, base)
        fits.append(sheet.fit(j, made._replace(values=_without(made.values, row))))
    best = max(fits, key=lambda fit: (fit.good, -_relative_distance(sheet, j, fit)))
    known = int(best.known.sum())
    if known and (2 * best.good >= known or known == 1):
        yield from sheet.tell(j, best, "difference", "error" if best.good or table.numbers[row][j] is None else "weak")


#: how a number x may be compared with a base b; c is 100 where the comparison is in percent
_AGAINST: dict[str, tuple[str, Callable[..., Any]]] = {
    "difference": ("the difference of {a} against {base}", lambda x, b, c: x - b),
    "fall": ("the drop of {a} against {base}", lambda x, b, c: b - x),
    "change": ("the change of {a} against {base} in percent", lambda x, b, c: 100 * (x / b - 1)),
    "reduction": ("the drop of {a} against {base} in percent", lambda x, b, c: 100 * (1 - x / b)),
    "ratio": ("the ratio of {a} against {base}", lambda x, b, c: x / b),
    "slowdown": ("the ratio of {base} against {a}", lambda x, b, c: b / x),
}


def _relative_distance(sheet: _Sheet, j: int, fit: Fit) -> float:
    said, step = sheet.values[fit.known, j], sheet.steps[fit.known, j]
    return float(np.mean(abs(fit.formula.values[fit.known] - said) / (abs(said) + step)))


def _before_and_after(sheet: _Sheet, j: int) -> bool:
    """Whether the two other columns of numbers are what a column of changes must be about."""
    heads = [sheet.table.columns[k] for k in _others(sheet, j)]
    return len(heads) == 2 and bool(_BEFORE.search(heads[0])) and bool(_AFTER.search(heads[1]))


def _points_or_percent(sheet: _Sheet, j: int, others: list[int]) -> Findings:
    """A note: a column of "%" that is a difference of percentages is in percentage points."""
    table, head = sheet.table, sheet.table.columns[j]
    if (
        sheet.kinds(j) != {"percent"}
        or "pp" in head.lower()
        or "point" in head.lower()
        or not np.nansum(abs(sheet.values[:, j]))
    ):
        return
    for a, b in permutations([k for k in sorted(others) if sheet.kinds(k) == {"percent"}], 2):
        fit = sheet.fit(j, sheet.formula(lambda x, y: y - x, (a, b), ""))
        if fit.known.any() and (fit.holds == fit.known).all():
            said = f"the column '{head}' is {table.columns[b]} - {table.columns[a]}: percentage points, not percent"
            yield in_table(table).finds("note", "points or percent", said)
            return


# ---- what holds in nearly all rows

_PRICE = phrase(r"\bcosts?\b|\bprice\b|\bamount\b|total \(|[$€£]")
_TOTAL_HEAD = phrase(r"^(?:n|total|of|trials?|prompts?|samples?|items?|.*total.*|n[_ ].*|size)$")


def _relations(sheet: _Sheet) -> Findings:
    """What holds in nearly all rows between three columns must hold in the others."""
    table, rows = sheet.table, len(sheet.table.rows)
    columns = [j for j in table.value_columns if np.isfinite(sheet.values[:, j]).all()]
    if rows > 400 or len(columns) > _MOST_COLUMNS:
        return
    for j in columns:
        others = [k for k in columns if k != j and k not in sheet.claimed]
        best = None if j in sheet.claimed else sheet.best(j, _relation_formulas(sheet, j, others))
        if best is None:
            continue
        right = [x for x, holds in zip(table.column(j), best.holds, strict=True) if x and holds]
        long = sum(len(re.sub(r"\D", "", x.text).lstrip("0")) >= 3 for x in right)
        precise = long >= 3 and len({x.value for x in right}) >= 3
        natural = best.formula.cost < 0 and bool(_RATE_HEAD.search(table.columns[j]))
        product = best.formula.words.count("×") and _PRICE.search(table.columns[j]) and best.good >= 2
        if (rows >= 4 and best.good >= max(3, 0.7 * rows) and precise) or (product and 2 * best.good >= rows):
            yield from sheet.tell(j, best, "relation")
        elif natural and (best.good * 2 >= rows or rows <= 2) and (best.good or rows == 1 or len(others) == 2):
            yield from sheet.tell(j, best, "derived")


def _relation_formulas(sheet: _Sheet, j: int, others: list[int]) -> Iterator[Formula]:
    table, rows = sheet.table, len(sheet.table.rows)
    percent = sheet.kinds(j) == {"percent"}
    share = _is_rate(sheet, j) and not percent
    for a, b in permutations(others, 2):
        head, other, apart = table.columns[a], table.columns[b], abs(a - b)
        of_counts = sheet.counted(a, b) and bool((sheet.values[:, a] <= sheet.values[:, b]).all())
        if (percent or share) and of_counts:
            scale = 100.0 if percent else 1.0
            natural = bool(_TOTAL_HEAD.search(name(other)))
            yield sheet.formula(lambda x, y, c=scale: c * x / y, (a, b), f"{head} / {other}", apart - 50 * natural)
        elif _PRICE.search(table.columns[j]) and a < b:
            yield sheet.formula(lambda x, y: x * y, (a, b), f"{head} × {other}", apart)
        elif rows >= 4 and percent:
            yield sheet.formula(lambda x, y: 100 * x / y, (a, b), f"100 {head} / {other}", apart + 1)
        elif rows >= 4:
            yield sheet.formula(lambda x, y: x - y, (a, b), f"{head} - {other}", apart)
            yield sheet.formula(lambda x, y: x / y, (a, b), f"{head} / {other}", apart + 1)
            if a < b:
                yield sheet.formula(lambda x, y: x + y, (a, b), f"{head} + {other}", apart)


FAMILY = Family(
    of_tables=(_columns,),
)
