"""How close an estimate comes: plan a sweep of an embedded model, run it into a fresh store, compare the two times.

    python benchmarks/planning.py [--model smollm2-refusal] [--prompts 20] [--layers 6] [--new 48] [--repeats 1] [--dtype float32]

Writes figures/benchmark_planning.json, beside what was measured with another dtype or with ONEDNN_MAX_CPU_ISA. Other work on
the machine changes both times: repeat where there is some.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import torch

import workbench as wb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-refusal")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--new", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    model = wb.load(options.model, dtype=options.dtype)
    pairs = wb.pairs("refusal")
    test = wb.Pairs(pairs.test.positive.take(options.prompts), pairs.test.negative.take(options.prompts))
    directions = wb.extract(model, pairs.dev, at=wb.resid_post.all)
    first, last = model.n_layers // 3, 2 * model.n_layers // 3
    layers = sorted({first + (last - first) * i // max(1, options.layers - 1) for i in range(options.layers)})
    sweeps: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.repeats):
        for on in ("all", "prompt[-1] | response"):
            arms = wb.grid(directions, layers=layers, ratios=[-0.3, -0.15, 0, 0.15, 0.3], on=on)
            sweeps.setdefault(on, []).append(compare(model, test, arms, options.new))
    facts = {
        "machine": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
        "processor": os.environ.get("ONEDNN_MAX_CPU_ISA", "all instructions that it has"),
        "model": model.name,
        "dtype": options.dtype,
        "sweeps": sweeps,
    }
    path = Path(__file__).parent.parent / "figures" / "benchmark_planning.json"
    path.parent.mkdir(exist_ok=True)
    kept = json.loads(path.read_text()) if path.is_file() else []
    setting = ("model", "dtype", "processor")
    others = [one for one in kept if [one[key] for key in setting] != [facts[key] for key in setting]]
    path.write_text(json.dumps([*others, facts], indent=1) + "\n")
    print(json.dumps(facts, indent=1))


def compare(model: wb.Model, test: wb.Pairs, arms: tuple[wb.Arm, ...], new: int) -> dict[str, float]:
    started = time.perf_counter()
    plan = wb.plan(model, test, arms, max_new_tokens=new)
    planning = time.perf_counter() - started
    print(plan)
    with tempfile.TemporaryDirectory() as store:
        started = time.perf_counter()
        rows = wb.sweep(model, test, arms, [wb.refusal], store, max_new_tokens=new)
        took = time.perf_counter() - started
    return {
        "rows": len(rows),
        "seconds_to_plan": round(planning, 1),
        "seconds_estimated": round(plan.seconds, 1),
        "seconds_measured": round(took, 1),
        "estimated_over_measured": round(plan.seconds / took, 3),
        "new_tokens_estimated": round(plan.load.new_tokens / plan.load.rows, 1),
        "new_tokens_measured": round(float(rows["tokens"].mean()), 1),
    }


if __name__ == "__main__":
    main()
