"""Do groups fit together? Subgroups into their whole, outcomes that exclude one another into n, one condition under two names."""

import re
from collections.abc import Iterator
from itertools import combinations, permutations
from typing import NamedTuple

from workbench.claims.log_numbers import Number, plain
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rounding import Grade
from workbench.claims.rules.finding import Family, LogFinding, in_cell, in_row, in_sentence, in_table, short
from workbench.claims.rules.row_names import CHANGE, is_total, phrase, settings_key, stems
from workbench.claims.rules.units import FOR_EACH, designs, n_of_cell

Findings = Iterator[LogFinding]

_MOST_ROWS = 300
_NOT = phrase(r"\bnon[- ]?|\bnot\b|\bun(?=\w{4})|\bin(?=correct)|without")
_GROUPS = phrase(
    r"categor|topic|domain|type|subset|subgroup|group|split|by \w+|class|kind|stratum|site|language|breakdown"
)

# ---- subgroups


def _subgroups(log: LogText) -> Findings:
    tables = [t for t in log.tables if len(t.rows) <= _MOST_ROWS]
    for whole, part in permutations(tables, 2):
        if whole.source != part.source or whole.label_column is None or len(whole.rows) < 3 or len(part.rows) < 2:
            continue
        keys = [settings_key(whole.label(i)) for i in range(len(whole.rows))]
        heads = {settings_key(part.columns[j]): j for j in part.value_columns}
        if sum(bool(k) and k in heads for k in keys) >= max(3, len(keys) - 1):
            for j in whole.value_columns:
                told = list(_whole_and_parts(whole, j, part, [heads.get(k) for k in keys]))
                yield from told
                if any(f.grade != "holds" for f in told):
                    break  # the next column is the same again in percent


_PARTS_SAID = re.compile(r"\(\s?(?P<parts>[^()]*\d\s?%[^()]*,[^()]*)\)")
_WHOLE_BEFORE = phrase(r"\boverall\b|\bin total\b|\baltogether\b|\bof all\b")
_NO_PARTS = phrase(r"\bCI\b|interval|\bvs\b|baseline|range|seed|\bfrom\b|±|\bp\s?[=<]|without|before|chance")


def _subgroups_of_sentence(log: LogText, s: Statement) -> Findings:
    """ "Overall, 72% of requests were refused (cyber 55%, bio 61%, fraud 68%)"."""
    for m in _PARTS_SAID.finditer(s.text) if _WHOLE_BEFORE.search(s.text) else ():
        inside = [x for x in s.numbers if m.start() < x.start < m.end() and x.kind == "percent"]
        before = [x for x in s.numbers if x.end <= m.start() and x.kind in ("percent", "count")]
        counted = {x.start for x in before if x.kind == "count"}
        before = [x for x in before if x.kind == "count" or x.start not in counted]
        plain = not any(x.bound or x.signed for x in (*inside, *before))
        if len(inside) < 2 or len(before) != 1 or not plain or _NO_PARTS.search(m["parts"]):
            continue
        x, values = before[0], [y.percent for y in inside]
        slack = (x.step + inside[0].step) / 2 if x.kind == "percent" else inside[0].step / 2
        outside = not min(values) - slack <= x.percent <= max(values) + slack
        whole_of_shares = abs(sum(values) - x.percent) <= slack * len(values) or abs(sum(values) - 100) <= slack * len(
            values
        )
        if not whole_of_shares:
            said = f"{x} of all is not between its parts, which go from {min(values):g}% to {max(values):g}%"
            yield in_sentence(s).finds("error" if outside else "holds", "subgroups", said, x.percent)


