"""Agreement of two scorers on the same rows."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench._errors import WorkbenchError
from workbench.statistics import inputs
from workbench.statistics.rates import rate
from workbench.statistics.results import Estimate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Agreement:
    """Cohen's kappa, the share of rows on which both agree, and the confusion table.

    ``table[i][j]`` counts the rows that the first scorer calls ``labels[i]`` and the second ``labels[j]``.
    """

    kappa: Estimate
    agreement: Estimate
    labels: tuple[Hashable, ...]
    table: tuple[tuple[int, ...], ...]

    def frame(self) -> "pd.DataFrame":
        """The confusion table: first scorer down, second across."""
        import pandas as pd

        names = pd.Index(self.labels, name="first"), pd.Index(self.labels, name="second")
        return pd.DataFrame(self.table, index=names[0], columns=names[1])

    def __str__(self) -> str:
        return f"kappa {self.kappa}, agreement {self.agreement}\n{self.frame()}"


def kappa(first: Sequence[Hashable], second: Sequence[Hashable], confidence: float = 0.95) -> Agreement:
    """Cohen's kappa (1960): agreement of two scorers beyond what their label frequencies give by chance.

    The interval uses the standard error of Fleiss, Cohen and Everitt (1969). That error is 0 if the scorers agree on
    every row or if one of them uses a single label. The Wilson interval of the agreement is then rescaled with chance
    agreement held fixed, which gives a realistic width.

    Args:
        first, second: one label per row, same rows in the same order. Shape [row].

    Returns:
        Kappa (1 is perfect, 0 is chance, at least -1), agreement with its Wilson interval, and the confusion table.

    Raises:
        WorkbenchError: no rows, lengths that differ, a missing label, or one label only, for which kappa is undefined.

    >>> agreement = kappa(["yes", "yes", "no", "no", "yes", "no"], ["yes", "no", "no", "no", "yes", "no"])
    >>> print(agreement.kappa, agreement.table)
    0.67 [0.10, 1.00] n=6 ((3, 0), (1, 2))
    """
    from scipy.stats import norm
    from statsmodels.stats.inter_rater import cohens_kappa

    inputs.between(confidence, 0, 1, "confidence")
    labels, table = _confusion(first, second)
    n = int(table.sum())
    same = rate(int(np.trace(table)), n, confidence)
    by_chance = float(table.sum(axis=0) @ table.sum(axis=1)) / n**2
    with np.errstate(invalid="ignore", divide="ignore"):
        result = cohens_kappa(table)
    value, error = float(result.kappa), float(result.std_kappa)
    if error > 1e-6:
        reach, method = float(norm.isf((1 - confidence) / 2)) * error, "Cohen's kappa"
        low, high = value - reach, value + reach
    else:  # 0, or NaN by rounding
        low, high = ((limit - by_chance) / (1 - by_chance) for limit in (same.low, same.high))
        method = "Cohen's kappa, Wilson rescaled"
    estimate = Estimate(value, max(low, -1.0), min(high, 1.0), n, method)
    return Agreement(estimate, same, labels, tuple(tuple(int(c) for c in row) for row in table))


def _confusion(first: Sequence[Hashable], second: Sequence[Hashable]) -> tuple[tuple[Hashable, ...], np.ndarray]:
    """The labels, sorted by name, and how often each pair of them occurs."""
    a, b = list(first), list(second)
    if len(a) != len(b) or not a:
        raise WorkbenchError(f"two scorers: expected one label per row from both, got {len(a)} and {len(b)}")
    if missing := sum(label is None or label != label for label in [*a, *b]):  # NaN differs from itself
        raise WorkbenchError(f"{missing} of {2 * len(a)} labels are missing (None or NaN); drop those rows first")
    labels = tuple(sorted(set(a) | set(b), key=str))
    if len(labels) < 2:
        raise WorkbenchError(f"both scorers only ever say {labels[0]!r}: kappa needs rows of at least two labels")
    place = {label: i for i, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), dtype=int)
    for one, two in zip(a, b, strict=True):
        table[place[one], place[two]] += 1
    return labels, table
