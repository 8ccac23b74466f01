"""What is a rule, what does it find, where, and how grave is it?"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from workbench.claims.log_text import LogTable, LogText, Statement
from workbench.claims.rounding import Grade
from workbench.claims.rules.row_names import bare

GRADES: tuple[Grade, ...] = ("error", "slip", "weak", "note")
RANK: dict[Grade, int] = {"error": 0, "slip": 1, "weak": 2, "note": 3, "holds": 4}


@dataclass(frozen=True)
class LogFinding:
    """What a rule says of one place of a log.

    Attributes:
        grade: error (cannot be), slip (the last printed place), weak (cannot carry what is said), note, or holds.
        rule: its name.
        sentence: with the numbers.
        line: of the file.
        source: the file.
        numbers: what was recomputed.
        others: further lines that it is about.
    """

    grade: Grade
    rule: str
    sentence: str
    line: int
    source: str = ""
    numbers: tuple[float, ...] = ()
    others: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"line {self.line}: {self.grade}: {self.sentence} [{self.rule}]"


class Family(NamedTuple):
    """The functions that ask rules of one idea: of each sentence, of each table, of the whole log."""

    of_sentences: tuple[Callable[[LogText, Statement], Iterator[LogFinding]], ...] = ()
    of_tables: tuple[Callable[[LogText, LogTable], Iterator[LogFinding]], ...] = ()
    of_logs: tuple[Callable[[LogText], Iterator[LogFinding]], ...] = ()


class Place(NamedTuple):
    """Where something is found: the words that a finding begins with, its line, its file."""

    what: str
    line: int
    source: str

    def finds(
        self, grade: Grade, rule: str, sentence: str, *numbers: float, others: tuple[int, ...] = ()
    ) -> LogFinding:
        """A finding at this place."""
        told = f"{self.what}: {sentence}" if self.what else sentence
        return LogFinding(grade, rule, told, self.line, self.source, numbers, others)

    def holds(self, rule: str) -> LogFinding:
        """That a rule had something to check here, and found no fault."""
        return LogFinding("holds", rule, self.what, self.line, self.source)


def in_sentence(s: Statement) -> Place:
    """A sentence as a place."""
    return Place(f"'{short(s.text)}'", s.line, s.source)


def in_row(table: LogTable, i: int) -> Place:
    """A row as a place, by its label."""
    label = bare(table.label(i))
    if table.label_column is not None and re.fullmatch(r"[-+]?[\d.]+", label):  # "α 8" says more than "8"
        label = f"{table.columns[table.label_column].strip()} {label}".strip()
    return Place(label or f"row {i + 1}", table.row_lines[i], table.source)


def in_cell(table: LogTable, i: int, j: int) -> Place:
    """A cell as a place, by the names of its row and its column."""
    row = in_row(table, i)
    return row._replace(what=f"{row.what}, {table.columns[j].strip() or f'column {j + 1}'}")


def in_table(table: LogTable, what: str = "") -> Place:
    """A table as a place, at its first line."""
    return Place(what, table.line, table.source)


def short(text: str, most: int = 70) -> str:
    """The beginning of a text."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def mildest(*grades: Grade) -> Grade:
    """The least grave of several grades."""
    return max(grades, key=lambda grade: RANK[grade])
