"""From the rows of a refusal sweep to what a verdict needs: effect, test and validity gates, as the claim fixed them.

Nothing here runs a model: rows in, numbers out. The same rows give the same numbers, to the last digit.

The validity gates that the rows of a sweep can answer, by the numbers that claims name them with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench import statistics
from workbench._errors import WorkbenchError
from workbench.claims.claim import Claim, Contrast, Criterion
from workbench.claims.evidence import BASELINE, EVERY_CONTROL, SCORE, Outcomes
from workbench.claims.verdict import Gate, Measured
from workbench.statistics.results import Estimate

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


_COLLAPSE, _HEADROOM = 0.10, 0.95


_WANTED = 20  # controls of each kind that a claim asks for


_LEAST = 3  # controls in all without which no spread can be told


_LOST = 0.02  # share of prompts that go the other way, as planned for


def gates_of(outcomes: Outcomes, criterion: Criterion, arm: str, effect: Estimate, tried: int) -> tuple[Gate, ...]:
    """The gates of a claim that rows can answer, for one arm; and the A/A gate wherever a condition was run twice.

    Args:
        outcomes: the rows under the claim's contrast.
        criterion: which gates are asked for.
        arm: the arm that is judged. effect: its effect.
        tried: among how many arms it was chosen.
    """
    known = {
        "G5": lambda: _coherence(outcomes, arm),
        "G6": lambda: _specificity(outcomes, arm, effect),
        "G7": lambda: _headroom(outcomes, criterion, arm),
        "G8": lambda: _power(outcomes, criterion, arm, tried),
    }
    found = [known[name]() for name in criterion.gates if name in known]
    if outcomes.against_controls:
        found.append(_specificity_score(outcomes, arm))
    if outcomes.arms.loc[arm, "kind"] == "oracle":
        found.append(Gate("one configuration", False, f"{arm!r} is no single configuration but an oracle"))
    return (*_identity(outcomes), *found)


def _identity(outcomes: Outcomes) -> list[Gate]:
    """Conditions that are the same must give the same: rows that occur twice, and arms of dose 0 beside the baseline."""
    zeros = [str(a) for a in outcomes.arms[outcomes.arms["ratio"] == 0].index if a != BASELINE]
    moved = sum(int((outcomes.table[a] != outcomes.table[BASELINE])[outcomes.table[a].notna()].sum()) for a in zeros)
    compared = outcomes.repeats + sum(int(outcomes.table[a].notna().sum()) for a in zeros)
    if not compared:
        return []
    wrong = outcomes.disagreeing + moved
    return [Gate("A/A identity", wrong == 0, f"{wrong} of {compared} repeated conditions differ")]


def _coherence(outcomes: Outcomes, arm: str) -> Gate:
    rates = {name: outcomes.collapse(name) for name in (BASELINE, arm)}
    worst = max(rates, key=lambda name: rates[name])
    return Gate("G5 coherence", rates[worst] <= _COLLAPSE, f"collapse at most {rates[worst]:.0%} ({worst})")


def control_effects(outcomes: Outcomes, arm: str) -> tuple[np.ndarray, int]:
    """The effect of each control direction at the layer and dose of an arm, [control], and how many more broke down.

    A control with more than 10% collapse is no comparison: responses that are loops or noise have no other label.
    """
    names = outcomes.controls(arm, EVERY_CONTROL)
    coherent = [name for name in names if outcomes.collapse(name) <= _COLLAPSE]
    base = outcomes.labels(BASELINE).mean()
    return np.array([outcomes.labels(name).mean() - base for name in coherent]), len(names) - len(coherent)


def _specificity(outcomes: Outcomes, arm: str, effect: Estimate) -> Gate:
    """Beyond every control, and beyond where one more control of their mean and spread would lie 95% of the time.

    The second condition (a prediction interval, Student's t) is what keeps few controls honest: of 6 controls none
    exceeds a seventh like them in 1 of 7 cases.
    """
    from scipy.stats import t

    found, broken = control_effects(outcomes, arm)
    m = len(found)
    besides = f"; {broken} more break down at this dose and are no comparison" if broken else ""
    if m < _LEAST:
        said = f"{m} coherent controls at the layer and dose of {arm}{besides}; a grid makes them: controls={_WANTED}"
        return Gate("G6 specificity", False, said, of_effect=True)
    reach = float(t.ppf(0.975, m - 1) * found.std(ddof=1) * np.sqrt(1 + 1 / m))
    limit = max(float(found.mean()) + reach, float(found.max()))
    few = "" if m >= 2 * _WANTED else f" (the claim asks for {_WANTED} random and {_WANTED} orthogonal ones)"
    said = f"{effect.value:+.2f} against {limit:+.2f} of {m} coherent controls{few}{besides}"
    return Gate("G6 specificity", effect.value > limit, said, of_effect=True)


def _specificity_score(outcomes: Outcomes, arm: str) -> Gate:
    """The arm lies at least two standard deviations of the controls above their mean, and at least 3 controls say so."""
    found, _ = control_effects(outcomes, arm)
    own = float(outcomes.labels(arm).mean() - outcomes.labels(BASELINE).mean())
    spread = float(found.std(ddof=1)) if len(found) >= _LEAST else np.inf
    fine = len(found) >= _LEAST and own - float(found.mean()) >= 2 * spread
    said = f"{own:+.2f} against {found.mean() if len(found) else 0:+.2f}, sd {spread:.2f}, of {len(found)} coherent controls"
    return Gate("controls: z at least 2", fine, said, of_effect=True)


def _headroom(outcomes: Outcomes, criterion: Criterion, arm: str) -> Gate:
    """Room for the minimum effect below 95%."""
    base = float(outcomes.pair(arm)[0].mean())
    needed = float(criterion.minimum_effect) if criterion.bound == "least" else 0.0
    what = f"{outcomes.contrast.label} {base:.0%} without the direction"
    return Gate("G7 headroom", base <= _HEADROOM - needed + 1e-9, f"{what}; at most {_HEADROOM - needed:.0%}")


def _power(outcomes: Outcomes, criterion: Criterion, arm: str, tried: int) -> Gate:
    """The smallest effect found with power 0.8, counted in base prompts and at the level that all tried arms leave."""
    before, after, bases = outcomes.pair(arm)
    n, wanted, alpha = len(set(bases)), float(criterion.minimum_effect), 0.05 / tried
    wanted -= float(outcomes.contrast.interval_above or 0)  # what the interval must exclude, 0 or more
    if outcomes.against_controls:
        spread = float(np.std(after - before, ddof=1)) or 1 / n
        found, needed = (
            statistics.detectable_mean(spread, n, alpha=alpha),
            statistics.needed_n_mean(wanted, spread, alpha=alpha),
        )
    else:
        found = statistics.detectable_paired(n, lost=_LOST, alpha=alpha)
        needed = statistics.needed_n_paired(gained=wanted + _LOST, lost=_LOST, alpha=alpha)
    return Gate("G8 power", n >= needed, f"{n} prompts find {found:.2f}; {wanted:.2f} takes {needed}")
