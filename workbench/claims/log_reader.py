"""What does a log hold? Tables and sentences with numbers, each with its lines, from the file as it is.

Reads Markdown, plain text, HTML, notebooks, CSV, TSV, JSON, JSONL and parquet, folders of them, and texts. What cannot be
read is counted, never guessed.
"""

import csv
import io
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError
from workbench.claims.log_numbers import Number, plain, read_cell, read_numbers, settings_of

#: what files of a folder are read
SUFFIXES = tuple(".md .markdown .txt .rst .log .html .htm .ipynb .csv .tsv .json .jsonl .parquet".split())  # noqa: SIM905
_MOST_ROWS = 20_000  # of a table of data


@dataclass(frozen=True)
class LogTable:
    """A table as it is printed.

    Attributes:
        title: the caption, or the line or heading right above it.
        heading: the headings it stands under, outermost first.
        columns: the head of each column.
        rows: the cells of each row, as text, as many as there are columns.
        line, row_lines: where it begins, and where each row is.
        context: the sentences of its section, where an n may be given.
        source: the file.
    """

    title: str
    heading: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    line: int
    row_lines: tuple[int, ...]
    context: str = ""
    source: str = ""
    section: int = 0

    @cached_property
    def numbers(self) -> tuple[tuple[Number | None, ...], ...]:
        """The number of each cell, or None: shape [row][column]. A "%" in a column's head makes percentages of its numbers."""
        units = [_unit_of_head(head) for head in self.columns]
        rows = []
        for cells, line in zip(self.rows, self.row_lines, strict=True):
            row: list[Number | None] = []
            for cell, unit in zip(cells, units, strict=True):
                number = read_cell(cell, line)
                if number and number.kind == "number" and unit and not number.unit:
                    number = replace(number, kind="percent")
                elif number and number.kind == "mean" and unit:
                    number = replace(number, unit="%")
                row.append(number)
            rows.append(tuple(row))
        return tuple(rows)

    @cached_property
    def label_column(self) -> int | None:
        """The column that names the rows: the first with words or settings in most cells, else the first."""
        for j in range(min(len(self.columns), 3)):
            if sum(row[j] is None for row in self.numbers) * 2 > len(self.rows):
                return j
        unnamed = (
            not self.columns
            or _numeric_result(self.columns[0])
            or self.columns[0].strip().lower() in ("n", "k", "count")
        )
        return None if unnamed else 0

    def label(self, i: int) -> str:
        """What row i is called: the cells before its first number that are words."""
        if self.label_column is None:
            return ""
        return self.rows[i][self.label_column]

    def column(self, j: int) -> tuple[Number | None, ...]:
        """The numbers of column j."""
        return tuple(row[j] for row in self.numbers)

    @cached_property
    def value_columns(self) -> tuple[int, ...]:
        """The columns that hold numbers in at least half of their cells, without the one that names the rows."""
        label = self.label_column
        return tuple(
            j
            for j in range(len(self.columns))
            if j != label and 2 * sum(row[j] is not None for row in self.numbers) >= max(1, len(self.rows))
        )


@dataclass(frozen=True)
class Statement:
    """One sentence or item of a list.

    Attributes:
        text: without emphasis and with ASCII signs.
        line: where it begins in the file.
        heading: the headings it stands under, outermost first.
        block: its paragraph or list; sentences of one block belong together.
        section: the number of its heading.
        source: the file.
    """

    text: str
    line: int
    heading: tuple[str, ...] = ()
    block: int = 0
    section: int = 0
    source: str = ""
    is_heading: bool = False

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """What ``read_numbers`` reads in it."""
        return tuple(read_numbers(self.text, self.line))

    @cached_property
    def settings(self) -> tuple[tuple[str, float], ...]:
        """The settings it names, such as ("layer", 12)."""
        return settings_of(self.text)


@dataclass(frozen=True)
class LogText:
    """A log as it is.

    Attributes:
        source: where it came from.
        lines: its text, line by line, as it is shown.
        tables, statements: what was read.
        unread: (file, line, why) of what could not be read.
        line_numbers: the line of its file that each of ``lines`` is on.
        sources: the file of each line, where there are several.
    """

    source: str
    lines: tuple[str, ...]
    tables: tuple[LogTable, ...]
    statements: tuple[Statement, ...]
    unread: tuple[tuple[str, int, str], ...] = ()
    line_numbers: tuple[int, ...] = ()
    sources: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        numbers = sum(len(s.numbers) for s in self.statements) + sum(
            c is not None for t in self.tables for r in t.numbers for c in r
        )
        unread = f"; {len(self.unread)} places could not be read" if self.unread else ""
        return f"{self.source}: {len(self.lines)} lines, {len(self.tables)} tables, {len(self.statements)} statements, {numbers} numbers{unread}"  # noqa: E501


def _unit_of_head(head: str) -> bool:
    return bool(re.search(r"%|\bpercent|\bpct\b", head, re.IGNORECASE)) and not re.search(r"%\s?CI\b|\b9[059]%", head)


def _numeric_result(head: str) -> bool:
    return bool(re.search(r"accuracy|rate|score|mean|%|count|total|refus|success", head, re.IGNORECASE))


