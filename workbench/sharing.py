"""Rows that have the same prompt and are first edited at a high layer: below it they are the same, so they are read once."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from workbench.layout import blocks

#: What a block is told per row, beside the activations.
_PER_ROW = ("attention_mask", "position_embeddings", "position_ids")


def distinct(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each distinct row first occurs, [distinct], and which of them each row is, [batch], of rows [batch, any]."""
    found, where = rows.unique(dim=0, return_inverse=True)
    first = torch.full((len(found),), len(rows), dtype=torch.long, device=rows.device)
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
