"""The invariants of steering, on a tiny random model of every family."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.families import PROMPTS
from workbench.generation.steer_hooks import Applied, first_edited, site_width
from workbench.models.hooks import reading
from workbench.steering.directions import Direction, Directions
from workbench.steering.sites import HOOK_NAMES, Site
from workbench.steering.steer import Condition, Edit

SITES = [*HOOK_NAMES]


def direction(model, site, seed=0, scale=3.0):
    vector = torch.randn(site_width(model, site), generator=torch.Generator().manual_seed(seed)) * scale
    return Direction(vector, site, model.name, activation_norm=float(vector.norm()) * 2)


def capture(model, site, steer, prompt=PROMPTS[0]):
    """Activations at a site, unsteered and steered, in one full pass over a prompt. Each [pos, width]."""
    ids, mask = model.encode([prompt]).padded()
    found = []
    for spec in (wb.Steer(), steer):
        applied = Applied([spec], [ids.shape[1]], ids.shape[1], 0, model)
        with torch.no_grad(), applied.hooked(model), reading(model.hf, site, found.append):
            model.hf(ids, attention_mask=mask)
    return found[0][0], found[1][0]


@pytest.mark.parametrize("kind", ["resid_pre", "resid_post", "attn_out", "mlp_out", "q", "v"])
def test_adding_moves_the_site_by_coef_times_v_on_steered_tokens_and_nowhere_else(tiny, kind):
    site = Site(1, kind)
    d = direction(tiny, site)
    on = wb.PROMPT[-1] | wb.PROMPT[2:4]
    # Read one site further down the stream, where the written value has arrived.
    after = (
        Site(1, kind)
        if kind in ("q", "v", "attn_out", "mlp_out")
        else Site({"resid_pre": 1, "resid_post": 1}[kind], kind)
    )
    before, steered = capture(tiny, after, wb.add(d, 0.5, on=on))
    n = len(before)
    mask = torch.tensor(on.mask(n, n))
    if kind == "resid_post":  # reading hooks see what earlier hooks returned
        assert torch.equal(steered[mask], before[mask] + 0.5 * d.vector)
    difference = (steered - before).double()
    torch.testing.assert_close(
        difference[mask], (0.5 * d.vector.double()).expand(int(mask.sum()), -1), rtol=1e-4, atol=1e-4
    )
    earlier = ~mask & (torch.arange(n) < 2)
    assert torch.equal(steered[earlier], before[earlier])


@pytest.mark.parametrize("kind", SITES)
def test_plain_module_and_bridge_steer_alike(tiny, kind):
    site = Site(1, kind)
    spec = wb.add(direction(tiny, site), 0.5, on=wb.PROMPT[1:4]) + wb.ablate(direction(tiny, site, 1))
    ids = torch.tensor([tiny.encode(PROMPTS[:1]).token_ids[0]])
    applied = Applied([spec], [ids.shape[1]], ids.shape[1], 0, tiny)
    with torch.no_grad():
        pristine = tiny.hf(ids).logits
        with applied.hooked(tiny):
            plain = tiny.hf(ids).logits
        with wb.steered(tiny, spec, prompt_length=ids.shape[1]) as bridge:
            bridged = bridge(ids)
    torch.testing.assert_close(plain, bridged, rtol=2e-4, atol=2e-4)
    assert not torch.allclose(plain, pristine, atol=1e-3)


def test_ablation_leaves_projection_zero_and_twice_is_once(tiny):
    site = wb.resid_post(1)
    d = direction(tiny, site)
    unit = d.vector.double() / d.norm
    _, once = capture(tiny, site, wb.ablate(d))
    _, twice = capture(tiny, site, wb.ablate(d) + wb.ablate(d))
    assert (once.double() @ unit).abs().max() < 1e-4 * once.norm(dim=-1).max()
    torch.testing.assert_close(once, twice, rtol=1e-5, atol=1e-5)


def test_strength_zero_is_bitwise_the_unsteered_run(tiny):
    d = direction(tiny, wb.resid_post(1))
    before, steered = capture(tiny, wb.resid_post(2), wb.add(d, 0.0))
    assert torch.equal(before, steered)
    assert wb.add(d, 0.0).key == wb.Steer().key


def test_minus_d_plus_c_is_bitwise_d_minus_c(tiny):
    d = direction(tiny, wb.resid_post(0))
    _, a = capture(tiny, wb.resid_post(2), wb.add(-d, 0.37))
    _, b = capture(tiny, wb.resid_post(2), wb.add(d, -0.37))
    assert torch.equal(a, b)
    assert wb.add(-d, 0.37).key == wb.add(d, -0.37).key
    assert wb.add(-d, 0.37).key != wb.add(d, 0.37).key


def test_edits_apply_in_order(llama):
    d, e = direction(llama, wb.resid_post(1)), direction(llama, wb.resid_post(1), 1)
    unit, added = (d.vector / d.norm).double(), 2 * e.vector.double()
    ablate, add = wb.ablate(d), wb.add(e, 2.0)
    before, ablated_first = capture(llama, wb.resid_post(1), ablate + add)
    _, added_first = capture(llama, wb.resid_post(1), add + ablate)

    def without(x):
        return x - (x @ unit)[:, None] * unit

    expected = {"ablated first": without(before.double()) + added, "added first": without(before.double() + added)}
    torch.testing.assert_close(ablated_first.double(), expected["ablated first"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(added_first.double(), expected["added first"], rtol=1e-4, atol=1e-4)
    assert (ablate + add).key != (add + ablate).key


def projections(x, d):
    return x.double() @ (d.vector.double() / d.norm)


@pytest.mark.parametrize("kind", SITES)
def test_clamp_keeps_the_projection_between_its_bounds_and_leaves_the_rest(tiny, kind):
    site = Site(1, kind)
    d = direction(tiny, site)
    before, steered = capture(tiny, site, wb.clamp(d, low=-0.2, high=0.1, on=wb.PROMPT[2:]))
    old, new = projections(before, d), projections(steered, d)
    torch.testing.assert_close(new[2:], old[2:].clamp(-0.2, 0.1), rtol=1e-4, atol=1e-4)
    assert torch.equal(before[:2], steered[:2])
    unit = d.vector.double() / d.norm
    torch.testing.assert_close(
        (steered - before).double(), (new - old)[:, None] * unit, rtol=1e-3, atol=1e-4
    )  # nothing moves across the direction


def test_clamp_twice_is_once_and_its_mirror_is_itself(tiny):
    d = direction(tiny, wb.resid_post(1))
    spec, mirror = wb.clamp(d, low=-0.2, high=0.1), wb.clamp(-d, low=-0.1, high=0.2)
    _, once = capture(tiny, wb.resid_post(1), spec)
    _, twice = capture(tiny, wb.resid_post(1), spec + spec)
    _, mirrored = capture(tiny, wb.resid_post(1), mirror)
    torch.testing.assert_close(once, twice, rtol=1e-5, atol=1e-5)
    assert torch.equal(once, mirrored)
    assert spec.key == mirror.key != wb.clamp(d, low=-0.1, high=0.2).key


def between(values):
    """A threshold with values on both sides and none at it."""
    ordered = values.sort().values
    middle = len(ordered) // 2
    return float(ordered[middle - 1 : middle + 1].mean())


@pytest.mark.parametrize(
    ("gate", "site"), [("resid_pre", "resid_post"), ("resid_post", "resid_post"), ("z", "mlp_out")]
)
def test_a_gate_lets_through_the_tokens_whose_projection_it_allows(tiny, gate, site):
    d, g = direction(tiny, Site(1, site)), direction(tiny, Site(1, gate), 5)
    level, _ = capture(tiny, Site(1, gate), wb.Steer())
    threshold = between(projections(level, g))
    before, steered = capture(tiny, Site(1, site), wb.add(d, 0.5).when(g, above=threshold))
    open_ = projections(level, g) > threshold
    assert 0 < open_.sum() < len(open_)
    moved = (steered - before).double()
    torch.testing.assert_close(
        moved[open_], (0.5 * d.vector.double()).expand(int(open_.sum()), -1), rtol=1e-3, atol=1e-4
    )
    assert torch.equal(steered[~open_], before[~open_])


def test_a_gate_on_the_prompt_decides_for_the_whole_row(tiny64):
    """Rows whose prompt passes the gate are steered throughout, the others not at all; batched, cached or alone."""
    d, g = direction(tiny64, wb.resid_post(1)), direction(tiny64, wb.resid_post(0), 5)
    level = wb.trace(tiny64, PROMPTS, g)
    values = [level.dot[i, 0, n - 1] for i, n in enumerate(level.prompt_lengths)]
    threshold = between(torch.tensor(values))
    gated = wb.add(d, 0.8, on=wb.RESPONSE).when(g, above=threshold, read=wb.PROMPT[-1])
    out = wb.generate(tiny64, PROMPTS, gated, max_new_tokens=8)
    plain = wb.generate(tiny64, PROMPTS, max_new_tokens=8)
    always = wb.generate(tiny64, PROMPTS, wb.add(d, 0.8, on=wb.RESPONSE), max_new_tokens=8)
    for i, value in enumerate(values):
        assert out.token_ids[i] == (always if value > threshold else plain).token_ids[i]
        assert out.token_ids[i] == wb.generate(tiny64, [PROMPTS[i]], gated, max_new_tokens=8).token_ids[0]
    assert plain.token_ids != out.token_ids != always.token_ids
    assert set(wb.trace(tiny64, out, d).edited.any(1).tolist()) == {True, False}


def test_bridge_and_plain_module_agree_on_gates_and_clamps(tiny):
    d, g = direction(tiny, wb.resid_mid(1)), direction(tiny, wb.q(1), 5)
    spec = wb.clamp(d, high=0.0).when(g, below=0.1) + wb.add(direction(tiny, wb.resid_post(1)), 0.5)
    ids = torch.tensor([tiny.encode(PROMPTS[:1]).token_ids[0]])
    with torch.no_grad():
        with Applied([spec], [ids.shape[1]], ids.shape[1], 0, tiny).hooked(tiny):
            plain = tiny.hf(ids).logits
        with wb.steered(tiny, spec, prompt_length=ids.shape[1]) as bridge:
            torch.testing.assert_close(plain, bridge(ids), rtol=2e-4, atol=2e-4)


@given(st.lists(st.floats(0.01, 9), min_size=2, max_size=4), st.floats(-0.9, 0.9))
def test_layers_share_one_total_dose_by_their_weights(weights, ratio):
    items = [
        Direction(torch.arange(1.0, 9) * (i + 1), wb.resid_post(i), "tiny", activation_norm=10.0 + i)
        for i in range(len(weights))
    ]
    spec = wb.add(Directions(tuple(items)), ratio=ratio, weights=weights)
    assert spec.dose == pytest.approx(abs(ratio))
    for edit, weight in zip(spec.edits, weights, strict=True):
        assert spec.doses.get(str(edit.site), 0.0) == pytest.approx(abs(ratio) * weight / sum(weights))
    same = wb.add(items[0], coef=ratio, at=[wb.resid_post(i) for i in range(len(weights))], weights=weights)
    assert sum(edit.coef for edit in same.edits) == pytest.approx(ratio)


def test_orthogonalised_layers_say_nothing_twice(llama):
    ds = Directions(tuple(direction(llama, wb.resid_post(i), i) for i in range(3)))
    found = ds.orthogonalised()
    assert found[0] == ds[0]
    for i in range(3):
        for j in range(i):
            assert abs(found[i].cosine(found[j])) < 1e-6
    with pytest.raises(wb.WorkbenchError, match="nothing is left"):
        ds[1].orthogonal_to(ds[0], 2 * ds[1])


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_steers_read_back_bit_for_bit(llama, tmp_path, suffix):
    d, g = direction(llama, wb.resid_post(1)), direction(llama, wb.resid_pre(1), 5)
    spec = wb.add(d, ratio=0.3, on="prompt[-1] | response[:5]").when(g, above=0.1, below=7, read="prompt[-2:]")
    spec = spec + wb.ablate(g, on=wb.RESPONSE) + wb.clamp(d, low=-1 / 3)
    read = wb.Steer.load(spec.save(tmp_path / f"spec{suffix}"))
    assert read == spec == wb.Steer.from_json(spec.to_json())
    assert read.key == spec.key
    assert wb.generate(llama, PROMPTS, read).token_ids == wb.generate(llama, PROMPTS, spec).token_ids
    assert wb.Steer.load(wb.Steer().save(tmp_path / f"none{suffix}")) == wb.Steer()


def test_files_that_hold_no_steer_are_refused(llama, tmp_path):
    d = direction(llama, wb.resid_post(1))
    (tmp_path / "a.json").write_text('{"edits": []}')
    for path in (tmp_path / "a.json", d.save(tmp_path / "d.safetensors"), tmp_path / "none.json"):
        with pytest.raises(wb.WorkbenchError):
            wb.Steer.load(path)


def test_edits_in_conflict_are_refused_where_they_are_joined(llama):
    d, e = direction(llama, wb.resid_post(1)), direction(llama, wb.resid_post(1), 3)
    conflicts = [
        lambda: wb.add(d, 1.0) + wb.ablate(2 * d),
        lambda: wb.add(d, 1.0, on=wb.PROMPT[-1]) + wb.ablate(-d),
        lambda: wb.clamp(d, low=1) + wb.ablate(d),
        lambda: wb.clamp(d, low=1) + wb.clamp(d, high=0, on=wb.RESPONSE),
        lambda: wb.clamp(d, low=1) + wb.clamp(-d, low=0),
    ]
    for join in conflicts:
        with pytest.raises(wb.WorkbenchError, match="in conflict"):
            join()
    for fine in (
        wb.ablate(d) + wb.add(d, 1.0),  # sets the component
        wb.add(d, 1.0) + wb.ablate(e),
        wb.add(d, 1.0) + wb.ablate(d, on=wb.RESPONSE),
        wb.add(d, 1.0) + wb.ablate(d, at=wb.resid_post(2)),
        wb.clamp(d, low=1) + wb.clamp(-d, low=-2),
        wb.clamp(d, low=1, on=wb.PROMPT[-1]) + wb.clamp(d, high=0, on=wb.PROMPT[36]),
    ):
        assert len(fine.edits) == 2


def hooks(module):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def test_an_exception_leaves_no_hook_behind(tiny):
    before_hooks = hooks(tiny.hf)  # transformers may have left some of its own, e.g. to record hidden states
    ids = torch.tensor([tiny.encode(PROMPTS[:1]).token_ids[0]])
    d = direction(tiny, wb.resid_mid(1))
    with torch.no_grad():
        before, bridged = tiny.hf(ids).logits, tiny.bridge(ids)

        def explode():
            with Applied([wb.add(d, 1.0)], [ids.shape[1]], ids.shape[1], 0, tiny).hooked(tiny):
                raise RuntimeError("inside")

        def explode_in_bridge():
            with wb.steered(tiny, wb.add(d, 1.0), ids.shape[1]):
                raise RuntimeError("inside")

        for act in (explode, explode_in_bridge):
            with pytest.raises(RuntimeError, match="inside"):
                act()
        assert torch.equal(tiny.hf(ids).logits, before)
        assert torch.equal(tiny.bridge(ids), bridged)
    assert hooks(tiny.hf) == before_hooks


@given(st.floats(-1, 1), st.floats(0.1, 50))
def test_dose_does_not_depend_on_the_length_of_v(ratio, scale):
    d = Direction(torch.tensor([1.0, 2, 2]), wb.resid_post(0), "tiny", activation_norm=6.0)
    edit = wb.add(d * scale, ratio=ratio).edits[0]
    assert edit.dose == pytest.approx(abs(ratio), rel=1e-4, abs=1e-12)
    assert wb.add(d.unit(), coef=3.0).edits[0].dose == pytest.approx(0.5)


@given(st.integers(1, 9))
def test_first_edited_is_the_first_token_of_any_edit(length):
    d = Direction(torch.tensor([1.0, 2]), wb.resid_post(0), "tiny")
    assert first_edited(wb.add(d, 1, on=wb.PROMPT[-1] | wb.RESPONSE), length) == length - 1
    assert first_edited(wb.add(d, 1, on=wb.RESPONSE), length) == length
    assert first_edited(wb.add(d, 1) + wb.ablate(d, on=wb.RESPONSE), length) == 0
    assert first_edited(wb.add(d, 0), length) == length


def test_bad_input_is_refused_before_any_compute(llama):
    d = direction(llama, wb.resid_post(1))
    wrong = Direction(torch.ones(7), wb.resid_post(1), "another")
    cases = {
        "one of coef=": lambda: wb.add(d),
        "coef=nan: expected a number": lambda: wb.add(d, float("nan")),
        "expected a finite number": lambda: wb.add(d, float("inf")),
        "needs the activation norm": lambda: wb.add(d, ratio=0.1, at=wb.resid_post(2)),
        "7 dimensions but": lambda: wb.generate(llama, PROMPTS, wb.add(wrong, 1)),
        "which has 3 layers": lambda: wb.generate(llama, PROMPTS, wb.add(d, 1, at=wb.resid_post(3))),
        "where the response ends": lambda: wb.generate(llama, PROMPTS, wb.add(d, 1, on=wb.RESPONSE[-1])),
        "outside a prompt of": lambda: wb.generate(llama, PROMPTS, wb.add(d, 1, on=wb.PROMPT[99])),
        r"prompt\[50:60\] means no token of any chat: the prompts have": lambda: wb.generate(
            llama, PROMPTS, wb.add(d, 1, on="prompt[50:60] | response")
        ),
        r"response\[4:\] means no token of any chat: the responses have at most 4": lambda: wb.generate(
            llama, PROMPTS, wb.add(d, 1, on="prompt | response[4:]"), max_new_tokens=4
        ),
        r"all\[70\] means no token of any chat": lambda: wb.generate(llama, PROMPTS, wb.add(d, 1, on="all[70]"), 4),
        r"prompt\[50:\] means no token": lambda: wb.trace(llama, PROMPTS, d, steer=wb.add(d, 1, on="prompt[50:]")),
        r"prompt\[50:51\] means no token": lambda: wb.refusal_margin(llama, PROMPTS, wb.add(d, 1, on="prompt[50:51]")),
        r"prompt\[11:\] means no token of any chat: the prompts have": lambda: wb.generate(
            llama, PROMPTS, wb.add(d, 1).when(d, above=0, read="prompt[11:]")
        ),
        "not 12": lambda: wb.add(d, 1, at=12),
        "expected positions": lambda: wb.add(d, 1, on=-1),
        "at character 1": lambda: wb.add(d, 1, on="promt[-1]"),
        "was read from another": lambda: wb.generate(llama, PROMPTS, wb.add(d.transfer("another"), 1)),
        "comes later in the forward pass": lambda: wb.add(d, 1).when(direction(llama, wb.resid_post(2)), above=0),
        "never true": lambda: wb.add(d, 1).when(d, above=1, below=0),
        "takes above=, below=": lambda: wb.add(d, 1).when(d),
        "gated by its prompt": lambda: wb.add(d, 1).when(d, above=0, read=wb.RESPONSE),
        "conditional already": lambda: wb.add(d, 1).when(d, above=0).when(d, below=9),
        "low at most high": lambda: wb.clamp(d, low=1, high=0),
        "with low at most": lambda: wb.clamp(d),
        "different sites": lambda: wb.add(d, 1, at=[wb.resid_post(1), wb.resid_post(1)]),
        "expected 2 numbers": lambda: wb.add(d, 1, at=[wb.resid_post(1), wb.resid_post(2)], weights=[1]),
        "not all of them 0": lambda: wb.add(d, 1, at=[wb.resid_post(1), wb.resid_post(2)], weights=[0, 0]),
        "2 Steers for 6 prompts": lambda: wb.generate(llama, PROMPTS, [wb.add(d, 1)] * 2),
    }
    for message, act in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            act()


def test_names_and_text_serve_as_sites_and_positions(llama):
    d = direction(llama, wb.resid_post(1))
    assert wb.add(d, 1, on="prompt[-1]", at="blocks.2.hook_resid_post") == wb.add(
        d, 1, on=wb.PROMPT[-1], at=wb.resid_post(2)
    )


def test_a_dose_above_one_warns(llama):
    with pytest.warns(UserWarning, match="perturbation-ratio"):
        wb.add(direction(llama, wb.resid_post(1)), ratio=1.2)


def written_by_bridge(model, prompts, steer, new=8, **options):
    """What the bridge's own generate writes inside ``steered``: one row per prompt, without what follows a stop token."""
    ids = torch.tensor(model.encode(prompts).token_ids)
    with wb.steered(model, steer, prompt_length=ids.shape[1]) as bridge:
        out = bridge.generate(ids, max_new_tokens=new, do_sample=False, verbose=False, return_type="tokens", **options)
    rows = []
    for row in out[:, ids.shape[1] :].tolist():
        ends = [i for i, token in enumerate(row) if token in model.stop_ids]
        rows.append(tuple(row[: ends[0] + 1] if ends else row))
    return tuple(rows)


