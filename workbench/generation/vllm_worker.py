"""What runs inside vLLM's workers: each request's own edits at the model's sites, and our own choice of its next token.

vLLM mixes ``Steering`` into its worker class (``worker_extension_cls``). A request carries the number of its Steer; a token is
told by its place in the chat, so that reading a prompt in pieces, or again after it was pushed out of memory, means the same.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import psutil
import torch

from workbench.generation.completions import FAILED
from workbench.generation.decoding import Sampling, draw, numbers_of
from workbench.generation.engine import likeliest
from workbench.models.hooks import PRE_NORM, SANDWICH
from workbench.steering.sites import Site
from workbench.steering.steer import OPERATIONS, Condition, Edit, Steer


@dataclass
class Stream:
    """Activations of a pass, [token, width], as vLLM holds them: in one tensor, or as two whose sum they are."""

    first: torch.Tensor
    second: torch.Tensor | None = None

    def at(self, tokens: torch.Tensor) -> torch.Tensor:
        """The activations of these tokens, [n, width]."""
        here = self.first[tokens]
        return here if self.second is None else here + self.second[tokens]

    def put(self, tokens: torch.Tensor, values: torch.Tensor) -> None:
        """Write them, in place: whatever reads these tensors next reads the new ones."""
        self.first[tokens] = values
        if self.second is not None:
            self.second[tokens] = 0


@dataclass
class Gate:
    """Conditions of a group of edits: per row of the bank, what is projected onto and the bounds."""

    site: Site
    per_token: bool
    units: list[torch.Tensor] = field(default_factory=list)
    above: list[float] = field(default_factory=list)
    below: list[float] = field(default_factory=list)
    read: list[Condition] = field(default_factory=list)


@dataclass
class Group:
    """Edits of many Steers that are made alike: at one site, the k-th there, one operation and one kind of condition.

    ``row`` says which row of the bank a Steer has.
    """

    site: Site
    operation: str
    gate: Gate | None
    row: dict[int, int] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    bank: tuple[torch.Tensor, ...] = ()  # vectors [n, width], low [n], high [n]
    gates: tuple[torch.Tensor, ...] = ()  # units [n, width], above [n], below [n]
    totals: torch.Tensor | None = None  # [slot], float64: sums of a row's projections over its prompt

    def settle(self, device: torch.device, dtype: torch.dtype, slots: int) -> None:
        """Put what was collected on the device, in the numbers that ``applied`` computes with."""
        scaled = OPERATIONS[self.operation].scaled
        rows = [e.coef * e.direction.vector if scaled else e.direction.vector / e.direction.norm for e in self.edits]
        vectors = torch.stack(rows).to(device, dtype if scaled else torch.float32)
        bounds = ([e.low for e in self.edits], [e.high for e in self.edits])
        self.bank = (vectors, *(torch.tensor(bound, device=device) for bound in bounds))
        if self.gate is not None:
            units = torch.stack(self.gate.units).to(device, torch.float32)
            limits = (self.gate.above, self.gate.below)
            self.gates = (units, *(torch.tensor(limit, device=device) for limit in limits))
            self.totals = torch.zeros(slots, dtype=torch.float64, device=device)


@dataclass
class Work:
    """What a group does in one pass: to which tokens, [n], each with its row of the bank, [n]."""

    tokens: torch.Tensor
    rows: torch.Tensor
    slots: torch.Tensor | None = None  # [n]: of the row gates
    counts: torch.Tensor | None = None  # [n], float64: prompt tokens that a row's mean is over
    seen: torch.Tensor | None = None  # [n]: projections of these tokens
    reads: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None  # tokens, rows, slots that row gates read


class Table:
    """The Steers of a sweep, compiled for a worker."""

    def __init__(self, steers: Sequence[Steer], device: torch.device, dtype: torch.dtype, slots: int):
        self.groups: dict[tuple, Group] = {}
        for number, steer in enumerate(steers):
            ranks: dict[Site, int] = {}
            for edit in steer.effective:
                rank = ranks[edit.site] = ranks.get(edit.site, -1) + 1
                self._take(number, rank, edit)
        self.groups = dict(sorted(self.groups.items()))
        for group in self.groups.values():
            group.settle(device, dtype, slots)
        self.device = device
        self.of: dict[int, list[Group]] = {n: [] for n in range(len(steers))}
        for group in self.groups.values():
            for number in group.row:
                self.of[number].append(group)
        self.listed = list(self.groups.values())
        self._place = lru_cache(maxsize=1 << 16)(self._mask)

    def _take(self, number: int, rank: int, edit: Edit) -> None:
        condition = edit.condition
        kind = "" if condition is None else f"{condition.direction.site} {condition.read is None}"
        gate = None if condition is None else Gate(condition.direction.site, condition.read is None)
        group = self.groups.setdefault((edit.site, rank, edit.operation, kind), Group(edit.site, edit.operation, gate))
        group.row[number] = len(group.edits)
        group.edits.append(edit)
        if group.gate is not None and condition is not None:
            group.gate.units.append(condition.direction.vector / condition.direction.norm)
            group.gate.above.append(condition.above)
            group.gate.below.append(condition.below)
            group.gate.read.append(condition)

    @property
    def sites(self) -> dict[Site, tuple[list[Group], list[Group]]]:
        """Per site: the groups that write there, in order, and the groups elsewhere whose gates read there."""
        found: dict[Site, tuple[list[Group], list[Group]]] = {}
        for group in self.groups.values():
            found.setdefault(group.site, ([], []))[0].append(group)
            if group.gate is not None and group.gate.site != group.site:
                found.setdefault(group.gate.site, ([], []))[1].append(group)
        return found

    def _mask(self, group: int, row: int, reads: bool, prompt: int, longest: int) -> np.ndarray:
        """Which tokens of a chat an edit is made on, or its gate reads: [longest], bool."""
        found = self.listed[group]
        if not reads:
            return found.edits[row].on.mask(prompt, longest)
        read = found.gate.read[row].read if found.gate is not None else None
        assert read is not None
        chosen = np.zeros(longest, dtype=bool)
        chosen[:prompt] = read.mask(prompt, prompt)
        return chosen

    def plan(self, requests: Sequence["Request"]) -> dict[int, Work]:
        """What each group does in a pass over these requests, by the group's id."""
        found: dict[int, tuple[list, ...]] = {}
        order = {id(group): i for i, group in enumerate(self.listed)}
        for request in requests:
            for group in self.of.get(request.steer, ()):
                row, number = group.row[request.steer], order[id(group)]
                lists = found.setdefault(id(group), ([], [], [], [], [], [], []))
                mask = self._place(number, row, False, request.prompt, request.longest)
                here = np.flatnonzero(mask[request.start : request.stop])
                lists[0].append(here + request.offset)
                lists[1].append(np.full(len(here), row))
                if group.gate is not None and not group.gate.per_token:
                    read = self._place(number, row, True, request.prompt, request.longest)
                    seen = np.flatnonzero(read[request.start : request.stop])
                    if request.start == 0 and group.totals is not None:
                        group.totals[request.slot] = 0
                    lists[2].append(np.full(len(here), request.slot))
                    lists[3].append(np.full(len(here), float(read[: request.stop].sum())))
                    lists[4].append(seen + request.offset)
                    lists[5].append(np.full(len(seen), row))
                    lists[6].append(np.full(len(seen), request.slot))
        return {key: work for key, lists in found.items() if (work := self._work(lists)) is not None}

    def _work(self, lists: tuple[list, ...]) -> Work | None:
        tokens, rows, slots, counts, *reads = (
            torch.from_numpy(np.concatenate(part)).to(self.device) if part else None for part in lists
        )
        assert tokens is not None
        assert rows is not None
        seen = reads[0] is not None and len(reads[0]) > 0
        if not len(tokens) and not seen:
            return None
        return Work(tokens, rows, slots, counts, None, tuple(reads) if seen else None)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Request:
    """The part of a request that a pass reads: tokens ``start`` to ``stop`` of its chat, from ``offset`` on in the pass."""

    steer: int
    prompt: int
    longest: int
    start: int
    stop: int
    offset: int
    slot: int


