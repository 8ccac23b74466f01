"""From the rows of a refusal sweep to what a verdict needs: effect, test and validity gates, as the claim fixed them.

Nothing here runs a model: rows in, numbers out. The same rows give the same numbers, to the last digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench import statistics
from workbench.claims import Claim
from workbench.criteria import Contrast, Criterion
from workbench.errors import WorkbenchError
from workbench.evidence import BASELINE, SCORE, Outcomes
from workbench.gates import gates_of
from workbench.statistics import Estimate
from workbench.verdicts import Gate, Measured

if TYPE_CHECKING:
    import pandas as pd

_READABLE = {"mcnemar", "fisher", "permutation", "paired bootstrap", "cluster bootstrap", "wilson"}
_BROKEN = 0.1  # share of collapse from which an arm is not coherent


@dataclass(frozen=True)
class Reading:
    """An arm read against what it is compared with: the arm, how many were tried for it, and what was measured."""

    arm: str
    tried: int
    measured: Measured


def read_rows(
    claim: Claim, rows: "pd.DataFrame", arm: str = "", score: str = SCORE, extra: Sequence[Gate] = ()
) -> Reading:
    """The effect of a direction in the rows of a sweep, with p-value and gates, by the criterion of a claim.

    Args:
        claim: its criterion has a contrast: label, prompt set, sign of the dose, and what it is compared with.
        rows: as ``evidence.prepared`` makes them of the rows of a sweep.
        arm: name of the arm. By default every direction arm of the claimed sign is tried, the one with the largest effect
            among those with at most 10% collapse is taken, and interval and p-value make up for the choice (Bonferroni).
        score: the score that gave the labels; the log's own, or the three-way label.
        extra: gates that were measured elsewhere; they count like those of the rows.

    Raises:
        WorkbenchError: the claim cannot be judged by such rows, or the rows lack an arm or hold other prompts in it.
    """
    criterion = _criterion(claim)
    assert criterion.contrast is not None
    outcomes = Outcomes(rows, criterion.contrast, score)
    names = [arm] if arm else outcomes.claimed_arms()
    coherent = [name for name in names if outcomes.collapse(name) <= _BROKEN] or names
    effects = {name: _effect(outcomes, criterion, name, len(names)) for name in coherent}
    best = max(
        coherent, key=lambda name: effects[name].value
    )  # for an upper limit the largest effect is the worst case
    effect, p = effects[best], min(1.0, _p(outcomes, criterion, best) * len(names))
    gates = (*gates_of(outcomes, criterion, best, effect, len(names)), *extra)
    lacking = [gate for gate in criterion.gates if not any(g.name.split()[0] == gate for g in gates)]
    notes = [f"Taken of {len(names)} arms: {best}; interval and p-value make up for it."] * (len(names) > 1)
    notes += [f"Not measured in these rows: {', '.join(lacking)}."] * bool(lacking)
    holds = _direction_holds(outcomes, criterion, best, effect)
    return Reading(best, len(names), Measured(effect, p, holds, gates, tuple(notes)))


def _criterion(claim: Claim) -> Criterion:
    criterion = claim.criterion
    if criterion is None or criterion.contrast is None or not set(criterion.test) <= _READABLE:
        how = "it has no criterion" if criterion is None else f"it is about {criterion.outcome}"
        raise WorkbenchError(
            f"{claim.id} cannot be judged by the labels of sweep rows: {how}. Measure it, and give "
            "measured=wb.Measured(effect, p, direction_holds, gates)"
        )
    return criterion


def _effect(outcomes: Outcomes, criterion: Criterion, arm: str, tried: int) -> Estimate:
    """The difference of rates, arm minus reference, its interval at 95% for all arms that were tried together."""
    before, after, bases = outcomes.pair(arm)
    confidence = 1 - 0.05 / tried
    if outcomes.against_controls or len(set(bases)) < len(bases):
        return statistics.mean(after - before, bases, confidence)
    return statistics.paired_difference(before.astype(bool).tolist(), after.astype(bool).tolist(), confidence)


def _p(outcomes: Outcomes, criterion: Criterion, arm: str) -> float:
    """Of the first test that the claim names and that suits the rows; whole clusters where base prompts repeat."""
    before, after, bases = outcomes.pair(arm)
    if outcomes.against_controls or len(set(bases)) < len(bases) or "mcnemar" not in criterion.test:
        if criterion.test[0] == "fisher":
            n = len(before)
            return statistics.fisher(int(before.sum()), n, int(after.sum()), n)
        return statistics.permutation(before, after, clusters=bases).p
    return statistics.mcnemar(before.astype(bool).tolist(), after.astype(bool).tolist())


def _direction_holds(outcomes: Outcomes, criterion: Criterion, arm: str, effect: Estimate) -> bool:
    """The effect has the claimed sign, its interval lies where the claim wants it, and the opposite dose does no such thing.

    The opposite dose (same layer and size, where the rows hold it) must not move the label in the same direction
    significantly: a direction whose two signs act alike is no polarity.
    """
    contrast: Contrast = criterion.contrast  # type: ignore[assignment]
    if criterion.bound != "least":
        return True
    if effect.value <= 0 or (contrast.interval_above is not None and effect.low <= float(contrast.interval_above)):
        return False
    opposite = outcomes.opposite(arm)
    if opposite is None:
        return True
    before, after = (outcomes.labels(name).to_numpy() for name in (BASELINE, opposite))
    return bool(np.mean(after) <= np.mean(before)) or statistics.mcnemar(before, after) >= 0.05
