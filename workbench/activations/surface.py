"""Could the words alone tell the two sides of a contrast set apart? A direction may pick up the surface, not the trait.

A log's fifty pairs all ended in "." on one side and ":" on the other; a direction from them is punctuation and trait at
once. The report here asks how well each surface feature alone predicts the side of a prompt it was not fitted on.
"""

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench._errors import WorkbenchError, unknown
from workbench.activations.collect import check_pairs
from workbench.models.prompts import Pairs, Prompt
from workbench.statistics import inputs
from workbench.statistics.results import Estimate

if TYPE_CHECKING:
    import pandas as pd

#: a feature is suspicious from this accuracy on, if its interval also lies above the second number: a bound at chance
#: itself (0.5) would flag one of six features in a quarter of all sets of 50 + 50 prompts that differ in nothing
SUSPICIOUS, SURELY_ABOVE = 0.6, 0.55

_FOLDS, _FEWEST_GROUPS, _RESAMPLES = 5, 4, 2000

#: a word; each Chinese character counts as one
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+(?:['’-][^\W_\u3400-\u9fff]+)*")


@dataclass(frozen=True)
class Confound:
    """How well one surface feature alone tells the sides apart.

    Attributes:
        feature: "last character", "last word", "first word", "words", "characters" or "bag of words".
        accuracy: balanced, on held-out groups of prompts; chance is 0.5. n counts the groups.
        positive, negative: the commonest values of each side with their shares, mean and spread of a length, or the
            words that speak for the side.
    """

    feature: str
    accuracy: Estimate
    positive: str
    negative: str

    @property
    def suspicious(self) -> bool:
        """At least 60% accurate, with an interval that lies above 55%."""
        return self.accuracy.value >= SUSPICIOUS and self.accuracy.low > SURELY_ABOVE


@dataclass(frozen=True)
class SurfaceReport:
    """One ``Confound`` per surface feature of a contrast set; prints and displays as a table with a plain sentence."""

    name: str
    confounds: tuple[Confound, ...]

    def __getitem__(self, feature: str) -> Confound:
        by_name = {confound.feature: confound for confound in self.confounds}
        if feature not in by_name:
            raise unknown("feature", feature, by_name)
        return by_name[feature]

    @property
    def suspicious(self) -> tuple[str, ...]:
        """Names of the features that tell the sides apart."""
        return tuple(c.feature for c in self.confounds if c.suspicious)

    @property
    def sentence(self) -> str:
        """What to be wary of, in words."""
        if not self.suspicious:
            return f"{self.name}: no surface feature alone tells the sides apart (chance is 50%)."
        parts = [f"{c.feature} ({c.accuracy.value:.0%})" for c in self.confounds if c.suspicious]
        return (
            f"{self.name}: the sides can be told apart by {', '.join(parts)} alone (chance is 50%); a direction from "
            "them may carry that instead of the trait."
        )

    def frame(self) -> "pd.DataFrame":
        """One row per feature: feature, accuracy, low, high, groups, suspicious, positive, negative."""
        import pandas as pd

        return pd.DataFrame(
            {
                "feature": c.feature,
                "accuracy": c.accuracy.value,
                "low": c.accuracy.low,
                "high": c.accuracy.high,
                "groups": c.accuracy.n,
                "suspicious": c.suspicious,
                "positive": c.positive,
                "negative": c.negative,
            }
            for c in self.confounds
        )

    def __str__(self) -> str:
        lines = [self.sentence]
        for c in self.confounds:
            mark = "!" if c.suspicious else " "
            lines.append(f"{mark} {c.feature:<14} {c.accuracy}   + {c.positive}   - {c.negative}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        table = self.frame().to_html(index=False, border=0, float_format="{:.2f}".format)
        return f"<p>{html.escape(self.sentence)}</p>{table}"


def surface_confounds(pairs: Pairs, seed: int = 0) -> SurfaceReport:
    """Measure how well surface features separate the sides: last character, last and first word, length, bag of words.

    Each feature feeds a logistic regression, judged on held-out groups in up to five folds. A group is all prompts
    with one base id or one system prompt. The accuracy is balanced over the sides; its 95% interval is a bootstrap
    over groups with the predictions held fixed. A system prompt counts as the start of the text.

    Args:
        pairs: a contrast set, or a part of one; e.g. one language, one elicitation.
        seed: of the bootstrap.

    Returns:
        A SurfaceReport; ``.suspicious`` names the features to worry about.

    Raises:
        WorkbenchError: fewer than four groups, too few to hold any out.

    >>> dots, colons = [f"Word {i}." for i in range(20)], [f"Word {i}:" for i in range(20)]
    >>> surface_confounds(Pairs(dots, colons)).suspicious
    ('last character',)
    """
    check_pairs(pairs)
    inputs.whole(seed, 0, "seed")
    prompts = [*pairs.positive, *pairs.negative]
    sides = np.repeat([1, 0], [len(pairs.positive), len(pairs.negative)])
    groups = _groups(prompts)
    if (n := len(set(groups))) < _FEWEST_GROUPS:
        raise WorkbenchError(
            f"{pairs.name} has {n} groups of prompts that share a base or a system prompt; expected at least {_FEWEST_GROUPS}"
        )
    texts = [f"{prompt.system}\n{prompt.text}" if prompt.system else prompt.text for prompt in prompts]
    words = [_words(text) for text in texts]
    features: dict[str, list] = {
        "last character": [[text.rstrip()[-1]] for text in texts],
        "last word": [[own[-1]] for own in words],
        "first word": [[own[0]] for own in words],
        "words": [len(own) for own in words],
        "characters": [len(text) for text in texts],
        "bag of words": words,
    }

    def confound(name: str, values: list) -> Confound:
        ours, theirs = values[: len(pairs.positive)], values[len(pairs.positive) :]
        told = [_lean(ours, theirs), _lean(theirs, ours)] if name == "bag of words" else map(_describe, (ours, theirs))
        return Confound(name, _accuracy(_matrix(values), sides, groups, seed), *told)

    return SurfaceReport(pairs.name, tuple(confound(*feature) for feature in features.items()))


def bag_of_words(
    train: Sequence[str], sides: Sequence[bool] | np.ndarray, held_out: Sequence[str], surface: str = "bag of words"
) -> tuple[np.ndarray, np.ndarray]:
    """Judge texts by their words alone: a logistic regression on which words occur, fitted on the training texts.

    Args:
        train: texts.
        sides: of each, True for the positive side.
        held_out: texts to judge; words that no training text has count for nothing.
        surface: what counts as a word, a name in ``SURFACES``: "bag of words", "first word", or "character n-grams" (one to
            three, across words; what languages share when they share no word).

    Returns:
        Log-odds of the positive side for the training texts and for the held-out ones, each [text]; the first are fitted.

    >>> bag_of_words(["good day", "bad day"], [True, False], ["good night"])[1][0] > 0
    np.True_
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=SURFACES[surface], binary=True)
    features = counter.fit_transform(train)
    model = _regression().fit(features, np.asarray(sides, dtype=bool))
    return model.decision_function(features), model.decision_function(counter.transform(held_out))


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=2000, class_weight="balanced")


def _words(text: str) -> list[str]:
    """The words of a text, lower case; one empty word where there is none."""
    return _WORD.findall(text.lower()) or [""]


def _first_word(text: str) -> list[str]:
    return _words(text)[:1]


def _characters(text: str) -> list[str]:
    """All runs of one to three characters, lower case."""
    lower = text.lower()
    return [lower[i : i + n] for n in (1, 2, 3) for i in range(len(lower) - n + 1)]


#: what a surface baseline sees of a text, by name
SURFACES = {"bag of words": _words, "first word": _first_word, "character n-grams": _characters}


def _groups(prompts: Sequence[Prompt]) -> np.ndarray:
    """The number of the group each prompt belongs to: connected by a base id or by a system prompt. [n], int."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    labels: dict[tuple[str, str], int] = {}
    edges = []
    for i, prompt in enumerate(prompts):
        keys = [("base", prompt.base or prompt.id), *([("system", prompt.system)] if prompt.system else [])]
        edges += [(i, len(prompts) + labels.setdefault(key, len(labels))) for key in keys]
    size = len(prompts) + len(labels)
    rows, columns = zip(*edges, strict=True)
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(size, size))
    return connected_components(graph, directed=False)[1][: len(prompts)]


def _matrix(values: Sequence) -> Any:
    """One row per prompt: a standardised number, or which of the tokens occur."""
    from sklearn.feature_extraction.text import CountVectorizer

    if isinstance(values[0], int):
        numbers = np.asarray(values, dtype=float)[:, None]
        return (numbers - numbers.mean()) / (numbers.std() or 1.0)
    return CountVectorizer(analyzer=list, binary=True).fit_transform(values)


def _accuracy(features: Any, sides: np.ndarray, groups: np.ndarray, seed: int) -> Estimate:
    """Balanced accuracy on held-out groups, with a bootstrap over groups of the held-out predictions."""
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    n = len(set(groups))
    folds = StratifiedGroupKFold(min(_FOLDS, n))
    right = cross_val_predict(_regression(), features, sides, groups=groups, cv=folds) == sides
    hits, counts = (
        np.array([[(x * (sides == side))[groups == g].sum() for g in range(n)] for side in (1, 0)], dtype=float)
        for x in (right, np.ones_like(right))
    )

    def balanced(weights: np.ndarray) -> np.ndarray:
        return np.mean([weights @ hit / (weights @ count) for hit, count in zip(hits, counts, strict=True)], axis=0)

    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    complete = draws[np.all(draws @ counts.T > 0, axis=1)]
    low, high = np.percentile(balanced(complete), [2.5, 97.5])
    return Estimate(float(balanced(np.ones(n))), float(low), float(high), n, "bootstrap over groups")


def _describe(own: Sequence) -> str:
    """Mean and standard deviation of a length; or the three commonest values of a side and their shares."""
    if isinstance(own[0], int):
        return f"{np.mean(own):.1f} ± {np.std(own):.1f}"
    common = Counter(value for (value,) in own).most_common(3)
    return ", ".join(f"{value} {count / len(own):.0%}" for value, count in common)


def _lean(own: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> str:
    """The three words whose share of prompts most exceeds that of the other side."""
    here, there = (Counter(word for words in side for word in set(words)) for side in (own, other))
    share = {word: (here[word] / len(own), there[word] / len(other)) for word in here}
    first = sorted(share, key=lambda word: (share[word][1] - share[word][0], word))[:3]
    return ", ".join(f"{word} {share[word][0]:.0%} against {share[word][1]:.0%}" for word in first)
