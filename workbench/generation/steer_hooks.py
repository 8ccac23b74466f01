"""How a Steer is put on a running model: checked, compiled for a batch, and hooked into the plain module or the bridge.

A batch may hold a different Steer in every row, so that a whole grid of conditions runs as a few large batches. Hooks belong
to the model and not to a thread, so one thread at a time has a model: ``alone``.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from workbench._errors import WorkbenchError
from workbench.models.hooks import reading, writing
from workbench.models.identity import known_revision, revision_now
from workbench.models.model import Model
from workbench.steering.directions import Direction
from workbench.steering.positions import Positions
from workbench.steering.sites import Site, check_layer
from workbench.steering.steer import OPERATIONS, Edit, Steer

#: One lock per model, and one for the table itself. A forked process begins with none: the threads that held them are not in it.
_LOCKS: WeakKeyDictionary[torch.nn.Module, Any] = WeakKeyDictionary()
_TABLE = threading.Lock()


def _forget_locks() -> None:
    global _TABLE
    _TABLE = threading.Lock()
    _LOCKS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


@contextmanager
def alone(model: Model) -> Iterator[None]:
    """Inside, no other thread runs the model: its pass would go through our hooks, and ours through its. Others wait.

    >>> with alone(model), alone(model):  # a thread that has the model keeps it
    ...     model.encode(["write a song"]).lengths
    (9,)
    """
    with _TABLE:
        lock = _LOCKS.setdefault(model.hf, threading.RLock())
    with lock:
        yield


def check_model(model: object) -> None:
    """Refuse what is no loaded model, e.g. its name; and see whether the weights of one were edited since."""
    if not isinstance(model, Model):
        example = f"wb.load({model!r})" if isinstance(model, str) else "wb.load('smollm2-refusal')"
        raise WorkbenchError(f"expected a loaded model, e.g. {example}, not {model!r}")
    revision_now(model)


def check(steer: Steer, model: Model, revision: str | None = None) -> None:
    """Refuse, before any compute, a Steer that does not fit the model.

    ``revision`` is ``known_revision(model)``, for who checks many.

    Raises:
        WorkbenchError: a layer the model does not have, a vector of the wrong width or of another model, or positions that
            depend on where the response ends.
    """
    if not isinstance(steer, Steer):
        raise WorkbenchError(f"expected a Steer, e.g. wb.add(direction, ratio=0.3), not {steer!r}")
    revision = known_revision(model) if revision is None else revision
    for edit in steer.edits:
        check_direction(edit.direction, edit.site, model, revision)
        if edit.condition is not None:
            check_direction(edit.condition.direction, edit.condition.direction.site, model, revision)
        if edit.on.needs_end():
            raise WorkbenchError(
                f"{edit.on} depends on where the response ends, which is unknown while it is being written; "
                "count from the start, e.g. response[:5]"
            )


def check_all(steers: Iterable[Steer], model: Model) -> None:
    """Check each of these Steers once."""
    each, revision = list(steers), known_revision(model)
    for steer in set(each) if all(isinstance(steer, Steer) for steer in each) else each:
        check(steer, model, revision)


def check_positions(steers: Sequence[Steer], prompt_lengths: Sequence[int]) -> None:
    """Refuse, before any compute, a token of the prompt that some row's prompt does not have.

    And a condition on the mean over tokens of which some prompt has none: that mean is NaN, and the row would be unsteered.
    """
    for steer, length in set(zip(steers, prompt_lengths, strict=True)):
        for edit in steer.effective:
            edit.on.check_prompt_length(length)
            if edit.condition is not None and edit.condition.read is not None:
                edit.condition.read.check_prompt_length(length)
                edit.condition.read.check_covered([(length, length)])


def check_covered(steers: Sequence[Steer], prompt_lengths: Sequence[int], new: int = 0) -> None:
    """Refuse, before any compute, a span of positions that means no token of any row of a whole run.

    A part of a run may have none of the chats that a span is about, so ask this where all rows are known. A single token of
    the prompt is left to ``check_positions``, which wants it of every row.

    Args:
        steers, prompt_lengths: of each row.
        new: tokens of the longest response; 0 where no response is read, so that spans of one are nobody's mistake.
    """
    lengths: dict[Positions, set[int]] = {}
    for steer, length in set(zip(steers, prompt_lengths, strict=True)):
        for edit in steer.effective:
            lengths.setdefault(edit.on, set()).add(length)
    for on, prompts in lengths.items():
        known = tuple(span for span in on.spans if (new if span.region != "prompt" else span.index is None))
        if known:
            Positions(known).check_covered((prompt, prompt + new) for prompt in prompts)


#: more of anything is a slip, and more than memory holds
_MOST = 10_000_000


def check_sizes(**sizes: object) -> None:
    """Refuse what is no whole number from 1, by the name of the argument.

    >>> check_sizes(batch_size=8)
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise WorkbenchError(f"{name}={size!r}: expected a whole number, at least 1")
        if size > _MOST:
            raise WorkbenchError(f"{name}={size!r:.40}: expected at most {_MOST:,}")


