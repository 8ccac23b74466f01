"""Speed of steered generation: this library, transformers' generate with a forward hook, and the bridge, taking turns.

One grid of layers and doses on the same prompts, model and dtype, after a warm-up; each contender runs the same cells. The
token agreement of the first two is reported too. Writes figures/benchmark_generation.json.

    python benchmarks/generation.py [--prompts 24] [--new 32] [--rounds 2]
"""

import argparse
import json
import platform
import time
from pathlib import Path

import torch

import workbench as wb
from workbench.edits import Steer
from workbench.models import Model


def main() -> None:
    options = arguments()
    model = wb.load("smollm2-refusal")
    pairs = wb.pairs("refusal")
    prompts = pairs.test.positive.take(options.prompts).texts
    ds = wb.extract(model, pairs.dev, at=wb.resid_post.all)
    cells = [wb.add(ds[layer], ratio=ratio) for layer in (10, 14, 18) for ratio in (-0.3, -0.15, 0.15, 0.3)]
    sparse = [wb.add(s.edits[0].direction, s.edits[0].coef, on=wb.PROMPT[-1] | wb.RESPONSE) for s in cells]
    contenders = {
        "workbench": lambda new: packed(model, prompts, cells, new),
        "workbench, prompt[-1] | response": lambda new: packed(model, prompts, sparse, new),
        "transformers, a batch per cell": lambda new: hooked(model, prompts, cells, new),
        "bridge, a batch per cell": lambda new: bridged(model, prompts, cells[:3], new),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    tokens = {}
    for run in contenders.values():
        run(2)  # warm-up
    for _ in range(options.rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            tokens[name] = run(options.new)
            seconds[name].append((time.perf_counter() - started) / len(tokens[name]))
    report(options, seconds, tokens)


def packed(model: Model, prompts: list[str], cells: list[Steer], new: int) -> list[tuple[int, ...]]:
    rows = [(prompt, cell) for cell in cells for prompt in prompts]
    done = wb.generate(
        model, [p for p, _ in rows], [c for _, c in rows], max_new_tokens=new, batch_size=160, progress=False
    )
    return list(done.token_ids)


def hooked(model: Model, prompts: list[str], cells: list[Steer], new: int) -> list[tuple[int, ...]]:
    ids, mask = model.encode(prompts).tensors()
    stops, pad = sorted(model.stop_ids), model.tokenizer.pad_token_id
    found = []
    for cell in cells:
        (edit,) = cell.edits
        vector = edit.coef * edit.direction.vector
        block = model.hf.model.layers[edit.site.layer]
        handle = block.register_forward_hook(lambda _, __, output, vector=vector: output + vector)
        out = model.hf.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=new,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=pad,
        )
        handle.remove()
        found += [cut(row, stops) for row in out[:, ids.shape[1] :].tolist()]
    return found


def bridged(model: Model, prompts: list[str], cells: list[Steer], new: int) -> list[tuple[int, ...]]:
    ids, mask = model.encode(prompts).tensors()
    found = []
    for cell in cells:
        (edit,) = cell.edits
        vector = edit.coef * edit.direction.vector
        with model.bridge.hooks(fwd_hooks=[(str(edit.site), lambda x, hook, vector=vector: x + vector)]):
            out = model.bridge.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=new,
                do_sample=False,
                prepend_bos=False,
                verbose=False,
                return_type="tokens",
            )
        found += [cut(row, sorted(model.stop_ids)) for row in out[:, ids.shape[1] :].tolist()]
    return found


def cut(row: list[int], stops: list[int]) -> tuple[int, ...]:
    ends = [i for i, token in enumerate(row) if token in stops]
    return tuple(row[: ends[0] + 1] if ends else row)


def report(options: argparse.Namespace, seconds: dict[str, list[float]], tokens: dict[str, list]) -> None:
    names = list(seconds)
    rates = {name: 1 / min(times) for name, times in seconds.items()}
    pairs = list(zip(tokens[names[0]], tokens[names[2]], strict=True))
    agreement = sum(a == b for a, b in pairs) / len(pairs)
    facts = {
        "machine": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "dtype": "float32",
        "prompts": options.prompts,
        "new_tokens": options.new,
        "completions_per_second": {name: round(rate, 2) for name, rate in rates.items()},
        "ratios": {name: round(rates[names[0]] / rate, 2) for name, rate in rates.items()},
        "token_agreement_with_transformers": round(agreement, 4),
    }
    path = Path(__file__).parent.parent / "figures" / "benchmark_generation.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
