"""Generation: cache, batch, sharing and leaving rows change nothing; plain transformers with hand-written hooks agrees."""

from contextlib import contextmanager
from functools import cache

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.families import FAMILIES, PROMPTS, tiny_model
from tests.generation.test_steer_hooks import direction
from workbench.generation.completions import FAILED
from workbench.generation.engine import Writer, first_logits
from workbench.generation.generate import continue_tokens
from workbench.models.families import FAMILIES as SUPPORTED
from workbench.scoring.distances import kl, kl_per_token
from workbench.steering.positions import Positions
from workbench.steering.sites import HOOK_NAMES

ON = ["all", "prompt", "response", "prompt[-1]", "prompt[-1] | response", "prompt[2:4] | response[1:3]", "response[:1]"]


#: where a kind of site lies in a block, as written by hand: (submodule, "in" or "out"); behind "/", between the norms of Gemma 2 and 3
PLACES = {
    "resid_pre": ("", "in"),
    "resid_post": ("", "out"),
    "attn_out": ("self_attn/post_attention_layernorm", "out"),
    "mlp_out": ("mlp/post_feedforward_layernorm", "out"),
    "attn_raw": ("self_attn", "out"),
    "mlp_raw": ("mlp", "out"),
    "q": ("self_attn.q_proj", "out"),
    "k": ("self_attn.k_proj", "out"),
    "v": ("self_attn.v_proj", "out"),
    "z": ("self_attn.o_proj", "in"),
}
EDITS = {
    "add": (lambda d, on: wb.add(d, 0.8, on=on), lambda x, v: x + 0.8 * v),
    "ablate": (lambda d, on: wb.ablate(d, on=on), lambda x, v: x - x @ v[:, None] / (v @ v) * v),
    "clamp": (
        lambda d, on: wb.clamp(d, low=-0.2, high=0.1, on=on),
        lambda x, v: x + ((x @ v[:, None] / v.norm()).clamp(-0.2, 0.1) - x @ v[:, None] / v.norm()) * v / v.norm(),
    ),
}


@contextmanager
def hooked_by_hand(model, d, edit, on, length):
    """Plain transformers whose hook edits one site of one layer, on the tokens that ``on`` means in a text that is read whole."""
    block = model.hf.model.layers[d.site.layer]
    around = hasattr(block, "pre_feedforward_layernorm")
    vector = d.vector.to(model.dtype)

    def edited(x):
        mask = torch.tensor(on.mask(length, x.shape[1]))
        return torch.where(mask[None, :, None], edit(x, vector), x)

    def output(_, __, out):
        return (edited(out[0]), *out[1:]) if isinstance(out, tuple) else edited(out)

    def input(_, args, named):
        return (
            ((edited(args[0]), *args[1:]), named)
            if args
            else (args, named | {"hidden_states": edited(named["hidden_states"])})
        )

    before = []

    def remember(_, args, named):
        before[:] = [args[0] if args else named["hidden_states"]]

    def between(_, __, out):  # what attention adds takes the stream to where it should be
        added = out[0] if isinstance(out, tuple) else out
        moved = edited(before[0] + added) - before[0]
        return (moved, *out[1:]) if isinstance(out, tuple) else moved

    def module(path):
        return block.get_submodule(path.split("/")[-1 if around else 0])

    if d.site.kind == "resid_mid":
        attention = module("self_attn/post_attention_layernorm")
        handles = [
            block.register_forward_pre_hook(remember, with_kwargs=True),
            attention.register_forward_hook(between),
        ]
    else:
        path, end = PLACES[d.site.kind]
        handles = [
            module(path).register_forward_pre_hook(input, with_kwargs=True)
            if end == "in"
            else module(path).register_forward_hook(output)
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def test_every_supported_family_is_held_to_transformers():
    assert {getattr(transformers, config).model_type for config, *_ in FAMILIES.values()} == set(SUPPORTED)


def test_same_tokens_as_hand_hooked_transformers(tiny64):
    """All kinds of sites, operations and positions, a row each, in one batch: read whole by hand, every token is the likeliest."""
    cases = [(kind, name, Positions.parse(on)) for kind in HOOK_NAMES for name in EDITS for on in ON]
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(len(cases))]
    ds = {kind: direction(tiny64, wb.Site(1, kind)) for kind in HOOK_NAMES}
    out = wb.generate(tiny64, prompts, [EDITS[name][0](ds[kind], on) for kind, name, on in cases], max_new_tokens=5)
    changed = 0
    for row, (kind, name, on) in enumerate(cases):
        ids = torch.tensor([[*out.prompt_token_ids[row], *out.token_ids[row]]])
        length, new = len(out.prompt_token_ids[row]), len(out.token_ids[row])
        with torch.no_grad(), hooked_by_hand(tiny64, ds[kind], EDITS[name][1], on, length):
            logits = tiny64.hf(ids, use_cache=False).logits
        assert tuple(logits[0, length - 1 : -1].argmax(-1).tolist()) == out.token_ids[row], (kind, name, str(on))
        assert out.finish[row] == "stop" or new == 5
        changed += out.token_ids[row] != plain_tokens(tiny64, prompts[row])
    assert changed > len(cases) / 4  # the edits are strong enough to be seen


