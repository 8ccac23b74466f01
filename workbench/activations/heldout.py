"""Does a direction tell texts apart that it was not made from? Everything is fitted on training texts, then read off others.

A direction, a method or the words alone give one number per text. The threshold is the midpoint of the class means of the
training texts. ``separation`` does so for one direction beside its baselines, ``judged`` at many sites, ``crossed`` from
each cell (a topic, a language, a domain) to each other one.

Log 002 took its threshold from the very texts it judged, and had training accuracy on the diagonal of its matrices; several
of its 100 % are resubstitution. Numbers from training texts are labelled here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float

from workbench._errors import WorkbenchError, unknown
from workbench.activations.collect import Contrast, contrast
from workbench.activations.methods import METHODS, Method, mean_diff, random
from workbench.activations.surface import SURFACES, bag_of_words
from workbench.models.model import Model
from workbench.models.prompts import Pairs
from workbench.statistics import inputs
from workbench.statistics.means import bootstrap, cohens_d, mean
from workbench.statistics.ranking import auc
from workbench.statistics.rates import rate
from workbench.statistics.results import Estimate
from workbench.steering.directions import Direction
from workbench.steering.sites import Site

if TYPE_CHECKING:
    import pandas as pd

Texts = Pairs | Contrast | Mapping[Site, Contrast]

SiteByText = Float[np.ndarray, "site text"]
YesBySiteAndText = Bool[np.ndarray, "site text"]
YesByText = Bool[np.ndarray, "text"]
BySite = Float[np.ndarray, "site"]
ByText = Float[np.ndarray, "text"]


@dataclass(frozen=True, eq=False)
class _Scores:
    """One number per held-out text, the positive side first, and what training texts say of it.

    ``middle`` is the midpoint of the class means of the training texts, ``spread`` the standard deviation within their sides.
    """

    scores: ByText
    middle: float
    spread: float


def _score(train: Contrast, held: Contrast, method: str | Method) -> _Scores:
    """Fit a direction, or a regression on words, on training texts, and read held-out ones with it.

    Raises WorkbenchError for an unknown method, and for words where the texts are unknown.
    """
    if isinstance(method, str) and method in SURFACES:
        if not all((*train.texts, *held.texts)):
            raise WorkbenchError(
                f"{method!r} needs the texts; read them with wb.contrast, or give Contrast(..., texts=…)"
            )
        words, others = ([*one.texts[0], *one.texts[1]] for one in (train, held))
        fitted, scores = bag_of_words(words, _positive(train), others, method)
    else:
        if isinstance(method, str) and method not in METHODS:
            raise unknown("method", method, [*METHODS, *SURFACES], ", or give a function")
        function = METHODS[method] if isinstance(method, str) else method
        vector = torch.as_tensor(function(train.positive, train.negative)).double()
        fitted, scores = (np.concatenate([(side @ vector).numpy() for side in _sides(x)]) for x in (train, held))
    ours, theirs = fitted[_positive(train)], fitted[~_positive(train)]
    spread = float(np.concatenate([ours - ours.mean(), theirs - theirs.mean()]).std())
    return _Scores(scores, float((ours.mean() + theirs.mean()) / 2), spread)


def _sides(texts: Contrast) -> tuple[torch.Tensor, torch.Tensor]:
    return texts.positive, texts.negative


def _positive(texts: Contrast) -> YesByText:
    return np.repeat([True, False], [len(texts.positive), len(texts.negative)])


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

    @property
    def _all(self) -> tuple[Detection, ...]:
        return (self.detection, *self.baselines)

    def __getitem__(self, name: str) -> Detection:
        by_name = {detection.name: detection for detection in self._all}
        if name not in by_name:
            raise unknown("detector", name, by_name)
        return by_name[name]

    def frame(self) -> "pd.DataFrame":
        """One row per detector: detector, baseline, layer, site, method, held_out, n, threshold, accuracy, auc and d (each
        with low and high), polarity, overlap."""
        import pandas as pd

        lines = []
        for detection in self._all:
            line = {
                "detector": detection.name,
                "baseline": detection is not self.detection,
                "layer": self.site.layer,
                "site": str(self.site),
                "method": self.method,
                "held_out": self.held_out,
                "n": self.n_positive + self.n_negative,
                "threshold": detection.threshold,
            }
            for name in ("accuracy", "auc", "d"):
                estimate: Estimate = getattr(detection, name)
                line |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            lines.append(line | {"polarity": detection.polarity, "overlap": detection.overlap})
        return pd.DataFrame(lines)

    def __str__(self) -> str:
        where = "on held-out texts" if self.held_out else "RESUBSTITUTION: on training texts, which flatters"
        head = f"{self.method} at {self.site!r}, {self.n_positive} + {self.n_negative} texts, {where}"
        return "\n".join([head, *map(str, self._all), *self.missing])


def separation(
    direction: Direction,
    held_out: Texts,
    train: Texts,
    model: Model | None = None,
    randoms: int = 20,
    batch_size: int = 32,
    store: str | Path | None = None,
) -> Separation:
    """Measure how well a direction and its baselines separate held-out texts, with a threshold from training texts.

    Baselines, fitted on the same training texts: "bag of words", a logistic regression on the words alone; "layer 0",
    the direction's method (a mean difference where it is not one of ``METHODS``) at the same kind of site of layer 0;
    "random", the mean over random directions, each with the sign that fits the training texts, and their 95% range.

    Args:
        direction: read at its own site and positions.
        held_out: texts to judge on, usually a ``dev`` or ``test`` split: Pairs (with ``model``); what ``contrast`` returns;
            or one Contrast, e.g. of two arrays [text, d_model].
        train: the texts that the direction was made from, in the same form; the threshold and the baselines come from
            them.
        model: reads Pairs. Not needed for activations.
        randoms: how many random directions.
        batch_size, store: as for ``gather``.

    Returns:
        A Separation. Intervals resample held-out texts, in groups if texts share a base; that of "random" is a range.

    Raises:
        WorkbenchError: Pairs without a model, activations of another site, fewer than two texts on a side, or no random
            directions.

    >>> direction = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> unseen = wb.Pairs(["how do i steal a song", "poison the cake"], ["list the birds", "write me about tea"])
    >>> result = separation(direction, unseen, tiny_pairs, model)
    >>> result.held_out, list(result.frame()["detector"])
    (True, ['direction', 'bag of words', 'layer 0', 'random'])
    """
    if not isinstance(direction, Direction):
        raise WorkbenchError(f"{type(direction).__name__} is no Direction; wb.extract makes one")
    inputs.whole(randoms, 1, "randoms", 10_000)
    first = Site(0, direction.site.kind)
    held_at, train_at = (_at(texts, direction, first, model, batch_size, store) for texts in (held_out, train))
    here, there = held_at[direction.site], train_at[direction.site]
    if (width := here.positive.shape[1]) != len(direction.vector):
        raise WorkbenchError(
            f"the direction has {len(direction.vector)} dimensions, the activations at {direction.site!r} {width}"
        )
    baselines, missing = list[Detection](), list[str]()
    if all((*here.texts, *there.texts)):
        baselines.append(_detection("bag of words", there, here, "bag of words"))
    else:
        missing.append("bag of words: not made, the texts are unknown; give Pairs")
    if first in held_at and first in train_at:
        method = METHODS.get(direction.method, mean_diff)
        baselines.append(_detection("layer 0", train_at[first], held_at[first], method))
    else:
        missing.append("layer 0: not made, no activations there; give Pairs, or contrast(..., at=wb.resid_post.all)")
    return Separation(
        direction.site,
        direction.method,
        _detection("direction", there, here, lambda positive, negative: direction.vector),
        (*baselines, _by_chance(there, here, randoms)),
        _is_new(direction, here, there),
        len(here.positive),
        len(here.negative),
        tuple(missing),
    )


def _at(
    texts: Texts, direction: Direction, first: Site, model: Model | None, batch_size: int, store: str | Path | None
) -> Mapping[Site, Contrast]:
    """Activations at the direction's site, and at layer 0 where they can be had."""
    if isinstance(texts, Pairs):
        if model is None:
            raise WorkbenchError("separation() of Pairs needs a model to read them: separation(d, test, train, model)")
        return contrast(model, texts, (direction.site, first), direction.read, batch_size, store)
    if not isinstance(texts, Contrast | Mapping):
        raise WorkbenchError(f"{type(texts).__name__}: expected Pairs, a Contrast, or what wb.contrast returns")
    by_site = {direction.site: texts} if isinstance(texts, Contrast) else texts
    if direction.site not in by_site:
        raise WorkbenchError(f"there are no activations at {direction.site!r}, where the direction was read")
    if (width := by_site[direction.site].positive.shape[1]) != len(direction.vector):
        raise WorkbenchError(f"activations of width {width} for a direction of width {len(direction.vector)}")
    return by_site