@pytest.mark.parametrize("on", ["all", "response", "prompt[-1] | response", "response[2:4]"])
@pytest.mark.parametrize("cached", [True, False])
def test_the_bridge_writes_what_generate_writes_with_its_cache_and_without(tiny64, on, cached):
    d = direction(tiny64, wb.resid_post(1))
    steer = wb.add(d, 0.9, on=on) + wb.add(direction(tiny64, wb.resid_post(2), 1), 0.5).when(
        d, above=0.0, read="prompt[2:]"
    )
    prompts = ["how do i bake bread", "how do i make tea"]  # of one length
    expected = wb.generate(tiny64, prompts, steer, max_new_tokens=8).token_ids
    assert written_by_bridge(tiny64, prompts, steer, use_past_kv_cache=cached) == expected
    assert written_by_bridge(tiny64, prompts[1:], steer, use_past_kv_cache=cached) == expected[1:]


def test_a_second_chat_inside_steered_is_gated_by_itself(tiny64):
    d = direction(tiny64, wb.resid_post(1))
    prompts = ["how do i bake bread", "how do i make tea"]
    means = [float(projections(capture(tiny64, d.site, wb.Steer(), p)[0][-2:], d).mean()) for p in prompts]
    steer = wb.add(direction(tiny64, wb.resid_post(2), 1), 2.0).when(d, above=sum(means) / 2, read="prompt[-2:]")
    chats = [torch.tensor([ids]) for ids in tiny64.encode(prompts).token_ids]
    with torch.no_grad(), wb.steered(tiny64, steer, prompt_length=chats[0].shape[1]) as bridge:
        together = [bridge(ids) for ids in chats]
    for ids, logits in zip(chats, together, strict=True):
        with torch.no_grad(), wb.steered(tiny64, steer, prompt_length=ids.shape[1]) as bridge:
            assert torch.equal(bridge(ids), logits)


