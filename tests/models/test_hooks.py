"""The table of sites in plain transformers modules, held to the bridge's hook of the same name."""

from contextlib import ExitStack

import pytest
import torch

from tests.families import PROMPTS
from workbench._errors import WorkbenchError
from workbench.models.hooks import blocks, reading
from workbench.steering.sites import HOOK_NAMES, Site


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
