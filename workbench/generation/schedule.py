"""Which rows run together, and in which order: neighbours share what they can of their prompts and are of like length."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby

from workbench.generation.applied import first_edited
from workbench.steering.steer import Steer

#: Shares of ended rows at which they leave a batch: while rows wait to take their places, and when none does.
REFILL, LEAVE = 0.25, 0.25

#: Rows of one lowest layer that have prompts in common are read by themselves from so many on: their layers below it are read
#: once per prompt. Fewer save less than a pass costs.
_APART = 16


@dataclass(frozen=True)
class Task:
    """What the order and the cost of one row depend on.

    Attributes:
        prompt: what tells its prompt from others, e.g. its token ids. tokens: of the prompt, template included.
        start: the first edited token; ``tokens`` or more if no prompt token is.
        layer: the lowest layer that is written to or read by a condition; None for a row that is not steered.
    """

    prompt: Hashable
    tokens: int
    start: int
    layer: int | None

    @classmethod
    def of(cls, steer: Steer, token_ids: tuple[int, ...]) -> "Task":
        """That of a prompt, given as token ids, under a Steer."""
        return cls(token_ids, len(token_ids), first_edited(steer, len(token_ids)), lowest_layer(steer))

    @property
    def place(self) -> tuple:
        """What rows are sorted by."""
        shares_layers = self.tokens - self.start > 1
        return shares_layers, (self.layer or 0) if shares_layers else 0, self.tokens, self.prompt


def lowest_layer(steer: Steer) -> int | None:
    """The lowest layer that a Steer writes to or that a condition of it reads; None if it changes nothing."""
    sites = [edit.site for edit in steer.effective]
    sites += [edit.condition.direction.site for edit in steer.effective if edit.condition is not None]
    return min((site.layer for site in sites), default=None)


def read_together(places: Sequence[tuple]) -> list[slice]:
    """Which rows, sorted by ``Task.place``, read their prompts in one pass: all, but for runs that share layers below an edit."""
    passes: list[slice] = []
    apart = True
    for _, run in groupby(range(len(places)), key=lambda row: places[row][:2]):
        rows = list(run)
        shared = bool(places[rows[0]][0]) and len(rows) >= _APART and 2 * len({places[i][3] for i in rows}) <= len(rows)
        if shared or apart:
            passes.append(slice(rows[0], rows[-1] + 1))
        else:
            passes[-1] = slice(passes[-1].start, rows[-1] + 1)
        apart = shared
    return passes