def observe(group: Group, work: Work, stream: Stream) -> None:
    """Show a group's gate the activations at its site."""
    gate = group.gate
    assert gate is not None
    units = group.gates[0]
    if gate.per_token:
        work.seen = (stream.at(work.tokens).to(units.dtype) * units[work.rows]).sum(-1)
    elif work.reads is not None and group.totals is not None:
        tokens, rows, slots = work.reads
        along = (stream.at(tokens).to(units.dtype) * units[rows]).sum(-1)
        group.totals.index_add_(0, slots, along.double())


def change(group: Group, work: Work, stream: Stream) -> None:
    """Make a group's edits, in place."""
    gate = group.gate
    if gate is not None and gate.site == group.site:
        observe(group, work, stream)
    tokens, rows = work.tokens, work.rows
    if not len(tokens):
        return
    if gate is not None:
        if gate.per_token:
            value = work.seen
        else:
            assert group.totals is not None
            assert work.counts is not None
            value = group.totals[work.slots] / work.counts
        assert value is not None
        _, above, below = group.gates
        opened = (value > above[rows].to(value)) & (value < below[rows].to(value))
        tokens, rows = tokens[opened], rows[opened]
    h = stream.at(tokens)
    vectors, low, high = (part[rows] for part in group.bank)
    move = OPERATIONS[group.operation].move
    if move is None:
        stream.put(tokens, h + vectors)
        return
    along = (h.to(vectors.dtype) * vectors).sum(-1, keepdim=True)
    moved = move(along, low.to(along)[:, None], high.to(along)[:, None])
    stream.put(tokens, h + (moved * vectors).to(h.dtype))


