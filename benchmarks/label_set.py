"""Draw the completions that the label is measured on, write their texts, and write them again to see whether they are the same.

Which prompts, arms and models are drawn is settled by a seed, before any text is there. Prompts are first put into two
parts, "tuning" and "aside": a prompt and its match on the other side are in one part only, and rules may look at the first.
Arms are the untouched model and the model's own refusal direction at two layers, at a useful dose and at one that is too
high, with both signs. A model whose adapter is trained again gets a draw of its own, of prompts that are aside.

    python benchmarks/label_set.py draw                   # rows without text, of the draws that are not there yet
    python benchmarks/label_set.py write smollm2-refusal  # texts into runs/labels, hashes and what may be shown into data/labels
    python benchmarks/label_set.py again smollm2-refusal  # texts into runs/labels; says how many hashes are as they were
    python benchmarks/label_set.py said                   # what wb.refusal says of every text in runs/labels, into data/labels
    python benchmarks/label_set.py show 1                 # the first round's texts in a shuffled order, without model and arm

Of a harmful request under a Steer that takes refusal away, no text leaves the machine: recipe, hash and label do.
"""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import workbench as wb
from workbench._files import content_key, data_folder, whole
from workbench.models.load import adapter_revision

SET = data_folder() / "labels" / "completions.jsonl"
RUNS = Path("runs/labels")
SEED, TOKENS, BATCH = 17, 40, 180  # the seed of the two parts
SIDES = ("harmful", "harmless", "borderline")
SHARE_ASIDE = 0.6  # of the prompts

#: rows per model by part: of the untouched model, and of each steered arm; harmful, harmless, borderline
PLAIN = {"aside": (38, 38, 24), "tuning": (22, 22, 16)}
STEERED = {"aside": (5, 5, 3), "tuning": (5, 4, 3)}


@dataclass(frozen=True)
class Recipe:
    """Where a model is steered, and at which doses: shares of the mean norm of the activations, both signs."""

    layers: tuple[int, int]
    useful: float
    high: float


RECIPES = {
    "smollm2-refusal": Recipe((12, 20), 0.3, 0.6),
    "gemma3-refusal": Recipe((11, 14), 0.3, 0.6),
    "qwen2.5-coder-0.5b": Recipe((10, 14), 0.12, 0.3),
}
SMALLER = {"smollm2-refusal": Recipe((12, 18), 0.15, 0.3), "gemma3-refusal": Recipe((11, 14), 0.08, 0.15)}


@dataclass(frozen=True)
class Draw:
    """Rows of some models: by which seed, of which parts, and the adapter of each model (the first digits of its sha256).

    ``recipes``: where the models are steered. ``untouched``: whether responses of the untouched model are drawn too.
    """

    seed: int
    parts: tuple[str, ...]
    adapters: dict[str, str]
    recipes: Mapping[str, Recipe]
    untouched: bool = True


DRAWS = (
    Draw(
        17,
        ("aside", "tuning"),
        {"smollm2-refusal": "61b18883eafe", "gemma3-refusal": "f24c924b014c", "qwen2.5-coder-0.5b": ""},
        RECIPES,
    ),
    Draw(29, ("aside",), {"smollm2-refusal": "cc2d7eb3cac8", "gemma3-refusal": "1b38b5a85a3e"}, RECIPES),
    # at 0.3 and 0.6 most responses of these two collapse, and verdicts rest on smaller doses
    Draw(
        31, ("aside",), {"smollm2-refusal": "cc2d7eb3cac8", "gemma3-refusal": "1b38b5a85a3e"}, SMALLER, untouched=False
    ),
)


def main() -> None:
    options = arguments()
    if options.command == "draw":
        kept = load() if SET.exists() else []
        there = {row["id"] for row in kept}
        save(kept + [row for row in drawn() if row["id"] not in there])
        counts = Counter((row["model"], row["adapter"], row["part"], row["arm"] == "baseline") for row in load())
        for (model, adapter, part, plain), n in sorted(counts.items()):
            print(f"{model:<20} {adapter:<13} {part:<7} {'untouched' if plain else 'steered':<10} {n}")
    elif options.command == "show":
        show(int(options.what), options.batch)
    elif options.command == "said":
        said()
    else:
        write(options.what, again=options.command == "again")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("draw", "write", "again", "said", "show"))
    parser.add_argument("what", nargs="?", default="", help="a model, or the round of labelling")
    parser.add_argument("--batch", type=int, default=0, help="which 72 texts to show")
    return parser.parse_args()


def drawn() -> list[dict[str, str]]:
    """The rows to be written and labelled, draw after draw: id, model, set, prompt, arm, part, adapter and draw."""
    rng = np.random.default_rng(SEED)
    sides = {side: [p for p in wb.prompts(f"refusal/{side}") if p.split in ("dev", "test")] for side in SIDES}
    bases = sorted({p.base or p.id for prompts in sides.values() for p in prompts})
    aside = set(rng.permutation(bases)[: round(SHARE_ASIDE * len(bases))])
    pools = {
        (part, side): [p.id for p in prompts if ((p.base or p.id) in aside) == (part == "aside")]
        for side, prompts in sides.items()
        for part in PLAIN
    }
    rows: dict[str, dict[str, str]] = {}  # what two draws have in common belongs to the first
    for draw in DRAWS:
        if draw.seed != SEED:  # the first draw goes on with the numbers that made the parts
            rng = np.random.default_rng(draw.seed)
        for model, adapter in draw.adapters.items():
            for arm in arms(draw.recipes[model])[not draw.untouched :]:
                for part in draw.parts:
                    counts = (PLAIN if arm == "baseline" else STEERED)[part]
                    for side, n in zip(SIDES, counts, strict=True):
                        for prompt in rng.choice(pools[part, side], n, replace=False):
                            row = {"model": model, "set": side, "prompt": str(prompt), "arm": arm, "part": part}
                            named = list(row.values()) if draw is DRAWS[0] else [*row.values(), adapter]
                            id = content_key(named, length=8)
                            rows.setdefault(id, {"id": id, **row, "adapter": adapter, "draw": str(draw.seed)})
    return list(rows.values())


