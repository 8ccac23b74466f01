"""Methods and sites compared on the same held-out texts: what every cell of a layer-by-method table is computed from.

A direction and its threshold come from training texts alone. What is kept of a held-out text is one number per site, so that
intervals can be had by resampling texts, over all sites at once: sites share their texts, and are no independent cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from workbench.confounds import SURFACES, bag_of_words
from workbench.errors import WorkbenchError
from workbench.gathering import Contrast
from workbench.methods import METHODS, Method
from workbench.sites import Site
from workbench.statistics import Estimate, bootstrap


@dataclass(frozen=True, eq=False)
class Judged:
    """Held-out texts on the positive or negative side of a threshold, at several sites.

    Attributes:
        margins: [site, text], how far a text lies on the positive side; in standard deviations within the training sides.
        positive: [text], bool: which texts are positive.
        groups: [text]: texts of one group (a base prompt) are one observation.
    """

    margins: np.ndarray
    positive: np.ndarray
    groups: tuple[str, ...]

    @property
    def right(self) -> np.ndarray:
        """[site, text], bool: on the right side of the threshold."""
        return (self.margins > 0) == self.positive

    @property
    def accuracies(self) -> np.ndarray:
        """[site], share of texts on the right side."""
        return self.right.mean(1)

    @property
    def areas(self) -> np.ndarray:
        """[site], area under the ROC curve; below one half where the direction points the wrong way, NaN without texts of both sides."""
        ours, theirs = self.margins[:, self.positive], self.margins[:, ~self.positive]
        if not ours.size or not theirs.size:
            return np.full(len(self.margins), np.nan)
        above = ours[:, :, None] > theirs[:, None, :]
        ties = ours[:, :, None] == theirs[:, None, :]
        return above.mean((1, 2)) + ties.mean((1, 2)) / 2

    @property
    def effect_sizes(self) -> np.ndarray:
        """[site], Cohen's d: difference of the side means over the standard deviation within the sides."""
        ours, theirs = self.margins[:, self.positive], self.margins[:, ~self.positive]
        within = np.sqrt((ours.var(1) * ours.shape[1] + theirs.var(1) * theirs.shape[1]) / self.margins.shape[1])
        return (ours.mean(1) - theirs.mean(1)) / np.where(within > 0, within, 1.0)

    def take(self, texts: np.ndarray) -> "Judged":
        """Some of the texts, by number; a text may be taken several times."""
        return Judged(self.margins[:, texts], self.positive[texts], tuple(self.groups[i] for i in texts))


def judged(train: Mapping[Site, Contrast], held: Mapping[Site, Contrast], method: str | Method = "mean_diff") -> Judged:
    """Held-out texts judged by directions and thresholds (midpoints of the class means) from training texts, site by site.

    Args:
        train: what ``contrast`` returns of the training texts.
        held: the same of other texts, at the same sites.
        method: a name in ``METHODS``, a function of the activations of both sides, or what the surface alone says: a name in
            ``confounds.SURFACES``, e.g. "bag of words", which is alike at every site.

    Raises:
        WorkbenchError: an unknown method, sites that are not the same, or a surface where the texts are unknown.

    >>> judged(contrast(model, pairs.train, at), contrast(model, pairs.test, at), "probe").accuracies  # doctest: +SKIP
    """
    if isinstance(method, str) and method not in {*METHODS, *SURFACES}:
        there = ", ".join([*METHODS, *SURFACES])
        raise WorkbenchError(f"unknown method {method!r}; there are {there}, or give a function")
    if not held or list(train) != list(held):
        raise WorkbenchError(f"{len(train)} sites of training texts and {len(held)} held out are not the same sites")
    first = next(iter(held.values()))
    n, m = len(first.positive), len(first.negative)
    groups = first.groups or tuple(str(i) for i in range(n + m))
    if isinstance(method, str) and method in SURFACES:
        margins = np.tile(_surface(next(iter(train.values())), first, method), (len(train), 1))
    else:
        function = METHODS[method] if isinstance(method, str) else method
        margins = np.stack([_margins(train[site], held[site], function) for site in train])
    return Judged(margins, np.repeat([True, False], [n, m]), groups)


