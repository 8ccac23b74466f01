"""Do the words fit the numbers beside them? Peaks, trends, correlations, all and never, identical and deterministic, ranks."""

import itertools
import re
from collections.abc import Iterator

from workbench.claims.log_numbers import Number
from workbench.claims.log_reader import LogTable, LogText, Statement
from workbench.claims.rules.finding import LogFinding, Rule, settings_key, stems
from workbench.claims.rules.limits import _short, parts

RULES = (
    Rule("peak", "Is what is called the peak, the maximum or the minimum the largest or smallest of its column?", "order"),
    Rule("monotone", "Does what is said to rise or fall steadily do so in its column?", "order"),
    Rule("correlation in words", "Does a column whose correlation is denied or claimed have it?", "Pearson's r and its p"),
    Rule("all or never", "Does what is said of all conditions (0%, 100%, immune, always, never) hold in every table?", "counting"),
    Rule("same", "Does what is called identical, deterministic or unchanged vary in the numbers?", "identity"),
    Rule("within", "Are the numbers within the range, or on the side of zero or of a bound, that the words give?", "counting"),
    Rule("rank", "Is what is said to be better than another so in the table?", "order"),
)  # fmt: skip

_LOWER_BETTER = re.compile(
    r"loss|error|latenc|perplex|time|cost|memory|false pos|\bfp\b|rank|distance|ms\b|seconds|wer\b|toxic|harm|violation|bias|memory|params|size",  # noqa: E501
    re.IGNORECASE,
)


def _lower_better(head: str) -> bool:
    return bool(_LOWER_BETTER.search(head)) and not re.search(r"refus|detect|reject", head, re.IGNORECASE)


_QUANTIFIER = re.compile(
    r"\b(?P<all>all|every|always)\b|\b(?P<none>no|none|never|not one)\b|\b(?P<most>most|the majority|mostly)\b|\b(?P<half>half)\b",
    re.IGNORECASE,
)


def _quantified(s: Statement) -> Iterator[LogFinding]:
    """ "All prompts were refused (38/40)": what a quantifier says of the one count of its sentence."""
    counts = [x for x in s.numbers if x.kind == "count" and x.n and x.text[:1].isdigit()]
    m = _QUANTIFIER.search(s.text)
    if (
        len(counts) != 1
        or not m
        or re.search(
            r"\b(?:nearly|almost|not|but|except|over|more than|less than|about|at) (?:all|every|half|most)\b|\bno (?:difference|significant|evidence|steering|more|longer|change|system|control)|\bout of\b|\bhalf of the\b.*\bother\b",  # noqa: E501
            s.text,
            re.IGNORECASE,
        )
    ):
        return
    x = counts[0]
    if (
        not 0 < x.start - m.end() < 45
        or re.search(r"[;.,:]|\bbut\b|\bexcept\b|\bof (?:these|which)\b|\bwith\b", s.text[m.end() : x.start])
        or s.text[x.end : x.end + 30].strip().startswith("more")
    ):
        return
    share = x.value / x.n if x.n else 0.0
    wrong = (
        (m["all"] and share < 1)
        or (m["none"] and share > 0)
        or (m["most"] and share <= 0.5)
        or (m["half"] and abs(share - 0.5) > 0.1)
    )
    yield LogFinding(
        "weak" if wrong else "holds",
        "all or never",
        f"'{_short(s.text)}': {x} is {100 * share:.0f}%",
        s.line,
        s.source,
        (share,),
    )


def _said_r(s: Statement) -> Iterator[LogFinding]:
    """A correlation that is called strong, weak or none, beside its r."""
    rs = [x for x in s.numbers if x.kind == "r"]
    if len(rs) != 1 or not re.search(r"correlat|relationship|associat", s.text, re.IGNORECASE):
        return
    size = abs(rs[0].value)
    strong = re.search(r"\b(?:strong(?:ly)?|highly|tight(?:ly)?)\b", s.text, re.IGNORECASE) and not re.search(
        r"\bnot\b|\bno\b|less|n't", s.text, re.IGNORECASE
    )
    none = _NO_R.search(s.text)
    if strong or none:
        wrong = (strong and size < 0.3) or (
            none and size > 0.5 and not any(x.kind == "p" and x.value > 0.05 for x in s.numbers)
        )
        yield LogFinding(
            "weak" if wrong else "holds",
            "correlation in words",
            f"'{_short(s.text)}': {rs[0]}",
            s.line,
            s.source,
            (rs[0].value,),
        )


