"""Does a printed number agree with a recomputed one, rounding allowed for?"""

from typing import Literal, Protocol

Grade = Literal["error", "slip", "weak", "note", "holds"]

_NEAR = 1e-9


class Printed(Protocol):
    """A number as printed: its value, one unit of its last place, and "<", ">" or "~" where it is a bound."""

    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def step(self) -> float: ...  # noqa: D102
    @property
    def bound(self) -> str: ...  # noqa: D102


def grade_of(off: float, step: float, reach: float = 0.0) -> Grade:
    """Whether a printed number that is off by so much is right, off in its last place, or wrong.

    Args:
        off: the distance from what was recomputed.
        step: one unit of its last printed place.
        reach: what the rounding of the inputs can do.

    >>> grade_of(0.04, 0.1), grade_of(0.09, 0.1), grade_of(0.3, 0.1)
    ('holds', 'slip', 'error')
    """
    near = _NEAR * (1 + step)
    if off <= step / 2 + reach + near:
        return "holds"
    return "slip" if off < step + reach - near else "error"


def grade_within(low: float, high: float, said: Printed) -> Grade:
    """Whether a printed number, or its bound, agrees with what was recomputed to lie between two limits.

    >>> from workbench.claims.log_numbers import Number
    >>> grade_within(0.0004, 0.0006, Number("p", 0.001, 0.001, "p < .001", bound="<"))
    'holds'
    >>> grade_within(0.051, 0.054, Number("p", 0.05, 0.01, "p = .05")), grade_within(0.2, 0.3, Number("p", 0.05, 0.01, ""))
    ('holds', 'error')
    """
    if said.bound in ("<", ">"):
        fine = low <= said.value + _NEAR if said.bound == "<" else high >= said.value - _NEAR
        return "holds" if fine else "error"
    if said.bound == "~":
        about = max(said.step, 0.3 * abs(said.value))
        return "holds" if low - about <= said.value <= high + about else "error"
    if said.value == 0 and low < said.step:  # "p = .000"
        return "holds"
    return grade_of(max(low - said.value, said.value - high, 0.0), said.step)


def shown(value: float, step: float = 0.0) -> str:
    """A recomputed value with one place more than was printed.

    >>> shown(83.3333, 0.1), shown(0.051)
    ('83.33', '0.051')
    """
    if step <= 0:
        return f"{value:.4g}"
    places = next(k for k in range(9) if step * 10**k >= 0.9999 or k == 8)
    return f"{value:.{places + 1}f}"