class Steering:
    """Mixed into vLLM's worker; the names of its methods must be none of vLLM's own."""

    model_runner: Any

    def workbench_learn(self, steers: list[str], owner: int) -> int:
        """Take the Steers of a sweep, as JSON, in place of those of the last one. Returns how many there are.

        From the first time on this process ends when its owner, the process that sweeps, is gone.
        """
        if "workbench" not in self.__dict__ and owner != os.getpid():
            threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
        held: dict[str, Any] = self.__dict__.setdefault("workbench", {"hooks": []})
        for hook in held["hooks"]:
            hook.remove()
        runner = self.model_runner
        if "pass" not in held:
            held["pass"] = Passes(runner)
        device, dtype = runner.device, runner.model_config.dtype
        slots = 2 * runner.scheduler_config.max_num_seqs + 2
        table = Table([Steer.from_json(text) for text in steers], device, dtype, slots)
        held["pass"].begin(table, slots)
        layers = decoder_layers(runner.model)
        held["hooks"] = [
            handle
            for site, (writers, readers) in table.sites.items()
            for handle in hooked(layers[site.layer], site, held["pass"].apply(writers, readers))
        ]
        return len(steers)

    def workbench_probed(self) -> dict[str, bytes]:
        """The logits that were asked for, float32, by the name they were asked under; each is told once."""
        probed = self.__dict__["workbench"]["pass"].probed
        told = dict(probed)
        probed.clear()
        return told


class Passes:
    """What is known of the pass that runs: which tokens of which requests it reads. It stands around the runner's own steps."""

    def __init__(self, runner: Any):
        self.runner = runner
        self.probed: dict[str, bytes] = {}
        self.unclean = 2  # passes before which the cache is cleared of what is no number; it begins as memory was found
        self.table: Table | None = None
        self.works: dict[int, Work] | None = None
        self.numbers: dict[str, np.ndarray] = {}
        self.slots: dict[str, int] = {}
        self.free: list[int] = []
        self._forward, self._sample = runner._model_forward, runner._sample
        runner._model_forward, runner._sample = self.forward, self.sample

    def begin(self, table: Table, slots: int) -> None:
        """Begin with other Steers."""
        self.table, self.works = table, None
        self.numbers.clear()
        self.slots.clear()
        self.free = list(range(slots))

    def apply(self, writers: Sequence[Group], readers: Sequence[Group]) -> Callable[[Stream], None]:
        """What is done with the activations at a site: the edits, and then what gates elsewhere read of the steered ones."""

        def act(stream: Stream) -> None:
            if self.works is None:
                return
            for group in writers:
                if (work := self.works.get(id(group))) is not None:
                    change(group, work, stream)
            for group in readers:
                if (work := self.works.get(id(group))) is not None:
                    observe(group, work, stream)

        return act

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The runner's own pass, with the edits of its requests."""
        self.works = None if self.table is None else self.table.plan(self._requests())
        if self.unclean:
            self._clean(kwargs.get("input_ids"))
        try:
            return self._forward(*args, **kwargs)
        finally:
            self.works = None

    def _clean(self, ids: torch.Tensor | None) -> None:
        """Take away what a row that failed left: its mark, which is no token to read, and NaN in the cache, whose places others
        get. What is masked there is multiplied by 0 on a CPU, and NaN stays NaN.
        """
        self.unclean -= 1
        if ids is not None:
            ids.clamp_(max=self.runner.model_config.get_vocab_size() - 1)
        for cache in self.runner.kv_caches:
            cache.nan_to_num_(0.0, 0.0, 0.0)

    def _requests(self) -> list[Request]:
        runner = self.runner
        batch = runner.input_batch
        starts, computed = runner.query_start_loc.np, batch.num_computed_tokens_cpu
        for gone in [name for name in self.slots if name not in runner.requests]:
            self.free.append(self.slots.pop(gone))
            self.numbers.pop(gone, None)
        found = []
        for i, name in enumerate(batch.req_ids[: batch.num_reqs]):
            state = runner.requests[name]
            said = state.sampling_params.extra_args or {}
            if name not in self.slots:
                self.slots[name] = self.free.pop()
            offset, start = int(starts[i]), int(computed[i])
            stop = start + int(starts[i + 1]) - offset
            prompt = state.num_prompt_tokens
            longest = prompt + state.sampling_params.max_tokens
            found.append(Request(said.get("steer", -1), prompt, longest, start, stop, offset, self.slots[name]))
        return found

    def sample(self, logits: torch.Tensor | None, *args: Any, **kwargs: Any) -> Any:
        """The runner's own choice of tokens, with ours in its place: as ``engine`` chooses them, greedy or drawn."""
        mine = None if logits is None or self.table is None else self._choose(logits)
        out = self._sample(logits, *args, **kwargs)
        if mine is not None:
            out.sampled_token_ids[:, 0] = mine.to(out.sampled_token_ids)
        return out

    def _choose(self, logits: torch.Tensor) -> torch.Tensor:
        """The next token of every request of the pass, [request], int64; ``failed_mark`` of one whose logits are no numbers."""
        batch, requests = self.runner.input_batch, self.runner.requests
        states = [requests[name] for name in batch.req_ids[: batch.num_reqs]]
        starts, computed = self.runner.query_start_loc.np, batch.num_computed_tokens_cpu
        steps = [int(computed[i] + starts[i + 1] - starts[i]) - s.num_prompt_tokens for i, s in enumerate(states)]
        tokens = likeliest(logits, logits, logits)
        drawn: dict[tuple[float, float], list[tuple[int, float]]] = {}
        for i, (state, step) in enumerate(zip(states, steps, strict=True)):
            said = state.sampling_params.extra_args or {}
            if said.get("key") and 0 <= step < state.sampling_params.max_tokens:
                numbers = self._numbers(state.req_id, said["key"], state.sampling_params.max_tokens)
                drawn.setdefault((said["temperature"], said["top_p"]), []).append((i, float(numbers[step])))
        for (temperature, top_p), rows in drawn.items():
            which = torch.tensor([i for i, _ in rows], device=logits.device)
            uniform = torch.tensor([number for _, number in rows], dtype=torch.float64, device=logits.device)
            mine = draw(logits[which], Sampling(temperature, top_p), uniform)
            tokens[which] = torch.where(tokens[which] == FAILED, FAILED, mine)
        for i, state in enumerate(states):
            if (name := (state.sampling_params.extra_args or {}).get("probe")) and steps[i] == 0:
                self.probed[name] = logits[i].float().cpu().numpy().tobytes()
        failed = tokens == FAILED
        if failed.any():
            self.unclean = 2  # the pass behind the next was begun before the row was known to have failed
        return tokens.masked_fill(failed, failed_mark(self.runner.model_config.get_vocab_size()))

    def _numbers(self, name: str, key: str, steps: int) -> np.ndarray:
        if name not in self.numbers:
            self.numbers[name] = numbers_of(key, steps)
        return self.numbers[name]