def _never(s: Statement, tables: list[LogTable]) -> Iterator[LogFinding]:
    """ "It never succeeds" against a column of that name in its section."""
    m = re.search(r"\bnever\s(?P<verb>[a-z]+)", s.text, re.IGNORECASE)
    if not m or s.numbers:
        return
    verb = m["verb"].lower()[:5]
    for table in _near(s, tables):
        for j in table.value_columns:
            if any(w[:5] == verb for w in re.findall(r"[a-z]+", table.columns[j].lower())):
                off = [
                    (i, x)
                    for i, x in enumerate(table.column(j))
                    if x is not None and x.kind in ("percent", "count") and x.percent > 0
                ]
                if off:
                    yield LogFinding(
                        "weak",
                        "all or never",
                        f"'{_short(s.text)}': {table.columns[j]} is {off[0][1]} for {table.label(off[0][0])}",
                        s.line,
                        s.source,
                        (off[0][1].percent,),
                    )
                return


def run(log: LogText) -> Iterator[LogFinding]:
    """All rules of this file."""
    tables = [t for t in log.tables if len(t.rows) <= 300]
    for s in log.statements:
        if s.is_heading and len(s.text) < 12:
            continue
        own = [t for t in tables if t.source == s.source]
        yield from _peak(s, own)
        yield from _monotone(s, own)
        yield from _correlation(s, own)
        yield from _all_or_never(s, own)
        yield from _within(log, s, own)
        yield from _rank(s, own)
        yield from _unchanged(s)
        yield from _quantified(s)
        yield from _said_r(s)
        yield from _never(s, own)
    texts = {s.text for s in log.statements}
    for table in tables:
        if table.title not in texts:
            yield from _correlation(
                Statement(table.title, table.line, table.heading, 0, table.section, table.source), [table]
            )
        for i in range(len(table.rows)):
            for cell in table.rows[i][1:]:
                if re.search(r"immune|never|always|none", cell, re.IGNORECASE) and re.search(r"\b(?:0|100)\s?%", cell):
                    text = f"{table.label(i)}: {cell} all conditions"
                    yield from _all_or_never(
                        Statement(text, table.row_lines[i], table.heading, 0, table.section, table.source),
                        [t for t in tables if t is not table and t.source == table.source],
                    )
    yield from _deterministic(log, tables)


def _near(s: Statement, tables: list[LogTable]) -> list[LogTable]:
    """Tables of the section of a sentence, or, where it has none, of the section above it."""
    below = [t for t in tables if 0 < t.line - s.line <= 3 and t.title.startswith(s.text[:40])]
    if below:
        return below
    same = [t for t in tables if t.section == s.section]
    if same:
        return same
    parent = [
        t
        for t in tables
        if s.heading[:-1] and t.heading[: len(s.heading) - 1] == s.heading[:-1] and abs(t.line - s.line) < 60
    ]
    return parent or [t for t in tables if 0 < s.line - t.line < 40][-1:]


def _columns(s: Statement, table: LogTable) -> list[int]:
    """The columns a sentence names: those that share most words with it, if any; the only one, where there is one."""
    words = stems(s.text)
    shared = {
        j: len(stems(table.columns[j]) & words) / (len(stems(table.columns[j])) or 1)
        for j in table.value_columns
        if j != table.label_column
    }
    most = max(shared.values(), default=0)
    if most > 0:
        return [j for j, n in shared.items() if n == most]
    said = set(re.findall(r"[a-z]+", s.text.lower()))
    general = [
        j for j in shared if not stems(table.columns[j]) and set(re.findall(r"[a-z]+", table.columns[j].lower())) & said
    ]
    if general:
        return general
    return list(shared) if len(shared) == 1 else []


