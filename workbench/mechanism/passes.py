"""How rows run that have activations of their own: each row of a batch is a chat with values written at sites and tokens.

TransformerLens patches one place per forward pass. Here a map of many places is rows of large batches: what comes before the
first written token is read once per chat and cached, and so are, of the tokens behind it, the layers below the first written one.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench._errors import WorkbenchError
from workbench._errors.progress import Bar
from workbench.generation.completions import refuse_nan
from workbench.generation.kv_cache import PreallocatedCache, distinct, spread_from
from workbench.generation.steer_hooks import Applied, alone, check_direction, first_edited
from workbench.models.hooks import reading, replacing, writing
from workbench.models.model import Encoded, Model
from workbench.scoring.margins import margin, opening_tokens
from workbench.steering.directions import Direction
from workbench.steering.sites import Site
from workbench.steering.steer import Steer

Values = Float[Tensor, " batch"]

#: rows whose logits are looked at together, in float64
_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Write:
    """Values that take the place of activations at one site.

    Attributes:
        tokens: of the chat, counted from its first.
        values: [token, width].
        part: which of the site's dimensions, e.g. a head's.
    """

    site: Site
    tokens: tuple[int, ...]
    values: Float[Tensor, "token width"] = field(repr=False)
    part: slice = field(default_factory=lambda: slice(None))


@dataclass(frozen=True, eq=False)
class Row:
    """One chat of those that are run, under a Steer, with values written into it."""

    chat: int
    steer: Steer = Steer()  # noqa: RUF009 (frozen)
    writes: tuple[Write, ...] = ()

    def start(self, length: int) -> int:
        """The first token that is not as in the plain chat; at most the last one, whose logits are asked for."""
        written = [min(write.tokens) for write in self.writes]
        return min(length - 1, first_edited(self.steer, length), *written)

    def layer(self) -> int:
        """The first layer that is not as in the plain chat."""
        edited = [edit.site.layer for edit in self.steer.effective]
        edited += [e.condition.direction.site.layer for e in self.steer.effective if e.condition is not None]
        return min([*edited, *(write.site.layer for write in self.writes)], default=0)


@dataclass(frozen=True, eq=False)
class Metric:
    """One number per row, read at the last token of the prompt: from the logits, or along a direction at its site.

    ``of`` takes logits [batch, vocab], float64, or activations [batch, width] where there is a site.
    """

    name: str
    of: Callable[[Tensor], Values]
    site: Site | None = None

    @classmethod
    def given(cls, model: Model, metric: object) -> "Metric":
        """A Direction (its projection), "refusal" (the refusal margin), or a function of logits [batch, vocab] to [batch].

        Raises WorkbenchError for anything else, and for a direction of another model.
        """
        if isinstance(metric, Direction):
            check_direction(metric, metric.site, model)
            unit = (metric.vector.double() / metric.norm).to(model.device)
            return cls(f"projection at {metric.site!r}", partial(_projected, unit), metric.site)
        if metric == "refusal":
            return cls("refusal margin", partial(margin, torch.tensor(opening_tokens(model), device=model.device)))
        if callable(metric):
            return cls(getattr(metric, "__name__", "metric"), metric)
        raise WorkbenchError(
            f"metric={metric!r:.60}: expected a Direction, 'refusal' (the refusal margin), or a function of logits [batch, vocab]"
        )


def _projected(unit: Tensor, x: Tensor) -> Values:
    return x.double() @ unit.to(x.device)


class _Seen(Exception):
    """No error: it ends a forward pass that has shown what was asked of it."""


@torch.no_grad()
def run(
    model: Model, chats: Encoded, rows: Sequence[Row], metric: Metric, batch_size: int = 128, label: str = "rows"
) -> np.ndarray:
    """The metric of every row, [row], float64. Raises WorkbenchError where it is NaN."""
    values = np.empty(len(rows))
    lengths = chats.lengths
    ends = [(lengths[row.chat] - row.start(lengths[row.chat]), row.layer(), lengths[row.chat]) for row in rows]
    order = sorted(range(len(rows)), key=ends.__getitem__)
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    starts = _Starts(model)
    for batch in Bar(batches, desc=label, unit="batch", leave=False, disable=len(batches) < 4):
        values[batch] = _batch(model, chats, [rows[i] for i in batch], metric, starts)
    refuse_nan(model, values, [row.steer for row in rows])
    return values


class _Starts:
    """What chats begin with, read and cached: the latest batch's, since the next one mostly has the same chats."""

    def __init__(self, model: Model):
        self.model = model
        self.of: tuple[Tensor, Tensor] | None = None
        self.width = 0
        self.cache: PreallocatedCache | None = None

    def cached(
        self, ids: Tensor, mask: Tensor, positions: Tensor, width: int, where: Tensor, layer: int
    ) -> PreallocatedCache:
        """A cache of these columns, [distinct, shared], in buffers of so many; from ``layer`` on with a row for each of ``where``."""
        known = self.of is not None and self.width == width and all(map(torch.equal, self.of, (ids, mask)))
        if not known:
            self.of, self.width, self.cache = (ids, mask), width, PreallocatedCache(self.model.n_layers, width)
            _forward(self.model, ids, mask, positions, self.cache)
        assert self.cache is not None
        cache = PreallocatedCache(self.model.n_layers, width)
        for number, (ours, read) in enumerate(zip(cache.stack, self.cache.stack, strict=True)):
            ours.length = read.length
            ours.hold(read.buffer)  # below the layer the columns that follow are written into it, by every batch anew
            if number >= layer:
                ours.keep(where)
        return cache