@cache
def plain_tokens(model, prompt):
    return wb.generate(model, [prompt], max_new_tokens=5).token_ids[0]


def test_one_row_alone_is_the_row_in_its_batch(tiny64):
    steer = wb.add(direction(tiny64, wb.resid_post(1)), 0.8, on="prompt[-1] | response")
    together = wb.generate(tiny64, PROMPTS, steer, max_new_tokens=10)
    assert wb.generate(tiny64, PROMPTS[4:5], steer, max_new_tokens=10).token_ids[0] == together.token_ids[4]


def greedy(likeliest, stop_ids, new):
    """Of the likeliest token behind each token, what greedy decoding would have written: up to a stop, and so many at most."""
    ends = [i for i, token in enumerate(likeliest) if token in stop_ids]
    return tuple(likeliest[: min([new, *(end + 1 for end in ends)])])


def by_hand(model, prompt, written, d, coef, on, new):
    """Greedy tokens of plain transformers without cache: equal to what was written, if every token of that is the likeliest.

    A hook that knows the whole text reads it once: a token depends only on those before it.
    """
    ids = list(model.encode([prompt]).token_ids[0])
    with torch.no_grad(), hooked_by_hand(model, d, lambda x, v: x + coef * v, on, len(ids)):
        logits = model.hf(torch.tensor([[*ids, *written]]), use_cache=False).logits[0, len(ids) - 1 :]
    return greedy(logits.argmax(-1).tolist(), model.stop_ids, new)


@pytest.mark.parametrize("on", ["prompt", "response", "prompt[-1]", "all"])
def test_sixteen_rows_of_unequal_lengths_are_sixteen_rows_by_hand(tiny64, on):
    d = direction(tiny64, wb.resid_post(2))
    prompts = [" ".join(PROMPTS[i % 6].split()[: 1 + i % 5] * (1 + i % 3)) for i in range(16)]
    assert len(set(tiny64.encode(prompts).lengths)) >= 5
    out = wb.generate(tiny64, prompts, wb.add(d, -0.7, on=on), max_new_tokens=8, batch_size=16)
    expected = [
        by_hand(tiny64, prompt, written, d, -0.7, Positions.parse(on), 8)
        for prompt, written in zip(prompts, out.token_ids, strict=True)
    ]
    assert list(out.token_ids) == expected


@cache
def cached64(family):
    return tiny_model(family, "float64")


