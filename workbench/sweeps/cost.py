"""What a sweep will cost, before it is run: rows × tokens × a measured rate, and whether it fits into memory.

On this machine the rate is that of a few batches of the sweep itself; for a GPU it is a published peak times an assumed
efficiency. docs/planning.md says what is counted.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import torch

from workbench._errors import WorkbenchError
from workbench.generation.applied import check, first_edited
from workbench.generation.memory import BATCH_SHARE, free_bytes, row_bytes_of
from workbench.generation.schedule import lowest_layer
from workbench.models.model import Model
from workbench.models.prompts import Pairs, Prompt, Prompts
from workbench.models.sizes import Shape, shape, shape_of
from workbench.steering.arms import Arm
from workbench.steering.directions import Direction
from workbench.steering.positions import ALL, Positions, as_positions
from workbench.steering.sites import resid_post
from workbench.steering.steer import Steer
from workbench.steering.verbs import add
from workbench.sweeps.hardware import BYTES, Hardware, gpu
from workbench.sweeps.rows import Decoding, Job, complete_rows, named_sets

#: Without a tokenizer: characters per token of English, and tokens of a chat template around a user turn.
_CHARACTERS_PER_TOKEN, _TEMPLATE_TOKENS = 4.0, 20

#: The share of a device's memory that is left to the framework and to fragments.
_RESERVE = 0.1

#: Rows that a calibration runs, at least and at most (on a GPU a whole batch, where a row of a larger one costs less), and
#: prompts that it runs at least.
_FEW, _SAMPLE, _PROMPTS = 32, 128, 4


@dataclass(frozen=True)
class Load:
    """What some rows of a sweep ask of a model.

    Attributes:
        rows: prompt × condition, each different one once. batch_size: the most rows that are together.
        prompt_tokens: of all rows, as if nothing were shared. read_tokens: of them, those that are really read; one that
            only a share of the layers reads counts as that share.
        new_tokens: written in all rows. longest: tokens written in the longest row.
    """

    rows: int
    batch_size: int
    prompt_tokens: int
    read_tokens: float
    new_tokens: int
    longest: int

    @classmethod
    def of(
        cls, lengths: Sequence[int], steers: Sequence[Steer], layers: int, written: float, longest: int, batch_size: int
    ) -> "Load":
        """The load of prompts of so many tokens under each Steer, with so many tokens written on average."""
        rows, read = len(lengths) * len(steers), 0.0
        for tokens, number in Counter(lengths).items():
            places = Counter((first_edited(steer, tokens), lowest_layer(steer)) for steer in steers)
            read += number * read_tokens(tokens, places, layers, batch_size)
        return cls(rows, min(batch_size, rows), sum(lengths) * len(steers), read, round(rows * written), longest)

    @property
    def steps(self) -> int:
        """Tokens that are written by passes of their own: the first of a row comes out of reading its prompt."""
        return self.new_tokens - self.rows

    @property
    def context(self) -> float:
        """Tokens that a written one looks at, about."""
        return self.prompt_tokens / self.rows + self.longest / 2

    def flops(self, sizes: Shape) -> tuple[float, float]:
        """FLOPs of reading the prompts and of writing the responses: 2 per parameter and token, and those of attention."""
        layers, attention = 2 * sizes.layer_parameters, 4 * sizes.layers * sizes.heads * sizes.head_dim
        head, prompt = 2 * sizes.hidden * sizes.vocabulary, self.prompt_tokens / self.rows
        read = self.read_tokens * (layers + attention * prompt) + self.rows * head
        return read, self.steps * (layers + head + attention * self.context)


def read_tokens(tokens: int, places: Mapping[tuple[int, int], int], layers: int, batch_size: int) -> float:
    """How many tokens of one prompt are read under conditions counted by first edited token and lowest edited layer.

    What comes before the first edited token, or below the lowest edited layer, is read once for all conditions in a batch.

    >>> read_tokens(40, {(39, 3): 10}, layers=10, batch_size=1000) < 40 + 10  # ten arms that steer the last token
    True
    """
    late = sum(count for (start, _), count in places.items() if start >= tokens - 1)
    total = (1 + (late - 1) / batch_size) * (tokens - 1) + late if late else 0.0
    for layer in {layer for start, layer in places if start < tokens - 1}:
        group = {start: count for (start, at), count in places.items() if at == layer and start < tokens - 1}
        rows, first, below = sum(group.values()), min(group), layer / layers
        times = 1 + (rows - 1) / batch_size  # how many batches such a prompt is in
        total += min(times * first + rows * (tokens - first), tokens * (times * below + rows * (1 - below)))
    return total


@dataclass(frozen=True)
class Plan:
    """What a sweep will cost; prints as a table.

    Attributes:
        rows: prompt × arm; load.rows of them differ and are computed.
        prefill, decode: seconds of reading, with what a row takes outside of the model, and of writing.
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
    weights: float
    cache: float
    work: float
    per_copy: int
    copies: int
    assumed: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Estimated time until all responses are written. Loading the model and computing scores are not in it."""
        return self.prefill + self.decode

    @property
    def memory(self) -> float:
        """Bytes on one copy of the model: weights, KV cache and workspace together."""
        return self.weights + self.cache + self.work

    def __str__(self) -> str:
        load, hardware, giga = self.load, self.hardware, 1e9
        reading, writing, both = (_duration(seconds) for seconds in (self.prefill, self.decode, self.seconds))
        lines = [
            f"model     {self.model}, {hardware.dtype}",
            f"hardware  {self.copies} × {self.per_copy} × {hardware.name} ({hardware.source})",
            f"rows      {self.rows:,}, of which {load.rows:,} differ; batches of {load.batch_size}",
            f"tokens    {load.read_tokens:,.0f} read of {load.prompt_tokens:,}, {load.new_tokens:,} written",
            f"time      {both} (reading {reading}, writing {writing}); scores not counted",
            f"rate      {load.rows / self.seconds:,.2f} completions/s",
            f"memory    {self.memory / giga:.1f} GB per copy (weights {self.weights / giga:.1f}, KV cache {self.cache / giga:.1f})",
        ]
        return "\n".join([*lines, *(f"assumed   {text}" for text in self.assumed)])


def _duration(seconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in ((3600, "h"), (60, "min")) if seconds >= 1.5 * size), (1, "s"))
    return f"{seconds / size:.1f} {unit}"


def plan(
    model: Model | str,
    prompts: Pairs | Prompts | Sequence[str] | Mapping[str, Prompts],
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
        model: a loaded model, or the name of one whose sizes are known (``workbench.models.sizes``); a name loads nothing.
        prompts, arms, max_new_tokens, batch_size: as for ``sweep``; ``arms`` may be a number of conditions.
        hardware: "here" (calibrated: runs a few batches of the sweep), the name of a GPU, or the ``hardware`` of a
            calibrated plan of another model.
        gpus: how many such devices; a copy of the model takes as many as its memory needs, and copies work side by side.
        dtype: of the weights; default: that of the loaded model or of the hardware, else bfloat16.
        on: which tokens are steered, where ``arms`` is a number.

    Raises:
        WorkbenchError: unknown model, hardware or dtype, or a model that does not fit; before any compute.

    >>> sweep_plan = plan("gemma2-9b-it", ["How do I bake bread?"] * 100, arms=31, hardware="h100")
    >>> sweep_plan.rows, sweep_plan.load.rows, sweep_plan.copies
    (3100, 31, 1)
    """
    if min(gpus, max_new_tokens, batch_size) < 1:
        raise WorkbenchError(f"{gpus=}, {max_new_tokens=}, {batch_size=}: expected at least 1")
    sizes = shape(model) if isinstance(model, str) else shape_of(model.hf.config.to_dict(), model.name)
    asked = [prompt for side in named_sets(prompts).values() for prompt in side]
    steers, assumed = _steers(sizes, arms, as_positions(on))
    distinct = list({(prompt.text, prompt.system, prompt.prefill): prompt for prompt in asked}.values())
    if isinstance(model, Model):
        lengths = list(model.encode(distinct).lengths)
    else:
        lengths = [
            _TEMPLATE_TOKENS + round(len(p.system + p.text + p.prefill) / _CHARACTERS_PER_TOKEN) for p in distinct
        ]
        assumed += (f"{_CHARACTERS_PER_TOKEN:g} characters per token and {_TEMPLATE_TOKENS} tokens of chat template",)
    device = _device(model, hardware, dtype)
    per_copy, most = _fit(sizes, max(lengths) + max_new_tokens, device, gpus, batch_size)
    written: float = max_new_tokens
    if isinstance(model, Model) and hardware == "here":
        device, written = _calibrate(device, model, distinct, steers, max_new_tokens, most)
    elif max_new_tokens > 1:
        assumed += (f"every response is {max_new_tokens} tokens long",)
    load = Load.of(lengths, steers, sizes.layers, written, max_new_tokens, most)
    copies, share, number = gpus // per_copy, BYTES[device.dtype], arms if isinstance(arms, int) else len(arms)
    prefill, decode = (total / copies for total in seconds(sizes, device, load))
    cache, work = (float(load.batch_size * row) for row in row_bytes_of(sizes, max(lengths) + max_new_tokens, share))
    weights, rows = float(sizes.parameters * share), len(asked) * number
    return Plan(sizes.name, device, rows, load, prefill, decode, weights, cache, work, per_copy, copies, assumed)