def check_direction(direction: Direction, site: Site, model: Model, revision: str | None = None) -> None:
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
    revision = known_revision(model) if revision is None else revision
    same_weights = not direction.revision or not revision or direction.revision == revision
    if direction.model != model.name or not same_weights:
        raise WorkbenchError(
            f"the direction was read from {direction.model} {direction.revision}, but the model is {model.name} "
            f"{revision}; if that is what you mean, write d.transfer(model.name, model.revision)"
        )


def site_width(model: Model, site: Site) -> int:
    """Width of the activations at a site: d_model, or heads times head width for q, k, v and z."""
    config = model.hf.config.get_text_config()
    if site.kind not in ("q", "k", "v", "z"):
        return model.d_model
    heads = config.num_attention_heads if site.kind in ("q", "z") else config.num_key_value_heads
    return heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def first_edited(steer: Steer, prompt_length: int) -> int:
    """The first token, counted from the start of the prompt, that a Steer may edit or that a condition reads.

    ``prompt_length`` if there is none in the prompt.
    """
    chosen = [edit.on.mask(prompt_length, prompt_length) for edit in steer.effective]
    reads = [edit.condition.read for edit in steer.effective if edit.condition is not None]
    chosen += [read.mask(prompt_length, prompt_length) for read in reads if read is not None]
    marked = np.any(chosen, axis=0) if chosen else np.zeros(prompt_length, dtype=bool)
    return int(marked.argmax()) if marked.any() else prompt_length


@dataclass(frozen=True)
class Columns:
    """The columns of a left-padded batch: prompts end at column ``width``, responses follow for ``new`` columns."""

    prompt_lengths: Sequence[int]
    width: int
    new: int

    def mask(self, row: int, on: Positions) -> Bool[np.ndarray, " pos"]:
        """The columns of the tokens that are meant in a row."""
        length = self.prompt_lengths[row]
        on.check_prompt_length(length)
        columns = np.zeros(self.width + self.new, dtype=bool)
        columns[self.width - length :] = on.mask(length, length + self.new)
        return columns


class PerRow:
    """A mixin: tensors whose first axis is the rows of a batch, and which rows leave and join together.

    ``_per_row`` names them. Those in ``_columns`` have the columns of the batch as their second axis.
    """

    _per_row: ClassVar[tuple[str, ...]]
    _columns: ClassVar[tuple[str, ...]] = ()

    def keep(self, rows: Tensor) -> None:
        """Keep only these rows, [n], int64."""
        for name in self._per_row:
            setattr(self, name, getattr(self, name)[rows])

    def join(self, other: Self) -> None:
        """Take in the rows of another one, after its own."""
        for name in self._per_row:
            setattr(self, name, torch.cat([getattr(self, name), getattr(other, name)]))

    def align(self, shift: int, width: int) -> None:
        """Move the columns left by ``shift`` (right if negative), into ``width`` of them; zero where nothing was."""
        for name in self._columns:
            columns = getattr(self, name)
            kept, start = columns[:, max(shift, 0) : shift + width], max(-shift, 0)
            setattr(self, name, torch.nn.functional.pad(kept, (start, width - start - kept.shape[1])))


