"""The table of sites in plain transformers modules, held to the bridge's hook of the same name."""

from contextlib import ExitStack

import pytest
import torch

from tests.families import PROMPTS, tiny_model
from workbench._errors import WorkbenchError
from workbench.models.hooks import blocks, reading, replacing
from workbench.steering.sites import HOOK_NAMES, Site


@pytest.fixture(scope="module")
def half():
    return tiny_model("llama", "bfloat16")


def test_every_site_reads_what_the_bridge_reads(tiny):
    ids = torch.tensor([tiny.encode(PROMPTS[:1]).token_ids[0]])
    sites = [Site(layer, kind) for layer in range(tiny.n_layers) for kind in HOOK_NAMES]
    seen = {}
    with torch.no_grad(), ExitStack() as hooks:
        for site in sites:
            hooks.enter_context(reading(tiny.hf, site, lambda x, site=site: seen.update({site: x})))
        tiny.hf(ids)
        _, cache = tiny.bridge.run_with_cache(ids)
    for site in sites:
        expected = cache[str(site)].reshape(seen[site].shape)
        torch.testing.assert_close(
            seen[site], expected, rtol=1e-4, atol=1e-4, msg=lambda m, site=site: f"{site!r}: {m}"
        )


@pytest.mark.parametrize("kind", HOOK_NAMES)
def test_what_replaces_activations_stands_there_to_the_last_bit(half, kind):
    """In 16 bits, where adding the difference rounds twice; and the model goes on from it as from a hook written by hand."""
    site, ids = Site(1, kind), torch.tensor([half.encode(PROMPTS[:1]).token_ids[0]])
    seen = []
    chance = torch.Generator().manual_seed(0)

    def values(x):
        return (1e-3 * torch.randn(x.shape, generator=chance)).to(x)

    with (
        torch.no_grad(),
        replacing(half.hf, site, lambda x: seen.append(values(x)) or seen[0]),
        reading(half.hf, site, seen.append),
    ):
        logits = half.hf(ids).logits
    wanted, stood = seen
    if kind == "resid_mid":
        torch.testing.assert_close(stood, wanted, rtol=0, atol=0.02)
        return
    assert torch.equal(stood, wanted)
    if kind == "resid_post":
        handle = blocks(half.hf)[1].register_forward_hook(
            lambda _, __, output: (wanted, *output[1:]) if isinstance(output, tuple) else wanted
        )
        with torch.no_grad():
            by_hand = half.hf(ids).logits
        handle.remove()
        assert torch.equal(logits, by_hand)


def test_sandwich_norms_part_raw_from_out(tiny):
    ids = torch.tensor([tiny.encode(PROMPTS[:1]).token_ids[0]])
    _, cache = tiny.bridge.run_with_cache(ids)
    same = torch.equal(cache["blocks.1.attn.hook_out"], cache["blocks.1.hook_attn_out"])
    assert same == (not tiny.name.startswith(("tiny-gemma2", "tiny-gemma3")))


def test_other_families_are_refused(llama):
    class Other:
        class config:
            model_type = "mamba"

    with pytest.raises(WorkbenchError, match="'mamba' are not supported"):
        blocks(Other())
