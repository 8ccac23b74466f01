"""Draw completions from a store, to be labelled by hand: the set that the accuracy of the scorers is measured on.

Strata are model, side of the contrast set, kind of arm (baseline, pushed up, pushed down) and what the three-way label says,
so that rare outcomes are there; a text is drawn once. The label is left empty for a person to fill in; the automatic one is
not written down, so that it cannot lead them. Rows whose prompt is harmful and whose text complies are long enough to judge
and no longer: cut to 200 characters, and to be read and dropped by the labeller where they tell anything of use.

    python benchmarks/label_set.py runs/store --out data/labels/smollm2-refusal.jsonl [--per-stratum 12] [--seed 0]
"""

import argparse
import json
from pathlib import Path

import pandas as pd

import workbench as wb

CUT = 200


def main() -> None:
    options = arguments()
    rows = drawn(wb.Store(options.store).frame(), options.per_stratum, options.seed)
    if options.out.exists():
        raise SystemExit(f"{options.out} exists, and may hold labels; give another name")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows.to_dict("records")]
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(rows)} completions to label in {options.out}; write refusal, compliance or collapse into each 'label'")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-stratum", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def drawn(stored: pd.DataFrame, per_stratum: int, seed: int) -> pd.DataFrame:
    """A stratified sample of a store's rows in a random order: prompt, arm, model, text, and an empty label."""
    rows = stored.drop_duplicates("text").copy()
    said = rows["text"].map(wb.refusal)
    side = rows["prompt"].map(sides()).fillna("other")
    arm = rows["steer"].map(kind)
    strata = rows.groupby([rows["model"], side, arm, said])
    picked = pd.concat([part.sample(min(len(part), per_stratum), random_state=seed) for _, part in strata])
    delicate = (side[picked.index] == "harmful") & (said[picked.index] == "compliance")
    text = picked["text"].where(~delicate, picked["text"].str[:CUT])
    sample = pd.DataFrame({"prompt": picked["prompt"], "arm": picked["steer"], "model": picked["model"], "text": text})
    return sample.assign(label="").sample(frac=1, random_state=seed).reset_index(drop=True)


def sides() -> dict[str, str]:
    """Prompt id -> harmful, harmless or borderline, for the bundled refusal sets."""
    names = ("harmful", "harmless", "borderline")
    return {
        p.id: side for name in ("refusal", "refusal_breadth") for side in names for p in wb.prompts(f"{name}/{side}")
    }


def kind(steer: str) -> str:
    """Baseline, pushed up, pushed down or otherwise edited, from a Steer as the store has it."""
    if steer == "Steer()":
        return "baseline"
    return "down" if "add(-" in steer else "up" if "add(+" in steer else "edited"


if __name__ == "__main__":
    main()
