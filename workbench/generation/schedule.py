"""?"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

#: Shares of ended rows at which they leave a batch: while rows wait to take their places, and when none does.
REFILL, LEAVE = 0.25, 0.25


#: Rows of one lowest layer that have prompts in common are read by themselves from so many on: their layers below it are read
#: once per prompt. Fewer save less than a pass costs.
_APART = 16


@dataclass(frozen=True)
class Task:
    """What the cost of one row depends on.

    Attributes:
        prompt: what tells its prompt from others. tokens: of the prompt, template included.
        start: the first edited token; ``tokens`` or more if no prompt token is.
        layer: the lowest layer that is written to or read by a condition; None for a row that is not steered.
    """

    prompt: str
    tokens: int
    start: int
    layer: int | None

    @property
    def place(self) -> tuple:
        """What ``generation`` sorts rows by, so that neighbours share what they can and are of like length."""
        shares_layers = self.tokens - self.start > 1
        return shares_layers, (self.layer or 0) if shares_layers else 0, self.tokens, self.prompt


def read_together(places: Sequence[tuple]) -> list[slice]:
    """Which rows, sorted by ``Task.place``, read their prompts in one pass: all, but for runs that share layers below an edit."""
    found: list[slice] = []
    apart = True
    for _, run in groupby(range(len(places)), key=lambda row: places[row][:2]):
        rows = list(run)
        shared = bool(places[rows[0]][0]) and len(rows) >= _APART and 2 * len({places[i][3] for i in rows}) <= len(rows)
        if shared or apart:
            found.append(slice(rows[0], rows[-1] + 1))
        else:
            found[-1] = slice(found[-1].start, rows[-1] + 1)
        apart = shared
    return found
