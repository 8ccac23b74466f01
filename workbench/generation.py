"""Write completions, steered per row, on the plain module with a preallocated KV cache.

What makes it fast: rows of many conditions share a batch; the tokens before a row's first edit are read once per
prompt, not once per condition; rows that have ended leave the batch. None of it changes what a row says beyond
rounding, and a test holds it to one row at a time in float64.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from workbench.applying import Applied
from workbench.caching import PreallocatedCache
from workbench.completions import Completions, complete
from workbench.edits import Steer
from workbench.errors import WorkbenchError
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
    batch_size: int = 128,
    seed: int = 0,
    progress: bool = True,
    watch: Watch | None = None,
) -> Completions:
    """Greedy completions of chat prompts, each row with its own Steer.

    Args:
        model: the model; its plain module runs.
        prompts: user turns.
        steer: one Steer for all rows, or one per prompt.
        max_new_tokens: at most this many tokens per response.
        system, system_in_user: as in ``model.encode``.
        batch_size: rows per batch.
        seed: recorded; greedy decoding uses no random numbers.
        progress: show a progress bar when there is more than one batch.
        watch: observe each batch while it is written; what ``trace_generation`` does.

    Raises:
        WorkbenchError: no prompts, a number of Steers that is not that of the prompts, or a Steer that does not fit.

    >>> generate(model, ["How do I pick a lock?"], steer=wb.add(d, ratio=0.3))  # doctest: +SKIP
    """
    if max_new_tokens < 1 or batch_size < 1:
        raise WorkbenchError(f"max_new_tokens is {max_new_tokens} and batch_size {batch_size}; expected at least 1")
    asked = as_prompts(prompts)
    encoded = model.encode(asked, system, system_in_user)
    steers = [steer] * len(encoded) if isinstance(steer, Steer) else list(steer)
    if len(steers) != len(encoded):
        raise WorkbenchError(f"{len(steers)} Steers for {len(encoded)} prompts; expected one, or one per prompt")
    tokens = continue_tokens(model, encoded, steers, max_new_tokens, batch_size, progress, watch)
    return complete(model, asked, encoded, steers, tokens, max_new_tokens, seed=seed, system=system)


def continue_tokens(
    model: Model,
    encoded: Encoded,
    steers: Sequence[Steer],
    max_new_tokens: int,
    batch_size: int = 128,
    progress: bool = True,
    watch: Watch | None = None,
) -> list[tuple[int, ...]]:
    """The new tokens of encoded chats, the stop token included where there is one; ``generate`` without the text.

    The chats may end in the middle of a response. Positions take all that is given as the prompt. With ``watch``, every
    token is read in its own row (no shared prefixes), so that each batch can be observed.

    Raises:
        WorkbenchError: a Steer that does not fit the model.
    """
    for distinct in set(steers):
        check(distinct, model)
    starts = [first_edited(s, length) for s, length in zip(steers, encoded.lengths, strict=True)]
    tokens: list[tuple[int, ...]] = [()] * len(encoded)
    quiet = not progress or len(encoded) <= batch_size
    with tqdm(total=len(encoded), unit="row", desc="generating", disable=quiet) as bar:
        for rows in _batches(encoded, starts, batch_size):
            chosen, first = [steers[row] for row in rows], [starts[row] for row in rows]
            batch = Batch.of(model, encoded, rows, chosen, first, max_new_tokens, watched=watch is not None)
            cache = read_shared(model, batch)
            with batch.applied.hooked(model), watch(batch.applied, rows) if watch else nullcontext():
                written = write_batch(model, batch, cache)
            for row, ids in zip(rows, written, strict=True):
                tokens[row] = ids
            bar.update(len(rows))
    return tokens


def _batches(encoded: Encoded, starts: Sequence[int], batch_size: int) -> list[list[int]]:
    """Rows packed so that a batch has prompts of like length and rows that can share as much of them as possible."""
    lengths = encoded.lengths
    order = sorted(
        range(len(encoded)), key=lambda row: (lengths[row] - starts[row] > 1, lengths[row], encoded.token_ids[row])
    )
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


#: From logits [batch, vocabulary] to the next tokens [batch], int64.
Choose = Callable[[torch.Tensor], torch.Tensor]


def _likeliest(logits: torch.Tensor) -> torch.Tensor:
    return logits.argmax(-1)


@dataclass
class Batch:
    """Rows that are written together. Columns before ``shared`` are the same for all rows of a prompt."""

    ids: torch.Tensor  # [batch, width], left-padded
    mask: torch.Tensor
    shared: int
    new: int
    applied: Applied

    @classmethod
    def of(
        cls,
        model: Model,
        encoded: Encoded,
        rows: Sequence[int],
        steers: Sequence[Steer],
        starts: Sequence[int],
        new: int,
        watched: bool,
    ) -> "Batch":
        """Rows of encoded chats, each with its Steer and its first edited token; a watched batch shares no columns."""
        ids, mask = encoded.tensors(rows, model.device)
        width = ids.shape[1]
        lengths = [encoded.lengths[row] for row in rows]
        # Nothing is edited in the columns before the first edited token of any row. The last prompt token is always
        # read per row, since its logits are what the response starts from.
        shared = min(width - 1, *(width - length + start for length, start in zip(lengths, starts, strict=True)))
        applied = Applied(steers, lengths, width, new, model, record=watched)
        return cls(ids, mask, 0 if watched else max(shared, 0), new, applied)

    @property
    def positions(self) -> torch.Tensor:
        """The place of each column's token in its chat, [batch, width]."""
        return (self.mask.cumsum(-1) - 1).clamp(min=0)