@dataclass
class CompiledCondition(PerRow):
    """Conditions of a batch at one site: open per token by its own projection, or per row by a mean over its prompt."""

    site: Site
    per_token: bool
    units: Float[Tensor, "batch width"]
    above: Float[Tensor, " batch"]
    below: Float[Tensor, " batch"]
    columns: Bool[Tensor, "batch pos"]  # which tokens a row's mean is over
    total: Float[Tensor, " batch"]  # float64
    count: Tensor  # [batch], int64
    latest: Tensor | None = None  # [batch, pos]: projections of the forward pass that is running

    _per_row = ("units", "above", "below", "columns", "total", "count")
    _columns = ("columns",)

    def see(self, x: Float[Tensor, "batch pos width"], cursor: int) -> None:
        """Read the activations of the columns from ``cursor`` on."""
        self.latest = (x.to(self.units.dtype) * self.units.to(x.device)[:, None, :]).sum(-1)
        if not self.per_token:
            chosen = self.columns[:, cursor : cursor + x.shape[1]]
            self.total = self.total + torch.where(chosen, self.latest.to(chosen.device, torch.float64), 0.0).sum(1)
            self.count = self.count + chosen.sum(1)

    def forget(self) -> None:
        """Begin again, with another chat."""
        self.total, self.count = torch.zeros_like(self.total[:1]), torch.zeros_like(self.count[:1])

    def open(self) -> Bool[Tensor, "batch _"]:
        """Where the edit is made: of each token, or of each row."""
        value = self.latest if self.per_token else (self.total / self.count)[:, None]
        assert value is not None
        return (value > self.above.to(value)[:, None]) & (value < self.below.to(value)[:, None])

    def blank(self, rows: int) -> "CompiledCondition":
        """The same condition for so many rows that have none: closed."""
        return replace(
            self,
            units=_zeros(self.units, rows),
            above=self.above.new_full((rows,), torch.inf),
            below=self.below.new_full((rows,), -torch.inf),
            columns=_zeros(self.columns, rows),
            total=_zeros(self.total, rows),
            count=_zeros(self.count, rows),
        )


@dataclass
class CompiledEdit(PerRow):
    """The k-th edit of every row at one site: vectors, and the tokens they act on. Rows without one have no tokens."""

    operation: str
    vectors: Float[Tensor, "batch width"]  # coef * v to add, or the unit vector that the operation moves along
    mask: Bool[Tensor, "batch pos"]  # of the padded prompt and the longest response
    low: Float[Tensor, " batch"]
    high: Float[Tensor, " batch"]
    condition: CompiledCondition | None

    _per_row = ("vectors", "mask", "low", "high")
    _columns = ("mask",)

    def blank(self, rows: int) -> "CompiledEdit":
        """The same edit for so many rows that have none: no token is edited."""
        condition = None if self.condition is None else self.condition.blank(rows)
        parts: dict[str, Any] = {name: _zeros(getattr(self, name), rows) for name in self._per_row}
        return replace(self, **parts, condition=condition)

    def change(
        self, mask: Bool[Tensor, "batch pos"], h: Float[Tensor, "batch pos width"]
    ) -> Float[Tensor, "batch pos width"]:
        """What is added to the activations of the tokens in the mask."""
        vectors = self.vectors.to(h.device)[:, None, :]
        move = OPERATIONS[self.operation].move
        if move is None:
            return mask[..., None] * vectors
        along = (h.to(vectors.dtype) * vectors).sum(-1, keepdim=True)
        low, high = (bound.to(along)[:, None, None] for bound in (self.low, self.high))
        return (move(along, low, high) * mask[..., None] * vectors).to(h.dtype)


def _zeros(tensor: Tensor, rows: int) -> Tensor:
    return tensor.new_zeros(rows, *tensor.shape[1:])


