"""Steers at work: compiled for a batch, hooked into the plain module or into the bridge.

A batch may hold a different Steer in every row, so that a whole grid of conditions runs as a few large batches.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from workbench.layout import writing
from workbench.models import Model
from workbench.positions import Positions
from workbench.sites import Site
from workbench.steering import Edit, Steer, check


@dataclass
class _Slot:
    """The k-th edit of every row at one site: vectors, and the tokens they act on. Rows without one have no tokens."""

    operation: str
    vectors: torch.Tensor  # [batch, width]: coef * v to add, or the unit vector to ablate
    mask: torch.Tensor  # [batch, column] of the padded prompt and the longest response


class Applied:
    """Steers of one batch, compiled for a left-padded layout. ``cursor`` is the column of the next forward pass.

    The layout is columns, but what is edited is decided per token: prompt tokens by their place in the prompt, response
    tokens by their place in the response. A cached step of one token and a full pass over the text so mean the same.
    """

    def __init__(self, steers: Sequence[Steer], prompt_lengths: Sequence[int], width: int, new: int, model: Model):
        self.cursor = 0
        self._slots: dict[Site, list[_Slot]] = {}
        layout = _Layout(prompt_lengths, width, new)
        by_slot: dict[tuple[Site, int, str], list[tuple[int, Edit]]] = {}
        for row, steer in enumerate(steers):
            seen: dict[Site, int] = {}
            for edit in steer.effective:
                rank = seen[edit.site] = seen.get(edit.site, -1) + 1
                by_slot.setdefault((edit.site, rank, edit.operation), []).append((row, edit))
        for (site, _, operation), entries in sorted(by_slot.items(), key=lambda item: item[0]):
            slot = _slot(operation, entries, len(steers), layout, model)
            self._slots.setdefault(site, []).append(slot)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites that any row writes to."""
        return tuple(self._slots)

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only these rows of the batch, [n], int64."""
        for slots in self._slots.values():
            for slot in slots:
                slot.vectors, slot.mask = slot.vectors[rows], slot.mask[rows]

    def delta(self, site: Site, x: torch.Tensor) -> torch.Tensor | None:
        """What to add to the activations [batch, pos, width] of the columns from ``cursor`` on; None for nothing."""
        total = None
        for slot in self._slots[site]:
            mask = slot.mask[:, self.cursor : self.cursor + x.shape[1]]
            if not mask.any():
                continue
            h = x if total is None else x + total
            change = _change(slot, mask.to(x.device), h)
            total = change if total is None else total + change
        return total

    @contextmanager
    def hooked(self, model: Model) -> Iterator[None]:
        """Steer every forward pass of the plain module inside; no hook outlives the block, whatever happens in it."""
        with ExitStack() as hooks:
            for site in self._slots:
                hooks.enter_context(writing(model.hf, site, partial(self.delta, site)))
            yield


@dataclass(frozen=True)
class _Layout:
    """A left-padded batch: prompts end at column ``width``, responses follow for ``new`` columns."""

    prompt_lengths: Sequence[int]
    width: int
    new: int

    def mask(self, row: int, on: Positions) -> np.ndarray:
        length = self.prompt_lengths[row]
        on.check_prompt_length(length)
        columns = np.zeros(self.width + self.new, dtype=bool)
        columns[self.width - length :] = on.mask(length, length + self.new)
        return columns


def _slot(operation: str, entries: list[tuple[int, Edit]], batch: int, layout: _Layout, model: Model) -> _Slot:
    width = len(entries[0][1].direction.vector)
    vectors = torch.zeros(batch, width, dtype=torch.float32)
    mask = np.zeros((batch, layout.width + layout.new), dtype=bool)
    for row, edit in entries:
        vector = edit.direction.vector
        vectors[row] = edit.coef * vector if operation == "add" else vector / edit.direction.norm
        mask[row] = layout.mask(row, edit.on)
    dtype = model.dtype if operation == "add" or model.dtype == torch.float64 else torch.float32
    return _Slot(operation, vectors.to(model.device, dtype), torch.from_numpy(mask).to(model.device))


def _change(slot: _Slot, mask: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    vectors = slot.vectors.to(h.device)[:, None, :]
    if slot.operation == "add":
        return mask[..., None] * vectors
    along = (h.to(vectors.dtype) * vectors).sum(-1, keepdim=True)
    return (-(along * mask[..., None]) * vectors).to(h.dtype)


@contextmanager
def steered(model: Model, steer: Steer, prompt_length: int, max_length: int = 4096) -> Iterator[Any]:
    """Steer the bridge of a model for interactive work, e.g. inside a notebook with hooks of one's own.

    Inside, ``model.bridge`` is steered on full, unpadded forward passes over one chat whose first ``prompt_length``
    tokens are the prompt. Raises WorkbenchError as ``check`` does.

    >>> with steered(model, spec, prompt_length=31): model.bridge(tokens)  # doctest: +SKIP
    """
    check(steer, model)
    applied = Applied([steer], [prompt_length], prompt_length, max_length, model)

    hooks = [hook for site in applied.sites for hook in _bridge_hooks(site, applied)]
    with model.bridge.hooks(fwd_hooks=hooks):
        yield model.bridge


def _bridge_hooks(site: Site, applied: Applied) -> list[tuple[str, Callable]]:
    """Hooks on the bridge that write one site. Its hook_resid_mid is the input of the MLP's norm alone, not the stream."""
    before: list[torch.Tensor] = []

    def write(x: torch.Tensor, hook: Any) -> torch.Tensor | None:
        flat = x.reshape(*x.shape[:2], -1)
        change = applied.delta(site, flat if site.kind != "resid_mid" else before[0] + flat)
        return None if change is None else (flat + change).reshape(x.shape)

    def remember(x: torch.Tensor, hook: Any) -> None:
        before[:] = [x]

    if site.kind == "resid_mid":
        return [(f"blocks.{site.layer}.hook_resid_pre", remember), (f"blocks.{site.layer}.hook_attn_out", write)]
    return [(str(site), write)]
