"""Maps of a model's parts: every number in its cell, nothing at white, hover with intervals."""

import pandas as pd
import pytest

import workbench as wb
from tests.families import PROMPTS
from tests.mechanism.test_attribute import direction
from tests.mechanism.test_patch import EQUAL, difference


def test_attribution_shows_means_over_prompts_a_panel_per_run(llama):
    d = direction(llama, wb.resid_post(2))
    frame = wb.attribute(llama, PROMPTS, d, steer=wb.add(direction(llama, wb.resid_post(1), 1), 1.0), heads=True)
    figure = wb.figures.attribution(frame)
    base, steered, change = figure.data
    assert list(base.x) == ["embed", "H0", "H1", "H2", "H3", "MLP"]
    assert list(steered.x) == [*base.x, "edit"]
    assert list(base.y) == ["–", "0", "1", "2"]
    mean = frame[(frame["run"] == "base") & (frame["component"] == "L1H2")]["value"].mean()
    assert base.z[2][3] == pytest.approx(mean, rel=1e-3)
    assert f"n={len(PROMPTS)}" in base.customdata[2][3]
    assert base.z[0][1] is None
    assert figure.layout.coloraxis.cmin == -figure.layout.coloraxis.cmax
    assert change.z[1][1] == pytest.approx(0, abs=1e-6)


def test_patching_shows_shares_by_head_or_by_token(llama):
    effects = wb.patch_effects(wb.patch(llama, EQUAL, "head", difference))
    figure = wb.figures.patching(effects)
    assert [list(grid.x) for grid in figure.data] == [["H0", "H1", "H2", "H3"]] * 2
    one = effects[(effects["way"] == "noise") & (effects["component"] == "L2H1")].iloc[0]
    assert figure.data[1].z[2][1] == pytest.approx(one["share"], rel=1e-3)
    assert "effect" in figure.data[1].customdata[2][1]
    by_token = wb.patch_effects(wb.patch(llama, EQUAL, "attn", difference, on="prompt[-3:]", each=True, ways=["noise"]))
    (grid,) = wb.figures.patching(by_token, value="effect").data
    assert list(grid.x) == ["prompt[9]", "prompt[10]", "prompt[11]"]
    with pytest.raises(wb.WorkbenchError, match="expected 'share', 'effect' or 'estimate'"):
        wb.figures.patching(effects, value="p")
    with pytest.raises(wb.WorkbenchError, match="got 0 rows"):
        wb.figures.patching(effects.iloc[:0])


def test_lens_writes_the_likeliest_token_into_each_cell(llama):
    read = wb.lens(llama, PROMPTS[:2], on="prompt[-2:]")
    figure = wb.figures.lens(read)
    first, second = figure.data
    own = read[(read["prompt"] == "texts-1") & (read["layer"] == 2)].sort_values("position")
    assert (
        first.text[2][0] == own["top"].iloc[0][0][:8].replace("<", "&lt;").replace(">", "&gt;")
        or "&" in first.text[2][0]
    )
    assert first.z[2][1] == pytest.approx(own["margin"].iloc[1], rel=1e-3)
    assert len(first.y) == len(second.y) == 3
    many = pd.concat([read.assign(prompt=str(i)) for i in range(7)])
    with pytest.raises(wb.WorkbenchError, match="7 panels"):
        wb.figures.lens(many)
