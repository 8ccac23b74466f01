"""One batch of prompts on the plain module, its shared columns and layers read once; and what comes next after any token."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workbench.applying import Applied
from workbench.caching import PreallocatedCache
from workbench.edits import Steer
from workbench.models import Encoded, Model
from workbench.sharing import distinct, spread_from


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
def read_prompt(model: Model, batch: Batch, cache: PreallocatedCache) -> torch.Tensor:
    """Logits of each row's first new token. Layers below the first edited one read each distinct prompt once."""
    ids, mask, positions = batch.ids[:, batch.shared :], batch.mask, batch.positions[:, batch.shared :]
    batch.applied.cursor = batch.shared
    layer = batch.applied.first_layer
    if batch.shared or batch.watched or layer == 0:
        return next_logits(model, ids, mask, positions, cache)
    first, where = distinct(torch.cat([ids, mask], dim=1))
    if len(first) == len(ids):
        return next_logits(model, ids, mask, positions, cache)
    with spread_from(model.hf, layer, where):
        logits = next_logits(model, ids[first], mask[first], positions[first], cache)
    cache.keep(where, layers=layer)
    return logits


def next_logits(
    model: Model, step: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: PreallocatedCache
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
    if logits.sum().isnan():  # one number: looking at each logit took a thirtieth of a step
        raise FloatingPointError(f"{model.name} returned NaN logits at column {mask.shape[1]}, in {model.dtype}")
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
