"""How keys and values are cached: in place, since growing a cache by concatenation costs a quarter of each decoding step.

Rows that have the same prompt and are first edited at a high layer are the same below it, and are read once there.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from workbench.models.hooks import blocks


class _PreallocatedLayer(DynamicLayer):
    """Keys and values of one layer in buffers that are written in place, [batch, head, capacity, width]."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, capacity: int):
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple:
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.keys, self.values = (self._buffer(states) for states in (key_states, value_states))
            self.is_initialized = True
        end = self.length + key_states.shape[-2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def _buffer(self, states: torch.Tensor) -> torch.Tensor:
        batch, heads, _, width = states.shape
        return states.new_zeros(batch, heads, self.capacity, width)

    def get_seq_length(self) -> int:
        return self.length

    def keep(self, rows: torch.Tensor) -> None:
        chosen = rows.to(self.keys.device)
        self.keys, self.values = self.keys[chosen], self.values[chosen]

    def join(self, other: "_PreallocatedLayer", width: int, capacity: int) -> None:
        self.capacity = capacity
        for name in ("keys", "values"):
            mine, theirs = getattr(self, name), getattr(other, name)
            joined = mine.new_zeros(len(mine) + len(theirs), mine.shape[1], capacity, mine.shape[3])
            for rows, states, length in (
                (slice(len(mine)), mine, self.length),
                (slice(len(mine), None), theirs, other.length),
            ):
                kept = states[:, :, max(length - width, 0) : length]
                joined[rows, :, width - kept.shape[2] : width] = kept
            setattr(self, name, joined)
        self.length = width


class PreallocatedCache(Cache):
    """A KV cache with room for ``capacity`` tokens per row. Sliding layers keep all tokens; the mask does the sliding."""

    def __init__(self, n_layers: int, capacity: int):
        self.stack = [_PreallocatedLayer(capacity) for _ in range(n_layers)]
        super().__init__(layers=list(self.stack))

    def keep(self, rows: torch.Tensor, layers: int | None = None) -> None:
        """Keep, or repeat, these rows of the batch, [n], int64; in the first so many layers only, if told."""
        for layer in self.stack[:layers]:
            layer.keep(rows)

    def join(self, other: "PreallocatedCache", width: int, capacity: int) -> None:
        """Take in the rows of another cache, after its own; the last token of all rows comes to end at ``width``."""
        for mine, theirs in zip(self.stack, other.stack, strict=True):
            mine.join(theirs, width, capacity)


#: What a block is told per row, beside the activations.
_PER_ROW = ("attention_mask", "position_embeddings", "position_ids")


def distinct(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each distinct row first occurs, [distinct], and which of them each row is, [batch], of rows [batch, any]."""
    different, where = rows.unique(dim=0, return_inverse=True)
    first = torch.full((len(different),), len(rows), dtype=torch.long, device=rows.device)
    first.scatter_reduce_(0, where, torch.arange(len(where), device=rows.device), "amin")
    return first, where


@contextmanager
def spread_from(hf: Any, layer: int, where: torch.Tensor) -> Iterator[None]:
    """Inside, a forward pass over distinct rows becomes one over all rows at a block: row i is distinct row ``where[i]``.

    Hooks that write or read at the block or above it see all rows, those below it the distinct ones.
    """
    with ExitStack() as hooks:
        for block in blocks(hf)[layer:]:
            spread = partial(_spread, where, block is blocks(hf)[layer])
            handle = block.register_forward_pre_hook(spread, with_kwargs=True, prepend=True)
            hooks.callback(handle.remove)
        yield


def _spread(where: torch.Tensor, entering: bool, _: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    n = int(where.max()) + 1
    told = {name: _rows(kwargs[name], where, n) for name in _PER_ROW if name in kwargs}
    if entering and args:
        args = (_rows(args[0], where, n), *args[1:])
    elif entering:
        told["hidden_states"] = _rows(kwargs["hidden_states"], where, n)
    return args, kwargs | told


def _rows(value: Any, where: torch.Tensor, n: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_rows(part, where, n) for part in value)
    return value[where.to(value.device)] if isinstance(value, torch.Tensor) and len(value) == n else value
