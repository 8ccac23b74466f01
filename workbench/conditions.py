"""When an edit is made: only where a projection lies between two bounds."""

import math
from dataclasses import dataclass

from workbench.directions import Direction
from workbench.positions import Positions


@dataclass(frozen=True)
class Condition:
    """A gate: open where the projection ``h . u`` onto a direction, at its own site, lies between two bounds.

    Attributes:
        direction: what is projected onto; units are those of the activations, as in ``Trace.dot``.
        above, below: open bounds.
        read: None gates each token by its own projection; prompt positions gate the whole row by the mean projection over
            them (conditional steering, Lee et al. 2024).
    """

    direction: Direction
    above: float = -math.inf
    below: float = math.inf
    read: Positions | None = None

    def __str__(self) -> str:
        bounds = [f"> {self.above:g}"] * (self.above > -math.inf) + [f"< {self.below:g}"] * (self.below < math.inf)
        where = "" if self.read is None else f", {self.read}"
        return f"{self.direction.method} at {self.direction.site!r}{where} {' and '.join(bounds)}"