def _compile(entries: list[tuple[int, Edit]], batch: int, columns: Columns, model: Model) -> CompiledEdit:
    """The edits of some rows at one site, all of one operation and one kind of condition."""
    first = entries[0][1]
    scaled = OPERATIONS[first.operation].scaled
    vectors = torch.zeros(batch, len(first.direction.vector), dtype=torch.float32)
    mask = np.zeros((batch, columns.width + columns.new), dtype=bool)
    low, high = torch.full((batch,), -torch.inf), torch.full((batch,), torch.inf)
    for row, edit in entries:
        vector = edit.direction.vector
        vectors[row] = edit.coef * vector if scaled else vector / edit.direction.norm
        mask[row] = columns.mask(row, edit.on)
        low[row], high[row] = edit.low, edit.high
    place, dtype = model.device, model.dtype if scaled else _precise(model)
    parts = (vectors.to(place, dtype), torch.from_numpy(mask).to(place), low.to(place), high.to(place))
    condition = None if first.condition is None else _compile_conditions(entries, batch, columns, model)
    return CompiledEdit(first.operation, *parts, condition)


def _compile_conditions(
    entries: list[tuple[int, Edit]], batch: int, columns: Columns, model: Model
) -> CompiledCondition:
    conditions = [(row, edit.condition) for row, edit in entries if edit.condition is not None]
    first = conditions[0][1]
    units = torch.zeros(batch, len(first.direction.vector))
    above, below = torch.full((batch,), torch.inf), torch.full((batch,), -torch.inf)
    read = np.zeros((batch, columns.width + columns.new), dtype=bool)
    for row, condition in conditions:
        units[row] = condition.direction.vector / condition.direction.norm
        above[row], below[row] = condition.above, condition.below
        if condition.read is not None:
            read[row] = columns.mask(row, condition.read)
    place = model.device
    return CompiledCondition(
        first.direction.site,
        first.read is None,
        units.to(place, _precise(model)),
        above.to(place),
        below.to(place),
        torch.from_numpy(read).to(place),
        torch.zeros(batch, dtype=torch.float64, device=place),
        torch.zeros(batch, dtype=torch.long, device=place),
    )


def _precise(model: Model) -> torch.dtype:
    """What projections are computed in: float32, or float64 for a model in float64."""
    return torch.float64 if model.dtype == torch.float64 else torch.float32


