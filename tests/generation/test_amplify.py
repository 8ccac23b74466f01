"""Contrastive logit amplification: by hand on every family, and the no-op of log 000."""

import numpy as np
import pytest
import torch

import workbench as wb
from tests.families import PROMPTS, tiny_model
from tests.generation.test_generate import greedy
from workbench.generation.amplify import _amplified

BASELINE = "hello please be brief"


def by_hand(model, prompt, written, alpha, new, top=None):
    """Greedy tokens under amplified logits, from two full passes and no cache; of the target's likeliest alone.

    They equal what was written, if every token of that is the likeliest behind those before it.
    """
    target, baseline = model.encode([prompt, BASELINE]).token_ids
    with torch.no_grad():
        t, b = (
            model.hf(torch.tensor([[*ids, *written]]), use_cache=False).logits[0, len(ids) - 1 :]
            for ids in (target, baseline)
        )
    best = t.argsort(descending=True)[:, :top]
    chosen = (t + alpha * (t - b)).gather(1, best).argmax(-1, keepdim=True)
    return greedy(best.gather(1, chosen)[:, 0].tolist(), model.stop_ids, new)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0, -0.5])
def test_every_step_is_amplified_with_the_same_continuation(tiny64, alpha):
    out = wb.amplify(tiny64, PROMPTS, BASELINE, alpha, max_new_tokens=8, batch_size=4)
    assert out.token_ids == tuple(
        by_hand(tiny64, p, ids, alpha, 8) for p, ids in zip(PROMPTS, out.token_ids, strict=True)
    )


def test_an_alpha_per_row_is_that_alpha_for_the_row(tiny64):
    alphas = [0.0, 0.5, 2.0]
    prompts = [prompt for _ in alphas for prompt in PROMPTS]
    out = wb.amplify(tiny64, prompts, BASELINE, [a for a in alphas for _ in PROMPTS], max_new_tokens=8, batch_size=5)
    apart = [wb.amplify(tiny64, PROMPTS, BASELINE, a, max_new_tokens=8).token_ids for a in alphas]
    assert out.token_ids == sum(apart, ())
    assert out.prompts == tuple(prompts)
    assert "an alpha per row" in out.decoding


@pytest.mark.parametrize("top", [1, 3, 20])
def test_only_the_likeliest_tokens_can_be_chosen(tiny64, top):
    out = wb.amplify(tiny64, PROMPTS, BASELINE, 2.0, max_new_tokens=8, batch_size=4, top=top)
    assert out.token_ids == tuple(
        by_hand(tiny64, p, ids, 2.0, 8, top) for p, ids in zip(PROMPTS, out.token_ids, strict=True)
    )
    assert (out.token_ids == wb.generate(tiny64, PROMPTS, max_new_tokens=8).token_ids) == (top == 1)
    assert f"of the {top} likeliest" in out.decoding


def test_the_variant_of_the_log_changes_no_token(tiny):
    plain = wb.generate(tiny, PROMPTS, max_new_tokens=8)
    for alpha in (0.1, 1.0, 2.0):
        assert wb.amplify(tiny, PROMPTS, BASELINE, alpha, 8, every_step=False).token_ids == plain.token_ids
    assert wb.amplify(tiny, PROMPTS, BASELINE, 2.0, 8).token_ids != plain.token_ids
    assert wb.amplify(tiny, PROMPTS, BASELINE, 0.0, 8).token_ids == plain.token_ids


def test_logits_are_linear_in_alpha_but_where_the_log_skips(tiny64):
    logits = {a: wb.amplified_logits(tiny64, PROMPTS, BASELINE, a) for a in (0, 0.5, 1, 2)}
    np.testing.assert_allclose(logits[2] - logits[1], 2 * (logits[1] - logits[0.5]), atol=1e-9)
    skipped = wb.amplified_logits(tiny64, PROMPTS, BASELINE, 1, skip_at_one=True)
    assert (skipped == logits[0]).all()
    assert not np.allclose(skipped, logits[1])
    by_row = wb.amplified_logits(tiny64, PROMPTS, BASELINE, [0.5] * 5 + [1], skip_at_one=True)
    np.testing.assert_array_equal(by_row, [*logits[0.5][:5], logits[0][5]])


def test_logits_behind_texts_of_several_lengths_are_those_of_each_alone(tiny64):
    written = [tuple(range(7, 7 + n)) for n in (1, 5, 2, 4, 3, 1)]
    together = wb.amplified_logits(tiny64, PROMPTS, BASELINE, 1.5, written=written)
    alone = [
        wb.amplified_logits(tiny64, [prompt], BASELINE, 1.5, written=[said])[0]
        for prompt, said in zip(PROMPTS, written, strict=True)
    ]
    np.testing.assert_allclose(together, alone, atol=1e-9)


def test_a_model_in_16_bits_does_not_round_what_is_amplified(monkeypatch):
    alphas, results = set(), set()

    def seen(target, baseline, alpha):
        amplified = _amplified(target, baseline, alpha)
        alphas.update(alpha.flatten().tolist())
        results.add(amplified.dtype)
        return amplified

    monkeypatch.setattr("workbench.generation.amplify._amplified", seen)
    wb.amplify(tiny_model("llama", "bfloat16"), PROMPTS[:2], BASELINE, 0.3, max_new_tokens=2)
    assert (alphas, results) == ({0.3}, {torch.float64})


def test_harmful_requests_stay_hidden(llama):
    prompts = wb.pairs("refusal").dev.positive[:2]
    out = wb.amplify(llama, prompts, BASELINE, 1.5, max_new_tokens=3)
    assert out.hidden == (True, True)
    assert "amplified by 1.5 at every step" in out.decoding


def test_bad_input_is_refused(llama):
    with pytest.raises(wb.WorkbenchError, match="2 baselines for 6 prompts"):
        wb.amplify(llama, PROMPTS, ["hello", "hello"], 1)
    with pytest.raises(wb.WorkbenchError, match="finite"):
        wb.amplify(llama, PROMPTS, BASELINE, float("nan"))
    with pytest.raises(wb.WorkbenchError, match="finite"):
        wb.amplified_logits(llama, PROMPTS, BASELINE, float("inf"))
    with pytest.raises(wb.WorkbenchError, match="2 alphas for 6 prompts"):
        wb.amplify(llama, PROMPTS, BASELINE, [1.0, 2.0])
    with pytest.raises(wb.WorkbenchError, match="is empty"):
        wb.amplify(llama, [], BASELINE, 1)
    with pytest.raises(wb.WorkbenchError, match="top=0, every_step=True; expected at least 1"):
        wb.amplify(llama, PROMPTS, BASELINE, 1, top=0)
    with pytest.raises(wb.WorkbenchError, match="top=5, every_step=False"):
        wb.amplify(llama, PROMPTS, BASELINE, 1, every_step=False, top=5)
    with pytest.raises(wb.WorkbenchError, match="batch_size=0: expected a whole number, at least 1"):
        wb.amplify(llama, PROMPTS, BASELINE, 1, batch_size=0)
    with pytest.raises(wb.WorkbenchError, match="max_new_tokens=0: expected a whole number, at least 1"):
        wb.amplify(llama, PROMPTS, BASELINE, 1, max_new_tokens=0)
    with pytest.raises(wb.WorkbenchError, match=r"expected a loaded model, e.g. wb.load\('llama'\)"):
        wb.amplified_logits("llama", PROMPTS, BASELINE, 1)
