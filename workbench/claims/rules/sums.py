"""Does a number follow from its neighbours? Totals, shares, means, differences, ratios and changes, in tables and sentences."""

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from workbench.claims.log_numbers import Number, plain, step_of
from workbench.claims.log_reader import LogTable, LogText, Statement
from workbench.claims.rules.finding import Grade, LogFinding, Rule, grade_of, is_composition, n_columns, shown, stems
from workbench.claims.rules.limits import _short, parts

RULES = (
    Rule("total", "Do the parts make the total that a row, a column or a list gives?", "arithmetic"),
    Rule("shares", "Do shares of one whole make 100%?", "arithmetic, with each share's rounding"),
    Rule("mean of", "Is an average the mean of the numbers it stands beside, or at least between them?", "arithmetic"),
    Rule("difference", "Does a column or sentence of changes follow from what it is the change of: points, percent or ratio?", "arithmetic"),  # noqa: E501
    Rule("derived", "Does a range, ratio, coefficient of variation, F1 or percentage of two columns come out?", "identities"),
    Rule("relation", "Does what holds in all other rows of a table hold in this one?", "arithmetic"),
    Rule("equation", "Does an equation or a product of a design in a sentence come out?", "arithmetic"),
    Rule("points or percent", "Is a difference of two percentages called a percentage of change?", "arithmetic"),
)  # fmt: skip

