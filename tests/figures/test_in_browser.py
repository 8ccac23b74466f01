"""The figures in a real browser, with the network cut: what a reader sees, touches and must be safe from."""

import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from tests.browser import until
from tests.traces import PROMPT, frame
from workbench import figures
from workbench.figures.words import shorten, visible

pytestmark = pytest.mark.browser

#: what a model might write, and what a careless figure would run or swallow
HOSTILE = [
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    '"><svg onload=window.pwned=1>',
    "<b>bold</b>",
    "%{y}",
    "$x$",
    "&lt;",
]
WIDTHS = (390, 1280)
SIZES = {8: {"n_prompt": 4, "n_response": 4}, 300: {"n_prompt": 40, "n_response": 260}}


def attention_of(tokens):
    """Causal attention of three heads over these tokens."""
    weights = np.tril(np.random.default_rng(0).exponential(size=(3, len(tokens), len(tokens))))
    return figures.attention(weights / weights.sum(-1, keepdims=True), tokens)


def draw(kind, table):
    """One of the four kinds of figure of a trace's frame."""
    if kind == "attention":
        one = table[(table["row"] == 0) & (table["layer"] == 0) & (table["direction"] == "refusal")]
        return attention_of(one["token"].tolist()[:12])
    return getattr(figures, kind)(table)


