"""Do words about order fit the numbers beside them? Peaks, steady trends, ranks, correlations."""

import re
from collections.abc import Iterator
from itertools import pairwise
from operator import itemgetter

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rounding import Grade
from workbench.claims.rules.finding import Family, LogFinding, in_sentence
from workbench.claims.rules.row_names import CHANGE, bare, phrase, roles, setting, stems
from workbench.claims.rules.table_mentions import body, clause, columns_told, row_named, tables_near

Findings = Iterator[LogFinding]

# ---- peaks

_PEAK = phrase(
    r"\b(?P<what>peak(?:s|ed|ing)?|maximum|maximal|highest|largest|greatest|lowest|minimum|minimal|smallest|strongest|weakest|most|least|best|worst)\b"
    r"(?P<gap>[^.;:]{0,50}?)(?:\bat\b|\bis\b|\bwas\b|\bby\b|\bfor\b|\bin\b|[:=(])\s?(?:(?:seen|found|reached|observed|obtained)\s(?:at|for|in)\s)?(?P<place>[^.;,()]{1,40}(?:\.\d+)?)"
)
_NO_PEAK = phrase(
    r"\b(?:at|to) (?:most|least|best)\b|possible|almost|most of|best practice|best[- ]of|so far|mostly|second|validation loss"
)
_PLACE = phrase(
    r"^\s*(?:the\s)?(?:[A-Za-zα-ω_]+\s?[=: ]?\s?)?(?P<v>-?\d+(?:\.\d+)?)"
    r"(?P<more>\s?(?:-|–|to|and|or|,)\s?[A-Za-zα-ω]*\s?=?\s?\d)?(?!\s?%|\.?\d)"
)
_LOWEST = ("low", "min", "small", "least", "weak")
_VAGUE = ("best", "worst", "most", "least")


def peak(log: LogText, s: Statement) -> Findings:
    """ "The rate peaks at layer 12", against the column."""
    m = _PEAK.search(s.text)
    if not m or _NO_PEAK.search(s.text):
        return
    word, place = m["what"].lower(), s.text[m.start("place") :]
    about = clause(s.text, m.start(), m.start("place"))
    for table in tables_near(log, s):
        row, columns = _place_of(table, place), columns_told(about, table)
        if row is None or len(columns) != 1:
            continue
        j = columns[0]
        exact = bool(stems(table.columns[j]) & stems(about))
        column, mine = body(table, j), table.numbers[row][j]
        loose = word in ("best", "worst") and len(table.value_columns) > 1 and not exact
        if not loose and mine and len(column) >= 3 and any(i == row for i, _ in column):
            sure = exact and table.section == s.section and word not in _VAGUE
            yield _against_peak(s, table, j, mine, column, word, sure)
            return


def _place_of(table: LogTable, place: str) -> int | None:
    """The row that a place names: by its setting, or by its words."""
    if table.label_column is None or len(table.rows) < 3:
        return None
    value = _PLACE.search(place)
    labels = [table.label(i) for i in range(len(table.rows))]
    if value:
        rows = [] if value["more"] else [i for i, label in enumerate(labels) if setting(label) == float(value["v"])]
    else:
        begins = re.sub(r"^\s*(?:the|our)\s", "", place, flags=re.IGNORECASE).lower()
        rows = [i for i, label in enumerate(labels) if stems(label) and begins.startswith(bare(label).lower()[:30])]
    return rows[0] if len(rows) == 1 else None


def _against_peak(
    s: Statement, table: LogTable, j: int, mine: Number, column: list[tuple[int, Number]], word: str, sure: bool
) -> LogFinding:
    values = [x.percent for _, x in column]
    slack = mine.step / 2
    at_top, at_bottom = mine.percent >= max(values) - slack, mine.percent <= min(values) + slack
    lowest = word.startswith(_LOWEST)
    fine = at_bottom if lowest else (at_top or (word in ("best", "worst") and at_bottom))
    row, best = (min if lowest else max)(column, key=lambda c: c[1].percent)
    grade: Grade = "holds" if fine else "error" if sure else "weak"
    said = f"{table.columns[j]} is {mine} there, and {best} at {table.label(row)} (line {table.row_lines[row]})"
    return in_sentence(s).finds(grade, "peak", said, mine.percent, best.percent)