@settings(max_examples=25)
@given(
    family=st.sampled_from(sorted(FAMILIES)),
    rows=st.lists(
        st.tuples(st.sampled_from(PROMPTS), st.sampled_from([-0.9, 0.0, 0.6]), st.sampled_from(ON), st.integers(0, 2)),
        min_size=2,
        max_size=9,
    ),
    batch_size=st.integers(1, 9),
)
def test_a_packed_batch_equals_its_rows_alone(family, rows, batch_size):
    model = cached64(family)
    steers = [wb.add(direction(model, wb.resid_post(layer)), c, on=Positions.parse(on)) for _, c, on, layer in rows]
    prompts = [prompt for prompt, *_ in rows]
    packed = wb.generate(model, prompts, steers, max_new_tokens=8, batch_size=batch_size)
    for i, (prompt, steer) in enumerate(zip(prompts, steers, strict=True)):
        alone = wb.generate(model, [prompt], steer, max_new_tokens=8)
        assert alone.token_ids[0] == packed.token_ids[i]
        assert alone.text[0] == packed.text[i]


@pytest.mark.parametrize("kind", ["resid_pre", "resid_mid", "resid_post", "attn_out", "k", "z"])
def test_layers_below_the_first_edit_are_read_once_per_prompt_and_rows_stay_what_they_are(tiny64, kind):
    read = []
    handle = tiny64.hf.get_decoder().layers[0].register_forward_pre_hook(lambda _, args: read.append(len(args[0])))
    gate = direction(tiny64, wb.resid_post(0), seed=3)
    steers = [wb.add(direction(tiny64, getattr(wb, kind)(2 - i % 2)), c) for i, c in enumerate([0.4, -0.6, 0.9])]
    try:
        prompts = [prompt for prompt in PROMPTS[:4] for _ in steers]
        out = wb.generate(tiny64, prompts, steers * 4, max_new_tokens=6)
        assert read[0] == 4
        assert max(read) == 12
        read.clear()
        gated = [s.when(gate, above=0.0, read="prompt[-3:]") for s in steers]
        conditional = wb.generate(tiny64, prompts, gated * 4, max_new_tokens=6)
    finally:
        handle.remove()
    for written, applied in ((out, steers), (conditional, gated)):
        for i, steer in enumerate(applied):  # by itself it has each prompt once: nothing is shared
            assert written.token_ids[i :: len(applied)] == wb.generate(tiny64, PROMPTS[:4], steer, 6).token_ids


def test_rows_that_take_the_places_of_others_say_what_they_say_where_none_waits(tiny64, monkeypatch):
    d, gate = direction(tiny64, wb.resid_post(1)), direction(tiny64, wb.resid_post(0), seed=3)
    kinds = [
        wb.add(d, 0.8),
        wb.Steer(),
        wb.add(direction(tiny64, wb.z(2), 5), 0.9, on="prompt[-1] | response[:3]").when(gate, above=0.0),
        wb.ablate(direction(tiny64, wb.resid_mid(2), 6), on="response"),
        wb.clamp(direction(tiny64, wb.mlp_out(0), 7), low=0.5)
        + wb.add(d, -0.4).when(gate, above=0.0, read="prompt[-3:]"),
    ]
    rows = [(prompt, steer) for steer in kinds for prompt in PROMPTS]
    prompts, steers = [prompt for prompt, _ in rows], [steer for _, steer in rows]
    joined, real = [], Writer.join
    monkeypatch.setattr(Writer, "join", lambda self, other: joined.append((len(self), len(other))) or real(self, other))
    how = {"max_new_tokens": 18, "decided": lambda text: len(text) % 2 == 0}
    packed = wb.generate(tiny64, prompts, steers, batch_size=6, **how)
    assert len(joined) >= 3
    assert all(a > 0 and b > 0 and a + b <= 6 for a, b in joined)
    assert len({len(ids) for ids in packed.token_ids}) >= 3
    taken = len(joined)
    apart = [wb.generate(tiny64, PROMPTS, steer, **how) for steer in kinds]
    assert len(joined) == taken  # there nobody waits for a place
    assert list(packed.token_ids) == [ids for one in apart for ids in one.token_ids]
    assert list(packed.finish) == [end for one in apart for end in one.finish]


