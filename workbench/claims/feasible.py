"""Can such a summary of data exist? Granularity of percentages and means, and the standard deviations that are possible."""

import math

from workbench.claims.rounding import Grade, grade_of

_NEAR = 1e-9


def nearest_count(percent: float, n: int) -> int:
    """The count out of n whose percentage is nearest."""
    first = round(percent * n / 100)
    counts = [k for k in (first - 1, first, first + 1) if 0 <= k <= n]
    return min(counts or [n], key=lambda k: abs(100 * k / n - percent))


def grim(percent: float, step: float, n: int) -> Grade:
    """Whether a percentage is a count out of n (GRIM, Brown and Heathers 2017): holds, slip (truncated, or rounded twice), or error.

    >>> grim(88.6, 0.1, 35), grim(78.6, 0.1, 164), grim(88.6, 0.1, 100)
    ('holds', 'slip', 'error')
    """
    return grade_of(abs(100 * nearest_count(percent, n) / n - percent), step)


def possible_totals(mean: float, step: float, n: int) -> list[int]:
    """The totals of n whole numbers whose mean is printed so; none where there is no such mean (GRIM for means).

    >>> possible_totals(3.45, 0.01, 20), possible_totals(3.44, 0.01, 20)
    ([69], [])
    """
    near = range(math.floor(mean * n) - 1, math.ceil(mean * n) + 2)
    return [total for total in near if abs(total / n - mean) <= step / 2 + _NEAR]


def is_sd_of_whole_numbers(total: int, n: int, sd: float, step: float) -> bool:
    """Whether n whole numbers of a total may have this SD (GRIMMER, Anaya 2016; Allard 2018).

    Their sum of squares is a whole number, and even where the total is; the SD may be the sample's or the population's.

    >>> is_sd_of_whole_numbers(10, 4, 1.29, 0.01), is_sd_of_whole_numbers(10, 4, 1.35, 0.01)
    (True, False)
    """
    for divisor in (n - 1, n):
        low, high = (max(sd + side * step / 2, 0) ** 2 * divisor + total**2 / n for side in (-1, 1))
        squares = math.ceil(low - _NEAR)
        squares += (squares - total) % 2
        if squares <= high + _NEAR:
            return True
    return False


def largest_sd(mean: float, step: float, low: float, high: float, n: int | None = None) -> float:
    """The largest SD that numbers between two limits can have about a mean (Bhatia and Davis 2000), the sample's where n is known.

    Without n the factor n / (n - 1) is taken for a sample of two, the largest there is.

    >>> round(largest_sd(3, 0, 1, 5, 10), 3), round(largest_sd(4.6, 0.01, 1, 5, 40), 3)
    (2.108, 1.222)
    """
    middle = (low + high) / 2
    inner = min(max(mean, low), high)
    nearest = min(max(middle, inner - step / 2), inner + step / 2)
    return math.sqrt(max((nearest - low) * (high - nearest), 0.0) * (n / (n - 1) if n and n > 1 else 2.0))


def binary_sd(mean: float, step: float, n: int | None = None, near: float = 0.0) -> tuple[float, float]:
    """The SD of 0/1 scores with a mean, and what the mean's rounding can do to it: the sample's or the population's, nearer to ``near``.

    >>> sd, reach = binary_sd(0.8, 0.01, 200, near=0.25)
    >>> round(sd, 2), round(reach, 3)
    (0.4, 0.004)
    """

    def sd(share: float, factor: float) -> float:
        share = min(max(share, 0.0), 1.0)
        return math.sqrt(share * (1 - share) * factor)

    factor = min((1.0, n / (n - 1) if n and n > 1 else 1.0), key=lambda f: abs(sd(mean, f) - near))
    true = sd(mean, factor)
    return true, max(abs(sd(mean + side * step / 2, factor) - true) for side in (-1, 1))
