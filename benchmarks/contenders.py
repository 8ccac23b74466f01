"""The ways of running a grid that are compared: each takes cells and gives the new tokens of every row, in the cells' order.

A cell is one condition as a script would run it: a batch of prompts under one Steer of a single addition at ``resid_post``.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

import workbench as wb
from workbench.models.model import Model

Tokens = list[tuple[int, ...]]


@dataclass(frozen=True)
class Cell:
    """One side of the prompts under one arm."""

    side: str
    prompts: wb.Prompts
    arm: wb.Arm

    @property
    def change(self) -> tuple[int, torch.Tensor]:
        """Layer, and what is added to its output; nothing at layer 0 for the baseline."""
        if not self.arm.steer.edits:
            return 0, torch.zeros(())
        (edit,) = self.arm.steer.edits
        return edit.site.layer, edit.coef * edit.direction.vector


def swept(model: Model, cells: Sequence[Cell], new: int, stop: str = "end"):
    """All cells in one sweep into a new store, scored; the rows of the sweep."""
    sets = {cell.side: cell.prompts for cell in cells}
    arms = list({cell.arm: None for cell in cells})
    with tempfile.TemporaryDirectory() as store:
        return wb.sweep(model, sets, arms, [wb.refusal], store, max_new_tokens=new, stop=stop)


def packed(model: Model, cells: Sequence[Cell], new: int) -> Tokens:
    """All cells as rows of common batches, without store and scores; for the comparison of tokens."""
    prompts = [prompt for cell in cells for prompt in cell.prompts]
    steers = [cell.arm.steer for cell in cells for _ in cell.prompts]
    return list(wb.generate(model, prompts, steers, max_new_tokens=new, progress=False).token_ids)


def hooked(model: Model, cells: Sequence[Cell], new: int) -> Tokens:
    """transformers' generate with a forward hook, a batch per cell."""
    found: Tokens = []
    for cell in cells:
        layer, added = cell.change
        added = added.to(model.dtype)
        block = model.hf.model.layers[layer]
        handle = block.register_forward_hook(lambda _, __, output, added=added: output + added)
        try:
            with as_shipped(model.hf):
                found += _generate(model, model.hf.generate, cell.prompts, new)
        finally:
            handle.remove()
    return found


@contextmanager
def as_shipped(hf: Any) -> Iterator[None]:
    """Inside, the head reads what transformers gives it, slow slices too: without the hook of ``workbench.plain``."""
    hooks = hf.get_output_embeddings()._forward_pre_hooks
    ours = dict(hooks)
    hooks.clear()
    try:
        yield
    finally:
        hooks.update(ours)


def bridged(model: Model, cells: Sequence[Cell], new: int, batch: int = 40) -> Tokens:
    """TransformerBridge.generate with a hook, a batch per cell, or one prompt at a time."""
    found: Tokens = []
    for cell in cells:
        layer, added = cell.change
        added = added.to(model.dtype)
        with model.bridge.hooks(fwd_hooks=[(str(wb.resid_post(layer)), lambda x, hook, added=added: x + added)]):
            for start in range(0, len(cell.prompts), batch):
                found += _bridge_generate(model, cell.prompts[start : start + batch], new)
    return found


def _bridge_generate(model: Model, prompts: wb.Prompts, new: int) -> Tokens:
    ids, mask = model.encode(prompts).padded()
    out = model.bridge.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=new,
        do_sample=False,
        prepend_bos=False,
        verbose=False,
        return_type="tokens",
    )
    return [cut(row, model.stop_ids) for row in out[:, ids.shape[1] :].tolist()]


def _generate(model: Model, generate, prompts: wb.Prompts, new: int) -> Tokens:
    ids, mask = model.encode(prompts).padded()
    out = generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=sorted(model.stop_ids),
        pad_token_id=model.tokenizer.pad_token_id,
    )
    return [cut(row, model.stop_ids) for row in out[:, ids.shape[1] :].tolist()]


def cut(row: list[int], stops) -> tuple[int, ...]:
    """A row up to its stop token."""
    ends = [i for i, token in enumerate(row) if token in stops]
    return tuple(row[: ends[0] + 1] if ends else row)