_PEAK = re.compile(
    r"\b(?P<what>peak(?:s|ed|ing)?|maximum|maximal|highest|largest|greatest|lowest|minimum|minimal|smallest|most|least|best|worst)\b(?P<gap>[^.;:]{0,50}?)(?:\bat\b|\bis\b|\bwas\b|\bby\b|\bfor\b|\bin\b|[:=(])\s?(?P<place>[^.;,()]{1,40}(?:\.\d+)?)",
    re.IGNORECASE,
)


def _peak(s: Statement, tables: list[LogTable]) -> Iterator[LogFinding]:
    m = _PEAK.search(s.text)
    if not m or re.search(
        r"\b(?:at|to) (?:most|least|best)\b|possible|almost|most of|best practice|best[- ]of|so far|mostly|second|validation loss",
        s.text,
        re.IGNORECASE,
    ):
        return
    word = m["what"].lower()
    place = s.text[m.start("place") :]
    value = re.match(
        r"\s*(?:the\s)?(?:[A-Za-zα-ω_]+\s?[=: ]?\s?)?(?P<v>-?\d+(?:\.\d+)?)(?P<more>\s?(?:-|–|to|and|or|,)\s?[A-Za-zα-ω]*\s?=?\s?\d)?(?!\s?%|\.?\d)",  # noqa: E501
        place,
    )
    for table in _near(s, tables):
        if table.label_column is None or len(table.rows) < 3:
            continue
        labels = [settings_key(table.label(i)) for i in range(len(table.rows))]
        rows: list[int] = []
        if value and not value["more"]:
            rows = [i for i, key in enumerate(labels) if key == f"{float(value['v']):g}"]
        if not rows and not value:
            start = re.sub(r"^\s*(?:the|our)\s", "", place, flags=re.IGNORECASE)
            rows = [
                i
                for i in range(len(table.rows))
                if len(stems(table.label(i)))
                and start.lower().startswith(re.sub(r"[*_`]", "", table.label(i)).lower()[:30])
            ]
        columns = _columns(s, table)
        if (
            len(rows) != 1
            or len(columns) != 1
            or (
                word in ("best", "worst")
                and len(table.value_columns) > 1
                and not stems(table.columns[columns[0]]) & stems(s.text)
            )
        ):
            continue
        column = [
            (i, x)
            for i, x in enumerate(table.column(columns[0]))
            if x is not None and not re.match(r"total|overall|mean|average", table.label(i), re.IGNORECASE)
        ]
        mine = next((x for i, x in column if i == rows[0]), None)
        if mine is None or len(column) < 3:
            continue
        top, low = max(x.percent for _, x in column), min(x.percent for _, x in column)
        slack = mine.step / 2
        at_top, at_low = mine.percent >= top - slack, mine.percent <= low + slack
        if word.startswith(("peak", "max", "high", "larg", "great", "most")):
            fine = at_top
        elif word.startswith(("low", "min", "small", "least")):
            fine = at_low
        else:
            fine = at_top or at_low
        best = (
            max(column, key=lambda c: c[1].percent)
            if not word.startswith(("low", "min", "small", "least"))
            else min(column, key=lambda c: c[1].percent)
        )
        sentence = f"'{_short(s.text)}': {table.columns[columns[0]]} is {mine} there, and {best[1]} at {table.label(best[0])} (line {table.row_lines[best[0]]})"  # noqa: E501
        exact = bool(stems(table.columns[columns[0]]) & stems(s.text))
        yield LogFinding(
            "holds"
            if fine
            else "error"
            if exact and table.section == s.section and not word.startswith(("best", "worst", "most", "least"))
            else "weak",
            "peak",
            sentence,
            s.line,
            s.source,
            (mine.percent, best[1].percent),
        )
        return


_STEADY = re.compile(
    r"monoton|steadily|consistently (?:in|de)creas|(?:increas|decreas|ris|fall|grow|drop|improv|declin)\w*\s(?:strictly|with every|with each|at every|at each|for every)|dose[- ]dependent(?:ly)?|strictly (?:in|de)creas",  # noqa: E501
    re.IGNORECASE,
)
_LOOSE = re.compile(
    r"\b(?:(?:in|de)creases?|rises?|falls?|grows?|drops?|declines?|improves?|degrades?)\b[^.;]{0,30}?\b(?:with|as)\b",
    re.IGNORECASE,
)
_DOWN = re.compile(r"decreas|fall|drop|declin|degrad|reduc|shrink|lower|down", re.IGNORECASE)