def _whole_and_parts(whole: LogTable, j: int, part: LogTable, columns: list[int | None]) -> Findings:
    """A column of rates against a table of subgroups that has a column for each of its rows."""
    title, head = f"{part.title} {' '.join(part.heading[-1:])}", whole.columns[j]
    rates = all(x is None or x.kind in ("percent", "count") for x in whole.column(j))
    if CHANGE.search(head) or not rates or not {w.removeprefix("non") for w in stems(title)} & stems(head):
        return
    opposite = bool(_NOT.search(title)) != bool(_NOT.search(head))
    outside = []
    for i, (x, column) in enumerate(zip(whole.column(j), columns, strict=True)):
        cells = part.column(column) if x and column is not None else ()
        values = [c.percent for c in cells if c and c.kind in ("percent", "count")]
        values = [100 - v for v in values] if opposite else values
        if x is None or len(values) < 2:
            continue
        if min(values) - 1 <= x.percent <= max(values) + 1:
            yield in_cell(whole, i, j).holds("subgroups")
        else:
            outside.append(
                (i, x, f"{whole.label(i)}: {x} where the subgroups go from {min(values):.0f} to {max(values):.0f}%")
            )
    if outside:
        grouped = _GROUPS.search(f"{title} {part.columns[part.label_column or 0]}")
        less = " (100% less)" if opposite else ""
        said = f"{len(outside)} of {len(columns)} rows are outside the subgroups of line {part.line}{less}: "
        said += "; ".join(told for _, _, told in outside[:6])
        lines = tuple(whole.row_lines[i] for i, *_ in outside)
        place = in_cell(whole, outside[0][0], j)._replace(what=head)
        yield place.finds(
            "error" if grouped else "weak", "subgroups", said, *(x.percent for _, x, _ in outside), others=lines
        )


# ---- outcomes that exclude one another


class _Series(NamedTuple):
    """Counts of one outcome per condition: condition → (count, n, line)."""

    name: str
    counts: dict[str, tuple[int, int, int]]
    source: str


_OPPOSITES = tuple(
    (phrase(one), phrase(other))
    for one, other in (
        (r"\bcorrect", r"incorrect|\bwrong|\berrors?\b|mistake"),
        (r"\bpass", r"\bfail"),
        (r"\baccept", r"reject"),
        (r"\bwins?\b|\bwon\b", r"\bloss(?:es)?\b|\blost\b|\bties?\b"),
        (r"\bsurviv", r"\bdied|\bdeaths?\b|\bdead\b"),
        (r"\bmale|\bmen\b", r"\bfemale|\bwomen\b"),
        (r"\bagree", r"disagree"),
    )
)
#: these may be both by definition: an answer with a disclaimer, say
_LOOSE_OPPOSITES = (
    phrase(r"(?<!non-)(?<!non)\brefus|\bdeclin"),
    phrase(r"jailbreak|bypass|complian|complied|comply|non-?refus|answered"),
)


