"""Do words about extent fit the numbers beside them? All, none, never, identical, deterministic, within a range."""

import re
from collections.abc import Iterator

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rules.finding import Family, LogFinding, in_sentence, short
from workbench.claims.rules.row_names import bare, phrase, roles, setting, stems
from workbench.claims.rules.table_mentions import body, clause, columns_told, tables_near
from workbench.claims.rules.units import counted_columns

Findings = Iterator[LogFinding]

# ---- all, most, half, none, never

_QUANTIFIER = phrase(
    r"\b(?P<all>all|every|always)\b|\b(?P<none>no|none|never|not one)\b|\b(?P<most>most|(?:the|a) majority|mostly)\b|\b(?P<half>half)\b"
)
_NO_QUANTIFIER = phrase(
    r"\b(?:nearly|almost|not|but|except|over|more than|less than|about|at) (?:all|every|half|most)\b|\bout of\b",
    r"\bno (?:difference|significant|evidence|steering|more|longer|change|system|control)|\bhalf of the\b.*\bother\b",
)
_OTHER_CLAUSE = re.compile(r"[;.,:]|\bbut\b|\bexcept\b|\bof (?:these|which)\b|\bwith\b")


def quantified(log: LogText, s: Statement) -> Findings:
    """ "All prompts were refused (38/40)": what a quantifier says of the one count of its sentence."""
    counts = [x for x in s.numbers if x.kind == "count" and x.n and x.text[:1].isdigit()]
    m = _QUANTIFIER.search(s.text)
    if len(counts) != 1 or not m or _NO_QUANTIFIER.search(s.text):
        return
    x = counts[0]
    more = s.text[x.end : x.end + 30].strip().startswith("more")
    if more or not 0 < x.start - m.end() < 45 or _OTHER_CLAUSE.search(s.text[m.end() : x.start]):
        return
    share = x.percent / 100
    wrong = (
        (m["all"] and share < 1)
        or (m["none"] and share > 0)
        or (m["most"] and share <= 0.5)
        or (m["half"] and abs(share - 0.5) > 0.1)
    )
    yield in_sentence(s).finds("weak" if wrong else "holds", "all or never", f"{x} is {100 * share:.0f}%", share)


def never(log: LogText, s: Statement) -> Findings:
    """ "It never succeeds" against a column of that name in its section."""
    m = re.search(r"\bnever\s(?P<verb>[a-z]+)", s.text, re.IGNORECASE)
    if not m or s.numbers:
        return
    verb = m["verb"].lower()[:5]
    for table in tables_near(log, s):
        for j in table.value_columns:
            named = any(w[:5] == verb for w in _words(table.columns[j]))
            off = [
                (i, x) for i, x in enumerate(table.column(j)) if x and x.kind in ("percent", "count") and x.percent > 0
            ]
            if named and off:
                i, x = off[0]
                said = f"{table.columns[j]} is {x} for {table.label(i)}"
                yield in_sentence(s).finds("weak", "all or never", said, x.percent)
                return


_EVERYWHERE = phrase(
    r"\b(?P<verb>[a-z]{4,}(?:ed|es|s)|right|correct)\s(?:\w+\s)?(?:in|at|under|for|with|across)\s(?:every|each|all)\s(?:\w+\s)?"
    r"(?:arm|condition|cell|run|layer|seed|dose|strength|setting|row|group|case|case|topic|category)(?:s|ies)?\b",
    r"\balways (?P<verb2>[a-z]{4,}(?:ed|es|s))\b",
)
_NOT_EVERY_UNIT = phrase(
    r"\b(?:some|few|many|most|any|more|less|least|often|usually|sometimes|only|rate|almost|nearly|about|once|one|partly|not|than|if)\b"
    r"|\b(?:refusals?|failures|errors|successes)\b|n't|except|differ|signific|should|expect|\bbut\b|test|measur|report|\?$",
)