KINDS = ("trajectory", "heatmap", "tokens", "attention")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Saved pages of every kind and size, as (kind, tokens) → path."""
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for size, counts in SIZES.items():
        table = frame(**counts, layers=6, arms=("base", "-0.30", "+0.30"))
        found |= {(kind, size): figures.save(draw(kind, table), folder / f"{kind}{size}") for kind in KINDS}
    return found


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def boxes(page, selector):
    """Left, top, right, bottom of each visible element."""
    return page.evaluate(
        """selector => [...document.querySelectorAll(selector)].map(e => e.getBoundingClientRect())
           .filter(b => b.width > 0).map(b => [b.left, b.top, b.right, b.bottom])""",
        selector,
    )


def overlapping(found, slack=1.0):
    """Pairs of boxes that lie over each other."""
    return [
        (a, b)
        for i, a in enumerate(found)
        for b in found[i + 1 :]
        if min(a[2], b[2]) - max(a[0], b[0]) > slack and min(a[3], b[3]) - max(a[1], b[1]) > slack
    ]


def point(page, trace, index):
    """Where a point of a plotly trace is on the screen."""
    return page.evaluate(
        """([trace, index]) => {
            const plot = document.querySelector('.js-plotly-plot'), drawn = plot.calcdata[trace][index];
            const {xaxis, yaxis} = plot._fullData[trace], name = id => id[0] + 'axis' + id.slice(1);
            const x = plot._fullLayout[name(xaxis)], y = plot._fullLayout[name(yaxis)], box = plot.getBoundingClientRect();
            return [box.left + x._offset + x.l2p(drawn.x), box.top + y._offset + y.l2p(drawn.y)];
        }""",
        [trace, index],
    )


def curve(page, name):
    """Index, values, norms and drawn path of the line of that name."""
    return page.evaluate(
        """name => {
            const plot = document.querySelector('.js-plotly-plot'), index = plot.data.findIndex(t => t.name === name);
            const path = [...plot.querySelectorAll('.scatterlayer .trace')]
                .find(g => g.__data__[0].trace.index === index).querySelector('.js-line');
            return {index, y: [...plot.data[index].y], norms: [...plot.data[index].customdata], path: path.getAttribute('d')};
        }""",
        name,
    )


def hover(page, trace, index):
    """Move the mouse onto a point and read the card that comes up."""
    return card_at(page, *point(page, trace, index))


def card_at(page, x, y):
    """The hover card for a place on the screen: the mouse comes from outside, so no earlier card can be meant."""
    page.mouse.move(1, 1)
    page.wait_for_selector(".hoverlayer .hovertext", state="detached")
    page.mouse.move(x, y)
    page.wait_for_selector(".hoverlayer .hovertext")
    return page.text_content(".hoverlayer .hovertext")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("size", SIZES)
def test_a_page_fits_its_window_and_no_words_lie_over_each_other_or_over_the_plot(visitor, pages, kind, width, size):
    page = visitor.open(pages[kind, size], width)
    page.wait_for_selector({"tokens": ".wb-t", "attention": "canvas"}.get(kind, ".xtick text"))
    assert overflow(page) <= 0
    assert page.title()
    if kind in ("trajectory", "heatmap"):
        words = boxes(page, ".gtitle, .legendtext, .annotation-text, .xtick text, .slider-label")
        assert words
        assert all(left >= 0 and right <= width for left, _, right, _ in words)
        ticks = boxes(page, ".xtick text")
        assert len(ticks) >= (8 if size == 8 else 15)
        parts = boxes(page, ".gtitle, .slider-label, .legend .traces, .annotation-text, .cbtitle text, .cbaxis text")
        assert overlapping(ticks + parts + boxes(page, ".nsewdrag, .slider-rail-rect")) == []


@pytest.mark.parametrize("kind", ["trajectory", "heatmap"])
def test_nothing_is_offered_for_upload(visitor, tmp_path, kind):
    drawn = draw(kind, frame(**SIZES[8], layers=2))
    page = visitor.open(figures.save(drawn, tmp_path / kind))
    buttons = page.eval_on_selector_all(".modebar-btn", "all => all.map(b => b.dataset.title)")
    assert buttons == ["Download plot as a PNG", "Reset axes"]
    bare = tmp_path / "notebook.html"  # as a notebook shows it, without what save adds
    bare.write_text(drawn.to_html(include_plotlyjs="directory"))
    bare = visitor.open(bare)
    assert "Share chart..." not in bare.eval_on_selector_all(".modebar-btn", "all => all.map(b => b.dataset.title)")


def test_with_many_tokens_zooming_in_brings_every_token(visitor, pages):
    page = visitor.open(pages["trajectory", 300])
    assert page.locator(".xtick text").count() < 150
    (left, top), (right, _) = point(page, 2, 60), point(page, 2, 80)
    page.mouse.move(left - 3, top)
    page.mouse.down()
    page.mouse.move(right + 3, top, steps=5)
    page.mouse.up()
    until(page, "document.querySelectorAll('.xtick text').length === 21")
    table = frame(**SIZES[300], layers=1)
    words = table["token"].tolist()[60:81]
    shown = page.evaluate(
        """[...document.querySelectorAll('.xtick text')].map(e => [e.getBoundingClientRect().left, e.textContent])
           .sort((a, b) => a[0] - b[0]).map(pair => pair[1])"""
    )
    assert shown == [visible(word) for word in words]


def test_the_slider_changes_the_curve(visitor, tmp_path):
    table = frame(**SIZES[8], layers=6, arms=("base",))
    page = visitor.open(figures.save(figures.trajectory(table), tmp_path / "slider"))
    before, title = curve(page, "base"), page.text_content(".gtitle")
    expected = table[table["layer"] == 3]
    assert before["y"] == pytest.approx(expected["dot"].tolist(), rel=1e-3)
    rail = page.locator(".slider-rail-touch-rect").bounding_box()
    page.mouse.click(rail["x"] + rail["width"] - 12, rail["y"] + rail["height"] / 2)
    until(page, "document.querySelector('.slider-group > .slider-label').textContent === 'layer 5'")
    until(page, "document.querySelector('.gtitle').textContent.includes('layer 5')")
    after = curve(page, "base")
    expected = table[table["layer"] == 5]
    assert after["y"] == pytest.approx(expected["dot"].tolist(), rel=1e-3)
    assert after["norms"] == pytest.approx(expected["norm"].tolist(), rel=1e-3)
    assert after["path"] != before["path"]
    assert "layer 5" in page.text_content(".gtitle") != title
    low, high = page.evaluate("document.querySelector('.js-plotly-plot')._fullLayout.yaxis.range")
    assert low < expected["dot"][1:].min() < expected["dot"][1:].max() < high
    assert "layer 5" in hover(page, after["index"], 5)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_hover_tells_token_value_norm_and_place(visitor, tmp_path, width):
    table = frame(n_prompt=6, n_response=6, layers=4, arms=("base", "-0.30"))
    page = visitor.open(figures.save(figures.trajectory(table, value="cosine"), tmp_path / "hover"), width)
    shown = hover(page, curve(page, "-0.30")["index"], 8)
    own = table[(table["arm"] == "-0.30") & (table["layer"] == 2)].iloc[8]
    assert own["token"] == " Mix"
    assert shown.startswith("␣Mixposition 8, response +2, steered")
    assert f"refusal: {own['cosine']:+.3f}".replace("-", "−") in shown
    assert f"norm {own['norm']:.4g}" in shown
    assert shown.endswith("layer 2-0.30, prompt harmful-0")


def test_the_hover_of_a_heatmap_tells_its_cell(visitor, tmp_path):
    table = frame(**SIZES[8], layers=6, arms=("base",))
    page = visitor.open(figures.save(figures.heatmap(table), tmp_path / "heatmap"))
    plot = page.locator(".heatmaplayer image").bounding_box()
    x, y = plot["x"] + plot["width"] * 4.5 / 8, plot["y"] + plot["height"] * 0.5 / 6
    shown = card_at(page, x, y)
    own = table[(table["layer"] == 5) & (table["position"] == 4)].iloc[0]
    assert shown.startswith("Iposition 4, response +0")
    assert f"{own['cosine']:+.3f}".replace("-", "−") in shown
    assert "layer 5" in shown


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_model_writes_is_shown_and_never_run(visitor, tmp_path, kind):
    table = frame(n_prompt=4, n_response=len(HOSTILE), layers=3, arms=("base", "-0.30"))
    words = PROMPT[:4] + HOSTILE
    table["token"] = [words[p] for p in table["position"]]
    table = table.replace({"arm": {"base": HOSTILE[0], "-0.30": HOSTILE[2]}, "direction": {"refusal": HOSTILE[4]}})
    table["prompt_id"] = HOSTILE[1]
    drawn = attention_of(words) if kind == "attention" else draw(kind, table)
    page = visitor.open(figures.save(drawn, tmp_path / "hostile"))
    if kind == "tokens":
        assert [t.strip("⏎\n") for t in page.locator(".wb-t").all_text_contents()[4 : len(words)]] == HOSTILE
        assert HOSTILE[0] in page.get_attribute(".wb-t >> nth=4", "title")
    elif kind != "attention":
        ticks = [t.lstrip("◆") for t in page.locator(".xtick text").all_text_contents()]
        assert ticks[4 : len(words)] == [shorten(visible(text)) for text in HOSTILE]
        everything = " ".join(page.locator(".main-svg text").all_text_contents())
        assert HOSTILE[4] in everything
    if kind == "trajectory":
        shown = hover(page, page.evaluate("document.querySelector('.js-plotly-plot').data.length - 2"), 4)
        assert all(text in shown for text in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[4]))
    assert page.evaluate("window.pwned") is None
    assert page.locator("img, main b").count() == 0


def test_titles_are_text_too(visitor, tmp_path):
    table = frame(**SIZES[8], layers=2)
    for kind in ("trajectory", "heatmap", "tokens"):
        page = visitor.open(figures.save(getattr(figures, kind)(table, title=HOSTILE[2]), tmp_path / kind))
        assert page.title() == HOSTILE[2]
        assert HOSTILE[2].split()[0] in page.text_content(".gtitle" if kind != "tokens" else "h4")
        assert page.evaluate("window.pwned") is None


def luminance(rgb):
    channels = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


def contrast(one, other):
    """The ratio of WCAG 2."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colour_of(page, selector, property_):
    shown = page.evaluate("([s, p]) => getComputedStyle(document.querySelector(s))[p]", [selector, property_])
    return tuple(float(c) for c in re.findall(r"[\d.]+", shown)[:3])


