import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.steering.sites import HOOK_NAMES, Site


@given(st.integers(0, 200), st.sampled_from(sorted(HOOK_NAMES)))
def test_names_round_trip(layer, kind):
    site = Site(layer, kind)
    assert Site.parse(str(site)) == site
    assert Site.parse(repr(site)) == site
    assert getattr(wb, kind)(layer) == site


def test_hook_names_exist_in_the_bridge(tiny):
    for kind in HOOK_NAMES:
        assert str(Site(1, kind)) in tiny.bridge.hook_dict


@pytest.mark.parametrize(
    "name", ["blocks.1.hook_resid", "resid_post", "resid_post(-1)", "hook_embed", "blocks.x.hook_z"]
)
def test_other_names_are_refused(name):
    with pytest.raises(wb.WorkbenchError, match="is no site"):
        Site.parse(name)


@pytest.mark.parametrize("layer", [-1, 1.5, True, "3"])
def test_layers_are_whole_numbers(layer):
    with pytest.raises(wb.WorkbenchError, match="whole number"):
        wb.resid_post(layer)