def _monotone(s: Statement, tables: list[LogTable]) -> Iterator[LogFinding]:
    steady = _STEADY.search(s.text)
    if not steady and not _LOOSE.search(s.text):
        return
    if re.search(
        r"\bshould\b|expect|\bnot\b|\bnon-?monoton|\bno\b|except|but not|almost|nearly|roughly|up to|until|then",
        s.text,
        re.IGNORECASE,
    ):
        return
    down = bool(_DOWN.search(s.text))
    for table in _near(s, tables):
        if len(table.rows) < 3 or table.label_column is None:
            continue
        keys = [settings_key(table.label(i)) for i in range(len(table.rows))]
        words = stems(s.text)
        if all(re.fullmatch(r"-?\d+(?:\.\d+)?", k) for k in keys):
            columns = _columns(s, table)
            if len(columns) != 1 or not (
                stems(table.columns[columns[0]]) & words or table.columns[columns[0]].lower() in s.text.lower()
            ):
                continue
            order = sorted(range(len(keys)), key=lambda i: float(keys[i]))
            series = [table.column(columns[0])[i] for i in order]
            yield from _along(s, [x for x in series if x is not None], down, bool(steady), table.columns[columns[0]])
            return
        heads = {j: settings_key(table.columns[j]) for j in table.value_columns}
        numeric = [j for j, h in heads.items() if re.fullmatch(r"-?\d+(?:\.\d+)?", h)]
        rows = [
            i
            for i in range(len(keys))
            if stems(table.label(i)) and stems(table.label(i)) <= words | {f"{v:g}" for _, v in s.settings}
        ]
        if len(numeric) >= 3 and len(rows) == 1:
            series = [table.numbers[rows[0]][j] for j in sorted(numeric, key=lambda j: float(heads[j]))]
            yield from _along(s, [x for x in series if x is not None], down, bool(steady), table.label(rows[0]))
            return


def _along(s: Statement, series: list[Number], down: bool, steady: bool, name: str) -> Iterator[LogFinding]:
    values = [(-1 if down else 1) * x.percent for x in series]
    if len(values) < 3:
        return
    breaks = [
        (a, b)
        for a, b in itertools.pairwise(series)
        if (-1 if down else 1) * (b.percent - a.percent) < -(a.step + b.step) / 2 - 1e-9
    ]
    overall = values[-1] - values[0]
    listed = ", ".join(f"{a} to {b}" for a, b in breaks[:3])
    way = "fall" if down else "rise"
    if steady and breaks:
        yield LogFinding(
            "error" if re.search(r"monoton|strictly|every|each", s.text, re.IGNORECASE) else "weak",
            "monotone",
            f"'{_short(s.text)}': {name} does not {way} all the way: {listed}",
            s.line,
            s.source,
        )
    elif not steady and overall <= 0 and breaks:
        yield LogFinding(
            "weak", "monotone", f"'{_short(s.text)}': {name} goes from {series[0]} to {series[-1]}", s.line, s.source
        )
    else:
        yield LogFinding("holds", "monotone", name, s.line, s.source)


_NO_R = re.compile(
    r"\bno (?:significant |clear |apparent )?(?:correlation|relationship|association|dependence|trend)|uncorrelated|independent of|not correlated|unrelated to",  # noqa: E501
    re.IGNORECASE,
)
_YES_R = re.compile(
    r"\b(?:strong(?:ly)?|clear(?:ly)?|highly|near-perfect|perfect(?:ly)?)\s(?:positive(?:ly)?\s|negative(?:ly)?\s)?correlat",
    re.IGNORECASE,
)


