"""How a batch reads and writes: its prompts, with shared columns and layers read once, then token after token.

Rows are written each as far as it is: those that have ended leave, and rows that were waiting take their places.
``first_logits`` stops after the prompts: what a model says of the first token, nothing generated.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.generation.completions import FAILED
from workbench.generation.kv_cache import PreallocatedCache, distinct, spread_from
from workbench.generation.schedule import LEAVE
from workbench.generation.steer_hooks import Applied, PerRow, check_all
from workbench.models.model import Encoded, Model
from workbench.steering.steer import Steer, steer_per_row


@dataclass
class Batch:
    """Rows that are written together. Columns before ``shared`` are the same for all rows of a prompt."""

    ids: torch.Tensor  # [batch, width], left-padded
    mask: torch.Tensor
    shared: int
    new: int
    applied: Applied
    watched: bool = False

    @classmethod
    def of(
        cls,
        model: Model,
        encoded: Encoded,
        rows: Sequence[int],
        steers: Sequence[Steer],
        starts: Sequence[int],
        new: int,
        watched: bool,
    ) -> "Batch":
        """Rows of encoded chats, each with its Steer and its first edited token; a watched batch shares no columns."""
        ids, mask = encoded.padded(rows, model.device)
        width = ids.shape[1]
        lengths = [encoded.lengths[row] for row in rows]
        # Nothing is edited in the columns before the first edited token of any row. The last prompt token is always
        # read per row, since its logits are what the response starts from.
        shared = min(width - 1, *(width - length + start for length, start in zip(lengths, starts, strict=True)))
        applied = Applied(steers, lengths, width, new, model, record=watched)
        return cls(ids, mask, 0 if watched else max(shared, 0), new, applied, watched)

    @property
    def positions(self) -> torch.Tensor:
        """The place of each column's token in its chat, [batch, width]."""
        return Encoded.positions(self.mask)


@torch.no_grad()
def read_prompt(model: Model, batch: Batch, cache: PreallocatedCache) -> torch.Tensor:
    """Logits of each row's first new token. Layers below the first edited one read each distinct prompt once."""
    ids, mask, positions = batch.ids[:, batch.shared :], batch.mask, batch.positions[:, batch.shared :]
    batch.applied.cursor = batch.shared
    layer = batch.applied.first_layer
    if batch.shared or batch.watched or layer == 0:
        return next_logits(model, ids, mask, positions, cache)
    first, where = distinct(torch.cat([ids, mask], dim=1))
    if len(first) == len(ids):
        return next_logits(model, ids, mask, positions, cache)
    with spread_from(model.hf, layer, where):
        logits = next_logits(model, ids[first], mask[first], positions[first], cache)
    cache.keep(where, layers=layer)
    return logits


def next_logits(
    model: Model, step: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: PreallocatedCache
) -> torch.Tensor:
    """Logits of each row's next token, [batch, vocabulary], after reading ``step`` into the cache."""
    return model.hf(
        input_ids=step,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]


@torch.no_grad()
def read_shared(model: Model, batch: Batch) -> PreallocatedCache:
    """A cache that holds the unsteered columns, each distinct row read once and copied to the rows that have it."""
    cache = PreallocatedCache(model.n_layers, batch.ids.shape[1] + batch.new)
    if batch.shared == 0:
        return cache
    ids, mask, positions = (x[:, : batch.shared] for x in (batch.ids, batch.mask, batch.positions))
    first, where = distinct(torch.cat([ids, mask], dim=1))
    next_logits(model, ids[first], mask[first], positions[first], cache)
    cache.keep(where)
    return cache


#: Given a response as far as it is written, without special tokens: whether nothing more is asked of it.
Decided = Callable[[str], bool]

#: How often that is asked, in tokens of a row; part of what a row says, so the same for every batch.
_ASKED_EVERY = 8


def asked_at(after: int, upto: int) -> range:
    """The lengths of a row, above one and up to another, at which that is asked.

    >>> list(asked_at(0, 17)), list(asked_at(8, 15))
    ([8, 16], [])
    """
    return range(after - after % _ASKED_EVERY + _ASKED_EVERY, upto + 1, _ASKED_EVERY)


#: From logits [batch, vocabulary], the rows [batch] they are of, and the steps [batch] these are at, to tokens [batch], int64;
#: ``FAILED`` for a row whose logits are no numbers.
Choose = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

#: Numbers and tokens of rows that have ended, the stop token included where there is one; ``FAILED`` is the last of a failed row.
Ended = list[tuple[int, tuple[int, ...]]]


