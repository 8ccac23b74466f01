"""A family of tests, one per arm, layer or claim: adjusted p-values in the order given."""

import numpy as np

from workbench.errors import WorkbenchError
from workbench.statistics import inputs


def holm(p_values: inputs.Numbers) -> list[float]:
    """Holm-adjusted p-values (Holm 1979): at most alpha of all families hold a false positive, whatever the dependence.

    Args:
        p_values: one per test of the family. Shape [test]; may be empty.

    Raises:
        WorkbenchError: NaN, or not between 0 and 1.

    >>> holm([0.01, 0.04])
    [0.02, 0.04]
    """
    found = _family(p_values)
    # Not statsmodels' multipletests: it collects garbage at each call, a tenth of a second beside a loaded model.
    order = np.argsort(found)
    steps = np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1))
    return [float(p) for p in np.minimum(steps, 1.0)[np.argsort(order)]]


def benjamini_hochberg(p_values: inputs.Numbers) -> list[float]:
    """Adjusted p-values (Benjamini and Hochberg 1995): of those at most alpha, a share of at most alpha is expected false.

    For independent or positively dependent tests. Use it to pick arms to look at; a verdict needs ``holm``.

    Args:
        p_values: one per test of the family. Shape [test]; may be empty.

    Raises:
        WorkbenchError: NaN, or not between 0 and 1.

    >>> benjamini_hochberg([0.01, 0.02, 0.9])
    [0.03, 0.03, 0.9]
    """
    from scipy.stats import false_discovery_control

    return [float(p) for p in false_discovery_control(_family(p_values))]


def _family(p_values: inputs.Numbers) -> np.ndarray:
    if len(p_values) == 0:
        return np.zeros(0)
    found = inputs.numbers(p_values, "p-values")
    if found.min() < 0 or found.max() > 1:
        raise WorkbenchError(f"p-values: expected numbers from 0 to 1, got {found.min():g} to {found.max():g}")
    return found
