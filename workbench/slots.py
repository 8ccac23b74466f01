"""The edits of a batch at one site, compiled: which vector, on which tokens of which row, and when a gate is open."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from workbench.edits import Edit
from workbench.models import Model
from workbench.positions import Positions
from workbench.sites import Site


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