_LARGEST = phrase(
    r"\b(?:largest|biggest|greatest|highest|maximum|smallest|lowest)\s(?:\w+\s)?(?P<head>gain|change|increase|improvement|drop|difference|delta|effect|lift|decrease|reduction)\b"
    r"\s?(?:\([^)]*\)\s?)?(?:of [^,;]{1,20}?)?(?:is|was|occurs|comes|appears)?\s?(?:seen |found )?"
    r"(?:at|in|for|on) (?P<place>[^.;,()]{1,40}(?:\.\d+)?)"
)


def _largest_change(log: LogText, s: Statement) -> Findings:
    """ "The largest gain (+18 points) is at layer 16", against the one column of changes."""
    m = _LARGEST.search(s.text)
    for table in tables_near(log, s) if m else ():
        columns = [j for j in table.value_columns if CHANGE.search(table.columns[j])]
        row = _place_of(table, m["place"]) if m and len(columns) == 1 else None
        column = body(table, columns[0]) if row is not None else []
        if not m or row is None or len(column) < 3 or not (mine := table.numbers[row][columns[0]]):
            continue
        least = bool(re.search("smallest|lowest", m[0], re.IGNORECASE))
        at, best = (min if least else max)(column, key=lambda c: abs(c[1].value))
        fine = abs(abs(best.value) - abs(mine.value)) <= mine.step / 2 + 1e-9
        said = (
            f"{table.columns[columns[0]]} is {mine} there, and {best} at {table.label(at)} (line {table.row_lines[at]})"
        )
        yield in_sentence(s).finds("holds" if fine else "weak", "peak", said, mine.value, best.value)
        return


# ---- trends

STEADY = phrase(
    r"monoton|steadily|consistently (?:in|de)creas|dose[- ]dependent(?:ly)?|strictly (?:in|de)creas",
    r"(?:increas|decreas|ris|fall|grow|drop|improv|declin)\w*\s(?:strictly|with every|with each|at every|at each|for every)",
)
_LOOSE = phrase(
    r"\b(?:(?:in|de)creases?|rises?|falls?|grows?|drops?|declines?|improves?|degrades?)\b[^.;]{0,30}?\b(?:with|as)\b"
)
NOT_STEADY = phrase(
    r"\bshould\b|expect|\bnot\b|\bnon-?monoton|\bno\b|except|but not|almost|nearly|roughly|up to|until|then"
)
FALLS = phrase(r"decreas|fall|drop|declin|degrad|reduc|shrink|lower|down")
_EVERY_STEP = phrase(r"monoton|strictly|every|each")


def monotone(log: LogText, s: Statement) -> Findings:
    """ "Refusal rises steadily with the dose", against the column."""
    m = STEADY.search(s.text) or _LOOSE.search(s.text)
    if not m or NOT_STEADY.search(s.text):
        return
    for table in tables_near(log, s):
        if len(table.rows) >= 3 and table.label_column is not None and (found := _series(s, table)):
            name, series = found
            if len(series) >= 3:
                yield along(s, name, series, down=bool(FALLS.search(s.text)), steady=bool(STEADY.search(s.text)))
            return


