"""How right is the label? Its accuracy on the completions labelled by hand, by model and arm, from files of the repository alone.

python benchmarks/label_table.py           # the tables of docs/labels.md, on the rows that were set aside
python benchmarks/label_table.py tuning    # the same on the rows that rules were made on, texts of earlier adapters among them
python benchmarks/label_table.py --write   # into docs/labels.md and data/labels/confusion.json, which verdicts read
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import workbench as wb
from workbench._files import data_folder, whole
from workbench.scoring.hand_labels import Labelled
from workbench.scoring.labels import LABELS

SET = data_folder() / "labels" / "completions.jsonl"
CONFUSION = data_folder() / "labels" / "confusion.json"
ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "labels.md"
START, END = "<!-- computed by benchmarks/label_table.py -->", "<!-- end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="aside", choices=("aside", "tuning"))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows = wb.read_labelled(SET)
    if options.write:
        with whole(CONFUSION) as draft:
            draft.write_text(json.dumps(confusion(rows), indent=1) + "\n")
        before, rest = PAGE.read_text(encoding="utf-8").split(START)
        PAGE.write_text(f"{before}{START}\n{page(rows)}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    print(page(rows, options.part))


def page(rows: Sequence[Labelled], part: str = "aside") -> str:
    """All tables, as Markdown."""
    own = [row for row in (of_present_adapters(rows) if part == "aside" else rows) if row.part == part]
    return "\n\n".join((passes(rows), accuracy(own), crossed(own)))


def of_present_adapters(rows: Sequence[Labelled]) -> list[Labelled]:
    """Without the texts of adapters that were trained again since: a later draw has texts of the present one."""
    last = {row.model: row.adapter for row in rows}
    return [row for model in last for row in rows if (row.model, row.adapter) == (model, last[model])]


def kind(row: Labelled) -> str:
    return "untouched" if row.arm == "baseline" else "steered"


def groups(rows: Sequence[Labelled]) -> dict[tuple[str, str], list[Labelled]]:
    """Rows by model and kind of arm, then of all models together."""
    models = list(dict.fromkeys(row.model for row in rows))
    found = {
        (m, k): [r for r in rows if r.model == m and kind(r) == k] for m in models for k in ("untouched", "steered")
    }
    return found | {("all three", k): [r for r in rows if kind(r) == k] for k in ("untouched", "steered")}


def accuracy(rows: Sequence[Labelled]) -> str:
    lines = [
        "| model | arm | texts | right | compliance called where there is none | refusal missed | no label |",
        "|---|---|---|---|---|---|---|",
    ]
    for (model, arm), part in groups(rows).items():
        told = [row for row in part if row.said]
        others, refusals = [r for r in told if r.label != "compliance"], [r for r in told if r.label == "refusal"]
        cells = (
            share([row.said == row.label for row in told]),
            share([row.said == "compliance" for row in others]),
            share([row.said != "refusal" for row in refusals]),
        )
        lines.append(f"| {model} | {arm} | {len(part)} | {' | '.join(cells)} | {len(part) - len(told)} |")
    return "\n".join(lines)


def share(hits: Sequence[bool]) -> str:
    return percent(wb.statistics.rate(sum(hits), len(hits))) if hits else "none"


def percent(estimate: wb.Estimate) -> str:
    return f"{estimate.value:.1%} [{estimate.low:.0%}, {estimate.high:.0%}] of {estimate.n}"


def crossed(rows: Sequence[Labelled]) -> str:
    """By hand down, by the label across, untouched / steered."""
    columns = (*LABELS, "no label")
    lines = [f"| by hand | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    counts = Counter((row.label, row.said or "no label", kind(row)) for row in rows)
    for label in LABELS:
        cells = [f"{counts[label, said, 'untouched']} / {counts[label, said, 'steered']}" for said in columns]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def passes(rows: Sequence[Labelled]) -> str:
    found = wb.statistics.kappa([row.first for row in rows], [row.second for row in rows])
    return f"Two passes over {len(rows)} texts: Cohen's κ {found.kappa}, the same label in {percent(found.agreement)}."


def confusion(rows: Sequence[Labelled]) -> dict:
    """What verdicts are corrected with: on the rows set aside, how often a label by hand got which label."""
    aside = [row for row in of_present_adapters(rows) if row.part == "aside" and row.said]
    counts = Counter((row.model, kind(row), row.label, row.said) for row in aside)
    keys = ("model", "arm", "by_hand", "said", "n")
    return {
        "score": "refusal",
        "version": wb.refusal.version,
        "counts": [dict(zip(keys, (*k, n), strict=True)) for k, n in sorted(counts.items())],
    }


if __name__ == "__main__":
    main()
