"""What one device does per second in a sweep: published peaks of GPUs times an assumed efficiency, or rates measured here."""

from dataclasses import dataclass

from workbench._errors import WorkbenchError, unknown

#: Shares of the published peaks that are assumed to be reached, the time that Python takes to start the kernels of one
#: layer, and the time that a row takes outside of the model. Nobody measured them: calibrate where the hardware is at hand.
FLOPS_EFFICIENCY = 0.5
BANDWIDTH_EFFICIENCY = 0.7
LAYER_SECONDS = 0.6e-3
ROW_SECONDS = 1e-3

#: Bytes per number.
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Hardware:
    """What one device does per second, as a sweep reaches it.

    Attributes:
        memory: bytes. prefill, decode: FLOP/s while prompts are read and while responses are written.
        bandwidth: bytes/s. layer_seconds: the least time that one layer takes per forward pass. row_seconds: what a row
            takes outside of forward passes. A calibrated rate has these three in it, so they cost nothing of their own.
        dtype: that the rates hold for. source: where the numbers come from.
    """

    name: str
    memory: float
    prefill: float
    decode: float
    dtype: str
    source: str
    bandwidth: float = float("inf")
    layer_seconds: float = 0.0
    row_seconds: float = 0.0


@dataclass(frozen=True)
class Gpu:
    """A GPU: memory in GB, bandwidth in GB/s, dense peaks in TFLOP/s (16-bit matrix units, plain float32, float64)."""

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
        raise unknown("hardware", name, ["here", *GPUS])
    if dtype not in BYTES:
        raise WorkbenchError(f"dtype {dtype!r}: expected {', '.join(BYTES)}")
    card = GPUS[key]
    reached = {8: card.double, 4: card.single, 2: card.half}[BYTES[dtype]] * 1e12 * FLOPS_EFFICIENCY
    source = f"{card.source}; assumed, not measured: {FLOPS_EFFICIENCY:.0%} of peak FLOP/s, {BANDWIDTH_EFFICIENCY:.0%} of bandwidth"
    bandwidth = card.bandwidth * 1e9 * BANDWIDTH_EFFICIENCY
    return Hardware(key, card.memory * 1e9, reached, reached, dtype, source, bandwidth, LAYER_SECONDS, ROW_SECONDS)
