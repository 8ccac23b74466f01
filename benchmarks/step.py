"""One decoding step, part by part, with rows that never end; and its token rate over that of a bare pass.

    python benchmarks/step.py [--model smollm2-refusal] [--dtype bfloat16] [--rows 256 64] [--steps 40] [--threads 2] [--cpu]

Every row has its own prompt and dose, as in a sweep. A part's time is what its function took without the parts inside it, per
step. With ``--cpu`` times are CPU seconds of one thread, for a machine that others use too. Prints a table per number of rows.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama import modeling_llama

import workbench as wb
from workbench.generation import engine, kv_cache
from workbench.generation.engine import Batch, Writer, read_shared
from workbench.generation.steer_hooks import CompiledEdit
from workbench.generation.weight_packing import PrepackedWeights
from workbench.models.model import Model
from workbench.steering.directions import Direction

NEW = 48
LAYERS, COEFS = (8, 11, 14, 17, 20, 23), (-0.02, -0.01, 0.01, 0.02)  # too small to change what is written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-refusal")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rows", nargs="+", type=int, default=[256, 64])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1 if options.cpu else options.threads)
    clock = time.thread_time if options.cpu else time.perf_counter
    model = wb.load(options.model, dtype=options.dtype)
    for rows in options.rows:
        with writing(model, rows) as step:
            took = timed(step, min(options.steps, NEW - 2) // 2, clock)
            parts = by_part(model, step, min(options.steps, NEW - 2) // 2, clock)
        bare = bare_rate(model, rows, clock)
        rate = rows / statistics.median(took)
        print(f"\n{rows} rows, {options.dtype}: {1e3 * statistics.median(took):.0f} ms a step, {rate:.0f} tokens/s")
        print(f"a bare pass reads {bare:.0f} tokens/s; a step reaches {rate / bare:.2f} of that")
        for name, seconds in parts.most_common():
            print(f"  {name:28} {1e3 * seconds:7.1f} ms")


@contextmanager
def writing(model: Model, rows: int, prepacked: bool = True) -> Iterator[Callable[[], None]]:
    """A function that writes one token of each row, as ``Writer.until`` does; a stop token is replaced by another."""
    torch.manual_seed(0)
    pairs = wb.pairs("refusal")
    texts = (pairs.test.positive.texts + pairs.test.negative.texts)[:16]
    directions = [Direction(torch.randn(model.d_model), wb.resid_post(layer), model.name) for layer in LAYERS]
    arms = [wb.add(d, coef, on=wb.PROMPT[-1] | wb.RESPONSE) for d in directions for coef in COEFS]
    encoded = model.encode([texts[i % 16] for i in range(rows)])
    steers = [arms[i // 16 % len(arms)] for i in range(rows)]
    starts = [length - 1 for length in encoded.lengths]
    stops = torch.tensor(sorted(model.stop_ids))

    def choose(logits: torch.Tensor, of: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        token = engine.likeliest(logits, of, steps)
        return token.masked_fill(torch.isin(token, stops), 0)

    with torch.no_grad(), ExitStack() as inside:
        if prepacked:
            inside.enter_context(PrepackedWeights(model, rows, NEW).used())
        batch = Batch.of(model, encoded, range(rows), steers, starts, NEW, watched=False)
        cache = read_shared(model, batch)
        inside.enter_context(batch.applied.hooked(model))
        writer = Writer.begin(model, batch, cache, list(range(rows)), choose)
        yield lambda: writer._read(writer._choose())


def timed(step: Callable[[], None], times: int, clock: Callable[[], float]) -> list[float]:
    """Seconds of each of so many steps, after one that is not counted."""
    step()
    took = []
    for _ in range(times):
        started = clock()
        step()
        took.append(clock() - started)
    return took


def by_part(model: Model, step: Callable[[], None], times: int, clock: Callable[[], float]) -> Counter:
    """Seconds per step of each part, without the parts inside it."""
    own: Counter = Counter()
    inside = [0.0]

    def watched(name: str, function: Callable) -> Callable:
        def run(*args: Any, **kwargs: Any) -> Any:
            inside.append(0.0)
            started = clock()
            try:
                return function(*args, **kwargs)
            finally:
                took = clock() - started
                own[name] += (took - inside.pop()) / times
                inside[-1] += took

        return run

    places: list[tuple[Any, str, str]] = [
        (modeling_llama, "apply_rotary_pos_emb", "rotary embedding"),
        (modeling_llama.LlamaRMSNorm, "forward", "norms"),
        (modeling_llama.LlamaMLP, "forward", "MLP beside products"),
        (modeling_llama.LlamaAttention, "forward", "attention block, rest"),
        (modeling_llama.LlamaDecoderLayer, "forward", "residual sums"),
        (modeling_llama, "create_causal_mask", "mask"),
        (kv_cache._PreallocatedLayer, "update", "writing keys and values"),
        (CompiledEdit, "change", "edits"),
        (engine, "likeliest", "argmax"),
        (engine, "next_logits", "model, rest"),
        (Writer, "_done", "which rows have ended"),
    ]
    products = [module for module in model.hf.modules() if isinstance(module, torch.nn.Linear)]
    with ExitStack() as patches:
        for owner, name, part in places:
            patches.enter_context(mock.patch.object(owner, name, watched(part, getattr(owner, name))))
        for module in products:
            size = " × ".join(map(str, module.weight.shape))
            patches.enter_context(mock.patch.object(module, "forward", watched(f"product {size}", module.forward)))
        sdpa = ALL_ATTENTION_FUNCTIONS["sdpa"]
        ALL_ATTENTION_FUNCTIONS.register("sdpa", watched("attention", sdpa))
        try:
            whole = watched("loop, rest", step)
            for _ in range(times):
                whole()
        finally:
            ALL_ATTENTION_FUNCTIONS.register("sdpa", sdpa)
    return own


@torch.no_grad()
def bare_rate(model: Model, rows: int, clock: Callable[[], float]) -> float:
    """Tokens read per second by a bare forward pass over as many rows of 48."""
    ids = torch.randint(1000, 2000, (rows, NEW))
    took = []
    for _ in range(3):
        started = clock()
        model.hf(input_ids=ids, use_cache=False, logits_to_keep=1)
        took.append(clock() - started)
    return ids.numel() / statistics.median(took)


def over_bare_pass(model: Model, rows: int) -> float:
    """Tokens written per second by rows that never end, over tokens read per second by a bare pass."""
    with writing(model, rows) as step:
        took = timed(step, NEW - 3, time.perf_counter)
    return round(rows / statistics.median(took) / bare_rate(model, rows, time.perf_counter), 3)


if __name__ == "__main__":
    main()
