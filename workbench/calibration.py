"""What this machine does per second, measured by running a little of a sweep, pass by pass."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

from workbench.hardware import BYTES, Hardware
from workbench.models import Model
from workbench.rows import Decoding, Row, complete_rows
from workbench.shapes import shape_of
from workbench.store import Store
from workbench.workload import Load, Phase, Task, phases


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