def mark_failed(token: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """The tokens, ``FAILED`` in rows where a logit is NaN or infinite. [batch], int64, and [batch, vocabulary].

    >>> mark_failed(torch.tensor([5, 5]), torch.tensor([[0.0, 1.0], [0.0, torch.nan]]))
    tensor([ 5, -1])
    """
    if logits.sum().isfinite():  # one number: looking at each logit took a thirtieth of a step
        return token
    return token.masked_fill((logits.isnan() | logits.isposinf()).any(-1), FAILED)


def likeliest(logits: torch.Tensor, rows: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Greedy decoding, as a Choose; of equal logits the first.

    In two steps, since PyTorch on a CPU looks for a maximum with its place one number at a time, and for the maximum alone many.
    """
    *_, words = logits.shape
    parts = math.gcd(words, 512)
    blocks = logits.unflatten(-1, (words // parts, parts))
    block = blocks.amax(-1).argmax(-1)
    token = block * parts + blocks[torch.arange(len(logits), device=logits.device), block].argmax(-1)
    return mark_failed(token, logits)


@dataclass
class Writer(PerRow):
    """Rows that are being written together.

    Attributes:
        rows: their numbers, [n].
        steps: how many tokens each has, [n].
        written: these tokens, [n, new], -1 where none.
        mask: which columns hold a token, [n, column].
        at: the place of the last token read in its chat, [n, 1].
        logits: of the next token, [n, vocabulary].
        done: which rows have ended and not left yet, [n].
    """

    model: Model
    new: int
    choose: Choose
    decided: Decided | None
    applied: Applied
    cache: PreallocatedCache
    rows: torch.Tensor
    steps: torch.Tensor
    written: torch.Tensor
    mask: torch.Tensor
    at: torch.Tensor
    logits: torch.Tensor
    done: torch.Tensor

    _per_row = ("rows", "steps", "written", "mask", "at", "logits", "done")

    @classmethod
    def begin(
        cls,
        model: Model,
        batch: Batch,
        cache: PreallocatedCache,
        rows: list[int],
        choose: Choose = likeliest,
        decided: Decided | None = None,
    ) -> "Writer":
        """Read the prompts of a batch, whose shared columns the cache holds; its Steers must be hooked."""
        n, device = len(rows), batch.ids.device
        return cls(
            model,
            batch.new,
            choose,
            decided,
            batch.applied,
            cache,
            torch.tensor(rows, device=device),
            torch.zeros(n, dtype=torch.long, device=device),
            torch.full((n, batch.new), -1, dtype=torch.long, device=device),
            batch.mask,
            batch.positions[:, -1:],
            read_prompt(model, batch, cache),
            torch.zeros(n, dtype=torch.bool, device=device),
        )

    def __len__(self) -> int:
        return len(self.rows)

    @torch.no_grad()
    def until(self, share: float) -> Ended:
        """Write until this share of the rows has ended; these leave, and are returned with their tokens."""
        while True:
            token = self._choose()
            keep = (~self.done).nonzero().flatten()
            leaving = len(self) - len(keep) >= share * len(self)
            ended = self._leave(keep) if leaving else []
            if len(self):
                self._read(token[keep] if leaving else token)
            if leaving:
                return ended

    def write(self) -> Ended:
        """Write all rows to their end."""
        return [end for _ in iter(self.__len__, 0) for end in self.until(LEAVE)]

    def join(self, other: Self) -> None:
        """Take in the rows of another writer, after its own. Columns that no row uses any more are dropped."""
        width = int(max(part.mask.sum(1).max() for part in (self, other)))
        columns = width + self.new
        for part in (self, other):
            part.applied.align(part.mask.shape[1], width, columns)
            part.mask = torch.nn.functional.pad(part.mask, (width - part.mask.shape[1], 0))
        self.applied.join(other.applied)
        self.cache.join(other.cache, width, columns)
        super().join(other)

    def _choose(self) -> torch.Tensor:
        """The next token of every row, [n], int64, written down where the row has not ended."""
        token = self.choose(self.logits, self.rows, self.steps.clamp(max=self.new - 1))
        going = (~self.done).nonzero().flatten()
        self.written[going, self.steps[going]] = token[going]
        self.steps[going] += 1
        self.done = self._done(token)
        return token.clamp(min=0)  # a row that failed is read on until it leaves, like any that has ended

    def _done(self, token: torch.Tensor) -> torch.Tensor:
        """Which rows have ended, [n], bool: by a stop token, at their last token, failed, or since nothing more is asked."""
        stops = torch.tensor(sorted(self.model.stop_ids), device=token.device)
        done = self.done | torch.isin(token, stops) | (self.steps == self.new) | (token == FAILED)
        if self.decided is not None:
            for i in (~done & (self.steps % _ASKED_EVERY == 0)).nonzero().flatten().tolist():
                text = self.model.tokenizer.decode(self._tokens(i), skip_special_tokens=True)
                done[i] = self.decided(text)
        return done

    def _tokens(self, i: int) -> tuple[int, ...]:
        return tuple(self.written[i, : int(self.steps[i])].tolist())

    def _leave(self, keep: torch.Tensor) -> Ended:
        """Keep these rows only, [kept], int64; the others have ended."""
        ended = [(int(self.rows[i]), self._tokens(i)) for i in self.done.nonzero().flatten().tolist()]
        self.keep(keep)
        if len(self):
            self.cache.keep(keep)
            self.applied.keep(keep)
        return ended

    def _read(self, token: torch.Tensor) -> None:
        self.applied.cursor, self.at = self.mask.shape[1], self.at + 1
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self), 1)], dim=1)
        self.logits = next_logits(self.model, token[:, None], self.mask, self.at, self.cache)


@torch.no_grad()
def first_logits(
    model: Model,
    chats: Encoded,
    steers: Steer | Sequence[Steer] = Steer(),  # noqa: B008 (frozen)
    batch_size: int = 32,
) -> Iterator[tuple[list[int], Float[Tensor, "batch vocab"]]]:
    """The logits of the first token after each chat: one forward pass, nothing generated.

    Args:
        chats: all of each is taken as the prompt.
        steers: one Steer for all chats, or one each.

    Yields:
        Chats of like length together: their numbers, and their logits in float64.

    Raises:
        WorkbenchError: a Steer that does not fit the model, or as many Steers as there are not chats.
    """
    each, chats = steer_per_row(steers, len(chats)), chats.whole()
    check_all(each, model)
    order = sorted(range(len(chats)), key=lambda row: chats.lengths[row])
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        ids, mask = chats.padded(rows, model.device)
        applied = Applied([each[row] for row in rows], [chats.lengths[row] for row in rows], ids.shape[1], 0, model)
        with applied.hooked(model):
            out = model.hf(
                input_ids=ids,
                attention_mask=mask,
                position_ids=chats.positions(mask),
                use_cache=False,
                logits_to_keep=1,
            )
        yield rows, out.logits[:, -1].double()
