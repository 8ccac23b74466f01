"""A log that is being read: headings, sentences and tables, in the order in which they come."""

import re
from collections.abc import Iterable
from dataclasses import replace

from workbench.claims.log_numbers import plain, read_cell, read_numbers
from workbench.claims.log_text import LogTable, LogText, Statement, Unread

_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\bvs\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\bal\.)(?<!\bapprox\.)(?<!\bno\.)(?<!\bFig\.)"
    r"\s+(?=[A-Z\"“(*`\d])"
)


#: what is longer is no sentence
_LONGEST = 50_000


class LogBuilder:
    """What was read so far.

    Attributes:
        section, block: numbers of the heading and of the paragraph or list that is being read.
        last_text: what was read last; the title of a table that has none.
    """

    def __init__(self, source: str):
        self.source = source
        self.tables: list[LogTable] = []
        self.statements: list[Statement] = []
        self.unread: list[Unread] = []
        self.section = self.block = 0
        self.last_text = ""
        self._headings: list[tuple[int, str]] = []

    def heading(self, level: int, text: str, line: int) -> None:
        """A heading begins a section."""
        text = plain(text).strip().strip("*_#: ").strip()
        self._headings = [h for h in self._headings if h[0] < level] + [(level, text)]
        self.section += 1
        self.block += 1
        self.last_text = text
        self.statement(text, line, is_heading=True)

    def statement(self, text: str, line: int, is_heading: bool = False) -> None:
        """One sentence, item or heading."""
        where = (self._path(), self.block, self.section, self.source, is_heading)
        self.statements.append(Statement(plain(text).strip(), line, *where))

    def sentences(self, text: str, lines: list[tuple[int, int]] | int) -> None:
        """The sentences of one paragraph or item; of several lines (offset in the text, line) is given for each."""
        places = [(0, lines)] if isinstance(lines, int) else lines
        start = 0
        for end in [*(m.end() for m in _SENTENCE_END.finditer(text)), len(text)]:
            if end - start > _LONGEST:
                line = next((n for offset, n in reversed(places) if offset <= start), places[0][1])
                self.unread.append((self.source, line, f"a sentence of {end - start:,} characters"))
            elif text[start:end].strip():
                line = next((n for offset, n in reversed(places) if offset <= start), places[0][1])
                self.statement(text[start:end], line)
            start = end

    def table(self, columns: list[str], rows: list[list[str]], line: int, lines: list[int], title: str = "") -> None:
        """A table; empty rows are left out, short ones filled, and of too long ones the last cells joined."""
        width = len(columns)
        kept = [(_of_width(row, width), n) for row, n in zip(rows, lines, strict=True)]
        kept = [(row, n) for row, n in kept if any(row)]
        if not kept or width < 2:
            return
        head = tuple(plain(c).strip() for c in columns)
        cells, where = zip(*kept, strict=True)
        name = title or self.last_text
        self.tables.append(LogTable(name, self._path(), head, cells, line, where, "", self.source, self.section))

    def wordy_cells(self, rows: list[list[str]], lines: list[int]) -> None:
        """Cells of words with several numbers in them are read as sentences too, with the words of their row before them."""
        for row, line in zip(rows, lines, strict=True):
            for j, cell in enumerate(row):
                if (
                    len(re.findall(r"\d+(?:\.\d+)?", cell)) >= 2
                    and not read_cell(cell)
                    and len(read_numbers(cell)) >= 2
                ):
                    self.block += 1
                    self.statement((f"{row[0].strip()}: " if j else "") + cell, line)

    def log(self, lines: Iterable[str], numbers: Iterable[int] = ()) -> LogText:
        """The log, with the lines that are shown and their numbers in the file (from 1 on, where none are given)."""
        shown = tuple(lines)
        sections: dict[int, list[str]] = {}
        for s in self.statements:
            sections.setdefault(s.section, []).append(s.text)
        tables = tuple(replace(t, context="\n".join(sections.get(t.section, ()))) for t in self.tables)
        numbers = tuple(numbers) or tuple(range(1, len(shown) + 1))
        return LogText(self.source, shown, tables, tuple(self.statements), tuple(self.unread), numbers)

    def _path(self) -> tuple[str, ...]:
        return tuple(text for _, text in self._headings)


def _of_width(row: list[str], width: int) -> tuple[str, ...]:
    if width < len(row) <= width + 2:
        row = [*row[: width - 1], "  ".join(row[width - 1 :])]
    return tuple(c.strip() for c in row[:width]) + ("",) * (width - len(row))


def unreadable(source: str, why: str, line: int = 0, lines: Iterable[str] = ()) -> LogText:
    """A file of which nothing could be read."""
    shown = tuple(lines)
    return LogText(source, shown, (), (), ((source, line, why),), tuple(range(1, len(shown) + 1)))
