"""A claims file of what was read in a log, to be edited: its tables, its sentences with rates as claims, and the checks that apply."""

import json
import re
from pathlib import Path

from workbench._errors import WorkbenchError
from workbench._files import whole
from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rules.finding import short
from workbench.claims.rules.row_names import bare
from workbench.claims.rules.units import RATE, column_is_averaged, n_of_cell, sentence_counts

_MOST_TABLES, _MOST_CLAIMS = 30, 60
_METHOD = ("site", "positions", "normalisation", "decoding", "scorer", "n")
_BEGINS = re.compile(r"[\s\w\"'“(\[~≈<>+±$*-]")  # not with a sign of a tree of files or of a list of tasks


def write_draft(log: LogText, path: str | Path) -> Path:
    """Write the draft. Returns its path.

    Raises:
        WorkbenchError: the file is there already, or the log has no table of numbers and no sentence with a rate.
    """
    target = Path(path)
    if target.exists():
        raise WorkbenchError(f"{target} is there already; give another name to --draft")
    text = draft(log)
    with whole(target) as beside:
        beside.write_text(text, encoding="utf-8")
    return target


def draft(log: LogText) -> str:
    """The text of the claims file.

    Raises:
        WorkbenchError: the log has no table of numbers, and no sentence with a rate.
    """
    fitting = [t for t in log.tables if t.value_columns and len(t.rows) <= 200][:_MOST_TABLES]
    tables = {f"T{k}": _Drafted(log, f"T{k}", t) for k, t in enumerate(fitting, 1)}
    sentences = [s for s in log.statements if _is_claim(s)][:_MOST_CLAIMS]
    if not sentences and not tables:
        raise WorkbenchError(f"{log.source}: no table of numbers, and no sentence with a rate, to make a claim of")
    unsaid = "\n".join(f'{key} = "not given"' for key in _METHOD)
    parts = [
        "# Drafted from a log by workbench audit --draft: keep what is a claim, delete the rest, and fill in what is not given.",
        f"[log]\nid = {_quoted(Path(log.source).stem[:40] or 'log')}\ntitle = {_quoted(Path(log.source).name)}",
        f"[method]  # of every claim; [claim.method] says otherwise for one\n{unsaid}",
        *(drafted.text for drafted in tables.values()),
    ]
    unchecked = dict(tables)  # the percentages of a table are checked at the first claim that rests on it
    for k, s in enumerate(sentences, 1):
        own = {name: d for name, d in tables.items() if (d.table.section, d.table.source) == (s.section, s.source)}
        parts.append(_claim(log, k, s, own, [unchecked.pop(name) for name in own if name in unchecked]))
    alone = [(name, drafted) for name, drafted in unchecked.items() if drafted.percents or not sentences]
    for k, (name, drafted) in enumerate(alone, len(sentences) + 1):
        s = Statement(f"The numbers of table {name} are as printed.", drafted.table.line)
        parts.append(_claim(log, k, s, {name: drafted}, [drafted]))
    return "\n\n".join(parts) + "\n"


def _is_claim(s: Statement) -> bool:
    results = any(x.kind in ("percent", "count", "mean", "auc", "p", "points") for x in s.numbers)
    return results and not s.is_heading and bool(_BEGINS.match(s.text))


def _quoted(text: str) -> str:
    return json.dumps(re.sub(r"[\x00-\x1f\x7f]", " ", text), ensure_ascii=False)


def _heads(table: LogTable) -> list[str]:
    heads: list[str] = []
    for j, head in enumerate(table.columns):
        name = re.sub(r"[^\w %=-]", " ", head.replace(".", "_")).strip() or f"column {j + 1}"
        name = re.sub(r"\s+", " ", name)
        heads.append(name if name not in heads else f"{name} {j + 1}")
    return heads