def read_log(log: str | Path | Iterable[str | Path]) -> LogText:
    """Read a log: its tables and its sentences with numbers.

    Args:
        log: a file, a folder, several of them, or the text itself (whatever holds a line break, or names no file).
            "-" is standard input.

    Returns:
        Tables and statements with their lines; what could not be read is in ``unread``.

    Raises:
        WorkbenchError: a file that is not there, or nothing to read.

    >>> log = wb.read_log("Layer 12 refuses 31/35, layer 20 refuses 6/35.")
    >>> [(x.successes, x.n) for x in log.statements[0].numbers]
    [(31, 35), (6, 35)]
    """
    if isinstance(log, str | Path):
        return _read_one(log)
    parts = [_read_one(one) for one in log]
    return _joined(parts, ", ".join(p.source for p in parts))


def _read_one(log: str | Path) -> LogText:
    if isinstance(log, str) and log == "-":
        return read_text(sys.stdin.read(), "standard input")
    path = Path(log)
    try:
        there = not (isinstance(log, str) and "\n" in log) and path.exists()
    except OSError:  # a text too long for a file's name
        there = False
    if there and path.is_dir():
        files = sorted(
            f
            for f in path.rglob("*")
            if f.suffix.lower() in SUFFIXES and not any(p.startswith(".") for p in f.relative_to(path).parts)
        )
        if not files:
            raise WorkbenchError(f"{path} holds no file to audit; read are {', '.join(SUFFIXES)}")
        return _joined([_read_file(f) for f in files], str(path))
    if there:
        return _read_file(path)
    if isinstance(log, Path) or _looks_like_a_file(str(log)):
        raise WorkbenchError(
            f"{log}: no such file; give a file, a folder, or the numbers themselves, e.g. '31/35 vs 6/35'"
        )
    if not str(log).strip():
        raise WorkbenchError("nothing to audit: the text is empty")
    return read_text(str(log), "text")


def _looks_like_a_file(text: str) -> bool:
    return "\n" not in text and bool(
        re.fullmatch(r"\S+\.[A-Za-z]{1,8}|(?:\.{0,2}/)?(?:[\w.-]+/)+[\w.-]*[A-Za-z_][\w.-]*", text.strip())
    )


def _joined(parts: list[LogText], source: str) -> LogText:
    tables, statements, shift = [], [], 0
    for part in parts:
        tables += [replace(t, section=t.section + shift) for t in part.tables]
        statements += [replace(s, section=s.section + shift, block=s.block + shift) for s in part.statements]
        shift += 100_000
    return LogText(
        source,
        tuple(line for p in parts for line in p.lines),
        tuple(tables),
        tuple(statements),
        tuple(u for p in parts for u in p.unread),
        tuple(n for p in parts for n in p.line_numbers),
        tuple(p.source for p in parts for _ in p.lines),
    )


def _read_file(path: Path) -> LogText:
    kind = path.suffix.lower()
    if kind == ".parquet":
        import pandas as pd

        try:
            frame = pd.read_parquet(path)
        except Exception as error:
            return LogText(str(path), (), (), (), ((str(path), 0, f"no parquet file: {error}"),))
        return _table_log(
            str(path), [str(c) for c in frame.columns], frame.head(_MOST_ROWS).astype(object).to_numpy().tolist()
        )
    raw = path.read_bytes()
    if b"\0" in raw[:4096] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return LogText(str(path), (), (), (), ((str(path), 0, "not a text"),))
    text = _decoded(raw)
    return read_text(text, str(path), kind)


def _decoded(raw: bytes) -> str:
    for encoding in ("utf-8-sig", "utf-16") if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig",):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("cp1252", errors="replace")


def repaired(text: str) -> str:
    """A text whose UTF-8 was read as Mac Roman, Windows-1252 or Latin-1, as it was; any other text as it is.

    >>> repaired("Œ±=-15 ‚Üí 100%"), repaired("Î± â‰¥ 3"), repaired("α → 3")
    ('α=-15 → 100%', 'α ≥ 3', 'α → 3')
    """
    if text.isascii():
        return text
    if re.search(r"Œ|‚Ä|‚Ü|‚â|ü[îüçì]|√|¬±", text):
        try:
            return text.encode("mac_roman").decode("utf-8")
        except UnicodeError:
            pass
    if re.search(r"[ÎÏÃÂ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œ]|â[\u0080-\u00bf€‚„†‰ˆ]|ðŸ", text):
        for encoding in ("cp1252", "latin-1"):
            try:
                return text.encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
    return text


def read_text(text: str, source: str = "text", kind: str = ".md") -> LogText:
    """Read a text of a kind that a file's suffix names; Markdown and plain text are read alike.

    >>> read_text("a,refusals,n\\nbase,6,35\\n", "rates.csv", ".csv").tables[0].columns
    ('a', 'refusals', 'n')
    """
    if kind in (".csv", ".tsv"):
        return _read_csv(text, source, "\t" if kind == ".tsv" else "")
    if kind in (".json", ".jsonl"):
        return _read_json(text, source, kind)
    if kind == ".toml":
        return _read_claims_file(text, source)
    if kind == ".ipynb":
        return _read_notebook(text, source)
    stripped = text.lstrip()[:200].lower()
    if kind in (".html", ".htm") or stripped.startswith(("<!doctype html", "<html", "<table")):
        return _read_html(text, source)
    lines = [repaired(line) for line in text.splitlines()]
    reader = _Reader(source)
    reader.read(list(enumerate(lines, 1)))
    return reader.log(lines, range(1, len(lines) + 1))


