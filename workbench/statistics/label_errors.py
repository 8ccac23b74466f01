"""What is a difference of rates worth where the label that it counts errs?

A label that calls some of what is no compliance compliance, and more of it under steering than without, makes a difference where
there is none. How often it errs is known from texts labelled by hand; a rate is corrected for it (Rogan and Gladen 1978), and
what is not known of the errors widens the interval.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench._errors import WorkbenchError
from workbench.statistics import inputs
from workbench.statistics.means import mean
from workbench.statistics.paired_tests import newcombe
from workbench.statistics.rates import rate
from workbench.statistics.results import Estimate

_DRAWS, _SEED = 20_000, 0


@dataclass(frozen=True)
class LabelErrors:
    """How an automatic label compares with hand labels in one kind of arm: the counts for its two error rates.

    Attributes:
        called: texts with the label by hand that the automatic label also gives it.
        positives: all texts with the label by hand.
        wrongly: texts with another label by hand that the automatic label gives this label.
        negatives: all texts with another label by hand.

    >>> errors = LabelErrors(called=45, positives=50, wrongly=3, negatives=60)
    >>> print(errors.missed, errors.false)
    0.10 [0.04, 0.21] n=50 0.05 [0.02, 0.14] n=60
    """

    called: int
    positives: int
    wrongly: int
    negatives: int

    def __post_init__(self) -> None:
        for some, of in ((self.called, self.positives), (self.wrongly, self.negatives)):
            inputs.whole(of, 0, "a number of texts")
            inputs.whole(some, 0, "a number of texts")
            if some > of:
                raise WorkbenchError(f"{some} of {of} is not a count: expected no more texts called so than there are")

    @property
    def missed(self) -> Estimate:
        """The rate of missed labels, with its Wilson interval. Raises WorkbenchError without positives."""
        return rate(self.positives - self.called, self.positives)

    @property
    def false(self) -> Estimate:
        """The rate of false labels, with its Wilson interval. Raises WorkbenchError without negatives."""
        return rate(self.wrongly, self.negatives)

    def corrected(self, observed: float) -> float:
        """The corrected rate for an observed one (Rogan and Gladen 1978), 0 to 1; unchanged if the label carries no information."""
        inputs.probability(observed, "observed")
        found, false = self._means()
        return float(np.clip((observed - false) / (found - false), 0, 1)) if found > false else observed

    def _means(self) -> tuple[float, float]:
        """P(called | label) and P(called | another label); Jeffreys' half a text of either kind is added."""
        return (self.called + 0.5) / (self.positives + 1), (self.wrongly + 0.5) / (self.negatives + 1)

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """What the two rates may be, given the counts (Jeffreys' prior). Shapes [draw]."""
        found = rng.beta(self.called + 0.5, self.positives - self.called + 0.5, _DRAWS)
        return found, rng.beta(self.wrongly + 0.5, self.negatives - self.wrongly + 0.5, _DRAWS)


def corrected_difference(
    before: inputs.Numbers,
    after: inputs.Numbers,
    errors_before: LabelErrors,
    errors_after: LabelErrors,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """The difference of two rates on the same units, after minus before, corrected for the errors of the label.

    Use this interval wherever a difference of rates decides a verdict, and show the raw one beside it. ``before`` and
    ``after`` are the arguments of ``paired_difference`` or ``mean(after - before)``. The errors are those measured on
    untouched and on steered texts. If the reference is control directions, both sides are steered: pass the same
    errors twice, and both sides then share their uncertainty.

    The interval combines two independent parts (square-and-add, Zou and Donner 2008): the sampling of the units, by
    Newcombe's limits for paired rates (or a bootstrap over clusters), and the uncertainty of the error rates, from
    20,000 draws of their Jeffreys posteriors. It assumes that the texts of the experiment resemble those on which the
    errors were measured, because the errors also depend on the mixture of the other labels.

    Args:
        before, after: for each unit, whether it got the automatic label, or the share of its responses that did.
            Shape [n].
        errors_before, errors_after: the errors of the label in each condition, e.g. in an untouched and in a steered
            arm.
        clusters: the base prompt of each unit, shape [n].
        confidence: of the interval.

    Returns:
        The corrected difference, from -1 to 1, and its interval. n: units, or clusters. An interval from -1 to 1
        means that the label carries no information in one of the conditions.

    Raises:
        WorkbenchError: values that are not between 0 and 1, or lengths that differ.

    >>> good, bad = LabelErrors(96, 100, 2, 100), LabelErrors(96, 100, 20, 100)
    >>> before, after = [False] * 60, [True] * 12 + [False] * 48
    >>> print(corrected_difference(before, after, good, good))
    0.19 [0.07, 0.32] n=60
    >>> print(corrected_difference(before, after, good, bad))  # the label itself says so of one in five
    0.00 [-0.13, 0.18] n=60
    """
    inputs.between(confidence, 0, 1, "confidence")
    first, second = inputs.paired_numbers(before, after, "before and after", 1)
    for value in (first.min(), second.min(), first.max(), second.max()):
        inputs.probability(float(value), "a value of before or after")
    sides = ((float(first.mean()), errors_before), (float(second.mean()), errors_after))
    value = sides[1][1].corrected(sides[1][0]) - sides[0][1].corrected(sides[0][0])
    gaps = [found - false for found, false in (errors._means() for _, errors in sides)]
    if min(gaps) <= 0:
        return Estimate(value, -1.0, 1.0, len(first), "the label tells nothing")
    units = _of_units(first, second, gaps, clusters, confidence)
    low, high = np.quantile(_of_errors(sides), [(1 - confidence) / 2, (1 + confidence) / 2])
    down = np.hypot(units.value - units.low, max(value - low, 0))
    up = np.hypot(units.high - units.value, max(high - value, 0))
    return Estimate(
        value, max(value - float(down), -1.0), min(value + float(up), 1.0), units.n, f"Rogan-Gladen, {units.method}"
    )


def _of_units(
    first: np.ndarray,
    second: np.ndarray,
    gaps: Sequence[float],
    clusters: Sequence[Hashable] | np.ndarray | None,
    confidence: float,
) -> Estimate:
    """The difference of two rates, each divided by what the label tells, with the interval that the units give."""
    weights = (1 / gaps[0], 1 / gaps[1])
    binary = all(np.isin(side, (0, 1)).all() for side in (first, second))
    if binary and (clusters is None or len(set(clusters)) == len(first)):
        return newcombe(first.astype(bool), second.astype(bool), confidence, weights)
    return mean(second * weights[1] - first * weights[0], clusters, confidence)


def _of_errors(sides: Sequence[tuple[float, LabelErrors]]) -> np.ndarray:
    """What the corrected difference may be, the observed rates held fixed. Shape [draw]."""
    rng = np.random.default_rng(_SEED)
    same = sides[0][1] == sides[1][1]
    drawn = sides[0][1]._drawn(rng)
    rates = []
    for i, (observed, errors) in enumerate(sides):
        found, false = drawn if i == 0 or same else errors._drawn(rng)
        gap = found - false
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.clip((observed - false) / gap, 0, 1)
        rates.append(np.where(gap > 0, each, rng.random(_DRAWS)))  # no better than chance: any rate may be behind it
    return rates[1] - rates[0]
