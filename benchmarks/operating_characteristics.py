"""How often the rule of verdicts says what, for effects whose size is known.

For each claim with a minimum effect E, at the n it plans with: true effects of 0, ½, ¾, 1 and 1½ E and the logged one, each replicated
at least 1,000 times, with 5 to 10% of pairs changing the other way. A replication is drawn as counts of pairs, or as values of units,
and judged by the functions that judge one that was run: interval and test of ``workbench.statistics``, specificity of
``claims.replication``, ``claims.verdict.decide``. Claims of a limit, of a level and without a minimum are listed apart. Writes
figures/operating_characteristics.json, and prints the tables of docs/verdicts.md.

    python benchmarks/operating_characteristics.py [--runs 2000] [--claims S3.2 S1.2] [--plan]
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np

import workbench as wb
from workbench import statistics
from workbench.claims.claim import Claim
from workbench.claims.replication import specificity
from workbench.claims.verdict import Gate, decide

FIGURES = Path(__file__).parent.parent / "figures"
LOST = 0.075  # share of pairs that change the other way; drawn from 5 to 10% in each replication
SIZES = (0.0, 0.5, 0.75, 1.0, 1.5)
OUTCOMES = ("reproduced", "smaller", "not reproduced", "opposite", "inconclusive")
LADDER = (
    20,
    24,
    30,
    36,
    42,
    48,
    60,
    72,
    80,
    100,
    120,
    140,
    160,
    180,
    200,
    250,
    300,
    400,
    500,
    600,
    800,
    1000,
    1500,
    2000,
)

#: targets: reproduced at most so often under no effect and at half the minimum, at least so often at 1½ times it and as logged
MOST_NULL, MOST_HALF, LEAST_POWER = 0.05, 0.10, 0.80

Drawn = tuple[wb.Estimate, float]
Draw = Callable[[float, int, np.random.Generator], Drawn]


@dataclass(frozen=True)
class Design:
    """How the units of a claim are drawn: a function of true effect, n and a generator, and why so."""

    draw: Draw
    units: str = "prompts"
    sd: float = 0.0  # of one unit, where units are drawn from a normal distribution
    n: int = 0  # how many units the verdict resamples, where these are not what the claim counts


@cache
def pair_counts(both: int, lost: int, gained: int, neither: int) -> Drawn:
    """Interval and test of pairs, from their counts."""
    return statistics.paired_difference_counts(both, lost, gained, neither), statistics.mcnemar_counts(gained, lost)


def pairs(base: float) -> Draw:
    """Prompts that have a label or not, without and with the direction; a share ``base`` has it without."""

    def draw(effect: float, n: int, rng: np.random.Generator) -> Drawn:
        lost = min(rng.uniform(0.05, 0.10), base, max(1 - base - effect, 0.0))
        shares = [base - lost, lost, effect + lost, 1 - base - effect - lost]
        return pair_counts(*map(int, rng.multinomial(n, np.clip(shares, 0, 1) / np.clip(shares, 0, 1).sum())))

    return draw


@cache
def unit_counts(lost: int, gained: int, n: int) -> Drawn:
    """Interval and test of units each of which wins, loses or stays, by whole units."""
    values = np.repeat([-1.0, 1.0, 0.0], [lost, gained, n - lost - gained])
    if not values.any():
        return wb.Estimate(0.0, 0.0, 0.0, n, "no unit changed"), 1.0
    return statistics.mean(values), statistics.permutation(np.zeros(n), values, resamples=1999).p


def units() -> Draw:
    """Items that one method gets right and the other does not: differences of -1, 0 and 1, resampled as units."""

    def draw(effect: float, n: int, rng: np.random.Generator) -> Drawn:
        lost = rng.uniform(0.05, 0.10)
        lost, gained, _ = rng.multinomial(n, [lost, lost + effect, 1 - 2 * lost - effect])
        return unit_counts(int(lost), int(gained), n)

    return draw


def against_controls(base: float, controls: int = 40) -> Draw:
    """Prompts under a direction, and the mean of control directions: each control changes 5% of prompts either way."""

    def draw(effect: float, n: int, rng: np.random.Generator) -> Drawn:
        plain = rng.random(n) < base
        lost = rng.uniform(0.05, 0.10)
        beside = np.where(
            plain[:, None], rng.random((n, controls)) >= 0.05 / base, rng.random((n, controls)) < 0.05 / (1 - base)
        )
        own = np.where(plain, rng.random(n) >= lost / base, rng.random(n) < (effect + lost) / (1 - base))
        before, after = beside.mean(1), own.astype(float)
        return statistics.mean(after - before, resamples=1999), statistics.permutation(before, after, resamples=1999).p

    return draw


def normal(sd: float) -> Draw:
    """A number whose spread is known from earlier runs: ``sd`` is its standard error times the root of n."""
    from scipy.stats import norm

    def draw(effect: float, n: int, rng: np.random.Generator) -> Drawn:
        error = sd / np.sqrt(n)
        value = effect + error * rng.standard_normal()
        p = float(2 * norm.sf(abs(value) / error))
        return wb.Estimate(value, value - 1.96 * error, value + 1.96 * error, n, "normal"), p

    return draw


#: Base rates are those of the reference models; spreads come from the intervals of the runs before this rule, at their n.
DESIGNS = {
    "S1.2": Design(pairs(0.6)),
    "S1.2b": Design(pairs(0.6)),
    "S1.7": Design(pairs(0.1)),
    "S2.5": Design(pairs(0.0)),
    "S3.2": Design(pairs(0.3)),
    "S3.3": Design(against_controls(0.1)),
    "S3.4": Design(pairs(0.1)),
    "S3.6": Design(pairs(0.4)),
    "S0.7": Design(pairs(0.1)),
    "S2.2": Design(units(), "items"),
    "S2.11": Design(units(), "bases"),
    "S2.13": Design(units(), "bases"),
    "S2.14": Design(units(), "bases"),
    "S2.7": Design(normal(0.37), sd=0.37),
    "S2.1": Design(normal(0.35), "responses", 0.35),
    "S2.3": Design(normal(0.15), "responses", 0.15),
    "S2.9": Design(normal(0.6), "prompts", 0.6),
    "S2.15": Design(normal(0.13), "cells", 0.13),
    "S1.8": Design(pairs(0.02)),
    "S1.3": Design(pairs(0.3)),
    "S1.3a": Design(pairs(0.3)),
    "S1.6b": Design(units(), "pairs of requests"),
    "S3.2a": Design(pairs(0.3)),
    "S2.11b": Design(units(), "bases"),
    "S0.5": Design(normal(0.29), sd=0.29),
    "S0.5b": Design(normal(0.29), sd=0.29),
    "S0.4": Design(normal(0.072), sd=0.072),  # slopes of lengths that vary by 12%, as the log's, over its six alphas
    "S1.4": Design(pairs(0.3)),
    "S2.4": Design(normal(0.5), sd=0.5),
    "S0.10c": Design(normal(1.9), sd=1.9),
    "S1.1": Design(normal(0.42), "models", 0.42),
    "S2.8": Design(normal(0.25), "pairs of models", 0.25),
    "S2.10": Design(normal(0.32), "series", 0.32, n=12),  # one of each method and layer
    "S2.12": Design(normal(1.0), "traits", 1.0),
    "S1.9": Design(normal(1.0), "models", 1.0),
}

#: Claims that plan an n and whose outcome is no difference that could be drawn here: a level, the largest of several ranges, a share
#: of answers or of directions.
WITHOUT_DESIGN = {"S1.6", "S0.6", "S0.8", "S2.17", "S3.8"}


def simulate(claim: Claim, design: Design, effect: float, n: int, runs: int, seed: int = 0) -> Counter[str]:
    """How often each outcome came out of so many replications of a claim."""
    criterion = claim.criterion
    assert criterion is not None
    rng = np.random.default_rng([seed, n, round(abs(effect) * 1e6)])
    against = "G6" in criterion.gates and criterion.form == "effect"  # of a limit it is about what is to be limited
    passed = [Gate(name, True, "") for name in criterion.gates if not (against and name == "G6")]
    counts: Counter[str] = Counter()
    for _ in range(runs):
        found, p = design.draw(effect, n, rng)
        gates = passed
        if against:
            changed = rng.binomial(n, 0.05, (2, criterion.controls)) / n
            gates = [*passed, specificity(found.value, changed[0] - changed[1], 0, criterion.controls)]
        above = criterion.contrast.interval_above if criterion.contrast else None
        holds = above is None or found.low > float(above)
        counts[decide(claim, gates, found, p, holds).outcome] += 1
    return counts


def effects(claim: Claim) -> dict[str, float]:
    """The true effects that are tried, by what they are called."""
    criterion = claim.criterion
    assert criterion is not None
    least = float(criterion.minimum_effect)
    if criterion.form == "sign":
        sd = DESIGNS[claim.id].sd
        return {"0 E": 0.0, "½ SD of a unit": sd / 2, "1 SD": sd} | (
            {"logged": float(criterion.logged)} if criterion.logged else {}
        )
    if criterion.form in ("limit", "margin"):
        return {"none": 0.0, "½ of the limit": least / 2, "the limit": least, "1½": 1.5 * least, "2": 2 * least}
    tried = {f"{size:g} E": size * least for size in SIZES}
    if criterion.logged is not None:
        tried["logged"] = float(criterion.logged)
    return tried


def characteristics(claim: Claim, n: int, runs: int) -> dict[str, Counter[str]]:
    """The outcomes at every effect that is tried."""
    return {name: simulate(claim, DESIGNS[claim.id], effect, n, runs) for name, effect in effects(claim).items()}


def targets(claim: Claim, told: dict[str, Counter[str]]) -> dict[str, bool]:
    """Whether the targets are met: at most 5% reproduced without an effect, at most 10% at half of E, at least 80% at 1½ E.

    A logged effect that is larger is found the more often; one below E is not asked for: it would be "smaller".
    """
    share = {name: counts["reproduced"] / counts.total() for name, counts in told.items()}
    criterion = claim.criterion
    assert criterion is not None
    if criterion.form in ("limit", "margin"):
        return {"none": share["none"] >= LEAST_POWER, "the limit": share["the limit"] <= MOST_NULL}
    if criterion.form == "sign":
        return {"0 E": share["0 E"] <= MOST_NULL}
    met = {
        "0 E": share["0 E"] <= MOST_NULL,
        "0.5 E": share["0.5 E"] <= MOST_HALF,
        "1.5 E": share["1.5 E"] >= LEAST_POWER,
    }
    larger = criterion.logged is not None and criterion.logged > Decimal("1.5") * criterion.minimum_effect
    return met | ({"logged": share["logged"] >= LEAST_POWER} if larger else {})


def needed(claim: Claim, runs: int) -> int:
    """The smallest n of a ladder at which all targets are met, or 0."""
    for n in LADDER:
        if all(targets(claim, characteristics(claim, n, runs)).values()):
            return n
    return 0


def table(lines: Mapping[str, Mapping]) -> str:
    """Markdown: one line per claim and effect."""
    head = ["claim", "E", "n", "true effect", *OUTCOMES, "reproduced, upper limit"]
    rows = [head, ["---"] * len(head)]
    for name, said in lines.items():
        for i, (effect, outcomes) in enumerate(said["outcomes"].items()):
            counts = Counter(outcomes)
            shares = [f"{counts[outcome] / counts.total():.1%}" if counts[outcome] else "" for outcome in OUTCOMES]
            limit = f"{statistics.rate(counts['reproduced'], counts.total()).high:.1%}" if i == 0 else ""
            about = [name, said["minimum"], f"{said['n']} {said['units']}"] if i == 0 else ["", "", ""]
            rows.append([*about, effect, *shares, limit])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


#: what stands above the table of each form
HEADS = {
    "effect": "**Effects with a minimum.** Targets: "
    "reproduced in at most 5% without an effect, at most 10% at half of E, at least 80% at 1½ E.",
    "level": "**Levels.**",
    "limit": "**Limits.** Reproduced means that the limit is kept: at least 80% where nothing changes, at most 5% at the limit itself.",
    "margin": "**Margins**, likewise.",
    "sign": "**Without a minimum**, at the fewest units that the claim takes; effects in standard deviations of one unit. "
    "So few units find large effects alone.",
}


def page(told: Mapping[str, Mapping]) -> str:
    """The tables of docs/verdicts.md, each below its head."""
    forms = {form: {name: said for name, said in told.items() if said["form"] == form} for form in HEADS}
    return "\n\n".join(f"{HEADS[form]}\n\n{table(some)}" for form, some in forms.items() if some)


def planned(name: str) -> dict[str, str | int]:
    """What is simulated of a claim: so many of which units, its minimum and its form."""
    criterion, design = wb.claim(name).criterion, DESIGNS[name]
    assert criterion is not None
    n = design.n or max(criterion.planned_n, criterion.at_least)
    return {"n": n, "units": design.units, "minimum": f"{criterion.minimum_effect}", "form": criterion.form}


def _in_order(name: str) -> tuple[str, int, str]:
    """S0.5b behind S0.5, and S2.10 behind S2.9."""
    series, _, rest = name.partition(".")
    return series, int("".join(filter(str.isdigit, rest))), rest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="replications of each effect")
    parser.add_argument("--claims", nargs="*", default=list(DESIGNS), help="the others keep what was computed before")
    parser.add_argument("--plan", action="store_true", help="find the n of each claim instead")
    parser.add_argument("--out", type=Path, default=FIGURES / "operating_characteristics.json")
    options = parser.parse_args()
    told = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.claims:
        claim = wb.claim(name)
        if options.plan:
            print(f"{name}: {needed(claim, options.runs) or f'more than {LADDER[-1]}'}", flush=True)
            continue
        about = planned(name)
        found = characteristics(claim, int(about["n"]), options.runs)
        told[name] = {
            **about, "met": targets(claim, found), "outcomes": {k: dict(v) for k, v in found.items()}
        }  # fmt: skip
        told = {known: told[known] for known in sorted(told, key=_in_order) if known in DESIGNS}
        options.out.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        print(name, about["n"], told[name]["met"], flush=True)
    if not options.plan:
        print(f"\n{page(told)}")


if __name__ == "__main__":
    main()
