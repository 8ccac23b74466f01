"""What extraction costs: time over a bare forward pass of the same tokens, memory by number of prompts, seconds for a trait.

    python benchmarks/extraction.py [MODEL]

Prints one JSON object and writes it to figures/benchmark_extraction.json. Times are of alternating runs, medians; peak memory
is that of a fresh process each, above what the loaded model and one batch of the longest prompts take.
"""

import functools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
SIDE, ROUNDS, BATCH = 128, 3, 32
SIZES = (64, 256, 1024)


def _load(name):
    import workbench as wb

    return wb, wb.load(name, check=False)


def _bare(model, sides):
    """The same batches through the same module, and nothing else."""
    import numpy as np
    import torch

    for encoded in sides:
        order = np.argsort(encoded.lengths, kind="stable")
        for start in range(0, len(order), BATCH):
            ids, mask = encoded.padded(order[start : start + BATCH].tolist(), model.device)
            places = (mask.cumsum(-1) - 1).clamp(min=0)
            with torch.no_grad():
                model.hf(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, logits_to_keep=1)


def overhead(wb, model):
    """Seconds of extraction at all layers, of gathering, and of the bare pass, alternating; and the ratios, pair by pair."""
    train = wb.pairs("refusal").train
    pairs = wb.Pairs(train.positive.take(SIDE), train.negative.take(SIDE))
    sides = [model.encode(side) for side in (pairs.positive, pairs.negative)]
    acts = {
        "forward": lambda: _bare(model, sides),
        "extract": lambda: wb.extract(model, pairs, at=wb.resid_post.all, batch_size=BATCH),
        "gather": lambda: wb.contrast(model, pairs, at=wb.resid_post.all, batch_size=BATCH),
    }
    clocks = {"": time.perf_counter, "cpu_": time.process_time}  # the second does not see what else the machine does
    times = {(clock, name): [] for clock in clocks for name in acts}
    for turn in range(ROUNDS + 1):
        for name, act in acts.items():
            start = {clock: read() for clock, read in clocks.items()}
            act()
            for clock, read in clocks.items() if turn else ():  # the first of each is a rehearsal
                times[clock, name].append(read() - start[clock])
    found = {f"{clock}seconds_{name}": statistics.median(values) for (clock, name), values in times.items()}
    for clock in clocks:
        for name in ("extract", "gather"):
            ratios = [a / b for a, b in zip(times[clock, name], times[clock, "forward"], strict=True)]
            found[f"{clock}{name}_over_forward"] = statistics.median(ratios)
            found[f"{clock}{name}_over_forward_range"] = [min(ratios), max(ratios)]
    return found | {"prompts": 2 * SIDE, "tokens": sum(sum(side.lengths) for side in sides)}


def trait(wb, model):
    """Seconds for 60 + 60 scenarios at all layers: of reading them, and of each method once they are read."""
    pairs = wb.pairs("formality").train
    with tempfile.TemporaryDirectory() as store:
        found = {"reading": _seconds(lambda: wb.contrast(model, pairs, at=wb.resid_post.all, store=store))}
        for method in [name for name in wb.METHODS if name != "mean_diff"]:
            act = functools.partial(wb.extract, model, pairs, at=wb.resid_post.all, method=method, store=store)
            found[method] = _seconds(act)
    sizes = [len(pairs.positive), len(pairs.negative)]
    return {
        "scenarios": sizes,
        "seconds_trait": found,
        "slowest_trait": found["reading"] + max(list(found.values())[1:]),
    }


def _seconds(act):
    start = time.perf_counter()
    act()
    return round(time.perf_counter() - start, 2)


def peak(name, size):
    """Peak memory in MiB above the loaded model after one batch of the longest prompts, of streaming ``size`` prompts."""
    wb, model = _load(name)
    train = wb.pairs("refusal").train
    texts = [*train.positive, *train.negative]
    longest = max(texts, key=lambda prompt: len(prompt.text))
    many = [texts[i % len(texts)].text + "!" * (i // len(texts)) for i in range(size)]
    wb.extract(model, wb.Pairs([longest.text] * BATCH, [longest.text + "!!!!"] * BATCH), at=wb.resid_post.all)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wb.extract(model, wb.Pairs(many[: size // 2], many[size // 2 :]), at=wb.resid_post.all, batch_size=BATCH)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main():
    if len(sys.argv) == 3:
        print(peak(sys.argv[1], int(sys.argv[2])))
        return
    name = sys.argv[1] if len(sys.argv) > 1 else "smollm2-refusal"
    wb, model = _load(name)
    found = {"model": name, "batch": BATCH, **overhead(wb, model), **trait(wb, model), "peak_mib": {}}
    for size in SIZES:
        done = subprocess.run(
            [sys.executable, __file__, name, str(size)], capture_output=True, text=True, check=True, cwd=ROOT
        )
        found["peak_mib"][size] = float(done.stdout.strip().splitlines()[-1])
    text = json.dumps(found, indent=1)
    (ROOT / "figures" / "benchmark_extraction.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
