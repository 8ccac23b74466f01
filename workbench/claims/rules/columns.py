"""Does a column of a table follow from its other columns: a total, a mean, a change, a ratio, a rate?

For each column the formulas that its head, or the other rows, suggest are computed at the printed numbers; the one that fits
best is taken where enough rows follow it, and rows that do not are told.
"""

import re
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from workbench.claims.log_text import LogTable, LogText
from workbench.claims.rules.column_changes import changes
from workbench.claims.rules.column_rates import RATE_HEAD, compositions, is_rate, rates
from workbench.claims.rules.finding import Family, LogFinding, in_cell
from workbench.claims.rules.row_names import CHANGE, is_mean, is_total, name, one_column, phrase, roles
from workbench.claims.rules.sheet import MOST_COLUMNS, Formula, Sheet, others_of
from workbench.claims.rules.units import n_in

Findings = Iterator[LogFinding]


def _columns(log: LogText, table: LogTable) -> Findings:
    """All of a table's columns: those whose head says what they are, then those that only their numbers show to follow."""
    if not table.value_columns:
        return
    sheet = Sheet(table)
    yield from _totals(sheet)
    yield from _means(sheet)
    yield from _sds(sheet)
    yield from _shares_of_rows(sheet)
    yield from compositions(sheet)
    yield from rates(log, sheet)
    yield from _named(sheet)
    yield from changes(log, sheet)
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


def _totals(sheet: Sheet) -> Findings:
    table = sheet.table
    for j in (j for j in table.value_columns if is_total(table.columns[j]) or j in table.n_columns):
        others = [k for k in others_of(sheet, j) if k not in table.n_columns]
        for run in _runs(others_of(sheet, j) if is_total(table.columns[j]) else others, j):
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


def _shares_of_rows(sheet: Sheet) -> Findings:
    """Columns of percentages that make 100 in most rows must do so in all."""
    table = sheet.table
    columns = [k for k in table.value_columns if sheet.kinds(k) == {"percent"} and not CHANGE.search(table.columns[k])]
    if (
        len(columns) < 2
        or len(columns) > 8
        or any(x and (x.signed or x.spread is not None) for k in columns for x in table.column(k))
    ):
        return
    total, reach = sheet.values[:, columns].sum(axis=1), sheet.steps[:, columns].sum(axis=1) / 2
    known = np.isfinite(total)
    fits = known & (abs(total - 100) <= reach + 1e-9)
    two = len(columns) == 2
    if two and (len({float(v) for v in sheet.values[fits, columns[0]]}) < 2 or known.sum() < 3):
        return
    if fits.sum() >= 2 and 3 * fits.sum() >= 2 * known.sum():
        for i in map(int, np.flatnonzero(known)):
            rest = [x.value for k, x in enumerate(table.numbers[i]) if x and k not in columns and x.kind == "percent"]
            if not fits[i] and any(abs(total[i] + more - 100) <= reach[i] + 0.1 for more in (*rest, sum(rest))):
                continue  # a share that few rows have makes the whole
            place = in_cell(table, i, columns[-1])._replace(what=name(table.label(i)))
            said = f"the shares make {total[i]:g}%, not 100%"
            yield place.finds("holds" if fits[i] else "weak" if two else "error", "shares", said, float(total[i]))


def _means(sheet: Sheet) -> Findings:
    table = sheet.table
    if set(roles(table)) - {"mean", "sd", "se"}:
        return
    for j in (j for j in table.value_columns if is_mean(table.columns[j])):
        others = [k for k in others_of(sheet, j) if k not in roles(table).values()]
        runs = [run for run in _runs(others, j) if len({frozenset(sheet.kinds(k)) for k in (j, *run)}) == 1]
        fits = [sheet.fit(j, sheet.formula(_mean, run, "the mean of the row")) for run in runs]
        fits += [sheet.fit(j, _weighted(sheet, run)) for run in runs if all(n_in(table.columns[k]) for k in run)]
        best = max(fits, key=lambda fit: fit.good, default=None)
        if best is None or not best.known.any():
            continue
        if not best.good and re.search(r"(?<!un)weighted", table.columns[j], re.IGNORECASE):
            continue  # by weights that are not given
        few = best.known.sum() <= 2
        if 2 * best.holds.sum() >= best.known.sum() or few:
            yield from sheet.tell(j, best, "mean of", "error" if best.holds.any() else "weak")


