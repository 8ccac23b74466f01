"""The validity gates that the rows of a sweep can answer, by the numbers that claims name them with."""

import numpy as np

from workbench import statistics
from workbench.criteria import Criterion
from workbench.evidence import BASELINE, EVERY_CONTROL, Outcomes
from workbench.statistics import Estimate
from workbench.verdicts import Gate

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
