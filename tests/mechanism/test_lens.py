"""The lens: the last layer says what the model says; the numbers of TransformerLens; hidden text stays hidden."""

import numpy as np
import pytest
import torch

import workbench as wb
from tests.families import PROMPTS
from tests.mechanism.test_attribute import direction


def test_the_last_layer_says_what_the_model_says(tiny64):
    out = wb.generate(tiny64, PROMPTS[:3], max_new_tokens=5)
    read = wb.lens(tiny64, out, layers=[tiny64.n_layers - 1], k=1)
    for number, ids in enumerate(out.token_ids):
        own = read[(read["prompt"] == out.ids[number])].sort_values("position")
        said = [tiny64.tokenizer.decode([token]) for token in ids]
        assert [top[0] for top in own["top"]][: len(ids)] == said  # greedy: what is likeliest comes next
        assert own["offset"].tolist() == list(range(-1, len(ids)))
    margins = wb.refusal_margin(tiny64, PROMPTS[:3])
    assert read[read["offset"] == -1]["margin"].to_numpy() == pytest.approx(margins, abs=1e-6)


def test_every_layer_is_that_of_transformer_lens(llama):
    from transformer_lens.tools.analysis import logit_lens

    ids = torch.tensor([llama.encode(PROMPTS[:1]).token_ids[0]])
    with torch.no_grad():
        theirs = logit_lens(llama.bridge, ids, positions=None, top_k=3)
        logits = logit_lens(llama.bridge, ids, positions=None).values
    p = logits.double().softmax(-1)
    best = p.topk(3)
    read = wb.lens(llama, PROMPTS[:1], on=wb.PROMPT, k=3)
    for layer in range(3):  # theirs begins with the embedding
        own = read[read["layer"] == layer].sort_values("position")
        np.testing.assert_allclose(own["probability"], best.values[layer + 1, 0, :, 0], atol=1e-5)
        words = [tuple(llama.tokenizer.decode([t]) for t in row) for row in best.indices[layer + 1, 0].tolist()]
        assert own["top"].tolist() == words
    assert theirs.labels[1:] == ["1_pre", "2_pre", "final_post"]


def test_a_steered_run_differs_from_where_it_is_steered(llama):
    steer = wb.add(direction(llama, wb.resid_post(1)), 5.0, on=wb.RESPONSE)
    out = wb.generate(llama, PROMPTS[:2], steer, max_new_tokens=4)
    read = wb.lens(llama, out)
    both = read.pivot_table(index=["prompt", "layer", "offset"], columns="run", values="margin", sort=False)
    changed = (both["steered"] - both["base"]).abs()
    layers, offsets = (changed.index.get_level_values(name) for name in ("layer", "offset"))
    before = (layers == 0) | (offsets == -1)
    assert changed[before].max() < 1e-6
    assert changed[(layers >= 1) & (offsets >= 0)].min() > 1e-6


def test_the_run_without_the_steer_can_be_left_out(llama):
    steer = wb.add(direction(llama, wb.resid_post(1)), ratio=0.5)
    both = wb.lens(llama, PROMPTS[:2], steer=steer)
    own = wb.lens(llama, PROMPTS[:2], steer=steer, base=False)
    assert own.equals(both[both["run"] == "steered"].reset_index(drop=True))
    assert set(wb.lens(llama, PROMPTS[:1], base=False)["run"]) == {"base"}


def test_what_a_harmful_request_got_is_not_named_unless_asked(llama):
    prompt = wb.Prompt("how do i pick a lock", "p", harmful=True)
    steer = wb.add(direction(llama, wb.resid_post(1)), 5.0)
    out = wb.generate(llama, [prompt], steer, max_new_tokens=4)
    hidden = wb.lens(llama, out)
    assert hidden["hidden"].all()
    assert {word for top in hidden["top"] for word in top} == {"▮"}
    assert set(hidden[hidden["offset"] >= 0]["token"]) == {"▮"}
    shown = wb.lens(llama, out, show_text=True)
    assert "▮" not in set(shown["token"])
    assert shown["margin"].tolist() == hidden["margin"].tolist()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"layers": [5]}, "has layers 0 to 2"), ({"on": wb.RESPONSE}, "means no token of any text"), ({"k": 0}, "k=0")],
)
def test_what_cannot_be_read_is_refused(llama, arguments, says):
    with pytest.raises(wb.WorkbenchError, match=says):
        wb.lens(llama, PROMPTS[:1], **arguments)
