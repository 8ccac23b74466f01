"""Attribution is exact: components add up to the projection on every family, and a head that writes a direction is found."""

import pytest
import torch

import workbench as wb
from tests.families import PROMPTS, tiny_model
from tests.planted_model import GAIN, planted_direction, planted_model, planted_pairs
from workbench.mechanism.readout import Readout, norm_scale, norm_weight, opening_vector
from workbench.models.hooks import blocks
from workbench.steering.directions import Direction

#: the tiny tokenizers know no word that opens a refusal
WORDS = (("bread", "song"), ("tea", "river"))


def direction(model, site, seed=0):
    vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(seed))
    return Direction(vector, site, model.name, activation_norm=20 * float(vector.norm()))


def edits(model):
    """A Steer that writes everywhere in and beside the stream."""
    e = direction(model, wb.resid_post(1), seed=1)
    parts = [wb.add(e, 1.0, at=site) for site in (wb.attn_out(1), wb.resid_mid(0), wb.mlp_out(2), wb.resid_pre(1))]
    return sum(parts, wb.add(e, 2.0, on="prompt[-2:]") + wb.ablate(e, at=wb.resid_pre(0)))


def sums(frame):
    """Total, and the sum of all components but rounding, by prompt and run."""
    total = frame[frame["kind"] == "total"].set_index(["prompt", "run"])["value"]
    parts = frame[~frame["kind"].isin(["total", "rounding"])].groupby(["prompt", "run"], sort=False)["value"].sum()
    return total, parts


@pytest.mark.parametrize("heads", [False, True])
@pytest.mark.parametrize("kind", ["resid_pre", "resid_mid", "resid_post"])
def test_components_add_up_to_the_projection_on_every_family(tiny64, heads, kind):
    d = direction(tiny64, wb.Site(2, kind))
    frame = wb.attribute(tiny64, PROMPTS[:3], d, "prompt[-3:]", steer=edits(tiny64), heads=heads, random=0)
    total, parts = sums(frame)
    assert (total - parts).abs().max() < 1e-9
    assert total.abs().min() > 1e-3


def test_the_parts_are_those_of_plain_transformers_with_hooks(tiny64):
    d = direction(tiny64, wb.resid_post(2))
    unit = d.vector.double() / d.norm
    seen = {}
    block = blocks(tiny64.hf)[1]
    sandwich = hasattr(block, "pre_feedforward_layernorm")
    attn = block.post_attention_layernorm if sandwich else block.self_attn
    mlp = block.post_feedforward_layernorm if sandwich else block.mlp

    def keep(name):
        return lambda _, __, out: seen.__setitem__(name, (out[0] if isinstance(out, tuple) else out)[0, -1] @ unit)

    handles = [module.register_forward_hook(keep(name)) for name, module in (("attn", attn), ("mlp", mlp))]
    ids = torch.tensor([tiny64.encode(PROMPTS[:1]).token_ids[0]])
    with torch.no_grad():
        stream = tiny64.hf(ids, output_hidden_states=True).hidden_states
    for handle in handles:
        handle.remove()
    frame = wb.attribute(tiny64, PROMPTS[:1], d, random=0).set_index("component")["value"]
    expected = {"embed": stream[0][0, -1] @ unit, "1_attn_out": seen["attn"], "1_mlp_out": seen["mlp"]}
    expected["0_attn_out"] = frame["0_attn_out"]
    for name, value in expected.items():
        assert frame[name] == pytest.approx(float(value), abs=1e-9)
    assert frame["total"] == pytest.approx(
        float(stream[3][0, -1] @ unit) if tiny64.n_layers > 3 else frame["total"], abs=1e-9
    )
    heads = wb.attribute(tiny64, PROMPTS[:1], d, heads=True, random=0)
    for layer in range(3):
        own = heads[(heads["kind"] == "head") & (heads["layer"] == layer)]["value"].sum()
        assert own == pytest.approx(frame[f"{layer}_attn_out"], abs=1e-9)


def test_an_edit_is_a_component_of_its_own(llama):
    e, d = direction(llama, wb.resid_post(1), 1), direction(llama, wb.resid_post(1))
    frame = wb.attribute(llama, PROMPTS, d, steer=wb.add(e, 2.0), random=0)
    difference = frame[frame["run"] == "difference"].groupby("kind")["value"].mean()
    assert difference["edit"] == pytest.approx(2 * e.norm * e.cosine(d), rel=1e-4)
    assert difference["total"] == pytest.approx(difference["edit"], rel=1e-3)
    assert difference["attn"] == difference["mlp"] == 0  # nothing below the edit has changed


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_tl_decomposes_a_cache_into_the_same_parts(family):
    model = tiny_model(family)
    d = direction(model, wb.resid_post(2))
    unit = d.vector / d.norm
    ids = torch.tensor([model.encode(PROMPTS[:1]).token_ids[0]])
    with torch.no_grad():
        _, cache = model.bridge.run_with_cache(ids)
        parts, names = cache.decompose_resid(layer=3, return_labels=True, pos_slice=-1)
        heads, labels = cache.stack_head_results(layer=3, return_labels=True, pos_slice=-1)
    plain = wb.attribute(model, PROMPTS[:1], d, random=0).set_index("component")["value"]
    split = wb.attribute(model, PROMPTS[:1], d, heads=True, random=0).set_index("component")["value"]
    assert [name for name in plain.index if name in names] == list(names)
    for name, part in zip(names, parts, strict=True):
        assert plain[name] == pytest.approx(float(part[0] @ unit), abs=1e-4)
    for name, part in zip(labels, heads, strict=True):
        assert split[name] == pytest.approx(float(part[0] @ unit), abs=1e-4)