_BULLET = re.compile(r"^\s*(?:[-*+•‣◦✓✗✅❌☐☑]|\d{1,3}[.)]|\[[ xX]\])\s+")
_RULE = re.compile(r"^\s*([=\-_*~#])\1{2,}\s*$")
_PIPE_RULE = re.compile(r"^\s*\|?\s*:?-{1,}:?\s*(?:\|\s*:?-{1,}:?\s*)*\|?\s*$")
_GRID_RULE = re.compile(r"^\s*\+(?:[-=:]+\+)+\s*$")
_SPACE_RULE = re.compile(r"^\s*[-=]{2,}(?:\s+[-=]{2,})+\s*$")
_BOX = re.compile(r"[│┃║]")
_BOX_RULE = re.compile(r"^\s*[┌├└┏┡┣┗╞╭╰─━═┬┼┴┐┤┘┳╇╋┻┓┩┫┛╡╮╯╪╤╧+\- ]+\s*$")


class _Reader:
    """Reads lines of Markdown or plain text into tables and statements."""

    def __init__(self, source: str):
        self.source = source
        self.tables: list[LogTable] = []
        self.statements: list[Statement] = []
        self.unread: list[tuple[str, int, str]] = []
        self.headings: list[tuple[int, str]] = []
        self.section = 0
        self.block = 0
        self.last_text = ""

    def log(self, lines: Iterable[str], numbers: Iterable[int]) -> LogText:
        sections: dict[int, list[str]] = {}
        for s in self.statements:
            sections.setdefault(s.section, []).append(s.text)
        tables = [replace(t, context="\n".join(sections.get(t.section, ()))) for t in self.tables]
        return LogText(
            self.source, tuple(lines), tuple(tables), tuple(self.statements), tuple(self.unread), tuple(numbers)
        )

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(text for _, text in self.headings)

    def heading(self, level: int, text: str, line: int) -> None:
        text = plain(text).strip().strip("*_#: ").strip()
        self.headings = [h for h in self.headings if h[0] < level] + [(level, text)]
        self.section += 1
        self.block += 1
        self.last_text = text
        self.statements.append(Statement(text, line, self.path, self.block, self.section, self.source, True))

    def add_table(
        self, columns: list[str], rows: list[list[str]], line: int, lines: list[int], title: str = ""
    ) -> None:
        width = len(columns)
        kept, where = [], []
        for row, number in zip(rows, lines, strict=True):
            if len(row) > width:
                row = [*row[: width - 1], "  ".join(row[width - 1 :])] if len(row) - width <= 2 else row[:width]
            if any(cell.strip() for cell in row):
                kept.append(tuple(c.strip() for c in row) + ("",) * (width - len(row)))
                where.append(number)
        if not kept or width < 2:
            return
        head = tuple(plain(c).strip() for c in columns)
        self.tables.append(
            LogTable(
                title or self.last_text, self.path, head, tuple(kept), line, tuple(where), "", self.source, self.section
            )
        )

    def sentences(self, text: str, places: list[tuple[int, int]]) -> None:
        """Statements of one paragraph or item; places are (offset, line) of its lines."""
        cleaned = text
        start = 0
        for match in [
            *re.finditer(
                r"(?<=[.!?])(?<!\bvs\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\bal\.)(?<!\bapprox\.)(?<!\bno\.)(?<!\bFig\.)\s+(?=[A-Z\"“(*`\d])",
                cleaned,
            ),
            None,
        ]:
            end = match.end() if match else len(cleaned)
            if (
                match
                and match.group().strip() == ""
                and cleaned[match.start() - 1] == ";"
                and not cleaned[end : end + 1].isupper()
            ):
                continue
            piece = cleaned[start:end]
            if piece.strip():
                line = next((n for offset, n in reversed(places) if offset <= start), places[0][1])
                self.statements.append(
                    Statement(plain(piece).strip(), line, self.path, self.block, self.section, self.source)
                )
            start = end

    def read(self, lines: list[tuple[int, str]]) -> None:
        i, fence = 0, ""
        paragraph: list[tuple[int, str]] = []

        def flush() -> None:
            nonlocal paragraph
            if paragraph:
                text, places = "", []
                for number, part in paragraph:
                    places.append((len(text), number))
                    text += part.strip() + " "
                self.sentences(text, places)
                self.last_text = plain(paragraph[-1][1]).strip()
                paragraph = []

        while i < len(lines):
            number, line = lines[i]
            opening = re.match(r"^\s*(```+|~~~+)\s*(\S*)", line)
            if opening:
                flush()
                if not fence:
                    fence = opening[2] or "text"
                    if fence in ("csv", "tsv"):
                        i = self._fenced_csv(lines, i + 1, "\t" if fence == "tsv" else ",")
                else:
                    fence = ""
                i += 1
                continue
            taken = self._table_at(lines, i, flush)
            if taken:
                i += taken
                self.block += 1
                continue
            if fence and fence not in ("text", "txt", "output", "console", "log", "none", "plain", "md", "markdown"):
                i += 1  # code
                continue
            stripped = line.strip()
            ahead = lines[i + 1][1] if i + 1 < len(lines) else ""
            atx = re.match(r"^\s{0,3}(#{1,6})\s+(.*?)#*\s*$", line)
            if atx and not fence:
                flush()
                self.heading(len(atx[1]), atx[2], number)
            elif _RULE.match(line):
                flush()
                after = lines[i + 2][1] if i + 2 < len(lines) else ""
                if ahead.strip() and _RULE.match(after) and len(ahead) < 90:  # a title between two rulers
                    self.heading(1, ahead, lines[i + 1][0])
                    i += 2
            elif (
                stripped
                and re.match(r"^\s*(=+|-+|~+)\s*$", ahead)
                and len(ahead.strip()) >= 3
                and not paragraph
                and len(stripped) < 90
            ):
                self.heading(1 if "=" in ahead else 2, stripped, number)
                i += 1
            elif not stripped:
                flush()
                self.block += 1
            elif re.fullmatch(r"\*\*[^*]+\*\*:?|__[^_]+__:?", stripped) or (
                stripped.isupper()
                and re.search(r"[A-Z]{4}", stripped)
                and not re.search(r"\d\s?%|\d/\d|=\s?\.?\d", stripped)
                and not paragraph
                and len(stripped) < 80
            ):
                flush()
                self.heading(7, stripped, number)
            elif bullet := _BULLET.match(line):
                flush()
                paragraph = [(number, line[bullet.end() :])]
            elif paragraph and (_breaks(paragraph[-1][1], stripped)):
                flush()
                paragraph = [(number, stripped)]
            else:
                paragraph.append((number, re.sub(r"^\s*>+\s?", "", stripped)))
            i += 1
        flush()

    def _fenced_csv(self, lines: list[tuple[int, str]], i: int, delimiter: str) -> int:
        rows, where = [], []
        while i < len(lines) and not lines[i][1].strip().startswith(("```", "~~~")):
            if lines[i][1].strip():
                rows.append(next(csv.reader([lines[i][1]], delimiter=delimiter)))
                where.append(lines[i][0])
            i += 1
        if len(rows) > 1:
            self.add_table(rows[0], rows[1:], where[0], where[1:])
        return i - 1

    def _table_at(self, lines: list[tuple[int, str]], i: int, flush: Any) -> int:
        """How many lines a table that begins here takes; 0 where none begins."""
        line = lines[i][1]
        if not line.strip():
            return 0
        following = lines[i + 1][1] if i + 1 < len(lines) else ""
        if (
            "|" in line
            and ("|" in following or _PIPE_RULE.match(following))
            and _PIPE_RULE.match(following)
            and "-" in following
        ):
            return self._pipes(lines, i, 2, flush)
        if (
            line.strip().startswith("|")
            and following.strip().startswith("|")
            and line.count("|") == following.count("|") > 2
        ):
            return self._pipes(lines, i, 1, flush)
        if _GRID_RULE.match(line) or (_BOX_RULE.match(line) and _BOX.search(following)):
            return self._grid(lines, i, flush)
        if re.search(r"\S(?:\s{2,}|\t)\S", line) or _SPACE_RULE.match(line):
            return self._aligned(lines, i, flush)
        return 0

    def _pipes(self, lines: list[tuple[int, str]], i: int, skip: int, flush: Any) -> int:
        rows, where, j = [], [], i + skip
        while j < len(lines) and "|" in lines[j][1] and lines[j][1].strip():
            if not _PIPE_RULE.match(lines[j][1]):
                rows.append(_pipe_cells(lines[j][1]))
                where.append(lines[j][0])
            j += 1
        flush()
        caption = lines[j][1].strip() if j < len(lines) else ""
        if not caption and j + 1 < len(lines):
            caption = lines[j + 1][1].strip()
        title = self.last_text
        if re.match(r"^[*_]*(?:Table|Tab\.|:)\s?\d*", caption):
            title = f"{title}\n{plain(caption)}"
        self.add_table(_pipe_cells(lines[i][1]), rows, lines[i][0], where, title)
        self._cells_as_statements(rows, where)
        return j - i

    def _cells_as_statements(self, rows: list[list[str]], where: list[int]) -> None:
        """Cells of words with several numbers in them are read as sentences too, with the words of their row before them."""
        for row, line in zip(rows, where, strict=True):
            for j, cell in enumerate(row):
                if (
                    read_cell(cell, line) is None
                    and len(re.findall(r"\d+(?:\.\d+)?", cell)) >= 2
                    and len(read_numbers(cell)) >= 2
                ):
                    lead = row[0].strip() + ": " if j else ""
                    self.block += 1
                    self.statements.append(
                        Statement(plain(lead + cell).strip(), line, self.path, self.block, self.section, self.source)
                    )

    def _grid(self, lines: list[tuple[int, str]], i: int, flush: Any) -> int:
        rows: list[list[str]] = []
        where: list[int] = []
        j, fresh = i, True
        borders = 0
        head_rows = 0
        while j < len(lines):
            line = lines[j][1]
            if _GRID_RULE.match(line) or (_BOX_RULE.match(line) and line.strip()):
                borders += 1
                fresh = True
                if borders == 2:
                    head_rows = len(rows)
            elif "|" in line or _BOX.search(line):
                cells = [c.strip() for c in re.split(r"[|│┃║]", line.strip().strip("|│┃║"))]
                grid = bool(_GRID_RULE.match(lines[i][1]))
                if (
                    fresh
                    or not grid
                    or borders <= 1
                    or len(cells) != len(rows[-1])
                    or (len(rows) > head_rows and cells[0])
                ):
                    rows.append(cells)
                    where.append(lines[j][0])
                else:
                    rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1], cells, strict=True)]
                fresh = False
            else:
                break
            j += 1
        if len(rows) < 2:
            return 0
        flush()
        self.add_table(rows[0], rows[1:], where[0], where[1:])
        return j - i

    def _aligned(self, lines: list[tuple[int, str]], i: int, flush: Any) -> int:
        line = lines[i][1]
        following = lines[i + 1][1] if i + 1 < len(lines) else ""
        ruled = bool(_SPACE_RULE.match(following))
        if _SPACE_RULE.match(line) or _BULLET.match(line):
            return 0
        head = _fields(line)
        if len(head) < 2:
            return 0
        if ruled:
            spans = [m.span() for m in re.finditer(r"[-=]{2,}", following)]
            if len(spans) != len(head):
                by_ruler = _by_spans(line, spans)
                head = by_ruler if all(by_ruler[1:]) else head
        j = i + (2 if ruled else 1)
        rows: list[list[str]] = []
        where: list[int] = []
        while j < len(lines) and lines[j][1].strip():
            text = lines[j][1]
            if _SPACE_RULE.match(text) or _RULE.match(text):
                if rows and j + 1 < len(lines) and len(_fields(lines[j + 1][1])) >= len(head) - 1:
                    j += 1
                    continue
                break
            cells = _fields(text)
            if (
                not rows
                and not ruled
                and len(cells) == len(head) + 1
                and line[:2].isspace()
                and not cells[0][0].isspace()
                and len(text) - len(text.lstrip()) < len(line) - len(line.lstrip())
            ):
                head = ["", *head]  # the column that names the rows has no head
            if ruled and len(cells) != len(head) and len(spans) == len(head):
                cells = _by_spans(text, spans)
            odd = len(cells) not in (len(head), len(head) + 1) or bool(_BULLET.match(text))
            if odd and (not ruled or len(cells) < 2):
                break
            rows.append(cells)
            where.append(lines[j][0])
            j += 1
        head, rows = _merged_count_heads(head, rows)
        numeric = sum(any(read_cell(c) for c in row[1:]) for row in rows)
        header_numeric = sum(read_cell(c) is not None and not re.search(r"[a-zA-Zα=]", c) for c in head[1:])
        if len(rows) < (1 if ruled else 2) or numeric * 2 < len(rows):
            return 0
        flush()
        if header_numeric == len(head) - 1 and not ruled:  # no head at all
            rows.insert(0, head)
            where.insert(0, lines[i][0])
            head = [""] * len(head)
        self.add_table(head, rows, lines[i][0], where)
        return j - i


