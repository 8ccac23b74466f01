"""The table of docs/speed.md out of figures/benchmark_sweep.json, as Markdown.

python benchmarks/table.py
"""

import json
from pathlib import Path

ROWS = {
    "hf_cell": "transformers `generate` with a forward hook",
    "bridge_cell": "`TransformerBridge.generate` with a hook",
    "bridge_single": "the same, one prompt at a time",
    "nnsight_cell": "nnsight",
    "steering_vectors_cell": "steering-vectors",
    "repeng_cell": "repeng",
    "writing_only": "transformers, steering `prompt[-1] \\| response` alone here",
    "verdict_stop": 'transformers, with `stop="verdict"` here',
    "step_of_256_over_bare_pass": "*tokens written per second by 256 rows over tokens read in a bare pass*",
    "step_of_64_over_bare_pass": "*the same, 64 rows*",
}


def main() -> None:
    found = json.loads((Path(__file__).parent.parent / "figures" / "benchmark_sweep.json").read_text())
    dtypes = [name for name in ("bfloat16", "float32") if name in found]
    print(f"{found['machine']}; {found['model']}, {found['new_tokens']} new tokens, rounds: {found['rounds']}\n")
    print("| completions per second of `wb.sweep` over those of |", " | ".join(dtypes), "|")
    print("|---" * (1 + len(dtypes)) + "|")
    for name, label in ROWS.items():
        ratios = [found[dtype]["ratios"].get(name) for dtype in dtypes]
        if any(ratio is not None for ratio in ratios):
            print(f"| {label} |", " | ".join("" if ratio is None else f"{ratio:.2g}" for ratio in ratios), "|")
    for dtype in dtypes:
        print(f"\nrows equal to those of transformers, {dtype}:", found[dtype]["rows_equal_to_transformers"])
    print("\nscaling:", found.get("scaling"))


if __name__ == "__main__":
    main()