def _is_new(direction: Direction, here: Contrast, there: Contrast) -> bool:
    """Whether no text judged is a training text, as far as can be known."""
    shared = any(set(a) & set(b) for a in here.texts for b in there.texts)
    named = bool(here.prompts) and here.prompts in (direction.prompts, there.prompts)
    same = any(a.shape == b.shape and torch.equal(a, b) for a, b in zip(_sides(here), _sides(there), strict=True))
    return not (shared or named or same)


def _detection(name: str, train: Contrast, held: Contrast, method: str | Method) -> Detection:
    """All the numbers of one detector; texts of one group are one observation where any group holds more than one."""
    fit, positive = _score(train, held, method), _positive(held)
    clusters = held.groups if len(set(held.groups)) < len(held.groups) else None
    right = (fit.scores > fit.middle) == positive
    ours, theirs = fit.scores[positive], fit.scores[~positive]
    return Detection(
        name,
        fit.middle,
        rate(int(right.sum()), len(right)) if clusters is None else mean(right, clusters),
        auc(fit.scores, positive, clusters=clusters),
        _effect_size(ours, theirs),
        _overlap(ours, theirs),
    )


def _effect_size(ours: ByText, theirs: ByText) -> Estimate:
    """Cohen's d; unknown where no side varies, which is all that ``cohens_d`` can object to once ``auc`` has not."""
    try:
        return cohens_d(theirs, ours)
    except WorkbenchError:
        return Estimate(float("nan"), float("nan"), float("nan"), len(ours) + len(theirs), "no spread")