def arms(recipe: Recipe) -> list[str]:
    doses = [sign * dose for dose in (recipe.useful, recipe.high) for sign in (-1, 1)]
    return ["baseline", *(f"L{layer} {dose:+g}" for layer in recipe.layers for dose in doses)]


def load() -> list[dict[str, str]]:
    return [json.loads(line) for line in SET.read_text(encoding="utf-8").splitlines()]


def save(rows: list[dict[str, str]]) -> None:
    with whole(SET) as draft:
        draft.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def withheld(row: dict[str, str]) -> bool:
    """Whether a text stays here: a harmful request under a Steer that takes refusal away, or one that was answered."""
    return row["set"] == "harmful" and (" -" in row["arm"] or row.get("label", "compliance") == "compliance")


def write(name: str, again: bool) -> None:
    """Write the texts of a model, draw by draw: what else stands in a batch may change a text in bfloat16."""
    if name not in RECIPES:
        raise SystemExit(f"no rows of {name!r}; there are {', '.join(RECIPES)}")
    adapter = adapter_of(name)
    kept = load()
    draws: dict[str, list[dict[str, str]]] = {}
    for row in kept:
        if (row["model"], row["adapter"]) == (name, adapter):
            draws.setdefault(row["draw"], []).append(row)
    if not draws:
        raise SystemExit(f"no rows of {name!r} with the adapter {adapter}; add a Draw of it and draw")
    model = wb.load(name, dtype="bfloat16", check=False)
    here = {} if again else {row["id"]: texts().get(row["id"], "") for rows in draws.values() for row in rows}
    for rows in draws.values():
        known = [row for row in rows if "sha256" in row]
        if known and not again:
            continue  # its hashes stand
        written = generated(model, rows)
        same = sum(digest(written[row["id"]]) == row["sha256"] for row in known)
        print(
            f"{name} ({model.revision}): "
            + (f"{same} of {len(known)} texts are as they were" if again else f"{len(rows)} texts")
        )
        for row in rows:
            row.setdefault("sha256", digest(written[row["id"]]))
        here |= written
    RUNS.mkdir(parents=True, exist_ok=True)
    with whole(RUNS / f"{name}.jsonl") as draft:
        draft.write_text("".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in here.items() if text))
    save(kept)


def generated(model: wb.Model, rows: list[dict[str, str]]) -> dict[str, str]:
    """The texts of one draw, by id."""
    train, steered = wb.pairs("refusal").train, [row["arm"] for row in rows if row["arm"] != "baseline"]
    half = wb.Pairs(train.positive.take(64), train.negative.take(64))
    layers = sorted({int(arm.removeprefix("L").split()[0]) for arm in steered})
    directions = wb.extract(model, half, at=[wb.resid_post(layer) for layer in layers], read=wb.PROMPT[-1])
    prompts = {p.id: p for side in SIDES for p in wb.prompts(f"refusal/{side}")}
    asked, steers = [prompts[row["prompt"]] for row in rows], [steer(row["arm"], directions) for row in rows]
    done = wb.generate(model, asked, steers, max_new_tokens=TOKENS, batch_size=BATCH)
    return {row["id"]: text for row, text in zip(rows, done.text, strict=True)}


def adapter_of(name: str) -> str:
    """The first digits of the sha256 of a model's present adapter; "" for a model without one."""
    folder = data_folder() / "models" / name
    return adapter_revision(folder) if (folder / "adapter_model.safetensors").is_file() else ""


def steer(arm: str, directions: wb.Directions) -> wb.Steer:
    if arm == "baseline":
        return wb.Steer()
    layer, dose = arm.removeprefix("L").split()
    return wb.add(directions[int(layer)], ratio=float(dose))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def said() -> None:
    """Write down what the label says, since a text that is withheld cannot be labelled again from the repository; "" for no label."""
    kept, written = load(), texts()
    rows = [row for row in kept if row["id"] in written]  # an adapter that was replaced writes no more
    prompts = {p.id: p for side in SIDES for p in wb.prompts(f"refusal/{side}")}
    asked, answers = [prompts[row["prompt"]] for row in rows], [written[row["id"]] for row in rows]
    for row, label in zip(rows, wb.refusal.values(None, asked, answers, [wb.Steer()] * len(rows)), strict=True):
        row["said"] = label if isinstance(label, str) else ""
    save(kept)
    print(f"version {wb.refusal.version}: {len(rows)} texts, {sum(not row['said'] for row in rows)} without a label")


def texts() -> dict[str, str]:
    """The texts that were written here, by id."""
    lines = [line for file in sorted(RUNS.glob("*.jsonl")) for line in file.read_text().splitlines()]
    return {row["id"]: row["text"] for row in map(json.loads, lines)}


def show(labelling: int, batch: int) -> None:
    """Prompts and responses to be labelled, 72 at a time: neither model nor arm nor dose, in an order of their round."""
    written, prompts = texts(), {p.id: p.text for side in SIDES for p in wb.prompts(f"refusal/{side}")}
    rows = [row for row in load() if row["id"] in written]
    order = np.random.default_rng([SEED, labelling]).permutation(len(rows))
    for place in order[72 * batch : 72 * (batch + 1)]:
        row = rows[place]
        text = " ⏎ ".join(written[row["id"]].split("\n"))
        print(f"{row['id']} | {prompts[row['prompt']]} | {text[:230]}")


if __name__ == "__main__":
    main()
