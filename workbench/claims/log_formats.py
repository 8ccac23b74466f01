"""Logs that are no plain text: CSV, JSON, notebooks, HTML, and the numbers of a claims file."""

import csv
import io
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.claims.log_builder import LogBuilder, unreadable
from workbench.claims.log_markdown import read_markdown
from workbench.claims.log_numbers import Number, plain, read_cell, read_numbers
from workbench.claims.log_repairs import has_decimal_commas, repaired, with_points
from workbench.claims.log_text import LogText

if TYPE_CHECKING:
    from bs4 import Tag

MOST_ROWS = 20_000  # of a table of data


class _Lines:
    """The lines of a file, in which what was parsed out of it is looked up again, from the last place on."""

    def __init__(self, text: str):
        self.lines, self.at = text.splitlines(), 0

    def of(self, *needles: str) -> int:
        """The line of the first of some texts that stands in the file from here on; that of the last one found, where none does."""
        for n in range(self.at, len(self.lines)):
            if any(needle in self.lines[n] for needle in needles):
                self.at = n
                break
        return self.at + 1


# ---- tables of data


def read_csv(text: str, source: str, delimiter: str = "") -> LogText:
    """A CSV or TSV file; lines that begin with # are sentences."""
    lines = [repaired(line) for line in text.splitlines()]
    log = LogBuilder(source)
    log.last_text = Path(source).stem
    data = [line for line in lines if not line.startswith("#")]
    delimiter = delimiter or max(",;\t|", key="".join(data[:1]).count)
    for n, line in enumerate(lines, 1):
        if line.startswith("#"):
            log.sentences(line.lstrip("# "), n)
    told = [with_points(line) for line in lines] if delimiter != "," and has_decimal_commas(text) else lines
    reader = csv.reader(io.StringIO("\n".join(told)), delimiter=delimiter)
    rows, where = [], []
    try:
        for row in reader:
            if any(c.strip() for c in row) and not row[0].startswith("#"):
                rows.append(row)
                where.append(reader.line_num)
    except csv.Error as error:
        log.unread.append((source, reader.line_num, str(error)))
    if len(rows) > 1:
        width = len(rows[0])
        why = f"a row whose number of cells is not {width}"
        log.unread += [(source, n, why) for row, n in zip(rows, where, strict=True) if len(row) != width]
        first, places = _first_rows(log, rows[1:], where[1:])
        log.table(rows[0], first, where[0], places)
    return log.log(lines)


def _first_rows(log: LogBuilder, rows: list, where: Sequence[int]) -> tuple[list, list[int]]:
    """The rows of a table of data that are read, and their lines; the others are counted as unread, in one entry."""
    if (more := len(rows) - MOST_ROWS) > 0:
        log.unread.append(
            (log.source, where[MOST_ROWS], f"the {more:,} rows from here on: of a table of data {MOST_ROWS:,} are read")
        )
    return rows[:MOST_ROWS], list(where[:MOST_ROWS])


def read_parquet(path: Path) -> LogText:
    """A parquet file; its rows are counted from line 2, as those of a CSV file are."""
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except Exception as error:
        return unreadable(str(path), f"no parquet file: {error}")
    columns = [str(c) for c in frame.columns]
    log = LogBuilder(str(path))
    log.last_text = path.stem
    cells = frame.astype(object).where(frame.notna(), None)
    first, places = _first_rows(log, cells.to_numpy().tolist(), range(2, len(frame) + 2))
    rows = [[_shown(v) for v in row] for row in first]
    log.table(columns, rows, 1, places)
    return log.log(["  ".join(row) for row in [columns, *rows]])


def _shown(value: object) -> str:
    value = value.tolist() if hasattr(value, "tolist") else value  # an array of numpy in a cell of parquet
    if value is None or value != value:
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.12g}" if value != int(value) or abs(value) > 1e15 else f"{value:.1f}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def read_json(text: str, source: str, by_line: bool = False) -> LogText:
    """A JSON document, or one per line."""
    lines = text.splitlines()
    log = LogBuilder(source)
    log.last_text = Path(source).stem
    if by_line:
        records, where = [], []
        for n, line in enumerate(lines, 1):
            try:
                records += [json.loads(line)] if line.strip() else []
                where += [n] if line.strip() else []
            except ValueError as error:  # no JSON, or a number of thousands of digits
                log.unread.append((source, n, str(error)))
        _records(log, records, where)
        return log.log(lines)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        if len(lines) > 1 and text.lstrip().startswith("{"):
            return read_json(text, source, by_line=True)
        return unreadable(source, f"no JSON: {error.msg}", error.lineno, lines)
    except ValueError as error:  # a number of thousands of digits
        return unreadable(source, f"no JSON: {error}", 0, lines)
    _document(log, data, "", _Lines(text))
    return log.log(lines)