def test_steered_refuses_what_it_cannot_count(llama):
    d = direction(llama, wb.resid_post(1))
    ids, mask = llama.encode(["write a song", PROMPTS[1]]).padded()
    width = ids.shape[1]
    passes = {
        "without padding": [lambda b: b(ids, attention_mask=mask), lambda b: b(ids), lambda b: b(ids[:1])],
        "met a chat of 3 tokens": [lambda b: b(ids[1:, :3])],
        "expected 11 to 15|expected 14 to 18": [lambda b: b(ids[1:].repeat(1, 3))],
    }
    for message, acts in passes.items():
        for act in acts:
            with pytest.raises(wb.WorkbenchError, match=message), wb.steered(llama, wb.add(d, 1), width, 4) as bridge:
                act(bridge)
    for wrong in (0, -3, 2.5, True, "9"):
        with pytest.raises(wb.WorkbenchError, match="at least 1"), wb.steered(llama, wb.add(d, 1), wrong):
            pass
    with (
        pytest.raises(wb.WorkbenchError, match="outside a prompt of 9"),
        wb.steered(llama, wb.add(d, 1, on="prompt[9]"), 9),
    ):
        pass
    with (
        pytest.raises(wb.WorkbenchError, match="means no token of any chat: the prompts have 9 tokens"),
        wb.steered(llama, wb.add(d, 1, on="prompt[9:12]"), 9),
    ):
        pass
    assert not llama.bridge.original_model._forward_pre_hooks


