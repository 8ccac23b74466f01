"""Do two checkouts say the same? Audits, model revisions, content keys, and a ledger of the older one computed again.

    python benchmarks/same_results.py OLD_CHECKOUT NEW_CHECKOUT [--ledger FOLDER_OF_OLD_RUNS]

Each checkout answers in a process of its own. Every fact that differs is printed; exit code 1 if there is one.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

#: Runs inside a checkout. Names that have moved are looked for in both places.
FACTS = """
import importlib, json, sys
from dataclasses import asdict
import torch
import workbench as wb
from tests.families import FAMILIES, PROMPTS, tiny_model

def one_of(*places):
    for module, name in places:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(places)

sweep_rows = one_of(("workbench.sweeps.rows", "sweep_rows"), ("workbench.rows", "sweep_rows"))
Decoding = one_of(("workbench.sweeps.rows", "Decoding"), ("workbench.rows", "Decoding"))
Shelf = one_of(("workbench.activations.on_disk", "Shelf"), ("workbench.activation_files", "Shelf"))
as_prompts = one_of(("workbench.models.prompts", "as_prompts"), ("workbench.prompt_sets", "as_prompts"))
located = one_of(("workbench.models.registry", "SOURCES"), ("workbench.registry", "SOURCES"))

facts = {}
for claim in wb.logged_claims():
    facts[f"audit {claim.id}"] = json.dumps(asdict(claim.audit()), default=str, sort_keys=True)
pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:])
for family in FAMILIES:
    model = tiny_model(family)
    ds = wb.extract(model, pairs, at=wb.resid_post.all, read=wb.PROMPT[-1])
    one = ds[1]
    facts[f"direction {family}"] = one.id
    facts[f"vocabulary {family}"] = model.vocabulary
    steers = {
        "add": wb.add(one, 0.5), "ratio": wb.add(one, ratio=0.3, on="prompt[-1] | response"), "ablate": wb.ablate(one),
        "clamp": wb.clamp(one, low=0.0, high=1.0), "gated": wb.add(one, 1.0).when(ds[0], above=0.1), "none": wb.Steer(),
        "joined": wb.add(ds[0], 0.5) + wb.ablate(ds[2]),
    }
    for name, steer in steers.items():
        facts[f"steer {family} {name}"] = steer.key
    arms = wb.grid(ds, layers=[0, 1], ratios=[-0.3, 0, 0.3], controls=2)
    rows = sweep_rows(model, {"all": as_prompts(PROMPTS)}, arms, Decoding(12))
    facts[f"store keys {family}"] = sorted(row.key for row in rows)
    done = wb.generate(model, PROMPTS, [wb.add(one, 0.2 * i) for i in range(6)], max_new_tokens=10, progress=False)
    facts[f"tokens {family}"] = [list(map(int, ids)) for ids in done.token_ids]
for name in sys.argv[1:]:
    model = wb.load(name)
    facts[f"revision {name}"] = model.revision
    d = wb.extract(model, wb.pairs("refusal").train, at=wb.resid_post(12), read=wb.PROMPT[-1])
    facts[f"direction {name}"] = d.id
    rows = sweep_rows(model, {"all": as_prompts(PROMPTS)}, wb.grid(d, ratios=[-0.3, 0.3], controls=1), Decoding(12))
    facts[f"store keys {name}"] = sorted(row.key for row in rows)
print("FACTS" + json.dumps(facts))
"""


def answer(checkout: Path, code: str, *words: str) -> str:
    """What a checkout prints."""
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=checkout, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr[-3000:]}")
    return done.stdout


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--models", nargs="*", default=["smollm2-refusal", "gemma3-refusal"])
    parser.add_argument("--ledger", type=Path, help="a ledger that the older checkout recorded, to be computed again")
    asked = parser.parse_args()
    old, new = (json.loads(answer(c, FACTS, *asked.models).split("FACTS", 1)[1]) for c in (asked.old, asked.new))
    differing = [name for name in old | new if old.get(name) != new.get(name)]
    print(f"{len(old)} facts, {len(differing)} differ")
    for name in differing:
        print(f"  {name}: {str(old.get(name))[:200]} | {str(new.get(name))[:200]}")
    if asked.ledger:
        again = "import sys; from workbench.cli import main; sys.argv = ['workbench', 'ledger', '--recheck', '--path', sys.argv[1]]; main()"
        print(answer(asked.new, again, str(asked.ledger.resolve())))
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