def everywhere(log: LogText, s: Statement) -> Findings:
    """ "All prompts were refused in every arm", "it always refuses", against the column of that name in its section."""
    m = _EVERYWHERE.search(s.text)
    if not m or s.numbers or s.is_heading or _NOT_EVERY_UNIT.search(s.text):
        return
    verb = (m["verb"] or m["verb2"]).lower()[:5]
    for table in tables_near(log, s):
        named = [j for j in table.value_columns if any(w[:5] == verb for w in _words(table.columns[j]))]
        rows = body(table, named[0]) if len(named) == 1 else []
        cells = [(i, x, percent) for i, x in rows if (percent := _percent(table, i, x)) is not None]
        if len(cells) > 1:
            off = [(i, x, percent) for i, x, percent in cells if percent < 100 - x.step / 2 - 1e-9]
            listed = ", ".join(f"{x} ({bare(table.label(i))})" for i, x, _ in off[:3])
            said = f"{table.columns[named[0]]} is {listed}"
            lines = tuple(table.row_lines[i] for i, *_ in off)
            values = [percent for *_, percent in off]
            yield in_sentence(s).finds("weak" if off else "holds", "all or never", said, *values, others=lines)
            return


def _percent(table: LogTable, i: int, x: Number) -> float | None:
    """A rate of a row in percent: one that is printed, or a count with its n in a column of its own."""
    if x.kind in ("percent", "count"):
        return x.percent
    return next((100 * c.rate for c in counted_columns(table, i) if c.number is x), None)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


_ALL = phrase(
    r"\ball\b|\bevery\b|\balways\b|\bnever\b|\bnone\b|immune|\bany\b|across the board|everywhere|without exception",
    r"in no (?:case|condition)",
)
_NO_SUBJECT = phrase(r"\b(?:all|every) (?:the )?(?:code|files|tests|docs|data|rights)\b")
_FOREIGN = phrase(r"accura|coheren|false|benign|score|loss|error|latency|f1|precision|recall|%|change|delta|multi")


def all_or_never(log: LogText, s: Statement) -> Findings:
    """ "X: 0% in all conditions" against the rows of X in every table."""
    if s.is_heading and len(s.text) < 12:
        return
    yield from _against_rows(s, [t for t in log.tables if t.source == s.source and len(t.rows) <= 300])


def _cells_that_say_all(log: LogText) -> Findings:
    """Cells such as "0% (immune)", against the rows of the same name in other tables."""
    said = re.compile(r"(?=.*(?:immune|never|always|none))(?=.*\b(?:0|100)\s?%)", re.IGNORECASE | re.DOTALL)
    for table in (t for t in log.tables if len(t.rows) <= 300):
        others = [t for t in log.tables if t is not table and t.source == table.source and len(t.rows) <= 300]
        for i, row in enumerate(table.rows):
            for cell in (c for c in row[1:] if said.match(c)):
                text = f"{table.label(i)}: {cell} all conditions"
                yield from _against_rows(
                    Statement(text, table.row_lines[i], table.heading, 0, table.section, table.source), others
                )


def _against_rows(s: Statement, tables: list[LogTable]) -> Findings:
    extremes = [x for x in s.numbers if x.kind == "percent" and x.value in (0.0, 100.0) and x.successes is None]
    extremes = [x for x in extremes if not x.signed and not x.bound]
    if len(extremes) != 1 or not _ALL.search(s.text) or _NO_SUBJECT.search(s.text):
        return
    goal, subject = extremes[0].value, s.text[: extremes[0].start] or s.text
    names = [w.lower() for w in re.findall(r"[A-Za-z][\w.\-]+", subject) if len(w) > 3]
    for table in (t for t in tables if t.label_column is not None):
        for i in range(len(table.rows)):
            label = bare(table.label(i))
            if not any(label.lower().startswith(w) for w in names):
                continue
            off = [
                x for j in table.value_columns if (x := table.numbers[i][j]) and _misses(x, goal, table.columns[j], s)
            ]
            if off:
                listed = ", ".join(map(str, off[:4]))
                said = f"line {table.row_lines[i]} has {listed} for {label}"
                percents, lines = (x.percent for x in off), (table.row_lines[i],)
                yield in_sentence(s).finds("weak", "all or never", said, *percents, others=lines)