@torch.no_grad()
def write_batch(
    model: Model, batch: Batch, cache: PreallocatedCache, choose: Choose = _likeliest
) -> list[tuple[int, ...]]:
    """The new tokens of each row, the stop token included where there is one; the cache holds the shared columns."""
    applied, new, (rows, width), device = batch.applied, batch.new, batch.ids.shape, batch.ids.device
    stops = torch.tensor(sorted(model.stop_ids), device=device)
    written = torch.full((rows, new), -1, dtype=torch.long, device=device)
    alive = torch.arange(rows, device=device)
    done = torch.zeros(rows, dtype=torch.bool, device=device)
    step, at, full = batch.ids[:, batch.shared :], batch.positions[:, batch.shared :], batch.mask
    applied.cursor = batch.shared
    for t in range(new):
        token = choose(_next_logits(model, step, full, at, cache, t))
        written[alive[~done], t] = token[~done]
        done = done | torch.isin(token, stops)
        if t + 1 == new or bool(done.all()):
            break
        applied.cursor, at = width + t, at[:, -1:] + 1
        full = torch.cat([full, full.new_ones(len(full), 1)], dim=1)
        if int(done.sum()) * 4 >= len(done):
            keep = (~done).nonzero().flatten()
            cache.keep(keep)
            applied.keep(keep)
            token, at, full, alive, done = token[keep], at[keep], full[keep], alive[keep], done[keep]
        step = token[:, None]
    return [tuple(i for i in row if i >= 0) for row in written.tolist()]


def _next_logits(
    model: Model, step: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: PreallocatedCache, t: int
) -> torch.Tensor:
    """Logits of each row's next token, [batch, vocabulary], after reading ``step`` into the cache."""
    logits = model.hf(
        input_ids=step,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    if logits.isnan().any():
        raise FloatingPointError(f"{model.name} returned NaN logits at new token {t}, in {model.dtype}")
    return logits


@torch.no_grad()
def read_shared(model: Model, batch: Batch) -> PreallocatedCache:
    """A cache that holds the unsteered columns, each distinct row read once and copied to the rows that have it."""
    cache = PreallocatedCache(model.n_layers, batch.ids.shape[1] + batch.new)
    if batch.shared == 0:
        return cache
    ids, mask, positions = (x[:, : batch.shared] for x in (batch.ids, batch.mask, batch.positions))
    together, where = torch.cat([ids, mask], dim=1).unique(dim=0, return_inverse=True)
    first = torch.zeros(len(together), dtype=torch.long, device=ids.device)
    first.scatter_(0, where, torch.arange(len(where), device=ids.device))
    model.hf(
        input_ids=ids[first],
        attention_mask=mask[first],
        position_ids=positions[first],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    cache.keep(where)
    return cache
