"""What computing costs on a machine: published peaks of GPUs times a stated efficiency, or rates measured here.

What this machine does per second, measured by running a little of a sweep, pass by pass.
"""

import difflib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

from workbench._errors import WorkbenchError
from workbench.generation.schedule import Task
from workbench.generation.store import Store
from workbench.models.model import Model
from workbench.models.sizes import shape_of
from workbench.sweeps.rows import Decoding, Row, complete_rows
from workbench.sweeps.workload import Load, Phase, phases

#: Shares of the published peaks that are assumed to be reached, and the time that starting the kernels of one layer and
#: all that is done with a row outside of the model take in Python: assumptions, to be replaced by a calibration wherever
#: the hardware is at hand (docs/planning.md).
FLOPS_EFFICIENCY = 0.5


BANDWIDTH_EFFICIENCY = 0.7


LAYER_SECONDS = 0.6e-3


ROW_SECONDS = 1e-3


BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Hardware:
    """What one device does per second, as a sweep reaches it (peaks times efficiency, or measured).

    Attributes:
        memory: bytes. prefill, decode: FLOP/s while reading prompts and while writing. bandwidth: bytes/s.
        layer_seconds: the least time one layer takes per forward pass. row_seconds: what a row takes outside of forward
            passes: its tokens, its place in a batch, its text, the store.
        overlaps: whether arithmetic, memory traffic and starting kernels happen at the same time, so that the slowest of
            them counts (a GPU), or their times add up (how a calibration is fitted).
        dtype: that the rates hold for. source: where the numbers come from.
    """

    name: str
    memory: float
    prefill: float
    decode: float
    bandwidth: float
    layer_seconds: float
    row_seconds: float
    overlaps: bool
    dtype: str
    source: str


@dataclass(frozen=True)
class Gpu:
    """Published numbers of a GPU: memory in GB, bandwidth in GB/s, dense peaks in TFLOP/s (16-bit matrix units, plain
    float32 and float64).
    """

    memory: float
    bandwidth: float
    half: float
    single: float
    double: float
    source: str


GPUS = {
    "a100-40": Gpu(40, 1555, 312, 19.5, 9.7, "NVIDIA A100 datasheet, SXM 40 GB"),
    "a100-80": Gpu(80, 2039, 312, 19.5, 9.7, "NVIDIA A100 datasheet, SXM 80 GB"),
    "h100": Gpu(80, 3350, 989, 67, 34, "NVIDIA H100 datasheet, SXM, without sparsity"),
    "h200": Gpu(141, 4800, 989, 67, 34, "NVIDIA H200 datasheet, SXM, without sparsity"),
    "l40s": Gpu(48, 864, 362, 91.6, 1.4, "NVIDIA L40S datasheet, without sparsity"),
    "rtx-3090": Gpu(24, 936, 71, 35.6, 0.56, "NVIDIA GA102 whitepaper, float32 accumulation, without sparsity"),
    "rtx-4090": Gpu(24, 1008, 165.2, 82.6, 1.3, "NVIDIA Ada whitepaper, float32 accumulation, without sparsity"),
}