def _misses(x: Number, goal: float, head: str, s: Statement) -> bool:
    foreign = bool(_FOREIGN.search(head)) and not stems(head) & stems(s.text)
    rate = x.kind in ("percent", "count") and not x.signed
    return rate and not foreign and abs(x.percent - goal) > x.step / 2


def _over_rows(log: LogText, s: Statement) -> Findings:
    """ "100% at all layers", "identical across seeds", against the rows of a table whose rows are layers, or seeds."""
    extremes = [x for x in s.numbers if x.kind == "percent" and x.value in (0.0, 100.0) and x.successes is None]
    about = clause(s.text, extremes[0].start, extremes[0].end) if extremes else s.text
    every = len(extremes) == 1 and _ALL.search(about)
    alike = (
        not s.numbers and (_UNCHANGED.search(s.text) or _DETERMINISTIC.search(s.text)) and not _DENIED.search(s.text)
    )
    for table in tables_near(log, s) if every or alike else ():
        head = "" if table.label_column is None else table.columns[table.label_column]
        told = stems(head) & stems(s.text) or (alike and _RUN.search(head))
        columns = [j for j in columns_told(about, table) or table.value_columns if j not in table.n_columns]
        cells = body(table, columns[0]) if told and len(columns) == 1 else []
        rates = [(i, x) for i, x in cells if x.kind in ("percent", "count")]
        if every and rates:
            goal = extremes[0].value
            off = [(i, x) for i, x in rates if abs(x.percent - goal) > x.step / 2]
            listed = "; ".join(f"{table.label(i)}: {x}" for i, x in off[:4])
            yield in_sentence(s).finds("weak" if off else "holds", "all or never", listed, *(x.percent for _, x in off))
        elif alike and len(cells) > 1:
            differ = len({x.percent for _, x in cells}) > 1
            listed = ", ".join(str(x) for _, x in cells[:4])
            yield in_sentence(s).finds(
                "weak" if differ else "holds", "same", f"{table.columns[columns[0]]} is {listed}"
            )
        if cells:
            return


_RUN = phrase(r"^(?:run|seed|repeat|repetition|trial|replicate)s?$")
_DENIED = phrase(r"\bnot?\b|n't|non-?determin|except|almost|nearly|should|\bif\b|setup|prompts?\b|hyperparam")

_NEVER_FROM = phrase(
    r"\bnever (?P<verb>[a-z]+)\b[^.;,\d]{0,30}?\b(?:once|when|if|for|from|at|above)\b\s"
    r"(?P<name>[\w α-ω]{0,12}?)\s?(?P<op>≥|>|>=|=|is at least|is above)\s?(?P<v>\d+(?:\.\d+)?)"
)


def _never_from(log: LogText, s: Statement) -> Findings:
    """ "The model never complies once α ≥ 2", against the rows from there on."""
    m = _NEVER_FROM.search(s.text)
    for table in tables_near(log, s) if m and not _NOT_THROUGHOUT.search(s.text.replace(" if ", " ")) else ():
        head = "" if table.label_column is None else table.columns[table.label_column].strip().lower()
        columns = [j for j in table.value_columns if m and m["verb"][:5].lower()[:4] in table.columns[j].lower()]
        if not m or not head or head != m["name"].strip().lower() or len(columns) != 1:
            continue
        strict, start = m["op"] in (">", "is above"), float(m["v"])
        rows = [(i, v) for i in range(len(table.rows)) if (v := setting(table.label(i))) is not None]
        beyond = [i for i, v in rows if (v > start if strict else v == start if m["op"] == "=" else v >= start)]
        cells = [
            (i, x) for i in beyond if (x := table.numbers[i][columns[0]]) and x.kind in ("number", "count", "percent")
        ]
        off = [(i, x) for i, x in cells if x.value > 0]
        listed = ", ".join(f"{x} at {table.label(i)}" for i, x in off[:3])
        if cells:
            lines = tuple(table.row_lines[i] for i, _ in off)
            said = f"{table.columns[columns[0]]} is {listed}"
            yield in_sentence(s).finds("weak" if off else "holds", "all or never", said, others=lines)
        return