def test_zero_and_sign_identities_hold_bit_for_bit(tiny):
    d = direction(tiny, wb.resid_post(1))
    kwargs = {"max_new_tokens": 8, "batch_size": 3}
    plain = wb.generate(tiny, PROMPTS, **kwargs)
    assert wb.generate(tiny, PROMPTS, wb.add(d, 0), **kwargs).token_ids == plain.token_ids
    minus = wb.generate(tiny, PROMPTS, wb.add(-d, 0.7), **kwargs)
    assert minus.token_ids == wb.generate(tiny, PROMPTS, wb.add(d, -0.7), **kwargs).token_ids
    assert minus.token_ids != plain.token_ids


def test_steering_changes_nothing_for_later_runs(tiny):
    plain = wb.generate(tiny, PROMPTS, max_new_tokens=8)
    wb.generate(tiny, PROMPTS, wb.ablate(direction(tiny, wb.attn_out(2))), max_new_tokens=8)
    assert wb.generate(tiny, PROMPTS, max_new_tokens=8).token_ids == plain.token_ids


def test_responses_hold_no_prompt_text(tiny):
    marker = "garlic"
    out = wb.generate(tiny, [f"how do i {marker} {marker}"], system="winter tea", system_in_user=True, max_new_tokens=6)
    ids = tiny.encode([f"how do i {marker} {marker}"], system="winter tea", system_in_user=True).token_ids[0]
    assert out.prompt_lengths == (len(ids),)
    assert len(out.token_ids[0]) <= 6
    assert out.text[0] == tiny.tokenizer.decode(
        [i for i in out.token_ids[0] if i not in tiny.stop_ids], skip_special_tokens=True
    )


