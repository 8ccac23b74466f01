"""Token trajectories: the right numbers under the right tokens, and titles that are true."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.traces import SCRIPT, frame
from workbench import figures
from workbench.figures import theme
from workbench.figures.axes import axis_over
from workbench.figures.trace_lines import read


def named(figure, name):
    return next(t for t in figure.data if t.name == name)


def everything(figure):
    """All that plotly is given, as text."""
    return json.dumps(json.loads(figure.to_json()), ensure_ascii=False)


def small_print(figure):
    """The notes under the title in one line."""
    return " ".join(re.findall(r"<span[^>]*>(.*?)</span>", figure.layout.title.text))


def axis_words(table):
    axis = axis_over(read(table, "dot", show_text=False).lines)
    return dict(zip(axis.offsets, axis.words, strict=True)), axis.borrowed


@pytest.mark.parametrize("value", ["dot", "cosine", "z"])
def test_each_step_of_the_slider_holds_the_values_of_its_layer(value):
    table = frame(layers=4, envelope=False)
    figure = figures.trajectory(table, value=value)
    (slider,) = figure.layout.sliders
    assert [step.label for step in slider.steps] == ["0", "1", "2", "3"]
    assert slider.active == 2
    for layer, step in enumerate(slider.steps):
        data, layout, traces = step.args
        for i in traces:
            own = table[(table["arm"] == figure.data[i].name) & (table["layer"] == layer)]
            assert data["y"][i] == pytest.approx(own[value].tolist(), rel=1e-3)
            assert data["customdata"][i] == pytest.approx(own["norm"].tolist(), rel=1e-3)
        assert f"layer {layer}" in layout["title.text"]
        assert data["meta"] == layer
    shown = slider.steps[2].args[0]["y"]
    assert [list(t.y) for t in figure.data[:2]] == shown


def test_a_trace_is_as_good_as_its_frame():
    class Trace:
        def frame(self):
            return table

    table = frame(layers=2)
    assert figures.trajectory(Trace()) == figures.trajectory(table)


def test_steered_tokens_are_diamonds_and_explained():
    table = frame(n_response=8)
    figure = figures.trajectory(table)
    steered = table[(table["arm"] == "-0.30") & (table["layer"] == 0)]["steered"].tolist()
    line = named(figure, "-0.30")
    assert [s == "diamond" for s in line.marker.symbol] == steered
    assert set(named(figure, "base").marker.symbol) == {"circle"}
    assert named(figure, "steered token").marker.symbol == "diamond"
    assert [", steered" in text for text in line.text] == steered
    assert "steered token" not in {t.name for t in figures.trajectory(frame(arms=("base",))).data}


def test_the_boundary_is_between_the_last_prompt_token_and_the_first_of_the_response():
    figure = figures.trajectory(frame(n_prompt=10, n_response=5))
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == 9.5
    assert list(figure.layout.xaxis.categoryarray)[9:11] == ["-1", "+0"]
    assert {a.text for a in figure.layout.annotations} == {"prompt", "response"}
    alone = figures.trajectory(frame(n_prompt=10).query("part == 'prompt'"))
    assert not alone.layout.shapes
    assert not alone.layout.annotations


def test_responses_are_aligned_at_their_first_token():
    short, long = frame(n_prompt=6, n_response=5, arms=("base",)), frame(n_prompt=9, n_response=7, arms=("-0.30",))
    figure = figures.trajectory(pd.concat([short, long.assign(row=1)]))
    for name, n in (("base", 6), ("-0.30", 9)):
        line = named(figure, name)
        assert line.x[n] == "+0"
        assert f"position {n}, response +0" in line.text[n]


def test_shared_tokens_stand_under_the_axis_and_the_first_response_where_they_differ():
    words, borrowed = axis_words(frame(n_prompt=6, n_response=4))
    assert [words[o] for o in (-6, -2, -1, 0, 1)] == ["<|im_start|>", "assistant", "⏎", "I", "'m"]
    assert borrowed == "base"
    words, borrowed = axis_words(frame(n_prompt=6, n_response=4, arms=("base",)))
    assert borrowed == ""


def test_different_prompts_share_no_text_so_offsets_stand_there():
    table = frame(n_prompt=6, n_response=4, prompts=2)
    table.loc[(table["row"] > 1) & (table["offset"] == -5), "token"] = " other"
    words, borrowed = axis_words(table)
    assert [words[o] for o in (-5, -2, 0)] == ["-5", "assistant", "+0"]
    assert borrowed is None


def test_several_responses_of_an_arm_are_thin_lines_and_their_mean():
    table = frame(n_response=20, prompts=4, layers=2)
    figure = figures.trajectory(table, layer=1)
    thin = [t for t in figure.data if t.name == "base" and not t.showlegend]
    (thick,) = [t for t in figure.data if t.name == "base" and t.showlegend]
    assert len(thin) == 4
    assert thick.line.width > thin[0].line.width
    own = table[(table["arm"] == "base") & (table["layer"] == 1) & (table["offset"] == 3)]
    place = list(figure.layout.xaxis.categoryarray).index("+3")
    assert thick.y[place] == pytest.approx(own["dot"].mean(), rel=1e-3)
    counts = table[(table["arm"] == "base") & (table["layer"] == 1)].groupby("offset").size()
    assert [y is not None for y in thick.y] == [bool(2 * n >= 4) for n in counts]
    assert not all(y is not None for y in thick.y)
    assert "diamond" in next(t for t in figure.data if t.name == "-0.30" and t.showlegend).marker.symbol


@pytest.mark.parametrize("value", ["dot", "cosine", "z"])
def test_the_band_lies_behind_and_is_the_widest_of_the_arms(value):
    table = frame(n_response=6)
    figure = figures.trajectory(table, value=value, layer=3)
    low, high = figure.data[:2]
    assert high.fill == "tonexty"
    own = table[table["layer"] == 3].groupby("offset")
    assert list(low.y) == pytest.approx(own[f"{value}_low"].min().tolist(), rel=1e-3)
    assert list(high.y) == pytest.approx(own[f"{value}_high"].max().tolist(), rel=1e-3)
    assert not [t for t in figures.trajectory(frame(envelope=False), value=value).data if t.fill]


def test_colour_by_direction_turns_arms_into_panels():
    table = frame(directions=("refusal", "random 0", "random 1"))
    figure = figures.trajectory(table, color="direction", value="cosine")
    lines = [t for t in figure.data if t.name in {"refusal", "random 0", "random 1"}]
    assert len(lines) == 6
    assert len({t.yaxis for t in lines}) == 2
    assert len({t.line.color for t in lines}) == 3
    assert {figure.layout.yaxis.title.text.split("<br>")[0], figure.layout.yaxis2.title.text.split("<br>")[0]} == {
        "<b>base</b>",
        "<b>-0.30</b>",
    }


def test_the_title_tells_the_means_of_what_is_drawn():
    table = frame(n_response=12)
    means = table[(table["layer"] == 3) & (table["offset"] >= 0)].groupby("arm")["cosine"].mean()
    title = figures.trajectory(table, value="cosine").layout.title.text
    assert title.startswith("Cosine with refusal at layer 3<br>response mean")
    for arm, mean in means.items():
        assert f"{arm}:\u00a0{mean:.3g}".replace(":\u00a0-", ":\u00a0−") in title
    alone = figures.trajectory(table[table["arm"] == "base"], value="cosine").layout.title.text
    prompt = table[(table["arm"] == "base") & (table["layer"] == 3) & (table["offset"] < 0) & (table["position"] > 0)]
    means_of_parts = f"mean — prompt\u00a0{prompt['cosine'].mean():.3g} · response\u00a0{means['base']:.3g}"
    assert alone == f"Cosine with refusal at layer 3 in base<br>{means_of_parts}"


def test_the_title_tells_the_means_of_each_panel():
    table = frame(n_response=12, directions=("refusal", "random 0"), prompts=2)
    at = table[(table["layer"] == 3) & (table["offset"] >= 0)]
    first, second, *lines = figures.trajectory(table, value="z").layout.title.text.split("<br>")
    assert f"{first} {second}" == "z-score along 2 directions at layer 3, response\u00a0mean"
    for direction, line in zip(("refusal", "random 0"), lines[:2], strict=True):
        assert line.startswith(direction)
        own = at[at["direction"] == direction].groupby(["arm", "row"])["z"].mean().groupby("arm").mean()
        found = dict(part.rsplit(":\u00a0", 1) for part in line.split(" — ")[1].split(" · "))
        assert {arm: float(mean.replace("−", "-")) for arm, mean in found.items()} == pytest.approx(
            own.to_dict(), rel=1e-2
        )


def test_a_title_of_ones_own_stays_through_the_layers():
    figure = figures.trajectory(frame(layers=3), title="What I see")
    assert all(step.args[1]["title.text"].startswith("What I see<br>") for step in figure.layout.sliders[0].steps)


def test_an_attention_sink_neither_sets_the_scale_nor_stays_unsaid():
    table = frame(arms=("base",))
    table.loc[table["position"] == 0, "dot"] = 900.0
    figure = figures.trajectory(table)
    rest = table[(table["layer"] == 3) & (table["position"] > 0)]
    low, high = figure.layout.yaxis.range
    assert low < rest["dot"].min() < rest["dot"].max() < high < 900
    assert "beyond the scale: &lt;|im_start|&gt; (over 10 times the median norm)" in small_print(figure)
    assert max(y for y in named(figure, "base").y) == 900


def test_cosines_keep_one_scale_over_the_layers_and_dots_do_not():
    for value, several in (("cosine", False), ("z", False), ("dot", True)):
        steps = figures.trajectory(frame(), value=value).layout.sliders[0].steps
        assert (len({tuple(step.args[1]["yaxis.range"]) for step in steps}) > 1) == several


def test_hidden_text_is_nowhere_in_the_figure_unless_asked_for():
    table = frame(hidden=("-0.30",), n_response=10)
    for draw in (figures.trajectory, figures.heatmap):
        closed, open_ = everything(draw(table)), everything(draw(table, show_text=True))
        assert "Sure" not in closed
        assert "flour" not in closed
        assert "▮" in closed
        assert "text not shown" in small_print(draw(table))
        assert "Sure" in open_
        assert "▮" not in open_
    assert "Sure" not in str(figures.tokens(table))
    assert "Sure" in str(figures.tokens(table, show_text=True))


def test_no_markup_of_a_model_reaches_plotly():
    table = frame(n_response=8).replace({"arm": {"base": "<i>base</i>"}, "direction": {"refusal": "%{boom}"}})
    table["prompt_id"] = SCRIPT
    for figure in (figures.trajectory(table), figures.heatmap(table)):
        text = everything(figure)
        for bad in (SCRIPT, "<i>", "<script", "%{boom}"):
            assert bad not in text
        for good in ("&lt;script&gt;", "&lt;i&gt;", "&#37;{boom}"):
            assert good in text


@settings(max_examples=20)
@given(st.integers(1, 12), st.integers(0, 12), st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_every_size_of_trace_can_be_drawn(prompt, response, layers, arms, envelope):
    names = ("base", "-0.30", "+0.30")[:arms]
    table = frame(n_prompt=prompt, n_response=max(response, 1), arms=names, layers=layers, envelope=envelope)
    if response == 0:
        table = table[table["part"] == "prompt"]
    for figure in (figures.trajectory(table), figures.heatmap(table)):
        assert figure.layout.title.text
        assert figure.layout.height > 0
    assert len(figures.trajectory(table).layout.sliders) == (layers > 1)


def test_missing_values_leave_gaps():
    table = frame(arms=("base",), layers=2)
    table.loc[table["position"] == 5, "z"] = np.nan
    assert named(figures.trajectory(table, value="z"), "base").y[5] is None
    assert figures.heatmap(table, value="z").data[0].z[0][5] is None
    assert "z unknown" in str(figures.tokens(table, value="z"))


@pytest.mark.parametrize("draw", [figures.trajectory, figures.heatmap, figures.tokens])
def test_mistakes_are_named(draw):
    table = frame(layers=2)
    with pytest.raises(wb.WorkbenchError, match="'norm' cannot be drawn; it is one of 'dot', 'cosine', 'z'"):
        draw(table, value="norm")
    with pytest.raises(wb.WorkbenchError, match="no column token"):
        draw(table.drop(columns="token"))
    with pytest.raises(wb.WorkbenchError, match="no rows"):
        draw(table[table["layer"] > 5])
    with pytest.raises(wb.WorkbenchError, match="need a neutral set"):
        draw(frame(neutral=False), value="z")
    with pytest.raises(wb.WorkbenchError, match="resid_post, resid_mid"):
        draw(pd.concat([table, table.assign(site="resid_mid")]))
    many = frame(n_response=2, layers=1, directions=tuple(f"d{i}" for i in range(7)))
    with pytest.raises(wb.WorkbenchError, match="more than can be read; select up to 6"):
        draw(many)


def test_a_wrong_layer_or_colour_is_named():
    for draw in (figures.trajectory, figures.tokens):
        with pytest.raises(wb.WorkbenchError, match="layer 9 is not in the trace; it has layers 0 to 3"):
            draw(frame(layers=4), layer=9)
    with pytest.raises(wb.WorkbenchError, match="by 'arm' or by 'direction'"):
        figures.trajectory(frame(), color="layer")


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_colours_show_on_white_and_on_jupyterlabs_dark():
    for ground in ("#FFFFFF", "#111111"):
        for colour, least in [
            (theme.INK, 4.2),
            *((c, 3.0) for c in theme.COLOURS[:4]),
            *((c, 2.0) for c in theme.COLOURS),
        ]:
            high, low = sorted((luminance(colour), luminance(ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= least, (colour, ground)


def test_no_two_of_twenty_eight_lines_look_the_same():
    assert len({(theme.colour(i), theme.dash(i)) for i in range(28)}) == 28