def test_a_span_that_only_the_longest_prompt_has_is_no_mistake(llama):
    d = direction(llama, wb.resid_post(1))
    chats = llama.encode(PROMPTS)
    longest = max(chats.lengths)
    assert min(chats.lengths) < longest - 1
    steer = wb.add(d, 40, on=wb.PROMPT[longest - 1 : longest])
    moved = wb.refusal_margin(llama, PROMPTS, steer) != wb.refusal_margin(llama, PROMPTS)
    assert moved.tolist() == [length == longest for length in chats.lengths]


def test_threads_that_share_a_model_take_turns(llama):
    """Every verb that runs the model, each steered another way, at the same time: as one after the other."""
    d = direction(llama, wb.resid_post(1))
    pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:])

    def act(i):
        steer = wb.add(direction(llama, wb.resid_post(1), i), 0.8)
        if i % 4 == 0:
            return wb.generate(llama, PROMPTS, steer, max_new_tokens=6, batch_size=2, progress=False).token_ids
        if i % 4 == 1:
            return wb.trace(llama, PROMPTS, d, steer=steer).dot.tobytes()
        if i % 4 == 2:
            return wb.extract(llama, pairs, at=wb.resid_post(1)).id
        return wb.coherence.values(llama, PROMPTS, ["the river"] * len(PROMPTS), [steer] * len(PROMPTS))

    alone = [act(i) for i in range(24)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(act, range(24))) == alone