def _classes(log: LogText) -> Findings:
    series = [*_series_of_tables(log), *_series_of_sections(log)]
    sizes = {total // size for total, factors in designs(log) for size, _ in factors if size}
    for a, b in combinations(series, 2) if len(series) <= 60 else ():
        sure = any(_are_opposite(a.name, b.name, pair) for pair in _OPPOSITES)
        if a.source != b.source or not (sure or _are_opposite(a.name, b.name, _LOOSE_OPPOSITES)):
            continue
        over, shared = [], [key for key in a.counts if key in b.counts]
        for key in shared:
            (x, n, line), (y, m, _) = a.counts[key], b.counts[key]
            if n != m and not (n in sizes and abs(n - m) <= 1):
                continue
            if x + y > n:
                over.append((x + y, line, f"{key}: {x} + {y} = {x + y} > {n}"))
            else:
                yield LogFinding("holds", "classes", key, line, a.source)
        if over:
            unless = "" if sure else ", unless one response may be both"
            listed = "; ".join(told for *_, told in over[:6])
            said = f"'{short(a.name, 40)}' and '{short(b.name, 60)}' do not fit into n in {len(over)} of {len(shared)} conditions"
            numbers, lines = tuple(float(t) for t, *_ in over), tuple(line for _, line, _ in over)
            grade: Grade = "error" if sure else "weak"
            yield LogFinding(grade, "classes", f"{said}{unless}: {listed}", lines[0], a.source, numbers, lines)


def _are_opposite(a: str, b: str, pair: tuple[re.Pattern[str], re.Pattern[str]]) -> bool:
    one, other = pair
    return any(one.search(x) and other.search(y) and not other.search(x) for x, y in ((a, b), (b, a)))


def _series_of_tables(log: LogText) -> Iterator[_Series]:
    for table in (t for t in log.tables if len(t.rows) <= _MOST_ROWS):
        for j in (j for j in table.value_columns if not CHANGE.search(table.columns[j])):
            counts = {}
            for i, x in enumerate(table.column(j)):
                if x and (given := _as_count(log, table, i, j, x)):
                    counts[settings_key(table.label(i))] = (*given, table.row_lines[i])
            if len(counts) >= 2 or (counts and len(table.rows) == 1):
                yield _Series(table.columns[j], counts, table.source)


def _as_count(log: LogText, table: LogTable, i: int, j: int, x: Number) -> tuple[int, int] | None:
    if x.successes is not None and x.n and x.kind in ("count", "percent"):
        return x.successes, x.n
    if x.kind != "number" or x.step < 1 or x.value < 0 or j in table.n_columns:
        return None
    n = n_of_cell(log, table, i, j)
    return (int(x.value), n.value) if n and n.where in ("column", "caption", "header") else None


def _series_of_sections(log: LogText) -> Iterator[_Series]:
    """Lists such as "α = 0.3: 4 cases (33%)" under one heading."""
    for section in dict.fromkeys(s.section for s in log.statements):
        items = log.of_section(section)
        counts = {}
        for s in items:
            partial = [x for x in s.numbers if x.kind == "percent" and x.successes is not None]
            key = settings_key(s.text.split(":")[0])
            if len(partial) == 1 and key and (n := partial[0].n or _n_of_partial(partial[0])):
                counts[key] = (partial[0].successes or 0, n, s.line)
        if len(counts) >= 2:
            name = " ".join(s.text for s in items if s.is_heading or re.match(r"\W*total", s.text, re.IGNORECASE))
            yield _Series(name, counts, items[0].source)


def _n_of_partial(x: Number) -> int | None:
    """The n of "4 cases (33%)", where it is small enough to be told."""
    k = x.successes or 0
    options = [n for n in range(max(k, 1), 200) if abs(100 * k / n - x.value) <= x.step / 2 + 1e-9]
    return options[0] if options and options[-1] - options[0] <= 1 else None


# ---- one condition under two names

_TURNED = phrase(r"\b(?:inverted|negated|flipped|reversed|opposite|negative|minus)\b")
_MINUS = phrase(r"(?<!\w)-\s?(?:[α-ωa-z]\b|\d|strength|coef)")
_PLUS = phrase(r"\+\s?(?:[α-ωa-z]\b|\d|strength|coef)")
_PLAIN = phrase(r"\b(?:standard|original|normal|plain|extracted|regular|raw)\b")


def _two_names(log: LogText, table: LogTable) -> Findings:
    """ "Standard -α" beside "Inverted +α": -a·d is +a·(-d)."""
    signs = ["-" if _MINUS.search(h) else "+" if _PLUS.search(h) else "" for h in table.columns]
    for a, b in permutations(range(len(table.columns)), 2):
        first, second = table.columns[a], table.columns[b]
        if not _PLAIN.search(first) or not _TURNED.search(second) or {signs[a], signs[b]} != {"+", "-"}:
            continue
        apart = [abs(x.percent - y.percent) for x, y in zip(table.column(a), table.column(b), strict=True) if x and y]
        if apart:
            said = f"'{first}' and '{second}' are one condition under two names ({signs[a]}a·d = {signs[b]}a·(-d)); they differ by up to"
            said += f" {max(apart):g}, which is the noise of a repeat, not a finding"
            yield in_table(table).finds("weak", "two names", said, *apart, others=table.row_lines)


_OPPOSITE = phrase(
    r"\b(?P<a>[a-z]+)(?: direction| vector)?s? (?:is|are|was|being) (?:just |simply )?(?:the )?"
    r"(?:negative|negation|opposite|minus|inverse) of (?:the )?(?P<b>[a-z]+)",
    r"\b(?P<a2>[a-z]+)(?: direction| vector)? = -\s?(?P<b2>[a-z]+)",
)


def _named_twice(log: LogText) -> Findings:
    """ "Compliance is the negative of refusal", and rows that subtract one and add the other."""
    for s in log.statements:
        m = _OPPOSITE.search(s.text)
        a, b = ((m["a"] or m["a2"]).lower(), (m["b"] or m["b2"]).lower()) if m else ("", "")
        for table in log.tables_of(s.section) if m and a != b else ():
            rows = [(i, _sign(table.label(i)), table.label(i).lower()) for i in range(len(table.rows))]
            first = [
                (i, sign)
                for i, sign, label in rows
                if sign and b in label and f"= -{b}" not in label and a not in label
            ]
            second = [(i, sign) for i, sign, label in rows if sign and a in label]
            for (i, x), (k, y) in ((p, q) for p in first for q in second):
                if x[0] != y[0] and x[1] == y[1]:
                    said = f"'{table.label(i)}' and '{table.label(k)}' are one condition (line {s.line}: {a} is -{b}), with two results"
                    lines = (table.row_lines[i], table.row_lines[k])
                    yield in_table(table).finds("weak", "two names", said, others=lines)


def _sign(label: str) -> tuple[str, float] | None:
    """The sign and size of a coefficient in a label."""
    m = re.search(r"(?<![\w.])([-+])\s?(\d+(?:\.\d+)?)", label.replace("\u2212", "-"))
    return (m[1], float(m[2])) if m else None


_PRODUCT = re.compile(
    r"(?P<sign>[-+])\s?(?P<k>\d+(?:\.\d+)?)\s?[*·×]\s?\(?\s?(?P<turn>-)?\s?(?P<v>[A-Za-z]\w*)\)?"
    r"|\((?P<turn2>-)?(?P<v2>[a-z]\w*), (?P<sign2>-?)(?P<k2>\d+(?:\.\d+)?)\)"
)


def _products(log: LogText) -> Findings:
    """ "-1.0·d: 4/30" and "+1.0·(-d): 13/30", in the items or sentences of one paragraph."""
    for block in log.blocks():
        text = " ".join(s.text for s in block if not s.is_heading)
        found = [(m.start(), *_coefficient(m)) for m in _PRODUCT.finditer(text)] if len(block) <= 20 else []
        for (x, first, size, turned), (y, second, other, also) in combinations(found, 2):
            if (
                turned != also
                and (first, size) == (second, other)
                and abs(x - y) < 200
                and re.search(r"\d\s?/\s?\d|\d%", text[x:y])
            ):
                said = f"'{text[x : x + 12]}' and '{text[y : y + 12]}' are one condition under two names"
                yield in_sentence(block[0]).finds("weak", "two names", said)


def _products_of_rows(log: LogText, table: LogTable) -> Findings:
    """ "-1 · d" and "+1 · (-d)" as names of rows."""
    labels = [(i, plain(table.label(i))) for i in range(len(table.rows))] if len(table.rows) <= 60 else []
    found = [(i, *_coefficient(m)) for i, label in labels if (m := _PRODUCT.search(label))]
    for (i, first, size, turned), (k, second, other, also) in combinations(found, 2):
        if turned != also and (first, size) == (second, other):
            said = f"'{table.label(i)}' and '{table.label(k)}' are one condition under two names"
            yield in_row(table, i).finds("weak", "two names", said, others=(table.row_lines[k],))


def _coefficient(m: re.Match[str]) -> tuple[str, float, bool]:
    """The vector, its signed coefficient after the vector's own sign is taken in, and whether the vector was turned."""
    turned = bool(m["turn"] or m["turn2"])
    sign = -1 if (m["sign"] or m["sign2"]) == "-" else 1
    return m["v"] or m["v2"], sign * (-1 if turned else 1) * float(m["k"] or m["k2"]), turned


# ---- denominators

_FOR_ALL = phrase(
    r"(?:per|each|every|all|same) (?:condition|arm|cell|group|layer|model|dose|setting|row)s?|in each|(?:prompts|items|samples) each"
)
_WHY = phrase(r"exclud|missing|dropp|fail|invalid|unparse|attrition|withdr|left out|omit|discard|remov|skipp")


def _denominators(log: LogText, table: LogTable) -> Findings:
    """The counts of a column against the n that is stated for all, and against one another."""
    stated = [
        (s, int(x.value))
        for s in log.of_section(table.section)
        for x in s.numbers
        if x.kind == "n" and (_FOR_ALL.search(s.text) or _FOR_EACH_ARM.search(s.text))
    ]
    for j in table.value_columns:
        counts = [(i, x) for i, x in enumerate(table.column(j)) if x and x.n and x.n_from == "cell"]
        if len(counts) < 2 or is_total(table.label(counts[-1][0])):
            continue
        ns = [x.n for _, x in counts]
        if len({n for _, n in stated}) == 1:
            statement, n = stated[0]
            off = [(i, x) for i, x in counts if x.n != n]
            if off and len(off) < len(counts):
                said = f"n = {n} is stated for all (line {statement.line}), and {len(off)} of {len(counts)} counts have another: "
                said += "; ".join(f"{table.label(i)}: {x}" for i, x in off[:5])
                yield in_cell(table, off[0][0], j)._replace(what="").finds("weak", "denominator", said)
                continue
        common = max(set(ns), key=ns.count)
        off = [(i, x) for i, x in counts if x.n != common]
        if len(counts) >= 4 and len(off) == 1 and not _WHY.search(f"{table.context} {table.title}"):
            i, x = off[0]
            said = f"{table.label(i)} has {x} where all others have n = {common}; nothing says why"
            yield in_cell(table, i, j)._replace(what=table.columns[j]).finds("weak", "denominator", said)
        elif not off:
            yield in_table(table).holds("denominator")


def _denominators_of_sentence(log: LogText, s: Statement) -> Findings:
    counts = [x for x in s.numbers if x.kind == "count"]
    own = {int(x.value) for x in s.numbers if x.kind == "n" and not x.unit} if re.search(r"per|each", s.text) else set()
    near = log.of_section(s.section) if len(counts) > 2 and not own else ()
    stated = own or {int(x.value) for t in near for x in t.numbers if x.kind == "n" and _FOR_ALL.search(t.text)}
    other = [x for x in counts if x.n not in stated]
    if len(counts) >= 2 and len(stated) == 1 and other and (own or len(other) < len(counts)):
        said = f"n = {min(stated)} is stated, and {other[0]} has another"
        yield in_sentence(s).finds("weak", "denominator", said)


_MOST_OTHERS = 0.5  # of the counts: where more have another n, it is that of something else


def _denominators_of_text(log: LogText) -> Findings:
    """ "N = 40 per arm", and counts of 40 and of 36 in the paragraph."""
    for block in log.blocks():
        if len(block) > 12 or any(_WHY.search(s.text) for s in block):
            continue
        said = [(s, int(x.value)) for s in block for x in s.numbers if x.kind == "n" and _FOR_EACH_ARM.search(s.text)]
        counts = [(s, x) for s in block for x in s.numbers if x.kind == "count" and x.n and x.n_from == "cell"]
        if len({n for _, n in said}) != 1 or len(counts) < 2:
            continue
        n = said[0][1]
        off = [(s, x) for s, x in counts if x.n != n]
        if off and len(off) <= _MOST_OTHERS * len(counts):
            s, x = off[0]
            told = f"n = {n} is stated for all (line {said[0][0].line}), and {x} has another"
            yield in_sentence(s).finds("weak", "denominator", told, others=(said[0][0].line,))
        elif not off:
            yield in_sentence(counts[0][0]).holds("denominator")


_FOR_EACH_ARM = phrase(FOR_EACH.pattern, r"\bthe same \d+\b")


FAMILY = Family(
    of_sentences=(_denominators_of_sentence, _subgroups_of_sentence),
    of_tables=(_two_names, _products_of_rows, _denominators),
    of_logs=(_subgroups, _classes, _named_twice, _products, _denominators_of_text),
)
