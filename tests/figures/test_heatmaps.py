"""Layer by token: every cell in its place, nothing at white."""

import pytest

from tests.traces import frame
from workbench import figures


def test_cells_are_layers_by_tokens_and_zero_is_white():
    table = frame(n_prompt=5, n_response=4, layers=3, arms=("base",))
    figure = figures.heatmap(table)
    (grid,) = figure.data
    for layer in range(3):
        own = table[table["layer"] == layer]
        assert list(grid.z[layer]) == pytest.approx(own["cosine"].tolist(), rel=1e-3)
        assert list(grid.customdata[layer]) == pytest.approx(own["norm"].tolist(), rel=1e-3)
    assert list(grid.y) == ["0", "1", "2"]
    axis = figure.layout.coloraxis
    assert axis.cmid == 0
    assert axis.cmin == -axis.cmax
    assert axis.colorscale[1] == (0.5, "#F7F7F7")
    assert figure.layout.shapes[0].x0 == 4.5


def test_one_panel_for_each_response_and_direction_with_its_own_text():
    figure = figures.heatmap(frame(n_prompt=4, n_response=3, directions=("refusal", "random 0")))
    assert len(figure.data) == 4
    names = [a.text for a in figure.layout.annotations if "·" in a.text]
    assert names == [f"<b>{arm} · {d} · harmful-0</b>" for arm in ("base", "-0.30") for d in ("refusal", "random 0")]
    assert figure.layout.xaxis.labelalias["+0"] == "I"
    assert figure.layout.xaxis3.labelalias["+0"] == "◆Sure"
    assert "◆ steered token" in figure.layout.title.text


def test_the_title_names_the_layer_of_the_largest_mean():
    table = frame(arms=("base",), layers=8)
    means = table[table["offset"] >= 0].groupby("layer")["cosine"].mean()
    title = figures.heatmap(table).layout.title.text.replace("\u00a0", " ")
    assert f"response mean peaks: {means.max():.3g} at layer {means.abs().idxmax()}" in title


def test_a_sink_does_not_set_the_scale():
    table = frame(arms=("base",), layers=2)
    table.loc[table["position"] == 0, "cosine"] = 0.99
    rest = table[table["position"] > 0]["cosine"].abs().max()
    assert figures.heatmap(table).layout.coloraxis.cmax == pytest.approx(rest)
