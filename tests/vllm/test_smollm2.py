"""SmolLM2 with its refusals, real weights and real prompts: the rows of both engines, in float32, token for token."""

import pytest

import workbench as wb
from tests.vllm.conftest import HERE
from tests.vllm.test_equality import rows_of, share
from workbench.generation.decoding import Sampling

ON = wb.PROMPT[-1] | wb.RESPONSE


@pytest.mark.model
@pytest.mark.slow
def test_every_operation_on_real_weights(smollm2_refusal):
    pairs = wb.pairs("refusal")
    ds = wb.extract(smollm2_refusal, pairs.dev, at=wb.resid_post.all)
    low, high = ds[12], ds[18]
    steers = [
        wb.Steer(),
        wb.add(high, ratio=-0.2, on=ON),
        wb.add(high, ratio=0.2),
        wb.add(low, 2.0, at=wb.resid_mid(12), on=wb.RESPONSE[:4]),
        wb.ablate(low),
        wb.ablate(low, on=wb.PROMPT, at=[wb.resid_pre(9), wb.attn_out(12), wb.mlp_out(12)]),
        wb.clamp(high, low=-0.5, high=0.5, on=ON),
        wb.add(high, ratio=-0.2, on=ON).when(low, above=0.0, read=wb.PROMPT[-1]),
    ]
    prompts = [*pairs.test.positive.take(4), *pairs.test.borderline.take(3)]
    theirs, ours, _ = rows_of(smollm2_refusal, HERE, new=24, batch_size=64, steers=steers, prompts=prompts)
    assert len(set(ours)) > 20  # most refusals are alike
    assert share(theirs, ours) >= 0.99
    sampled = Sampling(0.8, 0.95, seed=1)
    theirs, ours, _ = rows_of(smollm2_refusal, HERE, 16, sampled, 64, steers=steers[:3], prompts=prompts)
    assert share(theirs, ours) >= 0.99
