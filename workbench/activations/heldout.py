"""How well a direction tells the two sides of a contrast set apart, on texts it was not made from, beside what needs no model.

Everything is fitted on training texts: the direction, the threshold, the baselines. Log 002 took its threshold from the very
texts it judged, and several of its 100 % are resubstitution; numbers from training texts are labelled here.

Methods and sites compared on the same held-out texts: what every cell of a layer-by-method table is computed from.

A direction and its threshold come from training texts alone. What is kept of a held-out text is one number per site, so that
intervals can be had by resampling texts, over all sites at once: sites share their texts, and are no independent cells.

Does a direction carry over: made from the texts of one cell (a topic, a language, a domain), judged on those of another.

Log 002 filled such matrices with a threshold from the very texts it judged and with training accuracy on the diagonal, and
set nothing beside them. Here no text is judged by a direction that saw it, its match on the other side or its translation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench._errors import WorkbenchError
from workbench.activations.collect import Contrast, contrast
from workbench.activations.methods import METHODS, Method, mean_diff, random
from workbench.activations.surface import SURFACES, bag_of_words
from workbench.models.model import Model
from workbench.models.prompts import Pairs
from workbench.statistics.means import bootstrap, cohens_d, mean
from workbench.statistics.ranking import auc
from workbench.statistics.rates import rate
from workbench.statistics.results import Estimate
from workbench.steering.directions import Direction
from workbench.steering.sites import Site

if TYPE_CHECKING:
    import pandas as pd


Texts = Pairs | Contrast | Mapping[Site, Contrast]


#: Projections of the positive and of the negative texts.
Scores = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Detection:
    """How well one number per text tells the sides apart.

    Attributes:
        name: "direction", "bag of words", "layer 0" or "random".
        threshold: the midpoint of the class means of the training texts.
        accuracy: share of texts on the right side of it. With sides of unequal size, compare with the larger side's share.
        auc: area under the ROC curve: how often a positive text is above a negative one.
        d: Cohen's d, positive minus negative; below 0 where the order is turned around. Texts count as independent.
        overlap: of the two distributions, 0 to 1: one minus the largest difference of their cumulative shares
            (Kolmogorov and Smirnov). What the best threshold of all would get wrong, both sides added up.
    """

    name: str
    threshold: float
    accuracy: Estimate
    auc: Estimate
    d: Estimate
    overlap: float

    @property
    def polarity(self) -> int:
        """1 where the positive side is higher on average, -1 where it is lower (log 002's polarity failure), else 0."""
        return int(np.sign(self.d.value)) if np.isfinite(self.d.value) else 0

    def __str__(self) -> str:
        turned = "  polarity reversed" if self.polarity < 0 else ""
        return (
            f"{self.name:<13} accuracy {self.accuracy}  AUC {self.auc.value:.2f} [{self.auc.low:.2f}, {self.auc.high:.2f}]  "
            f"d {self.d.value:.2f} [{self.d.low:.2f}, {self.d.high:.2f}]  overlap {self.overlap:.2f}{turned}"
        )


@dataclass(frozen=True)
class Separation:
    """A direction's ``detection`` and those of the ``baselines`` on the same texts. Prints as a small table.

    Attributes:
        site, method: of the direction.
        held_out: False where any text judged is also a training text: resubstitution, which flatters.
        n_positive, n_negative: texts judged.
        missing: baselines that could not be made, and why.
    """

    site: Site
    method: str
    detection: Detection
    baselines: tuple[Detection, ...]
    held_out: bool
    n_positive: int
    n_negative: int
    missing: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Detection:
        for found in (self.detection, *self.baselines):
            if found.name == name:
                return found
        names = ", ".join(m.name for m in (self.detection, *self.baselines))
        raise WorkbenchError(f"no detector {name!r}; there are {names}")

    def frame(self) -> "pd.DataFrame":
        """One row per detector: detector, baseline, layer, site, method, held_out, n, threshold, accuracy, auc and d (each
        with low and high), polarity, overlap."""
        import pandas as pd

        lines = []
        for found in (self.detection, *self.baselines):
            line = {
                "detector": found.name,
                "baseline": found is not self.detection,
                "layer": self.site.layer,
                "site": str(self.site),
                "method": self.method,
                "held_out": self.held_out,
                "n": self.n_positive + self.n_negative,
                "threshold": found.threshold,
            }
            for what in ("accuracy", "auc", "d"):
                estimate: Estimate = getattr(found, what)
                line |= {what: estimate.value, f"{what}_low": estimate.low, f"{what}_high": estimate.high}
            lines.append(line | {"polarity": found.polarity, "overlap": found.overlap})
        return pd.DataFrame(lines)

    def __str__(self) -> str:
        where = "on held-out texts" if self.held_out else "RESUBSTITUTION: on training texts, which flatters"
        head = f"{self.method} at {self.site!r}, {self.n_positive} + {self.n_negative} texts, {where}"
        return "\n".join([head, *map(str, (self.detection, *self.baselines)), *self.missing])


def separation(
    direction: Direction,
    held_out: Texts,
    train: Texts,
    model: Model | None = None,
    randoms: int = 20,
    batch_size: int = 32,
    store: str | Path | None = None,
) -> Separation:
    """How well a direction tells held-out texts apart, with a threshold from training texts, beside the baselines.

    Baselines, fitted on the same training texts: "bag of words", a logistic regression on the words alone; "layer 0", the
    direction's method (a mean difference where it is not one of ``METHODS``) at the same kind of site of layer 0; "random",
    the mean over random directions turned the right way on the training texts, with their 95% range.

    Args:
        direction: read at its own site and positions.
        held_out: texts to judge on, usually a ``dev`` or ``test`` split: Pairs (with ``model``); what ``contrast`` returns;
            or one Contrast, e.g. of two arrays [text, width].
        train: the same of the texts the direction was made from; the threshold and the baselines come from them.
        model: reads Pairs. Not needed for activations.
        randoms: how many random directions.
        batch_size, store: as for ``gather``.

    Returns:
        A Separation. Intervals are of held-out texts, by groups where texts share a base; that of "random" is a range.

    Raises:
        WorkbenchError: Pairs without a model, activations of another site, fewer than two texts on a side, or no random
            directions.

    >>> separation(d, pairs.test, pairs.train, model).detection.auc  # doctest: +SKIP
    """
    if randoms < 1:
        raise WorkbenchError(f"randoms={randoms}: expected at least 1, e.g. 20")
    first = Site(0, direction.site.kind)
    judged, fitted = (_at(texts, direction, first, model, batch_size, store) for texts in (held_out, train))
    here, there = judged[direction.site], fitted[direction.site]
    scores = _projected(there, direction.vector), _projected(here, direction.vector)
    found, missing = _baselines(direction, first, judged, fitted)
    return Separation(
        direction.site,
        direction.method,
        _detection("direction", *scores, _groups(here)),
        (*found, _by_chance(there, here, randoms)),
        _is_new(direction, here, there),
        len(here.positive),
        len(here.negative),
        tuple(missing),
    )


def _baselines(
    direction: Direction, first: Site, judged: Mapping[Site, Contrast], fitted: Mapping[Site, Contrast]
) -> tuple[list[Detection], list[str]]:
    """The detections by words and by layer 0 as far as they can be had, and what is missing."""
    here, there = judged[direction.site], fitted[direction.site]
    found, missing, groups = list[Detection](), list[str](), _groups(here)
    if all(here.texts) and all(there.texts):
        found.append(_detection("bag of words", *_by_words(there, here), groups))
    else:
        missing.append("bag of words: not made, the texts are unknown; give Pairs")
    if first in judged and first in fitted:
        method = METHODS.get(direction.method, mean_diff)
        vector = torch.as_tensor(method(fitted[first].positive, fitted[first].negative))
        found.append(
            _detection("layer 0", _projected(fitted[first], vector), _projected(judged[first], vector), groups)
        )
    else:
        missing.append("layer 0: not made, no activations there; give Pairs, or contrast(..., at=wb.resid_post.all)")
    return found, missing


def _at(
    texts: Texts, direction: Direction, first: Site, model: Model | None, batch_size: int, store: str | Path | None
) -> Mapping[Site, Contrast]:
    """Activations at the direction's site, and at layer 0 where they can be had."""
    if isinstance(texts, Pairs):
        if model is None:
            raise WorkbenchError("separation() of Pairs needs a model to read them: separation(d, test, train, model)")
        return contrast(model, texts, (direction.site, first), direction.read, batch_size, store)
    found = {direction.site: texts} if isinstance(texts, Contrast) else texts
    if direction.site not in found:
        raise WorkbenchError(f"there are no activations at {direction.site!r}, where the direction was read")
    if (width := found[direction.site].positive.shape[1]) != len(direction.vector):
        raise WorkbenchError(f"activations of width {width} for a direction of width {len(direction.vector)}")
    return found


def _is_new(direction: Direction, here: Contrast, there: Contrast) -> bool:
    """Whether no text judged is a training text, as far as can be known."""
    shared = any(set(a) & set(b) for a in here.texts for b in there.texts)
    named = bool(here.prompts) and here.prompts in (direction.prompts, there.prompts)
    same = any(
        a.shape == b.shape and torch.equal(a, b)
        for a, b in ((here.positive, there.positive), (here.negative, there.negative))
    )
    return not (shared or named or same)


def _groups(of: Contrast) -> Sequence[str] | None:
    """The groups of the texts where any holds more than one."""
    return of.groups if len(set(of.groups)) < len(of.groups) else None


def _by_words(train: Contrast, held: Contrast) -> tuple[Scores, Scores]:
    """What the words alone say of the training and of the held-out texts."""
    n, sides = len(train.positive), np.repeat([True, False], [len(train.positive), len(train.negative)])
    fitted, judged = bag_of_words([*train.texts[0], *train.texts[1]], sides, [*held.texts[0], *held.texts[1]])
    m = len(held.positive)
    return (fitted[:n], fitted[n:]), (judged[:m], judged[m:])


def _by_chance(train: Contrast, held: Contrast, randoms: int) -> Detection:
    """The mean of random directions; intervals are the 95% range of them."""
    from scipy.stats import mannwhitneyu

    found = []
    for seed in range(randoms):
        vector = random(train.positive, train.negative, seed)
        fitted, (ours, theirs) = _projected(train, vector), _projected(held, vector)
        area = mannwhitneyu(ours, theirs).statistic / (len(ours) * len(theirs))
        spread = np.sqrt(
            (ours.var(ddof=1) * (len(ours) - 1) + theirs.var(ddof=1) * (len(theirs) - 1))
            / (len(ours) + len(theirs) - 2)
        )
        d = (ours.mean() - theirs.mean()) / spread if spread > 0 else np.nan
        found.append((_right(_midpoint(fitted), (ours, theirs)).mean(), area, d, _overlap((ours, theirs))))
    values = np.array(found).T
    low, middle, high = np.percentile(values, 2.5, axis=1), values.mean(axis=1), np.percentile(values, 97.5, axis=1)
    how = "95% range of random directions"
    accuracy, area, d = (Estimate(float(middle[i]), float(low[i]), float(high[i]), randoms, how) for i in range(3))
    return Detection("random", float("nan"), accuracy, area, d, float(middle[3]))


def _projected(of: Contrast, vector: torch.Tensor) -> Scores:
    return (of.positive @ vector.double()).numpy(), (of.negative @ vector.double()).numpy()


def _midpoint(train: Scores) -> float:
    return float((train[0].mean() + train[1].mean()) / 2)


def _right(threshold: float, held: Scores) -> np.ndarray:
    """Which texts are on the right side of a threshold, the positive ones first. [text], bool."""
    return np.concatenate([held[0] > threshold, held[1] <= threshold])


def _overlap(held: Scores) -> float:
    from scipy.stats import ks_2samp

    return 1 - float(ks_2samp(*held).statistic)


def _detection(name: str, train: Scores, held: Scores, groups: Sequence[str] | None) -> Detection:
    """All the numbers, from scores of the training texts (the threshold) and of the held-out ones (the rest)."""
    threshold, sides = _midpoint(train), np.repeat([True, False], [len(held[0]), len(held[1])])
    right = _right(threshold, held)
    return Detection(
        name,
        threshold,
        rate(int(right.sum()), len(right)) if groups is None else mean(right, groups),
        auc(np.concatenate(held), sides, clusters=groups),
        _effect_size(held),
        _overlap(held),
    )


def _effect_size(held: Scores) -> Estimate:
    """Cohen's d; unknown where no side varies."""
    n = len(held[0]) + len(held[1])
    spread = max(float(held[0].std()), float(held[1].std()))
    if spread <= 1e-12 * max(1.0, float(np.abs(np.concatenate(held)).max())):
        return Estimate(float("nan"), float("nan"), float("nan"), n, "no spread")
    return cohens_d(held[1], held[0])


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


OTHERS = "the others"


def crossed(
    texts: Contrast, cells: Sequence[str], method: str | Method = "probe", folds: int = 5, others: bool = False
) -> "pd.DataFrame":
    """Every text judged by a direction and threshold from each cell; the threshold is the midpoint of the class means there.

    Where the cell of a text and the cell a direction is made from share groups (bases), as a cell does with itself and a
    language with another, groups fall into folds, and a text is judged by directions made without its fold.

    Args:
        texts: the activations of all cells at one site, with groups, and with texts for a surface.
        cells: of each text of the positive side, then of the negative: its cell.
        method: a name in ``METHODS``, a function of the activations of both sides, or what the surface alone says: a name
            in ``confounds.SURFACES``, e.g. "bag of words".
        folds: how many.
        others: judge each cell by all other cells together, instead of by each one.

    Returns:
        A pandas DataFrame, one row per text and cell that judges it: train, test, base (its group), positive, score (above 0
        is the positive side), right, right_by_log (by log 002's threshold: the midpoint of the class means of the texts that
        are judged). In an order that does not depend on the method.

    Raises:
        WorkbenchError: an unknown method, fewer than two cells, or texts without cells, groups or, for a surface, words.

    >>> matrix = crossed(contrast(model, pairs, site)[site], topics)  # doctest: +SKIP
    """
    import pandas as pd

    names = list(dict.fromkeys(cells))
    score = _scorer(texts, cells, names, method)
    where, groups = np.array(list(cells)), np.array(texts.groups)
    positive = _positive(texts)
    parts = []
    for test in names:
        for train in [OTHERS] if others else names:
            source = where != test if others else where == train
            for made, held in _folds(source, where == test, groups, folds):
                found = score(made)[held]
                columns = {"base": groups[held], "positive": positive[held], "score": found}
                parts.append(pd.DataFrame({"train": train, "test": test, **columns}))
    frame = pd.concat(parts, ignore_index=True)
    means = frame.groupby(["train", "test", "positive"])["score"].mean()
    middle = means.groupby(level=["train", "test"]).mean().rename("middle")
    beyond = frame["score"] > frame.join(middle, on=["train", "test"])["middle"]
    return frame.assign(right=(frame["score"] > 0) == frame["positive"], right_by_log=beyond == frame["positive"])


def _scorer(
    texts: Contrast, cells: Sequence[str], names: Sequence[str], method: str | Method
) -> Callable[[np.ndarray], np.ndarray]:
    """From the texts that a direction is made of, [text] bool, to the scores of all texts, [text]; each computed once."""
    n = len(texts.positive) + len(texts.negative)
    if isinstance(method, str) and method not in {*METHODS, *SURFACES}:
        raise WorkbenchError(
            f"unknown method {method!r}; there are {', '.join([*METHODS, *SURFACES])}, or give a function"
        )
    if len(cells) != n or len(texts.groups) != n or len(names) < 2:
        raise WorkbenchError(
            f"{n} texts need as many cells and groups, of two cells or more; got {len(cells)} and {len(texts.groups)} of {len(names)}"
        )
    if method in SURFACES and sum(map(len, texts.texts)) != n:
        raise WorkbenchError(f"{method!r} needs the texts; read them with wb.contrast, or give Contrast(..., texts=…)")
    known: dict[bytes, np.ndarray] = {}

    def score(made: np.ndarray) -> np.ndarray:
        if (key := made.tobytes()) not in known:
            surface = isinstance(method, str) and method in SURFACES
            known[key] = _by_surface(texts, made, str(method)) if surface else _by_direction(texts, made, method)
        return known[key]

    return score


def _positive(texts: Contrast) -> np.ndarray:
    return np.repeat([True, False], [len(texts.positive), len(texts.negative)])


def _folds(
    source: np.ndarray, held: np.ndarray, groups: np.ndarray, folds: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What directions are made of and what they judge, [text] bool each: all at once, or fold by fold where groups are shared."""
    if not set(groups[source]) & set(groups[held]):
        yield source, held
        return
    place = {group: i % folds for i, group in enumerate(sorted({*groups[source], *groups[held]}))}
    fold = np.array([place.get(group, -1) for group in groups])
    for i in sorted(set(fold[held].tolist())):
        yield source & (fold != i), held & (fold == i)


def _by_direction(texts: Contrast, made: np.ndarray, method: str | Method) -> np.ndarray:
    function = METHODS[method] if isinstance(method, str) else method
    fitted = texts.take(made.tolist())
    vector = torch.as_tensor(function(fitted.positive, fitted.negative)).double()
    middle = (float((fitted.positive @ vector).mean()) + float((fitted.negative @ vector).mean())) / 2
    return (torch.cat([texts.positive, texts.negative]) @ vector).numpy() - middle


def _by_surface(texts: Contrast, made: np.ndarray, surface: str) -> np.ndarray:
    """Scores of all texts; those that were fitted are judged by nobody."""
    words, sides = np.array([*texts.texts[0], *texts.texts[1]], dtype=object), _positive(texts)
    fitted, scores = bag_of_words(list(words[made]), sides[made], list(words), surface)
    middle = (fitted[sides[made]].mean() + fitted[~sides[made]].mean()) / 2
    return scores - middle
