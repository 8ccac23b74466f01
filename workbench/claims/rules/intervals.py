"""Is an interval the one of its number and n, by any method in use, and is its number inside?"""

import math
import re
from collections.abc import Iterator
from dataclasses import replace

from workbench.claims.feasible import nearest_count
from workbench.claims.log_numbers import Number, read_numbers, step_of
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.recomputations import interval_of_rate, off_interval, z_of
from workbench.claims.rounding import Grade
from workbench.claims.rules.finding import Family, LogFinding, Place, in_row, in_sentence
from workbench.claims.rules.row_names import CI_COLUMN, phrase, roles
from workbench.claims.rules.units import N, counted_columns, n_of_cell, n_of_number

Findings = Iterator[LogFinding]

_RESULTS = ("count", "percent", "mean", "number")
_CALLED = phrase(r"\bCI\b|interval|wilson|confidence")
#: what the interval may be of, other than the rate
_OTHER = phrase(
    r"\bAUC|auroc|\bd\s?=|cohen|\br\s?=|odds|hazard|\bRR\b|\bOR\b|\bHR\b|kappa|\bF1\b|mean\b|difference|increase|bootstrap|BCa|cluster"
)
#: heads of what is no share, though it may lie between 0 and 1
_CHANGE = phrase(r"effect|change|gain|lift|delta|Δ|slope|coef|correlation|\brho\b|ρ|margin|minus|\bdiff")
_SURE = ("cell", "column", "sentence", "header", "caption")
_LIMITS = re.compile(r"(-?\d*\.?\d+)\s?%?\s?(?:,|;|to|-|–|—)\s?(-?\d*\.?\d+)")
_ESTIMATE = phrase(r"rate|accura|share|prop|success|refus|mean|estimate|value|^p$|p_?hat|^acc")


def _sentence(log: LogText, s: Statement) -> Findings:
    for x in s.numbers:
        if x.low is not None and x.kind in _RESULTS:
            yield from _judge(x, n_of_number(log, s, x), s.text, in_sentence(s)._replace(line=x.line))


def _table(log: LogText, table: LogTable) -> Findings:
    """Intervals in the cell of their number, in columns of lower and upper limits, or in a column of intervals."""
    text = f"{table.title} {' '.join(table.columns)} CI"
    role = roles(table)
    written = [j for j, head in enumerate(table.columns) if CI_COLUMN.search(head)]
    for i, row in enumerate(table.numbers):
        place = in_row(table, i)
        for j in table.value_columns:
            x = row[j]
            if (
                x is not None
                and x.low is not None
                and x.kind in _RESULTS
                and (x.kind == "mean" or _of_shares(table, j))
            ):
                yield from _judge(x, n_of_cell(log, table, i, j), text, place)
        if {"low", "high"} <= set(role):
            yield from _in_two_columns(log, table, i, role, text, place)
        if len(written) == 1:
            yield from _in_own_column(log, table, i, written[0], text, place)


def _in_two_columns(log: LogText, table: LogTable, i: int, role: dict[str, int], text: str, place: Place) -> Findings:
    low, high = (table.numbers[i][role[name]] for name in ("low", "high"))
    for j in table.value_columns:
        x = table.numbers[i][j]
        if (
            low
            and high
            and x
            and j not in (role["low"], role["high"], *table.n_columns)
            and _is_rate(x, table.columns[j])
        ):
            counts = counted_columns(table, i)
            n = n_of_cell(log, table, i, j) or (N(counts[0].n, "column") if counts else None)
            yield from _of_cell(x, low.value, high.value, max(low.step, high.step), 95.0, n, text, place)
            return


def _of_shares(table: LogTable, j: int) -> bool:
    """Whether a column can hold shares: its head calls it no change, and nothing in it, limits included, is below 0 or above 1."""
    plain = [x for row in table.numbers if (x := row[j]) is not None and x.kind == "number"]
    told = [v for x in plain for v in (x.value, x.low, x.high) if v is not None]
    return not _CHANGE.search(table.columns[j]) and all(0 <= v <= 1 for v in told)


def _is_rate(x: Number, head: str) -> bool:
    return x.kind in ("percent", "count") or (x.kind == "number" and 0 <= x.value <= 1 and bool(_ESTIMATE.search(head)))


