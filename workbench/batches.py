"""One batch of rows on the plain module: its shared columns and layers read once, then written token by token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from workbench.applying import Applied
from workbench.caching import PreallocatedCache
from workbench.edits import Steer
from workbench.models import Encoded, Model
from workbench.sharing import distinct, spread_from

#: Given a response as far as it is written, without special tokens: whether nothing more is asked of it.
Decided = Callable[[str], bool]
#: How often that is asked, in tokens; part of what a row says, so the same for every batch.
_ASKED_EVERY = 8

#: From logits [batch, vocabulary], the rows [batch] of the batch they are of, and the step, to tokens [batch], int64.
Choose = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


def likeliest(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
    """Greedy decoding, as a Choose."""
    return logits.argmax(-1)


@dataclass
class Batch:
    """Rows that are written together. Columns before ``shared`` are the same for all rows of a prompt."""

    ids: torch.Tensor  # [batch, width], left-padded
    mask: torch.Tensor
    shared: int
    new: int
    applied: Applied
    watched: bool = False

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
        return cls(ids, mask, 0 if watched else max(shared, 0), new, applied, watched)

    @property
    def positions(self) -> torch.Tensor:
        """The place of each column's token in its chat, [batch, width]."""
        return (self.mask.cumsum(-1) - 1).clamp(min=0)


@torch.no_grad()
def write_batch(
    model: Model,
    batch: Batch,
    cache: PreallocatedCache,
    choose: Choose = likeliest,
    decided: Decided | None = None,
) -> list[tuple[int, ...]]:
    """The new tokens of each row, the stop token included where there is one; the cache holds the shared columns."""
    applied, new, (rows, width), device = batch.applied, batch.new, batch.ids.shape, batch.ids.device
    stops = torch.tensor(sorted(model.stop_ids), device=device)
    written = torch.full((rows, new), -1, dtype=torch.long, device=device)
    alive = torch.arange(rows, device=device)
    done = torch.zeros(rows, dtype=torch.bool, device=device)
    at, full = batch.positions[:, batch.shared :], batch.mask
    logits = _read_prompt(model, batch, cache)
    for t in range(new):
        token = choose(logits, alive, t)
        written[alive[~done], t] = token[~done]
        done = done | torch.isin(token, stops)
        if decided is not None and (t + 1) % _ASKED_EVERY == 0:
            done = done | _settled(model, written[alive], decided)
        if t + 1 == new or bool(done.all()):
            break
        applied.cursor, at = width + t, at[:, -1:] + 1
        full = torch.cat([full, full.new_ones(len(full), 1)], dim=1)
        if int(done.sum()) * 4 >= len(done):
            keep = (~done).nonzero().flatten()
            cache.keep(keep)
            applied.keep(keep)
            token, at, full, alive, done = token[keep], at[keep], full[keep], alive[keep], done[keep]
        logits = _next_logits(model, token[:, None], full, at, cache, t + 1)
    return [tuple(i for i in row if i >= 0) for row in written.tolist()]


def _settled(model: Model, written: torch.Tensor, decided: Decided) -> torch.Tensor:
    """Which rows nothing more is asked of, [batch], bool, from their tokens so far, [batch, step], -1 where none."""
    texts = (model.tokenizer.decode([i for i in row if i >= 0], skip_special_tokens=True) for row in written.tolist())
    return torch.tensor([decided(text) for text in texts], device=written.device)


def _read_prompt(model: Model, batch: Batch, cache: PreallocatedCache) -> torch.Tensor:
    """Logits of each row's first new token. Layers below the first edited one read each distinct prompt once."""
    ids, mask, positions = batch.ids[:, batch.shared :], batch.mask, batch.positions[:, batch.shared :]
    batch.applied.cursor = batch.shared
    layer = batch.applied.first_layer
    if batch.shared or batch.watched or layer == 0:
        return _next_logits(model, ids, mask, positions, cache, 0)
    first, where = distinct(torch.cat([ids, mask], dim=1))
    if len(first) == len(ids):
        return _next_logits(model, ids, mask, positions, cache, 0)
    with spread_from(model.hf, layer, where):
        logits = _next_logits(model, ids[first], mask[first], positions[first], cache, 0)
    cache.keep(where, layers=layer)
    return logits


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
    first, where = distinct(torch.cat([ids, mask], dim=1))
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
