"""Are the rates of a column those of the counts beside it?"""

from collections.abc import Iterator

import numpy as np

from workbench.claims.log_text import LogTable, LogText
from workbench.claims.rules.finding import LogFinding
from workbench.claims.rules.row_names import phrase
from workbench.claims.rules.sheet import Formula, Sheet, others_of
from workbench.claims.rules.units import RATE, composition, count_of_cell, n_of_cell

Findings = Iterator[LogFinding]


def compositions(sheet: Sheet) -> Findings:
    """Percentages beside counts that are the counts' shares of one whole."""
    table = sheet.table
    for c in table.n_columns:
        for j in others_of(sheet, c):
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


RATE_HEAD = phrase(r"rate|%|accura|\bacc\b|share|success|refus|prop|percent|pct")


def rates(log: LogText, sheet: Sheet) -> Findings:
    """A column of rates against a column of counts: printed as k/n, or with an n in a column, head, caption or sentence."""
    table = sheet.table
    rates = [j for j in table.value_columns if j not in sheet.claimed and is_rate(sheet, j)]
    counts = {c: _shares(log, table, c) for c in table.value_columns if c not in sheet.claimed}
    for j in rates:
        scale = 1.0 if "number" in sheet.kinds(j) else 100.0
        formulas = [
            Formula(f"{table.columns[c].strip() or 'the count'} / n", scale * shares, 0 * shares, abs(c - j))
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
        sure = few and bool(RATE_HEAD.search(table.columns[j])) and _is_outcome(table, best.formula.words)
        if sure or (best.good and (2 * best.good >= best.known.sum() or few)):
            yield from sheet.tell(j, best, "derived")


def _of_near_n(log: LogText, table: LogTable, c: int, scale: float) -> Formula | None:
    """A column of counts over an n that stands near the table: right only where most rows follow it."""
    shares = _shares(log, table, c, near=True)
    return (
        Formula(f"{table.columns[c].strip() or 'the count'} / n", scale * shares, 0 * shares)
        if np.isfinite(shares).any()
        else None
    )


_OUTCOME = phrase(r"^(?:wins?|won|correct|pass(?:ed|es)?|success\w*|hits?|yes|refus\w*|true)\b")


def _shares_of_sums(sheet: Sheet, j: int) -> Iterator[Formula]:
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


def is_rate(sheet: Sheet, j: int) -> bool:
    """Whether a column holds rates, without signs, bounds or spreads."""
    cells = [x for x in sheet.table.column(j) if x]
    plain = not any(x.signed or x.bound or x.spread is not None for x in cells)
    percent = all(x.kind == "percent" and x.successes is None for x in cells)
    share = all(x.kind == "number" and 0 <= x.value <= 1 and x.step <= 0.1 for x in cells)
    return plain and (percent or (share and bool(RATE_HEAD.search(sheet.table.columns[j]))))


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