def _overlap(ours: ByText, theirs: ByText) -> float:
    from scipy.stats import ks_2samp

    return 1 - float(ks_2samp(ours, theirs).statistic)


def _by_chance(train: Contrast, held: Contrast, randoms: int) -> Detection:
    """The mean of random directions; intervals are the 95% range of them."""
    chance = _stack(held, [_score(train, held, partial(random, seed=seed)) for seed in range(randoms)])
    n, positive = len(chance.positive), chance.positive
    d = chance.effect_sizes * np.sqrt((n - 2) / n)  # as ``cohens_d``, which estimates the spread from n - 2 degrees
    overlap = np.mean([_overlap(row[positive], row[~positive]) for row in chance.margins])

    def ranged(values: BySite) -> Estimate:
        low, high = np.percentile(values, [2.5, 97.5])
        return Estimate(float(values.mean()), float(low), float(high), randoms, "95% range of random directions")

    return Detection("random", float("nan"), ranged(chance.accuracies), ranged(chance.areas), ranged(d), float(overlap))


@dataclass(frozen=True, eq=False)
class Judged:
    """Held-out texts on the positive or negative side of a threshold, at several sites.

    It keeps one number per text and site. Intervals resample texts over all sites at once, because sites share their
    texts and are not independent.

    Attributes:
        margins: how far a text lies on the positive side, in standard deviations within the training sides.
        positive: which texts are positive.
        groups: [text]: texts of one group (a base prompt) are one observation.

    >>> texts = wb.Judged(np.array([[0.5, -1.0, 2.0, -0.1]]), np.array([True, False, True, True]), ("a", "b", "c", "d"))
    >>> texts.accuracies
    array([0.75])
    """

    margins: SiteByText
    positive: YesByText
    groups: tuple[str, ...]

    @property
    def right(self) -> YesBySiteAndText:
        """Which texts are on the right side of the threshold."""
        return (self.margins > 0) == self.positive

    @property
    def accuracies(self) -> BySite:
        """Share of texts on the right side."""
        return self.right.mean(1)

    @property
    def areas(self) -> BySite:
        """Area under the ROC curve; below one half if the direction points the wrong way, NaN without texts of both sides.

        The same number as ``statistics.auc``, which also gives its interval.
        """
        from scipy.stats import rankdata

        n, m = int(self.positive.sum()), int((~self.positive).sum())
        if not n or not m:
            return np.full(len(self.margins), np.nan)
        ranks = rankdata(self.margins, axis=1)[:, self.positive].sum(1)
        return (ranks - n * (n + 1) / 2) / (n * m)

    @property
    def effect_sizes(self) -> BySite:
        """Cohen's d: difference of the side means over the standard deviation of these texts within the sides."""
        ours, theirs = self.margins[:, self.positive], self.margins[:, ~self.positive]
        within = np.sqrt((ours.var(1) * ours.shape[1] + theirs.var(1) * theirs.shape[1]) / self.margins.shape[1])
        return (ours.mean(1) - theirs.mean(1)) / np.where(within > 0, within, 1.0)

    def take(self, texts: np.ndarray) -> "Judged":
        """Some of the texts, by number; a text may be taken several times."""
        return Judged(self.margins[:, texts], self.positive[texts], tuple(self.groups[i] for i in texts))


