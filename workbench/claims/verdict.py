"""What became of it? The rule that turns a replication into a verdict: the interval first, then what failed gates could have caused.

Nothing here runs a model: numbers in, verdict out.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError
from workbench.claims.claim import Claim, Criterion
from workbench.claims.standing import standing_text
from workbench.statistics.results import Estimate

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05

#: The rule by which verdicts are decided now; entries say by which they were. ``first_rule`` has the one before.
RULE = 2

#: An estimate counts as at the minimum from this little below it: sums of shares are rounded.
_ROUNDING = 1e-9

#: Outcomes that say that the claimed effect is not there.
NEGATIVE = ("not reproduced", "opposite")


@dataclass(frozen=True)
class Gate:
    """A condition that must hold before an effect may be interpreted: what was measured, and whether it passes.

    ``of_effect``: the condition is about an effect that was found (is it larger than that of control directions?). If
    it fails, nothing is reproduced, but a verdict of no effect is still possible. ``spares``: outcomes that this
    failure cannot have caused, given what was measured.

    Raises:
        WorkbenchError: a name that is empty, ``passed`` that is not True or False, or ``measured`` that is not text.

    >>> Gate("G5 coherence", 0.04 <= 0.10, "4% of the steered responses collapse").id
    'G5'
    """

    name: str
    passed: bool
    measured: str
    of_effect: bool = False
    spares: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise WorkbenchError(f"a gate is called {self.name!r:.60}; expected its id and name, e.g. 'G5 coherence'")
        if type(self.passed).__name__ not in ("bool", "bool_"):  # the text "no" would be true
            raise WorkbenchError(f"passed={self.passed!r:.60} of gate {self.name!r:.60}: expected True or False")
        if not isinstance(self.measured, str):
            raise WorkbenchError(
                f"measured={self.measured!r:.60} of gate {self.name!r:.60}: expected words on what was measured"
            )

    @property
    def id(self) -> str:
        """The short name, e.g. ``"G5"`` for the gate ``"G5 coherence"``."""
        return self.name.split(maxsplit=1)[0].rstrip(":") if self.name.strip() else ""

    def stands(self, form: str) -> tuple[str, ...] | None:
        """The outcomes that stand even if this gate failed, by the form of the criterion; None if all do."""
        if self.id == "G8":
            return None  # power says what an inconclusive result is worth, and nothing about a decided one
        if self.of_effect or self.id == "G6":
            return ("not reproduced", *self.spares)
        if self.id == "G7":  # without room an effect cannot show, but what did move was not moved by that
            return (*(("not reproduced",) if form in ("limit", "margin") else ("opposite",)), *self.spares)
        return self.spares


@dataclass(frozen=True)
class Measured:
    """What a replication measured.

    Attributes:
        effect: positive in the claimed direction, with its interval.
        p: the two-sided p-value of the claim's test; NaN if its test is an identity or only an interval.
        direction_holds: whether the signs are as claimed.
        gates: the conditions that were checked first.
        uncorrected: the effect without correction for label errors, if ``effect`` is corrected.
        notes: sentences that a reader must know besides the numbers.

    Raises:
        WorkbenchError: an effect far outside its interval, a p that is no probability, or a field of another kind.

    >>> found = Measured(Estimate(0.62, 0.47, 0.75, 40, "paired difference"), p=0.0004, direction_holds=True)
    >>> print(found.effect)
    0.62 [0.47, 0.75] n=40
    """

    effect: Estimate
    p: float
    direction_holds: bool
    gates: tuple[Gate, ...] = ()
    notes: tuple[str, ...] = ()
    uncorrected: Estimate | None = None

    def __post_init__(self) -> None:
        _check_estimate(self.effect, "effect")
        if self.uncorrected is not None:
            _check_estimate(self.uncorrected, "uncorrected")
        if not is_number(self.p) or not (math.isnan(self.p) or 0 <= self.p <= 1):
            raise WorkbenchError(f"p is {self.p!r:.60}; expected a probability, or NaN where there is no test")
        if type(self.direction_holds).__name__ not in ("bool", "bool_"):
            raise WorkbenchError(f"direction_holds is {self.direction_holds!r:.60}; expected True or False")
        check_gates(self.gates)
        if isinstance(self.notes, str):
            raise WorkbenchError("notes is one text; expected a tuple of sentences")
        if not isinstance(self.notes, Sequence) or not all(isinstance(note, str) for note in self.notes):
            raise WorkbenchError(f"notes is {self.notes!r:.60}; expected a tuple of sentences")


def is_number(value: object) -> bool:
    """Whether a value is a number that a float can hold; True and False are no numbers."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and float(value) is not None
    except OverflowError:
        return False