# ---- the same

_UNCHANGED = phrase(
    r"\bunchanged|\bidentical|\bconstant\b|(?:is|are|was|were|remain(?:s|ed)?|stay(?:s|ed)?) the same\b|\bno change",
    r"\bdid not change|\bstayed the same|\bequal\b",
)
_OTHER_THINGS = phrase(
    r"\bnot (?:identical|equal|the same|constant)|except|almost|nearly|but|while|otherwise|prompt|setup|hyperparam|seed",
    r"same (?:\w+ )?(?:model|data|order|set|prompts|items)",
)
_DETERMINISTIC = phrase(
    r"\b(?:fully |completely |perfectly )?deterministic\b|bit(?:wise|-for-bit) identical|same output every (?:time|run)",
    r"identical (?:outputs|results|responses) (?:across|in|over) (?:all )?(?:runs|repeats)",
)
_RUN_SAID = phrase(r"\b(?:runs?|seeds?|repeats?|repetitions?|trials?)\b")
_REPEATS = re.compile(r"\b(?:[2-9]|\d\d) (?:runs|repeats|repetitions|seeds|replicates|trials)\b")


def unchanged(log: LogText, s: Statement) -> Findings:
    """ "Accuracy is unchanged: 81% and 79%"."""
    said = _UNCHANGED.search(s.text)
    if not said or _OTHER_THINGS.search(s.text):
        return
    place = in_sentence(s)
    ranges = [x for x in s.numbers if x.kind == "range" and x.unit in ("%", "pp") and x.low != x.high]
    rates = [x for x in s.numbers if x.kind in ("percent", "count")]
    if len(ranges) == 1 and not rates:
        yield place.finds("weak", "same", f"{ranges[0]} is no single value")
    elif len(rates) == 2 and re.search(r",|;|\band\b", s.text[rates[1].end : said.start()]):
        return  # "lowers refusal from 93% to 17% and leaves MMLU unchanged"
    elif len(rates) == 2 and re.search(r"→|->|\bto\b|\bvs\b|\band\b", s.text[rates[0].end : rates[1].start]):
        apart = abs(rates[0].percent - rates[1].percent) > (rates[0].step + rates[1].step) / 2 + 1e-9
        yield place.finds("weak" if apart else "holds", "same", f"{rates[0]} and {rates[1]} are not the same")


def identical_runs(log: LogText, s: Statement) -> Findings:
    """ "Runs are identical: 0.81, 0.83"."""
    said = re.search(r"\bidentical(?:ly)?\b|\bdeterministic\b", s.text, re.IGNORECASE)
    if not said or not _RUN_SAID.search(s.text) or re.search(r"\bnot\b|up to|within|except", s.text):
        return
    near = [t for t in log.of_section(s.section) if t is s or _RUN_SAID.search(t.text)]
    different = [x for t in near for x in t.numbers if x.kind in ("number", "mean") and x.step < 1 and t is s]
    counts = [x for t in near for x in t.numbers if x.kind == "count"]
    if len({x.n for x in counts}) == 1 and len({x.value for x in counts}) > 1:
        different = different or counts
    if len({x.value for x in different}) > 1:
        yield in_sentence(s).finds("weak", "same", f"the numbers are {', '.join(map(str, different[:4]))}")


def _deterministic(log: LogText) -> Findings:
    """What is called deterministic, and was repeated, against SDs above 0."""
    for file in log.files():
        claims = [s for s in file.statements if _DETERMINISTIC.search(s.text)]
        claims = [s for s in claims if not re.search(r"\bnot?\b|non-?determin|should|seed", s.text, re.IGNORECASE)]
        repeats = next((s for s in file.statements if _REPEATS.search(s.text)), None)
        spread = next((cell for t in file.tables if len(t.rows) <= 300 for cell in _spreads(t)), None)
        if claims and repeats and spread:
            s = next((s for s in claims if "fully" in s.text.lower()), claims[0])
            table, i, j = spread
            said = f"by {short(repeats.text, 40)!r} (line {repeats.line}), line {table.row_lines[i]} gives an SD of"
            said += f" {table.numbers[i][j]} ({table.columns[j]})"
            yield in_sentence(s).finds("weak", "same", said, others=(table.row_lines[i],))


