"""Steers at work: compiled for a batch, hooked into the plain module or into the bridge.

A batch may hold a different Steer in every row, so that a whole grid of conditions runs as a few large batches.

The edits of a batch at one site, compiled: which vector, on which tokens of which row, and when a gate is open.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from workbench._errors import WorkbenchError
from workbench.models.hooks import reading, writing
from workbench.models.model import Model
from workbench.steering.directions import Direction
from workbench.steering.positions import Positions
from workbench.steering.sites import Site, check_layer
from workbench.steering.steer import Edit, Steer


def check(steer: Steer, model: Model) -> None:
    """Refuse, before any compute, a Steer that does not fit the model.

    Raises:
        WorkbenchError: a layer the model does not have, a vector of the wrong width or of another model, or positions that
            depend on where the response ends.
    """
    for edit in steer.edits:
        check_direction(edit.direction, edit.site, model)
        if edit.condition is not None:
            check_direction(edit.condition.direction, edit.condition.direction.site, model)
        if edit.on.needs_end():
            raise WorkbenchError(
                f"{edit.on} depends on where the response ends, which is unknown while it is being written; "
                "count from the start, e.g. response[:5]"
            )


def check_direction(direction: Direction, site: Site, model: Model) -> None:
    """Refuse a direction that does not belong to a site of the model.

    Raises:
        WorkbenchError: as ``check``.
    """
    check_layer(site, model.n_layers, model.name)
    width, expected = len(direction.vector), site_width(model, site)
    if width != expected:
        raise WorkbenchError(
            f"the direction has {width} dimensions but {site!r} of {model.name} has {expected}; "
            f"it was read from {direction.model}"
        )
    same_weights = not direction.revision or not model.revision or direction.revision == model.revision
    if direction.model != model.name or not same_weights:
        raise WorkbenchError(
            f"the direction was read from {direction.model} {direction.revision}, but the model is {model.name} "
            f"{model.revision}; if that is what you mean, write d.transfer(model.name, model.revision)"
        )


def site_width(model: Model, site: Site) -> int:
    """Width of the activations at a site: d_model, or heads times head width for q, k, v and z."""
    config = model.hf.config.get_text_config()
    if site.kind not in ("q", "k", "v", "z"):
        return model.d_model
    heads = config.num_attention_heads if site.kind in ("q", "z") else config.num_key_value_heads
    return heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def first_edited(steer: Steer, prompt_length: int) -> int:
    """The first token, counted from the start of the prompt, that a Steer may edit or that a gate reads.

    ``prompt_length`` if there is none in the prompt.
    """
    chosen = [edit.on.mask(prompt_length, prompt_length) for edit in steer.effective]
    gates = [edit.condition.read for edit in steer.effective if edit.condition is not None]
    chosen += [read.mask(prompt_length, prompt_length) for read in gates if read is not None]
    marked = np.any(chosen, axis=0) if chosen else np.zeros(prompt_length, dtype=bool)
    return int(marked.argmax()) if marked.any() else prompt_length


@dataclass(frozen=True)
class Layout:
    """A left-padded batch: prompts end at column ``width``, responses follow for ``new`` columns."""

    prompt_lengths: Sequence[int]
    width: int
    new: int

    def mask(self, row: int, on: Positions) -> np.ndarray:
        """The columns of the tokens that are meant in a row, [column], bool."""
        length = self.prompt_lengths[row]
        on.check_prompt_length(length)
        columns = np.zeros(self.width + self.new, dtype=bool)
        columns[self.width - length :] = on.mask(length, length + self.new)
        return columns


@dataclass
class Gate:
    """Conditions of a batch at one site: open per token by its own projection, or per row by a mean over its prompt."""

    site: Site
    units: torch.Tensor  # [batch, width]
    above: torch.Tensor  # [batch]
    below: torch.Tensor  # [batch]
    columns: torch.Tensor | None  # [batch, column]: which tokens a row's mean is over; None gates per token
    total: torch.Tensor  # [batch], float64
    count: torch.Tensor  # [batch], int64
    latest: torch.Tensor  # [batch, pos]: projections of the forward pass that is running

    def see(self, x: torch.Tensor, cursor: int) -> None:
        """Read the activations [batch, pos, width] of the columns from ``cursor`` on."""
        self.latest = (x.to(self.units.dtype) * self.units.to(x.device)[:, None, :]).sum(-1)
        if self.columns is not None:
            chosen = self.columns[:, cursor : cursor + x.shape[1]]
            self.total += torch.where(chosen, self.latest.to(chosen.device, torch.float64), 0.0).sum(1)
            self.count += chosen.sum(1)

    def open(self) -> torch.Tensor:
        """[batch, pos or 1], bool."""
        value = self.latest if self.columns is None else (self.total / self.count)[:, None]
        return (value > self.above.to(value)[:, None]) & (value < self.below.to(value)[:, None])

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only these rows, [n], int64."""
        for name in ("units", "above", "below", "total", "count", "latest"):
            setattr(self, name, getattr(self, name)[rows])
        self.columns = None if self.columns is None else self.columns[rows]

    def align(self, shift: int, columns: int) -> None:
        """Move the columns left by ``shift``, into so many of them."""
        self.columns = None if self.columns is None else _shifted(self.columns, shift, columns)

    def join(self, other: "Gate") -> None:
        """Take in the rows of another one, after its own."""
        for name in ("units", "above", "below", "total", "count"):
            setattr(self, name, torch.cat([getattr(self, name), getattr(other, name)]))
        if self.columns is not None and other.columns is not None:
            self.columns = torch.cat([self.columns, other.columns])
        self.latest = self.latest.new_zeros(len(self.total), 0)

    def blank(self, rows: int, columns: int) -> "Gate":
        """The same gate for so many rows that have none: closed."""
        return replace(
            self,
            units=self.units.new_zeros(rows, self.units.shape[1]),
            above=self.above.new_full((rows,), torch.inf),
            below=self.below.new_full((rows,), -torch.inf),
            columns=None if self.columns is None else self.columns.new_zeros(rows, columns),
            total=self.total.new_zeros(rows),
            count=self.count.new_zeros(rows),
            latest=self.latest.new_zeros(rows, 0),
        )