def check_gates(gates: object) -> None:
    """Refuse gates= that is no list of gates."""
    if not isinstance(gates, Sequence) or isinstance(gates, str):
        raise WorkbenchError(f"gates={gates!r:.60}: expected a list, e.g. [wb.Gate(name, passed, measured)]")
    if strange := [gate for gate in gates if not isinstance(gate, Gate)]:
        raise WorkbenchError(f"{strange[0]!r:.60} is no gate; expected wb.Gate(name, passed, measured)")


def _check_estimate(estimate: object, name: str) -> None:
    """Refuse an estimate whose numbers make no sense."""
    if not isinstance(estimate, Estimate):
        raise WorkbenchError(f"{name} is {estimate!r:.60}; expected wb.Estimate(value, low, high, n, method)")
    value, low, high, n = estimate.value, estimate.low, estimate.high, estimate.n
    if not all(is_number(number) for number in (value, low, high)):
        raise WorkbenchError(f"{name} {estimate!r:.100}: expected numbers")
    if math.isinf(value) or low == math.inf or high == -math.inf:
        raise WorkbenchError(f"{name} {value} from {low} to {high}: expected a finite number")
    if (
        max(low - value, value - high) > (high - low) / 2
    ):  # the interval of a bootstrap may leave its value out, but not by far
        raise WorkbenchError(
            f"{name} {value} lies far outside its interval, {low} to {high}; expected wb.Estimate(value, low, high, n, method)"
        )
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 0:
        raise WorkbenchError(f"{name} has n={n!r:.30}; expected how many units are behind it, a whole number from 0")


@dataclass(frozen=True)
class Verdict:
    """The outcome of running a claim again.

    ``rule``: the version of the rule that decided it. ``registered``: whether its criterion was registered before the
        run, in words.

    >>> from workbench.claims.files import claim
    >>> effect = Estimate(0.02, -0.05, 0.09, 120, "paired difference")
    >>> decide(claim("S3.2"), [], effect, p=0.6, direction_holds=True).outcome  # no gate was measured
    'inconclusive'
    """

    claim: str
    outcome: str
    effect: Estimate
    p: float
    reasons: tuple[str, ...]
    on_analogue: bool = True
    gates: tuple[Gate, ...] = ()
    standing: str = ""
    rule: int = RULE
    registered: str = ""

    def frame(self) -> "pd.DataFrame":
        """The gates, one row each: gate, whether it passes, and what was measured."""
        import pandas as pd

        rows = [(gate.name, "pass" if gate.passed else "FAIL", gate.measured) for gate in self.gates]
        return pd.DataFrame(rows, columns=["gate", "", "measured"])

    def __repr__(self) -> str:
        return f"Verdict({self.claim}: {self.outcome}; effect {self.effect}, p = {self.p:.2g})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>" + (self.frame().to_html(index=False) if self.gates else "")

    def __str__(self) -> str:
        standing = standing_text(self.standing, self.on_analogue)
        if self.outcome == "not run" and math.isnan(
            self.effect.value
        ):  # nothing was measured: the first reason names what is lacking, the others are notes
            lacking = f"{self.claim}: {self.outcome}{standing}; lacking: {self.reasons[0].rstrip('.')}."
            return " ".join((lacking, *self.reasons[1:], *filter(None, (self.registered,))))
        p = "" if math.isnan(self.p) else f", p = {self.p:.2g}"
        about = f"{self.claim}: {self.outcome}{standing}; effect {self.effect}{p}."
        return " ".join((about, *self.reasons, *filter(None, (self.registered,))))