def _in_own_column(log: LogText, table: LogTable, i: int, j: int, text: str, place: Place) -> Findings:
    """A column of intervals, of the nearest column of rates before it."""
    m = _LIMITS.search(table.rows[i][j].replace("−", "-"))
    rates = [k for k in table.value_columns if k < j and (x := table.numbers[i][k]) and _is_share(x)]
    if not m or not rates or not read_numbers(table.rows[i][j]):
        return
    x = table.numbers[i][rates[-1]]
    level = re.search(r"(\d\d(?:\.\d)?)\s?%", table.columns[j])
    step = max(step_of(m[1]), step_of(m[2]))
    if x:
        n = n_of_cell(log, table, i, rates[-1])
        yield from _of_cell(x, float(m[1]), float(m[2]), step, float(level[1]) if level else 95.0, n, text, place)


def _is_share(x: Number) -> bool:
    return x.kind in ("percent", "count") or (x.kind == "number" and 0 <= x.value <= 1 and x.step < 1)


def _of_cell(
    x: Number, low: float, high: float, step: float, level: float, n: N | None, text: str, place: Place
) -> Findings:
    scale = 100.0 if x.kind in ("percent", "count") and high <= 1 < x.percent else 1.0
    slack = max(step * scale, x.step)
    if not low * scale - slack <= x.percent <= high * scale + slack:
        yield place.finds("error", "order", f"{x} is not inside its own interval {low:g} to {high:g}")
        return
    yield from _judge(replace(x, low=low, high=high, limits_step=step, level=level, unit="CI"), n, text, place)


def _judge(x: Number, n: N | None, text: str, place: Place) -> Findings:
    """An interval against the n of its number."""
    low, high = x.low or 0.0, x.high or 0.0
    if n is None or (x.unit == "CI?" and not _CALLED.search(text)):
        return
    if x.kind == "mean":
        yield from _of_mean(x, n.value, low, high, place)
    elif not _OTHER.search(text) and (x.kind != "number" or (0 <= x.value <= 1 and 0 <= low <= high <= 1)):
        yield _of_rate(x, n, low, high, place)


def _of_mean(x: Number, n: int, low: float, high: float, place: Place) -> Findings:
    if x.spread is None or x.spread_kind == "CI":
        return
    from scipy.special import stdtrit

    root = 1.0 if x.spread_kind == "SE" else math.sqrt(n)
    error, slack = x.spread / root, (x.step + x.limits_step) / 2 + 2.1 * x.spread_step / 2 / root + 1e-9
    quantiles = (z_of(x.level), -float(stdtrit(max(n - 1, 1), (1 - x.level / 100) / 2)))
    fits = any(max(abs(x.value - q * error - low), abs(x.value + q * error - high)) <= slack for q in quantiles)
    half, true = (high - low) / 2, quantiles[0] * error
    wide = not true / 1.6 <= half <= 1.6 * true
    grade: Grade = "holds" if fits else "error" if wide and x.spread_kind == "SD" else "weak"
    yield place.finds(grade, "interval", f"SD and n give ±{true:.3g}, the interval is ±{half:.3g}", true)


def _of_rate(x: Number, n: N, low: float, high: float, place: Place) -> LogFinding:
    """Limits against those of the least and of the most successes that the rate may be rounded from."""
    value = x.percent if x.kind in ("percent", "count") else 100 * x.value
    scale = 1.0 if x.kind in ("percent", "count") and high > 1 else 100.0
    half = {"count": 0.0, "percent": x.step}.get(x.kind, 100 * x.step) / 2
    k, said, step = nearest_count(value, n.value), (low * scale, high * scale), x.limits_step * scale
    off = off_interval(value, half, n.value, x.level, said)
    _, lower, upper = interval_of_rate(k, n.value, x.level)[0]
    if off <= 0.55 * step + 1e-9:
        return place.holds("interval")
    sure = n.where in _SURE and off > 2 * step
    grade: Grade = "slip" if off <= step + 0.05 else "error" if sure else "weak"
    wilson = f"{lower:.1f} to {upper:.1f}% (Wilson)"
    return place.finds(
        grade,
        "interval",
        f"{value:.4g}% of {n.value} has the interval {wilson}, not {said[0]:g} to {said[1]:g}%",
        lower,
        upper,
    )


FAMILY = Family(
    of_sentences=(_sentence,),
    of_tables=(_table,),
)