def _correlation(s: Statement, tables: list[LogTable]) -> Iterator[LogFinding]:
    no, yes = _NO_R.search(s.text), _YES_R.search(s.text)
    if not no and not yes:
        return
    from scipy import stats

    for table in _near(s, tables):
        if len(table.rows) < 4:
            continue
        x: list[float] = []
        rows: list[int] = []
        for i in range(len(table.rows)):
            key = settings_key(table.label(i)) if table.label_column is not None else ""
            if re.fullmatch(r"-?\d+(?:\.\d+)?", key):
                x.append(float(key))
                rows.append(i)
        columns = [j for j in _columns(s, table) if j not in parts(table).values() or j == parts(table).get("mean")]
        if len(x) != len(table.rows):
            named = [j for j in table.value_columns if stems(table.columns[j]) & stems(s.text)]
            if len(named) != 2:
                continue
            rows = [
                i
                for i, (a, b) in enumerate(zip(table.column(named[0]), table.column(named[1]), strict=True))
                if a and b
            ]
            x = [c.value for i in rows if (c := table.column(named[0])[i])]
            columns = [named[1]]
        if not columns:
            columns = list(table.value_columns[:1])
        y_all = [table.column(columns[0])[i] for i in rows]
        pairs = [(a, b.percent) for a, b in zip(x, y_all, strict=True) if b is not None]
        if len(pairs) < 4 or len({b for _, b in pairs}) < 2 or len({a for a, _ in pairs}) < 2:
            continue
        r, p = (float(v) for v in stats.pearsonr(*zip(*pairs, strict=True)))
        name = f"'{_short(s.text)}': {table.columns[columns[0]]} has r = {r:+.2f} (p = {p:.2g}) over {len(pairs)} rows"
        if no:
            yield LogFinding("weak" if p < 0.05 else "holds", "correlation in words", name, s.line, s.source, (r, p))
            if p >= 0.05 and len(pairs) < 8:
                yield LogFinding(
                    "note",
                    "correlation in words",
                    f"{name}: {len(pairs)} rows cannot show that there is none",
                    s.line,
                    s.source,
                    (r, p),
                )
        else:
            yield LogFinding(
                "weak" if p > 0.05 or abs(r) < 0.5 else "holds", "correlation in words", name, s.line, s.source, (r, p)
            )
        return


_ALL = re.compile(
    r"\ball\b|\bevery\b|\balways\b|\bnever\b|\bnone\b|immune|\bany\b|across the board|everywhere|without exception|in no (?:case|condition)",  # noqa: E501
    re.IGNORECASE,
)


def _all_or_never(s: Statement, tables: list[LogTable]) -> Iterator[LogFinding]:
    """ "X: 0% in all conditions" against the rows of X in every table."""
    if not _ALL.search(s.text):
        return
    extremes = [
        x
        for x in s.numbers
        if x.kind == "percent" and x.value in (0.0, 100.0) and x.successes is None and not x.signed and not x.bound
    ]
    if len(extremes) != 1 or re.search(
        r"\b(?:all|every) (?:the )?(?:code|files|tests|docs|data|rights)\b", s.text, re.IGNORECASE
    ):
        return
    goal = extremes[0].value
    subject = [w for w in re.findall(r"[A-Za-z][\w.\-]+", s.text[: extremes[0].start] or s.text) if len(w) > 2]
    mine = stems(s.text)
    for table in tables:
        if table.label_column is None:
            continue
        for i in range(len(table.rows)):
            label = re.sub(r"[*_`]", "", table.label(i)).strip()
            if not subject or not any(label.lower().startswith(w.lower()) and len(w) > 3 for w in subject):
                continue
            off = []
            for j in table.value_columns:
                x = table.numbers[i][j]
                head = table.columns[j]
                metric = stems(head)
                foreign = (
                    bool(
                        re.search(
                            r"accura|coheren|false|benign|score|loss|error|latency|f1|precision|recall|%|change|delta|multi",
                            head,
                            re.IGNORECASE,
                        )
                    )
                    and not metric & mine
                )
                if (
                    x is not None
                    and x.kind in ("percent", "count")
                    and not x.signed
                    and abs(x.percent - goal) > x.step / 2
                    and not foreign
                ):
                    off.append(x)
            if off:
                listed = ", ".join(map(str, off[:4]))
                yield LogFinding(
                    "weak",
                    "all or never",
                    f"'{_short(s.text)}': line {table.row_lines[i]} has {listed} for {label}",
                    s.line,
                    s.source,
                    tuple(x.percent for x in off),
                    (table.row_lines[i],),
                )


_UNCHANGED = re.compile(
    r"\bunchanged|\bidentical|\bconstant\b|(?:is|are|was|were|remain(?:s|ed)?|stay(?:s|ed)?) the same\b|\bno change|\bdid not change|\bstayed the same|\bequal\b",  # noqa: E501
    re.IGNORECASE,
)


