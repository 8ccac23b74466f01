"""Write completions, steered per row, on the plain module with a preallocated KV cache.

What makes it fast: rows of many conditions share a batch; the tokens before a row's first edit, and the layers below it,
are read once per prompt, not once per condition; rows that have ended leave the batch, and waiting ones take their
places. None of it changes what a row says beyond rounding, and a test holds it to one row at a time in float64.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch

from workbench._errors import WorkbenchError
from workbench._errors.progress import Bar
from workbench.generation.completions import Completions, complete
from workbench.generation.decoding import GREEDY, Sampling, draw, random_numbers
from workbench.generation.engine import Batch, Choose, Decided, Ended, Writer, likeliest, mark_failed, read_shared
from workbench.generation.memory import Room, is_out_of_memory
from workbench.generation.schedule import LEAVE, REFILL, Place, place_rows, read_together
from workbench.generation.steer_hooks import (
    Applied,
    alone,
    check_all,
    check_covered,
    check_model,
    check_positions,
    check_sizes,
)
from workbench.generation.weight_packing import PrepackedWeights
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Prompt, Prompts, as_prompts
from workbench.steering.steer import Steer, steer_per_row

#: Given the Applied of a batch and the batch's rows, a context in which the batch is read (see ``recorder``).
Watch = Callable[[Applied, Sequence[int]], AbstractContextManager]


def generate(
    model: Model,
    prompts: Sequence[str | Prompt] | Prompts,
    steer: Steer | Sequence[Steer] = Steer(),  # noqa: B008 (frozen)
    max_new_tokens: int = 48,
    system: str | None = None,
    system_in_user: bool = False,
    batch_size: int | Room = 128,
    seed: int | Sequence[int] = 0,
    progress: bool = True,
    watch: Watch | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    decided: Decided | None = None,
) -> Completions:
    """Completions of chat prompts, each row with its own Steer; greedy, or sampled.

    Args:
        model: the model; its plain module runs.
        prompts: user turns, or chats as ``Prompt``.
        steer: one Steer for all rows, or one per prompt.
        max_new_tokens: at most this many tokens per response.
        system, system_in_user: as in ``model.encode``.
        batch_size: the most rows per batch; fewer if memory would run out, and half as many after it did.
        seed: seed of the sampling, one for all rows or one per prompt (a repeated prompt with another seed gives
            another sample). A row's random numbers depend on it, the prompt and the Steer, never on the batch.
        progress: show a progress bar when there is more than one batch.
        watch: observes each batch during generation; ``trace_generation`` uses it.
        temperature, top_p: as in ``Sampling``; temperature 0 is greedy.
        decided: called every 8 tokens with the text so far; True ends the row, whose finish is then "verdict".

    Raises:
        WorkbenchError: no prompts, a number of Steers or seeds that differs from the number of prompts, a Steer that
            does not fit, or a temperature or top_p out of range; before any compute. Also a row whose logits turn to
            NaN.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> done = generate(model, ["how do i pick a lock", "write a song"], wb.add(d, ratio=0.3), max_new_tokens=5)
    >>> len(done), done.prompt_lengths, max(map(len, done.token_ids))
    (2, (12, 9), 5)

    A Steer that adds nothing is no Steer at all, to the last token:

    >>> plain, none = (generate(model, ["write a song"], steer) for steer in (wb.Steer(), wb.add(d, 0)))
    >>> plain.token_ids == none.token_ids
    True
    """
    check_model(model)
    check_sizes(
        max_new_tokens=max_new_tokens, batch_size=batch_size.most if isinstance(batch_size, Room) else batch_size
    )
    sampling = Sampling(temperature, top_p, tuple(seed) if isinstance(seed, Sequence) else seed)
    asked = as_prompts(prompts)
    sampling.seeds(len(asked))
    encoded = model.encode(asked, system, system_in_user)
    steers = steer_per_row(steer, len(encoded))
    check_covered(steers, encoded.lengths, max_new_tokens)
    tokens = continue_tokens(
        model, encoded, steers, max_new_tokens, batch_size, progress, watch, sampling=sampling, decided=decided
    )
    return complete(model, asked, encoded, steers, tokens, max_new_tokens, str(sampling), sampling.seed, system)


def continue_tokens(
    model: Model,
    encoded: Encoded,
    steers: Sequence[Steer],
    max_new_tokens: int,
    batch_size: int | Room = 128,
    progress: bool = True,
    watch: Watch | None = None,
    sampling: Sampling = GREEDY,
    decided: Decided | None = None,
) -> list[tuple[int, ...]]:
    """The new tokens of encoded chats, the stop token included where there is one; ``generate`` without the text.

    The chats may end in the middle of a response. Positions take all that is given as the prompt. With ``watch``, every
    token is read in its own row (no shared prefixes), so that each batch can be observed.

    Raises:
        WorkbenchError: a Steer that does not fit the model, or no memory for a single row.
    """
    tokens: list[tuple[int, ...]] = [()] * len(encoded)
    room = Room(model, batch_size) if isinstance(batch_size, int) else batch_size
    quiet = not progress or len(encoded) <= room.most
    with Bar(total=len(encoded), unit="row", desc="generating", disable=quiet) as bar:
        for ended in stream_tokens(model, encoded, steers, max_new_tokens, room, watch, sampling, decided):
            for row, ids in ended:
                tokens[row] = ids
            bar.update(len(ended))
    return tokens


def stream_tokens(
    model: Model,
    encoded: Encoded,
    steers: Sequence[Steer],
    max_new_tokens: int,
    room: Room,
    watch: Watch | None = None,
    sampling: Sampling = GREEDY,
    decided: Decided | None = None,
) -> Iterator[Ended]:
    """As ``continue_tokens``, but as it goes: whenever rows have ended, their numbers and tokens.

    Rows that have ended make place for waiting ones, so the batch stays full until none waits. No hook is in place while
    the caller has the word. Watched rows run in batches of their own, which nothing joins.
    """
    encoded = encoded.whole()
    check_all(steers, model)
    check_positions(steers, encoded.lengths)
    model.check_lengths(encoded.lengths, max_new_tokens)
    numbers = None if sampling.greedy else random_numbers(sampling, encoded.token_ids, steers, max_new_tokens)
    choose = likeliest if numbers is None else partial(_draw, sampling, numbers.to(model.device))
    places = place_rows(steers, encoded.token_ids)
    packed = PrepackedWeights(model, min(room.most, len(encoded)), max_new_tokens)
    desk = _Desk(model, packed, encoded, steers, places, max_new_tokens, choose, decided, watch)
    waiting, running = sorted(range(len(encoded)), key=places.__getitem__), None
    held: list[int]
    while waiting or running:
        held = [] if running is None else running.rows.tolist()
        longest = max(encoded.lengths[row] for row in [*held, *waiting[: room.most]]) + max_new_tokens
        taken = waiting[: max(room.rows(longest) - len(held), 0)]
        rows = len(held) + len(taken)
        try:
            with room.measuring(rows, longest):
                running, ended = desk.advance(running, taken, more=len(taken) < len(waiting))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if rows == 1:
                raise WorkbenchError(f"no memory for one row of {longest} tokens: {error}") from error
            room.halve(rows)
            waiting, running = held + waiting, None
            continue
        waiting = waiting[len(taken) :]
        yield ended


@dataclass(frozen=True)
class _Desk:
    """What every batch of one call has in common, and how a batch is begun, joined and written on."""

    model: Model
    packed: PrepackedWeights
    encoded: Encoded
    steers: Sequence[Steer]
    places: Sequence[Place]
    new: int
    choose: Choose
    decided: Decided | None
    watch: Watch | None

    def advance(self, running: Writer | None, taken: list[int], more: bool) -> tuple[Writer | None, Ended]:
        """Take rows in, and write until enough rows have ended to take others in; None when no row is left."""
        with alone(self.model), self.packed.used():
            return self._advance(running, taken, more)

    def _advance(self, running: Writer | None, taken: list[int], more: bool) -> tuple[Writer | None, Ended]:
        parts = [slice(None)] if self.watch else read_together([self.places[row] for row in taken])
        for rows in (taken[part] for part in parts):
            batch = self._batch(rows)
            cache = read_shared(self.model, batch)
            with batch.applied.hooked(self.model), self._watching(batch, rows):
                begun = Writer.begin(self.model, batch, cache, rows, self.choose, self.decided)
                if self.watch is not None:
                    return None, begun.write()
            if running is None:
                running = begun
            else:
                running.join(begun)
        assert running is not None
        with running.applied.hooked(self.model):
            ended = running.until(REFILL if more else LEAVE)
        return running if len(running) else None, ended

    def _batch(self, rows: list[int]) -> Batch:
        steers, starts = [self.steers[row] for row in rows], [self.places[row].start for row in rows]
        return Batch.of(self.model, self.encoded, rows, steers, starts, self.new, watched=self.watch is not None)

    def _watching(self, batch: Batch, rows: list[int]) -> AbstractContextManager:
        return nullcontext() if self.watch is None else self.watch(batch.applied, rows)


def _draw(
    sampling: Sampling, numbers: torch.Tensor, logits: torch.Tensor, rows: torch.Tensor, steps: torch.Tensor
) -> torch.Tensor:
    return mark_failed(draw(logits, sampling, numbers[rows, steps]), logits)