def test_direct_logit_attribution_of_a_folded_copy_says_the_same(llama):
    from transformer_lens.tools.analysis import direct_logit_attribution

    bridge = tiny_model("llama").bridge  # a copy: folding changes its weights
    bridge.enable_compatibility_mode()
    ids = torch.tensor([llama.encode(PROMPTS[:1]).token_ids[0]])
    with torch.no_grad():  # the copy is the model
        torch.testing.assert_close(
            bridge(ids).log_softmax(-1), llama.hf(ids).logits.log_softmax(-1), atol=1e-4, rtol=1e-3
        )
    first, second = (llama.tokenizer.encode(word, add_special_tokens=False)[0] for word in ("bread", "tea"))
    theirs = direct_logit_attribution(bridge, ids, first, second)
    ours = wb.attribute(llama, PROMPTS[:1], None, answers=(("bread",), ("tea",)), random=0).set_index("component")[
        "value"
    ]
    # folding also takes the mean out of what writes to the stream, which an RMS norm does see: totals agree, parts up to that
    logits = llama.hf(ids).logits[0, -1]
    assert float(ours["total"]) == pytest.approx(float(logits[first] - logits[second]), abs=1e-4)
    assert float(theirs.attribution.sum()) == pytest.approx(float(logits[first] - logits[second]), abs=1e-3)
    assert ours[theirs.labels].to_numpy() == pytest.approx(theirs.attribution.detach().squeeze().numpy(), abs=1e-3)


def test_logits_add_up_on_every_family(tiny64):
    frame = wb.attribute(tiny64, PROMPTS[:2], None, heads=True, answers=WORDS, random=0)
    total, parts = sums(frame)
    assert (total - parts).abs().max() < 1e-9
    ids = torch.tensor([tiny64.encode(PROMPTS[:1]).token_ids[0]])
    with torch.no_grad():
        logits = tiny64.hf(ids).logits[0, -1].double()
    cap = Readout.of(tiny64).softcap
    plain = logits if cap is None else cap * torch.atanh(logits / cap)
    tokens = [[tiny64.tokenizer.encode(w, add_special_tokens=False)[0] for w in words] for words in WORDS]
    assert total.iloc[0] == pytest.approx(float(plain[tokens[0]].mean() - plain[tokens[1]].mean()), abs=1e-4)


def test_a_norm_is_its_scale_times_its_weight(tiny64):
    norm = Readout.of(tiny64).norm
    with torch.no_grad():
        norm.weight.add_(torch.linspace(-0.3, 0.3, tiny64.d_model))
        x = torch.randn(4, tiny64.d_model, dtype=torch.float64)
        made = norm_scale(norm, x)[:, None] * x * norm_weight(norm, tiny64.d_model)
        torch.testing.assert_close(made, norm(x), rtol=1e-5, atol=1e-5)  # their norm computes in float32
        norm.weight.sub_(torch.linspace(-0.3, 0.3, tiny64.d_model))


def test_a_planted_head_is_found_and_no_other_beyond_chance():
    model = planted_model()
    d = Direction(planted_direction(), wb.resid_post(2), model.name, activation_norm=1.0)
    pairs = planted_pairs(6, seed=0)
    frame = wb.attribute(model, pairs.positive, d, heads=True, random=20)
    means = frame[~frame["kind"].isin(["total", "rounding"])].groupby("component")["value"].mean()
    assert means.idxmax() == "L1H0"
    assert means["L1H0"] == pytest.approx(means.sum(), rel=1e-5)
    assert means["L1H0"] > 0.1 * GAIN
    assert frame[frame["component"] == "L1H0"]["beyond"].min() == 1.0
    negative = wb.attribute(model, pairs.negative, d, heads=True, random=2)
    assert negative[negative["component"] == "L1H0"]["value"].max() < 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: {"d": direction(m, wb.attn_out(1))}, r"at attn_out\(1\), to which no other component adds"),
        (lambda m: {"d": direction(m, wb.resid_post(9))}, "which has 3 layers"),
        (lambda m: {"d": None}, "begin with the tokens of those that open refusals"),
        (lambda m: {"d": direction(m, wb.resid_post(1)), "on": "response"}, "means no token"),
        (
            lambda m: {
                "d": direction(m, wb.resid_post(1)),
                "heads": True,
                "steer": wb.add(direction(m, wb.attn_raw(0)), 1.0),
            },
            "lies between the heads and the stream",
        ),
    ],
)
def test_what_cannot_be_decomposed_is_refused(llama, change, says):
    with pytest.raises(wb.WorkbenchError, match=says):
        wb.attribute(llama, PROMPTS[:1], **change(llama))


def test_openings_are_read_along_the_difference_of_unembeddings(llama):
    vector = opening_vector(llama, WORDS)
    table = llama.hf.get_output_embeddings().weight.double()
    ids = [[llama.tokenizer.encode(w, add_special_tokens=False)[0] for w in words] for words in WORDS]
    expected = (table[ids[0]].mean(0) - table[ids[1]].mean(0)) * llama.hf.get_decoder().norm.weight.double()
    torch.testing.assert_close(vector, expected, rtol=1e-5, atol=1e-6)
