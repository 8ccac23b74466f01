"""What is a log, once it is read? Tables and statements with numbers, each with its lines."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from workbench.claims.log_numbers import Number, read_cell, read_numbers, settings_of

Unread = tuple[str, int, str]  # file, line, why
T = TypeVar("T", "LogTable", "Statement")

_PERCENT_HEAD = re.compile(r"%|(?:\b|_)percent|(?:\b|_)pct(?:\b|_)", re.IGNORECASE)
_COUNT_HEAD = re.compile(r"\b(?:n|no\.?|count|number|#)\s?\(%\)", re.IGNORECASE)
_LEVEL_HEAD = re.compile(r"%\s?CI\b|\b9[059]%")
_RESULT_HEAD = re.compile(r"accuracy|rate|score|mean|%|count|total|refus|success", re.IGNORECASE)
_SIGN_HEAD = re.compile(r"n|k|count|(?:m|sd|n)_?[12]", re.IGNORECASE)
_N_HEAD = re.compile(
    r"^#?\s*(?:n|no\.|num(?:ber)?\.?(?: of \w+)?|sample(?:s| size)?|total|trials?|prompts?|items?|examples?|runs?|questions?"
    r"|cases|patients?|participants?|subjects?|tasks|count|size|denominator|of"
    r"|n\d{1,2}|n[_ ].*|.*[_ ]n|.*\(n\)|(?:total|all) \w+|test set size|support)\s*(?:\(n\))?$",
    re.IGNORECASE,
)


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
        section: the number of its heading.
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
        percent = [bool(_PERCENT_HEAD.search(head)) and not _LEVEL_HEAD.search(head) for head in self.columns]
        if told := _RATE_IN_TITLE.search(self.title):  # "Table 1. Refusal rate (%)", and the column "refusal"
            named = told[1].lower()[:5]
            percent = [p or named in head.lower() for p, head in zip(percent, self.columns, strict=True)]
        return tuple(
            tuple(
                _in_percent(read_cell(c, line), head) if p else read_cell(c, line)
                for c, p, head in zip(cells, percent, self.columns, strict=True)
            )
            for cells, line in zip(self.rows, self.row_lines, strict=True)
        )

    @cached_property
    def _by_column(self) -> tuple[tuple[Number | None, ...], ...]:
        return tuple(zip(*self.numbers, strict=True))

    def column(self, j: int) -> tuple[Number | None, ...]:
        """The numbers of column j."""
        return self._by_column[j]

    @cached_property
    def label_column(self) -> int | None:
        """The column that names the rows: the first with words or settings in most cells, else the first."""
        for j in range(min(len(self.columns), 3)):
            if 2 * self.column(j).count(None) > len(self.rows):
                return j
        first = self.columns[0] if self.columns else "n"
        return None if _RESULT_HEAD.search(first) or _SIGN_HEAD.fullmatch(first.strip()) else 0

    def label(self, i: int) -> str:
        """What row i is called."""
        return "" if self.label_column is None else self.rows[i][self.label_column]

    @cached_property
    def value_columns(self) -> tuple[int, ...]:
        """The columns that hold numbers in at least half of their cells, without the one that names the rows."""
        least = max(1, len(self.rows)) / 2
        given = [len(self.rows) - self.column(j).count(None) for j in range(len(self.columns))]
        return tuple(j for j, n in enumerate(given) if j != self.label_column and n >= least)

    @cached_property
    def n_columns(self) -> tuple[int, ...]:
        """The columns of whole numbers whose head says that they are numbers of units."""
        return tuple(j for j, head in enumerate(self.columns) if _N_HEAD.match(head.strip()) and self._counts_units(j))

    @cached_property
    def known(self) -> dict[tuple[int, int], float | None]:
        """What was once found out about two of its columns: every cell would ask again."""
        return {}

    def _counts_units(self, j: int) -> bool:
        cells = [c for c in self.column(j) if c is not None]
        values = [c.value for c in cells]
        named = j == self.label_column or (len(cells) > 1 and values == list(range(1, len(cells) + 1)))
        whole = all(c.kind in ("number", "n") and c.value == int(c.value) > 0 for c in cells)
        return bool(cells) and whole and not named


#: a rate that a title gives in percent; its first letters are those of its column
_RATE_IN_TITLE = re.compile(
    r"\b(refusal|compliance|accuracy|success|agreement|bypass|error)\b[^.;|]{0,20}\((?:in )?%\)", re.IGNORECASE
)


def _in_percent(number: Number | None, head: str) -> Number | None:
    counted = number is not None and number.spread_kind == "()" and number.step >= 1 and _COUNT_HEAD.search(head)
    if number and counted and number.spread is not None:  # "13 (32.5)"
        share = {"value": number.spread, "step": number.spread_step, "successes": int(number.value)}
        return replace(number, kind="percent", spread=None, spread_kind="", **share)  # type: ignore[arg-type]
    if number and number.kind == "number" and not number.unit:
        return replace(number, kind="percent")
    return replace(number, unit="%") if number and number.kind == "mean" else number


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
        is_heading: whether it is one.
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
    unread: tuple[Unread, ...] = ()
    line_numbers: tuple[int, ...] = ()
    sources: tuple[str, ...] = field(default=(), repr=False)

    @cached_property
    def _statements_by_section(self) -> dict[int, list[Statement]]:
        return _grouped(self.statements, [s.section for s in self.statements])

    @cached_property
    def _statements_by_block(self) -> dict[int, list[Statement]]:
        return _grouped(self.statements, [s.block for s in self.statements])

    @cached_property
    def ns_by_section(self) -> dict[int, set[int]]:
        """Every "n = " of the sentences of a section."""
        return {section: _ns_given(told) for section, told in self._statements_by_section.items()}

    @cached_property
    def ns_by_block(self) -> dict[int, set[int]]:
        """Every "n = " of the sentences of a block."""
        return {block: _ns_given(told) for block, told in self._statements_by_block.items()}

    @cached_property
    def known(self) -> dict[tuple[str, int], object]:
        """What was once found out about one of its blocks: every number would ask again."""
        return {}

    @cached_property
    def _tables_by_section(self) -> dict[int, list[LogTable]]:
        return _grouped(self.tables, [t.section for t in self.tables])

    def of_section(self, section: int) -> list[Statement]:
        """The statements under one heading."""
        return self._statements_by_section.get(section, [])

    def of_block(self, block: int) -> list[Statement]:
        """The statements of one paragraph or list."""
        return self._statements_by_block.get(block, [])

    def blocks(self) -> Iterable[list[Statement]]:
        """All paragraphs and lists."""
        return self._statements_by_block.values()

    def tables_of(self, section: int) -> list[LogTable]:
        """The tables under one heading."""
        return self._tables_by_section.get(section, [])

    def files(self) -> list["LogText"]:
        """The log of each file, where there are several; else this one."""
        names = list(dict.fromkeys([*(s.source for s in self.statements), *(t.source for t in self.tables)]))
        if len(names) <= 1:
            return [self]
        statements = _grouped(self.statements, [s.source for s in self.statements])
        tables = _grouped(self.tables, [t.source for t in self.tables])
        return [LogText(n, (), tuple(tables.get(n, ())), tuple(statements.get(n, ()))) for n in names]

    def how_much(self) -> tuple[int, int, int]:
        """How many tables, statements and numbers were read."""
        in_tables = sum(c is not None for t in self.tables for r in t.numbers for c in r)
        return len(self.tables), len(self.statements), in_tables + sum(len(s.numbers) for s in self.statements)

    def __str__(self) -> str:
        tables, statements, numbers = self.how_much()
        unread = f"; {len(self.unread)} places could not be read" if self.unread else ""
        read = f"{tables} tables, {statements} statements, {numbers} numbers"
        return f"{self.source}: {len(self.lines)} lines, {read}{unread}"


def _ns_given(statements: Iterable[Statement]) -> set[int]:
    return {int(x.value) for s in statements for x in s.numbers if x.kind == "n" and not x.unit}


def _grouped(items: Sequence[T], keys: Sequence[object]) -> dict:
    groups: dict[object, list[T]] = defaultdict(list)
    for item, key in zip(items, keys, strict=True):
        groups[key].append(item)
    return dict(groups)
