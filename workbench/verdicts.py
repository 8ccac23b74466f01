"""The rule that turns a replication into a verdict: gates first, then direction, minimum effect and test.

Nothing here runs a model: numbers in, verdict out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.claims import Claim
from workbench.statistics import Estimate


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