def _unchanged(s: Statement) -> Iterator[LogFinding]:
    m = _UNCHANGED.search(s.text)
    if not m or re.search(
        r"\bnot (?:identical|equal|the same|constant)|except|almost|nearly|but|while|otherwise|prompt|setup|hyperparam|seed|same (?:\w+ )?(?:model|data|order|set|prompts|items)",  # noqa: E501
        s.text,
        re.IGNORECASE,
    ):
        return
    ranges = [
        x for x in s.numbers if x.kind == "range" and x.unit in ("%", "pp") and x.low is not None and x.high is not None
    ]
    numbers = [x for x in s.numbers if x.kind in ("percent", "count")]
    if len(ranges) == 1 and not numbers and ranges[0].low != ranges[0].high:
        yield LogFinding("weak", "same", f"'{_short(s.text)}': {ranges[0]} is no single value", s.line, s.source)
    elif len(numbers) == 2 and re.search(r"→|->|\bto\b|\bvs\b|\band\b", s.text[numbers[0].end : numbers[1].start]):
        apart = abs(numbers[0].percent - numbers[1].percent)
        yield LogFinding(
            "weak" if apart > (numbers[0].step + numbers[1].step) / 2 + 1e-9 else "holds",
            "same",
            f"'{_short(s.text)}': {numbers[0]} and {numbers[1]} are not the same",
            s.line,
            s.source,
        )


def _deterministic(log: LogText, tables: list[LogTable]) -> Iterator[LogFinding]:
    words = re.compile(
        r"\b(?:fully |completely |perfectly )?deterministic\b|bit(?:wise|-for-bit) identical|identical (?:outputs|results|responses) (?:across|in|over) (?:all )?(?:runs|repeats)|same output every (?:time|run)",  # noqa: E501
        re.IGNORECASE,
    )
    told: set[str] = set()
    for s in sorted(log.statements, key=lambda s: "fully" not in s.text.lower()):
        if (
            s.source in told
            or not words.search(s.text)
            or re.search(r"\bnot?\b|non-?determin|should|seed", s.text, re.IGNORECASE)
        ):
            continue
        everything = [t for t in log.statements if t.source == s.source]
        repeats = next(
            (
                t
                for t in everything
                if re.search(r"\b(?:[2-9]|\d\d) (?:runs|repeats|repetitions|seeds|replicates|trials)\b", t.text)
            ),
            None,
        )
        spread = next(
            (
                (t, j, i)
                for t in tables
                if t.source == s.source
                for j in [parts(t).get("sd")]
                if j is not None and "mean" in parts(t)
                for i, x in enumerate(t.column(j))
                if x and x.value > 0
            ),
            None,
        )
        if repeats and spread:
            table, j, i = spread
            told.add(s.source)
            yield LogFinding(
                "weak",
                "same",
                f"'{_short(s.text)}': by {_short(repeats.text, 40)!r} (line {repeats.line}), line {table.row_lines[i]} gives an SD of {table.numbers[i][j]} ({table.columns[j]})",  # noqa: E501
                s.line,
                s.source,
                (),
                (table.row_lines[i],),
            )
    for s in log.statements:
        if re.search(r"\bidentical(?:ly)?\b|\bdeterministic\b", s.text, re.IGNORECASE):
            different = [x for x in s.numbers if x.kind in ("number", "mean") and x.step < 1]
            if (
                len(different) >= 2
                and re.search(r"runs?|repeat", s.text, re.IGNORECASE)
                and len({x.value for x in different}) > 1
                and not re.search(r"\bnot\b|up to|within|except", s.text)
            ):
                yield LogFinding(
                    "weak",
                    "same",
                    f"'{_short(s.text)}': the numbers are {', '.join(map(str, different[:4]))}",
                    s.line,
                    s.source,
                )