def decide(
    claim: Claim,
    gates: Sequence[Gate],
    effect: Estimate,
    p: float,
    direction_holds: bool,
    on_analogue: bool = True,
    by_log: Measured | None = None,
    uncorrected: Estimate | None = None,
) -> Verdict:
    """The verdict of a replication, by the rule that the claim fixed beforehand.

    Args:
        claim: with its minimum effect E.
        gates: what was measured of them; one that the claim requires and that is not among them counts as failed.
        effect: estimate e, signed in the claimed direction, with its interval [l, u].
        p: of the claim's test (two-sided, alpha 0.05), corrected where several were made; not used where the claim's only tests
            are an identity or an interval.
        direction_holds: whether all else that the claim says of the direction holds.
        on_analogue: whether the model is not the one of the log.
        by_log: the same measured with the log's own metric.
        uncorrected: the effect before it was corrected for errors of the labels; the verdict says where it would be another.

    Returns:
        Of an effect, "shown" meaning l > 0 with p below 0.05:

        opposite: u < 0, with p below 0.05. reproduced: shown, and e at least E. smaller: shown, and e below E. not reproduced:
            not shown, and u below E. inconclusive: everything else.
        artefact: not reproduced or opposite, and reproduced by the log's own metric.
        check: the claim is arithmetic on one's own rows. not run: fewer units than it takes.

        Without a minimum (E is 0): reproduced if shown, else opposite or inconclusive. A level (a share of units): reproduced if e
        is at least E and l above half of it, not reproduced if u is below E. A limit or margin: reproduced if the interval lies
        within it, not reproduced if it lies beyond. A failed gate leaves only what the failure cannot have caused
        (``docs/verdicts.md`` has the table).

    Raises:
        WorkbenchError: the claim has no criterion; or a test is needed and p is no probability.

    >>> passed = [Gate(f"G{i}", True, "") for i in (2, 5, 6, 7)]
    >>> for numbers in ((0.5, 0.3, 0.7), (0.1, 0.01, 0.19), (0.05, -0.05, 0.15), (-0.3, -0.4, -0.2), (0.1, -0.1, 0.3)):
    ...     effect, p = wb.Estimate(*numbers, 40, "paired difference"), 0.001
    ...     decide(wb.claim("S3.2"), passed, effect, p, direction_holds=True).outcome
    'reproduced'
    'smaller'
    'not reproduced'
    'opposite'
    'inconclusive'
    """
    criterion = claim.criterion
    if criterion is None:
        raise WorkbenchError(f"{claim.id} has no criterion: it is not to be run")
    measured = Measured(effect, p, direction_holds, tuple(gates))
    check_p(claim, criterion, p)
    if criterion.arithmetic:
        return _check(claim, measured, on_analogue)
    if effect.n < criterion.at_least:
        few = f"The claim needs {criterion.at_least} {criterion.counts}; there are {effect.n}."
        return Verdict(claim.id, "not run", effect, p, (few,), on_analogue, measured.gates)
    outcome, reasons = _gated(criterion, measured)
    if outcome in NEGATIVE and by_log is not None and read_numbers(criterion, by_log)[0] == "reproduced":
        said = f"It is there by the log's own metric ({by_log.effect}), and by this one {outcome}."
        outcome, reasons = "artefact", (said, *reasons[1:])
    if uncorrected is not None:
        raw = _gated(criterion, replace(measured, effect=uncorrected))[0]
        differs = f", and the verdict would be {raw}" if raw != outcome and outcome != "artefact" else ""
        reasons = (*reasons, f"Before the correction for errors of the labels it is {uncorrected}{differs}.")
    return Verdict(claim.id, outcome, effect, p, reasons, on_analogue, measured.gates)


def check_p(claim: Claim, criterion: Criterion, p: float) -> None:
    """A claim that is judged by a test has a p-value."""
    if criterion.form in ("effect", "sign") and not 0 <= p <= 1:
        raise WorkbenchError(f"{claim.id} is judged by {' and '.join(criterion.test)}: p must be from 0 to 1, got {p}")


