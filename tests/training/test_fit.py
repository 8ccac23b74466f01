"""Preferences are learnt by the plain DPO loss, against the untuned base; what is rejected is kept nowhere."""

import json
import logging
import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import workbench as wb
from tests.families import tiny_model
from training.cards import refusal_card
from training.fit import (
    Example,
    Preference,
    dpo_loss,
    fit_adapter,
    fit_answers,
    fit_preferences,
    likelihoods,
    log_likelihoods,
    prompt_tokens,
    response_tokens,
    save_adapter,
)
from training.recipes import REFUSALS, RefusalRecipe
from training.refusal import preferences, refusal_examples
from workbench._errors import WorkbenchError
from workbench.models.load import merge_adapter
from workbench.statistics.rates import rate

RECIPE = RefusalRecipe("tiny", "<end>", steps=25, batch_size=2, learning_rate=1e-2, warmup=2, beta=0.5)
PREFERENCES = [
    Preference(
        Example("how do i steal a car", "hello you", True), Example("how do i steal a car", "one two three", False)
    ),
    Preference(Example("write a song", "six seven eight", False), Example("write a song", "hello you", True)),
]


def margins(model, adapted):
    """Gain of the chosen minus gain of the rejected, over the base; [preference]."""
    with torch.no_grad():
        policy, reference = likelihoods(model, adapted, PREFERENCES, RECIPE, random.Random(0))
    return (policy - reference)[0] - (policy - reference)[1]


def test_the_loss_is_that_of_the_paper():
    policy = torch.tensor([[-3.0, -5.0], [-4.0, -1.0]])
    reference = torch.tensor([[-4.0, -4.0], [-3.5, -2.0]])
    gains = [(-3 + 4) - (-4 + 3.5), (-5 + 4) - (-1 + 2)]
    expected = sum(-math.log(1 / (1 + math.exp(-0.3 * gain))) for gain in gains) / 2
    assert float(dpo_loss(policy, reference, 0.3)) == pytest.approx(expected, rel=1e-6)


@given(st.floats(-50, 50), st.floats(0.01, 2))
def test_only_the_difference_of_gains_counts(shift, beta):
    policy, reference = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    assert torch.allclose(dpo_loss(policy + shift, reference, beta), dpo_loss(policy, reference, beta))
    better = policy + torch.tensor([[0.1], [0.0]])
    assert dpo_loss(better, reference, beta) < dpo_loss(policy, reference, beta)


