"""Is a column of changes that of two other columns, or of one against a baseline or the row before?"""

from collections.abc import Callable, Iterable, Iterator
from itertools import permutations
from typing import Any

import numpy as np

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText
from workbench.claims.rules.finding import LogFinding, in_table
from workbench.claims.rules.number_mentions import measured_columns
from workbench.claims.rules.row_names import CHANGE, name, phrase
from workbench.claims.rules.sheet import MOST_COLUMNS, Fit, Formula, Sheet, others_of

Findings = Iterator[LogFinding]

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


def changes(log: LogText, sheet: Sheet) -> Findings:
    """A column of changes: of two others, or of one against a row or a stated baseline."""
    table = sheet.table
    bases = _bases(log, table)
    for j in table.value_columns:
        if j in sheet.claimed or not CHANGE.search(table.columns[j]):
            continue
        others = [k for k in others_of(sheet, j) if not (CHANGE.search(table.columns[k]) and k > j)]
        others = sorted(others, key=lambda k: abs(j - k))[:MOST_COLUMNS]
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
    sheet: Sheet, j: int, others: list[int], bases: list[tuple[int | None, str, float, Number | None]]
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


def _best_change(sheet: Sheet, j: int, formulas: Iterable[Formula], natural: bool) -> Findings:
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


def _against_base_row(sheet: Sheet, j: int) -> Findings:
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
        to_last = sheet.formula(
            _scaled(f, scale), (column,), words.format(a=names["a"], base="the row before"), 0.1, before=True
        )
        fits.append(sheet.fit(j, to_last))
    best = max(fits, key=lambda fit: (fit.good, -_relative_distance(sheet, j, fit)))
    known = int(best.known.sum())
    if known and (2 * best.good >= known or known == 1):
        marked = table.numbers[row][j] is None
        named = bool(_BASE_LABEL.search(table.columns[j]))
        sure = best.good >= 2 or (marked and known == 1) or (named and best.good > 0)
        yield from sheet.tell(j, best, "difference", "error" if sure else "weak")


#: how a number x may be compared with a base b; c is 100 where the comparison is in percent
_AGAINST: dict[str, tuple[str, Callable[..., Any]]] = {
    "difference": ("the difference of {a} against {base}", lambda x, b, c: x - b),
    "fall": ("the drop of {a} against {base}", lambda x, b, c: b - x),
    "change": ("the change of {a} against {base} in percent", lambda x, b, c: 100 * (x / b - 1)),
    "reduction": ("the drop of {a} against {base} in percent", lambda x, b, c: 100 * (1 - x / b)),
    "ratio": ("the ratio of {a} against {base}", lambda x, b, c: x / b),
    "slowdown": ("the ratio of {base} against {a}", lambda x, b, c: b / x),
}


def _relative_distance(sheet: Sheet, j: int, fit: Fit) -> float:
    said, step = sheet.values[fit.known, j], sheet.steps[fit.known, j]
    return float(np.mean(abs(fit.formula.values[fit.known] - said) / (abs(said) + step)))


def _before_and_after(sheet: Sheet, j: int) -> bool:
    """Whether the two other columns of numbers are what a column of changes must be about."""
    heads = [sheet.table.columns[k] for k in others_of(sheet, j)]
    return len(heads) == 2 and bool(_BEFORE.search(heads[0])) and bool(_AFTER.search(heads[1]))


def _points_or_percent(sheet: Sheet, j: int, others: list[int]) -> Findings:
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