def _spreads(table: LogTable) -> Iterator[tuple[LogTable, int, int]]:
    role = roles(table)
    if {"mean", "sd"} <= set(role):
        yield from ((table, i, role["sd"]) for i, x in enumerate(table.column(role["sd"])) if x and x.value > 0)


# ---- within a range, on one side

_THROUGHOUT = phrase(
    r"throughout|always|\ball\b|\bevery\b|stays?\b|remains?\b|consistently|from the start|\bboth\b|never|each\b|everywhere|across"
)
_NOT_THROUGHOUT = phrase(r"\bnot\b|except|exclud|almost all|nearly all|most\b|if\b|should|expect|\bcould\b")
_ALL_ALONG = phrase(r"from the start|throughout|always|never|stays?|remains?")
SIDE = phrase(r"(?<!true )(?<!false )(?<!true-)(?<!false-)\b(?P<side>negative|positive)\b")
_BOUND = phrase(
    r"(?P<side>above|over|at least|exceeds?|more than|greater than|≥|>|below|under|at most|less than|≤|<)"
    r"\s?(?P<v>-?\d+(?:\.\d+)?)\s?(?P<pct>%?)",
    r"(?P<v2>\d+(?:\.\d+)?)\s?(?P<pct2>%)\s?(?:\+|or (?:more|higher|above|better))",
)
_UPWARD = phrase(r"^(?:above|over|at least|exceed|more|greater|≥|>)")

_Cells = list[tuple[int, Number]]


def within(log: LogText, s: Statement) -> Findings:
    """Sides, ranges and bounds that a sentence gives for all, against the columns it speaks of."""
    if s.is_heading or not _THROUGHOUT.search(s.text) or _NOT_THROUGHOUT.search(s.text):
        return
    side, bound = SIDE.search(s.text), _BOUND.search(s.text)
    ranges = [x for x in s.numbers if x.kind == "range" and not x.unit.startswith("CI")]
    if not side and not ranges and not bound:
        return
    columns = _columns_within(log, s, bool(side), bool(bound))
    if side and not columns and _ALL_ALONG.search(s.text):
        yield from _against_siblings(log, s, side["side"].lower() == "negative")
    for table, j in columns:
        cells = [
            (i, x) for i, x in enumerate(table.column(j)) if x and x.kind in ("percent", "count", "number", "mean")
        ]
        named = [(i, x) for i, x in cells if stems(table.label(i)) and stems(table.label(i)) <= stems(s.text)]
        cells = named or (cells if len(cells) > 1 else [])
        if not cells:
            continue
        if ranges:
            off, what = _outside(cells, ranges[0], whole_may_be=not side)
        elif side:
            negative = side["side"].lower() == "negative"
            off = [(i, x) for i, x in cells if x.value and (x.value > 0) == negative]
            what = f"{len(cells) - len(off)} of {len(cells)} are {side['side'].lower()}"
        elif bound:
            off, what = _beyond(cells, bound, s, table.columns[j])
        if off:
            listed = ", ".join(f"{x} ({table.label(i)})" for i, x in off[:3])
            lines = tuple(table.row_lines[i] for i, _ in off)
            said = f"of {table.columns[j]}, {what}; not {listed}"
            yield in_sentence(s).finds("weak", "within", said, *(x.value for _, x in off), others=lines)
        elif what:
            yield in_sentence(s).holds("within")


