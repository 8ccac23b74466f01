"""Do two scorers agree on the rows of a sweep?"""

from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.scoring.scores import Score
from workbench.statistics import Agreement, kappa

if TYPE_CHECKING:
    import pandas as pd


def agreement(rows: "pd.DataFrame", a: Score | str, b: Score | str) -> Agreement:
    """Cohen's kappa of two scorers with its interval, and the confusion table, over the completions of a sweep.

    A completion that occurs in several rows (one baseline in two grids) counts once, by its key.

    Args:
        rows: of ``wb.sweep``, with both scores.
        a, b: scores or their names; both must give labels, not numbers.

    Raises:
        WorkbenchError: a score that is not in the rows or gives numbers, or labels for which kappa is undefined.

    >>> print(agreement(rows, wb.refusal, wb.log001_keyword_refusal))  # doctest: +SKIP
    """
    first, second = (_labels(rows, score if isinstance(score, str) else score.name) for score in (a, b))
    both = first.index.intersection(second.index)
    return kappa(first[both].tolist(), second[both].tolist())


def _labels(rows: "pd.DataFrame", name: str) -> "pd.Series":
    part = rows[rows["score"] == name]
    if part.empty:
        raise WorkbenchError(f"no rows of the score {name!r}; there are {', '.join(rows['score'].unique())}")
    labels = part.drop_duplicates("key").set_index("key")["value"]
    if numbers := sum(not isinstance(value, str) for value in labels):
        raise WorkbenchError(
            f"{numbers} values of {name!r} are numbers; kappa compares labels, so cut them into some first"
        )
    return labels