def _breaks(last: str, line: str) -> bool:
    """Whether a line of plain text begins something new rather than going on with the line before."""
    short = (
        len(last.strip()) < 55
        and not last.rstrip().endswith((",", "(", "-", "→"))
        and not re.search(r"\b(?:and|or|of|to|the|a|with|at|in|from|than)\s*$", last)
    )
    return (
        short
        or bool(re.match(r"^[A-Za-z][\w ()/α-]{0,40}:\s", line))
        or last.rstrip().endswith((":", "  ", "\\"))
        or bool(re.match(r"^\s*[\w%]+ ?[=:] ?[-+]?\.?\d", line))
    )


def _merged_count_heads(head: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """A count such as 9/12 under the two heads "Refusals  Total": one head for both."""
    for j in range(len(head) - 1):
        if re.fullmatch(r"(?:total|n|of)", head[j + 1].strip(), re.IGNORECASE) and all(
            len(row) > j and re.fullmatch(r"\d+\s?/\s?\d+", row[j]) for row in rows
        ):
            fitted = [[c for c in row if c] for row in rows]
            return [*head[: j + 1], *head[j + 2 :]], [r[: len(head) - 1] for r in fitted]
    return head, rows


def _pipe_cells(line: str) -> list[str]:
    inner = line.strip()
    inner = inner[1:] if inner.startswith("|") else inner
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [c.replace("\\|", "|").strip() for c in re.split(r"(?<!\\)\|", inner)]


def _fields(line: str) -> list[str]:
    quoted = re.sub(r"'[^']*'|\"[^\"]*\"", lambda m: m[0].replace(" ", "\x01"), line.strip())
    return [c.replace("\x01", " ") for c in re.split(r"\s{2,}|\t+", quoted) if c]


def _by_spans(line: str, spans: list[tuple[int, int]]) -> list[str]:
    starts = [s for s, _ in spans]
    return [line[s : (starts[k + 1] if k + 1 < len(starts) else None)].strip() for k, s in enumerate(starts)]


def _read_csv(text: str, source: str, delimiter: str) -> LogText:
    text = "\n".join(repaired(line) for line in text.splitlines())
    comments = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.startswith("#")]
    sample = "\n".join(line for line in text.splitlines()[:50] if not line.startswith("#"))
    if not delimiter:
        first = sample.splitlines()[0] if sample else ""
        delimiter = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    rows, where, unread = [], [], []
    try:
        for row in reader:
            if row and any(c.strip() for c in row) and not row[0].startswith("#"):
                rows.append(row)
                where.append(reader.line_num)
    except csv.Error as error:
        unread.append((source, reader.line_num, str(error)))
    inner = _Reader(source)
    for n, line in comments:
        inner.sentences(line.lstrip("# "), [(0, n)])
    if len(rows) > 1:
        width = max(len(rows[0]), 1)
        off = [n for row, n in zip(rows, where, strict=True) if len(row) != width]
        unread += [(source, n, f"a row whose number of cells is not {width}") for n in off]
        inner.last_text = Path(source).stem
        inner.add_table(rows[0], rows[1 : _MOST_ROWS + 1], where[0], where[1 : _MOST_ROWS + 1])
    lines = text.splitlines()
    inner.unread += unread
    return inner.log(lines, range(1, len(lines) + 1))