def _check(claim: Claim, measured: Measured, on_analogue: bool) -> Verdict:
    """Arithmetic on one's own rows says nothing of the log, whatever comes out."""
    outcome, reason = read_numbers(claim.criterion, measured)  # type: ignore[arg-type]
    said = f"{'It holds' if outcome == 'reproduced' else 'It does not hold'}: arithmetic on the rows of its own run. {reason}"
    return Verdict(claim.id, "check", measured.effect, measured.p, (said,), on_analogue, measured.gates)


def _gated(criterion: Criterion, measured: Measured) -> tuple[str, tuple[str, ...]]:
    """What the numbers say, as far as the gates let them; and why, a sentence each."""
    outcome, reason = read_numbers(criterion, measured)
    decided, power, told = outcome, "", []
    for gate in (*measured.gates, *missing_gates(criterion, measured.gates)):
        if gate.passed:
            continue
        stands = gate.stands(criterion.form)
        if stands is None:
            power = f" Power: {gate.measured}."
            continue
        told.append(f"Gate failed: {gate.name} ({gate.measured}).")
        if outcome not in (*stands, "inconclusive"):
            weaker = outcome == "opposite" and "not reproduced" in stands
            outcome = "not reproduced" if weaker else "inconclusive"
    if outcome != decided and outcome == "inconclusive":
        return outcome, (*told, f"Without this failure the verdict would be {decided}.")
    return outcome, (reason + power * (outcome == "inconclusive"), *told)


def missing_gates(criterion: Criterion, gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """The gates that a criterion requires and that nobody measured, as gates that fail; too little power is not among them."""
    there = {gate.id for gate in gates}
    lacking = [name for name in criterion.gates if name not in there and name != "G8"]
    return tuple(Gate(name, False, "required and not measured") for name in lacking)


def read_numbers(criterion: Criterion, measured: Measured) -> tuple[str, str]:
    """The outcome of a replication whose gates pass, and why, by the form of its criterion."""
    least, effect = float(criterion.minimum_effect), measured.effect
    if criterion.form in ("limit", "margin"):
        low = -least if criterion.form == "margin" else -math.inf
        if measured.direction_holds and low <= effect.low and effect.high <= least:
            return "reproduced", f"The interval lies within the limit of {least:.3g}."
        if effect.low > least or effect.high < low:
            return "not reproduced", f"The interval lies beyond the limit of {least:.3g}."
        return "inconclusive", f"The interval includes the limit of {least:.3g}, or the direction does not hold."
    if criterion.form == "level":
        if measured.direction_holds and effect.value >= least - _ROUNDING and effect.low > least / 2:
            return "reproduced", f"The share is at least {least:.3g}, and its interval lies above half of that."
        if effect.high < least:
            return "not reproduced", f"The interval lies below {least:.3g}."
        return "inconclusive", f"The interval includes {least:.3g}, or the direction does not hold."
    significant = measured.p < ALPHA
    if effect.high < 0 and significant:
        return "opposite", "The interval lies below 0: the opposite of what is claimed."
    if effect.low > 0 and significant and measured.direction_holds:
        if effect.value >= least - _ROUNDING:
            return (
                "reproduced",
                f"In the claimed direction, and the estimate is at least the minimum effect of {least:.2f}.",
            )
        return "smaller", f"In the claimed direction, but the estimate is below the minimum effect of {least:.2f}."
    if effect.high < least and criterion.form == "effect":
        return "not reproduced", f"The interval does not reach the minimum effect of {least:.2f}."
    if effect.low > 0:
        why = "the direction does not hold" if significant else "it is not significant after correction for all tests"
        return "inconclusive", f"The interval lies above 0, but {why}."
    if criterion.form == "sign":
        return (
            "inconclusive",
            "The interval includes 0, or the opposite is not significant after correction for all tests.",
        )
    return "inconclusive", f"The interval includes both no effect and the minimum effect of {least:.2f}."
