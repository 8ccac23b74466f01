"""Speed of a realistic sweep: this library against transformers, the bridge, nnsight, steering-vectors and repeng.

The refusal direction at 6 layers and 5 ratios from -0.3 to 0.3, 40 harmful and 40 harmless prompts, up to 48 new tokens,
every position steered. Contenders take turns in one process after a warm-up, on the same model in the same dtype. Ours runs
the whole grid, stored and scored; the others a sample of its cells, every ratio alike. The last three run in an environment
of their own that ``peers.py`` makes. Writes figures/benchmark_sweep.json and .png.

    python benchmarks/sweep.py [--dtypes bfloat16 float32] [--rounds 1] [--without peers scaling]
"""

import argparse
import functools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import contenders
import extraction
import peers
import picture
import scaling
import step
import torch
import tracing
from contenders import Cell

import workbench as wb
from workbench.models.model import Model

FIGURES = Path(__file__).parent.parent / "figures"
LAYERS, RATIOS, SIDE, NEW = (8, 11, 14, 17, 20, 23), (-0.3, -0.15, 0.0, 0.15, 0.3), 40, 48
SPARSE = wb.PROMPT[-1] | wb.RESPONSE
FEW = (0, 3, 4, 7, 8)  # of the sampled cells: each ratio once, the sides in turn
Measured = dict[str, float]


def main() -> None:
    options, started = arguments(), time.perf_counter()
    found = measured_before({"machine": machine(), "model": options.model, "new_tokens": NEW, "rounds": options.rounds})
    for dtype in options.dtypes:
        found[dtype] = compared(options, dtype)
        first = next(found[name] for name in ("bfloat16", *options.dtypes) if name in found)
        found["ratios"] = found.get("ratios", {}) | first["ratios"]
        save(found)
    if "scaling" not in options.without:
        found["scaling"] = scaling.measured(options.model)
        found["ratios"]["rows_10k_over_1k"] = found["scaling"]["rows_10k_over_1k"]
        found["tracing"] = tracing.overhead(options.model)
        found["ratios"]["trace_over_forward"] = found["tracing"]["trace_over_forward"]
        found["extraction"] = extraction.overhead(wb, wb.load(options.model))
        found["ratios"]["extract_over_forward"] = found["extraction"]["extract_over_forward"]
        found["ratios"]["added_10k_over_1k"] = found["scaling"]["added_10k_over_1k"]
    found["minutes"] = round((time.perf_counter() - started) / 60, 1)
    save(found)
    print(json.dumps(found, indent=1))


def compared(options: argparse.Namespace, dtype: str) -> dict:
    """Completions per second of each contender in one dtype, their ratios to ours, and what they agree on."""
    model = wb.load(options.model, dtype=dtype)
    cells, sparse = grid(model, wb.ALL), grid(model, SPARSE)
    sample = sampled(cells)
    few = [sample[i] for i in FEW]
    runs: dict[str, tuple[list[Cell], Callable]] = {
        "hf_cell": (sample, contenders.hooked),
        "workbench": (cells, contenders.swept),
        "bridge_cell": (few, contenders.bridged),
        "writing_only": (sparse, contenders.swept),
    }
    if dtype == options.dtypes[0]:  # these take minutes, and their ratios are alike in every dtype
        runs["verdict_stop"] = (cells, functools.partial(contenders.swept, stop="verdict"))
    for taken, run in runs.values():  # warm-up
        run(model, taken[:2], NEW)
    times: dict[str, list[float]] = {name: [] for name in runs}
    swept = {}
    for _ in range(options.rounds):
        for name, (taken, run) in runs.items():
            started = time.perf_counter()
            swept[name] = run(model, taken, NEW)
            times[name].append((time.perf_counter() - started) / (SIDE * len(taken)))
            print(f"{dtype} {name}: {1 / times[name][-1]:.2f} completions/s", flush=True)
    rates = {name: 1 / statistics.median(taken) for name, taken in times.items()}
    if dtype == options.dtypes[0]:
        rates["bridge_single"] = single(model, sample)
    equal = {"workbench": agreement(contenders.packed(model, sample, NEW), swept["hf_cell"])}
    if "peers" not in options.without:
        for name, peer in peers.measured(model, few, NEW, dtype).items():
            rates[name] = peer["completions_per_second"]
            theirs = [contenders.cut(row, model.stop_ids) for row in peer["tokens"]]
            equal[name] = agreement(theirs, of_few(swept["hf_cell"]))
    facts = {
        "completions_per_second": {name: round(rate, 3) for name, rate in rates.items()},
        "ratios": ratios(rates) | step_rates(model),
        "rows_equal_to_transformers": equal,
    }
    if "verdict_stop" in swept:
        facts["same_verdicts"] = same_verdicts(swept["workbench"], swept["verdict_stop"])
    return facts