def _table_log(source: str, columns: list[str], rows: list[list[object]], lines: list[int] | None = None) -> LogText:
    inner = _Reader(source)
    inner.last_text = Path(source).stem
    where = lines or list(range(2, len(rows) + 2))
    texts = [[_shown(v) for v in row] for row in rows]
    inner.add_table(columns, texts, 1, where)
    shown = ["  ".join(columns), *("  ".join(row) for row in texts)]
    return inner.log(shown, [1, *where])


def _shown(value: object) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:.12g}" if value != int(value) or abs(value) > 1e15 else f"{value:.1f}"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _read_json(text: str, source: str, kind: str) -> LogText:
    lines = text.splitlines()
    inner = _Reader(source)
    inner.last_text = Path(source).stem
    if kind == ".jsonl":
        rows, where = [], []
        for n, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                rows.append(json.loads(line))
                where.append(n)
            except json.JSONDecodeError as error:
                inner.unread.append((source, n, str(error)))
        _tabulate(inner, rows, where)
        return inner.log(lines, range(1, len(lines) + 1))
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        if len(lines) > 1 and text.lstrip().startswith("{"):
            return _read_json(text, source, ".jsonl")
        return LogText(
            source,
            tuple(lines),
            (),
            (),
            ((source, error.lineno, f"no JSON: {error.msg}"),),
            tuple(range(1, len(lines) + 1)),
        )
    _walk(inner, data, "", lines, [0])
    return inner.log(lines, range(1, len(lines) + 1))


