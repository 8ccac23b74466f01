"""Which rows run together, and in which order: neighbours share what they can of their prompts and are of like length."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from workbench.generation.steer_hooks import first_edited
from workbench.steering.steer import Steer

#: Shares of ended rows at which they leave a batch: while rows wait to take their places, and when none does.
REFILL, LEAVE = 0.25, 0.25

#: Rows of one lowest layer that have prompts in common are read by themselves from so many on: their layers below it are read
#: once per prompt. Fewer save less than a pass costs.
_APART = 16


class Place(NamedTuple):
    """Where a row stands among others: rows are sorted by it.

    Attributes:
        shares_layers: whether it is edited before the last prompt token, so that sharing columns does not help.
        layer: the lowest layer that is written to or read, where it shares layers; else 0.
        tokens: of the prompt, template included.
        prompt: its token ids.
        start: the first edited token.
    """

    shares_layers: bool
    layer: int
    tokens: int
    prompt: tuple[int, ...]
    start: int


def place_rows(steers: Sequence[Steer], prompts: Sequence[tuple[int, ...]]) -> list[Place]:
    """The places of rows, each a prompt as token ids under its Steer."""
    layers = {id(steer): lowest_layer(steer) for steer in steers}
    starts: dict[tuple[int, int], int] = {}
    places = []
    for steer, ids in zip(steers, prompts, strict=True):
        known = id(steer), len(ids)
        if known not in starts:
            starts[known] = first_edited(steer, len(ids))
        shares_layers = len(ids) - starts[known] > 1
        places.append(Place(shares_layers, layers[id(steer)] * shares_layers, len(ids), ids, starts[known]))
    return places


def lowest_layer(steer: Steer) -> int:
    """The lowest layer that a Steer writes to or that a condition of it reads; 0 if there is none."""
    sites = [edit.site for edit in steer.effective]
    sites += [edit.condition.direction.site for edit in steer.effective if edit.condition is not None]
    return min((site.layer for site in sites), default=0)


def read_together(places: Sequence[Place]) -> list[slice]:
    """Which rows, in order, read their prompts in one pass: all, but for runs that share layers below an edit."""
    passes: list[slice] = []
    apart = True
    for _, run in groupby(range(len(places)), key=lambda row: places[row][:2]):
        rows = list(run)
        prompts = {places[row].prompt for row in rows}
        shared = places[rows[0]].shares_layers and len(rows) >= _APART and 2 * len(prompts) <= len(rows)
        if shared or apart:
            passes.append(slice(rows[0], rows[-1] + 1))
        else:
            passes[-1] = slice(passes[-1].start, rows[-1] + 1)
        apart = shared
    return passes


def read_tokens(tokens: int, edits: Mapping[tuple[int, int], int], layers: int, batch_size: int) -> float:
    """How many tokens of one prompt are read under conditions counted by first edited token and lowest edited layer.

    What comes before the first edited token, or below the lowest edited layer, is read once for all conditions in a batch.
    """
    late = sum(count for (start, _), count in edits.items() if start >= tokens - 1)
    total = (1 + (late - 1) / batch_size) * (tokens - 1) + late if late else 0.0
    for layer in {layer for start, layer in edits if start < tokens - 1}:
        group = {start: count for (start, at), count in edits.items() if at == layer and start < tokens - 1}
        rows, first, below = sum(group.values()), min(group), layer / layers
        times = 1 + (rows - 1) / batch_size  # how many batches such a prompt is in
        total += min(times * first + rows * (tokens - first), tokens * (times * below + rows * (1 - below)))
    return total