_CHANGE = re.compile(
    r"delta|[δΔ]|\bdiff|chang|improv|\bgain|\bdrop|\bgap\b|\blift\b|increas|decreas|reduc|expan|growth|\bvs\.? base|from base|over base|uplift|advantage|trend|absolute|relative|speed-?up|\bloss vs|\+/-|separation",  # noqa: E501
    re.IGNORECASE,
)
_TOTAL = re.compile(
    r"^(?:grand )?(?:total|sum|overall|all|combined|altogether|totals|pooled)(?: (?:n|count|all|overall|samples|items|prompts))?$",
    re.IGNORECASE,
)
_MEAN = re.compile(
    r"^(?:(?:macro|row|column|overall|unweighted|simple|cross-\w+)[- ])?(?:mean|average|avg\.?|macro)(?: score| overall| all)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Relation:
    """One way in which a column may follow from others: its formula in words, and per row the value and what rounding does."""

    words: str
    values: tuple[tuple[float, float] | None, ...]


def run(log: LogText) -> Iterator[LogFinding]:
    """All rules of this file."""
    for table in log.tables:
        if len(table.rows) > 3000:
            continue
        claimed: set[int] = set()
        yield from _total_rows(table)
        yield from _total_columns(table, claimed)
        yield from _shares(table)
        yield from _compositions(table)
        yield from _derived(table, claimed)
        yield from _changes(log, table, claimed)
        yield from _relations(table, claimed)
    for statement in log.statements:
        yield from _equations(statement)
        yield from _changes_in_words(statement)
        yield from _formulas(statement)
    yield from _lists(log)
    yield from _blocks(log)


# ---- tables


def _clean(text: str) -> str:
    return re.sub(r"[*_`:]|\(.*?\)", "", text).strip()


def _total_rows(table: LogTable) -> Iterator[LogFinding]:
    start = 0
    for i in range(len(table.rows)):
        label = _clean(table.label(i))
        is_total, is_mean = bool(_TOTAL.match(label)), bool(_MEAN.match(label))
        if not is_total and not is_mean:
            continue
        body = [
            k
            for k in range(start, i)
            if not _TOTAL.match(_clean(table.label(k))) and not _MEAN.match(_clean(table.label(k)))
        ]
        if len(body) < 2 and i == 0:
            body = [
                k
                for k in range(1, len(table.rows))
                if not _TOTAL.match(_clean(table.label(k))) and not _MEAN.match(_clean(table.label(k)))
            ]
        if len(body) < 2:
            continue
        results = []
        for j in table.value_columns:
            said = table.numbers[i][j]
            cells = [table.numbers[k][j] for k in body]
            known = [c for c in cells if c is not None]
            if said is None or len(known) < len(cells) or len(known) < 2:
                continue
            results.append((j, said, known))
        yield from (_judge_totals if is_total else _judge_means)(table, i, results, body)
        if is_total and label.lower() not in ("all", "overall"):
            start = i + 1


def _judge_totals(
    table: LogTable, i: int, results: list[tuple[int, Number, list[Number]]], body: list[int]
) -> Iterator[LogFinding]:
    line = table.row_lines[i]
    for j, said, cells in results:
        what = f"{_clean(table.label(i))}, {table.columns[j]}"
        if said.kind == "count" and all(c.kind == "count" for c in cells):
            k, n = sum(int(c.value) for c in cells), sum(c.n or 0 for c in cells)
            grade: Grade = "holds" if (k, n) == (said.value, said.n) else "error"
            yield LogFinding(grade, "total", f"{what}: the rows make {k}/{n}, not {said}", line, table.source, (k, n))
        elif said.kind == "percent" and said.successes is None and all(c.kind == "percent" for c in cells):
            total, low, high = sum(c.value for c in cells), min(c.value for c in cells), max(c.value for c in cells)
            if low - said.step <= said.value <= high + said.step:
                yield from _weighted(table, i, j, said, cells, body, what)
            elif abs(said.value - 100) < 1e-9 or abs(total - said.value) < 25:
                reach = sum(c.step / 2 for c in cells)
                grade = grade_of(abs(total - said.value), said.step, reach)
                yield LogFinding(
                    grade,
                    "total",
                    f"{what}: the rows make {shown(total, said.step)}%, not {said}",
                    line,
                    table.source,
                    (total,),
                )
            else:
                yield LogFinding(
                    "error",
                    "mean of",
                    f"{what}: {said} is outside its rows, which go from {low:g} to {high:g}",
                    line,
                    table.source,
                )
        elif (
            said.kind in ("number", "n")
            and all(c.kind in ("number", "n") for c in cells)
            and all(c.value >= 0 for c in cells)
        ):
            total = math.fsum(c.value for c in cells)
            whole = all(c.step >= 1 for c in [said, *cells])
            low, high = min(c.value for c in cells), max(c.value for c in cells)
            if not whole and low <= said.value <= high and abs(total - said.value) > 0.3 * total:
                continue  # an overall value, not a sum
            if (
                whole
                and low <= said.value <= high
                and not _TOTAL.match(
                    "total" if "total" in table.label(i).lower() or "sum" in table.label(i).lower() else "x"
                )
            ):
                continue
            reach = sum(c.step / 2 for c in cells) if not whole else 0.0
            off = abs(total - said.value)
            grade = grade_of(off, 0.0 if whole else said.step, reach)
            if grade == "error" and not whole and off > 0.5 * max(total, 1e-9):
                continue
            yield LogFinding(
                grade,
                "total",
                f"{what}: the rows make {shown(total, said.step)}, not {said}",
                line,
                table.source,
                (total,),
            )


def _weighted(
    table: LogTable, i: int, j: int, said: Number, cells: list[Number], body: list[int], what: str
) -> Iterator[LogFinding]:
    """An overall percentage against the rows' own n, where a column gives it."""
    line = table.row_lines[i]
    columns = [c for c in n_columns(table) if c != j]
    if len(columns) == 1:
        weights = [table.numbers[k][columns[0]] for k in body]
        known = [w.value for w in weights if w is not None]
        if len(known) == len(cells) and sum(known) > 0:
            pooled = sum(w * c.value for w, c in zip(known, cells, strict=True)) / sum(known)
            plain_mean = fmean(c.value for c in cells)
            off = min(abs(pooled - said.value), abs(plain_mean - said.value))
            grade = grade_of(off, said.step, max(c.step for c in cells) / 2)
            if grade == "error":
                grade = "weak" if off < 1 else "error"
            yield LogFinding(
                grade,
                "mean of",
                f"{what}: the rows make {shown(pooled, said.step)}% by their n, not {said}",
                line,
                table.source,
                (pooled,),
            )


def _judge_means(
    table: LogTable, i: int, results: list[tuple[int, Number, list[Number]]], body: list[int]
) -> Iterator[LogFinding]:
    line = table.row_lines[i]
    judged = []
    for j, said, cells in results:
        if said.kind not in ("percent", "number", "mean", "points") or any(c.kind != said.kind for c in cells):
            continue
        values = [c.value for c in cells]
        reach = fmean([c.step / 2 for c in cells])
        options = [fmean(values)]
        for c in n_columns(table):
            weights = [table.numbers[k][c] for k in body]
            if c != j and all(w is not None for w in weights) and (total := sum(w.value for w in weights if w)):
                options.append(sum(w.value * v for w, v in zip([w for w in weights if w], values, strict=True)) / total)
        best = min(options, key=lambda o: abs(o - said.value))
        grade = grade_of(abs(best - said.value), said.step, reach)
        if grade == "error" and min(values) - said.step <= said.value <= max(values) + said.step and len(options) > 1:
            grade = "weak"
        judged.append((j, said, best, grade, min(values), max(values)))
    good = sum(g in ("holds", "slip") for *_, g, _, _ in judged)
    for j, said, best, grade, low, high in judged:
        inside = low - said.step <= said.value <= high + said.step
        if grade == "error" and inside and not good:
            grade = "weak" if len(judged) <= 2 else "note"
        yield LogFinding(
            grade,
            "mean of",
            f"{_clean(table.label(i))}, {table.columns[j]}: the rows have the mean {shown(best, said.step)}, not {said}",
            line,
            table.source,
            (best,),
        )


def _total_columns(table: LogTable, claimed: set[int]) -> Iterator[LogFinding]:
    for j in table.value_columns:
        head = _clean(table.columns[j])
        others = [k for k in table.value_columns if k != j]
        if _MEAN.match(head) and len(others) >= 2 and not set(parts(table)) - {"mean"}:
            yield from _mean_column(table, j, others, claimed)
        if not _TOTAL.match(head) or not others:
            continue
        plain_rows = [
            i
            for i in range(len(table.rows))
            if (s := table.numbers[i][j]) and s.kind in ("number", "n") and s.step >= 1
        ]
        for chosen in _runs(others, j):
            results = []
            for i in plain_rows:
                said = table.numbers[i][j]
                cells = [table.numbers[i][k] for k in chosen]
                if said is None or any(
                    c is None or c.kind not in ("number", "n") or c.step < 1 or c.value < 0 for c in cells
                ):
                    continue
                results.append((i, said, sum(c.value for c in cells if c)))
            body = [r for r in results if not _TOTAL.match(_clean(table.label(r[0])))]
            results = body or results
            fits = sum(abs(s.value - t) < 1e-9 for _, s, t in results)
            larger = all(
                s.value >= max((c.value for k in chosen if (c := table.numbers[i][k])), default=0)
                for i, s, _ in results
            )
            if (
                results
                and len(chosen) >= 2
                and (
                    fits * 2 >= len(results)
                    or (len(results) == 1 and larger and abs(results[0][1].value - results[0][2]) < 0.3 * results[0][2])
                )
            ):
                claimed.add(j)
                for i, said, total in results:
                    grade: Grade = "holds" if abs(said.value - total) < 1e-9 else "error"
                    yield LogFinding(
                        grade,
                        "total",
                        f"{table.label(i) or f'row {i + 1}'}, {head}: the columns make {total:g}, not {said}",
                        table.row_lines[i],
                        table.source,
                        (total,),
                    )
                break


def _runs(others: list[int], j: int) -> Iterator[list[int]]:
    """Sets of columns that may belong together: all, those before, those after, and runs next to it."""
    before, after = [k for k in others if k < j], [k for k in others if k > j]
    seen = []
    for chosen in (
        others,
        before,
        after,
        before[1:],
        before[:-1],
        *(before[-k:] for k in range(2, len(before))),
        *(after[:k] for k in range(2, len(after))),
    ):
        if len(chosen) >= 2 and chosen not in seen:
            seen.append(chosen)
            yield chosen


def _mean_column(table: LogTable, j: int, others: list[int], claimed: set[int]) -> Iterator[LogFinding]:
    best: list[tuple[int, Number, float, Grade]] = []
    for chosen in _runs(others, j):
        results = []
        for i in range(len(table.rows)):
            said = table.numbers[i][j]
            cells = [table.numbers[i][k] for k in chosen]
            if said is None or any(c is None or c.kind != said.kind for c in cells):
                continue
            value = fmean(c.value for c in cells if c)
            results.append(
                (i, said, value, grade_of(abs(value - said.value), said.step, fmean(c.step / 2 for c in cells if c)))
            )
        fits = sum(g in ("holds", "slip") for *_, g in results)
        if (results and fits > sum(g in ("holds", "slip") for *_, g in best)) or (
            results and not best and len(results) <= 2
        ):
            best = results
    fits = sum(g == "holds" for *_, g in best)
    if best and (fits * 2 >= len(best) or len(best) <= 2):
        claimed.add(j)
        for i, said, value, grade in best:
            if grade == "error" and not fits:
                grade = "weak"
            yield LogFinding(
                grade,
                "mean of",
                f"{table.label(i)}, {table.columns[j]}: the row has the mean {shown(value, said.step)}, not {said}",
                table.row_lines[i],
                table.source,
                (value,),
            )


def _shares(table: LogTable) -> Iterator[LogFinding]:
    words = re.compile(
        r"distribution|breakdown|composition|\bsplit\b|\bshares?\b|% of (?:total|all)|percent of (?:total|all)|proportion of (?:total|all)|category mix",  # noqa: E501
        re.IGNORECASE,
    )
    for j in table.value_columns:
        if not (
            words.search(table.columns[j])
            or (
                words.search(table.title)
                and table.columns[j].strip().lower() in ("%", "percent", "percentage", "share")
            )
        ):
            continue
        rows = [i for i in range(len(table.rows)) if not _TOTAL.match(_clean(table.label(i)))]
        cells = [c for i in rows if (c := table.numbers[i][j])]
        if (
            len(cells) < 3
            or len(cells) < len(rows)
            or any(c.kind != "percent" or c.value < 0 or c.signed for c in cells)
        ):
            continue
        yield from _sum_to_hundred(cells, f"the column '{table.columns[j]}'", table.row_lines[rows[-1]], table.source)


def _compositions(table: LogTable) -> Iterator[LogFinding]:
    """Percentages beside counts that are the counts' shares of one whole."""
    for c in n_columns(table):
        for j in table.value_columns:
            whole = is_composition(table, c, j) if j != c else None
            if whole is None:
                continue
            rows = [
                (i, a, b)
                for i, (a, b) in enumerate(zip(table.column(c), table.column(j), strict=True))
                if a and b and b.kind == "percent"
            ]
            parts_ = [a.value for i, a, _ in rows if not _TOTAL.match(_clean(table.label(i)))]
            n = next((a.value for i, a, _ in rows if _TOTAL.match(_clean(table.label(i)))), None) or min(
                (sum(parts_), round(whole)), key=lambda v: abs(v - whole)
            )
            for i, a, b in rows:
                true = 100 * a.value / n
                grade = grade_of(abs(true - b.value), b.step)
                yield LogFinding(
                    grade,
                    "derived",
                    f"{table.label(i)}, {table.columns[j]}: {a} of {n:g} is {shown(true, b.step)}%, not {b}",
                    table.row_lines[i],
                    table.source,
                    (true,),
                )


def _sum_to_hundred(cells: Sequence[Number], what: str, line: int, source: str) -> Iterator[LogFinding]:
    total, reach = math.fsum(c.value for c in cells), sum(c.step / 2 for c in cells)
    off = abs(total - 100)
    if off <= reach + 1e-9:
        yield LogFinding("holds", "shares", what, line, source)
    elif off < 30:
        yield LogFinding(
            "error" if total > 100 else "weak",
            "shares",
            f"{what} makes {total:g}%, not 100% (rounding can do {reach:g})",
            line,
            source,
            (total,),
        )


def _nudged(f: Callable[..., float], cells: Sequence[Number]) -> tuple[float, float] | None:
    """The value of a formula at printed numbers, and what their rounding can do to it."""
    values = [c.value for c in cells]
    try:
        value = f(*values)
        reach = sum(
            abs(f(*(v + (c.step / 2 if k == i else 0) for k, v in enumerate(values))) - value)
            for i, c in enumerate(cells)
        )
    except (ZeroDivisionError, ValueError, OverflowError):
        return None
    return (value, reach) if math.isfinite(value) and math.isfinite(reach) else None


def _by_rows(table: LogTable, columns: Sequence[int], f: Callable[..., float], words: str) -> Relation:
    values = []
    for row in table.numbers:
        cells = [row[k] for k in columns]
        known = [c for c in cells if c is not None]
        values.append(_nudged(f, known) if len(known) == len(cells) else None)
    return Relation(words, tuple(values))


def _grades(table: LogTable, j: int, relation: Relation) -> list[tuple[int, Number, float, Grade]]:
    out = []
    for i, result in enumerate(relation.values):
        said = table.numbers[i][j]
        if said is None or result is None or said.bound:
            continue
        value, reach = result
        out.append((i, said, value, grade_of(abs(value - said.value), said.step, reach)))
    return out


def _tell(
    table: LogTable,
    j: int,
    relation: Relation,
    graded: list[tuple[int, Number, float, Grade]],
    rule: str,
    worst: Grade = "error",
) -> Iterator[LogFinding]:
    truncated = [
        (i, s, v)
        for i, s, v, _ in graded
        if s.step and abs(v) > abs(s.value) + s.step / 2 + 1e-9 and abs(v) < abs(s.value) + s.step
    ]
    slips = sum(g == "slip" for *_, g in graded)
    for i, said, value, grade in graded:
        if grade == "holds" and slips and len(truncated) >= 3 and any(i == k for k, _, _ in truncated):
            grade = "slip"
        final: Grade = worst if grade == "error" else grade
        cell = f"{_clean(table.label(i)) or f'row {i + 1}'}, {table.columns[j]}"
        more = " (truncated, not rounded)" if grade == "slip" and len(truncated) >= 2 else ""
        yield LogFinding(
            final,
            rule,
            f"{cell}: {said} is printed, {relation.words} is {shown(value, said.step)}{more}",
            table.row_lines[i],
            table.source,
            (value,),
        )


def _derived(table: LogTable, claimed: set[int]) -> Iterator[LogFinding]:
    """Columns whose head is a formula over heads that are there."""
    named = parts(table)
    head = {j: table.columns[j].lower() for j in table.value_columns}

    def one(pattern: str, but: int | None = None) -> int | None:
        columns = [k for k, h in head.items() if k != but and re.search(pattern, h)]
        return columns[0] if len(columns) == 1 else None

    wanted: list[tuple[int, Relation]] = []
    for j, h in head.items():
        scale = 100.0 if any(c and c.kind == "percent" for c in table.column(j)) else 1.0
        if re.fullmatch(r"range|span|spread", h.strip()) and "min" in named and "max" in named:
            wanted.append((j, _by_rows(table, [named["max"], named["min"]], lambda a, b: a - b, "maximum - minimum")))
        if re.search(r"coefficient of variation|^cv\b", h) and "sd" in named:
            mean = named.get("mean", one(r"mean|avg|average", j))
            if mean is not None:
                wanted.append((j, _by_rows(table, [named["sd"], mean], lambda s, m, c=scale: c * s / m, "SD / mean")))
        if (
            re.search(r"^f1\b|f-?score|f-?measure", h)
            and (p := one(r"precision", j)) is not None
            and (r := one(r"recall|sensitivity", j)) is not None
        ):
            wanted.append((j, _by_rows(table, [p, r], lambda a, b: 2 * a * b / (a + b), "2PR / (P + R)")))
        if re.search(r"\b(?:var|variance)\b", h) and "sd" in named:
            wanted.append((j, _by_rows(table, [named["sd"]], lambda s: s * s, "SD²")))
        if re.search(r"error rate|error %|^errors? ?\(%\)", h) and (a := one(r"accuracy|^acc", j)) is not None:
            wanted.append((j, _by_rows(table, [a], lambda x, c=scale: c - x, "what accuracy leaves")))
    for j, relation in wanted:
        graded = _grades(table, j, relation)
        fits = sum(g in ("holds", "slip") for *_, g in graded)
        averaged = bool(re.search(r"macro|seeds|folds|average", table.title, re.IGNORECASE))
        if graded and (fits * 2 >= len(graded) or len(graded) == 1):
            claimed.add(j)
            yield from _tell(table, j, relation, graded, "derived", "weak" if averaged and not fits else "error")


def _base_rows(table: LogTable) -> list[int]:
    named = [
        i
        for i in range(len(table.rows))
        if re.search(
            r"\bbase(?:line)?\b|control|vanilla|reference|^none\b|no steering|unsteered|original|before|default",
            table.label(i),
            re.IGNORECASE,
        )
    ]
    said = [
        i
        for i, row in enumerate(table.rows)
        if any(re.match(r"\W*(?:baseline|reference|ref\.?|—|–|-)\W*$", c, re.IGNORECASE) for c in row[1:])
    ]
    return list(dict.fromkeys([*named[:2], *said[:1], 0]))


def _changes(log: LogText, table: LogTable, claimed: set[int]) -> Iterator[LogFinding]:
    stated = [
        x
        for s in log.statements
        if s.section == table.section and re.match(r"\W*(?:baseline|base|control)\b", s.text, re.IGNORECASE)
        for x in s.numbers
        if x.kind in ("number", "percent")
    ]
    for j in table.value_columns:
        head = table.columns[j]
        if j in claimed or not _CHANGE.search(head):
            continue
        said = [c for c in table.column(j) if c is not None]
        others = [k for k in table.value_columns if k != j and not (_CHANGE.search(table.columns[k]) and k > j)]
        if not said or not others:
            continue
        options: list[tuple[float, Relation]] = []
        percent = any(c.kind == "percent" for c in said)
        scale = 100.0 if percent or "%" in head else 1.0
        for a in others:
            for b in others:
                if a == b:
                    continue
                apart = abs(others.index(a) - others.index(b)) - (0.5 if a < b else 0) + 0.01 * abs(j - b)
                pair = f"{table.columns[b]} - {table.columns[a]}"
                options.append((apart, _by_rows(table, [a, b], lambda x, y: y - x, pair)))
                options.append(
                    (
                        apart + 0.1,
                        _by_rows(
                            table,
                            [a, b],
                            lambda x, y, c=scale: c * (y - x) / x,
                            f"the change from {table.columns[a]} to {table.columns[b]}",
                        ),
                    )
                )
                options.append(
                    (
                        apart + 0.2,
                        _by_rows(table, [a, b], lambda x, y: y / x, f"{table.columns[b]} / {table.columns[a]}"),
                    )
                )
                options.append(
                    (
                        apart + 0.4,
                        _by_rows(
                            table,
                            [a, b],
                            lambda x, y, c=scale: c * (x - y) / x,
                            f"the drop from {table.columns[a]} to {table.columns[b]}",
                        ),
                    )
                )
                if any(c.kind == "percent" for c in table.column(a) if c) is False and percent:
                    options.append(
                        (apart + 0.6, _by_rows(table, [a, b], lambda x, y: 100 * (y - x), f"{pair} in points"))
                    )
            for r in _base_rows(table):
                first = table.numbers[r][a]
                if first is None:
                    continue
                place = 0.05 * abs(j - a) + 0.3 * (r != _base_rows(table)[0])
                what = f"{table.columns[a]} against {_clean(table.label(r)) or 'the first row'}"
                fixed = first
                options.append((place, _against(table, a, fixed, r, lambda x, b: x - b, f"the difference of {what}")))
                options.append(
                    (
                        place + 0.1,
                        _against(table, a, fixed, r, _change(scale), f"the change of {what}"),
                    )
                )
                options.append((place + 0.2, _against(table, a, fixed, r, lambda x, b: x / b, f"the ratio of {what}")))
                options.append(
                    (
                        place + 0.3,
                        _against(table, a, fixed, r, _drop(scale), f"the drop of {what}"),
                    )
                )
                options.append((place + 0.3, _against(table, a, fixed, r, lambda x, b: b - x, f"the drop of {what}")))
            for base in stated[:2]:
                options.append(
                    (
                        0.5,
                        _against(table, a, base, -1, lambda x, b: x - b, f"{table.columns[a]} - {base} (the baseline)"),
                    )
                )
                options.append(
                    (
                        0.6,
                        _against(
                            table,
                            a,
                            base,
                            -1,
                            _change(scale),
                            f"the change of {table.columns[a]} from {base}",
                        ),
                    )
                )
        yield from _best_relation(table, j, options, claimed, "difference", natural=len(others) == 2)
        yield from _points_or_percent(table, j, others)


def _change(scale: float) -> Callable[[float, float], float]:
    return lambda x, base: scale * (x / base - 1)


def _drop(scale: float) -> Callable[[float, float], float]:
    return lambda x, base: scale * (1 - x / base)


def _against(table: LogTable, a: int, base: Number, r: int, f: Callable[[float, float], float], words: str) -> Relation:
    values = []
    for i, row in enumerate(table.numbers):
        cell = row[a]
        values.append(_nudged(f, [cell, base]) if cell is not None and i != r else None)
    return Relation(words, tuple(values))


def _best_relation(
    table: LogTable, j: int, options: list[tuple[float, Relation]], claimed: set[int], rule: str, natural: bool
) -> Iterator[LogFinding]:
    best: tuple[tuple[float, float, float], Relation, list[tuple[int, Number, float, Grade]]] | None = None
    for cost, relation in options:
        graded = _grades(table, j, relation)
        if not graded:
            continue
        fits = sum(g == "holds" for *_, g in graded)
        slips = sum(g == "slip" for *_, g in graded)
        key = (fits + 0.6 * slips, float(fits), -cost)
        if best is None or key > best[0]:
            best = key, relation, graded
    if best is None:
        return
    key, relation, graded = best
    score, fitting = key[0], key[1]
    distinct = len({s.value for _, s, _, g in graded if g == "holds"})
    rows = len(graded)
    known = sum(c is not None for c in table.column(j))
    enough = score >= max(2, 0.6 * rows) and (distinct >= 2 or score == rows)
    if enough and rows * 2 >= known:
        claimed.add(j)
        yield from _tell(table, j, relation, graded, rule)
    elif natural and rows <= 3 and not enough:
        if score >= 1 and fitting:
            yield from _tell(table, j, relation, graded, rule, "error" if rows > 1 else "weak")
        elif score < 1 and _before_and_after(table, j):
            nearest = min(
                (r for _, r in options if _grades(table, j, r)),
                key=lambda r: fmean(abs(v - s.value) / (abs(s.value) + s.step) for _, s, v, _ in _grades(table, j, r)),
            )
            yield from _tell(table, j, nearest, _grades(table, j, nearest), rule, "error" if not fitting else "weak")


def _before_and_after(table: LogTable, j: int) -> bool:
    """Whether the two other columns of numbers are what a column of changes must be about."""
    heads = [table.columns[k] for k in table.value_columns if k != j]
    first = re.compile(r"\bbase|before|\bpre\b|control|without|\bold\b|initial|start", re.IGNORECASE)
    second = re.compile(r"after|steer|\bpost\b|treat|\bwith\b|\bnew\b|\bours\b|final|end", re.IGNORECASE)
    return len(heads) == 2 and bool(first.search(heads[0])) and bool(second.search(heads[1]))


def _points_or_percent(table: LogTable, j: int, others: list[int]) -> Iterator[LogFinding]:
    """A note: a column of "%" that is a difference of percentages is in percentage points."""
    cells = [c for c in table.column(j) if c is not None and c.value]
    if (
        not cells
        or any(c.kind != "percent" for c in cells)
        or "pp" in table.columns[j].lower()
        or "point" in table.columns[j].lower()
    ):
        return
    for a in others:
        for b in others:
            if a != b and all(c is None or c.kind == "percent" for c in (*table.column(a), *table.column(b))):
                graded = _grades(table, j, _by_rows(table, [a, b], lambda x, y: y - x, ""))
                if len(graded) >= 1 and all(g == "holds" for *_, g in graded) and any(s.value for _, s, _, _ in graded):
                    yield LogFinding(
                        "note",
                        "points or percent",
                        f"the column '{table.columns[j]}' is {table.columns[b]} - {table.columns[a]}: percentage points, not percent",
                        table.line,
                        table.source,
                    )
                    return


def _relations(table: LogTable, claimed: set[int]) -> Iterator[LogFinding]:
    """What holds in nearly all rows between three columns, or two and 100, must hold in the others."""
    columns = [j for j in table.value_columns if sum(c is not None for c in table.column(j)) == len(table.rows)]
    rows = len(table.rows)
    if rows < 1 or len(columns) > 12 or rows > 400:
        return
    for j in columns:
        if j in claimed:
            continue
        said = [c for c in table.column(j) if c]
        options: list[tuple[float, Relation]] = []
        others = [k for k in columns if k != j and k not in claimed]
        percent = all(c.kind == "percent" for c in said)
        share = all(c.kind == "number" and 0 <= c.value <= 1 and c.step <= 0.1 for c in said)
        for a in others:
            for b in others:
                if a == b:
                    continue
                whole = all(
                    c and c.kind in ("number", "n") and c.step >= 1 and c.value >= 0
                    for k in (a, b)
                    for c in table.column(k)
                )
                if (
                    (percent or share)
                    and whole
                    and all(
                        (x and y and x.value <= y.value) for x, y in zip(table.column(a), table.column(b), strict=True)
                    )
                ):
                    scale = 100.0 if percent else 1.0
                    natural = bool(
                        re.search(
                            r"^(?:n|total|of|trials?|prompts?|samples?|items?|.*total.*|n[_ ].*|size)$",
                            _clean(table.columns[b]),
                            re.IGNORECASE,
                        )
                    )
                    options.append(
                        (
                            abs(a - b) - 5 * natural,
                            _by_rows(
                                table,
                                [a, b],
                                lambda x, y, c=scale: c * x / y,
                                f"{table.columns[a]} / {table.columns[b]}",
                            ),
                        )
                    )
                elif rows >= 4 and not percent:
                    options.append(
                        (
                            abs(a - b),
                            _by_rows(table, [a, b], lambda x, y: x - y, f"{table.columns[a]} - {table.columns[b]}"),
                        )
                    )
                    if a < b:
                        options.append(
                            (
                                abs(a - b),
                                _by_rows(table, [a, b], lambda x, y: x + y, f"{table.columns[a]} + {table.columns[b]}"),
                            )
                        )
                    options.append(
                        (
                            abs(a - b) + 1,
                            _by_rows(table, [a, b], lambda x, y: x / y, f"{table.columns[a]} / {table.columns[b]}"),
                        )
                    )
                elif rows >= 4 and percent:
                    options.append(
                        (
                            abs(a - b) + 1,
                            _by_rows(
                                table, [a, b], lambda x, y: 100 * x / y, f"100 {table.columns[a]} / {table.columns[b]}"
                            ),
                        )
                    )
        best = None
        for cost, relation in options:
            graded = _grades(table, j, relation)
            if not graded:
                continue
            good = sum(g in ("holds", "slip") for *_, g in graded)
            key = (good, sum(g == "holds" for *_, g in graded), -cost)
            if best is None or key > best[0]:
                best = key, relation, graded, cost
        if best is None:
            continue
        (good, _fits, _), relation, graded, cost = best
        precise = (
            len({s.value for _, s, _, g in graded if g == "holds"}) >= 3
            and sum(len(re.sub(r"\D", "", s.text).lstrip("0")) >= 3 for _, s, _, g in graded if g == "holds") >= 3
        )
        natural_rate = (
            "/" in relation.words
            and (percent or share)
            and cost < -1
            and bool(re.search(r"rate|%|accura|share|success|refus|prop", table.columns[j], re.IGNORECASE))
        )
        if rows >= 4 and good >= max(3, 0.7 * rows) and precise:
            claimed.add(j)
            yield from _tell(table, j, relation, graded, "relation")
        elif natural_rate and (good * 2 >= rows or rows <= 2):
            claimed.add(j)
            if good or rows == 1 or len(others) == 2:
                yield from _tell(table, j, relation, graded, "derived")


# ---- sentences

_NUM = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_EQUATION = re.compile(
    rf"(?<![\w.,/^=])(?P<left>-?(?:{_NUM})%?(?:\s+[a-z]+)?(?:\s?(?:[+×x*/÷]|\s-\s|−)\s?(?:{_NUM})%?(?:\s+[a-z]+)?){{1,11}})\s?(?P<eq>=|≈)\s?(?P<right>[+-]?(?:{_NUM}))(?P<unit>\s?%|\s?pp)?(?![\w/]|\s?[+×*/÷]\s?\d|\.\d)",
    re.IGNORECASE,
)
_PRODUCT = re.compile(
    r"(?<![\w.])(?P<total>\d[\d,]*)(?:\s[a-z]+){0,3}?\s?[(=]\s?(?P<factors>\d+(?:\s[^()×x*\d,;=]*)?(?:\s?[×x*]\s?\d+(?:\s[^()×x*\d,;=]*)?)+)\)?(?=$|[\s.,;)])",
    re.IGNORECASE,
)
_SUM_IN = re.compile(
    r"(?<![\w.])(?P<total>\d[\d,]*)\s(?P<unit>[a-z]+(?:\s[a-z]+){0,3})\s?[(:]\s?(?P<parts>\d[\d,]*\s[a-z][\w -]*?(?:\s?(?:[,;+]|and|&)+\s?(?:and\s)?\d[\d,]*\s[a-z][\w -]*?)+)\)",  # noqa: E501
    re.IGNORECASE,
)


_TOTAL_AFTER = re.compile(
    r"(?P<factors>\d+\s[a-z]+(?:\s[a-z]+)?(?:\s?[×x*]\s?\d+\s[a-z]+(?:\s[a-z]+)?)+)\s?[(,;]\s?(?:for a |a )?(?:total|in total|in all|altogether)(?: of)?:?\s(?P<total>\d[\d,]*)",  # noqa: E501
    re.IGNORECASE,
)
_VALUE = r"\s?(?:=|:|of|is|was|at)?\s?(?P<v>-?\d*\.?\d+)\s?(?P<pct>%?)"


def _said(name: str, text: str) -> Number | None:
    m = re.search(rf"\b(?:{name}){_VALUE}", text, re.IGNORECASE)
    return Number("number", float(m["v"]), step_of(m["v"]), m[0], unit=m["pct"]) if m else None


def _formulas(s: Statement) -> Iterator[LogFinding]:
    """Quantities of one sentence that are made of others in it: F1, the coefficient of variation, an average, a total."""
    text = s.text
    made: list[tuple[str, Number, tuple[float, float] | None]] = []
    precision, recall, f1 = (
        _said("precision", text),
        _said("recall|sensitivity", text),
        _said(r"f1(?:[- ]score)?", text),
    )
    if precision and recall and f1 and not re.search(r"macro|average|micro", text, re.IGNORECASE):
        made.append(("2PR / (P + R)", f1, _nudged(lambda a, b: 2 * a * b / (a + b), [precision, recall])))
    mean, sd, cv = (
        _said("mean|average|avg|M", text),
        _said("SD|std|standard deviation", text),
        _said(r"coefficient of variation|CV", text),
    )
    if mean and sd and cv:
        scale = 100.0 if cv.unit else 1.0
        made.append(("SD / mean", cv, _nudged(lambda a, b: scale * a / b, [sd, mean])))
    if m := re.search(
        r"\b(?:average|mean) of (?P<list>[\d.,%\s]+?(?:,? and )[\d.]+)%?\s?(?:is|was|=|:)\s?(?P<v>\d*\.?\d+)",
        text,
        re.IGNORECASE,
    ):
        values = [float(v.strip(".,")) for v in re.findall(r"\d*\.?\d+", m["list"])]
        steps = [step_of(v.strip(".,")) for v in re.findall(r"\d*\.?\d+", m["list"])]
        said = Number("number", float(m["v"]), step_of(m["v"]), m["v"])
        made.append(("the average", said, (fmean(values), fmean(steps) / 2 if max(steps) < 1 else 0.0)))
    for words, said, result in made:
        if result:
            grade = grade_of(abs(result[0] - said.value), said.step, result[1])
            yield LogFinding(
                grade,
                "derived",
                f"'{_short(text)}': {words} is {shown(result[0], said.step)}, not {said.value:g}",
                s.line,
                s.source,
                (result[0],),
            )
    for m in _TOTAL_AFTER.finditer(text):
        product = math.prod(int(f) for f in re.findall(r"\d+", m["factors"]))
        total = int(m["total"].replace(",", ""))
        yield LogFinding(
            "holds" if product == total else "error",
            "equation",
            f"'{m[0]}': the product is {product}",
            s.line,
            s.source,
            (product,),
        )


_SUM_AFTER = re.compile(
    r"(?<![\w.])(?P<total>\d[\d,]*)\s(?P<unit>[a-z]+(?:\s[a-z]+)?)\s?[:]\s?(?P<parts>\d[\d,]*\s[a-z][\w -]*?(?:\s?(?:,|;|\+|and|&)+\s?(?:and\s)?\d[\d,]*\s[a-z][\w -]*?)+)(?=[.;)]|$)",  # noqa: E501
    re.IGNORECASE,
)
_SUM_OF = re.compile(
    r"\bof (?:the |our |these |all )?(?P<total>\d[\d,]*)\s(?P<unit>[a-z]+),\s?(?P<parts>\d[\d,]*\s[a-z][\w -]*?(?:\s?(?:,|;|and|&)+\s?(?:and\s)?\d[\d,]*\s[a-z][\w -]*?)+)(?=[.;)]|$)",  # noqa: E501
    re.IGNORECASE,
)


def _sums_in_words(text: str, statement: Statement) -> Iterator[LogFinding]:
    """ "200 prompts: 120 harmful and 90 benign", "of the 50 responses, 30 were refusals, 15 …" """
    for pattern in (_SUM_IN, _SUM_AFTER, _SUM_OF):
        for m in pattern.finditer(text):
            numbers = [
                int(x.replace(",", ""))
                for x in re.findall(r"(?<![\w.])\d[\d,]*(?=\s[a-z])", m["parts"], flags=re.IGNORECASE)
            ]
            total = int(m["total"].replace(",", ""))
            if (
                len(numbers) < 2
                or max(numbers) >= total
                or re.search(
                    r"\b(?:per|each|layers?|runs?|seeds?|dimension|epochs?|years?|days?|times)\b", m[0], re.IGNORECASE
                )
            ):
                continue
            off = sum(numbers) - total
            wrong = 0 < off < 0.5 * total if pattern is _SUM_OF else 0 < abs(off) < 0.3 * total
            if off == 0 or wrong:
                yield LogFinding(
                    "weak" if wrong else "holds",
                    "total",
                    f"'{m[0].strip()}': the parts make {sum(numbers)}, not {total}",
                    statement.line,
                    statement.source,
                    (sum(numbers),),
                )


def _equations(statement: Statement) -> Iterator[LogFinding]:
    text = plain(statement.text)
    for m in _EQUATION.finditer(text):
        left = re.sub(r"(?<=\d|%)\s+[a-z]{2,}\b", "", m["left"], flags=re.IGNORECASE).replace(",", "")
        tokens = re.findall(rf"{_NUM}|[+×x*/÷-]", left)
        if re.match(r"^\d+\s?/\s?\d+$", left.strip()) and not m["unit"] and float(m["right"].replace(",", "")) > 1:
            continue
        value, reach = _evaluate(tokens)
        if value is None:
            continue
        said = float(m["right"].replace(",", ""))
        step = step_of(m["right"])
        options = [value, 100 * value] if (m["unit"] or "").strip() == "%" else [value]
        best = min(options, key=lambda o: abs(o - said))
        grow = best / value if value else 1.0
        grade = grade_of(
            abs(best - said), step if "." in m["right"] or "/" in left or "." in left else 0.0, reach * grow
        )
        if m["eq"] == "≈" and abs(best - said) <= 0.05 * abs(best):
            grade = "holds"
        yield LogFinding(
            grade,
            "equation",
            f"'{m[0].strip()}': it makes {shown(best, step)}",
            statement.line,
            statement.source,
            (best,),
        )
    for m in _PRODUCT.finditer(text):
        factors = [int(f) for f in re.findall(r"\d+", re.sub(r"[×x*]", " ", m["factors"]))]
        if "=" in m[0] and _EQUATION.search(m[0]):
            continue
        product = math.prod(factors)
        total = int(m["total"].replace(",", ""))
        near_ = product > 0 and 0.2 < total / product < 5
        if near_ and len(factors) == len(re.split(r"\s?[×x*]\s?(?=\d)", m["factors"])):
            yield LogFinding(
                "holds" if product == total else "error",
                "equation",
                f"'{m[0].strip()}': the product is {product}",
                statement.line,
                statement.source,
                (product,),
            )
    yield from _sums_in_words(text, statement)


def _evaluate(tokens: list[str]) -> tuple[float | None, float]:
    """A chain of + - × / from left to right with the usual precedence, and what the rounding of its decimals can do."""
    numbers = [t for t in tokens if t[0].isdigit() or t[0] == "."]
    signs = [t for t in tokens if not (t[0].isdigit() or t[0] == ".")]
    if len(signs) != len(numbers) - 1:
        return None, 0.0

    def value(at: list[float]) -> float:
        terms, operators = [at[0]], []
        for sign, x in zip(signs, at[1:], strict=True):
            if sign in "×x*":
                terms[-1] *= x
            elif sign in "/÷":
                terms[-1] /= x
            else:
                operators.append(sign)
                terms.append(x)
        total = terms[0]
        for sign, x in zip(operators, terms[1:], strict=True):
            total += x if sign == "+" else -x
        return total

    start = [float(t) for t in numbers]
    steps = [step_of(t) / 2 if "." in t else 0.0 for t in numbers]
    try:
        result = value(start)
        reach = sum(
            abs(value([x + (s if k == i else 0) for k, x in enumerate(start)]) - result) for i, s in enumerate(steps)
        )
    except ZeroDivisionError:
        return None, 0.0
    return result, reach


_FROM_TO = re.compile(
    r"→|->|➔|⟶|=>|\bfrom\b.*\bto\b|\bto\b|\bvs\.?\b|\bversus\b|\bagainst\b|\bcompared (?:to|with)\b", re.IGNORECASE
)
_UP = re.compile(r"increas|improv|gain|ris|rose|up\b|higher|more|boost|grow|grew|lift|better|faster", re.IGNORECASE)
_DOWN = re.compile(r"decreas|reduc|drop|fall|fell|lower|less|declin|down\b|loss|slower|fewer|cut", re.IGNORECASE)
_TIMES_WORDS = {
    "doubled": 2.0,
    "doubles": 2.0,
    "double": 2.0,
    "tripled": 3.0,
    "triples": 3.0,
    "quadrupled": 4.0,
    "halved": 0.5,
    "halves": 0.5,
    "twice": 2.0,
    "half": 0.5,
}


def _changes_in_words(statement: Statement) -> Iterator[LogFinding]:
    """ "75% → 85% (+10%)", "from 40 to 50, a 25% increase", "a 2x gain (10 → 20)"."""
    text = statement.text
    numbers = [
        x for x in statement.numbers if x.kind in ("percent", "points", "times", "number", "mean", "count", "auc")
    ]
    numbers = [
        x
        for x in numbers
        if not (
            x.kind == "percent"
            and x.successes is not None
            and any(y.kind == "count" and y.start == x.start for y in numbers)
        )
    ]
    for k, (a, b) in enumerate(itertools.pairwise(numbers)):
        between = text[a.end : b.start] if b.start >= a.end else ""
        joined = _FROM_TO.search(between) and len(between) < 40 and not re.search(r"[;.]\s", between)
        from_to = (
            "→" in between
            or "->" in between
            or re.search(r"\bfrom\s*$", text[max(0, a.start - 8) : a.start], re.IGNORECASE)
        )
        if (
            not joined
            or a.bound
            or b.bound
            or a.signed
            or b.signed
            or {a.kind, b.kind} - {"percent", "number", "mean", "count", "auc"}
        ):
            continue
        both_rates = a.kind in ("percent", "count") and b.kind in ("percent", "count")
        if not both_rates and (a.kind == "percent") != (b.kind == "percent"):
            continue
        x, y = a.percent, b.percent
        if word := re.search(r"\b(doubled|doubles|tripled|triples|quadrupled|halved|halves)\b", text, re.IGNORECASE):
            ratio = y / x if x else math.inf
            goal = _TIMES_WORDS[word[1].lower()]
            fits = 0.8 * goal <= ratio <= 1.25 * goal
            if from_to and len(numbers) <= 3:
                yield LogFinding(
                    "holds" if fits else "weak",
                    "difference",
                    f"'{_short(text)}': {x:g} to {y:g} is {ratio:.2f} times, not {word[1]}",
                    statement.line,
                    statement.source,
                    (ratio,),
                )
        rest = numbers[k + 2 : k + 3] + ([numbers[k - 1]] if k > 0 else [])
        for c in rest:
            gap = text[b.end : c.start] if c.start >= b.end else text[c.end : a.start]
            if len(gap) > 32 or (c.bound == "~" and c.kind != "times"):
                continue
            said_words = text[max(0, min(c.start, a.start) - 30) : max(c.end, b.end) + 30]
            claims = c.kind in ("points", "times") or c.signed or bool(re.search(r"difference|\bdiff\b|change|Δ|delta|gap\b", gap + text[c.end : c.end + 16], re.IGNORECASE)) or (  # noqa: E501
                c.kind == "percent" and bool(_UP.search(text[c.end : c.end + 22]) or _DOWN.search(text[c.end : c.end + 22]) or re.search(r"(?:by|of|an?)\s*$", text[: c.start][-5:]))  # noqa: E501
            )  # fmt: skip
            if not claims or (
                c.kind == "number" and not c.signed and not re.search(r"differ|diff|gap|change", gap, re.IGNORECASE)
            ):
                continue
            step_a, step_b = (
                (100 / a.n * 0 if a.kind == "count" and a.n else a.step),
                (0.0 if b.kind == "count" else b.step),
            )
            reach = (step_a + step_b) / 2
            yield from _judge_change(
                statement, c, x, y, reach, both_rates, said_words, bool(from_to) or " to " in between
            )
            break


def _judge_change(
    statement: Statement,
    c: Number,
    x: float,
    y: float,
    reach: float,
    both_rates: bool,
    words: str,
    ordered: bool = True,
) -> Iterator[LogFinding]:
    what, line, source = f"'{_short(statement.text)}'", statement.line, statement.source
    signless = not c.signed
    said = abs(c.value) if signless else c.value
    difference = y - x
    relative = 100 * (y - x) / x if x else math.inf
    relative_reach = (reach / abs(x) * 100 * (1 + abs(y / x))) if x else 0.0

    def off(value: float) -> float:
        return (
            min(abs(abs(value) - abs(said)), abs(value - said))
            if signless
            else min(abs(value - said), abs(-value - said))
        )

    if c.kind == "times":
        ratios = [y / x if x else math.inf, x / y if y else math.inf, (y - x) / x if x else math.inf]
        best = min(ratios, key=lambda r: abs(r - said))
        step = c.step if c.bound != "~" else max(c.step, 0.1 * said)
        grade = grade_of(abs(best - said), step, (reach / abs(x) + reach * abs(y) / x**2) if x else 0.0)
        yield LogFinding(
            grade, "difference", f"{what}: {x:g} to {y:g} is {best:.3g} times, not {c}", line, source, (best,)
        )
    elif c.kind == "points" or (c.kind == "number" and not both_rates):
        grade = grade_of(off(difference), c.step, reach)
        if c.kind == "points" and grade == "error" and grade_of(off(relative), c.step, relative_reach) != "error":
            yield LogFinding(
                "error",
                "points or percent",
                f"{what}: {x:g} to {y:g} is {difference:+.3g} points; {c} is the change in percent",
                line,
                source,
                (difference,),
            )
            return
        yield LogFinding(
            grade, "difference", f"{what}: {x:g} to {y:g} is {difference:+.4g}, not {c}", line, source, (difference,)
        )
    elif c.kind in ("percent", "number"):
        by_percent = grade_of(off(relative), c.step, relative_reach)
        if not ordered and y:  # "5 against 4, a reduction of 20%": either may be the base
            by_percent = min(
                (by_percent, grade_of(off(100 * (x - y) / y), c.step, relative_reach)),
                key=("holds", "slip", "weak", "error").index,
            )
        if (
            by_percent == "error"
            and not ordered
            and min(off(relative), off(100 * (x - y) / y) if y else math.inf) < 0.15 * said
        ):
            by_percent = "weak"  # it may be adjusted for something
        if by_percent not in ("error", "weak") and reach >= 1 and off(relative) > max(3.0, 0.2 * abs(relative)):
            by_percent = "weak"  # only if whole numbers are far from what they round
        by_points = grade_of(off(difference), c.step, reach)
        if not both_rates:
            yield LogFinding(
                by_percent,
                "difference",
                f"{what}: {x:g} to {y:g} is {relative:+.3g}%, not {c}",
                line,
                source,
                (relative,),
            )
        elif by_percent == "holds" and difference:
            yield LogFinding("holds", "difference", what, line, source)
        elif by_points != "error":
            strong = bool(
                re.search(
                    r"relative|percent (?:increase|decrease|improvement)|% (?:relative|increase|decrease|reduction)",
                    words,
                    re.IGNORECASE,
                )
            )
            grade2: Grade = "weak" if difference and strong else "note"
            yield LogFinding(
                grade2,
                "points or percent",
                f"{what}: {x:g}% to {y:g}% is {difference:+.3g} percentage points, or {relative:+.3g}%: {c} leaves open which",
                line,
                source,
                (difference, relative),
            )
            if by_points == "slip":
                yield LogFinding(
                    "slip",
                    "difference",
                    f"{what}: {x:g} to {y:g} is {difference:+.4g}, not {c}",
                    line,
                    source,
                    (difference,),
                )
        else:
            grade = min((by_percent, by_points), key=("holds", "slip", "weak", "error").index)
            yield LogFinding(
                grade,
                "difference",
                f"{what}: {x:g}% to {y:g}% is {difference:+.3g} points or {relative:+.3g}%, not {c}",
                line,
                source,
                (difference, relative),
            )


_LIST_HEAD = re.compile(
    r"distribution|breakdown|by \w+\s*:?$|composed of|consist|of which|of these|split|made up of|categories|per \w+\s*:?$",
    re.IGNORECASE,
)


def _lists(log: LogText) -> Iterator[LogFinding]:
    """A total, and the list of its parts below it: counts that do not add up, or shares that do not make 100."""
    statements = log.statements
    for k, head in enumerate(statements):
        items = []
        if (
            k
            and _LIST_HEAD.search(head.text)
            and statements[k - 1].section == head.section
            and re.match(r"\W*total\b", statements[k - 1].text, re.IGNORECASE)
        ):
            continue  # told at the total
        heads_list = bool(_LIST_HEAD.search(head.text))
        total_here = [
            x
            for x in head.numbers
            if x.kind in ("count", "n", "number") and x.value >= 2 and (x.kind == "count" or x.step >= 1)
        ]
        if not heads_list and not (
            re.match(r"\W*(?:total|overall|altogether|in all)\b", head.text, re.IGNORECASE) and total_here
        ):
            continue
        block = None
        for s in statements[k + 1 : k + 16]:
            if (
                s.section != head.section
                or s.source != head.source
                or s.line - head.line > 16
                or (block is not None and s.block != block)
            ):
                break
            if s.text.endswith(":") and not s.numbers:
                continue
            if not s.numbers or re.match(r"\W*(?:total|sum|conclusion|note)\b", s.text, re.IGNORECASE):
                break
            block = s.block
            items.append(s)
        if len(items) < 3:
            continue
        firsts = [s.numbers[0] for s in items]
        counts = [
            x.successes
            if x.kind == "percent"
            else int(x.value)
            if x.kind in ("count", "n") or (x.kind == "number" and x.step >= 1 and not x.signed)
            else None
            for x in firsts
        ]
        title = head
        totals = total_here or [
            x
            for s in statements[max(0, k - 1) : k]
            if s.section == head.section and re.match(r"\W*(?:total|overall|in all)\b", s.text, re.IGNORECASE)
            for x in s.numbers
            if x.kind in ("count", "n", "number")
        ]
        if totals and all(c is not None for c in counts):
            values = [c for c in counts if c is not None]
            same_units = len({x.kind for x in firsts}) == 1
            total, said = sum(values), totals[0]
            goal = int(said.value)
            if same_units and max(values) < goal and 0.5 < total / goal < 2:
                fits = total == goal or (said.n is not None and total == said.n)
                grade: Grade = "holds" if fits else "error"
                sentence = f"the {len(values)} items below '{_short(title.text, 50)}' make {total}, not {goal}"
                if said.n and not fits:
                    sentence += f" ({100 * total / said.n:.1f}% of {said.n}, not {100 * goal / said.n:.1f}%)"
                yield LogFinding(
                    grade, "total", sentence, said.line, head.source, (total,), tuple(s.line for s in items)
                )
        elif (
            all(x.kind == "percent" and x.successes is None and not x.signed and not x.bound for x in firsts)
            and heads_list
        ) and re.search(r"distribution|breakdown|composed|consist|split|made up", head.text, re.IGNORECASE):
            yield from _sum_to_hundred(firsts, f"the list below '{_short(head.text, 50)}'", head.line, head.source)


def _blocks(log: LogText) -> Iterator[LogFinding]:
    """ "A: 88.6%. B: 16.7%. Difference: +71.9 pp", over three items of one list."""
    by_block: dict[tuple[str, int], list[Statement]] = {}
    for s in log.statements:
        by_block.setdefault((s.source, s.block), []).append(s)
    for items in by_block.values():
        for k, s in enumerate(items):
            m = re.match(
                r"\W*(?:absolute |relative )?(difference|gap|drop|change|delta|Δ|improvement|gain|increase|decrease|reduction|ratio|speed-?up)\b(?: \w+){0,3}\s?(?:\([^)]*\))?\s?[:=]",  # noqa: E501
                s.text,
                re.IGNORECASE,
            )
            if not m or k < 2 or len(s.numbers) != 1 or any(len(t.numbers) != 1 for t in items[k - 2 : k]):
                continue
            a, b, c = items[k - 2].numbers[0], items[k - 1].numbers[0], s.numbers[0]
            if a.kind != b.kind or a.kind not in ("percent", "number", "count") or c.bound or a.bound or b.bound:
                continue
            if m[1].lower() in ("ratio", "speedup", "speed-up"):
                best = min(
                    (
                        a.percent / b.percent if b.percent else math.inf,
                        b.percent / a.percent if a.percent else math.inf,
                    ),
                    key=lambda r: abs(r - c.value),
                )
                reach = (a.step / 2 / abs(b.percent) + b.step / 2 * abs(a.percent) / b.percent**2) if b.percent else 0.0
                grade = grade_of(abs(best - c.value), c.step, reach * max(1.0, best))
                yield LogFinding(
                    grade,
                    "difference",
                    f"'{_short(s.text)}': {a} and {b} have the ratio {best:.3g}",
                    s.line,
                    s.source,
                    (best,),
                )
                continue
            difference = abs(a.percent - b.percent)
            relatives = [100 * difference / abs(v) for v in (a.percent, b.percent) if v]
            reach = (a.step + b.step) / 2
            grade = grade_of(abs(difference - abs(c.value)), c.step, reach)
            if grade == "error" and c.kind == "percent" and any(abs(r - abs(c.value)) <= c.step for r in relatives):
                grade = "holds"
            yield LogFinding(
                grade,
                "difference",
                f"'{_short(s.text)}': {a} and {b} differ by {difference:.4g}",
                s.line,
                s.source,
                (difference,),
                (a.line, b.line),
            )


def names_of(table: LogTable) -> frozenset[str]:
    """The words of a table's title and heads."""
    return stems(f"{table.title} {' '.join(table.columns)}")