class _Drafted:
    """A table of the claims file: its text, and the names of its columns of percentages with an n."""

    def __init__(self, log: LogText, name: str, table: LogTable):
        self.table, heads = table, _heads(table)
        rates = [(i, j) for j in table.value_columns for i in range(len(table.rows)) if _is_rate(table.numbers[i][j])]
        ns = {n_of_cell(log, table, i, j) for i, j in rates}
        sizes = {n.value for n in ns if n}
        units = sizes.pop() if len(sizes) == 1 and None not in ns else None
        kinds = [_kind(table, j, units) for j in range(len(heads))]
        counted = bool(units) or "n" in kinds
        self.percents = [
            f"{name}.{h}"
            for j, (h, kind) in enumerate(zip(heads, kinds, strict=True))
            if kind in ("percent", "share") and counted and not column_is_averaged(table, j)
        ]
        cells = ([_cell(table, i, j, kind) for j, kind in enumerate(kinds)] for i in range(len(table.rows)))
        lines = [
            "[[table]]",
            f'id = "{name}"',
            f"title = {_quoted(short((table.title.splitlines() or ['table'])[0], 120) or 'table')}",
            'provenance = "L"',
            f"source = {_quoted(f'line {table.line}')}",
            *([] if "n" in kinds else [f"n = {units}" if units else 'n = "not given"']),
            f"columns = [{', '.join(_quoted(f'{h}: {kind}') for h, kind in zip(heads, kinds, strict=True))}]",
            "rows = [",
            *(f"    [{', '.join(row)}]," for row in cells),
            "]",
        ]
        self.text = "\n".join(lines)


def _kind(table: LogTable, j: int, units: int | None) -> str:
    """The type of a column in the claims file."""
    cells = [c for c in table.column(j) if c is not None]
    if j not in table.value_columns or not cells:
        return "text"
    if all(c.kind == "percent" and not c.signed and c.value >= 0 for c in cells):
        return "percent"
    if table.n_columns and RATE.search(table.columns[j]) and all(0 <= c.value <= 1 and c.step < 0.1 for c in cells):
        return "share"
    if all(c.kind == "count" for c in cells) and units:
        return "count"
    return "n" if table.n_columns == (j,) and len(cells) == len(table.rows) else "number"


def _is_rate(x: Number | None) -> bool:
    return x is not None and x.kind in ("percent", "count")


def _cell(table: LogTable, i: int, j: int, kind: str) -> str:
    x = table.numbers[i][j]
    if kind == "text":
        return _quoted(bare(table.rows[i][j]))
    if x is None:
        return '"-"'
    if kind in ("count", "n") or (x.step >= 1 and x.value == int(x.value)):
        return f"{int(x.value)}"
    places = max(0, len(f"{x.step:.10f}".rstrip("0").partition(".")[2]))
    return f"{x.value:.{places}f}"


def _claim(log: LogText, k: int, s: Statement, own: dict[str, _Drafted], checked: list[_Drafted]) -> str:
    """A sentence as a claim, with its numbers, the tables of its section and the checks that apply."""
    counts = [c for c in sentence_counts(log, s) if c.where in ("cell", "sentence") and c.k <= c.n]
    given = [
        f"number{m} = {{ count = {c.k}, n = {c.n} }}"
        if c.number.successes is not None
        else f"number{m} = {{ percent = {c.number.value:g}, n = {c.n} }}"
        for m, c in enumerate(counts, 1)
    ]
    lines = [
        "[[claim]]",
        f'id = "C.{k}"',
        f"title = {_quoted(short(s.text, 60))}",
        f"section = {_quoted(f'line {s.line}')}",
        'kind = "measurement"  # or comparison, interpretation, method',
        f"statement = {_quoted(s.text)}",
        'models = ["not given"]',
        *([f"tables = {json.dumps(list(own))}"] if own else []),
        'replication = { design = "not given", expected = ["not run"], why = "a draft: a replication needs site, scorer and criterion" }',
    ]
    parts = ["\n".join(lines)]
    if given:
        parts.append("[claim.numbers]\n" + "\n".join(given))
    of = [f"number{m}" for m, c in enumerate(counts, 1) if c.number.successes is None]
    of += [column for drafted in checked for column in drafted.percents]
    parts += [f'[[claim.check]]\ntest = "grim"\nof = {_quoted(name)}' for name in of]
    if len(counts) == 2 and counts[0].rate != counts[1].rate:
        first = counts[0].rate > counts[1].rate
        higher, lower = ("number1", "number2") if first else ("number2", "number1")
        parts.append(f'[[claim.check]]\ntest = "differs"\nhigher = "{higher}"\nlower = "{lower}"')
    return "\n\n".join(parts)