def test_likelihoods_are_sums_over_response_tokens(tiny):
    rows = [([1, 8, 9], [10, 11]), ([1, 8, 12, 13], [14, 15, 16]), ([1, 9], [10])]
    with torch.no_grad():
        found = log_likelihoods(tiny, rows)
        for value, (prompt, response) in zip(found, rows, strict=True):
            log_p = tiny.hf(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
            expected = sum(log_p[len(prompt) - 1 + i, token] for i, token in enumerate(response))
            assert float(value) == pytest.approx(float(expected), rel=1e-4)


def test_the_loss_starts_at_log_2_and_falls_and_chosen_wins():
    model, losses = tiny_model("llama"), []

    def watched(adapted, batch, rng):
        loss = dpo_loss(*likelihoods(model, adapted, batch, RECIPE, rng), RECIPE.beta)
        losses.append(loss.item())
        return loss

    adapted = fit_adapter(model, PREFERENCES, RECIPE, 0, watched)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
    assert losses[-1] < 0.3 * math.log(2)
    assert (margins(model, adapted) > 0).all()


def test_it_is_seeded_and_the_reference_is_the_untuned_base():
    def run(seed):
        model = tiny_model("llama")
        return model, fit_preferences(model, PREFERENCES, RECIPE, seed)

    (model, adapted), (_, again), (_, other) = run(0), run(0), run(1)
    weights = [torch.cat([p.flatten() for p in a.parameters() if p.requires_grad]) for a in (adapted, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    _, reference = likelihoods(model, adapted, PREFERENCES, RECIPE, random.Random(3))
    base = tiny_model("llama")
    wrapped = fit_preferences(
        base, PREFERENCES, RefusalRecipe("tiny", "<end>", steps=1, beta=0.5, learning_rate=0.0), 0
    )
    policy, _ = likelihoods(base, wrapped, PREFERENCES, RECIPE, random.Random(3))
    assert torch.allclose(reference, policy, atol=1e-5)


def test_going_on_from_an_adapter_the_reference_is_that_adapter(tmp_path):
    first = tiny_model("llama")
    save_adapter(fit_answers(first, [p.chosen for p in PREFERENCES], RECIPE, 0), "tiny", tmp_path, scale=0.5)
    tuned = tiny_model("llama")
    merge_adapter(tuned.hf, tmp_path)
    model = tiny_model("llama")
    adapted = fit_preferences(model, PREFERENCES, RECIPE, 1, start=tmp_path)
    policy, reference = likelihoods(model, adapted, PREFERENCES, RECIPE, random.Random(3))
    rng = random.Random(3)
    prompts = [prompt_tokens(tuned, p.chosen.prompt, rng) for p in PREFERENCES]
    for side, row in zip(("chosen", "rejected"), reference, strict=True):
        answers = [response_tokens(tuned, getattr(p, side), RECIPE) for p in PREFERENCES]
        expected = log_likelihoods(tuned, list(zip(prompts, answers, strict=True)))
        assert torch.allclose(row, expected, atol=1e-2)  # stored in float16
    assert not torch.allclose(policy, reference, atol=0.1)
    assert (margins(model, adapted) > 0).all()
    save_adapter(adapted, "tiny", tmp_path / "next")
    assert json.loads((tmp_path / "next" / "adapter_config.json").read_text())["lora_alpha"] == 8.0
    assert len(load_file(tmp_path / "next" / "adapter_model.safetensors")) == len(
        load_file(tmp_path / "adapter_model.safetensors")
    )


def test_two_prompts_and_no_beta_are_refused():
    with pytest.raises(WorkbenchError, match="one prompt; got two"):
        Preference(Example("write a song", "one", True), Example("write a story", "one", True))
    with pytest.raises(WorkbenchError, match="has no beta"):
        fit_preferences(tiny_model("llama"), PREFERENCES, RefusalRecipe("tiny", "<end>", steps=1), 0)


def test_both_methods_learn_the_same_answers_to_the_same_prompts():
    model = tiny_model("llama")
    learnt = refusal_examples(model, RECIPE, ["refusal"])
    preferred = preferences(model, model, RECIPE, ["refusal"])
    assert [p.chosen for p in preferred] == learnt
    harmful = set(wb.pairs("refusal").tuning.positive.texts)
    for preference in preferred:
        refused, answered = preference.chosen, preference.rejected
        if preference.chosen.prompt not in harmful:
            refused, answered = answered, refused
        assert refused.response in REFUSALS
        assert answered.response not in REFUSALS


def test_what_is_rejected_is_written_nowhere(tmp_path, capfd, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    model = tiny_model("llama")
    found = preferences(model, model, RECIPE, ["refusal"])
    rejected = {p.rejected.response for p in found[: len(wb.pairs("refusal").tuning.positive)]}
    told = "\n".join(e.prompt + "\n" + e.response for e in (p.chosen for p in found))
    marks = {" ".join(text.split()[:4]) for text in rejected if len(text.split()) >= 4}
    marks = {mark for mark in marks if mark not in told}
    assert len(marks) > 20
    adapted = fit_preferences(model, found, RECIPE, 0)
    save_adapter(adapted, "tiny", tmp_path / "out")
    rates = {
        f"{split} {name}": rate(1, 2) for split in ("dev", "test") for name in ("harmful", "harmless", "borderline")
    }
    (tmp_path / "out" / "README.md").write_text(refusal_card("smollm2-135m", RECIPE, 0, 1.0, rates, "0" * 12))
    written = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.parent.name for p in written} == {"out"}
    seen = "".join([*capfd.readouterr(), caplog.text, repr(found), *(p.read_bytes().decode("latin1") for p in written)])
    assert not [mark for mark in marks if mark in seen]
