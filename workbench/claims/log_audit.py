"""What is wrong with a log as it is? All rules run over what was read, unasked; no claims file, no model, no network."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench._errors import unknown
from workbench.claims.log_reader import LogText, read_log
from workbench.claims.rules import limits, recomputed, repeats, strength, sums, words
from workbench.claims.rules.finding import GRADES, LogFinding, Rule

if TYPE_CHECKING:
    import pandas as pd

_FAMILIES = (limits, sums, recomputed, repeats, words, strength)

#: every rule by its name
RULES: dict[str, Rule] = {rule.name: rule for family in _FAMILIES for rule in family.RULES}

#: what a log may not do to a terminal: control codes, and signs that turn the direction of writing
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_RANK = {"error": 0, "slip": 1, "weak": 2, "note": 3, "holds": 4}


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
    unread: tuple[tuple[str, int, str], ...] = ()

    def __iter__(self) -> Iterator[LogFinding]:
        return iter(self.findings)

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
        return any(_RANK[f.grade] <= _RANK[grade] for f in self.findings)

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
        read = f"read {self.tables} tables, {self.statements} sentences, {self.numbers} numbers"
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


def _run(
    rules: Callable[[LogText], Iterator[LogFinding]], text: LogText, broken: list[tuple[str, int, str]]
) -> Iterator[LogFinding]:
    """What rules find; where they cannot be computed, that is one line among what was not read, and all others go on."""
    try:
        yield from rules(text)
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        broken.append(
            (
                text.source,
                0,
                f"{rules.__module__.rpartition('.')[2]}: cannot be computed: {type(error).__name__}: {error}",
            )
        )


def audit(log: LogText | str | Path | Iterable[str | Path]) -> LogAudit:
    """Audit a log as it is: every rule that has what it needs runs, unasked.

    Args:
        log: what ``read_log`` returns or takes: a file, a folder, several of them, or the numbers themselves.

    Returns:
        The findings, gravest first: *error* (cannot be), *slip* (the last printed place), *weak* (cannot carry what is said),
        *note*; and how often each rule had something to check. None is "no fault found", which is not "right".

    Raises:
        WorkbenchError: there is nothing to read.

    Follows: statcheck (Nuijten et al. 2016) and GRIM (Brown and Heathers 2017), for logs of experiments; docs/auditing.md
    has the source of each rule.

    >>> for finding in wb.audit("Steering raises refusals from 88.6% to 95% (n = 20).").findings[:1]:
    ...     print(finding.grade, finding.rule)
    error grim
    """
    text = log if isinstance(log, LogText) else read_log(log)
    kept: dict[tuple[str, int, str], LogFinding] = {}
    checked: Counter[str] = Counter()
    broken: list[tuple[str, int, str]] = []
    for family in _FAMILIES:
        for finding in _run(family.run, text, broken):
            checked[finding.rule] += 1
            if finding.grade == "holds":
                continue
            sentence = _CONTROL.sub("", finding.sentence)
            key = (finding.source, finding.line, finding.rule + sentence)
            kept.setdefault(key, replace(finding, sentence=sentence))
    findings = sorted(kept.values(), key=lambda f: (_RANK[f.grade], f.source, f.line))
    numbers = sum(len(s.numbers) for s in text.statements) + sum(
        c is not None for t in text.tables for r in t.numbers for c in r
    )
    return LogAudit(
        text.source,
        tuple(findings),
        dict(checked),
        len(text.tables),
        len(text.statements),
        numbers,
        (*text.unread, *broken),
    )
