"""What the functions return: an estimate with its interval, and a comparison with its p-value."""

from dataclasses import dataclass

from workbench._errors import WorkbenchError


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval, the number of independent units behind it, and the method.

    NaN stands for what is unknown. The value may lie outside of its interval: that of a bootstrap can leave its own value
    out, and ``Measured`` refuses one that lies far outside.

    Raises:
        WorkbenchError: the interval runs backwards, or a bound is no number.

    >>> print(Estimate(0.886, 0.74, 0.955, 35, "Wilson"))
    0.89 [0.74, 0.95] n=35
    """

    value: float
    low: float
    high: float
    n: int
    method: str

    def __post_init__(self) -> None:
        try:
            backwards = bool(self.low > self.high)
        except (TypeError, ValueError):
            raise WorkbenchError(f"the interval is {self.low!r:.40} to {self.high!r:.40}; expected numbers") from None
        if backwards:
            raise WorkbenchError(
                f"the interval runs backwards, from {self.low!s:.20} to {self.high!s:.20}; expected bounds that do not cross: "
                "wb.Estimate(value, low, high, n, method)"
            )

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}] n={self.n}"


@dataclass(frozen=True)
class Comparison:
    """The outcome of a test: what was compared (in the unit that the function states), its p-value, n and the method.

    >>> print(Comparison(0.25, 0.031, 16, "paired permutation, exact"))
    0.25, p = 0.031, n=16 (paired permutation, exact)
    """

    value: float
    p: float
    n: int
    method: str

    def __str__(self) -> str:
        return f"{self.value:.3g}, p = {self.p:.2g}, n={self.n} ({self.method})"
