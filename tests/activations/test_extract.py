"""Directions are the hand-written differences, keep their provenance, and can leave massive dimensions out."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.families import PROMPTS, WORDS, tiny_model
from workbench.activations.collect import gather, means
from workbench.activations.extract import massive, massive_dimensions

PAIRS = wb.Pairs(PROMPTS[:3], PROMPTS[3:])


def by_hand(model, prompts, layer, position):
    rows = []
    for ids in model.encode(prompts).token_ids:
        with torch.no_grad():
            states = model.hf(torch.tensor([list(ids)]), output_hidden_states=True).hidden_states
        rows.append(states[layer + 1][0, position].double())
    return torch.stack(rows).mean(0)


def test_mean_difference_is_the_hand_written_one(tiny):
    layer = 1  # hidden_states[layer + 1] is resid_post(layer): no off-by-one
    d = wb.extract(tiny, PAIRS, at=wb.resid_post(layer), batch_size=2)
    expected = by_hand(tiny, PROMPTS[:3], layer, -1) - by_hand(tiny, PROMPTS[3:], layer, -1)
    cosine = torch.cosine_similarity(d.vector.double(), expected, dim=0)
    assert cosine > 0.999999
    assert d.norm == pytest.approx(float(expected.norm()), rel=1e-4)


def test_all_layers_in_one_pass_equal_one_at_a_time_and_any_batch_size(tiny):
    ds = wb.extract(tiny, PAIRS, at=wb.mlp_out.all, read=wb.PROMPT[2:] | wb.PROMPT[0], batch_size=4)
    assert ds.layers == tuple(range(tiny.n_layers))
    for layer in ds.layers:
        one = wb.extract(tiny, PAIRS, at=wb.mlp_out(layer), read=wb.PROMPT[2:] | wb.PROMPT[0], batch_size=1)
        torch.testing.assert_close(ds[layer].vector, one.vector, rtol=1e-3, atol=1e-5)
        assert ds[layer].activation_norm == pytest.approx(one.activation_norm, rel=1e-5)


def test_activation_norm_leaves_out_the_first_token(llama):
    encoded = llama.encode(PROMPTS[:2])
    site = wb.resid_post(1)
    norms = []
    for ids in encoded.token_ids:
        with torch.no_grad():
            states = llama.hf(torch.tensor([list(ids)]), output_hidden_states=True).hidden_states[2][0]
        norms += states[1:].norm(dim=-1).tolist()
    assert means(llama, encoded, [site], wb.PROMPT[-1])[site].norm == pytest.approx(sum(norms) / len(norms), rel=1e-5)


def test_a_planted_direction_is_recovered_with_its_sign(llama):
    """Positive prompts carry a word that negative ones do not; its embedding difference is what layer 0 sees first."""
    words = [w for w in WORDS if w not in ("poison", "tea", "hello")][:16]
    pairs = wb.Pairs([f"how do i {w} poison" for w in words], [f"how do i {w} tea" for w in words])
    d = wb.extract(llama, pairs, at=wb.resid_pre(0), read=wb.PROMPT[-4])  # the last word; the template follows it
    embed, ids = llama.hf.get_input_embeddings().weight, llama.tokenizer.get_vocab()
    planted = embed[ids["poison"]] - embed[ids["tea"]]
    assert torch.cosine_similarity(d.vector, planted, dim=0) > 0.9999
    assert -d != d


def test_provenance_is_kept(llama):
    d = wb.extract(llama, PAIRS, at=wb.resid_post(1))
    assert (d.model, d.method, d.n_positive, d.n_negative, str(d.read)) == (
        "tiny-llama",
        "mean_diff",
        3,
        3,
        "prompt[-1]",
    )
    other = wb.extract(llama, wb.Pairs(PROMPTS[:2], PROMPTS[3:]), at=wb.resid_post(1))
    assert d.prompts != other.prompts


def test_bad_input_is_refused_before_any_compute(llama):
    cases = {
        "unknown method 'mean'": {"method": "mean"},
        "or a function of two arrays": {"method": 3},
        "are of one kind of site": {"at": [wb.resid_post(0), wb.mlp_out(1)]},
        "names no layer": {"at": wb.resid_post},
        "which has 3 layers": {"at": wb.resid_post(3)},
        "outside a prompt": {"read": wb.PROMPT[-40]},
        "means no token": {"read": wb.RESPONSE},
    }
    for message, change in cases.items():
        with pytest.raises(wb.WorkbenchError, match=message):
            wb.extract(llama, PAIRS, **({"at": wb.resid_post(1)} | change))
    with pytest.raises(wb.WorkbenchError, match="extract from one of them"):
        wb.extract(llama, wb.pairs("refusal"), at=wb.resid_post(1))


def test_every_method_finds_a_planted_direction_in_a_model_and_log002_variants_do_not():
    """One word's embedding is another's plus a known vector; attention brings in the words before as noise."""
    model, rng = tiny_model("llama"), np.random.default_rng(0)
    ids, planted = model.tokenizer.get_vocab(), torch.randn(32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        embed = model.hf.get_input_embeddings().weight
        embed[ids["poison"]] = embed[ids["tea"]] + 6 * planted / planted.norm()
        model.hf.model.layers[0].self_attn.o_proj.weight.mul_(0.2)
    words = [w for w in WORDS if w not in ("poison", "tea", "hello")]
    opening = [" ".join(rng.choice(words, 3, replace=False)) for _ in range(160)]
    pairs = wb.Pairs([f"{text} poison" for text in opening[:80]], [f"{text} tea" for text in opening[80:]])
    truth = wb.Direction(planted, wb.resid_mid(0), model.name)
    found = {m: wb.extract(model, pairs, truth.site, wb.PROMPT[-4], method=m).cosine(truth) for m in wb.METHODS}
    least = {"mean_diff": 0.97, "probe": 0.9, "gradient": 0.95, "pca": 0.97, "ica": 0.95, "lda": 0.7}
    assert {m: found[m] for m in least if found[m] < least[m]} == {}
    assert max(abs(found[m]) for m in ("log002_pca", "log002_ica", "random")) < 0.4
    turned = wb.Pairs(pairs.negative, pairs.positive)
    for method in least:
        assert wb.extract(model, turned, truth.site, wb.PROMPT[-4], method=method).cosine(truth) < -least[method]


def test_a_function_of_ones_own_is_a_method(llama):
    def medians(positive, negative):
        assert positive.dtype == torch.float64
        return positive.median(0).values - negative.median(0).values

    site = wb.resid_post(1)
    d = wb.extract(llama, PAIRS, at=site, method=medians)
    rows = [gather(llama, side, site)[site].values.double() for side in (PAIRS.positive, PAIRS.negative)]
    torch.testing.assert_close(d.vector, medians(*rows).float())
    assert d.method == "medians"
    assert d.activation_norm == pytest.approx(wb.extract(llama, PAIRS, at=site).activation_norm)


def test_a_registered_method_and_a_partial_are_named(llama, monkeypatch):
    monkeypatch.setitem(wb.METHODS, "twice", lambda p, n: 2 * wb.METHODS["mean_diff"](p, n))
    once, twice = (wb.extract(llama, PAIRS, at=wb.resid_post(1), method=name) for name in ("mean_diff", "twice"))
    assert twice.method == "twice"
    torch.testing.assert_close(twice.vector, 2 * once.vector, rtol=1e-4, atol=1e-4)
    seeded = wb.extract(llama, PAIRS, at=wb.resid_post(1), method=partial(wb.METHODS["random"], seed=3))
    assert seeded.method == "random(seed=3)"
    assert abs(seeded.cosine(wb.extract(llama, PAIRS, at=wb.resid_post(1), method="random"))) < 0.9


@pytest.mark.parametrize("made", [torch.ones(3), torch.ones(1, 32)])
def test_a_method_that_returns_no_vector_is_refused(llama, made):
    with pytest.raises(wb.WorkbenchError, match="method <lambda> returned shape"):
        wb.extract(llama, PAIRS, at=wb.resid_post(1), method=lambda p, n: made)


@given(seed=st.integers(0, 200), width=st.integers(50, 3000))
def test_ordinary_dimensions_are_not_massive_and_a_planted_one_is(seed, width):
    mean = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    assert massive(mean) == ()
    mean[width // 2] = -40.0
    assert massive(mean) == (width // 2,)
    assert massive(mean * 1e6) == massive(mean)


def test_no_activation_at_all_has_no_massive_dimension():
    assert massive(torch.zeros(8)) == ()


@pytest.fixture(scope="module")
def loud():
    """A tiny model with one dimension of the stream that is huge in every text."""
    model = tiny_model("llama")
    model.hf.model.embed_tokens.weight[:, 5] += 300.0
    return model


def test_a_massive_dimension_is_reported_with_its_size(loud):
    found = massive_dimensions(loud, PROMPTS, at=wb.resid_post.all)
    assert list(found["dimension"]) == [5, 5, 5]
    assert list(found["layer"]) == [0, 1, 2]
    assert found["mean"].between(250, 350).all()
    assert (found["times"] > 20).all()
    assert massive_dimensions(loud, PROMPTS, at=wb.z(1)).empty


@pytest.mark.parametrize("method", ["mean_diff", "probe", "random"])
def test_cleaning_leaves_massive_dimensions_out_and_says_so(loud, method):
    pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:])
    plain = wb.extract(loud, pairs, at=wb.resid_post(1), method=method)
    cleaned = wb.extract(loud, pairs, at=wb.resid_post(1), method=method, clean=True)
    assert plain.vector[5] != 0
    assert cleaned.vector[5] == 0
    assert cleaned.method == f"{method} cleaned(5)"
    assert cleaned.activation_norm == plain.activation_norm  # the dose is of the activations as they are
    if method == "mean_diff":
        others = [i for i in range(len(plain.vector)) if i != 5]
        assert torch.equal(cleaned.vector[others], plain.vector[others])


def test_cleaning_where_nothing_is_massive_changes_nothing_but_the_name(llama):
    pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:])
    plain, cleaned = (wb.extract(llama, pairs, at=wb.resid_post(1), clean=clean) for clean in (False, True))
    assert torch.equal(plain.vector, cleaned.vector)
    assert cleaned.method == "mean_diff cleaned()"


@pytest.mark.parametrize("kind", [wb.resid_pre, wb.q, wb.k, wb.v])
def test_layers_where_all_prompts_are_alike_are_left_out_and_said(tiny, caplog, kind):
    """At the last prompt token, layer 0 has seen nothing but that token, which is the same in every chat."""
    pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:5])  # means over 3 and over 2 differ by rounding there
    ds = wb.extract(tiny, pairs, at=kind.all)
    assert ds.layers == tuple(range(1, tiny.n_layers))
    assert f"left out: the two sides are the same at {kind(0)!r}" in caplog.text
    assert wb.shuffled(tiny, pairs, at=kind.all)[0].layers == ds.layers
    assert ds[1] == wb.extract(tiny, pairs, at=kind(1))
    with pytest.raises(wb.WorkbenchError, match="the same token in every prompt"):
        wb.extract(tiny, pairs, at=kind(0))
    assert wb.extract(tiny, pairs, at=kind.all, read="prompt").layers == tuple(range(tiny.n_layers))


def test_a_list_of_layers_gives_their_directions(llama):
    pairs = wb.Pairs(PROMPTS[:3], PROMPTS[3:])
    listed = wb.extract(llama, pairs, at=[wb.resid_post(2), "resid_post(0)"])
    assert listed.items == wb.extract(llama, pairs, at=wb.resid_post.all).select([2, 0]).items
    assert wb.extract(llama, pairs, at=[wb.resid_post(1)]).layers == (1,)
