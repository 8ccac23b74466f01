"""Steers at work: compiled for a batch, hooked into the plain module or into the bridge.

A batch may hold a different Steer in every row, so that a whole grid of conditions runs as a few large batches.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from workbench.edits import Edit, Steer
from workbench.layout import reading, writing
from workbench.models import Model
from workbench.sites import Site
from workbench.slots import Gate, Layout, Slot, change_of, compiled
from workbench.steering import check


class Applied:
    """Steers of one batch, compiled for a left-padded layout.

    The layout is columns, but what is edited is decided per token: prompt tokens by their place in the prompt, response
    tokens by their place in the response. A cached step of one token and a full pass over the text so mean the same.

    Attributes:
        prompt_lengths, width, new: the layout: prompts end at column ``width``, responses follow for ``new`` columns.
        cursor: the column at which the next forward pass begins.
        rows: which rows of the batch are still in it, [n], int64.
        edited: with ``record``, which tokens were edited, gates considered: [batch, column], bool.
    """

    def __init__(
        self,
        steers: Sequence[Steer],
        prompt_lengths: Sequence[int],
        width: int,
        new: int,
        model: Model,
        record: bool = False,
    ):
        self.prompt_lengths, self.width, self.new = tuple(prompt_lengths), width, new
        self.cursor = 0
        self.rows = torch.arange(len(steers))
        self.edited = torch.zeros(len(steers), width + new, dtype=torch.bool) if record else None
        self._slots: dict[Site, dict[tuple, Slot]] = {}  # by rank, operation and kind of gate
        layout = Layout(prompt_lengths, width, new)
        by_slot: dict[tuple, list[tuple[int, Edit]]] = {}
        for row, steer in enumerate(steers):
            seen: dict[Site, int] = {}
            for edit in steer.effective:
                rank = seen[edit.site] = seen.get(edit.site, -1) + 1
                gate = edit.condition
                kind = "" if gate is None else f"{gate.direction.site} {gate.read is None}"
                by_slot.setdefault((edit.site, rank, edit.operation, kind), []).append((row, edit))
        for (site, *key), entries in sorted(by_slot.items(), key=lambda item: item[0]):
            self._slots.setdefault(site, {})[tuple(key)] = compiled(entries, len(steers), layout, model)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites that any row writes to."""
        return tuple(self._slots)

    @property
    def gates(self) -> list[Gate]:
        """Gates that read another site than the one their edit writes to."""
        found = [(site, slot.gate) for site, slots in self._slots.items() for slot in slots.values()]
        return [gate for site, gate in found if gate is not None and gate.site != site]

    @property
    def first_layer(self) -> int:
        """The lowest layer at which any row is written to or read by a gate; 0 if there is none."""
        return min((site.layer for site in [*self._slots, *(gate.site for gate in self.gates)]), default=0)

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only these rows of the batch, [n], int64."""
        self.rows = self.rows[rows.to(self.rows.device)]
        for slot in self._all_slots():
            slot.keep(rows)

    def align(self, column: int, width: int, columns: int) -> None:
        """Move the layout such that the token at ``column`` comes to ``width``, in a layout of ``columns``."""
        for slot in self._all_slots():
            slot.align(column - width, columns)
        self.cursor = width

    def join(self, other: "Applied") -> None:
        """Take in the rows of another batch, after its own; both are aligned to the same column before."""
        n, m = len(self.rows), len(other.rows)
        for site in {**self._slots, **other._slots}:
            mine, theirs = self._slots.setdefault(site, {}), other._slots.get(site, {})
            for key in {**mine, **theirs}:
                slot = mine[key] if key in mine else theirs[key].blank(n)
                slot.join(theirs[key] if key in theirs else slot.blank(m))
                mine[key] = slot
            self._slots[site] = dict(sorted(mine.items()))
        self.rows = torch.arange(n + m)

    def _all_slots(self) -> list[Slot]:
        return [slot for slots in self._slots.values() for slot in slots.values()]

    def delta(self, site: Site, x: torch.Tensor) -> torch.Tensor | None:
        """What to add to the activations [batch, pos, width] of the columns from ``cursor`` on; None for nothing."""
        total = None
        for slot in self._slots[site].values():
            h = x if total is None else x + total
            if slot.gate is not None and slot.gate.site == site:
                slot.gate.see(h, self.cursor)
            mask = slot.mask[:, self.cursor : self.cursor + x.shape[1]]
            if not mask.any():
                continue
            if slot.gate is not None:
                mask = mask & slot.gate.open().to(mask.device)
            if self.edited is not None:
                self.edited[self.rows, self.cursor : self.cursor + x.shape[1]] |= mask.cpu()
            change = change_of(slot, mask.to(x.device), h)
            total = change if total is None else total + change
        return total

    def observe(self, gate: Gate, x: torch.Tensor) -> None:
        """Show a gate the activations [batch, pos, width] at its site."""
        gate.see(x, self.cursor)

    @contextmanager
    def hooked(self, model: Model) -> Iterator[None]:
        """Steer every forward pass of the plain module inside; no hook outlives the block, whatever happens in it."""
        with ExitStack() as hooks:
            for site in self._slots:
                hooks.enter_context(writing(model.hf, site, partial(self.delta, site)))
            for gate in self.gates:  # after the writers: a gate sees the steered stream
                hooks.enter_context(reading(model.hf, gate.site, partial(self.observe, gate)))
            yield


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
    hooks += [(str(gate.site), _bridge_gate(gate, applied)) for gate in applied.gates]
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


def _bridge_gate(gate: Gate, applied: Applied) -> Callable:
    def see(x: torch.Tensor, hook: Any) -> None:
        applied.observe(gate, x.reshape(*x.shape[:2], -1))

    return see
