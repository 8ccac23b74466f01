import pytest
import torch

import workbench as wb
from tests.families import PROMPTS, WORDS
from workbench.activations import means

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