def _records(log: LogBuilder, records: Sequence[Any], where: list[int]) -> None:
    """A table of records, which may be nested: a key in a key is "outer inner"."""
    there = [(r, n) for r, n in zip(records, where, strict=True) if isinstance(r, Mapping)]
    first, places = _first_rows(log, [r for r, _ in there], [n for _, n in there])
    flat = [_flat(r) for r in first]
    columns = list(dict.fromkeys(k for r in flat for k in r))
    if flat:
        rows = [[_shown(r.get(c)) for c in columns] for r in flat]
        log.table(columns, rows, places[0], places)


def _flat(record: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        flat |= _flat(value, f"{before}{key} ") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return flat


def _document(log: LogBuilder, data: Any, name: str, lines: _Lines) -> None:
    """Tables of a JSON document: lists of records, records of records of the same keys, and the numbers that are left."""

    def line_of(key: object) -> int:
        return lines.of(json.dumps(str(key), ensure_ascii=False))

    if isinstance(data, list) and data and all(isinstance(d, Mapping) for d in data):
        where = []
        for record in data:
            where.append(line_of(next(iter(record))) if record else lines.at + 1)
            lines.at = min(lines.at + 1, len(lines.lines) - 1)
        log.last_text = name or log.last_text
        _records(log, data, where)
    if not isinstance(data, Mapping):
        return
    if _is_table(data):
        log.last_text = name or log.last_text
        _records(log, [{"name": k, **v} for k, v in data.items()], [line_of(k) for k in data])
        return
    left: list[tuple[str, str, int]] = []
    for key, value in data.items():
        line = line_of(key)
        if isinstance(value, Mapping | list):
            _document(log, value, f"{name} {key}".strip(), lines)
        elif value is not None and not isinstance(value, bool):
            left.append((str(key), _shown(value), line))
    log.block += bool(left)
    numeric = [given for given in left if re.fullmatch(r"[-+]?[\d.]+(?:e[-+]?\d+)?%?", given[1])]
    if len(numeric) >= 2:
        log.last_text = name or log.last_text
        keys, values, where = (list(part) for part in zip(*numeric, strict=True))
        log.table(keys, [values], where[0], where[:1])
    for key, shown, line in left:
        log.statement(f"{name} {key}: {shown}".strip().replace("_", " "), line)


def _is_table(data: Mapping[str, Any]) -> bool:
    """Whether a record is one of flat records that share a key."""
    inner = [v for v in data.values() if isinstance(v, Mapping)]
    if len(inner) < 2 or len(inner) < len(data):
        return False
    flat = not any(isinstance(x, Mapping | list) for v in inner for x in v.values())
    return flat and bool(set.intersection(*(set(map(str, v)) for v in inner)))


# ---- claims files


def is_claims_file(path: str | Path) -> bool:
    """Whether a TOML file is one of claims, not a project's settings; one that is broken is, where it names a claim."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        return bool({"claim", "log"} & set(tomllib.loads(text)))
    except tomllib.TOMLDecodeError:
        return "[[claim" in text
    except (OSError, UnicodeDecodeError):
        return False


def is_short_claims_file(path: str | Path) -> bool:
    """Whether a claims file gives no more than ids, statements and numbers, so that it is audited as a log is."""
    try:
        claims = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("claim")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False
    short = {"id", "statement", "numbers", "n", "title"}
    return (
        isinstance(claims, list)
        and bool(claims)
        and all(isinstance(c, dict) and {"statement"} <= set(c) <= short for c in claims)
    )


def read_claims_file(text: str, source: str) -> LogText:
    """The statements, numbers and tables of a claims file, read as a log's."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return unreadable(source, f"no TOML: {error}", 0, text.splitlines())
    lines = text.splitlines()
    log = LogBuilder(source)

    def line_of(value: object) -> int:
        needle = json.dumps(value, ensure_ascii=False)
        return next((n for n, line in enumerate(lines, 1) if needle in line), 1)

    for table in data.get("table", ()):
        log.section += 1
        _claims_table(log, table, line_of(table.get("id", "")))
    for claim in data.get("claim", ()):
        log.section += 1
        log.block += 1
        line = line_of(claim.get("statement", ""))
        statement = str(claim.get("statement", ""))
        log.sentences(statement, line)
        given = claim.get("numbers", {})
        named = given.items() if isinstance(given, Mapping) else (("", g) for g in given if isinstance(given, list))
        said = [(key, value, _is_said(value, read_numbers(statement))) for key, value in named]
        two = len(said) == 2 and not all(in_statement for *_, in_statement in said)  # they are compared
        parts = [f"{key.replace('_', ' ')} {_said_number(v)}".strip() for key, v, told in said if two or not told]
        log.sentences(", against ".join(parts) if len(parts) == 2 else "; ".join(parts), line)
    return log.log(lines)


def _claims_table(log: LogBuilder, table: Mapping[str, Any], line: int) -> None:
    heads = [str(h).rpartition(": ") for h in table.get("columns", ())]
    columns = [f"{name} %" if kind.startswith(("percent", "share")) else name or kind for name, _, kind in heads]
    n = f" (n = {table['n']})" if isinstance(table.get("n"), int) else ""
    shares = {j for j, (_, _, kind) in enumerate(heads) if kind.startswith("share")}
    rows = [
        ["" if c == "-" else _shown(_percent(c) if j in shares else c) for j, c in enumerate(row)]
        for row in table.get("rows", ())
        if isinstance(row, list)
    ]
    log.table(columns, rows, line, [line] * len(rows), f"{table.get('title', '')}{n}")


def _percent(share: object) -> object:
    """A share as a percentage with the digits that it has: 0.886 is 88.6."""
    if isinstance(share, float):
        return f"{Decimal(str(share)).scaleb(2):f}"
    return 100 * share if isinstance(share, int) and not isinstance(share, bool) else share


def _is_said(value: object, numbers: Sequence[Number]) -> bool:
    """Whether a statement gives a number of its claim, with its n: what is wrong with it is then said of the statement."""
    if not isinstance(value, Mapping) or "n" not in value:
        return False
    share = value.get("percent", _percent(value.get("share")))
    ns = {x.value for x in numbers if x.kind == "n"}
    return any(
        (x.n or value["n"]) == value["n"]
        and (x.n or value["n"] in ns)
        and (
            x.successes == value["count"] if "count" in value else x.kind == "percent" and x.value == float(share or 0)
        )
        for x in numbers
    )


def _said_number(value: object) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    if "count" in value:
        return f"{value['count']}/{value.get('n', '?')}"
    percent = value.get("percent", _percent(value.get("share")))
    if percent is None:
        return str(value.get("value", ""))
    return f"{percent}%" + (f" (n = {value['n']})" if "n" in value else "")


# ---- notebooks


def read_notebook(text: str, source: str) -> LogText:
    """The text and the outputs of a notebook, with the lines of its file."""
    try:
        contents = list(_contents(json.loads(text)["cells"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return unreadable(source, f"no notebook: {error}", 1)
    log, places = LogBuilder(source), _Lines(text)
    shown: list[tuple[int, str]] = []
    for content, is_html in contents:
        lines = []
        for line in content.splitlines():
            needles = {json.dumps(line, ensure_ascii=False)[1:-1], json.dumps(line)[1:-1]}
            lines.append((places.of(*needles) if line.strip() else places.at + 1, repaired(line)))
        shown += lines
        log.block += 1
        if is_html:
            _Html(log, [n for n, _ in lines]).read(content)
        else:
            read_markdown(log, lines)
    return log.log([line for _, line in shown], [n for n, _ in shown])


def _contents(cells: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, bool]]:
    """What a notebook shows, and whether it is HTML: of each output the table, else the text."""
    for cell in cells:
        if cell.get("cell_type") == "markdown":
            yield _joined(cell.get("source")), False
        for output in cell.get("outputs", ()) if cell.get("cell_type") == "code" else ():
            data = output.get("data", {})
            if "<table" in (html := _joined(data.get("text/html"))):
                yield html, True
            elif said := data.get("text/markdown", data.get("text/plain")):
                yield _joined(said), False
            elif output.get("output_type") == "stream" and output.get("name") != "stderr":
                yield _joined(output.get("text")), False


def _joined(value: object) -> str:
    return "".join(value) if isinstance(value, list) else str(value or "")


# ---- HTML


def read_html(text: str, source: str) -> LogText:
    """A page: its headings, blocks of text and tables."""
    lines = text.splitlines()
    log = LogBuilder(source)
    _Html(log, list(range(1, len(lines) + 1))).read(text)
    return log.log(lines)


class _Html:
    """Reads HTML into a log; ``lines`` are the numbers, in the file, of the lines of the HTML."""

    SKIPPED = ("script", "style", "svg", "head", "template")
    BLOCKS = tuple(
        "p li h1 h2 h3 h4 h5 h6 caption figcaption pre div dt dd blockquote section article table ul ol main body html".split()  # noqa: SIM905
    )

    def __init__(self, log: LogBuilder, lines: list[int]):
        self.log, self.lines = log, lines

    def read(self, text: str) -> None:
        from bs4 import BeautifulSoup

        self.block(BeautifulSoup(text, "html.parser"))

    def block(self, tag: "Tag") -> None:
        """The text of a block, with what stands between the blocks inside it."""
        from bs4 import Tag
        from bs4.element import PreformattedString

        line, text, begins = tag.sourceline or 1, "", 0
        for child in tag.children:
            if isinstance(child, Tag):
                line = child.sourceline or line
                if child.name in self.SKIPPED:
                    continue
                if child.name in self.BLOCKS or child.find(self.BLOCKS):
                    self.say(tag.name, text, begins)
                    self.table(child) if child.name == "table" else self.block(child)
                    text = ""
                    continue
                part = " " if child.name == "br" else child.get_text()
            else:
                part = "" if isinstance(child, PreformattedString) else str(child)  # comments
            if not text.strip():
                begins = line + part[: len(part) - len(part.lstrip())].count("\n")
            text += part
            line += part.count("\n") if not isinstance(child, Tag) else 0
        self.say(tag.name, text, begins)

    def line(self, n: int) -> int:
        return self.lines[min(n, len(self.lines)) - 1] if self.lines else n

    def say(self, kind: str, text: str, begins: int) -> None:
        if not text.strip():
            return
        text, line = repaired(text), self.line(begins)
        words = " ".join(text.split())
        if re.fullmatch(r"h[1-6]", kind):
            self.log.heading(int(kind[1]), words, line)
        elif kind == "pre":
            read_markdown(
                self.log, [(self.line(begins + k), part) for k, part in enumerate(text.strip("\n").splitlines())]
            )
        else:
            self.log.block += kind not in ("li", "dd")
            self.log.sentences(words, line)
            self.log.last_text = plain(words)

    def table(self, table: "Tag") -> None:
        caption = table.find("caption")
        title = " ".join(caption.get_text().split()) if caption else ""
        if caption and title:
            self.log.sentences(title, self.line(caption.sourceline or 1))
        found = [tr for tr in table.find_all("tr") if tr.find_parent("table") is table]
        cells = _spanned([[c for c in tr.find_all(("td", "th")) if c.find_parent("tr") is tr] for tr in found])
        filled = [(row, self.line(tr.sourceline or 1)) for row, tr in zip(cells, found, strict=True) if any(row)]
        if len(filled) < 2:
            return
        rows, where = [row for row, _ in filled], [n for _, n in filled]
        if len(rows) > 2 and (head := _two_heads(*rows[:2])):
            rows, where = [head, *rows[2:]], where[1:]
        self.log.table(rows[0], rows[1:], self.line(table.sourceline or 1), where[1:], title)
        self.log.wordy_cells(rows[1:], where[1:])


def _spanned(rows: list[list["Tag"]]) -> list[list[str]]:
    """The texts of the cells of a table, each where its row and column spans put it."""
    spanned: dict[tuple[int, int], str] = {}
    cells = []
    for i, row in enumerate(rows):
        texts: list[str] = []
        for cell in row:
            while (i, len(texts)) in spanned:
                texts.append(spanned[i, len(texts)])
            text = repaired(" ".join(cell.get_text(" " if cell.find("br") else "").split()))
            for k in range(min(_span(cell, "colspan"), 100)):
                for down in range(1, min(_span(cell, "rowspan"), len(rows) - i)):
                    spanned[i + down, len(texts)] = text
                texts.append(text if k == 0 or cell.name == "th" else "")
        cells.append(texts)
    return cells


def _span(cell: "Tag", key: str) -> int:
    said = str(cell.get(key, "1"))
    return max(int(said), 1) if said.isdigit() else 1


def _two_heads(first: list[str], second: list[str]) -> list[str]:
    """The head of a table whose head has two rows: groups of columns, or pandas' name of the index; empty where it has one."""
    if len(first) == len(second) and len(set(first)) < len(first) and not any(read_cell(c) for c in second):
        return [f"{a} {b}".strip() if a != b else a for a, b in zip(first, second, strict=True)]
    named = bool(first and second) and not first[0] and bool(second[0]) and not any(second[1:])
    return [second[0], *first[1:]] if named else []
