"""Which table, rows and columns does a sentence speak of?"""

import re

from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rules.row_names import bare, is_mean, is_total, stems

_MOST_ROWS = 300


def tables_near(log: LogText, s: Statement) -> list[LogTable]:
    """The table right below a sentence, else those of its section, else of the section around it, else the last above."""
    tables = [t for t in log.tables if t.source == s.source and len(t.rows) <= _MOST_ROWS]
    around = s.heading[:-1]
    return (
        [t for t in tables if 0 < t.line - s.line <= 3 and t.title.startswith(s.text[:40])]
        or [t for t in tables if t.section == s.section]
        or [t for t in tables if around and t.heading[: len(around)] == around and abs(t.line - s.line) < 60]
        or [t for t in tables if 0 < s.line - t.line < 40][-1:]
    )


def columns_told(text: str, table: LogTable) -> list[int]:
    """The columns a text names: those that share most words with it, if any; the only one, where there is one."""
    words = stems(text)
    heads = {j: stems(table.columns[j]) for j in table.value_columns}
    shared = {j: len(head & words) / (len(head) or 1) for j, head in heads.items()}
    most = max(shared.values(), default=0)
    if most > 0:
        return [j for j, share in shared.items() if share == most]
    said = _words(text)
    general = [j for j, head in heads.items() if not head and _words(table.columns[j]) & said]  # "rate" has no stem
    return general or (list(heads) if len(heads) == 1 else [])


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def body(table: LogTable, j: int) -> list[tuple[int, Number]]:
    """The numbers of a column with their rows, without rows of totals and means."""
    rows = enumerate(table.column(j))
    return [(i, x) for i, x in rows if x and not is_total(table.label(i)) and not is_mean(table.label(i))]


def row_named(table: LogTable, text: str) -> int | None:
    """The one row whose label stands in a text; of several the longest."""
    labels = {i: bare(table.label(i)) for i in range(len(table.rows))}
    named = {
        i: label
        for i, label in labels.items()
        if len(label) > 1 and re.search(rf"(?<![\w.\-]){re.escape(label)}(?![\w\-])", text, re.IGNORECASE)
    }
    longest = max(map(len, named.values()), default=0)
    rows = [i for i, label in named.items() if len(label) == longest]
    return rows[0] if len(rows) == 1 else None


def clause(text: str, start: int, end: int) -> str:
    """The part of a sentence, between commas and joints, that a word stands in."""
    before = re.split(r"[;,:]|\b(?:while|whereas|but)\b", text[:start])[-1]
    after = re.split(r"[;,:]|\b(?:while|whereas|but)\b", text[end:])[0]
    return f"{before} {text[start:end]} {after}"
