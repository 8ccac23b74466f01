"""What computing costs on a machine: published peaks of GPUs times a stated efficiency, or rates measured here."""

import difflib
from dataclasses import dataclass

from workbench.errors import WorkbenchError

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