def test_completions_do_not_show_text_unless_asked(llama):
    out = wb.generate(llama, PROMPTS[:2], max_new_tokens=4)
    assert out.text[0] not in repr(out)
    assert "text" not in out.frame()
    assert list(out.frame(show_text=True)["text"]) == list(out.text)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [([], "is empty"), (["  "], "expected text"), ("one string", "got one string"), ([None], "expected text")],
)
def test_empty_prompts_are_refused(llama, prompts, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.generate(llama, prompts)
    with pytest.raises(wb.WorkbenchError, match="at least 1"):
        wb.generate(llama, ["hello"], max_new_tokens=0)


def test_first_logits_are_those_that_the_first_token_is_taken_from(tiny64):
    d = direction(tiny64, wb.resid_post(1))
    steers = [wb.Steer(), wb.add(d, 1.0), wb.ablate(d, on=wb.PROMPT[-1])] * 2
    done = wb.generate(tiny64, PROMPTS, steers, max_new_tokens=1)
    seen = set()
    for rows, logits in first_logits(tiny64, tiny64.encode(PROMPTS), steers, batch_size=4):
        seen |= set(rows)
        assert [done.token_ids[row][0] for row in rows] == logits.argmax(-1).tolist()
    assert seen == set(range(len(PROMPTS)))
    with pytest.raises(wb.WorkbenchError, match="2 Steers for 6 prompts"):
        next(first_logits(tiny64, tiny64.encode(PROMPTS), steers[:2]))


def without_numbers(model):
    """A Steer under which the model returns NaN."""
    return wb.add(direction(model, wb.resid_post(1)), 1e38) + wb.add(direction(model, wb.resid_post(1), 1), -1e38)


def test_a_row_that_turns_to_nan_is_an_error_that_names_it(tiny):
    steers = [wb.Steer(), without_numbers(tiny), wb.Steer()]
    with pytest.raises(
        wb.WorkbenchError,
        match=r"returned NaN for 1 of 3 rows, first for prompt 'prompts?-2'(, at token \d+,)? under add.*dose",
    ):
        wb.generate(tiny, PROMPTS[:3], steers, max_new_tokens=4)
    with pytest.raises(wb.WorkbenchError, match="returned NaN for 1 of 3 rows"):
        wb.generate(tiny, PROMPTS[:3], steers, max_new_tokens=4, temperature=1.0)


def test_a_row_that_fails_leaves_its_neighbours_as_they_are(tiny64):
    bad = without_numbers(tiny64)
    late = wb.add(direction(tiny64, wb.resid_post(1)), 1e300, on="response[2:]")  # fails in the middle of a response
    late += wb.add(direction(tiny64, wb.resid_post(1), 1), 1e300, on="response[2:]")
    steers = [bad, wb.Steer(), late, wb.add(direction(tiny64, wb.resid_post(2)), 0.5)]
    chats = tiny64.encode(PROMPTS[:4])
    for size in (1, 2, 4):
        tokens = continue_tokens(tiny64, chats, steers, 8, size, progress=False)
        alone = wb.generate(tiny64, [PROMPTS[1], PROMPTS[3]], [steers[1], steers[3]], max_new_tokens=8)
        assert (tokens[1], tokens[3]) == alone.token_ids
        assert tokens[0] == (FAILED,)
        assert tokens[2][-1] == FAILED or tokens[2][-1] in tiny64.stop_ids


def test_chats_go_on_behind_responses_of_several_lengths(llama):
    chats = llama.encode(PROMPTS[:3]).followed_by([(7,), (8, 9, 10, 11), ()])
    together = continue_tokens(llama, chats, [wb.Steer()] * 3, 6, progress=False)
    alone = [continue_tokens(llama, chats.take([row]), [wb.Steer()], 6, progress=False) for row in range(3)]
    assert together == [tokens for (tokens,) in alone]


#: what reads a model without writing anything
READERS = {
    "refusal_margin": lambda m, s: wb.refusal_margin(m, PROMPTS[:2], s),
    "cross_entropy": lambda m, s: wb.cross_entropy(m, [(PROMPTS[0], "red bird"), (PROMPTS[1], "tea")], s),
    "kl_per_token": lambda m, s: kl_per_token(m, [(PROMPTS[0], "red bird"), (PROMPTS[1], "tea")], s),
    "lens": lambda m, s: wb.lens(m, PROMPTS[:2], steer=s, k=1),
    "attribute": lambda m, s: wb.attribute(m, PROMPTS[:2], direction(m, wb.resid_post(2)), steer=s, random=1),
    "patch": lambda m, s: wb.patch(m, PROMPTS[:2], source=s, layers=[2]),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_model_that_returns_nan_is_an_error_wherever_it_is_read(llama, reader):
    with pytest.raises(
        wb.WorkbenchError, match=r"returned NaN for \d of \d rows, first for (prompt|row) .* under add.*steer less"
    ):
        READERS[reader](llama, without_numbers(llama))


def test_a_dose_that_turns_to_nan_ends_no_sweep_that_screens_or_measures_a_divergence(llama, tmp_path):
    arms = [wb.BASELINE, wb.Arm(without_numbers(llama), "direction", 1, 9.0)]
    rows = wb.sweep(llama, PROMPTS[:2], arms, [wb.refusal, kl], tmp_path, max_new_tokens=2, screen="margin")
    failed = rows[rows["arm"] == arms[1].name]
    assert set(failed["finish"]) == {"failed"}
    assert failed["value"].isna().all()
    assert set(failed["reason"]) == {"the model returned NaN"}


def test_one_token_without_a_number_leaves_no_mean_of_the_others(llama):
    late = wb.add(direction(llama, wb.resid_post(1)), 1e38, on="response[1:]")
    late += wb.add(direction(llama, wb.resid_post(1), 1), -1e38, on="response[1:]")
    told = kl.values(llama, [PROMPTS[0]] * 2, ["red bird tea", ""], [late, wb.Steer()])
    assert [value != value for value in told] == [True, True]