def judged(train: Mapping[Site, Contrast], held: Mapping[Site, Contrast], method: str | Method = "mean_diff") -> Judged:
    """Judge held-out texts, site by site, by directions and thresholds (midpoints of the class means) from training
    texts.

    Args:
        train: what ``contrast`` returns for the training texts.
        held: the same for other texts, at the same sites.
        method: a name in ``METHODS``, a function of the activations of both sides, or a surface baseline: a name in
            ``workbench.activations.surface.SURFACES``, e.g. "bag of words", which is the same at every site.

    Raises:
        WorkbenchError: an unknown method, sites that are not the same, or a surface where the texts are unknown.

    >>> seen = wb.contrast(model, tiny_pairs, at=wb.resid_post.all)
    >>> judged(seen, seen, "mean_diff").margins.shape  # sites, texts; on training texts, which flatters
    (3, 6)
    """
    if not held or list(train) != list(held):
        raise WorkbenchError(f"{len(train)} sites of training texts and {len(held)} held out are not the same sites")
    first = next(iter(held))
    if isinstance(method, str) and method in SURFACES:
        fits = [_score(train[first], held[first], method)] * len(train)
    else:
        fits = [_score(train[site], held[site], method) for site in train]
    return _stack(held[first], fits)


def _stack(held: Contrast, fits: Sequence[_Scores]) -> Judged:
    return Judged(
        np.stack([(fit.scores - fit.middle) / (fit.spread or 1.0) for fit in fits]),
        _positive(held),
        held.groups or tuple(map(str, range(len(_positive(held))))),
    )


def shortfall(ours: Sequence[Judged], best: Sequence[Judged], resamples: int = 499, seed: int = 0) -> Estimate:
    """How far one method falls short of a better one: 1 minus the ratio of their mean (AUC - 1/2).

    Means are over sites and contrast sets. The interval is a bootstrap over groups of texts, all sites at once. A
    value of 1 is chance; above 1 the method points the wrong way.

    Args:
        ours, best: the same contrast sets in the same order, judged by either method.
        resamples, seed: of the bootstrap.

    Raises:
        WorkbenchError: sets that are not the same.

    >>> sides, texts = np.arange(40) < 20, tuple(map(str, range(40)))
    >>> good = Judged(np.random.default_rng(0).standard_normal((3, 40)) + 2 * sides, sides, texts)
    >>> round(shortfall([Judged(-good.margins, sides, texts)], [good], resamples=99).value, 6)  # turned around
    2.0
    """
    if not ours:
        raise WorkbenchError("expected at least one set of judged texts; wb.judged makes them")
    if [one.groups for one in ours] != [one.groups for one in best]:
        raise WorkbenchError("both methods must be judged on the same texts, set by set")
    sets = np.concatenate([np.full(one.margins.shape[1], i) for i, one in enumerate(ours)])
    places = np.concatenate([np.arange(one.margins.shape[1]) for one in ours])
    clusters = [f"{i} {group}" for i, one in enumerate(ours) for group in one.groups]

    def above_half(of: Sequence[Judged], rows: np.ndarray) -> float:
        drawn = [one.take(places[rows[sets[rows] == i]]) for i, one in enumerate(of)]
        return float(np.mean(np.concatenate([d.areas - 0.5 for d in drawn if 0 < d.positive.sum() < len(d.positive)])))

    return bootstrap(
        lambda rows: 1 - above_half(ours, rows) / above_half(best, rows), clusters, resamples=resamples, seed=seed
    )


