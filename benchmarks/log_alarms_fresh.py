"""False alarms on honest logs in words that no rule was tuned on: another generator than ``log_alarms``, run as it was written.

    python benchmarks/log_alarms_fresh.py [--logs 200]

Writes figures/log_alarms_fresh.json. A rule that is mended after it was seen to fail here has to be told so in docs/auditing.md.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

import workbench as wb

FIGURES = Path(__file__).parent.parent / "figures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=200)
    options = parser.parse_args()
    rng = np.random.default_rng(20261128)
    checked: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    loud = 0
    for _ in range(options.logs):
        audited = wb.audit(fresh_log(rng))
        checked.update(audited.checked)
        raised = [f for f in audited if f.grade in ("error", "slip", "weak")]
        alarms.update(f"{f.grade} {f.rule}" for f in raised)
        loud += bool(raised)
        for finding in raised:
            print(f"alarm: {finding}")
    told = {"logs": options.logs, "logs_with_an_alarm": loud, "checked": sum(checked.values()), "alarms": dict(alarms)}
    (FIGURES / "log_alarms_fresh.json").write_text(json.dumps(told, indent=1) + "\n")
    print(f"{loud} of {options.logs} logs raise an alarm: {sum(alarms.values())} of {sum(checked.values())} checks")


def fresh_log(rng: np.random.Generator) -> str:
    parts = [survey, ablation, leaderboard, timing, trial, dosing, annotators, regression, recap]
    chosen = rng.permutation(len(parts))[: rng.integers(3, 7)]
    return "Notebook of the week\n====================\n\n" + "\n\n".join(parts[c](rng) for c in chosen) + "\n"


def survey(rng: np.random.Generator) -> str:
    n = int(rng.integers(31, 240))
    yes = int(rng.binomial(n, rng.uniform(0.2, 0.8)))
    unsure = int(rng.binomial(n - yes, 0.3))
    no = n - yes - unsure
    said = ", ".join(
        f"{k} ({100 * k / n:.1f}%) {word}" for k, word in ((yes, "agreed"), (no, "did not"), (unsure, "left it blank"))
    )
    return f"## Survey\n\nWe asked {n} people. {said}."


def ablation(rng: np.random.Generator) -> str:
    full = rng.uniform(60, 90)
    rows = [("everything", full, 0.0)]
    for part in ("no attention edits", "no MLP edits", "neither"):
        value = round(full, 1) - rng.uniform(1, 30)
        rows.append((part, value, round(value, 1) - round(full, 1)))
    body = "\n".join(f"| {name} | {value:.1f} | {diff:+.1f} |" for name, value, diff in rows)
    return f"### Ablation\n\nScores are means over three seeds.\n\n| variant | score | Δ to everything |\n|:--|--:|--:|\n{body}"


def leaderboard(rng: np.random.Generator) -> str:
    lines = []
    for name in ("ours", "prior", "naive"):
        a, b, c = (round(float(v), 2) for v in rng.uniform(0.4, 0.95, 3))
        lines.append(f"{name:<10}{a:>8.2f}{b:>8.2f}{c:>8.2f}{(a + b + c) / 3:>9.3f}")
    head = f"{'system':<10}{'math':>8}{'code':>8}{'chat':>8}{'average':>9}"
    return f"Leaderboard of today:\n\n{head}\n{'-' * len(head)}\n" + "\n".join(lines)


def timing(rng: np.random.Generator) -> str:
    old, new = rng.uniform(80, 200), rng.uniform(20, 70)
    old, new = round(old, 1), round(new, 1)
    return (
        f"One pass took {old} s before the change and {new} s after it, {old / new:.1f} times as fast; "
        "memory stayed below 4 GB on layer 7 of 28."
    )


def trial(rng: np.random.Generator) -> str:
    n, m = (int(v) for v in rng.integers(40, 160, 2))
    a, b = int(rng.binomial(n, 0.35)), int(rng.binomial(m, 0.6))
    p = stats.fisher_exact([[a, n - a], [b, m - b]])[1]
    low, high = (100 * float(v) for v in proportion_confint(b, m, method="wilson"))
    p_said = "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"
    return (
        f"**Trial.** Of {m} treated prompts {b} were declined ({100 * b / m:.0f}%; 95% Wilson interval {low:.0f}–{high:.0f}%), "
        f"of {n} untreated ones {a} ({100 * a / n:.0f}%); Fisher's exact test, {p_said}."
    )


def dosing(rng: np.random.Generator) -> str:
    n = int(rng.integers(24, 90))
    doses = [0.0, 0.5, 1.0, 2.0]
    ks = [int(rng.binomial(n, q)) for q in (0.1, 0.3, 0.6, 0.8)]
    rows = "\n".join(f"{d},{k},{n},{k / n:.3f}" for d, k in zip(doses, ks, strict=True))
    return f"Counts as exported:\n\n```csv\nscale,hits,trials,fraction\n{rows}\n```"


def annotators(rng: np.random.Generator) -> str:
    both, first, second, none = (int(v) for v in rng.integers(8, 60, 4))
    n = both + first + second + none
    agree = (both + none) / n
    chance = ((both + first) * (both + second) + (second + none) * (first + none)) / n**2
    kappa = (agree - chance) / (1 - chance)
    return (
        f"Two annotators read {n} answers. Both flagged {both}, only the first {first}, only the second {second}, and neither {none}; "
        f"raw agreement is {100 * agree:.1f}% and Cohen's κ is {kappa:.2f}."
    )


def regression(rng: np.random.Generator) -> str:
    n = int(rng.integers(15, 70))
    x = rng.normal(size=n)
    y = 0.4 * x + rng.normal(size=n)
    r, p = stats.pearsonr(x, y)
    t = r * np.sqrt((n - 2) / (1 - r * r))
    said = "p < .001" if p < 0.001 else f"p = {p:.3f}"
    return f"The slope of score on norm has t({n - 2}) = {t:.2f}, {said} (r = {r:.2f})."


def recap(rng: np.random.Generator) -> str:
    good, bad = int(rng.integers(10, 80)), int(rng.integers(5, 40))
    total = good + bad
    return (
        f"## Recap\n\n- runs finished: {good}\n- runs that crashed: {bad}\n- runs in all: {total}\n\n"
        f"That is {100 * good / total:.1f}% of the {total} that we started."
    )


if __name__ == "__main__":
    main()
