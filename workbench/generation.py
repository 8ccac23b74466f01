"""Write completions, steered per row, on the plain module with a preallocated KV cache.

What makes it fast: rows of many conditions share a batch; the tokens before a row's first edit, and the layers below it,
are read once per prompt, not once per condition; rows that have ended leave the batch. None of it changes what a row
says beyond rounding, and a test holds it to one row at a time in float64.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from tqdm.auto import tqdm

from workbench.applying import Applied
from workbench.batches import Batch, Choose, Decided, likeliest, read_shared, write_batch
from workbench.completions import Completions, complete
from workbench.decoding import GREEDY, Sampling, draw, random_numbers
from workbench.edits import Steer
from workbench.errors import WorkbenchError
from workbench.memory import Room, is_out_of_memory
from workbench.models import Encoded, Model
from workbench.prompt_sets import Prompt, Prompts, as_prompts
from workbench.steering import check, first_edited

#: Given the Applied of a batch and the batch's rows, a context in which the batch is read (see ``tracing``).
Watch = Callable[[Applied, Sequence[int]], AbstractContextManager]


def generate(
    model: Model,
    prompts: Sequence[str | Prompt] | Prompts,
    steer: Steer | Sequence[Steer] = Steer(),  # noqa: B008 (frozen)
    max_new_tokens: int = 48,
    system: str | None = None,
    system_in_user: bool = False,
    batch_size: int | Room = 128,
    seed: int = 0,
    progress: bool = True,
    watch: Watch | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    decided: Decided | None = None,
) -> Completions:
    """Completions of chat prompts, each row with its own Steer; greedy, or sampled.

    Args:
        model: the model; its plain module runs.
        prompts: user turns.
        steer: one Steer for all rows, or one per prompt.
        max_new_tokens: at most this many tokens per response.
        system, system_in_user: as in ``model.encode``.
        batch_size: rows per batch at most; fewer where memory would run out, and half as many after it did.
        seed: of sampling. A row's random numbers depend on it, the prompt and the Steer, never on the batch.
        progress: show a progress bar when there is more than one batch.
        watch: observe each batch while it is written; what ``trace_generation`` does.
        temperature, top_p: as in ``Sampling``; temperature 0 is greedy.
        decided: asked every 8 tokens about the text so far; True ends the row, whose finish is then "verdict".

    Raises:
        WorkbenchError: no prompts, a number of Steers that is not that of the prompts, a Steer that does not fit, or a
            temperature or top_p out of range.

    >>> generate(model, ["How do I pick a lock?"], steer=wb.add(d, ratio=0.3))  # doctest: +SKIP
    """
    if max_new_tokens < 1 or (isinstance(batch_size, int) and batch_size < 1):
        raise WorkbenchError(f"max_new_tokens is {max_new_tokens} and batch_size {batch_size}; expected at least 1")
    sampling = Sampling(temperature, top_p, seed)
    asked = as_prompts(prompts)
    encoded = model.encode(asked, system, system_in_user)
    steers = [steer] * len(encoded) if isinstance(steer, Steer) else list(steer)
    if len(steers) != len(encoded):
        raise WorkbenchError(f"{len(steers)} Steers for {len(encoded)} prompts; expected one, or one per prompt")
    tokens = continue_tokens(
        model, encoded, steers, max_new_tokens, batch_size, progress, watch, sampling=sampling, decided=decided
    )
    return complete(model, asked, encoded, steers, tokens, max_new_tokens, str(sampling), seed, system)


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
    for distinct_steer in set(steers):
        check(distinct_steer, model)
    starts = [first_edited(s, length) for s, length in zip(steers, encoded.lengths, strict=True)]
    numbers = None if sampling.greedy else random_numbers(sampling, encoded.token_ids, steers, max_new_tokens)
    tokens: list[tuple[int, ...]] = [()] * len(encoded)
    room = Room(model, batch_size) if isinstance(batch_size, int) else batch_size
    waiting = _packed(encoded, steers, starts)

    def write(rows: list[int]) -> list[tuple[int, ...]]:
        chosen, first = [steers[row] for row in rows], [starts[row] for row in rows]
        choose: Choose = likeliest if numbers is None else partial(_draw, sampling, numbers[rows].to(model.device))
        batch = Batch.of(model, encoded, rows, chosen, first, max_new_tokens, watched=watch is not None)
        cache = read_shared(model, batch)
        with batch.applied.hooked(model), watch(batch.applied, rows) if watch else nullcontext():
            return write_batch(model, batch, cache, choose, decided)

    quiet = not progress or len(encoded) <= room.most
    with tqdm(total=len(encoded), unit="row", desc="generating", disable=quiet) as bar:
        while waiting:
            longest = max(encoded.lengths[row] for row in waiting[: room.most]) + max_new_tokens
            rows = waiting[: room.rows(longest)]
            try:
                with room.measuring(len(rows), longest):
                    written = write(rows)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(rows) == 1:
                    raise WorkbenchError(f"no memory for one row of {longest} tokens: {error}") from error
                room.halve(len(rows))
                continue
            for row, ids in zip(rows, written, strict=True):
                tokens[row] = ids
            waiting = waiting[len(rows) :]
            bar.update(len(rows))
    return tokens


def _packed(encoded: Encoded, steers: Sequence[Steer], starts: Sequence[int]) -> list[int]:
    """Rows in an order in which neighbours can share as much of their prompts as possible and are of like length."""
    lengths = encoded.lengths
    layers = [min((edit.site.layer for edit in steer.effective), default=0) for steer in steers]

    def place(row: int) -> tuple:
        shares_layers = lengths[row] - starts[row] > 1
        return shares_layers, layers[row] if shares_layers else 0, lengths[row], encoded.token_ids[row]

    return sorted(range(len(encoded)), key=place)


def _draw(
    sampling: Sampling, numbers: torch.Tensor, logits: torch.Tensor, rows: torch.Tensor, step: int
) -> torch.Tensor:
    return draw(logits, sampling, numbers[rows, step])
