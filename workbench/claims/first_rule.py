"""How were verdicts decided before the present rule? The first rule, kept so that its entries can be computed again.

It called an effect reproduced whose interval reached the minimum though the estimate did not, let too little power veto what an
interval had decided, and did not ask for gates that nobody had measured. Nothing new is judged by it.
"""

import numpy as np

from workbench import statistics
from workbench.claims.claim import WITHOUT_P, Claim, Criterion
from workbench.claims.evidence import BASELINE_NAME, ArmLabels
from workbench.claims.verdict import ALPHA, Gate, Measured, Verdict, check_p
from workbench.statistics.results import Estimate

#: what entries of this rule say it is
FIRST = 1

_WANTED, _NEEDED = 20, 3  # controls of each kind that its gate asked for, and that it was content with
_LOST = 0.02


def decide_first(
    claim: Claim, criterion: Criterion, measured: Measured, on_analogue: bool, by_log: Measured | None
) -> Verdict:
    """The verdict by the first rule: any gate vetoes, then p below 0.05 and an interval that reaches the minimum.

    >>> from workbench.claims.files import claim
    >>> measured = Measured(Estimate(0.1, 0.01, 0.21, 48, ""), 0.03, True)  # half of the minimum
    >>> decide_first(claim("S3.2"), claim("S3.2").criterion, measured, True, None).outcome
    'reproduced'
    """
    gates, effect, p = measured.gates, measured.effect, measured.p
    check_p(claim, criterion, p)
    failed = tuple(f"Gate failed: {gate.name} ({gate.measured})." for gate in gates if not gate.passed)
    outcome, reason = _read(criterion, measured)
    if any(not gate.passed and not gate.of_effect for gate in gates) or (failed and outcome != "not reproduced"):
        return Verdict(claim.id, "inconclusive", effect, p, failed, on_analogue, gates, rule=FIRST)
    if outcome == "not reproduced" and by_log is not None and _read(criterion, by_log)[0] == "reproduced":
        outcome, reason = "artefact", f"It is there by the log's own metric ({by_log.effect}) and not by this one."
    return Verdict(claim.id, outcome, effect, p, (reason, *failed), on_analogue, gates, rule=FIRST)


def _read(criterion: Criterion, measured: Measured) -> tuple[str, str]:
    limit, effect = float(criterion.minimum_effect), measured.effect
    if criterion.bound == "least":
        return _at_least(criterion, measured)
    low = -limit if criterion.bound == "margin" else -float("inf")
    if measured.direction_holds and low <= effect.low and effect.high <= limit:
        return "reproduced", f"The interval lies within the limit of {limit:.3g}."
    if effect.low > limit or effect.high < low:
        return "not reproduced", f"The interval lies beyond the limit of {limit:.3g}."
    return "inconclusive", f"The interval reaches over the limit of {limit:.3g}, or the direction does not hold."


def _at_least(criterion: Criterion, measured: Measured) -> tuple[str, str]:
    minimum, effect = float(criterion.minimum_effect), measured.effect
    exact = set(criterion.test) <= WITHOUT_P
    significant = effect.value >= minimum if exact else measured.p < ALPHA
    if significant and measured.direction_holds and effect.value > 0 and effect.high >= minimum:
        short = " The estimate itself falls short of it." if effect.value < minimum else ""
        reason = f"In the claimed direction, and the interval reaches the minimum effect of {minimum:.2f}.{short}"
        return "reproduced", reason
    if effect.high < minimum:
        return "not reproduced", f"The interval lies below the minimum effect of {minimum:.2f}."
    if effect.value < 0 and measured.p < ALPHA:
        return "not reproduced", "The opposite is significant."
    reason = "The interval holds both less and more than the minimum effect, or the direction does not hold."
    return "inconclusive", reason


def specificity_first(arm: str, effect: Estimate, controls: np.ndarray, broken: int) -> Gate:
    """Beyond every control and beyond their prediction interval, also where there are but three of them."""
    m = len(controls)
    besides = f"; {broken} more break down at this dose and are no comparison" if broken else ""
    if m < _NEEDED:
        there = f"{m} coherent controls at the layer and dose of {arm}{besides}"
        return Gate("G6 specificity", False, f"{there}; a grid makes them: controls={_WANTED}", of_effect=True)
    limit = statistics.prediction_limit(controls)
    few = "" if m >= 2 * _WANTED else f" (the claim asks for {_WANTED} random and {_WANTED} orthogonal ones)"
    said = f"{effect.value:+.2f} against {limit:+.2f} of {m} coherent controls{few}{besides}"
    return Gate("G6 specificity", effect.value > limit, said, of_effect=True)


def score_first(labels: ArmLabels, arm: str, controls: np.ndarray) -> Gate:
    """At least two standard deviations above the mean of three controls or more."""
    enough = len(controls) >= _NEEDED
    own = float(labels.labels(arm).mean() - labels.labels(BASELINE_NAME).mean())
    mean, spread = float(controls.mean()) if len(controls) else 0.0, float(controls.std(ddof=1)) if enough else np.inf
    said = f"{own:+.2f} against {mean:+.2f}, sd {spread:.2f}, of {len(controls)} coherent controls"
    return Gate("controls: z at least 2", enough and own - mean >= 2 * spread, said, of_effect=True)


def power_first(labels: ArmLabels, criterion: Criterion, arm: str, tried: int) -> Gate:
    """The smallest effect found with power 0.8 is at most the minimum, with 2 in 100 prompts lost."""
    before, after, bases = labels.pair(arm)
    n, wanted, alpha = len(set(bases)), float(criterion.minimum_effect), 0.05 / tried
    wanted -= float(labels.contrast.interval_above or 0)
    if labels.against_controls:
        spread = float(np.std(after - before, ddof=1)) or 1 / n
        smallest = statistics.detectable_mean(spread, n, alpha=alpha)
        needed = statistics.needed_n_mean(wanted, spread, alpha=alpha)
    else:
        smallest = statistics.detectable_paired(n, lost=_LOST, alpha=alpha)
        needed = statistics.needed_n_paired(gained=wanted + _LOST, lost=_LOST, alpha=alpha)
    return Gate("G8 power", n >= needed, f"{n} prompts find {smallest:.2f}; {wanted:.2f} takes {needed}")