def _columns_within(log: LogText, s: Statement, side: bool, bound: bool) -> list[tuple[LogTable, int]]:
    """The columns a sentence speaks of: by its own words, or by those of its paragraph and heading."""
    heading = stems(" ".join(s.heading[-1:]))
    around = stems(" ".join(t.text for t in log.of_block(s.block) if not t.is_heading)) | heading
    pool = [t for t in tables_near(log, s) if t.section == s.section and len(t.rows) <= 300]
    if side:
        pool = [t for t in log.tables_of(s.section) if len(t.rows) <= 300] or _titled(log, s, heading)
    chosen = []
    for table in pool:
        heads = {j: stems(table.columns[j]) for j in table.value_columns}
        own = stems(s.text) or around
        columns = [j for j, head in heads.items() if head & own] or [j for j, head in heads.items() if head & around]
        if bound and not columns and len({x.kind for j in heads for x in table.column(j) if x}) == 1:
            columns = list(heads)
        chosen += [
            (table, j) for j in columns if not re.search(r"change|delta|Δ|diff", table.columns[j], re.IGNORECASE)
        ]
    return chosen


def _titled(log: LogText, s: Statement, heading: frozenset[str]) -> list[LogTable]:
    """The table whose title shares most words with the heading of a sentence, two at least."""
    tables = [
        t for t in log.tables if t.source == s.source and len(stems(t.title) & heading) >= 2 and len(t.rows) <= 300
    ]
    return sorted(tables, key=lambda t: -len(stems(t.title) & heading))[:1]


def _against_siblings(log: LogText, s: Statement, negative: bool) -> Findings:
    """ "It stays negative" against the signed numbers of the sentences around."""
    negative = negative != bool(re.search(r"never", s.text, re.IGNORECASE))
    near = [t for t in log.of_section(s.section) if t is not s and not t.is_heading and abs(t.line - s.line) <= 8]
    near = [t for t in near if t.block == s.block or stems(t.text) & stems(s.text)]
    wrong = [
        x for t in near for x in t.numbers if x.kind == "number" and x.signed and x.value and (x.value > 0) == negative
    ]
    if wrong:
        said = f"line {wrong[0].line} gives {wrong[0]}"
        yield in_sentence(s).finds("weak", "within", said, wrong[0].value, others=(wrong[0].line,))


def _outside(cells: _Cells, limits: Number, whole_may_be: bool) -> tuple[_Cells, str]:
    """Cells outside a range; where all are, they may be another quantity."""
    low, high = sorted((limits.low or 0.0, limits.high or 0.0))
    if (limits.unit == "%") != (cells[0][1].kind in ("percent", "count")):
        return [], ""
    slack = limits.step / 2
    off = [(i, x) for i, x in cells if not low - slack <= x.percent <= high + slack]
    what = f"{len(cells) - len(off)} of {len(cells)} are between {low:g} and {high:g}"
    return ([] if whole_may_be and len(off) == len(cells) else off), what


def _beyond(cells: _Cells, bound: re.Match[str], s: Statement, head: str) -> tuple[_Cells, str]:
    """Cells on the other side of a bound; where all are, they may be another quantity."""
    value, percent = float(bound["v"] or bound["v2"]), bool(bound["pct"] or bound["pct2"])
    words = _THROUGHOUT.search(s.text)
    apart = max(bound.start() - words.end(), words.start() - bound.end()) if words else 99
    other = percent != (cells[0][1].kind in ("percent", "count")) or (not percent and not stems(head) <= stems(s.text))
    if apart > 50 or other:
        return [], ""
    up = bool(bound["v2"]) or bool(_UPWARD.search(bound["side"]))
    off = [(i, x) for i, x in cells if (x.percent < value - x.step / 2 if up else x.percent > value + x.step / 2)]
    what = f"{len(cells) - len(off)} of {len(cells)} are {'above' if up else 'below'} {value:g}"
    return ([] if len(off) == len(cells) else off), what


FAMILY = Family(
    of_sentences=(
        quantified,
        never,
        _never_from,
        everywhere,
        all_or_never,
        _over_rows,
        unchanged,
        identical_runs,
        within,
    ),
    of_logs=(_cells_that_say_all, _deterministic),
)