@dataclass
class Slot:
    """The k-th edit of every row at one site: vectors, and the tokens they act on. Rows without one have no tokens."""

    operation: str
    vectors: torch.Tensor  # [batch, width]: coef * v to add, or the unit vector to ablate or clamp
    mask: torch.Tensor  # [batch, column] of the padded prompt and the longest response
    low: torch.Tensor  # [batch]
    high: torch.Tensor  # [batch]
    gate: Gate | None

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only these rows, [n], int64."""
        for name in ("vectors", "mask", "low", "high"):
            setattr(self, name, getattr(self, name)[rows])
        if self.gate is not None:
            self.gate.keep(rows)

    def align(self, shift: int, columns: int) -> None:
        """Move the columns left by ``shift``, into so many of them."""
        self.mask = _shifted(self.mask, shift, columns)
        if self.gate is not None:
            self.gate.align(shift, columns)

    def join(self, other: "Slot") -> None:
        """Take in the rows of another one, after its own."""
        for name in ("vectors", "mask", "low", "high"):
            setattr(self, name, torch.cat([getattr(self, name), getattr(other, name)]))
        if self.gate is not None and other.gate is not None:
            self.gate.join(other.gate)

    def blank(self, rows: int) -> "Slot":
        """The same edit for so many rows that have none: no token is edited."""
        columns = self.mask.shape[1]
        return Slot(
            self.operation,
            self.vectors.new_zeros(rows, self.vectors.shape[1]),
            self.mask.new_zeros(rows, columns),
            self.low.new_zeros(rows),
            self.high.new_zeros(rows),
            None if self.gate is None else self.gate.blank(rows, columns),
        )


def _shifted(columns: torch.Tensor, shift: int, width: int) -> torch.Tensor:
    """[row, column] moved left by ``shift`` (right if negative) into ``width`` columns; False where nothing was."""
    kept = columns[:, max(shift, 0) : shift + width]
    return torch.nn.functional.pad(kept, (start := max(-shift, 0), width - start - kept.shape[1]))


def compiled(entries: list[tuple[int, Edit]], batch: int, layout: Layout, model: Model) -> Slot:
    """The edits of some rows at one site, all of one operation and one kind of condition."""
    operation = entries[0][1].operation
    vectors = torch.zeros(batch, len(entries[0][1].direction.vector), dtype=torch.float32)
    mask = np.zeros((batch, layout.width + layout.new), dtype=bool)
    low, high = torch.full((batch,), -torch.inf), torch.full((batch,), torch.inf)
    for row, edit in entries:
        vector = edit.direction.vector
        vectors[row] = edit.coef * vector if operation == "add" else vector / edit.direction.norm
        mask[row] = layout.mask(row, edit.on)
        low[row], high[row] = edit.low, edit.high
    dtype = model.dtype if operation == "add" else _precise(model)
    gate = None if entries[0][1].condition is None else _gate(entries, batch, layout, model)
    place = model.device
    return Slot(
        operation, vectors.to(place, dtype), torch.from_numpy(mask).to(place), low.to(place), high.to(place), gate
    )


def _gate(entries: list[tuple[int, Edit]], batch: int, layout: Layout, model: Model) -> Gate:
    conditions = [(row, edit.condition) for row, edit in entries if edit.condition is not None]
    first = conditions[0][1]
    units = torch.zeros(batch, len(first.direction.vector))
    above, below = torch.full((batch,), torch.inf), torch.full((batch,), -torch.inf)
    columns = np.zeros((batch, layout.width + layout.new), dtype=bool)
    for row, condition in conditions:
        units[row] = condition.direction.vector / condition.direction.norm
        above[row], below[row] = condition.above, condition.below
        if condition.read is not None:
            columns[row] = layout.mask(row, condition.read)
    place = model.device
    return Gate(
        first.direction.site,
        units.to(place, _precise(model)),
        above.to(place),
        below.to(place),
        None if first.read is None else torch.from_numpy(columns).to(place),
        torch.zeros(batch, dtype=torch.float64, device=place),
        torch.zeros(batch, dtype=torch.long, device=place),
        torch.zeros(batch, 0, device=place),
    )


def _precise(model: Model) -> torch.dtype:
    """What projections are computed in: float32, or float64 for a model in float64."""
    return torch.float64 if model.dtype == torch.float64 else torch.float32


def change_of(slot: Slot, mask: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """What a slot adds to the activations [batch, pos, width] of the tokens in the mask [batch, pos]."""
    vectors = slot.vectors.to(h.device)[:, None, :]
    if slot.operation == "add":
        return mask[..., None] * vectors
    along = (h.to(vectors.dtype) * vectors).sum(-1, keepdim=True)
    if slot.operation == "ablate":
        return (-(along * mask[..., None]) * vectors).to(h.dtype)
    low, high = (bound.to(along)[:, None, None] for bound in (slot.low, slot.high))
    moved = torch.minimum(torch.maximum(along, low), high) - along
    return (moved * mask[..., None] * vectors).to(h.dtype)


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
