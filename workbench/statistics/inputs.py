"""What every function checks before it computes: finite numbers, yes-or-no outcomes, counts, levels, clusters."""

import math
from collections.abc import Hashable, Sequence
from numbers import Real

import numpy as np

from workbench._errors import WorkbenchError

#: Anything with one number per unit: a list, an array, a pandas column.
Numbers = Sequence[float] | np.ndarray


def numbers(values: Numbers, what: str, least: int = 1) -> np.ndarray:
    """The values as a float array of shape [n], all finite and at least ``least`` of them."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise WorkbenchError(f"{what}: expected numbers, got {values!r:.60}") from error
    if array.ndim != 1 or len(array) < least:
        raise WorkbenchError(f"{what}: expected one row of at least {least} numbers, got shape {array.shape}")
    if bad := int((~np.isfinite(array)).sum()):
        raise WorkbenchError(f"{what}: {bad} of {len(array)} values are NaN or infinite; drop or mend them first")
    return array


def matrix(values: object, what: str) -> np.ndarray:
    """The values as a finite float array of shape [unit, option], with at least two of each."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise WorkbenchError(f"{what}: expected a table of numbers, one row per unit, one column per option") from error
    if array.ndim != 2 or min(array.shape) < 2:
        raise WorkbenchError(f"{what}: expected [unit, option] with at least two of each, got shape {array.shape}")
    if bad := int((~np.isfinite(array)).sum()):
        raise WorkbenchError(f"{what}: {bad} of {array.size} values are NaN or infinite; drop those units first")
    return array


def outcomes(values: Sequence[bool] | np.ndarray, what: str) -> np.ndarray:
    """Yes-or-no outcomes as a bool array of shape [n]; 0 and 1 will do, labels and NaN will not."""
    array = numbers(values, what)
    if not np.isin(array, (0, 1)).all():
        raise WorkbenchError(f"{what}: expected True or False for each unit, got {sorted(set(array))[:4]}")
    return array.astype(bool)


def paired(before: Sequence[bool] | np.ndarray, after: Sequence[bool] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of the same units, twice."""
    first, second = np.shape(before), np.shape(after)
    if first != second or len(first) != 1 or first == (0,):
        raise WorkbenchError(f"paired outcomes need one value per unit in both; got {first} and {second}")
    return outcomes(before, "before"), outcomes(after, "after")


def paired_numbers(first: Numbers, second: Numbers, what: str, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Two measurements of the same units."""
    x, y = numbers(first, what, least), numbers(second, what, least)
    if len(x) != len(y):
        raise WorkbenchError(f"{what}: expected one value per unit in both, got {len(x)} and {len(y)}")
    return x, y


#: no experiment has more units, and no table of a test more cells
_MOST = 10**9


def count(successes: int, n: int) -> None:
    """Refuse what is no count out of n."""
    if (
        not (_is_finite(successes) and _is_finite(n))
        or n > _MOST
        or n <= 0
        or not 0 <= successes <= n
        or successes % 1
        or n % 1
    ):
        raise WorkbenchError(f"{successes} of {n} is not a count: expected whole numbers, 0 <= successes <= n, n > 0")


def counts(successes: Sequence[int] | np.ndarray, n: Sequence[int] | np.ndarray | int, groups: int) -> np.ndarray:
    """Counts and their denominators as an int array of shape [2, group], for at least ``groups`` of them."""
    k = numbers(successes, "successes", groups)
    total = np.full(len(k), float(n)) if np.ndim(n) == 0 else numbers(n, "n", groups)  # type: ignore[arg-type]
    if len(total) != len(k):
        raise WorkbenchError(f"successes and n: expected one n per count, got {len(k)} and {len(total)}")
    for one, of in zip(k, total, strict=True):
        count(one, of)
    return np.stack([k, total]).astype(int)


def between(value: float, low: float, high: float, what: str) -> None:
    """Refuse a value that is not strictly between two bounds."""
    if not _is_finite(value) or not low < value < high:
        raise WorkbenchError(f"{what} is {value}: expected a number between {low:g} and {high:g}, both excluded")


def probability(value: float, what: str) -> None:
    """Refuse what is no probability."""
    if not _is_finite(value) or not 0 <= value <= 1:
        raise WorkbenchError(f"{what} is {value}: expected a probability, from 0 to 1")


def whole(value: int, least: int, what: str, most: int = _MOST) -> None:
    """Refuse what is no whole number from ``least`` to ``most``."""
    if _is_finite(value) and value > most:
        raise WorkbenchError(f"{what} is {value!r:.60}: expected at most {most:,}")
    if not _is_finite(value) or value < least or value % 1:
        raise WorkbenchError(f"{what} is {value!r:.60}: expected a whole number of at least {least}")


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, Real | np.bool_) and math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def generator(seed: int) -> np.random.Generator:
    """The random numbers of a seed, which is a whole number from 0."""
    whole(seed, 0, "seed")
    return np.random.default_rng(int(seed))


def cluster_codes(clusters: Sequence[Hashable] | np.ndarray | None, n: int) -> np.ndarray:
    """The cluster of each of ``n`` units as a number from 0 in order of appearance; without clusters, one each."""
    import pandas as pd

    if clusters is None:
        return np.arange(n)
    if not hasattr(clusters, "__len__") or len(clusters) != n:
        seen = f"{len(clusters)} for {n}" if hasattr(clusters, "__len__") else f"{clusters!r:.60}"
        raise WorkbenchError(f"clusters: expected one name per value, got {seen}")
    codes, _ = pd.factorize(pd.Series(list(clusters), dtype=object))
    if (codes < 0).any():
        raise WorkbenchError(f"clusters: {int((codes < 0).sum())} of {n} values have no cluster (None or NaN)")
    return codes