def seconds(sizes: Shape, device: Hardware, load: Load) -> tuple[float, float]:
    """The seconds of reading and of writing: of the slowest of arithmetic, memory traffic and starting the kernels."""
    share, batches = BYTES[device.dtype], math.ceil(load.rows / load.batch_size)
    weights = (sizes.layer_parameters + sizes.hidden * sizes.vocabulary) * share
    cache = load.steps * load.context * sizes.cached_numbers * share

    def slowest(passes: float, flops: float, rate: float, cache: float) -> float:
        start = passes * sizes.layers * device.layer_seconds
        return max(start, flops / rate, (passes * weights + cache) / device.bandwidth)

    read, write = load.flops(sizes)
    return slowest(2 * batches, read, device.prefill, 0), slowest(
        batches * (load.longest - 1), write, device.decode, cache
    )


def _calibrate(
    device: Hardware, model: Model, prompts: Sequence[Prompt], steers: Sequence[Steer], new: int, batch_size: int
) -> tuple[Hardware, float]:
    """The rates of this machine, and the tokens that a row writes, from running a few prompts of the sweep under its arms.

    They are run twice: for one token each, which is reading, and for all of them. Prompts are drawn at random, with all of
    their arms where there is room, so that they share as much of their reading as in the sweep.
    """
    for steer in steers:
        check(steer, model)
    chance, most = random.Random(0), batch_size if model.device.type == "cuda" else min(batch_size, _SAMPLE)
    asked = chance.sample(prompts, min(len(prompts), max(_PROMPTS, most // len(steers))))
    chosen = chance.sample(steers, min(len(steers), -(-max(_FEW, most) // len(asked))))
    arms, chats = [Arm(steer, "direction") for steer in chosen], model.encode(asked)
    jobs = [
        Job("", prompt, arm, f"{i} {j}", ids)
        for i, (prompt, ids) in enumerate(zip(asked, chats.token_ids, strict=True))
        for j, arm in enumerate(arms)
    ]

    def run(jobs: Sequence[Job], longest: int) -> tuple[float, float]:
        started = perf_counter()
        done = complete_rows(model, jobs, Decoding(longest), batch_size)
        return perf_counter() - started, float(done["tokens"].mean())

    run(jobs[:1], min(2, new))  # to warm up
    reading, written = run(jobs, 1)
    took, written = run(jobs, new) if new > 1 else (reading, written)
    load = Load.of(chats.lengths, chosen, model.n_layers, written, new, batch_size)
    read, write = load.flops(shape_of(model.hf.config.to_dict(), model.name))
    decode = write / (took - reading) if took > reading else float("inf")
    about = f"calibrated with {len(jobs)} rows of the sweep, which took {reading + took:.0f} s"
    return replace(device, prefill=read / reading, decode=decode, source=about), written


def _steers(sizes: Shape, arms: Sequence[Arm] | int, on: Positions) -> tuple[list[Steer], tuple[str, ...]]:
    """The conditions that differ, and what had to be assumed for them."""
    if not isinstance(arms, int):
        if not arms:
            raise WorkbenchError("a sweep needs arms; got none")
        return list({arm.steer.key: arm.steer for arm in arms}.values()), ()
    if arms < 1:
        raise WorkbenchError(f"arms={arms}: expected at least 1")
    vector = torch.randn(sizes.hidden, generator=torch.Generator().manual_seed(0))
    direction = Direction(vector, resid_post(sizes.layers // 2), sizes.name, "", "random(seed=0)")
    # too small to change what is written, as costly as any others: all different, since equal ones would be one
    steers = [add(direction, coef=1e-6 * (i + 1), on=on) for i in range(arms)]
    return steers, (f"every arm edits layer {sizes.layers // 2}",)


def _device(model: Model | str, hardware: str | Hardware, dtype: str | None) -> Hardware:
    """The hardware; for "here" only its memory, until it is calibrated."""
    own = str(model.dtype).removeprefix("torch.") if isinstance(model, Model) else None
    if isinstance(hardware, Hardware) or hardware != "here":
        device = hardware if isinstance(hardware, Hardware) else gpu(hardware, dtype or own or "bfloat16")
    elif isinstance(model, Model):
        memory = free_bytes(model.device) + sum(p.nbytes for p in model.hf.parameters())  # what is free, and its own
        device = Hardware("here", float(memory), 0.0, 0.0, str(own), "not yet calibrated")
    else:
        raise WorkbenchError(
            f"hardware 'here' is calibrated with a loaded model: wb.plan(wb.load({model!r}), …), or, for a model too large "
            "for that, give hardware= the .hardware of a calibrated plan of a smaller one, or name a GPU"
        )
    if dtype not in (None, device.dtype):
        raise WorkbenchError(
            f"dtype {dtype}: the rates are those of {device.dtype}; load the model in the dtype to plan for"
        )
    return device


def _fit(sizes: Shape, tokens: int, device: Hardware, gpus: int, batch_size: int) -> tuple[int, int]:
    """Devices that one copy takes, and rows per batch: smaller batches if there are too few devices for whole ones.

    Raises:
        WorkbenchError: not even one row fits; with what would.
    """
    usable = device.memory * (1 - _RESERVE)

    def most(devices: int, dtype: str) -> int:
        weights, row = sizes.parameters * BYTES[dtype], sum(row_bytes_of(sizes, tokens, BYTES[dtype]))
        return min(batch_size, int(BATCH_SHARE * (devices * usable - weights) / row))

    if (rows := most(gpus, device.dtype)) >= 1:
        return next((n for n in range(1, gpus) if most(n, device.dtype) == batch_size), gpus), rows
    enough = next(n for n in itertools.count(gpus) if most(n, device.dtype) >= 1)
    half = device.dtype in ("float32", "float64") and most(gpus, "bfloat16") >= 1
    raise WorkbenchError(
        f"{sizes.name} in {device.dtype} takes {sizes.parameters * BYTES[device.dtype] / 1e9:.0f} GB and every row more, but "
        f"{gpus} × {device.name} can hold {gpus * usable / 1e9:.0f} GB ({_RESERVE:.0%} is kept free, and {1 - BATCH_SHARE:.0%} "
        f"of what batches could take); what would fit: gpus={enough}{' or dtype=' + repr('bfloat16') if half else ''}"
    )