def shortfall(ours: Sequence[Judged], best: Sequence[Judged], resamples: int = 499, seed: int = 0) -> Estimate:
    """How far one method falls short of a better one: 1 - (mean AUC - 1/2) of ours over that of the best.

    Means are over sites and contrast sets; the interval is a bootstrap over groups of texts, all sites at once. A value of 1 is
    chance, above 1 is the wrong way round.

    Args:
        ours, best: the same contrast sets in the same order, judged by either method.

    Raises:
        WorkbenchError: sets that are not the same.
    """
    if [one.groups for one in ours] != [one.groups for one in best]:
        raise WorkbenchError("both methods must be judged on the same texts, set by set")
    sets = np.concatenate([np.full(one.margins.shape[1], i) for i, one in enumerate(ours)])
    places = np.concatenate([np.arange(one.margins.shape[1]) for one in ours])
    clusters = [f"{i} {group}" for i, one in enumerate(ours) for group in one.groups]

    def above_half(found: Sequence[Judged], rows: np.ndarray) -> float:
        drawn = [one.take(places[rows[sets[rows] == i]]) for i, one in enumerate(found)]
        return float(np.mean(np.concatenate([d.areas - 0.5 for d in drawn if 0 < d.positive.sum() < len(d.positive)])))

    return bootstrap(
        lambda rows: 1 - above_half(ours, rows) / above_half(best, rows), clusters, resamples=resamples, seed=seed
    )


def _margins(train: Contrast, held: Contrast, function: Method) -> np.ndarray:
    vector = torch.as_tensor(function(train.positive, train.negative)).double()
    fitted = [(side @ vector).numpy() for side in (train.positive, train.negative)]
    found = np.concatenate([(side @ vector).numpy() for side in (held.positive, held.negative)])
    return _beyond_the_middle(fitted, found)


def _surface(train: Contrast, held: Contrast, surface: str) -> np.ndarray:
    if not all((*train.texts, *held.texts)):
        raise WorkbenchError(f"{surface!r} needs the texts; read them with wb.contrast, or give Contrast(..., texts=…)")
    n, sides = len(train.texts[0]), np.repeat([True, False], [len(side) for side in train.texts])
    fitted, found = bag_of_words([*train.texts[0], *train.texts[1]], sides, [*held.texts[0], *held.texts[1]], surface)
    return _beyond_the_middle([fitted[:n], fitted[n:]], found)


def _beyond_the_middle(fitted: Sequence[np.ndarray], found: np.ndarray) -> np.ndarray:
    """Scores less the midpoint of the class means of the training texts, in standard deviations within their sides."""
    middle = (fitted[0].mean() + fitted[1].mean()) / 2
    within = np.sqrt(np.concatenate([side - side.mean() for side in fitted]).var())
    return (found - middle) / (within or 1.0)


def widest_area(found: Judged, shuffles: int = 199, seed: int = 0) -> Estimate:
    """The largest AUC over sites that texts give when their sides are drawn at random: what the best of many is worth.

    Args:
        found: any judged texts. shuffles: how often the sides are permuted.

    Returns:
        The mean of the largest over sites; ``high`` is exceeded in 5% of permutations (one-sided), ``low`` is the smallest.

    >>> widest_area(judged(train, held))  # doctest: +SKIP
    """
    rng = np.random.default_rng(seed)
    most = [Judged(found.margins, rng.permutation(found.positive), found.groups).areas.max() for _ in range(shuffles)]
    low, high = float(min(most)), float(np.quantile(most, 0.95))
    return Estimate(float(np.mean(most)), low, high, len(found.positive), "permutation of the sides, one-sided")
