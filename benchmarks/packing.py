"""How often the batch a row lands in changes what it says: rows packed three ways, in three dtypes, greedy and sampled.

Packing may move a token only through rounding. In float64 it must not; this measures how often it does in float32 and
bfloat16: the share of rows that are equal token for token in large batches, in small ones and alone, and the share of
tokens up to the first difference. Writes figures/benchmark_packing.json.

    python benchmarks/packing.py [--model smollm2-refusal | tiny] [--prompts 16] [--new 32] [--dtypes …]
"""

import argparse
import json
from pathlib import Path

import torch

import workbench as wb
from workbench.models.model import Model

DTYPES = ("float64", "float32", "bfloat16")
HOW = {"greedy": {}, "sampled": {"temperature": 0.7, "top_p": 0.95}}


def main() -> None:
    options = arguments()
    facts = {"model": options.model, "new_tokens": options.new, "torch": torch.__version__}
    path = Path(__file__).parent.parent / "figures" / "benchmark_packing.json"
    path.parent.mkdir(exist_ok=True)
    for dtype in options.dtypes:
        model, prompts = loaded(options.model, dtype, options.prompts)
        ds = wb.extract(model, wb.Pairs(prompts[::2], prompts[1::2]), at=wb.resid_post.all)
        arms = wb.grid(ds, ratios=[-0.3, 0, 0.3], layers=ds.layers[:: max(1, len(ds) // 3)])
        facts |= {f"{dtype} {name}": agreement(model, prompts, arms, options.new, how) for name, how in HOW.items()}
        path.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))


def loaded(name: str, dtype: str, n: int) -> tuple[Model, list[str]]:
    if name != "tiny":
        return wb.load(name, dtype=dtype), wb.pairs("refusal").test.positive.take(n).texts
    from tests.families import PROMPTS, tiny_model

    return tiny_model("llama", dtype), PROMPTS


def agreement(model: Model, prompts: list[str], arms: tuple, new: int, how: dict) -> dict[str, float]:
    rows = [(prompt, arm.steer) for arm in arms for prompt in prompts]

    def written(batch_size: int) -> list[tuple[int, ...]]:
        texts, steers = zip(*rows, strict=True)
        done = wb.generate(model, texts, steers, new, batch_size=batch_size, progress=False, **how)
        return list(done.token_ids)

    large, small, alone = written(160), written(7), written(1)
    found = {}
    for name, other in (("batches of 160 and of 7", small), ("batches of 160 and rows alone", alone)):
        pairs = list(zip(large, other, strict=True))
        until = sum(shared(a, b) for a, b in pairs) / sum(max(len(a), len(b)) for a, b in pairs)
        found |= {f"{name}, rows equal": round(sum(a == b for a, b in pairs) / len(pairs), 4)}
        found |= {f"{name}, tokens before the first difference": round(until, 4)}
    return {"rows": len(rows)} | found


def shared(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """How many tokens two rows begin with in common."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-refusal")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--new", type=int, default=32)
    return parser.parse_args()


if __name__ == "__main__":
    main()