def _batch(model: Model, chats: Encoded, rows: Sequence[Row], metric: Metric, starts: _Starts) -> np.ndarray:
    taken = chats.take([row.chat for row in rows]).whole()
    ids, mask = taken.padded(device=model.device)
    width = ids.shape[1]
    offsets = [width - length for length in taken.lengths]
    shared = min(offset + row.start(length) for row, offset, length in zip(rows, offsets, taken.lengths, strict=True))
    shared = max(min(shared, width - 1), 0)
    first, where = distinct(torch.cat([ids, mask], dim=1))
    layer = min(row.layer() for row in rows)
    positions = Encoded.positions(mask)
    applied = Applied([row.steer for row in rows], taken.lengths, width, 0, model)
    with alone(model):
        cache = None
        if shared:
            cache = starts.cached(
                ids[first, :shared], mask[first, :shared], positions[first, :shared], width, where, layer
            )
        applied.cursor = shared
        seen: list[Tensor] = []
        with ExitStack() as hooks:
            hooks.enter_context(spread_from(model.hf, layer, where))
            hooks.enter_context(applied.hooked(model))
            for site, writes in _by_site(rows).items():
                values = _written(writes, [offset - shared for offset in offsets])
                hooks.enter_context(replacing(model.hf, site, values))
            if metric.site is not None:
                hooks.enter_context(
                    reading(model.hf, metric.site, partial(_stop, seen, where, metric.site.layer < layer))
                )
                hooks.enter_context(suppress(_Seen))
            logits = _forward(model, ids[first, shared:], mask[first], positions[first, shared:], cache)
    last = seen[0] if metric.site is not None else logits
    return torch.cat([metric.of(part.double()) for part in last.split(_AT_ONCE)]).double().cpu().numpy()


def _stop(seen: list[Tensor], where: Tensor, below: bool, x: Tensor) -> None:
    seen.append(x[:, -1][where.to(x.device)] if below else x[:, -1])
    raise _Seen


def _forward(model: Model, ids: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
    """Logits of the last column, [batch, vocab]."""
    return model.hf(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=1,
    ).logits[:, -1]


def _by_site(rows: Sequence[Row]) -> dict[Site, list[tuple[int, Write]]]:
    found: dict[Site, list[tuple[int, Write]]] = {}
    for number, row in enumerate(rows):
        for write in row.writes:
            found.setdefault(write.site, []).append((number, write))
    return dict(sorted(found.items()))


def _written(writes: Sequence[tuple[int, Write]], offsets: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """The activations of a site with the values in their places."""

    def values(x: Tensor) -> Tensor:
        edited = x.clone()
        for number, write in writes:
            at = torch.tensor([offsets[number] + token for token in write.tokens], device=x.device)
            edited[number, at, write.part] = write.values.to(x)
        return edited

    return values


@dataclass(frozen=True, eq=False)
class Seen:
    """What a run shows: activations by site and chat, [token, width] each, and the metric of each chat, [chat]."""

    activations: Mapping[Site, Sequence[Tensor]]
    metric: np.ndarray
    gradients: Mapping[Site, Sequence[Tensor]] = field(default_factory=dict)


def see(
    model: Model,
    chats: Encoded,
    steer: Steer,
    sites: Sequence[Site],
    tokens: Sequence[Sequence[int]],
    metric: Metric,
    gradients: bool = False,
    batch_size: int = 16,
    label: str = "activations",
) -> Seen:
    """The activations of every chat at sites and tokens, and its metric, all in one pass; with gradients of the metric, in two.

    Args:
        tokens: of each chat, counted from its first.
    """
    kept: dict[Site, list[Tensor]] = {site: [torch.empty(0)] * len(chats) for site in sites}
    slopes: dict[Site, list[Tensor]] = {site: [torch.empty(0)] * len(chats) for site in sites} if gradients else {}
    values = np.empty(len(chats))
    order = sorted(range(len(chats)), key=lambda i: (chats.lengths[i], i))
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    for batch in Bar(batches, desc=label, unit="batch", leave=False, disable=len(batches) < 4):
        taken = chats.take(batch).whole()
        ids, mask = taken.padded(device=model.device)
        width, seen = ids.shape[1], dict[Site, Tensor]()
        applied = Applied([steer] * len(batch), taken.lengths, width, 0, model)
        wanted = [*sites, *([metric.site] if metric.site is not None and metric.site not in sites else [])]
        with alone(model), torch.set_grad_enabled(gradients), ExitStack() as hooks:
            if gradients:  # a graph needs a leaf: nothing, added to the embeddings
                hooks.enter_context(writing(model.hf, Site(0, "resid_pre"), _leaf))
            hooks.enter_context(applied.hooked(model))
            for site in wanted:
                hooks.enter_context(reading(model.hf, site, partial(seen.__setitem__, site)))
            logits = _forward(model, ids, mask, Encoded.positions(mask), None)
            last = logits if metric.site is None else seen[metric.site][:, -1]
            numbers = metric.of(last.double())
            if gradients:
                found = torch.autograd.grad(numbers.sum(), [seen[site] for site in sites], allow_unused=True)
                grads = dict(zip(sites, found, strict=True))
        values[batch] = numbers.detach().double().cpu().numpy()
        for site in sites:
            for i, chat in enumerate(batch):
                at = [width - taken.lengths[i] + token for token in tokens[chat]]
                kept[site][chat] = seen[site][i, at].detach()
                if gradients:
                    slope = grads[site]
                    slopes[site][chat] = torch.zeros_like(kept[site][chat]) if slope is None else slope[i, at].detach()
    refuse_nan(model, values, [steer] * len(chats))
    return Seen(kept, values, slopes)


def _leaf(x: Tensor) -> Tensor:
    return torch.zeros_like(x, requires_grad=True)
