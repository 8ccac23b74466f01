"""Does a direction carry over: made from the texts of one cell (a topic, a language, a domain), judged on those of another.

Log 002 filled such matrices with a threshold from the very texts it judged and with training accuracy on the diagonal, and
set nothing beside them. Here no text is judged by a direction that saw it, its match on the other side or its translation.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.confounds import SURFACES, bag_of_words
from workbench.errors import WorkbenchError
from workbench.gathering import Contrast
from workbench.methods import METHODS, Method

if TYPE_CHECKING:
    import pandas as pd

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