@pytest.mark.parametrize("kind", ["trajectory", "heatmap", "tokens"])
def test_pages_follow_the_scheme_and_stay_readable(visitor, pages, kind):
    page = visitor.open(pages[kind, 8], scheme="dark")
    texts = {"tokens": [(".wb-strip", "color")]}.get(
        kind, [(s, "fill") for s in (".gtitle", ".xtick text", ".ytick text")]
    )
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        ground = colour_of(page, "body", "backgroundColor")
        assert (luminance(ground) > 0.5) == (scheme == "light")
        for selector, property_ in texts:
            assert contrast(colour_of(page, selector, property_), ground) >= 7


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_numbers_on_cells_can_be_read_on_a_dark_page_too(visitor, tmp_path, scheme):
    """Cells are light in both schemes."""
    cells = pd.DataFrame(
        {"panel": "", "series": "", "train": list("aabb"), "test": list("abab"), "value": [1, 0, 0, 1]}
    )
    page = visitor.open(figures.save(figures.matrices(cells, title="cosines"), tmp_path / "cells"), scheme=scheme)
    assert contrast(colour_of(page, ".heatmap-label text", "fill"), (247, 247, 247)) >= 7


def test_the_strip_follows_jupyterlabs_theme_before_the_systems(visitor, tmp_path):
    page = visitor.open(figures.save(figures.tokens(frame(**SIZES[8], layers=2)), tmp_path / "strip"), scheme="light")
    page.evaluate("document.documentElement.style.setProperty('--jp-content-font-color1', 'rgb(250, 251, 252)')")
    assert colour_of(page, ".wb-strip", "color") == (250, 251, 252)