def _series(s: Statement, table: LogTable) -> tuple[str, list[Number]] | None:
    """The numbers that a sentence speaks of, in the order of their settings: a column, or a row under settings."""
    words = stems(s.text)
    settings = [setting(table.label(i)) for i in range(len(table.rows))]
    given = [v for v in settings if v is not None]
    if len(given) == len(settings):
        columns = columns_told(s.text, table)
        head = table.columns[columns[0]] if len(columns) == 1 else ""
        if not head or not (stems(head) & words or head.lower() in s.text.lower()):
            return None
        column = table.column(columns[0])
        return head, [x for i in sorted(range(len(given)), key=lambda i: given[i]) if (x := column[i])]
    heads = [(v, j) for j in table.value_columns if (v := setting(table.columns[j])) is not None]
    told = words | {f"{v:g}" for _, v in s.settings}
    rows = [i for i in range(len(table.rows)) if stems(table.label(i)) and stems(table.label(i)) <= told]
    if len(heads) < 3 or len(rows) != 1:
        return None
    return table.label(rows[0]), [x for _, j in sorted(heads) if (x := table.numbers[rows[0]][j])]


def along(s: Statement, name: str, series: list[Number], down: bool, steady: bool) -> LogFinding:
    """Whether numbers go one way: at every step where that is ``steady``, else from the first to the last."""
    sign, place = -1 if down else 1, in_sentence(s)
    steps = [
        (a, b)
        for a, b in pairwise(series)
        if sign * (b.percent - a.percent) < -(a.step + b.step) / 2 + 1e-9 * (a.step + b.step > 0) - 1e-12
    ]
    if steady and steps:
        listed = ", ".join(f"{a} to {b}" for a, b in steps[:3])
        grade: Grade = "error" if _EVERY_STEP.search(s.text) else "weak"
        return place.finds(grade, "monotone", f"{name} does not {'fall' if down else 'rise'} all the way: {listed}")
    overall = sign * (series[-1].percent - series[0].percent)
    wrong = not steady and overall <= 0 and bool(steps)
    return place.finds("weak" if wrong else "holds", "monotone", f"{name} goes from {series[0]} to {series[-1]}")


# ---- ranks

_BETTER = phrase(
    r"\b(?:outperforms?|beats?|exceeds?|surpass(?:es)?|higher than|better than|superior to"
    r"|(?:is|are|performs?|does|did|was|were|works?)\s(?:\w+\s)?(?:better|higher|stronger|more accurate)\sthan)\b"
)
_LOWER_BETTER = phrase(
    r"loss|error|latenc|perplex|time|cost|memory|false pos|\bfp\b|rank|distance|ms\b|seconds|wer\b|toxic|harm|violation|bias|params|size"
)
HIGHER_ALL_THE_SAME = phrase(r"refus|detect|reject")
_NO_RESULT = phrase(r"^n$|total|count|params|size")


def _rank(log: LogText, s: Statement) -> Findings:
    m = _BETTER.search(s.text)
    if not m or re.search(r"\bnot\b|\bno\b|n't|neither", s.text[max(0, m.start() - 12) : m.end()], re.IGNORECASE):
        return
    higher = bool(re.search(r"higher|exceed", m[0], re.IGNORECASE))
    for table in tables_near(log, s):
        first, second = row_named(table, s.text[: m.start()]), row_named(table, s.text[m.end() :])
        if first is None or second is None or first == second:
            continue
        named = stems(s.text) & {w for j in table.value_columns for w in stems(table.columns[j])}
        columns = columns_told(s.text, table) if named else list(table.value_columns)
        compared = [
            ((-1 if _lower_better(table.columns[j]) and not higher else 1) * (x.percent - y.percent), x, y, j)
            for j in columns
            if (x := table.numbers[first][j])
            and (y := table.numbers[second][j])
            and not _NO_RESULT.search(table.columns[j])
        ]
        if compared:
            _, x, y, j = compared[0]
            sure = len(columns) == 1 and table.section == s.section and not _lower_better(table.columns[j])
            wrong: Grade = "error" if sure else "weak"
            said = f"{table.columns[j]} is {x} for {bare(table.label(first))} and {y} for {bare(table.label(second))}"
            grade = wrong if all(d < 0 for d, *_ in compared) else "holds"
            yield in_sentence(s).finds(grade, "rank", said, x.percent, y.percent)
        return


_ALL_OTHERS = phrase(
    r"^\s*(?:all|every|each|any)\s(?:of\s)?(?:the\s)?(?:other|others|else|baselines?|competing|remaining|previous)\b",
    r"^\s*the (?:others|rest)\b",
)


