"""Is one quantity given twice, and differently? Tables against tables, sentences against tables, subgroups, classes, names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from workbench.claims.log_numbers import Number
from workbench.claims.log_reader import LogTable, LogText, Statement
from workbench.claims.rules.finding import (
    Grade,
    LogFinding,
    Rule,
    designs,
    n_columns,
    n_of_cell,
    settings_key,
    stems,
    where,
)
from workbench.claims.rules.limits import _short

RULES = (
    Rule("given twice", "Do two tables give one quantity the same value?", "identity; with n, Fisher's exact test over all such pairs"),
    Rule("sentence and table", "Is the number a sentence gives for a row and column of a table the one that stands there?", "identity"),
    Rule("summary", "Does a table or an earlier sentence hold the figure that a summary quotes?", "identity"),
    Rule("subgroups", "Is a whole's rate between those of its subgroups?", "a weighted mean lies between its parts"),
    Rule("classes", "Do classes that exclude one another fit into n?", "counting"),
    Rule("two names", "Is one condition run under two names, as -a·d and +a·(-d) are?", "identity of the two products"),
    Rule("denominator", "Does the n of a count agree with the n that is stated for all?", "counting"),
)  # fmt: skip

_CHANGE = re.compile(r"delta|[δΔ]|diff|change|improv|gain|drop|trend|expan|vs\b|winner|p[- ]?value", re.IGNORECASE)
_SUMMARY = re.compile(
    r"summary|abstract|tl;?dr|conclusion|key (?:results?|numbers|findings|takeaways)|highlights|executive|takeaways",
    re.IGNORECASE,
)


def run(log: LogText) -> Iterator[LogFinding]:
    """All rules of this file."""
    tables = [t for t in log.tables if len(t.rows) <= 300 and len(t.columns) <= 40]
    yield from _twice(log, tables)
    yield from _sentences(log, tables)
    yield from _summaries(log, tables)
    yield from _subgroups(log, tables)
    yield from _classes(log, tables)
    yield from _two_names(tables)
    yield from _denominators(log, tables)


@dataclass(frozen=True)
class _Cell:
    table: LogTable
    i: int
    j: int
    number: Number
    label: frozenset[str]
    head: frozenset[str]


def _cells(table: LogTable) -> Iterator[_Cell]:
    labels = [stems(table.label(i)) for i in range(len(table.rows))]
    for j in table.value_columns:
        if _CHANGE.search(table.columns[j]) or j in n_columns(table):
            continue
        head = stems(table.columns[j])
        for i, row in enumerate(table.numbers):
            number = row[j]
            if number is not None and not number.bound and number.kind in ("percent", "count", "number", "mean"):
                yield _Cell(table, i, j, number, labels[i], head)


def _same(a: Number, b: Number) -> bool:
    return (
        abs(a.percent - b.percent) <= (a.step + b.step) / 2 + 1e-9
        or abs(a.percent - b.percent) <= max(a.step, b.step) / 2 + 1e-9
    )


def _scale(x: Number) -> str:
    return "%" if x.kind in ("percent", "count") or x.unit == "%" else "1"


def _twice(log: LogText, tables: list[LogTable]) -> Iterator[LogFinding]:
    by_key: dict[tuple[str, frozenset[str]], list[_Cell]] = {}
    for table in tables:
        for cell in _cells(table):
            key = cell.label | cell.head
            words = [w for w in key if not w[0].isdigit()]
            if cell.label and cell.head and len(words) >= 2:
                by_key.setdefault((table.source, key), []).append(cell)
    pairs = []
    for (_, key), cells in by_key.items():
        for k, a in enumerate(cells):
            for b in cells[k + 1 :]:
                counted = any(
                    x.kind == "number" and x.step >= 1 for x in (a.number, b.number)
                )  # numbers of rows differ rightly
                if a.table is b.table or counted or _scale(a.number) != _scale(b.number):
                    continue
                parallel = a.table.columns == b.table.columns and (a.table.title, a.table.heading) != (
                    b.table.title,
                    b.table.heading,
                )
                words = [w for w in key if not w[0].isdigit()]
                if parallel or (len(words) < 3 and (a.table.section != b.table.section or _scale(a.number) != "%")):
                    continue
                pairs.append((a, b))
    told: set[tuple[int, int]] = set()
    for a, b in pairs:
        line, other = b.table.row_lines[b.i], a.table.row_lines[a.i]
        if _same(a.number, b.number):
            yield LogFinding("holds", "given twice", where(b.table, b.i, b.j), line, b.table.source)
            continue
        first, second = n_of_cell(log, a.table, a.i, a.j), n_of_cell(log, b.table, b.i, b.j)
        chance = ""
        if first and second and _scale(a.number) == "%":
            from workbench.statistics.rates import fisher

            counts = [
                (min(max(round(x.percent * n / 100), 0), n), n) for x, (n, _) in ((a.number, first), (b.number, second))
            ]
            p = fisher(*counts[0], *counts[1])
            chance = f"; Fisher p = {p:.2g}"
            if p * len(pairs) > 0.05 and first[0] == second[0]:
                yield LogFinding(
                    "note",
                    "given twice",
                    f"{where(b.table, b.i, b.j)}: {b.number} here, {a.number} in line {other}: no more than chance{chance}",
                    line,
                    b.table.source,
                    (a.number.percent, b.number.percent),
                    (other,),
                )
                continue
        if (line, other) in told:
            continue
        told.add((line, other))
        sentence = f"{where(b.table, b.i, b.j)}: {b.number} here, {a.number} in line {other} ({where(a.table, a.i, a.j)}): one quantity, two values{chance}"  # noqa: E501
        yield LogFinding(
            "weak", "given twice", sentence, line, b.table.source, (a.number.percent, b.number.percent), (other,)
        )


def _sentences(log: LogText, tables: list[LogTable]) -> Iterator[LogFinding]:
    """A sentence that names a row and a column, and gives another number."""
    cells = [c for t in tables if 1 < len(t.rows) <= 60 for c in _cells(t) if c.label and c.head]
    for s in log.statements:
        rates = [x for x in s.numbers if x.kind in ("percent", "number", "auc") and not x.signed and not x.bound]
        if (
            len(rates) != 1
            or any(x.kind in ("count", "range", "p", "mean", "points", "times") for x in s.numbers)
            or s.is_heading
        ):
            continue
        x, words = rates[0], stems(s.text)
        if re.search(
            r"\b(?:average|mean|overall|across|between|improve|increase|decrease|drop|gain|by|up to|drops?|dropped|fell|falls|rose|rises|below|above|from|to|except|other|difference|than|threshold|chance|target|expected|about|roughly)\b",  # noqa: E501
            s.text,
            re.IGNORECASE,
        ):
            continue
        named = [
            c
            for c in cells
            if c.table.source == s.source and c.label <= words and c.head <= words and _scale(c.number) == _scale(x)
        ]
        if not named:
            continue
        most = max(len(c.label | c.head) for c in named)
        named = [c for c in named if len(c.label | c.head) == most]
        settings = {v for _, v in s.settings}
        if most < 2 or len({id(c.table) for c in named}) > 1 or len(named) != 1:
            continue
        c = named[0]
        row = [y for y in c.table.numbers[c.i] if y is not None]
        other_rows = {w for i in range(len(c.table.rows)) if i != c.i for w in stems(c.table.label(i))} - c.label
        if settings and not all(f"{v:g}" in c.label | c.head for v in settings):
            continue
        if _same(x, c.number):
            yield LogFinding("holds", "sentence and table", _short(s.text), s.line, s.source)
        elif not any(_same(x, y) for y in row) and not (other_rows & words):
            off = abs(x.percent - c.number.percent)
            step = max(x.step, c.number.step)
            grade: Grade = "slip" if off <= step + 1e-9 else "weak"
            close = (
                c.table.section == s.section or _SUMMARY.search(" ".join(s.heading)) or abs(c.table.line - s.line) < 40
            )
            sentence = f"'{_short(s.text)}': the table has {c.number} in line {c.table.row_lines[c.i]} ({where(c.table, c.i, c.j)})"
            if close:
                yield LogFinding(
                    grade,
                    "sentence and table",
                    sentence,
                    s.line,
                    s.source,
                    (c.number.percent,),
                    (c.table.row_lines[c.i],),
                )


def _summaries(log: LogText, tables: list[LogTable]) -> Iterator[LogFinding]:
    """Percentages of a summary that nothing else in the log holds or gives by a difference, ratio, complement or mean."""
    for source in {s.source for s in log.statements}:
        own = [t for t in tables if t.source == source]
        held = [x for t in own for r in t.numbers for x in r if x is not None and x.kind in ("percent", "count")]
        if len(held) < 2:
            continue
        names = {w for t in own for h in (*t.columns, *(t.label(i) for i in range(len(t.rows)))) for w in stems(h)}
        rest = [
            x
            for s in log.statements
            if s.source == source and not _in_summary(s)
            for x in s.numbers
            if x.kind in ("percent", "count", "range", "points")
        ]
        values = {round(x.percent, 4) for x in [*held, *rest] if x.kind != "range"} | {
            v for x in rest if x.kind == "range" for v in (x.low, x.high) if v is not None
        }
        shares = {
            round(100 * x.value, 4)
            for t in own
            for r in t.numbers
            for x in r
            if x is not None and x.kind == "number" and 0 <= x.value <= 1
        }
        base = sorted(values | shares)[:400]
        means = [
            sum(v) / len(v) for t in own for v in ([x.percent for x in t.column(j) if x] for j in t.value_columns) if v
        ]
        for s in log.statements:
            if (
                s.source != source
                or not _in_summary(s)
                or s.is_heading
                or (len(held) < 4 and not names & stems(s.text))
            ):
                continue
            for x in s.numbers:
                if (
                    x.kind != "percent"
                    or x.bound
                    or x.n
                    or x.successes is not None
                    or x.value in (0.0, 50.0, 95.0, 100.0)
                ):
                    continue
                slack = x.step / 2 + 0.06
                direct = any(
                    abs(v - abs(x.value)) <= max(slack, x.step) for v in (*base, *means, *(100 - v for v in base))
                )
                derived = direct or _derivable(abs(x.value), slack, base)
                yield LogFinding(
                    "holds" if derived else "weak",
                    "summary",
                    f"'{_short(s.text)}': no table or other sentence holds {x}, or two numbers that make it",
                    s.line,
                    s.source,
                )


def _in_summary(s: Statement) -> bool:
    return any(_SUMMARY.search(h) for h in s.heading)


def _derivable(value: float, slack: float, base: list[float]) -> bool:
    for k, a in enumerate(base):
        for b in base[k + 1 :]:
            if (
                abs(b - a - value) <= slack
                or (a and abs(100 * (b - a) / a - value) <= slack)
                or (b and abs(100 * (b - a) / b - value) <= slack)
            ):
                return True
    return False


# ---- subgroups and classes

_NOT = re.compile(r"\bnon[- ]?|\bnot\b|\bun(?=\w{4})|\bin(?=correct)|without", re.IGNORECASE)
_GROUPS = re.compile(
    r"categor|topic|domain|type|subset|subgroup|group|split|by \w+|class|kind|stratum|site|language|breakdown",
    re.IGNORECASE,
)


def _subgroups(log: LogText, tables: list[LogTable]) -> Iterator[LogFinding]:
    for whole in tables:
        if whole.label_column is None or len(whole.rows) < 3:
            continue
        keys = [settings_key(whole.label(i)) for i in range(len(whole.rows))]
        for part in tables:
            if part is whole or part.source != whole.source or len(part.rows) < 2:
                continue
            heads = {settings_key(part.columns[j]): j for j in part.value_columns}
            if sum(k in heads and bool(k) for k in keys) < max(3, len(keys) - 1):
                continue
            name = f"{part.title} {' '.join(part.heading[-1:])}"
            for j in whole.value_columns:
                column = whole.column(j)
                if _CHANGE.search(whole.columns[j]) or not all(
                    x is None or x.kind in ("percent", "count") for x in column
                ):
                    continue
                shared = {w.removeprefix("non") for w in stems(name)} & stems(whole.columns[j])
                if not shared:
                    continue
                opposite = bool(_NOT.search(name)) != bool(_NOT.search(whole.columns[j]))
                grouped = bool(_GROUPS.search(f"{name} {part.columns[part.label_column or 0]}"))
                bad = []
                for i, key in enumerate(keys):
                    x = column[i]
                    if x is None or key not in heads:
                        continue
                    cells = [
                        c.percent for c in part.column(heads[key]) if c is not None and c.kind in ("percent", "count")
                    ]
                    if len(cells) < 2:
                        continue
                    values = [100 - v for v in cells] if opposite else cells
                    if not min(values) - 1 <= x.percent <= max(values) + 1:
                        bad.append((i, x, min(values), max(values)))
                    else:
                        yield LogFinding("holds", "subgroups", where(whole, i, j), whole.row_lines[i], whole.source)
                if bad:
                    listed = "; ".join(
                        f"{whole.label(i)}: {x} where the subgroups go from {a:.0f} to {b:.0f}%"
                        for i, x, a, b in bad[:6]
                    )
                    sentence = f"{whole.columns[j]}: {len(bad)} of {len(keys)} rows are outside the subgroups of line {part.line}{' (100% less)' if opposite else ''}: {listed}"  # noqa: E501
                    numbers = tuple(x.percent for _, x, _, _ in bad)
                    yield LogFinding(
                        "error" if grouped else "weak",
                        "subgroups",
                        sentence,
                        whole.row_lines[bad[0][0]],
                        whole.source,
                        numbers,
                        tuple(whole.row_lines[i] for i, *_ in bad),
                    )
                    break


@dataclass(frozen=True)
class _Series:
    """Counts of one outcome per condition: condition → (count, n, line)."""

    name: str
    counts: dict[str, tuple[int, int, int]]
    source: str


#: outcomes that exclude one another; the second of a pair may be certain (False) or a matter of definition (True)
_OPPOSITES = (
    (re.compile(r"\bcorrect", re.I), re.compile(r"incorrect|\bwrong|\berrors?\b|mistake", re.I), False),
    (re.compile(r"\bpass", re.I), re.compile(r"\bfail", re.I), False),
    (re.compile(r"\baccept", re.I), re.compile(r"reject", re.I), False),
    (re.compile(r"\bwins?\b|\bwon\b", re.I), re.compile(r"\bloss(?:es)?\b|\blost\b|\bties?\b", re.I), False),
    (re.compile(r"\bsurviv", re.I), re.compile(r"\bdied|\bdeaths?\b|\bdead\b", re.I), False),
    (re.compile(r"\bmale|\bmen\b", re.I), re.compile(r"\bfemale|\bwomen\b", re.I), False),
    (re.compile(r"\bagree", re.I), re.compile(r"disagree", re.I), False),
    (re.compile(r"(?<!non-)(?<!non)\brefus|\bdeclin", re.I), re.compile(r"jailbreak|bypass|complian|complied|comply|non-?refus|answered", re.I), True),  # noqa: E501
)  # fmt: skip


def _series(log: LogText, tables: list[LogTable]) -> Iterator[_Series]:
    for table in tables:
        for j in table.value_columns:
            counts = {}
            for i, x in enumerate(table.column(j)):
                if x is None or _CHANGE.search(table.columns[j]):
                    continue
                if x.kind == "count" and x.n:
                    counts[settings_key(table.label(i))] = (int(x.value), x.n, table.row_lines[i])
                elif x.kind == "percent" and x.successes is not None and x.n:
                    counts[settings_key(table.label(i))] = (x.successes, x.n, table.row_lines[i])
                elif (
                    x.kind == "number"
                    and x.step >= 1
                    and x.value >= 0
                    and j not in n_columns(table)
                    and (given := n_of_cell(log, table, i, j))
                    and given[1] in ("column", "caption", "header")
                ):
                    counts[settings_key(table.label(i))] = (int(x.value), given[0], table.row_lines[i])
            if len(counts) >= 2 or (counts and len(table.rows) == 1):
                yield _Series(table.columns[j], counts, table.source)
    blocks: dict[tuple[str, int], list[Statement]] = {}
    for s in log.statements:
        blocks.setdefault((s.source, s.section), []).append(s)
    for items in blocks.values():
        counts = {}
        name = " ".join(s.text for s in items if s.is_heading or re.match(r"\W*total", s.text, re.IGNORECASE))
        for s in items:
            partial = [x for x in s.numbers if x.kind == "percent" and x.successes is not None]
            key = settings_key(s.text.split(":")[0])
            if len(partial) == 1 and key:
                x = partial[0]
                n = x.n or _n_of_partial(x)
                if n:
                    counts[key] = (x.successes or 0, n, s.line)
        if len(counts) >= 2:
            yield _Series(name, counts, items[0].source)


def _n_of_partial(x: Number) -> int | None:
    """The n of "4 cases (33%)", where it is small enough to be told."""
    options = [
        n
        for n in range(max(x.successes or 1, 1), 200)
        if abs(100 * (x.successes or 0) / n - x.value) <= x.step / 2 + 1e-9
    ]
    return options[0] if options and options[-1] - options[0] <= 1 else None


def _classes(log: LogText, tables: list[LogTable]) -> Iterator[LogFinding]:
    series = list(_series(log, tables))
    if len(series) > 60:
        return
    design_ns = {total // size for _, total, factors in designs(log) for size, _ in factors if size}
    for k, a in enumerate(series):
        for b in series[k + 1 :]:
            if a.source != b.source:
                continue
            pair = next(
                (
                    (loose)
                    for one, two, loose in _OPPOSITES
                    if (one.search(a.name) and two.search(b.name) and not two.search(a.name))
                    or (one.search(b.name) and two.search(a.name) and not two.search(b.name))
                ),
                None,
            )
            shared = [key for key in a.counts if key in b.counts]
            if pair is None or not shared:
                continue
            bad = []
            for key in shared:
                (x, n, line), (y, m, _) = a.counts[key], b.counts[key]
                if n != m and not (n in design_ns and abs(n - m) <= 1):
                    continue
                if x + y > n:
                    bad.append((key, x, y, n, line))
                else:
                    yield LogFinding("holds", "classes", key, line, a.source)
            if bad:
                listed = "; ".join(f"{key}: {x} + {y} = {x + y} > {n}" for key, x, y, n, _ in bad[:6])
                more = ", unless one response may be both" if pair else ""
                sentence = f"'{_short(a.name, 40)}' and '{_short(b.name, 60)}' do not fit into n in {len(bad)} of {len(shared)} conditions{more}: {listed}"  # noqa: E501
                yield LogFinding(
                    "weak" if pair else "error",
                    "classes",
                    sentence,
                    bad[0][4],
                    a.source,
                    tuple(x + y for _, x, y, _, _ in bad),
                    tuple(line for *_, line in bad),
                )


_PLAIN = re.compile(r"\b(?:standard|original|normal|plain|extracted|regular|raw)\b", re.IGNORECASE)
_TURNED = re.compile(r"\b(?:inverted|negated|flipped|reversed|opposite|negative|minus)\b", re.IGNORECASE)


def _two_names(tables: list[LogTable]) -> Iterator[LogFinding]:
    for table in tables:
        names = [(j, table.columns[j]) for j in range(len(table.columns))]
        signs = {
            j: (
                "-"
                if re.search(r"(?<!\w)-\s?(?:[α-ωa-z]\b|\d|strength|coef)", h, re.IGNORECASE)
                else "+"
                if re.search(r"\+\s?(?:[α-ωa-z]\b|\d|strength|coef)", h, re.IGNORECASE)
                else ""
            )
            for j, h in names
        }
        for a, first in names:
            for b, second in names:
                if (
                    a == b
                    or not (_PLAIN.search(first) and _TURNED.search(second))
                    or {signs[a], signs[b]} != {"+", "-"}
                ):
                    continue
                pairs = [
                    (x, y)
                    for x, y in zip(table.column(a), table.column(b), strict=True)
                    if x is not None and y is not None
                ]
                apart = [abs(x.percent - y.percent) for x, y in pairs]
                if apart:
                    sentence = f"'{first}' and '{second}' are one condition under two names ({signs[a]}a·d = {signs[b]}a·(-d)); they differ by up to {max(apart):g}, which is the noise of a repeat, not a finding"  # noqa: E501
                    yield LogFinding(
                        "weak", "two names", sentence, table.line, table.source, tuple(apart), table.row_lines
                    )


def _denominators(log: LogText, tables: list[LogTable]) -> Iterator[LogFinding]:
    said = [
        (s, int(x.value))
        for s in log.statements
        for x in s.numbers
        if x.kind == "n"
        and re.search(
            r"per (?:condition|arm|cell|group|layer|model|dose|setting|row)|each (?:condition|arm|cell|group|row)|every (?:condition|arm|row|cell)|in each|(?:prompts|items|samples) each",  # noqa: E501
            s.text,
            re.IGNORECASE,
        )
    ]
    for table in tables:
        near = [
            (s, n)
            for s, n in said
            if s.source == table.source and (s.section == table.section or f"{s.text}" in table.title)
        ]
        for j in table.value_columns:
            counts = [(i, x) for i, x in enumerate(table.column(j)) if x is not None and x.n and x.n_from == "cell"]
            if len(counts) < 2 or re.search(r"^total|^overall|^all$", table.label(counts[-1][0]), re.IGNORECASE):
                continue
            ns = [x.n for _, x in counts]
            if len({n for _, n in near}) == 1:
                statement, n = near[0]
                off = [(i, x) for i, x in counts if x.n != n]
                if off and len(off) < len(counts):
                    listed = "; ".join(f"{table.label(i)}: {x}" for i, x in off[:5])
                    yield LogFinding(
                        "weak",
                        "denominator",
                        f"n = {n} is stated for all (line {statement.line}), and {len(off)} of {len(counts)} counts have another: {listed}",
                        table.row_lines[off[0][0]],
                        table.source,
                    )
                    continue
            common = max(set(ns), key=ns.count)
            off = [(i, x) for i, x in counts if x.n != common]
            if (
                len(counts) >= 4
                and len(off) == 1
                and not re.search(
                    r"exclud|missing|dropp|fail|invalid|unparse|attrition|withdr",
                    f"{table.context} {table.title}",
                    re.IGNORECASE,
                )
            ):
                yield LogFinding(
                    "weak",
                    "denominator",
                    f"{table.columns[j]}: {table.label(off[0][0])} has {off[0][1]} where all others have n = {common}; nothing says why",
                    table.row_lines[off[0][0]],
                    table.source,
                )
            elif len(set(ns)) == 1:
                yield LogFinding("holds", "denominator", table.columns[j], table.line, table.source)
    for s in log.statements:
        counts2 = [x for x in s.numbers if x.kind == "count"]
        given = [x for x in s.numbers if x.kind == "n" and not x.unit]
        if (
            len(counts2) >= 2
            and len(given) == 1
            and re.search(r"per|each", s.text)
            and any(x.n != given[0].value for x in counts2)
        ):
            yield LogFinding(
                "weak",
                "denominator",
                f"'{_short(s.text)}': n = {given[0].value:g} is stated, and a count has another",
                s.line,
                s.source,
            )
