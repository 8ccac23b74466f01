"""Rows being written, each as far as it is: those that have ended leave, and rows that were waiting take their places."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from workbench.applying import Applied
from workbench.batches import Batch, next_logits, read_prompt
from workbench.caching import PreallocatedCache
from workbench.models import Model
from workbench.workload import LEAVE

#: Given a response as far as it is written, without special tokens: whether nothing more is asked of it.
Decided = Callable[[str], bool]
#: How often that is asked, in tokens of a row; part of what a row says, so the same for every batch.
_ASKED_EVERY = 8

#: From logits [batch, vocabulary], the rows [batch] they are of, and the steps [batch] these are at, to tokens [batch], int64.
Choose = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
#: Numbers and tokens of rows that have ended, the stop token included where there is one.
Ended = list[tuple[int, tuple[int, ...]]]
_PER_ROW = ("rows", "steps", "written", "mask", "at", "logits", "done")


def likeliest(logits: torch.Tensor, rows: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Greedy decoding, as a Choose; of equal logits the first.

    In two steps, since PyTorch on a CPU looks for a maximum with its place one number at a time, and for the maximum alone many.
    """
    *_, words = logits.shape
    parts = math.gcd(words, 512)
    blocks = logits.unflatten(-1, (words // parts, parts))
    block = blocks.amax(-1).argmax(-1)
    return block * parts + blocks[torch.arange(len(logits), device=logits.device), block].argmax(-1)


@dataclass
class Writing:
    """Rows that are being written together.

    Attributes:
        rows: their numbers, [n]. steps: how many tokens each has, [n]. written: these tokens, [n, new], -1 where none.
        mask: which columns hold a token, [n, column]. at: the place of the last token read in its chat, [n, 1].
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

    @classmethod
    def begin(
        cls,
        model: Model,
        batch: Batch,
        cache: PreallocatedCache,
        rows: list[int],
        choose: Choose = likeliest,
        decided: Decided | None = None,
    ) -> "Writing":
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
            token = self.choose(self.logits, self.rows, self.steps.clamp(max=self.new - 1))
            going = (~self.done).nonzero().flatten()
            self.written[going, self.steps[going]] = token[going]
            self.steps[going] += 1
            self.done = self._done(token)
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

    def join(self, other: "Writing") -> "Writing":
        """Take in the rows of another writing, after its own. Columns that no row uses any more are dropped."""
        width = int(max(part.mask.sum(1).max() for part in (self, other)))
        columns = width + self.new
        for part in (self, other):
            part.applied.align(part.mask.shape[1], width, columns)
            part.mask = torch.nn.functional.pad(part.mask, (width - part.mask.shape[1], 0))
        self.applied.join(other.applied)
        self.cache.join(other.cache, width, columns)
        for name in _PER_ROW:
            setattr(self, name, torch.cat([getattr(self, name), getattr(other, name)]))
        return self

    def _done(self, token: torch.Tensor) -> torch.Tensor:
        """Which rows have ended, [n], bool: by a stop token, at their last token, or since nothing more is asked."""
        stops = torch.tensor(sorted(self.model.stop_ids), device=token.device)
        done = self.done | torch.isin(token, stops) | (self.steps == self.new)
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
        for name in _PER_ROW:
            setattr(self, name, getattr(self, name)[keep])
        if len(self):
            self.cache.keep(keep)
            self.applied.keep(keep)
        return ended

    def _read(self, token: torch.Tensor) -> None:
        self.applied.cursor, self.at = self.mask.shape[1], self.at + 1
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self), 1)], dim=1)
        self.logits = next_logits(self.model, token[:, None], self.mask, self.at, self.cache)
