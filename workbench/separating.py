"""How well a direction tells the two sides of a contrast set apart, on texts it was not made from, beside what needs no model.

Everything is fitted on training texts: the direction, the threshold, the baselines. Log 002 took its threshold from the very
texts it judged, and several of its 100 % are resubstitution; numbers from training texts are labelled here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.confounds import bag_of_words
from workbench.directions import Direction
from workbench.errors import WorkbenchError
from workbench.gathering import Contrast, contrast
from workbench.methods import METHODS, mean_diff, random
from workbench.models import Model
from workbench.prompt_sets import Pairs
from workbench.sites import Site
from workbench.statistics import Estimate, auc, cohens_d, mean, rate

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
