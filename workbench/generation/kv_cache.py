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
    """Keys and values of one layer in a buffer that is written in place, [batch, capacity, key or value, head, width].

    All that a step adds to a row lies together. With heads before the columns, as transformers has them, a step writes a place
    of its own for every head, key and value of a row, which takes twice as long for 256 rows.
    """

    keys: torch.Tensor  # views of the buffer, [batch, head, capacity, width]
    values: torch.Tensor

    def __init__(self, capacity: int):
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def hold(self, buffer: torch.Tensor) -> None:
        """Take this buffer as one's own."""
        self.buffer, self.dtype, self.device, self.is_initialized = buffer, buffer.dtype, buffer.device, True
        self.keys, self.values = (buffer[:, :, part].transpose(1, 2) for part in (0, 1))

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple:
        batch, heads, new, width = key_states.shape
        if not self.is_initialized:
            self.hold(key_states.new_zeros(batch, self.capacity, 2, heads, width))
        end = self.length + new
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        return self.length

    def keep(self, rows: torch.Tensor) -> None:
        self.hold(self.buffer[rows.to(self.buffer.device)])

    def join(self, other: "_PreallocatedLayer", width: int, capacity: int) -> None:
        n, m = len(self.buffer), len(other.buffer)
        joined = self.buffer.new_zeros(n + m, capacity, *self.buffer.shape[2:])
        for rows, part in ((slice(n), self), (slice(n, None), other)):
            kept = part.buffer[:, max(part.length - width, 0) : part.length]
            joined[rows, width - kept.shape[1] : width] = kept
        self.hold(joined)
        self.capacity, self.length = capacity, width


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
