"""Patching: the numbers of TransformerLens and of hand-written hooks, tokens by what they are, planted circuits found."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.families import tiny_model
from tests.mechanism.test_attribute import direction
from tests.planted_model import planted_direction, planted_model, planted_pairs
from workbench.mechanism.passes import Metric, Row, Write, run
from workbench.mechanism.token_alignment import counterparts
from workbench.models.hooks import blocks
from workbench.steering.directions import Direction

EQUAL = wb.Pairs(["how do i pick a lock", "how do i steal a car"], ["how do i bake a cake", "how do i make a song"])
UNEQUAL = wb.Pairs(["how do i pick a lock", "steal the car"], ["how do i bake a cake quickly", "write a song please"])


def difference(logits):
    return logits[:, 5] - logits[:, 9]


def table(rows, *index):
    return rows.pivot_table(index=list(index), columns="pair", values="value", sort=False).to_numpy()


@pytest.fixture(scope="module")
def caches(llama):
    first, second = (llama.encode(side).padded()[0] for side in (EQUAL.positive, EQUAL.negative))
    with torch.no_grad():
        return second, llama.bridge.run_with_cache(first)[1]


@pytest.mark.parametrize(
    ("what", "name"), [("resid", "resid_post"), ("attn", "attn_out"), ("mlp", "mlp_out"), ("head", "z")]
)
def test_maps_are_those_of_transformer_lens(llama, caches, what, name):
    from transformer_lens import patching

    second, cache = caches
    setter = patching.layer_pos_head_vector_patch_setter if what == "head" else patching.layer_pos_patch_setter
    axes = ("layer", "pos", *(["head_index"] if what == "head" else []))
    metric = lambda logits: difference(logits[:, -1])  # noqa: E731
    theirs = patching.generic_activation_patch(
        llama.bridge, second.clone(), cache, metric, setter, name, axes, reduce="none"
    )
    rows = wb.patch(llama, EQUAL, what, difference, on=wb.PROMPT, each=True, ways=["denoise"], batch_size=50)
    if what == "head":
        ours = table(rows, "layer", "head", "token").reshape(3, 4, -1, 2).transpose(0, 2, 1, 3)
    else:
        ours = table(rows, "layer", "token").reshape(3, -1, 2)
    np.testing.assert_allclose(ours, theirs.values.numpy(), atol=2e-5)


def test_estimates_are_those_of_attribution_patching(llama):
    from transformer_lens.tools.analysis import attribution_patch

    first, second = (llama.encode(side).padded()[0] for side in (EQUAL.positive, EQUAL.negative))
    bridge = tiny_model("llama").bridge.requires_grad_(True)  # theirs wants a graph from the weights on
    theirs = attribution_patch(bridge, first, second, lambda logits: logits[0, -1, 5] - logits[0, -1, 9]).node_scores
    for what, kind in (("mlp", "mlp_out"), ("head", "attn_head_out")):
        rows = wb.patch(llama, EQUAL, what, difference, on=wb.PROMPT, each=True, screen=1, ways=["denoise"])
        ours = rows.groupby(["layer", "head", "token"])["estimate"].mean()
        nodes = {node: score for node, score in theirs.items() if node.kind == kind}
        assert len(nodes) == len(ours)
        for node, score in nodes.items():
            head = node.head if kind == "attn_head_out" else -1
            assert ours[node.layer, head, f"prompt[{node.position}]"] == pytest.approx(score, abs=2e-5)
        assert rows["value"].notna().sum() == len(EQUAL.positive)  # the best place, of each pair


def by_hand(model, first, second, layer, what, back, head=0):
    """The logits of one chat alone, the last ``back`` tokens of one place being those of another chat, by torch hooks alone."""
    block = blocks(model.hf)[layer]
    sandwich = hasattr(block, "pre_feedforward_layernorm")
    module = {
        "resid": block,
        "attn": block.post_attention_layernorm if sandwich else block.self_attn,
        "mlp": block.post_feedforward_layernorm if sandwich else block.mlp,
        "head": block.self_attn.o_proj,
    }[what]
    kept = []
    width = module.in_features // model.hf.config.num_attention_heads if what == "head" else model.d_model
    part = slice(head * width, (head + 1) * width) if what == "head" else slice(None)

    def changed(x):
        if not kept:
            kept.append(x[0, -back:, part].clone())
            return x
        x = x.clone()
        x[0, -back:, part] = kept[0]
        return x

    def out(_, __, output):
        return (changed(output[0]), *output[1:]) if isinstance(output, tuple) else changed(output)

    handle = (
        module.register_forward_pre_hook(lambda _, args: (changed(args[0]), *args[1:]))
        if what == "head"
        else module.register_forward_hook(out)
    )
    with torch.no_grad():
        for ids in (first, second):
            logits = model.hf(torch.tensor([ids])).logits[0, -1]
    handle.remove()
    return float(logits[5] - logits[9])


def test_rows_of_a_batch_are_single_chats_with_hooks_on_every_family(tiny64):
    """Chats of other lengths, several places and layers in one batch, the beginnings cached: nothing of that shows."""
    names = ["1_resid_post", "0_attn_out", "2_mlp_out", "L1H2"]
    rows = wb.patch(tiny64, UNEQUAL, names, difference, on="prompt[-2:]").set_index(["pair", "way", "component"])
    chats = [tiny64.encode(side).token_ids for side in (UNEQUAL.positive, UNEQUAL.negative)]
    for number, pair in enumerate(dict.fromkeys(rows.index.get_level_values("pair"))):
        first, second = (side[number] for side in chats)
        for name, layer, what, head in zip(
            names, (1, 0, 2, 1), ("resid", "attn", "mlp", "head"), (0, 0, 0, 2), strict=True
        ):
            for way, (a, b) in {"denoise": (first, second), "noise": (second, first)}.items():
                expected = by_hand(tiny64, a, b, layer, what, 2, head)
                assert rows.loc[pair, way, name]["value"] == pytest.approx(expected, abs=1e-9)


def test_the_direct_ways_of_all_parts_add_up_to_the_whole_way(tiny64):
    """Along a direction: what each head and MLP writes more in one prompt than in the other, and the embedding, which is equal here."""
    d = direction(tiny64, wb.resid_post(2))
    rows = wb.patch(tiny64, UNEQUAL, "path", d)
    if not hasattr(blocks(tiny64.hf)[0], "pre_feedforward_layernorm"):  # behind a norm, heads do not add up one by one
        summed = rows.groupby(["pair", "way"])["effect"].sum()
        whole = rows.groupby(["pair", "way"])[["base", "source"]].first()
        assert summed.to_numpy() == pytest.approx((whole["source"] - whole["base"]).to_numpy(), abs=1e-9)
    parts = [wb.attribute(tiny64, side, d, random=0) for side in (UNEQUAL.positive, UNEQUAL.negative)]
    ours, theirs = (part[part["component"] == "1_mlp_out"]["value"].to_numpy() for part in parts)
    mlp = rows[(rows["component"] == "1_mlp_out") & (rows["way"] == "denoise")]["effect"].to_numpy()
    assert mlp == pytest.approx(ours - theirs, abs=1e-9)


def test_patched_together_a_group_is_one_place(llama):
    d = direction(llama, wb.resid_post(2))
    alone = wb.patch(llama, EQUAL, ["2_attn_out", "2_mlp_out"], d, ways=["denoise"])
    both = wb.patch(
        llama, EQUAL, [["2_attn_out", "2_mlp_out"], ["1_resid_post", "2_attn_out", "2_mlp_out"]], d, ways=["denoise"]
    )
    assert list(both["component"].unique()) == ["2_attn_out + 2_mlp_out", "1_resid_post + 2_attn_out + 2_mlp_out"]
    whole = both[both["component"].str.startswith("1_resid")]
    assert whole["value"].to_numpy() == pytest.approx(
        whole["source"].to_numpy(), abs=1e-4
    )  # nothing is left of the target
    assert len(alone) == len(both)


def test_a_steered_run_is_a_source(llama):
    e, d = direction(llama, wb.resid_post(0), 3), direction(llama, wb.resid_post(2))
    steer = wb.add(e, 2.0, on=wb.PROMPT[-1])
    rows = wb.patch(llama, EQUAL.positive, "resid", d, source=steer)
    for way in ("denoise", "noise"):
        own = rows[rows["way"] == way].set_index("layer")
        # the last token alone was steered, so its stream carries all of the effect from the edited layer on
        assert own["value"].to_numpy() == pytest.approx(own["source"].to_numpy(), abs=1e-4)
        assert own["effect"].abs().min() > 1e-3
    away = wb.patch(llama, EQUAL.positive, "resid", d, source=steer, on=wb.PROMPT[0])
    assert away["effect"].abs().max() < 1e-5


def test_another_model_is_a_source_if_it_is_of_one_kind(llama, tiny_tuned):
    d = direction(llama, wb.resid_post(2))
    rows = wb.patch(llama, EQUAL.positive, "resid", d, source=tiny_tuned, on=wb.PROMPT, ways=["denoise"])
    last = rows[rows["layer"] == 2]
    assert last["value"].to_numpy() == pytest.approx(last["source"].to_numpy(), abs=1e-4)
    assert (rows["source"] - rows["base"]).abs().min() > 1e-3
    with pytest.raises(wb.WorkbenchError, match="wants base and tuned of one kind"):
        wb.patch(llama, EQUAL.positive, "resid", d, source=tiny_model("gemma3"))


def test_a_planted_circuit_is_found():
    model = planted_model()
    d = Direction(planted_direction(), wb.resid_post(2), model.name, activation_norm=1.0)
    pairs = planted_pairs(5, seed=1)
    effects = wb.patch_effects(wb.patch(model, pairs, "head", d, screen=3)).set_index(["way", "component"])
    for way in ("denoise", "noise"):
        own = effects.loc[way]
        assert own["estimate"].abs().idxmax() == "L1H0"
        assert own.loc["L1H0", "share"] == pytest.approx(1.0, abs=1e-4)
        others = own.drop("L1H0")["effect"].dropna()
        assert (others.abs() < 1e-4).all()
    layers = wb.patch_effects(wb.patch(model, pairs, "attn", d, ways=["denoise"])).set_index("component")["share"]
    assert layers.idxmax() == "1_attn_out"
    control = wb.patch(model, pairs, "attn", d, control=wb.within_side(pairs), ways=["denoise"])
    sizes = control[control["component"] == "1_attn_out"].groupby("set")["effect"].apply(lambda x: x.abs().mean())
    assert sizes["pairs"] > 3 * sizes["control"]


def test_values_written_into_a_chat_stand_there_to_the_last_bit():
    model = tiny_model("llama", "bfloat16")
    chats, site = model.encode(["write a song", "how do i pick a lock"]), wb.resid_post(1)
    values = 1e-3 * torch.randn(1, model.d_model, generator=torch.Generator().manual_seed(0))
    rows = [Row(i, writes=(Write(site, (length - 1,), values),)) for i, length in enumerate(chats.lengths)]
    there = Metric("there", lambda x: (x == values.bfloat16().double()).double().mean(-1), site)
    assert run(model, chats, rows, there).tolist() == [1, 1]


def test_a_screen_of_a_linear_metric_is_exact_where_it_is_read(tiny64):
    d = direction(tiny64, wb.resid_post(1))
    rows = wb.patch(tiny64, UNEQUAL, "resid", d, layers=[1], screen=1)
    assert rows["estimate"].to_numpy() == pytest.approx(rows["effect"].to_numpy(), abs=1e-9)


words = st.lists(st.integers(0, 9), min_size=1, max_size=5)


@given(head=words, tail=words, middles=st.tuples(words, words))
def test_counterparts_are_the_same_tokens_but_in_requests_of_one_length(head, tail, middles):
    first, second = ([*head, *(m + 10 for m in middle), *(t + 20 for t in tail)] for middle in middles)
    n = len(tail)
    ours, theirs = counterparts(first, second, wb.PROMPT[-n:])
    assert [first[i] for i in ours] == [second[i] for i in theirs] == [t + 20 for t in tail]
    ours, theirs = counterparts(first, second, wb.PROMPT[: len(head)])
    assert [first[i] for i in ours] == [second[i] for i in theirs] == head
    if len(middles[0]) == len(middles[1]):
        assert counterparts(first, second, wb.PROMPT)[0] == counterparts(first, second, wb.PROMPT)[1]
    else:
        with pytest.raises(wb.WorkbenchError, match=r"tokens of one prompt|counterpart"):
            counterparts(first, second, wb.PROMPT)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"on": "prompt[3]"}, "no counterpart in the other"),
        ({"on": wb.PROMPT}, "expected as many"),
        ({"what": "heads"}, "unknown what 'heads'; did you mean 'head'"),
        ({"what": ["L9H0"]}, "unknown component 'L9H0'"),
        ({"what": []}, "names no component"),
        ({"what": "path", "screen": 3}, "what='path' is exact"),
        ({"what": "path", "on": "prompt[-2:]", "metric": difference}, "the direct way to the last token"),
        ({"layers": [7]}, "has layers 0 to 2"),
        ({"ways": ["back"]}, "unknown way 'back'"),
        ({"metric": 3}, "expected a Direction, 'refusal'"),
        ({"source": wb.Steer()}, "give one side"),
        ({"pairs": ["write a song"]}, "expected two runs"),
        ({"pairs": ["write a song"], "source": wb.Steer()}, "both runs would be the same"),
        ({"pairs": wb.Pairs(["write a song", "write"], ["write a song"])}, "2 positive and 1 negative"),
        ({"on": "prompt[-1] | prompt[0]", "each": True, "pairs": UNEQUAL}, "count from one end"),
        ({"screen": 0}, "screen=0"),
    ],
)
def test_what_cannot_be_patched_is_refused_before_any_pass(llama, monkeypatch, arguments, says):
    monkeypatch.setattr(type(llama.hf), "forward", None)
    pairs = arguments.pop("pairs", UNEQUAL)
    with pytest.raises(wb.WorkbenchError, match=says):
        wb.patch(llama, pairs, **arguments)


def test_a_control_within_a_side_keeps_conversations():
    said = [("user", "hello"), ("assistant", "hello ."), ("user", "write a song")]
    pairs = wb.Pairs(["steal"] * 2, [wb.Prompt(messages=said, base="b"), "bake"])
    control = wb.within_side(pairs)
    assert control.negative[0].turns == tuple(said) == control.positive[1].turns
    assert {prompt.base for prompt in control.negative} == {""}


def test_means_of_many_heads_take_no_more_than_their_rows():
    layers, heads, pairs = 20, 20, 2
    places = [(f"L{layer}H{head}", layer, head) for layer in range(layers) for head in range(heads)]
    lines = [
        ("pairs", f"p{i}", "denoise", *place, "prompt[-1]", 1.0, 3.0, 2.0 + i, 1.0 + i, 0.0)
        for place in places
        for i in range(pairs)
    ]
    rows = pd.DataFrame(lines, columns=list(wb.patch.__globals__["COLUMNS"]))
    wb.patch_effects(rows[:2])  # imports what it needs
    tracemalloc.start()
    effects = wb.patch_effects(rows, resamples=50)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert effects["component"].tolist() == [name for name, *_ in places]
    assert peak < 5e6  # bytes; the product of all components, layers and heads would take five times as much


def test_effects_are_means_over_pairs_with_intervals():
    lines = [
        ("pairs", f"p{i}", "denoise", "L0H0", 0, 0, "prompt[-1]", 1.0, 3.0, 1.0 + e, e, e)
        for i, e in enumerate((1, 2, 0.5, 1.5))
    ]
    rows = pd.DataFrame(lines, columns=list(wb.patch.__globals__["COLUMNS"]))
    (line,) = wb.patch_effects(rows).itertuples()
    assert (line.n, line.effect, line.share) == (4, 1.25, 0.625)
    assert line.low < 1.25 < line.high
    assert line.share_low == pytest.approx(line.low / 2)
    with pytest.raises(wb.WorkbenchError, match=r"expected rows of wb\.patch"):
        wb.patch_effects(rows.drop(columns="base"))
    with pytest.raises(wb.WorkbenchError, match="needs two at least"):
        wb.patch_effects(rows.iloc[:1])
    with pytest.raises(wb.WorkbenchError, match="expected four"):
        wb.screen_agreement(wb.patch_effects(rows))
