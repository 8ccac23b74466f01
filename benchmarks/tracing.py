"""What tracing costs: time over a bare forward pass, memory against TransformerLens's run_with_cache.

    python benchmarks/tracing.py [MODEL]

Prints one JSON object and writes it to figures/benchmark_tracing.json. Times are of alternating runs, medians; peak memory
is that of a fresh process each, above what the loaded model takes.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIRECTIONS, ROUNDS = 5, 7


def _setup(name):
    import torch

    import workbench as wb

    model = wb.load(name, check=False)
    site = wb.resid_post(model.n_layers // 2)
    d = wb.Direction(torch.randn(model.d_model, generator=torch.Generator().manual_seed(0)), site, model.name)
    prompts = list(wb.pairs("refusal").test.negative.take(16))
    texts = [(prompt, "The river runs quietly past the old mill in the evening. " * 4) for prompt in prompts]
    return wb, model, [d.random(i) for i in range(DIRECTIONS)], texts


def _passes(wb, model, directions, texts):
    """The traced pass, and the same pass bare."""
    import torch

    from workbench.generation.recorder import Chats, Recorder, _read, _recorder

    chats = Chats.of(model, texts, None)

    def traced():
        recorder = _recorder(model, directions, wb.resid_post.all, 0, 0)
        _read(model, chats, recorder, batch_size=16)

    class _Nothing(Recorder):
        def __init__(self):
            super().__init__(model, (), {})

    def bare():
        with torch.no_grad():
            _read(model, chats, _Nothing(), batch_size=16)

    return traced, bare


def overhead(name):
    """Seconds of the traced and of the bare pass, alternating, and their ratio."""
    traced, bare = _passes(*_setup(name))
    traced(), bare()
    times = {"traced": [], "bare": []}
    for _ in range(ROUNDS):
        for label, act in (("bare", bare), ("traced", traced)):
            start = time.perf_counter()
            act()
            times[label].append(time.perf_counter() - start)
    medians = {label: statistics.median(values) for label, values in times.items()}
    pairs = [t / b for t, b in zip(times["traced"], times["bare"], strict=True)]
    return {**medians, "trace_over_forward": statistics.median(pairs)}


def peak(name, how):
    """Peak memory in MiB above the loaded model, of one way to get projections at all layers."""
    import torch

    wb, model, directions, texts = _setup(name)
    rows = model.encode([prompt for prompt, _ in texts])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if how == "trace":
        wb.trace(model, texts, directions, wb.resid_post.all)
    elif how == "forward":
        _passes(wb, model, directions, texts)[1]()
    else:
        units = torch.stack([d.vector / d.norm for d in directions])
        ids, _ = rows.padded()
        tail = torch.tensor([model.tokenizer.encode(texts[0][1], add_special_tokens=False)] * len(texts))
        with torch.no_grad():
            _, cache = model.bridge.run_with_cache(torch.cat([ids, tail], dim=1))
            [cache[f"blocks.{layer}.hook_resid_post"] @ units.T for layer in range(model.n_layers)]
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main():
    if len(sys.argv) == 3:
        print(peak(sys.argv[1], sys.argv[2]))
        return
    name = sys.argv[1] if len(sys.argv) > 1 else "smollm2-refusal"
    found = {"model": name, "directions": DIRECTIONS, **overhead(name)}
    for how in ("forward", "trace", "run_with_cache"):
        done = subprocess.run(
            [sys.executable, __file__, name, how], capture_output=True, text=True, check=True, cwd=ROOT
        )
        found[f"peak_mib_{how}"] = float(done.stdout.strip().splitlines()[-1])
    text = json.dumps(found, indent=1)
    (ROOT / "figures" / "benchmark_tracing.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