def widest_area(texts: Judged, shuffles: int = 199, seed: int = 0) -> Estimate:
    """The largest AUC over sites when the labels of the texts are random: the best of many sites by chance.

    Args:
        texts: any judged texts.
        shuffles: how often the sides are permuted.
        seed: of the permutations.

    Returns:
        The mean over permutations of the largest AUC. ``high`` is exceeded in 5% of permutations (one-sided), and
        ``low`` is the smallest value.

    >>> noise = Judged(np.random.default_rng(0).standard_normal((30, 40)), np.arange(40) < 20, ())
    >>> print(widest_area(noise))  # of 30 sites that tell nothing, the best looks like a finding
    0.69 [0.58, 0.78] n=40
    """
    rng = np.random.default_rng(seed)
    most = [Judged(texts.margins, rng.permutation(texts.positive), ()).areas.max() for _ in range(shuffles)]
    low, high = float(min(most)), float(np.quantile(most, 0.95))
    return Estimate(float(np.mean(most)), low, high, len(texts.positive), "permutation of the sides, one-sided")


OTHERS = "the others"


def crossed(
    texts: Contrast, cells: Sequence[str], method: str | Method = "probe", folds: int = 5, others: bool = False
) -> "pd.DataFrame":
    """Judge every text by a direction and threshold from each cell: does a direction of one cell carry over to
    another?

    The cell of a text and the cell of a direction may share groups (bases), as a cell does with itself and one
    language with another. Groups are then split into folds, and a text is judged by directions made without its fold.
    No text is therefore judged by a direction that saw it, its match on the other side or its translation.

    Args:
        texts: the activations of all cells at one site, with groups, and with texts for a surface.
        cells: the cell of each text, positive side first.
        method: as for ``judged``.
        folds: how many.
        others: judge each cell by all other cells together, instead of by each one.

    Returns:
        A pandas DataFrame, one row per text and cell that judges it: train, test, base (its group), positive, score (above 0
        is the positive side), right, right_by_log (by log 002's threshold: the midpoint of the class means of the texts that
        are judged). The order of the rows does not depend on the method.

    Raises:
        WorkbenchError: an unknown method, fewer than two cells, or texts without cells, groups or, for a surface, words.

    >>> seen = wb.contrast(model, tiny_pairs, at=wb.resid_post(1))[wb.resid_post(1)]
    >>> matrix = crossed(seen, ["home", "home", "street", "street", "home", "home"], "mean_diff", others=True)
    >>> matrix["test"].value_counts().to_dict()
    {'home': 4, 'street': 2}
    """
    import pandas as pd

    n, names = len(_positive(texts)), list(dict.fromkeys(cells))
    if len(cells) != n or len(texts.groups) != n or len(names) < 2:
        raise WorkbenchError(
            f"{n} texts need as many cells and groups, of two cells or more; got {len(cells)} and {len(texts.groups)} of {len(names)}"
        )

    @cache
    def scores_by(source: bytes) -> ByText:
        """The scores of all texts by what was made of the texts that ``source`` marks."""
        fit = _score(texts.take(np.frombuffer(source, dtype=bool).tolist()), texts, method)
        return fit.scores - fit.middle

    where, groups, positive = np.array(list(cells)), np.array(texts.groups), _positive(texts)
    parts = []
    for test in names:
        for train in [OTHERS] if others else names:
            source = where != test if others else where == train
            for made, held in _folds(source, where == test, groups, folds):
                columns = {"base": groups[held], "positive": positive[held], "score": scores_by(made.tobytes())[held]}
                parts.append(pd.DataFrame({"train": train, "test": test, **columns}))
    frame = pd.concat(parts, ignore_index=True)
    means = frame.groupby(["train", "test", "positive"])["score"].mean()
    middle = means.groupby(level=["train", "test"]).mean().rename("middle")
    beyond = frame["score"] > frame.join(middle, on=["train", "test"])["middle"]
    return frame.assign(right=(frame["score"] > 0) == frame["positive"], right_by_log=beyond == frame["positive"])


def _folds(source: YesByText, held: YesByText, groups: np.ndarray, folds: int) -> Iterator[tuple[YesByText, YesByText]]:
    """What directions are made of and what they judge: all at once, or fold by fold where groups are shared."""
    if not set(groups[source]) & set(groups[held]):
        yield source, held
        return
    place = {group: i % folds for i, group in enumerate(sorted({*groups[source], *groups[held]}))}
    fold = np.array([place.get(group, -1) for group in groups])
    for i in sorted(set(fold[held].tolist())):
        yield source & (fold != i), held & (fold == i)