def test_other_threads_wait_for_an_open_steered_block(llama):
    done = []
    thread = threading.Thread(target=lambda: done.append(wb.generate(llama, PROMPTS[:1], max_new_tokens=2)))
    with wb.steered(llama, wb.add(direction(llama, wb.resid_post(1)), 5), 9):
        thread.start()
        thread.join(0.3)
        assert not done
    thread.join()
    assert done[0].token_ids == wb.generate(llama, PROMPTS[:1], max_new_tokens=2).token_ids


def changed(text, change):
    content = json.loads(text)
    change(content)
    return json.dumps(content)


def test_a_steer_file_says_nothing_that_is_not_read(llama, tmp_path):
    d = direction(llama, wb.resid_post(1))
    text = wb.add(d, 0.5).when(d, above=0.1, read="prompt[-1]").to_json()
    cases = {
        "did you mean 'when'": lambda c: c["edits"][0].__setitem__("whne", c["edits"][0].pop("when")),
        "unknown key 'edit'": lambda c: c.__setitem__("edit", []),
        "unknown key 'abvoe'": lambda c: c["edits"][0]["when"].__setitem__("abvoe", "0x1p0"),
        "unknown key 'layer'": lambda c: c["edits"][0]["direction"].__setitem__("layer", 3),
        "expected 'workbench.steer.1'": lambda c: c.__setitem__("format", "workbench.steer.2"),
        "the dose is said to be 0.9": lambda c: c["edits"][0].__setitem__("dose", "0.9"),
        "unknown operation 'ad'": lambda c: c["edits"][0].__setitem__("operation", "ad"),
        "expected a number|finite number": lambda c: c["edits"][0].__setitem__("coef", "nan"),
        "never true": lambda c: c["edits"][0]["when"].__setitem__("above", "inf"),
        "low at most high": lambda c: c["edits"][0].update(low="0x1p1", high="0x1p0"),
        "activation_norm=-5": lambda c: c["edits"][0]["direction"].__setitem__("activation_norm", (-5.0).hex()),
        "gated by its prompt": lambda c: c["edits"][0]["when"].__setitem__("read", "response"),
        "no 'read'": lambda c: c["edits"][0]["when"].pop("read"),
        "not a Steer": lambda c: c.__setitem__("edits", [3]),
    }
    for message, change in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            wb.Steer.from_json(changed(text, change))
    for odd in ("", "[]", "null", "3", "{" * 100_000, text.replace('"on"', '"site"'), text[:-5]):
        with pytest.raises(wb.WorkbenchError, match="not a Steer"):
            wb.Steer.from_json(odd)
    assert wb.Steer.from_json(text).to_json() == text
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(wb.WorkbenchError, match="cannot be read"):
        wb.Steer.load(tmp_path / "latin.json")


def test_numbers_that_make_no_sense_are_refused_where_they_enter(llama):
    d = direction(llama, wb.resid_post(1))
    for norm in (0, -5, float("inf"), -float("inf"), "3", None, True):
        with pytest.raises(wb.WorkbenchError, match="activation_norm"):
            replace(d, activation_norm=norm)
    assert replace(d, activation_norm=3).metadata()["activation_norm"] == (3.0).hex()
    nan, inf = float("nan"), float("inf")
    edits = {
        "finite number": {"coef": inf},
        "low at most high": {"low": 1.0, "high": 0.0},
        "expected a number": {"low": nan},
    }
    for message, numbers in edits.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            Edit("add", d, d.site, wb.ALL, **numbers)
    for above, below in ((nan, 1.0), (1.0, 1.0), (2.0, 1.0), (inf, inf)):
        with pytest.raises(wb.WorkbenchError, match="never true"):
            Condition(d, above, below)