class Applied:
    """Steers of one batch, compiled for a left-padded layout.

    The layout is columns, but what is edited is decided per token: prompt tokens by their place in the prompt, response
    tokens by their place in the response. A cached step of one token and a full pass over the text so mean the same.

    Attributes:
        prompt_lengths, width, new: the layout: prompts end at column ``width``, responses follow for ``new`` columns.
        cursor: the column at which the next forward pass begins.
        rows: which rows of the batch are still in it, [n], int64.
        edited: with ``record``, which tokens were edited, conditions considered: [batch, column], bool.
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
        self._edits: dict[Site, dict[tuple, CompiledEdit]] = {}  # by rank, operation and kind of condition
        columns = Columns(prompt_lengths, width, new)
        alike: dict[tuple, list[tuple[int, Edit]]] = {}
        for row, steer in enumerate(steers):
            seen: dict[Site, int] = {}
            for edit in steer.effective:
                rank = seen[edit.site] = seen.get(edit.site, -1) + 1
                condition = edit.condition
                kind = "" if condition is None else f"{condition.direction.site} {condition.read is None}"
                alike.setdefault((edit.site, rank, edit.operation, kind), []).append((row, edit))
        for (site, *key), entries in sorted(alike.items(), key=lambda item: item[0]):
            self._edits.setdefault(site, {})[tuple(key)] = _compile(entries, len(steers), columns, model)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites that any row writes to."""
        return tuple(self._edits)

    @property
    def conditions(self) -> list[CompiledCondition]:
        """Conditions that read another site than the one their edit writes to."""
        pairs = [(site, edit.condition) for site, edits in self._edits.items() for edit in edits.values()]
        return [condition for site, condition in pairs if condition is not None and condition.site != site]

    @property
    def first_layer(self) -> int:
        """The lowest layer at which any row is written to or read by a condition; 0 if there is none."""
        return min((site.layer for site in [*self._edits, *(c.site for c in self.conditions)]), default=0)

    def _parts(self) -> list[PerRow]:
        """All that has the rows of the batch: the edits, and their conditions."""
        edits = [edit for edits in self._edits.values() for edit in edits.values()]
        return [*edits, *(edit.condition for edit in edits if edit.condition is not None)]

    def forget(self) -> None:
        """Begin again: what conditions have seen of a prompt was of another chat."""
        for edits in self._edits.values():
            for edit in edits.values():
                if edit.condition is not None:
                    edit.condition.forget()

    def keep(self, rows: Tensor) -> None:
        """Keep only these rows of the batch, [n], int64."""
        self.rows = self.rows[rows.to(self.rows.device)]
        for part in self._parts():
            part.keep(rows)

    def align(self, column: int, width: int, columns: int) -> None:
        """Move the layout such that the token at ``column`` comes to ``width``, in a layout of ``columns``."""
        for part in self._parts():
            part.align(column - width, columns)
        self.cursor = width

    def join(self, other: "Applied") -> None:
        """Take in the rows of another batch, after its own; both are aligned to the same column before."""
        n, m = len(self.rows), len(other.rows)
        for site in {**self._edits, **other._edits}:
            mine, theirs = self._edits.setdefault(site, {}), other._edits.get(site, {})
            for key in {**mine, **theirs}:
                edit = mine[key] if key in mine else theirs[key].blank(n)
                more = theirs[key] if key in theirs else edit.blank(m)
                if edit.condition is not None and more.condition is not None:
                    edit.condition.join(more.condition)
                edit.join(more)
                mine[key] = edit
            self._edits[site] = dict(sorted(mine.items()))
        self.rows = torch.arange(n + m)

    def delta(self, site: Site, x: Float[Tensor, "batch pos width"]) -> Float[Tensor, "batch pos width"] | None:
        """What to add to the activations of the columns from ``cursor`` on; None for nothing."""
        total = None
        here = slice(self.cursor, self.cursor + x.shape[1])
        for edit in self._edits[site].values():
            h = x if total is None else x + total
            if edit.condition is not None and edit.condition.site == site:
                edit.condition.see(h, self.cursor)
            mask = edit.mask[:, here]
            if not mask.any():
                continue
            if edit.condition is not None:
                mask = mask & edit.condition.open().to(mask.device)
            if self.edited is not None:
                self.edited[self.rows, here] |= mask.cpu()
            change = edit.change(mask.to(x.device), h)
            total = change if total is None else total + change
        return total

    def observe(self, condition: CompiledCondition, x: Float[Tensor, "batch pos width"]) -> None:
        """Show a condition the activations at its site."""
        condition.see(x, self.cursor)

    @contextmanager
    def hooked(self, model: Model) -> Iterator[None]:
        """Steer every forward pass of the plain module inside; no hook outlives the block, whatever happens in it."""
        with alone(model), ExitStack() as hooks:
            for site in self._edits:
                hooks.enter_context(writing(model.hf, site, partial(self.delta, site)))
            for condition in self.conditions:  # after the writers: a condition sees the steered stream
                hooks.enter_context(reading(model.hf, condition.site, partial(self.observe, condition)))
            yield


