"""What a sweep will cost, before it is run: rows × tokens × a rate, and whether it fits into memory (see docs/planning.md).

Here the rate is that of a few batches of the sweep itself; for a GPU it is a published peak times an assumed efficiency.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from time import perf_counter

import torch

from workbench._errors import WorkbenchError
from workbench.generation.generate import continue_tokens
from workbench.generation.memory import BATCH_SHARE, free_bytes, row_bytes_of
from workbench.generation.schedule import lowest_layer, read_tokens
from workbench.generation.steer_hooks import (
    check_all,
    check_covered,
    check_model,
    check_positions,
    check_sizes,
    first_edited,
)
from workbench.models.model import Model
from workbench.models.prompts import Pairs, Prompt, Prompts
from workbench.models.sizes import Shape, shape, shape_of
from workbench.steering.arms import Arm, as_arms
from workbench.steering.directions import Direction
from workbench.steering.positions import ALL, Positions
from workbench.steering.sites import resid_post
from workbench.steering.steer import Steer
from workbench.steering.verbs import add
from workbench.sweeps.hardware import BYTES, Hardware, gpu
from workbench.sweeps.rows import named_sets

#: Without a tokenizer: characters per token of English, and tokens of a chat template around a user turn.
_CHARACTERS_PER_TOKEN, _TEMPLATE_TOKENS = 4.0, 20
_RESERVE = 0.1  # the share of a device's memory that is left to the framework and to fragments
#: Rows that a calibration runs, at least and at most (on a GPU a whole batch, where a row costs less), and its least prompts.
_FEW, _SAMPLE, _PROMPTS = 32, 128, 4


@dataclass(frozen=True)
class Load:
    """What some rows of a sweep ask of a model."""

    rows: int  # prompt × condition, each different one once
    batch_size: int  # the most rows that are together
    prompt_tokens: int  # of all rows
    read_tokens: float  # of them, those that are really read: see ``schedule.read_tokens``
    new_tokens: int  # written in all rows
    longest: int  # tokens written in the longest row

    @classmethod
    def of(
        cls, lengths: Sequence[int], steers: Sequence[Steer], layers: int, written: float, longest: int, batch_size: int
    ) -> "Load":
        """The load of prompts of so many tokens under each Steer, with so many tokens written on average."""
        rows, read = len(lengths) * len(steers), 0.0
        for tokens, number in Counter(lengths).items():
            edits = Counter((first_edited(steer, tokens), lowest_layer(steer)) for steer in steers)
            read += number * read_tokens(tokens, edits, layers, batch_size)
        return cls(rows, min(batch_size, rows), sum(lengths) * len(steers), read, round(rows * written), longest)

    def work(self, sizes: Shape) -> tuple[float, float, float]:
        """FLOPs of reading and of writing (2 per parameter and token, and attention's), and numbers read from KV caches."""
        layers, attention = 2 * sizes.layer_parameters, 4 * sizes.layers * sizes.heads * sizes.head_dim
        head, prompt = 2 * sizes.hidden * sizes.vocabulary, self.prompt_tokens / self.rows
        steps, context = self.new_tokens - self.rows, prompt + self.longest / 2  # a first token comes out of its prompt
        read = self.read_tokens * (layers + attention * prompt) + self.rows * head
        return read, steps * (layers + head + attention * context), steps * context * sizes.cached_numbers

    def seconds(self, sizes: Shape, device: Hardware) -> tuple[float, float]:
        """Of reading and of writing: the slowest of arithmetic, memory traffic and starting the kernels."""
        share, batches = BYTES[device.dtype], math.ceil(self.rows / self.batch_size)
        weights = sizes.layer_parameters + sizes.hidden * sizes.vocabulary
        read, write, cached = self.work(sizes)
        steps = batches * (self.longest - 1)

        def slowest(passes: int, arithmetic: float, numbers: float) -> float:
            traffic = (passes * weights + numbers) * share / device.bandwidth
            return max(arithmetic, traffic, passes * sizes.layers * device.layer_seconds)

        return slowest(2 * batches, read / device.prefill, 0), slowest(steps, write / device.decode, cached)


@dataclass(frozen=True)
class Plan:
    """What a sweep will cost; prints as a table."""

    model: str
    hardware: Hardware
    rows: int  # prompt × arm; load.rows of them differ and are computed
    load: Load
    prefill: float  # seconds of reading, with what a row takes outside of the model
    decode: float  # seconds of writing
    weights: float  # bytes on one copy of the model
    cache: float  # bytes of a batch's KV cache
    memory: float  # bytes of both and of what a batch takes beside
    per_copy: int  # devices that one copy of the model takes
    copies: int  # how many work side by side
    assumed: tuple[str, ...]  # what was not known

    @property
    def seconds(self) -> float:
        """Estimated time until all responses are written. Loading the model and computing scores are not in it."""
        return self.prefill + self.decode

    def __str__(self) -> str:
        load, device = self.load, self.hardware
        both, reading, writing = (timedelta(seconds=round(s)) for s in (self.seconds, self.prefill, self.decode))
        memory, weights, cache = (f"{size / 1e9:.1f}" for size in (self.memory, self.weights, self.cache))
        lines = [
            f"model     {self.model}, {device.dtype}",
            f"hardware  {self.copies} × {self.per_copy} × {device.name} ({device.source})",
            f"rows      {self.rows:,}, of which {load.rows:,} differ; batches of {load.batch_size}",
            f"tokens    {load.read_tokens:,.0f} read of {load.prompt_tokens:,}, {load.new_tokens:,} written",
            f"time      {both} (reading {reading}, writing {writing}), {load.rows / self.seconds:,.2f} completions/s",
            f"memory    {memory} GB per copy (weights {weights}, KV cache {cache})",
            *(f"assumed   {text}" for text in self.assumed),
        ]
        return "\n".join(lines)


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
    """Estimate rows, tokens, time and memory of a sweep before you run it.

    Args:
        model: a loaded model, or the name of a model of known size (``workbench.models.sizes``); a name loads
            nothing.
        prompts, arms, max_new_tokens, batch_size: as for ``sweep``; ``arms`` may be just a number of conditions;
            ``on`` then says which tokens are steered.
        hardware: "here" (runs a few batches of the sweep), the name of a GPU, or the ``hardware`` of another plan.
        gpus: number of devices. A copy of the model takes as many as its memory needs, and copies share the rows.
        dtype: of the weights; default: that of the loaded model or of the hardware, else bfloat16.

    Raises WorkbenchError for an unknown model, hardware or dtype, or a model that does not fit; before any compute.

    >>> sweep_plan = plan("gemma2-9b-it", ["How do I bake bread?"] * 100, arms=31, hardware="h100")
    >>> sweep_plan.rows, sweep_plan.load.rows, sweep_plan.copies
    (3100, 31, 1)
    """
    number = len(arms) if isinstance(arms, Sequence) else arms
    check_sizes(arms=number, gpus=gpus, max_new_tokens=max_new_tokens, batch_size=batch_size)
    if not isinstance(model, str):
        check_model(model)
    sizes = shape(model) if isinstance(model, str) else shape_of(model.hf.config.to_dict(), model.name)
    asked = [prompt for side in named_sets(prompts).values() for prompt in side]
    assumed: tuple[str, ...] = ()
    if isinstance(arms, int):  # a Steer too small to change what is written, as costly as any other
        direction = Direction(torch.ones(sizes.hidden), resid_post(sizes.layers // 2), sizes.name)
        steers, assumed = [add(direction, 1e-6, on=on)] * arms, (f"every arm edits layer {sizes.layers // 2}",)
    else:
        steers = list({arm.steer.key: arm.steer for arm in as_arms(arms)}.values())
    distinct = list({(prompt.text, prompt.system, prompt.prefill): prompt for prompt in asked}.values())
    if isinstance(model, Model):
        check_all(steers, model)
        lengths = list(model.encode(distinct).lengths)
        for steer in steers:
            check_positions([steer] * len(lengths), lengths)
            check_covered([steer] * len(lengths), lengths, max_new_tokens)
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
    copies, share = gpus // per_copy, BYTES[device.dtype]
    prefill, decode = (total / copies for total in load.seconds(sizes, device))
    cache, beside = (float(load.batch_size * row) for row in row_bytes_of(sizes, max(lengths) + max_new_tokens, share))
    weights, rows = float(sizes.parameters * share), len(asked) * number
    memory = weights + cache + beside
    return Plan(sizes.name, device, rows, load, prefill, decode, weights, cache, memory, per_copy, copies, assumed)


def _calibrate(
    device: Hardware, model: Model, prompts: Sequence[Prompt], steers: Sequence[Steer], new: int, batch_size: int
) -> tuple[Hardware, float]:
    """The rates of this machine, and the tokens that a row writes, from running a few prompts of the sweep under its arms.

    They run for one token each, which is reading, and for all; a prompt under all arms, where there is room, to share alike.
    """
    chance, most = random.Random(0), batch_size if model.device.type == "cuda" else min(batch_size, _SAMPLE)
    asked = chance.sample(prompts, min(len(prompts), max(_PROMPTS, most // len(steers))))
    chosen = chance.sample(steers, min(len(steers), -(-max(_FEW, most) // len(asked))))
    chats = model.encode(asked).take([row for row in range(len(asked)) for _ in chosen])

    def run(rows: int, longest: int) -> tuple[float, float]:
        started, some = perf_counter(), chats.take(range(rows))
        tokens = continue_tokens(model, some, (chosen * len(asked))[:rows], longest, batch_size, progress=False)
        return perf_counter() - started, sum(map(len, tokens)) / rows

    run(1, min(2, new))  # to warm up
    reading, written = run(len(chats), 1)
    took, written = run(len(chats), new) if new > 1 else (reading, written)
    load = Load.of(chats.lengths[:: len(chosen)], chosen, model.n_layers, written, new, batch_size)
    read, write, _ = load.work(shape_of(model.hf.config.to_dict(), model.name))
    decode = write / (took - reading) if took > reading else float("inf")
    source = f"calibrated with {len(chats)} rows of the sweep, which took {reading + took:.0f} s"
    return replace(device, prefill=read / reading, decode=decode, source=source), written


def _device(model: Model | str, hardware: str | Hardware, dtype: str | None) -> Hardware:
    """The hardware; for "here" only its memory, until it is calibrated."""
    own = "bfloat16" if isinstance(model, str) else str(model.dtype).removeprefix("torch.")
    if isinstance(hardware, Hardware):
        device = hardware
    elif hardware != "here":
        device = gpu(hardware, dtype or own)
    elif isinstance(model, str):
        raise WorkbenchError(
            f"hardware 'here' is calibrated with a loaded model: wb.plan(wb.load({model!r}), …), or, if it is too large, name "
            "a GPU or give hardware= the .hardware of a calibrated plan of a smaller one"
        )
    else:
        memory = free_bytes(model.device) + sum(p.nbytes for p in model.hf.parameters())  # what is free, and its own
        device = Hardware("here", float(memory), 0.0, 0.0, own, "not yet calibrated")
    if dtype in (None, device.dtype):
        return device
    raise WorkbenchError(f"dtype {dtype}: the rates are those of {device.dtype}; load the model in that dtype")


def _fit(sizes: Shape, tokens: int, device: Hardware, gpus: int, batch_size: int) -> tuple[int, int]:
    """Devices that one copy takes, and rows per batch: fewer if memory is short. Raises WorkbenchError if not one row fits."""
    usable = device.memory * (1 - _RESERVE)

    def most(devices: int, dtype: str) -> int:
        weights, row = sizes.parameters * BYTES[dtype], sum(row_bytes_of(sizes, tokens, BYTES[dtype]))
        return min(batch_size, int(BATCH_SHARE * (devices * usable - weights) / row))

    if (rows := most(gpus, device.dtype)) >= 1:
        return next((n for n in range(1, gpus) if most(n, device.dtype) == batch_size), gpus), rows
    enough = next(n for n in itertools.count(gpus) if most(n, device.dtype) >= 1)
    other = " or dtype='bfloat16'" if BYTES[device.dtype] > 2 and most(gpus, "bfloat16") >= 1 else ""
    raise WorkbenchError(
        f"{sizes.name} in {device.dtype} takes {sizes.parameters * BYTES[device.dtype] / 1e9:.0f} GB and every row more, but "
        f"{gpus} × {device.name} can hold {gpus * usable / 1e9:.0f} GB ({_RESERVE:.0%} is kept free, and {1 - BATCH_SHARE:.0%} "
        f"of what batches could take); what would fit: gpus={enough}{other}"
    )
