"""How often the rules of ``workbench audit`` raise an alarm where nothing is wrong, and how long a log of 2,000 lines takes.

Honest logs are drawn: counts, rates, means, tests and intervals that scipy and statsmodels computed from drawn data, rounded
as people round, in sentences and tables of several dresses. Writes figures/log_alarms.json and prints the table of
docs/auditing.md.

    python benchmarks/log_alarms.py [--logs 500]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

import workbench as wb
from workbench.claims.rules.catalogue import RULES

FIGURES = Path(__file__).parent.parent / "figures"
ALARMS = ("error", "slip", "weak")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=500)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    checked: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    loud = 0
    for _ in range(options.logs):
        audited = wb.audit(honest_log(rng))
        checked.update(audited.checked)
        raised = [f for f in audited if f.grade in ALARMS]
        alarms.update(f.rule for f in raised)
        loud += bool(raised)
        for finding in raised:
            print(f"alarm: {finding}")
    lines = "\n".join(honest_log(rng) for _ in range(200)).splitlines()[:2000]
    seconds, cpu = _fresh_process("\n".join(lines))
    told = {
        "logs": options.logs,
        "logs_with_an_alarm": loud,
        "seconds_for_2000_lines": round(seconds, 2),
        "cpu_seconds_for_2000_lines": round(cpu, 2),
        "rules": {rule: {"checked": checked[rule], "alarms": alarms[rule]} for rule in RULES},
    }
    (FIGURES / "log_alarms.json").write_text(json.dumps(told, indent=1) + "\n")
    for name, rule in RULES.items():
        print(f"| {name} | {rule.asks} | {rule.follows} | {alarms[name]} of {checked[name]} |")
    print(f"{loud} of {options.logs} logs raise an alarm; 2,000 lines take {seconds:.2f} s, {cpu:.2f} s of CPU")


def _fresh_process(text: str) -> tuple[float, float]:
    """Wall and CPU seconds of ``workbench audit`` on a log, imports included; its second run, when Python has compiled its files."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.md"
        log.write_text(text)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {
            "PYTHONPYCACHEPREFIX": folder
        }
        command = [sys.executable, "-m", "workbench.cli", "audit", str(log)]
        for _ in range(2):
            begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, cpu


def honest_log(rng: np.random.Generator) -> str:
    """A log whose numbers were computed from drawn data and rounded as people round."""
    parts = [
        arms,
        ratings,
        changes,
        list_of_parts,
        doses,
        averages,
        lengths,
        judges,
        correlated,
        quantiles,
        composition,
    ]
    chosen = rng.permutation(len(parts))[: rng.integers(4, len(parts) + 1)]
    return "# Log\n\n" + "\n\n".join(f"## Part {k + 1}\n\n{parts[c](rng)}" for k, c in enumerate(chosen)) + "\n"


def table(rng: np.random.Generator, head: list[str], rows: list[list[object]]) -> str:
    """A table in one of three dresses."""
    text = [[str(c) for c in row] for row in rows]
    if rng.random() < 0.6:
        return "\n".join(f"| {' | '.join(r)} |" for r in [head, ["---"] * len(head), *text])
    widths = [max(len(r[k]) for r in [head, *text]) + 3 for k in range(len(head))]
    lines = ["".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in [head, *text]]
    ruler = "".join(("-" * (w - 3)).ljust(w) for w in widths)
    return "\n".join([lines[0], ruler, *lines[1:]])


def percent(k: int, n: int, places: int = 1) -> str:
    return f"{round(100 * k / n + 1e-9, places):.{places}f}%"


def p_text(p: float) -> str:
    return "p < .001" if p < 0.001 else f"p = {p:.3f}"


def arms(rng: np.random.Generator) -> str:
    n = int(rng.integers(20, 200))
    ks = [int(rng.binomial(n, q)) for q in rng.uniform(0.1, 0.9, 3)]
    names = ["base", "steered", "random"]
    rows: list[list[object]] = []
    for name, k in zip(names, ks, strict=True):
        low, high = proportion_confint(k, n, method=["wilson", "beta", "agresti_coull"][int(rng.integers(3))])
        rows.append([name, k, n, percent(k, n), f"{100 * low:.1f} to {100 * high:.1f}"])
    a, b = ks[:2]
    test = int(rng.integers(4))
    two = [[a, n - a], [b, n - b]]
    name, p = [
        ("Fisher", lambda: stats.fisher_exact(two)[1]),
        ("one-sided Fisher", lambda: min(stats.fisher_exact(two, alternative=s)[1] for s in ("less", "greater"))),
        ("χ² with Yates", lambda: stats.chi2_contingency(two).pvalue),
        ("χ²", lambda: stats.chi2_contingency(two, correction=False).pvalue),
    ][test]
    said = f"Refusals went from {a}/{n} to {b}/{n} ({name}, {p_text(float(p()))})."
    return f"{table(rng, ['arm', 'refused', 'n', 'rate', '95% CI'], rows)}\n\n{said}"