_THROUGHOUT = re.compile(
    r"throughout|always|\ball\b|\bevery\b|stays?\b|remains?\b|consistently|from the start|\bboth\b|never|each\b|everywhere|across",
    re.IGNORECASE,
)
_SIDE = re.compile(r"\b(?P<side>negative|positive)\b", re.IGNORECASE)
_ABOVE = re.compile(
    r"(?P<side>above|over|at least|exceeds?|more than|greater than|≥|>|below|under|at most|less than|≤|<)\s?(?P<v>-?\d+(?:\.\d+)?)\s?(?P<pct>%?)|(?P<v2>\d+(?:\.\d+)?)\s?(?P<pct2>%)\s?(?:\+|or (?:more|higher|above|better))",  # noqa: E501
    re.IGNORECASE,
)


def _within(log: LogText, s: Statement, tables: list[LogTable]) -> Iterator[LogFinding]:
    if (
        not _THROUGHOUT.search(s.text)
        or s.is_heading
        or re.search(
            r"\bnot\b|except|exclud|almost all|nearly all|most\b|if\b|should|expect|\bcould\b", s.text, re.IGNORECASE
        )
    ):
        return
    siblings = [t for t in log.statements if t.source == s.source and t.section == s.section and not t.is_heading]
    side = _SIDE.search(s.text)
    if side and re.search(r"false|true", s.text[max(0, side.start() - 7) : side.start()], re.IGNORECASE):
        side = None
    ranges = [
        x
        for x in s.numbers
        if x.kind == "range" and not x.unit.startswith("CI") and x.low is not None and x.high is not None
    ]
    bound = _ABOVE.search(s.text)
    if not side and not ranges and not bound:
        return
    around = stems(" ".join(t.text for t in siblings if t.block == s.block) + " " + " ".join(s.heading[-1:]))
    chosen: list[tuple[LogTable, int]] = []
    if side:
        pool = [t for t in tables if t.section == s.section] or sorted(
            (t for t in tables if len(stems(t.title) & stems(" ".join(s.heading[-1:]))) >= 2),
            key=lambda t: -len(stems(t.title) & stems(" ".join(s.heading[-1:]))),
        )[:1]
    else:
        pool = [t for t in _near(s, tables) if t.section == s.section]
    for table in pool:
        columns = [j for j in table.value_columns if stems(table.columns[j]) & (stems(s.text) or around)] or [
            j for j in table.value_columns if stems(table.columns[j]) & around
        ]
        if bound and not columns and len({x.kind for j in table.value_columns for x in table.column(j) if x}) == 1:
            columns = list(table.value_columns)
        chosen += [
            (table, j) for j in columns if not re.search(r"change|delta|Δ|diff", table.columns[j], re.IGNORECASE)
        ]
    if side and re.search(r"from the start|throughout|always|never|stays?|remains?", s.text, re.IGNORECASE):
        negative = (side["side"].lower() == "negative") != bool(re.search(r"never", s.text, re.IGNORECASE))
        wrong = [
            x
            for t in siblings
            if t is not s and (stems(t.text) & stems(s.text) or t.block == s.block) and abs(t.line - s.line) <= 8
            for x in t.numbers
            if x.kind == "number" and x.signed and (x.value > 0) == negative and x.value != 0
        ]
        if wrong and not chosen:
            yield LogFinding(
                "weak",
                "within",
                f"'{_short(s.text)}': line {wrong[0].line} gives {wrong[0]}",
                s.line,
                s.source,
                (wrong[0].value,),
                (wrong[0].line,),
            )
    for table, j in chosen:
        cells = [
            (i, x)
            for i, x in enumerate(table.column(j))
            if x is not None and x.kind in ("percent", "count", "number", "mean")
        ]
        named = [(i, x) for i, x in cells if stems(table.label(i)) and stems(table.label(i)) <= stems(s.text)]
        cells = named or cells
        if len(cells) < 2 and not named:
            continue
        name, off, what = table.columns[j], [], ""
        if side and not ranges:
            negative = side["side"].lower() == "negative"
            off = [(i, x) for i, x in cells if (x.value > 0) == negative and x.value != 0]
            what = f"{len(cells) - len(off)} of {len(cells)} are {side['side'].lower()}"
        if ranges:
            low, high = sorted((ranges[0].low or 0.0, ranges[0].high or 0.0))
            slack = ranges[0].step / 2
            percent = ranges[0].unit == "%"
            if percent == (cells[0][1].kind in ("percent", "count")):
                off = [(i, x) for i, x in cells if not low - slack <= x.percent <= high + slack]
                what = f"{len(cells) - len(off)} of {len(cells)} are between {low:g} and {high:g}"
                if not side and len(off) == len(cells):
                    off = []  # another quantity
        elif bound and not side:
            value = float(bound["v"] or bound["v2"])
            percent = bool(bound["pct"] or bound["pct2"])
            words = _THROUGHOUT.search(s.text)
            apart = max(bound.start() - words.end(), words.start() - bound.end()) if words else 99
            if apart > 50 or (not percent and not stems(table.columns[j]) <= stems(s.text)):
                continue
            if percent == (cells[0][1].kind in ("percent", "count")):
                up = bool(bound["v2"]) or bool(
                    re.match(r"above|over|at least|exceed|more|greater|≥|>", bound["side"], re.IGNORECASE)
                )
                off = [
                    (i, x)
                    for i, x in cells
                    if (x.percent < value - x.step / 2 if up else x.percent > value + x.step / 2)
                ]
                what = f"{len(cells) - len(off)} of {len(cells)} are {'above' if up else 'below'} {value:g}"
                if len(off) == len(cells):
                    off = []  # another quantity
        if off:
            listed = ", ".join(f"{x} ({table.label(i)})" for i, x in off[:3])
            yield LogFinding(
                "weak",
                "within",
                f"'{_short(s.text)}': of {name}, {what}; not {listed}",
                s.line,
                s.source,
                tuple(x.value for _, x in off),
                tuple(table.row_lines[i] for i, _ in off),
            )
        elif what:
            yield LogFinding("holds", "within", name, s.line, s.source)