@contextmanager
def steered(model: Model, steer: Steer, prompt_length: int, max_length: int = 4096) -> Iterator[Any]:
    """Steer the bridge of a model for interactive work, e.g. in a notebook with your own hooks.

    Args:
        model, steer: ``steer`` applies to every chat inside the block.
        prompt_length: number of prompt tokens in each chat, template included.
        max_length: largest number of tokens after the prompt.

    Yields:
        ``model.bridge``. A forward pass may cover a whole text, or only its next tokens with the bridge's KV cache,
        as in ``bridge.generate``. A batch may hold several chats with the same prompt length. Other threads wait
        until the block ends.

    Raises:
        WorkbenchError: as ``check`` does; inside the block, for a pass whose token positions are ambiguous: a padded
            batch, a chat shorter than ``prompt_length`` or longer than ``max_length`` allows.

    >>> ids, _ = model.encode(["write a song"]).padded()
    >>> steer = wb.add(wb.extract(model, tiny_pairs, at=wb.resid_post(1)), ratio=0.3, on=wb.RESPONSE)
    >>> with steered(model, steer, prompt_length=ids.shape[1]) as bridge:
    ...     written = bridge.generate(ids, max_new_tokens=4, do_sample=False, verbose=False, return_type="tokens")
    >>> written[0, ids.shape[1] :].tolist() == list(wb.generate(model, ["write a song"], steer, 4).token_ids[0])
    True
    """
    check_model(model)
    check(steer, model)
    check_sizes(prompt_length=prompt_length, max_length=max_length)
    check_covered([steer], [prompt_length], max_length)
    applied = Applied([steer], [prompt_length], prompt_length, max_length, model)
    hooks = [hook for site in applied.sites for hook in _bridge_hooks(site, applied)]
    hooks += [(str(condition.site), _bridge_condition(condition, applied)) for condition in applied.conditions]
    begin = partial(_begin_pass, applied, model.tokenizer.pad_token_id, model.tokenizer.bos_token_id)
    with alone(model), ExitStack() as after:
        after.callback(model.bridge.original_model.register_forward_pre_hook(begin, with_kwargs=True).remove)
        after.enter_context(model.bridge.hooks(fwd_hooks=hooks))
        yield model.bridge


def _begin_pass(applied: Applied, pad: int, bos: int | None, _: Any, args: tuple, kwargs: dict) -> None:
    """Before a pass of the bridge: which tokens of the chat it reads, told by the cache; refuses what cannot be told."""
    read = args[0] if args else kwargs.get("input_ids", kwargs.get("inputs_embeds"))
    cache, mask = kwargs.get("past_key_values"), kwargs.get("attention_mask")
    if read is None or (cache is not None and not hasattr(cache, "get_seq_length")):
        raise WorkbenchError(f"steered() cannot tell which tokens a pass with a {type(cache).__name__} reads")
    start, prompt = 0 if cache is None else int(cache.get_seq_length()), applied.width
    end = start + read.shape[1]
    if (start == 0 and end < prompt) or end > prompt + applied.new:
        raise WorkbenchError(
            f"steered(prompt_length={prompt}, max_length={applied.new}) met a chat of {end} tokens; expected {prompt} to "
            f"{prompt + applied.new}"
        )
    padded = mask is not None and (mask.ndim != 2 or not bool(mask.all()))
    if start == 0 and read.ndim == 2:  # without a mask: pads before a prompt, or behind a shorter one of a batch
        padded |= pad != bos and bool((read[:, 0] == pad).any())
        padded |= len(read) > 1 and bool((read[:, prompt - 1] == pad).any())
    if padded:
        raise WorkbenchError(
            "steered() takes chats of one prompt length, without padding: positions could not be told. Run them one by one, or "
            "use wb.generate(model, prompts, steer), which pads rows and steers each"
        )
    applied.cursor = start
    if start == 0:
        applied.forget()


def _bridge_hooks(site: Site, applied: Applied) -> list[tuple[str, Callable]]:
    """Hooks on the bridge that write one site. Its hook_resid_mid is the input of the MLP's norm alone, not the stream."""
    before: list[Tensor] = []

    def write(x: Tensor, hook: Any) -> Tensor | None:
        flat = x.reshape(*x.shape[:2], -1)
        change = applied.delta(site, flat if site.kind != "resid_mid" else before[0] + flat)
        return None if change is None else (flat + change).reshape(x.shape)

    def remember(x: Tensor, hook: Any) -> None:
        before[:] = [x]

    if site.kind == "resid_mid":
        return [(f"blocks.{site.layer}.hook_resid_pre", remember), (f"blocks.{site.layer}.hook_attn_out", write)]
    return [(str(site), write)]


def _bridge_condition(condition: CompiledCondition, applied: Applied) -> Callable:
    def see(x: Tensor, hook: Any) -> None:
        applied.observe(condition, x.reshape(*x.shape[:2], -1))

    return see
