"""What one device does per second in a sweep: published peaks of GPUs times an assumed efficiency, or rates measured here."""

from dataclasses import dataclass

from workbench._errors import WorkbenchError, unknown

#: Assumed, measured by nobody here: the shares of the peaks that are reached, and the seconds of starting a layer's kernels.
FLOPS_SHARE, BANDWIDTH_SHARE, LAYER_SECONDS = 0.5, 0.7, 0.6e-3
#: Bytes per number.
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Hardware:
    """What one device does per second, as a sweep reaches it. Calibrated rates hold all that takes time."""

    name: str
    memory: float  # bytes
    prefill: float  # FLOP/s while prompts are read
    decode: float  # FLOP/s while responses are written
    dtype: str  # that the rates hold for
    source: str  # where the numbers come from
    bandwidth: float = float("inf")  # bytes/s
    layer_seconds: float = 0.0  # the least time of one layer per pass


#: Published by NVIDIA: GB, GB/s, dense peaks in TFLOP/s of 16-bit matrix units, float32 and float64, and where they stand.
GPUS: dict[str, tuple[float, float, float, float, float, str]] = {
    "a100-40": (40, 1555, 312, 19.5, 9.7, "A100 datasheet, SXM 40 GB"),
    "a100-80": (80, 2039, 312, 19.5, 9.7, "A100 datasheet, SXM 80 GB"),
    "h100": (80, 3350, 989, 67, 34, "H100 datasheet, SXM, without sparsity"),
    "h200": (141, 4800, 989, 67, 34, "H200 datasheet, SXM, without sparsity"),
    "l40s": (48, 864, 362, 91.6, 1.4, "L40S datasheet, without sparsity"),
    "rtx-3090": (24, 936, 71, 35.6, 0.56, "GA102 whitepaper, float32 accumulation, without sparsity"),
    "rtx-4090": (24, 1008, 165.2, 82.6, 1.3, "Ada whitepaper, float32 accumulation, without sparsity"),
}


def gpu(name: str, dtype: str) -> Hardware:
    """A GPU by name, at the assumed efficiency. Raises WorkbenchError for an unknown GPU or dtype.

    >>> gpu("RTX 4090", "bfloat16").memory
    24000000000.0
    """
    key = str(name).lower().replace(" ", "-").replace("_", "-").removeprefix("nvidia-")
    if key not in GPUS:
        raise unknown("hardware", name, ["here", *GPUS])
    if dtype not in BYTES:
        raise WorkbenchError(f"dtype {dtype!r}: expected {', '.join(BYTES)}")
    memory, bandwidth, half, single, double, about = GPUS[key]
    rate = {8: double, 4: single, 2: half}[BYTES[dtype]] * 1e12 * FLOPS_SHARE
    source = f"NVIDIA {about}; assumed, not measured: {FLOPS_SHARE:.0%} of FLOP/s, {BANDWIDTH_SHARE:.0%} of bandwidth"
    return Hardware(key, memory * 1e9, rate, rate, dtype, source, bandwidth * 1e9 * BANDWIDTH_SHARE, LAYER_SECONDS)