def _tabulate(reader: _Reader, rows: list[Any], where: list[int]) -> None:
    records = [(flat(r), n) for r, n in zip(rows, where, strict=True) if isinstance(r, Mapping)]
    if not records:
        return
    columns = list(dict.fromkeys(k for r, _ in records for k in r))
    body = [[_shown(r.get(c)) for c in columns] for r, _ in records[:_MOST_ROWS]]
    reader.add_table(columns, body, where[0], [n for _, n in records[:_MOST_ROWS]])


def flat(record: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """A nested record with dotted keys; lists of numbers stay as they are."""
    out: dict[str, Any] = {}
    for key, value in record.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            out |= flat(value, name + " ")
        else:
            out[name] = value
    return out


def _walk(reader: _Reader, data: Any, name: str, lines: list[str], at: list[int]) -> None:
    """Tables of a JSON document: lists of records, records of records of the same keys, and the numbers that are left."""

    def line_of(key: object) -> int:
        needle = json.dumps(key, ensure_ascii=False) if isinstance(key, str) else str(key)
        for n in range(at[0], len(lines)):
            if needle in lines[n]:
                at[0] = n
                return n + 1
        return at[0] + 1

    if isinstance(data, list):
        if data and all(isinstance(d, Mapping) for d in data):
            where = []
            for d in data:
                where.append(line_of(next(iter(d), "")) if d else at[0] + 1)
                at[0] = min(at[0] + 1, len(lines) - 1)
            reader.last_text = name or reader.last_text
            _tabulate(reader, data, where)
        return
    if not isinstance(data, Mapping):
        return
    inner = [v for v in data.values() if isinstance(v, Mapping)]
    if (
        len(inner) >= 2
        and len(inner) == len(data)
        and len(set.intersection(*(set(map(str, v)) for v in inner))) >= 1
        and all(not isinstance(x, Mapping | list) for v in inner for x in v.values())
    ):
        where = [line_of(k) for k in data]
        reader.last_text = name or reader.last_text
        _tabulate(reader, [{"name": k, **v} for k, v in data.items()], where)
        return
    parts = []
    first = None
    for key, value in data.items():
        line = line_of(str(key))
        if isinstance(value, Mapping | list):
            _walk(reader, value, f"{name} {key}".strip(), lines, at)
        elif isinstance(value, bool) or value is None:
            continue
        else:
            first = first or line
            parts.append((str(key), _shown(value), line))
    if parts:
        reader.block += 1
        numeric = [(k, v, n) for k, v, n in parts if re.fullmatch(r"[-+]?[\d.]+(?:e[-+]?\d+)?%?", v)]
        if len(numeric) >= 2:
            reader.last_text = name or reader.last_text
            reader.add_table([k for k, _, _ in numeric], [[v for _, v, _ in numeric]], numeric[0][2], [numeric[0][2]])
        for key, shown, line in parts:
            reader.statements.append(
                Statement(
                    plain(f"{name} {key}: {shown}".strip().replace("_", " ")),
                    line,
                    (),
                    reader.block,
                    reader.section,
                    reader.source,
                )
            )


def is_short_claims_file(path: str | Path) -> bool:
    """Whether a claims file gives no more than ids, statements and numbers, so that it is audited as a log is."""
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False
    claims = data.get("claim")
    short = {"id", "statement", "numbers", "n", "title"}
    return (
        isinstance(claims, list)
        and bool(claims)
        and all(isinstance(c, dict) and {"statement"} <= set(c) <= short for c in claims)
    )


def _read_claims_file(text: str, source: str) -> LogText:
    """The statements, numbers and tables of a claims file, read as a log's."""
    lines = text.splitlines()
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return LogText(
            source, tuple(lines), (), (), ((source, 0, f"no TOML: {error}"),), tuple(range(1, len(lines) + 1))
        )
    reader = _Reader(source)

    def line_of(needle: object) -> int:
        return next((n for n, line in enumerate(lines, 1) if json.dumps(needle, ensure_ascii=False) in line), 1)

    for table in data.get("table", ()):
        heads = [str(h).rpartition(": ") for h in table.get("columns", ())]
        columns = [f"{name} %" if kind.startswith(("percent", "share")) else name or kind for name, _, kind in heads]
        n = table.get("n")
        title = f"{table.get('title', '')} (n = {n})" if isinstance(n, int) else str(table.get("title", ""))
        where = line_of(table.get("id", ""))
        shares = {j for j, (_, _, kind) in enumerate(heads) if kind.startswith("share")}
        rows = [
            ["" if c == "-" else _shown(_percent(c) if j in shares else c) for j, c in enumerate(row)]
            for row in table.get("rows", ())
            if isinstance(row, list)
        ]
        reader.section += 1
        reader.add_table(columns, rows, where, [where] * len(rows), title)
    for claim in data.get("claim", ()):
        reader.section += 1
        reader.block += 1
        where = line_of(claim.get("statement", ""))
        reader.sentences(str(claim.get("statement", "")), [(0, where)])
        given = claim.get("numbers", {})
        named = (
            given.items() if isinstance(given, Mapping) else [("", g) for g in given] if isinstance(given, list) else []
        )
        parts = [f"{name.replace('_', ' ')} {_said_number(value)}".strip() for name, value in named]
        if parts:
            reader.sentences(", against ".join(parts) if len(parts) == 2 else "; ".join(parts), [(0, where)])
    return reader.log(lines, range(1, len(lines) + 1))


def _percent(share: object) -> object:
    """A share as a percentage with the digits that it has: 0.886 is 88.6."""
    if isinstance(share, bool) or not isinstance(share, int | float):
        return share
    return f"{Decimal(str(share)).scaleb(2):f}" if isinstance(share, float) else 100 * share


def _said_number(value: object) -> str:
    if isinstance(value, Mapping):
        if "count" in value:
            return f"{value['count']}/{value.get('n', '?')}"
        if "percent" in value or "share" in value:
            percent = value["percent"] if "percent" in value else _percent(value["share"])
            return f"{percent}%" + (f" (n = {value['n']})" if "n" in value else "")
        return str(value.get("value", ""))
    return str(value)


def _read_notebook(text: str, source: str) -> LogText:
    try:
        book = json.loads(text)
        cells = book["cells"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        return LogText(source, (), (), (), ((source, 1, f"no notebook: {error}"),))
    raw = text.splitlines()
    places = _Places(raw)
    reader = _Reader(source)
    shown: list[str] = []
    numbers: list[int] = []

    def take(content: str, html: bool = False) -> None:
        lines = [(places.line(line), repaired(line)) for line in content.splitlines()]
        shown.extend(line for _, line in lines)
        numbers.extend(n for n, _ in lines)
        reader.block += 1
        if html:
            _feed_html(reader, content, [n for n, _ in lines])
        else:
            reader.read(lines)

    for cell in cells:
        if cell.get("cell_type") == "markdown":
            take(_text_of(cell.get("source")))
        for output in cell.get("outputs", ()) if cell.get("cell_type") == "code" else ():
            data = output.get("data", {})
            if "<table" in _text_of(data.get("text/html")):
                take(_text_of(data["text/html"]), html=True)
            elif "text/markdown" in data:
                take(_text_of(data["text/markdown"]))
            elif "text/plain" in data:
                take(_text_of(data["text/plain"]))
            elif output.get("output_type") == "stream" and output.get("name") != "stderr":
                take(_text_of(output.get("text")))
    return reader.log(shown, numbers)


def _text_of(value: object) -> str:
    return "".join(value) if isinstance(value, list) else str(value or "")


class _Places:
    """On which line of a notebook's file a line of its text is written."""

    def __init__(self, raw: list[str]):
        self.raw, self.at = raw, 0

    def line(self, text: str) -> int:
        if text.strip():
            needles = {json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]}
            for n in range(self.at, len(self.raw)):
                if any(needle in self.raw[n] for needle in needles):
                    self.at = n
                    break
        return self.at + 1


class _Html(HTMLParser):
    """Tables and blocks of text of an HTML page, with their lines."""

    _BLOCKS = frozenset(
        """p li h1 h2 h3 h4 h5 h6 caption figcaption pre div dt dd blockquote section article br td th body""".split()  # noqa: SIM905
    )

    def __init__(self, reader: _Reader, lines: list[int]):
        super().__init__(convert_charrefs=True)
        self.reader, self.lines = reader, lines
        self.text, self.begins, self.tag = "", 0, "p"
        self.tables: list[dict[str, Any]] = []
        self.skip = 0

    def _line(self) -> int:
        n = self.getpos()[0]
        return self.lines[min(n, len(self.lines)) - 1] if self.lines else n

    def _flush(self) -> None:
        text = repaired(re.sub(r"[ \t\r\f]+", " ", self.text) if self.tag != "pre" else self.text)
        if text.strip() and not (self.tables and self.tables[-1]["cell"] is not None):
            if re.fullmatch(r"h[1-6]", self.tag):
                self.reader.heading(int(self.tag[1]), " ".join(text.split()), self.begins)
            elif self.tag == "pre":
                self.reader.read([(self.begins + k, line) for k, line in enumerate(text.splitlines())])
            elif self.tag == "caption" and self.tables:
                self.tables[-1]["caption"] = " ".join(text.split())
                self.reader.sentences(" ".join(text.split()), [(0, self.begins)])
            else:
                if self.tag not in ("li", "dd"):
                    self.reader.block += 1
                self.reader.sentences(" ".join(text.split()), [(0, self.begins)])
                self.reader.last_text = plain(" ".join(text.split()))
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "svg", "head"):
            self.skip += 1
            return
        table = self.tables[-1] if self.tables else None
        given = dict(attrs)
        if tag == "table":
            self._flush()
            self.tables.append(
                {"rows": [], "lines": [], "cell": None, "caption": "", "line": self._line(), "head": 0, "spans": {}}
            )
        elif table is not None and tag == "tr":
            table["rows"].append([])
            table["lines"].append(self._line())
        elif table is not None and tag in ("td", "th") and table["rows"]:
            table["cell"] = [tag, int(given.get("colspan") or 1), int(given.get("rowspan") or 1)]
            self.text = ""
        elif tag == "br":
            self.text += " "
        elif tag in self._BLOCKS and not (table and table["cell"]):
            self._flush()
            self.tag, self.begins = tag, self._line()

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "svg", "head"):
            self.skip = max(0, self.skip - 1)
            return
        table = self.tables[-1] if self.tables else None
        if table is not None and tag in ("td", "th") and table["cell"]:
            kind, wide, tall = table["cell"]
            row = table["rows"][-1]
            at = len(table["rows"]) - 1
            while (at, len(row)) in table["spans"]:
                row.append(table["spans"][at, len(row)])
            value = repaired(" ".join(self.text.split()))
            for k in range(wide):
                for down in range(1, tall):
                    table["spans"][at + down, len(row)] = value
                row.append(value if k == 0 or kind == "th" else "")
            if kind == "th" and at == table["head"] and all(c is not None for c in row):
                table["all_head"] = True
            table["cell"], self.text = None, ""
        elif table is not None and tag == "table":
            self.tables.pop()
            self._finish(table)
        elif tag in self._BLOCKS and not (table and table["cell"]):
            self._flush()
            self.tag = "p"

    def handle_data(self, data: str) -> None:
        if not self.skip:
            if not self.text.strip():
                self.begins = self._line()
            self.text += data

    def _finish(self, table: dict[str, Any]) -> None:
        rows = [(r, n) for r, n in zip(table["rows"], table["lines"], strict=True) if any(r)]
        if len(rows) < 2:
            return
        head, body = rows[0], rows[1:]
        if (
            len(body) > 1
            and len(head[0]) == len(body[0][0])
            and len(set(head[0])) < len(head[0])
            and not any(read_cell(c) for c in body[0][0])
        ):
            head = ([f"{a} {b}".strip() if a != b else a for a, b in zip(head[0], body[0][0], strict=True)], head[1])
            body = body[1:]
        if (
            head[0] and not head[0][0] and len(body) > 1 and not any(body[0][0][1:]) and body[0][0][0]
        ):  # pandas' second head: the index's name
            head = ([body[0][0][0], *head[0][1:]], head[1])
            body = body[1:]
        self.reader.add_table(
            list(head[0]), [r for r, _ in body], table["line"], [n for _, n in body], table["caption"]
        )
        self.reader._cells_as_statements([r for r, _ in body], [n for _, n in body])


def _feed_html(reader: _Reader, text: str, lines: list[int]) -> None:
    parser = _Html(reader, lines)
    parser.feed(text)
    parser.close()
    parser._flush()


def _read_html(text: str, source: str) -> LogText:
    lines = text.splitlines()
    reader = _Reader(source)
    _feed_html(reader, text, list(range(1, len(lines) + 1)))
    return reader.log(lines, range(1, len(lines) + 1))
