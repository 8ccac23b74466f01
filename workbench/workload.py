"""The arithmetic of a sweep: tokens, forward passes, FLOPs and bytes. Each formula is derived in docs/planning.md."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.shapes import Shape

#: Share of the free memory that a batch may take; the rest is for fragmentation and for others.
BATCH_SHARE = 0.6


@dataclass(frozen=True)
class Task:
    """What the cost of one row depends on.

    Attributes:
        prompt: what tells its prompt from others. tokens: of the prompt, template included.
        start: the first edited token; ``tokens`` or more if no prompt token is.
        layer: the lowest layer that is written to or read by a condition; None for a row that is not steered.
    """

    prompt: str
    tokens: int
    start: int
    layer: int | None


@dataclass(frozen=True)
class Batch:
    """Rows that are read together, as ``generation`` packs them.

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
    def of(cls, tasks: Sequence[Task], layers: int) -> "Batch":
        """The batch of some rows on a model with so many layers."""
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
class Load:
    """What a sweep asks of a model.

    Attributes:
        batches: of the rows that differ, in the order in which they run.
        prompt_tokens: of all rows, as if nothing were shared or padded.
        new_tokens: written per row, on average. longest: written in the longest row of a batch.
        steps: forward passes that a row is in while it writes, on average. Not less than ``new_tokens - 1``; more where
            rows that have ended wait to leave their batch.
    """

    batches: tuple[Batch, ...]
    prompt_tokens: int
    new_tokens: float
    longest: int
    steps: float

    @classmethod
    def of(cls, tasks: Sequence[Task], layers: int, new_tokens: int, batch_size: int) -> "Load":
        """The load of rows in the order in which they run, each of which writes ``new_tokens`` tokens."""
        parts = (tasks[i : i + batch_size] for i in range(0, len(tasks), batch_size))
        batches = tuple(Batch.of(part, layers) for part in parts)
        return cls(batches, sum(task.tokens for task in tasks), new_tokens, new_tokens, new_tokens - 1.0)

    @property
    def rows(self) -> int:
        """Different prompt × condition pairs."""
        return sum(batch.rows for batch in self.batches)

    @property
    def batch_size(self) -> int:
        """Rows of the largest batch."""
        return max(batch.rows for batch in self.batches)

    @property
    def width(self) -> int:
        """Tokens of the longest prompt."""
        return max(batch.width for batch in self.batches)

    @property
    def read_tokens(self) -> float:
        """Tokens that are really read, as ``Batch.tokens`` counts them."""
        return sum(batch.tokens for batch in self.batches)

    @property
    def context(self) -> float:
        """Tokens that a token looks at while a response is written, padding included, on average."""
        return sum(batch.rows * batch.width for batch in self.batches) / self.rows + (self.steps + 1) / 2


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

    reads = total(batch.passes for batch in load.batches)
    outputs, pairs = total(batch.outputs for batch in load.batches), total(batch.pairs for batch in load.batches)
    read = Phase(reads, load.read_tokens * layers + pairs * attention + outputs * head, reads * weights, 0.0)
    passes = float(len(load.batches) * (load.longest - 1))  # the first new token comes out of reading
    steps = load.rows * load.steps
    write = Phase(
        passes,
        steps * (layers + head + attention * load.context),
        passes * weights,
        steps * load.context * shape.cached_numbers * share,
    )
    return read, write


def row_bytes(shape: Shape, tokens: int, share: int) -> tuple[int, int]:
    """Bytes that one row of ``tokens`` tokens (prompt and response) takes: in the KV cache, and beside it at its peak.

    Beside it are the widest activations of a layer, attention scores, and logits.
    """
    stream = (4 * shape.hidden + 3 * shape.intermediate) * tokens
    scores = 2 * shape.heads * tokens * tokens
    return shape.cached_numbers * tokens * share, (stream + scores) * share + shape.vocabulary * (share + 8)
