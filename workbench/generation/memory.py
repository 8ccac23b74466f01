"""How many rows fit in memory: arithmetic to begin with, corrected by what batches took, halved when memory ran out."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from workbench._errors.redaction import logger
from workbench.models.model import Model
from workbench.models.sizes import Shape, shape_of

#: Share of the free memory that a batch may take; the rest is for fragmentation and for others.
BATCH_SHARE = 0.6


def row_bytes_of(shape: Shape, tokens: int, share: int) -> tuple[int, int]:
    """Bytes that one row of ``tokens`` tokens (prompt and response) takes: in the KV cache, and beside it at its peak.

    Beside it are the widest activations of a layer, attention scores, and logits.
    """
    stream = (4 * shape.hidden + 3 * shape.intermediate) * tokens
    scores = 2 * shape.heads * tokens * tokens
    return shape.cached_numbers * tokens * share, (stream + scores) * share + shape.vocabulary * (share + 8)


log = logger(__name__)

#: Batches that arithmetic puts below this teach nothing: what libraries take once would be counted as theirs.
_TELLING = 1 << 28


def row_bytes(model: Model, tokens: int) -> int:
    """Bytes that one row of ``tokens`` tokens takes at its peak, by the arithmetic of ``row_bytes_of``."""
    return sum(row_bytes_of(shape_of(model.hf.config.to_dict(), model.name), tokens, model.dtype.itemsize))


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken on a device."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    import psutil

    return psutil.virtual_memory().available


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in the main memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    told = str(error).lower()
    return isinstance(error, RuntimeError) and ("not enough memory" in told or "can't allocate memory" in told)


class Room:
    """How many rows of a length go into one batch on a model's device; learns while a run goes on.

    Attributes:
        most: rows per batch at most, also where memory would allow more; halved when memory runs out.
        scale: what rows were seen to take, over what arithmetic says.
        sharers: processes that take rows from the same free memory.
    """

    def __init__(self, model: Model, most: int, sharers: int = 1):
        self.model, self.most, self.scale, self.sharers = model, most, 1.0, sharers

    def rows(self, tokens: int) -> int:
        """Rows of ``tokens`` tokens (prompt and response) for the next batch, at least 1."""
        free = BATCH_SHARE * free_bytes(self.model.device) / self.sharers
        fitting = int(free / (self.scale * row_bytes(self.model, tokens)))
        return max(1, min(self.most, fitting))

    def halve(self, rows: int) -> None:
        """Memory ran out with a batch of this many rows."""
        self.most = max(1, rows // 2)
        log.warning("out of memory with %d rows; going on with %d", rows, self.most)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @contextmanager
    def measuring(self, rows: int, tokens: int) -> Iterator[None]:
        """Learn from what the batch inside takes, where its peak can be seen."""
        device = self.model.device
        before, expected = _start(device), rows * row_bytes(self.model, tokens)
        yield
        if expected > _TELLING:
            self.scale = max(self.scale, (_peak(device) - before) / expected)


def _start(device: torch.device) -> int:
    """Forget earlier peaks where that can be done; what a later ``_peak`` is to be compared with."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    return _peak(device)


def _peak(device: torch.device) -> int:
    """The peak so far, in bytes. In the main memory it is the process's own, which earlier peaks may hide."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
