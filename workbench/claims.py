"""Logged claims: their numbers, an audit of those numbers, and the rule that turns a replication into a verdict.

Nothing here runs a model: numbers in, verdict out.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.folders import data_folder
from workbench.statistics import Estimate, fisher, rate, two_proportion_z

OUTCOMES = ("reproduced", "not reproduced", "inconclusive", "artefact", "not run")


@dataclass(frozen=True)
class Cell:
    """One logged percentage: which model and arm, what was done (a multiple of the direction), and out of how many."""

    model: str
    arm: str
    intervention: float
    percent: float
    n: int
    source: str

    @property
    def successes(self) -> int:
        """The count behind the percentage."""
        return round(self.percent * self.n / 100)

    @property
    def is_possible(self) -> bool:
        """GRIM: whether some count out of ``n`` rounds to this percentage, at the decimals it was logged with."""
        decimals = len(repr(self.percent).partition(".")[2].rstrip("0"))
        return round(100 * self.successes / self.n, decimals) == round(self.percent, decimals)


@dataclass(frozen=True)
class Finding:
    """One result of an audit: a sentence with its numbers, and the p-value behind it where there is one."""

    check: str
    sentence: str
    p: float | None = None


@dataclass(frozen=True)
class Claim:
    """One logged finding: what was said, with which numbers, and the rule by which a replication is judged."""

    id: str
    title: str
    log: str
    section: str
    statement: str
    models: tuple[str, ...]
    notebook: str
    method: Mapping[str, object]
    cells: tuple[Cell, ...]
    criterion: Mapping[str, object]

    @property
    def minimum_effect(self) -> float:
        """The smallest effect that counts as reproduced."""
        return float(str(self.criterion["minimum_effect"]))

    def frame(self):
        """The logged numbers with Wilson intervals, one row per cell. A pandas DataFrame."""
        import pandas as pd

        rows = [
            (c.model, c.arm, c.intervention, f"{c.percent:g}%", str(rate(c.successes, c.n)), c.source)
            for c in self.cells
        ]
        return pd.DataFrame(rows, columns=["model", "arm", "multiple of d", "logged", "Wilson 95%", "source"])

    def audit(self) -> list[Finding]:
        """What the logged numbers say by themselves: impossible percentages, identical conditions, recomputed tests."""
        return [*_grim(self), *_identical_conditions(self), *_against_baseline(self), *_repeated_prompts(self)]


def claim(identity: str) -> Claim:
    """A logged claim by its id, e.g. ``"S3.2"``.

    Raises:
        WorkbenchError: there is none with that id.

    >>> claim("S3.2").title
    'Sign inversion'
    """
    found = {c.id: c for path in sorted((data_folder() / "claims").glob("*.toml")) for c in read_claims(path)}
    if identity not in found:
        raise WorkbenchError(f"no claim {identity!r}; there are {', '.join(found)}")
    return found[identity]


def read_claims(path: str | Path) -> list[Claim]:
    """The claims of a TOML file.

    Raises:
        WorkbenchError: the file is not TOML, or a claim lacks a key or has an unknown one; the message names it.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise WorkbenchError(f"{path}: not TOML ({error})") from error
    claims = []
    for table in tables.get("claim", []):
        where = f"{path}, claim {table.get('id', '?')}"
        rest = dict(table)
        cells = tuple(_build(Cell, cell, f"{where}, cell {i}") for i, cell in enumerate(rest.pop("cell", []), 1))
        claims.append(_build(Claim, rest | {"cells": cells, "models": tuple(rest.get("models", ()))}, where))
    return claims


def _build(kind: Any, table: Mapping[str, object], where: str):
    expected = set(kind.__dataclass_fields__)
    if unknown := set(table) - expected:
        raise WorkbenchError(
            f"{where}: unknown {', '.join(sorted(unknown))}; the keys are {', '.join(sorted(expected))}"
        )
    if missing := expected - set(table):
        raise WorkbenchError(f"{where}: lacks {', '.join(sorted(missing))}")
    return kind(**table)


def _grim(claim: Claim) -> list[Finding]:
    impossible = [c for c in claim.cells if not c.is_possible]
    return [Finding("GRIM", f"{c.model}, {c.arm}: {c.percent:g}% is no count out of n = {c.n}") for c in impossible]