def _end_with(owner: int) -> None:
    """Wait until a process is gone, and end this one: vLLM 0.30 leaves workers behind whose engine was killed."""
    with contextlib.suppress(psutil.NoSuchProcess):  # it is gone already
        watched = psutil.Process(owner)
        while watched.is_running() and watched.status() != psutil.STATUS_ZOMBIE:
            time.sleep(1)
    os._exit(1)


def failed_mark(words: int) -> int:
    """What stands for a token where the model returned no numbers: the first number that is no token, and ends the request."""
    return words


def decoder_layers(model: Any) -> Any:
    """The decoder layers of one of vLLM's models."""
    return next(
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and name.rsplit(".", 1)[-1] == "layers"
    )


def hooked(layer: Any, site: Site, act: Callable[[Stream], None]) -> list[Any]:
    """Have ``act`` see and change the activations at a site on every pass; the handles take it away again."""
    table = SANDWICH if hasattr(layer, "pre_feedforward_layernorm") else PRE_NORM
    path, end = table[site.kind]
    if path == "mlp" and not hasattr(layer, "mlp"):
        path = "block_sparse_moe"
    module = layer.get_submodule(path)
    if end == "output":
        return [module.register_forward_hook(lambda _, __, output: act(_stream(output)))]
    if path:  # a norm: its arguments are the two parts of the stream, or all of it
        return [module.register_forward_pre_hook(lambda _, args: act(_stream(args)))]
    return [module.register_forward_pre_hook(_of_layer(act), with_kwargs=True)]


def _of_layer(act: Callable[[Stream], None]) -> Callable:
    """A hook for the arguments of a layer: positions, hidden states and residual, or hidden states alone."""

    def hook(_: Any, args: tuple, kwargs: dict) -> None:
        floats = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor) and x.is_floating_point()]
        act(_stream(floats[:2] if floats[0].ndim == 2 else floats[:1]))

    return hook


def _stream(parts: Any) -> Stream:
    several = list(parts) if isinstance(parts, tuple | list) else [parts]
    tensors = [x[0] if x.ndim == 3 else x for x in several if isinstance(x, torch.Tensor)]
    return Stream(*tensors[:2])