def _above_all(log: LogText, s: Statement) -> Findings:
    """ "Ours outperforms all other methods", against the only column that it may be about."""
    m = _BETTER.search(s.text)
    if not m or not _ALL_OTHERS.search(s.text[m.end() :]) or NOT_STEADY.search(s.text):
        return
    for table in tables_near(log, s):
        first = row_named(table, s.text[: m.start()])
        columns = [
            j for j in columns_told(s.text, table) or table.value_columns if not _NO_RESULT.search(table.columns[j])
        ]
        if first is None or len(columns) != 1 or not (mine := table.numbers[first][columns[0]]):
            continue
        head = table.columns[columns[0]]
        sign = -1 if _lower_better(head) else 1
        better = [(i, x) for i, x in body(table, columns[0]) if sign * (x.percent - mine.percent) > 1e-9]
        listed = ", ".join(f"{x} for {bare(table.label(i))}" for i, x in better[:3])
        said = f"{head} is {mine} for {bare(table.label(first))}, and {listed}"
        lines = tuple(table.row_lines[i] for i, _ in better)
        yield in_sentence(s).finds("weak" if better else "holds", "rank", said, mine.percent, others=lines)
        return


#: "at every layer", "on all prompt sets"
_AT_EVERY = phrase(
    r"\b(?:at|in|for|on|under|across|with) (?:every|each|all)(?: \w+)? [a-z]+|\bevery \w+\b|\bthroughout\b|\balways\b"
)
_NO_EVERY = phrase(
    r"\bnot\b|n't\b|\bexcept|\bbut\b|almost|nearly|\bmost\b|should|expect",
    r"\bif\b|hypothes|whether|significan|\?$|average|mean\b",
)


def _every_row(log: LogText, s: Statement) -> Findings:
    """ "The learned direction beats the random one at every layer": two columns, row by row."""
    m = _BETTER.search(s.text)
    if not m or not _AT_EVERY.search(s.text) or _NO_EVERY.search(s.text):
        return
    for table in tables_near(log, s):
        heads = {j: stems(table.columns[j]) for j in table.value_columns if not _NO_RESULT.search(table.columns[j])}
        shared = set.intersection(*map(set, heads.values())) if heads else set()
        parts = (stems(s.text[: m.start()]), stems(s.text[m.end() :]))
        named = [[j for j, head in heads.items() if head - shared and head - shared <= part] for part in parts]
        if [len(columns) for columns in named] != [1, 1] or named[0] == named[1] or len(table.rows) < 3:
            continue
        (a,), (b,) = named
        pairs = [(i, x, y) for i, (x, y) in enumerate(zip(table.column(a), table.column(b), strict=True)) if x and y]
        lower = _lower_better(table.columns[a]) and not re.search(r"higher|exceed|above", m[0], re.IGNORECASE)
        if lower or len({x.kind for _, x, y in pairs for x in (x, y)} - {"count", "percent"}) > 1:
            continue
        off = [(i, x, y) for i, x, y in pairs if x.percent < y.percent - 1e-9]
        if len(pairs) >= 3 and 2 * len(off) < len(pairs):
            listed = ", ".join(f"{x} against {y} ({bare(table.label(i))})" for i, x, y in off[:3])
            lines = tuple(table.row_lines[i] for i, _, _ in off)
            yield in_sentence(s).finds("weak" if off else "holds", "rank", f"not where it is {listed}", others=lines)
        return


def _lower_better(head: str) -> bool:
    return bool(_LOWER_BETTER.search(head)) and not HIGHER_ALL_THE_SAME.search(head)


# ---- correlations