def _identical_conditions(claim: Claim) -> list[Finding]:
    findings = []
    for a, b in combinations(claim.cells, 2):
        if (a.model, a.intervention) == (b.model, b.intervention):
            p = fisher(a.successes, a.n, b.successes, b.n)
            findings.append(
                Finding(
                    "identical conditions",
                    f"{a.model}: '{a.arm}' and '{b.arm}' are one intervention ({a.intervention:+g}·d), logged as "
                    f"{a.percent:g}% and {b.percent:g}% (Fisher p = {p:.2f}): the difference is the noise of the measurement, "
                    "not a second finding",
                    p,
                )
            )
    return findings


def _against_baseline(claim: Claim) -> list[Finding]:
    findings = []
    baselines = {c.model: c for c in claim.cells if c.intervention == 0}
    for cell in claim.cells:
        base = baselines.get(cell.model)
        if base is None or cell is base:
            continue
        p, z = (test(cell.successes, cell.n, base.successes, base.n) for test in (fisher, two_proportion_z))
        word = "differs from" if p < 0.05 else "cannot be told from"
        findings.append(
            Finding(
                "against baseline",
                f"{cell.model}, {cell.arm}: {cell.percent:g}% {word} the baseline's {base.percent:g}% at n = {cell.n} "
                f"(Fisher p = {p:.2g}, z test p = {z:.2g})",
                p,
            )
        )
    return findings


def _repeated_prompts(claim: Claim) -> list[Finding]:
    n, distinct = claim.method.get("n"), claim.method.get("distinct_prompts")
    if not isinstance(n, int) or not isinstance(distinct, int) or n == distinct:
        return []
    sentence = f"n = {n} is {distinct} distinct prompts in variants: intervals that treat them as {n} are too narrow"
    return [Finding("pseudo-replication", sentence)]


@dataclass(frozen=True)
class Gate:
    """A condition that must hold before an effect may be read: what was measured, and whether it passes."""

    name: str
    passed: bool
    measured: str


@dataclass(frozen=True)
class Verdict:
    """What became of a claim when it was run again."""

    claim: str
    outcome: str
    effect: Estimate
    p: float
    reasons: tuple[str, ...]
    on_analogue: bool = True

    def __str__(self) -> str:
        analogue = " (on analogue)" if self.on_analogue else ""
        return (
            f"{self.claim}: {self.outcome}{analogue}; effect {self.effect}, p = {self.p:.2g}. {' '.join(self.reasons)}"
        )


def decide(
    claim: Claim, gates: Sequence[Gate], effect: Estimate, p: float, direction_holds: bool, on_analogue: bool = True
) -> Verdict:
    """The verdict of a replication, by the rule that the claim fixed beforehand.

    Args:
        claim: with its minimum effect.
        gates: all must pass, or the result is inconclusive.
        effect: signed in the claimed direction, with its interval.
        p: of the claim's test (two-sided, alpha 0.05).
        direction_holds: whether the signs are as claimed.
        on_analogue: whether the model is not the one of the log.

    Returns:
        reproduced: gates pass, the direction holds, effect at least the minimum, and p below 0.05.
        not reproduced: gates pass and the interval lies below the minimum, or the opposite is significant.
        inconclusive: everything else.
    """
    failed = [gate for gate in gates if not gate.passed]
    minimum = claim.minimum_effect
    if failed:
        outcome, reasons = "inconclusive", tuple(f"Gate failed: {g.name} ({g.measured})." for g in failed)
    elif direction_holds and effect.value >= minimum and p < 0.05:
        outcome, reasons = "reproduced", (f"At least the minimum effect of {minimum:.2f}, in the claimed direction.",)
    elif effect.high < minimum or (effect.value < 0 and p < 0.05):
        outcome, reasons = "not reproduced", (f"The interval lies below the minimum effect of {minimum:.2f}.",)
    else:
        outcome, reasons = "inconclusive", ("The interval holds both less and more than the minimum effect.",)
    return Verdict(claim.id, outcome, effect, p, reasons, on_analogue)
