"""What is wrong with a log as it is? All rules run over what was read, unasked; no claims file, no model, no network."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench._errors import unknown
from workbench.claims.log_reader import read_log
from workbench.claims.log_text import LogText, Unread
from workbench.claims.rules import (
    changes,
    columns,
    comparisons,
    counts,
    crosstabs,
    design,
    effect_sizes,
    equations,
    extent,
    facts,
    groups,
    intervals,
    named_numbers,
    order,
    p_values,
    possible_values,
    repeats,
    series_words,
    spreads,
    totals,
)
from workbench.claims.rules.catalogue import RULES
from workbench.claims.rules.finding import GRADES, RANK, LogFinding

if TYPE_CHECKING:
    import pandas as pd

_FAMILIES = (
    possible_values.FAMILY, spreads.FAMILY, counts.FAMILY, totals.FAMILY, columns.FAMILY, changes.FAMILY, equations.FAMILY,
    named_numbers.FAMILY, p_values.FAMILY, effect_sizes.FAMILY, crosstabs.FAMILY, intervals.FAMILY, repeats.FAMILY,
    facts.FAMILY, groups.FAMILY, order.FAMILY, extent.FAMILY, series_words.FAMILY,
    comparisons.FAMILY, design.FAMILY,
)  # fmt: skip
_OF_ONE_ROW = (possible_values.FAMILY, spreads.FAMILY)
_MOST_ROWS = 3000  # of a table, for rules that compare its cells

#: what a log may not do to a terminal: control codes, and signs that turn the direction of writing
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class LogAudit:
    """What the rules say of a log.

    Attributes:
        source: what was read.
        findings: gravest first, then by line. Iterating the audit iterates these.
        checked: how many times each rule had something to check.
        tables, statements, numbers: how much was read.
        unread: (file, line, why) of what could not be read.
    """

    source: str
    findings: tuple[LogFinding, ...]
    checked: dict[str, int]
    tables: int
    statements: int
    numbers: int
    unread: tuple[Unread, ...] = ()

    def __iter__(self) -> Iterator[LogFinding]:
        return iter(self.findings)

    def __repr__(self) -> str:
        return f"LogAudit({self.source!r}: {self.worst}, {len(self)} findings)"

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def worst(self) -> str:
        """The gravest grade, or "no fault found"."""
        return next((f.grade for f in self.findings if f.grade != "note"), "no fault found")

    def reaches(self, grade: str) -> bool:
        """Whether a finding is as grave as ``grade`` or graver.

        Raises:
            WorkbenchError: no such grade.
        """
        if grade not in GRADES:
            raise unknown("grade", grade, GRADES)
        return any(RANK[f.grade] <= RANK[grade] for f in self.findings)

    def frame(self) -> "pd.DataFrame":
        """One row per finding. A pandas DataFrame."""
        import pandas as pd

        columns = ["grade", "line", "rule", "finding", "source"]
        return pd.DataFrame([(f.grade, f.line, f.rule, f.sentence, f.source) for f in self.findings], columns=columns)

    def summary(self) -> str:
        """How many findings of each grade, and what was checked."""
        counts = Counter(f.grade for f in self.findings)
        said = (
            ", ".join(f"{counts[g]} {g}{'s' if counts[g] > 1 and g != 'weak' else ''}" for g in GRADES if counts[g])
            or "no fault found"
        )
        if self.worst == "no fault found" and said != self.worst:
            said = f"no fault found, {said}"
        checks = ", ".join(f"{rule} {n}×" for rule, n in sorted(self.checked.items(), key=lambda kv: -kv[1]))
        amounts = {"table": self.tables, "sentence": self.statements, "number": self.numbers}
        read = "read " + ", ".join(f"{n} {what}{'s' * (n != 1)}" for what, n in amounts.items())
        unread = f"; {len(self.unread)} places could not be read (--unread shows them)" if self.unread else ""
        return (
            f"{self.source}: {said}\n{read}{unread}\nchecked: {checks or 'nothing: no rule had the numbers it needs'}"
        )

    def __str__(self) -> str:
        several = len({f.source for f in self.findings}) > 1
        lines = []
        for f in self.findings:
            place = f"{f.source}:{f.line}" if several else f"line {f.line}"
            lines.append(f"{f.grade:<5}  {place}  {f.sentence}  [{f.rule}: {RULES[f.rule].follows}]")
        return "\n".join([*lines, "", self.summary()]) if lines else self.summary()

    def markdown(self) -> str:
        """The findings as a Markdown table."""

        def cell(text: str) -> str:
            return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")

        rows = [
            f"| {f.grade} | {cell(f.source)}:{f.line} | {cell(f.sentence)} | {f.rule} ({cell(RULES[f.rule].follows)}) |"
            for f in self.findings
        ]
        table = ["| grade | place | finding | rule |", "|---|---|---|---|", *rows, ""] if rows else []
        return "\n".join([*table, *(line + "  " for line in self.summary().splitlines())])

    def to_json(self) -> str:
        """The findings and what was checked, as JSON."""
        findings = [{**asdict(f), "follows": RULES[f.rule].follows} for f in self.findings]
        data = {
            "source": self.source,
            "verdict": self.worst,
            "findings": findings,
            "checked": self.checked,
            "tables": self.tables,
        }
        return json.dumps(
            {**data, "statements": self.statements, "numbers": self.numbers, "unread": self.unread},
            indent=1,
            ensure_ascii=False,
        )


def _checks(text: LogText) -> Iterator[tuple[Callable[..., Iterator[LogFinding]], tuple[object, ...]]]:
    """Every question of every rule, with the sentence or table that it is asked of."""
    for family in _FAMILIES:
        for of_sentence in family.of_sentences:
            yield from ((of_sentence, (text, s)) for s in text.statements)
        for of_table in family.of_tables:
            yield from (
                (of_table, (text, t)) for t in text.tables if len(t.rows) <= _MOST_ROWS or family in _OF_ONE_ROW
            )
        yield from ((of_log, (text,)) for of_log in family.of_logs)


def _ask(
    check: Callable[..., Iterator[LogFinding]], about: tuple[object, ...], text: LogText, unread: list[Unread]
) -> Iterator[LogFinding]:
    """What a rule finds; where it cannot be computed, that is one line among what was not read, and all else goes on."""
    try:
        yield from check(*about)
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        line = getattr(about[-1], "line", 0)
        rule = f"{check.__module__.rpartition('.')[2]}{check.__name__}"
        unread.append((text.source, line, f"{rule}: cannot be computed: {type(error).__name__}: {error}"))


#: rules of words: several functions may doubt one sentence
_OF_WORDS = ("all or never", "same", "monotone", "peak", "rank")


def _told_once(text: LogText, found: list[LogFinding]) -> Iterable[LogFinding]:
    """Findings without those that say the same again: of a row that stands twice in its table, of words that two checks doubt."""
    twins = {}
    for table in text.tables:
        first: dict[tuple[str, ...], int] = {}
        for cells, line in zip(table.rows, table.row_lines, strict=True):
            twins[table.source, line] = first.setdefault(cells, line)
    kept: dict[tuple[object, ...], LogFinding] = {}
    for f in sorted(found, key=lambda f: RANK[f.grade]):
        line = twins.get((f.source, f.line), f.line)
        words = f.sentence.partition("': ")[0] if f.rule in _OF_WORDS else f.sentence
        said = (f.numbers, f.grade) if (f.source, line) in twins and f.numbers else words
        kept.setdefault((f.source, line, f.rule, said), replace(f, line=line))
    return kept.values()


def audit(log: LogText | str | Path | Iterable[str | Path]) -> LogAudit:
    """Audit a log as it is: every rule runs wherever it finds the numbers that it needs.

    Args:
        log: what ``read_log`` returns or takes: a file, a folder, several of them, or the numbers themselves.

    Returns:
        The findings, most severe first: *error* (impossible), *slip* (wrong in the last printed digit), *weak* (too
            little evidence for its conclusion), *note*. It also says how often each rule had something to check. "No
            fault found" does not mean that the log is correct.

    Raises:
        WorkbenchError: there is nothing to read.

    Follows: statcheck (Nuijten et al. 2016) and GRIM (Brown and Heathers 2017), for logs of experiments; docs/auditing.md
    has the source of each rule.

    >>> for finding in wb.audit("Steering raises refusals from 88.6% to 95% (n = 20).").findings[:1]:
    ...     print(finding.grade, finding.rule)
    error grim
    """
    text = log if isinstance(log, LogText) else read_log(log)
    found: list[LogFinding] = []
    checked: Counter[str] = Counter()
    broken: list[Unread] = []
    for check, about in _checks(text):
        for finding in _ask(check, about, text, broken):
            checked[finding.rule] += 1
            if finding.grade != "holds":
                found.append(replace(finding, sentence=_CONTROL.sub("", finding.sentence)))
    findings = sorted(_told_once(text, found), key=lambda f: (RANK[f.grade], f.source, f.line))
    return LogAudit(text.source, tuple(findings), dict(checked), *text.how_much(), (*text.unread, *broken))
