"""The arithmetic of a sweep: tokens, forward passes, FLOPs and bytes. Each formula is derived in docs/planning.md."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.shapes import Shape


@dataclass(frozen=True)
class Load:
    """What a sweep asks of any model.

    Attributes:
        rows: different prompt × condition pairs. prompts: different prompts.
        width: tokens of the longest prompt. prompt_tokens: over all rows.
        read_tokens: those that are really read: what comes before a row's first edit is read once per prompt.
        new_tokens: written per row, on average. longest: written in the longest row of a batch.
    """

    rows: int
    prompts: int
    width: int
    prompt_tokens: int
    read_tokens: int
    new_tokens: float
    longest: int
    batch_size: int

    @classmethod
    def of(
        cls,
        lengths: Sequence[int],
        starts: Sequence[Sequence[int]],
        new_tokens: float,
        longest: int,
        batch_size: int,
    ) -> "Load":
        """The load of prompts of given lengths; ``starts[i]`` has the first edited token of each condition of prompt i."""
        rows = sum(map(len, starts))
        read = 0
        for length, firsts in zip(lengths, starts, strict=True):
            own = [
                min(first, length - 1) for first in firsts
            ]  # the last token is read in each row: it starts the response
            read += max(own, default=0) + sum(length - first for first in own)
        total = sum(length * len(firsts) for length, firsts in zip(lengths, starts, strict=True))
        return cls(rows, len(lengths), max(lengths), total, read, new_tokens, longest, min(batch_size, rows))

    @property
    def batches(self) -> int:
        """Batches the rows make."""
        return math.ceil(self.rows / self.batch_size)

    @property
    def context(self) -> float:
        """Tokens that a token looks back on while writing, on average."""
        return self.prompt_tokens / self.rows + self.new_tokens / 2


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
    mean_prompt = load.prompt_tokens / load.rows
    read = Phase(
        load.batches,
        load.read_tokens * (layers + attention * mean_prompt) + load.rows * head,
        load.batches * weights,
        0.0,
    )
    steps = load.batches * (load.longest - 1)  # the first new token comes out of reading
    written = load.rows * (load.new_tokens - 1)
    write = Phase(
        steps,
        written * (layers + head + attention * load.context),
        steps * weights,
        written * load.context * shape.cached_numbers * share,
    )
    return read, write


def memory_of(shape: Shape, load: Load, share: int) -> tuple[float, float, float]:
    """Bytes of the weights, of the KV cache of a batch, and of the workspace of its widest forward pass."""
    cache = load.batch_size * (load.width + load.longest) * shape.cached_numbers * share
    activations = load.batch_size * load.width * (6 * shape.hidden + 3 * shape.intermediate) * share
    logits = load.batch_size * shape.vocabulary * (share + 1)
    return float(shape.parameters * share), float(cache), float(activations + logits)
