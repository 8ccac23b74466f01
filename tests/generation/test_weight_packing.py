"""Prepacked weights: products are the same to the last bit, edits are seen, and the module is as it was afterwards."""

import pytest
import torch

import workbench as wb
from tests.families import PROMPTS, tiny_model
from tests.generation.test_steer_hooks import direction
from workbench.generation.weight_packing import PrepackedWeights


@pytest.fixture(scope="module")
def tiny16():
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor does not multiply bfloat16")
    return tiny_model("llama", "bfloat16")


@pytest.mark.parametrize("rows", [1, 3, 16])
def test_logits_are_the_same_to_the_last_bit(tiny16, rows):
    ids, mask = tiny16.encode((PROMPTS * 3)[:rows]).padded()
    plain = tiny16.hf(ids, attention_mask=mask).logits
    packed = PrepackedWeights(tiny16, rows=8, new=48)
    with packed.used(), torch.no_grad():
        assert len(packed.modules) == 7 * tiny16.n_layers + 1
        assert torch.equal(tiny16.hf(ids, attention_mask=mask).logits, plain)
    assert not any("forward" in vars(module) for module in tiny16.hf.modules())


def test_completions_are_those_of_plain_products(tiny16, monkeypatch):
    d = direction(tiny16, wb.z(1))
    steers = [wb.add(d, 0.1 * i) for i in range(len(PROMPTS))]
    packed = wb.generate(tiny16, PROMPTS, steers, max_new_tokens=20, batch_size=4)
    monkeypatch.setattr("workbench.generation.weight_packing._FROM_TOKENS", 1000)
    assert wb.generate(tiny16, PROMPTS, steers, max_new_tokens=20, batch_size=4).token_ids == packed.token_ids


def test_an_edited_weight_is_packed_again_and_an_own_forward_is_left_alone():
    model = tiny_model("llama", "bfloat16")
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor does not multiply bfloat16")
    ids, _ = model.encode(PROMPTS[:1]).padded()
    own = model.hf.model.layers[0].mlp.up_proj
    forward = own.forward
    own.forward = lambda x: 2 * forward(x)
    packed = PrepackedWeights(model, rows=8, new=48)
    for scale in (1.0, 1.5):
        model.hf.model.layers[1].mlp.down_proj.weight.mul_(scale)
        with packed.used(), torch.no_grad():
            seen = model.hf(ids).logits
        assert torch.equal(seen, model.hf(ids).logits)


def test_nothing_is_packed_where_it_does_not_pay(tiny16, tiny):
    assert PrepackedWeights(tiny16, rows=8, new=2).modules == []  # as many passes as packing costs
    assert PrepackedWeights(tiny, rows=8, new=48).modules == []  # float32
