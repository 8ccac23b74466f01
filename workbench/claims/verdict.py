"""What became of it? The rule that turns a replication into a verdict: gates first, then direction, minimum effect and test.

Nothing here runs a model: numbers in, verdict out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError
from workbench.claims.claim import Claim, Criterion
from workbench.claims.standing import standing_text
from workbench.statistics.results import Estimate

if TYPE_CHECKING:
    import pandas as pd

_ALPHA = 0.05
_WITHOUT_P = {"identity", "wilson"}  # tests that are an identity or an interval alone


@dataclass(frozen=True)
class Gate:
    """A condition that must hold before an effect may be read: what was measured, and whether it passes.

    ``of_effect``: the condition is about an effect that is there (is it larger than that of control directions?). When it
    fails nothing is reproduced, but that there is no effect can still be said.
    """

    name: str
    passed: bool
    measured: str
    of_effect: bool = False


@dataclass(frozen=True)
class Measured:
    """What a replication measured.

    Attributes:
        effect: signed in the claimed direction, with its interval.
        p: of the claim's test, two-sided; NaN where its test is an identity or an interval alone.
        direction_holds: whether the signs are as claimed.
        gates: what had to hold first.
        notes: what a reader must know beside the numbers, a sentence each.
    """

    effect: Estimate
    p: float
    direction_holds: bool
    gates: tuple[Gate, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        effect = self.effect
        if not isinstance(effect, Estimate):
            raise WorkbenchError(f"effect is {effect!r:.60}; expected wb.Estimate(value, low, high, n, method)")
        try:
            value, low, high, p = (float(x) for x in (effect.value, effect.low, effect.high, self.p))
        except (TypeError, ValueError) as error:
            raise WorkbenchError(f"effect {effect!r:.100} and p {self.p!r:.30}: expected numbers") from error
        if math.isinf(value) or low == math.inf or high == -math.inf or low > high:
            raise WorkbenchError(
                f"effect {value} from {low} to {high}: expected a finite number, and bounds that do not cross"
            )
        if not (math.isnan(p) or 0 <= p <= 1):
            raise WorkbenchError(f"p is {p}; expected a probability, or NaN where there is no test")
        if self.direction_holds not in (True, False):
            raise WorkbenchError(f"direction_holds is {self.direction_holds!r}; expected True or False")
        if strange := [gate for gate in self.gates if not isinstance(gate, Gate)]:
            raise WorkbenchError(f"{strange[0]!r:.60} is no gate; expected wb.Gate(name, passed, measured)")
        if isinstance(self.notes, str):
            raise WorkbenchError("notes is one text; expected a tuple of sentences")


@dataclass(frozen=True)
class Verdict:
    """What became of a claim when it was run again."""

    claim: str
    outcome: str
    effect: Estimate
    p: float
    reasons: tuple[str, ...]
    on_analogue: bool = True
    gates: tuple[Gate, ...] = ()
    standing: str = ""

    def frame(self) -> "pd.DataFrame":
        """The gates, one row each: gate, whether it passes, and what was measured."""
        import pandas as pd

        rows = [(gate.name, "pass" if gate.passed else "FAIL", gate.measured) for gate in self.gates]
        return pd.DataFrame(rows, columns=["gate", "", "measured"])

    def __str__(self) -> str:
        standing = standing_text(self.standing, self.on_analogue)
        about = f"{self.claim}: {self.outcome}{standing}; effect {self.effect}, p = {self.p:.2g}."
        return " ".join((about, *self.reasons))


def decide(
    claim: Claim,
    gates: Sequence[Gate],
    effect: Estimate,
    p: float,
    direction_holds: bool,
    on_analogue: bool = True,
    by_log: Measured | None = None,
) -> Verdict:
    """The verdict of a replication, by the rule that the claim fixed beforehand.

    Args:
        claim: with its minimum effect.
        gates: all must pass, or the result is inconclusive; those ``of_effect`` only where there is one.
        effect: signed in the claimed direction, with its interval.
        p: of the claim's test (two-sided, alpha 0.05); not used where the claim's only tests are an identity or an interval.
        direction_holds: whether the signs are as claimed.
        on_analogue: whether the model is not the one of the log.
        by_log: the same measured with the log's own metric.

    Returns:
        reproduced: gates pass, the direction holds, p is below 0.05, and the interval reaches the minimum effect. It is the
            interval that must reach it and not the estimate, which falls short of a true effect of just that size in half
            of all replications, however many prompts they have.
        not reproduced: gates pass (those of an effect aside) and the interval lies below the minimum, or the opposite is significant.
        artefact: not reproduced, and reproduced by the log's own metric.
        inconclusive: everything else.

        Where the claim sets an upper limit or a margin: reproduced if the interval lies within it, not reproduced if
        it lies beyond.

    Raises:
        WorkbenchError: the claim has no criterion; or a test is needed and p is no probability.

    >>> effect = wb.Estimate(0.5, 0.3, 0.7, 40, "paired difference")
    >>> decide(wb.claim("S3.2"), [], effect, p=0.001, direction_holds=True).outcome
    'reproduced'
    """
    criterion = claim.criterion
    if criterion is None:
        raise WorkbenchError(f"{claim.id} has no criterion: it is not to be run")
    measured = Measured(effect, p, direction_holds, tuple(gates))
    needs_p = criterion.bound == "least" and not set(criterion.test) <= _WITHOUT_P
    if needs_p and not 0 <= p <= 1:
        raise WorkbenchError(f"{claim.id} is judged by {' and '.join(criterion.test)}: p must be from 0 to 1, got {p}")
    failed = tuple(f"Gate failed: {gate.name} ({gate.measured})." for gate in gates if not gate.passed)
    outcome, reason = _read(criterion, measured)
    if any(not gate.passed and not gate.of_effect for gate in gates) or (failed and outcome != "not reproduced"):
        return Verdict(claim.id, "inconclusive", effect, p, failed, on_analogue, measured.gates)
    if outcome == "not reproduced" and by_log is not None and _read(criterion, by_log)[0] == "reproduced":
        outcome, reason = "artefact", f"It is there by the log's own metric ({by_log.effect}) and not by this one."
    return Verdict(claim.id, outcome, effect, p, (reason, *failed), on_analogue, measured.gates)


def _read(criterion: Criterion, measured: Measured) -> tuple[str, str]:
    """The outcome of a replication whose gates pass, and why."""
    if criterion.bound == "least":
        return _at_least(criterion, measured)
    limit, effect = float(criterion.minimum_effect), measured.effect
    low = -limit if criterion.bound == "margin" else -float("inf")
    if measured.direction_holds and low <= effect.low and effect.high <= limit:
        return "reproduced", f"The interval lies within the limit of {limit:.3g}."
    if effect.low > limit or effect.high < low:
        return "not reproduced", f"The interval lies beyond the limit of {limit:.3g}."
    return "inconclusive", f"The interval reaches over the limit of {limit:.3g}, or the direction does not hold."


def _at_least(criterion: Criterion, measured: Measured) -> tuple[str, str]:
    minimum, effect = float(criterion.minimum_effect), measured.effect
    exact = set(criterion.test) <= _WITHOUT_P
    significant = effect.value >= minimum if exact else measured.p < _ALPHA
    if significant and measured.direction_holds and effect.value > 0 and effect.high >= minimum:
        short = " The estimate itself falls short of it." if effect.value < minimum else ""
        reason = f"In the claimed direction, and the interval reaches the minimum effect of {minimum:.2f}.{short}"
        return "reproduced", reason
    if effect.high < minimum:
        return "not reproduced", f"The interval lies below the minimum effect of {minimum:.2f}."
    if effect.value < 0 and measured.p < _ALPHA:
        return "not reproduced", "The opposite is significant."
    reason = "The interval holds both less and more than the minimum effect, or the direction does not hold."
    return "inconclusive", reason
