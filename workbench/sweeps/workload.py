"""The arithmetic of a sweep: tokens, forward passes, FLOPs and bytes. Each formula is derived in docs/planning.md."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.generation.schedule import LEAVE, REFILL, Task, read_together
from workbench.models.sizes import Shape


@dataclass(frozen=True)
class Reading:
    """Rows whose prompts are read together: those that begin a batch, or that take the places of rows that have ended.

    Attributes:
        rows: how many. width: tokens of the longest prompt; the others are padded to it.
        passes: forward passes that read: the columns shared by all rows of a prompt, if there are any, then the rest.
        outputs: rows whose logits those passes compute.
        tokens: read, padding included; one that only a share of the layers reads counts as that share.
        pairs: of tokens that are read and tokens that they look at, counted likewise.
    """

    rows: int
    width: int
    passes: int
    outputs: int
    tokens: float
    pairs: float

    @classmethod
    def of(cls, tasks: Sequence[Task], layers: int) -> "Reading":
        """The reading of some rows by a model with so many layers."""
        rows, width = len(tasks), max(task.tokens for task in tasks)
        prompts = len({task.prompt for task in tasks})
        shared = max(0, min(width - 1, *(width - task.tokens + task.start for task in tasks)))
        if shared:  # one pass over the shared columns of each prompt, one over the rest of each row
            own = rows * (width - shared)
            return cls(rows, width, 2, prompts + rows, prompts * shared + own, prompts * shared**2 + own * width)
        below = min((task.layer for task in tasks if task.layer is not None), default=0) / layers
        tokens = width * (prompts * below + rows * (1 - below))  # layers below the first edit read each prompt once
        return cls(rows, width, 1, rows, tokens, tokens * width)


@dataclass(frozen=True)
class Writing:
    """Passes that each write one more token.

    Attributes:
        passes: how many. steps: rows in them, over all passes. looked: tokens that those rows look at, padding included.
    """

    passes: int = 0
    steps: int = 0
    looked: int = 0

    def __add__(self, other: "Writing") -> "Writing":
        return Writing(self.passes + other.passes, self.steps + other.steps, self.looked + other.looked)


@dataclass(frozen=True)
class Load:
    """What a sweep asks of a model.

    Attributes:
        readings, writing: all forward passes.
        prompt_tokens: of all rows, as if nothing were shared or padded. new_tokens: written in all rows.
        longest: tokens written in the longest row. batch_size: the most rows that are together.
    """

    readings: tuple[Reading, ...]
    writing: Writing
    prompt_tokens: int
    new_tokens: int
    longest: int
    batch_size: int

    @classmethod
    def of(cls, tasks: Sequence[Task], layers: int, written: Sequence[int], batch_size: int) -> "Load":
        """The load of rows in the order in which they run, from the tokens that each writes, as ``generation`` goes about it."""
        readings, writing = [], Writing()
        prompts, new = np.array([task.tokens for task in tasks]), np.array(written)
        running, columns, at = _Running.none(), 0, 0
        while at < len(tasks) or len(running):
            taken = slice(at, min(len(tasks), at + batch_size - len(running)))
            at = taken.stop
            if taken.start < at:
                begun = tasks[taken]
                readings += [Reading.of(begun[part], layers) for part in read_together([task.place for task in begun])]
                running = running.joined(prompts[taken], new[taken])
                columns = int(running.tokens.max())
            running, part = running.written(REFILL if at < len(tasks) else LEAVE, columns)
            columns += part.passes
            writing += part
        return cls(
            tuple(readings), writing, int(prompts.sum()), int(new.sum()), int(new.max()), min(batch_size, len(tasks))
        )

    @property
    def rows(self) -> int:
        """Different prompt × condition pairs."""
        return sum(reading.rows for reading in self.readings)

    @property
    def width(self) -> int:
        """Tokens of the longest prompt."""
        return max(reading.width for reading in self.readings)

    @property
    def read_tokens(self) -> float:
        """Tokens that are really read, as ``Reading.tokens`` counts them."""
        return sum(reading.tokens for reading in self.readings)


@dataclass(frozen=True)
class _Running:
    """Rows that are being written: the tokens each has, [row], and the tokens that it will yet write, [row]."""

    tokens: np.ndarray
    left: np.ndarray

    @classmethod
    def none(cls) -> "_Running":
        return cls(np.zeros(0, dtype=int), np.zeros(0, dtype=int))

    def __len__(self) -> int:
        return len(self.left)

    def joined(self, tokens: np.ndarray, left: np.ndarray) -> "_Running":
        return _Running(np.concatenate([self.tokens, tokens]), np.concatenate([self.left, left]))

    def written(self, share: float, columns: int) -> tuple["_Running", Writing]:
        """The rows that stay once this share has ended, and the passes until then, the first after so many columns."""
        steps = int(np.sort(self.left)[math.ceil(share * len(self)) - 1])
        stay = self.left > steps
        kept = _Running(self.tokens[stay] + steps, self.left[stay] - steps)
        full = (
            steps - 1
        )  # the last pass is without the rows that leave, the first new token comes out of an earlier one
        looked = len(self) * (full * columns + full * (full + 1) // 2) + len(kept) * (columns + steps)
        return kept, Writing(full + (len(kept) > 0), full * len(self) + len(kept), looked)


@dataclass(frozen=True)
class Phase:
    """Reading or writing: forward passes, FLOPs, and bytes moved: of the weights in all passes, of the KV cache."""

    passes: float
    flops: float
    weights: float
    cache: float


def phases(shape: Shape, load: Load, share: int) -> tuple[Phase, Phase]:
    """Reading the prompts and writing the responses, with ``share`` bytes per number."""
    weights = (shape.layer_parameters + shape.hidden * shape.vocabulary) * share
    attention = 4 * shape.layers * shape.heads * shape.head_dim  # FLOPs per token and per token looked at
    layers, head = 2 * shape.layer_parameters, 2 * shape.hidden * shape.vocabulary

    def total(counts: Iterable[float]) -> float:
        return float(sum(counts))

    reads = total(part.passes for part in load.readings)
    outputs, pairs = total(part.outputs for part in load.readings), total(part.pairs for part in load.readings)
    read = Phase(reads, load.read_tokens * layers + pairs * attention + outputs * head, reads * weights, 0.0)
    done = load.writing
    write = Phase(
        float(done.passes),
        float(done.steps * (layers + head) + done.looked * attention),
        float(done.passes * weights),
        float(done.looked * shape.cached_numbers * share),
    )
    return read, write