def grid(model: Model, on: wb.Positions) -> list[Cell]:
    """The 60 cells of 40 prompts, as nested loops over layers, ratios and sides would run them."""
    pairs = wb.pairs("refusal")
    ds = wb.extract(model, pairs.train, at=wb.resid_post.all)
    sides = {"harmful": pairs.test.positive.take(SIDE), "harmless": pairs.test.negative.take(SIDE)}
    arms = [wb.grid(ds, ratios=[ratio], layers=[layer], on=on)[0] for layer in LAYERS for ratio in RATIOS]
    return [Cell(side, prompts, arm) for arm in arms for side, prompts in sides.items()]


def sampled(cells: list[Cell]) -> list[Cell]:
    """Ten cells for those who take minutes per cell: each ratio once on each side, the layers in turn."""
    of_layer = len(RATIOS) * 2
    return [cells[(i % len(LAYERS)) * of_layer + i] for i in range(of_layer)]


def ratios(rates: Measured) -> Measured:
    """Our completions per second over theirs; the two ways of ours, over transformers'."""
    ours = {"writing_only", "verdict_stop"}
    found = {name: rates["workbench"] / rate for name, rate in rates.items() if name not in ours | {"workbench"}}
    found |= {name: rates[name] / rates["hf_cell"] for name in ours & rates.keys()}
    return {name: round(ratio, 2) for name, ratio in found.items()}


def single(model: Model, cells: list[Cell]) -> float:
    """Completions per second of the bridge, one prompt at a time: two of each cell."""
    few = [Cell(cell.side, cell.prompts.take(2), cell.arm) for cell in cells]
    started = time.perf_counter()
    contenders.bridged(model, few, NEW, batch=1)
    return 2 * len(few) / (time.perf_counter() - started)


def step_rates(model: Model) -> Measured:
    """Tokens written per second by rows that never end, over tokens that a bare forward pass reads per second."""
    return {f"step_of_{rows}_over_bare_pass": step.over_bare_pass(model, rows) for rows in (256, 64)}


def of_few(tokens: contenders.Tokens) -> contenders.Tokens:
    """Of the tokens of the sampled cells, those of the few."""
    return [row for i in FEW for row in tokens[SIDE * i : SIDE * (i + 1)]]


def agreement(ours: contenders.Tokens, theirs: contenders.Tokens) -> float:
    """The share of rows that say the same, token for token."""
    return round(statistics.mean(a == b for a, b in zip(ours, theirs, strict=True)), 4)


def same_verdicts(whole, stopped) -> float:
    """The share of rows whose label is the same whether they were written to their end or to their verdict."""
    return round(float((whole["value"].to_numpy() == stopped["value"].to_numpy()).mean()), 4)


def machine() -> str:
    """Where this ran, in words: what the processor is, what it multiplies with, threads, and torch."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    names = [line.partition(":")[2] for line in _cpuinfo() if line.startswith("model name")]
    name = names[0].strip() if names else platform.machine()
    amx = torch.cpu._is_amx_tile_supported() and "AMX" in os.environ.get("ONEDNN_MAX_CPU_ISA", "AMX").upper()
    units = f"{torch.backends.cpu.get_cpu_capability()}, {'AMX' if amx else 'no AMX'}"
    return f"{name}, {units}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _cpuinfo() -> list[str]:
    about = Path("/proc/cpuinfo")
    return about.read_text().splitlines() if about.exists() else []


def measured_before(settings: dict) -> dict:
    """These settings and, where the last file holds the very same, what it found: one dtype may be measured at a time."""
    file = FIGURES / "benchmark_sweep.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    return found if settings.items() <= found.items() else settings


def save(found: dict) -> None:
    FIGURES.mkdir(exist_ok=True)
    (FIGURES / "benchmark_sweep.json").write_text(json.dumps(found, indent=1) + "\n")
    if "ratios" in found:
        picture.draw(found, FIGURES / "benchmark_sweep.png")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-refusal")
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--without", nargs="*", default=[], choices=["peers", "scaling"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
