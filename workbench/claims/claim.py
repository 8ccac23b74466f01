"""What is a claim, and by which rule is it judged? What was said, with which numbers, and when a replication counts as one."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from workbench._errors import WorkbenchError, unknown
from workbench.claims.audits import BoundCheck
from workbench.claims.audits.check_results import Audit, Finding, conclude, verdict_name
from workbench.claims.printed_numbers import Cell, Fact, Table, interval

if TYPE_CHECKING:
    import pandas as pd

Outcome = Literal["reproduced", "smaller", "not reproduced", "opposite", "artefact", "inconclusive", "not run", "check"]

OUTCOMES: tuple[str, ...] = get_args(Outcome)

Kind = Literal["measurement", "comparison", "interpretation", "method"]

#: Validity gates of a replication, by the number that claims name them with.
GATES = {
    "G1": "decoding: own chat template, one BOS, only new tokens decoded, no prompt text in a response",
    "G2": "hook: zero dose is no hook, -a*d is +a*(-d), both bit for bit; +d raises the refusal margin",
    "G3": "disjoint: extraction, dev and test prompts are disjoint and distinct",
    "G4": "scorer: two independent scorers agree (kappa at least 0.6); gibberish scores collapse",
    "G5": "coherence: at most 10% collapse in every arm compared, and in none more off topic than compliance; or only coherent rows",
    "G6": "specificity: beyond all of as many coherent control directions of equal norm as the claim asks for",
    "G7": "headroom: the baseline lies between 5% and 95%",
    "G8": "power: as many units as planned; it explains an inconclusive result and stands in the way of no other",
}

GateId = Literal["G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8"]

Test = Literal[
    "mcnemar", "fisher", "wilson", "cochran-armitage", "permutation", "paired bootstrap", "cluster bootstrap",
    "block bootstrap", "spearman", "delong", "equivalence", "bic", "identity",
]  # fmt: skip

#: tests that are an identity, or an interval alone
WITHOUT_P = {"identity", "wilson"}

#: an id names files and pages
ID = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
ID_WORDS = "letters, digits, dots, hyphens and underscores, a letter or digit first"

NOTEBOOKS = (
    "00_start_here", "01_sign_inversion", "02_direction_specificity", "03_layer_polarity",
    "04_vulnerability_map", "05_multi_layer", "06_token_dynamics", "07_perturbation_ratio",
    "08_extraction_methods", "09_generalisation", "10_components", "11_base_to_tuned",
    "12_steering_vs_prompting", "13_emergent_misalignment", "14_logit_amplification", "15_scorer_calibration",
    "16_ledger", "17_where_refusal_is_written", "18_how_steering_travels", "19_one_coordinate",
    "20_base_and_tuned", "21_refusal_is_one_direction", "22_length_and_phrases", "23_amplified_refusals", "24_price_of_steering",
    "25_weak_and_strong_models", "26_detection_and_control", "27_sft_and_dpo",
)  # fmt: skip


@dataclass(frozen=True)
class Log:
    """The research log that a claim is from, and the public repository behind it."""

    id: str
    title: str
    file: str = ""
    date: str = ""
    repository: str = ""
    licence: str = ""


@dataclass(frozen=True)
class LoggedMethod:
    """How the logged numbers were obtained; ``"not given"`` where the record does not say."""

    site: str
    positions: str
    normalisation: str
    decoding: str
    scorer: str
    n: int | str
    distinct_prompts: int | None = None
    design: str = ""


@dataclass(frozen=True)
class LabelContrast:
    """What a verdict compares in the rows of a sweep: how often a label is given under a direction, and without it.

    Attributes:
        label: the label that is counted.
        sign: of the dose.
        set: name of the prompt set.
        against: the same prompts without steering, or under control directions of equal norm (their mean).
        interval_above: the interval of the effect must lie above this.
    """

    label: Literal["refusal", "compliance", "off topic", "collapse"]
    sign: Literal["+", "-"]
    set: str = "positive"
    against: Literal["baseline", "controls"] = "baseline"
    interval_above: Decimal | None = None


@dataclass(frozen=True)
class Criterion:
    """When a replication counts as one, fixed beforehand: direction D, minimum effect E, test T and gates G.

    Attributes:
        direction: the sign predicate.
        outcome: what is compared.
        minimum_effect: E, in ``unit``.
        unit: e.g. ``"share"`` (0.1 is ten points) or ``"correlation"``.
        test: at alpha 0.05, two-sided.
        gates: keys of ``GATES`` that must pass.
        rule: what more it takes, or what decides between verdicts.
        contrast: how the outcome is read from the rows of a refusal sweep; None where it is measured otherwise.
        logged: the value that the log gives for the outcome, in ``unit``; None where it gives none.
        part: letter of the part of the claim that is judged; empty for the claim as a whole.
        controls: coherent control directions of equal norm, of all kinds together, that G6 asks for.
        planned_n: units that a confirmatory run plans with; 0 where nothing is planned.
        counts: what the units are, e.g. ``"prompts"``, ``"models"`` or ``"traits"``.
        at_least: with fewer units the claim is not run, whatever was measured; 0 for no such number.
        arithmetic: whether it is arithmetic on one's own rows: its outcome is *check*, and no verdict on the log.
        shares_rows: id of the claim whose rows judge this one too: one experiment, counted once.
    """

    direction: str
    outcome: str
    minimum_effect: Decimal
    unit: str
    test: tuple[Test, ...]
    gates: tuple[GateId, ...]
    rule: str = ""
    contrast: LabelContrast | None = None
    logged: Decimal | None = None
    part: str = ""
    controls: int = 40
    planned_n: int = 0
    counts: str = "prompts"
    at_least: int = 0
    arithmetic: bool = False
    shares_rows: str = ""

    def __str__(self) -> str:
        """The rule, one thing a line."""
        lines = {
            "direction": self.direction,
            "outcome": self.outcome,
            "minimum effect": f"{self.minimum_effect} ({self.unit})",
            "logged": "" if self.logged is None else f"{self.logged} ({self.unit})",
            "test": ", ".join(self.test),
            "gates": ", ".join(self.gates),
            "also": self.rule,
            "planned n": f"{self.planned_n} {self.counts}" if self.planned_n else "",
            "at least": f"{self.at_least} {self.counts}" if self.at_least else "",
            "rows": f"those of {self.shares_rows}" if self.shares_rows else "",
        }
        return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)

    @property
    def form(self) -> Literal["effect", "sign", "level", "limit", "margin"]:
        """By which rule the numbers are read (docs/verdicts.md); unit and tests say so.

        effect: a difference of at least E. sign: one without a minimum, E is 0. level: a share of units, or a unit that ends in
        ", level", of at least E, by identity or an interval alone. limit: at most E. margin: within E of nothing.
        """
        if self.bound != "least":
            return "limit" if self.bound == "most" else "margin"
        if set(self.test) <= WITHOUT_P or self.unit.endswith(", level"):
            return "level"
        return "effect" if self.minimum_effect > 0 else "sign"

    @property
    def bound(self) -> Literal["least", "most", "margin"]:
        """Whether the effect is to be at least E, at most E, or within E of nothing; the unit says so."""
        if self.unit.endswith("at most"):
            return "most"
        return "margin" if self.unit.endswith("equivalence margin") else "least"


@dataclass(frozen=True)
class Replication:
    """How the claim is to be run again, and what was expected of the reference models before any run."""

    design: str
    expected: tuple[Outcome, ...]
    why: str = ""


@dataclass(frozen=True)
class Claim:
    """One logged finding: its statement, its numbers, and the rule for judging a replication.

    Attributes:
        parts: assertions inside the claim, by letter.
        headline: the letters of the parts that decide the claim's own audit verdict. The other parts are reported
            too.
        tables: the logged numbers in tables; ``numbers`` are those in running text.
        evidence: tables and facts that give context.
        premises: the claims that this claim depends on. Its verdict is no better than theirs.
        criterion: the rule; None only for claims that are not to be run. If parts are judged separately, this is the
            criterion of the part that decides the claim's own verdict.
        criteria: the criteria of the other parts, by letter; ``part`` returns such a part as a claim.
        file: the claims file that it was read from.

    >>> from workbench.claims.files import claim
    >>> claim("S3.2").minimum_effect, claim("S3.2").notebook
    (0.2, '01_sign_inversion')
    """

    id: str
    title: str
    log: Log
    section: str
    kind: Kind
    statement: str
    models: tuple[str, ...]
    method: LoggedMethod
    notebook: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    headline: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    numbers: Mapping[str, Cell] = field(default_factory=dict)
    evidence: tuple[Table | Fact, ...] = ()
    premises: tuple["Claim", ...] = ()
    checks: tuple[BoundCheck, ...] = ()
    criterion: Criterion | None = None
    criteria: Mapping[str, Criterion] = field(default_factory=dict)
    replication: Replication | None = None
    file: str = field(default="", compare=False)

    @property
    def minimum_effect(self) -> float:
        """The smallest effect that counts as reproduced. Raises WorkbenchError for a claim that is not to be run."""
        if self.criterion is None:
            raise WorkbenchError(f"{self.id} has no criterion: it is not to be run")
        return float(self.criterion.minimum_effect)

    def __repr__(self) -> str:
        return f"Claim({self.id!r}, {self.title!r}; log {self.log.id}, {self.section})"

    def part(self, letter: str) -> "Claim":
        """One part as a separate claim, e.g. ``S2.10b``, with its own criterion and verdict.

        Raises:
            WorkbenchError: the part has no criterion of its own.

        >>> from workbench.claims.files import claim
        >>> claim("S2.10").part("b").id
        'S2.10b'
        """
        if letter not in self.criteria:
            raise unknown("part with a criterion of its own", letter, self.criteria, f" in {self.id}")
        title = self.parts.get(letter, self.criteria[letter].direction).rstrip(".")
        return replace(self, id=f"{self.id}{letter}", title=title, criterion=self.criteria[letter], criteria={})

    def lines(self) -> tuple["Claim", ...]:
        """The claim, and each of its parts that is judged separately."""
        return (self, *(self.part(letter) for letter in self.criteria))

    def frame(self) -> "pd.DataFrame":
        """The logged numbers, one row each, with Wilson intervals of rates. A pandas DataFrame."""
        import pandas as pd

        said = [("text", "", name, str(c), interval(c), c.provenance) for name, c in self.numbers.items()]
        frames = [table.frame() for table in self.tables]
        columns = ["table", "row", "column", "logged", "Wilson 95%", "from"]
        return pd.concat([*frames, pd.DataFrame(said, columns=columns)], ignore_index=True)

    def audit(self) -> Audit:
        """Audit the logged numbers: the results of the checks that the claims file names, and the verdict.

        A check that does not suit the numbers it is given is a finding that says so, with file and line.
        """
        return self._audit

    @cached_property
    def _audit(self) -> Audit:
        findings = [*_premises(self), *_repeated_prompts(self), *(f for check in self.checks for f in check.run())]
        return conclude(self.id, findings, self.parts, self.headline)


def _premises(claim: Claim) -> Iterator[Finding]:
    for premise in claim.premises:
        verdict = premise.audit().verdict
        sentence = f"rests on {premise.id} ({premise.title}), which is {verdict_name(verdict)}"
        fine = verdict == "supported"
        yield Finding("premise", sentence, outcome="holds" if fine else "fails", verdict="" if fine else verdict)


def _repeated_prompts(claim: Claim) -> Iterator[Finding]:
    n, distinct = claim.method.n, claim.method.distinct_prompts
    if isinstance(n, int) and distinct is not None and distinct < n:
        what = f"n = {n} is {distinct} distinct prompts in variants"
        yield Finding("pseudo-replication", f"{what}: intervals that treat them as {n} are too narrow")
