"""What this machine does per second, measured by running a little of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from scipy.optimize import nnls

from workbench.edits import Steer
from workbench.generation import generate
from workbench.hardware import BYTES, Hardware
from workbench.models import Model
from workbench.prompt_sets import Prompt
from workbench.shapes import shape_of
from workbench.steering import first_edited
from workbench.workload import Load, phases


@dataclass(frozen=True)
class Measured:
    """A run: its load, and the seconds it took."""

    load: Load
    seconds: float


def timed(model: Model, prompts: Sequence[Prompt], steers: Sequence[Steer], new: int, batch_size: int) -> Measured:
    """Time every prompt under every Steer. The load has the number of tokens that were really written."""
    rows = [(prompt, steer) for prompt in prompts for steer in steers]
    started = perf_counter()
    done = generate(model, [p for p, _ in rows], [s for _, s in rows], new, batch_size=batch_size, progress=False)
    took = perf_counter() - started
    lengths = model.encode(list(prompts)).lengths
    starts = [[first_edited(steer, length) for steer in steers] for length in lengths]
    written = [len(ids) for ids in done.token_ids]
    return Measured(Load.of(lengths, starts, float(np.mean(written)), max(written), batch_size), took)


def fit(model: Model, runs: Sequence[Measured], memory: float) -> Hardware:
    """The rates that explain the runs best: seconds = weights / bandwidth + FLOPs read / prefill + FLOPs written / decode.

    Non-negative least squares on relative errors; a resource whose time cannot be told from zero gets an infinite rate.
    """
    sizes, dtype = shape_of(model.hf.config.to_dict(), model.name), str(model.dtype).removeprefix("torch.")
    table = []
    for run in runs:
        read, write = phases(sizes, run.load, BYTES[dtype])
        table.append(np.array([read.weights + write.weights, read.flops, write.flops]) / run.seconds)
    columns = np.array(table)
    scale = columns.max(axis=0)
    scale[scale == 0] = 1.0
    costs = nnls(columns / scale, np.ones(len(runs)))[0] / scale
    bandwidth, prefill, decode = (float(1 / cost) if cost > 0 else float("inf") for cost in costs)
    about = f"calibrated with {model.name}: {sum(run.seconds for run in runs):.0f} s of {len(runs)} runs"
    return Hardware("here", memory, prefill, decode, bandwidth, 0.0, False, dtype, about)