def gpu(name: str, dtype: str) -> Hardware:
    """A GPU by name, at the assumed efficiency.

    Raises:
        WorkbenchError: an unknown GPU or dtype.

    >>> gpu("RTX 4090", "bfloat16").memory
    24000000000.0
    """
    key = name.lower().replace(" ", "-").replace("_", "-").removeprefix("nvidia-")
    if key not in GPUS:
        near = difflib.get_close_matches(key, GPUS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise WorkbenchError(f"unknown hardware {name!r}: {hint}There are 'here' and {', '.join(GPUS)}")
    if dtype not in BYTES:
        raise WorkbenchError(f"dtype {dtype!r}: expected {', '.join(BYTES)}")
    found = GPUS[key]
    peak = {8: found.double, 4: found.single, 2: found.half}[BYTES[dtype]] * 1e12
    reached = peak * FLOPS_EFFICIENCY
    bandwidth = found.bandwidth * 1e9 * BANDWIDTH_EFFICIENCY
    about = f"{found.source}; {FLOPS_EFFICIENCY:.0%} of peak FLOP/s and {BANDWIDTH_EFFICIENCY:.0%} of bandwidth assumed"
    return Hardware(
        key, found.memory * 1e9, reached, reached, bandwidth, LAYER_SECONDS, ROW_SECONDS, True, dtype, about
    )


@dataclass(frozen=True)
class Measured:
    """A run of one batch: its load, the tokens that each row wrote, and the seconds of its passes and of all else."""

    load: Load
    written: tuple[int, ...]
    reading: float
    writing: float
    rest: float


def timed(model: Model, rows: Sequence[Row], tasks: Sequence[Task], new: int) -> Measured:
    """Sweep some rows as one batch, into a store that is thrown away; ``tasks`` are those of the rows."""
    with tempfile.TemporaryDirectory() as folder, _watched(model) as passes:
        started = perf_counter()
        done = complete_rows(model, rows, Decoding(new), len(rows))
        Store(folder).append(done)
        took = perf_counter() - started
    written = done["tokens"].tolist()
    load = Load.of(tasks, model.n_layers, written, len(rows))
    reads = load.readings[0].passes
    read, wrote = sum(passes[:reads]), sum(passes[reads:])
    return Measured(load, tuple(written), read, wrote, took - read - wrote)


@contextmanager
def _watched(model: Model) -> Iterator[list[float]]:
    """The seconds of each forward pass that happens inside, as they happen."""
    passes: list[float] = []
    started = [0.0]

    def now() -> float:
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)
        return perf_counter()

    def begin(_: Any, args: tuple, kwargs: dict) -> None:
        started[0] = now()

    def end(_: Any, args: tuple, kwargs: dict, out: Any) -> None:
        passes.append(now() - started[0])

    handles = [
        model.hf.register_forward_pre_hook(begin, with_kwargs=True),
        model.hf.register_forward_hook(end, with_kwargs=True),
    ]
    try:
        yield passes
    finally:
        for handle in handles:
            handle.remove()


def fit(model: Model, runs: Sequence[Measured], memory: float) -> Hardware:
    """The rates that explain the runs, from few to many rows. docs/planning.md says how, and why so.

    A resource whose time cannot be told from zero gets an infinite rate.
    """
    sizes, dtype = shape_of(model.hf.config.to_dict(), model.name), str(model.dtype).removeprefix("torch.")
    loads = [phases(sizes, run.load, BYTES[dtype]) for run in runs]
    reads = [(run.reading, read) for run, (read, _) in zip(runs, loads, strict=True)]
    writes = [(run.writing, write) for run, (_, write) in zip(runs, loads, strict=True) if write.passes]
    per_byte, per_flop = _solved(writes or reads)
    flops = sum(read.flops for _, read in reads)
    reading = sum(took - per_byte * read.weights for took, read in reads)
    last = runs[-1]
    about = f"calibrated with {model.name}: {sum(r.reading + r.writing + r.rest for r in runs):.0f} s of its own rows"
    return Hardware(
        "here",
        memory,
        prefill=flops / reading if reading > 0 else float("inf"),
        decode=_rate(per_flop),
        bandwidth=_rate(per_byte),
        layer_seconds=0.0,
        row_seconds=max(0.0, last.rest / last.load.rows),
        overlaps=False,
        dtype=dtype,
        source=about,
    )


def _solved(runs: Sequence[tuple[float, Phase]]) -> tuple[float, float]:
    """Costs per byte of weights and per FLOP, none below zero, that come closest to the seconds, relative to these."""
    seconds = np.array([took for took, _ in runs])
    table = np.array([(phase.weights, phase.flops) for _, phase in runs]) / seconds[:, None]
    scale = table.max(axis=0)
    first, second = nnls(table / scale, np.ones(len(runs)))[0] / scale
    return float(first), float(second)


def _rate(cost: float) -> float:
    return 1 / cost if cost > 0 else float("inf")
