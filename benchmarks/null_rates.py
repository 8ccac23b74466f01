"""How often a verdict says "reproduced" where a real model was steered along a random direction.

Random directions steer each model at several layers, at the dose and positions of the sign-inversion finding (S3.2):
isotropic ones, and ones with the covariance of the activations, which are harder. Each direction stands once for the extracted one,
on as many prompts as the claim plans with, with others of its layer as its controls; the rule is that of ``ledger.record``. The
direction is the unit: the interval is of so many directions, not of replications that reuse them. Writes figures/null_rates.json.

    python benchmarks/null_rates.py [--models smollm2-refusal gemma3-refusal qwen2.5-coder-0.5b] [--depths 0.4 0.6 0.8]
                                    [--directions 9] [--controls 40] [--prompts 60]
"""

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd

import workbench as wb
from workbench import statistics
from workbench.claims.evidence import prepare_rows
from workbench.claims.replication import read_rows
from workbench.claims.verdict import Gate, decide

FIGURES = Path(__file__).parent.parent / "figures"
CLAIM = wb.claim("S3.2")
KINDS = ("random", "covariant")


def main() -> None:
    options = arguments()
    lines = []
    for model in options.models:
        rows = steered(model, options)
        for layer in sorted(set(rows["layer"]) - {-1}):
            at = rows[rows["layer"].isin([-1, layer])]
            lines += [(model, layer, *found) for found in judged(at, options)]
    table = pd.DataFrame(lines, columns=["model", "layer", "kind", "direction", "outcome", "change"])
    told = {
        "models": options.models,
        "depths": options.depths,
        "controls": options.controls,
        "prompts": options.prompts,
        "by_kind": {kind: summary(table[table["kind"] == kind]) for kind in KINDS},
        "by_model": {model: summary(table[table["model"] == model]) for model in options.models},
        "all": summary(table),
    }
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


def summary(part: pd.DataFrame) -> dict[str, object]:
    """Outcomes of so many directions, and how far they moved compliance."""
    counts = Counter(part["outcome"])
    quantiles = {
        name: round(float(part["change"].quantile(q)), 3) for name, q in (("least", 0), ("median", 0.5), ("most", 1))
    }
    reproduced = str(statistics.rate(counts["reproduced"], len(part)))
    return {"directions": len(part), "outcomes": dict(counts), "reproduced": reproduced, "change": quantiles}


def judged(rows: pd.DataFrame, options: argparse.Namespace) -> list[tuple[str, str, str, float]]:
    """Each tried direction of a layer once, with the same controls: kind, name, outcome, change of compliance.

    The controls are the last directions of either kind, and none of those that are tried.
    """
    by_kind = {kind: list(dict.fromkeys(rows.loc[rows["kind"] == kind, "arm"])) for kind in KINDS}
    tried = [(kind, name) for kind, names in by_kind.items() for name in names[: options.directions]]
    beside = [name for names in by_kind.values() for name in names[options.directions :]]
    criterion = replace(CLAIM.criterion, controls=min(options.controls, len(beside)))
    claim = replace(CLAIM, criterion=criterion)
    passed = [Gate("G2 hook", True, "the same for all")]
    found = []
    for kind, name in tried:
        part = rows[rows["arm"].isin(["baseline", name, *beside])].copy()
        part.loc[part["arm"] == name, "kind"] = "direction"
        m = read_rows(claim, prepare_rows(part, ("refusal",)), arm=name, extra=passed).measured
        outcome = decide(claim, m.gates, m.effect, m.p, m.direction_holds).outcome
        found.append((kind, name, outcome, m.effect.value))
    return found


def steered(name: str, options: argparse.Namespace) -> pd.DataFrame:
    """Rows of the baseline and of every random direction, at each layer."""
    model = wb.load(name)
    pairs = wb.pairs("refusal")
    on, half = wb.PROMPT[-1] | wb.RESPONSE, -(-options.controls // 2)
    n = options.directions + half
    layers = sorted({min(round(depth * model.n_layers), model.n_layers - 1) for depth in options.depths})
    sites = [wb.resid_post(layer) for layer in layers]
    ds = wb.extract(model, pairs.train, at=sites, read=wb.PROMPT[-1])
    covariant = wb.covariant(model, pairs.train, at=sites, read=wb.PROMPT[-1], seeds=range(7000, 7000 + n))
    arms = wb.grid(ds, ratios=[0, -0.3], on=on, controls=n, seed=7000, covariant=covariant)
    kept = [arm for arm in arms if arm.kind in ("baseline", *KINDS)]
    prompts = {"positive": pairs.test.positive.take(options.prompts)}
    return wb.sweep(model, prompts, kept, [wb.refusal], options.store, max_new_tokens=options.tokens)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["smollm2-refusal", "gemma3-refusal", "qwen2.5-coder-0.5b"])
    parser.add_argument("--depths", type=float, nargs="+", default=[0.4, 0.6, 0.8])
    parser.add_argument(
        "--directions", type=int, default=9, help="of each kind, at each layer of each model: 162 in all"
    )
    parser.add_argument("--controls", type=int, default=40, help="of both kinds together, beside those that are tried")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--store", type=Path, default=Path("runs/store"))
    parser.add_argument("--out", type=Path, default=FIGURES / "null_rates.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
