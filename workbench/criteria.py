"""How a claim was obtained and how a replication of it is judged: method, criterion, gates, notebooks."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

Outcome = Literal["reproduced", "not reproduced", "inconclusive", "artefact", "not run"]
OUTCOMES: tuple[str, ...] = get_args(Outcome)
Kind = Literal["measurement", "comparison", "interpretation", "method"]

#: Validity gates of a replication, by the number that claims name them with.
GATES = {
    "G1": "decoding: own chat template, one BOS, only new tokens decoded, no prompt text in a response",
    "G2": "hook: zero dose is no hook, -a*d is +a*(-d), both bit for bit; +d raises the refusal margin",
    "G3": "disjoint: extraction, dev and test prompts are disjoint and distinct",
    "G4": "scorer: two independent scorers agree (kappa at least 0.6); gibberish scores collapse",
    "G5": "coherence: at most 10% collapse in every arm compared, or only coherent rows are counted",
    "G6": "specificity: outside the central 95% of 20 random and 20 orthogonal directions of equal norm",
    "G7": "headroom: the baseline lies between 5% and 95%",
    "G8": "power: the minimum detectable effect at power 0.8 is at most the minimum effect",
}
GateId = Literal["G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8"]
Test = Literal[
    "mcnemar",
    "fisher",
    "wilson",
    "cochran-armitage",
    "permutation",
    "paired bootstrap",
    "cluster bootstrap",
    "block bootstrap",
    "spearman",
    "delong",
    "equivalence",
    "bic",
    "identity",
]
NOTEBOOKS = (
    "00_start_here",
    "01_sign_inversion",
    "02_direction_specificity",
    "03_layer_polarity",
    "04_vulnerability_map",
    "05_multi_layer",
    "06_token_dynamics",
    "07_perturbation_ratio",
    "08_extraction_methods",
    "09_generalisation",
    "10_components",
    "11_base_to_tuned",
    "12_steering_vs_prompting",
    "13_emergent_misalignment",
    "14_logit_amplification",
    "15_scorer_calibration",
    "16_ledger",
)


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
class Method:
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
class Contrast:
    """What a verdict compares in the rows of a sweep: how often a label is given under a direction, and without it.

    Attributes:
        label: the label that is counted.
        sign: of the dose.
        set: name of the prompt set.
        against: the same prompts without steering, or under control directions of equal norm (their mean).
        interval_above: the interval of the effect must lie above this.
    """

    label: Literal["refusal", "compliance", "collapse"]
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
    """

    direction: str
    outcome: str
    minimum_effect: Decimal
    unit: str
    test: tuple[Test, ...]
    gates: tuple[GateId, ...]
    rule: str = ""
    contrast: Contrast | None = None
    logged: Decimal | None = None

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
