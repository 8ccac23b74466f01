"""What a check finds, and how findings make a verdict."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd


#: outcomes that decide nothing
_UNDECIDED = ("note", "not computed")

Outcome = Literal["holds", "slip", "fails", "note", "not computed"]


#: The verdicts of an audit, gravest first: what has been refuted or measures its own procedure cannot be saved by counts,
#: and where there is nothing to check a contradiction elsewhere decides nothing.
VERDICTS = ("refuted (analytic)", "artefact", "untestable", "inconsistent", "underpowered", "supported")


def verdict_name(verdict: str) -> str:
    """What a reader is told: *supported* is stored, and means that no fault was found in what was checked.

    >>> verdict_name("supported"), verdict_name("inconsistent")
    ('no fault found', 'inconsistent')
    """
    return "no fault found" if verdict == "supported" else verdict


@dataclass(frozen=True)
class Result:
    """What one check computed.

    Attributes:
        outcome: holds; slip (off by at most one step of the last printed place: shown, but it decides nothing); fails;
            note (a number for the reader).
        sentence: with its numbers, without a full stop.
        values: what was recomputed.
        p: the p-value behind it, where there is one.
        verdict: what a failure means, where that is not what the check's failures usually mean.
    """

    outcome: Outcome
    sentence: str
    values: tuple[float, ...] = ()
    p: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Finding:
    """One result of an audit: a sentence with its numbers, and the p-value behind it where there is one.

    Attributes:
        check: which check.
        sentence: what it shows.
        p: p-value.
        part: the letter of the assertion it bears on, or empty for the claim as a whole.
        outcome: holds, slip, fails, note, or not computed (the numbers do not suit the check).
        verdict: what the failure means; empty unless it fails.
        values: what was recomputed.
    """

    check: str
    sentence: str
    p: float | None = None
    part: str = ""
    outcome: Outcome = "note"
    verdict: str = ""
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Audit:
    """What a claim's logged numbers say by themselves.

    Attributes:
        claim: its id.
        verdict: supported (told as "no fault found"), underpowered, inconsistent, artefact, refuted (analytic) or untestable.
        parts: the verdict of each lettered assertion.
        findings: the checks that led there, in order. Iterating the audit iterates these.
    """

    claim: str
    verdict: str
    parts: Mapping[str, str]
    findings: tuple[Finding, ...]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def checked(self) -> str:
        """What was checked, and how often: "2 grim, 1 differs"; and what could not be computed."""
        counts = Counter(f.check for f in self.findings if f.outcome not in _UNDECIDED)
        not_computed = sum(f.outcome == "not computed" for f in self.findings)
        checked = ", ".join(f"{n} {check}" for check, n in counts.items()) or "nothing"
        return checked + (f"; {not_computed} could not be computed" if not_computed else "")

    def __repr__(self) -> str:
        return f"Audit({self})"

    def __str__(self) -> str:
        letters = ", ".join(f"{letter}: {verdict_name(verdict)}" for letter, verdict in self.parts.items())
        return f"{self.claim}: {verdict_name(self.verdict)}" + (f" ({letters})" if letters else "")

    def frame(self) -> "pd.DataFrame":
        """One row per finding. A pandas DataFrame."""
        import pandas as pd

        rows = [(f.part, f.check, f.outcome, f.verdict, f.sentence, f.p) for f in self.findings]
        return pd.DataFrame(rows, columns=["part", "check", "outcome", "means", "finding", "p"])


def combine(findings: Iterable[Finding]) -> str:
    """The verdict of some findings: the gravest failure; supported if none fails; untestable if nothing was checked."""
    checked = [f for f in findings if f.outcome not in _UNDECIDED]
    if not checked:
        return "untestable"
    failures = [f.verdict for f in checked if f.outcome == "fails"]
    return min(failures, key=VERDICTS.index, default="supported")


def conclude(claim: str, findings: Iterable[Finding], letters: Iterable[str], headline: Iterable[str]) -> Audit:
    """The audit of a claim.

    Args:
        claim: its id.
        findings: of all its checks.
        letters: of its assertions.
        headline: the letters that the claim's own verdict rests on, beside the findings without a letter.
    """
    listed = tuple(findings)
    parts = {letter: combine(f for f in listed if f.part == letter) for letter in letters}
    own = [f for f in listed if not f.part]
    verdicts = [parts[letter] for letter in headline]
    if verdicts and not any(f.outcome not in _UNDECIDED for f in own):
        return Audit(claim, min(verdicts, key=VERDICTS.index), parts, listed)
    return Audit(claim, min([combine(own), *verdicts], key=VERDICTS.index), parts, listed)
