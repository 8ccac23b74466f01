"""What a sweep will cost, before it is run: rows, tokens, time and memory. docs/planning.md derives every formula here.

A sweep is so many forward passes, FLOPs and bytes (``Load``, ``Phase``); a device does so many per second (``Hardware``).
A calibration measures the second by running a little of the sweep itself.

What a plan is: the estimate of a sweep's rows, tokens, time and memory, and how it is told.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from workbench._errors import WorkbenchError
from workbench.generation.applied import check, first_edited
from workbench.generation.memory import BATCH_SHARE, free_bytes, row_bytes_of
from workbench.generation.schedule import Task
from workbench.models.model import Model
from workbench.models.prompts import Pairs, Prompts, as_prompts
from workbench.models.sizes import Shape, shape, shape_of
from workbench.steering.arms import Arm
from workbench.steering.directions import Direction
from workbench.steering.positions import ALL, Positions, as_positions
from workbench.steering.sites import resid_post
from workbench.steering.steer import Steer
from workbench.steering.verbs import add
from workbench.sweeps.hardware import BYTES, Hardware, Measured, fit, gpu, timed
from workbench.sweeps.rows import Row
from workbench.sweeps.workload import Load, Phase, phases


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
        cache, work = row_bytes_of(sizes, load.width + load.longest, share)
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


#: Without a tokenizer: characters per token of English, and tokens of a chat template around a user turn.
_CHARACTERS_PER_TOKEN, _TEMPLATE_TOKENS = 4.0, 20


#: The share of a device's memory that is left to the framework and to fragments.
_RESERVE = 0.1


#: A calibration runs a batch, or this share of the rows if that is less (but at least _SMALL rows), and a quarter of it.
_SAMPLE, _SMALL, _QUARTER = 0.25, 32, 4


Asked = Pairs | Prompts | Sequence[str] | Mapping[str, Prompts]


def plan(
    model: Model | str,
    prompts: Asked,
    arms: Sequence[Arm] | int,
    max_new_tokens: int = 48,
    batch_size: int = 256,
    hardware: str | Hardware = "here",
    gpus: int = 1,
    dtype: str | None = None,
    on: Positions | str = ALL,
) -> Plan:
    """Rows, tokens, time and memory of a sweep, before it is run.

    Args:
        model: a loaded model, or the name of one whose sizes are known (``workbench.shapes``); a name loads nothing.
        prompts, arms, max_new_tokens, batch_size: as for ``sweep``; ``arms`` may be a number of conditions.
        hardware: "here" (calibrated: runs a little of the sweep), the name of a GPU, or what ``calibrate`` returned for
            another model on this machine.
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
    rows, assumed = _rows(sizes, asked, arms, as_positions(on))
    rows, tasks, guessed = _ordered(model, rows)
    device = _device(model, hardware, dtype)
    per_copy, most = _fit(sizes, max(task.tokens for task in tasks) + max_new_tokens, device, gpus, batch_size)
    if isinstance(model, Model) and hardware == "here":
        device, load = _calibrated(model, rows, tasks, max_new_tokens, most)
    else:
        load = Load.of(tasks, sizes.layers, [max_new_tokens] * len(tasks), most)
    if hardware != "here" and max_new_tokens > 1:
        assumed += (f"every response is {max_new_tokens} tokens long",)
    number = arms if isinstance(arms, int) else len(arms)
    return Plan.of(sizes, device, len(asked) * number, load, per_copy, gpus // per_copy, guessed + assumed)


def calibrate(
    model: Model,
    prompts: Asked,
    arms: Sequence[Arm] | int,
    max_new_tokens: int = 48,
    batch_size: int = 256,
    on: Positions | str = ALL,
) -> Hardware:
    """What this machine does per second in a sweep, measured on a loaded model; arguments as for ``plan``.

    Use it for a larger model that is not loaded: ``plan("qwen2-7b", …, hardware=calibrate(small, …))``.
    """
    return plan(model, prompts, arms, max_new_tokens, batch_size, on=on).hardware


def _calibrated(
    model: Model, rows: Sequence[Row], tasks: Sequence[Task], new: int, batch_size: int
) -> tuple[Hardware, Load]:
    """Rates fitted to two batches of rows drawn from the sweep, and the load if all rows write what these wrote."""
    for steer in {id(row.arm.steer): row.arm.steer for row in rows}.values():
        check(steer, model)
    many = min(len(rows), batch_size, max(_SMALL, round(_SAMPLE * len(rows))))
    chance = random.Random(0)

    def run(size: int, longest: int) -> Measured:
        chosen = sorted(chance.sample(range(len(rows)), size))  # in the order of the sweep
        return timed(model, [rows[i] for i in chosen], [tasks[i] for i in chosen], longest)

    run(1, min(2, new))  # to warm up
    runs = [run(size, new) for size in (max(1, many // _QUARTER), many)]
    seen = [tokens for run in runs for tokens in run.written]  # over and over, so that every batch has their mixture
    written = [seen[i % len(seen)] for i in range(len(rows))]
    return fit(model, runs, _memory_here(model)), Load.of(tasks, model.n_layers, written, batch_size)


def _flat(prompts: Asked) -> Prompts:
    if isinstance(prompts, Pairs):
        sides = [side for side in (prompts.positive, prompts.negative, prompts.borderline) if side is not None]
        return as_prompts([prompt for side in sides for prompt in side])
    if isinstance(prompts, Mapping):
        return as_prompts([prompt for side in prompts.values() for prompt in side])
    return as_prompts(prompts)


def _rows(sizes: Shape, asked: Prompts, arms: Sequence[Arm] | int, on: Positions) -> tuple[list[Row], tuple[str, ...]]:
    """The rows that differ, and what had to be assumed for them."""
    assumed: tuple[str, ...] = ()
    if isinstance(arms, int):
        assumed = (f"every arm edits layer {sizes.layers // 2}",)
        arms = [Arm(steer, "direction") for steer in _stand_ins(sizes, arms, on)]
    if not arms:
        raise WorkbenchError("a sweep needs arms; got none")
    distinct = {arm.steer.key: arm for arm in arms}
    whole = {(prompt.text, prompt.system): prompt for prompt in asked}
    rows = [
        Row("", prompt, arm, f"{i} {key}") for i, prompt in enumerate(whole.values()) for key, arm in distinct.items()
    ]
    return rows, assumed


def _stand_ins(sizes: Shape, number: int, on: Positions) -> list[Steer]:
    """Where only the number of conditions is known: amounts of one random direction in the middle of the model."""
    if number < 1:
        raise WorkbenchError(f"arms={number}: expected at least 1")
    vector = torch.randn(sizes.hidden, generator=torch.Generator().manual_seed(0))
    direction = Direction(vector, resid_post(sizes.layers // 2), sizes.name, "", "random(seed=0)")
    # too small to change what is written, as costly as any others: all different, since equal ones would be one
    return [add(direction, coef=1e-6 * (i + 1), on=on) for i in range(number)]


def _ordered(model: Model | str, rows: Sequence[Row]) -> tuple[list[Row], list[Task], tuple[str, ...]]:
    """Rows in the order in which a sweep runs them, what each asks of a model, and what had to be assumed for it."""
    asked = list({(row.prompt.text, row.prompt.system): row.prompt for row in rows}.values())
    assumed: tuple[str, ...] = ()
    if isinstance(model, Model):
        counts = list(model.encode(asked).lengths)
    else:
        counts = [_TEMPLATE_TOKENS + round(len(f"{p.system}{p.text}") / _CHARACTERS_PER_TOKEN) for p in asked]
        assumed = (f"{_CHARACTERS_PER_TOKEN:g} characters per token and {_TEMPLATE_TOKENS} tokens of chat template",)
    lengths = {(p.text, p.system): count for p, count in zip(asked, counts, strict=True)}
    steers = {id(row.arm.steer): row.arm.steer for row in rows}
    layers = {place: _lowest(steer) for place, steer in steers.items()}
    starts = {
        (place, count): first_edited(steer, count) for place, steer in steers.items() for count in dict.fromkeys(counts)
    }

    def task(row: Row) -> Task:
        place, prompt = id(row.arm.steer), (row.prompt.text, row.prompt.system)
        count = lengths[prompt]
        return Task("\0".join(prompt), count, starts[place, count], layers[place])

    pairs = sorted(((row, task(row)) for row in rows), key=lambda pair: pair[1].place)
    return [row for row, _ in pairs], [one for _, one in pairs], assumed


def _lowest(steer: Steer) -> int | None:
    """The lowest layer that a Steer writes to or a condition of it reads."""
    sites = [edit.site for edit in steer.effective]
    sites += [edit.condition.direction.site for edit in steer.effective if edit.condition is not None]
    return min((site.layer for site in sites), default=None)


def _device(model: Model | str, hardware: str | Hardware, dtype: str | None) -> Hardware:
    """The hardware; for "here" only its memory, until it is calibrated."""
    own = str(model.dtype).removeprefix("torch.") if isinstance(model, Model) else None
    if isinstance(hardware, Hardware):
        if dtype not in (None, hardware.dtype):
            raise WorkbenchError(f"dtype {dtype}: this hardware was calibrated in {hardware.dtype}")
        return hardware
    if hardware != "here":
        return gpu(hardware, dtype or own or "bfloat16")
    if not isinstance(model, Model):
        raise WorkbenchError(
            f"hardware 'here' is calibrated with a loaded model: wb.plan(wb.load({model!r}), …), or, for a model too large "
            f"for that, wb.plan({model!r}, …, hardware=wb.calibrate(a_smaller_model, …)), or name a GPU"
        )
    if dtype not in (None, own):
        raise WorkbenchError(f"dtype {dtype}: the model is loaded in {own}; load it in the dtype to plan for")
    inf = float("inf")
    return Hardware("here", _memory_here(model), inf, inf, inf, 0.0, 0.0, False, str(own), "not yet calibrated")


def _memory_here(model: Model) -> float:
    """What this machine has for a model and its batches: what is free now, and what the loaded model takes."""
    return float(free_bytes(model.device) + sum(p.nbytes for p in model.hf.parameters()))


def _fit(sizes: Shape, tokens: int, device: Hardware, gpus: int, batch_size: int) -> tuple[int, int]:
    """Devices that one copy takes, and rows per batch: smaller batches if there are too few devices for whole ones.

    Raises:
        WorkbenchError: not even one row fits; with what would.
    """
    usable = device.memory * (1 - _RESERVE)

    def most(devices: int, dtype: str) -> int:
        weights, row = sizes.parameters * BYTES[dtype], sum(row_bytes_of(sizes, tokens, BYTES[dtype]))
        return min(batch_size, int(BATCH_SHARE * (devices * usable - weights) / row))

    for devices in range(1, gpus + 1):
        if most(devices, device.dtype) == batch_size:
            return devices, batch_size
    if (rows := most(gpus, device.dtype)) >= 1:
        return gpus, rows
    enough = gpus
    while most(enough, device.dtype) < 1:
        enough += 1
    ways = [f"gpus={enough}"]
    if device.dtype in ("float32", "float64") and most(gpus, "bfloat16") >= 1:
        ways.append("dtype='bfloat16'")
    weights, row = sizes.parameters * BYTES[device.dtype], sum(row_bytes_of(sizes, tokens, BYTES[device.dtype]))
    raise WorkbenchError(
        f"{sizes.name} in {device.dtype} takes {weights / 1e9:.0f} GB, and {row / 1e9:.2g} GB more per row, but {gpus} × "
        f"{device.name} can hold {gpus * usable / 1e9:.0f} GB ({_RESERVE:.0%} is kept free, and {1 - BATCH_SHARE:.0%} of "
        f"what batches could take); what would fit: {' or '.join(ways)}"
    )
