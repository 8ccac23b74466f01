"""How often a verdict says "reproduced" where a real model was steered along a random direction.

Directions drawn at random steer the reference model at the layer, dose and positions of the sign-inversion finding (S3.2). A
replication takes one of them as if it had been extracted, others as its controls, and as many prompts as the power
calculation asks for; the rule is that of ``ledger.record``. Writes figures/null_rates.json.

    python benchmarks/null_rates.py [--model smollm2-refusal] [--directions 60] [--controls 10 20 40] [--prompts 50] [--runs 400]
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

import workbench as wb
from workbench import statistics
from workbench.claims.evidence import prepare_rows
from workbench.claims.replication import read_rows
from workbench.claims.verdict import decide

FIGURES = Path(__file__).parent.parent / "figures"
LOST = 0.02


def main() -> None:
    options = arguments()
    rows = steered(options)
    complies = (rows["value"] == "compliance").groupby(rows["arm"]).mean()
    change = complies.drop("baseline") - complies["baseline"]
    told = {
        "model": options.model,
        "directions": options.directions,
        "prompts": options.prompts,
        "change_of_compliance": {
            q: round(float(change.quantile(x)), 3) for q, x in (("least", 0), ("median", 0.5), ("most", 1))
        },
        "controls": {str(controls): rates(rows, controls, options.runs) for controls in options.controls},
    }
    (FIGURES / "null_rates.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


def rates(rows: pd.DataFrame, controls: int, runs: int) -> dict[str, object]:
    """Verdicts of replications that have so many controls each."""
    claim = wb.claim("S3.2")
    n = statistics.needed_n_paired(gained=claim.minimum_effect + LOST, lost=LOST)
    rng = np.random.default_rng(0)
    outcomes = []
    for _ in range(runs):
        found = read_rows(claim, prepare_rows(replication(rows, n, controls, rng), ("refusal",))).measured
        outcomes.append(decide(claim, found.gates, found.effect, found.p, found.direction_holds).outcome)
    counts = Counter(outcomes)
    return {"n": n, "outcomes": dict(counts), "reproduced": str(statistics.rate(counts["reproduced"], runs))}


def steered(options: argparse.Namespace) -> pd.DataFrame:
    """Rows of the baseline and of every random direction."""
    model = wb.load(options.model)
    pairs = wb.pairs("refusal")
    d = wb.extract(model, pairs.train, at=wb.resid_post(round(0.6 * model.n_layers)), read=wb.PROMPT[-1])
    on = wb.PROMPT[-1] | wb.RESPONSE
    arms = wb.grid(d, ratios=[0, -0.3], on=on, controls=options.directions, seed=7000)
    kept = [arm for arm in arms if arm.kind in ("baseline", "random")]
    prompts = {"positive": pairs.test.positive.take(options.prompts)}
    return wb.sweep(model, prompts, kept, [wb.refusal], options.store, max_new_tokens=24)


def replication(rows: pd.DataFrame, n: int, controls: int, rng: np.random.Generator) -> pd.DataFrame:
    """Some prompts, and some directions: the first of them as if it were the extracted one."""
    prompts = rng.choice(rows["prompt"].unique(), n, replace=False)
    names = rng.choice(rows.loc[rows["kind"] == "random", "arm"].unique(), 1 + controls, replace=False)
    part = rows[rows["prompt"].isin(prompts) & rows["arm"].isin(["baseline", *names])].copy()
    part.loc[part["arm"] == names[0], "kind"] = "direction"
    return part


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-refusal")
    parser.add_argument("--directions", type=int, default=60)
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--controls", type=int, nargs="+", default=[10, 20, 40], help="of each replication")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--store", type=Path, default=Path("runs/store"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
