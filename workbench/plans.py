"""What a plan is: the estimate of a sweep's rows, tokens, time and memory, and how it is told."""

from dataclasses import dataclass

from workbench.hardware import BYTES, Hardware
from workbench.shapes import Shape
from workbench.workload import Load, Phase, phases, row_bytes


@dataclass(frozen=True)
class Plan:
    """What a sweep will cost; prints as a table.

    Attributes:
        rows: prompt × arm; load.rows of them differ and are computed.
        prefill, decode, rest: seconds of reading, of writing, and of what is done with rows outside of the model.
        weights, cache, work: bytes on one copy of the model: of the weights, of a batch's KV cache, and beside it.
        per_copy: GPUs (or machines) that one copy of the model takes. copies: how many work side by side.
        assumed: what was not known.
    """

    model: str
    hardware: Hardware
    rows: int
    load: Load
    prefill: float
    decode: float
    rest: float
    weights: float
    cache: float
    work: float
    per_copy: int
    copies: int
    assumed: tuple[str, ...]

    @classmethod
    def of(
        cls,
        sizes: Shape,
        device: Hardware,
        rows: int,
        load: Load,
        per_copy: int,
        copies: int,
        assumed: tuple[str, ...],
    ) -> "Plan":
        """The plan of a load on so many copies of a model."""
        share = BYTES[device.dtype]
        reading, writing = phases(sizes, load, share)
        cache, work = row_bytes(sizes, load.width + load.longest, share)
        return cls(
            sizes.name,
            device,
            rows,
            load,
            seconds(device, sizes.layers, reading, device.prefill) / copies,
            seconds(device, sizes.layers, writing, device.decode) / copies,
            load.rows * device.row_seconds / copies,
            float(sizes.parameters * share),
            float(load.batch_size * cache),
            float(load.batch_size * work),
            per_copy,
            copies,
            assumed,
        )

    @property
    def seconds(self) -> float:
        """Estimated time until all responses are written. Loading the model and computing scores are not in it."""
        return self.prefill + self.decode + self.rest

    @property
    def memory(self) -> float:
        """Bytes on one copy of the model: weights, KV cache and workspace together."""
        return self.weights + self.cache + self.work

    def __str__(self) -> str:
        load, giga = self.load, 1e9
        lines = [
            ("model", f"{self.model}, {self.hardware.dtype}"),
            ("hardware", f"{self.copies} × {self.per_copy} × {self.hardware.name} ({self.hardware.source})"),
            ("rows", f"{self.rows:,}, of which {load.rows:,} differ; batches of {load.batch_size}"),
            (
                "tokens",
                f"{load.read_tokens:,.0f} read of {load.prompt_tokens:,}, {load.new_tokens:,} written",
            ),
            (
                "time",
                f"{_duration(self.seconds)} (reading {_duration(self.prefill)}, writing {_duration(self.decode)}, "
                f"around them {_duration(self.rest)}); scores not counted",
            ),
            ("rate", f"{load.rows / self.seconds:,.2f} completions/s"),
            (
                "memory",
                f"{self.memory / giga:.1f} GB per copy (weights {self.weights / giga:.1f}, KV cache {self.cache / giga:.1f})",
            ),
            *(("assumed", text) for text in self.assumed),
        ]
        return "\n".join(f"{name:<9} {text}" for name, text in lines)


def seconds(device: Hardware, layers: int, phase: Phase, rate: float) -> float:
    """The time of a phase at ``rate`` FLOP/s: of the slowest resource, or the sum of all, as the device works.

    Traffic of the KV cache grows with the rows, as FLOPs do; a calibrated ``decode`` rate has it in it already.
    """
    start = phase.passes * layers * device.layer_seconds
    if device.overlaps:
        return max(start, phase.flops / rate, (phase.weights + phase.cache) / device.bandwidth)
    return start + phase.flops / rate + phase.weights / device.bandwidth


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
