"""Rows from vLLM are those of the workbench's own engine: every family, site, operation and gate, in mixed batches, in float32."""

import pytest
import torch

import workbench as wb
from tests.families import FAMILIES, PROMPTS
from tests.generation.test_steer_hooks import direction
from tests.vllm.conftest import HERE, vllm_sized
from workbench.generation.decoding import Sampling
from workbench.generation.generate import continue_tokens
from workbench.generation.vllm_engine import VLLM, stream_tokens
from workbench.generation.vllm_limits import SITES
from workbench.steering.sites import Site

PLACES = [wb.ALL, wb.PROMPT[-1] | wb.RESPONSE, wb.PROMPT[2:5], wb.RESPONSE[:3], wb.PROMPT[1] | wb.RESPONSE[2]]


def gated(model, site, seed):
    """A direction at a site, and a bound that its projections on a few prompts lie on both sides of."""
    found = []
    d = direction(model, site, seed)
    from workbench.models.hooks import reading

    ids, _ = model.encode(PROMPTS[:1]).padded()
    with torch.no_grad(), reading(model.hf, site, found.append):
        model.hf(ids)
    along = (found[0][0].double() @ (d.vector.double() / d.norm)).sort().values
    gaps = along.diff()[2:-2]  # no token lies near the bound: rounding would decide
    widest = int(gaps.argmax()) + 2
    return d, float((along[widest] + along[widest + 1]) / 2)


def steers_of(model):
    """Steers of every site and operation, gated and not, one edit and several."""
    steers = [wb.Steer()]
    for i, kind in enumerate(SITES):
        site = Site(i % model.n_layers, kind)
        d, on = direction(model, site, i), PLACES[i % len(PLACES)]
        scale = 0.3 if kind.startswith("resid") else 1.0
        steers += [wb.add(d, scale, on=on), wb.add(d, -scale, on=PLACES[(i + 1) % len(PLACES)])]
        steers += [wb.ablate(d, on=on), wb.clamp(d, low=-0.1, high=0.2, on=PLACES[(i + 2) % len(PLACES)])]
    last = model.n_layers - 1
    d, bound = gated(model, wb.resid_post(0), 50)
    e = direction(model, wb.resid_post(last), 51)
    steers += [
        wb.add(e, 0.4).when(d, above=bound),  # per token, read at an earlier site
        wb.ablate(d).when(d, below=bound),  # per token, where it is written
        wb.add(e, 0.4, on=wb.PROMPT[-1] | wb.RESPONSE).when(d, above=bound, read=wb.PROMPT[-2:]),
        wb.add(e, 0.4).when(d, below=bound, read=wb.PROMPT),  # edits tokens before all that the gate reads
        wb.add(d, 0.2) + wb.ablate(direction(model, wb.resid_post(0), 52)) + wb.clamp(e, high=0.0),
        wb.add(direction(model, wb.attn_out(1), 53), 0.5) + wb.add(direction(model, wb.resid_mid(1), 54), 0.2),
        wb.add(d, 0.3) + wb.add(e, 0.4).when(d, above=bound),  # the gate reads the steered stream
    ]
    return steers


def rows_of(model, settings=HERE, new=10, sampling=Sampling(), batch_size=32, steers=None, prompts=PROMPTS):  # noqa: B008
    """What each engine writes for every prompt under every Steer, in one batch."""
    pairs = [(prompt, steer) for prompt in prompts for steer in steers or steers_of(model)]
    chats, each = model.encode([prompt for prompt, _ in pairs]), [steer for _, steer in pairs]
    theirs = {}
    for ended in stream_tokens(model, chats, each, new, batch_size, settings, sampling):
        theirs.update(ended)
    ours = continue_tokens(model, chats, each, new, progress=False, sampling=sampling)
    return [theirs[row] for row in range(len(pairs))], ours, each


def share(theirs, ours):
    return sum(a == b for a, b in zip(theirs, ours, strict=True)) / len(ours)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_site_operation_gate_and_position(family):
    model = vllm_sized(family)
    settings = VLLM() if family == "smollm3" else HERE  # vLLM runs transformers' own class, and alters it where it runs
    theirs, ours, steers = rows_of(model, settings)
    assert len(set(ours)) > 30  # the edits do something
    assert share(theirs, ours) >= 0.99, [str(s) for a, b, s in zip(theirs, ours, steers, strict=True) if a != b]
    sampled = Sampling(0.9, 0.95, seed=3)
    theirs, ours, _ = rows_of(model, settings, sampling=sampled, steers=steers_of(model)[::4])
    assert share(theirs, ours) >= 0.99


def test_prompts_in_pieces_and_a_batch_that_refills_change_nothing():
    model = vllm_sized("llama")
    steers = [steer for steer in steers_of(model) if not any(e.condition and e.condition.read for e in steer.edits)]
    steers.append(
        wb.add(direction(model, wb.resid_post(2)), 0.4, on=wb.PROMPT[-1] | wb.RESPONSE).when(
            direction(model, wb.resid_post(0), 50), above=0.0, read=wb.PROMPT[:-1]
        )
    )
    theirs, ours, _ = rows_of(model, VLLM(own_process=False, chunk=8), batch_size=7, steers=steers)
    assert share(theirs, ours) >= 0.99


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear", "factor": 2.0},
        {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64},
        {
            "rope_type": "llama3",
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ],
    ids=lambda rope: rope["rope_type"],
)
def test_stretched_rotary_embeddings(rope):
    model = vllm_sized("llama", rope_parameters={"rope_theta": 10000.0, **rope}, max_position_embeddings=128)
    theirs, ours, _ = rows_of(model, steers=steers_of(model)[::3])
    assert share(theirs, ours) >= 0.99