def test_tokens_are_reached_by_keyboard(visitor, tmp_path):
    page = visitor.open(figures.save(figures.tokens(frame(**SIZES[8], layers=2)), tmp_path / "strip"), width=390)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "skip the text"
    for _ in range(7):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == " sorry"
    tip = page.evaluate("getComputedStyle(document.activeElement, '::after').content")
    assert "position 6, response +2" in tip
    assert overflow(page) <= 0


def test_a_page_prints_within_the_paper_on_white(visitor, pages):
    page = visitor.open(pages["trajectory", 300], scheme="dark")
    width = "document.querySelector('.js-plotly-plot .main-svg').getBoundingClientRect().width"
    screen = page.evaluate(width)
    page.evaluate(
        f"""addEventListener('beforeprint', () => {{ window.onPaper = {width}; }});
            addEventListener('afterprint', () => {{ window.printed = true; }})"""
    )
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    until(page, "window.printed")
    assert page.evaluate("window.onPaper") == 700
    until(page, f"{width} === {screen}")
    page.emulate_media(media="print", color_scheme="dark")
    assert luminance(colour_of(page, "body", "backgroundColor")) == pytest.approx(1)
    assert contrast(colour_of(page, ".xtick text", "fill"), (255, 255, 255)) >= 7


def test_a_name_with_a_dot_is_a_page_of_its_own(tmp_path):
    figure = go.Figure(go.Scatter(x=[1], y=[2]))
    pages = {
        figures.save(figure, tmp_path / name).name
        for name in ("ratio_0.3", "ratio_0.5", "page.html", "plot.v2", "bare")
    }
    assert pages == {"ratio_0.3.html", "ratio_0.5.html", "page.html", "plot.v2.html", "bare.html"}


def test_a_saved_page_lets_only_its_own_scripts_run(tmp_path, chromium):
    page = figures.save(go.Figure(go.Scatter(x=[1, 2], y=[2, 1])), tmp_path / "page")
    ran = "<script>document.title = 'it ran'</script><img src=x onerror=\"document.title = 'it ran'\">"
    page.write_text(page.read_text().replace("</main>", ran + "</main>"))
    tab = chromium.new_page()
    tab.set_default_timeout(120_000)
    tab.goto(page.as_uri())
    tab.wait_for_selector(".js-plotly-plot .point")
    assert tab.title() == "figure"
    tab.close()