def ratings(rng: np.random.Generator) -> str:
    n = int(rng.integers(8, 60))
    a, b = rng.integers(1, 8, n), rng.integers(2, 8, n)
    t, p = stats.ttest_ind(a, b)
    pooled = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    d = (a.mean() - b.mean()) / pooled
    first, second = (f"M = {x.mean():.2f}, SD = {x.std(ddof=1):.2f}" for x in (a, b))
    return f"On a scale from 1 to 7 (n = {n} per arm): {first} against {second}, t({2 * n - 2}) = {t:.2f}, {p_text(float(p))}, d = {d:.2f}."


def changes(rng: np.random.Generator) -> str:
    before, after = rng.uniform(20, 50, 5), rng.uniform(20, 90, 5)
    kind = int(rng.integers(3))
    words = ["Δ", "change %", "ratio"][kind]
    made = [after - before, 100 * (after / before - 1), after / before][kind]
    shown = [f"{v:+.1f}" if kind < 2 else f"{v:.2f}" for v in made]
    rows: list[list[object]] = [
        [f"task {k}", f"{x:.1f}", f"{y:.1f}", s] for k, (x, y, s) in enumerate(zip(before, after, shown, strict=True))
    ]
    x, y = before[0], after[0]
    return f"{table(rng, ['task', 'before', 'after', words], rows)}\n\nThe first went from {x:.1f} to {y:.1f} ({100 * (y / x - 1):+.1f}%)."


def list_of_parts(rng: np.random.Generator) -> str:
    counts = rng.integers(3, 60, int(rng.integers(3, 6)))
    items = "\n".join(f"- kind {chr(97 + k)}: {c} cases" for k, c in enumerate(counts))
    return f"Total failures: {counts.sum()}\n\nBreakdown by kind:\n{items}"


def doses(rng: np.random.Generator) -> str:
    n = int(rng.integers(20, 120))
    rate = np.sort(rng.uniform(0.05, 0.95, 5))
    k = np.sort(rng.binomial(n, rate))
    if len(set(k)) < 5:
        k = np.linspace(1, n - 1, 5).astype(int)
    rows: list[list[object]] = [[d, f"{c}/{n}", percent(int(c), n, 0)] for d, c in zip([0, 1, 2, 4, 8], k, strict=True)]
    return f"{table(rng, ['dose', 'flips', 'flip rate'], rows)}\n\nThe flip rate rises monotonically with dose and peaks at dose 8; it is {percent(int(k[2]), n)} (n = {n}) at dose 2."  # noqa: E501


def averages(rng: np.random.Generator) -> str:
    values = rng.uniform(30, 95, (4, 3))
    rows: list[list[object]] = [
        [f"probe {k}", *(f"{v:.1f}" for v in row), f"{row.mean():.1f}"] for k, row in enumerate(values)
    ]
    if rng.random() < 0.5:
        rows.append(["Average", *(f"{v:.1f}" for v in values.mean(axis=0)), f"{values.mean():.1f}"])
    return table(rng, ["method", "A", "B", "C", "Avg"], rows)


def lengths(rng: np.random.Generator) -> str:
    rows: list[list[object]] = []
    for name in ("short", "long", "mixed"):
        x = rng.poisson(rng.uniform(20, 60), int(rng.integers(10, 50)))
        sd = x.std(ddof=1)
        rows.append([name, len(x), f"{x.mean():.2f}", f"{sd:.2f}", f"{sd / np.sqrt(len(x)):.2f}", x.min(), x.max()])
    return f"Number of words per answer.\n\n{table(rng, ['set', 'n', 'mean', 'SD', 'SE', 'min', 'max'], rows)}"


def judges(rng: np.random.Generator) -> str:
    cells = rng.integers(5, 50, (2, 2)) + np.diag(rng.integers(10, 60, 2))
    n = cells.sum()
    same, chance = np.trace(cells) / n, (cells.sum(0) @ cells.sum(1)) / n**2
    rows: list[list[object]] = [["yes", *cells[0]], ["no", *cells[1]]]
    return f"Two judges agree in {100 * same:.1f}% of rows, κ = {(same - chance) / (1 - chance):.2f}.\n\n{table(rng, ['judge', 'yes', 'no'], rows)}"  # noqa: E501


def correlated(rng: np.random.Generator) -> str:
    n = int(rng.integers(10, 80))
    x = rng.normal(size=n)
    y = rng.uniform(-1, 1) * x + rng.normal(size=n)
    r, p = stats.pearsonr(x, y)
    return f"Norm and effect correlate, r = {r:.2f}, n = {n}, {p_text(float(p))}."


def quantiles(rng: np.random.Generator) -> str:
    rows: list[list[object]] = []
    for name in ("read", "write"):
        x = rng.gamma(2, 10, 200)
        rows.append([name, *(f"{v:.1f}" for v in (x.min(), np.median(x), *np.percentile(x, [90, 95, 99]), x.max()))])
    return table(rng, ["step", "min", "median", "p90", "p95", "p99", "max"], rows)


def composition(rng: np.random.Generator) -> str:
    counts = rng.integers(5, 80, 4)
    rows: list[list[object]] = [
        [f"topic {chr(97 + k)}", c, percent(int(c), int(counts.sum()))] for k, c in enumerate(counts)
    ]
    rows.append(["Total", counts.sum(), "100.0%"])
    return table(rng, ["topic", "count", "share of all"], rows)


if __name__ == "__main__":
    main()
