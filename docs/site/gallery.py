"""The gallery: every figure function, drawn from rows of a real run that lie in docs/site/rows.

    python docs/site/gallery.py    # run the embedded model again and write the rows (a few minutes)

The prompts whose tokens are shown are harmless ones. Of harmful prompts there are labels and no text.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import workbench as wb

ROWS = Path(__file__).parent / "rows"
PLOTS: dict[str, tuple[str, Callable[[], Any]]] = {}


def plot(shown: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Add a figure to the gallery, with a sentence on what is shown."""

    def added(draw: Callable[[], Any]) -> Callable[[], Any]:
        PLOTS[draw.__name__] = (shown, draw)
        return draw

    return added


def read(name: str) -> pd.DataFrame:
    """Rows of the gallery."""
    return pd.read_parquet(ROWS / f"{name}.parquet")


@plot(
    "Projection on the refusal direction at every token of one harmless prompt, unsteered and with the direction added."
)
def trajectory():
    return wb.figures.trajectory(read("trace"), layer=18)


@plot("The same run, every layer and token at once.")
def heatmap():
    return wb.figures.heatmap(read("trace"))


@plot("The same run as coloured text.")
def tokens():
    return wb.figures.tokens(read("trace"), layer=18)


@plot("Attention of the heads of one layer over a short prompt.")
def attention():
    stored = json.loads((ROWS / "attention.json").read_text(encoding="utf-8"))
    return wb.figures.attention(stored["patterns"], stored["tokens"])


@plot("Refusals by signed dose, on harmful and on harmless prompts, with control directions in grey.")
def dose_response():
    return wb.figures.dose_response(read("doses"))


@plot("The same rows, one cell for each prompt and dose.")
def outcome_map():
    rows = read("doses")
    return wb.figures.outcome_map(rows[rows["set"] == "positive"])


@plot("How well the direction of each layer separates held-out prompts.")
def lines():
    return wb.figures.lines(read("separation"), title="Separation of held-out prompts by layer")


@plot("Absolute cosine between the directions of five layers.")
def matrices():
    return wb.figures.matrices(read("cosines"), title="Absolute cosine of the directions of five layers", chance=0.0)


@plot("Which components write the refusal direction of layer 18 at the last prompt token of harmful requests.")
def attribution():
    return wb.figures.attribution(read("attribution"))


@plot(
    "Activation patching by layer and token: how much the projection changes when the stream of a harmful request is replaced "
    "by that of a harmless one."
)
def patching():
    return wb.figures.patching(read("patching"))


@plot("Logit lens: what each layer predicts at the last tokens of a harmless prompt.")
def lens():
    return wb.figures.lens(read_lens())


@plot("Every logged claim, with the value in its log. Verdicts of your own runs appear beside them.")
def forest():
    with tempfile.TemporaryDirectory() as empty:
        return wb.figures.forest(wb.ledger.open(empty))


def read_lens() -> pd.DataFrame:
    """The rows of the lens; its lists of tokens come back from parquet as arrays."""
    frame = read("lens")
    lists = [name for name in frame if frame[name].map(lambda value: hasattr(value, "tolist")).any()]
    return frame.assign(**{name: [list(value) for value in frame[name]] for name in lists})


def make(model_name: str = "smollm2-refusal") -> None:
    """Run the model and write the rows."""
    ROWS.mkdir(exist_ok=True)
    model = wb.load(model_name)
    pairs = wb.pairs("refusal")
    ds = wb.extract(model, pairs.train, at=wb.resid_post.all)
    d = ds[18]
    on = wb.PROMPT[-1] | wb.RESPONSE
    prompt = "How do I make bread that keeps for a week?"
    written = wb.generate(model, [prompt, prompt], [wb.Steer(), wb.add(d, ratio=0.2, on=on)], max_new_tokens=24)
    traced = wb.trace(model, written, [d], sites=wb.resid_post.all).frame()
    traced.to_parquet(ROWS / "trace.parquet", index=False)
    arms = wb.grid(d, ratios=[-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3], controls=2, on=on)
    few = wb.Pairs(pairs.dev.positive.take(20), pairs.dev.negative.take(20), name="refusal.dev")
    rows = wb.sweep(model, few, arms, [wb.refusal], max_new_tokens=24)
    rows.drop(columns=[c for c in rows if "text" in c]).to_parquet(ROWS / "doses.parquet", index=False)
    train = wb.contrast(model, pairs.train, at=wb.resid_post.all)
    dev = wb.contrast(model, pairs.dev, at=wb.resid_post.all)
    areas = []
    for layer in range(2, model.n_layers, 4):
        found = wb.separation(ds[layer], dev, train).frame()
        areas += [{"panel": "AUC", "series": r.detector, "x": layer, "y": r.auc} for r in found.itertuples()]
    pd.DataFrame(areas).to_parquet(ROWS / "separation.parquet", index=False)
    make_mechanism(model, pairs, d)
    layers = [6, 12, 18, 24, 28]
    cells = [("all", "mean_diff", f"{a}", f"{b}", abs(ds[a].cosine(ds[b]))) for a in layers for b in layers]
    columns = ["panel", "series", "train", "test", "value"]
    pd.DataFrame(cells, columns=columns).to_parquet(ROWS / "cosines.parquet", index=False)
    ids = list(model.encode(["How do I make bread?"]).token_ids[0])
    _, cache = model.bridge.run_with_cache(torch.tensor([ids]))
    patterns = cache["blocks.12.attn.hook_pattern"][0, :4].float().round(decimals=3)
    said = {"patterns": patterns.tolist(), "tokens": [model.tokenizer.decode([i]) for i in ids]}
    (ROWS / "attention.json").write_text(json.dumps(said), encoding="utf-8")


def make_mechanism(model: wb.Model, pairs: wb.Pairs, d: wb.Direction) -> None:
    """The rows of the figures on mechanism."""
    wb.attribute(model, pairs.dev.positive.take(8), d, heads=True).to_parquet(ROWS / "attribution.parquet", index=False)
    few = wb.Pairs(pairs.dev.positive.take(4), pairs.dev.negative.take(4), name="refusal.dev")
    patched = wb.patch(model, few, "resid", d, on="prompt[-4:]", each=True)
    wb.patch_effects(patched).to_parquet(ROWS / "patching.parquet", index=False)
    read = wb.lens(model, ["How do I make bread that keeps for a week?"], on="prompt[-4:]")
    read.to_parquet(ROWS / "lens.parquet", index=False)


if __name__ == "__main__":
    make()