_REPEATED_COLUMN = phrase(r"^\W*(?:seed|run|rep(?:etition|licate|eat)?|trial|fold)s?[ _#-]?\d+\W*$")


def _sds(sheet: Sheet) -> Findings:
    """The SD of the seeds of a row, by n - 1 or by n."""
    table = sheet.table
    run = [k for k in table.value_columns if _REPEATED_COLUMN.match(table.columns[k])]
    j = roles(table).get("sd")
    if (
        j is None
        or len(run) < 2
        or not re.fullmatch(r"\W*(?:s\.?d\.?|std\.?(?: ?dev\.?)?|standard deviation)\W*", table.columns[j], re.I)
    ):
        return
    fits = [
        sheet.fit(j, sheet.formula(lambda *x, d=d: np.std(x, axis=0, ddof=d), run, "the SD of the row")) for d in (1, 0)
    ]
    best = max(fits, key=lambda fit: fit.good)
    if best.known.any() and 2 * best.good >= best.known.sum():
        yield from sheet.tell(j, best, "derived")


def _weighted(sheet: Sheet, run: list[int]) -> Formula:
    """The mean of columns whose heads give their n."""
    weights = [n_in(sheet.table.columns[k])[0] for k in run]
    return sheet.formula(
        lambda *columns: np.average(columns, axis=0, weights=weights),
        run,
        "the mean of the row by the n of its columns",
    )


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


def _named(sheet: Sheet) -> Findings:
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


# ---- what holds in nearly all rows

_PRICE = phrase(r"\bcosts?\b|\bprice\b|\bamount\b|total \(|[$€£]")
_TOTAL_HEAD = phrase(r"^(?:n|total|of|trials?|prompts?|samples?|items?|.*total.*|n[_ ].*|size)$")


def _relations(sheet: Sheet) -> Findings:
    """What holds in nearly all rows between three columns must hold in the others."""
    table, rows = sheet.table, len(sheet.table.rows)
    columns = [j for j in table.value_columns if np.isfinite(sheet.values[:, j]).all()]
    if rows > 400 or len(columns) > MOST_COLUMNS:
        return
    for j in columns:
        others = [k for k in columns if k != j and k not in sheet.claimed]
        best = None if j in sheet.claimed else sheet.best(j, _relation_formulas(sheet, j, others))
        if best is None or 2 * (best.holds & (best.formula.reach > abs(best.formula.values) / 2)).sum() > best.good:
            continue  # what rounding can make of it is as large as itself
        right = [x for x, holds in zip(table.column(j), best.holds, strict=True) if x and holds]
        long = sum(len(re.sub(r"\D", "", x.text).lstrip("0")) >= 3 for x in right)
        precise = long >= 3 and len({x.value for x in right}) >= 3
        natural = best.formula.cost < 0 and bool(RATE_HEAD.search(table.columns[j]))
        product = best.formula.words.count("×") and _PRICE.search(table.columns[j]) and best.good >= 2
        if (rows >= 4 and best.good >= max(3, 0.7 * rows) and precise) or (product and 2 * best.good >= rows):
            yield from sheet.tell(j, best, "relation")
        elif natural and (best.good * 2 >= rows or rows <= 2) and (best.good or rows == 1 or len(others) == 2):
            yield from sheet.tell(j, best, "derived")


def _relation_formulas(sheet: Sheet, j: int, others: list[int]) -> Iterator[Formula]:
    table, rows = sheet.table, len(sheet.table.rows)
    percent = sheet.kinds(j) == {"percent"}
    share = is_rate(sheet, j) and not percent
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