_BETTER = re.compile(
    r"\b(?:outperforms?|beats?|exceeds?|surpass(?:es)?|(?:is|are|performs?|does|did|was|were|works?)\s(?:\w+\s)?(?:better|higher|stronger|more accurate)\sthan|higher than|better than|superior to)\b",  # noqa: E501
    re.IGNORECASE,
)


def _rank(s: Statement, tables: list[LogTable]) -> Iterator[LogFinding]:
    m = _BETTER.search(s.text)
    if not m or re.search(r"\bnot\b|\bno\b|n't|neither", s.text[max(0, m.start() - 12) : m.end()], re.IGNORECASE):
        return
    left, right = s.text[: m.start()], s.text[m.end() :]
    for table in _near(s, tables):
        labels = [re.sub(r"[*_`]", "", table.label(i)).strip() for i in range(len(table.rows))]

        def row_in(text: str, labels: list[str] = labels) -> list[int]:
            hits = [
                i
                for i, label in enumerate(labels)
                if len(label) > 1 and re.search(rf"(?<![\w.\-]){re.escape(label)}(?![\w\-])", text, re.IGNORECASE)
            ]
            longest = max((len(labels[i]) for i in hits), default=0)
            return [i for i in hits if len(labels[i]) == longest]

        a, b = row_in(left), row_in(right)
        if len(a) != 1 or len(b) != 1 or a == b:
            continue
        columns = (
            _columns(s, table)
            if stems(s.text) & {w for j in table.value_columns for w in stems(table.columns[j])}
            else list(table.value_columns)
        )
        signs = []
        for j in columns:
            x, y = table.numbers[a[0]][j], table.numbers[b[0]][j]
            if x is None or y is None or re.search(r"^n$|total|count|params|size", table.columns[j], re.IGNORECASE):
                continue
            flip = -1 if _lower_better(table.columns[j]) and not re.search(r"higher|exceed", m[0], re.IGNORECASE) else 1
            signs.append((flip * (x.percent - y.percent), x, y, j))
        if signs and all(d < 0 for d, *_ in signs):
            _d, x, y, j = signs[0]
            sure = len(columns) == 1 and table.section == s.section
            yield LogFinding(
                "error" if sure and not _lower_better(table.columns[j]) else "weak",
                "rank",
                f"'{_short(s.text)}': {table.columns[j]} is {x} for {labels[a[0]]} and {y} for {labels[b[0]]}",
                s.line,
                s.source,
                (x.percent, y.percent),
            )
        elif signs:
            yield LogFinding("holds", "rank", _short(s.text), s.line, s.source)
        return
