"""What a sweep will cost, before it is run: rows, tokens, time and memory. docs/planning.md derives every formula here.

A sweep is so many forward passes, FLOPs and bytes (``Load``, ``Phase``); a device does so many per second (``Hardware``).
A calibration measures the second by running a little of the sweep itself.
"""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from workbench.calibration import fit, timed
from workbench.directions import Direction
from workbench.edits import Steer
from workbench.errors import WorkbenchError
from workbench.hardware import BYTES, Hardware, gpu
from workbench.models import Model
from workbench.positions import ALL, Positions, as_positions
from workbench.prompt_sets import Pairs, Prompts, as_prompts
from workbench.shapes import Shape, shape, shape_of
from workbench.sites import resid_post
from workbench.steering import add, check, first_edited
from workbench.sweeps import Arm
from workbench.workload import Load, Phase, memory_of, phases

#: Without a tokenizer: characters per token of English, and tokens of a chat template around a user turn.
_CHARACTERS_PER_TOKEN, _TEMPLATE_TOKENS = 4.0, 20
#: The share of a device's memory that is left to the framework and to fragments.
_RESERVE = 0.1
#: A calibration runs a batch, or this share of the rows if that is less (but at least _SMALL rows).
_SAMPLE, _SMALL = 0.25, 32


@dataclass(frozen=True)
class Plan:
    """What a sweep will cost; prints as a table.

    Attributes:
        rows: prompt × arm; load.rows of them differ and are computed.
        seconds: of the whole sweep, on all GPUs; prefill and decode are its parts.
        memory: bytes on one copy of the model: weights, KV cache and workspace together; weights, cache alone.
        per_copy: GPUs (or machines) that one copy of the model takes. copies: how many work side by side.
    """

    model: str
    hardware: Hardware
    rows: int
    load: Load
    prefill: float
    decode: float
    weights: float
    cache: float
    memory: float
    per_copy: int
    copies: int
    assumed: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Estimated time of the whole sweep, loading the model not included."""
        return self.prefill + self.decode

    def __str__(self) -> str:
        load, giga = self.load, 1e9
        lines = [
            ("model", f"{self.model}, {self.hardware.dtype}"),
            ("hardware", f"{self.copies} × {self.per_copy} × {self.hardware.name} ({self.hardware.source})"),
            ("rows", f"{self.rows:,}, of which {load.rows:,} differ; batches of {load.batch_size}"),
            (
                "tokens",
                f"{load.read_tokens:,} read of {load.prompt_tokens:,}, {load.rows * load.new_tokens:,.0f} written",
            ),
            (
                "time",
                f"{_duration(self.seconds)} (reading {_duration(self.prefill)}, writing {_duration(self.decode)})",
            ),
            ("rate", f"{load.rows / self.seconds:,.1f} completions/s"),
            (
                "memory",
                f"{self.memory / giga:.1f} GB per copy (weights {self.weights / giga:.1f}, KV cache {self.cache / giga:.1f})",
            ),
            *(("assumed", text) for text in self.assumed),
        ]
        return "\n".join(f"{name:<9} {text}" for name, text in lines)


def plan(
    model: Model | str,
    prompts: Pairs | Prompts | Sequence[str] | Mapping[str, Prompts],
    arms: Sequence[Arm] | int,
    max_new_tokens: int = 48,
    batch_size: int = 160,
    hardware: str | Hardware = "here",
    gpus: int = 1,
    dtype: str | None = None,
    on: Positions | str = ALL,
) -> Plan:
    """Rows, tokens, time and memory of a sweep, before it is run.

    Args:
        model: a loaded model, or the name of one whose sizes are known (``workbench.shapes``); a name loads nothing.
        prompts, arms, max_new_tokens, batch_size: as for ``sweep``; ``arms`` may be a number of conditions.
        hardware: "here" (calibrated: runs a little of the sweep, a few seconds), the name of a GPU, or what
            ``calibrate`` returned for another model on this machine.
        gpus: how many such devices; a copy of the model takes as many as its memory needs, and copies work side by side.
        dtype: of the weights; default: that of the loaded model or of the hardware, else bfloat16.
        on: which tokens are steered, where ``arms`` is a number.

    Raises:
        WorkbenchError: unknown model, hardware or dtype, or a model that does not fit; before any compute.

    >>> found = plan("gemma2-9b-it", ["How do I bake bread?"] * 100, arms=31, hardware="h100")
    >>> found.rows, found.copies
    (3100, 1)
    """
    if min(gpus, max_new_tokens, batch_size) < 1:
        raise WorkbenchError(
            f"gpus={gpus}, max_new_tokens={max_new_tokens}, batch_size={batch_size}: expected at least 1"
        )
    sizes = shape(model) if isinstance(model, str) else shape_of(model.hf.config.to_dict(), model.name)
    asked = _flat(prompts)
    lengths, assumed = _lengths(model, asked)
    load, rows = _load(asked, lengths, arms, as_positions(on), max_new_tokens, batch_size)
    device = _device(model, hardware, dtype)
    per_copy = _fit(sizes, load, device, gpus)
    if isinstance(model, Model) and hardware == "here":
        device, load = _calibrated(model, asked, arms, as_positions(on), load)
    elif max_new_tokens > 1:
        assumed += (f"every response is {max_new_tokens} tokens long",)
    copies, share = gpus // per_copy, BYTES[device.dtype]
    reading, writing = phases(sizes, load, share)
    weights, cache, work = memory_of(sizes, load, share)
    return Plan(
        sizes.name,
        device,
        rows,
        load,
        seconds(device, sizes.layers, reading, device.prefill) / copies,
        seconds(device, sizes.layers, writing, device.decode) / copies,
        weights,
        cache,
        weights + cache + work,
        per_copy,
        copies,
        assumed,
    )


def calibrate(
    model: Model,
    prompts: Pairs | Prompts | Sequence[str] | Mapping[str, Prompts],
    arms: Sequence[Arm] | int,
    max_new_tokens: int = 48,
    batch_size: int = 160,
    on: Positions | str = ALL,
) -> Hardware:
    """What this machine does per second in a sweep, measured on a loaded model; arguments as for ``plan``.

    Use it for a larger model that is not loaded: ``plan("qwen2-7b", …, hardware=calibrate(small, …))``.
    """
    asked, positions = _flat(prompts), as_positions(on)
    lengths, _ = _lengths(model, asked)
    load, _ = _load(asked, lengths, arms, positions, max_new_tokens, batch_size)
    return _calibrated(model, asked, arms, positions, load)[0]


def _calibrated(
    model: Model, asked: Prompts, arms: Sequence[Arm] | int, on: Positions, load: Load
) -> tuple[Hardware, Load]:
    """Rates fitted to four runs (few and many rows, one and all new tokens), and the load with the measured lengths."""
    steers = _steers(model, arms, on)
    for steer in steers:
        check(steer, model)
    many = min(load.batch_size, max(_SMALL, round(_SAMPLE * load.rows)))
    chance = random.Random(0)
    prompts = chance.sample(list(asked), len(asked))
    timed(model, prompts[:1], steers[:1], 2, 1)  # warm-up
    runs = []
    for rows in (max(1, many // 4), many):
        conditions = chance.sample(steers, min(len(steers), max(1, rows // 4)))
        few = prompts[: max(1, rows // len(conditions))]  # one batch: a second, small one would blur the cost of a pass
        runs += [timed(model, few, conditions, new, load.batch_size) for new in dict.fromkeys((1, load.longest))]
    last = runs[-1].load
    found = replace(load, new_tokens=last.new_tokens, longest=last.longest)
    return fit(model, runs, _memory_here()), found


def _steers(model: Model, arms: Sequence[Arm] | int, on: Positions) -> list[Steer]:
    """The different conditions; where only their number is known, amounts of one random direction in the middle of the model."""
    if not isinstance(arms, int):
        return list({arm.steer.key: arm.steer for arm in arms}.values())
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(model.d_model, generator=generator)
    direction = Direction(vector, resid_post(model.n_layers // 2), model.name, model.revision, "random(seed=0)")
    # too small to change what is written, as costly as any others: all different, since equal ones would be one
    return [add(direction, coef=1e-6 * (i + 1), on=on) for i in range(arms)]


def seconds(device: Hardware, layers: int, phase: Phase, rate: float) -> float:
    """The time of a phase at ``rate`` FLOP/s: of the slowest resource, or the sum of all, as the device works.

    Traffic of the KV cache grows with the rows, as FLOPs do; a calibrated ``decode`` rate has it in it already.
    """
    start = phase.passes * layers * device.layer_seconds
    if device.overlaps:
        return max(start, phase.flops / rate, (phase.weights + phase.cache) / device.bandwidth)
    return start + phase.flops / rate + phase.weights / device.bandwidth


def _flat(prompts: Pairs | Prompts | Sequence[str] | Mapping[str, Prompts]) -> Prompts:
    if isinstance(prompts, Pairs):
        sides = [side for side in (prompts.positive, prompts.negative, prompts.borderline) if side is not None]
        return as_prompts([prompt for side in sides for prompt in side])
    if isinstance(prompts, Mapping):
        return as_prompts([prompt for side in prompts.values() for prompt in side])
    return as_prompts(prompts)


def _lengths(model: Model | str, asked: Prompts) -> tuple[list[int], tuple[str, ...]]:
    """Tokens of each prompt, template included, and what had to be assumed for it."""
    if isinstance(model, Model):
        return list(model.encode(asked).lengths), ()
    about = f"{_CHARACTERS_PER_TOKEN:g} characters per token and {_TEMPLATE_TOKENS} tokens of chat template"
    return [_TEMPLATE_TOKENS + round(len(p.text) / _CHARACTERS_PER_TOKEN) for p in asked], (about,)


def _load(
    asked: Prompts, lengths: Sequence[int], arms: Sequence[Arm] | int, on: Positions, new: int, batch_size: int
) -> tuple[Load, int]:
    """The load of a sweep, identical conditions once, and its number of rows."""
    if isinstance(arms, int):
        if arms < 1:
            raise WorkbenchError(f"arms={arms}: expected at least 1")
        starts = [[_first(on, length)] * arms for length in lengths]
        return Load.of(lengths, starts, new, new, batch_size), arms * len(lengths)
    distinct = list({arm.steer.key: arm.steer for arm in arms}.values())
    if not distinct:
        raise WorkbenchError("a sweep needs arms; got none")
    starts = [[first_edited(steer, length) for steer in distinct] for length in lengths]
    return Load.of(lengths, starts, new, new, batch_size), len(arms) * len(lengths)


def _first(on: Positions, length: int) -> int:
    marked = on.mask(length, length)
    return int(marked.argmax()) if marked.any() else length


def _device(model: Model | str, hardware: str | Hardware, dtype: str | None) -> Hardware:
    """The hardware; for "here" only its memory, until it is calibrated."""
    own = str(model.dtype).removeprefix("torch.") if isinstance(model, Model) else None
    if isinstance(hardware, Hardware):
        if dtype not in (None, hardware.dtype):
            raise WorkbenchError(f"dtype {dtype}: this hardware was calibrated in {hardware.dtype}")
        return hardware
    if hardware != "here":
        return gpu(hardware, dtype or own or "bfloat16")
    if own is None:
        raise WorkbenchError(
            f"hardware 'here' is calibrated with a loaded model: wb.plan(wb.load({model!r}), …), or, for a model too large "
            f"for that, wb.plan({model!r}, …, hardware=wb.calibrate(a_smaller_model, …)), or name a GPU"
        )
    if dtype not in (None, own):
        raise WorkbenchError(f"dtype {dtype}: the model is loaded in {own}; load it in the dtype to plan for")
    return Hardware("here", _memory_here(), 1.0, 1.0, 1.0, 0.0, False, own, "not yet calibrated")


def _memory_here() -> float:
    if torch.cuda.is_available():
        return float(torch.cuda.mem_get_info()[1])
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _fit(sizes: Shape, load: Load, device: Hardware, gpus: int) -> int:
    """Devices that one copy takes. Raises WorkbenchError, with what would fit, if there are not as many."""
    usable = device.memory * (1 - _RESERVE)

    def needed(dtype: str, batch_size: int) -> int:
        return -(-int(sum(memory_of(sizes, replace(load, batch_size=batch_size), BYTES[dtype]))) // int(usable))

    here = needed(device.dtype, load.batch_size)
    if here <= gpus:
        return here
    ways = [f"gpus={here}"]
    if device.dtype in ("float32", "float64") and needed("bfloat16", load.batch_size) <= gpus:
        ways.append("dtype='bfloat16'")
    smaller = load.batch_size
    while smaller > 1 and needed(device.dtype, smaller) > gpus:
        smaller //= 2
    if needed(device.dtype, smaller) <= gpus:
        ways.append(f"batch_size={smaller}")
    total = sum(memory_of(sizes, load, BYTES[device.dtype]))
    raise WorkbenchError(
        f"{sizes.name} in {device.dtype} with batches of {load.batch_size} takes {total / 1e9:.0f} GB, but {gpus} × "
        f"{device.name} can hold {gpus * usable / 1e9:.0f} GB ({_RESERVE:.0%} is kept free); what would fit: {' or '.join(ways)}"
    )


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