_NO_R = phrase(
    r"\bno (?:significant |clear |apparent )?(?:correlation|relationship|association|dependence|trend)|uncorrelated|independent of",
    r"not correlated|unrelated to",
)
_YES_R = phrase(
    r"\b(?:strong(?:ly)?|clear(?:ly)?|highly|near-perfect|perfect(?:ly)?)\s(?:positive(?:ly)?\s|negative(?:ly)?\s)?correlat"
)
_STRONG_R = phrase(r"\b(?:strong(?:ly)?|highly|tight(?:ly)?)\b")
_RELATION = phrase(r"correlat|relationship|associat")
_NEGATED = phrase(r"\bnot\b|\bno\b|less|n't")


def _said_r(log: LogText, s: Statement) -> Findings:
    """A correlation that is called strong, weak or none, beside its r."""
    rs = [x for x in s.numbers if x.kind == "r"]
    strong = bool(_STRONG_R.search(s.text)) and not _NEGATED.search(s.text)
    none = bool(_NO_R.search(s.text))
    if len(rs) == 1 and _RELATION.search(s.text) and (strong or none):
        size = abs(rs[0].value)
        tested = any(x.kind == "p" and x.value > 0.05 for x in s.numbers)
        wrong = (strong and size < 0.3) or (none and size > 0.5 and not tested)
        yield in_sentence(s).finds("weak" if wrong else "holds", "correlation in words", f"{rs[0]}", rs[0].value)


def correlation(log: LogText, s: Statement) -> Findings:
    """A correlation that words deny or claim, against the column."""
    if _NO_R.search(s.text) or _YES_R.search(s.text):
        for table in tables_near(log, s):
            if len(table.rows) >= 4 and (columns := _pairs(s, table)):
                yield from _judge_correlation(s, *columns)
                return


def _titles(log: LogText) -> Findings:
    """Titles of tables that deny or claim a correlation, and are no sentence."""
    texts = {s.text for s in log.statements}
    for t in (t for t in log.tables if t.title not in texts and len(t.rows) >= 4):
        s = Statement(t.title, t.line, t.heading, 0, t.section, t.source)
        if (_NO_R.search(s.text) or _YES_R.search(s.text)) and (columns := _pairs(s, t)):
            yield from _judge_correlation(s, *columns)


def _pairs(s: Statement, table: LogTable) -> tuple[str, list[tuple[float, float]]] | None:
    """The settings of the rows, or the first of two columns that are named, against the column that is."""
    role = roles(table)
    x: list[float | None] = [setting(table.label(i)) for i in range(len(table.rows))]
    columns = [j for j in columns_told(s.text, table) if j not in role.values() or j == role.get("mean")]
    if table.label_column is None or None in x:
        named = [j for j in table.value_columns if stems(table.columns[j]) & stems(s.text)]
        if len(named) != 2:
            return None
        x, columns = [c.value if c else None for c in table.column(named[0])], [named[1]]
    if not table.value_columns:
        return None
    j = (columns or table.value_columns)[0]
    pairs = [(a, b.percent) for a, b in zip(x, table.column(j), strict=True) if a is not None and b]
    varied = len(pairs) >= 4 and all(len(set(map(itemgetter(k), pairs))) > 1 for k in (0, 1))
    return (table.columns[j], pairs) if varied else None


def _judge_correlation(s: Statement, head: str, pairs: list[tuple[float, float]]) -> Findings:
    from scipy import stats

    r, p = (float(v) for v in stats.pearsonr(*zip(*pairs, strict=True)))
    said, place = f"{head} has r = {r:+.2f} (p = {p:.2g}) over {len(pairs)} rows", in_sentence(s)
    denied = bool(_NO_R.search(s.text))
    wrong = p < 0.05 if denied else p > 0.05 or abs(r) < 0.5
    yield place.finds("weak" if wrong else "holds", "correlation in words", said, r, p)
    if denied and p >= 0.05 and len(pairs) < 8:
        yield place.finds(
            "note", "correlation in words", f"{said}: {len(pairs)} rows cannot show that there is none", r, p
        )


FAMILY = Family(
    of_sentences=(peak, monotone, _rank, _above_all, _every_row, _largest_change, _said_r, correlation),
    of_logs=(_titles,),
)
