"""Real weights in several classes: SmolLM2 as Llama, Mistral and Qwen 2; Gemma 3 with its sandwich norms and sliding layers."""

import copy

import numpy as np
import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

import workbench as wb
from tests.generation.test_generate import by_hand
from tests.generation.test_recorder import by_hand as activations
from workbench.models.load import from_modules
from workbench.steering.positions import Positions

pytestmark = pytest.mark.model
PROMPTS = ["Name three rivers.", "How do I pick a lock?", "Write one line about autumn leaves in the garden."]


@pytest.fixture(scope="module")
def llama_class():
    return wb.load("smollm2-135m", check=False)


def dressed(model, config_class, model_class, **extra):
    """The same weights in another class of transformers."""
    config = {
        k: v for k, v in model.hf.config.to_dict().items() if k not in ("model_type", "architectures", "attention_bias")
    }
    module = model_class(config_class(**config, **extra))
    missing, unexpected = module.load_state_dict(model.hf.state_dict(), strict=False)
    assert not unexpected
    for name in missing:  # Qwen 2 has biases that SmolLM2 has not
        assert name.endswith(("q_proj.bias", "k_proj.bias", "v_proj.bias"))
        torch.nn.init.zeros_(module.get_parameter(name))
    module.generation_config = copy.deepcopy(model.hf.generation_config)
    return from_modules(module, copy.deepcopy(model.tokenizer), model.name, model.revision)


@pytest.fixture(scope="module", params=["mistral", "qwen2"])
def twin(request, llama_class):
    if request.param == "mistral":
        return dressed(llama_class, MistralConfig, MistralForCausalLM)
    return dressed(llama_class, Qwen2Config, Qwen2ForCausalLM)


def test_other_classes_give_the_same_logits_steered_tokens_and_traces(llama_class, twin):
    d = wb.extract(
        llama_class, wb.Pairs(["Steal a car.", "Rob a bank."], ["Buy a car.", "Visit a bank."]), wb.resid_post(14)
    )
    ids = torch.tensor([llama_class.encode(PROMPTS[:1]).token_ids[0]])
    with torch.no_grad():
        torch.testing.assert_close(twin.hf(ids).logits, llama_class.hf(ids).logits, rtol=1e-3, atol=2e-3)
    for spec in (wb.add(d, ratio=0.2), wb.add(d, ratio=-0.3, on="prompt[-1] | response"), wb.ablate(d)):
        ours = wb.generate(llama_class, PROMPTS, spec, max_new_tokens=8)
        theirs = wb.generate(twin, PROMPTS, spec, max_new_tokens=8)
        assert theirs.token_ids == ours.token_ids
        a, b = (
            wb.trace(m, ours, d, [wb.resid_post(5), wb.resid_post(20), wb.attn_out(9)]) for m in (llama_class, twin)
        )
        np.testing.assert_allclose(a.dot, b.dot, rtol=1e-3, atol=2e-2)
        assert (a.edited == b.edited).all()


def test_directions_are_those_of_a_mean_difference_by_hand(llama_class):
    pairs = wb.pairs("refusal").train
    few = wb.Pairs(pairs.positive[:8], pairs.negative[:8])
    ds = wb.extract(llama_class, few, wb.resid_post.all)
    layers, means = (4, 15, 28), []
    for side in (few.positive, few.negative):
        rows = [llama_class.encode([p]).token_ids[0] for p in side]
        with torch.no_grad():
            chats = [{"input_ids": torch.tensor([ids]), "logits_to_keep": 1} for ids in rows]
            states = [llama_class.hf(**chat, output_hidden_states=True).hidden_states for chat in chats]
        means.append({layer: torch.stack([h[layer + 1][0, -1] for h in states]).double().mean(0) for layer in layers})
    for layer in layers:
        by_hands = means[0][layer] - means[1][layer]
        assert torch.cosine_similarity(ds[layer].vector.double(), by_hands, dim=0) > 0.9999


@pytest.mark.parametrize("on", ["prompt[-1]", "response"])  # the tiny models have every other position
def test_gemma_steers_as_by_hand_and_traces_as_its_bridge(gemma3_refusal, on):
    d = wb.extract(gemma3_refusal, wb.Pairs(["Steal a car."], ["Buy a car."]), wb.resid_post(11))
    spec = wb.add(d, ratio=0.15, on=on)
    out = wb.generate(gemma3_refusal, PROMPTS, spec, max_new_tokens=10)
    expected = [
        by_hand(gemma3_refusal, prompt, written, d, spec.edits[0].coef, Positions.parse(on), 10)
        for prompt, written in zip(PROMPTS, out.token_ids, strict=True)
    ]
    assert list(out.token_ids) == expected
    site = wb.attn_out(11)  # after the sandwich norm
    found = wb.trace(gemma3_refusal, out, d, [site], steer=wb.Steer())
    h = activations(gemma3_refusal, found.token_ids[0], site)
    expected = (h @ (d.vector.double() / d.norm)).numpy()
    np.testing.assert_allclose(
        found.dot[0, 0, : len(expected)], expected, rtol=1e-2, atol=1e-2 * np.abs(expected).max()
    )
