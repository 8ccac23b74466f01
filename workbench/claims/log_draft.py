"""A claims file of what was read in a log, to be edited: its tables, its sentences with rates as claims, and the checks that apply."""

import json
import re
from pathlib import Path

from workbench._errors import WorkbenchError
from workbench._files import whole
from workbench.claims.log_numbers import Number
from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rules.units import n_of_cell

_MOST_TABLES, _MOST_CLAIMS = 30, 60


def write_draft(log: LogText, path: str | Path) -> Path:
    """Write the draft. Returns its path.

    Raises:
        WorkbenchError: the file is there already, or the log has no sentence with a rate.
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
        WorkbenchError: the log has no sentence with a rate.
    """
    tables = [(f"T{k}", t) for k, t in enumerate((t for t in log.tables if t.value_columns and len(t.rows) <= 200), 1)][
        :_MOST_TABLES
    ]
    claims = [
        s
        for s in log.statements
        if not s.is_heading and any(x.kind in ("percent", "count", "mean", "auc", "p", "points") for x in s.numbers)
    ][:_MOST_CLAIMS]
    if not claims:
        raise WorkbenchError(f"{log.source}: no sentence with a rate, a mean or a p-value to make a claim of")
    parts = [
        "# Drafted from a log by workbench audit --draft: keep what is a claim, delete the rest, and fill in what is not given.",
        f"[log]\nid = {_quoted(Path(log.source).stem[:40] or 'log')}\ntitle = {_quoted(Path(log.source).name)}",
    ]
    written = {}
    for name, table in tables:
        body, percents = _table(log, name, table)
        parts.append(body)
        written[name] = (table, percents)
    for k, s in enumerate(claims, 1):
        parts.append(_claim(k, s, written))
    return "\n\n".join(parts) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(re.sub(r"[\x00-\x1f\x7f]", " ", text), ensure_ascii=False)


def _heads(table: LogTable) -> list[str]:
    heads: list[str] = []
    for j, head in enumerate(table.columns):
        name = re.sub(r"[^\w %=-]", " ", head.replace(".", "_")).strip() or f"column {j + 1}"
        name = re.sub(r"\s+", " ", name)
        heads.append(name if name not in heads else f"{name} {j + 1}")
    return heads


def _table(log: LogText, name: str, table: LogTable) -> tuple[str, list[str]]:
    """A table of the claims file, and the names of its columns of counts and percentages with an n."""
    heads, kinds, percents, units = _heads(table), [], [], None
    ns = table.n_columns
    known = {
        n_of_cell(log, table, i, j)
        for j in table.value_columns
        for i in range(len(table.rows))
        if _is_rate(table.numbers[i][j])
    }
    single = {n for pair in known if pair for n in [pair[0]]}
    units = single.pop() if len(single) == 1 and None not in known else None
    for j, _head in enumerate(heads):
        cells = [c for c in table.column(j) if c is not None]
        if j not in table.value_columns or not cells:
            kinds.append("text")
        elif all(c.kind == "percent" and not c.signed and c.value >= 0 for c in cells):
            kinds.append("percent")
        elif all(c.kind == "count" for c in cells) and units:
            kinds.append("count")
        elif j in ns and len(ns) == 1 and len(cells) == len(table.rows):
            kinds.append("n")
        else:
            kinds.append("number")
        if kinds[-1] in ("percent", "count") and (units or len(ns) == 1):
            percents.append(heads[j])
    rows = [
        f"    [{', '.join(_cell(table, i, j, kinds[j]) for j in range(len(heads)))}]," for i in range(len(table.rows))
    ]
    n = "" if "n" in kinds else f"n = {units}\n" if units else 'n = "not given"\n'
    columns = ", ".join(_quoted(f"{h}: {k}") for h, k in zip(heads, kinds, strict=True))
    title = _quoted((table.title.splitlines() or ["table"])[0][:120] or "table")
    head = f'[[table]]\nid = "{name}"\ntitle = {title}\nprovenance = "L"\nsource = {_quoted(f"line {table.line}")}\n{n}columns = [{columns}]'  # noqa: E501
    body = "\n".join(rows)
    return f"{head}\nrows = [\n{body}\n]", percents if len(table.rows) else []


def _is_rate(x: Number | None) -> bool:
    return x is not None and x.kind in ("percent", "count")


def _cell(table: LogTable, i: int, j: int, kind: str) -> str:
    x = table.numbers[i][j]
    if kind == "text":
        return _quoted(table.rows[i][j])
    if x is None:
        return '"-"'
    if kind in ("count", "n") or (x.step >= 1 and x.value == int(x.value)):
        return f"{int(x.value)}"
    places = max(0, len(f"{x.step:.10f}".rstrip("0").partition(".")[2]))
    return f"{x.value:.{places}f}"


def _claim(k: int, s: Statement, tables: dict[str, tuple[LogTable, list[str]]]) -> str:
    own = [name for name, (t, _) in tables.items() if t.section == s.section and t.source == s.source]
    listed = f"tables = {json.dumps(own)}\n" if own else ""
    lines = [
        f'[[claim]]\nid = "C.{k}"\ntitle = {_quoted(s.text[:60])}\nsection = {_quoted(f"line {s.line}")}\nkind = "measurement"   # measurement, comparison, interpretation or method',  # noqa: E501
        f'statement = {_quoted(s.text)}\nmodels = ["not given"]\n{listed}',
    ]
    for key in ("site", "positions", "normalisation", "decoding", "scorer"):
        if key == "site":
            lines.append("[claim.method]")
        lines.append(f'{key} = "not given"')
    lines.append('n = "not given"\n')
    numbers = [x for x in s.numbers if x.kind in ("percent", "count", "number")]
    given = []
    for m, x in enumerate(numbers, 1):
        if x.kind == "count" and x.n:
            given.append(f"number{m} = {{ count = {int(x.value)}, n = {x.n} }}")
        elif x.kind == "percent" and x.n and x.value <= 100:
            given.append(f"number{m} = {{ percent = {x.value:g}, n = {x.n} }}")
    if given:
        lines.append("[claim.numbers]\n" + "\n".join(given) + "\n")
        for m, x in enumerate(numbers, 1):
            if x.kind == "percent" and x.n and x.value <= 100:
                lines.append(f'[[claim.check]]\ntest = "grim"\nof = "number{m}"\n')
    for name in own:
        for column in tables[name][1]:
            lines.append(f'[[claim.check]]\ntest = "grim"\nof = {_quoted(f"{name}.{column}")}\n')
    lines.append(
        '[claim.replication]\ndesign = "not given"\nexpected = ["not run"]\nwhy = "a draft: name site, scorer and criterion to replicate it"'  # noqa: E501
    )
    return "\n".join(lines)
